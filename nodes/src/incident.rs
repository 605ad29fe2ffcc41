//! The last events of this process, at a finer level than the log's, written to a file when something went wrong.
//!
//! A ring in memory takes every event of our own code from `debug` upwards. A panic, also one that a supervisor mends,
//! and SIGUSR1 (which `truckee doctor` sends) write it to `incidents/` in the node's directory: what led to it is there
//! without having logged everything all the time.
//!
//! Bounded: bytes of the ring, files kept, panics written in a while. As in the log, there are no caps in it. Not
//! promised: the events of a process that is killed or whose machine dies.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::dir::{self, DirError, NodeDir};

/// Text of events kept: some thousands of them.
const RING_BYTES_MAX: usize = 1024 * 1024;
/// One event takes no more than this part of it; the rest of a longer one is cut.
const EVENT_BYTES_MAX: usize = 16 * 1024;
/// Files kept; the oldest goes.
const FILES_MAX: usize = 16;
/// After a panic was written, those that follow within this time are only in the log: they have the same cause.
const PANIC_PAUSE: Duration = Duration::from_secs(10);

/// The ring of this process.
static RECENT: OnceLock<Ring> = OnceLock::new();

/// Where the events of this process are kept.
pub(crate) fn recent() -> &'static Ring {
    RECENT.get_or_init(Ring::default)
}

/// Events in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<String>,
    bytes: usize,
    /// Events that had to make room.
    gone: u64,
    panic_written: Option<Instant>,
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: &str) {
        let mut end = event.len().min(EVENT_BYTES_MAX);
        while !event.is_char_boundary(end) {
            end -= 1;
        }
        let event = event[..end].trim_end().to_owned();
        let mut kept = self.lock();
        kept.bytes += event.len();
        kept.events.push_back(event);
        while kept.bytes > RING_BYTES_MAX {
            let Some(oldest) = kept.events.pop_front() else {
                break;
            };
            kept.bytes -= oldest.len();
            kept.gone += 1;
        }
    }
}

/// Takes what the formatter of events writes: one whole event at a time.
pub(crate) struct RingWriter(&'static Ring);

impl<'w> MakeWriter<'w> for &'static Ring {
    type Writer = RingWriter;

    fn make_writer(&'w self) -> RingWriter {
        RingWriter(self)
    }
}

impl io::Write for RingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.add(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the directory of incidents and has every panic of this process written there.
///
/// # Errors
/// The directory cannot be made.
pub(crate) fn watch(dir: &NodeDir) -> Result<(), DirError> {
    let into = dir.incidents_path();
    NodeDir::new(&into).create()?;
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        others(info);
        on_panic(recent(), &into, info);
    }));
    Ok(())
}

/// Writes the ring because somebody asked for it.
pub(crate) fn write_asked(dir: &NodeDir) {
    let text = recent().lock().text("somebody asked for it");
    match write(&dir.incidents_path(), "asked", &text) {
        Ok(path) => tracing::info!(path = %path.display(), "recent events written"),
        Err(error) => tracing::warn!("recent events are not written: {error}"),
    }
}

fn on_panic(ring: &Ring, into: &Path, info: &PanicHookInfo<'_>) {
    // The panic may have come from within the ring: what is locked stays alone.
    let mut kept = match ring.0.try_lock() {
        Ok(kept) => kept,
        Err(TryLockError::Poisoned(kept)) => kept.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    let now = Instant::now();
    if kept
        .panic_written
        .is_some_and(|last| now.duration_since(last) < PANIC_PAUSE)
    {
        return;
    }
    kept.panic_written = Some(now);
    let thread = std::thread::current();
    let why = format!("panic in thread {}: {info}", thread.name().unwrap_or("?"));
    let text = kept.text(&why);
    drop(kept);
    if let Err(error) = write(into, "panic", &text) {
        eprintln!("truckee: recent events are not written: {error}");
    }
}

impl Kept {
    fn text(&self, why: &str) -> String {
        let mut text = format!(
            "truckee {} process {}: {why}\n{} events, {} older ones are gone\n\n",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            self.events.len(),
            self.gone
        );
        for event in &self.events {
            text.push_str(event);
            text.push('\n');
        }
        text
    }
}

/// Writes a file named by the time, and removes those that are too many.
fn write(into: &Path, kind: &str, text: &str) -> Result<PathBuf, DirError> {
    let path = into.join(format!("{}-{kind}.log", time_name()));
    dir::replace(&path, text.as_bytes(), dir::MODE_SECRET)?;
    let mut files = list(into)?;
    files.sort();
    for old in files.iter().rev().skip(FILES_MAX) {
        std::fs::remove_file(old).map_err(DirError::on("remove", old))?;
    }
    Ok(path)
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, DirError> {
    let entries = std::fs::read_dir(dir).map_err(DirError::on("read", dir))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect())
}

/// The time as a part of a file name that sorts: `2026-03-01T09-05-59.123456Z`.
fn time_name() -> String {
    let mut name = String::new();
    if SystemTime.format_time(&mut Writer::new(&mut name)).is_err() {
        name.clear();
        let _ = write!(name, "{}", std::process::id());
    }
    name.replace(':', "-")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_oldest_events_make_room_and_long_ones_are_cut() {
        let ring = Ring::default();
        ring.add(&"é".repeat(EVENT_BYTES_MAX));
        assert_eq!(ring.lock().bytes, EVENT_BYTES_MAX);
        let events = 2 * RING_BYTES_MAX / 1000;
        for number in 0..events {
            ring.add(&format!("{number:0>1000}\n"));
        }
        let kept = ring.lock();
        assert!(kept.bytes <= RING_BYTES_MAX && kept.bytes > RING_BYTES_MAX - 1000);
        assert_eq!(kept.events.len() as u64 + kept.gone, events as u64 + 1);
        let text = kept.text("test");
        assert!(
            text.ends_with(&format!("{}\n", events - 1)) && !text.contains('é'),
            "the newest stay"
        );
    }

    #[test]
    fn a_panic_is_written_once_in_a_while_with_what_led_to_it() {
        let temp = tempfile::tempdir().unwrap();
        let ring: &'static Ring = Box::leak(Box::default());
        ring.add("what led to it");
        let into = temp.path().to_owned();
        let outcome = std::panic::catch_unwind({
            let into = into.clone();
            move || {
                let before = std::panic::take_hook();
                let here = std::thread::current().id();
                std::panic::set_hook(Box::new(move |info| {
                    if std::thread::current().id() == here {
                        on_panic(ring, &into, info);
                        on_panic(ring, &into, info);
                    }
                }));
                let caught = std::panic::catch_unwind(|| panic!("on purpose"));
                std::panic::set_hook(before);
                caught.is_err()
            }
        });
        assert!(outcome.unwrap());
        let files = list(&into).unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(
            text.contains("on purpose") && text.contains("what led to it"),
            "{text}"
        );
        let mode = std::fs::metadata(&files[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn few_files_are_kept() {
        let temp = tempfile::tempdir().unwrap();
        let mut newest = PathBuf::new();
        for _ in 0..FILES_MAX + 5 {
            newest = write(temp.path(), "asked", "x").unwrap();
        }
        let files = list(temp.path()).unwrap();
        assert!(files.len() <= FILES_MAX && files.contains(&newest), "{files:?}");
    }
}

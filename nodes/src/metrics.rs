//! The recorder behind `/metrics`, and the figures of the process itself.
//!
//! One recorder per process: nodes that run in one process (tests) share it.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use rustix::process::{Resource, getrlimit};
use tokio::time::Instant;
use truckee_actors::metrics as names;

/// Every histogram here counts seconds: from half a millisecond, which a small read takes, to the minute after which
/// most deadlines have passed.
const BUCKETS_SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// Between two looks at the lag of an event loop: often enough to catch a stall that a user feels, and seldom enough that a node at
/// rest hardly runs: each of its loops wakes up for it.
const LAG_EVERY: Duration = Duration::from_secs(2);

/// How often the recorder folds what was observed since; between scrapes nothing else empties its buffers.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// Starts recording, if that is not done yet, and names all metrics.
///
/// # Errors
/// Something else records metrics in this process.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = INSTALLED.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS_SECONDS)?
        .install_recorder()?;
    names::describe_all();
    Ok(INSTALLED.get_or_init(|| handle).clone())
}

/// Brings the figures of the process and of the disk under `dir` up to date. Where the system does not tell, they stay
/// away.
pub fn measure_process(dir: &Path) {
    if let Some(bytes) = statm_bytes(1) {
        gauge!(names::PROCESS_MEMORY_BYTES).set(bytes as f64);
    }
    if let Some(bytes) = statm_bytes(0) {
        gauge!(names::PROCESS_VIRTUAL_BYTES).set(bytes as f64);
    }
    if let Some(stat) = Stat::read() {
        counter!(names::PROCESS_CPU_SECONDS).absolute(stat.cpu_seconds);
        gauge!(names::PROCESS_THREADS).set(stat.threads as f64);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        gauge!(names::PROCESS_OPEN_FILES).set(entries.count() as f64);
    }
    if let Some(files) = getrlimit(Resource::Nofile).current {
        gauge!(names::PROCESS_OPEN_FILES_MAX).set(files as f64);
    }
    if let Some((read, written)) = disk_bytes() {
        counter!(names::PROCESS_DISK_READ_BYTES).absolute(read);
        counter!(names::PROCESS_DISK_WRITTEN_BYTES).absolute(written);
    }
    if let Ok(disk) = rustix::fs::statvfs(dir) {
        gauge!(names::NODE_DISK_BYTES).set((disk.f_blocks * disk.f_frsize) as f64);
        gauge!(names::NODE_DISK_FREE_BYTES).set((disk.f_bavail * disk.f_frsize) as f64);
    }
}

/// Measures for ever how late the event loop of the calling thread is. Costs one wake-up per [`LAG_EVERY`].
pub async fn watch_lag(event_loop: &'static str) {
    let lag = histogram!(names::RUNTIME_LAG_SECONDS, "loop" => event_loop);
    loop {
        let due = Instant::now() + LAG_EVERY;
        tokio::time::sleep_until(due).await;
        lag.record(due.elapsed().as_secs_f64());
    }
}

/// A field of statm, which counts pages: 0 is the address space, 1 what is in RAM.
fn statm_bytes(field: usize) -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(field)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Bytes that went from and to disks; what the page cache served does not count.
fn disk_bytes() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((field("read_bytes:")?, field("write_bytes:")?))
}

struct Stat {
    /// User and system time, in whole seconds as the recorder counts.
    cpu_seconds: u64,
    threads: u64,
}

impl Stat {
    fn read() -> Option<Stat> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        // Fields 14, 15 and 20 of proc(5), counted from the third.
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |index: usize| -> Option<u64> { fields.get(index)?.parse().ok() };
        Some(Stat {
            cpu_seconds: (field(11)? + field(12)?) / rustix::param::clock_ticks_per_second(),
            threads: field(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        assert!(statm_bytes(1).unwrap() > 1 << 20);
        assert!(statm_bytes(0).unwrap() > statm_bytes(1).unwrap());
        assert!(Stat::read().unwrap().threads > 0);
        let handle = install().unwrap();
        measure_process(Path::new("/"));
        let text = handle.render();
        for name in [
            names::PROCESS_MEMORY_BYTES,
            names::PROCESS_THREADS,
            names::PROCESS_OPEN_FILES,
            names::NODE_DISK_FREE_BYTES,
        ] {
            assert!(text.contains(name), "{text}");
        }
        install().unwrap();
    }
}

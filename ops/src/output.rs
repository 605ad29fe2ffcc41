//! Standard output and the progress bar.
//!
//! Owns when something is drawn: bars only on standard error, only if it is a terminal, and never with `--json`.
//! Results go to standard output alone, so that `cap=$(truckee put FILE)` works.

use std::io::{self, IsTerminal, Read, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::CliError;

/// Look of a bar whose end is known.
const SIZED: &str =
    "{prefix}{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";

/// Look of a bar whose end is not known.
const UNSIZED: &str = "{prefix}{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}";

/// Writes one line to standard output. A reader that went away (`| head`) is no error.
pub(crate) fn print_line(line: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Stdout(error)),
        _ => Ok(()),
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    print_line(&value.to_string())
}

/// A bar over `total` bytes (or a spinner when the size is not known), drawn only where a person sees it.
pub(crate) fn transfer_bar(verb: &'static str, total: Option<u64>, json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), SIZED),
        None => (ProgressBar::no_length(), UNSIZED),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    // A template that does not parse (a test sees to it that both do) leaves the bar its default look.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(verb);
    bar
}

/// Counts what is read through it onto a bar.
pub(crate) struct Counted<R> {
    inner: R,
    bar: ProgressBar,
    /// Bytes read so far.
    pub(crate) bytes: u64,
    /// The last error of the inner reader, which an HTTP library may wrap beyond recognition.
    pub(crate) failure: Option<io::ErrorKind>,
    /// Whether the inner reader has said that there is no more.
    pub(crate) ended: bool,
}

impl<R> Counted<R> {
    /// Counts onto `bar`.
    pub(crate) fn new(inner: R, bar: ProgressBar) -> Counted<R> {
        Counted {
            inner,
            bar,
            bytes: 0,
            failure: None,
            ended: false,
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self
            .inner
            .read(buffer)
            .inspect_err(|error| self.failure = Some(error.kind()))?;
        self.ended |= got == 0 && !buffer.is_empty();
        self.bytes += got as u64;
        self.bar.inc(got as u64);
        Ok(got)
    }
}

/// Bytes for people: binary units, three figures.
#[must_use]
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well() {
        assert_eq!(bytes_text(0), "0 B");
        assert_eq!(bytes_text(1023), "1023 B");
        assert_eq!(bytes_text(1024), "1.00 KiB");
        assert_eq!(bytes_text(1 << 30), "1.00 GiB");
        assert_eq!(bytes_text(117 << 20), "117 MiB");
    }

    #[test]
    fn both_looks_parse() {
        for template in [SIZED, UNSIZED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn no_bar_for_programs() {
        assert!(transfer_bar("upload", Some(1), true).is_hidden());
    }

    #[test]
    fn counted_counts_and_remembers_the_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::IsADirectory.into())
            }
        }
        let mut counted = Counted::new(&b"abc"[..], ProgressBar::hidden());
        io::copy(&mut counted, &mut io::sink()).unwrap();
        assert_eq!((counted.bytes, counted.ended), (3, true));
        let mut broken = Counted::new(Broken, ProgressBar::hidden());
        assert!(io::copy(&mut broken, &mut io::sink()).is_err());
        assert_eq!(broken.failure, Some(io::ErrorKind::IsADirectory));
    }
}

//! The recorder behind `/metrics`, and the figures of the process itself.
//!
//! One recorder per process: nodes that run in one process (tests) share it.

use std::fs;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use truckee_actors::metrics as names;

/// Every histogram here counts seconds: from half a millisecond, which a small read takes, to the minute after which
/// most deadlines have passed.
const BUCKETS_SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

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

/// Brings the figures of the process up to date. Where the system does not tell, they stay away.
pub fn measure_process() {
    if let Some(bytes) = resident_bytes() {
        gauge!(names::PROCESS_MEMORY_BYTES).set(bytes as f64);
    }
    if let Some(seconds) = cpu_seconds() {
        counter!(names::PROCESS_CPU_SECONDS).absolute(seconds);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        gauge!(names::PROCESS_OPEN_FILES).set(entries.count() as f64);
    }
}

fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// User and system time, in whole seconds as the recorder counts.
fn cpu_seconds() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    // Fields 14 and 15 of proc(5), counted from the third.
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) / rustix::param::clock_ticks_per_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        assert!(cpu_seconds().is_some());
        let handle = install().unwrap();
        measure_process();
        let text = handle.render();
        assert!(text.contains(names::PROCESS_MEMORY_BYTES), "{text}");
        install().unwrap();
    }
}

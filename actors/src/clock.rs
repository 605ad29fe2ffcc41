//! Time for the shells: a monotonic clock for everything that waits and the calendar for what is signed with a date.
//!
//! Machines never read a clock; their shell asks one of these and hands `now` over. The monotonic clock is tokio's,
//! so a test that pauses tokio's time pauses this too. Not promised: that the calendar does not jump. Beside them stands what the
//! calling thread has burned, for whoever measures work and must not count the work of others on the same processor.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;
use truckee_engine::time::{Mono, UnixSeconds};

/// CPU time that the calling thread has had so far, user and system. It stands still while the thread waits or others run.
#[must_use]
pub fn thread_cpu() -> Duration {
    burned(ClockId::ThreadCPUTime)
}

/// The same of all threads of the process, also of those that have ended.
#[must_use]
pub fn process_cpu() -> Duration {
    burned(ClockId::ProcessCPUTime)
}

fn burned(clock: ClockId) -> Duration {
    let burned = clock_gettime(clock);
    // The kernel counts up from zero: neither part is ever negative.
    Duration::new(
        u64::try_from(burned.tv_sec).unwrap_or(0),
        u32::try_from(burned.tv_nsec).unwrap_or(0),
    )
}

/// What time it is, twice: since the start of the node, and on the calendar.
pub trait Clock: Send + Sync + 'static {
    /// Time since the node started. Never goes back.
    fn now(&self) -> Mono;
    /// The calendar, in seconds since 1970.
    fn unix(&self) -> UnixSeconds;
    /// The calendar, in milliseconds since 1970.
    fn unix_millis(&self) -> u64 {
        self.unix().as_secs().saturating_mul(1000)
    }
    /// The moment `at` in the terms of tokio's timers.
    fn instant(&self, at: Mono) -> Instant;
}

/// A clock that is handed around.
pub type ClockHandle = Arc<dyn Clock>;

/// The clock of a real node.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The same as a handle.
    pub fn handle() -> ClockHandle {
        Arc::new(Self::start())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Mono {
        Mono::ZERO + self.start.elapsed()
    }

    fn unix(&self) -> UnixSeconds {
        // A calendar before 1970 is a machine without a battery clock: everything signed is then from the future.
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        UnixSeconds::from_secs(since_1970.as_secs())
    }

    fn unix_millis(&self) -> u64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        // As above.
        u64::try_from(since_1970.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
    }

    fn instant(&self, at: Mono) -> Instant {
        self.start + at.saturating_sub(Mono::ZERO)
    }
}

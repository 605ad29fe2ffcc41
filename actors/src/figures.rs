//! What becomes of requests, counted and timed by their kinds with handles that are looked up once.
//!
//! Several are told of for each block that moves, and to look them up by name and labels costs more than to count. Those that fail are
//! looked up: they are few.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};
use truckee_wire::message::RequestKind;

/// The outcome that is the usual one.
const OK: &str = "ok";

/// See the module.
pub(crate) struct RequestFigures {
    count: &'static str,
    seconds: Option<&'static str>,
    kinds: [Option<Kind>; RequestKind::ALL.len()],
}

struct Kind {
    ok: Counter,
    seconds: Option<Histogram>,
}

impl RequestFigures {
    /// Counts by kind and outcome in `count`, and takes times by kind in `seconds`.
    pub(crate) fn new(count: &'static str, seconds: Option<&'static str>) -> Self {
        Self {
            count,
            seconds,
            kinds: [const { None }; RequestKind::ALL.len()],
        }
    }

    /// A request came to its end.
    pub(crate) fn ended(&mut self, kind: RequestKind, outcome: &'static str, took: Option<Duration>) {
        let request = kind.name();
        let known = self.kinds[kind as usize].get_or_insert_with(|| Kind {
            ok: counter!(self.count, "request" => request, "outcome" => OK),
            seconds: self
                .seconds
                .map(|seconds| histogram!(seconds, "request" => request)),
        });
        if outcome == OK {
            known.ok.increment(1);
        } else {
            counter!(self.count, "request" => request, "outcome" => outcome).increment(1);
        }
        if let Some((seconds, took)) = known.seconds.as_ref().zip(took) {
            seconds.record(took.as_secs_f64());
        }
    }
}

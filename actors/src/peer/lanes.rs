//! Counts what the lanes of one link carry, and what waits in them, for as long as the link exists.

use metrics::{Counter, Gauge, counter, gauge};
use truckee_engine::session::LaneLoad;
use truckee_wire::message::Lane;

use crate::metrics as names;

/// What was told of a link so far. Dropped, it takes back what was said to wait.
pub(super) struct LaneMeter([Meter; 3]);

/// One lane, with the handles of its metrics: it is told of after every message.
struct Meter {
    messages: Counter,
    bytes: Counter,
    waiting: Gauge,
    told: LaneLoad,
}

impl Default for LaneMeter {
    fn default() -> Self {
        Self(Lane::ALL.map(|lane| Meter {
            messages: counter!(names::LINK_LANE_MESSAGES, "lane" => lane.name()),
            bytes: counter!(names::LINK_LANE_BYTES, "lane" => lane.name()),
            waiting: gauge!(names::LINK_LANE_WAITING, "lane" => lane.name()),
            told: LaneLoad::default(),
        }))
    }
}

impl LaneMeter {
    /// Tells the difference to the last time.
    pub(super) fn tell(&mut self, now: [LaneLoad; 3]) {
        for (meter, now) in self.0.iter_mut().zip(now) {
            meter.tell(now);
        }
    }
}

impl Meter {
    fn tell(&mut self, now: LaneLoad) {
        if now == self.told {
            return;
        }
        let messages = now.sent_messages.saturating_sub(self.told.sent_messages);
        let bytes = now
            .sent_payload_bytes
            .saturating_sub(self.told.sent_payload_bytes);
        self.messages.increment(messages);
        self.bytes.increment(bytes);
        let more = now.waiting_messages as f64 - self.told.waiting_messages as f64;
        self.waiting.increment(more);
        self.told = now;
    }
}

impl Drop for LaneMeter {
    fn drop(&mut self) {
        for meter in &mut self.0 {
            let nothing_waits = LaneLoad {
                waiting_messages: 0,
                ..meter.told
            };
            meter.tell(nothing_waits);
        }
    }
}

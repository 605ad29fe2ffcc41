//! Counts what the lanes of one link carry, and what waits in them, for as long as the link exists.

use metrics::{counter, gauge};
use truckee_engine::session::LaneLoad;
use truckee_wire::message::Lane;

use crate::metrics as names;

/// What was told of a link so far. Dropped, it takes back what was said to wait.
#[derive(Debug, Default)]
pub(super) struct LaneMeter([LaneLoad; 3]);

impl LaneMeter {
    /// Tells the difference to the last time.
    pub(super) fn tell(&mut self, now: [LaneLoad; 3]) {
        for ((lane, now), told) in Lane::ALL.into_iter().zip(now).zip(&mut self.0) {
            if now == *told {
                continue;
            }
            let messages = now.sent_messages.saturating_sub(told.sent_messages);
            let bytes = now.sent_payload_bytes.saturating_sub(told.sent_payload_bytes);
            counter!(names::LINK_LANE_MESSAGES, "lane" => lane.name()).increment(messages);
            counter!(names::LINK_LANE_BYTES, "lane" => lane.name()).increment(bytes);
            let more = now.waiting_messages as f64 - told.waiting_messages as f64;
            gauge!(names::LINK_LANE_WAITING, "lane" => lane.name()).increment(more);
            *told = now;
        }
    }
}

impl Drop for LaneMeter {
    fn drop(&mut self) {
        let nothing_waits = self.0.map(|load| LaneLoad {
            waiting_messages: 0,
            ..load
        });
        self.tell(nothing_waits);
    }
}

//! Gives decoded segments out in order.

use truckee_grid::ids::SegmentIndex;

use super::fetch::Stage;
use super::{Download, Effect};
use crate::time::Mono;

impl Download {
    /// Delivers what is ready and next; after the last segment the download is complete.
    pub(super) fn deliver(&mut self, now: Mono) {
        let Some(known) = self.file.clone() else { return };
        while !self.has_ended()
            && let Some(fetch) = self.fetches.get_mut(&self.next_deliver)
            && let Stage::Ready(plaintext) = &mut fetch.stage
        {
            let plaintext = std::mem::take(plaintext);
            let segment = SegmentIndex(self.next_deliver);
            self.fetches.remove(&segment.0);
            let lies = known.geometry.plain_range(segment);
            let from = known.bytes.start.max(lies.start) - lies.start;
            let to = known.bytes.end.min(lies.end) - lies.start;
            // Both are within one segment, which is in memory.
            let part = plaintext.slice(from as usize..to as usize);
            if self.done.segments == 0 {
                self.done.first_byte = now.saturating_sub(self.started);
            }
            self.done.segments += 1;
            self.done.delivered_bytes += part.len() as u64;
            self.next_deliver += 1;
            self.unconsumed += 1;
            self.delivered_at.push_back(now);
            self.effects.push_back(Effect::Deliver {
                segment,
                plaintext: part,
            });
            if self.next_deliver == known.segments.end {
                self.complete(now);
            }
        }
    }

    fn complete(&mut self, now: Mono) {
        self.done.total = now.saturating_sub(self.started);
        for token in self.calls.take_all() {
            self.effects.push_back(Effect::CancelSend { token });
        }
        self.end(Effect::Completed(self.done));
    }
}

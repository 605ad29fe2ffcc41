//! Copies on this node that may be too many: which buckets are looked through in a round, and which copies these are.
//!
//! Keepers count the copies that are too many, but only who holds one can part with it. So each node lists the buckets of
//! which it holds something, a few in each round, so that all had their turn in the time that the operator gives.

use std::time::Duration;

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::NodeId;

use super::merge::FileSeen;
use crate::store::ShareId;
use crate::trim::rank;

/// See the module.
#[derive(Debug)]
pub(super) struct SurplusWatch {
    /// Buckets in each round; 0: this is turned off.
    in_round: usize,
    next: usize,
}

impl SurplusWatch {
    pub(super) fn new(every: Option<Duration>, round: Duration) -> Self {
        let in_round = every.map_or(0, |every| {
            let part = round.as_secs_f64() / every.as_secs_f64().max(f64::MIN_POSITIVE);
            (Bucket::COUNT as f64 * part)
                .ceil()
                .clamp(1.0, Bucket::COUNT as f64) as usize
        });
        Self { in_round, next: 0 }
    }

    pub(super) fn is_on(&self) -> bool {
        self.in_round > 0
    }

    /// The buckets whose turn it is in this round.
    pub(super) fn take_turn(&mut self) -> Vec<Bucket> {
        let turn: Vec<Bucket> = (0..self.in_round)
            .filter_map(|step| Bucket::from_index((self.next + step) % Bucket::COUNT))
            .collect();
        self.next = (self.next + self.in_round) % Bucket::COUNT;
        turn
    }
}

/// Copies of a file on this node which other nodes hold too that would keep theirs.
pub(super) fn copies(file: &FileSeen, own: NodeId) -> Vec<ShareId> {
    let of_own = file.holders.iter().filter(|(node, _)| *node == own);
    let surplus = of_own.filter(|(_, copy)| {
        file.holders
            .iter()
            .any(|(node, share)| share == copy && rank(&file.si, node) > rank(&file.si, &own))
    });
    surplus
        .map(|(_, copy)| ShareId {
            si: file.si,
            share: copy.place.share,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_buckets_have_their_turn_in_time() {
        let minute = Duration::from_secs(60);
        let mut watch = SurplusWatch::new(Some(6 * 60 * minute), minute);
        let seen: Vec<Bucket> = (0..6 * 60).flat_map(|_| watch.take_turn()).collect();
        let distinct: std::collections::BTreeSet<Bucket> = seen.iter().copied().collect();
        assert_eq!(
            (distinct.len(), seen.len()),
            (Bucket::COUNT, 360 * 3),
            "three in each round"
        );
        let mut hurried = SurplusWatch::new(Some(Duration::from_millis(1)), minute);
        assert_eq!(hurried.take_turn().len(), Bucket::COUNT);
        let mut off = SurplusWatch::new(None, minute);
        assert!(!off.is_on() && off.take_turn().is_empty());
    }
}

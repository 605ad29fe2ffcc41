//! Whose turn it is of this node's buckets to be looked through for copies that may go.
//!
//! Keepers see copies that are too many, or badly placed, but only who holds one can part with it. So each node lists the buckets
//! of which it holds something, a few in each round, so that all had their turn in the time that the operator gives.

use std::time::Duration;

use truckee_grid::bucket::Bucket;
use truckee_grid::placement::Candidate;

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    /// Buckets in each round; 0: this is turned off.
    in_round: usize,
    next: usize,
}

impl Turns {
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

    /// The buckets whose turn it is in this round, at most so many.
    pub(super) fn take(&mut self, most: usize) -> Vec<Bucket> {
        let count = self.in_round.min(most);
        let turn: Vec<Bucket> = (0..count)
            .filter_map(|step| Bucket::from_index((self.next + step) % Bucket::COUNT))
            .collect();
        self.next = (self.next + count) % Bucket::COUNT;
        turn
    }
}

/// The turns of those who look for badly placed copies: all buckets once after the nodes of the grid have changed, and again as long
/// as something was found, or something could not be seen.
#[derive(Debug)]
pub(super) struct PlacingTurns {
    turns: Turns,
    /// The nodes that this pass is for.
    members: Vec<Candidate>,
    /// Buckets that have not had their turn in it.
    left: usize,
    found: bool,
}

impl PlacingTurns {
    pub(super) fn new(every: Option<Duration>, round: Duration) -> Self {
        Self {
            turns: Turns::new(every, round),
            members: Vec::new(),
            left: 0,
            found: false,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.turns.is_on()
    }

    /// The buckets whose turn it is in this round, while these are the nodes that answer and stay.
    pub(super) fn take(&mut self, members: &[Candidate]) -> Vec<Bucket> {
        let once_more = self.found && self.left == 0;
        if self.members != members || once_more {
            self.members = members.to_vec();
            self.left = Bucket::COUNT;
            self.found = false;
        }
        let turn = self.turns.take(self.left);
        self.left -= turn.len();
        turn
    }

    /// Something is badly placed, or could not be seen.
    pub(super) fn found(&mut self) {
        self.found = true;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use truckee_grid::ids::NodeId;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn all_buckets_have_their_turn_in_time() {
        let mut turns = Turns::new(Some(6 * 60 * MINUTE), MINUTE);
        let seen: Vec<Bucket> = (0..6 * 60).flat_map(|_| turns.take(usize::MAX)).collect();
        let distinct: BTreeSet<Bucket> = seen.iter().copied().collect();
        assert_eq!(
            (distinct.len(), seen.len()),
            (Bucket::COUNT, 360 * 3),
            "three in each round"
        );
        let mut hurried = Turns::new(Some(Duration::from_millis(1)), MINUTE);
        assert_eq!(hurried.take(usize::MAX).len(), Bucket::COUNT);
        let mut off = Turns::new(None, MINUTE);
        assert!(!off.is_on() && off.take(usize::MAX).is_empty());
    }

    fn members(count: u8) -> Vec<Candidate> {
        let member = |number| Candidate {
            id: NodeId([number; 32]),
            zone: String::new(),
        };
        (0..count).map(member).collect()
    }

    #[test]
    fn places_are_looked_at_when_nodes_come_and_until_nothing_is_found() {
        let mut turns = PlacingTurns::new(Some(4 * MINUTE), MINUTE);
        let quarter = Bucket::COUNT / 4;
        let pass = |turns: &mut PlacingTurns, of: u8| -> Vec<usize> {
            (0..5).map(|_| turns.take(&members(of)).len()).collect()
        };
        assert_eq!(
            pass(&mut turns, 3),
            [quarter, quarter, quarter, quarter, 0],
            "one pass"
        );
        assert_eq!(pass(&mut turns, 3), [0; 5], "nothing was found");
        assert_eq!(turns.take(&members(4)).len(), quarter, "a node came");
        turns.found();
        assert_eq!(
            pass(&mut turns, 4),
            [quarter; 5],
            "something was found on the way: once more"
        );
        assert_eq!(pass(&mut turns, 4), [quarter, quarter, 0, 0, 0], "nothing was");
    }
}

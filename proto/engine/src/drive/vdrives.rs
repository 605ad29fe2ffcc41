//! Which vdrives there are, which one to ask first, and whether they all keep the same database.
//!
//! The one that answered last is asked first; those that failed lately come last. A vdrive whose database is another
//! than that of a known one makes every answer useless until they agree again: the one that disagreed is then asked
//! first, so that a database that was replaced on purpose is found out as soon as all of them have it.

use std::collections::BTreeMap;

use truckee_grid::ids::NodeId;

/// Names a database of directories: drawn when it is made.
pub(super) type DatabaseId = [u8; 16];

#[derive(Debug, Default)]
pub(super) struct Vdrives {
    known: BTreeMap<NodeId, Vdrive>,
    /// Counts answers and failures, to tell which was last.
    clock: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Vdrive {
    database: Option<DatabaseId>,
    answered: u64,
    failed: u64,
}

impl Vdrives {
    /// These are all that there are. What is known of those that stay is kept.
    pub(super) fn set(&mut self, nodes: &[NodeId]) {
        let mut old = std::mem::take(&mut self.known);
        self.known = nodes
            .iter()
            .map(|node| (*node, old.remove(node).unwrap_or_default()))
            .collect();
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// All of them, the best one first.
    pub(super) fn order(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.known.keys().copied().collect();
        nodes.sort_by_key(|node| {
            let vdrive = &self.known[node];
            let failing = vdrive.failed > vdrive.answered;
            (failing, std::cmp::Reverse(vdrive.answered), vdrive.failed)
        });
        nodes
    }

    /// An answer has come from `node` and its database. Whether that is the database of all others.
    pub(super) fn answered(&mut self, node: NodeId, database: DatabaseId) -> bool {
        self.clock += 1;
        let clock = self.clock;
        let Some(vdrive) = self.known.get_mut(&node) else {
            // No member any more; what it says is checked by signatures all the same.
            return true;
        };
        vdrive.database = Some(database);
        vdrive.answered = clock;
        let other = self
            .known
            .values_mut()
            .find(|vdrive| vdrive.database.is_some_and(|other| other != database));
        match other {
            None => true,
            Some(other) => {
                self.clock += 1;
                other.answered = self.clock;
                other.failed = 0;
                false
            }
        }
    }

    /// `node` did not answer, or not with what was asked.
    pub(super) fn failed(&mut self, node: NodeId) {
        self.clock += 1;
        if let Some(vdrive) = self.known.get_mut(&node) {
            vdrive.failed = self.clock;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId([1; 32]);
    const B: NodeId = NodeId([2; 32]);
    const C: NodeId = NodeId([3; 32]);

    #[test]
    fn the_last_good_one_first_and_the_last_bad_one_last() {
        let mut vdrives = Vdrives::default();
        vdrives.set(&[A, B, C]);
        assert_eq!(vdrives.order(), [A, B, C]);
        vdrives.failed(A);
        assert_eq!(vdrives.order(), [B, C, A]);
        assert!(vdrives.answered(C, [0; 16]));
        vdrives.failed(B);
        assert_eq!(vdrives.order(), [C, A, B]);
        assert!(vdrives.answered(B, [0; 16]));
        assert_eq!(vdrives.order(), [B, C, A]);
        vdrives.set(&[A, C]);
        assert_eq!(vdrives.order(), [C, A]);
        assert_eq!(vdrives.len(), 2);
    }

    #[test]
    fn two_databases_are_an_error_until_all_agree() {
        let mut vdrives = Vdrives::default();
        vdrives.set(&[A, B]);
        assert!(vdrives.answered(A, [0; 16]));
        assert!(!vdrives.answered(B, [1; 16]));
        assert_eq!(vdrives.order(), [A, B], "the other one has to prove itself next");
        assert!(!vdrives.answered(A, [0; 16]));
        assert_eq!(vdrives.order(), [B, A]);
        assert!(!vdrives.answered(B, [1; 16]));
        assert!(vdrives.answered(A, [1; 16]), "it was replaced by the same");
        assert!(vdrives.answered(B, [1; 16]));
        // A single one may come back with another database.
        vdrives.set(&[A]);
        assert!(vdrives.answered(A, [2; 16]));
    }
}

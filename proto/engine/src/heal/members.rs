//! Who there is, who answers, who keeps which bucket, and which buckets are known to be whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::NodeId;
use truckee_grid::placement::Candidate;
use truckee_wire::message::{Inventory, Span};

use super::additions::Change;
use crate::time::Mono;

/// Where a node stands in the order in which nodes keep a bucket: the least one that answers keeps it. Spreads the buckets
/// over the nodes; when a node goes, only its own move. The mixing is that of splitmix64 (Steele, Lea, Flood 2014): it
/// spreads, and need not resist anybody, since a node that keeps many buckets gains work and no power.
#[must_use]
pub fn rank(bucket: Bucket, id: &NodeId) -> (u64, NodeId) {
    let (head, _) = id.0.as_chunks::<8>();
    let join = |sum: u64, part: &[u8; 8]| sum.rotate_left(13).wrapping_add(u64::from_be_bytes(*part));
    let seed = head.iter().fold(0, join);
    let mut mixed = seed.wrapping_add((bucket.index() as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31), *id)
}

/// A bucket that keeps changing is listed so often, though all that changes is that whole files come: a list also finds what went
/// and was counted by nobody.
pub(super) const LISTED_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// A node, and the epoch and count of a bucket there.
pub(super) type Mark = (NodeId, u64, u32);

/// As of when a bucket needed nothing, and what that rests on.
#[derive(Debug)]
pub(super) struct Settled {
    /// When the list of it was begun from which most of this is known.
    pub(super) listed_at: Mono,
    /// All nodes that were asked.
    pub(super) marks: Vec<Mark>,
    /// So many of them may be away before a file is in danger.
    pub(super) spare_nodes: usize,
    /// So many others were away, and presumed to hold what was missing.
    pub(super) presumed_nodes: usize,
    /// Of those that were asked, the ones that were being emptied.
    pub(super) draining: BTreeSet<NodeId>,
}

/// Whether something is to be done for a bucket.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nothing.
    Settled,
    /// Nothing was, but at these nodes it has changed since.
    Changed(Vec<Change>),
    /// It has to be listed.
    Unknown,
}

#[derive(Debug)]
struct Known {
    member: Candidate,
    /// Whether the links say that it can be reached.
    reachable: bool,
    /// Since when it has not answered; `None`: it did when it was last asked.
    away_since: Option<Mono>,
    /// What it said last, if it answered in the last round.
    inventory: Option<Inventory>,
    /// Whether it was being emptied when it answered last.
    was_draining: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Members {
    own: NodeId,
    grace: Duration,
    all: BTreeMap<NodeId, Known>,
    /// Buckets for which there was nothing to do when they were listed.
    settled: BTreeMap<Bucket, Settled>,
}

impl Members {
    pub(super) fn new(own: NodeId, grace: Duration) -> Self {
        Self {
            own,
            grace,
            all: BTreeMap::new(),
            settled: BTreeMap::new(),
        }
    }

    /// Takes over who there is. Says whether that is news.
    pub(super) fn update(&mut self, now: Mono, members: &[(Candidate, bool)]) -> bool {
        let ids: BTreeSet<NodeId> = members.iter().map(|(member, _)| member.id).collect();
        let before = self.all.len();
        self.all.retain(|id, _| ids.contains(id));
        let mut news = self.all.len() != before;
        for (member, reachable) in members {
            let reachable = *reachable || member.id == self.own;
            let known = self.all.entry(member.id).or_insert_with(|| {
                news = true;
                Known {
                    member: member.clone(),
                    reachable,
                    away_since: None,
                    inventory: None,
                    was_draining: false,
                }
            });
            known.member.zone.clone_from(&member.zone);
            if std::mem::replace(&mut known.reachable, reachable) != reachable {
                news = true;
            }
            if !reachable {
                known.away(now);
            }
        }
        news
    }

    /// Those to ask for their inventories.
    pub(super) fn reachable(&self) -> Vec<NodeId> {
        let reachable = self.all.values().filter(|known| known.reachable);
        reachable.map(|known| known.member.id).collect()
    }

    /// A node has said, or not, what it has.
    pub(super) fn answered(&mut self, now: Mono, id: &NodeId, inventory: Option<Inventory>) {
        let Some(known) = self.all.get_mut(id) else { return };
        match inventory {
            Some(inventory) => {
                known.away_since = None;
                known.was_draining = inventory.draining;
                known.inventory = Some(inventory);
            }
            None => known.away(now),
        }
    }

    /// Nodes that answered when they were last asked.
    pub(super) fn present(&self) -> impl Iterator<Item = &Candidate> {
        let present = self.all.values().filter(|known| known.inventory.is_some());
        present.map(|known| &known.member)
    }

    /// Those of them that take new shares.
    pub(super) fn takers(&self) -> BTreeSet<NodeId> {
        self.which(takes_shares)
    }

    /// Those of them that are being emptied.
    pub(super) fn draining(&self) -> BTreeSet<NodeId> {
        self.which(|said| said.draining)
    }

    fn which(&self, of: impl Fn(&Inventory) -> bool) -> BTreeSet<NodeId> {
        let fits = |known: &&Known| known.inventory.as_ref().is_some_and(&of);
        self.all
            .values()
            .filter(fits)
            .map(|known| known.member.id)
            .collect()
    }

    /// Whether there is one that takes new shares; asked after every answer, so without making the set.
    pub(super) fn has_takers(&self) -> bool {
        self.all
            .values()
            .filter_map(|known| known.inventory.as_ref())
            .any(takes_shares)
    }

    /// Whether each node answers and has as much of the bucket as it had.
    pub(super) fn unchanged(&self, bucket: Bucket, marks: &[Mark]) -> bool {
        marks.iter().all(|(id, epoch, count)| {
            let said = self.all.get(id).and_then(|known| known.inventory.as_ref());
            said.is_some_and(|said| (said.epoch, count_of(said, bucket)) == (*epoch, *count))
        })
    }

    /// Nodes that do not answer and may come back with all they hold.
    pub(super) fn in_grace(&self, now: Mono) -> usize {
        self.all
            .values()
            .filter(|known| known.is_in_grace(now, self.grace))
            .count()
    }

    /// When the next of them counts for nothing.
    pub(super) fn next_grace_end(&self, now: Mono) -> Option<Mono> {
        let away = self.all.values().filter_map(|known| known.away_since);
        away.map(|since| since + self.grace)
            .filter(|end| *end > now)
            .min()
    }

    /// Whether this node keeps the bucket.
    pub(super) fn keeps(&self, bucket: Bucket) -> bool {
        let own = rank(bucket, &self.own);
        // Of most buckets one of the first few that are looked at says no.
        if self.present().any(|member| rank(bucket, &member.id) < own) {
            return false;
        }
        let answers = |known: &Known| known.inventory.is_some();
        self.all.get(&self.own).is_some_and(answers) || self.present().next().is_none()
    }

    /// Whether there is nothing to do for the bucket and that is so still: all nodes that were asked then answer and say that
    /// nothing has changed, but for some that may come back, so few that no file gets into danger; nobody came who may
    /// hold more; and those whose shares were presumed to be there may still come back.
    pub(super) fn standing(&self, bucket: Bucket, now: Mono) -> Standing {
        let Some(settled) = self.settled.get(&bucket) else {
            return Standing::Unknown;
        };
        if self.draining() != settled.draining {
            return Standing::Unknown;
        }
        let known = |id: &NodeId| settled.marks.iter().any(|(marked, ..)| marked == id);
        if !self.present().all(|member| known(&member.id)) {
            return Standing::Unknown;
        }
        let (mut away, mut changes) = (0, Vec::new());
        for &(node, epoch, after) in &settled.marks {
            let Some(known) = self.all.get(&node) else {
                return Standing::Unknown;
            };
            match &known.inventory {
                Some(said) if said.epoch == epoch => {
                    let until = count_of(said, bucket);
                    let span = Span { bucket, after, until };
                    changes.extend((until != after).then_some(Change { node, epoch, span }));
                }
                None if known.is_in_grace(now, self.grace) => away += 1,
                _ => return Standing::Unknown,
            }
        }
        if away > settled.spare_nodes || self.in_grace(now) < away + settled.presumed_nodes {
            Standing::Unknown
        } else if changes.is_empty() {
            Standing::Settled
        } else if now >= settled.listed_at + LISTED_AGAIN_AFTER {
            Standing::Unknown
        } else {
            Standing::Changed(changes)
        }
    }

    /// What came is whole too: as of these counts there is nothing to do for the bucket.
    pub(super) fn settle_anew(&mut self, bucket: Bucket, changes: &[Change], spare_nodes: usize) {
        let Some(settled) = self.settled.get_mut(&bucket) else {
            return;
        };
        settled.spare_nodes = settled.spare_nodes.min(spare_nodes);
        for (node, _, count) in &mut settled.marks {
            if let Some(change) = changes.iter().find(|change| change.node == *node) {
                *count = change.span.until;
            }
        }
    }

    /// There is nothing to do for the bucket.
    pub(super) fn settle(&mut self, bucket: Bucket, settled: Settled) {
        self.settled.insert(bucket, settled);
    }

    /// Nothing is known of the bucket any more.
    pub(super) fn forget(&mut self, bucket: Bucket) {
        self.settled.remove(&bucket);
    }
}

fn takes_shares(said: &Inventory) -> bool {
    said.accepts_shares && !said.draining
}

fn count_of(inventory: &Inventory, bucket: Bucket) -> u32 {
    inventory.changes.get(bucket.index()).copied().unwrap_or(0)
}

impl Known {
    /// A node that was never heard may hold something too. One that was emptied went to stay away, and what it held counted for
    /// nothing before.
    fn is_in_grace(&self, now: Mono, grace: Duration) -> bool {
        self.inventory.is_none()
            && !self.was_draining
            && self.away_since.is_none_or(|since| now < since + grace)
    }

    fn away(&mut self, now: Mono) {
        self.inventory = None;
        self.away_since.get_or_insert(now);
    }
}

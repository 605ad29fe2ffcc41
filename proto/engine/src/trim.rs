//! Copies of shares that are too many, and when a node may part with one, as a machine without I/O: one on each storage node.
//!
//! A node that was away comes back with shares that were made again meanwhile, one that was to be taken away stays after all:
//! then a share is there twice. A node parts only with copies of its own, and only into the trash of its store.
//!
//! States of a copy: *waiting* for its turn, *surveyed* (all storage nodes are asked what they hold of the file), *proving*
//! (another node's copy is read whole and hashed), *in grace* (once proven, waiting), surveyed and proving again, *dropping*.
//! One copy is looked at after the other.
//!
//! The rules, each with its test:
//! - All n shares must be on n different nodes that answer and stay, this copy not counted ([`placement::happiness`]).
//! - A *witness* must hold the same share and no other one of the file, and come before this node in the order of [`rank`],
//!   which nothing ever changes. So of all who hold a share, the first never parts with it, however many decide at the same
//!   moment and whatever they know of each other; and as no witness is counted for another share, those who part with different
//!   shares at the same moment leave n different nodes behind.
//! - What the witness holds is proved by reading all of it, not believed. It is proved twice, a grace time apart: a node that
//!   has just come back may go again. The copy goes at once after the second proof.
//! - A node that is being emptied parts with nothing and is nobody's witness.
//! - What fails is forgotten, and found again by a later look if it is still too many.
//!
//! Bounded: copies known ([`COPIES_MAX`]), one survey or proof at a time, bytes read for proofs by a rate.
//! Not promised: that the witness keeps what it has shown: the healers make up for a share of a file that is whole, but not for all
//! shares of it, so nodes of one hand, more of them than shares may be lost, could be believed and then go;
//! that every copy that is too many goes: one whose only other holder has two shares of the file stays with the first of both.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_grid::placement;

use crate::heal::Pace;
use crate::store::ShareId;
use crate::time::Mono;

#[cfg(test)]
mod tests;

/// Copies known at once, about 100 bytes each; further ones are found again later.
pub const COPIES_MAX: usize = 65_536;

/// Where a node stands among those who hold shares of a file: the greatest keeps its copy. The other way round than in the
/// ring, whose first nodes are given second shares when there are too few nodes, and are those to part with them.
#[must_use]
pub fn rank(si: &StorageIndex, id: &NodeId) -> ([u8; 32], NodeId) {
    (placement::ring_position(si, id), *id)
}

/// How patient to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub own: NodeId,
    /// Between the two proofs.
    pub grace: Duration,
    /// Bytes per second that proofs read, on average.
    pub bytes_per_second: NonZeroU64,
}

/// What the storage nodes that answered hold of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// k of n.
    pub coding: Coding,
    /// Who holds which share, this node included.
    pub held: Vec<(NodeId, ShareNumber)>,
    /// Those of them that are being emptied.
    pub draining: BTreeSet<NodeId>,
}

/// Why a copy stays for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stays {
    /// It is not there any more, or not of the file that the others hold.
    Gone,
    /// This node is being emptied.
    Draining,
    /// Without it not all shares are on different nodes that answer and stay.
    Needed,
    /// Nobody holds the same share who may be a witness.
    NoWitness,
    /// What the witness gave is not the share, or it gave nothing.
    Unproven,
    /// The nodes could not be asked, or the copy not moved.
    Failed,
}

impl Stays {
    /// All of them.
    pub const ALL: [Stays; 6] = [
        Stays::Gone,
        Stays::Draining,
        Stays::Needed,
        Stays::NoWitness,
        Stays::Unproven,
        Stays::Failed,
    ];

    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Stays::Gone => "gone",
            Stays::Draining => "draining",
            Stays::Needed => "needed",
            Stays::NoWitness => "no_witness",
            Stays::Unproven => "unproven",
            Stays::Failed => "failed",
        }
    }
}

/// Who can stand in for this node's copy of a share; who it names has still to prove it.
///
/// # Errors
/// [`Stays`] says why nobody can.
pub fn witness(own: &NodeId, share: ShareId, holdings: &Holdings) -> Result<NodeId, Stays> {
    if holdings.draining.contains(own) {
        return Err(Stays::Draining);
    }
    let copy = (*own, share.share);
    if !holdings.held.contains(&copy) || !holdings.coding.has(share.share) {
        return Err(Stays::Gone);
    }
    let stays = |held: &&(NodeId, ShareNumber)| **held != copy && !holdings.draining.contains(&held.0);
    let others: BTreeSet<(NodeId, ShareNumber)> = holdings.held.iter().filter(stays).copied().collect();
    let others: Vec<(NodeId, ShareNumber)> = others.into_iter().collect();
    if placement::happiness(&others) < holdings.coding.n() {
        return Err(Stays::Needed);
    }
    let holds_nothing_else = |id: &NodeId| others.iter().filter(|(other, _)| other == id).count() == 1;
    others
        .iter()
        .filter(|(id, held)| *held == share.share && id != own && holds_nothing_else(id))
        .map(|(id, _)| *id)
        .filter(|id| rank(&share.si, id) > rank(&share.si, own))
        .max_by_key(|id| rank(&share.si, id))
        .ok_or(Stays::NoWitness)
}

/// What the shell has to do, in this order. Each is answered exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask all storage nodes what they hold of the file, and report by [`Trimmer::handle_holdings`].
    Survey(ShareId),
    /// Read the whole share at the witness, hash it, and report by [`Trimmer::handle_proof`].
    Prove {
        /// Which share.
        share: ShareId,
        /// Where.
        witness: NodeId,
    },
    /// Move this node's copy into the trash, and report by [`Trimmer::handle_dropped`].
    Drop(ShareId),
}

/// What it has come to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TrimReport {
    /// Copies that wait for their turn.
    pub waiting: u64,
    /// Copies that were proven once and are in their grace.
    pub in_grace: u64,
    /// Copies moved into the trash since the start.
    pub dropped: u64,
    /// Copies that stay, by why, since the start.
    pub stays: BTreeMap<Stays, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copy {
    due: Mono,
    proven_once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Surveying,
    Proving,
    Dropping,
}

/// The machine. Inputs are the `handle_*` methods; after each, take effects by [`Trimmer::poll_effect`] until there are
/// none, and call [`Trimmer::handle_timeout`] when [`Trimmer::next_deadline`] has come.
#[derive(Debug)]
pub struct Trimmer {
    config: Config,
    copies: BTreeMap<ShareId, Copy>,
    /// The same by when their turn is, without the one that has it.
    queue: BTreeSet<(Mono, ShareId)>,
    now_at: Option<(ShareId, Step)>,
    pace: Pace,
    /// Not before this is the next one looked at.
    rests_until: Mono,
    effects: VecDeque<Effect>,
    report: TrimReport,
    stopping: bool,
}

impl Trimmer {
    /// Knows of nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            copies: BTreeMap::new(),
            queue: BTreeSet::new(),
            now_at: None,
            pace: Pace::new(config.bytes_per_second),
            rests_until: Mono::ZERO,
            effects: VecDeque::new(),
            report: TrimReport::default(),
            stopping: false,
            config,
        }
    }

    /// A look at what all nodes hold has found a copy on this node that may be too many.
    pub fn handle_surplus(&mut self, now: Mono, share: ShareId) {
        if self.copies.contains_key(&share) || self.copies.len() >= COPIES_MAX {
            return;
        }
        let copy = Copy {
            due: now,
            proven_once: false,
        };
        self.copies.insert(share, copy);
        self.queue.insert((now, share));
        self.go_on(now);
    }

    /// What all nodes hold of the file of a copy; `None`: that could not be found out.
    pub fn handle_holdings(&mut self, now: Mono, share: ShareId, holdings: Option<&Holdings>) {
        if !self.is_at(share, Step::Surveying) {
            return;
        }
        let found = holdings.ok_or(Stays::Failed);
        match found.and_then(|holdings| witness(&self.config.own, share, holdings)) {
            Ok(witness) => {
                self.now_at = Some((share, Step::Proving));
                self.effects.push_back(Effect::Prove { share, witness });
            }
            Err(why) => self.stays(share, why),
        }
        self.go_on(now);
    }

    /// Whether the witness has the whole share, and how many bytes were read to find out.
    pub fn handle_proof(&mut self, now: Mono, share: ShareId, proven: bool, read_bytes: u64) {
        if !self.is_at(share, Step::Proving) {
            return;
        }
        // The first bytes of a rest are granted at once: what was read now is paid for before the next proof.
        self.pace.grant(now, read_bytes);
        self.rests_until = self.pace.grant(now, 0);
        let once = self.copies.get(&share).is_some_and(|copy| copy.proven_once);
        match (proven, once) {
            (false, _) => self.stays(share, Stays::Unproven),
            (true, false) => {
                let due = now + self.config.grace;
                let proven_once = true;
                self.copies.insert(share, Copy { due, proven_once });
                self.queue.insert((due, share));
                self.now_at = None;
            }
            (true, true) => {
                self.now_at = Some((share, Step::Dropping));
                self.effects.push_back(Effect::Drop(share));
            }
        }
        self.go_on(now);
    }

    /// The copy is in the trash, or could not be moved there.
    pub fn handle_dropped(&mut self, now: Mono, share: ShareId, done: bool) {
        if !self.is_at(share, Step::Dropping) {
            return;
        }
        if done {
            self.report.dropped += 1;
            self.forget(share);
        } else {
            self.stays(share, Stays::Failed);
        }
        self.go_on(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) {
        self.go_on(now);
    }

    /// From now on nothing is begun, and nothing dropped that was not ordered yet.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.effects.clear();
        self.now_at = None;
    }

    /// When [`Trimmer::handle_timeout`] is to be called; `None`: not before another input.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.stopping || self.now_at.is_some() {
            return None;
        }
        self.queue.first().map(|(due, _)| (*due).max(self.rests_until))
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What it has come to.
    #[must_use]
    pub fn report(&self) -> TrimReport {
        let in_grace = self.copies.values().filter(|copy| copy.proven_once).count() as u64;
        TrimReport {
            waiting: self.copies.len() as u64 - in_grace,
            in_grace,
            ..self.report.clone()
        }
    }

    fn is_at(&self, share: ShareId, step: Step) -> bool {
        self.now_at == Some((share, step))
    }

    fn go_on(&mut self, now: Mono) {
        if self.stopping || self.now_at.is_some() || now < self.rests_until {
            return;
        }
        if let Some((due, share)) = self.queue.first().copied().filter(|(due, _)| *due <= now) {
            self.queue.remove(&(due, share));
            self.now_at = Some((share, Step::Surveying));
            self.effects.push_back(Effect::Survey(share));
        }
    }

    fn stays(&mut self, share: ShareId, why: Stays) {
        *self.report.stays.entry(why).or_default() += 1;
        self.forget(share);
    }

    fn forget(&mut self, share: ShareId) {
        if let Some(copy) = self.copies.remove(&share) {
            self.queue.remove(&(copy.due, share));
        }
        self.now_at = None;
    }
}

//! Copies of shares that a node may part with, and when, as a machine without I/O: one on each storage node.
//!
//! Two reasons: a share is there twice, because a node that was away came back after it was made again, or one that was to be
//! taken away stays after all; or it would be better placed on another node, since nodes came. A node parts only with copies
//! of its own, and only into the trash of its store.
//!
//! States of a copy: *waiting* for its turn, *surveyed* (all storage nodes are asked what they hold of the file), *moving* (it is
//! copied to where it is to go, then surveyed again), *asking* (the witness is asked whether it keeps its copy), *proving* (that
//! copy is read whole and hashed), *in grace* (once proven, waiting), *dropping*. One copy is looked at after the other.
//!
//! The rules, each with its test:
//! - All n shares must be on n different nodes that answer and stay, this copy not counted ([`placement::happiness`]).
//! - A *witness* must hold the same share and no other one of the file. So, as no witness is counted for another share, those
//!   who part with different shares at the same moment leave n different nodes behind.
//! - A node is *parting* from the moment it asks the witness until the copy is gone or stays, and asks before the proof. While it
//!   is parting it tells nobody that it keeps the share. So nodes that hold a share cannot all part with it, each counting on
//!   another: the first of them to ask refuses all who ask it, and once it has none left, it can prove none. A machine that
//!   follows another one in the same process may have left a disk at work, and says no for a while ([`QUIET`]).
//! - What the witness holds is proved by reading all of it, not believed.
//! - Of a share that is there twice the witness comes before this node in the order of [`rank`], so that not all try. What it
//!   holds is proved twice, a grace time apart: a node that has just come back may go again.
//! - A copy that is to go elsewhere goes when it was copied there and is proved to be there.
//! - A node that is being emptied parts with nothing and is nobody's witness.
//! - What fails is forgotten, and found again by a later look if it is still so.
//!
//! Bounded: copies known ([`COPIES_MAX`]), one survey, move or proof at a time, bytes read for proofs by a rate.
//! Not promised: that the witness keeps what it has shown: the healers make up for a share of a file that is whole, but not for all
//! shares of it, so nodes of one hand, more of them than shares may be lost, could be believed and then go;
//! that every copy that is too many goes: one whose only other holder has two shares of the file stays.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use truckee_grid::ids::NodeId;

use crate::heal::Pace;
use crate::store::ShareId;
use crate::time::Mono;

mod rules;
#[cfg(test)]
mod tests;

pub use self::rules::{Holdings, Landing, Stays, landing, rank, witness};

#[cfg(doc)]
use truckee_grid::placement;

/// Copies known at once, about 130 bytes each; further ones are found again later.
pub const COPIES_MAX: usize = 65_536;

/// So long a machine that follows another one tells nobody that a copy is kept: the disk may have been ordered to part with it.
/// Longer than a disk works on what was asked of it by a process that goes on.
pub const QUIET: Duration = Duration::from_secs(60);

/// How patient to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub own: NodeId,
    /// Between the two proofs of a share that is there twice.
    pub grace: Duration,
    /// Bytes per second that proofs read, on average.
    pub bytes_per_second: NonZeroU64,
}

/// Why a copy may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Another node holds the same share.
    Surplus,
    /// It would be better placed on this node.
    Elsewhere(NodeId),
}

/// What the shell has to do, in this order. Each is answered exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask all storage nodes what they hold of the file, and report by [`Trimmer::handle_holdings`].
    Survey(ShareId),
    /// Copy the share to a node that has none of the file, and report by [`Trimmer::handle_copied`].
    Copy {
        /// Which share.
        share: ShareId,
        /// Where.
        to: NodeId,
    },
    /// Ask the witness whether it keeps its copy, and report by [`Trimmer::handle_kept`].
    Ask {
        /// Which share.
        share: ShareId,
        /// Who.
        witness: NodeId,
    },
    /// Read the whole share at the witness, hash it, and report by [`Trimmer::handle_proof`].
    Prove {
        /// Which share.
        share: ShareId,
        /// Where.
        witness: NodeId,
    },
    /// Move this node's copy into the trash, and report by [`Trimmer::handle_dropped`].
    Drop(ShareId, Reason),
}

/// What it has come to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TrimReport {
    /// Copies that are too many and wait for their turn.
    pub waiting: u64,
    /// Copies that were proven once and are in their grace.
    pub in_grace: u64,
    /// Copies that are to go elsewhere.
    pub leaving: u64,
    /// Copies that were too many and were moved into the trash since the start.
    pub dropped: u64,
    /// Copies that are elsewhere now, and here in the trash, since the start.
    pub moved: u64,
    /// Copies that stay, by why, since the start.
    pub stays: BTreeMap<Stays, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copy {
    due: Mono,
    reason: Reason,
    proven_once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Surveying { copied: bool },
    Copying,
    Asking { witness: NodeId },
    Proving { last: bool },
    Dropping,
}

impl Step {
    /// Whether the copy is about to go: nobody may count on it.
    fn is_parting(self) -> bool {
        matches!(
            self,
            Step::Asking { .. } | Step::Proving { last: true } | Step::Dropping
        )
    }
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
    keeps_from: Mono,
    effects: VecDeque<Effect>,
    report: TrimReport,
    stopping: bool,
}

impl Trimmer {
    /// Knows of nothing yet. From `keeps_from` on others may count on copies here: at once in a new process, [`QUIET`] after the
    /// start of a machine that follows another one.
    #[must_use]
    pub fn new(config: Config, keeps_from: Mono) -> Self {
        Self {
            copies: BTreeMap::new(),
            queue: BTreeSet::new(),
            now_at: None,
            pace: Pace::new(config.bytes_per_second),
            rests_until: Mono::ZERO,
            keeps_from,
            effects: VecDeque::new(),
            report: TrimReport::default(),
            stopping: false,
            config,
        }
    }

    /// A look at what all nodes hold has found a copy on this node that may go.
    pub fn handle_found(&mut self, now: Mono, share: ShareId, reason: Reason) {
        if self.copies.contains_key(&share) || self.copies.len() >= COPIES_MAX {
            return;
        }
        let copy = Copy {
            due: now,
            reason,
            proven_once: false,
        };
        self.copies.insert(share, copy);
        self.queue.insert((now, share));
        self.go_on(now);
    }

    /// What all nodes hold of the file of a copy; `None`: that could not be found out.
    pub fn handle_holdings(&mut self, now: Mono, share: ShareId, holdings: Option<&Holdings>) {
        if let Some((at, Step::Surveying { copied })) = self.now_at
            && at == share
            && let Some(copy) = self.copies.get(&share).copied()
        {
            match holdings
                .ok_or(Stays::Failed)
                .and_then(|holdings| self.next(share, copy, copied, holdings))
            {
                Ok((step, effect)) => self.step(share, step, effect),
                Err(why) => self.stays(share, why),
            }
            self.go_on(now);
        }
    }

    /// Whether the share was copied to where it is to go.
    pub fn handle_copied(&mut self, now: Mono, share: ShareId, done: bool) {
        if self.now_at == Some((share, Step::Copying)) {
            if done {
                self.step(share, Step::Surveying { copied: true }, Effect::Survey(share));
            } else {
                self.stays(share, Stays::NotCopied);
            }
            self.go_on(now);
        }
    }

    /// Whether the witness says that it keeps its copy.
    pub fn handle_kept(&mut self, now: Mono, share: ShareId, kept: bool) {
        if let Some((at, Step::Asking { witness })) = self.now_at
            && at == share
        {
            if kept {
                let effect = Effect::Prove { share, witness };
                self.step(share, Step::Proving { last: true }, effect);
            } else {
                self.stays(share, Stays::NotKept);
            }
            self.go_on(now);
        }
    }

    /// Whether the witness has the whole share, and how many bytes were read to find out.
    pub fn handle_proof(&mut self, now: Mono, share: ShareId, proven: bool, read_bytes: u64) {
        let Some((at, Step::Proving { last })) = self.now_at else {
            return;
        };
        let Some(copy) = self.copies.get(&share).copied().filter(|_| at == share) else {
            return;
        };
        // The first bytes of a rest are granted at once: what was read now is paid for before the next proof.
        self.pace.grant(now, read_bytes);
        self.rests_until = self.pace.grant(now, 0);
        match (proven, last) {
            (false, _) => self.stays(share, Stays::Unproven),
            (true, true) => self.step(share, Step::Dropping, Effect::Drop(share, copy.reason)),
            (true, false) => {
                let due = now + self.config.grace;
                let proven_once = true;
                self.copies.insert(
                    share,
                    Copy {
                        due,
                        proven_once,
                        ..copy
                    },
                );
                self.queue.insert((due, share));
                self.now_at = None;
            }
        }
        self.go_on(now);
    }

    /// The copy is in the trash, or could not be moved there.
    pub fn handle_dropped(&mut self, now: Mono, share: ShareId, done: bool) {
        if self.now_at != Some((share, Step::Dropping)) {
            return;
        }
        if done {
            match self.copies.get(&share).map(|copy| copy.reason) {
                Some(Reason::Elsewhere(_)) => self.report.moved += 1,
                _ => self.report.dropped += 1,
            }
            self.forget(share);
        } else {
            self.stays(share, Stays::Failed);
        }
        self.go_on(now);
    }

    /// Another node is about to part with its copy: whether it may count on this node's, if there is one.
    #[must_use]
    pub fn keeps(&self, now: Mono, share: ShareId) -> bool {
        let parting = self
            .now_at
            .is_some_and(|(at, step)| at == share && step.is_parting());
        now >= self.keeps_from && !parting && !self.stopping
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
        let mut report = self.report.clone();
        for copy in self.copies.values() {
            match copy {
                Copy {
                    reason: Reason::Elsewhere(_),
                    ..
                } => report.leaving += 1,
                Copy {
                    proven_once: true, ..
                } => report.in_grace += 1,
                Copy { .. } => report.waiting += 1,
            }
        }
        report
    }

    /// What follows from what all nodes hold.
    fn next(
        &self,
        share: ShareId,
        copy: Copy,
        copied: bool,
        holdings: &Holdings,
    ) -> Result<(Step, Effect), Stays> {
        let own = &self.config.own;
        let ask = |witness| (Step::Asking { witness }, Effect::Ask { share, witness });
        match copy.reason {
            Reason::Surplus => {
                let witness = witness(own, share, holdings)?;
                Ok(if copy.proven_once {
                    ask(witness)
                } else {
                    (Step::Proving { last: false }, Effect::Prove { share, witness })
                })
            }
            Reason::Elsewhere(to) => match landing(own, share, to, holdings)? {
                Landing::Landed => Ok(ask(to)),
                Landing::Open if copied => Err(Stays::NotCopied),
                Landing::Open => Ok((Step::Copying, Effect::Copy { share, to })),
            },
        }
    }

    fn step(&mut self, share: ShareId, step: Step, effect: Effect) {
        self.now_at = Some((share, step));
        self.effects.push_back(effect);
    }

    fn go_on(&mut self, now: Mono) {
        if self.stopping || self.now_at.is_some() || now < self.rests_until {
            return;
        }
        if let Some((due, share)) = self.queue.first().copied().filter(|(due, _)| *due <= now) {
            self.queue.remove(&(due, share));
            self.step(share, Step::Surveying { copied: false }, Effect::Survey(share));
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

//! The shares that are to be written, where each is, and which peer comes next when one has failed.

use std::collections::{BTreeMap, BTreeSet};

use truckee_grid::ids::{NodeId, ShareNumber};
use truckee_grid::placement;

use super::window::Window;
use super::{Effect, Known, Phase, Repair, TARGETS_MAX, UnplacedWhy, WINDOW_SEGMENTS_MAX};
use crate::time::Mono;
use crate::transfer::supply::{OPEN_BUDGET, ShareName};
use crate::transfer::writer::{Stage, Writer};
use crate::transfer::{PeerReport, PeerWhy};

/// See the module.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) number: ShareNumber,
    /// The share exists and gets a second copy, because its holder has others too.
    pub(super) copy: bool,
    pub(super) place: Place,
    /// Peers that were given it; it goes to none of them again.
    tried: BTreeSet<usize>,
}

/// Where a share is. Peers are indexes into the candidates.
#[derive(Debug)]
pub(super) enum Place {
    /// It goes to this peer in the reading that begins.
    Next { peer: usize },
    /// Its peer has failed, and it goes to another one in the next reading.
    Again { failed: PeerReport },
    /// On its way.
    Writing(Writer),
    /// The peer said that it is durable.
    Durable { peer: usize, existed: bool },
    /// Given up.
    Lost(UnplacedWhy),
}

/// Why a share leaves its peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) why: PeerWhy,
    /// Whether the peer can still be told to forget the share.
    pub(super) peer_listens: bool,
}

impl Goal {
    pub(super) fn new(number: ShareNumber, copy: bool, peer: Option<usize>) -> Self {
        Self {
            number,
            copy,
            place: peer.map_or(Place::Lost(UnplacedWhy::NoTaker), |peer| Place::Next { peer }),
            tried: BTreeSet::new(),
        }
    }

    pub(super) fn writing(&self) -> Option<&Writer> {
        match &self.place {
            Place::Writing(writer) => Some(writer),
            _ => None,
        }
    }

    pub(super) fn writer(&mut self) -> Option<&mut Writer> {
        match &mut self.place {
            Place::Writing(writer) => Some(writer),
            _ => None,
        }
    }

    /// The peer that has it or is going to have it.
    fn live_peer(&self) -> Option<usize> {
        match &self.place {
            Place::Next { peer } | Place::Durable { peer, .. } => Some(*peer),
            Place::Writing(writer) => Some(writer.peer),
            Place::Again { .. } | Place::Lost(_) => None,
        }
    }

    /// Whether nothing more becomes of it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.place, Place::Durable { .. } | Place::Lost(_))
    }

    fn write_to(&mut self, now: Mono, peer: usize, stage: Stage) {
        self.tried.insert(peer);
        self.place = Place::Writing(Writer::new(now, peer, stage));
    }
}

impl Repair {
    /// Begins a reading: shares that wait for it go to their peers, those whose peer failed to another one.
    pub(super) fn start_goals(&mut self, now: Mono) {
        let Some(known) = &self.known else { return };
        let (stage, segments) = (first_stage(known), known.geometry.segments());
        let block_bytes = known.geometry.full_block_bytes();
        let k = known.shape.coding.k();
        for goal in 0..self.goals.len() {
            match self.goals[goal].place {
                Place::Next { peer } => self.goals[goal].write_to(now, peer, stage),
                Place::Again { failed } => match self.next_taker(goal) {
                    Some(peer) => self.goals[goal].write_to(now, peer, stage),
                    None => self.goals[goal].place = Place::Lost(UnplacedWhy::Failed(failed)),
                },
                _ => {}
            }
        }
        let writing = self.goals.iter().filter(|goal| goal.writing().is_some());
        let cost = block_bytes.saturating_mul(k + writing.count());
        let capacity = (self.config.window_bytes / cost.max(1)).clamp(1, WINDOW_SEGMENTS_MAX);
        self.window = Window::new(capacity, segments);
        self.marks.reading_since = Some(now);
        self.advance_all(now);
    }

    /// All shares of this reading are placed or given up: there is another one if some wait for it.
    pub(super) fn end_reading(&mut self, now: Mono) {
        self.drop_reads(|_| true);
        if self.goals.iter().all(Goal::is_over) {
            if let Some(known) = self.known.clone() {
                self.complete(now, &known);
            }
            return;
        }
        self.phase = Phase::Opening;
        self.start_goals(now);
    }

    /// Whether some share waits for its peer to take it.
    pub(super) fn is_opening(&self) -> bool {
        let writers = self.goals.iter().filter_map(Goal::writing);
        let mut stages = writers.map(|writer| writer.stage);
        stages.any(|stage| matches!(stage, Stage::Opening | Stage::Checking))
    }

    /// The next peer for a share whose peer has failed.
    fn next_taker(&self, goal: usize) -> Option<usize> {
        let mut load: BTreeMap<NodeId, usize> = BTreeMap::new();
        let live = self.goals.iter().filter_map(Goal::live_peer);
        let held = self.before.iter().map(|(id, _)| *id);
        for id in held.chain(live.map(|peer| self.survey.peers()[peer].id)) {
            *load.entry(id).or_default() += 1;
        }
        let goal = &self.goals[goal];
        let failed = self.troubles.keys().chain(&goal.tried);
        let mut excluded: BTreeSet<NodeId> = failed.map(|peer| self.survey.peers()[*peer].id).collect();
        if goal.copy {
            // A second copy is only good where there is none of the file's shares.
            excluded.extend(load.keys());
        }
        let next = placement::replacement(&self.ring, &load, &excluded)?;
        self.peer_of(&next)
    }

    /// Takes a share from its peer, and moves it to another: now if all its blocks are still here, else at the next
    /// reading.
    pub(super) fn lose(&mut self, now: Mono, goal: usize, loss: Loss) {
        let Some(peer) = self.goals[goal].writing().map(|writer| writer.peer) else {
            return;
        };
        self.troubles.entry(peer).or_insert(loss.why);
        self.drop_writer(goal, loss.peer_listens);
        let failed = PeerReport {
            peer: self.survey.peers()[peer].id,
            why: loss.why,
        };
        let stage = self.known.as_ref().map_or(Stage::Opening, first_stage);
        let tried = self.goals[goal].tried.len();
        self.goals[goal].place = Place::Lost(UnplacedWhy::Failed(failed));
        if tried >= TARGETS_MAX {
            return;
        }
        if !self.window.holds_first() {
            self.goals[goal].place = Place::Again { failed };
        } else if let Some(peer) = self.next_taker(goal) {
            self.goals[goal].write_to(now, peer, stage);
            self.advance(now, goal);
        }
    }

    /// Takes all unfinished shares from a peer that is out of reach.
    pub(super) fn lose_target(&mut self, now: Mono, peer: usize, why: PeerWhy) {
        for goal in 0..self.goals.len() {
            if self.goals[goal]
                .writing()
                .is_some_and(|writer| writer.peer == peer)
            {
                let peer_listens = false;
                self.lose(now, goal, Loss { why, peer_listens });
            }
        }
    }

    /// Ends what a share has out. Tells its peer to forget what it has of it, unless that is about to be durable.
    pub(super) fn drop_writer(&mut self, goal: usize, peer_listens: bool) {
        let Some(writer) = self.goals[goal].writing() else {
            return;
        };
        let (tokens, peer) = (writer.tokens(), writer.peer);
        let unfinished = writer.opened && writer.stage != Stage::Closing;
        for token in tokens {
            self.cancel(token);
        }
        if unfinished && peer_listens {
            self.effects.push_back(Effect::Notify {
                peer: self.survey.peers()[peer].id,
                request: self.name_of(goal).abort(),
                budget: OPEN_BUDGET,
            });
        }
    }

    pub(super) fn name_of(&self, goal: usize) -> ShareName {
        ShareName {
            si: self.config.si,
            share: self.goals[goal].number,
            upload: self.config.upload,
        }
    }
}

/// A file of one segment takes one message for each share.
fn first_stage(known: &Known) -> Stage {
    if known.geometry.segments() == 1 {
        Stage::Putting
    } else {
        Stage::Opening
    }
}

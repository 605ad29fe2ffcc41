//! Finds files with missing shares and says which to repair, as a machine without I/O: one on each storage node.
//!
//! Every bucket of storage indexes has one *keeper* at a time: of the storage nodes that answer, the one that [`rank`] puts
//! first. In rounds each node asks all others how often each of their buckets changed ([`Inventory`], 4 KiB a node). Of the
//! buckets that it keeps, it lists those of which something changed since they were found whole, at all nodes at once,
//! and merges the pages; so every file with a missing share meets exactly one node that sees all that is left of it. Where
//! nothing but new shares came, it asks for these first ([`additions`]).
//!
//! States of the machine: *resting* (until the next round), *surveying* (inventories are asked for), *adding* (what came is
//! asked for), *listing* (one bucket after the other). Beside that, repairs that were begun.
//!
//! The rules, each with its test:
//! - Cost: a round in which nothing changed is one request to each node. A new file that is whole costs one request more to each
//!   of its holders, or a part of one. A bucket that changed in any other way costs 19 bytes for each share in it, and so does,
//!   once an hour, one into which files came. No request is ever made for a single file but its repair. Lists are asked for at a
//!   bounded rate.
//! - What a node holds that does not answer is not known. Within the grace time after its last answer each such node is
//!   presumed to hold one of the missing shares of each file, unless so few are left that waiting is worse
//!   ([`verdict::is_urgent`]). After it, or once it is no member any more, it counts for nothing.
//! - A file is repaired when it has been short for the settle time: shares of an upload become visible one after the other.
//! - What a node holds that is being emptied (it *drains*) can be read, and is to be made again elsewhere. Files that lack
//!   nothing else are in no danger and go last. Such a node looks itself whether all of its files have moved
//!   ([`EvacuationReport`]). Nothing is removed anywhere.
//! - Copies of a share that this node holds as others do, and those that belong elsewhere since nodes came ([`misplaced`]), are
//!   told to whoever parts with them ([`crate::trim`]): in turn a few of its buckets are listed in each round. What they come
//!   to is not this machine's.
//! - Of all short files the one with the fewest shares beyond k goes first. Few repairs run at once. One that failed, or could
//!   not place all, rests before it is tried again, longer each time.
//! - Two nodes that see the mesh differently may both keep a bucket, or repair the same file; that costs work and does no
//!   harm. That none keeps it cannot be: a node that answers nobody's questions but asks is its own keeper.
//!
//! Bounded: one page of each node, or what came in a round, in memory; short files ([`FILES_MAX`]; more are found again by later rounds), requests out.
//! Not promised: that what nodes say they hold is there; the repair finds that out, and the scrubber of that node.

mod additions;
mod evacuation;
mod files;
mod listing;
mod members;
mod merge;
mod misplaced;
mod pace;
mod report;
mod surplus;
mod survey;
#[cfg(test)]
mod tests;
mod turns;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{NodeId, StorageIndex};
use truckee_grid::placement::Candidate;
use truckee_wire::message::{Lane, Request, Response};

use self::additions::Additions;
pub use self::evacuation::EvacuationReport;
use self::evacuation::{Evacuation, Look};
use self::files::ShortFiles;
use self::listing::Listing;
use self::members::Members;
pub use self::members::rank;
pub use self::pace::Pace;
pub use self::report::HealReport;
use self::report::Tally;
use self::turns::{PlacingTurns, Turns};
use crate::session::CallError;
use crate::store::ShareId;
use crate::time::Mono;
use crate::transfer::{self, Calls, Token, earlier};
use crate::trim::Reason;

#[cfg(doc)]
use truckee_wire::message::Inventory;

/// Before the first round of a process: links are made within a second or two of a start.
pub const START_REST: Duration = Duration::from_secs(5);
/// Time for an inventory or a page: the disk may have work that comes first.
pub const ASK_BUDGET: Duration = Duration::from_secs(20);
/// Shares listed per second on average, by one keeper: a million in a few minutes, and a disk that seeks for each still has
/// time for others.
pub const LISTED_PER_SECOND_MAX: u32 = 5_000;
/// Short files known at once, about 100 bytes each.
pub const FILES_MAX: usize = 65_536;
/// Rest after a repair that did not make its file whole; doubles with each in a row, up to [`RETRY_MAX`].
pub const RETRY_MIN: Duration = Duration::from_secs(30);
/// Longest rest before a file is tried again.
pub const RETRY_MAX: Duration = Duration::from_secs(3600);

/// How patient to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub own: NodeId,
    /// How long a node may be away before what it holds counts as lost.
    pub grace: Duration,
    /// From the beginning of a round to that of the next.
    pub round_every: Duration,
    /// How long a file must have been short.
    pub settle: Duration,
    /// Repairs at once.
    pub repairs_max: usize,
    /// Within this time all of its own shares are looked through for copies that are too many; `None`: never.
    pub surplus_every: Option<Duration>,
    /// After nodes came, within this time all of its own shares are looked through for those that belong elsewhere; `None`:
    /// never.
    pub placing_every: Option<Duration>,
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a request and report its end by [`Healer::handle_answer`].
    Send {
        /// Names the request.
        token: Token,
        /// To whom; also to this node itself.
        peer: NodeId,
        /// What.
        request: Request,
        /// How urgent.
        lane: Lane,
        /// Time for it.
        budget: Duration,
    },
    /// Nobody waits for this request any more.
    CancelSend {
        /// Names the request.
        token: Token,
    },
    /// Repair a file, and report its end by [`Healer::handle_repaired`], exactly once.
    Repair(RepairOrder),
    /// This node holds a copy that may go; whether it does is for [`crate::trim`].
    MayGo(ShareId, Reason),
}

/// A file to be repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairOrder {
    /// Which.
    pub si: StorageIndex,
    /// All storage nodes that answer.
    pub candidates: Vec<Candidate>,
    /// Those of them that take new shares.
    pub takers: BTreeSet<NodeId>,
    /// Those of them that are being emptied.
    pub draining: BTreeSet<NodeId>,
}

/// What came of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// All shares are there.
    Whole,
    /// Some could not be placed, or the repair failed.
    NotWhole,
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Inventory { node: NodeId },
    Additions { node: NodeId },
    Page { node: NodeId },
}

#[derive(Debug)]
enum Phase {
    Resting,
    Surveying { out: usize, since: Mono },
    Adding(Box<Additions>),
    Listing(Box<Listing>),
}

/// The machine. Inputs are the `handle_*` methods; after each, take effects by [`Healer::poll_effect`] until there are
/// none, and call [`Healer::handle_timeout`] when [`Healer::next_deadline`] has come.
#[derive(Debug)]
pub struct Healer {
    config: Config,
    members: Members,
    phase: Phase,
    round_at: Mono,
    /// Buckets of this round that are still to be listed, the next one last.
    to_list: Vec<(Bucket, Look)>,
    /// Not before this is the next page asked for.
    list_at: Mono,
    files: ShortFiles,
    /// What was found in the buckets that are not whole.
    tallies: BTreeMap<Bucket, Tally>,
    /// While this node is being emptied, and said so in the last round.
    evacuation: Option<Evacuation>,
    surplus: Turns,
    placing: PlacingTurns,
    calls: Calls<Purpose>,
    report: HealReport,
    effects: VecDeque<Effect>,
    stopping: bool,
}

impl Healer {
    /// Rests for [`START_REST`] first.
    #[must_use]
    pub fn new(config: Config, now: Mono) -> Self {
        Self {
            members: Members::new(config.own, config.grace),
            files: ShortFiles::new(config.settle),
            config,
            phase: Phase::Resting,
            round_at: now + START_REST,
            to_list: Vec::new(),
            list_at: now,
            tallies: BTreeMap::new(),
            evacuation: None,
            surplus: Turns::new(config.surplus_every, config.round_every),
            placing: PlacingTurns::new(config.placing_every, config.round_every),
            calls: Calls::new(),
            report: HealReport::default(),
            effects: VecDeque::new(),
            stopping: false,
        }
    }

    /// All storage nodes of the mesh, this one included, and whether each can be reached as far as the links tell.
    pub fn handle_members(&mut self, now: Mono, members: &[(Candidate, bool)]) {
        if self.members.update(now, members) {
            // Others see the same change at about the same time: let it come to rest.
            self.round_at = self.round_at.min(now + START_REST);
        }
        self.go_on(now);
    }

    /// A request has ended. An answer to a token that is unknown or cancelled is ignored.
    pub fn handle_answer(&mut self, now: Mono, token: Token, result: Result<Response, CallError>) {
        if let Some(call) = self.calls.close(token) {
            self.on_verdict(now, call.what, transfer::judge(result));
            self.go_on(now);
        }
    }

    /// A repair has ended.
    pub fn handle_repaired(&mut self, now: Mono, si: StorageIndex, result: Repaired) {
        self.files.repaired(now, &si, result);
        self.go_on(now);
    }

    /// Somebody waits for news: the next round begins now, or when the one under way has ended.
    pub fn handle_look(&mut self, now: Mono) {
        self.round_at = self.round_at.min(now);
        self.go_on(now);
    }

    /// From now on nothing new is begun. Repairs under way are the shell's to end.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.give_round_up();
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) {
        while let Some(token) = self.calls.take_overdue(now) {
            if let Some(call) = self.calls.close(token) {
                self.effects.push_back(Effect::CancelSend { token });
                let silent = transfer::Verdict::Failed(transfer::PeerWhy::TimedOut);
                self.on_verdict(now, call.what, silent);
            }
        }
        self.go_on(now);
    }

    /// When [`Healer::handle_timeout`] is to be called; `None`: not before another input.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.stopping {
            return None;
        }
        let phase = match &self.phase {
            Phase::Resting => Some(self.round_at),
            Phase::Surveying { .. } | Phase::Adding(_) => None,
            Phase::Listing(listing) => listing.wants_to_ask().then_some(self.list_at),
        };
        let repairs = self.may_begin().then(|| self.files.next_ready()).flatten();
        earlier(earlier(phase, repairs), self.calls.next_overdue())
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// How things stand.
    #[must_use]
    pub fn report(&self) -> HealReport {
        let mut report = HealReport {
            short_files: self.files.short_count() as u64,
            leaving_files: self.files.leaving_count() as u64,
            takers: self.members.takers().len() as u64,
            evacuation: self.evacuation.as_ref().map(Evacuation::report),
            repairing: self.files.under_way() as u64,
            buckets_to_list: self.to_list.len() as u64,
            margin_least: self.files.margin_least(),
            ..self.report
        };
        for tally in self.tallies.values() {
            report.add(tally);
        }
        report
    }

    fn on_verdict(&mut self, now: Mono, purpose: Purpose, verdict: transfer::Verdict) {
        match purpose {
            Purpose::Inventory { node } => self.on_inventory(now, node, verdict),
            Purpose::Additions { node } => self.on_additions(now, node, verdict),
            Purpose::Page { node } => self.on_page(now, node, verdict),
        }
    }

    fn go_on(&mut self, now: Mono) {
        if self.stopping {
            return;
        }
        if matches!(self.phase, Phase::Resting) && now >= self.round_at {
            self.begin_round(now);
        }
        self.list_on(now);
        self.begin_repairs(now);
    }

    fn may_begin(&self) -> bool {
        self.files.under_way() < self.config.repairs_max && self.members.has_takers()
    }

    fn begin_repairs(&mut self, now: Mono) {
        while self.may_begin()
            && let Some(si) = self.files.begin_next(now)
        {
            self.effects.push_back(Effect::Repair(RepairOrder {
                si,
                candidates: self.members.present().cloned().collect(),
                takers: self.members.takers(),
                draining: self.members.draining(),
            }));
        }
    }

    fn send(&mut self, now: Mono, purpose: Purpose, peer: NodeId, request: Request) {
        let token = self.calls.open(now, ASK_BUDGET, purpose);
        self.effects.push_back(Effect::Send {
            token,
            peer,
            request,
            lane: Lane::Bulk,
            budget: ASK_BUDGET,
        });
    }

    /// Forgets what was asked; what it would have found is found by the next round.
    fn give_round_up(&mut self) {
        for token in self.calls.take_all() {
            self.effects.push_back(Effect::CancelSend { token });
        }
        self.to_list.clear();
        self.phase = Phase::Resting;
    }
}

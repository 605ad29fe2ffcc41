//! One run: the healers, the events, and the repairs under way, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use truckee_engine::heal::{Config, Effect, Healer, Pace, RepairOrder, Repaired};
use truckee_engine::session::CallError;
use truckee_engine::time::Mono;
use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};
use truckee_grid::placement::{self, Candidate};
use truckee_wire::message::{Request, Response, SharePlace};

use super::events::{self, DAY, What};
use super::grid::{Grid, node_ids};
use super::{Outcome, Params};

/// As long as a node may be away by default.
const GRACE: Duration = Duration::from_secs(15 * 60);
/// As long as files settle by default.
const SETTLE: Duration = Duration::from_secs(30);
/// As many repairs as a node has under way by default.
const REPAIRS_MAX: usize = 2;
/// By default it is a minute. In between only repairs change anything, and every coming and going, which is here daily,
/// begins a round of its own: more rounds would find what the last one found. Fewer rounds see later what others did.
const ROUND_EVERY: Duration = DAY;
/// A repair that finds nothing to do, or too little to do it with, takes as long as asking does.
const ASKING: Duration = Duration::from_secs(1);
/// Effects of one healer at one moment: each of its questions is answered at once.
const EFFECTS_MAX: usize = 10_000_000;

/// A node that is up.
struct Peer {
    healer: Healer,
    pace: Pace,
    /// Repairs that it began in an earlier life do not end.
    life: u64,
}

/// A repair under way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Work {
    ends: Mono,
    keeper: usize,
    life: u64,
    si: StorageIndex,
    /// What goes where.
    goals: Vec<(ShareNumber, usize)>,
}

struct World<'a> {
    params: &'a Params,
    now: Mono,
    ids: Vec<NodeId>,
    numbers: BTreeMap<NodeId, usize>,
    grid: Grid,
    peers: Vec<Option<Peer>>,
    /// When each healer wants to be woken, as it said last.
    due: Vec<Option<Mono>>,
    work: BinaryHeap<Reverse<Work>>,
    lives: u64,
    /// Files that are not whole, and since when.
    short: BTreeMap<StorageIndex, Mono>,
    outcome: Outcome,
}

/// Runs it to its end.
///
/// # Panics
/// When a healer never comes to rest.
#[must_use]
pub fn run(params: &Params) -> Outcome {
    let mut world = World::new(params);
    for (at, node, what) in events::draw(params) {
        if at >= params.time {
            break;
        }
        let at = Mono::ZERO + at;
        if at > world.now {
            world.tell_members();
            world.pass(at);
        }
        world.happen(node, what);
    }
    world.tell_members();
    world.pass(Mono::ZERO + params.time);
    world.end()
}

impl World<'_> {
    fn new(params: &Params) -> World<'_> {
        let ids = node_ids(params.seed, params.nodes);
        let mut world = World {
            params,
            now: Mono::ZERO,
            numbers: ids.iter().enumerate().map(|(number, id)| (*id, number)).collect(),
            ids,
            grid: Grid::new(params.seed, params.nodes, params.files, params.coding),
            peers: Vec::new(),
            due: vec![None; params.nodes],
            work: BinaryHeap::new(),
            lives: 0,
            short: BTreeMap::new(),
            outcome: Outcome {
                least_shares: params.coding.n(),
                file_years: params.files as f64 * params.years(),
                ..Outcome::default()
            },
        };
        world.peers = (0..params.nodes).map(|node| Some(world.peer(node))).collect();
        world
    }

    /// A node that starts.
    fn peer(&mut self, node: usize) -> Peer {
        self.lives += 1;
        let config = Config {
            own: self.ids[node],
            grace: GRACE,
            round_every: ROUND_EVERY,
            settle: SETTLE,
            repairs_max: REPAIRS_MAX,
            // As usual: copies stay.
            surplus_every: None,
            placing_every: None,
        };
        Peer {
            healer: Healer::new(config, self.now),
            pace: Pace::new(self.params.bytes_per_second),
            life: self.lives,
        }
    }

    fn happen(&mut self, node: usize, what: What) {
        match what {
            What::Dies => {
                self.outcome.deaths += 1;
                self.peers[node] = None;
                for si in self.grid.wipe(node) {
                    self.count_loss(si);
                }
            }
            What::Leaves => {
                self.outcome.absences += 1;
                self.peers[node] = None;
            }
            What::IsReplaced | What::Returns => {
                self.grid.start(node);
                self.peers[node] = Some(self.peer(node));
            }
        }
    }

    /// A file has lost a copy.
    fn count_loss(&mut self, si: StorageIndex) {
        let left = self.grid.distinct(&si);
        self.outcome.least_shares = self.outcome.least_shares.min(left);
        if left < self.params.coding.k() {
            self.outcome.lost += 1;
            self.short.remove(&si);
            self.grid.forget(&si);
            let up: Vec<usize> = (0..self.peers.len()).filter(|node| self.is_up(*node)).collect();
            self.grid.upload(&up);
        } else if left < self.params.coding.n() {
            self.short.entry(si).or_insert(self.now);
        }
    }

    fn is_up(&self, node: usize) -> bool {
        self.peers[node].is_some()
    }

    /// As the mesh tells everybody who is up; those who are not want nothing.
    fn tell_members(&mut self) {
        let member = |node: usize| {
            let (id, zone) = (self.ids[node], String::new());
            (Candidate { id, zone }, self.is_up(node))
        };
        let all: Vec<(Candidate, bool)> = (0..self.peers.len()).map(member).collect();
        for node in 0..self.peers.len() {
            if let Some(peer) = &mut self.peers[node] {
                peer.healer.handle_members(self.now, &all);
            }
            self.settle(node);
        }
    }

    /// Lets time pass.
    fn pass(&mut self, end: Mono) {
        loop {
            let due = |(node, at): (usize, &Option<Mono>)| at.map(|at| (at.max(self.now), node));
            let healer = self.due.iter().enumerate().filter_map(due).min();
            let work = self.work.peek().map(|Reverse(work)| work.ends);
            match (healer, work) {
                (_, Some(at)) if at < end && healer.is_none_or(|(other, _)| at <= other) => {
                    self.now = self.now.max(at);
                    self.end_work();
                }
                (Some((at, node)), _) if at < end => {
                    self.now = at;
                    if let Some(peer) = &mut self.peers[node] {
                        peer.healer.handle_timeout(at);
                    }
                    self.settle(node);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Carries out what a healer wants at this moment.
    fn settle(&mut self, node: usize) {
        for _ in 0..EFFECTS_MAX {
            let Some(effect) = self.peers[node]
                .as_mut()
                .and_then(|peer| peer.healer.poll_effect())
            else {
                let peer = self.peers[node].as_ref();
                self.due[node] = peer.and_then(|peer| peer.healer.next_deadline());
                return;
            };
            match effect {
                Effect::Send {
                    token, peer, request, ..
                } => {
                    let answer = self.answer(peer, &request);
                    if let Some(peer) = &mut self.peers[node] {
                        peer.healer.handle_answer(self.now, token, answer);
                    }
                }
                Effect::CancelSend { .. } | Effect::MayGo(..) => {}
                Effect::Repair(order) => self.begin(node, &order),
            }
        }
        panic!("a healer never comes to rest");
    }

    fn answer(&self, id: NodeId, request: &Request) -> Result<Response, CallError> {
        let node = self.numbers[&id];
        if !self.is_up(node) {
            let retry_in = Duration::from_secs(1);
            return Err(CallError::Down { retry_in });
        }
        let disk = self.grid.disk(node);
        Ok(match request {
            Request::GetInventory => Response::Inventory(disk.inventory()),
            Request::ListShares(list) => Response::SharesListed(disk.page(list, self.params.coding)),
            Request::ListAdded(list) => Response::AddedListed(disk.added(list)),
            other => panic!("{other:?} is nothing that a healer asks"),
        })
    }

    /// Begins a repair: who can be reached has said what it holds, and it is known what goes where.
    fn begin(&mut self, keeper: usize, order: &RepairOrder) {
        let (si, coding) = (order.si, self.params.coding);
        let held: Vec<(NodeId, ShareNumber)> = self
            .grid
            .copies(&si, |node| self.is_up(node))
            .into_iter()
            .map(|(node, share)| (self.ids[node], share))
            .collect();
        let distinct: BTreeSet<ShareNumber> = held.iter().map(|(_, share)| *share).collect();
        let goals = if distinct.len() < coding.k() {
            Vec::new()
        } else {
            let mut ring = placement::ring_order(&si, &order.candidates);
            ring.retain(|id| order.takers.contains(id));
            let assigned = placement::assign(&ring, coding, &held).into_iter();
            assigned.map(|(share, id)| (share, self.numbers[&id])).collect()
        };
        let Some(peer) = &mut self.peers[keeper] else {
            return;
        };
        self.outcome.repairs += 1;
        let ends = if goals.is_empty() {
            self.now + ASKING
        } else {
            let bytes = (coding.k() + goals.len()) as u64 * self.params.share_bytes;
            self.outcome.moved_bytes += bytes;
            peer.pace.grant(self.now, bytes);
            // What is granted next begins when this is through.
            peer.pace.grant(self.now, 0)
        };
        self.work.push(Reverse(Work {
            ends,
            keeper,
            life: peer.life,
            si,
            goals,
        }));
    }

    /// The repair that ends now: its shares are there, if it could read to the end and those are up that take them.
    fn end_work(&mut self) {
        let Some(Reverse(work)) = self.work.pop() else {
            return;
        };
        let life = self.peers[work.keeper].as_ref().map(|peer| peer.life);
        if life != Some(work.life) {
            return;
        }
        let up = self.grid.copies(&work.si, |node| self.is_up(node));
        let distinct: BTreeSet<ShareNumber> = up.iter().map(|(_, share)| *share).collect();
        let readable = distinct.len() >= self.params.coding.k();
        let mut whole = readable;
        for (share, node) in work.goals.into_iter().filter(|_| readable) {
            if self.is_up(node) {
                self.grid.store(node, SharePlace { si: work.si, share });
            } else {
                whole = false;
            }
        }
        if self.grid.distinct(&work.si) == self.params.coding.n()
            && let Some(since) = self.short.remove(&work.si)
        {
            self.outcome.mended += 1;
            self.outcome.mending_seconds += self.now.saturating_sub(since).as_secs_f64();
        }
        let result = if whole {
            Repaired::Whole
        } else {
            Repaired::NotWhole
        };
        if let Some(peer) = &mut self.peers[work.keeper] {
            peer.healer.handle_repaired(self.now, work.si, result);
        }
        self.settle(work.keeper);
    }

    fn end(self) -> Outcome {
        let needed = self.params.files * self.params.coding.n();
        Outcome {
            copies: self.grid.copies_in_all() as f64 / needed as f64,
            ..self.outcome
        }
    }
}

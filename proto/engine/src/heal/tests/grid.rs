//! A grid of storage nodes whose disks are sets of shares, and a clock that goes from deadline to deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_grid::placement::{self, Candidate};
use truckee_wire::message::limits::LISTED_MAX;
use truckee_wire::message::{
    AddedListed, Failure, FailureCode, Inventory, ListedShare, Request, Response, SharePlace, SharesListed,
};

use crate::heal::{Config, Effect, Healer, RepairOrder, Repaired};
use crate::session::CallError;
use crate::store::{ChangeLog, ShareId};
use crate::time::Mono;
use crate::transfer::Token;
use crate::trim::Reason;

pub(super) const GRACE: Duration = Duration::from_secs(900);
pub(super) const ROUND: Duration = Duration::from_secs(60);
pub(super) const SETTLE: Duration = Duration::from_secs(30);
/// How long a repair takes.
const REPAIR: Duration = Duration::from_secs(2);

pub(super) fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

pub(super) fn candidate(number: u8) -> Candidate {
    Candidate {
        id: node(number),
        zone: String::new(),
    }
}

/// The storage index of a file: spread over the buckets.
pub(super) fn si(number: u64) -> StorageIndex {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    StorageIndex(bytes)
}

pub(super) fn config(own: NodeId) -> Config {
    Config {
        own,
        grace: GRACE,
        round_every: ROUND,
        settle: SETTLE,
        repairs_max: 2,
        surplus_every: None,
        placing_every: None,
    }
}

/// What a node does when it is asked what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    WhatCame,
    /// It does not know the question.
    Unsupported,
    Busy,
    Nothing,
    /// That nothing came.
    Less,
}

pub(super) struct Peer {
    pub(super) healer: Healer,
    pub(super) shares: BTreeSet<SharePlace>,
    log: ChangeLog,
    pub(super) up: bool,
    /// Answers lists with a failure.
    pub(super) broken: bool,
    pub(super) says: Says,
    pub(super) accepts: bool,
    pub(super) draining: bool,
}

impl Peer {
    pub(super) fn store(&mut self, place: SharePlace, coding: Coding) {
        if self.shares.insert(place) {
            self.log.share_came(ListedShare { place, coding });
        }
    }

    pub(super) fn lose(&mut self, place: &SharePlace) {
        if self.shares.remove(place) {
            self.log.changed(Bucket::of(&place.si));
        }
    }
}

#[derive(Default, Debug)]
pub(super) struct Seen {
    pub(super) inventories: usize,
    pub(super) lists: usize,
    /// Questions what came.
    pub(super) additions: usize,
    /// By whom, when.
    pub(super) repairs: Vec<(u8, Mono, StorageIndex)>,
    /// Copies that nodes were told of.
    pub(super) surplus: BTreeSet<(u8, ShareId)>,
    /// Copies that belong elsewhere, and where.
    pub(super) misplaced: BTreeSet<(u8, ShareId, NodeId)>,
}

pub(super) struct Grid {
    pub(super) now: Mono,
    pub(super) coding: Coding,
    pub(super) peers: BTreeMap<u8, Peer>,
    pub(super) seen: Seen,
    /// Repairs under way: when they end, whose they are.
    running: Vec<(Mono, u8, RepairOrder)>,
    /// What a repair comes to; `None`: it does what it should.
    pub(super) repairs_fail: bool,
}

impl Grid {
    /// Nodes 1 to `count`, with a file for each number below `files`, all shares in place.
    pub(super) fn new(count: u8, files: u64, coding: Coding) -> Grid {
        let mut grid = Grid {
            now: Mono::ZERO,
            coding,
            peers: (1..=count)
                .map(|number| (number, Grid::peer(number, 1, Mono::ZERO)))
                .collect(),
            seen: Seen::default(),
            running: Vec::new(),
            repairs_fail: false,
        };
        for file in 0..files {
            grid.upload(file);
        }
        grid.tell_members();
        grid
    }

    fn peer(number: u8, life: u64, now: Mono) -> Peer {
        Peer {
            healer: Healer::new(config(node(number)), now),
            shares: BTreeSet::new(),
            log: ChangeLog::new(u64::from(number) << 32 | life),
            up: true,
            broken: false,
            says: Says::WhatCame,
            accepts: true,
            draining: false,
        }
    }

    pub(super) fn upload(&mut self, file: u64) {
        let count = self.peers.len();
        let numbers: Vec<u8> = self.peers.keys().copied().collect();
        for share in self.coding.shares() {
            let at = (file as usize + share.index()) % count;
            let place = SharePlace { si: si(file), share };
            self.peers
                .get_mut(&numbers[at])
                .expect("there")
                .store(place, self.coding);
        }
    }

    /// Puts all shares of a file where uploads put them.
    pub(super) fn upload_at_home(&mut self, file: u64) {
        for (share, id) in self.coding.shares().zip(self.home(file)) {
            let place = SharePlace { si: si(file), share };
            self.peers
                .get_mut(&id.0[0])
                .expect("there")
                .store(place, self.coding);
        }
    }

    /// The nodes that are to hold a share of a file.
    pub(super) fn home(&self, file: u64) -> Vec<NodeId> {
        let all: Vec<Candidate> = self.peers.keys().map(|number| candidate(*number)).collect();
        let mut ring = placement::ring_order(&si(file), &all);
        ring.truncate(self.coding.n());
        ring
    }

    /// A new node comes, with nothing on its disk.
    pub(super) fn join(&mut self, number: u8) {
        let peer = Grid::peer(number, 1, self.now);
        self.peers.insert(number, peer);
        self.tell_members();
    }

    /// As the mesh tells everybody who is up.
    pub(super) fn tell_members(&mut self) {
        let all: Vec<(Candidate, bool)> = self
            .peers
            .iter()
            .map(|(number, peer)| (candidate(*number), peer.up))
            .collect();
        let now = self.now;
        for peer in self.peers.values_mut().filter(|peer| peer.up) {
            peer.healer.handle_members(now, &all);
        }
    }

    pub(super) fn kill(&mut self, number: u8) {
        self.peers.get_mut(&number).expect("there").up = false;
        self.running.retain(|(_, keeper, _)| *keeper != number);
        self.tell_members();
    }

    /// Starts a node again, with what is on its disk.
    pub(super) fn start(&mut self, number: u8) {
        let old = self.peers.remove(&number).expect("there");
        let mut new = Grid::peer(number, (old.log.epoch() & 0xffff_ffff) + 1, self.now);
        new.shares = old.shares;
        self.peers.insert(number, new);
        self.tell_members();
    }

    pub(super) fn holders(&self, si: &StorageIndex) -> BTreeMap<ShareNumber, usize> {
        self.holders_but(si, &BTreeSet::new())
    }

    /// How many nodes that are up hold each share, some not counted.
    pub(super) fn holders_but(
        &self,
        si: &StorageIndex,
        without: &BTreeSet<NodeId>,
    ) -> BTreeMap<ShareNumber, usize> {
        let mut holders = BTreeMap::new();
        let peers = self.peers.iter();
        let counted = peers.filter(|(number, peer)| peer.up && !without.contains(&node(**number)));
        for (_, peer) in counted {
            for place in peer.shares.iter().filter(|place| place.si == *si) {
                *holders.entry(place.share).or_default() += 1;
            }
        }
        holders
    }

    pub(super) fn is_whole(&self, file: u64) -> bool {
        self.holders(&si(file)).len() == self.coding.n()
    }

    /// Lets `time` pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let deadlines = self
                .peers
                .values()
                .filter(|peer| peer.up)
                .filter_map(|peer| peer.healer.next_deadline());
            let next = deadlines.chain(self.running.iter().map(|(at, ..)| *at)).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            // A machine whose deadline has come must not ask for the same moment for ever.
            self.now = self.now.max(next);
            self.end_repairs();
            let now = self.now;
            for peer in self.peers.values_mut().filter(|peer| peer.up) {
                if peer.healer.next_deadline().is_some_and(|at| at <= now) {
                    peer.healer.handle_timeout(now);
                }
            }
        }
        self.now = end;
    }

    /// Carries out all effects of this moment.
    fn settle(&mut self) {
        for turn in 0.. {
            assert!(turn < 1_000_000, "the machines never come to rest");
            let next = self.peers.iter_mut().filter(|(_, peer)| peer.up);
            let next = next
                .filter_map(|(number, peer)| Some((*number, peer.healer.poll_effect()?)))
                .next();
            match next {
                Some((
                    number,
                    Effect::Send {
                        token, peer, request, ..
                    },
                )) => self.ask(number, token, peer, &request),
                Some((_, Effect::CancelSend { .. })) => {}
                Some((number, Effect::MayGo(share, Reason::Surplus))) => {
                    self.seen.surplus.insert((number, share));
                }
                Some((number, Effect::MayGo(share, Reason::Elsewhere(to)))) => {
                    self.seen.misplaced.insert((number, share, to));
                }
                Some((number, Effect::Repair(order))) => {
                    self.seen.repairs.push((number, self.now, order.si));
                    self.running.push((self.now + REPAIR, number, order));
                }
                None => return,
            }
        }
    }

    fn ask(&mut self, asker: u8, token: Token, to: NodeId, request: &Request) {
        let result = match self.peers.get(&to.0[0]).filter(|peer| peer.up) {
            None => Some(Err(CallError::Down {
                retry_in: Duration::from_secs(1),
            })),
            Some(peer) if matches!(request, Request::ListAdded(_)) && peer.says == Says::Nothing => None,
            Some(peer) => Some(answer(peer, request, self.coding, &mut self.seen)),
        };
        let now = self.now;
        let asker = &mut self.peers.get_mut(&asker).expect("there").healer;
        if let Some(result) = result {
            asker.handle_answer(now, token, result);
        }
    }

    fn end_repairs(&mut self) {
        let (over, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|(at, ..)| *at <= self.now);
        self.running = running;
        let over: Vec<(Mono, u8, RepairOrder)> = over;
        for (_, number, order) in over {
            let result = if self.repairs_fail {
                Repaired::NotWhole
            } else {
                self.repair(&order)
            };
            let now = self.now;
            self.peers
                .get_mut(&number)
                .expect("there")
                .healer
                .handle_repaired(now, order.si, result);
        }
    }

    /// As a repair places shares: on takers without one first.
    fn repair(&mut self, order: &RepairOrder) -> Repaired {
        if self.holders(&order.si).len() < self.coding.k() {
            return Repaired::NotWhole;
        }
        let there = self.holders_but(&order.si, &order.draining);
        for share in self.coding.shares().filter(|share| !there.contains_key(share)) {
            let load = |peer: &Peer| peer.shares.iter().filter(|place| place.si == order.si).count();
            let takers = self
                .peers
                .iter()
                .filter(|(number, peer)| peer.up && order.takers.contains(&node(**number)));
            let Some(taker) = takers
                .min_by_key(|(_, peer)| load(peer))
                .map(|(number, _)| *number)
            else {
                return Repaired::NotWhole;
            };
            let place = SharePlace { si: order.si, share };
            self.peers
                .get_mut(&taker)
                .expect("there")
                .store(place, self.coding);
        }
        Repaired::Whole
    }
}

fn answer(peer: &Peer, request: &Request, coding: Coding, seen: &mut Seen) -> Result<Response, CallError> {
    match request {
        Request::GetInventory => {
            seen.inventories += 1;
            Ok(Response::Inventory(Inventory {
                epoch: peer.log.epoch(),
                changes: peer.log.counts().to_vec(),
                accepts_shares: peer.accepts && !peer.draining,
                draining: peer.draining,
            }))
        }
        Request::ListShares(_) if peer.broken => Err(CallError::Refused(Failure::new(
            FailureCode::Internal,
            "the disk is broken",
        ))),
        Request::ListShares(list) => {
            seen.lists += 1;
            let behind = peer.shares.iter().filter(|place| {
                Bucket::of(&place.si) == list.bucket && list.after.is_none_or(|after| **place > after)
            });
            let shares: Vec<ListedShare> = behind
                .take(LISTED_MAX)
                .map(|place| ListedShare {
                    place: *place,
                    coding,
                })
                .collect();
            let next = (shares.len() == LISTED_MAX).then(|| shares.last().expect("full").place);
            Ok(Response::SharesListed(SharesListed {
                epoch: peer.log.epoch(),
                changes: peer.log.count(list.bucket),
                shares,
                next,
            }))
        }
        Request::ListAdded(list) => {
            seen.additions += 1;
            match peer.says {
                Says::WhatCame | Says::Nothing => Ok(Response::AddedListed(peer.log.list_added(list))),
                Says::Less => Ok(Response::AddedListed(AddedListed::default())),
                Says::Busy => Err(CallError::Refused(Failure::busy(
                    Duration::from_secs(1),
                    "there is a lot to do",
                ))),
                Says::Unsupported => Err(CallError::Refused(Failure::new(
                    FailureCode::Unsupported,
                    "a message that this version does not know",
                ))),
            }
        }
        other => panic!("{other:?} is nothing that a healer asks"),
    }
}

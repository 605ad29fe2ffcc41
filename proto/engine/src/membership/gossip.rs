//! When to tell whom: changes go out at once to a few linked peers, and everything is compared with a random one from
//! time to time. Owns the links that are up, the changes not yet told, and the timers; carries nothing itself.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use truckee_grid::ids::NodeId;

use crate::time::Mono;

/// Changes are collected for so long, so that a mesh that starts tells many at once.
pub const PUSH_DELAY: Duration = Duration::from_millis(50);
/// Peers that a change of another node is passed on to. Four suffice for an epidemic to reach nearly all; the
/// comparison reaches the rest.
pub const FANOUT: usize = 4;
/// Mean time between two comparisons with a random peer; each is drawn from half to one and a half of it.
pub const SYNC_EVERY: Duration = Duration::from_secs(30);
/// Peers to compare with because their links just came up. More would only say the same.
pub const SYNC_QUEUE_MAX: usize = 4;
/// Time between two comparisons of that queue: what the first brings makes the next short.
pub const SYNC_PAUSE: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(super) struct Gossip {
    pub(super) linked: BTreeSet<NodeId>,
    /// To all linked peers: what this node itself has to say.
    own_news: BTreeSet<NodeId>,
    /// To some of them: what it has heard.
    heard: BTreeSet<NodeId>,
    push_at: Option<Mono>,
    sync_at: Mono,
    queue: VecDeque<NodeId>,
    pub(super) rng: StdRng,
}

/// Whom to push what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Push {
    pub(super) to: Vec<NodeId>,
    pub(super) news: BTreeSet<NodeId>,
}

impl Gossip {
    pub(super) fn new(now: Mono, seed: [u8; 32]) -> Gossip {
        let mut gossip = Gossip {
            linked: BTreeSet::new(),
            own_news: BTreeSet::new(),
            heard: BTreeSet::new(),
            push_at: None,
            sync_at: now,
            queue: VecDeque::new(),
            rng: StdRng::from_seed(seed),
        };
        gossip.sync_at = gossip.next_sync(now);
        gossip
    }

    fn next_sync(&mut self, now: Mono) -> Mono {
        now + SYNC_EVERY.mul_f64(self.rng.random_range(0.5..1.5))
    }

    pub(super) fn link_up(&mut self, now: Mono, peer: NodeId) {
        self.linked.insert(peer);
        if self.queue.len() < SYNC_QUEUE_MAX && !self.queue.contains(&peer) {
            self.queue.push_back(peer);
            self.sync_at = self
                .sync_at
                .min(now + SYNC_PAUSE.mul_f64(self.rng.random_range(0.0..1.0)));
        }
    }

    pub(super) fn link_down(&mut self, peer: NodeId) {
        self.linked.remove(&peer);
        self.queue.retain(|queued| *queued != peer);
    }

    /// Something changed; `own`: this node says so itself.
    pub(super) fn changed(&mut self, now: Mono, node: NodeId, own: bool) {
        if own {
            self.own_news.insert(node);
        } else {
            self.heard.insert(node);
        }
        self.push_at.get_or_insert(now + PUSH_DELAY);
    }

    /// `comparing`: a comparison is under way, and the next waits for its end.
    pub(super) fn next_deadline(&self, comparing: bool) -> Option<Mono> {
        let sync_at = (!comparing).then_some(self.sync_at);
        [self.push_at, sync_at].into_iter().flatten().min()
    }

    /// What to push now.
    pub(super) fn due_pushes(&mut self, now: Mono) -> Vec<Push> {
        if self.push_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.push_at = None;
        let all: Vec<NodeId> = self.linked.iter().copied().collect();
        let mut some = all.clone();
        some.shuffle(&mut self.rng);
        some.truncate(FANOUT);
        let own = Push {
            to: all,
            news: std::mem::take(&mut self.own_news),
        };
        let heard = Push {
            to: some,
            news: std::mem::take(&mut self.heard),
        };
        [own, heard]
            .into_iter()
            .filter(|push| !push.news.is_empty() && !push.to.is_empty())
            .collect()
    }

    /// Whom to compare with now.
    pub(super) fn due_sync(&mut self, now: Mono) -> Option<NodeId> {
        if self.sync_at > now {
            return None;
        }
        let peer = self.queue.pop_front().or_else(|| {
            let linked: Vec<NodeId> = self.linked.iter().copied().collect();
            linked.choose(&mut self.rng).copied()
        });
        self.sync_at = if self.queue.is_empty() {
            self.next_sync(now)
        } else {
            now + SYNC_PAUSE
        };
        peer
    }
}

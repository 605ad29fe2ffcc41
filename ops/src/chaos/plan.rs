//! The schedule: which fault hits whom, when, and for how long.
//!
//! Pure. The same seed, options and shape of the cluster give the same schedule. It never exceeds the budget of damage
//! ([`super::budget`]) unless it is told to, every fault ends before the schedule does, and every kind that was asked for
//! comes in turn before one comes again, as far as there is time; those that cannot are named with the reason.

use serde::Serialize;

use super::budget::Ledger;
use super::fault::{Fault, Kind, Ms, Target};
use super::random::Random;
use super::shape::Shape;

/// Most faults of one schedule: at one every few seconds it is half a day.
const FAULTS_MAX: usize = 10_000;

/// Longest quiet time at the start, in which it is seen that all works, and at the end.
const QUIET_MS_MAX: Ms = 5_000;

/// Time after a fault in which its nodes count as away: links come back one after the other.
const SETTLE_MS: Ms = 2_000;

/// Between the beginnings of two faults.
const GAP_MS: (Ms, Ms) = (700, 5_000);

/// What a rolling restart takes for each node, about.
const ROLLING_MS_PER_NODE: Ms = 2_500;

/// Time that the grid gets to mend what was damaged; in earnest it is waited longer if need be.
const MEND_MS: Ms = 15_000;

/// Between the two acts of going beyond.
const ACTS_APART_MS: Ms = 6_000;

/// What the schedule is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) seed: u64,
    /// How long it lasts.
    pub(crate) length_ms: Ms,
    /// Most faults that are on at the same time.
    pub(crate) at_once: usize,
    /// Kinds to choose from.
    pub(crate) kinds: Vec<Kind>,
    /// Whether it ends with more than the cluster promises to bear.
    pub(crate) beyond: bool,
}

/// A kind that does not occur.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LeftOut {
    pub(crate) kind: Kind,
    pub(crate) why: String,
}

/// The schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    /// In the order of their beginnings.
    pub(crate) faults: Vec<Fault>,
    /// Kinds that were asked for and do not occur.
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) length_ms: Ms,
}

/// Makes the schedule.
pub(crate) fn plan(wish: &Wish, shape: &Shape) -> Plan {
    let mut planner = Planner::new(wish, shape);
    planner.sort_out();
    planner.fill();
    if wish.beyond {
        planner.go_beyond();
    }
    let occurs = |kind: Kind| planner.faults.iter().any(|fault| fault.kind == kind);
    let missing = planner.usable.iter().filter(|kind| !occurs(**kind));
    let missing = missing.map(|kind| LeftOut {
        kind: *kind,
        why: "there was no room for it in this run; a longer one may have".to_owned(),
    });
    let mut left_out: Vec<LeftOut> = planner.left_out.iter().cloned().chain(missing).collect();
    left_out.sort_by_key(|left_out| left_out.kind);
    Plan {
        faults: planner.faults,
        left_out,
        length_ms: wish.length_ms,
    }
}

struct Planner<'a> {
    wish: &'a Wish,
    shape: &'a Shape,
    random: Random,
    ledger: Ledger<'a>,
    usable: Vec<Kind>,
    left_out: Vec<LeftOut>,
    faults: Vec<Fault>,
    /// Kinds that have not come yet in this turn, the next one last.
    bag: Vec<Kind>,
    /// Faults that still count, with the time until which they do.
    counted: Vec<(Ms, usize)>,
}

impl<'a> Planner<'a> {
    fn new(wish: &'a Wish, shape: &'a Shape) -> Planner<'a> {
        Planner {
            wish,
            shape,
            random: Random::new(wish.seed, 0),
            ledger: Ledger::new(shape),
            usable: Vec::new(),
            left_out: Vec::new(),
            faults: Vec::new(),
            bag: Vec::new(),
            counted: Vec::new(),
        }
    }

    fn quiet_ms(&self) -> Ms {
        QUIET_MS_MAX.min(self.wish.length_ms / 10)
    }

    /// When the last fault within the budget must be over.
    fn over_ms(&self) -> Ms {
        let beyond = if self.wish.beyond {
            (self.wish.length_ms / 2).min(40_000)
        } else {
            0
        };
        self.wish.length_ms.saturating_sub(self.quiet_ms() + beyond)
    }

    /// Tells the kinds that can happen from those that cannot.
    fn sort_out(&mut self) {
        let mut kinds = self.wish.kinds.clone();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            match self.obstacle(kind) {
                None => self.usable.push(kind),
                Some(why) => self.left_out.push(LeftOut { kind, why }),
            }
        }
    }

    fn obstacle(&self, kind: Kind) -> Option<String> {
        if kind.is_of_the_network()
            && let Some(why) = &self.shape.means.no_links
        {
            return Some(why.clone());
        }
        if kind == Kind::Skew
            && let Some(why) = &self.shape.means.no_clocks
        {
            return Some(why.clone());
        }
        if kind == Kind::Fill && self.shape.means.small_disks.is_empty() {
            return self.shape.means.no_small_disks.clone();
        }
        let targets = self.targets(kind);
        if targets.is_empty() {
            let spared = self.shape.why_spared(kind);
            return Some(spared.unwrap_or_else(|| "the cluster has no node for it".to_owned()));
        }
        let room = self.over_ms().saturating_sub(self.quiet_ms());
        if self.lasts(kind).0 > room {
            let needed = self.lasts(kind).0.div_ceil(1000);
            return Some(format!(
                "it takes about {needed} s, longer than this run has room for"
            ));
        }
        let fits = targets.into_iter().any(|target| {
            let fault = self.fault(kind, target, 0, 1, 0);
            Ledger::new(self.shape).may_begin(&fault, 1)
        });
        let bearable = self.shape.bearable();
        (!fits).then(|| {
            format!(
                "a cluster with {} of {} shares on {} peers bears the loss of {bearable}: too few for it",
                self.shape.k, self.shape.n, self.shape.happy
            )
        })
    }

    /// Whom a kind can hit.
    fn targets(&self, kind: Kind) -> Vec<Target> {
        let shape = self.shape;
        let nodes = |names: &[String]| names.iter().cloned().map(Target::Node).collect::<Vec<_>>();
        let held: Vec<String> = shape.peers.iter().chain(&shape.vdrives).cloned().collect();
        let with_gateway = |make: fn(String, String) -> Target| {
            let gateway = shape.gateway.clone();
            let pairs = gateway.into_iter().flat_map(|gateway| {
                held.iter()
                    .map(move |other| make(gateway.clone(), other.clone()))
                    .collect::<Vec<_>>()
            });
            pairs.collect::<Vec<_>>()
        };
        match kind {
            Kind::Kill | Kind::Restart => nodes(&shape.peers),
            Kind::Wipe | Kind::Flip | Kind::Truncate => {
                let peers = shape.peers.iter();
                let allowed = peers.filter(|peer| shape.means.allow(kind, peer));
                nodes(&allowed.cloned().collect::<Vec<_>>())
            }
            Kind::Freeze | Kind::Slow | Kind::Throttle => nodes(&held),
            Kind::Fill => nodes(&shape.means.small_disks),
            Kind::Skew => [nodes(&held), nodes(shape.gateway.as_slice())].concat(),
            Kind::Introducer => nodes(&shape.introducers),
            Kind::Vdrive => nodes(&shape.vdrives),
            Kind::Gateway => nodes(shape.gateway.as_slice()),
            Kind::Rolling if shape.all().is_empty() => Vec::new(),
            Kind::Rolling | Kind::Mend => vec![Target::All],
            Kind::Cut => [nodes(&held), with_gateway(Target::Link)].concat(),
            Kind::OneWay => {
                let back = |gateway, other| Target::Way(other, gateway);
                [with_gateway(Target::Way), with_gateway(back)].concat()
            }
            Kind::Blackout | Kind::Ruin => Vec::new(),
        }
    }

    /// How long it may last in a run of this length.
    fn lasts(&self, kind: Kind) -> (Ms, Ms) {
        match kind {
            Kind::Rolling => {
                let all = ROLLING_MS_PER_NODE * self.shape.all().len() as Ms;
                (all, all)
            }
            Kind::Mend => (MEND_MS, MEND_MS),
            _ => {
                let (low, high) = kind.lasts_ms();
                let high = high.min(self.wish.length_ms / 6).max(1);
                (low.min(high), high)
            }
        }
    }

    fn fault(&self, kind: Kind, target: Target, at_ms: Ms, lasts_ms: Ms, detail: u64) -> Fault {
        let number = self.faults.len() + 1;
        Fault {
            number,
            kind,
            target,
            at_ms,
            lasts_ms,
            detail,
        }
    }

    /// Puts in faults within the budget until there is no room any more.
    fn fill(&mut self) {
        let mut now = self.quiet_ms();
        while self.faults.len() < FAULTS_MAX && now < self.over_ms() && !self.usable.is_empty() {
            self.retire(now);
            if let Some(fault) = self.next_fault(now) {
                now += self.random.between(GAP_MS.0, GAP_MS.1);
                self.add(fault);
            } else if let Some(next) = self.counted.iter().map(|(until, _)| *until).min() {
                now = now.max(next);
            } else if self.bag.len() < self.usable.len() {
                self.refill();
            } else {
                return;
            }
        }
    }

    fn add(&mut self, fault: Fault) {
        self.ledger.begin(&fault);
        if fault.kind == Kind::Mend {
            self.ledger.mended();
        }
        self.counted.push((fault.end_ms() + SETTLE_MS, fault.number));
        self.faults.push(fault);
    }

    /// Forgets the faults that no longer count.
    fn retire(&mut self, now: Ms) {
        for (_, number) in self.counted.extract_if(.., |(until, _)| *until <= now) {
            self.ledger.end(number);
        }
    }

    fn refill(&mut self) {
        self.bag.clone_from(&self.usable);
        self.random.shuffle(&mut self.bag);
    }

    /// A fault that may begin now, of the kinds that have not come in this turn.
    fn next_fault(&mut self, now: Ms) -> Option<Fault> {
        if self.bag.is_empty() {
            self.refill();
        }
        for at in (0..self.bag.len()).rev() {
            let kind = self.bag[at];
            if kind.damages() && self.shape.heals && !self.ledger.is_room_for_damage() {
                if let Some(mend) = self.try_kind(Kind::Mend, now) {
                    return Some(mend);
                }
                continue;
            }
            if let Some(fault) = self.try_kind(kind, now) {
                self.bag.remove(at);
                return Some(fault);
            }
        }
        None
    }

    fn try_kind(&mut self, kind: Kind, now: Ms) -> Option<Fault> {
        let (low, high) = self.lasts(kind);
        let lasts = self.random.between(low, high);
        let mut targets = self.targets(kind);
        self.random.shuffle(&mut targets);
        let detail = self.random.next();
        if now + lasts > self.over_ms() {
            return None;
        }
        let faults = targets
            .into_iter()
            .map(|target| self.fault(kind, target, now, lasts, detail));
        let mut fitting = faults.filter(|fault| self.ledger.may_begin(fault, self.wish.at_once));
        fitting.next()
    }

    /// The two acts that no cluster bears: all but too few peers away, and all but too few shares gone.
    fn go_beyond(&mut self) {
        let Some(count) = self.shape.unbearable() else {
            for kind in [Kind::Blackout, Kind::Ruin] {
                let why = "the cluster has too few peers for it".to_owned();
                self.left_out.push(LeftOut { kind, why });
            }
            return;
        };
        let busy = self.faults.iter().map(Fault::end_ms).max().unwrap_or_default();
        let mut at = self.over_ms().max(busy + SETTLE_MS);
        for kind in [Kind::Blackout, Kind::Ruin] {
            let mut peers = self.shape.peers.clone();
            self.random.shuffle(&mut peers);
            peers.truncate(count);
            peers.sort();
            let (low, high) = self.lasts(kind);
            let lasts = self.random.between(low, high);
            let detail = self.random.next();
            let fault = self.fault(kind, Target::Nodes(peers), at, lasts, detail);
            at = fault.end_ms() + ACTS_APART_MS.min(self.wish.length_ms / 10);
            self.faults.push(fault);
        }
    }
}

#[cfg(test)]
mod tests;

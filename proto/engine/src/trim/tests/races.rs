//! All who hold shares of a file part with them as they like, in any order, with processes that end in between.

use super::*;

/// A node: its machine, and what its disk was asked to do by an earlier one.
struct Holder {
    id: NodeId,
    machine: Trimmer,
    /// What earlier machines have ordered and not seen done, and until when it is done.
    orphans: Vec<(Mono, ShareId)>,
    /// What this machine waits for.
    waits: Option<Effect>,
}

struct Race {
    dice: StdRng,
    now: Mono,
    coding: (usize, usize),
    held: BTreeSet<(NodeId, u8)>,
    holders: Vec<Holder>,
}

/// Counts what happened, so that the test is known to have seen it.
#[derive(Default)]
struct Seen {
    dropped: usize,
    copied: usize,
    refused: usize,
    restarted: usize,
}

impl Race {
    fn new(seed: u64) -> Race {
        let mut dice = StdRng::seed_from_u64(seed);
        let n = dice.random_range(2..5_usize);
        let k = dice.random_range(1..n);
        let count = dice.random_range(n as u8..n as u8 + 4);
        let mut ids: Vec<NodeId> = (1..=count).map(node).collect();
        ids.shuffle(&mut dice);
        let mut held: BTreeSet<(NodeId, u8)> = ids.iter().copied().zip(0..n as u8).collect();
        for _ in 0..dice.random_range(0..6) {
            held.insert((
                ids[dice.random_range(0..ids.len())],
                dice.random_range(0..n as u8),
            ));
        }
        let holder = |id: &NodeId| Holder {
            id: *id,
            machine: trimmer(*id),
            orphans: Vec::new(),
            waits: None,
        };
        Race {
            now: Mono::ZERO + QUIET,
            coding: (k, n),
            holders: ids.iter().map(holder).collect(),
            held,
            dice,
        }
    }

    fn one_in(&mut self, chance: u32) -> bool {
        self.dice.random_range(0..chance) == 0
    }

    /// Some node does something.
    fn step(&mut self, seen: &mut Seen) {
        self.now += Duration::from_millis(self.dice.random_range(0..20_000));
        if self.one_in(6) {
            self.now += GRACE;
        }
        self.orphans_end();
        let at = self.dice.random_range(0..self.holders.len());
        if self.one_in(25) {
            seen.restarted += 1;
            self.restart(at);
        }
        if self.one_in(3) {
            self.find(at);
        }
        let now = self.now;
        let holder = &mut self.holders[at];
        holder.machine.handle_timeout(now);
        if holder.waits.is_none() {
            holder.waits = holder.machine.poll_effect();
        }
        if self.one_in(2)
            && let Some(effect) = self.holders[at].waits.take()
        {
            self.carry_out(at, effect, seen);
        }
    }

    fn find(&mut self, at: usize) {
        let id_of = self.holders[at].id;
        let own: Vec<u8> = self
            .held
            .iter()
            .filter(|(id, _)| *id == id_of)
            .map(|(_, share)| *share)
            .collect();
        if own.is_empty() {
            return;
        }
        let share = own[self.dice.random_range(0..own.len())];
        let to = self.holders[self.dice.random_range(0..self.holders.len())].id;
        let reason = if self.one_in(2) {
            Reason::Surplus
        } else {
            Reason::Elsewhere(to)
        };
        let now = self.now;
        self.holders[at].machine.handle_found(now, id(share), reason);
    }

    fn carry_out(&mut self, at: usize, effect: Effect, seen: &mut Seen) {
        let (now, own) = (self.now, self.holders[at].id);
        match effect {
            Effect::Survey(share) => {
                let mut holdings = self.holdings();
                if self.one_in(4) {
                    let silent = self.holders[self.dice.random_range(0..self.holders.len())].id;
                    holdings.held.retain(|(id, _)| *id != silent || *id == own);
                }
                self.holders[at]
                    .machine
                    .handle_holdings(now, share, Some(&holdings));
            }
            Effect::Copy { share, to } => {
                seen.copied += 1;
                self.held.insert((to, share.share.0));
                self.holders[at].machine.handle_copied(now, share, true);
            }
            Effect::Ask { share, witness } => {
                let asked = self.holders.iter().find(|holder| holder.id == witness);
                let kept = asked.expect("a node").machine.keeps(now, share);
                seen.refused += usize::from(!kept);
                self.holders[at].machine.handle_kept(now, share, kept);
            }
            Effect::Prove { share, witness } => {
                let proven = self.held.contains(&(witness, share.share.0));
                self.holders[at].machine.handle_proof(now, share, proven, 0);
            }
            Effect::Drop(share, _) => {
                seen.dropped += 1;
                let done = self.held.remove(&(own, share.share.0));
                self.holders[at].machine.handle_dropped(now, share, done);
            }
        }
    }

    /// The machine panics, and its disk goes on with what it was asked to do.
    fn restart(&mut self, at: usize) {
        let until = self.now + (QUIET - Duration::from_millis(1));
        let config = self.holders[at].machine.config;
        let holder = &mut self.holders[at];
        holder.machine = Trimmer::new(config, self.now + QUIET);
        if let Some(Effect::Drop(share, _)) = holder.waits.take() {
            holder.orphans.push((until, share));
        }
    }

    fn orphans_end(&mut self) {
        for at in 0..self.holders.len() {
            for (until, share) in std::mem::take(&mut self.holders[at].orphans) {
                if until <= self.now || self.one_in(3) {
                    let own = self.holders[at].id;
                    self.held.remove(&(own, share.share.0));
                } else {
                    self.holders[at].orphans.push((until, share));
                }
            }
        }
    }

    fn holdings(&self) -> Holdings {
        let held: Vec<(NodeId, u8)> = self.held.iter().copied().collect();
        holdings(self.coding, &held)
    }
}

#[test]
fn whatever_the_order_all_shares_stay_on_different_nodes() {
    let mut seen = Seen::default();
    for seed in 0..2_000 {
        let mut race = Race::new(seed);
        for turn in 0..150 {
            race.step(&mut seen);
            let left = placement::happiness(&race.holdings().held);
            assert_eq!(left, race.coding.1, "seed {seed}, turn {turn}: {:?}", race.held);
        }
    }
    let Seen {
        dropped,
        copied,
        refused,
        restarted,
    } = seen;
    assert!(
        dropped > 1_000 && copied > 1_000 && refused > 100 && restarted > 1_000,
        "{dropped} {copied} {refused} {restarted}: it happens often enough"
    );
}

//! Repairs through random losses, lies and faults: what they complete is whole, and nothing false is ever written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_grid::ids::{Hash, ShareNumber, UploadId};

use super::{RepairError, RepairOutcome, plaintext};
use crate::repair::RepairReport;
use crate::transfer::model::repairing::{Healer, Repaired, run_repair, run_repairs};
use crate::transfer::model::{Body, Dice, Stored, World, encoding, run_upload, upload_config};
use crate::transfer::tests::{heal, some_fault};

/// Enough to meet each pair of faults many times, and still only a few seconds.
const SEEDS: u64 = 2_000;

const SHAPES: [(u32, u32); 6] = [(3, 10), (1, 1), (1, 3), (4, 7), (2, 5), (5, 6)];

type Shares = BTreeMap<ShareNumber, Stored>;

/// A file in a mesh of `peers` nodes, and its shares.
fn store(peers: u8, (k, n): (u32, u32), bytes: Vec<u8>) -> (World, Hash, Shares) {
    let mut world = World::new(peers);
    let config = upload_config(&world, encoding(k, n, 1));
    let done = run_upload(&mut world, config, &Body::of(bytes))
        .result
        .expect("nothing is wrong");
    for peer in world.peers.values_mut() {
        peer.fresh.clear();
    }
    let shares = world.originals();
    (world, done.ueb_hash, shares)
}

/// Says which seed it was when a check in the middle of a run fails.
struct Tell(u64);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {} failed", self.0);
        }
    }
}

struct Life {
    seed: u64,
    dice: Dice,
    world: World,
    n: usize,
    k: usize,
    /// The file, and the one that liars have made.
    ours: (Hash, Shares),
    theirs: (Hash, Shares),
    faults: bool,
}

impl Life {
    fn begin(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let (k, n) = SHAPES[dice.roll(SHAPES.len() as u64) as usize];
        let peers = (n as u8).div_ceil(2) + dice.roll(u64::from(n)) as u8;
        let bytes = plaintext(1 + dice.roll(9_000) as usize);
        let mut others = bytes.clone();
        others[0] ^= 1;
        let (_, their_hash, their_shares) = store(peers, (k, n), others);
        let (world, our_hash, our_shares) = store(peers, (k, n), bytes);
        Self {
            seed,
            dice,
            world,
            n: n as usize,
            k: k as usize,
            ours: (our_hash, our_shares),
            theirs: (their_hash, their_shares),
            faults: false,
        }
    }

    /// Shares are lost or doubled, some nodes lie, and some fail.
    fn spoil(&mut self) {
        let rates = [0, 20, 40, 70];
        let (losses, faults) = (
            rates[self.dice.roll(4) as usize],
            rates[self.dice.roll(3) as usize],
        );
        let lies = [0, 0, 10, 30][self.dice.roll(4) as usize];
        let mut peers = std::mem::take(&mut self.world.peers);
        for peer in peers.values_mut() {
            let dice = &mut self.dice;
            if dice.roll(100) < losses {
                peer.shares.clear();
            } else if dice.roll(10) == 0 {
                let number = ShareNumber(dice.roll(self.n as u64) as u8);
                peer.shares.insert(number, self.ours.1[&number].clone());
            }
            if dice.roll(100) < lies {
                let claims = dice.roll(self.n as u64) as usize + 1;
                let shares = self
                    .theirs
                    .1
                    .iter()
                    .map(|(share, stored)| (*share, stored.clone()));
                peer.shares = shares.take(claims).collect();
            }
            if dice.roll(100) < faults {
                self.faults = true;
                peer.insists = true;
                match dice.roll(8) {
                    0 => peer.bad_blocks_from = Some(dice.roll(9)),
                    1 => peer.bad_path = true,
                    2 => peer.admits_damage = true,
                    3 => peer.bad_facts = true,
                    _ => some_fault(dice, &self.world, peer),
                }
            }
        }
        self.world.peers = peers;
    }

    fn healers(&mut self) -> Vec<Healer> {
        let mut healers = Vec::new();
        for index in 0..1 + self.dice.roll(2) {
            let mut healer = Healer::of(&self.world);
            healer.config.ueb_hash = (self.dice.roll(2) == 0).then_some(self.ours.0);
            healer.config.upload = UploadId([index as u8; 16]);
            healer.config.window_bytes = self.dice.roll(30_000) as usize;
            let takes = self.dice.roll(9);
            healer.config.takers.retain(|_| self.dice.roll(8) < takes);
            healer.config.paced = self.dice.roll(3) == 0;
            let pause = Duration::from_millis(1 + self.dice.roll(200));
            healer.grants = (pause, 1 + self.dice.roll(20_000));
            healer.begins_after = Duration::from_millis(self.dice.roll(40));
            let stop = Duration::from_millis(self.dice.roll(300));
            healer.cancelled_at = (self.dice.roll(10) == 0).then_some(self.world.now + stop);
            healers.push(healer);
        }
        healers
    }

    /// Whatever lies anywhere is what was made once, by somebody.
    fn nothing_is_false(&self) {
        for (id, peer) in &self.world.peers {
            for (share, stored) in &peer.shares {
                let hash = stored.file.ueb.hash();
                let made = if hash == self.ours.0 {
                    &self.ours.1
                } else {
                    &self.theirs.1
                };
                assert!(
                    stored == &made[share],
                    "seed {}: share {share} at {id} is false",
                    self.seed
                );
            }
        }
    }

    fn held(&self) -> BTreeSet<ShareNumber> {
        let shares = self.world.peers.values().flat_map(|peer| &peer.shares);
        let ours = shares.filter(|(_, stored)| stored.file.ueb.hash() == self.ours.0);
        ours.map(|(share, _)| *share).collect()
    }

    fn judge(&self, repaired: &Repaired, knows: bool) -> &'static str {
        let seed = self.seed;
        let report = match &repaired.result {
            Ok(report) => report,
            Err(failed) => {
                let contested = matches!(failed.error, RepairError::Contested { .. });
                let expected = matches!(
                    failed.error,
                    RepairError::Contested { .. }
                        | RepairError::NoShares { .. }
                        | RepairError::TooFewShares { .. }
                        | RepairError::Cancelled
                );
                assert!(expected && !(contested && knows), "seed {seed}: {failed}");
                return failed.error.name();
            }
        };
        if report.ueb_hash != self.ours.0 {
            // The liars were more than those who answered truly.
            assert!(!knows, "seed {seed}: not the file that was asked for");
            let liars: BTreeSet<_> = report.before.values().flatten().collect();
            assert!(report.findings.conflicts.len() < liars.len(), "seed {seed}");
            return "outvoted";
        }
        self.is_as_reported(report);
        report.outcome.name()
    }

    fn is_as_reported(&self, report: &RepairReport) {
        let seed = self.seed;
        for placed in &report.findings.placed {
            let peer = &self.world.peers[&placed.peer];
            assert!(
                peer.shares.contains_key(&placed.share),
                "seed {seed}: {placed:?} is not there"
            );
        }
        let numbers = report.before.keys().copied().chain(report.rebuilt());
        let missing = report.unplaced.iter().filter(|unplaced| !unplaced.copy);
        let all: BTreeSet<ShareNumber> = numbers.chain(missing.map(|unplaced| unplaced.share)).collect();
        assert_eq!(
            all.len(),
            self.n,
            "seed {seed}: each share is accounted for: {report:?}"
        );
        if report.outcome == RepairOutcome::Partial {
            assert!(!report.unplaced.is_empty(), "seed {seed}");
        } else {
            assert_eq!(self.held().len(), self.n, "seed {seed}: {report:?}");
        }
    }

    /// With the liars gone and the faults over, whatever can be repaired is.
    fn ends_well(&mut self) {
        let seed = self.seed;
        for peer in self.world.peers.values_mut() {
            peer.shares
                .retain(|_, stored| stored.file.ueb.hash() == self.ours.0);
        }
        heal(&mut self.world);
        let enough = self.held().len() >= self.k;
        let repaired = run_repair(&Healer::of(&self.world), &mut self.world);
        match &repaired.result {
            Ok(report) => assert!(
                enough && report.outcome != RepairOutcome::Partial,
                "seed {seed}: {report:?}"
            ),
            Err(failed) => return assert!(!enough, "seed {seed}: {failed}"),
        }
        assert_eq!(self.held().len(), self.n, "seed {seed}");
        assert_eq!(self.world.open_shares(), 0, "seed {seed}");
        let again = run_repair(&Healer::of(&self.world), &mut self.world);
        let unneeded = again.report().outcome == RepairOutcome::Unneeded;
        assert!(unneeded, "seed {seed}: {:?}", again.report());
    }
}

#[test]
fn what_is_repaired_is_whole_and_nothing_false_is_written() {
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let _tell = Tell(seed);
        let mut life = Life::begin(seed);
        life.spoil();
        let healers = life.healers();
        let repaired = run_repairs(&healers, &mut life.world, &|_, _| None);
        for (repaired, healer) in repaired.iter().zip(&healers) {
            // One segment may be ahead of the budget by what had to be read twice, and the window is not more.
            let most = healer.config.window_bytes.max(10_000) as u64;
            assert!(
                repaired.overdrawn <= most,
                "seed {seed}: {} bytes",
                repaired.overdrawn
            );
            let findings = match &repaired.result {
                Ok(report) => &report.findings,
                Err(failed) => &failed.findings,
            };
            // Without faults nothing moves twice, unless two repairs of two files got in each other's way.
            if !life.faults && findings.troubles.is_empty() {
                assert_eq!(repaired.overdrawn, 0, "seed {seed}");
            }
            let end = life.judge(repaired, healer.config.ueb_hash.is_some());
            *ends.entry(end).or_default() += 1;
        }
        life.nothing_is_false();
        life.ends_well();
    }
    println!("{SEEDS} seeds: {ends:?}");
    for end in [
        "unneeded",
        "complete",
        "partial",
        "too_few_shares",
        "no_shares",
        "contested",
        "cancelled",
        "outvoted",
    ] {
        assert!(
            ends.get(end).is_some_and(|count| *count > 20),
            "too few runs end {end}: {ends:?}"
        );
    }
}

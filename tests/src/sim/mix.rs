//! What a seed stands for: how large the mesh is, how its network and disks are, and which faults it lives through.
//!
//! Each seed switches every kind of fault on or off by itself (swarm testing: a fault that is always on hides the bugs
//! that need its absence). One seed in sixteen has none at all. Owns the drawing; carries out nothing.

use std::collections::BTreeSet;

use super::network::Way;
use super::rng::Rng;
use super::scheduler::{MILLIS, Micros, SECONDS};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A connection breaks.
    BreakConnection,
    /// The way from one node to another is cut, but not the way back.
    CutWay,
    /// The nodes fall into two halves that do not hear each other.
    Partition,
    /// One node hears nobody and is heard by nobody.
    Isolate,
    /// A node does not run for a while, then goes on.
    Freeze,
    /// A node is killed: its memory is lost, its host tells its peers.
    Kill,
    /// The power of a node fails: its memory and what its disk had not yet made durable are lost; nobody is told.
    PowerFailure,
    /// A way becomes a hundred times slower.
    SlowWay,
    /// Something else fills a node's disk.
    FullDisk,
    /// A node's disk fails reads and writes now and then.
    DiskErrors,
    /// A bit of a stored share turns.
    BitRot,
    /// A node's disk becomes a hundred times slower.
    SlowDisk,
    /// Frames are left out, doubled and damaged.
    Tampering,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 13] = [
        Fault::BreakConnection,
        Fault::CutWay,
        Fault::Partition,
        Fault::Isolate,
        Fault::Freeze,
        Fault::Kill,
        Fault::PowerFailure,
        Fault::SlowWay,
        Fault::FullDisk,
        Fault::DiskErrors,
        Fault::BitRot,
        Fault::SlowDisk,
        Fault::Tampering,
    ];
}

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Nodes that admit others.
    pub introducers: usize,
    /// Nodes that keep shares.
    pub storage: usize,
    /// Nodes that upload and download; the last of them keeps shares too if `mixed_roles`.
    pub gateways: usize,
    /// Is there a gateway that keeps shares, and directories if there are two others that do?
    pub mixed_roles: bool,
    /// Of those that keep shares, how many have the role vdrive too. All have one database.
    pub vdrives: usize,
    /// Do the stores read back what they hold? Costs many steps, so only few runs have it.
    pub scrubs: bool,
    /// The faults that happen.
    pub faults: BTreeSet<Fault>,
    /// Mean time between two faults.
    pub fault_every: Micros,
    /// How long faults go on happening.
    pub chaos: Micros,
    /// How every way is when nothing is wrong with it.
    pub way: Way,
    /// The time that a disk needs for an operation, at most.
    pub disk_delay: Micros,
    /// Mean time between two things that clients ask for.
    pub work_every: Micros,
    /// How many of a thousand uploads are of files that others have too.
    pub known_per_mille: u64,
    /// Do some clients vanish, stall or send too little?
    pub bad_clients: bool,
    /// How far the calendars of two nodes can be apart, in seconds.
    pub calendar_skew_s: u64,
    /// How many nodes are started only later.
    pub late: usize,
    /// Space on each node's disk for shares, in bytes.
    pub disk_bytes: u64,
}

/// How large a run may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Up to a dozen nodes: most bugs need no more, and a second buys many runs.
    Small,
    /// Two to three dozen nodes.
    Large,
}

impl Mix {
    /// What `rng` draws.
    pub fn draw(rng: &mut Rng, size: Size) -> Self {
        let storage = match size {
            Size::Small => rng.size(4, 10),
            Size::Large => rng.size(16, 28),
        };
        let faults = if rng.chance(62) {
            BTreeSet::new()
        } else {
            let share = [150, 300, 500][rng.size(0, 2)];
            Fault::ALL.into_iter().filter(|_| rng.chance(share)).collect()
        };
        Self {
            introducers: rng.size(1, 2),
            storage,
            gateways: rng.size(1, if size == Size::Small { 2 } else { 4 }),
            mixed_roles: rng.chance(300),
            vdrives: rng.fork("vdrives").size(0, 2),
            scrubs: rng.fork("scrubs").chance(150),
            faults,
            fault_every: rng.between(200 * MILLIS, 4 * SECONDS),
            chaos: rng.between(10 * SECONDS, 40 * SECONDS),
            way: Self::draw_way(rng),
            disk_delay: rng.between(10, 20 * MILLIS),
            work_every: rng.between(200 * MILLIS, 3 * SECONDS),
            known_per_mille: [0, 200, 900][rng.size(0, 2)],
            bad_clients: rng.chance(400),
            calendar_skew_s: if rng.chance(300) { rng.between(1, 20) } else { 0 },
            late: if rng.chance(300) { rng.size(1, 3) } else { 0 },
            disk_bytes: if rng.chance(200) {
                rng.between(20_000, 200_000)
            } else {
                1 << 30
            },
        }
    }

    /// The same mesh without any fault.
    pub fn calm(mut self) -> Self {
        self.faults.clear();
        self.bad_clients = false;
        self
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.introducers + self.storage + self.gateways
    }

    fn draw_way(rng: &mut Rng) -> Way {
        let delay = [100, 2 * MILLIS, 40 * MILLIS][rng.size(0, 2)];
        Way {
            delay,
            jitter: [0, delay / 2, delay * 4][rng.size(0, 2)],
            bandwidth: [1_000_000, 20_000_000, 1_000_000_000][rng.size(0, 2)],
            loss_per_mille: [0, 0, 5, 50][rng.size(0, 3)],
            cut: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Mix, Rng, Size};

    #[test]
    fn every_fault_is_on_in_some_seeds_and_off_in_others() {
        let mixes: Vec<Mix> = (0..200)
            .map(|seed| Mix::draw(&mut Rng::new(seed), Size::Small))
            .collect();
        for fault in Fault::ALL {
            let on = mixes.iter().filter(|mix| mix.faults.contains(&fault)).count();
            assert!((20..180).contains(&on), "{fault:?} is on in {on} of 200 seeds");
        }
        assert!(mixes.iter().any(|mix| mix.faults.is_empty()));
    }
}

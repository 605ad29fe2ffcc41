//! Faults: doing them, and undoing them after a while.
//!
//! Owns which fault hits what and for how long. Short and long times are equally likely on a logarithmic scale, because
//! a fault of three milliseconds and one of ten seconds meet different code.

use super::mix::Fault;
use super::network::Tampering;
use super::scheduler::{MILLIS, Micros, SECONDS};
use super::world::{Event, World};

/// What every disk has once all faults have ended: more than any run writes.
const SPACE_AFTER_ALL: u64 = 1 << 30;

/// The end of a fault.
#[derive(Clone, Debug)]
pub enum Relief {
    /// These ways are joined.
    Join(Vec<(usize, usize)>),
    /// A frozen node goes on.
    Thaw(usize),
    /// A node that is off starts.
    Start(usize),
    /// A slow way is as before.
    Speed(usize, usize),
    /// A full disk has its space again.
    Space(usize),
    /// A failing disk works.
    Soundness(usize),
    /// A slow disk is as before.
    DiskSpeed(usize),
    /// Frames are left alone.
    Honesty,
}

impl World {
    /// Lets one of the faults of this run happen.
    pub(super) fn fault(&mut self) {
        let faults: Vec<Fault> = self.mix.faults.iter().copied().collect();
        let Some(fault) = self.chance.pick(&faults).copied() else {
            return;
        };
        let node = self.chance.size(0, self.hosts.len() - 1);
        let other = self.chance.size(0, self.hosts.len() - 1);
        let lasts = self.fault_lasts();
        self.trace.note(
            Some(node),
            "fault",
            format_args!("{fault:?} (other {other}) for {lasts} us"),
        );
        self.model.tally.count(label(fault));
        let relief = match fault {
            Fault::BreakConnection => self.break_connection(),
            Fault::CutWay => self.cut(vec![(node, other)]),
            Fault::Partition => self.partition(),
            Fault::Isolate => self.cut(
                (0..self.hosts.len())
                    .flat_map(|peer| [(node, peer), (peer, node)])
                    .collect(),
            ),
            Fault::Freeze => self.freeze(node),
            Fault::Kill => self.stop(node, false),
            Fault::PowerFailure => self.stop(node, true),
            Fault::SlowWay => self.slow_way(node, other),
            Fault::FullDisk => self.fill_disk(node),
            Fault::DiskErrors => {
                self.hosts[node].disk.failures_per_mille = self.chance.between(10, 500);
                Some(Relief::Soundness(node))
            }
            Fault::BitRot => self.rot(node),
            Fault::SlowDisk => {
                self.hosts[node].disk.delay_max = self.mix.disk_delay * 100;
                Some(Relief::DiskSpeed(node))
            }
            Fault::Tampering => {
                let most = [20, 200][self.chance.size(0, 1)];
                let mut draw = || self.chance.below(most);
                let tampering = Tampering {
                    drop: draw(),
                    double: draw(),
                    damage: draw(),
                };
                self.network.set_tampering(tampering);
                Some(Relief::Honesty)
            }
        };
        if let Some(relief) = relief {
            self.scheduler.after(lasts, Event::Relief(relief));
        }
    }

    /// Ends a fault.
    pub(super) fn relieve(&mut self, relief: Relief) {
        let now = self.scheduler.now();
        self.trace.note(None, "relief", format_args!("{relief:?}"));
        match relief {
            Relief::Join(ways) => {
                for (from, to) in ways {
                    self.network.set_cut(now, from, to, false);
                }
            }
            Relief::Thaw(node) => self.thaw(node),
            Relief::Start(node) => self.start(node),
            Relief::Speed(from, to) => {
                let cut = self.network.way(from, to).cut;
                *self.network.way_mut(from, to) = self.mix.way;
                self.network.way_mut(from, to).cut = cut;
            }
            Relief::Space(node) => self.hosts[node].disk.set_space(self.mix.disk_bytes),
            Relief::Soundness(node) => self.hosts[node].disk.failures_per_mille = 0,
            Relief::DiskSpeed(node) => self.hosts[node].disk.delay_max = self.mix.disk_delay,
            Relief::Honesty => self.network.set_tampering(Tampering::default()),
        }
    }

    /// Ends all faults: from here on the mesh has to get well by itself.
    pub(super) fn heal(&mut self) {
        let now = self.scheduler.now();
        self.trace.note(None, "heal", "all faults end");
        self.network.heal(now, self.mix.way);
        for node in 0..self.hosts.len() {
            for relief in [Relief::Soundness(node), Relief::DiskSpeed(node)] {
                self.relieve(relief);
            }
            self.hosts[node].disk.set_space(SPACE_AFTER_ALL);
            self.thaw(node);
            self.start(node);
        }
    }

    /// From a millisecond to twenty seconds.
    fn fault_lasts(&mut self) -> Micros {
        let scale = [MILLIS, 20 * MILLIS, 300 * MILLIS, 2 * SECONDS][self.chance.size(0, 3)];
        self.chance.between(scale, scale * 10)
    }

    fn break_connection(&mut self) -> Option<Relief> {
        if let Some(conn) = self.network.any_connection() {
            self.network.break_connection(self.scheduler.now(), conn);
        }
        None
    }

    fn cut(&mut self, ways: Vec<(usize, usize)>) -> Option<Relief> {
        let ways: Vec<_> = ways.into_iter().filter(|(from, to)| from != to).collect();
        for (from, to) in &ways {
            self.network.set_cut(self.scheduler.now(), *from, *to, true);
        }
        Some(Relief::Join(ways))
    }

    fn partition(&mut self) -> Option<Relief> {
        let halves: Vec<bool> = self.hosts.iter().map(|_| self.chance.chance(500)).collect();
        let count = self.hosts.len();
        let ways = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        self.cut(ways.filter(|(from, to)| halves[*from] != halves[*to]).collect())
    }

    fn slow_way(&mut self, from: usize, to: usize) -> Option<Relief> {
        let way = self.network.way_mut(from, to);
        way.delay = (way.delay * 100).min(3 * SECONDS);
        way.bandwidth = (way.bandwidth / 100).max(10_000);
        Some(Relief::Speed(from, to))
    }

    fn fill_disk(&mut self, node: usize) -> Option<Relief> {
        let left = self.chance.below(3_000);
        let disk = &mut self.hosts[node].disk;
        disk.set_space(disk.used_bytes() + left);
        Some(Relief::Space(node))
    }

    fn rot(&mut self, node: usize) -> Option<Relief> {
        if let Some(name) = self.hosts[node].disk.rot() {
            self.model.share_spoilt(node, name);
        }
        None
    }
}

fn label(fault: Fault) -> &'static str {
    match fault {
        Fault::BreakConnection => "fault: connection broken",
        Fault::CutWay => "fault: way cut",
        Fault::Partition => "fault: partition",
        Fault::Isolate => "fault: node isolated",
        Fault::Freeze => "fault: node frozen",
        Fault::Kill => "fault: node killed",
        Fault::PowerFailure => "fault: power failed",
        Fault::SlowWay => "fault: way slow",
        Fault::FullDisk => "fault: disk full",
        Fault::DiskErrors => "fault: disk fails",
        Fault::BitRot => "fault: bit turned",
        Fault::SlowDisk => "fault: disk slow",
        Fault::Tampering => "fault: frames tampered with",
    }
}

//! A story told by hand: the same mesh, in which only what the story says goes wrong.
//!
//! For rules with a time in them: virtual time makes "within two seconds" exact. Whatever holds after every step of a
//! drawn run holds here too; what never should be ends the story with a panic that has the trace.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use truckee_grid::keys::ReadKey;
use truckee_grid::params::{Coding, Encoding};
use truckee_wire::message::Role;

use super::mix::{Mix, Size};
use super::model::{Model, OrderId, Outcome, StoredFile, Violation};
use super::network::Way;
use super::node::{DownloadOrder, Misbehaviour, RepairOrder, UploadOrder};
use super::rng::Rng;
use super::scheduler::{MILLIS, Micros, SECONDS};
use super::world::World;

/// A mesh to tell a story about.
pub struct Scenario {
    world: World,
    seed: u64,
}

impl Scenario {
    /// A mesh of one introducer, `storage` nodes that keep shares, and one gateway, all up and linked. Ways take 2 ms.
    ///
    /// # Panics
    /// The mesh does not come up.
    pub fn new(seed: u64, storage: usize) -> Self {
        Self::with(seed, storage, |mix| mix)
    }

    /// The same, but the stores read back what they hold.
    ///
    /// # Panics
    /// As above.
    pub fn with_scrubbers(seed: u64, storage: usize) -> Self {
        Self::with(seed, storage, |mix| Mix { scrubs: true, ..mix })
    }

    fn with(seed: u64, storage: usize, change: impl FnOnce(Mix) -> Mix) -> Self {
        let way = Way {
            delay: 2 * MILLIS,
            jitter: MILLIS,
            bandwidth: 20_000_000,
            loss_per_mille: 0,
            cut: false,
        };
        let drawn = Mix::draw(&mut Rng::new(seed), Size::Small).calm();
        let mix = Mix {
            introducers: 1,
            storage,
            gateways: 1,
            mixed_roles: false,
            vdrives: 0,
            scrubs: false,
            way,
            disk_delay: 5 * MILLIS,
            calendar_skew_s: 0,
            late: 0,
            disk_bytes: 1 << 30,
            ..drawn
        };
        let mut world = World::new(change(mix), seed);
        world.peaceful = true;
        for host in 0..world.hosts.len() {
            world.start(host);
        }
        world.collect();
        let mut scenario = Self { world, seed };
        scenario.settle();
        scenario
    }

    /// The introducer.
    pub fn introducer(&self) -> usize {
        0
    }

    /// The nodes that keep shares.
    pub fn stores(&self) -> Vec<usize> {
        self.world.hosts_with(Role::Storage)
    }

    /// The gateway.
    pub fn gateway(&self) -> usize {
        self.world.hosts.len() - 1
    }

    /// Waits until all nodes that are on see each other.
    ///
    /// # Panics
    /// That takes minutes.
    pub fn settle(&mut self) {
        let settled = self.world.until(200 * SECONDS, World::well_among_the_living);
        self.expect(settled);
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// Something that must never be.
    pub fn pass(&mut self, time: Duration) {
        let passed = self.world.pass(micros(time));
        self.expect(passed);
    }

    /// Freezes nodes.
    pub fn freeze(&mut self, hosts: &[usize]) {
        for host in hosts {
            let _how_to_undo = self.world.freeze(*host);
        }
    }

    /// Kills nodes; their hosts tell their peers.
    pub fn kill(&mut self, hosts: &[usize]) {
        for host in hosts {
            let _how_to_undo = self.world.stop(*host, false);
        }
        self.world.collect();
    }

    /// Starts nodes that are off.
    pub fn start(&mut self, hosts: &[usize]) {
        for host in hosts {
            self.world.start(*host);
        }
        self.world.collect();
    }

    /// Turns a bit in every share on these nodes.
    pub fn rot(&mut self, hosts: &[usize]) {
        for host in hosts {
            for name in self.world.hosts[*host].disk.rot_all() {
                self.world.model.share_spoilt(*host, name);
            }
        }
    }

    /// Takes every share away from these nodes, as a new disk does.
    pub fn wipe(&mut self, hosts: &[usize]) {
        for host in hosts {
            let names: Vec<_> = self.world.hosts[*host]
                .disk
                .shares()
                .map(|(name, _)| name)
                .collect();
            for name in names {
                self.world.hosts[*host].disk.remove(name);
                self.world.model.share_spoilt(*host, name);
            }
        }
    }

    /// Begins an upload of a file of `bytes` in segments of 4 KiB, k-of-n.
    ///
    /// # Panics
    /// There is no such coding.
    pub fn upload(&mut self, bytes: usize, shape: (u32, u32, u32)) -> OrderId {
        let order = self.order(bytes, shape);
        self.world.upload(self.gateway(), order)
    }

    /// Begins an upload whose client is gone before it gives this segment.
    ///
    /// # Panics
    /// There is no such coding.
    pub fn upload_that_vanishes(&mut self, bytes: usize, shape: (u32, u32, u32), segment: u64) -> OrderId {
        let order = self.order(bytes, shape);
        let misbehaves = Some((segment, Misbehaviour::Vanishes));
        self.world
            .upload(self.gateway(), UploadOrder { misbehaves, ..order })
    }

    fn order(&mut self, bytes: usize, (k, n, happy): (u32, u32, u32)) -> UploadOrder {
        let coding = Coding::new(k, n).expect("a story names a coding that exists");
        UploadOrder {
            id: self.world.model.new_order(self.gateway()),
            plaintext: Bytes::from(self.world.wishes.bytes(bytes)),
            encoding: Encoding::new(coding, happy, 4096).expect("a story names an encoding that exists"),
            key: ReadKey::from_bytes(self.world.wishes.array()),
            convergent: false,
            says_length: true,
            thinks: MILLIS,
            misbehaves: None,
        }
    }

    /// Begins a download of a stored file by a reader that takes up to `per_segment` for each segment.
    pub fn download(&mut self, file: StoredFile, per_segment: Duration) -> OrderId {
        let gateway = self.gateway();
        let id = self.world.model.new_order(gateway);
        let reads_slowly = micros(per_segment);
        self.world.download(
            gateway,
            DownloadOrder {
                id,
                file,
                range: None,
                reads_slowly,
                vanishes_after: None,
            },
        )
    }

    /// Begins a repair of a stored file by a node, which is not told which file is the right one.
    pub fn repair(&mut self, host: usize, file: &StoredFile) -> OrderId {
        let id = self.world.model.new_order(host);
        let order = RepairOrder {
            id,
            si: file.cap.storage_index(),
            ueb_hash: None,
            grant: None,
        };
        self.world.repair(host, order)
    }

    /// The file that an upload has stored.
    ///
    /// # Panics
    /// It has not.
    pub fn file_of(&self, order: OrderId) -> StoredFile {
        let Some(Outcome::Stored(cap)) = self.world.model.outcome(order) else {
            panic!(
                "upload {} is {:?}\n{}",
                order.0,
                self.world.model.outcome(order),
                self.world.trace
            );
        };
        let stored = self.world.model.files().iter().find(|file| file.cap == *cap);
        stored.expect("what was stored is in the model").clone()
    }

    /// Waits for the end of an order. Gives what became of it and how long that took.
    ///
    /// # Panics
    /// It takes more than five minutes.
    pub fn wait_for(&mut self, order: OrderId) -> (Outcome, Duration) {
        let began = self.world.scheduler.now();
        while let Some(Outcome::Running(_)) = self.world.model.outcome(order) {
            if self.world.scheduler.now() > began + 300 * SECONDS {
                panic!(
                    "seed {}: order {} never ends\n{}",
                    self.seed, order.0, self.world.trace
                );
            }
            let stepped = self.world.pass(MILLIS);
            self.expect(stepped);
        }
        let took = Duration::from_micros(self.world.scheduler.now() - began);
        (
            self.world.model.outcome(order).cloned().unwrap_or(Outcome::Lost),
            took,
        )
    }

    /// How often each host has dialled each other one.
    pub fn dials(&self) -> &BTreeMap<(usize, usize), u64> {
        self.world.network.dials()
    }

    /// How many finished shares are on all disks together.
    pub fn shares_held(&self) -> usize {
        self.world
            .hosts
            .iter()
            .map(|host| host.disk.shares().count())
            .sum()
    }

    /// How many different shares of a file are on some disk, sound to the last bit.
    pub fn sound_shares(&self, file: &StoredFile) -> usize {
        Model::sound_shares(&file.cap, self.world.hosts.iter().map(|host| &host.disk))
    }

    /// How many finished shares on these nodes have bits that turned.
    pub fn rotten(&self, hosts: &[usize]) -> usize {
        let disks = hosts.iter().map(|host| &self.world.hosts[*host].disk);
        disks.map(|disk| disk.rotten().count()).sum()
    }

    /// How many shares are in progress on all disks together.
    pub fn shares_in_progress(&self) -> usize {
        self.world.hosts.iter().map(|host| host.disk.in_progress()).sum()
    }

    /// Nothing is left over, and every share that was promised is there.
    ///
    /// # Panics
    /// Something is left, or missing.
    pub fn ends_well(mut self) {
        let tidied = self.world.until(150 * SECONDS, World::tidy);
        self.expect(tidied);
        for host in 0..self.world.hosts.len() {
            let checked = self.world.model.check_disk(host, &self.world.hosts[host].disk);
            self.expect(checked);
        }
    }

    fn expect(&self, result: Result<(), Violation>) {
        if let Err(Violation(what)) = result {
            panic!("{}\nseed {}: {what}", self.world.trace, self.seed);
        }
    }
}

fn micros(time: Duration) -> Micros {
    Micros::try_from(time.as_micros()).unwrap_or(Micros::MAX)
}

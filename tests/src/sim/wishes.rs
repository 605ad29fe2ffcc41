//! What clients of the gateways want, drawn from the seed: files of awkward lengths, few and many shares, known files
//! stored twice, whole files and ranges read back, slow and faithless clients.

use bytes::Bytes;
use truckee_grid::keys::{ConvergenceSecret, ConvergentHasher, ReadKey};
use truckee_grid::params::{Coding, Encoding};
use truckee_wire::message::Role;

use super::model::{OrderId, StoredFile};
use super::node::{DownloadOrder, Misbehaviour, RepairOrder, UploadOrder};
use super::scheduler::{MILLIS, SECONDS};
use super::world::{Event, World};

/// Files that several clients have, so that convergent uploads meet.
const KNOWN_FILES: u64 = 3;

impl World {
    /// Lets some client want something, and draws when the next one does.
    pub(super) fn next_wish(&mut self) {
        if self.peaceful {
            return;
        }
        let pause = self.wishes.below(self.mix.work_every * 2);
        self.scheduler.after(pause, Event::Work);
        if self.healing.chance(250) {
            self.repair_wish();
        }
        let gateways = self.hosts_with(Role::Gateway);
        let Some(gateway) = self.wishes.pick(&gateways).copied() else {
            return;
        };
        if self.mix.vdrives > 0 && self.wishes.chance(350) {
            return self.drive_wish(gateway);
        }
        let files = self.model.files().len();
        if files > 0 && self.wishes.chance(600) {
            let file = self.model.files()[self.wishes.size(0, files - 1)].clone();
            let order = self.draw_download(gateway, file);
            self.download(gateway, order);
        } else {
            let order = self.draw_upload(gateway);
            self.upload(gateway, order);
        }
    }

    /// Hosts whose nodes have this role, whether they are on or not.
    pub(super) fn hosts_with(&self, role: Role) -> Vec<usize> {
        let has = |host: &usize| self.hosts[*host].identity.roles.contains(role);
        (0..self.hosts.len()).filter(has).collect()
    }

    /// Gives an order to a gateway; lost at once if the gateway is off.
    pub(super) fn upload(&mut self, gateway: usize, order: UploadOrder) -> OrderId {
        let id = order.id;
        let note = format!(
            "order {}: {} bytes as {:?}",
            id.0,
            order.plaintext.len(),
            order.encoding
        );
        self.trace.note(Some(gateway), "upload asked", note);
        if self.hosts[gateway].frozen
            || self
                .with_node(gateway, |node, ctx| node.upload(ctx, order))
                .is_none()
        {
            self.model.order_ended(id, super::model::Outcome::Lost);
        }
        self.collect();
        id
    }

    /// Gives an order to a gateway; lost at once if the gateway is off.
    pub(super) fn download(&mut self, gateway: usize, order: DownloadOrder) -> OrderId {
        let id = order.id;
        let note = format!(
            "order {}: {} bytes, range {:?}",
            id.0, order.file.cap.size, order.range
        );
        self.trace.note(Some(gateway), "download asked", note);
        if self.hosts[gateway].frozen
            || self
                .with_node(gateway, |node, ctx| node.download(ctx, order))
                .is_none()
        {
            self.model.order_ended(id, super::model::Outcome::Lost);
        }
        self.collect();
        id
    }

    /// Gives an order to a node; lost at once if the node is off.
    pub(super) fn repair(&mut self, host: usize, order: RepairOrder) -> OrderId {
        let id = order.id;
        let note = format!("order {}: {order:?}", id.0);
        self.trace.note(Some(host), "repair asked", note);
        if self.hosts[host].frozen
            || self
                .with_node(host, |node, ctx| node.repair(ctx, order))
                .is_none()
        {
            self.model.order_ended(id, super::model::Outcome::Lost);
        }
        self.collect();
        id
    }

    /// Some storage node repairs some file, knowing which one it is or not.
    fn repair_wish(&mut self) {
        let stores = self.hosts_with(Role::Storage);
        let (Some(host), Some(file)) = (
            self.healing.pick(&stores).copied(),
            self.healing.pick(self.model.files()).cloned(),
        ) else {
            return;
        };
        let order = RepairOrder {
            id: self.model.new_order(host),
            si: file.cap.storage_index(),
            ueb_hash: self.healing.chance(500).then_some(file.cap.ueb_hash),
            grant: self.healing.chance(300).then(|| self.healing.between(1, 20_000)),
        };
        self.repair(host, order);
    }

    /// An upload that nothing is wrong with, and that a sound mesh must carry out.
    pub(super) fn polite_upload(&mut self, gateway: usize) -> UploadOrder {
        let stores = self.hosts_with(Role::Storage).len() as u64;
        let n = self.wishes.between(2, stores.min(10));
        let k = self.wishes.between(1, n - 1);
        let happy = self.wishes.between(1, n);
        let encoding = encoding(k, n, happy, 1024);
        let length = self.wishes.size(1, 6000);
        UploadOrder {
            id: self.model.new_order(gateway),
            plaintext: Bytes::from(self.wishes.bytes(length)),
            encoding,
            key: ReadKey::from_bytes(self.wishes.array()),
            convergent: false,
            says_length: true,
            thinks: MILLIS,
            misbehaves: None,
        }
    }

    /// A download of a whole file by a reader that nothing is wrong with.
    pub(super) fn polite_download(&mut self, gateway: usize, file: StoredFile) -> DownloadOrder {
        let id = self.model.new_order(gateway);
        DownloadOrder {
            id,
            file,
            range: None,
            reads_slowly: MILLIS,
            vanishes_after: None,
        }
    }

    fn draw_upload(&mut self, gateway: usize) -> UploadOrder {
        let convergent = self.wishes.chance(self.mix.known_per_mille);
        let (plaintext, encoding) = if convergent {
            self.known_file()
        } else {
            self.draw_file()
        };
        let key = if convergent {
            let secret = ConvergenceSecret::from_bytes([7; 32]);
            let mut hasher = ConvergentHasher::new(&secret, &encoding);
            hasher.update(&plaintext);
            hasher.finish()
        } else {
            ReadKey::from_bytes(self.wishes.array())
        };
        let segments = (plaintext.len() as u64).div_ceil(encoding.segment_bytes().into());
        let bad = self.mix.bad_clients && self.wishes.chance(200);
        let how = if self.wishes.chance(500) {
            Misbehaviour::StopsShort
        } else {
            Misbehaviour::Vanishes
        };
        let thinks = [0, 5 * MILLIS, SECONDS][self.wishes.size(0, 2)];
        UploadOrder {
            id: self.model.new_order(gateway),
            plaintext,
            encoding,
            key,
            convergent,
            says_length: self.wishes.chance(500),
            thinks,
            misbehaves: bad.then(|| (self.wishes.below(segments), how)),
        }
    }

    fn draw_download(&mut self, gateway: usize, file: StoredFile) -> DownloadOrder {
        let size = file.cap.size;
        let range = self.wishes.chance(400).then(|| {
            let start = self.wishes.below(size);
            start..self.wishes.between(start + 1, size + 10)
        });
        let bad = self.mix.bad_clients && self.wishes.chance(200);
        DownloadOrder {
            id: self.model.new_order(gateway),
            file,
            range,
            reads_slowly: [0, 5 * MILLIS, SECONDS][self.wishes.size(0, 2)],
            vanishes_after: bad.then(|| self.wishes.between(1, 5)),
        }
    }

    fn draw_file(&mut self) -> (Bytes, Encoding) {
        let segment_bytes = 64 * self.wishes.between(16, 64);
        let n = self.wishes.between(1, 10);
        let k = if n == 1 {
            1
        } else {
            self.wishes.between(1, (n - 1).min(5))
        };
        let happy = self.wishes.between(1, n);
        let segments = self.wishes.between(1, 8);
        let length = match self.wishes.below(6) {
            0 => self.wishes.between(1, 200),
            1 => segments * segment_bytes,
            2 => segments * segment_bytes + 1,
            3 => segments * segment_bytes - 1,
            _ => self.wishes.between(1, segments * segment_bytes),
        };
        let length = usize::try_from(length).unwrap_or(1);
        (
            Bytes::from(self.wishes.bytes(length)),
            encoding(k, n, happy, segment_bytes),
        )
    }

    fn known_file(&mut self) -> (Bytes, Encoding) {
        let which = self.wishes.below(KNOWN_FILES);
        let length = [70, 3000, 9000][usize::try_from(which).unwrap_or(0)];
        let byte = u8::try_from(which).unwrap_or(0);
        // Not a part of the key: some fail at what others are content with.
        let happy = self.wishes.between(1, 5);
        (Bytes::from(vec![byte; length]), encoding(2, 5, happy, 1024))
    }
}

fn encoding(k: u64, n: u64, happy: u64, segment_bytes: u64) -> Encoding {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let coding = Coding::new(small(k), small(n)).expect("the draw keeps the bounds of a coding");
    Encoding::new(coding, small(happy), small(segment_bytes))
        .expect("the draw keeps the bounds of an encoding")
}

//! Random requests, delays, faults and crashes against the model disk. After each crash exactly what was acknowledged
//! is there, and whatever else is there is whole: it was made durable, and the crash came before its answer.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::time::Day;

const LINKS: u64 = 3;
const UPLOADS: u8 = 3;

struct World {
    rng: StdRng,
    files: Vec<TestFile>,
    config: StoreConfig,
    store: Store,
    disk: ModelDisk,
    now: Mono,
    next_ticket: u64,
    asked: BTreeMap<Ticket, (u64, Request)>,
    /// Per storage index, in order: the disk may serve the indexes in any order.
    queues: BTreeMap<StorageIndex, VecDeque<(DiskToken, DiskOp)>>,
    other: VecDeque<(DiskToken, DiskOp)>,
    /// Outcomes that the store has not heard of yet.
    reports: Vec<(DiskToken, DiskReply)>,
    /// What a client was told is durable, and has not asked to take back.
    acknowledged: BTreeSet<ShareId>,
    /// What may or may not be there: its removal was asked for, or its end is not known to the client.
    in_doubt: BTreeSet<ShareId>,
    answered: u64,
    stored: u64,
    crashes: u64,
    /// Checks and lists that are not answered.
    looking: u64,
    /// Shares that went into the trash, came out of it, or were deleted.
    moved: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let files = vec![
            test_file(1, 100),
            test_file(2, 2500),
            test_file(3, 1024),
            test_file(4, 5000),
        ];
        let limits = Limits {
            open_max: 6,
            open_per_link_max: 4,
            write_bytes_max: 3000,
            reads_max: 4,
            leaves_max: 60,
        };
        let config = StoreConfig {
            quota_bytes: 20_000,
            reserve_bytes: 500,
            ..config(limits)
        };
        let mut disk = ModelDisk::new(18_000);
        let store = Store::new(config.clone(), disk.crash(), Mono::ZERO);
        World {
            rng: StdRng::seed_from_u64(seed),
            files,
            config,
            store,
            disk,
            now: Mono::ZERO,
            next_ticket: 0,
            asked: BTreeMap::new(),
            queues: BTreeMap::new(),
            other: VecDeque::new(),
            reports: Vec::new(),
            acknowledged: BTreeSet::new(),
            in_doubt: BTreeSet::new(),
            answered: 0,
            stored: 0,
            crashes: 0,
            looking: 0,
            moved: 0,
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..1000) {
            0..385 => self.request(),
            385..400 => self.move_about(),
            400..700 => self.disk_work(),
            700..900 => self.report(),
            900..960 => self.pass_time(),
            960..975 => self.store.handle_link_lost(self.rng.random_range(0..LINKS)),
            975..985 => self.disk.fail_in(self.rng.random_range(0..5)),
            985..990 => self.disk.set_capacity(self.rng.random_range(2_000..30_000)),
            990..993 => self.look_through(),
            _ => self.crash(),
        }
        self.drain();
        self.check();
    }

    fn request(&mut self) {
        let file = self.files.choose(&mut self.rng).expect("there are files").clone();
        let (share, upload) = (self.rng.random_range(0..3), self.rng.random_range(0..UPLOADS));
        let segment = self.rng.random_range(0..file.segments());
        let request = match self.rng.random_range(0..12) {
            0..2 => file.open(share, upload),
            2..7 => file.write(
                share,
                upload,
                self.next_segment(&file, share, upload).unwrap_or(segment),
            ),
            7..9 => file.close(share, upload),
            9 => file.abort(share, upload),
            10 if file.segments() == 1 => file.put(share),
            _ => file.find(64),
        };
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let link = self.rng.random_range(0..LINKS);
        let takes_back = matches!(request, Request::AbortShare(_));
        if takes_back && self.acknowledged.remove(&file.share(share)) {
            self.in_doubt.insert(file.share(share));
        }
        self.asked.insert(ticket, (link, request.clone()));
        let deadline = self.now + Duration::from_secs(20);
        self.store.handle_request(
            self.now,
            UnixSeconds::from_secs(7),
            Asked {
                ticket,
                link,
                deadline,
            },
            request,
        );
    }

    /// The node checks a share and lists its bucket.
    fn look_through(&mut self) {
        let file = self.files.choose(&mut self.rng).expect("there are files");
        let share = file.share(self.rng.random_range(0..3));
        self.store.verify(Ticket(0), share);
        self.store.list(Ticket(0), Bucket::of(&share.si), None);
        self.store.survey(Ticket(0), Bucket::of(&share.si), None);
        self.looking += 3;
    }

    /// The node throws something away, takes it back, or empties the trash.
    fn move_about(&mut self) {
        let there: Vec<ShareId> = self.disk.shares().keys().copied().collect();
        let thrown: Vec<ShareId> = self.disk.trash().keys().map(|(share, _)| *share).collect();
        let all = [there, thrown].concat();
        let Some(share) = all.choose(&mut self.rng).copied() else {
            return;
        };
        let day = Day::from_number(self.rng.random_range(0..9));
        self.looking += 1;
        match self.rng.random_range(0..3) {
            0 => {
                let cause = TrashCause::Surplus;
                self.store.trash(Ticket(0), share, TrashMark { day, cause });
                if self.acknowledged.remove(&share) {
                    self.in_doubt.insert(share);
                }
            }
            1 => self.store.restore(Ticket(0), share),
            _ => self
                .store
                .empty_trash(Ticket(0), Bucket::of(&share.si), TrashCause::Surplus, day),
        }
    }

    fn checked(&mut self, result: &Result<(), DiskFault>) {
        self.looking = self.looking.checked_sub(1).expect("asked for, and answered once");
        let faults = [DiskFault::Overloaded, DiskFault::NotFound, DiskFault::Failed];
        assert!(
            result.as_ref().err().is_none_or(|fault| faults.contains(fault)),
            "{result:?}"
        );
    }

    /// A client sends its blocks in order, mostly.
    fn next_segment(&mut self, file: &TestFile, share: u8, upload: u8) -> Option<usize> {
        let of_upload =
            |key: &&OpenKey| key.share == file.share(share) && key.upload == UploadId([upload; 16]);
        let next = self
            .store
            .open
            .iter()
            .find(|(key, _)| of_upload(key))
            .map(|(_, open)| open.next_segment().0 as usize);
        next.filter(|next| *next < file.segments() && self.rng.random_bool(0.95))
    }

    fn drain(&mut self) {
        while let Some(effect) = self.store.poll_effect() {
            match effect {
                Effect::Disk { token, op } => match op.si().filter(|_| !op.only_reads()) {
                    Some(si) => self.queues.entry(si).or_default().push_back((token, op)),
                    None => self.other.push_back((token, op)),
                },
                Effect::Answer { ticket, result } => self.answer(ticket, &result),
                Effect::Verified { result, .. } => self.checked(&result.map(|_| ())),
                Effect::Listed { result, .. } => self.checked(&result.map(|_| ())),
                Effect::Surveyed { result, .. } => self.checked(&result.map(|_| ())),
                Effect::TrashDone { result, .. } => {
                    self.moved += result.map_or(0, |moved| moved.shares);
                    self.checked(&result.map(|_| ()));
                }
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, result: &Result<Response, Failure>) {
        let (_, request) = self
            .asked
            .remove(&ticket)
            .expect("asked, and not answered before");
        self.answered += 1;
        let share = match &request {
            Request::CloseShare(close) => ShareId {
                si: close.si,
                share: close.share,
            },
            Request::PutShare(put) => ShareId {
                si: put.si,
                share: put.share,
            },
            Request::OpenShare(open) => ShareId {
                si: open.si,
                share: open.share,
            },
            _ => return,
        };
        let durable = matches!(
            result,
            Ok(Response::ShareClosed
                | Response::SharePut { .. }
                | Response::ShareOpened { already_there: true })
        );
        if durable {
            assert!(
                self.disk.shares().contains_key(&share),
                "{share} was acknowledged but is not there"
            );
            self.stored += 1;
            self.acknowledged.insert(share);
            self.in_doubt.remove(&share);
        }
    }

    fn disk_work(&mut self) {
        let ready: Vec<StorageIndex> = self.queues.keys().copied().collect();
        let pick = self.rng.random_range(0..=ready.len());
        let work = match ready.get(pick) {
            Some(si) => {
                let queue = self.queues.get_mut(si).expect("listed");
                let work = queue.pop_front();
                if queue.is_empty() {
                    self.queues.remove(si);
                }
                work
            }
            None => self.other.pop_front(),
        };
        if let Some((token, op)) = work {
            if let DiskOp::Finish { share, .. } | DiskOp::Put { share, .. } | DiskOp::Restore { share } = &op
            {
                self.in_doubt.insert(*share);
            }
            let reply = self.disk.carry_out(op);
            self.reports.push((token, reply));
        }
    }

    /// Reports come in any order across storage indexes; here even within one.
    fn report(&mut self) {
        if self.reports.is_empty() {
            return;
        }
        let pick = self.rng.random_range(0..self.reports.len());
        let (token, reply) = self.reports.remove(pick);
        self.store.handle_disk(self.now, token, reply);
    }

    fn pass_time(&mut self) {
        self.now += Duration::from_millis(self.rng.random_range(0..8_000));
        self.store.handle_timeout(self.now);
        assert!(
            self.store.next_deadline().is_none_or(|at| at > self.now),
            "a deadline that is over"
        );
    }

    fn crash(&mut self) {
        self.crashes += 1;
        let start = self.disk.crash();
        assert_eq!(self.disk.incoming_count(), 0);
        let there: BTreeSet<ShareId> = self.disk.shares().keys().copied().collect();
        for share in &self.acknowledged {
            assert!(there.contains(share), "{share} was acknowledged and is lost");
        }
        for share in there.difference(&self.acknowledged) {
            assert!(
                self.in_doubt.contains(share),
                "{share} is there though nobody finished it"
            );
        }
        self.in_doubt.retain(|share| there.contains(share));
        self.queues.clear();
        self.other.clear();
        self.reports.clear();
        self.asked.clear();
        self.looking = 0;
        self.store = Store::new(self.config.clone(), start, self.now);
    }

    fn check(&self) {
        let report = self.store.report();
        let limits = &self.config.limits;
        assert!(report.open_shares <= limits.open_max);
        assert!(report.reads_in_flight <= limits.reads_max);
        assert!(report.write_bytes_in_flight <= limits.write_bytes_max);
        assert!(self.store.leaves <= limits.leaves_max);
        assert_eq!(
            self.store.leaves,
            self.store.open.values().map(Open::leaves).sum::<usize>()
        );
        assert!(
            self.disk.used_bytes() + self.disk.trash_amount().bytes <= self.config.quota_bytes,
            "the quota is kept on disk"
        );
        for share in &self.acknowledged {
            assert!(
                self.disk.shares().contains_key(share),
                "{share} was acknowledged and is gone"
            );
        }
        let thrown = self
            .disk
            .trash()
            .iter()
            .map(|((share, _), stored)| (share, stored));
        for (share, stored) in self.disk.shares().iter().chain(thrown) {
            let file = self
                .files
                .iter()
                .find(|file| file.si == share.si)
                .expect("one of ours");
            assert_eq!(
                stored.blocks,
                file.blocks[share.share.index()],
                "whole and in order"
            );
        }
    }

    /// Everything under way comes to its end, without further faults.
    fn settle(&mut self) {
        self.disk.fail_in(u64::MAX);
        while !(self.store.is_idle() && self.reports.is_empty()) {
            self.disk_work();
            self.report();
            self.drain();
        }
        assert!(self.asked.is_empty(), "unanswered: {:?}", self.asked);
        assert_eq!(self.looking, 0, "unanswered checks and lists");
        let report = self.store.report();
        let trash = self.disk.trash_amount();
        assert_eq!(report.trash, trash);
        assert_eq!(report.used_bytes, self.disk.used_bytes() + trash.bytes);
        assert_eq!(report.share_count, self.disk.shares().len() as u64);
        assert_eq!((report.write_bytes_in_flight, report.reads_in_flight), (0, 0));
        self.now += IDLE_MAX + MEASURE_EVERY;
        self.store.handle_timeout(self.now);
        self.drain();
        while !(self.store.is_idle() && self.reports.is_empty()) {
            self.disk_work();
            self.report();
            self.drain();
        }
        assert_eq!(
            (self.store.report().open_shares, self.disk.incoming_count()),
            (0, 0)
        );
    }
}

#[test]
fn random_requests_faults_and_crashes_lose_and_leave_nothing() {
    let (mut answered, mut stored, mut crashes, mut moved) = (0, 0, 0, 0);
    for seed in 0..300 {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..600 {
            world.step();
        }
        world.settle();
        world.crash();
        answered += world.answered;
        stored += world.stored;
        crashes += world.crashes;
        moved += world.moved;
    }
    assert!(
        answered > 30_000 && stored > 3_000 && crashes > 500 && moved > 100,
        "{answered} {stored} {crashes} {moved}: too tame"
    );
}

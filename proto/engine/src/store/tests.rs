use bytes::Bytes;
use truckee_grid::geometry::Geometry;
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex};
use truckee_grid::merkle::{self, Tree};
use truckee_grid::params::Coding;
use truckee_grid::share::ShareLayout;
use truckee_grid::ueb::Ueb;
use truckee_wire::message::{AbortShare, CloseShare, FindShares, OpenShare, PutShare, ReadBlock, WriteBlock};

use truckee_grid::bucket::Bucket;

use super::model::ModelDisk;
use super::*;

mod draining;
mod inventory;
mod lease;
mod random;
mod trash;

pub(super) const SEGMENT_BYTES: u32 = 1024;

/// A file as an uploader has it. Leaves are made up: the store does not hash blocks.
#[derive(Clone, Debug)]
pub(super) struct TestFile {
    pub(super) si: StorageIndex,
    pub(super) facts: FileFacts,
    pub(super) block_leaves: Vec<Vec<Hash>>,
    pub(super) sealed_leaves: Vec<Hash>,
    pub(super) blocks: Vec<Vec<Bytes>>,
}

pub(super) fn hash(a: u8, b: usize, c: usize) -> Hash {
    let mut bytes = [a; 32];
    bytes[1..9].copy_from_slice(&(b as u64).to_be_bytes());
    bytes[9..17].copy_from_slice(&(c as u64).to_be_bytes());
    Hash(bytes)
}

pub(super) fn test_file(number: u8, file_bytes: u64) -> TestFile {
    let coding = Coding::new(2, 3).unwrap();
    let geometry = Geometry::new(file_bytes, SEGMENT_BYTES, coding).unwrap();
    let segments = geometry.segments() as usize;
    let leaves = |share: usize| {
        (0..segments)
            .map(|segment| hash(number, share, segment))
            .collect::<Vec<_>>()
    };
    let block_leaves: Vec<Vec<Hash>> = (0..3).map(leaves).collect();
    let sealed_leaves = leaves(99);
    let root = |leaves: &Vec<Hash>| Tree::from_leaves(leaves.clone()).unwrap().root();
    let share_roots: Vec<Hash> = block_leaves.iter().map(root).collect();
    let ueb = Ueb::new(
        geometry,
        root(&sealed_leaves),
        merkle::share_root(&share_roots).unwrap(),
    );
    let block = |share: usize, segment: usize| {
        let bytes = geometry.block_bytes(SegmentIndex(segment as u64));
        Bytes::from(vec![number ^ (share as u8) << 4 ^ segment as u8; bytes])
    };
    let blocks = (0..3)
        .map(|share| (0..segments).map(|segment| block(share, segment)).collect())
        .collect();
    let facts = FileFacts { ueb, share_roots };
    TestFile {
        si: StorageIndex([number; 16]),
        facts,
        block_leaves,
        sealed_leaves,
        blocks,
    }
}

impl TestFile {
    pub(super) fn open(&self, share: u8, upload: u8) -> Request {
        Request::OpenShare(OpenShare {
            si: self.si,
            share: ShareNumber(share),
            upload: UploadId([upload; 16]),
            coding: self.facts.ueb.coding(),
            segment_bytes: self.facts.ueb.segment_bytes(),
            reserve_bytes: 0,
        })
    }

    pub(super) fn write_block(&self, share: u8, upload: u8, segment: usize) -> WriteBlock {
        WriteBlock {
            si: self.si,
            share: ShareNumber(share),
            upload: UploadId([upload; 16]),
            segment: SegmentIndex(segment as u64),
            block_leaf: self.block_leaves[share as usize][segment],
            sealed_leaf: self.sealed_leaves[segment],
            block: self.blocks[share as usize][segment].clone(),
        }
    }

    pub(super) fn write(&self, share: u8, upload: u8, segment: usize) -> Request {
        Request::WriteBlock(self.write_block(share, upload, segment))
    }

    pub(super) fn close(&self, share: u8, upload: u8) -> Request {
        self.close_with(share, upload, self.facts.clone())
    }

    fn close_with(&self, share: u8, upload: u8, file: FileFacts) -> Request {
        Request::CloseShare(CloseShare {
            si: self.si,
            share: ShareNumber(share),
            upload: UploadId([upload; 16]),
            file,
        })
    }

    pub(super) fn abort(&self, share: u8, upload: u8) -> Request {
        Request::AbortShare(AbortShare {
            si: self.si,
            share: ShareNumber(share),
            upload: UploadId([upload; 16]),
        })
    }

    pub(super) fn put(&self, share: u8) -> Request {
        let block = self.blocks[share as usize][0].clone();
        Request::PutShare(PutShare {
            si: self.si,
            share: ShareNumber(share),
            file: self.facts.clone(),
            block,
        })
    }

    pub(super) fn find(&self, inline_bytes_max: u32) -> Request {
        Request::FindShares(FindShares {
            si: self.si,
            inline_bytes_max,
        })
    }

    fn read(&self, share: u8, segment: u64) -> Request {
        let segment = SegmentIndex(segment);
        Request::ReadBlock(ReadBlock {
            si: self.si,
            share: ShareNumber(share),
            segment,
            suspect: false,
        })
    }

    pub(super) fn share(&self, share: u8) -> ShareId {
        ShareId {
            si: self.si,
            share: ShareNumber(share),
        }
    }

    pub(super) fn share_file_bytes(&self) -> u64 {
        ShareLayout::new(*self.facts.ueb.geometry()).share_file_bytes()
    }

    pub(super) fn segments(&self) -> usize {
        self.sealed_leaves.len()
    }
}

pub(super) fn config(limits: Limits) -> StoreConfig {
    StoreConfig {
        quota_bytes: 1 << 30,
        reserve_bytes: 0,
        epoch: 7,
        draining: false,
        software: "test 1".to_owned(),
        limits,
    }
}

/// A store with a disk that answers when told.
struct Bench {
    store: Store,
    disk: ModelDisk,
    now: Mono,
    next_ticket: u64,
    queued: Vec<(DiskToken, DiskOp)>,
    answers: BTreeMap<Ticket, Result<Response, Failure>>,
    verified: Option<Result<u64, DiskFault>>,
    listed: Option<Result<Listing, DiskFault>>,
    moved: Option<Result<Amount, DiskFault>>,
    surveyed: Option<Result<Survey, DiskFault>>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(config(Limits::default()), ModelDisk::new(1 << 30))
    }

    fn with(config: StoreConfig, mut disk: ModelDisk) -> Bench {
        let store = Store::new(config, disk.crash(), Mono::ZERO);
        let (queued, answers) = (Vec::new(), BTreeMap::new());
        Bench {
            store,
            disk,
            now: Mono::ZERO,
            next_ticket: 0,
            queued,
            answers,
            verified: None,
            listed: None,
            moved: None,
            surveyed: None,
        }
    }

    fn drain(&mut self) {
        while let Some(effect) = self.store.poll_effect() {
            match effect {
                Effect::Disk { token, op } => self.queued.push((token, op)),
                Effect::Answer { ticket, result } => {
                    assert!(
                        self.answers.insert(ticket, result).is_none(),
                        "{ticket:?} answered twice"
                    );
                }
                Effect::Verified { result, .. } => self.verified = Some(result),
                Effect::Listed { result, .. } => self.listed = Some(result),
                Effect::TrashDone { result, .. } => self.moved = Some(result),
                Effect::Surveyed { result, .. } => self.surveyed = Some(result),
            }
        }
    }

    fn ask_over(&mut self, link: u64, request: Request) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let deadline = self.now + Duration::from_secs(30);
        self.store.handle_request(
            self.now,
            UnixSeconds::from_secs(5),
            Asked {
                ticket,
                link,
                deadline,
            },
            request,
        );
        self.drain();
        ticket
    }

    fn ask(&mut self, request: Request) -> Ticket {
        self.ask_over(1, request)
    }

    /// Has the disk do all that is queued.
    fn work(&mut self) {
        while !self.queued.is_empty() {
            let (token, op) = self.queued.remove(0);
            let reply = self.disk.carry_out(op);
            self.store.handle_disk(self.now, token, reply);
            self.drain();
        }
    }

    fn answer(&mut self, ticket: Ticket) -> Result<Response, Failure> {
        self.answers.remove(&ticket).expect("answered")
    }

    fn served_over(&mut self, link: u64, request: Request) -> Result<Response, Failure> {
        let ticket = self.ask_over(link, request);
        self.work();
        self.answer(ticket)
    }

    fn served(&mut self, request: Request) -> Result<Response, Failure> {
        self.served_over(1, request)
    }

    fn code(&mut self, request: Request) -> FailureCode {
        self.served(request).expect_err("refused").code
    }

    fn upload(&mut self, file: &TestFile, share: u8, upload: u8) {
        assert_eq!(
            self.served(file.open(share, upload)),
            Ok(Response::ShareOpened { already_there: false })
        );
        for segment in 0..file.segments() {
            assert_eq!(
                self.served(file.write(share, upload, segment)),
                Ok(Response::BlockWritten)
            );
        }
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.store.handle_timeout(self.now);
        self.drain();
        self.work();
    }

    fn found(&mut self, file: &TestFile) -> Vec<ShareNumber> {
        match self.served(file.find(0)) {
            Ok(Response::FoundShares(found)) => found.shares,
            other => panic!("{other:?}"),
        }
    }
}

const CLOSED: Result<Response, Failure> = Ok(Response::ShareClosed);
const ABORTED: Result<Response, Failure> = Ok(Response::ShareAborted);

#[test]
fn a_share_is_answered_as_closed_only_when_it_is_durable() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    let close = bench.ask(file.close(0, 1));
    assert!(!bench.answers.contains_key(&close), "the disk has not reported");
    assert!(matches!(bench.queued[..], [(_, DiskOp::Finish { .. })]));
    bench.work();
    assert_eq!(bench.answer(close), CLOSED);
    let stored = &bench.disk.shares()[&file.share(0)];
    assert_eq!(
        (&stored.blocks, stored.closing.lease.granted),
        (&file.blocks[0], UnixSeconds::from_secs(5))
    );
    let report = bench.store.report();
    assert_eq!(
        (report.share_count, report.used_bytes),
        (1, file.share_file_bytes())
    );
    assert_eq!((report.open_shares, report.write_bytes_in_flight), (0, 0));
    assert_eq!(report.available_bytes, (1 << 30) - file.share_file_bytes());
}

#[test]
fn a_put_share_is_answered_only_when_it_is_durable() {
    let (mut bench, file) = (Bench::new(), test_file(1, 100));
    let put = bench.ask(file.put(2));
    assert!(!bench.answers.contains_key(&put));
    bench.work();
    assert_eq!(bench.answer(put), Ok(Response::SharePut { already_there: false }));
    assert_eq!(
        bench.served(file.put(2)),
        Ok(Response::SharePut { already_there: true })
    );
    assert_eq!(bench.store.report().share_count, 1);
    assert_eq!(bench.store.report().used_bytes, bench.disk.used_bytes());
}

#[test]
fn close_waits_for_blocks_that_the_disk_still_writes() {
    let (mut bench, file) = (Bench::new(), test_file(1, 1500));
    bench.served(file.open(1, 1)).unwrap();
    bench.ask(file.write(1, 1, 0));
    bench.ask(file.write(1, 1, 1));
    let close = bench.ask(file.close(1, 1));
    assert!(
        bench
            .queued
            .iter()
            .all(|(_, op)| matches!(op, DiskOp::Append { .. })),
        "not finished yet"
    );
    bench.work();
    assert_eq!(bench.answer(close), CLOSED);
}

#[test]
fn blocks_must_come_in_order_and_fit() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    assert_eq!(bench.code(file.write(0, 1, 0)), FailureCode::NotFound, "not open");
    bench.served(file.open(0, 1)).unwrap();
    assert_eq!(
        bench.code(file.write(0, 1, 1)),
        FailureCode::BadRequest,
        "0 comes first"
    );
    bench.served(file.write(0, 1, 0)).unwrap();
    assert_eq!(
        bench.code(file.write(0, 1, 0)),
        FailureCode::BadRequest,
        "0 was there"
    );
    let full = file.write_block(0, 1, 1);
    for bytes in [0, 63, 65, full.block.len() + 64] {
        let block = Bytes::from(vec![0; bytes]);
        let failure = bench
            .served(Request::WriteBlock(WriteBlock {
                block,
                ..full.clone()
            }))
            .unwrap_err();
        assert_eq!(failure.code, FailureCode::BadRequest, "{bytes} bytes");
    }
    let short = Bytes::from(vec![0; 64]);
    bench
        .served(Request::WriteBlock(WriteBlock { block: short, ..full }))
        .unwrap();
    assert_eq!(
        bench.code(file.write(0, 1, 2)),
        FailureCode::BadRequest,
        "after a shorter block"
    );
    assert_eq!(
        bench.served_over(2, file.write(0, 1, 2)).unwrap_err().code,
        FailureCode::NotFound,
        "another link"
    );
    assert_eq!(
        bench.code(file.write(0, 2, 2)),
        FailureCode::NotFound,
        "another upload"
    );
}

#[test]
fn a_share_number_beyond_n_is_refused() {
    let (mut bench, file) = (Bench::new(), test_file(1, 100));
    assert_eq!(bench.code(file.open(3, 1)), FailureCode::BadRequest);
    let Request::PutShare(put) = file.put(0) else {
        panic!()
    };
    let put = PutShare {
        share: ShareNumber(3),
        ..put
    };
    assert_eq!(bench.code(Request::PutShare(put)), FailureCode::BadRequest);
}

/// Uploads share 0 of a file of three segments, but closes it with `file`.
fn close_with(change: impl FnOnce(&TestFile) -> FileFacts) -> (Bench, Failure) {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    let failure = bench
        .served(file.close_with(0, 1, change(&file)))
        .expect_err("refused");
    assert_eq!(failure.code, FailureCode::BadRequest);
    assert_eq!(bench.store.report().open_shares, 0, "the share is given up");
    assert_eq!(bench.store.report().aborted.failed, 1);
    assert_eq!((bench.disk.incoming_count(), bench.disk.shares().len()), (0, 0));
    bench.wait(MEASURE_EVERY);
    assert_eq!(
        bench.store.report().available_bytes,
        1 << 30,
        "its room is given back, once it is measured"
    );
    (bench, failure)
}

fn facts(file_bytes: u64, segment_bytes: u32, k: u32, from: &FileFacts) -> FileFacts {
    let geometry = Geometry::new(file_bytes, segment_bytes, Coding::new(k, 3).unwrap()).unwrap();
    FileFacts {
        ueb: Ueb::new(geometry, *from.ueb.sealed_root(), *from.ueb.share_root()),
        ..from.clone()
    }
}

#[test]
fn close_checks_everything_against_the_leaves() {
    let said = |expected: &str, change: &dyn Fn(&TestFile) -> FileFacts| {
        let (mut bench, failure) = close_with(change);
        assert!(
            failure.text.contains(expected),
            "{:?} does not say {expected:?}",
            failure.text
        );
        assert!(bench.found(&test_file(1, 2500)).is_empty());
    };
    said("another coding", &|file| {
        facts(2500, SEGMENT_BYTES, 1, &file.facts)
    });
    said("another coding", &|file| facts(2500, 2048, 2, &file.facts));
    said("3 blocks of a file of 4 segments", &|file| {
        facts(3500, SEGMENT_BYTES, 2, &file.facts)
    });
    said("3 blocks of a file of 2 segments", &|file| {
        facts(2048, SEGMENT_BYTES, 2, &file.facts)
    });
    said("a last block of", &|file| {
        facts(2049, SEGMENT_BYTES, 2, &file.facts)
    });
    said("2 share roots", &|file| FileFacts {
        share_roots: file.facts.share_roots[..2].to_vec(),
        ..file.facts.clone()
    });
    said(
        "do not lead to the root that the file's parameters say",
        &|file| {
            let mut facts = file.facts.clone();
            facts.share_roots[2] = hash(9, 9, 9);
            facts
        },
    );
    said("do not lead to the root of the share", &|file| {
        let mut facts = file.facts.clone();
        facts.share_roots[0] = hash(9, 9, 9);
        let share_root = merkle::share_root(&facts.share_roots).unwrap();
        facts.ueb = Ueb::new(*facts.ueb.geometry(), *facts.ueb.sealed_root(), share_root);
        facts
    });
    said("sealed segments' leaves", &|file| {
        let mut facts = file.facts.clone();
        facts.ueb = Ueb::new(*facts.ueb.geometry(), hash(9, 9, 9), *facts.ueb.share_root());
        facts
    });
}

#[test]
fn put_checks_what_it_can() {
    let (mut bench, file) = (Bench::new(), test_file(1, 100));
    let Request::PutShare(good) = file.put(1) else {
        panic!()
    };
    let long = test_file(2, 2500);
    let Request::PutShare(too_long) = long.put(1) else {
        panic!()
    };
    let mut wrong_roots = good.clone();
    wrong_roots.file.share_roots[0] = hash(9, 9, 9);
    let wrong_block = PutShare {
        block: Bytes::from(vec![0; 128]),
        ..good.clone()
    };
    for bad in [too_long, wrong_roots, wrong_block] {
        assert_eq!(bench.code(Request::PutShare(bad)), FailureCode::BadRequest);
    }
    assert!(bench.disk.shares().is_empty());
    assert!(bench.served(Request::PutShare(good)).is_ok());
}

#[test]
fn a_share_that_is_there_is_neither_opened_nor_replaced() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    bench.upload(&file, 0, 2);
    assert_eq!(bench.served(file.close(0, 1)), CLOSED);
    assert_eq!(
        bench.served(file.close(0, 2)),
        CLOSED,
        "the same file: it is there"
    );
    assert_eq!(bench.store.report().share_count, 1);
    assert_eq!(
        bench.served(file.open(0, 3)),
        Ok(Response::ShareOpened { already_there: true })
    );
    assert_eq!(bench.store.report().open_shares, 0);
    let mut other = test_file(2, 100);
    other.si = file.si;
    assert_eq!(
        bench.code(other.put(0)),
        FailureCode::BadRequest,
        "another file under the same name"
    );
    assert_eq!(bench.store.report().used_bytes, bench.disk.used_bytes());
}

#[test]
fn an_open_share_goes_with_its_link() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    bench.served_over(2, file.open(1, 1)).unwrap();
    bench.store.handle_link_lost(1);
    bench.drain();
    bench.work();
    assert_eq!(bench.disk.incoming_count(), 1, "that of the other link stays");
    assert_eq!(bench.code(file.close(0, 1)), FailureCode::NotFound);
    assert_eq!(
        bench.store.report().aborted,
        Aborted {
            link_lost: 1,
            ..Aborted::default()
        }
    );
}

#[test]
fn a_share_that_is_being_made_durable_outlives_its_link() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    bench.ask(file.close(0, 1));
    bench.store.handle_link_lost(1);
    bench.drain();
    bench.work();
    assert_eq!(bench.found(&file), [ShareNumber(0)]);
}

#[test]
fn an_open_share_that_gets_nothing_is_given_up() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    bench.wait(IDLE_MAX / 2);
    bench.served(file.open(1, 1)).unwrap();
    bench.wait(IDLE_MAX / 2 - Duration::from_millis(1));
    assert_eq!(bench.disk.incoming_count(), 2);
    assert!(bench.store.next_deadline().unwrap() <= bench.now + Duration::from_millis(1));
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.disk.incoming_count(), 1, "the first was idle for too long");
    assert_eq!(
        bench.store.report().aborted,
        Aborted {
            idle: 1,
            ..Aborted::default()
        }
    );
}

#[test]
fn asking_again_for_an_open_share_keeps_it() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    for _ in 0..5 {
        bench.wait(IDLE_MAX - Duration::from_secs(1));
        assert_eq!(
            bench.served(file.open(0, 1)),
            Ok(Response::ShareOpened { already_there: false })
        );
    }
    let Request::OpenShare(open) = file.open(0, 1) else {
        panic!()
    };
    let other = OpenShare {
        segment_bytes: open.segment_bytes * 2,
        ..open
    };
    assert_eq!(bench.code(Request::OpenShare(other)), FailureCode::BadRequest);
    assert_eq!(bench.served(file.close(0, 1)), Ok(Response::ShareClosed));
    assert_eq!(bench.found(&file), [ShareNumber(0)]);
}

#[test]
fn abort_takes_back_what_is_open_and_what_was_just_finished() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    assert_eq!(bench.served(file.abort(0, 1)), ABORTED);
    assert_eq!(bench.disk.incoming_count(), 0);
    bench.upload(&file, 1, 1);
    bench.served(file.close(1, 1)).unwrap();
    assert_eq!(bench.served(file.abort(1, 1)), ABORTED);
    assert_eq!(bench.store.report().share_count, 0);
    assert_eq!(
        (bench.store.report().used_bytes, bench.disk.shares().len()),
        (0, 0)
    );
    assert_eq!(
        bench.served(file.abort(2, 1)),
        ABORTED,
        "nothing to take back is no error"
    );
    let small = test_file(2, 100);
    bench.served(small.put(0)).unwrap();
    assert_eq!(bench.served(small.abort(0, 7)), ABORTED);
    assert!(
        bench.disk.shares().is_empty(),
        "a put share can be taken back over its link"
    );
}

#[test]
fn abort_takes_nothing_that_others_may_count_on() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    let finish = |bench: &mut Bench, share, upload| {
        bench.upload(&file, share, upload);
        bench.served(file.close(share, upload)).unwrap();
    };
    finish(&mut bench, 0, 1);
    assert_eq!(bench.served_over(2, file.abort(0, 1)), ABORTED);
    assert_eq!(bench.served(file.abort(0, 2)), ABORTED);
    assert_eq!(bench.disk.shares().len(), 1, "another link, another upload");
    bench.served_over(2, file.open(0, 9)).unwrap();
    bench.served(file.abort(0, 1)).unwrap();
    assert_eq!(
        bench.disk.shares().len(),
        1,
        "another upload was told that the share is there"
    );
    finish(&mut bench, 1, 1);
    bench.found(&file);
    bench.served(file.abort(1, 1)).unwrap();
    assert_eq!(bench.disk.shares().len(), 2, "somebody found it");
    finish(&mut bench, 2, 1);
    bench.wait(TAKE_BACK_MAX);
    bench.served(file.abort(2, 1)).unwrap();
    assert_eq!(bench.disk.shares().len(), 3, "too late");
}

#[test]
fn abort_while_it_is_being_made_durable_takes_it_back_unless_it_was_shown() {
    for shown in [false, true] {
        let (mut bench, file) = (Bench::new(), test_file(1, 2500));
        bench.upload(&file, 0, 1);
        let close = bench.ask(file.close(0, 1));
        if shown {
            bench.ask_over(2, file.find(0));
        }
        let abort = bench.ask(file.abort(0, 1));
        assert_eq!(bench.answer(close).unwrap_err().code, FailureCode::Cancelled);
        bench.work();
        assert_eq!(bench.answer(abort), ABORTED);
        assert_eq!(bench.disk.shares().len(), usize::from(shown));
        assert_eq!(bench.store.report().share_count, u64::from(shown));
    }
}

#[test]
fn admission_bounds_open_shares() {
    let limits = Limits {
        open_max: 3,
        open_per_link_max: 2,
        ..Limits::default()
    };
    let (mut bench, file) = (
        Bench::with(config(limits), ModelDisk::new(1 << 30)),
        test_file(1, 2500),
    );
    bench.served(file.open(0, 1)).unwrap();
    bench.served(file.open(1, 1)).unwrap();
    let busy = bench.served(file.open(2, 1)).unwrap_err();
    assert_eq!(
        (busy.code, busy.retry_after),
        (FailureCode::Busy, RETRY_OPEN),
        "its link has enough"
    );
    bench.served_over(2, file.open(0, 2)).unwrap();
    assert_eq!(
        bench.served_over(3, file.open(0, 3)).unwrap_err().code,
        FailureCode::Busy,
        "the store has enough"
    );
    bench.served(file.abort(0, 1)).unwrap();
    bench.served_over(3, file.open(0, 3)).unwrap();
}

#[test]
fn admission_bounds_bytes_on_their_way_and_keeps_the_order() {
    let limits = Limits {
        write_bytes_max: 700,
        ..Limits::default()
    };
    let (mut bench, file) = (
        Bench::with(config(limits), ModelDisk::new(1 << 30)),
        test_file(1, 4096),
    );
    bench.served(file.open(0, 1)).unwrap();
    let first = bench.ask(file.write(0, 1, 0));
    let second = bench.ask(file.write(0, 1, 1));
    let busy = bench.answer(second).unwrap_err();
    assert_eq!((busy.code, busy.retry_after), (FailureCode::Busy, RETRY_DISK));
    bench.work();
    assert_eq!(bench.answer(first), Ok(Response::BlockWritten));
    assert_eq!(
        bench.code(file.write(0, 1, 2)),
        FailureCode::Busy,
        "behind the one sent away"
    );
    for segment in 1..4 {
        assert_eq!(
            bench.served(file.write(0, 1, segment)),
            Ok(Response::BlockWritten)
        );
    }
    assert_eq!(bench.served(file.close(0, 1)), CLOSED);
    bench.ask(test_file(2, 1024).put(0));
    let crowded = bench.ask(test_file(3, 1024).put(0));
    assert_eq!(bench.answer(crowded).unwrap_err().code, FailureCode::Busy);
}

#[test]
fn admission_bounds_leaves_and_reads() {
    let limits = Limits {
        leaves_max: 4,
        reads_max: 1,
        ..Limits::default()
    };
    let (mut bench, file) = (
        Bench::with(config(limits), ModelDisk::new(1 << 30)),
        test_file(1, 4096),
    );
    bench.served(file.open(0, 1)).unwrap();
    bench.served(file.write(0, 1, 0)).unwrap();
    bench.served(file.write(0, 1, 1)).unwrap();
    assert_eq!(bench.code(file.write(0, 1, 2)), FailureCode::Busy);
    assert_eq!(bench.store.report().open_shares, 0, "it could never be finished");
    bench.upload(&test_file(2, 100), 0, 1);
    bench.ask(file.find(0));
    let second = bench.ask(file.read(0, 0));
    assert_eq!(bench.answer(second).unwrap_err().code, FailureCode::Busy);
    bench.work();
    assert_eq!(
        bench.code(file.read(0, 0)),
        FailureCode::NotFound,
        "the disk is free again"
    );
}

#[test]
fn quota_reserve_and_promises_refuse_as_full_and_reads_go_on() {
    let (small, file) = (test_file(1, 100), test_file(2, 2500));
    let quota_bytes = small.share_file_bytes() + 300;
    let mut bench = Bench::with(
        StoreConfig {
            quota_bytes,
            ..config(Limits::default())
        },
        ModelDisk::new(1 << 30),
    );
    bench.served(small.put(0)).unwrap();
    let failure = bench.served(small.put(1)).unwrap_err();
    assert_eq!(failure.code, FailureCode::Full);
    assert!(failure.text.contains("300 available"), "{}", failure.text);
    bench.served(file.open(0, 1)).unwrap();
    assert_eq!(
        bench.code(file.open(1, 1)),
        FailureCode::Full,
        "promised to the first"
    );
    assert_eq!(
        bench.code(file.write(0, 1, 0)),
        FailureCode::Full,
        "more than promised"
    );
    assert_eq!(bench.store.report().open_shares, 0);
    assert_eq!(bench.found(&small), [ShareNumber(0)]);
    let Ok(Response::NodeStatus(status)) = bench.served(Request::GetStatus) else {
        panic!()
    };
    assert_eq!(
        (status.share_count, status.available_bytes, status.accepts_shares),
        (1, 300, true)
    );

    let reserve = StoreConfig {
        reserve_bytes: 5000,
        ..config(Limits::default())
    };
    let mut bench = Bench::with(reserve, ModelDisk::new(5000 + small.share_file_bytes()));
    bench.served(small.put(0)).unwrap();
    assert_eq!(bench.code(small.put(1)), FailureCode::Full);
    let Ok(Response::NodeStatus(status)) = bench.served(Request::GetStatus) else {
        panic!()
    };
    assert!(!status.accepts_shares);
    bench.disk.set_capacity(1 << 20);
    bench.wait(MEASURE_EVERY);
    bench.served(small.put(1)).unwrap();
}

#[test]
fn a_share_larger_than_promised_room_is_refused_at_once() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    let Request::OpenShare(open) = file.open(0, 1) else {
        panic!()
    };
    let huge = OpenShare {
        reserve_bytes: (1 << 30) + 1,
        ..open
    };
    assert_eq!(bench.code(Request::OpenShare(huge)), FailureCode::Full);
}

#[test]
fn a_disk_that_is_fuller_than_measured_fails_the_share_and_nothing_else() {
    let (small, file) = (test_file(1, 100), test_file(2, 2500));
    let mut bench = Bench::new();
    bench.served(small.put(0)).unwrap();
    bench.served(file.open(0, 1)).unwrap();
    bench.disk.set_capacity(small.share_file_bytes() + 100);
    assert_eq!(bench.code(file.write(0, 1, 0)), FailureCode::Full);
    assert_eq!(bench.disk.incoming_count(), 0, "what there was of it is gone");
    assert_eq!(
        bench.code(file.open(0, 2)),
        FailureCode::Full,
        "until it is measured again"
    );
    assert_eq!(bench.found(&small), [ShareNumber(0)]);
    bench.disk.set_capacity(1 << 20);
    bench.wait(MEASURE_EVERY);
    bench.upload(&file, 0, 3);
    bench.served(file.close(0, 3)).unwrap();
}

#[test]
fn a_disk_fault_at_any_operation_fails_that_share_alone() {
    for fails in 0..5 {
        let (mut bench, file) = (Bench::new(), test_file(1, 2500));
        bench.disk.fail_in(fails);
        let mut requests = vec![file.open(0, 1)];
        requests.extend((0..3).map(|segment| file.write(0, 1, segment)));
        requests.push(file.close(0, 1));
        let failed = requests
            .into_iter()
            .map(|request| bench.served(request))
            .find_map(Result::err);
        assert_eq!(
            failed.expect("it fails").code,
            FailureCode::Internal,
            "operation {fails}"
        );
        assert_eq!(bench.store.report().aborted.failed, 1);
        assert_eq!((bench.disk.incoming_count(), bench.disk.shares().len()), (0, 0));
        bench.upload(&file, 0, 2);
        assert_eq!(bench.served(file.close(0, 2)), CLOSED);
    }
}

#[test]
fn blocks_of_a_failed_share_are_all_answered() {
    let (mut bench, file) = (Bench::new(), test_file(1, 4096));
    bench.served(file.open(0, 1)).unwrap();
    bench.disk.fail_in(1);
    let writes: Vec<Ticket> = (0..4)
        .map(|segment| bench.ask(file.write(0, 1, segment)))
        .collect();
    let close = bench.ask(file.close(0, 1));
    bench.work();
    let codes: Vec<_> = writes
        .iter()
        .map(|write| bench.answer(*write).map_err(|failure| failure.code))
        .collect();
    let lost = Err(FailureCode::NotFound);
    assert_eq!(
        codes,
        [
            Ok(Response::BlockWritten),
            Err(FailureCode::Internal),
            lost.clone(),
            lost
        ]
    );
    assert_eq!(bench.answer(close).unwrap_err().code, FailureCode::Cancelled);
}

#[test]
fn reads_give_blocks_with_proofs_that_check() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 1, 1);
    bench.served(file.close(1, 1)).unwrap();
    for segment in 0..3 {
        let Ok(Response::BlockRead(read)) = bench.served(file.read(1, segment)) else {
            panic!()
        };
        assert_eq!(read.block, file.blocks[1][segment as usize]);
        let leaf = file.block_leaves[1][segment as usize];
        assert!(merkle::verify_path(
            &file.facts.share_roots[1],
            leaf,
            segment,
            3,
            &read.block_path
        ));
        assert!(merkle::verify_path(
            file.facts.ueb.sealed_root(),
            read.sealed.leaf,
            segment,
            3,
            &read.sealed.path
        ));
    }
    assert_eq!(bench.code(file.read(1, 3)), FailureCode::BadRequest);
    assert_eq!(bench.code(file.read(0, 0)), FailureCode::NotFound);
    let small = test_file(2, 100);
    bench.served(small.put(2)).unwrap();
    let Ok(Response::FoundShares(found)) = bench.served(small.find(64)) else {
        panic!()
    };
    assert_eq!(
        (found.inlined, found.file),
        (Some(small.blocks[2][0].clone()), Some(small.facts.clone()))
    );
    let Ok(Response::FoundShares(found)) = bench.served(small.find(63)) else {
        panic!()
    };
    assert_eq!(found.inlined, None, "longer than asked for");
}

#[test]
fn a_damaged_share_is_never_served_and_leaves_the_books() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    for share in 0..3 {
        bench.upload(&file, share, 1);
        bench.served(file.close(share, 1)).unwrap();
    }
    bench.disk.damage(file.share(0));
    assert_eq!(bench.code(file.read(0, 0)), FailureCode::Corrupt);
    assert_eq!(
        bench.code(file.read(0, 0)),
        FailureCode::NotFound,
        "it has been put aside"
    );
    bench.disk.damage(file.share(1));
    assert_eq!(bench.found(&file), [ShareNumber(2)]);
    bench.disk.damage(file.share(2));
    bench.store.verify(Ticket(0), file.share(2));
    bench.drain();
    bench.work();
    assert_eq!(bench.verified, Some(Err(DiskFault::Corrupt)));
    let report = bench.store.report();
    let once_each = Corrupt {
        read: 2,
        write: 0,
        scrub: 1,
    };
    assert_eq!(
        (report.share_count, report.used_bytes, report.corrupt),
        (0, 0, once_each)
    );
    bench.upload(&file, 0, 2);
    bench.served(file.close(0, 2)).unwrap();
    bench.store.verify(Ticket(0), file.share(0));
    bench.drain();
    bench.work();
    assert_eq!(bench.verified, Some(Ok(file.share_file_bytes())));
}

#[test]
fn late_stopped_and_foreign_requests_are_refused() {
    let (mut bench, file) = (Bench::new(), test_file(1, 100));
    let asked = Asked {
        ticket: Ticket(900),
        link: 1,
        deadline: Mono::ZERO,
    };
    bench
        .store
        .handle_request(Mono::ZERO, UnixSeconds::from_secs(0), asked, file.find(0));
    bench.drain();
    assert_eq!(bench.answer(Ticket(900)).unwrap_err().code, FailureCode::Expired);
    let push = Request::PushRoster(truckee_wire::message::PushRoster::default());
    assert_eq!(bench.code(push), FailureCode::Unsupported);
    bench.served(file.open(0, 1)).unwrap();
    bench.store.stop();
    assert_eq!(bench.code(file.open(1, 1)), FailureCode::Busy);
    assert_eq!(bench.code(file.put(1)), FailureCode::Busy);
    bench.served(file.write(0, 1, 0)).unwrap();
    assert_eq!(
        bench.served(file.close(0, 1)),
        CLOSED,
        "what is open may be finished"
    );
    assert!(bench.store.is_idle());
}

#[test]
fn abort_takes_nothing_that_another_is_about_to_hear_of() {
    let finish = |bench: &mut Bench, file: &TestFile| {
        bench.upload(file, 0, 1);
        bench.served(file.close(0, 1)).unwrap();
    };
    let file = test_file(1, 2500);
    let others: [&dyn Fn(&mut Bench) -> Ticket; 2] =
        [&|bench| bench.ask_over(2, file.open(0, 9)), &|bench| {
            bench.ask_over(2, file.find(0))
        }];
    for other in others {
        let mut bench = Bench::new();
        finish(&mut bench, &file);
        // The disk has answered the other, but the store has not heard of it yet.
        let ticket = other(&mut bench);
        let (token, op) = bench.queued.remove(0);
        let reply = bench.disk.carry_out(op);
        assert_eq!(bench.served(file.abort(0, 1)), ABORTED);
        bench.store.handle_disk(bench.now, token, reply);
        bench.drain();
        bench.work();
        assert!(bench.answer(ticket).is_ok());
        assert_eq!(bench.disk.shares().len(), 1, "the other counts on it");
    }
}

#[test]
fn abort_takes_nothing_that_was_finished_and_shown_after_the_question() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    // Both are with the disk, which ends the later one first.
    let find = bench.ask(file.find(0));
    let close = bench.ask(file.close(0, 1));
    assert_eq!(bench.queued.len(), 2);
    bench.queued.swap(0, 1);
    bench.work();
    assert_eq!(bench.answer(close), CLOSED);
    let Ok(Response::FoundShares(found)) = bench.answer(find) else {
        panic!("it is answered")
    };
    assert_eq!(found.shares, [ShareNumber(0)]);
    assert_eq!(bench.served(file.abort(0, 1)), ABORTED);
    assert_eq!(bench.disk.shares().len(), 1, "somebody counts on it");
}

#[test]
fn a_share_on_its_way_out_is_not_shown_any_more() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    bench.served(file.close(0, 1)).unwrap();
    bench.ask(file.abort(0, 1));
    let find = bench.ask_over(2, file.find(0));
    bench.queued.reverse();
    bench.work();
    let Ok(Response::FoundShares(found)) = bench.answer(find) else {
        panic!()
    };
    assert_eq!(
        (found.shares, found.file),
        (Vec::new(), None),
        "though the disk still saw it"
    );
}

#[test]
fn an_unfinished_file_that_cannot_be_removed_is_tried_again() {
    let (mut bench, file) = (Bench::new(), test_file(1, 2500));
    bench.upload(&file, 0, 1);
    bench.disk.fail_in(0);
    assert_eq!(bench.served(file.abort(0, 1)), ABORTED);
    assert_eq!(bench.disk.incoming_count(), 1);
    bench.wait(MEASURE_EVERY);
    assert_eq!(bench.disk.incoming_count(), 0);
}

/// Lists a bucket to its end, page by page.
fn list(bench: &mut Bench, bucket: Bucket) -> Vec<Holding> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        bench.store.list(Ticket(0), bucket, after);
        bench.drain();
        bench.work();
        let page = bench.listed.take().expect("answered").expect("listed");
        assert!(page.holdings.len() <= LIST_MAX);
        all.extend(page.holdings);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

#[test]
fn a_bucket_is_listed_page_by_page() {
    let (mut bench, mut expected) = (Bench::new(), Vec::new());
    // The storage index of a test file repeats its number: these four lie in four buckets.
    for number in [9, 1, 130, 5] {
        let file = test_file(number, 100);
        for share in [2, 0] {
            bench.served(file.put(share)).unwrap();
        }
    }
    let file = test_file(5, 100);
    for share in [0, 2] {
        expected.push(Holding {
            share: file.share(share),
            coding: file.facts.ueb.coding(),
            file_bytes: file.share_file_bytes(),
        });
    }
    assert_eq!(list(&mut bench, Bucket::of(&file.si)), expected);
    let empty = Bucket::from_index(1023).unwrap();
    assert_eq!(list(&mut bench, empty), []);
    // A bucket of two pages and a bit: files of one bucket differ in their later bytes.
    let count = 2 * LIST_MAX + 3;
    for at in 0..count {
        let mut file = test_file(200, 100);
        file.si.0[4..12].copy_from_slice(&(at as u64).to_be_bytes());
        bench.served(file.put(1)).unwrap();
    }
    let shares: Vec<ShareId> = list(&mut bench, Bucket::of(&test_file(200, 100).si))
        .iter()
        .map(|holding| holding.share)
        .collect();
    assert_eq!(shares.len(), count);
    assert!(
        shares.is_sorted_by(|one, next| one < next),
        "each once, ascending"
    );
    assert_eq!(bench.store.report().reads_in_flight, 0);
}

#[test]
fn a_list_puts_aside_what_has_no_good_header() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    for share in 0..3 {
        bench.served(file.put(share)).unwrap();
    }
    bench.disk.damage_header(file.share(1));
    bench.disk.damage(file.share(2));
    bench.store.list(Ticket(0), Bucket::of(&file.si), None);
    bench.drain();
    bench.work();
    let page = bench.listed.take().unwrap().unwrap();
    let shares: Vec<ShareId> = page.holdings.iter().map(|holding| holding.share).collect();
    assert_eq!(shares, [file.share(0), file.share(2)], "blocks are not read");
    assert_eq!((page.next, page.put_aside), (None, 1));
    let report = bench.store.report();
    assert_eq!((report.corrupt.scrub, report.corrupt.total()), (1, 1));
    assert_eq!(
        (report.share_count, report.used_bytes),
        (2, bench.disk.used_bytes())
    );
}

#[test]
fn damage_is_counted_by_what_found_it() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    for share in 0..2 {
        bench.served(file.put(share)).unwrap();
    }
    bench.disk.damage(file.share(0));
    assert_eq!(bench.code(file.read(0, 0)), FailureCode::Corrupt);
    bench.disk.damage(file.share(1));
    bench.store.verify(Ticket(0), file.share(1));
    bench.drain();
    bench.work();
    let found = bench.store.report().corrupt;
    assert_eq!(
        found,
        Corrupt {
            read: 1,
            write: 0,
            scrub: 1
        }
    );
    // What a disk finds where a share is to be written.
    let ticket = bench.ask(file.put(0));
    let (token, _) = bench.queued.remove(0);
    let reply = DiskReply {
        result: Ok(DiskDone::Stored { file_bytes: 1 }),
        damage: Damage { shares: 1, bytes: 1 },
    };
    bench.store.handle_disk(bench.now, token, reply);
    bench.drain();
    assert!(bench.answer(ticket).is_ok());
    assert_eq!(bench.store.report().corrupt.write, 1);
}

#[test]
fn what_can_wait_is_refused_while_peers_keep_the_disk_busy() {
    let limits = Limits {
        reads_max: 16,
        write_bytes_max: 3000,
        ..Limits::default()
    };
    let (large, small) = (test_file(1, 2500), test_file(2, 2000));
    let refused = |bench: &mut Bench| {
        bench.store.verify(Ticket(0), small.share(0));
        bench.store.list(Ticket(0), Bucket::of(&small.si), None);
        bench.drain();
        match (bench.verified.take(), bench.listed.take()) {
            (Some(verified), Some(listed)) => {
                assert_eq!(
                    (verified, listed),
                    (Err(DiskFault::Overloaded), Err(DiskFault::Overloaded))
                );
                true
            }
            (None, None) => {
                bench.work();
                bench
                    .verified
                    .take()
                    .expect("answered")
                    .expect_err("no such share");
                bench.listed.take().expect("answered").expect("listed");
                false
            }
            other => panic!("both or none: {other:?}"),
        }
    };
    let mut bench = Bench::with(config(limits), ModelDisk::new(1 << 30));
    assert!(!refused(&mut bench), "an idle store");
    bench.ask(small.find(0));
    assert!(!refused(&mut bench), "one read of sixteen");
    for _ in 0..4 {
        bench.ask(small.find(0));
    }
    assert!(refused(&mut bench), "a quarter of the reads");
    bench.work();
    assert!(!refused(&mut bench), "idle again");
    bench.served(large.open(0, 1)).unwrap();
    bench.ask(large.write(0, 1, 0));
    assert!(!refused(&mut bench), "a fifth of the bytes");
    for segment in 1..3 {
        bench.ask(large.write(0, 1, segment));
    }
    assert!(refused(&mut bench), "a quarter of the bytes and more");
    bench.work();
    bench.store.stop();
    assert!(refused(&mut bench), "it stops");
    assert!(bench.store.is_idle());
}

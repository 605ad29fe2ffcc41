//! The store as a peer sees it, with a real disk in a temporary directory.

use std::sync::Arc;

use tempfile::TempDir;
use truckee_engine::store::{DiskDone, DiskOp, Holding, Limits};
use truckee_grid::ids::{NodeId, ShareNumber, UploadId};
use truckee_wire::message::{
    CloseShare, FailureCode, FindShares, Lane, OpenShare, ReadBlock, Request, Response, Roles, WriteBlock,
};

use super::testing::{Sample, sample};
use super::*;
use crate::clock::SystemClock;
use crate::inbound::{Asker, CancelFlag, InboundHandler, LinkId, LinkListener};
use crate::supervise::{Health, Settled, StartChild, Supervisor, stop_all};

struct Rig {
    dir: TempDir,
    slot: Slot<ShareStore>,
    root: Addr<Supervisor>,
    clock: ClockHandle,
}

async fn rig(quota_bytes: u64) -> Rig {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, start) = PackedDisk::open(dir.path()).expect("opens");
    rig_on(dir, Arc::new(disk), start, quota_bytes).await
}

async fn rig_on(dir: TempDir, disk: Arc<dyn Disk>, start: StartSpace, quota_bytes: u64) -> Rig {
    let pool = DiskPool::start(&disk, PoolConfig::default()).expect("threads start");
    let config = StoreConfig {
        quota_bytes,
        reserve_bytes: 0,
        epoch: 1,
        draining: false,
        software: String::from("test"),
        limits: Limits::default(),
    };
    let (slot, clock) = (Slot::new(), SystemClock::handle());
    let spec = ShareStore::child(config, pool, start, ClockHandle::clone(&clock), &slot);
    let root = Supervisor::new(ClockHandle::clone(&clock), (), Health::new()).start();
    tell(&root, StartChild(spec)).expect("just started");
    root.send(Settled).await.expect("alive");
    Rig {
        dir,
        slot,
        root,
        clock,
    }
}

impl Rig {
    async fn ask(&self, link: u64, request: Request) -> Served {
        let (sender, answer) = oneshot::channel();
        let asker = Asker {
            node_id: NodeId([1; 32]),
            link: LinkId(link),
            roles: Roles::NONE,
        };
        self.slot.handle(Inbound {
            asker,
            request,
            lane: Lane::Bulk,
            deadline: self.clock.now() + Duration::from_secs(60),
            cancelled: CancelFlag::default(),
            responder: Responder::new(move |served| sender.send(served).expect("the test waits")),
        });
        answer.await.expect("answered")
    }

    async fn open(&self, link: u64, sample: &Sample) -> Served {
        let open = OpenShare {
            si: sample.share.si,
            share: sample.share.share,
            upload: UploadId([7; 16]),
            coding: sample.encoding.coding(),
            segment_bytes: sample.encoding.segment_bytes(),
            reserve_bytes: 0,
        };
        self.ask(link, Request::OpenShare(open)).await
    }

    async fn block(&self, link: u64, sample: &Sample, index: usize) -> Served {
        let write = WriteBlock {
            si: sample.share.si,
            share: sample.share.share,
            upload: UploadId([7; 16]),
            segment: truckee_grid::ids::SegmentIndex(index as u64),
            block_leaf: sample.closing.block_leaves[index],
            sealed_leaf: sample.closing.sealed_leaves[index],
            block: sample.blocks[index].clone(),
        };
        self.ask(link, Request::WriteBlock(write)).await
    }

    async fn write(&self, link: u64, sample: &Sample) -> Served {
        self.open(link, sample).await?;
        for index in 0..sample.blocks.len() {
            self.block(link, sample, index).await?;
        }
        let close = CloseShare {
            si: sample.share.si,
            share: sample.share.share,
            upload: UploadId([7; 16]),
            file: sample.closing.file.clone(),
        };
        self.ask(link, Request::CloseShare(close)).await
    }

    async fn shares(&self, sample: &Sample) -> Vec<ShareNumber> {
        let find = FindShares {
            si: sample.share.si,
            inline_bytes_max: 0,
        };
        match self.ask(9, Request::FindShares(find)).await {
            Ok(Response::FoundShares(found)) => found.shares,
            other => panic!("{other:?}"),
        }
    }

    fn incoming(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("incoming"))
            .expect("there")
            .count()
    }
}

#[actix::test]
async fn a_share_that_was_acknowledged_is_there() {
    let rig = rig(1 << 30).await;
    let sample = sample(1, 3000, 4);
    assert_eq!(rig.write(1, &sample).await, Ok(Response::ShareClosed));
    assert_eq!(rig.shares(&sample).await, [ShareNumber(4)]);
    let read = ReadBlock {
        si: sample.share.si,
        share: sample.share.share,
        segment: truckee_grid::ids::SegmentIndex(1),
        suspect: false,
    };
    let Ok(Response::BlockRead(read)) = rig.ask(2, Request::ReadBlock(read)).await else {
        panic!("read")
    };
    assert_eq!(read.block, sample.blocks[1]);
    let handle = ShareStoreHandle::new(&rig.slot);
    let file_bytes = handle.verify(sample.share).await.expect("sound");
    assert!(file_bytes > 1000);
    let listing = handle
        .list(Bucket::of(&sample.share.si), None)
        .await
        .expect("listed");
    let holding = Holding {
        share: sample.share,
        coding: sample.encoding.coding(),
        file_bytes,
    };
    assert_eq!((listing.holdings, listing.next), (vec![holding], None));
    assert_eq!(handle.report().await.expect("alive").share_count, 1);
}

#[actix::test]
async fn an_unfinished_share_goes_with_its_link() {
    let rig = rig(1 << 30).await;
    let sample = sample(1, 3000, 4);
    rig.open(1, &sample).await.expect("opened");
    rig.block(1, &sample, 0).await.expect("written");
    assert_eq!(rig.incoming(), 1);
    let gone = |link| LinkEvent {
        peer: NodeId([1; 32]),
        link: LinkId(link),
        up: false,
    };
    rig.slot.link_event(gone(2));
    assert!(
        rig.block(1, &sample, 1).await.is_ok(),
        "another link is none of its business"
    );
    rig.slot.link_event(gone(1));
    assert!(rig.block(1, &sample, 2).await.is_err());
    // Stopping waits for the disk.
    assert!(stop_all(&rig.root).await.is_empty());
    assert_eq!(rig.incoming(), 0);
}

#[actix::test]
async fn a_full_store_refuses_and_goes_on_serving() {
    let (first, second) = (sample(1, 3000, 4), sample(2, 3000, 4));
    let rig = rig(3000).await;
    assert_eq!(rig.write(1, &first).await, Ok(Response::ShareClosed));
    let refused = rig.write(1, &second).await.expect_err("no room for a second");
    assert_eq!(refused.code, FailureCode::Full, "{refused:?}");
    assert_eq!(rig.shares(&first).await, [ShareNumber(4)]);
    assert!(rig.shares(&second).await.is_empty());
}

#[actix::test]
async fn stopping_refuses_new_shares_and_answers_all() {
    let rig = rig(1 << 30).await;
    let sample = sample(1, 3000, 4);
    rig.slot.tell(Stop).expect("alive");
    // Either the store refuses it, or it has ended and the dropped responder answers: never silence, never a share.
    let served = rig.open(1, &sample).await.expect_err("refused");
    assert!(
        matches!(
            served.code,
            FailureCode::Busy | FailureCode::Full | FailureCode::Internal
        ),
        "{served:?}"
    );
}

/// A check of a share that has no end.
struct Endless;

impl Disk for Endless {
    fn carry_out(&self, _: DiskOp) -> DiskReply {
        Ok(DiskDone::Measured { free_bytes: 1 << 30 }).into()
    }

    fn carry_out_in_turn(&self, _: DiskOp, turn: &dyn disk::Turn) -> DiskReply {
        while turn.wait().is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(DiskFault::Overloaded).into()
    }
}

#[actix::test]
async fn stopping_does_not_wait_for_the_end_of_a_long_check() {
    let dir = TempDir::new().expect("temporary directory");
    let rig = rig_on(dir, Arc::new(Endless), StartSpace::default(), 1 << 30).await;
    let handle = ShareStoreHandle::new(&rig.slot);
    let check = tokio::task::spawn_local(async move { handle.verify(sample(1, 10, 0).share).await });
    tokio::task::yield_now().await;
    assert!(stop_all(&rig.root).await.is_empty(), "it ended in time");
    assert_eq!(check.await.expect("no panic"), Err(DiskFault::Overloaded));
}

//! How fast blocks go from one node to another over one real link: TLS 1.3, TCP, frames, sessions and actors, over the loopback
//! interface, both ends on one thread.
//!
//! Owns figures for comparing one version of links with another on the same machine. Nothing is stored: the other node answers as
//! soon as a block is there. Windows and lanes are those of production; so many blocks are under way as an upload would have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use futures_util::future::join_all;
use tokio::sync::watch;
use truckee_actors::call::{Call, Reply};
use truckee_actors::clock::SystemClock;
use truckee_actors::directory::{Directory, Member};
use truckee_actors::inbound::{Admission, Admitted, Inbound, InboundHandler, Refusal, Router};
use truckee_actors::mesh::MeshLimits;
use truckee_actors::node::{MeshAccess, Node, NodeParts, bind};
use truckee_actors::tls::TlsIdentity;
use truckee_actors::trace::Trace;
use truckee_grid::ids::{Hash, NodeId, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_wire::message::{
    FindShares, FoundShares, Grant, Lane, Request, RequestKind, Response, Role, Roles, WriteBlock,
};

/// A block of a segment of 1 MiB, sealed and cut in three.
const BLOCK_BYTES: usize = 349_568;

/// Blocks under way at a time: a few segments of an upload.
const BLOCKS: usize = 8;

/// Longer than any answer takes.
const BUDGET: Duration = Duration::from_secs(30);

fn main() {
    let system = actix::System::new();
    let (near, far) = system.block_on(pair());
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let mut group = criterion.benchmark_group("link");
    let find = FindShares {
        si: StorageIndex([7; 16]),
        inline_bytes_max: 0,
    };
    let find = Request::FindShares(find);
    group.bench_function("a small request there and back", |bencher| {
        bencher.iter(|| system.block_on(ask(&near.node, far.id, Lane::Interactive, find.clone())));
    });
    let block = Bytes::from(vec![0x5a; BLOCK_BYTES]);
    group.throughput(Throughput::Bytes((BLOCKS * BLOCK_BYTES) as u64));
    group.bench_function("8 blocks under way", |bencher| {
        let write = |segment| ask(&near.node, far.id, Lane::Bulk, write(segment, &block));
        bencher.iter(|| system.block_on(join_all((0..BLOCKS as u64).map(write))));
    });
    group.finish();
    criterion.final_summary();
    system.block_on(async {
        near.node.stop().await;
        far.node.stop().await;
    });
}

fn write(segment: u64, block: &Bytes) -> Request {
    Request::WriteBlock(WriteBlock {
        si: StorageIndex([1; 16]),
        share: ShareNumber(3),
        upload: UploadId([2; 16]),
        segment: SegmentIndex(segment),
        block_leaf: Hash([3; 32]),
        sealed_leaf: Hash([4; 32]),
        block: block.clone(),
    })
}

/// Asks once. A request that fails makes every figure worthless, so it ends the benchmark.
async fn ask(node: &Node, peer: NodeId, lane: Lane, request: Request) -> Response {
    let call = Call {
        request,
        lane,
        budget: BUDGET,
        trace: Trace::none(),
    };
    let (reply, answer) = Reply::oneshot();
    let guard = node.mesh().call(peer, call, reply);
    let answer = answer.await.expect("every request is answered");
    drop(guard);
    answer.expect("the other node is there")
}

/// Lets in everybody: there are only two.
struct Everybody;

fn roles() -> Roles {
    Roles::NONE.with(Role::Storage)
}

impl Admission for Everybody {
    fn admit(&self, _: NodeId, _: Option<&Grant>) -> Result<Admitted, Refusal> {
        Ok(Admitted::Member(roles()))
    }

    fn authorise(&self, _: NodeId, _: RequestKind) -> Result<Roles, Refusal> {
        Ok(roles())
    }

    fn own_hello(&self) -> (Option<Grant>, u64) {
        (None, 0)
    }
}

/// Answers at once.
struct AtOnce;

impl InboundHandler for AtOnce {
    fn handle(&self, inbound: Inbound) {
        let answer = match &inbound.request {
            Request::WriteBlock(_) => Response::BlockWritten,
            _ => Response::FoundShares(FoundShares {
                shares: Vec::new(),
                file: None,
                inlined: None,
            }),
        };
        inbound.responder.respond(Ok(answer));
    }
}

struct Started {
    id: NodeId,
    address: SocketAddr,
    node: Node,
    directory: watch::Sender<Arc<Directory>>,
}

async fn start(seed: u8) -> Started {
    let identity = TlsIdentity::from_seed(&[seed; 32]).expect("any seed is a key");
    let (directory, watched) = watch::channel(Arc::new(BTreeMap::new()));
    let id = identity.node_id();
    let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = socket.local_addr().expect("bound");
    let node = Node::start(NodeParts {
        identity,
        roles: roles(),
        clock: SystemClock::handle(),
        access: MeshAccess::new(id, watched),
        admission: Arc::new(Everybody),
        router: Router::new().with_shares(AtOnce),
        listeners: Vec::new(),
        below: Vec::new(),
        above: Vec::new(),
        socket,
        limits: MeshLimits::default(),
        seed: [seed; 32],
    });
    let node = node.await.expect("the root starts");
    Started {
        id,
        address,
        node,
        directory,
    }
}

/// Two nodes that know each other.
async fn pair() -> (Started, Started) {
    let (near, far) = (start(1).await, start(2).await);
    for (knows, peer) in [(&near, &far), (&far, &near)] {
        let member = Member {
            node_id: peer.id,
            nickname: "peer".to_owned(),
            zone: String::new(),
            roles: roles(),
            addresses: vec![peer.address.to_string()],
            software: String::new(),
            keep_linked: false,
        };
        knows.directory.send_modify(|directory| {
            Arc::make_mut(directory).insert(peer.id, member);
        });
    }
    (near, far)
}

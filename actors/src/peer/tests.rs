use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_wire::convert::{Head, Prepared, decode_head, hello_frame};
use truckee_wire::frame::{Decoder, FRAME_BYTES_MAX, FrameOut};
use truckee_wire::message::{
    BlockRead, Failure, FailureCode, FoundShares, Hello, Lane, PROTOCOL_VERSION, ReadBlock, Request,
    Response, SealedProof, SessionId, WriteBlock,
};

use super::*;
use crate::call::{Call, CallResult, LinkState, Reply};
use crate::inbound::{Admitted, Refusal};
use crate::metrics as names;
use crate::net::{self, NetBounds, Socket};
use crate::testing::{Counts, TestNode, find, pair, short_limits, until};
use crate::tls::TlsIdentity;
use crate::trace::Trace;

/// What tests ask of a peer's actor.
#[derive(Message)]
#[rtype(result = "usize")]
enum Probe {
    Lines,
    Panic,
}

impl Handler<Probe> for Peer {
    type Result = usize;

    fn handle(&mut self, probe: Probe, _: &mut Self::Context) -> usize {
        assert!(!matches!(probe, Probe::Panic), "on purpose");
        self.lines.len()
    }
}

fn actor(node: &TestNode, peer: NodeId) -> Addr<Peer> {
    let entry = node.access.table().entry(peer).expect("the peer has an actor");
    entry.slot.get().expect("it is alive")
}

fn found() -> Response {
    Response::FoundShares(FoundShares {
        shares: Vec::new(),
        file: None,
        inlined: None,
    })
}

/// Answers the next request of `node`.
async fn answer_next(node: &mut TestNode, response: Response) -> Request {
    let inbound = node.inbound.recv().await.expect("a request comes");
    let request = inbound.request.clone();
    inbound.responder.respond(Ok(response));
    request
}

#[actix::test]
async fn two_nodes_ask_each_other_over_one_link() {
    let (mut a, mut b) = pair(&short_limits()).await;
    let (asked, served) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()));
    assert_eq!(served, find().request);
    let (asked, _) = tokio::join!(b.node.mesh().ask(a.id, find()), answer_next(&mut a, found()));
    assert_eq!(asked, Ok(found()));
    assert_eq!(
        (a.state_of(b.id), b.state_of(a.id)),
        (LinkState::Up, LinkState::Up)
    );
    assert_eq!(actor(&a, b.id).send(Probe::Lines).await, Ok(1));
    assert_eq!(actor(&b, a.id).send(Probe::Lines).await, Ok(1));
    let (up_a, up_b) = (
        a.events.recv().await.expect("told"),
        b.events.recv().await.expect("told"),
    );
    assert_eq!((up_a.peer, up_a.up, up_b.peer, up_b.up), (b.id, true, a.id, true));
}

#[actix::test]
async fn a_peer_is_shown_where_it_can_be_reached() {
    let (a, mut b) = pair(&short_limits()).await;
    // Behind another of its addresses than the one that it names first.
    let listens_at = b.address.to_string();
    a.know_at(b.id, &["127.0.0.1:1", &listens_at], false);
    let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()));
    assert_eq!(a.address_of(b.id), Some(listens_at), "where it was dialled");
    assert_eq!(
        b.address_of(a.id),
        Some(a.address.to_string()),
        "what it says, not where it dialled from"
    );
}

#[actix::test]
async fn blocks_pass_whole_in_both_directions() {
    let (a, mut b) = pair(&short_limits()).await;
    let block: Bytes = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let write = Call {
        request: Request::WriteBlock(WriteBlock {
            si: StorageIndex([1; 16]),
            share: ShareNumber(3),
            upload: UploadId([2; 16]),
            segment: SegmentIndex(0),
            block_leaf: Hash([3; 32]),
            sealed_leaf: Hash([4; 32]),
            block: block.clone(),
        }),
        lane: Lane::Bulk,
        budget: Duration::from_secs(10),
        trace: Trace::none(),
    };
    let read = Call {
        request: Request::ReadBlock(ReadBlock {
            si: StorageIndex([1; 16]),
            share: ShareNumber(3),
            segment: SegmentIndex(0),
            suspect: false,
        }),
        lane: Lane::Interactive,
        budget: Duration::from_secs(10),
        trace: Trace::none(),
    };
    let sealed = SealedProof {
        leaf: Hash([5; 32]),
        path: Vec::new(),
    };
    let answer = Response::BlockRead(BlockRead {
        block_path: Vec::new(),
        sealed,
        block: block.clone(),
    });
    let mesh = a.node.mesh();
    let writing = mesh.ask(b.id, write.clone());
    let reading = mesh.ask(b.id, read);
    let serving = async {
        for _ in 0..2 {
            let inbound = b.inbound.recv().await.expect("two requests come");
            let response = match &inbound.request {
                Request::WriteBlock(got) => {
                    assert_eq!(got.block, block);
                    Response::BlockWritten
                }
                _ => answer.clone(),
            };
            inbound.responder.respond(Ok(response));
        }
    };
    let (written, got, ()) = tokio::join!(writing, reading, serving);
    assert_eq!(written, Ok(Response::BlockWritten));
    assert!(got == Ok(answer.clone()), "the block came back as it was sent");
}

#[actix::test]
async fn another_identity_at_the_address_is_refused() {
    let counts = Counts::default();
    let _recording = ::metrics::set_default_local_recorder(&counts);
    let (a, b) = pair(&short_limits()).await;
    let expected = NodeId([9; 32]);
    a.know(expected, &b.address.to_string(), false);
    let result = a.mesh().ask(expected, find()).await;
    assert!(matches!(result, Err(CallError::Down { .. })), "{result:?}");
    assert_eq!(a.last_failure_of(expected), Some("wrong_identity"));
    assert_eq!(counts.get(names::LINK_DIALS, "wrong_identity"), 1);
}

/// The other end of a link, played by the test.
struct Raw {
    socket: Socket,
    decoder: Decoder,
}

impl Raw {
    async fn dial(node: &TestNode, seed: u8) -> Self {
        let identity = TlsIdentity::from_seed(&[seed; 32]).expect("any seed is a key");
        let socket = net::dial(
            &identity,
            node.id,
            &node.address.to_string(),
            NetBounds::default(),
        )
        .await
        .expect("the node listens");
        Self {
            socket,
            decoder: Decoder::new(),
        }
    }

    fn hello() -> FrameOut {
        let hello = Hello {
            version: PROTOCOL_VERSION,
            session: SessionId([5; 16]),
            grant: None,
            announcement_sequence: 0,
            frame_bytes_max: FRAME_BYTES_MAX as u32,
            inflight_bytes_max: 1 << 20,
        };
        hello_frame(&hello).expect("within its bounds")
    }

    fn request(id: u64) -> FrameOut {
        let Call { request, lane, .. } = find();
        let head = Prepared::request(id, lane, None, &request).expect("within its bounds");
        head.into_frame(Some(Duration::from_secs(5)), Bytes::new())
    }

    async fn send(&mut self, frames: &[FrameOut]) {
        for frame in frames {
            self.socket.stream.write_all(&frame.head).await.expect("sent");
            self.socket.stream.write_all(&frame.payload).await.expect("sent");
        }
        self.socket.stream.flush().await.expect("sent");
    }

    /// The next frame's head, or `None` when the other end has closed.
    async fn next(&mut self) -> Option<Head> {
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("frames") {
                return Some(decode_head(frame.head).expect("a head"));
            }
            let mut piece = [0; 4096];
            match self.socket.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&piece[..count]),
            }
        }
    }

    /// Reads until the other end closes; gives the heads.
    async fn rest(&mut self) -> Vec<Head> {
        let mut heads = Vec::new();
        while let Some(head) = self.next().await {
            heads.push(head);
        }
        heads
    }
}

#[actix::test]
async fn a_stranger_is_refused_before_any_request_is_read() {
    let counts = Counts::default();
    let _recording = ::metrics::set_default_local_recorder(&counts);
    for refusal in [
        Refusal::Stranger,
        Refusal::Expired,
        Refusal::Revoked,
        Refusal::BadGrant,
    ] {
        let mut node = TestNode::start(1, short_limits()).await;
        let identity = TlsIdentity::from_seed(&[9; 32]).expect("any seed is a key");
        node.admission.say(identity.node_id(), Err(refusal));
        let mut stranger = Raw::dial(&node, 9).await;
        stranger.send(&[Raw::hello(), Raw::request(1)]).await;
        let heads = stranger.rest().await;
        assert!(
            heads
                .iter()
                .any(|head| matches!(head, Head::Goodbye(bye) if bye.reason == GoodbyeReason::Refused)),
            "{heads:?}"
        );
        assert!(
            !heads.iter().any(|head| matches!(head, Head::Answer { .. })),
            "{heads:?}"
        );
        assert!(node.inbound.try_recv().is_err(), "no request was read");
        assert!(node.events.try_recv().is_err(), "no link was announced");
        assert_eq!(counts.get(names::LINK_REFUSED, refusal.name()), 1);
        let table = node.access.table().clone();
        until("the stranger is let go", || {
            table.entry(identity.node_id()).is_none()
        })
        .await;
    }
}

#[actix::test]
async fn a_node_that_joins_may_ask_for_nothing_else() {
    let mut node = TestNode::start(1, short_limits()).await;
    let identity = TlsIdentity::from_seed(&[9; 32]).expect("any seed is a key");
    node.admission.say(identity.node_id(), Ok(Admitted::Joining));
    let mut joining = Raw::dial(&node, 9).await;
    joining.send(&[Raw::hello(), Raw::request(1)]).await;
    let answer = loop {
        if let Head::Answer { answer, .. } = joining.next().await.expect("the link stays") {
            break answer;
        }
    };
    assert!(format!("{answer:?}").contains("RefusedRole"), "{answer:?}");
    assert!(node.inbound.try_recv().is_err(), "nobody was asked");
}

#[actix::test]
async fn garbage_and_a_frame_of_four_gigabytes_close_the_link() {
    let counts = Counts::default();
    let _recording = ::metrics::set_default_local_recorder(&counts);
    let node = TestNode::start(1, short_limits()).await;
    for (times, garbage) in [(1, [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]), (2, *b"GET / HT")] {
        let mut stranger = Raw::dial(&node, 9).await;
        stranger.socket.stream.write_all(&garbage).await.expect("sent");
        stranger.socket.stream.flush().await.expect("sent");
        stranger.rest().await;
        until("it is counted", || {
            counts.get(names::LINK_CLOSED, "garbage") == times
        })
        .await;
    }
}

#[actix::test]
async fn a_frame_that_trickles_closes_the_link() {
    let counts = Counts::default();
    let _recording = ::metrics::set_default_local_recorder(&counts);
    let node = TestNode::start(1, short_limits()).await;
    let member = TlsIdentity::from_seed(&[9; 32])
        .expect("any seed is a key")
        .node_id();
    node.know(member, "127.0.0.1:1", false);
    let mut slow = Raw::dial(&node, 9).await;
    slow.send(&[Raw::hello()]).await;
    until("the link is up", || node.state_of(member) == LinkState::Up).await;
    // A byte now and then, each of them well within any bound on silence.
    let request = Raw::request(1);
    for byte in &request.head {
        if slow.socket.stream.write_all(&[*byte]).await.is_err() || slow.socket.stream.flush().await.is_err()
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if counts.get(names::LINK_CLOSED, "slow_frame") > 0 {
            break;
        }
    }
    until("it is counted", || {
        counts.get(names::LINK_CLOSED, "slow_frame") == 1
    })
    .await;
    slow.rest().await;
}

#[actix::test]
async fn silent_strangers_do_not_keep_members_out() {
    let counts = Counts::default();
    let _recording = ::metrics::set_default_local_recorder(&counts);
    let (a, mut b) = pair(&short_limits()).await;
    let mut silent = Vec::new();
    for _ in 0..70 {
        silent.push(TcpStream::connect(b.address).await.expect("connects"));
    }
    // More than are handled at once: the node is reached when the first are given up.
    let mut asked = Err(CallError::LinkLost);
    for _ in 0..20 {
        let (result, _) = tokio::join!(a.node.mesh().ask(b.id, find()), async {
            let served = tokio::time::timeout(Duration::from_millis(600), answer_next(&mut b, found()));
            drop(served.await);
        });
        asked = result;
        if asked.is_ok() {
            break;
        }
    }
    assert_eq!(asked, Ok(found()));
    assert!(counts.get(names::LINK_ACCEPTS, "handshake_timeout") > 0);
}

/// A peer that shakes hands, says hello and then nothing more, for the test to play with.
async fn silent_peer(node: &TestNode, seed: u8) -> (NodeId, tokio::task::JoinHandle<Raw>) {
    let identity = TlsIdentity::from_seed(&[seed; 32]).expect("any seed is a key");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    node.know(
        identity.node_id(),
        &listener.local_addr().expect("bound").to_string(),
        false,
    );
    let id = identity.node_id();
    let accepting = tokio::task::spawn_local(async move {
        let (tcp, remote) = listener.accept().await.expect("a connection");
        let socket = net::accept(&identity, tcp, remote, NetBounds::default())
            .await
            .expect("a node dials");
        let mut raw = Raw {
            socket,
            decoder: Decoder::new(),
        };
        raw.send(&[Raw::hello()]).await;
        raw
    });
    (id, accepting)
}

#[actix::test]
async fn a_peer_that_goes_silent_fails_its_calls_once() {
    let counts = Counts::default();
    let _recording = ::metrics::set_default_local_recorder(&counts);
    let node = TestNode::start(1, short_limits()).await;
    let (peer, silent) = silent_peer(&node, 7).await;
    let (done, mut all) = tokio::sync::mpsc::channel(16);
    for _ in 0..5 {
        let done = done.clone();
        let reply = Reply::new(move |result: CallResult| done.try_send(result).expect("the test listens"));
        node.mesh().call(peer, find(), reply).detach();
    }
    let _silent = silent.await.expect("no panic");
    for _ in 0..5 {
        assert_eq!(all.recv().await, Some(Err(CallError::LinkLost)));
    }
    assert_eq!(counts.get(names::LINK_CLOSED, "silent"), 1);
    assert!(all.try_recv().is_err(), "each call was answered once");
    assert_eq!(node.state_of(peer), LinkState::Backoff);
}

#[actix::test]
async fn a_simultaneous_dial_leaves_one_link() {
    for round in 0..10_u8 {
        let mut a = TestNode::start(2 * round + 1, short_limits()).await;
        let mut b = TestNode::start(2 * round + 2, short_limits()).await;
        a.know(b.id, &b.address.to_string(), true);
        b.know(a.id, &a.address.to_string(), true);
        until("both are up", || a.mesh().is_up(b.id) && b.mesh().is_up(a.id)).await;
        let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
        assert_eq!(asked, Ok(found()));
        let (asked, _) = tokio::join!(b.node.mesh().ask(a.id, find()), answer_next(&mut a, found()));
        assert_eq!(asked, Ok(found()));
        let mut lines = (0, 0);
        for _ in 0..2_000 {
            lines.0 = actor(&a, b.id).send(Probe::Lines).await.expect("alive");
            lines.1 = actor(&b, a.id).send(Probe::Lines).await.expect("alive");
            if lines == (1, 1) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(lines, (1, 1));
        assert!(a.mesh().is_up(b.id) && b.mesh().is_up(a.id));
    }
}

#[actix::test]
async fn every_call_is_answered_when_the_actor_of_the_peer_panics() {
    let (mut a, mut b) = pair(&short_limits()).await;
    let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()));
    let (reply, pending) = Reply::oneshot();
    a.mesh().call(b.id, find(), reply).detach();
    let inbound = b.inbound.recv().await.expect("it arrives");
    let (reply, queued) = Reply::oneshot();
    actor(&a, b.id).do_send(Probe::Panic);
    a.mesh().call(b.id, find(), reply).detach();
    assert_eq!(pending.await.expect("answered"), Err(CallError::LinkLost));
    assert_eq!(queued.await.expect("answered"), Err(CallError::LinkLost));
    until("the other end notices", || inbound.cancelled.is_set()).await;
    until("a fresh actor", || {
        a.access
            .table()
            .entry(b.id)
            .is_some_and(|entry| entry.slot.get().is_some())
    })
    .await;
    let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()));
    let downs: Vec<bool> = std::iter::from_fn(|| a.events.try_recv().ok())
        .map(|event| event.up)
        .collect();
    assert_eq!(downs, [true, false, true], "the store hears of the lost link too");
}

#[actix::test]
async fn a_revoked_peer_is_cut_off_at_its_next_request_and_by_the_roster() {
    let (a, mut b) = pair(&short_limits()).await;
    let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()));
    b.admission.say(a.id, Err(Refusal::Revoked));
    let refused = a.mesh().ask(b.id, find()).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(b.inbound.try_recv().is_err());
    until("the link goes", || !b.mesh().is_up(a.id) && !a.mesh().is_up(b.id)).await;
    assert_eq!(a.last_failure_of(b.id), Some("refused_by_peer"));

    b.know(a.id, &a.address.to_string(), false);
    let (asked, _) = tokio::join!(b.node.mesh().ask(a.id, find()), async {
        let mut a = a;
        let _served = answer_next(&mut a, found()).await;
        a
    });
    assert_eq!(asked, Ok(found()));
}

#[actix::test]
async fn the_roster_cuts_off_a_revoked_peer_that_asks_nothing() {
    let (a, mut b) = pair(&short_limits()).await;
    let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()));
    b.admission.say(a.id, Err(Refusal::Revoked));
    b.forget(a.id);
    until("the link goes", || !a.mesh().is_up(b.id)).await;
}

#[actix::test]
async fn calls_to_the_unknown_and_the_unreachable_fail_at_once() {
    let node = TestNode::start(1, short_limits()).await;
    let unknown = node.mesh().ask(NodeId([8; 32]), find()).await;
    assert!(matches!(unknown, Err(CallError::Down { .. })), "{unknown:?}");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = gone.local_addr().expect("bound").to_string();
    drop(gone);
    let peer = NodeId([9; 32]);
    node.know(peer, &address, false);
    let down = node.mesh().ask(peer, find()).await;
    assert!(matches!(down, Err(CallError::Down { .. })), "{down:?}");
    assert_eq!(node.last_failure_of(peer), Some("unreachable"));
}

#[actix::test]
async fn a_call_that_is_taken_back_is_answered_and_the_peer_is_told() {
    let (a, mut b) = pair(&short_limits()).await;
    let (reply, answer) = Reply::oneshot();
    let guard = a.mesh().call(b.id, find(), reply);
    let inbound = b.inbound.recv().await.expect("it arrives");
    assert!(!inbound.cancelled.is_set());
    guard.cancel();
    let result = answer.await.expect("answered");
    assert!(
        matches!(&result, Err(CallError::Refused(failure)) if failure.code == FailureCode::Cancelled),
        "{result:?}"
    );
    until("the peer is told", || inbound.cancelled.is_set()).await;
    inbound.responder.respond(Ok(found()));
    let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()), "the link goes on");
}

#[actix::test]
async fn a_node_serves_itself_by_the_same_handlers() {
    let mut node = TestNode::start(1, short_limits()).await;
    let (asked, served) = tokio::join!(node.node.mesh().ask(node.id, find()), async {
        let inbound = node.inbound.recv().await.expect("it arrives");
        let asker = inbound.asker;
        inbound.responder.respond(Ok(found()));
        asker
    });
    assert_eq!((asked, served.node_id), (Ok(found()), node.id));
    let lost = tokio::join!(node.node.mesh().ask(node.id, find()), async {
        drop(node.inbound.recv().await.expect("it arrives"));
    });
    assert!(
        matches!(
            &lost.0,
            Err(CallError::Refused(Failure {
                code: FailureCode::Internal,
                ..
            }))
        ),
        "{lost:?}"
    );
    let hurried = Call {
        budget: Duration::from_millis(20),
        ..find()
    };
    assert_eq!(node.mesh().ask(node.id, hurried).await, Err(CallError::Expired));
    let inbound = node.inbound.recv().await.expect("it arrived");
    assert!(inbound.cancelled.is_set());
}

#[actix::test]
async fn a_node_that_stops_finishes_what_is_under_way_and_says_goodbye() {
    let (a, mut b) = pair(&short_limits()).await;
    let (reply, asked) = Reply::oneshot();
    a.mesh().call(b.id, find(), reply).detach();
    let inbound = b.inbound.recv().await;
    let stopping = b.node.clone();
    let stopped = tokio::task::spawn_local(async move { stopping.stop().await });
    until("the goodbye arrives", || a.state_of(b.id) != LinkState::Up).await;
    inbound.expect("it arrives").responder.respond(Ok(found()));
    assert_eq!(asked.await.expect("answered"), Ok(found()));
    assert_eq!(stopped.await.expect("no panic"), [], "all children end in time");
    let down = a.mesh().ask(b.id, find()).await;
    assert!(matches!(down, Err(CallError::Down { .. })), "{down:?}");
}

#[actix::test]
async fn a_node_that_does_not_join_in_time_is_sent_away() {
    let counts = Counts::default();
    let _recording = ::metrics::set_default_local_recorder(&counts);
    let node = TestNode::start(1, short_limits()).await;
    let identity = TlsIdentity::from_seed(&[9; 32]).expect("any seed is a key");
    node.admission.say(identity.node_id(), Ok(Admitted::Joining));
    let mut loiterer = Raw::dial(&node, 9).await;
    loiterer.send(&[Raw::hello()]).await;
    let heads = loiterer.rest().await;
    assert!(
        heads
            .iter()
            .any(|head| matches!(head, Head::Goodbye(bye) if bye.reason == GoodbyeReason::Refused)),
        "{heads:?}"
    );
    assert_eq!(counts.get(names::LINK_REFUSED, "stranger"), 1);
}

#[actix::test]
async fn a_node_that_joined_over_a_link_keeps_it() {
    let mut node = TestNode::start(1, short_limits()).await;
    let identity = TlsIdentity::from_seed(&[9; 32]).expect("any seed is a key");
    node.admission.say(identity.node_id(), Ok(Admitted::Joining));
    let mut joining = Raw::dial(&node, 9).await;
    joining.send(&[Raw::hello()]).await;
    assert!(node.events.recv().await.expect("the link is up").up);
    node.know(identity.node_id(), "127.0.0.1:1", false);
    tokio::time::sleep(short_limits().join_within * 2).await;
    joining.send(&[Raw::request(1)]).await;
    let _request = answer_next(&mut node, found()).await;
}

#[actix::test]
async fn the_mesh_goes_on_after_a_panic_of_its_own() {
    let (a, mut b) = pair(&short_limits()).await;
    let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()));
    let (reply, pending) = Reply::oneshot();
    a.mesh().call(b.id, find(), reply).detach();
    let _inbound = b.inbound.recv().await.expect("it arrives");
    let mesh = a.access.table().mesh.clone();
    mesh.tell(crate::mesh::PanicNow).expect("alive");
    assert_eq!(pending.await.expect("answered"), Err(CallError::LinkLost));
    until("a fresh mesh", || mesh.get().is_some()).await;
    until("the old link is gone", || !a.mesh().is_up(b.id)).await;
    let (asked, _) = tokio::join!(a.node.mesh().ask(b.id, find()), answer_next(&mut b, found()));
    assert_eq!(asked, Ok(found()));
}

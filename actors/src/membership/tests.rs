//! A node's membership over a made-up mesh, with its cache in a temporary directory.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use truckee_engine::invite::{Address, InviteSecret};
use truckee_engine::membership::RevokeError;
use truckee_engine::time::Mono;
use truckee_wire::message::{Failure, FailureCode, JoinSecret, Request, RequestKind, Response, Roles};

use super::*;
use crate::call::{CallGuard, MeshCalls, PeerView};
use crate::clock::SystemClock;
use crate::inbound::{
    Admission, Admitted, Asker, CancelFlag, InboundHandler, LinkListener, Refusal, Responder, Served,
};
use crate::supervise::{Health, Settled, StartChild, Supervisor, stop_all};

const INTRODUCER: [u8; 32] = [1; 32];
const MEMBER: [u8; 32] = [2; 32];
const STRANGER: [u8; 32] = [3; 32];

fn id(seed: &[u8; 32]) -> NodeId {
    NodeId::of_public_key(&SigningKey::from_bytes(seed).verifying_key().to_bytes())
}

fn address() -> Address {
    Address::parse("127.0.0.1:4000").expect("an address")
}

fn secret() -> InviteSecret {
    InviteSecret::from_bytes([9; 20])
}

fn facts(roles: &[Role]) -> OwnFacts {
    OwnFacts {
        nickname: String::from("a node"),
        addresses: vec![address()],
        roles: roles.iter().copied().collect(),
        zone: String::from("here"),
        software: String::from("test 1"),
    }
}

fn prepared(dir: &TempDir, seed: &[u8; 32]) -> Result<Prepared, MembershipError> {
    let admits = *seed == INTRODUCER;
    let invite = Invite::new(id(&INTRODUCER), vec![address()], secret()).expect("an invite");
    Membership::prepare(MembershipStart {
        roster_path: dir.path().join("roster.bin"),
        seed,
        facts: facts(if admits {
            &[Role::Introducer]
        } else {
            &[Role::Storage]
        }),
        invites: if admits { Vec::new() } else { vec![invite] },
        introducer: admits.then(|| IntroducerConfig {
            secret: secret(),
            grant_term: Duration::from_secs(86_400),
        }),
        clock: SystemClock::handle(),
    })
}

/// Hands every call to another node's actor, or to nobody.
#[derive(Clone)]
struct Wire {
    from: NodeId,
    to: Arc<Mutex<BTreeMap<NodeId, Slot<Membership>>>>,
}

impl MeshCalls for Wire {
    fn call(&self, peer: NodeId, call: Call, reply: Reply) -> CallGuard {
        let guard = CallGuard::new(&reply, || {});
        let slot = self.to.lock().expect("no panic").get(&peer).cloned();
        let Some(slot) = slot else {
            reply.answer(Err(CallError::LinkLost));
            return guard;
        };
        let responder =
            Responder::new(move |served: Served| reply.answer(served.map_err(CallError::Refused)));
        slot.handle(inbound(self.from, call.request, responder));
        guard
    }

    fn peers(&self) -> Vec<PeerView> {
        Vec::new()
    }

    fn is_up(&self, peer: NodeId) -> bool {
        self.to.lock().expect("no panic").contains_key(&peer)
    }

    fn own_id(&self) -> NodeId {
        self.from
    }
}

fn inbound(from: NodeId, request: Request, responder: Responder) -> Inbound {
    Inbound {
        asker: Asker {
            node_id: from,
            link: LinkId(1),
            roles: Roles::NONE,
        },
        request,
        lane: Lane::Control,
        deadline: Mono::ZERO + Duration::from_secs(600),
        cancelled: CancelFlag::default(),
        responder,
    }
}

struct Running {
    handle: MembershipHandle,
    slot: Slot<Membership>,
    root: Addr<Supervisor>,
}

async fn start(
    prepared: Prepared,
    seed: &[u8; 32],
    wire: &Arc<Mutex<BTreeMap<NodeId, Slot<Membership>>>>,
) -> Running {
    let (handle, slot) = (prepared.handle.clone(), prepared.slot.clone());
    let mesh = MeshHandle::new(Wire {
        from: id(seed),
        to: Arc::clone(wire),
    });
    let root = Supervisor::new(SystemClock::handle(), (), Health::new()).start();
    tell(&root, StartChild(prepared.child(mesh))).expect("just started");
    root.send(Settled).await.expect("alive");
    Running { handle, slot, root }
}

async fn ask(running: &Running, from: &[u8; 32], request: Request) -> Served {
    let (answer, answered) = oneshot::channel();
    let responder = Responder::new(move |served| drop(answer.send(served)));
    running.slot.handle(inbound(id(from), request, responder));
    answered.await.expect("answered")
}

async fn until_member(running: &Running) {
    while !running.handle.has_grant() {
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn a_node_joins_is_known_and_comes_back_without_its_introducer() {
    let (one, two) = (
        TempDir::new().expect("directory"),
        TempDir::new().expect("directory"),
    );
    let wire = Arc::default();
    let introducer = start(prepared(&one, &INTRODUCER).expect("begins"), &INTRODUCER, &wire).await;
    assert!(introducer.handle.has_grant(), "it admits itself");
    wire.lock()
        .expect("no panic")
        .insert(id(&INTRODUCER), introducer.slot.clone());
    let member = start(prepared(&two, &MEMBER).expect("begins"), &MEMBER, &wire).await;
    until_member(&member).await;
    assert_eq!(
        introducer
            .handle
            .authorise(id(&MEMBER), RequestKind::SyncRoster)
            .map(|roles| roles.contains(Role::Storage)),
        Ok(true)
    );
    let directory = introducer.handle.directory().borrow().clone();
    let entry = &directory[&id(&MEMBER)];
    assert_eq!(
        (entry.nickname.as_str(), entry.zone.as_str(), entry.keep_linked),
        ("a node", "here", true)
    );
    assert_eq!(entry.addresses, ["127.0.0.1:4000"]);
    assert!(stop_all(&member.root).await.is_empty(), "ends in time");

    wire.lock().expect("no panic").clear();
    let again = prepared(&two, &MEMBER).expect("begins");
    assert!(again.handle.has_grant(), "the cache has it");
    let (grant, sequence) = again.handle.own_hello();
    assert!(grant.is_some() && sequence > 0);
    let mut judge = prepared(&one, &INTRODUCER).expect("begins").handle;
    assert_eq!(
        judge
            .admit(id(&MEMBER), grant.as_ref())
            .map(|admitted| matches!(admitted, Admitted::Member(_))),
        Ok(true)
    );
    judge = again.handle.clone();
    assert_eq!(judge.admit(id(&STRANGER), None), Err(Refusal::Stranger));
    assert_eq!(
        judge.authorise(id(&STRANGER), RequestKind::FindShares),
        Err(Refusal::Stranger)
    );
    assert!(stop_all(&introducer.root).await.is_empty());
}

#[actix::test]
async fn a_wrong_secret_is_refused_and_the_reason_is_kept() {
    let dir = TempDir::new().expect("directory");
    let introducer = start(
        prepared(&dir, &INTRODUCER).expect("begins"),
        &INTRODUCER,
        &Arc::default(),
    )
    .await;
    let announcement = {
        let body = truckee_wire::message::AnnouncementBody {
            sequence: 1,
            nickname: String::new(),
            addresses: Vec::new(),
            roles: Roles::NONE.with(Role::Storage),
            zone: String::new(),
            software: String::new(),
        };
        machine::announcement::sign_announcement(&SigningKey::from_bytes(&MEMBER), &body).expect("signs")
    };
    let join = |secret: &[u8]| {
        Request::Join(Box::new(truckee_wire::message::Join {
            secret: JoinSecret::new(secret),
            announcement: announcement.clone(),
        }))
    };
    let refused = ask(&introducer, &MEMBER, join(&[8; 20]))
        .await
        .expect_err("refused");
    assert_eq!(refused.code, FailureCode::BadSecret);
    assert_eq!(
        introducer.handle.authorise(id(&MEMBER), RequestKind::SyncRoster),
        Err(Refusal::Stranger)
    );
    assert!(matches!(
        ask(&introducer, &MEMBER, join(&[9; 20])).await,
        Ok(Response::Joined(_))
    ));
    assert!(
        introducer
            .handle
            .authorise(id(&MEMBER), RequestKind::SyncRoster)
            .is_ok(),
        "from that moment on"
    );
    introducer.handle.revoke(id(&MEMBER)).await.expect("revokes");
    assert_eq!(
        introducer.handle.authorise(id(&MEMBER), RequestKind::SyncRoster),
        Err(Refusal::Revoked)
    );
    assert_eq!(introducer.handle.admit(id(&MEMBER), None), Err(Refusal::Revoked));
    let itself = introducer.handle.revoke(id(&INTRODUCER)).await;
    assert_eq!(itself, Err(RevokeFailed::Refused(RevokeError::Oneself)));
    assert!(stop_all(&introducer.root).await.is_empty());
    assert_eq!(
        introducer.handle.revoke(id(&STRANGER)).await,
        Err(RevokeFailed::NotRunning)
    );
    let again = prepared(&dir, &INTRODUCER).expect("begins");
    assert_eq!(
        again.handle.admit(id(&MEMBER), None),
        Err(Refusal::Revoked),
        "also after a restart"
    );
}

#[actix::test]
async fn a_revocation_is_answered_when_it_is_on_the_disk_and_not_otherwise() {
    let dir = TempDir::new().expect("directory");
    let introducer = start(
        prepared(&dir, &INTRODUCER).expect("begins"),
        &INTRODUCER,
        &Arc::default(),
    )
    .await;
    // Several at once: each waits for a write that has its own tombstone.
    let (one, two) = (id(&MEMBER), id(&STRANGER));
    let both = tokio::join!(introducer.handle.revoke(one), introducer.handle.revoke(two));
    assert_eq!(both, (Ok(()), Ok(())));
    let cache = Cache::new(dir.path().join("roster.bin"));
    let written = cache.load().expect("readable").expect("there");
    assert_eq!(written.tombstones.len(), 2, "nobody was stopped for it");
    assert_eq!(introducer.handle.revoke(one).await, Ok(()), "twice is once");

    std::fs::remove_dir_all(dir.path()).expect("its disk is gone");
    let third = NodeId([3; 32]);
    let lost = introducer.handle.revoke(third).await;
    assert_eq!(lost, Err(RevokeFailed::NotWritten));
    assert_eq!(
        introducer.handle.admit(third, None),
        Err(Refusal::Revoked),
        "it counts as long as the node runs"
    );
    assert!(stop_all(&introducer.root).await.is_empty());
}

#[actix::test]
async fn a_node_that_cannot_join_says_why() {
    let dir = TempDir::new().expect("directory");
    let node = start(prepared(&dir, &MEMBER).expect("begins"), &MEMBER, &Arc::default()).await;
    let errors = loop {
        match node.handle.status() {
            JoinStatus::Asking { errors } if !errors.is_empty() => break errors,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(errors[0].0, id(&INTRODUCER));
    assert!(errors[0].1.contains("cannot be reached"), "{errors:?}");
    let directory = node.handle.directory().borrow().clone();
    assert!(
        directory[&id(&INTRODUCER)].keep_linked,
        "it goes on dialling the introducer of its invite"
    );
    assert!(stop_all(&node.root).await.is_empty());
}

#[actix::test]
async fn link_events_start_an_exchange_and_the_last_one_forgets() {
    let (one, two) = (
        TempDir::new().expect("directory"),
        TempDir::new().expect("directory"),
    );
    let wire = Arc::default();
    let introducer = start(prepared(&one, &INTRODUCER).expect("begins"), &INTRODUCER, &wire).await;
    wire.lock()
        .expect("no panic")
        .insert(id(&INTRODUCER), introducer.slot.clone());
    let member = start(prepared(&two, &MEMBER).expect("begins"), &MEMBER, &wire).await;
    until_member(&member).await;
    member.slot.link_event(LinkEvent {
        peer: id(&INTRODUCER),
        link: LinkId(5),
        up: true,
    });
    let mut directory = member.handle.directory();
    while directory.borrow()[&id(&INTRODUCER)].nickname.is_empty() {
        directory.changed().await.expect("the node runs");
    }
    let shown = introducer.handle.own_hello().0;
    assert!(member.handle.admit(id(&INTRODUCER), shown.as_ref()).is_ok());
    member.slot.link_event(LinkEvent {
        peer: id(&INTRODUCER),
        link: LinkId(5),
        up: false,
    });
    assert!(stop_all(&member.root).await.is_empty());
    assert!(stop_all(&introducer.root).await.is_empty());
}

#[test]
fn a_damaged_cache_is_put_aside_and_one_that_cannot_be_read_is_an_error() {
    let dir = TempDir::new().expect("directory");
    let path = dir.path().join("roster.bin");
    std::fs::write(&path, b"not a roster").expect("writable");
    let node = prepared(&dir, &MEMBER).expect("goes on");
    assert!(!node.handle.has_grant());
    assert_eq!(
        std::fs::read(dir.path().join("roster.bin.damaged")).expect("kept"),
        b"not a roster"
    );
    std::fs::create_dir(&path).expect("in the way");
    let Err(error) = prepared(&dir, &MEMBER).map(|_| ()) else {
        panic!("a directory is no roster")
    };
    assert!(error.to_string().contains("roster.bin"), "{error}");
}

#[test]
fn the_cache_is_replaced_whole_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().expect("directory");
    let path = dir.path().join("roster.bin");
    let cache = Cache::new(path.clone());
    let roster = RosterFile {
        own_sequence: 7,
        ..RosterFile::default()
    };
    cache.store(&RosterFile::default()).expect("writes");
    cache.store(&roster).expect("writes again");
    assert_eq!(cache.load().expect("reads"), Some(roster));
    assert_eq!(
        std::fs::metadata(&path).expect("there").permissions().mode() & 0o777,
        0o600
    );
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .expect("readable")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(names, ["roster.bin"]);
    let gone = Cache::new(dir.path().join("none/roster.bin"));
    assert!(
        gone.store(&RosterFile::default())
            .expect_err("no such directory")
            .to_string()
            .contains("none/roster.bin")
    );
    assert_eq!(gone.load().expect("nothing there"), None);
}

#[test]
fn failures_keep_their_code() {
    // A refusal is told apart from silence: a wrong secret is not asked with again at once.
    let refused = CallError::Refused(Failure::new(FailureCode::BadSecret, "no"));
    assert!(
        matches!(no_answer(refused), NoAnswer::Refused(failure) if failure.code == FailureCode::BadSecret)
    );
    assert_eq!(no_answer(CallError::LinkLost), NoAnswer::NotReached);
}

//! What the tests of this crate share: nodes on the loopback with made-up members and handlers, and counted metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tokio::sync::{mpsc, watch};
use truckee_engine::session;
use truckee_grid::ids::{NodeId, StorageIndex};
use truckee_wire::message::{FindShares, Grant, Lane, Request, RequestKind, Role, Roles};

use crate::call::{Call, LinkState, MeshHandle};
use crate::clock::SystemClock;
use crate::directory::{Directory, Member};
use crate::inbound::{
    Admission, Admitted, Inbound, InboundHandler, LinkEvent, LinkListener, Refusal, Router,
};
use crate::mesh::MeshLimits;
use crate::net::NetBounds;
use crate::node::{MeshAccess, Node, NodeParts, bind};
use crate::supervise::ChildSpec;
use crate::tls::TlsIdentity;
use crate::trace::Trace;

/// Adds up counters by name and labels, for the thread that installs it.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

struct Count(Arc<AtomicU64>);

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        let count = Arc::clone(self.0.lock().expect("no panic").entry(name).or_default());
        Counter::from_arc(Arc::new(Count(count)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Gauge::from_arc(Arc::clone(
            self.0.lock().expect("no panic").entry(name).or_default(),
        ))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Counts {
    /// The counter `name` with these label values.
    pub(crate) fn get(&self, name: &str, labels: &str) -> u64 {
        let counts = self.0.lock().expect("no panic");
        counts
            .get(&format!("{name} {labels}"))
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Counts {
    /// The gauge `name`, which has no labels.
    pub(crate) fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.get(name, ""))
    }
}

/// Says what it is told to say of each peer; of others that they are strangers.
#[derive(Default)]
pub(crate) struct MadeUp(pub(crate) Mutex<BTreeMap<NodeId, Result<Admitted, Refusal>>>);

impl MadeUp {
    pub(crate) fn say(&self, peer: NodeId, judgement: Result<Admitted, Refusal>) {
        self.0.lock().expect("no panic").insert(peer, judgement);
    }
}

impl Admission for MadeUp {
    fn admit(&self, peer: NodeId, _: Option<&Grant>) -> Result<Admitted, Refusal> {
        self.0
            .lock()
            .expect("no panic")
            .get(&peer)
            .copied()
            .unwrap_or(Err(Refusal::Stranger))
    }

    fn authorise(&self, peer: NodeId, kind: RequestKind) -> Result<Roles, Refusal> {
        match self.admit(peer, None)? {
            Admitted::Member(roles) => Ok(roles),
            Admitted::Joining if kind == RequestKind::Join => Ok(Roles::NONE),
            Admitted::Joining => Err(Refusal::Stranger),
        }
    }

    fn own_hello(&self) -> (Option<Grant>, u64) {
        (None, 0)
    }
}

struct Collect<T>(mpsc::Sender<T>);

impl InboundHandler for Collect<Inbound> {
    fn handle(&self, inbound: Inbound) {
        // A test that has ended answers nothing.
        let _gone = self.0.try_send(inbound);
    }
}

impl LinkListener for Collect<LinkEvent> {
    fn link_event(&self, event: LinkEvent) {
        let _gone = self.0.try_send(event);
    }
}

/// A node on the loopback. It knows and admits whom it is told.
pub(crate) struct TestNode {
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) node: Node,
    pub(crate) access: MeshAccess,
    pub(crate) admission: Arc<MadeUp>,
    /// Requests that came in: the test answers them.
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    pub(crate) events: mpsc::Receiver<LinkEvent>,
    directory: watch::Sender<Arc<Directory>>,
}

pub(crate) fn member_roles() -> Roles {
    Roles::NONE.with(Role::Storage)
}

/// Bounds short enough for tests to wait for.
pub(crate) fn short_limits() -> MeshLimits {
    MeshLimits {
        net: NetBounds {
            connect: Duration::from_secs(2),
            handshake: Duration::from_millis(300),
        },
        session: session::Config {
            hello_within: Duration::from_millis(300),
            drain_within: Duration::from_millis(500),
            busy_ping_after: Duration::from_millis(50),
            busy_dead_after: Duration::from_millis(150),
            ..session::Config::default()
        },
        join_within: Duration::from_millis(200),
        frame_within: Duration::from_millis(250),
        ..MeshLimits::default()
    }
}

impl TestNode {
    /// Starts a node on a free port.
    pub(crate) async fn start(seed: u8, limits: MeshLimits) -> Self {
        Self::start_with(seed, limits, Vec::new()).await
    }

    /// As `start`, with children below the mesh.
    pub(crate) async fn start_with(seed: u8, limits: MeshLimits, below: Vec<ChildSpec>) -> Self {
        let identity = TlsIdentity::from_seed(&[seed; 32]).expect("any seed is a key");
        let (directory, watch) = watch::channel(Arc::new(Directory::new()));
        let id = identity.node_id();
        let access = MeshAccess::new(id, watch);
        let admission = Arc::new(MadeUp::default());
        let (requests, inbound) = mpsc::channel(64);
        let (links, events) = mpsc::channel(64);
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = socket.local_addr().expect("bound");
        let node = Node::start(NodeParts {
            identity,
            roles: member_roles(),
            clock: SystemClock::handle(),
            access: access.clone(),
            admission: Arc::clone(&admission) as Arc<dyn Admission>,
            router: Router::new().with_shares(Collect(requests)),
            listeners: vec![Arc::new(Collect(links))],
            below,
            above: Vec::new(),
            socket,
            limits,
            seed: [seed; 32],
        })
        .await
        .expect("the root starts");
        Self {
            id,
            address,
            node,
            access,
            admission,
            inbound,
            events,
            directory,
        }
    }

    pub(crate) fn mesh(&self) -> &MeshHandle {
        self.node.mesh()
    }

    /// Makes `peer` at `address` a member, in this node's eyes.
    pub(crate) fn know(&self, peer: NodeId, address: &str, keep_linked: bool) {
        self.know_at(peer, &[address], keep_linked);
    }

    /// The same, with several addresses.
    pub(crate) fn know_at(&self, peer: NodeId, addresses: &[&str], keep_linked: bool) {
        self.admission.say(peer, Ok(Admitted::Member(member_roles())));
        let member = Member {
            node_id: peer,
            nickname: String::from("peer"),
            zone: String::new(),
            roles: member_roles(),
            addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
            software: String::new(),
            keep_linked,
        };
        self.directory.send_modify(|directory| {
            Arc::make_mut(directory).insert(peer, member);
        });
    }

    pub(crate) fn forget(&self, peer: NodeId) {
        self.directory.send_modify(|directory| {
            Arc::make_mut(directory).remove(&peer);
        });
    }

    pub(crate) fn state_of(&self, peer: NodeId) -> LinkState {
        let views = self.mesh().peers();
        views
            .iter()
            .find(|view| view.node_id == peer)
            .map_or(LinkState::Idle, |view| view.state)
    }

    pub(crate) fn address_of(&self, peer: NodeId) -> Option<String> {
        let mut views = self.mesh().peers().into_iter();
        views.find(|view| view.node_id == peer)?.address
    }

    pub(crate) fn last_failure_of(&self, peer: NodeId) -> Option<&'static str> {
        self.mesh()
            .peers()
            .iter()
            .find(|view| view.node_id == peer)
            .and_then(|view| view.last_failure)
    }
}

/// Two nodes that know each other.
pub(crate) async fn pair(limits: &MeshLimits) -> (TestNode, TestNode) {
    let a = TestNode::start(1, limits.clone()).await;
    let b = TestNode::start(2, limits.clone()).await;
    a.know(b.id, &b.address.to_string(), false);
    b.know(a.id, &a.address.to_string(), false);
    (a, b)
}

/// A small request.
pub(crate) fn find() -> Call {
    let find = FindShares {
        si: StorageIndex([7; 16]),
        inline_bytes_max: 0,
    };
    Call {
        request: Request::FindShares(find),
        lane: Lane::Interactive,
        budget: Duration::from_secs(10),
        trace: Trace::none(),
    }
}

/// Lets everything else run until `done`. Fails when that takes seconds: something hangs.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..5_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}: not within five seconds");
}

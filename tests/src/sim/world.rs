//! One run: hosts with their disks, the network between them, the faults, the clients and the model, stepped one event
//! at a time from one seed.
//!
//! A host is on (it has a [`Node`]), off, or frozen: then it still has its memory but nothing reaches it. Events for a
//! node carry the number of its life, so that what one life asked for never reaches the next. The run is deterministic:
//! all randomness comes from the seed and nothing looks at a clock, a thread or an address in memory.

use truckee_engine::time::{Mono, UnixSeconds};

use super::disk::Disk;
use super::drive::DriveWorld;
use super::faults::Relief;
use super::identity::{AddressBook, Identity};
use super::mix::Mix;
use super::model::{Model, Violation};
use super::network::{ConnId, NetEvent, Network, Side};
use super::node::{Job, Node};
use super::rng::Rng;
use super::scheduler::{Micros, SECONDS, Scheduler};
use super::stream::Taken;
use super::trace::Trace;

/// The calendar at the beginning of every run: 2026-01-01T00:00:00Z, so that all times have ten digits.
const CALENDAR_AT_START: u64 = 1_767_225_600;

/// What can happen.
#[derive(Debug)]
pub enum Event {
    /// On the network.
    Net(NetEvent),
    /// A deadline of a machine in this life of this host has come.
    Wake(usize, u32),
    /// Something that this life of this host waits for is done.
    Job(usize, u32, Job),
    /// A fault ends.
    Relief(Relief),
    /// The next fault is due.
    Fault,
    /// Clients want something.
    Work,
}

/// A machine with a disk that may run a node.
#[derive(Debug)]
pub struct Host {
    /// Who the node is.
    pub identity: Identity,
    /// Its disk, which survives the node.
    pub disk: Disk,
    /// The node, while the host is on.
    pub node: Option<Box<Node>>,
    /// Is everything stopped, memory kept?
    pub frozen: bool,
    life: u32,
    started_at: Micros,
    stalled: Vec<Event>,
    wake_at: Option<Micros>,
    calendar_ahead_s: u64,
    rng: Rng,
}

/// What a node may touch while it handles something.
pub struct Ctx<'a> {
    /// Which host this is.
    pub host: usize,
    /// Time since the node started.
    pub now: Mono,
    /// What the host's calendar says.
    pub unix: UnixSeconds,
    /// The disk of the host.
    pub disk: &'a mut Disk,
    /// The network.
    pub network: &'a mut Network,
    /// Where everybody is.
    pub book: &'a AddressBook,
    /// What is promised.
    pub model: &'a mut Model,
    /// The directories, and what is promised of them.
    pub drive: &'a mut DriveWorld,
    /// What happens.
    pub trace: &'a mut Trace,
    /// Random numbers of this host.
    pub rng: &'a mut Rng,
    /// Do the stores read back what they hold?
    pub scrubs: bool,
    at: Micros,
    life: u32,
    later: &'a mut Vec<(Micros, Event)>,
    violations: &'a mut Vec<Violation>,
}

impl Ctx<'_> {
    /// Tells this life of the node after `delay` that `job` is done.
    pub fn after(&mut self, delay: Micros, job: Job) {
        self.later
            .push((self.at + delay, Event::Job(self.host, self.life, job)));
    }

    /// Virtual time since the run began.
    pub fn at(&self) -> Micros {
        self.at
    }

    /// Something that must never be.
    pub fn violation(&mut self, what: impl Into<String>) {
        self.violations
            .push(Violation(format!("node {}: {}", self.host, what.into())));
    }

    /// Keeps a line of the trace.
    pub fn line(&mut self, what: &'static str, numbers: [u64; 2]) {
        self.trace.line(Some(self.host), what, numbers);
    }
}

/// A run under way.
pub struct World {
    pub(super) mix: Mix,
    pub(super) scheduler: Scheduler<Event>,
    pub(super) network: Network,
    pub(super) hosts: Vec<Host>,
    pub(super) model: Model,
    pub(super) drive: DriveWorld,
    pub(super) trace: Trace,
    pub(super) book: AddressBook,
    /// Draws the faults.
    pub(super) chance: Rng,
    /// Draws what clients want.
    pub(super) wishes: Rng,
    /// Draws what is repaired.
    pub(super) healing: Rng,
    pub(super) peaceful: bool,
    pub(super) violations: Vec<Violation>,
    later: Vec<(Micros, Event)>,
}

impl World {
    /// The run of `seed`, with every host off and nothing scheduled.
    pub fn new(mix: Mix, seed: u64) -> Self {
        let rng = Rng::new(seed);
        let book = AddressBook::new(&mix, &mut rng.fork("identities"));
        let network = Network::new(mix.nodes(), mix.way, rng.fork("network"));
        let mut calendars = rng.fork("calendars");
        let hosts = (0..mix.nodes()).map(|host| Host {
            identity: book.identity(host).clone(),
            disk: Disk::new(mix.disk_bytes, mix.disk_delay, rng.fork(&format!("disk {host}"))),
            node: None,
            frozen: false,
            life: 0,
            started_at: 0,
            stalled: Vec::new(),
            wake_at: None,
            calendar_ahead_s: calendars.below(mix.calendar_skew_s + 1),
            rng: rng.fork(&format!("host {host}")),
        });
        Self {
            hosts: hosts.collect(),
            scheduler: Scheduler::new(rng.fork("ties")),
            network,
            model: Model::default(),
            drive: DriveWorld::new(rng.fork("database").array()),
            trace: Trace::default(),
            book,
            chance: rng.fork("faults"),
            wishes: rng.fork("wishes"),
            healing: rng.fork("healing"),
            peaceful: false,
            violations: Vec::new(),
            later: Vec::new(),
            mix,
        }
    }

    /// Takes one event that is due by `horizon`. False: there is none, and the clock is at the horizon.
    ///
    /// # Errors
    /// What must never be and is.
    pub fn step(&mut self, horizon: Micros) -> Result<bool, Violation> {
        let Some(event) = self.scheduler.next(horizon) else {
            return Ok(false);
        };
        self.trace.step(self.scheduler.now(), self.scheduler.steps());
        self.dispatch(event);
        self.collect();
        match self.violations.pop() {
            Some(violation) => Err(violation),
            None => Ok(true),
        }
    }

    /// Lets `act` do something with the node of a host that is on, and whatever follows from it at once.
    pub(super) fn with_node<T>(
        &mut self,
        host: usize,
        act: impl FnOnce(&mut Node, &mut Ctx<'_>) -> T,
    ) -> Option<T> {
        let mut node = self.hosts[host].node.take()?;
        let mut ctx = self.ctx(host);
        let result = act(&mut node, &mut ctx);
        node.settle(&mut ctx);
        node.check(&mut ctx);
        let (at, deadline) = (ctx.at, node.next_deadline(ctx.now));
        let target = &mut self.hosts[host];
        target.node = Some(node);
        // A deadline that has come already is kept a microsecond later: a machine may not stop the clock.
        let due = deadline.map(|mono| (target.started_at + mono.as_micros()).max(at + 1));
        if let Some(due) = due.filter(|due| target.wake_at.is_none_or(|armed| *due < armed)) {
            target.wake_at = Some(due);
            self.later.push((due, Event::Wake(host, target.life)));
        }
        Some(result)
    }

    fn ctx(&mut self, host: usize) -> Ctx<'_> {
        let at = self.scheduler.now();
        let Host {
            disk,
            life,
            started_at,
            calendar_ahead_s,
            rng,
            ..
        } = &mut self.hosts[host];
        Ctx {
            host,
            now: Mono::from_micros(at - *started_at),
            unix: UnixSeconds::from_secs(CALENDAR_AT_START + *calendar_ahead_s + at / SECONDS),
            disk,
            network: &mut self.network,
            book: &self.book,
            model: &mut self.model,
            drive: &mut self.drive,
            trace: &mut self.trace,
            rng,
            scrubs: self.mix.scrubs,
            at,
            life: *life,
            later: &mut self.later,
            violations: &mut self.violations,
        }
    }

    /// Starts a host that is off.
    pub(super) fn start(&mut self, host: usize) {
        let now = self.scheduler.now();
        let started = &mut self.hosts[host];
        if started.node.is_some() {
            return;
        }
        started.life += 1;
        started.started_at = now;
        started.wake_at = None;
        let (life, swept) = (u64::from(started.life), started.disk.sweep() as u64);
        let identity = started.identity.clone();
        // After a crash at any moment: what was promised is there.
        if let Err(broken) = self.model.check_disk(host, &self.hosts[host].disk) {
            self.violations.push(broken);
        }
        self.trace.line(Some(host), "starts", [life, swept]);
        self.network.host_starts(now, host);
        let node = Node::new(&identity, &mut self.ctx(host));
        self.hosts[host].node = Some(Box::new(node));
        self.with_node(host, |_, _| ());
    }

    /// Stops a host: its memory is lost. Gives how it is started again.
    pub(super) fn stop(&mut self, host: usize, silently: bool) -> Option<Relief> {
        let now = self.scheduler.now();
        let stopped = &mut self.hosts[host];
        let node = stopped.node.take()?;
        for write in node.into_writes() {
            self.model.write_uncertain(host, &write);
            // Whether the disk had done it already is open.
            if stopped.rng.chance(500) {
                write.carry_out(&mut stopped.disk, &mut self.drive);
            }
        }
        stopped.disk.crash();
        self.model.orders_lost(host);
        self.drive.orders_lost(host);
        self.violations
            .extend(self.drive.take_broken().into_iter().map(Violation));
        stopped.frozen = false;
        stopped.stalled.clear();
        self.network.host_stops(now, host, silently);
        self.trace.line(Some(host), "stops", [u64::from(silently), 0]);
        Some(Relief::Start(host))
    }

    /// Freezes a host.
    pub(super) fn freeze(&mut self, host: usize) -> Option<Relief> {
        if self.hosts[host].node.is_none() || self.hosts[host].frozen {
            return None;
        }
        self.hosts[host].frozen = true;
        self.network.set_asleep(self.scheduler.now(), host, true);
        Some(Relief::Thaw(host))
    }

    /// Lets a frozen host go on, with all that has come for it.
    pub(super) fn thaw(&mut self, host: usize) {
        if !std::mem::take(&mut self.hosts[host].frozen) {
            return;
        }
        // In their order, and before what the network has kept: what one thing depends on comes before it.
        let stalled = std::mem::take(&mut self.hosts[host].stalled);
        let caught_up = self.scheduler.now() + stalled.len() as Micros;
        for (delay, event) in (0..).zip(stalled) {
            self.scheduler.after(delay, event);
        }
        self.network.set_asleep(caught_up, host, false);
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Net(event) => self.net(event),
            Event::Wake(host, life) => {
                let due = self.hosts[host]
                    .wake_at
                    .is_some_and(|armed| armed <= self.scheduler.now());
                if due && self.is_awake(host, life, || Event::Wake(host, life)) {
                    self.hosts[host].wake_at = None;
                    self.with_node(host, Node::wake);
                }
            }
            Event::Job(host, life, job) => {
                if self.hosts[host].life != life || self.hosts[host].node.is_none() {
                    return;
                }
                if self.hosts[host].frozen {
                    return self.hosts[host].stalled.push(Event::Job(host, life, job));
                }
                self.with_node(host, |node, ctx| node.job_done(ctx, job));
            }
            Event::Relief(relief) => self.relieve(relief),
            Event::Fault => self.next_fault(),
            Event::Work => self.next_wish(),
        }
    }

    /// Does this life of the host still run? If it is frozen the event waits.
    fn is_awake(&mut self, host: usize, life: u32, event: impl FnOnce() -> Event) -> bool {
        let target = &mut self.hosts[host];
        if target.life != life || target.node.is_none() {
            return false;
        }
        if target.frozen {
            target.stalled.push(event());
        }
        !target.frozen
    }

    fn net(&mut self, event: NetEvent) {
        let now = self.scheduler.now();
        match event {
            NetEvent::Knock(conn) => {
                let Some([_, to]) = self.network.hosts_of(conn) else {
                    return;
                };
                let listens = self.hosts[to].node.is_some();
                if self.network.answer(now, conn, listens) {
                    self.net(NetEvent::Accepted(conn));
                }
            }
            NetEvent::Accepted(conn) => {
                let Some([from, to]) = self.network.hosts_of(conn) else {
                    return;
                };
                let peer = self.hosts[from].identity.node_id;
                self.tell(to, event, |node, ctx| node.accepted(ctx, conn, peer));
            }
            NetEvent::Established(conn) => {
                let Some([from, to]) = self.network.hosts_of(conn) else {
                    return;
                };
                let peer = self.hosts[to].identity.node_id;
                self.tell(from, event, |node, ctx| node.dialled(ctx, conn, peer));
            }
            NetEvent::DialFailed(conn) => {
                let Some([from, _]) = self.network.hosts_of(conn) else {
                    return;
                };
                if self.tell(from, event, |node, ctx| node.dial_failed(ctx, conn)) {
                    self.network.forget_dial(conn);
                }
            }
            NetEvent::Arrival(conn, side) => self.arrival(conn, side),
            NetEvent::Writable(conn, side) => {
                let Some(host) = self.host_at(conn, side) else {
                    return;
                };
                self.tell(host, event, |node, ctx| node.writable(ctx, conn));
            }
            NetEvent::Broken(conn, side) => {
                let Some(host) = self.host_at(conn, side) else {
                    return;
                };
                if self.tell(host, event, |node, ctx| node.broken(ctx, conn)) {
                    self.network.abandon(now, conn, side);
                }
            }
        }
    }

    fn arrival(&mut self, conn: ConnId, side: Side) {
        let Some(host) = self.host_at(conn, side) else {
            return;
        };
        match self.network.take(self.scheduler.now(), conn, side) {
            Taken::Chunk(bytes) => {
                let digest = super::trace::digest(&bytes[..bytes.len().min(256)]);
                self.trace.line(Some(host), "receives", [conn.0, digest]);
                self.with_node(host, |node, ctx| node.bytes(ctx, conn, &bytes));
            }
            Taken::End => {
                self.with_node(host, |node, ctx| node.broken(ctx, conn));
            }
            Taken::Nothing => {}
        }
    }

    /// Tells a host something about the network now, or when it is thawed. True: it was told.
    fn tell(&mut self, host: usize, event: NetEvent, tell: impl FnOnce(&mut Node, &mut Ctx<'_>)) -> bool {
        if self.hosts[host].frozen {
            // A host that is asleep has a kernel that accepts connections; its node learns of it later.
            self.hosts[host].stalled.push(Event::Net(event));
            return false;
        }
        self.with_node(host, tell).is_some()
    }

    fn host_at(&self, conn: ConnId, side: Side) -> Option<usize> {
        let [dialler, acceptor] = self
            .network
            .hosts_of(conn)
            .filter(|_| self.network.is_open(conn, side))?;
        Some(if side == Side::Dialler { dialler } else { acceptor })
    }

    /// Puts what followed from a step into the queue.
    pub(super) fn collect(&mut self) {
        for (due, event) in self.network.events() {
            self.scheduler.at(due, Event::Net(event));
        }
        for (due, event) in self.later.drain(..) {
            self.scheduler.at(due, event);
        }
    }
}

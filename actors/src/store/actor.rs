//! The shell around the share store's machine.
//!
//! Owns the requests that are being served and their responders. Each is answered once: by the machine, or, if the actor
//! ends, by its dropped responder. Stopping lets what is on its way to the disk arrive; unfinished shares stay behind in
//! `incoming/` and go at the next start.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use metrics::{counter, gauge, histogram};
use tokio::sync::oneshot;
use truckee_engine::restart::{Class, Policy};
use truckee_engine::store::{
    Asked, DiskFault, DiskReply, DiskToken, Effect, ShareId, StartSpace, Store, StoreConfig, StoreReport,
    Ticket,
};
use truckee_engine::time::Mono;

use super::pool::DiskPool;
use crate::answers_ping;
use crate::clock::ClockHandle;
use crate::gate::{Yielder, tell};
use crate::inbound::{Inbound, LinkEvent, Responder, Served};
use crate::metrics as names;
use crate::peer::{Alarm, Wake};
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};

/// Time to let the disk finish what it was given. An `fsync` of a large share takes seconds on a slow disk.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// How long a change may wait until the metrics show it: short beside any scrape interval, long beside a request.
const EXPORT_WITHIN: Duration = Duration::from_millis(250);

/// A request that is being served.
struct Serving {
    responder: Responder,
    kind: &'static str,
    since: Mono,
}

/// See the module.
pub struct ShareStore {
    machine: Store,
    pool: DiskPool,
    clock: ClockHandle,
    serving: BTreeMap<Ticket, Serving>,
    verifying: BTreeMap<Ticket, oneshot::Sender<Result<u64, DiskFault>>>,
    next_ticket: u64,
    exported: StoreReport,
    export_due: bool,
    stopping: bool,
    alarm: Alarm,
    yielder: Yielder,
    _guard: ExitGuard,
}

impl std::fmt::Debug for ShareStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShareStore({} requests)", self.serving.len())
    }
}

/// The disk is done with an operation.
#[derive(Message)]
#[rtype(result = "()")]
struct DiskAnswered {
    token: DiskToken,
    reply: DiskReply,
}

/// Asks for a share to be read back whole.
#[derive(Message)]
#[rtype(result = "()")]
struct Verify {
    share: ShareId,
    answer: oneshot::Sender<Result<u64, DiskFault>>,
}

/// Asks for the figures of the store.
#[derive(Message)]
#[rtype(result = "()")]
struct Report(oneshot::Sender<StoreReport>);

impl ShareStore {
    /// The specification of a node's store. It is never started again: `start` was true only once.
    pub fn child(
        config: StoreConfig,
        pool: DiskPool,
        start: StartSpace,
        clock: ClockHandle,
        slot: &Slot<ShareStore>,
    ) -> ChildSpec {
        let class = (Class::Permanent, Policy::NEVER);
        ChildSpec::new(ChildId::only("store"), class, STOP_WITHIN, slot, move |guard| {
            ShareStore {
                machine: Store::new(config.clone(), start, clock.now()),
                pool: pool.clone(),
                clock: ClockHandle::clone(&clock),
                serving: BTreeMap::new(),
                verifying: BTreeMap::new(),
                next_ticket: 1,
                exported: StoreReport::default(),
                export_due: false,
                stopping: false,
                alarm: Alarm::default(),
                yielder: Yielder::default(),
                _guard: guard,
            }
        })
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    fn carry_out(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Answer { ticket, result } => self.answer(ticket, result),
                Effect::Verified { ticket, result } => {
                    if let Some(answer) = self.verifying.remove(&ticket) {
                        // Whoever asked may have stopped waiting.
                        let _gone = answer.send(result);
                    }
                }
                Effect::Disk { token, op } => {
                    let own = context.address().downgrade();
                    let done = move |reply| {
                        // Without its actor nobody waits for the outcome any more.
                        let _gone = own.upgrade().map(|own| tell(&own, DiskAnswered { token, reply }));
                    };
                    self.pool.submit(op, Box::new(done));
                }
            }
        }
        self.alarm.set(self.machine.next_deadline(), &self.clock, context);
        if !self.export_due {
            self.export_due = true;
            context.run_later(EXPORT_WITHIN, |store, _| store.export());
        }
        if self.stopping && self.machine.is_idle() {
            self.export();
            context.stop();
        }
    }

    fn answer(&mut self, ticket: Ticket, served: Served) {
        let Some(Serving {
            responder,
            kind,
            since,
        }) = self.serving.remove(&ticket)
        else {
            return;
        };
        let outcome = served
            .as_ref()
            .map_or_else(|failure| failure.code.name(), |_| "done");
        let took = self.clock.now().saturating_sub(since);
        counter!(names::STORE_REQUESTS, "request" => kind, "outcome" => outcome).increment(1);
        histogram!(names::STORE_REQUEST_SECONDS, "request" => kind).record(took.as_secs_f64());
        responder.respond(served);
    }

    fn export(&mut self) {
        self.export_due = false;
        let (now, before) = (self.machine.report(), self.exported);
        gauge!(names::STORE_SHARES).set(now.share_count as f64);
        gauge!(names::STORE_USED_BYTES).set(now.used_bytes as f64);
        gauge!(names::STORE_AVAILABLE_BYTES).set(now.available_bytes as f64);
        gauge!(names::STORE_OPEN_SHARES).set(now.open_shares as f64);
        counter!(names::STORE_WRITTEN_BYTES).increment(now.written_bytes - before.written_bytes);
        counter!(names::STORE_READ_BYTES).increment(now.read_bytes - before.read_bytes);
        counter!(names::STORE_CORRUPT).increment(now.corrupt_shares - before.corrupt_shares);
        counter!(names::STORE_SCRUBBED_BYTES).increment(now.verified_bytes - before.verified_bytes);
        let (aborted, was) = (now.aborted, before.aborted);
        for (cause, count) in [
            ("asked", aborted.asked - was.asked),
            ("link_lost", aborted.link_lost - was.link_lost),
            ("idle", aborted.idle - was.idle),
            ("failed", aborted.failed - was.failed),
        ] {
            counter!(names::STORE_ABORTED, "cause" => cause).increment(count);
        }
        self.exported = now;
    }
}

impl Actor for ShareStore {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.carry_out(context);
    }
}

answers_ping!(ShareStore);

impl Handler<Inbound> for ShareStore {
    type Result = ();

    fn handle(&mut self, inbound: Inbound, context: &mut Self::Context) {
        let ticket = self.ticket();
        let now = self.clock.now();
        let Inbound {
            asker,
            request,
            deadline,
            responder,
            ..
        } = inbound;
        let kind = request.kind().name();
        self.serving.insert(
            ticket,
            Serving {
                responder,
                kind,
                since: now,
            },
        );
        let asked = Asked {
            ticket,
            link: asker.link.0,
            deadline,
        };
        self.machine
            .handle_request(now, self.clock.unix(), asked, request);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<DiskAnswered> for ShareStore {
    type Result = ();

    fn handle(&mut self, DiskAnswered { token, reply }: DiskAnswered, context: &mut Self::Context) {
        self.machine.handle_disk(self.clock.now(), token, reply);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<LinkEvent> for ShareStore {
    type Result = ();

    fn handle(&mut self, event: LinkEvent, context: &mut Self::Context) {
        if !event.up {
            self.machine.handle_link_lost(event.link.0);
            self.carry_out(context);
        }
    }
}

impl Handler<Wake> for ShareStore {
    type Result = ();

    fn handle(&mut self, _: Wake, context: &mut Self::Context) {
        self.alarm.rang();
        self.machine.handle_timeout(self.clock.now());
        self.carry_out(context);
    }
}

impl Handler<Verify> for ShareStore {
    type Result = ();

    fn handle(&mut self, Verify { share, answer }: Verify, context: &mut Self::Context) {
        let ticket = self.ticket();
        self.verifying.insert(ticket, answer);
        self.machine.verify(ticket, share);
        self.carry_out(context);
    }
}

impl Handler<Report> for ShareStore {
    type Result = ();

    fn handle(&mut self, Report(answer): Report, _: &mut Self::Context) {
        // Whoever asked may have stopped waiting.
        let _gone = answer.send(self.machine.report());
    }
}

impl Handler<Stop> for ShareStore {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.stopping = true;
        self.machine.stop();
        self.carry_out(context);
    }
}

/// What others of the same node may ask of the store besides requests. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct ShareStoreHandle {
    slot: Slot<ShareStore>,
}

impl ShareStoreHandle {
    /// A handle of the store in `slot`.
    pub fn new(slot: Slot<ShareStore>) -> Self {
        Self { slot }
    }

    /// Has a share read back and every hash checked; one that is damaged is put aside. Gives the bytes read.
    ///
    /// # Errors
    /// [`DiskFault`]: above all `NotFound` and `Corrupt`; `Failed` also if the store has ended.
    pub async fn verify(&self, share: ShareId) -> Result<u64, DiskFault> {
        let (answer, answered) = oneshot::channel();
        self.slot
            .tell(Verify { share, answer })
            .map_err(|_| DiskFault::Failed)?;
        answered.await.unwrap_or(Err(DiskFault::Failed))
    }

    /// The figures of the store; `None` once it has ended.
    pub async fn report(&self) -> Option<StoreReport> {
        let (answer, answered) = oneshot::channel();
        self.slot.tell(Report(answer)).ok()?;
        answered.await.ok()
    }
}

#[cfg(test)]
mod tests;

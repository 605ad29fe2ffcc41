//! The share store of a node: its disk, the threads that wait for the disk, and the actor.
//!
//! The actor holds the machine of `truckee_engine::store` and the responders of requests under way. A request goes into
//! the machine, disk work goes to the pool, its outcome comes back as a message, and answers leave through the
//! responders. It never waits for a disk. It is stopped by its supervisor: it then takes no new shares and ends when the
//! disk has done what it was given. If it panics, the node is to end, and a fresh process looks at the disk anew.
//!
//! Not promised: that an answer reaches the asker; the share is durable all the same.

pub mod disk;
mod figures;
pub mod file_disk;
mod handle;
pub mod look;
pub mod packed;
pub mod pool;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::Span;
use truckee_engine::restart::{Class, Policy};
use truckee_engine::store::{
    Amount, Asked, DiskFault, DiskOp, DiskReply, DiskToken, Effect, Listing, ShareId, StartSpace, Store,
    StoreConfig, StoreReport, Survey, Ticket, TrashCause, TrashMark,
};
use truckee_engine::time::{Day, Mono};
use truckee_grid::bucket::Bucket;
use truckee_wire::message::{Failure, FailureCode, RequestKind};

pub use self::disk::Disk;
use self::figures::Figures;
pub use self::file_disk::{DiskError, FileDisk, PAGE_CACHE_BYTES_DEFAULT};
pub use self::handle::ShareStoreHandle;
pub use self::packed::PackedDisk;
pub use self::pool::{DiskPool, PoolConfig};
use crate::answers_ping;
use crate::clock::ClockHandle;
use crate::figures::RequestFigures;
use crate::gate::{Yielder, tell};
use crate::inbound::{self, Inbound, LinkEvent, Responder, Served};
use crate::metrics as names;
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};
use crate::timer::Timer;

/// How long a stopping supervisor waits for the disk: a full queue of blocks takes a slow disk a few seconds.
pub const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The outcome of a disk operation.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct DiskReplied {
    token: DiskToken,
    reply: DiskReply,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Verify(ShareId, oneshot::Sender<Result<u64, DiskFault>>);

#[derive(Message)]
#[rtype(result = "()")]
struct List(
    Bucket,
    Option<ShareId>,
    oneshot::Sender<Result<Listing, DiskFault>>,
);

#[derive(Message)]
#[rtype(result = "()")]
struct Move(Moving, oneshot::Sender<Result<Amount, DiskFault>>);

/// Into the trash, out of it, or for good.
enum Moving {
    Trash(ShareId, TrashMark),
    Restore(ShareId),
    Collect(ShareId, Day, Day),
    Empty(Bucket, TrashCause, Day),
}

#[derive(Message)]
#[rtype(result = "()")]
struct AskSurvey(
    Bucket,
    Option<ShareId>,
    oneshot::Sender<Result<Survey, DiskFault>>,
);

#[derive(Message)]
#[rtype(result = "()")]
struct SetToday(Day);

#[derive(Message)]
#[rtype(result = "()")]
struct Report(oneshot::Sender<StoreReport>);

#[derive(Message)]
#[rtype(result = "()")]
struct SetDraining(bool, oneshot::Sender<()>);

/// A request under way.
struct Waiting {
    responder: Responder,
    kind: RequestKind,
    since: Mono,
}

/// See the module.
pub struct ShareStore {
    machine: Store,
    pool: DiskPool,
    clock: ClockHandle,
    guard: ExitGuard,
    waiting: BTreeMap<Ticket, Waiting>,
    verifying: BTreeMap<Ticket, oneshot::Sender<Result<u64, DiskFault>>>,
    listing: BTreeMap<Ticket, oneshot::Sender<Result<Listing, DiskFault>>>,
    moving: BTreeMap<Ticket, oneshot::Sender<Result<Amount, DiskFault>>>,
    surveying: BTreeMap<Ticket, oneshot::Sender<Result<Survey, DiskFault>>>,
    next_ticket: u64,
    timer: Timer,
    figures: Figures,
    requests: RequestFigures,
    stopping: bool,
    yielder: Yielder,
}

impl ShareStore {
    /// How a supervisor starts it. There is no second life: what the first one knew of unfinished files is lost, and
    /// only opening the disk again clears them.
    pub fn child(
        config: StoreConfig,
        pool: DiskPool,
        start: StartSpace,
        clock: ClockHandle,
        slot: &Slot<ShareStore>,
    ) -> ChildSpec {
        let how = (Class::Permanent, Policy::NEVER);
        ChildSpec::new(ChildId::only("store"), how, STOP_WITHIN, slot, move |guard| {
            ShareStore {
                machine: Store::new(config.clone(), start, clock.now()),
                pool: pool.clone(),
                clock: clock.clone(),
                guard,
                waiting: BTreeMap::new(),
                verifying: BTreeMap::new(),
                listing: BTreeMap::new(),
                moving: BTreeMap::new(),
                surveying: BTreeMap::new(),
                next_ticket: 1,
                timer: Timer::default(),
                figures: Figures::new(),
                requests: RequestFigures::new(names::STORE_REQUESTS, Some(names::STORE_REQUEST_SECONDS)),
                stopping: false,
                yielder: Yielder::default(),
            }
        })
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    /// Carries out what the machine wants, tells the metrics, and sets the timer.
    fn go_on(&mut self, context: &mut Context<ShareStore>) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Answer { ticket, result } => self.answer(ticket, result),
                Effect::Verified { ticket, result } => {
                    // Who asked may have stopped waiting.
                    self.verifying
                        .remove(&ticket)
                        .map(|asker| asker.send(result).ok());
                }
                Effect::Listed { ticket, result } => {
                    // As above.
                    self.listing.remove(&ticket).map(|asker| asker.send(result).ok());
                }
                Effect::TrashDone { ticket, result } => {
                    // As above.
                    self.moving.remove(&ticket).map(|asker| asker.send(result).ok());
                }
                Effect::Surveyed { ticket, result } => {
                    // As above.
                    self.surveying
                        .remove(&ticket)
                        .map(|asker| asker.send(result).ok());
                }
                Effect::Disk { token, op } => {
                    let address = context.address();
                    let span = self.span_of(token, &op);
                    let done = move |reply| {
                        drop(span);
                        if tell(&address, DiskReplied { token, reply }).is_err() {
                            tracing::debug!("disk work ended after the share store");
                        }
                    };
                    self.pool.submit(op, Box::new(done));
                }
            }
        }
        self.figures.tell(self.machine.report());
        if self.stopping && self.machine.is_idle() {
            context.stop();
            return;
        }
        let deadline = self.machine.next_deadline();
        self.timer
            .arm(context, self.clock.as_ref(), deadline, |store, context| {
                store.timer.fired();
                store.machine.handle_timeout(store.clock.now());
                store.go_on(context);
            });
    }

    /// A span for a disk operation, from its place in the queue to its outcome, below the request that needs it.
    fn span_of(&self, token: DiskToken, op: &DiskOp) -> Option<Span> {
        let waiting = self.waiting.get(&self.machine.asked_by(token)?)?;
        let above = waiting.responder.trace().span();
        Some(tracing::debug_span!(parent: above, "disk", operation = op.name()))
    }

    fn answer(&mut self, ticket: Ticket, result: Served) {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return;
        };
        let took = self.clock.now().saturating_sub(waiting.since);
        self.requests
            .ended(waiting.kind, inbound::outcome(&result), Some(took));
        waiting.responder.respond(result);
    }
}

impl Actor for ShareStore {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        tracing::debug!(generation = self.guard.generation(), "share store runs");
        self.go_on(context);
    }
}

impl Handler<Inbound> for ShareStore {
    type Result = ();

    fn handle(&mut self, inbound: Inbound, context: &mut Self::Context) {
        if inbound.cancelled.is_set() {
            let failure = Failure::new(FailureCode::Cancelled, "the asker took the request back");
            inbound.responder.respond(Err(failure));
            return;
        }
        let (now, ticket) = (self.clock.now(), self.ticket());
        let kind = inbound.request.kind();
        self.waiting.insert(
            ticket,
            Waiting {
                responder: inbound.responder,
                kind,
                since: now,
            },
        );
        let asked = Asked {
            ticket,
            link: inbound.asker.link.0,
            deadline: inbound.deadline,
        };
        self.machine
            .handle_request(now, self.clock.unix(), asked, inbound.request);
        self.go_on(context);
        self.yielder.after_message(context);
    }
}

impl Handler<DiskReplied> for ShareStore {
    type Result = ();

    fn handle(&mut self, message: DiskReplied, context: &mut Self::Context) {
        self.machine
            .handle_disk(self.clock.now(), message.token, message.reply);
        self.go_on(context);
        self.yielder.after_message(context);
    }
}

impl Handler<LinkEvent> for ShareStore {
    type Result = ();

    fn handle(&mut self, event: LinkEvent, context: &mut Self::Context) {
        if !event.up {
            self.machine.handle_link_lost(event.link.0);
            self.go_on(context);
        }
    }
}

impl Handler<Verify> for ShareStore {
    type Result = ();

    fn handle(&mut self, Verify(share, asker): Verify, context: &mut Self::Context) {
        let ticket = self.ticket();
        self.verifying.insert(ticket, asker);
        self.machine.verify(ticket, share);
        self.go_on(context);
    }
}

impl Handler<List> for ShareStore {
    type Result = ();

    fn handle(&mut self, List(bucket, after, asker): List, context: &mut Self::Context) {
        let ticket = self.ticket();
        self.listing.insert(ticket, asker);
        self.machine.list(ticket, bucket, after);
        self.go_on(context);
    }
}

impl Handler<Move> for ShareStore {
    type Result = ();

    fn handle(&mut self, Move(moving, asker): Move, context: &mut Self::Context) {
        let ticket = self.ticket();
        self.moving.insert(ticket, asker);
        match moving {
            Moving::Trash(share, mark) => self.machine.trash(ticket, share, mark),
            Moving::Collect(share, day, leased_before) => {
                self.machine.collect(ticket, share, day, leased_before);
            }
            Moving::Restore(share) => self.machine.restore(ticket, share),
            Moving::Empty(bucket, cause, before) => self.machine.empty_trash(ticket, bucket, cause, before),
        }
        self.go_on(context);
    }
}

impl Handler<AskSurvey> for ShareStore {
    type Result = ();

    fn handle(&mut self, AskSurvey(bucket, after, asker): AskSurvey, context: &mut Self::Context) {
        let ticket = self.ticket();
        self.surveying.insert(ticket, asker);
        self.machine.survey(ticket, bucket, after);
        self.go_on(context);
    }
}

impl Handler<SetToday> for ShareStore {
    type Result = ();

    fn handle(&mut self, SetToday(today): SetToday, _: &mut Self::Context) {
        self.machine.set_today(today);
    }
}

impl Handler<Report> for ShareStore {
    type Result = ();

    fn handle(&mut self, Report(asker): Report, _: &mut Self::Context) {
        // Who asked may have stopped waiting.
        asker.send(self.machine.report()).ok();
    }
}

impl Handler<SetDraining> for ShareStore {
    type Result = ();

    fn handle(&mut self, SetDraining(draining, asker): SetDraining, context: &mut Self::Context) {
        self.machine.set_draining(draining);
        self.go_on(context);
        // Who asked may have stopped waiting.
        asker.send(()).ok();
    }
}

impl Handler<Stop> for ShareStore {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.stopping = true;
        self.machine.stop();
        // A check of a long share would take longer than a stop may.
        self.pool.give_up_what_can_wait();
        self.go_on(context);
    }
}

answers_ping!(ShareStore);

#[cfg(test)]
mod tests;

//! The vdrive of a node: keeps directories that it cannot read, in a database that it trusts.
//!
//! The actor bounds what is under way and hands requests to a thread of its own, where a small tokio runtime talks to
//! the database ([`sql`]) and checks signatures: neither a slow database nor a long change holds up the node's other
//! actors. Answers leave from that thread. Stopped by its supervisor, it takes no new requests and ends when those under
//! way are answered. If it panics, requests under way are answered by their responders, and a fresh one begins anew from
//! the database, which alone has state.
//!
//! Not promised: that an answer reaches the asker; a change that was taken is durable all the same.

pub mod sql;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use truckee_engine::restart::{Class, Policy};
use truckee_engine::vdrive::busy;
use truckee_wire::message::{Failure, FailureCode};

use self::sql::{Database, DatabaseUrl, OpenError};
use self::worker::{Job, Worker};
use crate::answers_ping;
use crate::clock::ClockHandle;
use crate::gate::{ByteGate, CountGate, Yielder};
use crate::inbound::Inbound;
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};

/// Requests under way at once: several times what a database works on at a time, so that it is never idle, and so few
/// that the last of them is served within a second or two.
pub const REQUESTS_MAX: usize = 512;
/// Bytes of changes under way at once: eight longest ones.
pub const CHANGE_BYTES_MAX: usize = 32 << 20;
/// How long a stopping supervisor waits: as long as the database may take for what is under way.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Whether the database can be reached, for readiness checks. Readable from any thread.
#[derive(Clone, Debug, Default)]
pub struct VdriveHealth(Arc<Mutex<Option<String>>>);

impl VdriveHealth {
    /// Why the vdrive cannot serve now; none: it can, or nobody has tried yet.
    pub fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<String>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = state.is_some() != trouble.is_some();
        *state = trouble;
        changed
    }
}

/// See the module.
pub struct Vdrive {
    worker: Option<Worker>,
    /// Resolves when the thread has answered all.
    ended: Option<oneshot::Receiver<()>>,
    clock: ClockHandle,
    guard: ExitGuard,
    requests: CountGate,
    bytes: ByteGate,
    yielder: Yielder,
}

impl Vdrive {
    /// How a supervisor starts it.
    ///
    /// # Errors
    /// [`OpenError`]: the database cannot be what it is said to be. One that cannot be reached is no error: the vdrive
    /// says so in `health`, and serves when it is back.
    pub fn child(
        url: &DatabaseUrl,
        clock: ClockHandle,
        health: VdriveHealth,
        slot: &Slot<Vdrive>,
    ) -> Result<ChildSpec, OpenError> {
        Database::check(url)?;
        let url = url.clone();
        let requests = CountGate::new("vdrive_requests", REQUESTS_MAX);
        let bytes = ByteGate::new("vdrive_bytes", CHANGE_BYTES_MAX);
        let how = (Class::Permanent, Policy::USUAL);
        let make = move |guard| {
            let (worker, ended) = Worker::start(url.clone(), Arc::clone(&clock), health.clone());
            Vdrive {
                worker,
                ended: Some(ended),
                clock: Arc::clone(&clock),
                guard,
                requests: requests.clone(),
                bytes: bytes.clone(),
                yielder: Yielder::default(),
            }
        };
        Ok(ChildSpec::new(
            ChildId::only("vdrive"),
            how,
            STOP_WITHIN,
            slot,
            make,
        ))
    }
}

impl Actor for Vdrive {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        tracing::debug!(generation = self.guard.generation(), "vdrive runs");
        if self.worker.is_none() {
            tracing::error!("the vdrive's thread cannot be started");
            self.guard.fail();
            context.stop();
        }
    }
}

impl Handler<Inbound> for Vdrive {
    type Result = ();

    fn handle(&mut self, inbound: Inbound, context: &mut Self::Context) {
        self.yielder.after_message(context);
        if inbound.cancelled.is_set() {
            inbound
                .responder
                .fail(FailureCode::Cancelled, "the asker took the request back");
            return;
        }
        // A permit for no bytes is one for one byte.
        let bytes = inbound.request.payload_bytes().max(1);
        let permits = (self.requests.try_acquire(), self.bytes.try_acquire(bytes));
        let (Ok(request), Ok(bytes)) = permits else {
            inbound.responder.respond(Err(busy()));
            return;
        };
        let Some(worker) = &self.worker else {
            let failure = Failure::new(FailureCode::Internal, "the vdrive is stopping");
            inbound.responder.respond(Err(failure));
            return;
        };
        let failed = worker.give(Job {
            request: inbound.request,
            deadline: inbound.deadline,
            since: self.clock.now(),
            cancelled: inbound.cancelled,
            responder: inbound.responder,
            permits: (request, bytes),
        });
        if failed.is_err() {
            tracing::error!("the vdrive's thread has ended");
            self.guard.fail();
            context.stop();
        }
    }
}

impl Handler<Stop> for Vdrive {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.worker = None;
        let Some(ended) = self.ended.take() else {
            return;
        };
        let stop = ended.into_actor(self).map(|_, _, context| context.stop());
        context.spawn(stop);
    }
}

answers_ping!(Vdrive);

#[cfg(test)]
mod tests;

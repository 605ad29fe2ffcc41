//! What a supervised child is: its specification, the guard that reports its end, and the messages all children take.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;
use metrics::histogram;
use tokio::time::Instant;
use truckee_engine::restart::{Class, ExitReason, Policy};

use super::{Slot, Supervisor};
use crate::gate::{Gone, tell};
use crate::metrics as names;

/// Names a child among its siblings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId {
    /// What it is: the label in metrics, from a closed set.
    pub kind: &'static str,
    /// Which one of its kind; empty if there is only one.
    pub name: String,
}

impl ChildId {
    /// The only child of its kind.
    pub fn only(kind: &'static str) -> Self {
        Self {
            kind,
            name: String::new(),
        }
    }

    /// One of several of its kind.
    pub fn named(kind: &'static str, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return f.write_str(self.kind);
        }
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Asks a child to come to an end: to finish or hand back what it holds and then `ctx.stop()`.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// Ends a child at once, with whatever it is doing. `answers_ping!` writes the handler.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Kill;

/// Asks a child whether it still handles messages. `answers_ping!` writes the handler.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Ping {
    kind: &'static str,
    sent: Instant,
    answered: Arc<AtomicBool>,
}

impl Ping {
    pub(super) fn new(kind: &'static str, answered: &Arc<AtomicBool>) -> Self {
        Self {
            kind,
            sent: Instant::now(),
            answered: Arc::clone(answered),
        }
    }

    /// Answers, and notes how long the question waited in the mailbox.
    pub fn answer(&self) {
        self.answered.store(true, Ordering::Release);
        histogram!(names::ACTOR_MAILBOX_WAIT_SECONDS, "actor" => self.kind)
            .record(self.sent.elapsed().as_secs_f64());
    }
}

/// Writes the handlers of health checks and of being killed for an actor.
#[macro_export]
macro_rules! answers_ping {
    ($actor:ty) => {
        impl ::actix::Handler<$crate::supervise::Ping> for $actor {
            type Result = ();

            fn handle(&mut self, ping: $crate::supervise::Ping, _: &mut Self::Context) {
                ping.answer();
            }
        }

        impl ::actix::Handler<$crate::supervise::Kill> for $actor {
            type Result = ();

            fn handle(&mut self, _: $crate::supervise::Kill, context: &mut Self::Context) {
                ::actix::ActorContext::stop(context);
            }
        }
    };
}

/// The end of one generation of a child.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Exited {
    /// The child.
    pub child: ChildId,
    /// Which life of it ended, from 1.
    pub generation: u64,
    /// Why.
    pub reason: ExitReason,
}

/// Part of every supervised actor's value: reports its end to the supervisor when it is dropped.
pub struct ExitGuard {
    child: ChildId,
    generation: u64,
    failed: bool,
    supervisor: WeakAddr<Supervisor>,
}

impl ExitGuard {
    pub(super) fn new(child: ChildId, generation: u64, supervisor: WeakAddr<Supervisor>) -> Self {
        Self {
            child,
            generation,
            failed: false,
            supervisor,
        }
    }

    /// The child that this guards.
    pub fn child(&self) -> &ChildId {
        &self.child
    }

    /// Which life of the child this is, from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Makes the coming end count as a failure. Call it before `ctx.stop()`.
    pub fn fail(&mut self) {
        self.failed = true;
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() {
            ExitReason::Panicked
        } else if self.failed {
            ExitReason::Failed
        } else {
            ExitReason::Stopped
        };
        // Without a supervisor the whole node is on its way out and nobody has to know.
        let Some(supervisor) = self.supervisor.upgrade() else {
            return;
        };
        let exited = Exited {
            child: self.child.clone(),
            generation: self.generation,
            reason,
        };
        if tell(&supervisor, exited).is_err() {
            tracing::debug!(child = %self.child, "child ended after its supervisor");
        }
    }
}

impl fmt::Debug for ExitGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExitGuard({} generation {})", self.child, self.generation)
    }
}

/// What a supervisor does with a live child.
pub trait ChildHandle {
    /// Asks it to stop.
    fn stop(&self) -> Result<(), Gone>;
    /// Asks it whether it still handles messages.
    fn ping(&self, ping: Ping) -> Result<(), Gone>;
    /// Ends it.
    fn kill(&self) -> Result<(), Gone>;
}

impl<A> ChildHandle for Addr<A>
where
    A: Actor<Context = Context<A>> + Handler<Stop> + Handler<Ping> + Handler<Kill>,
{
    fn stop(&self) -> Result<(), Gone> {
        tell(self, Stop)
    }

    fn ping(&self, ping: Ping) -> Result<(), Gone> {
        tell(self, ping)
    }

    fn kill(&self) -> Result<(), Gone> {
        tell(self, Kill)
    }
}

pub(super) type Factory = Box<dyn FnMut(ExitGuard) -> Box<dyn ChildHandle> + Send>;

/// How to make a child and when to make it again.
pub struct ChildSpec {
    pub(super) id: ChildId,
    pub(super) class: Class,
    pub(super) policy: Policy,
    pub(super) stop_within: Duration,
    pub(super) factory: Factory,
}

impl ChildSpec {
    /// A child that `make` builds anew for each of its lives; `slot` leads to the one alive.
    ///
    /// `make` must put the guard into the actor and fill it with fresh state. `stop_within` bounds how long a stopping
    /// supervisor waits for it.
    pub fn new<A, M>(
        id: ChildId,
        (class, policy): (Class, Policy),
        stop_within: Duration,
        slot: &Slot<A>,
        mut make: M,
    ) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Stop> + Handler<Ping> + Handler<Kill>,
        M: FnMut(ExitGuard) -> A + Send + 'static,
    {
        let slot = slot.clone();
        let factory = Box::new(move |guard| -> Box<dyn ChildHandle> {
            let address = make(guard).start();
            slot.fill(&address);
            Box::new(address)
        });
        Self {
            id,
            class,
            policy,
            stop_within,
            factory,
        }
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildSpec({}, {:?}, {:?})", self.id, self.class, self.policy)
    }
}

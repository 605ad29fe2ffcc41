//! Supervision: starts children, hears of every end, starts fresh ones, and passes on what it cannot mend.
//!
//! actix restarts nothing after a panic, so this is ours. A child is made by a factory, anew for each generation: no
//! state survives but what the factory's captures hold. It carries an [`ExitGuard`]; when the actor is dropped, for
//! whatever reason, the guard reports to the supervisor, and whether the thread was unwinding tells a panic. The pure
//! rule in `truckee_engine::restart` judges the end; a child that ends too often is reported to the parent.
//!
//! Whoever talks to a child holds a [`Slot`], which leads to the generation alive now. Children hold weak references
//! upward only. Stopping goes child by child, the youngest first, each within its own time; or all at once.
//!
//! Not promised: messages in the mailbox of a child that ends are lost (their guards answer for them).

mod child;
mod slot;
mod stopping;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use metrics::{counter, gauge};
use tokio::time::Instant;
use truckee_engine::restart::{ExitReason, Restart, Verdict};
use truckee_engine::time::Mono;

pub use self::child::{ChildHandle, ChildId, ChildSpec, ExitGuard, Exited, Kill, Ping, Stop};
pub use self::slot::Slot;
use self::stopping::Stopping;
pub use self::stopping::{KillAll, StopAll, StopOrder, stop_all};
use crate::clock::ClockHandle;
use crate::metrics as names;

/// How often children are asked whether they still handle messages. A child that needs longer than this for what is
/// in its mailbox is noted as unresponsive at the next round.
pub const HEALTH_CHECK_EVERY: Duration = Duration::from_secs(5);

/// A child ended more often than its policy allows; it is not started again unless the parent does so.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Escalated {
    /// The child.
    pub child: ChildId,
    /// Why it ended last.
    pub reason: ExitReason,
    /// Ends within its window.
    pub exits: u32,
}

/// A child ended and will not be started again: it was done, or is not of a class that is.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Ended {
    /// The child.
    pub child: ChildId,
    /// Why it ended.
    pub reason: ExitReason,
}

/// Starts a child. An id that is in use already keeps its child; the new specification is dropped.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StartChild(pub ChildSpec);

#[derive(Message)]
#[rtype(result = "()")]
struct StartAgain {
    child: ChildId,
    generation: u64,
}

/// Answered when all that was sent to the supervisor before has been done.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Settled;

/// Who hears of what a supervisor cannot mend.
pub trait Parent: 'static {
    /// A child ended too often.
    fn escalated(&self, escalated: Escalated);
    /// A child is gone for good.
    fn ended(&self, ended: Ended);
}

/// Nobody: what the supervisor cannot mend stays in its log and metrics.
impl Parent for () {
    fn escalated(&self, _: Escalated) {}

    fn ended(&self, _: Ended) {}
}

impl<A> Parent for Slot<A>
where
    A: Actor<Context = Context<A>> + Handler<Escalated> + Handler<Ended>,
{
    fn escalated(&self, escalated: Escalated) {
        if self.tell(escalated).is_err() {
            tracing::warn!("the parent of a supervisor has ended before it");
        }
    }

    fn ended(&self, ended: Ended) {
        if self.tell(ended).is_err() {
            tracing::debug!("the parent of a supervisor has ended before it");
        }
    }
}

/// Whether the children of a supervisor answer, for health pages. Readable from any thread.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<HealthState>>);

#[derive(Debug)]
struct HealthState {
    checked: Instant,
    unresponsive: Vec<ChildId>,
}

impl Health {
    /// A record for a supervisor that starts now.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(HealthState {
            checked: Instant::now(),
            unresponsive: Vec::new(),
        })))
    }

    /// Children that did not answer the last round; `None` if the supervisor itself made no round for three periods,
    /// because the thread of all of them hangs.
    pub fn unresponsive(&self) -> Option<Vec<ChildId>> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.checked.elapsed() < HEALTH_CHECK_EVERY * 3).then(|| state.unresponsive.clone())
    }

    fn record(&self, unresponsive: Vec<ChildId>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = HealthState {
            checked: Instant::now(),
            unresponsive,
        };
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

struct Child {
    spec: ChildSpec,
    rule: Restart,
    generation: u64,
    /// `None` while the next start waits.
    running: Option<Box<dyn ChildHandle>>,
    /// Whether the last health check was answered.
    answered: Arc<AtomicBool>,
}

/// Keeps a set of children running. States: running, stopping, gone.
pub struct Supervisor {
    clock: ClockHandle,
    parent: Box<dyn Parent>,
    health: Health,
    children: BTreeMap<ChildId, Child>,
    /// In the order of their first start.
    order: Vec<ChildId>,
    stop_order: StopOrder,
    stopping: Option<Stopping>,
}

impl Supervisor {
    /// A supervisor without children.
    pub fn new(clock: ClockHandle, parent: impl Parent, health: Health) -> Self {
        Self {
            clock,
            parent: Box::new(parent),
            health,
            children: BTreeMap::new(),
            order: Vec::new(),
            stop_order: StopOrder::YoungestFirst,
            stopping: None,
        }
    }

    /// The same, stopping its children in another order.
    #[must_use]
    pub fn stopping(mut self, order: StopOrder) -> Self {
        self.stop_order = order;
        self
    }

    fn now(&self) -> Mono {
        self.clock.now()
    }

    /// Makes the next generation of a child.
    fn start_generation(&mut self, id: &ChildId, context: &Context<Self>) {
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        child.generation += 1;
        child.answered = Arc::new(AtomicBool::new(true));
        let guard = ExitGuard::new(id.clone(), child.generation, context.address().downgrade());
        let make = AssertUnwindSafe(|| (child.spec.factory)(guard));
        // A factory that panics drops the guard while it unwinds, and so reports like any child.
        child.running = catch_unwind(make).ok();
        if child.running.is_some() {
            gauge!(names::ACTOR_RUNNING, "actor" => id.kind).increment(1.0);
        }
        // Shown from the first start on, so that the first restart is a step that can be seen.
        for name in [
            names::ACTOR_RESTARTS,
            names::ACTOR_ESCALATIONS,
            names::ACTOR_UNRESPONSIVE,
        ] {
            counter!(name, "actor" => id.kind).increment(0);
        }
        tracing::debug!(child = %id, generation = child.generation, "child started");
    }

    fn forget(&mut self, id: &ChildId) {
        self.children.remove(id);
        self.order.retain(|other| other != id);
    }

    fn handle_exit(&mut self, exited: &Exited, context: &mut Context<Self>) {
        let now = self.now();
        let Some(child) = self.children.get_mut(&exited.child) else {
            return;
        };
        if child.generation != exited.generation {
            return;
        }
        if child.running.take().is_some() {
            gauge!(names::ACTOR_RUNNING, "actor" => exited.child.kind).decrement(1.0);
        }
        counter!(names::ACTOR_EXITS, "actor" => exited.child.kind, "reason" => exited.reason.name())
            .increment(1);
        if self.stopping.is_some() {
            self.forget(&exited.child);
            self.stop_next(context);
            return;
        }
        match child.rule.handle_exit(now, exited.reason) {
            Verdict::Restart { after } => {
                tracing::warn!(child = %exited.child, reason = exited.reason.name(), ?after, "child ended, starting it again");
                counter!(names::ACTOR_RESTARTS, "actor" => exited.child.kind).increment(1);
                let again = StartAgain {
                    child: exited.child.clone(),
                    generation: child.generation,
                };
                context.notify_later(again, after);
            }
            Verdict::Forget => {
                tracing::debug!(child = %exited.child, reason = exited.reason.name(), "child ended");
                self.forget(&exited.child);
                self.parent.ended(Ended {
                    child: exited.child.clone(),
                    reason: exited.reason,
                });
            }
            Verdict::Escalate { exits } => {
                tracing::error!(child = %exited.child, reason = exited.reason.name(), exits, "child ended too often");
                counter!(names::ACTOR_ESCALATIONS, "actor" => exited.child.kind).increment(1);
                self.forget(&exited.child);
                self.parent.escalated(Escalated {
                    child: exited.child.clone(),
                    reason: exited.reason,
                    exits,
                });
            }
        }
    }

    fn check_health(&mut self) {
        let mut unresponsive = Vec::new();
        for (id, child) in &mut self.children {
            let Some(running) = &child.running else { continue };
            if !child.answered.load(Ordering::Acquire) {
                counter!(names::ACTOR_UNRESPONSIVE, "actor" => id.kind).increment(1);
                tracing::warn!(child = %id, "child has not handled a message since the last health check");
                unresponsive.push(id.clone());
                continue;
            }
            child.answered = Arc::new(AtomicBool::new(false));
            // A child that has ended reports so by itself.
            if running.ping(Ping::new(id.kind, &child.answered)).is_err() {
                child.answered.store(true, Ordering::Release);
            }
        }
        self.health.record(unresponsive);
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(HEALTH_CHECK_EVERY, |supervisor, _| supervisor.check_health());
    }
}

impl Handler<StartChild> for Supervisor {
    type Result = ();

    fn handle(&mut self, StartChild(spec): StartChild, context: &mut Self::Context) {
        if self.stopping.is_some() || self.children.contains_key(&spec.id) {
            tracing::debug!(child = %spec.id, "child not started: the id is in use or the supervisor stops");
            return;
        }
        let id = spec.id.clone();
        let child = Child {
            rule: Restart::new(spec.class, spec.policy),
            spec,
            generation: 0,
            running: None,
            answered: Arc::new(AtomicBool::new(true)),
        };
        self.children.insert(id.clone(), child);
        self.order.push(id.clone());
        self.start_generation(&id, context);
    }
}

impl Handler<Settled> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Settled, _: &mut Self::Context) {}
}

impl Handler<StartAgain> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: StartAgain, context: &mut Self::Context) {
        let current = self.children.get(&message.child).map(|child| child.generation);
        if self.stopping.is_none() && current == Some(message.generation) {
            self.start_generation(&message.child, context);
        }
    }
}

impl Handler<Exited> for Supervisor {
    type Result = ();

    fn handle(&mut self, exited: Exited, context: &mut Self::Context) {
        self.handle_exit(&exited, context);
    }
}

#[cfg(test)]
mod tests;

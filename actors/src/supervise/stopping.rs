//! How a supervisor comes to its end: its children are asked to stop, wave by wave, and those that do not are killed.
//!
//! Dropping the address of an actor is not enough: one with a timer set lives on until it rings.

use std::collections::BTreeSet;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::{ChildId, Supervisor};
use crate::gate::tell;

/// In which order children are asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOrder {
    /// One after the other, the youngest first: for children that build on each other.
    YoungestFirst,
    /// All at the same time: for children that have nothing to do with each other.
    AllAtOnce,
}

/// Stops all children and then the supervisor. The answer is the children that did not end in time and were killed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopAll(pub oneshot::Sender<Vec<ChildId>>);

/// Ends all children and the supervisor at once, with whatever they are doing.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct KillAll;

#[derive(Message)]
#[rtype(result = "()")]
struct StopOverdue {
    child: ChildId,
    generation: u64,
}

/// A stop that is under way.
pub(super) struct Stopping {
    /// Not asked yet; the last one is next.
    waves: Vec<Vec<ChildId>>,
    /// Asked, and not ended yet.
    asked: BTreeSet<ChildId>,
    overdue: Vec<ChildId>,
    waiting: Vec<oneshot::Sender<Vec<ChildId>>>,
}

impl Supervisor {
    /// Asks the next wave to stop once the one before has ended; after the last one, answers and ends.
    pub(super) fn stop_next(&mut self, context: &mut Context<Self>) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        stopping.asked.retain(|id| self.children.contains_key(id));
        while stopping.asked.is_empty() {
            let Some(wave) = stopping.waves.pop() else {
                self.finish(context);
                return;
            };
            for id in wave {
                let Some(child) = self.children.get(&id) else {
                    continue;
                };
                if child
                    .running
                    .as_ref()
                    .is_some_and(|running| running.stop().is_ok())
                {
                    let overdue = StopOverdue {
                        child: id.clone(),
                        generation: child.generation,
                    };
                    context.notify_later(overdue, child.spec.stop_within);
                    stopping.asked.insert(id);
                } else {
                    // It waits for its next start, or has ended without its report being handled yet.
                    self.children.remove(&id);
                }
            }
        }
    }

    fn finish(&mut self, context: &mut Context<Self>) {
        if let Some(stopping) = self.stopping.take() {
            for waiting in stopping.waiting {
                // Who asked may have stopped waiting.
                drop(waiting.send(stopping.overdue.clone()));
            }
        }
        context.stop();
    }
}

impl Handler<StopAll> for Supervisor {
    type Result = ();

    fn handle(&mut self, StopAll(done): StopAll, context: &mut Self::Context) {
        if let Some(stopping) = &mut self.stopping {
            stopping.waiting.push(done);
            return;
        }
        let waves = match self.stop_order {
            StopOrder::YoungestFirst => self.order.iter().map(|id| vec![id.clone()]).collect(),
            StopOrder::AllAtOnce => vec![self.order.clone()],
        };
        self.stopping = Some(Stopping {
            waves,
            asked: BTreeSet::new(),
            overdue: Vec::new(),
            waiting: vec![done],
        });
        self.stop_next(context);
    }
}

impl Handler<StopOverdue> for Supervisor {
    type Result = ();

    fn handle(&mut self, overdue: StopOverdue, context: &mut Self::Context) {
        let Some(child) = self.children.get(&overdue.child) else {
            return;
        };
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        if child.generation != overdue.generation || !stopping.asked.contains(&overdue.child) {
            return;
        }
        tracing::warn!(child = %overdue.child, "child did not stop in time, killed");
        // One that has just ended needs no killing; one that hangs is left behind.
        let _ended = child.running.as_ref().map(|running| running.kill());
        stopping.overdue.push(overdue.child.clone());
        self.forget(&overdue.child);
        self.stop_next(context);
    }
}

impl Handler<KillAll> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: KillAll, context: &mut Self::Context) {
        for running in self.children.values().filter_map(|child| child.running.as_ref()) {
            // One that has ended already is what was wanted.
            let _ended = running.kill();
        }
        self.children.clear();
        self.finish(context);
    }
}

/// Stops the children of `supervisor` and it; gives the children that did not end in time.
pub async fn stop_all(supervisor: &Addr<Supervisor>) -> Vec<ChildId> {
    let (done, stopped) = oneshot::channel();
    if tell(supervisor, StopAll(done)).is_err() {
        return Vec::new();
    }
    stopped.await.unwrap_or_default()
}

//! The collector of a storage node: the actor around the machine, and the file that keeps its days.
//!
//! The actor passes what the machine of `truckee_engine::gc` asks for to the share store, and the answers back; it decides
//! nothing. The state is kept in a small file, one write at a time on a thread that may block. A file that is missing or
//! broken makes leases younger: the first term begins anew.
//!
//! It is stopped by its supervisor before the store is, and then writes its state a last time. After a panic a fresh one goes
//! on from the last state that was meant for the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use metrics::{counter, gauge};
use truckee_engine::gc::{Collector as Machine, Effect, GcConfig, GcReport, GcState};
use truckee_engine::restart::{Class, Policy};

use crate::answers_ping;
use crate::clock::ClockHandle;
use crate::metrics as names;
use crate::state_file::{self, Keeper, Kept, Saved};
use crate::store::ShareStoreHandle;
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};
use crate::timer::Timer;

/// How long a stopping supervisor waits for the last write of the state.
pub const STOP_WITHIN: Duration = Duration::from_secs(2);
/// As metrics count time.
const DAY_SECONDS: f64 = 86_400.0;
/// Longest file that is looked at; the machine's text has less than a kilobyte.
const STATE_BYTES_MAX: u64 = 4096;

/// What follows if its state cannot be written.
const UNWRITTEN: &str =
    "the days that the collector has counted were not written; after a restart it counts them again";

/// What a collector begins with.
pub struct CollectorStart {
    /// Whether, and after how many days.
    pub config: GcConfig,
    /// The file that keeps its state.
    pub state: PathBuf,
    /// What is collected from.
    pub store: ShareStoreHandle,
    /// What time it is.
    pub clock: ClockHandle,
}

/// See the module.
pub struct Collector {
    machine: Machine,
    store: ShareStoreHandle,
    clock: ClockHandle,
    guard: ExitGuard,
    days: Keeper<GcState>,
    timer: Timer,
    told: Option<GcReport>,
    stopping: bool,
}

impl Collector {
    /// Reads the state and says how a supervisor starts the collector. Blocks for a moment.
    pub fn child(start: CollectorStart) -> ChildSpec {
        let kept = Kept::new(start.state.clone(), load(&start.state));
        let how = (Class::Permanent, Policy::USUAL);
        let slot = Slot::new();
        ChildSpec::new(
            ChildId::only("collector"),
            how,
            STOP_WITHIN,
            &slot,
            move |guard| {
                let (now, unix) = (start.clock.now(), start.clock.unix());
                Collector {
                    machine: Machine::new(start.config, kept.last(), now, unix),
                    store: start.store.clone(),
                    clock: Arc::clone(&start.clock),
                    guard,
                    days: Keeper::new(kept.clone(), UNWRITTEN),
                    timer: Timer::default(),
                    told: None,
                    stopping: false,
                }
            },
        )
    }

    /// Carries out what the machine wants, tells the metrics, and sets the timer.
    fn go_on(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            self.carry_out(effect, context);
        }
        self.tell_metrics();
        let deadline = self.machine.next_deadline();
        self.timer
            .arm(context, self.clock.as_ref(), deadline, |collector, context| {
                collector.timer.fired();
                let (now, unix) = (collector.clock.now(), collector.clock.unix());
                collector.machine.handle_timeout(now, unix);
                collector.go_on(context);
            });
        self.save(context);
    }

    fn carry_out(&mut self, effect: Effect, context: &mut Context<Self>) {
        let store = self.store.clone();
        match effect {
            Effect::Save(state) => self.days.keep(state),
            Effect::Today(today) => {
                if !store.set_today(today) {
                    tracing::debug!("the store has ended before it was told the day");
                }
            }
            Effect::Survey { bucket, after } => {
                let survey = async move { store.survey(bucket, after).await };
                context.spawn(survey.into_actor(self).map(|result, collector, context| {
                    collector.machine.handle_surveyed(collector.clock.now(), result);
                    collector.go_on(context);
                }));
            }
            Effect::Collect {
                share,
                day,
                leased_before,
            } => {
                let moving = async move { store.collect(share, day, leased_before).await };
                context.spawn(moving.into_actor(self).map(Self::moved));
            }
            Effect::Empty {
                bucket,
                cause,
                before,
            } => {
                let moving = async move { store.empty_trash(bucket, cause, before).await };
                context.spawn(moving.into_actor(self).map(Self::moved));
            }
        }
    }

    fn moved(
        result: Result<truckee_engine::store::Amount, truckee_engine::store::DiskFault>,
        collector: &mut Self,
        context: &mut Context<Self>,
    ) {
        collector.machine.handle_moved(collector.clock.now(), result);
        collector.go_on(context);
    }

    fn save(&mut self, context: &mut Context<Self>) {
        if self.days.go_on(&context.address(), |state| state.to_text()) && self.stopping {
            context.stop();
        }
    }

    fn tell_metrics(&mut self) {
        let report = self.machine.report();
        let before = self.told.replace(report);
        if before == Some(report) {
            return;
        }
        let before = before.unwrap_or_default();
        // By steps: a later life of this actor counts from zero again.
        for (step, amount, past) in [
            ("collected", report.collected, before.collected),
            ("deleted", report.deleted, before.deleted),
        ] {
            counter!(names::GC_SHARES, "step" => step).increment(amount.shares - past.shares);
            counter!(names::GC_BYTES, "step" => step).increment(amount.bytes - past.bytes);
        }
        counter!(names::GC_FAILED).increment(report.failed - before.failed);
        counter!(names::GC_WALKS).increment(report.walks - before.walks);
        gauge!(names::GC_ON).set(f64::from(u8::from(report.on)));
        gauge!(names::GC_FIRST_SECONDS).set(f64::from(report.days_to_first) * DAY_SECONDS);
        gauge!(names::GC_BEHIND_SECONDS).set(f64::from(report.days_behind) * DAY_SECONDS);
    }
}

/// The state that an earlier process kept. What is none is replaced by the next one.
pub fn load(path: &Path) -> Option<GcState> {
    let anew = "the days that the collector has counted cannot be read; its first term begins anew";
    state_file::recall(path, STATE_BYTES_MAX, GcState::from_text, anew)
}

impl Actor for Collector {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        tracing::debug!(generation = self.guard.generation(), "collector runs");
        self.go_on(context);
    }
}

impl Handler<Saved> for Collector {
    type Result = ();

    fn handle(&mut self, _: Saved, context: &mut Self::Context) {
        self.days.saved();
        self.save(context);
    }
}

impl Handler<Stop> for Collector {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.stopping = true;
        self.machine.stop(self.clock.now(), self.clock.unix());
        self.go_on(context);
    }
}

answers_ping!(Collector);

#[cfg(test)]
mod tests;

//! The scrubber of a running node: the actor around the machine, and the file that keeps its place.
//!
//! The actor passes what the machine of `truckee_engine::scrub` asks for to the share store, and the answers back; it
//! decides nothing. The place in the round is kept in a small file, one write at a time on a thread that may block. A file
//! that is missing or broken costs a round that begins anew.
//!
//! It is stopped by its supervisor before the store is, and then writes its place a last time. After a panic a fresh one
//! goes on from the last place that was meant for the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::{BoxFuture, FutureExt};
use metrics::{counter, gauge};
use truckee_engine::restart::{Class, Policy};
use truckee_engine::scrub::{Cursor, Effect, RoundReport, Scrub, ScrubConfig, ScrubReport};
use truckee_engine::store::{DiskFault, Listing, ShareId, StoreReport};
use truckee_grid::bucket::Bucket;

use crate::answers_ping;
use crate::clock::ClockHandle;
use crate::metrics as names;
use crate::state_file::{self, Keeper, Kept, Saved};
use crate::store::ShareStoreHandle;
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};
use crate::timer::Timer;

/// How long a stopping supervisor waits for the last write of the place.
pub const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Longest file that is looked at; the machine's text has less than a kilobyte.
const PLACE_BYTES_MAX: u64 = 4096;
/// How often it is worked out how long a round takes over what the store holds: that changes slowly.
const PLAN_EVERY: Duration = Duration::from_secs(60);

/// What is scrubbed: the share store, or a made-up one in tests.
pub trait Scrubbed: Send + Sync + 'static {
    /// As [`ShareStoreHandle::list`].
    fn list(&self, bucket: Bucket, after: Option<ShareId>) -> BoxFuture<'static, Result<Listing, DiskFault>>;
    /// As [`ShareStoreHandle::verify`].
    fn verify(&self, share: ShareId) -> BoxFuture<'static, Result<u64, DiskFault>>;
    /// As [`ShareStoreHandle::report`].
    fn report(&self) -> BoxFuture<'static, Option<StoreReport>>;
}

impl Scrubbed for ShareStoreHandle {
    fn list(&self, bucket: Bucket, after: Option<ShareId>) -> BoxFuture<'static, Result<Listing, DiskFault>> {
        let store = self.clone();
        async move { store.list(bucket, after).await }.boxed()
    }

    fn verify(&self, share: ShareId) -> BoxFuture<'static, Result<u64, DiskFault>> {
        let store = self.clone();
        async move { store.verify(share).await }.boxed()
    }

    fn report(&self) -> BoxFuture<'static, Option<StoreReport>> {
        let store = self.clone();
        async move { store.report().await }.boxed()
    }
}

/// What follows if its place cannot be written.
const UNWRITTEN: &str =
    "the scrubber's place was not written; after a restart some shares are checked once more";

/// What a scrubber begins with.
pub struct ScrubberStart {
    /// How fast.
    pub config: ScrubConfig,
    /// The file that keeps its place.
    pub place: PathBuf,
    /// What is scrubbed.
    pub store: Arc<dyn Scrubbed>,
    /// What time it is.
    pub clock: ClockHandle,
    /// Any number: where a round begins if no place is kept.
    pub chance: u64,
}

/// See the module.
pub struct Scrubber {
    machine: Scrub,
    store: Arc<dyn Scrubbed>,
    clock: ClockHandle,
    guard: ExitGuard,
    place: Keeper<Cursor>,
    timer: Timer,
    told: Option<ScrubReport>,
    stopping: bool,
}

impl Scrubber {
    /// Reads the place and says how a supervisor starts the scrubber. Blocks for a moment.
    pub fn child(start: ScrubberStart) -> ChildSpec {
        let kept = Kept::new(start.place.clone(), load(&start.place));
        let how = (Class::Permanent, Policy::USUAL);
        let slot = Slot::new();
        ChildSpec::new(ChildId::only("scrubber"), how, STOP_WITHIN, &slot, move |guard| {
            let (now, unix) = (start.clock.now(), start.clock.unix());
            Scrubber {
                machine: Scrub::new(start.config, kept.last(), start.chance, now, unix),
                store: Arc::clone(&start.store),
                clock: Arc::clone(&start.clock),
                guard,
                place: Keeper::new(kept.clone(), UNWRITTEN),
                timer: Timer::default(),
                told: None,
                stopping: false,
            }
        })
    }

    /// Carries out what the machine wants, tells the metrics, and sets the timer.
    fn go_on(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::List { bucket, after } => {
                    let listed = self.store.list(bucket, after).into_actor(self);
                    context.spawn(listed.map(|result, scrubber, context| {
                        let (now, unix) = (scrubber.clock.now(), scrubber.clock.unix());
                        scrubber.machine.handle_listed(now, unix, result);
                        scrubber.go_on(context);
                    }));
                }
                Effect::Verify { share } => {
                    let verified = self.store.verify(share).into_actor(self);
                    context.spawn(verified.map(|result, scrubber, context| {
                        let (now, unix) = (scrubber.clock.now(), scrubber.clock.unix());
                        scrubber.machine.handle_verified(now, unix, result);
                        scrubber.go_on(context);
                    }));
                }
                Effect::Save(place) => self.place.keep(place),
                Effect::RoundDone(report) => log(&report),
            }
        }
        self.tell_metrics();
        let deadline = self.machine.next_deadline();
        self.timer
            .arm(context, self.clock.as_ref(), deadline, |scrubber, context| {
                scrubber.timer.fired();
                let (now, unix) = (scrubber.clock.now(), scrubber.clock.unix());
                scrubber.machine.handle_timeout(now, unix);
                scrubber.go_on(context);
            });
        self.save(context);
    }

    fn save(&mut self, context: &mut Context<Self>) {
        if self.place.go_on(&context.address(), |place| place.to_text()) && self.stopping {
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
        counter!(names::STORE_SCRUB_ROUNDS).increment(report.rounds - before.rounds);
        for (outcome, step) in [
            ("sound", report.sound - before.sound),
            ("corrupt", report.corrupt - before.corrupt),
            ("unreadable", report.unreadable - before.unreadable),
        ] {
            counter!(names::STORE_SCRUB_SHARES, "outcome" => outcome).increment(step);
        }
        let done = report.buckets_done as f64 / Bucket::COUNT as f64;
        gauge!(names::STORE_SCRUB_POSITION).set(done);
        gauge!(names::STORE_SCRUB_ROUND_START_SECONDS).set(report.round_started.as_secs() as f64);
        let ended = report.last_ended.map_or(0, |at| at.as_secs());
        gauge!(names::STORE_SCRUB_LAST_END_SECONDS).set(ended as f64);
    }

    /// Tells how long a round takes over what the store holds now.
    fn plan(&mut self, context: &mut Context<Self>) {
        let report = self.store.report().into_actor(self);
        context.spawn(report.map(|report, scrubber, _| {
            // Without a store the node is on its way out.
            if let Some(report) = report {
                let planned = scrubber.machine.planned(report.share_count, report.used_bytes);
                gauge!(names::STORE_SCRUB_PLANNED_SECONDS).set(planned.as_secs_f64());
            }
        }));
    }
}

/// The place that an earlier process kept. What is no place is replaced by the next one.
fn load(path: &Path) -> Option<Cursor> {
    let anew = "the scrubber's place cannot be read; it begins its round anew";
    state_file::recall(path, PLACE_BYTES_MAX, Cursor::from_text, anew)
}

fn log(round: &RoundReport) {
    let days = round.ended.saturating_sub(round.started).as_secs() / 86_400;
    let RoundReport {
        shares,
        bytes,
        corrupt,
        unreadable,
        ..
    } = *round;
    tracing::info!(
        shares,
        bytes,
        corrupt,
        unreadable,
        days,
        "all shares were read back and checked"
    );
}

impl Actor for Scrubber {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        tracing::debug!(generation = self.guard.generation(), "scrubber runs");
        self.plan(context);
        context.run_interval(PLAN_EVERY, Scrubber::plan);
        self.go_on(context);
    }
}

impl Handler<Saved> for Scrubber {
    type Result = ();

    fn handle(&mut self, _: Saved, context: &mut Self::Context) {
        self.place.saved();
        self.save(context);
    }
}

impl Handler<Stop> for Scrubber {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.stopping = true;
        self.machine.stop();
        self.go_on(context);
    }
}

answers_ping!(Scrubber);

#[cfg(test)]
mod tests;

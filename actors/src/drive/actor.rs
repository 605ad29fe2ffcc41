//! The shell around the machine of the drive. See the parent module.

use std::collections::BTreeMap;

use actix::prelude::*;
use metrics::gauge;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;
use truckee_engine::drive::{Drive, Edit, Effect, JobId, Outcome, Ticket, Work, Worked};
use truckee_engine::transfer::Token;
use truckee_grid::drive::{Child, DirectoryKeys, RowName};

use super::{DriveConfig, DriveError, count};
use crate::answers_ping;
use crate::call::{Call, CallAnswered, CallGuard, Reply};
use crate::directory::DirectoryWatch;
use crate::gate::{Yielder, tell};
use crate::metrics as names;
use crate::supervise::{ExitGuard, Stop};
use crate::timer::Timer;
use crate::trace::Trace;

/// A call of somebody.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Ask {
    pub(super) ticket: Ticket,
    pub(super) keys: DirectoryKeys,
    pub(super) what: What,
    pub(super) answer: oneshot::Sender<Result<Outcome, DriveError>>,
    pub(super) trace: Trace,
}

pub(super) enum What {
    Read,
    Create(Vec<(RowName, Child)>),
    Edit(Vec<Edit>),
}

/// Nobody waits for a call any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TakeBack(pub(super) Ticket);

/// Work came back from the CPU pool; `None`: it could not be done.
#[derive(Message)]
#[rtype(result = "()")]
struct WorkDone(JobId, Option<Worked>);

/// See the module.
pub(super) struct DriveActor {
    machine: Drive,
    config: DriveConfig,
    asking: BTreeMap<Ticket, (oneshot::Sender<Result<Outcome, DriveError>>, Trace)>,
    calls: BTreeMap<Token, CallGuard>,
    timer: Timer,
    yielder: Yielder,
    _guard: ExitGuard,
}

impl DriveActor {
    /// Makes one life after the other, each with a seed of its own.
    pub(super) fn factory(
        config: DriveConfig,
        seed: [u8; 32],
    ) -> impl FnMut(ExitGuard) -> Self + Send + 'static {
        let mut seeds = StdRng::from_seed(seed);
        move |guard| Self {
            machine: Drive::new(config.limits, seeds.random()),
            config: config.clone(),
            asking: BTreeMap::new(),
            calls: BTreeMap::new(),
            timer: Timer::default(),
            yielder: Yielder::default(),
            _guard: guard,
        }
    }

    /// Carries out what the machine wants, and sets the timer.
    fn carry_out(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Send {
                    token,
                    vdrive,
                    request,
                    lane,
                    budget,
                    ticket,
                } => {
                    let asking = ticket.and_then(|ticket| self.asking.get(&ticket));
                    let reply = Reply::message(context.address().recipient(), token);
                    let call = Call {
                        request,
                        lane,
                        budget,
                        trace: asking.map_or_else(Trace::none, |(_, trace)| trace.clone()),
                    };
                    let guard = self.config.mesh.call(vdrive, call, reply);
                    self.calls.insert(token, guard);
                }
                Effect::CancelSend { token } => drop(self.calls.remove(&token)),
                Effect::Work { job, work } => self.work(job, work, context),
                Effect::Finished { ticket, result } => {
                    if let Some((answer, _)) = self.asking.remove(&ticket) {
                        // Who asked may have stopped waiting.
                        answer.send(result).ok();
                    }
                }
                Effect::Note(note) => count::note(note),
            }
        }
        gauge!(names::DRIVE_COPIES_BYTES).set(self.machine.copies_bytes() as f64);
        self.timer.arm(
            context,
            self.config.clock.as_ref(),
            self.machine.next_deadline(),
            Self::on_time,
        );
    }

    fn work(&mut self, job: JobId, work: Work, context: &Context<Self>) {
        if work.is_short() {
            let worked = work.run();
            self.machine
                .handle_worked(self.config.clock.now(), job, Some(worked));
            return;
        }
        let back = context.address();
        let done = move |result: Result<Worked, _>| {
            if let Err(error) = &result {
                tracing::error!(%error, "rows of a directory could not be worked on");
            }
            if tell(&back, WorkDone(job, result.ok())).is_err() {
                tracing::debug!("the drive ended before its work was done");
            }
        };
        self.config.cpu.run_then(work.name(), move || work.run(), done);
    }

    fn on_time(&mut self, context: &mut Context<Self>) {
        self.timer.fired();
        self.machine.handle_timeout(self.config.clock.now());
        self.carry_out(context);
    }

    /// Hears of vdrives as they come and go.
    fn watch(&mut self, mut members: DirectoryWatch, context: &mut Context<Self>) {
        self.machine.handle_vdrives(&self.config.vdrives());
        let changed = async move { members.changed().await.ok().map(|()| members) };
        context.spawn(changed.into_actor(self).map(|members, drive, context| {
            // Without the other end the node is on its way out.
            if let Some(members) = members {
                drive.watch(members, context);
            }
        }));
    }
}

impl Actor for DriveActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.watch(self.config.directory.clone(), context);
    }
}

impl Handler<Ask> for DriveActor {
    type Result = ();

    fn handle(&mut self, ask: Ask, context: &mut Self::Context) {
        let Ask {
            ticket,
            keys,
            what,
            answer,
            trace,
        } = ask;
        if answer.is_closed() {
            return;
        }
        let (now, unix_ms) = (self.config.clock.now(), self.config.clock.unix_millis());
        self.asking.insert(ticket, (answer, trace));
        match what {
            What::Read => self.machine.handle_read(now, ticket, keys),
            What::Create(rows) => self.machine.handle_create(now, unix_ms, ticket, keys, rows),
            What::Edit(edits) => self.machine.handle_edits(now, unix_ms, ticket, keys, edits),
        }
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<TakeBack> for DriveActor {
    type Result = ();

    fn handle(&mut self, TakeBack(ticket): TakeBack, context: &mut Self::Context) {
        if self.asking.remove(&ticket).is_some() {
            self.machine.handle_cancel(self.config.clock.now(), ticket);
            self.carry_out(context);
        }
    }
}

impl Handler<WorkDone> for DriveActor {
    type Result = ();

    fn handle(&mut self, WorkDone(job, worked): WorkDone, context: &mut Self::Context) {
        self.machine.handle_worked(self.config.clock.now(), job, worked);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<CallAnswered<Token>> for DriveActor {
    type Result = ();

    fn handle(&mut self, answer: CallAnswered<Token>, context: &mut Self::Context) {
        self.calls.remove(&answer.token);
        self.machine
            .handle_answer(self.config.clock.now(), answer.token, answer.result);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<Stop> for DriveActor {
    type Result = ();

    fn handle(&mut self, Stop: Stop, context: &mut Self::Context) {
        self.machine.handle_abort();
        self.carry_out(context);
        context.stop();
    }
}

answers_ping!(DriveActor);

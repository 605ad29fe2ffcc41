//! The drive of a simulated gateway: the drive machine, its calls to vdrives, and the CPU that opens and seals rows.

use truckee_engine::drive::{
    Drive, DriveError, Effect, JobId, Limits, Note, Outcome as Came, Ticket, Worked,
};
use truckee_engine::time::Mono;
use truckee_engine::transfer::Token;
use truckee_grid::ids::NodeId;

use super::{CallResult, Caller, Errand, Job};
use crate::sim::drive::What;
use crate::sim::model::{OrderId, Outcome};
use crate::sim::scheduler::{MILLIS, Micros};
use crate::sim::world::Ctx;

/// See the module.
#[derive(Debug)]
pub(super) struct Desk {
    machine: Drive,
    vdrives: Vec<NodeId>,
    cpu_free_at: Micros,
}

impl Desk {
    pub(super) fn new(ctx: &mut Ctx<'_>) -> Self {
        Self {
            machine: Drive::new(Limits::default(), ctx.rng.array()),
            vdrives: Vec::new(),
            cpu_free_at: 0,
        }
    }

    /// These are the vdrives of the mesh now.
    pub(super) fn vdrives(&mut self, vdrives: Vec<NodeId>) {
        if self.vdrives != vdrives {
            self.machine.handle_vdrives(&vdrives);
            self.vdrives = vdrives;
        }
    }

    /// A client wants something.
    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>, id: OrderId, errands: &mut Vec<Errand>) {
        let Some((what, keys)) = ctx.drive.order(id) else {
            return;
        };
        let (ticket, unix_ms) = (Ticket(id.0), ctx.unix.as_secs() * 1000);
        match what {
            What::Read => self.machine.handle_read(ctx.now, ticket, keys),
            What::Create => self
                .machine
                .handle_create(ctx.now, unix_ms, ticket, keys, Vec::new()),
            What::Set { .. } | What::Remove { .. } => {
                let edits = ctx.drive.edit(id).into_iter().collect();
                self.machine.handle_edits(ctx.now, unix_ms, ticket, keys, edits);
            }
        }
        self.drain(ctx, errands);
    }

    pub(super) fn answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        result: CallResult,
        errands: &mut Vec<Errand>,
    ) {
        self.machine.handle_answer(ctx.now, token, result);
        self.drain(ctx, errands);
    }

    pub(super) fn worked(
        &mut self,
        ctx: &mut Ctx<'_>,
        (job, worked): (JobId, Worked),
        errands: &mut Vec<Errand>,
    ) {
        self.machine.handle_worked(ctx.now, job, Some(worked));
        self.drain(ctx, errands);
    }

    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>, errands: &mut Vec<Errand>) {
        if self.next_deadline().is_some_and(|deadline| deadline <= ctx.now) {
            self.machine.handle_timeout(ctx.now);
            self.drain(ctx, errands);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.machine.next_deadline()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.machine.is_idle()
    }

    fn drain(&mut self, ctx: &mut Ctx<'_>, errands: &mut Vec<Errand>) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Send {
                    token,
                    vdrive,
                    request,
                    lane,
                    budget,
                    ..
                } => errands.push(Errand::Call {
                    caller: Caller::Drive(token),
                    peer: vdrive,
                    request: Box::new(request),
                    lane,
                    budget,
                }),
                Effect::CancelSend { token } => errands.push(Errand::Cancel(Caller::Drive(token))),
                Effect::Work { job, work } => {
                    let takes = 1 + ctx.rng.below(3 * MILLIS);
                    self.cpu_free_at = self.cpu_free_at.max(ctx.at()) + takes;
                    ctx.after(
                        self.cpu_free_at - ctx.at(),
                        Job::Worked(job, Box::new(work.run())),
                    );
                }
                Effect::Finished { ticket, result } => finished(ctx, OrderId(ticket.0), result),
                Effect::Note(note) => ctx.model.tally.count(note_name(note)),
            }
        }
    }
}

fn finished(ctx: &mut Ctx<'_>, id: OrderId, result: Result<Came, DriveError>) {
    let (outcome, what) = match &result {
        Ok(Came::Read(_)) => (Outcome::Read, "drive: read"),
        Ok(Came::Edited(_)) => (Outcome::Changed, "drive: changed"),
        Err(error) => (Outcome::Failed(error.to_string()), error_name(error)),
    };
    ctx.trace.note(
        Some(ctx.host),
        "drive answered",
        format_args!("order {}: {outcome:?}", id.0),
    );
    ctx.model.tally.count(what);
    ctx.model.order_ended(id, outcome);
    ctx.drive.ended(id, result);
}

fn error_name(error: &DriveError) -> &'static str {
    match error {
        DriveError::Unknown => "drive: unknown",
        DriveError::Refused(_) => "drive: refused",
        DriveError::NoVdrive | DriveError::Unreachable { .. } => "drive: out of reach",
        DriveError::Database => "drive: database",
        DriveError::Busy { .. } => "drive: busy",
        _ => "drive: another failure",
    }
}

fn note_name(note: Note) -> &'static str {
    match note {
        Note::Conflict => "drive note: conflict",
        Note::Taken { .. } => "drive note: change taken",
        Note::News { .. } => "drive note: news",
        Note::Whole { .. } => "drive note: whole",
        Note::Current => "drive note: current",
        Note::RequestFailed => "drive note: request failed",
        Note::Forged | Note::RolledBack | Note::SplitDatabase => "drive note: suspicion",
        Note::Evicted => "drive note: evicted",
    }
}

//! The vdrive of a simulated node: takes requests to the database that all vdrives of the mesh share.
//!
//! The database does each of them at one moment; that takes time before and after, in which the node may die. When the
//! node's disk fails, so does its way to the database, before or behind that moment.

use std::collections::BTreeMap;

use truckee_engine::time::Mono;
use truckee_engine::vdrive::busy;
use truckee_wire::message::{Failure, FailureCode, Request, Response};

use super::{Job, ReplyTo};
use crate::sim::world::Ctx;

/// Requests under way: few, so that some find the vdrive busy.
const REQUESTS_MAX: usize = 12;

/// Answers on their way out.
type Answers = Vec<(ReplyTo, Result<Response, Failure>)>;

#[derive(Debug)]
struct Serving {
    reply: ReplyTo,
    deadline: Mono,
    request: Request,
    result: Option<Result<Response, Failure>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Vdrive {
    serving: BTreeMap<u64, Serving>,
    next: u64,
}

impl Vdrive {
    pub(super) fn serve(
        &mut self,
        ctx: &mut Ctx<'_>,
        reply: ReplyTo,
        deadline: Mono,
        request: Request,
        answers: &mut Answers,
    ) {
        if self.serving.len() >= REQUESTS_MAX {
            return answers.push((reply, Err(busy())));
        }
        self.next += 1;
        let serving = Serving {
            reply,
            deadline,
            request,
            result: None,
        };
        self.serving.insert(self.next, serving);
        let delay = ctx.disk.delay();
        ctx.after(delay, Job::Database(self.next));
    }

    /// The database is at this request, or its answer has come.
    pub(super) fn database(&mut self, ctx: &mut Ctx<'_>, ticket: u64, answers: &mut Answers) {
        let Some(mut serving) = self.serving.remove(&ticket) else {
            return;
        };
        if let Some(result) = serving.result {
            return answers.push((serving.reply, result));
        }
        let fails = ctx.disk.failures_per_mille;
        let away = || Failure::new(FailureCode::Internal, "the database cannot be reached");
        let result = if serving.deadline <= ctx.now {
            Err(Failure::new(FailureCode::Expired, "too late"))
        } else if ctx.rng.chance(fails) {
            Err(away())
        } else {
            let done = ctx.drive.serve(&serving.request);
            if ctx.rng.chance(fails) { Err(away()) } else { done }
        };
        serving.result = Some(result);
        self.serving.insert(ticket, serving);
        let delay = ctx.disk.delay();
        ctx.after(delay, Job::Database(ticket));
    }

    pub(super) fn count(&self) -> usize {
        self.serving.len()
    }

    /// Changes that are on their way to the database while the node stops.
    pub(super) fn into_changes(self) -> impl Iterator<Item = Request> {
        let open = self
            .serving
            .into_values()
            .filter(|serving| serving.result.is_none());
        open.map(|serving| serving.request)
    }
}

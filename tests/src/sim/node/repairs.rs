//! The repairs of a simulated node: a repair machine each, and the CPU that rebuilds.
//!
//! What a repair says that it has placed is looked for where it says; the shares themselves are judged with all others,
//! to the last bit.

use std::collections::{BTreeMap, BTreeSet};

use truckee_engine::repair::{Config, Effect, Repair, RepairReport, WINDOW_BYTES};
use truckee_engine::time::Mono;
use truckee_engine::transfer::Token;
use truckee_grid::ids::{Hash, NodeId, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::pipeline::{FetchedBlock, SegmentRebuilder, rebuild_segment};

use super::{Caller, Errand, Job, Node, Rebuilt};
use crate::sim::engines;
use crate::sim::model::{OrderId, Outcome};
use crate::sim::scheduler::{MILLIS, Micros};
use crate::sim::world::Ctx;

/// What is to be repaired.
#[derive(Clone, Debug)]
pub struct RepairOrder {
    /// Names the order.
    pub id: OrderId,
    /// The name of the file.
    pub si: StorageIndex,
    /// Which file it is, if who orders it knows.
    pub ueb_hash: Option<Hash>,
    /// So many bytes are granted each time, after a while; none: as many as it likes.
    pub grant: Option<u64>,
}

impl Node {
    /// A file is to be repaired.
    pub fn repair(&mut self, ctx: &mut Ctx<'_>, order: RepairOrder) {
        let candidates = self.candidates(ctx, order.si);
        self.repairs.start(ctx, order, candidates, &mut self.errands);
    }
}

struct Run {
    machine: Repair,
    order: RepairOrder,
    rebuilder: Option<SegmentRebuilder>,
    cpu_free_at: Micros,
}

/// The repairs of one node.
#[derive(Default)]
pub(super) struct Repairs {
    runs: BTreeMap<OrderId, Run>,
}

impl std::fmt::Debug for Repairs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.runs.keys()).finish()
    }
}

impl Repairs {
    /// Starts a repair among `candidates`, all of which take shares if they can.
    pub(super) fn start(
        &mut self,
        ctx: &mut Ctx<'_>,
        order: RepairOrder,
        candidates: Vec<NodeId>,
        errands: &mut Vec<Errand>,
    ) {
        let config = Config {
            si: order.si,
            ueb_hash: order.ueb_hash,
            takers: candidates.iter().copied().collect(),
            draining: std::collections::BTreeSet::new(),
            candidates,
            upload: UploadId(ctx.rng.array()),
            window_bytes: if ctx.rng.chance(500) { WINDOW_BYTES } else { 4096 },
            distrusted: BTreeSet::new(),
            paced: order.grant.is_some(),
        };
        let id = order.id;
        let run = Run {
            machine: Repair::new(config, ctx.now),
            order,
            rebuilder: None,
            cpu_free_at: 0,
        };
        self.runs.insert(id, run);
        self.drain(ctx, id, errands);
    }

    /// What the machine of an order believes.
    pub(super) fn state_of(&self, id: OrderId) -> Option<String> {
        self.runs.get(&id).map(|run| format!("{:?}", run.machine))
    }

    pub(super) fn count(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let machines = self.runs.values().map(|run| &run.machine);
        machines.filter_map(Repair::next_deadline).min()
    }

    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>, errands: &mut Vec<Errand>) {
        let due = |run: &Run| run.machine.next_deadline().is_some_and(|at| at <= ctx.now);
        let ids: Vec<OrderId> = self
            .runs
            .iter()
            .filter(|(_, run)| due(run))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.with(ctx, id, errands, |run, now| run.machine.handle_timeout(now));
        }
    }

    /// A segment is rebuilt.
    pub(super) fn rebuilt(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: OrderId,
        (job, rebuilt): (u64, Rebuilt),
        errands: &mut Vec<Errand>,
    ) {
        self.with(ctx, id, errands, |run, now| {
            run.machine.handle_rebuilt(now, job, rebuilt);
        });
    }

    /// More bytes may be moved.
    pub(super) fn granted(&mut self, ctx: &mut Ctx<'_>, id: OrderId, errands: &mut Vec<Errand>) {
        self.with(ctx, id, errands, |run, now| {
            run.machine.handle_budget(now, run.order.grant.unwrap_or(0));
        });
    }

    pub(super) fn answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        (id, token): (OrderId, Token),
        result: super::CallResult,
        errands: &mut Vec<Errand>,
    ) {
        self.with(ctx, id, errands, |run, now| {
            run.machine.handle_answer(now, token, result);
        });
    }

    fn with(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: OrderId,
        errands: &mut Vec<Errand>,
        act: impl FnOnce(&mut Run, Mono),
    ) {
        if let Some(run) = self.runs.get_mut(&id) {
            act(run, ctx.now);
            self.drain(ctx, id, errands);
        }
    }

    fn drain(&mut self, ctx: &mut Ctx<'_>, id: OrderId, errands: &mut Vec<Errand>) {
        while let Some(run) = self.runs.get_mut(&id) {
            let Some(effect) = run.machine.poll_effect() else {
                return;
            };
            match effect {
                Effect::Send {
                    token,
                    peer,
                    request,
                    lane,
                    budget,
                } => {
                    let caller = Caller::Repair(id, token);
                    errands.push(Errand::Call {
                        caller,
                        peer,
                        request: Box::new(request),
                        lane,
                        budget,
                    });
                }
                Effect::CancelSend { token } => errands.push(Errand::Cancel(Caller::Repair(id, token))),
                Effect::Notify {
                    peer,
                    request,
                    budget,
                } => {
                    errands.push(Errand::Notify {
                        peer,
                        request: Box::new(request),
                        budget,
                    });
                }
                Effect::Rebuild {
                    job,
                    segment,
                    blocks,
                    wanted,
                } => run.rebuild(ctx, job, segment, blocks, &wanted),
                Effect::NeedBudget { bytes } => {
                    ctx.line("repair needs bytes", [id.0, bytes]);
                    let delay = ctx.rng.below(50 * MILLIS);
                    ctx.after(delay, Job::Granted(id));
                }
                Effect::Completed(report) => {
                    run.completed(ctx, &report);
                    ctx.model.order_ended(id, Outcome::Repaired(report));
                    self.runs.remove(&id);
                }
                Effect::Failed(failed) => {
                    let why = failed.to_string();
                    ctx.trace.note(
                        Some(ctx.host),
                        "repair failed",
                        format_args!("order {}: {why}", id.0),
                    );
                    ctx.model.tally.count("repair: failed");
                    ctx.model.order_ended(id, Outcome::Failed(why));
                    self.runs.remove(&id);
                }
            }
        }
    }
}

impl Run {
    fn rebuild(
        &mut self,
        ctx: &mut Ctx<'_>,
        job: u64,
        segment: SegmentIndex,
        blocks: Vec<FetchedBlock>,
        wanted: &[ShareNumber],
    ) {
        let rebuilt = self.machine.file().map(|facts| {
            let coding = facts.ueb().coding();
            let tool = self
                .rebuilder
                .get_or_insert_with(|| SegmentRebuilder::new(coding, engines()));
            rebuild_segment(tool, facts, segment, blocks, wanted)
        });
        let takes = 1 + ctx.rng.below(3 * MILLIS);
        self.cpu_free_at = self.cpu_free_at.max(ctx.at()) + takes;
        ctx.after(
            self.cpu_free_at - ctx.at(),
            Job::Rebuilt(self.order.id, job, rebuilt),
        );
    }

    fn completed(&self, ctx: &mut Ctx<'_>, report: &RepairReport) {
        let outcome = report.outcome.name();
        ctx.trace.note(
            Some(ctx.host),
            "repair completed",
            format_args!("order {}: {outcome}, {:?}", self.order.id.0, report.unplaced),
        );
        ctx.model.tally.count(match outcome {
            "unneeded" => "repair: unneeded",
            "complete" => "repair: complete",
            _ => "repair: partial",
        });
        for placed in &report.findings.placed {
            let Some(host) = ctx.book.host_of(&placed.peer) else {
                continue;
            };
            let name = (self.order.si, placed.share);
            let may_be_lost = ctx.network.is_tainted(ctx.host, host)
                || ctx.model.was_spoilt(host, name)
                || ctx.model.was_taken_back(host, name);
            if !ctx.model.is_promised(host, name) && !may_be_lost {
                ctx.violation(format!(
                    "repair {} says that it has placed share {} on node {host}, which never promised it",
                    self.order.id.0, placed.share
                ));
            }
        }
        for damaged in &report.findings.damage {
            let Some(host) = ctx.book.host_of(&damaged.peer) else {
                continue;
            };
            // Nobody is called damaged whose shares are sound and whose words nobody twisted.
            if !ctx.network.is_tainted(ctx.host, host) && !ctx.model.any_spoilt(host, self.order.si) {
                ctx.violation(format!("repair {} says {damaged:?}", self.order.id.0));
            }
        }
    }
}

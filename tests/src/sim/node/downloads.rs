//! The downloads of a simulated gateway: a download machine each, the reader that takes the bytes, and the CPU that
//! verifies and decodes.
//!
//! Whatever is delivered is compared with what was stored, byte for byte and at once: a download may fail, but it may
//! never give a wrong byte, nor claim to be complete when it is not.

use std::collections::BTreeMap;
use std::ops::Range;

use truckee_engine::download::{Config, Download, Effect};
use truckee_engine::time::Mono;
use truckee_engine::transfer::Token;
use truckee_grid::ids::{NodeId, SegmentIndex};
use truckee_grid::pipeline::{FetchedBlock, SegmentDecoder, decode_segment};

use super::{Caller, Decoded, Errand, Job};
use crate::sim::engines;
use crate::sim::model::{OrderId, Outcome, StoredFile};
use crate::sim::scheduler::{MILLIS, Micros};
use crate::sim::world::Ctx;

/// What a client wants to read, and how it behaves.
#[derive(Clone, Debug)]
pub struct DownloadOrder {
    /// Names the order.
    pub id: OrderId,
    /// The file, with what it must hold.
    pub file: StoredFile,
    /// Which bytes.
    pub range: Option<Range<u64>>,
    /// The longest time that the reader takes for a segment.
    pub reads_slowly: Micros,
    /// The reader goes away after this many deliveries.
    pub vanishes_after: Option<u64>,
}

struct Run {
    machine: Download,
    order: DownloadOrder,
    decoder: Option<SegmentDecoder>,
    at: u64,
    end: u64,
    deliveries: u64,
    cpu_free_at: Micros,
}

/// The downloads of one node.
#[derive(Default)]
pub(super) struct Downloads {
    runs: BTreeMap<OrderId, Run>,
}

impl std::fmt::Debug for Downloads {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.runs.keys()).finish()
    }
}

impl Downloads {
    /// Starts a download from `candidates`.
    pub(super) fn start(
        &mut self,
        ctx: &mut Ctx<'_>,
        order: DownloadOrder,
        candidates: Vec<NodeId>,
        errands: &mut Vec<Errand>,
    ) {
        let file = order.file.cap.verifier();
        let range = order.range.clone().unwrap_or(0..file.size);
        let config = Config {
            file,
            candidates,
            range: order.range.clone(),
        };
        let mut machine = Download::new(config, ctx.now);
        let (id, end) = (order.id, range.end.min(file.size));
        machine.handle_window(ctx.now, ctx.rng.size(2, 8));
        let run = Run {
            machine,
            order,
            decoder: None,
            at: range.start,
            end,
            deliveries: 0,
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
        self.runs
            .values()
            .filter_map(|run| run.machine.next_deadline())
            .min()
    }

    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>, errands: &mut Vec<Errand>) {
        let due = |run: &Run| {
            run.machine
                .next_deadline()
                .is_some_and(|deadline| deadline <= ctx.now)
        };
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

    /// The reader has taken a delivery, or goes away.
    pub(super) fn read(&mut self, ctx: &mut Ctx<'_>, id: OrderId, errands: &mut Vec<Errand>) {
        self.with(ctx, id, errands, |run, now| {
            run.deliveries += 1;
            if run.order.vanishes_after == Some(run.deliveries) {
                run.machine.handle_cancel();
            } else {
                run.machine.handle_consumed(now);
            }
        });
    }

    pub(super) fn decoded(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: OrderId,
        (segment, decoded): (SegmentIndex, Decoded),
        errands: &mut Vec<Errand>,
    ) {
        self.with(ctx, id, errands, |run, now| {
            run.machine.handle_decoded(now, segment, decoded);
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
                    let caller = Caller::Download(id, token);
                    errands.push(Errand::Call {
                        caller,
                        peer,
                        request: Box::new(request),
                        lane,
                        budget,
                    });
                }
                Effect::CancelSend { token } => errands.push(Errand::Cancel(Caller::Download(id, token))),
                Effect::Decode { segment, blocks } => run.decode(ctx, segment, blocks),
                Effect::Deliver { segment, plaintext } => run.deliver(ctx, segment, &plaintext),
                Effect::ReportCorrupt { peer, share, what } => {
                    run.check_accusation(ctx, peer, share.is_some());
                    ctx.trace.note(
                        Some(ctx.host),
                        "corrupt",
                        format_args!("{what:?} {share:?} from {peer}"),
                    );
                    ctx.model.tally.count("download: corruption found");
                }
                Effect::Completed(_) => {
                    if run.at < run.end {
                        ctx.violation(format!(
                            "download {} is complete at {} of {}",
                            id.0, run.at, run.end
                        ));
                    }
                    ctx.line("download completed", [id.0, run.end]);
                    ctx.model.tally.count("download: completed");
                    ctx.model.order_ended(id, Outcome::Read);
                    self.runs.remove(&id);
                }
                Effect::Failed(error) => {
                    ctx.trace.note(
                        Some(ctx.host),
                        "download failed",
                        format_args!("order {}: {error}", id.0),
                    );
                    ctx.model.tally.count(error.name());
                    ctx.model.order_ended(id, Outcome::Failed(error.to_string()));
                    self.runs.remove(&id);
                }
            }
        }
    }
}

impl Run {
    fn decode(&mut self, ctx: &mut Ctx<'_>, segment: SegmentIndex, blocks: Vec<FetchedBlock>) {
        let decoded = self.decode_now(segment, blocks);
        let takes = 1 + ctx.rng.below(3 * MILLIS);
        self.cpu_free_at = self.cpu_free_at.max(ctx.at()) + takes;
        ctx.after(
            self.cpu_free_at - ctx.at(),
            Job::Decoded(self.order.id, segment, decoded),
        );
    }

    fn decode_now(&mut self, segment: SegmentIndex, blocks: Vec<FetchedBlock>) -> Decoded {
        let facts = self.machine.file()?;
        let key = &self.order.file.cap.key;
        let decoder = self
            .decoder
            .get_or_insert_with(|| SegmentDecoder::new(facts, key, engines()));
        Some(decode_segment(decoder, facts, segment, blocks))
    }

    fn deliver(&mut self, ctx: &mut Ctx<'_>, segment: SegmentIndex, plaintext: &[u8]) {
        let id = self.order.id;
        let start = usize::try_from(self.at).unwrap_or(usize::MAX);
        let expected = self
            .order
            .file
            .plaintext
            .get(start..start.saturating_add(plaintext.len()));
        self.at += plaintext.len() as u64;
        if expected != Some(plaintext) || self.at > self.end || plaintext.is_empty() {
            ctx.violation(format!(
                "download {} gives wrong bytes in segment {segment}",
                id.0
            ));
        }
        ctx.line("download delivers", [id.0, segment.0]);
        let delay = ctx.rng.below(self.order.reads_slowly + 1);
        ctx.after(delay, Job::Read(id));
    }

    /// Nobody is called a liar whose share is sound and whose words nobody twisted.
    fn check_accusation(&self, ctx: &mut Ctx<'_>, peer: NodeId, one_share: bool) {
        let Some(host) = ctx.book.host_of(&peer) else {
            return;
        };
        let si = self.order.file.cap.storage_index();
        if one_share && !ctx.network.is_tainted(ctx.host, host) && !ctx.model.any_spoilt(host, si) {
            ctx.violation(format!(
                "download {} says that {peer} gave a bad block",
                self.order.id.0
            ));
        }
    }
}

//! The uploads of a simulated gateway: an upload machine each, the client that gives the body, and the CPU that encodes.
//!
//! Encoding is real and takes simulated time; results come back in order, as from the node's CPU pool. A client thinks
//! between segments, and some vanish or stop short.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use truckee_engine::time::Mono;
use truckee_engine::transfer::Token;
use truckee_engine::upload::{BodyFault, Config, Effect, Upload, UploadDone, WINDOW_BYTES};
use truckee_grid::caps::ChkCap;
use truckee_grid::geometry::buffer_bytes;
use truckee_grid::ids::{NodeId, SegmentIndex, UploadId};
use truckee_grid::keys::ReadKey;
use truckee_grid::params::Encoding;
use truckee_grid::pipeline::{EncodedSegment, SegmentCoder, encode_segment};
use truckee_grid::placement::happiness;

use super::{Caller, Errand, Job};
use crate::sim::model::{OrderId, Outcome, StoredFile};
use crate::sim::scheduler::{MILLIS, Micros};
use crate::sim::world::Ctx;
use crate::sim::{engines, trace};

/// What a client wants stored, and how it behaves.
#[derive(Clone, Debug)]
pub struct UploadOrder {
    /// Names the order.
    pub id: OrderId,
    /// The file.
    pub plaintext: Bytes,
    /// How it is to be stored.
    pub encoding: Encoding,
    /// Under which key.
    pub key: ReadKey,
    /// May there be shares of the file already?
    pub convergent: bool,
    /// Does the client say how long the file is?
    pub says_length: bool,
    /// The longest time that the client takes for a segment.
    pub thinks: Micros,
    /// The client does this before this segment.
    pub misbehaves: Option<(u64, Misbehaviour)>,
}

/// What bad clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Ends the body before its length.
    StopsShort,
    /// Is gone.
    Vanishes,
}

struct Run {
    machine: Upload,
    order: UploadOrder,
    coder: SegmentCoder,
    given: u64,
    cpu_free_at: Micros,
}

/// The uploads of one node.
#[derive(Default)]
pub(super) struct Uploads {
    runs: BTreeMap<OrderId, Run>,
}

impl std::fmt::Debug for Uploads {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.runs.keys()).finish()
    }
}

impl Uploads {
    /// Starts an upload to `candidates`.
    pub(super) fn start(
        &mut self,
        ctx: &mut Ctx<'_>,
        order: UploadOrder,
        candidates: Vec<NodeId>,
        errands: &mut Vec<Errand>,
    ) {
        let config = Config {
            si: order.key.storage_index(),
            upload: UploadId(ctx.rng.array()),
            encoding: order.encoding,
            candidates,
            find_existing: order.convergent,
            size_hint: order.says_length.then_some(order.plaintext.len() as u64),
            window_bytes: if ctx.rng.chance(500) { WINDOW_BYTES } else { 4096 },
        };
        let machine = Upload::new(config, ctx.now);
        let coder = SegmentCoder::new(&order.encoding, &order.key, engines());
        let id = order.id;
        self.runs.insert(
            id,
            Run {
                machine,
                order,
                coder,
                given: 0,
                cpu_free_at: 0,
            },
        );
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
            if let Some(run) = self.runs.get_mut(&id) {
                run.machine.handle_timeout(ctx.now);
            }
            self.drain(ctx, id, errands);
        }
    }

    /// The client gives the next segment, or fails to.
    pub(super) fn body(&mut self, ctx: &mut Ctx<'_>, id: OrderId, errands: &mut Vec<Errand>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let segment_bytes = run.order.encoding.segment_bytes() as usize;
        let start = usize::try_from(run.given)
            .unwrap_or(usize::MAX)
            .saturating_mul(segment_bytes);
        let end = (start + segment_bytes).min(run.order.plaintext.len());
        match run.order.misbehaves.filter(|(segment, _)| *segment == run.given) {
            Some((_, Misbehaviour::Vanishes)) => run.machine.handle_cancel(),
            Some((_, Misbehaviour::StopsShort)) => run.machine.handle_body_failed(BodyFault::TooShort {
                expected: run.order.plaintext.len() as u64,
                got: start as u64,
            }),
            None => {
                let room = buffer_bytes(end - start, run.order.encoding.coding());
                let mut plaintext = BytesMut::with_capacity(room);
                plaintext.extend_from_slice(&run.order.plaintext[start..end]);
                run.given += 1;
                run.machine
                    .handle_segment(ctx.now, plaintext, end == run.order.plaintext.len());
            }
        }
        self.drain(ctx, id, errands);
    }

    pub(super) fn encoded(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: OrderId,
        (segment, coded): (SegmentIndex, Option<EncodedSegment>),
        errands: &mut Vec<Errand>,
    ) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.machine.handle_encoded(ctx.now, segment, coded);
            self.drain(ctx, id, errands);
        }
    }

    pub(super) fn answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        (id, token): (OrderId, Token),
        result: super::CallResult,
        errands: &mut Vec<Errand>,
    ) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.machine.handle_answer(ctx.now, token, result);
            self.drain(ctx, id, errands);
        }
    }

    fn drain(&mut self, ctx: &mut Ctx<'_>, id: OrderId, errands: &mut Vec<Errand>) {
        while let Some(run) = self.runs.get_mut(&id) {
            let Some(effect) = run.machine.poll_effect() else {
                return;
            };
            match effect {
                Effect::PullSegment => {
                    let delay = ctx.rng.below(run.order.thinks + 1);
                    ctx.after(delay, Job::Body(id));
                }
                Effect::Encode {
                    segment,
                    plaintext,
                    last,
                } => run.encode(ctx, segment, plaintext, last),
                Effect::Send {
                    token,
                    peer,
                    request,
                    lane,
                    budget,
                } => {
                    let caller = Caller::Upload(id, token);
                    errands.push(Errand::Call {
                        caller,
                        peer,
                        request: Box::new(request),
                        lane,
                        budget,
                    });
                }
                Effect::CancelSend { token } => errands.push(Errand::Cancel(Caller::Upload(id, token))),
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
                Effect::Release { segment } => ctx.line("upload lets go of segment", [id.0, segment.0]),
                Effect::Completed(done) => {
                    run.completed(ctx, &done);
                    self.runs.remove(&id);
                }
                Effect::Failed(error) => {
                    ctx.trace.note(
                        Some(ctx.host),
                        "upload failed",
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
    fn encode(&mut self, ctx: &mut Ctx<'_>, segment: SegmentIndex, plaintext: BytesMut, last: bool) {
        let coded = encode_segment(&mut self.coder, segment, plaintext, last).ok();
        let takes = 1 + ctx.rng.below(3 * MILLIS);
        self.cpu_free_at = self.cpu_free_at.max(ctx.at()) + takes;
        ctx.after(
            self.cpu_free_at - ctx.at(),
            Job::Encoded(self.order.id, segment, coded),
        );
    }

    fn completed(&mut self, ctx: &mut Ctx<'_>, done: &UploadDone) {
        let order = &self.order;
        let coding = order.encoding.coding();
        let cap = ChkCap {
            key: order.key.clone(),
            ueb_hash: done.ueb_hash,
            coding,
            size: order.plaintext.len() as u64,
        };
        let digest = trace::digest(&done.ueb_hash.0);
        ctx.line("upload completed", [order.id.0, digest]);
        let held: Vec<_> = done
            .placements
            .iter()
            .map(|(share, peer)| (*peer, *share))
            .collect();
        let happy = happiness(&held);
        if happy < order.encoding.happy() || happy != done.happiness {
            ctx.violation(format!(
                "upload {} completed with happiness {happy}: {done:?}",
                order.id.0
            ));
        }
        let mut shares: Vec<_> = done.placements.iter().map(|(share, _)| *share).collect();
        shares.dedup();
        if shares.len() < coding.k() || shares.len() != done.placements.len() {
            ctx.violation(format!("upload {} completed with shares {shares:?}", order.id.0));
        }
        for (share, peer) in &done.placements {
            let Some(host) = ctx.book.host_of(peer) else {
                continue;
            };
            let name = (order.key.storage_index(), *share);
            ctx.model.share_counted(host, name);
            let may_be_lost = ctx.network.is_tainted(ctx.host, host) || ctx.model.was_spoilt(host, name);
            if !ctx.model.is_promised(host, name) && !may_be_lost {
                ctx.violation(format!(
                    "upload {} counts share {share} of {:x}, which node {host} never promised",
                    order.id.0,
                    trace::digest(&name.0.0)
                ));
            }
        }
        ctx.model.tally.count("upload: completed");
        ctx.model.order_ended(order.id, Outcome::Stored(cap.clone()));
        ctx.model.file_stored(StoredFile {
            cap,
            plaintext: order.plaintext.clone(),
            happy: order.encoding.happy(),
        });
    }
}

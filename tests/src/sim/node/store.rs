//! The share store of a simulated node: the store machine over the simulated disk.
//!
//! Disk operations take simulated time and change the disk when they end. Those that write keep their order within a
//! file, as the machine demands; those that read may overtake. When the machine answers that it holds a share, the bytes
//! on the disk are looked at in that very moment.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use truckee_engine::scrub::{Effect as ScrubEffect, Scrub, ScrubConfig};
use truckee_engine::store::{
    Amount, Asked, DiskOp, DiskToken, Effect, Limits, StartSpace, Store, StoreConfig, Ticket,
};
use truckee_engine::time::Mono;
use truckee_grid::ids::{Hash, StorageIndex};
use truckee_wire::message::{Failure, Request, Response};

use super::{Job, ReplyTo};
use crate::sim::disk::Disk;
use crate::sim::scheduler::Micros;
use crate::sim::shares;
use crate::sim::world::Ctx;

/// Of checks and lists; those of requests begin with 1.
const SCRUB: Ticket = Ticket(0);

/// A round of checks takes so long at least: longer than most faults, shorter than a run.
const SCRUB_ROUND: Duration = Duration::from_secs(60);

/// More than any run stores, so that rounds take no longer than they must.
const SCRUB_RATE: NonZeroU64 = NonZeroU64::new(100 << 20).expect("not zero");

/// A request that the machine has not answered.
#[derive(Debug)]
struct Serving {
    reply: ReplyTo,
    /// Who asked; none for the node itself.
    asker: Option<usize>,
    /// What a positive answer promises.
    about: About,
}

/// What a request is about, as far as its answer can be a promise.
#[derive(Clone, Copy, Debug)]
enum About {
    /// Storing a share of the file whose UEB has this hash.
    Share(shares::Name, Hash),
    /// Any shares of a file.
    File(StorageIndex),
    /// Nothing.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Keeper {
    machine: Store,
    scrub: Option<Scrub>,
    serving: BTreeMap<Ticket, Serving>,
    pending: BTreeMap<DiskToken, DiskOp>,
    /// When the last write of each file ends.
    written_at: BTreeMap<StorageIndex, Micros>,
    next_ticket: u64,
}

impl Keeper {
    pub(super) fn new(ctx: &mut Ctx<'_>) -> Self {
        let config = StoreConfig {
            quota_bytes: 1 << 40,
            reserve_bytes: 0,
            epoch: 1,
            draining: false,
            software: "simulated".into(),
            limits: Limits {
                open_max: 24,
                open_per_link_max: 12,
                write_bytes_max: 64 << 10,
                reads_max: 48,
                leaves_max: 512,
            },
        };
        let start = StartSpace {
            share_count: ctx.disk.shares().count() as u64,
            used_bytes: ctx.disk.used_bytes(),
            trash: Amount::default(),
            free_bytes: ctx.disk.free_bytes(),
        };
        Self {
            machine: Store::new(config, start, ctx.now),
            scrub: ctx.scrubs.then(|| scrub(ctx)),
            serving: BTreeMap::new(),
            pending: BTreeMap::new(),
            written_at: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// A request has come; its answer goes to `reply`.
    pub(super) fn serve(
        &mut self,
        ctx: &mut Ctx<'_>,
        reply: ReplyTo,
        asker: Option<usize>,
        deadline: Mono,
        request: Request,
    ) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let about = match &request {
            Request::PutShare(put) => About::Share((put.si, put.share), put.file.ueb.hash()),
            Request::CloseShare(close) => About::Share((close.si, close.share), close.file.ueb.hash()),
            Request::OpenShare(open) => About::Share((open.si, open.share), Hash([0; 32])),
            Request::FindShares(find) => About::File(find.si),
            _ => About::Nothing,
        };
        self.serving.insert(ticket, Serving { reply, asker, about });
        let asked = Asked {
            ticket,
            link: reply.link(),
            deadline,
        };
        self.machine.handle_request(ctx.now, ctx.unix, asked, request);
    }

    pub(super) fn link_lost(&mut self, link: u64) {
        self.machine.handle_link_lost(link);
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let scrub = self.scrub.as_ref().and_then(Scrub::next_deadline);
        [self.machine.next_deadline(), scrub].into_iter().flatten().min()
    }

    pub(super) fn wake(&mut self, ctx: &Ctx<'_>) {
        let is_due = |deadline: Option<Mono>| deadline.is_some_and(|deadline| deadline <= ctx.now);
        if is_due(self.machine.next_deadline()) {
            self.machine.handle_timeout(ctx.now);
        }
        if let Some(scrub) = &mut self.scrub
            && is_due(scrub.next_deadline())
        {
            scrub.handle_timeout(ctx.now, ctx.unix);
        }
    }

    /// Answers that are ready.
    pub(super) fn drain(
        &mut self,
        ctx: &mut Ctx<'_>,
        answers: &mut Vec<(ReplyTo, Result<Response, Failure>)>,
    ) {
        while self.scrub_on(ctx) || self.drain_store(ctx, answers) {}
    }

    /// Carries out what the store wants; false if it wants nothing.
    fn drain_store(
        &mut self,
        ctx: &mut Ctx<'_>,
        answers: &mut Vec<(ReplyTo, Result<Response, Failure>)>,
    ) -> bool {
        let mut any = false;
        while let Some(effect) = self.machine.poll_effect() {
            any = true;
            match effect {
                Effect::Disk { token, op } => self.begin(ctx, token, op),
                Effect::Verified { result, .. } => match &mut self.scrub {
                    Some(scrub) => scrub.handle_verified(ctx.now, ctx.unix, result),
                    None => ctx.violation("a check that nobody asked for was answered"),
                },
                Effect::Listed { result, .. } => match &mut self.scrub {
                    Some(scrub) => scrub.handle_listed(ctx.now, ctx.unix, result),
                    None => ctx.violation("a list that nobody asked for was answered"),
                },
                Effect::TrashDone { .. } | Effect::Surveyed { .. } => {
                    ctx.violation("a share that nobody threw away was moved");
                }
                Effect::Answer { ticket, result } => {
                    let Some(serving) = self.serving.remove(&ticket) else {
                        ctx.violation(format!("the store answers {ticket:?} twice"));
                        continue;
                    };
                    promised(ctx, &serving, &result);
                    answers.push((serving.reply, result));
                }
            }
        }
        any
    }

    /// Carries out what the scrubber wants; false if it wants nothing.
    fn scrub_on(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Some(effect) = self.scrub.as_mut().and_then(Scrub::poll_effect) else {
            return false;
        };
        match effect {
            ScrubEffect::List { bucket, after } => self.machine.list(SCRUB, bucket, after),
            ScrubEffect::Verify { share } => self.machine.verify(SCRUB, share),
            // A place that cannot be written costs repeated checks.
            ScrubEffect::Save(place) => drop(ctx.disk.write_place(place)),
            ScrubEffect::RoundDone(_) => ctx.model.tally.count("scrub: round"),
        }
        true
    }

    /// A disk operation ends now.
    pub(super) fn disk_done(&mut self, ctx: &mut Ctx<'_>, token: DiskToken) {
        let Some(op) = self.pending.remove(&token) else {
            return;
        };
        if let DiskOp::Remove { share } = &op {
            let name = (share.si, share.share);
            if ctx.model.is_counted(ctx.host, name) {
                ctx.violation(format!(
                    "share {share} is taken back although a stored file counts on it"
                ));
            }
            ctx.model.share_taken_back(ctx.host, name);
            ctx.model.tally.count("share taken back");
        }
        let kind = op.name();
        ctx.line(
            "disk operation ends",
            [token.0, op.si().map_or(0, |si| crate::sim::trace::digest(&si.0))],
        );
        let done = shares::carry_out(ctx.disk, op);
        if let Err(fault) = &done.reply.result {
            ctx.trace
                .note(Some(ctx.host), "disk", format_args!("{kind}: {fault}"));
        }
        for (name, was_sound) in done.put_aside {
            if kind == "verify" {
                ctx.model.tally.count("scrub: damage found");
            }
            ctx.model.share_put_aside(ctx.host, name);
            if was_sound {
                ctx.violation(format!(
                    "share {} of {} is put aside and was sound",
                    name.1, name.0
                ));
            }
        }
        self.machine.handle_disk(ctx.now, token, done.reply);
    }

    /// What must be true after every step.
    pub(super) fn check(&self, ctx: &mut Ctx<'_>) {
        let report = self.machine.report();
        let finished: u64 = ctx.disk.shares().map(|(_, bytes)| bytes).sum();
        if self.pending.values().all(DiskOp::only_reads) && report.used_bytes != finished {
            let used = report.used_bytes;
            ctx.violation(format!(
                "the store says {used} bytes are used and its disk holds {finished}"
            ));
        }
        if report.write_bytes_in_flight > 2 * (64 << 10)
            || report.reads_in_flight > 48
            || report.open_shares > 24
        {
            ctx.violation(format!("the store is over its bounds: {report:?}"));
        }
    }

    /// Is nothing under way, and is all room that was promised to somebody free again?
    pub(super) fn idle(&self, disk: &Disk) -> Result<(), String> {
        let report = self.machine.report();
        if !self.serving.is_empty() || report.open_shares > 0 || report.write_bytes_in_flight > 0 {
            return Err(format!("{} requests unanswered, {report:?}", self.serving.len()));
        }
        if report.available_bytes != disk.free_bytes() {
            return Err(format!(
                "{} bytes of the disk are free and {report:?}",
                disk.free_bytes()
            ));
        }
        Ok(())
    }

    /// Writes that were under way.
    pub(super) fn into_writes(self) -> impl Iterator<Item = DiskOp> {
        self.pending.into_values().filter(|op| {
            matches!(
                op,
                DiskOp::Finish { .. } | DiskOp::Put { .. } | DiskOp::Remove { .. }
            )
        })
    }

    fn begin(&mut self, ctx: &mut Ctx<'_>, token: DiskToken, op: DiskOp) {
        let mut due = ctx.at() + ctx.disk.delay();
        if let Some(si) = op.si().filter(|_| !op.only_reads()) {
            let last = self.written_at.entry(si).or_default();
            due = due.max(*last + 1);
            *last = due;
        }
        ctx.line(
            op.name(),
            [token.0, op.si().map_or(0, |si| crate::sim::trace::digest(&si.0))],
        );
        self.pending.insert(token, op);
        ctx.after(due - ctx.at(), Job::Disk(token));
    }
}

/// The scrubber of a store, from where its last life stopped.
fn scrub(ctx: &mut Ctx<'_>) -> Scrub {
    let config = ScrubConfig::new(SCRUB_RATE, SCRUB_ROUND);
    Scrub::new(config, ctx.disk.place(), ctx.rng.bits(), ctx.now, ctx.unix)
}

/// Notes what an answer promises, and looks whether it is true.
fn promised(ctx: &mut Ctx<'_>, serving: &Serving, result: &Result<Response, Failure>) {
    let stored = |response: &Response| {
        matches!(
            response,
            Response::ShareClosed | Response::SharePut { .. } | Response::ShareOpened { already_there: true }
        )
    };
    match (result, serving.about) {
        (Ok(response), About::Share(name, ueb_hash)) if stored(response) => {
            let asked_by_tainted = serving
                .asker
                .is_some_and(|asker| ctx.network.is_tainted(asker, ctx.host));
            shows(ctx, name, asked_by_tainted);
            let holds_another = ctx
                .model
                .promised_hash(ctx.host, name)
                .is_some_and(|held| held != ueb_hash);
            if holds_another && *response != (Response::ShareOpened { already_there: true }) {
                ctx.violation("a share of another file is taken for the one that was stored");
            }
        }
        (Ok(Response::FoundShares(found)), About::File(si)) => {
            for share in &found.shares {
                shows(ctx, (si, *share), false);
            }
        }
        _ => {}
    }
}

/// The store says that it holds a share: from now on it has to, and soundly, unless what came to it was damaged.
fn shows(ctx: &mut Ctx<'_>, name: shares::Name, asked_by_tainted: bool) {
    ctx.line(
        "shows share",
        [u64::from(name.1.0), crate::sim::trace::digest(&name.0.0)],
    );
    match ctx.disk.look(name).and_then(shares::sound) {
        Some(ueb_hash) => ctx.model.share_promised(ctx.host, name, ueb_hash),
        None if asked_by_tainted || ctx.disk.is_rotted(name) || ctx.network.any_taint(ctx.host) => {
            ctx.model.share_spoilt(ctx.host, name);
        }
        None => ctx.violation(format!(
            "says that it holds share {} of {}, soundly, and does not",
            name.1, name.0
        )),
    }
}

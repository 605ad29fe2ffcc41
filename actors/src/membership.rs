//! Membership of a running node: the actor around the machine, the handle that links ask, and the roster's cache.
//!
//! The actor passes requests, link events and answers to the machine of `truckee_engine::membership`, sends what it wants
//! sent, and has the roster written to disk. Whatever changes, it puts a new snapshot behind the [`MembershipHandle`],
//! which judges peers and requests at once on whatever thread asks, and publishes the directory of members for the mesh.
//! Introducers need no actor of their own: the mesh keeps their links, dialled by the addresses of the invites, and
//! the machine keeps the attempts at each.
//!
//! It is stopped by its supervisor and then writes the roster a last time. After a panic a fresh one begins with what
//! was last meant for the disk.

mod cache;
mod handle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use actix::prelude::*;
use metrics::{counter, gauge};
use tokio::sync::oneshot;
use truckee_engine::invite::Invite;
use truckee_engine::membership::{
    self as machine, CallToken, Effect, IntroducerConfig, MembershipConfig, NoAnswer, OwnFacts, RosterView,
    SigningKey,
};
use truckee_engine::restart::{Class, Policy};
use truckee_engine::session::CallError;
use truckee_engine::time::UnixSeconds;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Lane, Role, RosterFile};

use self::cache::Cache;
pub use self::cache::CacheError;
pub use self::handle::{JoinStatus, MembershipHandle, RevokeFailed};
use crate::answers_ping;
use crate::call::{Call, CallAnswered, MeshHandle, Reply};
use crate::clock::ClockHandle;
use crate::gate::{Yielder, tell};
use crate::inbound::{Inbound, LinkEvent, LinkId};
use crate::metrics as names;
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};
use crate::timer::Timer;
use crate::trace::Trace;

/// How long a stopping supervisor waits for the last write of the roster.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Why a node's membership cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Roles, invites and secret do not go together.
    #[error(transparent)]
    Config(#[from] machine::MembershipError),
    /// The cached roster cannot be read.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// There is no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// What a node's membership begins with.
pub struct MembershipStart<'a> {
    /// The cache of the roster.
    pub roster_path: PathBuf,
    /// The seed of the node's Ed25519 key.
    pub seed: &'a [u8; 32],
    /// What the node says about itself.
    pub facts: OwnFacts,
    /// Whom it believes, and who may admit it.
    pub invites: Vec<Invite>,
    /// Present exactly if the node is an introducer.
    pub introducer: Option<IntroducerConfig>,
    /// What time it is.
    pub clock: ClockHandle,
}

/// A membership that is ready to run: peers can be judged already.
pub struct Prepared {
    /// For links, pages and the operator.
    pub handle: MembershipHandle,
    /// Where the actor will be.
    pub slot: Slot<Membership>,
    first: machine::Membership,
    again: Again,
    cache: Cache,
}

/// What a later life of the machine begins with.
struct Again {
    key: SigningKey,
    facts: OwnFacts,
    invites: Vec<Invite>,
    introducer: Option<IntroducerConfig>,
    clock: ClockHandle,
}

impl Again {
    fn begin(&self, roster: Option<RosterFile>) -> Result<machine::Membership, MembershipError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(MembershipError::Random)?;
        let config = MembershipConfig {
            key: self.key.clone(),
            facts: self.facts.clone(),
            invites: self.invites.clone(),
            introducer: self.introducer.clone(),
        };
        Ok(machine::Membership::new(
            config,
            roster,
            self.clock.now(),
            self.clock.unix(),
            seed,
        )?)
    }
}

impl Prepared {
    /// How a supervisor starts it. `mesh` carries its requests.
    pub fn child(self, mesh: MeshHandle) -> ChildSpec {
        let Prepared {
            handle,
            slot,
            first,
            again,
            cache,
        } = self;
        let mut first = Some(first);
        let how = (Class::Permanent, Policy::USUAL);
        ChildSpec::new(
            ChildId::only("membership"),
            how,
            STOP_WITHIN,
            &slot,
            move |guard| {
                let machine = first.take().or_else(|| {
                    let begun = again.begin(handle.last_roster());
                    begun
                        .inspect_err(|error| tracing::error!(%error, "membership cannot begin again"))
                        .ok()
                });
                Membership {
                    machine,
                    mesh: mesh.clone(),
                    shared: handle.clone(),
                    clock: again.clock.clone(),
                    cache: cache.clone(),
                    guard,
                    links: BTreeMap::new(),
                    timer: Timer::default(),
                    saving: false,
                    unsaved: None,
                    revokers: Vec::new(),
                    revokers_saving: Vec::new(),
                    stopping: false,
                    yielder: Yielder::default(),
                }
            },
        )
    }
}

/// A write of the roster has ended, well or not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Saved {
    written: bool,
}

/// Where the outcome of a revocation is waited for.
type Revoker = oneshot::Sender<Result<(), RevokeFailed>>;

#[derive(Message)]
#[rtype(result = "()")]
struct Revoke(NodeId, Revoker);

/// See the module.
pub struct Membership {
    /// Absent only in a life that could not begin and ends at once.
    machine: Option<machine::Membership>,
    mesh: MeshHandle,
    shared: MembershipHandle,
    clock: ClockHandle,
    cache: Cache,
    guard: ExitGuard,
    links: BTreeMap<NodeId, BTreeSet<LinkId>>,
    timer: Timer,
    saving: bool,
    unsaved: Option<RosterFile>,
    /// Operators whose tombstones are in `unsaved`: one at a time, as the node's control socket bounds them.
    revokers: Vec<Revoker>,
    /// Those whose tombstones are in the write under way.
    revokers_saving: Vec<Revoker>,
    stopping: bool,
    yielder: Yielder,
}

impl Membership {
    /// Reads the cache and makes everything ready. Blocks; checking a roster of 50 members takes some 10 ms.
    ///
    /// # Errors
    /// [`MembershipError`]. A damaged cache is none: it is put aside, logged, and the node goes on with its invites.
    pub fn prepare(start: MembershipStart<'_>) -> Result<Prepared, MembershipError> {
        let cache = Cache::new(start.roster_path);
        let roster = cache.load()?;
        let again = Again {
            key: SigningKey::from_bytes(start.seed),
            facts: start.facts,
            invites: start.invites,
            introducer: start.introducer,
            clock: start.clock,
        };
        let first = again.begin(roster)?;
        let slot = Slot::new();
        let handle = MembershipHandle::new(again.clock.clone(), slot.clone(), &first);
        Ok(Prepared {
            handle,
            slot,
            first,
            again,
            cache,
        })
    }

    /// Carries out what the machine wants and sets the timer.
    fn go_on(&mut self, context: &mut Context<Self>) {
        let Some(machine) = &mut self.machine else { return };
        let mut changed = false;
        while let Some(effect) = machine.poll_effect() {
            match effect {
                Effect::Call {
                    token,
                    peer,
                    request,
                    budget,
                } => {
                    let call = Call {
                        request,
                        lane: Lane::Control,
                        budget,
                        trace: Trace::none(),
                    };
                    let reply = Reply::message(context.address().recipient(), token);
                    self.mesh.call(peer, call, reply).detach();
                }
                Effect::Save(roster) => self.unsaved = Some(*roster),
                Effect::Changed => changed = true,
            }
        }
        if changed {
            self.shared.publish(machine);
            tell_metrics(&self.shared.view(), self.clock.unix(), &self.links);
        }
        tell_counts(machine);
        let now = self.clock.now();
        let deadline = machine.next_deadline(now);
        self.timer
            .arm(context, self.clock.as_ref(), Some(deadline), |actor, context| {
                actor.timer.fired();
                let (now, unix) = (actor.clock.now(), actor.clock.unix());
                if let Some(machine) = &mut actor.machine {
                    machine.handle_timeout(now, unix);
                }
                actor.go_on(context);
            });
        self.save(context);
    }

    /// Has the newest roster written, one write at a time, on a thread that may block.
    fn save(&mut self, context: &mut Context<Self>) {
        if self.saving {
            return;
        }
        let Some(roster) = self.unsaved.take() else {
            if self.stopping {
                context.stop();
            }
            return;
        };
        self.saving = true;
        self.revokers_saving.append(&mut self.revokers);
        self.shared.remember(roster.clone());
        let (cache, address) = (self.cache.clone(), context.address());
        tokio::task::spawn_blocking(move || {
            let stored = cache.store(&roster);
            if let Err(error) = &stored {
                tracing::error!(%error, "the roster was not written; the node goes on with what it knows");
            }
            let written = stored.is_ok();
            if tell(&address, Saved { written }).is_err() {
                tracing::debug!("the roster was written after the membership actor ended");
            }
        });
    }
}

/// A refusal is told apart from silence; whatever else went wrong, there was no answer.
fn no_answer(error: CallError) -> NoAnswer {
    match error {
        CallError::Refused(failure) => NoAnswer::Refused(failure),
        _ => NoAnswer::NotReached,
    }
}

fn tell_metrics(view: &RosterView, unix: UnixSeconds, links: &BTreeMap<NodeId, BTreeSet<LinkId>>) {
    for role in Role::ALL {
        let count = view
            .members_at(unix)
            .filter(|member| member.roles().contains(role))
            .count();
        gauge!(names::MEMBERSHIP_MEMBERS, "role" => role.name()).set(count as f64);
    }
    gauge!(names::MEMBERSHIP_REVOKED).set(view.revoked_count() as f64);
    let expires = view.own_grant_expires().map_or(0, |at| at.as_secs());
    gauge!(names::MEMBERSHIP_GRANT_EXPIRES_SECONDS).set(expires as f64);
    let up = view
        .contacts()
        .iter()
        .filter(|contact| links.contains_key(&contact.node))
        .count();
    gauge!(names::MEMBERSHIP_INTRODUCERS_UP).set(up as f64);
}

fn tell_counts(machine: &machine::Membership) {
    let report = machine.report();
    for (cause, count) in &report.rejected {
        counter!(names::MEMBERSHIP_REJECTED, "cause" => *cause).absolute(*count);
    }
    for (outcome, count) in &report.joins {
        counter!(names::MEMBERSHIP_JOINS, "outcome" => *outcome).absolute(*count);
    }
    for (outcome, count) in &report.syncs {
        counter!(names::MEMBERSHIP_SYNCS, "outcome" => *outcome).absolute(*count);
    }
}

impl Actor for Membership {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if self.machine.is_none() {
            self.guard.fail();
            context.stop();
            return;
        }
        self.go_on(context);
    }
}

impl Handler<Inbound> for Membership {
    type Result = ();

    fn handle(&mut self, inbound: Inbound, context: &mut Self::Context) {
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let Some(machine) = &mut self.machine else { return };
        let served = machine.handle_request(now, unix, inbound.asker.node_id, inbound.request);
        // The view first: who was admitted may ask on as soon as it has its answer.
        self.go_on(context);
        inbound.responder.respond(served);
        self.yielder.after_message(context);
    }
}

impl Handler<CallAnswered<CallToken>> for Membership {
    type Result = ();

    fn handle(&mut self, message: CallAnswered<CallToken>, context: &mut Self::Context) {
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let answer = message.result.map_err(no_answer);
        if let Some(machine) = &mut self.machine {
            machine.handle_answer(now, unix, message.token, answer);
        }
        self.go_on(context);
    }
}

impl Handler<LinkEvent> for Membership {
    type Result = ();

    fn handle(&mut self, event: LinkEvent, context: &mut Self::Context) {
        let links = self.links.entry(event.peer).or_default();
        let before = !links.is_empty();
        if event.up {
            links.insert(event.link);
        } else {
            links.remove(&event.link);
        }
        let after = !links.is_empty();
        if !after {
            self.links.remove(&event.peer);
            self.shared.forget(event.peer);
        }
        tell_metrics(&self.shared.view(), self.clock.unix(), &self.links);
        if let Some(machine) = self.machine.as_mut().filter(|_| before != after) {
            machine.handle_link(self.clock.now(), event.peer, after);
        }
        self.go_on(context);
    }
}

impl Handler<Revoke> for Membership {
    type Result = ();

    fn handle(&mut self, Revoke(node, asker): Revoke, context: &mut Self::Context) {
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let Some(machine) = &mut self.machine else { return };
        match machine.revoke(now, unix, node) {
            // Answered when it is on the disk: who is revoked stays revoked, whatever becomes of this process.
            Ok(()) => {
                self.unsaved = Some(machine.file());
                self.revokers.push(asker);
            }
            Err(error) => answer(asker, Err(error.into())),
        }
        self.go_on(context);
    }
}

/// Who asked may have stopped waiting.
fn answer(asker: Revoker, result: Result<(), RevokeFailed>) {
    asker.send(result).ok();
}

impl Handler<Saved> for Membership {
    type Result = ();

    fn handle(&mut self, Saved { written }: Saved, context: &mut Self::Context) {
        self.saving = false;
        for asker in self.revokers_saving.drain(..) {
            let result = if written {
                Ok(())
            } else {
                Err(RevokeFailed::NotWritten)
            };
            answer(asker, result);
        }
        self.save(context);
    }
}

impl Handler<Stop> for Membership {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.stopping = true;
        self.unsaved = self.machine.as_ref().map(machine::Membership::file);
        self.save(context);
    }
}

answers_ping!(Membership);

#[cfg(test)]
mod tests;

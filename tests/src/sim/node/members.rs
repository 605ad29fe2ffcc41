//! Who belongs to the mesh, to a simulated node: the membership machine, its cache on the simulated disk, and the view
//! by which peers are let in.
//!
//! Every node has the invites of all introducers. The roster file is written after a while, may fail to be written (then
//! it is tried again), and is all that a restarted node knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use truckee_engine::invite::{Address, Invite, InviteSecret};
use truckee_engine::membership::{
    Admission, CallToken, Effect, IntroducerConfig, Membership, MembershipConfig, NoAnswer, OwnFacts,
};
use truckee_engine::session::{CallError, INFLIGHT_BYTES_DEFAULT};
use truckee_engine::time::{Mono, UnixSeconds};
use truckee_grid::ids::NodeId;
use truckee_wire::frame::FRAME_BYTES_MAX;
use truckee_wire::message::{
    Failure, FailureCode, Grant, Hello, Lane, PROTOCOL_VERSION, Request, RequestKind, Response, Role,
    RosterFile, SessionId,
};

use super::links::Links;
use super::{CallResult, Caller, Errand, Job};
use crate::sim::identity::Identity;
use crate::sim::rng::Rng;
use crate::sim::scheduler::SECONDS;
use crate::sim::world::Ctx;

/// A roster file that could not be written is tried again so much later.
const WRITE_AGAIN_AFTER: u64 = SECONDS;

/// See the module.
#[derive(Debug)]
pub(super) struct Members {
    machine: Membership,
    admission: Admission,
    process: SessionId,
    /// Payload of unanswered requests that this node takes over one link.
    takes_bytes: u32,
    to_write: Option<Bytes>,
    changed: bool,
}

impl Members {
    pub(super) fn new(me: &Identity, ctx: &mut Ctx<'_>, rng: &mut Rng) -> Self {
        let config = config(me, ctx);
        let cached = ctx.disk.roster().map(|bytes| match RosterFile::decode(&bytes) {
            Ok(file) => file,
            Err(error) => {
                ctx.violation(format!("the roster file does not decode: {error}"));
                RosterFile::default()
            }
        });
        let machine = Membership::new(config, cached, ctx.now, ctx.unix, rng.array())
            .expect("every node of a simulation has a role and an invite");
        Self {
            admission: Admission::new(Arc::new(machine.view())),
            machine,
            process: SessionId(rng.array()),
            takes_bytes: [16 << 10, 64 << 10, INFLIGHT_BYTES_DEFAULT][rng.size(0, 2)],
            to_write: None,
            changed: true,
        }
    }

    /// What this node says first on a link.
    pub(super) fn hello(&self) -> Hello {
        let view = self.admission.view();
        Hello {
            version: PROTOCOL_VERSION,
            session: self.process,
            grant: view.own_grant().cloned(),
            announcement_sequence: view.own_sequence(),
            frame_bytes_max: FRAME_BYTES_MAX as u32,
            inflight_bytes_max: self.takes_bytes,
        }
    }

    pub(super) fn admits(&mut self, ctx: &mut Ctx<'_>, peer: NodeId, grant: Option<&Grant>) -> bool {
        match self.admission.admit(peer, grant, ctx.unix) {
            Ok(_) => true,
            Err(refusal) => {
                ctx.trace
                    .note(Some(ctx.host), "refuses", format_args!("{peer}: {refusal}"));
                ctx.model.tally.count("link: refused");
                false
            }
        }
    }

    pub(super) fn authorises(
        &self,
        ctx: &mut Ctx<'_>,
        peer: NodeId,
        kind: RequestKind,
    ) -> Result<(), Failure> {
        match self.admission.authorise(peer, kind, ctx.unix) {
            Ok(_) => Ok(()),
            Err(refusal) => {
                ctx.model.tally.count("request: refused");
                Err(Failure::new(FailureCode::RefusedRole, refusal.to_string()))
            }
        }
    }

    /// Is this node a member, and does this node know it?
    pub(super) fn knows(&self, node: &NodeId) -> bool {
        self.admission.view().member(*node).is_some()
    }

    /// Members that do this, and where they are.
    pub(super) fn with_role(&self, role: Role, unix: UnixSeconds) -> Vec<(NodeId, String)> {
        let members = self
            .admission
            .view()
            .members_at(unix)
            .filter(|member| member.roles().contains(role));
        members
            .map(|member| (member.node(), member.zone().to_owned()))
            .collect()
    }

    pub(super) fn link(&mut self, ctx: &mut Ctx<'_>, peer: NodeId, up: bool) {
        self.machine.handle_link(ctx.now, peer, up);
        if !up {
            self.admission.forget(peer);
        }
    }

    pub(super) fn serve(
        &mut self,
        ctx: &mut Ctx<'_>,
        asker: NodeId,
        request: Request,
    ) -> Result<Response, Failure> {
        self.machine.handle_request(ctx.now, ctx.unix, asker, request)
    }

    pub(super) fn answered(&mut self, ctx: &mut Ctx<'_>, token: u64, result: CallResult) {
        let answer = result.map_err(|error| match error {
            CallError::Refused(failure) => NoAnswer::Refused(failure),
            _ => NoAnswer::NotReached,
        });
        self.machine
            .handle_answer(ctx.now, ctx.unix, CallToken(token), answer);
    }

    pub(super) fn next_deadline(&self, now: Mono) -> Mono {
        self.machine.next_deadline(now)
    }

    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>) {
        if self.machine.next_deadline(ctx.now) <= ctx.now {
            self.machine.handle_timeout(ctx.now, ctx.unix);
        }
    }

    /// Carries out what the machine wants. False: nothing.
    pub(super) fn drain(&mut self, ctx: &mut Ctx<'_>, links: &mut Links, errands: &mut Vec<Errand>) -> bool {
        let mut any = false;
        while let Some(effect) = self.machine.poll_effect() {
            any = true;
            match effect {
                Effect::Call {
                    token,
                    peer,
                    request,
                    budget,
                } => {
                    let (caller, lane) = (Caller::Members(token.0), Lane::Control);
                    errands.push(Errand::Call {
                        caller,
                        peer,
                        request: Box::new(request),
                        lane,
                        budget,
                    });
                }
                Effect::Changed => self.changed = true,
                Effect::Save(file) => self.save(ctx, &file),
            }
        }
        if std::mem::take(&mut self.changed) {
            any = true;
            self.admission.set_view(Arc::new(self.machine.view()));
            links.set_members(ctx.now, self.wanted(ctx.unix));
        }
        any
    }

    /// The disk is done with the roster file.
    pub(super) fn write_roster(&mut self, ctx: &mut Ctx<'_>) {
        let Some(bytes) = self.to_write.take() else { return };
        if let Err(error) = ctx.disk.write_roster(bytes.clone()) {
            ctx.trace
                .note(Some(ctx.host), "roster not written", format_args!("{error:?}"));
            self.to_write = Some(bytes);
            ctx.after(WRITE_AGAIN_AFTER, Job::Roster);
        }
    }

    /// The roster file that was about to be written.
    pub(super) fn into_roster(self) -> Option<Bytes> {
        self.to_write
    }

    fn save(&mut self, ctx: &mut Ctx<'_>, file: &RosterFile) {
        match file.encode() {
            Ok(bytes) => {
                let writing = self.to_write.replace(bytes).is_some();
                if !writing {
                    let delay = ctx.disk.delay();
                    ctx.after(delay, Job::Roster);
                }
            }
            Err(error) => ctx.violation(format!("the roster file does not encode: {error}")),
        }
    }

    /// Whom to have links to, and where they are.
    fn wanted(&self, unix: UnixSeconds) -> BTreeMap<NodeId, String> {
        let view = self.admission.view();
        let wanted: BTreeSet<NodeId> = view.links_wanted(unix);
        let announced = |node: &NodeId| {
            view.member(*node)
                .and_then(|member| member.addresses().next())
                .map(|address| address.as_str().to_owned())
        };
        let invited = |node: &NodeId| {
            let contact = view.contacts().iter().find(|contact| contact.node == *node)?;
            contact
                .addresses
                .first()
                .map(|address| address.as_str().to_owned())
        };
        wanted
            .iter()
            .filter_map(|node| Some((*node, announced(node).or_else(|| invited(node))?)))
            .collect()
    }
}

fn config(me: &Identity, ctx: &Ctx<'_>) -> MembershipConfig {
    let address = |text: &str| Address::parse(text).expect("hosts have good addresses");
    let secret = || InviteSecret::from_bytes(ctx.book.secret);
    let invite = |introducer: &Identity| {
        Invite::new(introducer.node_id, vec![address(&introducer.address)], secret())
            .expect("one address is neither too few nor too many")
    };
    MembershipConfig {
        key: me.key.clone(),
        facts: OwnFacts {
            nickname: format!("node {}", me.host),
            addresses: vec![address(&me.address)],
            roles: me.roles,
            zone: me.zone.clone(),
            software: "simulated".into(),
        },
        invites: ctx.book.introducers().map(invite).collect(),
        introducer: me.roles.contains(Role::Introducer).then(|| IntroducerConfig {
            secret: secret(),
            grant_term: Duration::from_secs(24 * 3600),
        }),
    }
}

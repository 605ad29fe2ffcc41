//! What a socket brings: its beginning, the hello and its judgement, requests, answers, and its end.

use std::rc::Rc;
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;
use metrics::counter;
use tokio::time::timeout;
use truckee_engine::session::{CallError, CloseReason, Event, InboundId, Session, keeps_newer_link};
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Failure, FailureCode, GoodbyeReason, Hello, RequestKind};

use super::line::{Line, Presence};
use super::messages::{Answered, Dialled};
use super::{Attempt, LINES_MAX, Peer};
use crate::gate::{CountPermit, RETRY_AFTER_FULL, tell};
use crate::inbound::{Admitted, Asker, Inbound, Refusal, Responder};
use crate::link::{LineId, LinkPort};
use crate::metrics as names;
use crate::net::{self, NetBounds, Socket};
use crate::tls::TlsIdentity;
use crate::trace::Trace;

/// Requests of one peer that this node works on at a time; more are told to come later. A peer's bytes are bounded by
/// the session; this bounds the requests that carry none.
const SERVING_MAX: usize = 512;

/// One attempt goes through all addresses of a peer within this time.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);

impl Peer {
    /// Begins a session on a fresh socket. Nothing of it is served before the hello was judged.
    pub(super) fn attach(
        &mut self,
        socket: Socket,
        dialled_by_us: bool,
        permit: Option<CountPermit>,
        context: &Context<Self>,
    ) -> Option<LineId> {
        if self.stopping || self.lines.len() >= LINES_MAX {
            counter!(names::LINK_CLOSED, "cause" => "too_many").increment(1);
            return None;
        }
        let now = self.now();
        self.was_needed = true;
        let id = self.world.next_line();
        let hello = self.world.own_hello();
        let config = self.world.limits.session.clone();
        let session = match Session::new(config, &hello, now, self.world.random_seed()) {
            Ok(session) => session,
            Err(error) => {
                tracing::error!(%error, "this node's own hello breaks a bound");
                return None;
            }
        };
        let port = LinkPort::start(
            id,
            socket.stream,
            &Self::owner(context),
            self.world.limits.frame_within,
        );
        tracing::debug!(peer = ?self.id, remote = %socket.remote, dialled_by_us, "socket ready");
        self.lines.insert(
            id,
            Line::new(id, session, port, (dialled_by_us, socket.remote), permit),
        );
        self.restless.push(id);
        Some(id)
    }

    /// Carries out all that a session has to say and sends what it wants to send, until there is no more of either.
    pub(super) fn drive(&mut self, id: LineId, context: &mut Context<Self>) {
        loop {
            let now = self.now();
            let Some(line) = self.lines.get_mut(&id) else {
                return;
            };
            let mut event = line.poll_event();
            if event.is_none() {
                line.pump(now);
                event = line.poll_event();
            }
            let Some(event) = event else { return };
            match event {
                Event::HelloReceived(hello) => self.greet(id, &hello),
                Event::Request {
                    id: request_id,
                    request,
                    lane,
                    trace,
                    deadline,
                } => {
                    let kind = request.kind();
                    let Some(asker) = self.judge_request(id, request_id, kind) else {
                        continue;
                    };
                    let Some(line) = self.lines.get_mut(&id) else {
                        continue;
                    };
                    let cancelled = line.serve(request_id, kind);
                    let responder = responder(context.address().downgrade(), id, request_id)
                        .noted_in(Trace::serve(kind, trace));
                    let inbound = Inbound {
                        asker,
                        request,
                        lane,
                        deadline,
                        cancelled,
                        responder,
                    };
                    self.world.router.route(inbound);
                }
                Event::Cancelled { id: request } => line.cancel_serving(request),
                Event::Answer { id: request, result } => self.finish_call(id, request, result),
                Event::PeerLeaving(reason) => self.peer_leaves(id, reason),
                Event::Closed(reason) => self.close(id, reason),
            }
        }
    }

    /// Judges the peer's hello; from here on its requests are read.
    fn greet(&mut self, id: LineId, hello: &Hello) {
        let now = self.now();
        let judged = self.world.admission.admit(self.id, hello.grant.as_ref());
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        match judged {
            Ok(admitted) => {
                line.session.admit(now);
                let joining = admitted == Admitted::Joining;
                if joining {
                    line.probation = Some(now + self.world.limits.join_within);
                } else {
                    line.permit = None;
                }
                tracing::info!(peer = ?self.id, remote = %line.remote, joining, "link up");
                self.welcome(id, hello);
            }
            Err(refusal) => self.refuse(id, refusal),
        }
    }

    fn refuse(&mut self, id: LineId, refusal: Refusal) {
        let now = self.now();
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        tracing::warn!(peer = ?self.id, remote = %line.remote, cause = refusal.name(), "peer refused: {refusal}");
        counter!(names::LINK_REFUSED, "cause" => refusal.name()).increment(1);
        if line.is_greeted() {
            line.goodbye(now, GoodbyeReason::Refused);
        } else {
            line.leave();
            line.session.refuse(now);
        }
        self.restless.push(id);
        self.entry.status().last_failure = Some(refusal.name());
    }

    /// Settles which of several links stays, and puts the new one to use.
    fn welcome(&mut self, id: LineId, hello: &Hello) {
        let now = self.now();
        let presence = match self.presence.as_ref().and_then(std::rc::Weak::upgrade) {
            Some(presence) if presence.session == hello.session => presence,
            _ => Presence::new(
                self.id,
                self.world.next_link(),
                hello.session,
                &self.world.listeners,
            ),
        };
        self.presence = Some(Rc::downgrade(&presence));
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        line.presence = Some(Rc::clone(&presence));
        let (new_by_us, remote) = (line.dialled_by_us, line.remote);
        self.entry.status().dialled = new_by_us.then(|| remote.to_string());
        let rivals: Vec<LineId> = self
            .lines
            .values()
            .filter(|rival| rival.id != id && rival.takes_calls())
            .map(|rival| rival.id)
            .collect();
        for rival_id in rivals {
            let Some(rival) = self.lines.get(&rival_id) else {
                continue;
            };
            let same_run = rival
                .presence
                .as_ref()
                .is_some_and(|old| old.session == hello.session);
            // A fresh run of the peer's process knows nothing of its old links.
            let keeps_new =
                !same_run || keeps_newer_link(&self.world.own_id(), &self.id, rival.dialled_by_us, new_by_us);
            let loser = if keeps_new { rival_id } else { id };
            if let Some(line) = self.lines.get_mut(&loser) {
                tracing::debug!(peer = ?self.id, remote = %line.remote, "duplicate link goes");
                line.goodbye(now, GoodbyeReason::Duplicate);
                self.restless.push(loser);
            }
        }
        if self.dialing.handle_up() {
            counter!(names::LINK_RECONNECTS).increment(1);
        }
        if self.attempt == Attempt::Greeting(id) {
            self.attempt = Attempt::None;
        }
        self.send_waiting();
    }

    /// Whether the peer may ask this now; if not, it is told so.
    fn judge_request(&mut self, line_id: LineId, id: InboundId, kind: RequestKind) -> Option<Asker> {
        let now = self.now();
        let judged = self.world.admission.authorise(self.id, kind);
        let line = self.lines.get_mut(&line_id)?;
        let link = line.presence.as_ref()?.link;
        match judged {
            Ok(_) if line.serving_count() >= SERVING_MAX => {
                let busy = Failure::busy(
                    RETRY_AFTER_FULL,
                    "too many requests of this peer are being worked on",
                );
                line.refuse_or_answer(now, id, kind, Err(busy));
                None
            }
            Ok(roles) => Some(Asker {
                node_id: self.id,
                link,
                roles,
            }),
            Err(refusal) => {
                let failure = Failure::new(FailureCode::RefusedRole, refusal.to_string());
                line.refuse_or_answer(now, id, kind, Err(failure));
                match refusal {
                    // What it may not do today it may do tomorrow, or another node may let it.
                    Refusal::WrongRole | Refusal::Stranger => {
                        counter!(names::LINK_REFUSED, "cause" => refusal.name()).increment(1);
                    }
                    Refusal::BadGrant | Refusal::Expired | Refusal::Revoked => self.refuse(line_id, refusal),
                }
                None
            }
        }
    }

    fn finish_call(
        &mut self,
        line_id: LineId,
        id: truckee_engine::session::RequestId,
        result: crate::call::CallResult,
    ) {
        let now = self.now();
        let Some(pending) = self.lines.get_mut(&line_id).and_then(|line| line.take_call(id)) else {
            return;
        };
        self.under_way.remove(&pending.number);
        pending.finish(now, result, &mut self.figures);
    }

    fn peer_leaves(&mut self, id: LineId, reason: GoodbyeReason) {
        tracing::debug!(peer = ?self.id, reason = reason.name(), "peer says goodbye");
        if let Some(line) = self.lines.get_mut(&id) {
            line.leave();
        }
    }

    /// The session is over: nothing of it is left when this returns.
    fn close(&mut self, id: LineId, reason: CloseReason) {
        let now = self.now();
        let Some(mut line) = self.lines.remove(&id) else {
            return;
        };
        let cause = match (reason, line.end) {
            (CloseReason::LinkLost, Some(end)) => end.name(),
            (reason, _) => cause_of(reason),
        };
        tracing::debug!(peer = ?self.id, remote = %line.remote, cause, %reason, "link closed");
        counter!(names::LINK_CLOSED, "cause" => cause).increment(1);
        if reason == CloseReason::RefusedByPeer {
            tracing::warn!(peer = ?self.id, "the peer does not admit this node; is its grant valid?");
        }
        for pending in line.take_calls().into_values() {
            self.under_way.remove(&pending.number);
            pending.finish(now, Err(CallError::LinkLost), &mut self.figures);
        }
        let was_greeted = line.is_greeted();
        line.close();
        if self.attempt == Attempt::Greeting(id) {
            self.attempt_failed(cause);
        } else if was_greeted && self.best_line().is_none() && self.attempt == Attempt::None {
            self.note_failure(cause);
        }
    }

    /// The way to the peer is not open.
    pub(super) fn attempt_failed(&mut self, cause: &'static str) {
        self.attempt = Attempt::None;
        if self.best_line().is_none() {
            self.note_failure(cause);
        }
    }

    fn note_failure(&mut self, cause: &'static str) {
        let now = self.now();
        let retry_in = self.dialing.handle_failure(now);
        tracing::debug!(peer = ?self.id, cause, ?retry_in, "no link to the peer");
        let mut status = self.entry.status();
        status.last_failure = Some(cause);
        drop(status);
        self.fail_waiting(retry_in);
    }

    /// Starts an attempt to reach the peer.
    pub(super) fn dial(&mut self, context: &Context<Self>) {
        let Some(member) = self.world.table.member(self.id) else {
            self.attempt_failed("not_in_roster");
            return;
        };
        self.attempt = Attempt::Connecting;
        let identity = self.world.identity.clone();
        let report = DialReport {
            to: context.address().downgrade(),
            outcome: None,
        };
        let attempt = dial_all(identity, self.id, member.addresses, self.world.limits.net, report);
        tokio::task::spawn_local(attempt);
    }

    /// Sends away who was let in to join and has not done so in time.
    pub(super) fn end_probations(&mut self) {
        let now = self.now();
        let due: Vec<LineId> = self
            .lines
            .values()
            .filter(|line| line.probation.is_some_and(|until| until <= now))
            .map(|line| line.id)
            .collect();
        for id in due {
            let joined = matches!(self.world.admission.admit(self.id, None), Ok(Admitted::Member(_)));
            if let Some(line) = self.lines.get_mut(&id) {
                line.end_probation();
            }
            if !joined {
                self.refuse(id, Refusal::Stranger);
            }
        }
    }

    /// The directory may say something new of the peer.
    pub(super) fn recheck(&mut self, context: &Context<Self>) {
        let member = self.world.table.member(self.id);
        let wanted = member.as_ref().is_some_and(|member| member.keep_linked) && !self.stopping;
        if self.dialing.set_wanted(wanted) {
            self.dial(context);
        }
        if member.is_some() {
            return;
        }
        let greeted: Vec<LineId> = self
            .lines
            .values()
            .filter(|line| line.takes_calls())
            .map(|line| line.id)
            .collect();
        for id in greeted {
            // Without a grant of its own in hand the roster alone decides; a node that is joining stays.
            if let Err(refusal @ (Refusal::Revoked | Refusal::Expired)) =
                self.world.admission.admit(self.id, None)
            {
                self.refuse(id, refusal);
            }
        }
    }
}

/// Name of the end of a link in metrics and on pages.
const fn cause_of(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Drained(reason) => reason.name(),
        CloseReason::DrainTimeout(_) => "drain_timeout",
        CloseReason::Refused => "refused",
        CloseReason::RefusedByPeer => "refused_by_peer",
        CloseReason::VersionMismatch { .. } => "version",
        CloseReason::HelloTimeout => "hello_timeout",
        CloseReason::Silent { .. } => "silent",
        CloseReason::SlowFrame { .. } => "slow_frame",
        CloseReason::LinkLost => "lost",
        CloseReason::ProtocolViolation(_) => "protocol_violation",
    }
}

fn responder(peer: WeakAddr<Peer>, line: LineId, id: InboundId) -> Responder {
    Responder::new(move |served| {
        // Without the actor the link is gone, and nobody waits for the answer.
        let _gone = peer
            .upgrade()
            .map(|peer| tell(&peer, Answered { line, id, served }));
    })
}

/// Reports the outcome of an attempt when its task ends, a panic included.
struct DialReport {
    to: WeakAddr<Peer>,
    outcome: Option<Result<Box<Socket>, &'static str>>,
}

impl Drop for DialReport {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or(Err("panicked"));
        // A peer that has been let go wants no link.
        let _gone = self.to.upgrade().map(|peer| tell(&peer, Dialled(outcome)));
    }
}

async fn dial_all(
    identity: TlsIdentity,
    peer: NodeId,
    addresses: Vec<String>,
    bounds: NetBounds,
    mut report: DialReport,
) {
    let mut cause = "no_address";
    let attempts = async {
        for address in &addresses {
            match net::dial(&identity, peer, address, bounds).await {
                Ok(socket) => return Ok(socket),
                Err(error) => {
                    tracing::debug!(?peer, %error, "dialling failed");
                    counter!(names::LINK_DIALS, "outcome" => error.name()).increment(1);
                    cause = error.name();
                }
            }
        }
        Err(())
    };
    let outcome = timeout(ATTEMPT_MAX, attempts).await;
    report.outcome = Some(match outcome {
        Ok(Ok(socket)) => {
            counter!(names::LINK_DIALS, "outcome" => "ok").increment(1);
            Ok(Box::new(socket))
        }
        Ok(Err(())) => Err(cause),
        Err(_elapsed) => Err("connect_timeout"),
    });
}

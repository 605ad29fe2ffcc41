//! A request from a peer on its way to the actor that serves it, and how its answer finds the way back.
//!
//! The link has checked who asks and that the grant allows the kind of request before an [`Inbound`] is made. The
//! [`Router`] knows which actor of this node serves what. Every inbound request is answered exactly once: a
//! [`Responder`] that is dropped, by a panic or by a mailbox that died, answers `Internal`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Message, Recipient};
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Failure, FailureCode, Grant, Lane, Request, RequestKind, Response, Roles};

use crate::gate::tell_recipient;
use crate::trace::Trace;

/// What a node answers to a request.
pub type Served = Result<Response, Failure>;

/// What came of a request, in one word, for metrics and traces.
#[must_use]
pub fn outcome(served: &Served) -> &'static str {
    served
        .as_ref()
        .map_or_else(|failure| failure.code.name(), |_| "ok")
}

/// Names one link for as long as the process lives; a new socket to the same peer has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl LinkId {
    /// The link of a node to itself, which never goes down.
    pub const OWN: LinkId = LinkId(0);
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The peer, proven by its TLS key.
    pub node_id: NodeId,
    /// The link that the request came on. Work that belongs to it ends with it.
    pub link: LinkId,
    /// What its grant says it may be; none for a node that is about to join.
    pub roles: Roles,
}

/// Set when the asker no longer wants the answer.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Whether work for this request may be given up. The responder still has to answer, with `Cancelled`.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Takes the request back.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A request to serve.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Inbound {
    /// Who asks.
    pub asker: Asker,
    /// What is asked.
    pub request: Request,
    /// How urgent it is.
    pub lane: Lane,
    /// When the asker stops waiting.
    pub deadline: Mono,
    /// Whether the asker took it back.
    pub cancelled: CancelFlag,
    /// Where the answer goes.
    pub responder: Responder,
}

/// Takes the answer of one inbound request. Runs exactly once. Knows what the request belongs to, and notes there what
/// came of it.
pub struct Responder {
    take: Option<Box<dyn FnOnce(Served) + Send>>,
    trace: Trace,
}

impl Responder {
    /// A responder that runs `take` on whatever thread has the answer. It should only pass the answer on.
    pub fn new(take: impl FnOnce(Served) + Send + 'static) -> Self {
        Self {
            take: Some(Box::new(take)),
            trace: Trace::none(),
        }
    }

    /// The same, for a request that is `trace`.
    #[must_use]
    pub fn noted_in(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// The request that is served.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Gives the answer.
    pub fn respond(mut self, served: Served) {
        self.run(served);
    }

    fn run(&mut self, served: Served) {
        if let Some(take) = self.take.take() {
            self.trace.end(outcome(&served));
            self.log(&served);
            take(served);
        }
    }

    /// What fails can be followed through the logs of all nodes by the id of its trace.
    fn log(&self, served: &Served) {
        let span = self.trace.span();
        match served {
            Ok(_) => tracing::trace!(parent: span, "served"),
            Err(failure) if span.is_disabled() => {
                tracing::debug!(
                    trace = self.trace.id(),
                    code = failure.code.name(),
                    "not served: {}",
                    failure.text
                );
            }
            Err(failure) => {
                tracing::debug!(parent: span, code = failure.code.name(), "not served: {}", failure.text);
            }
        }
    }

    /// Refuses with one sentence for people.
    pub fn fail(self, code: FailureCode, text: &str) {
        self.respond(Err(Failure::new(code, text)));
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.run(Err(Failure::new(
            FailureCode::Internal,
            "the node lost this request; its log says why",
        )));
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Responder(answered: {})", self.take.is_none())
    }
}

/// Whoever serves requests: an actor's address, or a slot that always holds the newest one.
pub trait InboundHandler: Send + Sync + 'static {
    /// Takes the request. One that cannot be taken is dropped, and thereby answered.
    fn handle(&self, inbound: Inbound);
}

impl InboundHandler for Recipient<Inbound> {
    fn handle(&self, inbound: Inbound) {
        if tell_recipient(self, inbound).is_err() {
            tracing::warn!("a request came for an actor that has ended");
        }
    }
}

/// Which actor of this node serves what.
#[derive(Clone, Default)]
pub struct Router {
    shares: Option<Arc<dyn InboundHandler>>,
    members: Option<Arc<dyn InboundHandler>>,
    drive: Option<Arc<dyn InboundHandler>>,
    parting: Option<Arc<dyn InboundHandler>>,
}

impl Router {
    /// A router of a node that serves nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has requests for shares, and for the node's status, served by `handler`.
    #[must_use]
    pub fn with_shares(mut self, handler: impl InboundHandler) -> Self {
        self.shares = Some(Arc::new(handler));
        self
    }

    /// Has requests of members and of nodes that join served by `handler`.
    #[must_use]
    pub fn with_members(mut self, handler: impl InboundHandler) -> Self {
        self.members = Some(Arc::new(handler));
        self
    }

    /// Has requests for directories of the virtual drive served by `handler`.
    #[must_use]
    pub fn with_drive(mut self, handler: impl InboundHandler) -> Self {
        self.drive = Some(Arc::new(handler));
        self
    }

    /// Has the question whether a copy of a share is kept served by `handler`, who is the one that parts with copies.
    #[must_use]
    pub fn with_parting(mut self, handler: impl InboundHandler) -> Self {
        self.parting = Some(Arc::new(handler));
        self
    }

    /// Hands the request to who serves it, or refuses it.
    pub fn route(&self, inbound: Inbound) {
        let handler = match inbound.request.kind() {
            RequestKind::Join | RequestKind::SyncRoster | RequestKind::PushRoster => &self.members,
            RequestKind::GetRows | RequestKind::CommitChange => &self.drive,
            RequestKind::KeepShare => &self.parting,
            RequestKind::FindShares
            | RequestKind::OpenShare
            | RequestKind::WriteBlock
            | RequestKind::CloseShare
            | RequestKind::AbortShare
            | RequestKind::PutShare
            | RequestKind::ReadBlock
            | RequestKind::GetStatus
            | RequestKind::GetInventory
            | RequestKind::ListShares
            | RequestKind::ListAdded
            | RequestKind::RenewLeases => &self.shares,
        };
        match handler {
            Some(handler) => handler.handle(inbound),
            None => inbound.responder.fail(
                FailureCode::RefusedRole,
                "this node does not have the role for that",
            ),
        }
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Router(shares: {}, members: {}, drive: {}, parting: {})",
            self.shares.is_some(),
            self.members.is_some(),
            self.drive.is_some(),
            self.parting.is_some()
        )
    }
}

/// Why a peer, or one of its requests, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// It shows no grant, the roster does not know it, and this node admits nobody.
    #[error("it is not a member of this mesh and shows no grant; join it with an invite")]
    Stranger,
    /// Its grant is signed by no introducer that this node trusts, is for another node, or does not parse.
    #[error("its grant is not one of this mesh's introducers for this node")]
    BadGrant,
    /// Its grant is over.
    #[error("its grant has expired; it has to ask an introducer for a new one")]
    Expired,
    /// An introducer has revoked it.
    #[error("an introducer has revoked it")]
    Revoked,
    /// Its roles do not allow what it asks.
    #[error("its roles do not allow this request")]
    WrongRole,
}

impl Refusal {
    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Stranger => "stranger",
            Refusal::BadGrant => "bad_grant",
            Refusal::Expired => "expired",
            Refusal::Revoked => "revoked",
            Refusal::WrongRole => "wrong_role",
        }
    }
}

/// What a greeted peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// A member, with the roles of its grant.
    Member(Roles),
    /// Not a member yet: it may only ask to join, and only an introducer lets it so far.
    Joining,
}

/// Who may link and ask. Answers at once, from what the node knows.
pub trait Admission: Send + Sync + 'static {
    /// Judges a peer by its key, proven by TLS, and the grant in its hello.
    fn admit(&self, peer: NodeId, grant: Option<&Grant>) -> Result<Admitted, Refusal>;
    /// Judges one request of a peer that was admitted, by what is known now: grants end and are revoked, and a node
    /// that joined over this very link is a member from then on. Gives its roles of this moment.
    fn authorise(&self, peer: NodeId, kind: RequestKind) -> Result<Roles, Refusal>;
    /// The grant and announcement sequence that this node shows in its own hello.
    fn own_hello(&self) -> (Option<Grant>, u64);
}

/// A link came up or went away. Sent to whoever asked the mesh for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct LinkEvent {
    /// The peer at the other end.
    pub peer: NodeId,
    /// The link. Work that belongs to it ends with it.
    pub link: LinkId,
    /// Whether it came up (else it went away).
    pub up: bool,
}

/// Whoever wants to hear of links: an actor's address, or a slot that always holds the newest one.
pub trait LinkListener: Send + Sync + 'static {
    /// Takes the news.
    fn link_event(&self, event: LinkEvent);
}

impl LinkListener for Recipient<LinkEvent> {
    fn link_event(&self, event: LinkEvent) {
        if tell_recipient(self, event).is_err() {
            tracing::debug!("a link event came for an actor that has ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn inbound(request: Request) -> (Inbound, mpsc::Receiver<Served>) {
        let (sender, answer) = mpsc::channel();
        let inbound = Inbound {
            asker: Asker {
                node_id: NodeId([1; 32]),
                link: LinkId::OWN,
                roles: Roles::NONE,
            },
            request,
            lane: Lane::Control,
            deadline: Mono::ZERO,
            cancelled: CancelFlag::default(),
            responder: Responder::new(move |served| sender.send(served).expect("the test listens")),
        };
        (inbound, answer)
    }

    #[test]
    fn a_request_that_is_lost_is_answered() {
        let (lost, answer) = inbound(Request::GetStatus);
        drop(lost);
        assert_eq!(
            answer.recv().expect("answered").unwrap_err().code,
            FailureCode::Internal
        );
        assert!(answer.recv().is_err(), "answered once");
    }

    #[test]
    fn a_node_without_the_role_refuses() {
        let (asked, answer) = inbound(Request::GetStatus);
        Router::new().route(asked);
        assert_eq!(
            answer.recv().expect("answered").unwrap_err().code,
            FailureCode::RefusedRole
        );
    }
}

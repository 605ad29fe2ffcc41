//! A request to a peer and its one answer: what callers of the mesh hold in their hands.
//!
//! A [`Call`] goes out through a [`MeshHandle`] together with a [`Reply`]. The reply is run exactly once: with the
//! peer's answer, or with the error that says why there is none. Dropping it unanswered, because an actor panicked or
//! a mailbox died with the call in it, counts as a lost link. Dropping the [`CallGuard`] takes the request back.
//!
//! Nothing here asks again: only the caller knows whether a request may be repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Message, Recipient};
use tokio::sync::oneshot;
use truckee_engine::session::CallError;
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Lane, Request, Response, Roles};

use crate::gate::tell_recipient;
use crate::trace::Trace;

/// What came of a request.
pub type CallResult = Result<Response, CallError>;

/// What came of a request, in one word, for metrics and traces.
#[must_use]
pub fn outcome(result: &CallResult) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(CallError::Refused(failure)) => failure.code.name(),
        Err(CallError::Expired) => "no_answer",
        Err(CallError::LinkLost) => "link_lost",
        Err(CallError::Down { .. }) => "down",
        Err(CallError::Leaving) => "leaving",
        Err(CallError::Saturated) => "saturated",
        Err(CallError::BadAnswer(_)) => "bad_answer",
        Err(CallError::Unsendable(_)) => "unsendable",
    }
}

/// A request and how to send it.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// How urgent it is, relative to others on the same link.
    pub lane: Lane,
    /// After this time an answer is no longer wanted; the peer is told and need not work any more.
    pub budget: Duration,
    /// What it is a part of. The mesh gives the request a span of its own below it.
    pub trace: Trace,
}

/// Takes the answer of one call. Runs exactly once.
pub struct Reply {
    take: Option<Box<dyn FnOnce(CallResult) + Send>>,
    answered: Arc<AtomicBool>,
    /// The request itself.
    trace: Trace,
}

impl Reply {
    /// A reply that runs `take` on whatever thread has the answer. It should only pass the answer on.
    pub fn new(take: impl FnOnce(CallResult) + Send + 'static) -> Self {
        Self {
            take: Some(Box::new(take)),
            answered: Arc::default(),
            trace: Trace::none(),
        }
    }

    /// Notes what comes of the request in its span, which is `trace`.
    fn noted_in(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// A reply that an async caller can wait for.
    pub fn oneshot() -> (Self, oneshot::Receiver<CallResult>) {
        let (sender, receiver) = oneshot::channel();
        // A caller that stopped waiting wants no answer.
        (Self::new(move |result| drop(sender.send(result))), receiver)
    }

    /// A reply that comes back as a message to an actor, with the token that says which call it was.
    pub fn message<T: Send + 'static>(to: Recipient<CallAnswered<T>>, token: T) -> Self {
        Self::new(move |result| {
            if tell_recipient(&to, CallAnswered { token, result }).is_err() {
                tracing::debug!("the caller of a request ended before its answer came");
            }
        })
    }

    /// Gives the answer.
    pub fn answer(mut self, result: CallResult) {
        self.run(result);
    }

    /// Tells whether the answer was given, also after the reply has gone elsewhere.
    pub fn answered(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.answered)
    }

    fn run(&mut self, result: CallResult) {
        if let Some(take) = self.take.take() {
            self.answered.store(true, Ordering::Release);
            self.trace.end(outcome(&result));
            take(result);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.run(Err(CallError::LinkLost));
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reply(answered: {})", self.take.is_none())
    }
}

/// The answer of a call, as a message.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CallAnswered<T: Send + 'static> {
    /// Which call.
    pub token: T,
    /// What came of it.
    pub result: CallResult,
}

/// Holds a call open. Dropping it takes the request back, unless it was answered meanwhile; the reply then gets
/// `Refused` with code `Cancelled`.
#[must_use = "dropping the guard takes the request back; call `detach` to let it run"]
pub struct CallGuard {
    answered: Arc<AtomicBool>,
    cancel: Option<Box<dyn FnOnce() + Send>>,
}

impl CallGuard {
    /// A guard of the call that `reply` belongs to; `cancel` takes it back.
    pub fn new(reply: &Reply, cancel: impl FnOnce() + Send + 'static) -> Self {
        Self {
            answered: reply.answered(),
            cancel: Some(Box::new(cancel)),
        }
    }

    /// A guard of the call whose [`Reply::answered`] this is.
    pub fn with_flag(answered: Arc<AtomicBool>, cancel: impl FnOnce() + Send + 'static) -> Self {
        Self {
            answered,
            cancel: Some(Box::new(cancel)),
        }
    }

    /// A guard of a call that was answered at once.
    pub fn done() -> Self {
        Self {
            answered: Arc::new(AtomicBool::new(true)),
            cancel: None,
        }
    }

    /// Lets the call run to its end without the guard.
    pub fn detach(mut self) {
        self.cancel = None;
    }

    /// Takes the request back now.
    pub fn cancel(self) {}
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take()
            && !self.answered.load(Ordering::Acquire)
        {
            cancel();
        }
    }
}

impl std::fmt::Debug for CallGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "CallGuard(answered: {})",
            self.answered.load(Ordering::Relaxed)
        )
    }
}

/// How the link to a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkState {
    /// No link, and nobody asked for one.
    Idle,
    /// A connection is being made or has not been greeted yet.
    Dialing,
    /// The last attempt failed; the next one waits.
    Backoff,
    /// A link is up.
    Up,
    /// The link is being given up; what is under way may end.
    Draining,
}

impl LinkState {
    /// All states.
    pub const ALL: [LinkState; 5] = [
        LinkState::Idle,
        LinkState::Dialing,
        LinkState::Backoff,
        LinkState::Up,
        LinkState::Draining,
    ];

    /// Name in metrics and on pages.
    pub const fn name(self) -> &'static str {
        match self {
            LinkState::Idle => "idle",
            LinkState::Dialing => "dialing",
            LinkState::Backoff => "backoff",
            LinkState::Up => "up",
            LinkState::Draining => "draining",
        }
    }
}

/// What is known of a peer at one moment.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// Who.
    pub node_id: NodeId,
    /// Its own name for itself.
    pub nickname: String,
    /// What it does.
    pub roles: Roles,
    /// What shares should be spread over.
    pub zone: String,
    /// Name and version of its software.
    pub software: String,
    /// How the link stands.
    pub state: LinkState,
    /// Where this node dialled it, or else where the peer says that it can be reached; never the passing port from
    /// which the peer dialled.
    pub address: Option<String>,
    /// When the state last changed.
    pub since: Mono,
    /// When something was last heard.
    pub last_heard: Option<Mono>,
    /// Round trip of the last heartbeat.
    pub round_trip: Option<Duration>,
    /// Why the last link or attempt ended: one word of a closed set, for pages.
    pub last_failure: Option<&'static str>,
}

/// What the mesh does for its callers.
pub trait MeshCalls: Send + Sync + 'static {
    /// Sends `call` to `peer` (which may be this node itself) and runs `reply` once with what comes of it.
    fn call(&self, peer: NodeId, call: Call, reply: Reply) -> CallGuard;
    /// Every peer that the roster names, and this node's view of its link.
    fn peers(&self) -> Vec<PeerView>;
    /// Whether a call to `peer` would go out on a live link now.
    fn is_up(&self, peer: NodeId) -> bool;
    /// The id of this node.
    fn own_id(&self) -> NodeId;
}

/// The mesh as its callers see it: cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct MeshHandle(Arc<dyn MeshCalls>);

impl MeshHandle {
    /// A handle of the real mesh, or of one that a test makes up.
    pub fn new(calls: impl MeshCalls) -> Self {
        Self(Arc::new(calls))
    }

    /// Sends `call` to `peer` and runs `reply` exactly once with the answer or the reason why there is none.
    ///
    /// A peer without a link is dialled if the roster knows it; during backoff the call fails at once with
    /// [`CallError::Down`], except that one whose last attempt is over a second old is tried again at once.
    pub fn call(&self, peer: NodeId, mut call: Call, reply: Reply) -> CallGuard {
        call.trace = call.trace.call(call.request.kind(), &peer);
        let reply = reply.noted_in(call.trace.clone());
        self.0.call(peer, call, reply)
    }

    /// Sends `call` to `peer` and waits for its answer. Dropping the future takes the request back.
    pub async fn ask(&self, peer: NodeId, call: Call) -> CallResult {
        let (reply, answer) = Reply::oneshot();
        let _guard = self.call(peer, call, reply);
        answer.await.unwrap_or(Err(CallError::LinkLost))
    }

    /// Every peer that the roster names, and this node's view of its link, ordered by id.
    pub fn peers(&self) -> Vec<PeerView> {
        self.0.peers()
    }

    /// Whether a call to `peer` would go out on a live link now.
    pub fn is_up(&self, peer: NodeId) -> bool {
        self.0.is_up(peer)
    }

    /// The id of this node.
    pub fn own_id(&self) -> NodeId {
        self.0.own_id()
    }
}

impl std::fmt::Debug for MeshHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MeshHandle({:?})", self.own_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_reply_that_is_lost_says_so_once() {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let reply = Reply::new(move |result| {
            assert_eq!(result, Err(CallError::LinkLost));
            seen.fetch_add(1, Ordering::Relaxed);
        });
        let answered = reply.answered();
        drop(reply);
        assert!(answered.load(Ordering::Relaxed));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_guard_takes_back_only_what_is_not_answered() {
        let cancelled = Arc::new(AtomicU32::new(0));
        let cancel = |reply: &Reply| {
            let cancelled = Arc::clone(&cancelled);
            CallGuard::new(reply, move || {
                cancelled.fetch_add(1, Ordering::Relaxed);
            })
        };
        let (reply, _answer) = Reply::oneshot();
        let guard = cancel(&reply);
        reply.answer(Ok(Response::BlockWritten));
        drop(guard);
        assert_eq!(cancelled.load(Ordering::Relaxed), 0);
        let (reply, _answer) = Reply::oneshot();
        cancel(&reply).detach();
        assert_eq!(cancelled.load(Ordering::Relaxed), 0);
        cancel(&reply).cancel();
        assert_eq!(cancelled.load(Ordering::Relaxed), 1);
    }
}

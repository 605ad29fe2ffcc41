//! One actor per peer identity. It outlives its sockets and is the only one that decides about them.
//!
//! States: idle, dialling, backing off, up, draining. It owns a [`Line`] (session and tasks) for each socket to the
//! peer: normally one, two for a moment when both ends dialled at once or when the peer's process is a new one. The
//! sessions own requests, budgets, lanes and heartbeats; [`Dialing`] owns when to dial. A peer's hello is judged before
//! anything else of it is read, and each of its requests again, since grants end and are revoked.
//!
//! Every call gets one answer: from the session, from the bound on waiting for a link, or, if this actor panics, from
//! the reply itself as it is dropped. Nothing is asked again. A peer that is in no directory and has no socket left is
//! let go.

mod calls;
mod dialing;
mod events;
mod lanes;
mod line;
mod messages;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use actix::prelude::*;
use metrics::histogram;
use truckee_engine::session::{CallError, RequestId};
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;
use truckee_wire::message::GoodbyeReason;

use self::calls::Waiting;
use self::dialing::Dialing;
use self::line::{Line, Presence};
use self::messages::{Answered, Dialled};
pub(crate) use self::messages::{Attach, CancelCall, PeerCall, Recheck};
use crate::answers_ping;
use crate::call::LinkState;
use crate::figures::RequestFigures;
use crate::gate::Yielder;
use crate::link::{BatchWritten, LineId, LinkEnded, LinkFrames, LinkOwner};
use crate::mesh::{Entry, World};
use crate::metrics as names;
use crate::supervise::{ExitGuard, Stop};
use crate::timer::Timer;

/// Sockets to one peer at a time: one in use, one on its way out, and one of each end's dialling. More means that
/// somebody opens sockets without end.
const LINES_MAX: usize = 4;

/// How far the attempt to reach the peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    None,
    /// The socket is being made.
    Connecting,
    /// The socket is there, the hello is not.
    Greeting(LineId),
}

/// See the module.
pub(crate) struct Peer {
    id: NodeId,
    world: Arc<World>,
    entry: Arc<Entry>,
    dialing: Dialing,
    attempt: Attempt,
    lines: BTreeMap<LineId, Line>,
    /// Lines that have something to do once the handler at work is done.
    restless: Vec<LineId>,
    /// Of calls to the peer.
    figures: RequestFigures,
    /// Calls that wait for a link.
    waiting: VecDeque<Waiting>,
    /// Calls under way, by their numbers.
    under_way: BTreeMap<u64, (LineId, RequestId)>,
    presence: Option<std::rc::Weak<Presence>>,
    /// There was a call or a socket: what the actor was made for has arrived.
    was_needed: bool,
    stopping: bool,
    timer: Timer,
    yielder: Yielder,
    _guard: ExitGuard,
}

impl Peer {
    pub(crate) fn new(id: NodeId, world: Arc<World>, entry: Arc<Entry>, guard: ExitGuard) -> Self {
        let dialing = Dialing::new(world.random_seed());
        Self {
            id,
            world,
            entry,
            dialing,
            attempt: Attempt::None,
            lines: BTreeMap::new(),
            restless: Vec::new(),
            figures: RequestFigures::new(names::LINK_CALLS, Some(names::LINK_CALL_SECONDS)),
            waiting: VecDeque::new(),
            under_way: BTreeMap::new(),
            presence: None,
            was_needed: false,
            stopping: false,
            timer: Timer::default(),
            yielder: Yielder::default(),
            _guard: guard,
        }
    }

    fn now(&self) -> Mono {
        self.world.clock.now()
    }

    /// The line that takes new calls.
    fn best_line(&self) -> Option<LineId> {
        self.lines
            .values()
            .filter(|line| line.takes_calls())
            .map(|line| line.id)
            .next_back()
    }

    fn owner(context: &Context<Self>) -> LinkOwner {
        let address = context.address().downgrade();
        LinkOwner {
            frames: address.clone().recipient(),
            written: address.clone().recipient(),
            ended: address.recipient(),
        }
    }

    /// Looks after every line that has something to do, then after the peer as a whole.
    fn settle(&mut self, context: &mut Context<Self>) {
        let now = self.now();
        while let Some(id) = self.restless.pop() {
            self.drive(id, context);
        }
        self.note_status(now);
        if self.stopping && self.lines.is_empty() {
            context.stop();
            return;
        }
        if self.is_forgotten() {
            tracing::debug!(peer = ?self.id, "letting go of a peer that is no member");
            context.stop();
            return;
        }
        let next = self
            .lines
            .values()
            .filter_map(Line::next_deadline)
            .chain(self.dialing.next_deadline())
            .chain(self.waiting.iter().map(Waiting::deadline))
            .min();
        self.timer
            .arm(context, self.world.clock.as_ref(), next, Self::on_time);
    }

    /// Does what is due.
    fn on_time(&mut self, context: &mut Context<Self>) {
        self.timer.fired();
        let now = self.now();
        for line in self
            .lines
            .values_mut()
            .filter(|line| line.next_deadline().is_some_and(|at| at <= now))
        {
            line.handle_timeout(now);
            self.restless.push(line.id);
        }
        self.end_probations();
        if self.dialing.handle_timeout(now) {
            self.dial(context);
        }
        self.expire_waiting(now);
        self.settle(context);
    }

    fn is_forgotten(&self) -> bool {
        self.was_needed
            && self.lines.is_empty()
            && self.waiting.is_empty()
            && self.attempt == Attempt::None
            && self.world.table.member(self.id).is_none()
    }

    fn note_status(&mut self, now: Mono) {
        let best = self.best_line().and_then(|id| self.lines.get(&id));
        let state = if best.is_some() {
            LinkState::Up
        } else if self.attempt != Attempt::None {
            LinkState::Dialing
        } else if self.lines.values().any(Line::is_greeted) {
            LinkState::Draining
        } else if !self.lines.is_empty() {
            LinkState::Dialing
        } else if self.dialing.is_backing_off() {
            LinkState::Backoff
        } else {
            LinkState::Idle
        };
        let mut status = self.entry.status();
        status.set_state(state, now);
        let Some(best) = best else { return };
        if let Some(round_trip) = best.round_trip()
            && status.round_trip != Some(round_trip)
        {
            status.round_trip = Some(round_trip);
            histogram!(names::LINK_ROUND_TRIP_SECONDS).record(round_trip.as_secs_f64());
            drop(status);
            self.dialing.handle_round_trip();
        }
    }

    /// Starts a goodbye on every line.
    fn say_goodbye(&mut self, reason: GoodbyeReason) {
        let now = self.now();
        for line in self.lines.values_mut() {
            line.goodbye(now, reason);
            self.restless.push(line.id);
        }
    }
}

impl Actor for Peer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let now = self.now();
        self.entry.status().set_state(LinkState::Idle, now);
        self.recheck(context);
        self.settle(context);
    }
}

answers_ping!(Peer);

impl Handler<PeerCall> for Peer {
    type Result = ();

    fn handle(&mut self, call: PeerCall, context: &mut Self::Context) {
        self.place_call(call, context);
        self.settle(context);
        self.yielder.after_message(context);
    }
}

impl Handler<CancelCall> for Peer {
    type Result = ();

    fn handle(&mut self, CancelCall { number }: CancelCall, context: &mut Self::Context) {
        self.take_back(number);
        self.settle(context);
    }
}

impl Handler<Answered> for Peer {
    type Result = ();

    fn handle(&mut self, answered: Answered, context: &mut Self::Context) {
        let now = self.now();
        if let Some(line) = self.lines.get_mut(&answered.line) {
            line.respond(now, answered.id, answered.served);
            self.restless.push(answered.line);
        }
        self.settle(context);
        self.yielder.after_message(context);
    }
}

impl Handler<LinkFrames> for Peer {
    type Result = ();

    fn handle(
        &mut self,
        LinkFrames {
            line: id,
            frames,
            more,
        }: LinkFrames,
        context: &mut Self::Context,
    ) {
        let now = self.now();
        self.entry.status().last_heard = Some(now);
        if let Some(line) = self.lines.get_mut(&id)
            && frames.is_empty()
        {
            line.session.handle_progress(now);
        }
        for frame in frames {
            let Some(line) = self.lines.get_mut(&id) else {
                break;
            };
            line.session.handle_frame(now, frame);
            if !line.is_greeted() {
                // The hello has to be judged before the next frame is looked at.
                self.drive(id, context);
            }
        }
        self.restless.push(id);
        self.settle(context);
        if self.lines.contains_key(&id) {
            // A reader that has ended says so by itself.
            let _ended = more.send(());
        }
        self.yielder.after_message(context);
    }
}

impl Handler<BatchWritten> for Peer {
    type Result = ();

    fn handle(&mut self, BatchWritten { line: id, next }: BatchWritten, context: &mut Self::Context) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.batch_bytes = next;
        }
        self.restless.push(id);
        self.settle(context);
    }
}

impl Handler<LinkEnded> for Peer {
    type Result = ();

    fn handle(&mut self, LinkEnded { line: id, cause }: LinkEnded, context: &mut Self::Context) {
        let now = self.now();
        if let Some(line) = self.lines.get_mut(&id) {
            line.handle_end(now, cause);
            self.restless.push(id);
        }
        self.settle(context);
    }
}

impl Handler<Dialled> for Peer {
    type Result = ();

    fn handle(&mut self, Dialled(outcome): Dialled, context: &mut Self::Context) {
        if self.attempt == Attempt::Connecting {
            self.attempt = Attempt::None;
        }
        match outcome {
            Ok(socket) => {
                let id = self.attach(*socket, true, None, context);
                if let Some(id) = id
                    && self.best_line().is_none()
                {
                    self.attempt = Attempt::Greeting(id);
                }
            }
            Err(cause) => self.attempt_failed(cause),
        }
        self.settle(context);
    }
}

impl Handler<Attach> for Peer {
    type Result = ();

    fn handle(&mut self, Attach { socket, permit }: Attach, context: &mut Self::Context) {
        self.attach(*socket, false, Some(permit), context);
        self.settle(context);
    }
}

impl Handler<Recheck> for Peer {
    type Result = ();

    fn handle(&mut self, _: Recheck, context: &mut Self::Context) {
        self.recheck(context);
        self.settle(context);
    }
}

impl Handler<Stop> for Peer {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.stopping = true;
        for waiting in std::mem::take(&mut self.waiting) {
            waiting.reply.answer(Err(CallError::Leaving));
        }
        self.say_goodbye(GoodbyeReason::Stopping);
        self.settle(context);
    }
}

#[cfg(test)]
mod tests;

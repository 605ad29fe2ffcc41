//! The link of a node to itself: a call to the own id is served by the same handlers as one from a peer.
//!
//! Nothing is encoded and nothing can be lost; time budgets and taking back work as between nodes, so that a disk
//! that hangs here is noticed like one that hangs elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use actix::WeakAddr;
use actix::prelude::*;
use truckee_engine::session::CallError;
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Failure, FailureCode, Roles};

use crate::answers_ping;
use crate::call::Reply;
use crate::clock::ClockHandle;
use crate::gate::{Yielder, tell};
use crate::inbound::{Asker, CancelFlag, Inbound, LinkId, Responder, Router, Served};
use crate::peer::{CancelCall, PeerCall};
use crate::supervise::{ExitGuard, Stop};
use crate::timer::Timer;
use crate::trace::Trace;

/// Calls of a node to itself that may be open. Each holds a byte permit of its caller; this is only met when those
/// are missing.
const CALLS_MAX: usize = 4096;

struct Open {
    reply: Reply,
    deadline: Mono,
    cancelled: CancelFlag,
}

/// Serves the node's own calls.
pub(crate) struct OwnNode {
    node_id: NodeId,
    roles: Roles,
    clock: ClockHandle,
    router: Router,
    open: BTreeMap<u64, Open>,
    deadlines: BTreeSet<(Mono, u64)>,
    timer: Timer,
    yielder: Yielder,
    _guard: ExitGuard,
}

impl OwnNode {
    pub(crate) fn new(
        node_id: NodeId,
        roles: Roles,
        clock: ClockHandle,
        router: Router,
        guard: ExitGuard,
    ) -> Self {
        Self {
            node_id,
            roles,
            clock,
            router,
            open: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            timer: Timer::default(),
            yielder: Yielder::default(),
            _guard: guard,
        }
    }

    fn close(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        self.deadlines.remove(&(open.deadline, number));
        Some(open)
    }

    fn give_up(&mut self, number: u64, error: CallError) {
        if let Some(open) = self.close(number) {
            open.cancelled.set();
            open.reply.answer(Err(error));
        }
    }

    fn set_timer(&mut self, context: &mut Context<Self>) {
        let next = self.deadlines.first().map(|(deadline, _)| *deadline);
        self.timer.arm(context, self.clock.as_ref(), next, Self::on_time);
    }

    fn on_time(&mut self, context: &mut Context<Self>) {
        self.timer.fired();
        let now = self.clock.now();
        while let Some((deadline, number)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            self.give_up(number, CallError::Expired);
        }
        self.set_timer(context);
    }
}

fn responder(own: WeakAddr<OwnNode>, number: u64) -> Responder {
    Responder::new(move |served| {
        // Without its actor the call has been answered already.
        let _gone = own.upgrade().map(|own| tell(&own, OwnServed { number, served }));
    })
}

#[derive(Message)]
#[rtype(result = "()")]
struct OwnServed {
    number: u64,
    served: Served,
}

impl Actor for OwnNode {
    type Context = Context<Self>;
}

answers_ping!(OwnNode);

impl Handler<PeerCall> for OwnNode {
    type Result = ();

    fn handle(&mut self, PeerCall { number, call, reply }: PeerCall, context: &mut Self::Context) {
        if self.open.len() >= CALLS_MAX {
            reply.answer(Err(CallError::Saturated));
            return;
        }
        let deadline = self.clock.now() + call.budget;
        let cancelled = CancelFlag::default();
        self.open.insert(
            number,
            Open {
                reply,
                deadline,
                cancelled: cancelled.clone(),
            },
        );
        self.deadlines.insert((deadline, number));
        let trace = Trace::serve(call.request.kind(), call.trace.ids());
        let responder = responder(context.address().downgrade(), number).noted_in(trace);
        self.router.route(Inbound {
            asker: Asker {
                node_id: self.node_id,
                link: LinkId::OWN,
                roles: self.roles,
            },
            request: call.request,
            lane: call.lane,
            deadline,
            cancelled,
            responder,
        });
        self.set_timer(context);
        self.yielder.after_message(context);
    }
}

impl Handler<OwnServed> for OwnNode {
    type Result = ();

    fn handle(&mut self, OwnServed { number, served }: OwnServed, context: &mut Self::Context) {
        if let Some(open) = self.close(number) {
            open.reply.answer(served.map_err(CallError::Refused));
        }
        self.yielder.after_message(context);
    }
}

impl Handler<CancelCall> for OwnNode {
    type Result = ();

    fn handle(&mut self, CancelCall { number }: CancelCall, _: &mut Self::Context) {
        self.give_up(number, cancelled());
    }
}

impl Handler<Stop> for OwnNode {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

/// What the reply of a call gets that its caller took back.
pub(crate) fn cancelled() -> CallError {
    CallError::Refused(Failure::new(
        FailureCode::Cancelled,
        "the caller took the request back",
    ))
}

//! Where a child lives now: a cell that the supervisor refills with each of the child's lives.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use actix::WeakAddr;
use actix::dev::ToEnvelope;
use actix::prelude::*;

use crate::gate::{Gone, tell};
use crate::inbound::{Inbound, InboundHandler, LinkEvent, LinkListener};

/// Leads to the generation of a child that is alive now. Cheap to clone, usable from any thread; keeps nothing alive.
pub struct Slot<A: Actor>(Arc<Mutex<Option<WeakAddr<A>>>>);

impl<A: Actor> Slot<A> {
    /// A slot of a child that has not started yet.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Puts in the newest generation. Supervisors do this; tests may.
    pub fn fill(&self, address: &Addr<A>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(address.downgrade());
    }

    /// The address of the generation alive now.
    pub fn get(&self) -> Option<Addr<A>> {
        let address = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()?
            .upgrade()?;
        address.connected().then_some(address)
    }

    /// Leaves a message at the child, or says that it is not there now. The message is dropped then.
    pub fn tell<M>(&self, message: M) -> Result<(), Gone>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        A::Context: ToEnvelope<A, M>,
    {
        tell(&self.get().ok_or(Gone)?, message)
    }
}

impl<A: Actor> Default for Slot<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Actor> Clone for Slot<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor> fmt::Debug for Slot<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot(alive: {})", self.get().is_some())
    }
}

impl<A> InboundHandler for Slot<A>
where
    A: Actor + Handler<Inbound>,
    A::Context: ToEnvelope<A, Inbound>,
{
    fn handle(&self, inbound: Inbound) {
        if self.tell(inbound).is_err() {
            tracing::warn!("a request came for an actor that is being started again");
        }
    }
}

impl<A> LinkListener for Slot<A>
where
    A: Actor + Handler<LinkEvent>,
    A::Context: ToEnvelope<A, LinkEvent>,
{
    fn link_event(&self, event: LinkEvent) {
        if self.tell(event).is_err() {
            tracing::debug!("a link event came for an actor that is being started again");
        }
    }
}

//! One timer of one actor: fires at the machine's next deadline, and is set anew only when that comes earlier: deadlines mostly
//! move away, and an early ring costs less than a timer per message.

use actix::prelude::*;
use truckee_engine::time::Mono;

use crate::clock::Clock;

/// See the module. A deadline that moves away leaves the timer as it is: it fires, finds nothing due and is set again.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    armed: Option<(Mono, SpawnHandle)>,
}

impl Timer {
    /// Sees to it that `fire` runs at `deadline` or before.
    pub(crate) fn arm<A>(
        &mut self,
        context: &mut Context<A>,
        clock: &dyn Clock,
        deadline: Option<Mono>,
        fire: fn(&mut A, &mut Context<A>),
    ) where
        A: Actor<Context = Context<A>>,
    {
        let Some(deadline) = deadline else { return };
        if let Some((armed, handle)) = self.armed {
            if armed <= deadline {
                return;
            }
            context.cancel_future(handle);
        }
        let wait = deadline.saturating_sub(clock.now());
        let handle = context.run_later(wait, fire);
        self.armed = Some((deadline, handle));
    }

    /// The timer has fired.
    pub(crate) fn fired(&mut self) {
        self.armed = None;
    }
}

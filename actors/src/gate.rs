//! Bounds on work and memory: permits by count and by bytes, and message sends that tell when nobody listens.
//!
//! The capacity of an actix mailbox is no bound (a fresh clone of an address may always add one message), so the
//! bound of every queue in a node is a gate: whoever makes work takes a permit first and sends it along inside the
//! message; dropping the message, handled or not, gives the permit back. A gate is first come, first served.
//!
//! `tell` is how actors talk: it never loses a message silently and never refuses for lack of room, because room is
//! what permits are for. Not promised: fairness between gates, or that a permit's holder really is small.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use metrics::{Gauge, counter, gauge, histogram};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use crate::metrics as names;

/// Messages that one actor handles before it lets the other tasks of its thread run. An actix mailbox loop does not
/// yield by itself; at some 20 µs a message, 64 of them are a millisecond.
pub const MESSAGES_BETWEEN_YIELDS: u32 = 64;

/// Why no permit was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// All permits are out and the asker did not want to wait.
    #[error("gate {gate} is full: {wanted} wanted, {available} of {capacity} free; ask again later")]
    Full {
        /// Name of the gate.
        gate: &'static str,
        /// Permits or bytes asked for.
        wanted: usize,
        /// Permits or bytes free.
        available: usize,
        /// Permits or bytes in all.
        capacity: usize,
    },
    /// Waiting would never help.
    #[error("gate {gate} holds {capacity} in all and can never give {wanted}; ask for less")]
    TooLarge {
        /// Name of the gate.
        gate: &'static str,
        /// Permits or bytes asked for.
        wanted: usize,
        /// Permits or bytes in all.
        capacity: usize,
    },
    /// The node stops.
    #[error("gate {gate} is closed because the node stops")]
    Closed {
        /// Name of the gate.
        gate: &'static str,
    },
}

struct Shared {
    name: &'static str,
    capacity: usize,
    semaphore: Arc<Semaphore>,
    used: AtomicI64,
    /// Who waits for a while.
    in_line: AtomicUsize,
    used_gauge: Gauge,
    waiting_gauge: Gauge,
}

impl Shared {
    fn new(
        name: &'static str,
        capacity: usize,
        capacity_name: &'static str,
        used_name: &'static str,
    ) -> Self {
        // Both bounds hold for every sane configuration; a larger wish is cut to what a permit can count.
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        gauge!(capacity_name, "gate" => name).set(capacity as f64);
        counter!(names::GATE_REFUSED, "gate" => name).increment(0);
        drop(histogram!(names::GATE_WAIT_SECONDS, "gate" => name));
        Self {
            name,
            capacity,
            semaphore: Arc::new(Semaphore::new(capacity)),
            used: AtomicI64::new(0),
            in_line: AtomicUsize::new(0),
            used_gauge: gauge!(used_name, "gate" => name),
            waiting_gauge: gauge!(names::GATE_WAITING, "gate" => name),
        }
    }

    fn count(&self, wanted: usize) -> Result<u32, GateError> {
        if wanted > self.capacity {
            return Err(GateError::TooLarge {
                gate: self.name,
                wanted,
                capacity: self.capacity,
            });
        }
        Ok(u32::try_from(wanted).expect("capacity fits in 32 bits, and this is no more"))
    }

    fn took(self: &Arc<Self>, permit: OwnedSemaphorePermit, count: usize) -> Held {
        let count = i64::try_from(count).expect("counts fit in 32 bits");
        self.used_gauge
            .set((self.used.fetch_add(count, Ordering::Relaxed) + count) as f64);
        Held {
            gate: Arc::clone(self),
            permit,
        }
    }

    async fn acquire(self: &Arc<Self>, wanted: usize) -> Result<Held, GateError> {
        if let Ok(held) = self.try_take(wanted) {
            return Ok(held);
        }
        let permits = self.count(wanted)?;
        let began = Instant::now();
        let waiting = Waiting::new(&self.waiting_gauge);
        let got = Arc::clone(&self.semaphore).acquire_many_owned(permits).await;
        drop(waiting);
        histogram!(names::GATE_WAIT_SECONDS, "gate" => self.name).record(began.elapsed().as_secs_f64());
        match got {
            Ok(permit) => Ok(self.took(permit, wanted)),
            Err(_closed) => Err(GateError::Closed { gate: self.name }),
        }
    }

    fn try_take(self: &Arc<Self>, wanted: usize) -> Result<Held, GateError> {
        let permits = self.count(wanted)?;
        match Arc::clone(&self.semaphore).try_acquire_many_owned(permits) {
            Ok(permit) => Ok(self.took(permit, wanted)),
            Err(TryAcquireError::Closed) => Err(GateError::Closed { gate: self.name }),
            Err(TryAcquireError::NoPermits) => Err(GateError::Full {
                gate: self.name,
                wanted,
                available: self.semaphore.available_permits(),
                capacity: self.capacity,
            }),
        }
    }

    fn try_acquire(self: &Arc<Self>, wanted: usize) -> Result<Held, GateError> {
        self.try_take(wanted).inspect_err(|_| {
            counter!(names::GATE_REFUSED, "gate" => self.name).increment(1);
        })
    }
}

/// A place in a line of bounded length, for as long as it lives.
struct InLine<'a>(&'a AtomicUsize);

impl InLine<'_> {
    fn take(line: &AtomicUsize, line_max: usize) -> Option<InLine<'_>> {
        let longer = |length| (length < line_max).then_some(length + 1);
        let taken = line.fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer);
        taken.ok().map(|_| InLine(line))
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one waiter for as long as it lives, so that an asker that gives up is counted off too.
struct Waiting<'a>(&'a Gauge);

impl<'a> Waiting<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

struct Held {
    gate: Arc<Shared>,
    permit: OwnedSemaphorePermit,
}

impl Held {
    fn give_back(&self, count: usize) {
        let count = i64::try_from(count).expect("counts fit in 32 bits");
        let left = self.gate.used.fetch_sub(count, Ordering::Relaxed) - count;
        self.gate.used_gauge.set(left as f64);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.permit.num_permits());
    }
}

/// A bound on bytes in memory, shared by everyone who holds a clone.
#[derive(Clone)]
pub struct ByteGate(Arc<Shared>);

impl ByteGate {
    /// A gate for `capacity_bytes` (at least 1, at most 4 GiB). `name` labels its metrics.
    pub fn new(name: &'static str, capacity_bytes: usize) -> Self {
        Self(Arc::new(Shared::new(
            name,
            capacity_bytes,
            names::GATE_CAPACITY_BYTES,
            names::GATE_USED_BYTES,
        )))
    }

    /// Waits for room for `bytes`. Fails at once if the gate is closed or could never hold as much.
    pub async fn acquire(&self, bytes: usize) -> Result<BytePermit, GateError> {
        self.0.acquire(bytes).await.map(BytePermit)
    }

    /// Takes room for `bytes` if it is there now.
    pub fn try_acquire(&self, bytes: usize) -> Result<BytePermit, GateError> {
        self.0.try_acquire(bytes).map(BytePermit)
    }

    /// Bytes in all.
    pub fn capacity_bytes(&self) -> usize {
        self.0.capacity
    }

    /// Bytes free now.
    pub fn available_bytes(&self) -> usize {
        self.0.semaphore.available_permits()
    }

    /// Refuses everybody from now on, those that wait included. Permits that are out stay good.
    pub fn close(&self) {
        self.0.semaphore.close();
    }
}

impl std::fmt::Debug for ByteGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ByteGate({}, {} of {} bytes free)",
            self.0.name,
            self.available_bytes(),
            self.0.capacity
        )
    }
}

/// Room for some bytes in a [`ByteGate`]; given back when dropped. Put it in the message that carries the bytes.
#[must_use = "a permit that is dropped at once bounds nothing"]
pub struct BytePermit(Held);

impl BytePermit {
    /// Bytes that this permit stands for.
    pub fn bytes(&self) -> usize {
        self.0.permit.num_permits()
    }

    /// Gives back what is over `bytes`. Does nothing if the permit is not larger.
    pub fn shrink_to(&mut self, bytes: usize) {
        let spare = self.bytes().saturating_sub(bytes);
        if let Some(part) = self.0.permit.split(spare) {
            drop(part);
            self.0.give_back(spare);
        }
    }
}

impl std::fmt::Debug for BytePermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BytePermit({} of {})", self.bytes(), self.0.gate.name)
    }
}

/// A bound on the number of things under way, shared by everyone who holds a clone.
#[derive(Clone)]
pub struct CountGate(Arc<Shared>);

impl CountGate {
    /// A gate for `capacity` holders (at least 1). `name` labels its metrics.
    pub fn new(name: &'static str, capacity: usize) -> Self {
        Self(Arc::new(Shared::new(
            name,
            capacity,
            names::GATE_CAPACITY,
            names::GATE_USED,
        )))
    }

    /// Waits for a permit. Fails only when the gate is closed.
    pub async fn acquire(&self) -> Result<CountPermit, GateError> {
        self.0.acquire(1).await.map(CountPermit)
    }

    /// Takes a permit if one is there now.
    pub fn try_acquire(&self) -> Result<CountPermit, GateError> {
        self.0.try_acquire(1).map(CountPermit)
    }

    /// Waits for a permit for a while, behind those that wait already.
    ///
    /// # Errors
    /// [`GateError::Full`] at once if `line_max` wait already or there is no time to wait, and when the time is over.
    pub async fn acquire_within(&self, line_max: usize, within: Duration) -> Result<CountPermit, GateError> {
        let full = match self.0.try_take(1) {
            Ok(held) => return Ok(CountPermit(held)),
            Err(full @ GateError::Full { .. }) => full,
            Err(other) => return Err(other),
        };
        let place = InLine::take(&self.0.in_line, line_max).filter(|_| !within.is_zero());
        if let Some(_place) = place
            && let Ok(outcome) = tokio::time::timeout(within, self.0.acquire(1)).await
        {
            return outcome.map(CountPermit);
        }
        counter!(names::GATE_REFUSED, "gate" => self.0.name).increment(1);
        Err(full)
    }

    /// Permits free now.
    pub fn available(&self) -> usize {
        self.0.semaphore.available_permits()
    }

    /// Refuses everybody from now on, those that wait included. Permits that are out stay good.
    pub fn close(&self) {
        self.0.semaphore.close();
    }
}

impl std::fmt::Debug for CountGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "CountGate({}, {} of {} free)",
            self.0.name,
            self.available(),
            self.0.capacity
        )
    }
}

/// One permit of a [`CountGate`]; given back when dropped.
#[must_use = "a permit that is dropped at once bounds nothing"]
pub struct CountPermit(#[expect(dead_code, reason = "held for its drop")] Held);

impl std::fmt::Debug for CountPermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CountPermit")
    }
}

/// The receiver of a message is dead. The message is dropped, which answers whatever guards it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the actor that should take this message has ended")]
pub struct Gone;

/// Leaves a message at an actor, or says that it has ended. The bound is the permit inside the message.
pub fn tell<A, M>(to: &Addr<A>, message: M) -> Result<(), Gone>
where
    A: Actor + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
    A::Context: ToEnvelope<A, M>,
{
    // A clone that has not sent yet is never told "full": what remains is "closed".
    to.clone().try_send(message).map_err(|_| Gone)
}

/// As [`tell`], to whoever takes this kind of message.
pub fn tell_recipient<M>(to: &Recipient<M>, message: M) -> Result<(), Gone>
where
    M: Message + Send,
    M::Result: Send,
{
    to.clone().try_send(message).map_err(|_| Gone)
}

/// Counts an actor's messages and says when it is time to let others run.
///
/// Call [`Yielder::after_message`] at the end of every handler of an actor that others can keep busy.
#[derive(Debug, Default)]
pub struct Yielder(u32);

impl Yielder {
    /// After every [`MESSAGES_BETWEEN_YIELDS`] messages, makes the actor wait until the thread's other tasks ran once.
    pub fn after_message<A: Actor<Context = Context<A>>>(&mut self, context: &mut Context<A>) {
        self.0 += 1;
        if self.0 >= MESSAGES_BETWEEN_YIELDS {
            self.0 = 0;
            context.wait(actix::fut::wrap_future(tokio::task::yield_now()));
        }
    }
}

/// How long a caller that met a full gate should wait before it asks again.
pub const RETRY_AFTER_FULL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_byte_gate_lets_in_what_fits_and_takes_back_what_is_dropped() {
        let gate = ByteGate::new("test", 100);
        let mut first = gate.acquire(70).await.expect("fits");
        assert_eq!(
            gate.try_acquire(40).unwrap_err(),
            GateError::Full {
                gate: "test",
                wanted: 40,
                available: 30,
                capacity: 100
            }
        );
        first.shrink_to(60);
        first.shrink_to(80);
        assert_eq!((first.bytes(), gate.available_bytes()), (60, 40));
        let second = gate.try_acquire(40).expect("fits now");
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.acquire(50).await.map(|permit| permit.bytes()) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.expect("no panic"), Ok(50));
        drop(second);
        assert_eq!(gate.available_bytes(), 100);
        assert_eq!(gate.0.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_can_never_fit_is_refused_instead_of_waiting_for_ever() {
        let gate = ByteGate::new("test", 100);
        assert_eq!(
            gate.acquire(101).await.unwrap_err(),
            GateError::TooLarge {
                gate: "test",
                wanted: 101,
                capacity: 100
            }
        );
    }

    #[tokio::test]
    async fn closing_wakes_those_who_wait() {
        let gate = CountGate::new("test", 1);
        let held = gate.try_acquire().expect("first");
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.acquire().await.map(drop) }
        });
        tokio::task::yield_now().await;
        gate.close();
        assert_eq!(
            waiting.await.expect("no panic"),
            Err(GateError::Closed { gate: "test" })
        );
        drop(held);
    }

    struct Counter {
        seen: u32,
        yielder: Yielder,
    }

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Count {
        again: bool,
    }

    impl Handler<Count> for Counter {
        type Result = u32;

        fn handle(&mut self, message: Count, context: &mut Context<Self>) -> u32 {
            self.seen += 1;
            if message.again {
                tell(
                    &context.address(),
                    Count {
                        again: self.seen < 1_000_000,
                    },
                )
                .expect("still alive");
            }
            self.yielder.after_message(context);
            self.seen
        }
    }

    #[actix::test]
    async fn a_busy_actor_lets_other_tasks_run() {
        let actor = Counter {
            seen: 0,
            yielder: Yielder::default(),
        }
        .start();
        tell(&actor, Count { again: true }).expect("alive");
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let seen = actor.send(Count { again: false }).await.expect("alive");
        assert!(
            seen < 1_000,
            "the actor handled {seen} messages before this task ran three times"
        );
    }

    #[actix::test]
    async fn telling_a_dead_actor_is_an_error_and_a_live_one_never_full() {
        struct Mortal;
        impl Actor for Mortal {
            type Context = Context<Self>;
        }
        #[derive(Message)]
        #[rtype(result = "()")]
        struct Die;
        impl Handler<Die> for Mortal {
            type Result = ();
            fn handle(&mut self, _: Die, context: &mut Context<Self>) {
                context.stop();
            }
        }
        let actor = Mortal.start();
        for _ in 0..1000 {
            assert_eq!(tell(&actor, Die), Ok(()));
        }
        while actor.connected() {
            tokio::task::yield_now().await;
        }
        assert_eq!(tell(&actor, Die), Err(Gone));
        assert_eq!(tell_recipient(&actor.recipient(), Die), Err(Gone));
    }
}

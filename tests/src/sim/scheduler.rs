//! The one queue of a simulation: what happens next, in virtual time.
//!
//! Owns the virtual clock and a heap of (due time, tie-break, event). Events due at the same microsecond come in an
//! order drawn from the seed, so that another seed is another interleaving and not one first-in-first-out order for
//! ever. The clock moves only when an event is taken. Does not bound the number of events: the run does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::rng::Rng;

/// Microseconds of virtual time since the run began.
pub type Micros = u64;

/// One millisecond.
pub const MILLIS: Micros = 1_000;
/// One second.
pub const SECONDS: Micros = 1_000_000;

/// The clock and the events to come.
#[derive(Debug)]
pub struct Scheduler<E> {
    now: Micros,
    steps: u64,
    queued: u64,
    heap: BinaryHeap<Reverse<Entry<E>>>,
    ties: Rng,
}

#[derive(Debug)]
struct Entry<E> {
    due: Micros,
    tie: u64,
    number: u64,
    event: E,
}

impl<E> Scheduler<E> {
    /// An empty queue at time 0, whose ties are broken by `ties`.
    pub fn new(ties: Rng) -> Self {
        Self {
            now: 0,
            steps: 0,
            queued: 0,
            heap: BinaryHeap::new(),
            ties,
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// How many events have been taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        self.heap.len()
    }

    /// Lets `event` happen at `due`, or now if that is over.
    pub fn at(&mut self, due: Micros, event: E) {
        self.queued += 1;
        let due = due.max(self.now);
        self.heap.push(Reverse(Entry {
            due,
            tie: self.ties.bits(),
            number: self.queued,
            event,
        }));
    }

    /// Lets `event` happen `delay` from now.
    pub fn after(&mut self, delay: Micros, event: E) {
        self.at(self.now.saturating_add(delay), event);
    }

    /// Takes the next event that is due by `horizon` and moves the clock to it. If there is none the clock moves to
    /// `horizon`.
    pub fn next(&mut self, horizon: Micros) -> Option<E> {
        let due = self.heap.peek().map(|Reverse(entry)| entry.due);
        if due.is_none_or(|due| due > horizon) {
            self.now = self.now.max(horizon);
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        debug_assert!(entry.due >= self.now, "time does not go back");
        self.now = entry.due;
        self.steps += 1;
        Some(entry.event)
    }
}

impl<E> Entry<E> {
    fn key(&self) -> (Micros, u64, u64) {
        (self.due, self.tie, self.number)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::{Rng, Scheduler};

    fn order(seed: u64) -> Vec<u32> {
        let mut scheduler = Scheduler::new(Rng::new(seed));
        (0..8).for_each(|number| scheduler.at(5, number));
        std::iter::from_fn(|| scheduler.next(10)).collect()
    }

    #[test]
    fn ties_are_broken_by_the_seed() {
        assert_eq!(order(1), order(1));
        assert!((2..20).any(|seed| order(seed) != order(1)));
    }

    #[test]
    fn the_clock_follows_the_events_and_stops_at_the_horizon() {
        let mut scheduler = Scheduler::new(Rng::new(1));
        scheduler.at(30, "later");
        scheduler.at(10, "sooner");
        assert_eq!((scheduler.next(20), scheduler.now()), (Some("sooner"), 10));
        assert_eq!((scheduler.next(20), scheduler.now()), (None, 20));
        scheduler.at(3, "overdue");
        assert_eq!((scheduler.next(40), scheduler.now()), (Some("overdue"), 20));
        assert_eq!((scheduler.next(40), scheduler.now()), (Some("later"), 30));
        assert_eq!(scheduler.steps(), 3);
    }
}

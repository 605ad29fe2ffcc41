//! Which of the threads that write an operation goes to.
//!
//! Operations of one bucket keep their order: as long as one of them waits or is carried out, others go to the same thread. Of a
//! bucket for which nothing is to be done, what the disk would gather goes to the last thread, so that as much as possible is
//! made durable at once, and all else to the one that the bucket says: storage indexes are hashes, which spreads it evenly.
//!
//! Owns a count for each bucket. Not promised: an order between buckets, or among operations without one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use truckee_grid::bucket::Bucket;

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes {
    threads: usize,
    buckets: Mutex<Vec<Busy>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    thread: usize,
    /// Operations that wait or are carried out.
    operations: usize,
}

/// The place of an operation on a thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) thread: usize,
    of: Option<(Arc<Lanes>, Bucket)>,
}

impl Lanes {
    /// `threads` without the last one.
    pub(super) fn new(threads: usize) -> Arc<Lanes> {
        Arc::new(Lanes {
            threads,
            buckets: Mutex::new(vec![Busy::default(); Bucket::COUNT]),
        })
    }

    /// Where an operation goes; `gathered`: the disk would have it together with others.
    pub(super) fn place(self: &Arc<Lanes>, bucket: Option<Bucket>, gathered: bool) -> Place {
        let Some(bucket) = bucket else {
            return Place { thread: 0, of: None };
        };
        let mut buckets = self.buckets();
        let busy = &mut buckets[bucket.index()];
        if busy.operations == 0 {
            busy.thread = match gathered {
                true => self.threads,
                false => bucket.index() % self.threads,
            };
        }
        busy.operations += 1;
        Place {
            thread: busy.thread,
            of: Some((Arc::clone(self), bucket)),
        }
    }

    /// Operations that have a place.
    #[cfg(test)]
    pub(super) fn operations(&self) -> usize {
        self.buckets().iter().map(|busy| busy.operations).sum()
    }

    fn buckets(&self) -> MutexGuard<'_, Vec<Busy>> {
        // Held only for a moment of counting, which leaves it whole.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((lanes, bucket)) = &self.of {
            lanes.buckets()[bucket.index()].operations -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_a_bucket_stay_together_while_there_are_any() {
        let lanes = Lanes::new(4);
        let place = |index, gathered| lanes.place(Bucket::from_index(index), gathered);
        assert_eq!(place(6, false).thread, 2, "as the bucket says");
        let put = place(6, true);
        let other = place(7, false);
        let removed = place(6, false);
        drop(put);
        let again = place(6, false);
        assert_eq!([other.thread, removed.thread, again.thread], [3, 4, 4]);
        drop((removed, again));
        let alone = place(6, false);
        assert_eq!(alone.thread, 2, "nothing was left of it");
        let put = place(6, true);
        assert_eq!(put.thread, 2, "behind what came before");
        assert_eq!(lanes.place(None, false).thread, 0);
    }
}

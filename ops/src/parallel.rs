//! The same work on many things, several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work` once for each of `items`, on at most `jobs` threads, and returns when all are done. A panic in one is
/// passed on.
pub(crate) fn for_each<T: Sync>(jobs: usize, items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_is_done_once() {
        for (jobs, count) in [(1, 5), (4, 100), (16, 3), (4, 0)] {
            let items: Vec<usize> = (0..count).collect();
            let done = Mutex::new(Vec::new());
            for_each(jobs, &items, |item| done.lock().unwrap().push(*item));
            let done = done.into_inner().unwrap();
            assert_eq!(done.len(), count);
            assert_eq!(
                done.into_iter().collect::<BTreeSet<_>>(),
                items.into_iter().collect()
            );
        }
    }
}

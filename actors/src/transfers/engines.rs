//! The engines that transfers compute with, chosen at the start of the node or when they are first needed.
//!
//! Choosing checks each fast engine against its reference, and the tables of the fast erasure code take 8 MiB for the rest
//! of the process's life. A gateway codes and wants to know at its start that it can; a storage node only hashes, unless
//! it makes a missing share again, so it chooses when it first does. Either way no engine is used unchecked. The choice
//! takes tens of milliseconds, so it is made on the CPU pool.

use std::sync::{Arc, LazyLock};

use truckee_grid::engines::Engines;

type Choose = Box<dyn FnOnce() -> Engines + Send>;

/// See the module.
#[derive(Clone)]
pub struct EngineChoice(Arc<LazyLock<Engines, Choose>>);

impl EngineChoice {
    /// These, which are chosen and checked.
    pub fn made(engines: Engines) -> Self {
        let choice = Self::when_needed(move || engines);
        choice.get();
        choice
    }

    /// Those that `choose` gives. It runs once, on the thread of the first that needs them.
    pub fn when_needed(choose: impl FnOnce() -> Engines + Send + 'static) -> Self {
        let choose: Choose = Box::new(choose);
        Self(Arc::new(LazyLock::new(choose)))
    }

    /// The engines.
    pub(super) fn get(&self) -> Engines {
        **self.0
    }
}

impl std::fmt::Debug for EngineChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineChoice")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn they_are_chosen_once_and_not_before_they_are_needed() {
        let times = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&times);
        let choice = EngineChoice::when_needed(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Engines::reference()
        });
        let other = choice.clone();
        assert_eq!(times.load(Ordering::Relaxed), 0);
        assert_eq!(
            (choice.get(), other.get()),
            (Engines::reference(), Engines::reference())
        );
        assert_eq!(times.load(Ordering::Relaxed), 1);
        assert_eq!(
            EngineChoice::made(Engines::reference()).get(),
            Engines::reference()
        );
    }
}

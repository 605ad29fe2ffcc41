//! A store that is being emptied: it takes no share any more, and says so, while others make again what it holds.
//!
//! It serves reads, finishes the shares that are open, and removes nothing. What it holds cannot grow once the last of
//! these is finished ([`Store::unfinished_shares`]).

use super::{Pending, Store};

impl Store {
    /// From now on no share is opened or put, or they are again.
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// Shares that may still become durable without another admission: those that are open, those that came in one
    /// message, and those that were given up while the disk was at their last step.
    pub(super) fn unfinished_shares(&self) -> usize {
        let on_disk = self.pending.values().filter(|pending| match pending {
            Pending::Put { .. } => true,
            Pending::Finish { key, .. } => !self.open.contains_key(key),
            _ => false,
        });
        self.open.len() + on_disk.count()
    }
}

//! Finished shares that their uploaders may still take back.
//!
//! Owns which these are and until when. Asked and told with every request, so nothing here looks through all of them but the end of
//! a link. Bounded ([`COUNT_MAX`]): when there are more, the oldest stays for good.

use std::collections::{BTreeMap, BTreeSet};

use truckee_grid::ids::{ShareNumber, StorageIndex, UploadId};

use super::ShareId;
use crate::time::Mono;

/// Shares that may be taken back at once, some 150 bytes each; of a share beyond that its uploader cannot clean up.
pub(super) const COUNT_MAX: usize = 8192;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    /// `None`: it came in one message, which names no upload.
    pub(super) upload: Option<UploadId>,
    pub(super) until: Mono,
}

/// A share, and the link of its uploader.
type Key = (ShareId, u64);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RecentShares {
    shares: BTreeMap<Key, Recent>,
    by_time: BTreeSet<(Mono, Key)>,
}

impl RecentShares {
    /// The uploader on this link may take the share back from now on.
    pub(super) fn insert(&mut self, key: Key, recent: Recent) {
        self.remove(&key);
        if self.shares.len() >= COUNT_MAX
            && let Some((_, oldest)) = self.by_time.first().copied()
        {
            self.remove(&oldest);
        }
        self.by_time.insert((recent.until, key));
        self.shares.insert(key, recent);
    }

    /// Until when, and by which upload, the share may be taken back over this link.
    pub(super) fn get(&self, key: &Key) -> Option<&Recent> {
        self.shares.get(key)
    }

    /// It stays, or was taken back.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(recent) = self.shares.remove(key) {
            self.by_time.remove(&(recent.until, *key));
        }
    }

    /// All shares of a file stay.
    pub(super) fn remove_file(&mut self, si: StorageIndex) {
        let share = |number| ShareId {
            si,
            share: ShareNumber(number),
        };
        let of_file = (share(u8::MIN), u64::MIN)..=(share(u8::MAX), u64::MAX);
        let keys: Vec<Key> = self.shares.range(of_file).map(|(key, _)| *key).collect();
        for key in keys {
            self.remove(&key);
        }
    }

    /// All shares that came over a link stay.
    pub(super) fn remove_link(&mut self, link: u64) {
        let of_link = self.shares.keys().filter(|(_, owner)| *owner == link);
        let keys: Vec<Key> = of_link.copied().collect();
        for key in keys {
            self.remove(&key);
        }
    }

    /// Those whose time is over stay.
    pub(super) fn expire(&mut self, now: Mono) {
        while let Some((_, key)) = self.by_time.first().copied().filter(|(until, _)| *until <= now) {
            self.remove(&key);
        }
    }

    /// When the next one's time is over.
    pub(super) fn next_expiry(&self) -> Option<Mono> {
        self.by_time.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(file: u8, share: u8, link: u64) -> Key {
        let si = StorageIndex([file; 16]);
        let share = ShareNumber(share);
        (ShareId { si, share }, link)
    }

    fn until(ms: u64) -> Recent {
        Recent {
            upload: None,
            until: Mono::from_millis(ms),
        }
    }

    #[test]
    fn files_links_and_times_go_by_themselves() {
        let mut recent = RecentShares::default();
        for (at, key) in [key(1, 0, 7), key(1, 255, 8), key(2, 3, 7), key(3, 0, 9)]
            .iter()
            .enumerate()
        {
            recent.insert(*key, until(10 + at as u64));
        }
        recent.insert(key(1, 0, 7), until(50));
        assert_eq!(recent.next_expiry(), Some(Mono::from_millis(11)), "told anew");
        recent.remove_file(StorageIndex([1; 16]));
        assert!(recent.get(&key(1, 0, 7)).is_none() && recent.get(&key(1, 255, 8)).is_none());
        recent.remove_link(7);
        assert!(recent.get(&key(2, 3, 7)).is_none());
        assert_eq!(recent.next_expiry(), Some(Mono::from_millis(13)));
        recent.expire(Mono::from_millis(12));
        assert!(recent.get(&key(3, 0, 9)).is_some(), "not yet");
        recent.expire(Mono::from_millis(13));
        assert!(recent.get(&key(3, 0, 9)).is_none() && recent.next_expiry().is_none());
    }

    #[test]
    fn beyond_the_bound_the_oldest_stays() {
        let mut recent = RecentShares::default();
        for number in 0..=COUNT_MAX as u64 {
            recent.insert(key(1, 0, number), until(number));
        }
        assert!(recent.get(&key(1, 0, 0)).is_none());
        assert!(recent.get(&key(1, 0, 1)).is_some() && recent.get(&key(1, 0, COUNT_MAX as u64)).is_some());
        assert_eq!(
            (recent.shares.len(), recent.by_time.len()),
            (COUNT_MAX, COUNT_MAX)
        );
    }
}

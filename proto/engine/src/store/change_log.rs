//! How often the shares of each bucket changed since the process began, and which shares came last.
//!
//! Of each bucket there is a number. It says that the shares of the bucket may be others than before, not which: who wants to
//! know lists the bucket. But most changes are uploads, and of these the last are kept here by name, so that who knows a bucket
//! as of some count learns what came since without listing it, and from those nodes alone where something did.
//!
//! The rule: the shares kept of a bucket are those of its last so many changes, one each, without a gap. A change that is no
//! share that came forgets all of them.
//!
//! Bounded: 4 KiB of counts, [`KEPT_MAX`] shares, [`KEPT_OF_BUCKET_MAX`] of a bucket: a quarter of a megabyte for storage indexes
//! as they are, at most three if somebody chooses them. What was forgotten is listed, which is never wrong.

use std::collections::VecDeque;

use truckee_grid::bucket::Bucket;
use truckee_wire::message::limits::ADDED_MAX;
use truckee_wire::message::{AddedListed, ListAdded, ListedShare, Span};

/// Shares kept, of all buckets, some 24 bytes each, and 8 for their order: as many as a node of ten gets of 130 uploads a second in a
/// round of a minute. Where it gets more, there are so many for each bucket that a list of it costs little for each.
const KEPT_MAX: usize = 8 * Bucket::COUNT;
/// Shares kept of one bucket: room that was made for them stays until all of them are gone.
const KEPT_OF_BUCKET_MAX: usize = 128;

/// See the module.
#[derive(Debug)]
pub struct ChangeLog {
    epoch: u64,
    counts: Vec<u32>,
    /// Of each bucket, the last ones last.
    came: Vec<VecDeque<ListedShare>>,
    /// Buckets and their counts as of when shares came, the first ones first. Those of shares that were forgotten may be among
    /// them, so there are at least as many as are kept.
    order: VecDeque<(Bucket, u32)>,
}

impl ChangeLog {
    /// Nothing has changed yet. `epoch` is not drawn twice; 0 stands for 1.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self {
            epoch: epoch.max(1),
            counts: vec![0; Bucket::COUNT],
            came: vec![VecDeque::new(); Bucket::COUNT],
            order: VecDeque::new(),
        }
    }

    /// In which these counts are counted. Not 0.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How often a bucket changed.
    #[must_use]
    pub fn count(&self, bucket: Bucket) -> u32 {
        self.counts[bucket.index()]
    }

    /// How often each bucket changed, in the order of [`Bucket::all`].
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// A share has come that was not there.
    pub fn share_came(&mut self, share: ListedShare) {
        let bucket = Bucket::of(&share.place.si);
        let of_bucket = &mut self.came[bucket.index()];
        if of_bucket.iter().any(|known| known.place == share.place) {
            // It must have gone in between, and nobody said so.
            return self.changed(bucket);
        }
        if of_bucket.len() == KEPT_OF_BUCKET_MAX {
            of_bucket.pop_front();
        }
        of_bucket.push_back(share);
        self.count_change(bucket);
        if self.order.len() == KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(oldest);
        }
        self.order.push_back((bucket, self.count(bucket)));
    }

    /// Forgets the share of a bucket that came when its count was this, if it is kept still: it is the oldest there then.
    fn forget(&mut self, (bucket, count): (Bucket, u32)) {
        let changes_since = self.count(bucket).wrapping_sub(count) as usize;
        let of_bucket = &mut self.came[bucket.index()];
        if changes_since < of_bucket.len() {
            of_bucket.pop_front();
        }
        if of_bucket.is_empty() {
            *of_bucket = VecDeque::new();
        }
    }

    /// A bucket has changed in any other way.
    pub fn changed(&mut self, bucket: Bucket) {
        self.count_change(bucket);
        self.came[bucket.index()] = VecDeque::new();
    }

    fn count_change(&mut self, bucket: Bucket) {
        let count = &mut self.counts[bucket.index()];
        *count = count.wrapping_add(1);
    }

    /// The answer to a peer that knows buckets as they were.
    #[must_use]
    pub fn list_added(&self, asked: &ListAdded) -> AddedListed {
        let mut listed = AddedListed::default();
        for span in &asked.spans {
            let came = (asked.epoch == self.epoch)
                .then(|| self.came_within(span))
                .flatten();
            match came {
                Some(came) if listed.shares.len() + came.len() <= ADDED_MAX => listed.shares.extend(came),
                _ => listed.unknown.push(span.bucket),
            }
        }
        listed.shares.sort_unstable_by_key(|share| share.place);
        listed
    }

    /// The shares that were the changes of a span; `None` if it is not known that these were all.
    fn came_within(&self, span: &Span) -> Option<impl ExactSizeIterator<Item = ListedShare>> {
        let came = &self.came[span.bucket.index()];
        let later = self.count(span.bucket).wrapping_sub(span.until) as usize;
        let within = span.until.wrapping_sub(span.after) as usize;
        let begin = came.len().checked_sub(later.checked_add(within)?)?;
        Some(came.range(begin..begin + within).copied())
    }
}

#[cfg(test)]
mod tests {
    use truckee_grid::ids::{ShareNumber, StorageIndex};
    use truckee_grid::params::Coding;
    use truckee_wire::message::SharePlace;

    use super::*;

    fn share(bucket: usize, number: u16) -> ListedShare {
        let mut si = [0; 16];
        si[..2].copy_from_slice(&((bucket as u16) << 6).to_be_bytes());
        si[14..].copy_from_slice(&number.to_be_bytes());
        ListedShare {
            place: SharePlace {
                si: StorageIndex(si),
                share: ShareNumber(0),
            },
            coding: Coding::new(3, 10).expect("valid"),
        }
    }

    fn span(bucket: usize, after: u32, until: u32) -> Span {
        Span {
            bucket: Bucket::from_index(bucket).expect("there is one"),
            after,
            until,
        }
    }

    fn ask(log: &ChangeLog, spans: Vec<Span>) -> AddedListed {
        let epoch = log.epoch();
        log.list_added(&ListAdded { epoch, spans })
    }

    fn unknown(bucket: usize) -> AddedListed {
        AddedListed {
            shares: Vec::new(),
            unknown: vec![span(bucket, 0, 0).bucket],
        }
    }

    #[test]
    fn what_came_between_two_counts_is_told() {
        let mut log = ChangeLog::new(0);
        assert_eq!(log.epoch(), 1, "0 is none");
        let shares: Vec<ListedShare> = (0..4).map(|number| share(5, number)).collect();
        shares.iter().for_each(|share| log.share_came(*share));
        log.share_came(share(6, 9));
        assert_eq!((log.counts()[5], log.counts()[6], log.counts()[7]), (4, 1, 0));
        for (after, until) in [(0, 4), (1, 3), (3, 4), (2, 2)] {
            let told = ask(&log, vec![span(5, after, until)]);
            assert_eq!(told.shares, shares[after as usize..until as usize]);
            assert_eq!(told.unknown, []);
        }
        let both = ask(&log, vec![span(5, 3, 4), span(6, 0, 1)]);
        assert_eq!(both.shares, [shares[3], share(6, 9)]);
        for (after, until) in [(0, 5), (5, 5), (4, 3), (u32::MAX, 4), (0, u32::MAX)] {
            assert_eq!(
                ask(&log, vec![span(5, after, until)]),
                unknown(5),
                "{after} {until}"
            );
        }
        let before = ListAdded {
            epoch: 2,
            spans: vec![span(5, 0, 4)],
        };
        assert_eq!(log.list_added(&before), unknown(5), "of another life");
    }

    #[test]
    fn any_other_change_makes_all_before_it_unknown() {
        let mut log = ChangeLog::new(7);
        log.share_came(share(5, 1));
        log.changed(span(5, 0, 0).bucket);
        log.share_came(share(5, 2));
        assert_eq!(log.counts()[5], 3);
        for after in [0, 1] {
            assert_eq!(ask(&log, vec![span(5, after, 3)]), unknown(5));
        }
        assert_eq!(ask(&log, vec![span(5, 0, 1)]), unknown(5));
        assert_eq!(ask(&log, vec![span(5, 2, 3)]).shares, [share(5, 2)]);
    }

    #[test]
    fn counts_go_on_behind_the_greatest() {
        let mut log = ChangeLog::new(7);
        log.counts[5] = u32::MAX - 1;
        (0..4).for_each(|number| log.share_came(share(5, number)));
        assert_eq!(log.counts()[5], 2);
        let told = ask(&log, vec![span(5, u32::MAX, 1)]);
        assert_eq!(told.shares, [share(5, 1), share(5, 2)]);
    }

    #[test]
    fn so_many_are_kept_and_the_oldest_go_first() {
        let mut log = ChangeLog::new(7);
        (0..300).for_each(|number| log.share_came(share(5, number)));
        assert_eq!(ask(&log, vec![span(5, 171, 300)]), unknown(5));
        assert_eq!(
            ask(&log, vec![span(5, 172, 300)]).shares.len(),
            KEPT_OF_BUCKET_MAX
        );

        for round in 0..9 {
            for bucket in 6..Bucket::COUNT {
                log.share_came(share(bucket, round));
            }
        }
        let kept: usize = log.came.iter().map(VecDeque::len).sum();
        assert!(kept <= KEPT_MAX && log.order.len() == KEPT_MAX);
        assert_eq!(ask(&log, vec![span(5, 298, 300)]), unknown(5), "too long ago");
        assert_eq!(ask(&log, vec![span(1000, 1, 9)]).shares.len(), 8);
    }

    #[test]
    fn what_was_forgotten_does_not_make_others_be_forgotten_earlier() {
        let mut log = ChangeLog::new(7);
        for number in 0..8 {
            (0..Bucket::COUNT).for_each(|bucket| log.share_came(share(bucket, number)));
        }
        Bucket::all().for_each(|bucket| log.changed(bucket));
        for number in 8..16 {
            (0..Bucket::COUNT).for_each(|bucket| log.share_came(share(bucket, number)));
        }
        let kept: usize = log.came.iter().map(VecDeque::len).sum();
        assert_eq!((kept, log.order.len()), (KEPT_MAX, KEPT_MAX));
        log.share_came(share(9, 16));
        assert_eq!(ask(&log, vec![span(0, 9, 17)]), unknown(0), "the first to come");
        assert_eq!(ask(&log, vec![span(9, 9, 18)]).shares.len(), 9);
    }

    #[test]
    fn a_share_that_comes_twice_has_gone_in_between() {
        let mut log = ChangeLog::new(7);
        log.share_came(share(5, 1));
        log.share_came(share(5, 1));
        assert_eq!(log.counts()[5], 2);
        assert_eq!(ask(&log, vec![span(5, 0, 2)]), unknown(5));
        assert_eq!(ask(&log, vec![span(5, 1, 2)]), unknown(5));
    }

    #[test]
    fn an_answer_that_would_be_too_long_leaves_buckets_out() {
        let mut log = ChangeLog::new(7);
        for bucket in 0..22 {
            (0..100).for_each(|number| log.share_came(share(bucket, number)));
        }
        let told = ask(&log, (0..22).map(|bucket| span(bucket, 0, 100)).collect());
        assert_eq!(told.shares.len(), 20 * 100);
        assert_eq!(told.unknown, [span(20, 0, 0).bucket, span(21, 0, 0).bucket]);
    }
}

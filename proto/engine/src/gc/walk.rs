//! One walk over all buckets: of each the leases page by page, then what is to go, then the trash.

use std::collections::VecDeque;

use truckee_grid::bucket::Bucket;

use super::Effect;
use crate::store::{Amount, ShareId, Survey, TrashCause};
use crate::time::Day;

#[derive(Debug)]
enum Step {
    /// A page is to be asked for.
    Page { after: Option<ShareId> },
    /// These of a page are to go; then the next page, if there is one.
    Collect {
        shares: VecDeque<ShareId>,
        next: Option<ShareId>,
    },
    /// The trash, one cause after the other.
    Empty { causes_done: usize },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Walk {
    bucket: usize,
    step: Step,
}

impl Walk {
    pub(super) fn new() -> Walk {
        Walk {
            bucket: 0,
            step: Step::Page { after: None },
        }
    }

    /// What to do next; `None` at the end. Without `leased_before` nothing is collected and nothing that was collected is
    /// deleted.
    pub(super) fn next(
        &mut self,
        today: Day,
        leased_before: Option<Day>,
        delete_before: Option<Day>,
    ) -> Option<Effect> {
        // Three steps of each bucket, and what is left of the last one.
        loop {
            let bucket = Bucket::from_index(self.bucket)?;
            match &mut self.step {
                Step::Page { after } if leased_before.is_some() => {
                    let after = *after;
                    return Some(Effect::Survey { bucket, after });
                }
                Step::Page { .. } => self.step = Step::Empty { causes_done: 0 },
                Step::Collect { shares, next } => {
                    if let (Some(share), Some(leased_before)) = (shares.front(), leased_before) {
                        return Some(Effect::Collect {
                            share: *share,
                            day: today,
                            leased_before,
                        });
                    }
                    self.step = match next {
                        Some(_) => Step::Page { after: *next },
                        None => Step::Empty { causes_done: 0 },
                    };
                }
                Step::Empty { causes_done } => {
                    let cause = TrashCause::ALL.get(*causes_done).copied();
                    let Some((cause, before)) = cause.zip(delete_before) else {
                        self.bucket += 1;
                        self.step = Step::Page { after: None };
                        continue;
                    };
                    if cause == TrashCause::Expired && leased_before.is_none() {
                        *causes_done += 1;
                        continue;
                    }
                    return Some(Effect::Empty {
                        bucket,
                        cause,
                        before,
                    });
                }
            }
        }
    }

    pub(super) fn surveyed(&mut self, survey: &Survey, leased_before: Option<Day>) {
        let is_over = |lease: Day| leased_before.is_some_and(|before| lease < before);
        let over = survey.leased.iter().filter(|leased| is_over(leased.lease));
        self.step = Step::Collect {
            shares: over.map(|leased| leased.share).collect(),
            next: survey.next,
        };
    }

    /// The rest of the bucket is left for another walk.
    pub(super) fn page_failed(&mut self) {
        self.step = Step::Empty { causes_done: 0 };
    }

    /// True if it was deleted, and not moved into the trash.
    pub(super) fn moved(&mut self, amount: Amount) -> bool {
        match &mut self.step {
            Step::Collect { shares, .. } => {
                shares.pop_front();
                false
            }
            Step::Empty { causes_done } => {
                // The same again until nothing is left.
                *causes_done += usize::from(amount.shares == 0);
                true
            }
            Step::Page { .. } => false,
        }
    }

    pub(super) fn move_failed(&mut self) {
        match &mut self.step {
            Step::Collect { shares, .. } => {
                shares.pop_front();
            }
            Step::Empty { causes_done } => *causes_done += 1,
            Step::Page { .. } => {}
        }
    }
}

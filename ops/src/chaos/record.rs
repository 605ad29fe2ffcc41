//! What was seen during a run: attempts, failures, gaps, violations, and what happened when.
//!
//! Pure. Everything is bounded; what does not fit is counted. A gap is the time from the first attempt that failed to the
//! next success of the same sort, not counting what was a success before; it is told of every kind of fault that was on
//! in it or a moment before.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use super::answer::Failed;
use super::fault::{Fault, Kind};
use super::model::At;

/// Gaps kept of each sort.
const GAPS_MAX: usize = 10_000;

/// Lines of the story kept.
const STORY_MAX: usize = 5_000;

/// Violations kept with their evidence. One is enough to fail a run; a hundred tell what they have in common.
const VIOLATIONS_MAX: usize = 100;

/// How long after its end a fault may still be the reason for something: links come back one after the other.
pub(crate) const AFTERMATH: Duration = Duration::from_secs(5);

/// Sorts of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    Upload,
    Download,
    /// Of a directory.
    Change,
    /// Of a directory.
    List,
}

impl Sort {
    pub(crate) const ALL: [Sort; 4] = [Sort::Upload, Sort::Download, Sort::Change, Sort::List];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Sort::Upload => "upload",
            Sort::Download => "download",
            Sort::Change => "change",
            Sort::List => "list",
        }
    }
}

/// What must hold, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// No wrong byte is ever served.
    Bytes,
    /// Every acknowledged file comes back at the end.
    Files,
    /// Within the budget a file can be read all the time, but for moments.
    Readable,
    /// Directories hold what was acknowledged, and nothing else.
    Names,
    /// Errors are those that the interface promises.
    Errors,
    /// Afterwards all is as before.
    Recovery,
}

impl Promise {
    pub(crate) const ALL: [Promise; 6] = [
        Promise::Bytes,
        Promise::Files,
        Promise::Readable,
        Promise::Names,
        Promise::Errors,
        Promise::Recovery,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Promise::Bytes => "bytes",
            Promise::Files => "files",
            Promise::Readable => "readable",
            Promise::Names => "names",
            Promise::Errors => "errors",
            Promise::Recovery => "recovery",
        }
    }
}

/// A promise that was broken, with the evidence. Holds no cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: At,
    pub(crate) promise: Promise,
    pub(crate) what: String,
    /// Faults that were on.
    pub(crate) on: Vec<String>,
}

/// A stretch of time in which nothing of a sort succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: At,
    pub(crate) to: At,
}

impl Gap {
    pub(crate) fn length(self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// When a fault was really on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) fault: Fault,
    pub(crate) from: At,
    /// None while it is on.
    pub(crate) to: Option<At>,
}

impl Span {
    /// Whether it may have to do with something that happened between the two moments.
    fn touches(&self, from: At, to: At) -> bool {
        self.from <= to && self.to.is_none_or(|end| end + AFTERMATH >= from)
    }
}

/// Attempts of one sort, in the whole run or while a kind of fault was on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    /// Of those that were done.
    #[serde(skip)]
    pub(crate) slowest: Duration,
}

#[derive(Debug, Default)]
struct OfSort {
    tally: Tally,
    by_kind: BTreeMap<Kind, Tally>,
    quiet: Tally,
    errors: BTreeMap<String, u64>,
    /// Of those that failed, how many did so although nothing stood in the way.
    surprises: u64,
    gaps: VecDeque<Gap>,
    gap_from: Option<At>,
    last_done: At,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Record {
    sorts: BTreeMap<Sort, OfSort>,
    pub(crate) spans: Vec<Span>,
    pub(crate) story: Vec<(At, String)>,
    pub(crate) story_cut: u64,
    pub(crate) violations: Vec<Violation>,
    pub(crate) violations_cut: u64,
    /// Starts of nodes.
    pub(crate) restarts: u64,
    /// Downloaded bytes that were compared.
    pub(crate) compared_bytes: u64,
    /// Bytes of acknowledged uploads.
    pub(crate) stored_bytes: u64,
    /// Listings that were compared.
    pub(crate) listings: u64,
}

impl Record {
    /// A fault begins.
    pub(crate) fn fault_begins(&mut self, at: At, fault: &Fault) {
        self.spans.push(Span {
            fault: fault.clone(),
            from: at,
            to: None,
        });
    }

    /// A fault has ended.
    pub(crate) fn fault_ends(&mut self, at: At, number: usize) {
        for span in self.spans.iter_mut().filter(|span| span.fault.number == number) {
            span.to = Some(at);
        }
    }

    /// Something worth telling.
    pub(crate) fn tell(&mut self, at: At, line: String) {
        if self.story.len() < STORY_MAX {
            self.story.push((at, line));
        } else {
            self.story_cut += 1;
        }
    }

    /// Kinds that were on between the two moments or just before.
    fn kinds(&self, from: At, to: At) -> Vec<Kind> {
        let touching = self.spans.iter().filter(|span| span.touches(from, to));
        let mut kinds: Vec<Kind> = touching.map(|span| span.fault.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// A request succeeded.
    pub(crate) fn done(&mut self, sort: Sort, begun: At, ended: At) {
        let kinds = self.kinds(begun, ended);
        let of_sort = self.sorts.entry(sort).or_default();
        let took = ended.saturating_sub(begun);
        let count = |tally: &mut Tally| {
            tally.done += 1;
            tally.slowest = tally.slowest.max(took);
        };
        count(&mut of_sort.tally);
        if kinds.is_empty() {
            count(&mut of_sort.quiet);
        }
        for kind in kinds {
            count(of_sort.by_kind.entry(kind).or_default());
        }
        of_sort.last_done = of_sort.last_done.max(ended);
        if let Some(from) = of_sort.gap_from.filter(|from| *from <= begun) {
            of_sort.gap_from = None;
            of_sort.gap(Gap { from, to: ended });
        }
    }

    /// A request failed.
    pub(crate) fn failed(&mut self, sort: Sort, begun: At, ended: At, failed: &Failed) {
        let kinds = self.kinds(begun, ended);
        let of_sort = self.sorts.entry(sort).or_default();
        of_sort.tally.failed += 1;
        if kinds.is_empty() {
            of_sort.quiet.failed += 1;
        }
        for kind in kinds {
            of_sort.by_kind.entry(kind).or_default().failed += 1;
        }
        *of_sort.errors.entry(failed.code.clone()).or_default() += 1;
        let from = begun.max(of_sort.last_done);
        of_sort.gap_from = Some(of_sort.gap_from.map_or(from, |before| before.min(from)));
        if failed.is_wrong() {
            let (word, sentence) = (sort.word(), &failed.sentence);
            self.violate(ended, Promise::Errors, format!("{word}: {sentence}"));
        }
    }

    /// A promise was broken.
    pub(crate) fn violate(&mut self, at: At, promise: Promise, what: String) {
        let on = self.spans.iter().filter(|span| span.touches(at, at));
        let on = on.map(|span| span.fault.text()).collect();
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation {
                at,
                promise,
                what,
                on,
            });
        } else {
            self.violations_cut += 1;
        }
    }

    /// The run is over: gaps that are open end here.
    pub(crate) fn close(&mut self, at: At) {
        for of_sort in self.sorts.values_mut() {
            if let Some(from) = of_sort.gap_from.take() {
                of_sort.gap(Gap { from, to: at });
            }
        }
    }

    /// All attempts of a sort.
    pub(crate) fn tally(&self, sort: Sort) -> Tally {
        self.sorts
            .get(&sort)
            .map(|of_sort| of_sort.tally)
            .unwrap_or_default()
    }

    /// Attempts while a kind was on, or while none was.
    pub(crate) fn tally_of(&self, sort: Sort, kind: Option<Kind>) -> Tally {
        let found = self.sorts.get(&sort).and_then(|of_sort| match kind {
            Some(kind) => of_sort.by_kind.get(&kind).copied(),
            None => Some(of_sort.quiet),
        });
        found.unwrap_or_default()
    }

    /// The last failure was one that nothing stood in the way of.
    pub(crate) fn surprise(&mut self, sort: Sort) {
        self.sorts.entry(sort).or_default().surprises += 1;
    }

    /// Failures of a sort that nothing stood in the way of.
    pub(crate) fn surprises(&self, sort: Sort) -> u64 {
        self.sorts.get(&sort).map_or(0, |of_sort| of_sort.surprises)
    }

    /// Failures of a sort by what the answer was.
    pub(crate) fn errors(&self, sort: Sort) -> BTreeMap<String, u64> {
        self.sorts
            .get(&sort)
            .map(|of_sort| of_sort.errors.clone())
            .unwrap_or_default()
    }

    /// Gaps of a sort, in order.
    pub(crate) fn gaps(&self, sort: Sort) -> impl Iterator<Item = Gap> {
        self.sorts
            .get(&sort)
            .into_iter()
            .flat_map(|of_sort| of_sort.gaps.iter().copied())
    }

    /// The longest gap in which a kind was on, or none was.
    pub(crate) fn longest_gap(&self, sort: Sort, kind: Option<Kind>) -> Option<Duration> {
        let of_kind = |gap: &Gap| {
            let kinds = self.kinds(gap.from, gap.to);
            kind.map_or(kinds.is_empty(), |kind| kinds.contains(&kind))
        };
        self.gaps(sort).filter(of_kind).map(Gap::length).max()
    }

    /// How often a kind occurred.
    pub(crate) fn times(&self, kind: Kind) -> usize {
        self.spans.iter().filter(|span| span.fault.kind == kind).count()
    }
}

impl OfSort {
    fn gap(&mut self, gap: Gap) {
        // The longest are what is asked for: the shortest makes room.
        if self.gaps.len() >= GAPS_MAX
            && let Some(shortest) = (0..self.gaps.len()).min_by_key(|at| self.gaps[*at].length())
        {
            self.gaps.remove(shortest);
        }
        self.gaps.push_back(gap);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Target;
    use super::*;
    use crate::error::CliError;

    fn at(ms: u64) -> At {
        At::from_millis(ms)
    }

    fn refused(status: u16) -> Failed {
        Failed::of(&CliError::Status {
            status,
            sentence: "no".into(),
            retry_after: None,
        })
    }

    fn fault(number: usize, kind: Kind) -> Fault {
        Fault {
            number,
            kind,
            target: Target::Node("storage-01".into()),
            at_ms: 0,
            lasts_ms: 0,
            detail: 0,
        }
    }

    #[test]
    fn a_gap_goes_from_the_first_failure_to_the_next_success() {
        let mut record = Record::default();
        record.done(Sort::Upload, at(0), at(100));
        // A success of another client during the attempt shows that it was no gap until then.
        record.done(Sort::Upload, at(150), at(1_000));
        record.failed(Sort::Upload, at(200), at(1_500), &refused(507));
        record.failed(Sort::Upload, at(1_600), at(1_700), &refused(503));
        record.done(Sort::Download, at(1_650), at(1_750));
        record.done(Sort::Upload, at(900), at(1_800));
        record.done(Sort::Upload, at(2_000), at(3_000));
        let gaps: Vec<Gap> = record.gaps(Sort::Upload).collect();
        assert_eq!(
            gaps,
            [Gap {
                from: at(1_000),
                to: at(3_000)
            }]
        );
        assert_eq!(record.tally(Sort::Upload).failed, 2);
        assert_eq!(
            record.errors(Sort::Upload),
            BTreeMap::from([("503".into(), 1), ("507".into(), 1)])
        );
        record.failed(Sort::List, at(4_000), at(4_100), &refused(503));
        record.close(at(5_000));
        assert_eq!(record.longest_gap(Sort::List, None), Some(at(1_000)));
        assert!(record.violations.is_empty());
    }

    #[test]
    fn what_is_seen_is_told_of_the_faults_that_were_on() {
        let mut record = Record::default();
        record.fault_begins(at(1_000), &fault(1, Kind::Kill));
        record.fault_begins(at(2_000), &fault(2, Kind::Freeze));
        record.fault_ends(at(3_000), 1);
        record.failed(Sort::Upload, at(1_500), at(1_800), &refused(507));
        record.done(Sort::Upload, at(3_500), at(4_000));
        record.fault_ends(at(4_500), 2);
        record.done(Sort::Upload, at(60_000), at(60_500));
        let kill = record.tally_of(Sort::Upload, Some(Kind::Kill));
        assert_eq!((kill.done, kill.failed, kill.slowest), (1, 1, at(500)));
        assert_eq!(record.tally_of(Sort::Upload, Some(Kind::Freeze)).failed, 0);
        assert_eq!(record.tally_of(Sort::Upload, None).done, 1);
        // The gap lasted into the time of the second.
        for kind in [Kind::Kill, Kind::Freeze] {
            assert_eq!(record.longest_gap(Sort::Upload, Some(kind)), Some(at(2_500)));
        }
        assert_eq!(record.longest_gap(Sort::Upload, None), None);
        assert_eq!((record.times(Kind::Kill), record.times(Kind::Cut)), (1, 0));
    }

    #[test]
    fn a_violation_names_the_faults_that_were_on_and_wrong_errors_are_some() {
        let mut record = Record::default();
        record.fault_begins(at(1_000), &fault(1, Kind::Kill));
        record.failed(Sort::Change, at(2_000), at(2_100), &refused(500));
        assert_eq!(record.violations[0].promise, Promise::Errors);
        assert_eq!(record.violations[0].on, ["kill storage-01"]);
        for _ in 0..VIOLATIONS_MAX {
            record.violate(at(3_000), Promise::Bytes, "wrong".into());
        }
        assert_eq!(
            (record.violations.len(), record.violations_cut),
            (VIOLATIONS_MAX, 1)
        );
    }
}

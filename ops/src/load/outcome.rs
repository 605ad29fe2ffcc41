//! What all rounds of one operation showed together.
//!
//! Owns the rule about disturbed rounds: when other processes burned more than a tenth of the machine during a round,
//! the round is marked, and the figures are taken from the others if there are any.

use crate::load::round::Round;
use crate::load::stats::{Percentiles, Spread};
use crate::load::{Operation, Workload};

/// Share of all processors' time that other processes may take before a round counts as disturbed.
const DISTURBED_SHARE: f64 = 0.1;

/// Files from this size on are measured by their bytes, smaller ones by their number.
const LARGE_BYTES: u64 = 1 << 20;

/// All rounds of one operation on one workload.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) operation: Operation,
    pub(crate) work: Workload,
    pub(crate) rounds: Vec<Round>,
    /// Whether the nodes' processes could be looked at.
    pub(crate) nodes_seen: bool,
}

impl Outcome {
    pub(super) fn total_bytes(&self) -> f64 {
        self.work.total_bytes(self.operation) as f64
    }

    pub(super) fn requests(&self) -> f64 {
        self.work.requests(self.operation) as f64
    }

    pub(super) fn is_disturbed(round: &Round, nodes_seen: bool) -> bool {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Without the nodes' pids their own work cannot be told from that of others.
        nodes_seen && round.cpu.others() > DISTURBED_SHARE * round.seconds * processors as f64
    }

    /// The rounds that count, and how many were disturbed.
    pub(super) fn counted(&self) -> (Vec<&Round>, usize) {
        let (calm, disturbed): (Vec<_>, Vec<_>) = self
            .rounds
            .iter()
            .partition(|round| !Self::is_disturbed(round, self.nodes_seen));
        let count = disturbed.len();
        if calm.is_empty() {
            (disturbed, count)
        } else {
            (calm, count)
        }
    }

    pub(super) fn spread(&self, figure: impl Fn(&Round) -> f64) -> Spread {
        let spread = Spread::of(self.counted().0.into_iter().map(figure));
        spread.unwrap_or(Spread {
            median: 0.0,
            min: 0.0,
            max: 0.0,
        })
    }

    pub(super) fn bytes_per_second(&self) -> Spread {
        let bytes = self.total_bytes();
        self.spread(|round| bytes / round.seconds)
    }

    pub(super) fn requests_per_second(&self) -> Spread {
        self.spread(|round| self.requests() / round.seconds)
    }

    /// Of the requests whose number `counts`.
    pub(super) fn latencies(&self, counts: impl Fn(u64) -> bool) -> Option<Percentiles> {
        let (rounds, _) = self.counted();
        let numbered = rounds.into_iter().flat_map(|round| (0..).zip(&round.latencies));
        let counted = numbered.filter(|(request, _)| counts(*request));
        Percentiles::of(counted.map(|(_, latency)| *latency).collect())
    }

    /// Of the requests for files of one size of the mix.
    pub(super) fn latencies_of(&self, share: usize) -> Option<Percentiles> {
        self.latencies(|request| self.share_of(request) == share)
    }

    /// Which size of the mix a request's file is of.
    pub(super) fn share_of(&self, request: u64) -> usize {
        self.work.sizes.share_of(self.work.file_of(request))
    }

    /// Whether the smallest request is so large that bytes count rather than requests.
    pub(super) fn is_large(&self) -> bool {
        let smallest = self.work.sizes.smallest_bytes();
        self.work.moved_bytes(self.operation, smallest) >= LARGE_BYTES
    }

    /// Of all rounds.
    pub(super) fn refusals(&self) -> u64 {
        self.rounds.iter().map(|round| round.refusals).sum()
    }

    pub(super) fn gateway_peak(&self) -> Option<u64> {
        self.rounds.iter().filter_map(Round::gateway_peak_bytes).max()
    }

    pub(super) fn nodes_peak(&self) -> u64 {
        self.rounds.iter().map(Round::nodes_peak_bytes).max().unwrap_or(0)
    }
}

//! What a download knows of each peer's speed, and when a block counts as slow.

use std::collections::VecDeque;
use std::time::Duration;

use truckee_grid::ids::NodeId;

use crate::time::Mono;
use crate::transfer::PeerWhy;

/// When a block counts as slow before anything has been measured.
const HEDGE_START: Duration = Duration::from_millis(300);
/// A block never counts as slow before this: below, a busy machine's scheduling would look like a slow peer.
const HEDGE_MIN: Duration = Duration::from_millis(50);
/// A block always counts as slow after this: two such waits, one for the hedge and one for asking everybody, and the
/// answer still stay below the two seconds after which a frozen peer's link is given up.
const HEDGE_MAX: Duration = Duration::from_millis(700);
/// How many measured blocks the percentile is taken from, and how many are needed for it.
const SAMPLES: usize = 64;
const SAMPLES_MIN: usize = 8;

/// Speeds below this are all the same: differences between fast peers are noise.
const SERVICE_FLOOR: Duration = Duration::from_millis(2);
/// A measurement counts for this long; a peer that was slow is tried again after.
const SERVICE_VALID: Duration = Duration::from_secs(10);

/// One candidate.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    /// The last thing that went wrong with it.
    pub(super) why: Option<PeerWhy>,
    pub(super) reach: Reach,
    /// A read of its is late and it has not said anything since.
    pub(super) suspect: bool,
    /// It was busy and is left alone until then.
    pub(super) rest_until: Option<Mono>,
    /// It was too busy to say what it holds, and is asked again then.
    pub(super) find_again_at: Option<Mono>,
    /// How often it was asked what it holds.
    pub(super) find_tries: u32,
    /// The last segment that it was chosen for.
    pub(super) chosen_for: Option<u64>,
    last_answer: Option<Mono>,
    /// Smoothed time that a block takes it, and when that was measured.
    service: Option<(Duration, Mono)>,
}

/// Whether a peer can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing is known against it.
    Open,
    /// Its link was lost or it could not be reached.
    Lost,
    /// It said what makes asking again useless.
    Useless,
}

impl Peer {
    pub(super) fn new(id: NodeId) -> Self {
        Self {
            id,
            why: None,
            reach: Reach::Open,
            suspect: false,
            rest_until: None,
            find_again_at: None,
            find_tries: 0,
            chosen_for: None,
            last_answer: None,
            service: None,
        }
    }

    pub(super) fn is_resting(&self, now: Mono) -> bool {
        self.rest_until.is_some_and(|until| until > now)
    }

    /// Whether anything was heard from it in the last `time`.
    pub(super) fn heard_within(&self, now: Mono, time: Duration) -> bool {
        self.last_answer.is_some_and(|at| now.saturating_sub(at) < time)
    }

    /// A block came that was asked for at `sent_at`. Blocks asked for together come one after the other, so the time
    /// that one takes counts from the one before.
    pub(super) fn answered(&mut self, now: Mono, sent_at: Mono) {
        let since = self.last_answer.map_or(sent_at, |last| last.max(sent_at));
        self.last_answer = Some(now);
        self.suspect = false;
        self.measure(now, now.saturating_sub(since));
    }

    /// It said something else than a block.
    pub(super) fn spoke(&mut self, now: Mono) {
        self.last_answer = Some(now);
        self.suspect = false;
    }

    /// Smooths a new measurement, or a lower bound of one, into the old: a quarter new.
    pub(super) fn measure(&mut self, now: Mono, took: Duration) {
        let smoothed = self.fresh_service(now).map_or(took, |old| (old * 3 + took) / 4);
        self.service = Some((smoothed, now));
    }

    fn fresh_service(&self, now: Mono) -> Option<Duration> {
        self.service
            .filter(|(_, at)| now.saturating_sub(*at) < SERVICE_VALID)
            .map(|(time, _)| time)
    }

    /// What reading a block of it costs, in thousandths of a microsecond, for comparison only. `usual` stands in for
    /// a peer that was not measured, a share that does not decode for nothing costs double, and peers in use cost a
    /// fifth less.
    pub(super) fn cost(&self, now: Mono, usual: Duration, systematic: bool, segment: u64) -> u128 {
        let service = self
            .fresh_service(now)
            .unwrap_or(usual)
            .max(SERVICE_FLOOR)
            .as_micros();
        let in_use = self.chosen_for.is_some_and(|last| last + 2 >= segment);
        service * if systematic { 1000 } else { 2000 } * if in_use { 4 } else { 5 }
    }
}

/// The middle of what is known of all peers' speeds.
pub(super) fn usual_service(peers: &[Peer], now: Mono) -> Duration {
    let mut known: Vec<Duration> = peers.iter().filter_map(|peer| peer.fresh_service(now)).collect();
    known.sort_unstable();
    known.get(known.len() / 2).copied().unwrap_or(SERVICE_FLOOR)
}

/// How long blocks take in this download, from question to answer.
#[derive(Debug)]
pub(super) struct Pace {
    recent: VecDeque<Duration>,
    hedge_after: Duration,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            recent: VecDeque::with_capacity(SAMPLES),
            hedge_after: HEDGE_START,
        }
    }

    pub(super) fn took(&mut self, time: Duration) {
        if self.recent.len() == SAMPLES {
            self.recent.pop_front();
        }
        self.recent.push_back(time);
        if self.recent.len() >= SAMPLES_MIN {
            let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
            sorted.sort_unstable();
            let percentile_90 = sorted[(sorted.len() - 1) * 9 / 10];
            self.hedge_after = (percentile_90 * 2).clamp(HEDGE_MIN, HEDGE_MAX);
        }
    }

    /// After this time a block counts as slow: twice the time in which nine of ten came.
    pub(super) fn hedge_after(&self) -> Duration {
        self.hedge_after
    }
}

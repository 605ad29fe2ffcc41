//! Whether the peer still lives, and how far away it is.
//!
//! Two regimes. *Idle*, when nobody here waits for an answer: a ping after long silence, death after longer silence, so
//! an idle link costs a few small frames a minute. *Busy*: a ping after half a second of silence, death two seconds
//! later. Silence is counted from the last byte heard, or from the moment when somebody began to wait.
//!
//! A receiver on a slow line sends a sign of life now and then while a long message comes in, so that its sender does
//! not take it for dead. Not promised: that a peer that answers pings does its work; for that requests have deadlines.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Config;
use crate::time::Mono;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    None,
    Queued { id: u64 },
    Sent { id: u64, at: Mono },
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The peer is dead; silent for so long.
    Dead(Duration),
    /// Send a ping of this number.
    Ping(u64),
    /// Send a sign of life.
    LifeSign,
}

/// The clockwork.
#[derive(Debug)]
pub(super) struct Liveness {
    last_heard: Mono,
    /// Since when bytes of an unfinished message have come in without anything going out.
    silent_here_since: Option<Mono>,
    ping: Ping,
    last_ping_id: u64,
    idle_ping_after: Duration,
    round_trip: Option<Duration>,
    rng: StdRng,
}

impl Liveness {
    pub(super) fn new(now: Mono, seed: [u8; 32], config: &Config) -> Liveness {
        let mut liveness = Liveness {
            last_heard: now,
            silent_here_since: None,
            ping: Ping::None,
            last_ping_id: 0,
            idle_ping_after: config.idle_ping_after,
            round_trip: None,
            rng: StdRng::from_seed(seed),
        };
        liveness.draw_idle_ping(config);
        liveness
    }

    /// Bytes came in; `unfinished` if they belong to a message that is not all here.
    pub(super) fn heard(&mut self, now: Mono, unfinished: bool) {
        self.last_heard = now;
        if !unfinished {
            self.silent_here_since = None;
        } else if self.silent_here_since.is_none() {
            self.silent_here_since = Some(now);
        }
    }

    /// A frame went out.
    pub(super) fn sent(&mut self) {
        self.silent_here_since = None;
    }

    /// The ping went out.
    pub(super) fn ping_sent(&mut self, now: Mono) {
        if let Ping::Queued { id } = self.ping {
            self.ping = Ping::Sent { id, at: now };
        }
    }

    /// A pong came in.
    pub(super) fn pong(&mut self, now: Mono, pong: u64, config: &Config) {
        if let Ping::Sent { id, at } = self.ping
            && id == pong
        {
            self.ping = Ping::None;
            self.smooth(now.saturating_sub(at));
            self.draw_idle_ping(config);
        }
    }

    /// An answer came so long after its request. It includes the peer's work, so it counts only if it is faster than
    /// what is known.
    pub(super) fn answered_after(&mut self, elapsed: Duration) {
        if self.round_trip.is_none_or(|known| elapsed < known) {
            self.smooth(elapsed);
        }
    }

    /// Smoothed as TCP does it: an eighth of the new, seven eighths of the old.
    fn smooth(&mut self, sample: Duration) {
        self.round_trip = Some(self.round_trip.map_or(sample, |known| (known * 7 + sample) / 8));
    }

    /// A tenth more or less, so that the links of a node do not wake it all at once.
    fn draw_idle_ping(&mut self, config: &Config) {
        let tenths = self.rng.random_range(0.9..=1.1);
        self.idle_ping_after = config.idle_ping_after.mul_f64(tenths);
    }

    /// What is due, if anything. `busy_since`: since when somebody here waits.
    pub(super) fn due(&mut self, now: Mono, busy_since: Option<Mono>, config: &Config) -> Option<Due> {
        if now >= self.dead_at(busy_since, config) {
            return Some(Due::Dead(now.saturating_sub(self.last_heard)));
        }
        if self.ping_at(busy_since, config).is_some_and(|at| now >= at) {
            self.last_ping_id += 1;
            self.ping = Ping::Queued {
                id: self.last_ping_id,
            };
            return Some(Due::Ping(self.last_ping_id));
        }
        if self.life_sign_at(config).is_some_and(|at| now >= at) {
            self.silent_here_since = None;
            return Some(Due::LifeSign);
        }
        None
    }

    /// When something will be due.
    pub(super) fn next_deadline(&self, busy_since: Option<Mono>, config: &Config) -> Mono {
        let dead_at = self.dead_at(busy_since, config);
        let others = [self.ping_at(busy_since, config), self.life_sign_at(config)];
        others.into_iter().flatten().fold(dead_at, Mono::min)
    }

    fn quiet_since(&self, busy_since: Option<Mono>) -> Mono {
        busy_since.map_or(self.last_heard, |since| since.max(self.last_heard))
    }

    fn dead_at(&self, busy_since: Option<Mono>, config: &Config) -> Mono {
        let idle = self.last_heard + config.idle_dead_after;
        let busy_dead_after = config.busy_ping_after + config.busy_dead_after;
        busy_since.map_or(idle, |_| idle.min(self.quiet_since(busy_since) + busy_dead_after))
    }

    fn ping_at(&self, busy_since: Option<Mono>, config: &Config) -> Option<Mono> {
        if self.ping != Ping::None {
            return None;
        }
        let after = if busy_since.is_some() {
            config.busy_ping_after
        } else {
            self.idle_ping_after
        };
        Some(self.quiet_since(busy_since) + after)
    }

    fn life_sign_at(&self, config: &Config) -> Option<Mono> {
        self.silent_here_since.map(|since| since + config.life_sign_every)
    }

    pub(super) fn last_heard(&self) -> Mono {
        self.last_heard
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

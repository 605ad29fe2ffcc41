use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_grid::params::Coding;

use super::*;

mod properties;
mod rules;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// 2026-01-01.
const BEGIN: u64 = 1_767_225_600;

fn share_id(bucket: usize, file: u32, share: u8) -> ShareId {
    let mut si = StorageIndex([0; 16]);
    si.0[..2].copy_from_slice(&((bucket as u16) << 6).to_be_bytes());
    si.0[8..12].copy_from_slice(&file.to_be_bytes());
    ShareId {
        si,
        share: ShareNumber(share),
    }
}

fn config(rate_bytes_per_second: u64, round_min: Duration) -> ScrubConfig {
    ScrubConfig::new(NonZeroU64::new(rate_bytes_per_second).unwrap(), round_min)
}

/// What checking a share comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Sound,
    Rotten,
    /// The disk does not read it.
    Unreadable,
}

/// A store that answers at once when asked to, in virtual time.
struct World {
    config: ScrubConfig,
    scrub: Scrub,
    now: Mono,
    unix: UnixSeconds,
    shares: BTreeMap<ShareId, (u64, Is)>,
    page: usize,
    saved: Option<Cursor>,
    /// When each check was begun, of which share.
    checks: Vec<(Mono, ShareId, u64)>,
    lists: Vec<(Mono, Bucket)>,
    rounds: Vec<RoundReport>,
    saves: Vec<Mono>,
    put_aside: Vec<ShareId>,
    /// Refuse so many lists and checks.
    busy: u32,
    /// Fail so many lists.
    list_failures: u32,
    asked: Option<Effect>,
}

impl World {
    fn new(config: ScrubConfig) -> World {
        let (now, unix) = (Mono::from_millis(7), UnixSeconds::from_secs(BEGIN));
        World {
            config,
            scrub: Scrub::new(config, None, 5, now, unix),
            now,
            unix,
            shares: BTreeMap::new(),
            page: 4,
            saved: None,
            checks: Vec::new(),
            lists: Vec::new(),
            rounds: Vec::new(),
            saves: Vec::new(),
            put_aside: Vec::new(),
            busy: 0,
            list_failures: 0,
            asked: None,
        }
    }

    fn store(&mut self, share: ShareId, bytes: u64) {
        self.shares.insert(share, (bytes, Is::Sound));
    }

    fn drain(&mut self) {
        while let Some(effect) = self.scrub.poll_effect() {
            match effect {
                Effect::Save(cursor) => {
                    self.saved = Some(Cursor::from_text(&cursor.to_text()).expect("read back"));
                    assert_eq!(self.saved, Some(cursor));
                    self.saves.push(self.now);
                }
                Effect::RoundDone(report) => self.rounds.push(report),
                asked => {
                    assert_eq!(self.asked, None, "one at a time");
                    match &asked {
                        Effect::List { bucket, .. } => self.lists.push((self.now, *bucket)),
                        Effect::Verify { share } => {
                            let bytes = self.shares.get(share).map_or(0, |(bytes, _)| *bytes);
                            self.checks.push((self.now, *share, bytes));
                        }
                        _ => {}
                    }
                    self.asked = Some(asked);
                }
            }
        }
    }

    /// Answers what was asked.
    fn answer(&mut self) {
        let (now, unix) = (self.now, self.unix);
        match self.asked.take() {
            Some(Effect::List { bucket, after }) => {
                let result = self.list(bucket, after);
                self.scrub.handle_listed(now, unix, result);
            }
            Some(Effect::Verify { share }) => {
                let result = self.verify(share);
                self.scrub.handle_verified(now, unix, result);
            }
            _ => panic!("nothing was asked"),
        }
        self.drain();
    }

    fn is_refused(&mut self) -> bool {
        let refused = self.busy > 0;
        self.busy = self.busy.saturating_sub(1);
        refused
    }

    fn list(&mut self, bucket: Bucket, after: Option<ShareId>) -> Result<Listing, DiskFault> {
        if self.is_refused() {
            return Err(DiskFault::Overloaded);
        }
        if self.list_failures > 0 {
            self.list_failures -= 1;
            return Err(DiskFault::Failed);
        }
        let of_page =
            |share: &&ShareId| Bucket::of(&share.si) == bucket && after.is_none_or(|after| **share > after);
        let shares: Vec<ShareId> = self
            .shares
            .keys()
            .filter(of_page)
            .take(self.page)
            .copied()
            .collect();
        let holding = |share: &ShareId| Holding {
            share: *share,
            coding: Coding::new(3, 10).unwrap(),
            file_bytes: self.shares[share].0,
        };
        Ok(Listing {
            holdings: shares.iter().map(holding).collect(),
            next: shares.last().copied().filter(|_| shares.len() == self.page),
            put_aside: 0,
            unreadable: 0,
        })
    }

    fn verify(&mut self, share: ShareId) -> Result<u64, DiskFault> {
        if self.is_refused() {
            // It was not begun after all.
            self.checks.pop();
            return Err(DiskFault::Overloaded);
        }
        match self.shares.get(&share).copied() {
            None => Err(DiskFault::NotFound),
            Some((bytes, Is::Sound)) => Ok(bytes),
            Some((_, Is::Unreadable)) => Err(DiskFault::Failed),
            Some((_, Is::Rotten)) => {
                self.shares.remove(&share);
                self.put_aside.push(share);
                Err(DiskFault::Corrupt)
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        // The calendar in whole seconds since the process began; the part below does not matter to anybody.
        self.unix = UnixSeconds::from_secs(BEGIN) + self.now.saturating_sub(Mono::ZERO);
    }

    /// One step: an answer, or the next deadline. False if nothing is to come before `until`.
    fn step(&mut self, until: Mono) -> bool {
        if self.asked.is_some() {
            self.answer();
            return true;
        }
        match self.scrub.next_deadline() {
            Some(due) if due <= until => {
                self.pass(due.saturating_sub(self.now));
                self.scrub.handle_timeout(self.now, self.unix);
                self.drain();
                true
            }
            _ => false,
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.pass(until.saturating_sub(self.now));
    }

    /// Runs until so many rounds are done.
    fn run_rounds(&mut self, count: usize) {
        while self.rounds.len() < count {
            assert!(self.step(Mono::from_micros(u64::MAX)), "it goes on for ever");
        }
    }

    /// The process ends, in order or not, and another one begins with what was saved last.
    fn restart(&mut self, in_order: bool) {
        if in_order {
            self.scrub.stop();
            self.drain();
        }
        self.asked = None;
        // The new process has its own clock; here it goes on, which no machine can tell.
        self.scrub = Scrub::new(self.config, self.saved, 700, self.now, self.unix);
        self.drain();
    }

    /// How often each share was checked.
    fn counts(&self) -> BTreeMap<ShareId, usize> {
        let mut counts = BTreeMap::new();
        for (_, share, _) in &self.checks {
            *counts.entry(*share).or_default() += 1;
        }
        counts
    }
}

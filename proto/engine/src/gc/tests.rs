//! Each rule of the collector, over a made-up store and a made-up calendar.

use std::collections::BTreeMap;

use truckee_grid::ids::{ShareNumber, StorageIndex};

use super::*;
use crate::store::Leased;

const EXPIRE: u32 = 30;
const WAIT: u32 = 10;
/// When the tests begin.
const FIRST: u32 = 20_000;

const ON: GcConfig = GcConfig {
    expire_days: Some(EXPIRE),
    wait_days: WAIT,
};
const OFF: GcConfig = GcConfig {
    expire_days: None,
    ..ON
};

/// A store of one share for each lease, and the trash by the day it went there.
struct World {
    collector: Collector,
    now: Mono,
    calendar: UnixSeconds,
    leases: BTreeMap<ShareId, Day>,
    trash: BTreeMap<ShareId, (TrashCause, Day)>,
    deleted: Vec<ShareId>,
    kept: Option<GcState>,
    today: Option<Day>,
    fault: Option<DiskFault>,
    asked: u64,
}

fn share(number: u8) -> ShareId {
    ShareId {
        si: StorageIndex([number; 16]),
        share: ShareNumber(0),
    }
}

fn day(number: u32) -> Day {
    Day::from_number(number)
}

impl World {
    fn new(config: GcConfig, kept: Option<GcState>) -> World {
        let (now, calendar) = (Mono::ZERO, day(FIRST).begin());
        let mut world = World {
            collector: Collector::new(config, kept, now, calendar),
            now,
            calendar,
            leases: BTreeMap::new(),
            trash: BTreeMap::new(),
            deleted: Vec::new(),
            kept: None,
            today: None,
            fault: None,
            asked: 0,
        };
        world.carry_out();
        world
    }

    /// A new process with what the last one kept.
    fn restart(&mut self, config: GcConfig) {
        self.collector = Collector::new(config, self.kept, self.now, self.calendar);
        self.carry_out();
    }

    fn lease(&mut self, number: u8, since: u32) {
        self.leases.insert(share(number), day(since));
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.collector.poll_effect() {
            self.asked += 1;
            match effect {
                Effect::Save(state) => self.kept = Some(GcState::from_text(&state.to_text()).unwrap()),
                Effect::Today(today) => self.today = Some(today),
                Effect::Survey { bucket, after } => {
                    let result = self.fault.map_or_else(|| Ok(self.survey(bucket, after)), Err);
                    self.collector.handle_surveyed(self.now, result);
                }
                Effect::Collect {
                    share,
                    day,
                    leased_before,
                } => {
                    let result = self.collect(share, day, leased_before);
                    self.collector.handle_moved(self.now, result);
                }
                Effect::Empty {
                    bucket,
                    cause,
                    before,
                } => {
                    let is_old = |(share, (of, day)): &(&ShareId, &(TrashCause, Day))| {
                        Bucket::of(&share.si) == bucket && *of == cause && *day < before
                    };
                    let first = self.trash.iter().find(is_old).map(|(share, _)| *share);
                    if let Some(share) = first {
                        self.trash.remove(&share);
                        self.deleted.push(share);
                    }
                    let gone = first.map_or(Amount::default(), |_| Amount::one(7));
                    self.collector.handle_moved(self.now, Ok(gone));
                }
            }
        }
    }

    fn survey(&self, bucket: Bucket, after: Option<ShareId>) -> Survey {
        let of_page = |(share, _): &(&ShareId, &Day)| {
            Bucket::of(&share.si) == bucket && after.is_none_or(|after| **share > after)
        };
        let first = self.leases.iter().find(of_page);
        let leased = first.map(|(share, lease)| Leased {
            share: *share,
            file_bytes: 7,
            lease: *lease,
        });
        Survey {
            next: leased.map(|leased| leased.share),
            leased: leased.into_iter().collect(),
            unreadable: 0,
        }
    }

    fn collect(&mut self, share: ShareId, day: Day, before: Day) -> Result<Amount, DiskFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.leases.get(&share).is_some_and(|lease| *lease >= before) {
            return Ok(Amount::default());
        }
        self.leases.remove(&share).ok_or(DiskFault::NotFound)?;
        self.trash.insert(share, (TrashCause::Expired, day));
        Ok(Amount::one(7))
    }

    /// Time passes, for the machine and on the calendar, until nothing is due any more.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.collector.next_deadline().filter(|at| *at <= end) {
            let step = at.max(self.now).saturating_sub(self.now);
            self.calendar = self.calendar + step;
            self.now += step;
            self.collector.handle_timeout(self.now, self.calendar);
            self.carry_out();
        }
        self.now = end;
    }

    /// The calendar shows that day, and the node runs through it.
    fn pass_days(&mut self, days: u32) {
        for _ in 0..days {
            let next = Day::of(self.calendar).plus(1).begin();
            self.pass(DAY_UPTIME * 2);
            self.calendar = next;
            self.pass(Duration::from_secs(3600));
        }
    }

    fn today(&self) -> u32 {
        self.today.expect("told at the start").number()
    }
}

#[test]
fn off_it_counts_days_and_touches_nothing_but_surplus() {
    let mut world = World::new(OFF, None);
    world.lease(1, FIRST - 5_000);
    world
        .trash
        .insert(share(2), (TrashCause::Expired, day(FIRST - 900)));
    world
        .trash
        .insert(share(3), (TrashCause::Surplus, day(FIRST - 900)));
    world.pass_days(100);
    assert_eq!(world.today(), FIRST + 100);
    assert_eq!(world.leases.len(), 1);
    assert_eq!(
        world.deleted,
        [share(3)],
        "what was expired stays while it is off"
    );
    assert!(!world.collector.report().on);
}

#[test]
fn a_share_goes_when_its_lease_is_over_and_for_good_after_the_wait() {
    let mut world = World::new(ON, None);
    world.pass_days(EXPIRE + 1);
    let today = world.today();
    world.lease(1, today);
    world.lease(2, today - EXPIRE - 1);
    world.lease(3, today - EXPIRE + 1);
    world.pass_days(1);
    assert_eq!(world.trash.keys().copied().collect::<Vec<_>>(), [share(2)]);
    assert_eq!(world.collector.report().collected, Amount::one(7));
    world.pass_days(WAIT);
    assert!(world.deleted.is_empty(), "it waits");
    world.pass_days(1);
    assert_eq!(world.deleted, [share(2)]);
    assert_eq!(world.trash.keys().copied().collect::<Vec<_>>(), [share(3)]);
    world.pass_days(EXPIRE - WAIT - 2);
    assert_eq!(
        world.leases.len(),
        1,
        "the one that was renewed lives its whole term"
    );
    world.pass_days(3);
    assert!(world.leases.is_empty());
    let report = world.collector.report();
    assert_eq!((report.collected.shares, report.failed), (3, 0));
}

#[test]
fn nothing_is_collected_in_the_first_term_after_it_was_turned_on() {
    let mut world = World::new(OFF, None);
    world.lease(1, FIRST - 5_000);
    world.pass_days(50);
    world.restart(ON);
    assert_eq!(world.collector.report().days_to_first, EXPIRE + 1);
    // Restarts do not begin the term anew, nor do they shorten it.
    for _ in 0..EXPIRE {
        world.pass_days(1);
        world.restart(ON);
        assert_eq!(world.leases.len(), 1, "on day {}", world.today());
    }
    world.pass_days(1);
    assert!(world.leases.is_empty());
}

#[test]
fn a_shorter_term_and_a_lost_state_begin_anew() {
    let shorter = GcConfig {
        expire_days: Some(EXPIRE / 2),
        ..ON
    };
    let longer = GcConfig {
        expire_days: Some(EXPIRE * 2),
        ..ON
    };
    let mut world = World::new(longer, None);
    world.pass_days(EXPIRE * 2 + 1);
    world.lease(1, world.today() - EXPIRE);
    world.restart(shorter);
    world.pass_days(EXPIRE / 2);
    assert_eq!(world.leases.len(), 1);
    world.pass_days(1);
    assert!(world.leases.is_empty());

    world.lease(2, FIRST - 5_000);
    world.kept = None;
    world.restart(shorter);
    world.pass_days(EXPIRE / 2);
    assert_eq!(world.leases.len(), 1);
    let mut world = World::new(shorter, None);
    world.pass_days(EXPIRE / 2 + 1);
    world.lease(1, world.today() - EXPIRE);
    world.restart(longer);
    world.pass_days(EXPIRE);
    assert_eq!(world.leases.len(), 1, "a longer term holds at once");
}

#[test]
fn a_clock_that_jumps_a_year_ahead_ages_leases_by_two_days_a_day_at_most() {
    let mut world = World::new(ON, None);
    world.pass_days(EXPIRE + 1);
    let before = world.today();
    world.lease(1, before);
    world.calendar = world.calendar + Duration::from_secs(365 * Day::SECONDS);
    world.pass(Duration::from_secs(10 * Day::SECONDS));
    let counted = world.today() - before;
    assert!((19..=21).contains(&counted), "{counted} days in ten");
    assert_eq!(world.leases.len(), 1, "it is not yet over");
    assert!(
        world.collector.report().days_behind > 300,
        "and somebody can see it"
    );
    // The clock is set right: the count waits for the calendar and goes on with it.
    let ahead = world.today();
    world.calendar = day(before + 10).begin();
    world.pass_days(8);
    assert_eq!(world.today(), ahead);
    world.pass_days(5);
    assert!(world.today() > ahead);
}

#[test]
fn restarts_at_a_wrong_time_count_no_days() {
    let mut world = World::new(ON, None);
    world.pass_days(EXPIRE + 1);
    let before = world.today();
    world.calendar = world.calendar + Duration::from_secs(365 * Day::SECONDS);
    for _ in 0..1000 {
        world.restart(ON);
    }
    assert!(
        world.today() <= before + 1,
        "{} days by restarts alone",
        world.today() - before
    );
    // Days that are short of running time are made up of several processes.
    let before = world.today();
    for _ in 0..10 {
        world.pass(Duration::from_secs(6 * 3600 + 60));
        world.collector.stop(world.now, world.calendar);
        world.carry_out();
        world.restart(ON);
    }
    assert_eq!(world.today(), before + 5);
}

#[test]
fn a_clock_that_is_back_holds_the_count() {
    let mut world = World::new(ON, None);
    world.pass_days(10);
    let before = world.today();
    world.calendar = day(0).begin();
    world.pass(Duration::from_secs(20 * Day::SECONDS));
    assert_eq!(world.today(), before);
}

#[test]
fn a_renewal_between_the_page_and_the_move_keeps_the_share() {
    let mut world = World::new(ON, None);
    world.pass_days(EXPIRE + 1);
    let today = world.today();
    world.lease(1, today - EXPIRE - 1);
    let over = world.survey(Bucket::of(&share(1).si), None);
    world.lease(1, today);
    // The page shows the lease of before.
    let mut walk = Walk::new();
    walk.surveyed(&over, due(ON, world.collector.term, day(today)));
    world.collector.walk = Some(walk);
    world.collector.walked = None;
    world.pass_days(1);
    assert_eq!(world.leases.len(), 1);
    assert_eq!(world.collector.report().collected, Amount::default());
}

#[test]
fn a_busy_store_is_asked_again_and_a_broken_page_is_left_for_the_next_day() {
    let mut world = World::new(ON, None);
    world.pass_days(EXPIRE + 1);
    let today = world.today();
    world.lease(1, today - EXPIRE - 1);
    world.fault = Some(DiskFault::Overloaded);
    world.pass_days(1);
    assert_eq!(world.leases.len(), 1);
    world.fault = None;
    world.pass(Duration::from_secs(1800));
    assert!(world.leases.is_empty(), "the same walk goes on");
    world.lease(1, today - EXPIRE - 1);
    world.fault = Some(DiskFault::Failed);
    world.pass_days(1);
    assert_eq!(world.collector.report().failed, Bucket::COUNT as u64);
    assert_eq!(world.leases.len(), 1, "what cannot be read is not collected");
    world.fault = None;
    world.pass_days(1);
    assert!(world.leases.is_empty());
}

#[test]
fn it_begins_after_a_rest_and_walks_once_a_day_at_a_rate() {
    let mut world = World::new(ON, None);
    let begun = world.asked;
    world.pass(START_REST - Duration::from_secs(1));
    assert_eq!(world.asked, begun, "links and renewals come first");
    world.pass_days(EXPIRE + 2);
    let asked = world.asked;
    let walks = world.collector.report().walks;
    world.pass(Duration::from_secs(10));
    assert_eq!(world.asked, asked, "one walk a day");
    assert_eq!(walks, u64::from(EXPIRE) + 3);
    world.collector.stop(world.now, world.calendar);
    assert_eq!(world.collector.next_deadline(), None);
    assert!(matches!(world.collector.poll_effect(), Some(Effect::Save(_))));
    world.collector.handle_moved(world.now, Ok(Amount::one(1)));
    assert_eq!(world.collector.poll_effect(), None);
}

#[test]
fn a_state_comes_back_from_its_text_and_nothing_else_does() {
    let state = GcState {
        today: day(FIRST),
        run: Duration::from_secs(77),
        term: Some(Term {
            since: day(FIRST - 3),
            expire_days: EXPIRE,
        }),
    };
    for state in [state, GcState { term: None, ..state }] {
        assert_eq!(GcState::from_text(&state.to_text()), Ok(state));
    }
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"version":2,"today":1,"run_seconds":1}"#,
        r#"{"version":1,"today":99999999999,"run_seconds":1}"#,
        r#"{"version":1,"today":1,"run_seconds":1,"on_since":1}"#,
        r#"{"version":1,"today":1,"run_seconds":1,"on_since":"x","expire_days":1}"#,
    ] {
        assert!(GcState::from_text(wrong).is_err(), "{wrong}");
    }
}

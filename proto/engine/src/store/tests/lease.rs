//! Leases: renewed in bulk, never made older, and looked through.

use truckee_wire::message::{LeasesRenewed, RenewLeases};

use super::*;
use crate::time::Day;

fn day(number: u32) -> Day {
    Day::from_number(number)
}

fn renew(sis: &[StorageIndex]) -> Request {
    let sis = sis.to_vec();
    Request::RenewLeases(RenewLeases { sis })
}

fn lease_of(bench: &mut Bench, share: ShareId) -> Option<Day> {
    bench.store.survey(Ticket(90_000), Bucket::of(&share.si), None);
    bench.drain();
    bench.work();
    let survey = bench.surveyed.take().expect("answered").expect("worked");
    let of_share = survey.leased.iter().find(|leased| leased.share == share);
    of_share.map(|leased| leased.lease)
}

fn collect(bench: &mut Bench, share: ShareId, today: u32, before: u32) -> Result<Amount, DiskFault> {
    bench
        .store
        .collect(Ticket(90_000), share, day(today), day(before));
    bench.drain();
    bench.work();
    bench.moved.take().expect("answered")
}

#[test]
fn a_renewal_says_what_is_held_and_is_answered_when_all_is_durable() {
    let mut bench = Bench::new();
    let files: Vec<TestFile> = [3, 5, 9].map(|number| test_file(number, 100)).into();
    for file in [&files[0], &files[2]] {
        bench.served(file.put(0)).unwrap();
        assert_eq!(
            lease_of(&mut bench, file.share(0)),
            Some(day(0)),
            "from its writing"
        );
    }
    bench.store.set_today(day(40));
    let sis: Vec<StorageIndex> = files.iter().map(|file| file.si).collect();
    let ticket = bench.ask(renew(&sis));
    // Three buckets, one operation after the other; none of them may be missing.
    for left in [3, 2, 1] {
        assert!(!bench.answers.contains_key(&ticket), "{left} buckets are left");
        assert_eq!(bench.queued.len(), 1);
        let (token, op) = bench.queued.remove(0);
        let reply = bench.disk.carry_out(op);
        bench.store.handle_disk(bench.now, token, reply);
        bench.drain();
    }
    let held = LeasesRenewed::of(&[true, false, true]);
    assert_eq!(bench.answer(ticket), Ok(Response::LeasesRenewed(held)));
    assert_eq!(lease_of(&mut bench, files[0].share(0)), Some(day(40)));
    assert_eq!(bench.store.report().leases_renewed, 2);
    assert!(bench.store.renewals.is_empty());
}

#[test]
fn a_renewal_that_fails_or_takes_too_long_is_not_answered_as_done() {
    let mut bench = Bench::new();
    let files = [test_file(3, 100), test_file(5, 100)];
    let sis = files.each_ref().map(|file| file.si);
    bench.disk.fail_in(1);
    assert_eq!(bench.code(renew(&sis)), FailureCode::Internal);
    assert!(bench.store.renewals.is_empty());

    let ticket = bench.ask(renew(&sis));
    bench.now += Duration::from_secs(60);
    bench.work();
    assert_eq!(
        bench.answer(ticket).expect_err("too late").code,
        FailureCode::Expired
    );
    assert!(bench.store.renewals.is_empty());

    let waiting: Vec<Ticket> = (0..8).map(|_| bench.ask(renew(&sis))).collect();
    let refused = bench.ask(renew(&sis));
    assert_eq!(
        bench.answer(refused).expect_err("too many").code,
        FailureCode::Busy
    );
    bench.work();
    for ticket in waiting {
        bench.answer(ticket).expect("renewed");
    }
}

#[test]
fn a_clock_that_is_behind_makes_no_lease_old() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    bench.store.set_today(day(40));
    bench.store.set_today(day(7));
    // The calendar of the bench is the first day of 1970.
    bench.served(file.put(0)).unwrap();
    assert_eq!(lease_of(&mut bench, file.share(0)), Some(day(40)));
}

#[test]
fn a_share_that_its_uploader_finds_there_is_renewed_before_the_uploader_hears_of_it() {
    for way in ["open", "put", "close"] {
        let (mut bench, file) = (Bench::new(), test_file(5, 100));
        if way == "close" {
            bench.upload(&file, 0, 1);
        }
        bench.served_over(2, file.put(0)).unwrap();
        bench.store.set_today(day(40));
        let request = match way {
            "open" => file.open(0, 2),
            "put" => file.put(0),
            _ => file.close(0, 1),
        };
        let ticket = bench.ask(request);
        let (token, op) = bench.queued.remove(0);
        let reply = bench.disk.carry_out(op);
        bench.store.handle_disk(bench.now, token, reply);
        bench.drain();
        assert!(
            !bench.answers.contains_key(&ticket),
            "{way}: it may still be collected"
        );
        assert_eq!(
            collect(&mut bench, file.share(0), 40, 30),
            Err(DiskFault::Overloaded),
            "{way}: not while its uploader is about to hear of it"
        );
        bench.answer(ticket).expect("it is there");
        assert_eq!(lease_of(&mut bench, file.share(0)), Some(day(40)), "{way}");
        assert_eq!(
            collect(&mut bench, file.share(0), 40, 30),
            Ok(Amount::default()),
            "{way}"
        );
        bench.disk.fail_in(1);
        assert_eq!(
            bench.code(file.put(0)),
            FailureCode::Internal,
            "not renewed, not promised"
        );
    }
}

#[test]
fn only_a_lease_that_is_over_lets_a_share_go_and_a_renewal_brings_it_back() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    bench.store.set_today(day(10));
    bench.served(file.put(0)).unwrap();
    bench.served(file.put(1)).unwrap();
    let nothing = Ok(Amount::default());
    assert_eq!(
        collect(&mut bench, file.share(0), 50, 10),
        nothing,
        "it is of that day"
    );
    assert_eq!(
        collect(&mut bench, file.share(0), 50, 11).map(|moved| moved.shares),
        Ok(1)
    );
    assert_eq!(bench.found(&file), [ShareNumber(1)]);
    let listed = |bench: &mut Bench| {
        let list = truckee_wire::message::ListShares {
            bucket: Bucket::of(&file.si),
            after: None,
        };
        match bench.served(Request::ListShares(list)) {
            Ok(Response::SharesListed(listed)) => listed.shares.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(listed(&mut bench), 2, "others are not to make it again");
    bench.served(renew(&[file.si])).expect("renewed");
    assert_eq!(bench.found(&file), [ShareNumber(0), ShareNumber(1)]);
    let report = bench.store.report();
    assert_eq!((report.share_count, report.trash), (2, Amount::default()));

    bench.store.trash(
        Ticket(90_000),
        file.share(0),
        TrashMark {
            day: day(50),
            cause: TrashCause::Surplus,
        },
    );
    bench.drain();
    bench.work();
    bench.served(renew(&[file.si])).expect("renewed");
    assert_eq!(
        bench.found(&file),
        [ShareNumber(1)],
        "what is surplus stays where it is"
    );
    assert_eq!(listed(&mut bench), 1, "and is seen gone");
}

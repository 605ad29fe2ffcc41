//! What the store tells of all that it holds.

use truckee_wire::message::{AddedListed, Inventory, ListAdded, ListShares, SharePlace, SharesListed, Span};

use super::*;

fn inventory(bench: &mut Bench) -> Inventory {
    match bench.served(Request::GetInventory) {
        Ok(Response::Inventory(inventory)) => inventory,
        other => panic!("{other:?}"),
    }
}

fn page(bench: &mut Bench, bucket: Bucket, after: Option<SharePlace>) -> SharesListed {
    match bench.served(Request::ListShares(ListShares { bucket, after })) {
        Ok(Response::SharesListed(listed)) => listed,
        other => panic!("{other:?}"),
    }
}

/// Buckets that changed between two inventories, as indexes.
fn changed(before: &Inventory, now: &Inventory) -> Vec<usize> {
    let both = before.changes.iter().zip(&now.changes);
    both.enumerate()
        .filter(|(_, (before, now))| before != now)
        .map(|(index, _)| index)
        .collect()
}

#[test]
fn whatever_changes_the_shares_of_a_bucket_is_counted_there() {
    let (mut bench, file, other) = (Bench::new(), test_file(5, 2500), test_file(9, 100));
    let bucket = Bucket::of(&file.si).index();
    let start = inventory(&mut bench);
    assert_eq!((start.epoch, start.accepts_shares), (7, true));
    assert_eq!(start.changes, vec![0; Bucket::COUNT]);

    bench.upload(&file, 0, 1);
    let unchanged = |before: &Inventory, now: Inventory| changed(before, &now).is_empty();
    assert!(unchanged(&start, inventory(&mut bench)), "an open share is none");
    bench.served(file.close(0, 1)).unwrap();
    let closed = inventory(&mut bench);
    assert_eq!(changed(&start, &closed), [bucket]);

    bench.served(other.put(2)).unwrap();
    let put = inventory(&mut bench);
    assert_eq!(changed(&closed, &put), [Bucket::of(&other.si).index()]);
    bench.served(other.put(2)).unwrap();
    assert!(unchanged(&put, inventory(&mut bench)), "it was there");

    bench.served(file.abort(0, 1)).unwrap();
    let taken_back = inventory(&mut bench);
    assert_eq!(changed(&put, &taken_back), [bucket]);
    bench.disk.damage_header(other.share(2));
    page(&mut bench, Bucket::of(&other.si), None);
    assert_eq!(
        changed(&taken_back, &inventory(&mut bench)),
        [Bucket::of(&other.si).index()]
    );
}

#[test]
fn pages_say_as_of_when_they_are() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    let bucket = Bucket::of(&file.si);
    for share in [2, 0] {
        bench.served(file.put(share)).unwrap();
    }
    let listed = page(&mut bench, bucket, None);
    assert_eq!((listed.epoch, listed.changes, listed.next), (7, 2, None));
    let places: Vec<SharePlace> = listed.shares.iter().map(|share| share.place).collect();
    assert_eq!(places, [file.share(0), file.share(2)].map(SharePlace::from));
    assert!(
        listed
            .shares
            .iter()
            .all(|share| share.coding == file.facts.ueb.coding())
    );
    let rest = page(&mut bench, bucket, Some(places[0]));
    assert_eq!(rest.shares, listed.shares[1..]);

    // A share that comes while the disk looks is not counted in: who listed will see that something changed.
    let list = bench.ask(Request::ListShares(ListShares { bucket, after: None }));
    let put = bench.ask(file.put(1));
    bench.queued.reverse();
    bench.work();
    bench.answer(put).unwrap();
    let Ok(Response::SharesListed(listed)) = bench.answer(list) else {
        panic!("listed")
    };
    assert_eq!(listed.changes, 2);
    assert_eq!(inventory(&mut bench).changes[bucket.index()], 3);
}

#[test]
fn a_list_waits_for_work_that_somebody_else_waits_for() {
    let limits = Limits {
        reads_max: 4,
        ..Limits::default()
    };
    let mut bench = Bench::with(config(limits), ModelDisk::new(1 << 30));
    let file = test_file(5, 100);
    bench.served(file.put(0)).unwrap();
    let read = |bench: &mut Bench| bench.ask(file.read(0, 0));
    let reads: Vec<Ticket> = (0..4).map(|_| read(&mut bench)).collect();
    let list = Request::ListShares(ListShares {
        bucket: Bucket::FIRST,
        after: None,
    });
    let ticket = bench.ask(list);
    assert_eq!(bench.answer(ticket).expect_err("refused").code, FailureCode::Busy);
    bench.work();
    reads
        .into_iter()
        .for_each(|read| drop(bench.answer(read).expect("served")));
    assert_eq!(bench.store.report().reads_in_flight, 0);
}

fn added(bench: &mut Bench, file: &TestFile, after: u32, until: u32) -> AddedListed {
    let span = Span {
        bucket: Bucket::of(&file.si),
        after,
        until,
    };
    let list = ListAdded {
        epoch: 7,
        spans: vec![span],
    };
    match bench.served(Request::ListAdded(list)) {
        Ok(Response::AddedListed(listed)) => listed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn shares_that_came_are_told_by_name_until_something_else_happens() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    bench.served(file.put(2)).unwrap();
    bench.upload(&file, 0, 1);
    bench.served(file.close(0, 1)).unwrap();
    let told = added(&mut bench, &file, 0, 2);
    let places: Vec<SharePlace> = told.shares.iter().map(|share| share.place).collect();
    assert_eq!(places, [file.share(0), file.share(2)].map(SharePlace::from));
    let coding = file.facts.ueb.coding();
    assert!(told.shares.iter().all(|share| share.coding == coding));
    assert_eq!(told.unknown, []);
    let second = added(&mut bench, &file, 1, 2);
    assert_eq!(second.shares, told.shares[..1]);

    bench.served(file.abort(0, 1)).unwrap();
    assert_eq!(inventory(&mut bench).changes[Bucket::of(&file.si).index()], 3);
    let gone = added(&mut bench, &file, 0, 3);
    assert_eq!((gone.shares.len(), gone.unknown.len()), (0, 1));
    bench.served(file.put(1)).unwrap();
    let last = added(&mut bench, &file, 3, 4);
    assert_eq!(last.shares[0].place, file.share(1).into());
}

#[test]
fn a_share_that_comes_in_the_place_of_a_damaged_one_is_more_than_a_new_one() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    bench.served(file.put(2)).unwrap();
    bench.disk.damage_header(file.share(2));
    page(&mut bench, Bucket::of(&file.si), None);
    bench.served(file.put(2)).unwrap();
    let told = added(&mut bench, &file, 0, 3);
    assert_eq!((told.shares.len(), told.unknown.len()), (0, 1));
}

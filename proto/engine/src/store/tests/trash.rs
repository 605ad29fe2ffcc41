//! Into the trash, out of it, and for good.

use super::*;
use crate::time::Day;

fn mark(day: u32) -> TrashMark {
    TrashMark {
        day: Day::from_number(day),
        cause: TrashCause::Expired,
    }
}

fn outcome(bench: &mut Bench, ask: impl FnOnce(&mut Store, Ticket)) -> Result<Amount, DiskFault> {
    ask(&mut bench.store, Ticket(90_000));
    bench.drain();
    bench.work();
    bench.moved.take().expect("answered")
}

fn trash(bench: &mut Bench, share: ShareId, day: u32) -> Result<Amount, DiskFault> {
    outcome(bench, |store, ticket| store.trash(ticket, share, mark(day)))
}

fn restore(bench: &mut Bench, share: ShareId) -> Result<Amount, DiskFault> {
    outcome(bench, |store, ticket| store.restore(ticket, share))
}

fn empty(bench: &mut Bench, share: ShareId, before: u32) -> Result<Amount, DiskFault> {
    let (bucket, before) = (Bucket::of(&share.si), Day::from_number(before));
    assert_eq!(
        outcome(bench, |store, ticket| store.empty_trash(
            ticket,
            bucket,
            TrashCause::Surplus,
            before
        )),
        Ok(Amount::default()),
        "nothing was thrown away for that"
    );
    outcome(bench, |store, ticket| {
        store.empty_trash(ticket, bucket, TrashCause::Expired, before);
    })
}

fn changes(bench: &mut Bench, file: &TestFile) -> u32 {
    match bench.served(Request::GetInventory) {
        Ok(Response::Inventory(inventory)) => inventory.changes[Bucket::of(&file.si).index()],
        other => panic!("{other:?}"),
    }
}

fn found(bench: &mut Bench, file: &TestFile) -> Vec<u8> {
    match bench.served(file.find(0)) {
        Ok(Response::FoundShares(found)) => found.shares.iter().map(|share| share.0).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_share_in_the_trash_is_not_shown_and_still_uses_its_room() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    for share in [0, 1] {
        bench.served(file.put(share)).unwrap();
    }
    let before = bench.store.report();
    let (counted, bytes) = (changes(&mut bench, &file), before.used_bytes / 2);
    assert_eq!(trash(&mut bench, file.share(0), 7), Ok(Amount::one(bytes)));
    assert_eq!(found(&mut bench, &file), [1], "gone for whoever asks");
    assert_eq!(changes(&mut bench, &file), counted + 1, "keepers see it gone");
    let after = bench.store.report();
    assert_eq!((after.share_count, after.trash), (1, Amount::one(bytes)));
    assert_eq!(
        (after.used_bytes, after.available_bytes),
        (before.used_bytes, before.available_bytes)
    );

    assert_eq!(restore(&mut bench, file.share(0)), Ok(Amount::one(bytes)));
    assert_eq!(found(&mut bench, &file), [0, 1]);
    assert_eq!(changes(&mut bench, &file), counted + 2, "keepers see it back");
    assert_eq!(bench.store.report(), StoreReport { ..before });
    assert_eq!(restore(&mut bench, file.share(0)), Err(DiskFault::NotFound));
}

#[test]
fn the_trash_is_emptied_of_what_is_old_and_only_then_is_there_room() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    for share in [0, 1] {
        bench.served(file.put(share)).unwrap();
    }
    let before = bench.store.report();
    let bytes = before.used_bytes / 2;
    trash(&mut bench, file.share(0), 7).unwrap();
    trash(&mut bench, file.share(1), 8).unwrap();
    let counted = changes(&mut bench, &file);
    assert_eq!(empty(&mut bench, file.share(0), 7), Ok(Amount::default()));
    assert_eq!(empty(&mut bench, file.share(0), 8), Ok(Amount::one(bytes)));
    let report = bench.store.report();
    assert_eq!((report.used_bytes, report.trash), (bytes, Amount::one(bytes)));
    assert_eq!(
        changes(&mut bench, &file),
        counted + 1,
        "keepers were told of it until now"
    );
    assert_eq!(restore(&mut bench, file.share(0)), Err(DiskFault::NotFound));
    restore(&mut bench, file.share(1)).unwrap();
}

#[test]
fn what_came_meanwhile_is_never_replaced() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    bench.served(file.put(0)).unwrap();
    trash(&mut bench, file.share(0), 7).unwrap();
    bench.served(file.put(0)).unwrap();
    assert_eq!(restore(&mut bench, file.share(0)), Ok(Amount::default()));
    assert_eq!((bench.disk.shares().len(), bench.disk.trash().len()), (1, 1));
    assert_eq!(trash(&mut bench, file.share(0), 7), Err(DiskFault::Failed));
    trash(&mut bench, file.share(0), 8).unwrap();
    assert_eq!(bench.disk.trash().len(), 2);
}

#[test]
fn nothing_is_thrown_away_that_somebody_is_about_to_hear_of() {
    let (mut bench, file) = (Bench::new(), test_file(5, 100));
    bench.served(file.put(0)).unwrap();
    let find = bench.ask(file.find(0));
    assert_eq!(
        trash(&mut bench, file.share(0), 7),
        Err(DiskFault::Overloaded),
        "while it is looked for"
    );
    bench.answer(find).unwrap();
    // Once it is on its way out it is not shown.
    bench.store.trash(Ticket(90_000), file.share(0), mark(7));
    bench.drain();
    let find = bench.ask(file.find(0));
    bench.queued.reverse();
    bench.work();
    let Ok(Response::FoundShares(seen)) = bench.answer(find) else {
        panic!("found")
    };
    assert_eq!(seen.shares, []);
    bench.store.stop();
    assert_eq!(
        restore(&mut bench, file.share(0)),
        Err(DiskFault::Overloaded),
        "nothing is begun while the node stops"
    );
}

#[test]
fn a_start_counts_the_trash_as_used() {
    let mut disk = ModelDisk::new(1 << 20);
    let file = test_file(5, 100);
    let mut bench = Bench::with(config(Limits::default()), disk.clone());
    bench.served(file.put(0)).unwrap();
    trash(&mut bench, file.share(0), 7).unwrap();
    let before = bench.store.report();
    disk.clone_from(&bench.disk);
    let start = disk.crash();
    assert_eq!((start.share_count, start.used_bytes), (0, 0));
    let again = Store::new(config(Limits::default()), start, Mono::ZERO).report();
    assert_eq!((again.used_bytes, again.trash), (before.used_bytes, before.trash));
}

//! A store that is being emptied.

use super::*;

#[test]
fn a_draining_store_takes_nothing_finishes_what_is_open_and_serves() {
    let (mut bench, held, open, other) = (
        Bench::new(),
        test_file(5, 100),
        test_file(6, 2500),
        test_file(7, 100),
    );
    bench.served(held.put(0)).unwrap();
    bench.upload(&open, 0, 1);
    assert_eq!(bench.store.report().unfinished_shares, 1);
    bench.store.set_draining(true);
    assert_eq!(
        bench.code(other.put(0)),
        FailureCode::Full,
        "and not busy: it will not take it later either"
    );
    assert_eq!(bench.code(open.open(1, 1)), FailureCode::Full);
    let Ok(Response::Inventory(said)) = bench.served(Request::GetInventory) else {
        panic!()
    };
    assert!(said.draining && !said.accepts_shares);
    let Ok(Response::NodeStatus(status)) = bench.served(Request::GetStatus) else {
        panic!()
    };
    assert!(!status.accepts_shares);
    bench.served(open.close(0, 1)).unwrap();
    assert_eq!(bench.store.report().unfinished_shares, 0);
    assert_eq!(bench.found(&held), [ShareNumber(0)]);
    assert_eq!(
        bench.found(&open),
        [ShareNumber(0)],
        "what was begun before is there"
    );

    bench.store.set_draining(false);
    bench.served(other.put(0)).unwrap();
    let Ok(Response::Inventory(said)) = bench.served(Request::GetInventory) else {
        panic!()
    };
    assert!(!said.draining && said.accepts_shares);
}

#[test]
fn a_store_that_begins_as_draining_says_so_and_a_share_on_its_way_is_unfinished() {
    let file = test_file(5, 100);
    let draining = StoreConfig {
        draining: true,
        ..config(Limits::default())
    };
    let mut bench = Bench::with(draining, ModelDisk::new(1 << 20));
    assert!(bench.store.report().draining);
    assert_eq!(bench.code(file.put(0)), FailureCode::Full);
    bench.store.set_draining(false);
    bench.ask(file.put(0));
    bench.store.set_draining(true);
    assert_eq!(bench.store.report().unfinished_shares, 1, "it will be durable");
    bench.work();
    assert_eq!(bench.store.report().unfinished_shares, 0);
    assert_eq!(bench.found(&file), [ShareNumber(0)]);
}

//! Leases: durable when they are answered, whole whenever the machine stops, and never read as older than they are.

use truckee_engine::store::{Amount, Survey, TrashCause, TrashMark};
use truckee_engine::time::Day;
use truckee_grid::ids::StorageIndex;

use super::*;

/// 1,700,000,000 seconds, when the samples were written.
const WRITTEN: u32 = 19_675;

fn day(number: u32) -> Day {
    Day::from_number(number)
}

fn renew(disk: &dyn Disk, si: StorageIndex, today: u32) -> Result<DiskDone, DiskFault> {
    let (bucket, day) = (Bucket::of(&si), day(today));
    done(
        disk,
        DiskOp::Renew {
            bucket,
            day,
            sis: vec![si],
        },
    )
}

fn renewed(held: bool, restored: Amount) -> Result<DiskDone, DiskFault> {
    Ok(DiskDone::Renewed {
        held: vec![held],
        restored,
    })
}

fn survey(disk: &dyn Disk, si: StorageIndex) -> Result<Survey, DiskFault> {
    let (bucket, after) = (Bucket::of(&si), None);
    match done(disk, DiskOp::Survey { bucket, after }) {
        Ok(DiskDone::Surveyed(survey)) => Ok(survey),
        Err(fault) => Err(fault),
        other => panic!("{other:?}"),
    }
}

fn leases(disk: &dyn Disk, si: StorageIndex) -> Vec<(u8, Day)> {
    let survey = survey(disk, si).expect("surveyed");
    assert_eq!((survey.next, survey.unreadable), (None, 0));
    let of_file = survey.leased.iter().filter(|leased| leased.share.si == si);
    of_file
        .map(|leased| (leased.share.share.0, leased.lease))
        .collect()
}

fn collect(disk: &dyn Disk, share: ShareId, before: u32) -> Result<DiskDone, DiskFault> {
    done(
        disk,
        DiskOp::Trash {
            share,
            mark: TrashMark {
                day: day(20_000),
                cause: TrashCause::Expired,
            },
            leased_before: Some(day(before)),
        },
    )
}

fn all_shares_of_a_file_have_one_lease_and_others_their_own<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let (one, two, other) = (sample(5, 700, 6), sample(5, 700, 7), sample(9, 700, 0));
    for (incoming, sample) in [&one, &two, &other].into_iter().enumerate() {
        put(&disk, sample, incoming as u64).expect("stored");
    }
    let si = one.share.si;
    assert_eq!(
        leases(&disk, si),
        [(6, day(WRITTEN)), (7, day(WRITTEN))],
        "from their writing"
    );
    assert_eq!(renew(&disk, si, WRITTEN + 9), renewed(true, Amount::default()));
    assert_eq!(leases(&disk, si), [(6, day(WRITTEN + 9)), (7, day(WRITTEN + 9))]);
    assert_eq!(leases(&disk, other.share.si), [(0, day(WRITTEN))]);
    let strange = StorageIndex([0xee; 16]);
    assert_eq!(
        renew(&disk, strange, WRITTEN + 9),
        renewed(false, Amount::default())
    );
    assert!(
        !disk.files().paths.lease_table(Bucket::of(&strange)).exists(),
        "nothing is kept of it"
    );
    drop(disk);
    let (disk, _) = D::open_in(dir.path());
    assert_eq!(leases(&disk, si)[0], (6, day(WRITTEN + 9)));
}

/// Stops before every system call of a renewal and loses the power there.
fn a_stop_at_any_point_leaves_the_old_lease_or_the_new_one<D: Opens>() {
    let mut calls = 0;
    loop {
        let dir = TempDir::new().expect("temporary directory");
        let (disk, _) = D::open_in(dir.path());
        let sample = sample(5, 700, 6);
        let si = sample.share.si;
        put(&disk, &sample, 1).expect("stored");
        renew(&disk, si, WRITTEN + 5).expect("renewed");
        let table = disk.files().paths.lease_table(Bucket::of(&si));
        drop(disk);
        let budget = Budget::new(calls, io::ErrorKind::Other, false);
        let steps = Steps {
            budget: Some(Arc::clone(&budget)),
        };
        let (disk, _) = D::open_stopping(dir.path(), steps);
        let outcome = renew(&disk, si, WRITTEN + 9);
        // What was not made durable is cut; the table's name is durable with its directory.
        let unfinished = disk.files().paths.new_lease_table(Bucket::of(&si));
        let dirty = budget.left.lock().expect("no panic inside").1.clone();
        for path in [&unfinished, &table].into_iter().filter(|path| path.exists()) {
            if dirty.contains(path) {
                OpenOptions::new()
                    .write(true)
                    .open(path)
                    .and_then(|file| file.set_len(10))
                    .expect("can be cut");
            }
        }
        drop(disk);
        let (disk, _) = D::open_in(dir.path());
        let lease = leases(&disk, si)[0].1;
        if outcome.is_ok() {
            assert_eq!(lease, day(WRITTEN + 9), "after {calls} calls");
            break;
        }
        assert!(
            [day(WRITTEN + 5), day(WRITTEN + 9)].contains(&lease),
            "after {calls} calls: {lease:?}"
        );
        assert_eq!(renew(&disk, si, WRITTEN + 9), renewed(true, Amount::default()));
        calls += 1;
        assert!(calls < 20, "it never ends");
    }
    assert!(calls >= 5, "a table takes more than {calls} calls");
}

fn a_share_goes_only_by_its_lease_and_comes_back_with_a_renewal<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    let Ok(DiskDone::Stored { file_bytes }) = write(&disk, &sample, 1) else {
        panic!("stored")
    };
    let (share, si) = (sample.share, sample.share.si);
    assert_eq!(
        collect(&disk, share, WRITTEN),
        Ok(DiskDone::Kept),
        "it is of that day"
    );
    assert_eq!(
        collect(&disk, share, WRITTEN + 1),
        Ok(DiskDone::Trashed { file_bytes })
    );
    let listed = |disk: &dyn Disk| {
        let list = DiskOp::List {
            bucket: Bucket::of(&si),
            after: None,
        };
        match done(disk, list) {
            Ok(DiskDone::Listed(listing)) => listing.holdings,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(listed(&disk).len(), 1, "others are not to make it again");
    assert_eq!(leases(&disk, si), [], "it is not looked through");
    assert_eq!(
        renew(&disk, si, WRITTEN + 3),
        renewed(true, Amount::one(file_bytes))
    );
    assert_whole(&disk, &sample);
    assert_eq!(collect(&disk, share, WRITTEN + 3), Ok(DiskDone::Kept));
    assert_eq!(listed(&disk).len(), 1);
}

fn with_a_damaged_table_nothing_is_collected_and_the_next_renewal_renews_all<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let (sample, other) = (sample(5, 700, 6), sample(5, 700, 7));
    put(&disk, &sample, 1).expect("stored");
    put(&disk, &other, 2).expect("stored");
    let si = sample.share.si;
    renew(&disk, si, WRITTEN + 5).expect("renewed");
    let table = disk.files().paths.lease_table(Bucket::of(&si));
    let mut bytes = fs::read(&table).expect("readable");
    bytes[30] ^= 1;
    fs::write(&table, bytes).expect("writable");
    assert_eq!(collect(&disk, sample.share, WRITTEN + 99), Err(DiskFault::Failed));
    assert_eq!(survey(&disk, si), Err(DiskFault::Failed));
    assert_whole(&disk, &sample);
    renew(&disk, si, WRITTEN + 50).expect("renewed");
    let floor =
        truckee_engine::lease::LeaseTable::decode(Bucket::of(&si), &fs::read(&table).expect("readable"));
    let floor = floor.expect("whole again");
    assert_eq!(floor.lease(&StorageIndex([0; 16]), Day::FIRST), day(WRITTEN + 50));
}

fn what_is_held_no_more_is_forgotten<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 700, 6);
    put(&disk, &sample, 1).expect("stored");
    let si = sample.share.si;
    renew(&disk, si, WRITTEN + 5).expect("renewed");
    collect(&disk, sample.share, WRITTEN + 9).expect("thrown away");
    let (bucket, cause, before) = (Bucket::of(&si), TrashCause::Expired, day(20_001));
    done(
        &disk,
        DiskOp::Empty {
            bucket,
            cause,
            before,
        },
    )
    .expect("emptied");
    // Another file of the same bucket.
    let mut neighbour = si;
    neighbour.0[15] ^= 1;
    fs::create_dir_all(disk.files().paths.file(neighbour)).expect("made");
    fs::write(disk.files().paths.file(neighbour).join("0"), b"a share").expect("written");
    renew(&disk, neighbour, WRITTEN + 6).expect("renewed");
    let bytes = fs::read(disk.files().paths.lease_table(bucket)).expect("readable");
    let table = truckee_engine::lease::LeaseTable::decode(bucket, &bytes).expect("whole");
    assert_eq!(table.len(), 1, "only the neighbour");
}

on_each_disk!(
    all_shares_of_a_file_have_one_lease_and_others_their_own,
    a_stop_at_any_point_leaves_the_old_lease_or_the_new_one,
    a_share_goes_only_by_its_lease_and_comes_back_with_a_renewal,
    with_a_damaged_table_nothing_is_collected_and_the_next_renewal_renews_all,
    what_is_held_no_more_is_forgotten,
);

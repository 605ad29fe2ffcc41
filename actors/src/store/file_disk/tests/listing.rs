//! Lists of buckets: whole, in pages, past strange names, and with what is damaged or cannot be read among the shares.

use truckee_engine::store::{Holding, LIST_MAX, Listing};
use truckee_grid::ids::StorageIndex;

use super::*;

fn page(disk: &dyn Disk, bucket: Bucket, after: Option<ShareId>) -> Listing {
    match done(disk, DiskOp::List { bucket, after }) {
        Ok(DiskDone::Listed(listing)) => listing,
        other => panic!("{other:?}"),
    }
}

/// All pages, and how many there were.
fn list(disk: &dyn Disk, bucket: Bucket) -> (Vec<Holding>, usize) {
    let (mut all, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let listing = page(disk, bucket, after);
        assert!(listing.holdings.len() <= LIST_MAX);
        all.extend(listing.holdings);
        pages += 1;
        after = listing.next;
        if after.is_none() {
            return (all, pages);
        }
    }
}

/// A small share of a file in the bucket of `first`, told apart by `file`.
fn share_in(first: StorageIndex, file: u16, number: u8) -> Sample {
    let mut sample = sample(1, 40, number);
    sample.share.si = StorageIndex([7; 16]);
    sample.share.si.0[..2].copy_from_slice(&first.0[..2]);
    sample.share.si.0[8..10].copy_from_slice(&file.to_be_bytes());
    sample
}

fn holding(sample: &Sample, file_bytes: u64) -> Holding {
    Holding {
        share: sample.share,
        coding: sample.encoding.coding(),
        file_bytes,
    }
}

fn what_is_stored_is_listed_in_its_bucket<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let mut expected: BTreeMap<Bucket, Vec<Holding>> = BTreeMap::new();
    for seed in 1..20 {
        let large = sample(seed, 2500, seed % 10);
        let Ok(DiskDone::Stored { file_bytes }) = write(&disk, &large, u64::from(seed)) else {
            panic!("stored")
        };
        let bucket = Bucket::of(&large.share.si);
        expected
            .entry(bucket)
            .or_default()
            .push(holding(&large, file_bytes));
    }
    for bucket in Bucket::all() {
        let mut there = expected.remove(&bucket).unwrap_or_default();
        there.sort_by_key(|holding| holding.share);
        assert_eq!(list(&disk, bucket), (there, 1), "{bucket}");
    }
    assert!(expected.is_empty());
}

fn pages_hold_each_share_once_in_order<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let first = StorageIndex([9; 16]);
    let mut expected = Vec::new();
    // Two pages and a bit; the border of a page lies within a file.
    let files = LIST_MAX / 3 * 2 + 5;
    for file in (0..files as u16).rev() {
        for number in [9, 0, 4] {
            let small = share_in(first, file, number);
            let stored = put(&disk, &small, u64::from(file) * 10 + u64::from(number));
            assert!(matches!(stored, Ok(DiskDone::Stored { .. })), "{stored:?}");
            expected.push(small.share);
        }
    }
    expected.sort_unstable();
    let (listed, pages) = list(&disk, Bucket::of(&first));
    let shares: Vec<ShareId> = listed.iter().map(|holding| holding.share).collect();
    assert_eq!(shares, expected);
    assert_eq!(pages, 3);
    // What is behind any share, whether that is there or not.
    for at in [0, 1, 100, expected.len() - 1] {
        let behind = page(&disk, Bucket::of(&first), Some(expected[at]));
        let next = behind.holdings.first().map(|holding| holding.share);
        assert_eq!(next, expected.get(at + 1).copied());
    }
}

fn empty_directories_do_not_end_a_list<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let first = StorageIndex([9; 16]);
    let last = share_in(first, u16::MAX, 3);
    put(&disk, &last, 1).expect("stored");
    for file in 0..2 * LIST_MAX as u16 {
        let empty = share_in(first, file, 0).share;
        fs::create_dir_all(disk.files().paths.file(empty.si)).expect("made");
    }
    let (listed, pages) = list(&disk, Bucket::of(&first));
    assert_eq!((listed.len(), listed[0].share, pages), (1, last.share, 3));
}

fn other_names_are_no_shares<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let small = share_in(StorageIndex([9; 16]), 1, 3);
    put(&disk, &small, 1).expect("stored");
    let bucket = Bucket::of(&small.share.si);
    let (bucket_dir, file_dir) = (
        disk.files().paths.bucket(bucket),
        disk.files().paths.file(small.share.si),
    );
    for name in ["lost+found", "aaaa", "\u{fc}"] {
        fs::create_dir_all(bucket_dir.join(name)).expect("made");
    }
    // A file of another bucket does not belong here.
    fs::create_dir_all(bucket_dir.join(StorageIndex([200; 16]).to_base32())).expect("made");
    fs::write(
        bucket_dir.join(StorageIndex([200; 16]).to_base32()).join("0"),
        b"x",
    )
    .expect("written");
    fs::create_dir_all(&file_dir).expect("made");
    for name in ["03", "256", "3.new", "-1", "x"] {
        fs::write(file_dir.join(name), b"strange").expect("written");
    }
    let listing = page(&disk, bucket, None);
    let shares: Vec<ShareId> = listing.holdings.iter().map(|holding| holding.share).collect();
    assert_eq!(shares, [small.share]);
    assert_eq!((listing.put_aside, listing.unreadable), (0, 0));
    assert!(files_below(disk.files().paths.quarantine()).is_empty());
}

fn damaged_headers_are_put_aside_and_counted_and_blocks_are_not_read<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let first = StorageIndex([9; 16]);
    let samples: Vec<Sample> = (0..4).map(|number| share_in(first, 1, number)).collect();
    for (at, small) in samples.iter().enumerate() {
        put(&disk, small, at as u64).expect("stored");
    }
    // A block, the header, and the footer.
    let length = disk.flip(samples[1].share, 70);
    let bytes = disk.flip(samples[0].share, 30) + disk.flip(samples[3].share, length as usize - 1);
    let bucket = Bucket::of(&first);
    let reply = disk.carry_out(DiskOp::List { bucket, after: None });
    assert_eq!(reply.damage, Damage { shares: 2, bytes });
    let Ok(DiskDone::Listed(listing)) = reply.result else {
        panic!("{reply:?}")
    };
    let shares: Vec<ShareId> = listing.holdings.iter().map(|holding| holding.share).collect();
    assert_eq!(shares, [samples[1].share, samples[2].share]);
    assert_eq!((listing.put_aside, listing.next), (2, None));
    assert_eq!(files_below(disk.files().paths.quarantine()).len(), 2);
    let again = page(&disk, bucket, None);
    assert_eq!((again.holdings.len(), again.put_aside), (2, 0), "counted once");
}

fn what_cannot_be_read_does_not_hide_the_rest<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let first = StorageIndex([9; 16]);
    let (one, three) = (share_in(first, 1, 3), share_in(first, 3, 3));
    put(&disk, &one, 1).expect("stored");
    put(&disk, &three, 3).expect("stored");
    // The system reads no bytes of a directory, and no names of a file.
    fs::create_dir_all(disk.files().paths.share(share_in(first, 1, 2).share)).expect("made");
    fs::write(
        disk.files().paths.file(share_in(first, 2, 0).share.si),
        b"no directory",
    )
    .expect("written");
    let listing = page(&disk, Bucket::of(&first), None);
    let shares: Vec<ShareId> = listing.holdings.iter().map(|holding| holding.share).collect();
    assert_eq!(shares, [one.share, three.share]);
    assert_eq!((listing.unreadable, listing.put_aside), (2, 0));
}

fn a_list_goes_on_while_shares_are_written<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let first = StorageIndex([9; 16]);
    let disk = Arc::new(disk);
    let writer = {
        let disk = Arc::clone(&disk);
        std::thread::spawn(move || {
            for file in 0..100 {
                put(disk.as_ref(), &share_in(first, file, 1), u64::from(file)).expect("stored");
                if file % 3 == 0 {
                    let share = share_in(first, file, 1).share;
                    done(disk.as_ref(), DiskOp::Remove { share }).expect("removed");
                }
            }
        })
    };
    while !writer.is_finished() {
        let (listed, _) = list(disk.as_ref(), Bucket::of(&first));
        assert!(listed.is_sorted_by(|one, next| one.share < next.share));
    }
    writer.join().expect("no panic");
    assert_eq!(list(disk.as_ref(), Bucket::of(&first)).0.len(), 66);
    assert!(files_below(disk.files().paths.quarantine()).is_empty());
}

on_each_disk!(
    what_is_stored_is_listed_in_its_bucket,
    pages_hold_each_share_once_in_order,
    empty_directories_do_not_end_a_list,
    other_names_are_no_shares,
    damaged_headers_are_put_aside_and_counted_and_blocks_are_not_read,
    what_cannot_be_read_does_not_hide_the_rest,
    a_list_goes_on_while_shares_are_written,
);

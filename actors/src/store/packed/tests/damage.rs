//! Torn tails, flipped bits, and bytes that are no records at all.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::super::index_file::Contents;
use super::super::record::{ALIGNMENT, Head, PACK_HEAD_BYTES, PackHead, Row};
use super::super::start::follow;
use super::*;

fn filled(dir: &Path, shares: u8) -> Vec<Sample> {
    let disk = PackedDisk::open(dir).expect("opens").0;
    let samples: Vec<Sample> = (0..shares).map(|seed| sample(seed + 1, 300, seed)).collect();
    for sample in &samples {
        put(&disk, sample, 0).expect("stored");
    }
    samples
}

fn only_pack(dir: &Path) -> PathBuf {
    pack_files(dir, "pack").pop().expect("there is one")
}

fn lose_indexes(dir: &Path) {
    for path in pack_files(dir, "idx") {
        fs::remove_file(path).expect("removed");
    }
}

/// The last record is cut at every length: it is gone, the others are there, and the pack ends behind them.
#[test]
fn a_torn_tail_of_any_length_is_cut_off() {
    let dir = TempDir::new().expect("temporary directory");
    let samples = filled(dir.path(), 3);
    let whole = fs::read(only_pack(dir.path())).expect("readable");
    let record = (whole.len() - PACK_HEAD_BYTES) / 3;
    let last = PACK_HEAD_BYTES + 2 * record;
    let steps = (last..whole.len()).filter(|at| at.is_multiple_of(7) || *at < last + HEAD_BYTES + 8);
    for length in steps.chain([whole.len() - 1]) {
        let name = only_pack(dir.path());
        fs::write(&name, &whole[..length]).expect("writable");
        lose_indexes(dir.path());
        let disk = PackedDisk::open(dir.path()).expect("opens").0;
        // Behind the share file are a few bytes of padding; without them the share is whole.
        let is_whole = length >= last + HEAD_BYTES + share_bytes(&disk, samples[0].share);
        assert_eq!(is_there(&disk, samples[2].share), is_whole, "cut to {length}");
        samples[..2].iter().for_each(|sample| assert_whole(&disk, sample));
        let cut = fs::metadata(&name).expect("there").len() as usize;
        assert_eq!(cut, if is_whole { length } else { last }, "cut to {length}");
    }
}

fn share_bytes(disk: &PackedDisk, share: ShareId) -> usize {
    read_lock(&disk.log.index).held(share).expect("there").file_bytes as usize
}

/// Bits of heads and shares are flipped in a pack that has no index file. What is damaged is never served, what is not is.
#[test]
fn a_flipped_bit_costs_one_share_at_most() {
    let dir = TempDir::new().expect("temporary directory");
    let samples = filled(dir.path(), 3);
    let name = only_pack(dir.path());
    let whole = fs::read(&name).expect("readable");
    for at in (PACK_HEAD_BYTES..whole.len()).step_by(13) {
        let mut bytes = whole.clone();
        bytes[at] ^= 16;
        fs::write(&name, bytes).expect("writable");
        lose_indexes(dir.path());
        let disk = PackedDisk::open(dir.path()).expect("opens").0;
        let mut lost = 0;
        for sample in &samples {
            let verified = disk.carry_out(DiskOp::Verify { share: sample.share });
            match verified.result {
                Ok(_) => assert_whole(&disk, sample),
                Err(DiskFault::NotFound) => lost += 1,
                Err(DiskFault::Corrupt) => {
                    lost += 1;
                    assert_eq!(verified.damage.shares, 1, "byte {at}");
                    assert!(!is_there(&disk, sample.share), "byte {at}: put aside");
                }
                other => panic!("byte {at}: {other:?}"),
            }
        }
        assert!(lost <= 1, "byte {at}: {lost} are lost");
        drop(disk);
        // Others begin with the same pack alone.
        for path in files_below(&dir.path().join("packs")) {
            fs::remove_file(path).expect("removed");
        }
    }
}

/// A share in the middle that has rotted is kept in the books until somebody touches it; then it is put aside, and counted.
#[test]
fn a_damaged_share_before_the_last_batch_is_put_aside_by_who_touches_it() {
    for with_index in [false, true] {
        let dir = TempDir::new().expect("temporary directory");
        let samples = filled(dir.path(), 3);
        drop(PackedDisk::open(dir.path()).expect("opens").0);
        let name = only_pack(dir.path());
        let mut bytes = fs::read(&name).expect("readable");
        bytes[PACK_HEAD_BYTES + HEAD_BYTES + 70] ^= 1;
        fs::write(&name, bytes).expect("writable");
        if !with_index {
            lose_indexes(dir.path());
        }
        let (disk, start) = PackedDisk::open(dir.path()).expect("opens");
        assert_eq!(start.share_count, 3);
        let share = samples[0].share;
        let reply = disk.carry_out(DiskOp::Verify { share });
        assert_eq!(reply.result, Err(DiskFault::Corrupt));
        assert_eq!(reply.damage.bytes, start.used_bytes / 3);
        let again = disk.carry_out(DiskOp::Verify { share });
        assert_eq!((again.result, again.damage.shares), (Err(DiskFault::NotFound), 0));
        assert_eq!(files_below(&dir.path().join("quarantine")).len(), 1);
        put(&disk, &samples[0], 0).expect("its place is free");
        drop(disk);
        let (disk, start) = PackedDisk::open(dir.path()).expect("opens");
        assert_eq!(start.share_count, 3);
        samples.iter().for_each(|sample| assert_whole(&disk, sample));
    }
}

/// Every byte of an index file is changed, and it is cut at many lengths: the pack is read instead.
#[test]
fn a_damaged_index_file_is_made_again() {
    let dir = TempDir::new().expect("temporary directory");
    let samples = filled(dir.path(), 3);
    drop(PackedDisk::open(dir.path()).expect("opens").0);
    let name = pack_files(dir.path(), "idx").pop().expect("there");
    let whole = fs::read(&name).expect("readable");
    let contents = Contents::parse(&whole).expect("whole");
    let pack = fs::read(only_pack(dir.path())).expect("readable");
    assert_eq!(follow(contents.head, &pack), contents, "both say the same");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        assert_eq!(Contents::parse(&bytes), None, "byte {at}");
        assert_eq!(Contents::parse(&whole[..at]), None, "cut to {at}");
    }
    for length in [0, 50, whole.len() - 1] {
        fs::write(&name, &whole[..length]).expect("writable");
        let (disk, start) = PackedDisk::open(dir.path()).expect("opens");
        assert_eq!(start.share_count, 3);
        samples.iter().for_each(|sample| assert_whole(&disk, sample));
    }
    // One of a pack of another length is not about this one.
    let other = Contents {
        pack_bytes: contents.pack_bytes - 8,
        rows: Vec::new(),
        ..contents
    };
    fs::write(&name, other.encode()).expect("writable");
    let (_, start) = PackedDisk::open(dir.path()).expect("opens");
    assert_eq!(start.share_count, 3);
}

#[test]
fn a_pack_whose_head_is_damaged_is_kept_and_the_others_are_served() {
    let dir = TempDir::new().expect("temporary directory");
    let samples = filled(dir.path(), 3);
    let name = only_pack(dir.path());
    let whole = fs::read(&name).expect("readable");
    let mut bytes = whole.clone();
    bytes[17] ^= 1;
    fs::write(&name, &bytes).expect("writable");
    lose_indexes(dir.path());
    let (disk, start) = PackedDisk::open(dir.path()).expect("opens");
    assert_eq!(start.share_count, 0);
    put(&disk, &samples[1], 0).expect("stored again");
    tidy_all(&disk);
    drop(disk);
    assert_eq!(
        fs::read(&name).expect("readable"),
        bytes,
        "nothing is thrown away"
    );
    let disk = PackedDisk::open(dir.path()).expect("opens").0;
    assert_whole(&disk, &samples[1]);
    drop(disk);
    // Somebody mends it.
    fs::write(&name, whole).expect("writable");
    let (disk, start) = PackedDisk::open(dir.path()).expect("opens");
    assert_eq!(start.share_count, 3, "each once");
    samples.iter().for_each(|sample| assert_whole(&disk, sample));
}

/// An uploader writes a record into the block of its share, as it would look if the numbers of the pack were others.
#[test]
fn a_record_inside_a_share_is_none() {
    let dir = TempDir::new().expect("temporary directory");
    let samples = filled(dir.path(), 2);
    let name = only_pack(dir.path());
    let mut bytes = fs::read(&name).expect("readable");
    let head = PackHead::parse(&bytes).expect("whole");
    let first = PACK_HEAD_BYTES;
    let row = Head::parse(&head, &bytes[first..], first as u32)
        .expect("there")
        .row;
    // Within the first share: a removal of the second one, with every other salt than that of the pack.
    let second = first + row.record_bytes() as usize;
    let at = first + HEAD_BYTES + 64;
    let forged = Head {
        row: Row {
            at: at as u32,
            share: samples[1].share,
            state: record::State::Gone,
            file_bytes: 0,
            other: Some(record::Place {
                pack: head.number,
                at: second as u32,
            }),
            ..row
        },
        durable: 0,
        share_hash: record::share_hash(&[]),
    };
    let strange = PackHead {
        salt: [0; 16],
        ..head
    };
    for (salted, is_taken_in) in [(strange, false), (head, true)] {
        bytes[at..at + HEAD_BYTES].copy_from_slice(&forged.encode(&salted));
        // The search for the next record goes through the share when its own head is damaged.
        bytes[first] ^= 1;
        let rows = follow(head, &bytes).rows;
        assert_eq!(rows.iter().any(|row| row.at == at as u32), is_taken_in);
        bytes[first] ^= 1;
        let rows = follow(head, &bytes).rows;
        assert!(
            !rows.iter().any(|row| row.at == at as u32),
            "the head says how long the share is"
        );
    }
}

/// Random bytes, and records with random bytes changed, lead to no panic and to no record that was not written.
#[test]
fn whatever_the_bytes_only_written_records_are_found() {
    let seed = any_seed();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = TempDir::new().expect("temporary directory");
    filled(dir.path(), 4);
    let whole = fs::read(only_pack(dir.path())).expect("readable");
    let head = PackHead::parse(&whole).expect("whole");
    let written = follow(head, &whole).rows;
    assert_eq!(written.len(), 4);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..20) {
            match random.random_range(0..4) {
                0 => bytes.truncate(random.random_range(0..=bytes.len())),
                1 => {
                    let from = random.random_range(0..=bytes.len());
                    random.fill_bytes(&mut bytes[from..]);
                }
                2 if bytes.len() > ALIGNMENT => {
                    let at = random.random_range(0..bytes.len() - ALIGNMENT);
                    bytes.copy_within(at.., 0);
                }
                _ if !bytes.is_empty() => {
                    let at = random.random_range(0..bytes.len());
                    bytes[at] ^= 1 << random.random_range(0..8);
                }
                _ => {}
            }
        }
        let found = follow(head, &bytes);
        assert!(found.pack_bytes as usize <= bytes.len());
        for row in &found.rows {
            assert!(written.contains(row), "{row:?} was never written");
        }
        Contents::parse(&bytes);
        PackHead::parse(&bytes);
    }
}

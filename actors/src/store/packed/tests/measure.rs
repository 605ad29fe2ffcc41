//! What it costs, measured by hand: `cargo test -p truckee-actors --lib measure -- --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use bytes::Bytes;

use super::super::super::disk::Disk;
use super::super::log::Wish;
use super::super::record::share_hash;
use super::*;

/// Shares in a measurement of writing, for each thread.
const PUTS: u32 = 150;

/// A share with another storage index, so that one sample makes many.
fn numbered(sample: &Sample, number: u32) -> DiskOp {
    let mut share = sample.share;
    share.si.0[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    share.si.0[4..8].copy_from_slice(&number.to_be_bytes());
    DiskOp::Put {
        incoming: truckee_engine::store::IncomingId(u64::from(number)),
        share,
        closing: Box::new(sample.closing.clone()),
        block: sample.blocks[0].clone(),
    }
}

fn puts_per_second(disk: &dyn Disk, threads: u32, at_once: u32) -> f64 {
    let sample = sample(1, 1024, 3);
    let puts = PUTS.max(at_once * 20);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let sample = &sample;
            scope.spawn(move || {
                for from in (0..puts).step_by(at_once as usize) {
                    let number = |at| (threads * 100 + thread) * 1_000_000 + at_once * 10_000 + at;
                    let ops = (from..from + at_once).map(|at| numbered(sample, number(at)));
                    for reply in disk.carry_out_puts(ops.collect()) {
                        assert!(matches!(reply.result, Ok(DiskDone::Stored { .. })), "{reply:?}");
                    }
                }
            });
        }
    });
    f64::from(threads * puts.next_multiple_of(at_once)) / started.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement"]
fn measure_durable_puts() {
    let dir = TempDir::new().expect("temporary directory");
    let packed = PackedDisk::open(&dir.path().join("packed")).expect("opens").0;
    let files = FileDisk::open(&dir.path().join("files")).expect("opens").0;
    println!();
    for threads in [1, 4, 16] {
        let of_files = puts_per_second(&files, threads, 1);
        let of_packs = puts_per_second(&packed, threads, 1);
        let batches = puts_per_second(&packed, threads, 16);
        println!(
            "{threads} threads: files {of_files:.0}/s, packs {of_packs:.0}/s, packs by 16 {batches:.0}/s"
        );
    }
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("readable");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.expect("told") * 1024
}

/// A million records with share files of 400 bytes, as they are written; what is in them is not looked at here.
#[test]
#[ignore = "a measurement"]
fn measure_a_start_with_a_million_shares() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = PackedDisk::open(dir.path()).expect("opens").0;
    let (share_file, sample) = (Bytes::from(vec![7; 400]), sample(1, 10, 3));
    let (before, started) = (resident_bytes(), Instant::now());
    for batch in 0..1000_u32 {
        let wish = |at: u32| {
            let DiskOp::Put { share, closing, .. } = numbered(&sample, batch * 1000 + at) else {
                panic!("it is a put")
            };
            Wish::Put {
                share,
                written: closing.lease.granted,
                share_hash: share_hash(&share_file),
                share_file: share_file.clone(),
            }
        };
        let wishes = (0..1000).map(wish).collect();
        disk.log.commit(wishes).expect("stored");
    }
    let (took, more) = (started.elapsed().as_secs_f64(), resident_bytes() - before);
    println!("\nwritten in {took:.1} s, {} MB more resident", more / 1_000_000);
    drop(disk);
    for round in ["the last pack is read", "by index files", "without index files"] {
        if round == "without index files" {
            for path in pack_files(dir.path(), "idx") {
                fs::remove_file(path).expect("removed");
            }
        }
        let started = Instant::now();
        let (disk, start) = PackedDisk::open(dir.path()).expect("opens");
        let took = started.elapsed().as_secs_f64();
        assert_eq!(start.share_count, 1_000_000);
        println!("{round}: {took:.2} s");
        let started = Instant::now();
        let mut listed = 0;
        for bucket in Bucket::all() {
            match done(&disk, DiskOp::Survey { bucket, after: None }) {
                Ok(DiskDone::Surveyed(survey)) => listed += survey.leased.len(),
                other => panic!("{other:?}"),
            }
        }
        let took = started.elapsed().as_secs_f64();
        println!("leases of the first pages of all buckets, {listed} shares: {took:.2} s");
    }
}

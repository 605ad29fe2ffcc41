//! Random operations on the real disks and on the one in memory: all answer alike, also after starts and compaction.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use truckee_engine::store::IncomingId;
use truckee_engine::store::model::ModelDisk;
use truckee_grid::ids::SegmentIndex;

use super::super::super::file_disk::tests::write;
use super::*;

const ROUNDS: usize = 400;

/// Small shares that come whole, and others; of some files two.
fn samples() -> Vec<Sample> {
    let of_seed = |seed: u8| {
        let bytes = if seed.is_multiple_of(3) { 2500 } else { 300 };
        [sample(seed + 1, bytes, 2), sample(seed + 1, bytes, 7)]
    };
    (0..6).flat_map(of_seed).collect()
}

/// An operation on one of the shares that needs no other before it.
fn any_op(random: &mut StdRng, sample: &Sample, model: &ModelDisk) -> Option<DiskOp> {
    let (share, si) = (sample.share, sample.share.si);
    let bucket = Bucket::of(&si);
    let cause = TrashCause::ALL[random.random_range(0..2)];
    let day = Day::from_number(random.random_range(20_000..20_004));
    Some(match random.random_range(0..12) {
        0 => DiskOp::Find {
            si,
            inline_bytes_max: random.random_range(0..400),
        },
        1 => DiskOp::Read {
            share,
            segment: SegmentIndex(random.random_range(0..4)),
            suspect: random.random(),
        },
        2 => DiskOp::Verify { share },
        3 => DiskOp::List {
            bucket,
            after: random.random::<bool>().then_some(share),
        },
        4 => DiskOp::Remove { share },
        5 | 6 => {
            // What is not there is not found by all, whatever else the disk in memory says of it.
            model.shares().get(&share)?;
            let never = Day::from_number(1);
            DiskOp::Trash {
                share,
                mark: TrashMark { day, cause },
                leased_before: (random.random_range(0..4) == 0).then_some(never),
            }
        }
        7 | 8 => DiskOp::Restore { share },
        9 => DiskOp::Empty {
            bucket,
            cause,
            before: day,
        },
        10 => DiskOp::Renew {
            bucket,
            day,
            sis: vec![si],
        },
        _ => DiskOp::Survey { bucket, after: None },
    })
}

/// Days of leases are compared by the tests of leases: the disk in memory forgets none.
fn without_leases(result: Result<DiskDone, DiskFault>) -> Result<DiskDone, DiskFault> {
    result.map(|done| match done {
        DiskDone::Surveyed(mut survey) => {
            let leased = survey.leased.iter_mut();
            leased.for_each(|leased| leased.lease = Day::FIRST);
            DiskDone::Surveyed(survey)
        }
        other => other,
    })
}

fn write_model(model: &mut ModelDisk, sample: &Sample) -> Result<DiskDone, DiskFault> {
    let (incoming, share) = (IncomingId(1), sample.share);
    let create = DiskOp::Create {
        incoming,
        share,
        coding: sample.encoding.coding(),
        segment_bytes: sample.encoding.segment_bytes(),
        expected_bytes: sample.file_bytes(),
    };
    let created = model.carry_out(create).result?;
    if created != DiskDone::Created {
        return Ok(created);
    }
    for block in sample.blocks.clone() {
        let append = DiskOp::Append {
            incoming,
            share,
            block,
        };
        model.carry_out(append).result?;
    }
    let closing = Box::new(sample.closing.clone());
    model
        .carry_out(DiskOp::Finish {
            incoming,
            share,
            closing,
        })
        .result
}

fn put_model(model: &mut ModelDisk, sample: &Sample) -> Result<DiskDone, DiskFault> {
    let put = DiskOp::Put {
        incoming: IncomingId(1),
        share: sample.share,
        closing: Box::new(sample.closing.clone()),
        block: sample.blocks[0].clone(),
    };
    model.carry_out(put).result
}

fn all_answer_alike<D: Opens>(open: impl Fn(&Path) -> (D, StartSpace)) {
    let seed = any_seed();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = TempDir::new().expect("temporary directory");
    let (mut disk, mut model) = (open(dir.path()).0, ModelDisk::new(u64::MAX));
    let samples = samples();
    for round in 0..ROUNDS {
        let sample = &samples[random.random_range(0..samples.len())];
        let what = random.random_range(0..20);
        let (got, wanted) = match what {
            // A share of one block may also come block by block, and then lies elsewhere.
            0..=4 if sample.blocks.len() == 1 && random.random_range(0..4) > 0 => {
                (put(&disk, sample, 1), put_model(&mut model, sample))
            }
            0..=4 => (write(&disk, sample, 1), write_model(&mut model, sample)),
            5 => {
                drop(disk);
                let (opened, start) = open(dir.path());
                disk = opened;
                let wanted = model.crash();
                assert_eq!(
                    (start.share_count, start.used_bytes, start.trash),
                    (wanted.share_count, wanted.used_bytes, wanted.trash),
                    "seed {seed}, round {round}"
                );
                continue;
            }
            6 => {
                disk.tidy();
                continue;
            }
            _ => {
                let Some(op) = any_op(&mut random, sample, &model) else {
                    continue;
                };
                (done(&disk, op.clone()), model.carry_out(op).result)
            }
        };
        assert_eq!(
            without_leases(got),
            without_leases(wanted),
            "seed {seed}, round {round}, {what}"
        );
    }
}

#[test]
fn files_and_the_model_answer_alike() {
    (0..5).for_each(|_| all_answer_alike(FileDisk::open_in));
}

#[test]
fn packs_and_the_model_answer_alike() {
    (0..8).for_each(|_| all_answer_alike(|dir: &Path| open_small(dir, Steps::real()).expect("opens")));
}

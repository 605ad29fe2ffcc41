//! Stopped before every system call: what was acknowledged is there, and nothing else half.

use super::*;

/// A life of a disk: shares are put until packs roll over, some leave, some come back, packs are compacted.
const SHARES: u8 = 15;

/// What has been said of each share when the disk stopped, in the order of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Held,
    Trashed,
    Gone,
    /// Asked for and not answered: either.
    Open(&'static [Said]),
}

fn samples() -> Vec<Sample> {
    (0..SHARES).map(|seed| sample(seed + 1, 500, seed % 10)).collect()
}

/// Does one step after the other until the first fault; notes what was answered.
fn live(disk: &PackedDisk, samples: &[Sample], said: &mut [Said]) -> Result<(), DiskFault> {
    for (at, sample) in samples.iter().enumerate() {
        said[at] = Said::Open(&[Said::Nothing, Said::Held]);
        put(disk, sample, at as u64)?;
        said[at] = Said::Held;
        let share = sample.share;
        if at % 3 != 2 {
            said[at] = Said::Open(&[Said::Held, Said::Gone]);
            done(disk, DiskOp::Remove { share })?;
            said[at] = Said::Gone;
        }
        if at % 3 == 2 {
            said[at] = Said::Open(&[Said::Held, Said::Trashed]);
            trash(disk, share, 7)?;
            said[at] = Said::Trashed;
        }
        if at % 6 == 5 {
            said[at] = Said::Open(&[Said::Trashed, Said::Held]);
            done(disk, DiskOp::Restore { share })?;
            said[at] = Said::Held;
        }
        disk.tidy();
    }
    tidy_all(disk);
    Ok(())
}

fn is_as(disk: &PackedDisk, sample: &Sample, said: Said) -> bool {
    let (held, index) = (is_there(disk, sample.share), read_lock(&disk.log.index));
    let thrown = index.thrown_of(sample.share).count();
    match said {
        Said::Nothing | Said::Gone => !held && thrown == 0,
        Said::Held => held && thrown == 0,
        Said::Trashed => !held && thrown == 1,
        Said::Open(either) => {
            drop(index);
            either.iter().any(|said| is_as(disk, sample, *said))
        }
    }
}

fn assert_as_said(disk: &PackedDisk, samples: &[Sample], said: &[Said], when: &str) {
    for (sample, said) in samples.iter().zip(said) {
        assert!(
            is_as(disk, sample, *said),
            "{when}: {} is not {said:?}",
            sample.share
        );
        if is_there(disk, sample.share) {
            assert_whole(disk, sample);
        }
    }
}

/// Cuts what was written to packs and never synced: all of it, half of it, or nothing.
fn lose_power(dir: &Path, durable: &BTreeMap<PathBuf, u64>, keep: u64) {
    for path in pack_files(dir, "pack") {
        let length = fs::metadata(&path).expect("there").len();
        let synced = durable.get(&path).copied().unwrap_or(0).min(length);
        let file = fs::OpenOptions::new().write(true).open(&path).expect("opens");
        file.set_len(synced + (length - synced) * keep / 2).expect("cut");
    }
}

/// Lengths of packs as far as the disk has said that they are durable.
fn durable(disk: &PackedDisk) -> BTreeMap<PathBuf, u64> {
    let all = pack_files(disk.log.files.dir().parent().expect("has one"), "pack");
    let open = disk.log.writer().durable();
    let length = |path: &PathBuf| fs::metadata(path).expect("there").len();
    all.into_iter()
        .map(|path| {
            let of_open = open.filter(|(number, _)| disk.log.files.pack(*number) == path);
            let length = of_open.map_or_else(|| length(&path), |(_, bytes)| u64::from(bytes));
            (path, length)
        })
        .collect()
}

#[test]
fn a_stop_at_any_call_keeps_what_was_answered_and_nothing_half() {
    let samples = samples();
    for first in 0..2 {
        let mut calls = 0;
        loop {
            // Neighbouring calls lose different parts; every sync costs the test its time.
            let keep = (first + calls) % 3;
            let dir = TempDir::new().expect("temporary directory");
            let mut said = vec![Said::Nothing; samples.len()];
            let disk = stopping_after(dir.path(), calls).expect("nothing is there yet");
            let outcome = live(&disk, &samples, &mut said);
            let durable = durable(&disk);
            drop(disk);
            lose_power(dir.path(), &durable, keep);
            let (disk, start) = open_small(dir.path(), Steps::real()).expect("opens after the stop");
            let when = format!("after {calls} calls, {keep} halves kept");
            assert_as_said(&disk, &samples, &said, &when);
            let held = samples.iter().filter(|sample| is_there(&disk, sample.share));
            assert_eq!(start.share_count, held.count() as u64, "{when}");
            // It goes on from there, and a further start finds the same.
            tidy_all(&disk);
            assert_as_said(&disk, &samples, &said, &when);
            drop(disk);
            assert_as_said(&open(dir.path()), &samples, &said, &format!("{when}, again"));
            if outcome.is_ok() {
                assert!(!pack_files(dir.path(), "idx").is_empty());
                assert!(!dir.path().join("packs/1.pack").exists(), "it was compacted");
                assert!(calls > 80, "a life takes more than {calls} calls");
                break;
            }
            calls += 1;
        }
    }
}

/// A start is stopped as well, before each of its calls; the next one finds all.
#[test]
fn a_stop_while_starting_loses_nothing() {
    let samples = samples();
    let mut calls = 0;
    loop {
        let dir = TempDir::new().expect("temporary directory");
        let disk = open(dir.path());
        let mut said = vec![Said::Nothing; samples.len()];
        live(&disk, &samples, &mut said).expect("lives");
        drop(disk);
        for path in pack_files(dir.path(), "idx") {
            fs::remove_file(path).expect("removed");
        }
        let tail = pack_files(dir.path(), "pack").pop().expect("there");
        let mut bytes = fs::read(&tail).expect("readable");
        bytes.extend([7; 100]);
        fs::write(&tail, bytes).expect("writable");
        let stopped = stopping_after(dir.path(), calls).is_err();
        let disk = open(dir.path());
        assert_as_said(&disk, &samples, &said, &format!("after {calls} calls"));
        if !stopped {
            assert!(calls >= 4, "a pack is cut, synced, and gets an index file");
            break;
        }
        calls += 1;
    }
}

#[test]
fn an_unwritten_index_file_stops_nothing() {
    let dir = TempDir::new().expect("temporary directory");
    let samples = samples();
    let disk = open(dir.path());
    // In the way of every index file.
    for number in 0..20 {
        fs::create_dir(disk.log.files.index(number)).expect("made");
    }
    for (at, sample) in samples.iter().enumerate() {
        put(&disk, sample, at as u64).expect("stored");
    }
    for number in 0..20 {
        fs::remove_dir(disk.log.files.index(number)).expect("removed");
    }
    drop(disk);
    let disk = open(dir.path());
    samples.iter().for_each(|sample| assert_whole(&disk, sample));
}

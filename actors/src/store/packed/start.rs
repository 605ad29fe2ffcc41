//! What a start finds in `packs/`: reads index files, or the packs that have none, and follows their records.
//!
//! A pack without an index file is one that was written to when the node stopped, or whose index file was lost. Each record says
//! how much of the pack was durable before it. What lies before the most that any record says was acknowledged, perhaps: a
//! damaged share there is kept in the index, so that whoever touches it finds the damage and puts it aside; a damaged head is
//! passed over to the next good one. What lies behind belongs to the last batch. Nothing was written after that batch, so if
//! a record of it is not whole, the sync of the batch has not returned, and nobody was told of any of it: what is whole
//! stays, the rest is as if it had never been, and the pack is cut behind the last whole record. (If the last batch was
//! acknowledged and has rotted before the next was written, that cannot be told from a torn write; its share is lost either
//! way, and its like make it good.)
//!
//! Nothing is ever appended to a pack of an earlier life.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use metrics::counter;

use super::super::file_disk::steps::Steps;
use super::super::file_disk::{DiskError, scan};
use super::PACK_BYTES;
use super::files::{PackFiles, parse_name};
use super::index::Index;
use super::index_file::Contents;
use super::log::Log;
use super::record::{ALIGNMENT, HEAD_BYTES, Head, PACK_HEAD_BYTES, PackHead, Row, share_hash};
use super::writer::write_index;
use crate::metrics as names;

/// Longest index file that is read: one of a pack of the greatest length. Longer ones are none.
const INDEX_BYTES_MAX: u64 = 1 << 31;

/// Looks from outside while the node that writes removes packs: each time it has filled another one.
const LOOKS_MAX: usize = 4;

/// What was found of a pack.
pub(super) enum Found {
    Contents(Contents),
    /// No records, whole or not.
    Nothing,
    /// There may be records, and nobody can say which.
    Unreadable(&'static str),
}

/// Reads the packs below `dir`, in which a node may write meanwhile.
pub(super) fn look(dir: &Path) -> Result<Log, DiskError> {
    let packs_dir = PackFiles::below(dir).dir().to_owned();
    let seen = || scan::at(&packs_dir, numbers(&packs_dir)).map(|(packs, _)| packs);
    let mut looks = 0;
    loop {
        let before = seen()?;
        let log = open(dir, Steps::real(), PACK_BYTES, true)?;
        looks += 1;
        // Else what was in a pack that is gone may be in one that was not there when we began.
        if looks == LOOKS_MAX || seen()? == before {
            return Ok(log);
        }
    }
}

/// Opens the packs below `dir`. If `only_to_look`, nothing is made, cut or removed.
pub(super) fn open(dir: &Path, steps: Steps, pack_bytes: u32, only_to_look: bool) -> Result<Log, DiskError> {
    let files = PackFiles::below(dir);
    if !only_to_look {
        scan::at(files.dir(), scan::make(files.dir()))?;
    }
    let (packs, indexes) = scan::at(files.dir(), numbers(files.dir()))?;
    let mut index = Index::default();
    packs.iter().for_each(|number| index.add_pack(*number));
    for number in &packs {
        let found = match load(&files, *number) {
            Ok(found) => found,
            Err(error) if only_to_look && error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(error) => {
                tracing::error!(pack = number, %error, "the disk refused to read a pack");
                Found::Unreadable("the disk refused to read it")
            }
        };
        let found = match found {
            Found::Contents(contents) if !only_to_look && !indexes.contains(number) => {
                let path = files.pack(*number);
                scan::at(&path, settle(&files, &steps, &contents))?;
                Found::Contents(contents)
            }
            other => other,
        };
        take_up(&mut index, &files, &steps, *number, found, only_to_look)?;
    }
    index.end_of_records();
    if !only_to_look {
        for lost in indexes.difference(&packs) {
            let path = files.index(*lost);
            scan::at(&path, steps.remove(&path))?;
        }
    }
    let last = packs.last().max(indexes.last()).copied().unwrap_or(0);
    Ok(Log::new(files, steps, index, last.saturating_add(1), pack_bytes))
}

fn take_up(
    index: &mut Index,
    files: &PackFiles,
    steps: &Steps,
    number: u32,
    found: Found,
    only_to_look: bool,
) -> Result<(), DiskError> {
    match found {
        Found::Contents(contents) => contents.rows.iter().for_each(|row| index.apply(number, row)),
        Found::Nothing => {
            index.drop_pack(number);
            if !only_to_look {
                let path = files.pack(number);
                scan::at(&path, steps.remove(&path))?;
                scan::at(files.dir(), steps.sync_dir(files.dir()))?;
            }
        }
        Found::Unreadable(why) => {
            counter!(names::STORE_DISK_ERRORS, "operation" => "start").increment(1);
            tracing::error!(
                pack = number,
                why,
                "a pack cannot be read; its shares are not served, and it is kept"
            );
            if let Some(pack) = index.pack_mut(number) {
                pack.is_unreadable = true;
            }
        }
    }
    if let Some(pack) = index.pack_mut(number) {
        pack.is_closed = true;
    }
    Ok(())
}

/// The numbers of packs and of index files.
fn numbers(dir: &Path) -> io::Result<(BTreeSet<u32>, BTreeSet<u32>)> {
    let (mut packs, mut indexes) = (BTreeSet::new(), BTreeSet::new());
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((packs, indexes)),
        other => other?,
    };
    for entry in entries {
        let name = entry?.file_name();
        match name.to_str().and_then(parse_name) {
            Some((number, "pack")) => packs.insert(number),
            Some((number, "idx")) => indexes.insert(number),
            _ => false,
        };
    }
    Ok((packs, indexes))
}

/// What lies in a pack, by its index file if that is good.
pub(super) fn load(files: &PackFiles, number: u32) -> io::Result<Found> {
    let mut pack = File::open(files.pack(number))?;
    let pack_bytes = pack.metadata()?.len();
    let index = read_index(files, number)?;
    let index = index.filter(|contents| contents.head.number == number);
    if let Some(contents) = &index
        && u64::from(contents.pack_bytes) == pack_bytes
    {
        return Ok(index.map_or(Found::Nothing, Found::Contents));
    }
    if pack_bytes > u64::from(u32::MAX) {
        return Ok(Found::Unreadable("it is longer than any pack"));
    }
    let mut bytes = Vec::new();
    pack.read_to_end(&mut bytes)?;
    let head = PackHead::parse(&bytes).filter(|head| head.number == number);
    let Some(head) = head.or(index.map(|contents| contents.head)) else {
        // Records are only written behind a head that is durable.
        let is_begun = bytes.len() > PACK_HEAD_BYTES;
        return Ok(match is_begun {
            true => Found::Unreadable("its head is damaged"),
            false => Found::Nothing,
        });
    };
    let contents = follow(head, &bytes);
    Ok(match contents.rows.is_empty() {
        true => Found::Nothing,
        false => Found::Contents(contents),
    })
}

fn read_index(files: &PackFiles, number: u32) -> io::Result<Option<Contents>> {
    let file = match File::open(files.index(number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(INDEX_BYTES_MAX).read_to_end(&mut bytes)?;
    let contents = Contents::parse(&bytes);
    if contents.is_none() {
        tracing::warn!(
            pack = number,
            "the index file of a pack is damaged; the pack is read"
        );
    }
    Ok(contents)
}

/// The records of a pack, and how much of it they are.
pub(super) fn follow(head: PackHead, bytes: &[u8]) -> Contents {
    let (mut found, mut at, mut passed_over) = (Vec::new(), PACK_HEAD_BYTES, Vec::new());
    while at < bytes.len() {
        let Some(record) = Head::parse(&head, &bytes[at..], at as u32) else {
            passed_over.push(at as u32);
            at += ALIGNMENT;
            continue;
        };
        let share = at + HEAD_BYTES..at + HEAD_BYTES + record.row.file_bytes as usize;
        let is_whole = bytes
            .get(share)
            .is_some_and(|share| share_hash(share) == record.share_hash);
        found.push((record, is_whole));
        at += record.row.record_bytes() as usize;
    }
    let durable = found.iter().map(|(record, _)| record.durable).max().unwrap_or(0);
    let is_kept = |(record, is_whole): &(Head, bool)| *is_whole || record.row.at < durable;
    let rows: Vec<Row> = found
        .iter()
        .filter(|one| is_kept(one))
        .map(|(record, _)| record.row)
        .collect();
    let lost = passed_over.iter().filter(|at| **at < durable).count() * ALIGNMENT;
    if lost > 0 {
        tracing::error!(
            pack = head.number,
            bytes = lost,
            "damaged records of a pack are passed over; their shares are not served"
        );
    }
    let end = rows.last().map_or(0, |row| row.at + row.record_bytes());
    Contents {
        head,
        pack_bytes: end.max(durable).min(bytes.len() as u32),
        rows,
    }
}

/// Makes what was found in a pack without an index file durable: it may have been written and never synced.
fn settle(files: &PackFiles, steps: &Steps, contents: &Contents) -> io::Result<()> {
    let path = files.pack(contents.head.number);
    let pack = OpenOptions::new().write(true).open(&path)?;
    if pack.metadata()?.len() > u64::from(contents.pack_bytes) {
        tracing::info!(
            pack = contents.head.number,
            "what was not acknowledged is cut off a pack"
        );
        steps.truncate(&pack, &path, u64::from(contents.pack_bytes))?;
    }
    steps.sync(&pack, &path)?;
    write_index(files, steps, contents);
    Ok(())
}

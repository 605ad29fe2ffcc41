//! The files of the packs: `packs/<number>.pack` and `packs/<number>.idx`. Owns their names and a bounded number of open
//! ones to read from.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::file_disk::recent::without_pages;
use super::super::file_disk::source::read_at_once;
use super::index::Slot;
use super::record::HEAD_BYTES;

/// Open packs kept: all of a node with three million shares, and few of the descriptors that a process has.
const OPEN_MAX: usize = 64;
/// Pages of any system are no longer than a multiple of this; longer ones make the wish that they be forgotten vain.
const PAGE_BYTES: u64 = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct PackFiles {
    dir: PathBuf,
    /// The one used last is last.
    open: Mutex<VecDeque<(u32, Arc<File>)>>,
}

impl PackFiles {
    pub(super) fn below(dir: &Path) -> PackFiles {
        PackFiles {
            dir: dir.join("packs"),
            open: Mutex::default(),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn pack(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number}.pack"))
    }

    pub(super) fn index(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number}.idx"))
    }

    /// The share file in a record, or as much of it as the pack has.
    pub(super) fn read(&self, slot: Slot) -> io::Result<Vec<u8>> {
        let file = self.open(slot.place.pack)?;
        let mut bytes = vec![0; slot.file_bytes as usize];
        let (mut filled, from) = (0, share_at(slot));
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], from + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The same if nobody has to wait for it: the pack is open, and the system has the bytes in memory.
    pub(super) fn read_at_once(&self, slot: Slot) -> Option<Vec<u8>> {
        let file = self.opened().iter().rev().find_map(|(there, file)| {
            let is_it = *there == slot.place.pack;
            is_it.then(|| Arc::clone(file))
        })?;
        let mut bytes = vec![0; slot.file_bytes as usize];
        read_at_once(&file, &mut bytes, share_at(slot)).ok()?;
        Some(bytes)
    }

    /// What the system remembers of a share says nothing about the disk.
    pub(super) fn forget_pages(&self, slot: Slot) -> io::Result<()> {
        let file = self.open(slot.place.pack)?;
        let from = share_at(slot) / PAGE_BYTES * PAGE_BYTES;
        let to = (share_at(slot) + u64::from(slot.file_bytes)).next_multiple_of(PAGE_BYTES);
        without_pages(&file, from, to - from);
        Ok(())
    }

    fn open(&self, number: u32) -> io::Result<Arc<File>> {
        let mut open = self.opened();
        if let Some(at) = open.iter().position(|(there, _)| *there == number)
            && let Some((_, file)) = open.remove(at)
        {
            open.push_back((number, Arc::clone(&file)));
            return Ok(file);
        }
        let file = Arc::new(File::open(self.pack(number))?);
        open.push_back((number, Arc::clone(&file)));
        if open.len() > OPEN_MAX {
            open.pop_front();
        }
        Ok(file)
    }

    /// A pack is gone. Who reads from it reads to the end.
    pub(super) fn forget(&self, number: u32) {
        self.opened().retain(|(there, _)| *there != number);
    }

    fn opened(&self) -> MutexGuard<'_, VecDeque<(u32, Arc<File>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn share_at(slot: Slot) -> u64 {
    u64::from(slot.place.at) + HEAD_BYTES as u64
}

/// The number of a pack and the kind of its file, if a name says them in the one way in which they are written here.
pub(super) fn parse_name(name: &str) -> Option<(u32, &str)> {
    let (text, kind) = name.split_once('.')?;
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some((number, kind))
}

//! Open share files: what their end says, checked once, and reads by offset. Owns a bounded number of descriptors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use truckee_engine::store::{DiskFault, ShareId};
use truckee_grid::ids::{Hash, SegmentIndex};
use truckee_grid::merkle;
use truckee_grid::share::{FOOTER_BYTES, Footer, HEADER_BYTES, ShareLayout, VerifyError, verify_share};
use truckee_grid::ueb::{Ueb, hash_of_encoded};
use truckee_wire::message::{BlockRead, FileFacts, SealedProof};

use super::buffers::Buffer;
use super::hashes;
use super::paths::Paths;
use super::source::Source;
use super::{Trouble, Turn, Wrong};

/// Open files kept. A download keeps one share of this node busy; 64 downloads at once without opening again.
const OPEN_MAX: usize = 64;

/// Reads of a share that are left to the threads after one that would have had to wait: asking has the system begin to fetch what
/// is asked for, out of the order in which the threads will, and costs a share that has to come from the disk as much as it saves
/// one that is in memory.
const LEFT_AFTER_WAIT: u32 = 32;

/// A finished share whose header, footer, UEB and share roots are right.
#[derive(Debug)]
pub(in crate::store) struct Opened {
    ends: Ends,
    facts: FileFacts,
    /// Reads that are left to the threads before the next try.
    left_to_threads: AtomicU32,
}

/// A finished share whose header and footer are right: what the least look at a share tells.
#[derive(Debug)]
pub(in crate::store) struct Ends {
    source: Source,
    pub(in crate::store) file_bytes: u64,
    pub(in crate::store) footer: Footer,
}

impl Ends {
    pub(super) fn open(paths: &Paths, share: ShareId) -> Result<Ends, Trouble> {
        Ends::open_at(&paths.share(share), share)
    }

    /// Wherever it lies.
    pub(super) fn open_at(path: &Path, share: ShareId) -> Result<Ends, Trouble> {
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Trouble::Plain(DiskFault::NotFound),
            _ => Trouble::Io(error),
        })?;
        Ends::of(Source::File(Arc::new(file)), share)
    }

    /// Wherever its bytes come from.
    pub(in crate::store) fn of(source: Source, share: ShareId) -> Result<Ends, Trouble> {
        let file_bytes = source.length()?;
        let damaged = |why: &dyn std::fmt::Display| wrong(&source, why);
        let footer_at = file_bytes
            .checked_sub(FOOTER_BYTES as u64)
            .ok_or_else(|| damaged(&"the file is shorter than a footer"))?;
        let mut bytes = [0; FOOTER_BYTES];
        source.read_exact_at(&mut bytes, footer_at)?;
        let footer = Footer::parse(&bytes, file_bytes).map_err(|error| damaged(&error))?;
        if (footer.header.si, footer.header.share) != (share.si, share.share) {
            return Err(damaged(&"it is another share than its name says"));
        }
        let mut header = [0; HEADER_BYTES];
        source.read_exact_at(&mut header, 0)?;
        if header != footer.header.encode() {
            return Err(damaged(&"its header is not the one that its footer repeats"));
        }
        Ok(Ends {
            source,
            file_bytes,
            footer,
        })
    }
}

fn wrong(source: &Source, why: &dyn std::fmt::Display) -> Trouble {
    Trouble::Damaged(Wrong {
        why: why.to_string(),
        source: source.clone(),
    })
}

impl Opened {
    fn open(paths: &Paths, share: ShareId) -> Result<Opened, Trouble> {
        Opened::from_ends(Ends::open(paths, share)?)
    }

    /// Wherever its bytes come from.
    pub(in crate::store) fn of(source: Source, share: ShareId) -> Result<Opened, Trouble> {
        Opened::from_ends(Ends::of(source, share)?)
    }

    fn from_ends(ends: Ends) -> Result<Opened, Trouble> {
        let facts = read_facts(&ends)?;
        Ok(Opened {
            ends,
            facts,
            left_to_threads: AtomicU32::new(0),
        })
    }

    fn layout(&self) -> &ShareLayout {
        &self.ends.footer.layout
    }

    pub(in crate::store) fn facts(&self) -> &FileFacts {
        &self.facts
    }

    pub(in crate::store) fn block(&self, segment: SegmentIndex) -> Result<Bytes, Trouble> {
        self.block_from(&self.ends.source, segment)
    }

    fn block_from(&self, source: &Source, segment: SegmentIndex) -> Result<Bytes, Trouble> {
        let segments = self.facts.ueb.segments();
        let (at, length) = self
            .layout()
            .block(segment)
            .ok_or(Trouble::Plain(DiskFault::NoSuchSegment { segments }))?;
        read(source, at, length).map(Buffer::freeze)
    }

    /// One block with what proves it.
    pub(in crate::store) fn read(&self, segment: SegmentIndex) -> Result<BlockRead, Trouble> {
        self.read_from(&self.ends.source, segment)
    }

    /// The same if nobody has to wait for it; whatever else it is, is left to [`Opened::read`], and so are some of those that
    /// follow.
    pub(in crate::store) fn read_at_once(&self, segment: SegmentIndex) -> Option<BlockRead> {
        let left = &self.left_to_threads;
        let is_left = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if is_left.is_ok() {
            return None;
        }
        let read = self.read_from(&self.ends.source.without_waiting(), segment).ok();
        if read.is_none() {
            left.store(LEFT_AFTER_WAIT, Ordering::Relaxed);
        }
        read
    }

    fn read_from(&self, source: &Source, segment: SegmentIndex) -> Result<BlockRead, Trouble> {
        let block = self.block_from(source, segment)?;
        let mut places = self.layout().block_path(segment);
        let path_length = places.len();
        places.extend(self.layout().sealed_path(segment));
        let mut block_path = hashes::fetch(&places, |buffer, at| source.read_exact_at(buffer, at))?;
        let mut sealed = block_path.split_off(path_length);
        if sealed.is_empty() {
            let why = "the sealed tree has no leaf for a segment that is there";
            return Err(wrong(&self.ends.source, &why));
        }
        let leaf = sealed.remove(0);
        Ok(BlockRead {
            block_path,
            sealed: SealedProof { leaf, path: sealed },
            block,
        })
    }

    /// What is wrong with the share.
    pub(in crate::store) fn wrong(&self, why: &dyn std::fmt::Display) -> Trouble {
        wrong(&self.ends.source, why)
    }

    /// Reads all and checks every hash, waiting for its turn before each read; gives the bytes read. They come from the
    /// disk: what is in the memory of the system says nothing about that, and is forgotten before, and again afterwards,
    /// because nobody is about to ask for it.
    pub(in crate::store) fn verify(&self, turn: &dyn Turn) -> Result<u64, Trouble> {
        let Ends {
            source, file_bytes, ..
        } = &self.ends;
        source.forget_pages();
        let checked = self.check(turn);
        source.forget_pages();
        checked.map(|()| *file_bytes)
    }

    fn check(&self, turn: &dyn Turn) -> Result<(), Trouble> {
        let Ends {
            source, file_bytes, ..
        } = &self.ends;
        let checked = verify_share(*file_bytes, |at, buffer: &mut [u8]| -> Result<(), Trouble> {
            turn.wait()?;
            Ok(source.read_exact_at(buffer, at)?)
        });
        match checked {
            Ok(_) => Ok(()),
            Err(VerifyError::Read(trouble)) => Err(trouble),
            Err(VerifyError::TooShort { .. }) => Err(wrong(source, &"the file is shorter than a footer")),
            Err(VerifyError::Footer(why)) => Err(wrong(source, &why)),
            Err(VerifyError::Ueb(why)) => Err(wrong(source, &why)),
            Err(VerifyError::Damaged(part)) => Err(wrong(source, &format_args!("its {part} is damaged"))),
        }
    }
}

fn read(source: &Source, at: u64, length: usize) -> Result<Buffer, Trouble> {
    let mut buffer = Buffer::of(length);
    source.read_exact_at(buffer.as_mut(), at)?;
    Ok(buffer)
}

/// UEB and share roots, checked against the footer and each other.
fn read_facts(ends: &Ends) -> Result<FileFacts, Trouble> {
    let Ends { source, footer, .. } = ends;
    let layout = &footer.layout;
    let encoded = read(source, layout.ueb(), layout.ueb_bytes())?;
    if hash_of_encoded(encoded.as_ref()) != footer.ueb_hash {
        return Err(wrong(source, &"its UEB is not the one that its footer names"));
    }
    let ueb = Ueb::decode(encoded.as_ref()).map_err(|error| wrong(source, &error))?;
    let joined = read(source, layout.share_roots(), layout.share_roots_bytes())?;
    let share_roots: Vec<Hash> = joined.as_ref().as_chunks().0.iter().copied().map(Hash).collect();
    if merkle::share_root(&share_roots).as_ref() != Some(ueb.share_root()) {
        return Err(wrong(
            source,
            &"its share roots do not lead to the root in its UEB",
        ));
    }
    Ok(FileFacts { ueb, share_roots })
}

/// Open shares, the least recently used forgotten first.
#[derive(Debug, Default)]
pub(super) struct OpenCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    used: u64,
    shares: BTreeMap<ShareId, (u64, Arc<Opened>)>,
}

impl OpenCache {
    pub(super) fn get(&self, paths: &Paths, share: ShareId) -> Result<Arc<Opened>, Trouble> {
        if let Some(opened) = self.hit(share) {
            return Ok(opened);
        }
        let opened = Arc::new(Opened::open(paths, share)?);
        let mut cached = self.cached();
        cached.used += 1;
        let used = cached.used;
        cached.shares.insert(share, (used, Arc::clone(&opened)));
        if cached.shares.len() > OPEN_MAX {
            let oldest = cached
                .shares
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(share, _)| *share);
            if let Some(oldest) = oldest {
                cached.shares.remove(&oldest);
            }
        }
        Ok(opened)
    }

    /// The share if it is open.
    pub(super) fn hit(&self, share: ShareId) -> Option<Arc<Opened>> {
        let mut cached = self.cached();
        cached.used += 1;
        let used = cached.used;
        let (last, opened) = cached.shares.get_mut(&share)?;
        *last = used;
        Some(Arc::clone(opened))
    }

    pub(super) fn forget(&self, share: ShareId) {
        self.cached().shares.remove(&share);
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, Cached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Share files on simulated disks: what the disk operations of the store machine mean for bytes, and judging a file with
//! the eyes of an outsider.
//!
//! As on the real disk, structure is checked (header, footer, lengths, facts about the file) and blocks are not hashed; what
//! does not check is put aside.

use std::convert::Infallible;

use bytes::Bytes;
use truckee_engine::store::{
    Amount, Closing, Damage, DiskDone, DiskFault, DiskOp, DiskReply, Found, Holding, IncomingId, LIST_MAX,
    Listing, ShareId,
};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex};
use truckee_grid::merkle;
use truckee_grid::share::{FOOTER_BYTES, Footer, ShareHeader, build_trailer, verify_share};
use truckee_grid::ueb::Ueb;
use truckee_wire::message::{BlockRead, FileFacts, SealedProof};

use super::disk::{Disk, DiskError, ShareName};

/// Names a share on one disk.
pub type Name = ShareName;

/// What came of an operation, and which shares were put aside on the way.
#[derive(Debug)]
pub struct Done {
    /// For the machine.
    pub reply: DiskReply,
    /// For the model, and whether their bytes were all right.
    pub put_aside: Vec<(Name, bool)>,
}

/// The hash of the UEB of a share file all of whose bytes are right; none if one is not.
pub fn sound(file: &[u8]) -> Option<Hash> {
    let read = |offset: u64, buffer: &mut [u8]| -> Result<(), Infallible> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match file.get(start..start.saturating_add(buffer.len())) {
            Some(bytes) => buffer.copy_from_slice(bytes),
            // The file is shorter than it says: what is not there is not right either.
            None => buffer.fill(0xee),
        }
        Ok(())
    };
    verify_share(file.len() as u64, read)
        .ok()
        .map(|verified| verified.ueb.hash())
}

/// Does the work.
pub fn carry_out(disk: &mut Disk, op: DiskOp) -> Done {
    let mut aside = Aside {
        disk,
        names: Vec::new(),
        damage: Damage::default(),
    };
    let result = aside.work(op);
    Done {
        reply: DiskReply {
            result,
            damage: aside.damage,
        },
        put_aside: aside.names,
    }
}

struct Aside<'a> {
    disk: &'a mut Disk,
    names: Vec<(Name, bool)>,
    damage: Damage,
}

impl Aside<'_> {
    fn work(&mut self, op: DiskOp) -> Result<DiskDone, DiskFault> {
        match op {
            DiskOp::Create {
                incoming,
                share,
                coding,
                segment_bytes,
                ..
            } => {
                let header = ShareHeader {
                    si: share.si,
                    share: share.share,
                    coding,
                    segment_bytes,
                };
                self.create(incoming, share, &header)
            }
            DiskOp::Append { incoming, block, .. } => {
                self.disk.append(incoming.0, &block).map_err(fault)?;
                Ok(DiskDone::Appended)
            }
            DiskOp::Finish {
                incoming,
                share,
                closing,
            } => {
                if let Some(there) = self.exists(share)? {
                    self.disk.discard(incoming.0);
                    return Ok(there);
                }
                let (_, trailer) = ends(share, &closing)?;
                self.disk
                    .finish(incoming.0, name(share), &trailer)
                    .map_err(fault)?;
                Ok(self.stored(share))
            }
            DiskOp::Discard { incoming, .. } => {
                self.disk.discard(incoming.0);
                Ok(DiskDone::Gone { file_bytes: 0 })
            }
            DiskOp::Put {
                share,
                closing,
                block,
                ..
            } => self.put(share, &closing, &block),
            DiskOp::Find { si, inline_bytes_max } => self.find(si, inline_bytes_max),
            DiskOp::Read {
                share,
                segment,
                suspect,
            } => {
                if suspect {
                    self.verify(share)?;
                }
                self.read(share, segment)
            }
            DiskOp::Verify { share } => self.verify(share),
            DiskOp::List { bucket, after } => Ok(DiskDone::Listed(self.list(bucket, after))),
            DiskOp::Remove { share } => self.remove(share),
            DiskOp::Renew { sis, .. } => Ok(self.renew(&sis)),
            // Nobody throws anything away here yet.
            DiskOp::Trash { .. } | DiskOp::Restore { .. } | DiskOp::Empty { .. } | DiskOp::Survey { .. } => {
                Err(DiskFault::Failed)
            }
            DiskOp::Measure => Ok(DiskDone::Measured {
                free_bytes: self.disk.free_bytes(),
            }),
        }
    }

    fn create(
        &mut self,
        incoming: IncomingId,
        share: ShareId,
        header: &ShareHeader,
    ) -> Result<DiskDone, DiskFault> {
        if let Some(there) = self.exists(share)? {
            return Ok(there);
        }
        self.disk.create(incoming.0, &header.encode()).map_err(fault)?;
        Ok(DiskDone::Created)
    }

    fn put(&mut self, share: ShareId, closing: &Closing, block: &[u8]) -> Result<DiskDone, DiskFault> {
        if let Some(there) = self.exists(share)? {
            return Ok(there);
        }
        let (header, trailer) = ends(share, closing)?;
        let file = [&header[..], block, &trailer[..]].concat();
        self.disk.put(name(share), &file).map_err(fault)?;
        Ok(self.stored(share))
    }

    fn verify(&mut self, share: ShareId) -> Result<DiskDone, DiskFault> {
        let file = self.disk.look(name(share)).ok_or(DiskFault::NotFound)?;
        let file_bytes = file.len() as u64;
        if sound(file).is_some() {
            Ok(DiskDone::Sound { file_bytes })
        } else {
            Err(self.corrupt(name(share)))
        }
    }

    fn remove(&mut self, share: ShareId) -> Result<DiskDone, DiskFault> {
        let file_bytes = self.disk.len(name(share)).ok_or(DiskFault::NotFound)?;
        self.disk.remove(name(share));
        Ok(DiskDone::Gone { file_bytes })
    }

    fn list(&mut self, bucket: Bucket, after: Option<ShareId>) -> Listing {
        let held: Vec<Name> = self
            .disk
            .shares()
            .map(|(held, _)| held)
            .filter(|held| Bucket::of(&held.0) == bucket && after.is_none_or(|after| *held > name(after)))
            .take(LIST_MAX)
            .collect();
        let mut listing = Listing::default();
        for (si, share) in &held {
            let share = ShareId {
                si: *si,
                share: *share,
            };
            match self.footer(name(share)) {
                Ok((footer, _)) => listing.holdings.push(Holding {
                    share,
                    coding: footer.header.coding,
                    file_bytes: footer.layout.share_file_bytes(),
                }),
                Err(DiskFault::Corrupt) => listing.put_aside += 1,
                Err(_) => listing.unreadable += 1,
            }
            listing.next = Some(share).filter(|_| held.len() == LIST_MAX);
        }
        listing
    }

    /// Nothing is let go here, so leases need not be kept.
    fn renew(&self, sis: &[StorageIndex]) -> DiskDone {
        DiskDone::Renewed {
            held: sis.iter().map(|si| self.holds(*si)).collect(),
            restored: Amount::default(),
        }
    }

    fn holds(&self, si: StorageIndex) -> bool {
        let first = self.disk.shares_from((si, ShareNumber(0))).next();
        first.is_some_and(|(of, _)| of == si)
    }

    fn stored(&self, share: ShareId) -> DiskDone {
        DiskDone::Stored {
            file_bytes: self.disk.len(name(share)).unwrap_or(0),
        }
    }

    fn exists(&mut self, share: ShareId) -> Result<Option<DiskDone>, DiskFault> {
        match self.footer(name(share)) {
            Ok((_, file)) => Ok(Some(DiskDone::Exists { file })),
            // What is damaged is put aside, and there is room for a good one.
            Err(DiskFault::NotFound | DiskFault::Corrupt) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn find(&mut self, si: StorageIndex, inline_bytes_max: u32) -> Result<DiskDone, DiskFault> {
        let first = (si, ShareNumber(0));
        let held: Vec<Name> = self
            .disk
            .shares_from(first)
            .take_while(|(held, _)| *held == si)
            .collect();
        let mut found = Found::default();
        for held in held {
            let (footer, file) = match self.footer(held) {
                Ok(facts) => facts,
                Err(DiskFault::Corrupt) => continue,
                Err(other) => return Err(other),
            };
            found.shares.push(held.1);
            if found.file.is_some() {
                continue;
            }
            let last = footer.layout.geometry().last();
            let block = footer
                .layout
                .block(last)
                .filter(|(_, bytes)| *bytes <= inline_bytes_max as usize);
            if let Some((at, bytes)) = block.filter(|_| last.0 == 0) {
                found.inlined = Some(self.bytes(held, at, bytes)?);
            }
            found.file = Some(file);
        }
        Ok(DiskDone::Found(found))
    }

    fn read(&mut self, share: ShareId, segment: SegmentIndex) -> Result<DiskDone, DiskFault> {
        let name = name(share);
        let (footer, _) = self.footer(name)?;
        let segments = footer.layout.geometry().segments();
        let (at, bytes) = footer
            .layout
            .block(segment)
            .ok_or(DiskFault::NoSuchSegment { segments })?;
        let block = self.bytes(name, at, bytes)?;
        let block_path = self.hashes(name, &footer.layout.block_path(segment))?;
        let mut path = self.hashes(name, &footer.layout.sealed_path(segment))?;
        if path.is_empty() {
            return Err(self.corrupt(name));
        }
        let leaf = path.remove(0);
        Ok(DiskDone::Read(BlockRead {
            block_path,
            sealed: SealedProof { leaf, path },
            block,
        }))
    }

    /// The footer of a share and what it says of its file, if its structure is right.
    fn footer(&mut self, name: Name) -> Result<(Footer, FileFacts), DiskFault> {
        let length = self.disk.len(name).ok_or(DiskFault::NotFound)?;
        let Some(at) = length.checked_sub(FOOTER_BYTES as u64) else {
            return Err(self.corrupt(name));
        };
        let bytes = self.bytes(name, at, FOOTER_BYTES)?;
        let parsed = bytes
            .first_chunk()
            .and_then(|bytes| Footer::parse(bytes, length).ok());
        let Some(footer) = parsed.filter(|footer| (footer.header.si, footer.header.share) == name) else {
            return Err(self.corrupt(name));
        };
        let ueb = self.bytes(name, footer.layout.ueb(), footer.layout.ueb_bytes())?;
        let Ok(ueb) = Ueb::decode(&ueb) else {
            return Err(self.corrupt(name));
        };
        let roots = self.bytes(
            name,
            footer.layout.share_roots(),
            footer.layout.share_roots_bytes(),
        )?;
        let share_roots: Vec<Hash> = roots.as_chunks().0.iter().copied().map(Hash).collect();
        let of_file = ueb.hash() == footer.ueb_hash && ueb.geometry() == footer.layout.geometry();
        if !of_file || merkle::share_root(&share_roots).as_ref() != Some(ueb.share_root()) {
            return Err(self.corrupt(name));
        }
        Ok((footer, FileFacts { ueb, share_roots }))
    }

    fn hashes(&mut self, name: Name, offsets: &[u64]) -> Result<Vec<Hash>, DiskFault> {
        let read = |at: &u64| self.bytes(name, *at, Hash::BYTES);
        let rows: Result<Vec<Bytes>, DiskFault> = offsets.iter().map(read).collect();
        Ok(rows?
            .iter()
            .filter_map(|row| Hash::from_slice(row).ok())
            .collect())
    }

    fn bytes(&mut self, name: Name, at: u64, length: usize) -> Result<Bytes, DiskFault> {
        self.disk.read(name, at..at + length as u64).map_err(fault)
    }

    /// Puts a share aside.
    fn corrupt(&mut self, name: Name) -> DiskFault {
        if let Some(file) = self.disk.look(name) {
            self.names.push((name, sound(file).is_some()));
            self.damage.shares += 1;
            self.damage.bytes += file.len() as u64;
            self.disk.remove(name);
        }
        DiskFault::Corrupt
    }
}

fn name(share: ShareId) -> Name {
    (share.si, share.share)
}

/// The first and the last bytes of a share file.
fn ends(share: ShareId, closing: &Closing) -> Result<([u8; 64], Vec<u8>), DiskFault> {
    let ueb = &closing.file.ueb;
    let header = ShareHeader {
        si: share.si,
        share: share.share,
        coding: ueb.coding(),
        segment_bytes: ueb.segment_bytes(),
    };
    let roots: Vec<u8> = closing.file.share_roots.iter().flat_map(|root| root.0).collect();
    let (block_leaves, sealed_leaves) = (closing.block_leaves.clone(), closing.sealed_leaves.clone());
    let trailer = build_trailer(&header, block_leaves, sealed_leaves, &roots, &ueb.encode());
    Ok((header.encode(), trailer.map_err(|_| DiskFault::Failed)?))
}

fn fault(error: DiskError) -> DiskFault {
    match error {
        DiskError::Full => DiskFault::Full,
        DiskError::Failed => DiskFault::Failed,
        DiskError::Absent => DiskFault::NotFound,
    }
}

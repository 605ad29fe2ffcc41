//! Puts a file together from any k of its shares, one segment in memory at a time.
//!
//! Owns which shares belong together and which block is believed. A share with a damaged block still serves where it is
//! sound: what counts is that each segment finds k good blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};

use truckee_grid::erasure::{Codec, ErasureEngine};
use truckee_grid::merkle::{Frontier, block_leaf};
use truckee_grid::{Coding, ShareNumber};

use super::error::CodecError;
use super::format::{CHECK_BYTES, HEAD_BYTES, Head, Shape, ShareFlaw, Tail, hash_of, placed};

/// A share file, wherever it lies.
pub trait ShareSource: Read + Seek {}
impl<T: Read + Seek> ShareSource for T {}

/// A share whose head and tail are sound.
pub struct OpenShare {
    name: String,
    head: Head,
    tail: Tail,
    source: Box<dyn ShareSource>,
    tree: Frontier,
    /// Whether every block so far was read and good, so that `tree` means something.
    whole: bool,
    damaged: bool,
}

/// Why a file cannot be used as a share.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is not a sound share.
    #[error(transparent)]
    Flaw(#[from] ShareFlaw),
}

impl OpenShare {
    /// Reads head and tail.
    ///
    /// # Errors
    /// [`OpenError`] says why the file is not usable.
    pub fn open(name: &str, mut source: Box<dyn ShareSource>) -> Result<OpenShare, OpenError> {
        let file_len = source.seek(SeekFrom::End(0))?;
        let mut head = [0; HEAD_BYTES];
        if file_len < HEAD_BYTES as u64 {
            return Err(ShareFlaw::Short.into());
        }
        source.seek(SeekFrom::Start(0))?;
        source.read_exact(&mut head)?;
        let head = Head::parse(&head)?;
        let mut tail = vec![0; head.tail_bytes()];
        let Some(tail_offset) = file_len.checked_sub(tail.len() as u64) else {
            return Err(ShareFlaw::Tail.into());
        };
        source.seek(SeekFrom::Start(tail_offset))?;
        source.read_exact(&mut tail)?;
        let tail = Tail::parse(&head, &tail)?;
        let shape = Shape::new(head.coding, head.segment_bytes, tail.file_bytes);
        if shape.tail_offset() != tail_offset {
            return Err(ShareFlaw::Tail.into());
        }
        Ok(OpenShare {
            name: name.to_owned(),
            head,
            tail,
            source,
            tree: Frontier::default(),
            whole: true,
            damaged: false,
        })
    }

    /// Reads the block of segment `index` into `block`; `false` if it is damaged.
    fn read_block(&mut self, shape: &Shape, index: u64, block: &mut Vec<u8>) -> bool {
        block.resize(shape.block_bytes(index) + CHECK_BYTES, 0);
        let read = self
            .source
            .seek(SeekFrom::Start(shape.block_offset(index)))
            .and_then(|_| self.source.read_exact(block));
        let data = block.len() - CHECK_BYTES;
        let found = hash_of(&block[data..]);
        let good = read.is_ok() && placed(&block_leaf(&block[..data]), self.head.number, index) == found;
        if good {
            self.tree.push(found);
        }
        self.whole &= good;
        block.truncate(data);
        good
    }
}

/// What became of the shares given.
pub struct Chosen {
    /// Shares of one file, those with data blocks first.
    pub shares: Vec<OpenShare>,
    /// Names of shares of other files.
    pub foreign: Vec<String>,
}

/// Sorts the shares by the file that they belong to and takes the one file that can be restored.
///
/// # Errors
/// When there is none, or more than one.
pub fn choose(shares: Vec<OpenShare>, given: usize) -> Result<Chosen, CodecError> {
    let mut files: BTreeMap<(u32, usize, Tail), Vec<OpenShare>> = BTreeMap::new();
    for share in shares {
        let file = (
            share.head.segment_bytes,
            share.head.coding.k(),
            share.tail.clone(),
        );
        files.entry(file).or_default().push(share);
    }
    let distinct = |shares: &[OpenShare]| {
        let numbers: BTreeSet<u8> = shares.iter().map(|share| share.head.number).collect();
        numbers.len()
    };
    let enough = |shares: &[OpenShare]| distinct(shares) >= shares[0].head.coding.k();
    let complete = files.values().filter(|shares| enough(shares)).count();
    if complete > 1 {
        return Err(CodecError::Mixed { files: complete });
    }
    let mut files: Vec<Vec<OpenShare>> = files.into_values().collect();
    files.sort_by_key(|shares| (enough(shares), distinct(shares)));
    let Some(mut chosen) = files.pop() else {
        return Err(CodecError::NoShares { given });
    };
    if complete == 0 {
        return Err(CodecError::TooFew {
            have: distinct(&chosen),
            need: chosen[0].head.coding.k(),
        });
    }
    chosen.sort_by_key(|share| share.head.number);
    Ok(Chosen {
        shares: chosen,
        foreign: files.into_iter().flatten().map(|share| share.name).collect(),
    })
}

/// Which end of the copy failed.
#[derive(Debug)]
pub enum JoinError {
    /// The shares do not give the file.
    Shares(CodecError),
    /// The file could not be written.
    Output(io::Error),
}

/// What a restored file was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Length of the file.
    pub file_bytes: u64,
    /// k-of-n.
    pub coding: Coding,
    /// Names of shares with damaged blocks, in the order in which they were noticed.
    pub damaged: Vec<String>,
}

/// Length of the file that the shares restore.
#[must_use]
pub fn file_bytes(chosen: &Chosen) -> u64 {
    chosen.shares.first().map_or(0, |share| share.tail.file_bytes)
}

/// Writes the file to `out`, calling `damaged` for each share found damaged.
///
/// # Errors
/// When a segment has fewer than k good blocks, or `out` fails; what was written is then worthless.
pub fn join(
    chosen: Chosen,
    engine: ErasureEngine,
    out: &mut dyn Write,
    mut damaged: impl FnMut(&str),
) -> Result<Joined, JoinError> {
    let mut shares = chosen.shares;
    let Some(first) = shares.first() else {
        return Err(JoinError::Shares(CodecError::NoShares { given: 0 }));
    };
    let coding = first.head.coding;
    let file_bytes = first.tail.file_bytes;
    let shape = Shape::new(coding, first.head.segment_bytes, file_bytes);
    let segment_bytes = u64::from(first.head.segment_bytes);
    let mut codec = Codec::new(coding, engine);
    let mut names = Vec::new();
    let mut blocks: Vec<Vec<u8>> = vec![Vec::new(); coding.k()];
    for index in 0..shape.segments {
        let numbers = gather(&mut shares, &shape, index, &mut blocks, |name| {
            damaged(name);
            names.push(name.to_owned());
        });
        if numbers.len() < coding.k() {
            return Err(JoinError::Shares(CodecError::DamagedTogether {
                at_byte: index * segment_bytes,
                have: numbers.len(),
                need: coding.k(),
            }));
        }
        let present: Vec<(ShareNumber, &[u8])> = numbers
            .iter()
            .zip(&blocks)
            .map(|(number, block)| (ShareNumber(*number), &block[..]))
            .collect();
        let data = codec.decode(&present).expect("k different blocks of one length");
        out.write_all(&data[..shape.plain_bytes(index)])
            .map_err(JoinError::Output)?;
    }
    let spliced = shares.iter().find(|share| {
        let root = share.tree.root();
        share.whole && root.is_some_and(|root| share.tail.roots[usize::from(share.head.number)] != root)
    });
    if let Some(share) = spliced {
        let share = share.name.clone();
        return Err(JoinError::Shares(CodecError::Spliced { share }));
    }
    Ok(Joined {
        file_bytes,
        coding,
        damaged: names,
    })
}

/// Fills `blocks` with good blocks of segment `index` from different shares; gives their share numbers.
fn gather(
    shares: &mut [OpenShare],
    shape: &Shape,
    index: u64,
    blocks: &mut [Vec<u8>],
    mut damaged: impl FnMut(&str),
) -> Vec<u8> {
    let mut numbers: Vec<u8> = Vec::with_capacity(blocks.len());
    for share in shares {
        if numbers.len() == blocks.len() || numbers.contains(&share.head.number) {
            share.whole = false;
            continue;
        }
        if share.read_block(shape, index, &mut blocks[numbers.len()]) {
            numbers.push(share.head.number);
        } else if !share.damaged {
            share.damaged = true;
            damaged(&share.name);
        }
    }
    numbers
}

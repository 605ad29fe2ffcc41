//! Splits a stream into n share streams, one segment in memory at a time.

use std::io::{self, Read, Write};

use truckee_grid::erasure::{Codec, ErasureEngine};
use truckee_grid::merkle::{Frontier, block_leaves};
use truckee_grid::{Coding, Hash};

use super::format::{CHECK_BYTES, Head, Tail, block_bytes, placed};

/// Which end of the copy failed.
#[derive(Debug)]
pub enum SplitError {
    /// The file that is split could not be read.
    Input(io::Error),
    /// Share `number` could not be written.
    Output {
        /// Which share.
        number: usize,
        /// Why.
        source: io::Error,
    },
}

/// Splits all of `input` into `shares`, one writer for each of the n shares in order, and gives the bytes read. The shares
/// are complete when it returns; they are not flushed or synced.
///
/// # Errors
/// When either side fails; what was written is then worthless.
///
/// # Panics
/// If there are not just n writers, or the segment size is zero.
pub fn split(
    input: &mut dyn Read,
    shares: &mut [impl Write],
    coding: Coding,
    engine: ErasureEngine,
    segment_bytes: u32,
) -> Result<u64, SplitError> {
    assert!(shares.len() == coding.n() && segment_bytes > 0);
    let heads: Vec<Head> = coding
        .shares()
        .map(|share| Head {
            coding,
            number: share.0,
            segment_bytes,
        })
        .collect();
    for (number, head) in heads.iter().enumerate() {
        write(shares, number, &head.encode())?;
    }
    let mut splitter = Splitter {
        codec: Codec::new(coding, engine),
        trees: vec![Frontier::default(); coding.n()],
        segment: 0,
    };
    let full = block_bytes(coding, u64::from(segment_bytes)) as usize * coding.k();
    let mut buffer = vec![0; full];
    let mut file_bytes = 0;
    loop {
        let got = fill(input, &mut buffer[..segment_bytes as usize]).map_err(SplitError::Input)?;
        if got > 0 {
            splitter.segment(&mut buffer, got, shares)?;
            file_bytes += got as u64;
        }
        if got < segment_bytes as usize {
            break;
        }
    }
    let roots = splitter
        .trees
        .iter()
        .map(|tree| tree.root().unwrap_or(Hash([0; CHECK_BYTES])));
    let tail = Tail {
        file_bytes,
        roots: roots.collect(),
    };
    for (number, head) in heads.iter().enumerate() {
        write(shares, number, &tail.encode(head))?;
    }
    Ok(file_bytes)
}

struct Splitter {
    codec: Codec,
    trees: Vec<Frontier>,
    segment: u64,
}

impl Splitter {
    /// Codes the first `plain_bytes` of `buffer` and writes a block to each share.
    fn segment(
        &mut self,
        buffer: &mut [u8],
        plain_bytes: usize,
        shares: &mut [impl Write],
    ) -> Result<(), SplitError> {
        let coding = self.codec.coding();
        let block = block_bytes(coding, plain_bytes as u64) as usize;
        let padded = &mut buffer[..block * coding.k()];
        padded[plain_bytes..].fill(0);
        let data: Vec<&[u8]> = padded.chunks_exact(block).collect();
        let recovery = self
            .codec
            .encode(&data)
            .expect("k blocks of one length, a multiple of 64");
        let blocks: Vec<&[u8]> = data
            .into_iter()
            .chain(recovery.iter().map(|block| &block[..]))
            .collect();
        for (number, (block, leaf)) in blocks.iter().zip(block_leaves(&blocks)).enumerate() {
            let check = placed(&leaf, number as u8, self.segment);
            self.trees[number].push(check);
            write(shares, number, block)?;
            write(shares, number, &check.0)?;
        }
        self.segment += 1;
        Ok(())
    }
}

fn write(shares: &mut [impl Write], number: usize, bytes: &[u8]) -> Result<(), SplitError> {
    shares[number]
        .write_all(bytes)
        .map_err(|source| SplitError::Output { number, source })
}

/// Reads until `buffer` is full or the input ends; gives the bytes read.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

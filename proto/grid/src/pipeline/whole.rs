//! Whole files in memory, by the very steps that the machines take: for tests, simulation and measurement.

use bytes::{Bytes, BytesMut};

use super::{
    DecodeError, EncodeError, FactsError, FetchedBlock, FileFacts, FileSeal, FileTrees, SealFileError,
    SegmentCoder, SegmentDecoder, decode_segment, encode_segment,
};
use crate::{
    caps::{ChkCap, ChkVerifier},
    engines::Engines,
    geometry,
    ids::SegmentIndex,
    keys::ReadKey,
    params::Encoding,
    share::{FOOTER_BYTES, Footer, FooterError, ShareHeader, TrailerError, build_trailer},
};

/// A file as it would lie on n storage nodes.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    /// What reads it.
    pub cap: ChkCap,
    /// UEB and share roots.
    pub seal: FileSeal,
    /// The n share files.
    pub shares: Vec<Bytes>,
}

/// Why a file cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeFileError {
    /// A segment; cannot happen to a whole file.
    #[error(transparent)]
    Segment(#[from] EncodeError),
    /// The file is empty or too long.
    #[error(transparent)]
    Seal(#[from] SealFileError),
    /// A share file does not fit together; cannot happen to a whole file.
    #[error(transparent)]
    Trailer(#[from] TrailerError),
}

/// Why a file cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFileError {
    /// No share gives facts that fit the cap; the error is that of the last one.
    #[error("none of {shares} shares belongs to this cap, the last because: {last}")]
    NoFacts {
        /// Shares given.
        shares: usize,
        /// What is wrong with the last.
        last: ShareFactsError,
    },
    /// A segment cannot be read.
    #[error(transparent)]
    Segment(#[from] DecodeError),
}

/// Why a share file is of no use for a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareFactsError {
    /// No share was given.
    #[error("there is none")]
    None,
    /// It is shorter than a footer.
    #[error("it is too short for a share file")]
    TooShort,
    /// It has no good footer.
    #[error(transparent)]
    Footer(#[from] FooterError),
    /// It is a share of a file with another name.
    #[error("it is a share of another file")]
    OtherFile,
    /// It speaks of another file.
    #[error(transparent)]
    Facts(#[from] FactsError),
}

/// Encodes a whole file into n share files.
///
/// # Errors
/// [`EncodeFileError`] if the file is empty or has too many segments.
pub fn encode_file(
    plaintext: &[u8],
    encoding: &Encoding,
    key: &ReadKey,
    engines: Engines,
) -> Result<EncodedFile, EncodeFileError> {
    let coding = encoding.coding();
    let mut coder = SegmentCoder::new(encoding, key, engines);
    let mut trees = FileTrees::new(coding);
    let header = |share| ShareHeader {
        si: key.storage_index(),
        share,
        coding,
        segment_bytes: encoding.segment_bytes(),
    };
    let mut files: Vec<Vec<u8>> = coding
        .shares()
        .map(|share| header(share).encode().to_vec())
        .collect();
    let (mut block_leaves, mut sealed_leaves) = (vec![Vec::new(); coding.n()], Vec::new());
    let mut pieces = plaintext.chunks(encoding.segment_bytes() as usize).peekable();
    let mut segment = SegmentIndex(0);
    while let Some(piece) = pieces.next() {
        let mut buffer = BytesMut::with_capacity(geometry::buffer_bytes(piece.len(), coding));
        buffer.extend_from_slice(piece);
        let encoded = encode_segment(&mut coder, segment, buffer, pieces.peek().is_none())?;
        trees.push(&encoded.block_leaves, encoded.sealed_leaf);
        sealed_leaves.push(encoded.sealed_leaf);
        for (share, (block, leaf)) in encoded.blocks.iter().zip(encoded.block_leaves).enumerate() {
            files[share].extend_from_slice(block);
            block_leaves[share].push(leaf);
        }
        segment = segment.next();
    }
    let seal = trees.finish(plaintext.len() as u64, encoding.segment_bytes())?;
    let roots = seal.share_roots_bytes();
    for ((share, file), leaves) in coding.shares().zip(&mut files).zip(block_leaves) {
        let trailer = build_trailer(
            &header(share),
            leaves,
            sealed_leaves.clone(),
            &roots,
            &seal.ueb_bytes,
        )?;
        file.extend_from_slice(&trailer);
    }
    let cap = ChkCap {
        key: key.clone(),
        ueb_hash: seal.ueb_hash,
        coding,
        size: plaintext.len() as u64,
    };
    Ok(EncodedFile {
        cap,
        seal,
        shares: files.into_iter().map(Bytes::from).collect(),
    })
}

/// Restores a whole file from share files, some of which may be damaged or foreign.
///
/// # Errors
/// [`DecodeFileError`] if too few are good.
pub fn decode_file(cap: &ChkCap, shares: &[Bytes], engines: Engines) -> Result<Vec<u8>, DecodeFileError> {
    let verifier = cap.verifier();
    let mut facts = Err(ShareFactsError::None);
    let mut usable = Vec::new();
    for share in shares {
        match file_facts(&verifier, share) {
            Ok((footer, found)) => {
                usable.push((footer, share));
                facts = Ok(found);
            }
            Err(error) => facts = facts.or(Err(error)),
        }
    }
    let facts = facts.map_err(|last| DecodeFileError::NoFacts {
        shares: shares.len(),
        last,
    })?;
    let mut decoder = SegmentDecoder::new(&facts, &cap.key, engines);
    let mut plaintext = Vec::with_capacity(cap.size.min(1 << 30) as usize);
    for segment in (0..facts.ueb().segments()).map(SegmentIndex) {
        let fetch = |(footer, share): &(Footer, &Bytes)| fetch_from_share(footer, share, segment);
        let blocks = usable.iter().filter_map(fetch).collect();
        plaintext.extend_from_slice(&decode_segment(&mut decoder, &facts, segment, blocks)?.plaintext);
    }
    Ok(plaintext)
}

/// What a share file says of the file that `verifier` means, checked.
///
/// # Errors
/// [`ShareFactsError`] if it is damaged or of another file.
pub fn file_facts(verifier: &ChkVerifier, share: &[u8]) -> Result<(Footer, FileFacts), ShareFactsError> {
    let footer = share
        .last_chunk::<FOOTER_BYTES>()
        .ok_or(ShareFactsError::TooShort)?;
    let footer = Footer::parse(footer, share.len() as u64)?;
    if footer.header.si != verifier.si {
        return Err(ShareFactsError::OtherFile);
    }
    let layout = &footer.layout;
    let ueb = &share[layout.ueb() as usize..][..layout.ueb_bytes()];
    let roots = &share[layout.share_roots() as usize..][..layout.share_roots_bytes()];
    Ok((footer, FileFacts::verify(verifier, ueb, roots)?))
}

/// The block of a segment with its paths, as a storage node would send it; `None` if the file has no such segment.
#[must_use]
pub fn fetch_from_share(footer: &Footer, share: &Bytes, segment: SegmentIndex) -> Option<FetchedBlock> {
    let layout = &footer.layout;
    let (at, length) = layout.block(segment)?;
    let rows = |offsets: Vec<u64>| -> Bytes {
        offsets
            .into_iter()
            .flat_map(|at| share[at as usize..][..32].iter().copied())
            .collect()
    };
    Some(FetchedBlock {
        share: footer.header.share,
        block: share.slice(at as usize..at as usize + length),
        block_path: rows(layout.block_path(segment)),
        sealed_path: rows(layout.sealed_path(segment)),
    })
}

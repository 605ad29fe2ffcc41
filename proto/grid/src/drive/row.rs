//! A row of a directory: its name and child, sealed so that a server sees neither.
//!
//! Sealed form: 24 bytes of nonce, then an XSalsa20-Poly1305 secretbox of the plain form under the content key; its
//! length is a multiple of 64, so that it tells little of the names. Plain form: a byte for the kind of name, then name,
//! read cap, sealed write cap and metadata, each behind its length, then as many zeros as are needed and no more. The
//! write cap is a nonce and a secretbox of its own, under a key that readers do not have.
//!
//! Parsing is strict: a row has one plain form. Not promised: that the metadata is JSON, or that a cap leads anywhere.

use bytes::{Bytes, BytesMut};

use super::{
    CHILD_NAME_BYTES_MAX, Child, ChildName, METADATA_BYTES_MAX, RowName, Target, UNKNOWN_CAP_BYTES_MAX,
};
use crate::{
    caps::{Cap, MutableCap},
    geometry::TAG_BYTES,
    keys::CipherKey,
    sealing::{self, NONCE_BYTES, SealingEngine},
};

/// Most rows of one directory: a listing of so many is some 50 MB and takes a browser seconds; larger sets belong into
/// subdirectories, and the bound keeps one directory from filling a gateway's memory.
pub const ROWS_MAX: usize = 100_000;
/// Longest sealed row, bytes: a longest name, two longest unknown caps and longest metadata come to 25 KiB.
pub const SEALED_ROW_BYTES_MAX: usize = 32 << 10;
/// A sealed row is a multiple of this long, bytes: the step in which lengths of names and caps show to a server.
const SEALED_ROW_STEP: usize = 64;

/// The longest row that can be sealed: kind, four lengths, what stands behind them, and what is around.
const LONGEST_ROW_BYTES: usize = padded(
    1 + 4 * 2
        + CHILD_NAME_BYTES_MAX
        + UNKNOWN_CAP_BYTES_MAX
        + AROUND
        + UNKNOWN_CAP_BYTES_MAX
        + METADATA_BYTES_MAX,
) + AROUND;
const _: () = assert!(
    LONGEST_ROW_BYTES <= SEALED_ROW_BYTES_MAX,
    "what can be sealed can be opened"
);

/// Bytes of a box besides what is in it.
const AROUND: usize = NONCE_BYTES + TAG_BYTES;

const KIND_CONTENT: u8 = 0;
const KIND_CHILD: u8 = 1;
/// Rows are short, so the engine that defines the bytes does the work and needs no check at start.
const ENGINE: SealingEngine = SealingEngine::Reference;

/// Names a row to a server: derived one-way from the name and a key of the readers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub [u8; 32]);

impl std::fmt::Debug for RowId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RowId({})", crate::base32::encode(&self.0))
    }
}

/// A row as a server keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// Its name.
    pub id: RowId,
    /// Nonce and secretbox.
    pub bytes: Bytes,
}

/// Why a row cannot be sealed or does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The keys only read.
    #[error("the cap only reads; changing needs the write cap")]
    ReadOnly,
    /// A field is longer than allowed.
    #[error("the {field} has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its length, bytes.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A cap of an unknown kind without a form for readers, or one that does not say that it only reads.
    #[error("a cap of an unknown kind needs a read-only form that begins with `ro.` or `imm.`")]
    UnknownNeedsRead,
    /// A cap of an unknown kind has control characters, or is of a kind that is known.
    #[error("a cap of an unknown kind has control characters, or its kind is known after all")]
    UnknownText,
    /// The content of a mutable file is something else than a file.
    #[error("the content of a mutable file must be a CHK or LIT cap")]
    NotAFile,
    /// Not sealed with the directory's key.
    #[error("the row does not open: it was not sealed for this directory, or was changed")]
    Forged,
    /// Sealed for this directory, but under another id: rows were swapped.
    #[error("the row opens, but its name is not that of its place")]
    OtherId,
    /// Opens, but is not in the one form of a row.
    #[error("the row opens, but its {field} is not in the one form that rows have")]
    Malformed {
        /// Which field.
        field: &'static str,
    },
}

/// The keys that seal and open rows.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a> {
    /// Of the readers.
    pub(super) content: &'a CipherKey,
    /// Of the writers.
    pub(super) child: Option<&'a CipherKey>,
}

/// Kind and text of a name.
pub(super) fn name_parts(name: &RowName) -> (u8, &str) {
    match name {
        RowName::Content => (KIND_CONTENT, ""),
        RowName::Child(name) => (KIND_CHILD, name.as_str()),
    }
}

pub(super) fn seal(
    secrets: Secrets<'_>,
    name: &RowName,
    child: &Child,
    nonces: &[u8; 2 * NONCE_BYTES],
) -> Result<Bytes, RowError> {
    let ([outer, inner], _) = nonces.as_chunks::<NONCE_BYTES>() else {
        unreachable!("two nonces are 48 bytes")
    };
    let (kind, text) = name_parts(name);
    let (read, write) = cap_texts(name, &child.target)?;
    let write = match write {
        None => Vec::new(),
        Some(write) => boxed(secrets.child.ok_or(RowError::ReadOnly)?, inner, write.as_bytes()),
    };
    at_most("metadata", child.metadata.len(), METADATA_BYTES_MAX)?;
    let mut plain = BytesMut::with_capacity(512);
    plain.extend_from_slice(&[kind]);
    for field in [
        text.as_bytes(),
        read.as_bytes(),
        &write,
        child.metadata.as_bytes(),
    ] {
        plain.extend_from_slice(&(field.len() as u16).to_be_bytes());
        plain.extend_from_slice(field);
    }
    plain.resize(padded(plain.len()), 0);
    Ok(boxed(secrets.content, outer, &plain).into())
}

pub(super) fn open(secrets: Secrets<'_>, sealed: &[u8]) -> Result<(RowName, Child), RowError> {
    at_most("sealed row", sealed.len(), SEALED_ROW_BYTES_MAX)?;
    let plain = unboxed(secrets.content, sealed).ok_or(RowError::Forged)?;
    let mut fields = Fields(&plain);
    let kind = fields.take(1, "kind of name")?[0];
    let text = fields.text("name")?;
    let read = fields.text("read cap")?;
    let write = fields.bytes("write cap")?;
    let metadata = fields.text("metadata")?;
    let used = plain.len() - fields.0.len();
    if plain.len() != padded(used) || fields.0.iter().any(|byte| *byte != 0) {
        return Err(RowError::Malformed { field: "padding" });
    }
    at_most("metadata", metadata.len(), METADATA_BYTES_MAX)?;
    let name = parse_name(kind, text)?;
    let child = Child {
        target: parse_target(secrets, read, write)?,
        metadata: metadata.to_owned(),
    };
    // The texts that would be sealed now must be those that were: this rules out every second form.
    let (read_now, write_now) = cap_texts(&name, &child.target)?;
    let write_seen = secrets.child.is_some() && !write.is_empty();
    if read_now != read || write_now.is_some() != write_seen {
        return Err(RowError::Malformed { field: "cap" });
    }
    Ok((name, child))
}

fn parse_name(kind: u8, text: &str) -> Result<RowName, RowError> {
    let malformed = RowError::Malformed { field: "name" };
    match kind {
        KIND_CONTENT if text.is_empty() => Ok(RowName::Content),
        KIND_CHILD => match ChildName::new(text) {
            Ok(name) if name.as_str() == text => Ok(RowName::Child(name)),
            _ => Err(malformed),
        },
        _ => Err(malformed),
    }
}

fn parse_target(secrets: Secrets<'_>, read: &str, write: &[u8]) -> Result<Target, RowError> {
    let malformed = RowError::Malformed { field: "write cap" };
    let write = match secrets.child {
        Some(key) if !write.is_empty() => {
            let text = unboxed(key, write).ok_or(malformed)?;
            Some(String::from_utf8(text.to_vec()).map_err(|_| malformed)?)
        }
        _ => None,
    };
    match (Cap::parse(read), write) {
        (Ok(cap), None) => Ok(Target::Cap(cap)),
        (Ok(_), Some(write)) => Cap::parse(&write).map(Target::Cap).map_err(|_| malformed),
        (Err(_), write) => Ok(Target::Unknown {
            write,
            read: Some(read.to_owned()),
        }),
    }
}

/// What readers and what only writers may see.
fn cap_texts(name: &RowName, target: &Target) -> Result<(String, Option<String>), RowError> {
    let is_file = matches!(target, Target::Cap(Cap::Chk(_) | Cap::Lit(_)));
    if *name == RowName::Content && !is_file {
        return Err(RowError::NotAFile);
    }
    match target {
        Target::Cap(cap @ (Cap::Dir(own) | Cap::Ssk(own) | Cap::Mdmf(own))) => match (own, cap.to_read()) {
            (MutableCap::Write { .. }, Some(read)) => Ok((read.to_uri(), Some(cap.to_uri()))),
            _ => Ok((cap.to_uri(), None)),
        },
        Target::Cap(cap) => Ok((cap.to_uri(), None)),
        Target::Unknown { write, read } => {
            let read = read.as_deref().ok_or(RowError::UnknownNeedsRead)?;
            if !read.starts_with("ro.") && !read.starts_with("imm.") {
                return Err(RowError::UnknownNeedsRead);
            }
            for text in [Some(read), write.as_deref()].into_iter().flatten() {
                at_most("cap of unknown kind", text.len(), UNKNOWN_CAP_BYTES_MAX)?;
                if text.is_empty() || text.chars().any(char::is_control) || Cap::parse(text).is_ok() {
                    return Err(RowError::UnknownText);
                }
            }
            Ok((read.to_owned(), write.clone()))
        }
    }
}

/// The length of a plain form with its padding, bytes.
const fn padded(plain_bytes: usize) -> usize {
    (plain_bytes + AROUND).next_multiple_of(SEALED_ROW_STEP) - AROUND
}

fn boxed(key: &CipherKey, nonce: &[u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
    let mut buffer = BytesMut::with_capacity(plain.len() + TAG_BYTES);
    buffer.extend_from_slice(plain);
    sealing::seal(ENGINE, key, nonce, &mut buffer);
    [&nonce[..], &buffer].concat()
}

fn unboxed(key: &CipherKey, sealed: &[u8]) -> Option<BytesMut> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let mut buffer = BytesMut::from(text);
    sealing::open(ENGINE, key, nonce, &mut buffer).then_some(buffer)
}

const fn at_most(field: &'static str, bytes: usize, max: usize) -> Result<(), RowError> {
    if bytes > max {
        return Err(RowError::TooLong { field, bytes, max });
    }
    Ok(())
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize, field: &'static str) -> Result<&'a [u8], RowError> {
        let (taken, rest) = self
            .0
            .split_at_checked(bytes)
            .ok_or(RowError::Malformed { field })?;
        self.0 = rest;
        Ok(taken)
    }

    fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], RowError> {
        let length = self.take(2, field)?;
        let length = u16::from_be_bytes([length[0], length[1]]);
        self.take(length.into(), field)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, RowError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| RowError::Malformed { field })
    }
}

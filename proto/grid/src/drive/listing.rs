//! The canonical listing of an immutable directory: the bytes of the file that such a directory is.
//!
//! Magic and version (8 bytes), the number of children (u32), then for each child its name, its cap and its metadata, each
//! behind its length (u16); numbers big endian, names in ascending order of their bytes. A set of children has one
//! listing, so equal directories are equal files. Children can never change, all the way down: `LIT`, `CHK`, `DIR2-LIT`,
//! `DIR2-CHK`, or a cap of a later kind that says so with `imm.`.

use std::collections::BTreeMap;

use super::{Child, ChildName, METADATA_BYTES_MAX, ROWS_MAX, Target, UNKNOWN_CAP_BYTES_MAX};
use crate::caps::Cap;

/// How a listing begins; the last byte is the version.
const MAGIC: [u8; 8] = *b"trkdir\0\x01";

/// Longest listing, bytes: as much as all rows of a mutable directory may have together.
pub const LISTING_BYTES_MAX: usize = 128 << 20;

/// Why children have no listing, or bytes are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// A child that could change, or only be checked.
    #[error(
        "an immutable directory holds only what can never change; child {index} is mutable or a verifier"
    )]
    Mutable {
        /// Which child, in the order of names, from 0.
        index: usize,
    },
    /// A cap of an unknown kind that does not begin with `imm.`, or has a form that changes things.
    #[error("child {index} is of an unknown kind, and does not say with `imm.` that it can never change")]
    Unknown {
        /// Which child, in the order of names, from 0.
        index: usize,
    },
    /// Too many children.
    #[error("a directory holds at most {ROWS_MAX} children, this one {children}")]
    TooMany {
        /// How many there are.
        children: usize,
    },
    /// Too many bytes.
    #[error("the {field} has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// What.
        field: &'static str,
        /// Its length, bytes.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Not a listing of the version that is known here.
    #[error("the file is no listing of a directory, or one of a newer version")]
    NotAListing,
    /// Not in the one form that a listing has.
    #[error("the listing is damaged or not in its one form near byte {position}")]
    Malformed {
        /// Counted from 0.
        position: usize,
    },
}

/// The listing of these children.
///
/// # Errors
/// [`ListingError`] when one of them could change, or there is too much of something.
pub fn encode(children: &BTreeMap<ChildName, Child>) -> Result<Vec<u8>, ListingError> {
    encode_within(children, LISTING_BYTES_MAX)
}

fn encode_within(children: &BTreeMap<ChildName, Child>, bytes_max: usize) -> Result<Vec<u8>, ListingError> {
    if children.len() > ROWS_MAX {
        let children = children.len();
        return Err(ListingError::TooMany { children });
    }
    let mut out = Vec::with_capacity(MAGIC.len() + 4 + 300 * children.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(children.len() as u32).to_be_bytes());
    for (index, (name, child)) in children.iter().enumerate() {
        let cap = cap_text(index, &child.target)?;
        at_most("metadata", child.metadata.len(), METADATA_BYTES_MAX)?;
        for field in [name.as_str(), &cap, &child.metadata] {
            out.extend_from_slice(&(field.len() as u16).to_be_bytes());
            out.extend_from_slice(field.as_bytes());
        }
        at_most("listing", out.len(), bytes_max)?;
    }
    Ok(out)
}

/// The children of a listing.
///
/// # Errors
/// [`ListingError`] for bytes that [`encode`] does not make.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<ChildName, Child>, ListingError> {
    at_most("listing", bytes.len(), LISTING_BYTES_MAX)?;
    let rest = bytes.strip_prefix(&MAGIC).ok_or(ListingError::NotAListing)?;
    let mut fields = Fields {
        whole: bytes.len(),
        rest,
    };
    let count = fields.take(4)?;
    let count = u32::from_be_bytes([count[0], count[1], count[2], count[3]]) as usize;
    if count > ROWS_MAX {
        return Err(ListingError::TooMany { children: count });
    }
    let mut children: BTreeMap<ChildName, Child> = BTreeMap::new();
    for index in 0..count {
        let malformed = fields.malformed();
        let text = fields.text()?;
        let name = ChildName::new(text).map_err(|_| malformed)?;
        let ascends = children.last_key_value().is_none_or(|(last, _)| *last < name);
        if name.as_str() != text || !ascends {
            return Err(malformed);
        }
        let cap = fields.text()?;
        let target = Cap::parse(cap).map_or_else(
            |_| Target::Unknown {
                write: None,
                read: Some(cap.to_owned()),
            },
            Target::Cap,
        );
        cap_text(index, &target)?;
        let metadata = fields.text()?.to_owned();
        at_most("metadata", metadata.len(), METADATA_BYTES_MAX)?;
        children.insert(name, Child { target, metadata });
    }
    if fields.rest.is_empty() {
        Ok(children)
    } else {
        Err(fields.malformed())
    }
}

fn cap_text(index: usize, target: &Target) -> Result<String, ListingError> {
    match target {
        Target::Cap(cap @ (Cap::Lit(_) | Cap::Chk(_) | Cap::DirLit(_) | Cap::DirChk(_))) => Ok(cap.to_uri()),
        Target::Cap(_) => Err(ListingError::Mutable { index }),
        Target::Unknown {
            write: None,
            read: Some(read),
        } if read.starts_with("imm.") && !read.chars().any(char::is_control) => {
            at_most("cap of unknown kind", read.len(), UNKNOWN_CAP_BYTES_MAX)?;
            Ok(read.clone())
        }
        Target::Unknown { .. } => Err(ListingError::Unknown { index }),
    }
}

const fn at_most(field: &'static str, bytes: usize, max: usize) -> Result<(), ListingError> {
    if bytes > max {
        return Err(ListingError::TooLong { field, bytes, max });
    }
    Ok(())
}

struct Fields<'a> {
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    const fn malformed(&self) -> ListingError {
        ListingError::Malformed {
            position: self.whole - self.rest.len(),
        }
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], ListingError> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<&'a str, ListingError> {
        let malformed = self.malformed();
        let length = self.take(2)?;
        let field = self.take(u16::from_be_bytes([length[0], length[1]]).into())?;
        std::str::from_utf8(field).map_err(|_| malformed)
    }
}

#[cfg(test)]
mod tests;

//! The two hash functions, one-shot. SHA3-256 for names and keys, always behind a tag except where an outside standard
//! says what is hashed; TurboSHAKE128 (RFC 9861) for bulk, its purpose in the domain byte.

use sha3::{Digest, Sha3_256};
use turboshake::{
    CTurboShake128,
    digest::{ExtendableOutput, Update, XofReader},
};

/// Domain bytes of TurboSHAKE128. Two purposes never share one, so no hash can be passed off for another.
pub(crate) mod domain {
    /// Leaf of a block tree: one block.
    pub(crate) const BLOCK: u8 = 0x01;
    /// Leaf of the sealed tree: the block leaves of the k data blocks of one segment.
    pub(crate) const SEALED: u8 = 0x02;
    /// Leaf of the share-root tree: the root of one block tree.
    pub(crate) const SHARE_ROOT: u8 = 0x03;
    /// Inner node of any tree: left child, right child.
    pub(crate) const NODE: u8 = 0x04;
    /// Checksum of a share file's footer.
    pub(crate) const FOOTER: u8 = 0x05;
    /// A sealed row of a directory, stretched to the lanes of a sum.
    pub(crate) const ROW: u8 = 0x06;
}

/// Plain SHA3-256 over the concatenation of `parts`.
pub(crate) fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha3_256::new();
    for part in parts {
        Digest::update(&mut hasher, part);
    }
    hasher.finalize().into()
}

/// SHA3-256 with a domain tag: length of the tag (one byte), the tag, the parts. All parts but the last are of fixed
/// length for a given tag, so that the concatenation is unambiguous.
pub(crate) fn tagged(tag: &'static str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = tagged_hasher(tag);
    for part in parts {
        Digest::update(&mut hasher, part);
    }
    hasher.finalize().into()
}

/// The checksum of a table of leases, of all bytes before it.
pub fn hash_of_leases(table: &[u8]) -> [u8; 32] {
    tagged("truckee/1 table of leases", &[table])
}

/// What of a pack of small shares a checksum is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackPart {
    /// The beginning of the file.
    Head,
    /// The head of a record.
    Record,
    /// A share file in a record.
    Share,
    /// The file that says what lies in a pack.
    Index,
}

/// The checksum of a part of a pack, over the concatenation of `parts`.
pub fn hash_of_pack(part: PackPart, parts: &[&[u8]]) -> [u8; 32] {
    let tag = match part {
        PackPart::Head => "truckee/1 head of a pack",
        PackPart::Record => "truckee/1 record of a pack",
        PackPart::Share => "truckee/1 share in a pack",
        PackPart::Index => "truckee/1 index of a pack",
    };
    tagged(tag, parts)
}

/// The state of [`tagged`] before the first part.
pub(crate) fn tagged_hasher(tag: &'static str) -> Sha3_256 {
    let length = u8::try_from(tag.len()).expect("tags are literals shorter than 256 bytes");
    let mut hasher = Sha3_256::new();
    Digest::update(&mut hasher, [length]);
    Digest::update(&mut hasher, tag.as_bytes());
    hasher
}

/// 32 bytes of TurboSHAKE128 over the concatenation of `parts`, by the `turboshake` crate.
pub(crate) fn turboshake128(domain: u8, parts: &[&[u8]]) -> [u8; 32] {
    match domain {
        domain::BLOCK => turboshake128_in::<{ domain::BLOCK }>(parts),
        domain::SEALED => turboshake128_in::<{ domain::SEALED }>(parts),
        domain::SHARE_ROOT => turboshake128_in::<{ domain::SHARE_ROOT }>(parts),
        domain::NODE => turboshake128_in::<{ domain::NODE }>(parts),
        domain::FOOTER => turboshake128_in::<{ domain::FOOTER }>(parts),
        _ => unreachable!("domain bytes come from the constants of this module"),
    }
}

fn turboshake128_in<const DOMAIN: u8>(parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    turboshake128_into::<DOMAIN>(parts, &mut out);
    out
}

/// Fills `out`, of any length, with TurboSHAKE128 over the concatenation of `parts`.
pub(crate) fn turboshake128_into<const DOMAIN: u8>(parts: &[&[u8]], out: &mut [u8]) {
    let mut hasher = CTurboShake128::<DOMAIN>::default();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize_xof().read(out);
}

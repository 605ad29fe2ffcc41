//! The bytes of a pack: its head, and the heads of its records. Owns the format; reading and writing is for others.
//!
//! A record either holds a share file, and says where that share is, or says of an earlier record where its share is now.
//! The checksum of a head covers the place where it lies and a number that only this pack has and that no peer learns: so
//! nobody can upload a share in whose bytes a search for the next record would find one, and what an older file has left
//! on the disk is none either.
//!
//! Not promised: that the share file behind a head is the one of which it has the checksum; whoever needs that compares.

use truckee_engine::store::{ShareId, TrashCause, TrashMark};
use truckee_engine::time::{Day, UnixSeconds};
use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_grid::{PackPart, hash_of_pack};

/// Length of the head of a pack.
pub(super) const PACK_HEAD_BYTES: usize = 48;
/// Length of the head of a record.
pub(super) const HEAD_BYTES: usize = 88;
/// Records begin on multiples of this, so that a search for the next one behind damage need not try every byte.
pub(super) const ALIGNMENT: usize = 8;
/// Longest share file in a pack. From here on the sync of a file of its own costs little more than its bytes, and a batch of
/// them would keep others waiting.
pub(super) const SHARE_BYTES_MAX: u64 = 64 * 1024;
/// Length of what [`Row::encode`] gives.
pub(super) const ROW_BYTES: usize = 48;

const PACK_MAGIC: [u8; 8] = *b"TRKPACK\x01";
const RECORD_MAGIC: [u8; 4] = *b"TRKR";
const CHECK_BYTES: usize = 16;
/// Where the checksum of a head begins.
const CHECK_AT: usize = HEAD_BYTES - CHECK_BYTES;

/// What makes a pack this one and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackHead {
    pub(super) number: u32,
    /// Drawn at random, and kept to this node.
    pub(super) salt: [u8; 16],
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) pack: u32,
    pub(super) at: u32,
}

/// Where a share is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Gone,
    Held,
    Trashed(TrashMark),
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it lies in its pack.
    pub(super) at: u32,
    pub(super) share: ShareId,
    pub(super) state: State,
    /// Length of the share file in it, 0 if it is about another record.
    pub(super) file_bytes: u32,
    /// When the share was written; 0 if it is about another record.
    pub(super) written: UnixSeconds,
    /// The record that it is about; of one that holds a share: the one that held it before.
    pub(super) other: Option<Place>,
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) row: Row,
    /// So many bytes of the pack were durable when it was written.
    pub(super) durable: u32,
    /// Of the share file.
    pub(super) share_hash: [u8; CHECK_BYTES],
}

impl PackHead {
    pub(super) fn encode(&self) -> [u8; PACK_HEAD_BYTES] {
        let mut bytes = [0; PACK_HEAD_BYTES];
        bytes[..8].copy_from_slice(&PACK_MAGIC);
        bytes[8..12].copy_from_slice(&self.number.to_be_bytes());
        bytes[16..32].copy_from_slice(&self.salt);
        let check = short(hash_of_pack(PackPart::Head, &[&bytes[..32]]));
        bytes[32..].copy_from_slice(&check);
        bytes
    }

    /// Reads what [`PackHead::encode`] gives; `None` for anything else.
    pub(super) fn parse(bytes: &[u8]) -> Option<PackHead> {
        let bytes: &[u8; PACK_HEAD_BYTES] = bytes.first_chunk()?;
        let head = PackHead {
            number: u32_at(bytes, 8),
            salt: std::array::from_fn(|at| bytes[16 + at]),
        };
        (head.encode() == *bytes).then_some(head)
    }
}

impl Row {
    pub(super) fn holds_share(&self) -> bool {
        self.file_bytes > 0
    }

    /// Length of the whole record.
    pub(super) fn record_bytes(&self) -> u32 {
        record_bytes(self.file_bytes)
    }

    /// The form in heads, at offset 4 there, and in index files.
    pub(super) fn encode(&self) -> [u8; ROW_BYTES] {
        let (state, mark) = match self.state {
            State::Gone => (0, None),
            State::Held => (1, None),
            State::Trashed(mark) if mark.cause == TrashCause::Expired => (2, Some(mark)),
            State::Trashed(mark) => (3, Some(mark)),
        };
        let mut bytes = [0; ROW_BYTES];
        bytes[0] = state;
        bytes[1] = self.share.share.0;
        bytes[4..20].copy_from_slice(&self.share.si.0);
        bytes[20..24].copy_from_slice(&self.file_bytes.to_be_bytes());
        let day = mark.map_or(0, |mark| mark.day.number());
        bytes[24..28].copy_from_slice(&day.to_be_bytes());
        bytes[28..36].copy_from_slice(&self.written.as_secs().to_be_bytes());
        if let Some(other) = self.other {
            bytes[36..40].copy_from_slice(&other.pack.to_be_bytes());
            bytes[40..44].copy_from_slice(&other.at.to_be_bytes());
        }
        bytes[44..].copy_from_slice(&self.at.to_be_bytes());
        bytes
    }

    /// Reads what [`Row::encode`] gives; `None` for anything else.
    pub(super) fn parse(bytes: &[u8; ROW_BYTES]) -> Option<Row> {
        let day = Day::from_number(u32_at(bytes, 24));
        let trashed = |cause| State::Trashed(TrashMark { day, cause });
        let state = match bytes[0] {
            0 => State::Gone,
            1 => State::Held,
            2 => trashed(TrashCause::Expired),
            3 => trashed(TrashCause::Surplus),
            _ => return None,
        };
        // No record lies at offset 0: there is the head of the pack.
        let (pack, at) = (u32_at(bytes, 36), u32_at(bytes, 40));
        let row = Row {
            at: u32_at(bytes, 44),
            share: ShareId {
                si: StorageIndex(std::array::from_fn(|at| bytes[4 + at])),
                share: ShareNumber(bytes[1]),
            },
            state,
            file_bytes: u32_at(bytes, 20),
            written: UnixSeconds::from_secs(u64::from_be_bytes(std::array::from_fn(|at| bytes[28 + at]))),
            other: (at > 0).then_some(Place { pack, at }),
        };
        let makes_sense = match row.holds_share() {
            true => row.state != State::Gone && u64::from(row.file_bytes) <= SHARE_BYTES_MAX,
            false => row.other.is_some(),
        };
        (makes_sense && row.encode() == *bytes).then_some(row)
    }
}

impl Head {
    pub(super) fn encode(&self, pack: &PackHead) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..4].copy_from_slice(&RECORD_MAGIC);
        bytes[4..52].copy_from_slice(&self.row.encode());
        bytes[52..56].copy_from_slice(&self.durable.to_be_bytes());
        bytes[56..CHECK_AT].copy_from_slice(&self.share_hash);
        let check = short(hash_of_pack(PackPart::Record, &[&pack.salt, &bytes[..CHECK_AT]]));
        bytes[CHECK_AT..].copy_from_slice(&check);
        bytes
    }

    /// The head at `at`; `None` if there is none.
    pub(super) fn parse(pack: &PackHead, bytes: &[u8], at: u32) -> Option<Head> {
        let bytes: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
        if bytes[..4] != RECORD_MAGIC {
            return None;
        }
        let head = Head {
            row: Row::parse(bytes[4..52].first_chunk()?)?,
            durable: u32_at(bytes, 52),
            share_hash: std::array::from_fn(|at| bytes[56 + at]),
        };
        (head.encode(pack) == *bytes && head.row.at == at).then_some(head)
    }
}

/// The checksum of a share file in a head.
pub(super) fn share_hash(share_file: &[u8]) -> [u8; CHECK_BYTES] {
    short(hash_of_pack(PackPart::Share, &[share_file]))
}

/// Length of a record with a share file of so many bytes.
pub(super) fn record_bytes(file_bytes: u32) -> u32 {
    HEAD_BYTES as u32 + file_bytes.next_multiple_of(ALIGNMENT as u32)
}

/// Enough against damage; against forgery stands the salt.
fn short(hash: [u8; 32]) -> [u8; CHECK_BYTES] {
    std::array::from_fn(|at| hash[at])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]))
}

//! The place in a round, as it is kept between two processes. Owns its text: one JSON object, for people to read as well.

use serde_json::{Value, json};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};

use super::RoundReport;
use crate::store::ShareId;
use crate::time::UnixSeconds;

/// Of the text. One that says another is from a later program.
const VERSION: u64 = 1;

/// Why a text is not a place in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not JSON, or no object.
    #[error("it is not a JSON object")]
    Malformed,
    /// A field is missing, or is not what it must be.
    #[error("its field {0:?} is missing or out of its bounds")]
    Field(&'static str),
}

/// How far a round is, and what it has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The bucket with which the round began.
    pub(super) first: Bucket,
    /// Buckets gone through; always less than all.
    pub(super) done: usize,
    /// In the current bucket everything up to this share has been checked.
    pub(super) after: Option<ShareId>,
    /// When the round began, or is to begin.
    pub(super) started: UnixSeconds,
    /// When the round before it ended.
    pub(super) last_ended: Option<UnixSeconds>,
    pub(super) shares: u64,
    pub(super) bytes: u64,
    pub(super) corrupt: u64,
    pub(super) unreadable: u64,
}

impl Cursor {
    pub(super) fn begin(first: Bucket, started: UnixSeconds) -> Cursor {
        Cursor {
            first,
            done: 0,
            after: None,
            started,
            last_ended: None,
            shares: 0,
            bytes: 0,
            corrupt: 0,
            unreadable: 0,
        }
    }

    /// The bucket that is being gone through.
    pub(super) fn bucket(&self) -> Bucket {
        self.first.further(self.done)
    }

    pub(super) fn report(&self, ended: UnixSeconds) -> RoundReport {
        RoundReport {
            started: self.started,
            ended,
            shares: self.shares,
            bytes: self.bytes,
            corrupt: self.corrupt,
            unreadable: self.unreadable,
        }
    }

    /// The text to keep; less than a kilobyte.
    pub fn to_text(&self) -> String {
        let mut object = json!({
            "version": VERSION,
            "first_bucket": self.first.to_string(),
            "buckets_done": self.done,
            "started_unix_seconds": self.started.as_secs(),
            "shares": self.shares,
            "bytes": self.bytes,
            "corrupt": self.corrupt,
            "unreadable": self.unreadable,
        });
        if let Some(after) = self.after {
            object["after"] = json!({ "storage_index": after.si.to_base32(), "share": after.share.0 });
        }
        if let Some(ended) = self.last_ended {
            object["last_ended_unix_seconds"] = json!(ended.as_secs());
        }
        format!("{object:#}\n")
    }

    /// Reads what [`Cursor::to_text`] gives.
    ///
    /// # Errors
    /// [`CursorError`] for a text that is no place in a round; then a round begins anew.
    pub fn from_text(text: &str) -> Result<Cursor, CursorError> {
        let object: Value = serde_json::from_str(text).map_err(|_| CursorError::Malformed)?;
        if !object.is_object() {
            return Err(CursorError::Malformed);
        }
        let number = |name: &'static str| object[name].as_u64().ok_or(CursorError::Field(name));
        if number("version")? != VERSION {
            return Err(CursorError::Field("version"));
        }
        let first = object["first_bucket"].as_str();
        let first = first
            .and_then(|text| text.parse().ok())
            .ok_or(CursorError::Field("first_bucket"))?;
        let done = usize::try_from(number("buckets_done")?)
            .ok()
            .filter(|done| *done < Bucket::COUNT)
            .ok_or(CursorError::Field("buckets_done"))?;
        let cursor = Cursor {
            first,
            done,
            after: None,
            started: UnixSeconds::from_secs(number("started_unix_seconds")?),
            last_ended: match &object["last_ended_unix_seconds"] {
                Value::Null => None,
                _ => Some(UnixSeconds::from_secs(number("last_ended_unix_seconds")?)),
            },
            shares: number("shares")?,
            bytes: number("bytes")?,
            corrupt: number("corrupt")?,
            unreadable: number("unreadable")?,
        };
        let after = match &object["after"] {
            Value::Null => None,
            after => Some(share_of(after, cursor.bucket()).ok_or(CursorError::Field("after"))?),
        };
        Ok(Cursor { after, ..cursor })
    }
}

fn share_of(object: &Value, bucket: Bucket) -> Option<ShareId> {
    let si: StorageIndex = object["storage_index"].as_str()?.parse().ok()?;
    let share = u8::try_from(object["share"].as_u64()?).ok().map(ShareNumber)?;
    (Bucket::of(&si) == bucket).then_some(ShareId { si, share })
}

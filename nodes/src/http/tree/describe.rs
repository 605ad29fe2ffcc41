//! What `t=json` says of files and directories, in the shapes that clients of Tahoe-LAFS know.
//!
//! The text is pure ASCII: the `tahoe` client takes nothing else.

use std::io;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use serde_json::{Map, Value, json};
use truckee_engine::drive::DirectoryView;
use truckee_grid::caps::{Cap, MutableCap};
use truckee_grid::drive::Target;

use super::resolve::is_writable;
use crate::http::error::HttpError;

/// Children that are written at once on the worker: about a millisecond.
const CHILDREN_AT_ONCE: usize = 200;

/// The word for what it is.
pub(in crate::http) fn kind(target: &Target) -> &'static str {
    match target {
        Target::Cap(Cap::DirChkVerifier(_) | Cap::ChkVerifier(_)) | Target::Unknown { .. } => "unknown",
        Target::Cap(
            Cap::Dir(MutableCap::Verify { .. })
            | Cap::Ssk(MutableCap::Verify { .. })
            | Cap::Mdmf(MutableCap::Verify { .. }),
        ) => "unknown",
        Target::Cap(cap) if cap.is_directory() => "dirnode",
        Target::Cap(_) => "filenode",
    }
}

/// What its cap says of it: `rw_uri`, `ro_uri`, `verify_uri`, `mutable`, for files `format` and, if it never changes,
/// `size`.
pub(in crate::http) fn facts(target: &Target) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    };
    match target {
        Target::Cap(cap) => {
            put("rw_uri", is_writable(cap).then(|| cap.to_uri().into()));
            put("ro_uri", cap.to_read().map(|cap| cap.to_uri().into()));
            put("verify_uri", cap.to_verifier().map(|cap| cap.to_uri().into()));
            put("mutable", Some(cap.is_mutable().into()));
            put("format", format(cap).map(Value::from));
            put("size", size(cap).map(Value::from));
        }
        Target::Unknown { write, read } => {
            put("rw_uri", write.clone().map(Value::from));
            put("ro_uri", read.clone().map(Value::from));
        }
    }
    facts
}

fn format(cap: &Cap) -> Option<&'static str> {
    match cap {
        Cap::Lit(_) | Cap::Chk(_) => Some("CHK"),
        Cap::Ssk(_) => Some("SDMF"),
        Cap::Mdmf(_) => Some("MDMF"),
        _ => None,
    }
}

/// Bytes of a file, as far as its cap says.
pub(in crate::http) fn size(cap: &Cap) -> Option<u64> {
    match cap {
        Cap::Lit(lit) => Some(lit.bytes().len() as u64),
        Cap::Chk(chk) => Some(chk.size),
        Cap::ChkVerifier(verifier) => Some(verifier.size),
        _ => None,
    }
}

/// A directory with its children, as the bytes of its JSON. Child by child: a large directory is not held twice.
fn directory_text(cap: &Cap, view: &DirectoryView) -> Vec<u8> {
    let target = Target::Cap(cap.clone());
    ascii_text(&(
        kind(&target),
        Directory {
            target: &target,
            view,
        },
    ))
}

struct Directory<'d> {
    target: &'d Target,
    view: &'d DirectoryView,
}

impl Serialize for Directory<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("children", &Children(self.view))?;
        for (name, fact) in facts(self.target) {
            map.serialize_entry(&name, &fact)?;
        }
        map.end()
    }
}

struct Children<'d>(&'d DirectoryView);

impl Serialize for Children<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, child) in &self.0.children {
            let weakened;
            let target = if self.0.writable {
                &child.target
            } else if let Some(read) = child.target.to_read() {
                weakened = read;
                &weakened
            } else {
                continue;
            };
            let mut facts = facts(target);
            facts.insert("metadata".to_owned(), metadata(&child.metadata));
            map.serialize_entry(name.as_str(), &(kind(target), facts))?;
        }
        map.end()
    }
}

/// A directory with its children as an answer. A large one is written on another thread: the worker serves others
/// meanwhile.
pub(super) async fn directory(cap: &Cap, view: Arc<DirectoryView>) -> Result<HttpResponse, HttpError> {
    let text = if view.children.len() <= CHILDREN_AT_ONCE {
        directory_text(cap, &view)
    } else {
        let cap = cap.clone();
        web::block(move || directory_text(&cap, &view))
            .await
            .map_err(|_stopped| HttpError::Stopping)?
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(text))
}

/// Metadata as it is kept: the text of a JSON object.
pub(in crate::http) fn metadata(text: &str) -> Value {
    // What is kept was checked when it was linked; a row of other software may hold anything.
    serde_json::from_str(text).unwrap_or_else(|_| json!({}))
}

/// JSON in ASCII as an answer.
pub(in crate::http) fn ascii_json(value: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(ascii_text(value))
}

/// JSON in ASCII, with the end of its line.
pub(in crate::http) fn ascii_text(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Ascii);
    value
        .serialize(&mut serializer)
        .expect("all that is written here has only strings as keys, and memory takes it");
    text.push(b'\n');
    text
}

/// Writes everything beyond ASCII as `\u` escapes.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain_from = 0;
        for (at, c) in fragment.char_indices() {
            // DEL is the one character of ASCII that is neither printable nor escaped by JSON itself.
            if c.is_ascii() && c != '\u{7f}' {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[plain_from..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain_from = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain_from..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_ascii_and_stays_the_same() {
        let value = json!({"gr\u{fc}n\u{7f} \u{1f980}\"\n": ["\u{e9}", "plain"]});
        let text = ascii_text(&value);
        assert!(
            text.iter()
                .all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\n')
        );
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn damaged_metadata_is_an_empty_object() {
        assert_eq!(metadata("{\"a\":1}"), json!({"a": 1}));
        assert_eq!(metadata("{"), json!({}));
    }
}

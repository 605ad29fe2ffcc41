//! Caps of children as requests give them: a single one as text, or many as JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use truckee_grid::caps::{Cap, CapError, MutableCap};
use truckee_grid::drive::{ChildName, Target, UNKNOWN_CAP_BYTES_MAX};

use super::TreeError;
use super::error::ChildError;
use crate::http::error::HttpError;
use crate::http::path;

/// A child as a request describes it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) name: ChildName,
    pub(super) target: Target,
    /// A JSON object; none if the request says nothing.
    pub(super) metadata: Option<String>,
}

#[derive(Deserialize)]
struct Props {
    rw_uri: Option<String>,
    ro_uri: Option<String>,
    metadata: Option<Map<String, Value>>,
}

/// Reads `{name: [kind, {rw_uri, ro_uri, metadata}]}`. The word for the kind is not looked at: the cap says it. No bytes
/// are no children.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Given>, HttpError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    // What went wrong is told by place, since the text of the error would repeat a part of the body.
    let parsed: BTreeMap<String, (String, Props)> =
        serde_json::from_slice(body).map_err(|error| TreeError::BadJson {
            line: error.line(),
            column: error.column(),
        })?;
    let mut children: Vec<Given> = Vec::with_capacity(parsed.len());
    for (name, (_kind, props)) in parsed {
        children.push(Given {
            name: path::name(&name)?,
            target: target(props.rw_uri.as_deref(), props.ro_uri.as_deref()).map_err(TreeError::BadChild)?,
            metadata: props.metadata.map(|metadata| Value::from(metadata).to_string()),
        });
    }
    children.sort_by(|a, b| a.name.cmp(&b.name));
    if children.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err(TreeError::SameName.into());
    }
    Ok(children)
}

/// A single cap, of any strength.
pub(super) fn single(text: &str) -> Result<Target, HttpError> {
    target(Some(text), None).map_err(|error| match error {
        ChildError::BadCap(error) => HttpError::BadCap(error),
        ChildError::NoCap => HttpError::BadCap(CapError::NotACap),
        other => TreeError::BadChild(other).into(),
    })
}

/// What stands in the slot for writing may be any cap; what stands in the slot for reading must not write.
fn target(write: Option<&str>, read: Option<&str>) -> Result<Target, ChildError> {
    let filled = |text: Option<&str>| {
        text.map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let (write, read) = (filled(write), filled(read));
    for text in [&write, &read].into_iter().flatten() {
        if text.len() > UNKNOWN_CAP_BYTES_MAX || text.contains(char::is_control) {
            return Err(ChildError::TooLong {
                bytes_max: UNKNOWN_CAP_BYTES_MAX,
            });
        }
    }
    match (write, read) {
        (None, None) => Err(ChildError::NoCap),
        (None, Some(read)) => read_slot(&read),
        (Some(write), read) => match read_prefix(&write) {
            Some(_) => read_slot(&write),
            None => match Cap::parse(&write) {
                Ok(cap) => linkable(cap),
                Err(CapError::UnknownKind { .. } | CapError::NotACap) if read.is_some() => {
                    let Some(read) = read else {
                        return Err(ChildError::UnknownWrite);
                    };
                    match read_slot(&read)? {
                        Target::Unknown { read, .. } => Ok(Target::Unknown {
                            write: Some(write),
                            read,
                        }),
                        Target::Cap(_) => Err(ChildError::UnknownWrite),
                    }
                }
                Err(CapError::UnknownKind { .. }) => Err(ChildError::UnknownWrite),
                Err(error) => Err(ChildError::BadCap(error)),
            },
        },
    }
}

/// `ro.` and `imm.` promise how little a cap can do.
fn read_prefix(text: &str) -> Option<(&'static str, &str)> {
    ["ro.", "imm."]
        .into_iter()
        .find_map(|prefix| Some((prefix, text.strip_prefix(prefix)?)))
}

fn read_slot(text: &str) -> Result<Target, ChildError> {
    let (prefix, bare) = read_prefix(text).unwrap_or(("ro.", text));
    match Cap::parse(bare) {
        Ok(cap) if super::resolve::is_writable(&cap) => Err(ChildError::NotReadOnly),
        Ok(cap) if prefix == "imm." && cap.is_mutable() => Err(ChildError::NotReadOnly),
        Ok(cap) => linkable(cap),
        Err(CapError::UnknownKind { .. } | CapError::NotACap) => Ok(Target::Unknown {
            write: None,
            read: Some(format!("{prefix}{bare}")),
        }),
        Err(error) => Err(ChildError::BadCap(error)),
    }
}

fn linkable(cap: Cap) -> Result<Target, ChildError> {
    match cap {
        Cap::ChkVerifier(_)
        | Cap::DirChkVerifier(_)
        | Cap::Dir(MutableCap::Verify { .. })
        | Cap::Ssk(MutableCap::Verify { .. })
        | Cap::Mdmf(MutableCap::Verify { .. }) => Err(ChildError::VerifyOnly),
        cap => Ok(Target::Cap(cap)),
    }
}

/// Refuses what could change, or lead to something that could.
pub(super) fn check_immutable(target: &Target) -> Result<(), HttpError> {
    let immutable = match target {
        Target::Cap(cap) => !cap.is_mutable(),
        Target::Unknown { write, read } => {
            write.is_none() && read.as_ref().is_some_and(|read| read.starts_with("imm."))
        }
    };
    if immutable {
        Ok(())
    } else {
        Err(TreeError::BadChild(ChildError::NotImmutable).into())
    }
}

#[cfg(test)]
mod tests {
    use truckee_grid::keys::WriteKey;

    use super::*;

    fn write_cap() -> Cap {
        Cap::Dir(MutableCap::of_write_key(WriteKey::from_bytes([1; 16])))
    }

    #[test]
    fn caps_in_either_slot() {
        let write = write_cap();
        let read = write.to_read().unwrap();
        let (w, r) = (write.to_uri(), read.to_uri());
        let is = |given: Result<Target, ChildError>, cap: &Cap| given.unwrap() == Target::Cap(cap.clone());
        assert!(is(target(Some(&w), Some(&r)), &write));
        assert!(is(target(Some(&r), None), &read));
        assert!(is(target(None, Some(&r)), &read));
        assert!(is(target(None, Some(&format!(" ro.{r}\n"))), &read));
        assert!(matches!(target(None, Some(&w)), Err(ChildError::NotReadOnly)));
        assert!(matches!(
            target(Some(&format!("ro.{w}")), None),
            Err(ChildError::NotReadOnly)
        ));
        assert!(matches!(
            target(None, Some(&format!("imm.{r}"))),
            Err(ChildError::NotReadOnly)
        ));
        assert!(matches!(target(Some(" "), None), Err(ChildError::NoCap)));
        let verify = write.to_verifier().unwrap().to_uri();
        assert!(matches!(target(None, Some(&verify)), Err(ChildError::VerifyOnly)));
        assert!(matches!(
            target(Some("URI:LIT:!"), None),
            Err(ChildError::BadCap(_))
        ));
        assert!(matches!(
            target(Some("URI:LIT:a\u{1}"), None),
            Err(ChildError::TooLong { .. })
        ));
    }

    #[test]
    fn caps_of_the_future() {
        let unknown = |write: Option<&str>, read: &str| Target::Unknown {
            write: write.map(str::to_owned),
            read: Some(read.to_owned()),
        };
        assert!(matches!(
            target(Some("URI:NEW:x"), None),
            Err(ChildError::UnknownWrite)
        ));
        assert!(target(None, Some("URI:NEW:x")).unwrap() == unknown(None, "ro.URI:NEW:x"));
        assert!(target(Some("imm.URI:NEW:x"), None).unwrap() == unknown(None, "imm.URI:NEW:x"));
        let both = target(Some("URI:NEW:w"), Some("ro.URI:NEW:r")).unwrap();
        assert!(both == unknown(Some("URI:NEW:w"), "ro.URI:NEW:r"));
        check_immutable(&unknown(None, "imm.URI:NEW:x")).unwrap();
        assert!(check_immutable(&unknown(None, "ro.URI:NEW:x")).is_err());
        assert!(check_immutable(&unknown(Some("w"), "imm.URI:NEW:x")).is_err());
        assert!(check_immutable(&Target::Cap(write_cap())).is_err());
    }

    #[test]
    fn children_as_json() {
        assert!(parse(b" \n").unwrap().is_empty());
        let body = r#"{"b": ["filenode", {"ro_uri": "URI:LIT:nbswy3dp", "metadata": {"a": 1}, "size": 5}],
                       "a": ["?", {"rw_uri": "URI:LIT:nbswy3dp", "ro_uri": null}]}"#;
        let children = parse(body.as_bytes()).unwrap();
        assert_eq!(children[0].name.as_str(), "a");
        assert_eq!(children[1].metadata.as_deref(), Some("{\"a\":1}"));
        for bad in [
            "[]",
            "{",
            "{\"a\": {}}",
            "{\"a\": [\"filenode\"]}",
            "{\"a\": [\"filenode\", {\"rw_uri\": 7}]}",
            "{\"a\": [\"filenode\", {\"ro_uri\": \"URI:LIT:nbswy3dp\", \"metadata\": []}]}",
            "{\"a\": [\"filenode\", {}]}",
            "{\"a/b\": [\"filenode\", {\"ro_uri\": \"URI:LIT:nbswy3dp\"}]}",
            "{\"\u{e9}\": [\"\", {\"ro_uri\": \"URI:LIT:nbswy3dp\"}], \"e\u{301}\": [\"\", {\"ro_uri\": \"URI:LIT:\"}]}",
        ] {
            let error = parse(bad.as_bytes()).unwrap_err();
            assert_eq!(error.status().as_u16(), 400, "{bad}: {error}");
            assert!(!error.to_string().contains("nbswy3dp"));
        }
        assert!(parse(&vec![b'['; 100_000]).is_err(), "deep nesting is an error");
    }
}

//! What `t=json` says about a file or directory.
//!
//! Reads the answers of a Truckee gateway and of Tahoe-LAFS gateways; fields that nobody here needs are passed over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// What a cap stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// A file, mutable or not.
    #[serde(rename = "filenode")]
    File,
    /// A directory.
    #[serde(rename = "dirnode")]
    Directory,
    /// A cap of a kind that the gateway does not know.
    #[serde(rename = "unknown", other)]
    Unknown,
}

/// A file or directory, and if it is a directory that was asked for itself, its children.
#[derive(Clone, Deserialize)]
#[serde(from = "(Kind, Facts)")]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Cap to read it. Secret.
    pub ro_uri: Option<String>,
    /// Cap to change it. Secret.
    pub rw_uri: Option<String>,
    /// Cap to check it.
    pub verify_uri: Option<String>,
    /// Whether it can change.
    pub mutable: bool,
    /// Length of a file, where it is known without asking peers.
    pub size: Option<u64>,
    /// What its parent says about it.
    pub metadata: Map<String, Value>,
    /// Children by name.
    pub children: BTreeMap<String, Node>,
}

#[derive(Deserialize)]
struct Facts {
    ro_uri: Option<String>,
    rw_uri: Option<String>,
    verify_uri: Option<String>,
    #[serde(default)]
    mutable: bool,
    /// A number, or `"?"` or null for some mutable files.
    #[serde(default)]
    size: Value,
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    children: BTreeMap<String, Node>,
}

impl From<(Kind, Facts)> for Node {
    fn from((kind, facts): (Kind, Facts)) -> Node {
        Node {
            kind,
            ro_uri: facts.ro_uri,
            rw_uri: facts.rw_uri,
            verify_uri: facts.verify_uri,
            mutable: facts.mutable,
            size: facts.size.as_u64(),
            metadata: facts.metadata.unwrap_or_default(),
            children: facts.children,
        }
    }
}

impl Node {
    /// The strongest cap there is. Secret.
    #[must_use]
    pub fn cap(&self) -> Option<&str> {
        self.rw_uri.as_deref().or(self.ro_uri.as_deref())
    }

    /// The cap that only reads; for immutable things, the cap. Secret.
    #[must_use]
    pub fn read_cap(&self) -> Option<&str> {
        self.ro_uri.as_deref().or(self.rw_uri.as_deref())
    }

    /// When its content was last changed, if its metadata says so: seconds since 1970.
    #[must_use]
    pub fn modified(&self) -> Option<f64> {
        let linked = || {
            self.metadata
                .get("tahoe")
                .and_then(|tahoe| tahoe.get("linkmotime"))
        };
        self.metadata.get("mtime").or_else(linked).and_then(Value::as_f64)
    }
}

/// A child as `set_children` and `mkdir-immutable` take it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewChild {
    /// File or directory.
    pub directory: bool,
    /// Its strongest cap.
    pub cap: String,
    /// What its parent is to say about it.
    pub metadata: Map<String, Value>,
}

impl NewChild {
    /// As in the body of the request.
    #[must_use]
    pub fn json(&self) -> Value {
        let kind = if self.directory { "dirnode" } else { "filenode" };
        let field = if is_writable(&self.cap) {
            "rw_uri"
        } else {
            "ro_uri"
        };
        serde_json::json!([kind, { field: self.cap, "metadata": self.metadata }])
    }
}

/// Whether a cap gives the right to change what it stands for.
#[must_use]
pub fn is_writable(cap: &str) -> bool {
    ["URI:DIR2:", "URI:DIR2-MDMF:", "URI:SSK:", "URI:MDMF:"]
        .iter()
        .any(|kind| cap.starts_with(kind))
}

/// Whether a cap stands for something that can change, as far as its text tells.
#[must_use]
pub fn is_mutable(cap: &str) -> bool {
    let kind = cap.split(':').nth(1).unwrap_or("");
    [
        "DIR2",
        "DIR2-RO",
        "DIR2-MDMF",
        "DIR2-MDMF-RO",
        "SSK",
        "SSK-RO",
        "MDMF",
        "MDMF-RO",
    ]
    .contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_both_kinds_of_gateway_are_read() {
        let text = r#"["dirnode", {"mutable": true, "ro_uri": "URI:DIR2-RO:a:b", "rw_uri": "URI:DIR2:a:b", "children": {
            "f": ["filenode", {"size": 3, "ro_uri": "URI:LIT:aa", "mutable": false, "format": "CHK",
                  "metadata": {"mtime": 5.5, "tahoe": {"linkmotime": 7.0}}}],
            "m": ["filenode", {"size": "?", "ro_uri": "URI:SSK-RO:a:b", "rw_uri": "URI:SSK:a:b", "mutable": true, "metadata": {"tahoe": {"linkmotime": 7.0}}}],
            "odd": ["unknown", {"rw_uri": null, "ro_uri": "ro.lafs://x"}],
            "new": ["symlinknode", {}] } }]"#;
        let node: Node = serde_json::from_str(text).unwrap();
        assert_eq!((node.kind, node.cap()), (Kind::Directory, Some("URI:DIR2:a:b")));
        let file = &node.children["f"];
        assert_eq!((file.size, file.modified()), (Some(3), Some(5.5)));
        let mutable = &node.children["m"];
        assert_eq!((mutable.size, mutable.modified()), (None, Some(7.0)));
        assert_eq!(mutable.read_cap(), Some("URI:SSK-RO:a:b"));
        assert_eq!(node.children["odd"].kind, Kind::Unknown);
        assert_eq!(node.children["new"].kind, Kind::Unknown);
        assert!(serde_json::from_str::<Node>("[\"filenode\"]").is_err());
    }

    #[test]
    fn children_are_sent_with_the_right_cap() {
        let child = |cap: &str| {
            NewChild {
                directory: true,
                cap: cap.into(),
                metadata: Map::new(),
            }
            .json()
        };
        assert_eq!(child("URI:DIR2:a:b")[1]["rw_uri"], "URI:DIR2:a:b");
        assert_eq!(child("URI:DIR2-RO:a:b")[1]["ro_uri"], "URI:DIR2-RO:a:b");
        assert!(is_mutable("URI:DIR2-RO:a:b") && !is_mutable("URI:DIR2-CHK:a:b:3:10:5"));
    }
}

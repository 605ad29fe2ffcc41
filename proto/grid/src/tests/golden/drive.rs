//! The bytes of directories, pinned: ids, sealed rows, their sum, signed heads, immutable listings.
//!
//! What is pinned is also read back, so that a format that changed in both directions at once is found too.

use std::collections::BTreeMap;

use sha3::{Digest, Sha3_256};

use super::{Lines, bytes_from};
use crate::{
    caps::{Cap, ChkCap, LitCap, MutableCap},
    drive::{Child, ChildName, DirectoryKeys, RowName, RowSum, SealedRow, SignedHead, Target, listing},
    ids::Hash,
    keys::{ReadKey, WriteKey},
    params::Encoding,
};

fn cap() -> MutableCap {
    MutableCap::of_write_key(WriteKey::from_bytes(bytes_from(0x80)))
}

fn keys() -> DirectoryKeys {
    DirectoryKeys::of(&cap()).expect("it writes")
}

fn named(name: &str) -> ChildName {
    ChildName::new(name).expect("a name")
}

fn child(target: Target, metadata: &str) -> Child {
    let metadata = metadata.to_owned();
    Child { target, metadata }
}

fn lit(text: &str) -> Target {
    Target::Cap(Cap::Lit(LitCap::new(text.as_bytes()).expect("short")))
}

fn chk() -> ChkCap {
    ChkCap {
        key: ReadKey::from_bytes(bytes_from(0)),
        ueb_hash: Hash(bytes_from(0x20)),
        coding: Encoding::default().coding(),
        size: 1_234_567,
    }
}

fn unknown(write: Option<&str>, read: &str) -> Target {
    Target::Unknown {
        write: write.map(str::to_owned),
        read: Some(read.to_owned()),
    }
}

/// One of each kind: no write cap, a write cap of its own, and caps of a kind that only later software knows.
fn rows() -> Vec<(&'static str, RowName, Child)> {
    let child_cap = MutableCap::of_write_key(WriteKey::from_bytes(bytes_from(0x30)));
    let later = unknown(Some("URI:LATER:w"), "ro.URI:LATER:r");
    // The name comes in another normal form than it is kept in.
    let accent = RowName::Child(named("e\u{301}te\u{301}"));
    vec![
        ("content", RowName::Content, child(lit("of a mutable file"), "{}")),
        (
            "child `file`",
            RowName::Child(named("file")),
            child(lit("hello"), r#"{"a":1}"#),
        ),
        (
            "child `\u{e9}t\u{e9}`",
            accent,
            child(Target::Cap(Cap::Chk(chk())), "{}"),
        ),
        (
            "child `dir`",
            RowName::Child(named("dir")),
            child(Target::Cap(Cap::Dir(child_cap)), "{}"),
        ),
        ("child `later`", RowName::Child(named("later")), child(later, "")),
    ]
}

fn sealed_rows(lines: &mut Lines) -> Vec<SealedRow> {
    let keys = keys();
    let mut sealed = Vec::new();
    for (index, (what, name, child)) in rows().into_iter().enumerate() {
        let nonces = bytes_from(index as u8 * 0x30);
        let row = keys.seal_row(&name, &child, nonces).expect("within bounds");
        lines.put_hex(&format!("{what}, row id"), &row.id.0);
        lines.put_hex("  sealed", &row.bytes);
        let opened = keys.open_row(row.id, &row.bytes);
        assert_eq!(opened, Ok((name, child)), "{what}");
        sealed.push(row);
    }
    sealed
}

fn put_head(lines: &mut Lines, what: &str, head: &SignedHead) {
    assert_eq!(head.verify(&keys().id()), Ok(()), "{what}");
    lines.put_hex(&format!("{what}, signature"), &head.signature);
}

#[test]
fn directories() {
    let mut lines = Lines(String::new());
    let keys = keys();
    lines.put_hex("storage index", keys.id().si.as_ref());
    lines.put_hex("fingerprint", keys.id().fingerprint.as_ref());
    let sealed = sealed_rows(&mut lines);

    let mut sum = RowSum::empty();
    lines.put_hex("digest of no rows", sum.digest().as_ref());
    sealed.iter().for_each(|row| sum.add(&row.id, &row.bytes));
    let bytes = sum.to_bytes();
    lines.put_hex("sum of these rows, first 64 bytes", &bytes[..64]);
    lines.put_hex("  sha3-256 of all of it", &Sha3_256::digest(&bytes));
    lines.put_hex("  digest", sum.digest().as_ref());
    assert_eq!(RowSum::from_bytes(&bytes), Some(sum.clone()));
    sum.remove(&sealed[0].id, &sealed[0].bytes);
    lines.put_hex("digest without the content", sum.digest().as_ref());

    let count = sealed.len() as u32 - 1;
    let head = keys.sign_sum(1, count, &sum).expect("it writes");
    lines.put_hex("head, public key", &head.public_key);
    put_head(&mut lines, "head of version 1", &head);
    let head = keys.sign_sum_fresh(1, count, &sum, &bytes_from(0x70));
    put_head(
        &mut lines,
        "the same, with fresh randomness 70..8f",
        &head.expect("it writes"),
    );
    let head = keys.sign_sum(0x0102_0304_0506_0708, 100_000, &RowSum::empty());
    put_head(
        &mut lines,
        "head of version 0102030405060708 and 100,000 rows",
        &head.expect("it writes"),
    );
    lines.check("drive.txt", include_str!("../../../vectors/drive.txt"));
}

#[test]
fn listings() {
    let mut lines = Lines(String::new());
    let children = BTreeMap::from([
        (named("b"), child(lit("hello"), r#"{"a":1}"#)),
        (named("B"), child(Target::Cap(Cap::Chk(chk())), "{}")),
        (named("e\u{301}"), child(unknown(None, "imm.URI:LATER:r"), "")),
        (
            named("empty"),
            child(
                Target::Cap(Cap::DirLit(LitCap::new(b"").expect("empty fits"))),
                "{}",
            ),
        ),
        (named("tree"), child(Target::Cap(Cap::DirChk(chk())), "{}")),
    ]);
    for (what, children) in [("no children", BTreeMap::new()), ("five children", children)] {
        let bytes = listing::encode(&children).expect("nothing in it changes");
        lines.put_hex(what, &bytes);
        assert_eq!(listing::parse(&bytes), Ok(children), "{what}");
    }
    lines.check("listings.txt", include_str!("../../../vectors/listings.txt"));
}

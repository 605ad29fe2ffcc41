//! Every plain form of a row out of pieces that are right, nearly right and wrong: what opens is what would be sealed.

use super::tests::{NONCES, keys, named, plain, write_cap};
use super::*;
use crate::{
    caps::{Cap, ChkCap},
    drive::{ChildName, Target},
    keys::{ReadKey, WriteKey},
    params::Coding,
    sealing::{SealingEngine, seal},
};

const NAMES: [&str; 9] = ["", "a", "\u{e9}", "e\u{301}", ".", "..", "a/b", "a\0", "\n"];

fn cap_texts() -> Vec<String> {
    let chk = ChkCap {
        key: ReadKey::from_bytes([1; 16]),
        ueb_hash: Hash([2; 32]),
        coding: Coding::new(3, 10).expect("valid"),
        size: 1000,
    };
    let mutable = write_cap(7);
    let caps = [
        Cap::Chk(chk.clone()),
        Cap::DirChk(chk.clone()),
        Cap::ChkVerifier(chk.verifier()),
        Cap::Dir(mutable.clone()),
        Cap::Dir(mutable.to_read().expect("reads")),
        Cap::Dir(mutable.to_verifier()),
        Cap::Ssk(mutable.clone()),
        Cap::Ssk(mutable.to_read().expect("reads")),
        Cap::Mdmf(mutable),
    ];
    let others = ["URI:LIT:", "", "x", "ro.x", "imm.x", "ro.\n", "URI:LIT:x1", " "];
    let others = others.map(str::to_owned);
    caps.iter().map(Cap::to_uri).chain(others).collect()
}

fn boxed(key: &CipherKey, nonce: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut buffer = bytes::BytesMut::from(plain);
    let nonce = nonce.first_chunk().expect("long enough");
    seal(SealingEngine::Fast, key, nonce, &mut buffer);
    [&nonce[..], &buffer].concat()
}

/// Nothing, and each text sealed for writers, for nobody here, and not at all.
fn write_fields() -> Vec<Vec<u8>> {
    let own = WriteKey::from_bytes([1; 16]).child_key();
    let other = WriteKey::from_bytes([2; 16]).child_key();
    let nonce = &NONCES[24..];
    let mut fields = vec![Vec::new(), b"x".to_vec(), boxed(&own, nonce, b"\xff")];
    for text in cap_texts() {
        fields.push(boxed(&own, nonce, text.as_bytes()));
        fields.push(boxed(&other, nonce, text.as_bytes()));
    }
    fields
}

/// What a writer opens must be sealed again to the same bytes, and a reader must see the weaker half of it.
fn check(plain: &[u8], name: &RowName) -> bool {
    let (writer, reader) = keys(1);
    let content = WriteKey::from_bytes([1; 16]).read_key().content_key();
    let sealed = boxed(&content, &NONCES[..24], plain);
    let id = writer.row_id(name);
    let read = reader.open_row(id, &sealed);
    let Ok((opened, child)) = writer.open_row(id, &sealed) else {
        return false;
    };
    assert_eq!(opened, *name, "{plain:?}");
    let again = writer.seal_row(name, &child, NONCES).expect("it was sealed");
    assert_eq!(again.bytes, sealed, "two forms of one row: {plain:?}");
    // A verifier reads nothing, and is shown as it is.
    let weaker = child.target.to_read().unwrap_or(child.target);
    assert!(
        matches!(&read, Ok((_, child)) if child.target == weaker),
        "a reader sees something else: {plain:?}"
    );
    if let Ok((_, child)) = read {
        let writes = |target: &Target| match target {
            Target::Cap(Cap::Dir(cap) | Cap::Ssk(cap) | Cap::Mdmf(cap)) => {
                matches!(cap, MutableCap::Write { .. })
            }
            Target::Cap(_) => false,
            Target::Unknown { write, .. } => write.is_some(),
        };
        assert!(!writes(&child.target), "a reader can write: {plain:?}");
    }
    true
}

#[test]
fn what_opens_is_what_would_be_sealed() {
    let (mut tried, mut opened) = (0, 0);
    let writes = write_fields();
    for (kind, text) in (0..3).flat_map(|kind| NAMES.map(|name| (kind, name))) {
        let name = match (kind, ChildName::new(text)) {
            (1, Ok(name)) => RowName::Child(name),
            _ => RowName::Content,
        };
        for read in cap_texts() {
            for write in &writes {
                let fields = [text.as_bytes(), read.as_bytes(), write, b"{}"];
                let bare = plain(kind, fields, &[]);
                let room = (bare.len() + 40).next_multiple_of(64) - bare.len() - 40;
                opened += u32::from(check(&plain(kind, fields, &vec![0; room]), &name));
                tried += 1;
            }
        }
    }
    // Two caps of files as a content. Under each of three names: seven known caps and two unknown ones without a write
    // cap, a directory and a mutable file with theirs, and each of the two unknown ones with each of five.
    println!("{opened} of {tried} forms open");
    assert_eq!(opened, 2 + 3 * (9 + 2 + 2 * 5), "of {tried}");
}

#[test]
fn names_in_another_normal_form_open_nothing() {
    let kept = named("e\u{301}");
    for text in ["e\u{301}", "\u{e9}"] {
        let bare = plain(1, [text.as_bytes(), b"URI:LIT:", b"", b""], &[]);
        let room = (bare.len() + 40).next_multiple_of(64) - bare.len() - 40;
        let fields = [text.as_bytes(), b"URI:LIT:", b"", b""];
        let opens = check(&plain(1, fields, &vec![0; room]), &kept);
        assert_eq!(opens, text == "\u{e9}", "{text:?}");
    }
}

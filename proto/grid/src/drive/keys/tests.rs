//! Rows: what is sealed comes back to those who may see it, and to nobody else.

use proptest::prelude::*;

use super::*;
use crate::{
    caps::{Cap, LitCap},
    drive::{ChildName, METADATA_BYTES_MAX, SEALED_ROW_BYTES_MAX, Target, UNKNOWN_CAP_BYTES_MAX},
    keys::WriteKey,
};

pub(super) fn write_cap(seed: u8) -> MutableCap {
    MutableCap::of_write_key(WriteKey::from_bytes([seed; 16]))
}

pub(super) fn keys(seed: u8) -> (DirectoryKeys, DirectoryKeys) {
    let cap = write_cap(seed);
    let read = cap.to_read().expect("a write cap reads");
    (
        DirectoryKeys::of(&cap).expect("writes"),
        DirectoryKeys::of(&read).expect("reads"),
    )
}

pub(super) fn named(name: &str) -> RowName {
    RowName::Child(ChildName::new(name).expect("a name"))
}

fn child(target: Target) -> Child {
    Child {
        target,
        metadata: "{\"a\":1}".to_owned(),
    }
}

fn lit() -> Target {
    Target::Cap(Cap::Lit(LitCap::new(b"hello").expect("short")))
}

fn unknown(write: Option<&str>, read: Option<&str>) -> Target {
    Target::Unknown {
        write: write.map(str::to_owned),
        read: read.map(str::to_owned),
    }
}

pub(super) const NONCES: [u8; 48] = [9; 48];

#[test]
fn the_strengths_of_a_cap_name_the_same_directory() {
    let (writer, reader) = keys(1);
    assert_eq!(writer.id(), reader.id());
    assert!(writer.writable() && !reader.writable());
    assert_eq!(writer.row_id(&named("a")), reader.row_id(&named("a")));
    assert_ne!(writer.row_id(&named("a")), writer.row_id(&named("b")));
    assert_ne!(writer.row_id(&named("a")), keys(2).0.row_id(&named("a")));
    assert!(DirectoryKeys::of(&write_cap(1).to_verifier()).is_none());
    assert_eq!(write_cap(1).to_verifier().directory_id(), writer.id());
    assert_eq!(
        reader.seal_row(&named("a"), &child(lit()), NONCES),
        Err(RowError::ReadOnly)
    );
    assert_eq!(reader.sign(1, 0, Hash([0; 32])), Err(RowError::ReadOnly));
    let head = writer.sign_sum(1, 0, &RowSum::empty()).expect("writes");
    assert_eq!(head.verify(&reader.id()), Ok(()));
}

#[test]
fn a_write_cap_with_another_fingerprint_does_not_write() {
    let MutableCap::Write { key, .. } = write_cap(1) else {
        panic!("it writes")
    };
    let fingerprint = write_cap(2).fingerprint();
    let keys = DirectoryKeys::of(&MutableCap::Write { key, fingerprint }).expect("reads");
    assert!(!keys.writable());
}

#[test]
fn readers_see_no_write_caps() {
    let (writer, reader) = keys(1);
    for of in [Cap::Dir, Cap::Ssk, Cap::Mdmf] {
        let cap = of(write_cap(7));
        let read = cap.to_read().expect("reads");
        let row = writer
            .seal_row(&named("sub"), &child(Target::Cap(cap.clone())), NONCES)
            .expect("in bounds");
        let (_, seen) = writer.open_row(row.id, &row.bytes).expect("opens");
        assert_eq!(seen.target, Target::Cap(cap));
        let (name, seen) = reader.open_row(row.id, &row.bytes).expect("opens");
        assert_eq!((name, seen.target), (named("sub"), Target::Cap(read)));
    }
    let row = writer
        .seal_row(
            &named("later"),
            &child(unknown(Some("URI:NEW:w"), Some("ro.URI:NEW:r"))),
            NONCES,
        )
        .expect("in bounds");
    let (_, seen) = reader.open_row(row.id, &row.bytes).expect("opens");
    assert_eq!(seen.target, unknown(None, Some("ro.URI:NEW:r")));
    let (_, seen) = writer.open_row(row.id, &row.bytes).expect("opens");
    assert_eq!(seen.target, unknown(Some("URI:NEW:w"), Some("ro.URI:NEW:r")));
}

#[test]
fn every_kind_of_target_comes_back() {
    let (writer, _) = keys(1);
    let targets = [
        lit(),
        Target::Cap(Cap::DirLit(LitCap::new(b"").expect("short"))),
        Target::Cap(Cap::Dir(write_cap(3).to_read().expect("reads"))),
        Target::Cap(Cap::Mdmf(write_cap(3).to_verifier())),
        unknown(None, Some("imm.URI:NEW:x")),
    ];
    for target in targets {
        let row = writer
            .seal_row(&named("x"), &child(target.clone()), NONCES)
            .expect("in bounds");
        assert_eq!(row.bytes.len() % 64, 0);
        let (_, seen) = writer.open_row(row.id, &row.bytes).expect("opens");
        assert_eq!(seen, child(target));
    }
}

#[test]
fn a_mutable_file_has_a_file_as_content() {
    let (writer, reader) = keys(1);
    let row = writer
        .seal_row(&RowName::Content, &child(lit()), NONCES)
        .expect("in bounds");
    assert_eq!(
        reader.open_row(row.id, &row.bytes),
        Ok((RowName::Content, child(lit())))
    );
    for bad in [Target::Cap(Cap::Dir(write_cap(3))), unknown(None, Some("ro.x"))] {
        let refused = writer.seal_row(&RowName::Content, &child(bad), NONCES);
        assert_eq!(refused, Err(RowError::NotAFile));
    }
}

#[test]
fn rows_of_other_places_are_refused() {
    let (writer, reader) = keys(1);
    let row = writer
        .seal_row(&named("a"), &child(lit()), NONCES)
        .expect("in bounds");
    let other_id = writer.row_id(&named("b"));
    assert_eq!(reader.open_row(other_id, &row.bytes), Err(RowError::OtherId));
    let (_, stranger) = keys(2);
    assert_eq!(stranger.open_row(row.id, &row.bytes), Err(RowError::Forged));
    assert_eq!(reader.open_row(row.id, b"short"), Err(RowError::Forged));
    let long = vec![0; SEALED_ROW_BYTES_MAX + 64];
    assert!(matches!(
        reader.open_row(row.id, &long),
        Err(RowError::TooLong { .. })
    ));
}

#[test]
fn unknown_caps_are_bounded_and_say_that_they_read() {
    let (writer, _) = keys(1);
    let seal = |target| writer.seal_row(&named("a"), &child(target), NONCES).map(|_| ());
    assert_eq!(seal(unknown(Some("x"), None)), Err(RowError::UnknownNeedsRead));
    assert_eq!(seal(unknown(None, None)), Err(RowError::UnknownNeedsRead));
    assert_eq!(seal(unknown(None, Some("x"))), Err(RowError::UnknownNeedsRead));
    assert_eq!(seal(unknown(None, Some("ro.a\nb"))), Err(RowError::UnknownText));
    assert_eq!(seal(unknown(Some(""), Some("ro.a"))), Err(RowError::UnknownText));
    assert_eq!(
        seal(unknown(Some("URI:LIT:"), Some("ro.a"))),
        Err(RowError::UnknownText)
    );
    let longest = format!("ro.{}", "x".repeat(UNKNOWN_CAP_BYTES_MAX - 3));
    assert_eq!(seal(unknown(Some(&longest), Some(&longest))), Ok(()));
    let longer = longest + "x";
    let refused = seal(unknown(None, Some(&longer)));
    assert!(matches!(refused, Err(RowError::TooLong { .. })));
}

#[test]
fn the_longest_row_fits_and_longer_metadata_does_not() {
    let (writer, _) = keys(1);
    let cap = format!("ro.{}", "x".repeat(UNKNOWN_CAP_BYTES_MAX - 3));
    let mut longest = Child {
        target: unknown(Some(&cap), Some(&cap)),
        metadata: "m".repeat(METADATA_BYTES_MAX),
    };
    let name = named(&"n".repeat(255));
    let row = writer.seal_row(&name, &longest, NONCES).expect("fits");
    assert!(row.bytes.len() <= SEALED_ROW_BYTES_MAX);
    assert_eq!(
        writer.open_row(row.id, &row.bytes),
        Ok((name.clone(), longest.clone()))
    );
    longest.metadata.push('m');
    let fields = ["a".as_bytes(), b"URI:LIT:", b"", longest.metadata.as_bytes()];
    let long = plain(1, fields, &[]);
    let room = (long.len() + 40).next_multiple_of(64) - long.len() - 40;
    let sealed = sealed_plain(&plain(1, fields, &vec![0; room]));
    let opened = writer.open_row(writer.row_id(&named("a")), &sealed);
    assert!(matches!(
        opened,
        Err(RowError::TooLong {
            field: "metadata",
            ..
        })
    ));
    let refused = writer.seal_row(&name, &longest, NONCES);
    assert!(matches!(
        refused,
        Err(RowError::TooLong {
            field: "metadata",
            ..
        })
    ));
}

/// Seals any plain form, so that forms that `seal_row` never makes can be tried.
fn sealed_plain(plain: &[u8]) -> Vec<u8> {
    let content = WriteKey::from_bytes([1; 16]).read_key().content_key();
    let mut buffer = bytes::BytesMut::from(plain);
    let engine = crate::sealing::SealingEngine::Reference;
    crate::sealing::seal(engine, &content, &[3; 24], &mut buffer);
    [&[3; 24][..], &buffer].concat()
}

pub(super) fn plain(kind: u8, fields: [&[u8]; 4], padding: &[u8]) -> Vec<u8> {
    let mut plain = vec![kind];
    for field in fields {
        plain.extend_from_slice(&(field.len() as u16).to_be_bytes());
        plain.extend_from_slice(field);
    }
    plain.extend_from_slice(padding);
    plain
}

#[test]
fn only_the_one_form_opens() {
    let (writer, _) = keys(1);
    let open = |plain: &[u8], name: &RowName| {
        writer
            .open_row(writer.row_id(name), &sealed_plain(plain))
            .map(|_| ())
    };
    let good = [&b"a"[..], b"URI:LIT:", b"", b"{}"];
    let room = 64 - 40 - 20; // 20 bytes of plain form, 40 around it
    assert_eq!(open(&plain(1, good, &vec![0; room]), &named("a")), Ok(()));
    let malformed = |field| Err(RowError::Malformed { field });
    let cases = [
        (plain(1, good, &vec![0; room - 1]), "padding"),
        (plain(1, good, &vec![0; room + 64]), "padding"),
        (plain(1, good, &[vec![0; room - 1], vec![1]].concat()), "padding"),
        (plain(2, good, &vec![0; room]), "name"),
        (plain(0, good, &vec![0; room]), "name"),
        (plain(1, [b"/", b"URI:LIT:", b"", b"{}"], &vec![0; room]), "name"),
        (
            plain(1, [b"a", b"URI:LIT:", b"w", b"{}"], &vec![0; room - 1]),
            "write cap",
        ),
        (
            plain(1, [b"\xff", b"URI:LIT:", b"", b"{}"], &vec![0; room]),
            "name",
        ),
        (vec![1, 0, 9, 1], "name"),
        (vec![], "kind of name"),
    ];
    for (plain, field) in cases {
        assert_eq!(open(&plain, &named("a")), malformed(field), "{plain:?}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    assert_eq!(format!("{:?}", keys(1).0), "DirectoryKeys(secret)");
}

proptest! {
    #[test]
    fn any_flipped_bit_is_found(name in "[a-zäöü]{1,40}", bit in any::<prop::sample::Index>(), nonces in any::<[u8; 24]>()) {
        let (writer, reader) = keys(1);
        let mut both = [0; 48];
        both[..24].copy_from_slice(&nonces);
        let row = writer.seal_row(&named(&name), &child(Target::Cap(Cap::Dir(write_cap(4)))), both).expect("in bounds");
        let mut bytes = row.bytes.to_vec();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(reader.open_row(row.id, &bytes), Err(RowError::Forged));
        prop_assert_eq!(writer.open_row(row.id, &bytes), Err(RowError::Forged));
    }

    #[test]
    fn no_plain_form_panics(plain in prop::collection::vec(any::<u8>(), 0..200)) {
        let (writer, reader) = keys(1);
        let sealed = sealed_plain(&plain);
        let id = writer.row_id(&named("a"));
        prop_assert!(writer.open_row(id, &sealed).is_err());
        prop_assert!(reader.open_row(id, &sealed).is_err());
    }
}

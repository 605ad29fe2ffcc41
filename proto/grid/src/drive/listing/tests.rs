//! Listings: one for each set of children, and nothing else is one.

use proptest::prelude::*;

use super::*;
use crate::caps::{ChkCap, LitCap, MutableCap};
use crate::ids::Hash;
use crate::keys::{ReadKey, WriteKey};
use crate::params::Coding;

fn lit(bytes: &[u8]) -> Target {
    Target::Cap(Cap::Lit(LitCap::new(bytes).expect("short")))
}

fn unknown(write: Option<&str>, read: Option<&str>) -> Target {
    Target::Unknown {
        write: write.map(str::to_owned),
        read: read.map(str::to_owned),
    }
}

fn listing(children: &[(&str, Target)]) -> BTreeMap<ChildName, Child> {
    let child = |(name, target): &(&str, Target)| {
        let metadata = "{}".to_owned();
        let target = target.clone();
        (ChildName::new(name).expect("a name"), Child { target, metadata })
    };
    children.iter().map(child).collect()
}

fn chk() -> ChkCap {
    ChkCap {
        key: ReadKey::from_bytes([1; 16]),
        ueb_hash: Hash([2; 32]),
        coding: Coding::new(3, 10).expect("valid"),
        size: 1000,
    }
}

#[test]
fn every_kind_that_never_changes_comes_back() {
    let children = listing(&[
        ("a", lit(b"x")),
        ("b", Target::Cap(Cap::Chk(chk()))),
        ("c", Target::Cap(Cap::DirLit(LitCap::new(b"").expect("short")))),
        ("d", Target::Cap(Cap::DirChk(chk()))),
        ("e", unknown(None, Some("imm.URI:NEW:x"))),
    ]);
    assert_eq!(parse(&encode(&children).expect("immutable")), Ok(children));
    let empty = encode(&BTreeMap::new()).expect("immutable");
    assert_eq!(parse(&empty), Ok(BTreeMap::new()));
    assert!(LitCap::new(&empty).is_some(), "lives in its cap");
}

#[test]
fn what_could_change_is_refused() {
    let mutable = || MutableCap::of_write_key(WriteKey::from_bytes([1; 16]));
    let read = mutable().to_read().expect("reads");
    for cap in [
        Cap::Dir(mutable()),
        Cap::Ssk(read),
        Cap::Mdmf(mutable()),
        Cap::ChkVerifier(chk().verifier()),
    ] {
        let refused = encode(&listing(&[("a", lit(b"x")), ("b", Target::Cap(cap))]));
        assert_eq!(refused, Err(ListingError::Mutable { index: 1 }));
    }
    for target in [
        unknown(None, Some("ro.x")),
        unknown(Some("x"), Some("imm.x")),
        unknown(None, None),
        unknown(None, Some("imm.\n")),
    ] {
        let refused = encode(&listing(&[("a", target)]));
        assert_eq!(refused, Err(ListingError::Unknown { index: 0 }));
    }
    let long = format!("imm.{}", "x".repeat(UNKNOWN_CAP_BYTES_MAX));
    let refused = encode(&listing(&[("a", unknown(None, Some(&long)))]));
    assert!(matches!(refused, Err(ListingError::TooLong { .. })));
}

/// Bytes of a listing with these fields, whatever they are.
fn raw(count: u32, entries: &[[&[u8]; 3]]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&count.to_be_bytes());
    for field in entries.iter().flatten() {
        out.extend_from_slice(&(field.len() as u16).to_be_bytes());
        out.extend_from_slice(field);
    }
    out
}

#[test]
fn only_the_one_form_is_read() {
    let entry = |name: &'static [u8]| [name, &b"URI:LIT:"[..], &b"{}"[..]];
    assert_eq!(
        parse(&raw(2, &[entry(b"a"), entry(b"b")])).map(|children| children.len()),
        Ok(2)
    );
    let malformed = |bytes: &[u8]| matches!(parse(bytes), Err(ListingError::Malformed { .. }));
    assert!(malformed(&raw(2, &[entry(b"b"), entry(b"a")])), "order");
    assert!(malformed(&raw(2, &[entry(b"a"), entry(b"a")])), "twice");
    assert!(malformed(&raw(1, &[entry(b"a"), entry(b"b")])), "more than said");
    assert!(malformed(&raw(2, &[entry(b"a")])), "fewer than said");
    assert!(malformed(&raw(1, &[entry(b"a/b")])), "no name");
    assert!(
        malformed(&raw(1, &[entry("e\u{301}".as_bytes())])),
        "another normal form"
    );
    assert!(malformed(&raw(1, &[entry(b"\xff")])), "no text");
    assert!(
        malformed(&[raw(1, &[entry(b"a")]), vec![0]].concat()),
        "something behind"
    );
    assert_eq!(
        parse(&raw(1, &[[b"a", b"URI:DIR2:x", b"{}"]])),
        Err(ListingError::Unknown { index: 0 })
    );
    let children = ROWS_MAX + 1;
    assert_eq!(
        parse(&raw(children as u32, &[])),
        Err(ListingError::TooMany { children })
    );
    assert_eq!(parse(b"trkdir\0\x02\0\0\0\0"), Err(ListingError::NotAListing));
    assert_eq!(parse(b""), Err(ListingError::NotAListing));
}

#[test]
fn listings_are_bounded() {
    let too_long = |result: Result<(), ListingError>, what: &str| {
        assert!(
            matches!(result, Err(ListingError::TooLong { field, .. }) if field == what),
            "{what}: {result:?}"
        );
    };
    let small = listing(&[("a", lit(b"x")), ("b", lit(b"y"))]);
    let bytes = encode(&small).expect("short");
    assert_eq!(encode_within(&small, bytes.len()), Ok(bytes.clone()));
    too_long(encode_within(&small, bytes.len() - 1).map(|_| ()), "listing");
    too_long(parse(&vec![0; LISTING_BYTES_MAX + 1]).map(|_| ()), "listing");
    let metadata = "m".repeat(METADATA_BYTES_MAX + 1);
    let long = raw(1, &[[b"a", b"URI:LIT:", metadata.as_bytes()]]);
    too_long(parse(&long).map(|_| ()), "metadata");
    let target = lit(b"x");
    let child = Child { target, metadata };
    let long = BTreeMap::from([(ChildName::new("a").expect("a name"), child)]);
    too_long(encode(&long).map(|_| ()), "metadata");
    let children = ROWS_MAX + 1;
    let names = (0..children).map(|i| ChildName::new(&format!("{i}")).expect("a name"));
    let (target, metadata) = (lit(b""), String::new());
    let child = Child { target, metadata };
    let many = names.map(|name| (name, child.clone())).collect();
    assert_eq!(encode(&many), Err(ListingError::TooMany { children }));
}

proptest! {
    #[test]
    fn listings_come_back(names in prop::collection::btree_set("[a-z]{1,20}", 0..20), metadata in "[ -~]{0,40}") {
        let children: BTreeMap<ChildName, Child> = names
            .iter()
            .map(|name| (ChildName::new(name).expect("a name"), Child { target: lit(name.as_bytes()), metadata: metadata.clone() }))
            .collect();
        let bytes = encode(&children).expect("immutable");
        prop_assert_eq!(parse(&bytes), Ok(children));
    }

    #[test]
    fn damage_gives_an_error_or_another_listing(at in any::<prop::sample::Index>(), flip in 1u8.., cut in any::<prop::sample::Index>()) {
        let mut bytes = encode(&listing(&[("one", lit(b"x")), ("two", lit(b"y"))])).expect("immutable");
        let cut = cut.index(bytes.len());
        prop_assert!(parse(&bytes[..cut]).is_err());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(children) = parse(&bytes) {
            prop_assert_eq!(encode(&children), Ok(bytes));
        }
    }

    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&garbage).is_err());
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&garbage);
        if let Ok(children) = parse(&bytes) {
            prop_assert_eq!(encode(&children), Ok(bytes));
        }
    }
}

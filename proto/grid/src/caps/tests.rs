use super::*;
use crate::base32::Base32Error;
use proptest::prelude::*;

fn coding() -> impl Strategy<Value = Coding> {
    (1u32..=256, 1u32..=256).prop_filter_map("k-of-n", |(k, n)| Coding::new(k, n).ok())
}

fn chk() -> impl Strategy<Value = ChkCap> {
    (
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        coding(),
        1..=crate::params::FILE_BYTES_MAX,
    )
        .prop_map(|(key, hash, coding, size)| ChkCap {
            key: ReadKey::from_bytes(key),
            ueb_hash: Hash(hash),
            coding,
            size,
        })
}

fn mutable() -> impl Strategy<Value = MutableCap> {
    (any::<[u8; 16]>(), any::<[u8; 32]>(), 0..3).prop_map(|(key, fingerprint, strength)| {
        let fingerprint = Hash(fingerprint);
        match strength {
            0 => MutableCap::Write {
                key: WriteKey::from_bytes(key),
                fingerprint,
            },
            1 => MutableCap::Read {
                key: MutableReadKey::from_bytes(key),
                fingerprint,
            },
            _ => MutableCap::Verify {
                si: StorageIndex(key),
                fingerprint,
            },
        }
    })
}

fn lit() -> impl Strategy<Value = LitCap> {
    prop::collection::vec(any::<u8>(), 0..=LIT_BYTES_MAX).prop_map(LitCap)
}

fn cap() -> impl Strategy<Value = Cap> {
    prop_oneof![
        lit().prop_map(Cap::Lit),
        lit().prop_map(Cap::DirLit),
        chk().prop_map(Cap::Chk),
        chk().prop_map(Cap::DirChk),
        chk().prop_map(|cap| Cap::ChkVerifier(cap.verifier())),
        chk().prop_map(|cap| Cap::DirChkVerifier(cap.verifier())),
        mutable().prop_map(Cap::Dir),
        mutable().prop_map(Cap::Ssk),
        mutable().prop_map(Cap::Mdmf),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_is_printed_parses_back(cap in cap()) {
        let text = cap.to_uri();
        let parsed = Cap::parse(&text).expect("own text");
        prop_assert!(parsed == cap);
        prop_assert_eq!(parsed.to_uri(), text);
    }

    #[test]
    fn an_edited_cap_is_an_error_or_prints_the_same(
        cap in cap(), at in any::<prop::sample::Index>(), with in "[a-z2-7A-Z0189: +=-]", how in 0..4,
    ) {
        let text = cap.to_uri();
        let at = at.index(text.len());
        let edited = match how {
            0 => format!("{}{with}{}", &text[..at], &text[at + 1..]),
            1 => format!("{}{with}{}", &text[..at], &text[at..]),
            2 => format!("{}{}", &text[..at], &text[at + 1..]),
            _ => text[..at].to_owned(),
        };
        if let Ok(parsed) = Cap::parse(&edited) {
            prop_assert_eq!(parsed.to_uri(), edited);
        }
    }

    #[test]
    fn any_text_is_an_error_or_prints_the_same(text in "(URI:)?[A-Z2a-z-]{0,12}:[a-z2-7]{0,60}(:[0-9a-z]{0,60}){0,5}") {
        if let Ok(parsed) = Cap::parse(&text) {
            prop_assert_eq!(parsed.to_uri(), text);
        }
    }

    #[test]
    fn secrets_stay_out_of_debug(cap in cap()) {
        let debug = format!("{cap:?}");
        for field in cap.to_uri().split(':').filter(|field| field.len() >= 20) {
            prop_assert!(!debug.contains(field));
        }
    }
}

const KEY: &str = "aaaqeayeaudaocajbifqydiob4";
const HASH: &str = "eaqseizeeutcokbjfivsyljof4ydcmrtgq2tmnzyhe5dwpb5hy7q";

fn error(text: &str) -> CapError {
    Cap::parse(text).expect_err("not a cap")
}

#[test]
fn errors_say_what_is_wrong() {
    assert!(Cap::parse(&format!("URI:CHK:{KEY}:{HASH}:3:10:100")).is_ok());
    for text in ["", "URI", "uri:CHK:a", " URI:CHK:a", "http://x", "CHK:a"] {
        assert_eq!(error(text), CapError::NotACap, "{text}");
    }
    let long = format!("URI:CHK:{}", "a".repeat(300));
    assert_eq!(error(&long), CapError::TooLong { found: 308 });
    let unknown = |kind: &str| CapError::UnknownKind {
        kind: kind.to_owned(),
    };
    assert_eq!(error("URI:NEW:abc"), unknown("NEW"));
    assert_eq!(error("URI:CH"), unknown("CH"));
    assert_eq!(error("URI:DIR2-MDMF:a:b"), unknown("DIR2-MDMF"));
    assert_eq!(error("URI:X\u{1b}[31m:a"), unknown("X??31m"));
    assert_eq!(error(&format!("URI:{KEY}:{HASH}")), unknown("?"));
    let count = |kind, expected, found| CapError::FieldCount {
        kind,
        expected,
        found,
    };
    assert_eq!(error("URI:CHK"), count("CHK", 5, 0));
    assert_eq!(error(&format!("URI:CHK:{KEY}:{HASH}:3:10")), count("CHK", 5, 4));
    assert_eq!(
        error(&format!("URI:CHK:{KEY}:{HASH}:3:10:1:")),
        count("CHK", 5, 6)
    );
    assert_eq!(error("URI:LIT:a:b"), count("LIT", 1, 2));
    assert_eq!(error(&format!("URI:SSK-RO:{KEY}")), count("SSK-RO", 2, 1));
}

#[test]
fn damaged_fields_are_named_and_not_shown() {
    let cut = format!("URI:CHK:{}:{HASH}:3:10:100", &KEY[..25]);
    let length = Base32Error::Length {
        expected: 26,
        found: 25,
    };
    assert_eq!(
        error(&cut),
        CapError::Base32 {
            kind: "CHK",
            field: "key",
            error: length
        }
    );
    assert!(!error(&cut).to_string().contains(&KEY[..8]));
    let upper = format!("URI:CHK:{KEY}:{}:3:10:100", HASH.to_uppercase());
    assert!(matches!(error(&upper), CapError::Base32 { field: "hash", .. }));
    let trailing_bits = format!("URI:CHK:{}5:{HASH}:3:10:100", &KEY[..25]);
    let character = Base32Error::Character { position: 26 };
    assert_eq!(
        error(&trailing_bits),
        CapError::Base32 {
            kind: "CHK",
            field: "key",
            error: character
        }
    );
    assert!(matches!(
        error("URI:LIT:a"),
        CapError::Base32 { field: "content", .. }
    ));
    let long = base32::encode(&[0; 56]);
    assert_eq!(
        error(&format!("URI:LIT:{long}")),
        CapError::LiteralTooLong {
            kind: "LIT",
            found: 56
        }
    );
}

#[test]
fn numbers_have_one_form_and_bounds() {
    let with = |k: &str, n: &str, size: &str| format!("URI:CHK:{KEY}:{HASH}:{k}:{n}:{size}");
    let bad = [
        "0",
        "03",
        "+3",
        "-3",
        " 3",
        "3 ",
        "",
        "257",
        "0x3",
        "3.0",
        "٣",
        "99999999999999999999",
    ];
    for text in bad {
        assert!(matches!(
            error(&with(text, "256", "9")),
            CapError::Number {
                field: "number of needed shares",
                ..
            }
        ));
        assert!(matches!(
            error(&with("1", text, "9")),
            CapError::Number {
                field: "number of shares",
                ..
            }
        ));
    }
    for text in bad.iter().filter(|text| **text != "257") {
        assert!(
            matches!(
                error(&with("3", "10", text)),
                CapError::Number { field: "size", .. }
            ),
            "{text}"
        );
    }
    let max = crate::params::FILE_BYTES_MAX;
    assert!(Cap::parse(&with("3", "10", &max.to_string())).is_ok());
    assert!(Cap::parse(&with("3", "10", &(max + 1).to_string())).is_err());
    assert!(matches!(error(&with("11", "10", "9")), CapError::Coding { .. }));
    assert!(matches!(error(&with("10", "10", "9")), CapError::Coding { .. }));
    assert!(Cap::parse(&with("1", "1", "9")).is_ok());
}

#[test]
fn authority_only_shrinks() {
    let write = Cap::Dir(MutableCap::of_write_key(WriteKey::from_bytes([9; 16])));
    let read = write.to_read().expect("reads");
    let verify = write.to_verifier().expect("stored");
    assert_eq!(read.kind(), "DIR2-RO");
    assert_eq!(verify.kind(), "DIR2-Verifier");
    assert!(read.to_read() == Some(read.clone()));
    assert!(read.to_verifier() == Some(verify.clone()));
    assert!(verify.to_read().is_none());
    assert!(verify.to_verifier() == Some(verify.clone()));
    assert_eq!(write.storage_index(), verify.storage_index());
    assert_eq!(read.storage_index(), verify.storage_index());
    let lit = Cap::Lit(LitCap::new(b"x").expect("short"));
    assert!(lit.to_verifier().is_none() && lit.storage_index().is_none());
    assert!(LitCap::new(&[0; 56]).is_none());
}

use super::*;
use proptest::prelude::*;
use prost::Message;

/// The message of the schema, as a protobuf library sees it.
#[derive(Clone, PartialEq, Message)]
struct UebMessage {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint32, tag = "2")]
    k: u32,
    #[prost(uint32, tag = "3")]
    n: u32,
    #[prost(uint64, tag = "4")]
    file_bytes: u64,
    #[prost(uint32, tag = "5")]
    segment_bytes: u32,
    #[prost(bytes = "vec", tag = "6")]
    sealed_root: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    share_root: Vec<u8>,
}

fn message() -> UebMessage {
    UebMessage {
        version: 1,
        k: 3,
        n: 10,
        file_bytes: 5_000_000,
        segment_bytes: 1 << 20,
        sealed_root: vec![6; 32],
        share_root: vec![7; 32],
    }
}

proptest! {
    #[test]
    fn encoding_is_that_of_protobuf(
        k in 1u32..=255, more in 1u32..=255, units in 16u32..=(1 << 18), bytes in any::<u64>(),
        sealed_root in any::<[u8; 32]>(), share_root in any::<[u8; 32]>(),
    ) {
        let (k, n) = (k, (k + more).min(256));
        let segment_bytes = units * 64;
        let file_bytes = 1 + bytes % (u64::from(segment_bytes) << 20);
        let coding = Coding::new(k, n).expect("valid");
        let geometry = Geometry::new(file_bytes, segment_bytes, coding).expect("valid");
        let ueb = Ueb::new(geometry, Hash(sealed_root), Hash(share_root));
        let message = UebMessage {
            version: 1, k, n, file_bytes, segment_bytes,
            sealed_root: sealed_root.to_vec(), share_root: share_root.to_vec(),
        };
        let encoded = ueb.encode();
        prop_assert_eq!(&encoded, &message.encode_to_vec());
        prop_assert!(encoded.len() <= UEB_BYTES_MAX);
        prop_assert_eq!(encoded.len(), encoded_bytes(&geometry));
        prop_assert_eq!(Ueb::decode(&encoded), Ok(ueb));
        prop_assert_eq!(ueb.hash(), hash_of_encoded(&encoded));
    }

    #[test]
    fn nothing_else_decodes(bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0usize..90, with in any::<u8>()) {
        if let Ok(ueb) = Ueb::decode(&bytes) {
            prop_assert_eq!(ueb.encode(), bytes);
        }
        let mut edited = message().encode_to_vec();
        if let Some(byte) = edited.get_mut(at) {
            *byte = with;
        }
        if let Ok(ueb) = Ueb::decode(&edited) {
            prop_assert_eq!(ueb.encode(), edited);
        }
    }
}

#[test]
fn what_is_not_canonical_is_refused() {
    let good = message().encode_to_vec();
    assert!(Ueb::decode(&good).is_ok());
    let not_canonical = |bytes: &[u8]| matches!(Ueb::decode(bytes), Err(UebError::NotCanonical { .. }));
    assert!(not_canonical(&[]));
    for length in 0..good.len() {
        assert!(not_canonical(&good[..length]), "cut to {length}");
    }
    assert!(
        not_canonical(&[&good[..], &[0x40, 1]].concat()),
        "an unknown field"
    );
    assert!(not_canonical(&[&good[..], &good[..2]].concat()), "a field twice");
    assert!(not_canonical(&[&good[2..], &good[..2]].concat()), "another order");
    assert!(
        not_canonical(&[&[0x08, 0x81, 0x00], &good[2..]].concat()),
        "a long varint"
    );
    let endless = [&[0x08][..], &[0xff; 11]].concat();
    assert!(not_canonical(&endless));
    let padded = [&good[..], &[0; 40]].concat();
    assert_eq!(
        Ueb::decode(&padded),
        Err(UebError::TooLong { found: padded.len() })
    );
}

#[test]
fn what_is_impossible_is_refused() {
    let decode = |message: UebMessage| Ueb::decode(&message.encode_to_vec());
    assert_eq!(
        decode(UebMessage {
            version: 2,
            ..message()
        }),
        Err(UebError::Version { version: 2 })
    );
    let params = [
        UebMessage { k: 11, ..message() },
        UebMessage { n: 257, ..message() },
        UebMessage { k: 10, ..message() },
    ];
    for message in params {
        assert!(matches!(decode(message), Err(UebError::Params(_))));
    }
    let geometry = [
        UebMessage {
            segment_bytes: 1000,
            ..message()
        },
        UebMessage {
            segment_bytes: 1 << 30,
            ..message()
        },
        UebMessage {
            file_bytes: u64::MAX,
            ..message()
        },
    ];
    for message in geometry {
        assert!(matches!(decode(message), Err(UebError::Geometry(_))));
    }
    assert!(
        decode(UebMessage {
            sealed_root: vec![6; 31],
            ..message()
        })
        .is_err()
    );
    assert!(
        decode(UebMessage {
            share_root: Vec::new(),
            ..message()
        })
        .is_err()
    );
    assert!(
        decode(UebMessage {
            file_bytes: 0,
            ..message()
        })
        .is_err()
    );
}

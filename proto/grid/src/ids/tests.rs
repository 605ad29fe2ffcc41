use super::*;

#[test]
fn ids_have_one_text() {
    let id = NodeId([7; 32]);
    assert_eq!(id.to_base32().len(), 52);
    assert_eq!(id.to_base32().parse(), Ok(id));
    assert_eq!(format!("{id}"), id.to_base32());
    assert!(id.to_base32().to_uppercase().parse::<NodeId>().is_err());
    assert!(format!("{}=", &id.to_base32()[..51]).parse::<NodeId>().is_err());
    assert_eq!(
        "aa".parse::<StorageIndex>(),
        Err(Base32Error::Length {
            expected: 26,
            found: 2
        })
    );
    let wrong = WrongLength {
        what: "upload id",
        expected: 16,
        found: 15,
    };
    assert_eq!(UploadId::from_slice(&[0; 15]), Err(wrong));
    assert_eq!(UploadId::from_slice(&[1; 16]), Ok(UploadId([1; 16])));
}

#[test]
fn base32_is_strict() {
    for length in 0..40 {
        let bytes = crate::tests::noise(length, length as usize);
        let text = base32::encode(&bytes);
        assert_eq!(text.len(), base32::text_len(bytes.len()));
        assert_eq!(base32::decode(&text), Ok(bytes));
    }
    for text in [
        "a", "aaa", "aaaaaa", "ab", "aaab", "AA", "a1", "aa======", "a a", "é",
    ] {
        assert!(base32::decode(text).is_err(), "{text}");
    }
}

#[test]
fn a_node_is_its_key() {
    let key = [9; 32];
    let spki = [&ED25519_SPKI_PREFIX[..], &key].concat();
    assert_eq!(NodeId::of_public_key(&key), NodeId::of_spki(&spki));
    assert_eq!(NodeId::of_spki(&spki).0, hashing::sha3_256(&[&spki]));
}

#[test]
fn share_numbers_end_at_255() {
    assert_eq!(ShareNumber::from_index(255), Some(ShareNumber(255)));
    assert_eq!(ShareNumber::from_index(256), None);
}

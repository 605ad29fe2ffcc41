use super::*;
use crate::params::Coding;

fn convergent(secret: u8, k: u32, n: u32, segment_bytes: u32, pieces: &[&[u8]]) -> ReadKey {
    let coding = Coding::new(k, n).expect("valid");
    let encoding = Encoding::new(coding, 1, segment_bytes).expect("valid");
    let mut hasher = ConvergentHasher::new(&ConvergenceSecret::from_bytes([secret; 32]), &encoding);
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finish()
}

#[test]
fn a_convergent_key_depends_on_all_that_makes_the_file_and_on_nothing_else() {
    let key = convergent(1, 3, 10, 1024, &[b"some ", b"file"]);
    assert_eq!(key, convergent(1, 3, 10, 1024, &[b"some file"]));
    assert_ne!(key, convergent(2, 3, 10, 1024, &[b"some file"]));
    assert_ne!(key, convergent(1, 4, 10, 1024, &[b"some file"]));
    assert_ne!(key, convergent(1, 3, 11, 1024, &[b"some file"]));
    assert_ne!(key, convergent(1, 3, 10, 2048, &[b"some file"]));
    assert_ne!(key, convergent(1, 3, 10, 1024, &[b"some filf"]));
    assert_ne!(key, convergent(1, 3, 10, 1024, &[b"some file", b"\0"]));
}

#[test]
fn derivations_are_all_different() {
    let bytes = [3; 16];
    let (read, write, mutable) = (
        ReadKey::from_bytes(bytes),
        WriteKey::from_bytes(bytes),
        MutableReadKey::from_bytes(bytes),
    );
    let derived = [
        *read.cipher_key().expose(),
        *write.child_key().expose(),
        *mutable.content_key().expose(),
        write.signing_key().to_bytes(),
        write.fingerprint().0,
    ];
    let short = [
        read.storage_index().0,
        *write.read_key().expose(),
        mutable.storage_index().0,
    ];
    let mut prefixes: Vec<[u8; 16]> = derived.iter().map(first_16).chain(short).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    assert_eq!(prefixes.len(), 8);
}

#[test]
fn secrets_are_wiped_and_not_printed() {
    let mut key = ReadKey::from_bytes([0xab; 16]);
    assert_eq!(format!("{key:?}"), "ReadKey(secret)");
    key.zeroize();
    assert_eq!(key.expose(), &[0; 16]);
}

#[test]
fn the_fingerprint_is_that_of_the_signing_key() {
    let write = WriteKey::from_bytes([5; 16]);
    assert_eq!(
        write.fingerprint(),
        fingerprint(&write.signing_key().verifying_key())
    );
    assert_ne!(write.fingerprint(), WriteKey::from_bytes([6; 16]).fingerprint());
}

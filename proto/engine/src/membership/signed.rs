//! Ed25519 signatures over tagged bytes. The tag says what is signed, so that no signature of one kind can be shown as
//! one of another, nor as one that TLS makes with the same key.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Before a grant's body.
pub(super) const GRANT_TAG: &[u8] = b"truckee/1 grant\0";
/// Before an announcement's body.
pub(super) const ANNOUNCEMENT_TAG: &[u8] = b"truckee/1 announcement\0";
/// Before a tombstone's body.
pub(super) const TOMBSTONE_TAG: &[u8] = b"truckee/1 tombstone\0";

/// The signature of `key` over tag and body.
pub(super) fn sign(key: &SigningKey, tag: &[u8], body: &[u8]) -> [u8; 64] {
    key.sign(&[tag, body].concat()).to_bytes()
}

/// Whether `signature` over tag and body is by the owner of the public key. Strict: one signature, one key, no weak keys.
pub(super) fn is_by(key: &[u8; 32], tag: &[u8], body: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else {
        return false;
    };
    key.verify_strict(&[tag, body].concat(), &Signature::from_bytes(signature))
        .is_ok()
}

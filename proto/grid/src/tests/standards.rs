//! The primitives are those that the standards mean: published vectors, through every engine.

use bytes::BytesMut;
use turboshake::{
    CTurboShake128,
    digest::{ExtendableOutput, Update, XofReader},
};

use super::unhex;
use crate::{
    hashing::sha3_256,
    keys::CipherKey,
    lanes,
    sealing::{self, SealingEngine},
};

/// `ptn(n)` of RFC 9861: the bytes 0 to 250, again and again.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

fn turboshake<const DOMAIN: u8>(message: &[u8]) -> Vec<u8> {
    let mut hasher = CTurboShake128::<DOMAIN>::default();
    hasher.update(message);
    let mut out = [0; 32];
    hasher.finalize_xof().read(&mut out);
    out.to_vec()
}

/// RFC 9861, section 5: TurboSHAKE128 of the pattern, domain 1F, 32 bytes.
#[test]
fn turboshake128_of_the_rfc() {
    let vectors = [
        (
            0,
            "1E415F1C5983AFF2169217277D17BB538CD945A397DDEC541F1CE41AF2C1B74C",
        ),
        (
            1,
            "55CEDD6F60AF7BB29A4042AE832EF3F58DB7299F893EBB9247247D856958DAA9",
        ),
        (
            17,
            "9C97D036A3BAC819DB70EDE0CA554EC6E4C2A1A4FFBFD9EC269CA6A111161233",
        ),
        (
            17 * 17,
            "96C77C279E0126F7FC07C9B07F5CDAE1E0BE60BDBE10620040E75D7223A624D2",
        ),
        (
            17 * 17 * 17,
            "D4976EB56BCF118520582B709F73E1D6853E001FDAF80E1B13E0D0599D5FB372",
        ),
    ];
    for (length, expected) in vectors {
        let message = pattern(length);
        assert_eq!(
            turboshake::<0x1f>(&message),
            unhex(expected),
            "crate, length {length}"
        );
        for (kernel, hashes) in lanes::vector_kernels(0x1f, &[&message[..]; 4]) {
            assert!(
                hashes.iter().all(|hash| hash[..] == unhex(expected)),
                "{kernel:?}, length {length}"
            );
        }
    }
}

/// RFC 9861, section 5: the domain byte counts.
#[test]
fn turboshake128_domains_of_the_rfc() {
    type Hasher = fn(&[u8]) -> Vec<u8>;
    let vectors: [(u8, Hasher, usize, &str); 3] = [
        (
            0x01,
            turboshake::<0x01>,
            3,
            "BF323F940494E88EE1C540FE660BE8A0C93F43D15EC006998462FA994EED5DAB",
        ),
        (
            0x06,
            turboshake::<0x06>,
            1,
            "8EC9C66465ED0D4A6C35D13506718D687A25CB05C74CCA1E42501ABD83874A67",
        ),
        (
            0x07,
            turboshake::<0x07>,
            3,
            "B658576001CAD9B1E5F399A9F77723BBA05458042D68206F7252682DBA3663ED",
        ),
    ];
    for (domain, hasher, length, expected) in vectors {
        let message = vec![0xff; length];
        assert_eq!(hasher(&message), unhex(expected), "crate, domain {domain}");
        for (kernel, hashes) in lanes::vector_kernels(domain, &[&message[..]; 4]) {
            assert!(
                hashes.iter().all(|hash| hash[..] == unhex(expected)),
                "{kernel:?}, domain {domain}"
            );
        }
    }
}

/// FIPS 202 examples.
#[test]
fn sha3_256_of_fips_202() {
    let empty = unhex("a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
    let abc = unhex("3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    assert_eq!(sha3_256(&[]).to_vec(), empty);
    assert_eq!(sha3_256(&[b"a", b"bc"]).to_vec(), abc);
}

/// The example of "Cryptography in NaCl", section 10.
#[test]
fn secretbox_of_nacl() {
    let key = unhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = unhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    let message = unhex(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc
         e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31
         0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde
         048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864
         5e0705",
    );
    let boxed = unhex(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce
         48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972
         71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae
         90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3
         7973f622a43d14a6599b1f654cb45a74e355a5",
    );
    let key = CipherKey::from_bytes(key.try_into().expect("32 bytes"));
    let nonce = nonce.try_into().expect("24 bytes");
    for engine in [SealingEngine::Reference, SealingEngine::Fast] {
        let mut buffer = BytesMut::from(&message[..]);
        sealing::seal(engine, &key, &nonce, &mut buffer);
        assert_eq!(buffer, boxed, "{}", engine.name());
        assert!(
            sealing::open(engine, &key, &nonce, &mut buffer),
            "{}",
            engine.name()
        );
        assert_eq!(buffer, message, "{}", engine.name());
    }
}

//! The bytes of the format, pinned. The files in `vectors/` hold what the first release computed; if one of these tests
//! fails, files stored before can no longer be read. On a difference the whole computed text is printed.

mod drive;

use bytes::{Bytes, BytesMut};
use sha3::{Digest, Sha3_256};

use super::{hex, noise};
use crate::{
    caps::{Cap, ChkCap, LitCap, MutableCap},
    engines::Engines,
    erasure::{Codec, ErasureChoice, ErasureEngine},
    ids::{Hash, NodeId, SegmentIndex, StorageIndex},
    keys::{CipherKey, ConvergenceSecret, ConvergentHasher, ReadKey, WriteKey},
    merkle::{self, Frontier, Tree},
    params::{Coding, Encoding},
    pipeline::encode_file,
    placement::ring_position,
    sealing::{Sealer, SealingEngine},
};

struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: &str) {
        self.0 += &format!("{name} = {value}\n");
    }

    fn put_hex(&mut self, name: &str, value: &[u8]) {
        self.put(name, &hex(value));
    }

    fn check(self, file: &str, expected: &str) {
        let stored: Vec<&str> = expected.lines().filter(|line| !line.starts_with('#')).collect();
        let computed: Vec<&str> = self.0.lines().collect();
        assert!(
            stored == computed,
            "vectors/{file} does not hold what is computed now:\n{}",
            self.0
        );
    }
}

fn bytes_from<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|index| first.wrapping_add(index as u8))
}

fn both_engines() -> [Engines; 2] {
    [
        Engines::select(ErasureChoice::Auto).expect("auto is never refused"),
        Engines::reference(),
    ]
}

#[test]
fn keys_and_caps() {
    let mut lines = Lines(String::new());
    let key = ReadKey::from_bytes(bytes_from(0));
    lines.put_hex("read key", key.expose());
    lines.put_hex("  cipher key", key.cipher_key().expose());
    lines.put_hex("  storage index", key.storage_index().as_ref());
    let secret = ConvergenceSecret::from_bytes(bytes_from(0x40));
    let mut hasher = ConvergentHasher::new(&secret, &Encoding::default());
    hasher.update(b"hello, ");
    hasher.update(b"mesh");
    lines.put_hex("convergent key of `hello, mesh`", hasher.finish().expose());
    let write = WriteKey::from_bytes(bytes_from(0x80));
    lines.put_hex("write key", write.expose());
    lines.put_hex("  mutable read key", write.read_key().expose());
    lines.put_hex("  storage index", write.read_key().storage_index().as_ref());
    lines.put_hex("  content key", write.read_key().content_key().expose());
    lines.put_hex("  child key", write.child_key().expose());
    lines.put_hex("  signing key seed", write.signing_key().as_bytes());
    lines.put_hex("  fingerprint", write.fingerprint().as_ref());
    let public: [u8; 32] = bytes_from(0xc0);
    lines.put(
        "node id of public key c0..df",
        &NodeId::of_public_key(&public).to_base32(),
    );
    let (si, id) = (StorageIndex(bytes_from(1)), NodeId(bytes_from(2)));
    lines.put_hex("ring position of 01.. and 02..", &ring_position(&si, &id));

    let chk = ChkCap {
        key,
        ueb_hash: Hash(bytes_from(0x20)),
        coding: Encoding::default().coding(),
        size: 1_234_567,
    };
    let lit = LitCap::new(b"small enough").expect("it is");
    let mutable = MutableCap::of_write_key(write);
    let caps = [
        Cap::Lit(LitCap::new(b"").expect("empty fits")),
        Cap::Lit(lit.clone()),
        Cap::Chk(chk.clone()),
        Cap::DirLit(lit),
        Cap::DirChk(chk),
        Cap::Dir(mutable.clone()),
        Cap::Ssk(mutable.clone()),
        Cap::Mdmf(mutable),
    ];
    for cap in caps {
        let weaker = [cap.to_read(), cap.to_verifier()];
        for cap in [Some(cap)].into_iter().chain(weaker).flatten() {
            lines.put(cap.kind(), &cap.to_uri());
        }
    }
    lines.check("keys.txt", include_str!("../../vectors/keys.txt"));
}

#[test]
fn sealing() {
    let key = || CipherKey::from_bytes(bytes_from(0x11));
    let cases = [
        (0, true, 0),
        (0, false, 1),
        (1, false, 64),
        (1, true, 64),
        (0x0102_0304_0506_0708, true, 300),
    ];
    for engine in [SealingEngine::Reference, SealingEngine::Fast] {
        let mut lines = Lines(String::new());
        for (segment, last, length) in cases {
            let mut buffer = BytesMut::from(&noise(length as u64, length)[..]);
            Sealer::new(key(), engine).seal(SegmentIndex(segment), last, &mut buffer);
            lines.put_hex(&format!("segment {segment} last {last} bytes {length}"), &buffer);
        }
        lines.check("sealing.txt", include_str!("../../vectors/sealing.txt"));
    }
}

#[test]
fn erasure() {
    let shapes = [
        (1, 2),
        (1, 5),
        (2, 3),
        (3, 10),
        (4, 12),
        (5, 6),
        (7, 20),
        (16, 64),
        (31, 33),
        (128, 256),
        (255, 256),
    ];
    for engine in [ErasureEngine::Novelpoly, ErasureEngine::Simd] {
        let mut lines = Lines(String::new());
        for (k, n) in shapes {
            let coding = Coding::new(k, n).expect("valid");
            let bytes = noise(u64::from(k), 128 * k as usize);
            let data: Vec<&[u8]> = bytes.chunks(128).collect();
            let recovery = Codec::new(coding, engine).encode(&data).expect("valid");
            lines.put_hex(&format!("{coding} first recovery block"), &recovery[0]);
            let hash: [u8; 32] = Sha3_256::digest(recovery.concat()).into();
            lines.put_hex(&format!("{coding} sha3-256 of all recovery blocks"), &hash);
        }
        lines.check("erasure.txt", include_str!("../../vectors/erasure.txt"));
    }
}

#[test]
fn trees() {
    let mut lines = Lines(String::new());
    lines.put("block leaf of nothing", &hex(merkle::block_leaf(b"").as_ref()));
    lines.put(
        "block leaf of 00..3f",
        &hex(merkle::block_leaf(&bytes_from::<64>(0)).as_ref()),
    );
    let leaves: Vec<Hash> = (0..11).map(|index| merkle::block_leaf(&[index])).collect();
    lines.put_hex(
        "sealed leaf of the block leaves of 0, 1, 2",
        merkle::sealed_leaf(&leaves[..3]).as_ref(),
    );
    lines.put_hex(
        "share root leaf of the block leaf of 0",
        merkle::share_root_leaf(&leaves[0]).as_ref(),
    );
    for count in 1..=leaves.len() {
        let tree = Tree::from_leaves(leaves[..count].to_vec()).expect("not empty");
        let mut frontier = Frontier::new();
        leaves[..count].iter().for_each(|leaf| frontier.push(*leaf));
        assert_eq!(frontier.root(), Some(tree.root()));
        lines.put_hex(
            &format!("root over the block leaves of 0 to {}", count - 1),
            tree.root().as_ref(),
        );
    }
    lines.check("trees.txt", include_str!("../../vectors/trees.txt"));
}

#[test]
fn files() {
    let shapes: [(u32, u32, u32, usize); 6] = [
        (1, 1, 1024, 56),
        (1, 2, 1024, 1024),
        (3, 10, 1024, 1),
        (3, 10, 1024, 2500),
        (2, 3, 4096, 4097),
        (7, 20, 65536, 200_000),
    ];
    for engines in both_engines() {
        let mut lines = Lines(String::new());
        for (k, n, segment_bytes, file_bytes) in shapes {
            let coding = Coding::new(k, n).expect("valid");
            let encoding = Encoding::new(coding, 1, segment_bytes).expect("valid");
            let key = ReadKey::from_bytes(bytes_from(k as u8));
            let plaintext = noise(file_bytes as u64, file_bytes);
            let file = encode_file(&plaintext, &encoding, &key, engines).expect("valid");
            let name = format!("{coding}, segments of {segment_bytes}, {file_bytes} bytes");
            lines.put(&name, &Cap::Chk(file.cap).to_uri());
            lines.put_hex("  ueb", &file.seal.ueb_bytes);
            lines.put_hex(
                "  share roots sha3-256",
                &Sha3_256::digest(file.seal.share_roots_bytes()),
            );
            let shares: Vec<Bytes> = file.shares;
            lines.put_hex("  first share file sha3-256", &Sha3_256::digest(&shares[0]));
            lines.put_hex("  all share files sha3-256", &Sha3_256::digest(shares.concat()));
        }
        lines.check("files.txt", include_str!("../../vectors/files.txt"));
    }
}

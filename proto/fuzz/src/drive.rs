//! What a directory is made of. The first byte chooses: an immutable listing, a sealed row as it is, the plain form of a
//! row (sealed here first, so that what is behind the seal is reached too), the same with its write cap sealed here,
//! edits to a signed head, the payload of a change or of a page, or a name. Nothing is read that would be written
//! differently, and no change to what is sealed or signed goes unnoticed.

use bytes::{Bytes, BytesMut};
use truckee_grid::caps::{Cap, LitCap, MutableCap};
use truckee_grid::drive::{
    Child, ChildName, DirectoryKeys, RowId, RowName, RowSum, SealedRow, SignedHead, Target, listing,
};
use truckee_grid::keys::{CipherKey, WriteKey};
use truckee_grid::sealing::{NONCE_BYTES, SealingEngine, seal};
use truckee_wire::message::{CommitChange, Request, Response, RowsGot};

/// How to read the rest of an input.
pub const LISTING: u8 = 0;
/// See [`LISTING`].
pub const SEALED_ROW: u8 = 1;
/// See [`LISTING`].
pub const PLAIN_ROW: u8 = 2;
/// See [`LISTING`].
pub const PLAIN_WRITE_CAP: u8 = 3;
/// See [`LISTING`].
pub const HEAD: u8 = 4;
/// See [`LISTING`].
pub const PAYLOAD: u8 = 5;
/// See [`LISTING`].
pub const NAME: u8 = 6;

const OUTER: [u8; NONCE_BYTES] = [3; NONCE_BYTES];
const INNER: [u8; NONCE_BYTES] = [4; NONCE_BYTES];

fn write_key() -> WriteKey {
    WriteKey::from_bytes([5; 16])
}

/// Keys that write, keys that read.
fn keys() -> [DirectoryKeys; 2] {
    let cap = MutableCap::of_write_key(write_key());
    let read = cap.to_read().expect("it reads");
    [cap, read].map(|cap| DirectoryKeys::of(&cap).expect("it reads"))
}

/// A row as its owner seals it.
pub fn good_row() -> SealedRow {
    let child = Child {
        target: Target::Cap(Cap::Lit(LitCap::new(b"hello").expect("short"))),
        metadata: "{}".to_owned(),
    };
    let name = RowName::Child(ChildName::new("file").expect("a name"));
    let nonces = [7; 2 * NONCE_BYTES];
    keys()[0].seal_row(&name, &child, nonces).expect("within bounds")
}

/// The head of a directory with that row alone.
pub fn good_head() -> SignedHead {
    let (row, mut sum) = (good_row(), RowSum::empty());
    sum.add(&row.id, &row.bytes);
    keys()[0].sign_sum(1, 1, &sum).expect("it writes")
}

fn boxed(key: &CipherKey, nonce: &[u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
    let mut buffer = BytesMut::from(plain);
    seal(SealingEngine::Fast, key, nonce, &mut buffer);
    [&nonce[..], &buffer].concat()
}

fn is_listing(data: &[u8]) {
    if let Ok(children) = listing::parse(data) {
        let again = listing::encode(&children).expect("what was read can be written");
        assert_eq!(again, data, "children have two listings");
    }
}

fn sealed_row(data: &[u8]) {
    let good = good_row();
    for keys in keys() {
        let opens = keys.open_row(good.id, data).is_ok();
        assert_eq!(
            opens,
            good.bytes == data,
            "a changed row opens, or a good one does not"
        );
    }
}

/// Kind, then the name, read cap, write cap and metadata.
fn fields(plain: &[u8]) -> Option<(u8, [&[u8]; 4])> {
    let (kind, mut rest) = plain.split_first()?;
    let mut fields = [&[][..]; 4];
    for field in &mut fields {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        (*field, rest) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
    }
    Some((*kind, fields))
}

fn plain_row(plain: &[u8]) {
    let [writer, reader] = keys();
    let content = write_key().read_key().content_key();
    let sealed = boxed(&content, &OUTER, plain);
    let Some((kind, [name, _, write, _])) = fields(plain) else {
        for keys in [writer, reader] {
            assert!(
                keys.open_row(RowId([0; 32]), &sealed).is_err(),
                "a row without its fields opens"
            );
        }
        return;
    };
    let name = match (kind, std::str::from_utf8(name).map(ChildName::new)) {
        (1, Ok(Ok(name))) => RowName::Child(name),
        _ => RowName::Content,
    };
    let id = writer.row_id(&name);
    let read = reader.open_row(id, &sealed);
    let Ok((opened, child)) = writer.open_row(id, &sealed) else {
        // A reader sees no write cap, and so not what is wrong with it.
        assert!(read.is_err() || !write.is_empty(), "only a reader can open it");
        return;
    };
    assert_eq!(opened, name);
    let mut nonces = [0; 2 * NONCE_BYTES];
    nonces[..NONCE_BYTES].copy_from_slice(&OUTER);
    nonces[NONCE_BYTES..].copy_from_slice(write.first_chunk().unwrap_or(&INNER));
    let again = writer
        .seal_row(&name, &child, nonces)
        .expect("what opens can be sealed");
    assert_eq!(again.bytes, sealed, "a row has two forms");
    let weaker = child.target.to_read().unwrap_or(child.target);
    assert_eq!(
        read.map(|(_, child)| child.target),
        Ok(weaker),
        "a reader sees something else"
    );
}

/// The write cap stands there as text, and is sealed before all.
fn plain_write_cap(plain: &[u8]) {
    let Some((kind, [name, read, write, metadata])) = fields(plain) else {
        return;
    };
    let write = boxed(&write_key().child_key(), &INNER, write);
    let mut whole = vec![kind];
    for field in [name, read, &write, metadata] {
        let Ok(length) = u16::try_from(field.len()) else {
            return;
        };
        whole.extend_from_slice(&length.to_be_bytes());
        whole.extend_from_slice(field);
    }
    while (whole.len() + 40) % 64 > 0 {
        whole.push(0);
    }
    plain_row(&whole);
}

fn head(edits: &[u8]) {
    let good = good_head();
    let mut head = good;
    for edit in edits.as_chunks::<2>().0 {
        let [at, flip] = *edit;
        let at = usize::from(at);
        match at {
            0..64 => head.signature[at] ^= flip,
            64..96 => head.public_key[at - 64] ^= flip,
            96..128 => head.head.digest.0[at - 96] ^= flip,
            128..160 => head.head.directory.fingerprint.0[at - 128] ^= flip,
            160..176 => head.head.directory.si.0[at - 160] ^= flip,
            176..184 => head.head.version ^= u64::from(flip) << (8 * (at - 176)),
            184..188 => head.head.rows ^= u32::from(flip) << (8 * (at - 184)),
            _ => {}
        }
    }
    let verifies = head.verify(&head.head.directory).is_ok();
    assert_eq!(
        verifies,
        head == good,
        "a changed head counts, or a good one does not"
    );
    let ours = head.verify(&good.head.directory).is_ok();
    assert_eq!(
        ours,
        head == good,
        "a changed head counts, or a good one does not"
    );
}

fn payload(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let head = good_head();
    let changes = Vec::new();
    let mut commit = Request::CommitChange(CommitChange { head, changes });
    if commit.attach_payload(data.clone()).is_ok() {
        assert_eq!(commit.payload(), data, "rows have two payloads");
    }
    for whole in [false, true] {
        let mut got = Response::RowsGot(Box::new(RowsGot {
            database: [0; 16],
            head: Some(head),
            whole,
            rows: Vec::new(),
            next: None,
        }));
        if got.attach_payload(data.clone()).is_ok() {
            assert_eq!(got.payload(), data, "rows have two payloads");
        }
    }
}

fn name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(name) = ChildName::new(text) {
        assert_eq!(
            ChildName::new(name.as_str()),
            Ok(name.clone()),
            "a name has two forms"
        );
        let text = name.as_str();
        let bounds = (1..=255).contains(&text.len()) && !text.contains(['/', '\0']);
        assert!(bounds && text != "." && text != "..", "{text:?} is a name");
    }
}

/// The target.
pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 7 {
        LISTING => is_listing(rest),
        SEALED_ROW => sealed_row(rest),
        PLAIN_ROW => plain_row(rest),
        PLAIN_WRITE_CAP => plain_write_cap(rest),
        HEAD => head(rest),
        PAYLOAD => payload(rest),
        _ => name(rest),
    }
}

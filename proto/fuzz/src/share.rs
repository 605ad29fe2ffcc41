//! Share files and UEBs. The first byte chooses: odd, the rest is a share file (and a UEB) as it is; even, the rest is a
//! list of edits to a good share file, four bytes each (offset, little endian; how to change the byte there; unused),
//! none of which may go unnoticed.

use std::sync::OnceLock;

use bytes::Bytes;
use truckee_grid::engines::Engines;
use truckee_grid::erasure::ErasureChoice;
use truckee_grid::ids::SegmentIndex;
use truckee_grid::keys::ReadKey;
use truckee_grid::params::{Coding, Encoding};
use truckee_grid::pipeline::{EncodedFile, decode_file, encode_file, fetch_from_share};
use truckee_grid::share::{FOOTER_BYTES, Footer, verify_share};
use truckee_grid::ueb::Ueb;

/// The fast engines if they pass their check: a hundred times more runs.
fn engines() -> Engines {
    static ENGINES: OnceLock<Engines> = OnceLock::new();
    *ENGINES.get_or_init(|| Engines::select(ErasureChoice::Auto).unwrap_or_else(|_| Engines::reference()))
}

/// A small file with all that a share file can have: three segments, the last of them short.
fn plaintext() -> Vec<u8> {
    (0..2_500u32).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// That file, 2-of-4.
pub fn good() -> &'static EncodedFile {
    static GOOD: OnceLock<EncodedFile> = OnceLock::new();
    GOOD.get_or_init(|| {
        let coding = Coding::new(2, 4).expect("valid");
        let encoding = Encoding::new(coding, 4, 1024).expect("valid");
        let key = ReadKey::from_bytes([42; 16]);
        encode_file(&plaintext(), &encoding, &key, engines()).expect("valid")
    })
}

fn verifies(file: &[u8]) -> bool {
    let read = |at: u64, into: &mut [u8]| {
        let from = usize::try_from(at).map_err(|_| ())?;
        let end = from.checked_add(into.len()).ok_or(())?;
        into.copy_from_slice(file.get(from..end).ok_or(())?);
        Ok::<(), ()>(())
    };
    verify_share(file.len() as u64, read).is_ok()
}

fn as_it_is(file: &[u8]) {
    if let Ok(ueb) = Ueb::decode(file) {
        assert_eq!(ueb.encode(), file, "a UEB has two encodings");
    }
    let whole = verifies(file);
    let Some(footer) = file.last_chunk::<FOOTER_BYTES>() else {
        return;
    };
    match Footer::parse(footer, file.len() as u64) {
        Ok(footer) => {
            let share = Bytes::copy_from_slice(file);
            for segment in [0, 1, 1 << 19] {
                let _ = fetch_from_share(&footer, &share, SegmentIndex(segment));
            }
        }
        Err(_) => assert!(!whole, "a share file without a good footer is taken for good"),
    }
}

fn edited(edits: &[u8]) {
    let good = good();
    let mut file = good.shares[0].to_vec();
    for edit in edits.as_chunks::<4>().0 {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % file.len();
        file[at] ^= edit[2];
    }
    let same = file == good.shares[0];
    assert_eq!(
        verifies(&file),
        same,
        "damage went unnoticed, or a good share was refused"
    );
    // Whatever was done to one share, the others are enough; and it alone never makes a false file.
    let shares = [Bytes::from(file), good.shares[1].clone(), good.shares[3].clone()];
    let decoded = decode_file(&good.cap, &shares, engines()).expect("two good shares are there");
    assert_eq!(decoded, plaintext());
    if let Ok(decoded) = decode_file(&good.cap, &shares[..2], engines()) {
        assert_eq!(decoded, plaintext());
    }
}

/// The target.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((mode, file)) if mode % 2 == 1 => as_it_is(file),
        Some((_, edits)) => edited(edits),
        None => {}
    }
}

//! What each step of a transfer costs by itself on this machine.
//!
//! Owns the yardsticks: each step is done alone in this process, on as many bytes as are moved for [`PLAIN_BYTES`] of plaintext, by
//! the code that nodes run (`truckee-grid`), by rustls over a loopback connection, by plain sockets and files. What counts is the
//! CPU time of the threads that did it; of [`TRIES`] tries the least, because everything that disturbs only adds. Not promised: that a
//! node could be as cheap. Its caches hold other things as well, and it waits, wakes up and keeps account in between.

use std::io::{self, Write};
use std::path::Path;

use bytes::BytesMut;
use truckee_actors::clock::thread_cpu;
use truckee_grid::engines::Engines;
use truckee_grid::geometry::{block_bytes, buffer_bytes};
use truckee_grid::ids::{SegmentIndex, ShareNumber};
use truckee_grid::keys::ReadKey;
use truckee_grid::merkle;
use truckee_grid::params::Coding;
use truckee_grid::sealing::Sealer;

use super::{disk, wire};
use crate::error::CliError;
use crate::load::content::Content;

/// Plaintext of a segment, as gateways cut it.
const SEGMENT_BYTES: usize = 1 << 20;

/// Segments of each try.
const SEGMENTS: usize = 64;

/// Plaintext of each try: a few hundred milliseconds for the dearest step.
pub(super) const PLAIN_BYTES: usize = SEGMENTS * SEGMENT_BYTES;

/// Memory that bytes for sockets and files come from, over and over: more than the caches next to a core hold, because a node's bytes
/// do not lie there either.
const SOURCE_BYTES: usize = 16 << 20;

/// Tries of each step.
const TRIES: usize = 3;

/// Bare costs in nanoseconds of CPU for each byte of plaintext.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bare {
    pub(super) body_in: f64,
    pub(super) seal: f64,
    pub(super) hash: f64,
    pub(super) code: f64,
    pub(super) links_out: f64,
    pub(super) write: f64,
    pub(super) read: f64,
    pub(super) links_in: f64,
    pub(super) verify: f64,
    pub(super) decode: f64,
    pub(super) open: f64,
    pub(super) body_out: f64,
}

/// Measures all of them for a shape. A file of [`PLAIN_BYTES`] is written under `dir`, and removed.
///
/// # Errors
/// When the machine refuses a socket, a file or a thread.
pub(super) fn measure(coding: Coding, engines: Engines, dir: &Path) -> Result<Bare, CliError> {
    let key = ReadKey::from_bytes([7; 16]);
    let sealer = Sealer::new(key.cipher_key(), engines.sealing);
    let mut bare = Bare::default();
    crypt(&sealer, coding, &mut bare)?;
    code_and_hash(coding, engines, &mut bare)?;
    let block = block_bytes(SEGMENT_BYTES, coding);
    let expansion = (block * coding.n()) as f64 / SEGMENT_BYTES as f64;
    let sockets = least(|| wire::plain(PLAIN_BYTES))?;
    (bare.body_out, bare.body_in) = (per_byte(sockets[0]), per_byte(sockets[1]));
    let [secured] = least(|| wire::secured(PLAIN_BYTES, block).map(|seconds| [seconds]))?;
    (bare.links_in, bare.links_out) = (per_byte(secured), per_byte(secured) * expansion);
    let files = least(|| disk::write_and_read(dir, PLAIN_BYTES, block))?;
    (bare.write, bare.read) = (per_byte(files[0]) * expansion, per_byte(files[1]));
    Ok(bare)
}

/// The segments of a try, with room for what is added to them.
fn segments(coding: Coding) -> Result<Vec<BytesMut>, CliError> {
    let segment = |index| {
        let mut buffer = BytesMut::with_capacity(buffer_bytes(SEGMENT_BYTES, coding));
        buffer.resize(SEGMENT_BYTES, 0);
        let mut content = Content::new(index, SEGMENT_BYTES as u64);
        std::io::Read::read_exact(&mut content, &mut buffer).map_err(system("make random bytes"))?;
        Ok(buffer)
    };
    (0..SEGMENTS as u64).map(segment).collect()
}

fn crypt(sealer: &Sealer, coding: Coding, bare: &mut Bare) -> Result<(), CliError> {
    let mut buffers = segments(coding)?;
    let places = || (0..).map(SegmentIndex);
    let [seal, open] = least(|| {
        let began = thread_cpu();
        for (place, buffer) in places().zip(&mut buffers) {
            sealer.seal(place, false, buffer);
        }
        let sealed = thread_cpu();
        for (place, buffer) in places().zip(&mut buffers) {
            sealer
                .open(place, false, buffer)
                .map_err(|error| system("open what was sealed")(std::io::Error::other(error)))?;
        }
        Ok(
            [sealed.saturating_sub(began), thread_cpu().saturating_sub(sealed)]
                .map(|took| took.as_secs_f64()),
        )
    })?;
    (bare.seal, bare.open) = (per_byte(seal), per_byte(open));
    Ok(())
}

fn code_and_hash(coding: Coding, engines: Engines, bare: &mut Bare) -> Result<(), CliError> {
    let block = block_bytes(SEGMENT_BYTES, coding);
    let mut buffers = segments(coding)?;
    for buffer in &mut buffers {
        buffer.resize(block * coding.k(), 0);
    }
    let mut codec = truckee_grid::erasure::Codec::new(coding, engines.erasure);
    let failed = |error| system("code a segment")(std::io::Error::other(error));
    let all = least(|| {
        let mut burned = [0.0; 4];
        for buffer in &buffers {
            let data: Vec<&[u8]> = buffer.chunks_exact(block).collect();
            let began = thread_cpu();
            let made = codec.encode(&data).map_err(failed)?;
            let coded = thread_cpu();
            let every: Vec<&[u8]> = data
                .iter()
                .copied()
                .chain(made.iter().map(|block| &block[..]))
                .collect();
            std::hint::black_box(merkle::block_leaves(&every));
            let hashed = thread_cpu();
            std::hint::black_box(merkle::block_leaves(&data));
            let verified = thread_cpu();
            let present: Vec<(ShareNumber, &[u8])> = coding.shares().zip(data.iter().copied()).collect();
            std::hint::black_box(codec.decode(&present).map_err(failed)?);
            let times = [began, coded, hashed, verified, thread_cpu()];
            for (sum, pair) in burned.iter_mut().zip(times.windows(2)) {
                *sum += pair[1].saturating_sub(pair[0]).as_secs_f64();
            }
        }
        Ok(burned)
    })?;
    [bare.code, bare.hash, bare.verify, bare.decode] = all.map(per_byte);
    Ok(())
}

/// The least of several tries, each figure by itself.
fn least<const N: usize>(
    mut attempt: impl FnMut() -> Result<[f64; N], CliError>,
) -> Result<[f64; N], CliError> {
    let mut best = [f64::INFINITY; N];
    for _ in 0..TRIES {
        for (best, seconds) in best.iter_mut().zip(attempt()?) {
            *best = best.min(seconds);
        }
    }
    Ok(best)
}

fn per_byte(seconds: f64) -> f64 {
    seconds * 1e9 / PLAIN_BYTES as f64
}

/// The memory for [`pour`], made before anything is timed.
pub(super) fn source() -> Vec<u8> {
    vec![0x5a; SOURCE_BYTES]
}

/// Writes so many bytes of the source, round and round, a piece at a time.
pub(super) fn pour(source: &[u8], to: &mut impl Write, bytes: usize, piece_bytes: usize) -> io::Result<()> {
    let mut left = bytes;
    for piece in source.chunks(piece_bytes).cycle() {
        let length = left.min(piece.len());
        to.write_all(&piece[..length])?;
        left -= length;
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// What the system refused.
pub(super) fn system(action: &'static str) -> impl Fn(std::io::Error) -> CliError {
    move |source| CliError::System { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truckee_grid::erasure::ErasureChoice;

    #[test]
    fn of_several_tries_the_least_counts() {
        let mut tries = [[3.0, 1.0], [2.0, 5.0], [4.0, 4.0]].into_iter();
        let best = least(|| Ok(tries.next().unwrap()));
        assert_eq!(best.unwrap(), [2.0, 1.0]);
        assert!(least(|| Err::<[f64; 1], _>(system("try")(std::io::Error::other("no")))).is_err());
    }

    #[test]
    fn every_step_has_a_cost() {
        let dir = tempfile::tempdir().unwrap();
        let coding = Coding::new(3, 10).unwrap();
        let engines = Engines::select(ErasureChoice::Auto).unwrap();
        let bare = measure(coding, engines, dir.path()).unwrap();
        let upload = [
            bare.body_in,
            bare.seal,
            bare.hash,
            bare.code,
            bare.links_out,
            bare.write,
        ];
        let download = [
            bare.read,
            bare.links_in,
            bare.verify,
            bare.decode,
            bare.open,
            bare.body_out,
        ];
        for cost in upload.into_iter().chain(download) {
            assert!(cost > 0.0 && cost.is_finite(), "{bare:?}");
        }
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "nothing is left behind"
        );
    }
}

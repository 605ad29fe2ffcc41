//! Hashes out of the trees of a share, with few reads.
//!
//! A proof is a path through a tree: its nodes near the leaves lie far apart, those near the root side by side. Hashes that
//! lie close together come by one read, with what is between them. Owns nothing.

use std::io;

use truckee_grid::ids::Hash;

/// Bytes of one read at most: four pages; both trees of a file of 100 segments fit in.
const READ_BYTES_MAX: u64 = 16 * 1024;

/// The hashes at these offsets, in their order. `read` fills a buffer from an offset on.
///
/// # Errors
/// Those of `read`.
pub(super) fn fetch(
    offsets: &[u64],
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<Vec<Hash>> {
    let mut ascending: Vec<usize> = (0..offsets.len()).collect();
    ascending.sort_unstable_by_key(|index| offsets[*index]);
    let mut hashes = vec![Hash([0; Hash::BYTES]); offsets.len()];
    let mut buffer = Vec::new();
    let mut rest = &ascending[..];
    while let Some(first) = rest.first() {
        let from = offsets[*first];
        let end = |index: usize| offsets[index] + Hash::BYTES as u64;
        let near = rest.partition_point(|index| end(*index) - from <= READ_BYTES_MAX);
        let (now, later) = rest.split_at(near);
        let to = now.last().map_or(from, |last| end(*last));
        buffer.resize((to - from) as usize, 0);
        read(&mut buffer, from)?;
        for index in now {
            let at = (offsets[*index] - from) as usize;
            hashes[*index].0.copy_from_slice(&buffer[at..at + Hash::BYTES]);
        }
        rest = later;
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for, out of bytes that tell their places; and the reads.
    fn fetched(offsets: &[u64]) -> (Vec<Hash>, Vec<(u64, usize)>) {
        let mut reads = Vec::new();
        let hashes = fetch(offsets, |buffer, at| {
            for (index, byte) in buffer.iter_mut().enumerate() {
                *byte = byte_at(at + index as u64);
            }
            reads.push((at, buffer.len()));
            Ok(())
        });
        (hashes.expect("memory can be read"), reads)
    }

    fn byte_at(place: u64) -> u8 {
        (place / 7 + place * 31) as u8
    }

    #[test]
    fn each_hash_is_the_one_at_its_place_and_neighbours_come_together() {
        let offsets = [
            90_000,
            64,
            0,
            96,
            READ_BYTES_MAX - 32,
            READ_BYTES_MAX - 31,
            1 << 40,
        ];
        let (hashes, reads) = fetched(&offsets);
        let expected = offsets.map(|offset| Hash(std::array::from_fn(|i| byte_at(offset + i as u64))));
        assert_eq!(hashes, expected);
        let alone = |at| (at, Hash::BYTES);
        let together = (0, READ_BYTES_MAX as usize);
        let expected = [
            together,
            alone(READ_BYTES_MAX - 31),
            alone(90_000),
            alone(1 << 40),
        ];
        assert_eq!(reads, expected);
    }

    #[test]
    fn nothing_is_read_for_nothing_and_what_cannot_be_read_is_said() {
        assert_eq!(fetched(&[]), (vec![], vec![]));
        let refused = fetch(&[0, 32], |_, _| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(
            refused.map_err(|error| error.kind()),
            Err(io::ErrorKind::WouldBlock)
        );
    }
}

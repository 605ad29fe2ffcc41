//! Random content that is never stored.
//!
//! Owns a generator whose every word is a function of seed and position (the output function of SplitMix64, after
//! Steele, Lea and Flood), so that a gigabyte can be sent, and checked bit for bit when it comes back, from nothing but
//! a seed. About 0.2 s of one core per GiB. Not for secrets.

use std::io::{self, Read};

/// Added per word; the odd constant of SplitMix64, 2^64 divided by the golden ratio.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The word at a place.
pub(crate) fn mix(place: u64) -> u64 {
    let mut z = place;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of one file of one round.
pub(crate) fn file_seed(seed: u64, round: u64, file: u64) -> u64 {
    mix(mix(seed.wrapping_add(STEP))
        .wrapping_add(round)
        .wrapping_mul(STEP))
    .wrapping_add(file)
    .wrapping_mul(STEP)
}

/// A file's content, read once from front to back.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    seed: u64,
    at_byte: u64,
    end_byte: u64,
}

impl Content {
    /// `length_bytes` bytes that follow from `seed`.
    pub(crate) fn new(seed: u64, length_bytes: u64) -> Content {
        Content {
            seed: mix(seed),
            at_byte: 0,
            end_byte: length_bytes,
        }
    }

    /// The bytes from `from_byte` to `to_byte` of the content that follows from `seed`.
    pub(crate) fn part(seed: u64, from_byte: u64, to_byte: u64) -> Content {
        Content {
            seed: mix(seed),
            at_byte: from_byte,
            end_byte: to_byte.max(from_byte),
        }
    }

    /// Whether all was read.
    pub(crate) fn at_end(&self) -> bool {
        self.at_byte == self.end_byte
    }

    fn word(&self, index: u64) -> [u8; 8] {
        mix(self.seed.wrapping_add(index.wrapping_mul(STEP))).to_le_bytes()
    }

    /// Compares `got` with what comes next, and goes on behind it.
    ///
    /// # Errors
    /// The position of the first byte that differs or that should not be there.
    pub(crate) fn check(&mut self, got: &[u8], scratch: &mut Vec<u8>) -> Result<(), u64> {
        scratch.resize(got.len(), 0);
        let from = self.at_byte;
        // Reading from memory cannot fail; what is missing at the end shows in the count.
        let expected = self.fill(scratch);
        if expected == got.len() && scratch[..] == *got {
            return Ok(());
        }
        let same = scratch[..expected]
            .iter()
            .zip(got)
            .take_while(|(a, b)| a == b)
            .count();
        Err(from + same as u64)
    }

    /// Fills the buffer as far as there is content; gives the number of bytes.
    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.end_byte - self.at_byte).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let mut rest = &mut buffer[..length];
        let skip = (self.at_byte % 8) as usize;
        let mut index = self.at_byte / 8;
        if skip != 0 {
            let head = rest.len().min(8 - skip);
            rest[..head].copy_from_slice(&self.word(index)[skip..skip + head]);
            rest = &mut rest[head..];
            index += 1;
        }
        let mut words = rest.chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&self.word(index));
            index += 1;
        }
        let tail = words.into_remainder();
        tail.copy_from_slice(&self.word(index)[..tail.len()]);
        self.at_byte += length as u64;
        length
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.fill(buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(seed: u64, length: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        Content::new(seed, length).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn pieces_of_any_size_give_the_same_content() {
        let expected = whole(7, 1003);
        assert_eq!(expected.len(), 1003);
        for piece in [1, 3, 7, 8, 13, 64] {
            let mut content = Content::new(7, 1003);
            let mut got = Vec::new();
            let mut buffer = vec![0; piece];
            while !content.at_end() {
                let length = content.read(&mut buffer).unwrap();
                got.extend_from_slice(&buffer[..length]);
            }
            assert_eq!(got, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_part_is_a_part_of_the_whole() {
        let expected = whole(7, 100);
        for (from, to) in [(0, 100), (13, 57), (64, 64), (99, 100)] {
            let mut part = Vec::new();
            Content::part(7, from as u64, to as u64)
                .read_to_end(&mut part)
                .unwrap();
            assert_eq!(part, expected[from..to], "{from} to {to}");
        }
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(whole(1, 64), whole(2, 64));
        let seeds: std::collections::BTreeSet<u64> = (0..10)
            .flat_map(|round| (0..10).map(move |file| file_seed(5, round, file)))
            .collect();
        assert_eq!(seeds.len(), 100);
    }

    #[test]
    fn a_flipped_bit_a_missing_and_an_extra_byte_are_found() {
        let good = whole(9, 100);
        let scratch = &mut Vec::new();
        let mut content = Content::new(9, 100);
        content.check(&good[..33], scratch).unwrap();
        content.check(&good[33..], scratch).unwrap();
        assert!(content.at_end());

        let mut bad = good.clone();
        bad[40] ^= 1;
        let mut content = Content::new(9, 100);
        content.check(&bad[..33], scratch).unwrap();
        assert_eq!(content.check(&bad[33..], scratch), Err(40));

        let mut long = good.clone();
        long.push(0);
        assert_eq!(Content::new(9, 100).check(&long, scratch), Err(100));
        let mut content = Content::new(9, 100);
        content.check(&good[..99], scratch).unwrap();
        assert!(!content.at_end());
    }
}

//! Random content that is never stored.
//!
//! Owns a generator whose every word is a function of seed and position, so that a gigabyte can be sent, and checked bit
//! for bit when it comes back, from nothing but a seed. Each run of 512 bytes is a fixed run of random words, each combined
//! with one random word that the seed gives for this place: no two runs are alike, and a random word is made once for 64.
//! Random words are the output function of SplitMix64, after Steele, Lea and
//! Flood. Not for secrets.

use std::io::{self, Read};

/// Added per word; the odd constant of SplitMix64, 2^64 divided by the golden ratio.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Words that share one word of the seed.
const RUN_WORDS: usize = 64;
/// Bytes of such a run.
const RUN_BYTES: usize = RUN_WORDS * 8;

/// What all runs are made of.
const WORDS: [u64; RUN_WORDS] = {
    let mut words = [0; RUN_WORDS];
    let mut index = 0;
    while index < RUN_WORDS {
        words[index] = mix((index as u64 + 1).wrapping_mul(STEP));
        index += 1;
    }
    words
};

/// The word at a place.
pub(crate) const fn mix(place: u64) -> u64 {
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

    /// The run that the byte at `at_byte` is in, and where in it that byte is.
    fn run(&self, at_byte: u64) -> ([u8; RUN_BYTES], usize) {
        let index = at_byte / RUN_BYTES as u64;
        let of_place = mix(self.seed.wrapping_add(index.wrapping_mul(STEP)));
        let mut run = [0; RUN_BYTES];
        for (bytes, word) in run.as_chunks_mut::<8>().0.iter_mut().zip(WORDS) {
            *bytes = (word ^ of_place).to_le_bytes();
        }
        (run, (at_byte % RUN_BYTES as u64) as usize)
    }

    /// Compares `got` with what comes next, and goes on behind it.
    ///
    /// # Errors
    /// The position of the first byte that differs or that should not be there.
    pub(crate) fn check(&mut self, mut got: &[u8]) -> Result<(), u64> {
        while !got.is_empty() {
            let from = self.at_byte;
            let mut run = [0; RUN_BYTES];
            let length = got.len().min(self.left_in_run());
            let expected = &mut run[..length];
            self.fill(expected);
            let (now, later) = got.split_at(length);
            if length == 0 || now != expected {
                let same = expected.iter().zip(now).take_while(|(a, b)| a == b);
                return Err(from + same.count() as u64);
            }
            got = later;
        }
        Ok(())
    }

    /// Bytes of content up to the end of a run.
    fn left_in_run(&self) -> usize {
        let left = self.end_byte - self.at_byte;
        left.min(RUN_BYTES as u64 - self.at_byte % RUN_BYTES as u64) as usize
    }

    /// Fills the buffer as far as there is content; gives the number of bytes.
    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() && !self.at_end() {
            let (run, at) = self.run(self.at_byte);
            let length = self.left_in_run().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&run[at..at + length]);
            filled += length;
            self.at_byte += length as u64;
        }
        filled
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
        let expected = whole(7, 1503);
        assert_eq!(expected.len(), 1503);
        for piece in [1, 3, 7, 8, 13, 64, 512, 700] {
            let mut content = Content::new(7, 1503);
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
        let expected = whole(7, 1100);
        for (from, to) in [(0, 1100), (13, 57), (64, 64), (99, 100), (500, 1030), (512, 1024)] {
            let mut part = Vec::new();
            Content::part(7, from as u64, to as u64)
                .read_to_end(&mut part)
                .unwrap();
            assert_eq!(part, expected[from..to], "{from} to {to}");
        }
    }

    #[test]
    fn seeds_and_places_differ() {
        assert_ne!(whole(1, 64), whole(2, 64));
        let runs = whole(1, 100 * RUN_BYTES as u64);
        let runs: std::collections::BTreeSet<&[u8]> = runs.chunks(RUN_BYTES).collect();
        assert_eq!(runs.len(), 100);
        let seeds: std::collections::BTreeSet<u64> = (0..10)
            .flat_map(|round| (0..10).map(move |file| file_seed(5, round, file)))
            .collect();
        assert_eq!(seeds.len(), 100);
    }

    #[test]
    fn a_flipped_bit_a_missing_and_an_extra_byte_are_found() {
        let good = whole(9, 100);
        let mut content = Content::new(9, 100);
        content.check(&good[..33]).unwrap();
        content.check(&good[33..]).unwrap();
        assert!(content.at_end());

        let mut bad = good.clone();
        bad[40] ^= 1;
        let mut content = Content::new(9, 100);
        content.check(&bad[..33]).unwrap();
        assert_eq!(content.check(&bad[33..]), Err(40));

        let mut long = good.clone();
        long.push(0);
        assert_eq!(Content::new(9, 100).check(&long), Err(100));
        let mut content = Content::new(9, 100);
        content.check(&good[..99]).unwrap();
        assert!(!content.at_end());
    }
}

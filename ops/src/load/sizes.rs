//! The sizes of the files of a round: all alike, or a mix.
//!
//! Owns the grammar (`1MiB`, or `1KiB:90,64KiB:9,1MiB:1`, where the numbers are parts of the whole) and which file has which size.
//! File number 7 has the same size in every round and of every measurement, so that rounds can be compared; sizes are spread evenly
//! over the files, not drawn, so that as many files as there are parts have each size exactly as often as asked.

use std::fmt;

use super::size;
use crate::output::bytes_text;

/// Most sizes of a mix: each has a row of its own in the table.
const SIZES_MAX: usize = 16;

/// Most parts of all sizes together: one file in ten thousand may be of another size.
const PARTS_MAX: u64 = 10_000;

/// One size of a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Size of these files.
    pub(crate) bytes: u64,
    /// How many of [`Sizes::parts`] files are of this size.
    pub(crate) parts: u64,
}

/// Sizes and how often each comes. There is at least one, each with at least one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    shares: Vec<Share>,
    /// From one file to the next, in parts: has no common divisor with the parts, so that it meets each of them in turn.
    stride: u64,
}

impl Sizes {
    /// All files alike.
    pub(crate) fn one(bytes: u64) -> Sizes {
        Sizes::of(vec![Share { bytes, parts: 1 }])
    }

    fn of(shares: Vec<Share>) -> Sizes {
        let parts: u64 = shares.iter().map(|share| share.parts).sum();
        Sizes {
            shares,
            stride: stride(parts),
        }
    }

    /// All sizes, in the order given.
    pub(crate) fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// Whether there are several.
    pub(crate) fn are_mixed(&self) -> bool {
        self.shares.len() > 1
    }

    /// Files after which the sizes come again in the same order.
    fn parts(&self) -> u64 {
        self.shares.iter().map(|share| share.parts).sum()
    }

    /// Which of [`Sizes::shares`] file number `file` belongs to.
    pub(crate) fn share_of(&self, file: u64) -> usize {
        let parts = self.parts();
        let mut part = file % parts * self.stride % parts;
        for (number, share) in self.shares.iter().enumerate() {
            if part < share.parts {
                return number;
            }
            part -= share.parts;
        }
        unreachable!("part {part} of {parts} lies beyond all of them")
    }

    /// How many of the first `files` files are of that size.
    pub(crate) fn files_of(&self, share: usize, files: u64) -> u64 {
        let parts = self.parts();
        let left = (0..files % parts).filter(|file| self.share_of(*file) == share);
        files / parts * self.shares[share].parts + left.count() as u64
    }

    /// Size of file number `file`, in bytes.
    pub(crate) fn size_bytes(&self, file: u64) -> u64 {
        self.shares[self.share_of(file)].bytes
    }

    /// Files that are needed so that each size comes at least once.
    pub(crate) fn files_min(&self) -> u64 {
        let first_of = |share| (0..self.parts()).find(|file| self.share_of(*file) == share);
        let firsts = (0..self.shares.len()).filter_map(first_of);
        firsts.max().map_or(1, |last| last + 1)
    }

    /// The smallest size, in bytes.
    pub(crate) fn smallest_bytes(&self) -> u64 {
        self.shares.iter().map(|share| share.bytes).min().unwrap_or(0)
    }

    /// The largest size, in bytes.
    pub(crate) fn largest_bytes(&self) -> u64 {
        self.shares.iter().map(|share| share.bytes).max().unwrap_or(0)
    }

    /// The same mix with no file larger than that.
    pub(crate) fn at_most(&self, limit_bytes: u64) -> Sizes {
        let shares = self.shares.iter().map(|share| Share {
            bytes: share.bytes.min(limit_bytes),
            ..*share
        });
        Sizes {
            shares: shares.collect(),
            stride: self.stride,
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sizes that a limit made alike are one.
        let mut merged: Vec<Share> = Vec::new();
        for share in &self.shares {
            match merged.iter_mut().find(|other| other.bytes == share.bytes) {
                Some(other) => other.parts += share.parts,
                None => merged.push(*share),
            }
        }
        if let [only] = merged.as_slice() {
            return f.write_str(&bytes_text(only.bytes));
        }
        let parts = self.parts();
        let each = merged
            .iter()
            .map(|share| format!("{}/{parts} {}", share.parts, bytes_text(share.bytes)));
        write!(f, "mix of {}", each.collect::<Vec<_>>().join(", "))
    }
}

/// The step nearest to the golden section of `parts` by which every part is met. Of more than a few parts neighbours are then far apart, and
/// some files in a row have about the mix of all (Weyl's sequence; Knuth, TAOCP 3, 6.4); of few there may be no such step but one.
fn stride(parts: u64) -> u64 {
    let section = parts * 618 / 1_000;
    let common = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    // One has no common divisor with anything.
    let near = (0..=parts).flat_map(|far| [section.saturating_sub(far), section + far]);
    near.filter(|step| *step > 0)
        .find(|step| common(*step, parts) == 1)
        .unwrap_or(1)
}

/// Parses one size, or several with their parts.
///
/// # Errors
/// A sentence for the command line when it has no such form or is too much.
pub(crate) fn parse(text: &str) -> Result<Sizes, String> {
    if !text.contains([':', ',']) {
        return size::parse(text).map(Sizes::one);
    }
    let mut shares: Vec<Share> = Vec::new();
    for one in text.split(',') {
        let (bytes, parts) = one
            .split_once(':')
            .ok_or_else(|| format!("{one:?} of the mix has no parts, as in 1KiB:90,1MiB:10"))?;
        let bytes = size::parse(bytes)?;
        let parts = parts.trim().parse().ok();
        let parts = parts
            .filter(|parts| (1..=PARTS_MAX).contains(parts))
            .ok_or_else(|| {
                format!("{one:?} of the mix has no whole number of parts from 1 to {PARTS_MAX}")
            })?;
        if shares.iter().any(|share| share.bytes == bytes) {
            return Err(format!("{} is in the mix twice", bytes_text(bytes)));
        }
        shares.push(Share { bytes, parts });
    }
    if shares.len() > SIZES_MAX {
        return Err(format!("a mix has at most {SIZES_MAX} sizes"));
    }
    if shares.iter().map(|share| share.parts).sum::<u64>() > PARTS_MAX {
        return Err(format!("a mix has at most {PARTS_MAX} parts in all"));
    }
    Ok(Sizes::of(shares))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_size_or_a_mix() {
        assert_eq!(parse("1GiB"), Ok(Sizes::one(1 << 30)));
        let mix = parse("1KiB:90, 64KiB:9,1MiB:1").unwrap();
        assert_eq!(
            mix.to_string(),
            "mix of 90/100 1.00 KiB, 9/100 64.0 KiB, 1/100 1.00 MiB"
        );
        assert_eq!((mix.smallest_bytes(), mix.largest_bytes()), (1 << 10, 1 << 20));
        assert_eq!(
            mix.at_most(2048).to_string(),
            "mix of 90/100 1.00 KiB, 10/100 2.00 KiB"
        );
        assert_eq!(mix.at_most(1024).to_string(), "1.00 KiB");
        let many: Vec<String> = (0..17).map(|size| format!("{size}:1")).collect();
        for bad in [
            "1KiB:90,1MiB",
            "1KiB:0,1MiB:1",
            "1KiB:x",
            "1KiB:1,1024:2",
            "1KiB:9999,1MiB:2",
            ",",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&many.join(",")).is_err());
        assert!(parse(&many[..16].join(",")).is_ok());
    }

    #[test]
    fn every_size_comes_as_often_as_asked() {
        for text in [
            "1:90,2:9,3:1",
            "1:1,2:1",
            "1:1,2:2,3:9997",
            "1:5000,2:5000",
            "1:7",
            "1:1,2:2",
        ] {
            let mix = parse(text).unwrap();
            let parts = mix.parts();
            let count = |bytes: u64, from: u64| {
                let same = (from..from + parts).filter(|file| mix.size_bytes(*file) == bytes);
                same.count() as u64
            };
            for share in mix.shares() {
                assert_eq!(count(share.bytes, 0), share.parts, "{text}");
                assert_eq!(count(share.bytes, 1_000_003), share.parts, "{text}");
            }
            for files in [0, 1, parts - 1, parts, 2 * parts + parts / 2] {
                let each = (0..mix.shares().len()).map(|share| mix.files_of(share, files));
                assert_eq!(each.sum::<u64>(), files, "{text}");
                let first = (0..files).filter(|file| mix.share_of(*file) == 0);
                assert_eq!(first.count() as u64, mix.files_of(0, files), "{text}");
            }
        }
    }

    #[test]
    fn some_files_in_a_row_have_the_mix_of_all() {
        let halves = parse("1:50,2:50").unwrap();
        for from in 0..100 {
            let ones = (from..from + 10)
                .filter(|file| halves.size_bytes(*file) == 1)
                .count();
            assert!((4..=6).contains(&ones), "{ones} of ten from {from} on");
        }
        assert_eq!(halves.files_min(), 2);
        assert_eq!(Sizes::one(5).files_min(), 1);
        let rare = parse("1:99,2:1").unwrap();
        assert_eq!(rare.files_of(1, rare.files_min()), 1);
        assert_eq!(rare.files_of(1, rare.files_min() - 1), 0);
    }
}

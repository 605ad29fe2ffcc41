//! Counts and sizes of a tree, with the names and the histogram of Tahoe-LAFS's deep statistics.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use truckee_grid::caps::Cap;
use truckee_grid::drive::Target;

use crate::http::tree::describe;

/// See the module. Sizes are plaintext bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    immutable_files: u64,
    mutable_files: u64,
    literal_files: u64,
    directories: u64,
    unknown: u64,
    immutable_bytes: u64,
    literal_bytes: u64,
    directory_bytes: u64,
    largest_directory: u64,
    largest_children: u64,
    largest_immutable: u64,
    histogram: BTreeMap<(u64, u64), u64>,
}

impl Stats {
    /// Something was found.
    pub(super) fn add(&mut self, target: &Target) {
        match describe::kind(target) {
            "dirnode" => self.directories += 1,
            "filenode" => self.add_file(target),
            _ => self.unknown += 1,
        }
    }

    fn add_file(&mut self, target: &Target) {
        let Target::Cap(cap) = target else { return };
        let Some(bytes) = describe::size(cap) else {
            self.mutable_files += 1;
            return;
        };
        *self.histogram.entry(bucket(bytes)).or_default() += 1;
        if matches!(cap, Cap::Lit(_)) {
            self.literal_files += 1;
            self.literal_bytes += bytes;
        } else {
            self.immutable_files += 1;
            self.immutable_bytes += bytes;
            self.largest_immutable = self.largest_immutable.max(bytes);
        }
    }

    /// A directory was read.
    pub(super) fn add_listing(&mut self, children: usize, bytes: u64) {
        self.directory_bytes += bytes;
        self.largest_directory = self.largest_directory.max(bytes);
        self.largest_children = self.largest_children.max(children as u64);
    }

    /// Objects of every kind.
    pub(super) fn objects(&self) -> u64 {
        self.files() + self.directories + self.unknown
    }

    fn files(&self) -> u64 {
        self.immutable_files + self.mutable_files + self.literal_files
    }

    /// Bytes of all that is stored; what lives in caps is not.
    pub(super) fn total_bytes(&self) -> u64 {
        self.immutable_bytes + self.directory_bytes
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let histogram = self.histogram.iter();
        let histogram: Vec<Value> = histogram
            .map(|((least, most), count)| json!([least, most, count]))
            .collect();
        json!({
            "api-version": 1,
            "count-immutable-files": self.immutable_files,
            "count-mutable-files": self.mutable_files,
            "count-literal-files": self.literal_files,
            "count-files": self.files(),
            "count-directories": self.directories,
            "count-unknown": self.unknown,
            "size-immutable-files": self.immutable_bytes,
            "size-literal-files": self.literal_bytes,
            "size-directories": self.directory_bytes,
            "largest-directory": self.largest_directory,
            "largest-directory-children": self.largest_children,
            "largest-immutable-file": self.largest_immutable,
            "size-files-histogram": histogram,
        })
    }

    /// For people.
    pub(super) fn rows(&self) -> Vec<(String, u64)> {
        [
            ("Directories", self.directories),
            ("Files", self.files()),
            ("Mutable files", self.mutable_files),
            ("Unknown", self.unknown),
            ("Bytes of files", self.immutable_bytes + self.literal_bytes),
            ("Bytes of directories", self.directory_bytes),
            ("Largest file", self.largest_immutable),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// The least and the most of the class of sizes: two classes to a decade, by the square root of ten.
fn bucket(bytes: u64) -> (u64, u64) {
    if bytes == 0 {
        return (0, 0);
    }
    // The class i ends at the whole part of the square root of 10^i; 10^38 is the largest that fits.
    let end = |i: u32| 10_u128.pow(i).isqrt();
    let i = (1..38).find(|i| end(*i) >= u128::from(bytes)).unwrap_or(38);
    let (least, most) = if i == 1 {
        (1, end(1))
    } else {
        (end(i - 1) + 1, end(i))
    };
    // Sizes are far below the end of 64 bits.
    (least as u64, u64::try_from(most).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_sizes() {
        for (bytes, class) in [
            (0, (0, 0)),
            (1, (1, 3)),
            (3, (1, 3)),
            (4, (4, 10)),
            (10, (4, 10)),
            (11, (11, 31)),
            (32, (32, 100)),
            (316, (101, 316)),
            (317, (317, 1000)),
            (1_000_000, (316_228, 1_000_000)),
            (1 << 40, (1_000_000_000_001, 3_162_277_660_168)),
        ] {
            assert_eq!(bucket(bytes), class, "{bytes}");
        }
    }
}

//! Damage to shares on disks: bits that flip, ends that are missing, whole disks that are empty.
//!
//! Owns the list of what was damaged, so that it can be said at the end whether a file was bound to be lost. In a cluster
//! that is not the tool's own it touches nothing but shares of files that this run stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use truckee_grid::caps::Cap;

use super::super::random::Random;
use crate::error::CliError;

/// Most shares that one fault damages.
const SHARES_MAX: usize = 40;

/// Most bits that flip in one share.
const BITS_MAX: u64 = 8;

/// A share as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    path: PathBuf,
    /// Storage index of its file, in text.
    index: String,
    /// Its number, in text.
    number: String,
}

/// What was done to shares, and to which.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// Files on disks whose content is no longer what a peer wrote.
    spoilt: BTreeSet<(u64, u64)>,
    /// Where what was taken away lies.
    pub(crate) moved: Vec<PathBuf>,
}

/// Which shares may be touched: all, or those of some storage indexes.
pub(crate) type Only = Option<BTreeSet<String>>;

/// The storage index of a cap, in text; none if nothing of it is stored on peers.
pub(crate) fn index_of(cap: &str) -> Option<String> {
    let index = Cap::parse(cap).ok()?.storage_index()?;
    Some(index.to_base32())
}

/// The shares below a node's directory, sorted, as far as they may be touched.
fn find(node: &Path, only: &Only) -> Vec<Share> {
    let mut found = Vec::new();
    // Directories come and go under our eyes: what cannot be read is not there.
    let entries = |dir: &Path| {
        let read = fs::read_dir(dir).into_iter().flatten();
        read.filter_map(|entry| Some(entry.ok()?.path()))
            .collect::<Vec<_>>()
    };
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    for file in entries(&node.join("shares"))
        .iter()
        .flat_map(|prefix| entries(prefix))
    {
        let index = name(&file);
        if only.as_ref().is_some_and(|only| !only.contains(&index)) {
            continue;
        }
        for path in entries(&file) {
            let (index, number) = (index.clone(), name(&path));
            found.push(Share { path, index, number });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let facts = fs::metadata(path)?;
    Ok((facts.dev(), facts.ino()))
}

impl Damage {
    /// Spoils some shares of a node, each by `spoil`; gives their number.
    fn some(
        &mut self,
        node: &Path,
        only: &Only,
        random: &mut Random,
        spoil: impl Fn(&Path, &mut Random) -> io::Result<()>,
    ) -> Result<usize, CliError> {
        let mut shares = find(node, only);
        random.shuffle(&mut shares);
        shares.truncate(SHARES_MAX);
        for share in &shares {
            let spoilt = identity(&share.path).and_then(|id| {
                self.spoilt.insert(id);
                spoil(&share.path, random)
            });
            match spoilt {
                // The peer has put it aside meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(CliError::file("damage", &share.path))?,
            }
        }
        Ok(shares.len())
    }

    /// Flips bits in some shares.
    pub(crate) fn flip(&mut self, node: &Path, only: &Only, random: &mut Random) -> Result<usize, CliError> {
        self.some(node, only, random, |path, random| {
            let mut file = OpenOptions::new().read(true).write(true).open(path)?;
            let length = file.metadata()?.len();
            for _ in 0..random.between(1, BITS_MAX) {
                let at = random.below(length);
                let mut byte = [0];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut byte)?;
                byte[0] ^= 1 << random.below(8);
                file.seek(SeekFrom::Start(at))?;
                file.write_all(&byte)?;
            }
            Ok(())
        })
    }

    /// Cuts the end off some shares.
    pub(crate) fn truncate(
        &mut self,
        node: &Path,
        only: &Only,
        random: &mut Random,
    ) -> Result<usize, CliError> {
        self.some(node, only, random, |path, random| {
            let file = OpenOptions::new().write(true).open(path)?;
            let length = file.metadata()?.len();
            file.set_len(random.below(length))
        })
    }

    /// Takes all shares away, to `aside` if that is on the same disk; else they are gone. The node must not run.
    pub(crate) fn wipe(&mut self, node: &Path, only: &Only, aside: &Path) -> Result<usize, CliError> {
        let shares = find(node, only);
        for (at, share) in shares.iter().enumerate() {
            let to = aside.join(&share.index).join(format!("{}.{at}", share.number));
            let dir = to.parent().unwrap_or(aside);
            fs::create_dir_all(dir).map_err(CliError::file("create", dir))?;
            match fs::rename(&share.path, &to) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    fs::remove_file(&share.path).map_err(CliError::file("remove", &share.path))?;
                }
                other => other.map_err(CliError::file("move", &share.path))?,
            }
        }
        if !shares.is_empty() {
            self.moved.push(aside.to_owned());
        }
        Ok(shares.len())
    }

    /// For each storage index, how many different shares of it lie on the nodes and were not spoilt.
    pub(crate) fn whole<'n>(&self, nodes: impl Iterator<Item = &'n Path>) -> BTreeMap<String, usize> {
        let mut numbers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for share in nodes.flat_map(|node| find(node, &None)) {
            let spoilt = identity(&share.path).map_or(true, |id| self.spoilt.contains(&id));
            if !spoilt {
                numbers.entry(share.index).or_default().insert(share.number);
            }
        }
        numbers
            .into_iter()
            .map(|(index, numbers)| (index, numbers.len()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(shares: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (index, number) in shares {
            let file = dir.path().join("shares").join(&index[..2]).join(index);
            fs::create_dir_all(&file).unwrap();
            fs::write(file.join(number), [7; 100]).unwrap();
        }
        dir
    }

    fn content(node: &Path, index: &str, number: &str) -> Vec<u8> {
        fs::read(node.join("shares").join(&index[..2]).join(index).join(number)).unwrap()
    }

    #[test]
    fn what_was_spoilt_does_not_count_any_more_and_the_rest_is_left_alone() {
        let node = node(&[("aaa", "0"), ("aaa", "1"), ("abb", "0")]);
        let mut random = Random::new(1, 1);
        let mut damage = Damage::default();
        let only = Some(BTreeSet::from(["aaa".to_owned()]));
        assert_eq!(damage.flip(node.path(), &only, &mut random).unwrap(), 2);
        assert_ne!(content(node.path(), "aaa", "0"), [7; 100]);
        assert_eq!(content(node.path(), "abb", "0"), [7; 100]);
        let whole = damage.whole([node.path()].into_iter());
        assert_eq!(whole, BTreeMap::from([("abb".to_owned(), 1)]));
        damage.truncate(node.path(), &None, &mut random).unwrap();
        assert!(content(node.path(), "abb", "0").len() < 100);
        assert!(damage.whole([node.path()].into_iter()).is_empty());
        // A share that was written anew is another file.
        let again = node.path().join("shares/ab/abb/0");
        fs::write(again.with_extension("new"), [7; 100]).unwrap();
        fs::rename(again.with_extension("new"), &again).unwrap();
        assert_eq!(damage.whole([node.path()].into_iter()).len(), 1);
    }

    #[test]
    fn a_wiped_node_has_no_shares_and_they_lie_aside() {
        let (one, other) = (
            node(&[("aaa", "0"), ("abb", "3")]),
            node(&[("aaa", "0"), ("aaa", "1")]),
        );
        let mut damage = Damage::default();
        let aside = one.path().join("aside");
        assert_eq!(damage.wipe(one.path(), &None, &aside).unwrap(), 2);
        assert!(find(one.path(), &None).is_empty());
        assert_eq!(fs::read(aside.join("abb/3.1")).unwrap(), [7; 100]);
        assert_eq!(damage.moved, [aside]);
        let whole = damage.whole([one.path(), other.path()].into_iter());
        assert_eq!(whole, BTreeMap::from([("aaa".to_owned(), 2)]));
    }

    #[test]
    fn caps_of_stored_files_have_an_index() {
        assert_eq!(index_of("URI:LIT:ga"), None);
        assert_eq!(index_of("nonsense"), None);
    }
}

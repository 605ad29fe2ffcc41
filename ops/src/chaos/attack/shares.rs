//! Damage to shares on disks: bits that flip, ends that are missing, whole disks that are empty.
//!
//! Owns what is drawn of it, and the list of what was damaged, so that it can be said at the end whether a file was bound to
//! be lost. In a cluster that is not the tool's own it touches nothing but shares of files that this run stored; shares in packs
//! are damaged there, but not taken away, for a pack holds those of other people too.

use std::collections::{BTreeMap, BTreeSet};

use truckee_grid::caps::Cap;

use super::super::random::Random;
use super::hand::{Hand, How, Identity, Only, Share, Spoil};
use crate::error::CliError;

/// Most shares that one fault damages.
const SHARES_MAX: usize = 40;

/// Most bits that flip in one share.
const BITS_MAX: u64 = 8;

/// What was done to shares, and to which.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// Files on the disks of nodes whose content is no longer what a peer wrote.
    spoilt: BTreeSet<(String, Identity)>,
    /// Where what was taken away lies.
    pub(crate) moved: Vec<String>,
}

/// The storage index of a cap, in text; none if nothing of it is stored on peers.
pub(crate) fn index_of(cap: &str) -> Option<String> {
    let index = Cap::parse(cap).ok()?.storage_index()?;
    Some(index.to_base32())
}

impl Damage {
    /// Spoils some shares of a node; gives their number.
    fn some(
        &mut self,
        hand: &mut dyn Hand,
        node: &str,
        only: &Only,
        random: &mut Random,
        draw: impl Fn(u64, &mut Random) -> How,
    ) -> Result<usize, CliError> {
        let mut shares = hand.shares(node, only)?;
        shares.retain(|share| share.bytes > 0);
        random.shuffle(&mut shares);
        shares.truncate(SHARES_MAX);
        // Noted before it is done: what fails on the way may have been done in part.
        let files = shares.iter().map(|share| (node.to_owned(), share.identity));
        self.spoilt.extend(files);
        let spoil = |share: Share| Spoil {
            how: draw(share.bytes, random),
            share,
        };
        let spoils: Vec<Spoil> = shares.into_iter().map(spoil).collect();
        let hit = hand.spoil(node, &spoils)?;
        let count = hit.len();
        self.spoilt
            .extend(hit.into_iter().map(|file| (node.to_owned(), file)));
        Ok(count)
    }

    /// Flips bits in some shares.
    pub(crate) fn flip(
        &mut self,
        hand: &mut dyn Hand,
        node: &str,
        only: &Only,
        random: &mut Random,
    ) -> Result<usize, CliError> {
        self.some(hand, node, only, random, |bytes, random| {
            let bits = random.between(1, BITS_MAX);
            How::Flip(
                (0..bits)
                    .map(|_| (random.below(bytes), 1 << random.below(8)))
                    .collect(),
            )
        })
    }

    /// Cuts the end off some shares.
    pub(crate) fn truncate(
        &mut self,
        hand: &mut dyn Hand,
        node: &str,
        only: &Only,
        random: &mut Random,
    ) -> Result<usize, CliError> {
        self.some(hand, node, only, random, |bytes, random| {
            How::Cut(random.below(bytes))
        })
    }

    /// Takes all shares away, to a place named after `label`. The node must not run.
    pub(crate) fn wipe(
        &mut self,
        hand: &mut dyn Hand,
        node: &str,
        only: &Only,
        label: &str,
    ) -> Result<usize, CliError> {
        let mut shares = hand.shares(node, only)?;
        shares.retain(|share| only.is_none() || share.packed_at.is_none());
        if !shares.is_empty() {
            let place = hand.take_away(node, &shares, label)?;
            self.moved.push(place);
        }
        Ok(shares.len())
    }

    /// For each storage index, how many different shares of it lie on the nodes and were not spoilt.
    pub(crate) fn whole(
        &self,
        hand: &mut dyn Hand,
        nodes: &[String],
        only: &Only,
    ) -> Result<BTreeMap<String, usize>, CliError> {
        let mut numbers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in nodes {
            for share in hand.shares(node, only)? {
                if !self.spoilt.contains(&(node.clone(), share.identity)) {
                    numbers.entry(share.index).or_default().insert(share.number);
                }
            }
        }
        let counted = numbers.into_iter();
        Ok(counted.map(|(index, numbers)| (index, numbers.len())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::local::Local;
    use super::*;
    use crate::cluster::file::NodeEntry;

    /// A cluster in a directory whose nodes have these shares, each of a hundred bytes.
    fn cluster(dir: &Path, nodes: &[(&str, &[(&str, &str)])]) -> Local {
        let entry = |(name, shares): &(&str, &[(&str, &str)])| {
            for (index, number) in *shares {
                let path = share(dir, name, index, number);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, [7; 100]).unwrap();
            }
            NodeEntry {
                name: (*name).to_owned(),
                roles: vec!["storage".into()],
                pid: 0,
                address: String::new(),
                dir: dir.join(name),
            }
        };
        Local::new(dir, nodes.iter().map(entry).collect(), None)
    }

    fn share(dir: &Path, node: &str, index: &str, number: &str) -> std::path::PathBuf {
        dir.join(node)
            .join("shares")
            .join(&index[..2])
            .join(index)
            .join(number)
    }

    #[test]
    fn what_was_spoilt_does_not_count_any_more_and_the_rest_is_left_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        let mut hand = cluster(dir, &[("a", &[("aaa", "0"), ("aaa", "1"), ("abb", "0")])]);
        let content = |index, number| fs::read(share(dir, "a", index, number)).unwrap();
        let nodes = ["a".to_owned()];
        let mut random = Random::new(1, 1);
        let mut damage = Damage::default();
        let only = Some(BTreeSet::from(["aaa".to_owned()]));
        assert_eq!(damage.flip(&mut hand, "a", &only, &mut random).unwrap(), 2);
        assert_ne!(content("aaa", "0"), [7; 100]);
        assert_eq!(content("abb", "0"), [7; 100]);
        let whole = damage.whole(&mut hand, &nodes, &None).unwrap();
        assert_eq!(whole, BTreeMap::from([("abb".to_owned(), 1)]));
        damage.truncate(&mut hand, "a", &None, &mut random).unwrap();
        assert!(content("abb", "0").len() < 100);
        assert!(damage.whole(&mut hand, &nodes, &None).unwrap().is_empty());
        // A share that was written anew is another file.
        let again = share(dir, "a", "abb", "0");
        fs::write(again.with_extension("new"), [7; 100]).unwrap();
        fs::rename(again.with_extension("new"), &again).unwrap();
        assert_eq!(damage.whole(&mut hand, &nodes, &None).unwrap().len(), 1);
    }

    #[test]
    fn a_wiped_node_has_no_shares_and_they_lie_aside() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        let mut hand = cluster(
            dir,
            &[
                ("a", &[("aaa", "0"), ("abb", "3")]),
                ("b", &[("aaa", "0"), ("aaa", "1")]),
            ],
        );
        let mut damage = Damage::default();
        assert_eq!(damage.wipe(&mut hand, "a", &None, "7-1").unwrap(), 2);
        assert!(hand.shares("a", &None).unwrap().is_empty());
        let aside = dir.join("chaos-removed/7-1/a");
        assert_eq!(fs::read(aside.join("abb/3.1")).unwrap(), [7; 100]);
        assert_eq!(damage.moved, [aside.display().to_string()]);
        let nodes = ["a".to_owned(), "b".to_owned()];
        let whole = damage.whole(&mut hand, &nodes, &None).unwrap();
        assert_eq!(whole, BTreeMap::from([("aaa".to_owned(), 2)]));
    }

    #[test]
    fn a_share_in_a_pack_is_damaged_where_it_lies_and_a_wipe_takes_the_pack() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        let mut hand = cluster(dir, &[("a", &[])]);
        let pack = dir.join("a/packs/7.pack");
        fs::create_dir_all(pack.parent().unwrap()).unwrap();
        fs::write(&pack, [0xff; 300]).unwrap();
        let share = |at| Share {
            path: pack.clone(),
            packed_at: Some(at),
            index: "aaa".to_owned(),
            number: "1".to_owned(),
            identity: (0, 0, at),
            bytes: 100,
        };
        let spoils = [
            (share(100), How::Flip(vec![(0, 1), (99, 0x80)])),
            (share(200), How::Cut(60)),
        ];
        let spoils = spoils.map(|(share, how)| Spoil { share, how });
        let hit = hand.spoil("a", &spoils).unwrap();
        assert_eq!(hit.iter().map(|file| file.2).collect::<Vec<_>>(), [100, 200]);
        let mut expected = vec![0xff; 300];
        (expected[100], expected[199]) = (0xfe, 0x7f);
        expected[260..].fill(0);
        assert_eq!(fs::read(&pack).unwrap(), expected);

        fs::write(pack.with_extension("idx"), "of 7").unwrap();
        let place = hand.take_away("a", &[share(100), share(200)], "7-1").unwrap();
        assert_eq!(fs::read_dir(dir.join("a/packs")).unwrap().count(), 0);
        let aside = Path::new(&place).join("packs");
        assert_eq!(fs::read(aside.join("7.pack")).unwrap(), expected);
        assert_eq!(fs::read(aside.join("7.idx")).unwrap(), b"of 7");
    }

    #[test]
    fn caps_of_stored_files_have_an_index() {
        assert_eq!(index_of("URI:LIT:ga"), None);
        assert_eq!(index_of("nonsense"), None);
    }
}

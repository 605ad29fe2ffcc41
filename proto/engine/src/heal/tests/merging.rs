//! Pages become files, however they are cut.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_wire::message::{ListedShare, SharePlace, SharesListed};

use super::grid::node;
use crate::heal::merge::Merge;

fn place(file: u8, share: u8) -> SharePlace {
    let mut si = [0; 16];
    si[15] = file;
    SharePlace {
        si: StorageIndex(si),
        share: ShareNumber(share),
    }
}

fn page(places: &[SharePlace], next: Option<SharePlace>) -> SharesListed {
    let coding = Coding::new(3, 10).expect("valid");
    SharesListed {
        epoch: 1,
        changes: 0,
        shares: places
            .iter()
            .map(|place| ListedShare {
                place: *place,
                coding,
            })
            .collect(),
        next,
    }
}

proptest! {
    #[test]
    fn every_share_is_told_once_with_all_of_its_file(
        held in prop::collection::vec(prop::collection::btree_set((0..12u8, 0..4u8), 0..30), 1..5),
        cuts in prop::collection::vec(1..7usize, 60),
    ) {
        let disks: BTreeMap<NodeId, Vec<SharePlace>> = held
            .iter()
            .enumerate()
            .map(|(index, held)| (node(index as u8 + 1), held.iter().map(|(file, share)| place(*file, *share)).collect()))
            .collect();
        let mut merge = Merge::new(disks.keys().copied());
        let (mut cut, mut files) = (cuts.iter().cycle(), Vec::new());
        for _ in 0..1000 {
            for (node, after) in merge.ask() {
                let behind: Vec<SharePlace> =
                    disks[&node].iter().filter(|place| after.is_none_or(|after| **place > after)).copied().collect();
                let count = *cut.next().expect("endless");
                let next = behind.get(count).map(|_| behind[count - 1]);
                prop_assert!(merge.page(&node, page(&behind[..count.min(behind.len())], next)));
            }
            while let Some(file) = merge.next_file() {
                files.push(file);
            }
            if merge.is_through() {
                break;
            }
        }
        prop_assert!(merge.is_through());
        prop_assert!(files.is_sorted_by(|one, next| one.si < next.si));
        let told: BTreeSet<(NodeId, SharePlace)> =
            files.iter().flat_map(|file| file.holders.iter().map(|(node, share)| (*node, share.place))).collect();
        let count: usize = files.iter().map(|file| file.holders.len()).sum();
        let expected: BTreeSet<(NodeId, SharePlace)> =
            disks.iter().flat_map(|(node, places)| places.iter().map(|place| (*node, *place))).collect();
        prop_assert_eq!(count, told.len());
        prop_assert_eq!(told, expected);
    }
}

#[test]
fn a_page_that_goes_back_is_refused() {
    let mut merge = Merge::new([node(1)]);
    assert_eq!(merge.ask(), [(node(1), None)]);
    assert!(merge.ask().is_empty(), "it was asked");
    assert!(merge.page(&node(1), page(&[place(1, 0)], Some(place(1, 0)))));
    assert_eq!(merge.ask(), [(node(1), Some(place(1, 0)))]);
    assert!(
        !merge.page(&node(1), page(&[place(1, 0)], None)),
        "once more the same"
    );
    assert!(
        !merge.page(&node(1), page(&[], Some(place(1, 0)))),
        "round and round"
    );
    assert!(!merge.page(&node(2), page(&[], None)), "nobody asked it");
    assert!(merge.next_file().is_none(), "the file may have more shares");
    assert!(merge.page(&node(1), page(&[place(1, 3), place(2, 0)], None)));
    let (first, second) = (
        merge.next_file().expect("known"),
        merge.next_file().expect("known"),
    );
    assert_eq!((first.holders.len(), second.holders.len()), (2, 1));
    assert!(merge.is_through());
}

#[test]
fn who_is_asked_again_is_asked_for_the_same() {
    let mut merge = Merge::new([node(1)]);
    merge.ask();
    merge.ask_again(&node(1));
    assert_eq!(merge.ask(), [(node(1), None)]);
}

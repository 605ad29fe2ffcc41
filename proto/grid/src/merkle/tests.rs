use super::*;
use proptest::prelude::*;

/// RFC 9162, section 2.1.1, word for word: split at the largest power of two smaller than the number of leaves.
fn root_by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => panic!("no tree without leaves"),
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node(
                &root_by_definition(&leaves[..split]),
                &root_by_definition(&leaves[split..]),
            )
        }
    }
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|index| block_leaf(&index.to_be_bytes())).collect()
}

#[test]
fn tree_and_frontier_have_the_shape_of_the_rfc() {
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), None);
    assert_eq!(Tree::from_leaves(Vec::new()), None);
    for count in 1..=130 {
        let leaves = leaves(count);
        frontier.push(leaves[count - 1]);
        let expected = root_by_definition(&leaves);
        let tree = Tree::from_leaves(leaves.clone()).expect("not empty");
        assert_eq!(tree.root(), expected, "{count} leaves");
        assert_eq!(frontier.root(), Some(expected), "{count} leaves");
        assert_eq!(frontier.count(), count as u64);
        assert_eq!(tree.leaves(), leaves);
        let rows: Vec<u8> = tree.nodes().iter().flat_map(|node| node.0).collect();
        assert_eq!(root_of_rows(count as u64, &rows), Some(expected));
        assert_eq!(rows.len() as u64, tree.shape().bytes());
    }
}

#[test]
fn a_frontier_stays_small() {
    let mut frontier = Frontier::new();
    (0..10_000).for_each(|_| frontier.push(Hash([1; 32])));
    assert!(format!("{frontier:?}").matches("Hash(").count() <= 14);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_path_proves_its_leaf_and_nothing_else(count in 1usize..300, pick in any::<prop::sample::Index>(), bit in 0usize..256) {
        let leaves = leaves(count);
        let tree = Tree::from_leaves(leaves.clone()).expect("not empty");
        let (root, total, index) = (tree.root(), count as u64, pick.index(count) as u64);
        let leaf = leaves[index as usize];
        let path = tree.path(index);
        prop_assert!(verify_path(&root, leaf, index, total, &path));
        prop_assert_eq!(path.len(), tree.shape().path_positions(index).len());
        let flip = |hash: &Hash| {
            let mut hash = *hash;
            hash.0[bit / 8] ^= 1 << (bit % 8);
            hash
        };
        prop_assert!(!verify_path(&flip(&root), leaf, index, total, &path));
        prop_assert!(!verify_path(&root, flip(&leaf), index, total, &path));
        for at in 0..path.len() {
            let mut damaged = path.clone();
            damaged[at] = flip(&damaged[at]);
            prop_assert!(!verify_path(&root, leaf, index, total, &damaged));
        }
        for other in (0..total + 2).filter(|&other| other != index) {
            prop_assert!(!verify_path(&root, leaf, other, total, &path), "{} passes as {}", index, other);
        }
        let longer = [&path[..], &[leaf]].concat();
        prop_assert!(!verify_path(&root, leaf, index, total, &longer));
        if let Some((_, shorter)) = path.split_last() {
            prop_assert!(!verify_path(&root, leaf, index, total, shorter));
        }
        prop_assert!(tree.path(total).is_empty());
    }

    #[test]
    fn every_stored_node_is_checked(count in 1u64..200, at in any::<prop::sample::Index>(), bit in 0usize..8) {
        let tree = Tree::from_leaves(leaves(count as usize)).expect("not empty");
        let mut rows: Vec<u8> = tree.nodes().iter().flat_map(|node| node.0).collect();
        prop_assert_eq!(root_of_rows(count, &rows[1..]), None);
        let at = at.index(rows.len());
        rows[at] ^= 1 << bit;
        prop_assert_ne!(root_of_rows(count, &rows), Some(tree.root()));
        if count > 1 {
            prop_assert_eq!(root_of_rows(count, &rows), None);
        }
    }

    #[test]
    fn a_batch_hashes_like_single_messages(lengths in prop::collection::vec(0usize..500, 0..20), alike in 0usize..9) {
        let mut blocks: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(seed, length)| crate::tests::noise(seed as u64, *length)).collect();
        blocks.extend((0..alike).map(|seed| crate::tests::noise(seed as u64, 333)));
        let borrowed: Vec<&[u8]> = blocks.iter().map(|block| &block[..]).collect();
        let single: Vec<Hash> = borrowed.iter().map(|block| block_leaf(block)).collect();
        prop_assert_eq!(block_leaves(&borrowed), single);
    }
}

#[test]
fn purposes_do_not_mix() {
    let [left, right] = [Hash([1; 32]), Hash([2; 32])];
    let joined = [left.0, right.0].concat();
    let all = [
        block_leaf(&joined),
        sealed_leaf(&[left, right]),
        node(&left, &right),
    ];
    assert_ne!(all[0], all[1]);
    assert_ne!(all[0], all[2]);
    assert_ne!(all[1], all[2]);
    assert_ne!(share_root_leaf(&left), sealed_leaf(&[left]));
    assert_ne!(share_root_leaf(&left), block_leaf(&left.0));
}

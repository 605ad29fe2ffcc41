//! Whole trees, their rows as they lie in a share file, and authentication paths.

use crate::{hashing::domain, ids::Hash, lanes::turboshake128_batch};

/// Where the nodes of a tree with a known number of leaves lie: row by row, leaves first, root last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeShape {
    leaves: u64,
}

impl TreeShape {
    /// `None` for a tree without leaves: there is none.
    #[must_use]
    pub const fn new(leaves: u64) -> Option<Self> {
        if leaves == 0 { None } else { Some(Self { leaves }) }
    }

    /// Number of leaves.
    #[must_use]
    pub const fn leaves(self) -> u64 {
        self.leaves
    }

    /// The number of nodes in each row, leaves first.
    pub fn rows(self) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(self.leaves), |&row| (row > 1).then(|| row.div_ceil(2)))
    }

    /// Nodes in all rows.
    #[must_use]
    pub fn nodes(self) -> u64 {
        self.rows().sum()
    }

    /// Bytes of all rows.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.nodes() * Hash::BYTES as u64
    }

    /// The positions, among all nodes, of the authentication path of a leaf, from the leaf upwards; empty for a leaf that
    /// the tree has not.
    #[must_use]
    pub fn path_positions(self, leaf: u64) -> Vec<u64> {
        let mut positions = Vec::new();
        if leaf >= self.leaves {
            return positions;
        }
        let (mut index, mut row_start) = (leaf, 0);
        for row in self.rows() {
            let sibling = index ^ 1;
            if sibling < row {
                positions.push(row_start + sibling);
            }
            row_start += row;
            index /= 2;
        }
        positions
    }
}

/// A tree with all its rows in memory: 64 bytes per leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    shape: TreeShape,
    /// Row by row, leaves first, root last.
    nodes: Vec<Hash>,
}

impl Tree {
    /// The tree over the leaves; `None` if there are none.
    #[must_use]
    pub fn from_leaves(leaves: Vec<Hash>) -> Option<Self> {
        let shape = TreeShape::new(leaves.len() as u64)?;
        let mut nodes = leaves;
        nodes.reserve_exact(shape.nodes() as usize - nodes.len());
        let mut row_start = 0;
        for row in shape.rows() {
            if row > 1 {
                let parents = parents(&nodes[row_start..]);
                nodes.extend(parents);
            }
            row_start += row as usize;
        }
        Some(Self { shape, nodes })
    }

    /// Where the nodes are.
    #[must_use]
    pub const fn shape(&self) -> TreeShape {
        self.shape
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        *self.nodes.last().expect("a tree has at least one node")
    }

    /// The leaves.
    #[must_use]
    pub fn leaves(&self) -> &[Hash] {
        &self.nodes[..self.shape.leaves as usize]
    }

    /// All nodes: row by row, leaves first, root last.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// The authentication path of a leaf, from the leaf upwards; empty for a leaf that the tree has not.
    #[must_use]
    pub fn path(&self, leaf: u64) -> Vec<Hash> {
        let positions = self.shape.path_positions(leaf);
        positions
            .into_iter()
            .map(|position| self.nodes[position as usize])
            .collect()
    }
}

fn parents(row: &[Hash]) -> Vec<Hash> {
    let (pairs, odd) = row.as_chunks::<2>();
    let joined: Vec<[u8; 64]> = pairs.iter().map(|[left, right]| joined(left, right)).collect();
    let joined: Vec<&[u8]> = joined.iter().map(|pair| &pair[..]).collect();
    let mut parents: Vec<Hash> = turboshake128_batch(domain::NODE, &joined)
        .into_iter()
        .map(Hash)
        .collect();
    parents.extend(odd);
    parents
}

/// Parents computed at a time when stored rows are checked: bounds the memory for it, and is a multiple of the lanes.
const PARENTS_AT_ONCE: usize = 64;

/// The root of a tree stored row by row, leaves first; `None` unless every stored node is the one that follows from the
/// leaves.
#[must_use]
pub fn root_of_rows(leaves: u64, stored: &[u8]) -> Option<Hash> {
    let shape = TreeShape::new(leaves)?;
    let (nodes, rest) = stored.as_chunks::<{ Hash::BYTES }>();
    if nodes.len() as u64 != shape.nodes() || !rest.is_empty() {
        return None;
    }
    let mut children = nodes;
    for row in shape.rows() {
        let (row, above) = children.split_at(row as usize);
        for (row, above) in row.chunks(2 * PARENTS_AT_ONCE).zip(above.chunks(PARENTS_AT_ONCE)) {
            let row: Vec<Hash> = row.iter().copied().map(Hash).collect();
            let expected = parents(&row);
            if expected
                .iter()
                .zip(above)
                .any(|(expected, stored)| expected.0 != *stored)
            {
                return None;
            }
        }
        children = above;
    }
    nodes.last().copied().map(Hash)
}

/// The root that a leaf and its authentication path lead to; `None` if the path has not the length that the place of
/// the leaf demands.
#[must_use]
pub fn root_of_path(leaf: Hash, index: u64, leaves: u64, path: &[Hash]) -> Option<Hash> {
    if index >= leaves {
        return None;
    }
    let mut siblings = path.iter();
    let (mut hash, mut index, mut row) = (leaf, index, leaves);
    while row > 1 {
        if index % 2 == 1 {
            hash = super::node(siblings.next()?, &hash);
        } else if index + 1 < row {
            hash = super::node(&hash, siblings.next()?);
        }
        index /= 2;
        row = row.div_ceil(2);
    }
    siblings.next().is_none().then_some(hash)
}

/// Whether `leaf` stands at `index` in the tree of `leaves` leaves with this root.
#[must_use]
pub fn verify_path(root: &Hash, leaf: Hash, index: u64, leaves: u64, path: &[Hash]) -> bool {
    root_of_path(leaf, index, leaves, path).is_some_and(|found| found == *root)
}

fn joined(left: &Hash, right: &Hash) -> [u8; 64] {
    let mut joined = [0; 64];
    joined[..32].copy_from_slice(&left.0);
    joined[32..].copy_from_slice(&right.0);
    joined
}

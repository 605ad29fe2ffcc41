//! Hash trees: leaves in order, pairs joined level by level, an odd last node carried up as it is. The shape is that of
//! RFC 9162; every tree has at least one leaf, and the root of a tree of one leaf is that leaf.
//!
//! Three trees bind a file. The *block tree* of each share has a leaf per block. The *sealed tree* has a leaf per segment,
//! made of the block leaves of the segment's k data blocks, which together are the sealed segment: so the sealed bytes are
//! hashed once, as blocks, and yet one cap means one file even if the uploader lies. The *share-root tree* has the n roots
//! of the block trees as leaves. Domain bytes keep all of them apart.

mod frontier;
mod tree;

use crate::{
    hashing::{domain, turboshake128},
    ids::Hash,
    lanes::turboshake128_batch,
};

pub use frontier::Frontier;
pub use tree::{Tree, TreeShape, root_of_path, root_of_rows, verify_path};

/// The leaf of one block in its share's block tree.
#[must_use]
pub fn block_leaf(block: &[u8]) -> Hash {
    Hash(turboshake128(domain::BLOCK, &[block]))
}

/// The leaves of many blocks. Blocks of one length are hashed several at a time where the processor can.
#[must_use]
pub fn block_leaves(blocks: &[&[u8]]) -> Vec<Hash> {
    turboshake128_batch(domain::BLOCK, blocks)
        .into_iter()
        .map(Hash)
        .collect()
}

/// The leaf of one segment in the sealed tree, from the block leaves of its k data blocks in order.
#[must_use]
pub fn sealed_leaf(data_block_leaves: &[Hash]) -> Hash {
    let parts: Vec<&[u8]> = data_block_leaves.iter().map(|leaf| &leaf.0[..]).collect();
    Hash(turboshake128(domain::SEALED, &parts))
}

/// The leaf of one share in the share-root tree, from the root of its block tree.
#[must_use]
pub fn share_root_leaf(block_tree_root: &Hash) -> Hash {
    Hash(turboshake128(domain::SHARE_ROOT, &[&block_tree_root.0]))
}

/// The root of the share-root tree over the roots of the block trees; `None` if there are none.
#[must_use]
pub fn share_root(block_tree_roots: &[Hash]) -> Option<Hash> {
    Tree::from_leaves(block_tree_roots.iter().map(share_root_leaf).collect()).map(|tree| tree.root())
}

/// The parent of two nodes.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    Hash(turboshake128(domain::NODE, &[&left.0, &right.0]))
}

#[cfg(test)]
mod tests;

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
    hashing::{self, domain, turboshake128},
    ids::Hash,
    lanes::{LANES, turboshake128_x4},
};

pub use frontier::Frontier;
pub use tree::{Tree, TreeShape, root_of_path, root_of_rows, verify_path};

/// The leaf of one block in its share's block tree.
#[must_use]
pub fn block_leaf(block: &[u8]) -> Hash {
    Hash(turboshake128(domain::BLOCK, &[block]))
}

/// The leaves of many blocks. Blocks of one length are hashed four at a time where the processor can.
#[must_use]
pub fn block_leaves(blocks: &[&[u8]]) -> Vec<Hash> {
    hash_all(domain::BLOCK, blocks)
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

/// Hashes each message, four of one length at a time as far as the order of the messages allows. Two or three left over
/// go through the kernel too: they cost as much as four, which is still less than one by one.
fn hash_all(domain: u8, messages: &[&[u8]]) -> Vec<Hash> {
    let mut hashes = Vec::with_capacity(messages.len());
    let mut rest = messages;
    while let Some(first) = rest.first() {
        let alike = rest
            .iter()
            .take(LANES)
            .take_while(|message| message.len() == first.len())
            .count();
        let (group, after) = rest.split_at(alike);
        if alike == 1 {
            hashes.push(Hash(hashing::turboshake128(domain, group)));
        } else {
            let lanes = std::array::from_fn(|lane| group[lane.min(alike - 1)]);
            hashes.extend(turboshake128_x4(domain, lanes).into_iter().take(alike).map(Hash));
        }
        rest = after;
    }
    hashes
}

#[cfg(test)]
mod tests;

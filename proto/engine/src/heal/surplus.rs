//! Copies on this node that may be too many.

use truckee_grid::ids::NodeId;

use super::merge::FileSeen;
use crate::store::ShareId;
use crate::trim::rank;

/// Copies of a file on this node which other nodes hold too that would keep theirs.
pub(super) fn copies(file: &FileSeen, own: NodeId) -> Vec<ShareId> {
    let rank_of = |id: &NodeId| {
        let shares = file.holders.iter().filter(|(node, _)| node == id).count();
        rank(&file.si, id, shares)
    };
    let of_own = file.holders.iter().filter(|(node, _)| *node == own);
    let surplus = of_own.filter(|(_, copy)| {
        let mut same = file.holders.iter().filter(|(_, share)| share == copy);
        same.any(|(node, _)| *node != own && rank_of(node) > rank_of(&own))
    });
    surplus
        .map(|(_, copy)| ShareId {
            si: file.si,
            share: copy.place.share,
        })
        .collect()
}

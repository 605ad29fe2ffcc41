//! When a node may part with a copy, by what all nodes say that they hold. Pure functions of that.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_grid::placement;

use crate::store::ShareId;

/// Where a node that holds so many shares of a file stands among those who hold the same share: the greatest keeps its copy.
/// That is one that holds nothing else of the file, so that a node which was given a second share while there were too few
/// nodes parts with it; among these the first of the ring, where readers look first.
#[must_use]
pub fn rank(si: &StorageIndex, id: &NodeId, shares: usize) -> (bool, Reverse<([u8; 32], NodeId)>) {
    (shares == 1, Reverse((placement::ring_position(si, id), *id)))
}

/// What the storage nodes that answered hold of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// k of n.
    pub coding: Coding,
    /// Who holds which share, this node included.
    pub held: Vec<(NodeId, ShareNumber)>,
    /// Those of them that are being emptied.
    pub draining: BTreeSet<NodeId>,
}

/// Why a copy stays for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stays {
    /// It is not there any more, or not of the file that the others hold.
    Gone,
    /// This node is being emptied.
    Draining,
    /// Without it not all shares are on different nodes that answer and stay.
    Needed,
    /// Nobody holds the same share who may be a witness, or the node that it was to go to holds another one.
    NoWitness,
    /// It could not be copied to where it is to go.
    NotCopied,
    /// The witness is about to part with its own copy, or does not say that it keeps it.
    NotKept,
    /// What the witness gave is not the share, or it gave nothing.
    Unproven,
    /// The nodes could not be asked, or the copy not moved.
    Failed,
}

impl Stays {
    /// All of them.
    pub const ALL: [Stays; 8] = [
        Stays::Gone,
        Stays::Draining,
        Stays::Needed,
        Stays::NoWitness,
        Stays::NotCopied,
        Stays::NotKept,
        Stays::Unproven,
        Stays::Failed,
    ];

    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Stays::Gone => "gone",
            Stays::Draining => "draining",
            Stays::Needed => "needed",
            Stays::NoWitness => "no_witness",
            Stays::NotCopied => "not_copied",
            Stays::NotKept => "not_kept",
            Stays::Unproven => "unproven",
            Stays::Failed => "failed",
        }
    }
}

/// Who can stand in for this node's copy of a share that is there twice; who it names has still to prove it.
///
/// # Errors
/// [`Stays`] says why nobody can.
pub fn witness(own: &NodeId, share: ShareId, holdings: &Holdings) -> Result<NodeId, Stays> {
    let others = without(own, share, holdings)?;
    if placement::happiness(&others) < holdings.coding.n() {
        return Err(Stays::Needed);
    }
    let own_rank = rank(&share.si, own, 1 + shares_of(own, &others).count());
    others
        .iter()
        .filter(|(id, held)| *held == share.share && id != own && shares_of(id, &others).count() == 1)
        .map(|(id, _)| *id)
        .map(|id| (rank(&share.si, &id, 1), id))
        .filter(|(rank_of, _)| *rank_of > own_rank)
        .max()
        .map(|(_, id)| id)
        .ok_or(Stays::NoWitness)
}

/// How far a copy is on its way to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The node holds nothing of the file, and may get the share.
    Open,
    /// It has the share, and can be this copy's witness.
    Landed,
}

/// Whether this node's copy of a share may go to another node.
///
/// # Errors
/// [`Stays`] says why it may not.
pub fn landing(own: &NodeId, share: ShareId, to: NodeId, holdings: &Holdings) -> Result<Landing, Stays> {
    let mut others = without(own, share, holdings)?;
    if to == *own || holdings.draining.contains(&to) {
        return Err(Stays::NoWitness);
    }
    let there: Vec<ShareNumber> = shares_of(&to, &others).collect();
    let landing = match there.as_slice() {
        [] => Landing::Open,
        [one] if *one == share.share => Landing::Landed,
        _ => return Err(Stays::NoWitness),
    };
    if landing == Landing::Open {
        others.push((to, share.share));
    }
    if placement::happiness(&others) < holdings.coding.n() {
        return Err(Stays::Needed);
    }
    Ok(landing)
}

/// What others hold of the file and are going to keep, and this node besides the copy.
fn without(own: &NodeId, share: ShareId, holdings: &Holdings) -> Result<Vec<(NodeId, ShareNumber)>, Stays> {
    if holdings.draining.contains(own) {
        return Err(Stays::Draining);
    }
    let copy = (*own, share.share);
    if !holdings.held.contains(&copy) || !holdings.coding.has(share.share) {
        return Err(Stays::Gone);
    }
    let stays = |held: &&(NodeId, ShareNumber)| **held != copy && !holdings.draining.contains(&held.0);
    let others: BTreeSet<(NodeId, ShareNumber)> = holdings.held.iter().filter(stays).copied().collect();
    Ok(others.into_iter().collect())
}

fn shares_of<'h>(id: &NodeId, held: &'h [(NodeId, ShareNumber)]) -> impl Iterator<Item = ShareNumber> + 'h {
    let id = *id;
    held.iter()
        .filter(move |(other, _)| *other == id)
        .map(|(_, share)| *share)
}

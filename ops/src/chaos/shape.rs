//! What a cluster is, as far as a schedule depends on it.
//!
//! Pure: how it is found out stands in [`super::probe`]. Two clusters of the same shape get the same schedule from the same
//! seed.

use std::collections::BTreeSet;

use serde::Serialize;

use super::fault::Kind;

/// What can be done to this cluster, and why something cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Means {
    /// Why the links between nodes are out of reach; none if they are not.
    pub(crate) no_links: Option<String>,
    /// Peers whose disk is small enough to be filled.
    pub(crate) small_disks: Vec<String>,
    /// Why there are none.
    pub(crate) no_small_disks: Option<String>,
    /// Why clocks cannot be set wrong; none if they can.
    pub(crate) no_clocks: Option<String>,
    /// Peers whose shares must not be damaged, or cannot be.
    pub(crate) unharmed: BTreeSet<String>,
    /// Peers that must not be wiped, or cannot be.
    pub(crate) unwiped: BTreeSet<String>,
    /// Why there are such peers.
    pub(crate) why_spared: Option<String>,
}

impl Means {
    /// Whether a peer may be hit by a kind of fault, as far as its shares are concerned.
    pub(crate) fn allow(&self, kind: Kind, peer: &str) -> bool {
        match kind {
            Kind::Flip | Kind::Truncate => !self.unharmed.contains(peer),
            Kind::Wipe | Kind::Ruin => !self.unwiped.contains(peer),
            _ => true,
        }
    }
}

/// The shape of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shape {
    /// Names of the storage peers, sorted.
    pub(crate) peers: Vec<String>,
    /// Names of the introducers.
    pub(crate) introducers: Vec<String>,
    /// Names of the vdrives.
    pub(crate) vdrives: Vec<String>,
    /// Name of the gateway that the clients use, if it is one of the cluster's own nodes.
    pub(crate) gateway: Option<String>,
    /// Shares needed.
    pub(crate) k: usize,
    /// Shares made.
    pub(crate) n: usize,
    /// Distinct peers that hold a share of whatever was acknowledged.
    pub(crate) happy: usize,
    /// Whether lost and damaged shares are made again by the grid itself.
    pub(crate) heals: bool,
    pub(crate) means: Means,
}

impl Shape {
    /// How many peers may be without readable shares at once, for whatever reason, so that every acknowledged file can
    /// still be read. An acknowledged file has shares on at least `happy` peers (more if they were there), and `k` of
    /// those are enough.
    pub(crate) fn bearable(&self) -> usize {
        self.happy.min(self.peers.len()).saturating_sub(self.k)
    }

    /// How many peers may be unable to take shares, so that uploads still succeed.
    pub(crate) fn spare(&self) -> usize {
        self.peers.len().saturating_sub(self.happy)
    }

    /// Peers that must go so that no file can be read any more, wherever its shares are; none if there are too few.
    pub(crate) fn unbearable(&self) -> Option<usize> {
        let most = (self.peers.len() + 1).checked_sub(self.k)?;
        (self.peers.len() > 1 && most > self.bearable()).then_some(most)
    }

    /// Why the shares of every peer are spared by a kind of fault; none if they are not.
    pub(crate) fn why_spared(&self, kind: Kind) -> Option<String> {
        let spared = self.peers.iter().all(|peer| !self.means.allow(kind, peer));
        self.means.why_spared.clone().filter(|_| spared)
    }

    /// Every node, in the order in which a rolling restart takes them. One with several roles is there once.
    pub(crate) fn all(&self) -> Vec<String> {
        let lists = [&self.introducers, &self.vdrives, &self.peers];
        let named = lists.into_iter().flatten().chain(&self.gateway);
        let mut seen = BTreeSet::new();
        named.filter(|name| seen.insert(*name)).cloned().collect()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A cluster as `truckee up` makes it, with links and disks within reach.
    pub(crate) fn shape(peers: usize, k: usize, n: usize, happy: usize) -> Shape {
        let peers: Vec<String> = (1..=peers).map(|number| format!("storage-{number:02}")).collect();
        Shape {
            means: Means {
                small_disks: peers.iter().take(2).cloned().collect(),
                ..Means::default()
            },
            peers,
            introducers: vec!["introducer".into()],
            vdrives: vec!["vdrive-01".into()],
            gateway: Some("gateway".into()),
            k,
            n,
            happy,
            heals: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::shape;

    #[test]
    fn what_a_cluster_bears_follows_from_its_coding() {
        let usual = shape(10, 3, 10, 7);
        assert_eq!(
            (usual.bearable(), usual.spare(), usual.unbearable()),
            (4, 3, Some(8))
        );
        let small = shape(5, 2, 5, 4);
        assert_eq!(
            (small.bearable(), small.spare(), small.unbearable()),
            (2, 1, Some(4))
        );
        let one = shape(1, 1, 1, 1);
        assert_eq!((one.bearable(), one.spare(), one.unbearable()), (0, 0, None));
        let none = shape(0, 3, 10, 7);
        assert_eq!((none.bearable(), none.spare(), none.unbearable()), (0, 0, None));
        assert_eq!(usual.all().len(), 13);
    }
}

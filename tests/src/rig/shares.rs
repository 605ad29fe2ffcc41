//! Shares on the disks of peers, wherever they lie: in files of their own or many in a pack.

use std::path::{Path, PathBuf};

use truckee_actors::store::look::{PackedShare, packed_shares};

use super::Cluster;

/// A share as it lies on a disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShareOnDisk {
    /// The peer that has it.
    pub peer: String,
    /// Storage index of its file, in text.
    pub file: String,
    /// Its number, in text.
    pub number: String,
}

impl ShareOnDisk {
    fn in_file(peer: String, path: &Path) -> ShareOnDisk {
        let mut names = path.iter().rev().map(|name| name.to_string_lossy().into_owned());
        let (number, file) = (names.next(), names.next());
        ShareOnDisk {
            peer,
            file: file.expect("the directory of a file"),
            number: number.expect("a number"),
        }
    }

    fn in_pack(peer: &str, packed: &PackedShare) -> ShareOnDisk {
        ShareOnDisk {
            peer: peer.to_owned(),
            file: packed.share.si.to_base32(),
            number: packed.share.share.to_string(),
        }
    }
}

impl Cluster {
    /// All shares on the disks of storage peers, sorted.
    ///
    /// # Panics
    /// If packs cannot be read.
    #[must_use]
    pub fn shares_of_peers(&self) -> Vec<ShareOnDisk> {
        let files = self.files_of_peers("shares").into_iter();
        let mut all: Vec<_> = files
            .map(|(peer, path)| ShareOnDisk::in_file(peer, &path))
            .collect();
        for peer in self.peers() {
            let packed = packed_shares(&self.node(&peer).dir).expect("its packs can be read");
            all.extend(packed.iter().map(|share| ShareOnDisk::in_pack(&peer, share)));
        }
        all.sort();
        all
    }

    /// Takes the disk of a peer that does not run away: all of its shares are gone.
    ///
    /// # Panics
    /// If they cannot be removed.
    pub fn wipe(&self, peer: &str) {
        let dirs: [PathBuf; 2] = ["shares", "packs"].map(|place| self.node(peer).dir.join(place));
        for dir in dirs {
            std::fs::remove_dir_all(dir).expect("its disk is replaced");
        }
    }
}

//! One share of an upload: where it is.

use std::collections::BTreeSet;

use truckee_grid::ids::ShareNumber;

use crate::transfer::PeerWhy;
use crate::transfer::writer::Writer;

/// A share and the peers that have failed it.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) number: ShareNumber,
    pub(super) place: Place,
    /// Peers that have lost it; it does not go there again.
    pub(super) tried: BTreeSet<usize>,
}

/// Where a share is. Peers are indexes into the candidates.
#[derive(Debug)]
pub(super) enum Place {
    /// Not placed yet.
    Nowhere,
    /// The peer said that it holds the share; whether of this very file is known when the file is sealed.
    Held { peer: usize },
    /// On its way.
    Writing(Writer),
    /// The peer said that it is durable.
    Durable { peer: usize, existed: bool },
    /// Given up.
    Lost,
}

impl Share {
    pub(super) fn new(number: ShareNumber) -> Self {
        Self {
            number,
            place: Place::Nowhere,
            tried: BTreeSet::new(),
        }
    }

    /// The peer that has it or is going to have it.
    pub(super) fn live_peer(&self) -> Option<usize> {
        match &self.place {
            Place::Held { peer } | Place::Durable { peer, .. } => Some(*peer),
            Place::Writing(writer) => Some(writer.peer),
            Place::Nowhere | Place::Lost => None,
        }
    }

    pub(super) fn durable_peer(&self) -> Option<usize> {
        match self.place {
            Place::Durable { peer, .. } => Some(peer),
            _ => None,
        }
    }

    pub(super) fn writer(&mut self) -> Option<&mut Writer> {
        match &mut self.place {
            Place::Writing(writer) => Some(writer),
            _ => None,
        }
    }

    pub(super) fn writing(&self) -> Option<&Writer> {
        match &self.place {
            Place::Writing(writer) => Some(writer),
            _ => None,
        }
    }
}

/// Why a share leaves its peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) why: PeerWhy,
    /// Whether the peer can still be told to forget the share.
    pub(super) peer_listens: bool,
}

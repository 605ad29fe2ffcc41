//! Who the nodes of a run are and where they listen. Drawn once from the seed; never changes in a run.

use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::SigningKey;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Role, Roles};

use super::mix::Mix;
use super::rng::Rng;

/// One node's key, name and roles.
#[derive(Clone)]
pub struct Identity {
    /// Which host it lives on.
    pub host: usize,
    /// Its private key.
    pub key: SigningKey,
    /// Its id.
    pub node_id: NodeId,
    /// What it does.
    pub roles: Roles,
    /// Where it is, for placing shares.
    pub zone: String,
    /// Where it listens.
    pub address: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identity(host {}, {:?})", self.host, self.roles)
    }
}

/// Everybody.
#[derive(Debug)]
pub struct AddressBook {
    identities: Vec<Identity>,
    by_id: BTreeMap<NodeId, usize>,
    /// What introducers ask of those who want to join.
    pub secret: [u8; 20],
}

impl AddressBook {
    /// The nodes of a mesh like `mix`: first the introducers, then those that keep shares, then the gateways.
    pub fn new(mix: &Mix, rng: &mut Rng) -> Self {
        let zones = rng.size(1, 3);
        let identities: Vec<Identity> = (0..mix.nodes())
            .map(|host| {
                let key = SigningKey::from_bytes(&rng.array());
                Identity {
                    host,
                    node_id: NodeId::of_public_key(key.verifying_key().as_bytes()),
                    key,
                    roles: roles(mix, host),
                    zone: format!("zone-{}", host % zones),
                    address: format!("node-{host}:7000"),
                }
            })
            .collect();
        let by_id = identities
            .iter()
            .map(|identity| (identity.node_id, identity.host))
            .collect();
        Self {
            identities,
            by_id,
            secret: rng.array(),
        }
    }

    /// Who lives on `host`.
    pub fn identity(&self, host: usize) -> &Identity {
        &self.identities[host]
    }

    /// Everybody, by host.
    pub fn all(&self) -> &[Identity] {
        &self.identities
    }

    /// Where this node lives.
    pub fn host_of(&self, id: &NodeId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Which host listens at this address.
    pub fn host_at(&self, address: &str) -> Option<usize> {
        self.identities
            .iter()
            .find(|identity| identity.address == address)
            .map(|identity| identity.host)
    }

    /// The introducers.
    pub fn introducers(&self) -> impl Iterator<Item = &Identity> {
        self.identities
            .iter()
            .filter(|identity| identity.roles.contains(Role::Introducer))
    }
}

fn roles(mix: &Mix, host: usize) -> Roles {
    let storage_from = mix.introducers;
    let gateways_from = mix.introducers + mix.storage;
    if host < storage_from {
        Roles::from_iter([Role::Introducer])
    } else if host < storage_from + mix.vdrives {
        Roles::from_iter([Role::Storage, Role::Vdrive])
    } else if host < gateways_from {
        Roles::from_iter([Role::Storage])
    } else if host + 1 == mix.nodes() && mix.mixed_roles && mix.vdrives > 1 {
        Roles::from_iter([Role::Gateway, Role::Storage, Role::Vdrive])
    } else if host + 1 == mix.nodes() && mix.mixed_roles {
        Roles::from_iter([Role::Gateway, Role::Storage])
    } else {
        Roles::from_iter([Role::Gateway])
    }
}

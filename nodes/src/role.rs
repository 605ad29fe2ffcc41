//! What a node does for the mesh.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One thing that a node does; a node may do several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Admits nodes and tells them of each other.
    Introducer,
    /// Holds shares.
    Storage,
    /// Maps path names to caps.
    Vdrive,
    /// Takes files from HTTP clients and gives them back.
    Gateway,
}

/// Not the name of a role.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no role is called {0:?}; there are introducer, storage, vdrive and gateway")]
pub struct UnknownRole(pub String);

impl Role {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Role; 4] = [Role::Introducer, Role::Storage, Role::Vdrive, Role::Gateway];

    /// As written in files and on pages.
    pub fn word(self) -> &'static str {
        match self {
            Role::Introducer => "introducer",
            Role::Storage => "storage",
            Role::Vdrive => "vdrive",
            Role::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Role, UnknownRole> {
        let found = Role::ALL.into_iter().find(|role| role.word() == text);
        found.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_back() {
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        assert_eq!("Storage".parse::<Role>(), Err(UnknownRole("Storage".to_owned())));
    }
}

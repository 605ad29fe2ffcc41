//! Ports that were chosen at the first start and are kept: `ports.json`.
//!
//! A listener configured with port 0 takes a free port once; from then on the node asks for the same port, so that
//! the addresses in rosters and invites stay true over restarts. A configured port other than 0 is taken as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use thiserror::Error;

use crate::dir::{self, DirError, NodeDir};

/// A listening socket cannot be had.
#[derive(Debug, Error)]
pub enum PortError {
    /// The system refuses the address.
    #[error("cannot listen on {address} for {purpose}: {source}{}", advice(.source))]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the listener is for.
        purpose: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// `ports.json` cannot be read or written.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// `ports.json` is not what a node writes.
    #[error("{path} is damaged ({source}); remove it to have new ports chosen", path = .path.display())]
    Malformed {
        /// The file.
        path: std::path::PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the program that holds the port or configure another",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege, choose a higher one",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// The ports kept so far, by purpose.
#[derive(Debug)]
pub struct Ports {
    dir: NodeDir,
    kept: BTreeMap<String, u16>,
}

impl Ports {
    /// Reads what earlier starts chose.
    ///
    /// # Errors
    /// The file is there, but cannot be read or understood.
    pub fn load(dir: &NodeDir) -> Result<Ports, PortError> {
        let path = dir.ports_path();
        let kept = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| PortError::Malformed { path, source })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(DirError::on("read", &path)(error).into()),
        };
        Ok(Ports {
            dir: dir.clone(),
            kept,
        })
    }

    /// Listens on the configured address; with port 0 on the port kept for this purpose, or on a free one that is
    /// kept from now on.
    ///
    /// # Errors
    /// The address cannot be listened on, or the choice cannot be kept.
    pub fn listen(
        &mut self,
        purpose: &'static str,
        configured: SocketAddr,
    ) -> Result<TcpListener, PortError> {
        let mut address = configured;
        if configured.port() == 0 {
            address.set_port(self.kept.get(purpose).copied().unwrap_or(0));
        }
        let refused = |source| PortError::Listen {
            address,
            purpose,
            source,
        };
        // The standard library sets SO_REUSEADDR here, so that a restart need not wait for old connections.
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        if address.port() == 0 {
            let chosen = listener.local_addr().map_err(refused)?.port();
            self.kept.insert(purpose.to_owned(), chosen);
            self.write()?;
        }
        Ok(listener)
    }

    fn write(&self) -> Result<(), DirError> {
        let mut bytes =
            serde_json::to_vec_pretty(&self.kept).expect("a map of texts and numbers always encodes");
        bytes.push(b'\n');
        dir::replace(&self.dir.ports_path(), &bytes, dir::MODE_OPEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn a_chosen_port_is_kept() {
        let temp = tempfile::tempdir().unwrap();
        let dir = NodeDir::new(temp.path());
        let first = Ports::load(&dir)
            .unwrap()
            .listen("mesh", ANY.parse().unwrap())
            .unwrap();
        let address = first.local_addr().unwrap();
        drop(first);
        let mut ports = Ports::load(&dir).unwrap();
        let again = ports.listen("mesh", ANY.parse().unwrap()).unwrap();
        assert_eq!(again.local_addr().unwrap(), address);
        let other = ports.listen("metrics", ANY.parse().unwrap()).unwrap();
        assert_ne!(other.local_addr().unwrap(), address);
    }

    #[test]
    fn a_port_in_use_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let holder = TcpListener::bind(ANY).unwrap();
        let address = holder.local_addr().unwrap();
        let mut ports = Ports::load(&NodeDir::new(temp.path())).unwrap();
        let error = ports.listen("the gateway", address).unwrap_err().to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("configure another"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_file_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let dir = NodeDir::new(temp.path());
        fs::write(dir.ports_path(), "[]").unwrap();
        let error = Ports::load(&dir).unwrap_err().to_string();
        assert!(error.contains("ports.json is damaged"), "{error}");
    }
}

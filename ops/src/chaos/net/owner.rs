//! Who dialled a connection: the process that holds its other end.
//!
//! Read from `/proc`: the table of TCP sockets gives the inode behind a port, the open files of each node's process say
//! whose it is. Linux only, as is `/proc`. A connection that is gone again has no owner.

use std::fs;
use std::net::SocketAddr;

/// The inode of the socket that is bound to `local` and connected to `remote`, from the text of `/proc/net/tcp`.
fn inode(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let (local, remote) = (hex(local)?, hex(remote)?);
    let line = table.lines().skip(1).find(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(local.as_str()) && fields.next() == Some(remote.as_str())
    })?;
    line.split_whitespace()
        .nth(9)?
        .parse()
        .ok()
        .filter(|inode| *inode != 0)
}

/// An address as the table writes it: the IPv4 address as a number of this machine, in hex.
fn hex(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let number = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{number:08X}:{:04X}", address.port()))
}

/// Whether a process has the socket with this inode open.
fn holds(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.into_iter().any(|link| link.as_os_str() == wanted.as_str())
}

/// The node, of those with these pids, that holds the end `local` of a connection to `remote`.
pub(super) fn owner<'n>(
    local: SocketAddr,
    remote: SocketAddr,
    nodes: impl Iterator<Item = (&'n str, u32)>,
) -> Option<&'n str> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = inode(&table, local, remote)?;
    let mut holders = nodes.filter(|(_, pid)| holds(*pid, inode));
    holders.next().map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn this_process_is_found_behind_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let stream = TcpStream::connect(remote).unwrap();
        let local = stream.local_addr().unwrap();
        let me = std::process::id();
        let found = |nodes: &[(&'static str, u32)]| owner(local, remote, nodes.iter().copied());
        assert_eq!(found(&[("init", 1), ("me", me)]), Some("me"));
        assert_eq!(found(&[]), None);
        drop(stream);
        let elsewhere = "127.0.0.1:1".parse().unwrap();
        assert_eq!(owner(elsewhere, remote, [("me", me)].into_iter()), None);
    }

    #[test]
    fn the_table_is_read_as_the_kernel_writes_it() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 x\n";
        let [local, remote]: [SocketAddr; 2] =
            ["127.0.0.1:8080", "127.0.0.1:50000"].map(|text| text.parse().unwrap());
        assert_eq!(inode(table, local, remote), Some(4711));
        assert_eq!(inode(table, remote, local), None);
    }
}

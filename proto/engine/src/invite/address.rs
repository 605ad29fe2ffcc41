//! Where a node listens: `host:port`, the host a DNS name, an IPv4 address, or an IPv6 address in brackets.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use truckee_wire::message::limits::ADDRESS_BYTES_MAX;

/// Longest DNS name, in bytes (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// Longest part of a DNS name between dots, in bytes (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// Why a text is not an address. Does not quote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than any address.
    #[error("an address has at most {ADDRESS_BYTES_MAX} bytes, this one {bytes}")]
    TooLong {
        /// Of this text.
        bytes: usize,
    },
    /// No `:` before a port.
    #[error("an address is host:port, and there is no port in this one")]
    NoPort,
    /// Not 1 to 65535 in plain digits.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Neither name nor address.
    #[error("the host is neither a DNS name, an IPv4 address, nor an IPv6 address in brackets")]
    Host,
}

/// See the module. One place may have several texts (a name and a number); one text is kept as it is, names in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: String,
    port: u16,
}

impl Address {
    /// Reads `host:port`. Strict: lower case, no leading zeros, the shortest form of an IPv6 address.
    ///
    /// # Errors
    /// [`AddressError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong { bytes: text.len() });
        }
        let (host, digits) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let port: u16 = digits.parse().map_err(|_| AddressError::Port)?;
        if port == 0 || port.to_string() != digits {
            return Err(AddressError::Port);
        }
        if !is_host(host) {
            return Err(AddressError::Host);
        }
        Ok(Address {
            text: text.to_owned(),
            port,
        })
    }

    /// `host:port`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.text.rsplit_once(':').map_or("", |(host, _)| host);
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

fn is_host(host: &str) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        let Some(inner) = bracketed.strip_suffix(']') else {
            return false;
        };
        return inner
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.to_string() == inner);
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address.to_string() == host;
    }
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    !numeric && !host.is_empty() && host.len() <= NAME_BYTES_MAX && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edges = label.bytes().next().is_some_and(plain) && label.bytes().next_back().is_some_and(plain);
    edges
        && label.len() <= LABEL_BYTES_MAX
        && label
            .bytes()
            .all(|byte| plain(byte) || byte == b'-' || byte == b'_')
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

//! Who may use the gateway and how the way to it is kept from listeners: the keys of `[gateway]` that say so.
//!
//! Only what stands in the configuration is checked here; the files that it names are read when the node starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::problem::Problem;
use super::reader::{Reader, Section};
use super::value::FilePath;

/// Paths as written; a relative one begins at the node's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// Certificates (first its own, then those that lead to the authority) and private key, both PEM; none: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Holds what clients must show; none: nobody is asked for anything.
    pub token_file: Option<PathBuf>,
    /// Whether that is meant even on an address that others reach.
    pub allow_unauthenticated: bool,
}

/// Where TLS finds what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

pub(super) fn read<'i>(reader: &mut Reader<'i>, section: &mut Section<'_, 'i>, listen: SocketAddr) -> Doors {
    let certificate: Option<FilePath> = reader.optional(section, "tls_certificate");
    let key: Option<FilePath> = reader.optional(section, "tls_key");
    let token: Option<FilePath> = reader.optional(section, "token_file");
    let allow_unauthenticated = reader.or(section, "allow_unauthenticated", false);
    for (one, other, other_path) in [
        ("tls_certificate", "tls_key", "gateway.tls_key"),
        ("tls_key", "tls_certificate", "gateway.tls_certificate"),
    ] {
        if reader.is_there(section, one) && !reader.is_there(section, other) {
            let line = reader.line(section, one);
            reader.report(line, format!("gateway.{one}"), Problem::Alone(other_path));
        }
    }
    let has_token = reader.is_there(section, "token_file");
    if has_token && allow_unauthenticated {
        let line = reader.line(section, "allow_unauthenticated");
        let key = "gateway.allow_unauthenticated".to_owned();
        reader.report(line, key, Problem::Contradicts("gateway.token_file"));
    }
    if !has_token && !allow_unauthenticated && !listen.ip().is_loopback() {
        let line = reader.line(section, "listen");
        reader.report(line, "gateway.listen".to_owned(), Problem::OpenGateway(listen));
    }
    Doors {
        tls: certificate.zip(key).map(|(certificate, key)| TlsFiles {
            certificate: certificate.0,
            key: key.0,
        }),
        token_file: token.map(|token| token.0),
        allow_unauthenticated,
    }
}

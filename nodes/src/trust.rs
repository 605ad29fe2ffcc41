//! Whom this program believes to be a server when it asks one by `https://`.
//!
//! Certificates come from a file: the one that somebody names, else the bundle of the operating system. Nothing is built in
//! and nothing can be switched off.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Where systems keep the certificates that they believe: Debian and Alpine, Fedora, openSUSE, FreeBSD and macOS.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Nobody can be believed.
#[derive(Debug, Error)]
pub enum TrustError {
    /// No file was named, and the system has none.
    #[error("this system has no bundle of certificates")]
    NoBundle,
    /// The file cannot be read.
    #[error("cannot read the certificates in {path}: {error}")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is nothing in it.
    #[error("there is no certificate in {path}; it should be PEM, with BEGIN CERTIFICATE")]
    NoCertificate {
        /// Which one.
        path: PathBuf,
    },
}

/// Believes the certificates in `file`, else those of the system.
///
/// # Errors
/// [`TrustError`] if there is none to believe.
pub fn tls_config(file: Option<&Path>) -> Result<TlsConfig, TrustError> {
    let system = || BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists());
    let Some(path) = file.map(Path::to_owned).or_else(system) else {
        return Err(TrustError::NoBundle);
    };
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(error) => return Err(TrustError::Unreadable { path, error }),
    };
    let certificates = certificates(&pem);
    if certificates.is_empty() {
        return Err(TrustError::NoCertificate { path });
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

/// All certificates of a PEM file; what else is in it does not count.
fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
}

//! Whom the program believes to be the gateway when the address is `https://`.
//!
//! Certificates come from a file: the one that the user names (the gateway's own, if it signed itself), else the bundle of the
//! operating system. Nothing is built in and nothing can be switched off.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::error::CliError;

/// Where systems keep the certificates that they believe: Debian and Alpine, Fedora, openSUSE, FreeBSD and macOS.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Believes the certificates in `file`, else those of the system.
pub(super) fn config(file: Option<&Path>) -> Result<TlsConfig, CliError> {
    let system = || BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists());
    let Some(path) = file.map(Path::to_owned).or_else(system) else {
        return Err(CliError::Usage {
            what: "the gateway's address",
            value: "https://…".into(),
            hint: "this system has no bundle of certificates; name the gateway's own with --ca".into(),
        });
    };
    let pem = std::fs::read(&path).map_err(CliError::file("read", &path))?;
    let certificates = certificates(&pem);
    if certificates.is_empty() {
        return Err(CliError::Usage {
            what: "the file of certificates",
            value: path.display().to_string(),
            hint: "there is no certificate in it; it should be PEM, with BEGIN CERTIFICATE".into(),
        });
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    use super::*;
    use crate::http::Gateway;

    /// A server with a certificate of its own for `localhost`, and that certificate as PEM.
    fn serve(connections: usize) -> (String, String) {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = key.cert.pem();
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(connections) {
                let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(session, stream.unwrap());
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok() {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        .unwrap();
                }
            }
        });
        (format!("https://localhost:{port}"), pem)
    }

    #[test]
    fn a_gateway_is_believed_by_its_certificate_only() {
        let (url, pem) = serve(2);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gateway.pem");
        std::fs::write(&file, pem).unwrap();
        let gateway = Gateway::with_ca(&url, Some(&file)).unwrap();
        assert_eq!(gateway.page("/").unwrap(), "ok");

        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&file, other.cert.pem()).unwrap();
        let gateway = Gateway::with_ca(&url, Some(&file)).unwrap();
        assert!(gateway.page("/").is_err());
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("empty.pem");
        std::fs::write(&file, "nothing\n").unwrap();
        assert!(config(Some(&file)).is_err());
        assert!(config(Some(&dir.path().join("missing"))).is_err());
    }
}

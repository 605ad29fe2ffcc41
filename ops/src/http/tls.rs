//! Whom the program believes to be the gateway when the address is `https://`: what [`truckee_nodes::trust`] says, as errors
//! of the command line.

use std::path::Path;

use truckee_nodes::trust::{TrustError, tls_config};
use ureq::tls::TlsConfig;

use crate::error::CliError;

/// Believes the certificates in `file`, else those of the system.
pub(super) fn config(file: Option<&Path>) -> Result<TlsConfig, CliError> {
    tls_config(file).map_err(|error| match error {
        TrustError::NoBundle => CliError::Usage {
            what: "the gateway's address",
            value: "https://…".into(),
            hint: format!("{error}; name the gateway's own with --ca"),
        },
        TrustError::Unreadable { path, error } => CliError::file("read", &path)(error),
        TrustError::NoCertificate { ref path } => CliError::Usage {
            what: "the file of certificates",
            value: path.display().to_string(),
            hint: error.to_string(),
        },
    })
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

//! The files behind the gateway's doors: its access token, its certificates and their key.
//!
//! Read once, when the node starts; all that is wrong with any of them is reported at once. The token and the key are
//! secrets: a file that others may read is refused. Certificates that have expired or name another host are not refused
//! here: clients find that out. When the certificate ends is told, for an alert long before.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use subtle::ConstantTimeEq;
use thiserror::Error;
use x509_cert::der::Decode;
use zeroize::Zeroizing;

use crate::config::{Doors, TlsFiles};
use crate::dir::NodeDir;
use crate::identity::{SecretError, check_owner};

/// Nobody guesses 16 random characters over HTTP.
const TOKEN_BYTES_MIN: usize = 16;
/// A token travels in a header; servers and proxies bound headers at a few kilobytes.
const TOKEN_BYTES_MAX: usize = 512;

/// What a client must show. Not printed by anything.
pub struct AccessToken(Zeroizing<Vec<u8>>);

/// The doors as the HTTP server needs them.
#[derive(Debug, Default)]
pub struct OpenedDoors {
    /// None: nobody is asked for anything.
    pub token: Option<AccessToken>,
    /// None: plain HTTP.
    pub tls: Option<Tls>,
}

/// The gateway's side of TLS.
#[derive(Debug)]
pub struct Tls {
    /// For the HTTP server.
    pub config: ServerConfig,
    /// When the gateway's own certificate ends, in seconds since 1970; none if it does not say so in a way that is
    /// understood.
    pub expires: Option<u64>,
}

/// Everything that is wrong with the files that `[gateway]` names.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct AccessErrors(pub Vec<AccessError>);

/// One thing that is wrong, and which key names the file.
#[derive(Debug, Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("gateway.{key}: cannot read {}: {source}", .path.display())]
    Unreadable {
        /// Within `[gateway]`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read it.
    #[error("gateway.{key}: {source}")]
    Loose {
        /// Within `[gateway]`.
        key: &'static str,
        /// Who.
        source: SecretError,
    },
    /// It holds no token that can be used.
    #[error(
        "gateway.token_file: {} must hold one line of {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} visible ASCII \
         characters without blanks; `openssl rand -hex 32` makes one", .0.display()
    )]
    BadToken(PathBuf),
    /// It holds nothing of the kind, or something damaged.
    #[error("gateway.{key}: {} holds no {what} in PEM form ({source})", .path.display())]
    BadPem {
        /// Within `[gateway]`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What the parser says.
        source: PemError,
    },
    /// Key and certificate do not belong together, or are of a kind that TLS cannot use.
    #[error("gateway.tls_certificate, gateway.tls_key: cannot be used together: {0}")]
    Pair(rustls::Error),
}

impl AccessToken {
    /// Whether `given` is the token. Takes as long for each wrong one of its length.
    pub fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(given).into()
    }

    fn parse(text: &[u8]) -> Option<AccessToken> {
        let token = text.trim_ascii_end();
        let good = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len())
            && token.iter().all(u8::is_ascii_graphic);
        good.then(|| AccessToken(Zeroizing::new(token.to_vec())))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

impl OpenedDoors {
    /// Reads the files that `doors` names.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn open(dir: &NodeDir, doors: &Doors) -> Result<OpenedDoors, AccessErrors> {
        let mut errors = Vec::new();
        let token = doors.token_file.as_ref().and_then(|path| {
            read_token(&dir.path().join(path))
                .map_err(|error| errors.push(error))
                .ok()
        });
        let tls = doors
            .tls
            .as_ref()
            .and_then(|files| read_tls(dir, files, &mut errors));
        if errors.is_empty() {
            Ok(OpenedDoors { token, tls })
        } else {
            Err(AccessErrors(errors))
        }
    }
}

fn open_secret(key: &'static str, path: &Path) -> Result<File, AccessError> {
    let unreadable = |source| AccessError::Unreadable {
        key,
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    check_owner(path, &metadata).map_err(|source| AccessError::Loose { key, source })?;
    Ok(file)
}

fn read_token(path: &Path) -> Result<AccessToken, AccessError> {
    let file = open_secret("token_file", path)?;
    let mut text = Zeroizing::new(Vec::with_capacity(2 * TOKEN_BYTES_MAX));
    // A token and its line end, and one byte by which a longer file shows.
    file.take(TOKEN_BYTES_MAX as u64 + 3)
        .read_to_end(&mut text)
        .map_err(|source| AccessError::Unreadable {
            key: "token_file",
            path: path.to_owned(),
            source,
        })?;
    AccessToken::parse(&text).ok_or_else(|| AccessError::BadToken(path.to_owned()))
}

fn read_tls(dir: &NodeDir, files: &TlsFiles, errors: &mut Vec<AccessError>) -> Option<Tls> {
    let certificates = read_certificates(&dir.path().join(&files.certificate));
    let key = read_key(&dir.path().join(&files.key));
    match (certificates, key) {
        (Ok(certificates), Ok(key)) => {
            let expires = certificates.first().and_then(|own| expires(own));
            server_config(certificates, key)
                .map_err(|error| errors.push(AccessError::Pair(error)))
                .map(|config| Tls { config, expires })
                .ok()
        }
        (certificates, key) => {
            errors.extend(certificates.err());
            errors.extend(key.err());
            None
        }
    }
}

fn pem_error(key: &'static str, what: &'static str, path: &Path, error: PemError) -> AccessError {
    match error {
        PemError::Io(source) => AccessError::Unreadable {
            key,
            path: path.to_owned(),
            source,
        },
        source => AccessError::BadPem {
            key,
            path: path.to_owned(),
            what,
            source,
        },
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let wrong = |error| pem_error("tls_certificate", "certificate", path, error);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect();
    let found = found.map_err(wrong)?;
    if found.is_empty() {
        return Err(wrong(PemError::NoItemsFound));
    }
    Ok(found)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, AccessError> {
    let file = open_secret("tls_key", path)?;
    PrivateKeyDer::from_pem_reader(file).map_err(|error| pem_error("tls_key", "private key", path, error))
}

/// When a certificate ends, in seconds since 1970.
fn expires(certificate: &CertificateDer<'_>) -> Option<u64> {
    let parsed = x509_cert::Certificate::from_der(certificate)
        .inspect_err(|error| tracing::warn!("when the gateway's certificate ends cannot be read: {error}"))
        .ok()?;
    let end = parsed.tbs_certificate().validity().not_after;
    Some(end.to_unix_duration().as_secs())
}

fn server_config(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(config)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub(crate) const TOKEN: &str = "0123456789abcdef";

    pub(crate) fn token() -> AccessToken {
        AccessToken::parse(TOKEN.as_bytes()).unwrap()
    }

    pub(crate) fn secret(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A certificate for localhost and its key, in `dir`.
    pub(crate) fn certificate(dir: &Path) -> (CertificateDer<'static>, TlsFiles) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        secret(&dir.join("key.pem"), &made.signing_key.serialize_pem());
        let files = TlsFiles {
            certificate: "cert.pem".into(),
            key: "key.pem".into(),
        };
        (made.cert.der().clone(), files)
    }

    fn errors_of(dir: &Path, doors: &Doors) -> Vec<String> {
        let errors = OpenedDoors::open(&NodeDir::new(dir), doors).unwrap_err();
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_in_order_is_read() {
        let temp = tempfile::tempdir().unwrap();
        secret(&temp.path().join("token"), &format!("{TOKEN}\r\n"));
        let doors = Doors {
            tls: Some(certificate(temp.path()).1),
            token_file: Some("token".into()),
            allow_unauthenticated: false,
        };
        let opened = OpenedDoors::open(&NodeDir::new(temp.path()), &doors).unwrap();
        // Certificates of rcgen end in the year 4096 unless told otherwise.
        assert_eq!(opened.tls.unwrap().expires, Some(67_090_118_400));
        let token = opened.token.unwrap();
        assert!(token.is(TOKEN.as_bytes()));
        for wrong in ["", "0123456789abcdeF", "0123456789abcdef0", "123456789abcdef0"] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        assert!(!format!("{token:?}").contains("0123"));
        let closed = OpenedDoors::open(&NodeDir::new(temp.path()), &Doors::default()).unwrap();
        assert!(closed.tls.is_none() && closed.token.is_none());
    }

    #[test]
    fn all_errors_of_all_files_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path();
        let (_, files) = certificate(path);
        fs::write(path.join("cert.pem"), "no certificate").unwrap();
        fs::set_permissions(path.join("key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
        let doors = Doors {
            tls: Some(files),
            token_file: Some("token".into()),
            allow_unauthenticated: false,
        };
        let errors = errors_of(path, &doors);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(
            errors[0].starts_with("gateway.token_file: cannot read "),
            "{errors:?}"
        );
        assert!(
            errors[1].starts_with("gateway.tls_certificate: ") && errors[1].contains("no certificate in PEM")
        );
        assert!(
            errors[2].starts_with("gateway.tls_key: ") && errors[2].contains("chmod 600"),
            "{errors:?}"
        );

        fs::remove_file(path.join("cert.pem")).unwrap();
        secret(&path.join("key.pem"), "no key");
        fs::write(path.join("token"), TOKEN).unwrap();
        fs::set_permissions(path.join("token"), fs::Permissions::from_mode(0o644)).unwrap();
        let errors = errors_of(path, &doors);
        assert!(errors[0].contains("token may be read"), "{errors:?}");
        assert!(
            errors[1].starts_with("gateway.tls_certificate: cannot read "),
            "{errors:?}"
        );
        assert!(errors[2].contains("no private key in PEM"), "{errors:?}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (_, files) = certificate(temp.path());
        let other = tempfile::tempdir().unwrap();
        certificate(other.path());
        fs::copy(other.path().join("key.pem"), temp.path().join("key.pem")).unwrap();
        let doors = Doors {
            tls: Some(files),
            ..Doors::default()
        };
        let errors = errors_of(temp.path(), &doors);
        assert!(errors[0].contains("cannot be used together"), "{errors:?}");
    }

    #[test]
    fn tokens_that_are_none() {
        let temp = tempfile::tempdir().unwrap();
        let doors = Doors {
            token_file: Some(temp.path().join("token")),
            ..Doors::default()
        };
        for text in [
            "",
            "0123456789abcde\n",
            "0123456789 abcdef",
            "0123456789abcdef\nmore",
            "0123456789abcdeé",
            &"x".repeat(TOKEN_BYTES_MAX + 1),
            &"x".repeat(9999),
        ] {
            secret(&temp.path().join("token"), text);
            let errors = errors_of(temp.path(), &doors);
            assert!(errors[0].contains("16 to 512 visible"), "{errors:?}");
        }
        for text in [TOKEN.to_owned(), "x".repeat(TOKEN_BYTES_MAX) + "\r\n"] {
            secret(&temp.path().join("token"), &text);
            OpenedDoors::open(&NodeDir::new(temp.path()), &doors).unwrap();
        }
    }
}

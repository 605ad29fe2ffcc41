//! Identity on the wire: a node's Ed25519 key becomes a self-signed certificate, and a peer's certificate its id.
//!
//! TLS 1.3 only, both sides show a certificate, nobody asks an authority and nobody looks at a date: what counts is
//! the key. A peer's [`NodeId`] is the hash of the key that signed the handshake. Who dials says whom it wants and
//! lets nobody else answer; who is dialled takes any Ed25519 key and leaves it to the hello whether it may stay.
//!
//! The crypto provider is named here explicitly, so that no process-wide default is needed. There is no resumption:
//! a full handshake costs half a millisecond and happens once per link.

use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName as Subject, Error,
    OtherError, PeerIncompatible, ServerConfig, SignatureScheme, version,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use truckee_grid::ids::{ED25519_SPKI_PREFIX, NodeId};
use zeroize::Zeroizing;

/// The application protocol, so that nothing but another node is talked to, whatever listens on the port.
pub const ALPN: &[u8] = b"truckee/1";

/// PKCS#8 of an Ed25519 key up to the 32-byte seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Why an identity cannot be made of a seed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate cannot be made.
    #[error("no certificate can be made for this node's key")]
    Certificate(#[from] rcgen::Error),
    /// TLS does not take the key or the certificate.
    #[error("tls does not take this node's certificate")]
    Tls(#[from] rustls::Error),
}

/// Why the other end of a finished handshake is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It showed no certificate, or none that says an Ed25519 key.
    #[error("the other end shows no Ed25519 certificate")]
    NoEd25519Key,
    /// It did not agree on [`ALPN`].
    #[error("the other end does not speak this protocol")]
    OtherProtocol,
}

/// Somebody else answered than the node that was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} answered instead of {expected}")]
pub struct WrongIdentity {
    /// The node that was dialled.
    pub expected: NodeId,
    /// Who answered.
    pub found: NodeId,
}

/// A node's TLS side: its id, and how it dials and is dialled.
#[derive(Clone)]
pub struct TlsIdentity {
    node_id: NodeId,
    public_key: [u8; 32],
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    provider: Arc<CryptoProvider>,
}

impl TlsIdentity {
    /// The identity of the node whose Ed25519 seed this is. The same seed always gives the same certificate.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, IdentityError> {
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + seed.len()));
        pkcs8.extend_from_slice(&PKCS8_PREFIX);
        pkcs8.extend_from_slice(seed);
        let key = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let key_pair = KeyPair::try_from(&key)?;
        let public_key: [u8; 32] = key_pair
            .public_key_raw()
            .try_into()
            .map_err(|_| Error::General("not an Ed25519 key".into()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "truckee node");
        let certificate = params.self_signed(&key_pair)?.der().clone();

        let provider = Arc::new(provider());
        let server = server_config(
            &provider,
            certificate.clone(),
            PrivateKeyDer::Pkcs8(key.clone_key()),
        )?;
        let client = client_config(&provider, certificate, PrivateKeyDer::Pkcs8(key.clone_key()))?;
        let node_id = NodeId::of_public_key(&public_key);
        Ok(Self {
            node_id,
            public_key,
            server: Arc::new(server),
            client: Arc::new(client),
            provider,
        })
    }

    /// The id that others know this node by.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The node's Ed25519 public key.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// How this node is dialled.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }

    /// How this node dials `expected`, and nobody else.
    pub fn connector(&self, expected: NodeId) -> TlsConnector {
        let mut config = ClientConfig::clone(&self.client);
        let verifier = KeyVerifier {
            expected: Some(expected),
            provider: Arc::clone(&self.provider),
        };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        TlsConnector::from(Arc::new(config))
    }
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsIdentity({:?})", self.node_id)
    }
}

/// The name that goes into a dialler's handshake: none is looked at, so it says nothing.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("truckee.invalid").expect("a valid DNS name")
}

/// Who is at the other end, once the handshake is done.
pub fn peer_of(connection: &CommonState) -> Result<NodeId, PeerError> {
    if connection.alpn_protocol() != Some(ALPN) {
        return Err(PeerError::OtherProtocol);
    }
    let certificate = connection
        .peer_certificates()
        .and_then(<[_]>::first)
        .ok_or(PeerError::NoEd25519Key)?;
    node_id_of(certificate).ok_or(PeerError::NoEd25519Key)
}

fn node_id_of(certificate: &CertificateDer<'_>) -> Option<NodeId> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let spki = parsed.subject_public_key_info();
    let is_ed25519 = spki.len() == ED25519_SPKI_PREFIX.len() + 32 && spki.starts_with(&ED25519_SPKI_PREFIX);
    is_ed25519.then(|| NodeId::of_spki(&spki))
}

/// AES-128-GCM first: with hardware support it is faster than ChaCha20-Poly1305, and each end of a link must pay for
/// every byte. 256-bit keys would buy nothing: the key exchange has 128 bits of strength.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..ring::default_provider()
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let verifier = KeyVerifier {
        expected: None,
        provider: Arc::clone(provider),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Error> {
    let nobody = KeyVerifier {
        expected: Some(NodeId([0; 32])),
        provider: Arc::clone(provider),
    };
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(nobody))
        .with_client_auth_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes certificates by their key alone: any Ed25519 key, or only that of `expected`.
#[derive(Debug)]
struct KeyVerifier {
    expected: Option<NodeId>,
    provider: Arc<CryptoProvider>,
}

impl KeyVerifier {
    fn verify(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let found =
            node_id_of(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        match self.expected {
            Some(expected) if expected != found => {
                let wrong = OtherError(Arc::new(WrongIdentity { expected, found }));
                Err(Error::InvalidCertificate(CertificateError::Other(wrong)))
            }
            _ => Ok(()),
        }
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
        }
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for KeyVerifier {
    fn root_hint_subjects(&self) -> &[Subject] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_identity() {
        let one = TlsIdentity::from_seed(&[7; 32]).expect("any seed is a key");
        let same = TlsIdentity::from_seed(&[7; 32]).expect("any seed is a key");
        let other = TlsIdentity::from_seed(&[8; 32]).expect("any seed is a key");
        assert_eq!(one.node_id(), same.node_id());
        assert_ne!(one.node_id(), other.node_id());
        assert_eq!(one.node_id(), NodeId::of_public_key(one.public_key()));
        assert!(!format!("{one:?}").contains("0707"));
    }

    #[test]
    fn a_certificate_with_another_kind_of_key_has_no_id() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("keys can be made");
        let certificate = CertificateParams::default()
            .self_signed(&key)
            .expect("signs itself");
        assert_eq!(node_id_of(certificate.der()), None);
        assert_eq!(node_id_of(&CertificateDer::from(vec![0x30, 0x00])), None);
    }
}

//! Sockets between nodes: dialling, accepting, and the TLS handshake, each within its bound of time.
//!
//! A [`Socket`] is a finished handshake with a proven peer at the other end; nothing has been read of what it says.
//! `TCP_NODELAY` is set on every socket: a request of a few bytes must not wait for more.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use metrics::histogram;
use socket2::SockRef;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsStream;
use truckee_grid::ids::NodeId;

use crate::metrics as names;
use crate::tls::{self, PeerError, TlsIdentity, WrongIdentity};

/// Bytes taken from the kernel at once. The TLS library asks for 4 KiB at a time; without this buffer a block would
/// cost a hundred system calls.
const KERNEL_READ_BYTES: usize = 128 * 1024;

/// Ciphertext that the TLS library holds before it has to go out: a batch of frames is encrypted in one go.
const TLS_BUFFER_BYTES: usize = 512 * 1024;

/// Unsent bytes in the kernel from which on a socket takes no more. What is over must wait where a heartbeat can still
/// pass it; what is in flight is bounded by TCP itself.
const KERNEL_UNSENT_BYTES: u32 = 128 * 1024;

/// Bounds of time for new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetBounds {
    /// For name resolution and the TCP handshake. Well over the worst round trip of the internet.
    pub connect: Duration,
    /// For the TLS handshake, either side: a peer that is frozen or trickles bytes is not waited for longer.
    pub handshake: Duration,
}

impl Default for NetBounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            handshake: Duration::from_secs(3),
        }
    }
}

/// The stream under a link.
pub type Stream = TlsStream<BufReader<TcpStream>>;

/// A connection with a finished handshake.
#[derive(Debug)]
pub struct Socket {
    /// Who is at the other end, proven.
    pub peer: NodeId,
    /// Where the other end is.
    pub remote: SocketAddr,
    /// The stream.
    pub stream: Stream,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Nobody listens there, or the way there is broken.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// What was dialled.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// No connection within the bound.
    #[error("no connection to {address} within {bound:?}")]
    ConnectTimeout {
        /// What was dialled.
        address: String,
        /// The bound.
        bound: Duration,
    },
    /// The other end did not finish the handshake within the bound.
    #[error("no tls handshake with {remote} within {bound:?}")]
    HandshakeTimeout {
        /// The other end.
        remote: SocketAddr,
        /// The bound.
        bound: Duration,
    },
    /// Another node answered.
    #[error("{0}; the address in the roster or invite is out of date")]
    WrongIdentity(WrongIdentity),
    /// The handshake failed.
    #[error("tls handshake with {remote} failed: {error}")]
    Handshake {
        /// The other end.
        remote: SocketAddr,
        /// What went wrong.
        error: io::Error,
    },
    /// The handshake went well, with somebody that this node does not talk to.
    #[error("{remote}: {error}")]
    Peer {
        /// The other end.
        remote: SocketAddr,
        /// What is wrong with it.
        error: PeerError,
    },
}

impl NetError {
    /// Name in metrics and on pages.
    pub const fn name(&self) -> &'static str {
        match self {
            NetError::Connect { .. } => "unreachable",
            NetError::ConnectTimeout { .. } => "connect_timeout",
            NetError::HandshakeTimeout { .. } => "handshake_timeout",
            NetError::WrongIdentity(_) => "wrong_identity",
            NetError::Handshake { .. } => "handshake_failed",
            NetError::Peer {
                error: PeerError::NoEd25519Key,
                ..
            } => "no_identity",
            NetError::Peer {
                error: PeerError::OtherProtocol,
                ..
            } => "other_protocol",
        }
    }
}

/// Connects to `expected` at `address` (`host:port`).
pub async fn dial(
    identity: &TlsIdentity,
    expected: NodeId,
    address: &str,
    bounds: NetBounds,
) -> Result<Socket, NetError> {
    let connect_error = |error| NetError::Connect {
        address: address.to_owned(),
        error,
    };
    let connected = timeout(bounds.connect, TcpStream::connect(address)).await;
    let tcp = connected
        .map_err(|_| NetError::ConnectTimeout {
            address: address.to_owned(),
            bound: bounds.connect,
        })?
        .map_err(connect_error)?;
    let remote = tcp.peer_addr().map_err(connect_error)?;
    prepare(&tcp).map_err(connect_error)?;
    let stream = BufReader::with_capacity(KERNEL_READ_BYTES, tcp);
    let handshake = identity.connector(expected).connect(tls::server_name(), stream);
    let mut stream = shake(handshake, remote, bounds, "dialler").await?;
    let connection = stream.get_mut().1;
    connection.set_buffer_limit(Some(TLS_BUFFER_BYTES));
    let peer = tls::peer_of(connection).map_err(|error| NetError::Peer { remote, error })?;
    Ok(Socket {
        peer,
        remote,
        stream: TlsStream::Client(stream),
    })
}

/// Takes a connection that somebody made to this node.
pub async fn accept(
    identity: &TlsIdentity,
    tcp: TcpStream,
    remote: SocketAddr,
    bounds: NetBounds,
) -> Result<Socket, NetError> {
    prepare(&tcp).map_err(|error| NetError::Handshake { remote, error })?;
    let stream = BufReader::with_capacity(KERNEL_READ_BYTES, tcp);
    let mut stream = shake(identity.acceptor().accept(stream), remote, bounds, "acceptor").await?;
    let connection = stream.get_mut().1;
    connection.set_buffer_limit(Some(TLS_BUFFER_BYTES));
    let peer = tls::peer_of(connection).map_err(|error| NetError::Peer { remote, error })?;
    Ok(Socket {
        peer,
        remote,
        stream: TlsStream::Server(stream),
    })
}

fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_notsent_lowat(KERNEL_UNSENT_BYTES)
}

async fn shake<S>(
    handshake: impl Future<Output = io::Result<S>>,
    remote: SocketAddr,
    bounds: NetBounds,
    side: &'static str,
) -> Result<S, NetError> {
    let began = Instant::now();
    let shaken = timeout(bounds.handshake, handshake)
        .await
        .map_err(|_| NetError::HandshakeTimeout {
            remote,
            bound: bounds.handshake,
        })?;
    let stream = shaken.map_err(|error| match wrong_identity(&error) {
        Some(wrong) => NetError::WrongIdentity(wrong),
        None => NetError::Handshake { remote, error },
    })?;
    histogram!(names::LINK_HANDSHAKE_SECONDS, "side" => side).record(began.elapsed().as_secs_f64());
    Ok(stream)
}

fn wrong_identity(error: &io::Error) -> Option<WrongIdentity> {
    let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) =
        error.get_ref()?.downcast_ref::<rustls::Error>()?
    else {
        return None;
    };
    other.0.downcast_ref::<WrongIdentity>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn identity(seed: u8) -> TlsIdentity {
        TlsIdentity::from_seed(&[seed; 32]).expect("any seed is a key")
    }

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        (listener, address)
    }

    const SHORT: NetBounds = NetBounds {
        connect: Duration::from_millis(500),
        handshake: Duration::from_millis(50),
    };

    #[tokio::test]
    async fn both_ends_know_each_other_and_bytes_pass() {
        let (listener, address) = listen().await;
        let accepting = tokio::spawn(async move {
            let (tcp, remote) = listener.accept().await.expect("a connection");
            accept(&identity(1), tcp, remote, NetBounds::default()).await
        });
        let mut dialled = dial(
            &identity(2),
            identity(1).node_id(),
            &address,
            NetBounds::default(),
        )
        .await
        .expect("the right node answers");
        let mut accepted = accepting.await.expect("no panic").expect("an Ed25519 node dials");
        assert_eq!(
            (dialled.peer, accepted.peer),
            (identity(1).node_id(), identity(2).node_id())
        );
        dialled.stream.write_all(b"hello").await.expect("sent");
        dialled.stream.flush().await.expect("sent");
        let mut got = [0; 5];
        accepted.stream.read_exact(&mut got).await.expect("received");
        assert_eq!(&got, b"hello");
    }

    #[tokio::test]
    async fn a_node_with_another_key_is_not_taken_for_the_one_that_was_dialled() {
        let (listener, address) = listen().await;
        let accepting = tokio::spawn(async move {
            let (tcp, remote) = listener.accept().await.expect("a connection");
            accept(&identity(1), tcp, remote, NetBounds::default())
                .await
                .map(drop)
        });
        let error = dial(
            &identity(2),
            identity(3).node_id(),
            &address,
            NetBounds::default(),
        )
        .await
        .expect_err("another node answers");
        let NetError::WrongIdentity(wrong) = error else {
            panic!("{error}")
        };
        assert_eq!(
            wrong,
            WrongIdentity {
                expected: identity(3).node_id(),
                found: identity(1).node_id()
            }
        );
        assert!(
            accepting.await.expect("no panic").is_err(),
            "the dialler's certificate was not shown"
        );
    }

    #[tokio::test]
    async fn a_peer_that_trickles_its_handshake_is_given_up() {
        let (listener, address) = listen().await;
        let mut slow = TcpStream::connect(address).await.expect("connects");
        let (tcp, remote) = listener.accept().await.expect("a connection");
        slow.write_all(&[0x16, 0x03]).await.expect("sent");
        let error = accept(&identity(1), tcp, remote, SHORT)
            .await
            .expect_err("it says nothing more");
        assert_eq!(error.name(), "handshake_timeout");
    }

    #[tokio::test]
    async fn a_frozen_listener_is_given_up() {
        let (_listener, address) = listen().await;
        let error = dial(&identity(1), identity(2).node_id(), &address, SHORT)
            .await
            .expect_err("nobody answers");
        assert_eq!(error.name(), "handshake_timeout");
    }

    #[tokio::test]
    async fn garbage_instead_of_a_handshake_is_an_error() {
        let (listener, address) = listen().await;
        let mut stranger = TcpStream::connect(address).await.expect("connects");
        let (tcp, remote) = listener.accept().await.expect("a connection");
        stranger
            .write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            .await
            .expect("sent");
        let error = accept(&identity(1), tcp, remote, NetBounds::default())
            .await
            .expect_err("not tls");
        assert_eq!(error.name(), "handshake_failed");
    }

    #[tokio::test]
    async fn a_client_of_another_protocol_is_refused() {
        let (listener, address) = listen().await;
        let accepting = tokio::spawn(async move {
            let (tcp, remote) = listener.accept().await.expect("a connection");
            accept(&identity(1), tcp, remote, NetBounds::default())
                .await
                .map(drop)
        });
        let stranger = identity(2);
        let connector = stranger.connector(identity(1).node_id());
        let mut config = rustls::ClientConfig::clone(connector.config());
        config.alpn_protocols.clear();
        let tcp = TcpStream::connect(address).await.expect("connects");
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        // The dialler may or may not see its own handshake end before the refusal.
        drop(connector.connect(tls::server_name(), tcp).await);
        let error = accepting
            .await
            .expect("no panic")
            .expect_err("no protocol was agreed on");
        assert_eq!(error.name(), "other_protocol");
    }
}

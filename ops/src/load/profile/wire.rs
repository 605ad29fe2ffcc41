//! What bytes through a connection on this machine cost by themselves: plain as clients of a gateway send them, and in TLS 1.3 as
//! nodes do.
//!
//! Two threads and one loopback connection, nothing in between. A stuck end is bounded by a timeout of the socket.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned,
};
use truckee_actors::clock::thread_cpu;

use super::bare::{pour, source, system};
use crate::error::CliError;

/// Handed to the socket at a time by whoever reads or writes without TLS: about what an HTTP server does.
const PIECE_BYTES: usize = 64 << 10;

/// Longest wait for the other end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name in the certificate that lives as long as the measurement.
const NAME: &str = "truckee";

/// CPU seconds of the sender and of the receiver of so many plain bytes.
pub(super) fn plain(bytes: usize) -> Result<[f64; 2], CliError> {
    let (near, far) = connection()?;
    let receiver = std::thread::spawn(move || receive(far, bytes, PIECE_BYTES));
    let sent = send(near, bytes, PIECE_BYTES);
    both(sent, receiver)
}

/// CPU seconds of both ends together for so many bytes in TLS, in blocks as nodes send them. The handshake does not count.
pub(super) fn secured(bytes: usize, block_bytes: usize) -> Result<f64, CliError> {
    let (near, far) = connection()?;
    let (client, server) = ends().map_err(system("make a certificate"))?;
    let receiver = std::thread::spawn(move || {
        let mut stream = StreamOwned::new(server, far);
        shake(&mut stream.conn, &mut stream.sock)?;
        receive(stream, bytes, PIECE_BYTES)
    });
    let sent = (|| {
        let mut stream = StreamOwned::new(client, near);
        shake(&mut stream.conn, &mut stream.sock)?;
        send(stream, bytes, block_bytes)
    })();
    Ok(both(sent, receiver)?.iter().sum())
}

fn both(sent: io::Result<f64>, receiver: JoinHandle<io::Result<f64>>) -> Result<[f64; 2], CliError> {
    let received = receiver
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let failed = system("send bytes over the loopback interface");
    Ok([sent.map_err(&failed)?, received.map_err(&failed)?])
}

fn connection() -> Result<(TcpStream, TcpStream), CliError> {
    let connect = || {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (far, _) = listener.accept()?;
        for end in [&near, &far] {
            end.set_nodelay(true)?;
            end.set_read_timeout(Some(PATIENCE))?;
            end.set_write_timeout(Some(PATIENCE))?;
        }
        Ok((near, far))
    };
    connect().map_err(system("open a loopback connection"))
}

fn send(mut to: impl Write, bytes: usize, piece_bytes: usize) -> io::Result<f64> {
    let source = source();
    let began = thread_cpu();
    pour(&source, &mut to, bytes, piece_bytes)?;
    to.flush()?;
    Ok(thread_cpu().saturating_sub(began).as_secs_f64())
}

fn receive(mut from: impl Read, bytes: usize, piece_bytes: usize) -> io::Result<f64> {
    let mut piece = vec![0; piece_bytes];
    let began = thread_cpu();
    let mut left = bytes;
    while left > 0 {
        match from.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            got => left = left.saturating_sub(got),
        }
    }
    Ok(thread_cpu().saturating_sub(began).as_secs_f64())
}

fn shake<Data>(end: &mut ConnectionCommon<Data>, socket: &mut TcpStream) -> io::Result<()> {
    while end.is_handshaking() {
        end.complete_io(socket)?;
    }
    Ok(())
}

/// Both ends of a connection, with the cipher suite that nodes prefer.
fn ends() -> io::Result<(ClientConnection, ServerConnection)> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)?;
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::CryptoProvider {
        cipher_suites: vec![rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..rustls::crypto::ring::default_provider()
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).map_err(io::Error::other)?;
    let versions = &[&rustls::version::TLS13];
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    // Whoever closes a socket with something unread in it resets the connection, and the client reads nothing after the handshake.
    server.send_tls13_tickets = 0;
    let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
    Ok((
        ClientConnection::new(Arc::new(client), name).map_err(io::Error::other)?,
        ServerConnection::new(Arc::new(server)).map_err(io::Error::other)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ends_early_is_no_figure() {
        let (near, far) = connection().unwrap();
        drop(near);
        assert!(receive(far, 1, 1).is_err());
    }

    #[test]
    fn bytes_in_tls_arrive() {
        assert!(secured(1 << 20, 100_000).unwrap() > 0.0);
    }
}

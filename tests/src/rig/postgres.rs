//! A database of its own on the server of `TRUCKEE_TEST_POSTGRES`, behind a relay that can be cut or fall silent.
//!
//! Owns the database, which goes when this is dropped, and the relay's threads. A server of tests asks for no password, so
//! the URL bears one that must never be seen again.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::{LOOK_EVERY, run};

const SERVER: &str = "TRUCKEE_TEST_POSTGRES";
const PASSWORD: &str = "correct-horse-battery-staple";

/// States of the relay.
const OPEN: u8 = 0;
const SILENT: u8 = 1;
const CUT: u8 = 2;
const ENDED: u8 = 3;

/// See the module.
pub struct Postgres {
    server: String,
    name: String,
    user: String,
    password: String,
    relay: SocketAddr,
    state: Arc<AtomicU8>,
}

impl Postgres {
    /// An empty database; none, with a sentence, when there is no server to test with.
    ///
    /// # Panics
    /// When the server does not do what it is told.
    #[must_use]
    pub fn fresh() -> Option<Postgres> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var(SERVER) else {
            eprintln!("{SERVER} is not set: what needs PostgreSQL is not tested");
            return None;
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("truckee_it_{}_{number}", std::process::id());
        let (user, address) =
            parts(&server).unwrap_or_else(|| panic!("{SERVER} is no URL with user and database"));
        let (user, password) = user.split_once(':').unwrap_or((user, PASSWORD));
        let state = Arc::new(AtomicU8::new(OPEN));
        let postgres = Postgres {
            name,
            user: user.to_owned(),
            password: password.to_owned(),
            relay: relay(address.to_owned(), &state),
            state,
            server: server.clone(),
        };
        postgres.admin(&format!("CREATE DATABASE {}", postgres.name));
        Some(postgres)
    }

    /// Where a vdrive finds it.
    #[must_use]
    pub fn url(&self) -> String {
        let Postgres {
            user,
            password,
            relay,
            name,
            ..
        } = self;
        format!("postgres://{user}:{password}@{relay}/{name}")
    }

    /// What must be seen nowhere.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// As if the server had been stopped: connections end, new ones as well.
    pub fn cut(&self) {
        self.state.store(CUT, Ordering::SeqCst);
    }

    /// As if the network swallowed everything: connections stay, and nothing comes.
    pub fn silence(&self) {
        self.state.store(SILENT, Ordering::SeqCst);
    }

    /// All is well again.
    pub fn mend(&self) {
        self.state.store(OPEN, Ordering::SeqCst);
    }

    /// A statement for the server.
    fn admin(&self, sql: &str) {
        let args = [
            "--no-psqlrc",
            "--quiet",
            "--dbname",
            &self.server,
            "--command",
            sql,
        ];
        let done = run(Path::new("psql"), args);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() || std::thread::panicking(), "{sql}: {said}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.state.store(ENDED, Ordering::SeqCst);
        self.admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// User, with password if there is one, and `host:port` of a URL.
fn parts(url: &str) -> Option<(&str, &str)> {
    let (base, _) = url.split_once("://")?.1.split_once('/')?;
    base.rsplit_once('@')
}

/// Starts the relay and says where it listens.
fn relay(target: String, state: &Arc<AtomicU8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    listener.set_nonblocking(true).expect("the system can do that");
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        while state.load(Ordering::SeqCst) != ENDED {
            match listener.accept() {
                // Without a reader it ends at once; the port stays ours.
                Ok((client, _)) => begin(&client, &target, &state),
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    });
    address
}

/// Carries what one client and the server say to each other.
fn begin(client: &TcpStream, target: &str, state: &Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect(target) else {
        return;
    };
    for (from, to) in [(client, &server), (&server, client)] {
        let set = from.set_nonblocking(false).and(from.set_nodelay(true));
        set.and(from.set_read_timeout(Some(LOOK_EVERY)))
            .expect("a socket");
        let (from, to) = (from.try_clone(), to.try_clone());
        let (from, to) = (
            from.expect("descriptors are left"),
            to.expect("descriptors are left"),
        );
        let state = Arc::clone(state);
        std::thread::spawn(move || carry(from, to, &state));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    let mut buffer = [0; 16 << 10];
    while runs(state) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                if !runs(state) || to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    // One side may have ended it before.
    for side in [from, to] {
        side.shutdown(std::net::Shutdown::Both).ok();
    }
}

/// Waits while it is silent; whether it goes on then.
fn runs(state: &AtomicU8) -> bool {
    while state.load(Ordering::SeqCst) == SILENT {
        std::thread::sleep(LOOK_EVERY);
    }
    state.load(Ordering::SeqCst) == OPEN
}

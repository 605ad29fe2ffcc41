//! One proxy for each node, on one thread.
//!
//! Owns the listeners and every connection through them. A way that is stalled keeps what it has read and reads no more;
//! one that is closed loses it. Bounded: a way holds at most [`PIECES_MAX`] pieces; there are as many connections as
//! nodes dial, and a node dials each other once at a time.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use truckee_nodes::RunFile;

use super::super::fault::Fault;
use super::owner::owner;
use super::rules::{Rules, Way};
use crate::error::CliError;

/// Bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that are on their way at the same time, each way of a connection: with the longest delay 1 MiB a second.
const PIECES_MAX: usize = 8;

/// Between two portions on a throttled way.
const TICK: Duration = Duration::from_millis(50);

/// After a failure to accept, which means that this process has too many files open.
const REST: Duration = Duration::from_millis(100);

/// What dialled when nobody could say who.
const UNKNOWN: &str = "unknown";

/// Listeners that are open before their nodes are.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    doors: Vec<(String, StdListener)>,
}

impl Doors {
    /// Opens one for a node: at `port` if it had one before.
    pub(crate) fn open(&mut self, name: &str, port: Option<u16>) -> Result<SocketAddr, CliError> {
        let bound = StdListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
        let door = bound.and_then(|door| door.set_nonblocking(true).map(|()| door));
        let opened = door.and_then(|door| door.local_addr().map(|address| (door, address)));
        let (door, address) = opened.map_err(refused)?;
        self.doors.push((name.to_owned(), door));
        Ok(address)
    }
}

fn refused(source: io::Error) -> CliError {
    CliError::System {
        action: "listen for links between nodes",
        source,
    }
}

/// What the connections look at.
#[derive(Debug, Default)]
struct Board {
    rules: Rules,
    /// Directories of the nodes.
    dirs: BTreeMap<String, PathBuf>,
    /// Connections whose dialler nobody could name.
    unknown: u64,
}

/// The proxies at work. Dropped, they end with all their connections.
#[derive(Debug)]
pub(crate) struct Proxies {
    board: Arc<Mutex<Board>>,
    /// Counts the changes of rules, for those who wait for one.
    changes: watch::Sender<u64>,
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxies {
    /// Begins to serve. `dirs`: the directory of each node, by name.
    pub(crate) fn start(doors: Doors, dirs: BTreeMap<String, PathBuf>) -> Result<Proxies, CliError> {
        let board = Arc::new(Mutex::new(Board {
            dirs,
            ..Board::default()
        }));
        let (changes, _) = watch::channel(0);
        let (end, mut ended) = mpsc::channel::<()>(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(refused)?;
        let entered = runtime.enter();
        let listen = |(name, door)| Ok((name, TcpListener::from_std(door)?));
        let listeners: io::Result<Vec<_>> = doors.doors.into_iter().map(listen).collect();
        let listeners = listeners.map_err(refused)?;
        drop(entered);
        let (shared, watched) = (Arc::clone(&board), changes.subscribe());
        let serve = move || {
            runtime.block_on(async {
                for (name, listener) in listeners {
                    tokio::spawn(accept(name, listener, Arc::clone(&shared), watched.clone()));
                }
                // Nothing is ever sent: it ends when the other end is dropped.
                ended.recv().await;
            });
        };
        let thread = std::thread::Builder::new().name("links".into()).spawn(serve);
        Ok(Proxies {
            board,
            changes,
            end: Some(end),
            thread: Some(thread.map_err(refused)?),
        })
    }

    /// A fault of the network begins; for people, what it does exactly.
    pub(crate) fn begin(&self, fault: &Fault) -> Option<String> {
        let what = lock(&self.board).rules.begin(fault);
        self.changes.send_modify(|count| *count += 1);
        what
    }

    /// It is over.
    pub(crate) fn end(&self, number: usize) {
        lock(&self.board).rules.end(number);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Connections whose dialler nobody could name, so that faults between two nodes passed them by.
    pub(crate) fn unknown(&self) -> u64 {
        lock(&self.board).unknown
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there; what it carried is cut in any case.
            let _ended = thread.join();
        }
    }
}

type Changed = watch::Receiver<u64>;

async fn accept(to: String, listener: TcpListener, board: Arc<Mutex<Board>>, changed: Changed) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Ok(door) = stream.local_addr() else { continue };
                let (to, board, changed) = (to.clone(), Arc::clone(&board), changed.clone());
                tokio::spawn(carry(to, stream, (peer, door), board, changed));
            }
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

/// Names who dialled, and finds the node that was.
fn ends(
    board: &Mutex<Board>,
    to: &str,
    (peer, door): (SocketAddr, SocketAddr),
) -> Option<(String, SocketAddr)> {
    let dirs = lock(board).dirs.clone();
    let said = |dir: &PathBuf| RunFile::read(dir).ok().flatten();
    let pids: Vec<(&str, u32)> = dirs
        .iter()
        .filter_map(|(name, dir)| Some((name.as_str(), pid_of(dir)?)))
        .collect();
    let from = owner(peer, door, pids.into_iter()).unwrap_or(UNKNOWN);
    if from == UNKNOWN {
        lock(board).unknown += 1;
    }
    let target = said(dirs.get(to)?)?.mesh;
    Some((from.to_owned(), target))
}

/// The process of a node. While it starts it has written nothing yet, but holds its lock and has its directory on its
/// command line, as all nodes of the tool's own cluster do.
fn pid_of(dir: &std::path::Path) -> Option<u32> {
    if let Some(run_file) = RunFile::read(dir).ok().flatten() {
        return Some(run_file.pid);
    }
    let processes = std::fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let wanted = dir.as_os_str().as_encoded_bytes();
    let mut of_dir = pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == wanted)
    });
    of_dir.next()
}

/// Carries one connection until either side ends it.
async fn carry(
    to: String,
    dialled: TcpStream,
    ends_of_it: (SocketAddr, SocketAddr),
    board: Arc<Mutex<Board>>,
    changed: Changed,
) {
    let Some((from, target)) = ends(&board, &to, ends_of_it) else {
        return;
    };
    let view = |from: &str, to: &str| View {
        from: from.to_owned(),
        to: to.to_owned(),
        board: Arc::clone(&board),
        changed: changed.clone(),
    };
    let (mut there, mut back) = (view(&from, &to), view(&to, &from));
    // Whoever dials through a stalled way gets no answer, not even that of the system.
    if there.open().await.is_none() || back.open().await.is_none() {
        return;
    }
    let Ok(reached) = TcpStream::connect(target).await else {
        return;
    };
    // The ends decide themselves when to send; a proxy must not hold back small frames.
    for stream in [&dialled, &reached] {
        if stream.set_nodelay(true).is_err() {
            return;
        }
    }
    let (dialled_in, dialled_out) = dialled.into_split();
    let (reached_in, reached_out) = reached.into_split();
    tokio::select! {
        () = pump(dialled_in, reached_out, there) => {}
        () = pump(reached_in, dialled_out, back) => {}
    }
}

/// One way, and what holds on it.
struct View {
    from: String,
    to: String,
    board: Arc<Mutex<Board>>,
    changed: Changed,
}

impl View {
    fn way(&self) -> Way {
        lock(&self.board).rules.way(&self.from, &self.to)
    }

    /// Waits until the way is open; none if it is closed.
    async fn open(&mut self) -> Option<Way> {
        loop {
            self.changed.borrow_and_update();
            let way = self.way();
            if way.closed {
                return None;
            }
            if !way.stalled {
                return Some(way);
            }
            self.changed.changed().await.ok()?;
        }
    }

    /// Ends when the way is closed.
    async fn closed(&mut self) {
        loop {
            self.changed.borrow_and_update();
            if self.way().closed || self.changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn again(&self) -> View {
        View {
            from: self.from.clone(),
            to: self.to.clone(),
            board: Arc::clone(&self.board),
            changed: self.changed.clone(),
        }
    }
}

/// Carries one way until it ends or is closed.
async fn pump(from: OwnedReadHalf, to: OwnedWriteHalf, view: View) {
    let (pieces, arriving) = mpsc::channel(PIECES_MAX);
    let (reading, mut closing) = (view.again(), view.again());
    tokio::select! {
        () = async { tokio::join!(take(from, pieces, reading), give(to, arriving, view)); } => {}
        () = closing.closed() => {}
    }
}

/// A piece, and when it may arrive.
type Piece = (Instant, Vec<u8>);

/// Reads pieces while the way is open.
async fn take(mut from: OwnedReadHalf, pieces: mpsc::Sender<Piece>, mut view: View) {
    loop {
        if view.open().await.is_none() {
            return;
        }
        let mut piece = vec![0; PIECE_BYTES];
        let read = from.read(&mut piece).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        piece.truncate(read);
        let due = Instant::now() + view.way().delay;
        if pieces.send((due, piece)).await.is_err() {
            return;
        }
    }
}

/// How much of `bytes` may go now.
fn at_once(way: Way, bytes: usize) -> usize {
    let of_a_tick = |limit: u64| (limit as f64 * TICK.as_secs_f64()).ceil() as usize;
    way.bytes_per_second
        .map_or(bytes, |limit| of_a_tick(limit).clamp(1, bytes))
}

/// Writes pieces when they are due, as fast as they may go.
async fn give(mut to: OwnedWriteHalf, mut arriving: mpsc::Receiver<Piece>, mut view: View) {
    while let Some((due, piece)) = arriving.recv().await {
        tokio::time::sleep_until(due).await;
        let mut left = piece.as_slice();
        while !left.is_empty() {
            let Some(way) = view.open().await else { return };
            let (now, later) = left.split_at(at_once(way, left.len()));
            if to.write_all(now).await.is_err() {
                return;
            }
            if way.bytes_per_second.is_some() {
                tokio::time::sleep(TICK).await;
            }
            left = later;
        }
    }
    // The other end has said all that it had to say.
    let _closed = to.shutdown().await;
}

//! The two tasks of one socket: frames in, frames out. They decide nothing.
//!
//! The reader takes what the socket has, up to a bound, hands the whole frames of it to the peer's actor as one message
//! and reads on only when the actor says so: a busy actor pushes back through TCP. A stream that is not made of frames,
//! or whose frames trickle in, is cut off here. The writer takes batches of frames from a short queue
//! and writes each with as few calls as it can; the actor makes the next batch when one is done, so frames of an
//! urgent lane wait behind two batches at most. The writer copies no block, except as TLS encrypts it; the reader copies
//! it once, from where TLS decrypts it to where it stays.
//!
//! Either task reports the end of the link once, a panic included, and ends with it. Dropping the [`LinkPort`] ends
//! both at once; [`LinkPort::finish`] lets the writer send what it was given first.

mod batch;
mod duplex;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use actix::{Message, WeakRecipient};
use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use metrics::counter;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use truckee_wire::frame::{Decoder, Frame, FrameError, FrameOut};

pub use self::batch::BatchBytes;
use self::duplex::{ReadEnd, WriteEnd};
use crate::gate::tell_recipient;
use crate::metrics as names;
use crate::net::Stream;

/// Bytes handed to the actor at once: two parts of blocks in one wake-up, and 0.2 ms of decryption.
pub const READ_BYTES: usize = 256 * 1024;

/// From the first byte of a frame to its last: 256 KiB at 140 kbit/s. A peer that trickles is cut off.
pub const FRAME_WITHIN_DEFAULT: Duration = Duration::from_secs(15);

/// Batches that the writer has or that wait for it: one is written while the next one is ready.
pub const BATCHES_MAX: usize = 2;

/// Slices of one vectored write; Linux takes up to 1024, a batch has a few dozen.
const SLICES_MAX: usize = 64;

/// Time for the last frames, a goodbye among them, to leave. A peer that takes nothing is not waited for longer.
const FINISH_WITHIN: Duration = Duration::from_millis(500);

/// Names one socket for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId(pub u64);

/// Frames from the socket; none if only a piece of one came. The reader goes on when `more` is used and ends when it
/// is dropped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LinkFrames {
    /// Which socket.
    pub line: LineId,
    /// What came, in order.
    pub frames: Vec<Frame>,
    /// Asks for more.
    pub more: oneshot::Sender<()>,
}

/// A batch has left for the kernel: there is room for another.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct BatchWritten {
    /// Which socket.
    pub line: LineId,
    /// How long the next one should be.
    pub next: BatchBytes,
}

/// The socket is of no more use.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct LinkEnded {
    /// Which socket.
    pub line: LineId,
    /// Why.
    pub cause: LinkEnd,
}

/// Why a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkEnd {
    /// The other end closed it.
    Closed,
    /// It was reset or broke.
    Broken,
    /// What came was not what TLS sent.
    Tampered,
    /// What came is not made of frames.
    Garbage,
    /// A frame took too long.
    SlowFrame,
    /// One of the tasks panicked.
    Panicked,
    /// This end was done with it.
    Finished,
}

impl LinkEnd {
    /// Name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            LinkEnd::Closed => "closed",
            LinkEnd::Broken => "broken",
            LinkEnd::Tampered => "tampered",
            LinkEnd::Garbage => "garbage",
            LinkEnd::SlowFrame => "slow_frame",
            LinkEnd::Panicked => "panicked",
            LinkEnd::Finished => "finished",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => LinkEnd::Closed,
            io::ErrorKind::InvalidData => LinkEnd::Tampered,
            _ => LinkEnd::Broken,
        }
    }
}

/// Where the tasks report to: the actor of the peer, held weakly.
#[derive(Clone)]
pub struct LinkOwner {
    /// Takes frames.
    pub frames: WeakRecipient<LinkFrames>,
    /// Hears of written batches.
    pub written: WeakRecipient<BatchWritten>,
    /// Hears of the end.
    pub ended: WeakRecipient<LinkEnded>,
}

impl std::fmt::Debug for LinkOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkOwner")
    }
}

/// The owner's end of the two tasks.
#[derive(Debug)]
pub struct LinkPort {
    batches: Option<mpsc::Sender<Vec<FrameOut>>>,
    reader: AbortHandle,
    writer: AbortHandle,
    finishing: bool,
}

impl LinkPort {
    /// Starts the tasks of `stream` on this thread. A frame has to come whole within `frame_within` of its first byte.
    pub fn start(line: LineId, stream: Stream, owner: &LinkOwner, frame_within: Duration) -> Self {
        let (read_end, write_end) = duplex::split(stream);
        let (batches, queue) = mpsc::channel(BATCHES_MAX);
        let reader =
            tokio::task::spawn_local(read(line, read_end, owner.clone(), frame_within)).abort_handle();
        let writer = tokio::task::spawn_local(write(line, write_end, queue, owner.clone())).abort_handle();
        Self {
            batches: Some(batches),
            reader,
            writer,
            finishing: false,
        }
    }

    /// Whether the writer takes another batch now.
    pub fn has_room(&self) -> bool {
        self.batches
            .as_ref()
            .is_some_and(|batches| batches.capacity() > 0)
    }

    /// Hands a batch to the writer. Check [`LinkPort::has_room`] first: without room the batch is lost, and so must
    /// be the link.
    pub fn write(&mut self, batch: Vec<FrameOut>) {
        let Some(batches) = &self.batches else { return };
        if batches.try_send(batch).is_err() {
            tracing::debug!("a link ended before its last batch");
            self.batches = None;
        }
    }

    /// Ends the link: reads nothing more, sends what the writer has, within a bound, and closes.
    pub fn finish(mut self) {
        self.finishing = true;
        self.reader.abort();
        self.batches = None;
        let writer = self.writer.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(FINISH_WITHIN).await;
            writer.abort();
        });
    }
}

impl Drop for LinkPort {
    fn drop(&mut self) {
        self.reader.abort();
        if !self.finishing {
            self.writer.abort();
        }
    }
}

/// Reports the end of the link when its task ends, however that is.
struct EndReport {
    line: LineId,
    cause: LinkEnd,
    to: WeakRecipient<LinkEnded>,
}

impl Drop for EndReport {
    fn drop(&mut self) {
        let cause = if std::thread::panicking() {
            LinkEnd::Panicked
        } else {
            self.cause
        };
        let Some(owner) = self.to.upgrade() else { return };
        // An owner that has ended knows.
        let _gone = tell_recipient(
            &owner,
            LinkEnded {
                line: self.line,
                cause,
            },
        );
    }
}

async fn read(line: LineId, end: ReadEnd<Stream>, owner: LinkOwner, frame_within: Duration) {
    let mut report = EndReport {
        line,
        cause: LinkEnd::Finished,
        to: owner.ended,
    };
    let mut reader = Reader {
        end,
        decoder: Decoder::new(),
        frame_since: None,
        frame_within,
    };
    let received = counter!(names::LINK_RECEIVED_BYTES);
    loop {
        let (count, frames) = match reader.fill().await {
            Ok(filled) => filled,
            Err(cause) => {
                report.cause = cause;
                return;
            }
        };
        received.increment(count);
        let (more, go_on) = oneshot::channel();
        let Some(peer) = owner.frames.upgrade() else {
            return;
        };
        if tell_recipient(&peer, LinkFrames { line, frames, more }).is_err() {
            return;
        }
        drop(peer);
        if go_on.await.is_err() {
            return;
        }
    }
}

struct Reader {
    end: ReadEnd<Stream>,
    decoder: Decoder,
    /// Since when the frame that is coming in has been.
    frame_since: Option<Instant>,
    frame_within: Duration,
}

impl Reader {
    /// Waits for bytes, then takes all that are there up to [`READ_BYTES`]; TLS gives out one record of 16 KiB at a
    /// time. Gives the number of bytes and the frames that are whole now.
    async fn fill(&mut self) -> Result<(u64, Vec<Frame>), LinkEnd> {
        let mut count = self.read_some().await?;
        let mut frames = Vec::new();
        self.take_frames(&mut frames)?;
        while count < READ_BYTES {
            // An end or an error shows again at the next call, after what came before it was handled.
            match self.read_more().now_or_never() {
                Some(Ok(more)) if more > 0 => count += more,
                _ => break,
            }
            self.take_frames(&mut frames)?;
        }
        self.frame_since = match self.frame_since {
            _ if !self.decoder.is_mid_frame() => None,
            Some(since) if frames.is_empty() => Some(since),
            _ => Some(Instant::now()),
        };
        Ok((count as u64, frames))
    }

    async fn read_some(&mut self) -> Result<usize, LinkEnd> {
        let frame_until = self.frame_since.map(|since| since + self.frame_within);
        let reading = self.read_more();
        let read = match frame_until {
            Some(until) => timeout_at(until, reading).await.map_err(|_| LinkEnd::SlowFrame)?,
            None => reading.await,
        };
        match read {
            Ok(0) => Err(LinkEnd::Closed),
            Ok(count) => Ok(count),
            Err(error) => {
                tracing::debug!(%error, "cannot read from a link");
                Err(LinkEnd::of(&error))
            }
        }
    }

    /// What the next record holds, or what is left of the last one.
    async fn read_more(&mut self) -> io::Result<usize> {
        let decoder = &mut self.decoder;
        self.end.read(|bytes| decoder.push(bytes)).await
    }

    fn take_frames(&mut self, frames: &mut Vec<Frame>) -> Result<(), LinkEnd> {
        let garbage = |error: FrameError| {
            tracing::warn!(%error, "a link does not carry frames");
            LinkEnd::Garbage
        };
        while let Some(frame) = self.decoder.next_frame().map_err(garbage)? {
            frames.push(frame);
        }
        Ok(())
    }
}

async fn write(
    line: LineId,
    mut end: WriteEnd<Stream>,
    mut queue: mpsc::Receiver<Vec<FrameOut>>,
    owner: LinkOwner,
) {
    let mut report = EndReport {
        line,
        cause: LinkEnd::Finished,
        to: owner.ended,
    };
    let sent = counter!(names::LINK_SENT_BYTES);
    let mut chunks = VecDeque::new();
    let mut next = BatchBytes::default();
    while let Some(batch) = queue.recv().await {
        chunks.extend(batch.into_iter().flat_map(|frame| [frame.head, frame.payload]));
        let began = Instant::now();
        match write_all(&mut end, &mut chunks).await {
            Ok(count) => {
                sent.increment(count);
                next.learn(count, began.elapsed());
            }
            Err(error) => {
                tracing::debug!(%error, "cannot write to a link");
                report.cause = LinkEnd::of(&error);
                return;
            }
        }
        let Some(peer) = owner.written.upgrade() else {
            continue;
        };
        if tell_recipient(&peer, BatchWritten { line, next }).is_err() {
            return;
        }
    }
    // Says that this is the end and not a cut; a peer that does not take it finds out by itself.
    let _closed = timeout(FINISH_WITHIN, end.shutdown()).await;
}

async fn write_all(end: &mut WriteEnd<Stream>, chunks: &mut VecDeque<Bytes>) -> io::Result<u64> {
    let mut total = 0;
    chunks.retain(|chunk| !chunk.is_empty());
    while !chunks.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = slices.len().min(chunks.len());
        for (slice, chunk) in slices.iter_mut().zip(chunks.iter()) {
            *slice = IoSlice::new(chunk);
        }
        let mut count = end.write_vectored(&slices[..filled]).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        total += count as u64;
        while let Some(first) = chunks.front_mut() {
            if count < first.len() {
                first.advance(count);
                break;
            }
            count -= first.len();
            chunks.pop_front();
        }
    }
    end.flush().await?;
    Ok(total)
}

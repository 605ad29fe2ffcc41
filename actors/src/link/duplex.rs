//! One stream for two tasks of one thread: one reads, the other writes.
//!
//! What was received is lent out of the stream's own buffer, so that its reader copies it only once, to where it stays.
//! The stream is borrowed for the length of one poll and never across a wait. It keeps two wakers, one for each
//! direction; so there may be one reader and one writer, and no more. It is dropped with the later of them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};

use tokio::io::{AsyncBufRead, AsyncWrite};

/// Splits a stream.
pub(super) fn split<S>(stream: S) -> (ReadEnd<S>, WriteEnd<S>) {
    let stream = Rc::new(RefCell::new(stream));
    (ReadEnd(Rc::clone(&stream)), WriteEnd(stream))
}

/// Reads.
pub(super) struct ReadEnd<S>(Rc<RefCell<S>>);

/// Writes.
pub(super) struct WriteEnd<S>(Rc<RefCell<S>>);

impl<S: AsyncBufRead + Unpin> ReadEnd<S> {
    /// Waits for bytes, has `take` take them, all of them, and says how many there were: 0 at the end of the stream.
    /// Nothing is lost if the future is dropped before it is ready.
    pub(super) async fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        poll_fn(|context| {
            let mut stream = self.0.borrow_mut();
            let mut stream = Pin::new(&mut *stream);
            let bytes = ready!(stream.as_mut().poll_fill_buf(context))?;
            let count = bytes.len();
            take(bytes);
            stream.consume(count);
            Poll::Ready(Ok(count))
        })
        .await
    }
}

impl<S: AsyncWrite + Unpin> WriteEnd<S> {
    /// Writes some of the slices; says how many bytes.
    pub(super) async fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        poll_fn(|context| Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(context, slices)).await
    }

    /// Waits until all that was written has left for the kernel.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| Pin::new(&mut *self.0.borrow_mut()).poll_flush(context)).await
    }

    /// Says that this was the end and not a cut.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|context| Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(context)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

    #[tokio::test]
    async fn both_ways_at_once_and_to_the_end() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut read, mut write) = split(BufReader::new(near));
        // Nobody writes yet; a reader that gives up has lost nothing.
        assert!(read.read(|_| panic!("nothing came")).now_or_never().is_none());
        let slices = [IoSlice::new(b"from "), IoSlice::new(b"here")];
        let count = write.write_vectored(&slices).await.expect("there is room");
        write.flush().await.expect("flushed");
        let mut got = vec![0; count];
        far.read_exact(&mut got).await.expect("as many as were written");
        assert!(count > 0 && b"from here".starts_with(&got[..]));
        far.write_all(b"to there").await.expect("there is room");
        let mut got = Vec::new();
        let count = read.read(|bytes| got.extend_from_slice(bytes)).await;
        assert_eq!((count.expect("read"), &got[..]), (8, &b"to there"[..]));
        write.shutdown().await.expect("shut");
        assert_eq!(far.read(&mut [0; 8]).await.expect("the end"), 0);
        drop(far);
        assert_eq!(
            read.read(|bytes| assert!(bytes.is_empty()))
                .await
                .expect("the end"),
            0
        );
    }
}

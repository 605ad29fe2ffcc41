//! The body of a download on its way to the client.
//!
//! Dropping it cancels the download. So does a client that takes nothing for a while: its memory and its place among
//! the downloads go to others, and if it ever reads on its connection is closed before the promised length. While it is
//! the mesh that everybody waits for, the client's time does not run.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::task::{AbortHandle, spawn_local};
use truckee_actors::gate::CountPermit;

use super::port::{DownloadError, DownloadStream};

/// Longest piece that is handed to the HTTP encoder, which copies it: a piece that stays in the processor's cache
/// until the kernel copies it again. The encoder takes the first piece of any body at once.
const PIECE_BYTES: usize = 128 << 10;

/// See the module.
pub(super) struct DownloadBody {
    flow: Rc<RefCell<Flow>>,
    /// Bytes still promised.
    left: u64,
    request_id: String,
    watch: Option<AbortHandle>,
}

struct Flow {
    /// None when the client was given up.
    source: Option<Source>,
    /// Counts how often the client came for more.
    asked: u64,
    /// Whether the client has come and the mesh has not.
    mesh_owes: bool,
}

struct Source {
    stream: DownloadStream,
    /// Of the segment that is being sent.
    piece: Bytes,
    _permit: CountPermit,
}

impl DownloadBody {
    /// The `bytes` of `stream`, for a client that may pause for `idle`, and at most twice as long.
    pub(super) fn new(
        stream: DownloadStream,
        bytes: u64,
        permit: CountPermit,
        idle: Duration,
        request_id: String,
    ) -> DownloadBody {
        let flow = Rc::new(RefCell::new(Flow {
            source: Some(Source {
                stream,
                piece: Bytes::new(),
                _permit: permit,
            }),
            asked: 0,
            mesh_owes: false,
        }));
        // What goes out in one piece waits for no client.
        let watched = bytes > PIECE_BYTES as u64;
        let watch = watched.then(|| {
            spawn_local(give_up_idle(Rc::downgrade(&flow), idle, request_id.clone())).abort_handle()
        });
        DownloadBody {
            flow,
            left: bytes,
            request_id,
            watch,
        }
    }
}

impl Drop for DownloadBody {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// Ends the download of a client that did not come for more between two looks.
async fn give_up_idle(flow: Weak<RefCell<Flow>>, idle: Duration, request_id: String) {
    let mut seen = 0;
    loop {
        tokio::time::sleep(idle).await;
        let Some(flow) = flow.upgrade() else { return };
        let mut flow = flow.borrow_mut();
        if flow.asked == seen && !flow.mesh_owes {
            tracing::warn!(request = %request_id, idle_s = idle.as_secs(), "download given up: the client takes nothing");
            flow.source = None;
            return;
        }
        seen = flow.asked;
    }
}

impl MessageBody for DownloadBody {
    type Error = DownloadError;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, DownloadError>>> {
        let polled = self.flow.borrow_mut().poll_piece(cx);
        match ready!(polled) {
            Some(Ok(piece)) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(error)) => {
                tracing::warn!(request = %self.request_id, left = self.left, "download cut short: {error}");
                Poll::Ready(Some(Err(error)))
            }
            None if self.left == 0 => Poll::Ready(None),
            None => Poll::Ready(Some(Err(DownloadError::Internal))),
        }
    }
}

impl Flow {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, DownloadError>>> {
        self.asked += 1;
        let Some(source) = &mut self.source else {
            return Poll::Ready(Some(Err(DownloadError::Cancelled)));
        };
        while source.piece.is_empty() {
            self.mesh_owes = true;
            match ready!(source.stream.rx.poll_recv(cx)) {
                Some(Ok(piece)) => source.piece = piece,
                other => {
                    self.mesh_owes = false;
                    return Poll::Ready(other);
                }
            }
        }
        self.mesh_owes = false;
        let bytes = source.piece.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(source.piece.split_to(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::mpsc;
    use tokio::task::LocalSet;
    use tokio::time::{Instant, sleep, timeout};
    use truckee_actors::gate::CountGate;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    async fn next(body: &mut DownloadBody) -> Option<Result<Bytes, DownloadError>> {
        poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await
    }

    fn body(bytes: u64, gate: &CountGate) -> (mpsc::Sender<Result<Bytes, DownloadError>>, DownloadBody) {
        let (sender, rx) = mpsc::channel(1);
        let permit = gate.try_acquire().unwrap();
        let body = DownloadBody::new(DownloadStream { rx }, bytes, permit, IDLE, "1".to_owned());
        (sender, body)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let gate = CountGate::new("test", 1);
        let test = async {
            let (sender, mut body) = body(2 << 20, &gate);
            sender.send(Ok(Bytes::from(vec![1; 1 << 20]))).await.unwrap();
            assert_eq!(next(&mut body).await.unwrap().unwrap().len(), PIECE_BYTES);
            let began = Instant::now();
            timeout(10 * IDLE, sender.closed())
                .await
                .expect("it is cancelled");
            assert!(began.elapsed() <= 2 * IDLE, "{:?}", began.elapsed());
            assert!(gate.try_acquire().is_ok(), "its place is free");
            assert_eq!(next(&mut body).await, Some(Err(DownloadError::Cancelled)));
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_and_a_slow_mesh_have_their_time() {
        let gate = CountGate::new("test", 1);
        let test = async {
            let (sender, mut body) = body(1 << 20, &gate);
            sender.send(Ok(Bytes::from(vec![1; 512 << 10]))).await.unwrap();
            for _ in 0..4 {
                next(&mut body).await.unwrap().unwrap();
                sleep(IDLE.mul_f64(0.9)).await;
            }
            let (piece, ()) = tokio::join!(next(&mut body), async {
                sleep(5 * IDLE).await;
                sender.send(Ok(Bytes::from(vec![1; 512 << 10]))).await.unwrap();
            });
            assert_eq!(piece.unwrap().unwrap().len(), PIECE_BYTES);
            for _ in 0..3 {
                next(&mut body).await.unwrap().unwrap();
            }
            drop(sender);
            assert_eq!(next(&mut body).await, None);
        };
        LocalSet::new().run_until(test).await;
    }
}

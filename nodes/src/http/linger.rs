//! Answers to uploads that are refused before their body was read to the end.
//!
//! A server that closes a connection with unread bytes on it resets it, and the reset may overtake the answer: the
//! client then reports a broken connection instead of the reason. So the answer goes out at once, and what the client
//! is still sending is read and thrown away for a while: a client that listens while it sends stops by itself, one
//! that does not gets to the end of its body and then finds the answer.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::error::PayloadError;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

/// A client that sends nothing for as long either waits for the answer, which it has, or is gone.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// Enough to throw away gigabytes from the same machine or a local network; whoever is slower may see a reset.
const LINGER_MAX: Duration = Duration::from_secs(10);

/// The body of a request, which the handler and its answer both hold.
#[derive(Clone)]
pub(super) struct SharedPayload(Rc<RefCell<web::Payload>>);

impl SharedPayload {
    pub(super) fn new(payload: web::Payload) -> SharedPayload {
        SharedPayload(Rc::new(RefCell::new(payload)))
    }

    /// Has the rest of the body thrown away while the answer goes out.
    pub(super) fn linger(self, response: HttpResponse) -> HttpResponse {
        let now = Instant::now();
        let idle = Box::pin(tokio::time::sleep_until(now + IDLE_MAX));
        response.map_body(|_, answer| {
            BoxBody::new(Lingering {
                answer,
                payload: Some(self),
                idle,
                until: now + LINGER_MAX,
            })
        })
    }
}

impl Stream for SharedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(cx)
    }
}

/// An answer that ends only when the request has.
struct Lingering {
    answer: BoxBody,
    payload: Option<SharedPayload>,
    idle: Pin<Box<Sleep>>,
    until: Instant,
}

impl MessageBody for Lingering {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(piece) = std::task::ready!(Pin::new(&mut self.answer).poll_next(cx)) {
            return Poll::Ready(Some(piece));
        }
        while let Some(payload) = &mut self.payload {
            match Pin::new(payload).poll_next(cx) {
                Poll::Ready(Some(Ok(_))) if Instant::now() < self.until => {
                    let idle_until = self.until.min(Instant::now() + IDLE_MAX);
                    self.idle.as_mut().reset(idle_until);
                }
                Poll::Ready(_) => self.payload = None,
                Poll::Pending => {
                    std::task::ready!(self.idle.as_mut().poll(cx));
                    self.payload = None;
                }
            }
        }
        Poll::Ready(None)
    }
}

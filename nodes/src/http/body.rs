//! The body of an upload, from whichever way it came, as one stream of pieces that is known to be whole when it ends.
//!
//! A stream of this kind ends with `None` only if everything that was promised came: a cut connection, a body shorter
//! than its `Content-Length`, an unfinished chunk or form part and a client that sends nothing for a minute are
//! errors. So whoever reads to the end may make a cap of it, and nobody else.

use std::pin::Pin;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use metrics::counter;
use truckee_actors::metrics as names;

use super::port::BodyError;

/// A client that sends nothing for as long holds segments that others could use. Long enough for a mobile network to
/// come back.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Pieces of a body, in order.
pub(super) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>>>>;

/// A body that is read piece by piece.
pub(super) struct Body {
    pieces: Pieces,
    /// Whole length, if it is known beforehand.
    expected: Option<u64>,
    got: u64,
    ended: bool,
}

impl Body {
    /// The body of a request. `expected` is its `Content-Length`.
    pub(super) fn of_request(payload: web::Payload, expected: Option<u64>) -> Body {
        let pieces = payload.map(move |piece| {
            piece.map_err(|error| match error {
                PayloadError::Overflow | PayloadError::EncodingCorrupted => BodyError::Malformed,
                _ => BodyError::Vanished,
            })
        });
        Body::of_pieces(Box::pin(pieces), expected)
    }

    /// A body of pieces that come from elsewhere.
    pub(super) fn of_pieces(pieces: Pieces, expected: Option<u64>) -> Body {
        Body {
            pieces,
            expected,
            got: 0,
            ended: false,
        }
    }

    /// A body that is there already.
    pub(super) fn of_bytes(bytes: Bytes) -> Body {
        let expected = bytes.len() as u64;
        Body::of_pieces(Box::pin(stream::iter([Ok(bytes)])), Some(expected))
    }

    /// Whole length, if it is known beforehand.
    pub(super) fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Bytes read so far.
    pub(super) fn got(&self) -> u64 {
        self.got
    }

    /// The next piece, never empty; none when the whole body was read.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        while !self.ended {
            let next = tokio::time::timeout(IDLE_MAX, self.pieces.next());
            let Ok(next) = next.await else {
                return Err(BodyError::Slow { idle: IDLE_MAX });
            };
            match next {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.got += piece.len() as u64;
                    counter!(names::HTTP_RECEIVED_BYTES).increment(piece.len() as u64);
                    if self.expected.is_some_and(|expected| self.got > expected) {
                        return Err(BodyError::Malformed);
                    }
                    return Ok(Some(piece));
                }
                Some(Err(error)) => return Err(self.named(error)),
                None => {
                    self.ended = true;
                    self.check_length()?;
                }
            }
        }
        Ok(None)
    }

    fn check_length(&self) -> Result<(), BodyError> {
        match self.expected {
            Some(expected) if self.got < expected => Err(BodyError::TooShort {
                expected,
                got: self.got,
            }),
            _ => Ok(()),
        }
    }

    /// Says by how much a body was cut, where that is known.
    fn named(&self, error: BodyError) -> BodyError {
        match error {
            BodyError::Vanished => self.check_length().err().unwrap_or(error),
            other => other,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::http) fn body_of(pieces: Vec<Result<Bytes, BodyError>>, expected: Option<u64>) -> Body {
        Body::of_pieces(Box::pin(stream::iter(pieces)), expected)
    }

    fn piece(text: &'static str) -> Result<Bytes, BodyError> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_whole_body() {
        let mut body = body_of(vec![piece("ab"), piece(""), piece("c")], Some(3));
        assert_eq!(body.next().await, Ok(Some(Bytes::from_static(b"ab"))));
        assert_eq!(body.next().await, Ok(Some(Bytes::from_static(b"c"))));
        assert_eq!(body.next().await, Ok(None));
        assert_eq!(body.next().await, Ok(None));
    }

    #[tokio::test]
    async fn a_cut_body_never_ends_well() {
        for (pieces, expected, error) in [
            (
                vec![piece("ab")],
                Some(3),
                BodyError::TooShort { expected: 3, got: 2 },
            ),
            (
                vec![piece("ab"), Err(BodyError::Vanished)],
                Some(3),
                BodyError::TooShort { expected: 3, got: 2 },
            ),
            (
                vec![piece("ab"), Err(BodyError::Vanished)],
                None,
                BodyError::Vanished,
            ),
            (
                vec![piece("ab"), Err(BodyError::Malformed)],
                Some(3),
                BodyError::Malformed,
            ),
            (vec![piece("ab"), piece("cd")], Some(3), BodyError::Malformed),
        ] {
            let mut body = body_of(pieces, expected);
            assert_eq!(body.next().await, Ok(Some(Bytes::from_static(b"ab"))));
            assert_eq!(body.next().await, Err(error));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up() {
        let mut body = Body::of_pieces(Box::pin(stream::pending()), None);
        let next = tokio::time::timeout(2 * IDLE_MAX, body.next()).await;
        assert_eq!(next, Ok(Err(BodyError::Slow { idle: IDLE_MAX })));
    }
}

//! Cuts a body into segments and hands them to an upload, one whole segment at a time.
//!
//! This is the one copy of the plaintext on its way through the gateway: from the pieces that the socket gave into a
//! buffer that has room for everything that sealing and coding add. A segment is filled only with a permit of the
//! node's byte gate in hand, so that many large uploads together stay within its bound; while there is none, the
//! socket is not read and TCP slows the client down.

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;
use truckee_grid::caps::LIT_BYTES_MAX;

use super::body::Body;
use super::error::HttpError;
use super::port::{BodyError, SegmentIn, TransferPort, UploadError, UploadOutcome, UploadSpec};

/// A body whose beginning is known: enough of it to tell a file that lives in its cap from one that is stored.
pub(super) enum Begun {
    /// The whole of a short body.
    Short(Bytes),
    /// The beginning of a longer one.
    Long(Segments),
}

/// A body on its way into segments.
pub(super) struct Segments {
    body: Body,
    /// Read, but not yet in a segment.
    ahead: Bytes,
    /// In segments already.
    taken: u64,
    bytes_max: u64,
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments")
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

/// Reads until it is clear whether the file fits into a cap.
pub(super) async fn begin(mut body: Body, bytes_max: u64) -> Result<Begun, HttpError> {
    if body.expected().is_some_and(|expected| expected > bytes_max) {
        return Err(HttpError::BodyTooLong { bytes_max });
    }
    let mut ahead = Bytes::new();
    while ahead.len() <= LIT_BYTES_MAX {
        match body.next().await.map_err(UploadError::Body)? {
            None => return Ok(Begun::Short(ahead)),
            Some(_) if body.got() > bytes_max => return Err(HttpError::BodyTooLong { bytes_max }),
            Some(piece) if ahead.is_empty() => ahead = piece,
            Some(piece) => ahead = [ahead, piece].concat().into(),
        }
    }
    Ok(Begun::Long(Segments {
        body,
        ahead,
        taken: 0,
        bytes_max,
    }))
}

impl Segments {
    /// Runs an upload and feeds it to the end. Dropping the future cancels the upload.
    pub(super) async fn upload(
        mut self,
        port: &dyn TransferPort,
        spec: UploadSpec,
    ) -> Result<UploadOutcome, HttpError> {
        // One segment waits here while the upload works on those it has taken: its own window is the read-ahead.
        let (sender, receiver) = mpsc::channel(1);
        let mut upload = port.upload(spec.clone(), receiver);
        let fed = tokio::select! {
            biased;
            ended = &mut upload => return ended.map_err(HttpError::from),
            fed = self.feed(port, &spec, sender) => fed,
        };
        match (fed, upload.await) {
            // What stopped the body says more than that the upload did not get it.
            (Err(error), _) => Err(error),
            (Ok(()), ended) => ended.map_err(HttpError::from),
        }
    }

    /// Sends all segments; the last one says that it is. Ends early if nobody takes them any more.
    async fn feed(
        &mut self,
        port: &dyn TransferPort,
        spec: &UploadSpec,
        sender: mpsc::Sender<Result<SegmentIn, BodyError>>,
    ) -> Result<(), HttpError> {
        loop {
            let segment = match self.next_segment(port, spec).await {
                Ok(segment) => segment,
                Err(error) => {
                    let cause = match &error {
                        HttpError::Upload(UploadError::Body(cause)) => *cause,
                        _ => BodyError::Vanished,
                    };
                    // If nobody listens, the upload has ended and says why itself.
                    let told = sender.send(Err(cause)).await;
                    return if told.is_ok() { Err(error) } else { Ok(()) };
                }
            };
            let last = segment.last;
            if sender.send(Ok(segment)).await.is_err() || last {
                return Ok(());
            }
        }
    }

    /// Fills one segment; there is at least one byte for it.
    async fn next_segment(
        &mut self,
        port: &dyn TransferPort,
        spec: &UploadSpec,
    ) -> Result<SegmentIn, HttpError> {
        let segment_bytes = u64::from(spec.encoding.segment_bytes());
        let left = self
            .body
            .expected()
            .map_or(segment_bytes, |expected| expected - self.taken);
        let fill = left.min(segment_bytes) as usize;
        let permit = port.room_for_segment(spec.encoding.coding(), fill).await?;
        let mut plaintext = BytesMut::with_capacity(spec.buffer_bytes(fill));
        while plaintext.len() < fill && self.read_ahead().await? {
            let part = self.ahead.len().min(fill - plaintext.len());
            plaintext.extend_from_slice(&self.ahead[..part]);
            self.ahead.advance(part);
        }
        self.taken += plaintext.len() as u64;
        let last = !self.read_ahead().await?;
        Ok(SegmentIn {
            plaintext,
            last,
            permit,
        })
    }

    /// Makes sure that there is a byte ahead; false if the body has none any more.
    async fn read_ahead(&mut self) -> Result<bool, HttpError> {
        if !self.ahead.is_empty() {
            return Ok(true);
        }
        match self.body.next().await.map_err(UploadError::Body)? {
            None => Ok(false),
            Some(_) if self.body.got() > self.bytes_max => Err(HttpError::BodyTooLong {
                bytes_max: self.bytes_max,
            }),
            Some(piece) => {
                self.ahead = piece;
                Ok(true)
            }
        }
    }
}

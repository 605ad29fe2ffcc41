//! A body kept on disk between the two passes that a key derived from content needs.
//!
//! The file has no name by the time the first byte is written, is for its owner only, and is gone with the process.
//! It holds plaintext: it lies in the node's own directory, not in a directory that others share.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use truckee_grid::keys::{ConvergentHasher, ReadKey};

use super::body::Body;
use super::error::HttpError;
use super::port::{BodyError, UploadError};

/// Bytes hashed and written in one go on a blocking thread: enough for the hand-over not to count.
const BATCH_BYTES: usize = 512 << 10;

/// Reads the whole body to disk and derives its key, then gives it back as a body to be read again.
pub(super) async fn spool(
    mut body: Body,
    hasher: ConvergentHasher,
    dir: &Path,
    bytes_max: u64,
) -> Result<(Body, ReadKey), HttpError> {
    if body.expected().is_some_and(|expected| expected > bytes_max) {
        return Err(HttpError::BodyTooLong { bytes_max });
    }
    let dir = dir.to_owned();
    let file = blocking(move || nameless(&dir)).await?;
    let mut state = Spooled {
        file,
        hasher,
        bytes: 0,
    };
    let mut batch = BytesMut::with_capacity(BATCH_BYTES);
    while let Some(piece) = body.next().await.map_err(UploadError::Body)? {
        batch.extend_from_slice(&piece);
        if state.bytes + batch.len() as u64 > bytes_max {
            return Err(HttpError::BodyTooLong { bytes_max });
        }
        if batch.len() >= BATCH_BYTES {
            (state, batch) = blocking(move || state.take(batch)).await?;
        }
    }
    (state, _) = blocking(move || state.take(batch)).await?;
    let key = state.hasher.finish();
    let (bytes, mut file) = (state.bytes, state.file);
    let file = blocking(move || file.rewind().map(|()| file)).await?;
    let pieces = stream::try_unfold(file, |file| async move {
        let read = blocking(move || next_batch(file)).await;
        read.map_err(|error| match error {
            HttpError::Spool(kind) => BodyError::Spool { kind },
            _ => BodyError::Spool {
                kind: io::ErrorKind::Other,
            },
        })
    });
    Ok((Body::of_pieces(Box::pin(pieces), Some(bytes)), key))
}

struct Spooled {
    file: File,
    hasher: ConvergentHasher,
    bytes: u64,
}

impl Spooled {
    fn take(mut self, mut batch: BytesMut) -> io::Result<(Spooled, BytesMut)> {
        self.hasher.update(&batch);
        self.file.write_all(&batch)?;
        self.bytes += batch.len() as u64;
        batch.clear();
        Ok((self, batch))
    }
}

/// A file that has no name any more when it is returned.
fn nameless(dir: &Path) -> io::Result<File> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let path = dir.join(format!("spool-{}", truckee_grid::base32::encode(&random)));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn next_batch(mut file: File) -> io::Result<Option<(Bytes, File)>> {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    (&mut file).take(BATCH_BYTES as u64).read_to_end(&mut batch)?;
    Ok((!batch.is_empty()).then(|| (Bytes::from(batch), file)))
}

/// Runs disk work on a thread of its own; the worker goes on serving others.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, HttpError> {
    match web::block(work).await {
        Ok(done) => done.map_err(|error| HttpError::Spool(error.kind())),
        Err(_stopped) => Err(HttpError::Stopping),
    }
}

#[cfg(test)]
mod tests {
    use truckee_grid::keys::ConvergenceSecret;
    use truckee_grid::params::Encoding;

    use super::super::body::tests::body_of;
    use super::*;

    fn hasher() -> ConvergentHasher {
        ConvergentHasher::new(&ConvergenceSecret::from_bytes([7; 32]), &Encoding::default())
    }

    #[actix_web::test]
    async fn what_went_in_comes_out_and_nothing_stays() {
        let temp = tempfile::tempdir().unwrap();
        let pieces: Vec<Bytes> = (0..50_u8).map(|i| Bytes::from(vec![i; 30_000])).collect();
        let whole: Vec<u8> = pieces.concat();
        let body = body_of(pieces.into_iter().map(Ok).collect(), None);
        let (mut again, key) = spool(body, hasher(), temp.path(), 1_500_000).await.unwrap();
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "no name");
        let mut got = Vec::new();
        while let Some(piece) = again.next().await.unwrap() {
            got.extend_from_slice(&piece);
        }
        assert_eq!(got, whole);
        let mut expected = hasher();
        expected.update(&whole);
        assert!(expected.finish() == key);
    }

    #[actix_web::test]
    async fn a_body_that_is_too_long_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let piece = || Ok(Bytes::from_static(&[0; 100]));
        for expected in [None, Some(300)] {
            let body = body_of(vec![piece(), piece(), piece()], expected);
            let refused = spool(body, hasher(), temp.path(), 299).await;
            assert!(matches!(refused, Err(HttpError::BodyTooLong { bytes_max: 299 })));
        }
        let body = body_of(vec![piece(), Err(BodyError::Vanished)], None);
        assert!(matches!(
            spool(body, hasher(), temp.path(), 299).await,
            Err(HttpError::Upload(UploadError::Body(BodyError::Vanished)))
        ));
        let gone = body_of(vec![piece()], None);
        let refused = spool(gone, hasher(), &temp.path().join("absent"), 299).await;
        assert!(matches!(refused, Err(HttpError::Spool(io::ErrorKind::NotFound))));
    }
}

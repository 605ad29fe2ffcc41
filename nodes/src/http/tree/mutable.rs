//! Mutable files: one row that holds the cap of the content. Each write stores a new content and swaps the cap.
//!
//! A write at an offset stores the whole file anew, streaming: the old bytes before the offset, the body, the old bytes
//! after it. The swap holds only if the content is still the one that it was made from.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use truckee_actors::gate::CountPermit;
use truckee_engine::drive::{DriveError, Edit, EditWhy};
use truckee_grid::caps::{Cap, MutableCap};
use truckee_grid::drive::{Child, RowName, Target};

use super::TreeError;
use super::describe::size;
use super::link::new_key;
use crate::http::Gateway;
use crate::http::args::{Args, Format};
use crate::http::body::{Body, Pieces};
use crate::http::error::HttpError;
use crate::http::port::{BodyError, DownloadError, DownloadSpec, DownloadStream, TransferPort};
use crate::http::upload::{Stored, store};

impl Gateway {
    /// Stores a new file of the format that the request names.
    pub(super) async fn new_file(&self, args: &Args, body: Body) -> Result<Stored, HttpError> {
        let format = args.format()?;
        refuse_private_key(args)?;
        let stored = store(self, args, body).await?;
        self.in_format(format.unwrap_or(Format::Chk), stored).await
    }

    /// Makes a mutable file of stored content, if that is the format.
    pub(super) async fn in_format(&self, format: Format, mut stored: Stored) -> Result<Stored, HttpError> {
        let wrap: fn(MutableCap) -> Cap = match format {
            Format::Chk => return Ok(stored),
            Format::Sdmf => Cap::Ssk,
            Format::Mdmf => Cap::Mdmf,
        };
        let key = new_key()?;
        let content = Child {
            target: Target::Cap(stored.cap),
            metadata: "{}".to_owned(),
        };
        self.drive
            .create(key.clone(), vec![(RowName::Content, content)])
            .await?;
        stored.cap = wrap(MutableCap::of_write_key(key));
        Ok(stored)
    }

    /// Replaces the whole content.
    pub(super) async fn overwrite(&self, file: &Cap, args: &Args, body: Body) -> Result<(), HttpError> {
        let writable = writable_file(file)?;
        let stored = store(self, args, body).await?;
        self.swap(writable, stored.cap, None).await
    }

    /// Makes stored bytes the content.
    pub(super) async fn overwrite_with(&self, file: &Cap, content: Cap) -> Result<(), HttpError> {
        self.swap(writable_file(file)?, content, None).await
    }

    /// Replaces the bytes from `offset` on, as many as the body has; the file grows if it must.
    pub(super) async fn splice(
        &self,
        file: &Cap,
        args: &Args,
        offset: u64,
        body: Body,
    ) -> Result<(), HttpError> {
        let writable = writable_file(file)?;
        let old = self.content(file).await?;
        let file_bytes = size(&old).ok_or(HttpError::Internal)?;
        if offset > file_bytes {
            return Err(TreeError::OffsetBeyondEnd { offset, file_bytes }.into());
        }
        let based_on = Some(Target::Cap(old.clone()));
        let expected = body
            .expected()
            .map(|body_bytes| file_bytes.max(offset.saturating_add(body_bytes)));
        let failure = Failure::default();
        let splice = Splice {
            port: Arc::clone(&self.port),
            old,
            offset,
            file_bytes,
            body,
            phase: Phase::Head,
            reading: None,
            failure: Arc::clone(&failure),
            _permit: self.admit_download().await?,
        };
        let body = Body::of_pieces(splice.into_pieces(), expected);
        let stored = store(self, args, body).await.map_err(|error| {
            let cause = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            cause.unwrap_or(error)
        })?;
        self.swap(writable, stored.cap, based_on).await
    }

    async fn swap(&self, file: &MutableCap, content: Cap, based_on: Option<Target>) -> Result<(), HttpError> {
        let target = Target::Cap(content);
        let edit = Edit::SetContent { target, based_on };
        match self.drive.edit(file, vec![edit]).await {
            Ok(_) => Ok(()),
            Err(DriveError::Refused(refused)) if refused.why == EditWhy::Changed => {
                Err(TreeError::ChangedMeanwhile.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Why the old content could not be read on: an error of the request, which a body cannot carry.
type Failure = Arc<Mutex<Option<HttpError>>>;

/// Old bytes, the body, old bytes, as one stream.
struct Splice {
    port: Arc<dyn TransferPort>,
    old: Cap,
    offset: u64,
    file_bytes: u64,
    body: Body,
    phase: Phase,
    reading: Option<Reading>,
    failure: Failure,
    _permit: CountPermit,
}

/// What comes next.
enum Phase {
    Head,
    Body,
    Tail,
    End,
}

/// A part of the old content.
enum Reading {
    Literal(Bytes),
    Stream(DownloadStream),
}

impl Splice {
    fn into_pieces(self) -> Pieces {
        Box::pin(stream::try_unfold(self, |mut splice| async move {
            let piece = splice.next().await?;
            Ok(piece.map(|piece| (piece, splice)))
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.reading.take() {
                Some(Reading::Literal(bytes)) => return Ok(Some(bytes)),
                Some(Reading::Stream(mut stream)) => {
                    if let Some(piece) = stream.rx.recv().await {
                        let piece = piece.map_err(|error| self.fail(error))?;
                        self.reading = Some(Reading::Stream(stream));
                        return Ok(Some(piece));
                    }
                }
                None => {}
            }
            match self.phase {
                Phase::Head => {
                    self.phase = Phase::Body;
                    self.read(0..self.offset).await?;
                }
                Phase::Body => match self.body.next().await? {
                    Some(piece) => return Ok(Some(piece)),
                    None => self.phase = Phase::Tail,
                },
                Phase::Tail => {
                    self.phase = Phase::End;
                    let from = self.offset.saturating_add(self.body.got()).min(self.file_bytes);
                    self.read(from..self.file_bytes).await?;
                }
                Phase::End => return Ok(None),
            }
        }
    }

    async fn read(&mut self, range: Range<u64>) -> Result<(), BodyError> {
        if range.is_empty() {
            return Ok(());
        }
        self.reading = match &self.old {
            Cap::Chk(cap) => {
                let spec = DownloadSpec {
                    cap: cap.clone(),
                    range: Some(range),
                };
                let stream = self.port.download(spec).await;
                Some(Reading::Stream(stream.map_err(|error| self.fail(error))?))
            }
            Cap::Lit(lit) => {
                let bytes = &lit.bytes()[range.start as usize..range.end as usize];
                Some(Reading::Literal(Bytes::copy_from_slice(bytes)))
            }
            _ => None,
        };
        Ok(())
    }

    fn fail(&self, error: DownloadError) -> BodyError {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(HttpError::Download(error));
        BodyError::Vanished
    }
}

/// What changes a mutable file.
fn writable_file(file: &Cap) -> Result<&MutableCap, HttpError> {
    match file {
        Cap::Ssk(file @ MutableCap::Write { .. }) | Cap::Mdmf(file @ MutableCap::Write { .. }) => Ok(file),
        Cap::Ssk(MutableCap::Read { .. }) | Cap::Mdmf(MutableCap::Read { .. }) => {
            Err(DriveError::ReadOnly.into())
        }
        Cap::Ssk(_) | Cap::Mdmf(_) | Cap::ChkVerifier(_) => Err(DriveError::VerifyOnly.into()),
        Cap::Lit(_) | Cap::Chk(_) => Err(TreeError::ImmutableFile.into()),
        _ => Err(TreeError::NotAFile.into()),
    }
}

/// Caps of Truckee and of Tahoe-LAFS derive from different kinds of keys.
pub(super) fn refuse_private_key(args: &Args) -> Result<(), HttpError> {
    match args.get("private-key") {
        None => Ok(()),
        Some(_) => Err(HttpError::Unsupported {
            what: "making a mutable file or directory from an RSA key of yours (private-key=)",
        }),
    }
}

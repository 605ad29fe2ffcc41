//! Immutable directories: a file (or a literal cap) that holds a canonical listing.
//!
//! A listing never changes, so an opened one is kept for the next path that leads through it, within a bound of bytes.
//! Its key derives from its content, so that the same children give the same cap.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use truckee_engine::drive::DirectoryView;
use truckee_grid::caps::{Cap, ChkCap, LitCap};
use truckee_grid::drive::{Child, ChildName, listing};
use truckee_grid::ids::{Hash, StorageIndex};
use truckee_grid::keys::ConvergentHasher;

use super::TreeError;
use crate::http::Gateway;
use crate::http::body::Body;
use crate::http::error::HttpError;
use crate::http::port::{DownloadSpec, KeyChoice, UploadSpec};
use crate::http::segments::{Begun, begin};

/// Longest listing that is opened, bytes: a full directory of 100,000 children with ordinary metadata.
const LISTING_BYTES_MAX: u64 = 64 << 20;
/// Bytes of listings kept: the directories of a few backups that somebody walks through.
const KEPT_BYTES_MAX: u64 = 32 << 20;

/// Opened listings, the least recently used one first.
#[derive(Default)]
pub(in crate::http) struct Listings(Mutex<Vec<Kept>>);

struct Kept {
    name: (StorageIndex, Hash),
    bytes: u64,
    view: Arc<DirectoryView>,
}

impl Listings {
    fn get(&self, cap: &ChkCap) -> Option<Arc<DirectoryView>> {
        let name = (cap.storage_index(), cap.ueb_hash);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|kept| kept.name == name)?;
        let found = kept.remove(at);
        let view = Arc::clone(&found.view);
        kept.push(found);
        Some(view)
    }

    fn keep(&self, cap: &ChkCap, view: &Arc<DirectoryView>) {
        if cap.size > KEPT_BYTES_MAX / 4 {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (cap.storage_index(), cap.ueb_hash);
        kept.retain(|kept| kept.name != name);
        kept.push(Kept {
            name,
            bytes: cap.size,
            view: Arc::clone(view),
        });
        while kept.iter().map(|kept| kept.bytes).sum::<u64>() > KEPT_BYTES_MAX {
            kept.remove(0);
        }
    }
}

/// Reads a listing.
pub(super) fn open(bytes: &[u8]) -> Result<DirectoryView, HttpError> {
    let children = listing::parse(bytes).map_err(|_damaged| TreeError::BadListing)?;
    Ok(DirectoryView {
        version: 1,
        writable: false,
        children: children.into_iter().collect(),
        content: None,
    })
}

impl Gateway {
    pub(super) async fn read_listing(&self, cap: &ChkCap) -> Result<Arc<DirectoryView>, HttpError> {
        if let Some(view) = self.listings.get(cap) {
            return Ok(view);
        }
        if cap.size > LISTING_BYTES_MAX {
            return Err(TreeError::ListingTooLong {
                bytes: cap.size,
                bytes_max: LISTING_BYTES_MAX,
            }
            .into());
        }
        let _permit = self.admit_download().await?;
        let spec = DownloadSpec {
            cap: cap.clone(),
            range: None,
        };
        let mut stream = self.port.download(spec).await?;
        let mut bytes = BytesMut::with_capacity(cap.size as usize);
        while let Some(piece) = stream.rx.recv().await {
            bytes.extend_from_slice(&piece?);
        }
        if bytes.len() as u64 != cap.size {
            return Err(HttpError::Internal);
        }
        let view = Arc::new(open(&bytes)?);
        self.listings.keep(cap, &view);
        Ok(view)
    }

    /// Stores an immutable directory.
    pub(super) async fn store_listing(&self, children: Vec<(ChildName, Child)>) -> Result<Cap, HttpError> {
        let bytes = listing::encode(&children.into_iter().collect()).map_err(|_| TreeError::BadListing)?;
        if bytes.len() as u64 > LISTING_BYTES_MAX {
            return Err(TreeError::ListingTooLong {
                bytes: bytes.len() as u64,
                bytes_max: LISTING_BYTES_MAX,
            }
            .into());
        }
        if let Some(literal) = LitCap::new(&bytes) {
            return Ok(Cap::DirLit(literal));
        }
        let _permit = self.admit_upload().await?;
        let mut hasher = ConvergentHasher::new(&self.convergence, &self.encoding);
        hasher.update(&bytes);
        let spec = UploadSpec {
            encoding: self.encoding,
            key: KeyChoice::Convergent(hasher.finish()),
            size_hint: Some(bytes.len() as u64),
        };
        match begin(Body::of_bytes(bytes.into()), LISTING_BYTES_MAX).await? {
            Begun::Short(_) => Err(HttpError::Internal),
            Begun::Long(segments) => {
                let stored = segments.upload(self.port.as_ref(), spec).await?;
                Ok(Cap::DirChk(stored.cap))
            }
        }
    }
}

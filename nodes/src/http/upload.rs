//! Files on their way in, whichever request brings them.
//!
//! A cap is answered only after the upload has reported that enough peers hold their shares durably; every other way
//! an upload can end is an error. A client that goes away drops the handler's future, which cancels the upload.

use actix_web::HttpRequest;
use actix_web::http::header;
use serde_json::{Value, json};
use truckee_grid::caps::{Cap, LitCap};
use truckee_grid::keys::ConvergentHasher;

use super::Gateway;
use super::args::Args;
use super::body::Body;
use super::error::HttpError;

use super::port::{KeyChoice, UploadOutcome, UploadSpec};
use super::segments::{Begun, begin};
use super::spool::spool;

/// A stored file.
#[derive(Debug)]
pub(super) struct Stored {
    /// Reads it.
    pub(super) cap: Cap,
    /// Its length, bytes.
    pub(super) bytes: u64,
    /// How it went; none for a file that lives in its cap.
    pub(super) outcome: Option<UploadOutcome>,
}

/// The length that the client promised; none if the body comes in chunks.
pub(super) fn content_length(request: &HttpRequest) -> Result<Option<u64>, HttpError> {
    let Some(value) = request.headers().get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    let expected = "the length of the body in bytes";
    parsed.map(Some).ok_or(HttpError::BadArgument {
        name: "Content-Length",
        expected,
    })
}

/// Stores one file.
pub(super) async fn store(gateway: &Gateway, args: &Args, body: Body) -> Result<Stored, HttpError> {
    let encoding = args.encoding(&gateway.encoding)?;
    let convergent = args.flag("convergent")?;
    let _permit = gateway.admit_upload().await?;
    let (body, key) = if convergent {
        let hasher = ConvergentHasher::new(&gateway.convergence, &encoding);
        let bytes_max = gateway.limits.convergent_bytes.min(gateway.limits.body_bytes);
        let (body, key) = spool(body, hasher, &gateway.spool_dir, bytes_max).await?;
        (body, KeyChoice::Convergent(key))
    } else {
        (body, KeyChoice::Random)
    };
    let size_hint = body.expected();
    match begin(body, gateway.limits.body_bytes).await? {
        Begun::Short(bytes) => {
            let lit = LitCap::new(&bytes).expect("a short body is as short as a literal cap takes");
            Ok(Stored {
                cap: Cap::Lit(lit),
                bytes: bytes.len() as u64,
                outcome: None,
            })
        }
        Begun::Long(segments) => {
            let spec = UploadSpec {
                encoding,
                key,
                size_hint,
            };
            let outcome = segments.upload(gateway.port.as_ref(), spec).await?;
            let cap = outcome.cap.clone();
            Ok(Stored {
                bytes: cap.size,
                cap: Cap::Chk(cap),
                outcome: Some(outcome),
            })
        }
    }
}

impl Stored {
    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let upload = self.outcome.as_ref().map(|outcome| {
            json!({
                "shares_placed": outcome.placed,
                "shares_found": outcome.existing,
                "happiness": outcome.happiness,
                "needs_repair": outcome.needs_repair,
                "timings_s": {
                    "choose": outcome.timings.choose.as_secs_f64(),
                    "encode": outcome.timings.encode.as_secs_f64(),
                    "push": outcome.timings.push.as_secs_f64(),
                    "close": outcome.timings.close.as_secs_f64(),
                    "total": outcome.timings.total.as_secs_f64(),
                },
            })
        });
        json!({
            "cap": self.cap.to_uri(),
            "verify_cap": self.cap.to_verifier().map(|cap| cap.to_uri()),
            "size": self.bytes,
            "upload": upload,
        })
    }
}

//! Everything that an HTTP request can fail with, and how it is told: a status, one clear sentence, a request id.
//!
//! Sentences never repeat what the client sent, since that may hold a cap.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use thiserror::Error;
use truckee_actors::gate::GateError;
use truckee_actors::transfers::TransferPeerReport;
use truckee_engine::drive::DriveError;
use truckee_grid::caps::CapError;
use truckee_grid::params::ParamsError;

use super::Gateway;
use super::auth::CHALLENGES;
use super::deep::DeepError;
use super::observe::request_id;
use super::pages;
use super::port::{BodyError, DownloadError, UploadError};
use super::tree::TreeError;

/// Why a request is not served.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    #[error("there is no cap in this URL; it should look like /uri/URI:CHK:…")]
    NoCap,
    #[error(transparent)]
    BadCap(CapError),
    #[error(
        "the URL holds a damaged escape: % must be followed by two hexadecimal digits, and the text must be UTF-8"
    )]
    BadEscape,
    #[error("the URL is longer than {bytes_max} bytes")]
    PathTooLong { bytes_max: usize },
    #[error("the arguments after the question mark cannot be read or are too many")]
    BadQuery,
    #[error("{name} must be {expected}")]
    BadArgument {
        name: &'static str,
        expected: &'static str,
    },
    #[error("{0}")]
    BadEncoding(ParamsError),
    #[error("caps of kind {kind} do not read a file; a cap that does begins with URI:CHK: or URI:LIT:")]
    CannotRead { kind: &'static str },
    #[error("a file has nothing below it; use /file/CAP/NAME to give it a name")]
    NothingBelowFile,
    #[error("{what} is not supported by this gateway")]
    Unsupported { what: &'static str },
    #[error("there is nothing here; the gateway's page is at /")]
    NoSuchRoute,
    #[error("this URL does not take that method; allowed: {allowed}")]
    WrongMethod { allowed: &'static str },
    #[error("the range lies beyond the end of the file, which has {file_bytes} bytes")]
    RangeBeyondEnd { file_bytes: u64 },
    #[error("the body is longer than the {bytes_max} bytes that this gateway takes")]
    BodyTooLong { bytes_max: u64 },
    #[error("the form cannot be read: {0}")]
    BadForm(FormError),
    #[error("this gateway has as many {what} under way as it takes; try again in {seconds} s", seconds = .retry_after.as_secs().max(1))]
    Busy {
        what: &'static str,
        retry_after: Duration,
    },
    #[error(
        "this gateway asks for its access token: send `Authorization: Bearer TOKEN`, or in a browser any user name \
         and the token as password"
    )]
    Unauthorised,
    #[error("a page of another site must not change anything here; open the gateway's own page")]
    ForeignPage,
    #[error("the node is stopping; use another gateway or try again when it is back")]
    Stopping,
    #[error("the upload cannot be kept on disk meanwhile ({0}); the gateway's disk may be full")]
    Spool(std::io::ErrorKind),
    #[error("{0}")]
    Upload(#[from] UploadError),
    #[error("{0}")]
    Download(#[from] DownloadError),
    #[error("{0}")]
    Tree(#[from] TreeError),
    #[error("{0}")]
    Deep(#[from] DeepError),
    #[error("there is no operation of this name; the gateway keeps the last ones only")]
    NoSuchOperation,
    #[error("something inside the gateway failed; its log has more under the request id")]
    Internal,
}

/// What can be wrong with a form.
#[derive(Debug, Error)]
pub(super) enum FormError {
    #[error("it is not multipart/form-data with a boundary")]
    NotMultipart,
    #[error("it has no field named file")]
    NoFile,
    #[error("it brings a file, which only t=upload takes")]
    UnwantedFile,
    #[error("it has more than one field named file")]
    SecondFile,
    #[error("it has more fields, or longer ones, than a form for a file")]
    TooMuch,
    #[error("it is cut or its parts are malformed")]
    Malformed,
    #[error("when_done must be a path on this gateway, beginning with a single /")]
    ForeignRedirect,
}

impl HttpError {
    /// The answer's status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            HttpError::NoCap
            | HttpError::BadCap(_)
            | HttpError::BadEscape
            | HttpError::BadQuery
            | HttpError::BadArgument { .. }
            | HttpError::BadEncoding(_)
            | HttpError::CannotRead { .. }
            | HttpError::NothingBelowFile
            | HttpError::BadForm(_) => StatusCode::BAD_REQUEST,
            HttpError::PathTooLong { .. } => StatusCode::URI_TOO_LONG,
            HttpError::Unsupported { .. } => StatusCode::NOT_IMPLEMENTED,
            HttpError::Unauthorised => StatusCode::UNAUTHORIZED,
            HttpError::ForeignPage => StatusCode::FORBIDDEN,
            HttpError::NoSuchRoute | HttpError::NoSuchOperation => StatusCode::NOT_FOUND,
            HttpError::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            HttpError::RangeBeyondEnd { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            HttpError::BodyTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            HttpError::Busy { .. } | HttpError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            HttpError::Spool(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            HttpError::Spool(_) | HttpError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            HttpError::Upload(error) => upload_status(error),
            HttpError::Download(error) => download_status(error),
            HttpError::Tree(error) => error.status(),
            HttpError::Deep(error) => error.status(),
        }
    }

    /// The kind of the error for programs; part of the interface, never reworded.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            HttpError::NoCap | HttpError::BadCap(_) | HttpError::CannotRead { .. } => "bad_cap",
            HttpError::BadEscape | HttpError::PathTooLong { .. } | HttpError::BadQuery => "bad_url",
            HttpError::BadArgument { .. } | HttpError::BadEncoding(_) => "bad_argument",
            HttpError::NothingBelowFile => "not_a_directory",
            HttpError::Unsupported { .. } => "unsupported",
            HttpError::Unauthorised => "unauthorised",
            HttpError::ForeignPage => "foreign_page",
            HttpError::NoSuchRoute => "no_such_route",
            HttpError::WrongMethod { .. } => "wrong_method",
            HttpError::RangeBeyondEnd { .. } => "range_beyond_end",
            HttpError::BodyTooLong { .. } => "body_too_long",
            HttpError::BadForm(_) => "bad_form",
            HttpError::Busy { .. } => "busy",
            HttpError::Stopping => "stopping",
            HttpError::Spool(_) => "spool",
            HttpError::Upload(error) => error.cause(),
            HttpError::Download(error) => error.cause(),
            HttpError::Tree(error) => error.cause(),
            HttpError::Deep(error) => error.cause(),
            HttpError::NoSuchOperation => "no_such_operation",
            HttpError::Internal => "internal",
        }
    }

    /// What went wrong with each peer, for the errors where that is the reason.
    fn peers(&self) -> &[TransferPeerReport] {
        match self {
            HttpError::Upload(UploadError::NotHappy(not_happy)) => &not_happy.peers,
            HttpError::Download(DownloadError::TooFewShares(too_few)) => &too_few.peers,
            _ => &[],
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        // How long a restart of a node takes, about.
        const RESTART: Duration = Duration::from_secs(5);
        match self {
            HttpError::Busy { retry_after, .. } => Some(*retry_after),
            HttpError::Download(DownloadError::Overloaded { retry_after })
            | HttpError::Tree(TreeError::Drive(DriveError::Busy { retry_after })) => Some(*retry_after),
            // Waiting does not help: somebody has to set up a vdrive.
            HttpError::Tree(TreeError::Drive(DriveError::NoVdrive)) => None,
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(RESTART),
            _ => None,
        }
    }

    /// The whole answer.
    pub(super) fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let status = self.status();
        let id = request_id(request);
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            tracing::warn!(request = %id, status = status.as_u16(), cause = self.cause(), "request failed: {self}");
        }
        let mut response = HttpResponse::build(status);
        if let Some(delay) = self.retry_after() {
            response.insert_header((header::RETRY_AFTER, delay.as_secs().max(1)));
        }
        match self {
            HttpError::RangeBeyondEnd { file_bytes } => {
                response.insert_header((header::CONTENT_RANGE, format!("bytes */{file_bytes}")));
            }
            HttpError::Unauthorised => {
                for challenge in CHALLENGES {
                    response.append_header((header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
                }
            }
            HttpError::WrongMethod { allowed } => {
                response.insert_header((header::ALLOW, HeaderValue::from_static(allowed)));
            }
            _ => {}
        }
        let names = Nicknames::of(self.peers(), request);
        let sentence = names.put_into(self.to_string());
        if wants_json(request) {
            let error = json!({
                "peers": self.peers().iter().map(|report| names.row(report)).collect::<Vec<Value>>(),
                "status": status.as_u16(), "cause": self.cause(), "message": sentence, "request_id": id,
            });
            return response.json(json!({ "error": error }));
        }
        if wants_page(request) {
            let headers = response.finish().headers().clone();
            return pages::failure(status, &sentence, &id, headers);
        }
        response
            .content_type("text/plain; charset=utf-8")
            .body(format!("{sentence}\n(request {id})\n"))
    }
}

/// The names for people of the peers in an error: its sentence says which machine to look at.
struct Nicknames(BTreeMap<String, String>);

impl Nicknames {
    fn of(reports: &[TransferPeerReport], request: &HttpRequest) -> Nicknames {
        let gateway = request
            .app_data::<web::Data<Gateway>>()
            .filter(|_| !reports.is_empty());
        let peers = gateway
            .map(|gateway| gateway.view.snapshot().peers)
            .unwrap_or_default();
        Nicknames(
            peers
                .into_iter()
                .map(|peer| (peer.node_id, peer.nickname))
                .collect(),
        )
    }

    /// Replaces each node id by the nickname; the first characters of the id stay, as nicknames may be alike.
    fn put_into(&self, sentence: String) -> String {
        self.0.iter().fold(sentence, |sentence, (id, nickname)| {
            let short = id.get(..8).unwrap_or(id);
            sentence.replace(id, &format!("{nickname} ({short})"))
        })
    }

    fn row(&self, report: &TransferPeerReport) -> Value {
        let id = report.peer.to_base32();
        json!({
            "nickname": self.0.get(&id), "node_id": id,
            "cause": report.why.name(), "message": report.why.to_string(),
        })
    }
}

fn upload_status(error: &UploadError) -> StatusCode {
    match error {
        UploadError::NotHappy(_) => StatusCode::INSUFFICIENT_STORAGE,
        UploadError::Body(BodyError::Slow { .. }) => StatusCode::REQUEST_TIMEOUT,
        UploadError::Body(BodyError::Spool { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
        UploadError::Body(_) | UploadError::Empty | UploadError::Cancelled => StatusCode::BAD_REQUEST,
        UploadError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        UploadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        UploadError::SegmentSize { .. } | UploadError::Encode { .. } | UploadError::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn download_status(error: &DownloadError) -> StatusCode {
    match error {
        DownloadError::TooFewShares(_) | DownloadError::Inconsistent { .. } => StatusCode::GONE,
        DownloadError::RangeBeyondEnd { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        DownloadError::CapContradicts => StatusCode::BAD_REQUEST,
        DownloadError::Overloaded { .. } | DownloadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        DownloadError::Cancelled | DownloadError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<DriveError> for HttpError {
    fn from(error: DriveError) -> HttpError {
        HttpError::Tree(TreeError::Drive(error))
    }
}

impl From<GateError> for HttpError {
    fn from(error: GateError) -> HttpError {
        match error {
            GateError::Closed { .. } => HttpError::Stopping,
            GateError::Full { .. } => HttpError::Busy {
                what: "transfers",
                retry_after: Duration::from_secs(1),
            },
            // The configuration is checked against it at start.
            GateError::TooLarge { .. } => HttpError::Internal,
        }
    }
}

/// Whether a browser asks: programs do not name HTML.
fn wants_page(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"))
}

/// Whether the client asks for JSON rather than for text.
pub(super) fn wants_json(request: &HttpRequest) -> bool {
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| {
        accept
            .split(',')
            .any(|item| item.trim().starts_with("application/json"))
    })
}

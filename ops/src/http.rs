//! The gateway as this program sees it: one HTTP client for every command.
//!
//! Owns where the gateway is looked for, the timeouts, the access token, and how answers become errors; what can be asked
//! of directories stands in [`crate::client`]. Bodies stream both ways and are never held whole. Environment proxies are
//! not used: a cap in a request line is a secret, and a gateway stands beside its user. A gateway elsewhere is reached by
//! `https://`.

mod tls;

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use ureq::http::{Method, Request, Response};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, SendBody};
use zeroize::Zeroizing;

use crate::cli::ClientArgs;
use crate::cluster::file::{ClusterFile, DEFAULT_DIR};
use crate::error::CliError;

/// The address when nothing else names one; where a gateway listens by default.
pub const DEFAULT_GATEWAY: &str = "http://127.0.0.1:3456";

/// A gateway is near: one that does not take a connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest silence within a transfer. Longer than any patience inside the mesh (a download gives up on frozen peers
/// after seconds), so that the gateway's own sentence arrives first.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes of an error text or of a status page that are read.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Most bytes of a file with an access token; a longer one is some other file.
const TOKEN_BYTES_MAX: usize = 4096;

/// Bodies from this size on ask for leave before they are sent, so that a refusal arrives as a sentence and not as a
/// broken connection. Below, the round trip costs more than the bytes.
const EXPECT_FROM_BYTES: u64 = 1024 * 1024;

/// A gateway's address and a pool of connections to it.
#[derive(Clone)]
pub struct Gateway {
    agent: Agent,
    url: String,
    /// The whole `Authorization` header, if the gateway wants one.
    authorization: Option<Zeroizing<String>>,
    /// Longest that a request without a body may take as a whole, if there is a bound.
    within: Option<Duration>,
}

/// What a request carries beside its address.
pub(crate) enum Payload<'a> {
    /// No body at all.
    Nothing,
    /// A small body of this type, held whole; it may be empty.
    Text(&'static str, &'a [u8]),
    /// A stream, of this length if that is known.
    Stream(&'a mut dyn Read, Option<u64>),
}

/// How an upload is to be coded; what is not set is the gateway's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutChoice {
    /// Shares needed.
    pub k: Option<u16>,
    /// Shares made.
    pub n: Option<u16>,
    /// Distinct peers that must hold one.
    pub happy: Option<u16>,
    /// Same content, same cap.
    pub convergent: bool,
}

impl PutChoice {
    /// As the query of the request, with its question mark; empty if nothing is chosen.
    pub(crate) fn query(self) -> String {
        let number = |name: &str, value: Option<u16>| value.map(|value| format!("{name}={value}"));
        let convergent = self.convergent.then(|| "convergent=true".to_owned());
        let parts: Vec<String> = [
            number("k", self.k),
            number("n", self.n),
            number("happy", self.happy),
            convergent,
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!("?{}", parts.join("&"))
        }
    }
}

/// A download whose first bytes are there.
pub struct Download {
    /// Length of the body that the gateway announced.
    pub announced_bytes: Option<u64>,
    body: Body,
}

impl Download {
    /// The content.
    pub fn into_reader(self) -> impl Read {
        self.body.into_reader()
    }
}

/// Connections to a gateway, and how long each waits to be made and for any sign of life.
fn agent(tls: TlsConfig, connect: Duration, silence: Duration) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(tls)
        .timeout_connect(Some(connect))
        .timeout_per_read(Some(silence))
        .timeout_per_write(Some(silence))
        .timeout_recv_response(Some(silence))
        .user_agent(concat!("truckee/", env!("CARGO_PKG_VERSION")))
        .build();
    config.new_agent()
}

impl Gateway {
    /// Finds the gateway: option or environment, else the cluster in `./truckee-cluster`, else the default; with the
    /// access token that was given.
    ///
    /// # Errors
    /// When the address or the token has no usable form or the cluster file is broken.
    pub(crate) fn of(args: &ClientArgs) -> Result<Gateway, CliError> {
        let address = match &args.gateway {
            Some(given) => given.clone(),
            None => ClusterFile::read(Path::new(DEFAULT_DIR))?
                .map_or_else(|| DEFAULT_GATEWAY.to_owned(), |cluster| cluster.gateway),
        };
        let mut gateway = Gateway::with_ca(&address, args.ca.as_deref())?;
        let token = match (&args.token_file, &args.token) {
            (Some(path), _) => Some(read_token(path)?),
            (None, Some(token)) => Some(Zeroizing::new(token.clone())),
            (None, None) => None,
        };
        gateway.authorization = token.map(|token| authorization(&token)).transpose()?;
        Ok(gateway)
    }

    /// The gateway at `address`: `http://host:port`, `https://host:port` or `host:port`.
    ///
    /// # Errors
    /// When the address has no usable form.
    pub fn at(address: &str) -> Result<Gateway, CliError> {
        Gateway::with_ca(address, None)
    }

    /// The same; an `https://` gateway must have a certificate that is in the file `ca`, or signed by one that is.
    pub(crate) fn with_ca(address: &str, ca: Option<&Path>) -> Result<Gateway, CliError> {
        let url = normalise(address)?;
        let tls = if url.starts_with("https:") {
            tls::config(ca)?
        } else {
            TlsConfig::default()
        };
        Ok(Gateway {
            agent: agent(tls, CONNECT_TIMEOUT, SILENCE_TIMEOUT),
            url,
            authorization: None,
            within: None,
        })
    }

    /// The same for somebody who does not wait: what is asked without a body is given up after this long.
    pub(crate) fn within(mut self, within: Duration) -> Gateway {
        self.within = Some(within);
        self
    }

    /// The same gateway, with connections of its own and less patience, for those who only look whether it is there.
    pub(crate) fn impatient(&self, silence: Duration) -> Gateway {
        let tls = self.agent.config().tls_config().clone();
        Gateway {
            agent: agent(tls, silence, silence),
            ..self.clone()
        }
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Uploads `body` and gives the cap. `length_bytes` is announced if known; the body must then have just that.
    ///
    /// # Errors
    /// When the gateway cannot be reached or refuses.
    pub fn put(
        &self,
        body: &mut dyn Read,
        length_bytes: Option<u64>,
        choice: PutChoice,
    ) -> Result<String, CliError> {
        let path = format!("/uri{}", choice.query());
        let mut response = self.call(&Method::PUT, &path, Payload::Stream(body, length_bytes), None)?;
        self.cap(&mut response)
    }

    /// The answer as a cap.
    pub(crate) fn cap(&self, response: &mut Response<Body>) -> Result<String, CliError> {
        let cap = self.text(response)?.trim().to_owned();
        if cap.contains(char::is_whitespace) || !cap.contains("URI:") {
            return Err(self.odd("no cap"));
        }
        Ok(cap)
    }

    /// Opens a download of `cap`, whole or the bytes of `range` (first byte, length if not to the end).
    ///
    /// # Errors
    /// When the gateway cannot be reached or refuses, or if it ignores the range.
    pub fn get(&self, cap: &str, range: Option<(u64, Option<u64>)>) -> Result<Download, CliError> {
        self.open(&format!("/uri/{}", escape(cap)), range)
    }

    /// Opens a download of whatever is at `path_and_query`.
    pub(crate) fn open(
        &self,
        path_and_query: &str,
        range: Option<(u64, Option<u64>)>,
    ) -> Result<Download, CliError> {
        let range_header = range.map(|(first, length)| {
            let last = length
                .map(|length| first.saturating_add(length - 1).to_string())
                .unwrap_or_default();
            format!("bytes={first}-{last}")
        });
        let response = self.call(
            &Method::GET,
            path_and_query,
            Payload::Nothing,
            range_header.as_deref(),
        )?;
        if range.is_some() && response.status() != 206 {
            return Err(self.odd("the whole file where a part was asked for"));
        }
        let body = response.into_body();
        Ok(Download {
            announced_bytes: body.content_length(),
            body,
        })
    }

    /// A small JSON answer, such as that of `/?t=json`.
    ///
    /// # Errors
    /// When the gateway cannot be reached, refuses, or answers something else.
    pub fn json(&self, path_and_query: &str) -> Result<serde_json::Value, CliError> {
        let text = self.page(path_and_query)?;
        serde_json::from_str(&text).map_err(|_| self.odd("something that is not JSON"))
    }

    /// A small text answer.
    ///
    /// # Errors
    /// When the gateway cannot be reached or refuses.
    pub fn page(&self, path_and_query: &str) -> Result<String, CliError> {
        let mut response = self.call(&Method::GET, path_and_query, Payload::Nothing, None)?;
        self.text(&mut response)
    }

    /// Sends a request and gives the answer if it is a good one.
    pub(crate) fn call(
        &self,
        method: &Method,
        path_and_query: &str,
        payload: Payload<'_>,
        range: Option<&str>,
    ) -> Result<Response<Body>, CliError> {
        let uri = format!("{}{path_and_query}", self.url);
        let mut request = Request::builder().method(method).uri(uri);
        // Errors as a sentence and not as a page; Tahoe-LAFS makes pages for whoever takes anything.
        request = request.header("accept", "text/plain");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.as_str());
        }
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let unusable = |_| self.odd("an address that cannot be asked for");
        let sent = match payload {
            Payload::Nothing => {
                let request = request.body(()).map_err(unusable)?;
                let bounded = self.agent.configure_request(request).timeout_global(self.within);
                self.agent.run(bounded.build())
            }
            Payload::Text(kind, bytes) => {
                let request = request.header("content-type", kind);
                self.agent.run(request.body(bytes).map_err(unusable)?)
            }
            Payload::Stream(reader, length) => {
                if let Some(length) = length {
                    request = request.header("content-length", length.to_string());
                }
                if length.is_none_or(|bytes| bytes >= EXPECT_FROM_BYTES) {
                    request = request.header("expect", "100-continue");
                }
                let body = SendBody::from_reader(reader);
                self.agent.run(request.body(body).map_err(unusable)?)
            }
        };
        self.check(sent.map_err(|error| self.unreachable(&error))?)
    }

    /// The error for a body that broke off.
    pub(crate) fn cut_short(&self, got_bytes: u64, error: &io::Error) -> CliError {
        CliError::CutShort {
            gateway: self.url.clone(),
            got_bytes,
            reason: error.to_string(),
        }
    }

    /// Turns an HTTP error into ours, with the gateway's own first line.
    fn check(&self, mut response: Response<Body>) -> Result<Response<Body>, CliError> {
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        // The only form that a gateway gives it; the other one, a date, is for caches.
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let text = self.text(&mut response)?;
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let sentence = match lines.as_slice() {
            [] => response
                .status()
                .canonical_reason()
                .unwrap_or("no reason given")
                .to_owned(),
            lines => lines.join("; "),
        };
        Err(CliError::Status {
            status,
            sentence,
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    pub(crate) fn text(&self, response: &mut Response<Body>) -> Result<String, CliError> {
        let text = response
            .body_mut()
            .with_config()
            .limit(TEXT_BYTES_MAX)
            .read_to_string();
        text.map_err(|error| self.unreachable(&error))
    }

    pub(crate) fn unreachable(&self, error: &ureq::Error) -> CliError {
        CliError::Unreachable {
            gateway: self.url.clone(),
            reason: error.to_string(),
            sent: !before_it_was_sent(error),
        }
    }

    pub(crate) fn odd(&self, what: &str) -> CliError {
        CliError::NotAGateway {
            gateway: self.url.clone(),
            what: what.to_owned(),
        }
    }
}

/// Whether nobody can have got the request: there was no connection to send it on.
fn before_it_was_sent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Timeout(what) => matches!(what, ureq::Timeout::Connect | ureq::Timeout::Resolve),
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// Brings an address into the form `http://host:port` or `https://host:port`.
fn normalise(address: &str) -> Result<String, CliError> {
    let usage = |hint: &str| CliError::Usage {
        what: "the gateway's address",
        value: address.to_owned(),
        hint: hint.to_owned(),
    };
    let trimmed = address.trim();
    let (scheme, authority) = match trimmed.split_once("://") {
        None => ("http", trimmed),
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(_) => return Err(usage("it should look like http://127.0.0.1:3456")),
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
        return Err(usage("it should look like http://127.0.0.1:3456"));
    }
    Ok(format!("{scheme}://{authority}"))
}

/// The token in a file: its first line.
fn read_token(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let text = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
    let text = Zeroizing::new(text);
    let token = text.trim();
    if text.len() > TOKEN_BYTES_MAX {
        return Err(unusable_token("the file is too long to hold a token"));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

/// The header that carries `token`.
fn authorization(token: &str) -> Result<Zeroizing<String>, CliError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable_token(
            "it must be one line of printable characters without spaces",
        ));
    }
    Ok(Zeroizing::new(format!("Bearer {token}")))
}

/// The token itself is not shown: it is a secret.
fn unusable_token(hint: &str) -> CliError {
    CliError::Usage {
        what: "the access token",
        value: "…".into(),
        hint: hint.into(),
    }
}

/// Percent-encodes a cap or a name for a path or a query; the characters of every well-formed cap stay as they are.
pub(crate) fn escape(cap: &str) -> String {
    let mut escaped = String::with_capacity(cap.len());
    for byte in cap.bytes() {
        if byte.is_ascii_alphanumeric() || b":-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;

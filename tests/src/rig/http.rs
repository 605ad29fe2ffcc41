//! A plain HTTP client for tests: any status is an answer, nothing is retried.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ureq::http::Request;
use ureq::{Agent, Body};

/// A client of one gateway.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    /// `http://host:port`.
    pub base: String,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// Why the body ended before its announced length, if it did.
    pub broken: Option<String>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }

    /// The first value of a header, named in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body of a whole, successful answer.
    ///
    /// # Panics
    /// When the answer is another.
    #[must_use]
    pub fn ok(self) -> Vec<u8> {
        assert!(
            (200..300).contains(&self.status),
            "answered {}: {}",
            self.status,
            self.text()
        );
        assert_eq!(
            self.broken,
            None,
            "the answer broke off after {} bytes",
            self.body.len()
        );
        self.body
    }
}

impl Http {
    /// A client of the gateway at `base`, without a slash at the end, that bears a minute of silence.
    #[must_use]
    pub fn new(base: &str) -> Http {
        Http::with_patience(base, Duration::from_secs(60))
    }

    /// A client that gives up after so long a silence.
    #[must_use]
    pub fn with_patience(base: &str, silence: Duration) -> Http {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_per_read(Some(silence))
            .timeout_recv_response(Some(silence))
            .build();
        Http {
            agent: config.new_agent(),
            base: base.to_owned(),
        }
    }

    /// Sends any request and reads the answer to its end; none when no answer came.
    ///
    /// # Errors
    /// What the connection said.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() && matches!(method, "GET" | "HEAD") {
            self.agent
                .run(request.body(()).map_err(|error| error.to_string())?)
        } else {
            self.agent
                .run(request.body(body).map_err(|error| error.to_string())?)
        };
        let (parts, body) = answer.map_err(|error| error.to_string())?.into_parts();
        let headers = parts.headers.iter().map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        let (body, broken) = read(body);
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body,
            broken,
        })
    }

    /// A request that must be answered.
    ///
    /// # Panics
    /// When no answer comes.
    #[must_use]
    pub fn answer(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Uploads and gives the cap.
    ///
    /// # Panics
    /// When the upload fails.
    #[must_use]
    pub fn put(&self, content: &[u8]) -> String {
        let cap = self.answer("PUT", "/uri", &[], content).ok();
        let cap = String::from_utf8(cap).expect("a cap is ASCII").trim().to_owned();
        assert!(cap.starts_with("URI:"), "no cap: {cap}");
        cap
    }

    /// Downloads what a cap stands for.
    #[must_use]
    pub fn get(&self, cap: &str) -> Answer {
        self.answer("GET", &format!("/uri/{cap}"), &[], b"")
    }
}

impl Http {
    /// Opens a download and leaves the reading to the caller.
    ///
    /// # Panics
    /// When the answer is no success.
    #[must_use]
    pub fn open(&self, cap: &str) -> impl Read + use<> {
        let answer = self.agent.get(format!("{}/uri/{cap}", self.base)).call();
        let answer = answer.unwrap_or_else(|error| panic!("GET /uri/…: {error}"));
        assert_eq!(answer.status(), 200);
        answer.into_body().into_reader()
    }

    /// Begins an upload of `announced` bytes with some of them, and leaves the connection to the caller.
    ///
    /// # Panics
    /// When the gateway cannot be reached.
    #[must_use]
    pub fn begin_put(&self, announced: u64, content: &[u8]) -> TcpStream {
        let host = self.base.strip_prefix("http://").unwrap_or(&self.base);
        let mut stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{host}: {error}"));
        let head = format!("PUT /uri HTTP/1.1\r\nHost: {host}\r\nContent-Length: {announced}\r\n\r\n");
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(content));
        sent.unwrap_or_else(|error| panic!("{host}: {error}"));
        stream
    }
}

/// Reads a body as far as it goes.
fn read(body: Body) -> (Vec<u8>, Option<String>) {
    let mut bytes = Vec::new();
    let outcome = body.into_reader().read_to_end(&mut bytes);
    (bytes, outcome.err().map(|error| error.to_string()))
}

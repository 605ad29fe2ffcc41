//! The whole HTTP side over real sockets, with a mesh in memory behind it.

mod auth;
mod deep;
mod downloads;
mod fake;
mod fake_checker;
mod fake_drive;
mod misc;
mod pages;
mod tree;
mod uploads;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, Once};

use actix_web::web;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use truckee_grid::keys::ConvergenceSecret;
use truckee_grid::params::{Coding, Encoding};

use self::fake::{Fake, FakePort, FakeView};
use self::fake_checker::FakeChecker;
use self::fake_drive::FakeDrive;
use super::server::{Running, start_gateway};
use super::{Behind, Gateway, Probes};
use crate::access::OpenedDoors;
use crate::config::{Limits, LogConfig, LogFormat, LogLevel};

const SEGMENT_BYTES: u32 = 64 << 10;

/// A gateway on a socket of its own.
struct Rig {
    fake: Arc<Fake>,
    drive: Arc<FakeDrive>,
    address: SocketAddr,
    dir: tempfile::TempDir,
    server: Running,
}

impl Rig {
    fn start() -> Rig {
        Rig::with(Limits {
            body_bytes: 4 << 20,
            convergent_bytes: 1 << 20,
            ..Limits::default()
        })
    }

    fn with(limits: Limits) -> Rig {
        Rig::behind(OpenedDoors::default(), limits)
    }

    fn behind(doors: OpenedDoors, limits: Limits) -> Rig {
        listen_to_logs();
        let fake = Fake::new();
        let drive = Arc::new(FakeDrive::default());
        let dir = tempfile::tempdir().unwrap();
        let encoding = Encoding::new(Coding::new(3, 10).unwrap(), 7, SEGMENT_BYTES).unwrap();
        let view = Arc::new(FakeView(Arc::clone(&fake)));
        let behind = Behind {
            transfers: Arc::new(FakePort(Arc::clone(&fake))),
            drive: Arc::new(Arc::clone(&drive)),
            checker: Arc::new(FakeChecker(Arc::clone(&fake))),
            view: Arc::clone(&view) as _,
        };
        let gateway = Gateway::new(
            behind,
            encoding,
            limits,
            ConvergenceSecret::from_bytes([3; 32]),
            dir.path().to_owned(),
        );
        let recorder = crate::metrics::install().unwrap();
        let render = Box::new(move || recorder.render());
        let probes = Probes {
            view: Arc::clone(&view) as _,
            alive: view,
            render,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (gateway, probes) = (web::Data::new(gateway), web::Data::new(probes));
        let server = start_gateway(listener, gateway, probes, 1, doors).unwrap();
        Rig {
            fake,
            drive,
            address,
            dir,
            server,
        }
    }

    /// Sends a request as it stands and reads the answer to the end of the connection.
    async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        Answer::read(&mut stream, request.starts_with(b"HEAD")).await
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n").into_bytes();
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        if method != "GET" && method != "HEAD" {
            write!(request, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        self.raw(&request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"").await
    }

    /// Stores a file; gives its cap.
    async fn put(&self, body: &[u8]) -> String {
        let answer = self.ask("PUT", "/uri", &[], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Reads until the promised length or the end of the connection.
    async fn read(stream: &mut TcpStream, no_body: bool) -> Answer {
        let mut bytes = Vec::new();
        while stream.read_buf(&mut bytes).await.unwrap() > 0 {
            if no_body || !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
                continue;
            }
            let answer = Answer::parse(&bytes);
            let promised = answer
                .header("content-length")
                .and_then(|length| length.parse().ok());
            if promised == Some(answer.body.len()) {
                return answer;
            }
        }
        Answer::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Answer {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All that is logged in this process from now on, at the lowest level, as a node would log it.
fn listen_to_logs() {
    static ONCE: Once = Once::new();
    let config = LogConfig {
        format: LogFormat::Json,
        level: LogLevel::Trace,
    };
    ONCE.call_once(|| {
        let spans = crate::spans::Spans::kept_to_itself();
        crate::logging::start_on(config, &spans, || LogWriter);
    });
}

fn logged() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

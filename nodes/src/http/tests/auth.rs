//! The access token and TLS, over real sockets.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Rig;
use crate::access::OpenedDoors;
use crate::access::tests::{TOKEN, certificate, token};
use crate::config::{Doors, Limits};
use crate::dir::NodeDir;

fn locked() -> Rig {
    let doors = OpenedDoors {
        token: Some(token()),
        tls: None,
    };
    Rig::behind(doors, Limits::default())
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[actix_web::test]
async fn nothing_is_done_for_those_without_the_token() {
    let rig = locked();
    let wrong = [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {TOKEN}0")),
        Some(format!("Bearer {}", TOKEN.to_uppercase())),
        Some(format!("Token {TOKEN}")),
        Some(TOKEN.to_owned()),
        Some(basic("name:wrong")),
        Some(basic(TOKEN)),
        Some(basic(&format!("{TOKEN}:"))),
        Some("Basic !!!".to_owned()),
    ];
    for given in &wrong {
        let headers: Vec<(&str, &str)> = given.iter().map(|value| ("Authorization", &**value)).collect();
        for (method, path, body) in [
            ("GET", "/", &b""[..]),
            ("GET", "/?t=json", b""),
            ("PUT", "/uri", b"a file that nobody may store here"),
            ("POST", "/uri?t=upload", b""),
            ("GET", "/uri/URI:LIT:nbswy3dp", b""),
            ("GET", "/file/URI:LIT:nbswy3dp/name", b""),
            ("GET", "/static/style.css", b""),
            ("GET", "/metrics", b""),
            ("GET", "/no-such-place", b""),
            ("GET", "/healthz/../", b""),
            ("GET", "//healthz", b""),
        ] {
            let answer = rig.ask(method, path, &headers, body).await;
            assert_eq!(answer.status, 401, "{method} {path} {given:?}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Basic realm="), "{challenge}");
            assert!(
                answer
                    .head
                    .to_lowercase()
                    .contains("www-authenticate: bearer realm=")
            );
            assert!(answer.header("x-request-id").is_some() && !answer.text().contains(TOKEN));
        }
    }
    let twice = [
        ("Authorization", "Bearer wrong-wrong-wrong-wrong"),
        ("Authorization", &*format!("Bearer {TOKEN}")),
    ];
    assert_eq!(rig.ask("GET", "/", &twice, b"").await.status, 401);
    assert_eq!(rig.fake.file_count(), 0);
}

#[actix_web::test]
async fn the_token_opens_everything_and_probes_need_none() {
    let rig = locked();
    for given in [
        format!("Bearer {TOKEN}"),
        format!("bearer  {TOKEN}"),
        basic(&format!("anybody:{TOKEN}")),
        basic(&format!(":{TOKEN}")),
    ] {
        let headers = [("Authorization", &*given)];
        for path in ["/", "/?t=json", "/metrics", "/uri/URI:LIT:nbswy3dp"] {
            assert_eq!(
                rig.ask("GET", path, &headers, b"").await.status,
                200,
                "{path} {given}"
            );
        }
        let stored = rig.ask("PUT", "/uri", &headers, b"short").await;
        assert!(stored.text().starts_with("URI:LIT:"), "{}", stored.text());
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(rig.get(path).await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn a_client_without_the_token_is_told_without_its_body() {
    let rig = locked();
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let head = "PUT /uri HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server itself says `100 Continue` to everybody.
    let mut answer = Vec::new();
    while !answer.windows(12).any(|twelve| twelve == b"HTTP/1.1 401") {
        let got = stream.read_buf(&mut answer).await.unwrap();
        assert!(got > 0, "{}", String::from_utf8_lossy(&answer));
    }
}

async fn ask_over_tls(rig: &Rig, trusted: CertificateDer<'static>, path: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(rig.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[actix_web::test]
async fn over_tls() {
    let temp = tempfile::tempdir().unwrap();
    let (trusted, files) = certificate(temp.path());
    let doors = Doors {
        tls: Some(files),
        ..Doors::default()
    };
    let mut doors = OpenedDoors::open(&NodeDir::new(temp.path()), &doors).unwrap();
    doors.token = Some(token());
    let rig = Rig::behind(doors, Limits::default());
    let answer = ask_over_tls(&rig, trusted, "/uri/URI:LIT:nbswy3dp")
        .await
        .unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
    // Another certificate than the one that the client trusts.
    let other = tempfile::tempdir().unwrap();
    let (foreign, _) = certificate(other.path());
    assert!(ask_over_tls(&rig, foreign, "/").await.is_err());
    // Nothing is answered to those who speak plain HTTP.
    let mut plain = TcpStream::connect(rig.address).await.unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut got = Vec::new();
    let _reset = plain.read_to_end(&mut got).await;
    assert!(!got.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&got));
}

#[actix_web::test]
async fn pages_of_other_sites_change_nothing() {
    let rig = Rig::start();
    for site in ["cross-site", "same-site"] {
        for (method, path) in [
            ("PUT", "/uri"),
            ("POST", "/uri?t=mkdir"),
            ("DELETE", "/uri/URI:LIT:/x"),
        ] {
            let answer = rig.ask(method, path, &[("Sec-Fetch-Site", site)], b"x").await;
            assert_eq!(answer.status, 403, "{method} {path}");
            assert!(answer.text().contains("another site"), "{}", answer.text());
        }
        let read = rig
            .ask("GET", "/uri/URI:LIT:nbswy3dp", &[("Sec-Fetch-Site", site)], b"")
            .await;
        assert_eq!((read.status, &*read.text()), (200, "hello"));
    }
    let own = rig
        .ask("PUT", "/uri", &[("Sec-Fetch-Site", "same-origin")], b"x")
        .await;
    assert_eq!(own.status, 200);
}

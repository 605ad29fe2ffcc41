//! The client against a scripted server: each test says what the server answers, byte by byte.

use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;
use crate::exit::Exit;

/// Serves one connection: reads one request with its body, answers `answer`, hangs up; gives the request's text.
fn serve_once(answer: &'static str) -> (Gateway, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::at(&listener.local_addr().unwrap().to_string()).unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            reader.read_line(&mut request).unwrap();
        }
        let length = request.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        });
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8(body).unwrap());
        stream.write_all(answer.as_bytes()).unwrap();
        request
    });
    (gateway, served)
}

#[test]
fn addresses_are_normalised_or_refused() {
    assert_eq!(normalise("127.0.0.1:3456").unwrap(), "http://127.0.0.1:3456");
    assert_eq!(normalise("http://[::1]:80/").unwrap(), "http://[::1]:80");
    assert_eq!(normalise("https://host/").unwrap(), "https://host");
    for bad in [
        "",
        "https://",
        "ftp://host",
        "http://",
        "http://host/path",
        "http://user@host",
        "a b",
    ] {
        assert_eq!(normalise(bad).unwrap_err().exit(), Exit::Usage, "{bad:?}");
    }
}

#[test]
fn caps_travel_unchanged_and_junk_is_escaped() {
    let cap = "URI:CHK:aaaaaaaaaaaaaaaaaaaaaaaaaa:bbbb:3:10:1000";
    assert_eq!(escape(cap), cap);
    assert_eq!(escape("a/b c?"), "a%2Fb%20c%3F");
}

#[test]
fn a_put_announces_its_length_and_gives_the_cap() {
    let (gateway, served) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nURI:LIT:");
    let choice = PutChoice {
        k: Some(2),
        n: Some(4),
        happy: None,
        convergent: true,
    };
    let cap = gateway.put(&mut Cursor::new(b"hello"), Some(5), choice).unwrap();
    assert_eq!(cap, "URI:LIT:");
    let request = served.join().unwrap();
    assert!(
        request.starts_with("PUT /uri?k=2&n=4&convergent=true HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.to_ascii_lowercase().contains("content-length: 5\r\n"),
        "{request}"
    );
    assert!(request.ends_with("hello"), "{request}");
}

#[test]
fn an_answer_that_is_no_cap_is_noticed() {
    let (gateway, served) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let error = gateway
        .put(&mut Cursor::new(b""), Some(0), PutChoice::default())
        .unwrap_err();
    assert!(matches!(error, CliError::NotAGateway { .. }), "{error}");
    served.join().unwrap();
}

#[test]
fn the_gateways_sentence_and_status_come_through() {
    let (gateway, served) =
        serve_once("HTTP/1.1 410 Gone\r\ncontent-length: 21\r\n\r\n2 of 3 shares found.\n");
    let error = gateway.get("URI:CHK:x", None).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the gateway answered 410: 2 of 3 shares found."
    );
    assert_eq!(error.exit(), Exit::NotFound);
    served.join().unwrap();
}

#[test]
fn a_range_is_asked_for_and_must_be_honoured() {
    let (gateway, served) = serve_once("HTTP/1.1 206 Partial Content\r\ncontent-length: 2\r\n\r\nbc");
    let download = gateway.get("URI:CHK:x", Some((1, Some(2)))).unwrap();
    assert_eq!(download.announced_bytes, Some(2));
    assert_eq!(io::read_to_string(download.into_reader()).unwrap(), "bc");
    assert!(
        served
            .join()
            .unwrap()
            .to_ascii_lowercase()
            .contains("range: bytes=1-2\r\n")
    );

    let (gateway, served) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd");
    let error = gateway.get("URI:CHK:x", Some((1, None))).err().unwrap();
    assert!(matches!(error, CliError::NotAGateway { .. }), "{error}");
    assert!(
        served
            .join()
            .unwrap()
            .to_ascii_lowercase()
            .contains("range: bytes=1-\r\n")
    );
}

#[test]
fn a_short_body_is_an_error_for_the_reader() {
    let (gateway, served) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    let download = gateway.get("URI:CHK:x", None).unwrap();
    assert!(io::read_to_string(download.into_reader()).is_err());
    served.join().unwrap();
}

#[test]
fn nobody_there_is_exit_five() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = Gateway::at(&address).unwrap().page("/").unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(error.to_string().contains("truckee up"), "{error}");
}

#[test]
fn the_token_travels_as_bearer_and_nowhere_else() {
    let (mut gateway, served) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    gateway.authorization = Some(authorization("s3cret").unwrap());
    gateway.page("/").unwrap();
    let request = served.join().unwrap();
    assert!(request.contains("authorization: Bearer s3cret\r\n"), "{request}");
    for bad in ["", "two words", "line\nbreak", "ü"] {
        let error = authorization(bad).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
    }
}

#[test]
fn a_token_file_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    assert_eq!(read_token(&path).unwrap().as_str(), "s3cret");
    std::fs::write(&path, vec![b'x'; TOKEN_BYTES_MAX + 1]).unwrap();
    assert!(read_token(&path).is_err());
}

#[test]
fn who_does_not_wait_gives_up() {
    // Connections wait in the listener's queue, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::at(&listener.local_addr().unwrap().to_string()).unwrap();
    let error = gateway
        .within(Duration::from_millis(50))
        .page("/metrics")
        .unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(error.to_string().contains("(timeout: global)"), "{error}");
}

//! Each call against a scripted server: what is sent, and how answers are read.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

/// Answers one request with `status` and `body`; gives the request's first line and body.
fn serve(status: &'static str, body: &'static str) -> (Gateway, JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::at(&listener.local_addr().unwrap().to_string()).unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .and_then(|length| length.parse().ok())
        });
        let mut sent = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut sent).unwrap();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        let first = head
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" HTTP/1.1")
            .to_owned();
        (first, String::from_utf8(sent).unwrap())
    });
    (gateway, served)
}

fn place() -> Place {
    Place::of("URI:DIR2:a:b").child("x y")
}

fn child(cap: &str) -> BTreeMap<String, NewChild> {
    let new = NewChild {
        directory: false,
        cap: cap.into(),
        metadata: Map::from_iter([("mtime".to_owned(), Value::from(5))]),
    };
    BTreeMap::from([("n".to_owned(), new)])
}

#[test]
fn each_call_is_the_request_of_the_web_api() {
    type Call = Box<dyn FnOnce(&Gateway)>;
    let calls: Vec<(&str, &str, &'static str, Call)> = vec![
        (
            "PUT /uri/URI:DIR2:a:b/x%20y?k=2&replace=only-files&format=MDMF",
            "hi",
            "URI:LIT:aa",
            Box::new(|gateway| {
                let choice = PutChoice {
                    k: Some(2),
                    ..PutChoice::default()
                };
                gateway
                    .put_at(&place(), &mut &b"hi"[..], Some(2), choice, Some("MDMF"))
                    .unwrap();
            }),
        ),
        (
            "PUT /uri?format=SDMF",
            "hi",
            "URI:SSK:a:b",
            Box::new(|gateway| {
                gateway.put_mutable(&mut &b"hi"[..], Some(2), "SDMF").unwrap();
            }),
        ),
        (
            "POST /uri?t=mkdir",
            "",
            "URI:DIR2:c:d",
            Box::new(|gateway| {
                assert_eq!(gateway.mkdir().unwrap(), "URI:DIR2:c:d");
            }),
        ),
        (
            "PUT /uri/URI:DIR2:a:b/x%20y?t=mkdir",
            "",
            "URI:DIR2:c:d\n",
            Box::new(|gateway| {
                assert_eq!(gateway.mkdir_all(&place()).unwrap(), "URI:DIR2:c:d");
            }),
        ),
        (
            "POST /uri/URI:DIR2:a:b/x%20y?t=mkdir&name=n%26m",
            "",
            "URI:DIR2:c:d",
            Box::new(|gateway| {
                gateway.mkdir_new(&place(), "n&m").unwrap();
            }),
        ),
        (
            "POST /uri?t=mkdir-immutable",
            r#"{"n":["filenode",{"metadata":{"mtime":5},"ro_uri":"URI:LIT:aa"}]}"#,
            "URI:DIR2-LIT:x",
            Box::new(|gateway| {
                gateway.mkdir_immutable(&child("URI:LIT:aa")).unwrap();
            }),
        ),
        (
            "PUT /uri/URI:DIR2:a:b/x%20y?t=uri&replace=false",
            "URI:LIT:aa",
            "URI:LIT:aa",
            Box::new(|gateway| {
                gateway.link(&place(), "URI:LIT:aa", Replace::Never).unwrap();
            }),
        ),
        (
            "POST /uri/URI:DIR2:a:b/x%20y?t=set_children&replace=only-files",
            r#"{"n":["filenode",{"metadata":{"mtime":5},"rw_uri":"URI:SSK:a:b"}]}"#,
            "Okay so I did it.",
            Box::new(|gateway| {
                gateway
                    .set_children(&place(), &child("URI:SSK:a:b"), Replace::OnlyFiles)
                    .unwrap();
            }),
        ),
        (
            "DELETE /uri/URI:DIR2:a:b/x%20y",
            "",
            "URI:LIT:aa\n",
            Box::new(|gateway| {
                assert_eq!(gateway.unlink(&place()).unwrap(), "URI:LIT:aa");
            }),
        ),
        (
            "POST /uri/URI:DIR2:a:b/x%20y?t=relink&from_name=a&to_dir=URI:DIR2:c:d%2Fe%20f&to_name=b&replace=only-files",
            "",
            "thing moved",
            Box::new(|gateway| {
                let to = Place::of("URI:DIR2:c:d").child("e f");
                gateway
                    .relink((&place(), "a"), (&to, "b"), Replace::OnlyFiles)
                    .unwrap();
            }),
        ),
        (
            "POST /uri/URI:DIR2:a:b/x%20y?t=check&output=JSON&verify=true&repair=true",
            "",
            "{}",
            Box::new(|gateway| {
                gateway
                    .check_one(
                        &place(),
                        CheckChoice {
                            verify: true,
                            repair: true,
                        },
                    )
                    .unwrap();
            }),
        ),
    ];
    for (request, body, answer, call) in calls {
        let (gateway, served) = serve("200 OK", answer);
        call(&gateway);
        assert_eq!(served.join().unwrap(), (request.to_owned(), body.to_owned()));
    }
}

#[test]
fn nothing_there_is_not_an_error_where_it_is_asked() {
    let (gateway, served) = serve("404 Not Found", "no such child");
    assert!(gateway.node_if_there(&place()).unwrap().is_none());
    assert_eq!(served.join().unwrap().0, "GET /uri/URI:DIR2:a:b/x%20y?t=json");
    let (gateway, served) = serve("410 Gone", "too few shares");
    assert!(gateway.node_if_there(&place()).is_err());
    served.join().unwrap();
    let (gateway, served) = serve("200 OK", "<html>");
    assert!(matches!(
        gateway.node(&place()),
        Err(CliError::NotAGateway { .. })
    ));
    served.join().unwrap();
}

#[test]
fn streams_end_with_their_error() {
    let (gateway, served) = serve(
        "200 OK",
        "{\"a\":1}\n\n{\"b\":2}\nERROR: lost a peer\nTraceback\n",
    );
    let lines: Vec<_> = gateway.manifest(&place()).unwrap().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1].as_ref().unwrap()["b"], 2);
    let error = lines[2].as_ref().unwrap_err().to_string();
    assert_eq!(error, "the gateway could not go on: lost a peer");
    assert_eq!(
        served.join().unwrap().0,
        "POST /uri/URI:DIR2:a:b/x%20y?t=stream-manifest"
    );
}

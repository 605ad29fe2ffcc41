//! Files on their way out.

use super::Rig;
use super::fake::{Mood, noise};
use crate::config::Limits;

const LIT: &str = "URI:LIT:nbswy3dp";

#[actix_web::test]
async fn every_way_to_name_a_file() {
    let rig = Rig::start();
    let file = noise(200_000, 1);
    let cap = rig.put(&file).await;
    let escaped = cap.replace(':', "%3A");
    for path in [
        format!("/uri/{cap}"),
        format!("/cap/{escaped}"),
        format!("/uri/{escaped}?t="),
        format!("/file/{escaped}/a/b.txt"),
        format!("/named/{cap}/b.txt"),
        format!("/file/{cap}"),
    ] {
        let answer = rig.get(&path).await;
        assert_eq!((answer.status, answer.body == file), (200, true), "{path}");
        assert_eq!(answer.header("content-length"), Some("200000"));
        let head = rig.ask("HEAD", &path, &[], b"").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), Some("200000"));
        assert_eq!(head.header("etag"), answer.header("etag"));
    }
    let moved = rig
        .get(&format!("/uri?uri={escaped}&filename=a%26b&save=true"))
        .await;
    assert_eq!(moved.status, 302);
    assert_eq!(
        moved.header("location"),
        Some(&*format!("/uri/{escaped}?filename=a%26b&save=true"))
    );
    assert_eq!(rig.get("/uri?uri=hello").await.status, 400);
    assert_eq!(rig.get("/uri").await.status, 400);
}

#[actix_web::test]
async fn names_and_safety() {
    let rig = Rig::start();
    let cap = rig.put(&noise(100, 2)).await;
    let page = rig.get(&format!("/file/{cap}/evil.html")).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("content-security-policy"), Some("sandbox"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let saved = rig.get(&format!("/uri/{cap}?filename=a%20b.png&save=true")).await;
    assert_eq!(saved.header("content-type"), Some("image/png"));
    assert_eq!(
        saved.header("content-disposition"),
        Some("attachment; filename=\"a b.png\"; filename*=UTF-8''a%20b.png")
    );
    assert_eq!(
        rig.get(&format!("/uri/{cap}")).await.header("content-type"),
        Some("application/octet-stream")
    );
}

#[actix_web::test]
async fn parts_of_files() {
    let rig = Rig::start();
    let file = noise(500_000, 3);
    let cap = rig.put(&file).await;
    for (cap, file) in [(&*cap, &file[..]), (LIT, b"hello")] {
        let path = format!("/uri/{cap}");
        let size = file.len();
        for (range, from, to) in [
            ("0-0", 0, 1),
            ("1-3", 1, 4),
            ("2-", 2, size),
            ("-2", size - 2, size),
            ("0-999999", 0, size),
        ] {
            let answer = rig
                .ask("GET", &path, &[("Range", &format!("bytes={range}"))], b"")
                .await;
            assert_eq!(
                (answer.status, &answer.body[..]),
                (206, &file[from..to]),
                "{range}"
            );
            let expected = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(answer.header("content-range"), Some(&*expected));
        }
        let beyond = rig.ask("GET", &path, &[("Range", "bytes=500000-")], b"").await;
        assert_eq!(
            (beyond.status, beyond.header("content-range")),
            (416, Some(&*format!("bytes */{size}")))
        );
        let several = rig.ask("GET", &path, &[("Range", "bytes=0-1,3-4")], b"").await;
        assert_eq!((several.status, several.body.len()), (200, size));
        let head = rig.ask("HEAD", &path, &[("Range", "bytes=1-3")], b"").await;
        assert_eq!((head.status, head.header("content-length")), (206, Some("3")));
    }
}

#[actix_web::test]
async fn what_the_client_has_already() {
    let rig = Rig::start();
    let cap = rig.put(&noise(1000, 4)).await;
    let path = format!("/uri/{cap}");
    let etag = rig.get(&path).await.header("etag").unwrap().to_owned();
    assert!(
        !cap.contains(etag.trim_matches('"').split('-').next().unwrap()),
        "tells nothing of the key"
    );
    rig.fake.set(Mood::TooFewShares);
    let same = rig.ask("GET", &path, &[("If-None-Match", &etag)], b"").await;
    assert_eq!(
        (same.status, same.body.len()),
        (304, 0),
        "without asking the mesh"
    );
    assert_eq!(same.header("etag"), Some(&*etag));
    rig.fake.set(Mood::Kind);
    assert_eq!(
        rig.ask("GET", &path, &[("If-None-Match", "\"x\"")], b"")
            .await
            .status,
        200
    );
    let range = ("Range", "bytes=0-1");
    assert_eq!(
        rig.ask("GET", &path, &[range, ("If-Range", &etag)], b"")
            .await
            .status,
        206
    );
    assert_eq!(
        rig.ask("GET", &path, &[range, ("If-Range", "\"x\"")], b"")
            .await
            .status,
        200
    );
}

#[actix_web::test]
async fn what_cannot_be_read() {
    let rig = Rig::start();
    let cap = rig.put(&noise(1000, 5)).await;
    let verifier = rig.get(&format!("/uri/{cap}?t=json")).await.json()[1]["verify_uri"]
        .as_str()
        .unwrap()
        .to_owned();
    let directory = format!("URI:DIR2:{}:{}", "a".repeat(26), "a".repeat(52));
    let mutable = format!("URI:SSK:{}:{}", "a".repeat(26), "a".repeat(52));
    for (path, status, part) in [
        ("/uri/hello".to_owned(), 400, "not a cap"),
        (format!("/uri/{}", &cap[..cap.len() / 2]), 400, "cut"),
        (format!("/uri/{cap}x"), 400, ""),
        ("/uri/URI:NEW:abc".to_owned(), 400, "NEW"),
        ("/uri/%zz".to_owned(), 400, "escape"),
        (format!("/uri/{verifier}"), 400, "do not read"),
        (format!("/uri/{cap}/child"), 400, "nothing below"),
        (format!("/uri/{cap}?t=frobnicate"), 400, "t must be"),
        (format!("/uri/{cap}?save=perhaps"), 400, "save must be"),
        (format!("/uri/{directory}"), 410, "another grid"),
        (format!("/uri/{mutable}"), 410, "another grid"),
    ] {
        let answer = rig.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
        assert!(!answer.text().contains(&cap));
    }
    assert_eq!(
        rig.ask("POST", &format!("/file/{cap}"), &[], b"").await.status,
        405
    );
    let wrong = rig.ask("DELETE", "/uri", &[], b"").await;
    assert_eq!(
        (wrong.status, wrong.header("allow")),
        (405, Some("GET, PUT, POST"))
    );
    assert_eq!(rig.get("/nowhere").await.status, 404);
    assert_eq!(rig.get(&format!("/uri/{}", "a".repeat(40_000))).await.status, 414);
}

#[actix_web::test]
async fn what_caps_say() {
    let rig = Rig::start();
    let cap = rig.put(&noise(1000, 6)).await;
    let json = rig.get(&format!("/uri/{cap}?t=json")).await.json();
    assert_eq!(
        (json[0].as_str(), json[1]["size"].as_u64()),
        (Some("filenode"), Some(1000))
    );
    assert_eq!(
        (json[1]["ro_uri"].as_str(), json[1]["mutable"].as_bool()),
        (Some(&*cap), Some(false))
    );
    for t in ["uri", "readonly-uri"] {
        assert_eq!(rig.get(&format!("/uri/{cap}?t={t}")).await.text(), cap);
    }
}

#[actix_web::test]
async fn a_file_that_nobody_has_or_that_breaks_off() {
    let rig = Rig::start();
    let cap = rig.put(&noise(1_000_000, 7)).await;
    let path = format!("/uri/{cap}");
    rig.fake.set(Mood::TooFewShares);
    let answer = rig
        .ask("GET", &path, &[("Accept", "application/json")], b"")
        .await;
    assert_eq!(
        (answer.status, answer.json()["error"]["cause"].as_str()),
        (410, Some("too_few_shares"))
    );
    assert_eq!(answer.json()["error"]["peers"].as_array().map(Vec::len), Some(1));
    rig.fake.set(Mood::CutShort);
    let answer = rig.get(&path).await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("1000000"))
    );
    assert!(
        answer.body.len() < 1_000_000,
        "the connection ends before the promised length"
    );
    rig.fake.set(Mood::Overloaded);
    let answer = rig.get(&path).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3")));
}

#[actix_web::test]
async fn more_downloads_than_there_is_room_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::with(Limits {
        downloads: 1,
        wait: std::time::Duration::ZERO,
        ..Limits::default()
    });
    // More than the socket buffers of both sides hold, so that the first download is still under way.
    let cap = rig.put(&noise(40 << 20, 8)).await;
    let mut slow = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let request = format!("GET /uri/{cap} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    slow.read_exact(&mut [0; 16]).await.unwrap();
    let refused = rig.get(&format!("/uri/{cap}")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(
        rig.get("/uri/URI:LIT:nbswy3dp").await.status,
        200,
        "needs nobody else"
    );
    drop(slow);
    // The place is free again once the gateway has noticed.
    while rig
        .ask("GET", &format!("/uri/{cap}"), &[("Range", "bytes=0-1")], b"")
        .await
        .status
        != 206
    {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_client_that_stops_reading_makes_room_for_others() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::with(Limits {
        downloads: 1,
        download_idle: std::time::Duration::from_millis(50),
        ..Limits::default()
    });
    let cap = rig.put(&noise(40 << 20, 8)).await;
    let mut stopped = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let request = format!("GET /uri/{cap} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stopped.write_all(request.as_bytes()).await.unwrap();
    stopped.read_exact(&mut [0; 16]).await.unwrap();
    let others = async {
        while rig
            .ask("GET", &format!("/uri/{cap}"), &[("Range", "bytes=0-1")], b"")
            .await
            .status
            != 206
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), others)
        .await
        .expect("the place of the one that stopped is free");
    let mut rest = Vec::new();
    // Ends or is reset; never the whole file.
    let _cut = stopped.read_to_end(&mut rest).await;
    assert!(rest.len() < 40 << 20);
}

//! Files on their way in.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use truckee_grid::caps::{Cap, ChkCap};

use super::fake::{Mood, noise};
use super::{Answer, Rig, SEGMENT_BYTES};
use crate::config::Limits;
use crate::http::LINE_PER_PLACE;

fn chk(text: &str) -> ChkCap {
    match Cap::parse(text).unwrap() {
        Cap::Chk(cap) => cap,
        other => panic!("{other:?}"),
    }
}

#[actix_web::test]
async fn files_of_all_awkward_lengths() {
    let rig = Rig::start();
    let segment = SEGMENT_BYTES as usize;
    for bytes in [
        0,
        1,
        55,
        56,
        57,
        segment - 1,
        segment,
        segment + 1,
        3 * segment,
        3 * segment + 5,
    ] {
        let file = noise(bytes, bytes as u64);
        let chunked = [
            &b"PUT /uri HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            &chunks(&file),
        ]
        .concat();
        for cap in [rig.put(&file).await, rig.raw(&chunked).await.text()] {
            assert_eq!(cap.starts_with("URI:LIT:"), bytes <= 55, "{bytes}");
            assert_eq!(rig.get(&format!("/uri/{cap}")).await.body, file, "{bytes}");
            if bytes > 55 {
                let kept = rig.fake.file(&chk(&cap)).unwrap();
                let (last, full) = kept.segments.split_last().unwrap();
                assert!(full.iter().all(|length| *length == segment) && (1..=segment).contains(last));
                assert_eq!(kept.segments.len(), bytes.div_ceil(segment));
            }
        }
    }
    assert_eq!(rig.fake.free_bytes(), 64 << 20, "all permits came back");
}

fn chunks(file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in file.chunks(1000) {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

#[actix_web::test]
async fn a_body_that_is_cut_never_gets_a_cap() {
    let rig = Rig::start();
    let file = noise(200_000, 1);
    let head = "PUT /uri HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 200001\r\n\r\n";
    let cut_chunk =
        "PUT /uri HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n";
    let form = "POST /uri?t=upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\
                Content-Type: multipart/form-data; boundary=XX\r\n\r\n\
                --XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    for (head, part) in [(head, "200000"), (cut_chunk, "went away"), (form, "went away")] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&file).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = Answer::read(&mut stream, false).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(
            answer.text().contains(part) && !answer.text().contains("URI:"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(rig.fake.file_count(), 0);
    assert_eq!(rig.fake.unfinished.load(Ordering::SeqCst), 3);
    assert_eq!(rig.fake.free_bytes(), 64 << 20);
}

#[actix_web::test]
async fn a_client_that_vanishes_cancels_its_upload() {
    let rig = Rig::start();
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream
        .write_all(b"PUT /uri HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&noise(300_000, 2)).await.unwrap();
    while rig.fake.begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    while rig.fake.unfinished.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.fake.file_count(), 0);
}

#[actix_web::test]
async fn expectations_are_met_before_the_body() {
    let rig = Rig::start();
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let head = "PUT /uri HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Answer::parse(&bytes).text(), "URI:LIT:nbswy3dp");
}

#[actix_web::test]
async fn the_encoding_of_one_upload() {
    let rig = Rig::start();
    let file = noise(1000, 3);
    let answer = rig.ask("PUT", "/uri?k=2&n=5&happy=4", &[], &file).await;
    assert_eq!(
        rig.fake.file(&chk(&answer.text())).unwrap().coding.to_string(),
        "2-of-5"
    );
    for (query, part) in [
        ("k=11", "11 shares cannot be needed when only 10 are made"),
        ("n=0", "no coding"),
        ("n=257", "257 shares are too many"),
        ("k=x", "k must be a whole number"),
        ("happy=11", "happy = 11 must lie between 1 and n = 10"),
        ("convergent=perhaps", "convergent must be true or false"),
        ("t=frobnicate", "t must be"),
        ("format=ZIP", "format must be CHK"),
    ] {
        let answer = rig.ask("PUT", &format!("/uri?{query}"), &[], &file).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(answer.text().contains(part), "{query}: {}", answer.text());
    }
    let ranged = rig
        .ask("PUT", "/uri", &[("Content-Range", "bytes 0-1/2")], b"ab")
        .await;
    assert_eq!(ranged.status, 501);
}

#[actix_web::test]
async fn a_key_derived_from_content() {
    let rig = Rig::start();
    let file = noise(200_000, 4);
    let first = rig.ask("PUT", "/uri?convergent=true", &[], &file).await.text();
    let again = rig.ask("PUT", "/uri?convergent=1", &[], &file).await.text();
    let other = rig.ask("PUT", "/uri?convergent=1&k=4", &[], &file).await.text();
    assert_eq!(first, again);
    assert_ne!(first, other);
    let kept = rig.fake.file(&chk(&first)).unwrap();
    assert!(kept.convergent && kept.bytes == file && kept.size_hint == Some(200_000));
    assert_ne!(rig.put(&file).await, first, "random unless asked for");
    assert_eq!(std::fs::read_dir(rig.dir.path()).unwrap().count(), 0);
    let long = rig
        .ask("PUT", "/uri?convergent=true", &[], &noise((1 << 20) + 1, 5))
        .await;
    assert_eq!(long.status, 413);
}

#[actix_web::test]
async fn bodies_beyond_the_bound() {
    let rig = Rig::start();
    let head = "PUT /uri HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4194305\r\n\r\n";
    let answer = rig.raw(head.as_bytes()).await;
    assert_eq!(answer.status, 413, "refused before a byte is sent");
    assert!(answer.text().contains("4194304"));
    let file = noise((4 << 20) + 1, 6);
    let head = "PUT /uri HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = rig.raw(&[head.as_bytes(), &chunks(&file)].concat()).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(rig.fake.file_count(), 0);
}

#[actix_web::test]
async fn what_the_mesh_says() {
    let rig = Rig::start();
    rig.fake.set(Mood::NotHappy);
    let answer = rig.ask("PUT", "/uri", &[], &noise(1000, 7)).await;
    assert_eq!(answer.status, 507);
    let id = truckee_grid::ids::NodeId([9; 32]).to_base32();
    let named = format!("<script>alert(1)</script> ({}) has no space", &id[..8]);
    assert!(answer.text().contains(&named), "{}", answer.text());
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
    );
    let json = rig
        .ask("PUT", "/uri", &[("Accept", "application/json")], &noise(1000, 7))
        .await;
    let error = &json.json()["error"];
    assert_eq!(
        (error["status"].as_u64(), error["cause"].as_str()),
        (Some(507), Some("not_happy"))
    );
    assert_eq!(error["peers"][0]["message"], "has no space");
    assert_eq!(error["peers"][0]["node_id"], id);
    assert_eq!(error["peers"][0]["nickname"], "<script>alert(1)</script>");
    assert_eq!(error["request_id"].as_str(), json.header("x-request-id"));
    rig.fake.set(Mood::Stopping);
    let answer = rig.ask("PUT", "/uri", &[], &noise(1000, 7)).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
}

#[actix_web::test]
async fn the_reason_reaches_a_client_that_sends_everything_first() {
    let rig = Rig::start();
    rig.fake.set(Mood::NotHappy);
    // Longer than all socket buffers between the two, so that the client is still sending when it is refused.
    let file = noise(48 << 20, 10);
    let rig_of_more = Rig::with(Limits::default());
    rig_of_more.fake.set(Mood::NotHappy);
    let answer = rig_of_more.ask("PUT", "/uri", &[], &file).await;
    assert_eq!(answer.status, 507);
    let form = form(&[], Some(&file), &[]);
    let answer = rig_of_more.ask("POST", "/uri", &[FORM], &form).await;
    assert_eq!(answer.status, 507);
    let answer = rig.ask("PUT", "/uri", &[], &file).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
}

/// A gateway with one place for uploads, in which none goes on before it may.
fn one_place(wait: Duration) -> Rig {
    let rig = Rig::with(Limits {
        uploads: 1,
        wait,
        ..Limits::default()
    });
    rig.fake.go.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    rig
}

async fn begun(rig: &Rig) {
    while rig.fake.begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn more_uploads_than_there_is_room_for() {
    // Not at all, and not for long enough.
    for wait in [Duration::ZERO, Duration::from_millis(20)] {
        let rig = one_place(wait);
        let file = noise(1000, 8);
        let (first, refused) = tokio::join!(rig.put(&file), async {
            begun(&rig).await;
            let refused = rig.ask("PUT", "/uri", &[], &file).await;
            rig.fake.go.add_permits(2);
            refused
        });
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert!(first.starts_with("URI:CHK:"));
        rig.put(&file).await;
    }
}

#[actix_web::test]
async fn an_upload_waits_for_its_turn_behind_a_line_that_is_not_too_long() {
    let rig = one_place(Duration::from_secs(600));
    let file = noise(1000, 8);
    let put = || rig.ask("PUT", "/uri", &[], &file);
    let (first, others) = tokio::join!(put(), async {
        begun(&rig).await;
        let mut others: FuturesUnordered<_> = (0..=LINE_PER_PLACE).map(|_| put()).collect();
        // One of the five finds the line full; the others wait.
        let refused = others.next().await.expect("five were sent");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        rig.fake.go.add_permits(1 + LINE_PER_PLACE);
        others.collect::<Vec<_>>().await
    });
    assert_eq!(others.len(), LINE_PER_PLACE);
    for answer in others.iter().chain([&first]) {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn form(fields: &[(&str, &str)], file: Option<&[u8]>, after: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    let field = |body: &mut Vec<u8>, (name, value): &(&str, &str)| {
        let part = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    };
    fields.iter().for_each(|pair| field(&mut body, pair));
    if let Some(file) = file {
        let head = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"<b>.txt\"\r\n\
                    Content-Type: text/plain\r\n\r\n";
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    after.iter().for_each(|pair| field(&mut body, pair));
    body.extend_from_slice(b"--XX--\r\n");
    body
}

const FORM: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=XX");

#[actix_web::test]
async fn forms() {
    let rig = Rig::start();
    // Something that looks like a boundary, and one whole segment.
    let mut file = noise(SEGMENT_BYTES as usize - 6, 9);
    file.extend_from_slice(b"\r\n--XY");
    let page = rig
        .ask("POST", "/uri?t=upload", &[FORM], &form(&[], Some(&file), &[]))
        .await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(
        page.text().contains("&lt;b&gt;.txt") && !page.text().contains("<b>"),
        "{}",
        page.text()
    );
    let json = rig
        .ask(
            "POST",
            "/uri",
            &[FORM, ("Accept", "application/json")],
            &form(&[], Some(&file), &[]),
        )
        .await
        .json();
    let cap = json["cap"].as_str().unwrap();
    assert_eq!(rig.get(&format!("/uri/{cap}")).await.body, file);
    assert_eq!(json["size"], file.len());
    for (before, after) in [
        (&[("when_done", "/x?%(uri)s")][..], &[][..]),
        (&[], &[("when_done", "/x?%(uri)s")]),
    ] {
        let answer = rig
            .ask("POST", "/uri", &[FORM], &form(before, Some(&file), after))
            .await;
        assert_eq!(answer.status, 303);
        assert!(answer.header("location").unwrap().starts_with("/x?URI%3ACHK%3A"));
    }
    let empty = rig
        .ask(
            "POST",
            "/uri?when_done=/x?%25(uri)s",
            &[FORM],
            &form(&[], Some(b""), &[]),
        )
        .await;
    assert_eq!(empty.header("location"), Some("/x?URI%3ALIT%3A"));
}

#[actix_web::test]
async fn forms_that_are_wrong() {
    let rig = Rig::start();
    let many: Vec<(&str, &str)> = (0..17).map(|_| ("a", "b")).collect();
    let long = "x".repeat(5000);
    for (body, header, status, part) in [
        (form(&[("a", "b")], None, &[]), FORM, 400, "no field named file"),
        (
            form(&[("t", "mkdir")], Some(b"x"), &[]),
            FORM,
            400,
            "only t=upload",
        ),
        (
            form(&[("t", "dance")], Some(b"x"), &[]),
            FORM,
            400,
            "only t=upload",
        ),
        (form(&many, Some(b"x"), &[]), FORM, 400, "more fields"),
        (form(&[("a", &long)], Some(b"x"), &[]), FORM, 400, "longer ones"),
        (
            form(&[("when_done", "http://evil.example/")], Some(b"x"), &[]),
            FORM,
            400,
            "when_done must be",
        ),
        (
            form(&[], Some(b"x"), &[("when_done", "//evil.example/")]),
            FORM,
            400,
            "when_done must be",
        ),
        (
            b"hello".to_vec(),
            ("Content-Type", "text/plain"),
            400,
            "not multipart",
        ),
        (
            b"hello".to_vec(),
            ("Content-Type", "multipart/form-data"),
            400,
            "not multipart",
        ),
        (b"--YY\r\n\r\nx".to_vec(), FORM, 400, ""),
    ] {
        let answer = rig.ask("POST", "/uri", &[header], &body).await;
        assert_eq!(answer.status, status, "{part}: {}", answer.text());
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
        assert!(!answer.text().contains("URI:") && answer.header("location").is_none());
    }
}

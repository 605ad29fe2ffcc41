//! Mutable files.

use truckee_engine::drive::Edit;
use truckee_grid::caps::Cap;
use truckee_grid::drive::Target;

use super::super::Rig;
use super::super::fake::{Mood, noise};
use super::{HELLO, read_only, verify_only};

#[actix_web::test]
async fn written_again_and_again() {
    let rig = Rig::start();
    for (format, kind) in [
        ("format=SDMF", "SSK"),
        ("format=mdmf", "MDMF"),
        ("mutable=true", "SSK"),
    ] {
        let cap = rig.expect(200, "PUT", &format!("/uri?{format}"), b"").await;
        assert!(cap.starts_with(&format!("URI:{kind}:")), "{cap}");
        let path = format!("/uri/{cap}");
        assert_eq!(rig.expect(200, "GET", &path, b"").await, "");
        let big = noise(300_000, 5);
        assert_eq!(rig.expect(200, "PUT", &path, &big).await, cap);
        assert_eq!(rig.get(&path).await.body, big);
        let answer = rig
            .upload(&format!("{path}?t=upload"), &[], "x", "from a form")
            .await;
        assert_eq!((answer.status, answer.text()), (200, cap.clone()));
        for reader in [
            path.clone(),
            format!("/uri/{}", read_only(&cap)),
            format!("/file/{cap}/n.txt"),
        ] {
            assert_eq!(rig.expect(200, "GET", &reader, b"").await, "from a form");
        }
        let head = rig.ask("HEAD", &path, &[], b"").await;
        assert_eq!(head.header("content-length"), Some("11"));
        rig.expect(403, "PUT", &format!("/uri/{}", read_only(&cap)), b"x")
            .await;
        rig.expect(400, "PUT", &format!("/uri/{}", verify_only(&cap)), b"x")
            .await;
        rig.expect(400, "GET", &format!("/uri/{}", verify_only(&cap)), b"")
            .await;
        assert_eq!(
            rig.get(&format!("/uri/{}?t=json", verify_only(&cap)))
                .await
                .json()[0],
            "unknown"
        );
    }
    let answer = rig.upload("/uri?t=upload&format=MDMF", &[], "x", "hello").await;
    assert!(answer.text().starts_with("URI:MDMF:"), "{}", answer.text());
}

#[actix_web::test]
async fn written_at_an_offset() {
    let rig = Rig::start();
    let mut expected = noise(200_000, 6).to_vec();
    let cap = rig.expect(200, "PUT", "/uri?format=MDMF", &expected).await;
    let path = format!("/uri/{cap}");
    for (offset, bytes) in [
        (0, 10),
        (100_000, 70_000),
        (199_999, 1),
        (200_000, 5),
        (150_000, 80_000),
        (7, 0),
    ] {
        let piece = noise(bytes, offset as u64 + 1);
        rig.expect(200, "PUT", &format!("{path}?offset={offset}"), &piece)
            .await;
        let end = expected.len().max(offset + bytes);
        expected.resize(end, 0);
        expected[offset..offset + bytes].copy_from_slice(&piece);
        assert!(rig.get(&path).await.body == expected, "{offset} {bytes}");
    }
    // A short file lives in its cap.
    let short = rig.expect(200, "PUT", "/uri?format=SDMF", b"hello").await;
    rig.expect(200, "PUT", &format!("/uri/{short}?offset=1"), b"ipp")
        .await;
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{short}"), b"").await,
        "hippo"
    );
    rig.expect(200, "PUT", &format!("/uri/{short}?offset=5"), b"s in chunks")
        .await;
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{short}"), b"").await,
        "hippos in chunks"
    );
    let beyond = rig
        .expect(400, "PUT", &format!("{path}?offset=999999"), b"x")
        .await;
    assert!(beyond.contains("beyond the end"), "{beyond}");
    for bad in ["-1", "x", ""] {
        rig.expect(400, "PUT", &format!("{path}?offset={bad}"), b"x")
            .await;
    }
    let root = rig.mkdir().await;
    rig.expect(201, "PUT", &format!("/uri/{root}/i"), b"hello").await;
    rig.expect(400, "PUT", &format!("/uri/{root}/i?offset=1"), b"x")
        .await;
    rig.expect(404, "PUT", &format!("/uri/{root}/none?offset=1"), b"x")
        .await;
    assert_eq!(rig.names(&format!("/uri/{root}")).await, ["i"]);
    // The old content cannot be read: nothing is replaced, and the error is about that.
    rig.fake.set(Mood::TooFewShares);
    rig.expect(410, "PUT", &format!("{path}?offset=5"), b"x").await;
    rig.fake.set(Mood::Kind);
    assert!(rig.get(&path).await.body == expected);
}

#[actix_web::test]
async fn changed_meanwhile() {
    let rig = Rig::start();
    let cap = rig.expect(200, "PUT", "/uri?format=SDMF", b"hello").await;
    let Ok(Cap::Ssk(file)) = Cap::parse(&cap) else {
        panic!("a mutable file")
    };
    let theirs = Edit::SetContent {
        target: Target::Cap(Cap::parse(HELLO).unwrap()),
        based_on: None,
    };
    rig.expect(200, "PUT", &format!("/uri/{cap}"), b"before").await;
    *rig.drive.meanwhile.lock().unwrap() = Some((file.clone(), theirs.clone()));
    let text = rig
        .expect(409, "PUT", &format!("/uri/{cap}?offset=0"), b"x")
        .await;
    assert!(text.contains("changed by somebody else"), "{text}");
    assert_eq!(rig.expect(200, "GET", &format!("/uri/{cap}"), b"").await, "hello");
    *rig.drive.meanwhile.lock().unwrap() = Some((file, theirs));
    rig.expect(200, "PUT", &format!("/uri/{cap}"), b"the last one wins")
        .await;
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{cap}"), b"").await,
        "the last one wins"
    );
}

#[actix_web::test]
async fn linked_in_directories() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let cap = rig
        .expect(201, "PUT", &format!("/uri/{root}/m?mutable=true"), b"one")
        .await;
    assert!(cap.starts_with("URI:SSK:"));
    assert_eq!(
        rig.expect(200, "PUT", &format!("/uri/{root}/m"), b"two").await,
        cap,
        "the same file"
    );
    assert_eq!(rig.expect(200, "GET", &format!("/uri/{cap}"), b"").await, "two");
    rig.expect(409, "PUT", &format!("/uri/{root}/m?replace=false"), b"three")
        .await;
    rig.expect(200, "PUT", &format!("/uri/{root}/m?offset=3"), b"!")
        .await;
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/m"), b"").await,
        "two!"
    );
    // Its cap with the word of a directory in it opens nothing.
    let odd = cap.replace("URI:SSK:", "URI:DIR2:");
    rig.expect(400, "GET", &format!("/uri/{odd}?t=json"), b"").await;
    rig.expect(400, "PUT", &format!("/uri/{odd}/a"), b"x").await;
}

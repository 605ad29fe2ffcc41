//! Requests that cannot be served, each with its status.

use std::time::Duration;

use serde_json::json;
use truckee_engine::drive::DriveError;

use super::super::Rig;
use super::{HELLO, verify_only};

#[actix_web::test]
async fn paths_and_operations() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    rig.expect(201, "PUT", &format!("/uri/{root}/f"), b"hello").await;
    for (status, method, path, part) in [
        (404, "GET", "/none", "no child"),
        (404, "GET", "/none/below", "no child"),
        (404, "GET", "/none?t=json", "no child"),
        (404, "HEAD", "/none", ""),
        (400, "GET", "/f/below", "nothing below"),
        (400, "GET", "//f", "empty part"),
        (400, "PUT", "//f", "empty part"),
        (400, "GET", "/a%2Fb", "slash"),
        (400, "PUT", "/a%2Fb", "slash"),
        (400, "PUT", "/%2e%2e/f", ". or .."),
        (400, "PUT", "/%00", "NUL"),
        (400, "PUT", "/%ff", "UTF-8"),
        (400, "PUT", "/%zz", "escape"),
        (400, "GET", "?t=dance", "t must be json"),
        (400, "GET", "/f?t=dance", "t must be json"),
        (400, "PUT", "/f?t=dance", "t must be uri"),
        (400, "POST", "?t=dance", "t must be upload"),
        (400, "POST", "", "t must be upload"),
        (400, "PUT", "", "only be put in the place of a file"),
        (400, "PUT", "?t=uri", "names a cap"),
        (400, "PUT", "/x?t=uri", "not a cap"),
        (400, "PUT", "/x?format=XYZ", "format must be"),
        (400, "PUT", "/x?replace=maybe", "replace must be"),
        (400, "PUT", "/x?t=mkdir&format=CHK", "format must be"),
        (400, "POST", "?t=uri&name=x", "uri must be"),
        (400, "POST", "?t=uri&uri=URI:LIT:", "name= is missing"),
        (400, "POST", "?t=uri&uri=nonsense&name=x", "not a cap"),
        (
            400,
            "POST",
            "/f?t=rename&from_name=a&to_name=b",
            "there is a file",
        ),
        (405, "PATCH", "/f", "allowed"),
        (501, "PUT", "/x?format=SDMF&private-key=abc", "private-key"),
        (501, "POST", "?t=mkdir&name=x&private-key=abc", "private-key"),
    ] {
        let text = rig
            .expect(status, method, &format!("/uri/{root}{path}"), b"")
            .await;
        assert!(text.contains(part), "{method} {path}: {text}");
        assert!(!text.contains(&root), "{text}");
    }
    let deep = format!("/uri/{root}{}", "/a".repeat(10_000));
    rig.expect(400, "PUT", &deep, b"x").await;
    rig.expect(414, "PUT", &format!("{deep}{deep}"), b"x").await;
    let long = format!("/uri/{root}/{}", "x".repeat(256));
    assert!(rig.expect(400, "PUT", &long, b"x").await.contains("255 bytes"));
    let range = [("Content-Range", "bytes 0-1/2")];
    for path in ["/uri".to_owned(), format!("/uri/{root}/f")] {
        assert_eq!(rig.ask("PUT", &path, &range, b"x").await.status, 501);
    }
    rig.expect(501, "POST", "/uri?t=mkdir&private-key=abc", b"").await;
    rig.expect(400, "POST", "/uri?t=dance", b"").await;
    rig.expect(400, "PUT", "/uri?t=dance", b"").await;
    rig.expect(400, "POST", "/uri?t=mkdir&format=CHK", b"").await;
    assert!(
        rig.expect(400, "POST", "/uri?t=mkdir", b"{}")
            .await
            .contains("mkdir-with-children")
    );
    assert!(
        rig.expect(400, "POST", &format!("/uri/{root}/x?t=mkdir"), b"{}")
            .await
            .contains("no body")
    );
    assert_eq!(rig.names(&format!("/uri/{root}")).await, ["f"]);
}

#[actix_web::test]
async fn caps_of_the_wrong_kind() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let verify = verify_only(&root);
    let chk_verify = "URI:CHK-Verifier:aaaaaaaaaaaaaaaaaaaaaaaaaa:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:3:10:9";
    for (method, path) in [
        ("GET", format!("/uri/{verify}")),
        ("GET", format!("/uri/{verify}?t=json")),
        ("GET", format!("/uri/{verify}/a")),
        ("PUT", format!("/uri/{verify}/a")),
        ("GET", format!("/uri/{chk_verify}")),
        ("PUT", format!("/uri/{chk_verify}")),
        ("PUT", format!("/uri/{HELLO}")),
        (
            "GET",
            format!("/uri/{}?t=json", chk_verify.replace("URI:", "URI:DIR2-")),
        ),
        ("POST", format!("/uri/{HELLO}?t=mkdir")),
        ("POST", format!("/uri/{HELLO}?t=set_children")),
        ("POST", format!("/uri/{HELLO}?t=unlink&name=x")),
        ("GET", format!("/file/{root}/name")),
        ("PUT", "/uri/URI:NEW:x/a".to_owned()),
    ] {
        let text = rig.expect(400, method, &path, b"").await;
        assert!(text.contains("(request "), "{text}");
    }
    assert_eq!(
        rig.upload(&format!("/uri/{HELLO}?t=upload"), &[], "f", "x")
            .await
            .status,
        400
    );
    for cap in [verify.as_str(), chk_verify, "URI:NEW:x"] {
        rig.expect(400, "PUT", &format!("/uri/{root}/x?t=uri"), cap.as_bytes())
            .await;
        let body = json!({"x": ["?", {"rw_uri": cap}]}).to_string();
        rig.expect(
            400,
            "POST",
            &format!("/uri/{root}?t=set_children"),
            body.as_bytes(),
        )
        .await;
    }
    let write_as_read = json!({"x": ["?", {"ro_uri": root}]}).to_string();
    let text = rig
        .expect(
            400,
            "POST",
            &format!("/uri/{root}?t=set_children"),
            write_as_read.as_bytes(),
        )
        .await;
    assert!(text.contains("only reads was promised"), "{text}");
    assert!(rig.names(&format!("/uri/{root}")).await.is_empty());
}

#[actix_web::test]
async fn bodies_that_are_too_long_or_no_json() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    for body in ["[]", "{", "{\"a\": 1}", "{\"a\": [\"filenode\", {}]}", "\u{7f}"] {
        for path in [
            format!("/uri/{root}?t=set_children"),
            "/uri?t=mkdir-immutable".to_owned(),
        ] {
            rig.expect(400, "POST", &path, body.as_bytes()).await;
        }
    }
    // A gigabyte is refused when it is announced.
    for path in [
        format!("/uri/{root}?t=set_children"),
        "/uri?t=mkdir-with-children".to_owned(),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n");
        assert_eq!(rig.raw(head.as_bytes()).await.status, 413);
    }
    let head = format!("PUT /uri/{root}/x?t=uri HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(rig.raw(head.as_bytes()).await.status, 413);
    let form = format!("t=unlink&name={}", "x".repeat(70_000));
    assert_eq!(rig.submit(&format!("/uri/{root}"), &form).await.status, 413);
    let metadata = json!({"x": ["?", {"ro_uri": HELLO, "metadata": {"a": "x".repeat(17_000)}}]}).to_string();
    rig.expect(
        400,
        "POST",
        &format!("/uri/{root}?t=set_children"),
        metadata.as_bytes(),
    )
    .await;
    rig.expect(400, "POST", "/uri?t=mkdir-with-children", metadata.as_bytes())
        .await;
}

#[actix_web::test]
async fn what_the_drive_says() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let accept = [("Accept", "application/json")];
    for (error, status, cause, wait) in [
        (DriveError::NoVdrive, 503, "no_vdrive", None),
        (
            DriveError::Unreachable { known: 1 },
            503,
            "vdrive_unreachable",
            Some("5"),
        ),
        (
            DriveError::Busy {
                retry_after: Duration::from_secs(9),
            },
            503,
            "busy",
            Some("9"),
        ),
        (DriveError::Database, 503, "vdrive_database", Some("5")),
        (DriveError::NotFound, 410, "no_such_directory", None),
        (DriveError::Forged, 502, "forged", None),
        (
            DriveError::RolledBack { seen: 5, got: 4 },
            502,
            "rolled_back",
            None,
        ),
        (DriveError::SplitDatabase, 502, "split_database", None),
        (DriveError::Stopping, 503, "stopping", Some("5")),
    ] {
        *rig.drive.failing_reads.lock().unwrap() = Some(error);
        for (method, path) in [
            ("GET", format!("/uri/{root}?t=json")),
            ("PUT", format!("/uri/{root}/a/b")),
        ] {
            let answer = rig.ask(method, &path, &accept, b"x").await;
            assert_eq!(answer.status, status, "{cause}: {}", answer.text());
            assert_eq!(answer.json()["error"]["cause"], cause);
            assert_eq!(answer.header("retry-after"), wait, "{cause}");
        }
        // Caps of files are served all the same.
        assert_eq!(
            rig.expect(200, "GET", &format!("/uri/{HELLO}"), b"").await,
            "hello"
        );
    }
    *rig.drive.failing_reads.lock().unwrap() = None;
    for (error, status) in [
        (DriveError::Unknown, 504),
        (DriveError::Contended { tries: 16 }, 503),
        (DriveError::Internal, 500),
        (DriveError::NoVdrive, 503),
    ] {
        rig.drive.failing_edits.lock().unwrap().push(error);
        rig.expect(status, "PUT", &format!("/uri/{root}/a"), b"x").await;
    }
    let gone = "URI:DIR2:aaaaaaaaaaaaaaaaaaaaaaaaaa:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    rig.expect(410, "GET", &format!("/uri/{gone}?t=json"), b"").await;
}

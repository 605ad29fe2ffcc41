//! `GET` and `HEAD`.

use serde_json::json;

use super::super::Rig;
use super::super::fake::noise;
use super::{HELLO, read_only, verify_only};

#[actix_web::test]
async fn what_directories_say() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let big = rig.put(&noise(1000, 1)).await;
    let sub = rig
        .expect(200, "POST", &format!("/uri/{root}/sub?t=mkdir"), b"")
        .await;
    rig.expect(200, "PUT", &format!("/uri/{root}/big?t=uri"), big.as_bytes())
        .await;
    rig.expect(201, "PUT", &format!("/uri/{root}/sub/gr%C3%BCn.txt"), b"hello")
        .await;
    rig.expect(201, "PUT", &format!("/uri/{root}/m?format=MDMF"), b"moving")
        .await;

    let answer = rig.get(&format!("/uri/{root}?t=json")).await;
    assert!(answer.body.is_ascii(), "the tahoe client takes nothing else");
    let json = answer.json();
    assert_eq!(json[0], "dirnode");
    let facts = &json[1];
    assert_eq!(facts["rw_uri"], *root);
    assert_eq!(facts["ro_uri"], read_only(&root));
    assert_eq!(facts["verify_uri"], verify_only(&root));
    assert_eq!(facts["mutable"], true);
    let child = &facts["children"]["big"];
    assert_eq!(child[0], "filenode");
    assert_eq!(child[1]["ro_uri"], *big);
    assert_eq!(
        (&child[1]["size"], &child[1]["format"]),
        (&json!(1000), &json!("CHK"))
    );
    assert_eq!(
        (&child[1]["mutable"], child[1].get("rw_uri")),
        (&json!(false), None)
    );
    assert!(child[1]["metadata"]["tahoe"]["linkmotime"].is_f64(), "{child}");
    let child = &facts["children"]["sub"];
    assert_eq!((&child[0], &child[1]["rw_uri"]), (&json!("dirnode"), &json!(sub)));
    let child = &facts["children"]["m"];
    assert_eq!(
        (&child[0], &child[1]["format"]),
        (&json!("filenode"), &json!("MDMF"))
    );

    let file = rig.json(&format!("/uri/{root}/sub/gr%C3%BCn.txt")).await;
    assert_eq!((&file[0], &file[1]["size"]), (&json!("filenode"), &json!(5)));
    assert!(file[1]["metadata"]["tahoe"].is_object());
    // Both normal forms of the name are one.
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/sub/gru%CC%88n.txt"), b"")
            .await,
        "hello"
    );
    let mutable = rig.json(&format!("/uri/{root}/m")).await;
    assert_eq!(
        (&mutable[1]["size"], &mutable[1]["mutable"]),
        (&json!(6), &json!(true))
    );

    assert_eq!(
        rig.expect(200, "GET", &format!("/cap/{root}/sub?t=uri"), b"")
            .await,
        sub
    );
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/sub?t=readonly-uri"), b"")
            .await,
        read_only(&sub)
    );
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/big?t=uri"), b"")
            .await,
        big
    );
    let file = rig.get(&format!("/uri/{root}/big")).await;
    assert_eq!((file.status, file.body.len()), (200, 1000));
    let part = rig
        .ask(
            "GET",
            &format!("/uri/{root}/sub/gr%C3%BCn.txt"),
            &[("Range", "bytes=1-2")],
            b"",
        )
        .await;
    assert_eq!((part.status, part.text().as_str()), (206, "el"));
    assert!(
        part.header("content-disposition")
            .unwrap()
            .contains("gr%C3%BCn.txt"),
        "the name is the link's"
    );
    let head = rig.ask("HEAD", &format!("/uri/{root}/big"), &[], b"").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, Some("1000"), 0)
    );
    let head = rig.ask("HEAD", &format!("/uri/{root}?t=json"), &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[actix_web::test]
async fn read_only_is_transitive() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    rig.expect(201, "PUT", &format!("/uri/{root}/a/b/m?format=SDMF"), b"x")
        .await;
    let read = read_only(&root);
    for path in ["", "/a", "/a/b", "/a/b/m"] {
        let text = rig.get(&format!("/uri/{read}{path}?t=json")).await.text();
        assert!(!text.contains("rw_uri"), "{path}: {text}");
        let uri = rig
            .expect(200, "GET", &format!("/uri/{read}{path}?t=uri"), b"")
            .await;
        assert!(uri.contains("-RO:"), "{path}");
    }
    for (method, path, body) in [
        ("PUT", "/new", b"x".as_slice()),
        ("PUT", "/a/new", b"x"),
        ("PUT", "/a/b/m", b"x"),
        ("PUT", "/a/b/m?offset=0", b"x"),
        ("PUT", "/a/new?t=uri", HELLO.as_bytes()),
        ("PUT", "/a/x/y?t=mkdir", b""),
        ("POST", "/a?t=mkdir&name=n", b""),
        ("POST", "/a/b?t=unlink&name=m", b""),
        ("POST", "/a/b?t=rename&from_name=m&to_name=n", b""),
        ("POST", "/a?t=uri&name=n&uri=URI:LIT:", b""),
        ("POST", "/a?t=set_children", b"{}"),
        ("DELETE", "/a", b""),
    ] {
        let text = rig.expect(403, method, &format!("/uri/{read}{path}"), body).await;
        assert!(text.contains("only reads"), "{method} {path}: {text}");
    }
    assert_eq!(
        rig.upload(&format!("/uri/{read}?t=upload"), &[], "f", "x")
            .await
            .status,
        403
    );
    assert_eq!(rig.names(&format!("/uri/{root}")).await, ["a"]);
}

#[actix_web::test]
async fn pages_of_directories_and_files() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    rig.expect(201, "PUT", &format!("/uri/{root}/%3Cscript%3E"), b"hello")
        .await;
    for path in [
        "",
        "?t=info",
        "?t=rename-form&name=%3Cscript%3E",
        "/%3Cscript%3E?t=info",
    ] {
        let page = rig.get(&format!("/uri/{root}{path}")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        assert!(
            page.header("content-security-policy")
                .unwrap()
                .contains("default-src 'none'")
        );
        assert!(
            !page.text().contains("<script>alert") && !page.text().contains("<script></"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn children_of_unknown_kinds_are_carried() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let children = json!({"future": ["unknown", {"rw_uri": "URI:NEW:write", "ro_uri": "URI:NEW:read"}]});
    rig.expect(
        200,
        "POST",
        &format!("/uri/{root}?t=set_children"),
        children.to_string().as_bytes(),
    )
    .await;
    let json = rig.json(&format!("/uri/{root}/future")).await;
    assert_eq!(json[0], "unknown");
    assert_eq!(
        (&json[1]["rw_uri"], &json[1]["ro_uri"]),
        (&json!("URI:NEW:write"), &json!("ro.URI:NEW:read"))
    );
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/future?t=uri"), b"")
            .await,
        "URI:NEW:write"
    );
    let path = format!("/uri/{root}/future?t=readonly-uri");
    assert_eq!(rig.expect(200, "GET", &path, b"").await, "ro.URI:NEW:read");
    let read = read_only(&root);
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{read}/future?t=uri"), b"")
            .await,
        "ro.URI:NEW:read"
    );
    rig.expect(400, "GET", &format!("/uri/{root}/future"), b"").await;
    rig.expect(400, "GET", &format!("/uri/{root}/future/below"), b"")
        .await;
    assert_eq!(
        rig.expect(200, "DELETE", &format!("/uri/{root}/future"), b"")
            .await,
        "URI:NEW:write"
    );
}

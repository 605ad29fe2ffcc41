//! New files and directories, linked and unlinked.

use serde_json::json;

use super::super::Rig;
use super::super::fake::noise;
use super::super::fake_drive::EDITS_MAX;
use super::{HELLO, read_only};

#[actix_web::test]
async fn directories_that_are_linked_nowhere() {
    let rig = Rig::start();
    for (method, path) in [
        ("POST", "/uri?t=mkdir"),
        ("PUT", "/uri?t=mkdir"),
        ("POST", "/uri?t=mkdir&format=mdmf"),
        ("POST", "/uri?t=mkdir-with-children"),
    ] {
        let cap = rig.expect(200, method, path, b"").await;
        assert!(cap.starts_with("URI:DIR2:"), "{path}: {cap}");
        assert!(rig.names(&format!("/uri/{cap}")).await.is_empty());
    }
    let answer = rig
        .ask("POST", "/uri?t=mkdir&redirect_to_result=true", &[], b"")
        .await;
    let location = answer.header("location").unwrap();
    assert_eq!(answer.status, 303);
    assert!(rig.names(location).await.is_empty());
    let json = rig
        .ask("POST", "/uri?t=mkdir", &[("Accept", "application/json")], b"")
        .await
        .json();
    assert_eq!(json["read_cap"], read_only(json["cap"].as_str().unwrap()));
    let form = rig.submit("/uri", "t=mkdir&when_done=/uri/%25(uri)s").await;
    assert_eq!(form.status, 303);
    assert!(rig.names(form.header("location").unwrap()).await.is_empty());
}

#[actix_web::test]
async fn paths_are_made_on_the_way() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let before = *rig.drive.changes.lock().unwrap();
    let cap = rig
        .expect(201, "PUT", &format!("/uri/{root}/a/b/c/f"), b"hello")
        .await;
    assert_eq!(cap, HELLO);
    assert_eq!(
        *rig.drive.changes.lock().unwrap(),
        before + 1,
        "one change links the whole way"
    );
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/a/b/c/f"), b"").await,
        "hello"
    );
    let json = rig.json(&format!("/uri/{root}/a/b/c/f")).await;
    assert!(json[1]["metadata"]["tahoe"]["linkcrtime"].is_f64(), "{json}");
    rig.expect(200, "PUT", &format!("/uri/{root}/a/b/c/f"), b"again")
        .await;
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/a/b/c/f"), b"").await,
        "again"
    );
    rig.expect(200, "PUT", &format!("/uri/{root}/a/x/y?t=uri"), HELLO.as_bytes())
        .await;
    let made = rig
        .expect(200, "PUT", &format!("/uri/{root}/a/d/e?t=mkdir"), b"")
        .await;
    assert_eq!(
        rig.expect(200, "PUT", &format!("/uri/{root}/a/d/e?t=mkdir"), b"")
            .await,
        made
    );
    assert_eq!(
        rig.expect(200, "POST", &format!("/uri/{root}/a/d/e?t=mkdir"), b"")
            .await,
        made
    );
    assert_eq!(
        rig.expect(200, "POST", &format!("/uri/{root}/a/d?t=mkdir&name=e"), b"")
            .await,
        made
    );
    assert_eq!(rig.names(&format!("/uri/{root}/a")).await, ["b", "d", "x"]);
    assert_eq!(
        rig.upload(&format!("/uri/{root}/u/v?t=upload"), &[], "n", "posted")
            .await
            .status,
        200
    );
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/u/v"), b"").await,
        "posted"
    );
    // A file in the way.
    for (method, t) in [
        ("PUT", ""),
        ("PUT", "?t=uri"),
        ("PUT", "?t=mkdir"),
        ("POST", "?t=mkdir"),
    ] {
        let path = format!("/uri/{root}/u/v/w{t}");
        let body = if t == "?t=uri" { HELLO.as_bytes() } else { b"" };
        let text = rig.expect(409, method, &path, body).await;
        assert!(text.contains("in the way"), "{text}");
    }
    rig.expect(409, "PUT", &format!("/uri/{root}/u/v?t=mkdir"), b"")
        .await;
}

#[actix_web::test]
async fn names_that_are_taken() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    rig.expect(201, "PUT", &format!("/uri/{root}/f"), b"one").await;
    rig.expect(201, "PUT", &format!("/uri/{root}/d/inner"), b"one")
        .await;
    for (method, path, body) in [
        ("PUT", "f?replace=false", b"x".as_slice()),
        ("PUT", "f?t=uri&replace=false", HELLO.as_bytes()),
        ("PUT", "d", b"x"),
        ("PUT", "d?replace=only-files", b"x"),
        ("PUT", "d?t=uri&replace=only-files", HELLO.as_bytes()),
        ("PUT", "d?t=uri&replace=false", HELLO.as_bytes()),
        ("POST", "?t=uri&name=f&uri=URI:LIT:&replace=false", b""),
        ("POST", "?t=mkdir&name=f", b""),
        ("POST", "?t=mkdir&name=d&replace=false", b""),
        ("POST", "d?t=mkdir-with-children", b"{}"),
        ("POST", "?t=mkdir-immutable&name=f", b"{}"),
        ("POST", "?t=rename&from_name=f&to_name=d&replace=only-files", b""),
        ("POST", "?t=rename&from_name=f&to_name=d&replace=false", b""),
        (
            "POST",
            "?t=set_children&overwrite=false",
            br#"{"f": ["", {"ro_uri": "URI:LIT:"}]}"#,
        ),
        (
            "POST",
            "?t=set_children&replace=only-files",
            br#"{"d": ["", {"ro_uri": "URI:LIT:"}]}"#,
        ),
    ] {
        rig.expect(409, method, &format!("/uri/{root}/{path}"), body)
            .await;
    }
    assert_eq!(
        rig.upload(&format!("/uri/{root}?t=upload&replace=false"), &[], "f", "x")
            .await
            .status,
        409
    );
    assert_eq!(
        rig.upload(&format!("/uri/{root}?t=upload&name=d"), &[], "f", "x")
            .await
            .status,
        409
    );
    assert_eq!(rig.names(&format!("/uri/{root}/d")).await, ["inner"]);
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/f"), b"").await,
        "one"
    );
    // Only when it is asked for in so many words is a directory replaced.
    rig.expect(
        200,
        "POST",
        &format!("/uri/{root}?t=mkdir&name=d&replace=true"),
        b"",
    )
    .await;
    assert!(rig.names(&format!("/uri/{root}/d")).await.is_empty());
    rig.expect(200, "PUT", &format!("/uri/{root}/d?t=uri"), HELLO.as_bytes())
        .await;
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{root}/d"), b"").await,
        "hello"
    );
}

#[actix_web::test]
async fn files_from_forms() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let path = format!("/uri/{root}");
    let answer = rig.upload(&path, &[("t", "upload")], "a.txt", "hello").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, HELLO));
    let named = [("t", "upload"), ("name", "b")];
    assert_eq!(rig.upload(&path, &named, "ignored", "hello").await.status, 200);
    let done = format!("/uri/{root}?done=%(uri)s");
    let answer = rig
        .upload(&path, &[("t", "upload"), ("when_done", &done)], "c", "hello")
        .await;
    assert_eq!(answer.status, 303);
    assert_eq!(
        answer.header("location").unwrap(),
        format!("/uri/{root}?done=URI%3ALIT%3Anbswy3dp")
    );
    let answer = rig
        .upload(&path, &[("t", "upload"), ("format", "sdmf")], "m", "hello")
        .await;
    assert!(answer.text().starts_with("URI:SSK:"), "{}", answer.text());
    assert_eq!(rig.names(&path).await, ["a.txt", "b", "c", "m"]);
    let answer = rig.upload(&path, &[("t", "upload")], "m", "other").await;
    assert!(
        answer.text().starts_with("URI:SSK:"),
        "its contents were replaced: {}",
        answer.text()
    );
    assert_eq!(rig.expect(200, "GET", &format!("{path}/m"), b"").await, "other");
    for (fields, name, part) in [
        (vec![("t", "upload")], "", "name= is missing"),
        (vec![("t", "upload")], "a/b", "slash"),
        (vec![("t", "upload"), ("name", "..")], "a", ".."),
        (vec![("t", "unlink"), ("name", "a.txt")], "a", "only t=upload"),
        (vec![("name", "a.txt")], "a", "only t=upload"),
        (vec![("t", "upload"), ("when_done", "//x")], "a", "when_done"),
    ] {
        let answer = rig.upload(&path, &fields, name, "x").await;
        assert_eq!(answer.status, 400, "{part}: {}", answer.text());
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }
    let none = rig.submit(&path, "t=upload&name=n").await;
    assert_eq!(
        (none.status, none.text().contains("no field named file")),
        (400, true)
    );
    assert_eq!(rig.names(&path).await, ["a.txt", "b", "c", "m"]);
}

#[actix_web::test]
async fn children_at_once() {
    let rig = Rig::start();
    let big = rig.put(&noise(1000, 3)).await;
    let sub = rig.mkdir().await;
    let children = json!({
        "file": ["filenode", {"ro_uri": big, "metadata": {"mtime": 7}}],
        "sub": ["dirnode", {"rw_uri": sub}],
    });
    let json = children.to_string();
    let made = rig
        .expect(200, "POST", "/uri?t=mkdir-with-children", json.as_bytes())
        .await;
    let listing = rig.json(&format!("/uri/{made}")).await;
    assert_eq!(listing[1]["children"]["file"][1]["metadata"]["mtime"], 7);
    assert_eq!(listing[1]["children"]["sub"][1]["rw_uri"], *sub);
    let path = format!("/uri/{made}/x?t=mkdir-with-children&name=y");
    rig.expect(200, "POST", &path, json.as_bytes()).await;
    assert_eq!(rig.names(&format!("/uri/{made}/x/y")).await, ["file", "sub"]);
    let again = json!({"file": ["filenode", {"rw_uri": HELLO}], "new": ["filenode", {"ro_uri": HELLO}]});
    for t in ["set_children", "set-children"] {
        let path = format!("/uri/{made}?t={t}");
        // curl says that everything it sends is a form.
        let header = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = rig
            .ask("POST", &path, &header, again.to_string().as_bytes())
            .await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "Okay so I did it.")
        );
    }
    let file = rig.json(&format!("/uri/{made}/file")).await;
    assert_eq!(
        (&file[1]["ro_uri"], &file[1]["metadata"]["mtime"]),
        (&json!(HELLO), &json!(7))
    );
    let answer = rig
        .submit(&format!("/uri/{made}"), &format!("t=uri&name=u&uri={HELLO}"))
        .await;
    assert_eq!((answer.status, answer.text().as_str()), (200, HELLO));
}

#[actix_web::test]
async fn more_children_than_fit_into_one_change() {
    let rig = Rig::start();
    let count = EDITS_MAX * 2 + 1;
    let children: serde_json::Map<String, serde_json::Value> = (0..count)
        .map(|i| (format!("{i}"), json!(["filenode", {"ro_uri": HELLO}])))
        .collect();
    let json = json!(children).to_string();
    let made = rig
        .expect(200, "POST", "/uri?t=mkdir-with-children", json.as_bytes())
        .await;
    assert_eq!(rig.names(&format!("/uri/{made}")).await.len(), count);
    let other = rig.mkdir().await;
    rig.expect(
        200,
        "POST",
        &format!("/uri/{other}?t=set_children"),
        json.as_bytes(),
    )
    .await;
    assert_eq!(rig.names(&format!("/uri/{other}")).await.len(), count);
}

#[actix_web::test]
async fn immutable_directories() {
    let rig = Rig::start();
    let big = rig.put(&noise(1000, 4)).await;
    let children = json!({
        "big": ["filenode", {"ro_uri": big, "metadata": {"a": "b"}}],
        "small": ["filenode", {"ro_uri": HELLO}],
    });
    let json = children.to_string();
    let made = rig
        .expect(200, "POST", "/uri?t=mkdir-immutable", json.as_bytes())
        .await;
    assert!(made.starts_with("URI:DIR2-CHK:"), "{made}");
    assert_eq!(
        rig.expect(200, "POST", "/uri?t=mkdir-immutable", json.as_bytes())
            .await,
        made,
        "convergent"
    );
    let empty = rig.expect(200, "POST", "/uri?t=mkdir-immutable", b"").await;
    assert!(empty.starts_with("URI:DIR2-LIT:"), "{empty}");
    assert!(rig.names(&format!("/uri/{empty}")).await.is_empty());
    let outer = json!({"in": ["dirnode", {"ro_uri": made}], "none": ["dirnode", {"ro_uri": empty}]});
    let outer = rig
        .expect(
            200,
            "POST",
            "/uri?t=mkdir-immutable",
            outer.to_string().as_bytes(),
        )
        .await;
    let got = rig.get(&format!("/uri/{outer}/in/big")).await;
    assert_eq!((got.status, got.body.len()), (200, 1000));
    let listing = rig.json(&format!("/uri/{outer}/in")).await;
    assert_eq!(listing[1]["mutable"], false);
    assert_eq!(
        (listing[1].get("rw_uri"), &listing[1]["ro_uri"]),
        (None, &json!(made))
    );
    assert_eq!(listing[1]["children"]["big"][1]["metadata"]["a"], "b");
    assert_eq!(
        rig.expect(200, "GET", &format!("/uri/{outer}/in/small"), b"")
            .await,
        "hello"
    );

    for path in ["", "?t=json"] {
        let url = format!("/uri/{made}{path}");
        let first = rig.get(&url).await;
        let etag = first.header("etag").unwrap().to_owned();
        let second = rig.ask("GET", &url, &[("If-None-Match", &etag)], b"").await;
        assert_eq!(
            (first.status, second.status, second.body.len()),
            (200, 304, 0),
            "{path}"
        );
    }
    for (method, path, body) in [
        ("PUT", "/new", b"x".as_slice()),
        ("PUT", "/in/big", b"x"),
        ("DELETE", "/in", b""),
        ("POST", "?t=unlink&name=in", b""),
        ("POST", "?t=set_children", b"{}"),
    ] {
        let text = rig
            .expect(403, method, &format!("/uri/{outer}{path}"), body)
            .await;
        assert!(text.contains("never changes"), "{text}");
    }
    let root = rig.mkdir().await;
    let linked = rig
        .expect(
            200,
            "POST",
            &format!("/uri/{root}/a/b?t=mkdir-immutable"),
            json.as_bytes(),
        )
        .await;
    assert_eq!(linked, made);
    assert_eq!(rig.names(&format!("/uri/{root}/a/b")).await, ["big", "small"]);
    for cap in [&root, &read_only(&root)] {
        let body = json!({"x": ["dirnode", {"rw_uri": cap}]}).to_string();
        let text = rig
            .expect(400, "POST", "/uri?t=mkdir-immutable", body.as_bytes())
            .await;
        assert!(text.contains("must be immutable itself"), "{text}");
    }
    // A listing that is none.
    let bogus = big.replace("URI:CHK:", "URI:DIR2-CHK:");
    rig.expect(410, "GET", &format!("/uri/{bogus}?t=json"), b"").await;
    rig.expect(410, "GET", "/uri/URI:DIR2-LIT:nbswy3dp?t=json", b"")
        .await;
    let huge = "URI:DIR2-CHK:aaaaaaaaaaaaaaaaaaaaaaaaaa:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:3:10:99999999";
    rig.expect(413, "GET", &format!("/uri/{huge}?t=json"), b"").await;
}

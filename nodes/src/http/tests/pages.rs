//! Pages: nothing gets out of its place in them, nothing is loaded from elsewhere, large folders come in parts.

use super::{Answer, Rig};
use crate::http::path::encode;

const BROWSER: [(&str, &str); 1] = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];

async fn open(rig: &Rig, path: &str) -> Answer {
    rig.ask("GET", path, &BROWSER, b"").await
}

async fn folder(rig: &Rig) -> String {
    let answer = rig.ask("POST", "/uri?t=mkdir", &[], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

async fn put(rig: &Rig, folder: &str, name: &str, content: &[u8]) {
    let path = format!("/uri/{folder}/{}", encode(name));
    let answer = rig.ask("PUT", &path, &[], content).await;
    assert!(answer.status < 300, "{}", answer.text());
}

/// Links that all pages may have besides those on this gateway.
fn check_page(path: &str, page: &Answer) {
    let (text, policy) = (
        page.text(),
        page.header("content-security-policy").unwrap_or_default(),
    );
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{path}: {policy}"
    );
    assert_eq!(page.header("x-frame-options"), Some("DENY"), "{path}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{path}");
    assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
    for bad in [
        "http://",
        "https://",
        "<script>",
        "style=",
        "onclick=",
        "javascript:",
    ] {
        assert!(!text.contains(bad), "{path} holds {bad}: {text}");
    }
    let title = text
        .split("<title>")
        .nth(1)
        .and_then(|rest| rest.split("</title>").next());
    assert!(
        title.is_some_and(|title| !title.contains("URI")),
        "{path}: {title:?}"
    );
}

#[actix_web::test]
async fn every_page_is_careful() {
    let rig = Rig::start();
    let folder = folder(&rig).await;
    put(&rig, &folder, "<img src=x onerror='a()'>\"&.txt", b"harmless").await;
    let file = rig.put(b"in the cap").await;
    for path in [
        "/".to_owned(),
        "/files".to_owned(),
        "/status".to_owned(),
        "/storage".to_owned(),
        format!("/uri/{folder}/"),
        format!("/uri/{folder}?t=info"),
        format!("/uri/{folder}?t=rename-form&name=%22%3E%3Cscript%3E"),
        format!("/uri/{file}?t=info"),
        format!("/uri/{folder}/?filter=%22%3E%3Cscript%3E"),
    ] {
        let page = open(&rig, &path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        check_page(&path, &page);
    }
    let error = open(&rig, &format!("/uri/{folder}/%22%3E%3Cscript%3E")).await;
    assert_eq!(error.status, 404);
    check_page("an error", &error);
    assert!(error.text().contains("Not here"));
    let plain = rig.get(&format!("/uri/{folder}/absent")).await;
    assert!(!plain.text().contains('<'), "programs get text");
}

#[actix_web::test]
async fn who_may_only_read_sees_no_key_and_no_forms() {
    let rig = Rig::start();
    let folder = folder(&rig).await;
    put(&rig, &folder, "a.txt", b"a").await;
    assert_eq!(
        rig.ask("POST", &format!("/uri/{folder}?t=mkdir&name=sub"), &[], b"")
            .await
            .status,
        200
    );
    let read = rig.get(&format!("/uri/{folder}?t=readonly-uri")).await.text();
    let page = open(&rig, &format!("/uri/{read}/")).await.text();
    assert!(page.contains("read-only") && page.contains("a.txt") && page.contains("sub"));
    for bad in ["upload-form", "mkdir-form", "data-act=\"delete\"", "URI:DIR2:"] {
        assert!(!page.contains(bad), "{bad}");
    }
    let key = folder.split(':').nth(2).unwrap();
    assert!(!page.contains(key));
    assert!(
        !open(&rig, &format!("/uri/{read}?t=info"))
            .await
            .text()
            .contains(key)
    );
}

#[actix_web::test]
async fn large_folders_come_in_pages() {
    let rig = Rig::start();
    let children: serde_json::Map<String, serde_json::Value> = (0..450)
        .map(|number| {
            let cap = rig_lit(number);
            (
                format!("file {number:03}"),
                serde_json::json!(["filenode", { "ro_uri": cap }]),
            )
        })
        .collect();
    let body = serde_json::to_vec(&children).unwrap();
    let made = rig.ask("POST", "/uri?t=mkdir-with-children", &[], &body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let at = format!("/uri/{}/", made.text());
    let rows = |page: &str| page.matches("<tr data-name=").count();
    let first = open(&rig, &at).await.text();
    assert_eq!(rows(&first), 200);
    assert!(first.contains("450 items") && first.contains("Page 1 of 3") && first.contains("rel=\"next\""));
    let last = open(&rig, &format!("{at}?page=3")).await.text();
    assert_eq!(rows(&last), 50);
    assert!(last.contains("file 449") && !last.contains("rel=\"next\""));
    assert_eq!(
        rows(
            &open(&rig, &format!("{at}?page=99999999999999999999"))
                .await
                .text()
        ),
        200
    );
    assert_eq!(rows(&open(&rig, &format!("{at}?page=77")).await.text()), 50);
    let found = open(&rig, &format!("{at}?filter=LE%2044")).await.text();
    assert_eq!(rows(&found), 10);
    assert!(found.contains("10 of 450 items"));
    let down = open(&rig, &format!("{at}?sort=size&order=down")).await.text();
    assert!(down.contains("aria-sort=\"descending\"") && down.find("file 449") < down.find("file 100"));
    assert!(
        open(&rig, &format!("{at}?filter=nothing"))
            .await
            .text()
            .contains("No name contains that")
    );
}

/// A cap that holds as many letters as the number has digits.
fn rig_lit(number: u32) -> String {
    let text = number.to_string();
    let cap = truckee_grid::caps::LitCap::new(text.as_bytes()).unwrap();
    truckee_grid::caps::Cap::Lit(cap).to_uri()
}

#[actix_web::test]
async fn what_pages_load() {
    let rig = Rig::start();
    let folder = folder(&rig).await;
    let pages = [
        open(&rig, "/").await.text(),
        open(&rig, &format!("/uri/{folder}/")).await.text(),
    ]
    .concat();
    let mut wanted: Vec<String> = pages
        .split(['"'])
        .filter(|text| text.starts_with("/static/"))
        .map(str::to_owned)
        .collect();
    let mut seen = Vec::new();
    while let Some(path) = wanted.pop() {
        if seen.contains(&path) {
            continue;
        }
        let asset = rig.get(&path).await;
        assert_eq!(asset.status, 200, "{path}");
        let text = asset.text();
        assert!(
            !text.contains("https://") && !text.replace("http://www.w3.org/2000/svg", "").contains("http://")
        );
        let imports = text
            .lines()
            .filter_map(|line| line.split("from \"./").nth(1)?.split('"').next());
        wanted.extend(imports.map(|name| format!("/static/{name}")));
        let etag = asset.header("etag").unwrap();
        let again = rig.ask("GET", &path, &[("If-None-Match", etag)], b"").await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        seen.push(path);
    }
    assert!(seen.len() > 8, "{seen:?}");
    for absent in ["/static/", "/static/..%2fCargo.toml", "/static/nothing.js"] {
        assert_eq!(rig.get(absent).await.status, 404, "{absent}");
    }
}

#[actix_web::test]
#[ignore = "serves the pages over a mesh in memory, for those who work on them; ends with the process"]
async fn serve_pages() {
    let rig = Rig::start();
    println!("http://{}/", rig.address);
    std::future::pending::<()>().await;
}

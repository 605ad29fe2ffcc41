//! Checks, walks through trees, their handles, and what is told of operations.

use serde_json::{Value, json};
use truckee_grid::caps::{Cap, MutableCap};

use super::fake::Mood;
use super::{Answer, Rig};

const HELLO: &str = "URI:LIT:nbswy3dp";

impl Rig {
    async fn post(&self, path: &str) -> Answer {
        self.ask("POST", path, &[], b"").await
    }

    async fn folder(&self) -> String {
        let answer = self.post("/uri?t=mkdir").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    async fn link(&self, directory: &str, name: &str, cap: &str) {
        let path = format!("/uri/{directory}/{name}?t=uri");
        let answer = self.ask("PUT", &path, &[], cap.as_bytes()).await;
        assert!(answer.status < 300, "{}", answer.text());
    }

    async fn check(&self, cap: &str, more: &str) -> Value {
        let answer = self.post(&format!("/uri/{cap}?t=check&output=JSON{more}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// The lines of a stream that ends well; the statistics last.
    async fn walk(&self, path: &str) -> Vec<Value> {
        let answer = self.post(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.body.is_ascii());
        let text = unchunk(&answer);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// Asks a handle until it has ended.
    async fn ended(&self, handle: &str) -> Value {
        for _ in 0..1000 {
            let answer = self.get(&format!("/operations/{handle}?output=json")).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let json = answer.json();
            if json["finished"] == true {
                return json;
            }
            tokio::task::yield_now().await;
        }
        panic!("{handle} does not end");
    }

    /// A tree: a file, a small file, an immutable and a mutable directory, the root itself again.
    async fn tree(&self) -> (String, String) {
        let root = self.folder().await;
        let file = self.put(&[7; 5000]).await;
        self.link(&root, "file", &file).await;
        self.link(&root, "small", HELLO).await;
        self.link(&root, "again", &file).await;
        let sub = self.folder().await;
        self.link(&sub, "loop", &root).await;
        self.link(&sub, "%C3%A9", HELLO).await;
        self.link(&root, "sub", &sub).await;
        (root, file)
    }
}

/// The body of a chunked answer.
fn unchunk(answer: &Answer) -> String {
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let text = answer.text();
    let (mut rest, mut body) = (text.as_str(), String::new());
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body += &after[..length];
        rest = &after[length + 2..];
    }
    panic!("the answer is cut: {text}");
}

fn si(cap: &str) -> String {
    Cap::parse(cap).unwrap().storage_index().unwrap().to_base32()
}

fn verifier(cap: &str) -> String {
    Cap::parse(cap).unwrap().to_verifier().unwrap().to_uri()
}

#[actix_web::test]
async fn a_check_has_all_that_clients_read() {
    let rig = Rig::start();
    let file = rig.put(&[7; 5000]).await;
    for cap in [file.clone(), verifier(&file)] {
        let checked = rig.check(&cap, "&add-lease=true").await;
        assert_eq!(checked["storage-index"], si(&file));
        assert_eq!(checked["summary"], "Healthy");
        let results = &checked["results"];
        for (key, value) in [
            ("healthy", json!(true)),
            ("recoverable", json!(true)),
            ("count-happiness", json!(10)),
            ("count-shares-good", json!(10)),
            ("count-shares-needed", json!(3)),
            ("count-shares-expected", json!(10)),
            ("count-good-share-hosts", json!(10)),
            ("count-corrupt-shares", json!(0)),
            ("list-corrupt-shares", json!([])),
            ("count-wrong-shares", json!(0)),
            ("count-recoverable-versions", json!(1)),
            ("count-unrecoverable-versions", json!(0)),
        ] {
            assert_eq!(results[key], value, "{key}");
        }
        assert_eq!(results["servers-responding"].as_array().unwrap().len(), 10);
        assert_eq!(results["sharemap"]["9"].as_array().unwrap().len(), 1);
    }
    let verified = rig.check(&file, "&verify=true").await;
    assert_eq!(verified["truckee"]["blocks-verified"], 10);
}

#[actix_web::test]
async fn bad_health_is_a_result_and_no_error() {
    let rig = Rig::start();
    let file = rig.put(&[7; 5000]).await;
    rig.fake.set(Mood::NotHappy);
    let checked = rig.check(&file, "").await;
    let results = &checked["results"];
    assert_eq!(
        (&results["healthy"], &results["recoverable"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(results["count-shares-good"], 8);
    assert_eq!(results["list-corrupt-shares"][0][1], si(&file));
    assert_eq!(results["list-corrupt-shares"][0][2], 0);
    assert_eq!(checked["truckee"]["servers-silent"][0]["cause"], "link_lost");
    assert!(checked["summary"].as_str().unwrap().starts_with("Not Healthy"));
    rig.fake.set(Mood::TooFewShares);
    let results = &rig.check(&file, "").await["results"];
    assert_eq!(
        (&results["recoverable"], &results["count-unrecoverable-versions"]),
        (&json!(false), &json!(1))
    );
    let page = rig.ask("POST", &format!("/uri/{file}?t=check"), &[], b"").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(!page.text().contains(&file), "a result shows no cap");
}

#[actix_web::test]
async fn a_repair_tells_what_was_before_and_what_is_now() {
    let rig = Rig::start();
    let file = rig.put(&[7; 5000]).await;
    let repaired = rig.check(&file, "&repair=true").await;
    assert_eq!(repaired["repair-attempted"], false);
    assert_eq!(repaired["pre-repair-results"]["results"]["healthy"], true);
    assert!(repaired.get("repair-unavailable").is_none());
    rig.fake.set(Mood::NotHappy);
    let repaired = rig.check(&file, "&repair=true").await;
    assert_eq!(
        (&repaired["repair-attempted"], &repaired["repair-successful"]),
        (&json!(true), &json!(true))
    );
    let (before, after) = (&repaired["pre-repair-results"], &repaired["post-repair-results"]);
    assert_eq!(before["results"]["count-shares-good"], 8);
    assert_eq!(before["results"]["count-corrupt-shares"], 1);
    assert_eq!(after["results"]["count-shares-good"], 10, "it was checked again");
    assert_eq!(after["summary"], "Healthy");
    assert_eq!(
        repaired["truckee"],
        json!({"shares-made": 2, "repair-problem": null})
    );
    rig.fake.set(Mood::NotHappy);
    let page = rig.post(&format!("/uri/{file}?t=check&repair=true")).await.text();
    assert!(
        page.contains("2 shares were made again") && page.contains("10 of 10"),
        "{page}"
    );
    let literal = rig.check(HELLO, "&repair=true").await;
    assert_eq!(literal, json!({"storage-index": "", "repair-attempted": false}));
}

#[actix_web::test]
async fn a_repair_that_cannot_be_made_says_why() {
    let rig = Rig::start();
    let file = rig.put(&[7; 5000]).await;
    rig.fake.set(Mood::TooFewShares);
    let repaired = rig.check(&file, "&repair=true").await;
    assert_eq!(
        (&repaired["repair-attempted"], &repaired["repair-successful"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        repaired["post-repair-results"], repaired["pre-repair-results"],
        "nothing was done"
    );
    let problem = repaired["truckee"]["repair-problem"].as_str().unwrap();
    assert!(problem.starts_with("3 shares are needed"), "{problem}");
    let page = rig.post(&format!("/uri/{file}?t=check&repair=true")).await.text();
    assert!(page.contains("no share was made again: 3 shares are"), "{page}");
}

#[actix_web::test]
async fn a_directory_that_cannot_be_read_is_not_repaired() {
    let rig = Rig::start();
    let gone = Cap::Dir(MutableCap::of_write_key(
        truckee_grid::keys::WriteKey::from_bytes([9; 16]),
    ));
    let repaired = rig.check(&gone.to_uri(), "&repair=true").await;
    assert_eq!(repaired["repair-attempted"], false);
    assert!(repaired["repair-unavailable"].is_string());
}

#[actix_web::test]
async fn small_files_live_in_their_caps_and_directories_in_the_drive() {
    let rig = Rig::start();
    let literal = rig.check(HELLO, "").await;
    assert_eq!(
        literal,
        json!({"storage-index": "", "results": {"healthy": true}})
    );
    let directory = rig.folder().await;
    let checked = rig.check(&directory, "&verify=true").await;
    assert_eq!(checked["storage-index"], si(&directory));
    assert_eq!(checked["results"]["healthy"], true);
    assert_eq!(checked["results"]["count-shares-good"], 1);
    assert_eq!(checked["truckee"]["version"], 1);
    let stranger = Cap::Dir(MutableCap::of_write_key(
        truckee_grid::keys::WriteKey::from_bytes([9; 16]),
    ));
    let checked = rig.check(&stranger.to_uri(), "").await;
    assert_eq!(checked["results"]["healthy"], false);
    assert_eq!(checked["results"]["recoverable"], false);
    let answer = rig.post(&format!("/uri/{}?t=check", verifier(&directory))).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[actix_web::test]
async fn a_mutable_file_is_as_healthy_as_its_content() {
    let rig = Rig::start();
    let answer = rig.ask("PUT", "/uri?format=SDMF", &[], &[7; 5000]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cap = answer.text();
    let checked = rig.check(&cap, "").await;
    assert_eq!(checked["storage-index"], si(&cap));
    assert_eq!(checked["results"]["count-shares-good"], 10);
    rig.fake.set(Mood::NotHappy);
    assert_eq!(rig.check(&cap, "").await["results"]["healthy"], false);
}

#[actix_web::test]
async fn checks_that_cannot_be_made_say_why() {
    let rig = Rig::start();
    let file = rig.put(&[7; 5000]).await;
    let path = format!("/uri/{file}?t=check");
    for (mood, status, cause) in [
        (Mood::CutShort, 400, "cap_contradicts"),
        (Mood::Stopping, 503, "stopping"),
    ] {
        rig.fake.set(mood);
        let answer = rig
            .ask("POST", &path, &[("Accept", "application/json")], b"")
            .await;
        assert_eq!(
            (answer.status, answer.json()["error"]["cause"].as_str()),
            (status, Some(cause))
        );
    }
    rig.fake.set(Mood::Kind);
    let answer = rig.post(&format!("{path}&verify=perhaps")).await;
    assert_eq!(answer.status, 400);
    let answer = rig.post(&format!("{path}&when_done=/status")).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/status")));
}

#[actix_web::test]
async fn a_manifest_names_each_thing_once_and_ends_with_statistics() {
    let rig = Rig::start();
    let (root, file) = rig.tree().await;
    let lines = rig.walk(&format!("/uri/{root}?t=stream-manifest")).await;
    let paths: Vec<Value> = lines.iter().map(|line| line["path"].clone()).collect();
    let expected = json!([[], ["again"], ["small"], ["sub"], ["sub", "\u{e9}"], null]);
    assert_eq!(
        json!(paths),
        expected,
        "the second link of a file and a loop are left out"
    );
    assert_eq!(
        lines[0],
        json!({"path": [], "cap": root, "type": "directory", "verifycap": verifier(&root),
               "repaircap": verifier(&root), "storage-index": si(&root)})
    );
    assert_eq!(
        (&lines[1]["cap"], &lines[1]["type"]),
        (&json!(file), &json!("file"))
    );
    assert_eq!(
        (&lines[2]["verifycap"], &lines[2]["storage-index"]),
        (&json!(""), &json!(""))
    );
    let last = lines.last().unwrap();
    assert_eq!(last["type"], "stats");
    let stats = &last["stats"];
    for (key, value) in [
        ("count-directories", 2),
        ("count-files", 3),
        ("count-immutable-files", 1),
        ("count-literal-files", 2),
        ("count-mutable-files", 0),
        ("count-unknown", 0),
        ("size-immutable-files", 5000),
        ("size-literal-files", 10),
        ("largest-immutable-file", 5000),
        ("largest-directory-children", 4),
    ] {
        assert_eq!(stats[key], value, "{key}");
    }
    assert_eq!(
        stats["size-files-histogram"],
        json!([[4, 10, 2], [3163, 10000, 1]])
    );
    assert!(stats["size-directories"].as_u64() > stats["largest-directory"].as_u64());
}

#[actix_web::test]
async fn below_a_read_cap_nothing_is_found_with_a_write_cap() {
    let rig = Rig::start();
    let (root, _) = rig.tree().await;
    let read = Cap::parse(&root).unwrap().to_read().unwrap().to_uri();
    for line in rig.walk(&format!("/uri/{read}?t=stream-manifest")).await {
        let cap = line["cap"].as_str().unwrap_or_default();
        assert!(!cap.starts_with("URI:DIR2:"), "{cap}");
    }
}

#[actix_web::test]
async fn a_deep_check_has_a_result_for_each_thing() {
    let rig = Rig::start();
    let (root, file) = rig.tree().await;
    let lines = rig
        .walk(&format!(
            "/uri/{root}?t=stream-deep-check&verify=true&add-lease=true"
        ))
        .await;
    assert_eq!(lines.len(), 6);
    for line in &lines[..5] {
        assert_eq!(line["check-results"]["results"]["healthy"], true, "{line}");
    }
    assert_eq!(lines[1]["check-results"]["storage-index"], si(&file));
    rig.fake.set(Mood::CutShort);
    let lines = rig
        .walk(&format!("/uri/{root}?t=stream-deep-check&repair=true"))
        .await;
    let results = &lines[1]["check-and-repair-results"];
    assert_eq!(results["repair-attempted"], false);
    assert_eq!(
        results["pre-repair-results"]["results"]["healthy"], false,
        "an edited cap ends no walk"
    );
    assert_eq!(
        lines[2]["check-and-repair-results"],
        json!({"storage-index": "", "repair-attempted": false})
    );
}

#[actix_web::test]
async fn a_renewal_names_each_file_once_and_says_what_was_not_reached() {
    let rig = Rig::start();
    let (root, file) = rig.tree().await;
    let renew = async |cap: &str| rig.walk(&format!("/uri/{cap}?t=stream-renew")).await;
    let lines = renew(&root).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let stats = &lines[0]["stats"];
    let expected = json!({
        "objects": 5, "files": 1, "files-without-holder": 0, "nodes": 10, "nodes-not-renewed": [],
    });
    assert_eq!(
        *stats, expected,
        "one file, linked twice; the others live in their caps and in the drive"
    );
    for cap in [file.clone(), verifier(&file)] {
        assert_eq!(renew(&cap).await[0]["stats"]["files"], 1, "{cap}");
    }
    let strange = verifier(&file).replacen(&si(&file), &"a".repeat(26), 1);
    let lines = renew(&strange).await;
    assert_eq!(
        lines[0],
        json!({ "type": "without-holder", "storage-index": "a".repeat(26) })
    );
    assert_eq!(lines[1]["stats"]["files-without-holder"], 1);
    rig.fake.set(Mood::NotHappy);
    assert_eq!(
        renew(&file).await[0]["stats"]["nodes-not-renewed"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(renew(HELLO).await[0]["stats"]["files"], 0);
}

#[actix_web::test]
async fn a_walk_that_fails_ends_with_a_line_that_is_no_json() {
    let rig = Rig::start();
    let root = rig.folder().await;
    let gone = Cap::Dir(MutableCap::of_write_key(
        truckee_grid::keys::WriteKey::from_bytes([9; 16]),
    ));
    rig.link(&root, "gone", &gone.to_uri()).await;
    let answer = rig.post(&format!("/uri/{root}?t=stream-manifest")).await;
    let text = unchunk(&answer);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("ERROR: "), "{text}");
    assert!(!text.contains("\"stats\""), "what failed has no statistics");
    let answer = rig
        .post(&format!("/uri/{}?t=stream-manifest", gone.to_uri()))
        .await;
    assert_eq!(
        answer.status, 410,
        "a root that cannot be read is known before the answer begins"
    );
    let answer = rig.post(&format!("/uri/{HELLO}?t=stream-manifest")).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[actix_web::test]
async fn handles_show_what_walks_came_to() {
    let rig = Rig::start();
    let (root, file) = rig.tree().await;
    for (operation, handle) in [
        ("start-manifest", "m"),
        ("start-deep-size", "s"),
        ("start-deep-stats", "t"),
        ("start-deep-check", "c"),
        ("start-deep-check&repair=true", "r"),
    ] {
        let answer = rig
            .post(&format!(
                "/uri/{root}?t={operation}&ophandle={handle}&output=JSON"
            ))
            .await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert_eq!(
            answer.header("location"),
            Some(&*format!("/operations/{handle}?output=JSON"))
        );
    }
    let manifest = rig.ended("m").await;
    assert_eq!(manifest["manifest"][1], json!([["again"], file]));
    assert_eq!(manifest["origin"], si(&root));
    assert_eq!(manifest["verifycaps"].as_array().unwrap().len(), 3);
    assert_eq!(manifest["storage-index"].as_array().unwrap().len(), 3);
    assert_eq!(manifest["stats"]["count-files"], 3);
    let text = rig.get("/operations/m?output=text").await.text();
    assert!(
        text.starts_with("finished: yes\n") && text.contains(&format!("again {file}")),
        "{text}"
    );
    let size = rig.ended("s").await;
    assert_eq!(size["size"]["size-immutable-files"], 5000);
    assert!(
        rig.get("/operations/s?output=text")
            .await
            .text()
            .contains("\nsize: ")
    );
    assert_eq!(rig.ended("t").await["count-directories"], 2);
    assert_eq!(
        rig.get("/operations/t").await.json()["finished"],
        true,
        "statistics are JSON without being asked"
    );
    let checked = rig.ended("c").await;
    let counts =
        ["checked", "healthy", "unhealthy"].map(|what| checked[format!("count-objects-{what}")].clone());
    assert_eq!(
        json!(counts),
        json!([3, 3, 0]),
        "what lives in its cap is not counted"
    );
    assert_eq!(checked["root-storage-index"], si(&root));
    let repaired = rig.ended("r").await;
    assert_eq!(repaired["count-objects-healthy-post-repair"], 3);
    assert_eq!(repaired["count-repairs-attempted"], 0, "nothing was to be done");
    for handle in ["m", "s", "c", "r"] {
        let page = rig.get(&format!("/operations/{handle}")).await;
        assert!(
            page.header("content-type").unwrap().starts_with("text/html"),
            "{handle}"
        );
    }
}

#[actix_web::test]
async fn a_deep_check_lists_what_is_not_healthy() {
    let rig = Rig::start();
    let (root, file) = rig.tree().await;
    rig.fake.set(Mood::NotHappy);
    rig.post(&format!("/uri/{root}?t=start-deep-check&ophandle=c"))
        .await;
    let checked = rig.ended("c").await;
    assert_eq!(
        (
            &checked["count-objects-checked"],
            &checked["count-objects-unhealthy"]
        ),
        (&json!(3), &json!(1))
    );
    assert_eq!(checked["list-unhealthy-files"][0][0], json!(["again"]));
    assert_eq!(
        checked["list-unhealthy-files"][0][1]["results"]["count-shares-good"],
        8
    );
    assert_eq!(checked["list-corrupt-shares"][0][1], si(&file));
    assert_eq!(checked["count-corrupt-shares"], 1);
}

#[actix_web::test]
async fn a_deep_repair_counts_before_and_after() {
    let rig = Rig::start();
    let (root, file) = rig.tree().await;
    let counts = async |handle: &str| {
        rig.post(&format!(
            "/uri/{root}?t=start-deep-check&repair=true&ophandle={handle}"
        ))
        .await;
        let ended = rig.ended(handle).await;
        let keys = [
            "count-objects-healthy-pre-repair",
            "count-objects-healthy-post-repair",
            "count-objects-unhealthy-pre-repair",
            "count-objects-unhealthy-post-repair",
            "count-repairs-attempted",
            "count-repairs-successful",
            "count-repairs-unsuccessful",
            "count-corrupt-shares-pre-repair",
            "count-corrupt-shares-post-repair",
        ];
        (json!(keys.map(|key| ended[key].clone())), ended)
    };
    rig.fake.set(Mood::NotHappy);
    let (counted, ended) = counts("a").await;
    assert_eq!(counted, json!([2, 3, 1, 0, 1, 1, 0, 1, 0]));
    assert_eq!(ended["list-unhealthy-files"][0][0], json!(["again"]));
    assert_eq!(ended["list-corrupt-shares"][0][1], si(&file));
    assert_eq!(ended["list-remaining-corrupt-shares"], json!([]));
    let text = rig.get("/operations/a?output=text").await.text();
    assert!(
        text.contains("\nrepaired: 1\nhealthy after repair: 3\n"),
        "{text}"
    );
    rig.fake.set(Mood::TooFewShares);
    let (counted, ended) = counts("b").await;
    assert_eq!(counted, json!([2, 2, 1, 1, 1, 0, 1, 1, 1]));
    assert_eq!(ended["list-remaining-corrupt-shares"][0][1], si(&file));
}

#[actix_web::test]
async fn a_walk_can_be_cancelled_and_its_handle_is_gone() {
    let rig = Rig::start();
    let (root, _) = rig.tree().await;
    rig.fake.set(Mood::Overloaded);
    rig.post(&format!("/uri/{root}?t=start-deep-check&ophandle=c"))
        .await;
    let running = rig.get("/operations/c?output=JSON").await.json();
    assert_eq!(running["finished"], false);
    let answer = rig.post("/operations/c?t=cancel&output=JSON").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(rig.get("/operations/c").await.status, 404);
    assert_eq!(rig.post("/operations/c?t=cancel").await.status, 404);
}

#[actix_web::test]
async fn walks_are_bounded_and_end_with_their_clients() {
    let rig = Rig::start();
    let (root, _) = rig.tree().await;
    rig.fake.set(Mood::Overloaded);
    let start = async |number: usize| {
        rig.post(&format!("/uri/{root}?t=start-deep-check&ophandle={number}"))
            .await
            .status
    };
    for number in 0..crate::http::deep::WALKS_MAX {
        assert_eq!(start(number).await, 302);
    }
    assert_eq!(start(99).await, 503);
    rig.post("/operations/0?t=cancel").await;
    let mut status = 503;
    for _ in 0..1000 {
        status = start(99).await;
        if status == 302 {
            break;
        }
    }
    assert_eq!(status, 302, "a cancelled walk gives its place back");
}

#[actix_web::test]
async fn wrong_questions_about_handles() {
    let rig = Rig::start();
    let root = rig.folder().await;
    for (path, status) in [
        (format!("/uri/{root}?t=start-manifest"), 400),
        (format!("/uri/{root}?t=start-manifest&ophandle="), 400),
        (format!("/uri/{root}?t=start-manifest&ophandle=a%2Fb"), 400),
        (
            format!("/uri/{root}?t=start-manifest&ophandle=a&retain-for=x"),
            400,
        ),
        (format!("/uri/{HELLO}?t=start-manifest&ophandle=a"), 400),
        (format!("/uri/{root}/absent?t=start-manifest&ophandle=a"), 404),
        ("/operations/none?t=cancel".to_owned(), 404),
    ] {
        assert_eq!(rig.post(&path).await.status, status, "{path}");
    }
    rig.post(&format!("/uri/{root}?t=start-manifest&ophandle=a"))
        .await;
    rig.ended("a").await;
    assert_eq!(rig.get("/operations/a?output=XML").await.status, 400);
    assert_eq!(
        rig.get("/operations/a?t=cancel").await.status,
        400,
        "a GET changes nothing"
    );
    assert_eq!(rig.post("/operations/a?t=status").await.status, 400);
    assert_eq!(rig.ask("PUT", "/operations/a", &[], b"").await.status, 405);
    assert_eq!(
        rig.get("/operations/a?output=JSON&release-after-complete=true")
            .await
            .status,
        200
    );
    assert_eq!(rig.get("/operations/a?output=JSON").await.status, 404);
}

#[actix_web::test]
async fn a_walk_that_failed_behind_a_handle_tells_its_error() {
    let rig = Rig::start();
    let root = rig.folder().await;
    let gone = Cap::Dir(MutableCap::of_write_key(
        truckee_grid::keys::WriteKey::from_bytes([9; 16]),
    ));
    rig.link(&root, "gone", &gone.to_uri()).await;
    rig.post(&format!("/uri/{root}?t=start-manifest&ophandle=a"))
        .await;
    let mut answer = rig.get("/operations/a?output=JSON").await;
    for _ in 0..1000 {
        if answer.status != 200 {
            break;
        }
        answer = rig.get("/operations/a?output=JSON").await;
    }
    assert_eq!(answer.status, 410, "{}", answer.text());
    let page = rig.get("/operations/a").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("failed"));
}

#[actix_web::test]
async fn what_was_done_is_told_without_caps() {
    let rig = Rig::start();
    let (root, _) = rig.tree().await;
    let status = rig.get("/status?t=json").await.json();
    assert_eq!(status["active"], json!([]));
    let recent = status["recent"].as_array().unwrap();
    assert!(
        recent.iter().all(|operation| operation["type"] == "change"),
        "only the drive is recorded here"
    );
    assert!(
        recent
            .iter()
            .any(|operation| operation["storage-index-string"] == si(&root))
    );
    let one = rig.get("/status/change-1?t=json").await.json();
    assert_eq!(
        (&one["status"], &one["outcome"], &one["progress"]),
        (&json!("Finished"), &json!("completed"), &json!(1.0))
    );
    assert!(!status.to_string().contains("URI:"));
    for path in ["/status", "/status/", "/status/change-1", "/storage"] {
        let page = rig.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(
            page.header("content-type").unwrap().starts_with("text/html"),
            "{path}"
        );
    }
    for path in [
        "/status/change-0",
        "/status/up-9",
        "/status/x-1",
        "/status/up",
        "/status/change-x",
    ] {
        assert_eq!(rig.get(path).await.status, 404, "{path}");
    }
    for path in ["/status?t=x", "/statistics?t=x", "/storage?t=x"] {
        assert_eq!(rig.get(path).await.status, 400, "{path}");
    }
}

#[actix_web::test]
async fn figures_have_the_names_that_tools_know() {
    let rig = Rig::start();
    rig.folder().await;
    let statistics = rig.get("/statistics?t=json").await.json();
    assert_eq!(statistics["counters"]["uploader.files_uploaded"], 0);
    assert_eq!(statistics["counters"]["mutable.files_published"], 1);
    assert!(statistics["stats"]["node.uptime"].as_f64().is_some());
    let answer = rig.get("/statistics?t=openmetrics").await;
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let text = answer.text();
    assert!(
        text.contains("\ntahoe_counters_mutable_files_published 1\n"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
    let storage = rig.get("/storage?t=json").await.json();
    assert_eq!(storage["stats"]["storage_server.total_bucket_count"], 12);
    assert_eq!(storage["truckee"]["peers"][0]["used_bytes"], 3000);
    assert_eq!(rig.get("/helper_status?t=json").await.json(), json!({}));
}

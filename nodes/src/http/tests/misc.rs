//! Pages, probes, logs, and the stop.

use super::fake::{Mood, noise};
use super::{Rig, logged};

#[actix_web::test]
async fn the_welcome_page_and_its_parts() {
    let rig = Rig::start();
    let page = rig.get("/").await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(
        text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !text.contains("<script>alert"),
        "{text}"
    );
    assert!(text.contains("&lt;gateway&gt; &amp; co") && text.contains("a&quot;b"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(
        !text.contains("http://") && !text.contains("https://"),
        "nothing is loaded from elsewhere"
    );
}

#[actix_web::test]
async fn the_welcome_page_for_programs() {
    let rig = Rig::start();
    let json = rig.get("/?t=json").await.json();
    assert_eq!(
        json["introducers"]["statuses"][0],
        "Connected to <script>alert(1)</script> (up)"
    );
    let server = &json["servers"][0];
    let id = truckee_grid::ids::NodeId([9; 32]).to_base32();
    assert_eq!(server["nodeid"], id);
    assert_eq!(server["available_space"], 5_000_000);
    assert_eq!(server["connection_status"], "Connected to 127.0.0.1:7");
    assert_eq!(server["last_received_data"], 1_700_000_000);
    assert_eq!(
        (json["truckee"]["k"].as_u64(), json["truckee"]["ready"].as_bool()),
        (Some(3), Some(true))
    );
    assert_eq!(rig.get("/?t=xml").await.status, 400);
}

#[actix_web::test]
async fn probes() {
    let rig = Rig::start();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(rig.get(path).await.status, 200, "{path}");
    }
    rig.fake.set(Mood::NotHappy);
    let unready = rig.get("/readyz").await;
    assert_eq!(
        (unready.status, &*unready.text()),
        (503, "2 of 7 storage peers are linked\n")
    );
    assert_eq!(rig.get("/healthz").await.status, 200);
    rig.fake.set(Mood::Stopping);
    assert_eq!(rig.get("/healthz").await.status, 503);
    let metrics = rig.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.text().contains("truckee_http_requests_total"),
        "{}",
        metrics.text()
    );
}

#[actix_web::test]
async fn caps_get_into_no_log_and_no_metric() {
    let rig = Rig::start();
    let cap = rig.put(&noise(1000, 1)).await;
    let key = cap.split(':').nth(2).unwrap();
    let lit = "URI:LIT:onswg4tforpxg";
    for path in [
        format!("/uri/{cap}"),
        format!("/uri/{}", cap.replace(':', "%3A")),
        format!("/uri?uri={cap}"),
        format!("/file/{cap}/secret-name"),
        format!("/uri/{cap}x"),
        format!("/{cap}"),
        format!("/uri/{lit}"),
        format!("/uri/{cap}?t=json"),
    ] {
        rig.get(&path).await;
    }
    rig.fake.set(Mood::TooFewShares);
    rig.get(&format!("/uri/{cap}")).await;
    rig.fake.set(Mood::CutShort);
    rig.get(&format!("/uri/{cap}")).await;
    rig.fake.set(Mood::Stopping);
    rig.get(&format!("/uri/{cap}")).await;
    let log = logged();
    let metrics = rig.get("/metrics").await.text();
    assert!(
        log.contains("request ended") && log.contains("\"route\":\"/uri\""),
        "{log}"
    );
    for secret in [key, "onswg4tforpxg", "secret-name"] {
        for (place, text) in [("log", &log), ("metrics", &metrics)] {
            assert!(!text.contains(secret), "{secret} stands in the {place}");
        }
    }
}

#[actix_web::test]
async fn every_answer_has_an_id_and_careful_headers() {
    let rig = Rig::start();
    for path in ["/", "/nowhere", "/healthz", "/uri/URI:LIT:nbswy3dp", "/uri/x"] {
        let answer = rig.get(path).await;
        for name in [
            "x-request-id",
            "x-content-type-options",
            "referrer-policy",
            "x-frame-options",
        ] {
            assert!(answer.header(name).is_some(), "{path}: {name}");
        }
    }
    let error = rig.get("/uri/x").await;
    assert!(error.text().contains(error.header("x-request-id").unwrap()));
    assert_eq!(error.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[actix_web::test]
async fn a_stopped_server_accepts_nobody() {
    let rig = Rig::start();
    rig.get("/healthz").await;
    rig.server.stop(true).await.unwrap();
    assert!(tokio::net::TcpStream::connect(rig.address).await.is_err());
}

#[actix_web::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::start();
    let mut idle = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    // The connection would be kept for 30 s and the drain time is 20 s: whichever is waited for, this is less.
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(15), rig.server.stop(true)).await;
    stopped
        .expect("nobody waits for a connection without a request")
        .unwrap();
    idle.read_to_end(&mut Vec::new()).await.unwrap();
}

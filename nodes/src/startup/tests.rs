//! A whole node in this process: all roles at once, on loopback.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::http::port::NodeView as _;
use crate::init::{InitExtra, InitSpec, init_node};

mod growth;

/// One request over a connection of its own; the text of the whole answer.
async fn ask(address: String, request: String) -> String {
    let asked = move || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::task::spawn_blocking(asked).await.unwrap().unwrap()
}

async fn get(address: &str, path: &str) -> String {
    ask(
        address.to_owned(),
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    )
    .await
}

fn all_in_one(dir: &std::path::Path) -> (NodeDir, Config) {
    let mut spec = InitSpec::new(dir, "all", &[Role::Introducer, Role::Storage, Role::Gateway]);
    spec.gateway_listen = Some("127.0.0.1:0".parse().unwrap());
    spec.extra = InitExtra {
        k: Some(1),
        n: Some(1),
        happy: Some(1),
        ..InitExtra::default()
    };
    init_node(&spec).unwrap();
    (NodeDir::new(dir), Config::load(dir).unwrap())
}

/// Nodes of one role each, the introducer first, started one after the other with what `adjust` makes of their configurations.
async fn start_all(
    dir: &std::path::Path,
    roles: impl IntoIterator<Item = Role>,
    adjust: impl Fn(&mut Config),
) -> Vec<Running> {
    let (mut nodes, mut invites) = (Vec::new(), Vec::new());
    for (number, role) in roles.into_iter().enumerate() {
        let mut spec = InitSpec::new(&dir.join(number.to_string()), "node", &[role]);
        spec.invites.clone_from(&invites);
        spec.gateway_listen = (role == Role::Gateway).then(|| "127.0.0.1:0".parse().unwrap());
        init_node(&spec).unwrap();
        let mut config = Config::load(&spec.dir).unwrap();
        adjust(&mut config);
        let node = start(&NodeDir::new(&spec.dir), &config).await.unwrap();
        invites.extend(node.run_file().invite.clone());
        nodes.push(node);
    }
    nodes
}

/// Stops nodes, those that were started last first.
async fn stop_all(nodes: Vec<Running>) {
    for node in nodes.into_iter().rev() {
        node.stop(Duration::from_secs(5)).await;
    }
}

#[actix_web::test]
async fn one_node_with_all_roles_keeps_a_file_over_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, config) = all_in_one(&temp.path().join("node"));
    let running = start(&dir, &config).await.unwrap();
    let first = running.run_file().clone();
    let gateway = first
        .http
        .clone()
        .unwrap()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    assert!(Invite::parse(first.invite.as_deref().unwrap()).is_ok());
    while !get(&gateway, "/readyz").await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
    let body = "not much, but more than fits into a cap: ".repeat(10);
    let head = format!(
        "PUT /uri HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let stored = ask(gateway.clone(), head + &body).await;
    let cap = stored.rsplit("\r\n\r\n").next().unwrap().to_owned();
    assert!(cap.starts_with("URI:CHK:"), "{stored}");
    let metrics = get(&first.metrics.unwrap().to_string(), "/metrics").await;
    assert!(metrics.contains("truckee_upload_finished_total") && metrics.contains("truckee_node_info"));
    running.stop(config.limits.drain).await;
    assert!(TcpStream::connect(&gateway).is_err());

    let again = start(&dir, &config).await.unwrap();
    let second = again.run_file();
    assert_eq!(
        (
            second.mesh,
            &second.http,
            second.metrics,
            &second.node_id,
            &second.invite
        ),
        (
            first.mesh,
            &first.http,
            first.metrics,
            &first.node_id,
            &first.invite
        ),
        "addresses, id and invite stay"
    );
    let read = get(&gateway, &format!("/uri/{cap}")).await;
    assert!(read.ends_with(&body), "{read}");
    again.stop(config.limits.drain).await;
}

#[actix_web::test]
async fn a_node_that_nobody_admits_is_alive_but_not_ready() {
    let temp = tempfile::tempdir().unwrap();
    let mut spec = InitSpec::new(&temp.path().join("node"), "lonely", &[Role::Storage]);
    let invite = format!("truckee://{}@127.0.0.1:1/{}", "a".repeat(52), "a".repeat(32));
    spec.invites = vec![invite];
    init_node(&spec).unwrap();
    let (dir, config) = (NodeDir::new(&spec.dir), Config::load(&spec.dir).unwrap());
    let running = start(&dir, &config).await.unwrap();
    let probes = running.run_file().metrics.unwrap().to_string();
    assert!(get(&probes, "/healthz").await.starts_with("HTTP/1.1 200"));
    let ready = get(&probes, "/readyz").await;
    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.contains("admitted"),
        "{ready}"
    );
    assert_eq!(
        (running.run_file().http.clone(), running.run_file().invite.clone()),
        (None, None)
    );
    running.stop(config.limits.drain).await;
}

#[actix_web::test]
async fn storage_nodes_do_not_ask_each_other_how_full_they_are() {
    let temp = tempfile::tempdir().unwrap();
    let roles = [Role::Introducer, Role::Storage, Role::Storage, Role::Gateway];
    let nodes = start_all(temp.path(), roles, |_| {}).await;
    let knows = |node: &Running| node.view.storage().len();
    let is_ready = |node: &Running| node.view.snapshot().unready.is_none();
    // Who asks does so first when it starts, and until it is ready again and again.
    while knows(&nodes[0]) < 2 || knows(&nodes[3]) < 2 || !nodes[1..3].iter().all(is_ready) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((knows(&nodes[1]), knows(&nodes[2])), (0, 0));
    stop_all(nodes).await;
}

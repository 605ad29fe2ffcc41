//! Those who do not belong to the mesh: without the secret, without the protocol, without haste.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use truckee_tests::rig::{self, Cluster, Node, Options};

use crate::{program, stderr};

fn small() -> Cluster {
    Cluster::start_with(
        program(),
        &Options {
            peers: 3,
            ..Options::default()
        },
    )
}

/// Sets up a storage node with an invite.
fn newcomer(cluster: &Cluster, name: &str, invite: &str) -> PathBuf {
    let dir = cluster.scratch(name);
    let path = dir.to_str().expect("a temporary directory has a plain name");
    let made = rig::run(
        program(),
        ["init", "--dir", path, "--role", "storage", "--invite", invite],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    dir
}

/// The invite with another secret.
fn forged(invite: &str) -> String {
    let (place, secret) = invite.rsplit_once('/').expect("an invite ends in its secret");
    let first = if secret.starts_with('a') { "e" } else { "a" };
    format!("{place}/{first}{}", &secret[1..])
}

#[test]
fn a_newcomer_with_the_invite_joins() {
    let cluster = small();
    let dir = newcomer(&cluster, "newcomer", &cluster.file.invite);
    let mut node = Node::start(program(), &dir);
    node.wait_ready();
    cluster.wait_connected(4);
}

#[test]
fn a_stranger_without_the_secret_is_refused_and_counted() {
    let cluster = small();
    let refused = || {
        cluster.metric("introducer", "truckee_link_refused_total")
            + cluster.metric("introducer", "truckee_membership_rejected_total")
    };
    let before = refused();
    let dir = newcomer(&cluster, "stranger", &forged(&cluster.file.invite));
    let _stranger = Node::start(program(), &dir);
    rig::until("the stranger is refused", || (refused() > before).then_some(()));
    // Had it been let in, the others would know of it now.
    cluster.wait_connected(3);
    let status = cluster.http().answer("GET", "/?t=json", &[], b"").ok();
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status["servers"].as_array().unwrap().len(), 3, "{status}");
}

/// Everything that is no TLS: none of it may take a node down or make it take memory for what is announced.
#[test]
fn garbage_at_a_mesh_port_is_hung_up_on() {
    let cluster = small();
    let mut too_long = vec![22, 3, 1, 0xff, 0xff];
    too_long.extend(rig::bytes(1, 70_000));
    let offers: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &rig::bytes(2, 100_000),
        &too_long,
        &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ];
    for name in ["introducer", "storage-01", "gateway"] {
        for offer in offers {
            let mut stream = TcpStream::connect(&cluster.node(name).address).unwrap();
            stream.set_read_timeout(Some(rig::PATIENCE)).unwrap();
            // It may hang up before it has taken everything.
            let _ = stream.write_all(offer);
            assert_hung_up(&mut stream, name);
        }
    }
    assert_eq!(cluster.running().len(), 6);
    let content = rig::bytes(3, 100_000);
    assert!(cluster.http().get(&cluster.http().put(&content)).ok() == content);
}

/// Reads until the other side has hung up, whatever it says before.
fn assert_hung_up(stream: &mut TcpStream, name: &str) {
    let mut answer = [0; 4096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                return;
            }
            Err(error) => panic!("{name} did not hang up: {error}"),
        }
    }
}

#[test]
fn those_who_connect_and_say_nothing_keep_nobody_out() {
    let cluster = small();
    let silent = |address: &str| -> Vec<TcpStream> {
        (0..200).map(|_| TcpStream::connect(address).unwrap()).collect()
    };
    let address = cluster.node("storage-01").address.clone();
    let mut idle = silent(&address);
    let http = silent(cluster.gateway().trim_start_matches("http://"));
    let dir = newcomer(&cluster, "newcomer", &cluster.file.invite);
    let mut node = Node::start(program(), &dir);
    node.wait_ready();
    cluster.wait_connected(4);
    let content = rig::bytes(4, 100_000);
    assert!(cluster.http().get(&cluster.http().put(&content)).ok() == content);
    for stream in &mut idle {
        stream.set_read_timeout(Some(rig::PATIENCE)).unwrap();
        assert_hung_up(stream, "storage-01");
    }
    drop(http);
}

/// A slow client of the gateway does not keep others from it.
#[test]
fn those_who_speak_http_a_letter_at_a_time_keep_nobody_out() {
    let cluster = small();
    let address = cluster.gateway().trim_start_matches("http://").to_owned();
    let mut slow: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    for (at, letter) in b"GET / HT".iter().enumerate() {
        for stream in &mut slow {
            stream.write_all(&[*letter]).unwrap();
        }
        let content = rig::bytes(at as u64, 1000);
        assert!(cluster.http().get(&cluster.http().put(&content)).ok() == content);
    }
}

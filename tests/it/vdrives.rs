//! Vdrives on PostgreSQL: one of two dies, their database goes away and comes back, its password is seen nowhere.
//!
//! Tests that need a server run when `TRUCKEE_TEST_POSTGRES` holds the URL of one on which databases may be made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use truckee_tests::rig::{self, Cluster, Http, Node, Options, Postgres, until};

use crate::drive::{VDRIVE, children, make_directory};
use crate::{program, stderr};

/// A cluster whose vdrive, and a second one beside it, keep directories in one database.
struct Mesh {
    other: Option<Node>,
    other_dir: PathBuf,
    cluster: Cluster,
    postgres: Postgres,
}

/// None when there is no server to test with.
fn mesh() -> Option<Mesh> {
    let postgres = Postgres::fresh()?;
    let mut cluster = one_peer();
    give_database(&mut cluster, &postgres.url());
    let other_dir = cluster.scratch("vdrive-02");
    let path = other_dir
        .to_str()
        .expect("a temporary directory has a plain name");
    let invite = &cluster.file.invite;
    let made = rig::run(
        program(),
        ["init", "--dir", path, "--role", "vdrive", "--invite", invite],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    set_database(&other_dir, &postgres.url());
    let mut other = Node::start(program(), &other_dir);
    other.wait_ready();
    let http = cluster.http();
    until("the gateway knows both vdrives", || {
        let status = http.answer("GET", "/?t=json", &[], b"").text();
        (status.matches("\"vdrive\"").count() >= 2).then_some(())
    });
    Some(Mesh {
        other: Some(other),
        other_dir,
        cluster,
        postgres,
    })
}

fn one_peer() -> Cluster {
    let args = Vec::new();
    Cluster::start_with(program(), &Options { peers: 1, args })
}

/// Starts the cluster's vdrive again, on another database.
fn give_database(cluster: &mut Cluster, url: &str) {
    cluster.kill(VDRIVE);
    set_database(&cluster.node(VDRIVE).dir, url);
    cluster.restart(VDRIVE);
}

/// As an operator does it; and all is logged that can be.
fn set_database(dir: &Path, url: &str) {
    const BEFORE: &str = "database = \"sqlite\"";
    let path = dir.join("truckee.toml");
    let text = std::fs::read_to_string(&path).expect("a node has a configuration");
    assert!(text.contains(BEFORE), "{text}");
    let text = text.replace(BEFORE, &format!("database = \"{url}\"")) + "\n[log]\nlevel = \"trace\"\n";
    std::fs::write(&path, text).expect("it can be written");
}

/// What one client knows for certain of the directory, and what it does not.
#[derive(Default)]
struct Known {
    there: BTreeMap<String, String>,
    gone: BTreeSet<String>,
    unsure: BTreeSet<String>,
}

impl Known {
    /// Whether a change was acknowledged; if not, whatever it names is unknown from now on.
    fn sent(&mut self, http: &Http, method: &str, path: &str, body: &str, names: &[&str]) -> bool {
        let answer = http.answer(method, path, &[], body.as_bytes());
        match answer.status {
            200 | 201 => return true,
            503 | 504 => {}
            other => panic!("{method} of {names:?}: {other}: {}", answer.text()),
        }
        for name in names {
            self.there.remove(*name);
            self.unsure.insert((*name).to_owned());
        }
        false
    }

    /// Adds a child; renames every second one, and removes every third.
    fn work(&mut self, http: &Http, directory: &str, writer: u32, index: u32) -> u32 {
        let (mut name, text) = (format!("{writer}-{index}"), format!("text {writer} {index}"));
        let mut done = 0;
        if !self.sent(http, "PUT", &format!("/uri/{directory}/{name}"), &text, &[&name]) {
            return done;
        }
        self.there.insert(name.clone(), text.clone());
        done += 1;
        if index.is_multiple_of(2) {
            let to = format!("{name}-renamed");
            let path = format!("/uri/{directory}?t=rename&from_name={name}&to_name={to}");
            if !self.sent(http, "POST", &path, "", &[&name, &to]) {
                return done;
            }
            self.there.remove(&name);
            self.there.insert(to.clone(), text);
            self.gone.insert(std::mem::replace(&mut name, to));
            done += 1;
        }
        if index.is_multiple_of(3)
            && self.sent(http, "DELETE", &format!("/uri/{directory}/{name}"), "", &[&name])
        {
            self.there.remove(&name);
            self.gone.insert(name);
            done += 1;
        }
        done
    }
}

#[test]
fn two_vdrives_on_one_database_lose_nothing_when_either_is_killed() {
    const WRITERS: u32 = 3;
    const PROGRESS: u32 = 30;
    let Some(mut mesh) = mesh() else { return };
    let http = mesh.cluster.http();
    let directory = make_directory(&http);
    let base = mesh.cluster.gateway().to_owned();
    let (over, done) = (AtomicBool::new(false), AtomicU32::new(0));
    let write = |writer: u32| {
        let (http, mut known) = (Http::new(&base), Known::default());
        for index in 0_u32.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            done.fetch_add(known.work(&http, &directory, writer, index), Ordering::Relaxed);
        }
        known
    };
    let progress = |when: &str| {
        let before = done.load(Ordering::Relaxed);
        until(&format!("changes are taken {when}"), || {
            (done.load(Ordering::Relaxed) >= before + PROGRESS).then_some(())
        });
    };
    let all: Vec<Known> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(writer)))
            .collect();
        progress("by two vdrives");
        mesh.cluster.kill(VDRIVE);
        progress("by the second alone");
        mesh.cluster.restart(VDRIVE);
        drop(mesh.other.take());
        progress("by the first alone");
        mesh.other = Some(Node::start(program(), &mesh.other_dir));
        progress("by both again");
        over.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().expect("no panic"))
            .collect()
    });
    let mut listed: BTreeSet<String> = children(&http, &directory).into_keys().collect();
    for known in &all {
        for (name, text) in &known.there {
            assert!(listed.remove(name), "{name} was acknowledged and is lost");
            if name.contains('5') {
                let read = http.answer("GET", &format!("/uri/{directory}/{name}"), &[], &[]);
                assert_eq!((read.status, &read.text()), (200, text));
            }
        }
        for name in known.gone.difference(&known.unsure) {
            assert!(!listed.contains(name), "{name} was taken away and is back");
        }
        listed.retain(|name| !known.unsure.contains(name));
    }
    assert!(listed.is_empty(), "nobody added {listed:?}");
}

/// Waits until the vdrive's readiness has this status, and gives what it says.
fn readiness(cluster: &Cluster, status: u16) -> String {
    until(&format!("readiness is {status}"), || {
        let answer = cluster.probe(VDRIVE, "/readyz")?;
        (answer.status == status).then(|| answer.text())
    })
}

/// Reads the directory until that works.
fn until_listed(http: &Http, directory: &str) -> Vec<String> {
    let path = format!("/uri/{directory}?t=json");
    until("the directory is served", || {
        (http.answer("GET", &path, &[], &[]).status == 200).then_some(())
    });
    children(http, directory).into_keys().collect()
}

#[test]
fn a_database_that_went_away_is_used_again_when_it_is_back() {
    let Some(mesh) = mesh() else { return };
    let (http, cluster) = (mesh.cluster.http(), &mesh.cluster);
    let directory = make_directory(&http);
    let child = |name: &str| http.answer("PUT", &format!("/uri/{directory}/{name}"), &[], b"small");
    assert_eq!(child("a").status, 201);
    let file = http.put(&[7; 1000]);
    readiness(cluster, 200);

    mesh.postgres.cut();
    let read = http.answer("GET", &format!("/uri/{directory}?t=json"), &[], &[]);
    assert_eq!(read.status, 503, "{}", read.text());
    assert!(read.text().contains("database"), "{}", read.text());
    assert!(read.header("retry-after").is_some());
    let put = child("unsure");
    assert!(matches!(put.status, 503 | 504), "{}: {}", put.status, put.text());
    assert_eq!(http.get(&file).ok(), [7; 1000]);
    let said = readiness(cluster, 503);
    assert!(said.contains("database"), "{said}");
    mesh.postgres.mend();
    assert!(until_listed(&http, &directory).contains(&"a".to_owned()));
    assert_eq!(child("b").status, 201);
    readiness(cluster, 200);

    // Nobody asks for a directory meanwhile: it is found out all the same.
    mesh.postgres.silence();
    readiness(cluster, 503);
    let read = http.answer("GET", &format!("/uri/{directory}?t=json"), &[], &[]);
    assert_eq!(read.status, 503, "{}", read.text());
    assert_eq!(http.get(&file).ok(), [7; 1000]);
    mesh.postgres.mend();
    let names = until_listed(&http, &directory);
    assert!(
        ["a", "b"]
            .iter()
            .all(|name| names.iter().any(|there| there == name)),
        "{names:?}"
    );
    assert_eq!(child("c").status, 201);
    readiness(cluster, 200);
    nowhere(cluster, mesh.postgres.password());
    nowhere_below(&mesh.other_dir, mesh.postgres.password());
}

#[test]
fn a_vdrive_without_its_database_runs_is_not_ready_and_keeps_the_password() {
    const PASSWORD: &str = "hunter2-and-more";
    let mut cluster = one_peer();
    let http = cluster.http();
    let file = http.put(&[7; 1000]);
    // Nobody listens on port 1.
    give_database(
        &mut cluster,
        &format!("postgres://nobody:{PASSWORD}@127.0.0.1:1/none"),
    );
    let said = readiness(&cluster, 503);
    assert!(said.contains("database"), "{said}");
    assert_eq!(
        cluster.probe(VDRIVE, "/healthz").map(|answer| answer.status),
        Some(200)
    );
    let made = http.answer("POST", "/uri?t=mkdir", &[], &[]);
    assert!(
        matches!(made.status, 503 | 504),
        "{}: {}",
        made.status,
        made.text()
    );
    assert_eq!(http.get(&file).ok(), [7; 1000]);
    nowhere(&cluster, PASSWORD);
}

#[test]
fn a_database_url_that_is_wrong_ends_the_start_without_telling_the_password() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("v");
    let text = path.to_str().expect("a temporary directory has a plain name");
    let invite = format!("truckee://{}@127.0.0.1:1/{}", "a".repeat(52), "a".repeat(32));
    let made = rig::run(
        program(),
        ["init", "--dir", text, "--role", "vdrive", "--invite", &invite],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    set_database(&path, "postgres://u:hunter2@localhost/drive?sslmod=require");
    let run = rig::run(program(), ["run", "--dir", text]);
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    let said = stderr(&run) + &String::from_utf8_lossy(&run.stdout);
    assert!(
        said.contains("vdrive.database") && said.contains("line "),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

/// A secret stands in no page, no log and no other file than the configuration.
fn nowhere(cluster: &Cluster, secret: &str) {
    let http = cluster.http();
    for path in [
        "/",
        "/?t=json",
        "/status",
        "/status?t=json",
        "/statistics",
        "/storage",
        "/readyz",
    ] {
        let page = http.answer("GET", path, &[], &[]).text();
        assert!(!page.contains(secret), "{path}: {page}");
    }
    for path in ["/metrics", "/readyz", "/healthz"] {
        let page = cluster.probe(VDRIVE, path).expect("it answers").text();
        assert!(!page.contains(secret), "{path}: {page}");
    }
    nowhere_below(&cluster.dir(), secret);
}

fn nowhere_below(dir: &Path, secret: &str) {
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("it can be read");
            pending.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        } else if path.file_name() != Some("truckee.toml".as_ref()) {
            // Files come and go under our eyes.
            let content = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&content);
            assert!(!text.contains(secret), "{} holds it", path.display());
        }
    }
}

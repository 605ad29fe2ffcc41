//! Directories over a real vdrive process: what was acknowledged is there, whatever happens to the vdrive meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use truckee_tests::rig::{Cluster, Http, Options, until};

use crate::program;

pub(crate) const VDRIVE: &str = "vdrive-01";

/// A cluster with one storage peer: files this small live in their caps.
fn cluster() -> Cluster {
    let args = Vec::new();
    Cluster::start_with(program(), &Options { peers: 1, args })
}

pub(crate) fn make_directory(http: &Http) -> String {
    let made = http.answer("POST", "/uri?t=mkdir", &[], &[]);
    assert_eq!(made.status, 200, "{}", made.text());
    made.text().trim().to_owned()
}

pub(crate) fn children(http: &Http, directory: &str) -> BTreeMap<String, serde_json::Value> {
    let answer = http.answer("GET", &format!("/uri/{directory}?t=json"), &[], &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let listing: serde_json::Value = serde_json::from_slice(&answer.body).expect("a listing is JSON");
    let children = listing[1]["children"]
        .as_object()
        .expect("a directory has children");
    children.clone().into_iter().collect()
}

#[test]
fn no_acknowledged_child_is_lost_when_the_vdrive_is_killed_under_load() {
    const WRITERS: u32 = 4;
    const KILLS: u32 = 3;
    let mut cluster = cluster();
    let http = cluster.http();
    let directory = make_directory(&http);
    let base = cluster.gateway().to_owned();
    let (done, added) = (AtomicBool::new(false), AtomicU32::new(0));
    let write = |writer: u32| {
        let http = Http::new(&base);
        let (mut sure, mut unsure) = (BTreeMap::new(), BTreeSet::new());
        for index in 0_u32.. {
            if done.load(Ordering::Relaxed) {
                break;
            }
            let (name, text) = (format!("{writer}-{index}"), format!("text {writer} {index}"));
            let answer = http.answer("PUT", &format!("/uri/{directory}/{name}"), &[], text.as_bytes());
            match answer.status {
                200 | 201 => {
                    sure.insert(name, text);
                    added.fetch_add(1, Ordering::Relaxed);
                }
                // Unknown, or the vdrive is away: it says so, and nothing else happens.
                503 | 504 => drop(unsure.insert(name)),
                other => panic!("{other}: {}", answer.text()),
            }
        }
        (sure, unsure)
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(writer)))
            .collect();
        for _ in 0..KILLS {
            let before = added.load(Ordering::Relaxed);
            until("children are added", || {
                (added.load(Ordering::Relaxed) >= before + 20).then_some(())
            });
            cluster.kill(VDRIVE);
            cluster.restart(VDRIVE);
        }
        let before = added.load(Ordering::Relaxed);
        until("children are added again", || {
            (added.load(Ordering::Relaxed) >= before + 20).then_some(())
        });
        done.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().expect("no panic"))
            .collect()
    });
    let listed = children(&http, &directory);
    let mut known = BTreeSet::new();
    for (sure, unsure) in outcomes {
        for (name, text) in sure {
            assert!(listed.contains_key(&name), "{name} was acknowledged and is lost");
            if name.ends_with('7') {
                let read = http.answer("GET", &format!("/uri/{directory}/{name}"), &[], &[]);
                assert_eq!((read.status, read.text()), (200, text));
            }
            known.insert(name);
        }
        known.extend(unsure);
    }
    let strangers: Vec<_> = listed.keys().filter(|name| !known.contains(*name)).collect();
    assert!(strangers.is_empty(), "nobody added {strangers:?}");
}

#[test]
fn without_its_vdrive_a_gateway_says_so_and_serves_caps() {
    let mut cluster = cluster();
    let http = cluster.http();
    let directory = make_directory(&http);
    let put = http.answer("PUT", &format!("/uri/{directory}/a"), &[], b"small");
    assert_eq!(put.status, 201, "{}", put.text());
    let file = http.put(&[7; 1000]);
    cluster.kill(VDRIVE);
    let read = http.answer("GET", &format!("/uri/{directory}?t=json"), &[], &[]);
    assert_eq!(read.status, 503, "{}", read.text());
    assert!(read.text().contains("vdrive"), "{}", read.text());
    assert_eq!(http.get(&file).ok(), [7; 1000]);
    cluster.restart(VDRIVE);
    assert_eq!(children(&http, &directory).into_keys().collect::<Vec<_>>(), ["a"]);
}

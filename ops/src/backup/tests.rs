//! Snapshots against the gateway in memory.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::exit::Exit;
use crate::testing::World;

fn world() -> World {
    let world = World::new();
    world.write("src/a", b"one");
    world.write("src/dir/b", b"two");
    world.write("src/dir/deep/c", b"three");
    world.write("src/other/d", b"four");
    world
}

fn backup(world: &World, more: &[&str]) -> Result<(), CliError> {
    let source = world.word("src");
    world.run(&[&["backup", &source, "home:saved"], more].concat())
}

#[test]
fn the_second_run_sends_only_what_changed() {
    let world = world();
    backup(&world, &[]).unwrap();
    assert_eq!(world.fake.count("PUT /uri"), 4);
    assert_eq!(world.fake.count("POST t=mkdir-immutable"), 4);
    assert_eq!(world.content("saved/Latest/dir/deep/c"), b"three");
    assert_eq!(world.names("saved/Archives").len(), 1);
    let latest = world.node("saved/Latest").unwrap();
    assert!(!latest.mutable && latest.children["a"].modified().is_some());

    backup(&world, &[]).unwrap();
    assert_eq!(world.fake.count("PUT /uri"), 0);
    assert_eq!(world.fake.count("POST t=mkdir-immutable"), 0);
    assert_eq!(world.node("saved/Latest").unwrap().cap(), latest.cap());
    assert_eq!(
        world.names("saved/Archives").len(),
        2,
        "though it may be the same second"
    );
    let first = world.names("saved/Archives")[0].clone();

    world.write("src/dir/b", b"changed");
    backup(&world, &[]).unwrap();
    assert_eq!(world.fake.count("PUT /uri"), 1);
    assert_eq!(
        world.fake.count("POST t=mkdir-immutable"),
        2,
        "the directory and the root"
    );
    assert_eq!(world.content("saved/Latest/dir/b"), b"changed");
    assert_eq!(world.content(&format!("saved/Archives/{first}/dir/b")), b"two");

    backup(&world, &["--ignore-timestamps"]).unwrap();
    assert_eq!(world.fake.count("PUT /uri"), 4);
}

#[test]
fn what_is_excluded_or_special_is_left_out() {
    let world = world();
    world.write("src/.git/x", b"1");
    world.write("src/dir/x.o", b"1");
    std::os::unix::fs::symlink("a", world.path("src/link")).unwrap();
    world.write("patterns", b"# remark\ndir/deep\n");
    let patterns = world.word("patterns");
    let more = ["--exclude", "*.o", "--exclude-vcs", "--exclude-from", &patterns];
    backup(&world, &more).unwrap();
    assert_eq!(world.names("saved/Latest"), ["a", "dir", "other"]);
    assert_eq!(world.names("saved/Latest/dir"), ["b"]);
}

#[test]
fn a_file_that_fails_is_named_and_missing() {
    let world = world();
    world.fake.refuse(b"two", 507);
    let outcome = backup(&world, &[]);
    assert!(
        matches!(outcome, Err(CliError::Partly { failed: 1, all: 4 })),
        "{outcome:?}"
    );
    assert_eq!(world.names("saved/Latest/dir"), ["deep"]);
}

#[test]
fn without_a_source_or_a_target_nothing_begins() {
    let world = world();
    let exit = |line: &[&str]| world.run(line).unwrap_err().exit();
    assert_eq!(exit(&["backup", "/nonexistent/x", "home:saved"]), Exit::Failed);
    assert_eq!(
        exit(&["backup", &world.word("src"), "nowhere:saved"]),
        Exit::Usage
    );
    world.run(&["put", &world.word("src/a"), "home:file"]).unwrap();
    assert_eq!(exit(&["backup", &world.word("src"), "home:file"]), Exit::Refused);
    assert_eq!(world.names(""), ["file"]);
}

#[test]
fn what_was_stored_long_ago_is_looked_after() {
    let day = 86_400;
    assert!(!due(30 * day, "x", 0));
    assert!(due(61 * day, "x", 0));
    let spread = (0..1000)
        .filter(|number| due(45 * day, &number.to_string(), 0))
        .count();
    assert!((300..700).contains(&spread), "{spread}");

    let world = world();
    backup(&world, &[]).unwrap();
    world.fake.count("PUT /uri");
    // As if it had been stored long ago, and one file had lost shares since.
    let text = std::fs::read_to_string(world.path("backup.db")).unwrap();
    let old: String = text
        .lines()
        .map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            if line["checked"].is_number() {
                line["checked"] = json!(0);
            }
            format!("{line}\n")
        })
        .collect();
    std::fs::write(world.path("backup.db"), old).unwrap();
    let cap = world.node("saved/Latest/a").unwrap().cap().unwrap().to_owned();
    world.fake.sicken(&cap);
    backup(&world, &[]).unwrap();
    assert_eq!(world.fake.count("PUT /uri"), 1, "the ill one");
    assert_ne!(world.node("saved/Latest/a").unwrap().cap(), Some(cap.as_str()));
    world.fake.count("POST t=check");
    backup(&world, &[]).unwrap();
    assert_eq!(world.fake.count("POST t=check"), 0, "not due again");
}

#[test]
fn a_touched_or_replaced_file_looks_different() {
    let world = world();
    let path = world.path("src/a");
    let look = || Look::of(&std::fs::symlink_metadata(&path).unwrap());
    let before = look();
    assert_eq!(look(), before);
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    // Same content, same size, same time of change: another file all the same.
    std::fs::write(world.path("src/new"), b"one").unwrap();
    std::fs::rename(world.path("src/new"), &path).unwrap();
    File::open(&path).unwrap().set_modified(time).unwrap();
    assert_ne!(look(), before);
    assert!(std::fs::metadata(&path).unwrap().ino() > 0);
}

//! Copies of every direction against the gateway in memory.

use std::time::{Duration, SystemTime};

use crate::error::CliError;
use crate::exit::Exit;
use crate::testing::World;

fn exit(outcome: Result<(), CliError>) -> Exit {
    outcome.err().map_or(Exit::Done, |error| error.exit())
}

/// A tree with the awkward names, and 250 files in one directory.
fn tree(world: &World) {
    world.write("src/a", b"one");
    world.write("src/deep/er/b c#?%", b"two");
    world.write("src/ü/x", b"");
    std::fs::create_dir(world.path("src/empty")).unwrap();
    for number in 0..250 {
        world.write(&format!("src/many/{number}"), number.to_string().as_bytes());
    }
    std::os::unix::fs::symlink("a", world.path("src/link")).unwrap();
}

#[test]
fn a_tree_goes_to_the_grid_and_back() {
    let world = World::new();
    tree(&world);
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    std::fs::File::open(world.path("src/a"))
        .unwrap()
        .set_modified(then)
        .unwrap();
    world.run(&["cp", "-r", &world.word("src"), "home:"]).unwrap();
    assert_eq!(world.names("src"), ["a", "deep", "empty", "many", "ü"]);
    assert_eq!(world.content("src/deep/er/b c#?%"), b"two");
    assert_eq!(world.node("src").unwrap().children["a"].modified(), Some(1e9));
    // 250 files are three changes, and each other directory with files is one.
    assert_eq!(world.fake.count("POST t=set_children"), 3 + 3);

    world
        .run(&["cp", "-r", "-p", "home:src", &world.word("back")])
        .unwrap();
    assert_eq!(world.read("back/many/249"), b"249");
    assert_eq!(world.read("back/ü/x"), b"");
    assert!(world.path("back/empty").is_dir());
    let facts = std::fs::metadata(world.path("back/a")).unwrap();
    assert_eq!(facts.modified().unwrap(), then);

    world
        .run(&["cp", "-r", "--caps-only", "home:src/deep", &world.word("caps")])
        .unwrap();
    assert!(world.read("caps/er/b c#?%").starts_with(b"URI:CHK:"));
}

#[test]
fn within_the_grid_nothing_is_carried() {
    let world = World::new();
    tree(&world);
    world.run(&["cp", "-r", &world.word("src"), "home:"]).unwrap();
    world.write("note", b"changing");
    world
        .run(&["put", "--mutable", &world.word("note"), "home:src/note"])
        .unwrap();
    world.fake.count("PUT /uri");
    world.run(&["cp", "-r", "home:src", "home:copy"]).unwrap();
    assert_eq!(world.fake.count("PUT /uri"), 1, "only the file that can change");
    assert_eq!(world.content("copy/many/7"), b"7");
    assert_eq!(world.content("copy/note"), b"changing");
    assert!(!world.node("copy/note").unwrap().mutable);
    let (ours, theirs) = (world.node("copy/deep").unwrap(), world.node("src/deep").unwrap());
    assert_ne!(ours.cap(), theirs.cap(), "directories are new ones");
}

#[test]
fn single_files_take_the_targets_name_or_go_into_it() {
    let world = World::new();
    world.write("f", b"1");
    world.write("g", b"2");
    let (f, g) = (world.word("f"), world.word("g"));
    world.run(&["cp", &f, "home:x"]).unwrap();
    world.run(&["cp", &g, "home:x"]).unwrap();
    assert_eq!(world.content("x"), b"2");
    world.run(&["mkdir", "home:dir"]).unwrap();
    world.run(&["cp", &f, &g, "home:dir"]).unwrap();
    world.run(&["cp", "home:x", "home:dir/"]).unwrap();
    assert_eq!(world.names("dir"), ["f", "g", "x"]);
    world.run(&["cp", "home:x", &world.word("here")]).unwrap();
    assert_eq!(world.read("here"), b"2");
    for line in [
        vec!["cp", &f, &g, "home:missing"],
        vec!["cp", &f, "home:missing/"],
        vec!["cp", &f, &g, "home:x"],
        vec!["cp", "home:dir", "home:other"],
        vec!["cp", &f, &g],
        vec!["cp", &f, &f, "home:dir"],
    ] {
        assert_eq!(exit(world.run(&line)), Exit::Usage, "{line:?}");
    }
    assert_eq!(exit(world.run(&["cp", "home:nothing", "home:y"])), Exit::NotFound);
    assert_eq!(world.names(""), ["dir", "x"]);
}

#[test]
fn a_mutable_file_in_the_way_keeps_its_cap() {
    let world = World::new();
    world.write("f", b"old");
    world
        .run(&["put", "--mutable", &world.word("f"), "home:m"])
        .unwrap();
    let cap = world.node("m").unwrap().rw_uri;
    world.write("f", b"new");
    world.run(&["cp", &world.word("f"), "home:m"]).unwrap();
    assert_eq!(world.node("m").unwrap().rw_uri, cap);
    assert_eq!(world.content("m"), b"new");
}

#[test]
fn what_fails_is_named_and_the_rest_is_copied() {
    let world = World::new();
    tree(&world);
    world.fake.refuse(b"two", 507);
    let outcome = world.run(&["cp", "-r", &world.word("src"), "home:"]);
    let Err(CliError::Partly { failed: 1, all: 253 }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(world.names("src/many").len(), 250);
    assert_eq!(world.names("src/deep/er"), Vec::<String>::new());
    // A directory where a file should go, and the other way round.
    world.run(&["mkdir", "home:t/a", "-p"]).unwrap();
    world.write("one", b"1");
    world.run(&["cp", &world.word("one"), "home:t/deep"]).unwrap();
    let outcome = world.run(&["cp", "-r", "home:src/a", "home:src/deep", "home:t"]);
    assert_eq!(exit(outcome), Exit::Partly);
    assert_eq!(world.content("t/deep"), b"1");
}

#[test]
fn loops_become_links_or_are_left_out() {
    let world = World::new();
    world.write("f", b"1");
    world.run(&["mkdir", "-p", "home:d/e"]).unwrap();
    world.run(&["cp", &world.word("f"), "home:d/e"]).unwrap();
    world.run(&["ln", "home:d", "home:d/e/up"]).unwrap();
    world.run(&["ln", "home:d/e", "home:d/again"]).unwrap();
    world.run(&["cp", "-r", "home:d", "home:copy"]).unwrap();
    let copy = world.node("copy").unwrap();
    assert_eq!(world.node("copy/e/up").unwrap().cap(), copy.cap());
    assert_eq!(
        world.node("copy/again").unwrap().cap(),
        world.node("copy/e").unwrap().cap()
    );
    let outcome = world.run(&["cp", "-r", "home:d", &world.word("here")]);
    assert!(matches!(outcome, Err(CliError::Partly { .. })), "{outcome:?}");
    assert_eq!(world.read("here/e/f"), b"1");
    assert_eq!(world.read("here/again/f"), b"1");
    assert!(!world.path("here/e/up").exists());
}

#[test]
fn a_tree_of_another_gateway_is_carried_and_taken_up_again() {
    let (theirs, ours) = (World::new(), World::new());
    tree(&theirs);
    theirs.run(&["cp", "-r", &theirs.word("src"), "home:"]).unwrap();
    theirs
        .run(&["put", "--mutable", &theirs.word("src/a"), "home:src/m"])
        .unwrap();
    theirs
        .run(&["ln", "home:src/deep/er/b c#?%", "home:twin"])
        .unwrap();
    theirs.run(&["ln", "home:", "home:src/loop"]).unwrap();
    let url = format!("http://{}/uri/{}", theirs.fake.address, theirs.home);
    ours.fake.refuse(b"17", 410);
    let outcome = ours.run(&["import", &url, "home:old", "--jobs", "1"]);
    assert!(
        matches!(outcome, Err(CliError::Partly { failed: 1, .. })),
        "{outcome:?}"
    );
    assert_eq!(ours.content("old/twin"), b"two");
    assert_eq!(ours.content("old/src/m"), b"one");
    assert_eq!(
        ours.node("old/src/loop").unwrap().cap(),
        ours.node("old").unwrap().cap()
    );
    // Contents: a, "", m, 250 numbers, of which one was refused; the twins count once.
    assert_eq!(ours.fake.count("PUT /uri"), 254);

    ours.fake.refuse(b"none", 410);
    ours.run(&["import", &url, "home:old"]).unwrap_err();
    assert!(
        ours.fake.count("PUT /uri") <= 2,
        "only what was missing, and the file whose size is not told"
    );
    assert_eq!(ours.names("old/src/many").len(), 249);
    let outcome = ours.run(&["import", "--force", &url, "home:old"]);
    assert!(
        matches!(outcome, Err(CliError::Partly { failed: 1, .. })),
        "{outcome:?}"
    );
    assert!(ours.fake.count("PUT /uri") > 250);
}

#[test]
fn names_are_made_moved_linked_and_taken_away() {
    let world = World::new();
    world.write("f", b"1");
    assert_eq!(exit(world.run(&["mkdir", "home:a/b"])), Exit::Refused);
    world.run(&["mkdir", "-p", "home:a/b"]).unwrap();
    world.run(&["mkdir", "-p", "home:a/b"]).unwrap();
    assert_eq!(exit(world.run(&["mkdir", "home:a"])), Exit::Refused);
    world.run(&["put", &world.word("f"), "home:a/"]).unwrap();
    world.run(&["mv", "home:a/f", "home:g"]).unwrap();
    assert_eq!(world.names("a"), ["b"]);
    world.run(&["mv", "home:g", "home:a"]).unwrap();
    assert_eq!(world.names("a"), ["b", "g"]);
    world.run(&["ln", "home:a/g", "home:h"]).unwrap();
    assert_eq!(exit(world.run(&["ln", "home:a/g", "home:h"])), Exit::Refused);
    world.run(&["ln", "--force", "home:a/g", "home:h"]).unwrap();
    world.run(&["ln", "--readonly", "home:a", "home:seen"]).unwrap();
    assert_eq!(
        world.node("").unwrap().children["seen"]
            .cap()
            .unwrap()
            .split(':')
            .nth(1),
        Some("DIR2-RO")
    );
    assert_eq!(
        exit(world.run(&["mv", "-n", "home:h", "home:a/g"])),
        Exit::Refused
    );
    assert_eq!(exit(world.run(&["rm", "home:a"])), Exit::Refused);
    world.run(&["rm", "-r", "home:a"]).unwrap();
    assert_eq!(exit(world.run(&["rm", "home:a"])), Exit::NotFound);
    world.run(&["rm", "-f", "home:a"]).unwrap();
    assert_eq!(exit(world.run(&["rm", "-r", "home:"])), Exit::Usage);
    assert_eq!(world.names(""), ["h", "seen"]);
    world.run(&["get", "home:h", &world.word("out")]).unwrap();
    assert_eq!(world.read("out"), b"1");
    world.run(&["ls", "-l", "home:"]).unwrap();
    assert_eq!(exit(world.run(&["ls", "nowhere:"])), Exit::Usage);
}

//! The scripts are run by the shell of this machine.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::*;

fn run(words: &[String], input: &[u8]) -> Output {
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn said(words: &[String], input: &[u8]) -> Vec<u8> {
    let output = run(words, input);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A node's directory, with a name that no shell takes as it is, and some shares.
fn node(temporary: &Path) -> Disk {
    let dir = temporary.join("it's $HOME of a node");
    for (index, number) in [("aaa", "0"), ("aaa", "1"), ("abb", "0")] {
        let path = dir.join("shares").join(&index[..2]).join(index);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(number), [0xff; 100]).unwrap();
    }
    fs::write(dir.join("shares/aa/aaa/odd one"), "").unwrap();
    Disk {
        dir: dir.display().to_string(),
        files_as: None,
    }
}

fn content(disk: &Disk, path: &str) -> Vec<u8> {
    fs::read(Path::new(&disk.dir).join("shares").join(path)).unwrap()
}

fn of(disk: &Disk, indexes: &[&str]) -> Vec<Share> {
    let indexes = indexes.iter().map(|index| (*index).to_owned()).collect();
    listed(&said(&list(disk), &list_input(&indexes)))
}

#[test]
fn only_shares_of_the_files_asked_for_are_found() {
    let temporary = tempfile::tempdir().unwrap();
    let disk = node(temporary.path());
    said(&look(&disk), b"");
    assert!(said(&packs(&disk), b"").is_empty());
    let pack = Path::new(&disk.dir).join("packs/1.pack");
    fs::create_dir_all(pack.parent().unwrap()).unwrap();
    fs::write(pack, "").unwrap();
    assert!(!said(&packs(&disk), b"").is_empty());
    let found = of(&disk, &["aaa", "azz", "../../x", "a"]);
    let paths: Vec<String> = found
        .iter()
        .map(|share| share.path.display().to_string())
        .collect();
    assert_eq!(paths, ["aa/aaa/0", "aa/aaa/1"]);
    assert_eq!((found[0].bytes, found[1].number.as_str()), (100, "1"));
    assert!(of(&disk, &[]).is_empty());
    let nowhere = Disk {
        dir: "/nonexistent".into(),
        files_as: None,
    };
    for command in [look(&nowhere), list(&nowhere)] {
        let output = run(&command, b"");
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent"));
    }
}

#[test]
fn bits_flip_and_ends_go_just_where_it_was_drawn() {
    let temporary = tempfile::tempdir().unwrap();
    let disk = node(temporary.path());
    let shares = of(&disk, &["aaa", "abb"]);
    let gone = Share {
        path: "aa/aaa/9".into(),
        ..shares[0].clone()
    };
    let spoils = [
        (shares[0].clone(), How::Flip(vec![(0, 0x80), (0, 1), (99, 0xff)])),
        (shares[1].clone(), How::Cut(7)),
        (gone, How::Flip(vec![(3, 1)])),
    ];
    let spoils = spoils.map(|(share, how)| Spoil { share, how });
    let hit = spoilt(&said(&spoil(&disk), &spoil_input(&spoils)));
    let expected: BTreeSet<Identity> = [shares[0].identity, shares[1].identity].into();
    assert_eq!(hit, expected.into_iter().collect::<Vec<_>>());
    let mut flipped = vec![0xff; 100];
    (flipped[0], flipped[99]) = (0x7e, 0);
    assert_eq!(content(&disk, "aa/aaa/0"), flipped);
    assert_eq!(content(&disk, "aa/aaa/1"), [0xff; 7]);
    assert_eq!(content(&disk, "ab/abb/0"), [0xff; 100]);
    assert!(!Path::new(&disk.dir).join("shares/aa/aaa/9").exists());
}

#[test]
fn what_is_taken_away_lies_beside() {
    let temporary = tempfile::tempdir().unwrap();
    let disk = node(temporary.path());
    let shares = of(&disk, &["aaa"]);
    said(&take_away(&disk, "7-3"), &take_away_input(&shares));
    assert!(of(&disk, &["aaa"]).is_empty());
    assert_eq!(of(&disk, &["abb"]).len(), 1);
    let aside = aside(&disk, "7-3");
    assert_eq!(fs::read(Path::new(&aside).join("aa/aaa/1")).unwrap(), [0xff; 100]);
}

#[test]
fn files_of_another_user_are_touched_as_that_user() {
    let disk = Disk {
        dir: "/var/lib/truckee".into(),
        files_as: Some("truckee".into()),
    };
    let words = take_away(&disk, "7-3");
    assert_eq!(words[..7], ["sudo", "-n", "-u", "truckee", "--", "sh", "-c"]);
    assert_eq!(words[8..], ["sh", "/var/lib/truckee", "7-3"]);
}

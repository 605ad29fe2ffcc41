use proptest::prelude::*;

use super::*;

const FOLDER: Folder = 0;

fn at(ms: u64) -> At {
    At::from_millis(ms)
}

fn file(seed: u64) -> Option<Value> {
    let text = Text {
        seed,
        size_bytes: seed,
    };
    let cap = Some(format!("URI:{seed}"));
    Some(Value::File { text, cap })
}

fn seen(seed: u64) -> Seen {
    Seen {
        directory: false,
        cap: format!("URI:{seed}"),
        size_bytes: Some(seed),
    }
}

/// What a read between the two moments says of the name `a` if it finds `found`.
fn look(names: &mut Names, begun: u64, ended: u64, found: Option<u64>) -> Result<(), Breach> {
    let read = names.begin_read(at(begun));
    let listing = found
        .map(|seed| ("a".to_owned(), seen(seed)))
        .into_iter()
        .collect();
    let (findings, _) = names.check(read, at(ended), FOLDER, &listing);
    match findings.as_slice() {
        [] => Ok(()),
        [finding] => Err(finding.breach),
        more => panic!("{more:?}"),
    }
}

fn write(names: &mut Names, begun: u64, ended: u64, value: Option<Value>) {
    let ticket = names.begin(at(begun), FOLDER, "a", value);
    names.acknowledge(&ticket, at(ended), None);
}

#[test]
fn an_acknowledged_change_is_there_and_an_older_one_is_not() {
    let mut names = Names::default();
    assert_eq!(look(&mut names, 0, 1, None), Ok(()));
    assert_eq!(look(&mut names, 0, 1, Some(1)), Err(Breach::Strange));
    write(&mut names, 10, 20, file(1));
    assert_eq!(look(&mut names, 21, 22, Some(1)), Ok(()));
    assert_eq!(look(&mut names, 21, 22, None), Err(Breach::Lost));
    write(&mut names, 30, 40, file(2));
    assert_eq!(look(&mut names, 41, 42, Some(2)), Ok(()));
    assert_eq!(look(&mut names, 41, 42, Some(1)), Err(Breach::Stale));
    write(&mut names, 50, 60, None);
    assert_eq!(look(&mut names, 61, 62, None), Ok(()));
    assert_eq!(look(&mut names, 61, 62, Some(2)), Err(Breach::Resurrected));
    assert_eq!(look(&mut names, 61, 62, Some(3)), Err(Breach::Strange));
    assert_eq!(names.certain(FOLDER, "a"), Some(None));
    assert_eq!(names.acknowledged, 3);
}

#[test]
fn a_read_that_overlaps_a_change_may_find_both() {
    let mut names = Names::default();
    write(&mut names, 10, 20, file(1));
    let read = names.begin_read(at(25));
    let ticket = names.begin(at(30), FOLDER, "a", file(2));
    assert_eq!(names.certain(FOLDER, "a"), None, "somebody changes it");
    assert_eq!(look(&mut names, 31, 32, Some(1)), Ok(()));
    assert_eq!(look(&mut names, 31, 32, Some(2)), Ok(()));
    names.acknowledge(&ticket, at(40), None);
    // The read that began before the change was acknowledged has not ended yet.
    let listing = BTreeMap::from([("a".to_owned(), seen(1))]);
    assert_eq!(names.check(read, at(45), FOLDER, &listing).0, []);
    assert_eq!(look(&mut names, 46, 47, Some(1)), Err(Breach::Stale));
    assert_eq!(names.certain(FOLDER, "a"), Some(file(2)));
}

#[test]
fn writes_at_the_same_time_may_end_either_way_but_not_both() {
    let mut names = Names::default();
    let (one, other) = (
        names.begin(at(10), FOLDER, "a", file(1)),
        names.begin(at(11), FOLDER, "a", file(2)),
    );
    names.acknowledge(&one, at(20), None);
    names.acknowledge(&other, at(21), None);
    assert_eq!(look(&mut names, 30, 31, Some(1)), Ok(()));
    assert_eq!(look(&mut names, 30, 31, Some(2)), Ok(()));
    assert_eq!(look(&mut names, 30, 31, None), Err(Breach::Lost));
    write(&mut names, 40, 50, file(3));
    assert_eq!(look(&mut names, 51, 52, Some(2)), Err(Breach::Stale));
}

#[test]
fn a_lost_answer_leaves_both_open_until_something_comes_after_it() {
    let mut names = Names::default();
    write(&mut names, 10, 20, file(1));
    let ticket = names.begin(at(30), FOLDER, "a", file(2));
    names.lose(&ticket, at(40));
    for _ in 0..2 {
        assert_eq!(look(&mut names, 50, 51, Some(1)), Ok(()));
    }
    assert_eq!(names.certain(FOLDER, "a"), None);
    assert_eq!(look(&mut names, 60, 61, None), Err(Breach::Lost));
    // Once it was found it counts.
    assert_eq!(look(&mut names, 60, 61, Some(2)), Ok(()));
    assert_eq!(look(&mut names, 62, 63, Some(1)), Err(Breach::Stale));
    assert_eq!(names.certain(FOLDER, "a"), Some(file(2)));

    let ticket = names.begin(at(70), FOLDER, "a", None);
    names.lose(&ticket, at(100));
    write(&mut names, 80, 90, file(3));
    assert_eq!(look(&mut names, 110, 111, None), Ok(()), "it may have come last");
    write(&mut names, 120, 130, file(4));
    assert_eq!(
        look(&mut names, 131, 132, None),
        Err(Breach::Lost),
        "it may not any more"
    );
    assert_eq!(names.lost, 2);
}

#[test]
fn what_was_refused_must_not_be_there() {
    let mut names = Names::default();
    let ticket = names.begin(at(10), FOLDER, "a", file(1));
    assert_eq!(look(&mut names, 11, 12, Some(1)), Ok(()), "it is under way");
    let mut names = Names::default();
    let again = names.begin(at(10), FOLDER, "a", file(1));
    assert_eq!(ticket, again);
    names.refuse(&again);
    assert_eq!(look(&mut names, 20, 21, Some(1)), Err(Breach::Strange));
    assert_eq!(look(&mut names, 20, 21, None), Ok(()));
}

#[test]
fn a_name_that_nobody_gave_is_strange() {
    let mut names = Names::default();
    let read = names.begin_read(at(1));
    let listing = BTreeMap::from([("b".to_owned(), seen(1))]);
    let (findings, _) = names.check(read, at(2), FOLDER, &listing);
    assert_eq!(
        (findings[0].name.as_str(), findings[0].breach),
        ("b", Breach::Strange)
    );
}

#[test]
fn the_cap_of_a_lost_upload_is_learnt_where_it_is_found() {
    let mut names = Names::default();
    let text = Text {
        seed: 9,
        size_bytes: 5,
    };
    let ticket = names.begin(at(10), FOLDER, "a", Some(Value::File { text, cap: None }));
    names.lose(&ticket, at(20));
    let read = names.begin_read(at(30));
    let listing = BTreeMap::from([("a".to_owned(), seen(5))]);
    let (findings, found) = names.check(read, at(31), FOLDER, &listing);
    assert_eq!((findings, found), (vec![], vec![("URI:5".to_owned(), text)]));
    assert_eq!(look(&mut names, 40, 41, Some(5)), Ok(()));
    assert_eq!(look(&mut names, 40, 41, Some(6)), Err(Breach::Strange));
}

#[test]
fn a_directory_is_no_file() {
    let mut names = Names::default();
    let ticket = names.begin(at(10), FOLDER, "a", Some(Value::Directory { cap: None }));
    names.acknowledge(&ticket, at(20), Some("URI:5"));
    assert_eq!(look(&mut names, 30, 31, Some(5)), Err(Breach::Strange));
    assert_eq!((names.count(), names.sure_files()), ((1, 1), vec![]));
    let ticket = names.begin(at(40), FOLDER, "b", file(7));
    assert_eq!(names.sure_files(), [], "it is under way");
    names.acknowledge(&ticket, at(50), None);
    let text = Text {
        seed: 7,
        size_bytes: 7,
    };
    assert_eq!(names.sure_files(), [(FOLDER, "b".to_owned(), text)]);
}

/// What one client does to the name: what it writes, whether it hears the answer, and whether the change counts.
type Deed = (Option<u64>, bool, bool);

proptest! {
    /// A register that does what it must is never accused, whatever answers are lost, and its old values always are.
    #[test]
    fn a_right_register_is_never_accused(deeds in prop::collection::vec(
        (prop::option::of(1..1000_u64), any::<bool>(), any::<bool>()), 1..40,
    )) {
        let mut names = Names::default();
        let mut truth = None;
        let mut now = 10;
        for (index, deed) in deeds.into_iter().enumerate() {
            let (value, heard, counts): Deed = deed;
            // Every value is another, as in a run.
            let value = value.map(|value| value * 1000 + index as u64);
            let ticket = names.begin(at(now), FOLDER, "a", value.and_then(file));
            now += 2;
            match (heard, counts) {
                (true, true) => names.acknowledge(&ticket, at(now), None),
                (true, false) => names.refuse(&ticket),
                (false, _) => names.lose(&ticket, at(now)),
            }
            let before = truth;
            if counts {
                truth = value;
            }
            now += 2;
            prop_assert_eq!(look(&mut names, now, now + 1, truth), Ok(()));
            now += 2;
            if heard && counts && before != truth {
                prop_assert!(look(&mut names, now, now + 1, before).is_err());
            }
            now += 2;
        }
    }
}

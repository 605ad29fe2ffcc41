//! Taking names away and giving others.

use truckee_engine::drive::{DriveError, Edit, Replace};
use truckee_grid::caps::Cap;
use truckee_grid::drive::{ChildName, Target};

use super::super::Rig;
use super::{HELLO, verify_only};

#[actix_web::test]
async fn unlinking() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    for name in ["a", "b", "c", "d"] {
        rig.expect(201, "PUT", &format!("/uri/{root}/{name}"), b"hello")
            .await;
    }
    assert_eq!(
        rig.expect(200, "DELETE", &format!("/uri/{root}/a"), b"").await,
        HELLO
    );
    rig.expect(404, "DELETE", &format!("/uri/{root}/a"), b"").await;
    rig.expect(404, "DELETE", &format!("/uri/{root}/x/y"), b"").await;
    rig.expect(400, "DELETE", &format!("/uri/{root}"), b"").await;
    rig.expect(400, "DELETE", &format!("/uri/{HELLO}"), b"").await;
    for (t, name) in [("delete", "b"), ("unlink", "c")] {
        let text = rig
            .expect(200, "POST", &format!("/uri/{root}?t={t}&name={name}"), b"")
            .await;
        assert_eq!(text, "thing unlinked");
        rig.expect(404, "POST", &format!("/uri/{root}?t={t}&name={name}"), b"")
            .await;
        rig.expect(400, "POST", &format!("/uri/{root}?t={t}"), b"").await;
        rig.expect(400, "POST", &format!("/uri/{root}?t={t}&name="), b"")
            .await;
        rig.expect(404, "POST", &format!("/uri/{root}/gone?t={t}&name=x"), b"")
            .await;
        rig.expect(400, "POST", &format!("/uri/{root}/d?t={t}&name=x"), b"")
            .await;
    }
    let done = rig
        .submit(&format!("/uri/{root}"), "t=delete&name=d&when_done=/files")
        .await;
    assert_eq!((done.status, done.header("location")), (303, Some("/files")));
    assert!(rig.names(&format!("/uri/{root}")).await.is_empty());
}

#[actix_web::test]
async fn renaming() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    rig.expect(201, "PUT", &format!("/uri/{root}/a"), b"hello").await;
    let text = rig
        .expect(
            200,
            "POST",
            &format!("/uri/{root}?t=rename&from_name=a&to_name=b"),
            b"",
        )
        .await;
    assert_eq!(text, "thing moved");
    let form = rig
        .submit(&format!("/uri/{root}"), "t=rename&from_name=b&to_name=c+d")
        .await;
    assert_eq!((form.status, form.text().as_str()), (200, "thing moved"));
    assert_eq!(rig.names(&format!("/uri/{root}")).await, ["c d"]);
    rig.expect(
        200,
        "POST",
        &format!("/uri/{root}?t=rename&from_name=c%20d&to_name=c%20d"),
        b"",
    )
    .await;
    for (arguments, status) in [
        ("t=rename&from_name=x&to_name=y", 404),
        ("t=rename&from_name=x", 400),
        ("t=rename&to_name=x", 400),
        ("t=rename&from_name=a/b&to_name=x", 400),
        ("t=rename&from_name=c%20d&to_name=a/b", 400),
        ("t=rename&from_name=c%20d&to_name=x&to_dir=URI:LIT:", 400),
        ("t=rename&from_name=c%20d&to_name=x&replace=perhaps", 400),
        ("t=relink&from_name=c%20d&to_dir=nonsense", 400),
        ("t=relink&from_name=c%20d&to_dir=URI:LIT:", 400),
        ("t=relink&from_name=x&to_name=y", 404),
    ] {
        rig.expect(status, "POST", &format!("/uri/{root}?{arguments}"), b"")
            .await;
    }
    assert_eq!(rig.names(&format!("/uri/{root}")).await, ["c d"]);
}

#[actix_web::test]
async fn moving_to_another_directory() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let other = rig.mkdir().await;
    rig.expect(201, "PUT", &format!("/uri/{root}/a"), b"hello").await;
    rig.expect(201, "PUT", &format!("/uri/{root}/d/e/f"), b"hello")
        .await;
    rig.expect(200, "POST", &format!("/uri/{other}/in?t=mkdir"), b"")
        .await;
    let path = format!("/uri/{root}?t=relink&from_name=a&to_dir={other}/in");
    assert_eq!(rig.expect(200, "POST", &path, b"").await, "thing moved");
    assert_eq!(rig.names(&format!("/uri/{other}/in")).await, ["a"]);
    assert_eq!(rig.names(&format!("/uri/{root}")).await, ["d"]);
    let path = format!("/uri/{other}/in?t=relink&from_name=a&to_name=b&to_dir={root}");
    rig.expect(200, "POST", &path, b"").await;
    assert_eq!(rig.names(&format!("/uri/{root}")).await, ["b", "d"]);
    for (to_dir, status) in [
        (format!("{root}/d"), 400),
        (format!("{root}/d/e"), 400),
        (format!("{root}/gone"), 404),
        (format!("{root}/b"), 400),
        (super::read_only(&other), 403),
        (verify_only(&other), 400),
    ] {
        let path = format!("/uri/{root}?t=relink&from_name=d&to_dir={to_dir}");
        rig.expect(status, "POST", &path, b"").await;
    }
    assert_eq!(rig.names(&format!("/uri/{root}/d/e")).await, ["f"]);
    // Whatever fails, the thing is still in one place.
    rig.drive.failing_edits.lock().unwrap().push(DriveError::Database);
    let path = format!("/uri/{root}?t=relink&from_name=b&to_dir={other}");
    rig.expect(503, "POST", &path, b"").await;
    assert_eq!(rig.names(&format!("/uri/{root}")).await, ["b", "d"]);
}

#[actix_web::test]
async fn somebody_else_was_faster() {
    let rig = Rig::start();
    let root = rig.mkdir().await;
    let Ok(Cap::Dir(cap)) = Cap::parse(&root) else {
        panic!("a directory")
    };
    let other = |name: &str, text: &str| Edit::Set {
        name: ChildName::new(name).unwrap(),
        target: Target::Cap(Cap::parse(text).unwrap()),
        metadata: None,
        replace: Replace::Always,
    };
    // The name was free when it was looked at.
    *rig.drive.meanwhile.lock().unwrap() = Some((cap.clone(), other("a", "URI:LIT:")));
    rig.expect(409, "PUT", &format!("/uri/{root}/a?replace=false"), b"hello")
        .await;
    // A directory on the way was made by somebody else: the new file goes into it.
    let theirs = rig.mkdir().await;
    *rig.drive.meanwhile.lock().unwrap() = Some((cap.clone(), other("d", &theirs)));
    rig.expect(201, "PUT", &format!("/uri/{root}/d/e"), b"hello")
        .await;
    assert_eq!(rig.names(&format!("/uri/{theirs}")).await, ["e"]);
    // Two make the same directory: both get it.
    let theirs = rig.mkdir().await;
    *rig.drive.meanwhile.lock().unwrap() = Some((cap.clone(), other("m", &theirs)));
    assert_eq!(
        rig.expect(200, "POST", &format!("/uri/{root}/m?t=mkdir"), b"")
            .await,
        theirs
    );
    // A directory came in the way of a file.
    *rig.drive.meanwhile.lock().unwrap() = Some((cap, other("n", &theirs)));
    rig.expect(409, "PUT", &format!("/uri/{root}/n"), b"hello").await;
    assert_eq!(rig.names(&format!("/uri/{root}/n")).await.len(), 0);
}

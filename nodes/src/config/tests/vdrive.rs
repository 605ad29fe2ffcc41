//! Section `[vdrive]`, whose one value may hold a password.

use super::*;

/// A vdrive with these lines in its section, which begins at line 4.
fn file(lines: &str) -> String {
    format!("nickname = \"v\"\nroles = [\"vdrive\"]\ninvites = [\"{INVITE}\"]\n[vdrive]\n{lines}\n")
}

fn database(lines: &str) -> VdriveDatabase {
    let config = Config::parse(&file(lines)).expect("it is valid");
    config.vdrive.expect("the role is there").database
}

#[test]
fn a_file_unless_a_server_is_named() {
    assert_eq!(database(""), VdriveDatabase::Sqlite);
    assert_eq!(database("database = \"sqlite\""), VdriveDatabase::Sqlite);
    for url in [
        "postgres://u:hunter2@db.example.org:5432/drive",
        "postgresql://u@[::1]/drive?sslmode=verify-full&sslrootcert=/etc/ca.pem&application_name=v",
        "postgres://u:hunter2%3F@db.example.org/drive?",
    ] {
        let found = database(&format!("database = \"{url}\""));
        let VdriveDatabase::Postgres(_) = &found else {
            panic!("{url} is a server");
        };
        let shown = format!("{found:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let without = Config::parse("nickname = \"a\"\nroles = [\"introducer\"]\n").expect("it is valid");
    assert_eq!(without.vdrive, None);
}

#[test]
fn what_is_no_database_is_told_with_its_line_but_without_its_text() {
    for wrong in [
        "mysql://u:hunter2@host/drive",
        "SQLite",
        "postgres://u:hunter2@host:99999/drive",
        "postgres://u:hunter2@host/drive?sslmode=perhaps",
        // The driver would go on without encryption, and log what it does not know.
        "postgres://u:hunter2@host/drive?sslmod=require",
        "postgres://u:hunter2@host/drive?pasword=hunter2",
        // A password with a question mark that is not escaped.
        "postgres://u:12?hunter2@host/drive",
        "postgres://u:x#hunter2@host/drive",
    ] {
        let errors = errors_of(&file(&format!("database = \"{wrong}\"")));
        assert_eq!(errors.len(), 1, "{wrong}: {errors:?}");
        assert!(
            errors[0].starts_with("line 5: vdrive.database: "),
            "{wrong}: {errors:?}"
        );
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
        assert!(
            errors[0].contains("postgres://user") || errors[0].contains("parameter"),
            "{errors:?}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text =
        "roles = [\"vdrive\"]\n[vdrive]\ndatabase = 5\ndatabse = \"postgres://u:hunter2@host/drive\"\n";
    let errors = errors_of(text).join("\n");
    for part in [
        "nickname: is missing",
        "invites: is empty",
        "line 3: vdrive.database: must be a text",
        "line 4: vdrive.databse: unknown key; did you mean \"database\"?",
    ] {
        assert!(errors.contains(part), "{part:?} in:\n{errors}");
    }
    assert!(!errors.contains("hunter2"), "{errors}");
    let absent = errors_of("nickname = \"a\"\nroles = [\"introducer\"]\n[vdrive]\ndatabase = \"sqlite\"\n");
    assert_eq!(
        absent,
        ["line 3: vdrive: has no effect: \"vdrive\" is not among the roles of this node"]
    );
}

#[test]
fn a_slip_of_the_quotes_does_not_tell_the_password() {
    for slip in [
        "database = postgres://u:hunter2@host/drive",
        "database = \"postgres://u:hunter2@host/drive",
        "database = postgres://u:hunter2@host/drive\"",
        "database \"postgres://u:hunter2@host/drive\"",
        "database = [\"postgres://u:hunter2@host/drive\"]",
    ] {
        let errors = errors_of(&file(slip)).join("\n");
        assert!(!errors.contains("hunter2"), "{slip}: {errors}");
    }
}

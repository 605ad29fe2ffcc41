//! What a path on the command line means: something on this machine or something in the grid.
//!
//! | text | meaning |
//! |---|---|
//! | `URI:…` , `URI:…/dir/file` | a cap, and a path below it |
//! | `NAME:dir/file`, no slash before the colon | a path below the directory of an alias |
//! | anything else | a file here; where only the grid makes sense, a path below the alias `truckee:` |
//!
//! A file here whose name has a colon is written with a slash before it, as in `./a:b`.

use std::path::PathBuf;

use crate::client::Place;
use crate::error::CliError;

use super::store::{Aliases, DEFAULT_ALIAS};

/// One path of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// On this machine.
    Local {
        /// The path.
        path: PathBuf,
        /// Whether it ended with a slash.
        slash: bool,
    },
    /// In the grid.
    Grid {
        /// The place.
        place: Place,
        /// Whether it ended with a slash.
        slash: bool,
    },
}

/// What a path without cap and alias is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// A file here.
    Local,
    /// A path below the default alias.
    Grid,
}

/// Reads one path.
///
/// # Errors
/// When it names an unknown alias, or has a part that no directory can have.
pub fn parse(text: &str, plain: Plain, aliases: &Aliases) -> Result<Target, CliError> {
    if let Some(rest) = text.strip_prefix("URI:") {
        let cap_end = rest.find('/').map_or(text.len(), |at| at + "URI:".len());
        return below(Place::of(&text[..cap_end]), &text[cap_end..], text);
    }
    let first = text.split('/').next().unwrap_or("");
    if let Some((name, _)) = first.split_once(':') {
        return below(aliases.place(name)?, &text[name.len() + 1..], text);
    }
    match plain {
        Plain::Local => Ok(Target::Local {
            path: PathBuf::from(text),
            slash: text.ends_with('/'),
        }),
        Plain::Grid if text.starts_with(['/', '~']) || first == "." || first == ".." => {
            Err(CliError::Usage {
                what: "the path",
                value: text.to_owned(),
                hint: "this command works on the grid; give ALIAS:path or CAP/path".into(),
            })
        }
        Plain::Grid => below(aliases.place(DEFAULT_ALIAS)?, text, text),
    }
}

/// The same for a command that works on the grid alone.
///
/// # Errors
/// As [`parse`].
pub fn parse_grid(text: &str, aliases: &Aliases) -> Result<(Place, bool), CliError> {
    match parse(text, Plain::Grid, aliases)? {
        Target::Grid { place, slash } => Ok((place, slash)),
        Target::Local { .. } => Err(CliError::Usage {
            what: "the path",
            value: text.to_owned(),
            hint: "this command works on the grid; give ALIAS:path or CAP/path".into(),
        }),
    }
}

/// `path` below `root`. Empty parts do not count, as in a file system.
fn below(root: Place, path: &str, text: &str) -> Result<Target, CliError> {
    let mut place = root;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part == "." || part == ".." {
            return Err(CliError::Usage {
                what: "the path",
                value: hide_cap(text),
                hint: "directories of the grid have no parent and no . or ..; write the path out".into(),
            });
        }
        place = place.child(part);
    }
    Ok(Target::Grid {
        place,
        slash: path.ends_with('/'),
    })
}

/// A path as it may be shown: a cap in front is left out.
#[must_use]
pub fn hide_cap(text: &str) -> String {
    match text.strip_prefix("URI:").and_then(|rest| rest.find('/')) {
        Some(at) => format!("URI:…{}", &text[at + "URI:".len()..]),
        None if text.starts_with("URI:") => "URI:…".into(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases() -> Aliases {
        Aliases::parse("truckee: URI:DIR2:t:t\nhome: URI:DIR2:h:h\n").unwrap()
    }

    fn grid(text: &str, plain: Plain) -> (String, bool) {
        match parse(text, plain, &aliases()).unwrap() {
            Target::Grid { place, slash } => (place.plain(), slash),
            local => panic!("{local:?}"),
        }
    }

    #[test]
    fn every_form_is_understood() {
        for (text, plain, place, slash) in [
            ("home:", Plain::Local, "URI:DIR2:h:h", false),
            ("home:a//b/", Plain::Local, "URI:DIR2:h:h/a/b", true),
            ("home:/a", Plain::Local, "URI:DIR2:h:h/a", false),
            ("home:a:b", Plain::Local, "URI:DIR2:h:h/a:b", false),
            ("URI:DIR2:x:y", Plain::Local, "URI:DIR2:x:y", false),
            ("URI:DIR2:x:y/", Plain::Local, "URI:DIR2:x:y", true),
            ("URI:DIR2:x:y/a b/c", Plain::Grid, "URI:DIR2:x:y/a b/c", false),
            ("docs/a", Plain::Grid, "URI:DIR2:t:t/docs/a", false),
            ("", Plain::Grid, "URI:DIR2:t:t", false),
            ("docs/a:b", Plain::Grid, "URI:DIR2:t:t/docs/a:b", false),
        ] {
            assert_eq!(grid(text, plain), (place.to_owned(), slash), "{text:?}");
        }
        for text in ["a", "./a:b", "/tmp/x:y", "dir/a:b", "a/"] {
            let slash = text.ends_with('/');
            let local = Target::Local {
                path: text.into(),
                slash,
            };
            assert_eq!(parse(text, Plain::Local, &aliases()).unwrap(), local);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_without_showing_a_cap() {
        for text in ["other:x", "home:../x", "home:a/./b", "URI:DIR2:secret:secret/.."] {
            let error = parse(text, Plain::Local, &aliases()).unwrap_err();
            assert_eq!(error.exit(), crate::exit::Exit::Usage, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for text in ["./x", "/x", "../x", "~/x"] {
            assert!(parse(text, Plain::Grid, &aliases()).is_err(), "{text}");
        }
        assert!(parse_grid("x", &Aliases::default()).is_err());
    }
}

//! The file of aliases: names for caps, on this machine alone.
//!
//! Owns the file's place, its form (`NAME: CAP`, one a line, `#` before a remark) and its safety: readable by its owner
//! only, written whole or not at all, and changed by one process at a time. The caps in it are secrets.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::client::Place;
use crate::error::CliError;
use crate::files::write_whole;

/// The alias of paths that name none, where a command works on the grid alone.
pub const DEFAULT_ALIAS: &str = "truckee";

/// Longest name; it is typed by hand.
const NAME_BYTES_MAX: usize = 64;

/// Largest file that is read; a hundred thousand aliases are somebody's mistake.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

const HEADER: &str = "# Aliases of truckee. Each cap is a secret: whoever has it can read, and often change, what it stands for.\n";

/// Names and caps.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    caps: BTreeMap<String, String>,
}

/// Why a text is no alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AliasFlaw {
    /// The name.
    #[error(
        "a name has 1 to {NAME_BYTES_MAX} bytes, no colon, slash, space or control character, and no - in front"
    )]
    Name,
    /// What it stands for.
    #[error("an alias stands for a cap, which starts with URI:")]
    Cap,
    /// The line has no colon.
    #[error("a line should be NAME: CAP")]
    Line,
}

impl Aliases {
    /// The cap of `name`. Secret.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.caps.get(name).map(String::as_str)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.caps.iter().map(|(name, cap)| (name.as_str(), cap.as_str()))
    }

    /// The place that `name` stands for.
    ///
    /// # Errors
    /// When there is no such alias.
    pub fn place(&self, name: &str) -> Result<Place, CliError> {
        match self.get(name) {
            Some(cap) => Ok(Place::called(cap, &format!("{name}:"))),
            None => Err(CliError::NoAlias {
                name: name.to_owned(),
            }),
        }
    }

    /// Adds or replaces one.
    ///
    /// # Errors
    /// When the name or the cap has no usable form.
    pub fn insert(&mut self, name: &str, cap: &str) -> Result<(), AliasFlaw> {
        check_name(name)?;
        if !cap.starts_with("URI:") || cap.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(AliasFlaw::Cap);
        }
        self.caps.insert(name.to_owned(), cap.to_owned());
        Ok(())
    }

    /// Removes one; gives its cap.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        self.caps.remove(name)
    }

    /// Reads the text of a file; an error has its line number, from one.
    ///
    /// # Errors
    /// When a line is not understood.
    pub fn parse(text: &str) -> Result<Aliases, (usize, AliasFlaw)> {
        let mut aliases = Aliases::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, cap) = line.split_once(':').ok_or((at + 1, AliasFlaw::Line))?;
            aliases
                .insert(name.trim(), cap.trim())
                .map_err(|flaw| (at + 1, flaw))?;
        }
        Ok(aliases)
    }

    /// The text of the file.
    fn text(&self) -> String {
        let lines = self.iter().map(|(name, cap)| format!("{name}: {cap}\n"));
        HEADER.to_owned() + &lines.collect::<String>()
    }
}

/// Whether `name` can be an alias.
///
/// # Errors
/// [`AliasFlaw::Name`] if not.
pub(crate) fn check_name(name: &str) -> Result<(), AliasFlaw> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == ':' || c == '/';
    let sound = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(bad)
        && !name.starts_with(['-', '#'])
        && name != "URI";
    if sound { Ok(()) } else { Err(AliasFlaw::Name) }
}

/// Where the aliases are: as given, else in the user's directory for configuration.
///
/// # Errors
/// When nothing says where that is.
pub fn path(given: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    config_dir(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME"))
        .map(|dir| dir.join("truckee").join("aliases"))
        .ok_or_else(|| CliError::Usage {
            what: "the file of aliases",
            value: String::new(),
            hint: "neither HOME nor XDG_CONFIG_HOME is set; name it with --aliases".into(),
        })
}

/// As the XDG base directory specification has it: relative paths do not count.
fn config_dir(xdg: Option<std::ffi::OsString>, home: Option<std::ffi::OsString>) -> Option<PathBuf> {
    let absolute = |dir: std::ffi::OsString| Some(PathBuf::from(dir)).filter(|dir| dir.is_absolute());
    xdg.and_then(absolute)
        .or_else(|| home.and_then(absolute).map(|home| home.join(".config")))
}

/// Reads the aliases; none if the file is not there.
///
/// # Errors
/// When the file cannot be read, others can read it, or a line is not understood.
pub fn load(path: &Path) -> Result<Aliases, CliError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Aliases::default()),
        opened => opened.map_err(CliError::file("read", path))?,
    };
    let flawed = |hint: String| CliError::Usage {
        what: "the file of aliases",
        value: path.display().to_string(),
        hint,
    };
    let mode = file
        .metadata()
        .map_err(CliError::file("read", path))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(flawed(
            "other users of this machine can read it, and with it all your files; run chmod 600 on it".into(),
        ));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(CliError::file("read", path))?;
    Aliases::parse(&text).map_err(|(line, flaw)| flawed(format!("line {line}: {flaw}")))
}

/// Changes the aliases, alone among all processes that do.
///
/// # Errors
/// When `change` refuses, or the file cannot be read or written; then it stays as it was.
pub(crate) fn change<T>(
    path: &Path,
    change: impl FnOnce(&mut Aliases) -> Result<T, CliError>,
) -> Result<T, CliError> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(CliError::file("create", dir))?;
    }
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(CliError::file("create", &lock_path))?;
    lock.lock().map_err(CliError::file("lock", &lock_path))?;
    let mut aliases = load(path)?;
    let result = change(&mut aliases)?;
    write_whole(path, aliases.text().as_bytes(), 0o600)?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep").join("aliases");
        assert!(load(&path).unwrap() == Aliases::default());
        for (name, cap) in [("home", "URI:DIR2:a:b"), ("ü.2", "URI:DIR2-RO:c:d")] {
            change(&path, |aliases| {
                aliases.insert(name, cap).unwrap();
                Ok(())
            })
            .unwrap();
        }
        let aliases = load(&path).unwrap();
        assert_eq!(aliases.get("home"), Some("URI:DIR2:a:b"));
        assert_eq!(aliases.iter().count(), 2);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(aliases.place("home").unwrap().shown(), "home:");
        let error = aliases.place("none").unwrap_err().to_string();
        assert!(error.contains("truckee alias"), "{error}");
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aliases");
        change(&path, |aliases| {
            aliases.insert("a", "URI:LIT:").unwrap();
            Ok(())
        })
        .unwrap();
        let refused = change(&path, |aliases| -> Result<(), CliError> {
            aliases.remove("a");
            Err(CliError::NoAlias { name: "x".into() })
        });
        assert!(refused.is_err());
        assert_eq!(load(&path).unwrap().get("a"), Some("URI:LIT:"));
    }

    #[test]
    fn many_changes_at_once_all_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aliases");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    change(path, |aliases| {
                        aliases.insert(&format!("a{number}"), "URI:LIT:").unwrap();
                        Ok(())
                    })
                    .unwrap();
                });
            }
        });
        assert_eq!(load(&path).unwrap().iter().count(), 8);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aliases");
        std::fs::write(&path, "a: URI:LIT:\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = load(&path).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn lines_are_understood_or_named() {
        let aliases = Aliases::parse("# remark\n\n home : URI:DIR2:a:b \n").unwrap();
        assert_eq!(aliases.get("home"), Some("URI:DIR2:a:b"));
        let flaw = |text| Aliases::parse(text).err().unwrap();
        assert_eq!(flaw("a: URI:LIT:\njunk"), (2, AliasFlaw::Line));
        assert_eq!(flaw("a: /tmp"), (1, AliasFlaw::Cap));
        for name in ["", "-x", "a/b", "a b", "URI", "a\u{7}", &"n".repeat(65)] {
            assert_eq!(check_name(name), Err(AliasFlaw::Name), "{name:?}");
        }
    }

    #[test]
    fn the_users_directory_is_found() {
        let dir =
            |xdg: Option<&str>, home: Option<&str>| config_dir(xdg.map(Into::into), home.map(Into::into));
        assert_eq!(dir(Some("/x"), Some("/h")), Some("/x".into()));
        assert_eq!(dir(Some("relative"), Some("/h")), Some("/h/.config".into()));
        assert_eq!(dir(None, Some("/h")), Some("/h/.config".into()));
        assert_eq!(dir(None, None), None);
    }
}

//! Small files of state in a node's directory: read with a bound, and replaced whole; and the [`Keeper`] by which an actor keeps
//! its state in one, over its own lives and those of the process.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

mod keeper;

pub(crate) use self::keeper::{Keeper, Kept, Saved};

/// For the node's user alone.
const MODE: u32 = 0o600;

/// The file as text; `None` if there is none.
///
/// # Errors
/// It cannot be read, is longer than `bytes_max`, or is no text.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut text = String::new();
    file.take(bytes_max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than {bytes_max} bytes"),
        ));
    }
    Ok(Some(text))
}

/// What an earlier process kept in the file; `None` if there is none. What cannot be read or is not of its form is told with
/// what follows from that, and is `None` too: the next one replaces it.
pub(crate) fn recall<T, E: Display>(
    path: &Path,
    bytes_max: u64,
    parse: impl FnOnce(&str) -> Result<T, E>,
    what_follows: &'static str,
) -> Option<T> {
    let recalled = match read_text(path, bytes_max) {
        Ok(None) => return None,
        Ok(Some(text)) => parse(&text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    recalled
        .inspect_err(|error| tracing::warn!(path = %path.display(), error, "{what_follows}"))
        .ok()
}

/// Replaces the file: after a crash it is the old one or the new one, whole.
///
/// # Errors
/// The system refuses; then the old one stands.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&unfinished, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_written_is_read_within_its_bound() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("place.json");
        assert_eq!(read_text(&path, 10).expect("no error"), None);
        // Left behind by a process that was killed in between.
        fs::write(dir.path().join("place.json.new"), b"half a fil").expect("writable");
        replace(&path, b"0123456789").expect("writable");
        assert_eq!(
            read_text(&path, 10).expect("readable").as_deref(),
            Some("0123456789")
        );
        assert!(read_text(&path, 9).is_err(), "too long");
        replace(&path, b"\xff").expect("writable");
        assert!(read_text(&path, 9).is_err(), "no text");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(dir.path()).expect("readable").count(),
            1,
            "nothing is left"
        );
    }
}

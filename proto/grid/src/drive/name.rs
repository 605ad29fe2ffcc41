//! Names of children: what may stand between two slashes of a path.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Longest name, bytes of UTF-8 in normal form C: what file systems take, so that every tree can be copied out again.
pub const CHILD_NAME_BYTES_MAX: usize = 255;

/// The name of a child: 1 to [`CHILD_NAME_BYTES_MAX`] bytes of UTF-8 in normal form C, without NUL and `/`, neither `.`
/// nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildName(String);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing.
    #[error("a name must have at least one character")]
    Empty,
    /// More than [`CHILD_NAME_BYTES_MAX`] bytes in normal form C.
    #[error("a name may have at most {CHILD_NAME_BYTES_MAX} bytes; this one has {bytes}")]
    TooLong {
        /// Its length, bytes.
        bytes: usize,
    },
    /// Holds a slash or a NUL.
    #[error("a name may hold neither a slash nor a NUL")]
    Forbidden,
    /// Is `.` or `..`, which mean something else on the way back to a file system.
    #[error("a name may not be . or ..")]
    Dots,
}

impl ChildName {
    /// Takes a text, in any normal form.
    ///
    /// # Errors
    /// [`NameError`] when it cannot be a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        // Normal form C is at most three times as long in UTF-8 (Unicode TR 15, expansion factors); the bound before
        // the work keeps a megabyte of text from being normalised first.
        if text.len() > 16 * CHILD_NAME_BYTES_MAX {
            return Err(NameError::TooLong { bytes: text.len() });
        }
        let name: String = text.nfc().collect();
        match name.as_str() {
            "" => Err(NameError::Empty),
            "." | ".." => Err(NameError::Dots),
            name if name.len() > CHILD_NAME_BYTES_MAX => Err(NameError::TooLong { bytes: name.len() }),
            name if name.contains(['/', '\0']) => Err(NameError::Forbidden),
            _ => Ok(Self(name)),
        }
    }

    /// The text, in normal form C.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names are secrets of those who read the directory: they belong in no log.
impl fmt::Debug for ChildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildName(secret)")
    }
}

/// What a row is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowName {
    /// The one row of a mutable file.
    Content,
    /// A child of a directory.
    Child(ChildName),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_is_none() {
        let name = |text: &str| ChildName::new(text).map(|name| name.as_str().to_owned());
        assert_eq!(name("a b.txt").unwrap(), "a b.txt");
        assert_eq!(name("e\u{301}"), name("\u{e9}"), "normal forms are one name");
        assert_eq!(name(&"x".repeat(255)).unwrap().len(), 255);
        assert_eq!(name(&"x".repeat(256)), Err(NameError::TooLong { bytes: 256 }));
        assert_eq!(name(&"x".repeat(9999)), Err(NameError::TooLong { bytes: 9999 }));
        // Refused before it is normalised: its own length is told, not that of the normal form.
        let bytes = 3 * 5000;
        assert_eq!(name(&"e\u{301}".repeat(5000)), Err(NameError::TooLong { bytes }));
        // 128 pairs that become 128 letters of two bytes.
        assert_eq!(name(&"e\u{301}".repeat(127)).unwrap().len(), 254);
        assert_eq!(name(""), Err(NameError::Empty));
        assert_eq!(name("."), Err(NameError::Dots));
        assert_eq!(name(".."), Err(NameError::Dots));
        assert_eq!(name("...").unwrap(), "...");
        for bad in ["a/b", "/", "a\0"] {
            assert_eq!(name(bad), Err(NameError::Forbidden), "{bad:?}");
        }
    }
}

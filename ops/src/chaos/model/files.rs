//! Files that were acknowledged: their caps, and the seed of what must come back.

use std::collections::BTreeMap;

use super::{At, Text};

/// One file. Debug output does not show the cap.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Number in the order of acknowledgement, from 0; stands for the file wherever its cap must not be seen.
    pub(crate) number: usize,
    /// Secret.
    pub(crate) cap: String,
    pub(crate) text: Text,
    /// When it was acknowledged.
    pub(crate) at: At,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "file {}", self.number)
    }
}

impl File {
    /// For people: which file, without its cap.
    pub(crate) fn shown(&self) -> String {
        let File { number, text, at, .. } = self;
        let (bytes, seconds) = (text.size_bytes, at.as_secs_f64());
        format!("file {number} ({bytes} bytes, stored at {seconds:.1} s)")
    }

    /// Whether it lives in its cap and needs no peer.
    pub(crate) fn is_in_its_cap(&self) -> bool {
        self.cap.starts_with("URI:LIT:")
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    all: Vec<File>,
    by_cap: BTreeMap<String, usize>,
}

/// An upload was acknowledged with a cap that stands for something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mixed {
    /// The file that had the cap before.
    pub(crate) before: usize,
}

impl Files {
    /// Notes an acknowledged file. The same content may have the same cap.
    ///
    /// # Errors
    /// When the cap is that of other content.
    pub(crate) fn stored(&mut self, cap: &str, text: Text, at: At) -> Result<usize, Mixed> {
        if let Some(&before) = self.by_cap.get(cap) {
            let same = self.all[before].text == text;
            return if same { Ok(before) } else { Err(Mixed { before }) };
        }
        let number = self.all.len();
        let cap = cap.to_owned();
        self.by_cap.insert(cap.clone(), number);
        self.all.push(File {
            number,
            cap,
            text,
            at,
        });
        Ok(number)
    }

    /// Every file, in the order of acknowledgement.
    pub(crate) fn all(&self) -> &[File] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_stands_for_one_content() {
        let text = |seed| Text { seed, size_bytes: 3 };
        let mut files = Files::default();
        assert_eq!(files.stored("URI:A", text(1), At::ZERO), Ok(0));
        assert_eq!(files.stored("URI:B", text(2), At::ZERO), Ok(1));
        assert_eq!(files.stored("URI:A", text(1), At::ZERO), Ok(0), "convergent");
        assert_eq!(files.stored("URI:B", text(1), At::ZERO), Err(Mixed { before: 1 }));
        assert_eq!(files.all().len(), 2);
        assert!(!format!("{files:?}").contains("file 0 URI") && !files.all()[0].shown().contains("URI"));
    }
}

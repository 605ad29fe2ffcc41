//! Reads a TOML table key by key and collects every error with its line, instead of stopping at the first.
//!
//! A value that is wrong is reported and its default goes on in its place, so that the rest can be checked too; nobody
//! sees such a value, since a configuration with an error is never returned.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Problem};
use super::value::{ByteCount, FromToml};

/// Collects the errors of one file.
pub(super) struct Reader<'i> {
    text: &'i str,
    errors: Vec<ConfigError>,
}

/// One table of the file, absent or not, and the keys that were asked for.
pub(super) struct Section<'a, 'i> {
    name: &'static str,
    table: Option<&'a DeTable<'i>>,
    line: usize,
    known: BTreeSet<&'static str>,
}

impl<'i> Reader<'i> {
    /// Parses the text; what is not TOML is reported and what can be saved of the rest is returned.
    pub(super) fn new(text: &'i str) -> (Reader<'i>, DeTable<'i>) {
        let mut reader = Reader {
            text,
            errors: Vec::new(),
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let start = error.span().map_or(0, |span| span.start);
            let problem = Problem::Syntax(error.message().to_owned());
            reader.report(reader.line_of(start), String::new(), problem);
        }
        (reader, document.into_inner())
    }

    /// Counted from 1.
    fn line_of(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes()[..end]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    }

    pub(super) fn report(&mut self, line: usize, key: String, problem: Problem) {
        self.errors.push(ConfigError { line, key, problem });
    }

    /// The top level.
    pub(super) fn root<'a>(&self, table: &'a DeTable<'i>) -> Section<'a, 'i> {
        Section {
            name: "",
            table: Some(table),
            line: 1,
            known: BTreeSet::new(),
        }
    }

    /// A table inside the top level; one that is absent gives defaults for all its keys.
    pub(super) fn section<'a>(&mut self, root: &mut Section<'a, 'i>, name: &'static str) -> Section<'a, 'i> {
        let found = root.look_up(name);
        let line = found
            .as_ref()
            .map_or(1, |(line_start, _)| self.line_of(*line_start));
        let table = match found.map(|(_, value)| value) {
            Some(DeValue::Table(table)) => Some(table),
            Some(other) => {
                let found = type_name(other);
                self.report(
                    line,
                    name.to_owned(),
                    Problem::WrongType {
                        expected: "a table",
                        found,
                    },
                );
                None
            }
            None => None,
        };
        Section {
            name,
            table,
            line,
            known: BTreeSet::new(),
        }
    }

    /// The value of a key, or none if it is absent or wrong (and then reported).
    pub(super) fn optional<T: FromToml>(
        &mut self,
        section: &mut Section<'_, 'i>,
        key: &'static str,
    ) -> Option<T> {
        let (offset, value) = section.look_up(key)?;
        match T::from_toml(value) {
            Ok(parsed) => Some(parsed),
            Err(problem) => {
                self.report(self.line_of(offset), section.path(key), problem);
                None
            }
        }
    }

    /// The value of a key, or its default.
    pub(super) fn or<T: FromToml>(
        &mut self,
        section: &mut Section<'_, 'i>,
        key: &'static str,
        default: T,
    ) -> T {
        self.optional(section, key).unwrap_or(default)
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: FromToml + Default>(
        &mut self,
        section: &mut Section<'_, 'i>,
        key: &'static str,
    ) -> T {
        if section.look_up(key).is_none() {
            self.report(section.line, section.path(key), Problem::Missing);
        }
        self.optional(section, key).unwrap_or_default()
    }

    /// A count of bytes within bounds, or its default.
    pub(super) fn bytes_between(
        &mut self,
        section: &mut Section<'_, 'i>,
        key: &'static str,
        bounds: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let ByteCount(got) = self.or(section, key, ByteCount(default));
        if bounds.contains(&got) {
            return got;
        }
        let line = self.line(section, key);
        let problem = Problem::OutOfRange {
            got: got.to_string(),
            low: *bounds.start(),
            high: *bounds.end(),
        };
        self.report(line, section.path(key), problem);
        default
    }

    /// Whether a key is there, right or wrong.
    pub(super) fn is_there(&self, section: &mut Section<'_, 'i>, key: &'static str) -> bool {
        section.look_up(key).is_some()
    }

    /// Line of a key, for errors that concern several keys at once; of the table if the key is absent.
    pub(super) fn line(&self, section: &mut Section<'_, 'i>, key: &'static str) -> usize {
        section
            .look_up(key)
            .map_or(section.line, |(offset, _)| self.line_of(offset))
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(&mut self, section: &Section<'_, 'i>) {
        let Some(table) = section.table else { return };
        for (key, value) in table {
            let name: &str = key.get_ref();
            if section.known.contains(name) {
                continue;
            }
            let start = if key.span().is_empty() {
                value.span().start
            } else {
                key.span().start
            };
            let problem = Problem::UnknownKey(nearest(name, &section.known));
            self.report(self.line_of(start), section.path(name), problem);
        }
    }

    /// All errors, in the order of their lines.
    pub(super) fn into_errors(mut self) -> Vec<ConfigError> {
        self.errors.sort_by_key(|error| error.line);
        self.errors
    }
}

impl<'a, 'i> Section<'a, 'i> {
    /// Whether the file has this table.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Whether the key stands there with a list of nothing.
    pub(super) fn is_empty_list(&mut self, key: &'static str) -> bool {
        matches!(self.look_up(key), Some((_, DeValue::Array(items))) if items.is_empty())
    }

    fn look_up(&mut self, key: &'static str) -> Option<(usize, &'a DeValue<'i>)> {
        self.known.insert(key);
        let (name, value): (_, &Spanned<DeValue<'i>>) = self.table?.get_key_value(key)?;
        let start = if name.span().is_empty() {
            value.span().start
        } else {
            name.span().start
        };
        Some((start, value.get_ref()))
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

/// The kind of a value in the words of this file's errors.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The known key that takes the fewest edits, if they are few enough to be a slip of the hand.
fn nearest(name: &str, known: &BTreeSet<&'static str>) -> Option<&'static str> {
    // Beyond two edits a suggestion is more often wrong than right.
    const EDITS_MAX: usize = 2;
    known
        .iter()
        .map(|key| (edit_distance(name, key), *key))
        .filter(|(distance, key)| *distance <= EDITS_MAX && *distance < key.len())
        .min()
        .map(|(_, key)| key)
}

/// Levenshtein's distance in characters, by the two-row method. Both texts are keys of a bounded file.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances() {
        for (a, b, distance) in [
            ("", "", 0),
            ("happy", "hapy", 1),
            ("k", "n", 1),
            ("listen", "listne", 2),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn a_suggestion_must_be_near() {
        let known = BTreeSet::from(["happy", "listen", "k", "n"]);
        assert_eq!(nearest("hapy", &known), Some("happy"));
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &known), None, "one letter for another is a guess");
    }
}

//! Reads the tables of an inventory key by key and collects everything that is wrong, each with its line and key.
//!
//! A key that nobody asked for is wrong too, so that a misspelt `may_wipe` is not a permission lost or gained. What is wrong
//! reads as absent, so that the rest can be checked; nobody sees the outcome then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Longest text of one value.
const TEXT_BYTES_MAX: usize = 1024;

/// Most problems that are told.
const TOLD_MAX: usize = 20;

/// What is wrong with a file.
#[derive(Debug)]
pub(super) struct Problems<'i> {
    file: PathBuf,
    text: &'i str,
    found: Vec<(usize, String)>,
}

/// One table, and the keys that were asked for.
#[derive(Debug)]
pub(super) struct Keys<'a, 'i> {
    /// Where it stands: empty at the top, else with a dot at its end.
    path: String,
    table: &'a DeTable<'i>,
    line: usize,
    known: BTreeSet<&'static str>,
}

impl<'i> Problems<'i> {
    pub(super) fn new(file: &Path, text: &'i str) -> Problems<'i> {
        Problems {
            file: file.to_owned(),
            text,
            found: Vec::new(),
        }
    }

    /// The text as a table; what is not TOML is told and left out.
    pub(super) fn parse(&mut self) -> DeTable<'i> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let line = self.line_of(error.span().map_or(0, |span| span.start));
            let what = format!("is not TOML: {}", error.message().replace('\n', " "));
            self.found.push((line, what));
        }
        document.into_inner()
    }

    /// Counted from 1.
    fn line_of(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// One sentence for each problem, in the order of the lines; none if all is well.
    pub(super) fn sentences(mut self) -> Option<String> {
        self.found.sort();
        let more = self.found.len().saturating_sub(TOLD_MAX);
        let file = self.file.display();
        let told = self.found.iter().take(TOLD_MAX);
        let mut lines: Vec<String> = told
            .map(|(line, what)| format!("{file}: line {line}: {what}"))
            .collect();
        if more > 0 {
            lines.push(format!("{file}: and {more} more"));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl<'a, 'i> Keys<'a, 'i> {
    /// The top of the file.
    pub(super) fn top(table: &'a DeTable<'i>) -> Keys<'a, 'i> {
        Keys {
            path: String::new(),
            table,
            line: 1,
            known: BTreeSet::new(),
        }
    }

    /// Where a key stands, and its value.
    fn look_up(&mut self, problems: &Problems<'i>, key: &'static str) -> Option<(usize, &'a DeValue<'i>)> {
        self.known.insert(key);
        let (name, value) = self.table.get_key_value(key)?;
        let start = if name.span().is_empty() {
            value.span().start
        } else {
            name.span().start
        };
        Some((problems.line_of(start), value.get_ref()))
    }

    /// Something is wrong with a key, or with the table if the key is absent.
    pub(super) fn wrong(&mut self, problems: &mut Problems<'i>, key: &'static str, what: &str) {
        let line = self.look_up(problems, key).map_or(self.line, |(line, _)| line);
        problems.found.push((line, format!("{}{key}: {what}", self.path)));
    }

    /// Something is wrong with the table as a whole.
    pub(super) fn wrong_here(&self, problems: &mut Problems<'i>, what: &str) {
        let path = self.path.trim_end_matches('.');
        problems.found.push((self.line, format!("{path}: {what}")));
    }

    fn wrong_type(
        &mut self,
        problems: &mut Problems<'i>,
        key: &'static str,
        expected: &str,
        found: &DeValue<'_>,
    ) {
        let what = format!("must be {expected}, not {}", type_name(found));
        self.wrong(problems, key, &what);
    }

    /// A text that is not empty and holds no control character.
    pub(super) fn text(&mut self, problems: &mut Problems<'i>, key: &'static str) -> Option<String> {
        match self.look_up(problems, key)?.1 {
            DeValue::String(text) => match flaw(text) {
                None => Some(text.to_string()),
                Some(flaw) => {
                    self.wrong(problems, key, &format!("must not {flaw}"));
                    None
                }
            },
            other => {
                self.wrong_type(problems, key, "a text", other);
                None
            }
        }
    }

    /// The same of a key that must be there.
    pub(super) fn needed(&mut self, problems: &mut Problems<'i>, key: &'static str) -> Option<String> {
        self.must_be_there(problems, key);
        self.text(problems, key)
    }

    fn must_be_there(&mut self, problems: &mut Problems<'i>, key: &'static str) {
        if !self.has(problems, key) {
            self.wrong(problems, key, "is missing");
        }
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&mut self, problems: &Problems<'i>, key: &'static str) -> bool {
        self.look_up(problems, key).is_some()
    }

    /// A list of such texts; none if the key is absent.
    pub(super) fn texts(
        &mut self,
        problems: &mut Problems<'i>,
        key: &'static str,
        most: usize,
    ) -> Option<Vec<String>> {
        let items = match self.look_up(problems, key)?.1 {
            DeValue::Array(items) => items,
            other => {
                self.wrong_type(problems, key, "a list of texts", other);
                return None;
            }
        };
        if items.len() > most {
            let what = format!("has {} items; at most {most} are taken", items.len());
            self.wrong(problems, key, &what);
            return None;
        }
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => match flaw(text) {
                    None => texts.push(text.to_string()),
                    Some(flaw) => {
                        self.wrong(problems, key, &format!("holds a text that must not {flaw}"));
                        return None;
                    }
                },
                other => {
                    self.wrong_type(problems, key, "a list of texts", other);
                    return None;
                }
            }
        }
        Some(texts)
    }

    /// The same of a key that must be there, with at least one item.
    pub(super) fn needed_texts(
        &mut self,
        problems: &mut Problems<'i>,
        key: &'static str,
        most: usize,
    ) -> Vec<String> {
        self.must_be_there(problems, key);
        let texts = self.texts(problems, key, most);
        if texts.as_ref().is_some_and(Vec::is_empty) {
            self.wrong(problems, key, "must not be empty");
        }
        texts.unwrap_or_default()
    }

    /// Yes or no; no if the key is absent.
    pub(super) fn flag(&mut self, problems: &mut Problems<'i>, key: &'static str) -> bool {
        match self.look_up(problems, key) {
            None => false,
            Some((_, DeValue::Boolean(yes))) => *yes,
            Some((_, other)) => {
                self.wrong_type(problems, key, "true or false", other);
                false
            }
        }
    }

    /// A port.
    pub(super) fn port(&mut self, problems: &mut Problems<'i>, key: &'static str) -> Option<u16> {
        match self.look_up(problems, key)?.1 {
            DeValue::Integer(number) => {
                let port = u16::from_str_radix(number.as_str(), number.radix()).ok();
                let port = port.filter(|port| *port > 0);
                if port.is_none() {
                    let what = format!("must be between 1 and {}, not {number}", u16::MAX);
                    self.wrong(problems, key, &what);
                }
                port
            }
            other => {
                self.wrong_type(problems, key, "a whole number", other);
                None
            }
        }
    }

    /// A table inside this one.
    pub(super) fn table(&mut self, problems: &mut Problems<'i>, key: &'static str) -> Option<Keys<'a, 'i>> {
        let (line, value) = self.look_up(problems, key)?;
        match value {
            DeValue::Table(table) => Some(Keys {
                path: format!("{}{key}.", self.path),
                table,
                line,
                known: BTreeSet::new(),
            }),
            other => {
                self.wrong_type(problems, key, "a table", other);
                None
            }
        }
    }

    /// Tables of which there are several, counted from 1.
    pub(super) fn tables(&mut self, problems: &mut Problems<'i>, key: &'static str) -> Vec<Keys<'a, 'i>> {
        let items = match self.look_up(problems, key) {
            None => return Vec::new(),
            Some((_, DeValue::Array(items))) => items,
            Some((_, other)) => {
                self.wrong_type(problems, key, "tables, each begun with [[node]]", other);
                return Vec::new();
            }
        };
        let mut all = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                self.wrong_type(problems, key, "tables, each begun with [[node]]", item.get_ref());
                continue;
            };
            all.push(Keys {
                path: format!("{}{key} {}.", self.path, at + 1),
                table,
                line: problems.line_of(item.span().start),
                known: BTreeSet::new(),
            });
        }
        all
    }

    /// Tells every key that nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems<'i>) {
        for (key, value) in self.table {
            let name: &str = key.get_ref();
            if self.known.contains(name) {
                continue;
            }
            let start = if key.span().is_empty() {
                value.span().start
            } else {
                key.span().start
            };
            let known: Vec<&str> = self.known.iter().copied().collect();
            let what = format!(
                "{}{}: unknown key; those known here are {}",
                self.path,
                name.escape_debug(),
                known.join(", ")
            );
            problems.found.push((problems.line_of(start), what));
        }
    }
}

/// What makes a text unusable, after "must not".
fn flaw(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("be empty".to_owned());
    }
    if text.len() > TEXT_BYTES_MAX {
        return Some(format!("be longer than {TEXT_BYTES_MAX} bytes"));
    }
    let control = text.chars().any(char::is_control);
    control.then(|| "hold control characters".to_owned())
}

/// The kind of a value for people.
fn type_name(value: &DeValue<'_>) -> &'static str {
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

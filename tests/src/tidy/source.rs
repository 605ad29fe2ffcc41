//! Reading Rust sources roughly.
//!
//! Owns what counts as a line of code, a test and a function. Trusts rustfmt: a function's closing brace stands alone at the
//! indentation of its `fn`. Comments are cut off at `//`; words inside strings count as code.

use std::fs;
use std::path::Path;

/// One file.
pub(super) struct Source {
    /// Relative to the root of the tree.
    pub(super) path: String,
    pub(super) lines: Vec<String>,
    /// Whether a parent declares it under `#[cfg(test)]`.
    declared_for_tests: bool,
}

/// A function outside of tests.
pub(super) struct Function {
    pub(super) name: String,
    /// Line of its `fn`, from 1.
    pub(super) line: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub(super) lines: usize,
}

impl Source {
    /// All Rust files below `dir`, sorted; build output is left out.
    pub(super) fn below(root: &Path, dir: &Path) -> Vec<Source> {
        let mut entries: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        let mut found = Vec::new();
        for path in entries {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    found.extend(Source::below(root, &path));
                }
            } else if name.ends_with(".rs") {
                let text =
                    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.push(Source::new(relative, &text));
            }
        }
        found
    }

    /// Marks the files whose modules are declared under `#[cfg(test)]`.
    pub(super) fn mark_tests(all: &mut [Source]) {
        let declared: Vec<String> = all.iter().flat_map(Source::test_modules).collect();
        let below = |path: &str, module: &String| {
            path.strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        for source in all {
            source.declared_for_tests = declared.iter().any(|module| below(&source.path, module));
        }
    }

    /// Modules in files of their own that this one declares under `#[cfg(test)]`: their paths without `.rs`.
    fn test_modules(&self) -> Vec<String> {
        let (dir, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let home = match name {
            "lib.rs" | "main.rs" | "mod.rs" => dir.to_owned(),
            name => format!("{dir}/{}", name.trim_end_matches(".rs")),
        };
        let declared = self.lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
        let module = |pair: &[String]| {
            let name = pair[1].strip_suffix(';')?.split_once("mod ")?.1.to_owned();
            Some(format!("{home}/{name}"))
        };
        declared.filter_map(module).collect()
    }

    fn new(path: String, text: &str) -> Source {
        Source {
            path,
            lines: text.lines().map(str::to_owned).collect(),
            declared_for_tests: false,
        }
    }

    /// Whether the whole file is test code.
    pub(super) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or("");
        self.declared_for_tests
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
            || self.path.starts_with("tests/it/")
            || self.path.starts_with("tests/sim/")
            || self.path.starts_with("tests/src/tidy")
            || self.path.trim_start_matches("tests/").contains("/tests/")
    }

    /// Lines up to the first test module.
    pub(super) fn lines_before_tests(&self) -> usize {
        let starts_tests = |at: usize| {
            let opens = |line: &String| {
                let line = line.trim_start_matches("pub(crate) ");
                line.starts_with("mod ") && line.ends_with('{')
            };
            self.lines[at].trim() == "#[cfg(test)]" && self.lines[at + 1..].iter().take(3).any(opens)
        };
        (0..self.lines.len())
            .find(|at| starts_tests(*at))
            .unwrap_or(self.lines.len())
    }

    /// Lines of code outside of tests, numbered from 1, without comments.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, String)> {
        self.all_code().take(self.lines_before_tests())
    }

    /// All lines of code, numbered from 1, without comments.
    pub(super) fn all_code(&self) -> impl Iterator<Item = (usize, String)> {
        self.lines
            .iter()
            .enumerate()
            .map(|(at, line)| (at + 1, without_comment(line).to_owned()))
    }

    /// The functions outside of tests that have a body of more than one line.
    pub(super) fn functions(&self) -> impl Iterator<Item = Function> {
        let end = self.lines_before_tests();
        (0..end).filter_map(move |at| {
            let line = without_comment(&self.lines[at]);
            let name = function_name(line)?;
            let indent = &line[..line.len() - line.trim_start().len()];
            let closes = |line: &&String| line.strip_prefix(indent) == Some("}");
            // A declaration without a body ends in a semicolon before anything closes.
            let ends = |line: &String| line.ends_with(';') || line.ends_with('{') || line.ends_with('}');
            let head = self.lines[at..end].iter().position(ends)?;
            if !self.lines[at + head].ends_with('{') {
                return None;
            }
            let body = self.lines[at + head..end].iter().position(|line| closes(&line))?;
            Some(Function {
                name: name.to_owned(),
                line: at + 1,
                lines: head + body + 1,
            })
        })
    }
}

/// The name, if this line begins a function.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let modifier = |word: &str| {
        matches!(word, "pub" | "const" | "async" | "extern" | "\"C\"")
            || word.starts_with("pub(")
            || word == ["un", "safe"].concat()
    };
    if !before.split_whitespace().all(modifier) {
        return None;
    }
    let length = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (length > 0).then(|| &after[..length])
}

/// The line without its comment; `//` inside an address does not begin one.
fn without_comment(line: &str) -> &str {
    let mut from = 0;
    while let Some(at) = line[from..].find("//").map(|at| from + at) {
        if at == 0 || line.as_bytes()[at - 1] != b':' {
            return &line[..at];
        }
        from = at + 2;
    }
    line
}

/// The line with its strings emptied, as far as they begin and end in it.
pub(super) fn without_strings(line: &str) -> String {
    let line = line.replace("'\"'", "''").replace("\\\"", "");
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// Whether the text holds the word, not as a part of a longer one.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

#[test]
fn functions_are_measured() {
    let text = "//! M\nfn a() {\n    b();\n}\ntrait T {\n    fn declared(\n        &self,\n    );\n    pub(crate) async fn c(\n        x: u8,\n    ) {\n        if x {\n        }\n    }\n}\n#[cfg(test)]\nmod tests {\n    fn t() {\n    }\n}\n";
    let source = Source::new("x.rs".into(), text);
    let found: Vec<_> = source
        .functions()
        .map(|function| (function.name, function.line, function.lines))
        .collect();
    assert_eq!(found, [("a".to_owned(), 2, 3), ("c".to_owned(), 9, 6)]);
    assert_eq!(source.lines_before_tests(), 15);
}

#[test]
fn modules_declared_for_tests_are_tests() {
    let mut all = vec![
        Source::new(
            "a/src/b.rs".into(),
            "//! B\n#[cfg(test)]\npub(crate) mod model;\nmod real;\n",
        ),
        Source::new("a/src/b/model.rs".into(), "//! M\n"),
        Source::new("a/src/b/model/deep.rs".into(), "//! D\n"),
        Source::new("a/src/b/real.rs".into(), "//! R\n"),
    ];
    Source::mark_tests(&mut all);
    let tests: Vec<bool> = all.iter().map(Source::is_test).collect();
    assert_eq!(tests, [false, true, true, false]);
}

#[test]
fn comments_and_words() {
    assert_eq!(without_comment("let a = 1; // why"), "let a = 1; ");
    assert_eq!(without_comment("\"http://x\" // y"), "\"http://x\" ");
    assert!(has_word("a { danger }", "danger"));
    assert!(!has_word("danger_code", "danger"));
    assert_eq!(without_strings(r#"a("b\"c", '"') + d"#), r#"a("", '') + d"#);
}

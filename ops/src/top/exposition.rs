//! The text format of Prometheus, as far as nodes speak it.
//!
//! Strict about the grammar, so that a page of something else is not half understood, and indifferent to what the names
//! mean: whoever reads picks the series that it knows. Comments, types and timestamps are read over.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::CharIndices;

/// Most lines of a page. A busy node has some two thousand.
const LINES_MAX: usize = 100_000;

/// Most labels of one series; ours have three at most.
const LABELS_MAX: usize = 32;

/// One series with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(crate) value: f64,
}

impl Line<'_> {
    /// The value of a label; none if the series does not have it.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| *label == name);
        found.map(|(_, value)| value.as_ref())
    }
}

/// The page breaks the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of its metrics has {what}")]
pub(crate) struct Malformed {
    /// Counted from one.
    pub(crate) line: usize,
    what: &'static str,
}

/// Gives each series of the page to `each`.
///
/// # Errors
/// At the first line that breaks the grammar; what came before was given.
pub(crate) fn read<'a>(page: &'a str, mut each: impl FnMut(Line<'a>)) -> Result<(), Malformed> {
    for (index, text) in page.lines().enumerate() {
        let at = |what| Malformed {
            line: index + 1,
            what,
        };
        if index >= LINES_MAX {
            return Err(at("too many lines before it"));
        }
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            each(line(text).map_err(at)?);
        }
    }
    Ok(())
}

fn line(text: &str) -> Result<Line<'_>, &'static str> {
    let (name, rest) = name(text).ok_or("no name at its start")?;
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().and_then(|word| word.parse().ok());
    let value = value.ok_or("no number behind the name")?;
    let timestamp_ok = words.next().is_none_or(|word| word.parse::<i64>().is_ok());
    if !timestamp_ok || words.next().is_some() {
        return Err("more than a number and a time");
    }
    Ok(Line { name, labels, value })
}

/// Splits off a name of a metric.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let starts_well = name.starts_with(|c: char| !c.is_ascii_digit());
    starts_well.then_some((name, rest))
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Reads labels up to the closing brace, and gives them with what follows it.
fn labels(text: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        if labels.len() == LABELS_MAX {
            return Err("too many labels");
        }
        let (label, behind) = name(rest)
            .filter(|(label, _)| !label.contains(':'))
            .ok_or("a label without a name")?;
        let behind = behind.trim_start().strip_prefix('=');
        let behind = behind.and_then(|behind| behind.trim_start().strip_prefix('"'));
        let (value, behind) = quoted(behind.ok_or("a label without a quoted value")?)?;
        labels.push((label, value));
        rest = behind.trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err("labels that do not end"),
        }
    }
}

/// Reads up to the closing quote, with what follows it.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let end = text.find(['"', '\\']).ok_or("a value that does not end")?;
    if text[end..].starts_with('"') {
        return Ok((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = text[..end].to_owned();
    let mut chars = text[end..].char_indices().peekable();
    let behind = unescape(&mut chars, &mut value)?;
    Ok((Cow::Owned(value), &text[end + behind..]))
}

/// Reads on with escapes into `value`; gives where the text behind the closing quote begins.
fn unescape(chars: &mut Peekable<CharIndices<'_>>, value: &mut String) -> Result<usize, &'static str> {
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok(at + 1),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                _ => return Err("an escape that does not exist"),
            }),
            c => value.push(c),
        }
    }
    Err("a value that does not end")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(page: &str) -> Result<Vec<Line<'_>>, Malformed> {
        let mut lines = Vec::new();
        read(page, |line| lines.push(line)).map(|()| lines)
    }

    #[test]
    fn what_nodes_write_is_read() {
        let page = "# HELP a_total Text\n# TYPE a_total counter\na_total 3\n\n\
                    b{role=\"storage\",state=\"up\"} 1.5e3\nc_bucket{le=\"+Inf\"} 7 1700000000000\n\
                    d { x = \"y\" , } NaN\ne -Inf\n";
        let lines = all(page).unwrap();
        let names: Vec<&str> = lines.iter().map(|line| line.name).collect();
        assert_eq!(names, ["a_total", "b", "c_bucket", "d", "e"]);
        assert_eq!(lines[0].value, 3.0);
        assert_eq!(lines[1].label("role"), Some("storage"));
        assert_eq!(lines[1].label("state"), Some("up"));
        assert_eq!(lines[1].label("zone"), None);
        assert_eq!(lines[1].value, 1500.0);
        assert_eq!(lines[2].label("le"), Some("+Inf"));
        assert!(lines[3].value.is_nan() && lines[3].label("x") == Some("y"));
        assert_eq!(lines[4].value, f64::NEG_INFINITY);
    }

    #[test]
    fn escapes_are_undone() {
        let lines = all(r#"a{p="C:\\x",q="say \"no\"\n",r="ü\\"} 1"#).unwrap();
        assert_eq!(lines[0].label("p"), Some(r"C:\x"));
        assert_eq!(lines[0].label("q"), Some("say \"no\"\n"));
        assert_eq!(lines[0].label("r"), Some("ü\\"));
    }

    #[test]
    fn what_breaks_the_grammar_is_named_by_its_line() {
        for bad in [
            "<html>",
            "a",
            "a one",
            "1a 1",
            "a{b} 1",
            "a{b=c} 1",
            "a{b=\"c} 1",
            "a{b=\"c\\",
            "a{b=\"c\\d\"} 1",
            "a{b=\"c\" d=\"e\"} 1",
            "a{b=\"c\"",
            "a{b:c=\"d\"} 1",
            "a{=\"c\"} 1",
            "a 1 2 3",
            "a 1 later",
            "a 0x10",
        ] {
            let page = format!("good 1\n{bad}\n");
            let error = all(&page).expect_err(bad);
            assert_eq!(error.line, 2, "{bad}");
            assert!(
                error.to_string().starts_with("line 2 of its metrics has "),
                "{error}"
            );
        }
    }

    #[test]
    fn pages_and_lines_are_bounded() {
        assert!(all(&"a 1\n".repeat(LINES_MAX)).is_ok());
        assert!(all(&"a 1\n".repeat(LINES_MAX + 1)).is_err());
        let many = |count: usize| format!("a{{{}}} 1", "b=\"c\",".repeat(count));
        assert!(all(&many(LABELS_MAX)).is_ok());
        assert!(all(&many(LABELS_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,200}", pieces in prop::collection::vec(
            prop::sample::select(vec!["a", "{", "}", "\"", "\\", "=", ",", " ", "\n", "1", "é", "#"]), 0..40)) {
            let _ = all(&text);
            let _ = all(&pieces.concat());
        }

        #[test]
        fn values_come_back(value in "(?s).{0,30}", number in -1e12..1e12f64) {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let page = format!("a{{b=\"{escaped}\"}} {number}");
            let lines = all(&page).unwrap();
            prop_assert_eq!(lines[0].label("b"), Some(value.as_str()));
            prop_assert_eq!(lines[0].value, number);
        }
    }
}

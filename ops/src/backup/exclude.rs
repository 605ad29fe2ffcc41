//! Which names a backup leaves out.
//!
//! A pattern has `*` (any characters), `?` (one), `[abc]`, `[a-z]`, `[!abc]`. Without a slash it is held against each name,
//! with one against the whole path below the saved directory; there `*` goes across slashes.

/// Most patterns; each is tried on each name.
const PATTERNS_MAX: usize = 10_000;

/// What version control keeps beside the files that it manages.
const VCS: [&str; 16] = [
    ".git",
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".hg",
    ".hgignore",
    ".hgtags",
    ".svn",
    ".bzr",
    ".bzrignore",
    "_darcs",
    "CVS",
    ".cvsignore",
    "RCS",
    "SCCS",
    "{arch}",
];

/// All patterns of one run.
#[derive(Debug, Default)]
pub(super) struct Excludes {
    names: Vec<Vec<char>>,
    paths: Vec<Vec<char>>,
}

/// More patterns than anybody writes.
#[derive(Debug, thiserror::Error)]
#[error("there are more than {PATTERNS_MAX} patterns; leave out whole directories instead of their files")]
pub(super) struct TooMany;

impl Excludes {
    /// Adds a pattern.
    pub(super) fn add(&mut self, pattern: &str) -> Result<(), TooMany> {
        if self.names.len() + self.paths.len() >= PATTERNS_MAX {
            return Err(TooMany);
        }
        let trimmed = pattern.trim_end_matches('/');
        if trimmed.contains('/') {
            self.paths.push(trimmed.trim_start_matches('/').chars().collect());
        } else if !trimmed.is_empty() {
            self.names.push(trimmed.chars().collect());
        }
        Ok(())
    }

    /// Adds what version control keeps.
    pub(super) fn add_vcs(&mut self) {
        // They have no star or bracket, so each stands for itself.
        self.names.extend(VCS.iter().map(|name| name.chars().collect()));
    }

    /// Whether something called `name` at `path` below the saved directory is left out.
    pub(super) fn has(&self, name: &str, path: &str) -> bool {
        let (name, path): (Vec<char>, Vec<char>) = (name.chars().collect(), path.chars().collect());
        self.names.iter().any(|pattern| matches(pattern, &name))
            || self.paths.iter().any(|pattern| matches(pattern, &path))
    }
}

/// Whether `text` matches all of `pattern`. Takes at most their product in steps.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on if the rest does not fit: behind the last star, one character later.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match one(&pattern[p..], text[t]) {
            Step::Star => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Step::Fits(width) => {
                p += width;
                t += 1;
            }
            Step::No => match retry {
                Some((behind, from)) => {
                    retry = Some((behind, from + 1));
                    p = behind;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

enum Step {
    Star,
    /// The character fits; the pattern goes on after so many.
    Fits(usize),
    No,
}

fn one(pattern: &[char], c: char) -> Step {
    match pattern {
        [] => Step::No,
        ['*', ..] => Step::Star,
        ['?', ..] => Step::Fits(1),
        ['[', rest @ ..] => set(rest, c),
        [plain, ..] if *plain == c => Step::Fits(1),
        _ => Step::No,
    }
}

/// `[…]`, the text behind the bracket given. Without an end it is a plain bracket.
fn set(rest: &[char], c: char) -> Step {
    let negated = rest.first() == Some(&'!');
    let body = &rest[usize::from(negated)..];
    // A closing bracket in front stands for itself.
    let Some(end) = body.iter().skip(1).position(|c| *c == ']').map(|at| at + 1) else {
        return if c == '[' { Step::Fits(1) } else { Step::No };
    };
    let mut members = &body[..end];
    let mut found = false;
    while let Some((&first, tail)) = members.split_first() {
        if let ['-', last, ..] = tail {
            found |= (first..=*last).contains(&c);
            members = &tail[2..];
        } else {
            found |= first == c;
            members = tail;
        }
    }
    if found == negated {
        Step::No
    } else {
        Step::Fits(end + 2 + usize::from(negated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(patterns: &[&str], path: &str) -> bool {
        let mut excludes = Excludes::default();
        patterns.iter().for_each(|pattern| excludes.add(pattern).unwrap());
        excludes.has(path.rsplit('/').next().unwrap(), path)
    }

    #[test]
    fn patterns_fit_or_not() {
        for (pattern, path, fits) in [
            ("*.o", "a/b/x.o", true),
            ("*.o", "x.obj", false),
            ("target", "a/target", true),
            ("target/", "target", true),
            ("a/*", "a/b/c", true),
            ("/a/b", "a/b", true),
            ("a/b", "x/a/b", false),
            ("?", "ü", true),
            ("[a-c]*[!x]", "abc", true),
            ("[a-c]*[!x]", "abx", false),
            ("[]]", "]", true),
            ("[x", "[x", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("", "x", false),
        ] {
            assert_eq!(excluded(&[pattern], path), fits, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let pattern = "*a".repeat(500);
        let text = "a".repeat(400) + &"b".repeat(4000);
        assert!(!excluded(&[&pattern], &text));
    }

    #[test]
    fn version_control_is_left_out_when_asked() {
        let mut excludes = Excludes::default();
        assert!(!excludes.has(".git", "x/.git"));
        excludes.add_vcs();
        assert!(excludes.has(".git", "x/.git") && !excludes.has("git", "git"));
    }
}

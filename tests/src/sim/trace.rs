//! What happened in a run, for people and for comparing two runs.
//!
//! Owns the last [`LINES_KEPT`] lines and one running hash over all lines. A line is a few numbers and is put into
//! words only when a run fails, because most of the million lines of a test run are never read. Two runs with equal
//! hashes did the same things at the same times. With `TRUCKEE_TRACE` in the environment every line is printed as it comes.

use std::collections::VecDeque;
use std::fmt;

use super::scheduler::Micros;

/// Enough to see the half second before a failure in a mesh of twenty nodes.
pub const LINES_KEPT: usize = 400;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Micros,
    /// At which step of the run.
    pub step: u64,
    /// To which node, if to one.
    pub node: Option<usize>,
    /// What.
    pub what: &'static str,
    /// Two numbers whose meaning follows from `what`.
    pub numbers: [u64; 2],
    /// More about it, for rare things.
    pub note: Option<String>,
}

/// The lines of one run.
#[derive(Debug)]
pub struct Trace {
    lines: VecDeque<Line>,
    hash: u64,
    count: u64,
    step: u64,
    at: Micros,
    aloud: bool,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            lines: VecDeque::with_capacity(LINES_KEPT),
            hash: 0xcbf2_9ce4_8422_2325,
            count: 0,
            step: 0,
            at: 0,
            aloud: std::env::var_os("TRUCKEE_TRACE").is_some(),
        }
    }
}

impl Trace {
    /// Says that what follows happens at `at`, in step `step`.
    pub fn step(&mut self, at: Micros, step: u64) {
        self.at = at;
        self.step = step;
    }

    /// Keeps one line.
    pub fn line(&mut self, node: Option<usize>, what: &'static str, numbers: [u64; 2]) {
        self.push(node, what, numbers, None);
    }

    /// Keeps one line with words of its own.
    pub fn note(&mut self, node: Option<usize>, what: &'static str, note: impl fmt::Display) {
        self.push(node, what, [0, 0], Some(note.to_string()));
    }

    /// The hash over all lines so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many lines there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn push(&mut self, node: Option<usize>, what: &'static str, numbers: [u64; 2], note: Option<String>) {
        self.feed(self.at);
        self.feed(node.map_or(u64::MAX, |node| node as u64));
        self.feed(digest(what.as_bytes()));
        self.feed(numbers[0]);
        self.feed(numbers[1]);
        if let Some(note) = &note {
            self.feed(digest(note.as_bytes()));
        }
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.count += 1;
        let line = Line {
            at: self.at,
            step: self.step,
            node,
            what,
            numbers,
            note,
        };
        if self.aloud {
            eprintln!("{line}");
        }
        self.lines.push_back(line);
    }

    fn feed(&mut self, word: u64) {
        self.hash = (self.hash ^ word)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(29);
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>12.6} s  step {:>7}  ", seconds(self.at), self.step)?;
        match self.node {
            Some(node) => write!(out, "node {node:>2}  ")?,
            None => write!(out, "         ")?,
        }
        write!(out, "{}", self.what)?;
        match &self.note {
            Some(note) => write!(out, ": {note}"),
            None => write!(out, " {:x} {:x}", self.numbers[0], self.numbers[1]),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(out, "{line}"))
    }
}

/// A short hash of `bytes`, for traces only.
pub fn digest(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31);
    }
    hash
}

#[expect(clippy::cast_precision_loss, reason = "a run lasts minutes")]
fn seconds(at: Micros) -> f64 {
    at as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::{LINES_KEPT, Trace};

    #[test]
    fn the_hash_tells_runs_apart() {
        let run = |last: u64| {
            let mut trace = Trace::default();
            trace.step(5, 1);
            trace.line(Some(1), "arrives", [1, 2]);
            trace.line(None, "heals", [3, last]);
            trace.hash()
        };
        assert_eq!(run(4), run(4));
        assert_ne!(run(4), run(5));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut trace = Trace::default();
        (0..1000).for_each(|number| trace.line(None, "counts", [number, 0]));
        assert_eq!(trace.to_string().lines().count(), LINES_KEPT);
        assert_eq!(trace.count(), 1000);
    }
}

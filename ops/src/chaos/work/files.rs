//! Storing and reading files.

use std::ops::Range;
use std::time::Duration;

use super::super::answer::Failed;
use super::super::model::files::File;
use super::super::model::{At, Text};
use super::super::record::{Promise, Sort};
use super::Client;
use super::fetch::{Fetched, fetch};
use crate::client::Place;
use crate::http::PutChoice;
use crate::load::content::{Content, file_seed};

/// Longest that a file may be unreadable without a break while the budget of damage is kept: many times what any fault
/// of a schedule lasts, and what a link needs to come back (30 s).
const READABLE_WITHIN: Duration = Duration::from_secs(120);

/// Between two tries to read the same file.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Files that a client tries again at the same time; that many already say all that there is to say.
const OWED_MAX: usize = 8;

/// Contents that all clients share, for keys that follow from the content.
const SHARED_TEXTS: u64 = 16;

/// Largest file but for a few.
const LARGE_BYTES: u64 = 1 << 20;

/// Largest file.
const LARGEST_BYTES: u64 = 4 << 20;

/// A file that could not be read.
pub(super) struct Owed {
    file: usize,
    since: At,
    tried: At,
}

impl Client<'_> {
    /// Content that was never stored.
    pub(super) fn new_text(&mut self, largest_bytes: u64) -> Text {
        self.next_text += 1;
        let size_bytes = size(&mut self.random).min(largest_bytes);
        let seed = if size_bytes == 0 {
            // Nothing is always the same.
            0
        } else {
            file_seed(self.world.seed, self.number, self.next_text)
        };
        Text { seed, size_bytes }
    }

    pub(super) fn upload(&mut self) {
        let convergent = self.random.percent(10);
        let text = if convergent {
            // Stored again and again, they take no room but once.
            let number = self.random.below(SHARED_TEXTS);
            let seed = file_seed(self.world.seed, u64::MAX, number);
            let size_bytes = 1_000 + number * number * 1_000;
            Text { seed, size_bytes }
        } else {
            self.new_text(self.largest_bytes())
        };
        let choice = PutChoice {
            convergent,
            ..PutChoice::default()
        };
        let begun = self.now();
        let mut body = Content::new(text.seed, text.size_bytes);
        let stored = self.gateway.put(&mut body, Some(text.size_bytes), choice);
        let ended = self.now();
        match stored {
            Ok(cap) => {
                self.world.stored(&cap, text);
                self.world.state().record.done(Sort::Upload, begun, ended);
            }
            Err(error) => self.failed(Sort::Upload, begun, &Failed::of(&error)),
        }
    }

    /// Notes a failure.
    pub(super) fn failed(&self, sort: Sort, begun: At, failed: &Failed) {
        let now = self.now();
        self.world.state().failed(sort, begun, now, failed);
    }

    /// Some acknowledged file; half of the time one of the last.
    pub(super) fn any_file(&mut self) -> Option<File> {
        const LAST: u64 = 32;
        let late = self.random.percent(50);
        let state = self.world.state();
        let all = state.files.all();
        let count = all.len() as u64;
        let from = if late { count.saturating_sub(LAST) } else { 0 };
        let at = from + self.random.below(count - from);
        all.get(at as usize).cloned()
    }

    pub(super) fn read_any(&mut self, part: bool) {
        let Some(file) = self.any_file() else { return };
        let part =
            (part && file.text.size_bytes > 0).then(|| some_part(&mut self.random, file.text.size_bytes));
        let begun = self.now();
        if !self.read(&file, part) && self.owed.len() < OWED_MAX {
            let (since, tried) = (begun, self.now());
            let file = file.number;
            self.owed.push(Owed { file, since, tried });
        }
    }

    /// Reads and compares; says whether it could.
    fn read(&mut self, file: &File, part: Option<Range<u64>>) -> bool {
        let begun = self.now();
        let place = Place::of(&file.cap);
        let fetched = fetch(&self.gateway, &place, file.text, part, &mut self.scratch);
        let ended = self.now();
        match fetched {
            Fetched::Same { bytes } => {
                let mut state = self.world.state();
                state.record.compared_bytes += bytes;
                state.record.done(Sort::Download, begun, ended);
                true
            }
            Fetched::Wrong(what) => {
                self.world
                    .violate(Promise::Bytes, format!("{}: {what}", file.shown()));
                true
            }
            Fetched::Failed(failed) => {
                self.failed(Sort::Download, begun, &failed);
                false
            }
        }
    }

    /// Tries a file again that could not be read; says whether there was one to try.
    pub(super) fn read_owed(&mut self) -> bool {
        let now = self.now();
        let due = self.owed.iter().position(|owed| now >= owed.tried + TRY_EVERY);
        let Some(at) = due else { return false };
        let owed = self.owed.swap_remove(at);
        let file = self.world.state().files.all().get(owed.file).cloned();
        let Some(file) = file else { return false };
        if self.read(&file, None) {
            return true;
        }
        let now = self.now();
        let readable_since = self.world.state().expected.reads;
        let broken =
            readable_since.filter(|since| now.saturating_sub(owed.since.max(*since)) > READABLE_WITHIN);
        if broken.is_some() {
            let (shown, seconds) = (file.shown(), READABLE_WITHIN.as_secs());
            let what = format!(
                "{shown} could not be read for {seconds} s, although enough of its shares were there"
            );
            self.world.violate(Promise::Readable, what);
        } else {
            self.owed.push(Owed { tried: now, ..owed });
        }
        true
    }
}

/// A length: of every kind that is treated differently, small ones more often.
fn size(random: &mut super::Random) -> u64 {
    match random.below(100) {
        0..4 => 0,
        // In the cap itself. Shorter ones may be the same by chance.
        4..18 => random.between(9, 55),
        18..38 => random.between(56, 1_000),
        38..70 => random.between(1_000, 100_000),
        70..90 => random.between(100_000, LARGE_BYTES),
        90..94 => random.between(LARGE_BYTES - 1, LARGE_BYTES + 1),
        _ => random.between(LARGE_BYTES, LARGEST_BYTES),
    }
}

fn some_part(random: &mut super::Random, size_bytes: u64) -> Range<u64> {
    let from = random.below(size_bytes);
    from..random.between(from + 1, size_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn sizes_are_of_every_kind_and_parts_are_inside() {
        let mut random = Random::new(3, 0);
        let sizes: Vec<u64> = (0..3000).map(|_| size(&mut random)).collect();
        for range in [
            0..1,
            9..56,
            56..1001,
            LARGE_BYTES..LARGE_BYTES + 1,
            LARGE_BYTES + 2..LARGEST_BYTES + 1,
        ] {
            assert!(sizes.iter().any(|size| range.contains(size)), "{range:?}");
        }
        assert!(sizes.iter().all(|size| *size <= LARGEST_BYTES));
        for size in [1, 2, 100] {
            for _ in 0..50 {
                let part = some_part(&mut random, size);
                assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
            }
        }
    }
}

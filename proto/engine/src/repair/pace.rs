//! How many bytes a repair may move. A segment is begun only when its blocks, read and written, have been granted; what
//! had to be moved beyond that (a block of another source, a block again) is owed by the segments after.

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    paced: bool,
    granted: u64,
    /// Of all segments begun.
    promised: u64,
    /// What really went, in both directions.
    moved: u64,
    /// A grant has been asked for.
    waiting: bool,
}

impl Pace {
    pub(super) fn new(paced: bool) -> Self {
        Self {
            paced,
            granted: 0,
            promised: 0,
            moved: 0,
            waiting: false,
        }
    }

    pub(super) fn grant(&mut self, bytes: u64) {
        self.granted = self.granted.saturating_add(bytes);
        self.waiting = false;
    }

    pub(super) fn moved(&mut self, bytes: u64) {
        self.moved += bytes;
    }

    /// Whether a segment of so many bytes may be begun, which then is.
    pub(super) fn begin(&mut self, bytes: u64) -> bool {
        let after = self.promised.max(self.moved) + bytes;
        let may = !self.paced || after <= self.granted;
        if may {
            self.promised = after;
        }
        may
    }

    /// What is missing for a segment that may not be begun; `None` if it has been asked for.
    pub(super) fn ask(&mut self, bytes: u64) -> Option<u64> {
        let after = self.promised.max(self.moved) + bytes;
        let asked = std::mem::replace(&mut self.waiting, true);
        (!asked).then(|| after.saturating_sub(self.granted))
    }
}

//! What blocks are read into: buffers that come back when the block has left.
//!
//! Owns the few that wait for the next block. A block of the usual segments is a third of a mebibyte: one that is allocated anew has
//! to be zeroed before it is read into, which costs as much as reading it from the page cache, and its pages come from the system and go
//! back to it. What a buffer held before is never seen: a read fills all that is shown of it, or the buffer is dropped.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Shorter ones are allocated, which costs them nothing that matters.
const LONG_BYTES: usize = 64 * 1024;

/// Longer ones are not kept. A block of the usual segments is as long as that at most, if one share is enough (k = 1), with what
/// sealing adds.
const KEPT_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// Buffers that may wait: 1.4 MiB for the usual segments and k = 3. A download has as many blocks of one node on their way.
const KEPT_MAX: usize = 4;

/// Those of all stores of the process.
static POOL: Pool = Pool(Mutex::new(Vec::new()));

/// Buffers that wait.
#[derive(Debug)]
struct Pool(Mutex<Vec<Vec<u8>>>);

/// Space for so many bytes; what they are is whatever was there before.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    home: &'static Pool,
}

impl Buffer {
    pub(super) fn of(length: usize) -> Buffer {
        POOL.buffer(length)
    }

    /// Shares what was read; the buffer comes back when the last who has a part of it lets go.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.take_back(std::mem::take(&mut self.bytes));
    }
}

impl Pool {
    fn buffer(&'static self, length: usize) -> Buffer {
        Buffer {
            bytes: self.waiting(length).unwrap_or_else(|| vec![0; length]),
            length,
            home: self,
        }
    }

    /// One that is long enough. If there are only shorter ones, one of them goes, so that in the end they are of the length in use.
    fn waiting(&self, length: usize) -> Option<Vec<u8>> {
        if !is_kept(length) {
            return None;
        }
        let mut kept = self.kept();
        match kept.iter().rposition(|bytes| bytes.len() >= length) {
            Some(at) => Some(kept.swap_remove(at)),
            None => {
                kept.pop();
                None
            }
        }
    }

    fn take_back(&self, bytes: Vec<u8>) {
        let mut kept = self.kept();
        if is_kept(bytes.len()) && kept.len() < KEPT_MAX {
            kept.push(bytes);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_kept(length: usize) -> bool {
    (LONG_BYTES..=KEPT_BYTES_MAX).contains(&length)
}

#[cfg(test)]
mod tests {
    use super::*;

    static MINE: Pool = Pool(Mutex::new(Vec::new()));

    fn lengths() -> Vec<usize> {
        MINE.kept().iter().map(Vec::len).collect()
    }

    #[test]
    fn buffers_come_back_when_nobody_has_a_part_of_them() {
        let mut first = MINE.buffer(LONG_BYTES);
        first.as_mut().fill(7);
        let place = first.as_ref().as_ptr();
        let whole = first.freeze();
        let part = whole.slice(5..9);
        drop(whole);
        assert!(lengths().is_empty(), "a part is in use");
        assert_eq!(part, [7; 4].as_slice());
        drop(part);
        assert_eq!(lengths(), [LONG_BYTES]);
        let again = MINE.buffer(LONG_BYTES);
        assert_eq!(again.as_ref().as_ptr(), place);
        drop(again);

        let longer = MINE.buffer(LONG_BYTES + 1);
        assert_eq!(longer.as_ref().len(), LONG_BYTES + 1);
        assert!(lengths().is_empty(), "the shorter one made room");
        drop(longer);
        let shorter = MINE.buffer(LONG_BYTES);
        assert_eq!(shorter.as_ref().len(), LONG_BYTES);
        assert!(lengths().is_empty(), "the longer one does");
        drop(shorter);

        let others = [1, LONG_BYTES - 1, KEPT_BYTES_MAX + 1].map(|length| MINE.buffer(length));
        assert_eq!(
            others.map(|other| other.as_ref().len()),
            [1, LONG_BYTES - 1, KEPT_BYTES_MAX + 1]
        );
        assert_eq!(lengths(), [LONG_BYTES + 1], "neither short nor long ones wait");
        drop([(); 2 * KEPT_MAX].map(|()| MINE.buffer(LONG_BYTES)));
        assert_eq!(lengths().len(), KEPT_MAX);
    }
}

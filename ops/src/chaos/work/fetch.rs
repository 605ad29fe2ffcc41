//! One download, compared with what must come back.

use std::io::Read;
use std::ops::Range;

use super::super::answer::Failed;
use super::super::model::Text;
use crate::client::Place;
use crate::http::Gateway;
use crate::load::content::Content;

/// Read at a time.
const READ_BYTES: usize = 64 * 1024;

/// What one thread uses again and again.
pub(crate) struct Scratch {
    got: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            got: vec![0; READ_BYTES],
        }
    }
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// Every byte, as it must be.
    Same {
        /// How many.
        bytes: u64,
    },
    /// Something else, and what is wrong with it.
    Wrong(String),
    /// Nothing, or not all.
    Failed(Failed),
}

/// Downloads what is at `place`, or the bytes of `part`, and compares every byte with `text`.
pub(crate) fn fetch(
    gateway: &Gateway,
    place: &Place,
    text: Text,
    part: Option<Range<u64>>,
    scratch: &mut Scratch,
) -> Fetched {
    let range = part.clone().unwrap_or(0..text.size_bytes);
    let asked = part.map(|part| (part.start, Some(part.end - part.start)));
    let download = match gateway.fetch(place, asked) {
        Ok(download) => download,
        Err(error) => return Fetched::Failed(Failed::of(&error)),
    };
    let announced = download.announced_bytes;
    let length = range.end - range.start;
    let mut content = Content::part(text.seed, range.start, range.end);
    let mut reader = download.into_reader();
    let mut got_bytes = 0;
    loop {
        let got = match reader.read(&mut scratch.got) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) => return Fetched::Failed(Failed::of(&gateway.cut_short(got_bytes, &error))),
        };
        if let Err(at_byte) = content.check(&scratch.got[..got]) {
            return Fetched::Wrong(format!("it came back different from byte {at_byte} on"));
        }
        got_bytes += got as u64;
    }
    if content.at_end() {
        return Fetched::Same { bytes: length };
    }
    if announced.is_some_and(|announced| announced > got_bytes) {
        let broken = std::io::ErrorKind::UnexpectedEof.into();
        return Fetched::Failed(Failed::of(&gateway.cut_short(got_bytes, &broken)));
    }
    Fetched::Wrong(format!(
        "only {got_bytes} of {length} bytes came back, as if that were all"
    ))
}

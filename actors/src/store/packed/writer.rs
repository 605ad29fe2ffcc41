//! The pack that is written to. Owns its file, and what is to be done before the next one may be begun.
//!
//! States: no pack open; one open; one torn, because a write or a sync of it has failed or panicked. Of a torn pack nobody
//! knows what lies behind its durable part, so nothing is appended to it, nor to any other, before that part is cut off and the
//! cut durable: else a record that was answered with a fault could come back at a start, behind its successor's back.
//!
//! Not promised: order between packs and anything else on the disk.

use std::fs::File;
use std::io;
use std::sync::RwLock;

use bytes::Bytes;

use super::super::file_disk::steps::Steps;
use super::files::PackFiles;
use super::index::Index;
use super::index_file::Contents;
use super::record::{ALIGNMENT, Head, PACK_HEAD_BYTES, PackHead, Row};
use super::write_lock;

/// A record that is to be written; its row's place is not known yet.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) row: Row,
    /// Empty if it is about another record.
    pub(super) share_file: Bytes,
    pub(super) share_hash: [u8; 16],
}

/// What the writer works with.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub(super) files: &'a PackFiles,
    pub(super) steps: &'a Steps,
    pub(super) index: &'a RwLock<Index>,
    /// A pack is closed when it is as long.
    pub(super) pack_bytes: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    /// Of the next pack. No number is used twice, not even one of a pack that could not be made.
    next: u32,
    open: Option<Open>,
    /// Whether the durable part of the open one is known to be all of it.
    is_torn: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    head: PackHead,
    /// Bytes of it that are durable.
    durable: u32,
    rows: Vec<Row>,
}

impl Writer {
    pub(super) fn new(next: u32) -> Writer {
        Writer {
            next,
            open: None,
            is_torn: false,
        }
    }

    /// The number of the open pack, and how much of it is durable.
    #[cfg(test)]
    pub(super) fn durable(&self) -> Option<(u32, u32)> {
        self.open.as_ref().map(|open| (open.head.number, open.durable))
    }

    /// Appends the records, makes them durable, and applies them to the index. After an error none of them is there.
    pub(super) fn append(&mut self, tools: Tools<'_>, records: Vec<Record>) -> io::Result<()> {
        self.mend(tools)?;
        if self.open.is_none() {
            self.begin(tools)?;
        }
        let Some(open) = &mut self.open else {
            return Err(io::Error::other("no pack is open"));
        };
        let path = tools.files.pack(open.head.number);
        let (bytes, rows) = encode(&open.head, open.durable, records)?;
        self.is_torn = true;
        tools.steps.write(&mut open.file, &path, &bytes)?;
        tools.steps.sync_data(&open.file, &path)?;
        self.is_torn = false;
        open.durable += bytes.len() as u32;
        let mut index = write_lock(tools.index);
        rows.iter().for_each(|row| index.apply(open.head.number, row));
        drop(index);
        open.rows.extend(rows);
        if open.durable >= tools.pack_bytes {
            self.close(tools);
        }
        Ok(())
    }

    fn begin(&mut self, tools: Tools<'_>) -> io::Result<()> {
        let number = self.next;
        let next = number.checked_add(1);
        self.next = next.ok_or_else(|| io::Error::other("the numbers of packs are used up"))?;
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let (path, head) = (tools.files.pack(number), PackHead { number, salt });
        let file = tools.steps.create(&path)?;
        write_lock(tools.index).add_pack(number);
        self.is_torn = true;
        let open = self.open.insert(Open {
            file,
            head,
            durable: PACK_HEAD_BYTES as u32,
            rows: Vec::new(),
        });
        tools.steps.write(&mut open.file, &path, &head.encode())?;
        tools.steps.sync(&open.file, &path)?;
        tools.steps.sync_dir(tools.files.dir())?;
        self.is_torn = false;
        Ok(())
    }

    /// Cuts off what may have been written of the last records, if they failed, and closes the pack.
    fn mend(&mut self, tools: Tools<'_>) -> io::Result<()> {
        if !self.is_torn {
            return Ok(());
        }
        if let Some(open) = &self.open {
            let (number, path) = (open.head.number, tools.files.pack(open.head.number));
            tracing::warn!(pack = number, "a pack whose last write failed is cut and closed");
            if open.rows.is_empty() {
                tools.steps.remove(&path)?;
                tools.steps.sync_dir(tools.files.dir())?;
                write_lock(tools.index).drop_pack(number);
                self.open = None;
            } else {
                tools.steps.truncate(&open.file, &path, u64::from(open.durable))?;
                tools.steps.sync(&open.file, &path)?;
                self.close(tools);
            }
        }
        self.is_torn = false;
        Ok(())
    }

    fn close(&mut self, tools: Tools<'_>) {
        let Some(open) = self.open.take() else {
            return;
        };
        let contents = Contents {
            head: open.head,
            pack_bytes: open.durable,
            rows: open.rows,
        };
        write_index(tools.files, tools.steps, &contents);
        if let Some(pack) = write_lock(tools.index).pack_mut(open.head.number) {
            pack.is_closed = true;
        }
    }
}

/// Writes the index file of a closed pack. One that cannot be written is made at the next start.
pub(super) fn write_index(files: &PackFiles, steps: &Steps, contents: &Contents) {
    let path = files.index(contents.head.number);
    let write = || {
        steps.remove(&path)?;
        let mut file = steps.create(&path)?;
        steps.write(&mut file, &path, &contents.encode())?;
        steps.sync(&file, &path)
    };
    if let Err(error) = write() {
        tracing::warn!(pack = contents.head.number, %error, "the index file of a pack is not written; the next start reads the pack");
    }
}

/// The bytes of the records that begin at `from`, and what they say.
fn encode(pack: &PackHead, from: u32, records: Vec<Record>) -> io::Result<(Vec<u8>, Vec<Row>)> {
    let total: u64 = records
        .iter()
        .map(|record| u64::from(record.row.record_bytes()))
        .sum();
    if u64::from(from) + total > u64::from(u32::MAX) {
        return Err(io::Error::other("too many records at once for a pack"));
    }
    let (mut bytes, mut rows) = (Vec::with_capacity(total as usize), Vec::new());
    for record in records {
        let row = Row {
            at: from + bytes.len() as u32,
            ..record.row
        };
        let head = Head {
            row,
            durable: from,
            share_hash: record.share_hash,
        };
        bytes.extend(head.encode(pack));
        bytes.extend(&record.share_file);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        rows.push(row);
    }
    Ok((bytes, rows))
}

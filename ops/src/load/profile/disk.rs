//! What blocks in a file cost by themselves: written in whole units into room that was set aside and made durable, as a long share is, and
//! read back from the page cache block by block.
//!
//! The file has no name as soon as it is open: nothing stays behind, even if this program is killed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use truckee_actors::clock::thread_cpu;

use super::bare::{pour, source, system};
use crate::error::CliError;

/// Bytes that a share file is written by.
const UNIT_BYTES: usize = 64 * 1024;

/// CPU seconds to write so many bytes and sync them, and to read them again in blocks.
pub(super) fn write_and_read(dir: &Path, bytes: usize, block_bytes: usize) -> Result<[f64; 2], CliError> {
    let path = dir.join(format!("profile-{}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    let file = file.map_err(CliError::file("make", &path))?;
    fs::remove_file(&path).map_err(CliError::file("remove", &path))?;
    through(&file, bytes, block_bytes).map_err(system("write and read a file"))
}

fn through(mut file: &File, bytes: usize, block_bytes: usize) -> io::Result<[f64; 2]> {
    let source = source();
    let mut block = vec![0; block_bytes];
    let began = thread_cpu();
    // Not every file system can.
    let _ = fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes as u64);
    pour(&source, &mut file, bytes, UNIT_BYTES)?;
    file.sync_all()?;
    let written = thread_cpu();
    for index in 0..bytes / block_bytes {
        file.read_exact_at(&mut block, (index * block_bytes) as u64)?;
    }
    let read = thread_cpu();
    Ok([written.saturating_sub(began), read.saturating_sub(written)].map(|took| took.as_secs_f64()))
}

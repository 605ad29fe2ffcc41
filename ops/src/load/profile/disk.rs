//! What blocks in a file cost by themselves: appended and made durable as a share is, and read back from the page cache.
//!
//! The file has no name as soon as it is open: nothing stays behind, even if this program is killed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use truckee_actors::clock::thread_cpu;

use super::bare::{pour, source, system};
use crate::error::CliError;

/// CPU seconds to write so many bytes in blocks and sync them, and to read them again.
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
    pour(&source, &mut file, bytes, block_bytes)?;
    file.sync_all()?;
    let written = thread_cpu();
    for index in 0..bytes / block_bytes {
        file.read_exact_at(&mut block, (index * block_bytes) as u64)?;
    }
    let read = thread_cpu();
    Ok([written.saturating_sub(began), read.saturating_sub(written)].map(|took| took.as_secs_f64()))
}

//! Bounds on the work that one node takes on at a time: section `[limits]`.

use std::time::Duration;

use truckee_actors::transfers::{DOWNLOAD_BYTES_DEFAULT, UPLOAD_BYTES_DEFAULT};

use super::reader::{Reader, Section};
use super::value::{Bounded, ByteCount};

/// Section `[limits]`. Beyond a bound clients are told to come back later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Uploads under way at once.
    pub uploads: usize,
    /// Downloads under way at once.
    pub downloads: usize,
    /// How long a transfer waits for its turn when as many are under way.
    pub wait: Duration,
    /// Bytes of blocks in memory, over all uploads.
    pub upload_bytes: u64,
    /// Bytes of blocks and plaintext in memory, over all downloads.
    pub download_bytes: u64,
    /// Longest body of an upload.
    pub body_bytes: u64,
    /// Longest body of an upload that derives its key from its content: it is kept on disk meanwhile.
    pub convergent_bytes: u64,
    /// How long the client of a download may take nothing before it is given up; at most twice as long.
    pub download_idle: Duration,
    /// How long transfers under way may take to end when the node stops.
    pub drain: Duration,
    /// Threads that seal, code and hash; 0 in the file: as many as there are cores.
    pub cpu_threads: usize,
    /// HTTP connections open at once, for each thread that serves them.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Limits {
            // Far more than `upload_bytes` has room for at full speed, so that the byte bound decides for large
            // files while small files still go in parallel.
            uploads: 64,
            // A download that waits for its first block costs a few kilobytes only.
            downloads: 256,
            // Who is told to come back comes back when places have long been idle: a wait that nobody gives up for is better.
            wait: Duration::from_secs(5),
            upload_bytes: UPLOAD_BYTES_DEFAULT as u64,
            download_bytes: DOWNLOAD_BYTES_DEFAULT as u64,
            // As much as a file of the default segment length can hold.
            body_bytes: 1 << 40,
            convergent_bytes: 4 << 30,
            // As long as a client may send nothing: a mobile network comes back within it. Kilobytes a second are enough.
            download_idle: Duration::from_secs(60),
            // A service manager gives a process 90 s before it kills it; a quarter of that is enough for what
            // moves at all.
            drain: Duration::from_secs(20),
            cpu_threads: cores,
            // Twenty times the transfers that can be under way; each idle connection costs a few kilobytes.
            connections: 4096,
        }
    }
}

pub(super) fn read<'i>(reader: &mut Reader<'i>, root: &mut Section<'_, 'i>) -> Limits {
    let default = Limits::default();
    let mut section = reader.section(root, "limits");
    let section = &mut section;
    let uploads: Bounded<1, 4096> = reader.or(section, "uploads", Bounded(default.uploads as u64));
    let downloads: Bounded<1, 65_536> = reader.or(section, "downloads", Bounded(default.downloads as u64));
    let wait: Bounded<0, 60> = reader.or(section, "wait_seconds", Bounded(default.wait.as_secs()));
    // Less than a segment of the default length would let nothing pass side by side; a gate counts in 32 bits.
    let gate = 1 << 20..=u64::from(u32::MAX);
    let upload_bytes = reader.bytes_between(section, "upload_bytes", gate.clone(), default.upload_bytes);
    let download_bytes = reader.bytes_between(section, "download_bytes", gate, default.download_bytes);
    let body_bytes: ByteCount = reader.or(section, "body_bytes", ByteCount(default.body_bytes));
    let convergent: ByteCount = reader.or(section, "convergent_bytes", ByteCount(default.convergent_bytes));
    let idle: Bounded<1, 3600> = reader.or(
        section,
        "download_idle_seconds",
        Bounded(default.download_idle.as_secs()),
    );
    let drain: Bounded<0, 3600> = reader.or(section, "drain_seconds", Bounded(default.drain.as_secs()));
    let cpu_threads: Bounded<0, 256> = reader.or(section, "cpu_threads", Bounded(0));
    let connections: Bounded<8, 65_536> =
        reader.or(section, "connections", Bounded(default.connections as u64));
    reader.finish(section);
    Limits {
        uploads: uploads.0 as usize,
        downloads: downloads.0 as usize,
        wait: Duration::from_secs(wait.0),
        upload_bytes,
        download_bytes,
        body_bytes: body_bytes.0,
        convergent_bytes: convergent.0,
        download_idle: Duration::from_secs(idle.0),
        drain: Duration::from_secs(drain.0),
        cpu_threads: if cpu_threads.0 == 0 {
            default.cpu_threads
        } else {
            cpu_threads.0 as usize
        },
        connections: connections.0 as usize,
    }
}

//! How fast a block becomes frames, and frames become a block again, on one core and without a socket.
//!
//! Owns figures for comparing one version of framing with another on the same machine. A block is that of a full segment at 3-of-10;
//! the reader gets the bytes in pieces, as sockets give them.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_wire::convert::{Prepared, decode_head, more_frame};
use truckee_wire::frame::{Decoder, FrameOut, PART_BYTES_MAX};
use truckee_wire::message::{FindShares, Lane, Request, WriteBlock};

/// A block of a segment of 1 MiB, sealed and cut in three.
const BLOCK_BYTES: usize = 349_568;

/// What a socket gives at a time.
const PIECE_BYTES: usize = 64 << 10;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let find = Request::FindShares(FindShares {
        si: StorageIndex([7; 16]),
        inline_bytes_max: 0,
    });
    let write = Request::WriteBlock(WriteBlock {
        si: StorageIndex([1; 16]),
        share: ShareNumber(3),
        upload: UploadId([2; 16]),
        segment: SegmentIndex(0),
        block_leaf: Hash([3; 32]),
        sealed_leaf: Hash([4; 32]),
        block: Bytes::from(vec![0x5a; BLOCK_BYTES]),
    });
    for (name, request) in [("a small request", find), ("a block", write)] {
        let frames = laid_out(&request);
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|frame| [&frame.head[..], &frame.payload].concat())
            .collect();
        let mut group = criterion.benchmark_group("frames");
        // Payload is not copied on its way out: bytes per second would say nothing.
        group.bench_function(format!("lay out {name}"), |bencher| {
            bencher.iter(|| laid_out(black_box(&request)));
        });
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(format!("take in {name}"), |bencher| {
            bencher.iter(|| taken_in(black_box(&stream)));
        });
        group.finish();
    }
    criterion.final_summary();
}

/// A request as it goes out.
fn laid_out(request: &Request) -> Vec<FrameOut> {
    let prepared = Prepared::request(1, Lane::Bulk, None, request).expect("in bounds");
    let mut payload = request.payload();
    let mut next = || payload.split_to(payload.len().min(PART_BYTES_MAX));
    let mut frames = vec![prepared.into_frame(Some(Duration::from_secs(10)), next())];
    loop {
        let part = next();
        if part.is_empty() {
            return frames;
        }
        frames.push(more_frame(1, Lane::Bulk, false, part));
    }
}

/// A stream taken apart, with every head understood; gives the bytes of payload.
fn taken_in(stream: &[u8]) -> usize {
    let mut decoder = Decoder::new();
    let mut payload_bytes = 0;
    for piece in stream.chunks(PIECE_BYTES) {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame().expect("frames") {
            black_box(decode_head(frame.head).expect("a head"));
            payload_bytes += frame.payload.len();
        }
    }
    payload_bytes
}

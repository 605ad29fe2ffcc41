//! How fast the steps of a transfer are on one core: sealing, coding, hashing, trees, and a segment as a whole.
//!
//! Owns figures for comparing one version of these steps with another on the same machine; the engines are those that nodes would
//! choose. Throughput counts plaintext bytes, so that the steps can be added up. `truckee load --profile` sets the same steps against a
//! running cluster.

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use truckee_grid::engines::Engines;
use truckee_grid::erasure::{Codec, ErasureChoice};
use truckee_grid::geometry::{block_bytes, buffer_bytes};
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber};
use truckee_grid::keys::ReadKey;
use truckee_grid::merkle::{self, Frontier, Tree};
use truckee_grid::params::{Coding, Encoding};
use truckee_grid::pipeline::{SegmentCoder, encode_segment};
use truckee_grid::sealing::Sealer;

/// Plaintext of a segment.
const SEGMENT_BYTES: usize = 1 << 20;

/// Shapes that are in use: the default, and wider ones.
const SHAPES: [(u32, u32); 3] = [(3, 10), (8, 16), (16, 64)];

/// Leaves of a large share: 10 GiB in segments of 1 MiB.
const LEAVES: u64 = 10 << 10;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let engines = Engines::select(ErasureChoice::Auto).expect("nothing is demanded");
    sealing(&mut criterion, engines);
    for (k, n) in SHAPES {
        let coding = Coding::new(k, n).expect("a shape");
        code(&mut criterion, coding, engines);
        hashing(&mut criterion, coding);
        segment(&mut criterion, coding, engines);
    }
    trees(&mut criterion);
    criterion.final_summary();
}

/// Bytes of which no two places are alike, with room for what is added to a segment.
fn plaintext(coding: Coding) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(buffer_bytes(SEGMENT_BYTES, coding));
    buffer.extend(
        (0..SEGMENT_BYTES as u64 / 8).flat_map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()),
    );
    buffer
}

fn sealing(criterion: &mut Criterion, engines: Engines) {
    let coding = Coding::new(3, 10).expect("a shape");
    let sealer = Sealer::new(ReadKey::from_bytes([7; 16]).cipher_key(), engines.sealing);
    let plain = plaintext(coding);
    let mut sealed = plain.clone();
    sealer.seal(SegmentIndex(0), false, &mut sealed);
    let mut group = criterion.benchmark_group("sealing");
    group.throughput(Throughput::Bytes(SEGMENT_BYTES as u64));
    let fresh = |from: &BytesMut| {
        let mut buffer = BytesMut::with_capacity(buffer_bytes(SEGMENT_BYTES, coding));
        buffer.extend_from_slice(from);
        buffer
    };
    group.bench_function("seal", |bencher| {
        let seal = |buffer: &mut BytesMut| sealer.seal(SegmentIndex(0), false, buffer);
        bencher.iter_batched_ref(|| fresh(&plain), seal, BatchSize::LargeInput);
    });
    group.bench_function("open", |bencher| {
        let open = |buffer: &mut BytesMut| {
            sealer
                .open(SegmentIndex(0), false, buffer)
                .expect("it was sealed");
        };
        bencher.iter_batched_ref(|| fresh(&sealed), open, BatchSize::LargeInput);
    });
    group.finish();
}

/// The data blocks of a segment.
fn data_blocks(buffer: &mut BytesMut, coding: Coding) -> Vec<&[u8]> {
    let block = block_bytes(SEGMENT_BYTES, coding);
    buffer.resize(block * coding.k(), 0);
    buffer.chunks_exact(block).collect()
}

fn code(criterion: &mut Criterion, coding: Coding, engines: Engines) {
    let mut buffer = plaintext(coding);
    let data = data_blocks(&mut buffer, coding);
    let mut codec = Codec::new(coding, engines.erasure);
    let recovery = codec.encode(&data).expect("k blocks of one length");
    let shares = |from: usize, blocks: Vec<&[u8]>| -> Vec<(ShareNumber, Vec<u8>)> {
        let numbers = coding.shares().skip(from);
        numbers
            .zip(blocks)
            .map(|(number, block)| (number, block.to_vec()))
            .collect()
    };
    let present = [
        ("decode, data shares there", shares(0, data.clone())),
        (
            "decode, worst case",
            shares(
                coding.k(),
                recovery.iter().map(|block| &block[..]).take(coding.k()).collect(),
            ),
        ),
    ];
    let mut group = criterion.benchmark_group("coding");
    group.throughput(Throughput::Bytes(SEGMENT_BYTES as u64));
    group.bench_function(BenchmarkId::new("encode", coding), |bencher| {
        bencher.iter(|| codec.encode(black_box(&data)));
    });
    for (name, owned) in present {
        let given: Vec<(ShareNumber, &[u8])> = owned
            .iter()
            .map(|(number, block)| (*number, &block[..]))
            .collect();
        group.bench_function(BenchmarkId::new(name, coding), |bencher| {
            bencher.iter(|| codec.decode(black_box(&given)));
        });
    }
    group.finish();
}

fn hashing(criterion: &mut Criterion, coding: Coding) {
    let mut buffer = plaintext(coding);
    let data = data_blocks(&mut buffer, coding);
    // What hashing costs does not depend on what is hashed: the data blocks stand for all.
    let every: Vec<&[u8]> = data.iter().copied().cycle().take(coding.n()).collect();
    let mut group = criterion.benchmark_group("hashing");
    group.throughput(Throughput::Bytes(SEGMENT_BYTES as u64));
    for (name, blocks) in [("all n blocks", &every), ("k blocks", &data)] {
        group.bench_function(BenchmarkId::new(name, coding), |bencher| {
            bencher.iter(|| merkle::block_leaves(black_box(blocks)));
        });
    }
    group.finish();
}

fn segment(criterion: &mut Criterion, coding: Coding, engines: Engines) {
    let encoding = Encoding::new(coding, 1, SEGMENT_BYTES as u32).expect("a shape");
    let mut coder = SegmentCoder::new(&encoding, &ReadKey::from_bytes([7; 16]), engines);
    let plain = plaintext(coding);
    let mut group = criterion.benchmark_group("segment");
    group.throughput(Throughput::Bytes(SEGMENT_BYTES as u64));
    group.bench_function(BenchmarkId::new("seal, code and hash", coding), |bencher| {
        let fresh = || {
            let mut buffer = BytesMut::with_capacity(buffer_bytes(SEGMENT_BYTES, coding));
            buffer.extend_from_slice(&plain);
            buffer
        };
        let encode = |buffer| encode_segment(&mut coder, SegmentIndex(0), buffer, true);
        bencher.iter_batched(fresh, encode, BatchSize::LargeInput);
    });
    group.finish();
}

fn trees(criterion: &mut Criterion) {
    let leaves: Vec<Hash> = (0..LEAVES)
        .map(|leaf| merkle::block_leaf(&leaf.to_le_bytes()))
        .collect();
    let tree = Tree::from_leaves(leaves.clone()).expect("there are leaves");
    let path = tree.path(LEAVES / 3);
    let mut group = criterion.benchmark_group("merkle");
    group.throughput(Throughput::Elements(LEAVES));
    group.bench_function("whole tree, by leaves", |bencher| {
        bencher.iter_batched(|| leaves.clone(), Tree::from_leaves, BatchSize::LargeInput);
    });
    group.bench_function("frontier, by leaves", |bencher| {
        bencher.iter(|| {
            let mut frontier = Frontier::new();
            leaves.iter().for_each(|leaf| frontier.push(*leaf));
            frontier.root()
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("one path of 10,240 leaves", |bencher| {
        let leaf = leaves[(LEAVES / 3) as usize];
        bencher.iter(|| merkle::verify_path(&tree.root(), black_box(leaf), LEAVES / 3, LEAVES, &path));
    });
    group.finish();
}

//! The work of a transfer on the CPU pool. Owns the coders and decoders of one file, which hold its key and scratch
//! space: one for each job that runs at the same time, kept for the next.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use metrics::{counter, histogram};
use tokio::time::Instant;
use truckee_grid::ids::{SegmentIndex, ShareNumber};
use truckee_grid::keys::ReadKey;
use truckee_grid::params::Encoding;
use truckee_grid::pipeline::{
    DecodeError, DecodedSegment, EncodeError, EncodedSegment, FetchedBlock, FileFacts, RebuiltSegment,
    SegmentCoder, SegmentDecoder, SegmentRebuilder, Stage, decode_segment_watched, encode_segment_watched,
    rebuild_segment_watched,
};

use super::EngineChoice;
use crate::clock::thread_cpu;
use crate::metrics as names;

/// Label of encoding jobs.
pub(super) const ENCODE: &str = "encode";
/// Label of decoding jobs.
pub(super) const DECODE: &str = "decode";
/// Label of rebuilding jobs.
pub(super) const REBUILD: &str = "rebuild";
/// Label of hashing jobs of checks.
pub(super) const VERIFY: &str = "verify";

/// Tools that are taken for a job and put back after it. A job that panics keeps its own.
#[derive(Debug)]
struct Shelf<T>(Mutex<Vec<T>>);

impl<T> Shelf<T> {
    fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn with<R>(&self, make: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut tool = taken.unwrap_or_else(make);
        let result = work(&mut tool);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tool);
        result
    }
}

/// Records how long each stage of a segment takes and what it burns, from now on: a look at two clocks and two observations
/// for each. The thread that makes it must be the one that passes the stages.
fn stage_clock() -> impl FnMut(Stage) {
    let (mut began, mut burned) = (Instant::now(), thread_cpu());
    move |stage| {
        let (now, cpu) = (Instant::now(), thread_cpu());
        let took = now.duration_since(began);
        histogram!(names::CODEC_STAGE_SECONDS, "stage" => stage.name()).record(took.as_secs_f64());
        let took_cpu = cpu.saturating_sub(burned);
        histogram!(names::CODEC_STAGE_CPU_SECONDS, "stage" => stage.name()).record(took_cpu.as_secs_f64());
        (began, burned) = (now, cpu);
    }
}

/// Encodes the segments of one upload.
#[derive(Debug)]
pub(super) struct Encoder {
    encoding: Encoding,
    key: ReadKey,
    engines: EngineChoice,
    shelf: Shelf<SegmentCoder>,
}

impl Encoder {
    pub(super) fn new(encoding: Encoding, key: ReadKey, engines: EngineChoice) -> Arc<Self> {
        Arc::new(Self {
            encoding,
            key,
            engines,
            shelf: Shelf::new(),
        })
    }

    pub(super) fn encode(
        &self,
        segment: SegmentIndex,
        plaintext: BytesMut,
        last: bool,
    ) -> Result<EncodedSegment, EncodeError> {
        counter!(names::UPLOAD_SEGMENTS).increment(1);
        let make = || SegmentCoder::new(&self.encoding, &self.key, self.engines.get());
        self.shelf.with(make, |coder| {
            encode_segment_watched(coder, segment, plaintext, last, stage_clock())
        })
    }
}

/// Decodes the segments of one download.
#[derive(Debug)]
pub(super) struct Decoder {
    key: ReadKey,
    engines: EngineChoice,
    shelf: Shelf<SegmentDecoder>,
}

impl Decoder {
    pub(super) fn new(key: ReadKey, engines: EngineChoice) -> Arc<Self> {
        Arc::new(Self {
            key,
            engines,
            shelf: Shelf::new(),
        })
    }

    pub(super) fn decode(
        &self,
        facts: &FileFacts,
        segment: SegmentIndex,
        blocks: Vec<FetchedBlock>,
    ) -> Result<DecodedSegment, DecodeError> {
        counter!(names::DOWNLOAD_SEGMENTS).increment(1);
        let make = || SegmentDecoder::new(facts, &self.key, self.engines.get());
        self.shelf.with(make, |decoder| {
            decode_segment_watched(decoder, facts, segment, blocks, stage_clock())
        })
    }
}

/// Rebuilds blocks of the segments of one file, without its key.
#[derive(Debug)]
pub(super) struct Rebuilder {
    engines: EngineChoice,
    shelf: Shelf<SegmentRebuilder>,
}

impl Rebuilder {
    pub(super) fn new(engines: EngineChoice) -> Arc<Self> {
        Arc::new(Self {
            engines,
            shelf: Shelf::new(),
        })
    }

    /// Checks blocks and makes those of the wanted shares.
    pub(super) fn rebuild(
        &self,
        facts: &FileFacts,
        segment: SegmentIndex,
        blocks: Vec<FetchedBlock>,
        wanted: &[ShareNumber],
    ) -> Result<RebuiltSegment, DecodeError> {
        let make = || SegmentRebuilder::new(facts.ueb().coding(), self.engines.get());
        self.shelf.with(make, |rebuilder| {
            rebuild_segment_watched(rebuilder, facts, segment, blocks, wanted, stage_clock())
        })
    }
}

//! A mesh made up for tests: storage nodes in memory with faults on order, and virtual time that jumps from event to
//! event. Runs one upload or download against it to its end, and panics if that end never comes.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use truckee_grid::caps::ChkVerifier;
use truckee_grid::engines::Engines;
use truckee_grid::erasure::ErasureChoice;
use truckee_grid::ids::{Hash, NodeId, ShareNumber, StorageIndex, UploadId};
use truckee_grid::keys::ReadKey;
use truckee_grid::merkle::Tree;
use truckee_grid::params::{Coding, Encoding};
use truckee_grid::pipeline::{SegmentCoder, SegmentDecoder, decode_segment, encode_segment};
use truckee_wire::message::{
    BlockRead, CloseShare, Failure, FailureCode, FileFacts, FoundShares, OpenShare, Request, Response,
    SealedProof, WriteBlock,
};

use super::Token;
use crate::download::{self, Corruption, Download, DownloadDone, DownloadError};
use crate::session::CallError;
use crate::time::Mono;
use crate::upload::{self, BodyFault, Upload, UploadDone, UploadError};

pub(crate) mod repairing;

/// One way of a message, unless a peer is slower.
pub(crate) const HOP: Duration = Duration::from_millis(1);
/// After this time the link of a frozen peer is given up.
pub(crate) const LINK_LIFE: Duration = Duration::from_secs(2);
/// An open share that gets nothing for so long is forgotten.
const OPEN_IDLE_MAX: Duration = Duration::from_secs(60);
/// More events than any transfer of these tests has.
const EVENTS_MAX: u32 = 200_000;

pub(crate) fn engines() -> Engines {
    static ENGINES: OnceLock<Engines> = OnceLock::new();
    *ENGINES.get_or_init(|| Engines::select(ErasureChoice::Auto).expect("auto always gives an engine"))
}

/// Small numbers from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

/// Plain bytes that no two places share.
pub(crate) fn plaintext(len: usize) -> Vec<u8> {
    let mut dice = Dice(len as u64);
    (0..len).map(|_| dice.roll(256) as u8).collect()
}

pub(crate) fn node(index: u8) -> NodeId {
    NodeId([index; 32])
}

pub(crate) fn key() -> ReadKey {
    ReadKey::from_bytes([7; 16])
}

pub(crate) fn encoding(k: u32, n: u32, happy: u32) -> Encoding {
    Encoding::new(Coding::new(k, n).expect("a valid code"), happy, 1024).expect("a valid encoding")
}

/// A complete share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) blocks: Vec<Bytes>,
    pub(crate) block_leaves: Vec<Hash>,
    pub(crate) sealed_leaves: Vec<Hash>,
    pub(crate) file: FileFacts,
}

#[derive(Default)]
pub(crate) struct Open {
    blocks: Vec<Bytes>,
    block_leaves: Vec<Hash>,
    sealed_leaves: Vec<Hash>,
}

/// A storage node with faults.
#[derive(Default)]
pub(crate) struct ModelPeer {
    pub(crate) shares: BTreeMap<ShareNumber, Stored>,
    /// Shares that are being written, each by one upload or repair.
    pub(crate) open: BTreeMap<(UploadId, ShareNumber), Open>,
    /// Extra time before it answers anything.
    pub(crate) delay: Duration,
    /// Says nothing from then on; its link is lost [`LINK_LIFE`] after the next request.
    pub(crate) frozen_from: Option<Mono>,
    /// Says something again from then on.
    pub(crate) thaws_at: Option<Mono>,
    /// Its link never dies although it says nothing.
    pub(crate) undead: bool,
    /// Cannot be reached from then on, and what is under way is lost.
    pub(crate) down_from: Option<Mono>,
    /// Can be reached again from then on.
    pub(crate) up_again_at: Option<Mono>,
    pub(crate) full: bool,
    /// So many requests to come are answered busy.
    pub(crate) busy: u32,
    /// After this many requests more its link is lost.
    pub(crate) dies_after: Option<u32>,
    /// Loses its link instead of answering a close.
    pub(crate) dies_at_close: bool,
    /// Blocks that it gives have a bit flipped, from this segment on.
    pub(crate) bad_blocks_from: Option<u64>,
    pub(crate) bad_path: bool,
    pub(crate) bad_sealed_path: bool,
    pub(crate) bad_facts: bool,
    /// Holds on to a share that it was told is damaged.
    pub(crate) insists: bool,
    /// Blocks that it was told are damaged.
    pub(crate) told: Vec<(ShareNumber, u64)>,
    /// Says itself that its shares are damaged.
    pub(crate) admits_damage: bool,
    /// Answers everything with the wrong kind of answer.
    pub(crate) talks_nonsense: bool,
    pub(crate) aborted: BTreeSet<ShareNumber>,
    /// Shares that who wrote them may take back, if that was said.
    pub(crate) fresh: BTreeMap<ShareNumber, Option<UploadId>>,
    /// When each open share got something last.
    pub(crate) active_at: BTreeMap<(UploadId, ShareNumber), Mono>,
    pub(crate) served: Vec<&'static str>,
    pub(crate) reads: BTreeSet<(ShareNumber, u64)>,
}

/// All storage nodes, by number.
pub(crate) struct World {
    pub(crate) peers: BTreeMap<NodeId, ModelPeer>,
    pub(crate) now: Mono,
}

enum Event {
    Arrive {
        token: Option<Token>,
        peer: NodeId,
        request: Request,
    },
    Answer {
        token: Token,
        result: Result<Response, CallError>,
    },
    Body,
    Encoded(
        truckee_grid::ids::SegmentIndex,
        truckee_grid::pipeline::EncodedSegment,
    ),
    Decode(
        truckee_grid::ids::SegmentIndex,
        Vec<truckee_grid::pipeline::FetchedBlock>,
    ),
    Consumed,
}

/// Events in the order of their moments, then of their making.
struct Queue(BTreeMap<(Mono, u64), Event>, u64);

impl Queue {
    fn put(&mut self, at: Mono, event: Event) {
        self.1 += 1;
        self.0.insert((at, self.1), event);
    }

    fn next(&mut self, deadline: Option<Mono>) -> Option<(Mono, Option<Event>)> {
        let first = self.0.first_key_value().map(|(key, _)| *key);
        match (first, deadline) {
            (Some(key), deadline) if deadline.is_none_or(|at| key.0 <= at) => {
                self.0.remove(&key).map(|event| (key.0, Some(event)))
            }
            (_, Some(at)) => Some((at, None)),
            (_, None) => None,
        }
    }
}

impl World {
    pub(crate) fn new(count: u8) -> Self {
        let peers = (0..count)
            .map(|index| (node(index), ModelPeer::default()))
            .collect();
        Self {
            peers,
            now: Mono::from_millis(1_000),
        }
    }

    pub(crate) fn peer(&mut self, index: u8) -> &mut ModelPeer {
        self.peers.get_mut(&node(index)).expect("a peer of this world")
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.peers.keys().copied().collect()
    }

    /// Distinct shares that some peer holds, complete.
    pub(crate) fn stored(&self) -> BTreeSet<ShareNumber> {
        self.peers
            .values()
            .flat_map(|peer| peer.shares.keys().copied())
            .collect()
    }

    /// Takes a request to a peer: schedules its answer, or the loss of its link.
    fn arrive(&mut self, queue: &mut Queue, token: Option<Token>, id: NodeId, request: &Request) {
        let now = self.now;
        let peer = self.peers.get_mut(&id).expect("requests go to candidates");
        let back = now + HOP + peer.delay;
        let mut answer = |at: Mono, result| {
            if let Some(token) = token {
                queue.put(at, Event::Answer { token, result });
            }
        };
        let down = peer.down_from.is_some_and(|at| at <= now) && peer.up_again_at.is_none_or(|at| at > now);
        if down {
            return answer(
                now,
                Err(CallError::Down {
                    retry_in: Duration::from_secs(1),
                }),
            );
        }
        if peer.frozen_from.is_some_and(|at| at <= now) && peer.thaws_at.is_none_or(|at| at > now) {
            if !peer.undead {
                answer(now + LINK_LIFE, Err(CallError::LinkLost));
            }
            return;
        }
        let dies = peer.dies_after.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        });
        if dies || (peer.dies_at_close && matches!(request, Request::CloseShare(_))) {
            peer.down_from = Some(now);
            return answer(back, Err(CallError::LinkLost));
        }
        peer.give_up_idle(now);
        if let Request::OpenShare(OpenShare { upload, share, .. })
        | Request::WriteBlock(WriteBlock { upload, share, .. }) = request
        {
            peer.active_at.insert((*upload, *share), now);
        }
        let result = peer.serve(request).map_err(CallError::Refused);
        answer(back, result);
    }
}

fn refuse(code: FailureCode) -> Failure {
    Failure::new(code, "as ordered by the test")
}

impl ModelPeer {
    fn give_up_idle(&mut self, now: Mono) {
        let active_at = &self.active_at;
        self.open.retain(|share, _| {
            active_at
                .get(share)
                .is_some_and(|at| now.saturating_sub(*at) < OPEN_IDLE_MAX)
        });
    }

    pub(crate) fn serve(&mut self, request: &Request) -> Result<Response, Failure> {
        self.served.push(request.kind().name());
        let is_abort = matches!(request, Request::AbortShare(_));
        if self.busy > 0 && !is_abort {
            self.busy -= 1;
            return Err(Failure::busy(Duration::from_millis(10), "as ordered by the test"));
        }
        if self.talks_nonsense {
            return Ok(Response::RosterPushed);
        }
        match request {
            Request::FindShares(find) => {
                self.fresh.clear();
                Ok(self.find(find.inline_bytes_max))
            }
            Request::OpenShare(open) => {
                if self.shares.contains_key(&open.share) {
                    self.fresh.remove(&open.share);
                    return Ok(Response::ShareOpened { already_there: true });
                }
                if self.full {
                    return Err(refuse(FailureCode::Full));
                }
                self.open.entry((open.upload, open.share)).or_default();
                Ok(Response::ShareOpened { already_there: false })
            }
            Request::WriteBlock(write) => {
                let open = self
                    .open
                    .get_mut(&(write.upload, write.share))
                    .ok_or(refuse(FailureCode::BadRequest))?;
                if open.blocks.len() as u64 != write.segment.0 {
                    return Err(refuse(FailureCode::BadRequest));
                }
                open.blocks.push(write.block.clone());
                open.block_leaves.push(write.block_leaf);
                open.sealed_leaves.push(write.sealed_leaf);
                Ok(Response::BlockWritten)
            }
            Request::CloseShare(close) => self.close(close),
            Request::AbortShare(abort) => {
                self.open.remove(&(abort.upload, abort.share));
                let owner = self.fresh.get(&abort.share);
                if owner.is_some_and(|owner| owner.is_none_or(|owner| owner == abort.upload)) {
                    self.fresh.remove(&abort.share);
                    self.shares.remove(&abort.share);
                }
                self.aborted.insert(abort.share);
                Ok(Response::ShareAborted)
            }
            Request::PutShare(put) => {
                if let Some(there) = self.exists(put.share, &put.file)? {
                    return Ok(there);
                }
                if self.full {
                    return Err(refuse(FailureCode::Full));
                }
                let stored = Stored {
                    blocks: vec![put.block.clone()],
                    block_leaves: vec![put.file.share_roots[put.share.index()]],
                    sealed_leaves: vec![*put.file.ueb.sealed_root()],
                    file: put.file.clone(),
                };
                self.shares.insert(put.share, stored);
                self.fresh.insert(put.share, None);
                Ok(Response::SharePut { already_there: false })
            }
            Request::ReadBlock(read) => self.read(read.share, read.segment.0, read.suspect),
            _ => Err(refuse(FailureCode::Unsupported)),
        }
    }

    /// A share that is there already: of the same file, or not.
    fn exists(&mut self, share: ShareNumber, file: &FileFacts) -> Result<Option<Response>, Failure> {
        match self.shares.get(&share) {
            None => Ok(None),
            Some(there) if there.file == *file => {
                self.fresh.remove(&share);
                Ok(Some(Response::SharePut { already_there: true }))
            }
            Some(_) => Err(refuse(FailureCode::BadRequest)),
        }
    }

    fn close(&mut self, close: &CloseShare) -> Result<Response, Failure> {
        let open = self.open.remove(&(close.upload, close.share));
        let open = open.ok_or(refuse(FailureCode::BadRequest))?;
        let root = Tree::from_leaves(open.block_leaves.clone()).map(|tree| tree.root());
        let sealed = Tree::from_leaves(open.sealed_leaves.clone()).map(|tree| tree.root());
        assert_eq!(
            root,
            Some(close.file.share_roots[close.share.index()]),
            "roots sent must fit the blocks"
        );
        assert_eq!(sealed, Some(*close.file.ueb.sealed_root()));
        if self.exists(close.share, &close.file)?.is_some() {
            return Ok(Response::ShareClosed);
        }
        let Open {
            blocks,
            block_leaves,
            sealed_leaves,
        } = open;
        let stored = Stored {
            blocks,
            block_leaves,
            sealed_leaves,
            file: close.file.clone(),
        };
        self.shares.insert(close.share, stored);
        self.fresh.insert(close.share, Some(close.upload));
        Ok(Response::ShareClosed)
    }

    fn find(&self, inline_bytes_max: u32) -> Response {
        let first = self.shares.first_key_value().map(|(_, stored)| stored);
        let mut file = first.map(|stored| stored.file.clone());
        if self.bad_facts
            && let Some(file) = &mut file
        {
            file.share_roots[0].0[5] ^= 1;
        }
        let inlined = first
            .filter(|stored| stored.blocks.len() == 1 && stored.blocks[0].len() <= inline_bytes_max as usize);
        let inlined = inlined.map(|stored| self.damage(stored.blocks[0].clone(), 0));
        Response::FoundShares(FoundShares {
            shares: self.shares.keys().copied().collect(),
            file,
            inlined,
        })
    }

    fn read(&mut self, share: ShareNumber, segment: u64, suspect: bool) -> Result<Response, Failure> {
        if suspect {
            self.told.push((share, segment));
            if !self.insists && self.is_bad(segment) {
                self.shares.remove(&share);
                return Err(refuse(FailureCode::Corrupt));
            }
        }
        let stored = self.shares.get(&share).ok_or(refuse(FailureCode::NotFound))?;
        if self.admits_damage {
            return Err(refuse(FailureCode::Corrupt));
        }
        self.reads.insert((share, segment));
        let block = self.damage(stored.blocks[segment as usize].clone(), segment);
        let path = |leaves: &[Hash]| {
            Tree::from_leaves(leaves.to_vec())
                .map(|tree| tree.path(segment as usize as _))
                .unwrap_or_default()
        };
        let mut block_path = path(&stored.block_leaves);
        let mut sealed = SealedProof {
            leaf: stored.sealed_leaves[segment as usize],
            path: path(&stored.sealed_leaves),
        };
        if self.bad_path && !block_path.is_empty() {
            block_path[0].0[0] ^= 1;
        }
        if self.bad_sealed_path {
            sealed.leaf.0[0] ^= 1;
        }
        Ok(Response::BlockRead(BlockRead {
            block_path,
            sealed,
            block,
        }))
    }

    fn is_bad(&self, segment: u64) -> bool {
        self.bad_path || self.bad_sealed_path || self.bad_blocks_from.is_some_and(|from| segment >= from)
    }

    fn damage(&self, block: Bytes, segment: u64) -> Bytes {
        if self.bad_blocks_from.is_none_or(|from| segment < from) {
            return block;
        }
        let mut bad = BytesMut::from(&block[..]);
        bad[0] ^= 1;
        bad.freeze()
    }
}

/// How a body behaves.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Time for each segment.
    pub(crate) pause: Duration,
    /// Ends badly instead of giving this segment.
    pub(crate) fails_at: Option<(usize, BodyFault)>,
    /// The caller goes away at this moment.
    pub(crate) cancelled_at: Option<Mono>,
}

impl Body {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            pause: Duration::ZERO,
            fails_at: None,
            cancelled_at: None,
        }
    }
}

/// What came of an upload.
pub(crate) struct Uploaded {
    pub(crate) result: Result<UploadDone, UploadError>,
    pub(crate) took: Duration,
    pub(crate) held_most: usize,
}

impl Uploaded {
    pub(crate) fn done(&self) -> &UploadDone {
        self.result.as_ref().expect("the upload completes")
    }
}

pub(crate) fn upload_config(world: &World, encoding: Encoding) -> upload::Config {
    upload::Config {
        si: StorageIndex([3; 16]),
        upload: UploadId([9; 16]),
        encoding,
        candidates: world.ids(),
        find_existing: false,
        size_hint: None,
        window_bytes: upload::WINDOW_BYTES,
    }
}

/// Runs an upload to its end.
pub(crate) fn run_upload(world: &mut World, config: upload::Config, body: &Body) -> Uploaded {
    world.peers.values_mut().for_each(|peer| peer.fresh.clear());
    let began = world.now;
    let mut coder = SegmentCoder::new(&config.encoding, &key(), engines());
    let segment_bytes = config.encoding.segment_bytes() as usize;
    let segments: Vec<&[u8]> = if body.bytes.is_empty() {
        vec![&[]]
    } else {
        body.bytes.chunks(segment_bytes).collect()
    };
    let mut queue = Queue(BTreeMap::new(), 0);
    let mut machine = Upload::new(config, world.now);
    let (mut given, mut held, mut held_most, mut verdict) = (0, 0usize, 0, None);
    let mut ended_at = None;
    for _ in 0..EVENTS_MAX {
        while let Some(effect) = machine.poll_effect() {
            assert!(verdict.is_none(), "an effect after the last: {effect:?}");
            match effect {
                upload::Effect::PullSegment => queue.put(world.now + body.pause, Event::Body),
                upload::Effect::Encode {
                    segment,
                    plaintext,
                    last,
                } => {
                    held += 1;
                    held_most = held_most.max(held);
                    let coded = encode_segment(&mut coder, segment, plaintext, last)
                        .expect("segments have their length");
                    queue.put(world.now + HOP, Event::Encoded(segment, coded));
                }
                upload::Effect::Send {
                    token, peer, request, ..
                } => {
                    queue.put(
                        world.now + HOP,
                        Event::Arrive {
                            token: Some(token),
                            peer,
                            request,
                        },
                    );
                }
                upload::Effect::Notify { peer, request, .. } => {
                    queue.put(
                        world.now + HOP,
                        Event::Arrive {
                            token: None,
                            peer,
                            request,
                        },
                    );
                }
                upload::Effect::CancelSend { .. } => {}
                upload::Effect::Release { .. } => held -= 1,
                upload::Effect::Completed(done) => verdict = Some(Ok(*done)),
                upload::Effect::Failed(error) => verdict = Some(Err(error)),
            }
        }
        if verdict.is_some() {
            ended_at.get_or_insert(world.now);
        }
        let deadline = if verdict.is_some() {
            None
        } else {
            machine.next_deadline()
        };
        if body.cancelled_at.is_some_and(|at| at <= world.now) {
            machine.handle_cancel();
        }
        let Some((at, event)) = queue.next(deadline) else {
            break;
        };
        world.now = world.now.max(at);
        match event {
            None => machine.handle_timeout(world.now),
            Some(Event::Arrive { token, peer, request }) => world.arrive(&mut queue, token, peer, &request),
            Some(Event::Answer { token, result }) => machine.handle_answer(world.now, token, result),
            Some(Event::Encoded(segment, coded)) => machine.handle_encoded(world.now, segment, Some(coded)),
            Some(Event::Body) => {
                if let Some((_, fault)) = body.fails_at.filter(|(at, _)| *at == given) {
                    machine.handle_body_failed(fault);
                } else {
                    let last = given + 1 == segments.len();
                    machine.handle_segment(world.now, BytesMut::from(segments[given]), last);
                    given += 1;
                }
            }
            Some(Event::Decode(..) | Event::Consumed) => unreachable!("not of an upload"),
        }
    }
    let result = verdict.expect("an upload comes to an end");
    Uploaded {
        result,
        took: ended_at.unwrap_or(world.now).saturating_sub(began),
        held_most,
    }
}

/// What came of a download.
pub(crate) struct Downloaded {
    pub(crate) result: Result<Vec<u8>, DownloadError>,
    pub(crate) done: DownloadDone,
    pub(crate) took: Duration,
    pub(crate) corrupt: Vec<(NodeId, Option<ShareNumber>, Corruption)>,
    pub(crate) sent: u32,
    pub(crate) ahead_most: u64,
}

/// What to download, and how.
pub(crate) struct Reader {
    pub(crate) file: ChkVerifier,
    pub(crate) key: ReadKey,
    pub(crate) range: Option<Range<u64>>,
    pub(crate) window: usize,
    /// Time that the reader takes for a segment.
    pub(crate) pause: Duration,
    pub(crate) cancelled_at: Option<Mono>,
}

impl Reader {
    /// Reads what an upload stored.
    pub(crate) fn of(done: &UploadDone) -> Self {
        let file = ChkVerifier {
            si: StorageIndex([3; 16]),
            ueb_hash: done.ueb_hash,
            coding: done.ueb.coding(),
            size: done.ueb.file_bytes(),
        };
        Self {
            file,
            key: key(),
            range: None,
            window: 4,
            pause: Duration::ZERO,
            cancelled_at: None,
        }
    }

    pub(crate) fn range(mut self, range: Range<u64>) -> Self {
        self.range = Some(range);
        self
    }
}

/// Runs a download to its end.
pub(crate) fn run_download(world: &mut World, reader: &Reader) -> Downloaded {
    let began = world.now;
    let config = download::Config {
        file: reader.file,
        candidates: world.ids(),
        range: reader.range.clone(),
    };
    let mut queue = Queue(BTreeMap::new(), 0);
    let mut machine = Download::new(config, world.now);
    machine.handle_window(world.now, reader.window);
    let mut decoder: Option<SegmentDecoder> = None;
    let (mut bytes, mut verdict, mut corrupt, mut sent) = (Vec::new(), None, Vec::new(), 0);
    let (mut decoded, mut consumed, ahead_most) = (0u64, 0u64, Cell::new(0));
    let mut reader_free_at = world.now;
    for _ in 0..EVENTS_MAX {
        while let Some(effect) = machine.poll_effect() {
            assert!(verdict.is_none(), "an effect after the last: {effect:?}");
            match effect {
                download::Effect::Send {
                    token, peer, request, ..
                } => {
                    sent += 1;
                    queue.put(
                        world.now + HOP,
                        Event::Arrive {
                            token: Some(token),
                            peer,
                            request,
                        },
                    );
                }
                download::Effect::CancelSend { .. } => {}
                download::Effect::Decode { segment, blocks } => {
                    queue.put(world.now + HOP, Event::Decode(segment, blocks));
                }
                download::Effect::Deliver { plaintext, .. } => {
                    assert!(!plaintext.is_empty());
                    bytes.extend_from_slice(&plaintext);
                    reader_free_at = reader_free_at.max(world.now) + reader.pause;
                    queue.put(reader_free_at, Event::Consumed);
                }
                download::Effect::ReportCorrupt { peer, share, what } => corrupt.push((peer, share, what)),
                download::Effect::Completed(_) => verdict = Some(Ok(())),
                download::Effect::Failed(error) => verdict = Some(Err(error)),
            }
        }
        if verdict.is_some() {
            break;
        }
        if reader.cancelled_at.is_some_and(|at| at <= world.now) {
            machine.handle_cancel();
            continue;
        }
        let Some((at, event)) = queue.next(machine.next_deadline()) else {
            break;
        };
        world.now = world.now.max(at);
        match event {
            None => machine.handle_timeout(world.now),
            Some(Event::Arrive { token, peer, request }) => world.arrive(&mut queue, token, peer, &request),
            Some(Event::Answer { token, result }) => machine.handle_answer(world.now, token, result),
            Some(Event::Decode(segment, blocks)) => {
                let facts = machine.file().expect("facts come before blocks").clone();
                let tool = decoder.get_or_insert_with(|| SegmentDecoder::new(&facts, &reader.key, engines()));
                let result = decode_segment(tool, &facts, segment, blocks);
                decoded += u64::from(result.is_ok());
                ahead_most.set(ahead_most.get().max(decoded - consumed));
                machine.handle_decoded(world.now, segment, Some(result));
            }
            Some(Event::Consumed) => {
                consumed += 1;
                machine.handle_consumed(world.now);
            }
            Some(Event::Body | Event::Encoded(..)) => unreachable!("not of a download"),
        }
    }
    let result = verdict.expect("a download comes to an end").map(|()| bytes);
    let took = world.now.saturating_sub(began);
    Downloaded {
        result,
        done: *machine.progress(),
        took,
        corrupt,
        sent,
        ahead_most: ahead_most.get(),
    }
}

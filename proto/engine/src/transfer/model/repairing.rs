//! Runs repairs against the made-up mesh, several at once if need be, each to its end; checks what must hold of every run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_grid::ids::{Hash, NodeId, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::pipeline::{FetchedBlock, SegmentRebuilder, rebuild_segment};
use truckee_wire::message::{Lane, Request, Response};

use super::{EVENTS_MAX, Event as Answered, HOP, Queue, Stored, World, engines};
use crate::repair::{Config, Effect, Repair, RepairFailed, RepairReport, WINDOW_BYTES};
use crate::session::CallError;
use crate::time::Mono;
use crate::transfer::Token;

/// What a made-up peer answers instead of the truth.
pub(crate) type Lie<'a> = &'a dyn Fn(NodeId, &Request) -> Option<Result<Response, CallError>>;

/// Who repairs, and how it behaves.
pub(crate) struct Healer {
    pub(crate) config: Config,
    /// Begins so much later.
    pub(crate) begins_after: Duration,
    /// Is told to stop at this moment.
    pub(crate) cancelled_at: Option<Mono>,
    /// With a pace: so many bytes each time after so long.
    pub(crate) grants: (Duration, u64),
    /// Its work on this segment fails.
    pub(crate) fails_at: Option<u64>,
}

impl Healer {
    pub(crate) fn of(world: &World) -> Self {
        let config = Config {
            si: StorageIndex([3; 16]),
            ueb_hash: None,
            candidates: world.ids(),
            takers: world.ids().into_iter().collect(),
            draining: BTreeSet::new(),
            upload: UploadId([4; 16]),
            window_bytes: WINDOW_BYTES,
            distrusted: BTreeSet::new(),
            paced: false,
        };
        Self {
            config,
            begins_after: Duration::ZERO,
            cancelled_at: None,
            grants: (HOP, u64::MAX),
            fails_at: None,
        }
    }

    /// With a cap that says which file it is.
    pub(crate) fn knowing(mut self, ueb_hash: Hash) -> Self {
        self.config.ueb_hash = Some(ueb_hash);
        self
    }
}

/// What came of a repair.
#[derive(Debug)]
pub(crate) struct Repaired {
    pub(crate) result: Result<RepairReport, RepairFailed>,
    pub(crate) took: Duration,
    pub(crate) held_most: usize,
    /// Most bytes moved beyond what was granted.
    pub(crate) overdrawn: u64,
    /// Most bytes that were granted and not moved at the end; negative: moved and not granted.
    pub(crate) saved: i64,
    /// Reads that were taken back.
    pub(crate) reads_cancelled: usize,
    /// Kinds of the requests sent.
    pub(crate) sent: Vec<&'static str>,
    /// Segments given to be rebuilt, with the shares that were wanted.
    pub(crate) rebuilt: Vec<(u64, Vec<ShareNumber>)>,
}

impl Repaired {
    pub(crate) fn report(&self) -> &RepairReport {
        match &self.result {
            Ok(report) => report,
            Err(failed) => panic!("the repair failed: {failed}"),
        }
    }

    pub(crate) fn failed(&self) -> &RepairFailed {
        self.result.as_ref().expect_err("the repair fails")
    }
}

enum Event {
    Begin(usize),
    Arrive(usize, Option<Token>, NodeId, Request),
    Answer(usize, Token, Result<Response, CallError>),
    Rebuild(usize, u64, SegmentIndex, Vec<FetchedBlock>, Vec<ShareNumber>),
    Grant(usize),
}

/// One repair under way.
struct Run<'a> {
    healer: &'a Healer,
    machine: Option<Repair>,
    rebuilder: Option<SegmentRebuilder>,
    began: Mono,
    ended_at: Option<Mono>,
    result: Option<Result<RepairReport, RepairFailed>>,
    tokens: BTreeSet<Token>,
    /// Requests that are neither answered nor cancelled, and what is read by each.
    out: BTreeMap<Token, Option<(NodeId, ShareNumber, SegmentIndex)>>,
    granted: u64,
    moved: u64,
    done: Repaired,
}

/// Runs one repair to its end.
pub(crate) fn run_repair(healer: &Healer, world: &mut World) -> Repaired {
    run_repair_with(healer, world, &|_, _| None)
}

/// Runs one repair to its end, among liars.
pub(crate) fn run_repair_with(healer: &Healer, world: &mut World, lie: Lie<'_>) -> Repaired {
    let mut all = run_repairs(std::slice::from_ref(healer), world, lie);
    all.pop().expect("one repair")
}

/// Runs repairs at the same time, each to its end.
pub(crate) fn run_repairs(healers: &[Healer], world: &mut World, lie: Lie<'_>) -> Vec<Repaired> {
    let mut queue: BTreeMap<(Mono, u64), Event> = BTreeMap::new();
    let mut number = 0;
    let mut runs: Vec<Run<'_>> = healers.iter().map(|healer| Run::new(healer, world.now)).collect();
    for (index, healer) in healers.iter().enumerate() {
        number += 1;
        queue.insert((world.now + healer.begins_after, number), Event::Begin(index));
    }
    for _ in 0..EVENTS_MAX {
        for (index, run) in runs.iter_mut().enumerate() {
            for (at, event) in run.drain(index, world.now) {
                number += 1;
                queue.insert((at, number), event);
            }
        }
        let deadline = runs.iter().filter_map(Run::next_deadline).min();
        let first = queue.first_key_value().map(|(key, _)| key.0);
        let (at, event) = match (first, deadline) {
            (Some(first), deadline) if deadline.is_none_or(|deadline| first <= deadline) => {
                let (key, event) = queue.pop_first().expect("just seen");
                (key.0, Some(event))
            }
            (_, Some(deadline)) => (deadline, None),
            (_, None) => break,
        };
        world.now = world.now.max(at);
        match event {
            None => runs.iter_mut().for_each(|run| run.wake(world.now)),
            Some(Event::Arrive(index, token, peer, request)) => {
                let answers = arrive(world, token, peer, &request, lie);
                for (at, token, result) in answers {
                    number += 1;
                    queue.insert((at, number), Event::Answer(index, token, result));
                }
            }
            Some(Event::Begin(index)) => {
                runs[index].began = world.now;
                runs[index].machine = Some(Repair::new(healers[index].config.clone(), world.now));
            }
            Some(Event::Answer(index, token, result)) => runs[index].answer(world.now, token, result),
            Some(Event::Rebuild(index, job, segment, blocks, wanted)) => {
                runs[index].rebuild(world.now, job, segment, blocks, &wanted);
            }
            Some(Event::Grant(index)) => runs[index].grant(world.now),
        }
    }
    assert!(queue.is_empty(), "the repairs do not end");
    runs.into_iter().map(Run::finish).collect()
}

fn arrive(
    world: &mut World,
    token: Option<Token>,
    peer: NodeId,
    request: &Request,
    lie: Lie<'_>,
) -> Vec<(Mono, Token, Result<Response, CallError>)> {
    if let Some(result) = lie(peer, request) {
        return token
            .into_iter()
            .map(|token| (world.now + HOP, token, result.clone()))
            .collect();
    }
    let mut answers = Queue(BTreeMap::new(), 0);
    world.arrive(&mut answers, token, peer, request);
    let answers = answers.0.into_iter().filter_map(|((at, _), event)| match event {
        Answered::Answer { token, result } => Some((at, token, result)),
        _ => None,
    });
    answers.collect()
}

impl<'a> Run<'a> {
    fn new(healer: &'a Healer, now: Mono) -> Self {
        Self {
            healer,
            machine: None,
            rebuilder: None,
            began: now,
            ended_at: None,
            result: None,
            tokens: BTreeSet::new(),
            out: BTreeMap::new(),
            granted: 0,
            moved: 0,
            done: Repaired {
                result: Err(RepairFailed {
                    error: crate::repair::RepairError::Cancelled,
                    findings: crate::repair::Findings::default(),
                }),
                took: Duration::ZERO,
                held_most: 0,
                overdrawn: 0,
                saved: 0,
                reads_cancelled: 0,
                sent: Vec::new(),
                rebuilt: Vec::new(),
            },
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        let machine = self.machine.as_ref().filter(|machine| !machine.has_ended())?;
        let cancelled = self.healer.cancelled_at;
        crate::transfer::earlier(machine.next_deadline(), cancelled)
    }

    fn wake(&mut self, now: Mono) {
        let cancelled = self.healer.cancelled_at.is_some_and(|at| at <= now);
        let Some(machine) = self.machine.as_mut().filter(|machine| !machine.has_ended()) else {
            return;
        };
        if cancelled {
            machine.handle_cancel(now);
        } else if machine.next_deadline().is_some_and(|at| at <= now) {
            machine.handle_timeout(now);
            let next = machine.next_deadline();
            assert!(
                next.is_none_or(|at| at > now),
                "a deadline that has passed is kept"
            );
        }
    }

    fn answer(&mut self, now: Mono, token: Token, result: Result<Response, CallError>) {
        self.out.remove(&token);
        if let Some(machine) = &mut self.machine {
            machine.handle_answer(now, token, result.clone());
            // What is answered twice changes nothing.
            machine.handle_answer(now, token, result);
        }
    }

    fn grant(&mut self, now: Mono) {
        let bytes = self.healer.grants.1;
        self.granted = self.granted.saturating_add(bytes);
        if let Some(machine) = &mut self.machine {
            machine.handle_budget(now, bytes);
        }
    }

    fn rebuild(
        &mut self,
        now: Mono,
        job: u64,
        segment: SegmentIndex,
        blocks: Vec<FetchedBlock>,
        wanted: &[ShareNumber],
    ) {
        let Some(machine) = &mut self.machine else { return };
        let facts = machine.file().expect("facts come before blocks").clone();
        let coding = facts.ueb().coding();
        let tool = self
            .rebuilder
            .get_or_insert_with(|| SegmentRebuilder::new(coding, engines()));
        let rebuilt = rebuild_segment(tool, &facts, segment, blocks, wanted);
        let fails = self.healer.fails_at == Some(segment.0);
        machine.handle_rebuilt(now, job, (!fails).then_some(rebuilt));
    }

    /// Takes the effects, with the moments at which something follows from them.
    fn drain(&mut self, index: usize, now: Mono) -> Vec<(Mono, Event)> {
        let Some(machine) = &mut self.machine else {
            return Vec::new();
        };
        let mut events = Vec::new();
        while let Some(effect) = machine.poll_effect() {
            assert!(self.result.is_none(), "an effect after the last: {effect:?}");
            match effect {
                Effect::Send {
                    token,
                    peer,
                    request,
                    lane,
                    budget,
                } => {
                    assert!(self.tokens.insert(token), "a token twice");
                    assert_eq!(lane, Lane::Bulk);
                    assert!(budget > Duration::ZERO);
                    self.done.sent.push(request.kind().name());
                    let reads = match &request {
                        Request::ReadBlock(read) => Some((peer, read.share, read.segment)),
                        _ => None,
                    };
                    let again = reads.is_some() && self.out.values().any(|out| *out == reads);
                    assert!(!again, "a block is asked for that is on its way: {reads:?}");
                    self.out.insert(token, reads);
                    self.moved += match &request {
                        Request::WriteBlock(write) => write.block.len() as u64,
                        Request::PutShare(put) => put.block.len() as u64,
                        Request::ReadBlock(read) => {
                            let facts = machine.file().expect("known before anything is read");
                            facts.ueb().geometry().block_bytes(read.segment) as u64
                        }
                        _ => 0,
                    };
                    events.push((now + HOP, Event::Arrive(index, Some(token), peer, request)));
                }
                Effect::Notify { peer, request, .. } => {
                    assert!(match &request {
                        Request::AbortShare(_) => true,
                        Request::ReadBlock(read) => read.suspect,
                        _ => false,
                    });
                    events.push((now + HOP, Event::Arrive(index, None, peer, request)));
                }
                Effect::CancelSend { token } => {
                    let was_for = self.out.remove(&token).expect("a cancel for nothing");
                    self.done.reads_cancelled += usize::from(was_for.is_some());
                }
                Effect::Rebuild {
                    job,
                    segment,
                    blocks,
                    wanted,
                } => {
                    let facts = machine.file().expect("known before anything is rebuilt");
                    let block_bytes = facts.ueb().geometry().block_bytes(segment);
                    assert_eq!(blocks.len(), facts.ueb().coding().k());
                    assert!(blocks.iter().all(|block| block.block.len() == block_bytes));
                    self.done.rebuilt.push((segment.0, wanted.clone()));
                    events.push((now + HOP, Event::Rebuild(index, job, segment, blocks, wanted)));
                }
                Effect::NeedBudget { bytes } => {
                    assert!(bytes > 0 && self.healer.config.paced);
                    events.push((now + self.healer.grants.0, Event::Grant(index)));
                }
                Effect::Completed(report) => self.result = Some(Ok(*report)),
                Effect::Failed(failed) => self.result = Some(Err(*failed)),
            }
        }
        let (held, most) = machine.held_bytes();
        assert!(held <= most, "{held} bytes held, {most} may be");
        self.done.held_most = self.done.held_most.max(held);
        if self.healer.config.paced {
            self.done.overdrawn = self.done.overdrawn.max(self.moved.saturating_sub(self.granted));
        }
        if self.result.is_some() {
            self.ended_at.get_or_insert(now);
            assert!(machine.has_ended() && machine.next_deadline().is_none());
            assert!(self.out.is_empty(), "not cancelled: {:?}", self.out);
        }
        events
    }

    fn finish(self) -> Repaired {
        let saved = i64::try_from(self.granted).unwrap_or(i64::MAX) - self.moved as i64;
        Repaired {
            saved,
            result: self.result.expect("a repair comes to an end"),
            took: self.ended_at.unwrap_or(self.began).saturating_sub(self.began),
            ..self.done
        }
    }
}

impl World {
    /// Every share that some peer holds, and who.
    pub(crate) fn holders(&self) -> BTreeMap<ShareNumber, Vec<NodeId>> {
        let mut holders: BTreeMap<ShareNumber, Vec<NodeId>> = BTreeMap::new();
        for (id, peer) in &self.peers {
            for share in peer.shares.keys() {
                holders.entry(*share).or_default().push(*id);
            }
        }
        holders
    }

    /// The shares as they are now, one of each number.
    pub(crate) fn originals(&self) -> BTreeMap<ShareNumber, Stored> {
        let shares = self.peers.values().flat_map(|peer| &peer.shares);
        shares.map(|(share, stored)| (*share, stored.clone())).collect()
    }

    /// Shares that are being written somewhere.
    pub(crate) fn open_shares(&self) -> usize {
        self.peers.values().map(|peer| peer.open.len()).sum()
    }
}

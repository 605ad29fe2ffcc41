//! The attack: carries out a schedule, fault by fault, and heals what it did.
//!
//! Owns the order. One thread begins and ends every fault, one after the other, so that what is on at any moment is what
//! the planner counted. Before a fault begins, the nodes of earlier ones must be back; the schedule waits for them, and
//! everything after it comes later by as much. A node that dies by itself is a violation, and is started again.

pub(crate) mod clock;
mod deeds;
pub(crate) mod disk;
pub(crate) mod fleet;
pub(crate) mod hand;
pub(crate) mod local;
pub(crate) mod shares;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::budget::{Ledger, owned};
use super::fault::{Fault, Kind, Ms};
use super::net::Proxies;
use super::patience::{Patience, Waited};
use super::plan::Plan;
use super::record::Promise;
use super::shape::Shape;
use super::world::World;
use crate::error::CliError;
use crate::http::Gateway;
use crate::status::PeerRow;
use fleet::Fleet;
use shares::Damage;

/// How long nodes may take to be back before the next fault: links are dialled again within 30 s; twice as much on a busy
/// machine.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// The same after the last fault, before the verdict.
const HEALED_WITHIN: Duration = Duration::from_secs(120);

/// Longest rest while nothing begins or ends.
const REST: Duration = Duration::from_millis(500);

/// Patience with the gateway when it is only looked whether it is there.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Attack<'a> {
    pub(crate) world: &'a World,
    pub(crate) shape: &'a Shape,
    pub(crate) fleet: Fleet,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) damage: Damage,
    gateway: Gateway,
    ledger: Ledger<'a>,
    /// Whether a line is shown for what happens.
    loud: bool,
    /// Faults that were left out, and steps that failed for a reason that is not the cluster's.
    pub(crate) troubles: Vec<String>,
    /// Whether damage was not mended in time, so that no more may be done.
    unmended: bool,
    /// Whether a fault could not be undone, so that its node is away beyond its time and the budget no longer holds.
    not_undone: bool,
    /// When it was last looked whether a node has died by itself.
    looked: Instant,
    /// Whether it was told that this cannot be seen.
    blind: bool,
}

/// A fault that is on, and when it ends by the clock of the schedule.
struct On {
    fault: Fault,
    end_ms: Ms,
}

impl<'a> Attack<'a> {
    /// Nothing is attacked yet.
    pub(crate) fn new(
        world: &'a World,
        shape: &'a Shape,
        fleet: Fleet,
        proxies: Option<Proxies>,
        gateway: &Gateway,
        loud: bool,
    ) -> Attack<'a> {
        Attack {
            ledger: Ledger::new(shape),
            gateway: gateway.impatient(LOOK_PATIENCE),
            damage: Damage::default(),
            troubles: Vec::new(),
            unmended: false,
            not_undone: false,
            looked: Instant::now(),
            blind: false,
            world,
            shape,
            fleet,
            proxies,
            loud,
        }
    }

    /// Carries out the schedule. Every fault has ended when this returns, unless all shall end at once.
    pub(crate) fn run(&mut self, plan: &Plan, patience: &mut Patience) -> Result<(), CliError> {
        let mut on: Vec<On> = Vec::new();
        let outcome = self.carry_out(plan, &mut on, patience);
        for on in on {
            self.end(&on.fault, patience)?;
        }
        outcome
    }

    fn carry_out(&mut self, plan: &Plan, on: &mut Vec<On>, patience: &mut Patience) -> Result<(), CliError> {
        let started = Instant::now();
        let mut late_ms: Ms = 0;
        let clock = |late_ms: Ms| (started.elapsed().as_millis() as Ms).saturating_sub(late_ms);
        // A schedule that had to wait for nodes may last twice as long and a bit; then what is left of it is left out.
        let last = Duration::from_millis(plan.length_ms * 2) + BACK_WITHIN;
        let mut waiting = plan.faults.iter().peekable();
        while !patience.is_asked_to_stop() {
            let now_ms = clock(late_ms);
            if let Some(at) = on.iter().position(|on| on.end_ms <= now_ms) {
                let ended = on.swap_remove(at);
                self.end(&ended.fault, patience)?;
                continue;
            }
            let why = if self.not_undone {
                Some("an earlier one could not be undone")
            } else {
                (started.elapsed() > last).then_some("the nodes took too long to come back")
            };
            if let Some(why) = why {
                let left = waiting.count();
                self.troubles.push(format!("{left} faults were left out: {why}"));
                return Ok(());
            }
            if let Some(fault) = waiting.next_if(|fault| fault.at_ms <= now_ms) {
                self.until_back(BACK_WITHIN, patience)?;
                if self.begin(fault, patience)? {
                    late_ms += clock(late_ms).saturating_sub(fault.at_ms);
                    let end_ms = clock(late_ms) + fault.lasts_ms;
                    let fault = fault.clone();
                    on.push(On { fault, end_ms });
                }
                continue;
            }
            if now_ms >= plan.length_ms {
                return Ok(());
            }
            self.look_for_dead(patience)?;
            let next = waiting.peek().map(|fault| fault.at_ms).into_iter();
            let next = next
                .chain(on.iter().map(|on| on.end_ms))
                .chain([plan.length_ms])
                .min();
            let wait = Duration::from_millis(next.unwrap_or(now_ms).saturating_sub(now_ms));
            patience.pause(wait.min(REST));
        }
        Ok(())
    }

    /// Begins a fault; says whether it is on.
    fn begin(&mut self, fault: &Fault, patience: &mut Patience) -> Result<bool, CliError> {
        if self.unmended && fault.kind.damages() {
            self.troubles.push(format!(
                "{} was left out: earlier damage was not mended in time",
                fault.text()
            ));
            return Ok(false);
        }
        self.ledger.begin(fault);
        self.world.fault_begins(fault);
        self.note_what_is_expected();
        let seconds = fault.lasts_ms as f64 / 1000.0;
        self.tell(format!("{}, {seconds:.1} s", fault.text()));
        let done = self.do_it(fault, patience);
        // It undoes what it does on its way, or not.
        self.not_undone |= fault.kind == Kind::Rolling && done.as_ref().is_err_and(is_trouble);
        if let Some(detail) = self.take(done)?.flatten() {
            self.tell(format!("{}: {detail}", fault.text()));
        }
        Ok(true)
    }

    /// Ends a fault.
    fn end(&mut self, fault: &Fault, patience: &mut Patience) -> Result<(), CliError> {
        let undone = self.undo_it(fault, patience);
        self.not_undone |= undone.as_ref().is_err_and(is_trouble);
        let was_trouble = self.not_undone && (undone.is_err() || fault.kind == Kind::Rolling);
        let took = self.take(undone)?;
        if was_trouble {
            // It counts as on: its node is still away, through no fault of the cluster's.
            return Ok(());
        }
        self.world.fault_ends(fault.number);
        self.ledger.end(fault.number);
        self.note_what_is_expected();
        if took.is_some() {
            self.tell(format!("{} is over", fault.text()));
        }
        Ok(())
    }

    /// What went wrong in a step: of the cluster a violation, of anything else a trouble, and the run goes on.
    fn take<T>(&mut self, outcome: Result<T, CliError>) -> Result<Option<T>, CliError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(CliError::CutOff) => Err(CliError::CutOff),
            Err(error) if !is_trouble(&error) => {
                self.tell(error.to_string());
                self.world.violate(Promise::Recovery, error.to_string());
                Ok(None)
            }
            Err(error) => {
                self.tell(error.to_string());
                self.troubles.push(error.to_string());
                Ok(None)
            }
        }
    }

    /// Tells what happens, now and in the report.
    pub(crate) fn tell(&self, line: String) {
        if self.loud {
            let now = self.world.now().as_secs();
            eprintln!("{:3}:{:02}  {line}", now / 60, now % 60);
        }
        self.world.tell(line);
    }

    fn note_what_is_expected(&self) {
        let now = self.world.now();
        let expected = &mut self.world.state().expected;
        let note = |since: &mut Option<_>, holds: bool| *since = holds.then(|| since.unwrap_or(now));
        note(&mut expected.reads, self.ledger.reads_expected());
        note(&mut expected.uploads, self.ledger.uploads_expected());
        note(&mut expected.drive, self.ledger.drive_expected());
    }

    /// Waits until the gateway reaches every peer that no fault holds back; tells if that takes too long.
    fn until_back(&mut self, within: Duration, patience: &mut Patience) -> Result<Waited, CliError> {
        if !self.ledger.gateway_expected() {
            return Ok(Waited::Yes);
        }
        let mut missing = Vec::new();
        let waited = patience.until(within, || {
            missing = self.not_linked();
            Ok(missing.is_empty())
        })?;
        if waited == Waited::No {
            self.tell(format!(
                "not back after {} s: {}",
                within.as_secs(),
                missing.join(", ")
            ));
        }
        Ok(waited)
    }

    /// Peers that should be linked to the gateway and are not; the gateway itself if it does not answer.
    fn not_linked(&self) -> Vec<String> {
        let Ok(welcome) = self.gateway.json("/?t=json") else {
            return vec![
                self.shape
                    .gateway
                    .clone()
                    .unwrap_or_else(|| "the gateway".to_owned()),
            ];
        };
        let linked: Vec<String> = PeerRow::all(&welcome)
            .into_iter()
            .filter(|row| row.connected)
            .map(|row| row.nickname)
            .collect();
        let held = |peer: &&String| {
            self.ledger
                .on()
                .any(|fault| owned(fault, self.shape).contains(*peer))
        };
        let free = self.shape.peers.iter().filter(|peer| !held(peer));
        free.filter(|peer| !linked.contains(peer)).cloned().collect()
    }

    /// Nodes that do not run. That it cannot be seen is told once.
    fn missing(&mut self) -> Result<Vec<String>, CliError> {
        let looked = self.fleet.hand.missing();
        self.looked = Instant::now();
        if looked.is_err() && std::mem::replace(&mut self.blind, true) {
            return Ok(Vec::new());
        }
        Ok(self.take(looked)?.unwrap_or_default())
    }

    /// A node that does not run although no fault stopped it has died by itself.
    fn look_for_dead(&mut self, patience: &mut Patience) -> Result<(), CliError> {
        if self.looked.elapsed() < self.fleet.hand.look_every() {
            return Ok(());
        }
        for name in self.missing()? {
            if self.fleet.undo.deeds.down.contains(&name) {
                continue;
            }
            let what = format!("{name} has died by itself; see {}", self.fleet.hand.log(&name));
            self.tell(what.clone());
            self.world.violate(Promise::Recovery, what);
            let started = self.fleet.start_and_wait(&name, patience);
            self.take(started)?;
        }
        Ok(())
    }

    /// After the last fault: every node runs, and all are linked.
    pub(crate) fn heal(&mut self, patience: &mut Patience) -> Result<(), CliError> {
        self.tell("the attack is over".to_owned());
        // What could not be seen before is looked at anew, and told anew.
        self.blind = false;
        let mut away: BTreeSet<String> = self.missing()?.into_iter().collect();
        if self.not_undone {
            away.extend(self.fleet.undo.deeds.down.iter().cloned());
            for name in self.fleet.undo.deeds.frozen.clone() {
                let thawed = self.fleet.thaw(&name);
                self.take(thawed)?;
            }
        }
        for name in away {
            let started = self.fleet.start_and_wait(&name, patience);
            self.take(started)?;
        }
        self.end_what_is_undone();
        if self.until_back(HEALED_WITHIN, patience)? == Waited::No {
            let missing = self.not_linked().join(", ");
            let seconds = HEALED_WITHIN.as_secs();
            let what = format!("{seconds} s after the last fault the gateway does not reach {missing}");
            self.world.violate(Promise::Recovery, what);
        }
        let still = self.fleet.undo.deeds.down.clone();
        for name in self.missing()? {
            if self.not_undone && still.contains(&name) {
                continue;
            }
            self.world
                .violate(Promise::Recovery, format!("{name} does not run at the end"));
        }
        self.world.state().record.restarts = self.fleet.starts;
        Ok(())
    }

    /// Faults that could not be undone in their time are over if they are undone now.
    fn end_what_is_undone(&mut self) {
        let deeds = &self.fleet.undo.deeds;
        if !deeds.frozen.is_empty() || !deeds.down.is_empty() {
            return;
        }
        let numbers: Vec<usize> = self.ledger.on().map(|fault| fault.number).collect();
        for number in numbers {
            self.world.fault_ends(number);
            self.ledger.end(number);
        }
        self.note_what_is_expected();
    }

    /// Whether everything can be expected to work: all was undone, or what was not is within the budget.
    pub(crate) fn can_be_judged(&self) -> bool {
        let ledger = &self.ledger;
        !self.not_undone || (ledger.reads_expected() && ledger.uploads_expected() && ledger.drive_expected())
    }

    /// How many whole shares of each file lie on the peers, by its storage index; none if that cannot be seen.
    pub(crate) fn whole(&mut self) -> Result<Option<BTreeMap<String, usize>>, CliError> {
        if self.shape.peers.is_empty() || !self.fleet.hand.sees_all_shares() {
            return Ok(None);
        }
        let only = self.only();
        let hand = self.fleet.hand.as_mut();
        let counted = self.damage.whole(hand, &self.shape.peers, &only);
        self.take(counted)
    }
}

/// Whether an error is of the attack itself, not of the cluster.
fn is_trouble(error: &CliError) -> bool {
    !matches!(error, CliError::NotReady { .. } | CliError::ChildDied { .. })
}

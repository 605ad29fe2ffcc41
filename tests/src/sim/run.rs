//! A whole run: start, chaos, healing, and what a mesh that got well must be able to do.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use truckee_engine::repair::RepairOutcome;
use truckee_engine::store::MEASURE_EVERY;
use truckee_wire::message::Role;

use super::disk::ShareName;
use super::mix::{Mix, Size};
use super::model::{Model, OrderId, Outcome, Tally, Violation};
use super::node::RepairOrder;
use super::rng::Rng;
use super::scheduler::{Micros, SECONDS};
use super::world::{Event, World};

/// Within this time after all faults have ended every node must see every other one and all that was begun must have
/// ended: the longest wait between dials (30 s), twice, and a dead link's longest silence (60 s) or the longest time budget of a request (60 s) fit in it.
const WELL_WITHIN: Micros = 200 * SECONDS;
/// Within this time a mesh that is well must serve the last orders.
const SERVED_WITHIN: Micros = 60 * SECONDS;
/// Within this time what was left half-done must have been cleared away: an open share expires after a minute.
const TIDY_WITHIN: Micros = 150 * SECONDS;
/// Within this time all shares must have been read back, whatever they were in: the rest of a round and a whole one.
const SCRUBBED_WITHIN: Micros = 200 * SECONDS;
/// How often a condition that takes a while is looked at.
const LOOK_EVERY: Micros = SECONDS / 4;
/// More steps than any run of an honest mesh takes; a machine that keeps itself busy is found by it.
const STEPS_MAX: u64 = 3_000_000;

/// A run that kept all promises.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Hash over everything that happened.
    pub hash: u64,
    /// Events taken.
    pub steps: u64,
    /// Virtual time.
    pub lasted: Micros,
    /// How things ended.
    pub tally: Tally,
}

/// A run that broke one.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What was wrong.
    pub what: String,
    /// At which step.
    pub step: u64,
    /// What the run was like, and its last lines.
    pub story: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.story)?;
        writeln!(
            out,
            "seed {} failed at step {}: {}",
            self.seed, self.step, self.what
        )?;
        write!(
            out,
            "replay: TRUCKEE_SEED={} cargo test -p truckee-tests --test sim replay",
            self.seed
        )
    }
}

/// Runs `seed`.
///
/// # Errors
/// The promise that was broken, with the story.
pub fn run(seed: u64, size: Size) -> Result<Report, Box<Failure>> {
    let mix = Mix::draw(&mut Rng::new(seed).fork("mix"), size);
    run_mix(seed, mix)
}

/// Runs `seed` in a mesh like `mix`.
///
/// # Errors
/// The promise that was broken, with the story.
pub fn run_mix(seed: u64, mix: Mix) -> Result<Report, Box<Failure>> {
    let mut world = World::new(mix, seed);
    let ended = catch_unwind(AssertUnwindSafe(|| world.live()));
    let what = match ended {
        Ok(Ok(())) => {
            return Ok(Report {
                seed,
                hash: world.trace.hash(),
                steps: world.scheduler.steps(),
                lasted: world.scheduler.now(),
                tally: std::mem::take(&mut world.model.tally),
            });
        }
        Ok(Err(Violation(what))) => what,
        Err(panic) => format!("panic: {}", panic_text(&*panic)),
    };
    let story = format!("{}\n{:#?}", world.trace, world.mix);
    Err(Box::new(Failure {
        seed,
        what,
        step: world.scheduler.steps(),
        story,
    }))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

impl World {
    fn live(&mut self) -> Result<(), Violation> {
        self.start_all();
        self.pass(self.mix.chaos)?;
        self.peaceful = true;
        self.heal();
        self.collect();
        self.until(WELL_WITHIN, Self::well)?;
        // By then every store has noticed that its disk has room again.
        self.pass(MEASURE_EVERY.as_micros() as Micros + SECONDS)?;
        self.repair_last_files()?;
        self.serve_last_orders()?;
        self.serve_last_directories()?;
        self.until(TIDY_WITHIN, Self::tidy)?;
        if self.mix.scrubs {
            self.until(SCRUBBED_WITHIN, Self::nothing_rotten)?;
        }
        for (host, at) in self.hosts.iter().enumerate() {
            self.model.check_disk(host, &at.disk)?;
        }
        Ok(())
    }

    fn start_all(&mut self) {
        let late_from = self.hosts.len() - self.mix.late;
        for host in 0..self.hosts.len() {
            let span = if host >= late_from {
                self.mix.chaos
            } else {
                SECONDS
            };
            let due = self.chance.below(span);
            self.scheduler
                .at(due, Event::Relief(super::faults::Relief::Start(host)));
        }
        self.scheduler.at(2 * SECONDS, Event::Work);
        if !self.mix.faults.is_empty() {
            self.scheduler.at(SECONDS, Event::Fault);
        }
    }

    /// Draws when the next fault is, and lets this one happen.
    pub(super) fn next_fault(&mut self) {
        if self.peaceful {
            return;
        }
        let pause = self.chance.below(self.mix.fault_every * 2);
        self.scheduler.after(pause, Event::Fault);
        self.fault();
    }

    /// Lets `time` pass.
    pub(super) fn pass(&mut self, time: Micros) -> Result<(), Violation> {
        let horizon = self.scheduler.now() + time;
        while self.step(horizon)? {
            if self.scheduler.steps() > STEPS_MAX {
                return Err(Violation(format!("more than {STEPS_MAX} steps")));
            }
        }
        Ok(())
    }

    /// Lets time pass until `holds`, for at most `patience`.
    pub(super) fn until(
        &mut self,
        patience: Micros,
        holds: impl Fn(&Self) -> Result<(), String>,
    ) -> Result<(), Violation> {
        let horizon = self.scheduler.now() + patience;
        loop {
            let Err(why_not) = holds(self) else { return Ok(()) };
            if self.scheduler.now() >= horizon {
                return Err(Violation(format!(
                    "no progress within {} s: {why_not}",
                    patience / SECONDS
                )));
            }
            self.pass(LOOK_EVERY)?;
        }
    }

    /// Does everybody see everybody, over one link, and is nothing under way?
    fn well(&self) -> Result<(), String> {
        self.nothing_running()?;
        match self
            .hosts
            .iter()
            .position(|host| host.node.is_none() || host.frozen)
        {
            Some(host) => Err(format!("node {host} is off")),
            None => self.well_among_the_living(),
        }
    }

    /// Does every node that is on, and not frozen, see every other such node over one link?
    pub(super) fn well_among_the_living(&self) -> Result<(), String> {
        let lives = |host: usize| self.hosts[host].node.is_some() && !self.hosts[host].frozen;
        for (host, at) in self.hosts.iter().enumerate().filter(|(host, _)| lives(*host)) {
            let Some(node) = &at.node else { continue };
            for peer in self
                .book
                .all()
                .iter()
                .filter(|peer| peer.host != host && lives(peer.host))
            {
                node.sees(peer)
                    .map_err(|why| format!("node {host} does not see node {}: {why}", peer.host))?;
            }
        }
        Ok(())
    }

    /// Is nothing left over?
    pub(super) fn tidy(&self) -> Result<(), String> {
        for (host, at) in self.hosts.iter().enumerate() {
            let left = at.node.as_ref().map_or(Ok(()), |node| node.idle(&at.disk));
            left.map_err(|what| format!("node {host} is not idle: {what}"))?;
            if at.disk.in_progress() > 0 {
                return Err(format!(
                    "node {host} keeps {} shares in progress",
                    at.disk.in_progress()
                ));
            }
        }
        Ok(())
    }

    /// Repairs every stored file, each from some storage node. What was not beyond rescue is whole then.
    fn repair_last_files(&mut self) -> Result<(), Violation> {
        let stores = self.hosts_with(Role::Storage);
        let mut orders = Vec::new();
        for file in self.model.files().to_vec() {
            let Some(host) = self.healing.pick(&stores).copied() else {
                return Ok(());
            };
            let order = RepairOrder {
                id: self.model.new_order(host),
                si: file.cap.storage_index(),
                ueb_hash: Some(file.cap.ueb_hash),
                grant: None,
            };
            let sound = Model::sound_shares(&file.cap, self.hosts.iter().map(|host| &host.disk));
            orders.push((self.repair(host, order), file, sound));
        }
        self.until(SERVED_WITHIN, Self::nothing_running)?;
        for (order, file, sound) in orders {
            let (cap, disks) = (&file.cap, self.hosts.iter().map(|host| &host.disk));
            let after = Model::sound_shares(cap, disks);
            let hosts = 0..self.hosts.len();
            let rotted = hosts
                .into_iter()
                .any(|host| self.model.any_spoilt(host, cap.storage_index()));
            let whole = match self.model.outcome(order) {
                Some(Outcome::Repaired(report)) => {
                    report.outcome != RepairOutcome::Partial && after == cap.coding.n()
                }
                _ => sound < cap.coding.k(),
            };
            // What has rotted counts as there until it is read.
            if !whole && !rotted {
                let outcome = self.model.outcome(order);
                let what = format!(
                    "{sound} sound shares, {after} after order {}: {outcome:?}",
                    order.0
                );
                return Err(Violation(what));
            }
        }
        Ok(())
    }

    /// Is every share with a turned bit put aside, though nobody asked for it?
    fn nothing_rotten(&self) -> Result<(), String> {
        let rotten = |(host, name): (usize, ShareName)| {
            format!(
                "node {host} keeps share {} of {}, which is rotten",
                name.1, name.0
            )
        };
        let disks = self.hosts.iter().map(|host| &host.disk).enumerate();
        let mut all = disks.flat_map(|(host, disk)| disk.rotten().map(move |name| (host, name)));
        all.next().map_or(Ok(()), |first| Err(rotten(first)))
    }

    /// Reads back every stored file and stores another one from each gateway.
    fn serve_last_orders(&mut self) -> Result<(), Violation> {
        let gateways = self.hosts_with(Role::Gateway);
        let mut reads: Vec<(OrderId, usize, usize)> = Vec::new();
        for file in self.model.files().to_vec() {
            let sound = Model::sound_shares(&file.cap, self.hosts.iter().map(|host| &host.disk));
            let gateway = self.wishes.pick(&gateways).copied().unwrap_or(0);
            let order = self.polite_download(gateway, file.clone());
            reads.push((self.download(gateway, order), sound, file.cap.coding.k()));
        }
        let mut writes = Vec::new();
        for gateway in &gateways {
            let order = self.polite_upload(*gateway);
            writes.push(self.upload(*gateway, order));
        }
        self.until(SERVED_WITHIN, Self::nothing_running)?;
        for (order, sound, needed) in reads {
            match self.model.outcome(order) {
                Some(Outcome::Read) => {}
                _ if sound < needed => self
                    .model
                    .tally
                    .count("file beyond rescue, and the reader was told"),
                other => {
                    let what = format!(
                        "{sound} sound shares of {needed} needed, and order {} is {other:?}",
                        order.0
                    );
                    return Err(Violation(what));
                }
            }
        }
        let mut fresh = Vec::new();
        for order in writes {
            match self.model.outcome(order) {
                Some(Outcome::Stored(cap)) => fresh.push(cap.ueb_hash),
                other => {
                    return Err(Violation(format!(
                        "a fresh upload, order {}, is {other:?}",
                        order.0
                    )));
                }
            }
        }
        self.read_fresh(&gateways, &fresh)
    }

    fn read_fresh(&mut self, gateways: &[usize], fresh: &[truckee_grid::ids::Hash]) -> Result<(), Violation> {
        let files: Vec<_> = self
            .model
            .files()
            .iter()
            .filter(|file| fresh.contains(&file.cap.ueb_hash))
            .cloned()
            .collect();
        let mut reads = Vec::new();
        for file in files {
            let gateway = self.wishes.pick(gateways).copied().unwrap_or(0);
            let order = self.polite_download(gateway, file);
            reads.push(self.download(gateway, order));
        }
        self.until(SERVED_WITHIN, Self::nothing_running)?;
        let failed = reads
            .iter()
            .find(|order| self.model.outcome(**order) != Some(&Outcome::Read));
        match failed {
            Some(order) => Err(Violation(format!(
                "a fresh file is not read back: {:?}",
                self.model.outcome(*order)
            ))),
            None => Ok(()),
        }
    }

    /// Changes every directory through each gateway, and reads it back.
    fn serve_last_directories(&mut self) -> Result<(), Violation> {
        if self.mix.vdrives == 0 {
            return Ok(());
        }
        let changes = self.last_changes();
        self.until(SERVED_WITHIN, Self::nothing_running)?;
        self.went_well(&changes)?;
        let reads = self.last_reads();
        self.until(SERVED_WITHIN, Self::nothing_running)?;
        self.went_well(&reads)
    }

    fn nothing_running(&self) -> Result<(), String> {
        match self.model.running().next() {
            Some((order, host)) => {
                let state = self.hosts[host]
                    .node
                    .as_ref()
                    .map_or_else(String::new, |node| node.state_of(order));
                Err(format!("order {} at node {host} has not ended: {state}", order.0))
            }
            None => Ok(()),
        }
    }
}

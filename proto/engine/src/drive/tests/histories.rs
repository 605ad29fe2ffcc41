//! Random histories: many clients on several gateways, with lost, doubled and late messages, failing databases and
//! vdrives that stop and start at any moment. What every client saw must fit one order of all edits that agrees with
//! real time, in which each acknowledged edit stands exactly once, each refused one not at all, and each unknown one
//! at most once.
//!
//! Every value that is written is written once, and every edit says what it replaced, so the edits of one name form a
//! chain that can be followed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_grid::drive::DirectoryKeys;

use super::model::*;
use crate::drive::*;
use crate::time::Mono;

/// Histories of an ordinary test run.
const SEEDS: u64 = 300;
const NAMES: u64 = 4;

#[derive(Debug, Clone)]
enum Op {
    Set {
        name: String,
        value: String,
        replace: Replace,
    },
    Remove {
        name: String,
    },
    /// Both names of the pair get the value.
    Pair {
        value: String,
    },
    Read,
}

#[derive(Debug)]
struct Done {
    op: Op,
    from: Mono,
    to: Mono,
    result: Result<Outcome, DriveError>,
}

struct Client {
    gateway: usize,
    left: u32,
    under_way: Option<(Ticket, Op, Mono)>,
}

struct History {
    seed: u64,
    world: World,
    write: DirectoryKeys,
    clients: Vec<Client>,
    done: Vec<Done>,
    values: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let vdrives = 1 + (seed % 2) as usize;
        let gateways = 1 + (seed % 3) as usize;
        let mut world = World::new(seed, gateways, vdrives);
        world.page_rows = 3;
        let (write, _) = keys(1);
        world.create(0, &write).unwrap();
        world.faults = [0, 20, 100][(seed / 7 % 3) as usize];
        let clients = (0..6)
            .map(|index| Client {
                gateway: index % gateways,
                left: 8,
                under_way: None,
            })
            .collect();
        Self {
            seed,
            world,
            write,
            clients,
            done: Vec::new(),
            values: 0,
        }
    }

    fn run(mut self) -> (Vec<Done>, Vec<Note>) {
        while self
            .clients
            .iter()
            .any(|client| client.left > 0 || client.under_way.is_some())
        {
            self.disturb();
            for index in 0..self.clients.len() {
                self.go_on(index);
            }
            let moved = self.world.step();
            assert!(
                moved || self.clients.iter().any(|client| client.under_way.is_none()),
                "seed {}: stuck",
                self.seed
            );
        }
        self.world.unfaulted();
        self.world.run_for(Duration::from_secs(30));
        let from = self.world.now;
        let last = self.world.read(0, &self.write).map(Outcome::Read);
        let to = self.world.now;
        self.done.push(Done {
            op: Op::Read,
            from,
            to,
            result: last,
        });
        for drive in &self.world.gateways {
            assert!(drive.is_idle(), "seed {}", self.seed);
        }
        self.check();
        (self.done, self.world.notes)
    }

    /// Stops and starts vdrives.
    fn disturb(&mut self) {
        if self.world.faults == 0 || self.world.dice.roll(60) > 0 {
            return;
        }
        let count = self.world.vdrives.len() as u64;
        let which = self.world.dice.roll(count) as usize;
        let vdrive = &mut self.world.vdrives[which];
        vdrive.down = !vdrive.down;
    }

    fn go_on(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if let Some((ticket, ..)) = client.under_way
            && let Some(result) = self.world.finished.remove(&ticket)
        {
            let (_, op, from) = client.under_way.take().expect("it is there");
            let to = self.world.now;
            self.done.push(Done { op, from, to, result });
        }
        if client.under_way.is_some() || client.left == 0 || self.world.dice.roll(3) > 0 {
            return;
        }
        client.left -= 1;
        let gateway = client.gateway;
        let op = self.draw();
        let from = self.world.now;
        let ticket = match &op {
            Op::Read => self.world.start_read(gateway, &self.write.clone()),
            op => {
                let edits = edits(op);
                self.world.start_edits(gateway, &self.write.clone(), edits)
            }
        };
        self.clients[index].under_way = Some((ticket, op, from));
    }

    fn draw(&mut self) -> Op {
        let dice = &mut self.world.dice;
        let name = format!("n{}", dice.roll(NAMES));
        self.values += 1;
        let value = format!("v{}", self.values);
        match dice.roll(10) {
            0..4 => Op::Set {
                name,
                value,
                replace: Replace::Always,
            },
            4 => Op::Set {
                name,
                value,
                replace: Replace::Never,
            },
            5 => Op::Remove { name },
            6 => Op::Pair { value },
            _ => Op::Read,
        }
    }

    fn check(&self) {
        let seed = self.seed;
        let views: Vec<_> = self
            .done
            .iter()
            .filter_map(|done| match &done.result {
                Ok(Outcome::Read(view)) => Some((done, texts(view))),
                _ => None,
            })
            .collect();
        for (_, texts) in &views {
            assert_eq!(texts.get("p0"), texts.get("p1"), "seed {seed}: half a call");
        }
        // Versions that are read never go back in real time.
        for (one, _) in &views {
            for (other, _) in views.iter().filter(|(other, _)| one.to < other.from) {
                assert!(
                    version(one) <= version(other),
                    "seed {seed}: an older version was read later"
                );
            }
        }
        let names: BTreeSet<String> = (0..NAMES)
            .map(|n| format!("n{n}"))
            .chain(["p0".into(), "p1".into()])
            .collect();
        for name in names {
            let reads: Vec<_> = views
                .iter()
                .map(|(done, texts)| (*done, texts.get(&name).cloned()))
                .collect();
            self.check_name(&name, &reads);
        }
    }

    fn check_name(&self, name: &str, reads: &[(&Done, Option<String>)]) {
        let seed = self.seed;
        // Acknowledged edits by what they replaced; what was written may be there, and what was refused may not.
        let mut replaced: BTreeMap<String, &Done> = BTreeMap::new();
        let (mut acknowledged, mut unknown) = (Vec::new(), 0);
        let mut refused = BTreeSet::new();
        for done in &self.done {
            let Some(value) = writes(&done.op, name) else {
                continue;
            };
            match &done.result {
                Ok(Outcome::Edited(edited)) => {
                    let index = usize::from(name == "p1");
                    let before = edited[index].before.as_ref().map(|child| text_of(&child.target));
                    if let Some(before) = before {
                        let earlier = replaced.insert(before.clone(), done);
                        assert!(
                            earlier.is_none(),
                            "seed {seed}: {before} of {name} was replaced twice: {done:?} {earlier:?}"
                        );
                    }
                    acknowledged.push((value, done));
                }
                Err(DriveError::Unknown) => unknown += 1,
                Err(_) => refused.extend(value),
                Ok(Outcome::Read(_)) => panic!("an edit"),
            }
        }
        for value in &refused {
            assert!(
                !replaced.contains_key(value),
                "seed {seed}: {value} was refused and then replaced"
            );
            let shown = reads.iter().any(|(_, read)| read.as_ref() == Some(value));
            assert!(!shown, "seed {seed}: {value} was refused and then read");
        }
        // What a reader sees was not replaced before it asked.
        for (read, value) in reads {
            let gone = value.as_ref().and_then(|value| replaced.get(value));
            assert!(
                gone.is_none_or(|gone| gone.to >= read.from),
                "seed {seed}: {value:?} of {name} was read after {gone:?}"
            );
        }
        // An edit that ended before another began does not come after it.
        for (before, later) in &replaced {
            let wrote = self
                .done
                .iter()
                .find(|done| writes(&done.op, name) == Some(Some(before.clone())));
            let wrote = wrote.expect("every value was written by somebody");
            assert!(
                wrote.from <= later.to,
                "seed {seed}: {before} was replaced before it was written"
            );
        }
        // Each acknowledged value is there at the end, or somebody replaced it.
        let last = reads.last().and_then(|(_, value)| value.clone());
        let lost = acknowledged
            .iter()
            .filter_map(|(value, _)| value.clone())
            .filter(|value| last.as_ref() != Some(value) && !replaced.contains_key(value))
            .count();
        assert!(
            lost <= unknown,
            "seed {seed}: {lost} values of {name} are lost, and {unknown} edits are unknown"
        );
        // What is there at the end was replaced by nobody.
        if let Some(last) = &last {
            assert!(!replaced.contains_key(last), "seed {seed}: {last} is back");
        }
    }
}

fn version(done: &Done) -> u64 {
    match &done.result {
        Ok(Outcome::Read(view)) => view.version,
        _ => 0,
    }
}

/// What the operation makes of a name: `None` if it does not touch it, `Some(None)` if it empties it.
fn writes(op: &Op, at: &str) -> Option<Option<String>> {
    match op {
        Op::Set { name, value, .. } if name == at => Some(Some(value.clone())),
        Op::Remove { name } if name == at => Some(None),
        Op::Pair { value } if at.starts_with('p') => Some(Some(value.clone())),
        _ => None,
    }
}

fn edits(op: &Op) -> Vec<Edit> {
    match op {
        Op::Set { name, value, replace } => vec![set_as(name, value, *replace)],
        Op::Remove { name: at } => vec![Edit::Remove { name: name(at) }],
        Op::Pair { value } => vec![set("p0", value), set("p1", value)],
        Op::Read => Vec::new(),
    }
}

#[test]
fn every_history_fits_one_order() {
    let (mut unknown, mut conflicts, mut taken) = (0, 0, 0);
    for seed in 0..SEEDS {
        // Printed when the test fails.
        println!("history {seed}");
        let (done, notes) = History::new(seed).run();
        let is_unknown = |done: &&Done| done.result == Err(DriveError::Unknown);
        unknown += done.iter().filter(is_unknown).count();
        conflicts += notes.iter().filter(|note| **note == Note::Conflict).count();
        taken += notes
            .iter()
            .filter(|note| matches!(note, Note::Taken { .. }))
            .count();
    }
    println!("{unknown} unknown, {conflicts} conflicts, {taken} changes");
    // The dice do throw what this is about.
    assert!(
        unknown > 10 && conflicts > 1000 && taken > 1000,
        "{unknown} {conflicts} {taken}"
    );
}

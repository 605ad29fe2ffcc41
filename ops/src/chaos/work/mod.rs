//! The workload: clients that store, read and rename, and compare all that they see with the model.
//!
//! Owns what a client does next: a weighted draw from its own stream of chance. A client does one thing at a time and
//! never gives up; a file that it could not read it tries again until it can. Bounded are the bytes stored, the names
//! and the directories, so that a run of hours does not fill the disk.

mod fetch;
mod files;
mod folders;

use std::time::Duration;

use super::model::At;
use super::model::names::Folder;
use super::random::Random;
use super::world::World;
use crate::http::Gateway;

pub(crate) use fetch::{Fetched, Scratch, fetch};
pub(crate) use folders::{first_folders, list};

/// Most bytes that a run stores: with 3 of 10 it is 1.7 GiB on disks, 170 MiB on each of ten.
pub(crate) const STORED_BYTES_MAX: u64 = 512 << 20;

/// Most files that a run stores: each is read again at the end.
const FILES_MAX: usize = 20_000;

/// Most names that a client invents; each is judged in every listing of its directory.
const NAMES_MAX: u64 = 10_000;

/// Longest pause between two things that a client does.
const PAUSE_MAX: Duration = Duration::from_millis(80);

/// Stream of chance of the first client; lower ones are the planner's.
const STREAM_FIRST: u64 = 1000;

/// A client at work.
pub(crate) struct Client<'w> {
    world: &'w World,
    gateway: Gateway,
    number: u64,
    random: Random,
    scratch: Scratch,
    /// Names that nobody else writes.
    own: Vec<(Folder, String)>,
    next_name: u64,
    next_text: u64,
    owed: Vec<files::Owed>,
}

/// What a client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Upload,
    Read,
    ReadPart,
    List,
    Link,
    Put,
    Rename,
    Move,
    Unlink,
    Mkdir,
    Contest,
}

/// What clients with an even number do, and how often in a hundred: all.
const ACTS: [(Act, u64); 11] = [
    (Act::Upload, 12),
    (Act::Read, 12),
    (Act::ReadPart, 6),
    (Act::List, 22),
    (Act::Link, 14),
    (Act::Put, 8),
    (Act::Rename, 6),
    (Act::Move, 2),
    (Act::Unlink, 6),
    (Act::Mkdir, 2),
    (Act::Contest, 10),
];

/// What those with an odd number do: files alone, so that they go on while directories cannot be had.
const FILE_ACTS: [(Act, u64); 3] = [(Act::Upload, 40), (Act::Read, 40), (Act::ReadPart, 20)];

impl<'w> Client<'w> {
    /// Client number `number` of the run.
    pub(crate) fn new(world: &'w World, gateway: Gateway, number: u64) -> Client<'w> {
        Client {
            random: Random::new(world.seed, STREAM_FIRST + number),
            world,
            gateway,
            number,
            scratch: Scratch::default(),
            own: Vec::new(),
            next_name: 0,
            next_text: 0,
            owed: Vec::new(),
        }
    }

    /// Works until the world stops.
    pub(crate) fn run(mut self) {
        while !self.world.is_stopping() {
            if !self.read_owed() {
                let act = self.draw();
                self.act(act);
            }
            let pause = self.random.below(PAUSE_MAX.as_millis() as u64);
            std::thread::sleep(Duration::from_millis(pause));
        }
    }

    fn draw(&mut self) -> Act {
        let acts: &[(Act, u64)] = if self.number.is_multiple_of(2) {
            &ACTS
        } else {
            &FILE_ACTS
        };
        let mut left = self.random.below(acts.iter().map(|(_, weight)| weight).sum());
        for (act, weight) in acts {
            if left < *weight {
                return *act;
            }
            left -= weight;
        }
        Act::Read
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Upload if self.may_store() => self.upload(),
            Act::Put if self.may_store() => self.put(),
            Act::Upload | Act::Read | Act::Put => self.read_any(false),
            Act::ReadPart => self.read_any(true),
            Act::List => self.list_any(),
            Act::Rename | Act::Move | Act::Mkdir if self.next_name >= NAMES_MAX => self.list_any(),
            Act::Link => self.link(),
            Act::Rename => self.rename(),
            Act::Move => self.move_to_another(),
            Act::Unlink => self.unlink(),
            Act::Mkdir => self.mkdir(),
            Act::Contest => self.contest(),
        }
    }

    /// Largest file to store next: smaller ones when half of the room is used, so that a long run stores to its end.
    fn largest_bytes(&self) -> u64 {
        let stored = self.world.state().record.stored_bytes;
        let steps = [
            (STORED_BYTES_MAX / 2, 4 << 20),
            (STORED_BYTES_MAX / 4 * 3, 64 << 10),
        ];
        let fitting = steps.into_iter().find(|(until, _)| stored < *until);
        fitting.map_or(2 << 10, |(_, largest)| largest)
    }

    fn may_store(&self) -> bool {
        let state = self.world.state();
        state.record.stored_bytes < STORED_BYTES_MAX && state.files.all().len() < FILES_MAX
    }

    fn now(&self) -> At {
        self.world.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_smaller_as_the_room_does() {
        let world = World::new(1);
        let client = Client::new(&world, Gateway::at("127.0.0.1:1").unwrap(), 0);
        let largest = |stored: u64| {
            world.state().record.stored_bytes = stored;
            (client.largest_bytes(), client.may_store())
        };
        assert_eq!(largest(0), (4 << 20, true));
        assert_eq!(largest(STORED_BYTES_MAX / 2), (64 << 10, true));
        assert_eq!(largest(STORED_BYTES_MAX - 1), (2 << 10, true));
        assert!(!largest(STORED_BYTES_MAX).1);
    }

    #[test]
    fn the_weights_are_percentages_and_every_act_is_drawn() {
        let world = World::new(1);
        for (number, acts) in [(0, ACTS.as_slice()), (1, &FILE_ACTS)] {
            assert_eq!(acts.iter().map(|(_, weight)| weight).sum::<u64>(), 100);
            let mut client = Client::new(&world, Gateway::at("127.0.0.1:1").unwrap(), number);
            let drawn: Vec<Act> = (0..2000).map(|_| client.draw()).collect();
            assert!(acts.iter().all(|(act, _)| drawn.contains(act)), "client {number}");
            assert!(drawn.iter().all(|act| acts.iter().any(|(other, _)| other == act)));
        }
    }
}

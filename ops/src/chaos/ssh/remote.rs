//! The hand that reaches nodes on other machines.
//!
//! Owns what may take how long there, and the look before the attack: every node is reached, runs, and is known to the
//! gateway, or nothing is done.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::attack::hand::{Deed, Hand, Identity, Node, Only, Share, Spoil};
use super::control::Act;
use super::inventory::{Disk, Inventory, Post, places};
use super::line::{Line, Order, Sockets};
use super::shares;
use crate::error::CliError;
use crate::http::Gateway;
use crate::parallel;
use crate::status::PeerRow;

/// A look, or a signal. `sudo` and a busy machine take some of it, a connection anew 10 s.
const SOON: Duration = Duration::from_secs(30);

/// A stop in order: 20 s for transfers, 15 s beyond, and what a service manager adds. A start may wait for readiness.
const LATER: Duration = Duration::from_secs(90);

/// Work on many shares.
const WORK: Duration = Duration::from_secs(120);

/// Nodes that are asked at the same time.
const AT_ONCE: usize = 8;

/// Between two looks whether a node has died by itself: each asks every node.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Patience with a node that says of itself whether it is ready, and with the gateway.
const READY_PATIENCE: Duration = Duration::from_secs(5);

/// Most reasons that are told when the grid cannot be attacked.
const REASONS_MAX: usize = 8;

/// See the module.
pub(crate) struct Remote {
    inventory: Inventory,
    places: BTreeMap<String, usize>,
    /// In the order of the posts.
    lines: Vec<Line>,
    gateway: Gateway,
    /// After the lines: it goes when they have ended.
    _sockets: Sockets,
}

impl Remote {
    /// Nothing is reached yet.
    pub(crate) fn new(inventory: Inventory, gateway: &Gateway) -> Result<Remote, CliError> {
        let sockets = Sockets::new()?;
        let posts = inventory.posts.iter().enumerate();
        let line = |(number, post): (usize, &Post)| {
            Line::new(&post.name, &post.door, sockets.socket(number).as_deref())
        };
        let lines = posts.map(line).collect();
        Ok(Remote {
            lines,
            places: places(&inventory.posts),
            inventory,
            gateway: gateway.impatient(READY_PATIENCE),
            _sockets: sockets,
        })
    }

    /// Looks whether every node is as it must be before an attack.
    ///
    /// # Errors
    /// What keeps it from being attacked.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let mut reasons: Vec<String> = self.of_each(|at| self.check_one(at));
        if reasons.is_empty() {
            let welcome = self.gateway.json("/?t=json")?;
            let rows = PeerRow::all(&welcome);
            let linked = |name: &String| rows.iter().any(|row| row.connected && row.nickname == *name);
            let strangers = self.inventory.posts.iter().filter(|post| post.is_peer());
            let strangers = strangers.filter(|post| !linked(&post.name));
            reasons.extend(strangers.map(|post| {
                format!(
                    "node {}: the gateway at {} is linked to no peer of this nickname",
                    post.name, self.inventory.gateway
                )
            }));
        }
        if reasons.is_empty() {
            return Ok(());
        }
        let more = reasons.len().saturating_sub(REASONS_MAX);
        reasons.truncate(REASONS_MAX);
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        Err(CliError::Unfit { reasons })
    }

    fn check_one(&self, at: usize) -> Option<String> {
        let post = &self.inventory.posts[at];
        let checked = self.is_up(at).and_then(|runs| {
            if !runs {
                let reason = "it does not run; start it, or take it out of the inventory";
                return Err(self.lines[at].not(reason.to_owned()));
            }
            match &post.disk {
                Some(disk) if post.is_peer() => {
                    self.do_there(at, shares::look(disk), Vec::new(), SOON).map(drop)
                }
                _ => Ok(()),
            }
        });
        checked.err().map(|error| error.to_string())
    }

    /// Asks every node, several at a time; gives what there is to say, in the order of the inventory.
    fn of_each<T: Send>(&self, ask: impl Fn(usize) -> Option<T> + Sync) -> Vec<T> {
        let said = Mutex::new(BTreeMap::new());
        let all: Vec<usize> = (0..self.lines.len()).collect();
        parallel::for_each(AT_ONCE, &all, |at| {
            let found = ask(*at);
            said.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(*at, found);
        });
        let said = said.into_inner().unwrap_or_else(PoisonError::into_inner);
        said.into_values().flatten().collect()
    }

    fn at(&self, name: &str) -> Result<usize, CliError> {
        self.places.get(name).copied().ok_or_else(|| CliError::Node {
            node: name.to_owned(),
            reason: format!(
                "it is not in {}; write it there again",
                self.inventory.path.display()
            ),
        })
    }

    fn disk(&self, at: usize) -> Result<&Disk, CliError> {
        let disk = self.inventory.posts[at].disk.as_ref();
        disk.ok_or_else(|| self.lines[at].not("the inventory does not name its dir".to_owned()))
    }

    /// Carries out one command that must succeed.
    fn do_there(
        &self,
        at: usize,
        command: Vec<String>,
        input: Vec<u8>,
        within: Duration,
    ) -> Result<Vec<u8>, CliError> {
        self.lines[at].order(Order {
            commands: &[command],
            input,
            within,
        })
    }

    fn is_up(&self, at: usize) -> Result<bool, CliError> {
        let control = &self.inventory.posts[at].control;
        let commands = control.commands(Act::Runs);
        let order = Order {
            commands: &commands,
            input: Vec::new(),
            within: SOON,
        };
        match self.lines[at].ask(order)? {
            said if said.code == 0 => Ok(true),
            said if said.code == control.is_down_code() => Ok(false),
            said => Err(self.lines[at].refused(&commands, &said)),
        }
    }

    fn act(&self, at: usize, act: Act, within: Duration) -> Result<(), CliError> {
        let commands = self.inventory.posts[at].control.commands(act);
        let order = Order {
            commands: &commands,
            input: Vec::new(),
            within,
        };
        self.lines[at].order(order).map(drop)
    }
}

impl Hand for Remote {
    fn nodes(&self) -> Vec<Node> {
        let node = |post: &Post| Node {
            name: post.name.clone(),
            roles: post.roles.clone(),
            metrics: post.metrics.clone(),
        };
        self.inventory.posts.iter().map(node).collect()
    }

    fn missing(&mut self) -> Result<Vec<String>, CliError> {
        let down = self.of_each(|at| match self.is_up(at) {
            Ok(true) => None,
            Ok(false) => Some(Ok(self.inventory.posts[at].name.clone())),
            Err(error) => Some(Err(error)),
        });
        down.into_iter().collect()
    }

    fn runs(&mut self, name: &str) -> Result<bool, CliError> {
        self.is_up(self.at(name)?)
    }

    /// One that says nothing of itself is ready when it runs; the links to it show the rest.
    fn is_ready(&mut self, name: &str) -> Result<bool, CliError> {
        let at = self.at(name)?;
        if !self.is_up(at)? {
            return Ok(false);
        }
        let post = &self.inventory.posts[at];
        if let Some(metrics) = &post.metrics {
            let asked = Gateway::at(metrics)?.impatient(READY_PATIENCE);
            if asked.page("/readyz").is_err() {
                return Ok(false);
            }
        }
        let is_gateway = post.roles.iter().any(|role| role == "gateway");
        Ok(!is_gateway || self.gateway.json("/?t=json").is_ok())
    }

    fn deed(&mut self, name: &str, deed: Deed) -> Result<(), CliError> {
        let at = self.at(name)?;
        let (act, within) = match deed {
            Deed::Kill => (Act::Kill, LATER),
            Deed::Stop => (Act::Stop, LATER),
            Deed::Freeze => (Act::Freeze, SOON),
            Deed::Thaw => (Act::Thaw, SOON),
        };
        match self.act(at, act, within) {
            // There is nothing to do it to.
            Err(_) if self.is_up(at).is_ok_and(|runs| !runs) => Ok(()),
            outcome => outcome,
        }
    }

    fn start(&mut self, name: &str) -> Result<(), CliError> {
        self.act(self.at(name)?, Act::Start, LATER)
    }

    fn look_every(&self) -> Duration {
        LOOK_EVERY
    }

    fn log(&self, name: &str) -> String {
        self.at(name).map_or_else(
            |_| "its log".to_owned(),
            |at| {
                let post = &self.inventory.posts[at];
                format!("{} on {}", post.control.log(), post.door.destination)
            },
        )
    }

    fn sees_all_shares(&self) -> bool {
        let has_no_packs = |at: usize| {
            let command = shares::packs(self.disk(at)?);
            let said = self.do_there(at, command, Vec::new(), SOON)?;
            Ok::<_, CliError>(said.is_empty())
        };
        let hidden = self.of_each(|at| {
            let is_seen = !self.inventory.posts[at].is_peer() || has_no_packs(at).unwrap_or(false);
            (!is_seen).then_some(())
        });
        hidden.is_empty()
    }

    /// Those of all files are never asked for: the nodes hold those of other people too.
    fn shares(&mut self, name: &str, only: &Only) -> Result<Vec<Share>, CliError> {
        let at = self.at(name)?;
        let disk = self.disk(at)?;
        let Some(indexes) = only.as_ref().filter(|indexes| !indexes.is_empty()) else {
            return Ok(Vec::new());
        };
        let input = shares::list_input(indexes);
        let answer = self.do_there(at, shares::list(disk), input, WORK)?;
        let mut found = shares::listed(&answer);
        found.retain(|share| indexes.contains(&share.index));
        Ok(found)
    }

    fn spoil(&mut self, name: &str, spoils: &[Spoil]) -> Result<Vec<Identity>, CliError> {
        let at = self.at(name)?;
        let command = shares::spoil(self.disk(at)?);
        let answer = self.do_there(at, command, shares::spoil_input(spoils), WORK)?;
        Ok(shares::spoilt(&answer))
    }

    fn take_away(&mut self, name: &str, taken: &[Share], label: &str) -> Result<String, CliError> {
        let at = self.at(name)?;
        let disk = self.disk(at)?;
        let place = format!("{} of {name}", shares::aside(disk, label));
        let command = shares::take_away(disk, label);
        self.do_there(at, command, shares::take_away_input(taken), WORK)?;
        Ok(place)
    }
}

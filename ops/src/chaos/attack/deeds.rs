//! What each fault does, and how it is undone.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::fault::{Fault, Kind, Target};
use super::super::patience::{Patience, Waited};
use super::super::random::Random;
use super::hand::Only;
use super::shares::index_of;
use super::{Attack, BACK_WITHIN, clock, disk};
use crate::client::{CheckChoice, Place};
use crate::error::CliError;

/// How long the grid may take to mend what was damaged.
const MENDED_WITHIN: Duration = Duration::from_secs(180);

impl Attack<'_> {
    /// Does what a fault is. Gives for people what it did exactly, if there is more to say than its name.
    pub(super) fn do_it(
        &mut self,
        fault: &Fault,
        patience: &mut Patience,
    ) -> Result<Option<String>, CliError> {
        let nodes = nodes(fault);
        match fault.kind {
            Kind::Kill | Kind::Introducer | Kind::Vdrive | Kind::Gateway | Kind::Blackout => {
                for node in &nodes {
                    self.fleet.kill(node, patience)?;
                }
            }
            Kind::Restart => {
                for node in &nodes {
                    self.fleet.stop(node, patience)?;
                    self.fleet.start(node)?;
                }
            }
            Kind::Skew => return self.skew(fault, &nodes, patience).map(Some),
            Kind::Freeze => {
                for node in &nodes {
                    self.fleet.freeze(node)?;
                }
            }
            Kind::Wipe | Kind::Ruin => return self.wipe(fault, &nodes, patience).map(Some),
            Kind::Flip | Kind::Truncate => return self.spoil(fault, &nodes).map(Some),
            Kind::Fill => return self.fill(&nodes).map(Some),
            Kind::Rolling => self.roll(patience)?,
            Kind::Mend => return self.mend(patience).map(Some),
            Kind::Cut | Kind::OneWay | Kind::Slow | Kind::Throttle => {
                return Ok(self.proxies.as_ref().and_then(|proxies| proxies.begin(fault)));
            }
        }
        Ok(None)
    }

    /// Undoes it, as far as it can be undone.
    pub(super) fn undo_it(&mut self, fault: &Fault, patience: &mut Patience) -> Result<(), CliError> {
        let nodes = nodes(fault);
        match fault.kind {
            Kind::Freeze => {
                for node in &nodes {
                    self.fleet.thaw(node)?;
                }
            }
            Kind::Fill => {
                for node in &nodes {
                    let filler = disk::filler(&self.fleet.hand.dir(node).unwrap_or_default());
                    crate::files::remove_if_there(&filler)?;
                    self.fleet.undo.note(|deeds| deeds.fillers.remove(&filler))?;
                }
            }
            Kind::Cut | Kind::OneWay | Kind::Slow | Kind::Throttle => {
                if let Some(proxies) = &self.proxies {
                    proxies.end(fault.number);
                }
            }
            Kind::Flip | Kind::Truncate | Kind::Rolling | Kind::Mend => {}
            Kind::Skew => {
                for node in &nodes {
                    self.fleet.hand.set_clock(node, 0);
                    self.fleet.stop(node, patience)?;
                    self.fleet.start_and_wait(node, patience)?;
                }
            }
            _ => {
                for node in &nodes {
                    self.fleet.start(node)?;
                }
                for node in &nodes {
                    self.fleet.until_ready(node, patience)?;
                }
            }
        }
        Ok(())
    }

    /// Which shares may be touched.
    pub(super) fn only(&self) -> Only {
        if self.fleet.hand.is_own() {
            return None;
        }
        let state = self.world.state();
        let indexes = state.files.all().iter().filter_map(|file| index_of(&file.cap));
        Some(indexes.collect::<BTreeSet<String>>())
    }

    /// Starts nodes again with a clock that is wrong.
    fn skew(&mut self, fault: &Fault, nodes: &[String], patience: &mut Patience) -> Result<String, CliError> {
        let seconds = clock::wrong_by(fault.detail);
        for node in nodes {
            self.fleet.hand.set_clock(node, seconds);
            self.fleet.stop(node, patience)?;
            self.fleet.start_and_wait(node, patience)?;
        }
        Ok(clock::text(seconds))
    }

    fn wipe(&mut self, fault: &Fault, nodes: &[String], patience: &mut Patience) -> Result<String, CliError> {
        let only = self.only();
        let mut shares = 0;
        for node in nodes {
            self.fleet.kill(node, patience)?;
            let label = format!("{}-{}", self.world.seed, fault.number);
            let hand = self.fleet.hand.as_mut();
            shares += self.damage.wipe(hand, node, &only, &label)?;
        }
        for node in nodes {
            self.fleet.start(node)?;
        }
        Ok(format!("{shares} shares are gone"))
    }

    fn spoil(&mut self, fault: &Fault, nodes: &[String]) -> Result<String, CliError> {
        let only = self.only();
        let mut random = Random::new(fault.detail, 0);
        let mut shares = 0;
        for node in nodes {
            let hand = self.fleet.hand.as_mut();
            shares += match fault.kind {
                Kind::Flip => self.damage.flip(hand, node, &only, &mut random)?,
                _ => self.damage.truncate(hand, node, &only, &mut random)?,
            };
        }
        Ok(format!("{shares} shares are damaged"))
    }

    fn fill(&mut self, nodes: &[String]) -> Result<String, CliError> {
        let mut bytes = 0;
        for node in nodes {
            let filler = disk::filler(&self.fleet.hand.dir(node).unwrap_or_default());
            self.fleet
                .undo
                .note(|deeds| deeds.fillers.insert(filler.clone()))?;
            bytes += disk::fill(&filler)?;
        }
        Ok(format!("{} MiB written, none left", bytes >> 20))
    }

    /// Every node, one after the other, each when the one before is back.
    fn roll(&mut self, patience: &mut Patience) -> Result<(), CliError> {
        for node in self.shape.all() {
            if patience.is_asked_to_stop() {
                break;
            }
            self.fleet.stop(&node, patience)?;
            self.fleet.start_and_wait(&node, patience)?;
            let waited = patience.until(BACK_WITHIN, || Ok(self.not_linked().is_empty()))?;
            if waited == Waited::No {
                let missing = self.not_linked().join(", ");
                self.tell(format!("not back after {} s: {missing}", BACK_WITHIN.as_secs()));
            }
        }
        Ok(())
    }

    /// Waits until the grid has mended every file. Each is read in full until it is found whole once: damage that nobody
    /// has met is none that is mended.
    fn mend(&mut self, patience: &mut Patience) -> Result<String, CliError> {
        let mut left: Vec<String> = {
            let state = self.world.state();
            let stored = state.files.all().iter().filter(|file| !file.is_in_its_cap());
            stored.map(|file| file.cap.clone()).collect()
        };
        let files = left.len();
        let choice = CheckChoice {
            verify: true,
            repair: false,
        };
        let waited = patience.until(MENDED_WITHIN, || {
            left.retain(|cap| {
                let checked = self.gateway.check_one(&Place::of(cap), choice);
                !checked.is_ok_and(|result| result["results"]["healthy"] == true)
            });
            Ok(left.is_empty())
        })?;
        if waited == Waited::Yes {
            self.ledger.mended();
            return Ok(format!("{files} files are whole again"));
        }
        self.unmended = true;
        let (left, seconds) = (left.len(), MENDED_WITHIN.as_secs());
        Ok(format!("{left} of {files} files are not whole after {seconds} s"))
    }
}

/// The nodes that a fault is about; none if it is about links or about all.
fn nodes(fault: &Fault) -> Vec<String> {
    match &fault.target {
        Target::Node(name) => vec![name.clone()],
        Target::Nodes(names) => names.clone(),
        Target::Link(..) | Target::Way(..) | Target::All => Vec::new(),
    }
}

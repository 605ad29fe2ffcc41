//! What clients want of directories, drawn from the seed: few directories and few names, so that they meet.

use truckee_wire::message::Role;

use super::{OrderId, What};
use crate::sim::model::{Outcome, Violation};
use crate::sim::world::World;

/// Most directories that are ever begun: some are lost with the gateway that makes them.
const DIRECTORIES_MAX: usize = 6;
/// Names in a directory.
const NAMES: u64 = 4;

impl World {
    /// Directories that some client was told to exist.
    fn ready(&self) -> Vec<usize> {
        let directories = self.drive.directories.iter().enumerate();
        directories
            .filter(|(_, directory)| directory.ready)
            .map(|(index, _)| index)
            .collect()
    }

    /// Some client of this gateway wants something of a directory.
    pub(in crate::sim) fn drive_wish(&mut self, gateway: usize) {
        let ready = self.ready();
        let begun = self.drive.directories.len();
        let fresh = ready.is_empty() || self.wishes.chance(100);
        if fresh && begun < DIRECTORIES_MAX {
            self.create(gateway);
            return;
        }
        let Some(directory) = self.wishes.pick(&ready).copied() else {
            return;
        };
        // Several at once go into one change.
        for _ in 0..self.wishes.between(1, 3) {
            let name = format!("n{}", self.wishes.below(NAMES));
            let what = match self.wishes.below(8) {
                0..3 => What::Set { name, replaces: true },
                3..5 => What::Set {
                    name,
                    replaces: false,
                },
                5 => What::Remove { name },
                _ => What::Read,
            };
            self.drive_order(gateway, directory, what);
        }
    }

    fn create(&mut self, gateway: usize) -> OrderId {
        let key = self.wishes.array();
        let directory = self.drive.add(key);
        self.drive_order(gateway, directory, What::Create)
    }

    /// Gives an order to a gateway; lost at once if the gateway is off.
    fn drive_order(&mut self, gateway: usize, directory: usize, what: What) -> OrderId {
        let id = self.model.new_order(gateway);
        let note = format!("order {}: {what:?} of directory {directory}", id.0);
        self.trace.note(Some(gateway), "drive asked", note);
        self.drive.begin(id, gateway, directory, what);
        if self.hosts[gateway].frozen || self.with_node(gateway, |node, ctx| node.drive(ctx, id)).is_none() {
            self.drive.forget(id);
            self.model.order_ended(id, Outcome::Lost);
        }
        self.collect();
        id
    }

    /// Begins a change of every directory, and of a fresh one, through every gateway.
    pub(in crate::sim) fn last_changes(&mut self) -> Vec<OrderId> {
        let mut orders = Vec::new();
        for gateway in self.hosts_with(Role::Gateway) {
            orders.push(self.create(gateway));
            for directory in self.ready() {
                let what = What::Set {
                    name: format!("of {gateway}"),
                    replaces: true,
                };
                orders.push(self.drive_order(gateway, directory, what));
            }
        }
        orders
    }

    /// Begins a read of every directory through every gateway. That all of them see the newest version is checked when
    /// they end.
    pub(in crate::sim) fn last_reads(&mut self) -> Vec<OrderId> {
        let mut orders = Vec::new();
        for gateway in self.hosts_with(Role::Gateway) {
            for directory in self.ready() {
                orders.push(self.drive_order(gateway, directory, What::Read));
            }
        }
        orders
    }

    /// All of these went well.
    pub(in crate::sim) fn went_well(&self, orders: &[OrderId]) -> Result<(), Violation> {
        for order in orders {
            match self.model.outcome(*order) {
                Some(Outcome::Read | Outcome::Changed) => {}
                other => {
                    let what = format!("order {} about a directory is {other:?}", order.0);
                    return Err(Violation(what));
                }
            }
        }
        Ok(())
    }
}

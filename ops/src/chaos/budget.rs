//! The budget of damage: what faults cost a cluster, and what it promises to bear.
//!
//! Pure. A file was acknowledged with shares on at least `happy` peers, and any `k` of them are enough, so at most
//! `happy - k` peers may be without readable shares at once, whatever the reason. A peer that is dead, frozen or cut off is
//! without them for the time; one that was wiped, or whose shares were damaged, is so for good unless the grid heals, and
//! counts from then on, whoever is hit next. Half of the budget is kept for faults that pass. Uploads are expected to
//! succeed while `happy` peers take shares, changes of directories while the vdrive is there.

use std::collections::BTreeSet;

use super::fault::{Fault, Kind, Target};
use super::shape::Shape;

/// What one fault takes away while it lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Harm {
    /// Peers whose shares cannot be read.
    pub(crate) unread: BTreeSet<String>,
    /// Peers that take no shares.
    pub(crate) unwritten: BTreeSet<String>,
    /// Peers whose shares are worse for good.
    pub(crate) damaged: BTreeSet<String>,
    /// Every peer is away for a moment, one after the other.
    pub(crate) in_turn: bool,
    /// Directories cannot be had.
    pub(crate) no_drive: bool,
    /// Nothing can be had.
    pub(crate) no_gateway: bool,
}

impl Harm {
    /// Of one fault. A node with several roles is away in all of them.
    pub(crate) fn of(fault: &Fault, shape: &Shape) -> Harm {
        let names = owned(fault, shape);
        let is_peer = |name: &&String| shape.peers.contains(name);
        let peers: BTreeSet<String> = names.iter().filter(is_peer).cloned().collect();
        let away = !matches!(fault.kind, Kind::Flip | Kind::Truncate | Kind::Fill | Kind::Mend);
        let none = BTreeSet::new;
        Harm {
            unread: if away { peers.clone() } else { none() },
            unwritten: if away || fault.kind == Kind::Fill {
                peers.clone()
            } else {
                none()
            },
            damaged: if fault.kind.damages() { peers } else { none() },
            in_turn: fault.kind == Kind::Rolling,
            no_drive: fault.kind == Kind::Rolling || names.iter().any(|name| shape.vdrives.contains(name)),
            no_gateway: fault.kind == Kind::Rolling
                || (away && shape.gateway.iter().any(|name| names.contains(name))),
        }
    }
}

/// The nodes that a fault has for itself. A link belongs to its end that is not the gateway: each pair has rules of its
/// own.
pub(crate) fn owned(fault: &Fault, shape: &Shape) -> BTreeSet<String> {
    let not_gateway = |name: &&String| shape.gateway.as_ref() != Some(*name);
    match &fault.target {
        Target::Node(name) => BTreeSet::from([name.clone()]),
        Target::Nodes(names) => names.iter().cloned().collect(),
        Target::Link(one, other) | Target::Way(one, other) => {
            [one, other].into_iter().filter(not_gateway).cloned().collect()
        }
        Target::All => BTreeSet::new(),
    }
}

/// The faults that are on, and what remains of those that were.
#[derive(Clone, Debug)]
pub(crate) struct Ledger<'s> {
    shape: &'s Shape,
    on: Vec<(Fault, Harm)>,
    damaged: BTreeSet<String>,
}

impl<'s> Ledger<'s> {
    /// Nothing has happened.
    pub(crate) fn new(shape: &'s Shape) -> Ledger<'s> {
        Ledger {
            shape,
            on: Vec::new(),
            damaged: BTreeSet::new(),
        }
    }

    /// Whether this fault may begin now, with at most `at_once` of them on, so that the budget is kept.
    pub(crate) fn may_begin(&self, fault: &Fault, at_once: usize) -> bool {
        let alone = fault.kind.is_alone() || self.on.iter().any(|(on, _)| on.kind.is_alone());
        if self.on.len() >= at_once || (alone && !self.on.is_empty()) {
            return false;
        }
        let names = owned(fault, self.shape);
        let taken = |(on, _): &(Fault, Harm)| !owned(on, self.shape).is_disjoint(&names);
        if self.on.iter().any(taken) {
            return false;
        }
        let harm = Harm::of(fault, self.shape);
        let damaged: BTreeSet<&String> = self.damaged.union(&harm.damaged).collect();
        let allowed = self.shape.bearable() / 2;
        if !harm.damaged.is_empty() && damaged.len() > allowed {
            return false;
        }
        self.without(Some(&harm)) <= self.shape.bearable()
    }

    /// Peers without readable shares now, and if `more` happens too.
    pub(crate) fn without(&self, more: Option<&Harm>) -> usize {
        let all = || self.on.iter().map(|(_, harm)| harm).chain(more);
        let mut without: BTreeSet<&String> = self.damaged.iter().collect();
        for harm in all() {
            without.extend(harm.unread.iter().chain(&harm.damaged));
        }
        // One after the other is away: one more than those that are.
        without.len() + usize::from(all().any(|harm| harm.in_turn))
    }

    /// It begins.
    pub(crate) fn begin(&mut self, fault: &Fault) {
        let harm = Harm::of(fault, self.shape);
        self.damaged.extend(harm.damaged.iter().cloned());
        self.on.push((fault.clone(), harm));
    }

    /// It is over.
    pub(crate) fn end(&mut self, number: usize) {
        self.on.retain(|(fault, _)| fault.number != number);
    }

    /// All that was damaged is whole again.
    pub(crate) fn mended(&mut self) {
        self.damaged.clear();
    }

    /// The faults that are on.
    pub(crate) fn on(&self) -> impl Iterator<Item = &Fault> {
        self.on.iter().map(|(fault, _)| fault)
    }

    /// Whether a further peer may be damaged.
    pub(crate) fn is_room_for_damage(&self) -> bool {
        self.damaged.len() < self.shape.bearable() / 2
    }

    /// Whether every acknowledged file must be readable now.
    pub(crate) fn reads_expected(&self) -> bool {
        !self.gateway_away() && self.without(None) <= self.shape.bearable()
    }

    /// Whether uploads must succeed now.
    pub(crate) fn uploads_expected(&self) -> bool {
        let mut unwritten: BTreeSet<&String> = BTreeSet::new();
        for (_, harm) in &self.on {
            unwritten.extend(&harm.unwritten);
        }
        let in_turn = usize::from(self.on.iter().any(|(_, harm)| harm.in_turn));
        !self.gateway_away() && unwritten.len() + in_turn <= self.shape.spare()
    }

    /// Whether directories must be there now.
    pub(crate) fn drive_expected(&self) -> bool {
        !self.gateway_away() && !self.on.iter().any(|(_, harm)| harm.no_drive)
    }

    /// Whether the gateway is there.
    pub(crate) fn gateway_expected(&self) -> bool {
        !self.gateway_away()
    }

    fn gateway_away(&self) -> bool {
        self.on.iter().any(|(_, harm)| harm.no_gateway)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::testing::shape;
    use super::*;

    fn fault(number: usize, kind: Kind, target: Target) -> Fault {
        Fault {
            number,
            kind,
            target,
            at_ms: 0,
            lasts_ms: 1,
            detail: 0,
        }
    }

    fn peer(number: usize, kind: Kind, peer: usize) -> Fault {
        fault(number, kind, Target::Node(format!("storage-{peer:02}")))
    }

    #[test]
    fn passing_faults_are_given_back_and_damage_is_not() {
        let shape = shape(10, 3, 10, 7);
        let mut ledger = Ledger::new(&shape);
        for (number, kind) in [(1, Kind::Wipe), (2, Kind::Flip)] {
            assert!(ledger.may_begin(&peer(number, kind, number), 9));
            ledger.begin(&peer(number, kind, number));
            ledger.end(number);
        }
        assert_eq!(ledger.without(None), 2);
        // Half of the budget is for faults that pass; the same peer again costs nothing more.
        assert!(!ledger.may_begin(&peer(3, Kind::Truncate, 3), 9));
        assert!(ledger.may_begin(&peer(3, Kind::Truncate, 2), 9));
        for number in [3, 4] {
            assert!(ledger.may_begin(&peer(number, Kind::Kill, number), 9));
            ledger.begin(&peer(number, Kind::Kill, number));
        }
        assert!(!ledger.may_begin(&peer(5, Kind::Freeze, 5), 9));
        assert!(
            ledger.may_begin(&peer(5, Kind::Freeze, 1), 9),
            "it is damaged anyhow"
        );
        assert!(
            ledger.may_begin(&peer(5, Kind::Fill, 5), 9),
            "a full disk can be read"
        );
        ledger.end(4);
        assert!(ledger.may_begin(&peer(5, Kind::Freeze, 5), 9));
        ledger.mended();
        assert_eq!(ledger.without(None), 1);
    }

    #[test]
    fn no_node_is_hit_twice_and_some_faults_stand_alone() {
        let shape = shape(10, 3, 10, 7);
        let mut ledger = Ledger::new(&shape);
        let link = |number, peer: &str| fault(number, Kind::Cut, Target::Link("gateway".into(), peer.into()));
        ledger.begin(&link(1, "storage-01"));
        assert!(!ledger.may_begin(&peer(2, Kind::Kill, 1), 9));
        assert!(ledger.may_begin(&link(2, "storage-02"), 9));
        assert!(!ledger.may_begin(&link(2, "storage-02"), 1));
        assert!(!ledger.may_begin(&fault(2, Kind::Rolling, Target::All), 9));
        ledger.end(1);
        ledger.begin(&fault(2, Kind::Rolling, Target::All));
        assert_eq!(ledger.without(None), 1);
        assert!(!ledger.may_begin(&peer(3, Kind::Kill, 3), 9));
    }

    #[test]
    fn a_node_with_several_roles_is_away_in_all_of_them() {
        let mut shape = shape(5, 2, 5, 4);
        let one = "storage-01".to_owned();
        (shape.introducers, shape.vdrives) = (vec![one.clone()], vec![one.clone()]);
        shape.gateway = Some(one.clone());
        assert_eq!(shape.all().len(), 5, "it is restarted once");
        for kind in [Kind::Introducer, Kind::Kill, Kind::Gateway] {
            let harm = Harm::of(&fault(1, kind, Target::Node(one.clone())), &shape);
            assert!(harm.no_drive && harm.no_gateway, "{kind:?}");
            assert_eq!(harm.unread, BTreeSet::from([one.clone()]), "{kind:?}");
        }
        let flip = Harm::of(&fault(1, Kind::Flip, Target::Node(one.clone())), &shape);
        assert!(!flip.no_gateway && flip.unread.is_empty());
        let link = Target::Link(one, "storage-02".into());
        assert!(!Harm::of(&fault(1, Kind::Cut, link), &shape).no_gateway);
    }

    #[test]
    fn what_is_expected_follows_from_what_is_away() {
        let shape = shape(5, 2, 5, 4);
        let mut ledger = Ledger::new(&shape);
        ledger.begin(&peer(1, Kind::Fill, 1));
        assert!(ledger.uploads_expected() && ledger.reads_expected() && ledger.drive_expected());
        ledger.begin(&peer(2, Kind::Freeze, 2));
        assert!(!ledger.uploads_expected() && ledger.reads_expected());
        ledger.begin(&peer(3, Kind::Kill, 3));
        assert!(ledger.reads_expected());
        ledger.begin(&peer(4, Kind::Kill, 4));
        assert!(!ledger.reads_expected(), "beyond the budget");
        ledger.end(3);
        ledger.begin(&fault(5, Kind::Freeze, Target::Node("vdrive-01".into())));
        assert!(ledger.reads_expected() && !ledger.drive_expected());
        ledger.begin(&fault(6, Kind::Gateway, Target::Node("gateway".into())));
        assert!(!ledger.reads_expected() && !ledger.uploads_expected());
    }
}

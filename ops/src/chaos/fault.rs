//! What is done to a cluster: the kinds of faults, and one fault of a schedule.
//!
//! Owns their names, what each does in one sentence, and how long each may last. Who is hit, and when, is the planner's to
//! say; what a fault costs the cluster stands in [`super::budget`].

use clap::ValueEnum;
use serde::{Serialize, Serializer};

/// A kind of fault. The words of the command line are those of [`Kind::word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A storage peer is killed and started again
    Kill,
    /// A storage peer is stopped in order and started again at once
    Restart,
    /// A storage peer or the vdrive neither answers nor hangs up, then goes on
    Freeze,
    /// A storage peer loses all its shares and keeps its identity
    Wipe,
    /// Bits flip in shares on a disk
    Flip,
    /// Shares on a disk lose their end
    Truncate,
    /// The disk of a storage peer fills up and is emptied again
    Fill,
    /// The clock of a storage peer, the vdrive or the gateway is wrong by hours or days
    Skew,
    /// The introducer is killed and started again
    Introducer,
    /// The vdrive is killed and started again
    Vdrive,
    /// The gateway is killed and started again
    Gateway,
    /// Every node is stopped in order and started again, one after the other
    Rolling,
    /// Links are cut and heal
    Cut,
    /// What one node sends does not arrive at another, the other way all does
    OneWay,
    /// Everything takes longer on the links of a node
    Slow,
    /// Little goes through the links of a node
    Throttle,
    /// More peers are killed at once than any file can bear; all come back with their shares
    #[value(skip)]
    Blackout,
    /// More peers lose their shares than any file can bear: what was stored before is gone
    #[value(skip)]
    Ruin,
    /// No fault: the grid gets time to mend what was damaged
    #[value(skip)]
    Mend,
}

/// Milliseconds.
pub(crate) type Ms = u64;

impl Kind {
    /// Those that can be asked for, in the order of the help.
    pub(crate) const ALL: [Kind; 16] = [
        Kind::Kill,
        Kind::Restart,
        Kind::Freeze,
        Kind::Wipe,
        Kind::Flip,
        Kind::Truncate,
        Kind::Fill,
        Kind::Skew,
        Kind::Introducer,
        Kind::Vdrive,
        Kind::Gateway,
        Kind::Rolling,
        Kind::Cut,
        Kind::OneWay,
        Kind::Slow,
        Kind::Throttle,
    ];

    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::Restart => "restart",
            Kind::Freeze => "freeze",
            Kind::Wipe => "wipe",
            Kind::Flip => "flip",
            Kind::Truncate => "truncate",
            Kind::Fill => "fill",
            Kind::Skew => "skew",
            Kind::Introducer => "introducer",
            Kind::Vdrive => "vdrive",
            Kind::Gateway => "gateway",
            Kind::Rolling => "rolling",
            Kind::Cut => "cut",
            Kind::OneWay => "one-way",
            Kind::Slow => "slow",
            Kind::Throttle => "throttle",
            Kind::Blackout => "blackout",
            Kind::Ruin => "ruin",
            Kind::Mend => "mend",
        }
    }

    /// Shortest and longest time that it lasts in a long run. What is over at once has the time in which its effect is
    /// looked for.
    pub(crate) fn lasts_ms(self) -> (Ms, Ms) {
        match self {
            Kind::Restart | Kind::Flip | Kind::Truncate => (2_000, 4_000),
            Kind::Wipe => (3_000, 6_000),
            Kind::Gateway => (1_000, 6_000),
            Kind::Vdrive => (1_000, 12_000),
            Kind::Blackout => (8_000, 12_000),
            Kind::Ruin => (3_000, 5_000),
            Kind::Rolling | Kind::Mend => (0, 0),
            _ => (4_000, 20_000),
        }
    }

    /// Whether it works on the links between nodes.
    pub(crate) fn is_of_the_network(self) -> bool {
        matches!(self, Kind::Cut | Kind::OneWay | Kind::Slow | Kind::Throttle)
    }

    /// Whether shares are worse than before when it is over.
    pub(crate) fn damages(self) -> bool {
        matches!(self, Kind::Wipe | Kind::Flip | Kind::Truncate | Kind::Ruin)
    }

    /// Whether nothing else may happen meanwhile: it touches every node, or as many as there are.
    pub(crate) fn is_alone(self) -> bool {
        matches!(self, Kind::Rolling | Kind::Blackout | Kind::Ruin | Kind::Mend)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.word())
    }
}

/// Who is hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    /// One node; of the network: all its links.
    Node(String),
    /// Several nodes at once.
    Nodes(Vec<String>),
    /// The link between two nodes, whoever dialled it.
    Link(String, String),
    /// What the first sends to the second.
    Way(String, String),
    /// Every node.
    All,
}

impl Target {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match self {
            Target::Node(name) => name.clone(),
            Target::Nodes(names) => format!("{} peers", names.len()),
            Target::Link(one, other) => format!("{one} - {other}"),
            Target::Way(from, to) => format!("{from} > {to}"),
            Target::All => "all nodes, one after the other".to_owned(),
        }
    }
}

/// One fault of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// Position in the schedule, from 1.
    pub(crate) number: usize,
    /// What happens.
    pub(crate) kind: Kind,
    /// To whom.
    pub(crate) target: Target,
    /// When it begins, after the start of the schedule.
    pub(crate) at_ms: Ms,
    /// How long it lasts.
    pub(crate) lasts_ms: Ms,
    /// What is drawn when it begins, such as which shares and which bits, follows from this.
    pub(crate) detail: u64,
}

impl Fault {
    /// When it ends.
    pub(crate) fn end_ms(&self) -> Ms {
        self.at_ms + self.lasts_ms
    }

    /// For people: what is done to whom.
    pub(crate) fn text(&self) -> String {
        let verb = match self.kind {
            // Told by its target.
            Kind::Introducer | Kind::Vdrive | Kind::Gateway => Kind::Kill.word(),
            Kind::Rolling => "restart",
            Kind::Mend => return "time to mend".to_owned(),
            Kind::Skew => "wrong clock of",
            kind => kind.word(),
        };
        format!("{verb} {}", self.target.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_command_line_are_those_of_the_report() {
        for kind in Kind::ALL {
            let value = kind.to_possible_value().unwrap();
            assert_eq!(value.get_name(), kind.word());
            assert!(value.get_help().is_some(), "{kind:?} says what it does");
        }
        for kind in [Kind::Blackout, Kind::Ruin, Kind::Mend] {
            assert!(kind.to_possible_value().is_none(), "{kind:?} cannot be asked for");
        }
    }
}

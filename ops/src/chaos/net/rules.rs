//! What holds on the way from one node to another.
//!
//! Pure. A fault adds a rule and takes it away again; several rules on one way add up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::fault::{Fault, Kind, Target};
use super::super::random::Random;

/// Shortest and longest delay of a slow link, one way, in milliseconds: across an ocean, and by satellite and back.
const DELAY_MS: (u64, u64) = (40, 400);

/// Bytes a second of a throttled link: an old modem line to a bad mobile connection.
const BYTES_PER_SECOND: (u64, u64) = (8 << 10, 256 << 10);

/// What holds on a way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// There is no connection, and none can be made.
    pub(crate) closed: bool,
    /// Nothing arrives, and nobody is told.
    pub(crate) stalled: bool,
    /// What arrives does so later by this.
    pub(crate) delay: Duration,
    /// Bytes that get through each second.
    pub(crate) bytes_per_second: Option<u64>,
}

/// Which ways a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    /// All from and to a node.
    Node(String),
    /// Both between two nodes.
    Pair(String, String),
    /// From the first to the second.
    Way(String, String),
}

impl Scope {
    fn has(&self, from: &str, to: &str) -> bool {
        match self {
            Scope::Node(node) => node == from || node == to,
            Scope::Pair(one, other) => (one == from && other == to) || (one == to && other == from),
            Scope::Way(a, b) => a == from && b == to,
        }
    }
}

/// The rules that are on, by the number of their fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(BTreeMap<usize, (Scope, Way)>);

impl Rules {
    /// A fault of the network begins; gives for people what it does exactly. Other faults are none of the network's business.
    pub(crate) fn begin(&mut self, fault: &Fault) -> Option<String> {
        let mut random = Random::new(fault.detail, 0);
        let scope = match &fault.target {
            Target::Node(node) => Scope::Node(node.clone()),
            Target::Link(one, other) => Scope::Pair(one.clone(), other.clone()),
            Target::Way(from, to) => Scope::Way(from.clone(), to.clone()),
            Target::Nodes(_) | Target::All => return None,
        };
        let mut way = Way::default();
        let what = match fault.kind {
            Kind::Cut if random.percent(50) => {
                way.closed = true;
                "connections are closed and refused".to_owned()
            }
            Kind::Cut => {
                way.stalled = true;
                "nothing arrives, and nobody is told".to_owned()
            }
            Kind::OneWay => {
                way.stalled = true;
                "nothing arrives on this way".to_owned()
            }
            Kind::Slow => {
                way.delay = Duration::from_millis(random.between(DELAY_MS.0, DELAY_MS.1));
                format!("{} ms later, each way", way.delay.as_millis())
            }
            Kind::Throttle => {
                let limit = random.between(BYTES_PER_SECOND.0, BYTES_PER_SECOND.1);
                way.bytes_per_second = Some(limit);
                format!("{} KiB/s each way", limit >> 10)
            }
            _ => return None,
        };
        self.0.insert(fault.number, (scope, way));
        Some(what)
    }

    /// It is over.
    pub(crate) fn end(&mut self, number: usize) {
        self.0.remove(&number);
    }

    /// What holds on this way now.
    pub(crate) fn way(&self, from: &str, to: &str) -> Way {
        let mut all = Way::default();
        for (_, way) in self.0.values().filter(|(scope, _)| scope.has(from, to)) {
            all.closed |= way.closed;
            all.stalled |= way.stalled;
            all.delay += way.delay;
            let limits = all.bytes_per_second.into_iter().chain(way.bytes_per_second);
            all.bytes_per_second = limits.min();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(number: usize, kind: Kind, target: Target) -> Fault {
        Fault {
            number,
            kind,
            target,
            at_ms: 0,
            lasts_ms: 0,
            detail: number as u64,
        }
    }

    #[test]
    fn one_way_is_one_way() {
        let mut rules = Rules::default();
        rules
            .begin(&fault(1, Kind::OneWay, Target::Way("a".into(), "b".into())))
            .unwrap();
        assert!(rules.way("a", "b").stalled);
        for (from, to) in [("b", "a"), ("a", "c"), ("c", "b")] {
            assert_eq!(rules.way(from, to), Way::default());
        }
        rules.end(1);
        assert_eq!(rules.way("a", "b"), Way::default());
    }

    #[test]
    fn rules_add_up_and_go_one_by_one() {
        let mut rules = Rules::default();
        rules
            .begin(&fault(1, Kind::Slow, Target::Node("a".into())))
            .unwrap();
        let slow = rules.way("b", "a").delay;
        assert!(!slow.is_zero());
        rules
            .begin(&fault(2, Kind::Slow, Target::Node("b".into())))
            .unwrap();
        assert!(rules.way("b", "a").delay > slow);
        assert_eq!(rules.way("c", "a").delay, slow);
        rules
            .begin(&fault(3, Kind::Throttle, Target::Node("a".into())))
            .unwrap();
        rules
            .begin(&fault(4, Kind::Cut, Target::Link("a".into(), "b".into())))
            .unwrap();
        let way = rules.way("b", "a");
        assert!(way.bytes_per_second.is_some() && (way.closed || way.stalled));
        for number in 1..=4 {
            rules.end(number);
        }
        assert_eq!(rules.way("b", "a"), Way::default());
    }

    #[test]
    fn a_cut_is_loud_or_silent_and_other_faults_are_none_of_its_business() {
        let mut rules = Rules::default();
        for number in 0..20 {
            rules
                .begin(&fault(number, Kind::Cut, Target::Node(format!("{number}"))))
                .unwrap();
        }
        let loud = (0..20)
            .filter(|number| rules.way(&number.to_string(), "x").closed)
            .count();
        assert!((1..20).contains(&loud), "{loud} of 20");
        assert_eq!(
            rules.begin(&fault(30, Kind::Kill, Target::Node("a".into()))),
            None
        );
    }
}

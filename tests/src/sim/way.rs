//! The words of the simulated network: ends of connections, what is told to them, and the condition of a way.

use super::scheduler::Micros;

/// Names a connection for the whole of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The end that dialled.
    Dialler,
    /// The end that was dialled.
    Acceptor,
}

impl Side {
    /// The end across.
    pub fn across(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }

    /// Position in a pair.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Dialler => 0,
            Self::Acceptor => 1,
        }
    }
}

/// What the network will tell a node's side at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetEvent {
    /// A dial reaches the other host: [`Network::answer`] it.
    Knock(ConnId),
    /// The dialled node learns that the connection stands.
    Accepted(ConnId),
    /// The dialler learns that the connection stands.
    Established(ConnId),
    /// The dialler learns that there will be no connection.
    DialFailed(ConnId),
    /// Bytes wait for this end: [`Network::take`] them.
    Arrival(ConnId, Side),
    /// This end may send again.
    Writable(ConnId, Side),
    /// This end learns that the connection is broken.
    Broken(ConnId, Side),
}

/// The condition of the way from one node to another.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Least time under way.
    pub delay: Micros,
    /// Added at random to each chunk, up to this.
    pub jitter: Micros,
    /// Bytes per second.
    pub bandwidth: u64,
    /// How many of a thousand chunks have to be sent again.
    pub loss_per_mille: u64,
    /// Nothing arrives.
    pub cut: bool,
}

/// How many of ten thousand frames are mistreated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tampering {
    /// Left out.
    pub drop: u64,
    /// Sent twice.
    pub double: u64,
    /// One bit turned.
    pub damage: u64,
}

//! What can be wrong in a configuration file, one value per kind, with the line and the key where it stands.
//!
//! Texts are made here and nowhere else, so that the same mistake always reads the same.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use truckee_actors::vdrive::sql::OpenError;
use truckee_engine::invite::InviteError;
use truckee_grid::params::ParamsError;

/// Everything that is wrong in one file, in the order of its lines.
#[derive(Debug, Error)]
#[error("{}", render(.path, .errors))]
pub struct ConfigErrors {
    /// The file.
    pub path: PathBuf,
    /// At least one error.
    pub errors: Vec<ConfigError>,
}

fn render(path: &std::path::Path, errors: &[ConfigError]) -> String {
    let lines: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {error}", path.display()))
        .collect();
    lines.join("\n")
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigError {
    /// Counted from 1; 0 when the file could not be read at all.
    pub line: usize,
    /// Dotted path of the key; empty when the text is not TOML.
    pub key: String,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        self.problem.fmt(f)
    }
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read ({0}); `truckee init` writes one")]
    Unreadable(std::io::ErrorKind),
    /// The file is longer than any configuration.
    #[error("is {got} bytes long; at most {max} are taken")]
    TooLong {
        /// Bytes found.
        got: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// Not TOML; the parser's own words.
    #[error("is not TOML: {0}")]
    Syntax(String),
    /// No such key.
    #[error("unknown key{}", suggestion(.0))]
    UnknownKey(Option<&'static str>),
    /// A key that has no default is absent.
    #[error("is missing; it has no default")]
    Missing,
    /// A value of another type.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// What is taken.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A number outside its bounds.
    #[error("must be between {low} and {high}, not {got}")]
    OutOfRange {
        /// As written.
        got: String,
        /// Smallest value taken.
        low: u64,
        /// Largest value taken.
        high: u64,
    },
    /// A text that does not have the form that is asked for.
    #[error("must be {expected}, not {got:?}")]
    BadText {
        /// As written.
        got: String,
        /// What is taken.
        expected: &'static str,
    },
    /// Neither "sqlite" nor the URL of a PostgreSQL server; its text may hold a password.
    #[error(
        "must be \"sqlite\" or a URL such as \"postgres://user:password@host:5432/name\"; its text is not repeated here"
    )]
    Database,
    /// The URL has a parameter that would be ignored; it may be part of a password.
    #[error("cannot be taken: {}", OpenError::UnknownParameter)]
    DatabaseParameter,
    /// Not an invite; which part is wrong, without its text.
    #[error("{0}")]
    Invite(InviteError),
    /// A list with too many items.
    #[error("has {got} items; at most {max} are taken")]
    TooMany {
        /// Items found.
        got: usize,
        /// Items allowed.
        max: usize,
    },
    /// A list that names the same thing twice.
    #[error("names {0:?} twice")]
    Twice(String),
    /// A section for a role that the node does not have.
    #[error("has no effect: {0:?} is not among the roles of this node")]
    RoleAbsent(&'static str),
    /// A node that may not stand alone has nobody to ask for admission.
    #[error("is empty: a node that is no introducer needs the invite of one")]
    InviteNeeded,
    /// Peers are listened for on every address of the machine, of which none can be told to others.
    #[error("is missing; a node that listens on every address must say under which one peers can dial it")]
    AdvertiseNeeded,
    /// Everybody in the network could use the gateway, and nobody has said that this is meant.
    #[error(
        "lets everybody who reaches {0} use the gateway; set gateway.token_file, or \
         gateway.allow_unauthenticated = true if that is meant"
    )]
    OpenGateway(SocketAddr),
    /// One of two keys that are of use only together.
    #[error("is of no use without {0}")]
    Alone(&'static str),
    /// Two keys that contradict each other.
    #[error("contradicts {0}; remove one of them")]
    Contradicts(&'static str),
    /// No role at all.
    #[error("is empty: a node without a role does nothing")]
    NoRole,
    /// k, n, happy and the segment length do not fit each other.
    #[error("{0}")]
    Encoding(#[from] ParamsError),
}

fn suggestion(known: &Option<&'static str>) -> String {
    known
        .map(|key| format!("; did you mean {key:?}?"))
        .unwrap_or_default()
}

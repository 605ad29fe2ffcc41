//! Names in directories: what each may stand for, by what was acknowledged, refused, or left open.
//!
//! Pure. A name is a register that several clients may write at the same time. A read that began at `b` and ended at `e`
//! may find what a write left that began before `e`, unless another write that was acknowledged before `b` began after it
//! was over. A write whose answer was lost may count or not: until something acknowledged comes after it, both what was
//! there before and what it wrote may be found; once it was found it counts. What is found besides is a violation, and
//! the model says of which kind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{At, Text};

/// Values that were there before, kept to tell an old one from one that nobody wrote.
const OLD_VALUES_MAX: usize = 8;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A file. Its cap is not known while the answer to an upload is lost.
    File { text: Text, cap: Option<String> },
    /// A directory.
    Directory { cap: Option<String> },
}

/// What a listing says of a name. Caps are secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) directory: bool,
    pub(crate) cap: String,
    pub(crate) size_bytes: Option<u64>,
}

impl Value {
    fn is(&self, seen: &Seen) -> bool {
        match self {
            Value::File { cap: Some(cap), .. } => !seen.directory && *cap == seen.cap,
            Value::File { text, cap: None } => !seen.directory && seen.size_bytes == Some(text.size_bytes),
            Value::Directory { cap } => seen.directory && cap.as_ref().is_none_or(|cap| *cap == seen.cap),
        }
    }

    fn learn(&mut self, seen: &Seen) {
        let (Value::File { cap, .. } | Value::Directory { cap }) = self;
        *cap = Some(seen.cap.clone());
    }

    /// For people, without the cap.
    fn shown(&self) -> String {
        match self {
            Value::File { text, .. } => format!("a file of {} bytes", text.size_bytes),
            Value::Directory { .. } => "a directory".to_owned(),
        }
    }
}

/// A directory of the run, by its number.
pub(crate) type Folder = usize;

/// One write of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    folder: Folder,
    name: String,
    id: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Acknowledged {
        at: At,
    },
    /// It may have counted until then.
    Lost {
        until: At,
    },
}

#[derive(Clone, Debug)]
struct Write {
    id: u64,
    /// None: the name was taken away.
    value: Option<Value>,
    begun: At,
    state: State,
}

impl Write {
    /// When it was over, one way or the other.
    fn over(&self) -> Option<At> {
        match self.state {
            State::Running => None,
            State::Acknowledged { at } | State::Lost { until: at } => Some(at),
        }
    }

    fn acknowledged(&self) -> Option<At> {
        match self.state {
            State::Acknowledged { at } => Some(at),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Register {
    writes: Vec<Write>,
    old: VecDeque<Value>,
}

impl Register {
    fn new() -> Register {
        let nothing = Write {
            id: 0,
            value: None,
            begun: At::ZERO,
            state: State::Acknowledged { at: At::ZERO },
        };
        Register {
            writes: vec![nothing],
            old: VecDeque::new(),
        }
    }

    /// Whether what `write` left was certainly replaced before `moment`.
    fn is_replaced(&self, write: &Write, moment: At) -> bool {
        let Some(over) = write.over() else { return false };
        let after = |other: &&Write| other.begun > over && other.acknowledged().is_some_and(|at| at < moment);
        self.writes.iter().any(|other| after(&other))
    }

    /// The one write that counts, if there is just one and it is beyond doubt.
    fn certain(&self) -> Option<&Write> {
        let mut counting = self
            .writes
            .iter()
            .filter(|write| !self.is_replaced(write, At::MAX));
        let only = counting.next().filter(|write| write.acknowledged().is_some());
        only.filter(|_| counting.next().is_none())
    }

    /// Forgets what no read that began at `moment` or later can find.
    fn prune(&mut self, moment: At) {
        let gone: BTreeSet<u64> = self
            .writes
            .iter()
            .filter(|write| self.is_replaced(write, moment))
            .map(|write| write.id)
            .collect();
        for write in self.writes.extract_if(.., |write| gone.contains(&write.id)) {
            self.old.extend(write.value);
        }
        while self.old.len() > OLD_VALUES_MAX {
            self.old.pop_front();
        }
    }
}

/// How a listing contradicts what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breach {
    /// An acknowledged name is missing.
    Lost,
    /// A name that was taken away is there again.
    Resurrected,
    /// A name stands for what it stood for before an acknowledged change.
    Stale,
    /// A name or what it stands for was written by nobody, or by a change that was refused.
    Strange,
}

/// A name that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) name: String,
    pub(crate) breach: Breach,
    /// For people, without caps.
    pub(crate) what: String,
}

/// All names of all directories.
#[derive(Debug, Default)]
pub(crate) struct Names {
    folders: BTreeMap<Folder, BTreeMap<String, Register>>,
    next_id: u64,
    /// Reads under way: when they began.
    reads: BTreeMap<u64, At>,
    /// Changes that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Changes whose answer was lost.
    pub(crate) lost: u64,
}

/// A read under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    id: u64,
    begun: At,
}

impl Names {
    /// A client begins to write a name; `None` takes it away.
    pub(crate) fn begin(&mut self, at: At, folder: Folder, name: &str, value: Option<Value>) -> Ticket {
        let id = self.id();
        let names = self.folders.entry(folder).or_default();
        let register = names.entry(name.to_owned()).or_insert_with(Register::new);
        register.writes.push(Write {
            id,
            value,
            begun: at,
            state: State::Running,
        });
        Ticket {
            folder,
            name: name.to_owned(),
            id,
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn register(&mut self, ticket: &Ticket) -> Option<&mut Register> {
        self.folders.get_mut(&ticket.folder)?.get_mut(&ticket.name)
    }

    /// It was acknowledged, with this cap if one was given.
    pub(crate) fn acknowledge(&mut self, ticket: &Ticket, at: At, cap: Option<&str>) {
        self.acknowledged += 1;
        let soon = at + At::from_nanos(1);
        let since = self.reads.values().min().copied().unwrap_or(soon);
        let Some(register) = self.register(ticket) else {
            return;
        };
        for write in register.writes.iter_mut().filter(|write| write.id == ticket.id) {
            write.state = State::Acknowledged { at };
            if let (Some(Value::File { cap: known, .. } | Value::Directory { cap: known }), Some(cap)) =
                (&mut write.value, cap)
            {
                *known = Some(cap.to_owned());
            }
        }
        register.prune(since);
    }

    /// It was refused: it does not count.
    pub(crate) fn refuse(&mut self, ticket: &Ticket) {
        if let Some(register) = self.register(ticket) {
            register.writes.retain(|write| write.id != ticket.id);
        }
    }

    /// Its answer was lost: it may count, if it did so `until` then.
    pub(crate) fn lose(&mut self, ticket: &Ticket, until: At) {
        self.lost += 1;
        if let Some(register) = self.register(ticket) {
            for write in register.writes.iter_mut().filter(|write| write.id == ticket.id) {
                write.state = State::Lost { until };
            }
        }
    }

    /// A client begins to list a directory.
    pub(crate) fn begin_read(&mut self, at: At) -> Read {
        let id = self.id();
        self.reads.insert(id, at);
        Read { id, begun: at }
    }

    /// The listing failed.
    pub(crate) fn forget_read(&mut self, read: Read) {
        self.reads.remove(&read.id);
    }

    /// Compares a listing with what may be there; gives what contradicts it, and the files that were found for the first
    /// time although the answer to their upload was lost.
    pub(crate) fn check(
        &mut self,
        read: Read,
        ended: At,
        folder: Folder,
        listing: &BTreeMap<String, Seen>,
    ) -> (Vec<Finding>, Vec<(String, Text)>) {
        self.reads.remove(&read.id);
        let names = self.folders.entry(folder).or_default();
        let (mut findings, mut found) = (Vec::new(), Vec::new());
        for (name, register) in names.iter_mut() {
            match register.look(read.begun, ended, listing.get(name)) {
                Ok(new) => found.extend(new),
                Err((breach, what)) => findings.push(Finding {
                    name: name.clone(),
                    breach,
                    what,
                }),
            }
        }
        for name in listing.keys().filter(|name| !names.contains_key(*name)) {
            findings.push(Finding {
                name: name.clone(),
                breach: Breach::Strange,
                what: "nobody gave this name to anything".to_owned(),
            });
        }
        (findings, found)
    }

    /// What a name stands for if that is beyond doubt and nobody is changing it.
    pub(crate) fn certain(&self, folder: Folder, name: &str) -> Option<Option<Value>> {
        let Some(register) = self.folders.get(&folder).and_then(|names| names.get(name)) else {
            return Some(None);
        };
        register.certain().map(|write| write.value.clone())
    }

    /// Names that stand for a file beyond doubt, with its content.
    pub(crate) fn sure_files(&self) -> Vec<(Folder, String, Text)> {
        let text = |register: &Register| match register.certain()?.value {
            Some(Value::File { text, .. }) => Some(text),
            _ => None,
        };
        let all = self
            .folders
            .iter()
            .flat_map(|(folder, names)| names.iter().map(|(name, register)| (*folder, name, register)));
        all.filter_map(|(folder, name, register)| Some((folder, name.clone(), text(register)?)))
            .collect()
    }

    /// How many names there are, and how many of them stand for something beyond doubt.
    pub(crate) fn count(&self) -> (usize, usize) {
        let all = || self.folders.values().flat_map(BTreeMap::values);
        let sure = |register: &&Register| register.certain().is_some_and(|write| write.value.is_some());
        (all().count(), all().filter(sure).count())
    }
}

type Verdict = Result<Option<(String, Text)>, (Breach, String)>;

impl Register {
    /// Whether a read may have found this; learns from it.
    fn look(&mut self, begun: At, ended: At, seen: Option<&Seen>) -> Verdict {
        let possible: Vec<usize> = (0..self.writes.len())
            .filter(|at| {
                let write = &self.writes[*at];
                write.begun <= ended && !self.is_replaced(write, begun)
            })
            .collect();
        let fits = |write: &Write| match (&write.value, seen) {
            (None, None) => true,
            (Some(value), Some(seen)) => value.is(seen),
            _ => false,
        };
        // What was acknowledged explains a reading before what is in doubt does.
        let by_doubt = |at: &&usize| self.writes[**at].acknowledged().is_none();
        let explanation = possible
            .iter()
            .filter(|at| fits(&self.writes[**at]))
            .min_by_key(by_doubt);
        match (explanation, seen) {
            (Some(at), Some(seen)) => Ok(self.learn(*at, ended, seen)),
            (Some(_), None) => Ok(None),
            (None, seen) => Err(self.contradiction(&possible, seen)),
        }
    }

    /// A write was found: it counts, and its cap is known from now on.
    fn learn(&mut self, at: usize, ended: At, seen: &Seen) -> Option<(String, Text)> {
        let write = &mut self.writes[at];
        let value = write.value.as_mut()?;
        let new = match value {
            Value::File { text, cap: None } => Some((seen.cap.clone(), *text)),
            _ => None,
        };
        value.learn(seen);
        if matches!(write.state, State::Lost { .. }) {
            write.state = State::Acknowledged { at: ended };
        }
        new
    }

    fn contradiction(&self, possible: &[usize], seen: Option<&Seen>) -> (Breach, String) {
        let expected: Vec<String> = possible
            .iter()
            .map(|at| match &self.writes[*at].value {
                Some(value) => value.shown(),
                None => "nothing".to_owned(),
            })
            .collect();
        let expected = expected.join(" or ");
        let Some(seen) = seen else {
            return (
                Breach::Lost,
                format!("it must stand for {expected} and is not there"),
            );
        };
        let replaced = self.writes.iter().filter_map(|write| write.value.as_ref());
        let was_there = replaced.chain(&self.old).any(|value| value.is(seen));
        let gone = possible.iter().all(|at| self.writes[*at].value.is_none());
        let kind = if seen.directory { "a directory" } else { "a file" };
        match (was_there, gone) {
            (true, true) => (
                Breach::Resurrected,
                format!("it was taken away and stands for {kind} again"),
            ),
            (true, false) => (
                Breach::Stale,
                format!("it must stand for {expected} and stands for what it was before"),
            ),
            (false, _) => (
                Breach::Strange,
                format!(
                    "it must stand for {expected} and stands for {kind} that nobody put there, or whose putting was refused"
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests;

//! What clients were told, against what is true.

use std::collections::BTreeMap;

use truckee_engine::drive::{DirectoryView, DriveError, EditWhy, Outcome};

use super::{Directory, DriveWorld, Order, OrderId, Texts, What, text_of, value_of};

/// An edit that a client was told to be done.
struct Done {
    seen: usize,
    before: Option<String>,
    after: Option<String>,
}

/// Edits of one name that ended in one step, in their order: they may have gone into one change.
type Chains = BTreeMap<(usize, String), Vec<Done>>;

impl DriveWorld {
    /// Judges what has ended in this step. `tainted`: what the gateway and a vdrive said to each other was tampered with
    /// behind the encryption, so that only what the owner's signature covers counts.
    pub fn judge(&mut self, tainted: bool) -> Vec<String> {
        let mut broken = self.take_broken();
        if self.ended.is_empty() {
            return broken;
        }
        let mut chains = Chains::new();
        let mut others = Vec::new();
        for (id, result) in std::mem::take(&mut self.ended) {
            let Some(order) = self.orders.remove(&id) else {
                broken.push(format!("order {} ends twice", id.0));
                continue;
            };
            match (&order.what, result) {
                (What::Set { name, .. } | What::Remove { name }, Ok(Outcome::Edited(edited))) => {
                    let before = edited.first().and_then(|edited| edited.before.as_ref());
                    let after = matches!(order.what, What::Set { .. }).then(|| value_of(id));
                    let chain = chains.entry((order.directory, name.clone())).or_default();
                    chain.push(Done {
                        seen: order.seen,
                        before: before.map(|child| text_of(&child.target)),
                        after,
                    });
                }
                (_, result) => others.push((id, order, result)),
            }
        }
        for (id, order, result) in others {
            let wrong = match result {
                Ok(Outcome::Read(view)) => {
                    self.directories[order.directory].check_read(&order, &view, tainted)
                }
                Ok(Outcome::Edited(_)) => self.created(&order, tainted),
                Err(error) => self.failed(id, &order, &error, &chains, tainted),
            };
            broken.extend(
                wrong
                    .err()
                    .map(|what| format!("order {}, {:?}: {what}", id.0, order.what)),
            );
        }
        for ((directory, name), chain) in chains.iter().filter(|_| !tainted) {
            let wrong = self.directories[*directory].check_chain(name, chain);
            broken.extend(wrong.err());
        }
        broken
    }

    fn created(&mut self, order: &Order, tainted: bool) -> Result<(), String> {
        let directory = &mut self.directories[order.directory];
        directory.ready = directory.newest() > 0;
        if directory.ready || tainted {
            return Ok(());
        }
        Err("it does not exist".into())
    }

    fn failed(
        &mut self,
        id: OrderId,
        order: &Order,
        error: &DriveError,
        chains: &Chains,
        tainted: bool,
    ) -> Result<(), String> {
        if tainted || *error == DriveError::Unknown {
            return Ok(());
        }
        match &order.what {
            What::Create => {
                self.directories[order.directory].denied = true;
                if self.directories[order.directory].newest() > 0 {
                    return Err(format!("it exists, and its client was told: {error}"));
                }
            }
            What::Set { .. } => {
                self.denied.insert(value_of(id));
                if self.written.contains(&value_of(id)) {
                    return Err(format!("it is written, and its client was told: {error}"));
                }
            }
            What::Read | What::Remove { .. } => {}
        }
        match error {
            DriveError::Refused(refused) => {
                self.directories[order.directory].check_refusal(order, &refused.why, chains)
            }
            DriveError::NoVdrive
            | DriveError::Unreachable { .. }
            | DriveError::Busy { .. }
            | DriveError::Contended { .. }
            | DriveError::Database => Ok(()),
            // All vdrives are honest and keep one database, and only directories that exist are asked for.
            error => Err(format!("without reason: {error}")),
        }
    }
}

impl Directory {
    fn since(&self, seen: usize) -> impl Iterator<Item = &Texts> {
        self.versions[seen..].iter()
    }

    fn check_read(&self, order: &Order, view: &DirectoryView, tainted: bool) -> Result<(), String> {
        let version = usize::try_from(view.version).unwrap_or(usize::MAX);
        let Some(texts) = self.versions.get(version) else {
            return Err(format!("version {version} does not exist"));
        };
        let shown: Texts = view
            .children
            .iter()
            .map(|(name, child)| (name.as_str().to_owned(), text_of(&child.target)))
            .collect();
        if shown != *texts || view.writable {
            return Err(format!("version {version} is {texts:?} and shown as {shown:?}"));
        }
        if version < order.seen && !tainted {
            return Err(format!(
                "version {version} is shown, and {} was there before",
                order.seen
            ));
        }
        Ok(())
    }

    /// The refusal was right on top of some version that was the newest one meanwhile, or of what the same step did.
    fn check_refusal(&self, order: &Order, why: &EditWhy, chains: &Chains) -> Result<(), String> {
        let (name, taken) = match (&order.what, why) {
            (
                What::Set {
                    name,
                    replaces: false,
                },
                EditWhy::Exists,
            ) => (name, true),
            (What::Remove { name }, EditWhy::NotFound) => (name, false),
            _ => return Err(format!("refused without reason: {why}")),
        };
        let chain = chains.get(&(order.directory, name.clone()));
        let in_step = chain.is_some_and(|chain| chain.iter().any(|done| done.after.is_some() == taken));
        let was = self
            .since(order.seen)
            .any(|texts| texts.contains_key(name) == taken);
        if was || in_step {
            return Ok(());
        }
        Err(format!("refused although it never was so: {why}"))
    }

    /// The edits followed each other, and some version since all of them were asked for is what they made.
    fn check_chain(&self, name: &str, chain: &[Done]) -> Result<(), String> {
        let (Some(first), Some(last)) = (chain.first(), chain.last()) else {
            return Ok(());
        };
        let told = || {
            let pairs = chain
                .iter()
                .map(|done| format!("{:?} to {:?}", done.before, done.after));
            pairs.collect::<Vec<_>>().join(", ")
        };
        if chain.windows(2).any(|pair| pair[0].after != pair[1].before) {
            return Err(format!("{name} was changed from {}: these are no chain", told()));
        }
        let seen = chain.iter().map(|done| done.seen).max().unwrap_or(0);
        let made = |pair: &[Texts]| {
            pair[0].get(name) == first.before.as_ref() && pair[1].get(name) == last.after.as_ref()
        };
        let nothing = first.before == last.after;
        let is_true = self.versions[seen..].windows(2).any(made)
            || nothing
                && self
                    .since(seen)
                    .any(|texts| texts.get(name) == last.after.as_ref());
        if is_true {
            return Ok(());
        }
        Err(format!(
            "{name} was said to be changed from {}, and no version since {seen} is so",
            told()
        ))
    }
}

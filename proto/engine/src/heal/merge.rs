//! Pages of several nodes, merged into files.
//!
//! Each node lists its shares in ascending order, so a file is known as soon as every node has listed something behind it
//! or its last page. Holds one page of each node.

use std::collections::{BTreeMap, VecDeque};

use truckee_grid::ids::{NodeId, StorageIndex};
use truckee_wire::message::{ListedShare, SharePlace, SharesListed};

/// All that nodes say of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileSeen {
    pub(super) si: StorageIndex,
    pub(super) holders: Vec<(NodeId, ListedShare)>,
}

#[derive(Debug)]
struct Source {
    waiting: VecDeque<ListedShare>,
    /// Where its next page goes on.
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A page is to be asked for, behind this place.
    Ask(Option<SharePlace>),
    /// It was asked for.
    Asked(Option<SharePlace>),
    /// There is no more.
    End,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Merge {
    sources: BTreeMap<NodeId, Source>,
    /// Nodes of which nothing is waiting although there is more. With one of them no file is known, and it is asked after
    /// every page of every node whether one is.
    blank: usize,
}

impl Merge {
    pub(super) fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let source = || Source {
            waiting: VecDeque::new(),
            next: Next::Ask(None),
        };
        let sources: BTreeMap<NodeId, Source> = nodes.into_iter().map(|node| (node, source())).collect();
        Self {
            blank: sources.len(),
            sources,
        }
    }

    /// Nodes to be asked for a page now, each with the place behind which it goes on; they count as asked.
    pub(super) fn ask(&mut self) -> Vec<(NodeId, Option<SharePlace>)> {
        let wanting = self.sources.iter_mut().filter(|(_, source)| source.wants());
        wanting
            .filter_map(|(node, source)| {
                let Next::Ask(after) = source.next else {
                    return None;
                };
                source.next = Next::Asked(after);
                Some((*node, after))
            })
            .collect()
    }

    /// Whether there is anybody to ask.
    pub(super) fn wants_to_ask(&self) -> bool {
        self.sources.values().any(Source::wants)
    }

    /// The node did not answer and is to be asked again.
    pub(super) fn ask_again(&mut self, node: &NodeId) {
        if let Some(source) = self.sources.get_mut(node)
            && let Next::Asked(after) = source.next
        {
            source.next = Next::Ask(after);
        }
    }

    /// A page came. False if it does not follow what was asked, as no honest node's does.
    #[must_use]
    pub(super) fn page(&mut self, node: &NodeId, page: SharesListed) -> bool {
        let Some(source) = self.sources.get_mut(node) else {
            return false;
        };
        let Next::Asked(after) = source.next else {
            return false;
        };
        let first = page.shares.first().map(|share| share.place);
        let follows =
            |place: Option<SharePlace>| place.is_none_or(|place| after.is_none_or(|after| place > after));
        if !follows(first) || !follows(page.next) {
            return false;
        }
        self.blank -= usize::from(source.is_blank());
        source.waiting.extend(page.shares);
        source.next = page.next.map_or(Next::End, |next| Next::Ask(Some(next)));
        self.blank += usize::from(source.is_blank());
        true
    }

    /// The next file, if all that is said of it is known.
    pub(super) fn next_file(&mut self) -> Option<FileSeen> {
        if self.blank > 0 {
            return None;
        }
        // A page may end within a file: what is known of a node reaches to its last share, the file of that not included.
        let firsts = self
            .sources
            .values()
            .filter_map(|source| Some(source.waiting.front()?.place.si));
        let si = firsts.min()?;
        let reaches = |source: &Source| {
            source.next == Next::End || source.waiting.back().is_some_and(|last| last.place.si > si)
        };
        if !self.sources.values().all(reaches) {
            return None;
        }
        let mut holders = Vec::new();
        for (node, source) in &mut self.sources {
            while source.waiting.front().is_some_and(|share| share.place.si == si)
                && let Some(share) = source.waiting.pop_front()
            {
                holders.push((*node, share));
            }
            // None was before.
            self.blank += usize::from(source.is_blank());
        }
        Some(FileSeen { si, holders })
    }

    /// Whether all has been told.
    pub(super) fn is_through(&self) -> bool {
        let through = |source: &Source| source.next == Next::End && source.waiting.is_empty();
        self.blank == 0 && self.sources.values().all(through)
    }
}

impl Source {
    fn is_blank(&self) -> bool {
        self.waiting.is_empty() && self.next != Next::End
    }

    /// A further page, when what is here is too little to know a file. That may be a file with as many shares as one node
    /// lists in a page; so more than one page is kept at times, but never more than one file beyond.
    fn wants(&self) -> bool {
        let one_file = match (self.waiting.front(), self.waiting.back()) {
            (Some(first), Some(last)) => first.place.si == last.place.si,
            _ => true,
        };
        matches!(self.next, Next::Ask(_)) && one_file
    }
}

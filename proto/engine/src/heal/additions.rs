//! Buckets that were whole and changed since: which shares came is asked first, and only of those nodes where something changed.
//!
//! That is how uploads look to a keeper, and in a large grid it is the difference between one question to each holder of a new
//! file and a list of its bucket from every node there is. All buckets are asked about at once, each node once. If each file of
//! which something came is whole by that alone, its bucket is as whole as it was; if one is not, or a node does not know, the
//! bucket is listed like any other. Of a node that is busy it is asked again in the next round.

use std::collections::{BTreeMap, BTreeSet};

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{AddedListed, ListAdded, ListedShare, Request, Response, Span};

use super::evacuation::Look;
use super::merge::FileSeen;
use super::verdict::{self, Verdict};
use super::{Healer, Phase, Purpose};
use crate::time::Mono;
use crate::transfer::Verdict as Answer;

/// Shares looked at in one round, some 60 bytes each; buckets that do not fit are listed.
const LOOKED_AT_MAX: usize = 65_536;

/// A node whose count of a bucket is another one than when it was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) node: NodeId,
    pub(super) epoch: u64,
    pub(super) span: Span,
}

/// A bucket, and how far what came into it is known.
#[derive(Debug)]
struct Asked {
    changes: Vec<Change>,
    /// Nodes that have said it.
    said: usize,
    /// One of them is to be asked again later.
    later: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Additions {
    buckets: BTreeMap<Bucket, Asked>,
    /// Nodes that have not answered.
    out: usize,
    came: Vec<(NodeId, ListedShare)>,
}

impl Additions {
    pub(super) fn changed(&mut self, bucket: Bucket, changes: Vec<Change>) {
        let asked = Asked {
            changes,
            said: 0,
            later: false,
        };
        self.buckets.insert(bucket, asked);
    }

    /// What is to be asked, of whom.
    fn questions(&self) -> BTreeMap<NodeId, ListAdded> {
        let mut questions: BTreeMap<NodeId, ListAdded> = BTreeMap::new();
        for change in self.buckets.values().flat_map(|asked| &asked.changes) {
            let question = questions.entry(change.node).or_insert_with(|| ListAdded {
                epoch: change.epoch,
                spans: Vec::new(),
            });
            // Ascending, as the buckets are.
            question.spans.push(change.span);
        }
        questions
    }

    /// A node has answered. It has said what came into a bucket if it tells of as many shares as it counted changes.
    fn said(&mut self, node: NodeId, listed: &AddedListed) {
        for (bucket, asked) in &mut self.buckets {
            let Some(changes) = asked.changes_at(&node) else {
                continue;
            };
            let came = within(&listed.shares, *bucket, |share| share);
            let is_known = came.len() == changes && listed.unknown.binary_search(bucket).is_err();
            if is_known && self.came.len() + came.len() <= LOOKED_AT_MAX {
                asked.said += 1;
                self.came.extend(came.iter().map(|share| (node, *share)));
            }
        }
    }

    fn ask_later(&mut self, node: NodeId) {
        for asked in self.buckets.values_mut() {
            asked.later |= asked.changes_at(&node).is_some();
        }
    }
}

impl Asked {
    /// How often the bucket changed at a node, if it did.
    fn changes_at(&self, node: &NodeId) -> Option<usize> {
        let change = self.changes.iter().find(|change| change.node == *node)?;
        Some(change.span.until.wrapping_sub(change.span.after) as usize)
    }
}

/// Those of a bucket, of shares that ascend.
fn within<T>(shares: &[T], bucket: Bucket, share: impl Fn(&T) -> &ListedShare) -> &[T] {
    let of = |one: &T| Bucket::of(&share(one).place.si);
    let begin = shares.partition_point(|one| of(one) < bucket);
    let end = shares.partition_point(|one| of(one) <= bucket);
    &shares[begin..end]
}

/// How many nodes may be away before one of the files of which these shares came is in danger; `None` if not all of them are
/// whole by these shares alone. For that it does not matter who is away.
fn spare_nodes(came: &[(NodeId, ListedShare)], draining: &BTreeSet<NodeId>) -> Option<usize> {
    let mut least = usize::MAX;
    for holders in came.chunk_by(|(_, one), (_, next)| one.place.si == next.place.si) {
        let file = FileSeen {
            si: holders.first()?.1.place.si,
            holders: holders.to_vec(),
        };
        let judged = verdict::judge(&file, 0, draining);
        match judged.verdict {
            Verdict::Whole { spare_nodes } if !judged.contradicted && judged.surplus == 0 => {
                least = least.min(spare_nodes);
            }
            _ => return None,
        }
    }
    Some(least)
}

impl Healer {
    /// Asks what came, or goes on with the buckets to be listed if nothing did.
    pub(super) fn ask_what_came(&mut self, now: Mono, mut additions: Additions) {
        let questions = additions.questions();
        additions.out = questions.len();
        for (node, question) in questions {
            self.send(
                now,
                Purpose::Additions { node },
                node,
                Request::ListAdded(question),
            );
        }
        self.phase = Phase::Adding(Box::new(additions));
        self.end_additions(now);
    }

    pub(super) fn on_additions(&mut self, now: Mono, node: NodeId, answer: Answer) {
        let Phase::Adding(additions) = &mut self.phase else {
            return;
        };
        additions.out -= 1;
        match answer {
            Answer::Done(Response::AddedListed(listed)) => {
                self.report.shares_listed += listed.shares.len() as u64;
                additions.said(node, &listed);
            }
            Answer::Again(_) => additions.ask_later(node),
            // Who has not said it leaves its buckets to be listed.
            _ => {}
        }
        self.end_additions(now);
    }

    fn end_additions(&mut self, now: Mono) {
        let Phase::Adding(additions) = &mut self.phase else {
            return;
        };
        if additions.out > 0 {
            return;
        }
        let Additions {
            buckets, mut came, ..
        } = std::mem::take(&mut **additions);
        came.sort_unstable_by_key(|(node, share)| (share.place, *node));
        let draining = self.members.draining();
        for (bucket, asked) in buckets {
            let of_bucket = within(&came, bucket, |(_, share)| share);
            let all_said = asked.said == asked.changes.len();
            let spare_nodes = all_said.then(|| spare_nodes(of_bucket, &draining)).flatten();
            match spare_nodes {
                Some(spare_nodes) => self.members.settle_anew(bucket, &asked.changes, spare_nodes),
                None if asked.later => {}
                None => self.to_list.push((bucket, Look::All)),
            }
        }
        self.next_bucket(now);
    }
}

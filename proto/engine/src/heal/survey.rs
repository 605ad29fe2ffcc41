//! The beginning of a round: who answers, and which buckets are to be listed.

use std::collections::BTreeSet;

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Request, Response};

use super::additions::Additions;
use super::evacuation::Look;
use super::members::Standing;
use super::misplaced::Places;
use super::{Healer, Phase, Purpose};
use crate::time::Mono;
use crate::transfer::Verdict;

impl Healer {
    pub(super) fn begin_round(&mut self, now: Mono) {
        self.round_at = now + self.config.round_every;
        let nodes = self.members.reachable();
        self.phase = Phase::Surveying {
            out: nodes.len(),
            since: now,
        };
        for node in nodes {
            self.send(now, Purpose::Inventory { node }, node, Request::GetInventory);
        }
        self.end_survey(now);
    }

    pub(super) fn on_inventory(&mut self, now: Mono, node: NodeId, verdict: Verdict) {
        let inventory = match verdict {
            Verdict::Done(Response::Inventory(inventory)) => Some(inventory),
            // Busy counts as away for one round: what it holds is presumed, and it gets nothing.
            _ => None,
        };
        self.members.answered(now, &node, inventory);
        if let Phase::Surveying { out, .. } = &mut self.phase {
            *out -= 1;
            self.end_survey(now);
        }
    }

    /// Begins or ends the watch over this node's own evacuation. A node that did not tell itself what it has knows nothing. `since`:
    /// when it was asked; what came later may not be in what it told.
    fn watch_evacuation(&mut self, since: Mono) {
        let draining = self.members.draining();
        if draining.contains(&self.config.own) {
            let evacuation = self.evacuation.get_or_insert_default();
            evacuation.begin_round(since, &draining);
        } else {
            self.evacuation = None;
        }
    }

    /// Buckets that are looked through for copies of this node's own that may go.
    fn take_turns(&mut self, now: Mono) -> BTreeSet<Bucket> {
        let mut turns: BTreeSet<Bucket> = self.surplus.take(Bucket::COUNT).into_iter().collect();
        if let Some(places) = self.places(now) {
            turns.extend(self.placing.take(&places.members));
        }
        turns
    }

    /// Where files belong, if that can be said: not while a node is away that may come back, and not of a node that leaves.
    pub(super) fn places(&self, now: Mono) -> Option<Places> {
        let draining = self.members.draining();
        if !self.placing.is_on() || self.members.in_grace(now) > 0 || draining.contains(&self.config.own) {
            return None;
        }
        let stay = self
            .members
            .present()
            .filter(|member| !draining.contains(&member.id));
        Some(Places {
            members: stay.cloned().collect(),
            takers: self.members.takers(),
        })
    }

    fn end_survey(&mut self, now: Mono) {
        let Phase::Surveying { out: 0, since } = self.phase else {
            return;
        };
        self.report.nodes_in_grace = self.members.in_grace(now) as u64;
        self.watch_evacuation(since);
        let turns = self.take_turns(now);
        let mut additions = Additions::default();
        for bucket in Bucket::all() {
            let watch = self.evacuation.as_ref();
            let watch = watch.and_then(|watch| watch.look(bucket, &self.members));
            let turn = turns.contains(&bucket).then_some(Look::Own);
            let look = watch.or(turn);
            let look = if !self.members.keeps(bucket) {
                self.members.forget(bucket);
                self.tallies.remove(&bucket);
                self.files.retain_in(bucket, |_| false);
                look
            } else {
                match self.members.standing(bucket, now) {
                    Standing::Settled => look,
                    Standing::Changed(changes) if look.is_none() => {
                        additions.changed(bucket, changes);
                        None
                    }
                    Standing::Changed(_) | Standing::Unknown => Some(Look::All),
                }
            };
            self.to_list.extend(look.map(|look| (bucket, look)));
        }
        // A node's patience ends: what it held is to be made again then, not a round later.
        if let Some(end) = self.members.next_grace_end(now) {
            self.round_at = self.round_at.min(end);
        }
        self.ask_what_came(now, additions);
    }
}

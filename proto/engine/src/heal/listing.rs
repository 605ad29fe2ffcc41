//! Listing one bucket at all nodes that answer, and judging its files.

use std::collections::BTreeSet;
use std::time::Duration;

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{NodeId, StorageIndex};
use truckee_wire::message::{ListShares, Request, Response, SharesListed};

use super::evacuation::{EvacuationTally, Look, Watched};
use super::members::{Mark, Settled};
use super::merge::Merge;
use super::misplaced::{self, Places};
use super::report::Tally;
use super::surplus;
use super::verdict::{self, Verdict};
use super::{Effect, Healer, LISTED_PER_SECOND_MAX, Phase, Purpose};
use crate::time::Mono;
use crate::transfer::Verdict as Answer;
use crate::trim::Reason;

/// How often a node is asked for the same page.
const TRIES_MAX: u32 = 5;
/// Shortest rest before it is asked again; doubles.
const REST: Duration = Duration::from_millis(200);
/// What a page costs at least, in shares: with it the buckets of an empty node are listed within ten seconds or so, whatever
/// the number of nodes, and a start is hardly felt.
const PAGE_COST: u32 = 50;
/// The same for a page of this node's own, which crosses no network: all its buckets are looked at within seconds.
const OWN_PAGE_COST: u32 = 10;

/// A bucket that is being listed.
#[derive(Debug)]
pub(super) struct Listing {
    bucket: Bucket,
    look: Look,
    begun: Mono,
    /// Whether this node keeps the bucket, or only wants to know what became of its own shares.
    kept: bool,
    draining: BTreeSet<NodeId>,
    merge: Merge,
    /// Of the first page of each node.
    marks: Vec<Mark>,
    away: usize,
    /// Pages in a row that had to be asked for again.
    tries: u32,
    spare_nodes: usize,
    short: BTreeSet<StorageIndex>,
    tally: Tally,
    evacuation: EvacuationTally,
    /// Where files belong, if that is known.
    places: Option<Places>,
}

impl Listing {
    pub(super) fn wants_to_ask(&self) -> bool {
        self.merge.wants_to_ask()
    }

    fn mark(&mut self, node: NodeId, page: &SharesListed) {
        if !self.marks.iter().any(|(known, ..)| *known == node) {
            self.marks.push((node, page.epoch, page.changes));
        }
    }
}

impl Healer {
    /// Begins with the next bucket, or ends the round.
    pub(super) fn next_bucket(&mut self, now: Mono) {
        let Some((bucket, look)) = self.to_list.pop() else {
            self.phase = Phase::Resting;
            self.report.rounds += 1;
            if let Some(evacuation) = &mut self.evacuation {
                evacuation.end_round();
            }
            return;
        };
        let present: Vec<NodeId> = match look {
            Look::Own => vec![self.config.own],
            Look::All => self.members.present().map(|member| member.id).collect(),
        };
        self.phase = Phase::Listing(Box::new(Listing {
            bucket,
            look,
            begun: now,
            kept: look == Look::All && self.members.keeps(bucket),
            draining: self.members.draining(),
            merge: Merge::new(present),
            marks: Vec::new(),
            away: self.members.in_grace(now),
            tries: 0,
            spare_nodes: usize::MAX,
            short: BTreeSet::new(),
            tally: Tally::default(),
            evacuation: EvacuationTally::default(),
            places: self.places(now),
        }));
    }

    /// Asks for pages, if any are wanted and it is time.
    pub(super) fn list_on(&mut self, now: Mono) {
        while let Phase::Listing(listing) = &mut self.phase {
            if now >= self.list_at {
                let bucket = listing.bucket;
                for (node, after) in listing.merge.ask() {
                    let list = ListShares { bucket, after };
                    self.send(now, Purpose::Page { node }, node, Request::ListShares(list));
                }
            }
            self.judge_files(now);
            let Phase::Listing(listing) = &self.phase else {
                return;
            };
            if !listing.merge.is_through() {
                return;
            }
            self.end_bucket();
            self.next_bucket(now);
        }
    }

    pub(super) fn on_page(&mut self, now: Mono, node: NodeId, answer: Answer) {
        let Phase::Listing(listing) = &mut self.phase else {
            return;
        };
        match answer {
            Answer::Done(Response::SharesListed(page)) => {
                listing.tries = 0;
                listing.mark(node, &page);
                let listed = page.shares.len() as u32;
                self.report.shares_listed += u64::from(listed);
                let least = match listing.look {
                    Look::Own => OWN_PAGE_COST,
                    Look::All => PAGE_COST,
                };
                let pause = Duration::from_secs(1) * listed.max(least) / LISTED_PER_SECOND_MAX;
                self.list_at = self.list_at.max(now) + pause;
                if !listing.merge.page(&node, page) {
                    self.give_bucket_up(now);
                }
            }
            Answer::Again(wait) if listing.tries < TRIES_MAX => {
                let rest = wait.max(REST) * 2_u32.saturating_pow(listing.tries);
                listing.tries += 1;
                listing.merge.ask_again(&node);
                self.list_at = self.list_at.max(now + rest);
            }
            _ => self.give_bucket_up(now),
        }
    }

    /// Without one of the lists nothing is known: what is missing in the others may be there. The next round tries again.
    fn give_bucket_up(&mut self, now: Mono) {
        for token in self.calls.take_all() {
            self.effects.push_back(Effect::CancelSend { token });
        }
        self.report.lists_failed += 1;
        self.placing.found();
        if let (Phase::Listing(listing), Some(evacuation)) = (&self.phase, &mut self.evacuation) {
            evacuation.forget(listing.bucket);
        }
        self.next_bucket(now);
    }

    fn judge_files(&mut self, now: Mono) {
        let Phase::Listing(listing) = &mut self.phase else {
            return;
        };
        while let Some(file) = listing.merge.next_file() {
            listing
                .evacuation
                .count(&file, self.config.own, &listing.draining);
            if self.surplus.is_on() {
                let copies = surplus::copies(&file, self.config.own).into_iter();
                self.effects
                    .extend(copies.map(|share| Effect::MayGo(share, Reason::Surplus)));
            }
            if let Some(places) = &listing.places
                && let Some((share, to)) = misplaced::misplaced(&file, self.config.own, places)
            {
                self.placing.found();
                self.effects
                    .push_back(Effect::MayGo(share, Reason::Elsewhere(to)));
            }
            if !listing.kept {
                continue;
            }
            let judged = verdict::judge(&file, listing.away, &listing.draining);
            listing.tally.contradicted += u64::from(judged.contradicted);
            listing.tally.surplus += judged.surplus as u64;
            match judged.verdict {
                Verdict::Whole { spare_nodes } => {
                    listing.spare_nodes = listing.spare_nodes.min(spare_nodes);
                }
                Verdict::Presumed { spare_nodes } => {
                    listing.tally.presumed += 1;
                    listing.spare_nodes = listing.spare_nodes.min(spare_nodes);
                }
                Verdict::Unreadable => listing.tally.unreadable += 1,
                Verdict::Short { margin } => {
                    listing.short.insert(file.si);
                    self.files.short(now, file.si, margin, false);
                }
                Verdict::Leaving { margin } => {
                    listing.short.insert(file.si);
                    self.files.short(now, file.si, margin, true);
                }
            }
        }
    }

    fn end_bucket(&mut self) {
        let Phase::Listing(listing) = std::mem::replace(&mut self.phase, Phase::Resting) else {
            return;
        };
        self.report.buckets_listed += 1;
        if listing.look == Look::Own && listing.evacuation.holds_any() {
            // Where its shares are besides is asked next.
            self.to_list.push((listing.bucket, Look::All));
        } else {
            self.watch(&listing);
        }
        if listing.kept {
            self.keep(*listing);
        }
    }

    /// What becomes of this node's own shares, while it is being emptied.
    fn watch(&mut self, listing: &Listing) {
        let asked_itself = listing.marks.iter().any(|(node, ..)| *node == self.config.own);
        if let Some(evacuation) = self.evacuation.as_mut().filter(|_| asked_itself) {
            let watched = Watched {
                marks: listing.marks.clone(),
                tally: listing.evacuation,
            };
            evacuation.saw(listing.bucket, watched);
        }
    }

    /// What a keeper remembers of a bucket.
    fn keep(&mut self, listing: Listing) {
        self.files
            .retain_in(listing.bucket, |si| listing.short.contains(si));
        if listing.short.is_empty() && listing.tally.unreadable == 0 {
            let presumed = listing.tally.presumed > 0;
            let settled = Settled {
                listed_at: listing.begun,
                marks: listing.marks,
                spare_nodes: listing.spare_nodes,
                presumed_nodes: if presumed { listing.away } else { 0 },
                draining: listing.draining,
            };
            self.members.settle(listing.bucket, settled);
        } else {
            self.members.forget(listing.bucket);
        }
        if listing.tally == Tally::default() {
            self.tallies.remove(&listing.bucket);
        } else {
            self.tallies.insert(listing.bucket, listing.tally);
        }
    }
}

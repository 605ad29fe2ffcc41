//! Everything that a download does because time has passed. One table:
//!
//! | timer | until | then |
//! |---|---|---|
//! | overdue | a request's budget and a slack | it counts as timed out |
//! | begin | a short wait for the shares that decode for nothing | reading begins without them |
//! | find | enough shares should be known | more candidates are asked |
//! | hedge | a block takes longer than most | another peer is asked too |
//! | escalate | as long again | everybody who is left is asked |
//! | rest | a busy peer's rest | it can be asked again, and is asked again what it holds |
//! | second chance | lost peers had time to come back | they are asked again what they hold |

use std::collections::BTreeSet;

use super::peer::Reach;
use super::{Download, Effect, Phase, SecondChance};
use crate::time::Mono;
use crate::transfer::{PeerWhy, Verdict, earlier};

impl Download {
    /// When [`Download::handle_timeout`] is to be called; `None`: not before another input.
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.has_ended() {
            return None;
        }
        let begin = self.begin_at.filter(|_| self.phase == Phase::Finding);
        let second_chance = match self.second_chance {
            SecondChance::At(at) => Some(at),
            _ => None,
        };
        let timers = [
            self.calls.next_overdue(),
            begin,
            self.find_at(),
            self.hedge_at(),
            self.rest_at(),
            second_chance,
        ];
        timers.into_iter().fold(None, earlier)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) {
        while !self.has_ended()
            && let Some(token) = self.calls.take_overdue(now)
            && let Some(call) = self.calls.close(token)
        {
            self.effects.push_back(Effect::CancelSend { token });
            self.on_verdict(
                now,
                token,
                call.what,
                call.sent_at,
                Verdict::Failed(PeerWhy::TimedOut),
            );
        }
        if self.has_ended() {
            return;
        }
        if self.find_at().is_some_and(|at| at <= now) {
            self.find_more(now, 2 * self.config.file.coding.n());
        }
        self.hedge(now);
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            peer.rest_until = peer.rest_until.filter(|until| *until > now);
            if peer.find_again_at.is_some_and(|at| at <= now) {
                peer.find_again_at = None;
                self.send_find(now, index);
            }
        }
        if let SecondChance::At(at) = self.second_chance
            && at <= now
        {
            self.second_chance = SecondChance::Used;
            self.give_second_chances(now);
        }
        self.go_on(now);
    }

    /// More candidates are asked by time only while too few shares are known.
    fn find_at(&self) -> Option<Mono> {
        let few = self.phase == Phase::Finding && self.begin_at.is_none();
        self.find_more_at.filter(|_| few)
    }

    fn hedge_at(&self) -> Option<Mono> {
        let after = self.pace.hedge_after();
        let fetching = self.fetches.values().filter(|fetch| fetch.is_fetching());
        fetching.fold(None, |first, fetch| {
            let late = fetch
                .reads
                .iter()
                .filter(|read| !read.late)
                .map(|read| read.sent_at + after)
                .min();
            let escalate = fetch.hedged_at.filter(|_| !fetch.escalated).map(|at| at + after);
            earlier(first, earlier(late, escalate))
        })
    }

    fn rest_at(&self) -> Option<Mono> {
        self.peers
            .iter()
            .flat_map(|peer| [peer.rest_until, peer.find_again_at])
            .flatten()
            .min()
    }

    /// Marks reads that are late, so that others are asked in their place.
    fn hedge(&mut self, now: Mono) {
        let after = self.pace.hedge_after();
        let mut silent = BTreeSet::new();
        for fetch in self.fetches.values_mut().filter(|fetch| fetch.is_fetching()) {
            if fetch.hedged_at.is_some_and(|at| at + after <= now) {
                fetch.escalated = true;
            }
            for read in fetch
                .reads
                .iter_mut()
                .filter(|read| !read.late && read.sent_at + after <= now)
            {
                read.late = true;
                fetch.hedged_at.get_or_insert(now);
                if !self.peers[read.peer].heard_within(now, after) {
                    silent.insert(read.peer);
                }
            }
        }
        for peer in &silent {
            self.peers[*peer].suspect = true;
        }
        // What a silent peer owes to other segments will be late as well: no need to wait for it there.
        for fetch in self.fetches.values_mut().filter(|fetch| fetch.is_fetching()) {
            for read in fetch.reads.iter_mut().filter(|read| silent.contains(&read.peer)) {
                read.late = true;
                fetch.hedged_at.get_or_insert(now);
            }
        }
    }

    fn give_second_chances(&mut self, now: Mono) {
        for peer in 0..self.peers.len() {
            if self.peers[peer].reach == Reach::Lost {
                self.peers[peer].reach = Reach::Open;
                self.peers[peer].suspect = false;
                self.peers[peer].find_tries = 0;
                for holders in self.holders.values_mut() {
                    holders.remove(&peer);
                }
                for fetch in self.fetches.values_mut() {
                    fetch.tries.retain(|(tried, _), _| *tried != peer);
                }
                self.send_find(now, peer);
            }
        }
    }
}

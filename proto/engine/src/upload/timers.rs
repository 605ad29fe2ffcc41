//! Everything that an upload does because time has passed. One table:
//!
//! | timer | until | then |
//! |---|---|---|
//! | overdue | a request's budget and a slack | it counts as timed out |
//! | keep | an open share got nothing for [`super::KEEP_EVERY`] | its peer is told that the upload lives |
//! | retry | the wait after a busy answer | the share goes on |
//! | patience | the oldest message is [`PATIENCE`] old | its peer may lose its shares |
//! | grace | [`super::GRACE`] after enough shares are durable | late shares move once, then the upload completes |

use std::collections::BTreeSet;

use super::share::Loss;
use super::{Effect, PATIENCE, PATIENCE_CHECK, Phase, Purpose, Upload};
use crate::time::Mono;
use crate::transfer::{PeerWhy, Verdict, earlier};

impl Upload {
    /// When [`Upload::handle_timeout`] is to be called; `None`: not before another input.
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.has_ended() {
            return None;
        }
        let retry = self
            .shares
            .iter()
            .filter_map(|share| share.writing()?.retry_at)
            .min();
        let keep = self
            .shares
            .iter()
            .filter_map(|share| share.writing()?.keep_at())
            .min();
        let timers = [
            self.calls.next_overdue(),
            retry,
            keep,
            self.patience_at(),
            self.grace.map(|grace| grace.until),
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
            self.on_verdict(now, call.what, Verdict::Failed(PeerWhy::TimedOut));
        }
        for share in 0..self.shares.len() {
            let Some(writer) = self.shares[share].writer() else {
                continue;
            };
            if writer.retry_at.is_some_and(|at| at <= now) {
                writer.retry_at = None;
                self.advance(now, share);
            } else if writer.keep_at().is_some_and(|at| at <= now) {
                self.send_keep(now, share);
            }
        }
        if !self.has_ended() && self.patience_at().is_some_and(|at| at <= now) {
            self.lose_patience(now);
        }
        if let Some(grace) = self.grace.filter(|grace| grace.until <= now) {
            self.end_grace(now, grace);
        }
    }

    fn patience_at(&self) -> Option<Mono> {
        if self.phase != Phase::Writing {
            return None;
        }
        let (_, oldest) = self.calls.iter().next()?;
        Some((oldest.sent_at + PATIENCE).max(self.patience_checked_at + PATIENCE_CHECK))
    }

    /// Takes shares from peers that hold everybody up, if enough others do not.
    fn lose_patience(&mut self, now: Mono) {
        self.patience_checked_at = now;
        let late = self
            .calls
            .iter()
            .filter(|(_, call)| call.sent_at + PATIENCE <= now);
        let late: BTreeSet<usize> = late.filter_map(|(_, call)| call.what.share()).collect();
        let late_peers: BTreeSet<usize> = late
            .iter()
            .filter_map(|share| self.shares[*share].live_peer())
            .collect();
        let prompt = |share: &super::Share| share.live_peer().filter(|peer| !late_peers.contains(peer));
        if late.is_empty() || self.happiness(prompt) < self.config.encoding.happy() {
            return;
        }
        for share in late {
            self.lose_share(
                now,
                share,
                Loss {
                    why: PeerWhy::TooSlow,
                    peer_listens: true,
                },
            );
        }
        self.after_answer(now);
    }
}

impl Purpose {
    fn share(self) -> Option<usize> {
        match self {
            Purpose::Find { .. } => None,
            Purpose::Share { share, .. } => Some(share),
        }
    }
}

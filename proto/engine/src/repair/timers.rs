//! Everything that a repair does because time has passed. One table:
//!
//! | timer | until | then |
//! |---|---|---|
//! | overdue | a request's budget and a slack | it counts as timed out |
//! | ask again | a node was busy, or its link lost | it is asked again what it holds |
//! | rest | a source was busy, or out of reach | it may be asked for blocks again |
//! | retry | the wait after a target's busy answer | the share goes on |
//! | keep | an open share got nothing for [`KEEP_EVERY`] | its peer is told that the repair lives |
//!
//! [`KEEP_EVERY`]: crate::upload::KEEP_EVERY

use super::goals::Goal;
use super::{Effect, Repair};
use crate::time::Mono;
use crate::transfer::{PeerWhy, Verdict, earlier};

impl Repair {
    /// When [`Repair::handle_timeout`] is to be called; `None`: not before another input.
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.has_ended() {
            return None;
        }
        let writers = || self.goals.iter().filter_map(Goal::writing);
        let timers = [
            self.calls.next_overdue(),
            self.survey.next_at(),
            self.sources.next_at(),
            writers().filter_map(|writer| writer.retry_at).min(),
            writers().filter_map(|writer| writer.keep_at()).min(),
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
            self.on_verdict(now, token, call, Verdict::Failed(PeerWhy::TimedOut));
        }
        if self.has_ended() {
            return;
        }
        self.sources.wake(now);
        for goal in 0..self.goals.len() {
            let Some(writer) = self.goals[goal].writer() else {
                continue;
            };
            if writer.retry_at.is_some_and(|at| at <= now) {
                writer.retry_at = None;
                self.advance(now, goal);
            } else if writer.keep_at().is_some_and(|at| at <= now) {
                self.send_keep(now, goal);
            }
        }
        self.go_on(now);
    }
}

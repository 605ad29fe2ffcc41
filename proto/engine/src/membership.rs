//! Who belongs to the mesh, as one node knows it: its own grant, the roster, and how news of members spreads.
//!
//! An *introducer* admits whoever shows the invite's secret and signs a *grant*: this key is a member, in these roles,
//! until then. A member signs an *announcement* of itself, with its grant beside it; who hears it can check all of it
//! without asking anybody. An introducer's *tombstone* ends a membership at once. All three spread from node to node: a
//! change at once to a few linked peers, and the whole roster is compared with a random one from time to time. So
//! introducers may be down: whoever has a grant and a cached roster can restart and talk.
//!
//! States of a node: without a grant it asks the introducers of its invites; with one it announces itself, and asks for
//! a new one from half of its life; when a tombstone names it, it falls silent for good.
//!
//! Not promised: that two nodes know the same at the same time; that a revoked node is refused before the tombstone
//! has come; that a grant is worth anything at a node whose calendar is wrong. A node that was revoked but still
//! knows the secret could join under a new key: whoever revokes also renews the secret.
//!
//! Signatures cost 0.1 ms each, so news is checked a few at a time: [`Membership::next_deadline`] is then now.

pub mod announcement;
mod exchange;
pub mod gossip;
pub mod grant;
pub mod join;
mod requests;
pub mod roster;
mod signed;
mod standing;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use ed25519_dalek::SigningKey;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Failure, Request, Response, Roles, RosterFile};

use self::announcement::{Member, NewsError, Revoked};
use self::exchange::{Exchange, Inbox};
use self::gossip::Gossip;
use self::grant::{Trust, ValidGrant};
use self::join::{JoinError, Joiner};
pub use self::requests::RevokeError;
use self::roster::{Merge, Roster};
pub use self::view::{Admission, Contact, FULL_MESH_MAX, Refusal, RosterView, Standing};
use crate::invite::{Address, Invite, InviteSecret};
use crate::time::{Mono, UnixSeconds};

/// A change of the roster is written to disk so much later, with all others of that time. What a crash loses of it, the
/// peers still know.
pub const SAVE_DELAY: Duration = Duration::from_secs(1);
/// How often the roster is rid of what is out of date.
pub const TIDY_EVERY: Duration = Duration::from_secs(3600);
/// A request about the roster is given up after so long.
pub const SYNC_BUDGET: Duration = Duration::from_secs(10);

/// What a node says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFacts {
    /// For people.
    pub nickname: String,
    /// Where it listens.
    pub addresses: Vec<Address>,
    /// What it does.
    pub roles: Roles,
    /// What shares should be spread over.
    pub zone: String,
    /// Name and version.
    pub software: String,
}

/// What only an introducer has.
#[derive(Clone, Debug)]
pub struct IntroducerConfig {
    /// Whoever shows it is admitted.
    pub secret: InviteSecret,
    /// Life of a grant; at most [`grant::GRANT_TERM_MAX`].
    pub grant_term: Duration,
}

/// What a node's membership begins with.
#[derive(Debug)]
pub struct MembershipConfig {
    /// The node's key; it never leaves the machine.
    pub key: SigningKey,
    /// What it says about itself.
    pub facts: OwnFacts,
    /// Who may admit it, and whom it believes.
    pub invites: Vec<Invite>,
    /// Present exactly if the node has the role.
    pub introducer: Option<IntroducerConfig>,
}

/// Why a membership cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Nobody could ever admit it.
    #[error(
        "the node has no invite and is no introducer: nobody can admit it; add an invite to its configuration"
    )]
    NoInvite,
    /// Role and secret do not go together.
    #[error("a node has the role introducer exactly if it has an invite secret")]
    Introducer,
    /// It does nothing.
    #[error("the node has no role")]
    NoRole,
    /// A text of its own is too long.
    #[error("nickname, zone, software or addresses of the node are too long to be announced")]
    Facts,
}

/// Names a call until its answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallToken(pub u64);

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The peer refused.
    Refused(Failure),
    /// There is no link, it was lost, or time ran out.
    NotReached,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "made one at a time and carried out at once"
)]
pub enum Effect {
    /// Ask a peer, and report the outcome by [`Membership::handle_answer`], exactly once.
    Call {
        /// Comes back with the outcome.
        token: CallToken,
        /// Whom.
        peer: NodeId,
        /// What. [`Request::Join`] goes to an introducer of an invite, which may have to be dialled.
        request: Request,
        /// How long an answer is wanted.
        budget: Duration,
    },
    /// Replace the cached roster on disk.
    Save(Box<RosterFile>),
    /// There is a new [`Membership::view`].
    Changed,
}

/// Counters, since the start.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MembershipReport {
    /// News that was refused, by cause.
    pub rejected: BTreeMap<&'static str, u64>,
    /// News that there was no room to look at; the next comparison brings it again.
    pub dropped: u64,
    /// Nodes that asked to join, by outcome.
    pub joins: BTreeMap<&'static str, u64>,
    /// Comparisons of rosters that this node began, by outcome.
    pub syncs: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Join,
    Sync,
    Push,
}

/// See the module.
#[derive(Debug)]
pub struct Membership {
    key: SigningKey,
    own: NodeId,
    facts: OwnFacts,
    invites: Vec<Invite>,
    introducer: Option<IntroducerConfig>,
    trust: Arc<Trust>,
    contacts: Arc<Vec<Contact>>,
    own_grant: Option<ValidGrant>,
    own_sequence: u64,
    roster: Roster,
    joiners: BTreeMap<NodeId, Joiner>,
    gossip: Gossip,
    exchange: Option<Exchange>,
    inbox: Inbox,
    calls: BTreeMap<CallToken, (NodeId, Asked)>,
    next_call: u64,
    effects: VecDeque<Effect>,
    save_at: Option<Mono>,
    tidy_at: Mono,
    expires_at: Option<Mono>,
    report: MembershipReport,
}

impl Membership {
    /// A membership that begins with what the node had cached. What does not check is left out and counted: the cache
    /// may be of a time when the node had other invites.
    ///
    /// # Errors
    /// [`MembershipError`]: the configuration cannot work.
    pub fn new(
        config: MembershipConfig,
        cached: Option<RosterFile>,
        now: Mono,
        unix: UnixSeconds,
        seed: [u8; 32],
    ) -> Result<Membership, MembershipError> {
        let MembershipConfig {
            key,
            facts,
            invites,
            introducer,
        } = config;
        let own = NodeId::of_public_key(&key.verifying_key().to_bytes());
        standing::check_config(&facts, &invites, introducer.is_some())?;
        let mut trust: Trust = invites.iter().map(Invite::introducer).collect();
        if introducer.is_some() {
            trust.insert(own);
        }
        let others: Vec<&Invite> = invites
            .iter()
            .filter(|invite| invite.introducer() != own)
            .collect();
        let contacts = others.iter().map(|invite| Contact {
            node: invite.introducer(),
            addresses: invite.addresses().to_vec(),
        });
        let contacts = Arc::new(contacts.collect());
        let joiners = others
            .iter()
            .map(|invite| (invite.introducer(), Joiner::new(now)))
            .collect();
        let cached = cached.unwrap_or_default();
        let mut membership = Membership {
            own,
            facts,
            introducer,
            trust: Arc::new(trust),
            contacts,
            joiners,
            invites,
            own_grant: None,
            // Grows also when the cache is lost, as long as the calendar goes on.
            own_sequence: cached.own_sequence.max(unix.as_secs()),
            roster: Roster::default(),
            gossip: Gossip::new(now, seed),
            exchange: None,
            inbox: Inbox::default(),
            calls: BTreeMap::new(),
            next_call: 1,
            effects: VecDeque::new(),
            save_at: None,
            tidy_at: now + TIDY_EVERY,
            expires_at: None,
            report: MembershipReport::default(),
            key,
        };
        membership.load(&cached, now, unix);
        Ok(membership)
    }

    fn load(&mut self, cached: &RosterFile, now: Mono, unix: UnixSeconds) {
        for tombstone in &cached.tombstones {
            let merged =
                Revoked::check(tombstone, &self.trust).and_then(|revoked| self.roster.bury(revoked, unix));
            self.count_error(merged.err());
        }
        for announcement in &cached.announcements {
            let merged =
                Member::check(announcement, &self.trust).and_then(|member| self.roster.take(member, unix));
            self.count_error(merged.err());
        }
        let own_grant = cached.own_grant.as_ref().and_then(|grant| {
            ValidGrant::check(grant, &self.trust)
                .and_then(|grant| grant.for_node(self.own))
                .ok()
        });
        let usable =
            own_grant.filter(|grant| grant.runs_at(unix) && grant.roles().contains_all(self.facts.roles));
        match usable {
            Some(grant) => self.adopt(now, unix, grant),
            None => self.grant_oneself(now, unix),
        }
        self.schedule_expiry(now, unix);
    }

    /// A link to a peer came up, or its last one went away.
    pub fn handle_link(&mut self, now: Mono, peer: NodeId, up: bool) {
        if !up {
            self.gossip.link_down(peer);
            return;
        }
        self.gossip.link_up(now, peer);
        if let Some(joiner) = self.joiners.get_mut(&peer).filter(|_| self.own_grant.is_none()) {
            joiner.reachable(now);
        }
        if self.own_grant.is_some() && !self.silenced() {
            self.push_to(peer, [self.own]);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono, unix: UnixSeconds) {
        self.look_through_inbox(now, unix);
        if self.expires_at.is_some_and(|at| at <= now) {
            self.schedule_expiry(now, unix);
            self.effects.push_back(Effect::Changed);
        }
        if self.tidy_at <= now {
            self.tidy_at = now + TIDY_EVERY;
            if self.roster.tidy(unix) {
                self.changed(now, unix);
            }
            if self
                .own_grant
                .as_ref()
                .is_some_and(|grant| self.may_renew_oneself(grant, unix))
            {
                self.grant_oneself(now, unix);
            }
        }
        self.ask_introducers(now, unix);
        if !self.silenced() {
            for push in self.gossip.due_pushes(now) {
                push.to
                    .iter()
                    .for_each(|peer| self.push_to(*peer, push.news.iter().copied()));
            }
            self.go_on_with_exchange(now);
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_at = None;
            self.effects.push_back(Effect::Save(Box::new(self.file())));
        }
    }

    /// When [`Membership::handle_timeout`] is due.
    pub fn next_deadline(&self, now: Mono) -> Mono {
        let joins = self
            .joiners
            .values()
            .filter_map(Joiner::due)
            .min()
            .filter(|_| !self.is_revoked());
        let inbox = (!self.inbox.is_empty()).then_some(now);
        let gossip = self
            .gossip
            .next_deadline(self.exchange.is_some())
            .filter(|_| !self.silenced());
        let others = [joins, inbox, gossip, self.save_at, self.expires_at];
        others.into_iter().flatten().fold(self.tidy_at, Mono::min)
    }

    /// The next thing to do, if any.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A snapshot of what is known.
    pub fn view(&self) -> RosterView {
        RosterView {
            own: self.own,
            own_roles: self.facts.roles,
            own_grant: self.own_grant.as_ref().map(|grant| grant.grant().clone()),
            own_grant_expires: self.own_grant.as_ref().map(ValidGrant::expires),
            own_sequence: self.own_sequence,
            own_revoked: self.is_revoked(),
            trust: Arc::clone(&self.trust),
            contacts: Arc::clone(&self.contacts),
            members: self.roster.members().clone(),
            revoked: self.roster.revoked().keys().copied().collect(),
        }
    }

    /// What is kept on disk.
    pub fn file(&self) -> RosterFile {
        RosterFile {
            announcements: self
                .roster
                .members()
                .values()
                .map(|member| member.announcement().clone())
                .collect(),
            tombstones: self
                .roster
                .revoked()
                .values()
                .map(|revoked| revoked.tombstone().clone())
                .collect(),
            own_grant: self.own_grant.as_ref().map(|grant| grant.grant().clone()),
            own_sequence: self.own_sequence,
        }
    }

    /// Counters.
    pub const fn report(&self) -> &MembershipReport {
        &self.report
    }

    /// The roster itself.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Why the last attempt at each introducer failed, for those where it did.
    pub fn join_errors(&self) -> impl Iterator<Item = (NodeId, &JoinError)> {
        self.joiners
            .iter()
            .filter_map(|(node, joiner)| joiner.last_error.as_ref().map(|error| (*node, error)))
    }

    fn is_revoked(&self) -> bool {
        self.roster.revoked().contains_key(&self.own)
    }

    /// Whether the node has nothing to say to others: it is not a member.
    fn silenced(&self) -> bool {
        self.own_grant.is_none() || self.is_revoked()
    }

    fn call(&mut self, peer: NodeId, request: Request, asked: Asked, budget: Duration) {
        let token = CallToken(self.next_call);
        self.next_call += 1;
        self.calls.insert(token, (peer, asked));
        self.effects.push_back(Effect::Call {
            token,
            peer,
            request,
            budget,
        });
    }

    fn push_to(&mut self, peer: NodeId, news: impl IntoIterator<Item = NodeId>) {
        for page in self.roster.news_of(news) {
            self.call(peer, Request::PushRoster(page), Asked::Push, SYNC_BUDGET);
        }
    }

    /// A call has come to its end. A token that is not known is ignored.
    pub fn handle_answer(
        &mut self,
        now: Mono,
        unix: UnixSeconds,
        token: CallToken,
        answer: Result<Response, NoAnswer>,
    ) {
        match self.calls.remove(&token) {
            Some((peer, Asked::Join)) => self.joined(now, unix, peer, answer),
            Some((peer, Asked::Sync)) => self.compared(now, peer, answer),
            // What a push did not bring, the next comparison does.
            Some((_, Asked::Push)) | None => {}
        }
    }

    /// The roster is not what it was: a new view, and a write to disk before long.
    fn changed(&mut self, now: Mono, unix: UnixSeconds) {
        self.save_at.get_or_insert(now + SAVE_DELAY);
        self.schedule_expiry(now, unix);
        if self.effects.back() != Some(&Effect::Changed) {
            self.effects.push_back(Effect::Changed);
        }
    }

    /// The view changes by itself when a grant ends.
    fn schedule_expiry(&mut self, now: Mono, unix: UnixSeconds) {
        let running = self
            .roster
            .members()
            .values()
            .map(|member| member.grant().expires())
            .filter(|at| *at > unix);
        self.expires_at = running.min().map(|at| now + at.saturating_sub(unix));
    }

    fn count_error(&mut self, error: Option<NewsError>) {
        if let Some(error) = error {
            *self.report.rejected.entry(error.name()).or_default() += 1;
        }
    }

    /// Merges one piece of news, and passes it on if it is one.
    fn merged(&mut self, now: Mono, unix: UnixSeconds, node: NodeId, merge: Result<Merge, NewsError>) {
        match merge {
            Ok(Merge::News) => {
                self.gossip.changed(now, node, false);
                self.changed(now, unix);
            }
            Ok(Merge::Known) => {}
            Err(error) => self.count_error(Some(error)),
        }
    }
}

#[cfg(test)]
mod tests;

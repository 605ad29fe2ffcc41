//! News from peers, checked a few at a time, and the comparison of two rosters page by page.

use std::collections::VecDeque;

use truckee_grid::ids::NodeId;
use truckee_wire::message::{
    Announcement, AnnouncementBody, GrantBody, Request, Response, RosterSynced, SyncRoster, Tombstone,
};

use super::announcement::{Member, Revoked};
use super::{Asked, Membership, NoAnswer, SYNC_BUDGET};
use crate::time::{Mono, UnixSeconds};

/// News that waits for its check. Two pages of a comparison fit; what does not is brought by the next.
pub(super) const INBOX_MAX: usize = 1024;
/// News checked at a time: two signatures each, so that other work of the thread waits at most a millisecond or two.
pub(super) const CHECKED_AT_ONCE: usize = 8;
/// Messages of one comparison, at most: 32 pages of 512 members, some of them in several parts.
const EXCHANGE_MESSAGES_MAX: u32 = 128;

#[derive(Debug)]
pub(super) enum Item {
    Announcement(Box<Announcement>),
    Tombstone(Box<Tombstone>),
}

/// News not checked yet.
#[derive(Debug, Default)]
pub(super) struct Inbox(VecDeque<Item>);

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A comparison with one peer that this node began.
#[derive(Debug)]
pub(super) struct Exchange {
    peer: NodeId,
    /// The page asked about last.
    page: SyncRoster,
    messages: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The answer is on its way.
    Waiting,
    /// The answer is in the inbox; the same page again when that is looked through, since it did not hold all.
    Again,
    /// The next page.
    Next,
}

impl Membership {
    /// Takes news for a later check. Tombstones go first: they may spare the check of an announcement.
    pub(super) fn receive(&mut self, announcements: Vec<Announcement>, tombstones: Vec<Tombstone>) {
        let tombstones = tombstones
            .into_iter()
            .map(|tombstone| Item::Tombstone(Box::new(tombstone)));
        let announcements = announcements
            .into_iter()
            .map(|announcement| Item::Announcement(Box::new(announcement)));
        for item in tombstones.chain(announcements) {
            if self.inbox.0.len() < INBOX_MAX {
                self.inbox.0.push_back(item);
            } else {
                self.report.dropped += 1;
            }
        }
    }

    /// Checks some of the news. What is plainly old costs nothing.
    pub(super) fn look_through_inbox(&mut self, now: Mono, unix: UnixSeconds) {
        let mut checked = 0;
        while checked < CHECKED_AT_ONCE {
            let Some(item) = self.inbox.0.pop_front() else {
                break;
            };
            match item {
                Item::Tombstone(tombstone) => {
                    checked += 1;
                    self.check_tombstone(now, unix, &tombstone);
                }
                Item::Announcement(announcement) => {
                    if self.may_be_news(&announcement) {
                        checked += 1;
                        let member = Member::check(&announcement, &self.trust);
                        let merge = member.and_then(|member| self.roster.take(member, unix));
                        let node = NodeId::of_public_key(&announcement.node);
                        self.merged(now, unix, node, merge);
                    }
                }
            }
        }
    }

    /// Judged before any signature is checked. Nobody but this node itself has news of it.
    fn may_be_news(&mut self, announcement: &Announcement) -> bool {
        let node = NodeId::of_public_key(&announcement.node);
        if node == self.own {
            return false;
        }
        let Ok(body) = AnnouncementBody::decode(&announcement.body) else {
            return true;
        };
        let grant = announcement
            .grant
            .as_ref()
            .map(|grant| GrantBody::decode(&grant.body));
        let Some(Ok(grant)) = grant else { return true };
        if self.roster.revoked().contains_key(&node) {
            self.count_error(Some(super::NewsError::Revoked));
            return false;
        }
        self.roster.may_be_news(node, body.sequence, grant.expires_unix_s)
    }

    fn check_tombstone(&mut self, now: Mono, unix: UnixSeconds, tombstone: &Tombstone) {
        match Revoked::check(tombstone, &self.trust) {
            Ok(revoked) => {
                let node = revoked.node();
                let merge = self.roster.bury(revoked, unix);
                self.merged(now, unix, node, merge);
            }
            Err(error) => self.count_error(Some(error)),
        }
    }

    /// Begins a comparison, or asks for the next page of the one under way, when it is time.
    pub(super) fn go_on_with_exchange(&mut self, now: Mono) {
        if let Some(exchange) = &self.exchange {
            let page = match exchange.state {
                State::Waiting => return,
                _ if !self.inbox.is_empty() => return,
                State::Again => self.roster.page(exchange.page.after),
                State::Next => self.roster.page(exchange.page.upto),
            };
            self.ask_page(page);
        } else if let Some(peer) = self.gossip.due_sync(now) {
            let page = self.roster.page(None);
            self.exchange = Some(Exchange {
                peer,
                page: page.clone(),
                messages: 0,
                state: State::Waiting,
            });
            self.ask_page(page);
        }
    }

    fn ask_page(&mut self, page: SyncRoster) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        exchange.messages += 1;
        exchange.state = State::Waiting;
        exchange.page = page.clone();
        let peer = exchange.peer;
        self.call(peer, Request::SyncRoster(page), Asked::Sync, SYNC_BUDGET);
    }

    /// The answer to a page.
    pub(super) fn compared(&mut self, now: Mono, peer: NodeId, answer: Result<Response, NoAnswer>) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.peer == peer) else {
            return;
        };
        let Ok(Response::RosterSynced(synced)) = answer else {
            self.end_exchange("failed");
            return;
        };
        let more = exchange.page.upto.is_some();
        let enough = exchange.messages >= EXCHANGE_MESSAGES_MAX;
        let RosterSynced {
            announcements,
            tombstones,
            wanted,
            truncated,
        } = synced;
        // A peer that has nothing to give and yet says there is more would be asked for ever.
        let again = truncated && !(announcements.is_empty() && tombstones.is_empty());
        exchange.state = if again { State::Again } else { State::Next };
        self.receive(announcements, tombstones);
        self.push_to(peer, wanted);
        match (enough, again || more) {
            (true, true) => self.end_exchange("cut"),
            (_, false) => self.end_exchange("done"),
            (false, true) => self.go_on_with_exchange(now),
        }
    }

    fn end_exchange(&mut self, outcome: &'static str) {
        self.exchange = None;
        *self.report.syncs.entry(outcome).or_default() += 1;
    }
}

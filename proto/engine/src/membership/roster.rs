//! The roster: what a node knows of all members. Owns the rules by which news is merged: the highest sequence of a node
//! counts, a tombstone wins over everything, and the whole is bounded. Two rosters that have seen the same news are
//! equal, in whatever order it came.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use truckee_grid::ids::NodeId;
use truckee_wire::convert::{ROSTER_NEWS_BYTES, WANTED_BYTES};
use truckee_wire::message::limits::ROSTER_NEWS_MAX;
use truckee_wire::message::{PushRoster, RosterItem, RosterSynced, SyncRoster};

use super::announcement::{Member, NewsError, Revoked};
use super::grant::GRANT_TERM_MAX;
use crate::time::UnixSeconds;

/// Most members, and most tombstones. At half a kilobyte each they are 2 MiB; a mesh that grows beyond needs another way
/// to spread its roster anyway.
pub const MEMBERS_MAX: usize = 4096;
/// Most items in one page of a sync: 58 bytes each, half of the longest head.
pub const SYNC_ITEMS_MAX: usize = 512;
/// How long after its end a grant's node is still remembered, so that a node that was off for a while is greeted as
/// expired and not as a stranger.
pub const EXPIRED_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What an announcement or tombstone was to the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// It changed it.
    News,
    /// It was known, or something newer.
    Known,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    members: BTreeMap<NodeId, Arc<Member>>,
    revoked: BTreeMap<NodeId, Arc<Revoked>>,
}

impl Roster {
    /// All that are not revoked, expired ones among them, by id.
    pub const fn members(&self) -> &BTreeMap<NodeId, Arc<Member>> {
        &self.members
    }

    /// All that are, by id.
    pub const fn revoked(&self) -> &BTreeMap<NodeId, Arc<Revoked>> {
        &self.revoked
    }

    /// Whether an announcement would change anything, judged by what is cheap to see. A sender may lie in it.
    pub fn may_be_news(&self, node: NodeId, sequence: u64, expires_unix_s: u64) -> bool {
        let version = (sequence, UnixSeconds::from_secs(expires_unix_s));
        !self.revoked.contains_key(&node)
            && self
                .members
                .get(&node)
                .is_none_or(|known| known.version() < version)
    }

    /// Takes a member's announcement.
    ///
    /// # Errors
    /// [`NewsError::Revoked`], [`NewsError::Expired`] or [`NewsError::RosterFull`].
    pub fn take(&mut self, member: Member, now: UnixSeconds) -> Result<Merge, NewsError> {
        let node = member.node();
        if self.revoked.contains_key(&node) {
            return Err(NewsError::Revoked);
        }
        if !member.grant().runs_at(now) {
            return Err(NewsError::Expired);
        }
        let known = self.members.get(&node).map(|known| known.version());
        if known.is_some_and(|known| known >= member.version()) {
            return Ok(Merge::Known);
        }
        let full = known.is_none() && self.members.len() >= MEMBERS_MAX;
        if full && !self.drop_one_expired(now) {
            return Err(NewsError::RosterFull);
        }
        self.members.insert(node, Arc::new(member));
        Ok(Merge::News)
    }

    /// Takes a tombstone.
    ///
    /// # Errors
    /// [`NewsError::RosterFull`].
    pub fn bury(&mut self, revoked: Revoked, now: UnixSeconds) -> Result<Merge, NewsError> {
        let node = revoked.node();
        if self.revoked.contains_key(&node) || out_of_date(&revoked, now) {
            return Ok(Merge::Known);
        }
        if self.revoked.len() >= MEMBERS_MAX {
            return Err(NewsError::RosterFull);
        }
        self.members.remove(&node);
        self.revoked.insert(node, Arc::new(revoked));
        Ok(Merge::News)
    }

    /// Forgets members that expired long ago and tombstones that nothing can contradict any more. Whether it did.
    pub fn tidy(&mut self, now: UnixSeconds) -> bool {
        let before = self.members.len() + self.revoked.len();
        self.members
            .retain(|_, member| member.grant().runs_at(now) || member.grant().expires() + EXPIRED_KEPT > now);
        self.revoked.retain(|_, revoked| !out_of_date(revoked, now));
        before != self.members.len() + self.revoked.len()
    }

    fn drop_one_expired(&mut self, now: UnixSeconds) -> bool {
        let oldest = self
            .members
            .values()
            .filter(|member| !member.grant().runs_at(now));
        let oldest = oldest
            .min_by_key(|member| member.grant().expires())
            .map(|member| member.node());
        oldest.and_then(|node| self.members.remove(&node)).is_some()
    }

    /// One page of what is known, of the ids after `after`.
    pub fn page(&self, after: Option<NodeId>) -> SyncRoster {
        let mut items: Vec<RosterItem> = self.items(after, None).take(SYNC_ITEMS_MAX + 1).collect();
        let more = items.len() > SYNC_ITEMS_MAX;
        items.truncate(SYNC_ITEMS_MAX);
        let upto = items.last().filter(|_| more).map(|item| item.node_id);
        SyncRoster { items, after, upto }
    }

    fn items(&self, after: Option<NodeId>, upto: Option<NodeId>) -> impl Iterator<Item = RosterItem> {
        let ids: BTreeSet<NodeId> = self
            .members
            .range(between(after, upto))
            .map(|(node, _)| *node)
            .chain(self.revoked.range(between(after, upto)).map(|(node, _)| *node))
            .collect();
        ids.into_iter().map(|node_id| self.item(node_id))
    }

    fn item(&self, node_id: NodeId) -> RosterItem {
        let member = self.members.get(&node_id);
        RosterItem {
            node_id,
            sequence: member.map_or(0, |member| member.sequence()),
            revoked: self.revoked.contains_key(&node_id),
            grant_expires_unix_s: member.map_or(0, |member| member.grant().expires().as_secs()),
        }
    }

    /// What the sender of a page does not know, and what it knows better. Expired members are nobody's news.
    pub fn answer(&self, page: &SyncRoster, now: UnixSeconds) -> RosterSynced {
        let theirs: BTreeMap<NodeId, &RosterItem> =
            page.items.iter().map(|item| (item.node_id, item)).collect();
        let mut answer = RosterSynced::default();
        let mut room = Room::new();
        for item in &page.items {
            if self.wants(item, now) && room.take(WANTED_BYTES) {
                answer.wanted.push(item.node_id);
            }
        }
        let mut news = News::with_room(room);
        for ours in self.items(page.after, page.upto) {
            let node = ours.node_id;
            let known = theirs.get(&node).map(|item| (item.revoked, version_of(item)));
            let fits = match known {
                Some((true, _)) => continue,
                _ if ours.revoked => news.add_tombstone(self, node),
                Some((_, version)) if version >= version_of(&ours) => continue,
                _ => !self.runs(node, now) || news.add_member(self, node),
            };
            if !fits {
                answer.truncated = true;
                break;
            }
        }
        (answer.announcements, answer.tombstones) = (news.page.announcements, news.page.tombstones);
        answer
    }

    fn runs(&self, node: NodeId, now: UnixSeconds) -> bool {
        self.members
            .get(&node)
            .is_some_and(|member| member.grant().runs_at(now))
    }

    fn wants(&self, item: &RosterItem, now: UnixSeconds) -> bool {
        if self.revoked.contains_key(&item.node_id) {
            return false;
        }
        let runs = UnixSeconds::from_secs(item.grant_expires_unix_s) > now;
        item.revoked || (runs && self.may_be_news(item.node_id, item.sequence, item.grant_expires_unix_s))
    }

    /// Messages with the news of these nodes, each short enough to be sent.
    pub fn news_of(&self, nodes: impl IntoIterator<Item = NodeId>) -> Vec<PushRoster> {
        let mut pages = Vec::new();
        let mut news = News::with_room(Room::new());
        for node in nodes {
            if !news.add(self, node) {
                pages.push(std::mem::replace(&mut news, News::with_room(Room::new())).page);
                news.add(self, node);
            }
        }
        if news.page != PushRoster::default() {
            pages.push(news.page);
        }
        pages
    }
}

fn between(after: Option<NodeId>, upto: Option<NodeId>) -> (Bound<NodeId>, Bound<NodeId>) {
    // A peer may send a page whose end lies before its beginning: nothing lies between.
    let upto = match (after, upto) {
        (Some(after), Some(upto)) => Some(upto.max(after)),
        (_, upto) => upto,
    };
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let end = upto.map_or(Bound::Unbounded, Bound::Included);
    (start, end)
}

fn version_of(item: &RosterItem) -> (u64, u64) {
    (item.sequence, item.grant_expires_unix_s)
}

/// Whether every grant that the tombstone contradicts has ended anyway.
fn out_of_date(revoked: &Revoked, now: UnixSeconds) -> bool {
    revoked.since() + GRANT_TERM_MAX <= now
}

/// What is left of a message's room.
struct Room(usize);

impl Room {
    const fn new() -> Room {
        Room(ROSTER_NEWS_BYTES)
    }

    fn take(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.0;
        if fits {
            self.0 -= bytes;
        }
        fits
    }
}

struct News {
    room: Room,
    page: PushRoster,
}

impl News {
    fn with_room(room: Room) -> News {
        News {
            room,
            page: PushRoster::default(),
        }
    }

    /// False if there is no room. A node that is not known takes none.
    fn add(&mut self, roster: &Roster, node: NodeId) -> bool {
        if roster.revoked.contains_key(&node) {
            self.add_tombstone(roster, node)
        } else {
            self.add_member(roster, node)
        }
    }

    fn add_member(&mut self, roster: &Roster, node: NodeId) -> bool {
        let Some(member) = roster.members.get(&node) else {
            return true;
        };
        let announcement = member.announcement();
        let fits =
            self.page.announcements.len() < ROSTER_NEWS_MAX && self.room.take(announcement.encoded_len());
        if fits {
            self.page.announcements.push(announcement.clone());
        }
        fits
    }

    fn add_tombstone(&mut self, roster: &Roster, node: NodeId) -> bool {
        let Some(revoked) = roster.revoked.get(&node) else {
            return true;
        };
        let tombstone = revoked.tombstone();
        let fits = self.page.tombstones.len() < ROSTER_NEWS_MAX && self.room.take(tombstone.encoded_len());
        if fits {
            self.page.tombstones.push(tombstone.clone());
        }
        fits
    }
}

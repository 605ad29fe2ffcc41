//! What peers ask of the membership: to join, to compare rosters, to take news. And what an operator asks of an
//! introducer: to revoke.

use truckee_grid::ids::NodeId;
use truckee_wire::message::{Failure, FailureCode, Grant, Join, JoinSecret, Request, Response};

use super::announcement::{Member, NewsError, Revoked, check_signed, sign_announcement, with_grant};
use super::grant::ValidGrant;
use super::roster::Merge;
use super::{IntroducerConfig, Membership};
use crate::time::{Mono, UnixSeconds};

/// Why nobody was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// Only introducers may.
    #[error("this node is no introducer: ask one to revoke")]
    NotIntroducer,
    /// An introducer's own end is to stop it and take its invite from all configurations.
    #[error("an introducer cannot revoke itself")]
    Oneself,
    /// There are too many tombstones.
    #[error("the roster has no room for another tombstone")]
    RosterFull,
}

impl Membership {
    /// A peer asks. `asker` is proven by TLS and was let through by [`super::Admission::authorise`].
    ///
    /// # Errors
    /// The [`Failure`] to answer with.
    pub fn handle_request(
        &mut self,
        now: Mono,
        unix: UnixSeconds,
        asker: NodeId,
        request: Request,
    ) -> Result<Response, Failure> {
        match request {
            Request::Join(join) => {
                let outcome = self.admit(now, unix, asker, &join);
                let name = outcome
                    .as_ref()
                    .map_or_else(|failure| failure.code.name(), |_| "granted");
                *self.report.joins.entry(name).or_default() += 1;
                outcome.map(Response::Joined)
            }
            Request::SyncRoster(page) => Ok(Response::RosterSynced(self.roster().answer(&page, unix))),
            Request::PushRoster(push) => {
                self.receive(push.announcements, push.tombstones);
                Ok(Response::RosterPushed)
            }
            _ => Err(Failure::new(
                FailureCode::Unsupported,
                "the membership does not serve this",
            )),
        }
    }

    fn admit(&mut self, now: Mono, unix: UnixSeconds, asker: NodeId, join: &Join) -> Result<Grant, Failure> {
        let Some(introducer) = self.introducer.clone() else {
            return Err(Failure::new(
                FailureCode::RefusedRole,
                "this node is no introducer",
            ));
        };
        if self.roster.revoked().contains_key(&asker) {
            return Err(Failure::new(
                FailureCode::RefusedRole,
                "this node has been revoked",
            ));
        }
        self.check_right(&introducer, unix, asker, join)?;
        if NodeId::of_public_key(&join.announcement.node) != asker {
            return Err(Failure::new(
                FailureCode::BadRequest,
                "the announcement is of another node than the asker",
            ));
        }
        let bad = |error: NewsError| Failure::new(FailureCode::BadRequest, error.to_string());
        let body = check_signed(&join.announcement).map_err(bad)?;
        if body.roles.is_empty() {
            return Err(bad(NewsError::Roles));
        }
        let grant = ValidGrant::issue(
            &self.key,
            join.announcement.node,
            body.roles,
            unix,
            introducer.grant_term,
        )
        .map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
        let announcement = with_grant(&join.announcement, grant.grant().clone());
        let member = Member::check(&announcement, &self.trust).map_err(bad)?;
        match self.roster.take(member, unix) {
            Ok(Merge::News) => {
                self.gossip.changed(now, asker, true);
                self.changed(now, unix);
            }
            Ok(Merge::Known) => {}
            Err(NewsError::RosterFull) => {
                return Err(Failure::new(
                    FailureCode::Full,
                    "the mesh has as many members as it can have",
                ));
            }
            Err(error) => return Err(bad(error)),
        }
        Ok(grant.grant().clone())
    }

    /// The secret, or for a member that renews, membership, whatever secret it shows: it may have been renewed meanwhile.
    /// An empty secret is never right by itself.
    fn check_right(
        &self,
        introducer: &IntroducerConfig,
        unix: UnixSeconds,
        asker: NodeId,
        join: &Join,
    ) -> Result<(), Failure> {
        let shown = join.secret.expose();
        let member = || {
            self.roster
                .members()
                .get(&asker)
                .is_some_and(|member| member.grant().runs_at(unix))
        };
        if introducer.secret.matches(shown) || member() {
            return Ok(());
        }
        Err(Failure::new(
            FailureCode::BadSecret,
            "this is not the secret of the introducer's invite",
        ))
    }

    /// What this node asks `introducer` with; `None` if no invite names it.
    pub(super) fn join_request(&mut self, introducer: NodeId, unix: UnixSeconds) -> Option<Request> {
        let invite = self
            .invites
            .iter()
            .find(|invite| invite.introducer() == introducer)?;
        let secret = JoinSecret::new(invite.secret().expose());
        self.own_sequence = self.own_sequence.max(unix.as_secs()).saturating_add(1);
        let announcement = sign_announcement(&self.key, &self.own_body()).ok()?;
        Some(Request::Join(Box::new(Join { secret, announcement })))
    }

    /// Ends the membership of a node, known or not. Everybody is told.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub fn revoke(&mut self, now: Mono, unix: UnixSeconds, node: NodeId) -> Result<(), RevokeError> {
        if self.introducer.is_none() {
            return Err(RevokeError::NotIntroducer);
        }
        if node == self.own {
            return Err(RevokeError::Oneself);
        }
        let revoked = Revoked::issue(&self.key, node, unix).map_err(|_| RevokeError::RosterFull)?;
        match self.roster.bury(revoked, unix) {
            Ok(Merge::News) => {
                self.gossip.changed(now, node, true);
                self.changed(now, unix);
                self.save_at = Some(now);
                Ok(())
            }
            Ok(Merge::Known) => Ok(()),
            Err(_) => Err(RevokeError::RosterFull),
        }
    }
}

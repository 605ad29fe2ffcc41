//! How the node itself stands: its grant got, shown and renewed.

use rand::RngExt;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{AnnouncementBody, Response, Role};

use super::announcement::Member;
use super::grant::ValidGrant;
use super::join::{self, JoinError};
use super::{Asked, Effect, Membership, MembershipError, NoAnswer, OwnFacts};
use crate::invite::Invite;
use crate::time::{Mono, UnixSeconds};

impl Membership {
    /// An introducer admits itself, and renews that, unless another one has admitted it.
    pub(super) fn grant_oneself(&mut self, now: Mono, unix: UnixSeconds) {
        let Some(introducer) = self.introducer.as_ref() else {
            return;
        };
        let own_key = self.key.verifying_key().to_bytes();
        let issued = ValidGrant::issue(&self.key, own_key, self.facts.roles, unix, introducer.grant_term);
        if let Ok(grant) = issued {
            self.adopt(now, unix, grant);
        }
    }

    pub(super) fn may_renew_oneself(&self, grant: &ValidGrant, unix: UnixSeconds) -> bool {
        let by_itself = grant.introducer() == self.own && grant.renew_at() <= unix;
        by_itself || !grant.runs_at(unix)
    }

    /// From now on the node shows this grant; everybody is told.
    pub(super) fn adopt(&mut self, now: Mono, unix: UnixSeconds, grant: ValidGrant) {
        self.own_sequence = self.own_sequence.saturating_add(1);
        let body = self.own_body();
        let announced = Member::announce(&self.key, &body, &grant);
        let renew_in = grant.renew_at().saturating_sub(unix);
        let by_another = grant.introducer() != self.own;
        for joiner in self.joiners.values_mut().filter(|_| by_another) {
            joiner.succeeded(now + renew_in.mul_f64(self.gossip.rng.random_range(0.95..1.05)));
        }
        self.own_grant = Some(grant);
        match announced.and_then(|member| self.roster.take(member, unix)) {
            Ok(_) => self.gossip.changed(now, self.own, true),
            Err(error) => self.count_error(Some(error)),
        }
        self.changed(now, unix);
        self.save_at = Some(now);
    }

    pub(super) fn own_body(&self) -> AnnouncementBody {
        AnnouncementBody {
            sequence: self.own_sequence,
            nickname: self.facts.nickname.clone(),
            addresses: self
                .facts
                .addresses
                .iter()
                .map(|address| address.as_str().to_owned())
                .collect(),
            roles: self.facts.roles,
            zone: self.facts.zone.clone(),
            software: self.facts.software.clone(),
        }
    }

    pub(super) fn ask_introducers(&mut self, now: Mono, unix: UnixSeconds) {
        if self.is_revoked() {
            return;
        }
        let due: Vec<NodeId> = self
            .joiners
            .iter()
            .filter(|(_, joiner)| joiner.due().is_some_and(|at| at <= now))
            .map(|(node, _)| *node)
            .collect();
        for introducer in due {
            let Some(request) = self.join_request(introducer, unix) else {
                continue;
            };
            if let Some(joiner) = self.joiners.get_mut(&introducer) {
                joiner.asked();
            }
            self.call(introducer, request, Asked::Join, join::JOIN_BUDGET);
        }
    }

    pub(super) fn joined(
        &mut self,
        now: Mono,
        unix: UnixSeconds,
        introducer: NodeId,
        answer: Result<Response, NoAnswer>,
    ) {
        let outcome = match answer {
            Ok(Response::Joined(grant)) => ValidGrant::check(&grant, &self.trust)
                .and_then(|grant| grant.for_node(self.own))
                .map_err(JoinError::from),
            Ok(_) => Err(JoinError::OddAnswer),
            Err(NoAnswer::Refused(failure)) => Err(failure.into()),
            Err(NoAnswer::NotReached) => Err(JoinError::NotReached),
        };
        let renewing = self
            .own_grant
            .as_ref()
            .is_some_and(|grant| grant.introducer() != self.own && grant.runs_at(unix));
        let jitter = self.gossip.rng.random_range(0.0..1.0);
        match outcome {
            Ok(grant) => {
                let newer = self
                    .own_grant
                    .as_ref()
                    .is_none_or(|own| own.introducer() == self.own || own.expires() < grant.expires());
                if newer {
                    self.adopt(now, unix, grant);
                } else if let Some(joiner) = self.joiners.get_mut(&introducer) {
                    joiner.succeeded(now + join::JOIN_SLOW_RETRY);
                }
            }
            Err(error) => {
                if let Some(joiner) = self.joiners.get_mut(&introducer) {
                    joiner.failed(now, error, renewing, jitter);
                }
                self.effects.push_back(Effect::Changed);
            }
        }
    }
}

pub(super) fn check_config(
    facts: &OwnFacts,
    invites: &[Invite],
    is_introducer: bool,
) -> Result<(), MembershipError> {
    if facts.roles.is_empty() {
        return Err(MembershipError::NoRole);
    }
    if facts.roles.contains(Role::Introducer) != is_introducer {
        return Err(MembershipError::Introducer);
    }
    if invites.is_empty() && !is_introducer {
        return Err(MembershipError::NoInvite);
    }
    let body = AnnouncementBody {
        sequence: 0,
        nickname: facts.nickname.clone(),
        addresses: facts
            .addresses
            .iter()
            .map(|address| address.as_str().to_owned())
            .collect(),
        roles: facts.roles,
        zone: facts.zone.clone(),
        software: facts.software.clone(),
    };
    body.encode().map(|_| ()).map_err(|_| MembershipError::Facts)
}

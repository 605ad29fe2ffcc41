//! Which file it is, which of its shares are missing, and where they are to go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use truckee_grid::caps::ChkVerifier;
use truckee_grid::ids::{Hash, NodeId, ShareNumber, StorageIndex};
use truckee_grid::pipeline::FileFacts;
use truckee_grid::placement;
use truckee_grid::share::ShareLayout;
use truckee_wire::message::{self, FindShares, Request};

use super::goals::Goal;
use super::{Conflict, CorruptShare, Corruption, Known, Phase, Purpose, Repair, RepairError};
use crate::time::Mono;
use crate::transfer::Verdict;
use crate::transfer::supply::Shape;

/// A file that nodes say they hold shares of.
#[derive(Debug)]
pub(super) struct Claim {
    said: message::FileFacts,
    facts: Arc<FileFacts>,
    /// Who holds which of its shares.
    holders: BTreeMap<usize, Vec<ShareNumber>>,
}

impl Claim {
    fn shares(&self) -> usize {
        self.holders.values().flatten().collect::<BTreeSet<_>>().len()
    }
}

impl Repair {
    /// Asks the nodes that are to be asked, as many as may be at a time.
    pub(super) fn ask_more(&mut self, now: Mono) {
        while let Some(peer) = self.survey.next_due(now) {
            let request = FindShares {
                si: self.config.si,
                inline_bytes_max: 0,
            };
            self.send(now, peer, Purpose::Find { peer }, Request::FindShares(request));
        }
    }

    pub(super) fn on_find_verdict(&mut self, now: Mono, peer: usize, verdict: Verdict) {
        if let Some(found) = self.survey.on_verdict(now, peer, verdict)
            && let Some(said) = found.file
        {
            self.on_claim(peer, &found.shares, said);
        }
    }

    fn on_claim(&mut self, peer: usize, shares: &[ShareNumber], said: message::FileFacts) {
        let id = self.survey.peers()[peer].id;
        let coding = said.ueb.coding();
        let (shares, strange): (Vec<_>, Vec<_>) = shares.iter().partition(|share| coding.has(**share));
        let strange = strange.into_iter().map(|share| (id, share));
        self.findings.incompatible.extend(strange);
        let (bad, shares): (Vec<_>, Vec<_>) = shares
            .into_iter()
            .partition(|share| self.config.distrusted.contains(&(id, *share)));
        let bad = bad.into_iter().map(|share| CorruptShare {
            peer: id,
            share,
            what: Corruption::Block,
        });
        self.findings.damage.extend(bad);
        if shares.is_empty() {
            return;
        }
        let ueb_hash = said.ueb.hash();
        if self.config.ueb_hash.is_some_and(|expected| expected != ueb_hash) {
            return self.findings.conflicts.push(Conflict {
                peer: id,
                ueb_hash,
                shares,
            });
        }
        if let Some(claim) = self.claims.get_mut(&ueb_hash)
            && claim.said == said
        {
            claim.holders.insert(peer, shares);
            return;
        }
        // One hash means one file: facts that differ from those known do not verify.
        match verify(self.config.si, ueb_hash, &said) {
            Some(facts) => {
                let claim = Claim {
                    said,
                    facts: Arc::new(facts),
                    holders: BTreeMap::from([(peer, shares)]),
                };
                self.claims.insert(ueb_hash, claim);
            }
            None => self
                .findings
                .damage
                .extend(shares.into_iter().map(|share| CorruptShare {
                    peer: id,
                    share,
                    what: Corruption::Facts,
                })),
        }
    }

    /// All have answered that will.
    pub(super) fn decide(&mut self, now: Mono) {
        self.marks.asked = Some(now);
        let claim = match self.choose() {
            Ok(claim) => claim,
            Err(error) => return self.fail(now, error),
        };
        let geometry = *claim.facts.ueb().geometry();
        let known = Known {
            shape: Shape {
                coding: geometry.coding(),
                segment_bytes: geometry.segment_bytes(),
                reserve_bytes: ShareLayout::new(geometry).share_file_bytes(),
            },
            geometry,
            facts: claim.facts,
            said: claim.said,
        };
        for (peer, shares) in claim.holders {
            for share in shares {
                self.before.push((self.survey.peers()[peer].id, share));
                self.sources.add(peer, share);
            }
        }
        self.known = Some(known.clone());
        self.set_goals(&known);
        if self.goals.iter().all(Goal::is_over) {
            return self.complete(now, &known);
        }
        self.phase = Phase::Opening;
        self.start_goals(now);
    }

    /// The file that counts. All others are conflicts.
    fn choose(&mut self) -> Result<Claim, RepairError> {
        let mut claims = std::mem::take(&mut self.claims);
        let most = claims.values().map(|claim| claim.holders.len()).max();
        let mut leading = claims
            .iter()
            .filter(|(_, claim)| Some(claim.holders.len()) == most);
        let leader = leading.next().map(|(hash, _)| *hash);
        let ties = leading.count();
        let chosen = leader
            .filter(|_| ties == 0)
            .and_then(|leader| claims.remove(&leader));
        for (ueb_hash, claim) in claims {
            for (peer, shares) in claim.holders {
                self.findings.conflicts.push(Conflict {
                    peer: self.survey.peers()[peer].id,
                    ueb_hash,
                    shares,
                });
            }
        }
        let Some(claim) = chosen else {
            return Err(match most {
                Some(holders) => RepairError::Contested {
                    files: ties + 1,
                    holders,
                },
                None => RepairError::NoShares {
                    asked: self.survey.peers().len(),
                },
            });
        };
        let (have, need) = (claim.shares(), claim.said.ueb.coding().k());
        if have < need {
            return Err(RepairError::TooFewShares { have, need });
        }
        Ok(claim)
    }

    /// What is to be written where.
    fn set_goals(&mut self, known: &Known) {
        let conflicting = self.findings.conflicts.iter().map(|conflict| conflict.peer);
        let damaged = self.findings.damage.iter().map(|damage| damage.peer);
        let unfit: BTreeSet<NodeId> = conflicting.chain(damaged).collect();
        let takers = self.survey.peers().iter().filter(|peer| {
            peer.responded && self.config.takers.contains(&peer.id) && !unfit.contains(&peer.id)
        });
        self.ring = takers.map(|peer| peer.id).collect();
        self.ring.retain(|id| !self.config.draining.contains(id));
        let coding = known.shape.coding;
        let staying: Vec<(NodeId, ShareNumber)> = self.staying().collect();
        let held: BTreeSet<ShareNumber> = staying.iter().map(|(_, share)| *share).collect();
        let mut placed = BTreeSet::new();
        for (share, id) in placement::assign(&self.ring, coding, &staying) {
            placed.insert(share);
            let peer = self.peer_of(&id);
            self.goals.push(Goal::new(share, held.contains(&share), peer));
        }
        // Without anybody who takes shares there is no assignment.
        for share in coding
            .shares()
            .filter(|share| !held.contains(share) && !placed.contains(share))
        {
            self.goals.push(Goal::new(share, false, None));
        }
    }

    /// What is held where, without the nodes that are being emptied.
    pub(super) fn staying(&self) -> impl Iterator<Item = (NodeId, ShareNumber)> + '_ {
        let held = self.before.iter().copied();
        held.filter(|(id, _)| !self.config.draining.contains(id))
    }

    pub(super) fn peer_of(&self, id: &NodeId) -> Option<usize> {
        self.survey.peers().iter().position(|peer| peer.id == *id)
    }
}

/// The facts that a node tells, if they fit together.
fn verify(si: StorageIndex, ueb_hash: Hash, said: &message::FileFacts) -> Option<FileFacts> {
    let file = ChkVerifier {
        si,
        ueb_hash,
        coding: said.ueb.coding(),
        size: said.ueb.file_bytes(),
    };
    let share_roots: Vec<u8> = said.share_roots.iter().flat_map(|root| root.0).collect();
    FileFacts::verify(&file, &said.ueb.encode(), &share_roots).ok()
}

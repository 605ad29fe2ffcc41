//! Thirty nodes that gossip over links that lose and delay: all come to know the same, also through restarts and with
//! the introducer gone, and a revoked node is refused by all.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const NODES: u16 = 30;

enum Event {
    Request {
        from: u16,
        to: u16,
        token: CallToken,
        request: Request,
    },
    Answer {
        to: u16,
        token: CallToken,
        answer: Result<Response, NoAnswer>,
    },
}

struct Peer {
    machine: Membership,
    judge: Admission,
    alive: bool,
    saved: Option<RosterFile>,
    linked: BTreeSet<u16>,
}

struct Mesh {
    rng: StdRng,
    now: Mono,
    peers: BTreeMap<u16, Peer>,
    /// By time and a random number, so that what is due at one moment comes in any order.
    events: BTreeMap<(Mono, u64), Event>,
    loss: f64,
    refused: BTreeMap<Refusal, u64>,
}

impl Mesh {
    fn new(seed: u64) -> Mesh {
        let mut mesh = Mesh {
            rng: StdRng::seed_from_u64(seed),
            now: Mono::ZERO,
            peers: BTreeMap::new(),
            events: BTreeMap::new(),
            loss: 0.05,
            refused: BTreeMap::new(),
        };
        mesh.start(0, introducer(Mono::ZERO, at(0)));
        for number in 1..NODES {
            mesh.start(number, node(number, storage(), None, at(0)));
        }
        mesh
    }

    fn start(&mut self, number: u16, machine: Membership) {
        let judge = Admission::new(Arc::new(machine.view()));
        self.peers.insert(
            number,
            Peer {
                machine,
                judge,
                alive: true,
                saved: None,
                linked: BTreeSet::new(),
            },
        );
        self.run(number);
    }

    fn unix(&self) -> UnixSeconds {
        at(self.now.saturating_sub(Mono::ZERO).as_secs())
    }

    fn post(&mut self, event: Event) {
        let delay = Duration::from_micros(self.rng.random_range(200..20_000));
        self.events
            .insert((self.now + delay, self.rng.random_range(0..u64::MAX)), event);
    }

    /// Carries out what a machine wants.
    fn run(&mut self, number: u16) {
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        for effect in effects(&mut peer.machine) {
            let peer = self.peers.get_mut(&number).unwrap();
            match effect {
                Effect::Save(file) => peer.saved = Some(*file),
                Effect::Changed => peer.judge.set_view(Arc::new(peer.machine.view())),
                Effect::Call {
                    token,
                    peer: to,
                    request,
                    ..
                } => {
                    let to = (0..NODES).find(|number| id(*number) == to).expect("one of ours");
                    // An introducer is dialled when there is something to ask.
                    let linked = peer.linked.contains(&to) || self.link(number, to);
                    let lost = self.rng.random_bool(self.loss);
                    if linked && !lost {
                        self.post(Event::Request {
                            from: number,
                            to,
                            token,
                            request,
                        });
                    } else {
                        self.post(Event::Answer {
                            to: number,
                            token,
                            answer: Err(NoAnswer::NotReached),
                        });
                    }
                }
            }
        }
    }

    /// Both ends judge each other as they would at their hellos.
    fn link(&mut self, a: u16, b: u16) -> bool {
        let unix = self.unix();
        if !self.peers[&a].alive || !self.peers[&b].alive {
            return false;
        }
        for (here, there) in [(a, b), (b, a)] {
            let shown = self.peers[&there].judge.view().own_grant().cloned();
            let here = self.peers.get_mut(&here).unwrap();
            if let Err(refusal) = here.judge.admit(id(there), shown.as_ref(), unix) {
                *self.refused.entry(refusal).or_default() += 1;
                return false;
            }
        }
        for (here, there) in [(a, b), (b, a)] {
            let peer = self.peers.get_mut(&here).unwrap();
            if peer.linked.insert(there) {
                peer.machine.handle_link(self.now, id(there), true);
            }
        }
        true
    }

    fn unlink(&mut self, number: u16) {
        let linked = std::mem::take(&mut self.peers.get_mut(&number).unwrap().linked);
        for other in linked {
            let peer = self.peers.get_mut(&other).unwrap();
            peer.linked.remove(&number);
            peer.machine.handle_link(self.now, id(number), false);
            peer.judge.forget(id(number));
        }
    }

    fn kill(&mut self, number: u16) {
        self.unlink(number);
        self.peers.get_mut(&number).unwrap().alive = false;
    }

    fn restart(&mut self, number: u16) {
        let saved = self.peers[&number].saved.clone();
        let mut machine = node(number, storage(), saved, self.unix());
        machine.handle_timeout(self.now, self.unix());
        self.start(number, machine);
    }

    /// Makes the links that everybody wants.
    fn keep_links(&mut self) {
        let unix = self.unix();
        let wanted: Vec<(u16, u16)> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.alive)
            .flat_map(|(number, peer)| {
                let wanted = peer.judge.view().links_wanted(unix);
                (0..NODES)
                    .filter(move |other| wanted.contains(&id(*other)))
                    .map(|other| (*number, other))
            })
            .filter(|(a, b)| !self.peers[a].linked.contains(b))
            .collect();
        for (a, b) in wanted {
            self.link(a, b);
        }
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut links_at = self.now;
        while self.now < end {
            if links_at <= self.now {
                self.keep_links();
                links_at = self.now + Duration::from_secs(1);
            }
            let timers = self
                .peers
                .values()
                .filter(|peer| peer.alive)
                .map(|peer| peer.machine.next_deadline(self.now));
            let event = self.events.keys().next().map(|(at, _)| *at);
            let next = timers.chain(event).chain([links_at, end]).min().unwrap();
            self.now = next.max(self.now);
            while let Some(entry) = self
                .events
                .first_entry()
                .filter(|entry| entry.key().0 <= self.now)
            {
                let event = entry.remove();
                self.deliver(event);
            }
            let unix = self.unix();
            for number in 0..NODES {
                let peer = self.peers.get_mut(&number).unwrap();
                if peer.alive && peer.machine.next_deadline(self.now) <= self.now {
                    peer.machine.handle_timeout(self.now, unix);
                    self.run(number);
                }
            }
        }
    }

    fn deliver(&mut self, event: Event) {
        let unix = self.unix();
        match event {
            Event::Request {
                from,
                to,
                token,
                request,
            } => {
                let peer = self.peers.get_mut(&to).unwrap();
                let answer = if !peer.alive {
                    Err(NoAnswer::NotReached)
                } else if let Err(refusal) = peer.judge.authorise(id(from), request.kind(), unix) {
                    *self.refused.entry(refusal).or_default() += 1;
                    Err(NoAnswer::Refused(Failure::new(
                        FailureCode::RefusedRole,
                        refusal.to_string(),
                    )))
                } else {
                    peer.machine
                        .handle_request(self.now, unix, id(from), request)
                        .map_err(NoAnswer::Refused)
                };
                self.run(to);
                let lost = self.rng.random_bool(self.loss);
                let answer = if lost { Err(NoAnswer::NotReached) } else { answer };
                self.post(Event::Answer {
                    to: from,
                    token,
                    answer,
                });
            }
            Event::Answer { to, token, answer } => {
                let peer = self.peers.get_mut(&to).unwrap();
                if peer.alive {
                    peer.machine.handle_answer(self.now, unix, token, answer);
                    self.run(to);
                }
            }
        }
    }

    /// The same roster everywhere, with all that are alive as members.
    fn assert_converged(&self, out: &[u16]) {
        let alive: Vec<u16> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.alive)
            .map(|(number, _)| *number)
            .collect();
        let members = |number: u16| self.peers[&number].machine.roster();
        let first = *alive.iter().find(|number| !out.contains(number)).unwrap();
        for number in alive.iter().filter(|number| !out.contains(number)) {
            assert!(members(first) == members(*number), "{first} and {number} differ");
            assert!(
                members(first).members().contains_key(&id(*number)),
                "{number} is not known"
            );
        }
        for number in out {
            assert!(members(first).revoked().contains_key(&id(*number)));
        }
    }
}

#[test]
fn all_come_to_know_the_same_through_restarts_revocation_and_without_the_introducer() {
    for seed in 0..4 {
        println!("seed {seed}");
        let mut mesh = Mesh::new(seed);
        mesh.pass(Duration::from_secs(20));
        mesh.assert_converged(&[]);
        assert!(
            mesh.peers
                .values()
                .all(|peer| peer.machine.view().own_grant().is_some())
        );

        // Some restart while the introducer is down: what they have on disk is enough.
        mesh.pass(SAVE_DELAY * 2);
        mesh.kill(0);
        for number in [3, 7, 11] {
            mesh.kill(number);
        }
        mesh.pass(Duration::from_secs(5));
        for number in [3, 7, 11] {
            mesh.restart(number);
        }
        mesh.pass(Duration::from_secs(60));
        mesh.assert_converged(&[]);
        assert!(mesh.peers[&3].machine.view().own_grant().is_some());
        let newest = mesh.peers[&7].machine.view().own_sequence();
        assert_eq!(
            mesh.peers[&20].machine.roster().members()[&id(7)].sequence(),
            newest
        );

        // A revocation reaches all, and the revoked node is refused by all.
        let saved = mesh.peers[&0].saved.clone();
        let config = MembershipConfig {
            key: key(0),
            facts: facts(0, roles(&[Role::Introducer])),
            invites: Vec::new(),
            introducer: Some(IntroducerConfig {
                secret: secret(),
                grant_term: TERM,
            }),
        };
        let back = Membership::new(config, saved, mesh.now, mesh.unix(), [seed as u8; 32]).unwrap();
        mesh.start(0, back);
        mesh.pass(Duration::from_secs(5));
        let (now, unix) = (mesh.now, mesh.unix());
        mesh.peers
            .get_mut(&0)
            .unwrap()
            .machine
            .revoke(now, unix, id(5))
            .unwrap();
        mesh.run(0);
        mesh.pass(Duration::from_secs(2));
        let informed = mesh
            .peers
            .values()
            .filter(|peer| peer.judge.view().is_revoked(id(5)))
            .count();
        assert!(informed >= 25, "{informed} of 30 know after two seconds");
        mesh.pass(Duration::from_secs(90));
        mesh.assert_converged(&[5]);
        mesh.unlink(5);
        mesh.refused.clear();
        for other in (0..NODES).filter(|other| *other != 5) {
            assert!(!mesh.link(other, 5));
        }
        assert_eq!(mesh.refused, BTreeMap::from([(Refusal::Revoked, 29)]));
    }
}

#[test]
fn a_mesh_at_rest_says_little() {
    let mut mesh = Mesh::new(99);
    mesh.loss = 0.0;
    mesh.pass(Duration::from_secs(60));
    let before: u64 = mesh.peers.values().map(|peer| peer.machine.next_call).sum();
    mesh.pass(Duration::from_secs(600));
    let after: u64 = mesh.peers.values().map(|peer| peer.machine.next_call).sum();
    let per_node_and_minute = (after - before) as f64 / f64::from(NODES) / 10.0;
    assert!(
        (1.0..4.0).contains(&per_node_and_minute),
        "{per_node_and_minute} messages"
    );
}

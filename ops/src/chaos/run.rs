//! The command from its first line to its last.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::attack::Attack;
use super::attack::fleet::Fleet;
use super::ground::{Ground, ground, leave};
use super::heal;
use super::net::Proxies;
use super::patience::{Patience, Waited};
use super::plan::{Plan, Wish, plan};
use super::probe;
use super::report::{Outcome, json, text};
use super::shape::Shape;
use super::verdict::{Facts, Verdict, judge};
use super::work::{Client, first_folders};
use super::world::World;
use crate::cli::chaos::ChaosArgs;
use crate::cluster::signals::Signals;
use crate::error::CliError;
use crate::files;
use crate::http::Gateway;
use crate::output::{print_json, print_line};

/// How long clients may take to end: the longest silence that they bear, twice.
const CLIENTS_END_WITHIN: Duration = Duration::from_secs(120);

/// How long the last look may take.
const VERDICT_WITHIN: Duration = Duration::from_secs(3600);

/// Seeds that the clock gives: short enough to be copied by hand.
const SEEDS: u64 = 1_000_000;

/// Runs the command.
pub(crate) fn run(args: &ChaosArgs) -> Result<(), CliError> {
    if args.heal {
        return heal::heal(args);
    }
    let outcome = attacked(args, Patience::new(Signals::install()?))?;
    tell(args, &outcome)?;
    end(&outcome)
}

/// Carries out a whole run.
fn attacked(args: &ChaosArgs, mut patience: Patience) -> Result<Outcome, CliError> {
    let started = Instant::now();
    let seed = args.seed.unwrap_or_else(seed_from_clock);
    let ground = ground(args, seed, &patience)?;
    let (dir, temporary, own) = (ground.dir.clone(), ground.temporary, ground.fleet.hand.is_own());
    // The links outlive the nodes: what these say to each other at their end passes through them.
    let (fleet, _links, outcome) = assault(args, seed, ground, &mut patience);
    let kept = !temporary || !matches!(&outcome, Ok(outcome) if is_clean(outcome));
    let left = leave(fleet, &dir, kept, &patience);
    if own && kept && outcome.is_err() {
        eprintln!("truckee: the cluster's directory is kept: {}", dir.display());
    }
    let mut outcome = outcome?;
    if let Err(error) = left {
        // What was seen is worth telling all the same.
        let target = args.inventory.as_ref().map_or_else(
            || format!("--cluster {}", dir.display()),
            |file| format!("--inventory {}", file.display()),
        );
        outcome.troubles.push(format!(
            "{error}; what is left is undone by `truckee chaos --heal {target}`"
        ));
    }
    outcome.took = started.elapsed();
    if own && kept {
        outcome
            .notes
            .push(format!("the cluster's directory is kept: {}", dir.display()));
    }
    Ok(outcome)
}

fn is_clean(outcome: &Outcome) -> bool {
    outcome.violated() == 0 && outcome.troubles.is_empty()
}

fn seed_from_clock() -> u64 {
    // Any number will do; a clock before 1970 gives the same one each time, which is as good.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64 % SEEDS)
}

/// Attacks, heals and judges. The nodes are given back in any case.
fn assault(
    args: &ChaosArgs,
    seed: u64,
    ground: Ground,
    patience: &mut Patience,
) -> (Fleet, Option<Proxies>, Result<Outcome, CliError>) {
    let nodes = ground.fleet.hand.nodes();
    let world = Arc::new(World::new(seed));
    let prepared = probe::shape(&ground.gateway, &nodes, ground.means.clone())
        .and_then(|shape| first_folders(&world, &ground.gateway).map(|()| shape));
    let shape = match prepared {
        Ok(shape) => shape,
        Err(error) => return (ground.fleet, ground.proxies, Err(error)),
    };
    let wish = Wish {
        seed,
        length_ms: args.length_ms(),
        at_once: usize::from(args.at_once),
        kinds: args.kinds(),
        beyond: args.beyond,
    };
    let plan = plan(&wish, &shape);
    if !args.json {
        announce(&ground, &shape, &plan, seed);
    }
    let (nodes, links, loud) = (ground.fleet, ground.proxies, !args.json);
    let mut attack = Attack::new(&world, &shape, nodes, links, &ground.gateway, loud);
    let run = Run {
        args,
        place: &ground.place,
        world: &world,
        shape: &shape,
        gateway: &ground.gateway,
        plan: &plan,
    };
    let fought = run.fight(&mut attack, patience);
    let outcome = fought.map(|fought| run.outcome(fought, &mut attack, patience.is_asked_to_stop()));
    (attack.fleet, attack.proxies, outcome)
}

/// What stays the same over a run.
struct Run<'a> {
    args: &'a ChaosArgs,
    place: &'a str,
    world: &'a Arc<World>,
    shape: &'a Shape,
    gateway: &'a Gateway,
    plan: &'a Plan,
}

/// What came out of the attack and the last look.
struct Fought {
    verdict: Verdict,
    lasted: Duration,
}

impl Run<'_> {
    /// Clients at work, the schedule, healing, and the last look.
    fn fight(&self, attack: &mut Attack<'_>, patience: &mut Patience) -> Result<Fought, CliError> {
        let clients =
            (0..u64::from(self.args.clients)).map(|number| client(self.world, self.gateway, number));
        let clients: Vec<JoinHandle<()>> = clients.collect::<Result<_, _>>()?;
        let attacked = attack.run(self.plan, patience);
        let attacked = attacked.and_then(|()| attack.heal(patience));
        let lasted = self.world.now();
        self.world.stop();
        attacked?;
        let ended = patience.until(CLIENTS_END_WITHIN, || {
            Ok(clients.iter().all(JoinHandle::is_finished))
        })?;
        if ended == Waited::No {
            let seconds = CLIENTS_END_WITHIN.as_secs();
            let what = format!("clients have not ended within {seconds} s: a request hangs");
            attack.troubles.push(what);
        }
        for client in clients.into_iter().filter(JoinHandle::is_finished) {
            // A client that panicked has broken a promise of this tool: pass it on.
            client.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        self.world.state().record.close(lasted);
        if !attack.can_be_judged() {
            let what = "the last look was left out: nodes are away that could not be brought back";
            attack.troubles.push(what.to_owned());
            let verdict = Verdict {
                unfinished: true,
                ..Verdict::default()
            };
            return Ok(Fought { verdict, lasted });
        }
        attack.tell("every file and directory is looked at once more".to_owned());
        let facts = Facts {
            k: self.shape.k,
            whole: attack.whole()?,
            beyond: self.args.beyond,
        };
        let verdict = last_look(self.world, self.gateway, facts, patience)?;
        attack.tell("the last look is over".to_owned());
        Ok(Fought { verdict, lasted })
    }

    /// Everything that there is to tell.
    fn outcome(&self, fought: Fought, attack: &mut Attack<'_>, ended_early: bool) -> Outcome {
        let args = self.args;
        let mut state = self.world.state();
        Outcome {
            seed: self.world.seed,
            again: args.again(self.world.seed),
            place: self.place.to_owned(),
            clients: args.clients,
            at_once: usize::from(args.at_once),
            beyond: args.beyond,
            shape: self.shape.clone(),
            plan: self.plan.clone(),
            record: std::mem::take(&mut state.record),
            files: state.files.all().len(),
            names: state.names.count(),
            changes: (state.names.acknowledged, state.names.lost),
            verdict: fought.verdict,
            troubles: std::mem::take(&mut attack.troubles),
            notes: notes(attack),
            ended_early,
            attack: fought.lasted,
            took: Duration::ZERO,
        }
    }
}

/// What a reader should know of how far the attack went.
fn notes(attack: &Attack<'_>) -> Vec<String> {
    let unknown = attack.proxies.as_ref().map_or(0, Proxies::unknown);
    let links = (unknown > 0).then(|| {
        format!(
            "{unknown} links could not be told apart by who dialled: faults between two nodes passed them by"
        )
    });
    let own = attack.fleet.hand.is_own();
    let moved = attack.damage.moved.iter().filter(|_| !own);
    let moved = moved.map(|place| format!("shares that were taken away are in {place}"));
    links.into_iter().chain(moved).collect()
}

fn client(world: &Arc<World>, gateway: &Gateway, number: u64) -> Result<JoinHandle<()>, CliError> {
    let (world, gateway) = (Arc::clone(world), gateway.clone());
    let work = move || Client::new(&world, gateway, number).run();
    let spawned = std::thread::Builder::new()
        .name(format!("client-{number}"))
        .spawn(work);
    spawned.map_err(|source| CliError::System {
        action: "start a client",
        source,
    })
}

/// Judges on a thread of its own, so that a signal can cut it off.
fn last_look(
    world: &Arc<World>,
    gateway: &Gateway,
    facts: Facts,
    patience: &mut Patience,
) -> Result<Verdict, CliError> {
    let cut = Arc::new(AtomicBool::new(false));
    let judging = {
        let (world, gateway, cut) = (Arc::clone(world), gateway.clone(), Arc::clone(&cut));
        let work = move || judge(&world, &gateway, &facts, &cut);
        let spawned = std::thread::Builder::new().name("judge".into()).spawn(work);
        spawned.map_err(|source| CliError::System {
            action: "start the last look",
            source,
        })?
    };
    let waited = patience.until(VERDICT_WITHIN, || Ok(judging.is_finished()))?;
    if waited == Waited::No {
        cut.store(true, Ordering::Relaxed);
    }
    Ok(judging.join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Says what is about to happen.
fn announce(ground: &Ground, shape: &Shape, plan: &Plan, seed: u64) {
    eprintln!(
        "truckee: seed {seed}, {} peers, gateway {}/, {} faults planned",
        shape.peers.len(),
        ground.gateway.url(),
        plan.faults.len()
    );
    for fault in &plan.faults {
        let (at, lasts) = (fault.at_ms as f64 / 1000.0, fault.lasts_ms as f64 / 1000.0);
        eprintln!("  plan {at:7.1} s  {}, {lasts:.1} s", fault.text());
    }
}

fn tell(args: &ChaosArgs, outcome: &Outcome) -> Result<(), CliError> {
    let value = json::value(outcome)?;
    let lines = text::lines(outcome);
    if let Some(path) = &args.report {
        let content = if path.extension().is_some_and(|end| end == "json") {
            format!("{value:#}\n")
        } else {
            lines.join("\n") + "\n"
        };
        files::write_whole(path, content.as_bytes(), 0o644)?;
    }
    if args.json {
        return print_json(&value);
    }
    lines.iter().try_for_each(|line| print_line(line))
}

/// How the command ends.
fn end(outcome: &Outcome) -> Result<(), CliError> {
    let violations = outcome.violated();
    if violations > 0 {
        return Err(CliError::Violated { violations });
    }
    if !outcome.troubles.is_empty() {
        return Err(CliError::Attack);
    }
    if outcome.ended_early || outcome.verdict.unfinished {
        return Err(CliError::EndedEarly);
    }
    match outcome.verdict.lost.len() {
        0 => Ok(()),
        lost => Err(CliError::Beyond {
            lost,
            files: outcome.files,
        }),
    }
}

#[cfg(test)]
mod tests;

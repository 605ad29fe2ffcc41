//! The command from its first line to its last.

use std::fs::File;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::attack::Attack;
use super::attack::fleet::Fleet;
use super::fault::Kind;
use super::heal;
use super::net::Proxies;
use super::own::{self, Wanted};
use super::patience::{Patience, Waited};
use super::plan::{Plan, Wish, plan};
use super::probe;
use super::report::{Outcome, json, text};
use super::shape::{Means, Shape};
use super::undo::{Undo, take_lock};
use super::verdict::{Facts, Verdict, judge};
use super::work::{Client, first_folders};
use super::world::World;
use crate::cli::ClientArgs;
use crate::cli::chaos::ChaosArgs;
use crate::cluster::file::ClusterFile;
use crate::cluster::signals::Signals;
use crate::cluster::watch;
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

/// What is attacked.
struct Ground {
    fleet: Fleet,
    proxies: Option<Proxies>,
    means: Means,
    gateway: Gateway,
    dir: PathBuf,
    /// Whether the directory goes at the end.
    temporary: bool,
    _lock: File,
}

/// Runs the command.
pub(crate) fn run(args: &ChaosArgs) -> Result<(), CliError> {
    if args.heal {
        return heal::heal(&args.cluster());
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
    let (dir, temporary, own) = (ground.dir.clone(), ground.temporary, ground.fleet.own.is_some());
    // The links outlive the nodes: what these say to each other at their end passes through them.
    let (fleet, _links, outcome) = assault(args, seed, ground, &mut patience);
    let kept = !temporary || !matches!(&outcome, Ok(outcome) if is_clean(outcome));
    let left = leave(fleet, &dir, kept, &patience);
    let mut outcome = outcome?;
    left?;
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

/// Starts a cluster, or finds the one that is to be attacked.
fn ground(args: &ChaosArgs, seed: u64, patience: &Patience) -> Result<Ground, CliError> {
    let client = |gateway: &str| ClientArgs {
        gateway: Some(gateway.to_owned()),
        ca: args.ca.clone(),
        token_file: args.token_file.clone(),
        token: args.token.clone(),
    };
    if let Some(dir) = &args.cluster {
        let dir = dir.canonicalize().map_err(CliError::file("read", dir))?;
        let lock = take_lock(&dir)?;
        if Undo::read(&dir)?.is_some() {
            return Err(CliError::Unhealed { dir });
        }
        let cluster = ClusterFile::read(&dir)?.ok_or_else(|| CliError::NoCluster { dir: dir.clone() })?;
        let gateway = Gateway::of(&client(&cluster.gateway))?;
        let means = Means {
            no_links: Some("links are out of reach in a cluster that is not the tool's own".to_owned()),
            no_small_disks: Some("disks are only filled in a cluster of the tool's own".to_owned()),
            ..Means::default()
        };
        return Ok(Ground {
            fleet: Fleet::new(cluster.nodes, None, Undo::new(&dir)),
            proxies: None,
            means,
            gateway,
            dir,
            temporary: false,
            _lock: lock,
        });
    }
    let wanted = Wanted {
        dir: args.dir.as_deref(),
        peers: args.peers,
        links: args.kinds().iter().any(|kind| kind.is_of_the_network()),
        disks: args.kinds().contains(&Kind::Fill),
        seed,
    };
    let own = own::start(&wanted, patience)?;
    let lock = take_lock(&own.dir)?;
    let file = own.cluster.file();
    let gateway = Gateway::of(&client(&file.gateway))?;
    Ok(Ground {
        fleet: Fleet::new(file.nodes, Some(own.cluster), own.undo),
        proxies: own.proxies,
        means: own.means,
        gateway,
        dir: own.dir,
        temporary: own.temporary,
        _lock: lock,
    })
}

/// Attacks, heals and judges. The nodes are given back in any case.
fn assault(
    args: &ChaosArgs,
    seed: u64,
    ground: Ground,
    patience: &mut Patience,
) -> (Fleet, Option<Proxies>, Result<Outcome, CliError>) {
    let entries: Vec<_> = ground.fleet.entries().cloned().collect();
    let world = Arc::new(World::new(seed));
    let prepared = probe::shape(&ground.gateway, &entries, ground.means.clone())
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
    let aside = ground.dir.join("chaos-removed").join(format!("{seed}"));
    let mut attack = Attack::new(
        &world,
        &shape,
        ground.fleet,
        ground.proxies,
        &ground.gateway,
        aside,
        !args.json,
    );
    let outcome = fight(
        args,
        &world,
        &shape,
        &ground.gateway,
        &plan,
        &mut attack,
        patience,
    );
    let outcome = outcome.map(|fought| {
        let (troubles, links) = (std::mem::take(&mut attack.troubles), attack.proxies.as_ref());
        let unknown = links.map_or(0, Proxies::unknown);
        let place = if args.cluster.is_some() { "the cluster in " } else { "a cluster of its own in " };
        let mut state = world.state();
        let mut outcome = Outcome {
            seed,
            again: args.again(seed),
            place: format!("{place}{}", ground.dir.display()),
            clients: args.clients,
            at_once: wish.at_once,
            beyond: args.beyond,
            shape: shape.clone(),
            plan: plan.clone(),
            record: std::mem::take(&mut state.record),
            files: state.files.all().len(),
            names: state.names.count(),
            changes: (state.names.acknowledged, state.names.lost),
            verdict: fought.verdict,
            troubles,
            notes: Vec::new(),
            ended_early: patience.is_asked_to_stop(),
            attack: fought.attack,
            took: Duration::ZERO,
        };
        if unknown > 0 {
            let note = format!("{unknown} links could not be told apart by who dialled: faults between two nodes passed them by");
            outcome.notes.push(note);
        }
        if args.cluster.is_some() {
            let moved = attack.damage.moved.iter();
            outcome.notes.extend(moved.map(|path| format!("shares that were taken away are in {}", path.display())));
        }
        outcome
    });
    (attack.fleet, attack.proxies, outcome)
}

struct Fought {
    verdict: Verdict,
    attack: Duration,
}

/// Clients at work, the schedule, healing, and the last look.
fn fight(
    args: &ChaosArgs,
    world: &Arc<World>,
    shape: &Shape,
    gateway: &Gateway,
    plan: &Plan,
    attack: &mut Attack<'_>,
    patience: &mut Patience,
) -> Result<Fought, CliError> {
    let clients = (0..u64::from(args.clients)).map(|number| client(world, gateway, number));
    let clients: Vec<JoinHandle<()>> = clients.collect::<Result<_, _>>()?;
    let attacked = attack.run(plan, patience);
    let attacked = attacked.and_then(|()| attack.heal(patience));
    let lasted = world.now();
    world.stop();
    attacked?;
    if patience.until(CLIENTS_END_WITHIN, || {
        Ok(clients.iter().all(JoinHandle::is_finished))
    })? == Waited::No
    {
        let seconds = CLIENTS_END_WITHIN.as_secs();
        attack.troubles.push(format!(
            "clients have not ended within {seconds} s: a request hangs"
        ));
    }
    for client in clients.into_iter().filter(JoinHandle::is_finished) {
        // A client that panicked has broken a promise of this tool: pass it on.
        client.join().unwrap_or_else(|panic| resume_unwind(panic));
    }
    world.state().record.close(lasted);
    attack.tell("all is healed; every file and directory is looked at once more".to_owned());
    let dirs: Vec<PathBuf> = attack.fleet.entries().map(|entry| entry.dir.clone()).collect();
    let facts = Facts {
        k: shape.k,
        whole: (!dirs.is_empty()).then(|| attack.damage.whole(dirs.iter().map(PathBuf::as_path))),
        beyond: args.beyond,
    };
    let verdict = last_look(world, gateway, facts, patience)?;
    attack.tell("the last look is over".to_owned());
    Ok(Fought {
        verdict,
        attack: lasted,
    })
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

/// Leaves the cluster: the tool's own is stopped, another one goes on with every node that can.
fn leave(mut fleet: Fleet, dir: &Path, kept: bool, patience: &Patience) -> Result<(), CliError> {
    let frozen: Vec<String> = fleet.undo.deeds.frozen.iter().cloned().collect();
    for name in frozen {
        fleet.thaw(&name)?;
    }
    for path in fleet.undo.deeds.fillers.clone() {
        files::remove_if_there(&path)?;
        fleet.undo.note(|deeds| deeds.fillers.remove(&path))?;
    }
    let Some(mut cluster) = fleet.own.take() else {
        for name in fleet.missing() {
            fleet.start(&name)?;
            fleet.undo.note(|deeds| deeds.down.remove(&name))?;
            eprintln!("truckee: {name} was down and is started again; `truckee doctor` says whether it runs");
        }
        return Ok(());
    };
    watch::stop(&mut cluster, patience.signals());
    ClusterFile::remove(cluster.layout.dir())?;
    own::unmount(&mut fleet.undo)?;
    fleet.undo.note(|deeds| deeds.down.clear())?;
    drop(cluster);
    if kept {
        return Ok(());
    }
    std::fs::remove_dir_all(dir).map_err(CliError::file("remove", dir))
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

//! The cluster while it runs, and its end.
//!
//! Owns what happens when a node dies (it is reported; with `--restart` it is started again after a delay that grows),
//! the bound on the logs, and the order of the stop: gateway, storage peers, introducer, each asked first and killed
//! when it does not go in time. Without `--restart` a dead node stays dead, so that whoever kills nodes on purpose keeps
//! them so; `truckee run --dir` brings one back, and such a node belongs to the cluster again: `cluster.json` names it, and
//! it is stopped with the others.

use std::time::{Duration, Instant};

use truckee_nodes::RunFile;

use crate::cluster::layout::{GATEWAY, INTRODUCER};
use crate::cluster::process::{Process, bound_log, is_node, log_path};
use crate::cluster::signals::{Event, Signals};
use crate::cluster::up::Cluster;
use crate::error::CliError;

/// Between two looks at logs and restarted nodes when no signal comes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// While a restarted node is not ready yet.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// First delay before a restart; doubles with each death in a row.
const RESTART_DELAY_MIN: Duration = Duration::from_secs(1);

/// Longest delay before a restart: a node that cannot start costs two starts a minute, not more.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);

/// A node that lived this long counts as healthy again, and its next delay is the first one.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// How long each group of nodes has to stop in order: a little longer than a node gives its transfers by default (20 s,
/// `limits.drain_seconds`). A second Ctrl-C ends the waiting; what was acknowledged is durable in any case.
const STOP_PATIENCE: Duration = Duration::from_secs(25);

/// Between two looks at nodes that are stopping.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is known of a member's deaths.
#[derive(Clone, Copy, Debug)]
struct Health {
    alive_since: Instant,
    /// Deaths in a row.
    deaths: u32,
    /// When a dead node is due to be started again.
    due: Option<Instant>,
    dead: bool,
}

impl Health {
    fn new(now: Instant) -> Health {
        Health {
            alive_since: now,
            deaths: 0,
            due: None,
            dead: false,
        }
    }

    /// Notes a death and gives the delay before the restart.
    fn died(&mut self, now: Instant) -> Duration {
        if now.saturating_duration_since(self.alive_since) >= HEALTHY_AFTER {
            self.deaths = 0;
        }
        let delay = RESTART_DELAY_MIN
            .saturating_mul(1 << self.deaths.min(16))
            .min(RESTART_DELAY_MAX);
        self.deaths = self.deaths.saturating_add(1);
        self.dead = true;
        delay
    }

    fn restarted(&mut self, now: Instant) {
        self.alive_since = now;
        self.due = None;
        self.dead = false;
    }
}

/// Watches over the cluster until a signal asks to stop. An error if no node is left.
pub(crate) fn watch(cluster: &mut Cluster, signals: &Signals, restart: bool) -> Result<(), CliError> {
    let mut health = vec![Health::new(Instant::now()); cluster.members.len()];
    let mut logs_due = Instant::now() + LOOK_EVERY;
    loop {
        if signals.wait(patience(cluster, &health)) == Event::Stop {
            return Ok(());
        }
        let now = Instant::now();
        note_deaths(cluster, &mut health, restart, now)?;
        adopt(cluster, &mut health, now);
        start_due(cluster, &mut health, now)?;
        if health.iter().all(|health| health.dead && health.due.is_none()) {
            let dir = cluster.layout.node_dir(GATEWAY);
            return Err(CliError::Node {
                node: GATEWAY.to_owned(),
                reason: format!(
                    "it and all other nodes have died; its log is {}",
                    log_path(&dir).display()
                ),
            });
        }
        if cluster.take_run_files()? {
            cluster.publish()?;
        }
        if now >= logs_due {
            logs_due = now + LOOK_EVERY;
            for member in &cluster.members {
                bound_log(&log_path(&cluster.layout.node_dir(&member.name)))?;
            }
        }
    }
}

/// How long nothing needs to be looked at.
fn patience(cluster: &Cluster, health: &[Health]) -> Duration {
    let waiting = cluster
        .members
        .iter()
        .zip(health)
        .any(|(member, health)| member.entry.is_none() && !health.dead);
    if waiting {
        return LOOK_AGAIN;
    }
    let due = health.iter().filter_map(|health| health.due).min();
    due.map_or(LOOK_EVERY, |due| {
        due.saturating_duration_since(Instant::now()).min(LOOK_EVERY)
    })
}

/// Reports nodes that died since the last look.
fn note_deaths(
    cluster: &mut Cluster,
    health: &mut [Health],
    restart: bool,
    now: Instant,
) -> Result<(), CliError> {
    for (member, health) in cluster.members.iter_mut().zip(health) {
        if health.dead {
            continue;
        }
        let Some(status) = member.process.ended()? else {
            continue;
        };
        let delay = health.died(now);
        let dir = cluster.layout.node_dir(&member.name);
        let next = if restart {
            health.due = Some(now + delay);
            member.entry = None;
            format!("it is started again in {} s", delay.as_secs())
        } else {
            format!(
                "the others go on without it; `truckee run --dir {}` starts it again",
                dir.display()
            )
        };
        eprintln!("truckee: {} has died ({status}); {next}", member.name);
    }
    Ok(())
}

/// Takes over nodes that somebody else started after they had died.
fn adopt(cluster: &mut Cluster, health: &mut [Health], now: Instant) {
    let dead = cluster
        .members
        .iter_mut()
        .zip(health)
        .filter(|(_, health)| health.dead);
    for (member, health) in dead {
        let dir = cluster.layout.node_dir(&member.name);
        // A file that makes no sense says that nobody is there; the node's own next start replaces it.
        let said = RunFile::read(&dir).ok().flatten();
        if let Some(said) = said.filter(|said| is_node(said.pid, &dir)) {
            member.process = Process::adopt(&member.name, &dir, said.pid);
            member.entry = None;
            health.restarted(now);
            eprintln!(
                "truckee: {} was started again by somebody else; it is stopped with the others",
                member.name
            );
        }
    }
}

/// Starts dead nodes whose delay is over.
fn start_due(cluster: &mut Cluster, health: &mut [Health], now: Instant) -> Result<(), CliError> {
    for (member, health) in cluster.members.iter_mut().zip(health) {
        if health.due.is_some_and(|due| due <= now) {
            member.process = Process::start(&member.name, &cluster.layout.node_dir(&member.name))?;
            health.restarted(now);
        }
    }
    Ok(())
}

/// Stops all nodes: the gateway, so that no transfer is cut by our own doing, then the peers, then the introducer.
pub(crate) fn stop(cluster: &mut Cluster, signals: &Signals) {
    let is_gateway = |name: &str| name == GATEWAY;
    let is_introducer = |name: &str| name == INTRODUCER;
    stop_group(cluster, signals, is_gateway);
    stop_group(cluster, signals, |name| !is_gateway(name) && !is_introducer(name));
    stop_group(cluster, signals, is_introducer);
}

/// Asks the chosen nodes to stop and waits; a second signal or the end of patience kills them.
fn stop_group(cluster: &mut Cluster, signals: &Signals, chosen: impl Fn(&str) -> bool) {
    let mut group: Vec<_> = cluster
        .members
        .iter_mut()
        .filter(|member| chosen(&member.name))
        .collect();
    for member in &mut group {
        member.process.terminate();
    }
    let deadline = Instant::now() + STOP_PATIENCE;
    loop {
        // A child that cannot be looked after counts as running, and is killed below.
        group.retain_mut(|member| !matches!(member.process.ended(), Ok(Some(_))));
        if group.is_empty() {
            return;
        }
        if signals.wait(STOP_LOOK_EVERY) == Event::Stop || Instant::now() >= deadline {
            break;
        }
    }
    for member in group {
        eprintln!(
            "truckee: {} did not stop when asked and was killed; what it acknowledged is safe",
            member.name
        );
        member.process.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_start_over_after_health() {
        let start = Instant::now();
        let mut health = Health::new(start);
        let mut delays = Vec::new();
        for _ in 0..7 {
            delays.push(health.died(start).as_secs());
            health.restarted(start);
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(health.died(start + HEALTHY_AFTER), RESTART_DELAY_MIN);
    }
}

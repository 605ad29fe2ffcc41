//! Finds out what a running cluster is: from its nodes who there is, its coding from the gateway, and from the metrics of
//! its storage peers whether they mend lost shares by themselves.

use std::time::Duration;

use super::attack::hand::Node;
use super::shape::{Means, Shape};
use crate::error::CliError;
use crate::http::Gateway;

/// What the name of a metric begins with on a peer that makes lost shares again.
const OF_REPAIR: &str = "truckee_repair_";

/// How long a peer may take to tell its metrics.
const METRICS_WITHIN: Duration = Duration::from_secs(5);

/// The shape of the cluster with these nodes.
///
/// # Errors
/// When the gateway does not answer, or does not say how it codes.
pub(crate) fn shape(gateway: &Gateway, nodes: &[Node], means: Means) -> Result<Shape, CliError> {
    let welcome = gateway.json("/?t=json")?;
    let number = |key: &str| {
        let number = welcome["truckee"][key].as_u64();
        number
            .map(|number| number as usize)
            .ok_or_else(|| gateway.odd("no word on how it codes files"))
    };
    let with_role = |role: &str| {
        let has = |node: &&Node| node.roles.iter().any(|other| other == role);
        let mut names: Vec<String> = nodes.iter().filter(has).map(|node| node.name.clone()).collect();
        names.sort();
        names
    };
    Ok(Shape {
        peers: with_role("storage"),
        introducers: with_role("introducer"),
        vdrives: with_role("vdrive"),
        gateway: with_role("gateway").into_iter().next(),
        k: number("k")?,
        n: number("n")?,
        happy: number("happy")?,
        heals: heals(nodes),
        means,
    })
}

/// Whether every storage peer says that it repairs.
fn heals(nodes: &[Node]) -> bool {
    let mut peers = nodes
        .iter()
        .filter(|node| node.roles.iter().any(|role| role == "storage"))
        .peekable();
    peers.peek().is_some() && peers.all(|node| metrics(node).is_some_and(|page| is_of_repair(&page)))
}

fn metrics(node: &Node) -> Option<String> {
    let asked = Gateway::at(node.metrics.as_ref()?)
        .ok()?
        .impatient(METRICS_WITHIN);
    asked.page("/metrics").ok()
}

fn is_of_repair(page: &str) -> bool {
    page.lines().any(|line| line.starts_with(OF_REPAIR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn healing_is_told_by_metrics() {
        assert!(is_of_repair(
            "# TYPE x counter\nx 1\ntruckee_repair_shares_total 0\n"
        ));
        assert!(!is_of_repair(
            "# HELP truckee_repair_shares_total none\ntruckee_check_active 0\n"
        ));
        assert!(!heals(&[]));
    }
}

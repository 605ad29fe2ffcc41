//! `truckee load --profile`: where the CPU time of a transfer goes.
//!
//! Owns the measurement: files are put and got as ever, what the nodes burned meanwhile is told apart by [`meter`], each step is done
//! by itself by [`bare`], before the rounds so that both meet the same machine, and [`budget`] sets one against the other. Needs the
//! processes of the nodes on this machine and their metrics. The client burns CPU too, which counts for nobody.

mod bare;
mod budget;
mod disk;
mod meter;
mod wire;

use serde_json::json;
use truckee_actors::metrics as names;
use truckee_grid::engines::Engines;
use truckee_grid::erasure::ErasureChoice;
use truckee_grid::params::Coding;

use super::procs::Nodes;
use super::round::{self, Files};
use super::{Operation, Workload};
use crate::cli::LoadArgs;
use crate::error::CliError;
use crate::http::Gateway;
use crate::output::{bytes_text, print_json, print_line, transfer_bar};
use crate::top::exposition;
use bare::Bare;
use budget::Budget;
use meter::{Meter, Reading};

/// Both ways.
const OPERATIONS: [Operation; 2] = [Operation::Put, Operation::Get];

/// Runs the measurement.
pub(super) fn run(
    args: &LoadArgs,
    gateway: &Gateway,
    nodes: Option<&Nodes>,
    seed: u64,
) -> Result<(), CliError> {
    let Some(nodes) = nodes.filter(|nodes| nodes.missing == 0) else {
        return Err(CliError::Usage {
            what: "--profile",
            value: gateway.url().to_owned(),
            hint: format!(
                "it needs all nodes of the cluster of this gateway on this machine, and {} has no such cluster; name its directory \
                 with --cluster",
                args.cluster.display()
            ),
        });
    };
    if Workload::of(args).total_bytes(Operation::Put) == 0 {
        return Err(CliError::Usage {
            what: "--size",
            value: "0".into(),
            hint: "there is no cost for each byte of nothing".into(),
        });
    }
    let meters: Vec<Meter<'_>> = nodes.entries().iter().map(Meter::of).collect::<Result<_, _>>()?;
    let coding = coding(gateway)?;
    let engines = Engines::select(ErasureChoice::Auto)
        .map_err(|error| bare::system("choose the engines")(std::io::Error::other(error)))?;
    let bare = bare::measure(coding, engines, &args.cluster)?;
    let budgets = measure(args, gateway, nodes, &meters, &bare, seed)?;
    if args.json {
        let all: Vec<_> = budgets.iter().map(Budget::json).collect();
        let shares = json!({ "k": coding.k(), "n": coding.n() });
        return print_json(
            &json!({ "seed": seed, "gateway": gateway.url(), "coding": shares, "profile": all }),
        );
    }
    for budget in &budgets {
        for line in budget.lines() {
            print_line(&line)?;
        }
        print_line("")?;
    }
    print_line(&format!(
        "seed {seed}, {coding}, {} rounds of {} × {}, steps by themselves: the least of three tries over {}; shares that are read from memory \
         are read by the links' threads and count there",
        args.repeat,
        args.files,
        args.size,
        bytes_text(bare::PLAIN_BYTES as u64),
    ))
}

/// The shape of what the gateway stores.
fn coding(gateway: &Gateway) -> Result<Coding, CliError> {
    let page = gateway.page("/metrics")?;
    let (mut k, mut n) = (0, 0);
    exposition::read(&page, |line| match line.name {
        names::GATEWAY_SHARES_NEEDED => k = line.value as u32,
        names::GATEWAY_SHARES_MADE => n = line.value as u32,
        _ => {}
    })
    .map_err(|error| gateway.odd(&error.to_string()))?;
    Coding::new(k, n).map_err(|error| gateway.odd(&error.to_string()))
}

/// All rounds of both operations, each added up.
fn measure(
    args: &LoadArgs,
    gateway: &Gateway,
    nodes: &Nodes,
    meters: &[Meter<'_>],
    bare: &Bare,
    seed: u64,
) -> Result<Vec<Budget>, CliError> {
    let work = Workload::of(args);
    let small = work.warmup();
    let warm_ups = u64::from(args.warmup);
    let mut burned = OPERATIONS.map(|_| Reading::default());
    for number in 0..warm_ups + u64::from(args.repeat) {
        let counts = number >= warm_ups;
        let work = if counts { &work } else { &small };
        let mut files = Files::new(seed, number);
        for (operation, burned) in OPERATIONS.into_iter().zip(&mut burned) {
            let bar = transfer_bar(operation.word(), Some(work.total_bytes(operation)), args.json);
            let before = meter::begin(meters)?;
            let done = round::run(operation, work, &mut files, gateway.url(), Some(nodes), &bar);
            bar.finish_and_clear();
            done?;
            if counts {
                burned.join(&meter::end(meters)?.since(&before));
            }
        }
    }
    let plain_bytes = work.total_bytes(Operation::Put) * u64::from(args.repeat);
    let each = OPERATIONS.into_iter().zip(&burned);
    Ok(each
        .map(|(operation, burned)| Budget::of(operation, plain_bytes, burned, bare))
        .collect())
}

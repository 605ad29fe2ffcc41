//! What an operation costs as a grid grows: whole nodes in one process, so that the switching between processes, which grows
//! with their number on one machine and with nothing else, is not measured.

use std::io::Read as _;
use std::time::Instant;

use truckee_actors::clock::{process_cpu, thread_cpu};

use super::*;

/// Storage nodes of the grids that are compared.
const GRIDS: [usize; 2] = [10, 100];
/// Two of the rounds in which nodes ask all others what has changed: whatever an upload leads to has happened by then.
const REST: Duration = Duration::from_secs(120);
const FILES: usize = 3_000;
const FILE_BYTES: usize = 1 << 10;
const LARGE_FILES: usize = 8;
const LARGE_BYTES: usize = 16 << 20;

struct Grid {
    nodes: Vec<Running>,
    gateway: String,
    _dir: tempfile::TempDir,
}

impl Grid {
    async fn start(storage_nodes: usize) -> Grid {
        let temp = tempfile::tempdir().unwrap();
        let (mut nodes, mut invites) = (Vec::new(), Vec::new());
        let gateway = std::iter::once(Role::Gateway);
        let others = std::iter::repeat_n(Role::Storage, storage_nodes).chain(gateway);
        for (number, role) in std::iter::once(Role::Introducer).chain(others).enumerate() {
            let mut spec = InitSpec::new(&temp.path().join(number.to_string()), "node", &[role]);
            spec.invites.clone_from(&invites);
            spec.gateway_listen = (role == Role::Gateway).then(|| "127.0.0.1:0".parse().unwrap());
            init_node(&spec).unwrap();
            let config = Config::load(&spec.dir).unwrap();
            let node = start(&NodeDir::new(&spec.dir), &config).await.unwrap();
            invites.extend(node.run_file().invite.clone());
            nodes.push(node);
        }
        let gateway = nodes.last().unwrap().run_file().http.clone().unwrap();
        let address = gateway.strip_prefix("http://").unwrap();
        while !get(address, "/readyz").await.starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Grid {
            nodes,
            gateway,
            _dir: temp,
        }
    }

    async fn stop(self) {
        for node in self.nodes.into_iter().rev() {
            node.stop(Duration::from_secs(5)).await;
        }
    }
}

/// One client that stores files and gets them back.
struct Client {
    agent: ureq::Agent,
    gateway: String,
    caps: Vec<String>,
}

impl Client {
    fn content(file: usize, bytes: usize) -> Vec<u8> {
        let word = |at: usize| ((file << 32 | at) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..bytes / 8).flat_map(|at| word(at).to_be_bytes()).collect()
    }

    fn put(&mut self, files: usize, bytes: usize) {
        for file in 0..files {
            let url = format!("{}/uri", self.gateway);
            let answer = self.agent.put(&url).send(&Client::content(file, bytes)[..]);
            self.caps
                .push(answer.unwrap().body_mut().read_to_string().unwrap());
        }
    }

    fn get(&mut self, bytes: usize) {
        for (file, cap) in self.caps.drain(..).enumerate() {
            let url = format!("{}/uri/{cap}", self.gateway);
            let mut got = Vec::with_capacity(bytes);
            let mut answer = self.agent.get(&url).call().unwrap();
            answer.body_mut().as_reader().read_to_end(&mut got).unwrap();
            assert!(
                got == Client::content(file, bytes),
                "other bytes than were stored"
            );
        }
    }
}

/// What all threads but the client's take for so many operations and all that they lead to within some time, beyond what they
/// take at rest.
async fn cost(
    at_rest: Duration,
    operations: usize,
    leads_to: Duration,
    mut client: Client,
    work: impl FnOnce(&mut Client) + Send + 'static,
) -> (Client, Duration) {
    let (begun, before) = (Instant::now(), process_cpu());
    let worked = tokio::task::spawn_blocking(move || {
        let before = thread_cpu();
        work(&mut client);
        (client, thread_cpu() - before)
    });
    let (client, of_client) = worked.await.unwrap();
    tokio::time::sleep(leads_to).await;
    let rest = at_rest.mul_f64(begun.elapsed().as_secs_f64() / REST.as_secs_f64());
    let took = (process_cpu() - before).saturating_sub(of_client + rest);
    (client, took / operations as u32)
}

/// Takes a quarter of an hour. For figures that mean something nothing else may run.
#[actix_web::test]
#[ignore = "measures"]
async fn what_an_operation_costs_as_a_grid_grows() {
    for storage_nodes in GRIDS {
        let grid = Grid::start(storage_nodes).await;
        // New nodes look at everything once.
        tokio::time::sleep(REST).await;
        let before = process_cpu();
        tokio::time::sleep(REST).await;
        let at_rest = process_cpu() - before;
        let client = Client {
            agent: ureq::Agent::new_with_defaults(),
            gateway: grid.gateway.clone(),
            caps: Vec::new(),
        };
        let nothing = Duration::ZERO;
        let mut costs = Vec::new();
        let (client, put) = cost(at_rest, FILES, REST, client, |client| {
            client.put(FILES, FILE_BYTES);
        })
        .await;
        let (client, got) = cost(at_rest, FILES, nothing, client, |client| {
            client.get(FILE_BYTES);
        })
        .await;
        costs.extend([put, got]);
        let store = |client: &mut Client| {
            client.put(LARGE_FILES, LARGE_BYTES);
        };
        let (client, put) = cost(at_rest, LARGE_FILES, REST, client, store).await;
        let (_, got) = cost(at_rest, LARGE_FILES, nothing, client, |client| {
            client.get(LARGE_BYTES);
        })
        .await;
        costs.extend([put, got]);
        let milliseconds: Vec<String> = costs
            .iter()
            .map(|cost| format!("{:.2}", 1000.0 * cost.as_secs_f64()))
            .collect();
        let each = at_rest.as_secs_f64() / REST.as_secs_f64() / storage_nodes as f64;
        let costs = milliseconds.join(" / ");
        println!(
            "{storage_nodes} storage nodes: at rest {:.3} % of a core for each; ms of CPU for PUT and GET of 1 KiB, of 16 MiB: {costs}",
            100.0 * each
        );
        grid.stop().await;
    }
}

//! What an operation costs as a grid grows: whole nodes in one process, so that the switching between processes, which grows
//! with their number on one machine and with nothing else, is not measured.

use std::io::Read as _;
use std::time::Instant;

use truckee_actors::clock::{process_cpu, thread_cpu};

use super::*;

/// Storage nodes of the grids that are compared, and how long the client waits after each small file. In a grid of a hundred a node has
/// something to do for every tenth file only, and finds its threads asleep and the caches of the machine filled by others; so it
/// does in a grid of ten whose client waits so long that each node is asked as seldom.
const GRIDS: [(usize, Duration); 3] = [
    (10, Duration::ZERO),
    (10, Duration::from_millis(20)),
    (100, Duration::ZERO),
];
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
        let storage = std::iter::repeat_n(Role::Storage, storage_nodes);
        let roles = std::iter::once(Role::Introducer).chain(storage);
        // For an hour after nodes came all look for shares that belong there: no operation leads to that.
        let without_placing = |config: &mut Config| {
            if let Some(heal) = &mut config.heal {
                heal.placing_every = None;
            }
        };
        let nodes = start_all(temp.path(), roles.chain([Role::Gateway]), without_placing).await;
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
}

/// One client that stores files and gets them back.
struct Client {
    agent: ureq::Agent,
    gateway: String,
    caps: Vec<String>,
    /// After each file.
    pause: Duration,
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
            std::thread::sleep(self.pause);
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
            std::thread::sleep(self.pause);
        }
    }
}

/// CPU time of one operation, in milliseconds.
struct Cost {
    /// While the client works.
    meanwhile: f64,
    /// In the time after it that was asked for: what an upload leads to.
    afterwards: f64,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} + {:.2}", self.meanwhile, self.afterwards)
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
) -> (Client, Cost) {
    let rest_of = |time: Duration| at_rest.as_secs_f64() * time.as_secs_f64() / REST.as_secs_f64();
    let of_each = |seconds: f64| 1000.0 * seconds / operations as f64;
    let (begun, before) = (Instant::now(), process_cpu());
    let worked = tokio::task::spawn_blocking(move || {
        let before = thread_cpu();
        work(&mut client);
        (client, thread_cpu() - before)
    });
    let (client, of_client) = worked.await.unwrap();
    let meanwhile = (process_cpu() - before - of_client).as_secs_f64() - rest_of(begun.elapsed());
    let (begun, before) = (Instant::now(), process_cpu());
    tokio::time::sleep(leads_to).await;
    let afterwards = (process_cpu() - before).as_secs_f64() - rest_of(begun.elapsed());
    let cost = Cost {
        meanwhile: of_each(meanwhile),
        afterwards: of_each(afterwards),
    };
    (client, cost)
}

/// Takes some twenty-five minutes. For figures that mean something nothing else may run.
#[actix_web::test]
#[ignore = "measures"]
async fn what_an_operation_costs_as_a_grid_grows() {
    for (storage_nodes, pause) in GRIDS {
        let grid = Grid::start(storage_nodes).await;
        // New nodes look at everything once.
        tokio::time::sleep(REST).await;
        let before = process_cpu();
        tokio::time::sleep(REST).await;
        let at_rest = process_cpu() - before;
        let each = at_rest.as_secs_f64() / REST.as_secs_f64() / storage_nodes as f64;
        println!(
            "{storage_nodes} storage nodes, {} ms between small files: at rest {:.3} % of a core for each; ms of CPU, meanwhile + afterwards:",
            pause.as_millis(),
            100.0 * each
        );
        let mut client = Client {
            agent: ureq::Agent::new_with_defaults(),
            gateway: grid.gateway.clone(),
            caps: Vec::new(),
            pause,
        };
        let large = pause.is_zero().then_some((LARGE_FILES, LARGE_BYTES));
        for (files, bytes) in [(FILES, FILE_BYTES)].into_iter().chain(large) {
            let (stored, put) = cost(at_rest, files, REST, client, move |client| {
                client.put(files, bytes);
            })
            .await;
            let (read, get) = cost(at_rest, files, Duration::ZERO, stored, move |client| {
                client.get(bytes);
            })
            .await;
            client = read;
            println!("{} KiB: PUT {put}, GET {get}", bytes >> 10);
        }
        stop_all(grid.nodes).await;
    }
}

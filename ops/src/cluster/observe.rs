//! Prometheus and Grafana beside a local cluster, for `truckee up --observe`.
//!
//! Owns their processes, configuration and data under `observe/` of the cluster's directory. What is not installed is left
//! out and said so; a server that ends by itself is not started again. Both end with the `truckee up` that started
//! them, whatever ended that: a shell holds each and ends it when its standard input closes.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use truckee_nodes::targets;

use crate::error::CliError;
use crate::output::print_line;

const RECORDING: &str = include_str!("../../prometheus/rules/recording.yml");
const ALERTS: &str = include_str!("../../prometheus/rules/alerts.yml");
const DATASOURCE: &str = include_str!("../../../grafana/provisioning/datasources/truckee.yml");
const PROVIDER: &str = include_str!("../../../grafana/provisioning/dashboards/truckee.yml");
const DASHBOARDS: [(&str, &str); 6] = [
    (
        "truckee-http.json",
        include_str!("../../../grafana/dashboards/truckee-http.json"),
    ),
    (
        "truckee-overview.json",
        include_str!("../../../grafana/dashboards/truckee-overview.json"),
    ),
    (
        "truckee-peers.json",
        include_str!("../../../grafana/dashboards/truckee-peers.json"),
    ),
    (
        "truckee-runtime.json",
        include_str!("../../../grafana/dashboards/truckee-runtime.json"),
    ),
    (
        "truckee-storage.json",
        include_str!("../../../grafana/dashboards/truckee-storage.json"),
    ),
    (
        "truckee-transfers.json",
        include_str!("../../../grafana/dashboards/truckee-transfers.json"),
    ),
];

/// Enough for weeks of a dozen nodes, and little enough for a laptop.
const KEPT: &str = "512MB";
/// Where people look for them; taken if free.
const PROMETHEUS_PORT: u16 = 9090;
const GRAFANA_PORT: u16 = 3000;
/// Debian's package and Grafana's own both put it here.
const GRAFANA_HOME: &str = "/usr/share/grafana";

/// Starts the rest of the arguments and ends it, in order, when standard input closes.
const HOLDER: &str = "\"$@\" < /dev/null & held=$!; read -r _; kill \"$held\" 2> /dev/null; wait \"$held\"";

/// Servers that run. Dropped, they end.
#[derive(Debug)]
pub(crate) struct Observers {
    holders: Vec<Child>,
}

impl Observers {
    /// Starts what is installed and says where it is, on standard output unless `quiet`.
    pub(crate) fn start(cluster: &Path, quiet: bool) -> Result<Observers, CliError> {
        let mut observers = Observers { holders: Vec::new() };
        let say = |line: &str| if quiet { Ok(()) } else { print_line(line) };
        let dir = cluster.join("observe");
        if installed("prometheus").is_none() {
            say(
                "prometheus is not installed: nobody observes the cluster (on Debian: apt install prometheus)",
            )?;
            return Ok(observers);
        }
        let prometheus = observers.prometheus(cluster, &dir)?;
        say(&format!("http://{prometheus}/alerts is Prometheus"))?;
        if installed("grafana-server").is_none() {
            say("grafana-server is not installed: its dashboards are in grafana/dashboards")?;
            return Ok(observers);
        }
        let grafana = observers.grafana(&dir, prometheus)?;
        say(&format!("http://{grafana}/d/truckee-overview is Grafana"))?;
        Ok(observers)
    }

    fn prometheus(&mut self, cluster: &Path, dir: &Path) -> Result<SocketAddr, CliError> {
        let targets = cluster.join(targets::FILE_NAME);
        let config = format!(
            "global: {{scrape_interval: 5s, evaluation_interval: 5s}}\nrule_files: [rules/*.yml]\nscrape_configs:\n  \
             - job_name: truckee\n    file_sd_configs: [{{files: [{targets:?}], refresh_interval: 5s}}]\n"
        );
        write(&dir.join("prometheus.yml"), &config)?;
        write(&dir.join("rules/recording.yml"), RECORDING)?;
        write(&dir.join("rules/alerts.yml"), ALERTS)?;
        let address = free_address(PROMETHEUS_PORT)?;
        let mut command = held("prometheus");
        command
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--storage.tsdb.retention.size={KEPT}"))
            .arg(format!("--web.listen-address={address}"));
        self.hold(command, &dir.join("prometheus.log"))?;
        Ok(address)
    }

    fn grafana(&mut self, dir: &Path, prometheus: SocketAddr) -> Result<SocketAddr, CliError> {
        let provisioning = dir.join("provisioning");
        write(&provisioning.join("datasources/truckee.yml"), DATASOURCE)?;
        write(&provisioning.join("dashboards/truckee.yml"), PROVIDER)?;
        for (name, text) in DASHBOARDS {
            write(&dir.join("dashboards").join(name), text)?;
        }
        let address = free_address(GRAFANA_PORT)?;
        let mut command = held("grafana-server");
        command
            .args(["--homepath", GRAFANA_HOME])
            .env("TRUCKEE_PROMETHEUS_URL", format!("http://{prometheus}"))
            .env("TRUCKEE_DASHBOARDS", dir.join("dashboards"))
            .env("GF_PATHS_PROVISIONING", provisioning)
            .env("GF_PATHS_DATA", dir.join("grafana"))
            .env("GF_PATHS_LOGS", dir.join("grafana"))
            .env("GF_SERVER_HTTP_ADDR", address.ip().to_string())
            .env("GF_SERVER_HTTP_PORT", address.port().to_string())
            // Loopback only, and everything to be seen is seen without a password; nothing can be changed.
            .env("GF_AUTH_ANONYMOUS_ENABLED", "true")
            .env("GF_ANALYTICS_REPORTING_ENABLED", "false")
            .env("GF_ANALYTICS_CHECK_FOR_UPDATES", "false");
        self.hold(command, &dir.join("grafana.log"))?;
        Ok(address)
    }

    fn hold(&mut self, mut command: Command, log: &Path) -> Result<(), CliError> {
        let log = File::create(log).map_err(CliError::file("write", log))?;
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let holder = command.spawn().map_err(|source| CliError::System {
            action: "start a server that observes",
            source,
        })?;
        self.holders.push(holder);
        Ok(())
    }
}

impl Drop for Observers {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            drop(holder.stdin.take());
        }
        for holder in &mut self.holders {
            // It was spawned by this process, so it can be waited for; that it ended badly is in its log.
            let _ended: io::Result<_> = holder.wait();
        }
    }
}

/// A command that runs `program` until its standard input closes. Ctrl-C reaches only the shell's parent: the signal
/// would end the servers before the nodes are stopped.
fn held(program: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sh");
    command.args(["-c", HOLDER, "sh", program]).process_group(0);
    command
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// Loopback, with that port if nobody has it.
fn free_address(port: u16) -> Result<SocketAddr, CliError> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let address = bind(port)
        .or_else(|_| bind(0))
        .and_then(|socket| socket.local_addr());
    address.map_err(|source| CliError::System {
        action: "find a free port",
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(CliError::file("make", parent))?;
    }
    fs::write(path, text).map_err(CliError::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_program_ends_with_the_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let mut observers = Observers { holders: Vec::new() };
        let mut command = held("sleep");
        command.arg("600");
        observers.hold(command, &dir.path().join("log")).unwrap();
        // Waits for the shell, which waits for the program: comes back only if both end.
        drop(observers);
    }

    #[test]
    fn a_taken_port_is_not_taken_again() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = holder.local_addr().unwrap();
        assert_ne!(free_address(taken.port()).unwrap(), taken);
    }

    #[test]
    fn every_dashboard_is_brought_along() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana/dashboards");
        assert_eq!(fs::read_dir(dir).unwrap().count(), DASHBOARDS.len());
    }
}

//! Puts a node together: from its configuration and its directory to running actors and listening sockets.
//!
//! Order: secrets, sockets, membership, store, transfers, actors, HTTP. Nothing is announced to the mesh before the
//! node can serve it, and no HTTP request is taken before there is a mesh to serve it from.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use truckee_actors::call::MeshHandle;
use truckee_actors::clock::{ClockHandle, SystemClock};
use truckee_actors::drive::Drive;
use truckee_actors::heal::HealerHandle;
use truckee_actors::mesh::MeshLimits;
use truckee_actors::metrics as names;
use truckee_actors::node::{MeshAccess, Node, NodeFailure, NodeParts};
use truckee_actors::supervise::Health;
use truckee_actors::tls::TlsIdentity;
use truckee_actors::transfers::Transfers;
use truckee_engine::invite::{Address, Invite, InviteSecret};
use truckee_grid::ids::NodeId;
use truckee_grid::keys::ConvergenceSecret;

use crate::access::OpenedDoors;
use crate::behind::{self, Behind};
use crate::config::Config;
use crate::control::{Control, Operated};
use crate::dir::NodeDir;
use crate::drain::Drain;
use crate::http::server::{self, Running as HttpServer};
use crate::http::{Alive, Gateway, Probes};
use crate::identity::{self, Secret, SecretKind, random_secret};
use crate::ports::Ports;
use crate::role::Role;
use crate::run::RunError;
use crate::run_file::RunFile;
use crate::services::{Services, Wired};
use crate::view::{MeshView, OwnFacts, software, wire_roles};
use crate::{http, metrics as recorder, services};

#[cfg(test)]
mod tests;

/// A node that runs.
pub(crate) struct Running {
    run_file: RunFile,
    node: Node,
    view: Arc<MeshView>,
    /// Of gateways and storage nodes.
    transfers: Option<Transfers>,
    gateway: Option<RunningGateway>,
    probes: HttpServer,
    /// Goes first at a stop.
    control: Option<Control>,
}

struct RunningGateway {
    state: web::Data<Gateway>,
    server: HttpServer,
    drive: Drive,
}

/// Sockets, bound before anything else starts, so that a port in use is found before the mesh hears of the node.
struct Sockets {
    mesh: TcpListener,
    metrics: TcpListener,
    gateway: Option<TcpListener>,
}

impl Sockets {
    fn bind(dir: &NodeDir, config: &Config) -> Result<Sockets, RunError> {
        let mut ports = Ports::load(dir)?;
        let mesh = ports.listen("mesh", config.listen)?;
        let gateway = config
            .gateway
            .as_ref()
            .map(|gateway| ports.listen("gateway", gateway.listen));
        let metrics = ports.listen("metrics", config.metrics_listen)?;
        Ok(Sockets {
            mesh,
            metrics,
            gateway: gateway.transpose()?,
        })
    }
}

/// Starts everything; the calling thread must run an actix system.
pub(crate) async fn start(dir: &NodeDir, config: &Config) -> Result<Running, RunError> {
    let recorder = recorder::install()?;
    let seed: Secret<32> = identity::load(&dir.identity_path(), SecretKind::Identity)?;
    let tls = TlsIdentity::from_seed(&seed)?;
    let node_id = tls.node_id();
    let doors = open_doors(dir, config)?;
    let sockets = Sockets::bind(dir, config)?;
    let addresses = advertised(config, sockets.mesh.local_addr()?)?;
    let invite_secret = load_invite_secret(dir, config)?;
    let invite = invite_secret
        .clone()
        .map(|secret| Invite::new(node_id, addresses.clone(), secret))
        .transpose()?;
    let run_file = run_file(config, node_id, &sockets, invite.as_ref())?;

    let clock = SystemClock::handle();
    let own = own_facts(config, node_id, &addresses);
    let services = services::prepare(dir, config, &seed, addresses, invite_secret, &clock)?;
    let access = MeshAccess::new(node_id, services.directory());
    let mesh = access.handle();
    let view = view(&own, &mesh, &clock, &services);
    let Behind {
        transfers,
        drive,
        healer,
        children: above,
    } = behind::start(config, &own, &mesh, &clock, &services)?;
    let operated = operated(dir, &services, &view, healer, &clock);
    let Wired {
        admission,
        router,
        listeners,
        children,
    } = services.wire(&mesh);
    announce_metrics(config, &clock);
    let parts = NodeParts {
        identity: tls,
        roles: wire_roles(&config.roles),
        clock,
        access,
        admission,
        router,
        listeners,
        below: children,
        above,
        socket: sockets.mesh,
        limits: MeshLimits::default(),
        seed: *random_secret()?,
    };
    let node = Node::start(parts).await?;
    actix_rt::spawn(Arc::clone(&view).keep_looking());

    let probes = web::Data::new(probes(dir, &view, node.health(), recorder));
    let behind = transfers.clone().zip(drive);
    let gateway = start_http(dir, config, sockets.gateway, behind, &view, &probes, doors)?;
    let probes = server::start_probes(sockets.metrics, probes)?;
    let control = Control::start(dir, operated);
    Ok(Running {
        run_file,
        node,
        view,
        transfers,
        gateway,
        probes,
        control,
    })
}

impl Running {
    /// What to tell those who may read the node's directory.
    pub(crate) fn run_file(&self) -> &RunFile {
        &self.run_file
    }

    /// Resolves when something broke that only a fresh process can mend.
    pub(crate) async fn failed(&self) -> NodeFailure {
        self.node.failed().await
    }

    /// Stops everything in order. Never fails: what does not end in time is left to the end of the process.
    pub(crate) async fn stop(self, drain: Duration) {
        self.view.set_stopping();
        drop(self.control);
        // A storage node has nothing but repairs, which others do as well.
        let drain = if self.gateway.is_some() {
            drain
        } else {
            Duration::ZERO
        };
        let transfers = async {
            match &self.transfers {
                Some(transfers) => transfers.drain(drain).await,
                None => 0,
            }
        };
        if let Some(RunningGateway { state, server, drive }) = self.gateway {
            state.close();
            // The server ends when the answers of the transfers are out; both have the same deadline.
            let (cancelled, changes, stopped) =
                tokio::join!(transfers, drive.drain(drain), server.stop(true));
            let cancelled = cancelled + changes;
            if cancelled > 0 {
                tracing::warn!(
                    cancelled,
                    "transfers or changes were still under way and have been cancelled"
                );
            }
            log_stop("gateway", stopped);
        } else {
            transfers.await;
        }
        for child in self.node.stop().await {
            tracing::warn!(child = %child, "did not end in time");
        }
        log_stop("probes", self.probes.stop(false).await);
    }
}

fn log_stop(server: &'static str, stopped: std::io::Result<()>) {
    if let Err(error) = stopped {
        tracing::warn!(server, "http server ended badly: {error}");
    }
}

fn view(own: &OwnFacts, mesh: &MeshHandle, clock: &ClockHandle, services: &Services) -> Arc<MeshView> {
    let membership = services.membership();
    let admitted = Box::new(move || membership.has_grant());
    let view = MeshView::new(own.clone(), mesh.clone(), Arc::clone(clock), admitted);
    Arc::new(view.with_vdrive(services.vdrive_health()))
}

/// What the operator may ask about.
fn operated(
    dir: &NodeDir,
    services: &Services,
    view: &Arc<MeshView>,
    healer: Option<HealerHandle>,
    clock: &ClockHandle,
) -> Operated {
    let drain = |store| Drain::new(dir, store, healer, Arc::clone(clock));
    Operated {
        membership: services.membership(),
        view: Arc::clone(view) as _,
        drain: services.store().map(drain),
    }
}

fn run_file(
    config: &Config,
    node_id: NodeId,
    sockets: &Sockets,
    invite: Option<&Invite>,
) -> Result<RunFile, RunError> {
    let http = sockets
        .gateway
        .as_ref()
        .map(TcpListener::local_addr)
        .transpose()?;
    let tls = config
        .gateway
        .as_ref()
        .is_some_and(|gateway| gateway.doors.tls.is_some());
    let scheme = if tls { "https" } else { "http" };
    Ok(RunFile {
        pid: std::process::id(),
        node_id: node_id.to_base32(),
        nickname: config.nickname.clone(),
        roles: config.roles.clone(),
        mesh: sockets.mesh.local_addr()?,
        http: http.map(|address| format!("{scheme}://{address}")),
        metrics: Some(sockets.metrics.local_addr()?),
        invite: invite.map(|invite| invite.to_text().as_str().to_owned()),
    })
}

/// Reads the token and the certificates of the gateway, and says what is left open.
fn open_doors(dir: &NodeDir, config: &Config) -> Result<OpenedDoors, RunError> {
    let Some(gateway) = &config.gateway else {
        return Ok(OpenedDoors::default());
    };
    let doors = OpenedDoors::open(dir, &gateway.doors)?;
    let expires = doors.tls.as_ref().and_then(|tls| tls.expires);
    gauge!(names::GATEWAY_CERTIFICATE_EXPIRES_SECONDS).set(expires.unwrap_or(0) as f64);
    if !gateway.listen.ip().is_loopback() {
        if doors.token.is_none() {
            tracing::warn!(listen = %gateway.listen, "whoever reaches the gateway may use it");
        } else if doors.tls.is_none() {
            tracing::warn!(listen = %gateway.listen, "the access token travels in the clear unless a proxy adds TLS");
        }
    }
    Ok(doors)
}

fn own_facts(config: &Config, node_id: NodeId, addresses: &[Address]) -> OwnFacts {
    OwnFacts {
        node_id,
        nickname: config.nickname.clone(),
        roles: config.roles.clone(),
        zone: config.zone.clone(),
        address: addresses.first().map(ToString::to_string).unwrap_or_default(),
        happy: config.gateway.as_ref().map(|gateway| gateway.encoding.happy()),
    }
}

/// What health, readiness and metrics are made of; also keeps the recorder's buffers small.
fn probes(dir: &NodeDir, view: &Arc<MeshView>, health: &Health, recorder: PrometheusHandle) -> Probes {
    let dir = dir.path().to_owned();
    let upkeep = recorder.clone();
    actix_rt::spawn(async move {
        loop {
            tokio::time::sleep(recorder::UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    let render = Box::new(move || {
        recorder::measure_process(&dir);
        recorder.render()
    });
    Probes {
        view: Arc::clone(view) as _,
        alive: Arc::new(NodeHealth(health.clone())),
        render,
    }
}

/// What is told to others: what the configuration says, else where the node listens.
fn advertised(config: &Config, bound: SocketAddr) -> Result<Vec<Address>, RunError> {
    let mut texts = config.advertise.clone();
    if texts.is_empty() {
        texts.push(bound.to_string());
    }
    let parsed: Result<Vec<Address>, _> = texts.iter().map(|text| Address::parse(text)).collect();
    Ok(parsed?)
}

fn load_invite_secret(dir: &NodeDir, config: &Config) -> Result<Option<InviteSecret>, RunError> {
    if !config.roles.contains(&Role::Introducer) {
        return Ok(None);
    }
    let secret: Secret<{ InviteSecret::BYTES }> =
        identity::load_or_create(&dir.invite_secret_path(), SecretKind::Invite)?;
    Ok(Some(InviteSecret::from_bytes(*secret)))
}

/// The gateway's HTTP side, if the node has that role.
fn start_http(
    dir: &NodeDir,
    config: &Config,
    socket: Option<TcpListener>,
    behind: Option<(Transfers, Drive)>,
    view: &Arc<MeshView>,
    probes: &web::Data<Probes>,
    doors: OpenedDoors,
) -> Result<Option<RunningGateway>, RunError> {
    let (Some(gateway), Some(socket), Some((transfers, drive))) = (&config.gateway, socket, behind) else {
        return Ok(None);
    };
    let state = web::Data::new(gateway_state(
        dir,
        config,
        gateway.encoding,
        &transfers,
        &drive,
        view,
    )?);
    let server = server::start_gateway(socket, state.clone(), probes.clone(), gateway.workers, doors)?;
    Ok(Some(RunningGateway { state, server, drive }))
}

fn gateway_state(
    dir: &NodeDir,
    config: &Config,
    encoding: truckee_grid::params::Encoding,
    transfers: &Transfers,
    drive: &Drive,
    view: &Arc<MeshView>,
) -> Result<Gateway, RunError> {
    let path = dir.convergence_secret_path();
    let convergence: Secret<32> = identity::load_or_create(&path, SecretKind::Convergence)?;
    let behind = http::Behind {
        transfers: Arc::new(transfers.clone()),
        drive: Arc::new(drive.clone()),
        checker: Arc::new(transfers.clone()),
        view: Arc::clone(view) as _,
    };
    Ok(Gateway::new(
        behind,
        encoding,
        config.limits.clone(),
        ConvergenceSecret::from_bytes(*convergence),
        dir.path().to_owned(),
    ))
}

fn announce_metrics(config: &Config, clock: &ClockHandle) {
    let roles: Vec<&str> = config.roles.iter().map(|role| role.word()).collect();
    gauge!(names::NODE_INFO, "version" => software(), "roles" => roles.join(",")).set(1.0);
    gauge!(names::NODE_START_SECONDS).set(clock.unix().as_secs() as f64);
    if let Some(gateway) = &config.gateway {
        let coding = gateway.encoding.coding();
        gauge!(names::GATEWAY_SHARES_NEEDED).set(coding.k() as f64);
        gauge!(names::GATEWAY_SHARES_MADE).set(coding.n() as f64);
        gauge!(names::GATEWAY_PEERS_HAPPY).set(gateway.encoding.happy() as f64);
    }
    // What has not counted yet would be missing from the first scrapes.
    names::start_at_zero(names::EVERYWHERE);
    if config.gateway.is_some() {
        names::start_at_zero(names::OF_GATEWAYS);
    }
    if config.storage.is_some() {
        names::start_at_zero(names::OF_STORES);
    }
    if config.vdrive.is_some() {
        names::start_at_zero(names::OF_VDRIVES);
    }
    actix_rt::spawn(recorder::watch_lag("mesh"));
}

/// Health as the root supervisor sees it.
struct NodeHealth(Health);

impl Alive for NodeHealth {
    fn is_alive(&self) -> bool {
        self.0.unresponsive().is_some_and(|children| children.is_empty())
    }
}

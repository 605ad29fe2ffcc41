//! What stands behind the HTTP side of a gateway and the healing of a storage node: the CPU pool, transfers, the drive, and
//! the healer.

use std::num::NonZeroU64;
use std::sync::Arc;

use metrics::gauge;
use truckee_actors::call::MeshHandle;
use truckee_actors::clock::ClockHandle;
use truckee_actors::cpu::{CpuHandle, QUEUE_JOBS_MAX, ThreadPool};
use truckee_actors::drive::{Drive, DriveConfig, Limits as DriveLimits};
use truckee_actors::heal::{Healer, HealerHandle, HealerStart};
use truckee_actors::metrics as names;
use truckee_actors::supervise::{ChildSpec, Slot};
use truckee_actors::transfers::{EngineChoice, Transfers, TransfersConfig};
use truckee_actors::trim::{Trimmer, TrimmerStart};
use truckee_engine::heal::Config as HealerConfig;
use truckee_engine::trim::Config as TrimConfig;
use truckee_grid::engines::{Check, ERASURE, EngineStatus, Engines};
use truckee_grid::erasure::ErasureChoice;
use truckee_grid::placement::Candidate;

use crate::config::{Config, ErasureEngine, HealConfig};
use crate::identity::random_secret;
use crate::run::RunError;
use crate::services::Services;
use crate::view::OwnFacts;

/// See the module.
pub(crate) struct Behind {
    /// Of gateways and storage nodes.
    pub(crate) transfers: Option<Transfers>,
    /// Of gateways.
    pub(crate) drive: Option<Drive>,
    /// Of storage nodes that heal.
    pub(crate) healer: Option<HealerHandle>,
    /// Actors for the node's supervisor, to be started when there is a mesh.
    pub(crate) children: Vec<ChildSpec>,
}

impl Behind {
    /// Adds what looks after the shares of all.
    fn heal(
        &mut self,
        heal: &HealConfig,
        own: &OwnFacts,
        mesh: &MeshHandle,
        clock: &ClockHandle,
        transfers: &Transfers,
        services: &Services,
    ) {
        let slot = services.trimmer();
        if let Some((child, handle)) = healer(heal, own, mesh, clock, transfers, &slot) {
            self.children.push(child);
            self.healer = Some(handle);
        }
        self.children
            .extend(trimmer(heal, own, mesh, clock, transfers, services, &slot));
    }
}

/// Starts what the roles of the node need.
pub(crate) fn start(
    config: &Config,
    own: &OwnFacts,
    mesh: &MeshHandle,
    clock: &ClockHandle,
    services: &Services,
) -> Result<Behind, RunError> {
    let mut behind = Behind {
        transfers: None,
        drive: None,
        healer: None,
        children: Vec::new(),
    };
    if config.gateway.is_none() && config.storage.is_none() {
        return Ok(behind);
    }
    let engines = choose_engines(config)?;
    let cpu = CpuHandle::new(ThreadPool::start(config.limits.cpu_threads, QUEUE_JOBS_MAX)?);
    if config.gateway.is_some() {
        let drive = DriveConfig {
            mesh: mesh.clone(),
            cpu: cpu.clone(),
            clock: Arc::clone(clock),
            directory: services.directory(),
            own: config.vdrive.is_some().then_some(own.node_id),
            limits: DriveLimits::default(),
        };
        let (drive, child) = Drive::prepare(drive, *random_secret()?);
        behind.drive = Some(drive);
        behind.children.push(child);
    }
    let transfers = Transfers::start(TransfersConfig {
        mesh: mesh.clone(),
        cpu,
        clock: Arc::clone(clock),
        engines,
        directory: services.directory(),
        own: config.storage.is_some().then(|| Candidate {
            id: own.node_id,
            zone: own.zone.clone(),
        }),
        upload_bytes: config.limits.upload_bytes as usize,
        download_bytes: config.limits.download_bytes as usize,
    });
    if let Some(heal) = &config.heal {
        behind.heal(heal, own, mesh, clock, &transfers, services);
    }
    behind.transfers = Some(transfers);
    Ok(behind)
}

fn healer(
    heal: &HealConfig,
    own: &OwnFacts,
    mesh: &MeshHandle,
    clock: &ClockHandle,
    transfers: &Transfers,
    trimmer: &Slot<Trimmer>,
) -> Option<(ChildSpec, HealerHandle)> {
    let Some(bytes_per_second) = NonZeroU64::new(heal.bytes_per_second) else {
        tracing::warn!("this node makes no missing shares again: heal.bytes_per_second is 0");
        return None;
    };
    Some(Healer::child(HealerStart {
        config: HealerConfig {
            own: own.node_id,
            grace: heal.grace,
            round_every: heal.round,
            settle: heal.settle,
            repairs_max: heal.repairs,
            surplus_every: heal.surplus_every,
            placing_every: heal.placing_every,
        },
        zone: own.zone.clone(),
        bytes_per_second,
        mesh: mesh.clone(),
        transfers: transfers.clone(),
        trimmer: trimmer.clone(),
        clock: Arc::clone(clock),
    }))
}

/// Also where nothing is trimmed now: what earlier settings have put into the trash goes after its days.
fn trimmer(
    heal: &HealConfig,
    own: &OwnFacts,
    mesh: &MeshHandle,
    clock: &ClockHandle,
    transfers: &Transfers,
    services: &Services,
    slot: &Slot<Trimmer>,
) -> Option<ChildSpec> {
    let bytes_per_second = NonZeroU64::new(heal.bytes_per_second)?;
    let start = TrimmerStart {
        config: TrimConfig {
            own: own.node_id,
            grace: heal.surplus_grace,
            bytes_per_second,
        },
        moved_bytes_per_second: heal.placing_bytes_per_second,
        trash_days: heal.trash_days,
        mesh: mesh.clone(),
        transfers: transfers.clone(),
        store: services.store()?,
        clock: Arc::clone(clock),
    };
    Some(Trimmer::child(start, slot))
}

/// Has the engines chosen, each checked against its reference, and said which: for a gateway now, so that one that cannot
/// code as it was told does not start; for other nodes those of the erasure code when a share is first made again.
fn choose_engines(config: &Config) -> Result<EngineChoice, RunError> {
    let Some(gateway) = &config.gateway else {
        // Sealing and hashing alone: the reference needs no check, and no tables.
        let now = Engines::select(ErasureChoice::Novelpoly)?;
        let others = now.report().into_iter().filter(|status| status.what != ERASURE);
        others.for_each(|status| say(&status));
        gauge!(names::CODEC_FALLBACK, "codec" => ERASURE).set(0.0);
        return Ok(EngineChoice::when_needed(choose_late));
    };
    let engines = Engines::select(match gateway.erasure {
        ErasureEngine::Auto => ErasureChoice::Auto,
        ErasureEngine::Simd => ErasureChoice::Simd,
        ErasureEngine::Novelpoly => ErasureChoice::Novelpoly,
    })?;
    engines.report().iter().for_each(say);
    Ok(EngineChoice::made(engines))
}

fn choose_late() -> Engines {
    let engines = Engines::select(ErasureChoice::Auto).unwrap_or_else(|error| {
        tracing::error!(%error, "the reference codes instead");
        Engines::reference()
    });
    let erasure = engines.report().into_iter().find(|status| status.what == ERASURE);
    erasure.iter().for_each(say);
    engines
}

/// Logs and exports which engine is used.
fn say(status: &EngineStatus) {
    let fell_back = status.check == Check::Differ;
    gauge!(names::CODEC_FALLBACK, "codec" => status.what).set(if fell_back { 1.0 } else { 0.0 });
    if fell_back {
        tracing::warn!(
            codec = status.what,
            engine = status.engine,
            "the fast engine failed its check"
        );
    } else {
        tracing::info!(
            codec = status.what,
            engine = status.engine,
            check = status.check.name(),
            "engine"
        );
    }
}

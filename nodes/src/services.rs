//! What serves the requests of peers: membership on every node, the share store on those that hold shares, the vdrive on
//! those that keep directories.
//!
//! Prepared before the node starts, so that a roster or a store that is not in order is an error of the start and not
//! of a child that is restarted over and over.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use truckee_actors::call::MeshHandle;
use truckee_actors::clock::ClockHandle;
use truckee_actors::directory::DirectoryWatch;
use truckee_actors::gc::{Collector, CollectorStart};
use truckee_actors::inbound::{Admission, LinkListener, Router};
use truckee_actors::membership::{Membership, MembershipHandle, MembershipStart, Prepared};
use truckee_actors::scrub::{Scrubber, ScrubberStart};
use truckee_actors::store::{Disk, DiskPool, PackedDisk, PoolConfig, ShareStore, ShareStoreHandle};
use truckee_actors::supervise::{ChildSpec, Slot};
use truckee_actors::trim::Trimmer;
use truckee_actors::vdrive::sql::DatabaseUrl;
use truckee_actors::vdrive::{Vdrive, VdriveHealth};
use truckee_engine::invite::{Address, InviteSecret};
use truckee_engine::membership::{IntroducerConfig, OwnFacts};
use truckee_engine::scrub::ScrubConfig;
use truckee_engine::store::{Limits, StoreConfig};

use crate::config::{Config, GcConfig, StorageConfig, VdriveConfig, VdriveDatabase};
use crate::dir::NodeDir;
use crate::drain;
use crate::identity::{Secret, random_secret};
use crate::run::RunError;
use crate::view::{software, wire_roles};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ready to be started.
pub(crate) struct Services {
    membership: Prepared,
    store: Option<OpenedStore>,
    vdrive: Option<(ChildSpec, Slot<Vdrive>)>,
    vdrive_health: VdriveHealth,
    trimmer: Slot<Trimmer>,
}

/// The share store and what looks after it.
struct OpenedStore {
    child: ChildSpec,
    slot: Slot<ShareStore>,
    /// None if nothing is to be read back.
    scrubber: Option<ChildSpec>,
    collector: ChildSpec,
}

/// How they hang together with the node's actors.
pub(crate) struct Wired {
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) router: Router,
    pub(crate) listeners: Vec<Arc<dyn LinkListener>>,
    pub(crate) children: Vec<ChildSpec>,
}

/// Reads the roster and opens the store. Blocks for as long as the disk takes.
pub(crate) fn prepare(
    dir: &NodeDir,
    config: &Config,
    seed: &Secret<32>,
    addresses: Vec<Address>,
    invite_secret: Option<InviteSecret>,
    clock: &ClockHandle,
) -> Result<Services, RunError> {
    let introducer = invite_secret
        .zip(config.introducer.as_ref())
        .map(|(secret, introducer)| IntroducerConfig {
            secret,
            grant_term: DAY * introducer.grant_days,
        });
    let membership = Membership::prepare(MembershipStart {
        roster_path: dir.roster_path(),
        seed,
        facts: OwnFacts {
            nickname: config.nickname.clone(),
            addresses,
            roles: wire_roles(&config.roles),
            zone: config.zone.clone(),
            software: software(),
        },
        invites: config.invites.clone(),
        introducer,
        clock: Arc::clone(clock),
    })?;
    let store = config
        .storage
        .as_ref()
        .zip(config.gc)
        .map(|(storage, gc)| open_store(dir, storage, gc, clock))
        .transpose()?;
    let vdrive_health = VdriveHealth::default();
    let vdrive = config
        .vdrive
        .as_ref()
        .map(|vdrive| open_vdrive(dir, vdrive, clock, &vdrive_health))
        .transpose()?;
    Ok(Services {
        membership,
        store,
        vdrive,
        vdrive_health,
        trimmer: Slot::new(),
    })
}

fn open_store(
    dir: &NodeDir,
    storage: &StorageConfig,
    gc: GcConfig,
    clock: &ClockHandle,
) -> Result<OpenedStore, RunError> {
    let (disk, start) = PackedDisk::open(dir.path())?;
    let disk = disk.with_page_cache(storage.page_cache_bytes);
    let disk = if storage.packs {
        disk
    } else {
        disk.without_new_packs()
    };
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let pool = DiskPool::start(&disk, PoolConfig::default())?;
    let config = StoreConfig {
        quota_bytes: storage.quota_bytes.unwrap_or(u64::MAX),
        reserve_bytes: storage.reserve_bytes,
        epoch: u64::from_be_bytes(*random_secret()?).max(1),
        draining: drain::is_marked(dir)?,
        software: software(),
        limits: Limits::default(),
    };
    let slot = Slot::new();
    let child = ShareStore::child(config, pool, start, Arc::clone(clock), &slot);
    let scrubber = open_scrubber(dir, storage, clock, &slot)?;
    let collector = Collector::child(CollectorStart {
        config: gc,
        state: dir.gc_path(),
        store: ShareStoreHandle::new(&slot),
        clock: Arc::clone(clock),
    });
    Ok(OpenedStore {
        child,
        slot,
        scrubber,
        collector,
    })
}

fn open_scrubber(
    dir: &NodeDir,
    storage: &StorageConfig,
    clock: &ClockHandle,
    store: &Slot<ShareStore>,
) -> Result<Option<ChildSpec>, RunError> {
    let Some(rate) = NonZeroU64::new(storage.scrub_bytes_per_second) else {
        tracing::warn!(
            "shares are not read back, so that damage to them is found only when they are asked for: \
             storage.scrub_bytes_per_second is 0"
        );
        return Ok(None);
    };
    let chance = random_secret()?;
    let start = ScrubberStart {
        config: ScrubConfig::new(rate, DAY * storage.scrub_round_days),
        place: dir.scrub_path(),
        store: Arc::new(ShareStoreHandle::new(store)),
        clock: Arc::clone(clock),
        chance: u64::from_le_bytes(*chance),
    };
    Ok(Some(Scrubber::child(start)))
}

/// The database is reached later, and again whenever it was away.
fn open_vdrive(
    dir: &NodeDir,
    vdrive: &VdriveConfig,
    clock: &ClockHandle,
    health: &VdriveHealth,
) -> Result<(ChildSpec, Slot<Vdrive>), RunError> {
    let url = match &vdrive.database {
        VdriveDatabase::Sqlite => DatabaseUrl::sqlite(&dir.drive_path()),
        VdriveDatabase::Postgres(url) => url.clone(),
    };
    let slot = Slot::new();
    let child = Vdrive::child(&url, Arc::clone(clock), health.clone(), &slot)?;
    Ok((child, slot))
}

impl Services {
    /// Whether the vdrive can serve; without that role, never in trouble.
    pub(crate) fn vdrive_health(&self) -> VdriveHealth {
        self.vdrive_health.clone()
    }

    /// The share store, if the node has one.
    pub(crate) fn store(&self) -> Option<ShareStoreHandle> {
        let store = self.store.as_ref()?;
        Some(ShareStoreHandle::new(&store.slot))
    }

    /// Where the one is that parts with copies of shares, if it runs.
    pub(crate) fn trimmer(&self) -> Slot<Trimmer> {
        self.trimmer.clone()
    }

    /// Knows the roster.
    pub(crate) fn membership(&self) -> MembershipHandle {
        self.membership.handle.clone()
    }

    /// The members of the mesh, as they come and go.
    pub(crate) fn directory(&self) -> DirectoryWatch {
        self.membership.handle.directory()
    }

    /// Ties them to each other and to the mesh.
    pub(crate) fn wire(self, mesh: &MeshHandle) -> Wired {
        let members = self.membership.slot.clone();
        let admission = Arc::new(self.membership.handle.clone());
        let mut router = Router::new().with_members(members.clone());
        let mut listeners: Vec<Arc<dyn LinkListener>> = vec![Arc::new(members)];
        let mut children = vec![self.membership.child(mesh.clone())];
        if let Some(store) = self.store {
            router = router.with_shares(store.slot.clone()).with_parting(self.trimmer);
            listeners.push(Arc::new(store.slot));
            // Started after the store, and so stopped before it.
            children.push(store.child);
            children.extend(store.scrubber);
            children.push(store.collector);
        }
        if let Some((child, drive)) = self.vdrive {
            router = router.with_drive(drive);
            children.push(child);
        }
        Wired {
            admission,
            router,
            listeners,
            children,
        }
    }
}

//! What an operator writes down for one node: `truckee.toml` in the node's directory.
//!
//! Every value is checked when the file is read and all errors are reported at once, each with its line and key; a
//! [`Config`] that exists is valid. Keys that nobody knows are errors, so that a misspelt limit is not a limit lost.
//! Changes on disk are seen at the next start only.

mod doors;
mod gc;
mod heal;
mod limits;
mod problem;
mod reader;
mod trace;
mod value;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use truckee_actors::store::PAGE_CACHE_BYTES_DEFAULT;
use truckee_actors::vdrive::sql::DatabaseUrl;
use truckee_engine::invite::Invite;
use truckee_grid::params::{Coding, Encoding, ParamsError, check_segment_bytes};

pub use doors::{Doors, TlsFiles};
pub use heal::HealConfig;
pub use limits::Limits;
pub use problem::{ConfigError, ConfigErrors, Problem};
pub use trace::TraceConfig;
pub use truckee_engine::gc::GcConfig;

use crate::dir::NodeDir;
use crate::role::Role;
use reader::{Reader, Section};
use value::{Bounded, ByteCount, HostPort, List, Name, Word};

/// A configuration fits on a few pages; a megabyte of it is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The wire's bound for nicknames and zones.
const NAME_BYTES_MAX: usize = 64;
/// The wire's bound for addresses of one node.
const ADVERTISE_MAX: usize = 8;
/// More introducers than any mesh has; each costs a link.
const INVITES_MAX: usize = 16;

/// Default of `gateway.listen`: where clients of this kind of store look by default.
pub const GATEWAY_LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3456);
/// Default of `listen` and `metrics.listen`: loopback, a free port that is kept from the first start on.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name for people; at most 64 bytes.
    pub nickname: String,
    /// What the node does; at least one, none twice.
    pub roles: Vec<Role>,
    /// Where peers are listened for. Port 0: chosen at the first start and kept.
    pub listen: SocketAddr,
    /// `host:port` under which peers can dial this node; empty: the address listened on.
    pub advertise: Vec<String>,
    /// Shares of a file are spread over zones first (a rack, a house, a country).
    pub zone: String,
    /// Introducers to join, each with its secret.
    pub invites: Vec<Invite>,
    /// Present exactly when the role gateway is.
    pub gateway: Option<GatewayConfig>,
    /// Present exactly when the role storage is.
    pub storage: Option<StorageConfig>,
    /// Present exactly when the role storage is.
    pub heal: Option<HealConfig>,
    /// Present exactly when the role storage is.
    pub gc: Option<GcConfig>,
    /// Present exactly when the role vdrive is.
    pub vdrive: Option<VdriveConfig>,
    /// Present exactly when the role introducer is.
    pub introducer: Option<IntroducerConfig>,
    /// Logging.
    pub log: LogConfig,
    /// Export of spans.
    pub trace: TraceConfig,
    /// Where `/metrics`, `/healthz` and `/readyz` are served. Port 0: chosen at the first start and kept.
    pub metrics_listen: SocketAddr,
    /// Bounds on work under way.
    pub limits: Limits,
}

/// Section `[gateway]`.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayConfig {
    /// Where HTTP clients are listened for.
    pub listen: SocketAddr,
    /// k, n, happy and the segment length of uploads that do not say otherwise.
    pub encoding: Encoding,
    /// Which erasure engine codes.
    pub erasure: ErasureEngine,
    /// Threads that serve HTTP.
    pub workers: usize,
    /// Who may use it, and TLS.
    pub doors: Doors,
}

/// Section `[storage]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// Bytes of shares to hold at most; none: only the disk bounds them.
    pub quota_bytes: Option<u64>,
    /// Bytes of the disk that new shares leave free.
    pub reserve_bytes: u64,
    /// How much of the shares is read back and checked in a second, on average; 0: nothing.
    pub scrub_bytes_per_second: u64,
    /// Reading all of them back takes so many days at least.
    pub scrub_round_days: u32,
    /// Whether short shares are kept together in packs, and not in a file each.
    pub packs: bool,
    /// Bytes of shares in files of their own that stay in the system's page cache after they were written.
    pub page_cache_bytes: u64,
}

/// Section `[vdrive]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VdriveConfig {
    /// Where directories are kept.
    pub database: VdriveDatabase,
}

/// Value of `vdrive.database`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VdriveDatabase {
    /// A file in the node's directory.
    Sqlite,
    /// A server, by its URL, which may hold a password.
    Postgres(DatabaseUrl),
}

/// Section `[introducer]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntroducerConfig {
    /// How long a grant admits its node; it renews its grant long before.
    pub grant_days: u32,
}

/// Section `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Form of a line.
    pub format: LogFormat,
    /// Least level that is written.
    pub level: LogLevel,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Least level that is written to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the usual five")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Value of `gateway.erasure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureEngine {
    /// The fast engine if it agrees with the reference at start, else the reference.
    Auto,
    /// The fast engine.
    Simd,
    /// The reference engine.
    Novelpoly,
}

impl Word for LogFormat {
    const ALL: &'static [(&'static str, Self)] = &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
    const EXPECTED: &'static str = "\"pretty\" or \"json\"";
}

impl Word for LogLevel {
    const ALL: &'static [(&'static str, Self)] = &[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    const EXPECTED: &'static str = "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
}

impl Word for ErasureEngine {
    const ALL: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("simd", Self::Simd),
        ("novelpoly", Self::Novelpoly),
    ];
    const EXPECTED: &'static str = "\"auto\", \"simd\" or \"novelpoly\"";
}

impl Word for Role {
    const ALL: &'static [(&'static str, Self)] = &[
        ("introducer", Role::Introducer),
        ("storage", Role::Storage),
        ("vdrive", Role::Vdrive),
        ("gateway", Role::Gateway),
    ];
    const EXPECTED: &'static str = "\"introducer\", \"storage\", \"vdrive\" or \"gateway\"";
}

impl LogFormat {
    /// As written in the file.
    pub fn word(self) -> &'static str {
        value::word_of(self)
    }
}

impl LogLevel {
    /// As written in the file.
    pub fn word(self) -> &'static str {
        value::word_of(self)
    }
}

impl Config {
    /// Reads and checks `truckee.toml` in a node's directory.
    ///
    /// # Errors
    /// All that is wrong with the file, each with its line and key.
    pub fn load(dir: &Path) -> Result<Config, ConfigErrors> {
        let path = NodeDir::new(dir).config_path();
        let text = read_bounded(&path).map_err(|problem| ConfigErrors {
            path: path.clone(),
            errors: vec![ConfigError {
                line: 0,
                key: String::new(),
                problem,
            }],
        })?;
        Config::parse(&text).map_err(|errors| ConfigErrors { path, errors })
    }

    /// Checks the text of a configuration.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of its lines.
    pub fn parse(text: &str) -> Result<Config, Vec<ConfigError>> {
        let (mut reader, table) = Reader::new(text);
        let mut root = reader.root(&table);
        let config = read_root(&mut reader, &mut root);
        reader.finish(&root);
        let errors = reader.into_errors();
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }
}

fn read_bounded(path: &Path) -> Result<String, Problem> {
    let unreadable = |error: std::io::Error| Problem::Unreadable(error.kind());
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Problem::TooLong {
            got: length,
            max: FILE_BYTES_MAX,
        });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

fn read_root<'i>(reader: &mut Reader<'i>, root: &mut Section<'_, 'i>) -> Config {
    let nickname: Name<NAME_BYTES_MAX> = reader.required(root, "nickname");
    let roles = read_roles(reader, root);
    let listen = reader.or(root, "listen", LISTEN_DEFAULT);
    let advertise: List<HostPort, ADVERTISE_MAX> = reader.or(root, "advertise", List::default());
    let zone: Name<NAME_BYTES_MAX> = reader.or(root, "zone", Name::default());
    let invites: List<Invite, INVITES_MAX> = reader.or(root, "invites", List::default());
    if listen.ip().is_unspecified() && advertise.0.is_empty() {
        let line = reader.line(root, "listen");
        reader.report(line, "advertise".to_owned(), Problem::AdvertiseNeeded);
    }
    if invites.0.is_empty() && !roles.is_empty() && !roles.contains(&Role::Introducer) {
        let line = reader.line(root, "invites");
        reader.report(line, "invites".to_owned(), Problem::InviteNeeded);
    }
    Config {
        nickname: nickname.0,
        listen,
        advertise: advertise.0.into_iter().map(|address| address.0).collect(),
        zone: zone.0,
        invites: invites.0,
        gateway: read_gateway(reader, root, &roles),
        storage: read_storage(reader, root, &roles),
        heal: heal::read(reader, root, roles.contains(&Role::Storage)),
        gc: gc::read(reader, root, roles.contains(&Role::Storage)),
        vdrive: read_vdrive(reader, root, &roles),
        introducer: read_introducer(reader, root, &roles),
        log: read_log(reader, root),
        trace: trace::read(reader, root),
        metrics_listen: read_metrics(reader, root),
        limits: limits::read(reader, root),
        roles,
    }
}

fn read_roles<'i>(reader: &mut Reader<'i>, root: &mut Section<'_, 'i>) -> Vec<Role> {
    let roles: List<Role, 4> = reader.required(root, "roles");
    let line = reader.line(root, "roles");
    if root.is_empty_list("roles") {
        reader.report(line, "roles".to_owned(), Problem::NoRole);
    }
    for (position, role) in roles.0.iter().enumerate() {
        if roles.0[..position].contains(role) {
            reader.report(line, "roles".to_owned(), Problem::Twice(role.to_string()));
        }
    }
    roles.0
}

/// The section if its role is there; a section without its role is reported.
fn role_section<'a, 'i>(
    reader: &mut Reader<'i>,
    root: &mut Section<'a, 'i>,
    name: &'static str,
    has_role: bool,
) -> Option<Section<'a, 'i>> {
    let section = reader.section(root, name);
    if has_role {
        return Some(section);
    }
    if section.is_present() {
        reader.report(section.line(), name.to_owned(), Problem::RoleAbsent(name));
    }
    None
}

fn read_gateway<'i>(
    reader: &mut Reader<'i>,
    root: &mut Section<'_, 'i>,
    roles: &[Role],
) -> Option<GatewayConfig> {
    let mut section = role_section(reader, root, "gateway", roles.contains(&Role::Gateway))?;
    let section = &mut section;
    let default = Encoding::default();
    let listen = reader.or(section, "listen", GATEWAY_LISTEN_DEFAULT);
    // Wide bounds here: what fits together is checked below, in one place for files and requests alike.
    let k: Bounded<0, 65_535> = reader.or(section, "k", Bounded(default.coding().k() as u64));
    let n: Bounded<0, 65_535> = reader.or(section, "n", Bounded(default.coding().n() as u64));
    let happy: Bounded<0, 65_535> = reader.or(section, "happy", Bounded(default.happy() as u64));
    let segment = ByteCount(u64::from(default.segment_bytes()));
    let segment_bytes: ByteCount = reader.or(section, "segment_bytes", segment);
    let encoding = encoding(k.0, n.0, happy.0, segment_bytes.0).unwrap_or_else(|error| {
        let line = ["k", "n", "happy", "segment_bytes"]
            .into_iter()
            .map(|key| reader.line(section, key))
            .max();
        reader.report(
            line.unwrap_or_default(),
            "gateway".to_owned(),
            Problem::Encoding(error),
        );
        default
    });
    let erasure = reader.or(section, "erasure", ErasureEngine::Auto);
    let workers: Bounded<1, 64> = reader.or(section, "workers", Bounded(default_workers()));
    let doors = doors::read(reader, section, listen);
    reader.finish(section);
    Some(GatewayConfig {
        listen,
        encoding,
        erasure,
        workers: workers.0 as usize,
        doors,
    })
}

/// The one place where numbers that somebody typed become an encoding.
pub(crate) fn encoding(k: u64, n: u64, happy: u64, segment_bytes: u64) -> Result<Encoding, ParamsError> {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let coding = Coding::new(small(k), small(n))?;
    Encoding::new(coding, small(happy), check_segment_bytes(segment_bytes)?)
}

/// HTTP work is copying; four threads of it outrun what one node can code and send.
fn default_workers() -> u64 {
    const WORKERS_MAX: u64 = 4;
    std::thread::available_parallelism()
        .map_or(1, |count| count.get() as u64)
        .min(WORKERS_MAX)
}

fn read_storage<'i>(
    reader: &mut Reader<'i>,
    root: &mut Section<'_, 'i>,
    roles: &[Role],
) -> Option<StorageConfig> {
    // Room for the operating system's own files on a disk that the shares have filled.
    const RESERVE_BYTES_DEFAULT: ByteCount = ByteCount(1 << 30);
    // A full disk of four terabytes is read in a month and a half, at a hundredth of its speed; a laptop hashes as much in
    // a few milliseconds.
    const SCRUB_BYTES_DEFAULT: ByteCount = ByteCount(1 << 20);
    // As file systems that scrub themselves do; the disk of a node that holds little has its rest meanwhile.
    const SCRUB_DAYS_DEFAULT: Bounded<0, 365> = Bounded(30);
    let mut section = role_section(reader, root, "storage", roles.contains(&Role::Storage))?;
    let quota: Option<ByteCount> = reader.optional(&mut section, "quota_bytes");
    let reserve: ByteCount = reader.or(&mut section, "reserve_bytes", RESERVE_BYTES_DEFAULT);
    let scrub: ByteCount = reader.or(&mut section, "scrub_bytes_per_second", SCRUB_BYTES_DEFAULT);
    let days = reader.or(&mut section, "scrub_round_days", SCRUB_DAYS_DEFAULT);
    let packs = reader.or(&mut section, "packs", true);
    let page_cache = reader.or(
        &mut section,
        "page_cache_bytes",
        ByteCount(PAGE_CACHE_BYTES_DEFAULT),
    );
    reader.finish(&section);
    Some(StorageConfig {
        quota_bytes: quota.map(|bytes| bytes.0),
        reserve_bytes: reserve.0,
        scrub_bytes_per_second: scrub.0,
        scrub_round_days: days.0 as u32,
        packs,
        page_cache_bytes: page_cache.0,
    })
}

fn read_vdrive<'i>(
    reader: &mut Reader<'i>,
    root: &mut Section<'_, 'i>,
    roles: &[Role],
) -> Option<VdriveConfig> {
    let mut section = role_section(reader, root, "vdrive", roles.contains(&Role::Vdrive))?;
    let database = reader.or(&mut section, "database", VdriveDatabase::Sqlite);
    reader.finish(&section);
    Some(VdriveConfig { database })
}

fn read_introducer<'i>(
    reader: &mut Reader<'i>,
    root: &mut Section<'_, 'i>,
    roles: &[Role],
) -> Option<IntroducerConfig> {
    // A mesh goes on for a month without its introducers before anybody has to act.
    const GRANT_DAYS_DEFAULT: Bounded<1, 730> = Bounded(30);
    let mut section = role_section(reader, root, "introducer", roles.contains(&Role::Introducer))?;
    let days = reader.or(&mut section, "grant_days", GRANT_DAYS_DEFAULT);
    reader.finish(&section);
    Some(IntroducerConfig {
        grant_days: days.0 as u32,
    })
}

fn read_log<'i>(reader: &mut Reader<'i>, root: &mut Section<'_, 'i>) -> LogConfig {
    let mut section = reader.section(root, "log");
    let format = reader.or(&mut section, "format", LogFormat::Pretty);
    let level = reader.or(&mut section, "level", LogLevel::Info);
    reader.finish(&section);
    LogConfig { format, level }
}

fn read_metrics<'i>(reader: &mut Reader<'i>, root: &mut Section<'_, 'i>) -> SocketAddr {
    let mut section = reader.section(root, "metrics");
    let listen = reader.or(&mut section, "listen", LISTEN_DEFAULT);
    reader.finish(&section);
    listen
}

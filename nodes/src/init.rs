//! A new node's directory: its configuration, its key, and what its roles need besides.
//!
//! An existing node is never overwritten. The files are written in an order that leaves a directory without
//! `truckee.toml` if it fails half way, so that it can simply be tried again.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use thiserror::Error;
use truckee_engine::invite::InviteSecret;
use truckee_grid::ids::NodeId;

use crate::config::{Config, ConfigError, GATEWAY_LISTEN_DEFAULT, LISTEN_DEFAULT, LogFormat, LogLevel};
use crate::dir::{self, DirError, MODE_SECRET, NodeDir};
use crate::identity::{self, Secret, SecretError, SecretKind};
use crate::role::Role;

/// What a new node is to be.
#[derive(Clone, Debug)]
pub struct InitSpec {
    /// Its directory; made if it is not there.
    pub dir: PathBuf,
    /// Name for people; at most 64 bytes.
    pub nickname: String,
    /// What it does; at least one role.
    pub roles: Vec<Role>,
    /// Where peers are listened for; port 0: chosen at the first start and kept.
    pub listen: SocketAddr,
    /// `host:port` under which others dial it; empty: the address listened on.
    pub advertise: Vec<String>,
    /// Name of its rack, house or country; may be empty.
    pub zone: String,
    /// Texts of invites; at least one unless the node is an introducer.
    pub invites: Vec<String>,
    /// Where HTTP clients are listened for (role gateway); none: 127.0.0.1:3456.
    pub gateway_listen: Option<SocketAddr>,
    /// Where `/metrics` is served; none: loopback, any free port.
    pub metrics_listen: Option<SocketAddr>,
    /// What is seldom said.
    pub extra: InitExtra,
}

/// Values that go into the file only if given; otherwise the defaults hold.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "named as in the configuration file")]
pub struct InitExtra {
    pub k: Option<u16>,
    pub n: Option<u16>,
    pub happy: Option<u16>,
    pub segment_bytes: Option<u32>,
    pub quota_bytes: Option<u64>,
    pub reserve_bytes: Option<u64>,
    pub scrub_bytes_per_second: Option<u64>,
    pub scrub_round_days: Option<u32>,
    pub round_seconds: Option<u32>,
    pub settle_seconds: Option<u32>,
    pub grant_days: Option<u32>,
    pub log_format: Option<LogFormat>,
    pub log_level: Option<LogLevel>,
}

impl InitSpec {
    /// On loopback, on free ports; add invites unless it is an introducer.
    pub fn new(dir: &Path, nickname: &str, roles: &[Role]) -> InitSpec {
        InitSpec {
            dir: dir.to_owned(),
            nickname: nickname.to_owned(),
            roles: roles.to_vec(),
            listen: LISTEN_DEFAULT,
            advertise: Vec::new(),
            zone: String::new(),
            invites: Vec::new(),
            gateway_listen: None,
            metrics_listen: None,
            extra: InitExtra::default(),
        }
    }
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// The new node's id.
    pub node_id: NodeId,
    /// The file for people to edit.
    pub config: PathBuf,
}

/// A node's directory cannot be made.
#[derive(Debug, Error)]
pub enum InitError {
    /// A node lives there already.
    #[error("{} holds a node already; choose another directory", .0.display())]
    Exists(PathBuf),
    /// What was asked for is no valid configuration.
    #[error("{}", lines(.0))]
    Invalid(Vec<ConfigError>),
    /// The disk refuses.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A secret cannot be made.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

fn lines(errors: &[ConfigError]) -> String {
    let texts: Vec<String> = errors
        .iter()
        .map(|error| {
            format!(
                "{}: {}",
                if error.key.is_empty() {
                    "configuration"
                } else {
                    &error.key
                },
                error.problem
            )
        })
        .collect();
    texts.join("\n")
}

/// Makes the directory of a new node.
///
/// # Errors
/// A node is there already, or what was asked for is not valid, or the disk refuses.
pub fn init_node(spec: &InitSpec) -> Result<Initialised, InitError> {
    let text = render(spec);
    Config::parse(&text).map_err(InitError::Invalid)?;
    let dir = NodeDir::new(&spec.dir);
    dir.create()?;
    let config = dir.config_path();
    if config.exists() {
        return Err(InitError::Exists(spec.dir.clone()));
    }
    let seed = identity::load_or_create(&dir.identity_path(), SecretKind::Identity)?;
    if spec.roles.contains(&Role::Introducer) {
        identity::load_or_create::<{ InviteSecret::BYTES }>(&dir.invite_secret_path(), SecretKind::Invite)?;
    }
    if spec.roles.contains(&Role::Gateway) {
        identity::load_or_create::<32>(&dir.convergence_secret_path(), SecretKind::Convergence)?;
    }
    match dir::write_new(&config, text.as_bytes(), MODE_SECRET) {
        Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(InitError::Exists(spec.dir.clone()));
        }
        other => other?,
    }
    Ok(Initialised {
        node_id: node_id(&seed),
        config,
    })
}

/// The id of the node with this key.
pub(crate) fn node_id(seed: &Secret<32>) -> NodeId {
    NodeId::of_public_key(SigningKey::from_bytes(seed).verifying_key().as_bytes())
}

/// The text of the configuration, with a line of explanation where a reader might want one.
fn render(spec: &InitSpec) -> String {
    let mut text = String::from("# One node of a Truckee mesh. Every key is explained in nodes/README.md.\n");
    let mut put = |line: String| text.push_str(&(line + "\n"));
    put(format!("nickname = {}", quote(&spec.nickname)));
    put(format!(
        "roles = {}",
        list(spec.roles.iter().map(|role| role.word()))
    ));
    put("# Port 0: a free port is chosen at the first start and kept.".to_owned());
    put(format!("listen = \"{}\"", spec.listen));
    if !spec.advertise.is_empty() {
        put(format!(
            "advertise = {}",
            list(spec.advertise.iter().map(String::as_str))
        ));
    }
    if !spec.zone.is_empty() {
        put(format!("zone = {}", quote(&spec.zone)));
    }
    if !spec.invites.is_empty() {
        put("# An invite is a secret: it lets whoever has it join.".to_owned());
        put(format!(
            "invites = {}",
            list(spec.invites.iter().map(String::as_str))
        ));
    }
    let extra = &spec.extra;
    if spec.roles.contains(&Role::Gateway) {
        put("\n[gateway]".to_owned());
        put(format!(
            "listen = \"{}\"",
            spec.gateway_listen.unwrap_or(GATEWAY_LISTEN_DEFAULT)
        ));
        put_number(&mut put, "k", extra.k);
        put_number(&mut put, "n", extra.n);
        put_number(&mut put, "happy", extra.happy);
        put_number(&mut put, "segment_bytes", extra.segment_bytes);
    }
    if spec.roles.contains(&Role::Storage) {
        put_storage(&mut put, extra);
    }
    if spec.roles.contains(&Role::Vdrive) {
        put("\n[vdrive]".to_owned());
        put("# A file of this node; or a URL such as postgres://user:password@host:5432/name, the same for all vdrives.".to_owned());
        put("database = \"sqlite\"".to_owned());
    }
    if spec.roles.contains(&Role::Introducer) && extra.grant_days.is_some() {
        put("\n[introducer]".to_owned());
        put_number(&mut put, "grant_days", extra.grant_days);
    }
    if let Some(listen) = spec.metrics_listen {
        put(format!("\n[metrics]\nlisten = \"{listen}\""));
    }
    if extra.log_format.is_some() || extra.log_level.is_some() {
        put("\n[log]".to_owned());
        extra
            .log_format
            .map(|format| put(format!("format = \"{}\"", format.word())))
            .unwrap_or_default();
        extra
            .log_level
            .map(|level| put(format!("level = \"{}\"", level.word())))
            .unwrap_or_default();
    }
    text
}

/// The sections of a storage node.
fn put_storage(put: &mut impl FnMut(String), extra: &InitExtra) {
    let storage = [
        ("quota_bytes", extra.quota_bytes),
        ("reserve_bytes", extra.reserve_bytes),
        ("scrub_bytes_per_second", extra.scrub_bytes_per_second),
        ("scrub_round_days", extra.scrub_round_days.map(u64::from)),
    ];
    put_section(put, "storage", &storage);
    let heal = [
        ("round_seconds", extra.round_seconds.map(u64::from)),
        ("settle_seconds", extra.settle_seconds.map(u64::from)),
    ];
    put_section(put, "heal", &heal);
}

/// The section, if there is something to say in it.
fn put_section(put: &mut impl FnMut(String), name: &str, numbers: &[(&str, Option<u64>)]) {
    if numbers.iter().any(|(_, number)| number.is_some()) {
        put(format!("\n[{name}]"));
        for &(key, number) in numbers {
            put_number(put, key, number);
        }
    }
}

fn put_number(put: &mut impl FnMut(String), key: &str, number: Option<impl Into<u64>>) {
    if let Some(number) = number {
        put(format!("{key} = {}", number.into()));
    }
}

fn list<'t>(items: impl Iterator<Item = &'t str>) -> String {
    let quoted: Vec<String> = items.map(quote).collect();
    format!("[{}]", quoted.join(", "))
}

/// A TOML basic string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                write!(quoted, "\\U{:08X}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::VdriveDatabase;

    const INVITE: &str = "truckee://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@127.0.0.1:7000/\
                          aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn a_written_configuration_is_read_back() {
        let temp = tempfile::tempdir().unwrap();
        let mut spec = InitSpec::new(&temp.path().join("n"), "a \"quoted\" \\ näme", &Role::ALL);
        spec.invites = vec![INVITE.to_owned()];
        spec.advertise = vec!["peer.example.org:7000".to_owned()];
        spec.zone = "attic".to_owned();
        spec.extra = InitExtra {
            k: Some(2),
            n: Some(5),
            happy: Some(4),
            quota_bytes: Some(1 << 40),
            scrub_bytes_per_second: Some(5 << 20),
            scrub_round_days: Some(3),
            grant_days: Some(7),
            log_format: Some(LogFormat::Json),
            ..InitExtra::default()
        };
        let made = init_node(&spec).unwrap();
        let config = Config::load(&spec.dir).unwrap();
        assert_eq!(config.nickname, spec.nickname);
        assert_eq!(config.roles, spec.roles);
        assert_eq!(config.zone, "attic");
        let storage = config.storage.unwrap();
        assert_eq!(storage.quota_bytes, Some(1 << 40));
        assert_eq!(
            (storage.scrub_bytes_per_second, storage.scrub_round_days),
            (5 << 20, 3)
        );
        assert_eq!(config.vdrive.unwrap().database, VdriveDatabase::Sqlite);
        let text = fs::read_to_string(spec.dir.join("truckee.toml")).unwrap();
        assert!(
            text.contains("database = \"sqlite\""),
            "what can be chosen is to be seen: {text}"
        );
        assert_eq!(config.introducer.unwrap().grant_days, 7);
        assert_eq!(config.log.format, LogFormat::Json);
        let gateway = config.gateway.unwrap();
        assert_eq!((gateway.encoding.coding().k(), gateway.encoding.happy()), (2, 4));
        assert_eq!(made.config, spec.dir.join("truckee.toml"));
        for name in [
            "identity.key",
            "invite.secret",
            "convergence.secret",
            "truckee.toml",
        ] {
            let mode = fs::metadata(spec.dir.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn an_existing_node_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let spec = InitSpec::new(temp.path(), "alpha", &[Role::Introducer]);
        let first = init_node(&spec).unwrap();
        assert!(matches!(init_node(&spec), Err(InitError::Exists(_))));
        let seed = identity::load(&temp.path().join("identity.key"), SecretKind::Identity).unwrap();
        assert_eq!(node_id(&seed), first.node_id);
    }

    #[test]
    fn an_invalid_wish_leaves_no_trace() {
        let temp = tempfile::tempdir().unwrap();
        let mut spec = InitSpec::new(&temp.path().join("n"), "", &[Role::Gateway]);
        spec.extra.k = Some(11);
        let error = init_node(&spec).unwrap_err().to_string();
        assert!(error.contains("invites") && error.contains("11"), "{error}");
        assert!(!spec.dir.exists());
    }
}

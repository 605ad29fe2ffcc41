//! Whole files: what is taken, and what is said of one that is not.

mod vdrive;

use std::num::NonZeroU64;
use std::time::Duration;

use super::*;

const INVITE: &str = "truckee://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@127.0.0.1:7000/\
                      aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn errors_of(text: &str) -> Vec<String> {
    Config::parse(text)
        .expect_err("has errors")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_shortest_file() {
    let config = Config::parse("nickname = \"a\"\nroles = [\"introducer\"]\n").unwrap();
    assert_eq!(config.listen, LISTEN_DEFAULT);
    assert_eq!(config.introducer, Some(IntroducerConfig { grant_days: 30 }));
    assert_eq!((config.gateway, config.storage), (None, None));
    assert_eq!(
        config.log,
        LogConfig {
            format: LogFormat::Pretty,
            level: LogLevel::Info
        }
    );
    assert_eq!(config.limits, Limits::default());
}

#[test]
fn the_longest_file() {
    let text = format!(
        r#"
        nickname = "alpha"
        roles = ["gateway", "storage", "introducer"]
        listen = "0.0.0.0:7000"
        advertise = ["alpha.example.org:7000", "[2001:db8::1]:7000"]
        zone = "attic"
        invites = ["{INVITE}"]
        [gateway]
        listen = "[::1]:3456"
        k = 4
        n = 16
        happy = 12
        segment_bytes = "256 KiB"
        erasure = "novelpoly"
        workers = 3
        tls_certificate = "/etc/truckee/chain.pem"
        tls_key = "key.pem"
        token_file = "token"
        [storage]
        quota_bytes = "2 TB"
        reserve_bytes = 0
        scrub_bytes_per_second = "20 MiB"
        scrub_round_days = 7
        packs = false
        page_cache_bytes = "2 GiB"
        [heal]
        bytes_per_second = "1 MiB"
        repairs = 3
        grace_seconds = 3600
        round_seconds = 10
        settle_seconds = 0
        surplus_seconds = 21600
        surplus_grace_seconds = 7200
        placing_seconds = 900
        placing_bytes_per_second = "1 MiB"
        trash_days = 3
        [gc]
        expire_days = 90
        wait_days = 14
        [introducer]
        grant_days = 7
        [log]
        format = "json"
        level = "debug"
        [trace]
        otlp_endpoint = "http://127.0.0.1:4318/"
        sample_percent = 5
        [metrics]
        listen = "127.0.0.1:9100"
        [limits]
        uploads = 1
        downloads = 2
        wait_seconds = 7
        upload_bytes = "64 MiB"
        download_bytes = "32 MiB"
        body_bytes = 1000
        convergent_bytes = "1 MiB"
        download_idle_seconds = 30
        drain_seconds = 3
        cpu_threads = 2
        connections = 100
        "#
    );
    let config = Config::parse(&text).unwrap();
    assert_eq!(config.advertise.len(), 2);
    assert_eq!(config.invites, [Invite::parse(INVITE).unwrap()]);
    let gateway = config.gateway.unwrap();
    assert_eq!(gateway.encoding, encoding(4, 16, 12, 256 << 10).unwrap());
    assert_eq!((gateway.erasure, gateway.workers), (ErasureEngine::Novelpoly, 3));
    let tls = TlsFiles {
        certificate: "/etc/truckee/chain.pem".into(),
        key: "key.pem".into(),
    };
    assert_eq!(
        gateway.doors,
        Doors {
            tls: Some(tls),
            token_file: Some("token".into()),
            allow_unauthenticated: false
        }
    );
    let storage = StorageConfig {
        quota_bytes: Some(2_000_000_000_000),
        reserve_bytes: 0,
        scrub_bytes_per_second: 20 << 20,
        scrub_round_days: 7,
        packs: false,
        page_cache_bytes: 2 << 30,
    };
    assert_eq!(config.storage, Some(storage));
    let heal = HealConfig {
        bytes_per_second: 1 << 20,
        repairs: 3,
        grace: Duration::from_secs(3600),
        round: Duration::from_secs(10),
        settle: Duration::ZERO,
        surplus_every: Some(Duration::from_secs(21_600)),
        surplus_grace: Duration::from_secs(7200),
        placing_every: Some(Duration::from_secs(900)),
        placing_bytes_per_second: NonZeroU64::new(1 << 20).expect("not 0"),
        trash_days: 3,
    };
    assert_eq!(config.heal, Some(heal));
    assert_eq!(config.metrics_listen.port(), 9100);
    let limits = Limits {
        uploads: 1,
        downloads: 2,
        wait: Duration::from_secs(7),
        upload_bytes: 64 << 20,
        download_bytes: 32 << 20,
        body_bytes: 1000,
        convergent_bytes: 1 << 20,
        download_idle: Duration::from_secs(30),
        drain: Duration::from_secs(3),
        cpu_threads: 2,
        connections: 100,
    };
    assert_eq!(config.limits, limits);
}

#[test]
fn all_errors_at_once_with_line_and_key() {
    let text = "nickname = 7\n\
                roles = [\"gateway\", \"baker\"]\n\
                listen = \"localhost\"\n\
                advertise = [\"no-port\"]\n\
                colour = \"red\"\n\
                [gateway]\n\
                lisen = \"127.0.0.1:1\"\n\
                k = -1\n\
                [log]\n\
                level = \"loud\"\n\
                [trace]\n\
                otlp_endpoint = \"127.0.0.1:4318\"\n\
                sample_percent = 0\n\
                [limits]\n\
                upload_bytes = 5\n\
                drain_seconds = 1.5\n";
    assert_eq!(
        errors_of(text),
        [
            "line 1: nickname: must be a text, not a whole number",
            "line 2: roles: must be \"introducer\", \"storage\", \"vdrive\" or \"gateway\", not \"baker\"",
            "line 3: listen: must be an address and port such as \"127.0.0.1:3456\" or \"[::]:3456\", \
             not \"localhost\"",
            "line 4: advertise: must be a host and port that other nodes can dial, such as \
             \"peer1.example.org:7000\", not \"no-port\"",
            "line 5: colour: unknown key",
            "line 6: gateway: has no effect: \"gateway\" is not among the roles of this node",
            "line 10: log.level: must be \"error\", \"warn\", \"info\", \"debug\" or \"trace\", not \"loud\"",
            "line 12: trace.otlp_endpoint: must be the URL of a collector such as \"http://127.0.0.1:4318\", not \
             \"127.0.0.1:4318\"",
            "line 13: trace.sample_percent: must be between 1 and 100, not 0",
            "line 15: limits.upload_bytes: must be between 1048576 and 4294967295, not 5",
            "line 16: limits.drain_seconds: must be a whole number, not a number with a fraction",
        ]
    );
}

#[test]
fn errors_inside_a_section_of_a_role() {
    let text = format!(
        "nickname = \"a\"\nroles = [\"gateway\"]\ninvites = [\"{INVITE}\"]\n\
         [gateway]\nlisen = \"127.0.0.1:1\"\nk = 10\nn = 3\nerasure = \"best\"\nworkers = 0\n"
    );
    assert_eq!(
        errors_of(&text),
        [
            "line 5: gateway.lisen: unknown key; did you mean \"listen\"?",
            "line 7: gateway: 10 shares cannot be needed when only 3 are made",
            "line 8: gateway.erasure: must be \"auto\", \"simd\" or \"novelpoly\", not \"best\"",
            "line 9: gateway.workers: must be between 1 and 64, not 0",
        ]
    );
}

#[test]
fn encodings_that_cannot_be() {
    for (k, n, happy, part) in [
        (3, 257, 7, "257"),
        (0, 10, 7, "0-of-10"),
        (1, 0, 1, "1-of-0"),
        (3, 3, 3, "no loss"),
        (3, 10, 11, "happy = 11"),
    ] {
        let text = format!(
            "nickname = \"a\"\nroles = [\"gateway\"]\ninvites = [\"{INVITE}\"]\n\
             [gateway]\nk = {k}\nn = {n}\nhappy = {happy}\n"
        );
        let errors = errors_of(&text);
        assert!(errors.len() == 1 && errors[0].contains(part), "{errors:?}");
    }
}

#[test]
fn how_shares_are_read_back() {
    let storage = |text: &str| {
        format!("nickname = \"a\"\nroles = [\"storage\"]\ninvites = [\"{INVITE}\"]\n[storage]\n{text}")
    };
    let read = |text: &str| {
        let config = Config::parse(&storage(text)).unwrap().storage.unwrap();
        (config.scrub_bytes_per_second, config.scrub_round_days)
    };
    assert_eq!(read(""), (1 << 20, 30));
    assert_eq!(read("scrub_bytes_per_second = 0\nscrub_round_days = 0\n"), (0, 0));
    assert_eq!(
        errors_of(&storage("scrub_bytes_per_second = -1\nscrub_round_days = 366\n")),
        [
            "line 5: storage.scrub_bytes_per_second: must be between 0 and 9223372036854775807, not -1",
            "line 6: storage.scrub_round_days: must be between 0 and 365, not 366",
        ]
    );
}

#[test]
fn how_missing_shares_are_made_again() {
    let heal = |text: &str| {
        format!("nickname = \"a\"\nroles = [\"storage\"]\ninvites = [\"{INVITE}\"]\n[heal]\n{text}")
    };
    let usual = Config::parse(&heal("")).unwrap().heal;
    assert_eq!(usual, Some(HealConfig::default()));
    assert_eq!(
        errors_of(&heal("repairs = 0\ngrace_seconds = 0\n")),
        [
            "line 5: heal.repairs: must be between 1 and 16, not 0",
            "line 6: heal.grace_seconds: must be between 1 and 31536000, not 0",
        ]
    );
    let elsewhere = "nickname = \"a\"\nroles = [\"introducer\"]\n[heal]\nrepairs = 1\n";
    assert_eq!(errors_of(elsewhere).len(), 1, "nothing to heal there");
}

#[test]
fn doors_that_stand_open_or_do_not_fit() {
    let gateway = |text: &str| {
        format!("nickname = \"a\"\nroles = [\"gateway\"]\ninvites = [\"{INVITE}\"]\n[gateway]\n{text}")
    };
    assert_eq!(
        errors_of(&gateway(
            "listen = \"0.0.0.0:3456\"\ntls_certificate = \"c.pem\"\nallow_unauthenticated = \"yes\"\n"
        )),
        [
            "line 5: gateway.listen: lets everybody who reaches 0.0.0.0:3456 use the gateway; set gateway.token_file, \
             or gateway.allow_unauthenticated = true if that is meant",
            "line 6: gateway.tls_certificate: is of no use without gateway.tls_key",
            "line 7: gateway.allow_unauthenticated: must be true or false, not a text",
        ]
    );
    assert_eq!(
        errors_of(&gateway(
            "token_file = \"t\"\ntls_key = \"k.pem\"\nallow_unauthenticated = true\n"
        )),
        [
            "line 6: gateway.tls_key: is of no use without gateway.tls_certificate",
            "line 7: gateway.allow_unauthenticated: contradicts gateway.token_file; remove one of them",
        ]
    );
    assert_eq!(
        errors_of(&gateway(
            "token_file = \"\"\ntls_key = 7\ntls_certificate = \"c\"\n"
        )),
        [
            "line 5: gateway.token_file: must be the path of a file, not \"\"",
            "line 6: gateway.tls_key: must be a text, not a whole number",
        ]
    );
    for good in [
        "listen = \"[::]:3456\"\ntoken_file = \"t\"\n",
        "listen = \"10.0.0.1:3456\"\nallow_unauthenticated = true\n",
        "listen = \"127.0.0.2:3456\"\n",
        "listen = \"[::1]:3456\"\n",
    ] {
        Config::parse(&gateway(good)).expect(good);
    }
}

#[test]
fn what_is_missing() {
    assert_eq!(
        errors_of("[log]\n"),
        [
            "line 1: nickname: is missing; it has no default",
            "line 1: roles: is missing; it has no default"
        ]
    );
    assert_eq!(
        errors_of("nickname = \"a\"\nroles = [\"storage\"]\n"),
        ["line 1: invites: is empty: a node that is no introducer needs the invite of one"]
    );
    assert_eq!(
        errors_of("nickname = \"a\"\nroles = [\"introducer\"]\nlisten = \"[::]:7000\"\n"),
        [
            "line 3: advertise: is missing; a node that listens on every address must say under which one \
          peers can dial it"
        ]
    );
    assert_eq!(
        errors_of("nickname = \"a\"\nroles = []\n"),
        ["line 2: roles: is empty: a node without a role does nothing"]
    );
    assert_eq!(
        errors_of("nickname = \"a\"\nroles = [\"introducer\", \"introducer\"]\n"),
        ["line 2: roles: names \"introducer\" twice"]
    );
}

#[test]
fn what_is_not_toml() {
    let errors = errors_of("nickname = \"a\nroles = [\"introducer\"]\nlisten = = 3\n");
    assert!(errors.len() >= 2, "{errors:?}");
    assert!(errors[0].starts_with("line 1: is not TOML"), "{errors:?}");
    assert!(
        errors
            .iter()
            .any(|error| error.starts_with("line 3: is not TOML")),
        "{errors:?}"
    );
}

#[test]
fn a_secret_is_never_repeated() {
    let text = "nickname = \"a\"\nroles = [\"storage\"]\ninvites = [\"truckeee://x@y:1/secret-word\"]\n";
    let errors = errors_of(text).join("\n");
    assert!(
        errors.contains("line 3: invites: ") && !errors.contains("secret-word"),
        "{errors}"
    );
    let config = Config::parse(&format!(
        "nickname = \"a\"\nroles = [\"storage\"]\ninvites = [\"{INVITE}\"]\n"
    ))
    .unwrap();
    assert!(!format!("{config:?}").contains(INVITE));
}

#[test]
fn a_file_that_cannot_be_read() {
    let temp = tempfile::tempdir().unwrap();
    let error = Config::load(temp.path()).unwrap_err().to_string();
    assert!(
        error.contains("truckee.toml") && error.contains("truckee init"),
        "{error}"
    );
    std::fs::write(temp.path().join("truckee.toml"), vec![b'#'; 1 + (1 << 20)]).unwrap();
    let error = Config::load(temp.path()).unwrap_err().to_string();
    assert!(error.contains("1048577 bytes long"), "{error}");
}

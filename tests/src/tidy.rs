//! The test of the tree itself: rules about layout, dependencies and style that no compiler checks.
//!
//! Owns the rules and reports every breach at once, each with its place. The readers of source are rough on purpose (they
//! trust rustfmt's indentation) and live in `source`; what licences say is read in `licences`. An exception to a rule has to
//! stand in a list here, with its reason.

mod licences;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// What may stand at the root, as `ls -A` shows it.
const ROOT_ENTRIES: &[&str] = &[
    ".ci",
    ".clippy.toml",
    ".config",
    ".deny.toml",
    ".git",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "actors",
    "grafana",
    "nodes",
    "ops",
    "proto",
    "tests",
];

/// The crates in the order of their dependencies: each may use those before it.
const CRATES: &[(&str, &str)] = &[
    ("truckee-grid", "proto/grid"),
    ("truckee-wire", "proto/wire"),
    ("truckee-engine", "proto/engine"),
    ("truckee-actors", "actors"),
    ("truckee-nodes", "nodes"),
    ("truckee", "ops"),
    ("truckee-tests", "tests"),
];

/// Crates that bring files, sockets, clocks, threads or the system's randomness. Names that end in `*` are prefixes.
const IMPURE_CRATES: &[&str] = &[
    "actix*",
    "async-*",
    "chrono",
    "crossbeam*",
    "futures-executor",
    "getrandom",
    "hyper*",
    "libc",
    "memmap*",
    "metrics*",
    "mio",
    "nix",
    "notify",
    "num_cpus",
    "parking_lot",
    "rayon*",
    "reqwest",
    "rustix",
    "rustls*",
    "smol*",
    "socket2",
    "tempfile",
    "time",
    "tokio*",
    "tracing-subscriber",
    "ureq",
    "walkdir",
];

/// Words that have no place in the code of the pure crates, outside their tests.
const IMPURE_WORDS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::time::Instant",
    "SystemTime",
    "Instant::now",
    "HashMap",
    "HashSet",
    "OsRng",
    "SysRng",
    "thread_rng",
    "getrandom",
    "rand::rng()",
];

/// Longest file, in lines before its tests.
const FILE_LINES_MAX: usize = 500;

/// Longest function, in lines from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may break the two limits above: path, and why.
const LONG_ALLOWED: &[(&str, &str)] = &[];

/// The only files that may hold `unsafe`: path, and why.
const UNSAFE_ALLOWED: &[(&str, &str)] = &[(
    "proto/grid/src/lanes.rs",
    "calls one function compiled for a wider instruction set, after asking the processor whether it has it",
)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// All Rust sources of the workspace, in order of their paths.
fn sources() -> Vec<Source> {
    let root = root();
    let mut all: Vec<Source> = ["proto", "actors", "nodes", "ops", "tests"]
        .iter()
        .flat_map(|top| Source::below(&root, &root.join(top)))
        .collect();
    assert!(
        all.len() >= CRATES.len(),
        "found only {} sources below {}",
        all.len(),
        root.display()
    );
    Source::mark_tests(&mut all);
    all
}

fn manifest(dir: &str) -> toml::Table {
    let path = root().join(dir).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names in the given dependency tables of a manifest, target-specific ones included.
fn dependencies(manifest: &toml::Table, kinds: &[&str]) -> Vec<String> {
    let targets = manifest
        .get("target")
        .and_then(|targets| targets.as_table())
        .into_iter()
        .flatten();
    let tables = std::iter::once(manifest).chain(targets.filter_map(|(_, target)| target.as_table()));
    let tables: Vec<_> = tables.collect();
    let of_kind = |kind: &&str| {
        tables
            .iter()
            .filter_map(|table| table.get(*kind)?.as_table())
            .collect::<Vec<_>>()
    };
    kinds
        .iter()
        .flat_map(of_kind)
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// Fails with all breaches at once.
fn none(breaches: &[String]) {
    assert!(
        breaches.is_empty(),
        "{} breaches:\n{}",
        breaches.len(),
        breaches.join("\n")
    );
}

#[test]
fn the_root_holds_only_what_belongs_there() {
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    let ignored: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .collect();
    let names = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strangers: Vec<String> = names
        .filter(|name| !ROOT_ENTRIES.contains(&name.as_str()) && !ignored.contains(&name.as_str()))
        .map(|name| format!("{name}: does not belong at the root"))
        .collect();
    none(&strangers);
    for needed in ["README.md", "LICENSE", "Cargo.lock", ".ci/run", ".deny.toml"] {
        assert!(root().join(needed).is_file(), "{needed} is missing");
    }
}

#[test]
fn every_crate_of_the_workspace_has_its_place() {
    let workspace = manifest(".");
    let members: Vec<&str> = workspace["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|member| member.as_str())
        .collect();
    let places: Vec<&str> = CRATES.iter().map(|(_, dir)| *dir).collect();
    assert_eq!(
        members, places,
        "the members of the workspace and the order of crates in this test differ"
    );
    for (name, dir) in CRATES {
        let manifest = manifest(dir);
        assert_eq!(manifest["package"]["name"].as_str(), Some(*name), "{dir}");
        assert_eq!(
            manifest["lints"]["workspace"].as_bool(),
            Some(true),
            "{dir} does not take the workspace's lints"
        );
    }
}

#[test]
fn dependencies_point_one_way() {
    let rank: BTreeMap<&str, usize> = CRATES
        .iter()
        .enumerate()
        .map(|(rank, (name, _))| (*name, rank))
        .collect();
    let mut backwards = Vec::new();
    for (name, dir) in CRATES {
        for used in dependencies(
            &manifest(dir),
            &["dependencies", "dev-dependencies", "build-dependencies"],
        ) {
            if rank.get(used.as_str()).is_some_and(|used| *used >= rank[name]) {
                backwards.push(format!("{dir}/Cargo.toml: {name} must not use {used}"));
            }
        }
    }
    none(&backwards);
}

#[test]
fn the_pure_crates_name_no_crate_that_does_io() {
    let mut impure = Vec::new();
    for (_, dir) in CRATES.iter().filter(|(_, dir)| dir.starts_with("proto/")) {
        for used in dependencies(&manifest(dir), &["dependencies"]) {
            if is_impure(&used) {
                impure.push(format!(
                    "{dir}/Cargo.toml: {used} does input or output, or reads a clock"
                ));
            }
        }
    }
    let rand = &manifest(".")["workspace"]["dependencies"]["rand"];
    let features = rand["features"].as_array().unwrap();
    for feature in ["thread_rng", "sys_rng", "os_rng"] {
        if features.iter().any(|named| named.as_str() == Some(feature)) {
            impure.push(format!(
                "Cargo.toml: rand's {feature} asks the system for randomness"
            ));
        }
    }
    none(&impure);
}

fn is_impure(name: &str) -> bool {
    IMPURE_CRATES.iter().any(|impure| match impure.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *impure,
    })
}

#[test]
fn the_pure_crates_ask_the_system_for_nothing() {
    let mut asked = Vec::new();
    // A build script runs on the builder's machine and is not part of the protocol; fuzz targets are their own programs.
    let pure = |source: &Source| {
        let path = source.path.as_str();
        path.starts_with("proto/") && !path.ends_with("/build.rs") && !path.starts_with("proto/fuzz/")
    };
    for source in sources()
        .iter()
        .filter(|source| pure(source) && !source.is_test())
    {
        for (number, code) in source.code() {
            for word in IMPURE_WORDS.iter().filter(|word| code.contains(**word)) {
                asked.push(format!("{}:{number}: {word} in a pure crate", source.path));
            }
        }
    }
    none(&asked);
}

#[test]
fn every_module_opens_with_what_it_owns() {
    // A module's tests in a file of their own belong to that module.
    let own = |source: &Source| !source.path.ends_with("/tests.rs") && !source.path.ends_with("_tests.rs");
    let mute =
        |source: &Source| own(source) && !source.lines.first().is_some_and(|line| line.starts_with("//!"));
    let mute: Vec<String> = sources()
        .iter()
        .filter(|source| mute(source))
        .map(|source| format!("{}: no //! at the top", source.path))
        .collect();
    none(&mute);
}

#[test]
fn files_and_functions_fit_the_eye() {
    let mut long = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.is_test() && !listed(LONG_ALLOWED, source))
    {
        let lines = source.lines_before_tests();
        if lines > FILE_LINES_MAX {
            long.push(format!(
                "{}: {lines} lines, {FILE_LINES_MAX} allowed",
                source.path
            ));
        }
        for function in source
            .functions()
            .filter(|function| function.lines > FUNCTION_LINES_MAX)
        {
            let (name, line, lines) = (&function.name, function.line, function.lines);
            long.push(format!(
                "{}:{line}: fn {name} has {lines} lines, {FUNCTION_LINES_MAX} allowed",
                source.path
            ));
        }
    }
    none(&long);
}

#[test]
fn nothing_is_left_to_be_done() {
    // Put together here, so that this file does not find itself.
    let stubs = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let mut left = Vec::new();
    for source in sources() {
        for (number, code) in source.all_code() {
            for stub in stubs.iter().filter(|stub| code.contains(stub.as_str())) {
                left.push(format!("{}:{number}: {stub})", source.path));
            }
        }
    }
    none(&left);
}

#[test]
fn unsafe_stands_where_it_is_explained() {
    let mut strangers = Vec::new();
    for source in sources().iter().filter(|source| !listed(UNSAFE_ALLOWED, source)) {
        let word = ["un", "safe"].concat();
        for (number, code) in source.all_code() {
            if source::has_word(&source::without_strings(&code), &word) {
                strangers.push(format!("{}:{number}: {word} outside its modules", source.path));
            }
        }
    }
    none(&strangers);
}

fn listed(list: &[(&str, &str)], source: &Source) -> bool {
    list.iter().any(|(path, reason)| {
        assert!(!reason.is_empty(), "{path} is excepted without a reason");
        *path == source.path
    })
}

#[test]
fn exceptions_are_still_needed() {
    for (path, _) in LONG_ALLOWED.iter().chain(UNSAFE_ALLOWED) {
        assert!(
            root().join(path).is_file(),
            "{path} is excepted and does not exist"
        );
    }
}

#[test]
fn every_licence_is_on_the_list() {
    none(&licences::breaches(&root()));
}

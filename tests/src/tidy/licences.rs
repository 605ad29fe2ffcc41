//! Licences of everything that is linked, checked without network.
//!
//! Owns the evaluation of SPDX expressions against the allow list in `.deny.toml`, which stands there once for this test and
//! for cargo-deny. Covers the crates that are built on this platform.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Crates whose licence is not allowed, one sentence each.
pub(super) fn breaches(root: &Path) -> Vec<String> {
    let allowed = allow_list(root);
    let metadata = metadata(root);
    let built: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let packages = metadata["packages"].as_array().unwrap();
    let mut bad = Vec::new();
    for package in packages
        .iter()
        .filter(|package| package["id"].as_str().is_some_and(|id| built.contains(id)))
    {
        let name = format!(
            "{} {}",
            package["name"].as_str().unwrap(),
            package["version"].as_str().unwrap()
        );
        match package["license"].as_str() {
            None => bad.push(format!("{name}: no licence expression")),
            Some(licence) if !is_allowed(licence, &allowed) => {
                bad.push(format!("{name}: {licence} is not allowed"));
            }
            Some(_) => {}
        }
    }
    assert!(built.len() > 100, "only {} crates were looked at", built.len());
    bad
}

fn allow_list(root: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root.join(".deny.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let list = table["licenses"]["allow"].as_array().unwrap();
    list.iter()
        .map(|licence| licence.as_str().unwrap().to_owned())
        .collect()
}

fn metadata(root: &Path) -> Value {
    let platform = Command::new("rustc").arg("-vV").output().unwrap();
    let platform = String::from_utf8(platform.stdout).unwrap();
    let platform = platform
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--offline",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            &platform,
        ])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether one may choose among the alternatives of the expression so that every part is allowed.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let answer = any(&mut rest, allowed);
    assert!(rest.is_empty(), "{expression}: cannot be read from {rest:?} on");
    answer
}

fn any(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut answer = all(rest, allowed);
    while rest.first() == Some(&"OR") {
        *rest = &rest[1..];
        answer |= all(rest, allowed);
    }
    answer
}

fn all(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut answer = one(rest, allowed);
    while rest.first() == Some(&"AND") {
        *rest = &rest[1..];
        answer &= one(rest, allowed);
    }
    answer
}

fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let Some((first, others)) = rest.split_first() else {
        return false;
    };
    *rest = others;
    if *first == "(" {
        let answer = any(rest, allowed);
        *rest = rest
            .strip_prefix(&[")"])
            .unwrap_or_else(|| panic!("a bracket is not closed before {rest:?}"));
        return answer;
    }
    let mut name = (*first).to_owned();
    if let [with, exception, others @ ..] = *rest
        && *with == "WITH"
    {
        name = format!("{name} WITH {exception}");
        *rest = others;
    }
    allowed.contains(&name)
}

#[test]
fn expressions() {
    let allowed: BTreeSet<String> = ["MIT", "A WITH B"].map(str::to_owned).into();
    for good in [
        "MIT",
        "MIT OR X",
        "X/MIT",
        "(X OR MIT) AND A WITH B",
        "X AND Y OR MIT",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["X", "MIT AND X", "A", "(X OR MIT) AND Y", ""] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

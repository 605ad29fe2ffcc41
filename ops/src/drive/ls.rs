//! `truckee ls`: what a directory holds.
//!
//! Names come from whoever may write to the directory: on a terminal control characters in them are shown as `?`, so that
//! a name cannot move the cursor or hide another.

use std::io::IsTerminal;

use serde_json::{Map, Value, json};

use crate::cli::drive::LsArgs;
use crate::client::{Kind, Node};
use crate::date::civil;
use crate::error::CliError;
use crate::output::{print_json, print_line};

use super::{Drive, is_directory};

/// Runs the command.
pub(crate) fn run(args: &LsArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let place = drive.place(&args.path)?;
    let node = drive.gateway.node(&place)?;
    let single;
    let rows: Vec<(&str, &Node)> = if is_directory(&node) {
        node.children
            .iter()
            .map(|(name, child)| (name.as_str(), child))
            .collect()
    } else {
        single = place.name().unwrap_or("").to_owned();
        vec![(&single, &node)]
    };
    if args.json {
        return print_json(&as_json(&node, &rows, args));
    }
    let plain = !std::io::stdout().is_terminal();
    for line in lines(&rows, args, plain) {
        print_line(&line)?;
    }
    Ok(())
}

fn as_json(node: &Node, rows: &[(&str, &Node)], args: &LsArgs) -> Value {
    let children: Map<String, Value> = rows
        .iter()
        .map(|(name, child)| ((*name).to_owned(), entry(child, args)))
        .collect();
    if is_directory(node) {
        json!({ "type": "directory", "writable": node.rw_uri.is_some(), "children": children })
    } else {
        entry(node, args)
    }
}

fn entry(node: &Node, args: &LsArgs) -> Value {
    let mut entry = json!({
        "type": kind(node),
        "size": node.size,
        "mutable": node.mutable,
        "modified": node.modified(),
    });
    if args.uri {
        entry["uri"] = json!(node.cap());
    }
    if args.readonly_uri {
        entry["readonly_uri"] = json!(node.read_cap());
    }
    entry
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Unknown => "unknown",
    }
}

/// The lines for people and pipes.
fn lines(rows: &[(&str, &Node)], args: &LsArgs, plain: bool) -> Vec<String> {
    let size = |node: &Node| node.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
    let width = rows.iter().map(|(_, node)| size(node).len()).max().unwrap_or(0);
    let row = |(name, node): &(&str, &Node)| {
        let mut parts = Vec::new();
        if args.long {
            let letter = match (node.kind, node.mutable) {
                (Kind::Directory, _) => 'd',
                (Kind::Unknown, _) => '?',
                (Kind::File, true) => 'm',
                (Kind::File, false) => '-',
            };
            let write = if node.rw_uri.is_some() { 'w' } else { '-' };
            let time = node
                .modified()
                .map_or_else(|| " ".repeat(16), |seconds| civil(seconds).minutes());
            parts.push(format!("{letter}r{write} {:>width$} {time}", size(node)));
        }
        let mark = match node.kind {
            _ if !args.classify => "",
            Kind::Directory => "/",
            Kind::Unknown => "?",
            Kind::File => "",
        };
        parts.push(format!(
            "{}{mark}",
            if plain { (*name).to_owned() } else { harmless(name) }
        ));
        let caps = [
            args.uri.then(|| node.cap()).flatten(),
            args.readonly_uri.then(|| node.read_cap()).flatten(),
        ];
        parts.extend(caps.into_iter().flatten().map(str::to_owned));
        parts.join("  ")
    };
    rows.iter().map(row).collect()
}

/// A name without characters that a terminal obeys.
pub(crate) fn harmless(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(line: &str) -> LsArgs {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Ls(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn node() -> Node {
        serde_json::from_value(json!(["dirnode", { "rw_uri": "URI:DIR2:a:b", "ro_uri": "URI:DIR2-RO:a:b", "mutable": true, "children": {
            "dir": ["dirnode", { "ro_uri": "URI:DIR2-CHK:x", "mutable": false }],
            "file": ["filenode", { "ro_uri": "URI:CHK:y", "mutable": false, "size": 1234, "metadata": { "mtime": 86400.0 } }],
            "odd\u{1b}[2J": ["unknown", { "ro_uri": "ro.z" }],
        }}])).unwrap()
    }

    fn shown(line: &str, plain: bool) -> Vec<String> {
        let node = node();
        let rows: Vec<(&str, &Node)> = node
            .children
            .iter()
            .map(|(name, child)| (name.as_str(), child))
            .collect();
        lines(&rows, &args(line), plain)
    }

    #[test]
    fn lines_say_what_was_asked_for() {
        assert_eq!(shown("truckee ls -F", false), ["dir/", "file", "odd?[2J?"]);
        assert_eq!(shown("truckee ls", true)[2], "odd\u{1b}[2J");
        assert_eq!(
            shown("truckee ls -l", false)[1],
            "-r- 1234 1970-01-02 00:00  file"
        );
        assert_eq!(shown("truckee ls --uri", false)[1], "file  URI:CHK:y");
        assert!(!shown("truckee ls -l", false).concat().contains("URI:"));
    }

    #[test]
    fn json_has_caps_only_when_asked() {
        let node = node();
        let rows: Vec<(&str, &Node)> = node
            .children
            .iter()
            .map(|(name, child)| (name.as_str(), child))
            .collect();
        let value = as_json(&node, &rows, &args("truckee ls --json"));
        assert_eq!(value["children"]["file"]["size"], 1234);
        assert_eq!(value["writable"], true);
        assert!(!value.to_string().contains("URI:"));
        let value = as_json(&node, &rows, &args("truckee ls --json --uri"));
        assert_eq!(value["children"]["dir"]["uri"], "URI:DIR2-CHK:x");
    }
}

//! `truckee status`: the gateway and the peers that it sees.
//!
//! Owns the reading of the gateway's `/?t=json`, tolerant of fields that are missing: an older gateway still shows.

use serde_json::Value;

use crate::cli::StatusArgs;
use crate::error::CliError;
use crate::http::Gateway;
use crate::output::{bytes_text, print_json, print_line};

/// One peer as the gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerRow {
    /// Its name for people.
    pub(crate) nickname: String,
    node_id: String,
    /// Whether its link is up.
    pub(crate) connected: bool,
    status: String,
    available_bytes: Option<u64>,
    version: String,
}

impl PeerRow {
    /// The storage peers in the answer to `/?t=json`.
    pub(crate) fn all(welcome: &Value) -> Vec<PeerRow> {
        welcome["servers"]
            .as_array()
            .map(|rows| rows.iter().map(PeerRow::read).collect())
            .unwrap_or_default()
    }

    fn read(row: &Value) -> PeerRow {
        let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        let status = text("connection_status");
        PeerRow {
            nickname: text("nickname"),
            node_id: text("nodeid"),
            connected: status.to_ascii_lowercase().starts_with("connected"),
            status,
            available_bytes: row["available_space"].as_u64(),
            version: text("version"),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &StatusArgs) -> Result<(), CliError> {
    let gateway = Gateway::of(&args.client)?;
    let welcome = gateway.json("/?t=json")?;
    if args.json {
        return print_json(&welcome);
    }
    for line in lines(gateway.url(), &welcome) {
        print_line(&line)?;
    }
    Ok(())
}

/// The table that people see.
fn lines(url: &str, welcome: &Value) -> Vec<String> {
    let rows = PeerRow::all(welcome);
    let connected = rows.iter().filter(|row| row.connected).count();
    let own = &welcome["truckee"];
    let ready = match own["ready"].as_bool() {
        Some(true) => "ready",
        Some(false) => "not ready: too few peers for an upload",
        None => "state unknown",
    };
    let mut lines = vec![format!("gateway  {url}/  {ready}")];
    if let (Some(k), Some(n), Some(happy)) = (own["k"].as_u64(), own["n"].as_u64(), own["happy"].as_u64()) {
        lines.push(format!(
            "coding   any {k} of {n} shares; an upload needs {happy} distinct peers"
        ));
    }
    lines.push(format!("peers    {connected} of {} connected", rows.len()));
    let width = rows
        .iter()
        .map(|row| row.nickname.chars().count())
        .max()
        .unwrap_or(0);
    for row in rows {
        let id: String = row.node_id.chars().take(8).collect();
        let space = row
            .available_bytes
            .map(|bytes| format!("{} free", bytes_text(bytes)))
            .unwrap_or_default();
        let line = format!(
            "  {:width$}  {id:8}  {}  {space}  {}",
            row.nickname, row.status, row.version
        );
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn welcome() -> Value {
        json!({
            "servers": [
                { "nodeid": "abcdefghijkl", "nickname": "storage-01", "version": "truckee/0.1.0",
                  "available_space": 1073741824, "connection_status": "Connected", "last_received_data": 1.0 },
                { "nodeid": "bcdefghijklm", "nickname": "storage-02", "connection_status": "Trying to connect" },
            ],
            "truckee": { "ready": false, "k": 3, "n": 10, "happy": 7 },
        })
    }

    #[test]
    fn peers_are_counted_by_their_link() {
        let rows = PeerRow::all(&welcome());
        assert_eq!(
            rows.iter().map(|row| row.connected).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(PeerRow::all(&json!({ "servers": 3 })), []);
    }

    #[test]
    fn the_table_says_what_matters() {
        let text = lines("http://127.0.0.1:1", &welcome()).join("\n");
        for part in [
            "not ready",
            "any 3 of 10",
            "7 distinct",
            "1 of 2 connected",
            "1.00 GiB free",
            "Trying",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }
}

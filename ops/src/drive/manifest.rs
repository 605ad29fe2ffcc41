//! `truckee manifest`: the cap of everything below a directory, one a line.

use serde_json::Value;

use crate::cli::drive::ManifestArgs;
use crate::error::CliError;
use crate::output::{print_json, print_line};

use super::Drive;

/// Runs the command.
pub(crate) fn run(args: &ManifestArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let place = drive.place(&args.path)?;
    for line in drive.gateway.manifest(&place)? {
        let line = line?;
        if args.json {
            print_json(&line)?;
        } else if let Some(text) = text(&line, args) {
            print_line(&text)?;
        }
    }
    Ok(())
}

/// A line for people: `CAP path`. None for the figures at the end, and for what has no such cap.
fn text(line: &Value, args: &ManifestArgs) -> Option<String> {
    if line["type"] == "stats" {
        return None;
    }
    let key = if args.storage_index {
        "storage-index"
    } else if args.verify_cap {
        "verifycap"
    } else {
        let cap = line["cap"].as_str().unwrap_or("");
        return Some(format!("{cap} {}", path(line)).trim_end().to_owned());
    };
    line[key]
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// The path of a line of a deep operation.
pub(super) fn path(line: &Value) -> String {
    let parts = line["path"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn lines_hold_what_was_asked_for() {
        let file = json!({ "type": "file", "path": ["a", "b c"], "cap": "URI:CHK:x", "verifycap": "URI:CHK-Verifier:x", "storage-index": "si" });
        let literal = json!({ "type": "file", "path": ["l"], "cap": "URI:LIT:x", "verifycap": "", "storage-index": "" });
        let shown = |line: &str, value: &Value| match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Manifest(args) => text(value, &args),
            other => panic!("{other:?}"),
        };
        assert_eq!(shown("truckee manifest", &file).unwrap(), "URI:CHK:x a/b c");
        assert_eq!(shown("truckee manifest -s", &file).unwrap(), "si");
        assert_eq!(
            shown("truckee manifest --verify-cap", &file).unwrap(),
            "URI:CHK-Verifier:x"
        );
        assert_eq!(shown("truckee manifest -s", &literal), None);
        assert_eq!(shown("truckee manifest", &json!({ "type": "stats" })), None);
    }
}

//! `truckee import`: a tree of another gateway, carried over.
//!
//! The other gateway is read through the web API that Tahoe-LAFS and Truckee share, so it may belong to either. Caps of one
//! grid mean nothing in another: every file is read there and stored here, streaming. Mutable files become files with the
//! content that they have now. A directory that appears twice, or contains itself, does so here too; a file that appears
//! twice is carried once. Doing it again goes on where it stopped: what is there with the same size is left alone.

use crate::alias::parse_grid;
use crate::cli::drive::ImportArgs;
use crate::client::Place;
use crate::drive::{Drive, is_directory};
use crate::error::CliError;
use crate::http::Gateway;
use crate::output::transfer_bar;

use super::report::Report;
use super::to_grid;
use super::tree::Tree;

/// Runs the command.
pub(crate) fn import(args: &ImportArgs) -> Result<(), CliError> {
    let (address, place) = parse_url(&args.url).ok_or_else(|| CliError::Usage {
        what: "the URL",
        // It holds a cap.
        value: args.url.split("/uri/").next().unwrap_or("").to_owned(),
        hint: "it should look like http://127.0.0.1:3456/uri/URI:DIR2:…".into(),
    })?;
    let drive = Drive::open(&args.drive)?;
    let source = Gateway::with_ca(&address, args.drive.client.ca.as_deref())?;
    let node = source.node(&place)?;
    let (target, slash) = parse_grid(&args.target, &drive.aliases)?;
    let mut tree = Tree::new(true);
    let base = if is_directory(&node) {
        tree.grid_dir(&source, 0, node)?;
        target
    } else {
        let to = drive.destination((target, slash), place.name())?;
        let Some((parent, name)) = to.split() else {
            return Err(CliError::Usage {
                what: "the target",
                value: to.shown(),
                hint: "the source is a file; write the name that it is to have behind the target".into(),
            });
        };
        tree.grid_file(0, name, &node);
        parent
    };
    let bar = transfer_bar("import", Some(tree.bytes()), args.json);
    let report = Report::new("import", bar, tree.files.len(), args.verbose);
    for failure in std::mem::take(&mut tree.failures) {
        report.fail(failure.path, failure.error);
    }
    let options = to_grid::Options {
        foreign: Some(&source),
        keep_same: !args.force,
        jobs: usize::from(args.jobs),
    };
    to_grid::copy(&drive.gateway, &base, &tree, &options, &report)?;
    report.tell(tree.dirs.len() - 1, tree.skipped, args.json)
}

/// Address of the gateway and the place that a URL of the web API names.
fn parse_url(url: &str) -> Option<(String, Place)> {
    let without_query = url.split(['?', '#']).next().unwrap_or(url);
    let (scheme, rest) = without_query.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let path = path.strip_prefix("uri/").or_else(|| path.strip_prefix("cap/"))?;
    // Caps have no slash, so the first one that was not encoded ends it.
    let mut parts = path.split('/').map(decode);
    let cap = parts.next()??;
    if !cap.starts_with("URI:") || cap.contains('/') {
        return None;
    }
    let mut place = Place::of(&cap);
    for part in parts {
        match part? {
            part if part.is_empty() => {}
            part => place = place.child(&part),
        }
    }
    Some((format!("{scheme}://{authority}"), place))
}

/// Undoes percent-encoding; `None` if it is broken or no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(*tail.first()?)?, digit(*tail.get(1)?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_as_browsers_show_them() {
        let (address, _) = parse_url("https://h/uri/URI:LIT:").unwrap();
        assert_eq!(address, "https://h");
        for (url, place) in [
            ("http://h:1/uri/URI:DIR2:a:b", "URI:DIR2:a:b"),
            ("http://h:1/uri/URI%3ADIR2%3Aa%3Ab/", "URI:DIR2:a:b"),
            (
                "http://h:1/cap/URI%3aDIR2:a:b/x%20y/z?t=json",
                "URI:DIR2:a:b/x y/z",
            ),
        ] {
            let (address, parsed) = parse_url(url).unwrap();
            assert_eq!((address.as_str(), parsed.plain().as_str()), ("http://h:1", place));
        }
        for url in [
            "URI:DIR2:a:b",
            "http://h:1",
            "http://h:1/file/x",
            "http://h/uri/x",
            "http://h/uri/URI:%zz",
            "http://h/uri/URI:%f",
        ] {
            assert!(parse_url(url).is_none(), "{url}");
        }
    }
}

//! The description against the code, both ways.

use std::collections::BTreeSet;

use super::table::operations;
use super::*;

const ROUTES: &str = include_str!("../../http.rs");

/// `t` of all operations with this method at this path.
fn described(methods: &[&str], path: &str) -> BTreeSet<String> {
    let here = operations().filter(|operation| operation.path == path && methods.contains(&operation.method));
    here.map(|operation| operation.t.to_owned())
        .filter(|t| !t.is_empty())
        .collect()
}

/// The texts that the arms of `match … operation …` take.
fn taken(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    let mut depth = 0;
    for line in source.lines() {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        if text.contains("match ") && text.contains("operation") && text.ends_with('{') {
            (inside, depth) = (true, indent);
            continue;
        }
        if inside && indent <= depth && text.starts_with('}') {
            inside = false;
        }
        let is_arm =
            indent == depth + 4 && text.starts_with('"') || indent <= depth + 8 && text.starts_with("| \"");
        if inside && is_arm {
            let pattern = text.split("=>").next().unwrap_or_default();
            found.extend(pattern.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found.remove("");
    found
}

#[test]
fn every_operation_is_described_and_the_other_way_round() {
    for (methods, path, source) in [
        (&["GET"][..], "/uri/{cap}", include_str!("../tree/get.rs")),
        (&["PUT"], "/uri/{cap}", include_str!("../tree/put.rs")),
        (&["POST"], "/uri/{cap}", include_str!("../tree/post.rs")),
        (&["PUT", "POST"], "/uri", include_str!("../tree/unlinked.rs")),
        (
            &["GET"],
            "/statistics",
            include_str!("../statistics.rs")
                .split("async fn storage")
                .next()
                .unwrap_or_default(),
        ),
    ] {
        let taken = taken(source);
        assert!(
            !taken.is_empty(),
            "{methods:?} {path}: the code has another shape than this test knows"
        );
        assert_eq!(described(methods, path), taken, "{methods:?} {path}");
    }
}

#[test]
fn every_route_is_described_and_the_other_way_round() {
    let routes = ROUTES
        .split("pub fn probe_routes")
        .nth(1)
        .and_then(|text| text.split("pub async fn no_such_route").next());
    let routes: BTreeSet<String> = routes
        .expect("the routes stand between these two functions")
        .lines()
        // The first two levels of the tree have one pattern each, made from the name of their place.
        .filter(|line| line.contains("resource(") || line.contains("for place in"))
        .flat_map(|line| {
            line.split('"')
                .skip(1)
                .step_by(2)
                .filter(|text| text.starts_with('/'))
        })
        .map(|text| {
            if text == "/" {
                text
            } else {
                text.trim_end_matches('/')
            }
            .to_owned()
        })
        .collect();
    assert!(routes.len() > 10, "{routes:?}");
    let alias = |path: &str| match path {
        "/cap" => "/uri".to_owned(),
        "/named" => "/file".to_owned(),
        path => path.to_owned(),
    };
    let routes: BTreeSet<String> = routes.iter().map(|path| alias(path)).collect();
    // Below these two, any path goes to one handler.
    let top = |path: &str| match path.split('/').nth(1) {
        Some(first @ ("uri" | "file")) => format!("/{first}"),
        _ => path.to_owned(),
    };
    let described: BTreeSet<String> = operations().map(|operation| top(operation.path)).collect();
    assert_eq!(described, routes);
}

#[test]
fn the_document_holds_together() {
    let document = describe();
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, entry) in methods.as_object().unwrap() {
            assert!(
                ids.insert(entry["operationId"].as_str().unwrap().to_owned()),
                "{method} {path}"
            );
            assert!(
                entry["responses"].as_object().unwrap().len() > 2,
                "{method} {path}"
            );
            let names: Vec<&str> = entry["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|p| p["name"].as_str())
                .collect();
            assert_eq!(
                names.iter().collect::<BTreeSet<_>>().len(),
                names.len(),
                "{method} {path}: {names:?}"
            );
            assert_eq!(
                path.matches('{').count(),
                entry["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|p| p["in"] == "path")
                    .count()
            );
        }
    }
}

//! The description of the web API for programs: `GET /openapi.json`, OpenAPI 3.1, made from one typed table.
//!
//! The table stays true because tests compare it with the routes and with the operations that the code takes, both
//! ways. OpenAPI knows operations by path and method only; those that differ in `t` are told apart in the text of the
//! one that they share.

mod table;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use actix_web::HttpResponse;
use serde_json::{Map, Value, json};

use table::{Arg, Body, Gives, Kind, Operation, operations};

/// `GET /openapi.json`.
pub(super) async fn serve() -> HttpResponse {
    HttpResponse::Ok().json(describe())
}

/// The whole document.
fn describe() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut groups: BTreeMap<(&str, &str), Vec<Operation>> = BTreeMap::new();
    for operation in operations() {
        groups
            .entry((operation.path, operation.method))
            .or_default()
            .push(operation);
    }
    for ((path, method), group) in groups {
        let methods = paths.entry(path).or_default();
        methods.insert(method.to_lowercase(), entry(path, method, &group));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Truckee gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "GPL-2.0-or-later", "identifier": "GPL-2.0-or-later" },
            "description": "Files and directories by their caps, in the manner of the Tahoe-LAFS web API. /cap is the \
                same as /uri everywhere, /named the same as /file. Every answer carries X-Request-Id.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": { "schemas": { "Error": error_schema() } },
    })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["status", "cause", "message", "request_id"],
            "properties": {
                "status": { "type": "integer" },
                "cause": { "type": "string", "description": "A fixed word for programs" },
                "message": { "type": "string", "description": "One sentence for people" },
                "request_id": { "type": "string", "description": "As in the gateway's log" },
                "peers": { "type": "array", "items": { "type": "object" } },
            },
        } },
    })
}

fn entry(path: &str, method: &str, group: &[Operation]) -> Value {
    let words: Vec<&str> = group
        .iter()
        .map(|operation| operation.t)
        .filter(|t| !t.is_empty())
        .collect();
    let mut parameters = path_parameters(path);
    if !words.is_empty() {
        let absent = group.iter().any(|operation| operation.t.is_empty());
        parameters.push(json!({
            "name": "t", "in": "query", "required": !absent,
            "description": "Which operation", "schema": { "type": "string", "enum": words },
        }));
    }
    let args: BTreeMap<&str, &Arg> = group
        .iter()
        .flat_map(|operation| operation.args)
        .map(|arg| (arg.name, arg))
        .collect();
    parameters.extend(args.values().map(|arg| query(arg)));
    let lines: Vec<String> = group.iter().map(line).collect();
    let mut entry = json!({
        "operationId": operation_id(path, method),
        "summary": if let [only] = group { only.summary.to_owned() } else { format!("{} operations, by t", group.len()) },
        "description": lines.join("\n"),
        "parameters": parameters,
        "responses": responses(group),
    });
    if let Some(body) = body(group) {
        entry["requestBody"] = body;
    }
    entry
}

fn line(operation: &Operation) -> String {
    let args: Vec<&str> = operation.args.iter().map(|arg| arg.name).collect();
    let with = if args.is_empty() {
        String::new()
    } else {
        format!(" (with {})", args.join(", "))
    };
    match operation.t {
        "" => format!("* {}{with}", operation.summary),
        t => format!("* `t={t}`: {}{with}", operation.summary),
    }
}

/// `get /uri/{cap}/{path}` becomes `get_uri_cap_path`.
fn operation_id(path: &str, method: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.fold(method.to_lowercase(), |id, word| id + "_" + word)
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let about = |name: &str| match name {
        "cap" => ("A capability, percent-encoded or not", "URI:LIT:nbswy3dp"),
        "path" => ("Names below the directory, with slashes between them", "folder"),
        "name" => ("A name", "name"),
        _ => ("A handle that its caller chose", "handle"),
    };
    names
        .map(|name| {
            let (description, example) = about(name);
            json!({
                "name": name, "in": "path", "required": true, "description": description,
                "schema": { "type": "string", "minLength": 1 }, "example": example,
            })
        })
        .collect()
}

fn query(arg: &Arg) -> Value {
    let schema = match arg.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Words(words) => json!({ "type": "string", "enum": words }),
    };
    json!({ "name": arg.name, "in": "query", "required": false, "description": arg.about, "schema": schema })
}

fn body(group: &[Operation]) -> Option<Value> {
    let mut content = Map::new();
    for operation in group {
        match operation.body {
            Body::None => {}
            Body::Bytes => {
                content.insert("application/octet-stream".to_owned(), json!({ "schema": {} }));
            }
            Body::Cap => {
                content.insert("text/plain".to_owned(), json!({ "schema": { "type": "string" } }));
            }
            Body::Json => {
                let schema = json!({ "type": "object", "description":
                    "{name: [\"filenode\" or \"dirnode\", {\"rw_uri\", \"ro_uri\", \"metadata\"}]}" });
                content.insert("application/json".to_owned(), json!({ "schema": schema }));
            }
            Body::Form => {
                let schema = json!({ "type": "object", "additionalProperties": { "type": "string" },
                    "properties": { "file": { "type": "string", "contentMediaType": "application/octet-stream" } } });
                content.insert("multipart/form-data".to_owned(), json!({ "schema": schema }));
            }
        }
    }
    (!content.is_empty()).then(|| json!({ "required": false, "content": content }))
}

fn responses(group: &[Operation]) -> Value {
    let kinds: BTreeSet<&str> = group
        .iter()
        .flat_map(|operation| operation.gives.types())
        .copied()
        .collect();
    let content: Map<String, Value> = kinds
        .into_iter()
        .map(|kind| (kind.to_owned(), json!({})))
        .collect();
    let mut codes: BTreeMap<u16, Value> = BTreeMap::new();
    for operation in group {
        for code in operation.codes {
            let described = match code {
                200 => json!({ "description": "Done", "content": content }),
                201 => json!({ "description": "Made", "content": content }),
                206 => json!({ "description": "The part that was asked for", "content": content }),
                304 => json!({ "description": "As the client has it" }),
                _ => json!({ "description": "Elsewhere: see Location" }),
            };
            codes.insert(*code, described);
        }
    }
    let mut responses: Map<String, Value> = codes
        .into_iter()
        .map(|(code, said)| (code.to_string(), said))
        .collect();
    let error = json!({
        "description": "One sentence; as JSON if the client asks for it",
        "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Error" } },
            "text/plain": {}, "text/html": {},
        },
    });
    responses.insert("4XX".to_owned(), error.clone());
    responses.insert("5XX".to_owned(), error);
    Value::Object(responses)
}

impl Gives {
    fn types(self) -> &'static [&'static str] {
        match self {
            Gives::Text => &["text/plain"],
            Gives::Page => &["text/html"],
            Gives::Json => &["application/json"],
            Gives::PageOrJson => &["text/html", "application/json"],
            Gives::CapOrJson => &["text/plain", "application/json"],
            Gives::File => &["*/*"],
        }
    }
}

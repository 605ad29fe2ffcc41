//! Recent operations of this gateway, and where the time of each went.

use std::time::Duration;

use actix_web::HttpResponse;
use maud::{Markup, html};

use super::parts::{Tone, ago, badge, human_bytes, human_time};
use super::{Page, Place};

/// Colours that the style sheet has for stages.
const STAGE_COLOURS: usize = 6;

/// One operation, under way or ended.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct OperationRow {
    /// Its own page, if it has one: a path on this gateway.
    pub(in crate::http) href: Option<String>,
    /// What it does: `upload`, `download`, …
    pub(in crate::http) kind: String,
    /// What it works on; no cap.
    pub(in crate::http) storage_index: Option<String>,
    /// Bytes of plaintext in all, if known.
    pub(in crate::http) bytes: Option<u64>,
    /// Share of the work done, 0 to 1, while it is under way.
    pub(in crate::http) progress: Option<f64>,
    /// Whether it is under way.
    pub(in crate::http) active: bool,
    /// Why it failed.
    pub(in crate::http) failure: Option<String>,
    /// Seconds since 1970 when it began.
    pub(in crate::http) began_unix_s: u64,
    /// How long it took, or takes until now.
    pub(in crate::http) took: Duration,
    /// Where the time went.
    pub(in crate::http) stages: Vec<(String, Duration)>,
    /// Further facts: name and value.
    pub(in crate::http) facts: Vec<(String, String)>,
}

/// `GET /status`.
pub(in crate::http) fn list(rows: &[OperationRow]) -> HttpResponse {
    let (active, ended): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.active);
    let content = html! {
        div.title {
            h1 { "Operations" }
            p.sub { "What this gateway does and has done since it started. It keeps the last ones only, and no caps." }
        }
        div id="live" data-every="2" {
            @if !active.is_empty() { (table("Under way", &active)) }
            @if ended.is_empty() && active.is_empty() {
                div.empty { h2 { "Nothing yet" } p { "Uploads, downloads and changes of folders show up here, each with the time of its stages." } }
            } @else if !ended.is_empty() { (table("Recent", &ended)) }
        }
    };
    respond("Operations", content)
}

/// `GET /status/NAME`: one of them.
pub(in crate::http) fn one(row: &OperationRow) -> HttpResponse {
    let content = html! {
        nav.crumbs aria-label="Path" { ol { li { a href="/status" { "Operations" } } li aria-current="page" { (row.kind) } } }
        div id="live" data-every="2" {
            div.title { h1 { (row.kind) " " (state(row)) } }
            @if let Some(failure) = &row.failure { (super::parts::notice(Tone::Bad, &html! { (failure) })) }
            section.panel {
                table.facts {
                    tr { th scope="row" { "Began" } td { (super::parts::moment(row.began_unix_s)) } }
                    tr { th scope="row" { "Time" } td { (human_time(row.took)) } }
                    @if let Some(index) = &row.storage_index { tr { th scope="row" { "Storage index" } td { code { (index) } } } }
                    @if let Some(bytes) = row.bytes { tr { th scope="row" { "Size" } td { (human_bytes(bytes)) } } }
                    @for (name, value) in &row.facts { tr { th scope="row" { (name) } td { (value) } } }
                }
            }
            @if !row.stages.is_empty() { section.panel { h2 { "Stages" } (stages(row)) } }
        }
    };
    respond("Operation", content)
}

fn respond(title: &str, content: Markup) -> HttpResponse {
    let page = Page {
        place: Place::Operations,
        title,
        scripts: &["live.js"],
        content,
    };
    page.respond()
}

fn table(name: &str, rows: &[&OperationRow]) -> Markup {
    html! {
        section { h2 { (name) }
            div.panel.scroll { table.operations {
                thead { tr {
                    th scope="col" { "Operation" } th scope="col" { "State" } th.number scope="col" { "Size" }
                    th.number scope="col" { "Time" } th.number scope="col" { "Rate" } th scope="col" { "Stages" }
                    th.number scope="col" { "Began" }
                } }
                tbody { @for row in rows { (line(row)) } }
            } }
        }
    }
}

fn line(row: &OperationRow) -> Markup {
    html! {
        tr {
            td {
                @if let Some(href) = &row.href { a href=(href) { (row.kind) } } @else { (row.kind) }
                @if let Some(index) = &row.storage_index { " " code.faint { (index.get(..8).unwrap_or(index)) } }
                @if let Some(failure) = &row.failure { div.why { (failure) } }
            }
            td { (state(row)) }
            td.number { @if let Some(bytes) = row.bytes { (human_bytes(bytes)) } @else { "–" } }
            td.number { (human_time(row.took)) }
            td.number { (rate(row)) }
            td { (bar(row)) }
            td.number { (ago(row.began_unix_s)) }
        }
    }
}

fn state(row: &OperationRow) -> Markup {
    match (row.active, &row.failure, row.progress) {
        (true, _, Some(done)) => html! {
            progress max="100" value=(format!("{:.0}", done.clamp(0.0, 1.0) * 100.0)) aria-label="Done" {}
        },
        (true, _, None) => badge(Tone::Quiet, "under way"),
        (false, Some(_), _) => badge(Tone::Bad, "failed"),
        (false, None, _) => badge(Tone::Good, "done"),
    }
}

fn rate(row: &OperationRow) -> String {
    let seconds = row.took.as_secs_f64();
    match row.bytes {
        Some(bytes) if !row.active && row.failure.is_none() && bytes > 0 && seconds > 0.0 => {
            human_bytes((bytes as f64 / seconds) as u64) + "/s"
        }
        _ => "–".to_owned(),
    }
}

/// The stages as one bar: a picture of their proportions, drawn without style attributes.
fn bar(row: &OperationRow) -> Markup {
    let all: f64 = row.stages.iter().map(|(_, time)| time.as_secs_f64()).sum();
    if all <= 0.0 {
        return html! {};
    }
    let words: Vec<String> = row
        .stages
        .iter()
        .map(|(name, time)| format!("{name} {}", human_time(*time)))
        .collect();
    let mut at = 0.0;
    let mut places = Vec::with_capacity(row.stages.len());
    for (number, (_, time)) in row.stages.iter().enumerate() {
        let width = time.as_secs_f64() / all * 100.0;
        places.push((number % STAGE_COLOURS, at, width));
        at += width;
    }
    html! {
        svg.stages viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(words.join(", ")) {
            title { (words.join(", ")) }
            @for (colour, x, width) in places {
                rect class={ "stage stage-" (colour) } x=(format!("{x:.2}")) y="0" width=(format!("{width:.2}")) height="6" {}
            }
        }
    }
}

fn stages(row: &OperationRow) -> Markup {
    html! {
        (bar(row))
        table.facts {
            @for (number, (name, time)) in row.stages.iter().enumerate() {
                tr {
                    th scope="row" { svg.key viewBox="0 0 1 1" aria-hidden="true" { rect class={ "stage stage-" (number % STAGE_COLOURS) } width="1" height="1" {} } (name) }
                    td.number { (human_time(*time)) }
                }
            }
        }
    }
}

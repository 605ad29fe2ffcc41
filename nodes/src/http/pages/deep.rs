//! A deep operation: one that walks a whole tree, with its state while it runs and its result.

use std::time::Duration;

use actix_web::HttpResponse;
use maud::html;

use super::parts::{Tone, badge, human_time, notice, tile};
use super::{Page, Place};

/// A deep operation at one moment.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct DeepPage {
    /// What it does, for people: "Deep check", "Manifest", …
    pub(in crate::http) kind: String,
    /// Its handle.
    pub(in crate::http) handle: String,
    /// Whether it has ended.
    pub(in crate::http) finished: bool,
    /// Why it failed.
    pub(in crate::http) failure: Option<String>,
    /// How long it has run.
    pub(in crate::http) took: Duration,
    /// Numbers found until now: name and value.
    pub(in crate::http) counts: Vec<(String, u64)>,
    /// Things that people should look at: path and what is the matter. At most a page of them.
    pub(in crate::http) problems: Vec<(String, String)>,
}

/// `GET /operations/H` for people.
pub(in crate::http) fn page(deep: &DeepPage) -> HttpResponse {
    let state = match (deep.finished, &deep.failure) {
        (_, Some(_)) => badge(Tone::Bad, "failed"),
        (true, None) => badge(Tone::Good, "done"),
        (false, None) => badge(Tone::Quiet, "under way"),
    };
    let content = html! {
        nav.crumbs aria-label="Path" { ol { li { a href="/status" { "Operations" } } li aria-current="page" { (deep.kind) } } }
        div id="live" data-every=[(!deep.finished).then_some("1")] {
            div.title { h1 { (deep.kind) " " (state) } p.sub { (human_time(deep.took)) } }
            @if let Some(failure) = &deep.failure { (notice(Tone::Bad, &html! { (failure) })) }
            div.tiles { @for (name, value) in &deep.counts { (tile(name, &value.to_string(), "")) } }
            @if !deep.problems.is_empty() {
                section.panel.scroll { h2 { "To look at" } table {
                    thead { tr { th scope="col" { "Path" } th scope="col" { "What" } } }
                    tbody { @for (path, what) in &deep.problems { tr { td { (path) } td { (what) } } } }
                } }
            }
        }
        @if !deep.finished {
            form method="post" action={ "/operations/" (crate::http::path::encode(&deep.handle)) "?t=cancel" } {
                button type="submit" { "Stop it" }
            }
        }
    };
    let page = Page {
        place: Place::Operations,
        title: &deep.kind,
        scripts: &["live.js"],
        content,
    };
    page.respond()
}

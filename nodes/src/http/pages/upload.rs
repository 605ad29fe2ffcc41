//! What follows the upload of a single file by a form.

use actix_web::HttpResponse;
use maud::html;

use super::parts::{copyable, human_bytes, human_time, icon};
use super::{Page, Place};
use crate::http::path;
use crate::http::upload::Stored;

/// The answer to a form with a file in it.
pub(in crate::http) fn stored(stored: &Stored, name: &str) -> HttpResponse {
    let cap = stored.cap.to_uri();
    let shown = if name.is_empty() { "file" } else { name };
    let link = format!("/file/{}/{}", path::encode(&cap), path::encode(shown));
    let content = html! {
        div.title { h1 { "Stored" } p.sub { (shown) ", " (human_bytes(stored.bytes)) } }
        section.panel {
            h2 { "Cap" }
            (copyable("Cap of the file", &cap))
            p.hint { "This is the only key to the file. Keep it; nobody can make it again." }
            p.row {
                a.button.primary href=(link) { (icon("file")) "Open" }
                a.button href={ (link) "?save=true" } { "Download" }
                a.button href="/files" { "Back" }
            }
        }
        @if let Some(outcome) = &stored.outcome {
            section.panel {
                h2 { "How it went" }
                table.facts {
                    tr { th scope="row" { "Shares placed" } td.number { (outcome.placed) } }
                    tr { th scope="row" { "Happiness" } td.number { (outcome.happiness) } }
                    @for (stage, time) in [
                        ("Choosing peers", outcome.timings.choose),
                        ("Encoding", outcome.timings.encode),
                        ("Sending", outcome.timings.push),
                        ("Closing", outcome.timings.close),
                        ("In all", outcome.timings.total),
                    ] {
                        tr { th scope="row" { (stage) } td.number { (human_time(time)) } }
                    }
                }
            }
        }
    };
    let page = Page {
        place: Place::Files,
        title: "Stored",
        scripts: &["copy.js"],
        content,
    };
    page.respond()
}

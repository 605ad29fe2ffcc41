//! Where people begin: make a folder, open what they have a cap of, store a single file.
//!
//! The gateway remembers no folder for anybody: whoever reads its memory would have the keys. The browser does, if its
//! user says so.

use actix_web::HttpResponse;
use maud::{Markup, html};

use super::parts::icon;
use super::{Page, Place};

/// `GET /files`.
pub(in crate::http) async fn files() -> HttpResponse {
    let content = html! {
        div.title {
            h1 { "Files" }
            p.sub { "A folder or file is reached by its cap, the only key to it. Whoever has the cap has access; lost caps cannot be made again." }
        }
        (cards())
        section.panel aria-labelledby="single" {
            h2 id="single" { "Store a single file" }
            form.row id="upload-single" action="/uri?t=upload" method="post" enctype="multipart/form-data" {
                input type="file" name="file" aria-label="File" required;
                button type="submit" { (icon("upload")) "Upload" }
            }
            p.hint { "It goes into no folder; the next page shows its cap." }
        }
    };
    let page = Page {
        place: Place::Files,
        title: "Files",
        scripts: &["start.js"],
        content,
    };
    page.respond()
}

/// The ways in, and the folders that this browser remembers.
pub(super) fn cards() -> Markup {
    html! {
        div.cards {
            form.card action="/uri?t=mkdir&redirect_to_result=true" method="post" enctype="multipart/form-data" {
                h3 { (icon("plus")) "New folder" }
                p { "Makes an empty folder and takes you there. Keep its address: it is the key." }
                input type="hidden" name="t" value="mkdir";
                input type="hidden" name="redirect_to_result" value="true";
                button.primary type="submit" id="new-root" { "Create a folder" }
            }
            form.card action="/uri" method="get" {
                h3 { (icon("lock")) "Open a cap" }
                p { label for="open-cap" { "Paste the cap of a folder or file." } }
                div.row {
                    input type="text" id="open-cap" name="uri" placeholder="URI:DIR2:…" autocomplete="off"
                        spellcheck="false" required;
                    button type="submit" { "Open" }
                }
            }
            div.card id="remembered" hidden {
                h3 { (icon("folder")) "In this browser" }
                ul.plain id="remembered-list" {}
                p.hint { "Only this browser knows them. Do not use this on a computer that you share." }
            }
        }
    }
}

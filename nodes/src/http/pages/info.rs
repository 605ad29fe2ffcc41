//! Details of one thing: its caps, and the ways to check it.

use actix_web::HttpResponse;
use maud::{Markup, html};
use truckee_grid::caps::Cap;

use super::directory::{address, crumbs};
use super::parts::{copyable, human_bytes};
use super::{Page, Place};

/// What is shown.
pub(in crate::http) struct InfoPage<'p> {
    /// The cap in the address.
    pub(in crate::http) root: &'p Cap,
    /// Names below it.
    pub(in crate::http) path: &'p [String],
    /// The thing's own cap.
    pub(in crate::http) cap: &'p Cap,
    /// Bytes of a file, if known.
    pub(in crate::http) size: Option<u64>,
}

/// `t=info`.
pub(in crate::http) fn page(shown: &InfoPage<'_>) -> HttpResponse {
    let name = shown.path.last().map_or("Details", String::as_str);
    let mut here = address(shown.root, shown.path);
    if !shown.cap.is_directory() {
        // Below a file there is nothing, not even an empty name.
        here.pop();
    }
    let index = shown.cap.storage_index().map(|index| index.to_base32());
    let content = html! {
        (crumbs(shown.root, shown.path, Some("Details")))
        div.title.split {
            h1 { (name) }
            div.tools {
                a.button.small href=(here) { "Open" }
                @if !shown.cap.is_directory() { a.button.small href={ (here) "?save=true" } { "Download" } }
            }
        }
        section.panel {
            h2 { "Caps" }
            p.hint { "A cap is a key. Give away only the one that allows what you mean to allow." }
            (caps(shown.cap))
        }
        section.panel {
            h2 { "Facts" }
            table.facts {
                tr { th scope="row" { "Kind" } td { code { (shown.cap.kind()) } } }
                @if let Some(size) = shown.size { tr { th scope="row" { "Size" } td { (human_bytes(size)) " (" (size) " bytes)" } } }
                @if let Some(index) = index { tr { th scope="row" { "Storage index" } td { code { (index) } } } }
                tr { th scope="row" { "For programs" } td { a href={ (here) "?t=json" } { "JSON" } } }
            }
        }
        (checks(shown.cap, &here))
    };
    let page = Page {
        place: Place::Files,
        title: name,
        scripts: &["copy.js"],
        content,
    };
    page.respond()
}

fn caps(cap: &Cap) -> Markup {
    let own = cap.to_uri();
    let read = cap.to_read().map(|cap| cap.to_uri());
    let verify = cap.to_verifier().map(|cap| cap.to_uri());
    let writes = read.as_ref().is_some_and(|read| *read != own);
    html! {
        @if writes { h3 { "Read and change" } (copyable("Write cap", &own)) }
        @if let Some(read) = &read { h3 { "Read only" } (copyable("Read cap", read)) }
        @if let Some(verify) = &verify { h3 { "Check only: reads nothing" } (copyable("Verify cap", verify)) }
    }
}

/// A handle that nobody else guesses: whoever knows one sees the result.
fn handle() -> String {
    let mut bytes = [0; 8];
    // Without randomness the handle is the time, which only makes it easier to guess.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = super::parts::now_unix_s().to_be_bytes();
    }
    format!("page-{:016x}", u64::from_be_bytes(bytes))
}

fn checks(cap: &Cap, here: &str) -> Markup {
    html! {
        section.panel {
            h2 { "Check" }
            p { "Asks the peers which shares they hold." }
            form.row action={ (here) "?t=check" } method="post" {
                (choices())
                button type="submit" { "Check" }
            }
            @if cap.is_directory() {
                p { "Or everything in and below this folder:" }
                form.row action={ (here) "?t=start-deep-check" } method="post" {
                    input type="hidden" name="ophandle" value=(handle());
                    (choices())
                    button type="submit" { "Check all" }
                }
            }
        }
    }
}

fn choices() -> Markup {
    html! {
        label { input type="checkbox" name="verify" value="true"; " read and verify every byte" }
        label { input type="checkbox" name="repair" value="true"; " make missing shares again" }
    }
}

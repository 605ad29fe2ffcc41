//! The result of a check: is the thing whole, and who holds its shares.

use actix_web::HttpResponse;
use maud::html;

use super::parts::{Tone, notice, tile};
use super::{Page, Place};

/// The result of one check.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct CheckPage {
    /// One sentence.
    pub(in crate::http) summary: String,
    /// None for a file that lives in its cap.
    pub(in crate::http) storage_index: Option<String>,
    /// All shares are there and good.
    pub(in crate::http) healthy: bool,
    /// Enough of them are.
    pub(in crate::http) recoverable: bool,
    /// Distinct good shares found, needed, and made.
    pub(in crate::http) good: u64,
    /// Shares that restore it.
    pub(in crate::http) needed: u64,
    /// Shares that were made.
    pub(in crate::http) expected: u64,
    /// Damaged shares: nickname or id of the peer, share number.
    pub(in crate::http) corrupt: Vec<(String, u64)>,
    /// Share number, and the peers that hold it.
    pub(in crate::http) share_map: Vec<(u64, Vec<String>)>,
    /// Whether every byte was read.
    pub(in crate::http) verified: bool,
    /// What a repair did, if one was attempted; the rest of the page is of the check after it.
    pub(in crate::http) repair: Option<String>,
    /// Where to go back to: a path on this gateway.
    pub(in crate::http) back: Option<String>,
}

/// The answer to `t=check` for people.
pub(in crate::http) fn page(check: &CheckPage) -> HttpResponse {
    let (tone, word) = match (check.healthy, check.recoverable) {
        (true, _) => (Tone::Good, "Healthy."),
        (false, true) => (Tone::Warn, "Readable, but shares are missing."),
        (false, false) => (Tone::Bad, "Not readable now."),
    };
    let content = html! {
        div.title {
            h1 { "Check" }
            @if let Some(index) = &check.storage_index { p.sub { "Storage index " code { (index) } } }
        }
        (notice(tone, &html! { strong { (word) } " " (check.summary) }))
        @if let Some(repair) = &check.repair { (notice(tone, &html! { strong { "Repair." } " " (repair) })) }
        @if check.storage_index.is_some() {
            div.tiles {
                (tile("Good shares", &format!("{} of {}", check.good, check.expected), "distinct ones"))
                (tile("Needed", &check.needed.to_string(), "to restore it"))
                (tile("Damaged", &check.corrupt.len().to_string(),
                      if check.verified { "every byte was read" } else { "as far as peers noticed" }))
            }
            section.panel.scroll {
                h2 { "Where the shares are" }
                @if check.share_map.is_empty() { p { "No share was found on any peer that answered." } }
                @else { table {
                    thead { tr { th.number scope="col" { "Share" } th scope="col" { "Peers" } } }
                    tbody { @for (share, peers) in &check.share_map { tr { td.number { (share) } td { (peers.join(", ")) } } } }
                } }
            }
            @if !check.corrupt.is_empty() {
                section.panel { h2 { "Damaged shares" } ul { @for (peer, share) in &check.corrupt { li { "share " (share) " on " (peer) } } } }
            }
        }
        @if let Some(back) = &check.back { p { a.button href=(back) { "Back" } } }
    };
    let page = Page {
        place: Place::Files,
        title: "Check",
        scripts: &[],
        content,
    };
    page.respond()
}

//! How full the storage peers are.

use actix_web::HttpResponse;
use maud::{Markup, html};

use super::parts::{badge, human_bytes, human_time, meter, tile};
use super::{Page, Place, grid};
use crate::http::port::PeerState;

/// What one storage peer says of itself.
#[derive(Clone, Debug)]
pub(in crate::http) struct StorageRow {
    /// Text form of its id.
    pub(in crate::http) node_id: String,
    /// Name for people.
    pub(in crate::http) nickname: String,
    /// Where it stands.
    pub(in crate::http) zone: String,
    /// State of the link to it.
    pub(in crate::http) state: PeerState,
    /// Shares that it holds; none if it has not said.
    pub(in crate::http) shares: Option<u64>,
    /// Bytes of them.
    pub(in crate::http) used_bytes: Option<u64>,
    /// Bytes that it would take.
    pub(in crate::http) available_bytes: Option<u64>,
    /// Whether it takes new shares; none if it has not said.
    pub(in crate::http) accepts: Option<bool>,
    /// How long it runs.
    pub(in crate::http) uptime: Option<std::time::Duration>,
}

/// `GET /storage`.
pub(in crate::http) fn page(rows: &[StorageRow]) -> HttpResponse {
    let sum = |of: fn(&StorageRow) -> Option<u64>| rows.iter().filter_map(of).sum::<u64>();
    let used = sum(|row| row.used_bytes);
    let free = sum(|row| row.available_bytes);
    let content = html! {
        div.title { h1 { "Storage" } p.sub { "Space and shares on each peer, as it last told this gateway." } }
        @if rows.is_empty() {
            div.empty { h2 { "No storage peers" } p { "Run a node with the role " code { "storage" } " and give it an invite of this grid." } }
        } @else {
            div.tiles {
                (tile("Shares", &sum(|row| row.shares).to_string(), "on all peers"))
                (tile("Taken", &human_bytes(used), "by shares"))
                (tile("Left", &human_bytes(free), "for new shares"))
            }
            section aria-labelledby="peers" { h2 id="peers" { "Peers" } (table(rows)) }
        }
    };
    let page = Page {
        place: Place::Storage,
        title: "Storage",
        scripts: &[],
        content,
    };
    page.respond()
}

fn table(rows: &[StorageRow]) -> Markup {
    html! {
        div.panel.scroll { table {
            thead { tr {
                th scope="col" { "Peer" } th scope="col" { "Zone" } th scope="col" { "Link" } th scope="col" { "Takes shares" }
                th scope="col" { "Filled" } th.number scope="col" { "Shares" } th.number scope="col" { "Taken" }
                th.number scope="col" { "Left" } th.number scope="col" { "Up for" }
            } }
            tbody { @for row in rows { tr {
                td title=(row.node_id) { strong { (row.nickname) } }
                td { @if row.zone.is_empty() { "–" } @else { (row.zone) } }
                td { (badge(grid::tone(row.state), grid::word(row.state))) }
                td { (match row.accepts { Some(true) => "yes", Some(false) => "no", None => "–" }) }
                td { @if let Some((used, free)) = row.used_bytes.zip(row.available_bytes) {
                    (meter(used, used.saturating_add(free), "Filled"))
                } @else { "–" } }
                td.number { (number(row.shares)) }
                td.number { (bytes(row.used_bytes)) }
                td.number { (bytes(row.available_bytes)) }
                td.number { @if let Some(time) = row.uptime { (human_time(time)) } @else { "–" } }
            } } }
        } }
    }
}

fn number(count: Option<u64>) -> String {
    count.map_or_else(|| "–".to_owned(), |count| count.to_string())
}

fn bytes(count: Option<u64>) -> String {
    count.map_or_else(|| "–".to_owned(), human_bytes)
}

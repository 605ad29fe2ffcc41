//! The grid's page: is it well, who belongs to it, where to begin.

use actix_web::HttpResponse;
use maud::{Markup, html};

use super::parts::{Tone, ago, badge, human_bytes, human_time, notice, tile};
use super::{Page, Place, start};
use crate::http::Gateway;
use crate::http::port::{NodeSnapshot, PeerRow, PeerState};
use crate::role::Role;

/// `GET /`.
pub(in crate::http) fn welcome(gateway: &Gateway) -> HttpResponse {
    let node = gateway.view.snapshot();
    let content = html! {
        div.title {
            h1 { (node.nickname) }
            p.sub { "Gateway " code title=(node.node_id) { (short(&node.node_id)) } }
        }
        (readiness(&node, gateway))
        (tiles(&node))
        section aria-labelledby="start" { h2 id="start" { "Your files" } (start::cards()) }
        section aria-labelledby="peers" { h2 id="peers" { "Peers" } (peers(&node.peers)) }
    };
    let page = Page {
        place: Place::Grid,
        title: "Grid",
        scripts: &["start.js"],
        content,
    };
    page.respond()
}

fn readiness(node: &NodeSnapshot, gateway: &Gateway) -> Markup {
    let encoding = &gateway.encoding;
    let (k, n, happy) = (encoding.coding().k(), encoding.coding().n(), encoding.happy());
    match &node.unready {
        None => notice(
            Tone::Good,
            &html! {
                strong { "Ready." } " A file becomes " (n) " encrypted shares on different peers; any " (k)
                " restore it. An upload counts once " (happy) " peers hold one."
            },
        ),
        Some(reason) => notice(
            Tone::Bad,
            &html! { strong { "Not ready." } " " (reason) ". Reading may work all the same." },
        ),
    }
}

fn tiles(node: &NodeSnapshot) -> Markup {
    let (storage_up, storage) = linked(node, Role::Storage);
    let (introducers_up, introducers) = linked(node, Role::Introducer);
    let (vdrives_up, vdrives) = linked(node, Role::Vdrive);
    let free: u64 = node.peers.iter().filter_map(|peer| peer.available_bytes).sum();
    let of = |up: usize, all: usize| format!("{up} of {all}");
    html! {
        div.tiles {
            (tile("Storage peers", &of(storage_up, storage), "linked"))
            (tile("Space left", &human_bytes(free), "on all peers, before coding"))
            (tile("Introducers", &of(introducers_up, introducers), "linked"))
            (tile("Virtual drive", &of(vdrives_up, vdrives),
                  if vdrives == 0 { "none: files work by their caps only" } else { "linked" }))
        }
    }
}

/// How many of a role are linked, and how many there are.
fn linked(node: &NodeSnapshot, role: Role) -> (usize, usize) {
    let peers = node.peers.iter().filter(|peer| peer.roles.contains(&role));
    peers.fold((0, 0), |(up, all), peer| {
        (up + usize::from(peer.state.is_up()), all + 1)
    })
}

fn peers(rows: &[PeerRow]) -> Markup {
    let mut zones: Vec<&str> = rows.iter().map(|peer| peer.zone.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    html! {
        div.panel.scroll {
            table.peers {
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "Link" } th scope="col" { "Roles" }
                    th.number scope="col" { "Round trip" } th.number scope="col" { "Heard" }
                    th.number scope="col" { "Space left" } th scope="col" { "Address" }
                } }
                @for zone in &zones {
                    tbody {
                        @if zones.len() > 1 || !zone.is_empty() {
                            tr.group { th colspan="7" scope="rowgroup" {
                                @if zone.is_empty() { "No zone" } @else { "Zone " (zone) }
                            } }
                        }
                        @for peer in rows.iter().filter(|peer| peer.zone == *zone) { (row(peer)) }
                    }
                }
            }
        }
    }
}

fn row(peer: &PeerRow) -> Markup {
    let roles: Vec<&str> = peer.roles.iter().map(|role| role.word()).collect();
    let failure = peer.last_failure.as_deref().filter(|_| !peer.state.is_up());
    html! {
        tr {
            td title=(peer.node_id) {
                strong { (peer.nickname) }
                @if let Some(failure) = failure { div.why { (failure) } }
            }
            td { (badge(tone(peer.state), word(peer.state))) }
            td { (roles.join(", ")) }
            td.number { @if let Some(trip) = peer.round_trip { (human_time(trip)) } @else { "–" } }
            td.number { @if let Some(at) = peer.last_heard_unix_s { (ago(at)) } @else { "–" } }
            td.number { @if let Some(bytes) = peer.available_bytes { (human_bytes(bytes)) } @else { "–" } }
            td title=(peer.software) { code { (peer.address.as_deref().unwrap_or("–")) } }
        }
    }
}

/// The colour of a link.
pub(super) fn tone(state: PeerState) -> Tone {
    match state {
        PeerState::Own | PeerState::Up => Tone::Good,
        PeerState::Backoff => Tone::Bad,
        PeerState::Draining => Tone::Warn,
        PeerState::Idle | PeerState::Dialing => Tone::Quiet,
    }
}

/// A link in words for people.
pub(super) fn word(state: PeerState) -> &'static str {
    match state {
        PeerState::Own => "this node",
        PeerState::Up => "linked",
        PeerState::Backoff => "unreachable",
        PeerState::Draining => "leaving",
        PeerState::Idle => "idle",
        PeerState::Dialing => "dialing",
    }
}

/// The beginning of a node's id, enough to tell nodes apart.
pub(super) fn short(node_id: &str) -> &str {
    node_id.get(..8).unwrap_or(node_id)
}

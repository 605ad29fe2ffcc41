//! Pages for people: the welcome page with the peers and the upload form, and what follows an upload.
//!
//! Made on the server, readable without JavaScript, nothing loaded from elsewhere. Every value that comes from
//! outside goes through [`Escaped`]; the content policy would stop a script that got past it.

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::Gateway;
use super::path;
use super::port::{NodeSnapshot, PeerRow, PeerState};
use super::upload::Stored;
use crate::role::Role;

/// Only our own files, no frames, no inline script or style.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                           form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Text that may stand anywhere in HTML, also inside a quoted attribute.
pub(super) struct Escaped<'t>(pub(super) &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A page as an answer.
pub(super) fn page(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}

/// `GET /`.
pub(super) fn welcome(gateway: &Gateway) -> HttpResponse {
    let now_unix_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    page(render_welcome(&gateway.view.snapshot(), gateway, now_unix_s))
}

/// `GET /static/style.css`.
pub(super) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../../assets/style.css"))
}

/// `GET /static/upload.js`.
pub(super) async fn script() -> HttpResponse {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("../../assets/upload.js"),
    )
}

fn asset(content_type: &'static str, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    response.body(web::Bytes::from_static(text.as_bytes()))
}

fn frame(title: &str, content: &str, script: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<link rel=\"stylesheet\" href=\"/static/style.css\">\n</head>\n\
         <body>\n{content}\n{script}</body>\n</html>\n",
        Escaped(title)
    )
}

fn render_welcome(node: &NodeSnapshot, gateway: &Gateway, now_unix_s: u64) -> String {
    let encoding = &gateway.encoding;
    let state = match &node.unready {
        None => "<span class=\"good\">ready</span>".to_owned(),
        Some(reason) => format!("<span class=\"bad\">not ready: {}</span>", Escaped(reason)),
    };
    let storage = node
        .peers
        .iter()
        .filter(|peer| peer.roles.contains(&Role::Storage));
    let (up, all) = storage.fold((0, 0), |(up, all), peer| {
        (up + usize::from(peer.state.is_up()), all + 1)
    });
    let rows: String = node
        .peers
        .iter()
        .map(|peer| render_peer(peer, now_unix_s))
        .collect();
    let content = format!(
        "<h1>{nickname}</h1>\n<p class=\"quiet\">Truckee {version}, gateway <code>{id}</code></p>\n\
         <p>{state}. {up} of {all} storage peers are linked.\n\
         A file is cut into {n} shares of which any {k} restore it; an upload counts when {happy} peers hold one.</p>\n\
         <h2>Store a file</h2>\n\
         <form id=\"upload\" action=\"/uri?t=upload\" method=\"post\" enctype=\"multipart/form-data\">\n\
         <input id=\"file\" type=\"file\" name=\"file\" aria-label=\"file\" required>\n\
         <button type=\"submit\">Upload</button>\n\
         <p class=\"quiet\">The answer is a cap: the only key to the file. Keep it; nobody can make it again.</p>\n\
         </form>\n<div id=\"results\" aria-live=\"polite\"></div>\n\
         <h2>Read a file</h2>\n<form action=\"/uri\" method=\"get\">\n\
         <input type=\"text\" name=\"uri\" size=\"60\" aria-label=\"cap\" placeholder=\"URI:CHK:…\" required>\n\
         <button type=\"submit\">Open</button>\n</form>\n\
         <h2>Peers</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>name</th><th>roles</th><th>zone</th>\
         <th>link</th><th>address</th><th class=\"number\">round trip</th><th class=\"number\">last heard</th>\
         <th class=\"number\">free</th><th>software</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>",
        nickname = Escaped(&node.nickname),
        version = env!("CARGO_PKG_VERSION"),
        id = Escaped(&node.node_id),
        k = encoding.coding().k(),
        n = encoding.coding().n(),
        happy = encoding.happy(),
    );
    frame(
        &node.nickname,
        &content,
        "<script src=\"/static/upload.js\"></script>\n",
    )
}

fn render_peer(peer: &PeerRow, now_unix_s: u64) -> String {
    let roles: Vec<&str> = peer.roles.iter().map(|role| role.word()).collect();
    let class = match peer.state {
        PeerState::Own | PeerState::Up => "good",
        PeerState::Backoff => "bad",
        PeerState::Idle | PeerState::Dialing | PeerState::Draining => "quiet",
    };
    let heard = peer
        .last_heard_unix_s
        .map(|at| format!("{} s ago", now_unix_s.saturating_sub(at)));
    let trip = peer
        .round_trip
        .map(|trip| format!("{:.1} ms", trip.as_secs_f64() * 1e3));
    let failure = peer
        .last_failure
        .as_deref()
        .filter(|_| !peer.state.is_up())
        .unwrap_or_default();
    let mut row = String::new();
    let written = writeln!(
        row,
        "<tr><td title=\"{id}\">{name}</td><td>{roles}</td><td>{zone}</td>\
         <td title=\"{failure}\"><span class=\"{class}\">{state}</span></td><td>{address}</td>\
         <td class=\"number\">{trip}</td><td class=\"number\">{heard}</td><td class=\"number\">{free}</td>\
         <td>{software}</td></tr>",
        id = Escaped(&peer.node_id),
        name = Escaped(&peer.nickname),
        roles = roles.join(", "),
        zone = Escaped(&peer.zone),
        failure = Escaped(failure),
        state = peer.state.word(),
        address = Escaped(peer.address.as_deref().unwrap_or_default()),
        trip = trip.unwrap_or_default(),
        heard = heard.unwrap_or_default(),
        free = peer.available_bytes.map(human_bytes).unwrap_or_default(),
        software = Escaped(&peer.software),
    );
    written.expect("writing to a String cannot fail");
    row
}

/// The answer to a form with a file in it.
pub(super) fn stored(stored: &Stored, name: &str) -> String {
    let cap = stored.cap.to_uri();
    let shown = if name.is_empty() { "the file" } else { name };
    let file = if name.is_empty() { "file" } else { name };
    let mut content = format!(
        "<h1>Stored</h1>\n<p><a href=\"/file/{link}/{file}\">{shown}</a>, {size}</p>\n\
         <p class=\"cap\">{cap}</p>\n\
         <p class=\"quiet\">This cap is the only key to the file. Keep it; nobody can make it again.</p>\n",
        link = path::encode(&cap),
        file = path::encode(file),
        shown = Escaped(shown),
        size = human_bytes(stored.bytes),
        cap = Escaped(&cap),
    );
    if let Some(outcome) = &stored.outcome {
        let _infallible = write!(
            content,
            "<table>\n<tr><td>shares placed</td><td class=\"number\">{}</td></tr>\n\
             <tr><td>happiness</td><td class=\"number\">{}</td></tr>\n",
            outcome.placed, outcome.happiness
        );
        let timings = &outcome.timings;
        for (stage, time) in [
            ("choosing peers", timings.choose),
            ("encoding", timings.encode),
            ("sending", timings.push),
            ("closing", timings.close),
            ("in all", timings.total),
        ] {
            let millis = time.as_secs_f64() * 1e3;
            let _infallible = writeln!(
                content,
                "<tr><td>{stage}</td><td class=\"number\">{millis:.1} ms</td></tr>"
            );
        }
        content.push_str("</table>\n");
    }
    content.push_str("<p><a href=\"/\">Back</a></p>");
    frame("Stored", &content, "")
}

/// In the unit that leaves at most three digits before the point.
fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(
            Escaped("<script>alert(\"a\" + 'b')</script>&amp;").to_string(),
            "&lt;script&gt;alert(&quot;a&quot; + &#39;b&#39;)&lt;/script&gt;&amp;amp;"
        );
    }

    #[test]
    fn counts_for_people() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(human_bytes(bytes), expected);
        }
    }
}

//! Pages for people: the grid, files, operations, storage.
//!
//! Made on the server by typed templates that escape every value, readable and usable without JavaScript, nothing
//! loaded from elsewhere. Each page is a function from plain data to an answer, and asks nobody for anything. The
//! content policy would stop a script that got past the escaping.
//!
//! A cap in a page's address is a key: the pages are never kept by caches, and tell no other site where they are.

mod assets;
pub(super) mod check;
pub(super) mod deep;
pub(super) mod directory;
mod failure;
mod grid;
pub(super) mod info;
pub(super) mod operations;
mod parts;
mod start;
pub(super) mod storage;
mod upload;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use maud::{DOCTYPE, Markup, html};

pub(super) use assets::asset;
pub(super) use failure::failure;
pub(super) use grid::welcome;
pub(super) use start::files;
pub(super) use upload::stored;

/// Only our own files, no frames, no inline script or style. Pictures and sound are stored content, which cannot run
/// anything from those places.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                           img-src 'self'; media-src 'self'; form-action 'self'; base-uri 'none'; \
                           frame-ancestors 'none'";

/// Where a page stands in the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Grid,
    Files,
    Operations,
    Storage,
    /// In none of them.
    Elsewhere,
}

impl Place {
    const ALL: [(Place, &'static str, &'static str); 4] = [
        (Place::Grid, "/", "Grid"),
        (Place::Files, "/files", "Files"),
        (Place::Operations, "/status", "Operations"),
        (Place::Storage, "/storage", "Storage"),
    ];
}

/// One page before it is framed.
struct Page<'p> {
    place: Place,
    /// For the window; pages never put a cap there.
    title: &'p str,
    /// Modules of `/static/` that the page runs.
    scripts: &'p [&'p str],
    content: Markup,
}

impl Page<'_> {
    fn respond(self) -> HttpResponse {
        self.respond_as(StatusCode::OK)
    }

    fn respond_as(self, status: StatusCode) -> HttpResponse {
        HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(self.render().into_string())
    }

    fn render(self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Truckee" }
                    link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/static/style.css";
                    @for script in self.scripts {
                        script type="module" src={ "/static/" (script) } {}
                    }
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    header.top {
                        div.wrap {
                            a.brand href="/" { (parts::icon("logo")) "Truckee" }
                            nav aria-label="Main" {
                                @for (place, href, name) in Place::ALL {
                                    a href=(href) aria-current=[(place == self.place).then_some("page")] { (name) }
                                }
                            }
                        }
                    }
                    main.wrap id="main" { (self.content) }
                    div.toasts id="toasts" role="status" aria-live="polite" {}
                    footer.wrap {
                        span { "Truckee " (env!("CARGO_PKG_VERSION")) }
                        a href="/openapi.json" { "API" }
                        a href="/metrics" { "Metrics" }
                    }
                }
            }
        }
    }
}

//! A folder: where it is, what is in it, and what can be done with that.
//!
//! Works by plain forms; scripts put progress, dialogs and undo on top. Large folders come in pages, and are filtered
//! and sorted here, so that ten thousand children cost a browser no more than two hundred.

mod edit;
mod rows;

use actix_web::HttpResponse;
use maud::{Markup, html};
use truckee_engine::drive::DirectoryView;
use truckee_grid::caps::Cap;

pub(in crate::http) use edit::rename_form;
use rows::{Listing, listing};

use super::parts::{Tone, badge, icon};
use super::{Page, Place};
use crate::http::args::Args;
use crate::http::path;

/// A folder as it is shown.
pub(in crate::http) struct DirectoryPage<'p> {
    /// The cap in the address.
    pub(in crate::http) root: &'p Cap,
    /// Names below it, down to this folder.
    pub(in crate::http) path: &'p [String],
    /// The cap of this folder.
    pub(in crate::http) cap: &'p Cap,
    /// What is in it.
    pub(in crate::http) view: &'p DirectoryView,
}

impl DirectoryPage<'_> {
    /// Its address: ends with a slash.
    fn here(&self) -> String {
        address(self.root, self.path)
    }

    fn name(&self) -> &str {
        self.path.last().map_or("Folder", String::as_str)
    }
}

/// The address of what is under `path` below a cap; ends with a slash.
pub(super) fn address(root: &Cap, path: &[String]) -> String {
    let mut address = format!("/uri/{}/", path::encode(&root.to_uri()));
    for name in path {
        address += &path::encode(name);
        address.push('/');
    }
    address
}

/// `GET` of a directory without `t`.
pub(in crate::http) fn page(shown: &DirectoryPage<'_>, args: &Args) -> HttpResponse {
    let list = Listing::of(shown.view, args);
    let read = shown.cap.to_read().map(|cap| cap.to_uri());
    let writable = shown.view.writable;
    let content = html! {
        (crumbs(shown.root, shown.path, None))
        div.title.split {
            h1 { (shown.name()) " " @if !writable { (badge(Tone::Quiet, "read-only")) } }
            div.tools {
                button.small type="button" id="remember" aria-pressed="false" hidden { "Remember" }
                @if let Some(read) = &read {
                    button.small type="button" data-link=(path::encode(read)) hidden { "Share read-only" }
                }
                a.button.small href="?t=info" { "Details" }
            }
        }
        @if writable { (toolbar(shown)) }
        div id="transfers" aria-live="polite" {}
        div id="listing" data-here=(shown.here()) data-writable=[writable.then_some("true")]
            data-cap=(shown.cap.to_uri()) data-name=(shown.name()) { (listing(shown, &list)) }
        (dialogs())
    };
    let page = Page {
        place: Place::Files,
        title: shown.name(),
        scripts: &["files.js"],
        content,
    };
    page.respond()
}

/// The way down from the cap in the address, and what is shown of it if it is not the thing itself.
pub(super) fn crumbs(root: &Cap, names: &[String], leaf: Option<&str>) -> Markup {
    html! {
        nav.crumbs aria-label="Path" { ol {
            li { a href="/files" { "Files" } }
            @for depth in 0..=names.len() {
                @let name = if depth == 0 { "Folder" } else { names[depth - 1].as_str() };
                @if depth == names.len() && leaf.is_none() { li aria-current="page" { (name) } }
                @else { li { a href=(address(root, &names[..depth])) { (name) } } }
            }
            @if let Some(leaf) = leaf { li aria-current="page" { (leaf) } }
        } }
    }
}

fn toolbar(shown: &DirectoryPage<'_>) -> Markup {
    let here = shown.here();
    html! {
        div.toolbar id="drop" {
            form.row id="upload-form" action={ (here) "?t=upload" } method="post" enctype="multipart/form-data" {
                input type="hidden" name="t" value="upload";
                input type="hidden" name="when_done" value=(here);
                label.button.primary.pick for="upload-files" { (icon("upload")) "Upload files" }
                input id="upload-files" type="file" name="file" aria-label="Files to upload" required;
                button type="submit" { "Upload" }
                span.hint.drop-hint hidden { "or drop files anywhere" }
            }
            form.row id="mkdir-form" action={ (here) "?t=mkdir" } method="post" enctype="multipart/form-data" {
                input type="hidden" name="t" value="mkdir";
                input type="hidden" name="when_done" value=(here);
                input type="text" name="name" placeholder="New folder" aria-label="Name of the new folder"
                    autocomplete="off" required maxlength="255";
                button type="submit" { (icon("plus")) "Create" }
            }
        }
    }
}

/// Filled by scripts.
fn dialogs() -> Markup {
    html! {
        dialog id="ask" aria-labelledby="ask-title" {
            form method="dialog" {
                h2 id="ask-title" {}
                p id="ask-text" {}
                div id="ask-folders" hidden {}
                label id="ask-label" { span {} input type="text" id="ask-input" autocomplete="off"; }
                p.why id="ask-error" role="alert" {}
                div.row.end {
                    button type="button" id="ask-cancel" { "Cancel" }
                    button.primary type="submit" value="ok" id="ask-ok" { "OK" }
                }
            }
        }
        dialog.wide id="preview" aria-labelledby="preview-title" {
            div.split { h2 id="preview-title" {} button type="button" id="preview-close" { "Close" } }
            div id="preview-body" {}
            div.row.end { a.button id="preview-save" href="" { "Download" } }
        }
    }
}

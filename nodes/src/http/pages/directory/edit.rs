//! Rename, move or delete one child by plain forms: the way without scripts.

use actix_web::HttpResponse;
use maud::{Markup, html};

use super::{DirectoryPage, crumbs};
use crate::http::pages::{Page, Place};

/// `GET` of a directory with `t=rename-form`.
pub(in crate::http) fn rename_form(shown: &DirectoryPage<'_>, name: &str) -> HttpResponse {
    let content = html! {
        (crumbs(shown.root, shown.path, Some("Change")))
        div.title { h1 { "Change " (name) } }
        section.panel {
            h2 { "Rename" }
            (form(shown, "rename", &html! {
                input type="hidden" name="from_name" value=(name);
                input type="text" name="to_name" value=(name) aria-label="New name" required maxlength="255";
                button.primary type="submit" { "Rename" }
            }))
        }
        section.panel {
            h2 { "Move" }
            (form(shown, "relink", &html! {
                input type="hidden" name="from_name" value=(name);
                input type="text" name="to_dir" placeholder="URI:DIR2:…/folder" aria-label="Cap of the target folder" required;
                button type="submit" { "Move" }
            }))
            p.hint { "The cap of the folder that it goes to, with a path behind it if you like." }
        }
        section.panel {
            h2 { "Delete" }
            p { "Takes the name out of this folder. What it stands for stays reachable by its own cap." }
            (form(shown, "delete", &html! {
                input type="hidden" name="name" value=(name);
                button.danger type="submit" { "Delete" }
            }))
        }
        p { a.button href=(shown.here()) { "Back" } }
    };
    let page = Page {
        place: Place::Files,
        title: "Change",
        scripts: &[],
        content,
    };
    page.respond()
}

fn form(shown: &DirectoryPage<'_>, operation: &str, fields: &Markup) -> Markup {
    let here = shown.here();
    html! {
        form.row action={ (here) "?t=" (operation) } method="post" enctype="multipart/form-data" {
            input type="hidden" name="t" value=(operation);
            input type="hidden" name="when_done" value=(here);
            @if operation != "delete" { input type="hidden" name="replace" value="false"; }
            (fields)
        }
    }
}

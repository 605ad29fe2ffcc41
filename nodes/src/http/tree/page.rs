//! Pages of directories and files for people: from what was found to what the pages show.

use actix_web::HttpResponse;
use truckee_engine::drive::DirectoryView;
use truckee_grid::caps::Cap;

use super::get::Shown;
use crate::http::pages;
use crate::http::pages::directory::DirectoryPage;
use crate::http::pages::info::InfoPage;

/// What a directory holds.
pub(super) fn directory(shown: &Shown<'_>, cap: &Cap, view: &DirectoryView) -> HttpResponse {
    let (root, path) = (&shown.place.cap, &names(shown));
    let page = DirectoryPage {
        root,
        path,
        cap,
        view,
    };
    pages::directory::page(&page, shown.args)
}

/// What is known of a file or directory.
pub(super) fn info(shown: &Shown<'_>, cap: &Cap, size: Option<u64>) -> HttpResponse {
    let (root, path) = (&shown.place.cap, &names(shown));
    pages::info::page(&InfoPage {
        root,
        path,
        cap,
        size,
    })
}

/// A form that gives a child another name, or another place.
pub(super) fn rename_form(shown: &Shown<'_>, cap: &Cap, view: &DirectoryView) -> HttpResponse {
    let (root, path) = (&shown.place.cap, &names(shown));
    let page = DirectoryPage {
        root,
        path,
        cap,
        view,
    };
    pages::directory::rename_form(&page, shown.args.get("name").unwrap_or_default())
}

fn names(shown: &Shown<'_>) -> Vec<String> {
    let names = shown.place.names.iter();
    names.map(|name| name.as_str().to_owned()).collect()
}

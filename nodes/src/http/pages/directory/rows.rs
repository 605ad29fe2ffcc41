//! The table of a folder: which children stand on this page of it, and one row for each.

use maud::{Markup, html};
use serde_json::Value;
use truckee_engine::drive::DirectoryView;
use truckee_grid::caps::Cap;
use truckee_grid::drive::{Child, ChildName, Target};

use super::DirectoryPage;
use crate::http::args::Args;
use crate::http::pages::parts::{human_bytes, icon, moment};
use crate::http::path;

/// Rows of one page: more than anybody reads, few enough for a phone.
const ROWS_MAX: usize = 200;

/// What to sort by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Name,
    Size,
    Modified,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Order::Name => "name",
            Order::Size => "size",
            Order::Modified => "modified",
        }
    }
}

/// One child as it is shown.
struct Row<'v> {
    name: &'v str,
    child: &'v Child,
    size: Option<u64>,
    modified: Option<u64>,
}

impl Row<'_> {
    fn is_folder(&self) -> bool {
        self.child.target.is_directory()
    }

    fn kind(&self) -> &'static str {
        match &self.child.target {
            Target::Cap(cap) if cap.is_directory() => "Folder",
            Target::Cap(Cap::Lit(_) | Cap::Chk(_)) => "File",
            Target::Cap(Cap::Ssk(_) | Cap::Mdmf(_)) => "Mutable file",
            Target::Cap(_) | Target::Unknown { .. } => "Unknown",
        }
    }

    fn icon(&self) -> &'static str {
        let kind = mime_guess::from_path(self.name).first_raw().unwrap_or_default();
        match self.kind() {
            "Folder" => "folder",
            "Unknown" => "unknown",
            _ if kind.starts_with("image/") => "image",
            _ if kind.starts_with("text/") => "text",
            _ => "file",
        }
    }
}

/// One page of a folder's children.
pub(super) struct Listing<'v> {
    rows: Vec<Row<'v>>,
    /// Children that pass the filter, and all.
    found: usize,
    all: usize,
    page: usize,
    filter: String,
    order: Order,
    down: bool,
}

impl<'v> Listing<'v> {
    /// The page that the arguments `filter`, `sort`, `order` and `page` ask for; what makes no sense is left out, as
    /// links are typed and kept by people.
    pub(super) fn of(view: &'v DirectoryView, args: &Args) -> Listing<'v> {
        let filter = args.get("filter").unwrap_or_default().trim().to_owned();
        let order = match args.get("sort") {
            Some("size") => Order::Size,
            Some("modified") => Order::Modified,
            _ => Order::Name,
        };
        let down = args.get("order") == Some("down");
        let needle = filter.to_lowercase();
        let passes = |name: &ChildName| needle.is_empty() || name.as_str().to_lowercase().contains(&needle);
        let children = view.children.iter().filter(|(name, _)| passes(name));
        let mut rows: Vec<Row<'_>> = children.map(|(name, child)| row(name.as_str(), child)).collect();
        rows.sort_by(|a, b| {
            let sorted = match order {
                Order::Name => a
                    .name
                    .to_lowercase()
                    .cmp(&b.name.to_lowercase())
                    .then(a.name.cmp(b.name)),
                Order::Size => a.size.cmp(&b.size),
                Order::Modified => a.modified.cmp(&b.modified),
            };
            let sorted = if down { sorted.reverse() } else { sorted };
            b.is_folder().cmp(&a.is_folder()).then(sorted)
        });
        let found = rows.len();
        let pages = found.div_ceil(ROWS_MAX).max(1);
        let asked = args.get("page").and_then(|page| page.parse::<usize>().ok());
        let page = asked.unwrap_or(1).clamp(1, pages);
        let rows = rows
            .into_iter()
            .skip((page - 1) * ROWS_MAX)
            .take(ROWS_MAX)
            .collect();
        Listing {
            rows,
            found,
            all: view.children.len(),
            page,
            filter,
            order,
            down,
        }
    }

    fn link(&self, page: usize, order: Order, down: bool) -> String {
        let mut link = format!("?page={page}&sort={}", order.word());
        if down {
            link += "&order=down";
        }
        if !self.filter.is_empty() {
            link += &format!("&filter={}", path::encode(&self.filter));
        }
        link
    }
}

fn row<'v>(name: &'v str, child: &'v Child) -> Row<'v> {
    let size = match &child.target {
        Target::Cap(Cap::Lit(lit)) => Some(lit.bytes().len() as u64),
        Target::Cap(Cap::Chk(chk)) => Some(chk.size),
        _ => None,
    };
    Row {
        name,
        child,
        size,
        modified: modified(&child.metadata),
    }
}

/// When the link last changed, as the gateway notes it.
fn modified(metadata: &str) -> Option<u64> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    let seconds = metadata.get("tahoe")?.get("linkmotime")?.as_f64()?;
    // A stored number may be anything; dates beyond the year 9999 are none that anybody meant.
    (0.0..253_402_300_800.0)
        .contains(&seconds)
        .then_some(seconds as u64)
}

/// The whole table, with filter and pages.
pub(super) fn listing(shown: &DirectoryPage<'_>, list: &Listing<'_>) -> Markup {
    if list.all == 0 {
        return html! {
            div.empty {
                (icon("folder"))
                h2 { "Nothing here yet" }
                @if shown.view.writable { p { "Drop files anywhere on this page, pick them above, or create a folder." } }
                @else { p { "Whoever holds the write cap can put something here." } }
            }
        };
    }
    html! {
        form.row.filter action="" method="get" role="search" {
            input type="search" name="filter" value=(list.filter) placeholder="Filter by name" aria-label="Filter by name";
            button.small type="submit" { "Filter" }
            span.hint { (count(list)) }
        }
        @if list.rows.is_empty() {
            div.empty { h2 { "No name contains that" } p { a href="?" { "Show all" } } }
        } @else {
            div.panel { table.files {
                thead { tr {
                    (head(list, Order::Name, "Name", false)) th.type scope="col" { "Type" }
                    (head(list, Order::Size, "Size", true)) (head(list, Order::Modified, "Modified", true))
                    th.act scope="col" { span.unseen { "Actions" } }
                } }
                tbody { @for row in &list.rows { (line(shown, row)) } }
            } }
            (pages(list))
        }
    }
}

fn count(list: &Listing<'_>) -> String {
    let things = |count: usize| {
        if count == 1 {
            "1 item".to_owned()
        } else {
            format!("{count} items")
        }
    };
    if list.found == list.all {
        things(list.all)
    } else {
        format!("{} of {}", list.found, things(list.all))
    }
}

fn head(list: &Listing<'_>, order: Order, name: &str, number: bool) -> Markup {
    let sorted = list.order == order;
    let direction = match (sorted, list.down) {
        (false, _) => "none",
        (true, false) => "ascending",
        (true, true) => "descending",
    };
    html! {
        th.number[number] class=(order.word()) scope="col" aria-sort=(direction) {
            a href=(list.link(1, order, sorted && !list.down)) { (name) }
        }
    }
}

fn line(shown: &DirectoryPage<'_>, row: &Row<'_>) -> Markup {
    let name = path::encode(row.name);
    let folder = row.is_folder();
    let href = if folder {
        format!("{}{name}/", shown.here())
    } else {
        format!("{}{name}", shown.here())
    };
    html! {
        tr data-name=(row.name) data-kind=(if folder { "folder" } else { "file" }) {
            td.name {
                @if row.kind() == "Unknown" { span.entry { (icon(row.icon())) (row.name) } }
                @else { a.entry href=(href) data-act=[(!folder).then_some("preview")] { (icon(row.icon())) span { (row.name) } } }
            }
            td.type { (row.kind()) }
            td.number.size { @if let Some(size) = row.size { (human_bytes(size)) } @else { "–" } }
            td.number.modified { @if let Some(at) = row.modified { (moment(at)) } @else { "–" } }
            td.act { (menu(shown, row, &name, &href)) }
        }
    }
}

fn menu(shown: &DirectoryPage<'_>, row: &Row<'_>, name: &str, href: &str) -> Markup {
    let read = match row.child.target.to_read() {
        Some(Target::Cap(cap)) => Some(cap.to_uri()),
        _ => None,
    };
    let edit = format!("?t=rename-form&name={name}");
    html! {
        details.menu {
            summary aria-label={ "Actions for " (row.name) } { (icon("more")) }
            div.items {
                @if !row.is_folder() && row.kind() != "Unknown" { a href={ (href) "?save=true" } { "Download" } }
                @if shown.view.writable {
                    a href=(edit) data-act="rename" { "Rename…" }
                    a href=(edit) data-act="move" { "Move…" }
                }
                @if let Some(read) = &read { button type="button" data-link=(path::encode(read)) hidden { "Copy read-only link" } }
                @if row.kind() != "Unknown" { a href={ (href) "?t=info" } { "Details" } }
                @if shown.view.writable { a.danger href=(edit) data-act="delete" { "Delete" } }
            }
        }
    }
}

fn pages(list: &Listing<'_>) -> Markup {
    let count = list.found.div_ceil(ROWS_MAX);
    let link = |page| list.link(page, list.order, list.down);
    html! {
        @if count > 1 {
            nav.pages aria-label="Pages" {
                @if list.page > 1 { a.button.small rel="prev" href=(link(list.page - 1)) { "Previous" } }
                span { "Page " (list.page) " of " (count) }
                @if list.page < count { a.button.small rel="next" href=(link(list.page + 1)) { "Next" } }
            }
        }
    }
}

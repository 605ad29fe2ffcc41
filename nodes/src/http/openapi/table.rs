//! Every operation of the web API, once.

/// What an argument may be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Flag,
    Number { min: u64, max: u64 },
    Words(&'static [&'static str]),
}

/// One argument, in the query or in a form.
#[derive(Clone, Copy)]
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) about: &'static str,
}

/// What a request brings.
#[derive(Clone, Copy)]
pub(super) enum Body {
    None,
    /// The content of a file.
    Bytes,
    /// A cap as text.
    Cap,
    /// Children of a directory.
    Json,
    /// Fields and perhaps a file.
    Form,
}

/// What a success gives.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    Text,
    Page,
    Json,
    PageOrJson,
    CapOrJson,
    /// Stored content; its type follows its name.
    File,
}

/// One operation.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Value of `t`; empty: absent.
    pub(super) t: &'static str,
    pub(super) summary: &'static str,
    pub(super) args: &'static [Arg],
    pub(super) body: Body,
    pub(super) gives: Gives,
    /// Statuses of success.
    pub(super) codes: &'static [u16],
}

const fn arg(name: &'static str, kind: Kind, about: &'static str) -> Arg {
    Arg { name, kind, about }
}

const K: Arg = arg(
    "k",
    Kind::Number { min: 1, max: 256 },
    "Shares that restore the file",
);
const N: Arg = arg("n", Kind::Number { min: 1, max: 256 }, "Shares that are made");
const HAPPY: Arg = arg(
    "happy",
    Kind::Number { min: 1, max: 256 },
    "Distinct peers that must hold one",
);
const CONVERGENT: Arg = arg("convergent", Kind::Flag, "The key follows from the content");
const FORMAT: Arg = arg(
    "format",
    Kind::Words(&["CHK", "SDMF", "MDMF"]),
    "CHK cannot be changed, the others can",
);
const MUTABLE: Arg = arg("mutable", Kind::Flag, "Old spelling of format=SDMF");
const OFFSET: Arg = arg(
    "offset",
    Kind::Number { min: 0, max: 1 << 40 },
    "Where in a mutable file to write",
);
const REPLACE: Arg = arg(
    "replace",
    Kind::Words(&["true", "false", "only-files"]),
    "What to do when the name is taken",
);
const NAME: Arg = arg("name", Kind::Text, "Name of the child");
const FROM: Arg = arg("from_name", Kind::Text, "Name of the child now");
const TO: Arg = arg("to_name", Kind::Text, "Name of the child then");
const TO_DIR: Arg = arg(
    "to_dir",
    Kind::Text,
    "Cap of the target directory, with a path behind it or not",
);
const URI: Arg = arg("uri", Kind::Text, "A cap");
const WHEN_DONE: Arg = arg(
    "when_done",
    Kind::Text,
    "Path on this gateway to go to; %(uri)s becomes the cap",
);
const TO_RESULT: Arg = arg("redirect_to_result", Kind::Flag, "Go to what was made");
const FILENAME: Arg = arg("filename", Kind::Text, "Name that the type follows from");
const SAVE: Arg = arg("save", Kind::Flag, "As a download");
const OUTPUT: Arg = arg("output", Kind::Words(&["HTML", "JSON", "text"]), "How to answer");
const VERIFY: Arg = arg("verify", Kind::Flag, "Read every byte");
const REPAIR: Arg = arg("repair", Kind::Flag, "Make what is missing");
const LEASE: Arg = arg("add-lease", Kind::Flag, "Taken, and without effect");
const HANDLE: Arg = arg("ophandle", Kind::Text, "Name under which to ask for the result");
const RETAIN: Arg = arg(
    "retain-for",
    Kind::Number {
        min: 0,
        max: 31_536_000,
    },
    "Seconds to keep the result",
);
const RELEASE: Arg = arg(
    "release-after-complete",
    Kind::Flag,
    "Forget the result after it was given",
);
const FILTER: Arg = arg("filter", Kind::Text, "Page: part of the names to show");
const PAGE: Arg = arg(
    "page",
    Kind::Number { min: 1, max: 1000 },
    "Page: which part of a large directory",
);
const SORT: Arg = arg(
    "sort",
    Kind::Words(&["name", "size", "modified"]),
    "Page: order of the rows",
);
const ORDER: Arg = arg("order", Kind::Words(&["down"]), "Page: the other way round");

const ENCODING: &[Arg] = &[K, N, HAPPY, CONVERGENT, FORMAT, MUTABLE];

#[allow(clippy::too_many_arguments)]
const fn of(
    method: &'static str,
    path: &'static str,
    t: &'static str,
    summary: &'static str,
    args: &'static [Arg],
    body: Body,
    gives: Gives,
    codes: &'static [u16],
) -> Operation {
    Operation {
        method,
        path,
        t,
        summary,
        args,
        body,
        gives,
        codes,
    }
}

/// Operations at places of their own.
const PLACES: &[Operation] = &[
    of(
        "GET",
        "/",
        "",
        "Page: the grid and its peers",
        &[],
        Body::None,
        Gives::PageOrJson,
        &[200],
    ),
    of(
        "GET",
        "/",
        "json",
        "The grid for programs",
        &[],
        Body::None,
        Gives::Json,
        &[200],
    ),
    of(
        "HEAD",
        "/",
        "",
        "Whether the gateway is there",
        &[],
        Body::None,
        Gives::PageOrJson,
        &[200],
    ),
    of(
        "GET",
        "/files",
        "",
        "Page: where to begin",
        &[],
        Body::None,
        Gives::Page,
        &[200],
    ),
    of(
        "GET",
        "/static/{name}",
        "",
        "What pages load",
        &[],
        Body::None,
        Gives::File,
        &[200, 304],
    ),
    of(
        "GET",
        "/openapi.json",
        "",
        "This description",
        &[],
        Body::None,
        Gives::Json,
        &[200],
    ),
    of(
        "GET",
        "/status",
        "",
        "Page: operations",
        &[],
        Body::None,
        Gives::PageOrJson,
        &[200],
    ),
    of(
        "GET",
        "/status",
        "json",
        "Operations for programs",
        &[],
        Body::None,
        Gives::Json,
        &[200],
    ),
    of(
        "GET",
        "/status/{name}",
        "",
        "One operation, with the time of its stages",
        &[],
        Body::None,
        Gives::PageOrJson,
        &[200],
    ),
    of(
        "GET",
        "/statistics",
        "",
        "Counters",
        &[],
        Body::None,
        Gives::Json,
        &[200],
    ),
    of(
        "GET",
        "/statistics",
        "json",
        "Counters",
        &[],
        Body::None,
        Gives::Json,
        &[200],
    ),
    of(
        "GET",
        "/statistics",
        "openmetrics",
        "Counters in the format OpenMetrics",
        &[],
        Body::None,
        Gives::File,
        &[200],
    ),
    of(
        "GET",
        "/storage",
        "",
        "Page: space on the peers",
        &[],
        Body::None,
        Gives::PageOrJson,
        &[200],
    ),
    of(
        "GET",
        "/storage",
        "json",
        "Space on the peers",
        &[],
        Body::None,
        Gives::Json,
        &[200],
    ),
    of(
        "GET",
        "/helper_status",
        "",
        "For old tools: there is no helper",
        &[],
        Body::None,
        Gives::File,
        &[200],
    ),
    of(
        "GET",
        "/healthz",
        "",
        "Whether the node's actors answer",
        &[],
        Body::None,
        Gives::Text,
        &[200],
    ),
    of(
        "GET",
        "/readyz",
        "",
        "Whether the node would serve what its roles promise",
        &[],
        Body::None,
        Gives::Text,
        &[200],
    ),
    of(
        "GET",
        "/metrics",
        "",
        "Metrics in the text format of Prometheus",
        &[],
        Body::None,
        Gives::Text,
        &[200],
    ),
    of(
        "GET",
        "/operations/{handle}",
        "",
        "State or result of a deep operation",
        &[OUTPUT, RETAIN, RELEASE],
        Body::None,
        Gives::PageOrJson,
        &[200],
    ),
    of(
        "POST",
        "/operations/{handle}",
        "cancel",
        "Stops a deep operation",
        &[OUTPUT],
        Body::Form,
        Gives::PageOrJson,
        &[200],
    ),
    of(
        "GET",
        "/uri",
        "",
        "To the place of a cap",
        &[URI, FILENAME, SAVE],
        Body::None,
        Gives::Text,
        &[302],
    ),
    of(
        "PUT",
        "/uri",
        "",
        "Stores a file; answers its cap",
        ENCODING,
        Body::Bytes,
        Gives::CapOrJson,
        &[200],
    ),
    of(
        "PUT",
        "/uri",
        "upload",
        "Stores a file; answers its cap",
        ENCODING,
        Body::Bytes,
        Gives::CapOrJson,
        &[200],
    ),
    of(
        "PUT",
        "/uri",
        "mkdir",
        "Makes a directory; answers its cap",
        &[FORMAT],
        Body::None,
        Gives::CapOrJson,
        &[200],
    ),
    of(
        "POST",
        "/uri",
        "",
        "Stores the file of a form",
        ENCODING,
        Body::Form,
        Gives::PageOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "/uri",
        "upload",
        "Stores the file of a form",
        &[WHEN_DONE, OUTPUT],
        Body::Form,
        Gives::PageOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "/uri",
        "mkdir",
        "Makes a directory",
        &[TO_RESULT, WHEN_DONE, FORMAT],
        Body::Form,
        Gives::CapOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "/uri",
        "mkdir-with-children",
        "Makes a directory with children",
        &[TO_RESULT],
        Body::Json,
        Gives::CapOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "/uri",
        "mkdir-immutable",
        "Makes a directory that never changes",
        &[TO_RESULT],
        Body::Json,
        Gives::CapOrJson,
        &[200, 303],
    ),
    of(
        "GET",
        "/file/{cap}/{name}",
        "",
        "A file under a name",
        &[SAVE],
        Body::None,
        Gives::File,
        &[200, 206, 304],
    ),
    of(
        "HEAD",
        "/file/{cap}/{name}",
        "",
        "The head of that",
        &[SAVE],
        Body::None,
        Gives::File,
        &[200, 206, 304],
    ),
];

/// Operations on a cap, and on every path below a directory's.
const TREE: &[Operation] = &[
    of(
        "GET",
        "",
        "",
        "A file, or the page of a directory",
        &[FILENAME, SAVE, FILTER, PAGE, SORT, ORDER],
        Body::None,
        Gives::File,
        &[200, 206, 302, 304],
    ),
    of(
        "GET",
        "",
        "json",
        "What it is, and a directory's children",
        &[],
        Body::None,
        Gives::Json,
        &[200, 304],
    ),
    of("GET", "", "uri", "Its cap", &[], Body::None, Gives::Text, &[200]),
    of(
        "GET",
        "",
        "readonly-uri",
        "The cap that only reads it",
        &[],
        Body::None,
        Gives::Text,
        &[200],
    ),
    of(
        "GET",
        "",
        "info",
        "Page: details",
        &[],
        Body::None,
        Gives::Page,
        &[200],
    ),
    of(
        "GET",
        "",
        "rename-form",
        "Page: rename, move or delete a child",
        &[NAME],
        Body::None,
        Gives::Page,
        &[200],
    ),
    of(
        "HEAD",
        "",
        "",
        "The head of what GET gives",
        &[],
        Body::None,
        Gives::File,
        &[200, 206, 304],
    ),
    of(
        "PUT",
        "",
        "",
        "Stores the body under the path, or as content of a mutable file",
        &[REPLACE, OFFSET, FORMAT],
        Body::Bytes,
        Gives::CapOrJson,
        &[200, 201],
    ),
    of(
        "PUT",
        "",
        "upload",
        "The same",
        &[REPLACE],
        Body::Bytes,
        Gives::CapOrJson,
        &[200, 201],
    ),
    of(
        "PUT",
        "",
        "uri",
        "Links the cap in the body",
        &[REPLACE],
        Body::Cap,
        Gives::CapOrJson,
        &[200, 201],
    ),
    of(
        "PUT",
        "",
        "mkdir",
        "Makes a directory, unless there is one",
        &[FORMAT],
        Body::None,
        Gives::CapOrJson,
        &[200, 201],
    ),
    of(
        "POST",
        "",
        "upload",
        "Stores the file of a form",
        &[NAME, REPLACE, FORMAT, WHEN_DONE],
        Body::Form,
        Gives::CapOrJson,
        &[200, 201, 303],
    ),
    of(
        "POST",
        "",
        "mkdir",
        "Makes a directory",
        &[NAME, REPLACE, FORMAT, WHEN_DONE],
        Body::Form,
        Gives::CapOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "mkdir-with-children",
        "Makes a directory with children",
        &[NAME],
        Body::Json,
        Gives::CapOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "mkdir-immutable",
        "Makes a directory that never changes",
        &[NAME],
        Body::Json,
        Gives::CapOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "uri",
        "Links a cap",
        &[NAME, URI, REPLACE, WHEN_DONE],
        Body::Form,
        Gives::CapOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "delete",
        "Unlinks a child",
        &[NAME, WHEN_DONE],
        Body::Form,
        Gives::Text,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "unlink",
        "The same",
        &[NAME, WHEN_DONE],
        Body::Form,
        Gives::Text,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "rename",
        "Gives a child another name",
        &[FROM, TO, REPLACE, WHEN_DONE],
        Body::Form,
        Gives::Text,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "relink",
        "Moves a child to another directory",
        &[FROM, TO_DIR, TO, REPLACE, WHEN_DONE],
        Body::Form,
        Gives::Text,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "set_children",
        "Links many children",
        &[REPLACE],
        Body::Json,
        Gives::Text,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "set-children",
        "The same",
        &[REPLACE],
        Body::Json,
        Gives::Text,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "check",
        "Asks the peers for its shares",
        &[VERIFY, REPAIR, LEASE, OUTPUT],
        Body::Form,
        Gives::PageOrJson,
        &[200, 303],
    ),
    of(
        "POST",
        "",
        "start-deep-check",
        "Checks everything in and below a directory",
        &[HANDLE, VERIFY, REPAIR, LEASE],
        Body::Form,
        Gives::Text,
        &[302, 303],
    ),
    of(
        "POST",
        "",
        "start-manifest",
        "Lists everything in and below a directory",
        &[HANDLE],
        Body::Form,
        Gives::Text,
        &[302, 303],
    ),
    of(
        "POST",
        "",
        "start-deep-size",
        "Adds up the sizes of what is below a directory",
        &[HANDLE],
        Body::Form,
        Gives::Text,
        &[302, 303],
    ),
    of(
        "POST",
        "",
        "start-deep-stats",
        "Counts what is below a directory",
        &[HANDLE],
        Body::Form,
        Gives::Text,
        &[302, 303],
    ),
    of(
        "POST",
        "",
        "stream-deep-check",
        "The check, one line of JSON for each thing",
        &[VERIFY, REPAIR, LEASE],
        Body::Form,
        Gives::Text,
        &[200],
    ),
    of(
        "POST",
        "",
        "stream-manifest",
        "The list, one line of JSON for each thing",
        &[],
        Body::Form,
        Gives::Text,
        &[200],
    ),
    of(
        "DELETE",
        "",
        "",
        "Unlinks it; answers its cap",
        &[],
        Body::None,
        Gives::CapOrJson,
        &[200],
    ),
];

/// All of them.
pub(super) fn operations() -> impl Iterator<Item = Operation> {
    let tree = ["/uri/{cap}", "/uri/{cap}/{path}"];
    let below = tree
        .into_iter()
        .flat_map(|path| TREE.iter().map(move |operation| Operation { path, ..*operation }));
    PLACES.iter().copied().chain(below)
}

//! Every operation of the web API, once: what they are made of here, the operations in the two parts.

mod caps;
mod places;

use caps::TREE;
use places::PLACES;

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

/// All of them.
pub(super) fn operations() -> impl Iterator<Item = Operation> {
    let tree = ["/uri/{cap}", "/uri/{cap}/{path}"];
    let below = tree
        .into_iter()
        .flat_map(|path| TREE.iter().map(move |operation| Operation { path, ..*operation }));
    PLACES.iter().copied().chain(below)
}

//! What can be asked of files and directories, typed: the web API as this program uses it.
//!
//! Owns the requests and the reading of their answers; who asks, and what is printed, stands elsewhere. Each call is one
//! request. Errors carry the gateway's own sentence.

mod node;
mod place;
mod stream;

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::{Map, Value};
use ureq::http::Method;

use crate::error::CliError;
use crate::http::{Download, Gateway, Payload, PutChoice, escape};

pub use node::{Kind, NewChild, Node, is_mutable, is_writable};
pub use place::Place;
pub use stream::Lines;

/// Most bytes of a directory's listing: 100,000 children, the most there can be, with names, caps and metadata.
const LISTING_BYTES_MAX: u64 = 256 * 1024 * 1024;

const JSON: &str = "application/json";

/// What a link may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Whatever is there.
    Always,
    /// Nothing.
    Never,
    /// A file, but no directory.
    OnlyFiles,
}

impl Replace {
    fn text(self) -> &'static str {
        match self {
            Replace::Always => "true",
            Replace::Never => "false",
            Replace::OnlyFiles => "only-files",
        }
    }
}

/// What a check is to do beyond counting shares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckChoice {
    /// Read and verify every block.
    pub verify: bool,
    /// Make missing shares again.
    pub repair: bool,
}

impl CheckChoice {
    fn query(self) -> String {
        let flag = |name: &str, on: bool| {
            if on {
                format!("&{name}=true")
            } else {
                String::new()
            }
        };
        format!("{}{}", flag("verify", self.verify), flag("repair", self.repair))
    }
}

impl Gateway {
    /// What is at `place`, with children if it is a directory.
    ///
    /// # Errors
    /// When there is nothing, or the gateway cannot be reached.
    pub fn node(&self, place: &Place) -> Result<Node, CliError> {
        let path = format!("{}?t=json", place.url());
        let mut answer = self.call(&Method::GET, &path, Payload::Nothing, None)?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(LISTING_BYTES_MAX)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        serde_json::from_str(&text).map_err(|_| self.odd("something that describes no file or directory"))
    }

    /// What is at `place`, if anything.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub fn node_if_there(&self, place: &Place) -> Result<Option<Node>, CliError> {
        match self.node(place) {
            Ok(node) => Ok(Some(node)),
            Err(CliError::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The content of the file at `place`, whole or a part of it.
    ///
    /// # Errors
    /// When there is none or it cannot be read.
    pub fn fetch(&self, place: &Place, range: Option<(u64, Option<u64>)>) -> Result<Download, CliError> {
        self.open(&place.url(), range)
    }

    /// Stores a file at `place`, in place of a file that is there; directories on the way are made. Gives its cap.
    ///
    /// # Errors
    /// When a directory is there, or the upload fails.
    pub fn put_at(
        &self,
        place: &Place,
        body: &mut dyn Read,
        length_bytes: Option<u64>,
        choice: PutChoice,
        format: Option<&str>,
    ) -> Result<String, CliError> {
        let mut query = choice.query();
        query.push_str(if query.is_empty() { "?" } else { "&" });
        query.push_str("replace=only-files");
        if let Some(format) = format {
            query.push_str(&format!("&format={format}"));
        }
        let path = format!("{}{query}", place.url());
        let mut answer = self.call(&Method::PUT, &path, Payload::Stream(body, length_bytes), None)?;
        self.cap(&mut answer)
    }

    /// Stores a mutable file that has no name yet. Gives its cap.
    ///
    /// # Errors
    /// When the upload fails.
    pub fn put_mutable(
        &self,
        body: &mut dyn Read,
        length_bytes: Option<u64>,
        format: &str,
    ) -> Result<String, CliError> {
        let path = format!("/uri?format={format}");
        let mut answer = self.call(&Method::PUT, &path, Payload::Stream(body, length_bytes), None)?;
        self.cap(&mut answer)
    }

    /// Makes a directory that has no name yet. Gives its cap.
    ///
    /// # Errors
    /// When the mesh has no vdrive, or refuses.
    pub fn mkdir(&self) -> Result<String, CliError> {
        self.post("/uri?t=mkdir", &[])
    }

    /// The directory at `place`, made with all directories on the way if it is not there. Gives its cap.
    ///
    /// # Errors
    /// When a file is in the way.
    pub fn mkdir_all(&self, place: &Place) -> Result<String, CliError> {
        let path = format!("{}?t=mkdir", place.url());
        let mut answer = self.call(&Method::PUT, &path, Payload::Text(JSON, &[]), None)?;
        self.cap(&mut answer)
    }

    /// A new directory `name` in the directory at `parent`. Gives its cap.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn mkdir_new(&self, parent: &Place, name: &str) -> Result<String, CliError> {
        self.post(&format!("{}?t=mkdir&name={}", parent.url(), escape(name)), &[])
    }

    /// A directory that can never change, with these children. Gives its cap.
    ///
    /// # Errors
    /// When a child can change.
    pub fn mkdir_immutable(&self, children: &BTreeMap<String, NewChild>) -> Result<String, CliError> {
        self.post("/uri?t=mkdir-immutable", body(children).as_bytes())
    }

    /// Gives `cap` the name `place`.
    ///
    /// # Errors
    /// When the name is taken by what `replace` does not allow to replace.
    pub fn link(&self, place: &Place, cap: &str, replace: Replace) -> Result<(), CliError> {
        let path = format!("{}?t=uri&replace={}", place.url(), replace.text());
        self.call(
            &Method::PUT,
            &path,
            Payload::Text("text/plain", cap.as_bytes()),
            None,
        )?;
        Ok(())
    }

    /// Adds children to the directory at `place`, in one change.
    ///
    /// # Errors
    /// When one of the names is taken by what `replace` does not allow to replace; then none is added.
    pub fn set_children(
        &self,
        place: &Place,
        children: &BTreeMap<String, NewChild>,
        replace: Replace,
    ) -> Result<(), CliError> {
        let path = format!("{}?t=set_children&replace={}", place.url(), replace.text());
        self.call(
            &Method::POST,
            &path,
            Payload::Text(JSON, body(children).as_bytes()),
            None,
        )?;
        Ok(())
    }

    /// Takes the name `place` away. Gives the cap that it had.
    ///
    /// # Errors
    /// When there is no such name.
    pub fn unlink(&self, place: &Place) -> Result<String, CliError> {
        let mut answer = self.call(&Method::DELETE, &place.url(), Payload::Nothing, None)?;
        Ok(self.text(&mut answer)?.trim().to_owned())
    }

    /// Moves the child `from_name` of the directory at `from` to the directory at `to`, as `to_name`.
    ///
    /// # Errors
    /// When there is no such child, or the name is taken by what `replace` does not allow to replace.
    pub fn relink(
        &self,
        (from, from_name): (&Place, &str),
        (to, to_name): (&Place, &str),
        replace: Replace,
    ) -> Result<(), CliError> {
        let path = format!(
            "{}?t=relink&from_name={}&to_dir={}&to_name={}&replace={}",
            from.url(),
            escape(from_name),
            escape(&to.plain()),
            escape(to_name),
            replace.text()
        );
        self.call(&Method::POST, &path, Payload::Text("text/plain", &[]), None)?;
        Ok(())
    }

    /// Asks the peers how whole the file or directory at `place` is.
    ///
    /// # Errors
    /// When there is none or the peers cannot be asked.
    pub fn check_one(&self, place: &Place, choice: CheckChoice) -> Result<Value, CliError> {
        let path = format!("{}?t=check&output=JSON{}", place.url(), choice.query());
        let mut answer = self.call(&Method::POST, &path, Payload::Text("text/plain", &[]), None)?;
        let text = self.text(&mut answer)?;
        serde_json::from_str(&text).map_err(|_| self.odd("something that is no check result"))
    }

    /// Checks the directory at `place` and everything below: one JSON object for each, as they come.
    ///
    /// # Errors
    /// When it cannot begin.
    pub fn check_deep(&self, place: &Place, choice: CheckChoice) -> Result<Lines, CliError> {
        self.lines(&format!("{}?t=stream-deep-check{}", place.url(), choice.query()))
    }

    /// Lists everything below the directory at `place`: one JSON object for each, as they come.
    ///
    /// # Errors
    /// When it cannot begin.
    pub fn manifest(&self, place: &Place) -> Result<Lines, CliError> {
        self.lines(&format!("{}?t=stream-manifest", place.url()))
    }

    /// Renews the leases of the file at `place`, or of everything below it: what there is to say, as it comes.
    ///
    /// # Errors
    /// When it cannot begin.
    pub fn renew(&self, place: &Place) -> Result<Lines, CliError> {
        self.lines(&format!("{}?t=stream-renew", place.url()))
    }

    fn lines(&self, path: &str) -> Result<Lines, CliError> {
        let answer = self.call(&Method::POST, path, Payload::Text("text/plain", &[]), None)?;
        Ok(Lines::new(self.clone(), answer.into_body().into_reader()))
    }

    /// Posts, and reads a cap.
    fn post(&self, path: &str, body: &[u8]) -> Result<String, CliError> {
        let mut answer = self.call(&Method::POST, path, Payload::Text(JSON, body), None)?;
        self.cap(&mut answer)
    }
}

fn body(children: &BTreeMap<String, NewChild>) -> String {
    let map: Map<String, Value> = children
        .iter()
        .map(|(name, child)| (name.clone(), child.json()))
        .collect();
    Value::Object(map).to_string()
}

#[cfg(test)]
mod tests;

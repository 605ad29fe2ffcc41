//! A gateway in memory, for tests: enough of the web API for the commands on directories, with faults on demand.
//!
//! Directories and files are entries of one table; a cap is the kind and the number of its entry.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use crate::http::Gateway;

/// A child: its cap and its metadata.
type Child = (String, Value);

enum Entry {
    File(Vec<u8>),
    Mutable(Vec<u8>),
    Directory(BTreeMap<String, Child>),
    Fixed(BTreeMap<String, Child>),
}

/// How the gateway breaks what it promises, every third time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// A byte of a download is another one.
    WrongByte,
    /// A download ends early, as if that were all.
    ShortFile,
    /// A link is acknowledged and not made.
    LostLink,
    /// A name is taken away, so it says, and stays.
    Undead,
    /// A change is refused and made all the same.
    RefusedAndMade,
    /// An error that tells nothing.
    Internal,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Requests by method and operation, such as `PUT /uri` or `POST t=set_children`.
    requests: Vec<String>,
    /// Contents whose upload is refused, with this status.
    refused: BTreeMap<Vec<u8>, u16>,
    /// Caps that a check finds ill.
    ill: BTreeSet<String>,
    lie: Option<Lie>,
    /// Requests in which it could have been told.
    chances: u64,
}

/// The gateway. It serves until the process ends.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    /// First and last byte of the range that is asked for.
    range: Option<(usize, usize)>,
    path: Vec<String>,
    query: BTreeMap<String, String>,
    body: Vec<u8>,
}

type Answer = (u16, Vec<u8>);

impl Fake {
    pub(crate) fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Fake {
            address: listener.local_addr().unwrap().to_string(),
            state: Arc::default(),
        };
        let serving = fake.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let fake = serving.clone();
                std::thread::spawn(move || fake.serve(&stream.unwrap()));
            }
        });
        fake
    }

    pub(crate) fn gateway(&self) -> Gateway {
        Gateway::at(&self.address).unwrap()
    }

    /// Refuses to store this content.
    pub(crate) fn refuse(&self, content: &[u8], status: u16) {
        self.state
            .lock()
            .unwrap()
            .refused
            .insert(content.to_vec(), status);
    }

    /// Says from now on that this cap has lost shares.
    pub(crate) fn sicken(&self, cap: &str) {
        self.state.lock().unwrap().ill.insert(cap.to_owned());
    }

    /// From now on it lies.
    pub(crate) fn lie(&self, lie: Lie) {
        self.state.lock().unwrap().lie = Some(lie);
    }

    /// How many requests of a kind there were; forgets them.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let requests = &mut self.state.lock().unwrap().requests;
        let before = requests.len();
        requests.retain(|request| request != kind);
        before - requests.len()
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read(&mut reader, stream) {
            let (status, body) = self.state.lock().unwrap().answer(&request);
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
            // In one piece: of two, the second would wait until the first is acknowledged.
            let mut out = stream;
            if out.write_all(&[head.as_bytes(), &body].concat()).is_err() {
                return;
            }
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>, mut stream: &TcpStream) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let header = |name: &str| {
        let line = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(name))?;
        Some(line.split_once(": ")?.1.to_owned())
    };
    if header("expect:").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let body = if header("transfer-encoding:").is_some() {
        chunks(reader)?
    } else {
        let length = header("content-length:").map_or(0, |length| length.parse().unwrap());
        exactly(reader, length)?
    };
    let range = header("range:").map(|range| {
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        (first.parse().unwrap(), last.parse().unwrap_or(usize::MAX))
    });
    let mut first = head.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    Some(Request {
        method,
        range,
        path: path.split('/').skip(2).map(decode).collect(),
        query: query
            .map(|(key, value)| (key.to_owned(), decode(value)))
            .collect(),
        body,
    })
}

fn exactly(reader: &mut impl Read, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// A body whose length was not announced: chunks, each behind its length in hex, and an empty one at the end.
fn chunks(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        body.extend(exactly(reader, length)?);
        assert_eq!(exactly(reader, 2)?, b"\r\n");
        if length == 0 {
            return Some(body);
        }
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let hex = [*rest.next().unwrap(), *rest.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// What the gateway says of itself.
fn welcome() -> Answer {
    let own = json!({ "ready": true, "k": 3, "n": 10, "happy": 7 });
    (
        200,
        json!({ "servers": [], "truckee": own }).to_string().into_bytes(),
    )
}

fn error(status: u16, sentence: &str) -> Answer {
    (status, sentence.as_bytes().to_vec())
}

fn number(cap: &str) -> usize {
    cap.rsplit(':').next().unwrap().parse().unwrap()
}

impl State {
    fn add(&mut self, entry: Entry) -> String {
        let kind = match &entry {
            Entry::File(_) => "CHK",
            Entry::Mutable(_) => "SSK",
            Entry::Directory(_) => "DIR2",
            Entry::Fixed(_) => "DIR2-CHK",
        };
        self.entries.push(entry);
        format!("URI:{kind}:{}", self.entries.len() - 1)
    }

    fn children(&mut self, cap: &str) -> Option<&mut BTreeMap<String, Child>> {
        match &mut self.entries[number(cap)] {
            Entry::Directory(children) | Entry::Fixed(children) => Some(children),
            _ => None,
        }
    }

    fn find(&mut self, path: &[String]) -> Option<Child> {
        let mut at = (path[0].clone(), json!({}));
        for name in &path[1..] {
            at = self.children(&at.0)?.get(name)?.clone();
        }
        Some(at)
    }

    /// The directory at `path`, made with all above it.
    fn make(&mut self, path: &[String]) -> Option<String> {
        let mut at = path[0].clone();
        for name in &path[1..] {
            let there = self.children(&at)?.get(name).cloned();
            let next = match there {
                Some((cap, _)) => cap,
                None => {
                    let new = self.add(Entry::Directory(BTreeMap::new()));
                    self.children(&at)?.insert(name.clone(), (new.clone(), json!({})));
                    new
                }
            };
            at = next;
        }
        self.children(&at).map(|_| at)
    }

    fn set(&mut self, parent: &str, name: &str, child: Child, replace: &str) -> Result<(), Answer> {
        let there = self
            .children(parent)
            .and_then(|children| children.get(name))
            .cloned();
        let directory = there.as_ref().is_some_and(|(cap, _)| cap.starts_with("URI:DIR2"));
        if there.is_some() && (replace == "false" || (replace == "only-files" && directory)) {
            return Err(error(409, "there is something already"));
        }
        let children = self.children(parent).ok_or_else(|| error(409, "no directory"))?;
        children.insert(name.to_owned(), child);
        Ok(())
    }

    fn json(&mut self, cap: &str, metadata: &Value, deep: bool) -> Value {
        let read = cap.replace("DIR2:", "DIR2-RO:").replace("SSK:", "SSK-RO:");
        let mut facts = json!({ "ro_uri": read, "mutable": read != cap, "metadata": metadata });
        if read != cap {
            facts["rw_uri"] = json!(cap);
        }
        match &self.entries[number(cap)] {
            Entry::File(content) => facts["size"] = json!(content.len()),
            Entry::Mutable(_) => facts["size"] = json!("?"),
            Entry::Directory(children) | Entry::Fixed(children) => {
                let children: Vec<(String, Child)> = children.clone().into_iter().collect();
                if deep {
                    let entries = children
                        .into_iter()
                        .map(|(name, (cap, metadata))| (name, self.json(&cap, &metadata, false)));
                    facts["children"] = Value::Object(entries.collect::<Map<_, _>>());
                }
                return json!(["dirnode", facts]);
            }
        }
        json!(["filenode", facts])
    }

    fn store(&mut self, body: &[u8], mutable: bool) -> Result<String, Answer> {
        if let Some(status) = self.refused.get(body) {
            return Err(error(*status, "refused as the test asked"));
        }
        let body = body.to_vec();
        Ok(self.add(if mutable {
            Entry::Mutable(body)
        } else {
            Entry::File(body)
        }))
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let operation = request.query.get("t").map_or("", String::as_str);
        let kind = match operation {
            "" if request.path.is_empty() => format!("{} /uri", request.method),
            "" => request.method.clone(),
            operation => format!("{} t={operation}", request.method),
        };
        self.requests.push(kind);
        if request.path == [""; 0] && request.method == "GET" && operation == "json" {
            return welcome();
        }
        if self.lies(Lie::Internal) {
            return error(500, "something went wrong");
        }
        let answer = match request.method.as_str() {
            "GET" => self.get(request, operation),
            "PUT" => self.put(request, operation),
            "DELETE" => self.delete(request),
            _ => self.post(request, operation),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    fn get(&mut self, request: &Request, operation: &str) -> Result<Answer, Answer> {
        let (cap, metadata) = self
            .find(&request.path)
            .ok_or_else(|| error(404, "no such child"))?;
        let strong = cap.replace("-RO:", ":");
        let writable = strong == cap;
        if operation == "json" {
            let mut value = self.json(&strong, &metadata, true);
            if !writable {
                value[1].as_object_mut().unwrap().remove("rw_uri");
            }
            return Ok((200, value.to_string().into_bytes()));
        }
        let mut content = match &self.entries[number(&cap)] {
            Entry::File(content) | Entry::Mutable(content) => content.clone(),
            _ => return Err(error(400, "a directory")),
        };
        if !content.is_empty() && self.lies(Lie::WrongByte) {
            let middle = content.len() / 2;
            content[middle] ^= 1;
        }
        if !content.is_empty() && request.range.is_none() && self.lies(Lie::ShortFile) {
            content.pop();
        }
        let Some((first, last)) = request.range else {
            return Ok((200, content));
        };
        let end = last.saturating_add(1).min(content.len());
        Ok((206, content[first.min(end)..end].to_vec()))
    }

    /// Whether now is a time for this lie.
    fn lies(&mut self, lie: Lie) -> bool {
        let chance = self.lie == Some(lie);
        self.chances += u64::from(chance);
        chance && self.chances.is_multiple_of(3)
    }

    fn put(&mut self, request: &Request, operation: &str) -> Result<Answer, Answer> {
        let mutable = request.query.contains_key("format");
        if request.path.is_empty() {
            return self
                .store(&request.body, mutable)
                .map(|cap| (200, cap.into_bytes()));
        }
        if operation == "mkdir" {
            let made = self
                .make(&request.path)
                .ok_or_else(|| error(409, "a file is in the way"))?;
            return Ok((200, made.into_bytes()));
        }
        let replace = request
            .query
            .get("replace")
            .map_or("true", String::as_str)
            .to_owned();
        let there = self.find(&request.path).map(|(cap, _)| cap);
        if operation.is_empty()
            && let Some(cap) = there
            && let Entry::Mutable(content) = &mut self.entries[number(&cap)]
        {
            content.clone_from(&request.body);
            return Ok((200, cap.into_bytes()));
        }
        let cap = if operation == "uri" {
            String::from_utf8(request.body.clone()).unwrap()
        } else {
            self.store(&request.body, mutable)?
        };
        let (name, parent) = request.path.split_last().unwrap();
        let parent = self
            .make(parent)
            .ok_or_else(|| error(409, "a file is in the way"))?;
        if self.lies(Lie::LostLink) {
            return Ok((200, cap.into_bytes()));
        }
        self.set(&parent, name, (cap.clone(), json!({})), &replace)?;
        if self.lies(Lie::RefusedAndMade) {
            return Err(error(503, "come back later"));
        }
        Ok((200, cap.into_bytes()))
    }

    fn delete(&mut self, request: &Request) -> Result<Answer, Answer> {
        let (name, parent) = request.path.split_last().unwrap();
        let (parent, _) = self.find(parent).ok_or_else(|| error(404, "no such directory"))?;
        if self.lies(Lie::Undead) {
            return Ok((200, b"gone".to_vec()));
        }
        let removed = self.children(&parent).and_then(|children| children.remove(name));
        let (cap, _) = removed.ok_or_else(|| error(404, "no such child"))?;
        Ok((200, cap.into_bytes()))
    }

    fn post(&mut self, request: &Request, operation: &str) -> Result<Answer, Answer> {
        let query = |key: &str| request.query.get(key).cloned().unwrap_or_default();
        match operation {
            "mkdir" if request.path.is_empty() => {
                Ok((200, self.add(Entry::Directory(BTreeMap::new())).into_bytes()))
            }
            "mkdir-immutable" => {
                let children = children_of(&request.body);
                let bad = children
                    .values()
                    .any(|(cap, _)| cap.contains("DIR2:") || cap.contains("SSK"));
                if bad {
                    return Err(error(400, "a child can change"));
                }
                Ok((200, self.add(Entry::Fixed(children)).into_bytes()))
            }
            "check" => {
                let (cap, _) = self
                    .find(&request.path)
                    .ok_or_else(|| error(404, "no such child"))?;
                let healthy = !self.ill.contains(&cap);
                Ok((
                    200,
                    json!({ "results": { "healthy": healthy, "recoverable": true } })
                        .to_string()
                        .into_bytes(),
                ))
            }
            "mkdir" => {
                let (parent, _) = self
                    .find(&request.path)
                    .ok_or_else(|| error(404, "no such directory"))?;
                let new = self.add(Entry::Directory(BTreeMap::new()));
                self.set(&parent, &query("name"), (new.clone(), json!({})), "false")?;
                Ok((200, new.into_bytes()))
            }
            "set_children" => {
                let (parent, _) = self
                    .find(&request.path)
                    .ok_or_else(|| error(404, "no such directory"))?;
                for (name, child) in children_of(&request.body) {
                    self.set(&parent, &name, child, &query("replace"))?;
                }
                Ok((200, b"Okay so I did it.".to_vec()))
            }
            "relink" => {
                let (parent, _) = self
                    .find(&request.path)
                    .ok_or_else(|| error(404, "no such directory"))?;
                let from = query("from_name");
                let child = self
                    .children(&parent)
                    .and_then(|children| children.get(&from))
                    .cloned();
                let child = child.ok_or_else(|| error(404, "no such child"))?;
                let to: Vec<String> = query("to_dir").split('/').map(str::to_owned).collect();
                let (to, _) = self.find(&to).ok_or_else(|| error(404, "no such directory"))?;
                self.set(&to, &query("to_name"), child, &query("replace"))?;
                self.children(&parent).unwrap().remove(&from);
                Ok((200, b"thing moved".to_vec()))
            }
            _ => Err(error(501, "not in this fake")),
        }
    }
}

fn children_of(body: &[u8]) -> BTreeMap<String, Child> {
    let value: Map<String, Value> = serde_json::from_slice(body).unwrap();
    let child = |(name, child): (String, Value)| {
        let facts = &child[1];
        let cap = facts["rw_uri"].as_str().or(facts["ro_uri"].as_str()).unwrap();
        (name, (cap.to_owned(), facts["metadata"].clone()))
    };
    value.into_iter().map(child).collect()
}

//! A real Chromium without a window, driven through its own `chromedriver` by the WebDriver protocol of the W3C.
//!
//! The protocol is JSON over HTTP and a test needs a dozen of its commands, so this is the whole client. Three commands
//! beyond the standard are chromedriver's own: logs, and the DevTools for screen size and colour scheme.
//!
//! Owns the driver, which owns the browser; both end when it is dropped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::until;

/// Set by those who have installed a browser: then a missing one is a failure and not a reason to skip.
const WANTED: &str = "TRUCKEE_TEST_BROWSER";
/// How the protocol names the field with an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// A browser that starts on a busy machine takes its time.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);
/// How often a driver that finds no port is started.
const DRIVER_STARTS: u32 = 5;

/// Keys that have no character, as the protocol writes them.
pub mod key {
    /// Tabulator.
    pub const TAB: &str = "\u{e004}";
    /// Enter.
    pub const ENTER: &str = "\u{e007}";
    /// Escape.
    pub const ESCAPE: &str = "\u{e00c}";
    /// Cursor down.
    pub const DOWN: &str = "\u{e015}";
}

/// See the module.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
    profile: tempfile::TempDir,
    shots: PathBuf,
}

/// Why there is no browser to test with; none when there is one.
///
/// # Panics
/// When there is none and the environment says that there must be.
#[must_use]
pub fn missing() -> Option<String> {
    let there = |program: &str| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok()
    };
    let missing: Vec<&str> = ["chromium", "chromedriver"]
        .into_iter()
        .filter(|program| !there(program))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let sentence = format!(
        "{} cannot be run; on Debian: apt install chromium chromium-driver",
        missing.join(" and ")
    );
    assert!(
        std::env::var_os(WANTED).is_none(),
        "{WANTED} is set, but {sentence}"
    );
    Some(sentence)
}

impl Browser {
    /// Starts one with an empty profile. Screenshots go into `shots`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(shots: &Path) -> Browser {
        std::fs::create_dir_all(shots).expect("the directory for screenshots can be made");
        let profile = tempfile::tempdir().expect("a profile can be made");
        std::fs::create_dir(profile.path().join("downloads")).expect("a directory can be made");
        let (driver, port) = driver(profile.path());
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None);
        let agent = config.timeout_global(Some(ANSWER_PATIENCE)).build().new_agent();
        let mut browser = Browser {
            driver,
            agent,
            session: format!("http://127.0.0.1:{port}/session"),
            profile,
            shots: shots.to_owned(),
        };
        let answer = browser.command("POST", "", &browser.wishes());
        let id = answer["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("no session: {answer}"));
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    fn wishes(&self) -> Value {
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            &format!(
                "--user-data-dir={}",
                self.profile.path().join("profile").display()
            ),
        ];
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                "args": args,
                "prefs": { "download.default_directory": self.downloads() },
            },
        } } })
    }

    /// Where downloads go.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.profile.path().join("downloads")
    }

    /// One command of the protocol.
    fn try_command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.session);
        let answer = match method {
            "GET" => self.agent.get(&url).call(),
            "DELETE" => self.agent.delete(&url).call(),
            _ => self
                .agent
                .post(&url)
                .content_type("application/json")
                .send(body.to_string()),
        };
        let text =
            answer.and_then(|mut answer| answer.body_mut().with_config().limit(64 << 20).read_to_string());
        let text = text.map_err(|error| error.to_string())?;
        let mut value: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let value = value["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!(
                "{error}: {}",
                value["message"].as_str().unwrap_or_default()
            )),
            None => Ok(value),
        }
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.try_command(method, path, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Opens an address and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> String {
        self.command("GET", "/url", &Value::Null)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Runs the body of a function in the page.
    pub fn script(&self, script: &str, args: &[Value]) -> Value {
        self.command(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": args }),
        )
    }

    /// The element, once it is there.
    #[must_use]
    pub fn find(&self, css: &str) -> Element<'_> {
        let look = || {
            let found = self.try_command(
                "POST",
                "/element",
                &json!({ "using": "css selector", "value": css }),
            );
            found.ok()?[ELEMENT].as_str().map(str::to_owned)
        };
        Element {
            browser: self,
            id: until(&format!("{css} is on the page"), look),
        }
    }

    /// Clicks the element as soon as there is one that can be clicked: the page may just be drawing it anew.
    pub fn click(&self, css: &str) {
        let look = || {
            let wanted = json!({ "using": "css selector", "value": css });
            let found = self.try_command("POST", "/element", &wanted).ok()?;
            let path = format!("/element/{}/click", found[ELEMENT].as_str()?);
            self.try_command("POST", &path, &json!({})).ok().map(drop)
        };
        until(&format!("{css} can be clicked"), look);
    }

    /// How many elements there are now.
    #[must_use]
    pub fn count(&self, css: &str) -> usize {
        let found = self.command(
            "POST",
            "/elements",
            &json!({ "using": "css selector", "value": css }),
        );
        found.as_array().map_or(0, Vec::len)
    }

    /// Waits until a condition, an expression in JavaScript, holds.
    pub fn until(&self, condition: &str) {
        let script = json!({ "script": format!("return Boolean({condition})"), "args": [] });
        let look = || {
            self.try_command("POST", "/execute/sync", &script)
                .ok()?
                .as_bool()?
                .then_some(())
        };
        until(condition, look);
    }

    /// Presses keys one after another where the focus is.
    pub fn press(&self, keys: &[&str]) {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| key.chars())
            .flat_map(|key| ["keyDown", "keyUp"].map(|way| json!({ "type": way, "value": key.to_string() })))
            .collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.command("POST", "/actions", &body);
    }

    fn devtools(&self, command: &str, params: &Value) {
        self.command(
            "POST",
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": params }),
        );
    }

    /// A screen of so many pixels; a telephone's if it is narrow.
    pub fn screen(&self, width: u32, height: u32) {
        let mobile = width < 600;
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", &params);
    }

    /// The reader's wish for light or dark.
    pub fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Runs no script of pages from now on, or runs them again.
    pub fn scripts(&self, on: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": !on }));
    }

    /// Keeps a picture of what is seen.
    pub fn shot(&self, name: &str) {
        let picture = self.command("GET", "/screenshot", &Value::Null);
        let bytes = unbase64(picture.as_str().unwrap_or_default());
        let path = self.shots.join(format!("{name}.png"));
        std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// What the console has said since the last call.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        let entries = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter_map(|entry| entry["message"].as_str().map(str::to_owned))
            .collect()
    }

    /// The addresses that pages have asked for since the last call.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let entries = self.command("POST", "/se/log", &json!({ "type": "performance" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let messages = entries
            .iter()
            .filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok());
        messages
            .filter(|message| message["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|message| {
                message["message"]["params"]["request"]["url"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A picture of what was there says more than the failed line; there may be none to take any more.
            let picture = self.try_command("GET", "/screenshot", &Value::Null);
            if let Some(picture) = picture.ok().as_ref().and_then(Value::as_str) {
                let _ = std::fs::write(self.shots.join("failed.png"), unbase64(picture));
            }
            eprintln!(
                "--- console\n{}",
                self.try_command("POST", "/se/log", &json!({ "type": "browser" }))
                    .unwrap_or_default()
            );
        }
        // Ends the browser; if the driver is gone already, so is the browser.
        let _ = self.try_command("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// An element of a page.
pub struct Element<'b> {
    browser: &'b Browser,
    id: String,
}

impl Element<'_> {
    fn command(&self, method: &str, what: &str, body: &Value) -> Value {
        self.browser
            .command(method, &format!("/element/{}/{what}", self.id), body)
    }

    /// Types; into a field for files: their paths, one a line.
    pub fn write(&self, text: &str) {
        self.command("POST", "value", &json!({ "text": text }));
    }

    /// Empties a field.
    pub fn clear(&self) {
        self.command("POST", "clear", &json!({}));
    }

    /// The text that is seen.
    #[must_use]
    pub fn text(&self) -> String {
        self.command("GET", "text", &Value::Null)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A running driver and its port.
///
/// With port 0 the driver takes a free port for IPv4 and wants the same for IPv6; when that one is taken it gives up, which
/// on a machine full of clusters happens. So it is asked again, a few times.
///
/// # Panics
/// With the driver's own words when it does not start.
fn driver(scratch: &Path) -> (Child, u16) {
    let log = scratch.join("driver.log");
    for _ in 0..DRIVER_STARTS {
        let complaints = std::fs::File::create(&log).expect("a log can be made");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .expect("chromedriver starts");
        if let Some(port) = port_of(driver.stdout.take().expect("its output is piped")) {
            return (driver, port);
        }
        let _ = driver.kill();
        let _ = driver.wait();
    }
    let complaints = std::fs::read_to_string(&log).unwrap_or_default();
    panic!("chromedriver ended {DRIVER_STARTS} times without a port: {complaints}");
}

/// The port that the driver says it has chosen; none when it ends without.
fn port_of(stdout: std::process::ChildStdout) -> Option<u16> {
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        line.split_once("successfully on port ")?
            .1
            .trim_end_matches('.')
            .parse()
            .ok()
    });
    // The driver must not block on a full pipe; it says little more, and the thread ends with it.
    std::thread::spawn(move || lines.for_each(drop));
    port
}

/// Base64 (RFC 4648) of pictures; the driver writes no line breaks.
fn unbase64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').collect();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | value(*digit)) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

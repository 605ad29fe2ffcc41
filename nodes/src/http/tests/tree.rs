//! Files and directories as a tree, with a virtual drive in memory.

mod making;
mod moving;
mod mutable;
mod reading;
mod wrong;

use serde_json::Value;

use super::{Answer, Rig};

/// "hello" in base32.
const HELLO: &str = "URI:LIT:nbswy3dp";

impl Rig {
    /// A new directory; gives its write cap.
    async fn mkdir(&self) -> String {
        let answer = self.ask("POST", "/uri?t=mkdir", &[], b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// Asks and expects this status; gives the text.
    async fn expect(&self, status: u16, method: &str, path: &str, body: &[u8]) -> String {
        let answer = self.ask(method, path, &[], body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        answer.text()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(&format!("{path}?t=json")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The names in a directory.
    async fn names(&self, path: &str) -> Vec<String> {
        let json = self.json(path).await;
        assert_eq!(json[0], "dirnode");
        json[1]["children"].as_object().unwrap().keys().cloned().collect()
    }

    /// A form as browsers send it when there is no file.
    async fn submit(&self, path: &str, form: &str) -> Answer {
        let header = ("Content-Type", "application/x-www-form-urlencoded");
        self.ask("POST", path, &[header], form.as_bytes()).await
    }

    /// A form with a file.
    async fn upload(&self, path: &str, fields: &[(&str, &str)], name: &str, body: &str) -> Answer {
        let mut form = String::new();
        for (field, value) in fields {
            form += &format!("--XX\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
        }
        form += &format!(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{body}\r\n--XX--\r\n"
        );
        let header = ("Content-Type", "multipart/form-data; boundary=XX");
        self.ask("POST", path, &[header], form.as_bytes()).await
    }
}

/// The read cap of a directory.
fn read_only(cap: &str) -> String {
    let cap = truckee_grid::caps::Cap::parse(cap).unwrap();
    cap.to_read().unwrap().to_uri()
}

fn verify_only(cap: &str) -> String {
    let cap = truckee_grid::caps::Cap::parse(cap).unwrap();
    cap.to_verifier().unwrap().to_uri()
}

//! The budget: what each step of a transfer costs in the cluster against what it costs by itself.
//!
//! Owns which steps there are, the sums and the words. Pure: figures come in, a table or JSON goes out. Whatever the nodes burned
//! beyond the named steps is *everything else*, so that the table always adds up to what the kernel counted.

use serde_json::{Value, json};

use super::bare::Bare;
use super::meter::{Doing, Reading};
use crate::load::Operation;

/// One step.
struct Step {
    words: &'static str,
    key: &'static str,
    doing: Doing,
    bare: fn(&Bare) -> f64,
}

const fn step(words: &'static str, key: &'static str, doing: Doing, bare: fn(&Bare) -> f64) -> Step {
    Step {
        words,
        key,
        doing,
        bare,
    }
}

/// Of an upload; `n/k` marks what is done for all n shares.
const UPLOAD: [Step; 6] = [
    step("HTTP body in", "body_in", Doing::Http, |bare| bare.body_in),
    step("seal", "seal", Doing::Stage("seal"), |bare| bare.seal),
    step("hash, n/k", "hash", Doing::Stage("hash"), |bare| bare.hash),
    step("code", "code", Doing::Stage("code"), |bare| bare.code),
    step("links: TLS, TCP, actors, n/k", "links", Doing::Links, |bare| {
        bare.links_out
    }),
    step("write and sync, n/k", "write", Doing::Write, |bare| bare.write),
];

/// Of a download.
const DOWNLOAD: [Step; 6] = [
    step("read shares", "read", Doing::Read, |bare| bare.read),
    step("links: TLS, TCP, actors", "links", Doing::Links, |bare| {
        bare.links_in
    }),
    step("hash", "hash", Doing::Stage("verify"), |bare| bare.verify),
    step("decode", "decode", Doing::Stage("decode"), |bare| bare.decode),
    step("open", "open", Doing::Stage("open"), |bare| bare.open),
    step("HTTP body out", "body_out", Doing::Http, |bare| bare.body_out),
];

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    words: &'static str,
    key: &'static str,
    /// Nanoseconds of CPU for each byte of plaintext, in the cluster.
    measured: f64,
    /// The same of the step by itself.
    bare: f64,
}

/// The table of one operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Budget {
    operation: Operation,
    plain_bytes: u64,
    rows: Vec<Row>,
    /// Of all nodes together.
    total: f64,
}

impl Budget {
    /// From what the nodes burned while `plain_bytes` bytes of plaintext went through.
    pub(super) fn of(operation: Operation, plain_bytes: u64, burned: &Reading, bare: &Bare) -> Budget {
        let per_byte = |seconds: f64| seconds * 1e9 / plain_bytes.max(1) as f64;
        let steps = match operation {
            Operation::Put => &UPLOAD,
            Operation::Get | Operation::Range => &DOWNLOAD,
        };
        let row = |step: &Step| Row {
            words: step.words,
            key: step.key,
            measured: per_byte(burned.doing.get(&step.doing).copied().unwrap_or_default()),
            bare: (step.bare)(bare),
        };
        Budget {
            operation,
            plain_bytes,
            rows: steps.iter().map(row).collect(),
            total: per_byte(burned.all),
        }
    }

    fn bare_sum(&self) -> f64 {
        self.rows.iter().map(|row| row.bare).sum()
    }

    /// What is in no named step. The kernel and the nodes look at different moments: a step may seem to hold a little more than there
    /// was.
    fn everything_else(&self) -> f64 {
        let named: f64 = self.rows.iter().map(|row| row.measured).sum();
        (self.total - named).max(0.0)
    }

    fn else_share(&self) -> f64 {
        if self.total > 0.0 {
            self.everything_else() / self.total
        } else {
            0.0
        }
    }

    /// In Markdown.
    pub(super) fn lines(&self) -> Vec<String> {
        let head = match self.operation {
            Operation::Put => "upload",
            Operation::Get | Operation::Range => "download",
        };
        let mut lines = vec![
            format!("| {head}, ns of CPU for each byte | in the cluster | by itself | ratio |"),
            "|---|---|---|---|".to_owned(),
        ];
        let line = |words: &str, measured: f64, bare: f64| {
            let ratio = ratio(measured, bare).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}"));
            format!("| {words} | {measured:.2} | {bare:.2} | {ratio} |")
        };
        lines.extend(
            self.rows
                .iter()
                .map(|row| line(row.words, row.measured, row.bare)),
        );
        lines.push(format!(
            "| everything else | {:.2} | | {:.0} % of all |",
            self.everything_else(),
            self.else_share() * 100.0
        ));
        lines.push(line("sum", self.total, self.bare_sum()));
        lines
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "step": row.key,
                "measured_ns_per_byte": row.measured,
                "bare_ns_per_byte": row.bare,
                "ratio": ratio(row.measured, row.bare),
            })
        };
        json!({
            "operation": self.operation.word(),
            "plain_bytes": self.plain_bytes,
            "steps": self.rows.iter().map(row).collect::<Vec<_>>(),
            "everything_else_ns_per_byte": self.everything_else(),
            "everything_else_share": self.else_share(),
            "measured_ns_per_byte": self.total,
            "bare_ns_per_byte": self.bare_sum(),
            "ratio": ratio(self.total, self.bare_sum()),
        })
    }
}

/// None where the step by itself was too cheap to be seen.
fn ratio(measured: f64, bare: f64) -> Option<f64> {
    (bare > 0.0).then(|| measured / bare)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn reading(doing: &[(Doing, f64)], all: f64) -> Reading {
        Reading {
            doing: doing.iter().copied().collect::<BTreeMap<_, _>>(),
            all,
        }
    }

    fn bare() -> Bare {
        Bare {
            seal: 1.0,
            links_out: 6.0,
            write: 1.0,
            open: 0.5,
            ..Bare::default()
        }
    }

    #[test]
    fn the_table_adds_up_to_what_the_kernel_counted() {
        let before = reading(&[(Doing::Stage("seal"), 1.0), (Doing::Links, 2.0)], 10.0);
        let after = reading(
            &[
                (Doing::Stage("seal"), 3.0),
                (Doing::Links, 14.0),
                (Doing::Write, 2.0),
            ],
            30.0,
        );
        let budget = Budget::of(Operation::Put, 1_000_000_000, &after.since(&before), &bare());
        let measured: Vec<f64> = budget.rows.iter().map(|row| row.measured).collect();
        assert_eq!(measured, [0.0, 2.0, 0.0, 0.0, 12.0, 2.0]);
        assert_eq!(
            (budget.total, budget.everything_else(), budget.bare_sum()),
            (20.0, 4.0, 8.0)
        );
        let lines = budget.lines();
        assert_eq!(lines[3], "| seal | 2.00 | 1.00 | 2.0 |");
        assert_eq!(lines[2], "| HTTP body in | 0.00 | 0.00 | – |");
        assert_eq!(lines[8], "| everything else | 4.00 | | 20 % of all |");
        assert_eq!(lines[9], "| sum | 20.00 | 8.00 | 2.5 |");
        let value = budget.json();
        assert_eq!(value["everything_else_share"], json!(0.2));
        assert_eq!(value["steps"][4]["ratio"], json!(2.0));
        assert_eq!(value["steps"][0]["ratio"], Value::Null);
    }

    #[test]
    fn downloads_have_steps_of_their_own_and_nothing_is_below_nothing() {
        let burned = reading(&[(Doing::Stage("open"), 1.0), (Doing::Stage("seal"), 9.0)], 0.5);
        let budget = Budget::of(Operation::Get, 1_000_000_000, &burned, &bare());
        assert_eq!(budget.everything_else(), 0.0);
        assert_eq!(budget.rows[4].measured, 1.0);
        assert!(!budget.lines().concat().contains("seal"));
        let nothing = Budget::of(Operation::Get, 0, &Reading::default(), &Bare::default());
        assert_eq!(nothing.json()["everything_else_share"], json!(0.0));
    }
}

//! A walk behind a handle: what it has found so far, and what it came to.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web;
use futures_util::StreamExt;
use serde_json::{Value, json};
use truckee_grid::drive::Target;

use super::stats::Stats;
use super::walk::{Found, Plan, Step, cap_text, walk};
use super::{DeepError, results};
use crate::http::Gateway;
use crate::http::error::HttpError;
use crate::http::tree::describe;

/// Bytes that the results of all handles may take together: a manifest of some 300,000 things.
pub(super) const RESULT_BYTES_MAX: usize = 64 << 20;

/// What a result row takes beside its text.
const ROW_BYTES: usize = 96;

/// Problems that a page shows.
const PROBLEMS_SHOWN: usize = 100;

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Manifest,
    Size,
    Stats,
    Check,
}

impl Kind {
    /// For people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Kind::Manifest => "Manifest",
            Kind::Size => "Size of a tree",
            Kind::Stats => "Statistics of a tree",
            Kind::Check => "Deep check",
        }
    }
}

/// Bytes taken by the results of all handles.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// See the module.
pub(super) struct Monitor {
    pub(super) kind: Kind,
    plan: Plan,
    origin: String,
    began: Instant,
    room: Room,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stats: Stats,
    manifest: Vec<(Vec<String>, String)>,
    verifycaps: BTreeSet<String>,
    indexes: BTreeSet<String>,
    unhealthy: Vec<Value>,
    corrupt: Vec<Value>,
    checked: u64,
    healthy: u64,
    unrecoverable: u64,
    /// After repairs; nothing is told of it where none was asked for.
    after: After,
    taken_bytes: usize,
    end: Option<Result<(), Arc<HttpError>>>,
    took: Duration,
}

/// What repairs came to.
#[derive(Default)]
struct After {
    healthy: u64,
    attempted: u64,
    successful: u64,
    corrupt: Vec<Value>,
}

impl Monitor {
    pub(super) fn new(kind: Kind, plan: Plan, root: &Target, room: Room) -> Arc<Monitor> {
        let origin = match root {
            Target::Cap(cap) => cap.storage_index(),
            Target::Unknown { .. } => None,
        };
        Arc::new(Monitor {
            kind,
            plan,
            origin: origin.map(|si| si.to_base32()).unwrap_or_default(),
            began: Instant::now(),
            room,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is written under the lock is whole after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has ended, and how.
    pub(super) fn end(&self) -> Option<Result<(), Arc<HttpError>>> {
        self.lock().end.clone()
    }

    /// Notes the end; only the first one counts.
    pub(super) fn finish(&self, end: Result<(), HttpError>) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end.map_err(Arc::new));
            state.took = self.began.elapsed();
        }
    }

    fn take(&self, step: Step) -> Result<(), HttpError> {
        let mut state = self.lock();
        match step {
            Step::Listing { children, bytes } => state.stats.add_listing(children, bytes),
            Step::Found(found) => {
                state.stats.add(&found.target);
                let before = state.taken_bytes;
                match self.kind {
                    Kind::Manifest => state.list(*found),
                    Kind::Check => state.judge(*found),
                    Kind::Size | Kind::Stats => {}
                }
                let more = state.taken_bytes - before;
                if self.room.0.fetch_add(more, Ordering::AcqRel) + more > RESULT_BYTES_MAX {
                    return Err(DeepError::ResultsTooLarge {
                        bytes_max: RESULT_BYTES_MAX,
                    }
                    .into());
                }
            }
        }
        Ok(())
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let state = self.lock();
        let finished = state.end.is_some();
        let stats = state.stats.to_json();
        match self.kind {
            Kind::Manifest if !finished => {
                json!({ "stats": stats, "finished": false, "origin": self.origin })
            }
            Kind::Manifest => json!({
                "stats": stats,
                "finished": true,
                "origin": self.origin,
                "manifest": state.manifest,
                "verifycaps": state.verifycaps,
                "storage-index": state.indexes,
            }),
            Kind::Size => json!({ "finished": finished, "size": stats, "total": state.stats.total_bytes() }),
            Kind::Stats => {
                let mut stats = stats;
                stats["finished"] = finished.into();
                stats
            }
            Kind::Check => self.check_json(&state, &stats),
        }
    }

    fn repairs(&self) -> bool {
        matches!(self.plan, Plan::Check { repair: true, .. })
    }

    fn check_json(&self, state: &State, stats: &Value) -> Value {
        let unhealthy = state.checked - state.healthy;
        let mut value = json!({
            "finished": state.end.is_some(),
            "root-storage-index": self.origin,
            "count-objects-checked": state.checked,
            "list-corrupt-shares": state.corrupt,
            "list-unhealthy-files": state.unhealthy,
            "stats": stats,
        });
        if self.repairs() {
            let after = &state.after;
            for (when, healthy, corrupt) in [
                ("pre", state.healthy, &state.corrupt),
                ("post", after.healthy, &after.corrupt),
            ] {
                value[format!("count-objects-healthy-{when}-repair")] = healthy.into();
                value[format!("count-objects-unhealthy-{when}-repair")] = (state.checked - healthy).into();
                value[format!("count-corrupt-shares-{when}-repair")] = corrupt.len().into();
            }
            value["count-repairs-attempted"] = after.attempted.into();
            value["count-repairs-successful"] = after.successful.into();
            value["count-repairs-unsuccessful"] = (after.attempted - after.successful).into();
            value["list-remaining-corrupt-shares"] = after.corrupt.clone().into();
        } else {
            value["count-objects-healthy"] = state.healthy.into();
            value["count-objects-unhealthy"] = unhealthy.into();
            value["count-objects-unrecoverable"] = state.unrecoverable.into();
            value["count-corrupt-shares"] = state.corrupt.len().into();
        }
        value
    }

    /// As plain text; the manifest line by line.
    pub(super) fn to_text(&self) -> String {
        let state = self.lock();
        let finished = state.end.is_some();
        let mut text = format!("finished: {}\n", if finished { "yes" } else { "no" });
        match self.kind {
            Kind::Manifest => {
                for (path, cap) in &state.manifest {
                    text += &format!("{} {cap}\n", path.join("/"));
                }
            }
            Kind::Size if finished => text += &format!("size: {}\n", state.stats.total_bytes()),
            Kind::Size => {}
            Kind::Stats => {
                for (name, value) in state.stats.rows() {
                    text += &format!("{name}: {value}\n");
                }
            }
            Kind::Check => {
                text += &format!("checked: {}\nhealthy: {}\n", state.checked, state.healthy);
                if self.repairs() {
                    let After {
                        healthy, successful, ..
                    } = state.after;
                    text += &format!("repaired: {successful}\nhealthy after repair: {healthy}\n");
                }
            }
        }
        text
    }

    /// For people.
    pub(super) fn page(&self, handle: &str) -> crate::http::pages::deep::DeepPage {
        let state = self.lock();
        let mut counts = vec![("Things found".to_owned(), state.stats.objects())];
        if self.kind == Kind::Check {
            counts.extend(
                [
                    ("Checked", state.checked),
                    ("Healthy", state.healthy),
                    ("Not healthy", state.checked - state.healthy),
                    ("Unreadable", state.unrecoverable),
                    ("Damaged shares", state.corrupt.len() as u64),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        if self.repairs() {
            let after = &state.after;
            counts.extend(
                [
                    ("Repairs attempted", after.attempted),
                    ("Repaired", after.successful),
                    ("Healthy after repair", after.healthy),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        counts.extend(state.stats.rows());
        let problems = state.unhealthy.iter().take(PROBLEMS_SHOWN).map(|row| {
            let names = row[0].as_array().into_iter().flatten();
            let path: Vec<&str> = names.filter_map(Value::as_str).collect();
            let summary = row[1]["summary"].as_str().unwrap_or_default();
            (path.join("/"), summary.to_owned())
        });
        let took = if state.end.is_some() {
            state.took
        } else {
            self.began.elapsed()
        };
        crate::http::pages::deep::DeepPage {
            kind: self.kind.title().to_owned(),
            handle: handle.to_owned(),
            finished: state.end.is_some(),
            failure: match &state.end {
                Some(Err(error)) => Some(error.to_string()),
                _ => None,
            },
            took,
            counts,
            problems: problems.collect(),
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let taken = self.lock().taken_bytes;
        self.room.0.fetch_sub(taken, Ordering::AcqRel);
    }
}

impl State {
    fn list(&mut self, found: Found) {
        let cap = cap_text(&found.target);
        let names: usize = found.path.iter().map(|name| name.len() + ROW_BYTES / 4).sum();
        self.taken_bytes += ROW_BYTES + cap.len() + names;
        if let Target::Cap(known) = &found.target
            && let (Some(verifier), Some(si)) = (known.to_verifier(), known.storage_index())
        {
            let (verifier, si) = (verifier.to_uri(), si.to_base32());
            self.taken_bytes += 2 * ROW_BYTES + verifier.len() + si.len();
            self.verifycaps.insert(verifier);
            self.indexes.insert(si);
        }
        self.manifest.push((found.path, cap));
    }

    /// What lives in its cap is not counted.
    fn judge(&mut self, found: Found) {
        let Some(checked) = found.checked.filter(|checked| checked.si.is_some()) else {
            return;
        };
        self.checked += 1;
        self.healthy += u64::from(checked.healthy);
        self.unrecoverable += u64::from(!checked.recoverable);
        if let Some(report) = &checked.report {
            let rows = results::corrupt(report);
            self.taken_bytes += rows.len() * (3 * ROW_BYTES + 100);
            self.corrupt.extend(rows);
        }
        let after = checked.repair.as_ref().map_or(&checked, |attempt| &attempt.after);
        self.after.healthy += u64::from(after.healthy);
        if let Some(report) = &after.report {
            let rows = results::corrupt(report);
            self.taken_bytes += rows.len() * (3 * ROW_BYTES + 100);
            self.after.corrupt.extend(rows);
        }
        if let Some(attempt) = &checked.repair {
            self.after.attempted += 1;
            self.after.successful += u64::from(attempt.succeeded());
        }
        if !checked.healthy {
            let row = json!([found.path, results::check(&checked)]);
            // A value takes a few times its text.
            self.taken_bytes += 4 * row.to_string().len();
            self.unhealthy.push(row);
        }
    }
}

/// Gives a walk that ended in no other way an end.
struct Ended<'m>(&'m Monitor);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.finish(Err(HttpError::Internal));
    }
}

/// Walks to the end, or to the first failure.
pub(super) async fn run(gateway: web::Data<Gateway>, root: Target, monitor: &Monitor) {
    // A walk that panics, or ends with its gateway, has an end too.
    let _ended = Ended(monitor);
    let mut steps = pin!(walk(&gateway, root, monitor.plan));
    while let Some(step) = steps.next().await {
        if let Err(error) = step.and_then(|step| monitor.take(step)) {
            tracing::info!(cause = error.cause(), %error, "a walk failed");
            return monitor.finish(Err(error));
        }
    }
    monitor.finish(Ok(()));
}

/// Whether text of a value is for programs; what [`describe`] writes is.
pub(super) fn json_answer(monitor: &Monitor) -> actix_web::HttpResponse {
    describe::ascii_json(&monitor.to_json())
}

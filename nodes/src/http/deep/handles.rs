//! Handles of walks: `GET /operations/H` and `POST /operations/H?t=cancel`.
//!
//! A handle is a name that the client chose. It is kept for four days after the walk ended and nobody asked, for one
//! day after somebody did, or as long as `retain-for=` says; with `release-after-complete=true` the answer that shows
//! the end is the last. Forgetting a handle ends its walk. All of it is gone when the gateway restarts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::task::AbortHandle;

use super::DeepError;
use super::monitor::{Kind, Monitor, Room, json_answer};
use crate::http::args::Args;
use crate::http::error::{HttpError, wants_json};
use crate::http::{Gateway, pages};

/// Handles at the same time; results are bounded in bytes besides.
pub(super) const HANDLES_MAX: usize = 256;

/// Longest handle, bytes: what Tahoe-LAFS's client makes has 26.
const HANDLE_BYTES_MAX: usize = 128;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a result waits for somebody to ask.
const UNCOLLECTED: Duration = Duration::from_secs(4 * 24 * 3600);

/// How long it stays after that.
const COLLECTED: Duration = DAY;

/// Longest that `retain-for` may say: a year, so that no sum of times overflows.
const RETAIN_MAX: u64 = 365 * 24 * 3600;

/// See the module.
#[derive(Default)]
pub(in crate::http) struct Operations {
    handles: Mutex<BTreeMap<String, Handle>>,
    room: Room,
}

struct Handle {
    monitor: Arc<Monitor>,
    task: Task,
    /// Asked for by the client.
    retain: Option<Duration>,
    expires: Option<Instant>,
}

/// Ends a walk when its handle goes.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The handle that the client chose.
pub(super) fn handle_of(given: Option<&str>) -> Result<String, HttpError> {
    let handle = given.map(str::trim).filter(|handle| !handle.is_empty());
    let handle = handle.ok_or(DeepError::NoHandle)?;
    if handle.len() > HANDLE_BYTES_MAX || handle.contains(|c: char| c == '/' || c.is_control()) {
        return Err(DeepError::BadHandle {
            bytes_max: HANDLE_BYTES_MAX,
        }
        .into());
    }
    Ok(handle.to_owned())
}

/// How long the client wants a result to be kept.
pub(super) fn retain_for(args: &Args) -> Result<Option<Duration>, HttpError> {
    let Some(text) = args.filled("retain-for") else {
        return Ok(None);
    };
    let seconds = text.parse().ok().filter(|seconds| *seconds <= RETAIN_MAX);
    let seconds = seconds.ok_or(HttpError::BadArgument {
        name: "retain-for",
        expected: "a whole number of seconds, at most a year of them",
    })?;
    Ok(Some(Duration::from_secs(seconds)))
}

impl Operations {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Handle>> {
        // Each change of the map is one call.
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room that results share.
    pub(super) fn room(&self) -> Room {
        self.room.clone()
    }

    /// Keeps a walk. One that has the same handle ends.
    ///
    /// # Errors
    /// Too many handles.
    pub(super) fn add(
        &self,
        handle: &str,
        monitor: Arc<Monitor>,
        task: AbortHandle,
        retain: Option<Duration>,
    ) -> Result<(), HttpError> {
        let task = Task(task);
        self.forget_expired(Instant::now());
        let mut handles = self.lock();
        if handles.len() >= HANDLES_MAX && !handles.contains_key(handle) {
            return Err(HttpError::Busy {
                what: "operations",
                retry_after: Duration::from_secs(60),
            });
        }
        let handle = handle.to_owned();
        let kept = Handle {
            monitor,
            task,
            retain,
            expires: None,
        };
        let replaced = handles.insert(handle, kept);
        drop(handles);
        if let Some(replaced) = replaced {
            replaced.monitor.finish(Err(DeepError::Cancelled.into()));
        }
        Ok(())
    }

    /// Time runs from the end of the walk, as far as somebody looked.
    fn forget_expired(&self, now: Instant) {
        self.lock().retain(|_, handle| {
            if handle.expires.is_none() && handle.monitor.end().is_some() {
                handle.expires = Some(now + handle.retain.unwrap_or(UNCOLLECTED));
            }
            handle.expires.is_none_or(|at| at > now)
        });
    }

    /// What a handle stands for; the asking itself may change how long it stays.
    fn collect(
        &self,
        handle: &str,
        now: Instant,
        retain: Option<Duration>,
        release: bool,
    ) -> Result<Arc<Monitor>, HttpError> {
        self.forget_expired(now);
        let mut handles = self.lock();
        let kept = handles.get_mut(handle).ok_or(DeepError::NoSuchHandle)?;
        let monitor = Arc::clone(&kept.monitor);
        if retain.is_some() {
            kept.retain = retain;
        }
        if monitor.end().is_some() {
            kept.expires = Some(now + kept.retain.unwrap_or(COLLECTED));
            if release {
                handles.remove(handle);
            }
        }
        Ok(monitor)
    }

    /// Ends a walk and forgets its handle.
    fn cancel(&self, handle: &str) -> Result<Arc<Monitor>, HttpError> {
        self.forget_expired(Instant::now());
        let kept = self.lock().remove(handle).ok_or(DeepError::NoSuchHandle)?;
        kept.task.0.abort();
        Ok(Arc::clone(&kept.monitor))
    }
}

/// `GET`, `POST /operations/H`.
pub(in crate::http) async fn operation(
    request: HttpRequest,
    name: web::Path<String>,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    match try_operation(&request, &name, &gateway) {
        Ok(response) => response,
        Err(error) => error.respond(&request),
    }
}

fn try_operation(request: &HttpRequest, name: &str, gateway: &Gateway) -> Result<HttpResponse, HttpError> {
    let args = Args::parse(request.query_string())?;
    let handle = handle_of(Some(name))?;
    if *request.method() == Method::POST {
        if args.operation() != "cancel" {
            return Err(HttpError::BadArgument {
                name: "t",
                expected: "cancel in a POST",
            });
        }
        let monitor = gateway.operations.cancel(&handle)?;
        let shown = show(request, &args, &handle, &monitor)?;
        monitor.finish(Err(DeepError::Cancelled.into()));
        return Ok(shown);
    }
    if !matches!(args.operation(), "" | "status") {
        return Err(HttpError::BadArgument {
            name: "t",
            expected: "absent in a GET",
        });
    }
    let retain = retain_for(&args)?;
    let release = args.flag("release-after-complete")?;
    let monitor = gateway
        .operations
        .collect(&handle, Instant::now(), retain, release)?;
    show(request, &args, &handle, &monitor)
}

fn show(
    request: &HttpRequest,
    args: &Args,
    handle: &str,
    monitor: &Monitor,
) -> Result<HttpResponse, HttpError> {
    let output = args.get("output").unwrap_or_default().to_ascii_lowercase();
    let failure = match monitor.end() {
        Some(Err(error)) => Some(error),
        _ => None,
    };
    let json =
        output == "json" || (output.is_empty() && (monitor.kind == Kind::Stats || wants_json(request)));
    match (output.as_str(), failure) {
        ("" | "html", _) if !json => Ok(pages::deep::page(&monitor.page(handle))),
        ("" | "html" | "json" | "text", Some(failure)) => Ok(failure.respond(request)),
        ("text", None) => Ok(HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body(monitor.to_text())),
        ("" | "json", None) => Ok(json_answer(monitor)),
        _ => Err(HttpError::BadArgument {
            name: "output",
            expected: "HTML, JSON or text",
        }),
    }
}

#[cfg(test)]
mod tests {
    use truckee_grid::caps::{Cap, LitCap};
    use truckee_grid::drive::Target;

    use super::super::walk::Plan;
    use super::*;

    fn target() -> Target {
        Target::Cap(Cap::DirLit(LitCap::new(b"x").unwrap()))
    }

    fn add(operations: &Operations, name: &str, retain: Option<u64>) -> Arc<Monitor> {
        let monitor = Monitor::new(Kind::Stats, Plan::Look, &target(), operations.room());
        let task = tokio::spawn(std::future::pending::<()>());
        operations
            .add(
                name,
                Arc::clone(&monitor),
                task.abort_handle(),
                retain.map(Duration::from_secs),
            )
            .unwrap();
        monitor
    }

    #[tokio::test]
    async fn a_result_nobody_asks_for_goes_after_four_days_and_a_collected_one_after_one() {
        let operations = Operations::default();
        let began = Instant::now();
        add(&operations, "running", None);
        add(&operations, "collected", None).finish(Ok(()));
        add(&operations, "uncollected", None).finish(Ok(()));
        add(&operations, "short", Some(10)).finish(Ok(()));
        let asks = |name: &str, at: Instant| operations.collect(name, at, None, false).is_ok();
        assert!(asks("collected", began) && asks("short", began));
        assert!(!asks("short", began + Duration::from_secs(11)));
        assert!(!asks("collected", began + DAY + Duration::from_secs(1)));
        let late = began + UNCOLLECTED + Duration::from_secs(1);
        operations.forget_expired(late);
        assert_eq!(operations.lock().len(), 1, "only the one that runs is left");
        assert!(operations.collect("running", late, None, false).is_ok());
    }

    #[tokio::test]
    async fn a_result_is_released_only_when_it_is_complete() {
        let operations = Operations::default();
        let monitor = add(&operations, "a", None);
        let now = Instant::now();
        assert!(operations.collect("a", now, None, true).is_ok());
        assert!(operations.collect("a", now, None, true).is_ok(), "it still runs");
        monitor.finish(Ok(()));
        assert!(operations.collect("a", now, None, true).is_ok());
        assert!(operations.collect("a", now, None, true).is_err());
    }

    #[tokio::test]
    async fn handles_are_bounded_and_a_used_one_ends_what_it_stood_for() {
        let operations = Operations::default();
        let first = add(&operations, "0", None);
        for number in 1..HANDLES_MAX {
            add(&operations, &number.to_string(), None);
        }
        let monitor = Monitor::new(Kind::Stats, Plan::Look, &target(), operations.room());
        let task = tokio::spawn(std::future::pending::<()>());
        let refused = operations.add("more", monitor, task.abort_handle(), None);
        assert!(matches!(refused, Err(HttpError::Busy { .. })));
        assert!(
            task.await.unwrap_err().is_cancelled(),
            "a walk that is not kept does not run"
        );
        add(&operations, "0", None);
        assert!(matches!(first.end(), Some(Err(_))));
    }

    #[test]
    fn handles_have_a_form() {
        for bad in [
            None,
            Some(""),
            Some(" "),
            Some("a/b"),
            Some("a\nb"),
            Some(&*"x".repeat(129)),
        ] {
            assert!(handle_of(bad).is_err(), "{bad:?}");
        }
        assert_eq!(handle_of(Some(" mine ")).unwrap(), "mine");
        let retain = |text: &str| retain_for(&Args::parse(&format!("retain-for={text}")).unwrap());
        assert!(retain("-1").is_err() && retain("x").is_err() && retain("99999999999").is_err());
        assert_eq!(retain("60").unwrap(), Some(Duration::from_secs(60)));
    }
}

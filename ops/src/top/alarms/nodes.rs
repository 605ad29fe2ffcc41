//! What concerns single nodes: those that are gone or not ready, that restart, lag, run out of something, or find
//! damage.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::grid::Answering;
use super::super::history::History;
use super::super::row::{Row, State};
use super::super::series::{Series, Timing};
use super::super::text::{count, seconds, some_names, span};
use super::Severity::{Critical, Info, Warning};
use super::{Alarm, Judged, alarm};

/// A part that was started again more often than this within [`LATELY`] does not recover.
const RESTARTS_MAX: f64 = 5.0;

/// Restarts and hanging parts are counted over this.
const LATELY: Duration = Duration::from_secs(600);

/// A process that is younger than this and was started under our eyes is worth a word.
const FRESH: Duration = Duration::from_secs(120);

/// Health checks that may go unanswered.
const UNRESPONSIVE_MAX: f64 = 2.0;

/// An event loop of which a tenth of the wake-ups are later than this is overloaded, in seconds.
const LAG_P90_MAX_S: f64 = 0.5;

/// Lateness is judged over this.
const LAG_WITHIN: Duration = Duration::from_secs(60);

/// The part of its file descriptors that a node may use.
const OPEN_FILES_PART_MAX: f64 = 0.9;

/// Less of a disk than this part is too little.
const DISK_PART_MIN: f64 = 0.05;

/// Strangers that are refused, per second.
const REFUSED_MAX: f64 = 1.0;

/// A member for less than this is about to be none, in seconds.
const GRANT_LEFT_MIN_S: f64 = 3.0 * 86_400.0;

pub(super) fn judge(judged: &Judged<'_>, alarms: &mut Vec<Alarm>) {
    alarms.extend(gone(judged.rows));
    alarms.extend(not_ready(judged.rows));
    alarms.extend(slow(judged));
    for answering in judged.answering {
        wear(answering, alarms);
        limits(answering, judged.unix_s, alarms);
        alarms.extend(fresh(answering, judged.at));
    }
    alarms.extend(no_introducer(judged));
    alarms.extend(versions(judged.rows));
}

/// One alarm for each node that is gone, or one for all of them when they are many.
fn gone(rows: &[Row]) -> Vec<Alarm> {
    let gone: Vec<&Row> = rows.iter().filter(|row| row.state == State::Gone).collect();
    let told = |what, advice: &str| alarm(Warning, Some("truckeenodegone"), what, advice);
    if gone.len() > 3 {
        let names: Vec<&str> = gone.iter().map(|row| row.node.name.as_str()).collect();
        let what = format!("{} do not answer", some_names(&names));
        return vec![told(
            what,
            "start them again, those with intact disks first; a node's disk keeps its shares",
        )];
    }
    let one = |row: &&Row| {
        let reason = row
            .reason
            .as_ref()
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        let keeps = if row.node.is("storage") {
            "; its disk keeps its shares"
        } else {
            ""
        };
        let advice = match &row.node.dir {
            _ if row.hangs => {
                "it or its machine hangs, or the way there is cut: look before you start it again".to_owned()
            }
            Some(dir) => format!("start it with `truckee run --dir {}`{keeps}", dir.display()),
            None => {
                format!("see whether its process runs, start it with `truckee run` on its machine{keeps}")
            }
        };
        told(format!("{} does not answer{reason}", row.node.name), &advice)
    };
    gone.iter().map(one).collect()
}

fn not_ready(rows: &[Row]) -> Vec<Alarm> {
    let waiting = rows.iter().filter(|row| row.state == State::NotReady);
    let one = |row: &Row| {
        let reason = row.reason.as_deref().unwrap_or("it says no reason");
        let what = format!("{} is not ready ({reason})", row.node.name);
        alarm(Warning, None, what, "give it what it lacks; its `log` has more")
    };
    waiting.map(one).collect()
}

fn slow(judged: &Judged<'_>) -> Vec<Alarm> {
    let Some(usual) = judged.usual_latency_s else {
        return Vec::new();
    };
    let one = |row: &Row| {
        let what = format!(
            "{} is slow: {} for a request, where others take {}",
            row.node.name,
            seconds(row.latency_s.unwrap_or_default()),
            seconds(usual)
        );
        let advice = "look at its disk and CPU; downloads go around it, at a price";
        alarm(Warning, Some("truckeelatencybudgetburn"), what, advice)
    };
    judged.rows.iter().filter(|row| row.slow).map(one).collect()
}

/// What a node counted that it should not have to.
fn wear(answering: &Answering<'_>, alarms: &mut Vec<Alarm>) {
    alarms.extend(damage(answering));
    let (row, history) = answering;
    let name = &row.node.name;
    let lately = |series| history.increase(series, LATELY).unwrap_or_default();
    let errors = latest(history, Series::DiskErrors);
    let lag = history.quantile(Timing::Lag, 0.9, LAG_WITHIN).unwrap_or_default();
    let refused = history.rate(Series::Refused, LATELY).unwrap_or_default();
    let told = [
        (
            errors > 0.0,
            Warning,
            "truckeediskerrors",
            format!("{} failed on {name}", count(errors as usize, "disk operation")),
            "its `log` has operation and error; look at space and permissions",
        ),
        (
            lately(Series::Restarts) > RESTARTS_MAX || lately(Series::Escalations) > 0.0,
            Critical,
            "truckeerestartstorm",
            format!("a part of {name} keeps ending"),
            "each end has its reason in the `log`; restart the process if it does not recover",
        ),
        (
            lately(Series::Unresponsive) > UNRESPONSIVE_MAX,
            Warning,
            "truckeeactorhangs",
            format!("a part of {name} does not answer its health checks"),
            "look at its CPU; if only this part hangs, keep the `log` and restart the node",
        ),
        (
            lag > LAG_P90_MAX_S,
            Warning,
            "truckeeeventlooplate",
            format!("{name} is overloaded: its event loops wake late"),
            "its machine is short of CPU or swaps: move nodes apart",
        ),
        (
            latest(history, Series::CodecFallback) > 0.0,
            Info,
            "truckeeslowengine",
            format!("{name} codes with the reference engine"),
            "files are right; report the processor and the version",
        ),
        (
            refused > REFUSED_MAX,
            Info,
            "truckeestrangers",
            format!("{name} keeps refusing peers"),
            "a member lost its grant, or a stranger knocks",
        ),
    ];
    for (_, severity, heading, what, advice) in told.into_iter().filter(|(is_so, ..)| *is_so) {
        alarms.push(alarm(severity, Some(heading), what, advice));
    }
}

fn latest(history: &History, series: Series) -> f64 {
    let value = history.latest().and_then(|sample| sample.value(series));
    value.unwrap_or_default()
}

fn damage((row, history): &Answering<'_>) -> Option<Alarm> {
    let series = [Series::CorruptShares, Series::CorruptBlocks, Series::CheckCorrupt];
    let found: f64 = series.into_iter().map(|series| latest(history, series)).sum();
    let increases = series
        .into_iter()
        .filter_map(|series| history.increase(series, LATELY));
    let (severity, when) = if increases.sum::<f64>() > 0.0 {
        (Warning, "just now")
    } else {
        (Info, "since its start")
    };
    (found > 0.0).then(|| {
        let found = count(found as usize, "damaged piece");
        let what = format!("{} found {found}, {when}", row.node.name);
        let advice = "look at the disk and the kernel log of the node that held it";
        alarm(severity, Some("truckeecorruptionfound"), what, advice)
    })
}

/// What a node is about to run out of.
fn limits((row, history): &Answering<'_>, unix_s: f64, alarms: &mut Vec<Alarm>) {
    let name = &row.node.name;
    let value = |series| history.latest().and_then(|sample| sample.value(series));
    let part = |of, whole| value(of).zip(value(whole)).map(|(of, whole)| of / whole);
    if part(Series::DiskFree, Series::DiskSize).is_some_and(|free| free < DISK_PART_MIN) {
        let what = format!("the disk of {name} is nearly full");
        let advice = "free space, or set `storage.quota_bytes`; a full node goes on serving what it has";
        alarms.push(alarm(Warning, Some("truckeediskfullsoon"), what, advice));
    }
    if part(Series::OpenFiles, Series::OpenFilesMax).is_some_and(|used| used > OPEN_FILES_PART_MAX) {
        let what = format!("{name} runs out of file descriptors");
        let advice = "raise the limit of the service (`LimitNOFILE`)";
        alarms.push(alarm(Warning, Some("truckeefewdescriptors"), what, advice));
    }
    let expires = value(Series::GrantExpires).filter(|expires| *expires > 0.0);
    if let Some(left_s) = expires
        .map(|expires| expires - unix_s)
        .filter(|left| *left < GRANT_LEFT_MIN_S)
    {
        let what = if left_s > 0.0 {
            format!(
                "{name} is a member for {} more",
                span(Duration::from_secs_f64(left_s))
            )
        } else {
            format!("{name} is a member no more: its grant has ended")
        };
        let advice = "see that it reaches an introducer and that the clocks agree: grants renew themselves";
        alarms.push(alarm(Warning, Some("truckeegrantexpiring"), what, advice));
    }
    if value(Series::DatabaseUp) == Some(0.0) {
        let what = format!("the database of {name} does not answer");
        alarms.push(alarm(
            Critical,
            None,
            what,
            "bring the database back; directories cannot be read or changed without it",
        ));
    }
}

fn fresh((row, history): &Answering<'_>, at: Duration) -> Option<Alarm> {
    let since = at.saturating_sub(history.restarted_at?);
    (since < FRESH).then(|| {
        let what = format!("{} was started again {} ago", row.node.name, span(since));
        alarm(
            Info,
            Some("truckeenodecrashloop"),
            what,
            "if nobody meant to, its `log` says how it ended before",
        )
    })
}

fn no_introducer(judged: &Judged<'_>) -> Option<Alarm> {
    let alone = |(row, history): &&Answering<'_>| {
        !row.node.is("introducer")
            && history
                .latest()
                .and_then(|sample| sample.value(Series::IntroducersUp))
                == Some(0.0)
    };
    let alone: Vec<&str> = judged
        .answering
        .iter()
        .filter(alone)
        .map(|(row, _)| row.node.name.as_str())
        .collect();
    let verb = if alone.len() == 1 { "reaches" } else { "reach" };
    (!alone.is_empty()).then(|| {
        alarm(
            Info,
            Some("truckeenointroducer"),
            format!("{} {verb} no introducer", some_names(&alone)),
            "start the introducer; until then nobody can join, and all else works",
        )
    })
}

fn versions(rows: &[Row]) -> Option<Alarm> {
    let versions: BTreeSet<&str> = rows
        .iter()
        .map(|row| row.version.as_str())
        .filter(|version| !version.is_empty())
        .collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    (versions.len() > 1).then(|| {
        let what = format!("nodes run different versions: {}", some_names(&versions));
        alarm(Info, None, what, "bring them to the same one when there is time")
    })
}

//! What concerns single nodes: those that are gone or not ready, that restart, lag, run out of something, or find
//! damage.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::grid::Answering;
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
fn wear((row, history): &Answering<'_>, alarms: &mut Vec<Alarm>) {
    let name = &row.node.name;
    let latest = |series| {
        history
            .latest()
            .and_then(|sample| sample.value(series))
            .unwrap_or_default()
    };
    let lately = |series| history.increase(series, LATELY).unwrap_or_default();
    let mut tell =
        |severity, heading, what, advice: &str| alarms.push(alarm(severity, Some(heading), what, advice));
    let damages = [Series::CorruptShares, Series::CorruptBlocks, Series::CheckCorrupt];
    let damaged: f64 = damages.into_iter().map(latest).sum();
    if damaged > 0.0 {
        let fresh = damages.into_iter().map(lately).sum::<f64>() > 0.0;
        let (severity, when) = if fresh {
            (Warning, "just now")
        } else {
            (Info, "since its start")
        };
        let what = format!(
            "{name} found {} damaged, {when}",
            count(damaged as usize, "share or block")
        );
        tell(
            severity,
            "truckeecorruptionfound",
            what,
            "look at the disk and the kernel log of the node that held it",
        );
    }
    let errors = latest(Series::DiskErrors);
    if errors > 0.0 {
        let what = format!("{} failed on {name}", count(errors as usize, "disk operation"));
        tell(
            Warning,
            "truckeediskerrors",
            what,
            "its `log` has operation and error; look at space and permissions",
        );
    }
    if lately(Series::Restarts) > RESTARTS_MAX || lately(Series::Escalations) > 0.0 {
        let what = format!("a part of {name} keeps ending");
        tell(
            Critical,
            "truckeerestartstorm",
            what,
            "each end has its reason in the `log`; restart the process if it does not recover",
        );
    }
    if lately(Series::Unresponsive) > UNRESPONSIVE_MAX {
        let what = format!("a part of {name} does not answer its health checks");
        tell(
            Warning,
            "truckeeactorhangs",
            what,
            "look at its CPU; if only this part hangs, keep the `log` and restart the node",
        );
    }
    if history
        .quantile(Timing::Lag, 0.9, LAG_WITHIN)
        .is_some_and(|lag| lag > LAG_P90_MAX_S)
    {
        let what = format!("{name} is overloaded: its event loops wake late");
        tell(
            Warning,
            "truckeeeventlooplate",
            what,
            "its machine is short of CPU or swaps: move nodes apart",
        );
    }
    if latest(Series::CodecFallback) > 0.0 {
        let what = format!("{name} codes with the reference engine");
        tell(
            Info,
            "truckeeslowengine",
            what,
            "files are right; report the processor and the version",
        );
    }
    if history
        .rate(Series::Refused, LATELY)
        .is_some_and(|rate| rate > REFUSED_MAX)
    {
        let what = format!("{name} keeps refusing peers");
        tell(
            Info,
            "truckeestrangers",
            what,
            "a member lost its grant, or a stranger knocks",
        );
    }
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

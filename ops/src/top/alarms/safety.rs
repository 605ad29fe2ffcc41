//! What concerns files: whether they can be read and stored, how many failures they bear, what was found damaged, and
//! how full the grid is.

use super::super::grid::{FAILURES_WITHIN, Ready, latest, total};
use super::super::series::Series;
use super::super::text::{count, percent};
use super::Severity::{Critical, Info, Warning};
use super::{Alarm, Judged, alarm};

/// Less than this part of the space left is too little.
const LEFT_PART_MIN: f64 = 0.1;

/// Fewer nodes than this to spare are too few, in a grid that can have them.
const SPARE_MIN: i64 = 2;

pub(super) fn judge(judged: &Judged<'_>, alarms: &mut Vec<Alarm>) {
    if let Some(trouble) = judged.trouble {
        alarms.push(alarm(
            Warning,
            None,
            trouble.to_owned(),
            "the nodes are those that were listed before",
        ));
    }
    alarms.extend(nodes_left(judged));
    alarms.extend(not_ready(judged));
    alarms.extend(space(judged));
    alarms.extend(damage(judged));
    alarms.extend(short(judged));
    alarms.extend(unreadable(judged));
    alarms.extend(failures(judged));
    alarms.extend(members(judged));
}

/// What too few storage nodes mean: only the worst of it is told.
fn nodes_left(judged: &Judged<'_>) -> Option<Alarm> {
    let grid = judged.grid;
    let (up, needed, happy, made) = (grid.storage_up, grid.needed?, grid.happy?, grid.made?);
    let spare = grid.spare()?;
    let nodes = match up {
        0 => "no storage node answers".to_owned(),
        1 => "only 1 storage node answers".to_owned(),
        _ => format!("only {up} storage nodes answer"),
    };
    if up < needed {
        return Some(alarm(
            Critical,
            Some("truckeefilesatrisk"),
            format!("{nodes}: files cannot be read, which needs {needed}"),
            "bring storage nodes back now, those with intact disks first",
        ));
    }
    let at_risk = spare < SPARE_MIN && grid.storage >= needed + 2;
    if at_risk {
        let may = match spare {
            0 => "no storage node may fail any more".to_owned(),
            spare => format!("only {spare} more storage node may fail"),
        };
        let refused = if up < happy {
            ", and uploads are refused"
        } else {
            ""
        };
        return Some(alarm(
            Critical,
            Some("truckeefilesatrisk"),
            format!("{may} before files cannot be read{refused}"),
            "bring storage nodes back now, those with intact disks first; take none away",
        ));
    }
    if up < happy {
        return Some(alarm(
            Critical,
            Some("truckeegridbelowhappy"),
            format!("below happy: uploads are refused, {nodes} and {happy} are needed"),
            "bring nodes back; do not lower `happy`, it is what makes a stored file safe",
        ));
    }
    (up < made).then(|| {
        alarm(
            Warning,
            Some("truckeegridbelown"),
            format!("{nodes}, and a file should have its {made} shares on {made} of them"),
            "bring nodes back or add some; files stored meanwhile bear fewer failures",
        )
    })
}

fn not_ready(judged: &Judged<'_>) -> Option<Alarm> {
    match &judged.grid.ready {
        Ready::Yes => None,
        Ready::No(why) => Some(alarm(
            Critical,
            None,
            format!("no gateway is ready ({why})"),
            "start a gateway, or give it what it lacks",
        )),
        Ready::NoGateway => Some(alarm(
            Info,
            None,
            "no gateway is among the nodes watched".to_owned(),
            "give the targets of one too, to see transfers and what files need",
        )),
    }
}

fn space(judged: &Judged<'_>) -> Option<Alarm> {
    let left = 1.0 - judged.grid.filled()?;
    (left < LEFT_PART_MIN).then(|| {
        alarm(
            Warning,
            Some("truckeegridfullsoon"),
            format!("only {} of the space is left", percent(left.max(0.0))),
            "add storage nodes or disks; full nodes refuse new shares and go on serving",
        )
    })
}

/// What was found damaged while watched is told by node in [`super::nodes`]; here what vdrives were caught at.
fn damage(judged: &Judged<'_>) -> Option<Alarm> {
    let distrusted = latest(judged.answering, Series::Distrusted).filter(|number| *number > 0.0)?;
    Some(alarm(
        Warning,
        None,
        format!(
            "{distrusted} answers of vdrives were not believed: forged, rolled back or of another database"
        ),
        "look after the vdrive and its database; the gateways go on with what they have verified",
    ))
}

fn short(judged: &Judged<'_>) -> Option<Alarm> {
    let missing = latest(judged.answering, Series::SharesMissing).filter(|number| *number > 0.0)?;
    Some(alarm(
        Info,
        Some("truckeefilesbelown"),
        format!("{missing} shares are missing from files stored since the gateways' starts"),
        "nothing at once: storage nodes make them again when there are nodes for them",
    ))
}

/// What keepers of files say. In a grid of which nodes are away, [`nodes_left`] says why.
fn unreadable(judged: &Judged<'_>) -> Option<Alarm> {
    let files = latest(judged.answering, Series::FilesUnreadable).filter(|number| *number > 0.0)?;
    let told = match files {
        1.0 => "1 file cannot be read: too few of its shares answer".to_owned(),
        _ => format!("{files} files cannot be read: too few of their shares answer"),
    };
    Some(alarm(
        Critical,
        Some("truckeefilesunreadable"),
        told,
        "bring back every storage node that still has its disk, and take none away",
    ))
}

fn failures(judged: &Judged<'_>) -> Vec<Alarm> {
    let failed = |series| {
        let increases = judged
            .answering
            .iter()
            .map(|(_, history)| history.increase(series, FAILURES_WITHIN));
        total(increases).filter(|number| *number > 0.0)
    };
    let told = |number: f64, what: &str, heading| {
        alarm(
            Warning,
            Some(heading),
            format!("{} failed while this watches", count(number as usize, what)),
            "the gateway's `log` has the reason of each",
        )
    };
    let uploads =
        failed(Series::UploadsFailed).map(|number| told(number, "upload", "truckeeuploadbudgetburn"));
    let downloads =
        failed(Series::DownloadsFailed).map(|number| told(number, "download", "truckeedownloadbudgetburn"));
    uploads.into_iter().chain(downloads).collect()
}

fn members(judged: &Judged<'_>) -> Option<Alarm> {
    let grid = judged.grid;
    let (_, known) = grid.members.iter().find(|(role, _)| *role == "storage")?;
    (*known > grid.storage).then(|| {
        alarm(
            Info,
            None,
            format!(
                "the mesh has {known} storage nodes as members, {} of them are watched",
                grid.storage
            ),
            "give the targets of the others too, or revoke those that will not come back",
        )
    })
}

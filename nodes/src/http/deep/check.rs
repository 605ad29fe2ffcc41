//! One thing is checked: a file by its shares, a directory by its vdrive, a mutable file by both.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};
use truckee_engine::drive::DriveError;
use truckee_grid::caps::{Cap, ChkVerifier, MutableCap};
use truckee_grid::drive::Target;
use truckee_grid::ids::StorageIndex;

use super::DeepError;
use super::repair::{self, Attempt};
use super::results;
use super::walk::Plan;
use crate::http::Gateway;
use crate::http::args::Args;
use crate::http::check_port::{CheckError, CheckReport};
use crate::http::error::{HttpError, wants_json};
use crate::http::pages;
use crate::http::tree::{TreeError, answer, describe};

/// What a check found.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// None for what lives in its cap, which is always healthy.
    pub(super) si: Option<StorageIndex>,
    pub(super) healthy: bool,
    pub(super) recoverable: bool,
    /// One sentence.
    pub(super) summary: String,
    /// The shares of the file, or of a mutable file's content.
    pub(super) report: Option<CheckReport>,
    /// The version of a directory or mutable file that its vdrive answered with.
    pub(super) version: Option<u64>,
    /// The repair of the shares, if one was wanted and there was something to repair.
    pub(super) repair: Option<Attempt>,
}

impl Checked {
    fn literal() -> Checked {
        Checked {
            si: None,
            healthy: true,
            recoverable: true,
            summary: "Healthy (LIT)".to_owned(),
            report: None,
            version: None,
            repair: None,
        }
    }

    pub(super) fn of_report(report: CheckReport) -> Checked {
        let (good, k, n) = (report.good(), report.coding.k(), report.coding.n());
        let summary = match (report.is_healthy(), report.is_recoverable()) {
            (true, _) => "Healthy".to_owned(),
            (false, true) => format!("Not Healthy: {good} of {n} shares are good, {k} are needed"),
            (false, false) => {
                format!("Not Healthy: only {good} shares are good and {k} are needed: unreadable now")
            }
        };
        Checked {
            si: Some(report.si),
            healthy: report.is_healthy(),
            recoverable: report.is_recoverable(),
            summary,
            report: Some(report),
            version: None,
            repair: None,
        }
    }

    fn in_drive(cap: &MutableCap, version: u64) -> Checked {
        Checked {
            si: Some(cap.storage_index()),
            version: Some(version),
            summary: "Healthy".to_owned(),
            ..Checked::literal()
        }
    }

    fn failed(si: Option<StorageIndex>, why: &dyn std::fmt::Display) -> Checked {
        Checked {
            si,
            healthy: false,
            recoverable: false,
            summary: format!("Not Healthy: {why}"),
            report: None,
            version: None,
            repair: None,
        }
    }
}

/// What a check reads and does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Every block is read.
    pub(super) verify: bool,
    /// What is missing is made again.
    pub(super) repair: bool,
}

/// Checks what `target` names.
///
/// # Errors
/// When nothing can be said of it; bad health is no error.
pub(super) async fn check(gateway: &Gateway, target: &Target, choice: Choice) -> Result<Checked, HttpError> {
    let Target::Cap(cap) = target else {
        return Err(DeepError::Unknown.into());
    };
    match cap {
        Cap::Lit(_) | Cap::DirLit(_) => Ok(Checked::literal()),
        Cap::Chk(file) | Cap::DirChk(file) => check_file(gateway, file.verifier(), choice).await,
        Cap::ChkVerifier(file) | Cap::DirChkVerifier(file) => check_file(gateway, *file, choice).await,
        Cap::Dir(mutable) | Cap::Ssk(mutable) | Cap::Mdmf(mutable) => {
            check_mutable(gateway, mutable, choice).await
        }
    }
}

/// As [`check`], for one of many things: what cannot be checked is not healthy, and only a gateway that stops ends the
/// whole walk.
pub(super) async fn check_one_of_many(
    gateway: &Gateway,
    target: &Target,
    choice: Choice,
) -> Result<Checked, HttpError> {
    match check(gateway, target, choice).await {
        // It is carried and not understood: there is nothing that this software could say of it.
        Err(HttpError::Deep(DeepError::Unknown)) => Ok(Checked::literal()),
        Err(HttpError::Deep(DeepError::Check(error @ CheckError::CapContradicts))) => {
            let si = match target {
                Target::Cap(cap) => cap.storage_index(),
                Target::Unknown { .. } => None,
            };
            Ok(Checked::failed(si, &error))
        }
        other => other,
    }
}

async fn check_file(gateway: &Gateway, file: ChkVerifier, choice: Choice) -> Result<Checked, HttpError> {
    let report = gateway.checker.check(file, choice.verify).await;
    let report = report.map_err(DeepError::from)?;
    let repair = if choice.repair && !report.is_healthy() {
        Some(repair::attempt(gateway, file, &report).await?)
    } else {
        None
    };
    Ok(Checked {
        repair,
        ..Checked::of_report(report)
    })
}

/// A verified answer of the vdrive, and the content if there is one.
async fn check_mutable(gateway: &Gateway, cap: &MutableCap, choice: Choice) -> Result<Checked, HttpError> {
    let si = cap.storage_index();
    let view = match gateway.drive.read(cap).await {
        Ok(view) => view,
        Err(
            error @ (DriveError::NoVdrive
            | DriveError::Unreachable { .. }
            | DriveError::NotFound
            | DriveError::Forged
            | DriveError::RolledBack { .. }
            | DriveError::SplitDatabase
            | DriveError::Database),
        ) => return Ok(Checked::failed(Some(si), &error)),
        Err(error) => return Err(error.into()),
    };
    let found = match view.content.as_ref().map(|content| &content.target) {
        Some(Target::Cap(Cap::Chk(content))) => check_file(gateway, content.verifier(), choice).await?,
        Some(Target::Cap(Cap::Lit(_))) | None => return Ok(Checked::in_drive(cap, view.version)),
        Some(_) => return Err(TreeError::UnknownKind.into()),
    };
    let named = |found: Checked| Checked {
        si: Some(si),
        version: Some(view.version),
        ..found
    };
    let mut checked = named(found);
    if let Some(attempt) = &mut checked.repair {
        *attempt.after = named((*attempt.after).clone());
    }
    Ok(checked)
}

/// `POST CAP?t=check`.
pub(super) async fn post(
    request: &HttpRequest,
    gateway: &Gateway,
    target: &Target,
    plan: Plan,
    args: &Args,
) -> Result<HttpResponse, HttpError> {
    let Plan::Check { verify, repair } = plan else {
        return Err(HttpError::Internal);
    };
    let checked = check(gateway, target, Choice { verify, repair }).await?;
    if let Some(redirect) = answer::when_done(args, None) {
        return Ok(redirect);
    }
    let json = args
        .get("output")
        .is_some_and(|output| output.eq_ignore_ascii_case("json"));
    if json || wants_json(request) {
        let value = if repair {
            results::check_and_repair(&checked)
        } else {
            results::check(&checked)
        };
        return Ok(describe::ascii_json(&value));
    }
    Ok(pages::check::page(&page(gateway, &checked, verify)))
}

fn page(gateway: &Gateway, before: &Checked, verified: bool) -> pages::check::CheckPage {
    let checked = before.repair.as_ref().map_or(before, |attempt| &attempt.after);
    let names: Map<String, Value> = gateway
        .view
        .snapshot()
        .peers
        .into_iter()
        .map(|peer| (peer.node_id, json!(peer.nickname)))
        .collect();
    let name = |id: &truckee_grid::ids::NodeId| {
        let id = id.to_base32();
        let known = names.get(&id).and_then(Value::as_str);
        known.map_or_else(|| id.clone(), str::to_owned)
    };
    let mut page = pages::check::CheckPage {
        summary: checked.summary.clone(),
        storage_index: checked.si.map(|si| si.to_base32()),
        healthy: checked.healthy,
        recoverable: checked.recoverable,
        verified,
        repair: before.repair.as_ref().map(Attempt::text),
        ..pages::check::CheckPage::default()
    };
    if let Some(report) = &checked.report {
        page.good = report.good() as u64;
        page.needed = report.coding.k() as u64;
        page.expected = report.coding.n() as u64;
        page.corrupt = report
            .corrupt
            .iter()
            .map(|found| (name(&found.peer), u64::from(found.share.0)))
            .collect();
        page.share_map = report
            .sharemap
            .iter()
            .map(|(share, peers)| (u64::from(share.0), peers.iter().map(&name).collect()))
            .collect();
    }
    page
}

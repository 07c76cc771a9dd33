//! *Admin*: how the service is, who may use it, and what the staff did. Auditors see it without the accounts.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use timemark_accounts::Role;
use timemark_review::JobState;

use super::answer;
use super::frame::{Frame, grouped};
use super::log::{Watcher, watchers};
use super::words::{Words, json, say};
use crate::access::Caller;
use crate::operation::{Readiness, readiness};
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

pub(super) async fn page(State(service): State<Shared>, caller: Caller, frame: Frame) -> Response {
    let made = blocking(move || {
        let w = frame.words();
        let page = status(&service, &frame).map(|status| Page {
            w,
            script: json(&w.access.script),
            any: service.access.accounts.any(),
            rules: caller.may("list_accounts") && matches!(caller, Caller::Somebody(_)),
            own_id: caller.account_id().unwrap_or_default().to_owned(),
            roles: Role::ALL.map(|role| (role.name(), w.access.role(role))),
            actions: ACTIONS,
            frame: &frame,
            status,
        });
        answer(&frame, page)
    });
    made.await.unwrap_or_else(|status| Problem::from(status).into_response())
}

#[derive(Template)]
#[template(path = "admin.html")]
struct Page<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    status: Status,
    /// Whether there are accounts.
    any: bool,
    /// Whether accounts are this account's to change.
    rules: bool,
    own_id: String,
    roles: [(&'static str, &'static str); 5],
    actions: &'static [&'static str],
}

/// How the service is.
struct Status {
    /// Why works are not taken in.
    refuses: Option<String>,
    size: String,
    scans: String,
    witnesses: Vec<Watcher>,
    authorities: Vec<Watcher>,
    version: &'static str,
}

fn status(service: &Service, frame: &Frame) -> Result<Status, Problem> {
    let w = frame.words().access;
    let refuses = match readiness(service)? {
        Readiness::Ready => None,
        Readiness::Refused(why) => Some(say(w.status_refused, &[&why])),
        Readiness::Failing => Some(w.status_failing.to_owned()),
        Readiness::Behind => Some(w.status_behind.to_owned()),
        Readiness::Lags => Some(w.status_lags.to_owned()),
    };
    let (witnesses, authorities) = watchers(service, frame)?;
    Ok(Status {
        refuses,
        size: grouped(service.engine.log.size()),
        scans: scans(service, w.status_scans_none, w.status_scans_some)?,
        witnesses,
        authorities,
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// How many scans have not ended, by what they are at.
fn scans(service: &Service, none: &str, some: &str) -> Result<String, Problem> {
    let page = service.review.jobs(u64::MAX, SCANS_LOOKED_AT)?;
    let of = |state| page.items.iter().filter(|(job, _)| job.state == state).count();
    let counts = [JobState::Running, JobState::Queued, JobState::Paused].map(of);
    Ok(match counts {
        [0, 0, 0] => none.to_owned(),
        [running, queued, paused] => say(some, &[&running, &queued, &paused]),
    })
}

/// The newest scans, among which those are that have not ended.
const SCANS_LOOKED_AT: usize = 200;
/// What may be asked for alone.
const ACTIONS: &[&str] = &[
    "account.change",
    "account.create",
    "account.password",
    "domain.allow",
    "domain.disallow",
    "key.create",
    "key.revoke",
    "match.verdict",
    "receipt.export",
    "work.view",
];

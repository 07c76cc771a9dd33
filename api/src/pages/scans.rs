//! *Scans*: one is asked for, and all are listed, newest first.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use timemark_review::{Job, JobSource, JobState, utc};

use super::answer;
use super::frame::{Frame, grouped, outside};
use super::words::{Words, say};
use crate::access::{Caller, Viewer};
use crate::counts::Counts;
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

/// Which scans.
#[derive(Default, Deserialize)]
pub(super) struct Which {
    /// Those asked for before this one.
    before: Option<u64>,
}

pub(super) async fn page(
    State(service): State<Shared>,
    caller: Caller,
    frame: Frame,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let Query(which) = which.unwrap_or_default();
    let made = blocking(move || {
        let page = listed(&which, &caller, &service, &frame);
        answer(&frame, page)
    });
    made.await.unwrap_or_else(|status| Problem::from(status).into_response())
}

#[derive(Template)]
#[template(path = "scans.html")]
struct Scans<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    /// Whether whoever looks may ask for one.
    may_scan: bool,
    bytes_max: u64,
    /// The folders of the server that may be scanned.
    roots: Option<String>,
    rows: Vec<Row>,
    is_older: bool,
    older: Option<u64>,
}

/// A scan as it is listed.
struct Row {
    id: u64,
    heading: String,
    source: String,
    state: &'static str,
    state_name: String,
    asked: String,
    in_short: String,
}

fn listed<'a>(
    which: &Which,
    caller: &Caller,
    service: &Service,
    frame: &'a Frame,
) -> Result<Scans<'a>, Problem> {
    let w = frame.words();
    let review = &service.review;
    let viewer = Viewer::of(caller, service)?;
    // One more shows whether there are older ones, to who does not see all.
    let is_seen = |job: &Job| viewer.sees_scan(job);
    let before = which.before.unwrap_or(u64::MAX);
    let mut jobs = Vec::new();
    let mut rest = Some(before);
    while let Some(before) = rest.filter(|_| jobs.len() <= ROWS) {
        let page = review.jobs_where(before, ROWS + 1 - jobs.len(), &is_seen)?;
        jobs.extend(page.items.into_iter().map(|(job, _)| job));
        rest = page.next;
    }
    let is_more = jobs.len() > ROWS;
    jobs.truncate(ROWS);
    let older = jobs.last().filter(|_| is_more).map(|job| job.id);
    let rows = jobs.into_iter().map(|mut job| {
        if let Some(counts) = Counts::of_matches(&job, &viewer)? {
            counts.tell(&mut job);
        }
        Ok(Row::of(&job, frame))
    });
    let rows = rows.collect::<Result<Vec<_>, Problem>>()?;
    let roots: Vec<_> = review.roots().named().map(|root| root.display().to_string()).collect();
    Ok(Scans {
        w,
        frame,
        script: w.reviewing.script.json(),
        may_scan: caller.may("scan"),
        bytes_max: service.upload_bytes_max,
        // The server's folders are its operator's.
        roots: (!roots.is_empty() && !viewer.is_narrow())
            .then(|| say(w.reviewing.scan_paths_hint, &[&outside(&roots.join(", "))])),
        rows,
        is_older: which.before.is_some(),
        older,
    })
}

impl Row {
    fn of(job: &Job, frame: &Frame) -> Row {
        let w = frame.words().reviewing;
        let counts = [job.suspects, job.matches, job.errors].map(grouped);
        Row {
            id: job.id,
            heading: say(w.scan_number, &[&job.id]),
            source: source(&job.source),
            state: w.state(job.state),
            state_name: job.state.to_string(),
            asked: say(w.asked_for, &[&frame.moment(&utc(job.created))]),
            in_short: match job.state {
                JobState::Queued => String::new(),
                _ => say(w.in_short, &[&counts[0], &counts[1], &counts[2]]),
            },
        }
    }
}

/// What is scanned, as whoever asked called it.
pub(super) fn source(source: &JobSource) -> String {
    match source {
        JobSource::Upload { name, .. } => outside(name),
        JobSource::Paths(paths) => outside(&paths.join(", ")),
    }
}

const ROWS: usize = 30;

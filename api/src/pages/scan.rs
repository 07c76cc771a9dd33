//! *Scan*: one scan, how far it is, and what it found. A module of the page hears the events and has the numbers follow.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use timemark_review::{Filter, Job, JobState, Live, Sites, utc};

use super::frame::{Frame, bytes, grouped, outside};
use super::review::Card;
use super::scans::source;
use super::words::{Words, say};
use super::{answer, charts};
use crate::access::{Caller, Viewer};
use crate::counts::Counts;
use crate::scans::read_number;
use crate::service::{Service, Shared};
use crate::{Problem, blocking, scans};

pub(super) async fn page(
    State(service): State<Shared>,
    caller: Caller,
    frame: Frame,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let made = blocking(move || {
        let id = id.map_err(Problem::from).and_then(|Path(id)| read_number(&id));
        let page = id.and_then(|id| seen(id, &caller, &service, &frame));
        answer(&frame, page)
    });
    made.await.unwrap_or_else(|status| Problem::from(status).into_response())
}

#[derive(Template)]
#[template(path = "scan.html")]
struct Dashboard<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    id: u64,
    heading: String,
    source: String,
    state: &'static str,
    state_name: String,
    wanted: Option<&'static str>,
    facts: Vec<String>,
    /// Why it failed.
    error: Option<String>,
    tiles: Vec<Tile>,
    /// Of what there is to be read, in hundredths.
    progress: Option<u64>,
    read: String,
    course: Option<String>,
    transforms: Option<String>,
    /// Whether what was done to the works is not counted, as there are too many.
    are_too_many: bool,
    sites: Option<BySite>,
    cards: Vec<Card>,
    matches: u64,
    errors: Vec<[String; 2]>,
    has_ended: bool,
    may_pause: bool,
    may_resume: bool,
    may_cancel: bool,
}

/// A number and what it counts; `key` names it for the module.
struct Tile {
    key: &'static str,
    number: String,
    name: &'static str,
    class: &'static str,
}

fn seen<'a>(
    id: u64,
    caller: &Caller,
    service: &Service,
    frame: &'a Frame,
) -> Result<Dashboard<'a>, Problem> {
    let w = frame.words();
    let r = w.reviewing;
    let (mut job, live) = scans::seen(id, caller, service)?;
    let viewer = Viewer::of(caller, service)?;
    let counts = Counts::of(&job, &viewer, service)?;
    let cards = cards(&job, counts.as_ref(), &viewer, service, frame)?;
    if let Some(counts) = &counts {
        counts.tell(&mut job);
    }
    let sites = viewer.looking(|lens| service.review.sites(id, lens))?;
    let (state, may) = (job.state, caller.may("pause_scan"));
    Ok(Dashboard {
        w,
        frame,
        script: r.script.json(),
        id,
        heading: say(r.scan_number, &[&id]),
        source: source(&job.source),
        state: r.state(state),
        state_name: state.to_string(),
        wanted: job.wanted.map(|wanted| r.wanted(wanted)),
        facts: facts(&job, &viewer, service, frame)?,
        error: job.error.as_deref().map(outside),
        tiles: tiles(&job, live, frame),
        progress: progress(&job, live),
        read: read(&job, live, frame),
        course: charts::course(&job, frame),
        transforms: charts::transforms(&job.transforms, frame),
        are_too_many: counts.is_some_and(|counts| counts.transforms.is_none()),
        sites: BySite::of(id, &sites, frame),
        cards,
        matches: job.matches,
        errors: errors(&job, service)?,
        has_ended: state.has_ended(),
        may_pause: may && matches!(state, JobState::Queued | JobState::Running),
        may_resume: may && state == JobState::Paused,
        may_cancel: may && !state.has_ended(),
    })
}

/// The newest matches, of those that are seen.
fn cards(
    job: &Job,
    counts: Option<&Counts>,
    viewer: &Viewer<'_>,
    service: &Service,
    frame: &Frame,
) -> Result<Vec<Card>, Problem> {
    let from = match counts {
        None => job.matches.saturating_sub(CARDS as u64),
        Some(counts) => {
            let first = counts.places.len().saturating_sub(CARDS);
            counts.places.get(first).map_or(0, |place| place - 1)
        }
    };
    let filter = Filter { scan: Some(job.id), ..Filter::default() };
    let found =
        viewer.looking(|seen| service.review.matches(Filter { seen, ..filter }, from, CARDS))?;
    let mut cards = Vec::new();
    for found in found.items.into_iter().rev() {
        cards.extend(viewer.tell(found)?.map(|told| Card::of(&told, frame)));
    }
    Ok(cards)
}

/// The matches by the site where the suspect was met.
struct BySite {
    rows: Vec<SiteRow>,
    /// What is beside these, in words.
    beside: Vec<String>,
}

struct SiteRow {
    host: String,
    path: String,
    count: String,
    /// Of the site with the most, in hundredths.
    share: u64,
}

impl BySite {
    /// Nothing, where no site is known.
    fn of(id: u64, sites: &Sites, frame: &Frame) -> Option<BySite> {
        let r = frame.words().reviewing;
        let most = sites.hosts.first()?.1.max(1);
        let row = |(host, count): &(String, u64)| SiteRow {
            host: host.clone(),
            path: format!("/review?scan={id}&domain={host}"),
            count: grouped(*count),
            share: count * 100 / most,
        };
        let more = sites.hosts.len().saturating_sub(SITES);
        let beside = [
            (more > 0).then(|| say(r.sites_more, &[&grouped(more as u64)])),
            (sites.elsewhere > 0).then(|| say(r.sites_elsewhere, &[&grouped(sites.elsewhere)])),
            sites.is_cut.then(|| r.sites_cut.to_owned()),
        ];
        let beside = beside.into_iter().flatten().collect();
        Some(BySite { rows: sites.hosts.iter().take(SITES).map(row).collect(), beside })
    }
}

fn tiles(job: &Job, live: Option<Live>, frame: &Frame) -> Vec<Tile> {
    let r = frame.words().reviewing;
    let whole = if job.seconds > 0.0 { job.suspects as f64 / job.seconds } else { 0.0 };
    let (rate, name) = match live {
        Some(live) => (live.per_second, r.per_second),
        None => (whole, r.per_second_whole),
    };
    let tile = |key, number, name, class| Tile { key, number, name, class };
    vec![
        tile("suspects", grouped(job.suspects), r.suspects, ""),
        tile("per_second", charts::rounded(rate), name, ""),
        tile("matches", grouped(job.matches), r.matches, "red"),
        tile("undecidable", grouped(job.undecidable), r.undecidable, ""),
        tile("errors", grouped(job.errors), r.errors, "gold"),
    ]
}

fn facts(
    job: &Job,
    viewer: &Viewer<'_>,
    service: &Service,
    frame: &Frame,
) -> Result<Vec<String>, Problem> {
    let r = frame.words().reviewing;
    let mut facts = vec![
        say(r.asked_for, &[&frame.moment(&utc(job.created))]),
        r.depth(job.options.depth).to_owned(),
        say(r.at_work, &[&format!("{:.1}", job.seconds)]),
    ];
    if job.runs > 1 {
        facts.push(say(r.runs, &[&(job.runs - 1)]));
    }
    match (job.rematches, job.entries) {
        (true, Some(entries)) => facts.push(say(r.compared_with, &[&grouped(entries)])),
        (false, Some(_)) => facts.push(r.not_rematched.to_owned()),
        _ => {}
    }
    // How many others ask for is told to who sees theirs.
    if job.state == JobState::Queued && !viewer.is_narrow() {
        let earlier = service.review.jobs(job.id, QUEUED_COUNTED)?;
        let waiting = earlier
            .items
            .iter()
            .filter(|(other, _)| matches!(other.state, JobState::Queued | JobState::Running));
        facts.push(say(r.waiting_before, &[&waiting.count()]));
    }
    Ok(facts)
}

fn progress(job: &Job, live: Option<Live>) -> Option<u64> {
    if job.state == JobState::Done {
        return Some(100);
    }
    let live = live?;
    let total = live.bytes_total.filter(|total| *total > 0)?;
    Some((live.bytes.saturating_mul(100) / total).min(100))
}

/// How much was read, and how much waits to be.
fn read(job: &Job, live: Option<Live>, frame: &Frame) -> String {
    let r = frame.words().reviewing;
    let so_far = live.map_or(job.bytes, |live| live.bytes);
    match live.and_then(|live| live.bytes_total) {
        Some(total) if total >= so_far => {
            say(r.read_of, &[&bytes(so_far), &bytes(total), &bytes(total - so_far)])
        }
        _ => say(r.read_so_far, &[&bytes(so_far)]),
    }
}

/// The first suspects that could not be compared, and why.
fn errors(job: &Job, service: &Service) -> Result<Vec<[String; 2]>, Problem> {
    if job.errors == 0 {
        return Ok(Vec::new());
    }
    let page = service.review.results(job.id, 0, RESULTS_LOOKED_AT)?;
    let failed = page.items.into_iter().filter_map(|result| {
        // Whoever is not to know that it was found to be a copy since is told the same as others.
        let error = result.error.or_else(|| result.kept?.before?.error)?;
        Some([outside(&result.suspect), outside(&error)])
    });
    Ok(failed.take(ERRORS).collect())
}

/// Matches that are shown: the newest.
const CARDS: usize = 12;
/// Sites that are shown: those with the most matches.
const SITES: usize = 10;
/// Errors that are shown, and results that are looked through for them.
const ERRORS: usize = 20;
const RESULTS_LOOKED_AT: usize = 2000;
const QUEUED_COUNTED: usize = 200;

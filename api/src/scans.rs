//! `/v1/scans`: scans as jobs, which are asked for, watched, paused and cancelled.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use timemark_review::{
    DepthName, Job, JobOptions, JobSource, JobState, Live, ResultJson, ReviewError, Wanted, utc,
};
use utoipa::{IntoParams, ToSchema};

use crate::accept::best;
use crate::access::{Access, Caller, Viewer};
use crate::counts::Counts;
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::upload::{Fields, Form, Taking};
use crate::works::{cursor, limit, read_cursor};
use crate::{Problem, blocking, json, results};

/// A scan of files and folders of this machine.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanOfPaths {
    /// Whole paths below the folders that the operator named (`timemark serve --scan-root`).
    #[schema(min_items = 1, max_items = 100)]
    paths: Vec<String>,
    /// How thoroughly to compare; `full` if nothing is said.
    #[schema(nullable = false)]
    depth: Option<DepthName>,
    /// Greatest Hamming distance at which codes make a work worth a look, in bits of 256.
    #[schema(maximum = 128, nullable = false)]
    radius: Option<u32>,
    /// Places that must agree for a match by keypoints.
    #[schema(minimum = 1, maximum = 1000, nullable = false)]
    places: Option<u64>,
}

/// A scan of a file: a picture, or an archive (tar, zip, WARC; gzip, zstd).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the document: the parts are read one by one")]
pub(crate) struct ScanForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    #[schema(nullable = false)]
    depth: Option<DepthName>,
    #[schema(maximum = 128, nullable = false)]
    radius: Option<u32>,
    #[schema(minimum = 1, maximum = 1000, nullable = false)]
    places: Option<u64>,
}

/// A scan as a job.
#[derive(Serialize, ToSchema)]
pub(crate) struct Scan {
    /// Its number.
    id: u64,
    /// The id of the account that asked for it; absent where the operator did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    owner: Option<String>,
    state: JobState,
    /// What it is to become at the next suspect, where somebody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    wanted: Option<Wanted>,
    /// What the file that was sent is called.
    upload: Option<String>,
    /// The files and folders of this machine, without symbolic links on the way.
    paths: Option<Vec<String>>,
    depth: DepthName,
    radius: u32,
    places: u64,
    /// When it was asked for (RFC 3339).
    created: String,
    started: Option<String>,
    ended: Option<String>,
    /// How long it was at work, all runs together.
    seconds: f64,
    /// Suspects a second: lately, or on the whole if it is not at work.
    per_second: f64,
    /// How often it began or went on.
    runs: u32,
    /// The entries of the log below this number are those that its suspects were compared with: at first those that there
    /// were when it began. It grows, as works that are registered later are compared with them as well.
    entries: Option<u64>,
    /// Whether they are. Not for scans that began before what is needed for it was kept.
    rematches: bool,
    /// Suspects told of.
    suspects: u64,
    /// Suspects that are copies of works; absent for who does not see every work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    copies: Option<u64>,
    /// Suspects with too little detail to tell when they were compared, also where one was found to be a copy since.
    undecidable: u64,
    /// Suspects that could not be compared then.
    errors: u64,
    /// Receipts and archives of Timemark that were passed over; known at the end.
    skipped: u64,
    /// About how many bytes of its sources it came past.
    bytes: u64,
    /// About how many there are, while it is at work and once that is known.
    bytes_total: Option<u64>,
    /// Matches it found: each content of a suspect and each work once. For who does not see every work those with works that
    /// they see, and absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    matches: Option<u64>,
    /// The same by what was done to the work. For who does not see every work absent in lists, in events that go on with
    /// later ones, and where there are too many to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transforms: Option<BTreeMap<String, u64>>,
    /// Why it failed.
    error: Option<String>,
}

impl Scan {
    pub fn of(job: Job, live: Option<Live>) -> Scan {
        let (upload, paths) = match job.source {
            JobSource::Upload { name, .. } => (Some(name), None),
            JobSource::Paths(paths) => (None, Some(paths)),
        };
        let on_the_whole = if job.seconds > 0.0 { job.suspects as f64 / job.seconds } else { 0.0 };
        let tenth = |value: f64| (value * 10.0).round() / 10.0;
        Scan {
            id: job.id,
            owner: job.owner,
            state: job.state,
            wanted: job.wanted,
            upload,
            paths,
            depth: job.options.depth,
            radius: job.options.radius,
            places: job.options.places,
            created: utc(job.created),
            started: job.started.map(utc),
            ended: job.ended.map(utc),
            seconds: tenth(job.seconds),
            per_second: tenth(live.map_or(on_the_whole, |live| live.per_second)),
            runs: job.runs,
            entries: job.entries,
            rematches: job.rematches,
            suspects: job.suspects,
            copies: Some(job.copies),
            undecidable: job.undecidable,
            errors: job.errors,
            skipped: job.skipped,
            bytes: live.map_or(job.bytes, |live| live.bytes),
            bytes_total: live.and_then(|live| live.bytes_total),
            matches: Some(job.matches),
            transforms: Some(job.transforms),
            error: job.error,
        }
    }

    /// For a caller: what it found of works that they do not see is not counted.
    pub fn told(self, caller: &Caller, counts: Option<Counts>) -> Scan {
        if !Access::is_narrow(caller) {
            return self;
        }
        let matches = counts.as_ref().map(Counts::matches);
        let transforms = counts.and_then(|counts| counts.transforms);
        Scan { copies: None, matches, transforms, ..self }
    }
}

/// Ask for a scan
///
/// Of a file that is sent as a form, or of files and folders of the server, named in JSON. It becomes a job; one is at work
/// at a time, and the others wait. A file is kept until its job ends.
#[utoipa::path(
    post, path = "/v1/scans", tag = "scans", operation_id = "scan",
    request_body(content(
        (ScanForm = "multipart/form-data"),
        (ScanOfPaths = "application/json"),
    )),
    responses(
        (status = 202, description = "it is a job now", body = Scan, headers(("Location" = String))),
        (status = 403, description = "a path leads out of the folders that may be scanned, or folders are not the caller's to scan", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "nothing is at a path", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "neither a form nor JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "a text is too long", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let owner = caller.account_id().map(str::to_owned);
    let job = match &*json::essence(request.headers()) {
        "application/json" => {
            let asked: ScanOfPaths = json::read(request).await?;
            if caller.is_for_own() {
                let detail =
                    "files that are sent may be scanned; the server's folders are its operator's";
                return Err(Problem::new(Kind::Forbidden, detail));
            }
            let options = options(asked.depth, asked.radius, asked.places);
            let submit =
                move || service.review.submit_paths(owner.as_deref(), &asked.paths, options);
            blocking(submit).await??
        }
        "multipart/form-data" => {
            let place = service.place_for_upload().await?;
            let mut form = service.form(request, &SCAN_FIELDS).await?;
            let upload = form.take_upload("file")?;
            let options = form_options(&form)?;
            let submitted = blocking(move || {
                let _place = place;
                let name = upload.name.clone().unwrap_or_else(|| "unnamed".to_owned());
                let bytes = upload.path().metadata().map_err(Problem::of_disk)?.len();
                let most = UPLOADS_WAITING_MAX.saturating_mul(service.upload_bytes_max());
                let keep = |to: &std::path::Path| upload.keep(to);
                let owner = owner.as_deref();
                let job = service.review.submit_upload(owner, &name, bytes, most, options, keep);
                Ok::<Job, Problem>(job?)
            });
            submitted.await??
        }
        _ => {
            let detail = "the body is to be multipart/form-data or application/json";
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
    };
    let location = [(LOCATION, format!("/v1/scans/{}", job.id))];
    let scan = Scan::of(job, None).told(&caller, Some(Counts::none()));
    Ok((StatusCode::ACCEPTED, location, Json(scan)).into_response())
}

fn options(depth: Option<DepthName>, radius: Option<u32>, places: Option<u64>) -> JobOptions {
    let default = JobOptions::default();
    JobOptions {
        depth: depth.unwrap_or(default.depth),
        radius: radius.unwrap_or(default.radius),
        places: places.unwrap_or(default.places),
    }
}

fn form_options(form: &Form) -> Result<JobOptions, Problem> {
    let depth = match form.text("depth") {
        None => None,
        Some("fast") => Some(DepthName::Fast),
        Some("full") => Some(DepthName::Full),
        Some(_) => return Err(Problem::bad_request("depth is fast or full")),
    };
    let number = |name: &str| -> Result<Option<u32>, Problem> {
        let number = form.text(name).map(str::parse::<u32>).transpose();
        number.map_err(|_| Problem::bad_request(format!("{name} is a number")))
    };
    Ok(options(depth, number("radius")?, number("places")?.map(u64::from)))
}

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// What the page before said under `next`.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
    /// Most things on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

impl Part {
    /// The place of the cursor, and how many to give.
    pub fn read(self) -> Result<(Option<u64>, usize), Problem> {
        let place = self.cursor.as_deref().map(read_cursor).transpose()?;
        Ok((place, limit(self.limit)?))
    }
}

/// A page of scans, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScansPage {
    scans: Vec<Scan>,
    /// The folders that may be scanned.
    roots: Vec<String>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// List scans, newest first
///
/// Agencies see those of their organisation. A page may then have fewer than asked for, and none, and still have one after it.
#[utoipa::path(
    get, path = "/v1/scans", tag = "scans", operation_id = "list_scans", params(Part),
    responses((status = 200, body = ScansPage))
)]
pub(crate) async fn list(
    State(service): State<Shared>,
    caller: Caller,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<ScansPage>, Problem> {
    let (before, limit) = part?.0.read()?;
    let page = blocking(move || {
        let review = &service.review;
        let viewer = Viewer::of(&caller, &service)?;
        let is_seen = |job: &Job| viewer.sees_scan(job);
        let page = review.jobs_where(before.unwrap_or(u64::MAX), limit, &is_seen)?;
        let named = review.roots().named().map(|root| root.display().to_string());
        let roots = if viewer.is_narrow() { Vec::new() } else { named.collect() };
        let scan = |(job, live)| Scan::of(job, live).told(&caller, None);
        let scans = page.items.into_iter().map(scan).collect();
        Ok::<ScansPage, Problem>(ScansPage { scans, roots, next: page.next.map(cursor) })
    });
    Ok(Json(page.await??))
}

/// A scan by its number
#[utoipa::path(
    get, path = "/v1/scans/{id}", tag = "scans", operation_id = "scan_by_id",
    params(("id" = u64, Path, description = "its number")),
    responses(
        (status = 200, body = Scan),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Scan>, Problem> {
    let id = read_number(&id?)?;
    let scan = blocking(move || {
        let (job, live) = seen(id, &caller, &service)?;
        let counts = Counts::of(&job, &Viewer::of(&caller, &service)?, &service)?;
        Ok::<Scan, Problem>(Scan::of(job, live).told(&caller, counts))
    });
    Ok(Json(scan.await??))
}

/// A scan that the caller sees.
pub(crate) fn seen(
    id: u64,
    caller: &Caller,
    service: &Service,
) -> Result<(Job, Option<Live>), Problem> {
    let (job, live) = service.review.job(id)?;
    match Viewer::of(caller, service)?.sees_scan(&job) {
        true => Ok((job, live)),
        false => Err(ReviewError::NoJob(job.id).into()),
    }
}

/// Stop a scan for now
///
/// A scan at work stops at the next suspect: its `state` is `paused` from then on, and `wanted` says so until then.
#[utoipa::path(
    post, path = "/v1/scans/{id}/pause", tag = "scans", operation_id = "pause_scan",
    params(("id" = u64, Path, description = "its number")),
    responses(
        (status = 200, body = Scan),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "it ended", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn pause(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Scan>, Problem> {
    steer(service, caller, &id?, |service, id| Ok(service.review.pause(id)?)).await
}

/// Have a paused scan go on
///
/// What it compared is not compared again.
#[utoipa::path(
    post, path = "/v1/scans/{id}/resume", tag = "scans", operation_id = "resume_scan",
    params(("id" = u64, Path, description = "its number")),
    responses(
        (status = 200, body = Scan),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "it ended", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn resume(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Scan>, Problem> {
    steer(service, caller, &id?, |service, id| Ok(service.review.resume(id)?)).await
}

/// End a scan
///
/// What it found stays.
#[utoipa::path(
    post, path = "/v1/scans/{id}/cancel", tag = "scans", operation_id = "cancel_scan",
    params(("id" = u64, Path, description = "its number")),
    responses(
        (status = 200, body = Scan),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "it ended otherwise", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Scan>, Problem> {
    steer(service, caller, &id?, |service, id| Ok(service.review.cancel(id)?)).await
}

async fn steer(
    service: Shared,
    caller: Caller,
    id: &str,
    steer: fn(&Service, u64) -> Result<Job, Problem>,
) -> Result<Json<Scan>, Problem> {
    let id = read_number(id)?;
    let scan = blocking(move || {
        seen(id, &caller, &service)?;
        let job = steer(&service, id)?;
        let counts = Counts::of(&job, &Viewer::of(&caller, &service)?, &service)?;
        Ok::<Scan, Problem>(Scan::of(job, None).told(&caller, counts))
    });
    Ok(Json(scan.await??))
}

/// A site where a scan met suspects.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScanDomain {
    /// The host, as web archives tell it.
    domain: String,
    /// Matches whose suspect was met there.
    matches: u64,
}

/// The matches of a scan by site.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScanDomains {
    /// Those with the most matches first, a thousand at most.
    domains: Vec<ScanDomain>,
    /// How many sites there are.
    all: u64,
    /// Matches whose suspect was met on no site that is known.
    elsewhere: u64,
    /// Whether all matches were counted: beyond 100,000 nobody does.
    complete: bool,
}

/// The matches of a scan by site
///
/// As web archives (WARC) tell where a suspect is from. One that was met on several sites counts for each.
#[utoipa::path(
    get, path = "/v1/scans/{id}/domains", tag = "scans", operation_id = "scan_domains",
    params(("id" = u64, Path, description = "its number")),
    responses(
        (status = 200, body = ScanDomains),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn domains(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ScanDomains>, Problem> {
    let id = read_number(&id?)?;
    let sites = blocking(move || {
        seen(id, &caller, &service)?;
        Viewer::of(&caller, &service)?.looking(|lens| service.review.sites(id, lens))
    });
    let sites = sites.await??;
    let all = sites.hosts.len() as u64;
    let told = sites.hosts.into_iter().take(DOMAINS_MAX);
    let domains = told.map(|(domain, matches)| ScanDomain { domain, matches }).collect();
    let complete = !sites.is_cut;
    Ok(Json(ScanDomains { domains, all, elsewhere: sites.elsewhere, complete }))
}

/// What a scan told of some suspects.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResultsPage {
    results: Vec<ResultJson>,
    /// The cursor of the next page; absent on the last, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// What a scan told of each suspect
///
/// In the order in which it did, as `timemark scan --json` prints it. As `application/jsonl` or `text/csv` all of them come at
/// once, whatever `limit` says; in the table nothing is computed by a spreadsheet.
#[utoipa::path(
    get, path = "/v1/scans/{id}/results", tag = "scans", operation_id = "scan_results",
    params(("id" = u64, Path, description = "its number"), Part),
    responses(
        (status = 200, description = "in the form that Accept likes best", content(
            (ResultsPage = "application/json"), (String = "application/jsonl"), (String = "text/csv"),
        )),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
        (status = 406, description = "it has no form that Accept takes", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn results(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Response, Problem> {
    let id = read_number(&id?)?;
    let (after, limit) = part?.0.read()?;
    let offered = ["application/json", results::LINES, results::TABLE];
    let Some(form) = best(&headers, &offered) else {
        let detail = format!("results come as {}", offered.join(", "));
        return Err(Problem::new(Kind::NotAcceptable, detail));
    };
    if let Some(form) = results::Form::of(form) {
        return results::whole(service, caller, id, after.unwrap_or(0), form).await;
    }
    let page = blocking(move || {
        seen(id, &caller, &service)?;
        let page = service.review.results(id, after.unwrap_or(0), limit)?;
        let told = |result| service.access.told_result(&caller, result, &service.engine);
        let results = page.items.into_iter().map(told);
        let results = results.collect::<Result<_, Problem>>()?;
        Ok::<ResultsPage, Problem>(ResultsPage { results, next: page.next.map(cursor) })
    });
    Ok(Json(page.await??).into_response())
}

/// The number of a scan, in its one spelling.
pub(crate) fn read_number(text: &str) -> Result<u64, Problem> {
    let number = text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| Problem::new(Kind::BadId, "a scan is called by its number"))
}

const SCAN_FIELDS: Fields =
    Fields { files: &[("file", Taking::Disk)], texts: &["depth", "radius", "places"] };
/// Files that wait to be scanned, as many times the longest that may be sent.
const UPLOADS_WAITING_MAX: u64 = 8;
/// Sites that are told of a scan.
const DOMAINS_MAX: usize = 1000;

//! `/v1/matches`: what scans found, side by side, for people to look at and to decide.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use timemark_review::{
    Act, Decision, Filter, GeometryJson, Happened, Match, MatchId, MatchJson, Page, ReviewError,
    Sighting, Standing, THUMBNAIL_SIDE_MAX, Verdict, Wish, drawing, site, utc,
};
use timemark_verify::ContentId;
use utoipa::{IntoParams, ToSchema};

use crate::accept::{entity_tag, expect_unchanged, tagged};
use crate::access::{Caller, Told, Viewer};
use crate::problem::{Kind, ProblemJson};
use crate::scans::Part;
use crate::service::{Service, Shared};
use crate::works::{cursor, limit, read_cursor};
use crate::{Problem, blocking, json, scans};

/// A suspect's content that is a copy of a work, in short.
#[derive(Serialize, ToSchema)]
#[schema(as = MatchCard)]
pub(crate) struct Card {
    /// Its id, which follows from the two contents.
    id: String,
    /// `open`, `allow-listed`, or the verdict that was given.
    standing: &'static str,
    /// The verdict that counts, if one was given.
    verdict: Option<Given>,
    /// The scan that met it last, of those that the caller sees; absent where only others' met it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scan: Option<u64>,
    /// When it was found first (RFC 3339).
    found: String,
    suspect: Suspect,
    /// The work, and what shows that the suspect is a copy of it.
    finding: MatchJson,
    /// Where a small picture of the work is.
    work_picture: String,
}

/// What was met.
#[derive(Serialize, ToSchema)]
pub(crate) struct Suspect {
    /// The id of its bytes.
    content: String,
    /// How it was called where it was met first; absent where it is withheld.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Where a web archive had it from then.
    url: Option<String>,
    /// How often the same bytes were met.
    sightings: u64,
    /// Present, and true, where only scans of others met it: what they call it and where they met it is theirs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    withheld: bool,
    /// Where a small picture of it is, if there is one.
    picture: Option<String>,
    /// Why there is none.
    no_picture: Option<String>,
}

/// A verdict that was given.
#[derive(Serialize, ToSchema)]
pub(crate) struct Given {
    verdict: Verdict,
    note: Option<String>,
    /// Who gave it.
    actor: String,
    /// When (RFC 3339).
    time: String,
    /// The entry of the log that tells of it.
    entry: Option<u64>,
}

impl Given {
    fn of(decision: &Decision) -> Given {
        Given {
            verdict: decision.verdict,
            note: decision.note.clone(),
            actor: decision.actor.clone(),
            time: utc(decision.time),
            entry: decision.entry,
        }
    }
}

impl Card {
    pub fn of(told: Told) -> Card {
        let Told { found, is_withheld, .. } = told;
        let path = |name: &str| format!("/v1/matches/{}/{name}", found.id);
        let suspect = Suspect {
            picture: found.no_picture.is_none().then(|| path("suspect.jpg")),
            content: found.suspect.clone(),
            name: (!is_withheld).then(|| found.name.clone()),
            url: found.url.clone(),
            sightings: found.sightings,
            withheld: is_withheld,
            no_picture: found.no_picture.clone(),
        };
        Card {
            id: found.id.to_string(),
            standing: match found.standing() {
                Standing::Open => "open",
                Standing::AllowListed => "allow-listed",
                Standing::Decided(verdict) => verdict.name(),
            },
            verdict: found.decision().map(Given::of),
            scan: (!is_withheld).then_some(found.scan),
            found: utc(found.found),
            suspect,
            work_picture: path("work.jpg"),
            finding: found.finding,
        }
    }
}

/// A match with everything that is known of it.
#[derive(Serialize, ToSchema)]
#[schema(as = FoundMatch)]
pub(crate) struct Whole {
    #[serde(flatten)]
    card: Card,
    /// How the work lies in the suspect.
    geometry: Option<GeometryJson>,
    /// The first places where the same bytes were met, a hundred at most.
    places: Vec<Sighting>,
}

/// How matches stand that are asked for.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StateName {
    /// Nobody decided yet: the queue of who reviews.
    Open,
    /// Somebody decided.
    Decided,
    /// Every place where it was met is on the list of allowed domains.
    AllowListed,
}

/// Which matches to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those that this scan found.
    scan: Option<u64>,
    /// Those with this verdict.
    #[param(inline)]
    verdict: Option<Verdict>,
    /// Those that stand so.
    #[param(inline)]
    state: Option<StateName>,
    /// Those whose suspect was met on this host, or on one below it, as web archives tell; by that scan, where one is named.
    #[param(max_length = 254)]
    domain: Option<String>,
    /// What the page before said under `next`.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
    /// Most matches on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// A page of matches, in the order in which they were found.
#[derive(Serialize, ToSchema)]
pub(crate) struct MatchesPage {
    matches: Vec<Card>,
    /// The cursor of the next page, which goes with the same filter; absent on the last, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// List matches, in the order in which they were found
///
/// A page may have fewer than asked for, and none, and still have one after it.
#[utoipa::path(
    get, path = "/v1/matches", tag = "matches", operation_id = "list_matches", params(Which),
    responses(
        (status = 200, body = MatchesPage),
        (status = 404, description = "the scan is not there for the caller", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(service): State<Shared>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<MatchesPage>, Problem> {
    let Query(which) = which?;
    let standing = match (which.verdict, which.state) {
        (Some(_), Some(_)) => return Err(Problem::bad_request("either verdict or state")),
        (Some(verdict), None) => Some(Wish::Only(Standing::Decided(verdict))),
        (None, Some(StateName::Open)) => Some(Wish::Only(Standing::Open)),
        (None, Some(StateName::AllowListed)) => Some(Wish::Only(Standing::AllowListed)),
        (None, Some(StateName::Decided)) => Some(Wish::Decided),
        (None, None) => None,
    };
    let limit = limit(which.limit)?;
    let after = which.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or(0);
    let domain = which.domain.as_deref().map(site).transpose()?;
    let page = blocking(move || {
        let viewer = Viewer::of(&caller, &service)?;
        let on = domain.map(|site| viewer.met_on(&site, which.scan)).transpose()?;
        let filter = Filter { scan: which.scan, standing, site: on.as_ref(), seen: None };
        page(filter, after, limit, &viewer, &caller, &service)
    });
    let page = page.await??;
    let matches = page.items.into_iter().map(Card::of).collect();
    Ok(Json(MatchesPage { matches, next: page.next.map(cursor) }))
}

/// The matches that the caller sees of those that come next; so many are looked at.
pub(crate) fn page(
    filter: Filter<'_>,
    mut after: u64,
    limit: usize,
    viewer: &Viewer<'_>,
    caller: &Caller,
    service: &Service,
) -> Result<Page<Told>, Problem> {
    if let Some(scan) = filter.scan.filter(|_| viewer.is_narrow()) {
        scans::seen(scan, caller, service)?;
    }
    let mut items = Vec::new();
    for _ in 1..ROUNDS_MAX {
        let wanted = limit - items.len();
        let page = viewer
            .looking(|seen| service.review.matches(Filter { seen, ..filter }, after, wanted))?;
        for found in page.items {
            items.extend(viewer.tell(found)?);
        }
        match page.next {
            Some(next) if viewer.is_narrow() && items.len() < limit => after = next,
            next => return Ok(Page { items, next }),
        }
    }
    Ok(Page { items, next: Some(after) })
}

/// A match that the caller sees and looks at, which is entered into the log where the work is somebody else's, with the first
/// places where its suspect was met.
pub(crate) fn looked_at(id: &MatchId, caller: &Caller, service: &Service) -> Result<Told, Problem> {
    let told = seen(id, caller, service)?;
    service.access.looks(caller, &told.found, &service.engine)?;
    Ok(told)
}

/// A match that the caller sees, with the first places where its suspect was met.
pub(crate) fn seen(id: &MatchId, caller: &Caller, service: &Service) -> Result<Told, Problem> {
    let (found, places) = service.review.match_by_id(id)?;
    let viewer = Viewer::of(caller, service)?;
    let mut told = viewer.tell(found)?.ok_or(ReviewError::NoMatch)?;
    let first = places.first().cloned();
    if !viewer.is_narrow() {
        told.places = places;
    }
    told.first_scan = first.filter(|first| told.places.first() == Some(first)).map(|at| at.scan);
    Ok(told)
}

/// A match by its id
#[utoipa::path(
    get, path = "/v1/matches/{id}", tag = "matches", operation_id = "match_by_id",
    params(
        ("id" = String, Path, pattern = "^[0-9a-f]{32}$", description = "the id of a match"),
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
    ),
    responses(
        (status = 200, body = Whole, headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = read_id(&id?)?;
    let body = blocking(move || {
        looked_at(&id, &caller, &service)?;
        whole(&service, &caller, &id)
    });
    let body = body.await??;
    Ok(tagged(&headers, "application/json", body))
}

/// The entity tag of a match as it is now.
pub(crate) fn tag_of(service: &Service, caller: &Caller, id: &MatchId) -> Result<String, Problem> {
    Ok(entity_tag(&whole(service, caller, id)?))
}

fn whole(service: &Service, caller: &Caller, id: &MatchId) -> Result<Vec<u8>, Problem> {
    let mut told = seen(id, caller, service)?;
    let (geometry, places) = (told.found.geometry.take(), std::mem::take(&mut told.places));
    let whole = Whole { card: Card::of(told), geometry, places };
    serde_json::to_vec(&whole).map_err(Problem::internal)
}

/// A verdict to be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToGive {
    verdict: Verdict,
    /// Why, for who comes after.
    #[schema(max_length = 1000, nullable = false)]
    note: Option<String>,
}

/// Give a verdict
///
/// When this is answered, the verdict and the entry of the log that tells of it are durable. `If-Match` has to name the
/// match as whoever decides saw it.
#[utoipa::path(
    post, path = "/v1/matches/{id}/verdict", tag = "matches", operation_id = "give_verdict",
    params(
        ("id" = String, Path, pattern = "^[0-9a-f]{32}$", description = "the id of a match"),
        ("If-Match" = String, Header, description = "the entity tag of the match as it was seen"),
    ),
    request_body = ToGive,
    responses(
        (status = 200, body = Whole, headers(("ETag" = String))),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
        (status = 412, description = "it is no longer as the entity tag says", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "the note is too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 428, description = "without If-Match", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn give_verdict(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id = read_id(&id?)?;
    let headers = request.headers().clone();
    let ToGive { verdict, note } = json::read(request).await?;
    if note.as_ref().is_some_and(|note| note.len() > NOTE_BYTES_MAX) {
        let detail = format!("a note may have {NOTE_BYTES_MAX} bytes");
        return Err(Problem::new(Kind::TextTooLong, detail));
    }
    let note = note.filter(|note| !note.is_empty());
    let body = blocking(move || {
        let _turn = service.turn_to_decide();
        expect_unchanged(&headers, &whole(&service, &caller, &id)?)?;
        let words = match &note {
            Some(note) => format!("{}: {note}", verdict.name()),
            None => verdict.name().to_owned(),
        };
        let entry = caller.decide(&service.engine, "match.verdict", id.text(), Some(&words))?;
        service.review.decide(&id, verdict, note, caller.actor(), Some(entry))?;
        whole(&service, &caller, &id)
    });
    Ok(with_tag(body.await??))
}

/// Take the last verdict back
///
/// The verdict before it counts again, if there was one.
#[utoipa::path(
    delete, path = "/v1/matches/{id}/verdict", tag = "matches", operation_id = "undo_verdict",
    params(
        ("id" = String, Path, pattern = "^[0-9a-f]{32}$", description = "the id of a match"),
        ("If-Match" = String, Header, description = "the entity tag of the match as it was seen"),
    ),
    responses(
        (status = 200, body = Whole, headers(("ETag" = String))),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "it has no verdict", body = ProblemJson, content_type = "application/problem+json"),
        (status = 412, description = "it is no longer as the entity tag says", body = ProblemJson, content_type = "application/problem+json"),
        (status = 428, description = "without If-Match", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "nothing can be registered now", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn undo_verdict(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = read_id(&id?)?;
    let body = blocking(move || {
        let _turn = service.turn_to_decide();
        expect_unchanged(&headers, &whole(&service, &caller, &id)?)?;
        let told = seen(&id, &caller, &service)?;
        let Some(last) = told.found.decision() else {
            return Err(Problem::new(
                Kind::WrongState,
                "no verdict was given that could be undone",
            ));
        };
        let words = format!("undo {}", last.verdict.name());
        let entry = caller.decide(&service.engine, "match.verdict", id.text(), Some(&words))?;
        service.review.undo(&id, caller.actor(), Some(entry))?;
        whole(&service, &caller, &id)
    });
    Ok(with_tag(body.await??))
}

fn with_tag(body: Vec<u8>) -> Response {
    let tag = entity_tag(&body);
    let content_type = (axum::http::header::CONTENT_TYPE, "application/json".to_owned());
    ([(ETAG, tag), content_type], body).into_response()
}

/// Something that happened to a match.
#[derive(Serialize, ToSchema)]
pub(crate) struct Event {
    /// `verdict` where one was given, `undo` where it was taken back.
    act: Act,
    #[serde(flatten)]
    given: Given,
}

/// What happened to a match, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryPage {
    history: Vec<Event>,
    /// The cursor of the next page; absent on the last, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// What was decided of a match, and taken back
///
/// Oldest first, each with the entry of the log that tells of it.
#[utoipa::path(
    get, path = "/v1/matches/{id}/history", tag = "matches", operation_id = "match_history",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$", description = "the id of a match"), Part),
    responses(
        (status = 200, body = HistoryPage),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn history(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<HistoryPage>, Problem> {
    let id = read_id(&id?)?;
    let (after, limit) = part?.0.read()?;
    let page = blocking(move || {
        seen(&id, &caller, &service)?;
        Ok::<_, Problem>(service.review.history(&id, after.unwrap_or(0), limit)?)
    });
    let page = page.await??;
    let event = |Happened { act, decision }| Event { act, given: Given::of(&decision) };
    let history = page.items.into_iter().map(event).collect();
    Ok(Json(HistoryPage { history, next: page.next.map(cursor) }))
}

/// A small picture of the suspect
#[utoipa::path(
    get, path = "/v1/matches/{id}/suspect.jpg", tag = "matches", operation_id = "suspect_picture",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$", description = "the id of a match")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/jpeg", headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn suspect_picture(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = read_id(&id?)?;
    let jpeg = blocking(move || suspect_jpeg(&service, &seen(&id, &caller, &service)?));
    Ok(tagged(&headers, "image/jpeg", jpeg.await??))
}

/// A small picture of the work
#[utoipa::path(
    get, path = "/v1/matches/{id}/work.jpg", tag = "matches", operation_id = "work_picture",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$", description = "the id of a match")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/jpeg", headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn work_picture(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = read_id(&id?)?;
    let turn = service.turn_to_compare().await?;
    let jpeg = blocking(move || {
        let _turn = turn;
        work_jpeg(&service, &looked_at(&id, &caller, &service)?)
    });
    Ok(tagged(&headers, "image/jpeg", jpeg.await??))
}

/// Work and suspect, with the part they share outlined in both
///
/// Lines join places that agree.
#[utoipa::path(
    get, path = "/v1/matches/{id}/overlay.svg", tag = "matches", operation_id = "match_overlay",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$", description = "the id of a match")),
    responses(
        (status = 200, body = String, content_type = "image/svg+xml", headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn overlay(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = read_id(&id?)?;
    let turn = service.turn_to_compare().await?;
    let svg = blocking(move || {
        let _turn = turn;
        let told = looked_at(&id, &caller, &service)?;
        let geometry = told.found.geometry.as_ref().map(GeometryJson::geometry);
        let geometry =
            geometry.ok_or_else(|| nothing("how they lie on each other is not known"))?;
        let work = BASE64.encode(&work_jpeg(&service, &told)?);
        let suspect = BASE64.encode(&suspect_jpeg(&service, &told)?);
        drawing::standalone(&geometry, &work, &suspect)
            .ok_or_else(|| nothing("they do not lie on each other so that it could be drawn"))
    });
    let mut response = tagged(&headers, "image/svg+xml", svg.await??.into_bytes());
    response.headers_mut().insert(SVG_POLICY.0, HeaderValue::from_static(SVG_POLICY.1));
    Ok(response)
}

fn suspect_jpeg(service: &Service, told: &Told) -> Result<Vec<u8>, Problem> {
    let found = drawn(told)?;
    let jpeg = service.review.picture(&found.suspect)?;
    jpeg.ok_or_else(|| nothing(found.no_picture.as_deref().unwrap_or("it was not drawn")))
}

fn work_jpeg(service: &Service, told: &Told) -> Result<Vec<u8>, Problem> {
    let work: ContentId = drawn(told)?.finding.work.parse().map_err(Problem::internal)?;
    if !service.engine.works.has(&work).map_err(Problem::internal)? {
        return Err(nothing("the work is not kept here"));
    }
    let jpeg = service.engine.preview(&work, THUMBNAIL_SIDE_MAX);
    jpeg.map_err(|error| nothing(&error.to_string()))
}

/// A match whose pictures the caller may see.
fn drawn(Told { found, is_undrawn, .. }: &Told) -> Result<&Match, Problem> {
    match is_undrawn {
        true => Err(nothing(found.no_picture.as_deref().unwrap_or("it is not drawn for you"))),
        false => Ok(found),
    }
}

fn nothing(why: &str) -> Problem {
    Problem::new(Kind::NotFound, why)
}

pub(crate) fn read_id(text: &str) -> Result<MatchId, Problem> {
    text.parse()
        .map_err(|_| Problem::new(Kind::BadId, "the id of a match is 32 digits of lower-case hex"))
}

/// How often one page goes on looking for matches of who does not see every work.
const ROUNDS_MAX: usize = 20;
/// So that all of it stands in the log.
const NOTE_BYTES_MAX: usize = 1000;
/// The drawing holds its pictures and its colours itself, and loads nothing.
const SVG_POLICY: (HeaderName, &str) = (
    axum::http::header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'",
);

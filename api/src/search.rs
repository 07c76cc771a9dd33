//! `/v1/search`: works by their words, or by a picture.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use serde::{Deserialize, Serialize};
use timemark_ingest::{Engine, Nearby, Outcome, ScanOptions, compare, near_code};
use timemark_review::MatchJson;
use tracing::info_span;
use utoipa::{IntoParams, ToSchema};

use crate::access::{Access, Caller, Sight};
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::told::Entry;
use crate::upload::{Fields, Taking};
use crate::works::limit;
use crate::{Problem, blocking};

/// What to look for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Words {
    /// Words that must all be there; the last may be the beginning of one.
    #[param(max_length = 256)]
    q: String,
    /// Most works to list.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// Works that have the words, best first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hits {
    works: Vec<Entry>,
}

/// Look up works by title, claimant, collection and file name
///
/// What was registered a second ago is found.
#[utoipa::path(
    get, path = "/v1/search", tag = "search", operation_id = "search_words", params(Words),
    responses((status = 200, body = Hits))
)]
pub(crate) async fn by_words(
    State(service): State<Shared>,
    caller: Caller,
    words: Result<Query<Words>, QueryRejection>,
) -> Result<Json<Hits>, Problem> {
    let Query(words) = words?;
    let limit = limit(words.limit)?;
    if words.q.chars().count() > QUERY_CHARS_MAX {
        return Err(Problem::bad_request(format!("q may have {QUERY_CHARS_MAX} characters")));
    }
    blocking(move || {
        service.make_words_findable();
        hits(&words.q, limit, &caller, &service)
    })
    .await?
    .map(|works| Json(Hits { works }))
}

/// Registrations that have the words and that somebody sees, best first.
pub(crate) fn hits(
    query: &str,
    limit: usize,
    caller: &Caller,
    service: &Service,
) -> Result<Vec<Entry>, Problem> {
    let _searching = info_span!("search").entered();
    let engine = &service.engine;
    let found = match Access::is_narrow(caller) {
        true => own_hits(query, limit, caller, service)?,
        false => engine.index.search(query, limit).map_err(Problem::internal)?,
    };
    let entries = found.into_iter().map(|index| Entry::at(index, engine));
    let works: Vec<Option<Entry>> = entries.collect::<Result<_, _>>()?;
    // What was erased has no words any more, though the index has them until it is made anew.
    Ok(works.into_iter().flatten().filter(|entry| !entry.erased).collect())
}

/// The code of a picture.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Code {
    /// A PDQ code, highest bit first.
    #[param(pattern = "^[0-9a-f]{64}$")]
    pdq: String,
    /// Most bits of the 256 in which codes may differ.
    #[param(minimum = 0, maximum = 64, default = 31)]
    radius: Option<u32>,
    /// Most works to list.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// Works whose codes are near, nearest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Near {
    matches: Vec<MatchJson>,
    /// Whether there are others within the radius that are not listed: a greater `limit` lists more, a smaller radius holds
    /// fewer.
    more: bool,
}

/// Look up works by a PDQ code
///
/// For who has codes and no pictures. Every work within the radius is found; of more than are asked for, or of more than
/// 10,000 registrations that are near, the nearest are told, and `more` says so. That codes are near is no proof of copying.
#[utoipa::path(
    get, path = "/v1/search/code", tag = "search", operation_id = "search_code", params(Code),
    responses((status = 200, body = Near))
)]
pub(crate) async fn by_code(
    State(service): State<Shared>,
    caller: Caller,
    code: Result<Query<Code>, QueryRejection>,
) -> Result<Json<Near>, Problem> {
    let Query(code) = code?;
    let limit = limit(code.limit)?;
    let pdq = code.pdq.parse();
    let pdq = pdq.map_err(|_| Problem::bad_request("pdq is 64 digits of hex"))?;
    let radius = code.radius.unwrap_or(RADIUS_DEFAULT);
    if radius > RADIUS_MAX {
        return Err(Problem::bad_request(format!("radius is 0 to {RADIUS_MAX}")));
    }
    let turn = service.turn_to_compare().await?;
    blocking(move || {
        let _turn = turn;
        let _searching = info_span!("search").entered();
        let near = near_code(pdq, radius, &service.engine);
        nearest(near, limit, &caller, &service.access, &service.engine).map(Json)
    })
    .await?
}

/// So many works that somebody sees, of those whose codes are near.
fn nearest(
    mut near: Nearby<'_>,
    limit: usize,
    caller: &Caller,
    access: &Access,
    engine: &Engine,
) -> Result<Near, Problem> {
    if Access::is_narrow(caller) {
        // What others registered of the same bytes has the same code: a work that is theirs is there by an entry of theirs.
        let entries: Vec<u64> = near.entries().collect();
        near.keep(&access.own_among(caller, &entries)?);
    }
    let (all, mut matches, mut more) = (near.len(), Vec::new(), false);
    while let Some(finding) = near.next() {
        let found = vec![MatchJson::of(&finding.map_err(Problem::internal)?)];
        let (found, _) = access.visible(caller, found, u64::MAX, engine)?;
        if matches.len() == limit && !found.is_empty() {
            more = true;
            break;
        }
        matches.extend(found);
        if all - near.len() >= NEAR_MAX {
            more |= !near.is_empty();
            break;
        }
    }
    Ok(Near { matches, more })
}

/// The best hits that somebody sees who does not see everything: more are asked for, until enough are theirs.
fn own_hits(
    query: &str,
    limit: usize,
    caller: &Caller,
    service: &Service,
) -> Result<Vec<u64>, Problem> {
    let mut ask = limit;
    loop {
        let found = service.engine.index.search(query, ask).map_err(Problem::internal)?;
        let all = found.len();
        let mut own = Vec::new();
        for index in found {
            if service.access.sight(caller, index)? != Sight::Hidden {
                own.push(index);
            }
        }
        own.truncate(limit);
        if own.len() == limit || all < ask || ask >= HITS_MAX {
            return Ok(own);
        }
        ask = (ask * 16).min(HITS_MAX);
    }
}

/// A picture to compare with every work.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the document: the parts are read one by one")]
pub(crate) struct SearchForm {
    #[schema(value_type = String, format = Binary)]
    picture: Vec<u8>,
}

/// What a picture shows of registered works.
#[derive(Serialize, ToSchema)]
pub(crate) struct Compared {
    /// `match`, `clear`, or `undecidable` where the picture has too little detail to tell.
    status: &'static str,
    /// It is a copy of these, of parts of them, or holds copies; best first.
    matches: Vec<MatchJson>,
    /// It shares elements with these, which is not asserted to be copying.
    related: Vec<MatchJson>,
}

/// Find the works that a picture is a copy of
///
/// What is no picture is compared by its exact bytes. Nothing is kept of it.
#[utoipa::path(
    post, path = "/v1/search", tag = "search", operation_id = "search_picture",
    request_body(content = SearchForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = Compared),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no form", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "the picture cannot be read", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn by_picture(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Json<Compared>, Problem> {
    let place = service.place_for_upload().await?;
    let mut form = service.form(request, &SEARCH_FIELDS).await?;
    let upload = form.take_upload("picture")?;
    let turn = service.turn_to_compare().await?;
    let compared = blocking(move || {
        let outcome = info_span!("search")
            .in_scope(|| compare(upload.path(), &service.engine, ScanOptions::default()));
        drop((upload, turn, place));
        tell(&outcome?, &caller, &service)
    });
    compared.await?.map(Json)
}

fn tell(outcome: &Outcome, caller: &Caller, service: &Service) -> Result<Compared, Problem> {
    if let Outcome::Error(reason) = outcome {
        return Err(Problem::new(Kind::UnreadablePicture, reason));
    }
    let seen =
        |found: Vec<MatchJson>| service.access.visible(caller, found, u64::MAX, &service.engine);
    let (matches, hidden) = seen(outcome.matches().iter().map(MatchJson::copy).collect())?;
    let (related, _) = seen(outcome.related().iter().map(MatchJson::of).collect())?;
    // Where all that it is a copy of is somebody else's, it is a copy of nothing of theirs.
    let status = if matches.is_empty() && hidden > 0 { CLEAR } else { outcome.status() };
    Ok(Compared { status, matches, related })
}

const SEARCH_FIELDS: Fields = Fields { files: &[("picture", Taking::Disk)], texts: &[] };
/// Within this PDQ codes are taken to be of the same picture by who has nothing else (the PDQ paper's advice).
const RADIUS_DEFAULT: u32 = 31;
/// Registrations with a near code that are looked up.
const NEAR_MAX: usize = 10_000;
/// Beyond it unrelated pictures are near.
const RADIUS_MAX: u32 = 64;
/// Longest text to search for: as much as is looked up of it.
pub(crate) const QUERY_CHARS_MAX: usize = 256;
/// As an outcome says it.
const CLEAR: &str = "clear";
/// Most hits that are looked through for somebody's own.
const HITS_MAX: usize = 20_000;

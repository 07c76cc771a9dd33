//! `/v1/search`: works by their words, or by a picture.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use serde::{Deserialize, Serialize};
use timemark_ingest::{Engine, Outcome, ScanOptions, compare};
use timemark_review::MatchJson;
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Kind, ProblemJson};
use crate::service::Shared;
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
    #[param(max_length = 1000)]
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
    words: Result<Query<Words>, QueryRejection>,
) -> Result<Json<Hits>, Problem> {
    let Query(words) = words?;
    let limit = limit(words.limit)?;
    if words.q.len() > QUERY_BYTES_MAX {
        return Err(Problem::bad_request(format!("q may have {QUERY_BYTES_MAX} bytes")));
    }
    blocking(move || {
        service.make_words_findable();
        hits(&words.q, limit, &service.engine)
    })
    .await?
    .map(Json)
}

fn hits(query: &str, limit: usize, engine: &Engine) -> Result<Hits, Problem> {
    let found = engine.index.search(query, limit).map_err(Problem::internal)?;
    let entries = found.into_iter().map(|index| Entry::at(index, engine));
    let works: Vec<Option<Entry>> = entries.collect::<Result<_, _>>()?;
    Ok(Hits { works: works.into_iter().flatten().collect() })
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
    request: Request,
) -> Result<Json<Compared>, Problem> {
    let place = service.place_for_upload().await?;
    let mut form = service.form(request, &SEARCH_FIELDS).await?;
    let upload = form.take_upload("picture")?;
    let turn = service.turn_to_compare().await?;
    let outcome = blocking(move || {
        let outcome = compare(upload.path(), &service.engine, ScanOptions::default());
        drop((upload, turn, place));
        outcome
    });
    match outcome.await?? {
        Outcome::Error(reason) => Err(Problem::new(Kind::UnreadablePicture, reason)),
        outcome => Ok(Json(Compared {
            status: outcome.status(),
            matches: outcome.matches().iter().map(MatchJson::copy).collect(),
            related: outcome.related().iter().map(MatchJson::of).collect(),
        })),
    }
}

const SEARCH_FIELDS: Fields = Fields { files: &[("picture", Taking::Disk)], texts: &[] };
/// Longest text to search for.
const QUERY_BYTES_MAX: usize = 1000;

//! `/v1/works`: works are registered, listed, and looked up by their id.

use std::path::Path as FilePath;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use timemark_ingest::{Engine, Status, Submission, check_texts, register};
use timemark_verify::{ContentId, Receipt};
use utoipa::{IntoParams, ToSchema};

use crate::accept::tagged;
use crate::idempotency;
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::told::{Entry, Registered};
use crate::upload::{Fields, Form, Taking, Upload};
use crate::{Problem, blocking};

/// A work and what its claimant says of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the document: the parts are read one by one")]
pub(crate) struct RegisterForm {
    /// The work. Its file name, without folders, is stated in the claim.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    #[schema(max_length = 16384, nullable = false)]
    title: Option<String>,
    #[schema(max_length = 16384, nullable = false)]
    claimant: Option<String>,
    /// When it was made, as claimed.
    #[schema(max_length = 16384, nullable = false)]
    created: Option<String>,
    #[schema(max_length = 16384, nullable = false)]
    rights: Option<String>,
    #[schema(max_length = 16384, nullable = false)]
    collection: Option<String>,
    /// Keep the work's digests and what it looks like, and not the work.
    #[schema(nullable = false)]
    hash_only: Option<bool>,
    /// Register a picture that does not decode all the same, by its bytes alone.
    #[schema(nullable = false)]
    bytes_only: Option<bool>,
}

/// Register a work
///
/// When this is answered, the work, its claim and its entry in the log are durable. The same bytes by the same claimant
/// are one registration: sent again, they are answered with 200 and the receipt that they have.
#[utoipa::path(
    post, path = "/v1/works", tag = "works", operation_id = "register",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[ -~]+$", description = "guards against sending another request in the belief that it is the same")),
    request_body(content = RegisterForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "registered", body = Registered, headers(("Location" = String))),
        (status = 200, description = "registered before", body = Registered, headers(("Location" = String))),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no form", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "it cannot be registered", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(service): State<Shared>,
    request: Request,
) -> Result<Response, Problem> {
    let key = idempotency::key(request.headers())?;
    let place = service.place_for_upload().await?;
    let mut form = service.form(request, &REGISTER_FIELDS).await?;
    let upload = form.take_upload("file")?;
    let flags = (form.flag("hash_only")?, form.flag("bytes_only")?);
    check_texts(&submission(&form))?;
    if let Some(key) = key {
        service.keys.bind(&key, digest(&form, &upload))?;
    }
    // From here on it goes to its end, whether or not the client waits for it.
    let working = service.clone();
    let registered = blocking(move || {
        let _place = place; // as long as it is worked on, not as long as somebody waits
        let registered = register_form(&form, &upload, flags, &working);
        working.note_registration(&registered);
        registered
    });
    let (status, registered) = registered.await??;
    let code = match status {
        Status::Registered => StatusCode::CREATED,
        Status::Duplicate => StatusCode::OK,
    };
    let location = [(LOCATION, format!("/v1/works/{}", registered.work))];
    Ok((code, location, Json(registered)).into_response())
}

fn register_form(
    form: &Form,
    upload: &Upload,
    (hash_only, bytes_only): (bool, bool),
    service: &Service,
) -> Result<(Status, Registered), Problem> {
    let name = upload.name.as_deref().unwrap_or("unnamed");
    let submission = Submission {
        hash_only,
        bytes_only,
        stated_path: Some(FilePath::new(name)),
        ..submission(form)
    };
    if Receipt::is_receipt(&upload.start) {
        return Err(Problem::new(Kind::NotAWork, "it is a receipt, which is about a work"));
    }
    let engine = &service.engine;
    let registration = register(upload.path(), &submission, engine)?;
    if let Some(behind) = &registration.behind {
        service.note_behind();
        tracing::warn!(%behind, "registered; registry and index follow at the next start");
    }
    Ok((registration.status, Registered::of(name, &registration, engine)))
}

fn submission(form: &Form) -> Submission<'_> {
    Submission {
        title: form.text("title"),
        claimant: form.text("claimant"),
        created: form.text("created"),
        rights: form.text("rights"),
        collection: form.text("collection"),
        ..Submission::default()
    }
}

/// What an idempotency key stands for: the file, its name and every word.
fn digest(form: &Form, upload: &Upload) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(upload.sha256);
    let name = ("file", upload.name.as_deref());
    let texts = REGISTER_FIELDS.texts.iter().map(|name| (*name, form.text(name)));
    for (name, text) in std::iter::once(name).chain(texts) {
        let Some(text) = text else { continue };
        for part in [name, text] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    digest.finalize().into()
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// What the page before said under `next`.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
    /// Most registrations on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// A page of registrations, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorksPage {
    works: Vec<Entry>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List registrations, newest first
///
/// What is registered meanwhile changes no page that follows.
#[utoipa::path(
    get, path = "/v1/works", tag = "works", operation_id = "list_works", params(Part),
    responses((status = 200, body = WorksPage))
)]
pub(crate) async fn list(
    State(service): State<Shared>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<WorksPage>, Problem> {
    let Query(part) = part?;
    let limit = limit(part.limit)?;
    let before = part.cursor.as_deref().map(read_cursor).transpose()?;
    blocking(move || page(before, limit, &service.engine)).await?.map(Json)
}

fn page(before: Option<u64>, limit: usize, engine: &Engine) -> Result<WorksPage, Problem> {
    let size = engine.registry.len().map_err(Problem::internal)?;
    let mut at = before.unwrap_or(size).min(size);
    let mut works = Vec::new();
    let last = at.saturating_sub(LOOKS_MAX);
    while at > last && works.len() < limit {
        at -= 1;
        works.extend(Entry::at(at, engine)?);
    }
    let next = (at > 0).then(|| cursor(at));
    Ok(WorksPage { works, next })
}

/// How many to give, where that may be asked for.
pub(crate) fn limit(asked: Option<u64>) -> Result<usize, Problem> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit as usize),
        _ => Err(Problem::bad_request(format!("limit is 1 to {LIMIT_MAX}"))),
    }
}

pub(crate) fn cursor(before: u64) -> String {
    BASE64URL_NOPAD.encode(&before.to_be_bytes())
}

pub(crate) fn read_cursor(text: &str) -> Result<u64, Problem> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let before = bytes.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
    before.ok_or_else(|| Problem::bad_request("this cursor was not given out here"))
}

/// A work and who registered it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Work {
    /// The work's id.
    work: String,
    /// In hex.
    sha256: String,
    /// The same as `work`.
    cid: String,
    /// What an IPFS node calls the same bytes.
    dag_cid: Option<String>,
    /// Whether the bytes of the work are kept.
    kept: Option<bool>,
    /// Oldest first.
    registrations: Vec<Entry>,
}

/// A work by its id
///
/// An id has one spelling: the CIDv1 (raw, SHA-256) in base 32.
#[utoipa::path(
    get, path = "/v1/works/{cid}", tag = "works", operation_id = "work",
    params(
        ("cid" = String, Path, pattern = "^bafkrei[a-h][a-z2-7]{50}[aeimquy4]$", description = "the work's id, `bafkrei…`"),
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
    ),
    responses(
        (status = 200, body = Work, headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "nobody registered it here", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(service): State<Shared>,
    headers: HeaderMap,
    cid: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(cid) = cid?;
    let content: ContentId =
        cid.parse().map_err(|_| Problem::new(Kind::BadId, "a work's id is a CID: bafkrei…"))?;
    let work = blocking(move || work(&content, &service.engine)).await??;
    let body = serde_json::to_vec(&work).map_err(Problem::internal)?;
    Ok(tagged(&headers, "application/json", body))
}

fn work(content: &ContentId, engine: &Engine) -> Result<Work, Problem> {
    let records = engine.registry.by_content(content).map_err(Problem::internal)?;
    if records.is_empty() {
        return Err(Problem::new(Kind::NotFound, "nobody registered this work here"));
    }
    let place = engine.works.recorded(content).ok();
    Ok(Work {
        work: content.to_string(),
        sha256: content.sha256_hex(),
        cid: content.to_string(),
        dag_cid: place.as_ref().map(|place| place.work.dag.to_string()),
        kept: place.as_ref().map(|place| place.kept.is_some()),
        registrations: records
            .iter()
            .map(|record| Entry::of(record.index, content.to_string(), record.claim.as_ref()))
            .collect(),
    })
}

const REGISTER_FIELDS: Fields = Fields {
    files: &[("file", Taking::Disk)],
    texts: &["title", "claimant", "created", "rights", "collection", "hash_only", "bytes_only"],
};

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 200;
/// Entries of the log that one page looks at: those that register nothing are passed over.
const LOOKS_MAX: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        for before in [0, 1, 255, u64::MAX] {
            assert_eq!(read_cursor(&cursor(before)).unwrap(), before);
        }
        for text in ["", "1", "AAAAAAAAAAE=", "AAAAAAAAAAF", "AAAAAAAAAAEA", "../../..", "äää"] {
            assert!(read_cursor(text).is_err(), "{text}");
        }
    }
}

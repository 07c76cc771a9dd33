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
use timemark_accounts::Entered;
use timemark_ingest::{
    Engine, Record, RegisterError, Registration, Status, Submission, check_texts, register,
};
use timemark_verify::{ContentId, Receipt};
use utoipa::{IntoParams, ToSchema};

use crate::accept::tagged;
use crate::access::{Access, Caller, Sight};
use crate::idempotency;
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::told::{Entry, Registered, is_zero};
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
        (status = 409, description = "another account registered it for the same claimant", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no form", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "it cannot be registered", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let key = idempotency::key(request.headers())?;
    let place = service.place_for_upload().await?;
    let mut form = service.form(request, &REGISTER_FIELDS).await?;
    let upload = form.take_upload("file")?;
    let flags = (form.flag("hash_only")?, form.flag("bytes_only")?);
    check_texts(&submission(&form))?;
    if let Some(key) = key {
        // Each account has keys of its own.
        let key = caller.account_id().map_or_else(|| key.clone(), |id| format!("{id} {key}"));
        service.keys.bind(&key, digest(&form, &upload))?;
    }
    // From here on it goes to its end, whether or not the client waits for it.
    let working = service.clone();
    let registered = blocking(move || {
        let _place = place; // as long as it is worked on, not as long as somebody waits
        let registered = register_form(&form, &upload, flags, &caller, &working);
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
    caller: &Caller,
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
    let registering = || register(upload.path(), &submission, &service.engine);
    register_for(caller, upload.sha256, name, &submission, service, registering)
}

/// Registers on behalf of a caller: whose the entry is, is known whatever happens meanwhile.
pub(crate) fn register_for(
    caller: &Caller,
    sha256: [u8; 32],
    name: &str,
    submission: &Submission<'_>,
    service: &Service,
    registering: impl FnOnce() -> Result<Registration, RegisterError>,
) -> Result<(Status, Registered), Problem> {
    let (engine, access) = (&service.engine, &service.access);
    let claimant = submission.claimant.unwrap_or_default();
    let intention = access.intend(caller, sha256, claimant, engine)?;
    let registration = match registering() {
        Ok(registration) => registration,
        Err(error) => {
            let problem = Problem::from(error);
            // Where the fault is ours the work may be in the log: the next start looks for it.
            if let Some(intention) = intention.filter(|_| !problem.is_ours()) {
                access.accounts.registered(&intention, None)?;
            }
            return Err(problem);
        }
    };
    service.note_behind_if(&registration.behind, registration.status == Status::Registered);
    let mut registered = Registered::of(name, &registration, engine);
    if let Some(intention) = intention {
        let (index, is_new) = (registered.index, registration.status == Status::Registered);
        let amends = registration.receipt.claim.amends;
        if let Some(amends) = amends {
            // Whoever amended it may not have come to say whose it is yet.
            let content = registration.receipt.claim.work.content();
            access.inherit_now(amends.index, index, &content, engine)?;
        }
        let entered = match amends {
            _ if is_new => Entered::New(index),
            Some(_) => Entered::Amendment(index),
            None => Entered::Known(index),
        };
        access.registered(caller, &intention, index, entered)?;
    }
    let similar = std::mem::take(&mut registered.similar);
    (registered.similar, registered.similar_of_others) =
        access.visible(caller, similar, registered.index, engine)?;
    Ok((registration.status, registered))
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
    pub cursor: Option<String>,
    /// Most on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u64>,
    /// Only those whose claim names this collection.
    #[param(max_length = 1000)]
    collection: Option<String>,
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
/// What is registered meanwhile changes no page that follows. Creators see what they registered.
#[utoipa::path(
    get, path = "/v1/works", tag = "works", operation_id = "list_works", params(Part),
    responses((status = 200, body = WorksPage))
)]
pub(crate) async fn list(
    State(service): State<Shared>,
    caller: Caller,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<WorksPage>, Problem> {
    let Query(part) = part?;
    let limit = limit(part.limit)?;
    let before = part.cursor.as_deref().map(read_cursor).transpose()?;
    // A longer one does not fit into the head of a request, however it is spelled.
    if part.collection.as_ref().is_some_and(|name| name.chars().count() > COLLECTION_CHARS_MAX) {
        let detail = format!("collection may have {COLLECTION_CHARS_MAX} characters");
        return Err(Problem::bad_request(detail));
    }
    blocking(move || {
        let (works, next) = match part.collection {
            Some(name) => collection_page(&name, before, limit, &caller, &service)?,
            None => page(before, limit, &caller, &service)?,
        };
        Ok(Json(WorksPage { works, next: next.map(cursor) }))
    })
    .await?
}

/// The registrations before this entry that somebody sees, newest first, and where the next page begins.
pub(crate) fn page(
    before: Option<u64>,
    limit: usize,
    caller: &Caller,
    service: &Service,
) -> Result<(Vec<Entry>, Option<u64>), Problem> {
    match Access::is_narrow(caller) {
        true => own_page(before, limit, caller, service),
        false => whole_page(before, limit, &service.engine),
    }
}

/// What somebody who does not see everything sees.
fn own_page(
    before: Option<u64>,
    limit: usize,
    caller: &Caller,
    service: &Service,
) -> Result<(Vec<Entry>, Option<u64>), Problem> {
    let size = service.engine.registry.len().map_err(Problem::internal)?;
    let before = before.unwrap_or(size).min(size);
    let indices = service.access.seen(caller, before, limit)?;
    let last = indices.last().copied().filter(|last| indices.len() == limit && *last > 0);
    let entries = indices.into_iter().map(|index| Entry::at(index, &service.engine));
    let works: Vec<Option<Entry>> = entries.collect::<Result<_, _>>()?;
    Ok((works.into_iter().flatten().collect(), last))
}

fn whole_page(
    before: Option<u64>,
    limit: usize,
    engine: &Engine,
) -> Result<(Vec<Entry>, Option<u64>), Problem> {
    let size = engine.registry.len().map_err(Problem::internal)?;
    let mut at = before.unwrap_or(size).min(size);
    let mut works = Vec::new();
    let last = at.saturating_sub(LOOKS_MAX);
    while at > last && works.len() < limit {
        at -= 1;
        works.extend(Entry::at(at, engine)?);
    }
    Ok((works, (at > 0).then_some(at)))
}

fn collection_page(
    name: &str,
    before: Option<u64>,
    limit: usize,
    caller: &Caller,
    service: &Service,
) -> Result<(Vec<Entry>, Option<u64>), Problem> {
    let registry = &service.engine.registry;
    let before = before.unwrap_or(u64::MAX);
    let (records, last) = match Access::is_narrow(caller) {
        false => {
            let records = registry.in_collection(name, before, limit).map_err(Problem::internal)?;
            let last = records.last().filter(|_| records.len() == limit).map(|record| record.index);
            (records, last)
        }
        // Among their own alone: where a page ends must not tell of others'.
        true => {
            let indices = service.access.seen(caller, before, OWN_LOOKS_MAX)?;
            let (mut records, mut last) = (Vec::new(), None);
            let is_whole = indices.len() < OWN_LOOKS_MAX;
            for index in indices {
                let record = registry.by_index(index).map_err(Problem::internal)?;
                last = Some(index);
                let of_it = |record: &Record| {
                    let claim = record.claim.as_ref();
                    claim.is_some_and(|claim| claim.collection.as_deref() == Some(name))
                };
                records.extend(record.filter(of_it));
                if records.len() == limit {
                    break;
                }
            }
            let last = last.filter(|_| records.len() == limit || !is_whole);
            (records, last)
        }
    };
    let works = records.iter().map(|record| {
        let work = record.leaf.content.to_string();
        Entry::of(record.index, work, record.claim.as_ref()).with_fate(&service.engine)
    });
    Ok((works.collect::<Result<_, _>>()?, last.filter(|index| *index > 0)))
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

/// Which of the registrations of a work.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Rest {
    /// What the page before said under `next`.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
    /// Most on a page.
    #[param(minimum = 1, maximum = 200, default = 200)]
    limit: Option<u64>,
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
    /// The cursor of those after these; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
    /// With `next`: how many there are after these, of which no more than 10,000 are counted.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
}

/// A work by its id
///
/// An id has one spelling: the CIDv1 (raw, SHA-256) in base 32. Any number of claimants may have registered it: the first 200
/// are in the answer, and where the others are.
#[utoipa::path(
    get, path = "/v1/works/{cid}", tag = "works", operation_id = "work",
    params(
        ("cid" = String, Path, pattern = "^bafkrei[a-h][a-z2-7]{50}[aeimquy4]$", description = "the work's id, `bafkrei…`"),
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
        Rest,
    ),
    responses(
        (status = 200, body = Work, headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "nobody registered it here", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    cid: Result<Path<String>, PathRejection>,
    rest: Result<Query<Rest>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path(cid) = cid?;
    let content: ContentId =
        cid.parse().map_err(|_| Problem::new(Kind::BadId, "a work's id is a CID: bafkrei…"))?;
    let Query(rest) = rest?;
    let most = limit(Some(rest.limit.unwrap_or(LIMIT_MAX)))?;
    let from = rest.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let work = blocking(move || work(&content, (from, most), &caller, &service)).await??;
    let body = serde_json::to_vec(&work).map_err(Problem::internal)?;
    Ok(tagged(&headers, "application/json", body))
}

/// Registrations of a work that somebody sees.
pub(crate) struct Seen {
    /// Oldest first.
    pub records: Vec<Record>,
    /// How many come after these; no more than [`COUNTED_MAX`] are counted.
    pub more: usize,
}

/// So many registrations of a work that somebody sees, from an entry on; an error where there are none at all. That staff
/// looks at others' is entered into the log.
pub(crate) fn registrations(
    content: &ContentId,
    (from, most): (u64, usize),
    caller: &Caller,
    service: &Service,
) -> Result<Seen, Problem> {
    let (engine, access) = (&service.engine, &service.access);
    let records = access.registrations_seen(caller, content, from, most, engine)?;
    let after = records.last().filter(|_| records.len() == most).map(|record| record.index + 1);
    let more = match after {
        Some(after) => access.count_seen(caller, content, after, COUNTED_MAX, engine)?,
        None => 0,
    };
    if records.is_empty() && (from == 0 || access.count_seen(caller, content, 0, 1, engine)? == 0) {
        // The same where others did, of whom the caller is not to know.
        return Err(Problem::new(Kind::NotFound, "nobody registered this work here"));
    }
    let mut is_of_others = false;
    for record in &records {
        is_of_others |= access.sight(caller, record.index)? == Sight::Others;
    }
    if is_of_others {
        caller.act(engine, "work.view", &content.to_string(), None)?;
    }
    Ok(Seen { records, more })
}

fn work(
    content: &ContentId,
    part: (u64, usize),
    caller: &Caller,
    service: &Service,
) -> Result<Work, Problem> {
    let Seen { records, more } = registrations(content, part, caller, service)?;
    let engine = &service.engine;
    let place = engine.works.recorded(content).ok();
    let last = records.last().filter(|_| more > 0);
    Ok(Work {
        work: content.to_string(),
        sha256: content.sha256_hex(),
        cid: content.to_string(),
        dag_cid: place.as_ref().map(|place| place.work.dag.to_string()),
        kept: place.as_ref().map(|place| place.kept.is_some()),
        next: last.map(|record| cursor(record.index + 1)),
        more,
        registrations: records
            .iter()
            .map(|record| {
                Entry::of(record.index, content.to_string(), record.claim.as_ref())
                    .with_fate(engine)
            })
            .collect::<Result<_, _>>()?,
    })
}

const REGISTER_FIELDS: Fields = Fields {
    files: &[("file", Taking::Disk)],
    texts: &["title", "claimant", "created", "rights", "collection", "hash_only", "bytes_only"],
};

/// Works of somebody's own that one page of a collection looks at.
const OWN_LOOKS_MAX: usize = 2000;
const COLLECTION_CHARS_MAX: usize = 1000;
/// Registrations of a work after those in an answer that are counted.
pub(crate) const COUNTED_MAX: usize = 10_000;
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

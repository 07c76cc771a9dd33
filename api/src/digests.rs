//! `POST /v1/works/digests`: works are registered whose bytes never leave their claimant.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use timemark_ingest::{Stored, Submission, Unseen, register_unseen};
use timemark_verify::WorkDigests;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::problem::ProblemJson;
use crate::service::{Service, Shared};
use crate::told::Registered;
use crate::upload::check_type;
use crate::works::register_for;
use crate::{Problem, blocking};

/// Works to register, of which only this is known.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestsList {
    #[schema(min_items = 1, max_items = 1000)]
    works: Vec<Digests>,
}

/// A work as its claimant's own program sees it, and what the claimant says of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Digests {
    /// In hex, as are the others.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    #[schema(pattern = "^[0-9a-f]{128}$")]
    sha512: String,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sm3: String,
    /// Bytes.
    length: u64,
    /// What `ipfs add --cid-version=1 --raw-leaves` calls it; needed beyond 262,144 bytes.
    #[schema(nullable = false)]
    dag_cid: Option<String>,
    /// Such as `image/jpeg`.
    #[schema(pattern = "^[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}$")]
    media_type: String,
    /// The name of its file, to be stated in the claim.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    file: Option<String>,
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
}

/// What came of each work, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct DigestsTold {
    results: Vec<DigestsResult>,
}

/// What came of a work: one of the two is there.
#[derive(Serialize, ToSchema)]
pub(crate) struct DigestsResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    registered: Option<Registered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<ProblemJson>,
}

/// Register works by their digests
///
/// For works that must not leave their owner. Whoever has the receipt and the work can show that they belong together; scans find
/// exact copies of it and no edited ones. What is wrong with one work costs the others nothing. When this is answered,
/// everything that it calls registered is durable, and sent again it is the same registration.
#[utoipa::path(
    post, path = "/v1/works/digests", tag = "works", operation_id = "register_digests",
    request_body(content = DigestsList, content_type = "application/json"),
    responses(
        (status = 200, description = "what came of each", body = DigestsTold),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<DigestsTold>, Problem> {
    check_type(&headers, "application/json")?;
    let list: DigestsList =
        serde_json::from_slice(&body?).map_err(|error| Problem::bad_request(error.to_string()))?;
    if !(1..=WORKS_MAX).contains(&list.works.len()) {
        return Err(Problem::bad_request(format!("there are 1 to {WORKS_MAX} works in a request")));
    }
    let place = service.place_for_upload().await?;
    let results = blocking(move || {
        let _place = place;
        register_all(&list.works, &caller, &service)
    });
    Ok(Json(DigestsTold { results: results.await? }))
}

/// Registers them side by side, so that they share the flushes of the log.
fn register_all(works: &[Digests], caller: &Caller, service: &Service) -> Vec<DigestsResult> {
    let results: Vec<_> = works.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let register_next = || {
        while let Some((work, result)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            works.get(at).zip(results.get(at))
        } {
            let told = register(work, caller, service);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
    };
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 1..works.len() {
            // All requests share them; where none is left, and where the system starts no more, this one goes on alone.
            let Ok(place) = service.registering.try_acquire() else { break };
            let run = move || {
                let _place = place;
                register_next();
            };
            let Ok(thread) = thread::Builder::new().spawn_scoped(scope, run) else { break };
            threads.push(thread);
        }
        register_next();
        // What a panic costs is told of its work below.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    });
    let told = results.into_iter().map(|result| {
        match result.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(Ok(registered)) => DigestsResult { registered: Some(registered), problem: None },
            Some(Err(problem)) => DigestsResult { registered: None, problem: Some(problem.json()) },
            None => DigestsResult { registered: None, problem: Some(Problem::of_panic().json()) },
        }
    });
    told.collect()
}

fn register(work: &Digests, caller: &Caller, service: &Service) -> Result<Registered, Problem> {
    let name = work.file.as_deref().filter(|name| !name.is_empty());
    if name.is_some_and(|name| name.contains(['/', '\\']) || name.len() > 255) {
        return Err(Problem::bad_request("file is a name of at most 255 bytes, without folders"));
    }
    let unseen = Unseen { work: work.stored()?, media_type: &work.media_type };
    let submission = Submission {
        title: work.title.as_deref(),
        claimant: work.claimant.as_deref(),
        created: work.created.as_deref(),
        rights: work.rights.as_deref(),
        collection: work.collection.as_deref(),
        stated_path: name.map(Path::new),
        hash_only: true,
        ..Submission::default()
    };
    let registering = || register_unseen(&unseen, &submission, &service.engine);
    let (sha256, name) = (unseen.work.digests.sha256, name.unwrap_or_default());
    let registered = register_for(caller, sha256, name, &submission, service, registering);
    service.note_registration(&registered);
    registered.map(|(_, told)| told)
}

impl Digests {
    fn stored(&self) -> Result<Stored, Problem> {
        let digests = WorkDigests {
            sha256: hex("sha256", &self.sha256)?,
            sha512: hex("sha512", &self.sha512)?,
            sm3: hex("sm3", &self.sm3)?,
            length: self.length,
        };
        let (content, given) = (digests.content(), self.dag_cid.as_deref());
        let bad = |detail: &str| Problem::bad_request(format!("dag_cid: {detail}"));
        let stored = match given {
            Some(text) => {
                let dag = text.parse().map_err(|_| bad("it is no CID as IPFS nodes give it"))?;
                Stored { digests, dag }
            }
            None => Stored::of_one_chunk(digests),
        };
        match (stored.fits_its_length(), given) {
            (true, _) => Ok(stored),
            (false, None) => Err(bad("beyond 262144 bytes it is needed")),
            (false, Some(_)) => Err(bad(&format!("of so short a work it is {content}"))),
        }
    }
}

fn hex<const N: usize>(name: &str, text: &str) -> Result<[u8; N], Problem> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Problem::bad_request(format!("{name} is {} digits of hex", 2 * N)))
}

/// Most works in a request.
const WORKS_MAX: usize = 1000;
/// Works that are registered at a time beside one of each request: most of their time they wait for the log.
pub(crate) const THREADS_MAX: usize = 64;

//! The whole archive over HTTP: what is behind the routes, and the layers around them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use timemark_accounts::Accounts;
use timemark_hooks::Hooks;
use timemark_ingest::{DeriveError, Engine, Status};
use timemark_review::Review;
use timemark_verify::{Policy, Receipt, Trust, TrustTold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{self, Access, admit, admit_page};
use crate::bundles::Bundler;
use crate::claims::settle_erased;
use crate::events::LISTENERS_MAX;
use crate::guard::{Reach, guard, guard_page};
use crate::idempotency::Keys;
use crate::operation::{self, Metrics, observe};
use crate::problem::{Kind, uniform};
use crate::serve::REQUEST_TIME_MAX;
use crate::told::Registered;
use crate::traces::Tally;
use crate::upload::{Fields, Form};
use crate::{
    Problem, bundles, claims, collections, digests, domains, events, hooks, matches, openapi,
    pages, preview, receipts, scans, search, tiles, tsa, verify, works,
};

/// How long a request with a file may take, from its head to the answer.
pub const UPLOAD_TIME_MAX: Duration = Duration::from_secs(240);
/// What [`serve_within`](crate::serve_within) is to give: a little more, as the service says itself what took too long.
pub const SERVICE_TIME_MAX: Duration = Duration::from_secs(250);
/// Files on their way in at a time: some of the threads that may block are left for who reads.
const UPLOADS_MAX: usize = 48;
/// Receipts that are verified at a time: a certificate is held in memory.
const VERIFIED_MAX: usize = 8;
/// Bundles that are made, or on their way to a client, at a time: each is a file of up to 4 GiB.
const BUNDLES_MAX: usize = 4;
/// How long one more waits for its turn before it is asked to come again.
const UPLOAD_WAIT_MAX: Duration = Duration::from_secs(10);

/// An open archive, to be served.
pub struct Archive {
    /// Its rooms.
    pub engine: Arc<Engine>,
    /// Whom it trusts, as the text of a policy.
    pub trust: String,
    /// The public files of its log.
    pub tiles_dir: PathBuf,
    /// An empty folder for files on their way in.
    pub uploads_dir: PathBuf,
    /// Longest body of a request.
    pub upload_bytes_max: u64,
    /// Its time-stamp authority, if it has one.
    pub authority: Option<tsa::Respond>,
    /// Whom it tells of what happened. Whoever serves it sees to [`Hooks::run`] and [`Hooks::stop`].
    pub hooks: Arc<Hooks>,
    /// Its scans and what they found. Whoever serves it sees to [`Review::run_jobs`], [`Review::run_rematching`] and
    /// [`Review::stop`].
    pub review: Arc<Review>,
    /// Who may use it; where there is no account, everybody may who reaches it.
    pub accounts: Accounts,
    /// What makes the first account, where there is none ([`timemark_accounts::setup_token`]).
    pub setup: Option<String>,
    /// How it is reached.
    pub reach: Reach,
    /// Marks what is derived from its log for being made anew, before a claim is erased.
    pub disown: Disown,
    /// Makes the certificate (PDF) of a receipt of its log.
    pub certify: Certify,
    /// Makes evidence bundles.
    pub bundler: Box<dyn Bundler>,
    /// The verifier's page, if it was built: one file that needs no server.
    pub verifier: Option<Vec<u8>>,
    /// What became of spans, where traces are sent somewhere.
    pub spans: Option<Arc<Tally>>,
}

/// See [`timemark_ingest::Disown`].
pub type Disown =
    Box<dyn Fn() -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// Makes a certificate of a receipt: the same of the same.
pub type Certify = Box<dyn Fn(&Receipt) -> Result<Vec<u8>, NoCertificate> + Send + Sync>;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum NoCertificate {
    /// What the policy asks for may still come.
    #[error("{0}")]
    Undecided(String),
    /// It should have been made.
    #[error("a certificate could not be made")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub(crate) type Shared = Arc<Service>;

/// What requests share.
pub(crate) struct Service {
    pub engine: Arc<Engine>,
    pub hooks: Arc<Hooks>,
    pub policy: Policy,
    /// The text of the policy.
    pub policy_text: String,
    pub disown: Disown,
    pub certify: Certify,
    pub bundler: Box<dyn Bundler>,
    pub verifier: Option<pages::Verifier>,
    pub access: Access,
    told: TrustTold,
    uploads_dir: PathBuf,
    pub upload_bytes_max: u64,
    uploads: Arc<Semaphore>,
    verifications: Arc<Semaphore>,
    bundles: Arc<Semaphore>,
    comparisons: Arc<Semaphore>,
    /// Threads that register works by their digests, beside one of each request.
    pub registering: Semaphore,
    pub keys: Keys,
    pub metrics: Arc<Metrics>,
    pub spans: Option<Arc<Tally>>,
    /// Whether the last registration failed on this side.
    failing: AtomicBool,
    /// Whether registry or index stopped following the log. The registry goes on with the next registration, the index at the
    /// next start.
    behind: AtomicBool,
    /// How many entries can be found by their words, and since when.
    findable: Mutex<(u64, Instant)>,
    pub review: Arc<Review>,
    /// Sent to whenever a scan, a match or the list of domains changed.
    pub changes: watch::Sender<()>,
    /// Who may listen to events.
    pub listeners: Arc<Semaphore>,
    /// One decision at a time: what it is about is seen, entered into the log, and changed.
    deciding: Mutex<()>,
    document: OnceLock<String>,
}

/// The service over an archive; an error if its policy or its accounts cannot be read.
pub fn router(archive: Archive) -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let reach = Arc::new(archive.reach);
    let access = Access::new(archive.accounts, reach.is_secure(), archive.setup.as_deref());
    access.settle_works(&archive.engine)?;
    access.settle_intentions(&archive.engine)?;
    access.settle_amendments(&archive.engine)?;
    settle_erased(&archive.review, &archive.engine)?;
    let service = Arc::new(Service {
        access,
        policy: Policy::parse(archive.trust.as_bytes())?,
        told: TrustTold::given(archive.trust.as_bytes()),
        policy_text: archive.trust,
        disown: archive.disown,
        certify: archive.certify,
        bundler: archive.bundler,
        verifier: archive.verifier.and_then(pages::Verifier::of),
        engine: archive.engine,
        hooks: archive.hooks,
        uploads_dir: archive.uploads_dir,
        upload_bytes_max: archive.upload_bytes_max,
        uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
        verifications: Arc::new(Semaphore::new(VERIFIED_MAX)),
        bundles: Arc::new(Semaphore::new(BUNDLES_MAX)),
        comparisons: Arc::new(Semaphore::new(cores)),
        registering: Semaphore::new(digests::THREADS_MAX),
        keys: Keys::default(),
        metrics: Arc::default(),
        spans: archive.spans,
        failing: AtomicBool::new(false),
        behind: AtomicBool::new(false),
        findable: Mutex::new((0, Instant::now())),
        review: archive.review,
        changes: watch::Sender::new(()),
        listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
        deciding: Mutex::default(),
        document: OnceLock::new(),
    });
    let changes = service.changes.clone();
    service.review.on_change(move || changes.send_replace(()));
    let within = |time| TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, time);
    let quick = OpenApiRouter::new()
        .routes(routes!(works::list))
        .routes(routes!(works::show))
        .routes(routes!(preview::preview))
        .routes(routes!(collections::list))
        .routes(routes!(receipts::show))
        .routes(routes!(receipts::tlog_proof))
        .routes(routes!(receipts::checkpoint))
        .routes(routes!(receipts::certificate))
        .routes(routes!(claims::show, claims::erase))
        .routes(routes!(claims::correct))
        .routes(routes!(claims::withdraw))
        .routes(routes!(verify::policy))
        .routes(routes!(search::by_words))
        .routes(routes!(search::by_code))
        .routes(routes!(scans::list))
        .routes(routes!(scans::show))
        .routes(routes!(scans::pause))
        .routes(routes!(scans::resume))
        .routes(routes!(scans::cancel))
        .routes(routes!(scans::results))
        .routes(routes!(scans::domains))
        .routes(routes!(events::events))
        .routes(routes!(matches::list))
        .routes(routes!(matches::show))
        .routes(routes!(matches::give_verdict, matches::undo_verdict))
        .routes(routes!(matches::history))
        .routes(routes!(matches::suspect_picture))
        .routes(routes!(matches::work_picture))
        .routes(routes!(matches::overlay))
        .routes(routes!(domains::list, domains::allow))
        .routes(routes!(domains::disallow))
        .routes(routes!(hooks::list, hooks::create))
        .routes(routes!(hooks::show, hooks::change, hooks::remove))
        .routes(routes!(hooks::rotate))
        .routes(routes!(hooks::test))
        .routes(routes!(hooks::deliveries))
        .routes(routes!(hooks::replay))
        .routes(routes!(hooks::replay_since))
        .routes(routes!(operation::readyz))
        .routes(routes!(operation::metrics))
        .routes(routes!(document))
        .merge(access::routes())
        .layer(within(REQUEST_TIME_MAX));
    let uploads = OpenApiRouter::new()
        .routes(routes!(works::create))
        .routes(routes!(digests::create))
        .routes(routes!(scans::create))
        .routes(routes!(bundles::create))
        .routes(routes!(verify::verify))
        .routes(routes!(search::by_picture))
        .layer(within(UPLOAD_TIME_MAX));
    let guarded = from_fn_with_state(reach.clone(), guard);
    let admitted = from_fn_with_state(service.clone(), admit);
    let own = quick.merge(uploads).layer(admitted.clone()).layer(guarded.clone());
    let own = own.with_state(service.clone());
    // What a log publishes is public once it is published. Here it may be that of somebody who publishes nothing: pages of
    // strangers would read from it what lies on this machine.
    let mut log = OpenApiRouter::new()
        .merge(tiles::documented(archive.tiles_dir.clone()))
        .nest("/v1/log", tiles::documented(archive.tiles_dir));
    if let Some(respond) = archive.authority {
        log = log.merge(tsa::documented(respond));
    }
    let log = log.layer(map_response(for_no_other_site)).layer(admitted).layer(guarded);
    let public = OpenApiRouter::new().routes(routes!(operation::healthz)).merge(log);
    let public = public.layer(within(REQUEST_TIME_MAX));
    let described = OpenApiRouter::with_openapi(openapi::Description::openapi());
    let (router, document) = described.merge(own).merge(public).split_for_parts();
    service.access.learn(&document);
    let _ = service.document.set(openapi::text(document));
    let metrics = service.metrics.clone();
    let pages = pages::router(service.clone());
    let pages = pages
        .layer(from_fn_with_state(service.clone(), admit_page))
        .layer(from_fn_with_state(reach.clone(), guard_page));
    let pages = pages.layer(within(REQUEST_TIME_MAX));
    let router = router.merge(pages).fallback(move |request| pages::missing(service, request));
    let router = match reach.is_secure() {
        true => router.layer(map_response(by_tls_from_now_on)),
        false => router,
    };
    Ok(layered(router, metrics))
}

/// What is around every route, from the inside out.
fn layered(router: Router, metrics: Arc<Metrics>) -> Router {
    router
        .layer(CatchPanicLayer::custom(|_| Problem::of_panic().into_response()))
        .layer(from_fn(uniform))
        .layer(from_fn_with_state(metrics, observe))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(from_fn(own_id_if_plain))
}

/// This document
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "operation", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"))
)]
async fn document(State(service): State<Shared>) -> Response {
    let text = service.document.get().cloned().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// Browsers ask by TLS alone from then on (RFC 6797).
async fn by_tls_from_now_on(mut response: Response) -> Response {
    let year = HeaderValue::from_static("max-age=31536000");
    response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, year);
    response
}

async fn for_no_other_site(mut response: Response) -> Response {
    response.headers_mut().remove(ACCESS_CONTROL_ALLOW_ORIGIN);
    response
}

/// A request keeps the id that it comes with only if that is short and plain: it stands in the log.
async fn own_id_if_plain(mut request: Request, next: Next) -> Response {
    let plain = |id: &[u8]| {
        id.len() <= 64 && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    let ids = request.headers().get_all("x-request-id").iter();
    if !ids.map(|id| id.as_bytes()).all(|id| !id.is_empty() && plain(id)) {
        request.headers_mut().remove("x-request-id");
    }
    next.run(request).await
}

impl Service {
    /// Reads the form of a request.
    pub async fn form(&self, request: Request, fields: &Fields) -> Result<Form, Problem> {
        Form::read(request, fields, &self.uploads_dir, self.upload_bytes_max)
            .instrument(tracing::info_span!("receive"))
            .await
    }

    /// Room for one more file on its way in.
    pub async fn place_for_upload(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = timeout(UPLOAD_WAIT_MAX, self.uploads.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = format!("{UPLOADS_MAX} files are on their way in already");
            Problem::new(Kind::TooManyRequests, detail)
        })
    }

    /// Room for one more receipt to be verified.
    pub async fn place_to_verify(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = timeout(UPLOAD_WAIT_MAX, self.verifications.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = format!("{VERIFIED_MAX} receipts are being verified already");
            Problem::new(Kind::TooManyRequests, detail)
        })
    }

    /// Room for one more bundle.
    pub async fn place_to_bundle(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = timeout(UPLOAD_WAIT_MAX, self.bundles.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = format!("{BUNDLES_MAX} bundles are being made or taken already");
            Problem::new(Kind::TooManyRequests, detail)
        })
    }

    /// Where files lie that nobody needs after a restart.
    pub fn uploads_dir(&self) -> &Path {
        &self.uploads_dir
    }

    /// Longest body of a request.
    pub fn upload_bytes_max(&self) -> u64 {
        self.upload_bytes_max
    }

    /// Waits until nobody else decides.
    pub fn turn_to_decide(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a core is free to decode and compare.
    pub async fn turn_to_compare(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.comparisons.clone().acquire_owned().await.map_err(Problem::internal)
    }

    /// Whether anybody is asked to vouch for times.
    pub fn proves_times(&self) -> bool {
        let log = &self.engine.log;
        log.has_authorities() || log.has_witnesses()
    }

    /// Whom this archive trusts.
    pub fn trust(&self) -> Trust<'_> {
        Trust { policy: &self.policy, told: &self.told }
    }

    /// Has the index make findable by words what it took in, at most once a second: that costs flushes of the disk. Where
    /// that fails, the words from before are searched.
    pub fn make_words_findable(&self) {
        let mut findable = self.findable.lock().unwrap_or_else(PoisonError::into_inner);
        let (len, since) = *findable;
        let now = self.engine.index.len();
        if now != len && (len == 0 || since.elapsed() >= Duration::from_secs(1)) {
            if let Err(error) = self.engine.index.flush() {
                tracing::error!(%error, "the index stopped, and goes on at the next start");
                self.behind.store(true, Ordering::Relaxed);
            }
            *findable = (now, Instant::now());
        }
    }

    /// Takes note where registry or index stopped following the log, and where they go on with a new entry.
    pub fn note_behind_if(&self, behind: &Option<DeriveError>, is_new: bool) {
        if let Some(behind) = behind {
            self.behind.store(true, Ordering::Relaxed);
            tracing::warn!(%behind, "registered; the registry follows with the next, the index at the next start");
        } else if is_new {
            self.behind.store(false, Ordering::Relaxed);
        }
    }

    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// Takes note of what came of a registration.
    pub fn note_registration(&self, outcome: &Result<(Status, Registered), Problem>) {
        match outcome {
            Ok((Status::Registered, _)) => {
                self.failing.store(false, Ordering::Relaxed);
                self.metrics.registered.fetch_add(1, Ordering::Relaxed);
            }
            Ok((Status::Duplicate, _)) => {
                self.failing.store(false, Ordering::Relaxed);
                self.metrics.duplicates.fetch_add(1, Ordering::Relaxed);
            }
            Err(problem) if problem.is_ours() => self.failing.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
    }

    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::blocking;

    #[tokio::test]
    async fn what_goes_wrong_inside_is_a_problem_outside() {
        let nothing = async || StatusCode::OK;
        let slow = async || tokio::time::sleep(Duration::from_secs(60)).await;
        let panicking = async || -> &'static str { panic!("a secret") };
        let panicking_beside = async || -> Result<(), Problem> {
            blocking(|| panic!("a secret")).await?;
            Ok(())
        };
        let bare = async || StatusCode::PAYLOAD_TOO_LARGE;
        let time = Duration::from_millis(50);
        let router = Router::new()
            .route("/nothing", get(nothing))
            .route("/slow", get(slow))
            .route("/panicking", get(panicking))
            .route("/panicking-beside", get(panicking_beside))
            .route("/bare", get(bare))
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, time));
        let router = layered(router, Arc::default());
        for (path, status, kind) in [
            ("/nothing", 200, ""),
            ("/slow", 408, "timeout"),
            ("/panicking", 500, "internal"),
            ("/panicking-beside", 500, "internal"),
            ("/bare", 413, "too-large"),
            ("/elsewhere", 404, "not-found"),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            assert!(response.headers().contains_key("x-request-id"), "{path}");
            assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap();
            let is_kind = text.contains(&format!("problem:{kind}\""));
            assert!((kind.is_empty() && text.is_empty()) || is_kind, "{path}: {text}");
            assert!(!text.contains("secret"), "{path}: {text}");
        }
    }
}

//! Where errors become HTTP answers: problem+json (RFC 9457), each with a type that stays what it is.
//!
//! Nothing else of the service knows the status of an error. What went wrong on our side is told to the operator
//! and not to the client.

use axum::Json;
use axum::extract::Request;
use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use timemark_accounts::AccountsError;
use timemark_hooks::HookError;
use timemark_ingest::{Fate, RegisterError, ScanError};
use timemark_review::ReviewError;
use timemark_tlog::LogError;
use utoipa::ToSchema;

use crate::bundles::{MissingFact, NoBundle};

/// What went wrong, in one of few kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BadRequest,
    BadId,
    Unauthorized,
    Forbidden,
    CrossSite,
    OutsideRoots,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Timeout,
    Conflict,
    RegisteredElsewhere,
    ClaimAmended,
    ClaimSigned,
    WrongState,
    ClaimErased,
    Changed,
    TooLarge,
    UnsupportedMediaType,
    WrongHost,
    UnreadablePicture,
    NotAWork,
    TextTooLong,
    NothingCorrected,
    FactsMissing,
    NoEvidence,
    KeyReused,
    UrlRefused,
    TooManyWebhooks,
    ProofNotReady,
    MustCompare,
    TooManyRequests,
    TooManyTries,
    Internal,
    Unavailable,
}

/// What bears this among its extensions is an error in the form of a page already.
#[derive(Clone, Copy)]
pub(crate) struct IsPage;

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    missing: Vec<MissingFact>,
    fate: Fate,
}

/// Why a request was not answered as asked (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemJson {
    /// Which problem it is; docs/api.md lists all. Never changes its meaning.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "tag:timemark.invalid,2026:problem:not-found")]
    kind: String,
    /// The type in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What was wrong with this request, for a person.
    detail: String,
    /// With `facts-missing`: the facts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<MissingFact>,
    /// With `claim-amended`: the entry whose claim stands, or stood there before it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    corrected_by: Option<u64>,
    /// With `claim-amended`: the entry by which it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    withdrawn_by: Option<u64>,
}

impl Kind {
    /// Every kind.
    #[cfg(test)]
    pub const ALL: [Kind; 35] = [
        Kind::BadRequest,
        Kind::BadId,
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::CrossSite,
        Kind::OutsideRoots,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::NotAcceptable,
        Kind::Timeout,
        Kind::Conflict,
        Kind::RegisteredElsewhere,
        Kind::ClaimAmended,
        Kind::ClaimSigned,
        Kind::WrongState,
        Kind::ClaimErased,
        Kind::Changed,
        Kind::TooLarge,
        Kind::UnsupportedMediaType,
        Kind::WrongHost,
        Kind::UnreadablePicture,
        Kind::NotAWork,
        Kind::TextTooLong,
        Kind::NothingCorrected,
        Kind::FactsMissing,
        Kind::NoEvidence,
        Kind::KeyReused,
        Kind::UrlRefused,
        Kind::TooManyWebhooks,
        Kind::ProofNotReady,
        Kind::MustCompare,
        Kind::TooManyRequests,
        Kind::TooManyTries,
        Kind::Internal,
        Kind::Unavailable,
    ];

    /// Status, the last part of the type, the title.
    fn told(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Kind::BadRequest => (S::BAD_REQUEST, "bad-request", "The request cannot be understood"),
            Kind::BadId => (S::BAD_REQUEST, "bad-id", "This is no id of anything here"),
            Kind::Unauthorized => (S::UNAUTHORIZED, "unauthorized", "Who asks is not known"),
            Kind::Forbidden => (S::FORBIDDEN, "forbidden", "This is not open to who asks"),
            Kind::CrossSite => (S::FORBIDDEN, "cross-site", "Pages of other sites may not ask"),
            Kind::OutsideRoots => (S::FORBIDDEN, "outside-scan-roots", "This may not be scanned"),
            Kind::NotFound => (S::NOT_FOUND, "not-found", "There is no such thing here"),
            Kind::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "method-not-allowed", "This cannot be done with it")
            }
            Kind::NotAcceptable => {
                (S::NOT_ACCEPTABLE, "not-acceptable", "It does not come in the form asked for")
            }
            Kind::Timeout => (S::REQUEST_TIMEOUT, "timeout", "The request took too long"),
            Kind::Conflict => (S::CONFLICT, "conflict", "It does not go with what is there"),
            Kind::RegisteredElsewhere => (
                S::CONFLICT,
                "registered-elsewhere",
                "Another account registered this work for the same claimant",
            ),
            Kind::ClaimAmended => {
                (S::CONFLICT, "claim-amended", "This claim does not stand any more")
            }
            Kind::ClaimSigned => {
                (S::CONFLICT, "claim-signed", "The claim is signed by its creator")
            }
            Kind::WrongState => (S::CONFLICT, "wrong-state", "It is not in a state for this"),
            Kind::ClaimErased => (S::GONE, "claim-erased", "The claim was erased"),
            Kind::Changed => (S::PRECONDITION_FAILED, "changed-since", "It changed meanwhile"),
            Kind::TooLarge => (S::PAYLOAD_TOO_LARGE, "too-large", "The request is too long"),
            Kind::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body is not of a type taken here",
            ),
            Kind::WrongHost => {
                (S::MISDIRECTED_REQUEST, "wrong-host", "This server does not go by that name")
            }
            Kind::UnreadablePicture => {
                (S::UNPROCESSABLE_ENTITY, "unreadable-picture", "The picture cannot be read")
            }
            Kind::NotAWork => (S::UNPROCESSABLE_ENTITY, "not-a-work", "The file is no work"),
            Kind::TextTooLong => {
                (S::UNPROCESSABLE_ENTITY, "text-too-long", "A text does not fit into a claim")
            }
            Kind::NothingCorrected => {
                (S::UNPROCESSABLE_ENTITY, "nothing-corrected", "The claim says that already")
            }
            Kind::FactsMissing => {
                (S::UNPROCESSABLE_ENTITY, "facts-missing", "The profile asks for more facts")
            }
            Kind::NoEvidence => {
                (S::UNPROCESSABLE_ENTITY, "no-evidence", "This makes no evidence bundle")
            }
            Kind::KeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key stands for another request",
            ),
            Kind::UrlRefused => {
                (S::UNPROCESSABLE_ENTITY, "url-refused", "Nothing is sent to this URL")
            }
            Kind::TooManyWebhooks => {
                (S::UNPROCESSABLE_ENTITY, "too-many-webhooks", "There are as many as there may be")
            }
            Kind::ProofNotReady => (S::TOO_EARLY, "proof-not-ready", "The proof is yet to come"),
            Kind::MustCompare => {
                (S::PRECONDITION_REQUIRED, "if-match-required", "If-Match is missing")
            }
            Kind::TooManyRequests => {
                (S::TOO_MANY_REQUESTS, "too-many-requests", "Too many are asking at once")
            }
            Kind::TooManyTries => {
                (S::TOO_MANY_REQUESTS, "too-many-tries", "Too many attempts failed")
            }
            Kind::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Something failed here"),
            Kind::Unavailable => {
                (S::SERVICE_UNAVAILABLE, "unavailable", "Nothing can be registered now")
            }
        }
    }

    /// The type by which programs tell problems apart.
    pub fn uri(self) -> String {
        format!("tag:timemark.invalid,2026:problem:{}", self.told().1)
    }

    /// The kind that a bare status stands for.
    fn of_status(status: StatusCode) -> Kind {
        match status {
            StatusCode::NOT_FOUND => Kind::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Kind::MethodNotAllowed,
            StatusCode::NOT_ACCEPTABLE => Kind::NotAcceptable,
            StatusCode::REQUEST_TIMEOUT => Kind::Timeout,
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedMediaType,
            status if status.is_client_error() => Kind::BadRequest,
            _ => Kind::Internal,
        }
    }

    /// What to say where nobody said more.
    fn plain_detail(self) -> &'static str {
        match self {
            Kind::BadRequest => "it does not follow docs/api.md",
            Kind::NotFound => "nothing has this path",
            Kind::MethodNotAllowed => "the header Allow names the methods that can be used",
            Kind::Timeout => {
                "a work that had arrived whole may be registered yet: send the same again to see"
            }
            Kind::TooLarge => "the body is longer than what is taken here",
            Kind::UnsupportedMediaType => "the Content-Type is another one than is taken here",
            _ => "the operator finds more in the server's log",
        }
    }
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), missing: Vec::new(), fate: Fate::default() }
    }

    /// With what became of the claim that it is about.
    pub fn with_fate(self, fate: Fate) -> Problem {
        Problem { fate, ..self }
    }

    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::BadRequest, detail)
    }

    /// A failure on our side: the operator is told what, the client that there was one.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Problem {
        Problem::hidden(Kind::Internal, error)
    }

    /// A disk of ours that failed, or is full.
    pub fn of_disk(error: std::io::Error) -> Problem {
        if error.kind() == std::io::ErrorKind::StorageFull {
            full()
        } else {
            Problem::internal(error)
        }
    }

    /// What a panic of ours costs: its own request. It was printed where it happened.
    pub fn of_panic() -> Problem {
        tracing::error!("a request failed by a fault of the program");
        Problem::new(Kind::Internal, Kind::Internal.plain_detail())
    }

    fn hidden(kind: Kind, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Problem {
        let error = error.into();
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            words += &format!(": {deeper}");
            cause = deeper.source();
        }
        tracing::error!(error = words, "a request failed");
        Problem::new(kind, kind.plain_detail())
    }

    /// Which kind, its status, and what is wrong with this request: for who puts it on a page.
    pub fn told(&self) -> (Kind, StatusCode, &str) {
        (self.kind, self.kind.told().0, &self.detail)
    }

    /// Whether the log, and not this request, is what failed.
    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Internal | Kind::Unavailable)
    }
}

impl Problem {
    /// As it is told to a client.
    pub fn json(self) -> ProblemJson {
        let (status, _, title) = self.kind.told();
        let (kind, status) = (self.kind.uri(), status.as_u16());
        let Problem { detail, missing, fate: Fate { corrected_by, withdrawn_by }, .. } = self;
        ProblemJson { kind, title, status, detail, missing, corrected_by, withdrawn_by }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, ..) = self.kind.told();
        let kind = self.kind;
        let mut response = (status, Json(self.json())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        let wait = match kind {
            Kind::TooManyRequests => Some("1"),
            Kind::ProofNotReady | Kind::TooManyTries | Kind::Unavailable => Some("60"),
            _ => None,
        };
        if let Some(seconds) = wait {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if kind == Kind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        response
    }
}

impl From<StatusCode> for Problem {
    fn from(status: StatusCode) -> Problem {
        let kind = Kind::of_status(status);
        Problem::new(kind, kind.plain_detail())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Problem {
        Problem::new(Kind::BadId, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::bad_request(rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Problem {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE.into(),
            _ => Problem::bad_request("the body did not come whole"),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Problem {
        match rejection.status() {
            // What is JSON and says something else is no matter of its own.
            StatusCode::UNPROCESSABLE_ENTITY => Problem::bad_request(rejection.body_text()),
            status => Problem::new(Kind::of_status(status), rejection.body_text()),
        }
    }
}

impl From<AccountsError> for Problem {
    fn from(error: AccountsError) -> Problem {
        match error {
            AccountsError::NameTaken | AccountsError::LastAdministrator => {
                Problem::new(Kind::Conflict, error.to_string())
            }
            AccountsError::Unknown(_) => Problem::new(Kind::NotFound, error.to_string()),
            AccountsError::Bad(words) => Problem::bad_request(words),
            error if is_full(&error) => Problem::new(
                Kind::Unavailable,
                "the disk is full; nothing of this request was done",
            ),
            error => Problem::internal(error),
        }
    }
}

impl From<MultipartRejection> for Problem {
    fn from(rejection: MultipartRejection) -> Problem {
        Problem::bad_request(rejection.body_text())
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Problem {
        match error {
            RegisterError::TextTooLong { .. } => Problem::new(Kind::TextTooLong, error.to_string()),
            RegisterError::Picture(reason) => Problem::new(
                Kind::UnreadablePicture,
                format!("{reason}; with bytes_only=true it is registered all the same"),
            ),
            // What was said cannot stand in a claim.
            RegisterError::Log(LogError::Format(error)) => Problem::bad_request(error.to_string()),
            RegisterError::Log(error) => error.into(),
            error if is_full(&error) => full(),
            error @ (RegisterError::Unreadable(_)
            | RegisterError::Changed
            | RegisterError::Blob(_)
            | RegisterError::Registry(_)) => Problem::internal(error),
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Problem {
        match error {
            LogError::NoEntry { .. } | LogError::NoWork { .. } => {
                Problem::new(Kind::NotFound, error.to_string())
            }
            LogError::Erased { .. } => Problem::new(Kind::ClaimErased, error.to_string()),
            LogError::Batch(error) => match &*error {
                LogError::DiskFull { .. } => full(),
                error if is_full(error) => full(),
                LogError::Stopped { .. }
                | LogError::OldCopy { .. }
                | LogError::Unpublished { .. } => {
                    Problem::hidden(Kind::Unavailable, error.to_string())
                }
                error => Problem::internal(error.to_string()),
            },
            LogError::DiskFull { .. } => full(),
            LogError::Stopped { .. } | LogError::OldCopy { .. } | LogError::Unpublished { .. } => {
                Problem::hidden(Kind::Unavailable, error)
            }
            error => Problem::internal(error),
        }
    }
}

impl From<ReviewError> for Problem {
    fn from(error: ReviewError) -> Problem {
        let kind = match &error {
            ReviewError::NoJob(_)
            | ReviewError::NoMatch
            | ReviewError::NoDomain(_)
            | ReviewError::NothingThere(_) => Kind::NotFound,
            ReviewError::WrongState { .. } | ReviewError::NothingToUndo => Kind::WrongState,
            ReviewError::OutsideRoots => Kind::OutsideRoots,
            ReviewError::BadJob(_) | ReviewError::BadDomain(_) => Kind::BadRequest,
            ReviewError::TooMany(_) => Kind::TooManyRequests,
            error if is_full(error) => return full(),
            ReviewError::Io { .. } | ReviewError::Unreadable { .. } => {
                return Problem::internal(error);
            }
        };
        Problem::new(kind, error.to_string())
    }
}

impl From<HookError> for Problem {
    fn from(error: HookError) -> Problem {
        let kind = match &error {
            HookError::NoEndpoint | HookError::NoDelivery => Kind::NotFound,
            HookError::Url(_) => Kind::UrlRefused,
            HookError::Wish(_) => Kind::BadRequest,
            HookError::TooMany(_) => Kind::TooManyWebhooks,
            HookError::Busy(_) => Kind::TooManyRequests,
            error if is_full(error) => return full(),
            HookError::Source(_)
            | HookError::NoRandomness
            | HookError::Unreadable { .. }
            | HookError::Io { .. } => return Problem::internal(error),
        };
        Problem::new(kind, error.to_string())
    }
}

impl From<NoBundle> for Problem {
    fn from(error: NoBundle) -> Problem {
        let kind = match &error {
            NoBundle::Fact(_) => Kind::BadRequest,
            NoBundle::Missing(_) => Kind::FactsMissing,
            NoBundle::NoEvidence(_) => Kind::NoEvidence,
            NoBundle::NoPage => Kind::Unavailable,
            error if is_full(error) => return full(),
            NoBundle::Failed(_) => {
                return match log_error(&error) {
                    Some(LogError::DiskFull { .. }) => full(),
                    Some(
                        LogError::Stopped { .. }
                        | LogError::OldCopy { .. }
                        | LogError::Unpublished { .. },
                    ) => Problem::hidden(Kind::Unavailable, error),
                    _ => Problem::internal(error),
                };
            }
        };
        let detail = error.to_string();
        let missing = if let NoBundle::Missing(missing) = error { missing } else { Vec::new() };
        Problem { missing, ..Problem::new(kind, detail) }
    }
}

impl From<ScanError> for Problem {
    fn from(error: ScanError) -> Problem {
        Problem::internal(error)
    }
}

/// Gives every answer of the service its headers, and every error that is not a problem yet the form of one:
/// those that the framework makes itself.
pub(crate) async fn uniform(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|t| t == PROBLEM_JSON);
    let is_told = is_problem || response.extensions().get::<IsPage>().is_some();
    if (status.is_client_error() || status.is_server_error()) && !is_told {
        let mut headers = std::mem::take(response.headers_mut());
        headers.remove(CONTENT_LENGTH);
        headers.remove(CONTENT_TYPE);
        response = Problem::from(status).into_response();
        for (name, value) in &headers {
            response.headers_mut().insert(name, value.clone());
        }
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether a full disk is what is behind an error.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The failure of the log that is behind an error.
fn log_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e LogError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let of_register = match error.downcast_ref::<RegisterError>() {
            Some(RegisterError::Log(log)) => Some(log),
            _ => None,
        };
        match of_register.or_else(|| error.downcast_ref::<LogError>()) {
            Some(LogError::Batch(error)) => return Some(error),
            Some(error) => return Some(error),
            None => cause = error.source(),
        }
    }
    None
}

/// No work is lost by it, and nothing is registered until there is room.
fn full() -> Problem {
    Problem::new(Kind::Unavailable, "the disk is full; nothing of this request was registered")
}

/// What every answer says, where it does not say otherwise itself.
const HEADERS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// How a program says who it is.
const CHALLENGE: &str = "Bearer realm=\"timemark\"";
const PROBLEM_JSON: &str = "application/problem+json";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_type_of_its_own_that_the_documentation_names() {
        let types: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.uri()).collect();
        assert_eq!(types.len(), Kind::ALL.len());
        let docs = include_str!("../../docs/api.md");
        for kind in Kind::ALL {
            let (status, slug, _) = kind.told();
            let row = format!("| `{slug}` | {} |", status.as_u16());
            assert!(docs.contains(&row), "docs/api.md has no row {row}");
        }
    }

    #[test]
    fn a_bare_status_becomes_the_kind_that_says_the_same() {
        for kind in [
            Kind::NotFound,
            Kind::MethodNotAllowed,
            Kind::NotAcceptable,
            Kind::Timeout,
            Kind::TooLarge,
            Kind::UnsupportedMediaType,
            Kind::BadRequest,
            Kind::Internal,
        ] {
            assert_eq!(Kind::of_status(kind.told().0), kind);
        }
        assert_eq!(Kind::of_status(StatusCode::IM_A_TEAPOT), Kind::BadRequest);
        assert_eq!(Kind::of_status(StatusCode::BAD_GATEWAY), Kind::Internal);
    }

    #[test]
    fn a_bundle_for_which_there_is_no_room_is_asked_for_again() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let failures: [Box<dyn std::error::Error + Send + Sync>; 2] =
            [Box::new(full()), Box::new(RegisterError::Unreadable(full()))];
        for failure in failures {
            let problem = Problem::from(NoBundle::Failed(failure));
            assert_eq!((problem.kind, problem.json().status), (Kind::Unavailable, 503));
        }
        let other = Problem::from(NoBundle::Failed("/srv/secret".into()));
        assert!(other.kind == Kind::Internal && !other.detail.contains("secret"));
    }

    #[test]
    fn a_failure_of_ours_is_not_told_to_the_client() {
        let problem = Problem::internal("no such file: /srv/secret");
        assert!(problem.is_ours() && !problem.detail.contains("secret"));
    }
}

//! `POST /v1/verify`: what a receipt proves about a work. Nothing of either is kept. `GET /v1/policy`: under whose trust.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use timemark_verify::{Outcome, Policy, Receipt, Trust, TrustTold};
use utoipa::ToSchema;

use crate::accept::tagged;
use crate::problem::ProblemJson;
use crate::service::{Service, Shared};
use crate::told::{Since, Verdict};
use crate::upload::{Fields, Form, Taking, missing};
use crate::{Problem, blocking};

/// A work, its receipt, and whom to trust.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the document: the parts are read one by one")]
pub(crate) struct VerifyForm {
    /// The work. Only its digests are computed.
    #[schema(value_type = String, format = Binary)]
    work: Vec<u8>,
    /// Its receipt, or a certificate with the receipt inside.
    #[schema(value_type = String, format = Binary)]
    receipt: Vec<u8>,
    /// A c2sp.org/tlog-policy; left away, it is this archive's own.
    #[schema(value_type = Option<String>, format = Binary, nullable = false)]
    policy: Option<Vec<u8>>,
}

/// Verify a receipt
///
/// The verdict is in the answer: a receipt that is refused is answered with 200 as well. What became of its claim since is told
/// under `archive`, apart from the verdict, where the receipt is of this archive's log. Who trusts nobody verifies without a
/// server: `timemark verify`, `timemark-verify`, or verify.html.
#[utoipa::path(
    post, path = "/v1/verify", tag = "verify", operation_id = "verify",
    request_body(content = VerifyForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "the verdict", body = Verdict),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no form", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn verify(
    State(service): State<Shared>,
    request: Request,
) -> Result<Json<Verdict>, Problem> {
    let place = service.place_to_verify().await?;
    let form = service.form(request, &VERIFY_FIELDS).await?;
    let decided = blocking(move || {
        let _place = place;
        decide(form, &service)
    });
    decided.await?.map(Json)
}

fn decide(mut form: Form, service: &Service) -> Result<Verdict, Problem> {
    let work = form.take_digests("work")?;
    let receipt = form.take_bytes("receipt").ok_or_else(|| missing("receipt"))?;
    let given = form.take_bytes("policy");
    let words = if given.is_some() { GIVEN_TRUST } else { OWN_TRUST };
    let policy = match given.as_deref().map(Policy::parse).transpose() {
        Ok(policy) => policy,
        Err(error) => return Ok(Verdict::of(Outcome::of_bad_policy(&error), words)),
    };
    let told = given.as_deref().map(TrustTold::given);
    let trust = match (&policy, &told) {
        (Some(policy), Some(told)) => Trust { policy, told },
        _ => service.trust(),
    };
    match Receipt::parse_file(&receipt) {
        Ok(receipt) => {
            let outcome = Outcome::of_receipt(&work, "", &receipt, Some(trust));
            Ok(Verdict::of(outcome, words).beside(Since::of(&receipt, &service.engine)?))
        }
        Err(error) => Ok(Verdict::of(Outcome::of_unreadable(&error), words)),
    }
}

/// The policy of this archive
///
/// Whom it trusts (c2sp.org/tlog-policy): the file that a verifier asks for. Who takes it from here trusts this server for it.
#[utoipa::path(
    get, path = "/v1/policy", tag = "verify", operation_id = "policy",
    params(("If-None-Match" = Option<String>, Header, description = "an entity tag")),
    responses(
        (status = 200, body = String, content_type = "text/plain", headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
    )
)]
pub(crate) async fn policy(State(service): State<Shared>, headers: HeaderMap) -> Response {
    tagged(&headers, "text/plain; charset=utf-8", service.policy_text.clone().into_bytes())
}

/// What the policy of this archive is called.
pub(crate) const OWN_TRUST: &str = "what this archive trusts";
const GIVEN_TRUST: &str = "the policy that was sent";

const VERIFY_FIELDS: Fields = Fields {
    files: &[
        ("work", Taking::Digests),
        ("receipt", Taking::Memory(Receipt::FILE_BYTES_MAX)),
        ("policy", Taking::Memory(Policy::BYTES_MAX)),
    ],
    texts: &[],
};

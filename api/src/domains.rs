//! `/v1/allowed-domains`: what comes from there needs nobody's look.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use timemark_review::{AllowedDomain, utc};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::problem::{Kind, ProblemJson};
use crate::service::Shared;
use crate::{Problem, blocking, json};

/// A domain on the list.
#[derive(Serialize, ToSchema)]
#[schema(as = AllowedDomain)]
pub(crate) struct Listed {
    /// Its own host, and all below it.
    domain: String,
    /// When it was added (RFC 3339).
    added: String,
    /// Who added it.
    actor: String,
    /// The entry of the log that tells of it.
    entry: Option<u64>,
}

impl Listed {
    fn of(domain: AllowedDomain) -> Listed {
        let AllowedDomain { domain, added, actor, entry } = domain;
        Listed { domain, added: utc(added), actor, entry }
    }
}

/// The domains on the list.
#[derive(Serialize, ToSchema)]
pub(crate) struct AllowedDomains {
    domains: Vec<Listed>,
}

/// List the allowed domains
#[utoipa::path(
    get, path = "/v1/allowed-domains", tag = "matches", operation_id = "list_allowed_domains",
    responses((status = 200, body = AllowedDomains))
)]
pub(crate) async fn list(State(service): State<Shared>) -> Result<Json<AllowedDomains>, Problem> {
    let domains = blocking(move || service.review.domains()).await??;
    Ok(Json(AllowedDomains { domains: domains.into_iter().map(Listed::of).collect() }))
}

/// A domain to be put on the list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToAllow {
    /// Such as `shop.example`.
    #[schema(max_length = 254)]
    domain: String,
}

/// What a change of the list did.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListChanged {
    domain: String,
    /// Matches that stand otherwise now.
    matches: u64,
    /// The entry of the log that tells of it.
    entry: u64,
}

/// Allow a domain
///
/// A match whose suspect was met on allowed domains alone, as web archives tell it, becomes `allow-listed`; one verdict of a
/// person counts more. A suspect that was met anywhere else as well stays in the queue.
#[utoipa::path(
    post, path = "/v1/allowed-domains", tag = "matches", operation_id = "allow_domain",
    request_body = ToAllow,
    responses(
        (status = 201, description = "it is on the list", body = ListChanged, headers(("Location" = String))),
        (status = 200, description = "it was on the list", body = AllowedDomains),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn allow(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let ToAllow { domain } = json::read(request).await?;
    let domain = AllowedDomain::read(&domain)?;
    let changed = blocking(move || {
        let _turn = service.turn_to_decide();
        let known = service.review.domains()?;
        if known.iter().any(|known| known.domain == domain) {
            return Ok(Err(known));
        }
        let entry = caller.decide(&service.engine, "domain.allow", &domain, None)?;
        let allowed = AllowedDomain::new(&domain, caller.actor(), Some(entry))?;
        let matches = service.review.allow(allowed)?;
        Ok::<_, Problem>(Ok(ListChanged { domain, matches, entry }))
    });
    match changed.await?? {
        Ok(changed) => {
            let location = [(LOCATION, format!("/v1/allowed-domains/{}", changed.domain))];
            Ok((StatusCode::CREATED, location, Json(changed)).into_response())
        }
        Err(known) => {
            let domains = known.into_iter().map(Listed::of).collect();
            Ok(Json(AllowedDomains { domains }).into_response())
        }
    }
}

/// Allow a domain no longer
///
/// Its matches come back to the queue.
#[utoipa::path(
    delete, path = "/v1/allowed-domains/{domain}", tag = "matches", operation_id = "disallow_domain",
    params(("domain" = String, Path, description = "as it stands on the list")),
    responses(
        (status = 200, body = ListChanged),
        (status = 404, description = "it is not on the list", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "nothing can be registered now", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn disallow(
    State(service): State<Shared>,
    caller: Caller,
    domain: Result<Path<String>, PathRejection>,
) -> Result<Json<ListChanged>, Problem> {
    let Path(domain) = domain?;
    let domain = AllowedDomain::read(&domain)
        .map_err(|error| Problem::new(Kind::BadId, error.to_string()))?;
    let changed = blocking(move || {
        let _turn = service.turn_to_decide();
        if !service.review.has_domain(&domain)? {
            return Err(Problem::new(Kind::NotFound, "it is not on the list"));
        }
        let entry = caller.decide(&service.engine, "domain.disallow", &domain, None)?;
        let matches = service.review.disallow(&domain)?;
        Ok::<_, Problem>(ListChanged { domain, matches, entry })
    });
    Ok(Json(changed.await??))
}

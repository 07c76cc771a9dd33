//! `/v1/collections`: the names under which claimants gather their works.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Access, Caller};
use crate::service::{Service, Shared};
use crate::works::limit;
use crate::{Problem, blocking};

/// A collection.
#[derive(Serialize, ToSchema)]
pub(crate) struct Collection {
    /// As claims name it.
    name: String,
    /// Registrations whose claim names it.
    works: u64,
}

/// A page of collections, by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct CollectionsPage {
    collections: Vec<Collection>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// What the page before said under `next`.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Most collections on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// List collections by name
///
/// `GET /v1/works?collection=` lists the works of one. An agency sees those of what its organisation registered, by the newest
/// 20,000 of these.
#[utoipa::path(
    get, path = "/v1/collections", tag = "works", operation_id = "list_collections", params(Part),
    responses((status = 200, body = CollectionsPage))
)]
pub(crate) async fn list(
    State(service): State<Shared>,
    caller: Caller,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<CollectionsPage>, Problem> {
    let Query(part) = part?;
    let limit = limit(part.limit)?;
    let after = part.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let named = blocking(move || named(&after, limit, &caller, &service)).await??;
    let last = named.last().filter(|_| named.len() == limit);
    let next = last.map(|(name, _)| BASE64URL_NOPAD.encode(name.as_bytes()));
    let collections = named.into_iter().map(|(name, works)| Collection { name, works }).collect();
    Ok(Json(CollectionsPage { collections, next }))
}

/// The collections after this one that somebody sees, with how many registrations of each they see.
fn named(
    after: &str,
    limit: usize,
    caller: &Caller,
    service: &Service,
) -> Result<Vec<(String, u64)>, Problem> {
    let registry = &service.engine.registry;
    if !Access::is_narrow(caller) {
        return registry.collections(after, limit).map_err(Problem::internal);
    }
    // What is theirs is looked at, and not what they do not see: of that there may be much more.
    let mut counts = BTreeMap::<String, u64>::new();
    for index in service.access.seen(caller, u64::MAX, LOOKS_MAX)? {
        let record = registry.by_index(index).map_err(Problem::internal)?;
        if let Some(name) = record.and_then(|record| record.claim?.collection) {
            *counts.entry(name).or_default() += 1;
        }
    }
    let later = counts.into_iter().filter(|(name, _)| &**name > after);
    Ok(later.take(limit).collect())
}

fn read_cursor(text: &str) -> Result<String, Problem> {
    let name = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let name = name.and_then(|name| String::from_utf8(name).ok()).filter(|name| !name.is_empty());
    name.ok_or_else(|| Problem::bad_request("this cursor was not given out here"))
}

/// Registrations that are looked at for who sees those of their own organisation alone.
const LOOKS_MAX: usize = 20_000;

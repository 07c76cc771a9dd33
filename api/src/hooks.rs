//! `/v1/webhooks`: who is told of what happened, what was told, and what is told again.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use timemark_hooks::{
    Attempt, Change, Delivery, Endpoint, EventKind, HookError, Hooks, Reason, Secret,
    State as Fate, Wanted, seconds, utc,
};
use utoipa::{IntoParams, ToSchema};

use crate::access::Caller;
use crate::problem::{Kind, ProblemJson};
use crate::service::Shared;
use crate::works::{cursor, limit, read_cursor};
use crate::{Problem, blocking, json};

/// An endpoint that is told of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhook {
    id: String,
    /// Where deliveries are sent.
    url: String,
    /// What its owner calls it.
    description: Option<String>,
    /// What it hears of.
    events: Vec<&'static str>,
    /// RFC 3339.
    created: String,
    /// Whether anything is sent to it.
    enabled: bool,
    /// Why and since when nothing is sent to it.
    disabled: Option<Disabled>,
    /// Since when no delivery has succeeded, where one has failed since.
    failing_since: Option<String>,
    /// Deliveries that wait for an attempt; 10,000 may be more.
    pending: usize,
    /// What signs its deliveries (`whsec_…`). Shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// That nothing is sent to an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct Disabled {
    /// `owner` wanted it, it is `gone` (410), or it has been `failing` for days.
    reason: &'static str,
    /// RFC 3339.
    at: String,
}

impl Webhook {
    fn of(
        endpoint: Endpoint,
        secret: Option<&Secret>,
        hooks: &Hooks,
    ) -> Result<Webhook, HookError> {
        Ok(Webhook {
            pending: hooks.pending(&endpoint.id)?,
            id: endpoint.id,
            url: endpoint.url,
            description: endpoint.description,
            events: endpoint.events.iter().map(|kind| kind.name()).collect(),
            created: utc(endpoint.created),
            enabled: endpoint.disabled.is_none(),
            disabled: endpoint.disabled.map(|disabled| Disabled {
                reason: match disabled.reason {
                    Reason::Owner => "owner",
                    Reason::Gone => "gone",
                    Reason::Failing => "failing",
                },
                at: utc(disabled.at),
            }),
            failing_since: endpoint.failing_since.map(utc),
            secret: secret.map(Secret::reveal),
        })
    }
}

/// What a new endpoint is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// https, and to a public address.
    #[schema(max_length = 2048)]
    url: String,
    /// What it hears of.
    #[schema(min_items = 1)]
    events: Vec<String>,
    #[schema(max_length = 1000)]
    description: Option<String>,
}

/// What is to become of an endpoint. What is not named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedWebhook {
    #[schema(max_length = 2048)]
    url: Option<String>,
    #[schema(min_items = 1)]
    events: Option<Vec<String>>,
    /// An empty text takes it away.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// An endpoint that is enabled again gets what it missed.
    enabled: Option<bool>,
}

/// The endpoints there are.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhooks {
    webhooks: Vec<Webhook>,
    /// The events that can be heard of here.
    events: Vec<&'static str>,
}

/// List webhooks
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    responses((status = 200, body = Webhooks))
)]
pub(crate) async fn list(State(service): State<Shared>) -> Result<Json<Webhooks>, Problem> {
    with(service, |hooks| {
        let endpoints = hooks.endpoints()?.into_iter();
        let webhooks = endpoints.map(|endpoint| Webhook::of(endpoint, None, hooks));
        let events = hooks.kinds().into_iter().map(EventKind::name).collect();
        Ok(Json(Webhooks { webhooks: webhooks.collect::<Result<_, _>>()?, events }))
    })
    .await
}

/// Make a webhook
///
/// It hears of what happens from now on. The answer has its secret, which is never shown again.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", operation_id = "create_webhook",
    request_body(content = NewWebhook),
    responses(
        (status = 201, body = Webhook, headers(("Location" = String))),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "nothing is sent to this URL, or there are too many", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let new: NewWebhook = json::read(request).await?;
    let events = read_events(&new.events)?;
    let wanted = Wanted { url: new.url, description: new.description, events };
    let shared = service.clone();
    with(service, move |hooks| {
        let Wanted { url, description, events } = wanted.clone();
        let mut all = Change { url: Some(url), description, events: Some(events), enabled: None };
        hooks.check(&all)?;
        all.url = None; // it is what was made
        caller.act(&shared.engine, "webhook.create", plain(&wanted.url), Some(&words(&all)))?;
        let (endpoint, secret) = hooks.create(wanted)?;
        let location = [(LOCATION, format!("/v1/webhooks/{}", endpoint.id))];
        let webhook = Webhook::of(endpoint, Some(&secret), hooks)?;
        Ok((StatusCode::CREATED, location, Json(webhook)).into_response())
    })
    .await
}

/// A webhook
#[utoipa::path(
    get, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "webhook",
    params(("id" = String, Path, pattern = "^wh_[a-z2-7]{24}$", description = "the webhook's id, `wh_…`")),
    responses(
        (status = 200, body = Webhook),
        (status = 404, description = "there is no such webhook", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(service): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Webhook>, Problem> {
    let id = read_id(id?.0)?;
    with(service, move |hooks| Ok(Json(Webhook::of(hooks.endpoint(&id)?, None, hooks)?))).await
}

/// Change a webhook
///
/// What it newly hears of begins now.
#[utoipa::path(
    patch, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "change_webhook",
    params(("id" = String, Path, pattern = "^wh_[a-z2-7]{24}$", description = "the webhook's id, `wh_…`")),
    request_body(content = ChangedWebhook),
    responses(
        (status = 200, body = Webhook),
        (status = 404, description = "there is no such webhook", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "nothing is sent to this URL", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn change(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Webhook>, Problem> {
    let id = read_id(id?.0)?;
    let changed: ChangedWebhook = json::read(request).await?;
    let change = Change {
        url: changed.url,
        description: changed.description,
        events: changed.events.as_deref().map(read_events).transpose()?,
        enabled: changed.enabled,
    };
    let shared = service.clone();
    with(service, move |hooks| {
        hooks.endpoint(&id)?;
        hooks.check(&change)?;
        caller.act(&shared.engine, "webhook.change", &id, Some(&words(&change)))?;
        Ok(Json(Webhook::of(hooks.change(&id, change)?, None, hooks)?))
    })
    .await
}

/// Take a webhook away, with what is kept of its deliveries
#[utoipa::path(
    delete, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "delete_webhook",
    params(("id" = String, Path, pattern = "^wh_[a-z2-7]{24}$", description = "the webhook's id, `wh_…`")),
    responses(
        (status = 204, description = "it is gone"),
        (status = 404, description = "there is no such webhook", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn remove(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let id = read_id(id?.0)?;
    let shared = service.clone();
    with(service, move |hooks| {
        hooks.endpoint(&id)?;
        caller.act(&shared.engine, "webhook.delete", &id, None)?;
        Ok(hooks.delete(&id).map(|()| StatusCode::NO_CONTENT)?)
    })
    .await
}

/// Give a webhook another secret
///
/// The answer has it. For 24 hours the one before signs as well, in a second signature.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/rotate-secret", tag = "webhooks", operation_id = "rotate_webhook_secret",
    params(("id" = String, Path, pattern = "^wh_[a-z2-7]{24}$", description = "the webhook's id, `wh_…`")),
    responses(
        (status = 200, body = Webhook),
        (status = 404, description = "there is no such webhook", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn rotate(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Webhook>, Problem> {
    let id = read_id(id?.0)?;
    let shared = service.clone();
    with(service, move |hooks| {
        hooks.endpoint(&id)?;
        caller.act(&shared.engine, "webhook.rotate-secret", &id, None)?;
        let (endpoint, secret) = hooks.rotate(&id)?;
        Ok(Json(Webhook::of(endpoint, Some(&secret), hooks)?))
    })
    .await
}

/// A delivery of an event to an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryJson {
    /// Its number among those of its endpoint.
    id: u64,
    /// The `webhook-id`, the same at each attempt.
    event_id: String,
    /// The kind of event.
    #[serde(rename = "type")]
    kind: &'static str,
    /// `pending`, `delivered`, or `failed` when it was given up.
    state: &'static str,
    /// When the event was noticed (RFC 3339).
    created: String,
    /// When it is tried next, unless its endpoint is disabled.
    next_attempt: Option<String>,
    /// The last 20, oldest first.
    attempts: Vec<AttemptJson>,
    /// What is sent.
    #[schema(value_type = Object)]
    payload: Value,
}

/// An attempt to deliver.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptJson {
    /// RFC 3339.
    at: String,
    milliseconds: u64,
    /// The status of the answer.
    status: Option<u16>,
    /// Why there was no answer.
    error: Option<String>,
}

impl DeliveryJson {
    fn of(delivery: Delivery) -> DeliveryJson {
        let (state, next) = match delivery.state {
            Fate::Pending { next } => ("pending", Some(next)),
            Fate::Delivered => ("delivered", None),
            Fate::Failed => ("failed", None),
        };
        let attempt = |attempt: Attempt| AttemptJson {
            at: utc(attempt.at),
            milliseconds: attempt.milliseconds,
            status: attempt.status,
            error: attempt.error,
        };
        DeliveryJson {
            id: delivery.id,
            event_id: delivery.event_id,
            kind: delivery.kind.name(),
            state,
            created: utc(delivery.created),
            next_attempt: next.map(utc),
            attempts: delivery.attempts.into_iter().map(attempt).collect(),
            payload: serde_json::from_str(&delivery.payload).unwrap_or_default(),
        }
    }
}

/// Send a test
///
/// An event of the type `webhook.test`, signed, sent and repeated like any other.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/test", tag = "webhooks", operation_id = "test_webhook",
    params(("id" = String, Path, pattern = "^wh_[a-z2-7]{24}$", description = "the webhook's id, `wh_…`")),
    responses(
        (status = 202, description = "it is sent", body = DeliveryJson),
        (status = 404, description = "there is no such webhook", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many deliveries are pending", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn test(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = read_id(id?.0)?;
    let shared = service.clone();
    with(service, move |hooks| {
        hooks.endpoint(&id)?;
        caller.act(&shared.engine, "webhook.test", &id, None)?;
        Ok(accepted(hooks.test(&id)?))
    })
    .await
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveriesPart {
    /// Only those that were given up, or whose last attempt failed.
    #[param(default = false)]
    failed: Option<bool>,
    /// What the page before said under `next`.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
    /// Most deliveries on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// A page of deliveries, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveriesPage {
    deliveries: Vec<DeliveryJson>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List the deliveries of a webhook, newest first
///
/// A page may have fewer than were asked for, and still be followed by another.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "webhook_deliveries",
    params(("id" = String, Path, pattern = "^wh_[a-z2-7]{24}$", description = "the webhook's id, `wh_…`"), DeliveriesPart),
    responses(
        (status = 200, body = DeliveriesPage),
        (status = 404, description = "there is no such webhook", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn deliveries(
    State(service): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    part: Result<Query<DeliveriesPart>, QueryRejection>,
) -> Result<Json<DeliveriesPage>, Problem> {
    let (id, Query(part)) = (read_id(id?.0)?, part?);
    let limit = limit(part.limit)?;
    let before = part.cursor.as_deref().map_or(Ok(u64::MAX), read_cursor)?;
    with(service, move |hooks| {
        let page = hooks.deliveries(&id, part.failed.unwrap_or(false), before, limit)?;
        let deliveries = page.deliveries.into_iter().map(DeliveryJson::of).collect();
        let next = page.next.map(cursor);
        Ok(Json(DeliveriesPage { deliveries, next }))
    })
    .await
}

/// Send a delivery once more
///
/// Under the same id, whatever came of it before.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/deliveries/{delivery}/replay", tag = "webhooks", operation_id = "replay_delivery",
    params(
        ("id" = String, Path, pattern = "^wh_[a-z2-7]{24}$", description = "the webhook's id, `wh_…`"),
        ("delivery" = u64, Path, description = "the number of the delivery"),
    ),
    responses(
        (status = 202, description = "it is sent", body = DeliveryJson),
        (status = 404, description = "there is no such webhook, or no such delivery", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn replay(
    State(service): State<Shared>,
    caller: Caller,
    ids: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((id, delivery)) = ids?;
    let id = read_id(id)?;
    let number = delivery.parse::<u64>().ok().filter(|number| number.to_string() == delivery);
    let number =
        number.ok_or_else(|| Problem::new(Kind::BadId, "a delivery's id is a decimal number"))?;
    let shared = service.clone();
    with(service, move |hooks| {
        hooks.endpoint(&id)?;
        let detail = format!("delivery {number}");
        caller.act(&shared.engine, "webhook.replay", &id, Some(&detail))?;
        Ok(accepted(hooks.replay(&id, number)?))
    })
    .await
}

/// What is to be sent once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaySince {
    /// What was noticed from this time on (RFC 3339).
    #[schema(format = "date-time")]
    since: String,
    /// Leave out what has arrived.
    #[serde(default)]
    undelivered: bool,
}

/// What is sent once more.
#[derive(Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// How many deliveries.
    replayed: usize,
}

/// Send everything once more since a time
///
/// As far as it is kept: the last 10,000 deliveries of the last 30 days.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/replay", tag = "webhooks", operation_id = "replay_since",
    params(("id" = String, Path, pattern = "^wh_[a-z2-7]{24}$", description = "the webhook's id, `wh_…`")),
    request_body(content = ReplaySince),
    responses(
        (status = 202, body = Replayed),
        (status = 404, description = "there is no such webhook", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn replay_since(
    State(service): State<Shared>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id = read_id(id?.0)?;
    let wanted: ReplaySince = json::read(request).await?;
    let since = seconds(&wanted.since)
        .ok_or_else(|| Problem::bad_request("since is a time of RFC 3339, after 1970"))?;
    let shared = service.clone();
    with(service, move |hooks| {
        hooks.endpoint(&id)?;
        let what = if wanted.undelivered { "what did not arrive" } else { "everything" };
        let detail = format!("{what} since {}", utc(since));
        caller.act(&shared.engine, "webhook.replay", &id, Some(&detail))?;
        let replayed = hooks.replay_since(&id, since, wanted.undelivered)?;
        Ok((StatusCode::ACCEPTED, Json(Replayed { replayed })).into_response())
    })
    .await
}

fn accepted(delivery: Delivery) -> Response {
    (StatusCode::ACCEPTED, Json(DeliveryJson::of(delivery))).into_response()
}

/// What of an endpoint is new or changed, for the log.
fn words(change: &Change) -> String {
    let names = |events: &BTreeSet<EventKind>| {
        events.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
    };
    let words = [
        change.url.as_deref().map(|url| format!("url {}", plain(url))),
        change.events.as_ref().map(|events| format!("events {}", names(events))),
        change.description.as_ref().map(|_| "description".to_owned()),
        change.enabled.map(|is| if is { "enabled" } else { "disabled" }.to_owned()),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// A URL without its query, which may hold what only its owner is to know; it never has a user or a password.
fn plain(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// The id of a webhook, as one may have been given out.
fn read_id(id: String) -> Result<String, Problem> {
    let is_one = id.strip_prefix("wh_").is_some_and(|rest| {
        rest.len() == 24 && rest.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
    });
    let wrong = || Problem::new(Kind::BadId, "a webhook's id begins with wh_");
    is_one.then_some(id).ok_or_else(wrong)
}

fn read_events(names: &[String]) -> Result<BTreeSet<EventKind>, Problem> {
    let kinds = names.iter().map(|name| {
        let unknown = |()| Problem::bad_request("GET /v1/webhooks lists the events there are");
        name.parse::<EventKind>().map_err(unknown)
    });
    kinds.collect()
}

/// Asks the webhooks, on a thread for what may block.
async fn with<T: Send + 'static>(
    service: Shared,
    ask: impl FnOnce(&Hooks) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    blocking(move || ask(&service.hooks)).await?
}

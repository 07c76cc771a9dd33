//! `/v1/keys`: what programs say who they are with.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use timemark_accounts::{Access as Level, Key, NewKey, Scope};
use timemark_verify::utc;
use utoipa::{IntoParams, ToSchema};

use super::accounts::no_account;
use super::{Caller, is_id, now, said};
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyForm {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    label: Option<String>,
    /// What it is for: `register`, `read`, `search`, `verify`, `operate`, `keys`, `audit`, `accounts`. Empty is all that the
    /// role may do.
    #[serde(default)]
    scopes: Vec<String>,
    /// After how many days it opens nothing; left away, it does until it is revoked. A key makes none that outlives it.
    #[schema(minimum = 1, maximum = 3650, nullable = false)]
    days: Option<u64>,
    /// Whose it is to be; left away, one's own. Others are an administrator's to give.
    #[schema(pattern = "^acc-[a-z2-7]{16}$", nullable = false)]
    account: Option<String>,
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyJson {
    /// The second part of the key.
    id: String,
    /// Whose it is.
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// What it is for; empty is all that the role may do.
    scopes: Vec<&'static str>,
    /// RFC 3339.
    created: String,
    /// From when on it opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

impl KeyJson {
    pub fn of(key: Key) -> KeyJson {
        KeyJson {
            id: key.id,
            account: key.account,
            label: key.label,
            scopes: key.scopes.into_iter().map(Scope::name).collect(),
            created: utc(key.created),
            expires: key.expires.map(utc),
        }
    }
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyMade {
    key: KeyJson,
    /// The key itself. It is shown this once, and kept by its owner alone.
    secret: String,
}

/// The keys of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeysJson {
    keys: Vec<KeyJson>,
}

/// Whose keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// Left away, one's own.
    #[param(pattern = "^acc-[a-z2-7]{16}$")]
    account: Option<String>,
}

/// Make a key
///
/// Requests bear it as `Authorization: Bearer …`. A key makes none that is for more than itself, or that outlives it. To
/// revoke a key does not revoke those that were made with it.
#[utoipa::path(
    post, path = "/v1/keys", tag = "access", operation_id = "create_key", request_body = KeyForm,
    responses(
        (status = 201, body = KeyMade),
        (status = 400, description = "it cannot be understood", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "there is no such account", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "there are no accounts", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many at once", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(service): State<Shared>,
    caller: Caller,
    body: Result<Json<KeyForm>, JsonRejection>,
) -> Result<(StatusCode, Json<KeyMade>), Problem> {
    let body: KeyForm = said(body)?;
    let place = service.access.place_for_digest().await?;
    let made = blocking(move || {
        let _place = place;
        make(&service, &caller, body)
    });
    let made = made.await??;
    Ok((StatusCode::CREATED, Json(made)))
}

fn make(service: &Service, caller: &Caller, body: KeyForm) -> Result<KeyMade, Problem> {
    let account = of_account(caller, body.account)?;
    let scopes =
        body.scopes.iter().map(|scope| scope.parse()).collect::<Result<Vec<Scope>, _>>()?;
    if body.days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(Problem::bad_request(format!("days is 1 to {DAYS_MAX}")));
    }
    let known = caller.known()?;
    // No key makes one that is for more than it is itself.
    if let Some(own) = known.key.as_ref().filter(|own| !own.scopes.is_empty())
        && (scopes.is_empty() || scopes.iter().any(|scope| !own.scopes.contains(scope)))
    {
        let detail = "a key makes none that is for more than itself";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let accounts = &service.access.accounts;
    accounts.account(&account)?.ok_or_else(no_account)?;
    let words: Vec<_> = body.scopes.iter().map(String::as_str).collect();
    let detail = (!words.is_empty()).then(|| format!("for {}", words.join(", ")));
    caller.act(&service.engine, "key.create", &account, detail.as_deref())?;
    let until = known.key.as_ref().and_then(|own| own.expires);
    let asked = body.days.map(|days| now() + days * 86_400);
    // No key makes one that opens anything after it does not itself.
    let expires = asked.into_iter().chain(until).min();
    let new = NewKey { label: body.label, scopes, expires };
    let (key, secret) = accounts.create_key(&account, new, now())?;
    Ok(KeyMade { key: KeyJson::of(key), secret })
}

/// List keys
#[utoipa::path(
    get, path = "/v1/keys", tag = "access", operation_id = "list_keys", params(Whose),
    responses(
        (status = 200, body = KeysJson),
        (status = 404, description = "there is no such account", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "there are no accounts", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(service): State<Shared>,
    caller: Caller,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<KeysJson>, Problem> {
    let Query(whose) = whose?;
    blocking(move || {
        let account = of_account(&caller, whose.account)?;
        let accounts = &service.access.accounts;
        accounts.account(&account)?.ok_or_else(no_account)?;
        let keys = accounts.keys(&account)?;
        Ok(Json(KeysJson { keys: keys.into_iter().map(KeyJson::of).collect() }))
    })
    .await?
}

/// Revoke a key
///
/// It opens nothing from then on, for good.
#[utoipa::path(
    delete, path = "/v1/keys/{key}", tag = "access", operation_id = "revoke_key",
    params(("key" = String, Path, pattern = "^[a-z2-7]{16}$", description = "the key's id")),
    responses(
        (status = 204, description = "it is revoked"),
        (status = 404, description = "there is no such key", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn revoke(
    State(service): State<Shared>,
    caller: Caller,
    key: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = key?;
    if !is_id(&id) {
        return Err(Problem::new(Kind::BadId, "a key's id is its second part"));
    }
    blocking(move || {
        let accounts = &service.access.accounts;
        let no_key = || Problem::new(Kind::NotFound, "there is no such key");
        let key = accounts.key(&id)?.ok_or_else(no_key)?;
        // One of somebody else does not exist for them.
        of_account(&caller, Some(key.account)).map_err(|_| no_key())?;
        caller.act(&service.engine, "key.revoke", &id, None)?;
        if accounts.revoke_key(&id)? { Ok(StatusCode::NO_CONTENT) } else { Err(no_key()) }
    })
    .await?
}

/// The account that is meant, if the caller may speak of its keys.
fn of_account(caller: &Caller, asked: Option<String>) -> Result<String, Problem> {
    let known = caller.known()?;
    match asked {
        None => Ok(known.account.id.clone()),
        Some(asked) if asked == known.account.id || known.level == Level::Allow => Ok(asked),
        Some(_) => Err(no_account()),
    }
}

/// Ten years.
const DAYS_MAX: u64 = 3650;

//! `/v1/accounts`: administrators make accounts and change them.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use timemark_accounts::{Account, Change, NewAccount, Role};
use timemark_verify::utc;
use utoipa::{IntoParams, ToSchema};

use super::{Caller, is_id, now, said};
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::works::limit;
use crate::{Problem, blocking};

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountForm {
    /// What it is called; each name once.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// `creator`, `agency`, `reviewer`, `auditor`, or `administrator`.
    role: String,
    /// Who it works for.
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    organisation: Option<String>,
    /// Left away, the answer has a login link.
    #[schema(min_length = 12, max_length = 256, nullable = false)]
    password: Option<String>,
}

/// What is to be different.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountChange {
    #[schema(nullable = false)]
    role: Option<String>,
    /// Who it works for; an empty text for nobody.
    #[schema(max_length = 200, nullable = false)]
    organisation: Option<String>,
    /// Nothing opens an account that is disabled.
    #[schema(nullable = false)]
    disabled: Option<bool>,
    /// Have a login link made.
    #[serde(default)]
    link: bool,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountJson {
    /// `acc-…`; it stands in the log for who did something.
    id: String,
    name: String,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<String>,
    /// RFC 3339.
    created: String,
    disabled: bool,
}

impl AccountJson {
    pub fn of(account: Account) -> AccountJson {
        AccountJson {
            id: account.id,
            name: account.name,
            role: account.role.name(),
            organisation: account.organisation,
            created: utc(account.created),
            disabled: account.disabled,
        }
    }
}

/// An account that was made or changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountMade {
    account: AccountJson,
    /// What opens it once, within a week: the token for `POST /v1/session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A page of accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountsPage {
    accounts: Vec<AccountJson>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountsPart {
    /// What the page before said under `next`.
    #[param(pattern = "^acc-[a-z2-7]{16}$")]
    cursor: Option<String>,
    /// Most accounts on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

/// Make an account
///
/// With a key that has scopes, nothing opens it yet: such a key sets no password and gets no login link.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "access", operation_id = "create_account",
    request_body = AccountForm,
    responses(
        (status = 201, body = AccountMade),
        (status = 400, description = "it cannot be understood", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "the name is taken, or there is no first account yet", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many at once", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(service): State<Shared>,
    caller: Caller,
    body: Result<Json<AccountForm>, JsonRejection>,
) -> Result<(StatusCode, Json<AccountMade>), Problem> {
    let body: AccountForm = said(body)?;
    let place = service.access.place_for_digest().await?;
    let made = blocking(move || {
        let _place = place;
        make(&service, &caller, body)
    });
    let made = made.await??;
    Ok((StatusCode::CREATED, Json(made)))
}

fn make(service: &Service, caller: &Caller, body: AccountForm) -> Result<AccountMade, Problem> {
    // The first account is made by the link of the server, or on the command line.
    let known = caller.known()?;
    let AccountForm { name, role, organisation, password } = body;
    if password.is_some() {
        known.unless_scoped("sets no password")?;
    }
    let role: Role = role.parse()?;
    let new = NewAccount { name, role, organisation };
    timemark_accounts::check(&new, password.as_deref())?;
    let accounts = &service.access.accounts;
    if accounts.named(&new.name)?.is_some() {
        return Err(timemark_accounts::AccountsError::NameTaken.into());
    }
    caller.act(&service.engine, "account.create", &new.name, Some(&format!("as {role}")))?;
    let account = accounts.add(new, password.as_deref(), now())?;
    // Of a role that may do what such a key is not for.
    let is_opened = password.is_none() && known.unless_scoped("gets no login link").is_ok();
    let token = is_opened.then(|| link(service, &account.id)).transpose()?;
    Ok(AccountMade { account: AccountJson::of(account), token })
}

/// List accounts
#[utoipa::path(
    get, path = "/v1/accounts", tag = "access", operation_id = "list_accounts",
    params(AccountsPart),
    responses((status = 200, body = AccountsPage))
)]
pub(crate) async fn list(
    State(service): State<Shared>,
    part: Result<Query<AccountsPart>, QueryRejection>,
) -> Result<Json<AccountsPage>, Problem> {
    let Query(part) = part?;
    let limit = limit(part.limit)?;
    let after = part.cursor.unwrap_or_default();
    blocking(move || {
        let found = service.access.accounts.list(&after, limit)?;
        let next = found.last().filter(|_| found.len() == limit).map(|last| last.id.clone());
        let accounts = found.into_iter().map(AccountJson::of).collect();
        Ok(Json(AccountsPage { accounts, next }))
    })
    .await?
}

/// Change an account
///
/// The last administrator stays one. One that is disabled loses its sessions and login links. A key that has scopes gets no
/// login link, and gives no role.
#[utoipa::path(
    patch, path = "/v1/accounts/{account}", tag = "access", operation_id = "change_account",
    params(("account" = String, Path, pattern = "^acc-[a-z2-7]{16}$", description = "the account's id")),
    request_body = AccountChange,
    responses(
        (status = 200, body = AccountMade),
        (status = 400, description = "it cannot be understood", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "there is no such account", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "nobody would be left who could change accounts", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many at once", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn change(
    State(service): State<Shared>,
    caller: Caller,
    account: Result<Path<String>, PathRejection>,
    body: Result<Json<AccountChange>, JsonRejection>,
) -> Result<Json<AccountMade>, Problem> {
    let Path(id) = account?;
    if !id.strip_prefix("acc-").is_some_and(is_id) {
        return Err(Problem::new(Kind::BadId, "an account's id is acc-…"));
    }
    let body: AccountChange = said(body)?;
    let mut place = None;
    if body.link {
        place = Some(service.access.place_for_digest().await?);
    }
    blocking(move || {
        let _place = place;
        // What these would open is not held to the scopes of a key.
        if body.link {
            caller.known()?.unless_scoped("gets no login link")?;
        }
        if body.role.is_some() {
            caller.known()?.unless_scoped("gives no role")?;
        }
        let accounts = &service.access.accounts;
        accounts.account(&id)?.ok_or_else(no_account)?;
        let role = body.role.as_deref().map(str::parse::<Role>).transpose()?;
        let organisation = body.organisation.map(|name| Some(name).filter(|n| !n.is_empty()));
        let change = Change { role, organisation, disabled: body.disabled };
        change.check()?;
        let organisation = change.organisation.as_ref();
        let words = [
            role.map(|role| format!("role {role}")),
            organisation.map(|name| format!("organisation {}", name.as_deref().unwrap_or("none"))),
            body.disabled.map(|is| if is { "disabled" } else { "enabled" }.to_owned()),
            body.link.then(|| "login link".to_owned()),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        caller.act(&service.engine, "account.change", &id, Some(&words.join(", ")))?;
        let account = accounts.change(&id, &change)?;
        let token = body.link.then(|| link(&service, &id)).transpose()?;
        Ok(Json(AccountMade { account: AccountJson::of(account), token }))
    })
    .await?
}

fn link(service: &Service, account: &str) -> Result<String, Problem> {
    let now = now();
    Ok(service.access.accounts.link(account, now + LINK_SECONDS, now)?)
}

pub(super) fn no_account() -> Problem {
    Problem::new(Kind::NotFound, "there is no such account")
}

/// How long a login link opens an account.
const LINK_SECONDS: u64 = 7 * 86_400;

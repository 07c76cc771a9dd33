//! `/v1/setup`, `/v1/session`, `/v1/me`: the first administrator, and how people log in and out.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use timemark_accounts::{Account, NewAccount, Role, SECRET_BYTES_MAX};
use utoipa::ToSchema;

use super::accounts::AccountJson;
use super::keys::KeyJson;
use super::layer::{cookie_name, session_in, unauthorized};
use super::{Access, Caller, now, said};
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

/// The first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    /// What the server printed, after the `#` of the link.
    #[schema(max_length = 256)]
    token: String,
    /// What the account is called.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(min_length = 12, max_length = 256)]
    password: String,
}

/// A name and its password, or what a login link holds.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    #[schema(max_length = 200, nullable = false)]
    name: Option<String>,
    #[schema(max_length = 256, nullable = false)]
    password: Option<String>,
    /// What a login link has after the `#`; it opens the account once.
    #[schema(max_length = 256, nullable = false)]
    token: Option<String>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Password {
    /// The present one, where the account has one.
    #[schema(max_length = 256, nullable = false)]
    current: Option<String>,
    #[schema(min_length = 12, max_length = 256)]
    new: String,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// Whether the archive has accounts; where it has none, everything is open.
    accounts: bool,
    /// The account; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountJson>,
    /// The key that it comes with, if it is no session.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyJson>,
}

impl Me {
    fn of(account: Account) -> Me {
        Me { accounts: true, account: Some(AccountJson::of(account)), key: None }
    }
}

/// Make the first administrator
///
/// With the token of the link that a server without accounts prints when it starts. It is good for an hour and for one
/// account; from then on accounts are required. A session begins.
#[utoipa::path(
    post, path = "/v1/setup", tag = "access", operation_id = "setup", request_body = Setup,
    responses(
        (status = 201, description = "from now on accounts are required", body = Me, headers(("Set-Cookie" = String))),
        (status = 400, description = "it cannot be understood", body = ProblemJson, content_type = "application/problem+json"),
        (status = 403, description = "this is not the token", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "there are accounts already", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many wrong tokens", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn setup(
    State(service): State<Shared>,
    body: Result<Json<Setup>, JsonRejection>,
) -> Result<Response, Problem> {
    let body: Setup = said(body)?;
    let place = service.access.place_for_digest().await?;
    let made = blocking(move || {
        let _place = place;
        first(&service, body)
    });
    let (account, session) = made.await??;
    Ok((StatusCode::CREATED, [session], Json(Me::of(account))).into_response())
}

fn first(service: &Service, body: Setup) -> Result<(Account, Cookie), Problem> {
    let access = &service.access;
    // Held to the end: of two who come with the token at once, one finds it.
    let mut setup = access.setup.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if access.accounts.any() {
        return Err(Problem::new(Kind::Conflict, "this archive has accounts already"));
    }
    let valid = setup.filter(|(_, since): &(_, Instant)| since.elapsed() < SETUP_TIME_MAX);
    if valid.is_none_or(|(expected, _)| expected != digest(&body.token)) {
        // Wrong ones are counted, and keep nobody out who has the right one: it is too long to be guessed.
        access.tries.begin(SETUP)?;
        let detail = "this is not the token, or it is older than an hour; a restart prints another";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let role = Role::Administrator;
    let new = NewAccount { name: body.name, role, organisation: None };
    let detail = format!("{} as {role}, by the link of the server", new.name);
    timemark_accounts::check(&new, Some(&body.password))?;
    Caller::Nobody.act(&service.engine, "account.create", &new.name, Some(&detail))?;
    let account = access.accounts.add(new, Some(&body.password), now())?;
    *setup = None;
    let session = access.session(&account)?;
    Ok((account, session))
}

/// Log in
///
/// With a name and its password, or with a login link. Five failures for a name within a minute are all there are; and few
/// passwords are checked at a time.
#[utoipa::path(
    post, path = "/v1/session", tag = "access", operation_id = "login", request_body = Login,
    responses(
        (status = 200, description = "the cookie is the session", body = Me, headers(("Set-Cookie" = String))),
        (status = 400, description = "it cannot be understood", body = ProblemJson, content_type = "application/problem+json"),
        (status = 401, description = "this opens no account", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many failures, or too many at once", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn login(
    State(service): State<Shared>,
    body: Result<Json<Login>, JsonRejection>,
) -> Result<Response, Problem> {
    let body: Login = said(body)?;
    let place = service.access.place_for_digest().await?;
    let opened = blocking(move || {
        let _place = place;
        open(&service.access, &body)
    });
    let (account, session) = opened.await??;
    Ok(([session], Json(Me::of(account))).into_response())
}

fn open(access: &Access, body: &Login) -> Result<(Account, Cookie), Problem> {
    let too_long =
        |text: &Option<String>| text.as_ref().is_some_and(|t| t.len() > SECRET_BYTES_MAX);
    if [&body.name, &body.password, &body.token].into_iter().any(too_long) {
        return Err(Problem::bad_request(format!("each has at most {SECRET_BYTES_MAX} bytes")));
    }
    let account = match (&body.name, &body.password, &body.token) {
        (Some(name), Some(password), None) => {
            let tried = format!("name {name}");
            let tries = access.tries(access.accounts.named(name)?.is_some());
            tries.begin(&tried)?;
            let account = access.accounts.by_password(name, password)?;
            if account.is_some() {
                tries.succeeded(&tried);
            }
            account
        }
        (None, None, Some(token)) => {
            let tried = format!("link {}", token.split('_').nth(1).unwrap_or_default());
            access.tries(access.accounts.has_link(token)?).begin(&tried)?;
            access.accounts.by_link(token, now())?
        }
        _ => return Err(Problem::bad_request("a name and a password are needed, or a token")),
    };
    let account = account.ok_or_else(|| unauthorized("this opens no account"))?;
    let session = access.session(&account)?;
    Ok((account, session))
}

/// Log out
#[utoipa::path(
    delete, path = "/v1/session", tag = "access", operation_id = "logout",
    responses((status = 204, description = "the session is over", headers(("Set-Cookie" = String))))
)]
pub(crate) async fn logout(
    State(service): State<Shared>,
    headers: HeaderMap,
    _caller: Caller,
) -> Result<Response, Problem> {
    let is_secure = service.access.is_secure;
    let session = session_in(&headers, is_secure).map(str::to_owned);
    if let Some(session) = session {
        blocking(move || service.access.accounts.close_session(&session)).await??;
    }
    let over = set_cookie(is_secure, "", Duration::ZERO)?;
    Ok((StatusCode::NO_CONTENT, [over]).into_response())
}

/// Who asks
#[utoipa::path(
    get, path = "/v1/me", tag = "access", operation_id = "me",
    responses((status = 200, body = Me))
)]
pub(crate) async fn me(caller: Caller) -> Json<Me> {
    Json(match caller {
        Caller::Somebody(known) => {
            Me { key: known.key.clone().map(KeyJson::of), ..Me::of(known.account.clone()) }
        }
        _ => Me { accounts: false, account: None, key: None },
    })
}

/// Set one's password
///
/// It ends all sessions and login links of the account; who asks with a session gets another. With a key that has scopes it
/// is refused: a password opens more than those.
#[utoipa::path(
    put, path = "/v1/me/password", tag = "access", operation_id = "change_password",
    request_body = Password,
    responses(
        (status = 204, description = "it is set", headers(("Set-Cookie" = String))),
        (status = 400, description = "it cannot be understood, or is no password", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "there are no accounts, or the present password is another", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many failures", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn change_password(
    State(service): State<Shared>,
    caller: Caller,
    body: Result<Json<Password>, JsonRejection>,
) -> Result<Response, Problem> {
    let body: Password = said(body)?;
    caller.known()?.unless_scoped("sets no password")?;
    let place = service.access.place_for_digest().await?;
    let session = blocking(move || {
        let _place = place;
        let known = caller.known()?;
        let (access, id) = (&service.access, &known.account.id);
        // Not as at the login: who guesses there keeps nobody from it who is in.
        let tried = format!("password of {id}");
        access.tries.begin(&tried)?;
        if !access.accounts.password_is(id, body.current.as_deref())? {
            return Err(Problem::new(Kind::Conflict, "the present password is another"));
        }
        access.tries.succeeded(&tried);
        timemark_accounts::check_password(&body.new)?;
        caller.act(&service.engine, "account.password", id, None)?;
        let account = access.accounts.set_password(id, &body.new)?;
        known.session.is_some().then(|| access.session(&account)).transpose()
    });
    let session = session.await??;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some((name, value)) = session {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// A header that sets a cookie.
type Cookie = (axum::http::HeaderName, HeaderValue);

impl Access {
    /// Begins a session, unless the account was closed since it was looked up.
    fn session(&self, account: &Account) -> Result<Cookie, Problem> {
        let now = now();
        let expires = now + SESSION_TIME_MAX.as_secs();
        let secret = self.accounts.open_session(account, expires, now)?;
        let secret = secret.ok_or_else(|| unauthorized("this opens no account"))?;
        set_cookie(self.is_secure, &secret, SESSION_TIME_MAX)
    }
}

/// Pages cannot read it (HttpOnly), and it does not go along where another site leads here (SameSite).
fn set_cookie(is_secure: bool, value: &str, lives: Duration) -> Result<Cookie, Problem> {
    let (name, seconds) = (cookie_name(is_secure), lives.as_secs());
    let secure = if is_secure { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    Ok((SET_COOKIE, HeaderValue::try_from(text).map_err(Problem::internal)?))
}

/// What is kept of the token that makes the first administrator.
pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Under which name wrong tokens are counted.
const SETUP: &str = "setup";
/// How long the token that makes the first administrator is good.
const SETUP_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// How long a session lasts.
const SESSION_TIME_MAX: Duration = Duration::from_secs(12 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_this_host_alone() {
        let (name, value) = set_cookie(true, "tms_x", Duration::from_secs(9)).unwrap();
        assert_eq!(name, "set-cookie");
        assert_eq!(
            value,
            "__Host-timemark=tms_x; Path=/; Max-Age=9; HttpOnly; SameSite=Strict; Secure"
        );
        let (_, plain) = set_cookie(false, "tms_x", Duration::ZERO).unwrap();
        assert_eq!(plain, "timemark=tms_x; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    }
}

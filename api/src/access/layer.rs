//! The layer: it finds out who asks by what they bring, and turns away whom the table does not let in.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timemark_accounts::{Access as Level, Account, Key, Permission, is_key, permission};

use super::{Access, Caller, Known, now};
use crate::problem::Kind;
use crate::service::Shared;
use crate::{Problem, blocking, pages};

/// Lets a request in with who asks, or answers it.
pub(crate) async fn admit(
    State(service): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = asked(&service.access, &request);
    match caller(asked, &service).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// What a request says of who asks.
enum Asked {
    /// There is nothing to find out.
    Plainly(Caller),
    /// What was brought is to be looked up, and held against this row of the table.
    With(Brought, Option<&'static Permission>),
}

fn asked(access: &Access, request: &Request) -> Result<Asked, Problem> {
    if !access.accounts.any() {
        return Ok(Asked::Plainly(Caller::Anybody));
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let row = route.and_then(|route| access.row(request.method(), route));
    if row.is_some_and(|row| row.access(None) == Level::Allow) {
        return Ok(Asked::Plainly(Caller::Nobody));
    }
    let Some(brought) = brought(request.headers(), access.is_secure)? else {
        return Err(unauthorized("a key (Authorization: Bearer …) or a session is needed"));
    };
    let is_session = matches!(brought, Brought::Session(_));
    if is_session && !request.method().is_safe() && !request.headers().contains_key(OWN_PAGE) {
        // A form of a stranger's page cannot send it; a script of one would have to be allowed to.
        let detail = format!("with a session, what changes something bears the header {OWN_PAGE}");
        return Err(Problem::new(Kind::CrossSite, detail));
    }
    Ok(Asked::With(brought, row))
}

async fn caller(asked: Result<Asked, Problem>, service: &Shared) -> Result<Caller, Problem> {
    let (brought, row) = match asked? {
        Asked::Plainly(caller) => return Ok(caller),
        Asked::With(brought, row) => (brought, row),
    };
    // A key that was found right before is looked up alone.
    let place = match &brought {
        Brought::Key(secret) if !service.access.accounts.remembers(secret) => {
            Some(service.access.place_for_digest().await?)
        }
        _ => None,
    };
    let shared = service.clone();
    let opened = blocking(move || {
        let _place = place;
        shared.access.opened(brought)
    });
    let (account, key, session) = opened.await??;
    let Some(row) = row else {
        return Err(Problem::new(Kind::Forbidden, "this is open to nobody"));
    };
    let level = row.access(Some(account.role));
    let known = Known { account, level, session, key };
    known.check(row)?;
    Ok(Caller::Somebody(Arc::new(known)))
}

impl Known {
    /// Whether what is asked is open to the account, and to the key that it comes with.
    fn check(&self, row: &Permission) -> Result<(), Problem> {
        if self.level == Level::Deny {
            let detail = format!("this is not open to the role {}", self.account.role);
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        if self.key.as_ref().is_some_and(|k| !k.scopes.is_empty() && !k.scopes.contains(&row.scope))
        {
            let detail = format!("this key is not for {}", row.scope);
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        Ok(())
    }
}

/// As [`admit`], for pages: who is not known yet is led to where people log in, and who may not open one is told so on a
/// page. Who has a session is known on the pages that are open to everybody as well.
pub(crate) async fn admit_page(
    State(service): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let route = parts.extensions.get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let row = route.as_deref().and_then(|route| service.access.row(&parts.method, route));
    let visitor = match service.access.accounts.any() {
        false => Ok(Visit::Of(Caller::Anybody)),
        true => visit(&parts.headers, row, &service).await,
    };
    let (caller, refused) = match visitor {
        Ok(Visit::Of(caller)) => (caller, None),
        Ok(Visit::Refused(caller, problem)) => (caller, Some(problem)),
        Err(problem) => (Caller::Nobody, Some(problem)),
    };
    parts.extensions.insert(caller);
    match refused {
        None => next.run(Request::from_parts(parts, body)).await,
        Some(problem) => pages::refused(&mut parts, problem).await,
    }
}

/// Who asks for something that is open to everybody, as far as that is known.
pub(crate) async fn visitor(headers: &HeaderMap, service: &Shared) -> Caller {
    if !service.access.accounts.any() {
        return Caller::Anybody;
    }
    match visit(headers, permission("policy"), service).await {
        Ok(Visit::Of(caller) | Visit::Refused(caller, _)) => caller,
        Err(_) => Caller::Nobody,
    }
}

/// Who visits a page.
enum Visit {
    /// Somebody to whom it is open.
    Of(Caller),
    /// Somebody to whom it is not.
    Refused(Caller, Problem),
}

async fn visit(
    headers: &HeaderMap,
    row: Option<&'static Permission>,
    service: &Shared,
) -> Result<Visit, Problem> {
    let is_open = row.is_some_and(|row| row.access(None) == Level::Allow);
    let known = async {
        let brought = brought(headers, service.access.is_secure)?;
        let brought = brought.ok_or_else(|| unauthorized("a session is needed"))?;
        let shared = service.clone();
        blocking(move || shared.access.opened(brought)).await?
    };
    let (account, key, session) = match known.await {
        Ok(known) => known,
        Err(_) if is_open => return Ok(Visit::Of(Caller::Nobody)),
        Err(problem) => return Err(problem),
    };
    let level = row.map_or(Level::Deny, |row| row.access(Some(account.role)));
    let known = Known { account, level, session, key };
    let checked = match row {
        Some(row) => known.check(row),
        None => Err(Problem::new(Kind::Forbidden, "this is open to nobody")),
    };
    let caller = Caller::Somebody(Arc::new(known));
    Ok(match checked {
        Err(problem) if !is_open => Visit::Refused(caller, problem),
        _ => Visit::Of(caller),
    })
}

/// What a request brings to say who asks.
enum Brought {
    Key(String),
    Session(String),
}

/// A key counts before a session: who sends one means it.
fn brought(headers: &HeaderMap, is_secure: bool) -> Result<Option<Brought>, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    if let Some(value) = given.next() {
        let value = value.to_str().ok().filter(|_| given.next().is_none());
        let parts = value.and_then(|value| value.split_once(' '));
        let bearer = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let key = bearer.map(|(_, key)| key.trim()).filter(|key| is_key(key));
        let key = key.ok_or_else(|| unauthorized("Authorization holds no key of this service"))?;
        return Ok(Some(Brought::Key(key.to_owned())));
    }
    Ok(session_in(headers, is_secure).map(|session| Brought::Session(session.to_owned())))
}

/// The session in the cookies.
pub(super) fn session_in(headers: &HeaderMap, is_secure: bool) -> Option<&str> {
    let name = cookie_name(is_secure);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|p| p.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// Browsers take a cookie of the first name from this host alone, and send it by TLS alone.
pub(super) fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-timemark" } else { "timemark" }
}

pub(super) fn unauthorized(detail: &str) -> Problem {
    Problem::new(Kind::Unauthorized, detail)
}

impl Access {
    /// The row of the table for a route.
    fn row(&self, method: &Method, route: &str) -> Option<&'static Permission> {
        // What can be asked with GET can be asked with HEAD.
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        let operation = self.operations.get()?.get(&(method, route.to_owned()))?;
        permission(operation)
    }

    /// Whether somebody who was let in still would be, as the same: for what is told over a time. What it costs does not block
    /// long.
    pub fn still(&self, caller: &Caller) -> Result<bool, Problem> {
        let known = match caller {
            Caller::Somebody(known) => known,
            Caller::Anybody => return Ok(!self.accounts.any()),
            Caller::Nobody => return Ok(true),
        };
        let account = match (&known.key, &known.session) {
            (Some(key), _) => match self.accounts.key(&key.id)? {
                Some(key) if key.expires.is_none_or(|expires| now() < expires) => {
                    self.accounts.account(&key.account)?
                }
                _ => None,
            },
            (None, Some(session)) => self.accounts.by_session(session, now())?,
            (None, None) => None,
        };
        let was = &known.account;
        Ok(account.is_some_and(|is| {
            !is.disabled && (is.role, &is.organisation) == (was.role, &was.organisation)
        }))
    }

    /// The account that something opens.
    fn opened(&self, brought: Brought) -> Result<(Account, Option<Key>, Option<String>), Problem> {
        let no = || unauthorized("this key or session opens nothing, or no more");
        match brought {
            Brought::Session(session) => {
                let account = self.accounts.by_session(&session, now())?.ok_or_else(no)?;
                Ok((account, None, Some(session)))
            }
            Brought::Key(secret) => {
                // Whoever guesses at a key pays for each guess with a slow digest, and so do we. Who has it is not kept
                // out by the guesses of others, once it was found right.
                let counted = if self.accounts.remembers(&secret) {
                    None
                } else {
                    let tries = self.tries(self.accounts.has_key(&secret)?);
                    let id = secret.split('_').nth(1).unwrap_or_default();
                    tries.check(id)?;
                    Some((tries, id))
                };
                if let Some((account, key)) = self.accounts.by_key(&secret, now())? {
                    return Ok((account, Some(key), None));
                }
                if let Some((tries, id)) = counted {
                    tries.failed(id);
                }
                Err(no())
            }
        }
    }
}

/// Which operation stands behind which route, as the document says it.
pub(super) fn operations(document: &utoipa::openapi::OpenApi) -> HashMap<(Method, String), String> {
    let mut found = HashMap::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ] {
            if let Some(id) = operation.as_ref().and_then(|o| o.operation_id.as_deref()) {
                let id = crate::openapi::operation_id(path, id);
                found.insert((method, path.clone()), id);
            }
        }
    }
    let pages = pages::SHOWN.map(|(path, id)| ((Method::GET, path.to_owned()), id.to_owned()));
    found.extend(pages);
    found
}

/// What requests with a session bear if they change something.
pub(crate) const OWN_PAGE: &str = "x-timemark";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_among_the_cookies_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=b; xtimemark=no; timemark=tms_1".parse().unwrap());
        headers.append(COOKIE, "__Host-timemark=tms_2".parse().unwrap());
        assert_eq!(session_in(&headers, false), Some("tms_1"));
        assert_eq!(session_in(&headers, true), Some("tms_2"));
        assert_eq!(session_in(&HeaderMap::new(), true), None);
    }

    #[test]
    fn what_is_no_key_is_said_at_once() {
        let key = format!("tmk_{}_{}", "a".repeat(16), "b".repeat(43));
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.append(AUTHORIZATION, value.parse().unwrap());
            headers
        };
        assert!(matches!(
            brought(&with(&format!("bearer {key}")), true),
            Ok(Some(Brought::Key(_)))
        ));
        for bad in ["", "Bearer", "Bearer x", &key, &format!("Basic {key}")] {
            assert!(brought(&with(bad), true).is_err(), "{bad}");
        }
        let mut two = with(&format!("Bearer {key}"));
        two.append(AUTHORIZATION, "Bearer x".parse().unwrap());
        assert!(brought(&two, true).is_err());
        assert!(matches!(brought(&HeaderMap::new(), true), Ok(None)));
    }
}

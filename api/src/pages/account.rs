//! *Account*: who somebody is here, their password, and the keys of their programs.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use timemark_accounts::Scope;
use timemark_verify::utc;

use super::answer;
use super::frame::{Frame, outside};
use super::words::{Words, json};
use crate::access::Caller;
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

pub(super) async fn page(State(service): State<Shared>, caller: Caller, frame: Frame) -> Response {
    let made = blocking(move || {
        let w = frame.words();
        let page = seen(&caller, &service, &frame);
        let page = page.map(|seen| Page { w, script: json(&w.access.script), frame: &frame, seen });
        answer(&frame, page)
    });
    made.await.unwrap_or_else(|status| Problem::from(status).into_response())
}

#[derive(Template)]
#[template(path = "account.html")]
struct Page<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    /// Absent where there are no accounts.
    seen: Option<Seen>,
}

/// What is shown of an account.
struct Seen {
    id: String,
    name: String,
    role: &'static str,
    organisation: Option<String>,
    since: String,
    has_password: bool,
    /// What keys of it may be for: the name, and in words.
    scopes: Vec<(&'static str, &'static str)>,
}

fn seen(caller: &Caller, service: &Service, frame: &Frame) -> Result<Option<Seen>, Problem> {
    let Caller::Somebody(known) = caller else { return Ok(None) };
    let (account, w) = (&known.account, frame.words().access);
    let scopes = Scope::ALL.into_iter().filter(|scope| account.role.may_have(*scope));
    Ok(Some(Seen {
        id: account.id.clone(),
        name: outside(&account.name),
        role: w.role(account.role),
        organisation: account.organisation.as_deref().map(outside),
        since: frame.moment(&utc(account.created)),
        has_password: !service.access.accounts.password_is(&account.id, None)?,
        scopes: scopes.map(|scope| (scope.name(), w.scope(scope))).collect(),
    }))
}

//! Who asks, and whether they may: the layer in front of the routes, and what handlers ask of it.
//!
//! While an archive has no accounts, everything is open to whoever reaches the service, which is this machine alone. From
//! the first account on, what the table [`timemark_accounts::PERMISSIONS`] does not open is closed.

mod accounts;
mod actions;
mod findings;
mod keys;
mod layer;
mod registrations;
mod sessions;
mod sight;
mod tries;
mod viewer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;
use timemark_accounts::{Access as Level, Account, Accounts, Key, permission};
use timemark_ingest::{Act, Engine};
use timemark_tlog::system_seconds;
use timemark_verify::Action;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Problem;
use crate::problem::Kind;
use crate::service::Shared;

pub(crate) use layer::{admit, admit_page, visitor};
pub(crate) use sight::Sight;
use tries::Tries;
pub(crate) use viewer::{Told, Viewer};

/// Everything that has to do with access and is kept between requests.
pub(crate) struct Access {
    pub accounts: Accounts,
    /// Whether browsers reach the service by TLS alone.
    is_secure: bool,
    /// SHA-256 of what makes the first administrator, and since when.
    setup: Mutex<Option<([u8; 32], Instant)>>,
    /// By method and route: the `operationId`.
    operations: OnceLock<HashMap<(Method, String), String>>,
    /// Failed attempts to log in, by name, and with links and keys.
    tries: Tries,
    /// Which matches which accounts looked at, and when.
    looks: Mutex<HashMap<(String, String), Instant>>,
    /// Of which work entries are.
    contents: viewer::Contents,
    /// The same with names, links and keys that there are not: whoever invents those pushes no others out.
    invented: Tries,
    /// Slow digests that may wait to be computed, each on a thread for what blocks.
    slow: Arc<Semaphore>,
}

/// Who asks.
#[derive(Clone)]
pub(crate) enum Caller {
    /// There are no accounts: whoever has this machine.
    Anybody,
    /// Somebody who need not say who they are for what they ask.
    Nobody,
    /// An account.
    Somebody(Arc<Known>),
}

/// An account that asks.
pub(crate) struct Known {
    pub account: Account,
    /// What the table says for what is asked.
    pub level: Level,
    /// The session it comes with, or the key.
    session: Option<String>,
    key: Option<Key>,
}

impl Access {
    pub fn new(accounts: Accounts, is_secure: bool, setup: Option<&str>) -> Access {
        let setup = setup.map(|token| (sessions::digest(token), Instant::now()));
        Access {
            accounts,
            is_secure,
            setup: Mutex::new(setup),
            operations: OnceLock::new(),
            tries: Tries::default(),
            looks: Mutex::default(),
            contents: viewer::Contents::default(),
            invented: Tries::default(),
            slow: Arc::new(Semaphore::new(SLOW_MAX)),
        }
    }

    /// Room for one more slow digest. To be had before a thread that may block: who guesses at passwords by the hundred
    /// would have them all otherwise.
    pub async fn place_for_digest(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = timeout(SLOW_WAIT_MAX, self.slow.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = "too many passwords and keys are being checked already";
            Problem::new(Kind::TooManyRequests, detail)
        })
    }

    /// Where failures are counted: those with what there is apart from the others.
    fn tries(&self, is_there: bool) -> &Tries {
        if is_there { &self.tries } else { &self.invented }
    }

    /// Learns which operation stands behind which route.
    pub fn learn(&self, document: &utoipa::openapi::OpenApi) {
        let _ = self.operations.set(layer::operations(document));
    }
}

impl Known {
    /// Which works the account sees, whatever it asks for just now: what the table says of looking at one.
    fn sees(&self) -> Level {
        permission("work").map_or(Level::Deny, |row| row.access(Some(self.account.role)))
    }

    /// Refuses a key with scopes what would lead around them: a session, which has none.
    fn unless_scoped(&self, what: &str) -> Result<(), Problem> {
        if self.key.as_ref().is_some_and(|key| !key.scopes.is_empty()) {
            let detail = format!("a key with scopes {what}; a session or a key without them does");
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        Ok(())
    }
}

impl Caller {
    /// The account; an error where there is none to speak of.
    pub fn known(&self) -> Result<&Known, Problem> {
        match self {
            Caller::Somebody(known) => Ok(known),
            _ => Err(Problem::new(
                Kind::Conflict,
                "this archive has no accounts yet; the link that the server printed makes the first",
            )),
        }
    }

    /// Whether the table opens an operation to this caller, with what is theirs at least.
    pub fn may(&self, operation: &str) -> bool {
        let role = match self {
            Caller::Anybody => return true,
            Caller::Nobody => None,
            Caller::Somebody(known) => Some(known.account.role),
        };
        permission(operation).is_some_and(|row| row.access(role) != Level::Deny)
    }

    /// What keeps apart what different accounts call the same.
    pub fn account_id(&self) -> Option<&str> {
        match self {
            Caller::Somebody(known) => Some(&known.account.id),
            _ => None,
        }
    }

    /// Enters into the log what this caller does, before it is done or told. Where there are no accounts, nobody could be
    /// named, and nothing is entered.
    pub fn act(
        &self,
        engine: &Engine,
        action: &str,
        subject: &str,
        detail: Option<&str>,
    ) -> Result<(), Problem> {
        match self {
            Caller::Anybody => Ok(()),
            _ => self.decide(engine, action, subject, detail).map(drop),
        }
    }

    /// As [`Caller::act`], of what is entered whoever does it; the number of the entry.
    pub fn decide(
        &self,
        engine: &Engine,
        action: &str,
        subject: &str,
        detail: Option<&str>,
    ) -> Result<u64, Problem> {
        let actor = self.actor();
        Ok(engine.act(Act { actor, action, subject: Some(subject), detail })?)
    }

    /// Who asks, for the log: whoever has this machine is its operator.
    pub fn actor(&self) -> &str {
        self.account_id().unwrap_or(Action::OPERATOR)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        // A route that stands outside the layer answers nobody.
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| Problem::internal("a route stands outside the layer of access"))
    }
}

/// The routes of this room.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(sessions::setup))
        .routes(routes!(sessions::login, sessions::logout))
        .routes(routes!(sessions::me))
        .routes(routes!(sessions::change_password))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(accounts::create, accounts::list))
        .routes(routes!(accounts::change))
        .routes(routes!(actions::list))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// What a request says in JSON.
fn said<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    Ok(body?.0)
}

/// The time as this machine has it, for when things run out.
fn now() -> u64 {
    system_seconds()
}

/// Whether a text can be the last part of the id of an account, or the id of a key.
fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
}

/// Slow digests are computed one at a time; the others that have a place are ready for it.
const SLOW_MAX: usize = 3;
/// How long one more waits for a place.
const SLOW_WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest body of a request here: a name, a password, a few words.
const BODY_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn few_slow_digests_wait_for_their_turn_on_a_thread() {
        let dir = tempfile::tempdir().unwrap();
        let access = Access::new(Accounts::open(dir.path()).unwrap(), false, None);
        let mut places = Vec::new();
        for _ in 0..SLOW_MAX {
            places.push(access.place_for_digest().await.unwrap());
        }
        let soon = Duration::from_millis(50);
        assert!(timeout(soon, access.place_for_digest()).await.is_err(), "it waits");
        places.pop();
        assert!(timeout(soon, access.place_for_digest()).await.is_ok_and(|place| place.is_ok()));
    }
}

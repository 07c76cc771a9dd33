//! `GET /v1/actions`: what the staff did, as the log has it.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use timemark_ingest::{Acted, Engine};
use timemark_verify::utc;
use utoipa::{IntoParams, ToSchema};

use crate::service::Shared;
use crate::works::{cursor, limit, read_cursor};
use crate::{Problem, blocking};

/// Something that somebody of the staff did. What it says is absent once it was erased.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActionJson {
    /// The number of its entry in the log.
    index: u64,
    /// The id of an account, or `operator`.
    actor: Option<String>,
    /// What was done, such as `work.view`.
    action: Option<String>,
    /// With what.
    subject: Option<String>,
    /// How.
    detail: Option<String>,
    /// When, as the server's clock had it (RFC 3339); no proof of anything.
    stated_at: Option<String>,
    /// Whether it was erased.
    erased: bool,
}

/// A page of actions, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActionsPage {
    actions: Vec<ActionJson>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which actions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those of this account, or of the `operator`.
    #[param(max_length = 64)]
    actor: Option<String>,
    /// Those of this kind, such as `work.view`.
    #[param(max_length = 64)]
    action: Option<String>,
    /// What the page before said under `next`; it goes with the same filter.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
    /// Most on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
}

impl Which {
    fn fits(&self, acted: &Acted) -> bool {
        let is = |wanted: &Option<String>, text: Option<&String>| {
            wanted.is_none() || wanted.as_ref() == text
        };
        let action = acted.action.as_ref();
        is(&self.actor, action.map(|action| &action.actor))
            && is(&self.action, action.map(|action| &action.action))
    }
}

/// List what the staff did, newest first
///
/// What is done meanwhile changes no page that follows. A page may be empty and not the last.
#[utoipa::path(
    get, path = "/v1/actions", tag = "access", operation_id = "list_actions", params(Which),
    responses((status = 200, body = ActionsPage))
)]
pub(crate) async fn list(
    State(service): State<Shared>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<ActionsPage>, Problem> {
    let Query(which) = which?;
    let limit = limit(which.limit)?;
    let before = which.cursor.as_deref().map(read_cursor).transpose()?;
    blocking(move || page(before, limit, &which, &service.engine)).await?.map(Json)
}

fn page(
    before: Option<u64>,
    limit: usize,
    which: &Which,
    engine: &Engine,
) -> Result<ActionsPage, Problem> {
    let size = engine.log.size();
    let mut at = before.unwrap_or(size).min(size);
    let last = at.saturating_sub(LOOKS_MAX);
    let mut actions = Vec::new();
    while at > last && actions.len() < limit {
        let bundle = (at - 1) / BUNDLE * BUNDLE;
        let (found, _) = engine.actions_from(bundle)?;
        let below = at;
        at = bundle;
        for acted in found.into_iter().rev().filter(|acted| acted.index < below) {
            if actions.len() == limit {
                break;
            }
            at = acted.index;
            if which.fits(&acted) {
                actions.push(ActionJson::of(acted));
            }
        }
        if actions.len() < limit {
            at = bundle;
        }
    }
    Ok(ActionsPage { actions, next: (at > 0).then(|| cursor(at)) })
}

impl ActionJson {
    fn of(Acted { index, action }: Acted) -> ActionJson {
        let erased = action.is_none();
        let stated_at = action.as_ref().map(|action| utc(action.stated_at));
        let (actor, word, subject, detail) = action.map_or((None, None, None, None), |action| {
            (Some(action.actor), Some(action.action), action.subject, action.detail)
        });
        ActionJson { index, actor, action: word, subject, detail, stated_at, erased }
    }
}

/// Entries of the log that are read together.
const BUNDLE: u64 = 256;
/// Entries that one page looks at: those of works are passed over.
const LOOKS_MAX: u64 = 25_600;

//! *Works*: what is registered, newest first or by its words; by a picture, a module of the page asks.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer;
use super::frame::{Frame, grouped, outside};
use super::words::{Words, say};
use crate::access::Caller;
use crate::search::{QUERY_CHARS_MAX, hits};
use crate::service::{Service, Shared};
use crate::told::Entry;
use crate::works::page as page_of;
use crate::{Problem, blocking};

/// Which works.
#[derive(Default, Deserialize)]
pub(super) struct Which {
    /// Words that they have.
    q: Option<String>,
    /// Those registered before this entry.
    before: Option<String>,
}

pub(super) async fn page(
    State(service): State<Shared>,
    caller: Caller,
    frame: Frame,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let Query(which) = which.unwrap_or_default();
    let made = blocking(move || {
        let listed = listed(which, &caller, &service, &frame);
        let page = listed.map(|listed| {
            let w = frame.words();
            Works { w, frame: &frame, script: w.script.json(), listed }
        });
        answer(&frame, page)
    });
    made.await.unwrap_or_else(|status| Problem::from(status).into_response())
}

#[derive(Template)]
#[template(path = "works.html")]
struct Works<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    listed: Listed,
}

/// What is listed.
struct Listed {
    cards: Vec<Card>,
    /// The words that were searched for, and what is said of them.
    query: String,
    found: Option<String>,
    /// Whether these are not the newest.
    is_older: bool,
    older: Option<u64>,
}

/// A registration as it is listed.
struct Card {
    id: String,
    number: String,
    heading: String,
    claimant: Option<String>,
    file: Option<String>,
    picture: Option<String>,
    is_erased: bool,
}

fn listed(
    which: Which,
    caller: &Caller,
    service: &Service,
    frame: &Frame,
) -> Result<Listed, Problem> {
    let w = frame.words();
    let query = which.q.unwrap_or_default().trim().to_owned();
    let before = which.before.and_then(|before| before.parse().ok());
    let (entries, older) = match &*query {
        "" => page_of(before, CARDS, caller, service)?,
        words if words.chars().count() > QUERY_CHARS_MAX => {
            return Err(Problem::bad_request(format!("q may have {QUERY_CHARS_MAX} characters")));
        }
        words => {
            service.make_words_findable();
            (hits(words, FOUND_MAX, caller, service)?, None)
        }
    };
    let found = (!query.is_empty()).then(|| say(w.found, &[&outside(&query)]));
    let cards = entries.into_iter().map(|entry| Card::of(entry, service, w)).collect();
    let is_older = before.is_some() && query.is_empty();
    Ok(Listed { cards, query, found, is_older, older })
}

impl Card {
    fn of(entry: Entry, service: &Service, w: &Words) -> Card {
        let content = entry.work.parse().ok();
        let is_kept = content.is_some_and(|id| {
            service.engine.works.recorded(&id).is_ok_and(|place| place.kept.is_some())
        });
        let is_picture = entry.media_type.is_some_and(|kind| kind.starts_with("image/"));
        let heading = entry.title.as_deref().or(entry.file.as_deref()).unwrap_or(w.unnamed);
        Card {
            heading: outside(heading),
            number: say(w.entry, &[&grouped(entry.index)]),
            claimant: entry.claimant.as_deref().map(outside),
            file: entry.title.and(entry.file.as_deref()).map(outside),
            picture: (is_kept && is_picture)
                .then(|| format!("/v1/works/{}/preview.jpg?side=320", entry.work)),
            is_erased: entry.erased,
            id: entry.work,
        }
    }
}

/// Works on a page, and most that are found by words.
const CARDS: usize = 24;
const FOUND_MAX: usize = 100;

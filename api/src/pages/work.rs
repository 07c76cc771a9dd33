//! *Work*: a work, every claim upon it, and what proves each.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use data_encoding::HEXLOWER;
use timemark_verify::ContentId;

use super::answer;
use super::frame::{Frame, bytes, grouped};
use super::receipt::Seen;
use super::timeline;
use super::words::{AmendingWords, Words, json, say};
use crate::access::Caller;
use crate::problem::Kind;
use crate::service::{Service, Shared};
use crate::works::{self, COUNTED_MAX, registrations};
use crate::{Problem, blocking};

pub(super) async fn page(
    State(service): State<Shared>,
    caller: Caller,
    frame: Frame,
    cid: Result<Path<String>, PathRejection>,
) -> Response {
    let place = match service.place_to_verify().await {
        Ok(place) => place,
        Err(problem) => return answer::<Work>(&frame, Err(problem)),
    };
    let made = blocking(move || {
        let _place = place;
        let seen = cid.map_err(Problem::from);
        let seen = seen.and_then(|Path(cid)| self::seen(&cid, &caller, &service, &frame));
        let page = seen.map(|seen| {
            let (w, a) = (frame.words(), frame.words().amending);
            Work { w, a, frame: &frame, script: json(&a.script), seen }
        });
        answer(&frame, page)
    });
    match made.await {
        Ok(response) => response,
        Err(status) => axum::response::IntoResponse::into_response(Problem::from(status)),
    }
}

#[derive(Template)]
#[template(path = "work.html")]
struct Work<'a> {
    w: &'static Words,
    /// Of claims that are amended.
    a: &'static AmendingWords,
    frame: &'a Frame,
    script: String,
    seen: SeenWork,
}

impl Work<'_> {
    /// What of a claim is corrected, and what it is called here.
    fn fields(&self) -> [(&'static str, &'static str); 5] {
        let Words { title, claimant, created, rights, collection, .. } = self.w;
        [
            ("title", title),
            ("claimant", claimant),
            ("created", created),
            ("rights", rights),
            ("collection", collection),
        ]
    }
}

/// What is shown of a work.
struct SeenWork {
    id: String,
    dag_id: Option<String>,
    heading: String,
    /// Where a small picture of it is.
    picture: Option<String>,
    is_kept: bool,
    media_type: Option<String>,
    length: Option<String>,
    /// Names and values in hex.
    digests: Vec<(&'static str, String)>,
    claims: Vec<Seen>,
    /// Entries whose claims were erased.
    erased: Vec<u64>,
    /// How many registrations are not shown, in words.
    more: Option<String>,
    /// Whether who asks may amend the claims that are shown, and erase them.
    may_amend: bool,
    /// Said where several parties claim it.
    contested: Option<String>,
    timelines: Option<[String; 2]>,
    is_time_to_come: bool,
}

fn seen(cid: &str, caller: &Caller, service: &Service, frame: &Frame) -> Result<SeenWork, Problem> {
    let content: ContentId = cid.parse().map_err(|_| Problem::new(Kind::BadId, "no CID"))?;
    let engine = &service.engine;
    let works::Seen { records, more } = registrations(&content, (0, RECORDS_MAX), caller, service)?;
    let w = frame.words();
    let place = engine.works.recorded(&content).ok();
    let is_kept = place.as_ref().is_some_and(|place| place.kept.is_some());
    let live = || records.iter().filter_map(|r| Some((r.index, r.claim.as_ref()?)));
    let mut claims = Vec::new();
    for (index, claim) in live().take(CLAIMS_MAX) {
        claims.push(Seen::of(index, claim, service, frame)?);
    }
    let first = live().next().map(|(_, claim)| claim);
    let mut digests = vec![("SHA-256", content.sha256_hex())];
    if let Some(claim) = first {
        digests.push(("SHA-512", HEXLOWER.encode(&claim.work.sha512)));
        digests.push(("SM3", HEXLOWER.encode(&claim.work.sm3)));
    }
    let named = claims.iter().find_map(|c| c.title.clone().or_else(|| c.file.clone()));
    let mut parties = BTreeSet::new();
    for (index, claim) in live().filter(|(_, claim)| !claim.is_withdrawal()) {
        // What was corrected or withdrawn is claimed by nobody any more.
        if engine.registry.amended(index).map_err(Problem::internal)?.is_none() {
            parties.insert(claim.claimant.as_deref());
        }
    }
    let words = if more > 0 { w.amending.contested_least } else { w.contested };
    let contested = (parties.len() > 1).then(|| say(words, &[&parties.len()]));
    let not_shown = live().count().saturating_sub(CLAIMS_MAX) + more;
    let not_counted = more >= COUNTED_MAX;
    let rows = match &claims[..] {
        [alone] => alone.rows(frame),
        several => several.iter().map(|claim| claim.row(frame)).collect(),
    };
    let is_drawn = rows.iter().any(|row| row.claimed.is_some() || !row.proven.is_empty());
    let is_picture = first.is_some_and(|claim| claim.media_type.starts_with("image/"));
    Ok(SeenWork {
        id: content.to_string(),
        // Short files are called the same there.
        dag_id: place.map(|place| place.work.dag.to_string()).filter(|dag| *dag != cid),
        heading: named.unwrap_or_else(|| w.unnamed.to_owned()),
        picture: (is_kept && is_picture).then(|| format!("/v1/works/{content}/preview.jpg")),
        is_kept,
        media_type: first.map(|claim| claim.media_type.clone()),
        length: first.map(|claim| length(claim.work.length)),
        digests,
        erased: records.iter().filter(|r| r.claim.is_none()).map(|r| r.index).collect(),
        more: (not_shown > 0).then(|| match not_counted {
            true => say(w.and_so_on, &[&say(w.amending.more_than, &[&grouped(not_shown as u64)])]),
            false => say(w.and_so_on, &[&grouped(not_shown as u64)]),
        }),
        may_amend: caller.may("correct_claim"),
        contested,
        timelines: is_drawn.then(|| timeline::drawings(&rows, frame)),
        is_time_to_come: service.proves_times(),
        claims,
    })
}

/// As people say it and exactly.
fn length(count: u64) -> String {
    match count {
        ..1000 => bytes(count),
        _ => format!("{} ({} B)", bytes(count), grouped(count)),
    }
}

/// Registrations that are read for a page.
const RECORDS_MAX: usize = 200;
/// Claims that are shown with their proofs, each of which is checked for it.
const CLAIMS_MAX: usize = 20;

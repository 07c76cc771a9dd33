//! *Log*: the newest checkpoint, who signs and who watches, how fresh that is, and how to follow it.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use timemark_verify::{Checkpoint, Note, Timestamp, VerifierKey, utc};

use super::answer;
use super::frame::{Frame, grouped, outside};
use super::words::{Words, say};
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

pub(super) async fn page(State(service): State<Shared>, frame: Frame) -> Response {
    let made = blocking(move || {
        let seen = seen(&service, &frame);
        answer(&frame, seen.map(|seen| Log { w: frame.words(), frame: &frame, seen }))
    });
    made.await.unwrap_or_else(|status| Problem::from(status).into_response())
}

#[derive(Template)]
#[template(path = "log.html")]
struct Log<'a> {
    w: &'static Words,
    frame: &'a Frame,
    seen: SeenLog,
}

/// What is shown of the log.
struct SeenLog {
    origin: String,
    size: String,
    root: String,
    note: String,
    keys: Vec<SeenKey>,
    witnesses: Vec<Watcher>,
    authorities: Vec<Watcher>,
    /// The Ed25519 key, as Go's note package reads it.
    go_key: String,
    /// Path of the tile that holds the first entries.
    first_tile: Option<String>,
}

struct SeenKey {
    key: String,
    /// The key, or its name and id where it is too long to be looked at.
    short: String,
    kind: &'static str,
    sizes: String,
}

/// Who vouches for the log, and how fresh that is.
pub(super) struct Watcher {
    pub name: String,
    key: Option<String>,
    url: Option<String>,
    /// Up to which size.
    size: Option<String>,
    /// When, for programs and for people.
    pub time: Option<(String, String)>,
    /// How far that is behind.
    pub behind: Option<String>,
    pub is_behind: bool,
}

fn seen(service: &Service, frame: &Frame) -> Result<SeenLog, Problem> {
    let w = frame.words();
    let (engine, policy) = (&service.engine, &service.policy);
    let newest = engine.log.checkpoint();
    let checkpoint = Checkpoint::of_note(&newest).map_err(Problem::internal)?;
    let (witnesses, authorities) = watchers(service, frame)?;
    Ok(SeenLog {
        origin: outside(&checkpoint.origin),
        size: grouped(checkpoint.size),
        root: HEXLOWER.encode(&checkpoint.root.0),
        note: newest.to_string(),
        keys: policy.logs().iter().map(|log| SeenKey::of(&log.key, &log.sizes, w)).collect(),
        witnesses,
        authorities,
        go_key: engine.log.verifier().to_string(),
        first_tile: match checkpoint.size {
            0 => None,
            size @ 1..256 => Some(format!("/v1/log/tile/0/000.p/{size}")),
            _ => Some("/v1/log/tile/0/000".to_owned()),
        },
    })
}

/// The witnesses and the authorities of the policy.
pub(super) fn watchers(
    service: &Service,
    frame: &Frame,
) -> Result<(Vec<Watcher>, Vec<Watcher>), Problem> {
    let w = frame.words();
    let (engine, policy) = (&service.engine, &service.policy);
    let newest = engine.log.checkpoint();
    let checkpoint = Checkpoint::of_note(&newest).map_err(Problem::internal)?;
    let [cosigned, stamped] = engine.log.newest_endorsed();
    // Who asks right after a round finds the cosignatures on neither but on what was kept; a log may have none at all.
    let cosigned = cosigned.map_or(newest.clone(), |(note, _)| note);
    let watcher = |name: &str, url: &Option<String>, key, seen: Option<(u64, u64)>| Watcher {
        name: outside(name),
        key,
        url: url.as_deref().map(outside),
        size: seen.map(|(size, _)| grouped(size)),
        time: seen.and_then(|(_, time)| time_told(time, frame)),
        behind: seen.map(|(size, _)| match checkpoint.size.saturating_sub(size) {
            0 => w.up_to_date.to_owned(),
            behind => say(w.behind, &[&grouped(behind)]),
        }),
        is_behind: seen.is_some_and(|(size, _)| size < checkpoint.size),
    };
    let witnesses = policy.witnesses().iter().map(|witness| {
        let key = Some(witness.key.short());
        watcher(&witness.name, &witness.url, key, cosigned_by(&witness.key, &cosigned))
    });
    let authorities = policy.authorities().iter().map(|authority| {
        let made = stamped.as_ref().and_then(|(note, tokens)| {
            let size = Checkpoint::of_note(note).ok()?.size;
            let tokens = tokens.iter().filter_map(|t| Timestamp::of_response(t).ok());
            let mut theirs = tokens.filter(|token| {
                token.covers(note.text().as_bytes())
                    && token.check(&authority.authority, &[]).is_ok()
            });
            theirs.next().map(|token| (size, token.time()))
        });
        watcher(authority.authority.name(), &authority.url, None, made)
    });
    Ok((witnesses.collect(), authorities.collect()))
}

/// Size and time of this checkpoint as this key cosigned it, if it did. A cosignature without a time says when nothing.
fn cosigned_by(key: &VerifierKey, note: &Note) -> Option<(u64, u64)> {
    let checkpoint = Checkpoint::of_note(note).ok()?;
    let times = note.signatures_by(key).filter_map(|line| key.check(note, &checkpoint, line).ok());
    times.last().map(|time| (checkpoint.size, time.unwrap_or_default()))
}

fn time_told(seconds: u64, frame: &Frame) -> Option<(String, String)> {
    let time = utc(seconds);
    let words = frame.moment(&time);
    (seconds > 0).then_some((time, words))
}

impl SeenKey {
    fn of(key: &VerifierKey, sizes: &std::ops::RangeInclusive<u64>, w: &Words) -> SeenKey {
        let sizes = match (*sizes.start(), *sizes.end()) {
            (0, u64::MAX) => w.keys_all.to_owned(),
            (from, u64::MAX) => say(w.keys_sizes, &[&grouped(from), &"∞"]),
            (from, to) => say(w.keys_sizes, &[&grouped(from), &grouped(to)]),
        };
        let whole = key.to_string();
        let short = if whole.len() > KEY_CHARS_MAX { key.short() } else { whole.clone() };
        SeenKey { key: whole, short, kind: key.kind().name(), sizes }
    }

    fn is_long(&self) -> bool {
        self.key.len() > KEY_CHARS_MAX
    }
}

/// Longest key that is shown whole at once: those of ML-DSA-44 have 1,300 bytes.
const KEY_CHARS_MAX: usize = 300;

//! *Match*: a suspect beside the work of which it is a copy, with what is known of both, for somebody to decide.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use timemark_review::{
    Act, AllowedDomain, Happened, Match, MatchId, Sighting, Standing, Verdict, host, utc,
};
use timemark_verify::seconds_of_utc;

use super::answer;
use super::both_sides::BothSides;
use super::frame::{Frame, grouped, outside};
use super::review::{called, counted, last_name, name};
use super::words::reviewing::Reviewing;
use super::words::{Words, say};
use crate::access::{Caller, Viewer};
use crate::matches::{looked_at, read_id, tag_of};
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

pub(super) async fn page(
    State(service): State<Shared>,
    caller: Caller,
    frame: Frame,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let place = match service.place_to_verify().await {
        Ok(place) => place,
        Err(problem) => return answer::<Matched>(&frame, Err(problem)),
    };
    let made = blocking(move || {
        let _place = place;
        let id = id.map_err(Problem::from).and_then(|Path(id)| read_id(&id));
        answer(&frame, id.and_then(|id| seen(&id, &caller, &service, &frame)))
    });
    made.await.unwrap_or_else(|status| Problem::from(status).into_response())
}

#[derive(Template)]
#[template(path = "match.html")]
struct Matched<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    id: String,
    /// The entity tag of the match as it is shown, or as it was before.
    seen_tag: String,
    standing: &'static str,
    standing_name: &'static str,
    queue: InQueue,
    heading: String,
    /// The work and the suspect, by what they are.
    sides: [(&'static str, Shown); 2],
    /// How the work lies in the suspect, for the module: the map, and both sizes.
    geometry: Option<[String; 3]>,
    facts: Facts,
    both: BothSides,
    timeline: [String; 2],
    /// Whether what the suspect is called, and where it was met, is told to others alone.
    is_withheld: bool,
    places: Vec<Met>,
    places_told: Option<String>,
    verdicts: [(&'static str, &'static str, &'static str); 4],
    may_decide: bool,
    is_decided: bool,
    may_allow: bool,
    /// The domain that may be put on the list, and what the button says.
    domain: Option<[String; 2]>,
    history: Vec<Event>,
    has_more_history: bool,
}

/// Where the match lies among those that nobody decided.
struct InQueue {
    /// How many lie before it, and how many there are; as the module counts on.
    before: u64,
    all: u64,
    words: String,
    previous: Option<String>,
    next: Option<String>,
    first: Option<String>,
}

/// One of the two sides.
struct Shown {
    name: String,
    /// Under it: who claims it, or on which site it was met.
    below: Option<String>,
    link: Option<String>,
    picture: Option<String>,
}

/// What is known, in words.
struct Facts {
    grade: Option<String>,
    rate: Option<String>,
    interval: Option<String>,
    overlap: Vec<String>,
    transform: Option<String>,
    agreement: Option<String>,
    /// When it was found, where that was after the scan, and that nobody looked at the suspect then.
    rematched: Option<String>,
    by_codes_alone: bool,
}

/// A place where the suspect was met.
struct Met {
    name: String,
    url: Option<String>,
    /// Only what is of the web for certain becomes a link.
    is_link: bool,
    date: Option<String>,
}

/// Something that happened to the match.
struct Event {
    words: String,
    time: String,
    note: Option<String>,
    entry: Option<String>,
}

fn seen<'a>(
    id: &MatchId,
    caller: &Caller,
    service: &Service,
    frame: &'a Frame,
) -> Result<Matched<'a>, Problem> {
    // Before anything is read: whatever changes meanwhile is noticed by whoever decides.
    let tag = tag_of(service, caller, id)?;
    let told = looked_at(id, caller, service)?;
    let found = &told.found;
    let history = service.review.history(id, 0, HISTORY_MAX)?;
    let w = frame.words();
    let r = w.reviewing;
    let may_decide = caller.may("give_verdict");
    let work = &found.finding;
    let picture = |side: &str| format!("/v1/matches/{id}/{side}.jpg");
    let heading = called(&told, frame);
    let both = BothSides::of(&told, caller, service, frame)?;
    let named = work.title.as_deref().or(work.file.as_deref().map(last_name));
    let site = found.url.as_deref().and_then(host);
    let domain = told.places.iter().filter_map(|place| host(place.url.as_deref()?));
    let domain = domain.filter_map(|host| AllowedDomain::read(&host).ok()).next();
    let are_some = found.sightings > told.places.len() as u64;
    let counts = [told.places.len() as u64, found.sightings].map(grouped);
    let may_allow = caller.may("allow_domain");
    Ok(Matched {
        w,
        frame,
        script: r.script.json(),
        id: id.to_string(),
        seen_tag: tag,
        standing: r.standing(found.standing()),
        standing_name: name(found.standing()),
        queue: InQueue::of(found, caller, service, frame)?,
        sides: [
            (
                r.the_work,
                Shown {
                    name: outside(named.unwrap_or(w.unnamed)),
                    below: work.claimant.as_deref().map(|c| say(r.claimed_by, &[&outside(c)])),
                    link: Some(format!("/works/{}", work.work)),
                    picture: (!told.is_undrawn).then(|| picture("work")),
                },
            ),
            (
                r.the_suspect,
                Shown {
                    name: heading.clone(),
                    below: site,
                    link: both.registered.as_ref().map(|_| format!("/works/{}", found.suspect)),
                    picture: found.no_picture.is_none().then(|| picture("suspect")),
                },
            ),
        ],
        heading,
        geometry: geometry(found),
        facts: Facts::of(found, frame),
        timeline: both.drawings(frame),
        both,
        is_withheld: told.is_withheld,
        places_told: are_some.then(|| say(r.places_of, &[&counts[0], &counts[1]])),
        places: told.places.iter().map(|place| Met::of(place, frame)).collect(),
        verdicts: VERDICTS.map(|(verdict, key)| (verdict.name(), r.verdict(verdict), key)),
        may_decide,
        is_decided: found.decision().is_some(),
        may_allow,
        domain: domain.filter(|_| may_allow).map(|domain| {
            let words = say(r.allow_domain, &[&domain]);
            [domain, words]
        }),
        has_more_history: history.next.is_some(),
        history: history.items.iter().rev().map(|event| Event::of(event, frame)).collect(),
    })
}

impl InQueue {
    fn of(
        found: &Match,
        caller: &Caller,
        service: &Service,
        frame: &Frame,
    ) -> Result<InQueue, Problem> {
        let viewer = Viewer::of(caller, service)?;
        let place =
            viewer.looking(|lens| service.review.place(Standing::Open, found.number, lens))?;
        let is_open = found.standing() == Standing::Open;
        let words = match is_open {
            true => {
                let numbers = [place.before + 1, place.all].map(counted);
                say(frame.words().reviewing.place_in_queue, &[&numbers[0], &numbers[1]])
            }
            false => String::new(),
        };
        let path = |id: Option<MatchId>| id.map(|id| format!("/review/{id}"));
        Ok(InQueue {
            before: place.before,
            all: place.all,
            words,
            previous: path(place.previous),
            next: path(place.next),
            first: path(place.first),
        })
    }
}

impl Facts {
    fn of(found: &Match, frame: &Frame) -> Facts {
        let r = frame.words().reviewing;
        let finding = &found.finding;
        let interval = finding.false_match_interval;
        let overlap = [
            finding.overlap.map(|share| say(r.overlap_work, &[&percent(share)])),
            finding.overlap_suspect.map(|share| say(r.overlap_suspect, &[&percent(share)])),
        ];
        let is_exact = finding.method == "exact";
        let agreement = match (finding.inliers, finding.distance) {
            (Some(points), _) => Some(say(r.points, &[&points])),
            (None, Some(bits)) => Some(say(r.bits, &[&bits])),
            _ => is_exact.then(|| r.identical_hint.to_owned()),
        };
        Facts {
            grade: finding.strength.as_deref().map(|grade| r.grade(grade).to_owned()),
            rate: finding.false_match_rate.map(|rate| match interval {
                Some([_, high]) if rate <= 0.0 => say(r.rate_none, &[&one_in(high, r)]),
                _ => say(r.rate, &[&one_in(rate, r)]),
            }),
            interval: interval
                .map(|[low, high]| say(r.rate_interval, &[&small(low), &small(high)])),
            overlap: overlap.into_iter().flatten().collect(),
            transform: finding.transform.as_deref().map(|words| frame.transform(words)),
            agreement,
            rematched: finding.rematched_at.as_deref().map(|time| frame.moment(time)),
            by_codes_alone: finding.by_codes_alone.unwrap_or_default(),
        }
    }
}

impl Met {
    fn of(place: &Sighting, frame: &Frame) -> Met {
        let date = place.date.as_deref();
        let date = date.map(|date| match seconds_of_utc(date) {
            Some(_) => frame.moment(date),
            None => outside(date),
        });
        let captured = frame.words().reviewing.captured;
        Met {
            name: outside(&place.name),
            is_link: place.url.as_deref().is_some_and(is_of_the_web),
            url: place.url.as_deref().map(outside),
            date: date.map(|date| say(captured, &[&date])),
        }
    }
}

/// Whether a URL from outside leads to a site and to nothing else, and is what it looks like.
fn is_of_the_web(url: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '<' | '>' | '\\' | '`');
    host(url).is_some() && url.chars().all(plain) && url.len() <= URL_BYTES_MAX
}

impl Event {
    fn of(happened: &Happened, frame: &Frame) -> Event {
        let w = frame.words();
        let r = w.reviewing;
        let decision = &happened.decision;
        let words = match happened.act {
            Act::Verdict => r.history_given,
            Act::Undo => r.history_undone,
        };
        Event {
            words: say(words, &[&r.verdict(decision.verdict), &outside(&decision.actor)]),
            time: frame.moment(&utc(decision.time)),
            note: decision.note.as_deref().map(outside),
            entry: decision.entry.map(|entry| w.entry_number(&entry)),
        }
    }
}

/// The map and the two sizes as numbers with blanks between them.
fn geometry(found: &Match) -> Option<[String; 3]> {
    found.no_picture.is_none().then_some(())?;
    let geometry = found.geometry.as_ref()?.geometry();
    geometry.map.iter().all(|factor| factor.is_finite()).then_some(())?;
    let numbers = |all: &[f64]| all.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let size = |size: [u32; 2]| numbers(&size.map(f64::from));
    Some([numbers(&geometry.map), size(geometry.work_size), size(geometry.suspect_size)])
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// A small share as people say it: one in so many.
fn one_in(rate: f64, words: &Reviewing) -> String {
    match rate {
        _ if rate <= 0.0 => "0".to_owned(),
        _ if rate > 0.5 => percent(rate),
        _ => say(words.one_in, &[&grouped((1.0 / rate).floor() as u64)]),
    }
}

/// A share with two figures that count.
fn small(share: f64) -> String {
    match share {
        _ if share <= 0.0 => "0".to_owned(),
        _ if share < 1e-4 => format!("{share:.1e}"),
        _ => format!("{:.2}%", 100.0 * share),
    }
}

const VERDICTS: [(Verdict, &str); 4] = [
    (Verdict::Infringing, "I"),
    (Verdict::Licensed, "L"),
    (Verdict::NoMatch, "N"),
    (Verdict::Unsure, "U"),
];
const HISTORY_MAX: usize = 50;
const URL_BYTES_MAX: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::words::ENGLISH;

    #[test]
    fn only_what_leads_to_a_site_becomes_a_link() {
        for (url, is_link) in [
            ("https://shop.example/a.jpg?b=c&d#e", true),
            ("http://127.0.0.1:8080/", true),
            ("javascript:alert(1)//http://a.example/", false),
            ("JaVaScRiPt:alert(1)", false),
            ("data:text/html,<script>", false),
            ("http://shop.example@evil.example/", false),
            ("https://shop.example/\u{202E}gpj.exe", false),
            ("https://shop.example/\"onclick=alert(1)", false),
            ("//shop.example/", false),
            ("record at byte 7", false),
            ("", false),
        ] {
            assert_eq!(is_of_the_web(url), is_link, "{url}");
        }
    }

    #[test]
    fn small_shares_are_said_so_that_they_can_be_imagined() {
        for (rate, words) in [(0.0, "0"), (1.01e-5, "1 in 99,009"), (0.02, "1 in 50"), (0.9, "90%")]
        {
            assert_eq!(one_in(rate, ENGLISH.reviewing), words);
        }
        for (share, words) in [(0.0, "0"), (3.8e-5, "3.8e-5"), (0.0128, "1.28%")] {
            assert_eq!(small(share), words);
        }
    }
}

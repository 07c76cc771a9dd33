//! *Review*: the matches that nobody decided yet, and those with a verdict, as cards.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use timemark_review::{COUNTED_MAX, Filter, MatchId, Standing, Verdict, Wish, host};

use super::answer;
use super::frame::{Frame, grouped, outside};
use super::words::{Words, say};
use crate::access::{Caller, Told, Viewer};
use crate::matches;
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

/// Which matches.
#[derive(Default, Deserialize)]
pub(super) struct Which {
    /// Those that stand so; those that nobody decided where nothing is said.
    state: Option<String>,
    /// Those of this scan.
    scan: Option<u64>,
    /// Those whose suspect was met on this site.
    domain: Option<String>,
    /// Those after this match of the list.
    after: Option<String>,
}

pub(super) async fn page(
    State(service): State<Shared>,
    caller: Caller,
    frame: Frame,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let Query(which) = which.unwrap_or_default();
    let made = blocking(move || answer(&frame, listed(&which, &caller, &service, &frame)));
    made.await.unwrap_or_else(|status| Problem::from(status).into_response())
}

#[derive(Template)]
#[template(path = "review.html")]
struct Queue<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    /// Where to begin, and in words.
    start: Option<[String; 2]>,
    /// Of which scan and which site these are alone, in words.
    part: Option<String>,
    filters: Vec<Choice>,
    cards: Vec<Card>,
    is_open: bool,
    /// Whether these may go into a bundle.
    may_bundle: bool,
    more: Option<String>,
}

/// Matches that stand in a certain way.
struct Choice {
    path: String,
    name: &'static str,
    count: Option<String>,
    is_here: bool,
}

/// A match in short.
pub(super) struct Card {
    pub id: String,
    /// What the suspect is called, and the site where it was met.
    pub name: String,
    pub site: Option<String>,
    pub work: String,
    pub suspect_picture: Option<String>,
    pub work_picture: String,
    pub strength: Option<String>,
    pub transform: Option<String>,
    pub standing: &'static str,
    pub standing_name: &'static str,
    pub met: Option<String>,
    /// Whether it may be chosen for a bundle.
    pub may_bundle: bool,
    /// Why it may not, where others may be.
    pub no_bundle: Option<&'static str>,
}

fn listed<'a>(
    which: &Which,
    caller: &Caller,
    service: &Service,
    frame: &'a Frame,
) -> Result<Queue<'a>, Problem> {
    let w = frame.words();
    let r = w.reviewing;
    let review = &service.review;
    let viewer = Viewer::of(caller, service)?;
    let site = which.domain.as_deref().map(timemark_review::site).transpose()?;
    let all = (which.scan.is_some() || site.is_some()) && which.state.is_none();
    let standing = match which.state.as_deref() {
        None => Standing::Open,
        Some(name) => {
            standing(name).ok_or_else(|| Problem::bad_request("state is that of no match"))?
        }
    };
    let wish = (!all).then_some(Wish::Only(standing));
    let on = site.as_deref().map(|site| viewer.met_on(site, which.scan)).transpose()?;
    let filter = Filter { scan: which.scan, standing: wish, site: on.as_ref(), seen: None };
    let mut rest = Some(start(which, filter, caller, service)?);
    let mut found = Vec::new();
    // One more shows whether there are more.
    for _ in 0..ROUNDS_MAX {
        let Some(after) = rest.filter(|_| found.len() <= CARDS) else { break };
        let wanted = CARDS + 1 - found.len();
        let page = matches::page(filter, after, wanted, &viewer, caller, service)?;
        found.extend(page.items);
        rest = page.next;
    }
    let is_more = found.len() > CARDS || rest.is_some();
    found.truncate(CARDS);
    let counts = viewer.looking(|lens| review.standings(lens))?;
    let open = viewer.looking(|lens| review.place(Standing::Open, 0, lens))?;
    let mut of = which.scan.map_or(String::new(), |scan| format!("&scan={scan}"));
    if let Some(site) = &site {
        of += &format!("&domain={site}");
    }
    let is_part = !of.is_empty();
    let filters = counts.iter().map(|(standing_of, count)| Choice {
        path: format!("/review?state={}{of}", name(*standing_of)),
        name: r.standing(*standing_of),
        count: (!is_part).then(|| counted(*count)),
        is_here: !all && *standing_of == standing,
    });
    // Of what is no copy nothing is to be proved.
    let is_copy = matches!(standing, Standing::Decided(verdict) if verdict != Verdict::NoMatch);
    let may_bundle = !all && is_copy && caller.may("bundle");
    let last = found.last().filter(|_| is_more).map(|told| told.found.id.to_string());
    let cards = found.iter().map(|told| {
        let card = Card::of(told, frame);
        let no_bundle = (may_bundle && told.is_withheld).then_some(r.withheld_original);
        Card { may_bundle: may_bundle && !told.is_withheld, no_bundle, ..card }
    });
    let parts = [
        which.scan.map(|scan| say(r.review_of_scan, &[&scan])),
        site.as_deref().map(|site| say(r.review_of_site, &[&site])),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Ok(Queue {
        w,
        frame,
        script: r.script.json(),
        start: open
            .first
            .map(|id| [format!("/review/{id}"), say(r.review_start, &[&counted(open.all)])]),
        part: is_part.then(|| parts.join(" ")),
        filters: filters.collect(),
        cards: cards.collect(),
        may_bundle,
        is_open: !all && standing == Standing::Open,
        more: last.map(|after| match all {
            true => format!("/review?after={after}{of}"),
            false => format!("/review?state={}&after={after}{of}", name(standing)),
        }),
    })
}

/// Where in the list to begin.
fn start(
    which: &Which,
    filter: Filter<'_>,
    caller: &Caller,
    service: &Service,
) -> Result<u64, Problem> {
    let after = which.after.as_deref().and_then(|id| id.parse::<MatchId>().ok());
    let Some(id) = after else { return Ok(0) };
    let told = matches::seen(&id, caller, service)?;
    match filter.scan.filter(|_| filter.site.is_none()) {
        Some(scan) => Ok(service.review.place_in_scan(scan, &id)?),
        None => Ok(told.found.number),
    }
}

impl Card {
    pub fn of(told: &Told, frame: &Frame) -> Card {
        let w = frame.words();
        let found = &told.found;
        let finding = &found.finding;
        let file = finding.file.as_deref().map(last_name);
        let work = finding.title.as_deref().or(file).unwrap_or(w.unnamed);
        let standing = found.standing();
        Card {
            id: found.id.to_string(),
            name: called(told, frame),
            site: found.url.as_deref().and_then(host),
            work: outside(work),
            suspect_picture: found
                .no_picture
                .is_none()
                .then(|| format!("/v1/matches/{}/suspect.jpg", found.id)),
            work_picture: format!("/v1/matches/{}/work.jpg", found.id),
            strength: finding.strength.as_deref().map(|s| w.reviewing.grade(s).to_owned()),
            transform: finding.transform.as_deref().map(|words| frame.transform(words)),
            standing: w.reviewing.standing(standing),
            standing_name: name(standing),
            met: (found.sightings > 1)
                .then(|| say(w.reviewing.met_more, &[&grouped(found.sightings)])),
            may_bundle: false,
            no_bundle: None,
        }
    }
}

/// What a suspect is called, by the last part of its name.
pub(super) fn called(told: &Told, frame: &Frame) -> String {
    match told.is_withheld {
        true => frame.words().reviewing.withheld.to_owned(),
        false => outside(last_name(&told.found.name)),
    }
}

/// A count that may have been broken off.
pub(super) fn counted(count: u64) -> String {
    let sign = if count == COUNTED_MAX as u64 { "+" } else { "" };
    format!("{}{sign}", grouped(count))
}

/// The last part of a name, which tells most: of a file in a folder, or of a member of an archive.
pub(super) fn last_name(name: &str) -> &str {
    let member = name.rsplit('!').next().filter(|part| !part.is_empty()).unwrap_or(name);
    member.rsplit('/').next().filter(|part| !part.is_empty()).unwrap_or(name)
}

/// How a way to stand is spelled.
pub(super) fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Open => "open",
        Standing::AllowListed => "allow-listed",
        Standing::Decided(verdict) => verdict.name(),
    }
}

fn standing(spelled: &str) -> Option<Standing> {
    let verdicts = [Verdict::Infringing, Verdict::Licensed, Verdict::NoMatch, Verdict::Unsure];
    let mut all = verdicts.map(Standing::Decided).to_vec();
    all.extend([Standing::Open, Standing::AllowListed]);
    all.into_iter().find(|standing| name(*standing) == spelled)
}

const CARDS: usize = 24;
/// How often one page goes on looking for matches that stand as wanted.
const ROUNDS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_told_by_its_last_part() {
        for (name, last) in [
            ("a.jpg", "a.jpg"),
            ("/srv/crawls/a.tar!b/c.jpg", "c.jpg"),
            ("crawl.warc!https://shop.example/", "crawl.warc!https://shop.example/"),
            ("", ""),
            ("!", "!"),
        ] {
            assert_eq!(last_name(name), last);
        }
        for spelled in ["open", "infringing", "licensed", "no-match", "unsure", "allow-listed"] {
            assert_eq!(standing(spelled).map(name), Some(spelled));
        }
        assert_eq!(standing("none"), None);
    }
}

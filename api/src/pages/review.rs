//! *Review*: the matches that nobody decided yet, and those with a verdict, as cards.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use timemark_review::{COUNTED_MAX, Filter, Match, Standing, Verdict, Wish, host};

use super::answer;
use super::frame::{Frame, grouped, outside};
use super::words::{Words, say};
use crate::access::{Access, Caller};
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

/// Which matches.
#[derive(Default, Deserialize)]
pub(super) struct Which {
    /// Those that stand so; those that nobody decided where nothing is said.
    state: Option<String>,
    /// Those of this scan.
    scan: Option<u64>,
    /// Those after this place of the list.
    after: Option<u64>,
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
    of_scan: Option<String>,
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
}

fn listed<'a>(
    which: &Which,
    caller: &Caller,
    service: &Service,
    frame: &'a Frame,
) -> Result<Queue<'a>, Problem> {
    Access::sees_all(caller)?;
    let w = frame.words();
    let r = w.reviewing;
    let review = &service.review;
    let all = which.scan.is_some() && which.state.is_none();
    let standing = match which.state.as_deref() {
        None => Standing::Open,
        Some(name) => {
            standing(name).ok_or_else(|| Problem::bad_request("state is that of no match"))?
        }
    };
    let wish = (!all).then_some(Wish::Only(standing));
    let filter = Filter { scan: which.scan, standing: wish };
    let page = review.matches(filter, which.after.unwrap_or(0), CARDS)?;
    let counts = review.standings()?;
    let open = review.place(Standing::Open, 0)?;
    let of_scan = which.scan.map_or(String::new(), |scan| format!("&scan={scan}"));
    let filters = counts.iter().map(|(of, count)| Choice {
        path: format!("/review?state={}{of_scan}", name(*of)),
        name: r.standing(*of),
        count: which.scan.is_none().then(|| counted(*count)),
        is_here: !all && *of == standing,
    });
    // Of what is no copy nothing is to be proved.
    let is_copy = matches!(standing, Standing::Decided(verdict) if verdict != Verdict::NoMatch);
    let may_bundle = !all && is_copy && caller.may("bundle");
    let cards = page.items.iter().map(|found| Card { may_bundle, ..Card::of(found, frame) });
    Ok(Queue {
        w,
        frame,
        script: r.script.json(),
        start: open
            .first
            .map(|id| [format!("/review/{id}"), say(r.review_start, &[&counted(open.all)])]),
        of_scan: which.scan.map(|scan| say(r.review_of_scan, &[&scan])),
        filters: filters.collect(),
        cards: cards.collect(),
        may_bundle,
        is_open: !all && standing == Standing::Open,
        more: page.next.map(|after| match all {
            true => format!("/review?after={after}{of_scan}"),
            false => format!("/review?state={}&after={after}{of_scan}", name(standing)),
        }),
    })
}

impl Card {
    pub fn of(found: &Match, frame: &Frame) -> Card {
        let w = frame.words();
        let finding = &found.finding;
        let file = finding.file.as_deref().map(last_name);
        let work = finding.title.as_deref().or(file).unwrap_or(w.unnamed);
        let standing = found.standing();
        Card {
            id: found.id.to_string(),
            name: outside(last_name(&found.name)),
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
        }
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

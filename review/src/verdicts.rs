//! What people decide about matches, and take back.

use redb::ReadableTable;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;
use crate::error::ReviewError;
use crate::listing::Page;
use crate::matches::{self, Decision, Match, MatchId, Tables, Verdict};
use crate::review::Review;
use crate::store::{Failure, HISTORY, VERDICTS, parse, to_bytes};

/// Something that happened to a match.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Happened {
    /// Whether a verdict was given or taken back.
    pub act: Act,
    /// What was given or taken back.
    pub decision: Decision,
}

/// What was done with a verdict.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// It was given.
    Verdict,
    /// It was taken back.
    Undo,
}

impl Review {
    /// Has a match be what somebody decided. `entry` is that of the log which tells of it.
    pub fn decide(
        &self,
        id: &MatchId,
        verdict: Verdict,
        note: Option<String>,
        actor: &str,
        entry: Option<u64>,
    ) -> Result<Match, ReviewError> {
        let decision =
            Decision { verdict, note, actor: actor.to_owned(), time: clock::now(), entry };
        let decided = self.change(id, |found| {
            found.decisions.push(decision.clone());
            // Who changes their mind more often cannot go back to the first.
            let surplus = found.decisions.len().saturating_sub(DECISIONS_MAX);
            found.decisions.drain(..surplus);
            Ok(Happened { act: Act::Verdict, decision })
        })?;
        self.forget_rejected()?;
        Ok(decided)
    }

    /// Takes the last verdict back; the one before counts again.
    pub fn undo(
        &self,
        id: &MatchId,
        actor: &str,
        entry: Option<u64>,
    ) -> Result<Match, ReviewError> {
        self.change(id, |found| {
            let last = found.decisions.pop().ok_or(Failure::Refused(ReviewError::NothingToUndo))?;
            let time = clock::now();
            let decision = Decision { actor: actor.to_owned(), time, entry, ..last };
            Ok(Happened { act: Act::Undo, decision })
        })
    }

    /// What happened to a match, oldest first, after that place.
    pub fn history(
        &self,
        id: &MatchId,
        after: u64,
        limit: usize,
    ) -> Result<Page<Happened>, ReviewError> {
        self.store.read(|tx| {
            matches::read(tx, id)?;
            let history = tx.open_table(HISTORY)?;
            let mut page = Page { items: Vec::new(), next: None };
            for pair in
                history.range((id.text(), after.saturating_add(1))..=(id.text(), u64::MAX))?
            {
                if page.items.len() == limit {
                    return Ok(page);
                }
                let (key, happened) = pair?;
                page.items.push(parse(happened.value())?);
                page.next = Some(key.value().1);
            }
            page.next = None;
            Ok(page)
        })
    }

    fn change(
        &self,
        id: &MatchId,
        change: impl FnOnce(&mut Match) -> Result<Happened, Failure>,
    ) -> Result<Match, ReviewError> {
        let found = self.store.write(|tx| {
            let mut tables = Tables::open(tx)?;
            let mut found = tables.get(id.text())?.ok_or(Failure::Refused(ReviewError::NoMatch))?;
            let before = found.standing();
            let happened = change(&mut found)?;
            let mut history = tx.open_table(HISTORY)?;
            let last = history.range((id.text(), 0)..=(id.text(), u64::MAX))?.next_back();
            let place = last.transpose()?.map_or(1, |(key, _)| key.value().1 + 1);
            history.insert((id.text(), place), &to_bytes(&happened)?[..])?;
            let mut verdicts = tx.open_table(VERDICTS)?;
            let number = verdicts.last()?.map_or(1, |last| last.0.value() + 1);
            verdicts.insert(number, (id.text(), place))?;
            tables.put(&found, Some(before))?;
            Ok(found)
        })?;
        self.changed();
        Ok(found)
    }
}

/// Verdicts of one match that can be taken back, one after the other.
const DECISIONS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use timemark_ingest::sources::{Captured, SuspectName};
    use timemark_ingest::{Finding, Method, Outcome, Scanned, Trace};
    use timemark_verify::ContentId;

    use super::*;
    use crate::domains::AllowedDomain;
    use crate::job;
    use crate::listing::{Filter, Wish};
    use crate::matches::Standing;
    use crate::roots::Roots;
    use crate::seen::{Brief, Lens, Met};
    use crate::store::{BRIEFS, SITES};
    use crate::working::take_in;
    use crate::{Job, JobOptions};

    fn finding(work: &str) -> Finding {
        Finding {
            corrected_by: None,
            work: ContentId::of(work.as_bytes()),
            index: 7,
            file: Some(work.to_owned()),
            title: None,
            claimant: None,
            score: 1.0,
            method: Method::Exact,
            distance: None,
            transform: None,
            inliers: None,
            overlap: None,
            alike: None,
            alike_between: None,
            geometry: None,
        }
    }

    fn scanned(bytes: &str, url: Option<&str>, works: &[&str]) -> Scanned {
        let captured = url.map(|url| Captured { url: url.to_owned(), date: String::new() });
        let matches = works.iter().map(|work| finding(work)).collect();
        Scanned {
            name: SuspectName { captured, ..SuspectName::of_file(bytes) },
            content: Some(ContentId::of(bytes.as_bytes())),
            outcome: Arc::new(Outcome::Compared { matches, related: Vec::new() }),
            thumbnail: Some(Ok(b"jpeg".to_vec())),
            trace: Trace::default(),
        }
    }

    fn review(dir: &tempfile::TempDir) -> Review {
        Review::open(dir.path(), Roots::default()).unwrap()
    }

    fn queued(review: &Review) -> u64 {
        let keep = |to: &std::path::Path| std::fs::write(to, "x");
        review.submit_upload(None, "a", 1, 100, JobOptions::default(), keep).unwrap().id
    }

    fn take(review: &Review, id: u64, batch: &[Scanned]) -> Job {
        let taken = review.store.write(|tx| {
            let job = take_in(tx, id, batch, 0, 0.0)?;
            job::put(tx, &job)?;
            Ok(job)
        });
        taken.unwrap()
    }

    fn standing(review: &Review, standing: Standing) -> Vec<Match> {
        let filter = Filter { standing: Some(Wish::Only(standing)), ..Filter::default() };
        review.matches(filter, 0, 100).unwrap().items
    }

    #[test]
    fn the_same_bytes_are_one_match_of_each_work_whoever_meets_them() {
        let dir = tempfile::tempdir().unwrap();
        let review = review(&dir);
        let (first, second) = (queued(&review), queued(&review));
        let told = [
            scanned("a", None, &["one", "two"]),
            scanned("b", None, &["one"]),
            scanned("a", None, &["one", "two"]),
            scanned("c", None, &[]),
        ];
        let counted = take(&review, first, &told);
        assert_eq!((counted.suspects, counted.copies, counted.matches), (4, 3, 3));
        assert_eq!(counted.transforms["identical"], 3);
        assert_eq!(take(&review, second, &told[1..2]).matches, 1);
        let all = review.matches(Filter::default(), 0, 2).unwrap();
        assert_eq!((all.items.len(), all.next), (2, Some(2)));
        let rest = review.matches(Filter::default(), 2, 2).unwrap();
        assert_eq!((rest.items.len(), rest.next), (1, None));
        let filter = |scan| Filter { scan: Some(scan), ..Filter::default() };
        let of = |scan| review.matches(filter(scan), 0, 9).unwrap();
        assert_eq!((of(first).items.len(), of(second).items.len()), (3, 1));
        let (b, places) = review.match_by_id(&of(second).items[0].id).unwrap();
        assert_eq!((b.sightings, places.len(), places[1].scan), (2, 2, second));
        assert_eq!(review.picture(&b.suspect).unwrap().unwrap(), b"jpeg");
        let results = review.results(first, 0, 3).unwrap();
        assert_eq!((results.items.len(), results.next), (3, Some(3)));
        assert_eq!(review.results(first, 3, 3).unwrap().items[0].suspect, "c");
        assert_eq!(review.news(first, 1, 9, None).unwrap().matches.items, of(first).items[1..]);
    }

    #[test]
    fn what_is_undone_brings_the_verdict_before_back_and_all_of_it_stays_known() {
        let dir = tempfile::tempdir().unwrap();
        let review_at = review(&dir);
        let id = queued(&review_at);
        take(&review_at, id, &[scanned("a", None, &["one"])]);
        let id = standing(&review_at, Standing::Open)[0].id.clone();
        assert!(matches!(review_at.undo(&id, "a", None), Err(ReviewError::NothingToUndo)));
        review_at.decide(&id, Verdict::Unsure, None, "a", Some(1)).unwrap();
        review_at.decide(&id, Verdict::Licensed, Some("x".to_owned()), "b", Some(2)).unwrap();
        drop(review_at);
        let review = review(&dir);
        let undone = review.undo(&id, "c", Some(3)).unwrap();
        assert_eq!(undone.standing(), Standing::Decided(Verdict::Unsure));
        assert_eq!(standing(&review, Standing::Decided(Verdict::Unsure)).len(), 1);
        assert!(standing(&review, Standing::Decided(Verdict::Licensed)).is_empty());
        assert_eq!(review.undo(&id, "c", Some(4)).unwrap().standing(), Standing::Open);
        assert_eq!(standing(&review, Standing::Open).len(), 1);
        let history = review.history(&id, 0, 9).unwrap().items;
        let told: Vec<_> =
            history.iter().map(|h| (h.act, h.decision.verdict, h.decision.entry)).collect();
        let expected = [
            (Act::Verdict, Verdict::Unsure, Some(1)),
            (Act::Verdict, Verdict::Licensed, Some(2)),
            (Act::Undo, Verdict::Licensed, Some(3)),
            (Act::Undo, Verdict::Unsure, Some(4)),
        ];
        assert_eq!(told, expected);
        assert_eq!(history[2].decision.actor, "c");
        assert_eq!(review.history(&id, 3, 9).unwrap().items.len(), 1);
    }

    #[test]
    fn a_suspect_goes_a_day_after_the_last_of_its_matches_was_found_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        let review = review(&dir);
        let id = queued(&review);
        let content = ContentId::of(b"a");
        review.suspects.keep(&content, b"a").unwrap();
        take(&review, id, &[scanned("a", None, &["one", "two"])]);
        let path = dir.path().join("suspects");
        let is_kept = || {
            review.forget_rejected().unwrap();
            let shard = path.join(&content.sha256_hex()[..2]);
            shard.join(content.to_string()).is_file()
        };
        let ids: Vec<MatchId> =
            standing(&review, Standing::Open).into_iter().map(|found| found.id).collect();
        let reject = |id: &MatchId, ago: u64| {
            let (actor, time) = ("a".to_owned(), clock::now() - ago);
            let verdict = Verdict::NoMatch;
            let decision = Decision { verdict, note: None, actor, time, entry: None };
            let given = review.change(id, |found| {
                found.decisions.push(decision.clone());
                Ok(Happened { act: Act::Verdict, decision })
            });
            given.unwrap();
        };
        let (hour, day) = (60 * 60, 24 * 60 * 60);
        reject(&ids[0], 2 * day);
        assert!(is_kept(), "it is a copy of another");
        reject(&ids[1], hour);
        assert!(is_kept(), "the verdict may be taken back yet");
        review.undo(&ids[1], "a", None).unwrap();
        reject(&ids[1], day + 1);
        assert!(!is_kept());
        // Met again it is kept again, and goes again, as what was decided stands.
        review.suspects.keep(&content, b"a").unwrap();
        take(&review, id, &[scanned("a", None, &["one", "two"])]);
        assert!(!is_kept());
        // What no match knows is of a crash.
        review.suspects.keep(&ContentId::of(b"b"), b"b").unwrap();
        review.suspects.keep(&content, b"a").unwrap();
        drop(review);
        let _review = super::tests::review(&dir);
        let shards = std::fs::read_dir(&path).unwrap();
        let files = shards.flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap());
        assert_eq!(files.count(), 1, "that of a match stays");
    }

    #[test]
    fn one_place_that_is_not_allowed_keeps_a_match_in_the_queue() {
        let dir = tempfile::tempdir().unwrap();
        let review = review(&dir);
        let id = queued(&review);
        let allow =
            |domain: &str| review.allow(AllowedDomain::new(domain, "a", None).unwrap()).unwrap();
        take(&review, id, &[scanned("a", Some("http://img.shop.example/1"), &["one"])]);
        take(&review, id, &[scanned("b", Some("http://shop-example.org/1"), &["one"])]);
        assert_eq!((allow("shop.example"), allow("shop.exampl.e")), (1, 0));
        assert_eq!(standing(&review, Standing::AllowListed).len(), 1);
        take(&review, id, &[scanned("c", Some("https://shop.example/"), &["one"])]);
        assert_eq!(standing(&review, Standing::AllowListed).len(), 2);
        // Met elsewhere as well, it comes back by itself.
        take(&review, id, &[scanned("c", None, &["one"])]);
        assert_eq!(standing(&review, Standing::AllowListed).len(), 1);
        // What a person decided counts more, and stays when the list changes.
        let a = standing(&review, Standing::AllowListed)[0].id.clone();
        review.decide(&a, Verdict::Infringing, None, "a", None).unwrap();
        assert_eq!(review.disallow("shop.example").unwrap(), 0);
        assert_eq!(allow("shop.example"), 0);
        assert_eq!(review.undo(&a, "a", None).unwrap().standing(), Standing::AllowListed);
        assert_eq!(review.disallow("shop.example").unwrap(), 1);
        assert_eq!(standing(&review, Standing::Open).len(), 3);
        assert!(matches!(review.disallow("shop.example"), Err(ReviewError::NoDomain(_))));
        assert_eq!(review.domains().unwrap().len(), 1);
    }

    #[test]
    fn counts_and_sites_are_told_as_far_as_somebody_sees() {
        let dir = tempfile::tempdir().unwrap();
        let review_at = review(&dir);
        let keep = |to: &std::path::Path| std::fs::write(to, "x");
        let options = JobOptions::default();
        let of_mei = review_at.submit_upload(Some("mei"), "a", 1, 100, options, keep).unwrap().id;
        let other = queued(&review_at);
        let told = [
            scanned("a", Some("http://img.shop.example/1"), &["one", "two"]),
            scanned("b", Some("http://shop.example/2"), &["two"]),
            scanned("c", None, &["one"]),
            scanned("d", Some("http://far.example/"), &["two"]),
        ];
        take(&review_at, of_mei, &told);
        take(&review_at, other, &[scanned("a", Some("http://far.example/"), &["one"])]);
        let briefs_and_sites = |review: &Review| {
            let one = ContentId::of(b"one");
            let lens = |brief: &Brief| brief.work == one && !brief.is_exact;
            let seen = Some(&lens as Lens<'_>);
            let open = review.standings(seen).unwrap()[0];
            assert_eq!(open, (Standing::Open, 2));
            assert_eq!(review.standings(None).unwrap()[0].1, 5);
            assert_eq!(review.seen_places(of_mei, &lens).unwrap(), [1, 4]);
            let filter = Filter { seen, ..Filter::default() };
            let all = review.matches(filter, 0, 9).unwrap();
            assert_eq!((all.items.len(), all.next), (2, None));
            let [a, c] = &all.items[..] else { panic!() };
            let place = review.place(Standing::Open, c.number, seen).unwrap();
            assert_eq!((place.before, place.all), (1, 2));
            assert_eq!(
                (place.previous, place.next, place.first),
                (Some(a.id.clone()), None, Some(a.id.clone()))
            );
            let place = |id: &MatchId| review.place_in_scan(of_mei, id).unwrap();
            assert_eq!((place(&a.id), place(&c.id)), (1, 4));

            let sites = review.sites(of_mei, seen).unwrap();
            assert_eq!(sites.hosts, [("img.shop.example".to_owned(), 1)]);
            assert_eq!((sites.elsewhere, sites.is_cut), (1, false));
            let sites = review.sites(of_mei, None).unwrap();
            assert_eq!(sites.hosts[0], ("img.shop.example".to_owned(), 2));
            assert_eq!((sites.hosts.len(), sites.elsewhere), (3, 1));
            let of = |site, scan, owners, seen| {
                let on = review.met_on(site, scan, owners).unwrap();
                let filter = Filter { site: Some(&on), scan, seen, ..Filter::default() };
                review.matches(filter, 0, 9).unwrap().items.len()
            };
            let on = |site, scan, seen| of(site, scan, None, seen);
            assert_eq!((on("shop.example", None, None), on("shop.example", None, seen)), (3, 1));
            assert_eq!(
                (on("far.example", None, None), on("far.example", Some(of_mei), None)),
                (2, 1)
            );
            assert_eq!((on("example", Some(other), None), on("op.example", None, None)), (1, 0));

            let owners = BTreeSet::from(["mei".to_owned()]);
            let by_mei = |site| of(site, None, Some(&owners), None);
            assert_eq!(
                (by_mei("shop.example"), by_mei("far.example"), by_mei("op.example")),
                (3, 1, 0)
            );
            assert_eq!(of("far.example", None, Some(&BTreeSet::new()), None), 0);
            let met = review.met_by(&a.id, &owners).unwrap();
            assert_eq!((met.sightings, met.scan, met.places.len()), (1, Some(of_mei), 1));
            assert_eq!(review.met_by(&a.id, &BTreeSet::new()).unwrap(), Met::default());
        };
        briefs_and_sites(&review_at);
        // A file of before these were kept is filled in.
        let forgotten = review_at.store.write(|tx| {
            assert!(tx.delete_table(BRIEFS)? && tx.delete_table(SITES)?);
            Ok(())
        });
        forgotten.unwrap();
        drop(review_at);
        briefs_and_sites(&review(&dir));
    }
}

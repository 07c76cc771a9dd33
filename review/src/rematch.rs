//! Works that are registered after a scan are compared with its suspects, by what is kept of those, in the background.
//!
//! A pass takes some of those works and goes through everything that is kept. One that is cut off is made again; what it had
//! found is known by then.

use std::collections::HashSet;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use timemark_ingest::{
    Engine, Finding, Newcomer, Newcomers, Outcome, Thumbnail, beginning, by_codes_alone,
    compare_bytes, exact_finding,
};
use timemark_verify::ContentId;

use crate::clock::{self, utc};
use crate::cursor;
use crate::cut_off::Looking;
use crate::error::ReviewError;
use crate::forget::scrub;
use crate::found::MatchJson;
use crate::job::{self, Job, JobOptions};
use crate::matches::{Meeting, Sighting, Tables};
use crate::priority::give_way;
use crate::result::{GeometryJson, ResultJson};
use crate::review::Review;
use crate::store::{ERASED, Failure, RESULTS, TRACES, damaged, parse, to_bytes};
use crate::traces::{self, Kept};
use crate::warnings::{Failed, Warnings, is_full};
use crate::working::words;

impl Review {
    /// Compares works that are registered with the suspects of earlier scans, until [`Review::stop`]; the calling thread
    /// gives way to others. `tell` learns what went wrong on this side.
    pub fn run_rematching(&self, engine: &Engine, tell: &dyn Fn(&str)) {
        give_way();
        let warnings = Warnings::to(tell);
        let mut last = String::new();
        while !self.is_stopping() {
            let pause = match self.pass(engine, &warnings) {
                Ok(true) => continue,
                Ok(false) => {
                    last.clear();
                    LOOK_INTERVAL
                }
                Err(_) if self.is_stopping() => return,
                Err(error) => {
                    let error = words(&*error);
                    if error != last {
                        tell(&format!("earlier scans are not compared with new works: {error}"));
                    }
                    last = error;
                    RETRY_AFTER
                }
            };
            let control = self.lock();
            if !self.is_stopping() {
                let _ = self.bell.wait_timeout(control, pause);
            }
        }
    }

    /// Compares some of the works that came since, with everything. Whether there may be more at once.
    fn pass(&self, engine: &Engine, warnings: &Warnings<'_>) -> Result<bool, Failed> {
        let end = engine.index.len();
        let Some(from) = self.begin_pass(end)? else { return Ok(false) };
        let (newcomers, next) = Newcomers::of(from, end, engine)?;
        if !newcomers.is_empty() {
            let compared = self.compare_with_all(&newcomers, engine, warnings);
            let noted = self.end_looking();
            if !compared? {
                return Ok(false); // it is to stop
            }
            noted?;
        }
        self.end_pass(next)?;
        self.changed();
        Ok(next < end)
    }

    /// Compares these works with all suspects of which something is kept. Whether that came to its end.
    fn compare_with_all(
        &self,
        newcomers: &Newcomers,
        engine: &Engine,
        warnings: &Warnings<'_>,
    ) -> Result<bool, Failed> {
        let mut pass = Pass::of(self, engine, newcomers, warnings);
        if !self.each_piece(warnings, |job, options, kept| pass.compare(job, options, kept))? {
            return Ok(false);
        }
        // The same bytes may have been told of before those by which they are known.
        if pass.found.is_empty() {
            return Ok(true);
        }
        self.each_piece(warnings, |job, _, kept| pass.join(job, kept))
    }

    /// Hands out what is kept, piece by piece, so that nothing waits for a long look at everything. What is damaged is told
    /// of and left out. Whether that came to its end.
    pub(crate) fn each_piece(
        &self,
        warnings: &Warnings<'_>,
        mut take: impl FnMut(u64, &JobOptions, &Kept) -> Result<(), Failed>,
    ) -> Result<bool, Failed> {
        let (mut after, mut kept) = ((0, 0), Kept::default());
        let mut of_job: Option<(u64, Option<JobOptions>)> = None;
        loop {
            let pieces = self.store.read(|tx| pieces(tx, after))?;
            let Some(((job, first), _)) = pieces.last() else { return Ok(true) };
            after = (*job, *first);
            for ((job, first), piece) in &pieces {
                if self.is_stopping() {
                    return Ok(false);
                }
                let options = match of_job {
                    Some((known, options)) if known == *job => options,
                    _ => {
                        let options = self.job(*job).map(|(job, _)| job.options);
                        warnings.unless_damaged(options.map_err(Failed::from), || {
                            format!("scan {job}")
                        })?
                    }
                };
                of_job = Some((*job, options));
                let Some(options) = options else { continue };
                let each = traces::each(*first, piece, &mut kept, &mut |kept| {
                    let what = || format!("result {} of scan {job}", kept.place);
                    warnings.unless_damaged(take(*job, &options, kept), what)?;
                    Ok::<(), Failed>(())
                });
                let what = || format!("what follows result {first} of scan {job}");
                warnings.unless_damaged(each, what)?;
            }
        }
    }
}

/// A pass is cut off.
#[derive(Debug, thiserror::Error)]
#[error("the service is about to end")]
struct Stopped;

/// The pieces that come next.
fn pieces(tx: &ReadTransaction, after: (u64, u64)) -> Result<Vec<Piece>, Failure> {
    let from = (after.0, after.1 + 1);
    let pieces = tx.open_table(TRACES)?;
    let next = pieces.range(from..)?.take(PIECES_AT_ONCE).map(|pair| {
        let (key, piece) = pair?;
        Ok((key.value(), piece.value().to_vec()))
    });
    next.collect()
}

type Piece = ((u64, u64), Vec<u8>);

/// Works that are compared with all suspects.
struct Pass<'a> {
    review: &'a Review,
    engine: &'a Engine,
    newcomers: &'a Newcomers,
    warnings: &'a Warnings<'a>,
    looking: Looking<'a>,
    /// The contents in which one was found, by the job.
    found: HashSet<(u64, ContentId)>,
    /// How those begin.
    starts: HashSet<(u64, u64)>,
}

/// What a closer look at a suspect gave.
struct Again {
    findings: Vec<Finding>,
    thumbnail: Thumbnail,
    by_codes_alone: bool,
}

impl<'a> Pass<'a> {
    fn of(
        review: &'a Review,
        engine: &'a Engine,
        newcomers: &'a Newcomers,
        warnings: &'a Warnings<'a>,
    ) -> Pass<'a> {
        let (found, starts) = Default::default();
        let looking = Looking::of(review);
        Pass { review, engine, newcomers, warnings, looking, found, starts }
    }

    /// Compares a suspect by what is kept of it.
    fn compare(&mut self, job: u64, options: &JobOptions, kept: &Kept) -> Result<(), Failed> {
        let Some(start) = kept.start else { return Ok(()) };
        let same: Vec<ContentId> =
            self.newcomers.beginning_with(start, kept.entries).copied().collect();
        let radius = options.radius.min(RADIUS_MAX);
        let near = self.newcomers.near(&kept.codes, radius, kept.entries);
        if same.is_empty() && near.is_empty() {
            return Ok(());
        }
        let result = self.review.result(job, kept.place)?;
        let Some(content) = result.content() else { return Ok(()) };
        let works = same.into_iter().filter(|work| *work == content);
        let works: Vec<ContentId> = works.chain(near.iter().map(|near| near.work)).collect();
        if works.is_empty() {
            return Ok(()); // others begin as it does
        }
        let is_known = |work: &ContentId| result.tells_of(&work.to_string());
        // By a pass that was cut off; a closer look may have found another than those at hand.
        let is_later = |found: &MatchJson| found.rematched_at.is_some();
        if works.iter().any(is_known) || result.matches.iter().any(is_later) {
            self.found(job, content);
        }
        if works.iter().all(is_known) {
            return Ok(());
        }
        self.check_goes_on()?;
        let is_looked_at = self.looking.begin(job, kept.place)?;
        if !is_looked_at {
            self.warn(job, &result, "it ended the service each time that it was looked at");
        }
        let again = self.look(job, &result, options, kept, &near, is_looked_at);
        if is_looked_at {
            self.looking.end(job, kept.place)?;
        }
        let Some(again) = again? else { return Ok(()) };
        let is_new = |found: &Finding| {
            !is_known(&found.work) && (found.index >= kept.entries || works.contains(&found.work))
        };
        let findings: Vec<Finding> = again.findings.into_iter().filter(is_new).collect();
        if findings.is_empty() {
            return Ok(());
        }
        let again = Again { findings, ..again };
        self.review.take_in_later(job, kept.place, &content, &again)?;
        self.found(job, content);
        self.review.changed();
        Ok(())
    }

    /// There are many suspects between two looks at whether the service ends.
    fn check_goes_on(&self) -> Result<(), Stopped> {
        if self.review.is_stopping() { Err(Stopped) } else { Ok(()) }
    }

    /// Tells why a suspect is told of by its codes alone, or by less.
    fn warn(&self, job: u64, result: &ResultJson, why: &str) {
        let suspect = &result.suspect;
        self.warnings.say(format!("{suspect:?} of scan {job} is not looked at again: {why}"));
    }

    fn found(&mut self, job: u64, content: ContentId) {
        self.starts.insert((job, beginning(&content)));
        self.found.insert((job, content));
    }

    /// Looks at a suspect as its job does, if it is to be had and that is wanted, or tells what its codes prove; nothing, where
    /// it cannot be told. What fails over it costs itself, for others wait behind it.
    fn look(
        &self,
        job: u64,
        result: &ResultJson,
        options: &JobOptions,
        kept: &Kept,
        near: &[Newcomer],
        is_wanted: bool,
    ) -> Result<Option<Again>, Failed> {
        let Pass { review, engine, .. } = *self;
        let Some(content) = result.content() else { return Ok(None) };
        let content = &content;
        // What lies within an archive is not called as a file is.
        let is_member = result.kept.as_ref().is_some_and(|kept| kept.member);
        let name = if is_member { "" } else { &result.suspect };
        let bytes = || review.suspect_bytes(content, name, engine);
        let mut no_picture = if is_wanted { NOT_TO_BE_HAD } else { NOT_LOOKED_AT };
        if is_wanted && let Some(found) = bytes() {
            let scan_options = options.scan_options();
            let compared = catch_unwind(AssertUnwindSafe(|| {
                compare_bytes(found, content, engine, scan_options)
            }));
            match compared {
                Ok(Ok((Outcome::Compared { matches, .. }, thumbnail))) => {
                    // Before anybody hears of it.
                    if let (false, Some(Ok(_))) = (matches.is_empty(), &thumbnail)
                        && !engine.works.has(content).unwrap_or_default()
                        && let Some(bytes) = bytes()
                    {
                        match review.suspects.keep(content, &bytes) {
                            Err(error) if !is_full(&error) => {
                                let (suspect, why) = (&result.suspect, words(&error));
                                let warning = format!("{suspect:?} is not kept: {why}");
                                self.warnings.say(warning);
                            }
                            kept => kept?,
                        }
                    }
                    let findings = matches;
                    return Ok(Some(Again { findings, thumbnail, by_codes_alone: false }));
                }
                Ok(Ok((Outcome::Undecidable, _))) => return Ok(None),
                // It cannot be looked at, as if it were not there.
                Ok(Ok((Outcome::Error(_), _))) | Err(_) => {}
                // A work cannot be read, or the store is away: what that shows may not be had for long.
                Ok(Err(error)) => {
                    no_picture = NOT_LOOKED_AT;
                    self.warn(job, result, &words(&error));
                }
            }
        }
        let thumbnail = Some(Err(no_picture.to_owned()));
        let failed = |why: &dyn Error| self.warn(job, result, &words(why));
        let exact = exact_finding(content, engine).inspect_err(|error| failed(error));
        if let Some(exact) = exact.ok().flatten() {
            return Ok(Some(Again { findings: vec![exact], thumbnail, by_codes_alone: false }));
        }
        let by_codes = near.iter().filter_map(|near| {
            let found = by_codes_alone(near, &kept.codes, options.radius, engine);
            found.inspect_err(|error| failed(error)).ok().flatten()
        });
        let findings = by_codes.collect();
        Ok(Some(Again { findings, thumbnail, by_codes_alone: true }))
    }

    /// Has a suspect of the same bytes as one in which a work was found be a copy of it as well.
    fn join(&self, job: u64, kept: &Kept) -> Result<(), Failed> {
        if kept.start.is_none_or(|start| !self.starts.contains(&(job, start))) {
            return Ok(());
        }
        let result = self.review.result(job, kept.place)?;
        let content = result.content().filter(|content| self.found.contains(&(job, *content)));
        let Some(content) = content else { return Ok(()) };
        self.check_goes_on()?;
        let (place, now) = (kept.place, clock::now());
        self.review.store.write(|tx| {
            let mut job = job::get(tx, job)?;
            let mut result = read_result(tx, job.id, place)?;
            let told = result.matches.len();
            Tables::open(tx)?.join(&mut job, &content, &mut result, now)?;
            put_back(tx, job, place, result, told)
        })?;
        self.review.changed();
        Ok(())
    }
}

impl Review {
    pub(crate) fn result(&self, job: u64, place: u64) -> Result<ResultJson, ReviewError> {
        self.store.read(|tx| {
            let results = tx.open_table(RESULTS)?;
            let bytes = results.get((job, place))?.ok_or_else(|| no_result(job, place))?;
            parse(bytes.value())
        })
    }

    /// Has works that were found later be matches as all others are.
    fn take_in_later(
        &self,
        job: u64,
        place: u64,
        content: &ContentId,
        again: &Again,
    ) -> Result<(), ReviewError> {
        let now = clock::now();
        self.store.write(|tx| {
            let mut job = job::get(tx, job)?;
            let mut result = read_result(tx, job.id, place)?;
            let told = result.matches.len();
            let sighting = Sighting::of(job.id, &result);
            let erased = tx.open_table(ERASED)?;
            let mut tables = Tables::open(tx)?;
            for found in &again.findings {
                let mut finding = MatchJson {
                    rematched_at: Some(utc(now)),
                    by_codes_alone: again.by_codes_alone.then_some(true),
                    ..MatchJson::copy(found)
                };
                if result.tells_of(&finding.work) {
                    continue;
                }
                scrub(&erased, [&mut finding])?;
                result.matches.push(finding.clone());
                let geometry = found.geometry.as_ref().map(GeometryJson::of);
                let (suspect, thumbnail) = (content, &again.thumbnail);
                let sighting = &sighting;
                let meeting = Meeting { suspect, sighting, finding, geometry, thumbnail };
                tables.meet(&mut job, meeting, now)?;
            }
            drop(tables);
            put_back(tx, job, place, result, told)
        })
    }
}

fn read_result(tx: &WriteTransaction, job: u64, place: u64) -> Result<ResultJson, Failure> {
    let results = tx.open_table(RESULTS)?;
    let bytes = results.get((job, place))?.ok_or_else(|| no_result(job, place))?;
    parse(bytes.value())
}

/// Puts a job and a result back in which more is told than so many matches.
fn put_back(
    tx: &WriteTransaction,
    mut job: Job,
    place: u64,
    mut result: ResultJson,
    told: usize,
) -> Result<(), Failure> {
    let more = (result.matches.len() - told) as u64;
    if more == 0 {
        return Ok(());
    }
    job.recount(&result.status);
    result.becomes_match();
    tx.open_table(RESULTS)?.insert((job.id, place), &to_bytes(&result)?[..])?;
    cursor::add_found(tx, more)?;
    job::put(tx, &job)
}

fn no_result(job: u64, place: u64) -> Failure {
    damaged(format!("result {place} of scan {job} is missing"))
}

impl ResultJson {
    /// What the suspect is, if its bytes could be read.
    fn content(&self) -> Option<ContentId> {
        self.kept.as_ref()?.content.as_deref()?.parse().ok()
    }
}

/// How often somebody looks whether there is something new.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait where the disk failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Pieces that are read at a time: a megabyte.
const PIECES_AT_ONCE: usize = 16;
/// Beyond it so much is near that each new work would have everything looked at again.
const RADIUS_MAX: u32 = 64;
const NOT_TO_BE_HAD: &str = "it was not to be had any more when it was found to be a copy";
const NOT_LOOKED_AT: &str = "it could not be looked at again when it was found to be a copy";

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use timemark_ingest::sources::SuspectName;
    use timemark_ingest::{Method, Scanned, Trace};

    use super::*;
    use crate::listing::Filter;
    use crate::roots::Roots;
    use crate::working::take_in;

    pub(crate) fn review() -> (tempfile::TempDir, Review, u64) {
        let dir = tempfile::tempdir().unwrap();
        let review = Review::open(dir.path(), Roots::default()).unwrap();
        let keep = |to: &std::path::Path| std::fs::write(to, "x");
        let job = review.submit_upload(None, "a", 1, 100, JobOptions::default(), keep).unwrap();
        (dir, review, job.id)
    }

    pub(crate) fn scanned(bytes: &str, entries: u64, is_repeat: bool) -> Scanned {
        Scanned {
            name: SuspectName::of_file(bytes),
            content: Some(ContentId::of(bytes.as_bytes())),
            outcome: Arc::new(Outcome::CLEAR),
            thumbnail: None,
            trace: Trace { entries, is_repeat, ..Trace::default() },
        }
    }

    pub(crate) fn take(review: &Review, id: u64, batch: &[Scanned]) -> Job {
        let taken = review.store.write(|tx| {
            let job = take_in(tx, id, batch, 0, 0.0)?;
            job::put(tx, &job)?;
            Ok(job)
        });
        taken.unwrap()
    }

    /// A work that was found by codes alone.
    fn again(work: &str, index: u64) -> Again {
        let finding = Finding {
            corrected_by: None,
            work: ContentId::of(work.as_bytes()),
            index,
            file: None,
            title: None,
            claimant: None,
            score: 0.9,
            method: Method::Code(timemark_vision::Kind::Pdq),
            distance: Some(3),
            transform: Some("mirrored left to right".to_owned()),
            inliers: None,
            overlap: None,
            alike: None,
            alike_between: None,
            geometry: None,
        };
        let thumbnail = Some(Err(NOT_TO_BE_HAD.to_owned()));
        Again { findings: vec![finding], thumbnail, by_codes_alone: true }
    }

    #[test]
    fn what_is_found_later_is_a_match_once_and_of_the_same_bytes_wherever_they_are_met() {
        let (_dir, review, id) = review();
        take(&review, id, &[scanned("a", 5, false), scanned("b", 5, false)]);
        let content = ContentId::of(b"a");
        for _ in 0..2 {
            review.take_in_later(id, 1, &content, &again("work", 7)).unwrap();
        }
        let job = review.job(id).unwrap().0;
        assert_eq!((job.suspects, job.copies, job.matches), (2, 1, 1));
        assert_eq!(job.transforms["mirrored"], 1);
        let filter = Filter { scan: Some(id), ..Filter::default() };
        let found = || review.matches(filter, 0, 9).unwrap().items;
        assert_eq!((found().len(), found()[0].sightings), (1, 1));
        assert_eq!(found()[0].no_picture.as_deref(), Some(NOT_TO_BE_HAD));
        assert_eq!(found()[0].finding.by_codes_alone, Some(true));
        let result = review.result(id, 1).unwrap();
        assert_eq!((&*result.status, result.matches.len()), ("match", 1));
        assert!(result.matches[0].rematched_at.is_some());
        assert_eq!(review.result(id, 2).unwrap().status, "clear");
        // They come again, in the same job and in another, which compared them by itself.
        let counted = take(&review, id, &[scanned("a", 5, true), scanned("b", 5, true)]);
        assert_eq!((counted.copies, counted.matches), (2, 1));
        assert_eq!(found()[0].sightings, 2);
        assert_eq!(review.result(id, 3).unwrap().matches, result.matches);
        let keep = |to: &std::path::Path| std::fs::write(to, "x");
        let other = review.submit_upload(None, "a", 1, 100, JobOptions::default(), keep).unwrap();
        assert_eq!(take(&review, other.id, &[scanned("a", 9, true)]).copies, 0);
        review.take_in_later(other.id, 1, &content, &again("work", 7)).unwrap();
        assert_eq!((found().len(), found()[0].sightings, found()[0].number), (1, 3, 1));
        assert_eq!(review.last_found().unwrap(), 1, "nobody hears of it twice");
        let told = review.found_from(1, 9).unwrap();
        assert!(told.len() == 1 && told[0].1.finding.rematched_at.is_some());
        assert_eq!(review.rematching().unwrap().found, 2);
        // What was seen is told rather than what codes say; how it came to be known stays.
        let seen =
            Again { by_codes_alone: false, thumbnail: Some(Ok(vec![1])), ..again("work", 7) };
        take(&review, other.id, &[scanned("a", 9, false)]);
        review.take_in_later(other.id, 2, &content, &seen).unwrap();
        let after = found().remove(0);
        assert_eq!((after.finding.by_codes_alone, after.no_picture), (None, None));
        assert_eq!(after.finding.rematched_at, result.matches[0].rematched_at);
        take(&review, other.id, &[scanned("a", 9, false)]);
        review.take_in_later(other.id, 3, &content, &again("work", 7)).unwrap();
        assert_eq!(found()[0].finding.by_codes_alone, None);
        assert!(found()[0].no_picture.is_none());
    }

    #[test]
    fn what_had_too_little_detail_or_could_not_be_read_counts_as_a_copy_alone() {
        let (_dir, review, id) = review();
        let outcomes = [Outcome::Undecidable, Outcome::Error("x".to_owned())];
        let batch = outcomes.map(|o| Scanned { outcome: Arc::new(o), ..scanned("a", 5, false) });
        let job = take(&review, id, &batch);
        assert_eq!((job.undecidable, job.errors, job.copies), (1, 1, 0));
        for (place, status, error) in [(1, "undecidable", None), (2, "error", Some("x"))] {
            review.take_in_later(id, place, &ContentId::of(b"a"), &again("work", 7)).unwrap();
            let result = review.result(id, place).unwrap();
            assert_eq!((&*result.status, result.error), ("match", None));
            let before = result.kept.unwrap().before.unwrap();
            assert_eq!((&*before.status, before.error.as_deref()), (status, error));
        }
        // Who does not see the work sees no count change.
        let job = review.job(id).unwrap().0;
        assert_eq!((job.undecidable, job.errors, job.copies, job.suspects), (1, 1, 2, 2));
    }
}

//! The pages of a scan: every match beside its work, so that a person can decide. A hundred suspects a page, so that a
//! browser copes however many there are.
//!
//! What counts as a match is decided before; this only shows it, whatever the files are called.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use askama::Template;
use data_encoding::BASE64;
use timemark_ingest::{Engine, Finding, Method, Outcome, Strength, Summary};
use timemark_review::ResultJson;
use timemark_review::drawing::{self, Drawing};
use timemark_verify::{ContentId, Fingerprint};
use timemark_vision::{Kind, Overlap};

use super::{Report, THUMBNAILS};
use crate::outcome::{error_words, legible, utc};

/// Writes `index.html` and as many pages more as it takes, and returns the path of the first.
pub(super) fn write(
    report: &Report,
    engine: &Engine,
    summary: &Summary,
    [seconds, per_second]: [f64; 2],
) -> Result<PathBuf> {
    let mut listed = Listed::of(report)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let pages = listed.cards().div_ceil(CARDS_A_PAGE).max(1);
    let mut first = None;
    for number in 1..=pages {
        let seen = listed.page(number, report)?;
        let thumbnails = draw(&seen.pictures(), &report.dir, engine);
        let written = utc(now);
        let (seen, thumbnails) = (&seen, &thumbnails);
        let page = Page { seen, thumbnails, summary, seconds, per_second, written, number, pages };
        let path = report.save(&file_name(&number), |file| {
            let mut file = BufWriter::new(file);
            page.write_into(&mut file)?;
            Ok(file.flush()?)
        })?;
        first.get_or_insert(path);
    }
    // Of an earlier report that had more.
    let more = (pages + 1..).map(|number| report.dir.join(file_name(&number)));
    more.take_while(|path| std::fs::remove_file(path).is_ok()).for_each(drop);
    first.ok_or_else(|| anyhow::anyhow!("there is no page"))
}

fn file_name(number: &usize) -> String {
    if *number == 1 { FIRST.to_owned() } else { format!("page-{number}.html") }
}

/// Where in the results everything is that pages show, in the order in which they show it.
#[derive(Default)]
struct Listed {
    /// Places of suspects that are copies, best first.
    matches: Vec<(f64, u64)>,
    /// Of those that are copies of nothing and share elements with works.
    related: Vec<(f64, u64)>,
    /// Names of the first that could not be told, and how many more there are.
    undecidable: Vec<String>,
    undecidable_more: usize,
    /// The first that could not be compared, with the reason.
    errors: Vec<(String, String)>,
    errors_more: usize,
}

impl Listed {
    fn of(report: &Report) -> Result<Listed> {
        let mut listed = Listed::default();
        report.each(|result, place| {
            let score = |found: &[crate::outcome::MatchJson]| found.first().map(|best| best.score);
            match (&*result.status, score(&result.matches), score(&result.related)) {
                ("undecidable", ..) if listed.undecidable.len() < ROWS_MAX => {
                    listed.undecidable.push(result.suspect);
                }
                ("undecidable", ..) => listed.undecidable_more += 1,
                ("error", ..) if listed.errors.len() < ROWS_MAX => {
                    listed.errors.push((result.suspect, result.error.unwrap_or_default()));
                }
                ("error", ..) => listed.errors_more += 1,
                (_, Some(score), _) => listed.matches.push((score, place)),
                (_, None, Some(score)) => listed.related.push((score, place)),
                (_, None, None) => {}
            }
            Ok(())
        })?;
        listed.undecidable.sort();
        listed.errors.sort();
        for places in [&mut listed.matches, &mut listed.related] {
            places.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        }
        Ok(listed)
    }

    fn cards(&self) -> usize {
        self.matches.len() + self.related.len()
    }

    /// What the page with this number shows, from 1 on.
    fn page(&mut self, number: usize, report: &Report) -> Result<Seen> {
        let from = (number - 1) * CARDS_A_PAGE;
        let compared = |places: &[(f64, u64)]| -> Result<Vec<Compared>> {
            places.iter().map(|(_, place)| Compared::of(&report.at(*place)?)).collect()
        };
        let cut = |places: &[(f64, u64)], before: usize| -> Result<Cards> {
            let first = from.saturating_sub(before).min(places.len());
            let end = (from + CARDS_A_PAGE).saturating_sub(before).min(places.len());
            Ok(Cards { first, of: places.len(), compared: compared(&places[first..end])? })
        };
        let matches = cut(&self.matches, 0)?;
        let related = cut(&self.related, self.matches.len())?;
        let mut seen = Seen { matches, related, ..Seen::default() };
        if number == 1 {
            seen.undecidable = std::mem::take(&mut self.undecidable);
            seen.errors = std::mem::take(&mut self.errors);
            (seen.undecidable_more, seen.errors_more) = (self.undecidable_more, self.errors_more);
        }
        Ok(seen)
    }
}

/// What a page shows.
#[derive(Default)]
struct Seen {
    matches: Cards,
    related: Cards,
    undecidable: Vec<String>,
    undecidable_more: usize,
    errors: Vec<(String, String)>,
    errors_more: usize,
}

/// Some of many suspects.
#[derive(Default)]
struct Cards {
    /// How many come before.
    first: usize,
    of: usize,
    compared: Vec<Compared>,
}

impl Seen {
    /// Every picture on the page, each once.
    fn pictures(&self) -> Vec<Picture> {
        let mut pictures = BTreeSet::new();
        for compared in self.matches.compared.iter().chain(&self.related.compared) {
            pictures.extend(compared.picture());
            pictures.extend(compared.found().map(|finding| Picture::Work(finding.work)));
        }
        pictures.into_iter().collect()
    }
}

/// A suspect and the works it is a copy of or shares elements with, best first.
struct Compared {
    suspect: String,
    /// The id of its bytes, under which its thumbnail lies; or why there is none.
    thumbnail: Result<ContentId, String>,
    matches: Vec<Finding>,
    related: Vec<Finding>,
}

impl Compared {
    fn of(result: &ResultJson) -> Result<Compared> {
        let (matches, related) = match result.outcome()? {
            Outcome::Compared { matches, related } => (matches, related),
            _ => (Vec::new(), Vec::new()),
        };
        let kept = result.kept.as_ref();
        let content = kept.and_then(|kept| kept.content.as_deref()?.parse().ok());
        let no_picture = kept.and_then(|kept| kept.no_picture.clone());
        let thumbnail = match (content, no_picture) {
            (Some(content), None) => Ok(content),
            (_, reason) => Err(reason.unwrap_or_default()),
        };
        let captured = result.date.as_ref().map(|date| format!(" (captured {date})"));
        let suspect = format!("{}{}", result.suspect, captured.unwrap_or_default());
        Ok(Compared { suspect, thumbnail, matches, related })
    }

    fn picture(&self) -> Option<Picture> {
        self.thumbnail.as_ref().ok().map(|content| Picture::Suspect(*content))
    }

    /// What of it is shown: the best of both lists.
    fn found(&self) -> impl Iterator<Item = &Finding> {
        self.matches.iter().take(FINDINGS_MAX).chain(self.related.iter().take(FINDINGS_MAX))
    }
}

/// What is to be shown small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Picture {
    Suspect(ContentId),
    Work(ContentId),
}

/// A JPEG in base64, or why there is none.
type Thumbnail = Result<String, String>;
type Thumbnails = HashMap<Picture, Thumbnail>;

/// Draws works on all cores, as the scan did: the same limits hold. Suspects were drawn when they were compared.
fn draw(pictures: &[Picture], dir: &Path, engine: &Engine) -> Thumbnails {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut drawn = Vec::new();
        while let Some(&picture) = pictures.get(next.fetch_add(1, Ordering::Relaxed)) {
            let thumbnail = match picture {
                Picture::Suspect(id) => drawn_before(dir, &id),
                Picture::Work(id) => engine.works.get(&id).map_err(Into::into).and_then(thumbnail),
            };
            drawn.push((picture, thumbnail.map_err(error_words)));
        }
        drawn
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(pictures.len());
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        // Should one panic, its pictures are missing from the page, which is still worth having.
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

fn drawn_before(dir: &Path, suspect: &ContentId) -> Result<String> {
    let path = dir.join(THUMBNAILS).join(format!("{suspect}.jpg"));
    // A suspect that came before and could not be drawn has none either.
    ensure!(path.exists(), "it could not be drawn");
    Ok(BASE64.encode(&std::fs::read(path)?))
}

fn thumbnail(file: impl Read) -> Result<String> {
    Ok(BASE64.encode(&timemark_ingest::preview(file, THUMBNAIL_SIDE_MAX)?))
}

/// What the template draws on. It escapes every text: file names are hostile.
#[derive(Template)]
#[template(path = "report/page.html", whitespace = "minimize")]
struct Page<'a> {
    seen: &'a Seen,
    thumbnails: &'a Thumbnails,
    summary: &'a Summary,
    seconds: f64,
    per_second: f64,
    written: String,
    /// Which of how many pages.
    number: usize,
    pages: usize,
}

impl Page<'_> {
    fn clear(&self) -> u64 {
        let Summary { suspects, matches, undecidable, errors, .. } = self.summary;
        suspects.saturating_sub(matches + undecidable + errors)
    }

    /// Made one after the other: drawings of all would fill the memory.
    fn cards<'a>(&'a self, some: &'a Cards, name: &'static str) -> impl Iterator<Item = Card<'a>> {
        let numbered = some.compared.iter().zip(some.first + 1..);
        numbered.map(move |(compared, number)| self.card(compared, name, number, some.of))
    }

    /// The numbers of pages to go to: the first, the last, and those around this one.
    fn nearby(&self) -> Vec<usize> {
        let near = |page: &usize| page.abs_diff(self.number) < PAGES_NEARBY;
        (1..=self.pages).filter(|page| [1, self.pages].contains(page) || near(page)).collect()
    }

    fn is_shown(&self, page: &usize) -> bool {
        *page == self.number
    }

    /// Where the card with this number of its kind is, from this page.
    fn link(&self, name: &str, number: &usize) -> String {
        let before = if name == "match" { 0 } else { self.seen.matches.of };
        let page = (before + number - 1) / CARDS_A_PAGE + 1;
        let file = if page == self.number { String::new() } else { file_name(&page) };
        format!("{file}#{name}-{number}")
    }

    fn card<'a>(
        &'a self,
        compared: &'a Compared,
        name: &'static str,
        number: usize,
        of: usize,
    ) -> Card<'a> {
        let Compared { suspect, matches, related, .. } = compared;
        let thumbnail = |picture| self.thumbnails.get(&picture);
        let suspect_thumbnail = compared.picture().and_then(thumbnail);
        let suspect_id = format!("{name}-{number}-suspect");
        let mut defined = String::new();
        let mut shown = compared.found().enumerate().map(|(i, work)| {
            let work_thumbnail = thumbnail(Picture::Work(work.work));
            let work_id = format!("{name}-{number}-work-{i}");
            let mut drawing = None;
            if let (Some(geometry), Some(Ok(suspect_jpeg)), Some(Ok(work_jpeg))) =
                (&work.geometry, suspect_thumbnail, work_thumbnail)
            {
                drawing = drawing::draw(geometry, &work_id, &suspect_id);
                if drawing.is_some() {
                    if defined.is_empty() {
                        defined = drawing::define(&suspect_id, suspect_jpeg);
                    }
                    defined.push_str(&drawing::define(&work_id, work_jpeg));
                }
            }
            let strength = work.strength().filter(|_| i < matches.len()).map(strength_words);
            Shown { work, strength, thumbnail: work_thumbnail, drawing }
        });
        let copies: Vec<_> = shown.by_ref().take(matches.len().min(FINDINGS_MAX)).collect();
        let sharing: Vec<_> = shown.collect();
        let unlisted = (matches.len() - copies.len()) + (related.len() - sharing.len());
        let defined = (!defined.is_empty()).then_some(defined);
        Card { name, number, of, suspect, suspect_thumbnail, copies, sharing, unlisted, defined }
    }
}

/// One suspect on the page.
struct Card<'a> {
    /// Begins its ids.
    name: &'static str,
    number: usize,
    of: usize,
    suspect: &'a str,
    suspect_thumbnail: Option<&'a Thumbnail>,
    copies: Vec<Shown<'a>>,
    sharing: Vec<Shown<'a>>,
    /// Works that were found and are not shown.
    unlisted: usize,
    /// The pictures that its drawings refer to.
    defined: Option<String>,
}

impl Card<'_> {
    /// The work that is shown unfolded.
    fn best(&self) -> Option<&Shown<'_>> {
        self.copies.first().or(self.sharing.first())
    }

    /// What is folded: works it is a copy of, and works it shares elements with.
    fn folded(&self) -> (&[Shown<'_>], &[Shown<'_>]) {
        match (&self.copies[..], &self.sharing[..]) {
            ([], [_, sharing @ ..]) => (&[], sharing),
            ([_, copies @ ..], sharing) => (copies, sharing),
            ([], []) => (&[], &[]),
        }
    }
}

/// A work beside a suspect.
struct Shown<'a> {
    work: &'a Finding,
    /// Of a copy, how strong a match it is, where that was measured.
    strength: Option<String>,
    thumbnail: Option<&'a Thumbnail>,
    drawing: Option<Drawing>,
}

fn method_words(finding: &Finding) -> String {
    let code = match finding.method {
        Method::Exact => return "the same bytes".to_owned(),
        Method::Keypoints | Method::Neural => {
            let places = u64::from(finding.inliers.unwrap_or_default());
            let proposed = match finding.method {
                Method::Neural => "proposed by a model, shown by keypoints",
                _ => "by keypoints",
            };
            return format!("{proposed}: {} places agree", grouped(&places));
        }
        Method::Code(Kind::Pdq) => "by the code of the whole picture (PDQ)",
        Method::Code(Kind::Gradient) => "by the code of the whole picture (gradient)",
        Method::Code(Kind::Dct) => "by the code of the whole picture (DCT)",
    };
    match finding.distance {
        Some(bits) => format!("{code}: {bits} of {} bits differ", Fingerprint::BITS),
        None => code.to_owned(),
    }
}

/// How strong a match is, and what that was counted on.
fn strength_words(strength: Strength) -> String {
    let grade = strength.grade;
    let [_, most] = strength.false_match_interval();
    format!(
        "{grade}: as much is shared with any of {} works by {} of {} pictures that are no copies (at most {:.2} %, 95 % confidence)",
        grouped(&u64::from(strength.works)),
        grouped(&u64::from(strength.reached)),
        grouped(&u64::from(strength.suspects)),
        100.0 * most,
    )
}

fn overlap_words(overlap: &Overlap) -> String {
    let [work, suspect] = [overlap.work, overlap.suspect].map(|share| match share * 100.0 {
        some @ 0.0..1.0 if some > 0.0 => "less than 1 %".to_owned(),
        percent => format!("{percent:.0} %"),
    });
    format!("{work} of the work, {suspect} of the suspect")
}

/// 1284410 as 1 284 410.
fn grouped(number: &u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join("\u{202F}") // a narrow space that does not break
}

/// What the first page is called.
pub(super) const FIRST: &str = "index.html";
pub(crate) use timemark_review::THUMBNAIL_SIDE_MAX;
/// Suspects shown on a page.
const CARDS_A_PAGE: usize = 100;
/// Pages before and after one that it leads to.
const PAGES_NEARBY: usize = 10;
/// Rows in the tables of suspects that could not be told or compared; `results.csv` has all.
const ROWS_MAX: usize = 1000;
/// Works shown for one suspect.
const FINDINGS_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{about, scanned};

    fn seen(report: &Report) -> Seen {
        Listed::of(report).unwrap().page(1, report).unwrap()
    }

    fn compared(matches: &[Finding], related: &[Finding]) -> Outcome {
        Outcome::Compared { matches: matches.to_vec(), related: related.to_vec() }
    }

    fn render(seen: &Seen, thumbnails: &Thumbnails, summary: &Summary, written: &str) -> String {
        let written = written.to_owned();
        let (number, pages) = (1, 1);
        Page { seen, thumbnails, summary, seconds: 0.5, per_second: 2468.0, written, number, pages }
            .render()
            .unwrap()
    }

    /// A page over two matches, one undecidable and one error, with all names hostile.
    fn page() -> String {
        let work = |text: &str, score, method, distance, transform: Option<&str>| Finding {
            work: ContentId::of(text.as_bytes()),
            index: 41,
            corrected_by: None,
            file: Some(format!("works/<b>{text}</b>\u{202E}gpj.exe")),
            title: Some("<em>title".to_owned()),
            claimant: Some("<em>claimant".to_owned()),
            score,
            method,
            distance,
            transform: transform.map(str::to_owned),
            inliers: None,
            overlap: None,
            alike: None,
            alike_between: None,
            geometry: None,
        };
        let pdq = Method::Code(Kind::Pdq);
        let near = work("near", 0.9, pdq, Some(14), Some("mirrored left to right"));
        let far = work("far", 0.6, pdq, Some(50), None);
        let exact = Finding { file: None, ..work("same", 1.0, Method::Exact, None, None) };
        let dir = tempfile::tempdir().unwrap();
        let mut report = Report::open(dir.path(), &about(), false).unwrap();
        let copy = "in/<script>alert(1)</script>\"'&.jpg";
        for (suspect, outcome) in [
            (copy, compared(&[near.clone(), far], &[])),
            ("in/same 100%.jpg", compared(&[exact], &[])),
            ("in/clear.jpg", Outcome::CLEAR),
            ("in/<i>flat.png", Outcome::Undecidable),
            ("in/<i>cut.png", Outcome::Error("<u>cut short".to_owned())),
        ] {
            let scanned = scanned(suspect, outcome);
            report.add(&scanned, ResultJson::of(&scanned)).unwrap();
        }
        let seen = seen(&report);
        assert_eq!(seen.pictures().len(), 5);
        let thumbnails = HashMap::from([
            (Picture::Suspect(ContentId::of(copy.as_bytes())), Ok("c3VzcGVjdA==".to_owned())),
            (Picture::Work(near.work), Err("<s>gone".to_owned())),
        ]);
        let summary = Summary { suspects: 1234, matches: 2, undecidable: 1, errors: 1, skipped: 1 };
        render(&seen, &thumbnails, &summary, "2026-11-22T08:14:09Z")
    }

    #[test]
    fn everything_is_on_the_page() {
        let page = page();
        for expected in [
            "2 of 1\u{202F}234 suspects",
            ">1\u{202F}230</dd>",
            "2468 suspects per second",
            r#"src="data:image/jpeg;base64,c3VzcGVjdA==""#,
            "(PDQ): 14 of 256 bits differ",
            "mirrored left to right",
            "1 further registered work<",
            "the same bytes",
            "same 100%.jpg",
            "(claim erased)",
            "%E2%80%AEgpj.exe",
            &ContentId::of(b"far").to_string(),
            "too little detail",
            "not proof of infringement",
        ] {
            assert!(page.contains(expected), "{expected} is missing");
        }
        assert!(page.find("the same bytes") < page.find("(PDQ): 14"), "best first");
    }

    #[test]
    fn no_name_becomes_markup_and_nothing_is_fetched() {
        let page = page();
        assert_eq!(page.matches("<script").count(), 1);
        for forbidden in
            ["alert(1)</", "<b>near", "<i>", "<u>", "<s>", "\u{202E}", "http:", "https:"]
        {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(page.matches("src=").count(), page.matches("src=\"data:").count());
    }

    /// One suspect that is a copy of a work and shares elements with another, one that only shares: as they
    /// lie on the works, except for a map that cannot be drawn.
    fn explained() -> String {
        let work = |text: &str, map: [f64; 6]| Finding {
            work: ContentId::of(text.as_bytes()),
            index: 7,
            corrected_by: None,
            file: Some(format!("works/<b>{text}")),
            title: None,
            claimant: None,
            score: 0.8,
            method: Method::Keypoints,
            distance: None,
            transform: None,
            inliers: Some(1420),
            overlap: Some(Overlap { work: 0.391, suspect: 0.004 }),
            alike: Some(0.9),
            alike_between: None,
            geometry: Some(timemark_vision::Geometry {
                map,
                work_size: [640, 480],
                suspect_size: [480, 640],
                joined: vec![[[5.0, 6.0], [7.0, 8.0]]; 3],
            }),
        };
        let upright = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let near = work("near", upright);
        let (far, flat) = (work("far", upright), work("flat", [0.0; 6]));
        let dir = tempfile::tempdir().unwrap();
        let mut report = Report::open(dir.path(), &about(), false).unwrap();
        for (suspect, outcome) in [
            ("copy.jpg", compared(&[near, flat.clone()], std::slice::from_ref(&far))),
            ("collage.jpg", compared(&[], &[far])),
            ("clear.jpg", Outcome::CLEAR),
        ] {
            let scanned = scanned(suspect, outcome);
            report.add(&scanned, ResultJson::of(&scanned)).unwrap();
        }
        let seen = seen(&report);
        let thumbnail = |picture| (picture, Ok(BASE64.encode(format!("{picture:?}").as_bytes())));
        let thumbnails = seen.pictures().into_iter().map(thumbnail).collect();
        let summary = Summary { suspects: 3, matches: 1, ..Summary::default() };
        render(&seen, &thumbnails, &summary, &utc(0))
    }

    #[test]
    fn hundreds_of_matches_go_on_many_pages_that_lead_to_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut report = Report::open(dir.path(), &about(), false).unwrap();
        let work = |score| Finding {
            work: ContentId::of(b"work"),
            index: 7,
            corrected_by: None,
            file: Some("work.jpg".to_owned()),
            title: None,
            claimant: None,
            score,
            method: Method::Keypoints,
            distance: None,
            transform: None,
            inliers: Some(9),
            overlap: None,
            alike: None,
            alike_between: None,
            geometry: None,
        };
        let (matches, related, flat) = (150_u32, 120, ROWS_MAX + 5);
        for number in 0..matches {
            let outcome = compared(&[work(f64::from(number) / 1000.0)], &[]);
            let scanned = scanned(&format!("match-{number}.jpg"), outcome);
            report.add(&scanned, ResultJson::of(&scanned)).unwrap();
        }
        for number in 0..related {
            let scanned = scanned(&format!("related-{number}.jpg"), compared(&[], &[work(0.1)]));
            report.add(&scanned, ResultJson::of(&scanned)).unwrap();
        }
        for number in 0..flat {
            let scanned = scanned(&format!("flat-{number}.jpg"), Outcome::Undecidable);
            report.add(&scanned, ResultJson::of(&scanned)).unwrap();
        }
        let mut listed = Listed::of(&report).unwrap();
        let pages = listed.cards().div_ceil(CARDS_A_PAGE);
        assert_eq!(pages, 3);
        let summary = Summary { suspects: 999, matches: matches.into(), ..Summary::default() };
        let pages: Vec<String> = (1..=pages)
            .map(|number| {
                let seen = listed.page(number, &report).unwrap();
                let (seen, thumbnails, summary) = (&seen, &HashMap::new(), &summary);
                let written = utc(0);
                let page = Page {
                    seen,
                    thumbnails,
                    summary,
                    seconds: 1.0,
                    per_second: 1.0,
                    written,
                    number,
                    pages,
                };
                page.render().unwrap()
            })
            .collect();
        let cards = |page: &str| page.matches("<article").count();
        assert_eq!(pages.iter().map(|page| cards(page)).collect::<Vec<_>>(), [100, 100, 70]);
        for (page, expected) in [
            (0, "match-149.jpg"),
            (0, "page-2.html#match-101"),
            (0, "5 more are in"),
            (1, "index.html#match-100"),
            (1, "Suspect 150 of 150"),
            (1, "Suspect 1 of 120"),
            (1, "page-3.html#related-51"),
            (2, "Suspect 120 of 120"),
        ] {
            assert!(pages[page].contains(expected), "{expected} is missing on page {page}");
        }
        assert!(!pages[1].contains("flat-"));
    }

    #[test]
    fn a_match_with_a_geometry_is_explained() {
        let page = explained();
        for expected in [
            "</strong> of",
            "Shares elements</strong> with",
            "by keypoints: 1\u{202F}420 places agree",
            "39 % of the work, less than 1 % of the suspect",
            "strong: as much is shared with any of ",
            "It also looks like 1 further registered work<",
            "It shares elements with 1 registered work<",
            "1 suspect shares elements with registered works and is a copy of none",
            "lines join places that agree: 1\"",
        ] {
            assert!(page.contains(expected), "{expected} is missing");
        }
        // Two layouts and four views of each of three, and the one that cannot be drawn beside its suspect.
        assert_eq!(page.matches(r#"class="drawing""#).count(), 3 * 6);
        assert_eq!(page.matches(r#"<img src="#).count(), 1);
        // Of each suspect its own picture and those of its works, once.
        assert_eq!(page.matches("data:image").count(), 3 + 2 + 1);
    }

    #[test]
    fn what_is_referred_to_is_there_once_and_nothing_is_fetched() {
        let page = explained();
        let quoted = |name: &str| -> Vec<String> {
            let parts = page.split(name).skip(1);
            parts.map(|part| part.split('"').next().unwrap().to_owned()).collect()
        };
        let ids = quoted(" id=\"");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        for target in quoted("href=\"") {
            let inside = target.strip_prefix('#').map(|id| ids.iter().any(|known| known == id));
            assert!(inside.unwrap_or(target.starts_with("data:image/jpeg;")), "{target}");
        }
        assert!(!page.contains("<b>near"));
    }

    #[test]
    fn a_thumbnail_or_the_reason_why_not() {
        // 2 × 1 pixels, 24 bits each, a row filled to 8 bytes.
        let mut bmp =
            b"BM\x3E\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
        bmp.resize(62, 0);
        assert!(thumbnail(&bmp[..]).unwrap().starts_with("/9j/"));
        assert!(thumbnail(&bmp[..60]).unwrap_err().to_string().contains("cannot decode image/bmp"));
        assert!(thumbnail(&b"words"[..]).unwrap_err().to_string().contains("not a picture"));
    }
}

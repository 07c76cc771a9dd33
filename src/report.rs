//! The page of a scan: every match beside its work, so that a person can decide.
//!
//! What counts as a match is decided before; this only shows it, whatever the files are called.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use askama::Template;
use data_encoding::BASE64;
use timemark_ingest::media::{self, Limits, MediaError};
use timemark_ingest::{Engine, Finding, Method, Outcome, Strength, Summary};
use timemark_verify::{ContentId, Fingerprint};
use timemark_vision::{Kind, Overlap};

use crate::drawing::{self, Drawing};
use crate::outcome::{error_words, legible, utc};

/// What of a scan a person should see. Many threads may add to it.
pub(crate) struct Report {
    dir: PathBuf,
    seen: Mutex<Seen>,
}

impl Report {
    /// A report that will lie in this folder, which is made if it is missing.
    pub fn new(dir: &Path) -> Result<Report> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Report { dir: dir.to_owned(), seen: Mutex::default() })
    }

    /// Takes note of what became of a suspect.
    pub fn add(&self, suspect: &Path, outcome: &Outcome) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Compared { matches, related } => seen.compared(suspect, matches, related),
            Outcome::Undecidable => seen.undecidable.push(suspect.into()),
            Outcome::Error(reason) => seen.errors.push((suspect.into(), reason.clone())),
        }
    }

    /// Writes `index.html` into the folder, whole or not at all, and returns its path. A picture
    /// that cannot be shown gets a placeholder with the reason.
    pub fn write(self, engine: &Engine, summary: &Summary, seconds: f64) -> Result<PathBuf> {
        let seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner).sorted();
        let thumbnails = draw(&seen.pictures(), engine);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let written = utc(now);
        let page = Page { seen: &seen, thumbnails: &thumbnails, summary, seconds, written };
        let failed = || format!("the report in {} failed", self.dir.display());
        save(&page, &self.dir).with_context(failed)
    }
}

#[derive(Default)]
struct Seen {
    matches: Vec<Compared>,
    /// Suspects that are copies of nothing and share elements with works.
    related: Vec<Compared>,
    undecidable: Vec<PathBuf>,
    errors: Vec<(PathBuf, String)>,
}

impl Seen {
    fn compared(&mut self, suspect: &Path, matches: &[Finding], related: &[Finding]) {
        let compared = Compared {
            suspect: suspect.into(),
            matches: matches.to_vec(),
            related: related.to_vec(),
        };
        match (matches, related) {
            ([], []) => {}
            ([], _) => self.related.push(compared),
            _ => self.matches.push(compared),
        }
    }

    /// What was compared by score, best first; everything else by path. Threads add in any order.
    fn sorted(mut self) -> Seen {
        let score = |compared: &Compared| compared.found().next().map_or(0.0, |best| best.score);
        for compared in [&mut self.matches, &mut self.related] {
            compared.sort_by(|a, b| {
                score(b).total_cmp(&score(a)).then_with(|| a.suspect.cmp(&b.suspect))
            });
        }
        self.undecidable.sort();
        self.errors.sort();
        self
    }

    /// Every picture on the page, each once.
    fn pictures(&self) -> Vec<Picture<'_>> {
        let mut pictures = BTreeSet::new();
        for compared in self.matches.iter().chain(&self.related) {
            pictures.insert(Picture::Suspect(&compared.suspect));
            pictures.extend(compared.found().map(|finding| Picture::Work(finding.work)));
        }
        pictures.into_iter().collect()
    }
}

/// A suspect and the works it is a copy of or shares elements with, best first.
struct Compared {
    suspect: PathBuf,
    matches: Vec<Finding>,
    related: Vec<Finding>,
}

impl Compared {
    /// What of it is shown: the best of both lists.
    fn found(&self) -> impl Iterator<Item = &Finding> {
        self.matches.iter().take(FINDINGS_MAX).chain(self.related.iter().take(FINDINGS_MAX))
    }
}

/// What is to be shown small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Picture<'a> {
    Suspect(&'a Path),
    Work(ContentId),
}

/// A JPEG in base64, or why there is none.
type Thumbnail = Result<String, String>;
type Thumbnails<'a> = HashMap<Picture<'a>, Thumbnail>;

/// Draws on all cores, as the scan did: the same limits hold.
fn draw<'a>(pictures: &[Picture<'a>], engine: &Engine) -> Thumbnails<'a> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut drawn = Vec::new();
        while let Some(&picture) = pictures.get(next.fetch_add(1, Ordering::Relaxed)) {
            let thumbnail = match picture {
                Picture::Suspect(path) => File::open(path).map_err(Into::into).and_then(thumbnail),
                Picture::Work(id) => engine.blobs.get(&id).map_err(Into::into).and_then(thumbnail),
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

fn thumbnail(mut file: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    (&mut file).take(media::START_BYTES as u64).read_to_end(&mut bytes)?;
    // What is no picture need not be read to its end.
    ensure!(media::has_picture_signature(&bytes), MediaError::NotAPicture);
    let rest = media::FILE_BYTES_MAX + 1 - bytes.len() as u64;
    file.take(rest).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= media::FILE_BYTES_MAX, "a picture file that is too long");
    let picture = media::decode(&bytes, &Limits::default())?;
    drop(bytes);
    Ok(BASE64.encode(&media::thumbnail_jpeg(&picture, THUMBNAIL_SIDE_MAX)?))
}

/// What the template draws on. It escapes every text: file names are hostile.
#[derive(Template)]
#[template(path = "report.html", whitespace = "minimize")]
struct Page<'a> {
    seen: &'a Seen,
    thumbnails: &'a Thumbnails<'a>,
    summary: &'a Summary,
    seconds: f64,
    written: String,
}

impl Page<'_> {
    fn clear(&self) -> u64 {
        let Summary { suspects, matches, undecidable, errors, .. } = self.summary;
        suspects.saturating_sub(matches + undecidable + errors)
    }

    fn per_second(&self) -> f64 {
        self.summary.suspects as f64 / self.seconds.max(1e-9)
    }

    /// Made one after the other: drawings of all would fill the memory.
    fn cards<'a>(
        &'a self,
        all: &'a [Compared],
        name: &'static str,
    ) -> impl Iterator<Item = Card<'a>> {
        let numbered = all.iter().enumerate();
        numbered.map(move |(i, compared)| self.card(compared, name, i + 1, all.len()))
    }

    fn card<'a>(
        &'a self,
        compared: &'a Compared,
        name: &'static str,
        number: usize,
        of: usize,
    ) -> Card<'a> {
        let Compared { suspect, matches, related } = compared;
        let thumbnail = |picture| self.thumbnails.get(&picture);
        let suspect_thumbnail = thumbnail(Picture::Suspect(suspect));
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
    suspect: &'a Path,
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

/// A page that exists is a whole one: it gets its name last.
fn save(page: &Page, dir: &Path) -> Result<PathBuf> {
    let part = dir.join(format!(".index.html.{}.part", std::process::id()));
    let whole = dir.join("index.html");
    let mut file = BufWriter::new(File::create(&part)?);
    let written = page.write_into(&mut file).and_then(|()| file.flush());
    if let Err(error) = written.and_then(|()| fs::rename(&part, &whole)) {
        let _ = fs::remove_file(&part); // its loss is no news beside the error
        return Err(error.into());
    }
    Ok(whole)
}

/// Longer side of a thumbnail: some 15 to 30 KB.
const THUMBNAIL_SIDE_MAX: u32 = drawing::SIDE_MAX as u32;
/// Works shown for one suspect.
const FINDINGS_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    /// A page over two matches, one undecidable and one error, with all names hostile.
    fn page() -> String {
        let work = |text: &str, score, method, distance, transform: Option<&str>| Finding {
            work: ContentId::of(text.as_bytes()),
            index: 41,
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
        let report = Report::new(dir.path()).unwrap();
        let copy = Path::new("in/<script>alert(1)</script>\"'&.jpg");
        let compared = |matches| Outcome::Compared { matches, related: vec![] };
        report.add(copy, &compared(vec![near.clone(), far]));
        report.add(Path::new("in/same 100%.jpg"), &compared(vec![exact]));
        report.add(Path::new("in/clear.jpg"), &Outcome::CLEAR);
        report.add(Path::new("in/<i>flat.png"), &Outcome::Undecidable);
        report.add(Path::new("in/<i>cut.png"), &Outcome::Error("<u>cut short".to_owned()));
        let seen = report.seen.into_inner().unwrap().sorted();
        assert_eq!(seen.pictures().len(), 5);
        let thumbnails = HashMap::from([
            (Picture::Suspect(copy), Ok("c3VzcGVjdA==".to_owned())),
            (Picture::Work(near.work), Err("<s>gone".to_owned())),
        ]);
        let summary = Summary { suspects: 1234, matches: 2, undecidable: 1, errors: 1, skipped: 1 };
        let written = "2026-11-22T08:14:09Z".to_owned();
        let (seen, thumbnails, summary) = (&seen, &thumbnails, &summary);
        Page { seen, thumbnails, summary, seconds: 0.5, written }.render().unwrap()
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
        let (copy, collage) = (Path::new("copy.jpg"), Path::new("collage.jpg"));
        let mut seen = Seen::default();
        seen.compared(copy, &[near, flat.clone()], slice::from_ref(&far));
        seen.compared(collage, &[], &[far]);
        seen.compared(Path::new("clear.jpg"), &[], &[]);
        let seen = seen.sorted();
        let thumbnail = |picture| (picture, Ok(BASE64.encode(format!("{picture:?}").as_bytes())));
        let thumbnails = seen.pictures().into_iter().map(thumbnail).collect();
        let summary = Summary { suspects: 3, matches: 1, ..Summary::default() };
        let (seen, thumbnails, summary) = (&seen, &thumbnails, &summary);
        Page { seen, thumbnails, summary, seconds: 0.5, written: utc(0) }.render().unwrap()
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

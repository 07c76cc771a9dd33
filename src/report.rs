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
use timemark_ingest::{Engine, Finding, Method, Outcome, Summary};
use timemark_verify::{ContentId, Fingerprint};
use timemark_vision::Kind;

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
            Outcome::Compared { matches, .. } if matches.is_empty() => {}
            Outcome::Compared { matches, .. } => {
                seen.matches.push((suspect.into(), matches.clone()));
            }
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
    matches: Vec<(PathBuf, Vec<Finding>)>,
    undecidable: Vec<PathBuf>,
    errors: Vec<(PathBuf, String)>,
}

impl Seen {
    /// Matches by score, best first; everything else by path. Threads add in any order.
    fn sorted(mut self) -> Seen {
        let score = |findings: &[Finding]| findings.first().map_or(0.0, |best| best.score);
        self.matches.sort_by(|(a, a_found), (b, b_found)| {
            score(b_found).total_cmp(&score(a_found)).then_with(|| a.cmp(b))
        });
        self.undecidable.sort();
        self.errors.sort();
        self
    }

    /// Every picture on the page, each once.
    fn pictures(&self) -> Vec<Picture<'_>> {
        let mut pictures = BTreeSet::new();
        for (suspect, findings) in &self.matches {
            pictures.insert(Picture::Suspect(suspect));
            pictures.extend(findings.iter().take(FINDINGS_MAX).map(|f| Picture::Work(f.work)));
        }
        pictures.into_iter().collect()
    }
}

/// What is to be shown small.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    fn suspect_thumbnail<'a>(&'a self, path: &'a Path) -> Option<&'a Thumbnail> {
        self.thumbnails.get(&Picture::Suspect(path))
    }

    fn work_thumbnail(&self, work: &ContentId) -> Option<&Thumbnail> {
        self.thumbnails.get(&Picture::Work(*work))
    }
}

fn method_words(finding: &Finding) -> String {
    let code = match finding.method {
        Method::Exact => return "the same bytes".to_owned(),
        Method::Keypoints => {
            return format!("{} places agree", finding.inliers.unwrap_or_default());
        }
        Method::Code(Kind::Pdq) => "PDQ",
        Method::Code(Kind::Gradient) => "gradient code",
        Method::Code(Kind::Dct) => "DCT code",
    };
    match finding.distance {
        Some(bits) => format!("{code}, {bits} of {} bits apart", Fingerprint::BITS),
        None => code.to_owned(),
    }
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

/// Longer side of a thumbnail: some 10 to 20 KB.
const THUMBNAIL_SIDE_MAX: u32 = 320;
/// Works shown for one suspect.
const FINDINGS_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

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
        };
        let pdq = Method::Code(Kind::Pdq);
        let near = work("near", 0.9, pdq, Some(14), Some("mirrored left to right"));
        let far = work("far", 0.6, pdq, Some(50), None);
        let exact = Finding { file: None, ..work("same", 1.0, Method::Exact, None, None) };
        let dir = tempfile::tempdir().unwrap();
        let report = Report::new(dir.path()).unwrap();
        let copy = Path::new("in/<script>alert(1)</script>\"'&.jpg");
        report.add(copy, &Outcome::Compared { matches: vec![near.clone(), far], related: vec![] });
        report.add(
            Path::new("in/same 100%.jpg"),
            &Outcome::Compared { matches: vec![exact], related: vec![] },
        );
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
            "PDQ, 14 of 256 bits apart",
            "the work, mirrored left to right",
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
        assert!(page.find("the same bytes") < page.find("PDQ, 14"), "best first");
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

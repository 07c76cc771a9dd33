//! Flow 2: a collection becomes findings.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use timemark_index::{Dihedral, Kind, Pdq, second};
use timemark_store::{Record, RegistryError};
use timemark_verify::{ContentId, Fingerprint};

use crate::engine::Engine;
use crate::media::{self, Limits, Picture};
use crate::trim::trim;
use crate::walk::{Sighting, walk};

/// Two PDQ codes within this Hamming distance are of the same picture: the default operating point. How it
/// was chosen is written in docs/accuracy.md.
pub const RADIUS_DEFAULT: u32 = 60;
/// A picture of a lower PDQ quality has too little detail to be told from others (0 to 100).
const QUALITY_MIN: u8 = 20;

/// How a scan compares.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// Which code of pictures is compared.
    pub kind: Kind,
    /// The greatest Hamming distance that counts as a match, in bits of 256.
    pub radius: u32,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions { kind: Kind::Pdq, radius: RADIUS_DEFAULT }
    }
}

/// What became of one suspect.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is a copy of these works, best first.
    Match(Vec<Finding>),
    /// It is a copy of none.
    Clear,
    /// It has too little detail to tell.
    Undecidable,
    /// It could not be compared, for this reason.
    Error(String),
}

/// A work that a suspect is a copy of.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The work.
    pub work: ContentId,
    /// The number of its first registration.
    pub index: u64,
    /// The path under which it was registered, unless the claim was erased.
    pub file: Option<String>,
    /// Its title, as claimed.
    pub title: Option<String>,
    /// Who claims it.
    pub claimant: Option<String>,
    /// 0 to 1; orders matches across suspects.
    pub score: f64,
    /// What showed it.
    pub method: Method,
    /// Hamming distance of the codes; none for exact copies.
    pub distance: Option<u32>,
    /// What was done to the work to give the suspect, in words.
    pub transform: Option<String>,
}

/// What showed that a suspect is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The same bytes.
    Exact,
    /// A perceptual code of this kind.
    Code(Kind),
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Method::Exact => f.write_str("exact"),
            Method::Code(kind) => kind.fmt(f),
        }
    }
}

/// Why a scan could not go on: a room failed. What is wrong with one suspect is its own outcome.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Whoever is told about suspects wants to hear no more.
    #[error("nobody takes the results any more")]
    Stopped,
}

/// What a scan came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files compared, errors included.
    pub suspects: u64,
    /// Suspects that are copies.
    pub matches: u64,
    /// Suspects with too little detail.
    pub undecidable: u64,
    /// Suspects that could not be compared.
    pub errors: u64,
    /// Receipts and archives that were passed over.
    pub skipped: u64,
}

impl std::ops::Add for Summary {
    type Output = Summary;

    fn add(self, other: Summary) -> Summary {
        Summary {
            suspects: self.suspects + other.suspects,
            matches: self.matches + other.matches,
            undecidable: self.undecidable + other.undecidable,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// Compares every file at or below `collections` with the registered works, on all cores, and reports each,
/// until `report` breaks off.
pub fn scan(
    collections: &[PathBuf],
    engine: &Engine,
    options: ScanOptions,
    report: impl Fn(&Path, &Outcome) -> ControlFlow<()> + Sync,
) -> Result<Summary, ScanError> {
    collections
        .iter()
        .flat_map(|collection| walk(collection))
        .par_bridge()
        .map(|sighting| {
            let (path, outcome) = match sighting {
                Ok(Sighting::File(found)) => {
                    let outcome = compare(&found.path, engine, options)?;
                    (found.path, outcome)
                }
                Ok(_) => return Ok(Summary { skipped: 1, ..Summary::default() }),
                Err(error) => (error.path, Outcome::Error(error.reason)),
            };
            match report(&path, &outcome) {
                ControlFlow::Continue(()) => Ok(tally(&outcome)),
                ControlFlow::Break(()) => Err(ScanError::Stopped),
            }
        })
        .try_reduce(Summary::default, |a, b| Ok(a + b))
}

/// Compares one file with the registered works.
pub fn compare(path: &Path, engine: &Engine, options: ScanOptions) -> Result<Outcome, ScanError> {
    let suspect = match Suspect::read(path) {
        Ok(suspect) => suspect,
        Err(error) => return Ok(Outcome::Error(format!("it cannot be read: {error}"))),
    };
    if let Some(exact) = exact_finding(&suspect.content, engine)? {
        return Ok(Outcome::Match(vec![exact]));
    }
    let bytes = match suspect.bytes {
        Bytes::Picture(bytes) => bytes,
        Bytes::NoPicture => return Ok(Outcome::Clear),
        Bytes::LongPicture => {
            let reason = format!("a picture file of more than {} bytes", media::FILE_BYTES_MAX);
            return Ok(Outcome::Error(reason));
        }
    };
    let picture = match media::decode(&bytes, &Limits::default()) {
        Ok(picture) => picture,
        Err(error) => return Ok(Outcome::Error(error.to_string())),
    };
    drop(bytes);
    let Some(pdq) = Pdq::of_rgb(&picture.rgb, picture.width, picture.height) else {
        return Ok(Outcome::Undecidable);
    };
    let codes: Vec<Fingerprint> = match options.kind {
        Kind::Pdq => pdq_codes(&pdq, &picture),
        kind => {
            second::of_rgb(kind, &picture.rgb, picture.width, picture.height).into_iter().collect()
        }
    };
    let findings = findings_by_code(options.kind, &codes, pdq.quality, options.radius, engine)?;
    Ok(match findings {
        findings if !findings.is_empty() => Outcome::Match(findings),
        _ if pdq.quality < QUALITY_MIN => Outcome::Undecidable,
        _ => Outcome::Clear,
    })
}

/// The codes of the whole picture in its eight positions, and those of the picture inside a plain frame.
fn pdq_codes(whole: &Pdq, picture: &Picture) -> Vec<Fingerprint> {
    let inner = trim(picture).and_then(|p| Pdq::of_rgb(&p.rgb, p.width, p.height));
    let inner = inner.filter(|inner| inner.quality >= QUALITY_MIN);
    whole.codes.into_iter().chain(inner.into_iter().flat_map(|inner| inner.codes)).collect()
}

/// What was done to the work, told by which of [`pdq_codes`] was nearest.
fn transform_words(variant: usize) -> Option<String> {
    let words = Dihedral::ALL.get(variant % Dihedral::ALL.len())?.words();
    let framed = variant >= Dihedral::ALL.len();
    Some(if framed { format!("{words}, inside a plain frame") } else { words.to_owned() })
}

/// A file under suspicion.
struct Suspect {
    content: ContentId,
    bytes: Bytes,
}

enum Bytes {
    /// It begins as a picture.
    Picture(Vec<u8>),
    /// It begins as a picture and is too long to be looked at.
    LongPicture,
    /// It is compared by its digest alone.
    NoPicture,
}

impl Suspect {
    fn read(path: &Path) -> io::Result<Suspect> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        (&mut file).take(media::START_BYTES as u64).read_to_end(&mut bytes)?;
        let picture = media::has_picture_signature(&bytes);
        // A file that grows while it is read must not be read for ever.
        let mut rest = (&mut file).take((length + 1).saturating_sub(bytes.len() as u64));
        if picture && length <= media::FILE_BYTES_MAX {
            rest.read_to_end(&mut bytes)?;
            return Ok(Suspect { content: ContentId::of(&bytes), bytes: Bytes::Picture(bytes) });
        }
        let mut sha256 = Sha256::new_with_prefix(&bytes);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match rest.read(&mut buffer)? {
                0 => break,
                length => sha256.update(&buffer[..length]),
            }
        }
        let content = ContentId::from_sha256(sha256.finalize().into());
        let bytes = if picture { Bytes::LongPicture } else { Bytes::NoPicture };
        Ok(Suspect { content, bytes })
    }
}

pub(crate) fn exact_finding(
    content: &ContentId,
    engine: &Engine,
) -> Result<Option<Finding>, RegistryError> {
    let records = engine.registry.by_content(content)?;
    // The first registration, unless nothing but its number is left of it.
    let first = records.iter().find(|record| record.claim.is_some()).or(records.first());
    Ok(first.map(|record| finding(record, 1.0, Method::Exact, None, None)))
}

/// The works whose code lies within `radius` of one of these; each work once, nearest first.
pub(crate) fn findings_by_code(
    kind: Kind,
    codes: &[Fingerprint],
    quality: u8,
    radius: u32,
    engine: &Engine,
) -> Result<Vec<Finding>, RegistryError> {
    // A picture without detail is near to every other such picture and a copy of none of them.
    if quality < QUALITY_MIN {
        return Ok(Vec::new());
    }
    let mut findings: Vec<Finding> = Vec::new();
    for near in engine.index.matches(kind, codes, radius) {
        if near.quality < QUALITY_MIN {
            continue;
        }
        let Some(record) = engine.registry.by_index(near.index)? else { continue };
        if findings.iter().any(|found| found.work == record.leaf.content) {
            continue;
        }
        let score =
            0.99 * (1.0 - f64::from(near.distance) / f64::from(Fingerprint::BITS / 2)).max(0.0);
        let words = if kind == Kind::Pdq { transform_words(near.variant) } else { None };
        findings.push(finding(&record, score, Method::Code(kind), Some(near.distance), words));
    }
    Ok(findings)
}

fn finding(
    record: &Record,
    score: f64,
    method: Method,
    distance: Option<u32>,
    transform: Option<String>,
) -> Finding {
    let claim = record.claim.as_ref();
    let path = claim.and_then(|claim| claim.path.as_deref());
    let file = path.map(|path| String::from_utf8_lossy(path).into_owned());
    Finding {
        work: record.leaf.content,
        index: record.index,
        file,
        title: claim.and_then(|claim| claim.title.clone()),
        claimant: claim.and_then(|claim| claim.claimant.clone()),
        score,
        method,
        distance,
        transform,
    }
}

fn tally(outcome: &Outcome) -> Summary {
    let one = |yes: bool| u64::from(yes);
    Summary {
        suspects: 1,
        matches: one(matches!(outcome, Outcome::Match(_))),
        undecidable: one(matches!(outcome, Outcome::Undecidable)),
        errors: one(matches!(outcome, Outcome::Error(_))),
        skipped: 0,
    }
}

//! Flow 2: a collection becomes findings.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use timemark_index::IndexError;
use timemark_neural::EmbedError;
use timemark_store::{BlobError, RegistryError};
use timemark_verify::{ContentId, Fingerprint};
use timemark_vision::{Dihedral, Kind, Pdq, second};

use crate::detect::{Detected, detect};
use crate::engine::Engine;
use crate::finding::Finding;
use crate::judge::PLACES_MIN;
use crate::media::{self, Limits};
use crate::walk::{Sighting, walk};

/// Two PDQ codes within this Hamming distance may be of the same picture. How it was chosen is written in
/// docs/accuracy.md.
pub const RADIUS_DEFAULT: u32 = 40;
/// A picture of a lower PDQ quality has too little detail to be told from others (0 to 100).
pub(crate) const QUALITY_MIN: u8 = 20;

/// How a scan compares.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// How thoroughly.
    pub depth: Depth,
    /// Which code of whole pictures is compared.
    pub kind: Kind,
    /// The greatest Hamming distance at which a work is looked at, in bits of 256.
    pub radius: u32,
    /// Places that must agree at least.
    pub places_min: usize,
    /// Stages that are left out, to measure what they are worth.
    pub without: Stages,
}

/// How thoroughly a scan compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// By the codes of whole pictures.
    Fast,
    /// By keypoints and by the codes of rectangles as well.
    Full,
}

/// Stages of a comparison at full depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// Keypoints.
    pub keypoints: bool,
    /// Keypoints of the mirrored suspect.
    pub mirrored: bool,
    /// Rectangles.
    pub regions: bool,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions {
            depth: Depth::Full,
            kind: Kind::Pdq,
            radius: RADIUS_DEFAULT,
            places_min: PLACES_MIN,
            without: Stages::default(),
        }
    }
}

/// What became of one suspect.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was compared with all works.
    Compared {
        /// It is a copy of these, of parts of them, or holds copies; best first.
        matches: Vec<Finding>,
        /// It shares elements with these, which is not asserted to be copying; best first.
        related: Vec<Finding>,
    },
    /// It has too little detail to tell.
    Undecidable,
    /// It could not be compared, for this reason.
    Error(String),
}

impl Outcome {
    /// A copy of no work.
    pub const CLEAR: Outcome = Outcome::Compared { matches: Vec::new(), related: Vec::new() };

    /// The works that it is a copy of.
    pub fn matches(&self) -> &[Finding] {
        if let Outcome::Compared { matches, .. } = self { matches } else { &[] }
    }

    /// The works that it shares elements with.
    pub fn related(&self) -> &[Finding] {
        if let Outcome::Compared { related, .. } = self { related } else { &[] }
    }

    /// `match`, `clear`, `undecidable` or `error`.
    pub fn status(&self) -> &'static str {
        match self {
            Outcome::Compared { matches, .. } if matches.is_empty() => "clear",
            Outcome::Compared { .. } => "match",
            Outcome::Undecidable => "undecidable",
            Outcome::Error(_) => "error",
        }
    }
}

/// Why a scan could not go on: a room failed. What is wrong with one suspect is its own outcome.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// The model failed at a suspect.
    #[error(transparent)]
    Model(#[from] EmbedError),
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
        return Ok(Outcome::Compared { matches: vec![exact], related: Vec::new() });
    }
    let bytes = match suspect.bytes {
        Bytes::Picture(bytes) => bytes,
        Bytes::NoPicture => return Ok(Outcome::CLEAR),
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
    let detected = if options.kind == Kind::Pdq {
        match detect(&picture, &pdq, engine, &options) {
            // Others may fare better.
            Err(ScanError::Model(error)) => return Ok(Outcome::Error(error.to_string())),
            detected => detected?,
        }
    } else {
        let code = second::of_rgb(options.kind, &picture.rgb, picture.width, picture.height);
        let codes: Vec<Fingerprint> = code.into_iter().collect();
        let matches = findings_by_code(options.kind, &codes, pdq.quality, options.radius, engine)?;
        Detected { matches, related: Vec::new(), decidable: pdq.quality >= QUALITY_MIN }
    };
    let Detected { matches, related, decidable } = detected;
    if matches.is_empty() && !decidable {
        return Ok(Outcome::Undecidable);
    }
    Ok(Outcome::Compared { matches, related })
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
    Ok(first.map(Finding::exact))
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
        // Only PDQ has a code for each position.
        let position = Dihedral::ALL.get(near.variant).filter(|_| kind == Kind::Pdq);
        let transform = position.map(|position| position.words().to_owned());
        findings.push(Finding { transform, ..Finding::by_code(&record, kind, near.distance) });
    }
    Ok(findings)
}

fn tally(outcome: &Outcome) -> Summary {
    let one = |yes: bool| u64::from(yes);
    Summary {
        suspects: 1,
        matches: one(!outcome.matches().is_empty()),
        undecidable: one(matches!(outcome, Outcome::Undecidable)),
        errors: one(matches!(outcome, Outcome::Error(_))),
        skipped: 0,
    }
}

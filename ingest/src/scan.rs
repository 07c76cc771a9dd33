//! Flow 2: a collection becomes findings.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{io, iter, thread};

use timemark_index::IndexError;
use timemark_neural::EmbedError;
use timemark_store::{BlobError, RegistryError};
use timemark_verify::{ContentId, Fingerprint};
use timemark_vision::{Kind, Pdq, Picture, second};

use crate::detect::{Detected, detect};
use crate::engine::Engine;
use crate::exclusive::Turn;
use crate::glance::glance;
use crate::judge::PLACES_MIN;
use crate::lookup::{Nearby, exact_finding};
use crate::media::{self, Limits, MediaError};
use crate::newcomers::SuspectCodes;
use crate::outcome::{Outcome, Scanned, Summary, Trace};
use crate::queue::Queue;
use crate::repeats::{Known, Repeats};
use crate::sources::{Content, Met, OpenFile, Progress, Source, SuspectName, visit};

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
    /// The longer side of thumbnails of suspects in which works are found, in pixels, if there are to be any.
    pub thumbnail_side: Option<u32>,
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
            thumbnail_side: None,
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
    /// The one file that is to be compared cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// Whoever is told about suspects wants to hear no more.
    #[error("nobody takes the results any more")]
    Stopped,
}

/// What is asked about before it is compared.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// A file, not yet read; no other has its name.
    File,
    /// What lies within an archive, as others of the same name may.
    Member(&'a Content),
    /// A place that cannot be read.
    Failed,
}

/// Compares everything in these sources with the registered works, on all cores, and reports each suspect in any order,
/// until `report` breaks off. What `is_done` knows already is passed over; it is asked in the order of the sources.
///
/// One thread finds suspects and unpacks archives, some read files, as many as there are cores decode and compare, and
/// the caller's reports. Little lies in between, whatever the sources hold. A source that is silent is waited for, even
/// after the end.
pub fn scan(
    sources: &[Source],
    engine: &Engine,
    options: ScanOptions,
    progress: &Progress,
    is_done: IsDone<'_>,
    report: &mut dyn FnMut(Scanned) -> ControlFlow<()>,
) -> Result<Summary, ScanError> {
    scan_keeping(sources, engine, options, None, progress, is_done, report)
}

/// As [`scan`]. `keep` is handed the bytes of pictures that are copies before they are told of, by many threads; of bytes
/// that came before they need not come again.
pub fn scan_keeping(
    sources: &[Source],
    engine: &Engine,
    options: ScanOptions,
    keep: Option<Keep<'_>>,
    progress: &Progress,
    is_done: IsDone<'_>,
    report: &mut dyn FnMut(Scanned) -> ControlFlow<()>,
) -> Result<Summary, ScanError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let found = Queue::new(FOUND_MAX, WAITING_BYTES_MAX);
    let read = Queue::new(READ_MAX, WAITING_BYTES_MAX);
    let readers = cores.max(READERS_MIN);
    let (reading, skipped) = (AtomicUsize::new(readers), AtomicU64::new(0));
    let repeats = Repeats::default();
    let (done, results) = mpsc::sync_channel(RESULTS_MAX);
    thread::scope(|scope| {
        // After the last nobody is left to be told; after an error, or a panic, everybody is.
        let _abandoning = (Abandoning(&found), Abandoning(&read));
        // Should a thread panic, nobody must wait for more of it.
        scope.spawn(|| {
            let _closing = Closing { queue: &found, threads: &AtomicUsize::new(1) };
            find(sources, progress, is_done, &found, &skipped);
        });
        for _ in 0..readers {
            scope.spawn(|| {
                let _closing = Closing { queue: &read, threads: &reading };
                read_all(&found, &read);
            });
        }
        for _ in 0..cores {
            let done = done.clone();
            scope.spawn(|| {
                let done = done; // ends with this thread
                while let Some(suspect) = read.pop() {
                    // The same bytes are told of after those that were compared, or what is kept of these may be lost.
                    let mut turn = None;
                    let compared =
                        compare_suspect(suspect, engine, &options, keep, &repeats, &mut turn);
                    if done.send(compared).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let summary = report_all(results, report)?;
        Ok(Summary { skipped: skipped.load(Ordering::Relaxed), ..summary })
    })
}

/// Takes in the bytes of a suspect that is a copy.
pub type Keep<'a> = &'a (dyn Fn(&ContentId, &[u8]) + Sync);

/// Whether what is asked about was compared by an earlier run.
pub type IsDone<'a> = &'a mut (dyn FnMut(&SuspectName, Asked<'_>) -> bool + Send);

/// Closes a queue with the last of the threads that fill it.
struct Closing<'a, T> {
    queue: &'a Queue<T>,
    threads: &'a AtomicUsize,
}

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        if self.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.queue.close();
        }
    }
}

struct Abandoning<'a, T>(&'a Queue<T>);

impl<T> Drop for Abandoning<'_, T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Puts everything that is to be compared in line.
fn find(
    sources: &[Source],
    progress: &Progress,
    is_done: IsDone<'_>,
    found: &Queue<Found>,
    skipped: &AtomicU64,
) {
    let mut take = |met: Met| {
        let (is_known, thing) = match met {
            Met::File(file) => {
                (is_done(&SuspectName::of_file(&file.path), Asked::File), Found::File(file))
            }
            Met::Member { name, content } => {
                let is_known = is_done(&name, Asked::Member(&content));
                (is_known, Found::Read(Suspect { name, content: Ok(content) }))
            }
            Met::Failed { name, reason } => {
                let is_known = is_done(&name, Asked::Failed);
                (is_known, Found::Read(Suspect { name, content: Err(reason) }))
            }
            Met::Skipped(_) => {
                skipped.fetch_add(1, Ordering::Relaxed);
                return if found.is_open() {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                };
            }
        };
        let weight = if let Found::Read(suspect) = &thing { suspect.bytes_held() } else { 0 };
        if is_known || found.push(thing, weight) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    for source in sources {
        if visit(source, progress, &mut take).is_break() {
            return;
        }
    }
}

/// What is to be compared.
enum Found {
    File(OpenFile),
    Read(Suspect),
}

/// A suspect in memory, or why it is not.
struct Suspect {
    name: SuspectName,
    content: Result<Content, String>,
}

impl Suspect {
    fn bytes_held(&self) -> usize {
        self.content.as_ref().map_or(0, Content::bytes_held)
    }
}

/// Reads what was found.
fn read_all(found: &Queue<Found>, read: &Queue<Suspect>) {
    while let Some(found) = found.pop() {
        let suspect = match found {
            Found::Read(suspect) => suspect,
            Found::File(file) => {
                let name = SuspectName::of_file(&file.path);
                Suspect { name, content: file.read().map_err(|error| unreadable(&error)) }
            }
        };
        let weight = suspect.bytes_held();
        if !read.push(suspect, weight) {
            return;
        }
    }
}

/// Tells of each, until all are told of, or somebody breaks off or fails.
fn report_all(
    results: Receiver<Result<Scanned, ScanError>>,
    report: &mut dyn FnMut(Scanned) -> ControlFlow<()>,
) -> Result<Summary, ScanError> {
    let mut summary = Summary::default();
    while let Ok(first) = results.recv() {
        for result in iter::once(first).chain(results.try_iter()) {
            let scanned = result?;
            summary.count(&scanned.outcome);
            if report(scanned).is_break() {
                return Err(ScanError::Stopped);
            }
        }
        // Or each result would wake this thread, and take the core of one that compares.
        thread::sleep(REPORT_PAUSE);
    }
    Ok(summary)
}

/// Compares a suspect; `turn` is held until it is told of.
fn compare_suspect<'r>(
    suspect: Suspect,
    engine: &Engine,
    options: &ScanOptions,
    keep: Option<Keep<'_>>,
    repeats: &'r Repeats,
    turn: &mut Option<Turn<'r, ContentId>>,
) -> Result<Scanned, ScanError> {
    let Suspect { name, content } = suspect;
    let content = match content {
        Ok(content) => content,
        Err(reason) => {
            let outcome = Arc::new(Outcome::Error(reason));
            let trace = Trace::default();
            return Ok(Scanned { name, content: None, outcome, thumbnail: None, trace });
        }
    };
    let _decoder = engine.decoders.take();
    let id = content.id();
    *turn = Some(repeats.wait_for(id));
    let content_id = Some(id);
    if let Some(Known { outcome, entries }) = repeats.outcome(&id) {
        let trace = Trace { entries, is_repeat: true, codes: SuspectCodes::default() };
        return Ok(Scanned { name, content: content_id, outcome, thumbnail: None, trace });
    }
    // Before it is looked up: what comes in meanwhile may be missed.
    let entries = engine.index.len();
    let Looked { outcome, thumbnail, codes } =
        compare_content(content, &id, engine, options, keep)?;
    let outcome = Arc::new(outcome);
    repeats.keep(id, Known { outcome: Arc::clone(&outcome), entries });
    let trace = Trace { entries, is_repeat: false, codes };
    Ok(Scanned { name, content: content_id, outcome, thumbnail, trace })
}

/// Compares one file with the registered works.
pub fn compare(path: &Path, engine: &Engine, options: ScanOptions) -> Result<Outcome, ScanError> {
    let _decoder = engine.decoders.take();
    let content = OpenFile::open(path).and_then(OpenFile::read).map_err(ScanError::Unreadable)?;
    let id = content.id();
    Ok(compare_content(content, &id, engine, &options, None)?.outcome)
}

/// Compares the bytes of this content with the registered works, as a scan that meets them, and draws them small where
/// `options` ask for that.
pub fn compare_bytes(
    bytes: Vec<u8>,
    id: &ContentId,
    engine: &Engine,
    options: ScanOptions,
) -> Result<(Outcome, Thumbnail), ScanError> {
    let _decoder = engine.decoders.take();
    let content = match media::has_picture_signature(&bytes) {
        true => Content::Picture(bytes),
        false => Content::NoPicture(*id),
    };
    let Looked { outcome, thumbnail, .. } = compare_content(content, id, engine, &options, None)?;
    Ok((outcome, thumbnail))
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}

/// A small JPEG of a suspect, or why there is none; nothing where none was to be made.
pub type Thumbnail = Option<Result<Vec<u8>, String>>;

/// What comes of a comparison.
struct Looked {
    outcome: Outcome,
    thumbnail: Thumbnail,
    codes: SuspectCodes,
}

impl Looked {
    /// By something else than codes.
    fn without_codes(outcome: Outcome, thumbnail: Thumbnail) -> Looked {
        Looked { outcome, thumbnail, codes: SuspectCodes::default() }
    }
}

/// Compares what was read, and draws it small where works are found in it and that was asked for.
fn compare_content(
    content: Content,
    id: &ContentId,
    engine: &Engine,
    options: &ScanOptions,
    keep: Option<Keep<'_>>,
) -> Result<Looked, ScanError> {
    let exact = exact_finding(id, engine)?
        .map(|exact| Outcome::Compared { matches: vec![exact], related: Vec::new() });
    let bytes = match (content, exact) {
        (Content::Picture(bytes), None) => bytes,
        (Content::Picture(bytes), Some(exact)) => {
            if let Some(keep) = keep {
                keep(id, &bytes);
            }
            let thumbnail = options.thumbnail_side.map(|side| {
                let picture = media::decode(&bytes, &Limits::default());
                picture.and_then(|p| media::thumbnail_jpeg(&p, side)).map_err(|e| e.to_string())
            });
            return Ok(Looked::without_codes(exact, thumbnail));
        }
        (_, Some(exact)) => {
            let none = options.thumbnail_side.map(|_| Err(MediaError::NotAPicture.to_string()));
            return Ok(Looked::without_codes(exact, none));
        }
        (Content::NoPicture(_), None) => return Ok(Looked::without_codes(Outcome::CLEAR, None)),
        (Content::LongPicture(_), None) => {
            let reason = format!("a picture file of more than {} bytes", media::FILE_BYTES_MAX);
            return Ok(Looked::without_codes(Outcome::Error(reason), None));
        }
    };
    if options.depth == Depth::Fast
        && options.kind == Kind::Pdq
        && options.radius <= GLANCE_RADIUS_MAX
        && let Some((outcome, codes)) = glance(&bytes, engine, options)
    {
        return Ok(Looked { outcome, thumbnail: None, codes });
    }
    let picture = match media::decode(&bytes, &Limits::default()) {
        Ok(picture) => picture,
        Err(error) => {
            return Ok(Looked::without_codes(Outcome::Error(error.to_string()), None));
        }
    };
    // Nobody else needs them in memory any more.
    let bytes = keep.map(|keep| (keep, bytes));
    let (outcome, codes) = compare_picture(&picture, engine, options)?;
    if let Some((keep, bytes)) = bytes
        && !outcome.matches().is_empty()
    {
        keep(id, &bytes);
    }
    let found = !outcome.matches().is_empty() || !outcome.related().is_empty();
    let thumbnail = options.thumbnail_side.filter(|_| found);
    let thumbnail = thumbnail
        .map(|side| media::thumbnail_jpeg(&picture, side).map_err(|error| error.to_string()));
    Ok(Looked { outcome, thumbnail, codes })
}

fn compare_picture(
    picture: &Picture,
    engine: &Engine,
    options: &ScanOptions,
) -> Result<(Outcome, SuspectCodes), ScanError> {
    let Some(pdq) = Pdq::of_rgb(&picture.rgb, picture.width, picture.height) else {
        return Ok((Outcome::Undecidable, SuspectCodes::default()));
    };
    let detected = if options.kind == Kind::Pdq {
        match detect(picture, &pdq, engine, options) {
            // Others may fare better.
            Err(ScanError::Model(error)) => {
                return Ok((Outcome::Error(error.to_string()), SuspectCodes::default()));
            }
            detected => detected?,
        }
    } else {
        let code = second::of_rgb(options.kind, &picture.rgb, picture.width, picture.height);
        let codes: Vec<Fingerprint> = code.into_iter().collect();
        let matches = Nearby::of(options.kind, &codes, pdq.quality, options.radius, engine);
        let matches = matches.collect::<Result<_, _>>()?;
        let decidable = pdq.quality >= QUALITY_MIN;
        Detected { matches, decidable, ..Detected::default() }
    };
    let Detected { matches, related, decidable, codes } = detected;
    if matches.is_empty() && !decidable {
        return Ok((Outcome::Undecidable, codes));
    }
    Ok((Outcome::Compared { matches, related }, codes))
}

/// Beyond this radius so much is near that a glance tells nothing.
const GLANCE_RADIUS_MAX: u32 = 64;
/// Suspects that are found and not yet read, at most, those that are read and not yet compared, and the bytes of each.
const FOUND_MAX: usize = 256;
const READ_MAX: usize = 64;
const WAITING_BYTES_MAX: usize = 32 << 20;
/// Threads that read files while others decode, at least; as many as there are cores, where those are more.
const READERS_MIN: usize = 2;
/// Outcomes that are not yet reported, at most, and how long they may wait.
const RESULTS_MAX: usize = 256;
const REPORT_PAUSE: Duration = Duration::from_millis(2);

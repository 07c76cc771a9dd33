//! `timemark register`: files become receipts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use timemark_ingest::{
    CreatorKey, Engine, Found, Method, Registration, Sighting, Status, Submission, WalkError,
    register, walk,
};
use timemark_verify::Receipt;
use timemark_vision::Kind;

use crate::outcome::{
    Answer, MatchJson, error_words, finding_words, json_text, legible, print_json, print_line,
    remark,
};
use crate::receipts::{self, Receipts};
use crate::verbs::verify::read_receipt;
use crate::{open, progress};

/// How often a long run has its newest checkpoint time-stamped.
const STAMP_INTERVAL: Duration = Duration::from_secs(60);

/// Register files and folders; each gets a receipt
#[derive(clap::Args)]
pub(crate) struct Register {
    /// Files and folders
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Title of the works
    #[arg(long)]
    title: Option<String>,
    /// Who claims the works
    #[arg(long)]
    claimant: Option<String>,
    /// Under which terms they may be used
    #[arg(long)]
    rights: Option<String>,
    /// The collection they belong to
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// When they were made, as claimed
    #[arg(long)]
    created: Option<String>,
    /// The creator's own key: Ed25519 in PEM, as `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "FILE")]
    creator_key: Option<PathBuf>,
    /// Put the receipts under this folder instead of beside the works
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// A second kind of fingerprint beside PDQ: gradient or dct
    #[arg(long, value_name = "KIND")]
    second_hash: Option<Kind>,
    /// Register pictures that do not decode all the same, by their bytes alone
    #[arg(long)]
    bytes_only: bool,
    /// Works under way at a time; 1 registers in the order of the names
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Default)]
struct RegisterJson {
    file: String,
    status: &'static str,
    work: Option<String>,
    sha256: Option<String>,
    cid: Option<String>,
    index: Option<u64>,
    receipt: Option<String>,
    /// Whether the policy's quorum of witnesses vouches for the receipt; absent where none is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<bool>,
    /// The kinds of fingerprints by which edited copies are found; none for what is no picture.
    fingerprints: Vec<String>,
    similar: Vec<MatchJson>,
    /// What was said now and is not in the earlier claim of a duplicate.
    not_taken: Vec<&'static str>,
    error: Option<String>,
}

#[derive(Default)]
struct Tally {
    registered: AtomicU64,
    duplicates: AtomicU64,
    errors: AtomicU64,
    receipts_skipped: AtomicU64,
    archives_skipped: AtomicU64,
    without_quorum: AtomicU64,
}

impl Register {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let creator_key = self.creator_key.as_deref().map(CreatorKey::read).transpose()?;
        let submission = Submission {
            title: self.title.as_deref(),
            claimant: self.claimant.as_deref(),
            created: self.created.as_deref(),
            rights: self.rights.as_deref(),
            collection: self.collection.as_deref(),
            creator_key: creator_key.as_ref(),
            second_kind: self.second_hash,
            bytes_only: self.bytes_only,
        };
        let receipts = Receipts::new(self.receipts.as_deref())?;
        let engine = open::open_or_create(archive)?;
        if submission.claimant.is_none_or(str::is_empty) {
            remark("without --claimant these claims name nobody");
        }
        let started = Instant::now();
        let tally = Tally::default();
        let bar = progress::growing("registering");
        let sightings = Mutex::new(self.paths.iter().flat_map(|path| walk(path)));
        let failure = Mutex::new(None);
        let next = || sightings.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (work_is_done, done) = mpsc::channel::<()>();
        // Most of these threads wait for the log, whose flush they share; few decode at a time.
        std::thread::scope(|scope| {
            if engine.log.has_authorities() {
                // A run of hours is stamped on the way; the sender goes with the last worker.
                let engine = &engine;
                scope.spawn(move || {
                    while done.recv_timeout(STAMP_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                        stamp(engine);
                    }
                });
            }
            for _ in 0..self.jobs {
                let working = work_is_done.clone();
                scope.spawn(|| {
                    let _working = working;
                    while let Some(sighting) = next() {
                        bar.inc_length(1);
                        let line = self.one(sighting, &submission, &engine, &receipts, &tally);
                        let printed = line.map_or(Ok(()), |line| bar.suspend(|| self.print(&line)));
                        bar.inc(1);
                        if let Err(error) = printed {
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            return;
                        }
                    }
                });
            }
            drop(work_is_done);
        });
        bar.finish_and_clear();
        if stamp(&engine) {
            refresh_all(&engine, &receipts.written());
        }
        tell_of_witnesses(&engine, tally.without_quorum.load(Ordering::Relaxed));
        let flushed = receipts.flush();
        let settled = open::settle(archive, &engine);
        tally.print(started.elapsed().as_secs_f64());
        flushed.and(settled)?;
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if tally.errors.into_inner() > 0 => Ok(Answer::No),
            None => Ok(Answer::Yes),
        }
    }

    /// Registers what a walk came upon and says what came of it, unless it is no work.
    fn one(
        &self,
        sighting: Result<Sighting, WalkError>,
        submission: &Submission<'_>,
        engine: &Engine,
        receipts: &Receipts,
        tally: &Tally,
    ) -> Option<RegisterJson> {
        let line = match sighting {
            Ok(Sighting::Receipt(_)) => {
                count(&tally.receipts_skipped);
                return None;
            }
            Ok(Sighting::Archive(_)) => {
                count(&tally.archives_skipped);
                return None;
            }
            Err(error) => failed(&error.path, error.reason),
            Ok(Sighting::File(found)) => match register(&found.path, submission, engine) {
                Ok(registration) => {
                    let index = registration.receipt.anchors[0].index;
                    let quorum = engine.log.has_quorum(index);
                    if quorum == Some(false) {
                        count(&tally.without_quorum);
                    }
                    RegisterJson { quorum, ..self.hand_out(&found, registration, receipts) }
                }
                Err(error) => failed(&found.path, error_words(error)),
            },
        };
        count(match line.status {
            "registered" => &tally.registered,
            "duplicate" => &tally.duplicates,
            _ => &tally.errors,
        });
        Some(line)
    }

    /// Puts the receipt where its owner finds it.
    fn hand_out(
        &self,
        found: &Found,
        registration: Registration,
        receipts: &Receipts,
    ) -> RegisterJson {
        let receipt = &registration.receipt;
        let content = receipt.claim.work.content();
        let mut line = RegisterJson {
            file: path_text(&found.path),
            status: match registration.status {
                Status::Registered => "registered",
                Status::Duplicate => "duplicate",
            },
            work: Some(content.to_string()),
            sha256: Some(content.sha256_hex()),
            cid: Some(content.to_string()),
            index: Some(receipt.anchors[0].index),
            fingerprints: receipt.claim.fingerprints.iter().map(|f| f.kind().to_owned()).collect(),
            similar: registration.similar.iter().map(MatchJson::of).collect(),
            not_taken: registration.not_taken,
            ..RegisterJson::default()
        };
        let file = &line.file;
        for finding in registration.similar.iter().filter(|_| !self.json) {
            let how = match finding.method {
                Method::Exact => "has the same bytes as",
                Method::Code(_) | Method::Keypoints | Method::Neural => "looks like",
            };
            remark(&format!("{file} {how} an earlier work: {}", finding_words(finding)));
        }
        if !line.not_taken.is_empty() && !self.json {
            let not_taken = line.not_taken.join(", ");
            remark(&format!("{file}: the earlier claim stands; not taken: {not_taken}"));
        }
        if let Some(behind) = registration.behind.map(error_words) {
            remark(&format!("{file}: registered; the index follows at the next start: {behind}"));
        }
        match receipts.write(found, receipt) {
            Ok(path) => line.receipt = Some(path_text(&path)),
            Err(error) => {
                line.status = "error";
                line.error = Some(format!(
                    "it is registered, but its receipt cannot be written ({error:#}); registering it \
                     again writes the same receipt"
                ));
            }
        }
        line
    }

    fn print(&self, line: &RegisterJson) -> Result<()> {
        if self.json { print_json(line) } else { print_line(&line.words()) }
    }
}

impl RegisterJson {
    fn words(&self) -> String {
        let file = legible(&self.file);
        match (&self.error, &self.receipt) {
            (Some(error), _) => format!("error       {file}: {}", legible(error)),
            (None, receipt) => format!(
                "{:<11} {file}  entry {}  receipt {}{}",
                self.status,
                self.index.unwrap_or_default(),
                receipt.as_ref().map_or_else(|| "-".to_owned(), legible),
                if self.fingerprints.is_empty() {
                    "  (no picture: found by its exact bytes)"
                } else {
                    ""
                },
            ),
        }
    }
}

impl Tally {
    fn print(&self, seconds: f64) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let works = get(&self.registered) + get(&self.duplicates) + get(&self.errors);
        remark(&format!(
            "{works} files: {} registered, {} duplicates, {} errors; {} receipts and {} archives skipped; \
             {seconds:.2} s, {:.0} files a second",
            get(&self.registered),
            get(&self.duplicates),
            get(&self.errors),
            get(&self.receipts_skipped),
            get(&self.archives_skipped),
            works as f64 / seconds.max(1e-9),
        ));
    }
}

/// Has the authorities stamp the newest checkpoint. Returns whether any did. Those that did not cost their
/// tokens only.
fn stamp(engine: &Engine) -> bool {
    match engine.log.stamp() {
        Ok(Some(stamped)) => {
            stamped.failures.iter().for_each(|failure| remark(&failure.to_string()));
            if let Some(seconds) = stamped.disagreement_seconds {
                remark(&format!("the time-stamp authorities disagree by {seconds} s"));
            }
            !stamped.tokens.is_empty()
        }
        Ok(None) => false,
        Err(error) => {
            remark(&format!("nothing was time-stamped: {error}"));
            false
        }
    }
}

/// Adds to the receipts of this run what has been said of the log since.
fn refresh_all(engine: &Engine, paths: &[PathBuf]) {
    let bar = progress::counter("adding time-stamps", paths.len() as u64);
    for path in paths {
        if let Err(error) = refresh(engine, path) {
            let file = legible(path);
            bar.suspend(|| remark(&format!("{file}: no time-stamps were added: {error:#}")));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
}

/// Adds to a receipt file what has been said of the log since. Returns the receipt and whether it is new.
pub(crate) fn refresh(engine: &Engine, path: &Path) -> Result<(Receipt, bool)> {
    let mut receipt = Receipt::parse(&read_receipt(path)?)?;
    let is_new = engine.log.refresh(&mut receipt)?;
    if is_new {
        receipts::replace(path, &receipt)?;
    }
    Ok((receipt, is_new))
}

/// Says what came of asking the witnesses.
pub(crate) fn tell_of_witnesses(engine: &Engine, without_quorum: u64) {
    engine.log.endorsers_failures().iter().for_each(|failure| remark(failure));
    if without_quorum > 0 {
        remark(&format!(
            "{without_quorum} receipts lack the quorum of witnesses and prove no time yet; `timemark receipt \
             refresh` adds it when the witnesses are back"
        ));
    }
}

fn failed(path: &Path, error: String) -> RegisterJson {
    let file = path_text(path);
    RegisterJson { file, status: "error", error: Some(error), ..RegisterJson::default() }
}

fn path_text(path: &Path) -> String {
    json_text(path.as_os_str().as_encoded_bytes())
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

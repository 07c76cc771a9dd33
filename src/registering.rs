//! Many registrations in one run: the threads, time-stamps on the way, receipts handed out, a line for each file.
//!
//! What there is to register, and what is said of it, comes as [`Task`]s, one at a time: a run holds as many as it
//! has threads.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;
use serde::Serialize;
use timemark_ingest::{
    CreatorKey, Engine, Found, Method, Registration, Sighting, Status, Submission, WalkError,
    register,
};
use timemark_store::encoding::Recipients;
use timemark_verify::{ContentId, Receipt};
use timemark_vision::Kind;

use crate::outcome::{
    Answer, MatchJson, error_words, finding_words, json_text, legible, print_json, print_line,
    remark,
};
use crate::receipts::{self, Receipts};
use crate::storage::Setting;
use crate::verbs::store;
use crate::verbs::verify::read_receipt;
use crate::{open, packing, progress};

// How to register, whatever it is. No doc comment: clap would show it as that of the verb.
#[derive(clap::Args)]
pub(crate) struct How {
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
    /// Keep the digests of works and what they look like, and not the works themselves; copies are found all the same
    #[arg(long)]
    hash_only: bool,
    /// Seal the works to the holder of this key (age1…) and nobody else; may be given several times
    #[arg(long, value_name = "KEY", conflicts_with = "hash_only")]
    seal_to: Vec<String>,
    /// Works under way at a time; 1 registers in the order of the names
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Print JSON Lines
    #[arg(long)]
    pub json: bool,
}

/// What a claimant says of a work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Words {
    pub title: Option<String>,
    pub claimant: Option<String>,
    pub created: Option<String>,
    pub rights: Option<String>,
    pub collection: Option<String>,
}

/// Something to register.
pub(crate) struct Task<'a> {
    /// The file, or why there is none.
    pub sighting: Result<Sighting, WalkError>,
    pub said: Cow<'a, Words>,
    /// The line of the catalogue that lists it.
    pub line: Option<u64>,
    /// By how much the bar goes on when it is done.
    pub steps: u64,
}

/// What came of one file, for programs.
#[derive(Serialize, Default)]
pub(crate) struct RegisterJson {
    file: String,
    status: &'static str,
    work: Option<String>,
    #[serde(skip)]
    content: Option<ContentId>,
    sha256: Option<String>,
    cid: Option<String>,
    /// What an IPFS node calls the same bytes.
    dag_cid: Option<String>,
    index: Option<u64>,
    /// `true` where the bytes of the work are kept, in whichever store.
    kept: Option<bool>,
    receipt: Option<String>,
    /// Whether the policy's quorum of witnesses vouches for the receipt; absent where none is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<bool>,
    /// The kinds of fingerprints by which edited copies are found; none for what is no picture.
    fingerprints: Vec<String>,
    similar: Vec<MatchJson>,
    /// What was said now and is not in the earlier claim of a duplicate.
    not_taken: Vec<&'static str>,
    pub error: Option<String>,
    /// The line of the catalogue on which the row begins; absent without a catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

/// What came of a run so far.
#[derive(Default)]
pub(crate) struct Tally {
    registered: AtomicU64,
    duplicates: AtomicU64,
    errors: AtomicU64,
    receipts_skipped: AtomicU64,
    archives_skipped: AtomicU64,
    without_quorum: AtomicU64,
}

/// An open archive that takes in works.
pub(crate) struct Registering<'a> {
    archive: &'a Path,
    how: &'a How,
    /// The catalogue that lists the works, if one does.
    catalogue: Option<&'a Path>,
    creator_key: Option<CreatorKey>,
    seal_to: Option<Recipients>,
    receipts: Receipts,
    engine: Engine,
    /// Whether the run goes on until somebody stops it: receipts do not wait for its end, then.
    without_end: bool,
    /// Whether works are packed once they are registered.
    pack: bool,
    tally: Tally,
    /// Receipts that wait for the time-stamps of this run, where authorities are asked: some 100 bytes each,
    /// 10 MB for 100,000 works. Everything else that a run holds is of the files under way.
    unstamped: Mutex<Vec<PathBuf>>,
    /// Files that could not be registered for a reason that may pass, for who tries them again.
    unlucky: Mutex<Vec<PathBuf>>,
}

impl How {
    /// What is said of a work, registered this way.
    pub fn submission<'a>(
        &self,
        words: &'a Words,
        creator_key: Option<&'a CreatorKey>,
        seal_to: Option<&'a Recipients>,
    ) -> Submission<'a> {
        Submission {
            creator_key,
            seal_to,
            second_kind: self.second_hash,
            bytes_only: self.bytes_only,
            hash_only: self.hash_only,
            ..words.submission()
        }
    }

    pub fn creator_key(&self) -> Result<Option<CreatorKey>> {
        Ok(self.creator_key.as_deref().map(CreatorKey::read).transpose()?)
    }

    /// To whom the works are sealed, where that was said.
    pub fn recipients(&self) -> Result<Option<Recipients>> {
        match &self.seal_to[..] {
            [] => Ok(None),
            keys => Ok(Some(Recipients::parse(keys.iter().map(String::as_str))?)),
        }
    }
}

impl Words {
    pub fn submission(&self) -> Submission<'_> {
        Submission {
            title: self.title.as_deref(),
            claimant: self.claimant.as_deref(),
            created: self.created.as_deref(),
            rights: self.rights.as_deref(),
            collection: self.collection.as_deref(),
            ..Submission::default()
        }
    }

    pub fn name_nobody(&self) -> bool {
        self.claimant.as_deref().is_none_or(str::is_empty)
    }
}

impl<'a> Registering<'a> {
    /// Opens the archive, which is made if it is missing, and prepares for receipts.
    pub fn open(
        archive: &'a Path,
        how: &'a How,
        catalogue: Option<&'a Path>,
    ) -> Result<Registering<'a>> {
        let creator_key = how.creator_key()?;
        let seal_to = how.recipients()?;
        let receipts = Receipts::new(how.receipts.as_deref())?;
        let engine = open::open_or_create(archive)?;
        Ok(Registering {
            archive,
            how,
            catalogue,
            creator_key,
            seal_to,
            receipts,
            engine,
            without_end: false,
            pack: Setting::of(archive)?.pack,
            tally: Tally::default(),
            unstamped: Mutex::default(),
            unlucky: Mutex::default(),
        })
    }

    /// A run that goes on until somebody stops it.
    pub fn without_end(self) -> Registering<'a> {
        Registering { without_end: true, ..self }
    }

    /// Which files could not be registered since this was last asked, for a reason that lies not in them.
    pub fn take_unlucky(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.unlucky.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Registers all of it and prints a line for each. `look` is asked in many threads what to do with a thing.
    pub fn all<'t, T: Send>(
        &self,
        things: impl Iterator<Item = T> + Send,
        bar: &ProgressBar,
        look: impl Fn(T) -> Task<'t> + Sync,
    ) -> Result<Answer> {
        let started = Instant::now();
        let engine = &self.engine;
        engine.works.start_sending();
        let things = Mutex::new(things);
        let failure = Mutex::new(None);
        let next = || things.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (work_is_done, done) = mpsc::channel::<()>();
        let (to_pack, registered) = mpsc::sync_channel(TO_PACK_MAX);
        let to_pack = self.pack.then_some(to_pack);
        let is_over = AtomicBool::new(false);
        // Most of these threads wait for the log, whose flush they share; few decode at a time.
        std::thread::scope(|scope| {
            if engine.log.has_authorities() {
                // A run of hours is stamped on the way; the sender goes with the last worker.
                scope.spawn(move || {
                    let mut stamped = engine.log.size();
                    while done.recv_timeout(STAMP_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                        let size = engine.log.size();
                        if size > stamped && self.stamp_on_the_way() {
                            stamped = size;
                        }
                    }
                });
            }
            if self.pack {
                let is_over = &is_over;
                scope.spawn(move || packing::in_background(&engine.works, registered, is_over));
            }
            let mut workers = Vec::new();
            for _ in 0..self.how.jobs {
                let (working, to_pack) = (work_is_done.clone(), to_pack.clone());
                let (next, look, failure) = (&next, &look, &failure);
                workers.push(scope.spawn(move || {
                    let _working = working;
                    while let Some(thing) = next() {
                        let task = look(thing);
                        let steps = task.steps;
                        let line = self.one(task);
                        let content = line.as_ref().and_then(|line| line.content);
                        if let (Some(to_pack), Some(content)) = (&to_pack, content) {
                            // What is too much for now is left to `store pack`.
                            let _ = to_pack.try_send(content);
                        }
                        let printed = line.map_or(Ok(()), |line| bar.suspend(|| self.print(&line)));
                        bar.inc(steps);
                        if let Err(error) = printed {
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            return;
                        }
                    }
                }));
            }
            drop((work_is_done, to_pack));
            for worker in workers {
                if let Err(panic) = worker.join() {
                    std::panic::resume_unwind(panic);
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        bar.finish_and_clear();
        if stamp(engine) {
            refresh_all(engine, self.take_unstamped());
        }
        if let Some(progress) = store::drain(&engine.works, SENDING_PATIENCE) {
            store::tell_of_waiting(&progress);
        }
        tell_of_witnesses(engine, self.tally.without_quorum.load(Ordering::Relaxed));
        let flushed = self.receipts.flush();
        let settled = open::settle(self.archive, engine);
        self.tally.print(self.catalogue.is_some(), started.elapsed().as_secs_f64());
        flushed.and(settled)?;
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if self.tally.errors() > 0 => Ok(Answer::No),
            None => Ok(Answer::Yes),
        }
    }

    /// Registers one thing and says what came of it, unless it is no work.
    fn one(&self, task: Task<'_>) -> Option<RegisterJson> {
        let (creator_key, seal_to) = (self.creator_key.as_ref(), self.seal_to.as_ref());
        let submission = self.how.submission(&task.said, creator_key, seal_to);
        let line = match task.sighting {
            Ok(Sighting::Receipt(_)) => {
                count(&self.tally.receipts_skipped);
                return None;
            }
            Ok(Sighting::Archive(_)) => {
                count(&self.tally.archives_skipped);
                return None;
            }
            Err(error) => RegisterJson::failed(&error.path, error.reason),
            Ok(Sighting::File(found)) => match register(&found.path, &submission, &self.engine) {
                Ok(registration) => {
                    let index = registration.receipt.anchors[0].index;
                    let quorum = self.engine.log.has_quorum(index);
                    if quorum == Some(false) {
                        count(&self.tally.without_quorum);
                    }
                    RegisterJson { quorum, ..self.hand_out(&found, registration) }
                }
                Err(error) => {
                    if error.may_pass() {
                        let mut unlucky =
                            self.unlucky.lock().unwrap_or_else(PoisonError::into_inner);
                        if unlucky.len() < UNLUCKY_MAX {
                            unlucky.push(found.path.clone());
                        }
                    }
                    RegisterJson::failed(&found.path, error_words(error))
                }
            },
        };
        count(match line.status {
            "registered" => &self.tally.registered,
            "duplicate" => &self.tally.duplicates,
            _ => &self.tally.errors,
        });
        Some(line.of_line(task.line))
    }

    /// Puts the receipt where its owner finds it.
    fn hand_out(&self, found: &Found, registration: Registration) -> RegisterJson {
        let receipt = &registration.receipt;
        let content = receipt.claim.work.content();
        // A courtesy: the registration stands whatever the store says now.
        let place = self.engine.works.recorded(&content).ok();
        let mut line = RegisterJson {
            file: path_text(&found.path),
            status: match registration.status {
                Status::Registered => "registered",
                Status::Duplicate => "duplicate",
            },
            work: Some(content.to_string()),
            content: Some(content),
            sha256: Some(content.sha256_hex()),
            cid: Some(content.to_string()),
            dag_cid: place.as_ref().map(|place| place.work.dag.to_string()),
            kept: place.as_ref().map(|place| place.kept.is_some()),
            index: Some(receipt.anchors[0].index),
            fingerprints: receipt.claim.fingerprints.iter().map(|f| f.kind().to_owned()).collect(),
            similar: registration.similar.iter().map(MatchJson::of).collect(),
            not_taken: registration.not_taken,
            ..RegisterJson::default()
        };
        let file = &line.file;
        for finding in registration.similar.iter().filter(|_| !self.how.json) {
            let how = match finding.method {
                Method::Exact => "has the same bytes as",
                Method::Code(_) | Method::Keypoints | Method::Neural => "looks like",
            };
            remark(&format!("{file} {how} an earlier work: {}", finding_words(finding)));
        }
        let kept = place.as_ref().and_then(|place| place.kept.as_ref());
        let in_clear = kept.is_some_and(|kept| !kept.encoding.sealed);
        if in_clear && (self.how.hash_only || self.seal_to.is_some()) {
            remark(&format!("{file}: it is kept already, in clear, and stays so"));
        }
        if !line.not_taken.is_empty() && !self.how.json {
            let not_taken = line.not_taken.join(", ");
            remark(&format!("{file}: the earlier claim stands; not taken: {not_taken}"));
        }
        if let Some(behind) = registration.behind.map(error_words) {
            remark(&format!("{file}: registered; the index follows at the next start: {behind}"));
        }
        match self.receipts.write(found, receipt) {
            Ok(path) => {
                line.receipt = Some(path_text(&path));
                if self.engine.log.has_authorities() {
                    self.unstamped.lock().unwrap_or_else(PoisonError::into_inner).push(path);
                }
            }
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

    /// Has what is registered so far stamped, and hands the tokens out if nobody knows when else.
    fn stamp_on_the_way(&self) -> bool {
        let waiting = if self.without_end { self.take_unstamped() } else { Vec::new() };
        let is_stamped = stamp(&self.engine);
        if is_stamped {
            refresh_all(&self.engine, waiting);
        } else {
            let mut unstamped = self.unstamped.lock().unwrap_or_else(PoisonError::into_inner);
            unstamped.extend(waiting);
        }
        is_stamped
    }

    /// Where the receipts of this run lie, each once.
    fn take_unstamped(&self) -> Vec<PathBuf> {
        let mut unstamped = self.unstamped.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paths = std::mem::take(&mut *unstamped);
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn print(&self, line: &RegisterJson) -> Result<()> {
        line.print(self.how, self.catalogue)
    }
}

impl RegisterJson {
    pub fn failed(path: &Path, error: String) -> RegisterJson {
        let file = path_text(path);
        RegisterJson { file, status: "error", error: Some(error), ..RegisterJson::default() }
    }

    /// A file that could be registered.
    pub fn checked(path: &Path) -> RegisterJson {
        let file = path_text(path);
        RegisterJson { file, status: "checked", ..RegisterJson::default() }
    }

    /// The same, listed on this line of a catalogue.
    pub fn of_line(self, line: Option<u64>) -> RegisterJson {
        RegisterJson { line, ..self }
    }

    pub fn print(&self, how: &How, catalogue: Option<&Path>) -> Result<()> {
        if how.json { print_json(self) } else { print_line(&self.words(catalogue)) }
    }

    fn words(&self, catalogue: Option<&Path>) -> String {
        let file = legible(&self.file);
        match (&self.error, &self.receipt) {
            (Some(error), _) => {
                let place = match (catalogue, self.line) {
                    (Some(catalogue), Some(line)) => format!("{}:{line}: ", legible(catalogue)),
                    _ => String::new(),
                };
                // A row that cannot be read names no file.
                let file = if file.is_empty() { file } else { format!("{file}: ") };
                format!("error       {place}{file}{}", legible(error))
            }
            (None, None) => format!("{:<11} {file}", self.status),
            (None, Some(receipt)) => format!(
                "{:<11} {file}  entry {}  receipt {}{}",
                self.status,
                self.index.unwrap_or_default(),
                legible(receipt),
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
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn print(&self, of_rows: bool, seconds: f64) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (registered, duplicates) = (get(&self.registered), get(&self.duplicates));
        let works = registered + duplicates + self.errors();
        let (unit, skipped) = match of_rows {
            true => ("rows", String::new()),
            false => {
                let (receipts, archives) =
                    (get(&self.receipts_skipped), get(&self.archives_skipped));
                ("files", format!("; {receipts} receipts and {archives} archives skipped"))
            }
        };
        if of_rows && registered == 0 && duplicates > 0 {
            remark("nothing was registered: what could be read is in the log already");
        }
        remark(&format!(
            "{works} {unit}: {registered} registered, {duplicates} duplicates, {} errors{skipped}; \
             {seconds:.2} s, {:.0} {unit} a second",
            self.errors(),
            works as f64 / seconds.max(1e-9),
        ));
    }
}

/// Has the authorities stamp the newest checkpoint. Returns whether any did. Those that did not cost their
/// tokens only.
pub(crate) fn stamp(engine: &Engine) -> bool {
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
fn refresh_all(engine: &Engine, paths: Vec<PathBuf>) {
    let bar = progress::counter("adding time-stamps", paths.len() as u64);
    for path in paths {
        if let Err(error) = refresh(engine, &path) {
            let file = legible(&path);
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

fn path_text(path: &Path) -> String {
    json_text(path.as_os_str().as_encoded_bytes())
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Works that may wait to be packed, 32 bytes each.
const TO_PACK_MAX: usize = 1 << 16;
/// Files that are remembered as unlucky.
const UNLUCKY_MAX: usize = 1 << 16;
/// How long a run waits for a store elsewhere at its end while nothing arrives there.
const SENDING_PATIENCE: Duration = Duration::from_secs(10);
/// How often a long run has its newest checkpoint time-stamped.
pub(crate) const STAMP_INTERVAL: Duration = Duration::from_secs(60);

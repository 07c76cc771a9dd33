//! `timemark register`: files become receipts.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use timemark_index::Kind;
use timemark_ingest::{
    CreatorKey, Engine, Found, Registration, Sighting, Status, Submission, WalkError, register,
    walk,
};
use timemark_verify::{Receipt, escape};

use crate::outcome::{Answer, MatchJson, finding_words, print_json, print_line};
use crate::{open, progress};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    /// The kinds of fingerprints by which edited copies are found; none for what is no picture.
    fingerprints: Vec<String>,
    similar: Vec<MatchJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Default)]
struct Tally {
    registered: AtomicU64,
    duplicates: AtomicU64,
    errors: AtomicU64,
    receipts_skipped: AtomicU64,
    archives_skipped: AtomicU64,
}

impl Register {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        if !open::exists(archive) {
            let verifier = open::create(archive, None, None)?;
            eprintln!(
                "made the archive {}, whose log is verified by {verifier}",
                archive.display()
            );
        }
        let creator_key = self.creator_key.as_deref().map(CreatorKey::read).transpose()?;
        let submission = Submission {
            title: self.title.as_deref(),
            claimant: self.claimant.as_deref(),
            created: self.created.as_deref(),
            rights: self.rights.as_deref(),
            creator_key: creator_key.as_ref(),
            second_kind: self.second_hash,
            bytes_only: self.bytes_only,
        };
        let engine = open::open(archive)?;
        let started = Instant::now();
        let tally = Tally::default();
        let bar = progress::growing("registering");
        let sightings = Mutex::new(self.paths.iter().flat_map(|path| walk(path)));
        let failure = Mutex::new(None);
        let next = || sightings.lock().unwrap_or_else(PoisonError::into_inner).next();
        // Most of these threads wait for the log, whose flush they share; few decode at a time.
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    while let Some(sighting) = next() {
                        bar.inc_length(1);
                        let printed = self.one(sighting, &submission, &engine, &tally, &bar);
                        bar.inc(1);
                        if let Err(error) = printed {
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            return;
                        }
                    }
                });
            }
        });
        bar.finish_and_clear();
        self.flush_receipts()?;
        engine.settle()?;
        tally.print(started.elapsed().as_secs_f64());
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if tally.errors.into_inner() > 0 => Ok(Answer::No),
            None => Ok(Answer::Yes),
        }
    }

    /// Registers what a walk came upon and says what came of it. An error is that nobody can be told.
    fn one(
        &self,
        sighting: Result<Sighting, WalkError>,
        submission: &Submission<'_>,
        engine: &Engine,
        tally: &Tally,
        bar: &indicatif::ProgressBar,
    ) -> Result<()> {
        let line = match sighting {
            Ok(Sighting::Receipt(_)) => {
                count(&tally.receipts_skipped);
                return Ok(());
            }
            Ok(Sighting::Archive(_)) => {
                count(&tally.archives_skipped);
                return Ok(());
            }
            Err(error) => failed(&error.path, error.reason),
            Ok(Sighting::File(found)) => match register(&found.path, submission, engine) {
                Ok(registration) => self.hand_out(&found, &registration),
                Err(error) => failed(&found.path, format!("{:#}", anyhow::Error::from(error))),
            },
        };
        count(match line.status {
            "registered" => &tally.registered,
            "duplicate" => &tally.duplicates,
            _ => &tally.errors,
        });
        bar.suspend(|| if self.json { print_json(&line) } else { print_line(&line.words()) })
    }

    /// Puts the receipt where its owner finds it.
    fn hand_out(&self, found: &Found, registration: &Registration) -> RegisterJson {
        let receipt = &registration.receipt;
        let content = receipt.claim.work.content();
        let mut line = RegisterJson {
            file: display(&found.path),
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
            ..RegisterJson::default()
        };
        for finding in registration.similar.iter().filter(|_| !self.json) {
            eprintln!("{} looks like an earlier work: {}", line.file, finding_words(finding));
        }
        if let Some(behind) = &registration.behind {
            eprintln!("{}: registered; the index follows at the next start: {behind}", line.file);
        }
        match self.write_receipt(found, receipt) {
            Ok(path) => line.receipt = Some(display(&path)),
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

    /// Writes a receipt as `<file name>.timemark`. A file that is there already is never overwritten: it
    /// may be the proof of an earlier version of the work.
    fn write_receipt(&self, found: &Found, receipt: &Receipt) -> Result<PathBuf> {
        let target = match &self.receipts {
            Some(dir) => dir.join(&found.below),
            None => found.path.clone(),
        };
        let dir =
            target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(dir).with_context(|| display(dir))?;
        let sha256 = receipt.claim.work.content().sha256_hex();
        let index = receipt.anchors[0].index;
        for suffix in
            ["".to_owned(), format!(".{}", &sha256[..8]), format!(".{}-{index}", &sha256[..8])]
        {
            let mut name = target.clone().into_os_string();
            name.push(format!("{suffix}.{}", Receipt::FILE_EXTENSION));
            let path = PathBuf::from(name);
            if is_receipt_of(&path, receipt) {
                return Ok(path);
            }
            let mut file = tempfile::Builder::new().prefix(".timemark-").tempfile_in(dir)?;
            write!(file, "{receipt}")?;
            set_readable(file.as_file())?;
            match file.persist_noclobber(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
                    // Another thread may have been faster with the same receipt.
                    if is_receipt_of(&path, receipt) {
                        return Ok(path);
                    }
                }
                Err(error) => return Err(error.error).with_context(|| display(&path)),
            }
        }
        anyhow::bail!("every name for it is taken")
    }

    /// One flush for all receipts of the run. Until then they are no loss: the archive holds the proof.
    fn flush_receipts(&self) -> Result<()> {
        let roots =
            self.receipts.iter().chain(self.paths.iter().filter(|_| self.receipts.is_none()));
        for root in roots {
            if let Ok(root) = File::open(root) {
                rustix::fs::syncfs(&root).context("the receipts cannot be flushed")?;
            }
        }
        Ok(())
    }
}

impl RegisterJson {
    fn words(&self) -> String {
        match (&self.error, &self.receipt) {
            (Some(error), _) => format!("error       {}: {error}", self.file),
            (None, receipt) => format!(
                "{:<11} {}  entry {}  receipt {}{}",
                self.status,
                self.file,
                self.index.unwrap_or_default(),
                receipt.as_deref().unwrap_or("-"),
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
        eprintln!(
            "{works} files: {} registered, {} duplicates, {} errors; {} receipts and {} archives skipped; \
             {seconds:.2} s, {:.0} files a second",
            get(&self.registered),
            get(&self.duplicates),
            get(&self.errors),
            get(&self.receipts_skipped),
            get(&self.archives_skipped),
            works as f64 / seconds.max(1e-9),
        );
    }
}

fn failed(path: &Path, error: String) -> RegisterJson {
    let file = display(path);
    RegisterJson { file, status: "error", error: Some(error), ..RegisterJson::default() }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn display(path: &Path) -> String {
    match path.to_str() {
        Some(path) => path.to_owned(),
        None => escape(path.as_os_str().as_encoded_bytes()),
    }
}

/// Whether a good receipt of the same leaf lies there; it may hold further anchors.
fn is_receipt_of(path: &Path, receipt: &Receipt) -> bool {
    fs::read(path)
        .is_ok_and(|bytes| Receipt::parse(&bytes).is_ok_and(|found| found.leaf == receipt.leaf))
}

/// Temporary files are private; a receipt is made to be shown.
#[cfg(unix)]
fn set_readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_readable(_: &File) -> std::io::Result<()> {
    Ok(())
}

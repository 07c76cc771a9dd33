//! Makes evidence bundles of what a party names: for `timemark bundle`, and for the service.
//!
//! Matches are compared anew, at full depth, so that what the bundle shows is about the bytes that lie in it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timemark_api::bundles::Tell;
use timemark_bundle::{Facts, Item, Maker, Part, papers, write};
use timemark_ingest::sources::{Captured, Progress, Source};
use timemark_ingest::{
    Asked, Engine, Finding, Outcome as Compared, Registration, ScanOptions, Scanned, Submission,
    Summary, register, scan,
};
use timemark_review::ResultJson;
use timemark_verify::{
    Answer as Verdict, BundleOutcome, BundleReader, ContentId, ExpertSubject, Manifest, Outcome,
    Policy, Profile, Receipt, Trust, TrustSource, TrustTold, expert_corner,
};

use crate::outcome::{json_text, legible};
use crate::report::{About, Report, THUMBNAIL_SIDE_MAX};
use crate::verbs::certificate;
use crate::verbs::verify::digest;

/// What is to be in a bundle.
pub(crate) struct Bundling<'a> {
    pub engine: &'a Engine,
    /// The text of the policy that goes along.
    pub policy_text: &'a str,
    /// The verifier's page.
    pub page: &'a [u8],
    pub profile: Profile,
    /// They suffice for the profile.
    pub facts: &'a Facts,
    /// Whether the works are left away.
    pub hash_only: bool,
    /// The receipts of works, by entry.
    pub receipts: BTreeMap<u64, Receipt>,
    pub suspects: Vec<Suspect>,
    /// What of the works that the suspects are copies of is told; all, where it is none.
    pub tell: Option<Tell<'a>>,
    /// What the claim of the manifest calls the bundle.
    pub name: &'a str,
    /// Where folders may lie until it is made.
    pub scratch: &'a Path,
}

/// A file to show as a copy of a work.
pub(crate) struct Suspect {
    pub path: PathBuf,
    /// How it is called, if not by its path.
    pub called: Option<String>,
    /// Where a web archive had it from.
    pub captured: Option<Captured>,
    /// What it has to be, where that is known: its bytes, and the works that it has to be a copy of.
    pub known: Option<(ContentId, Vec<ContentId>)>,
}

/// A bundle that was made.
pub(crate) struct Made {
    pub works: usize,
    pub suspects: usize,
    pub files: usize,
    pub bytes: u64,
    pub manifest_sha256: String,
    /// Of the manifest.
    pub registration: Registration,
    pub policy_sha256: String,
    pub verdict: Verdict,
}

/// What is named makes no evidence.
#[derive(Debug)]
pub(crate) struct NoEvidence(String);

impl fmt::Display for NoEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoEvidence {}

/// A work on its way into the bundle.
struct Work {
    receipt: Receipt,
    /// Where it lies in the bundle.
    path: String,
    outcome: Outcome,
}

impl Suspect {
    /// A file that is called by its path.
    pub fn of_file(path: PathBuf) -> Suspect {
        Suspect { path, called: None, captured: None, known: None }
    }

    fn source(&self) -> Source {
        match &self.called {
            Some(name) => Source::Called { path: self.path.clone(), name: name.clone() },
            None => Source::Path(self.path.clone()),
        }
    }

    fn text(&self) -> String {
        let by_path = || json_text(self.path.as_os_str().as_encoded_bytes());
        self.called.clone().unwrap_or_else(by_path)
    }

    /// The last part of what it is called.
    fn file_name(&self) -> String {
        let text = self.text();
        text.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
    }
}

impl Bundling<'_> {
    /// Writes the bundle to an empty file, and has it verified as its reader will. `before` is told the SHA-256 of the
    /// manifest when all that can be known to go wrong has been looked at, and nothing was registered yet.
    pub fn make(
        mut self,
        out: &mut File,
        before: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Made> {
        let policy = Policy::parse(self.policy_text.as_bytes())?;
        let policy_sha256 = HEXLOWER.encode(&Sha256::digest(self.policy_text));
        let told = TrustTold { sha256: policy_sha256.clone(), source: TrustSource::Bundle };
        let trust = Trust { policy: &policy, told: &told };
        let is_shown = !self.hash_only || self.suspects.is_empty();
        refuse_unless(is_shown, || {
            "a match is shown by its pictures; leave --hash-only away".to_owned()
        })?;
        let scratch = tempfile::tempdir_in(self.scratch)?;
        for index in self.matched(scratch.path())? {
            let receipt = self.engine.log.receipt(index)?;
            self.receipts.insert(index, receipt);
        }
        refuse_unless(!self.receipts.is_empty(), || {
            "name works or matches to put into the bundle".to_owned()
        })?;
        let receipts = std::mem::take(&mut self.receipts);
        let works: Vec<Work> = (1..)
            .zip(receipts.into_values())
            .map(|(number, receipt)| self.work(number, receipt, trust))
            .collect::<Result<_>>()?;

        let mut parts = vec![
            Part::bytes(Manifest::POLICY, self.policy_text),
            Part::bytes("verify.html", self.page),
        ];
        parts.extend(self.papers(&works, &policy_sha256)?);
        self.add_works(&works, &mut parts)?;
        parts.extend(self.match_parts(scratch.path())?);
        let from_corner: Vec<String> =
            works.iter().map(|work| format!("../../{}", work.path)).collect();
        let subjects: Vec<ExpertSubject> = works
            .iter()
            .zip(&from_corner)
            .map(|(work, path)| ExpertSubject {
                work: (!self.hash_only).then_some(path.as_str()),
                receipt: &work.receipt,
            })
            .collect();
        let corner = expert_corner(&subjects, Some(&policy)).into_iter();
        parts.extend(corner.map(|file| Part::bytes(format!("expert/{}", file.name), file.bytes)));

        let mut registered = None;
        let mut register = |manifest: &str| -> Result<Registration> {
            before(&HEXLOWER.encode(&Sha256::digest(manifest)))?;
            self.register_manifest(manifest, scratch.path())
        };
        let manifest = write(out, self.profile, &parts, |manifest| match register(manifest) {
            Ok(registration) => {
                let receipt = registration.receipt.to_string();
                registered = Some(registration);
                Ok(receipt)
            }
            // So that whoever is told can see what it was.
            Err(error) => Err(error.into_boxed_dyn_error()),
        })?;
        let outcome = read_again(out, trust)?;
        ensure!(
            outcome.verdict != Verdict::Refused,
            "the bundle does not verify, which is a bug of ours: {}",
            outcome.reason
        );
        Ok(Made {
            works: works.len(),
            suspects: self.suspects.len(),
            files: manifest.files.len(),
            bytes: outcome.bytes,
            manifest_sha256: HEXLOWER.encode(&Sha256::digest(manifest.to_string())),
            registration: registered.context("a bundle without a registered manifest")?,
            policy_sha256,
            verdict: outcome.verdict,
        })
    }

    fn work(&self, number: usize, mut receipt: Receipt, trust: Trust) -> Result<Work> {
        self.engine.log.refresh(&mut receipt)?;
        let claim = &receipt.claim;
        let path = claim.path.as_deref().map(|path| String::from_utf8_lossy(path).into_owned());
        let name = path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or("work");
        let path = format!("works/{}", bundle_name(number, name));
        let outcome = Outcome::of_receipt(&claim.work, &path, &receipt, Some(trust));
        refuse_unless(outcome.verdict != Verdict::Refused, || {
            let reason = &outcome.reason;
            format!("the receipt of {path} is refused, which makes no evidence: {reason}")
        })?;
        let content = claim.work.content();
        refuse_unless(self.hash_only || self.engine.works.has(&content)?, || {
            format!(
                "the archive does not hold the work {content}; --hash-only (in JSON hash_only) bundles its digests"
            )
        })?;
        Ok(Work { receipt, path, outcome })
    }

    fn papers<'p>(&self, works: &[Work], policy_sha256: &str) -> Result<Vec<Part<'p>>> {
        let program = format!("timemark {}", env!("CARGO_PKG_VERSION"));
        let program_sha256 = digest(&std::env::current_exe()?)?.content().sha256_hex();
        let system = system();
        let maker = Maker {
            log: self.engine.log.verifier().name(),
            program: &program,
            program_sha256: &program_sha256,
            system: &system,
            policy_sha256,
        };
        let items: Vec<Item> = works
            .iter()
            .map(|work| Item {
                path: &work.path,
                is_hash_only: self.hash_only,
                outcome: &work.outcome,
            })
            .collect();
        let pages =
            if self.suspects.is_empty() { Vec::new() } else { vec![MATCHES_PAGE.to_owned()] };
        let papers = papers(self.profile, self.facts, &maker, &items, &pages)?.into_iter();
        Ok(papers.map(|paper| Part::bytes(paper.path, paper.text)).collect())
    }

    /// The works, their receipts and their certificates.
    fn add_works<'p>(&'p self, works: &[Work], parts: &mut Vec<Part<'p>>) -> Result<()> {
        let store = &self.engine.works;
        // A thumbnail is a picture of the work.
        let shown = (!self.hash_only).then_some(self.engine);
        for work in works {
            let content = work.receipt.claim.work.content();
            if !self.hash_only {
                parts.push(Part::stream(&work.path, move || {
                    store
                        .get(&content)
                        .map(|r| Box::new(r) as Box<dyn Read>)
                        .map_err(io::Error::other)
                }));
            }
            parts.push(Part::bytes(Manifest::receipt_of(&work.path), work.receipt.to_string()));
            if work.outcome.verdict == Verdict::Verified {
                let policy = self.policy_text.as_bytes();
                let issued = certificate::of_stored(&work.receipt, policy, shown)
                    .with_context(|| format!("the certificate of {}", work.path))?;
                parts.push(Part::bytes(format!("{}.certificate.pdf", work.path), issued.pdf));
            }
        }
        Ok(())
    }

    /// Compares the suspects at full depth, reports on them into `dir`, and returns the entries of the works of which they
    /// are copies.
    fn matched(&self, dir: &Path) -> Result<Vec<u64>> {
        if self.suspects.is_empty() {
            return Ok(Vec::new());
        }
        let about = About {
            sources: self.suspects.iter().map(Suspect::text).collect(),
            options: "--depth full".to_owned(),
            log: self.engine.log.verifier().name().to_owned(),
            entries: self.engine.log.size(),
        };
        let mut report = Report::open(&dir.join(MATCHES), &about, false)?;
        let options =
            ScanOptions { thumbnail_side: Some(THUMBNAIL_SIDE_MAX), ..ScanOptions::default() };
        let (mut works, mut told, mut failure) = (Vec::new(), Summary::default(), None);
        let mut shown = vec![false; self.suspects.len()];
        let mut tell = |mut scanned: Scanned| -> Result<()> {
            let content = scanned.content;
            let is_it = |suspect: &Suspect| {
                suspect.known.as_ref().is_some_and(|(known, _)| content.as_ref() == Some(known))
            };
            let suspect = self.suspects.iter().position(is_it);
            if let Some(tell) = self.tell {
                scanned.outcome = told_of(&scanned.outcome, tell)?;
            }
            if suspect.is_none() && self.suspects.iter().all(|suspect| suspect.known.is_some()) {
                return Ok(()); // something within a suspect, or a suspect that is another by now
            }
            let matches = scanned.outcome.matches();
            refuse_unless(!matches.is_empty(), || {
                let (name, status) = (legible(scanned.name.text()), scanned.outcome.status());
                format!("{name} is neither registered nor a copy of a registered work: {status}")
            })?;
            works.extend(matches.iter().map(|finding| finding.index));
            told.count(&scanned.outcome);
            if let Some(suspect) = suspect {
                shown[suspect] = true;
                self.suspects[suspect].check(&scanned)?;
                scanned.name.captured = self.suspects[suspect].captured.clone();
            }
            report.add(&scanned, ResultJson::of(&scanned))
        };
        let sources: Vec<Source> = self.suspects.iter().map(Suspect::source).collect();
        let (progress, mut is_done) = (Progress::default(), |_: &_, _: Asked<'_>| false);
        let scanned = scan(
            &sources,
            self.engine,
            options,
            &progress,
            &mut is_done,
            &mut |scanned| match tell(scanned) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        );
        if let Some(failure) = failure {
            return Err(failure);
        }
        scanned?;
        for (suspect, _) in self.suspects.iter().zip(shown).filter(|(_, is_shown)| !is_shown) {
            refuse_unless(suspect.known.is_none(), || {
                format!("{} is no longer the bytes that matched", legible(suspect.text()))
            })?;
        }
        // How long it took would be other bytes each time and is nobody's evidence.
        report.finish(self.engine, &told, 0.0, 0.0)?;
        Ok(works)
    }

    /// The report on the suspects, and the suspects themselves.
    fn match_parts<'p>(&self, scratch: &Path) -> Result<Vec<Part<'p>>> {
        let mut parts = Vec::new();
        if self.suspects.is_empty() {
            return Ok(parts);
        }
        for (number, suspect) in (1..).zip(&self.suspects) {
            let path = format!("suspects/{}", bundle_name(number, &suspect.file_name()));
            let suspect = suspect.path.clone();
            parts.push(Part::stream(path, move || Ok(Box::new(File::open(&suspect)?))));
        }
        for found in files_below(&scratch.join(MATCHES))? {
            let below = found.strip_prefix(scratch)?.to_str().context("a path of ours")?.to_owned();
            parts.push(Part::bytes(below, fs::read(&found)?));
        }
        Ok(parts)
    }

    /// The manifest is a work like any other: registered, and stored with the others.
    fn register_manifest(&self, manifest: &str, scratch: &Path) -> Result<Registration> {
        let path = scratch.join(Manifest::NAME);
        fs::write(&path, manifest).with_context(|| path.display().to_string())?;
        let title = format!("Manifest of the evidence bundle {}", self.name);
        let submission = Submission {
            title: Some(&title),
            stated_path: Some(Path::new(Manifest::NAME)),
            ..Submission::default()
        };
        let mut registration = register(&path, &submission, self.engine)?;
        self.engine.log.stamp()?;
        self.engine.log.refresh(&mut registration.receipt)?;
        Ok(registration)
    }
}

impl Suspect {
    /// Whether it is still a copy of what it was a copy of.
    fn check(&self, scanned: &Scanned) -> Result<()> {
        let works = self.known.iter().flat_map(|(_, works)| works);
        for work in works {
            let is_found = scanned.outcome.matches().iter().any(|found| found.work == *work);
            refuse_unless(is_found, || {
                format!("{} is not found to be a copy of {work} any more", legible(self.text()))
            })?;
        }
        Ok(())
    }
}

/// An outcome, of the works that are told.
fn told_of(outcome: &Compared, tell: Tell<'_>) -> Result<Arc<Compared>> {
    let some = |all: &[Finding]| {
        let told = all.iter().map(|one| tell(one.clone()).map_err(|error| anyhow!(error)));
        told.filter_map(Result::transpose).collect::<Result<Vec<_>>>()
    };
    Ok(Arc::new(match outcome {
        Compared::Compared { matches, related } => {
            Compared::Compared { matches: some(matches)?, related: some(related)? }
        }
        other => other.clone(),
    }))
}

fn refuse_unless(holds: bool, why: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(NoEvidence(why()).into()) }
}

/// What a reader of the bundle says of it.
fn read_again(out: &mut File, trust: Trust) -> Result<BundleOutcome> {
    let mut reader = BundleReader::default();
    out.rewind()?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match out.read(&mut buffer)? {
            0 => break,
            length => reader.update(&buffer[..length])?,
        }
    }
    Ok(reader.finish()?.outcome(Some(trust), None))
}

/// All files below a folder, in order.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() { files.extend(files_below(&entry)?) } else { files.push(entry) }
    }
    Ok(files)
}

/// A name that can lie in a bundle, and still tells what it was. No work is called like a receipt.
fn bundle_name(number: usize, name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if timemark_verify::is_bundle_path(&format!("a{c}a")) { c } else { '_' })
        .collect();
    let plain = plain.replace('/', "_");
    // What tells the type stands at the end.
    let from = plain.len() - plain.len().min(NAME_BYTES_MAX);
    let plain = &plain[plain.ceil_char_boundary(from)..];
    let plain = plain.trim_matches(|c: char| c.is_whitespace() || c == '.');
    let ending = if plain.ends_with(&format!(".{}", Receipt::FILE_EXTENSION)) { "_" } else { "" };
    format!("{number:04}-{}{ending}", if plain.is_empty() { "file" } else { plain })
}

/// The operating system, as it calls itself.
fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = name.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    format!("{name}, kernel {}, {}", kernel.trim(), std::env::consts::ARCH)
}

const MATCHES: &str = "matches";
const MATCHES_PAGE: &str = "matches/index.html";
/// File systems take names of 255 bytes; number and `.certificate.pdf` take 21 of them, other systems count otherwise.
const NAME_BYTES_MAX: usize = 160;

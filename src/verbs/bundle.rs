//! `timemark bundle`: works, receipts, matches and papers for a court, in one file that verifies by itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};
use timemark_bundle::{Facts, Item, Maker, Part, papers, write};
use timemark_ingest::sources::{Progress, Source};
use timemark_ingest::{Engine, ScanOptions, Submission, Summary, register, scan};
use timemark_review::ResultJson;
use timemark_verify::{
    Answer as Verdict, BundleReader, ContentId, ExpertSubject, Manifest, Outcome, Policy, Profile,
    Receipt, Trust, TrustSource, TrustTold, expert_corner,
};

use crate::open;
use crate::outcome::{Answer, json_text, legible, print_json, print_line, remark};
use crate::registering::tell_of_witnesses;
use crate::report::{About, Report, THUMBNAIL_SIDE_MAX};
use crate::verbs::certificate;
use crate::verbs::verify::{digest, read_receipt};

/// Put works, receipts, matches and papers for a court into one file that verifies by itself
///
/// The manifest of the bundle is itself registered. Matches are compared anew, at full depth, so that what the bundle
/// shows is about the bytes that lie in it; a suspect within an archive has to be unpacked before.
#[derive(clap::Args)]
pub(crate) struct Bundle {
    /// Works: registered files, receipts, or ids (bafkrei…). Matches: files that are copies of registered works
    #[arg(value_name = "WORK|MATCH")]
    items: Vec<PathBuf>,
    /// A file to show as a match even if its very bytes are registered
    #[arg(long, value_name = "FILE")]
    suspect: Vec<PathBuf>,
    /// Which papers are asked for: cn-court (《人民法院在线诉讼规则》 articles 16 to 18), us-fre902 (Federal Rules of
    /// Evidence 902(13), 902(14)), eu-eidas (Regulation (EU) 910/2014, a qualified time-stamp)
    #[arg(long, value_parser = profile_of, value_name = "cn-court|us-fre902|eu-eidas")]
    profile: Profile,
    /// What only people can say: a text file with a line `NAME VALUE` for each fact; a fact that is needed and missing is
    /// named
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Leave the works away; their digests and receipts are there
    #[arg(long)]
    hash_only: bool,
    /// Where to put it; nothing is overwritten
    #[arg(long, value_name = "FILE.zip")]
    out: PathBuf,
    /// The verifier's page, which scripts/page.sh builds [default: verify.html beside this program]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct BundleJson {
    bundle: String,
    profile: &'static str,
    works: usize,
    suspects: usize,
    files: usize,
    bytes: u64,
    manifest_sha256: String,
    /// The number of the manifest's entry in the log.
    index: u64,
    policy_sha256: String,
    verdict: Verdict,
}

/// A work on its way into the bundle.
struct Work {
    receipt: Receipt,
    /// Where it lies in the bundle.
    path: String,
    outcome: Outcome,
}

impl Bundle {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        // What could make all of it pointless comes first.
        let facts = self.facts()?;
        ensure!(!self.out.exists(), "{} exists already", self.out.display());
        let page = verifier_page(self.page.as_deref())
            .context("the verifier's page belongs into the bundle")?;
        let engine = open::open(archive)?;
        let policy_text = open::trust_text(archive)?;
        let policy = Policy::parse(policy_text.as_bytes())?;
        let policy_sha256 = HEXLOWER.encode(&Sha256::digest(&policy_text));
        let told = TrustTold { sha256: policy_sha256.clone(), source: TrustSource::Bundle };
        let trust = Trust { policy: &policy, told: &told };

        let mut receipts: BTreeMap<u64, Receipt> = BTreeMap::new();
        let mut suspects = self.suspect.clone();
        for item in &self.items {
            match registered(item, &engine)? {
                Some(receipt) => drop(receipts.insert(receipt.anchors[0].index, receipt)),
                None => suspects.push(item.clone()),
            }
        }
        ensure!(
            !self.hash_only || suspects.is_empty(),
            "a match is shown by its pictures; leave --hash-only away"
        );
        let scratch = tempfile::tempdir()?;
        for index in matched(&suspects, &engine, scratch.path())? {
            receipts.insert(index, engine.log.receipt(index)?);
        }
        ensure!(!receipts.is_empty(), "name works or matches to put into the bundle");
        let works: Vec<Work> = (1..)
            .zip(receipts.into_values())
            .map(|(number, receipt)| self.work(number, receipt, &engine, trust))
            .collect::<Result<_>>()?;

        let mut parts = vec![
            Part::bytes(Manifest::POLICY, policy_text.clone()),
            Part::bytes("verify.html", page),
        ];
        parts.extend(self.papers(&facts, &works, &suspects, &engine, &policy_sha256)?);
        let store = &engine.works;
        // A thumbnail is a picture of the work.
        let shown = (!self.hash_only).then_some(&engine);
        for work in &works {
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
                let issued = certificate::of_stored(&work.receipt, policy_text.as_bytes(), shown)
                    .with_context(|| format!("the certificate of {}", work.path))?;
                parts.push(Part::bytes(format!("{}.certificate.pdf", work.path), issued.pdf));
            }
        }
        parts.extend(match_parts(&suspects, scratch.path())?);
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

        let line = self.write(&parts, &works, &suspects, &engine, trust)?;
        if self.json {
            print_json(&line)?;
        } else {
            line.say()?;
        }
        Ok(if line.verdict == Verdict::Verified { Answer::Yes } else { Answer::CouldNotTell })
    }

    fn facts(&self) -> Result<Facts> {
        let facts = match &self.facts {
            Some(path) => {
                let named = || path.display().to_string();
                let text = fs::read_to_string(path).with_context(named)?;
                Facts::parse(&text, self.profile).with_context(named)?
            }
            None => Facts::default(),
        };
        facts.suffice(self.profile)?;
        Ok(facts)
    }

    fn work(
        &self,
        number: usize,
        mut receipt: Receipt,
        engine: &Engine,
        trust: Trust,
    ) -> Result<Work> {
        engine.log.refresh(&mut receipt)?;
        let claim = &receipt.claim;
        let path = claim.path.as_deref().map(|path| String::from_utf8_lossy(path).into_owned());
        let name = path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or("work");
        let path = format!("works/{}", bundle_name(number, name));
        let outcome = Outcome::of_receipt(&claim.work, &path, &receipt, Some(trust));
        ensure!(
            outcome.verdict != Verdict::Refused,
            "the receipt of {path} is refused, which makes no evidence: {}",
            outcome.reason
        );
        let content = claim.work.content();
        ensure!(
            self.hash_only || engine.works.has(&content)?,
            "the archive does not hold the work {content}; --hash-only bundles its digests"
        );
        Ok(Work { receipt, path, outcome })
    }

    fn papers<'p>(
        &self,
        facts: &Facts,
        works: &[Work],
        suspects: &[PathBuf],
        engine: &Engine,
        policy_sha256: &str,
    ) -> Result<Vec<Part<'p>>> {
        let program = format!("timemark {}", env!("CARGO_PKG_VERSION"));
        let program_sha256 = digest(&std::env::current_exe()?)?.content().sha256_hex();
        let system = system();
        let maker = Maker {
            log: engine.log.verifier().name(),
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
        let pages = if suspects.is_empty() { Vec::new() } else { vec![MATCHES_PAGE.to_owned()] };
        let papers = papers(self.profile, facts, &maker, &items, &pages)?.into_iter();
        Ok(papers.map(|paper| Part::bytes(paper.path, paper.text)).collect())
    }

    /// Writes the bundle aside, has it verified as its reader will, and puts it in its place.
    fn write(
        &self,
        parts: &[Part],
        works: &[Work],
        suspects: &[PathBuf],
        engine: &Engine,
        trust: Trust,
    ) -> Result<BundleJson> {
        let folder = self.out.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut aside = tempfile::NamedTempFile::new_in(folder)
            .with_context(|| format!("cannot write to {}", folder.display()))?;
        let mut index = 0;
        let manifest = write(aside.as_file_mut(), self.profile, parts, |manifest| {
            let receipt = self.register_manifest(manifest, engine)?;
            index = receipt.anchors[0].index;
            Ok::<_, anyhow::Error>(receipt.to_string())
        })?;
        let outcome = {
            let mut reader = BundleReader::default();
            let mut file = File::open(aside.path())?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    length => reader.update(&buffer[..length])?,
                }
            }
            reader.finish()?.outcome(Some(trust), None)
        };
        ensure!(
            outcome.verdict != Verdict::Refused,
            "the bundle does not verify, which is a bug of ours: {}",
            outcome.reason
        );
        // Temporary files are private; a bundle is made to be handed on.
        aside.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        aside.as_file().sync_all()?;
        aside
            .persist_noclobber(&self.out)
            .map_err(|error| anyhow!(error.error).context(self.out.display().to_string()))?;
        File::open(folder)?.sync_all()?;
        Ok(BundleJson {
            bundle: json_text(self.out.as_os_str().as_encoded_bytes()),
            profile: self.profile.name(),
            works: works.len(),
            suspects: suspects.len(),
            files: manifest.files.len(),
            bytes: outcome.bytes,
            manifest_sha256: HEXLOWER.encode(&Sha256::digest(manifest.to_string())),
            index,
            policy_sha256: trust.told.sha256.clone(),
            verdict: outcome.verdict,
        })
    }

    /// The manifest is a work like any other: registered, and stored with the others.
    fn register_manifest(&self, manifest: &str, engine: &Engine) -> Result<Receipt> {
        let scratch = tempfile::tempdir()?;
        let path = scratch.path().join(Manifest::NAME);
        fs::write(&path, manifest).with_context(|| path.display().to_string())?;
        let name = self.out.file_name().map(legible).unwrap_or_default();
        let title = format!("Manifest of the evidence bundle {name}");
        let submission = Submission {
            title: Some(&title),
            stated_path: Some(Path::new(Manifest::NAME)),
            ..Submission::default()
        };
        let mut receipt = register(&path, &submission, engine)?.receipt;
        engine.log.stamp()?;
        engine.log.refresh(&mut receipt)?;
        // What the policy asks for and could not be had is missing in this bundle as well.
        tell_of_witnesses(engine, 0);
        Ok(receipt)
    }
}

/// The verifier's page: this file, or the one beside the program.
pub(super) fn verifier_page(named: Option<&Path>) -> Result<Vec<u8>> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name(PAGE),
    };
    fs::read(&path).with_context(|| format!("{}: scripts/page.sh builds it", path.display()))
}

impl BundleJson {
    fn say(&self) -> Result<()> {
        print_line(&format!("bundle      {}", legible(&self.bundle)))?;
        print_line(&format!(
            "  profile   {}: {} works, {} suspects, {} files, {} bytes",
            self.profile, self.works, self.suspects, self.files, self.bytes
        ))?;
        print_line(&format!("  manifest  entry {} of the log", self.index))?;
        print_line(&format!("  policy    {} (SHA-256)", self.policy_sha256))?;
        print_line("give that SHA-256 to the receiver by another way than the bundle")?;
        if self.verdict == Verdict::Undecided {
            remark("it is undecided as yet: something that the policy asks for is missing");
        }
        Ok(())
    }
}

/// The receipt of what is named, if that is registered: a receipt, an id, or a file by its bytes.
fn registered(item: &Path, engine: &Engine) -> Result<Option<Receipt>> {
    let named = || item.display().to_string();
    if let Some(content) = item.to_str().and_then(|text| text.parse::<ContentId>().ok()) {
        return of_content(&content, engine)?
            .map(Some)
            .with_context(|| format!("no work {content} is registered"));
    }
    let bytes = read_receipt(item)?;
    if Receipt::is_receipt(&bytes) {
        return Receipt::parse(&bytes).with_context(named).map(Some);
    }
    of_content(&digest(item).with_context(named)?.content(), engine)
}

/// The receipt of the first registration of these bytes whose claim was not withdrawn.
fn of_content(content: &ContentId, engine: &Engine) -> Result<Option<Receipt>> {
    for record in engine.registry.by_content(content)? {
        let Some(now) = engine.registry.standing(record.index)? else { continue };
        if record.claim.is_none() {
            continue;
        }
        if now.index != record.index {
            remark(&format!(
                "{content}: the claim of entry {} was corrected by entry {}; that receipt shows it",
                record.index, now.index
            ));
        }
        return Ok(Some(engine.log.receipt(record.index)?));
    }
    Ok(None)
}

/// Compares the suspects at full depth, reports on them into `dir`, and returns the entries of the works of which they
/// are copies.
fn matched(suspects: &[PathBuf], engine: &Engine, dir: &Path) -> Result<Vec<u64>> {
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let names = suspects.iter().map(|path| json_text(path.as_os_str().as_encoded_bytes()));
    let about = About {
        sources: names.collect(),
        options: "--depth full".to_owned(),
        log: engine.log.verifier().name().to_owned(),
        entries: engine.log.size(),
    };
    let mut report = Report::open(&dir.join(MATCHES), &about, false)?;
    let sources: Vec<Source> = suspects.iter().cloned().map(Source::Path).collect();
    let options =
        ScanOptions { thumbnail_side: Some(THUMBNAIL_SIDE_MAX), ..ScanOptions::default() };
    let (mut works, mut failure, mut told) = (Vec::new(), None, Summary::default());
    let mut tell = |scanned: timemark_ingest::Scanned| -> Result<()> {
        let matches = scanned.outcome.matches();
        ensure!(
            !matches.is_empty(),
            "{} is neither registered nor a copy of a registered work: {}",
            legible(scanned.name.text()),
            scanned.outcome.status()
        );
        works.extend(matches.iter().map(|finding| finding.index));
        told.count(&scanned.outcome);
        report.add(&scanned, ResultJson::of(&scanned))
    };
    let scanned =
        scan(&sources, engine, options, &Progress::default(), &mut |_, _| false, &mut |scanned| {
            match tell(scanned) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
    if let Some(failure) = failure {
        return Err(failure);
    }
    scanned?;
    // How long it took would be other bytes each time and is nobody's evidence.
    report.finish(engine, &told, 0.0, 0.0)?;
    Ok(works)
}

/// The report on the suspects, and the suspects themselves.
fn match_parts<'p>(suspects: &[PathBuf], scratch: &Path) -> Result<Vec<Part<'p>>> {
    let mut parts = Vec::new();
    if suspects.is_empty() {
        return Ok(parts);
    }
    for (number, suspect) in (1..).zip(suspects) {
        let name = suspect.file_name().map(|name| name.to_string_lossy().into_owned());
        let path = format!("suspects/{}", bundle_name(number, &name.unwrap_or_default()));
        let suspect = suspect.clone();
        parts.push(Part::stream(path, move || Ok(Box::new(File::open(&suspect)?))));
    }
    for found in files_below(&scratch.join(MATCHES))? {
        let below = found.strip_prefix(scratch)?.to_str().context("a path of ours")?.to_owned();
        parts.push(Part::bytes(below, fs::read(&found)?));
    }
    Ok(parts)
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

fn profile_of(name: &str) -> Result<Profile> {
    match Profile::ALL.into_iter().find(|profile| profile.name() == name) {
        Some(profile) => Ok(profile),
        None => bail!("there is no profile {name}"),
    }
}

const PAGE: &str = "verify.html";
const MATCHES: &str = "matches";
const MATCHES_PAGE: &str = "matches/index.html";
/// File systems take names of 255 bytes; number and `.certificate.pdf` take 21 of them, other systems count otherwise.
const NAME_BYTES_MAX: usize = 160;

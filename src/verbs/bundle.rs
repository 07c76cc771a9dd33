//! `timemark bundle`: works, receipts, matches and papers for a court, in one file that verifies by itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Serialize;
use timemark_bundle::Facts;
use timemark_ingest::{Engine, registrations};
use timemark_verify::{Answer as Verdict, ContentId, Profile, Receipt};

use crate::bundling::{Bundling, Suspect};
use crate::outcome::{Answer, json_text, legible, print_json, print_line, remark};
use crate::registering::tell_of_witnesses;
use crate::verbs::verify::{digest, read_receipt};
use crate::{open, trust};

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

impl Bundle {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        // What could make all of it pointless comes first.
        let facts = self.facts()?;
        ensure!(!self.out.exists(), "{} exists already", self.out.display());
        let page = verifier_page(self.page.as_deref())
            .context("the verifier's page belongs into the bundle")?;
        let engine = open::open(archive)?;
        let policy_text = trust::policy_text(archive)?;

        let mut receipts: BTreeMap<u64, Receipt> = BTreeMap::new();
        let mut suspects: Vec<Suspect> = Vec::new();
        suspects.extend(self.suspect.iter().cloned().map(Suspect::of_file));
        for item in &self.items {
            match registered(item, &engine)? {
                Some(receipt) => drop(receipts.insert(receipt.anchors[0].index, receipt)),
                None => suspects.push(Suspect::of_file(item.clone())),
            }
        }
        let bundling = Bundling {
            engine: &engine,
            policy_text: &policy_text,
            page: &page,
            profile: self.profile,
            facts: &facts,
            hash_only: self.hash_only,
            receipts,
            suspects,
            tell: None,
            name: &self.out.file_name().map(legible).unwrap_or_default(),
            scratch: &std::env::temp_dir(),
        };
        let line = self.write(bundling)?;
        // What the policy asks for and could not be had is missing in this bundle as well.
        tell_of_witnesses(&engine, 0);
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

    /// Writes the bundle aside and puts it in its place.
    fn write(&self, bundling: Bundling<'_>) -> Result<BundleJson> {
        let folder = self.out.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut aside = tempfile::NamedTempFile::new_in(folder)
            .with_context(|| format!("cannot write to {}", folder.display()))?;
        let made = bundling.make(aside.as_file_mut(), &mut |_| Ok(()))?;
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
            works: made.works,
            suspects: made.suspects,
            files: made.files,
            bytes: made.bytes,
            manifest_sha256: made.manifest_sha256,
            index: made.registration.receipt.anchors[0].index,
            policy_sha256: made.policy_sha256,
            verdict: made.verdict,
        })
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
    for record in registrations(&*engine.registry, content) {
        let record = record?;
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

fn profile_of(name: &str) -> Result<Profile> {
    match Profile::ALL.into_iter().find(|profile| profile.name() == name) {
        Some(profile) => Ok(profile),
        None => bail!("there is no profile {name}"),
    }
}

const PAGE: &str = "verify.html";

//! `timemark verify`: what a receipt proves about a file, offline.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use timemark_ingest::Fate;
use timemark_verify::{
    AmendedTold, Answer as Verdict, ClaimTold, FormatError, Outcome, Policy, Receipt, RenewalTold,
    TimestampTold, Trust as Under, TrustTold, WitnessTold, WorkDigests, WorkHasher,
};

use crate::outcome::{Answer, legible, print_bytes, print_json, remark};
use crate::{open, trust};

/// Check a receipt against its work, offline
#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The work
    file: PathBuf,
    /// Its receipt
    #[arg(long, value_name = "RECEIPT")]
    receipt: PathBuf,
    /// Whom to trust: a c2sp.org/tlog-policy file. Without it, the log of the archive that --archive or
    /// TIMEMARK_ARCHIVE names; ./timemark-archive is not trusted unless it is named
    #[arg(long, value_name = "POLICY")]
    policy: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct VerdictJson {
    verdict: Verdict,
    reason: String,
    /// The first check that failed, or what is missing (docs/formats.md).
    check: Option<&'static str>,
    trust: Option<String>,
    existed_by: Option<String>,
    index: Option<u64>,
    log: Option<String>,
    /// What became of the claim since, as the archive knows whose log it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected_by: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_by: Option<u64>,
    /// What the claim says, where it is verified that the log holds it.
    claim: Option<ClaimTold>,
    witnesses: Vec<WitnessTold>,
    timestamps: Vec<TimestampTold>,
    /// By how many seconds two authorities disagree, where the policy does not tolerate that.
    disagreement_seconds: Option<u64>,
    /// What is wrong with tokens that do not count.
    bad_timestamps: Vec<String>,
    /// The evidence records that hold.
    renewals: Vec<RenewalTold>,
}

/// Whom the user trusts, and how to say it.
struct Trust {
    policy: Policy,
    told: TrustTold,
    words: String,
}

impl Verify {
    /// `archive` is the one the user named, if any.
    pub fn run(&self, archive: Option<&Path>) -> Result<Answer> {
        let verdict = match self.decide(archive) {
            Ok(verdict) => verdict,
            Err(error) if self.json => VerdictJson::of_failure(&error),
            Err(error) => return Err(error),
        };
        if self.json {
            print_json(&verdict)?;
        } else {
            print_bytes(self.words(&verdict).as_bytes())?;
        }
        Ok(match verdict.verdict {
            Verdict::Verified => Answer::Yes,
            Verdict::Undecided => Answer::CouldNotTell,
            Verdict::Refused => Answer::No,
        })
    }

    fn decide(&self, archive: Option<&Path>) -> Result<VerdictJson> {
        let trust = match self.trust(archive)? {
            Some(Err((error, words))) => {
                return Ok(VerdictJson::of(Outcome::of_bad_policy(&error), Some(words)));
            }
            Some(Ok(trust)) => Some(trust),
            None => None,
        };
        let receipt = read(&self.receipt, Receipt::FILE_BYTES_MAX)?;
        let work = digest(&self.file).with_context(|| self.file.display().to_string())?;
        let words = trust.as_ref().map(|trust| trust.words.clone());
        let receipt = match Receipt::parse_file(&receipt) {
            Ok(receipt) => receipt,
            Err(error) => return Ok(VerdictJson::of(Outcome::of_unreadable(&error), words)),
        };
        let under = trust.as_ref().map(|trust| Under { policy: &trust.policy, told: &trust.told });
        let mut outcome = Outcome::of_receipt(&work, "", &receipt, under);
        if let Some(archive) = archive.filter(|_| outcome.verdict == Verdict::Verified) {
            match open::fate(archive, &receipt) {
                Ok(fate) => {
                    let fate = fate.unwrap_or_default();
                    (outcome.corrected_by, outcome.withdrawn_by) =
                        (fate.corrected_by, fate.withdrawn_by);
                }
                Err(error) => remark(&format!(
                    "whether the claim was corrected or withdrawn since cannot be told now: {error:#}"
                )),
            }
        }
        Ok(VerdictJson::of(outcome, words))
    }

    /// Whom to trust, or what is wrong with the policy, and what it is called.
    fn trust(
        &self,
        archive: Option<&Path>,
    ) -> Result<Option<Result<Trust, (FormatError, String)>>> {
        if let Some(path) = &self.policy {
            let file = read(path, Policy::BYTES_MAX)?;
            let words = format!("the policy {}", path.display());
            return Ok(Some(match Policy::parse(&file) {
                Ok(policy) => Ok(Trust { policy, told: TrustTold::given(&file), words }),
                Err(error) => Err((error, words)),
            }));
        }
        let Some(archive) = archive else { return Ok(None) };
        let policy = trust::policy(archive)?;
        let told = TrustTold::given(trust::policy_text(archive)?.as_bytes());
        let words = format!("what the archive {} trusts", archive.display());
        Ok(Some(Ok(Trust { policy, told, words })))
    }

    fn words(&self, verdict: &VerdictJson) -> String {
        let mut lines = vec![
            format!("{}  {}", verdict.verdict.name().to_uppercase(), legible(&self.file)),
            format!("  {}", legible(&verdict.reason)),
        ];
        let fate = Fate { corrected_by: verdict.corrected_by, withdrawn_by: verdict.withdrawn_by };
        lines.extend(fate_words(fate).map(|words| format!("  {words}")));
        lines.extend(verdict.claim.iter().flat_map(claim_words));
        if let (Some(log), Some(index)) = (&verdict.log, verdict.index) {
            lines.push(format!("  log         {}, entry {index}", legible(log)));
        }
        for WitnessTold { name, time } in &verdict.witnesses {
            let time = time.as_deref().unwrap_or("(no time)");
            lines.push(format!("  witness     {} {time}", legible(name)));
        }
        for TimestampTold { authority, time, .. } in &verdict.timestamps {
            lines.push(format!("  time-stamp  {} {time}", legible(authority)));
        }
        lines.extend(verdict.renewals.iter().map(renewal_words));
        for fault in &verdict.bad_timestamps {
            lines.push(format!("  not counted {}", legible(fault)));
        }
        if let Some(seconds) = verdict.disagreement_seconds {
            lines.push(format!("  WARNING     the time-stamp authorities disagree by {seconds} s"));
        }
        let trust = verdict.trust.as_ref().map_or_else(|| "none given".to_owned(), legible);
        lines.push(format!("  trust       {trust}\n"));
        lines.join("\n")
    }
}

impl VerdictJson {
    fn of(outcome: Outcome, trust: Option<String>) -> VerdictJson {
        let reason = match outcome.check {
            Some("policy.missing") => format!("{} (--policy or --archive)", outcome.reason),
            _ => outcome.reason,
        };
        VerdictJson {
            verdict: outcome.verdict,
            reason,
            check: outcome.check,
            trust,
            existed_by: outcome.existed_by,
            index: outcome.index,
            log: outcome.log,
            corrected_by: outcome.corrected_by,
            withdrawn_by: outcome.withdrawn_by,
            claim: outcome.claim.filter(|_| outcome.verdict == Verdict::Verified),
            witnesses: outcome.witnesses,
            timestamps: outcome.timestamps,
            disagreement_seconds: outcome.disagreement_seconds,
            bad_timestamps: outcome.bad_timestamps,
            renewals: outcome.renewals,
        }
    }

    /// Where it could not be told.
    fn of_failure(error: &anyhow::Error) -> VerdictJson {
        VerdictJson {
            verdict: Verdict::Undecided,
            reason: format!("{error:#}"),
            check: None,
            trust: None,
            existed_by: None,
            index: None,
            log: None,
            corrected_by: None,
            withdrawn_by: None,
            claim: None,
            witnesses: Vec::new(),
            timestamps: Vec::new(),
            disagreement_seconds: None,
            bad_timestamps: Vec::new(),
            renewals: Vec::new(),
        }
    }
}

/// What became of a claim, for a person.
pub(crate) fn fate_words(fate: Fate) -> Option<String> {
    match (fate.withdrawn_by, fate.corrected_by) {
        (Some(by), _) => Some(format!("WITHDRAWN   by entry {by}: nothing is claimed any more")),
        (None, Some(by)) => Some(format!("CORRECTED   by entry {by}: what that claims stands")),
        (None, None) => None,
    }
}

/// What a claim says, for a person.
fn claim_words(claim: &ClaimTold) -> impl Iterator<Item = String> {
    let said = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("  {name:<11} {}", legible(value)))
    };
    let key = claim.creator_key.as_ref();
    let creator = key.map(|key| format!("  signed      by the creator's key {key}"));
    let sha256 = Some(format!("  sha256      {}", claim.sha256));
    let created = claim.created.as_ref().map(|created| format!("{created} (as claimed)"));
    let amends = |what: &str, earlier: &Option<AmendedTold>| {
        let earlier = earlier.as_ref()?;
        Some(format!("  {what:<11} the claim of entry {}, {}", earlier.index, earlier.claim))
    };
    let lines = [
        amends("corrects", &claim.corrects),
        amends("withdraws", &claim.withdraws),
        said("title", &claim.title),
        said("claimant", &claim.claimant),
        said("created", &created),
        said("rights", &claim.rights),
        said("collection", &claim.collection),
        sha256,
        creator,
    ];
    lines.into_iter().flatten()
}

fn renewal_words(renewal: &RenewalTold) -> String {
    let made = |t: &TimestampTold| format!("{} {}", legible(&t.authority), t.time);
    let made: Vec<String> = renewal.timestamps.iter().map(made).collect();
    let before = renewal.renew_before.as_deref().unwrap_or_default();
    format!("  renewed     the {}: {}; again before {before}", renewal.about, made.join(", "))
}

/// The bytes of a receipt, or of a certificate that has one attached.
pub(crate) fn read_receipt_or_certificate(path: &Path) -> Result<Vec<u8>> {
    read(path, Receipt::FILE_BYTES_MAX)
}

/// The bytes of a receipt file, or of one that is too long to be one.
pub(crate) fn read_receipt(path: &Path) -> Result<Vec<u8>> {
    read(path, Receipt::BYTES_MAX)
}

/// A whole file, or one byte more than it may have.
fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| path.display().to_string())?;
    Ok(bytes)
}

/// Reads a file once, for its digests.
pub(crate) fn digest(path: &Path) -> io::Result<WorkDigests> {
    let mut file = File::open(path)?;
    let mut hasher = WorkHasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

//! `timemark verify`: what a receipt proves about a file, offline.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use serde::Serialize;
use timemark_verify::{
    AuthorityTime, Claim, Policy, Receipt, RecordSubject, Renewed, Verdict, WitnessTime,
    WorkDigests, WorkHasher,
};

use crate::open;
use crate::outcome::{Answer, error_words, legible, print_bytes, print_json, utc};

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
    verdict: &'static str,
    reason: String,
    trust: Option<String>,
    existed_by: Option<String>,
    index: Option<u64>,
    log: Option<String>,
    /// What the claim says, where it is verified that the log holds it.
    claim: Option<ClaimJson>,
    witnesses: Vec<WitnessJson>,
    timestamps: Vec<TimestampJson>,
    /// By how many seconds two authorities disagree, where the policy does not tolerate that.
    disagreement_seconds: Option<u64>,
    /// What is wrong with tokens that do not count.
    bad_timestamps: Vec<String>,
    /// The evidence records that hold.
    renewals: Vec<RenewalJson>,
}

#[derive(Serialize)]
struct TimestampJson {
    authority: String,
    time: String,
    /// Until when the certificate that signed the token is valid.
    signer_not_after: String,
}

#[derive(Serialize)]
struct ClaimJson {
    sha256: String,
    title: Option<String>,
    claimant: Option<String>,
    created: Option<String>,
    rights: Option<String>,
    collection: Option<String>,
    /// The key whose signature on the claim was checked.
    creator_key: Option<String>,
}

/// An evidence record that holds under a policy.
#[derive(Serialize)]
pub(crate) struct RenewalJson {
    /// `checkpoint` or `receipt`.
    about: &'static str,
    timestamps: Vec<TimestampJson>,
    /// When the certificate of its last token expires.
    pub renew_before: Option<String>,
}

impl RenewalJson {
    pub fn of(renewed: &Renewed) -> RenewalJson {
        RenewalJson {
            about: match renewed.subject {
                RecordSubject::Checkpoint => "checkpoint",
                RecordSubject::Receipt => "receipt",
            },
            timestamps: renewed.timestamps.iter().map(TimestampJson::of).collect(),
            renew_before: renewed.timestamps.last().map(|last| utc(last.signer_not_after)),
        }
    }

    fn words(&self) -> String {
        let made = |t: &TimestampJson| format!("{} {}", legible(&t.authority), t.time);
        let made: Vec<String> = self.timestamps.iter().map(made).collect();
        let before = self.renew_before.as_deref().unwrap_or_default();
        format!("  renewed     the {}: {}; again before {before}", self.about, made.join(", "))
    }
}

impl TimestampJson {
    fn of(timestamp: &AuthorityTime) -> TimestampJson {
        TimestampJson {
            authority: timestamp.name.clone(),
            time: utc(timestamp.time),
            signer_not_after: utc(timestamp.signer_not_after),
        }
    }
}

impl ClaimJson {
    fn of(claim: &Claim) -> ClaimJson {
        ClaimJson {
            sha256: claim.work.content().sha256_hex(),
            title: claim.title.clone(),
            claimant: claim.claimant.clone(),
            created: claim.created.clone(),
            rights: claim.rights.clone(),
            collection: claim.collection.clone(),
            creator_key: claim.creator.map(|creator| HEXLOWER.encode(&creator.key)),
        }
    }

    fn words(&self) -> impl Iterator<Item = String> {
        let said = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("  {name:<11} {}", legible(value)))
        };
        let creator = self
            .creator_key
            .as_ref()
            .map(|key| format!("  signed      by the creator's key {key}"));
        let sha256 = Some(format!("  sha256      {}", self.sha256));
        let created = self.created.as_ref().map(|created| format!("{created} (as claimed)"));
        let lines = [
            said("title", &self.title),
            said("claimant", &self.claimant),
            said("created", &created),
            said("rights", &self.rights),
            said("collection", &self.collection),
            sha256,
            creator,
        ];
        lines.into_iter().flatten()
    }
}

#[derive(Serialize)]
struct WitnessJson {
    name: String,
    time: Option<String>,
}

/// Whom the user trusts, and how to say it.
struct Trust {
    policy: Policy,
    words: String,
}

impl Verify {
    /// `archive` is the one the user named, if any.
    pub fn run(&self, archive: Option<&Path>) -> Result<Answer> {
        let (answer, verdict) = match self.decide(archive) {
            Ok(decided) => decided,
            Err(error) if self.json => (
                Answer::CouldNotTell,
                VerdictJson::without_proof("undecided", error_words(error), None),
            ),
            Err(error) => return Err(error),
        };
        if self.json {
            print_json(&verdict)?;
        } else {
            print_bytes(self.words(&verdict).as_bytes())?;
        }
        Ok(answer)
    }

    fn decide(&self, archive: Option<&Path>) -> Result<(Answer, VerdictJson)> {
        let trust = self.trust(archive)?;
        let receipt = read_receipt(&self.receipt)?;
        let work = digest(&self.file).with_context(|| self.file.display().to_string())?;
        let words = trust.as_ref().map(|trust| trust.words.clone());
        let refused = |reason: String| VerdictJson::without_proof("refused", reason, words.clone());

        let receipt = match Receipt::parse(&receipt) {
            Ok(receipt) => receipt,
            Err(error) => return Ok((Answer::No, refused(error_words(error)))),
        };
        let Some(trust) = trust else {
            return Ok(without_trust(&work, &receipt));
        };
        Ok(match timemark_verify::verify(&work, &receipt, &trust.policy) {
            Ok(verdict) => (Answer::Yes, VerdictJson::verified(&verdict, &receipt, trust.words)),
            Err(refusal) if refusal.is_undecided() => {
                let reason = error_words(refusal);
                (Answer::CouldNotTell, VerdictJson::without_proof("undecided", reason, words))
            }
            Err(refusal) => (Answer::No, refused(error_words(refusal))),
        })
    }

    fn trust(&self, archive: Option<&Path>) -> Result<Option<Trust>> {
        if let Some(path) = &self.policy {
            let file = std::fs::read(path).with_context(|| path.display().to_string())?;
            let policy = Policy::parse(&file).with_context(|| path.display().to_string())?;
            return Ok(Some(Trust { policy, words: format!("the policy {}", path.display()) }));
        }
        let Some(archive) = archive else { return Ok(None) };
        let policy = open::trust(archive)?;
        Ok(Some(Trust { policy, words: format!("what the archive {} trusts", archive.display()) }))
    }

    fn words(&self, verdict: &VerdictJson) -> String {
        let mut lines = vec![
            format!("{}  {}", verdict.verdict.to_uppercase(), legible(&self.file)),
            format!("  {}", legible(&verdict.reason)),
        ];
        lines.extend(verdict.claim.iter().flat_map(ClaimJson::words));
        if let (Some(log), Some(index)) = (&verdict.log, verdict.index) {
            lines.push(format!("  log         {}, entry {index}", legible(log)));
        }
        for WitnessJson { name, time } in &verdict.witnesses {
            let time = time.as_deref().unwrap_or("(no time)");
            lines.push(format!("  witness     {} {time}", legible(name)));
        }
        for TimestampJson { authority, time, .. } in &verdict.timestamps {
            lines.push(format!("  time-stamp  {} {time}", legible(authority)));
        }
        lines.extend(verdict.renewals.iter().map(RenewalJson::words));
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
    fn verified(verdict: &Verdict, receipt: &Receipt, trust: String) -> VerdictJson {
        let existed_by = verdict.existed_by.map(utc);
        let renewed = verdict.renewed.iter().map(|renewed| renewed.existed_by);
        let stamped = verdict.timestamps.iter().map(|t| t.time).chain(renewed).min();
        let reason = match &existed_by {
            Some(time) if stamped == verdict.existed_by => {
                format!("the work existed by {time}, as a time-stamp authority of the policy vouches")
            }
            Some(time) => format!("the work existed by {time}, as the policy's witnesses vouch"),
            None => "the log holds this claim upon this work; this proves no date, as no witness vouches \
                     for one"
                .to_owned(),
        };
        let witness = |w: &WitnessTime| WitnessJson { name: w.name.clone(), time: w.time.map(utc) };
        VerdictJson {
            verdict: "verified",
            reason,
            trust: Some(trust),
            existed_by,
            index: Some(verdict.index),
            log: Some(verdict.log.to_string()),
            claim: Some(ClaimJson::of(&receipt.claim)),
            witnesses: verdict.witnesses.iter().map(witness).collect(),
            timestamps: verdict.timestamps.iter().map(TimestampJson::of).collect(),
            disagreement_seconds: verdict.disagreement_seconds,
            bad_timestamps: verdict.bad_timestamps.clone(),
            renewals: verdict.renewed.iter().map(RenewalJson::of).collect(),
        }
    }

    fn without_proof(verdict: &'static str, reason: String, trust: Option<String>) -> VerdictJson {
        VerdictJson {
            verdict,
            reason,
            trust,
            existed_by: None,
            index: None,
            log: None,
            claim: None,
            witnesses: Vec::new(),
            timestamps: Vec::new(),
            disagreement_seconds: None,
            bad_timestamps: Vec::new(),
            renewals: Vec::new(),
        }
    }
}

/// Without trust a receipt can be refuted and never verified.
fn without_trust(work: &WorkDigests, receipt: &Receipt) -> (Answer, VerdictJson) {
    let undecided = |reason| VerdictJson::without_proof("undecided", reason, None);
    let refused = |reason| VerdictJson::without_proof("refused", reason, None);
    match timemark_verify::check_without_trust(work, receipt) {
        Ok(consistent) => {
            let keys = consistent.unchecked_signers.join(", ");
            let reason = format!(
                "file and receipt belong together; whether to believe it depends on the key {keys}: \
                 name a --policy or an --archive that trusts it"
            );
            (Answer::CouldNotTell, undecided(reason))
        }
        Err(error) => (Answer::No, refused(error_words(error))),
    }
}

/// The bytes of a receipt file, or of one that is too long to be one.
pub(crate) fn read_receipt(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(Receipt::BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
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

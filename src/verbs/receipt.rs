//! `timemark receipt …`: a receipt in words, and its parts for other tools.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use serde::Serialize;
use timemark_verify::{Amendment, Anchor, EvidenceRecord, Receipt as ReceiptFile, Rule, Timestamp};

use crate::outcome::{
    Answer, error_words, json_text, legible, print_bytes, print_json, print_line, utc,
};
use crate::registering::{refresh, tell_of_witnesses};
use crate::verbs::verify::{fate_words, read_receipt};
use crate::{open, trust};

/// Show a receipt, take it apart for other tools, or add what was said of its log since
#[derive(clap::Subcommand)]
pub(crate) enum Receipt {
    /// The receipt in words, with the commands that check its time-stamps
    Show(File),
    /// The exact bytes of its leaf, whose RFC 6962 hash the log holds
    Leaf(File),
    /// An anchor as a c2sp.org/tlog-proof@v1 file
    TlogProof(File),
    /// The checkpoint's text, over which a time-stamp token's imprint is taken
    Checkpoint(File),
    /// An RFC 3161 TimeStampResp (DER)
    Tsr(File),
    /// Add the quorum of witnesses and the time-stamps that the receipts lack. Nothing is taken away
    Refresh(Refresh),
}

#[derive(clap::Args)]
pub(crate) struct File {
    /// The receipt
    receipt: PathBuf,
    /// Which anchor, counted from 1 [default: the first with a time-stamp, else the first]
    #[arg(long, value_name = "N")]
    anchor: Option<usize>,
    /// Which time-stamp of the anchor, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    token: usize,
}

#[derive(clap::Args)]
pub(crate) struct Refresh {
    /// Receipts of the archive's log
    #[arg(required = true)]
    receipts: Vec<PathBuf>,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct RefreshJson {
    receipt: String,
    status: &'static str,
    /// Whether the policy's quorum of witnesses vouches for it; absent where the log asks no witnesses.
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<bool>,
    timestamps: usize,
    error: Option<String>,
}

impl Receipt {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let (Receipt::Show(file)
        | Receipt::Leaf(file)
        | Receipt::TlogProof(file)
        | Receipt::Checkpoint(file)
        | Receipt::Tsr(file)) = self
        else {
            let Receipt::Refresh(refresh) = self else { return Ok(Answer::Yes) };
            return refresh.run(archive);
        };
        let path = &file.receipt;
        let receipt =
            ReceiptFile::parse(&read_receipt(path)?).with_context(|| path.display().to_string())?;
        let stamped = receipt.anchors.iter().position(|anchor| !anchor.timestamps.is_empty());
        let number = file.anchor.unwrap_or(stamped.unwrap_or(0) + 1);
        let anchor = number.checked_sub(1).and_then(|at| receipt.anchors.get(at));
        let anchor = anchor
            .with_context(|| format!("{} has {} anchors", path.display(), receipt.anchors.len()))?;
        let part = match self {
            Receipt::Leaf(_) => receipt.leaf.to_bytes().to_vec(),
            Receipt::TlogProof(_) => anchor.to_tlog_proof().into_bytes(),
            Receipt::Checkpoint(_) => anchor.note().text().as_bytes().to_vec(),
            Receipt::Tsr(_) => {
                let token = file.token.checked_sub(1).and_then(|at| anchor.timestamps.get(at));
                token
                    .with_context(|| {
                        let count = anchor.timestamps.len();
                        format!("anchor {number} of {} has {count} time-stamps", path.display())
                    })?
                    .clone()
            }
            Receipt::Show(_) | Receipt::Refresh(_) => {
                // What is known here of the claim since; without the archive the receipt tells what it tells.
                let fate = open::fate(archive, &receipt).ok().flatten().and_then(fate_words);
                let fate = fate.map(|fate| format!("{fate}\n")).unwrap_or_default();
                (fate + &words(&receipt, path)).into_bytes()
            }
        };
        print_bytes(&part)?;
        Ok(Answer::Yes)
    }
}

impl Refresh {
    fn run(&self, archive: &Path) -> Result<Answer> {
        let engine = open::open(archive)?;
        let trust = trust::policy(archive)?;
        let (mut failed, mut without_quorum) = (false, 0);
        for path in &self.receipts {
            let line = match refresh(&engine, path) {
                Ok((receipt, is_new)) => {
                    let cosigned = |a: &Anchor| trust.is_cosigned(a.note(), a.checkpoint());
                    let is_asked = *trust.quorum() != Rule::None;
                    let quorum = is_asked.then(|| receipt.anchors.iter().any(cosigned));
                    without_quorum += u64::from(quorum == Some(false));
                    RefreshJson {
                        receipt: json_text(path.as_os_str().as_encoded_bytes()),
                        status: if is_new { "refreshed" } else { "unchanged" },
                        quorum,
                        timestamps: receipt.anchors.iter().map(|a| a.timestamps.len()).sum(),
                        error: None,
                    }
                }
                Err(error) => {
                    failed = true;
                    RefreshJson {
                        receipt: json_text(path.as_os_str().as_encoded_bytes()),
                        status: "error",
                        quorum: None,
                        timestamps: 0,
                        error: Some(error_words(error)),
                    }
                }
            };
            if self.json { print_json(&line)? } else { print_line(&line.words())? }
        }
        tell_of_witnesses(&engine, without_quorum);
        Ok(if failed { Answer::No } else { Answer::Yes })
    }
}

impl RefreshJson {
    fn words(&self) -> String {
        let quorum = match self.quorum {
            Some(true) => ", cosigned by the quorum",
            Some(false) => ", THE QUORUM OF WITNESSES IS MISSING",
            None => "",
        };
        let stamps = self.timestamps;
        match &self.error {
            Some(error) => format!("error       {}: {}", legible(&self.receipt), legible(error)),
            None => format!(
                "{:<11} {}  {stamps} time-stamps{quorum}",
                self.status,
                legible(&self.receipt)
            ),
        }
    }
}

/// An evidence record in words.
fn record_words(der: &[u8]) -> String {
    match EvidenceRecord::parse(der) {
        Ok(record) => {
            let made = |t: &Timestamp| format!("{} over {}", utc(t.time()), t.imprint_algorithm());
            let made: Vec<String> = record.timestamps().map(made).collect();
            format!("time-stamps of {} (not checked here)", made.join(", then "))
        }
        Err(error) => format!("unreadable: {error}"),
    }
}

fn words(receipt: &ReceiptFile, path: &Path) -> String {
    let claim = &receipt.claim;
    let mut lines = vec![("work", claim.work.content().to_string())];
    if let Some(Amendment { act, index, claim }) = &claim.amends {
        lines.push((act.name(), format!("the claim of entry {index}, {}", HEXLOWER.encode(claim))));
    }
    for (name, value) in [
        ("title", claim.title.clone()),
        ("claimant", claim.claimant.clone()),
        ("created", claim.created.as_ref().map(|created| format!("{created} (as claimed)"))),
        ("rights", claim.rights.clone()),
        ("collection", claim.collection.clone()),
        ("path", claim.path.as_deref().map(json_text)),
        ("creator key", claim.creator.map(|creator| HEXLOWER.encode(&creator.key))),
    ] {
        lines.extend(value.map(|value| (name, value)));
    }
    lines.push(("type", format!("{}, {} bytes", claim.media_type, claim.work.length)));
    lines.push(("sha256", HEXLOWER.encode(&claim.work.sha256)));
    for fingerprint in &claim.fingerprints {
        lines.push(("fingerprint", format!("{} {}", fingerprint.kind(), fingerprint.value())));
    }
    for anchor in &receipt.anchors {
        let checkpoint = anchor.checkpoint();
        lines.push(("log", checkpoint.origin.clone()));
        lines.push(("entry", format!("{} of {}", anchor.index, checkpoint.size)));
        for signature in anchor.note().signatures() {
            let id = HEXLOWER.encode(&signature.key_id);
            lines.push(("signed by", format!("{}+{id} (not checked here)", signature.name)));
        }
        for response in &anchor.timestamps {
            let said = match Timestamp::of_response(response) {
                Ok(timestamp) => format!("made at {} (not checked here)", utc(timestamp.time())),
                Err(error) => format!("unreadable: {error}"),
            };
            lines.push(("time-stamp", said));
        }
        lines.extend(anchor.records.iter().map(|der| ("renewed", record_words(der))));
    }
    let whole = |der: &Vec<u8>| ("renewed", format!("as a whole: {}", record_words(der)));
    lines.extend(receipt.records.iter().map(whole));
    let commands = openssl_commands(receipt, path);
    let lines = lines.iter().map(|(name, value)| format!("{name:<12} {}\n", legible(value)));
    lines.collect::<String>()
        + &commands
        + "\nThis is what the receipt says. `timemark verify WORK --receipt RECEIPT --policy TRUST` tells\n\
           whether it is true. It does not say who made the work: that is the claimant's word.\n"
}

/// How anybody checks the tokens without us. A token whose certificate has expired verifies as of its own time.
fn openssl_commands(receipt: &ReceiptFile, path: &Path) -> String {
    let file = shell_word(path);
    let mut commands = String::new();
    for (number, anchor) in (1..).zip(&receipt.anchors) {
        for (token, response) in (1..).zip(&anchor.timestamps) {
            let Ok(timestamp) = Timestamp::of_response(response) else { continue };
            let of = format!("{file} --anchor {number}");
            commands += &format!(
                "\ntimemark receipt checkpoint {of} > checkpoint.txt\n\
                 timemark receipt tsr {of} --token {token} > token.tsr\n\
                 openssl ts -verify -data checkpoint.txt -in token.tsr -CAfile CA.pem -attime {}\n",
                timestamp.time()
            );
        }
    }
    if !commands.is_empty() {
        let note = "\nThese commands check the time-stamps; CA.pem is the authority's root certificate, which you \
                    get from the\nauthority (`timemark tsa cert` prints that of an archive):\n";
        commands.insert_str(0, note);
    }
    commands
}

fn shell_word(path: &Path) -> String {
    let text = legible(path);
    let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

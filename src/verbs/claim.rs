//! `timemark claim …`: what was claimed is corrected or withdrawn, by an entry of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use timemark_ingest::{AmendedClaim, Correction, CreatorKey, Engine, correct, withdraw};
use timemark_verify::{Act, Receipt};

use crate::open;
use crate::outcome::{Answer, error_words, json_text, legible, print_json, print_line, remark};
use crate::receipts::Receipts;
use crate::registering::{refresh, stamp, tell_of_witnesses};
use crate::verbs::verify::read_receipt_or_certificate;

/// Correct or withdraw what was claimed of a work
///
/// Either is a claim of its own upon the same work, with an entry and a receipt; the work is not needed. The receipt of
/// the earlier claim stays valid: it was said, and when. Who shows it is answered with the other one.
#[derive(clap::Subcommand)]
pub(crate) enum Claim {
    Correct(Correct),
    Withdraw(Withdraw),
}

/// Say it right: what is not given stays as it was
#[derive(clap::Args)]
pub(crate) struct Correct {
    /// Title of the work; an empty text takes away what was said
    #[arg(long)]
    title: Option<String>,
    /// Who claims the work
    #[arg(long)]
    claimant: Option<String>,
    /// Under which terms it may be used
    #[arg(long)]
    rights: Option<String>,
    /// The collection it belongs to
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// When it was made, as claimed
    #[arg(long)]
    created: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Take it back: nothing is claimed of the work any more, and scans do not name it
#[derive(clap::Args)]
pub(crate) struct Withdraw {
    #[command(flatten)]
    how: How,
}

// Which claim, and what to do with the receipt. No doc comment: clap would show it as that of the verb.
#[derive(clap::Args)]
struct How {
    /// The receipt (or certificate) of the claim, or the number of its entry
    #[arg(value_name = "RECEIPT|ENTRY")]
    claim: PathBuf,
    /// The creator's own key: a claim that it signed is amended under the same key only
    #[arg(long, value_name = "FILE")]
    creator_key: Option<PathBuf>,
    /// Put the receipt into this folder instead of beside the earlier one
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct AmendJson {
    status: &'static str,
    work: String,
    /// The entry of the claim that was amended.
    amended: u64,
    /// The entry of the claim that amends it.
    index: u64,
    receipt: String,
    /// Whether the policy's quorum of witnesses vouches for the receipt; absent where none is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<bool>,
}

impl Claim {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        match self {
            Claim::Correct(verb) => {
                let correction = Correction {
                    title: verb.title.as_deref(),
                    claimant: verb.claimant.as_deref(),
                    created: verb.created.as_deref(),
                    rights: verb.rights.as_deref(),
                    collection: verb.collection.as_deref(),
                };
                verb.how.amend(archive, Act::Corrects, |index, key, engine| {
                    Ok(correct(index, &correction, key, engine)?)
                })
            }
            Claim::Withdraw(verb) => {
                verb.how.amend(archive, Act::Withdraws, |index, key, engine| {
                    Ok(withdraw(index, key, engine)?)
                })
            }
        }
    }
}

impl How {
    fn amend(
        &self,
        archive: &Path,
        act: Act,
        amend: impl FnOnce(u64, Option<&CreatorKey>, &Engine) -> Result<AmendedClaim>,
    ) -> Result<Answer> {
        let key = self.creator_key.as_deref().map(CreatorKey::read).transpose()?;
        let named = Named::of(&self.claim)?;
        let receipts = Receipts::new(self.receipts.as_deref())?;
        let engine = open::open(archive)?;
        let amended = named.index(&engine)?;
        let AmendedClaim { receipt, behind } = amend(amended, key.as_ref(), &engine)?;
        let index = receipt.anchors[0].index;
        if let Some(behind) = behind.map(error_words) {
            remark(&format!("it is in the log; the index follows at the next start: {behind}"));
        }
        let status = match act {
            Act::Corrects => "corrected",
            Act::Withdraws => "withdrawn",
        };
        let beside = named.beside(&receipt);
        let written = receipts.write_amending(&beside, status, &receipt).with_context(|| {
            format!("entry {index} is in the log, but its receipt cannot be written")
        });
        let quorum = engine.log.has_quorum(index);
        if let Ok(path) = &written
            && stamp(&engine)
            && let Err(error) = refresh(&engine, path)
        {
            remark(&format!("{}: no time-stamps were added: {error:#}", legible(path)));
        }
        tell_of_witnesses(&engine, u64::from(quorum == Some(false)));
        let flushed = receipts.flush();
        let settled = open::settle(archive, &engine);
        let path = written?;
        flushed.and(settled)?;
        if self.json {
            print_json(&AmendJson {
                status,
                work: receipt.claim.work.content().to_string(),
                amended,
                index,
                receipt: json_text(path.as_os_str().as_encoded_bytes()),
                quorum,
            })?;
        } else {
            print_line(&format!(
                "{status:<11} the claim of entry {amended}, by entry {index}  receipt {}",
                legible(&path)
            ))?;
        }
        Ok(Answer::Yes)
    }
}

/// How a claim is named.
enum Named {
    Entry(u64),
    Receipt(PathBuf, Box<Receipt>),
}

impl Named {
    fn of(claim: &Path) -> Result<Named> {
        let number = claim.to_str().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        match number.and_then(|text| text.parse().ok()) {
            // A file of that name is meant by `./17`.
            Some(index) => Ok(Named::Entry(index)),
            None => {
                let bytes = read_receipt_or_certificate(claim)?;
                let receipt = Receipt::parse_file(&bytes);
                let receipt = receipt.with_context(|| claim.display().to_string())?;
                Ok(Named::Receipt(claim.to_owned(), Box::new(receipt)))
            }
        }
    }

    /// The number of its entry in this archive's log.
    fn index(&self, engine: &Engine) -> Result<u64> {
        match self {
            Named::Entry(index) => {
                let size = engine.log.size();
                ensure!(*index < size, "there is no entry {index}; the log holds {size}");
                Ok(*index)
            }
            Named::Receipt(path, receipt) => {
                let origin = engine.log.verifier().name();
                for anchor in &receipt.anchors {
                    let ours = anchor.checkpoint().origin == origin;
                    if let Some(record) = engine.registry.by_index(anchor.index)?
                        && ours
                        && record.leaf == receipt.leaf
                    {
                        return Ok(anchor.index);
                    }
                }
                bail!("{} is no receipt of this archive's log", path.display())
            }
        }
    }

    /// What the receipt of the amendment is named after, and lies beside.
    fn beside(&self, amendment: &Receipt) -> PathBuf {
        match self {
            Named::Receipt(path, _) => path.with_file_name(stem_of(path)),
            Named::Entry(index) => {
                let path = amendment.claim.path.as_deref().unwrap_or_default();
                let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                match json_text(name) {
                    name if name.is_empty() || name == ".." || name == "." => {
                        PathBuf::from(format!("entry-{index}"))
                    }
                    name => PathBuf::from(name),
                }
            }
        }
    }
}

/// The name of the work whose receipt is called so, as far as it tells.
fn stem_of(receipt: &Path) -> String {
    let name = receipt.file_name().unwrap_or_default().to_string_lossy();
    let ends = [format!(".{}", Receipt::FILE_EXTENSION), ".certificate.pdf".to_owned()];
    let stem = ends.iter().find_map(|end| name.strip_suffix(end.as_str())).unwrap_or(&name);
    // A correction of a correction is named after the work as well.
    match stem.rsplit_once(".corrected-") {
        Some((work, entry)) if entry.bytes().all(|b| b.is_ascii_digit()) => work.to_owned(),
        _ => stem.to_owned(),
    }
}

//! `timemark receipt …`: a receipt in words, and its parts for other tools.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use timemark_verify::Receipt as ReceiptFile;

use crate::outcome::{Answer, json_text, legible, print_bytes};
use crate::verbs::verify::read_receipt;

/// Show a receipt, or take it apart for other tools
#[derive(clap::Subcommand)]
pub(crate) enum Receipt {
    /// The receipt in words
    Show(File),
    /// The exact bytes of its leaf, whose RFC 6962 hash the log holds
    Leaf(File),
    /// Its first anchor as a c2sp.org/tlog-proof@v1 file
    TlogProof(File),
    /// The checkpoint's text, over which a time-stamp token's imprint is taken
    Checkpoint(File),
    /// Its first RFC 3161 TimeStampResp (DER)
    Tsr(File),
}

#[derive(clap::Args)]
pub(crate) struct File {
    /// The receipt
    receipt: PathBuf,
}

impl Receipt {
    pub fn run(&self) -> Result<Answer> {
        let (Receipt::Show(file)
        | Receipt::Leaf(file)
        | Receipt::TlogProof(file)
        | Receipt::Checkpoint(file)
        | Receipt::Tsr(file)) = self;
        let path = &file.receipt;
        let receipt =
            ReceiptFile::parse(&read_receipt(path)?).with_context(|| path.display().to_string())?;
        let anchor = &receipt.anchors[0]; // a receipt has at least one
        let part = match self {
            Receipt::Show(_) => words(&receipt).into_bytes(),
            Receipt::Leaf(_) => receipt.leaf.to_bytes().to_vec(),
            Receipt::TlogProof(_) => anchor.to_tlog_proof().into_bytes(),
            Receipt::Checkpoint(_) => anchor.note().text().as_bytes().to_vec(),
            Receipt::Tsr(_) => match anchor.timestamps.first() {
                Some(response) => response.clone(),
                None => bail!("{} holds no time-stamp token", path.display()),
            },
        };
        print_bytes(&part)?;
        Ok(Answer::Yes)
    }
}

fn words(receipt: &ReceiptFile) -> String {
    let claim = &receipt.claim;
    let mut lines = vec![("work", claim.work.content().to_string())];
    for (name, value) in [
        ("title", claim.title.clone()),
        ("claimant", claim.claimant.clone()),
        ("created", claim.created.as_ref().map(|created| format!("{created} (as claimed)"))),
        ("rights", claim.rights.clone()),
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
        lines.push(("time-stamps", anchor.timestamps.len().to_string()));
    }
    let lines = lines.iter().map(|(name, value)| format!("{name:<12} {}\n", legible(value)));
    lines.collect::<String>()
        + "\nThis is what the receipt says. `timemark verify WORK --receipt RECEIPT --policy TRUST` tells\n\
           whether it is true. It does not say who made the work: that is the claimant's word.\n"
}

//! `timemark log …`: the log's keys, checkpoint and tiles, its audit, its backups, what the staff did, the erasure of a claim.

mod actions;
mod backup;
mod compare;
mod restore;
mod rotate;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use timemark_ingest::erase;
use timemark_review::{Review, Roots};
use timemark_verify::TrustedLog;

use crate::outcome::{Answer, legible, print_bytes, print_line};
use crate::{open, progress, trust};

/// Look at the log, audit it, back it up, replace its keys, erase a claim
#[derive(clap::Subcommand)]
pub(crate) enum Log {
    /// The keys that verify the log, one a line
    Vkey,
    /// The policy by which the archive's receipts are to be verified: its log's keys, its witnesses and
    /// authorities. With --set, takes another file for the part that is not about the log
    Policy {
        /// Witnesses, groups, quorum and authorities: a policy without log lines
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
        /// Take a policy whose quorum needs none of the former witnesses: backups made before must not be
        /// restored any more
        #[arg(long, requires = "set")]
        replace_witnesses: bool,
    },
    /// The newest checkpoint
    Checkpoint,
    /// Hash everything on disk again and compare it with what was signed
    Audit,
    /// The folder of the public tlog-tiles tree
    TilesDir,
    Actions(actions::Actions),
    /// Erase the claim behind an entry: title, claimant, fingerprints, path; or what an action says
    ///
    /// The entry, its number and every receipt handed out stay valid. Exact copies of the work are still
    /// found; edited ones no longer are.
    EraseClaim {
        /// The entry's number
        index: u64,
    },
    RotateKeys(rotate::RotateKeys),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Compare(compare::Compare),
}

impl Log {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        match self {
            Log::Vkey => {
                // The newest keys stand first.
                let newest = |log: &&TrustedLog| *log.sizes.end() == u64::MAX;
                for log in trust::policy(archive)?.logs().iter().filter(newest) {
                    print_line(&log.key.to_string())?;
                }
            }
            Log::Policy { set: None, .. } => print_bytes(trust::policy_text(archive)?.as_bytes())?,
            Log::Policy { set: Some(file), replace_witnesses } => {
                trust::set_policy(archive, file, *replace_witnesses)?;
            }
            Log::Checkpoint => print_bytes(open::checkpoint(archive)?.to_string().as_bytes())?,
            Log::TilesDir => {
                // Scripts take it: the exact bytes.
                let dir = open::tiles_dir(archive)?;
                print_bytes(&[dir.as_os_str().as_encoded_bytes(), b"\n"].concat())?;
            }
            Log::Audit => return audit(archive),
            Log::Actions(verb) => return verb.run(archive),
            Log::RotateKeys(verb) => return verb.run(archive),
            Log::Backup(verb) => return verb.run(archive),
            Log::Restore(verb) => return verb.run(archive),
            Log::Compare(verb) => return verb.run(archive),
            Log::EraseClaim { index } => {
                erase_claim(archive, *index)?;
                print_line(&format!("the claim behind entry {index} is erased"))?;
            }
        }
        Ok(Answer::Yes)
    }
}

fn erase_claim(archive: &Path, index: u64) -> Result<()> {
    let engine = open::open_without_signing(archive)?;
    // What scans of the service told of it goes as well.
    let dir = open::review_dir(archive);
    let review = if dir.is_dir() { Some(Review::open(&dir, Roots::of(&[])?)?) } else { None };
    // What was derived from the claim goes with it, whole: deleting rows could leave traces. From here on
    // it is not believed any more, so that it goes at the next start even if this one is killed.
    let erasure = erase(index, &engine, &|entries| {
        review.iter().try_for_each(|review| review.note_erasing(entries))?;
        Ok(open::disown_derived(archive)?)
    })?;
    drop(engine);
    if let Some(failed) = erasure.failed.filter(|_| erasure.erased.is_empty()) {
        return Err(failed.into());
    }
    review.iter().try_for_each(|review| review.forget_words(&erasure.erased))?;
    drop(review);
    for entry in erasure.withdrawals {
        print_line(&format!("entry {entry} withdraws in its place, and names nobody"))?;
    }
    let rebuilt = open::open_without_signing(archive).context(
        "the claim is erased from the log; what was derived from it goes at the next start",
    );
    rebuilt.map(drop)
}

fn audit(archive: &Path) -> Result<Answer> {
    let engine = open::open_without_signing(archive)?;
    let bar = progress::counter("auditing", engine.log.size());
    let audit = timemark_ingest::audit(&engine, &|done| bar.set_position(done))?;
    bar.finish_and_clear();
    for finding in audit.log.findings.iter().chain(&audit.findings) {
        print_line(&format!("WRONG  {}", legible(finding)))?;
    }
    print_line(&format!(
        "{} entries, {} tiles, {} signed checkpoints and {} works hashed; {} claims erased; {} findings",
        audit.log.entries,
        audit.log.tiles,
        audit.log.checkpoints,
        audit.works,
        audit.log.claims_erased,
        audit.log.findings.len() + audit.findings.len(),
    ))?;
    let clean = audit.log.findings.is_empty() && audit.findings.is_empty();
    Ok(if clean { Answer::Yes } else { Answer::No })
}

//! `timemark log …`: the log's key, checkpoint and tiles, its audit, and the erasure of a claim.

use std::path::Path;

use anyhow::Result;

use crate::outcome::Answer;
use crate::{open, progress};

/// Look at the log, audit it, erase a claim
#[derive(clap::Subcommand)]
pub(crate) enum Log {
    /// The keys that verify the log, one a line
    Vkey,
    /// The newest checkpoint
    Checkpoint,
    /// Hash everything on disk again and compare it with what was signed
    Audit,
    /// The folder of the public tlog-tiles tree
    TilesDir,
    /// Erase the claim behind an entry: title, claimant, fingerprints, path
    ///
    /// The entry, its number and every receipt handed out stay valid. Exact copies of the work are still
    /// found; edited ones no longer are.
    EraseClaim {
        /// The entry's number
        index: u64,
    },
}

impl Log {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        match self {
            Log::Vkey => println!("{}", open::verifier(archive)?),
            Log::Checkpoint => print!("{}", open::checkpoint(archive)?),
            Log::TilesDir => println!("{}", open::tiles_dir(archive)?.display()),
            Log::Audit => return audit(archive),
            Log::EraseClaim { index } => {
                open::open(archive)?.log.erase_claim(*index)?;
                // What was derived from the claim goes with it; deleting rows could leave traces.
                open::delete_derived(archive)?;
                open::open(archive)?.settle()?;
                println!("the claim behind entry {index} is erased");
            }
        }
        Ok(Answer::Yes)
    }
}

fn audit(archive: &Path) -> Result<Answer> {
    let engine = open::open(archive)?;
    let bar = progress::counter("auditing", engine.log.size());
    let audit = timemark_ingest::audit(&engine, &|done| bar.set_position(done))?;
    bar.finish_and_clear();
    for finding in audit.log.findings.iter().chain(&audit.findings) {
        println!("WRONG  {finding}");
    }
    println!(
        "{} entries, {} tiles, {} signed checkpoints and {} works hashed; {} claims erased; {} findings",
        audit.log.entries,
        audit.log.tiles,
        audit.log.checkpoints,
        audit.works,
        audit.log.claims_erased,
        audit.log.findings.len() + audit.findings.len(),
    );
    let clean = audit.log.findings.is_empty() && audit.findings.is_empty();
    Ok(if clean { Answer::Yes } else { Answer::No })
}

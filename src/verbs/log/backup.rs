//! `timemark log backup`: the archive once more, somewhere else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use timemark_verify::Checkpoint;

use crate::outcome::{Answer, legible, print_line};
use crate::{backup, open};

/// Copy the archive to a folder, or bring the copy there up to date
///
/// The copy opens for scan, search, verify and audit. It signs nothing: `log restore` makes an archive of it
/// again, if the witnesses know of nothing newer.
#[derive(clap::Args)]
pub(crate) struct Backup {
    /// Where to: a folder of its own, best on another machine
    dest: PathBuf,
    /// Copy the private keys as well; keep them elsewhere otherwise: without them the log cannot go on
    #[arg(long)]
    with_keys: bool,
}

impl Backup {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let engine = open::open(archive)?;
        open::settle(archive, &engine)?;
        let copied = backup::copy(archive, &engine.log, &self.dest, self.with_keys)?;
        // Hashes all of the tree that was copied.
        let log =
            open::open_log_of_backup(&self.dest).context("the backup was made and is not good")?;
        ensure!(
            log.checkpoint() == engine.log.checkpoint(),
            "the backup is not of the newest checkpoint"
        );
        let checkpoint = Checkpoint::of_note(&log.checkpoint())?;
        print_line(&format!(
            "{} holds {} entries under the root {}: {} files copied ({} bytes), {} were there",
            legible(&self.dest),
            checkpoint.size,
            checkpoint.root,
            copied.files,
            copied.bytes,
            copied.kept
        ))?;
        if !self.with_keys {
            print_line("it holds no private keys: keep a copy of keys/ apart from it")?;
        }
        Ok(Answer::Yes)
    }
}

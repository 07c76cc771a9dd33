//! `timemark log rotate-keys`: new keys of the same log in place of the old.

use std::path::Path;

use anyhow::{Context, Result};

use crate::outcome::{Answer, legible, print_line, remark};
use crate::{newest, open, trust};

/// Replace the log's keys with new ones of the same name
///
/// The old private keys are destroyed. They speak for the log up to the present size and never beyond;
/// receipts go on to verify with the newest `log policy`.
#[derive(clap::Args)]
pub(crate) struct RotateKeys {}

impl RotateKeys {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let engine = open::open(archive)?;
        let policy = trust::policy(archive)?;
        // The old keys of an old copy spoke for more than is here.
        let answers = newest::ask(archive, &open::history(archive)?, &policy)?;
        answers.silent.iter().for_each(|reason| remark(reason));
        let size = engine.log.size();
        open::replace_keys(archive, engine)?;
        // Opened again, the log signs its newest checkpoint with the new keys.
        let reopened =
            open::open(archive).context("the keys are replaced; the next start goes on")?;
        print_line(&format!(
            "the log's keys are replaced; the old ones speak for it up to {size} entries"
        ))?;
        let verifiers = open::history(archive)?;
        for key in
            verifiers.verifiers().take_while(|key| policy.logs().iter().all(|l| l.key != **key))
        {
            print_line(&legible(key.to_string()))?;
        }
        drop(reopened);
        print_line(
            "give `timemark log policy` to everybody who verifies receipts: older ones refuse new receipts",
        )?;
        print_line(
            "give it to every witness as well (`timemark witness add-log --policy FILE`): until then it cosigns \
             nothing new, and goes on believing the old keys",
        )?;
        Ok(Answer::Yes)
    }
}

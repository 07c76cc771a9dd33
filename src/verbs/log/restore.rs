//! `timemark log restore`: a backup signs again, if it is proven that nothing newer was signed.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::outcome::{Answer, print_line, remark};
use crate::{backup, newest, open, storage, trust};

/// Make an archive of a backup, if nothing newer was ever signed
///
/// The archive is the one that --archive names. Every witness of its policy is asked; what they know of must
/// not be newer, and so many must answer that no quorum is without one of them.
#[derive(clap::Args)]
pub(crate) struct Restore {
    /// A copy of the archive's folder keys, where the backup holds none: log.key, salt.key, and store.key and s3.key if there were any
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

impl Restore {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let name = archive.display();
        ensure!(
            backup::mark(archive)?.is_some(),
            "{name} is no backup; there is nothing to restore"
        );
        backup::finish(archive)?;
        let log = open::open_log_of_backup(archive)?; // held to the end
        let policy = trust::policy(archive)?;
        if !policy.quorum().needs_one_of(&|_| true) {
            bail!(
                "the policy of {name} asks for no witness, so that nobody can tell whether the log has signed \
                 more than is here; if it goes on from here, it may sign a second history. {ENDS_HERE}"
            );
        }
        let answers = newest::ask(archive, &open::history(archive)?, &policy)?;
        answers.silent.iter().for_each(|reason| remark(reason));
        if !policy.quorum().needs_one_of(&|witness| answers.confirmed.contains(&witness)) {
            bail!(
                "{} of {} keys of witnesses confirm that nothing newer was signed, and the others alone may \
                 have cosigned something newer: try again when more of them answer. If they never do: {ENDS_HERE}",
                answers.confirmed.len(),
                policy.witnesses().len()
            );
        }
        open::make_signing(archive, self.keys.as_deref())?;
        if storage::lacks_key(archive)? {
            remark(
                "works are sealed, and keys/store.key is not here: unless others hold their key, nobody can open them; put it \
                 back before anything is registered",
            );
        }
        let size = log.size();
        drop(log);
        drop(open::open(archive)?);
        print_line(&format!("{name} is an archive again: its log goes on after entry {size}"))?;
        print_line("entries that no quorum had cosigned may be missing without anybody's knowing")?;
        print_line(
            "whatever is left of the archive that it was a backup of must never be opened again",
        )?;
        Ok(Answer::Yes)
    }
}

const ENDS_HERE: &str = "The log ends here: this backup stays good for verification, scans and audits, and new \
                         works go into a new archive (`timemark init`)";

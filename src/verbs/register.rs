//! `timemark register`: files become receipts.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Result;
use timemark_ingest::walk;

use crate::outcome::{Answer, remark};
use crate::progress;
use crate::registering::{How, Registering, Task, Words};

/// Register files and folders; each gets a receipt
#[derive(clap::Args)]
pub(crate) struct Register {
    /// Files and folders
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Title of the works
    #[arg(long)]
    title: Option<String>,
    /// Who claims the works
    #[arg(long)]
    claimant: Option<String>,
    /// Under which terms they may be used
    #[arg(long)]
    rights: Option<String>,
    /// The collection they belong to
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// When they were made, as claimed
    #[arg(long)]
    created: Option<String>,
    #[command(flatten)]
    how: How,
}

impl Register {
    pub fn run(self, archive: &Path) -> Result<Answer> {
        let run = Registering::open(archive, &self.how, None)?;
        let words = Words {
            title: self.title,
            claimant: self.claimant,
            created: self.created,
            rights: self.rights,
            collection: self.collection,
        };
        if words.name_nobody() {
            remark("without --claimant these claims name nobody");
        }
        let bar = progress::growing("registering");
        let found = self.paths.iter().flat_map(|path| walk(path)).inspect(|_| bar.inc_length(1));
        let said = Cow::Borrowed(&words);
        run.all(found, &bar, |sighting| Task { sighting, said: said.clone(), line: None, steps: 1 })
    }
}

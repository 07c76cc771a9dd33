//! `timemark init`: an archive with its keys and an empty log.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::open;
use crate::outcome::{Answer, legible, print_line};

/// Make an archive: keys and an empty log
#[derive(clap::Args)]
pub(crate) struct Init {
    /// The log's name, best a URL without scheme that you control [default: a random one]
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// A folder with log.key and salt.key to use instead of new keys
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Which witnesses cosign and which authorities stamp: a policy without log lines
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Init {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let verifier = open::create(
            archive,
            self.origin.as_deref(),
            self.keys.as_deref(),
            self.policy.as_deref(),
        )?;
        print_line(&format!("made the archive {}", legible(archive)))?;
        print_line(&format!("its log is verified by {}", legible(verifier.to_string())))?;
        Ok(Answer::Yes)
    }
}

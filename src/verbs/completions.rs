//! `timemark completions`: what a shell completes its verbs and options with.

use anyhow::Result;
use clap_complete::{Shell, generate};

use crate::outcome::{Answer, print_bytes};

/// Print the completions for a shell
///
/// bash: into /etc/bash_completion.d/timemark; zsh: as _timemark into a folder of $fpath; fish: into
/// ~/.config/fish/completions/timemark.fish. The Debian package brings them.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// Which one
    shell: Shell,
}

impl Completions {
    pub fn run(self, mut program: clap::Command) -> Result<Answer> {
        let mut script = Vec::new();
        generate(self.shell, &mut program, "timemark", &mut script);
        print_bytes(&script)?;
        Ok(Answer::Yes)
    }
}

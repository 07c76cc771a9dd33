//! The front door: one file per verb.

mod open;
mod outcome;
mod progress;
mod report;
mod verbs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use outcome::Answer;

/// Timestamp works in a log that anyone can check, and find their copies.
///
/// Exit codes: 0 yes or done; 1 no, or at least one file failed; 2 could not tell.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Args)]
struct ArchiveArg {
    /// The archive folder [default: ./timemark-archive]
    #[arg(long, global = true, value_name = "DIR", env = "TIMEMARK_ARCHIVE")]
    archive: Option<PathBuf>,
}

impl ArchiveArg {
    /// The archive to work on.
    fn path(&self) -> &Path {
        self.archive.as_deref().unwrap_or(Path::new("timemark-archive"))
    }
}

#[derive(Subcommand)]
enum Verb {
    Init(verbs::init::Init),
    Register(verbs::register::Register),
    Verify(verbs::verify::Verify),
    Scan(verbs::scan::Scan),
    Search(verbs::search::Search),
    #[command(subcommand)]
    Receipt(verbs::receipt::Receipt),
    #[command(subcommand)]
    Log(verbs::log::Log),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let archive = cli.archive.path();
    let answer = match cli.verb {
        Verb::Init(verb) => verb.run(archive),
        Verb::Register(verb) => verb.run(archive),
        // Trust must be named: the default folder is nobody's word.
        Verb::Verify(verb) => verb.run(cli.archive.archive.as_deref()),
        Verb::Scan(verb) => verb.run(archive),
        Verb::Search(verb) => verb.run(archive),
        Verb::Receipt(verb) => verb.run(),
        Verb::Log(verb) => verb.run(archive),
    };
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::CouldNotTell) => ExitCode::from(2),
        Err(error) => {
            eprintln!("timemark: {error:#}");
            ExitCode::from(2)
        }
    }
}

//! The front door: one file per verb.

// They panic where a pipe is closed or a disk is full; outcome.rs prints.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod backup;
mod bundling;
mod car;
mod catalogue;
mod evidence;
mod newest;
mod open;
mod outcome;
mod packing;
mod progress;
mod receipts;
mod registering;
mod report;
mod storage;
mod trust;
mod verbs;
mod webhooks;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use mimalloc::MiMalloc;

use outcome::Answer;

/// Planes of pixels come and go by the thousand. The system's allocator gives each back to the kernel, which clears
/// its pages anew: 7 of the 32 seconds of processor time of a scan of 1,068 pictures.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Register works in a log that anyone can check, and find their copies.
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
    /// The archive folder [env: TIMEMARK_ARCHIVE] [default: ./timemark-archive]
    #[arg(long, global = true, value_name = "DIR")]
    archive: Option<PathBuf>,
}

impl ArchiveArg {
    /// The archive that the user names. A variable that is set to nothing names none.
    fn named(self) -> Option<PathBuf> {
        let variable = || std::env::var_os("TIMEMARK_ARCHIVE").filter(|dir| !dir.is_empty());
        self.archive.or_else(|| variable().map(PathBuf::from))
    }
}

#[derive(Subcommand)]
enum Verb {
    Init(verbs::init::Init),
    Register(verbs::register::Register),
    Watch(verbs::watch::Watch),
    Import(verbs::import::Import),
    Export(verbs::export::Export),
    Renew(verbs::renew::Renew),
    #[command(subcommand)]
    Claim(verbs::claim::Claim),
    Verify(verbs::verify::Verify),
    Certificate(verbs::certificate::Certificate),
    Bundle(verbs::bundle::Bundle),
    Scan(verbs::scan::Scan),
    Search(verbs::search::Search),
    #[command(subcommand)]
    Receipt(verbs::receipt::Receipt),
    #[command(subcommand)]
    Log(verbs::log::Log),
    #[command(subcommand)]
    Store(verbs::store::Store),
    Serve(verbs::serve::Serve),
    #[command(subcommand)]
    Account(verbs::account::Account),
    #[command(subcommand)]
    Tsa(verbs::tsa::Tsa),
    #[command(subcommand)]
    Witness(verbs::witness::Witness),
    Completions(verbs::completions::Completions),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let named = cli.archive.named();
    let archive = named.as_deref().unwrap_or(Path::new("timemark-archive"));
    let answer = match cli.verb {
        Verb::Init(verb) => verb.run(archive),
        Verb::Register(verb) => verb.run(archive),
        Verb::Watch(verb) => verb.run(archive),
        Verb::Import(verb) => verb.run(archive),
        Verb::Export(verb) => verb.run(archive),
        Verb::Renew(verb) => verb.run(archive),
        Verb::Claim(verb) => verb.run(archive),
        // Trust must be named: the default folder is nobody's word.
        Verb::Verify(verb) => verb.run(named.as_deref()),
        Verb::Certificate(verb) => verb.run(archive),
        Verb::Bundle(verb) => verb.run(archive),
        Verb::Scan(verb) => verb.run(archive),
        Verb::Search(verb) => verb.run(archive),
        Verb::Receipt(verb) => verb.run(archive),
        Verb::Log(verb) => verb.run(archive),
        Verb::Store(verb) => verb.run(archive),
        Verb::Serve(verb) => verb.run(archive),
        Verb::Account(verb) => verb.run(archive),
        Verb::Tsa(verb) => verb.run(archive),
        Verb::Witness(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(Cli::command()),
    };
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::CouldNotTell) => ExitCode::from(2),
        Err(error) => {
            outcome::remark_error(&error);
            ExitCode::from(2)
        }
    }
}

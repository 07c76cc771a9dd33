//! `timemark witness …`: a witness of logs (c2sp.org/tlog-witness), as a server of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use timemark_tlog::{Clock, Witness as Server};
use timemark_verify::{Policy, VerifierKey};

use crate::outcome::{Answer, legible, print_line};

/// Run a witness: it cosigns the checkpoints of logs that never contradict themselves
#[derive(clap::Subcommand)]
pub(crate) enum Witness {
    /// Answer add-checkpoint requests until stopped. Prints its verifier keys and its URL
    Serve {
        #[command(flatten)]
        folder: Folder,
        /// The witness's name, best a URL without scheme: makes the witness if there is none in the folder
        #[arg(long)]
        name: Option<String>,
        /// Verifier keys of logs to cosign for, beside those known already
        #[arg(long = "log", value_name = "VKEY")]
        logs: Vec<VerifierKey>,
        /// Where to listen
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8751")]
        listen: SocketAddr,
    },
    /// Add verifier keys of logs, also while the witness serves
    AddLog {
        #[command(flatten)]
        folder: Folder,
        /// A log's verifier key, as `timemark log vkey` prints it
        #[arg(required_unless_present = "policy")]
        vkey: Vec<VerifierKey>,
        /// What `timemark log policy` prints: its log's keys take the place of those known of that log. This
        /// is how a witness learns that keys were replaced, and that the old ones sign nothing new
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// The keys that verify its cosignatures, one a line
    Vkey(Folder),
}

#[derive(clap::Args)]
pub(crate) struct Folder {
    /// The witness's folder: its keys, what it cosigned, evidence of logs that misbehaved
    #[arg(long, value_name = "DIR", default_value = "timemark-witness")]
    dir: PathBuf,
}

impl Witness {
    pub fn run(&self) -> Result<Answer> {
        match self {
            Witness::Serve { folder, name, logs, listen } => {
                serve(&folder.dir, name.as_deref(), logs, *listen)?;
            }
            Witness::AddLog { folder, vkey, policy } => {
                if let Some(path) = policy {
                    let file = std::fs::read(path).with_context(|| path.display().to_string())?;
                    let policy =
                        Policy::parse(&file).with_context(|| path.display().to_string())?;
                    Server::replace_logs(&folder.dir, &policy)?;
                }
                add_logs(&folder.dir, vkey)?;
            }
            Witness::Vkey(folder) => {
                for key in Server::read_verifiers(&folder.dir)? {
                    print_line(&legible(key.to_string()))?;
                }
            }
        }
        Ok(Answer::Yes)
    }
}

fn serve(dir: &Path, name: Option<&str>, logs: &[VerifierKey], listen: SocketAddr) -> Result<()> {
    match (Server::is_in(dir), name) {
        (false, Some(name)) => Server::create(dir, name)?,
        (false, None) => bail!("there is no witness in {}; --name makes one", dir.display()),
        (true, Some(name)) => {
            let keys = Server::read_verifiers(dir)?;
            if keys.iter().any(|key| key.name() != name) {
                bail!("the witness in {} has another name", dir.display());
            }
        }
        (true, None) => {}
    }
    add_logs(dir, logs)?;
    let witness = Arc::new(Server::open(dir, Clock::system())?);
    for key in witness.verifiers() {
        print_line(&legible(key.to_string()))?;
    }
    let router = timemark_api::witness::router(witness);
    super::serve::until_stopped(listen, router)
}

fn add_logs(dir: &Path, logs: &[VerifierKey]) -> Result<()> {
    for key in logs {
        Server::add_log(dir, key)?;
    }
    Ok(())
}

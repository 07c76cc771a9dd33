//! `timemark tsa …`: the archive's time-stamp authority (RFC 3161).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use timemark_tsa::Authority;

use crate::open;
use crate::outcome::{Answer, print_bytes};

/// Run a time-stamp authority, or show its certificates
#[derive(clap::Subcommand)]
pub(crate) enum Tsa {
    /// Answer `POST /tsa` until stopped; the first run makes keys and certificates. Prints its URL
    Serve {
        /// Where to listen
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8752")]
        listen: SocketAddr,
    },
    /// Its certificate and the root above it, as PEM
    Cert {
        /// The root alone, as a line for a policy: `tsa <name> <certificate> <URL>`
        #[arg(long, value_name = "NAME=URL", value_parser = parse_pair)]
        policy_line: Option<(String, String)>,
    },
}

impl Tsa {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        match self {
            Tsa::Serve { listen } => {
                let authority = Arc::new(open::authority(archive)?);
                super::serve::until_stopped(*listen, router(authority))?;
            }
            Tsa::Cert { policy_line: None } => {
                print_bytes(open::authority_chain(archive)?.as_bytes())?;
            }
            Tsa::Cert { policy_line: Some((name, url)) } => {
                let root = open::authority_root(archive)?;
                let root = data_encoding::BASE64.encode(&root);
                print_bytes(format!("tsa {name} {root} {url}\n").as_bytes())?;
            }
        }
        Ok(Answer::Yes)
    }
}

/// The authority behind HTTP. What keeps it from issuing is told to the operator, and to clients only in the
/// failure code.
pub(super) fn router(authority: Arc<Authority>) -> timemark_api::Router {
    timemark_api::tsa::router(respond(authority))
}

/// What answers a request.
pub(super) fn respond(authority: Arc<Authority>) -> timemark_api::tsa::Respond {
    Arc::new(move |request| {
        let response = authority.respond(request);
        if let Some(trouble) = authority.trouble() {
            crate::outcome::remark(&format!("no time-stamp was issued: {trouble}"));
        }
        response
    })
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("NAME=URL is expected")?;
    Ok((name.to_owned(), url.to_owned()))
}

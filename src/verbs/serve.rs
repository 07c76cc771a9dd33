//! `timemark serve`: the archive's log over HTTP, and its time-stamp authority.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::open;
use crate::outcome::{Answer, print_line};

/// Serve the log's tiles and checkpoint, and `POST /tsa` where the archive has an authority
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8750")]
    listen: SocketAddr,
}

impl Serve {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let mut router = timemark_api::tiles::router(open::tiles_dir(archive)?);
        if open::has_authority(archive) {
            router = router.merge(super::tsa::router(Arc::new(open::authority(archive)?)));
        }
        until_stopped(self.listen, router)?;
        Ok(Answer::Yes)
    }
}

/// Serves until SIGTERM or SIGINT. Prints the URL once it can be asked.
pub(super) fn until_stopped(listen: SocketAddr, router: timemark_api::Router) -> Result<()> {
    let router = timemark_api::with_health(router);
    let mut printed = Ok(());
    let ready = |address| printed = print_line(&format!("listening on http://{address}"));
    timemark_api::serve(listen, router, ready).with_context(|| listen.to_string())?;
    printed
}

//! `timemark serve`: the whole archive over HTTP on this machine, or the public files of its log for everybody.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use anyhow::{Context, Result, ensure};
use timemark_api::service::{Archive, SERVICE_TIME_MAX, router};
use timemark_hooks::{Hooks, Reach};
use timemark_ingest::Engine;
use tracing_subscriber::filter::LevelFilter;

use crate::open;
use crate::outcome::{Answer, print_line, remark};
use crate::registering::{STAMP_INTERVAL, stamp};
use crate::verbs::store;
use crate::webhooks;

/// Serve the archive: register, verify, search and read the log over HTTP (docs/api.md)
///
/// There are no accounts: whoever reaches it may do everything. So it listens on this machine only, and answers no page of
/// another site. It has the archive to itself while it runs.
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8750")]
    listen: SocketAddr,
    /// Serve only what is public, wherever it listens: the log's tiles and checkpoint, and `POST /tsa` where the archive
    /// has an authority. Others may register meanwhile
    #[arg(long)]
    public_log: bool,
    /// Longest body of a request in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, conflicts_with = "public_log",
          value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    upload_max: u64,
    /// Send webhooks by http as well, and to addresses of private networks and of this machine. Whoever may make a webhook
    /// can then have this machine ask what only it reaches
    #[arg(long, conflicts_with = "public_log")]
    webhooks_to_private: bool,
    /// Write a line of JSON about each request to standard error
    #[arg(long, conflicts_with = "public_log")]
    log: bool,
}

impl Serve {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        if self.public_log {
            let mut router = timemark_api::tiles::router(open::tiles_dir(archive)?);
            if open::has_authority(archive) {
                router = router.merge(super::tsa::router(Arc::new(open::authority(archive)?)));
            }
            until_stopped(self.listen, router)?;
        } else {
            self.whole(archive)?;
        }
        Ok(Answer::Yes)
    }

    fn whole(&self, archive: &Path) -> Result<()> {
        ensure!(
            self.listen.ip().is_loopback(),
            "{} can be reached from other machines, and whoever reaches the archive may do everything with it, as there \
             are no accounts yet: listen on 127.0.0.1, or serve with --public-log only what is public",
            self.listen
        );
        tell_of_requests(self.log)?;
        let engine = Arc::new(open::open(archive)?);
        let authority = match open::has_authority(archive) {
            true => Some(super::tsa::respond(Arc::new(open::authority(archive)?))),
            false => None,
        };
        let reach = if self.webhooks_to_private { Reach::Private } else { Reach::Public };
        let hooks =
            Arc::new(Hooks::open(&archive.join(Hooks::FILE), webhooks::sources(&engine), reach)?);
        let router = router(Archive {
            engine: engine.clone(),
            trust: open::trust_text(archive)?,
            tiles_dir: open::tiles_dir(archive)?,
            uploads_dir: open::uploads_dir(archive)?,
            upload_bytes_max: self.upload_max << 20,
            authority,
            hooks: hooks.clone(),
        })?;
        engine.works.start_sending();
        let mut printed = Ok(());
        let ready = |address| printed = print_line(&format!("listening on http://{address}"));
        let (ended, end) = mpsc::channel();
        let served = thread::scope(|scope| {
            let engine = &engine;
            scope.spawn(move || endorse_now_and_then(engine, &end));
            scope.spawn(|| hooks.run(&remark));
            let served = timemark_api::serve_within(self.listen, router, SERVICE_TIME_MAX, ready);
            hooks.stop();
            drop(ended);
            served
        });
        if let Some(progress) = engine.works.progress() {
            store::tell_of_waiting(&progress);
        }
        // Whatever was acknowledged is durable already; this spares the next start.
        let settled = open::settle(archive, &engine);
        served.with_context(|| self.listen.to_string())?;
        printed.and(settled)
    }
}

/// Has authorities stamp what was registered, and witnesses cosign what they missed, until the sender goes and once more.
fn endorse_now_and_then(engine: &Engine, end: &mpsc::Receiver<()>) {
    let mut stamped = 0; // what was registered before a crash as well
    loop {
        let goes_on = end.recv_timeout(STAMP_INTERVAL) == Err(RecvTimeoutError::Timeout);
        let size = engine.log.size();
        if size > stamped && stamp(engine) {
            stamped = size;
        }
        if !goes_on {
            return;
        }
        if size > 0 && engine.log.has_quorum(size - 1) == Some(false) {
            let last = engine.log.receipt(size - 1);
            if let Err(error) = last.and_then(|mut last| engine.log.refresh(&mut last)) {
                remark(&format!("the witnesses could not be asked: {error}"));
            }
        }
    }
}

/// What the service says of requests goes to standard error: of each where that is asked for, else of failures alone.
fn tell_of_requests(each: bool) -> Result<()> {
    let most = if each { LevelFilter::INFO } else { LevelFilter::WARN };
    let told = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(most)
        .with_writer(std::io::stderr)
        // Standard error may be closed.
        .log_internal_errors(false)
        .try_init();
    told.map_err(anyhow::Error::from_boxed).context("standard error")
}

/// Serves until SIGTERM or SIGINT. Prints the URL once it can be asked.
pub(super) fn until_stopped(listen: SocketAddr, router: timemark_api::Router) -> Result<()> {
    let router = timemark_api::with_health(router);
    let mut printed = Ok(());
    let ready = |address| printed = print_line(&format!("listening on http://{address}"));
    timemark_api::serve(listen, router, ready).with_context(|| listen.to_string())?;
    printed
}

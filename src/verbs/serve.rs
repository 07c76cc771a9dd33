//! `timemark serve`: the whole archive over HTTP on this machine, or the public files of its log for everybody.

mod settings;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::NamedTempFile;
use timemark_accounts::Accounts;
use timemark_api::bundles::{self, Bundler, Case, Failure, MissingFact, NoBundle};
use timemark_api::service::{Archive, Certify, Disown, NoCertificate, SERVICE_TIME_MAX, router};
use timemark_api::traces::Traces;
use timemark_api::{Reach, Tls};
use timemark_bundle::{Fact, FactError, Facts, PaperError, WriteError};
use timemark_certificate::CertificateError;
use timemark_hooks::{Hooks, Reach as HooksReach};
use timemark_ingest::sources::Captured;
use timemark_ingest::{Engine, Registration};
use timemark_review::{Review, Roots};
use timemark_verify::Profile;
use tracing::Metadata;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::bundling::{Bundling, NoEvidence, Suspect};
use crate::outcome::{Answer, error_words, print_line, remark};
use crate::registering::{STAMP_INTERVAL, stamp};
use crate::verbs::{bundle, certificate, store};
use crate::webhooks;
use crate::{open, trust};

/// Serve the archive: register, verify, search and read the log over HTTP (docs/api.md)
///
/// Until there are accounts, whoever reaches it may do everything: it listens on this machine only, answers no page of
/// another site, and prints a link by which the first administrator is made. With accounts it may listen elsewhere, by TLS.
/// It has the archive to itself while it runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// A file with these options, by their names, in TOML; what is said here counts [default: serve.toml in the archive, if
    /// it is there]
    #[arg(long, value_name = "FILE", conflicts_with = "public_log")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8750]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Serve only what is public, wherever it listens: the log's tiles and checkpoint, and `POST /tsa` where the archive
    /// has an authority. Others may register meanwhile
    #[arg(long)]
    public_log: bool,
    /// Longest body of a request in MiB [default: 256]
    #[arg(long, value_name = "MIB", conflicts_with = "public_log",
          value_parser = clap::value_parser!(u64).range(1..=Serve::UPLOAD_MIB_MAX))]
    upload_max: Option<u64>,
    /// The verifier's page, which scripts/page.sh builds [default: verify.html beside this program, if it is there]
    #[arg(long, value_name = "FILE", conflicts_with = "public_log")]
    page: Option<PathBuf>,
    /// The name by which others ask, such as archive.example; needed where it is reached from other machines
    #[arg(long, value_name = "NAME", conflicts_with = "public_log")]
    public_host: Option<String>,
    /// The certificates for TLS as PEM, the server's own first
    #[arg(long, value_name = "FILE", conflicts_with = "public_log")]
    tls_cert: Option<PathBuf>,
    /// The private key of the first certificate as PEM
    #[arg(long, value_name = "FILE", conflicts_with = "public_log")]
    tls_key: Option<PathBuf>,
    /// A reverse proxy in front of it speaks TLS, and passes on the Host that it was asked for
    #[arg(long, conflicts_with = "public_log")]
    behind_proxy: bool,
    /// A folder whose files may be scanned on request; may be said several times
    #[arg(long, value_name = "DIR", conflicts_with = "public_log")]
    scan_root: Vec<PathBuf>,
    /// Keep the bytes of suspects that are copies, as evidence, up to so many GiB [default: 16]
    #[arg(long, value_name = "GIB", conflicts_with = "public_log",
          value_parser = clap::value_parser!(u64).range(0..=Serve::SUSPECTS_GIB_MAX))]
    keep_suspects: Option<u64>,
    /// Send webhooks by http as well, and to addresses of private networks and of this machine. Whoever may make a webhook
    /// can then have this machine ask what only it reaches
    #[arg(long, conflicts_with = "public_log")]
    webhooks_to_private: bool,
    /// Write a line of JSON about each request to standard error
    #[arg(long, conflicts_with = "public_log")]
    log: bool,
    /// Send traces of requests to this OpenTelemetry collector (OTLP over HTTP), such as http://collector:4318
    #[arg(long, value_name = "URL", conflicts_with = "public_log")]
    otlp: Option<String>,
}

impl Serve {
    pub fn run(self, archive: &Path) -> Result<Answer> {
        if self.public_log {
            let mut router = timemark_api::tiles::router(open::tiles_dir(archive)?);
            if open::has_authority(archive) {
                router = router.merge(super::tsa::router(Arc::new(open::authority(archive)?)));
            }
            until_stopped(self.listen(), router)?;
        } else {
            self.with_settings(archive)?.whole(archive)?;
        }
        Ok(Answer::Yes)
    }

    fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or(LISTEN_DEFAULT)
    }

    /// The verifier's page. One that is named must be there; the one beside the program need not have been built.
    fn verifier(&self) -> Result<Option<Vec<u8>>> {
        match &self.page {
            Some(_) => bundle::verifier_page(self.page.as_deref()).map(Some),
            None => Ok(bundle::verifier_page(None).ok()),
        }
    }

    fn whole(&self, archive: &Path) -> Result<()> {
        let tls = self.tls()?;
        let traces = self.otlp.as_deref().map(Traces::to).transpose().context("--otlp")?;
        tell_of_requests(self.log, traces.as_ref())?;
        let engine = Arc::new(open::open(archive)?);
        let accounts = open::accounts(archive)?;
        self.check_reach(&accounts)?;
        let setup = match accounts.any() {
            true => None,
            false => Some(timemark_accounts::setup_token()?),
        };
        let authority = match open::has_authority(archive) {
            true => Some(super::tsa::respond(Arc::new(open::authority(archive)?))),
            false => None,
        };
        let trust = trust::policy_text(archive)?;
        let roots = Roots::of(&self.scan_root).context("--scan-root")?;
        let review = Review::open(&open::review_dir(archive), roots)?;
        let review =
            Arc::new(review.keeping(self.keep_suspects.unwrap_or(SUSPECTS_GIB_DEFAULT) << 30));
        let (verifier, uploads_dir) = (self.verifier()?, open::uploads_dir(archive)?);
        let reach = if self.webhooks_to_private { HooksReach::Private } else { HooksReach::Public };
        let hooks = Arc::new(Hooks::open(
            &archive.join(Hooks::FILE),
            webhooks::sources(&engine, &review),
            reach,
        )?);
        let router = router(Archive {
            engine: engine.clone(),
            disown: disown(archive.to_owned()),
            certify: certify(engine.clone(), trust.clone().into_bytes()),
            bundler: Box::new(OfArchive {
                engine: engine.clone(),
                policy_text: trust.clone(),
                page: verifier.clone(),
                scratch: uploads_dir.clone(),
            }),
            verifier,
            trust,
            tiles_dir: open::tiles_dir(archive)?,
            uploads_dir,
            upload_bytes_max: self.upload_max.unwrap_or(UPLOAD_MIB_DEFAULT) << 20,
            authority,
            accounts,
            setup: setup.clone(),
            reach: Reach { public_host: self.public_host.clone(), tls: tls.is_some() },
            review: review.clone(),
            hooks: hooks.clone(),
            spans: traces.as_ref().map(Traces::tally),
        })
        .map_err(|error| anyhow!(error))?;
        engine.works.start_sending();
        let mut printed = Ok(());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let ready = |address| {
            let url = format!("{scheme}://{address}");
            let first = setup.iter().try_for_each(|token| {
                print_line(
                    "everybody on this machine may do everything, until there is an account",
                )?;
                print_line(&format!("the first administrator, within an hour: {url}/setup#{token}"))
            });
            printed = first.and_then(|()| print_line(&format!("listening on {url}")));
        };
        let (ended, end) = mpsc::channel();
        let served = thread::scope(|scope| {
            let (engine, review) = (&engine, &review);
            scope.spawn(move || endorse_now_and_then(engine, &end));
            scope.spawn(move || review.run_jobs(engine, &remark));
            scope.spawn(move || review.run_rematching(engine, &remark));
            scope.spawn(|| hooks.run(&remark));
            let stopping = || review.stop();
            let (most, listen) = (SERVICE_TIME_MAX, self.listen());
            let served = timemark_api::serve_within(listen, router, most, tls, ready, stopping);
            review.stop(); // it may never have begun
            hooks.stop();
            drop(ended);
            served
        });
        if let Some(progress) = engine.works.progress() {
            store::tell_of_waiting(&progress);
        }
        // Whatever was acknowledged is durable already; this spares the next start.
        let settled = open::settle(archive, &engine);
        traces.into_iter().for_each(Traces::stop);
        served.with_context(|| self.listen().to_string())?;
        printed.and(settled)
    }
}

impl Serve {
    fn tls(&self) -> Result<Option<Tls>> {
        let (certificates, key) = match (&self.tls_cert, &self.tls_key) {
            (Some(certificates), Some(key)) => (certificates, key),
            (None, None) => return Ok(None),
            _ => bail!("--tls-cert and --tls-key go together"),
        };
        ensure!(!self.behind_proxy, "--behind-proxy is for a proxy that speaks TLS instead");
        let read = |path: &Path| std::fs::read(path).with_context(|| path.display().to_string());
        let tls = Tls::of_pem(&read(certificates)?, &read(key)?);
        Ok(Some(tls.with_context(|| certificates.display().to_string())?))
    }

    /// Nobody from elsewhere gets in without an account, nor without TLS.
    fn check_reach(&self, accounts: &Accounts) -> Result<()> {
        let is_local = self.listen().ip().is_loopback();
        ensure!(
            accounts.any() || (is_local && self.public_host.is_none()),
            "{} can be reached from other machines, and whoever reaches the archive may do everything with it, as there \
             are no accounts yet: make the first (`timemark account add NAME --role administrator`), listen on 127.0.0.1, \
             or serve with --public-log only what is public",
            self.listen()
        );
        let has_tls = self.tls_cert.is_some() || self.behind_proxy;
        ensure!(
            has_tls || (is_local && self.public_host.is_none()),
            "keys and sessions do not go over the network in the clear: give --tls-cert and --tls-key, or --behind-proxy"
        );
        ensure!(
            is_local || self.public_host.is_some(),
            "by which name is it asked from other machines? Give --public-host"
        );
        let plain = |name: &str| {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            !name.is_empty() && name.len() <= 253 && name.bytes().all(is_name)
        };
        let name = self.public_host.as_deref();
        ensure!(name.is_none_or(plain), "--public-host is a name without scheme, port or path");
        Ok(())
    }
}

/// Before a claim is erased: what was derived from it is made anew at the next start.
fn disown(archive: PathBuf) -> Disown {
    Box::new(move || Ok(open::disown_derived(&archive)?))
}

/// Certificates of the archive's own works, under its own policy.
fn certify(engine: Arc<Engine>, policy: Vec<u8>) -> Certify {
    Box::new(move |receipt| {
        // Of a work that is not kept there is nothing to draw, which need not be said each time.
        let is_kept = engine.works.has(&receipt.claim.work.content()).unwrap_or_default()
            // Who registered a work by its digests alone need not have it: that shows them no picture.
            && !receipt.claim.fingerprints.is_empty();
        let issued = certificate::of_stored(receipt, &policy, is_kept.then_some(&*engine));
        match issued {
            Ok(issued) => Ok(issued.pdf),
            Err(CertificateError::Refused(refusal)) if refusal.is_undecided() => {
                Err(NoCertificate::Undecided(error_words(refusal)))
            }
            Err(error) => Err(NoCertificate::Failed(error.into())),
        }
    })
}

/// Bundles of the archive's works and matches, under its own policy.
struct OfArchive {
    engine: Arc<Engine>,
    policy_text: String,
    page: Option<Vec<u8>>,
    scratch: PathBuf,
}

impl OfArchive {
    fn facts(profile: Profile, stated: &bundles::Facts) -> Result<Facts, NoBundle> {
        let stated = stated.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let facts = Facts::named(stated, profile);
        facts.and_then(|facts| facts.suffice(profile).map(|()| facts)).map_err(
            |error| match error {
                FactError::Missing { missing, .. } => {
                    let told = |fact: &Fact| {
                        let Fact { name, what, what_zh, .. } = *fact;
                        MissingFact { name, what, what_zh }
                    };
                    NoBundle::Missing(missing.into_iter().map(told).collect())
                }
                error => NoBundle::Fact(error.to_string()),
            },
        )
    }
}

impl Bundler for OfArchive {
    fn check(&self, profile: Profile, facts: &bundles::Facts) -> Result<(), NoBundle> {
        OfArchive::facts(profile, facts)?;
        self.page.as_ref().map(drop).ok_or(NoBundle::NoPage)
    }

    fn make(
        &self,
        case: Case<'_>,
        out: &mut NamedTempFile,
        before: &mut dyn FnMut(&str) -> Result<(), Failure>,
    ) -> Result<Registration, NoBundle> {
        let page = self.page.as_deref().ok_or(NoBundle::NoPage)?;
        let suspect = |suspect: &bundles::Suspect| Suspect {
            path: suspect.file.to_path_buf(),
            called: Some(suspect.name.clone()),
            captured: suspect.captured.clone().map(|(url, date)| Captured { url, date }),
            known: Some((suspect.content, suspect.works.clone())),
        };
        let bundling = Bundling {
            engine: &self.engine,
            policy_text: &self.policy_text,
            page,
            profile: case.profile,
            facts: &OfArchive::facts(case.profile, &case.facts)?,
            hash_only: case.hash_only,
            receipts: case.receipts,
            suspects: case.suspects.iter().map(suspect).collect(),
            tell: case.tell,
            name: "of the service",
            scratch: &self.scratch,
        };
        let mut before = |sha256: &str| before(sha256).map_err(|error| anyhow!(error));
        let made = bundling.make(out.as_file_mut(), &mut before).map_err(|error| {
            let is_evidence = error.is::<NoEvidence>()
                || matches!(error.downcast_ref(), Some(PaperError::NotQualified { .. }))
                || matches!(error.downcast_ref(), Some(WriteError::TooLong | WriteError::TooMany));
            match is_evidence {
                true => NoBundle::NoEvidence(format!("{error:#}")),
                false => NoBundle::Failed(error.into_boxed_dyn_error()),
            }
        })?;
        self.engine.log.endorsers_failures().iter().for_each(|failure| remark(failure));
        Ok(made.registration)
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
            engine.log.cosign_newest();
        }
    }
}

/// What the service says of requests goes to standard error: of each where that is asked for, else of failures alone. Spans are
/// made only where somebody takes them.
fn tell_of_requests(each: bool, traces: Option<&Traces>) -> Result<()> {
    let most = if each { LevelFilter::INFO } else { LevelFilter::WARN };
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        // Standard error may be closed.
        .log_internal_errors(false)
        .with_filter(filter_fn(move |told| told.is_event() && *told.level() <= most));
    // Of this program, and none of what is said in it: that may name files.
    let is_ours = |told: &Metadata<'_>| told.is_span() && told.target().starts_with("timemark");
    let spans = traces.map(|traces| traces.layer().with_filter(filter_fn(is_ours)));
    let told = tracing_subscriber::registry().with(lines).with(spans).try_init();
    told.context("standard error")
}

/// Serves until SIGTERM or SIGINT. Prints the URL once it can be asked.
pub(super) fn until_stopped(listen: SocketAddr, router: timemark_api::Router) -> Result<()> {
    let router = timemark_api::with_health(router);
    let mut printed = Ok(());
    let ready = |address| printed = print_line(&format!("listening on http://{address}"));
    timemark_api::serve(listen, router, ready).with_context(|| listen.to_string())?;
    printed
}

impl Serve {
    const UPLOAD_MIB_MAX: u64 = 1 << 20;
    const SUSPECTS_GIB_MAX: u64 = 1 << 20;
}

const UPLOAD_MIB_DEFAULT: u64 = 256;
const SUSPECTS_GIB_DEFAULT: u64 = 16;
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8750);

//! From an archive folder to an open engine. Where its works lie is chosen in storage.rs.
//!
//! ```text
//! timemark-archive    marker and version of the folder
//! keys/               the log's signing keys, the secret of the salts: the operator's alone
//! log.policy          the log's public keys, as lines of a policy
//! tsa/                a time-stamp authority, where the archive is one
//! accounts.redb       who may use the archive when it is served; may be missing
//! store               where else works are kept; the operator's choice, may be missing
//! policy              which witnesses and authorities count; the operator's choice, may be missing
//! log/  blobs/        the truth
//! registry/  index/   derived; whoever deletes them finds them again
//! uploads/            files on their way in, while the archive is served
//! review/             scans asked of the service, what they found, and what people decided
//! evidence/           what the log signed and should not have; may be missing
//! backup              marks a backup, in which nothing is signed (src/backup.rs)
//! ```
//!
//! A derived folder is believed only while its file `checkpoint` shows that it follows from this log.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::HEXLOWER;
use timemark_accounts::Accounts;
use timemark_index::{Index, IndexError};
use timemark_ingest::{Engine, Fate, Neural, Salter};
use timemark_neural::{Model, Table};
use timemark_store::{EmbeddedRegistry, Registry, RegistryError, Works};
use timemark_tlog::{History, Log, LogKey};
use timemark_tsa::{Authority, TsaError};
use timemark_verify::{Anchor, Checkpoint, ContentId, Note, Receipt, VerifierKey};

use crate::backup::{self, Mark};
use crate::outcome::remark;
use crate::{progress, storage, trust};

const MARKER: &str = "timemark-archive";
const VERSION: &str = "timemark-archive v1\n";
/// The archive's time-stamp authority, if it has one.
const AUTHORITY: &str = "tsa";
const SALT_KEY: &str = "keys/salt.key";
const DERIVED: [&str; 2] = ["registry", "index"];
/// In a derived folder: the log's newest checkpoint when the folder was last known to follow from it.
const CHECKPOINT: &str = "checkpoint";

/// Makes a new archive in one step: a crash leaves all of it or none. `keys` is a folder with keys to use
/// instead of new ones.
pub(crate) fn create(
    archive: &Path,
    origin: Option<&str>,
    keys: Option<&Path>,
    policy: Option<&Path>,
) -> Result<VerifierKey> {
    if archive.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || archive.is_file() {
        bail!("{} exists already and is not empty", archive.display());
    }
    let parent = archive.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let aside = tempfile::Builder::new().prefix(".timemark-init-").tempdir_in(parent)?;

    let keys_dir = aside.path().join("keys");
    fs::create_dir(&keys_dir)?;
    let key = match (keys, origin) {
        (Some(keys), None) => LogKey::read(&keys.join("log.key"))?,
        (Some(_), Some(_)) => bail!("the keys given have an origin already; leave --origin away"),
        (None, origin) => {
            let origin = origin.map_or_else(random_origin, |origin| Ok(origin.to_owned()))?;
            LogKey::generate(&origin)?
        }
    };
    key.write_new(&keys_dir.join("log.key"))?;
    let secret = match keys {
        Some(keys) => read_secret(&keys.join("salt.key"))?,
        None => random()?,
    };
    write_private(&keys_dir.join("salt.key"), &format!("{}\n", HEXLOWER.encode(&secret)))?;
    Log::create(&aside.path().join("log"), &key)?;
    put_file(aside.path(), trust::LOG_POLICY, &key.policy_lines())?;
    if let Some(policy) = policy {
        trust::put_policy(aside.path(), policy)?;
    }
    storage::works(aside.path())?.sync()?;
    write_private(&aside.path().join(MARKER), VERSION)?;

    let verifier = key.verifier().clone();
    rustix::fs::syncfs(fs::File::open(aside.path())?)?;
    fs::rename(aside.path(), archive)
        .with_context(|| format!("cannot make {}", archive.display()))?;
    let _ = aside.keep(); // it is the archive now; until here it goes with a failure
    fs::File::open(parent)?.sync_all()?;
    Ok(verifier)
}

/// Opens an archive for this process alone and brings registry and index up to the log. A backup is refused:
/// what is opened here may sign.
pub(crate) fn open(archive: &Path) -> Result<Engine> {
    check_marker(archive)?;
    ensure!(
        backup::mark(archive)?.is_none(),
        "{} is a backup, in which nothing is ever signed; `timemark log restore` makes an archive of it, if \
         nothing newer was signed since",
        archive.display()
    );
    let works = Arc::new(storage::works(archive)?);
    let key = LogKey::read(&key_path(archive))?;
    let salter = Salter::new(read_secret(&archive.join(SALT_KEY))?);
    let policy_lines = key.policy_lines();
    let flushed = works.clone();
    trust::check_log_policy(archive, &key)?;
    let log = Log::open(&archive.join("log"), key, Box::new(move || Ok(flushed.sync()?)))?;
    // Only now is this process alone with the archive.
    let same = LogKey::read(&key_path(archive))?.policy_lines() == policy_lines;
    ensure!(same, "the log's keys were replaced just now; try again");
    trust::keep_log_policy(archive, &policy_lines)?;
    let log = log.endorsed_by(trust::endorsers(trust::policy(archive)?)?);
    connect(archive, works, log, salter)
}

/// As [`open`], for what signs nothing: backups open as well, without private keys.
pub(crate) fn open_without_signing(archive: &Path) -> Result<Engine> {
    check_marker(archive)?;
    if backup::mark(archive)?.is_none() {
        return open(archive);
    }
    backup::finish(archive)?;
    let works = Arc::new(storage::works(archive)?);
    let log = open_log_of_backup(archive)?;
    // It salts no claim here.
    connect(archive, works, log, Salter::new([0; 32]))
}

/// Has scans of an open archive ask a model as well, and the model look at every work that it has not seen.
pub(crate) fn ask_model(archive: &Path, engine: &mut Engine, path: &Path) -> Result<()> {
    let model = Model::open(path)?;
    // Tables of several models may lie side by side.
    let name = format!("embeddings-{}", &model.id().to_string()[..16]);
    let table = Table::open(&archive.join("index").join(name), model.id(), model.dimensions())?;
    let neural = Neural::new(model, table);
    let bar = progress::counter("the model looks at the works", engine.log.size());
    neural.catch_up(engine, &|done| bar.set_position(done))?;
    bar.finish_and_clear();
    engine.neural = Some(neural);
    Ok(())
}

/// The log of a backup, held by this process alone and without private keys. It must be what the mark says.
pub(crate) fn open_log_of_backup(archive: &Path) -> Result<Log> {
    let mark = match backup::mark(archive)? {
        Some(Mark::Of(checkpoint)) => checkpoint,
        Some(Mark::Unfinished) => bail!(
            "the backup {} was never finished; `timemark log backup` finishes it",
            archive.display()
        ),
        None => bail!("{} is an archive and no backup", archive.display()),
    };
    let key = public_key(archive)?;
    let log = Log::open(&archive.join("log"), key, Box::new(|| Ok(())))?;
    let here = Checkpoint::of_note(&log.checkpoint())?;
    ensure!(
        here == mark,
        "the backup {} is damaged: it should hold {} entries under the root {}, and holds {} under {}",
        archive.display(),
        mark.size,
        mark.root,
        here.size,
        here.root
    );
    Ok(log)
}

/// What the log's public files show, without its lock and without private keys.
pub(crate) fn history(archive: &Path) -> Result<History> {
    check_marker(archive)?;
    Ok(History::open(&archive.join("log"), public_key(archive)?)?)
}

/// The public halves of the log's keys.
fn public_key(archive: &Path) -> Result<LogKey> {
    let path = archive.join(trust::LOG_POLICY);
    LogKey::of_policy_lines(&trust::log_lines(archive)?).with_context(|| path.display().to_string())
}

/// Fresh keys for the log of an open archive, in place of its own. One step, after which the archive is to be
/// opened again: the open log has the old ones.
pub(crate) fn replace_keys(archive: &Path, engine: Engine) -> Result<()> {
    settle(archive, &engine)?;
    let path = key_path(archive);
    let fresh = LogKey::read(&path)?.replaced_at(engine.log.size())?;
    // Whoever has as many keys as a policy takes keeps them.
    LogKey::of_policy_lines(&fresh.policy_lines()).context("the log has had too many keys")?;
    fresh.replace(&path)?;
    trust::keep_log_policy(archive, &fresh.policy_lines())
}

/// Makes an archive of a backup whose log this process holds: its keys come from a folder, or are there.
pub(crate) fn make_signing(archive: &Path, keys: Option<&Path>) -> Result<()> {
    let from = |name: &str| match keys {
        Some(dir) => dir.join(name),
        None => archive.join("keys").join(name),
    };
    let key_file = from("log.key");
    let key = LogKey::read(&key_file).with_context(|| {
        format!(
            "{}: the log's private keys are needed; name their folder with --keys",
            key_file.display()
        )
    })?;
    trust::check_log_policy(archive, &key).with_context(|| key_file.display().to_string())?;
    let size = Checkpoint::of_note(&checkpoint(archive)?)?.size;
    ensure!(
        key.first_size() <= size,
        "the keys of {} were made when the log held {} entries, and {size} are here: {} entries are missing",
        key_file.display(),
        key.first_size(),
        key.first_size() - size
    );
    let secret = read_secret(&from("salt.key"))?;
    if keys.is_some() {
        fs::create_dir_all(archive.join("keys"))?;
        let put = |path: PathBuf, text: &str| -> Result<()> {
            let aside = path.with_extension("new");
            let _ = fs::remove_file(&aside); // of an attempt that was cut off
            write_private(&aside, text)?;
            fs::rename(&aside, &path).with_context(|| path.display().to_string())
        };
        put(archive.join(SALT_KEY), &format!("{}\n", HEXLOWER.encode(&secret)))?;
        // What opens sealed works and a bucket, where the archive had any.
        for name in storage::KEYS {
            let there = from(name);
            match fs::read_to_string(&there) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                text => {
                    let text = text.with_context(|| there.display().to_string())?;
                    put(archive.join("keys").join(name), &text)?;
                }
            }
        }
        key.replace(&key_path(archive))?; // flushes the names in the folder as well
        fs::File::open(archive)?.sync_all()?;
    }
    backup::unmark(archive)
}

/// Connects the rooms, and brings registry and index up to the log.
fn connect(archive: &Path, works: Arc<Works>, log: Log, salter: Salter) -> Result<Engine> {
    let registry = open_derived(&archive.join("registry"), &log, open_registry)?;
    let index = open_derived(&archive.join("index"), &log, open_index)?;
    let engine = Engine::new(works, log, Box::new(registry), index, salter);
    let bar = progress::counter("rebuilding registry and index", engine.log.size());
    let caught_up = engine.catch_up(&|done| bar.set_position(done))?;
    bar.finish_and_clear();
    if caught_up || DERIVED.iter().any(|dir| !archive.join(dir).join(CHECKPOINT).exists()) {
        settle(archive, &engine)?;
    }
    Ok(engine)
}

/// Who may use an archive that is served. Only who has the archive open opens it.
pub(crate) fn accounts(archive: &Path) -> Result<Accounts> {
    Ok(Accounts::open(archive)?)
}

/// As [`open`], where a missing archive is made.
pub(crate) fn open_or_create(archive: &Path) -> Result<Engine> {
    if !archive.join(MARKER).is_file() {
        let name = archive.display();
        match create(archive, None, None, None) {
            Ok(verifier) => {
                remark(&format!("made the archive {name}, whose log is verified by {verifier}"));
            }
            // Another process was faster.
            Err(_) if archive.join(MARKER).is_file() => {}
            Err(error) => return Err(error),
        }
    }
    open(archive)
}

/// Makes everything durable, so that the next [`open`] has nothing to catch up with.
pub(crate) fn settle(archive: &Path, engine: &Engine) -> Result<()> {
    engine.settle()?;
    if engine.has_erased() {
        return Ok(()); // it stays disowned: there are traces in it of what was erased
    }
    let note = engine.log.checkpoint().to_string();
    for dir in DERIVED.map(|dir| archive.join(dir)) {
        let put = || -> Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&dir)?;
            file.write_all(note.as_bytes())?;
            file.persist(dir.join(CHECKPOINT))?;
            Ok(())
        };
        put().with_context(|| dir.join(CHECKPOINT).display().to_string())?;
    }
    Ok(())
}

/// Sees to it, durably, that the next [`open`] rebuilds what is derived from the log.
pub(crate) fn disown_derived(archive: &Path) -> Result<()> {
    for dir in DERIVED.map(|dir| archive.join(dir)) {
        let disown = || {
            match fs::remove_file(dir.join(CHECKPOINT)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {} // twice is as good as once
            }
            fs::File::open(&dir)?.sync_all()
        };
        disown().with_context(|| dir.join(CHECKPOINT).display().to_string())?;
    }
    Ok(())
}

/// The works of an archive, without the log's lock: others may register and scan meanwhile.
pub(crate) fn works(archive: &Path) -> Result<Works> {
    check_marker(archive)?;
    storage::works(archive)
}

/// As [`works`], to move or change them. A backup is left alone: its records and the stores elsewhere belong to the archive.
pub(crate) fn works_to_move(archive: &Path) -> Result<Works> {
    check_no_backup(archive)?;
    works(archive)
}

/// Holds an archive, so that nobody registers meanwhile.
pub(crate) fn hold(archive: &Path) -> Result<fs::File> {
    check_marker(archive)?;
    check_no_backup(archive)?;
    let hold = |below: &str| -> Result<fs::File> {
        let path = archive.join(below);
        let file = fs::File::open(&path).with_context(|| path.display().to_string())?;
        let held = file.try_lock();
        held.map(|()| file).with_context(|| format!("{} is in use", archive.display()))
    };
    // Whoever moves works has their folder open, and takes no other lock.
    drop(hold("blobs/lock")?);
    hold("log/lock")
}

fn check_no_backup(archive: &Path) -> Result<()> {
    ensure!(
        backup::mark(archive)?.is_none(),
        "{} is a backup, in which nothing is moved; `timemark log restore` makes an archive of it",
        archive.display()
    );
    Ok(())
}

/// The archive's copy of a work, without the log's lock; `None` where it holds none.
pub(crate) fn stored_work(archive: &Path, work: &ContentId) -> Result<Option<impl Read>> {
    check_marker(archive)?;
    if !archive.join("blobs").is_dir() {
        return Ok(None);
    }
    let works = storage::works(archive)?;
    Ok(if works.has(work)? { Some(works.get(work)?) } else { None })
}

/// Whether the archive has a time-stamp authority.
pub(crate) fn has_authority(archive: &Path) -> bool {
    archive.join(AUTHORITY).is_dir()
}

/// The archive's time-stamp authority, open for this process alone. What is missing is made.
pub(crate) fn authority(archive: &Path) -> Result<Authority> {
    let dir = made_authority(archive)?;
    Ok(Authority::open(&dir, timemark_tsa::Clock::system())?)
}

/// The certificates of the archive's time-stamp authority as PEM, its own first, the root last.
pub(crate) fn authority_chain(archive: &Path) -> Result<String> {
    Ok(Authority::read_chain_pem(&made_authority(archive)?)?)
}

/// The root certificate of the archive's time-stamp authority.
pub(crate) fn authority_root(archive: &Path) -> Result<Vec<u8>> {
    Ok(Authority::read_root(&made_authority(archive)?)?)
}

fn made_authority(archive: &Path) -> Result<PathBuf> {
    if !archive.join(MARKER).is_file() {
        drop(open_or_create(archive)?);
    }
    let dir = archive.join(AUTHORITY);
    if !dir.is_dir() {
        let origin = trust::policy(archive)?.logs().first().map(|log| log.key.name().to_owned());
        // A certificate's common name holds 64 characters, of which the root's needs some.
        let origin: String = origin.unwrap_or_default().chars().take(40).collect();
        let name = format!("Time-stamps of {origin}");
        match Authority::create(&dir, &name, timemark_tsa::Clock::system().now()?) {
            Ok(()) => remark(&format!("made the authority in {}", dir.display())),
            // Another process was faster.
            Err(TsaError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(dir)
}

/// Writes a small public file durably and in one step.
pub(crate) fn put_file(dir: &Path, name: &str, text: &str) -> Result<()> {
    let path = dir.join(name);
    let put = || -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(fs::File::open(dir)?.sync_all()?)
    };
    put().with_context(|| path.display().to_string())
}

/// The folder of the public tlog-tiles tree. Needs no lock.
pub(crate) fn tiles_dir(archive: &Path) -> Result<PathBuf> {
    check_marker(archive)?;
    Ok(timemark_tlog::tiles_dir(&archive.join("log")))
}

/// An empty folder for files on their way in, for who has the archive open. What a crash left there goes.
pub(crate) fn uploads_dir(archive: &Path) -> Result<PathBuf> {
    let dir = archive.join("uploads");
    delete_dir(&dir)?;
    fs::create_dir(&dir)
        .and_then(|()| fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)))
        .with_context(|| dir.display().to_string())?;
    Ok(dir)
}

/// The folder of scans, matches and verdicts.
pub(crate) fn review_dir(archive: &Path) -> PathBuf {
    archive.join("review")
}

/// The newest published checkpoint. Needs no lock.
pub(crate) fn checkpoint(archive: &Path) -> Result<Note> {
    let path = tiles_dir(archive)?.join("checkpoint");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Note::parse(&text).with_context(|| path.display().to_string())
}

pub(crate) fn key_path(archive: &Path) -> PathBuf {
    archive.join("keys/log.key")
}

pub(crate) fn check_marker(archive: &Path) -> Result<()> {
    match fs::read_to_string(archive.join(MARKER)) {
        Ok(version) if version == VERSION => Ok(()),
        Ok(version) => bail!("{} is of an unknown version: {version:?}", archive.display()),
        Err(_) => bail!("there is no archive in {}; `timemark init` makes one", archive.display()),
    }
}

/// What became since of the claim of this receipt, as far as the registry has it; `None` where the receipt is not of this
/// archive's log. Needs no lock of the log and signs nothing; what is behind or in use is an error.
pub(crate) fn fate(archive: &Path, receipt: &Receipt) -> Result<Option<Fate>> {
    check_marker(archive)?;
    let dir = archive.join("registry");
    let origin = public_key(archive)?.verifier().name().to_owned();
    let ours = |anchor: &&Anchor| anchor.checkpoint().origin == origin;
    let Some(anchor) = receipt.anchors.iter().find(ours) else { return Ok(None) };
    // Opening would make one.
    let known = dir.join(EmbeddedRegistry::FILE);
    ensure!(known.is_file(), "there is no {}", known.display());
    let registry = EmbeddedRegistry::open(&dir)?;
    let size = Checkpoint::of_note(&checkpoint(archive)?)?.size;
    ensure!(registry.len()? >= size, "{} is behind the log", known.display());
    match registry.by_index(anchor.index)? {
        Some(record) if record.leaf == receipt.leaf => Ok(Some(Fate::of(anchor.index, &registry)?)),
        _ => Ok(None),
    }
}

/// Opens a derived folder; one that is not of this log, or not readable, is deleted and begun anew.
fn open_derived<T>(
    dir: &Path,
    log: &Log,
    open: impl Fn(&Path) -> Result<Option<(T, u64)>>,
) -> Result<T> {
    let is_new = fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    // The note must be one that this log signed on its way: the folder of another archive, or of a copy
    // that went on by itself, bears another.
    let follows = || -> Result<bool> {
        let note = fs::read_to_string(dir.join(CHECKPOINT)).unwrap_or_default();
        Ok(log.holds(&note)?)
    };
    if (is_new || follows()?)
        && let Some((derived, len)) = open(dir)?
        && len <= log.size()
    {
        return Ok(derived);
    }
    remark(&format!("rebuilding {} from the log", dir.display()));
    delete_dir(dir)?;
    let (derived, _) = open(dir)?.with_context(|| format!("{} is unusable", dir.display()))?;
    Ok(derived)
}

/// The registry and how much of the log it holds; `None` if it cannot be read.
fn open_registry(dir: &Path) -> Result<Option<(EmbeddedRegistry, u64)>> {
    let open = || {
        let registry = EmbeddedRegistry::open(dir)?;
        let len = registry.len()?;
        Ok((registry, len))
    };
    match open() {
        Err(RegistryError::Unreadable { .. }) => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// The index and how much of the log it holds; `None` if it cannot be read.
fn open_index(dir: &Path) -> Result<Option<(Index, u64)>> {
    let index = match Index::open(dir) {
        Err(IndexError::Unreadable { .. }) => return Ok(None),
        other => other?,
    };
    let len = index.len();
    Ok(Some((index, len)))
}

fn delete_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot delete {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Unlike every other archive's, so that no two logs share a name by accident.
fn random_origin() -> Result<String> {
    Ok(format!("timemark.invalid/{}", HEXLOWER.encode(&random::<8>()?)))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(bytes)
}

fn read_secret(path: &Path) -> Result<[u8; 32]> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let bytes = HEXLOWER.decode(text.trim_end().as_bytes()).ok().and_then(|b| b.try_into().ok());
    bytes.with_context(|| format!("{} does not hold 64 hex digits", path.display()))
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(|| path.display().to_string())?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

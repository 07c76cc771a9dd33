//! From an archive folder to an open engine: the only file that chooses backends.
//!
//! ```text
//! timemark-archive    marker and version of the folder
//! keys/               the log's signing key, the secret of the salts: the operator's alone
//! log/  blobs/        the truth
//! registry/  index/   derived; whoever deletes them finds them again
//! ```

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use timemark_index::{Index, IndexError};
use timemark_ingest::{Engine, Salter};
use timemark_store::{BlobStore, EmbeddedRegistry, FileStore, Registry, RegistryError};
use timemark_tlog::{Log, SigningKey};
use timemark_verify::{Note, VerifierKey};

use crate::progress;

const MARKER: &str = "timemark-archive";
const VERSION: &str = "timemark-archive v1\n";

/// Makes a new archive in one step: a crash leaves all of it or none. `keys` is a folder with keys to use
/// instead of new ones.
pub(crate) fn create(
    archive: &Path,
    origin: Option<&str>,
    keys: Option<&Path>,
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
        (Some(keys), None) => SigningKey::read(&keys.join("log.key"))?,
        (Some(_), Some(_)) => bail!("the keys given have an origin already; leave --origin away"),
        (None, origin) => {
            let origin = origin.map_or_else(random_origin, |origin| Ok(origin.to_owned()))?;
            SigningKey::generate(&origin)?
        }
    };
    key.write_new(&keys_dir.join("log.key"))?;
    let secret = match keys {
        Some(keys) => read_secret(&keys.join("salt.key"))?,
        None => random()?,
    };
    write_private(&keys_dir.join("salt.key"), &format!("{}\n", HEXLOWER.encode(&secret)))?;
    Log::create(&aside.path().join("log"), &key)?;
    FileStore::open(&aside.path().join("blobs"))?.sync()?;
    write_private(&aside.path().join(MARKER), VERSION)?;

    let verifier = key.verifier().clone();
    let aside = aside.keep();
    rustix::fs::syncfs(fs::File::open(&aside)?)?;
    fs::rename(&aside, archive).with_context(|| format!("cannot make {}", archive.display()))?;
    fs::File::open(parent)?.sync_all()?;
    Ok(verifier)
}

/// Opens an archive for this process alone and brings registry and index up to the log.
pub(crate) fn open(archive: &Path) -> Result<Engine> {
    check_marker(archive)?;
    let blobs: Arc<dyn BlobStore> = Arc::new(FileStore::open(&archive.join("blobs"))?);
    let key = SigningKey::read(&archive.join("keys/log.key"))?;
    let salter = Salter::new(read_secret(&archive.join("keys/salt.key"))?);
    let works = blobs.clone();
    let log = Log::open(&archive.join("log"), key, Box::new(move || Ok(works.sync()?)))?;
    let registry = open_registry(&archive.join("registry"), &log)?;
    let index = open_index(&archive.join("index"), &log)?;
    let engine = Engine::new(blobs, log, registry, index, salter);
    let bar = progress::counter("rebuilding registry and index", engine.log.size());
    let caught_up = engine.catch_up(&|done| bar.set_position(done))?;
    bar.finish_and_clear();
    if caught_up {
        engine.settle()?;
    }
    Ok(engine)
}

/// Throws away what is derived from the log, so that the next [`open`] rebuilds it.
pub(crate) fn delete_derived(archive: &Path) -> Result<()> {
    delete_dir(&archive.join("registry"))?;
    delete_dir(&archive.join("index"))
}

/// The key that verifies the archive's log. Needs no lock.
pub(crate) fn verifier(archive: &Path) -> Result<VerifierKey> {
    check_marker(archive)?;
    Ok(SigningKey::read(&archive.join("keys/log.key"))?.verifier().clone())
}

/// The folder of the public tlog-tiles tree. Needs no lock.
pub(crate) fn tiles_dir(archive: &Path) -> Result<PathBuf> {
    check_marker(archive)?;
    Ok(Log::tiles_dir(&archive.join("log")))
}

/// The newest published checkpoint. Needs no lock.
pub(crate) fn checkpoint(archive: &Path) -> Result<Note> {
    let path = tiles_dir(archive)?.join("checkpoint");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Note::parse(&text).with_context(|| path.display().to_string())
}

/// Whether there is an archive in this folder.
pub(crate) fn exists(archive: &Path) -> bool {
    archive.join(MARKER).is_file()
}

fn check_marker(archive: &Path) -> Result<()> {
    match fs::read_to_string(archive.join(MARKER)) {
        Ok(version) if version == VERSION => Ok(()),
        Ok(version) => bail!("{} is of an unknown version: {version:?}", archive.display()),
        Err(_) => bail!("there is no archive in {}; `timemark init` makes one", archive.display()),
    }
}

fn open_registry(dir: &Path, log: &Log) -> Result<Box<dyn Registry>> {
    let open = || -> Result<Option<EmbeddedRegistry>> {
        let registry = match EmbeddedRegistry::open(dir) {
            Err(RegistryError::Unreadable { .. }) => return Ok(None),
            other => other?,
        };
        Ok(follows(&registry, log)?.then_some(registry))
    };
    Ok(Box::new(match open()? {
        Some(registry) => registry,
        None => {
            eprintln!("{} is of no use any more and is rebuilt from the log", dir.display());
            delete_dir(dir)?;
            EmbeddedRegistry::open(dir)?
        }
    }))
}

/// Whether the registry holds what this log holds, and no more: it may stem from another copy.
fn follows(registry: &dyn Registry, log: &Log) -> Result<bool> {
    let Some(last) = registry.len()?.checked_sub(1) else { return Ok(true) };
    let Some(record) = registry.by_index(last)? else { return Ok(last < log.size()) };
    let entry = log.entries_from(last)?.into_iter().next();
    Ok(entry.is_some_and(|entry| entry.leaf == record.leaf.to_bytes()))
}

fn open_index(dir: &Path, log: &Log) -> Result<Index> {
    let index = match Index::open(dir) {
        Err(IndexError::Unreadable { .. }) => None,
        other => Some(other?).filter(|index| index.len() <= log.size()),
    };
    Ok(match index {
        Some(index) => index,
        None => {
            eprintln!("{} is of no use any more and is rebuilt from the log", dir.display());
            delete_dir(dir)?;
            Index::open(dir)?
        }
    })
}

fn delete_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
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

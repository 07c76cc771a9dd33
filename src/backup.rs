//! A backup of an archive: the same files elsewhere, marked so that nothing is ever signed there.
//!
//! ```text
//! backup              the mark, and of which checkpoint: header, origin, size, root
//! timemark-archive  log.policy  policy  store  log/  blobs/  evidence/    as in the archive
//! keys/               only where it was asked for
//! backup-staged/      what is to be put in place yet; whoever comes next does it
//! ```
//!
//! Works and full tiles are only added and are copied to their places at once. What replaces something is
//! gathered aside, flushed, and put in place from there, so that a backup that is cut off, as by the loss of
//! what it is a backup of, leaves the one before it whole, or the new one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use timemark_tlog::Log;
use timemark_verify::Checkpoint;

use crate::progress;

const MARK: &str = "backup";
const HEADER: &str = "timemark-backup v1\n";
/// Folders whose files are copied, and the single files beside them.
const FOLDERS: [&str; 3] = ["blobs", "log", "evidence"];
const FILES: [&str; 4] = ["timemark-archive", "log.policy", "policy", "store"];
const KEYS: [&str; 4] = ["keys/log.key", "keys/salt.key", "keys/store.key", "keys/s3.key"];
const DERIVED: [&str; 2] = ["registry", "index"];
/// What belongs to the process at work and to this disk.
const NOT_COPIED: [&str; 6] = [
    "log/lock",
    "log/reserve",
    "blobs/lock",
    "blobs/incoming",
    "blobs/places/incoming",
    "blobs/descriptors/incoming",
];
const GATHERING: &str = "backup-gathering";
const STAGED: &str = "backup-staged";
/// What is copied is written aside under this name first; a crash may leave it.
const ASIDE: &str = "new";

/// What a folder's mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A first backup was begun and is not whole yet.
    Unfinished,
    /// A backup up to this checkpoint.
    Of(Checkpoint),
}

/// What a backup copied.
pub(crate) struct Copied {
    pub files: u64,
    pub bytes: u64,
    /// What was there already.
    pub kept: u64,
}

/// Whether this folder is a backup, and of what.
pub(crate) fn mark(archive: &Path) -> Result<Option<Mark>> {
    let path = archive.join(MARK);
    let text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| path.display().to_string())?,
    };
    let mark = text.strip_prefix(HEADER).map(|rest| match rest {
        "" => Ok(Mark::Unfinished),
        checkpoint => Checkpoint::parse(checkpoint).map(Mark::Of),
    });
    let mark = mark.with_context(|| format!("{} is of an unknown version", path.display()))?;
    mark.map(Some).with_context(|| path.display().to_string())
}

/// Makes an archive of a backup: from here on it signs.
pub(crate) fn unmark(archive: &Path) -> Result<()> {
    let path = archive.join(MARK);
    let unmark = || fs::remove_file(&path).and_then(|()| File::open(archive)?.sync_all());
    unmark().with_context(|| path.display().to_string())
}

/// Copies an archive, whose log is open, settled and held, to a backup of it that may be there already.
pub(crate) fn copy(archive: &Path, log: &Log, dest: &Path, with_keys: bool) -> Result<Copied> {
    let _lock = prepare(archive, log, dest)?;
    let mut files: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
    FOLDERS.iter().try_for_each(|dir| list(archive, Path::new(dir), &mut files))?;
    if with_keys {
        files.extend(KEYS.map(PathBuf::from));
    }
    files.retain(|file| archive.join(file).is_file());

    let gathering = dest.join(GATHERING);
    let bar = progress::counter("backing up", files.len() as u64);
    let mut copied = Copied { files: 0, bytes: 0, kept: 0 };
    for file in &files {
        let (from, to) = (archive.join(file), dest.join(file));
        bar.inc(1);
        if is_same(file, &from, &to)? {
            copied.kept += 1;
            continue;
        }
        copied.files += 1;
        copied.bytes +=
            if is_added(file, &to) { put(&from, &to)? } else { put(&from, &gathering.join(file))? };
    }
    bar.finish_and_clear();
    let checkpoint = Checkpoint::of_note(&log.checkpoint())?;
    put_text(&gathering.join(MARK), &format!("{HEADER}{checkpoint}"))?;
    flush(dest)?;
    let staged = dest.join(STAGED);
    fs::rename(&gathering, &staged).with_context(|| staged.display().to_string())?;
    flush(dest)?;
    // The backup is the new one from here on.
    put_staged_in_place(dest)?;
    prune(dest, &files)?;
    Ok(copied)
}

/// Finishes what an earlier backup had gathered, if it was cut off then.
pub(crate) fn finish(archive: &Path) -> Result<()> {
    if archive.join(STAGED).is_dir() {
        let _lock = lock(archive)?;
        put_staged_in_place(archive)?;
    }
    Ok(())
}

/// Sees to it that the folder is a backup of this archive, or becomes one, and holds it.
fn prepare(archive: &Path, log: &Log, dest: &Path) -> Result<File> {
    let name = dest.display();
    let is_new = match dest.read_dir() {
        Err(e) if e.kind() == ErrorKind::NotFound => true,
        entries => entries.with_context(|| name.to_string())?.next().is_none(),
    };
    fs::create_dir_all(dest.join("log")).with_context(|| name.to_string())?;
    let (inner, outer) = (fs::canonicalize(dest)?, fs::canonicalize(archive)?);
    ensure!(
        !inner.starts_with(&outer) && !outer.starts_with(&inner),
        "{name} lies in the archive, or the archive in it"
    );
    if is_new {
        put_text(&dest.join(MARK), HEADER)?;
    }
    let lock = lock(dest)?;
    put_staged_in_place(dest)?;
    match mark(dest)? {
        None => bail!("{name} is not empty and is no backup; a backup needs a folder of its own"),
        Some(Mark::Unfinished) => {}
        Some(Mark::Of(checkpoint)) => {
            let path = dest.join("log/tiles/checkpoint");
            let note = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            ensure!(
                log.holds(&note)?,
                "{name} is a backup of {} up to {} entries, which is not the beginning of this archive's log \
                 of {}: it is another log's, or this archive is an old copy",
                checkpoint.origin,
                checkpoint.size,
                log.size(),
            );
        }
    }
    remove_dir(&dest.join(GATHERING))?;
    Ok(lock)
}

/// As the log itself does it: who has this lock is alone with the folder.
fn lock(dest: &Path) -> Result<File> {
    let path = dest.join("log/lock");
    let open = || File::options().create(true).truncate(false).write(true).open(&path);
    let file = open().with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another process is using {}", dest.display())
        }
        Err(fs::TryLockError::Error(e)) => Err(e).with_context(|| path.display().to_string()),
    }
}

/// All files below a folder that are to be copied, as paths below the archive.
fn list(archive: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let dir = archive.join(below);
    let entries = match dir.read_dir() {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.with_context(|| dir.display().to_string())?,
    };
    for entry in entries {
        let entry = entry.with_context(|| dir.display().to_string())?;
        let below = below.join(entry.file_name());
        if NOT_COPIED.iter().any(|name| below == Path::new(name)) {
            continue;
        }
        // A folder may lie elsewhere and be linked to.
        let kind = fs::metadata(entry.path()).with_context(|| below.display().to_string())?;
        if kind.is_dir() {
            list(archive, &below, files)?;
        } else if below.extension() != Some(ASIDE.as_ref()) {
            files.push(below);
        }
    }
    Ok(())
}

/// Whether the copy is what it should be. A work is named after its content; everything else has its time
/// copied with it, and where the times differ the bytes count.
fn is_same(file: &Path, from: &Path, to: &Path) -> Result<bool> {
    let copy = match fs::metadata(to) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        other => other.with_context(|| to.display().to_string())?,
    };
    let original = fs::metadata(from).with_context(|| from.display().to_string())?;
    if copy.len() != original.len() {
        return Ok(false);
    }
    if is_blob(file) || copy.modified()? == original.modified()? {
        return Ok(true);
    }
    let same_bytes = || -> io::Result<bool> { Ok(fs::read(from)? == fs::read(to)?) };
    same_bytes().with_context(|| to.display().to_string())
}

/// Whether a file may go to its place at once: it replaces nothing, and nobody reads it who reads the backup
/// as it was.
fn is_added(file: &Path, to: &Path) -> bool {
    let added = ["blobs", "log/tiles/tile", "log/claims", "evidence"];
    added.iter().any(|dir| file.starts_with(dir)) && (is_blob(file) || !to.exists())
}

/// Whether a file is named after its content. Beside blobs lie records of works, which are replaced.
fn is_blob(file: &Path) -> bool {
    let shard = file.strip_prefix("blobs").ok().and_then(|below| below.iter().next());
    shard.is_some_and(|shard| shard.len() == 2)
}

/// Copies a file with its rights and its time, in one step. Returns its length.
fn put(from: &Path, to: &Path) -> Result<u64> {
    let mut aside = to.as_os_str().to_owned();
    aside.push(".");
    aside.push(ASIDE);
    let aside = PathBuf::from(aside);
    let put = || -> io::Result<u64> {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::remove_file(&aside) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut original = File::open(from)?;
        let metadata = original.metadata()?;
        let mut options = File::options();
        options.write(true).create_new(true);
        // From the first byte on nobody reads it who may not read the original.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut copy = options.open(&aside)?;
        let bytes = io::copy(&mut original, &mut copy)?;
        copy.set_permissions(metadata.permissions())?;
        copy.set_modified(metadata.modified()?)?;
        fs::rename(&aside, to)?;
        Ok(bytes)
    };
    put().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn put_text(path: &Path, text: &str) -> Result<()> {
    let put = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    put().with_context(|| path.display().to_string())
}

/// Puts everything staged in its place; the folder of what is staged goes last.
fn put_staged_in_place(dest: &Path) -> Result<()> {
    let staged = dest.join(STAGED);
    if !staged.is_dir() {
        return Ok(());
    }
    // What was derived may tell of a claim that was erased since.
    DERIVED.iter().try_for_each(|dir| remove_dir(&dest.join(dir)))?;
    let mut files = Vec::new();
    list(&staged, Path::new(""), &mut files)?;
    for file in files {
        let (from, to) = (staged.join(&file), dest.join(&file));
        let put = || -> io::Result<()> {
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(&from, &to)
        };
        put().with_context(|| to.display().to_string())?;
    }
    flush(dest)?;
    remove_dir(&staged)
}

/// Removes what the log has replaced since: partial tiles whose full one is there.
fn prune(dest: &Path, files: &[PathBuf]) -> Result<()> {
    let wanted: BTreeSet<&PathBuf> = files.iter().collect();
    let mut here = Vec::new();
    list(dest, Path::new("log/tiles"), &mut here)?;
    for file in here.iter().filter(|file| !wanted.contains(file)) {
        let path = dest.join(file);
        fs::remove_file(&path).with_context(|| path.display().to_string())?;
        // The folder goes with its last file, and stays with any other.
        let _ = path.parent().map(fs::remove_dir);
    }
    flush(dest)
}

fn flush(dir: &Path) -> Result<()> {
    let flush = || -> io::Result<()> { Ok(rustix::fs::syncfs(File::open(dir)?)?) };
    flush().with_context(|| dir.display().to_string())
}

fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| dir.display().to_string())
        }
        _ => Ok(()),
    }
}

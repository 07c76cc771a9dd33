//! A backup of an archive: the same files elsewhere, marked so that nothing is ever signed there.
//!
//! ```text
//! backup              the mark, and of which checkpoint: header, origin, size, root
//! timemark-archive  log.policy  policy  store  log/  blobs/  evidence/  review/    as in the archive
//! keys/  hooks.redb   only where it was asked for
//! backup-staged/      what is to be put in place yet; whoever comes next does it
//! ```
//!
//! Works and full tiles are only added and are copied to their places at once. What replaces something is
//! gathered aside, flushed, and put in place from there, so that a backup that is cut off, as by the loss of
//! what it is a backup of, leaves the one before it whole, or the new one.
//!
//! A work is hashed as it is copied: a rotten original never takes the place of a good copy. The log stands still
//! meanwhile, but works may be packed and sent elsewhere: what a record in the copy names is copied as well, or the
//! record once more.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use timemark_store::{BlobError, Keeping, Verified, Works};
use timemark_tlog::Log;
use timemark_verify::{Checkpoint, ContentId};

use crate::outcome::remark;
use crate::progress;

const MARK: &str = "backup";
const HEADER: &str = "timemark-backup v1\n";
/// Folders whose files are copied, and the single files beside them.
const FOLDERS: [&str; 4] = ["blobs", "log", "evidence", "review"];
const FILES: [&str; 5] = ["timemark-archive", "log.policy", "policy", "store", "accounts.redb"];
/// Copied with the keys alone: what signs for the archive, or opens what is closed. Webhooks are kept with what signs them.
const KEYS: [&str; 5] =
    ["keys/log.key", "keys/salt.key", "keys/store.key", "keys/s3.key", "hooks.redb"];
const DERIVED: [&str; 2] = ["registry", "index"];
/// What belongs to the process at work and to this disk.
const NOT_COPIED: [&str; 2] = ["log/lock", "log/reserve"];
/// The same, wherever it lies below `blobs`.
const NOT_COPIED_OF_BLOBS: [&str; 3] = ["lock", "incoming", "changing"];
/// Lists of what is to be done, whose files go when it is done.
const TO_DO: [&str; 2] = ["blobs/waiting", "blobs/retired"];
const PLACES: &str = "blobs/places";
/// How often the record of a work is copied once more because what it named was gone. Packing moves a work once.
const ROUNDS_MAX: u32 = 10;
/// What a backup does where an original is damaged and a copy is there.
const KEEPS: &str = "keeps its copy";
/// The rights of a folder that is its owner's alone.
const PRIVATE: u32 = 0o700;
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
    // As it is where a backup makes its folder. Whoever may write here without owning the folder cannot say so.
    if let Err(error) = fs::set_permissions(archive, fs::Permissions::from_mode(PRIVATE)) {
        remark(&format!("others may read {}: {error}", archive.display()));
    }
    let unmark = || fs::remove_file(&path).and_then(|()| File::open(archive)?.sync_all());
    unmark().with_context(|| path.display().to_string())
}

/// Copies an archive, whose log is open, settled and held, to a backup of it that may be there already.
/// Originals that are damaged are told, and end it with an error once everything else is copied.
pub(crate) fn copy(archive: &Path, log: &Log, dest: &Path, with_keys: bool) -> Result<Copied> {
    let _lock = prepare(archive, log, dest)?;
    let mut files: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
    if with_keys {
        files.extend(KEYS.map(PathBuf::from));
    }
    files.retain(|file| archive.join(file).is_file());
    FOLDERS.iter().try_for_each(|dir| list(archive, Path::new(dir), &mut files))?;

    let mut copying = Copying::open(archive, dest)?;
    let bar = progress::counter("backing up", files.len() as u64);
    let mut gone = Vec::new();
    for file in &files {
        bar.inc(1);
        match (copying.take(file)?, blob(file)) {
            (Taken::Kept, _) => copying.copied.kept += 1,
            (Taken::Copied | Taken::Damaged, _) => {}
            (Taken::Gone, Some(blob)) => gone.push(blob),
            (Taken::Gone, None) => {
                ensure!(is_to_do(file), "{} was there and is gone", archive.join(file).display());
            }
        }
    }
    bar.finish_and_clear();
    // What was packed meanwhile lies under another name.
    let recorded = files.iter().filter_map(|file| recorded(file));
    recorded.chain(gone).try_for_each(|work| copying.settle(&work))?;
    copying.catch_up(&mut files)?;
    let Copying { gathering, copied, damaged, .. } = copying;

    let checkpoint = Checkpoint::of_note(&log.checkpoint())?;
    put_text(&gathering.join(MARK), &format!("{HEADER}{checkpoint}"))?;
    flush(dest)?;
    let staged = dest.join(STAGED);
    fs::rename(&gathering, &staged).with_context(|| staged.display().to_string())?;
    flush(dest)?;
    // The backup is the new one from here on.
    put_staged_in_place(dest)?;
    prune(dest, &files)?;
    ensure!(
        damaged.is_empty(),
        "the backup is up to date but for {} damaged originals, of which it keeps the copies it had; `timemark store check` \
         looks at all of them",
        damaged.len()
    );
    Ok(copied)
}

/// A copy being made.
struct Copying<'a> {
    archive: &'a Path,
    dest: &'a Path,
    /// What is to be put in place later.
    gathering: PathBuf,
    /// The records as they are in the backup, and those that will replace them.
    works: Works,
    gathered: Works,
    copied: Copied,
    /// Originals that are not what they should be.
    damaged: BTreeSet<PathBuf>,
}

/// What became of a file that was to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// The copy had it.
    Kept,
    /// The copy has it now.
    Copied,
    /// There is no original any more.
    Gone,
    /// The original is damaged; the copy has what it had.
    Damaged,
}

impl<'a> Copying<'a> {
    fn open(archive: &'a Path, dest: &'a Path) -> Result<Copying<'a>> {
        let gathering = dest.join(GATHERING);
        let works = |below: &Path| -> Result<Works> {
            let dir = below.join("blobs");
            Ok(Works::open(Keeping { dir, remote: None, seal_to: None, identities: None })?)
        };
        let (works, gathered) = (works(dest)?, works(&gathering)?);
        let copied = Copied { files: 0, bytes: 0, kept: 0 };
        let damaged = BTreeSet::new();
        Ok(Copying { archive, dest, gathering, works, gathered, copied, damaged })
    }

    /// Copies a file, unless the copy has it.
    fn take(&mut self, file: &Path) -> Result<Taken> {
        let (from, to) = (self.archive.join(file), self.dest.join(file));
        let aside = self.gathering.join(file);
        match is_same(file, &from, if aside.exists() { &aside } else { &to })? {
            None => return Ok(Taken::Gone),
            Some(true) => return Ok(Taken::Kept),
            Some(false) => {}
        }
        match put(&from, if is_added(file, &to) { &to } else { &aside }, blob(file))? {
            Put::Bytes(bytes) => {
                self.copied.files += 1;
                self.copied.bytes += bytes;
                Ok(Taken::Copied)
            }
            Put::Gone => Ok(Taken::Gone),
            Put::Altered => {
                let has = if to.exists() { KEEPS } else { "has none" };
                self.tell_damaged(file, "its bytes are not those of its name", has);
                Ok(Taken::Damaged)
            }
        }
    }

    /// Takes records, and lists of what is to be sent, that came while the others were copied.
    fn catch_up(&mut self, files: &mut Vec<PathBuf>) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            let known: BTreeSet<PathBuf> = files.iter().cloned().collect();
            let mut now = Vec::new();
            for folder in [PLACES, TO_DO[0]] {
                list(self.archive, Path::new(folder), &mut now)?;
            }
            now.retain(|file| !known.contains(file));
            if now.is_empty() {
                return Ok(());
            }
            for file in now {
                self.take(&file)?;
                if let Some(work) = recorded(&file) {
                    self.settle(&work)?;
                }
                files.push(file);
            }
        }
        bail!("works were moved all the time; make the backup when nothing packs or heals works")
    }

    /// Sees to it that the blob that stands for a work is in the copy, if it lies in the archive's folder at all.
    fn settle(&mut self, work: &ContentId) -> Result<()> {
        let record = Path::new(PLACES).join(shard(work));
        let mut absent = None;
        for _ in 0..ROUNDS_MAX {
            let aside = self.gathering.join(&record);
            let works = if aside.exists() { &self.gathered } else { &self.works };
            let place = match works.place(work) {
                Err(BlobError::Record { .. }) => {
                    // The one before it stays.
                    let was_gathered = aside.exists();
                    remove_file(&aside).with_context(|| aside.display().to_string())?;
                    let has = if was_gathered { KEEPS } else { "has it so as well" };
                    self.tell_damaged(&record, "it cannot be read", has);
                    return Ok(());
                }
                place => place?,
            };
            let Some(kept) = place.kept else { return Ok(()) };
            let named = kept.blob.content;
            let file = Path::new("blobs").join(shard(&named));
            if self.dest.join(&file).exists() || self.take(&file)? != Taken::Gone {
                return Ok(());
            }
            // Named before and after it was looked for: it is kept elsewhere, or nowhere.
            if absent == Some(named) {
                return Ok(());
            }
            absent = Some(named);
            self.take(&record)?;
        }
        bail!(
            "work {work} was moved {ROUNDS_MAX} times while it was copied; make the backup when nothing packs or heals works"
        )
    }

    fn tell_damaged(&mut self, file: &Path, reason: &str, has: &str) {
        if self.damaged.insert(file.to_owned()) {
            let original = self.archive.join(file);
            remark(&format!("{} is damaged: {reason}; the backup {has}", original.display()));
        }
    }
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
    make_private(dest).with_context(|| name.to_string())?;
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

/// Makes a folder that its owner alone may enter: an archive may be as private. One that is there keeps its rights.
fn make_private(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, PRIVATE);
    match builder.create(dir) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists || !dir.is_dir() => Err(e),
        _ => Ok(()),
    }
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
        let of_process = NOT_COPIED_OF_BLOBS.iter().any(|name| entry.file_name() == *name);
        let below = below.join(entry.file_name());
        if NOT_COPIED.iter().any(|name| below == Path::new(name))
            || (of_process && below.starts_with("blobs"))
        {
            continue;
        }
        // A folder may lie elsewhere and be linked to. What is gone already is told by whoever takes it.
        let kind = match fs::metadata(entry.path()) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            kind => Some(kind.with_context(|| below.display().to_string())?),
        };
        if kind.as_ref().is_some_and(fs::Metadata::is_dir) {
            list(archive, &below, files)?;
        } else if kind.is_none_or(|kind| kind.is_file())
            && below.extension() != Some(ASIDE.as_ref())
        {
            files.push(below);
        }
    }
    Ok(())
}

/// Whether the copy is what it should be; `None` where there is no original. A work is named after its content;
/// everything else has its time copied with it, and where the times differ the bytes count.
fn is_same(file: &Path, from: &Path, to: &Path) -> Result<Option<bool>> {
    let found = |path: &Path| match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some).with_context(|| path.display().to_string()),
    };
    let Some(original) = found(from)? else { return Ok(None) };
    let Some(copy) = found(to)? else { return Ok(Some(false)) };
    if copy.len() != original.len() {
        return Ok(Some(false));
    }
    if blob(file).is_some() || copy.modified()? == original.modified()? {
        return Ok(Some(true));
    }
    let original = match fs::read(from) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| from.display().to_string())?,
    };
    let copy = fs::read(to).with_context(|| to.display().to_string())?;
    Ok(Some(original == copy))
}

/// Whether a file may go to its place at once: it replaces nothing, and nobody reads it who reads the backup
/// as it was.
fn is_added(file: &Path, to: &Path) -> bool {
    let added = ["blobs", "log/tiles/tile", "log/claims", "evidence", "review/suspects"];
    added.iter().any(|dir| file.starts_with(dir)) && (blob(file).is_some() || !to.exists())
}

/// Whether a file stands for something that is to be done, and goes with that.
fn is_to_do(file: &Path) -> bool {
    TO_DO.iter().any(|dir| file.starts_with(dir))
}

/// After which content a file is named. Beside blobs lie records of works, which are replaced.
fn blob(file: &Path) -> Option<ContentId> {
    sharded(file.strip_prefix("blobs").ok()?)
}

/// Of which work a file says where it lies.
fn recorded(file: &Path) -> Option<ContentId> {
    sharded(file.strip_prefix(PLACES).ok()?)
}

/// The id in `<2 hex of the SHA-256>/<CID>`.
fn sharded(below: &Path) -> Option<ContentId> {
    let id = below.file_name()?.to_str()?.parse().ok()?;
    (shard(&id) == below).then_some(id)
}

fn shard(id: &ContentId) -> PathBuf {
    [&id.sha256_hex()[..2], &id.to_string()].iter().collect()
}

/// What is to become of a file.
enum Put {
    /// It is copied, and so long.
    Bytes(u64),
    /// There is none any more.
    Gone,
    /// It has other bytes than its name says, and nothing was replaced.
    Altered,
}

/// Copies a file with its rights and its time, in one step. One that is named after its content is compared with
/// its name on the way.
fn put(from: &Path, to: &Path, name: Option<ContentId>) -> Result<Put> {
    let mut aside = to.as_os_str().to_owned();
    aside.push(".");
    aside.push(ASIDE);
    let aside = PathBuf::from(aside);
    let put = || -> io::Result<Put> {
        let mut original = match File::open(from) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Put::Gone),
            file => file?,
        };
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        remove_file(&aside)?;
        let metadata = original.metadata()?;
        let mut options = File::options();
        options.write(true).create_new(true);
        // From the first byte on nobody reads it who may not read the original.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut copy = options.open(&aside)?;
        let copied = match name {
            None => io::copy(&mut original, &mut copy),
            Some(id) => io::copy(&mut Verified::new(id, original), &mut copy),
        };
        let bytes = match copied {
            Err(error) if is_altered(&error) => {
                remove_file(&aside)?;
                return Ok(Put::Altered);
            }
            copied => copied?,
        };
        copy.set_permissions(metadata.permissions())?;
        copy.set_modified(metadata.modified()?)?;
        fs::rename(&aside, to)?;
        Ok(Put::Bytes(bytes))
    };
    put().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Whether it is told by [`Verified`], and not by a disk.
fn is_altered(error: &io::Error) -> bool {
    let told = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(told, Some(BlobError::Altered { .. }))
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

/// Removes what the archive has no more: partial tiles whose full one is there, and what is done.
fn prune(dest: &Path, files: &[PathBuf]) -> Result<()> {
    let wanted: BTreeSet<&PathBuf> = files.iter().collect();
    let mut here = Vec::new();
    let folders = TO_DO.iter().chain(&["log/tiles", "review/suspects"]);
    folders.into_iter().try_for_each(|dir| list(dest, Path::new(dir), &mut here))?;
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

/// Removes a file that may not be there.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| dir.display().to_string())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Backups of before were made with the rights of any folder.
    #[test]
    fn a_restored_archive_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        put_text(&dir.path().join(MARK), HEADER).unwrap();
        unmark(dir.path()).unwrap();
        assert_eq!(mark(dir.path()).unwrap(), None);
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, PRIVATE);
    }
}

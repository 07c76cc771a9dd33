//! Works as plain files: `<2 hex of the SHA-256>/<CID>`, which `sha256sum` can check and any
//! backup program can copy.
//!
//! One level of 256 folders: ten million works are 39,000 names a folder, which ext4, XFS and btrfs
//! find by hash or tree, while a second level would cost nearly every work of a small archive a
//! folder of its own. The folder is to lie on one file system.
//!
//! A work is written aside in `incoming/`, then renamed: a name never stands for half a work while
//! the machine runs. A power cut before the flush can leave a name with wrong bytes; reading tells,
//! and putting the work again heals it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use timemark_verify::{ContentId, WorkDigests, WorkHasher};

use crate::blobs::{Address, BlobError, BlobStore, Stored, Verified};
use crate::dag::DagHasher;
use crate::records::list_ids;

/// A folder of works.
pub struct FileStore {
    dir: PathBuf,
    /// Held shared while the store is open, and opened before the first write, so that `syncfs` on
    /// it reports every write that fails afterwards (Linux 5.8 or later).
    lock: File,
    next_incoming: AtomicU64,
    /// What is to be flushed one by one, where there is no `syncfs`.
    unflushed: Mutex<BTreeSet<PathBuf>>,
    /// Whether a flush has failed. The system reports a lost write once and then calls the page
    /// clean, so a second flush would succeed and mean nothing.
    flush_failed: Mutex<bool>,
}

impl FileStore {
    /// Opens the store in this folder, making it where there is none. What a crash left half
    /// written is removed, unless another process has the store open and may still be writing it.
    pub fn open(dir: &Path) -> Result<FileStore, BlobError> {
        let incoming = dir.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(io_error(&incoming))?;
        let path = dir.join(LOCK);
        let mut options = OpenOptions::new();
        let lock = options.read(true).write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(io_error(&path))?;
        if lock.try_lock().is_ok() {
            clear(&incoming).map_err(io_error(&incoming))?;
            lock.unlock().map_err(io_error(&path))?;
        }
        lock.lock_shared().map_err(io_error(&path))?;
        Ok(FileStore {
            dir: dir.to_owned(),
            lock,
            next_incoming: AtomicU64::new(0),
            unflushed: Mutex::default(),
            flush_failed: Mutex::new(false),
        })
    }

    /// Where a blob of this id lies.
    pub fn path(&self, id: &ContentId) -> PathBuf {
        self.dir.join(&id.sha256_hex()[..2]).join(id.to_string())
    }

    /// The blobs that are here, with their lengths, in no order.
    pub fn list(&self) -> Result<Vec<(ContentId, u64)>, BlobError> {
        let ids = list_ids(&self.dir)?;
        Ok(ids.into_iter().filter_map(|id| Some((id, self.length(&id)?))).collect())
    }

    /// How long a blob is that is here.
    pub fn length(&self, id: &ContentId) -> Option<u64> {
        fs::metadata(self.path(id)).ok().map(|metadata| metadata.len())
    }

    /// A file without a name, on the folder's file system, and where that is.
    pub(crate) fn spool(&self) -> Result<(File, PathBuf), BlobError> {
        let dir = self.dir.join(INCOMING);
        let file = tempfile::tempfile_in(&dir).map_err(io_error(&dir))?;
        Ok((file, dir))
    }

    /// Hands on a blob from elsewhere and keeps it once it has passed to its end. `kept` is told its length then. That the
    /// folder has no room for it is no fault of the reader's.
    pub(crate) fn keeping(
        &self,
        at: &Address,
        blob: Box<dyn Read + Send>,
        kept: Told,
    ) -> Box<dyn Read + Send> {
        match self.incoming() {
            Ok(incoming) => {
                let place = self.path(&at.content);
                let keeping = Some((incoming, kept));
                Box::new(Keeping { blob, keeping, place, bytes: 0 })
            }
            Err(_) => blob,
        }
    }

    /// Puts what was written aside in its place, unless the same is there.
    fn place(&self, incoming: Incoming, stored: &Stored) -> Result<(), BlobError> {
        let path = self.path(&stored.digests.content());
        if !is_intact(&path, &stored.digests) {
            incoming.move_to(&path)?;
        }
        // Also what was there before: another thread or process may not have flushed it yet.
        if cfg!(not(target_os = "linux")) {
            self.unflushed.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
        }
        Ok(())
    }

    fn incoming(&self) -> Result<Incoming, BlobError> {
        loop {
            let number = self.next_incoming.fetch_add(1, Ordering::Relaxed);
            let path = self.dir.join(INCOMING).join(number.to_string());
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            // A work never changes.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o444);
            match options.open(&path) {
                Ok(file) => return Ok(Incoming { path, file, placed: false }),
                // Another process has the store open.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io_error(&path)(error)),
            }
        }
    }
}

impl BlobStore for FileStore {
    fn name(&self) -> String {
        format!("the folder {}", self.dir.display())
    }

    fn put(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        let mut incoming = self.incoming()?;
        let stored = incoming.take_in(bytes)?;
        self.place(incoming, &stored)?;
        Ok(stored)
    }

    fn put_as(&self, at: &Address, bytes: &mut dyn Read) -> Result<(), BlobError> {
        let mut incoming = self.incoming()?;
        let stored = incoming.take_in(bytes)?;
        if stored.address() != *at {
            return Err(BlobError::Altered { id: at.content });
        }
        self.place(incoming, &stored)
    }

    fn get(&self, at: &Address) -> Result<Box<dyn Read + Send>, BlobError> {
        let path = self.path(&at.content);
        match File::open(&path) {
            Ok(file) => Ok(Box::new(Verified::new(at.content, Named { path, file }))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(BlobError::Missing { id: at.content })
            }
            Err(error) => Err(io_error(&path)(error)),
        }
    }

    fn has(&self, at: &Address) -> Result<bool, BlobError> {
        let path = self.path(&at.content);
        path.try_exists().map_err(io_error(&path))
    }

    fn remove(&self, at: &Address) -> Result<(), BlobError> {
        let path = self.path(&at.content);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(&path)(error)),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), BlobError> {
        // Held throughout: the system reports a lost write to one of two flushes that run at once.
        let mut failed = self.flush_failed.lock().unwrap_or_else(PoisonError::into_inner);
        if *failed {
            let reason = "an earlier flush failed, so works may be lost: check the disk";
            return Err(io_error(&self.dir)(io::Error::other(reason)));
        }
        let places =
            std::mem::take(&mut *self.unflushed.lock().unwrap_or_else(PoisonError::into_inner));
        let flushed = flush(&self.dir, &self.lock, places);
        *failed = flushed.is_err();
        flushed.map_err(io_error(&self.dir))
    }
}

/// A work being written aside. Unless it is moved to its place, it goes.
struct Incoming {
    path: PathBuf,
    file: File,
    placed: bool,
}

impl Incoming {
    fn take_in(&mut self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        let (mut hasher, mut dag) = (WorkHasher::new(), DagHasher::new());
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = match bytes.read(&mut buffer) {
                Ok(0) => return Ok(Stored { digests: hasher.finish(), dag: dag.finish() }),
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(BlobError::Source(error)),
            };
            hasher.update(read);
            dag.update(read);
            self.file.write_all(read).map_err(io_error(&self.path))?;
        }
    }

    fn move_to(mut self, place: &Path) -> Result<(), BlobError> {
        let mut moved = fs::rename(&self.path, place);
        if let (Err(error), Some(folder)) = (&moved, place.parent())
            && error.kind() == ErrorKind::NotFound
        {
            fs::create_dir_all(folder).map_err(io_error(folder))?;
            moved = fs::rename(&self.path, place);
        }
        self.placed = moved.is_ok();
        moved.map_err(io_error(place))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.placed {
            // What cannot be removed now is removed when the store is opened next.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Who is to be told how long a blob is that came and is kept.
type Told = Box<dyn FnOnce(u64) + Send>;

/// A verifying reader of a blob that is written aside as it passes.
struct Keeping {
    blob: Box<dyn Read + Send>,
    keeping: Option<(Incoming, Told)>,
    place: PathBuf,
    bytes: u64,
}

impl Read for Keeping {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.blob.read(buffer)?;
        if read > 0 {
            self.bytes += read as u64;
            let written = self.keeping.as_mut().map(|(i, _)| i.file.write_all(&buffer[..read]));
            if let Some(Err(_)) = written {
                self.keeping = None;
            }
        } else if !buffer.is_empty()
            && let Some((incoming, kept)) = self.keeping.take()
            && incoming.move_to(&self.place).is_ok()
        {
            kept(self.bytes);
        }
        Ok(read)
    }
}

/// Whether this very work is there. What cannot be read is not, and gets replaced.
fn is_intact(place: &Path, work: &WorkDigests) -> bool {
    File::open(place).is_ok_and(|file| {
        file.metadata().is_ok_and(|metadata| metadata.len() == work.length)
            && io::copy(&mut Verified::new(work.content(), file), &mut io::sink()).is_ok()
    })
}

/// A file whose errors name it.
struct Named {
    path: PathBuf,
    file: File,
}

impl Read for Named {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, io_error(&self.path)(error)),
        })
    }
}

fn clear(incoming: &Path) -> io::Result<()> {
    for leftover in fs::read_dir(incoming)? {
        fs::remove_file(leftover?.path())?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn flush(_dir: &Path, lock: &File, _places: BTreeSet<PathBuf>) -> io::Result<()> {
    Ok(rustix::fs::syncfs(lock)?)
}

#[cfg(not(target_os = "linux"))]
fn flush(dir: &Path, _lock: &File, places: BTreeSet<PathBuf>) -> io::Result<()> {
    flush_each(dir, places)
}

/// Flushes these works, then the folders that name them, then the folder that names those.
#[cfg(any(test, not(target_os = "linux")))]
fn flush_each(dir: &Path, places: BTreeSet<PathBuf>) -> io::Result<()> {
    let folders: BTreeSet<&Path> = places.iter().filter_map(|place| place.parent()).collect();
    let works = places.iter().map(PathBuf::as_path);
    works.chain(folders).chain([dir]).try_for_each(|path| File::open(path)?.sync_all())
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    |source| BlobError::Io { path: path.to_owned(), source }
}

const INCOMING: &str = "incoming";
const LOCK: &str = "lock";
const BUFFER_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{address_of, check_blobs};

    fn open(dir: &tempfile::TempDir) -> FileStore {
        FileStore::open(dir.path()).unwrap()
    }

    fn incoming_of(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path().join(INCOMING)).unwrap().count()
    }

    /// What a power cut or a meddler does to a work's file.
    fn overwrite(place: &Path, bytes: &[u8]) {
        fs::remove_file(place).unwrap();
        fs::write(place, bytes).unwrap();
    }

    #[test]
    fn the_contract_holds_and_nothing_stays_aside() {
        let dir = tempfile::tempdir().unwrap();
        check_blobs(&open(&dir));
        assert_eq!(incoming_of(&dir), 0);
        let reopened = open(&dir);
        assert_eq!(reopened.read(&address_of(b""), 0).unwrap(), b"");
    }

    #[test]
    fn a_work_lies_where_anyone_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        open(&dir).put(&mut &b"hello"[..]).unwrap();
        let place = "2c/bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
        assert_eq!(fs::read(dir.path().join(place)).unwrap(), b"hello");
        assert!(fs::metadata(dir.path().join(place)).unwrap().permissions().readonly());
    }

    #[test]
    fn an_altered_work_is_told_and_healed() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let work = vec![7; 600_000];
        let id = store.put(&mut &work[..]).unwrap().digests.content();
        let mut flipped = work.clone();
        flipped[300_000] ^= 1;
        let longer = [&work[..], b"x"].concat();
        for altered in [&flipped[..], &longer, &work[1..], b""] {
            overwrite(&store.path(&id), altered);
            let read = store.read(&address_of(&work), 1 << 20);
            assert!(matches!(read, Err(BlobError::Altered { id: told }) if told == id));
            store.put(&mut &work[..]).unwrap();
            assert_eq!(store.read(&address_of(&work), 1 << 20).unwrap(), work);
        }
    }

    #[test]
    fn leftovers_of_a_crash_go_but_not_while_another_is_writing() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        fs::write(dir.path().join("incoming/0"), b"half a wo").unwrap();
        let other = open(&dir);
        assert_eq!(incoming_of(&dir), 1, "it may be the first one's");
        other.put(&mut &b"a work"[..]).unwrap();
        store.put(&mut &b"another"[..]).unwrap();
        drop((store, other));
        open(&dir);
        assert_eq!(incoming_of(&dir), 0);
    }

    #[test]
    fn flushing_one_by_one_finds_every_work_and_folder() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let put = |work: &[u8]| store.path(&store.put(&mut &*work).unwrap().digests.content());
        let mut places: BTreeSet<PathBuf> = [put(b"a"), put(b"b"), put(b"a")].into();
        flush_each(dir.path(), places.clone()).unwrap();
        places.insert(dir.path().join("00/gone"));
        assert!(flush_each(dir.path(), places).is_err());
    }

    #[test]
    fn errors_name_the_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        let error = FileStore::open(&dir.path().join("file")).err().unwrap();
        assert!(error.to_string().contains("file/incoming"), "{error}");

        let store = open(&dir);
        let at = address_of(b"a folder where a work should be");
        let id = at.content;
        fs::create_dir_all(store.path(&id)).unwrap();
        let error = store.read(&at, 9).unwrap_err();
        assert!(error.to_string().contains(&id.to_string()), "{error}");
        assert!(matches!(error, BlobError::Io { .. }));
        let put = store.put(&mut &b"a folder where a work should be"[..]);
        assert!(matches!(put, Err(BlobError::Io { .. })));
        assert_eq!(incoming_of(&dir), 0);
    }
}

//! Files that must be there after a power cut, and errors that name them.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::LogError;
use crate::files::{Files, How, OpenFile, RealFiles, Stat};

pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |reason| LogError::Io { path, reason }
}

/// Where a log's files lie: the machine's disk, or a test's.
#[derive(Clone)]
pub(crate) struct Disk(Arc<dyn Files>);

impl Disk {
    pub fn new(files: impl Files + 'static) -> Disk {
        Disk(Arc::new(files))
    }

    pub fn real() -> Disk {
        Disk::new(RealFiles)
    }

    /// The door itself, for who tells errors apart.
    pub fn files(&self) -> &dyn Files {
        &*self.0
    }

    pub fn open(&self, path: &Path, how: How) -> Result<Box<dyn OpenFile>, LogError> {
        self.0.open(path, how).map_err(io_at(path))
    }

    pub fn read(&self, path: &Path) -> Result<Vec<u8>, LogError> {
        self.0.read(path).map_err(io_at(path))
    }

    /// The file's bytes, or `None` if there is no such file.
    pub fn read_if_exists(&self, path: &Path) -> Result<Option<Vec<u8>>, LogError> {
        if_exists(self.0.read(path)).map_err(io_at(path))
    }

    /// What is known of the file, or `None` if there is no such file.
    pub fn stat(&self, path: &Path) -> Result<Option<Stat>, LogError> {
        if_exists(self.0.stat(path)).map_err(io_at(path))
    }

    pub fn create_dir_all(&self, path: &Path) -> Result<(), LogError> {
        self.0.create_dir_all(path).map_err(io_at(path))
    }

    /// Removes a folder, if it is there, and everything in it.
    pub fn remove_dir_all(&self, path: &Path) -> Result<(), LogError> {
        if_exists(self.0.remove_dir_all(path)).map(drop).map_err(io_at(path))
    }

    /// Puts a file in place in one step, so that a reader sees the old bytes or the new. Not yet durable:
    /// the journal is, until the next [`Folder::flush`].
    pub fn publish(&self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let aside = with_suffix(path, ".new");
        let write = || -> io::Result<()> {
            self.make(&aside, How::Replace)?.append(bytes)?;
            self.0.rename(&aside, path)
        };
        write().map_err(io_at(path))
    }

    /// Writes a file aside, makes it durable, and puts it in place durably.
    pub fn replace_durably(&self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let aside = with_suffix(path, ".new");
        let write = || -> io::Result<()> {
            let file = self.0.open(&aside, How::Replace)?;
            file.append(bytes)?;
            file.sync_all()?;
            self.0.rename(&aside, path)?;
            self.sync_folder_of(path)
        };
        write().map_err(io_at(path))
    }

    /// Opens a file that may be new, and so may be its folder.
    pub fn make(&self, path: &Path, how: How) -> io::Result<Box<dyn OpenFile>> {
        match self.0.open(path, how) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.0.create_dir_all(parent(path))?;
                self.0.open(path, how)
            }
            other => other,
        }
    }

    /// Makes the names in the file's folder durable.
    pub fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        self.0.open(parent(path), How::Read)?.sync_all()
    }

    /// Takes a lock on a file until it is closed; `None` if another process holds it.
    pub fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn OpenFile>>, LogError> {
        let file = self.open(path, How::Write)?;
        let locked = file.try_lock().map_err(io_at(path))?;
        Ok(locked.then_some(file))
    }
}

pub(crate) fn read_to_string(path: &Path) -> Result<String, LogError> {
    let bytes = Disk::real().read(path)?;
    String::from_utf8(bytes).map_err(|_| LogError::damaged(path, "it is not UTF-8"))
}

/// Puts a durable file in the place of another in one step, durably.
pub(crate) fn rename_durably(from: &Path, to: &Path) -> Result<(), LogError> {
    let disk = Disk::real();
    disk.0.rename(from, to).and_then(|()| disk.sync_folder_of(to)).map_err(io_at(to))
}

/// Writes a new file, durable and readable by its owner only.
pub(crate) fn write_new_private(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let disk = Disk::real();
    let write = || -> io::Result<()> {
        let file = disk.0.open(path, How::NewPrivate)?;
        file.append(bytes)?;
        file.sync_all()?;
        disk.sync_folder_of(path)
    };
    write().map_err(io_at(path))
}

/// A handle on a folder. Opened before the first write, its [`Folder::flush`] reports every write that
/// fails afterwards (Linux 5.8 or later).
pub(crate) struct Folder {
    path: PathBuf,
    handle: Box<dyn OpenFile>,
}

impl Folder {
    pub fn open(disk: &Disk, path: &Path) -> Result<Folder, LogError> {
        let handle = disk.open(path, How::Read)?;
        Ok(Folder { path: path.to_owned(), handle })
    }

    /// Makes everything written below the folder durable with one flush of its file system.
    pub fn flush(&self) -> Result<(), LogError> {
        self.handle.sync_file_system().map_err(io_at(&self.path))
    }

    /// Makes the names in the folder durable.
    pub fn flush_names(&self) -> Result<(), LogError> {
        self.handle.sync_all().map_err(io_at(&self.path))
    }
}

fn if_exists<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

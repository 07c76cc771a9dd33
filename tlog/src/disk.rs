//! Files that must be there after a power cut, and errors that name them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::LogError;

pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |reason| LogError::Io { path, reason }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LogError> {
    fs::read(path).map_err(io_at(path))
}

/// The file's bytes, or `None` if there is no such file.
pub(crate) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_at(path)(e)),
    }
}

pub(crate) fn read_to_string(path: &Path) -> Result<String, LogError> {
    fs::read_to_string(path).map_err(io_at(path))
}

pub(crate) fn create_dir_all(path: &Path) -> Result<(), LogError> {
    fs::create_dir_all(path).map_err(io_at(path))
}

/// Puts a file in place in one step, so that a reader sees the old bytes or the new. Not yet durable:
/// the journal is, until the next [`Folder::flush`].
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let aside = with_suffix(path, ".new");
    let write = || -> io::Result<()> {
        match fs::write(&aside, bytes) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(parent(path))?;
                fs::write(&aside, bytes)?;
            }
            other => other?,
        }
        fs::rename(&aside, path)
    };
    write().map_err(io_at(path))
}

/// Writes a file aside, makes it durable, and puts it in place durably.
pub(crate) fn replace_durably(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let aside = with_suffix(path, ".new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(parent(path))?.sync_all()
    };
    write().map_err(io_at(path))
}

/// Puts a durable file in the place of another in one step, durably.
pub(crate) fn rename_durably(from: &Path, to: &Path) -> Result<(), LogError> {
    let rename = || {
        fs::rename(from, to)?;
        File::open(parent(to))?.sync_all()
    };
    rename().map_err(io_at(to))
}

/// Writes a new file, durable and readable by its owner only.
pub(crate) fn write_new_private(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        File::open(parent(path))?.sync_all()
    };
    write().map_err(io_at(path))
}

/// A handle on a folder. Opened before the first write, its [`Folder::flush`] reports every write that
/// fails afterwards (Linux 5.8 or later).
pub(crate) struct Folder {
    path: PathBuf,
    handle: File,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Folder, LogError> {
        let handle = File::open(path).map_err(io_at(path))?;
        Ok(Folder { path: path.to_owned(), handle })
    }

    /// Makes everything written below the folder durable with one flush of its file system.
    pub fn flush(&self) -> Result<(), LogError> {
        rustix::fs::syncfs(&self.handle).map_err(|e| io_at(&self.path)(e.into()))
    }
}

/// Takes a lock on a file until it is closed; `None` if another process holds it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>, LogError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io_at(path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(e)) => Err(io_at(path)(e)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

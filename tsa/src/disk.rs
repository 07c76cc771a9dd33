//! Files that must be there after a power cut, and errors that name them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::TsaError;

pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> TsaError {
    let path = path.to_owned();
    move |reason| TsaError::Io { path, reason }
}

pub(crate) fn read_to_string(path: &Path) -> Result<String, TsaError> {
    fs::read_to_string(path).map_err(io_at(path))
}

/// Makes a folder that only its owner can enter.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), TsaError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io_at(path))
}

/// Writes a new file, durable and readable by its owner only.
pub(crate) fn write_new_private(path: &Path, bytes: &[u8]) -> Result<(), TsaError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || -> io::Result<()> {
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(io_at(path))
}

/// Writes a file aside, makes it durable, and puts it in place durably. After a failure it may be called
/// again: every try writes everything anew and relies on nothing that an earlier flush may have lost.
pub(crate) fn replace_durably(path: &Path, bytes: &[u8]) -> Result<(), TsaError> {
    let aside = path.with_added_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(parent(path))?.sync_all()
    };
    write().map_err(io_at(path))
}

/// Makes what happened to the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), TsaError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_at(path))
}

/// A lock on a file, held until it is dropped or the process ends.
pub(crate) struct Lock(File);

impl Lock {
    /// `None` if somebody else holds it.
    pub fn try_take(path: &Path) -> Result<Option<Lock>, TsaError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(io_at(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(io_at(path)(e)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process between fork and exec would hold it a moment longer.
        let _ = self.0.unlock();
    }
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

//! The one door to the disk: every file operation of this room is one call here.
//!
//! Who implements it promises what a POSIX file system does: a rename is one step, nothing is durable before
//! a flush says so, and what a failed flush was to write may be lost although later reads see it. Who calls
//! assumes no more than that.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A file system by path.
pub(crate) trait Files: Send + Sync {
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn OpenFile>>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
}

/// A file or folder held open; a lock goes with it.
pub(crate) trait OpenFile: Send + Sync {
    /// Writes all of it at the end.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Writes all of it from this place on. Not for files opened to append.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Fills the buffer from this place on.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Makes the file so long at least, with room on the disk for all of it.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    fn stat(&self) -> io::Result<Stat>;
    /// Flushes content and length, or, of a folder, the names in it.
    fn sync_all(&self) -> io::Result<()>;
    /// Flushes the content and what is needed to read it.
    fn sync_data(&self) -> io::Result<()>;
    /// Flushes the whole file system. Reports every write since the file was opened that failed.
    fn sync_file_system(&self) -> io::Result<()>;
    /// Whether the lock is now this process's.
    fn try_lock(&self) -> io::Result<bool>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A file or folder that is there, to read, lock or flush.
    Read,
    /// Made if it is missing, to write anywhere in it.
    Write,
    /// Made if it is missing, emptied if it is there.
    Replace,
    /// A file that is there, to read and to write at its end.
    ReadAppend,
    /// A file that must not be there yet, to read and to write at its end.
    New,
    /// As [`How::New`], for its owner's eyes only.
    NewPrivate,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub bytes: u64,
    pub is_file: bool,
    /// Tells it from every other file that is there.
    pub identity: (u64, u64),
}

/// The disk of this machine.
pub(crate) struct RealFiles;

impl Files for RealFiles {
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn OpenFile>> {
        let mut options = OpenOptions::new();
        match how {
            How::Read => options.read(true),
            How::Write => options.read(true).write(true).create(true).truncate(false),
            How::Replace => options.write(true).create(true).truncate(true),
            How::ReadAppend => options.read(true).append(true),
            How::New => options.read(true).append(true).create_new(true),
            How::NewPrivate => options.read(true).append(true).create_new(true).mode(0o600),
        };
        Ok(Box::new(options.open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        fs::metadata(path).map(Stat::from)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }
}

impl OpenFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(buffer, at)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            // A file system that cannot promise room gets bytes to hold.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let mut file = self;
                let missing = bytes.saturating_sub(self.metadata()?.len());
                io::copy(&mut io::repeat(0).take(missing), &mut file).map(drop)
            }
            other => Ok(other?),
        }
    }

    fn stat(&self) -> io::Result<Stat> {
        self.metadata().map(Stat::from)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(self)?)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match File::try_lock(self) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

impl From<fs::Metadata> for Stat {
    fn from(metadata: fs::Metadata) -> Stat {
        Stat {
            bytes: metadata.len(),
            is_file: metadata.is_file(),
            identity: (metadata.dev(), metadata.ino()),
        }
    }
}

/// Whether there was no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

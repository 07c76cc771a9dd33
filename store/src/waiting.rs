//! Which blobs have not reached their store elsewhere yet: one file for each, so that no crash forgets one.
//!
//! A file is named by the blob's content and holds its DAG address. It is written before the blob is acknowledged and
//! goes once the store elsewhere has been seen to have it; a blob that is sent twice costs time and nothing else.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use timemark_verify::ContentId;

use crate::blobs::{Address, BlobError};

pub(crate) struct Waiting {
    dir: PathBuf,
}

impl Waiting {
    pub fn open(dir: &Path) -> Result<Waiting, BlobError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        Ok(Waiting { dir: dir.to_owned() })
    }

    /// Durable at the next flush of the file system.
    pub fn add(&self, blob: &Address) -> Result<(), BlobError> {
        let path = self.path(&blob.content);
        let add = || -> io::Result<()> {
            fs::write(&path, format!("{}\n", blob.dag))?;
            if cfg!(not(target_os = "linux")) {
                fs::File::open(&path)?.sync_all()?;
            }
            Ok(())
        };
        add().map_err(at(&path))
    }

    /// It need not wait any more.
    pub fn done(&self, blob: &ContentId) -> Result<(), BlobError> {
        let path = self.path(blob);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Whether a blob waits.
    pub fn has(&self, blob: &ContentId) -> bool {
        self.path(blob).exists()
    }

    /// The address of a blob that waits; `None` where a power cut left no more than the name.
    pub fn address(&self, blob: &ContentId) -> Option<Address> {
        let text = fs::read_to_string(self.path(blob)).ok()?;
        let dag = text.strip_suffix('\n')?.parse().ok()?;
        Some(Address { content: *blob, dag })
    }

    /// Every blob that waits, in no order.
    pub fn all(&self) -> Result<Vec<ContentId>, BlobError> {
        let mut blobs = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            let name = entry.map_err(at(&self.dir))?.file_name();
            blobs.extend(name.to_str().and_then(|name| name.parse::<ContentId>().ok()));
        }
        Ok(blobs)
    }

    fn path(&self, blob: &ContentId) -> PathBuf {
        self.dir.join(blob.to_string())
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    |source| BlobError::Io { path: path.to_owned(), source }
}

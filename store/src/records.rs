//! Small files beside the blobs, one for a work, each written in one step: `<2 hex of the SHA-256>/<CID>`.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::HEXLOWER;
use timemark_verify::ContentId;

use crate::blobs::BlobError;

pub(crate) struct Records {
    dir: PathBuf,
    next_incoming: AtomicU64,
}

impl Records {
    /// Opens the folder, making it where there is none.
    pub fn open(dir: &Path) -> Result<Records, BlobError> {
        let incoming = dir.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(at(&incoming))?;
        Ok(Records { dir: dir.to_owned(), next_incoming: AtomicU64::new(0) })
    }

    /// Where the file of a work is, if there is one.
    pub fn path(&self, work: &ContentId) -> PathBuf {
        self.dir.join(&work.sha256_hex()[..2]).join(work.to_string())
    }

    /// The file of a work; `None` where there is none.
    pub fn get(&self, work: &ContentId) -> Result<Option<Vec<u8>>, BlobError> {
        let path = self.path(work);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(at(&path)),
        }
    }

    /// Writes the file of a work anew; durable at the next flush of the file system.
    pub fn put(&self, work: &ContentId, bytes: &[u8]) -> Result<(), BlobError> {
        let path = self.path(work);
        // Several processes may have the store open.
        let number = self.next_incoming.fetch_add(1, Ordering::Relaxed);
        let aside = self.dir.join(INCOMING).join(format!("{}-{number}", std::process::id()));
        let put = || -> io::Result<()> {
            let mut file = fs::File::create(&aside)?;
            file.write_all(bytes)?;
            if cfg!(not(target_os = "linux")) {
                file.sync_all()?; // one flush for all of them is to be had on Linux only
            }
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::rename(&aside, &path)
        };
        put().map_err(|error| {
            let _ = fs::remove_file(&aside); // what is left of it harms nobody
            at(&path)(error)
        })
    }

    /// Every work that has a file, in no order.
    pub fn works(&self) -> Result<Vec<ContentId>, BlobError> {
        list_ids(&self.dir)
    }
}

/// The ids in a folder of `<2 hex>/<CID>`. Whatever else lies there is passed over.
pub(crate) fn list_ids(dir: &Path) -> Result<Vec<ContentId>, BlobError> {
    let mut ids = Vec::new();
    for folder in fs::read_dir(dir).map_err(at(dir))? {
        let folder = folder.map_err(at(dir))?;
        let name = folder.file_name();
        let is_shard = name.len() == 2 && HEXLOWER.decode(name.as_encoded_bytes()).is_ok();
        if !is_shard {
            continue;
        }
        let path = folder.path();
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let name = entry.map_err(at(&path))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<ContentId>().ok()));
        }
    }
    Ok(ids)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    |source| BlobError::Io { path: path.to_owned(), source }
}

const INCOMING: &str = "incoming";

//! Small files beside the blobs, one for a work, each written in one step: `<2 hex of the SHA-256>/<CID>`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use timemark_verify::ContentId;

use crate::blobs::BlobError;

pub(crate) struct Records {
    dir: PathBuf,
    /// Held shared while the folder is open: what lies aside may be ours.
    _lock: File,
}

impl Records {
    /// Opens the folder, making it where there is none. What a crash left half written is removed, unless another
    /// process has the folder open and may still be writing it.
    pub fn open(dir: &Path) -> Result<Records, BlobError> {
        let incoming = dir.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(at(&incoming))?;
        let path = dir.join(LOCK);
        let open = || -> io::Result<File> {
            let mut options = File::options();
            let lock = options.read(true).write(true).create(true).truncate(false).open(&path)?;
            if lock.try_lock().is_ok() {
                for leftover in fs::read_dir(&incoming)? {
                    fs::remove_file(leftover?.path())?;
                }
                lock.unlock()?;
            }
            lock.lock_shared()?;
            Ok(lock)
        };
        Ok(Records { dir: dir.to_owned(), _lock: open().map_err(at(&path))? })
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
        let mut aside = tempfile::Builder::new();
        // As any file is made; the crate's own are for their owner alone.
        #[cfg(unix)]
        aside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let put = || -> io::Result<()> {
            // Under a name that nobody else has: several processes may have the store open, in containers with the same
            // number each.
            let mut file = aside.tempfile_in(self.dir.join(INCOMING))?;
            file.write_all(bytes)?;
            if cfg!(not(target_os = "linux")) {
                file.as_file().sync_all()?; // one flush for all of them is to be had on Linux only
            }
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            file.persist(&path)?;
            Ok(())
        };
        put().map_err(at(&path))
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
const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::address_of;

    fn incoming(dir: &tempfile::TempDir) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir.path().join(INCOMING)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Two processes with the same number, as the first of two containers are, once wrote aside under one name: a work
    /// got the record of another.
    #[test]
    fn what_another_process_writes_aside_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        let theirs = dir.path().join(INCOMING).join(format!("{}-0", std::process::id()));
        fs::write(&theirs, b"of the other").unwrap();
        let work = address_of(b"a work").content;
        records.put(&work, b"its record").unwrap();
        assert_eq!(records.get(&work).unwrap().unwrap(), b"its record");
        assert_eq!(fs::read(&theirs).unwrap(), b"of the other");
        assert_eq!(incoming(&dir), [theirs]);
    }

    #[test]
    fn leftovers_of_a_crash_go_but_not_while_another_is_writing() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        fs::write(dir.path().join("incoming/x"), b"half a rec").unwrap();
        let other = Records::open(dir.path()).unwrap();
        assert_eq!(incoming(&dir).len(), 1, "it may be the first one's");
        drop((records, other));
        Records::open(dir.path()).unwrap();
        assert!(incoming(&dir).is_empty());
    }

    /// Whoever may read the works may read where they lie.
    #[test]
    #[cfg(unix)]
    fn records_have_the_rights_of_any_file() {
        let dir = tempfile::tempdir().unwrap();
        let work = address_of(b"a work").content;
        let records = Records::open(dir.path()).unwrap();
        records.put(&work, b"its record").unwrap();
        let any = dir.path().join("any");
        fs::write(&any, b"").unwrap();
        let rights = |path: &Path| fs::metadata(path).unwrap().permissions();
        assert_eq!(rights(&records.path(&work)), rights(&any));
    }
}

//! Where receipts go: beside their works or under a folder, never over another receipt.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use timemark_ingest::Found;
use timemark_verify::Receipt;

/// The receipts of one run. Many threads may write them.
pub(crate) struct Receipts {
    dir: Option<PathBuf>,
    /// A folder on each device that was written to, opened before: what fails from then on is told.
    devices: Mutex<HashMap<u64, File>>,
    replacing: Mutex<()>,
}

impl Receipts {
    /// Receipts that lie under this folder, which is made if it is missing, or beside their works.
    pub fn new(dir: Option<&Path>) -> Result<Receipts> {
        if let Some(dir) = dir {
            let failed = || format!("cannot make the folder {} for receipts", dir.display());
            fs::create_dir_all(dir).with_context(failed)?;
        }
        let dir = dir.map(Path::to_owned);
        let (devices, replacing) = Default::default();
        Ok(Receipts { dir, devices, replacing })
    }

    /// Writes a receipt as `<file name>.timemark` and returns its path. A file that is there already is
    /// not overwritten unless it is empty: it may be the proof of an earlier version of the work.
    pub fn write(&self, found: &Found, receipt: &Receipt) -> Result<PathBuf> {
        let target = match &self.dir {
            Some(dir) => dir.join(&found.below),
            None => found.path.clone(),
        };
        let dir =
            target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let stem = target.file_name().unwrap_or_default().to_string_lossy();
        for name in names(&stem, receipt) {
            let path = target.with_file_name(name);
            if is_receipt_of(&path, receipt) || self.put(receipt, &path, dir)? {
                return Ok(path);
            }
        }
        bail!("every name for it is taken")
    }

    /// Writes the receipt of a claim that amends another: beside that one's, `<name>.corrected-<entry>.timemark` or
    /// `<name>.withdrawn-<entry>.timemark`. Nothing is overwritten.
    pub fn write_amending(&self, named: &Path, status: &str, receipt: &Receipt) -> Result<PathBuf> {
        let name = named.file_name().unwrap_or_default().to_string_lossy();
        let target = match &self.dir {
            Some(dir) => dir.join(&*name),
            None => named.to_owned(),
        };
        let dir =
            target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let entry = receipt.anchors[0].index;
        // Only the receipt of another log has that name already.
        let claim = HEXLOWER.encode(&receipt.leaf.claim[..4]);
        for suffix in [String::new(), format!(".{claim}")] {
            let end = format!(".{status}-{entry}{suffix}.{}", Receipt::FILE_EXTENSION);
            let room = name.floor_char_boundary(NAME_BYTES_MAX - end.len());
            let path = target.with_file_name(format!("{}{end}", &name[..room]));
            if is_receipt_of(&path, receipt) || self.put(receipt, &path, dir)? {
                return Ok(path);
            }
        }
        bail!("every name for it is taken")
    }

    /// One flush a device for all receipts. Until then they are no loss: the archive holds the proof.
    pub fn flush(&self) -> Result<()> {
        let devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        devices.values().try_for_each(rustix::fs::syncfs).context("the receipts cannot be flushed")
    }

    /// Returns whether the receipt lies there now.
    fn put(&self, receipt: &Receipt, path: &Path, dir: &Path) -> Result<bool> {
        let put = || -> std::io::Result<bool> {
            self.remember_device(dir)?;
            let mut file = tempfile::Builder::new().prefix(".timemark-").tempfile_in(dir)?;
            write!(file, "{receipt}")?;
            // Temporary files are private; a receipt is made to be shown.
            file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
            let taken = match file.persist_noclobber(path) {
                Ok(_) => return Ok(true),
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => error.file,
                Err(error) => return Err(error.error),
            };
            // What a crash or a full disk left may go; another thread may have been faster.
            let _turn = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
            if is_empty_file(path) {
                taken.persist(path)?;
                return Ok(true);
            }
            Ok(is_receipt_of(path, receipt))
        };
        put().with_context(|| path.display().to_string())
    }

    fn remember_device(&self, dir: &Path) -> std::io::Result<()> {
        let device = fs::metadata(dir)?.dev();
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let std::collections::hash_map::Entry::Vacant(new) = devices.entry(device) {
            new.insert(File::open(dir)?);
        }
        Ok(())
    }
}

/// Puts a receipt in the place of an older state of itself, durably and in one step.
pub(crate) fn replace(path: &Path, receipt: &Receipt) -> Result<()> {
    let put = || -> std::io::Result<()> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".timemark-").tempfile_in(dir)?;
        write!(file, "{receipt}")?;
        file.as_file().set_permissions(fs::metadata(path)?.permissions())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(dir)?.sync_all()
    };
    put().with_context(|| path.display().to_string())
}

/// The names a receipt may get, best first.
fn names(stem: &str, receipt: &Receipt) -> impl Iterator<Item = String> {
    let sha256 = receipt.claim.work.content().sha256_hex();
    let work = &sha256[..8];
    let suffixes =
        [String::new(), format!(".{work}"), format!(".{work}-{}", receipt.anchors[0].index)];
    suffixes.into_iter().filter_map(|suffix| {
        let end = format!("{suffix}.{}", Receipt::FILE_EXTENSION);
        let room = stem.floor_char_boundary(NAME_BYTES_MAX - end.len());
        // A stem that is cut needs a suffix, or names would fall together.
        (room == stem.len() || !suffix.is_empty()).then(|| format!("{}{end}", &stem[..room]))
    })
}

/// Whether a good receipt of the same leaf lies there; it may hold further anchors.
fn is_receipt_of(path: &Path, receipt: &Receipt) -> bool {
    fs::read(path)
        .is_ok_and(|bytes| Receipt::parse(&bytes).is_ok_and(|found| found.leaf == receipt.leaf))
}

fn is_empty_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
}

/// Longest file name that file systems take.
const NAME_BYTES_MAX: usize = 255;

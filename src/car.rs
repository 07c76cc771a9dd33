//! The files of a CAR, unpacked to be registered.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;
use timemark_ingest::WalkError;
use timemark_store::car::{Car, CarEntry};

/// An open CAR whose files are taken out one after the other.
pub(crate) struct Unpacking {
    car: Car<BufReader<File>>,
    entries: std::vec::IntoIter<CarEntry>,
    into: PathBuf,
}

impl Unpacking {
    /// Reads and hashes a whole CAR. Its files will be put under `into`.
    pub fn open(path: &Path, into: &Path) -> Result<Unpacking> {
        let context = || path.display().to_string();
        let file = File::open(path).with_context(context)?;
        let mut car = Car::open(BufReader::new(file)).with_context(context)?;
        let entries = car.files().with_context(context)?;
        ensure!(!entries.is_empty(), "{} holds no files", path.display());
        Ok(Unpacking { car, entries: entries.into_iter(), into: into.to_owned() })
    }

    /// How many files are left.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    fn unpack(&mut self, entry: &CarEntry, path: &Path) -> Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let mut aside = NamedTempFile::new_in(dir)?;
        io::copy(&mut self.car.open_file(&entry.cid)?, &mut aside)?;
        if path.exists() {
            // Of a run before this one; anything else is not ours to replace.
            let same = fs::metadata(path)?.len() == entry.length && is_same(aside.path(), path)?;
            ensure!(same, "another file of this name is there");
            return Ok(());
        }
        fs::set_permissions(aside.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        aside.persist_noclobber(path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Iterator for Unpacking {
    type Item = Result<PathBuf, WalkError>;

    fn next(&mut self) -> Option<Result<PathBuf, WalkError>> {
        let entry = self.entries.next()?;
        let name = if entry.path.is_empty() { entry.cid.to_string() } else { entry.path.clone() };
        let path = self.into.join(name);
        Some(match self.unpack(&entry, &path) {
            Ok(()) => Ok(path),
            Err(error) => Err(WalkError { path, reason: format!("{error:#}") }),
        })
    }
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    use std::io::BufRead;
    let (mut one, mut other) =
        (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let length = a.len().min(b.len());
        if a[..length] != b[..length] || (length == 0 && a.len() != b.len()) {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
        one.consume(length);
        other.consume(length);
    }
}

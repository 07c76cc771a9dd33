//! The files of a CAR, unpacked to be registered.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
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
    /// Reads and hashes a whole CAR. Its files will be put under `into`; they must not take more than `bytes_max`, or
    /// than is usual for a CAR of its length.
    pub fn open(path: &Path, into: &Path, bytes_max: Option<u64>) -> Result<Unpacking> {
        let context = || path.display().to_string();
        let file = File::open(path).with_context(context)?;
        let car_bytes = file.metadata().with_context(context)?.len();
        let mut car = Car::open(BufReader::new(file)).with_context(context)?;
        let entries = car.files().with_context(context)?;
        ensure!(!entries.is_empty(), "{} holds no files", path.display());
        let usual = car_bytes.saturating_mul(EXPANSION_MAX).max(BYTES_MAX_AT_LEAST);
        let (bytes, bytes_max) = (bytes_on_disk(&entries), bytes_max.unwrap_or(usual));
        ensure!(
            bytes <= bytes_max,
            "{} has {car_bytes} bytes, and its {} files would take {bytes}, more than the {bytes_max} that are \
             unpacked; if that is what it should hold, --max-bytes {bytes} lets it",
            path.display(),
            entries.len()
        );
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
        let mut file = self.car.open_file(&entry.cid)?;
        let bytes = io::copy(&mut file.by_ref().take(entry.length), &mut aside)?;
        let is_whole = bytes == entry.length && file.read(&mut [0])? == 0;
        ensure!(is_whole, "it has another length than the {} bytes that it states", entry.length);
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

/// What files will take, by what they state before they are read.
fn bytes_on_disk(entries: &[CarEntry]) -> u64 {
    let bytes = entries.iter().map(|entry| entry.length.max(FILE_BYTES_MIN));
    bytes.fold(0, u64::saturating_add)
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

/// A block of a CAR may stand in many files, and many times in one: a few of them, nested, state any length. An
/// honest CAR gets that much longer where it holds the same work in dozens of folders.
const EXPANSION_MAX: u64 = 64;
/// Of a small CAR so much is unpacked anyway: 1 GiB.
const BYTES_MAX_AT_LEAST: u64 = 1 << 30;
/// A file takes a block of the disk, however short it is. This is the limit on how many there may be as well.
const FILE_BYTES_MIN: u64 = 4 << 10;

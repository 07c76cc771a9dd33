//! The bytes of suspects that are copies: kept from the moment they matched, so that evidence does not vanish with a page
//! or with the file that was sent.
//!
//! They go a day after every match of theirs was found to be none, so that whoever takes such a verdict back at once has
//! them still.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use redb::ReadableTable;
use timemark_ingest::Engine;
use timemark_ingest::media::FILE_BYTES_MAX;
use timemark_verify::{ContentId, WorkHasher};

use crate::clock;
use crate::error::ReviewError;
use crate::matches::{self, Match, Sighting, Standing, Verdict};
use crate::review::Review;
use crate::store::{Failure, MATCHES, OF_SUSPECT, REJECTED, damaged, parse};

/// The folder where they lie, by content.
pub(crate) struct Suspects {
    dir: PathBuf,
    bytes_max: u64,
    /// How many there are in all.
    bytes: AtomicU64,
    /// What the next one is called until it is whole.
    next: AtomicU64,
}

impl Suspects {
    /// Opens the folder, making it where it is missing. What is not needed goes, as does what a crash left.
    pub fn open(
        dir: PathBuf,
        mut is_needed: impl FnMut(&str) -> Result<bool, ReviewError>,
    ) -> Result<Suspects, ReviewError> {
        let failed = |source| ReviewError::Io { path: dir.clone(), source };
        let mut bytes = 0;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
        for shard in fs::read_dir(&dir).map_err(failed)? {
            let shard = shard.map_err(failed)?.path();
            if !shard.is_dir() {
                fs::remove_file(&shard).map_err(failed)?;
                continue;
            }
            for file in fs::read_dir(&shard).map_err(failed)? {
                let file = file.map_err(failed)?;
                if is_needed(&file.file_name().to_string_lossy())? {
                    bytes += file.metadata().map_err(failed)?.len();
                } else {
                    fs::remove_file(file.path()).map_err(failed)?;
                }
            }
        }
        let (bytes, next) = (AtomicU64::new(bytes), AtomicU64::default());
        Ok(Suspects { dir, bytes_max: BYTES_MAX_DEFAULT, bytes, next })
    }

    pub fn limit(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// Keeps these bytes, if there is room for them. They are durable when this returns.
    pub fn keep(&self, content: &ContentId, bytes: &[u8]) -> Result<(), ReviewError> {
        let path = self.path(content);
        let length = bytes.len() as u64;
        if path.is_file() {
            return Ok(());
        }
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) > self.bytes_max {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            return Ok(());
        }
        let aside = self.dir.join(format!("new-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let kept = self.put(bytes, &aside, &path);
        kept.map_err(|source| {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            let _ = fs::remove_file(&aside); // the next start sees to it otherwise
            ReviewError::Io { path, source }
        })
    }

    fn put(&self, bytes: &[u8], aside: &Path, path: &Path) -> io::Result<()> {
        let shard = path.parent().unwrap_or(&self.dir);
        match fs::DirBuilder::new().mode(0o700).create(shard) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
            Ok(()) => File::open(&self.dir)?.sync_all()?,
        }
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(aside, path)?;
        File::open(shard)?.sync_all()
    }

    /// Removes them. Where that fails, the next start does it.
    fn forget(&self, content: &ContentId) {
        let path = self.path(content);
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        if fs::remove_file(path).is_ok() {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
    }

    fn path(&self, content: &ContentId) -> PathBuf {
        let hex = content.sha256_hex();
        self.dir.join(hex.get(..2).unwrap_or_default()).join(content.to_string())
    }
}

impl Review {
    /// Keeps no more than so many bytes of suspects from now on; of what is beyond nothing is kept.
    pub fn keeping(mut self, bytes_max: u64) -> Review {
        self.suspects.limit(bytes_max);
        self
    }

    /// Copies the suspect of a match, as it was when it matched, to this file, if it is still to be had: from what was kept,
    /// from among the works, or from where it was met.
    pub fn copy_suspect(
        &self,
        found: &Match,
        places: &[Sighting],
        engine: &Engine,
        to: &Path,
    ) -> Result<bool, ReviewError> {
        let Ok(content) = found.suspect.parse::<ContentId>() else { return Ok(false) };
        let failed = |source| ReviewError::Io { path: to.to_owned(), source };
        if let Ok(mut kept) = File::open(self.suspects.path(&content))
            && copy_if(&content, &mut kept, to).map_err(failed)?
        {
            return Ok(true);
        }
        if let Ok(mut work) = engine.works.get(&content)
            && copy_if(&content, &mut work, to).map_err(failed)?
        {
            return Ok(true);
        }
        for place in places {
            // What it is called in the path of a file; of what lies in an archive it is none.
            let Ok(path) = self.roots.admit(&place.name) else { continue };
            if path.is_file()
                && let Ok(mut file) = File::open(path)
                && copy_if(&content, &mut file, to).map_err(failed)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The bytes of a suspect as it was when it was compared, if they are still to be had: from what was kept, from among
    /// the works, or from where it was met. Files that nobody would look at are not read.
    pub(crate) fn suspect_bytes(
        &self,
        content: &ContentId,
        name: &str,
        engine: &Engine,
    ) -> Option<Vec<u8>> {
        let read = |path: PathBuf| {
            if !path.is_file() {
                return None;
            }
            let mut bytes = Vec::new();
            let file = File::open(path).ok()?;
            file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
            let is_whole = bytes.len() as u64 <= FILE_BYTES_MAX;
            (is_whole && ContentId::of(&bytes) == *content).then_some(bytes)
        };
        let kept = read(self.suspects.path(content));
        let work = || engine.works.read(content, FILE_BYTES_MAX).ok();
        kept.or_else(work).or_else(|| read(self.roots.admit(name).ok()?))
    }

    /// Lets go of suspects all of whose matches were found to be none a while ago.
    pub(crate) fn forget_rejected(&self) -> Result<(), ReviewError> {
        let due = clock::now().saturating_sub(GRACE_SECONDS);
        let is_any_due = self.store.read(|tx| {
            let first = tx.open_table(REJECTED)?.first()?.map(|(key, _)| key.value().0);
            Ok(first.is_some_and(|first| first <= due))
        })?;
        if !is_any_due {
            return Ok(());
        }
        let forgotten = self.store.write(|tx| {
            let matches = tx.open_table(MATCHES)?;
            let of_suspect = tx.open_table(OF_SUSPECT)?;
            let mut rejected = tx.open_table(REJECTED)?;
            let mut forgotten = Vec::new();
            let mut taken = Vec::new();
            for pair in rejected.range(..(due + 1, ""))?.take(REJECTED_AT_ONCE) {
                let (key, _) = pair?;
                let (time, id) = key.value();
                taken.push((time, id.to_owned()));
            }
            for (time, id) in taken {
                rejected.remove((time, &*id))?;
                let Some(found) = matches.get(&*id)? else { continue };
                let found: Match = parse(found.value())?;
                let mut is_rejected = true;
                for pair in of_suspect.range((&*found.suspect, "")..)? {
                    let (key, ()) = pair.map(|(key, _)| (key, ()))?;
                    let (suspect, id) = key.value();
                    if suspect != found.suspect {
                        break;
                    }
                    let other = matches.get(id)?.ok_or_else(|| matches::missing(id))?;
                    is_rejected &= is_rejected_since(&parse(other.value())?, due);
                }
                if is_rejected {
                    let content = found.suspect.parse::<ContentId>();
                    forgotten.push(content.map_err(|error| damaged(error.to_string()))?);
                }
            }
            Ok::<_, Failure>(forgotten)
        })?;
        forgotten.iter().for_each(|content| self.suspects.forget(content));
        Ok(())
    }
}

/// Whether a match was found to be none by then.
fn is_rejected_since(found: &Match, due: u64) -> bool {
    found.standing() == Standing::Decided(Verdict::NoMatch)
        && found.decision().is_some_and(|decision| decision.time <= due)
}

/// Copies a file if it holds these bytes. An error is one of writing.
fn copy_if(content: &ContentId, from: &mut dyn Read, to: &Path) -> io::Result<bool> {
    let mut out = File::create(to)?;
    let (mut hasher, mut buffer) = (WorkHasher::new(), vec![0; 256 << 10]);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                hasher.update(&buffer[..length]);
                out.write_all(&buffer[..length])?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Ok(false),
        }
    }
    Ok(hasher.finish().content() == *content)
}

/// Bytes of suspects that are kept, unless the operator says otherwise.
const BYTES_MAX_DEFAULT: u64 = 16 << 30;
/// How long they stay after the last of their matches was found to be none.
const GRACE_SECONDS: u64 = 24 * 60 * 60;
/// How many are looked at at a time.
const REJECTED_AT_ONCE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, needed: &[ContentId]) -> Suspects {
        let needed: Vec<String> = needed.iter().map(ContentId::to_string).collect();
        Suspects::open(dir.to_owned(), |name| Ok(needed.iter().any(|id| id == name))).unwrap()
    }

    #[test]
    fn what_is_kept_is_whole_and_within_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let mut suspects = open(dir.path(), &[]);
        suspects.limit(10);
        let [a, b, c] = [&b"123456"[..], b"12345", b"1234"];
        for bytes in [a, a, b, c] {
            suspects.keep(&ContentId::of(bytes), bytes).unwrap();
        }
        let is_kept = |suspects: &Suspects, bytes| suspects.path(&ContentId::of(bytes)).is_file();
        assert_eq!([a, b, c].map(|bytes| is_kept(&suspects, bytes)), [true, false, true]);
        assert_eq!(fs::read(suspects.path(&ContentId::of(a))).unwrap(), a);
        suspects.forget(&ContentId::of(c));
        suspects.forget(&ContentId::of(c));
        fs::write(dir.path().join("new-7"), "torn").unwrap();
        let mut suspects = open(dir.path(), &[ContentId::of(a)]);
        assert!(is_kept(&suspects, a) && !dir.path().join("new-7").exists());
        suspects.limit(10);
        suspects.keep(&ContentId::of(b), b).unwrap();
        assert!(!is_kept(&suspects, b), "what was kept before counts");
        assert!(!is_kept(&open(dir.path(), &[]), a), "nobody needs it");
    }

    #[test]
    fn only_the_same_bytes_are_copied() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to");
        assert!(copy_if(&ContentId::of(b"a"), &mut &b"a"[..], &to).unwrap());
        assert_eq!(fs::read(&to).unwrap(), b"a");
        assert!(!copy_if(&ContentId::of(b"a"), &mut &b"b"[..], &to).unwrap());
    }
}

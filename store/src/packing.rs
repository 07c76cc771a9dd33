//! Works in fewer bytes, one after another, while others register and read.
//!
//! A shorter blob is put beside the old one, then flushed, then recorded, then that is flushed, and only then the old one
//! goes ([`Works::replace`]): whenever the machine stops, the record names a blob that is whole.

use std::fs;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use timemark_verify::ContentId;

use crate::blobs::{Address, BlobError, BlobStore as _, Stored, told_by};
use crate::encoding::{self, Encoding, Packing, StreamError};
use crate::places::{Kept, Place};
use crate::works::Works;

/// What became of a work that was to be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed {
    /// A shorter form lies beside it, and is not used before [`Works::replace`].
    Shorter {
        /// Bytes of the work.
        before: u64,
        /// Bytes of the blob.
        after: u64,
        /// What is to be replaced by what.
        replacement: Box<Replacement>,
    },
    /// There is no shorter form; from now on this is known.
    AsItWas {
        /// Bytes of the work.
        bytes: u64,
    },
    /// There was nothing to do: it was packed or tried before, is not kept, or is sealed to others.
    Passed,
}

/// A blob of a work, and a shorter one that can stand in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    from: Place,
    to: Place,
}

impl Works {
    /// Looks for a shorter form in which a work can be kept: in memory, or in a stream where it is longer than
    /// [`encoding::PACKED_BYTES_MAX`].
    pub fn pack(&self, id: &ContentId) -> Result<Packed, BlobError> {
        self.pack_within(encoding::PACKED_BYTES_MAX, id)
    }

    /// As [`Works::pack`], where works up to so many bytes are packed in memory.
    fn pack_within(&self, in_memory_bytes_max: u64, id: &ContentId) -> Result<Packed, BlobError> {
        let from = match self.place(id)?.kept {
            // What is done with takes no time.
            Some(kept) if !kept.tried && kept.encoding.packed == Packing::Plain => {
                self.recorded(id)?
            }
            _ => return Ok(Packed::Passed),
        };
        let Some(kept) = &from.kept else { return Ok(Packed::Passed) };
        if kept.encoding.sealed && kept.sealed_to.is_none() {
            return Ok(Packed::Passed); // nobody says to whom it was sealed
        }
        let shorter = match from.length > in_memory_bytes_max {
            false => self.pack_in_memory(id, kept),
            true => self.pack_in_stream(id, kept),
        };
        let before = from.length;
        let shorter = match shorter {
            Err(BlobError::Sealed { .. }) => return Ok(Packed::Passed), // to others
            shorter => shorter?,
        };
        let Some((packed, blob, backend)) = shorter else {
            let kept = Some(Kept { tried: true, ..kept.clone() });
            self.record_unless_moved(&from, &Place { kept, ..from.clone() })?;
            return Ok(Packed::AsItWas { bytes: before });
        };
        let encoding = Encoding { packed, ..kept.encoding };
        let (sealed_to, after) = (kept.sealed_to.clone(), blob.digests.length);
        let kept = Kept { blob: blob.address(), encoding, backend, sealed_to, tried: true };
        let to = Place { kept: Some(kept), ..from.clone() };
        Ok(Packed::Shorter { before, after, replacement: Box::new(Replacement { from, to }) })
    }

    /// Has works kept as they were packed, and forgets the longer blobs: in the folder at once, and in the store elsewhere
    /// when it has the shorter ones.
    pub fn replace(&self, replacements: &[Replacement]) -> Result<(), BlobError> {
        if replacements.is_empty() {
            return Ok(());
        }
        for Replacement { from, to } in replacements {
            if let (Some(old), Some(new)) = (&from.kept, &to.kept) {
                let (work, old, new) = (from.work.content, old.blob, new.blob.content);
                self.retired.add(&old, &Successor { work, new })?;
            }
        }
        self.sync()?; // no record names a blob that a power cut could take
        let mut old = Vec::new();
        for Replacement { from, to } in replacements {
            // What somebody else has moved is theirs to forget, by the same file of the list.
            if self.record_unless_moved(from, to)?
                && let Some(kept) = &from.kept
            {
                old.push(kept.blob.content);
            }
        }
        self.forget(|blob| old.contains(blob))
    }

    /// Forgets blobs in whose place others are kept, wherever that can be done now.
    pub fn forget_retired(&self) -> Result<(), BlobError> {
        self.forget(|_| true)
    }

    fn forget(&self, is_meant: impl Fn(&ContentId) -> bool) -> Result<(), BlobError> {
        let mut retired = self.retired.all()?;
        // Others may be about to replace theirs: what a record still names is left to them.
        retired.retain(|(old, successor)| {
            is_meant(&old.content) && !self.is_needed(old, successor).unwrap_or(true)
        });
        if retired.is_empty() {
            return Ok(());
        }
        self.sync()?; // the records that were seen to name other blobs, whoever wrote them
        let until = Instant::now() + PATIENCE;
        let mut answers = true;
        for (old, successor) in retired {
            let alone = self.places.lock()?;
            if self.is_needed(&old, &successor).unwrap_or(true) {
                continue; // it was put anew meanwhile
            }
            let kept = self.place(&successor.work)?.kept;
            match &self.tiered {
                Some(tiered) => tiered.remove_here(&old)?,
                None => self.local.remove(&old)?,
            }
            drop(alone);
            // While the store elsewhere is away, or lacks the shorter blob, the longer one stays there. What was never meant
            // for that store is none of ours there.
            if let Some(kept) = kept.filter(|kept| self.is_kept_elsewhere(kept)) {
                answers &= Instant::now() < until;
                if !answers || self.waits(&kept.blob) {
                    continue;
                }
                match self.replaced_elsewhere(&old, &kept.blob) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(_) => {
                        answers = false;
                        continue;
                    }
                }
            }
            self.retired.done(&old.content)?;
        }
        Ok(())
    }

    /// Whether a record still names a blob: that of the work it was the blob of, or that of a work that it is itself.
    fn is_needed(&self, old: &Address, successor: &Successor) -> Result<bool, BlobError> {
        let names_it = |place: Option<Place>| {
            place.and_then(|place| place.kept).is_some_and(|kept| kept.blob.content == old.content)
        };
        Ok(names_it(Some(self.place(&successor.work)?)) || names_it(self.places.get(&old.content)?))
    }

    fn pack_in_memory(&self, id: &ContentId, kept: &Kept) -> Result<Shorter, BlobError> {
        let work = self.read(id, encoding::PACKED_BYTES_MAX)?;
        if encoding::begins_as_stored(&work) {
            return Ok(None);
        }
        let Some(encoding::Packed { packing, bytes }) = encoding::pack(&work) else {
            return Ok(None);
        };
        let (blob, backend) = self.put_as_kept(kept, &mut &bytes[..])?;
        Ok(Some((packing, blob, backend)))
    }

    fn pack_in_stream(&self, id: &ContentId, kept: &Kept) -> Result<Shorter, BlobError> {
        let mut work = self.get(id)?;
        let mut start = Vec::new();
        let began = (&mut work).take(encoding::STORED_START_BYTES).read_to_end(&mut start);
        began.map_err(|error| told_by(error, *id))?;
        if encoding::begins_as_stored(&start) {
            return Ok(None);
        }
        let (mut spool, spooled_at) = self.local.spool()?;
        let not_spooled = |source| BlobError::Io { path: spooled_at.clone(), source };
        match encoding::pack_stream(&mut start.chain(work), &mut spool) {
            Ok(None) => return Ok(None),
            Ok(Some(_)) => {}
            Err(StreamError::Work(error)) => return Err(told_by(error, *id)),
            Err(StreamError::Output(error)) => return Err(not_spooled(error)),
        }
        spool.rewind().map_err(not_spooled)?;
        let (blob, backend) = self.put_as_kept(kept, &mut spool)?;
        Ok(Some((Packing::Zstd, blob, backend)))
    }
}

/// How a work was packed, the blob that it became, and where that is for good.
type Shorter = Option<(Packing, Stored, String)>;

/// Blobs in whose place others are kept: a file for each, named by its content, until it is forgotten everywhere.
pub(crate) struct Retired {
    dir: PathBuf,
}

/// What stands in the place of a blob.
struct Successor {
    /// The work that it was the blob of.
    work: ContentId,
    /// Its blob from now on.
    new: ContentId,
}

impl Retired {
    pub fn open(dir: &Path) -> Result<Retired, BlobError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        Ok(Retired { dir: dir.to_owned() })
    }

    fn add(&self, old: &Address, Successor { work, new }: &Successor) -> Result<(), BlobError> {
        let path = self.dir.join(old.content.to_string());
        fs::write(&path, format!("{} {work} {new}\n", old.dag)).map_err(at(&path))
    }

    fn done(&self, old: &ContentId) -> Result<(), BlobError> {
        let path = self.dir.join(old.to_string());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// All of them. What a power cut left of one is passed over: the blob stays, and harms nobody.
    fn all(&self) -> Result<Vec<(Address, Successor)>, BlobError> {
        let mut retired = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            let path = entry.map_err(at(&self.dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let read = || {
                let text = fs::read_to_string(&path).ok()?;
                let mut words = text.strip_suffix('\n')?.split(' ');
                let old =
                    Address { content: name?.parse().ok()?, dag: words.next()?.parse().ok()? };
                let (work, new) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                Some((old, Successor { work, new }))
            };
            retired.extend(read());
        }
        Ok(retired)
    }
}

/// How long a store elsewhere may take to forget; the rest is forgotten another time.
const PATIENCE: Duration = Duration::from_secs(10);

fn at(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    |source| BlobError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::encoding::{Identities, Recipients};
    use crate::files::FileStore;
    use crate::places::Kept;
    use crate::tiered::Tiering;
    use crate::works::{Keeping, Remote};

    fn works(dir: &Path, remote: Option<&Path>, seal_to: Option<&str>) -> Works {
        let remote = remote.map(|dir| Remote {
            store: Arc::new(FileStore::open(dir).unwrap()),
            name: "files:elsewhere".to_owned(),
            tiering: Tiering { write_through: false, keep_bytes_max: None },
        });
        let seal_to = seal_to.map(|key| Recipients::parse([key]).unwrap());
        Works::open(Keeping { dir: dir.to_owned(), remote, seal_to, identities: None }).unwrap()
    }

    fn text() -> Vec<u8> {
        b"A line that is there again and again.\n".repeat(9_000)
    }

    fn put(works: &Works, bytes: &[u8]) -> ContentId {
        works.put(&mut &bytes[..]).unwrap().digests.content()
    }

    fn replacement(packed: Packed) -> Replacement {
        match packed {
            Packed::Shorter { before, after, replacement } if after * 2 < before => *replacement,
            other => panic!("{other:?}"),
        }
    }

    fn blobs(dir: &Path) -> usize {
        FileStore::open(dir).unwrap().list().unwrap().len()
    }

    fn drained(works: &Works) {
        works.start_sending();
        let progress = works.drain(std::time::Duration::from_secs(60), &|_| {}).unwrap();
        assert_eq!((progress.waiting, progress.problem), (0, None));
    }

    #[test]
    fn a_work_comes_out_of_its_shorter_blob_whether_in_memory_or_in_a_stream() {
        for in_memory_bytes_max in [u64::MAX, 1000] {
            let dir = tempfile::tempdir().unwrap();
            let works = works(dir.path(), None, None);
            let id = put(&works, &text());
            let packed = works.pack_within(in_memory_bytes_max, &id).unwrap();
            works.replace(&[replacement(packed)]).unwrap();
            assert_eq!(works.read(&id, u64::MAX).unwrap(), text());
            assert_eq!(works.recorded(&id).unwrap().kept.unwrap().encoding.to_string(), "zstd");
            assert_eq!(blobs(dir.path()), 1);
            assert_eq!(works.pack(&id).unwrap(), Packed::Passed);
            assert!(works.retired.all().unwrap().is_empty());
        }
    }

    /// A power cut may take what was not flushed: the record must not name it before.
    #[test]
    fn a_shorter_blob_is_not_used_before_it_takes_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let works = works(dir.path(), None, None);
        let id = put(&works, &text());
        let before = works.place(&id).unwrap();
        let Replacement { from, to } = replacement(works.pack(&id).unwrap());
        assert_eq!((works.place(&id).unwrap(), &from), (before, &from));
        // The shorter blob is lost, as by a crash, with the record that names it durable: the work itself is still there.
        works.places.put(&to).unwrap();
        works.blobs().remove(&to.kept.unwrap().blob).unwrap();
        assert!(works.read(&id, u64::MAX).is_err());
        let checked = works.check(&id, None).unwrap();
        assert_eq!((checked.healed.len(), checked.damage), (1, vec![]));
        assert_eq!(works.read(&id, u64::MAX).unwrap(), text());
    }

    #[test]
    fn what_was_put_anew_meanwhile_is_not_replaced_and_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let works = works(dir.path(), None, None);
        let id = put(&works, &text());
        let first = replacement(works.pack(&id).unwrap());
        let second = replacement(works.pack(&id).unwrap());
        works.replace(std::slice::from_ref(&first)).unwrap();
        // Somebody heals it from a copy.
        let place = works.place(&id).unwrap();
        let kept = place.kept.clone().unwrap();
        works.put_again(&place, &kept, &mut &text()[..]).unwrap();
        works.replace(&[second]).unwrap();
        assert_eq!(works.read(&id, u64::MAX).unwrap(), text());
    }

    /// Zeros pack to a frame that packs again: the frame may be a work of its own.
    #[test]
    fn a_work_that_is_what_another_was_packed_to_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let works = works(dir.path(), None, None);
        let zeros = vec![0; 32 << 20];
        let id = put(&works, &zeros);
        works.replace(&[replacement(works.pack(&id).unwrap())]).unwrap();
        let blob = works.place(&id).unwrap().kept.unwrap().blob;
        let frame = works.blobs().read(&blob, u64::MAX).unwrap();
        assert!(encoding::pack(&frame).is_some(), "it would get shorter still");
        assert_eq!(put(&works, &frame), blob.content);
        assert!(matches!(works.pack(&blob.content).unwrap(), Packed::AsItWas { .. }));
        assert!(works.read(&id, u64::MAX).unwrap() == zeros);
        assert_eq!(works.read(&blob.content, u64::MAX).unwrap(), frame);
    }

    #[test]
    fn the_store_elsewhere_forgets_the_longer_blob_once_it_has_the_shorter_one() {
        let (dir, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = {
            let works = works(dir.path(), Some(there.path()), None);
            let id = put(&works, &text());
            drained(&works);
            id
        };
        let works = works(dir.path(), Some(there.path()), None);
        let long = works.place(&id).unwrap().kept.unwrap().blob;
        works.replace(&[replacement(works.pack(&id).unwrap())]).unwrap();
        let short = works.place(&id).unwrap().kept.unwrap().blob;
        let elsewhere = works.elsewhere().unwrap();
        assert!(elsewhere.has(&long).unwrap() && !elsewhere.has(&short).unwrap());
        drained(&works);
        assert!(!elsewhere.has(&long).unwrap() && elsewhere.has(&short).unwrap());
        assert!(works.retired.all().unwrap().is_empty());
        assert_eq!(blobs(dir.path()), 1);
    }

    #[test]
    fn what_was_never_meant_for_the_store_elsewhere_is_packed_and_checked_here() {
        let (dir, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = put(&works(dir.path(), None, None), &text());
        let works = works(dir.path(), Some(there.path()), Some(KEY));
        let checked = works.check(&id, None).unwrap();
        assert_eq!((checked.healed, checked.damage), (vec![], vec![]));
        works.replace(&[replacement(works.pack(&id).unwrap())]).unwrap();
        // Nor is it sent with the rest, as new works are sealed.
        assert_eq!(works.send_all_again(false).unwrap().0, 1);
        drained(&works);
        assert_eq!((blobs(dir.path()), blobs(there.path())), (1, 0));
        // Unless that may be.
        assert_eq!(works.send_all_again(true).unwrap().0, 0);
        drained(&works);
        assert_eq!(blobs(there.path()), 1);
        assert_eq!(works.only_elsewhere().unwrap(), 0);
        std::fs::remove_file(
            works.local.path(&works.place(&id).unwrap().kept.unwrap().blob.content),
        )
        .unwrap();
        assert_eq!(works.only_elsewhere().unwrap(), 1);
        assert_eq!(works.ids().unwrap(), [id], "it has a record, and so is not forgotten");
        assert_eq!(works.read(&id, u64::MAX).unwrap(), text());
    }

    #[test]
    fn a_sealed_work_stays_sealed_to_the_same_when_it_is_healed() {
        let (dir, spare) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spare = FileStore::open(spare.path()).unwrap();
        spare.put(&mut &text()[..]).unwrap();
        let (secret, public) = Identities::generate();
        let identities = Identities::parse(secret.expose()).unwrap();
        let id = put(&works(dir.path(), None, Some(&public)), &text());
        // The setting of another day.
        let works = works(dir.path(), None, Some(KEY)).opened_by(identities);
        let kept = |works: &Works| -> Kept { works.place(&id).unwrap().kept.unwrap() };
        works.blobs().remove(&kept(&works).blob).unwrap();
        let checked = works.check(&id, Some(&spare)).unwrap();
        assert_eq!((checked.healed.len(), checked.damage), (1, vec![]));
        assert_eq!(kept(&works).sealed_to.as_deref(), Some(&public[..]));
        assert_eq!(works.read(&id, u64::MAX).unwrap(), text());
        works.replace(&[replacement(works.pack(&id).unwrap())]).unwrap();
        assert_eq!(kept(&works).encoding.to_string(), "zstd age");
        assert_eq!(works.read(&id, u64::MAX).unwrap(), text());
    }

    const KEY: &str = "age182jn0ch5gymx75n76krr3sjk3ud4g70veqrvy0lg5ltyxad4mqtq07ldrn";
}

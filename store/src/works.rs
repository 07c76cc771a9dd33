//! The works of an archive, each under its own name, however and wherever its bytes are kept.
//!
//! ```text
//! blobs/<2 hex>/<CID>       what is kept here ([`FileStore`])
//! blobs/places/             where the bytes of a work lie, and in which form (places.rs)
//! blobs/waiting/            what has not reached the store elsewhere yet (waiting.rs)
//! blobs/retired/            blobs that others stand for, until they are forgotten everywhere (packing.rs)
//! blobs/descriptors/        what is known of a work's looks where the work itself is not to be had
//! ```
//!
//! All of it is ground state on one file system, so that one flush makes a whole batch durable.

use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use timemark_verify::{ContentId, WorkHasher};

use crate::blobs::{Address, BlobError, BlobStore, Stored, Verified, read_whole, told_by};
use crate::dag::{CHUNK_BYTES, DagHasher};
use crate::encoding::{self, Encoding, Identities, Packing, Recipients, SealError};
use crate::files::FileStore;
use crate::packing::Retired;
use crate::places::{Kept, Place, Places};
use crate::records::Records;
use crate::tiered::{TieredStore, Tiering};
use crate::waiting::Waiting;

/// How the works of an archive are kept.
pub struct Keeping {
    /// The folder of blobs and records, which is made where there is none.
    pub dir: PathBuf,
    /// The store elsewhere, if the folder is not the only one.
    pub remote: Option<Remote>,
    /// To whom new works are sealed, if to anybody.
    pub seal_to: Option<Recipients>,
    /// The keys that open sealed works.
    pub identities: Option<Identities>,
}

/// A store elsewhere.
pub struct Remote {
    /// The store.
    pub store: Arc<dyn BlobStore>,
    /// How an operator names it, on one line, for the records.
    pub name: String,
    /// When blobs are sent, and how much stays in the folder.
    pub tiering: Tiering,
}

/// The works of an archive.
pub struct Works {
    pub(crate) local: Arc<FileStore>,
    pub(crate) tiered: Option<TieredStore>,
    pub(crate) remote: Option<Arc<dyn BlobStore>>,
    /// Where new blobs are kept for good.
    pub(crate) backend: String,
    pub(crate) places: Arc<Places>,
    pub(crate) waiting: Waiting,
    pub(crate) retired: Retired,
    descriptors: Records,
    pub(crate) seal_to: Option<Recipients>,
    identities: Option<Identities>,
}

impl Works {
    /// Opens the works.
    pub fn open(keeping: Keeping) -> Result<Works, BlobError> {
        let Keeping { dir, remote, seal_to, identities } = keeping;
        let local = Arc::new(FileStore::open(&dir)?);
        let mut backend = FILES.to_owned();
        let (mut tiered, mut elsewhere) = (None, None);
        if let Some(Remote { store, name, tiering }) = remote {
            let waiting = dir.join("waiting");
            let both = TieredStore::open(local.clone(), store.clone(), &waiting, tiering)?;
            (backend, tiered, elsewhere) = (name, Some(both), Some(store));
        }
        let places = Arc::new(Places::open(&dir.join("places"))?);
        let waiting = Waiting::open(&dir.join("waiting"))?;
        let retired = Retired::open(&dir.join("retired"))?;
        let descriptors = Records::open(&dir.join("descriptors"))?;
        let remote = elsewhere;
        Ok(Works {
            local,
            tiered,
            remote,
            backend,
            places,
            waiting,
            retired,
            descriptors,
            seal_to,
            identities,
        })
    }

    /// The same works, where these keys open what is sealed.
    pub fn opened_by(self, identities: Identities) -> Works {
        Works { identities: Some(identities), ..self }
    }

    /// Streams in a work, which is durable at the next [`Works::sync`], wherever it is kept for good.
    pub fn put(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        self.put_for(bytes, self.seal_to.as_ref())
    }

    /// As [`Works::put`], sealed to others than is usual, or to nobody.
    pub fn put_for(
        &self,
        bytes: &mut dyn Read,
        recipients: Option<&Recipients>,
    ) -> Result<Stored, BlobError> {
        // Into the folder first: whether it may go elsewhere is known once it is known which work it is.
        let mut source = Hashed::new(bytes);
        let blob = match recipients {
            None => self.local.put(&mut source)?,
            Some(recipients) => self.local.put(&mut sealing(recipients.seal(&mut source))?)?,
        };
        let may_be_stored = encoding::begins_as_stored(&source.start);
        let work = source.finish();
        let is_kept =
            self.keep(&work, self.kept_here(blob.address(), recipients), may_be_stored)?;
        if let Some(tiered) = self.tiered.as_ref().filter(|_| is_kept) {
            tiered.took_in(&blob.address())?;
        }
        Ok(work)
    }

    /// Takes note of a work without keeping it.
    pub fn note(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        let mut source = Hashed::new(bytes);
        io::copy(&mut source, &mut io::sink()).map_err(BlobError::Source)?;
        let work = source.finish();
        self.note_as(&work, true)?;
        Ok(work)
    }

    /// Takes note of a work of which only this is known, by hearsay.
    pub fn note_unseen(&self, work: &Stored) -> Result<(), BlobError> {
        self.note_as(work, false)
    }

    fn note_as(&self, work: &Stored, is_seen: bool) -> Result<(), BlobError> {
        let id = work.digests.content();
        let place = Place { work: work.address(), length: work.digests.length, kept: None };
        let _alone = self.places.lock()?;
        match self.places.get(&id)? {
            // What was seen counts before hearsay.
            Some(Place { kept: None, .. }) if is_seen => self.places.put(&place),
            Some(_) => Ok(()),
            // Somebody else may have had it kept.
            None if self.local.has(&work.address())? => Ok(()),
            None => self.places.put(&place),
        }
    }

    /// Opens a work. The reader verifies as it goes, as that of [`BlobStore::get`] does.
    pub fn get(&self, id: &ContentId) -> Result<Box<dyn Read + Send>, BlobError> {
        self.with_kept(id, |place, kept| {
            let blob = self.blobs().get(&kept.blob).map_err(|error| of_work(error, id))?;
            self.decode(place, kept, blob)
        })
    }

    /// A whole work, verified, in memory; a longer one is refused. Where the folder's copy is damaged and the store elsewhere
    /// has it, the folder is healed.
    pub fn read(&self, id: &ContentId, bytes_max: u64) -> Result<Vec<u8>, BlobError> {
        self.with_kept(id, |place, kept| {
            if place.length > bytes_max {
                return Err(BlobError::TooLong { id: *id, bytes_max });
            }
            let is_plain = kept.encoding == Encoding::default();
            // A blob may be a little longer than its work.
            let blob_max =
                if is_plain { bytes_max } else { place.length + place.length / 8 + (1 << 16) };
            let blob = self.blobs().read(&kept.blob, blob_max);
            let blob = blob.map_err(|error| of_work(error, id))?;
            match is_plain {
                true => Ok(blob),
                false => {
                    let mut work = self.decode(place, kept, Box::new(Cursor::new(blob)))?;
                    read_whole(&mut *work, *id, bytes_max)
                }
            }
        })
    }

    /// Whether the bytes of a work are kept; they may turn out to be altered when they are read.
    pub fn has(&self, id: &ContentId) -> Result<bool, BlobError> {
        match self.place(id)? {
            Place { kept: Some(kept), .. } => self.blobs().has(&kept.blob),
            Place { kept: None, .. } => Ok(false),
        }
    }

    /// One flush for everything that was put and noted before.
    pub fn sync(&self) -> Result<(), BlobError> {
        self.blobs().sync()
    }

    /// Where a work lies. Without a record it is taken to lie in the folder, as it is; whether it does is not looked at.
    pub fn place(&self, id: &ContentId) -> Result<Place, BlobError> {
        Ok(match self.places.get(id)? {
            Some(place) => place,
            None => {
                let work = Address::of_one_chunk(*id);
                let kept = Some(Kept::as_it_is(work, FILES));
                Place { work, length: self.local.length(id).unwrap_or(0), kept }
            }
        })
    }

    /// As [`Works::place`], with a record: a work of several chunks that has none is read for its other address.
    pub fn recorded(&self, id: &ContentId) -> Result<Place, BlobError> {
        let place = self.place(id)?;
        let is_known = place.length <= CHUNK_BYTES as u64 || self.places.get(id)?.is_some();
        match is_known {
            true => Ok(place),
            false => self.record_again(id)?.ok_or(BlobError::Altered { id: *id }),
        }
    }

    /// Keeps what is known of a work's looks, durable at the next [`Works::sync`].
    pub fn put_descriptors(&self, id: &ContentId, bytes: &[u8]) -> Result<(), BlobError> {
        self.descriptors.put(id, bytes)
    }

    /// What [`Works::put_descriptors`] was given.
    pub fn descriptors(&self, id: &ContentId) -> Result<Option<Vec<u8>>, BlobError> {
        self.descriptors.get(id)
    }

    /// To whom new works are sealed, unless something else is said of one.
    pub fn seal_to(&self) -> Option<&Recipients> {
        self.seal_to.as_ref()
    }

    /// Whether what is sealed to these cannot be opened here, so that nobody here can look at it again.
    pub fn seals_away(&self, recipients: Option<&Recipients>) -> bool {
        let opened = |to: &Recipients| self.identities.as_ref().is_some_and(|key| key.open_for(to));
        recipients.is_some_and(|recipients| !opened(recipients))
    }

    /// Every work whose bytes are kept in the folder or named in a record, once each.
    pub fn ids(&self) -> Result<Vec<ContentId>, BlobError> {
        let mut ids = self.places.works()?;
        let mut blobs = std::collections::HashSet::new();
        for id in &ids {
            // A record that cannot be read is told by whoever asks for the work.
            if let Ok(Some(Place { kept: Some(kept), .. })) = self.places.get(id) {
                blobs.insert(kept.blob.content);
            }
        }
        blobs.extend(&ids);
        let here = self.local.list()?.into_iter().map(|(id, _)| id);
        ids.extend(here.filter(|id| !blobs.contains(id)));
        ids.sort_unstable();
        Ok(ids)
    }

    /// The stores in which a blob may lie: the folder, then the one elsewhere.
    pub(crate) fn stores(&self) -> Vec<&dyn BlobStore> {
        let remote = self.remote.iter().map(|remote| &**remote);
        std::iter::once(&*self.local as &dyn BlobStore).chain(remote).collect()
    }

    /// The store elsewhere.
    pub fn elsewhere(&self) -> Option<&dyn BlobStore> {
        self.remote.as_deref()
    }

    /// Whether a blob is kept for good in the store elsewhere that the archive has now.
    pub(crate) fn is_kept_elsewhere(&self, kept: &Kept) -> bool {
        self.remote.is_some() && kept.backend == self.backend
    }

    /// Has the store elsewhere forget a blob, if it has the one that is kept in its place.
    pub(crate) fn replaced_elsewhere(
        &self,
        old: &Address,
        new: &Address,
    ) -> Result<bool, BlobError> {
        let Some(remote) = &self.remote else { return Ok(true) };
        let has_new = remote.has(new)?;
        if has_new {
            remote.remove(old)?;
        }
        Ok(has_new)
    }

    /// Puts a work whose blob is lost or damaged, for those and where it was kept.
    pub(crate) fn put_again(
        &self,
        place: &Place,
        kept: &Kept,
        work: &mut dyn Read,
    ) -> Result<Address, BlobError> {
        let (packed, sealed) = (Packing::Plain, kept.encoding.sealed);
        let mut source = Hashed::new(work);
        let (blob, backend) = self.put_as_kept(kept, &mut source)?;
        let work = source.finish();
        let (encoding, sealed_to) = (Encoding { packed, sealed }, kept.sealed_to.clone());
        let kept = Kept { blob: blob.address(), encoding, backend, sealed_to, tried: false };
        let to = Place { work: work.address(), length: work.digests.length, kept: Some(kept) };
        if to.work.content == place.work.content {
            self.record_unless_moved(place, &to)?;
        }
        Ok(to.work)
    }

    /// Where a blob belongs: in the folder alone, or in the store elsewhere as well.
    pub fn store_for(&self, kept: &Kept) -> &dyn BlobStore {
        if kept.backend == self.backend { self.blobs() } else { &*self.local }
    }

    /// Puts a blob for those and in the stores for which another is kept. Returns where that is for good.
    pub(crate) fn put_as_kept(
        &self,
        kept: &Kept,
        bytes: &mut dyn Read,
    ) -> Result<(Stored, String), BlobError> {
        // What was never meant for the store elsewhere does not go there by being packed or healed.
        let is_elsewhere = kept.backend == self.backend;
        let store = self.store_for(kept);
        let backend = if is_elsewhere { self.backend.clone() } else { FILES.to_owned() };
        if !kept.encoding.sealed {
            return Ok((store.put(bytes)?, backend));
        }
        let keys =
            kept.sealed_to.as_deref().and_then(|keys| Recipients::parse(keys.split(' ')).ok());
        let keys = keys.ok_or(BlobError::Sealed { id: kept.blob.content })?;
        Ok((store.put(&mut sealing(keys.seal(bytes))?)?, backend))
    }

    /// Records that a work lies in the folder as it is, if it still has no record that can be read.
    pub(crate) fn record_as_it_is(&self, work: Address, length: u64) -> Result<Place, BlobError> {
        let _alone = self.places.lock()?;
        if let Ok(Some(place)) = self.places.get(&work.content) {
            return Ok(place);
        }
        let place = Place { work, length, kept: Some(Kept::as_it_is(work, FILES)) };
        self.places.put(&place)?;
        Ok(place)
    }

    /// Records where a work lies, if it still lies where it did. Somebody else may have packed it, or put it anew.
    pub(crate) fn record_unless_moved(&self, from: &Place, to: &Place) -> Result<bool, BlobError> {
        let _alone = self.places.lock()?;
        let stays = self.place(&from.work.content)? == *from;
        if stays {
            self.places.put(to)?;
        }
        Ok(stays)
    }

    /// Where blobs go and are looked for.
    pub fn blobs(&self) -> &dyn BlobStore {
        match &self.tiered {
            Some(tiered) => tiered,
            None => &*self.local,
        }
    }

    /// A blob where new ones are kept.
    fn kept_here(&self, blob: Address, recipients: Option<&Recipients>) -> Kept {
        let (sealed, sealed_to) = (recipients.is_some(), recipients.map(Recipients::to_text));
        let encoding = Encoding { packed: Packing::Plain, sealed };
        Kept { blob, encoding, backend: self.backend.clone(), sealed_to, tried: false }
    }

    /// Records where a work lies now, unless it lies as well where it lay before. Returns whether the new blob is what is
    /// kept. `may_be_stored` says that the work begins as what this store makes itself ([`encoding::begins_as_stored`]).
    fn keep(&self, work: &Stored, kept: Kept, may_be_stored: bool) -> Result<bool, BlobError> {
        let (address, length) = (work.address(), work.digests.length);
        let id = &address.content;
        // A damaged record is healed by the one that is written now.
        let before = self.places.get(id).ok();
        let earlier = match &before {
            Some(Some(place)) => place.kept.clone(),
            Some(None) => Some(Kept::as_it_is(Address::of_one_chunk(*id), FILES)),
            None => None,
        };
        if let Some(earlier) = earlier
            && earlier.blob.content != kept.blob.content
            && is_sound(self.blobs(), &earlier.blob)
        {
            // It is kept already, as whoever came first wanted it. That blob may be somebody else's if it begins as one.
            let _alone = self.places.lock()?;
            let is_named = self.places.get(id).ok().flatten().and_then(|place| place.kept);
            let is_named = is_named.is_some_and(|now| now.blob.content == kept.blob.content);
            if !is_named && (kept.encoding.sealed || !may_be_stored) {
                self.local.remove(&kept.blob)?;
            }
            return Ok(false);
        }
        let _alone = self.places.lock()?;
        let now = self.places.get(id).ok();
        let is_kept = matches!(&now, Some(Some(Place { kept: Some(_), .. })));
        if is_kept && now != before {
            return Ok(false); // somebody has just put the same work
        }
        if !self.local.has(&kept.blob)? {
            return Err(BlobError::Missing { id: *id }); // somebody has just moved it; another try finds it moved
        }
        let no_record = Kept::as_it_is(Address::of_one_chunk(*id), FILES);
        // That is what no record says. Others' blobs must not be taken for such a work, so that one has a record.
        if now == Some(None) && kept == no_record && !may_be_stored {
            return Ok(true);
        }
        if let Some(Some(Place { kept: Some(earlier), .. })) = now
            && earlier.blob == kept.blob
            && (earlier.backend == kept.backend || self.tiered.is_none())
        {
            return Ok(true);
        }
        // What is recorded to be elsewhere waits or is there.
        if self.tiered.is_some() {
            self.waiting.add(&kept.blob)?;
        }
        self.places.put(&Place { work: address, length, kept: Some(kept) })?;
        Ok(true)
    }

    /// Does something with the blob of a work; once more where it was packed meanwhile.
    fn with_kept<T>(
        &self,
        id: &ContentId,
        take: impl Fn(&Place, &Kept) -> Result<T, BlobError>,
    ) -> Result<T, BlobError> {
        let place = self.place(id)?;
        let Some(kept) = &place.kept else { return Err(BlobError::NotKept { id: *id }) };
        match take(&place, kept) {
            Err(BlobError::Missing { .. }) => {
                let now = self.place(id)?;
                match &now.kept {
                    Some(kept) if now != place => take(&now, kept),
                    _ => Err(BlobError::Missing { id: *id }),
                }
            }
            taken => taken,
        }
    }

    /// From a blob to the work.
    pub(crate) fn decode(
        &self,
        place: &Place,
        kept: &Kept,
        blob: Box<dyn Read + Send>,
    ) -> Result<Box<dyn Read + Send>, BlobError> {
        let id = place.work.content;
        if kept.encoding == Encoding::default() {
            return Ok(blob);
        }
        let mut bytes = blob;
        if kept.encoding.sealed {
            let identities = self.identities.as_ref().ok_or(BlobError::Sealed { id })?;
            bytes = identities.open_sealed(bytes).map_err(|error| match error {
                SealError::NoKey => BlobError::Sealed { id },
                SealError::Damaged => BlobError::Altered { id },
                SealError::Read(error) => told_by(error, id),
            })?;
        }
        let work = encoding::unpack(kept.encoding.packed, bytes, place.length);
        let work = work.map_err(|error| altered(error, id)).map_err(|error| told_by(error, id))?;
        Ok(Box::new(Verified::new(id, Decoded { work, id })))
    }
}

/// Whether a store has a blob that is what it was.
pub(crate) fn is_sound(store: &dyn BlobStore, blob: &Address) -> bool {
    let read = store.get(blob).map(|mut blob| io::copy(&mut blob, &mut io::sink()));
    matches!(read, Ok(Ok(_)))
}

/// A work on its way out of its blob, whose damage is that of the work.
struct Decoded<R> {
    work: R,
    id: ContentId,
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.work.read(buffer).map_err(|error| altered(error, self.id))
    }
}

/// What a decoder calls invalid is a work that is not what it was.
fn altered(error: io::Error, id: ContentId) -> io::Error {
    let damaged = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
    match damaged {
        true => io::Error::new(io::ErrorKind::InvalidData, BlobError::Altered { id }),
        false => error,
    }
}

/// Beginning to seal asks the system for chance alone.
fn sealing<T>(begun: io::Result<T>) -> Result<T, BlobError> {
    begun.map_err(BlobError::Source)
}

/// The same of the work, where it was said of its blob.
fn of_work(error: BlobError, id: &ContentId) -> BlobError {
    match error {
        BlobError::Missing { .. } => BlobError::Missing { id: *id },
        BlobError::Altered { .. } => BlobError::Altered { id: *id },
        other => other,
    }
}

/// A source whose digests are taken as it passes.
struct Hashed<'a> {
    source: &'a mut dyn Read,
    hasher: WorkHasher,
    dag: DagHasher,
    /// Its first bytes.
    start: Vec<u8>,
}

impl<'a> Hashed<'a> {
    fn new(source: &'a mut dyn Read) -> Hashed<'a> {
        let (hasher, dag) = (WorkHasher::new(), DagHasher::new());
        Hashed { source, hasher, dag, start: Vec::new() }
    }

    fn finish(self) -> Stored {
        Stored { digests: self.hasher.finish(), dag: self.dag.finish() }
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.dag.update(&buffer[..read]);
        let lacking = (encoding::STORED_START_BYTES as usize).saturating_sub(self.start.len());
        self.start.extend_from_slice(&buffer[..read.min(lacking)]);
        Ok(read)
    }
}

/// What records call the folder of files.
pub(crate) const FILES: &str = "files";

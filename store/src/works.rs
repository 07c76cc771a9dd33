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
use std::time::Duration;

use timemark_verify::{ContentId, WorkHasher};

use crate::blobs::{Address, BlobError, BlobStore, Stored, Verified, read_whole, told_by};
use crate::dag::{CHUNK_BYTES, DagHasher};
use crate::encoding::{self, Encoding, Identities, Packing, Recipients, SealError};
use crate::files::FileStore;
use crate::packing::Retired;
use crate::places::{Kept, Place, Places};
use crate::records::Records;
use crate::tiered::{Progress, TieredStore, Tiering};
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
    remote: Option<Arc<dyn BlobStore>>,
    /// Where new blobs are kept for good.
    backend: String,
    pub(crate) places: Arc<Places>,
    waiting: Waiting,
    pub(crate) retired: Retired,
    descriptors: Records,
    seal_to: Option<Recipients>,
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
        // Somebody else may have had it kept.
        let id = work.digests.content();
        let _alone = self.places.lock()?;
        if self.places.get(&id)?.is_none() && !self.local.has(&work.address())? {
            let (work, length) = (work.address(), work.digests.length);
            self.places.put(&Place { work, length, kept: None })?;
        }
        Ok(work)
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

    /// How many works are kept elsewhere and not, or not sound, in the folder. Those are read.
    pub fn only_elsewhere(&self) -> Result<u64, BlobError> {
        let mut lacking = 0;
        for id in self.places.works()? {
            // What a record that cannot be read says of it nobody knows; leaving a store makes that no worse.
            let Ok(Some(Place { kept: Some(kept), .. })) = self.places.get(&id) else { continue };
            let is_elsewhere = kept.backend != FILES;
            lacking += u64::from(is_elsewhere && !is_sound(&*self.local, &kept.blob));
        }
        Ok(lacking)
    }

    /// Whether a work is recorded to be in that store elsewhere, does not wait for it, and is not in the folder.
    pub fn is_only_in(&self, store: &str, id: &ContentId) -> bool {
        let kept = self.places.get(id).ok().flatten().and_then(|place| place.kept);
        kept.is_some_and(|kept| {
            let blob = &kept.blob.content;
            kept.backend == store && !self.waiting.has(blob) && self.local.length(blob).is_none()
        })
    }

    /// Has everything that waits for a store elsewhere stay in the folder for good, and says how many blobs.
    pub fn keep_here_what_waits(&self) -> Result<usize, BlobError> {
        let waiting = self.waiting.all()?;
        if waiting.is_empty() {
            return Ok(0);
        }
        for id in self.places.works()? {
            // A record that cannot be read names no store.
            let Ok(Some(place)) = self.places.get(&id) else { continue };
            if let Some(kept) = &place.kept
                && self.waiting.has(&kept.blob.content)
            {
                let kept = Some(Kept { backend: FILES.to_owned(), ..kept.clone() });
                self.record_unless_moved(&place, &Place { kept, ..place.clone() })?;
            }
        }
        self.sync()?; // before nothing says any more that it has not been sent
        waiting.iter().try_for_each(|blob| self.waiting.done(blob))?;
        Ok(waiting.len())
    }

    /// Puts everything that lies in the folder on the list of what is to be sent, but for what is not sealed where new works
    /// are, unless that may go as well. Returns how many stay, and what could not be looked at.
    pub fn send_all_again(&self, unsealed: bool) -> Result<(u64, Vec<BlobError>), BlobError> {
        let Some(tiered) = &self.tiered else { return Ok((0, Vec::new())) };
        let (mut stay, mut failed) = (0, Vec::new());
        for id in self.ids()? {
            let send = || -> Result<bool, BlobError> {
                let has_record = self.places.get(&id)?.is_some();
                let place = self.recorded(&id)?;
                let Some(kept) = &place.kept else { return Ok(true) };
                if !self.local.has(&kept.blob)? {
                    return Ok(true);
                }
                if self.seal_to.is_some() && !kept.encoding.sealed && !unsealed {
                    // What a crash left of something that was sealed or packed is no work.
                    return Ok(!has_record && self.begins_as_stored(&kept.blob)?);
                }
                // From now on it is to be found there, and it waits before a record says so.
                let kept = Kept { backend: self.backend.clone(), ..kept.clone() };
                let blob = kept.blob;
                self.waiting.add(&blob)?;
                match self
                    .record_unless_moved(&place, &Place { kept: Some(kept), ..place.clone() })?
                {
                    true => tiered.enqueue(&blob)?,
                    false => self.waiting.done(&blob.content)?,
                }
                Ok(true)
            };
            match send() {
                Ok(sent) => stay += u64::from(!sent),
                Err(error) => failed.push(error),
            }
        }
        self.sync()?;
        Ok((stay, failed))
    }

    /// From here on what waits for the store elsewhere is sent.
    pub fn start_sending(&self) {
        let Some(tiered) = &self.tiered else { return };
        let (places, local, backend) =
            (self.places.clone(), self.local.clone(), self.backend.clone());
        tiered.start_sending(move || sent_before(&places, &local, &backend));
    }

    /// How far the store elsewhere has come; `None` where there is none.
    pub fn progress(&self) -> Option<Progress> {
        self.tiered.as_ref().map(TieredStore::progress)
    }

    /// Waits until everything has reached the store elsewhere, or nothing has for so long.
    pub fn drain(&self, patience: Duration, watch: &dyn Fn(&Progress)) -> Option<Progress> {
        let tiered = self.tiered.as_ref()?;
        let progress = tiered.drain(patience, watch);
        // What cannot be forgotten now is forgotten another time.
        let _ = self.forget_retired();
        Some(progress)
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

    /// Whether a blob has not reached the store elsewhere yet.
    pub(crate) fn waits(&self, blob: &Address) -> bool {
        self.tiered.as_ref().is_some_and(|tiered| tiered.waits(blob))
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

    fn begins_as_stored(&self, blob: &Address) -> Result<bool, BlobError> {
        let mut start = Vec::new();
        let read = self.local.get(blob)?.take(encoding::STORED_START_BYTES).read_to_end(&mut start);
        read.map_err(|error| told_by(error, blob.content))?;
        Ok(encoding::begins_as_stored(&start))
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
        if now.is_some() && now != before {
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

/// Blobs in the folder that the store elsewhere has: they are recorded to be there, and do not wait.
fn sent_before(places: &Places, local: &FileStore, backend: &str) -> Vec<(Address, u64)> {
    let mut sent = Vec::new();
    for work in places.works().unwrap_or_default() {
        if let Ok(Some(Place { kept: Some(kept), .. })) = places.get(&work)
            && kept.backend == backend
            && let Some(bytes) = local.length(&kept.blob.content)
        {
            sent.push((kept.blob, bytes));
        }
    }
    sent
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
const FILES: &str = "files";

#[cfg(test)]
mod tests {
    use super::*;

    fn works(dir: &std::path::Path, keep_bytes_max: Option<u64>) -> Works {
        let store = Arc::new(FileStore::open(&dir.join("there")).unwrap());
        let tiering = Tiering { write_through: false, keep_bytes_max };
        let remote = Some(Remote { store, name: "files:there".to_owned(), tiering });
        let dir = dir.join("here");
        Works::open(Keeping { dir, remote, seal_to: None, identities: None }).unwrap()
    }

    const KEY: &str = "age182jn0ch5gymx75n76krr3sjk3ud4g70veqrvy0lg5ltyxad4mqtq07ldrn";

    fn blobs(dir: &std::path::Path) -> usize {
        FileStore::open(dir).unwrap().list().unwrap().len()
    }

    #[test]
    fn a_sealed_work_is_not_sent_in_clear_because_somebody_puts_it_in_clear() {
        let dir = tempfile::tempdir().unwrap();
        let works = works(dir.path(), None);
        works.start_sending();
        let recipients = Recipients::parse([KEY]).unwrap();
        let bytes = vec![7; 300_000];
        let id = works.put_for(&mut &bytes[..], Some(&recipients)).unwrap().digests.content();
        works.put(&mut &bytes[..]).unwrap();
        assert_eq!(works.drain(Duration::from_secs(30), &|_| {}).unwrap().waiting, 0);
        for store in ["here", "there"] {
            let store = FileStore::open(&dir.path().join(store)).unwrap();
            assert_eq!(store.list().unwrap().len(), 1);
            assert!(!store.has(&Address::of_one_chunk(id)).unwrap());
        }
    }

    #[test]
    fn a_work_that_lies_here_in_clear_stays_readable_when_somebody_has_it_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let keeping =
            Keeping { dir: dir.path().into(), remote: None, seal_to: None, identities: None };
        let works = Works::open(keeping).unwrap();
        let recipients = Recipients::parse([KEY]).unwrap();
        for bytes in [vec![7; 100], vec![7; 300_000]] {
            let id = works.put(&mut &bytes[..]).unwrap().digests.content();
            works.put_for(&mut &bytes[..], Some(&recipients)).unwrap();
            assert_eq!(works.read(&id, u64::MAX).unwrap(), bytes);
        }
        assert_eq!(blobs(dir.path()), 2);
    }

    #[test]
    fn what_waited_for_a_store_that_was_left_is_not_taken_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let first = works(dir.path(), None);
        let id = first.put(&mut &b"never sent"[..]).unwrap().digests.content();
        assert_eq!(first.keep_here_what_waits().unwrap(), 1);
        assert_eq!(first.recorded(&id).unwrap().kept.unwrap().backend, "files");
        drop(first);
        // Even where a record says so: what is not there is not forgotten here.
        let second = works(dir.path(), Some(0));
        let place = second.recorded(&id).unwrap();
        let kept = Kept { backend: "files:there".to_owned(), ..place.kept.clone().unwrap() };
        assert!(
            second
                .record_unless_moved(&place, &Place { kept: Some(kept), ..place.clone() })
                .unwrap()
        );
        second.start_sending();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(second.read(&id, u64::MAX).unwrap(), b"never sent");
        // It is missed there, and healed from here.
        let checked = second.check(&id, None).unwrap();
        assert_eq!((checked.healed.len(), checked.damage), (1, vec![]));
        assert_eq!(blobs(&dir.path().join("there")), 1);
    }

    #[test]
    fn what_earlier_runs_sent_counts_as_kept() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<Vec<u8>> = (0..4).map(|n| vec![n; 1000]).collect();
        let first = works(dir.path(), None);
        first.start_sending();
        for bytes in &bytes {
            first.put(&mut &bytes[..]).unwrap();
        }
        assert_eq!(first.drain(Duration::from_secs(30), &|_| {}).unwrap().waiting, 0);
        drop(first);

        let second = works(dir.path(), Some(2500));
        second.start_sending();
        let here = || second.local.list().unwrap().len();
        for _ in 0..100 {
            if here() <= 2 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(here(), 2);
        for bytes in &bytes {
            assert_eq!(second.read(&ContentId::of(bytes), 1000).unwrap(), *bytes);
        }
    }
}

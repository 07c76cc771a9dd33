//! The works of an archive, each under its own name, however and wherever its bytes are kept.
//!
//! ```text
//! blobs/<2 hex>/<CID>       what is kept here ([`FileStore`])
//! blobs/places/             where the bytes of a work lie, and in which form (places.rs)
//! blobs/waiting/            what has not reached the store elsewhere yet (waiting.rs)
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
use crate::places::{Kept, Place, Places};
use crate::records::Records;
use crate::tiered::{Progress, TieredStore, Tiering};

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
    local: Arc<FileStore>,
    tiered: Option<TieredStore>,
    remote: Option<Arc<dyn BlobStore>>,
    /// Where new blobs are kept for good.
    backend: String,
    places: Places,
    descriptors: Records,
    seal_to: Option<Recipients>,
    identities: Option<Identities>,
}

/// What became of a work that was to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// It is kept in a shorter form. `old` is to be given to [`Works::retire`].
    Shorter {
        /// Bytes of the work.
        before: u64,
        /// Bytes of the blob.
        after: u64,
        /// The blob that is not needed any more.
        old: Address,
    },
    /// There is no shorter form; from now on this is known.
    AsItWas {
        /// Bytes of the work.
        bytes: u64,
    },
    /// There was nothing to do: it was packed or tried before, is not kept, or is sealed to others.
    Passed,
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
        let places = Places::open(&dir.join("places"))?;
        let descriptors = Records::open(&dir.join("descriptors"))?;
        let remote = elsewhere;
        Ok(Works { local, tiered, remote, backend, places, descriptors, seal_to, identities })
    }

    /// The same works, where these keys open what is sealed.
    pub fn opened_by(self, identities: Identities) -> Works {
        Works { identities: Some(identities), ..self }
    }

    /// Streams in a work, which is durable at the next [`Works::sync`], wherever it is kept for good.
    pub fn put(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        let packed = Packing::Plain;
        let Some(recipients) = &self.seal_to else {
            let work = self.blobs().put(bytes)?;
            self.keep(&work, work.address(), Encoding::default())?;
            return Ok(work);
        };
        let mut source = Hashed::new(bytes);
        let blob = self.blobs().put(&mut sealing(recipients.seal(&mut source))?)?;
        let work = source.finish();
        self.keep(&work, blob.address(), Encoding { packed, sealed: true })?;
        Ok(work)
    }

    /// Takes note of a work without keeping it.
    pub fn note(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        let mut source = Hashed::new(bytes);
        io::copy(&mut source, &mut io::sink()).map_err(BlobError::Source)?;
        let work = source.finish();
        // Somebody else may have had it kept.
        let id = work.digests.content();
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
                let backend = FILES.to_owned();
                let kept =
                    Kept { blob: work, encoding: Encoding::default(), backend, tried: false };
                Place { work, length: self.local.length(id).unwrap_or(0), kept: Some(kept) }
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

    /// Whether new works are sealed to keys that are not here, so that nobody here can look at them again.
    pub fn seals_away(&self) -> bool {
        let opened = |to: &Recipients| self.identities.as_ref().is_some_and(|key| key.open_for(to));
        self.seal_to.as_ref().is_some_and(|recipients| !opened(recipients))
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

    /// How many works are kept elsewhere and not in the folder.
    pub fn only_elsewhere(&self) -> Result<u64, BlobError> {
        let mut lacking = 0;
        for id in self.places.works()? {
            if let Some(Place { kept: Some(kept), .. }) = self.places.get(&id)? {
                lacking += u64::from(!self.local.has(&kept.blob)?);
            }
        }
        Ok(lacking)
    }

    /// Puts everything that lies in the folder on the list of what is to be sent.
    pub fn send_all_again(&self) -> Result<(), BlobError> {
        let Some(tiered) = &self.tiered else { return Ok(()) };
        for id in self.ids()? {
            let Some(kept) = self.place(&id)?.kept else { continue };
            if self.local.has(&kept.blob)?
                && let Some(kept) = self.recorded(&id)?.kept
            {
                tiered.enqueue(&kept.blob)?;
            }
        }
        self.sync()
    }

    /// Looks for a shorter form in which a work can be kept, and keeps it in that form. Others may read meanwhile. The old
    /// blob stays until [`Works::retire`].
    pub fn pack(&self, id: &ContentId) -> Result<Packed, BlobError> {
        let place = self.place(id)?;
        let Some(kept) = &place.kept else { return Ok(Packed::Passed) };
        if kept.tried || kept.encoding.packed != Packing::Plain {
            return Ok(Packed::Passed);
        }
        let work = match self.read(id, encoding::PACKED_BYTES_MAX) {
            Err(BlobError::Sealed { .. } | BlobError::TooLong { .. }) => return Ok(Packed::Passed),
            work => work?,
        };
        let before = work.len() as u64;
        let mut dag = DagHasher::new();
        dag.update(&work);
        let address = Address { content: *id, dag: dag.finish() };
        let place = Place { work: address, length: before, ..place.clone() };
        let Some(encoding::Packed { packing, bytes }) = encoding::pack(&work) else {
            let kept = Some(Kept { tried: true, ..kept.clone() });
            self.places.put(&Place { kept, ..place })?;
            return Ok(Packed::AsItWas { bytes: before });
        };
        let blob = match &self.seal_to {
            Some(recipients) if kept.encoding.sealed => {
                self.blobs().put(&mut sealing(recipients.seal(&bytes[..]))?)?
            }
            // Nobody says any more to whom it was sealed.
            None if kept.encoding.sealed => return Ok(Packed::Passed),
            _ => self.blobs().put(&mut &bytes[..])?,
        };
        let old = kept.blob;
        let kept = Kept {
            blob: blob.address(),
            encoding: Encoding { packed: packing, ..kept.encoding },
            backend: self.backend.clone(),
            tried: true,
        };
        self.places.put(&Place { kept: Some(kept), ..place })?;
        Ok(Packed::Shorter { before, after: blob.digests.length, old })
    }

    /// Forgets blobs in whose place others are kept, once those are durable.
    pub fn retire(&self, old: &[Address]) -> Result<(), BlobError> {
        self.sync()?;
        old.iter().try_for_each(|blob| self.blobs().remove(blob))
    }

    /// From here on what waits for the store elsewhere is sent.
    pub fn start_sending(&self) {
        self.tiered.iter().for_each(TieredStore::start_sending);
    }

    /// How far the store elsewhere has come; `None` where there is none.
    pub fn progress(&self) -> Option<Progress> {
        self.tiered.as_ref().map(TieredStore::progress)
    }

    /// Waits until everything has reached the store elsewhere, or nothing has for so long.
    pub fn drain(&self, patience: Duration, watch: &dyn Fn(&Progress)) -> Option<Progress> {
        self.tiered.as_ref().map(|tiered| tiered.drain(patience, watch))
    }

    /// The stores in which a blob may lie: the folder, then the one elsewhere.
    pub(crate) fn stores(&self) -> Vec<&dyn BlobStore> {
        let remote = self.remote.iter().map(|remote| &**remote);
        std::iter::once(&*self.local as &dyn BlobStore).chain(remote).collect()
    }

    /// Whether a blob has not reached the store elsewhere yet.
    pub(crate) fn waits(&self, blob: &Address) -> bool {
        self.tiered.as_ref().is_some_and(|tiered| tiered.waits(blob))
    }

    /// Puts a work whose blob is lost or damaged.
    pub(crate) fn put_again(&self, work: &mut dyn Read) -> Result<Address, BlobError> {
        let blob = self.blobs().put(work)?;
        self.record_as_it_is(blob.address(), blob.digests.length)?;
        Ok(blob.address())
    }

    /// Records that a work lies as it is where new blobs do.
    pub(crate) fn record_as_it_is(&self, work: Address, length: u64) -> Result<Place, BlobError> {
        let backend = self.backend.clone();
        let kept = Kept { blob: work, encoding: Encoding::default(), backend, tried: false };
        let place = Place { work, length, kept: Some(kept) };
        self.places.put(&place)?;
        Ok(place)
    }

    /// Where blobs go and are looked for.
    pub fn blobs(&self) -> &dyn BlobStore {
        match &self.tiered {
            Some(tiered) => tiered,
            None => &*self.local,
        }
    }

    /// Records where a work lies now, unless it lies as well where it lay before.
    fn keep(&self, work: &Stored, blob: Address, encoding: Encoding) -> Result<(), BlobError> {
        let (address, length) = (work.address(), work.digests.length);
        // A damaged record is healed by the one that is written now.
        if let Ok(Some(Place { kept: Some(kept), .. })) = self.places.get(&address.content) {
            if kept.blob == blob {
                return Ok(());
            }
            if self.is_sound(&kept.blob) {
                // It is kept already. That the store elsewhere is away is no reason to refuse it.
                let _ = self.blobs().remove(&blob);
                return Ok(());
            }
        }
        let as_it_is =
            encoding == Encoding::default() && address == Address::of_one_chunk(address.content);
        if as_it_is
            && self.tiered.is_none()
            && !matches!(self.places.get(&address.content), Ok(Some(_)) | Err(_))
        {
            return Ok(()); // that is what no record says
        }
        let kept = Some(Kept { blob, encoding, backend: self.backend.clone(), tried: false });
        self.places.put(&Place { work: address, length, kept })
    }

    /// Whether a blob is there and is what it was.
    fn is_sound(&self, blob: &Address) -> bool {
        let read = self.blobs().get(blob).map(|mut blob| io::copy(&mut blob, &mut io::sink()));
        matches!(read, Ok(Ok(_)))
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
}

impl<'a> Hashed<'a> {
    fn new(source: &'a mut dyn Read) -> Hashed<'a> {
        Hashed { source, hasher: WorkHasher::new(), dag: DagHasher::new() }
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
        Ok(read)
    }
}

/// What records call the folder of files.
const FILES: &str = "files";

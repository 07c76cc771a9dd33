//! Is a work still what it was, in each store that should have it? What is not is put right from another.

use std::io;

use timemark_verify::ContentId;

use crate::blobs::{Address, BlobError, BlobStore, told_by};
use crate::dag::DagHasher;
use crate::encoding::Encoding;
use crate::places::{Kept, Place};
use crate::works::Works;

/// What a look at a work found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Bytes read and hashed.
    pub bytes: u64,
    /// What was wrong and is right again, a sentence each.
    pub healed: Vec<String>,
    /// What is wrong, a sentence each.
    pub damage: Vec<String>,
    /// The work is registered by its digests alone.
    pub not_kept: bool,
    /// The work is sealed to keys that are not here: its blob is what it was, and was not opened.
    pub sealed: bool,
}

enum State {
    Sound,
    Absent,
    Bad(BlobError),
}

impl Works {
    /// Reads every copy of a work, compares it with its address, and decodes what is encoded. Damage is healed from the
    /// other store of the archive, or from `spare`. A store that does not answer is an error.
    pub fn check(
        &self,
        id: &ContentId,
        spare: Option<&dyn BlobStore>,
    ) -> Result<Checked, BlobError> {
        let mut checked = Checked::default();
        let place = match self.place(id) {
            Err(error @ BlobError::Record { .. }) => match self.record_again(id)? {
                Some(place) => {
                    checked.healed.push(format!("{error}; the work lies in the folder as it is"));
                    place
                }
                None => {
                    checked.damage.push(error.to_string());
                    return Ok(checked);
                }
            },
            place => place?,
        };
        let Some(kept) = &place.kept else {
            checked.not_kept = true;
            return Ok(checked);
        };
        self.check_copies(kept, spare, &mut checked)?;
        if checked.damage.is_empty() && kept.encoding != Encoding::default() {
            self.check_decoding(&place, kept, &mut checked)?;
        }
        if !checked.damage.is_empty()
            && let Some(spare) = spare
            && self.replace(&place, spare)?
        {
            let damage = std::mem::take(&mut checked.damage).join("; ");
            checked.healed.push(format!("{damage}; put anew from {}", spare.name()));
        }
        Ok(checked)
    }

    /// Reads the copies of a blob, and heals those that are not sound.
    fn check_copies(
        &self,
        kept: &Kept,
        spare: Option<&dyn BlobStore>,
        checked: &mut Checked,
    ) -> Result<(), BlobError> {
        let blob = &kept.blob;
        let stores = self.stores();
        let mut states = Vec::new();
        for store in &stores {
            states.push(look(*store, blob, &mut checked.bytes)?);
        }
        let mut sources: Vec<&dyn BlobStore> = Vec::new();
        for (store, state) in stores.iter().zip(&states) {
            sources.extend(matches!(state, State::Sound).then_some(*store));
        }
        if let Some(spare) = spare
            && sources.is_empty()
            && let State::Sound = look(spare, blob, &mut checked.bytes)?
        {
            sources.push(spare);
        }
        let in_folder_alone = stores.len() == 1;
        for (at, (store, state)) in stores.iter().zip(states).enumerate() {
            // What waits has not arrived; what has arrived need not be in the folder.
            let is_here = at == 0;
            let expected = in_folder_alone || (is_here == self.waits(blob));
            let what = match state {
                State::Sound => continue,
                State::Absent if !expected => continue,
                State::Absent => format!("{} had lost blob {}", store.name(), blob.content),
                State::Bad(error) => format!("{}: {error}", store.name()),
            };
            match sources.first() {
                Some(source) => {
                    store.heal(blob, &mut *source.get(blob)?)?;
                    let bytes = &mut checked.bytes;
                    match look(*store, blob, bytes)? {
                        State::Sound => {
                            checked.healed.push(format!("{what}; healed from {}", source.name()));
                        }
                        _ => checked.damage.push(format!("{what}; it could not be healed")),
                    }
                }
                None => checked.damage.push(what),
            }
        }
        Ok(())
    }

    fn check_decoding(
        &self,
        place: &Place,
        kept: &Kept,
        checked: &mut Checked,
    ) -> Result<(), BlobError> {
        let blob = self.blobs().get(&kept.blob)?;
        let decoded = self.decode(place, kept, blob).and_then(|mut work| {
            io::copy(&mut work, &mut io::sink()).map_err(|error| told_by(error, place.work.content))
        });
        match decoded {
            Ok(_) => {}
            Err(BlobError::Sealed { .. }) => checked.sealed = true,
            Err(error @ BlobError::Altered { .. }) => {
                let encoding = kept.encoding;
                checked.damage.push(format!("blob {} ({encoding}): {error}", kept.blob.content));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes the work itself from another store. Returns whether that has it.
    fn replace(&self, place: &Place, spare: &dyn BlobStore) -> Result<bool, BlobError> {
        match spare.get(&place.work) {
            Err(BlobError::Missing { .. }) => Ok(false),
            work => {
                let work = self.put_again(&mut *work?)?;
                Ok(work.content == place.work.content)
            }
        }
    }

    /// Records a work anew that lies in the folder as it is, and whose record cannot be read.
    pub(crate) fn record_again(&self, id: &ContentId) -> Result<Option<Place>, BlobError> {
        let Ok(mut blob) = self.blobs().get(&Address::of_one_chunk(*id)) else { return Ok(None) };
        let mut dag = DagHasher::new();
        let mut length = 0;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match blob.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    dag.update(&buffer[..read]);
                    length += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
        let work = Address { content: *id, dag: dag.finish() };
        self.record_as_it_is(work, length).map(Some)
    }
}

/// Reads a blob in one store.
fn look(store: &dyn BlobStore, blob: &Address, bytes: &mut u64) -> Result<State, BlobError> {
    let read = store.get(blob).and_then(|mut reader| {
        io::copy(&mut reader, &mut io::sink()).map_err(|error| told_by(error, blob.content))
    });
    match read {
        Ok(read) => {
            *bytes += read;
            Ok(State::Sound)
        }
        Err(BlobError::Missing { .. }) => Ok(State::Absent),
        // A file that cannot be read is as good as damaged; a store elsewhere may only be away.
        Err(error @ (BlobError::Altered { .. } | BlobError::Io { .. })) => Ok(State::Bad(error)),
        Err(error) => Err(error),
    }
}

const BUFFER_BYTES: usize = 256 << 10;

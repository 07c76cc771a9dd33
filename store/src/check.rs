//! Is a work still what it was, in each store that should have it? What is not is put right from another.

use std::io;

use timemark_verify::ContentId;

use crate::blobs::{Address, BlobError, BlobStore, RemoteProblem, told_by};
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
        let mut place = match self.place(id) {
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
        // What was packed or sent while it was looked at is looked at again.
        for _ in 0..LOOKS_MAX {
            let Some(kept) = &place.kept else {
                checked.not_kept = true;
                return Ok(checked);
            };
            let waited = self.waits(&kept.blob);
            let states = self.look_at_all(&kept.blob, &mut checked.bytes)?;
            let now = self.place(id)?;
            if now == place && self.waits(&kept.blob) == waited {
                self.judge(&place, kept, states, spare, &mut checked)?;
                return Ok(checked);
            }
            place = now;
        }
        checked.damage.push("it was moved all the time while it was looked at".to_owned());
        Ok(checked)
    }

    fn look_at_all(&self, blob: &Address, bytes: &mut u64) -> Result<Vec<State>, BlobError> {
        self.stores().into_iter().map(|store| look(store, blob, bytes)).collect()
    }

    fn judge(
        &self,
        place: &Place,
        kept: &Kept,
        states: Vec<State>,
        spare: Option<&dyn BlobStore>,
        checked: &mut Checked,
    ) -> Result<(), BlobError> {
        let is_sound_somewhere = self.heal_copies(kept, states, spare, checked)?;
        if is_sound_somewhere {
            let found = checked.damage.len();
            if kept.encoding != Encoding::default() {
                self.check_decoding(place, kept, checked)?;
            }
            if checked.damage.len() == found {
                return Ok(()); // the work is to be had, and what could not be healed is told
            }
        }
        // The work itself may lie somewhere, from before it was packed or sealed.
        let own = self.stores().into_iter().filter(|_| kept.blob != place.work);
        for store in own.chain(spare) {
            if self.take_from(store, place, kept)? {
                let damage = std::mem::take(&mut checked.damage).join("; ");
                checked.healed.push(format!("{damage}; put anew from {}", store.name()));
                break;
            }
        }
        Ok(())
    }

    /// Heals those copies of a blob that are not sound from one that is, if there is one: that it returns.
    fn heal_copies(
        &self,
        kept: &Kept,
        states: Vec<State>,
        spare: Option<&dyn BlobStore>,
        checked: &mut Checked,
    ) -> Result<bool, BlobError> {
        let blob = &kept.blob;
        let stores = self.stores();
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
        // What waits has not arrived, what was never meant for the store elsewhere is not missed there, and what has arrived
        // need not be in the folder.
        let is_elsewhere = self.is_kept_elsewhere(kept) && !self.waits(blob);
        for (at, (store, state)) in stores.iter().zip(states).enumerate() {
            let expected = (at > 0) == is_elsewhere;
            let what = match state {
                State::Sound => continue,
                State::Absent if !expected => continue,
                State::Absent => format!("{} had lost blob {}", store.name(), blob.content),
                State::Bad(error) => format!("{}: {error}", store.name()),
            };
            let Some(source) = sources.first() else {
                checked.damage.push(what);
                continue;
            };
            let healed = store.heal(blob, &mut *source.get(blob)?);
            match healed.and_then(|()| look(*store, blob, &mut checked.bytes)) {
                Ok(State::Sound) => {
                    checked.healed.push(format!("{what}; healed from {}", source.name()));
                }
                Ok(_) => checked.damage.push(format!("{what}; it could not be healed")),
                Err(error) => {
                    checked.damage.push(format!("{what}; it could not be healed: {error}"));
                }
            }
        }
        Ok(!sources.is_empty())
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

    /// Takes the work itself from a store. Returns whether that has it.
    fn take_from(
        &self,
        store: &dyn BlobStore,
        place: &Place,
        kept: &Kept,
    ) -> Result<bool, BlobError> {
        let work = match store.get(&place.work) {
            Err(BlobError::Missing { .. }) => return Ok(false),
            work => self.put_again(place, kept, &mut *work?),
        };
        match work {
            Ok(work) => {
                let is_it = work.content == place.work.content;
                if is_it && kept.blob != place.work {
                    self.sync()?; // what takes its place
                    let _ = self.blobs().remove(&kept.blob); // it is of no use to anybody
                }
                Ok(is_it)
            }
            // That copy is no better, or may not be put without a seal that nobody here can make.
            Err(BlobError::Source(_) | BlobError::Altered { .. } | BlobError::Sealed { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error),
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
        // A file that cannot be read is as good as damaged; a store elsewhere may only be away. One that has the blob and
        // cannot give it has lost a part of it.
        Err(error @ (BlobError::Altered { .. } | BlobError::Io { .. })) => Ok(State::Bad(error)),
        Err(error) if is_refusal(&error) && store.has(blob)? => Ok(State::Bad(error)),
        Err(error) => Err(error),
    }
}

fn is_refusal(error: &BlobError) -> bool {
    use RemoteProblem::{Failed, Lied, TimedOut};
    matches!(error, BlobError::Remote { problem: Failed | Lied { .. } | TimedOut(_), .. })
}

/// How often a work is looked at that others move meanwhile.
const LOOKS_MAX: usize = 8;
const BUFFER_BYTES: usize = 256 << 10;

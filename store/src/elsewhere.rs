//! What of the works of an archive is in the store elsewhere, what waits for it, and what stays in the folder for good.

use std::io::Read;
use std::time::Duration;

use timemark_verify::ContentId;

use crate::blobs::{Address, BlobError, BlobStore, told_by};
use crate::encoding;
use crate::files::FileStore;
use crate::places::{Kept, Place, Places};
use crate::tiered::{Progress, TieredStore};
use crate::works::{FILES, Works, is_sound};

impl Works {
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

    /// Whether a blob has not reached the store elsewhere yet.
    pub(crate) fn waits(&self, blob: &Address) -> bool {
        self.tiered.as_ref().is_some_and(|tiered| tiered.waits(blob))
    }

    fn begins_as_stored(&self, blob: &Address) -> Result<bool, BlobError> {
        let mut start = Vec::new();
        let read = self.local.get(blob)?.take(encoding::STORED_START_BYTES).read_to_end(&mut start);
        read.map_err(|error| told_by(error, blob.content))?;
        Ok(encoding::begins_as_stored(&start))
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::encoding::Recipients;
    use crate::tiered::Tiering;
    use crate::works::{Keeping, Remote};

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

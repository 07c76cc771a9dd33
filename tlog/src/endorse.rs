//! What others said of the log's checkpoints, kept for receipts: cosignatures that make a quorum, and
//! time-stamp tokens.
//!
//! The file `endorsements` is a sequence of frames as in the journal. The payload of each is `u64 BE size ‖
//! flags ‖ u32 BE length ‖ note`, and for each token `u32 BE length ‖ TimeStampResp`. No promise rests on the
//! file: a record that is lost is asked for again, and costs no other.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use timemark_verify::Note;

use crate::LogError;
use crate::disk::{Disk, io_at};
use crate::files::{How, OpenFile};
use crate::journal::{DIGEST_BYTES, frame, next_frame, put_bytes, take_bytes, take_u64};

const QUORUM: u8 = 1;
const STAMPED: u8 = 2;
/// Length of what stands before the note: the frame's own length, the size and the flags.
const HEAD_BYTES: u64 = 4 + 8 + 1;
/// Most bytes of a record: a note and the tokens of every authority.
const RECORD_BYTES_MAX: u64 = 8 << 20;
/// How many endorsements are tried for an entry, beside the newest.
const TRIED_MAX: usize = 8;
/// Endorsements kept in memory, for the appenders that wait for them.
const RECENT_MAX: usize = 32;

/// A checkpoint and what others said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endorsement {
    /// Number of entries of the tree.
    pub size: u64,
    /// The checkpoint with the log's signatures and the cosignatures.
    pub note: Note,
    /// Whether the cosignatures are what the policy of the time asked for.
    pub quorum: bool,
    /// RFC 3161 TimeStampResps over the checkpoint's text.
    pub timestamps: Vec<Vec<u8>>,
}

/// The endorsements of a log, in the order in which they came.
pub(crate) struct Endorsements {
    path: PathBuf,
    places: Mutex<Places>,
}

struct Places {
    file: Box<dyn OpenFile>,
    bytes: u64,
    /// Where endorsements by a quorum lie, in ascending order of size.
    quorum: Vec<Place>,
    /// Where endorsements with tokens lie, in ascending order of size.
    stamped: Vec<Place>,
    recent: VecDeque<Arc<Endorsement>>,
}

#[derive(Clone, Copy)]
struct Place {
    size: u64,
    at: u64,
}

impl Endorsements {
    /// Opens the file, makes it where it is missing, and cuts off what a crash left unfinished at its end.
    pub fn open(disk: &Disk, path: PathBuf) -> Result<Endorsements, LogError> {
        let file = disk.open(&path, How::Write)?;
        let length = file.stat().map_err(io_at(&path))?.bytes;
        let (quorum, stamped, recent) = (Vec::new(), Vec::new(), VecDeque::new());
        let mut places = Places { file, bytes: 0, quorum, stamped, recent };
        while places.bytes < length {
            let at = places.bytes;
            match places.head_at(at, length) {
                Some((size, flags, next)) => {
                    places.remember(size, flags, at);
                    places.bytes = next;
                }
                // The torn end of a write, unless a whole record follows.
                None => match places.next_record(at + 1, length) {
                    Some(next) => places.bytes = next,
                    None => break,
                },
            }
        }
        // A record is flushed before the next is written: the last one may be torn inside.
        let last = places.quorum.iter().chain(&places.stamped).map(|place| place.at).max();
        if let Some(at) = last
            && places.read(at, &path).is_err()
            && places.head_at(at, length).is_some_and(|(_, _, next)| next == places.bytes)
        {
            places.forget(at);
        }
        if places.bytes < length {
            places.file.set_len(places.bytes).map_err(io_at(&path))?;
        }
        Ok(Endorsements { path, places: Mutex::new(places) })
    }

    /// Keeps an endorsement by a quorum or with tokens.
    pub fn keep(&self, endorsement: Endorsement) -> Result<(), LogError> {
        let flags = (if endorsement.quorum { QUORUM } else { 0 })
            | (if endorsement.timestamps.is_empty() { 0 } else { STAMPED });
        let mut payload = endorsement.size.to_be_bytes().to_vec();
        payload.push(flags);
        put_bytes(&mut payload, endorsement.note.to_string().as_bytes());
        endorsement.timestamps.iter().for_each(|token| put_bytes(&mut payload, token));
        let record = frame(&payload);

        let mut places = self.lock();
        let at = places.bytes;
        // Written where the last whole record ends, so that a failed write is written over.
        places.file.write_at(&record, at).map_err(io_at(&self.path))?;
        places.file.sync_data().map_err(io_at(&self.path))?;
        places.bytes += record.len() as u64;
        places.remember(endorsement.size, flags, at);
        places.recent.push_back(Arc::new(endorsement));
        if places.recent.len() > RECENT_MAX {
            places.recent.pop_front();
        }
        Ok(())
    }

    /// The first endorsement by a quorum whose tree holds the entry and whose note counts: the same one for
    /// ever, unless what counts changes. What this process kept counts already.
    pub fn first_by_quorum(
        &self,
        index: u64,
        counts: &dyn Fn(&Note) -> bool,
    ) -> Option<Arc<Endorsement>> {
        let places = self.lock();
        let fits = |endorsement: &Endorsement| endorsement.quorum;
        places.first(&places.quorum, index, fits, counts, &self.path)
    }

    /// The first endorsement with tokens whose tree holds the entry.
    pub fn first_stamped(&self, index: u64) -> Option<Arc<Endorsement>> {
        let places = self.lock();
        let stamped = |endorsement: &Endorsement| !endorsement.timestamps.is_empty();
        places.first(&places.stamped, index, stamped, &|_| true, &self.path)
    }

    /// The newest endorsement by a quorum, and the newest with tokens.
    pub fn newest(&self) -> [Option<Arc<Endorsement>>; 2] {
        let places = self.lock();
        [&places.quorum, &places.stamped].map(|list| {
            let newest = list.last()?;
            places.read(newest.at, &self.path).ok().map(Arc::new)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn remember(&mut self, size: u64, flags: u8, at: u64) {
        for (flag, places) in [(QUORUM, &mut self.quorum), (STAMPED, &mut self.stamped)] {
            // A smaller tree after a larger one would be found by nobody.
            if flags & flag != 0 && places.last().is_none_or(|last| last.size <= size) {
                places.push(Place { size, at });
            }
        }
    }

    fn forget(&mut self, at: u64) {
        self.quorum.retain(|place| place.at != at);
        self.stamped.retain(|place| place.at != at);
        self.bytes = at;
    }

    /// Size, flags and end of the record that begins here, if all of it is there.
    fn head_at(&self, at: u64, length: u64) -> Option<(u64, u8, u64)> {
        let mut head = [0; HEAD_BYTES as usize];
        self.file.read_at(&mut head, at).ok()?;
        let (payload, rest) = head.split_first_chunk::<4>()?;
        let (size, flags) = rest.split_first_chunk::<8>()?;
        let payload = u64::from(u32::from_be_bytes(*payload));
        let next = at + 4 + payload + DIGEST_BYTES as u64;
        let whole = payload > HEAD_BYTES && payload <= RECORD_BYTES_MAX && next <= length;
        whole.then_some((u64::from_be_bytes(*size), *flags.first()?, next))
    }

    /// Where the next whole record begins, from this place on.
    fn next_record(&self, from: u64, length: u64) -> Option<u64> {
        (from..length).find(|&at| {
            let Some((_, flags, next)) = self.head_at(at, length) else { return false };
            let mut record = vec![0; (next - at) as usize];
            flags <= QUORUM | STAMPED
                && self.file.read_at(&mut record, at).is_ok()
                && next_frame(&record).is_some()
        })
    }

    fn first(
        &self,
        places: &[Place],
        index: u64,
        fits: impl Fn(&Endorsement) -> bool,
        counts: &dyn Fn(&Note) -> bool,
        path: &Path,
    ) -> Option<Arc<Endorsement>> {
        let from = &places[places.partition_point(|place| place.size <= index)..];
        // A damaged record costs its own evidence; one that counts no more is passed over. The newest may
        // count where many before do not.
        from.iter().take(TRIED_MAX).chain(from.last()).find_map(|place| {
            let recent =
                self.recent.iter().find(|recent| recent.size == place.size && fits(recent));
            match recent {
                Some(recent) => Some(recent.clone()),
                None => self.read(place.at, path).ok().filter(|e| counts(&e.note)).map(Arc::new),
            }
        })
    }

    fn read(&self, at: u64, path: &Path) -> Result<Endorsement, LogError> {
        let damaged = || LogError::damaged(path, format!("no endorsement begins at byte {at}"));
        let (_, _, next) = self.head_at(at, u64::MAX).ok_or_else(damaged)?;
        let mut record = vec![0; (next - at) as usize];
        self.file.read_at(&mut record, at).map_err(io_at(path))?;
        let (payload, _) = next_frame(&record).ok_or_else(damaged)?;
        parse(payload).ok_or_else(damaged)
    }
}

fn parse(payload: &[u8]) -> Option<Endorsement> {
    let mut rest = payload;
    let size = take_u64(&mut rest)?;
    let (&flags, after) = rest.split_first()?;
    rest = after;
    let note = Note::parse(str::from_utf8(take_bytes(&mut rest)?).ok()?).ok()?;
    let mut timestamps = Vec::new();
    while !rest.is_empty() {
        timestamps.push(take_bytes(&mut rest)?.to_vec());
    }
    Some(Endorsement { size, note, quorum: flags & QUORUM != 0, timestamps })
}

#[cfg(test)]
mod tests {
    use timemark_verify::NoteSignature;

    use super::*;

    fn endorsement(size: u64, quorum: bool, tokens: usize) -> Endorsement {
        let signature = NoteSignature { name: "w".to_owned(), key_id: [1; 4], bytes: vec![7; 9] };
        let note = Note::new(format!("log.example\n{size}\n"), vec![signature]).unwrap();
        Endorsement { size, note, quorum, timestamps: vec![vec![9; 300]; tokens] }
    }

    #[test]
    fn the_first_that_covers_an_entry_is_found_again_after_a_restart_and_a_torn_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("endorsements");
        let all = [
            endorsement(3, true, 0),
            endorsement(5, true, 0),
            endorsement(5, true, 2),
            endorsement(7, false, 1),
            endorsement(9, true, 0),
        ];
        let check = |kept: &Endorsements| {
            for (index, quorum, stamped) in [
                (0, Some(0), Some(2)),
                (2, Some(0), Some(2)),
                (4, Some(1), Some(2)),
                (6, Some(4), Some(3)),
            ] {
                let at = |n: Option<usize>| n.map(|n: usize| all[n].clone());
                assert_eq!(
                    kept.first_by_quorum(index, &|_| true).map(|e| (*e).clone()),
                    at(quorum),
                    "{index}"
                );
                assert_eq!(kept.first_stamped(index).map(|e| (*e).clone()), at(stamped), "{index}");
            }
        };
        let kept = Endorsements::open(&Disk::real(), path.clone()).unwrap();
        for one in &all {
            kept.keep(one.clone()).unwrap();
        }
        check(&kept);
        let good = std::fs::read(&path).unwrap();
        let last = good.len() - frame(&[0; 8 + 1 + 4]).len() - all[4].note.to_string().len();
        for (cut, filler) in [(good.len(), 1), (last + 3, 0), (last + 40, 0), (last + 40, 200)] {
            let torn = [&good[..cut], &vec![0; filler]].concat();
            std::fs::write(&path, torn).unwrap();
            let kept = Endorsements::open(&Disk::real(), path.clone()).unwrap();
            let whole = if cut == good.len() { good.len() } else { last };
            assert_eq!(path.metadata().unwrap().len(), whole as u64);
            if whole < good.len() {
                assert!(kept.first_by_quorum(6, &|_| true).is_none());
                kept.keep(all[4].clone()).unwrap();
            }
            check(&kept);
        }
    }
}

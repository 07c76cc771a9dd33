//! How far the suspects of earlier scans were compared with works that came later: one number, and what brings it back.
//!
//! All suspects of all jobs were compared with the entries of the log below it. It moves on when a pass over everything that is
//! kept is over. A suspect is looked up in the index as that is at the time, and told of a little later: if the number moved
//! past that meanwhile, it goes back.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use timemark_ingest::Scanned;

use crate::error::ReviewError;
use crate::job::Job;
use crate::review::Review;
use crate::store::{Failure, STATE};

/// How far later works were compared with the suspects of earlier scans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rematching {
    /// With the entries of the log below this number; `None` where nothing was scanned yet.
    pub entries: Option<u64>,
    /// Suspects that are compared with each.
    pub suspects: u64,
    /// Works that were found in suspects of which they were not known, in all.
    pub found: u64,
}

impl Review {
    /// How far that is.
    pub fn rematching(&self) -> Result<Rematching, ReviewError> {
        self.store.read(|tx| {
            let state = tx.open_table(STATE)?;
            let number = |name: &str| Ok::<_, Failure>(state.get(name)?.map(|n| n.value()));
            Ok(Rematching {
                entries: number(CURSOR)?,
                suspects: number(SUSPECTS)?.unwrap_or(0),
                found: number(FOUND)?.unwrap_or(0),
            })
        })
    }

    /// Where the next pass begins; `None` where there is nothing to compare below `end`.
    pub(crate) fn begin_pass(&self, end: u64) -> Result<Option<u64>, ReviewError> {
        let (cursor, late) = self.store.read(|tx| {
            let state = tx.open_table(STATE)?;
            Ok((state.get(CURSOR)?.map(|n| n.value()), state.get(LATE)?.map(|n| n.value())))
        })?;
        // Without a number nothing was scanned.
        let Some(from) = cursor.filter(|cursor| *cursor < end) else { return Ok(None) };
        if late.is_none() {
            return Ok(Some(from));
        }
        // What was told of before this pass is there for it to see; only what comes meanwhile counts.
        self.store.write(|tx| {
            let mut state = tx.open_table(STATE)?;
            state.remove(LATE)?;
            Ok(state.get(CURSOR)?.map(|cursor| cursor.value()))
        })
    }

    /// Everything was compared with the entries below this one, but for what was told of meanwhile.
    pub(crate) fn end_pass(&self, next: u64) -> Result<(), ReviewError> {
        self.store.write(|tx| {
            let mut state = tx.open_table(STATE)?;
            let late = state.get(LATE)?.map(|late| late.value());
            state.insert(CURSOR, next.min(late.unwrap_or(u64::MAX)))?;
            Ok(())
        })
    }
}

/// What is to be compared from now on are entries from here on, unless that was said before.
pub(crate) fn begin(tx: &WriteTransaction, entries: u64) -> Result<(), Failure> {
    let mut state = tx.open_table(STATE)?;
    if state.get(CURSOR)?.is_none() {
        state.insert(CURSOR, entries)?;
    }
    Ok(())
}

/// Takes note of suspects that are told of: what came into the log after they were compared is to be compared with them.
pub(crate) fn note(tx: &WriteTransaction, batch: &[Scanned]) -> Result<(), Failure> {
    let known = batch.iter().filter(|scanned| scanned.content.is_some());
    add(tx, SUSPECTS, known.clone().count() as u64)?;
    // What became of repeats becomes of them as well, whenever it is found.
    let compared = known.filter(|scanned| !scanned.trace.is_repeat);
    let Some(first) = compared.map(|scanned| scanned.trace.entries).min() else { return Ok(()) };
    let mut state = tx.open_table(STATE)?;
    for name in [CURSOR, LATE] {
        let number = state.get(name)?.map(|number| number.value());
        // Without a cursor none is to be made of it.
        if number.map_or(name == LATE, |number| number > first) {
            state.insert(name, first)?;
        }
    }
    Ok(())
}

/// Takes note of works that were found later.
pub(crate) fn add_found(tx: &WriteTransaction, more: u64) -> Result<(), Failure> {
    add(tx, FOUND, more)
}

fn add(tx: &WriteTransaction, name: &str, more: u64) -> Result<(), Failure> {
    let mut state = tx.open_table(STATE)?;
    let number = state.get(name)?.map_or(0, |number| number.value());
    state.insert(name, number + more)?;
    Ok(())
}

/// With how many entries everything was compared.
pub(crate) fn cursor(tx: &ReadTransaction) -> Result<Option<u64>, Failure> {
    Ok(tx.open_table(STATE)?.get(CURSOR)?.map(|cursor| cursor.value()))
}

/// A job as it is told of: with what it was compared since.
pub(crate) fn told(mut job: Job, cursor: Option<u64>) -> Job {
    if let (true, Some(entries), Some(cursor)) = (job.rematches, &mut job.entries, cursor) {
        *entries = cursor.max(*entries);
    }
    job
}

/// All suspects were compared with the entries below this number, but for those that are being told of.
const CURSOR: &str = "rematched";
/// With how many entries those were compared that were told of since the last pass began, at least.
const LATE: &str = "rematch_late";
const SUSPECTS: &str = "rematch_suspects";
const FOUND: &str = "rematch_found";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job;
    use crate::rematch::tests::{review, scanned, take};
    use crate::store::TRACES;

    fn state(review: &Review, name: &str) -> Option<u64> {
        let read = review.store.read(|tx| Ok(tx.open_table(STATE)?.get(name)?.map(|n| n.value())));
        read.unwrap()
    }

    #[test]
    fn who_is_told_of_after_the_number_moved_past_brings_it_back() {
        let (_dir, review, id) = review();
        take(&review, id, &[scanned("a", 5, false)]);
        assert_eq!((state(&review, CURSOR), state(&review, LATE)), (None, Some(5)));
        review.store.write(|tx| begin(tx, 40)).unwrap();
        review.store.write(|tx| begin(tx, 90)).unwrap();
        assert_eq!(state(&review, CURSOR), Some(40), "it is said once");
        take(&review, id, &[scanned("b", 60, false), scanned("c", 50, false)]);
        assert_eq!((state(&review, CURSOR), state(&review, LATE)), (Some(40), Some(5)));
        take(&review, id, &[scanned("d", 60, false), scanned("e", 30, false)]);
        assert_eq!(state(&review, CURSOR), Some(30));
        // What has another's outcome has all that comes of that one; what cannot be read is compared with nothing.
        let unread = Scanned { content: None, ..scanned("f", 1, false) };
        take(&review, id, &[scanned("a", 5, true), unread]);
        assert_eq!(state(&review, CURSOR), Some(30));
        let rematching = review.rematching().unwrap();
        assert_eq!(rematching, Rematching { entries: Some(30), suspects: 6, found: 0 });
        let job = review.job(id).unwrap().0;
        assert_eq!(job.entries, None, "it did not begin");
        assert_eq!(told(Job { entries: Some(7), ..job.clone() }, Some(30)).entries, Some(30));
        assert_eq!(told(Job { entries: Some(70), ..job.clone() }, Some(30)).entries, Some(70));
        let old = Job { entries: Some(7), rematches: false, ..job };
        assert_eq!(told(old, Some(30)).entries, Some(7), "nothing is kept of it");
    }

    #[test]
    fn what_is_told_of_during_a_pass_is_compared_by_the_next() {
        let (_dir, review, id) = review();
        assert_eq!(review.begin_pass(9).unwrap(), None, "nothing was scanned");
        review.store.write(|tx| begin(tx, 10)).unwrap();
        take(&review, id, &[scanned("a", 10, false)]);
        assert_eq!(review.begin_pass(10).unwrap(), None);
        assert_eq!(review.begin_pass(30).unwrap(), Some(10));
        take(&review, id, &[scanned("b", 20, false), scanned("c", 25, false)]);
        review.end_pass(30).unwrap();
        assert_eq!(state(&review, CURSOR), Some(20));
        assert_eq!(review.begin_pass(30).unwrap(), Some(20));
        take(&review, id, &[scanned("d", 30, false)]);
        review.end_pass(30).unwrap();
        assert_eq!(review.begin_pass(30).unwrap(), None);
    }

    #[test]
    fn nothing_is_kept_of_jobs_of_before_and_they_say_so() {
        let (_dir, review, id) = review();
        let mut old = serde_json::to_value(review.job(id).unwrap().0).unwrap();
        old.as_object_mut().unwrap().remove("rematches");
        let old: Job = serde_json::from_value(old).unwrap();
        assert!(!old.rematches);
        review.store.write(|tx| job::put(tx, &old)).unwrap();
        take(&review, id, &[scanned("a", 5, false)]);
        let kept = review.store.read(|tx| Ok(tx.open_table(TRACES)?.iter()?.count()));
        assert_eq!((kept.unwrap(), review.rematching().unwrap()), (0, Rematching::default()));
    }
}

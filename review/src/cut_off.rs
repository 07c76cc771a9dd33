//! A suspect that ends the process while it is looked at again would end it at each start, as passes are made again by
//! themselves. So a pass under which the process ended has the next note what it looks at, and a suspect that ended it again
//! and again is told of by its codes alone from then on.

use redb::WriteTransaction;

use crate::error::ReviewError;
use crate::review::Review;
use crate::store::{Failure, STATE};

/// What a pass looks at again.
pub(crate) struct Looking<'a> {
    review: &'a Review,
    /// Whether the process ended under a pass before; known once something is looked at.
    is_careful: Option<bool>,
}

impl<'a> Looking<'a> {
    pub fn of(review: &'a Review) -> Looking<'a> {
        Looking { review, is_careful: None }
    }

    /// Takes note that this suspect is looked at. Whether it is to be: it did not end the process too often.
    pub fn begin(&mut self, job: u64, place: u64) -> Result<bool, ReviewError> {
        let is_careful = match self.is_careful {
            Some(is_careful) => is_careful,
            None => self.review.store.write(|tx| {
                let mut state = tx.open_table(STATE)?;
                let is_careful = state.insert(LOOKING, 1)?.is_some();
                Ok(is_careful)
            })?,
        };
        self.is_careful = Some(is_careful);
        let name = name(job, place);
        let ended = self.review.store.read(|tx| {
            let state = tx.open_table(STATE)?;
            Ok(state.get(&*name)?.map_or(0, |ended| ended.value()))
        })?;
        if ended >= ENDED_MAX {
            return Ok(false);
        }
        if is_careful {
            self.review.store.write(|tx| {
                tx.open_table(STATE)?.insert(&*name, ended + 1)?;
                Ok(())
            })?;
        }
        Ok(true)
    }

    /// The process did not end over it.
    pub fn end(&self, job: u64, place: u64) -> Result<(), ReviewError> {
        if self.is_careful != Some(true) {
            return Ok(());
        }
        self.review.store.write(|tx| remove(tx, &name(job, place)))
    }
}

impl Review {
    /// Takes note that the process did not end under a pass.
    pub(crate) fn end_looking(&self) -> Result<(), ReviewError> {
        let is_noted = self.store.read(|tx| {
            let state = tx.open_table(STATE)?;
            let noted = state.get(LOOKING)?;
            Ok(noted.is_some())
        })?;
        if is_noted { self.store.write(|tx| remove(tx, LOOKING)) } else { Ok(()) }
    }
}

fn remove(tx: &WriteTransaction, name: &str) -> Result<(), Failure> {
    tx.open_table(STATE)?.remove(name)?;
    Ok(())
}

/// How often the process ended while this suspect was looked at.
fn name(job: u64, place: u64) -> String {
    format!("rematch_ended {job} {place}")
}

/// Something is looked at, or the process ended meanwhile.
const LOOKING: &str = "rematch_looking";
/// A suspect is not looked at again that ended the process so often, beside the first time, when nobody knew at what it was.
const ENDED_MAX: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rematch::tests::review;

    #[test]
    fn what_ends_the_process_again_and_again_is_let_be_and_nothing_else() {
        let (_dir, review, id) = review();
        let begin = |place| Looking::of(&review).begin(id, place).unwrap();
        // Each time a process that ends at it, after it came past another.
        assert!(begin(2), "nothing is known yet");
        for _ in 0..ENDED_MAX {
            let mut looking = Looking::of(&review);
            assert!(looking.begin(id, 1).unwrap());
            looking.end(id, 1).unwrap();
            assert!(looking.begin(id, 2).unwrap());
        }
        assert!(!begin(2) && begin(1));
        // It is known when others are looked at as well.
        review.end_looking().unwrap();
        review.end_looking().unwrap();
        for place in [3, 3, 3] {
            assert!(begin(place), "whoever ends in order ended over nothing");
            review.end_looking().unwrap();
        }
        assert!(!begin(2));
    }
}

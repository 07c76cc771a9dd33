//! What a pass over the suspects of earlier scans leaves out, told to the operator: each once in a while, and not without end.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use crate::error::ReviewError;
use crate::traces::Damaged;
use crate::working::words;

pub(crate) struct Warnings<'a> {
    tell: &'a dyn Fn(&str),
    told: RefCell<HashSet<String>>,
    since: Cell<Instant>,
}

impl<'a> Warnings<'a> {
    pub fn to(tell: &'a dyn Fn(&str)) -> Warnings<'a> {
        Warnings { tell, told: RefCell::default(), since: Cell::new(Instant::now()) }
    }

    pub fn say(&self, text: String) {
        let mut told = self.told.borrow_mut();
        if self.since.get().elapsed() > TOLD_AGAIN_AFTER {
            told.clear();
            self.since.set(Instant::now());
        }
        if told.len() >= TOLD_MAX || told.contains(&text) {
            return;
        }
        (self.tell)(&text);
        told.insert(text);
        if told.len() == TOLD_MAX {
            (self.tell)("whatever else is not looked at again is not named for an hour");
        }
    }

    /// What was done, but for what is damaged, which is told of: it costs itself, and holds nothing up.
    pub fn unless_damaged<T>(
        &self,
        done: Result<T, Failed>,
        what: impl FnOnce() -> String,
    ) -> Result<Option<T>, Failed> {
        match done {
            Err(error) if is_damage(&*error) => {
                self.say(format!(
                    "{} cannot be compared with new works: {}",
                    what(),
                    words(&*error)
                ));
                Ok(None)
            }
            done => done.map(Some),
        }
    }
}

pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// Whether a row is missing or is not as it was put there; that the file fails is another matter.
fn is_damage(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    match error.downcast_ref::<ReviewError>() {
        Some(ReviewError::Unreadable { source, .. }) => {
            !source.is::<redb::Error>() && !source.is::<io::Error>()
        }
        Some(ReviewError::NoJob(_)) => true,
        _ => error.is::<Damaged>(),
    }
}

/// Whether nothing can be written, which holds everything up until it can.
pub(crate) fn is_full(error: &ReviewError) -> bool {
    use ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let ReviewError::Io { source, .. } = error else { return false };
    matches!(source.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

const TOLD_MAX: usize = 100;
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobOptions;
    use crate::rematch::tests::{review, scanned, take};
    use crate::store::{RESULTS, TRACES};

    #[test]
    fn each_is_told_once_and_not_without_end() {
        let told = RefCell::new(Vec::new());
        let tell = |text: &str| told.borrow_mut().push(text.to_owned());
        let warnings = Warnings::to(&tell);
        for number in 0..3 * TOLD_MAX {
            warnings.say(format!("suspect {}", number / 2));
        }
        assert_eq!(told.borrow().len(), TOLD_MAX + 1);
        assert!(told.borrow()[TOLD_MAX].contains("not named"));
    }

    #[test]
    fn what_is_damaged_costs_itself_and_is_told_of() {
        let (_dir, review, id) = review();
        take(&review, id, &["a", "b", "c", "d"].map(|name| scanned(name, 5, false)));
        let keep = |to: &std::path::Path| std::fs::write(to, "x");
        let other = review.submit_upload(None, "a", 1, 100, JobOptions::default(), keep).unwrap();
        take(&review, other.id, &[scanned("e", 5, false)]);
        let torn = review.store.write(|tx| {
            let mut results = tx.open_table(RESULTS)?;
            results.remove((id, 1))?;
            results.insert((id, 3), &b"{"[..])?;
            let mut traces = tx.open_table(TRACES)?;
            traces.insert((id, 5), &b"\x80\x01"[..])?;
            traces.insert((99, 1), &b"\0"[..])?;
            Ok(())
        });
        torn.unwrap();
        let (told, mut seen) = (RefCell::new(Vec::new()), Vec::new());
        let tell = |text: &str| told.borrow_mut().push(text.to_owned());
        let whole = review.each_piece(&Warnings::to(&tell), |job, _, kept| {
            review.result(job, kept.place)?;
            seen.push((job, kept.place));
            Ok(())
        });
        assert!(whole.unwrap(), "it comes to its end");
        assert_eq!(seen, [(id, 2), (id, 4), (other.id, 1)]);
        let told = told.into_inner();
        assert_eq!(told.len(), 4, "{told:?}");
        for (text, what) in told.iter().zip(["result 1 ", "result 3 ", "result 5 ", "scan 99 "]) {
            assert!(text.contains(what), "{text}");
        }
        // That the disk is full is not damage.
        let full = || ReviewError::Io { path: "x".into(), source: ErrorKind::StorageFull.into() };
        assert!(is_full(&full()));
        let held = review.each_piece(&Warnings::to(&tell_nobody), |_, _, _| Err(full().into()));
        assert!(held.is_err());
    }

    fn tell_nobody(_: &str) {}
}

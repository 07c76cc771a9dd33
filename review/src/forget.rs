//! What scans told of a work goes with its claim: who claimed it, its title, the name of its file. That something was found,
//! and what was decided about it, stays.
//!
//! Which entries are to be erased is noted before they are, so that no crash in between leaves their words here; and it stays
//! noted, as a scan at work may have had the words before and tell them later.

use redb::{ReadableTable, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ReviewError;
use crate::found::MatchJson;
use crate::matches::Match;
use crate::result::ResultJson;
use crate::review::Review;
use crate::store::{ERASED, Failure, MATCHES, RESULTS, parse, to_bytes};

impl Review {
    /// Notes that the claims of these entries are about to be erased. Durable when it returns.
    pub fn note_erasing(&self, entries: &[u64]) -> Result<(), ReviewError> {
        self.store.write(|tx| {
            let mut erased = tx.open_table(ERASED)?;
            for index in entries {
                if erased.get(index)?.is_none() {
                    erased.insert(index, false)?;
                }
            }
            Ok(())
        })
    }

    /// Forgets the words of entries of which only [`Review::note_erasing`] was said, where they are erased by now.
    pub fn settle_erased<E: From<ReviewError>>(
        &self,
        is_erased: impl Fn(u64) -> Result<bool, E>,
    ) -> Result<(), E> {
        let noted: Vec<(u64, bool)> = self.store.read(|tx| {
            let rows = tx.open_table(ERASED)?;
            let rows = rows.iter()?.map(|row| row.map(|(key, done)| (key.value(), done.value())));
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        let mut left = Vec::new();
        for (index, _) in noted.into_iter().filter(|(_, done)| !done) {
            if is_erased(index)? {
                left.push(index);
            }
        }
        if !left.is_empty() {
            self.forget_words(&left)?;
        }
        Ok(())
    }

    /// Forgets what matches and results say in the words of these entries, whose claims were erased, and whatever scans tell
    /// in them from now on.
    pub fn forget_words(&self, entries: &[u64]) -> Result<(), ReviewError> {
        let forget = |found: &mut MatchJson| {
            if entries.contains(&in_words_of(found)) {
                without_words(found);
            }
        };
        self.store.write(|tx| {
            let mut erased = tx.open_table(ERASED)?;
            for index in entries {
                erased.insert(index, true)?;
            }
            let mut matches = tx.open_table(MATCHES)?;
            let keys = keys_of(&matches, entries, |id: &str| id.to_owned())?;
            for id in keys {
                rewrite(&mut matches, &*id, |found: &mut Match| forget(&mut found.finding))?;
            }
            let mut results = tx.open_table(RESULTS)?;
            for key in keys_of(&results, entries, |key| key)? {
                rewrite(&mut results, key, |result: &mut ResultJson| {
                    result.matches.iter_mut().chain(&mut result.related).for_each(forget);
                })?;
            }
            Ok(())
        })?;
        self.changed();
        Ok(())
    }
}

/// Takes the words of erased claims from what is about to be kept.
pub(crate) fn scrub<'a>(
    erased: &Table<'_, u64, bool>,
    findings: impl IntoIterator<Item = &'a mut MatchJson>,
) -> Result<(), Failure> {
    for found in findings {
        if erased.get(in_words_of(found))?.is_some_and(|done| done.value()) {
            without_words(found);
        }
    }
    Ok(())
}

/// The entry whose claim says what is told of the work.
fn in_words_of(found: &MatchJson) -> u64 {
    found.corrected_by.unwrap_or(found.index)
}

fn without_words(found: &mut MatchJson) {
    (found.file, found.title, found.claimant) = (None, None, None);
}

/// The keys of the rows that may name one of these entries: to read every row of a long scan would take long.
fn keys_of<K: redb::Key + 'static, T>(
    table: &Table<'_, K, &'static [u8]>,
    entries: &[u64],
    to_owned: impl Fn(K::SelfType<'_>) -> T,
) -> Result<Vec<T>, Failure> {
    let numbers: Vec<String> = entries.iter().map(|index| format!(":{index},")).collect();
    let mut keys = Vec::new();
    for row in table.iter()? {
        let (key, bytes) = row?;
        // Rows are JSON, without spaces between what it is made of.
        let text = str::from_utf8(bytes.value()).unwrap_or_default();
        if numbers.iter().any(|number| text.contains(number)) {
            keys.push(to_owned(key.value()));
        }
    }
    Ok(keys)
}

fn rewrite<'k, K: redb::Key + 'static, T: DeserializeOwned + Serialize>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: impl std::borrow::Borrow<K::SelfType<'k>> + Copy,
    change: impl FnOnce(&mut T),
) -> Result<(), Failure> {
    let Some(mut row) = table.get(key)?.map(|bytes| parse::<T>(bytes.value())).transpose()? else {
        return Ok(());
    };
    change(&mut row);
    table.insert(key, &to_bytes(&row)?[..])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use timemark_ingest::{Finding, Method, Outcome, Scanned};
    use timemark_verify::ContentId;

    use super::*;
    use crate::listing::Filter;
    use crate::rematch::tests::{review, scanned, take};
    use crate::roots::Roots;

    fn found(index: u64, corrected_by: Option<u64>, title: &str) -> Finding {
        Finding {
            work: ContentId::of(title.as_bytes()),
            index,
            corrected_by,
            file: None,
            title: Some(title.to_owned()),
            claimant: None,
            score: 0.9,
            method: Method::Keypoints,
            distance: None,
            transform: None,
            inliers: None,
            overlap: None,
            alike: None,
            alike_between: None,
            geometry: None,
        }
    }

    #[test]
    fn words_of_an_erased_claim_go_after_a_crash_and_no_scan_brings_them_back() {
        let (dir, review, id) = review();
        let outcome = Arc::new(Outcome::Compared {
            matches: vec![found(7, None, "Secret")],
            related: vec![found(8, Some(9), "Corrected")],
        });
        let met = |bytes| Scanned { outcome: outcome.clone(), ..scanned(bytes, 5, false) };
        let told = |review: &Review| {
            let results = review.results(id, 0, 9).unwrap().items;
            let matches = review.matches(Filter::default(), 0, 9).unwrap().items;
            serde_json::to_string(&(results, matches)).unwrap()
        };
        take(&review, id, &[met("a")]);
        review.note_erasing(&[7]).unwrap();
        assert!(told(&review).contains("Secret"), "it is not erased yet");
        drop(review);
        let review = Review::open(dir.path(), Roots::default()).unwrap();
        review.settle_erased(|_| Ok::<_, ReviewError>(false)).unwrap();
        assert!(told(&review).contains("Secret"), "it was not erased after all");
        review.settle_erased(|index| Ok::<_, ReviewError>(index == 7)).unwrap();
        assert!(!told(&review).contains("Secret"));
        // A scan that is at work had the words before: of the same bytes, and of others.
        take(&review, id, &[met("a"), met("b")]);
        assert!(!told(&review).contains("Secret"), "{}", told(&review));
        // What stands is told in the words of the correction, whatever became of what was corrected.
        review.forget_words(&[8]).unwrap();
        take(&review, id, &[met("c")]);
        assert_eq!(told(&review).matches("Corrected").count(), 4);
        review.forget_words(&[8, 9]).unwrap();
        assert!(!told(&review).contains("Corrected"));
    }
}

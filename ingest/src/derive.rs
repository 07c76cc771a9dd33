//! Registry and index follow the log: the same steps after each registration and after a crash.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use timemark_index::IndexError;
use timemark_store::{BlobError, Record, RegistryError};
use timemark_tlog::{Entry, LogError};
use timemark_verify::{Claim, ContentId, FormatError, Leaf};
use timemark_vision::Features;

use crate::Engine;
use crate::descriptors;
use crate::detect::work_picture;

/// Why registry or index could not follow the log.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The registry does not take the records.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The index does not take the works.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A work cannot be read.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// An entry of the log cannot be read.
    #[error("entry {index} of the log: {reason}")]
    Entry {
        /// Its number.
        index: u64,
        /// What is wrong with it.
        reason: FormatError,
    },
}

impl Engine {
    /// Takes everything that the log holds and registry or index lack into them, in order. `progress` is
    /// told how many entries are in. Returns whether there was anything to take.
    pub fn catch_up(&self, progress: &dyn Fn(u64)) -> Result<bool, DeriveError> {
        let _one_at_a_time = self.deriving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = false;
        // The registry goes on where the index cannot: what is registered twice is found by it alone.
        let mut index_error = self.index.check_follows().err().map(DeriveError::from);
        loop {
            let in_registry = self.registry.len()?;
            let from = match index_error {
                None => in_registry.min(self.index.len()),
                Some(_) => in_registry,
            };
            let entries = self.log.entries_from(from)?;
            let to = from + entries.len() as u64;
            if entries.is_empty() {
                return match index_error {
                    Some(error) => Err(error),
                    None => {
                        self.derived.store(from, Ordering::Release);
                        Ok(taken)
                    }
                };
            }
            taken = true;
            let records = entries.into_iter().filter_map(|e| record(e).transpose());
            let records = records.collect::<Result<Vec<_>, _>>()?;
            if to > in_registry {
                let new = records.partition_point(|record| record.index < in_registry);
                self.registry.advance(&records[new..], to)?;
            }
            if index_error.is_some() {
                continue;
            }
            let works: Vec<(u64, &Claim)> =
                records.iter().filter(|record| claims(record)).filter_map(in_words).collect();
            let features = self.features_of(&records)?;
            let features: Vec<(u64, &Features)> =
                features.iter().map(|(index, features)| (*index, &**features)).collect();
            match self.index.advance(&works, &features, to) {
                Ok(()) => {
                    self.derived.store(to, Ordering::Release);
                    progress(to);
                }
                Err(error) => index_error = Some(error.into()),
            }
        }
    }

    /// The keypoints of works that the index lacks. Those being registered are at hand; others, after a crash or
    /// in a rebuild, are found in the works again.
    fn features_of(&self, records: &[Record]) -> Result<Vec<(u64, Arc<Features>)>, DeriveError> {
        let from = self.index.keypoints_len();
        // A claim without fingerprints may be of a work that its claimant did not have: its looks are none of theirs.
        let lacking = records.iter().filter(|record| record.index >= from && has_looks(record));
        let (mut found, mut missing) = (Vec::new(), HashMap::<_, Vec<u64>>::new());
        for Record { index, leaf, .. } in lacking {
            match self.features.get(&leaf.content) {
                Some(ready) => found.push((*index, ready)),
                None => missing.entry(leaf.content).or_default().push(*index),
            }
        }
        let seen = missing.into_par_iter().map(|(work, indices)| {
            let features =
                match self.works.descriptors(&work)?.as_deref().and_then(descriptors::parse) {
                    Some(kept) => Some(kept),
                    None => match work_picture(&work, self) {
                        // `log audit` reports it; that a work is lost must not keep the others from being found.
                        Err(error) if error.is_lost() => None,
                        picture => picture?.map(|picture| Features::of_work(&picture)),
                    },
                };
            let features = features.map(Arc::new);
            let each = |features: Arc<_>| {
                indices.into_iter().map(move |index| (index, Arc::clone(&features)))
            };
            Ok::<_, DeriveError>(features.map(each))
        });
        let seen: Vec<_> = seen.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        found.extend(seen.into_iter().flatten());
        found.sort_unstable_by_key(|(index, _)| *index);
        Ok(found)
    }

    /// As [`Engine::catch_up`], where an entry up to `index` is still missing.
    pub(crate) fn catch_up_with(&self, index: u64) -> Result<(), DeriveError> {
        if self.derived.load(Ordering::Acquire) <= index {
            self.catch_up(&|_| {})?;
        }
        Ok(())
    }

    /// Makes registry and index durable and gives the log's journal a rest, so that the next start has
    /// nothing to catch up with.
    pub fn settle(&self) -> Result<(), DeriveError> {
        self.registry.flush()?;
        self.index.flush()?;
        Ok(self.log.settle()?)
    }
}

/// Keypoints of works on their way into the log, so that whoever follows the log need not look for them again.
#[derive(Default)]
pub(crate) struct ReadyFeatures(Mutex<HashMap<ContentId, Arc<Features>>>);

impl ReadyFeatures {
    /// Has the keypoints of a work at hand as long as the answer lives.
    pub fn keep(&self, work: ContentId, features: Option<Features>) -> Ready<'_> {
        if let Some(features) = features {
            self.lock().insert(work, Arc::new(features));
        }
        Ready { features: self, work }
    }

    fn get(&self, work: &ContentId) -> Option<Arc<Features>> {
        self.lock().get(work).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContentId, Arc<Features>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`ReadyFeatures::keep`].
pub(crate) struct Ready<'a> {
    features: &'a ReadyFeatures,
    work: ContentId,
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.features.lock().remove(&self.work);
    }
}

/// Whether something is claimed: not where a claim is erased, or withdraws another. Nothing is found by those.
pub(crate) fn claims(record: &Record) -> bool {
    record.claim.as_ref().is_some_and(|claim| !claim.is_withdrawal())
}

/// Whether a work counts as one that looks like something.
fn has_looks(record: &Record) -> bool {
    claims(record) && record.claim.as_ref().is_some_and(|claim| !claim.fingerprints.is_empty())
}

fn in_words(record: &Record) -> Option<(u64, &Claim)> {
    Some((record.index, record.claim.as_ref()?))
}

/// The record of an entry; `None` for an entry of a later kind.
pub(crate) fn record(entry: Entry) -> Result<Option<Record>, DeriveError> {
    let index = entry.index;
    let fault = |reason| DeriveError::Entry { index, reason };
    let Some(leaf) = Leaf::parse(&entry.leaf).map_err(fault)? else { return Ok(None) };
    let claim = entry.claim.map(|text| Claim::parse(&text)).transpose().map_err(fault)?;
    Ok(Some(Record { index, leaf, claim }))
}

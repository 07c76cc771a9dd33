//! Registry and index follow the log: the same steps after each registration and after a crash.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use timemark_index::IndexError;
use timemark_store::{Record, RegistryError};
use timemark_tlog::{Entry, LogError};
use timemark_verify::{Claim, FormatError, Leaf};

use crate::Engine;

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
        loop {
            let in_registry = self.registry.len()?;
            let from = in_registry.min(self.index.len());
            let entries = self.log.entries_from(from)?;
            let to = from + entries.len() as u64;
            if entries.is_empty() {
                self.derived.store(from, Ordering::Release);
                return Ok(taken);
            }
            taken = true;
            let records = entries.into_iter().filter_map(|e| record(e).transpose());
            let records = records.collect::<Result<Vec<_>, _>>()?;
            if to > in_registry {
                let new = records.partition_point(|record| record.index < in_registry);
                self.registry.advance(&records[new..], to)?;
            }
            let works: Vec<(u64, &Claim)> =
                records.iter().filter_map(|r| Some((r.index, r.claim.as_ref()?))).collect();
            self.index.advance(&works, to)?;
            self.derived.store(to, Ordering::Release);
            progress(to);
        }
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

/// The record of an entry; `None` for an entry of a later kind.
fn record(entry: Entry) -> Result<Option<Record>, DeriveError> {
    let index = entry.index;
    let fault = |reason| DeriveError::Entry { index, reason };
    let Some(leaf) = Leaf::parse(&entry.leaf).map_err(fault)? else { return Ok(None) };
    let claim = entry.claim.map(|text| Claim::parse(&text)).transpose().map_err(fault)?;
    Ok(Some(Record { index, leaf, claim }))
}

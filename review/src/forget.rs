//! What scans told of a work goes with its claim: who claimed it, its title, the name of its file. That something was found,
//! and what was decided about it, stays.

use redb::{ReadableTable, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ReviewError;
use crate::found::MatchJson;
use crate::matches::Match;
use crate::result::ResultJson;
use crate::review::Review;
use crate::store::{Failure, MATCHES, RESULTS, parse, to_bytes};

impl Review {
    /// Forgets what matches and results say in the words of these entries, whose claims were erased.
    pub fn forget_words(&self, entries: &[u64]) -> Result<(), ReviewError> {
        let forget = |found: &mut MatchJson| {
            let is_of = |index: u64| entries.contains(&index);
            if is_of(found.index) || found.corrected_by.is_some_and(is_of) {
                (found.file, found.title, found.claimant) = (None, None, None);
            }
        };
        self.store.write(|tx| {
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

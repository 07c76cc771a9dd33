//! Which registrations of a work somebody sees, however many there are of others; and whose the entries are by which claims
//! were amended.

use std::collections::{BTreeSet, HashSet};
use std::error::Error;

use timemark_accounts::{AccountsError, Possession};
use timemark_ingest::{Engine, Record};
use timemark_verify::ContentId;

use super::{Access, Caller};
use crate::Problem;

impl Access {
    /// So many registrations of a work that a caller sees, from this entry on, oldest first.
    pub fn registrations_seen(
        &self,
        caller: &Caller,
        content: &ContentId,
        from: u64,
        most: usize,
        engine: &Engine,
    ) -> Result<Vec<Record>, Problem> {
        let registry = &engine.registry;
        if !Access::is_narrow(caller) {
            return registry.by_content(content, from, most).map_err(Problem::internal);
        }
        let indices = self.own_of(caller, content, from, most)?;
        let records = indices.into_iter().map(|index| registry.by_index(index));
        let records = records.collect::<Result<Vec<_>, _>>().map_err(Problem::internal)?;
        Ok(records.into_iter().flatten().collect())
    }

    /// How many registrations of a work a caller sees from this entry on; no more than so many are counted.
    pub fn count_seen(
        &self,
        caller: &Caller,
        content: &ContentId,
        from: u64,
        most: usize,
        engine: &Engine,
    ) -> Result<usize, Problem> {
        if !Access::is_narrow(caller) {
            let counted = engine.registry.count_by_content(content, from, most);
            return counted.map_err(Problem::internal);
        }
        Ok(self.own_of(caller, content, from, most)?.len())
    }

    fn own_of(
        &self,
        caller: &Caller,
        content: &ContentId,
        from: u64,
        most: usize,
    ) -> Result<Vec<u64>, AccountsError> {
        let Caller::Somebody(known) = caller else { return Ok(Vec::new()) };
        let mut indices = Vec::new();
        for owner in &self.acts_for(known)? {
            indices.extend(self.accounts.owned_of(owner, content.sha256(), from, most)?);
        }
        indices.sort_unstable();
        indices.truncate(most);
        Ok(indices)
    }

    /// Whether a caller registered a work themselves, or nobody asks who did.
    pub fn has_own(&self, caller: &Caller, content: &ContentId) -> Result<bool, AccountsError> {
        match caller {
            Caller::Anybody => Ok(true),
            Caller::Nobody => Ok(false),
            Caller::Somebody(known) => {
                let own = self.accounts.owned_of(&known.account.id, content.sha256(), 0, 1)?;
                Ok(!own.is_empty())
            }
        }
    }

    /// Which of these entries are a caller's own, or of whom they act for.
    pub fn own_among(
        &self,
        caller: &Caller,
        entries: &[u64],
    ) -> Result<HashSet<u64>, AccountsError> {
        let Caller::Somebody(known) = caller else { return Ok(HashSet::new()) };
        let accounts: BTreeSet<String> = self.acts_for(known)?.into_iter().collect();
        self.accounts.owned_among(&accounts, entries)
    }

    /// Gives the entries by which a claim was amended to whose the claim is.
    pub fn inherit(
        &self,
        claim: u64,
        entries: &[u64],
        content: &ContentId,
    ) -> Result<(), AccountsError> {
        let Some(account) = self.accounts.owner(claim)? else { return Ok(()) };
        let of = |&index: &u64| {
            let (account, content) = (account.clone(), *content.sha256());
            Possession { index, account, content }
        };
        self.accounts.own(&entries.iter().map(of).collect::<Vec<_>>())
    }

    /// As [`Access::inherit`], of an entry that amends a claim, unless it is somebody's already.
    pub fn inherit_now(
        &self,
        claim: u64,
        by: u64,
        content: &ContentId,
        engine: &Engine,
    ) -> Result<(), Problem> {
        if self.accounts.owner(by)?.is_some() {
            return Ok(());
        }
        let amended = engine.registry.amended(claim).map_err(Problem::internal)?;
        if amended.is_some_and(|amended| amended.by == by) {
            self.inherit(claim, &[by], content)?;
        }
        Ok(())
    }

    /// As [`Access::inherit`], of whatever was amended on the command line while nobody was served, or just before a crash.
    pub fn settle_amendments(&self, engine: &Engine) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut from = 0;
        loop {
            // Each amendment is a later entry than what it amends: earlier parts settle what later ones ask.
            let part = engine.registry.amendments(from, PART)?;
            self.accounts.own(&possessions(self.accounts.heirs(&part)?, engine)?)?;
            match part.last() {
                Some((last, _)) if part.len() == PART => from = last + 1,
                _ => return Ok(()),
            }
        }
    }

    /// Has everybody's own be found by the works, in a file from before that.
    pub fn settle_works(&self, engine: &Engine) -> Result<(), Box<dyn Error + Send + Sync>> {
        for part in self.accounts.not_found_by_works()?.chunks(PART) {
            self.accounts.find_by_works(&possessions(part.to_vec(), engine)?)?;
        }
        Ok(())
    }
}

fn possessions(
    entries: Vec<(u64, String)>,
    engine: &Engine,
) -> Result<Vec<Possession>, Box<dyn Error + Send + Sync>> {
    let mut found = Vec::new();
    for (index, account) in entries {
        if let Some(record) = engine.registry.by_index(index)? {
            let content = *record.leaf.content.sha256();
            found.push(Possession { index, account, content });
        }
    }
    Ok(found)
}

/// Entries that are looked at together.
const PART: usize = 10_000;

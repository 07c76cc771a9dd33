//! What a claim says is erased: title, claimant, path, fingerprints. Its entry stays, and so does what it did to others.
//!
//! A withdrawal names who withdraws, and holds up the effect that nothing is claimed any more. Before it goes, another one
//! that names nobody is entered in its place: an entry like any other, of which a reader of the log and its claims finds,
//! once the first is erased, that it is the first to withdraw that claim (docs/formats.md, Amendments). The first is withdrawn
//! as well: without its text nothing tells it from a registration.

use std::error::Error;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use timemark_store::{Record, Registrations, RegistryError};
use timemark_tlog::LogError;
use timemark_verify::{Act, Amendment, Claim};

use crate::amend::Fate;
use crate::derive::DeriveError;
use crate::engine::Engine;

/// Sees to it, durably, that registry and index are made anew at the next start: deleting rows could leave traces; and that
/// whatever else has the words of these entries loses them. It is done before anything goes, so that they go even if this
/// process is killed.
pub type Disown<'a> = &'a dyn Fn(&[u64]) -> Result<(), Box<dyn Error + Send + Sync>>;

/// What came of it.
#[derive(Debug, Default)]
pub struct Erasure {
    /// The entries whose claims, or other texts, are no more; in ascending order.
    pub erased: Vec<u64>,
    /// The entries that withdraw, and name nobody, what would have been claimed again otherwise.
    pub withdrawals: Vec<u64>,
    /// Why it did not come to its end. What was to be erased is to be erased again: the last of `erased` may be gone from
    /// the log alone.
    pub failed: Option<EraseError>,
}

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// There is none.
    #[error("there is no entry {index}; the log holds {size}")]
    NoEntry {
        /// Its number.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// It says nothing of anybody: it stands in for a withdrawal that was erased.
    #[error("entry {index} withdraws and names nobody: there is nothing in it to be erased")]
    Nameless {
        /// Its number.
        index: u64,
    },
    /// There is nothing left of it.
    #[error("the claim behind entry {index} is erased already")]
    Gone {
        /// Its number.
        index: u64,
    },
    /// Without what amends it, an earlier claim would stand again.
    #[error(
        "entry {index} {} the claim of entry {earlier}, which would stand again: erase that one first",
        act.name()
    )]
    WouldStandAgain {
        /// The entry that was to be erased.
        index: u64,
        /// What it does.
        act: Act,
        /// To which one.
        earlier: u64,
    },
    /// What is derived could not be disowned; nothing was erased.
    #[error("nothing was erased: registry and index could not be marked for being made anew")]
    Disown(#[source] Box<dyn Error + Send + Sync>),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A withdrawal that was entered in the place of another could not be read back.
    #[error(transparent)]
    Derive(#[from] DeriveError),
}

/// Erases the claim, or other text, behind an entry. When this returns, it is gone from the log, durably, and nobody is
/// answered from it any more; an earlier claim that it amends must have been erased before.
pub fn erase(index: u64, engine: &Engine, disown: Disown<'_>) -> Result<Erasure, EraseError> {
    let _one_at_a_time = engine.amending.lock().unwrap_or_else(PoisonError::into_inner);
    let size = engine.log.size();
    if index >= size {
        return Err(EraseError::NoEntry { index, size });
    }
    let record = engine.registry.by_index(index)?;
    if let Some((amends, earlier)) = record.as_ref().map_or(Ok(None), |r| amended_by(r, engine))?
        && earlier.claim.is_some()
    {
        let (act, earlier) = (amends.act, earlier.index);
        return Err(EraseError::WouldStandAgain { index, act, earlier });
    }
    erase_all(vec![(index, record)], engine, disown)
}

/// As [`erase`], of a claim and every earlier one that it amends, which would stand again without it. The earliest goes
/// first, so that a crash leaves what can be gone on with.
pub fn erase_whole(index: u64, engine: &Engine, disown: Disown<'_>) -> Result<Erasure, EraseError> {
    let _one_at_a_time = engine.amending.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut chain, mut next) = (Vec::new(), engine.registry.by_index(index)?);
    if next.as_ref().is_none_or(|record| record.claim.is_none()) {
        let size = engine.log.size();
        return Err(match next {
            Some(_) => EraseError::Gone { index },
            None => EraseError::NoEntry { index, size },
        });
    }
    while let Some(record) = next {
        let earlier = amended_by(&record, engine)?.map(|(_, earlier)| earlier);
        next = earlier.filter(|earlier| earlier.claim.is_some());
        chain.push((record.index, Some(record)));
    }
    chain.reverse();
    erase_all(chain, engine, disown)
}

fn erase_all(
    entries: Vec<(u64, Option<Record>)>,
    engine: &Engine,
    disown: Disown<'_>,
) -> Result<Erasure, EraseError> {
    let claims = entries.iter().filter_map(|(_, record)| record.as_ref()?.claim.as_ref());
    if let [(index, _)] = &entries[..]
        && claims.clone().any(|claim| claim.is_withdrawal() && names_nobody(claim))
    {
        return Err(EraseError::Nameless { index: *index });
    }
    let indices: Vec<u64> = entries.iter().map(|(index, _)| *index).collect();
    disown(&indices).map_err(EraseError::Disown)?;
    engine.erased.store(true, Ordering::Release);
    let mut erasure = Erasure::default();
    for (index, record) in entries {
        if let Err(error) = erase_one(index, record.as_ref(), engine, &mut erasure) {
            // A later one is not erased before this: it is found by those that are left.
            if erasure.erased.is_empty() && erasure.withdrawals.is_empty() {
                return Err(error);
            }
            erasure.failed = Some(error);
            break;
        }
    }
    Ok(erasure)
}

fn erase_one(
    index: u64,
    record: Option<&Record>,
    engine: &Engine,
    erasure: &mut Erasure,
) -> Result<(), EraseError> {
    if let Some(record) = record
        && let Some((_, earlier)) = amended_by(record, engine)?
        && Fate::of(earlier.index, &*engine.registry)?.withdrawn_by.is_some()
    {
        erasure.withdrawals.push(withdraw_namelessly(record, &earlier, engine)?);
    }
    if let Some(record) = record
        && record.claim.as_ref().is_some_and(Claim::is_withdrawal)
    {
        erasure.withdrawals.push(withdraw_namelessly(record, record, engine)?);
    }
    engine.log.erase_claim(index)?;
    erasure.erased.push(index);
    Ok(engine.registry.erase(index)?)
}

/// The claim that an entry amends, by the rules, and how.
fn amended_by(
    record: &Record,
    engine: &Engine,
) -> Result<Option<(Amendment, Record)>, RegistryError> {
    let Some(amends) = record.claim.as_ref().and_then(|claim| claim.amends) else {
        return Ok(None);
    };
    let amended = engine.registry.amended(amends.index)?;
    if amended.is_none_or(|amended| amended.by != record.index) {
        return Ok(None);
    }
    let earlier = engine.registry.by_index(amends.index)?;
    Ok(earlier.map(|earlier| (amends, earlier)))
}

/// Whether a claim says which work it is about, and nothing else.
pub fn names_nobody(claim: &Claim) -> bool {
    let Claim { fingerprints, title, claimant, created, rights, collection, path, .. } = claim;
    let texts = [title, claimant, created, rights, collection];
    texts.into_iter().all(Option::is_none) && path.is_none() && fingerprints.is_empty()
}

/// Enters a withdrawal of `withdrawn`, which is erased or is `record` itself, that says of the work only which one it is. It
/// takes effect once the amendment `record` is erased as well.
fn withdraw_namelessly(
    record: &Record,
    withdrawn: &Record,
    engine: &Engine,
) -> Result<u64, EraseError> {
    let Some(claim) = &record.claim else { return Err(EraseError::Gone { index: record.index }) };
    let Record { index, leaf, .. } = *withdrawn;
    let mut nameless = Claim {
        work: claim.work,
        media_type: claim.media_type.clone(),
        fingerprints: Vec::new(),
        title: None,
        claimant: None,
        created: None,
        rights: None,
        collection: None,
        path: None,
        amends: Some(Amendment { act: Act::Withdraws, index, claim: leaf.claim }),
        creator: None,
        salt: [0; 32],
    };
    nameless.salt = engine.salter.salt(&nameless, None);
    // One that was entered before a crash serves as well.
    let registry = &engine.registry;
    let read = |from, most| registry.by_claimant(&leaf.content, None, from, most);
    for there in Registrations::from(record.index + 1, read) {
        let there = there?;
        if there.claim.as_ref() == Some(&nameless) {
            return Ok(there.index);
        }
    }
    let entry = engine.log.append(&nameless)?.anchors[0].index;
    engine.catch_up_with(entry)?;
    Ok(entry)
}

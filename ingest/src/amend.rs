//! A claim is corrected or withdrawn: by a later claim upon the same work, which is an entry and has a receipt of its own.
//!
//! The work need not be here: what describes it comes from the claim that is amended. What becomes of a claim is told by
//! the registry (`Registry::amended`); the receipt of the earlier claim stays true, for that was said, and then.

use std::sync::PoisonError;

use timemark_store::{Record, Registry, RegistryError};
use timemark_tlog::LogError;
use timemark_verify::{Act, Amendment, Claim, Receipt};

use crate::creator::CreatorKey;
use crate::derive::DeriveError;
use crate::engine::Engine;
use crate::register::{RegisterError, Submission, check_texts, said};

/// What a correction says instead. What is `None` stays as it was; an empty text takes away what was said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Correction<'a> {
    /// The work's title.
    pub title: Option<&'a str>,
    /// Who claims.
    pub claimant: Option<&'a str>,
    /// When the work was made, as claimed.
    pub created: Option<&'a str>,
    /// Under which terms it may be used.
    pub rights: Option<&'a str>,
    /// The collection it belongs to.
    pub collection: Option<&'a str>,
}

/// What came of it.
#[derive(Debug)]
pub struct AmendedClaim {
    /// The receipt of the claim that amends.
    pub receipt: Receipt,
    /// Registered from here on, but registry or index could not follow; they do at the next start.
    pub behind: Option<DeriveError>,
}

/// Why a claim was not amended.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    /// There is no such entry, or it registers no work.
    #[error("entry {index} of the log registers no work")]
    NoWork {
        /// Its number.
        index: u64,
    },
    /// There is nothing left of the claim.
    #[error("the claim behind entry {index} is erased; register the work anew to claim it")]
    Erased {
        /// Its number.
        index: u64,
    },
    /// Something else stands in its place.
    #[error("the claim of entry {index} was corrected by entry {by}: correct or withdraw that one")]
    Corrected {
        /// Its number.
        index: u64,
        /// By which entry.
        by: u64,
        /// Whether that one says exactly what was to be said now: it was asked for twice.
        is_same: bool,
    },
    /// Nothing is claimed any more.
    #[error(
        "the claim of entry {index} was withdrawn by entry {by}; register the work anew to claim it"
    )]
    Withdrawn {
        /// Its number.
        index: u64,
        /// By which entry.
        by: u64,
        /// Whether it was withdrawn in the very way in which it was to be now.
        is_same: bool,
    },
    /// It claims nothing.
    #[error(
        "entry {index} withdraws a claim and is none itself; register the work anew to claim it"
    )]
    Withdrawal {
        /// Its number.
        index: u64,
    },
    /// Only who signed it can take it back.
    #[error(
        "the claim of entry {index} is signed by its creator: it is amended under the same key only (--creator-key)"
    )]
    Signed {
        /// Its number.
        index: u64,
    },
    /// The correction says what the claim says.
    #[error("nothing is corrected: the claim of entry {index} says that already")]
    Same {
        /// Its number.
        index: u64,
    },
    /// The texts do not fit into a claim.
    #[error(transparent)]
    Texts(#[from] RegisterError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The log failed, or what is said cannot stand in a claim.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Corrects the claim of this entry. When this returns, the correction is durable.
pub fn correct(
    index: u64,
    correction: &Correction<'_>,
    key: Option<&CreatorKey>,
    engine: &Engine,
) -> Result<AmendedClaim, AmendError> {
    let Correction { title, claimant, created, rights, collection } = *correction;
    check_texts(&Submission {
        title,
        claimant,
        created,
        rights,
        collection,
        ..Submission::default()
    })?;
    let instead = |old: &Option<String>, new: Option<&str>| match new {
        Some(new) => said(Some(new)),
        None => old.clone(),
    };
    amend(index, Act::Corrects, key, engine, |old| Claim {
        title: instead(&old.title, title),
        claimant: instead(&old.claimant, claimant),
        created: instead(&old.created, created),
        rights: instead(&old.rights, rights),
        collection: instead(&old.collection, collection),
        ..old.clone()
    })
}

/// Withdraws the claim of this entry. The withdrawal says who withdraws which work, and nothing else of what was said.
pub fn withdraw(
    index: u64,
    key: Option<&CreatorKey>,
    engine: &Engine,
) -> Result<AmendedClaim, AmendError> {
    let nothing_else =
        |old: &Claim| Claim { created: None, rights: None, collection: None, ..old.clone() };
    amend(index, Act::Withdraws, key, engine, nothing_else)
}

fn amend(
    index: u64,
    act: Act,
    key: Option<&CreatorKey>,
    engine: &Engine,
    say: impl FnOnce(&Claim) -> Claim,
) -> Result<AmendedClaim, AmendError> {
    let Some(Record { leaf, claim, .. }) = engine.registry.by_index(index)? else {
        return Err(AmendError::NoWork { index });
    };
    let old = claim.ok_or(AmendError::Erased { index })?;
    let _one_at_a_time = engine.amending.lock().unwrap_or_else(PoisonError::into_inner);
    // Who registers the same work now waits; what they see then is what came of this.
    let _turn = engine.in_hand.wait_for((leaf.content, old.claimant.clone()));
    let said = say(&old);
    let is_nothing =
        act == Act::Corrects && said == old && (key.is_none() || old.creator.is_some());
    let mut claim =
        Claim { amends: Some(Amendment { act, index, claim: leaf.claim }), creator: None, ..said };
    claim.creator = key.map(|key| key.sign(&claim));
    claim.salt = engine.salter.salt(&claim, None);
    check_stands(index, &old, &claim, engine)?;
    if is_nothing {
        return Err(AmendError::Same { index });
    }
    let signer = |claim: &Claim| claim.creator.map(|creator| creator.key);
    if old.creator.is_some() && signer(&claim) != signer(&old) {
        return Err(AmendError::Signed { index });
    }
    let receipt = engine.log.append(&claim)?;
    // Amended from here on: whatever fails now, the receipt is handed out.
    let behind = engine.catch_up_with(receipt.anchors[0].index).err();
    Ok(AmendedClaim { receipt, behind })
}

/// Refuses a claim that is one no more: whoever amends it means what stands. `amending` is what was to be said of it.
fn check_stands(
    index: u64,
    claim: &Claim,
    amending: &Claim,
    engine: &Engine,
) -> Result<(), AmendError> {
    if claim.is_withdrawal() {
        return Err(AmendError::Withdrawal { index });
    }
    let Some(amended) = engine.registry.amended(index)? else { return Ok(()) };
    let by = amended.by;
    let there = engine.registry.by_index(by)?.and_then(|record| record.claim);
    let is_same = there.is_some_and(|there| there == *amending);
    Err(match amended.act {
        Act::Withdraws => AmendError::Withdrawn { index, by, is_same },
        Act::Corrects => AmendError::Corrected { index, by, is_same },
    })
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// The entry whose claim stands in its place, or stood there before it was withdrawn.
    pub corrected_by: Option<u64>,
    /// The entry by which it, or the claim that it was corrected to, was withdrawn.
    pub withdrawn_by: Option<u64>,
}

impl Fate {
    /// What became of the claim of this entry, to the end.
    pub fn of(index: u64, registry: &dyn Registry) -> Result<Fate, RegistryError> {
        let (mut fate, mut at) = (Fate::default(), index);
        // Each amendment is a later entry than what it amends.
        while let Some(amended) = registry.amended(at)? {
            at = amended.by;
            match amended.act {
                Act::Corrects => fate.corrected_by = Some(at),
                Act::Withdraws => fate.withdrawn_by = Some(at),
            }
        }
        Ok(fate)
    }
}

/// A registration and the claim that stands in its place.
pub(crate) struct Standing {
    /// The first of the claims, which tells since when there is one.
    pub first: Record,
    /// The claim that stands, which tells in whose words.
    pub now: Record,
}

impl Engine {
    /// What became of the claim of this entry.
    pub fn amended(&self, index: u64) -> Result<Fate, RegistryError> {
        Fate::of(index, &*self.registry)
    }

    /// What stands of the claim of this entry; `None` where it was withdrawn, or is no claim: it accuses nobody.
    pub(crate) fn standing(&self, index: u64) -> Result<Option<Standing>, RegistryError> {
        let Some(now) = self.registry.standing(index)? else { return Ok(None) };
        let Some(mut first) = self.registry.by_index(index)? else { return Ok(None) };
        while let Some(amends) = first.claim.as_ref().and_then(|claim| claim.amends) {
            // A line that amends nothing by the rules makes a claim of its own.
            let amended = self.registry.amended(amends.index)?;
            if amended.is_none_or(|amended| amended.by != first.index) {
                break;
            }
            let Some(earlier) = self.registry.by_index(amends.index)? else { break };
            first = earlier;
        }
        Ok(Some(Standing { first, now }))
    }
}

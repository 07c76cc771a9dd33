//! What a registry promises: the works of the log, found by index and by content.
//!
//! It is derived from the log. It may lag behind and be thrown away; whoever holds the log fills it
//! again from [`Registry::len`] on.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::vec;

use timemark_verify::{Act, Claim, ContentId, Leaf};

/// A registered work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number of its entry in the log.
    pub index: u64,
    /// What the log publishes.
    pub leaf: Leaf,
    /// What the claimant says; `None` once it is erased.
    pub claim: Option<Claim>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amended {
    /// What was done to it.
    pub act: Act,
    /// The number of the entry that did it.
    pub by: u64,
}

/// The works of a log. Several threads may read and advance it at once.
pub trait Registry: Send + Sync {
    /// Takes in what the log holds from the present [`Registry::len`] up to `len`: these works, in
    /// ascending order; entries of other kinds have no record. All or nothing, and visible at once.
    /// What does not follow is [`RegistryError::Refused`], so nothing is ever taken in twice.
    fn advance(&self, records: &[Record], len: u64) -> Result<(), RegistryError>;

    /// The work of this entry; `None` for an entry of another kind, or one not taken in yet.
    fn by_index(&self, index: u64) -> Result<Option<Record>, RegistryError>;

    /// Registrations of the same bytes from this index on, by ascending index: so many of them. There may be any number;
    /// [`Registrations`] goes through them one after the other.
    fn by_content(
        &self,
        content: &ContentId,
        from: u64,
        most: usize,
    ) -> Result<Vec<Record>, RegistryError>;

    /// How many registrations of the same bytes there are from this index on; no more than so many are counted.
    fn count_by_content(
        &self,
        content: &ContentId,
        from: u64,
        most: usize,
    ) -> Result<usize, RegistryError>;

    /// As [`Registry::by_content`], those whose claims name this claimant, or nobody.
    fn by_claimant(
        &self,
        content: &ContentId,
        claimant: Option<&str>,
        from: u64,
        most: usize,
    ) -> Result<Vec<Record>, RegistryError>;

    /// The collections that claims name, in the order of their names, after this one; and how many registrations each has.
    fn collections(&self, after: &str, limit: usize) -> Result<Vec<(String, u64)>, RegistryError>;

    /// Registrations of a collection before this index, newest first.
    fn in_collection(
        &self,
        name: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Record>, RegistryError>;
    /// What became of the claim of this entry: the first later one that amends it, by [`Claim::amends`]. Where the earlier
    /// claim is erased, its digest in the log tells whether it was meant.
    fn amended(&self, index: u64) -> Result<Option<Amended>, RegistryError>;

    /// Claims from this entry on that were amended, each with the entry that amended it, by ascending index.
    fn amendments(&self, from: u64, most: usize) -> Result<Vec<(u64, u64)>, RegistryError>;

    /// Forgets what the claim of this entry says, so that all is as if it were filled anew from a log where that is erased:
    /// what it amended is amended by the next one that does, if there is any. Durable when it returns; what was written
    /// before may lie on the disk until it is written over.
    fn erase(&self, index: u64) -> Result<(), RegistryError>;

    /// The claim that stands in the place of this entry's: itself, or what it was corrected to; `None` where it was
    /// withdrawn, is itself a withdrawal, or there is no such entry.
    fn standing(&self, index: u64) -> Result<Option<Record>, RegistryError> {
        let mut at = index;
        // Each amendment is a later entry than what it amends.
        while let Some(amended) = self.amended(at)? {
            if amended.act == Act::Withdraws {
                return Ok(None);
            }
            at = amended.by;
        }
        let record = self.by_index(at)?;
        let withdraws = |record: &Record| record.claim.as_ref().is_some_and(Claim::is_withdrawal);
        Ok(record.filter(|record| !withdraws(record)))
    }

    /// How many entries of the log have been taken in: where to resume.
    fn len(&self) -> Result<u64, RegistryError>;

    /// Makes what was taken in durable. Without it, a crash costs a longer replay and nothing else.
    fn flush(&self) -> Result<(), RegistryError>;

    /// Why its disk takes nothing at the moment, where there is such a reason.
    fn refuses(&self) -> Option<String> {
        None
    }

    /// Whether nothing has been taken in.
    fn is_empty(&self) -> Result<bool, RegistryError> {
        Ok(self.len()? == 0)
    }
}

/// Registrations one after the other, by ascending index, read a few at a time: whoever has found what they look for reads
/// no more, however many there are.
pub struct Registrations<F> {
    read: F,
    /// Where to go on; `None` once there are no more.
    from: Option<u64>,
    most: usize,
    page: vec::IntoIter<Record>,
}

impl<E, F: FnMut(u64, usize) -> Result<Vec<Record>, E>> Registrations<F> {
    /// Those from this entry on that `read` gives, which is asked for so many from an index on.
    pub fn from(from: u64, read: F) -> Registrations<F> {
        Registrations { read, from: Some(from), most: PAGE_MIN, page: Vec::new().into_iter() }
    }
}

impl<E, F: FnMut(u64, usize) -> Result<Vec<Record>, E>> Iterator for Registrations<F> {
    type Item = Result<Record, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            let page = match (self.read)(self.from.take()?, self.most) {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            if page.len() == self.most {
                self.from = page.last().map(|record| record.index + 1);
            }
            self.most = (self.most * 2).min(PAGE_MAX);
            self.page = page.into_iter();
        }
        self.page.next().map(Ok)
    }
}

/// Registrations of the same bytes, by ascending index.
pub fn registrations<'a>(
    registry: &'a dyn Registry,
    content: &'a ContentId,
) -> impl Iterator<Item = Result<Record, RegistryError>> + 'a {
    Registrations::from(0, move |from, most| registry.by_content(content, from, most))
}

/// Most works are registered once or twice.
const PAGE_MIN: usize = 4;
const PAGE_MAX: usize = 256;

/// Why a registry could not be opened, read or advanced.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It is damaged or of another version. Throw it away and fill a new one from the log.
    #[error("the registry {} cannot be read and has to be rebuilt from the log", path.display())]
    Unreadable {
        /// The file to throw away.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another process has it open.
    #[error("the registry {} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The caller's mistake: these works do not follow what has been taken in.
    #[error("entry {index} cannot be taken in: {reason}")]
    Refused {
        /// The first entry at fault.
        index: u64,
        /// Why.
        reason: &'static str,
    },
    /// The registry's disk failed, or is full.
    #[error("the registry {} failed", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Refuses what does not follow the first `from` entries: for a backend's `advance`.
pub(crate) fn check_advance(records: &[Record], from: u64, to: u64) -> Result<(), RegistryError> {
    let refused = |index, reason| Err(RegistryError::Refused { index, reason });
    if to < from {
        return refused(to, "the registry is already past it");
    }
    let mut next = from;
    for Record { index, leaf, claim } in records {
        if *index < next {
            return refused(*index, "it is taken in already, or not in ascending order");
        }
        if *index >= to {
            return refused(*index, "it lies beyond the length given");
        }
        if claim.as_ref().is_some_and(|claim| Leaf::of(claim) != *leaf) {
            return refused(*index, "the claim is not the one that the log publishes");
        }
        next = index + 1;
    }
    Ok(())
}

/// Whether a record amends an earlier one, which may be erased: for a backend's `advance`.
pub(crate) fn amends(record: &Record, earlier: &Record) -> bool {
    let Some(claim) = &record.claim else { return false };
    match &earlier.claim {
        Some(earlier_claim) => claim.amends(record.index, earlier_claim, earlier.index),
        None => claim.amends.is_some_and(|amends| {
            amends.index == earlier.index
                && earlier.index < record.index
                && amends.claim == earlier.leaf.claim
                && earlier.leaf.content == record.leaf.content
        }),
    }
}

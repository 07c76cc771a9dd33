//! How many matches stand how, and what lies before and after one among those that nobody decided.

use redb::{AccessGuard, ReadOnlyTable, StorageError};

use crate::error::ReviewError;
use crate::matches::{MatchId, Standing, Verdict};
use crate::review::Review;
use crate::seen::{Lens, brief};
use crate::store::{BRIEFS, BriefRow, Failure, STANDINGS, damaged};

/// Where a match lies among those that stand in a certain way; it need not be one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// How many were found before it.
    pub before: u64,
    /// How many there are.
    pub all: u64,
    /// The last one before it.
    pub previous: Option<MatchId>,
    /// The first one after it.
    pub next: Option<MatchId>,
    /// The first of all.
    pub first: Option<MatchId>,
}

impl Review {
    /// How many matches that somebody sees stand in each way; beyond [`COUNTED_MAX`] nobody counts.
    pub fn standings(&self, lens: Option<Lens<'_>>) -> Result<Vec<(Standing, u64)>, ReviewError> {
        self.store.read(|tx| {
            let seeing = Seeing { briefs: tx.open_table(BRIEFS)?, lens };
            let standings = tx.open_table(STANDINGS)?;
            let count = |standing: Standing| {
                let code = standing.code();
                let all = standings.range((code, 0)..=(code, u64::MAX))?;
                Ok::<_, Failure>((standing, seeing.count(all)?))
            };
            STANDINGS_OF_ALL.into_iter().map(count).collect()
        })
    }

    /// Where the match that was found as this number lies among those that stand so and that somebody sees.
    pub fn place(
        &self,
        standing: Standing,
        number: u64,
        lens: Option<Lens<'_>>,
    ) -> Result<Place, ReviewError> {
        self.store.read(|tx| {
            let seeing = Seeing { briefs: tx.open_table(BRIEFS)?, lens };
            let standings = tx.open_table(STANDINGS)?;
            let code = standing.code();
            let before = || standings.range((code, 0)..(code, number));
            let after = || standings.range((code, number.saturating_add(1))..=(code, u64::MAX));
            let all = || standings.range((code, 0)..=(code, u64::MAX));
            Ok(Place {
                before: seeing.count(before()?)?,
                all: seeing.count(all()?)?,
                previous: seeing.first(before()?.rev())?,
                next: seeing.first(after()?)?,
                first: seeing.first(all()?)?,
            })
        })
    }
}

/// Passes over what somebody does not see.
struct Seeing<'a> {
    briefs: ReadOnlyTable<&'static str, BriefRow>,
    lens: Option<Lens<'a>>,
}

impl Seeing<'_> {
    fn sees(&self, id: &str) -> Result<bool, Failure> {
        match self.lens {
            Some(lens) => Ok(lens(&brief(&self.briefs, id)?)),
            None => Ok(true),
        }
    }

    fn count<'e>(&self, all: impl Iterator<Item = Entry<'e>>) -> Result<u64, Failure> {
        let mut count = 0;
        for entry in all {
            if count == COUNTED_MAX as u64 {
                break;
            }
            count += u64::from(self.lens.is_none() || self.sees(entry?.1.value())?);
        }
        Ok(count)
    }

    fn first<'e>(&self, all: impl Iterator<Item = Entry<'e>>) -> Result<Option<MatchId>, Failure> {
        for entry in all {
            let id = entry?.1;
            if self.sees(id.value())? {
                return Ok(Some(id.value().parse().map_err(damaged)?));
            }
        }
        Ok(None)
    }
}

/// A match among those that stand so: how, as which number it was found, and its id.
type Entry<'a> = Result<(AccessGuard<'a, (u8, u64)>, AccessGuard<'a, &'static str>), StorageError>;

/// More are not counted: each time somebody looks, all of them would be gone through.
pub const COUNTED_MAX: usize = 100_000;
const STANDINGS_OF_ALL: [Standing; 6] = [
    Standing::Open,
    Standing::Decided(Verdict::Infringing),
    Standing::Decided(Verdict::Licensed),
    Standing::Decided(Verdict::NoMatch),
    Standing::Decided(Verdict::Unsure),
    Standing::AllowListed,
];

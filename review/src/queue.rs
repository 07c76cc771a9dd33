//! How many matches stand how, and what lies before and after one among those that nobody decided.

use redb::{AccessGuard, StorageError};

use crate::error::ReviewError;
use crate::matches::{MatchId, Standing, Verdict};
use crate::review::Review;
use crate::store::{Failure, STANDINGS, damaged};

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
    /// How many matches stand in each way; beyond [`COUNTED_MAX`] nobody counts.
    pub fn standings(&self) -> Result<Vec<(Standing, u64)>, ReviewError> {
        self.store.read(|tx| {
            let standings = tx.open_table(STANDINGS)?;
            let count = |standing: Standing| {
                let code = standing.code();
                let all = standings.range((code, 0)..=(code, u64::MAX))?;
                Ok::<_, Failure>((standing, all.take(COUNTED_MAX).count() as u64))
            };
            STANDINGS_OF_ALL.into_iter().map(count).collect()
        })
    }

    /// Where the match that was found as this number lies among those that stand so.
    pub fn place(&self, standing: Standing, number: u64) -> Result<Place, ReviewError> {
        self.store.read(|tx| {
            let standings = tx.open_table(STANDINGS)?;
            let code = standing.code();
            let before = || standings.range((code, 0)..(code, number));
            let after = || standings.range((code, number.saturating_add(1))..=(code, u64::MAX));
            let all = || standings.range((code, 0)..=(code, u64::MAX));
            let id = |entry: Option<Entry>| {
                let entry = entry.transpose()?;
                let id = entry.map(|(_, id)| id.value().parse::<MatchId>());
                id.transpose().map_err(damaged)
            };
            Ok(Place {
                before: before()?.take(COUNTED_MAX).count() as u64,
                all: all()?.take(COUNTED_MAX).count() as u64,
                previous: id(before()?.next_back())?,
                next: id(after()?.next())?,
                first: id(all()?.next())?,
            })
        })
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

//! What happened to matches, in the order in which it happened, for who follows it: each event has a place, from 1 on.

use redb::ReadableTable;

use crate::error::ReviewError;
use crate::matches::{Match, MatchId, missing};
use crate::review::Review;
use crate::store::{Failure, HISTORY, MATCHES, NUMBERS, VERDICTS, damaged, parse};
use crate::verdicts::Happened;

impl Review {
    /// The place of the match that was found last; 0 where there is none.
    pub fn last_found(&self) -> Result<u64, ReviewError> {
        self.store.read(|tx| Ok(tx.open_table(NUMBERS)?.last()?.map_or(0, |last| last.0.value())))
    }

    /// The place of what was decided or taken back last; 0 where nothing was.
    pub fn last_decided(&self) -> Result<u64, ReviewError> {
        self.store.read(|tx| Ok(tx.open_table(VERDICTS)?.last()?.map_or(0, |last| last.0.value())))
    }

    /// Matches from this place on, as they are now, each with its place.
    pub fn found_from(&self, place: u64, limit: usize) -> Result<Vec<(u64, Match)>, ReviewError> {
        self.store.read(|tx| {
            let matches = tx.open_table(MATCHES)?;
            let numbers = tx.open_table(NUMBERS)?;
            let found = numbers.range(place..)?.take(limit).map(|pair| {
                let (number, id) = pair?;
                let bytes = matches.get(id.value())?.ok_or_else(|| missing(id.value()))?;
                Ok((number.value(), parse(bytes.value())?))
            });
            found.collect::<Result<_, Failure>>()
        })
    }

    /// What was decided and taken back from this place on, each with its place and its match.
    pub fn decided_from(
        &self,
        place: u64,
        limit: usize,
    ) -> Result<Vec<(u64, MatchId, Happened)>, ReviewError> {
        self.store.read(|tx| {
            let history = tx.open_table(HISTORY)?;
            let verdicts = tx.open_table(VERDICTS)?;
            let decided = verdicts.range(place..)?.take(limit).map(|pair| {
                let (number, what) = pair?;
                let (id, at) = what.value();
                let bytes = history.get((id, at))?.ok_or_else(|| missing(id))?;
                let id = id.parse().map_err(damaged)?;
                Ok((number.value(), id, parse(bytes.value())?))
            });
            decided.collect::<Result<_, Failure>>()
        })
    }
}

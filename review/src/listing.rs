//! Matches in the order in which they were found: all, those of a scan or of a site, those that stand in a certain way, and
//! those that somebody sees.

use redb::{ReadOnlyTable, ReadTransaction};

use crate::error::ReviewError;
use crate::matches::{Match, Standing, missing};
use crate::review::Review;
use crate::seen::{self, Lens};
use crate::sites::OnSite;
use crate::store::{BRIEFS, BriefRow, Failure, MATCHES, NUMBERS, OF_JOB, STANDINGS, parse};

/// Which matches to list.
#[derive(Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Those that this scan found.
    pub scan: Option<u64>,
    /// Those that stand so; all, where it is none.
    pub standing: Option<Wish>,
    /// Those whose suspect was met on a site.
    pub site: Option<&'a OnSite>,
    /// Those that somebody sees; all, where it is none.
    pub seen: Option<Lens<'a>>,
}

/// How matches may be asked to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// So, and no other way.
    Only(Standing),
    /// Decided by a person, whatever the verdict.
    Decided,
}

impl Wish {
    fn fits(self, standing: Standing) -> bool {
        match self {
            Wish::Only(wanted) => standing == wanted,
            Wish::Decided => matches!(standing, Standing::Decided(_)),
        }
    }
}

/// Some of many.
#[derive(Debug)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// What the next page comes after, if there is one.
    pub next: Option<u64>,
}

impl Review {
    /// Matches in the order in which they were found, after that place.
    pub fn matches(
        &self,
        filter: Filter<'_>,
        after: u64,
        limit: usize,
    ) -> Result<Page<Match>, ReviewError> {
        Ok(self.listed(filter, after, limit)?.0)
    }

    /// The same, and the last place that was looked at.
    pub(crate) fn listed(
        &self,
        filter: Filter<'_>,
        after: u64,
        limit: usize,
    ) -> Result<(Page<Match>, u64), ReviewError> {
        self.store.read(|tx| {
            let start = after.saturating_add(1);
            let mut looking = Looking::open(tx, filter, limit)?;
            let is_last = match filter {
                Filter { site: Some(OnSite(all)), .. } => {
                    looking.go(all.range(start..).map(|(place, id)| Ok((*place, id.clone()))))?
                }
                Filter { scan: Some(scan), .. } => {
                    let of_job = tx.open_table(OF_JOB)?;
                    let range = of_job.range((scan, start)..=(scan, u64::MAX))?;
                    looking.go(range.map(|pair| {
                        let (key, id) = pair?;
                        Ok((key.value().1, id.value().to_owned()))
                    }))?
                }
                Filter { standing: Some(Wish::Only(standing)), .. } => {
                    let standings = tx.open_table(STANDINGS)?;
                    let code = standing.code();
                    let range = standings.range((code, start)..=(code, u64::MAX))?;
                    looking.go(range.map(|pair| {
                        let (key, id) = pair?;
                        Ok((key.value().1, id.value().to_owned()))
                    }))?
                }
                _ => {
                    let numbers = tx.open_table(NUMBERS)?;
                    looking.go(numbers.range(start..)?.map(|pair| {
                        let (number, id) = pair?;
                        Ok((number.value(), id.value().to_owned()))
                    }))?
                }
            };
            let mut page = looking.page;
            let place = page.next.unwrap_or(after);
            if is_last {
                page.next = None;
            }
            Ok((page, place))
        })
    }
}

/// A page that is being made.
struct Looking<'a> {
    matches: ReadOnlyTable<&'static str, &'static [u8]>,
    briefs: ReadOnlyTable<&'static str, BriefRow>,
    filter: Filter<'a>,
    limit: usize,
    looks: usize,
    page: Page<Match>,
}

impl<'a> Looking<'a> {
    fn open(
        tx: &ReadTransaction,
        filter: Filter<'a>,
        limit: usize,
    ) -> Result<Looking<'a>, Failure> {
        Ok(Looking {
            matches: tx.open_table(MATCHES)?,
            briefs: tx.open_table(BRIEFS)?,
            filter,
            limit,
            looks: 0,
            page: Page { items: Vec::new(), next: None },
        })
    }

    /// Whether it came to the end.
    fn go(
        &mut self,
        all: impl Iterator<Item = Result<(u64, String), Failure>>,
    ) -> Result<bool, Failure> {
        for one in all {
            let (place, id) = one?;
            if self.page.items.len() == self.limit || self.looks >= LOOKS_MAX {
                return Ok(false);
            }
            self.look(&id)?;
            self.page.next = Some(place);
        }
        Ok(true)
    }

    fn look(&mut self, id: &str) -> Result<(), Failure> {
        self.looks += 1;
        if let Some(lens) = self.filter.seen
            && !lens(&seen::brief(&self.briefs, id)?)
        {
            return Ok(());
        }
        self.looks += WHOLE_LOOKS;
        let bytes = self.matches.get(id)?.ok_or_else(|| missing(id))?;
        let found: Match = parse(bytes.value())?;
        if self.filter.standing.is_none_or(|wish| wish.fits(found.standing())) {
            self.page.items.push(found);
        }
        Ok(())
    }
}

/// What one page looks at: those that do not fit are passed over. To read a match costs about as much as to pass over a
/// hundred that somebody does not see.
const LOOKS_MAX: usize = 1_000_000;
const WHOLE_LOOKS: usize = 99;

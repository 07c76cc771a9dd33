//! What little of a match tells whether somebody sees it, and where their own scans met it.

use std::collections::{BTreeSet, HashMap};

use redb::ReadableTable;
use timemark_verify::ContentId;

use crate::error::ReviewError;
use crate::job::Job;
use crate::matches::{MatchId, SIGHTINGS_TOLD_MAX, Sighting, missing};
use crate::review::Review;
use crate::store::{BRIEFS, BriefRow, Failure, JOBS, OF_JOB, SIGHTINGS, parse};

/// A match in so few bytes that all of them can be gone through while somebody waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brief {
    /// How many were found before it, and one.
    pub number: u64,
    /// The work.
    pub work: ContentId,
    /// Whether the suspect is the work, to the byte.
    pub is_exact: bool,
}

/// Which matches somebody sees.
pub type Lens<'a> = &'a dyn Fn(&Brief) -> bool;

/// Where some of the scans met the suspect of a match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Met {
    /// The first places.
    pub places: Vec<Sighting>,
    /// How often, as far as places are kept.
    pub sightings: u64,
    /// The scan that met it last.
    pub scan: Option<u64>,
}

impl Brief {
    /// As it lies in the file.
    pub(crate) fn row(&self) -> (u64, &[u8; 32], bool) {
        (self.number, self.work.sha256(), self.is_exact)
    }
}

/// The brief of a match.
pub(crate) fn brief(
    briefs: &impl ReadableTable<&'static str, BriefRow>,
    id: &str,
) -> Result<Brief, Failure> {
    let row = briefs.get(id)?.ok_or_else(|| missing(id))?;
    let (number, sha256, is_exact) = row.value();
    Ok(Brief { number, work: ContentId::from_sha256(*sha256), is_exact })
}

impl Review {
    /// Where scans of these owners met the suspect of a match.
    pub fn met_by(&self, id: &MatchId, owners: &BTreeSet<String>) -> Result<Met, ReviewError> {
        self.store.read(|tx| {
            let (sightings, jobs) = (tx.open_table(SIGHTINGS)?, tx.open_table(JOBS)?);
            let mut known = HashMap::new();
            let mut met = Met::default();
            for pair in sightings.range((id.text(), 0)..=(id.text(), u64::MAX))? {
                let sighting: Sighting = parse(pair?.1.value())?;
                let scan = sighting.scan;
                let is_theirs = match known.get(&scan) {
                    Some(is_theirs) => *is_theirs,
                    None => {
                        let job = jobs.get(scan)?.map(|job| parse::<Job>(job.value()));
                        let owner = job.transpose()?.and_then(|job| job.owner);
                        let is_theirs = owner.is_some_and(|owner| owners.contains(&owner));
                        known.insert(scan, is_theirs);
                        is_theirs
                    }
                };
                if is_theirs {
                    met.sightings += 1;
                    met.scan = met.scan.max(Some(scan));
                    if met.places.len() < SIGHTINGS_TOLD_MAX {
                        met.places.push(sighting);
                    }
                }
            }
            Ok(met)
        })
    }

    /// The places, among all that a scan found, of the matches that somebody sees.
    pub fn seen_places(&self, scan: u64, lens: Lens<'_>) -> Result<Vec<u64>, ReviewError> {
        self.store.read(|tx| {
            let (of_job, briefs) = (tx.open_table(OF_JOB)?, tx.open_table(BRIEFS)?);
            let mut places = Vec::new();
            for pair in of_job.range((scan, 0)..=(scan, u64::MAX))? {
                let (key, id) = pair?;
                if lens(&brief(&briefs, id.value())?) {
                    places.push(key.value().1);
                }
            }
            Ok(places)
        })
    }

    /// The place of a match among all that a scan found; the end, where it did not find it.
    pub fn place_in_scan(&self, scan: u64, id: &MatchId) -> Result<u64, ReviewError> {
        self.store.read(|tx| {
            for pair in tx.open_table(OF_JOB)?.range((scan, 0)..=(scan, u64::MAX))? {
                let (key, of) = pair?;
                if of.value() == id.text() {
                    return Ok(key.value().1);
                }
            }
            Ok(u64::MAX)
        })
    }
}

//! On which sites the suspects of matches were met, as web archives tell it.

use std::collections::{BTreeMap, BTreeSet};

use redb::ReadableTable;

use crate::domains::{is_host, reversed};
use crate::error::ReviewError;
use crate::job::Job;
use crate::queue::COUNTED_MAX;
use crate::review::Review;
use crate::seen::{self, Lens};
use crate::store::{BRIEFS, Failure, HOSTS, JOBS, OF_JOB, SITES, parse};

/// The matches of a scan by site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sites {
    /// Hosts and how many matches have a suspect that was met there, the most first.
    pub hosts: Vec<(String, u64)>,
    /// How many matches have a suspect that was met on no site that is known.
    pub elsewhere: u64,
    /// Whether there are more than were counted.
    pub is_cut: bool,
}

/// The matches whose suspect was met on a site, by the number as which they were found: collected once, and gone through
/// page by page.
pub struct OnSite(pub(crate) BTreeMap<u64, String>);

impl Review {
    /// The matches of a scan by site, of those that somebody sees. A suspect that was met on several counts for each.
    pub fn sites(&self, scan: u64, lens: Option<Lens<'_>>) -> Result<Sites, ReviewError> {
        self.store.read(|tx| {
            let (sites, briefs) = (tx.open_table(SITES)?, tx.open_table(BRIEFS)?);
            let of_job = tx.open_table(OF_JOB)?;
            let is_seen = |id: &str| match lens {
                Some(lens) => Ok::<_, Failure>(lens(&seen::brief(&briefs, id)?)),
                None => Ok(true),
            };
            let (mut counts, mut on_sites) = (BTreeMap::<String, u64>::new(), BTreeSet::new());
            let mut told = Sites::default();
            let range = sites.range((scan, "", "")..(scan.saturating_add(1), "", ""))?;
            for (looks, pair) in range.enumerate() {
                if looks == COUNTED_MAX {
                    told.is_cut = true;
                    break;
                }
                let key = pair?.0;
                let (_, host, id) = key.value();
                if is_seen(id)? {
                    *counts.entry(reversed(host)).or_default() += 1;
                    on_sites.insert(id.to_owned());
                }
            }
            for (looks, pair) in of_job.range((scan, 0)..=(scan, u64::MAX))?.enumerate() {
                if looks == COUNTED_MAX {
                    told.is_cut = true;
                    break;
                }
                let id = pair?.1;
                told.elsewhere += u64::from(!on_sites.contains(id.value()) && is_seen(id.value())?);
            }
            told.hosts = counts.into_iter().collect();
            told.hosts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            Ok(told)
        })
    }

    /// The matches whose suspect was met on a host or on one below it: by that scan, where one is named, or else by scans of
    /// these owners; by any, where neither is said.
    pub fn met_on(
        &self,
        site: &str,
        scan: Option<u64>,
        owners: Option<&BTreeSet<String>>,
    ) -> Result<OnSite, ReviewError> {
        self.store.read(|tx| {
            let (sites, mut ids) = (tx.open_table(SITES)?, BTreeSet::new());
            match (scan, owners) {
                (Some(scan), _) => ids_of_scan(&sites, scan, site, &mut ids)?,
                (None, Some(owners)) => {
                    for pair in tx.open_table(JOBS)?.iter()? {
                        let (scan, job) = pair?;
                        let owner = parse::<Job>(job.value())?.owner;
                        if owner.is_some_and(|owner| owners.contains(&owner)) {
                            ids_of_scan(&sites, scan.value(), site, &mut ids)?;
                        }
                    }
                }
                (None, None) => ids = ids_on(&tx.open_table(HOSTS)?, site)?,
            }
            let briefs = tx.open_table(BRIEFS)?;
            let numbered = ids.into_iter().map(|id| Ok((seen::brief(&briefs, &id)?.number, id)));
            Ok(OnSite(numbered.collect::<Result<_, Failure>>()?))
        })
    }
}

/// The one spelling of a site: of a host, which may be the only label of its name.
pub fn site(spelled: &str) -> Result<String, ReviewError> {
    let name = spelled.strip_suffix('.').unwrap_or(spelled).to_ascii_lowercase();
    if is_host(&name) {
        return Ok(name);
    }
    Err(ReviewError::BadDomain(spelled.chars().take(100).collect()))
}

/// The ids of the matches whose suspect a scan met on a host or on one below it.
fn ids_of_scan(
    sites: &impl ReadableTable<(u64, &'static str, &'static str), ()>,
    scan: u64,
    host: &str,
    ids: &mut BTreeSet<String>,
) -> Result<(), Failure> {
    let own = reversed(host);
    let (below, end) = (format!("{own}."), format!("{own}/"));
    let ranges = [
        sites.range((scan, &*own, "")..(scan, &*own, "~"))?,
        sites.range((scan, &*below, "")..(scan, &*end, ""))?,
    ];
    for key in ranges.into_iter().flatten() {
        ids.insert(key?.0.value().2.to_owned());
    }
    Ok(())
}

/// The ids of all matches whose suspect was met on a host or on one below it.
pub(crate) fn ids_on(
    hosts: &impl ReadableTable<(&'static str, &'static str), ()>,
    host: &str,
) -> Result<BTreeSet<String>, Failure> {
    let own = reversed(host);
    // The host itself, and what is below it: "/" comes right after "." and in no host.
    let (below, end) = (format!("{own}."), format!("{own}/"));
    let ranges =
        [hosts.range((&*own, "")..(&*own, "~"))?, hosts.range((&*below, "")..(&*end, ""))?];
    let mut ids = BTreeSet::new();
    for key in ranges.into_iter().flatten() {
        ids.insert(key?.0.value().1.to_owned());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_a_host_in_lower_case() {
        assert_eq!(site("SHOP.example.").unwrap(), "shop.example");
        assert_eq!(site("127.0.0.1").unwrap(), "127.0.0.1");
        for bad in ["", "a b", "http://a.example", "a.example/x", "~"] {
            assert!(site(bad).is_err(), "{bad}");
        }
    }
}

//! Who looks at scans and at what they found, for the time of a request: which matches there are for them, and what they
//! are told of each.
//!
//! Who does not see every work is told of a match by whoever's scan, as it is about a work of theirs. What the suspect is
//! called and where it was met belongs to whoever scanned: of others' scans it is withheld.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use timemark_ingest::{Engine, Method};
use timemark_review::{Brief, Job, Lens, Match, OnSite, ReviewError, Sighting};
use timemark_verify::ContentId;

use super::sight::was_seen;
use super::{Access, Caller};
use crate::Problem;
use crate::service::Service;

/// Somebody who looks.
pub(crate) struct Viewer<'a> {
    caller: &'a Caller,
    service: &'a Service,
    /// Whose scans they see; `None` where that is everybody's.
    owners: Option<BTreeSet<String>>,
    works: OnceCell<Option<Works>>,
}

/// A match as somebody is told of it.
pub(crate) struct Told {
    pub found: Match,
    /// The first places where the suspect was met by scans that they see; for who sees all scans only where it is one match
    /// that is asked for.
    pub places: Vec<Sighting>,
    /// The scan that found it first, where they see that, and it is one match that is asked for.
    pub first_scan: Option<u64>,
    /// Whether only scans of others met it: then it has no name, no address and no scan.
    pub is_withheld: bool,
    /// Whether the pictures are withheld as well: both show the work, of which nothing tells that they had it.
    pub is_undrawn: bool,
}

/// The works of which somebody sees a registration, by SHA-256, and whether one of those showed what the work looks like.
struct Works(HashMap<[u8; 32], bool>);

impl Works {
    fn sees(&self, brief: &Brief) -> bool {
        self.0.get(brief.work.sha256()).is_some_and(|was_seen| *was_seen || brief.is_exact)
    }
}

impl<'a> Viewer<'a> {
    pub fn of(caller: &'a Caller, service: &'a Service) -> Result<Viewer<'a>, Problem> {
        let owners = service.access.scan_owners(caller)?;
        Ok(Viewer { caller, service, owners, works: OnceCell::new() })
    }

    /// Whether they see only some of the scans and of what these found.
    pub fn is_narrow(&self) -> bool {
        self.owners.is_some()
    }

    /// Whether a scan is there for them.
    pub fn sees_scan(&self, job: &Job) -> bool {
        match (&self.owners, &job.owner) {
            (None, _) => true,
            (Some(owners), Some(owner)) => owners.contains(owner),
            (Some(_), None) => false,
        }
    }

    /// Asks for matches, as far as they are there for them.
    pub fn looking<T>(
        &self,
        ask: impl FnOnce(Option<Lens<'_>>) -> Result<T, ReviewError>,
    ) -> Result<T, Problem> {
        Ok(match self.works()? {
            None => ask(None)?,
            Some(works) => ask(Some(&|brief: &Brief| works.sees(brief)))?,
        })
    }

    /// The places of the matches that they see among all that a scan found; `None` where they see all.
    pub fn places(&self, scan: u64) -> Result<Option<Vec<u64>>, Problem> {
        let review = &self.service.review;
        self.looking(|lens| lens.map(|lens| review.seen_places(scan, lens)).transpose())
    }

    /// A match as they are told of it; `None` where it is not there for them.
    pub fn tell(&self, mut found: Match) -> Result<Option<Told>, Problem> {
        let Some(owners) = &self.owners else {
            return Ok(Some(Told {
                found,
                places: Vec::new(),
                first_scan: None,
                is_withheld: false,
                is_undrawn: false,
            }));
        };
        let (access, engine) = (&self.service.access, &self.service.engine);
        let finding = vec![found.finding.clone()];
        let (mut seen, _) = access.visible(self.caller, finding, u64::MAX, engine)?;
        let Some(finding) = seen.pop() else { return Ok(None) };
        found.finding = finding;
        let met = self.service.review.met_by(&found.id, owners)?;
        let first = met.places.first();
        found.name = first.map(|place| place.name.clone()).unwrap_or_default();
        found.url = first.and_then(|place| place.url.clone());
        found.sightings = met.sightings;
        found.scan = met.scan.unwrap_or(found.scan);
        let is_withheld = met.places.is_empty();
        let is_exact = found.finding.method == Method::Exact.to_string();
        let is_undrawn = is_withheld && is_exact && {
            let work: ContentId = found.finding.work.parse().map_err(Problem::internal)?;
            !access.had(self.caller, &work, engine)?
        };
        if is_undrawn {
            found.no_picture = Some(UNDRAWN.to_owned());
        }
        Ok(Some(Told { found, places: met.places, first_scan: None, is_withheld, is_undrawn }))
    }

    /// The matches whose suspect was met on a site by scans that they see; by this one, where it is named.
    pub fn met_on(&self, site: &str, scan: Option<u64>) -> Result<OnSite, Problem> {
        Ok(self.service.review.met_on(site, scan, self.owners.as_ref())?)
    }

    fn works(&self) -> Result<Option<&Works>, Problem> {
        if self.works.get().is_none() {
            let works = match self.owners {
                None => None,
                Some(_) => Some(self.service.access.works_of(self.caller, &self.service.engine)?),
            };
            let _ = self.works.set(works);
        }
        Ok(self.works.get().and_then(Option::as_ref))
    }
}

impl Access {
    /// The works of which a caller with a narrow sight sees a registration.
    fn works_of(&self, caller: &Caller, engine: &Engine) -> Result<Works, Problem> {
        let mut works = HashMap::<[u8; 32], bool>::new();
        let Caller::Somebody(known) = caller else { return Ok(Works(works)) };
        for owner in &self.acts_for(known)? {
            for index in self.accounts.owned(owner, u64::MAX, usize::MAX)? {
                if let Some((sha256, was_seen)) = self.contents.of(index, engine)? {
                    *works.entry(sha256).or_default() |= was_seen;
                }
            }
        }
        Ok(Works(works))
    }

    /// Forgets what the claims of entries said that were erased.
    pub fn forget_claims(&self, erased: &[u64]) {
        self.contents.forget(erased);
    }
}

/// Of which work entries are, so that each is looked up once: it changes only where a claim is erased.
#[derive(Default)]
pub(super) struct Contents(Mutex<HashMap<u64, ([u8; 32], bool)>>);

impl Contents {
    /// The SHA-256 of the work of an entry, and whether its claim showed what that looks like.
    fn of(&self, index: u64, engine: &Engine) -> Result<Option<([u8; 32], bool)>, Problem> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = known().get(&index) {
            return Ok(Some(*content));
        }
        let record = engine.registry.by_index(index).map_err(Problem::internal)?;
        let Some(record) = record else { return Ok(None) }; // it is not taken in yet
        let content = (*record.leaf.content.sha256(), was_seen(record.claim.as_ref()));
        let mut known = known();
        if known.len() >= CONTENTS_MAX {
            known.clear();
        }
        known.insert(index, content);
        Ok(Some(content))
    }

    fn forget(&self, entries: &[u64]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for index in entries {
            known.remove(index);
        }
    }
}

/// Why there is no picture for who registered a work by its digests alone.
const UNDRAWN: &str = "it is the work to the byte, which only scans of others met, and no registration that you see shows \
                       that whoever made it had the work";
/// Entries that are remembered: some 20 MB.
const CONTENTS_MAX: usize = 250_000;

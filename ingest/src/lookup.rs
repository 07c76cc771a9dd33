//! Works that are found without looking at them: by their exact bytes, and by codes that are near.

use std::collections::HashSet;
use std::vec;

use timemark_index::Match;
use timemark_store::{RegistryError, registrations};
use timemark_verify::{ContentId, Fingerprint};
use timemark_vision::{Dihedral, Kind};

use crate::engine::Engine;
use crate::finding::Finding;
use crate::scan::QUALITY_MIN;

/// The work of the same bytes, by its first registration that stands.
pub fn exact_finding(
    content: &ContentId,
    engine: &Engine,
) -> Result<Option<Finding>, RegistryError> {
    // The first registration that stands, unless nothing but its number is left of it.
    let mut erased = None;
    for record in registrations(&*engine.registry, content) {
        let Some(standing) = engine.standing(record?.index)? else { continue };
        if standing.now.claim.is_some() {
            return Ok(Some(Finding::exact(&standing)));
        }
        erased.get_or_insert(standing);
    }
    Ok(erased.as_ref().map(Finding::exact))
}

/// The works whose PDQ code lies within `radius` bits of this one, nearest first.
pub fn near_code(code: Fingerprint, radius: u32, engine: &Engine) -> Nearby<'_> {
    // Of what picture it is, and with how much detail, is not known here.
    Nearby::of(Kind::Pdq, &[code], QUALITY_MAX, radius, engine)
}

/// Works whose codes are near, nearest first, each once. They are looked up one after the other: whoever has enough of them
/// pays for no more.
pub struct Nearby<'a> {
    engine: &'a Engine,
    kind: Kind,
    near: vec::IntoIter<Match>,
    found: HashSet<ContentId>,
}

impl<'a> Nearby<'a> {
    /// The works whose code lies within `radius` of one of these, which are of a picture with so much detail.
    pub(crate) fn of(
        kind: Kind,
        codes: &[Fingerprint],
        quality: u8,
        radius: u32,
        engine: &'a Engine,
    ) -> Nearby<'a> {
        // A picture without detail is near to every other such picture and a copy of none of them.
        let mut near = match quality >= QUALITY_MIN {
            true => engine.index.matches(kind, codes, radius),
            false => Vec::new(),
        };
        near.retain(|near| near.quality >= QUALITY_MIN);
        Nearby { engine, kind, near: near.into_iter(), found: HashSet::new() }
    }

    /// How many entries remain to be looked up.
    pub fn len(&self) -> usize {
        self.near.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries that remain to be looked up, nearest first.
    pub fn entries(&self) -> impl Iterator<Item = u64> {
        self.near.as_slice().iter().map(|near| near.index)
    }

    /// Passes over the other entries.
    pub fn keep(&mut self, entries: &HashSet<u64>) {
        let mut near: Vec<Match> = self.near.by_ref().collect();
        near.retain(|near| entries.contains(&near.index));
        self.near = near.into_iter();
    }

    fn finding(&mut self, near: Match) -> Result<Option<Finding>, RegistryError> {
        let Some(standing) = self.engine.standing(near.index)? else { return Ok(None) };
        // What was erased is known by its exact bytes alone, though the index has it until it is made anew.
        if standing.now.claim.is_none() || !self.found.insert(standing.first.leaf.content) {
            return Ok(None);
        }
        // Only PDQ has a code for each position.
        let position = Dihedral::ALL.get(near.variant).filter(|_| self.kind == Kind::Pdq);
        let transform = position.map(|position| position.words().to_owned());
        let finding = Finding::by_code(&standing, self.kind, near.distance);
        Ok(Some(Finding { transform, ..finding }))
    }
}

impl Iterator for Nearby<'_> {
    type Item = Result<Finding, RegistryError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(near) = self.near.next() {
            match self.finding(near) {
                Ok(None) => {}
                Ok(Some(finding)) => return Some(Ok(finding)),
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

/// The quality of a code of which nobody says otherwise.
const QUALITY_MAX: u8 = 100;

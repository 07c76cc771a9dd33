//! What became of suspects, by their bytes: a collection often holds the same file many times.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use timemark_verify::ContentId;

use crate::exclusive::{OneAtATime, Turn};
use crate::outcome::Outcome;

/// The newest outcomes. Two that have the same bytes are compared one after the other.
#[derive(Default)]
pub(crate) struct Repeats {
    generations: Mutex<Generations>,
    in_hand: OneAtATime<ContentId>,
}

/// When the young ones are too many, they become the old ones, and those are forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<ContentId, Known>,
    young_weight: usize,
    old: HashMap<ContentId, Known>,
}

/// What became of a suspect, and with how many entries of the log it was compared at least.
#[derive(Clone)]
pub(crate) struct Known {
    pub outcome: Arc<Outcome>,
    pub entries: u64,
}

impl Repeats {
    /// Waits until nobody else compares these bytes.
    pub fn wait_for(&self, content: ContentId) -> Turn<'_, ContentId> {
        self.in_hand.wait_for(content)
    }

    /// What became of these bytes, if they came before and are not forgotten.
    pub fn outcome(&self, content: &ContentId) -> Option<Known> {
        let mut generations = self.lock();
        if let Some(young) = generations.young.get(content) {
            return Some(young.clone());
        }
        let old = generations.old.remove(content)?;
        generations.keep(*content, old.clone());
        Some(old)
    }

    /// Remembers what became of these bytes.
    pub fn keep(&self, content: ContentId, known: Known) {
        self.lock().keep(content, known);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn keep(&mut self, content: ContentId, known: Known) {
        let findings = known.outcome.matches().len() + known.outcome.related().len();
        self.young_weight += 1 + findings * FINDING_WEIGHT;
        self.young.insert(content, known);
        if self.young_weight > WEIGHT_MAX {
            self.young_weight = 0;
            self.old = mem::take(&mut self.young);
        }
    }
}

/// Outcomes in a generation, about a hundred bytes each.
const WEIGHT_MAX: usize = 200_000;
/// A finding with the places that agree takes so many times that.
const FINDING_WEIGHT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_and_those_asked_for_are_remembered() {
        let repeats = Repeats::default();
        let id = |number: usize| ContentId::of(&number.to_be_bytes());
        for number in 0..3 * WEIGHT_MAX {
            let outcome = Arc::new(Outcome::CLEAR);
            repeats.keep(id(number), Known { outcome, entries: 0 });
            assert!(number % 10_000 != 0 || repeats.outcome(&id(7)).is_some() || number < 7);
        }
        assert!(repeats.outcome(&id(3 * WEIGHT_MAX - 1)).is_some());
        assert!(repeats.outcome(&id(8)).is_none());
        let generations = repeats.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * (WEIGHT_MAX + 1));
    }
}

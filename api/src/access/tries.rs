//! How often somebody may guess: a few failures for a name within a minute, and then none for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Problem;
use crate::problem::Kind;

/// Failures by name, in memory: a restart forgets them.
#[derive(Default)]
pub(crate) struct Tries(Mutex<HashMap<String, Failures>>);

struct Failures {
    since: Instant,
    count: u32,
}

impl Tries {
    /// Refuses who failed too often.
    pub fn check(&self, name: &str) -> Result<(), Problem> {
        let tries = self.lock();
        let failures = tries.get(name).filter(|failures| failures.since.elapsed() < WINDOW);
        if failures.is_some_and(|failures| failures.count >= FAILURES_MAX) {
            let detail = format!("{FAILURES_MAX} attempts failed within a minute");
            return Err(Problem::new(Kind::TooManyTries, detail));
        }
        Ok(())
    }

    /// As [`Tries::check`], and counts this as a failure until [`Tries::succeeded`] takes it back: of many who try at once
    /// no more get through.
    pub fn begin(&self, name: &str) -> Result<(), Problem> {
        self.check(name)?;
        self.failed(name);
        Ok(())
    }

    pub fn failed(&self, name: &str) {
        let mut tries = self.lock();
        if tries.len() >= NAMES_MAX && !tries.contains_key(name) {
            tries.retain(|_, failures| failures.since.elapsed() < WINDOW);
            if tries.len() >= NAMES_MAX {
                // Whoever is to wait waits on, however many others are tried. Each guess costs a slow digest: there is no
                // time for so many of those within a window.
                tries.retain(|_, failures| failures.count >= FAILURES_MAX);
            }
        }
        let failures =
            tries.entry(name.to_owned()).or_insert(Failures { since: Instant::now(), count: 0 });
        if failures.since.elapsed() >= WINDOW {
            *failures = Failures { since: Instant::now(), count: 0 };
        }
        failures.count += 1;
    }

    pub fn succeeded(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Within which failures count together.
const WINDOW: Duration = Duration::from_secs(60);
const FAILURES_MAX: u32 = 5;
/// Names that are remembered.
const NAMES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_often_waits_and_others_do_not() {
        let tries = Tries::default();
        for _ in 0..FAILURES_MAX {
            tries.begin("mei").unwrap();
        }
        assert!(tries.begin("mei").is_err() && tries.check("mei").is_err());
        assert!(tries.begin("wei").is_ok());
        tries.succeeded("mei");
        assert!(tries.begin("mei").is_ok());
        (0..FAILURES_MAX).for_each(|_| tries.failed("kim"));
        (0..=NAMES_MAX).for_each(|i| tries.failed(&i.to_string()));
        assert!(tries.lock().len() <= NAMES_MAX);
        assert!(tries.check("kim").is_err(), "nobody gets at more guesses by inventing names");
    }
}

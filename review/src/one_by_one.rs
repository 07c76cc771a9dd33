//! A scan under which the process ended: its next suspects are noted before they are compared, one after the other, so that
//! whatever ends the process again can be named.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::ReviewError;
use crate::job;
use crate::review::Review;

pub(crate) struct OneByOne<'a> {
    job: u64,
    review: &'a Review,
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    /// What is being compared.
    at: Vec<String>,
    /// How many were looked at so.
    count: usize,
    failure: Option<ReviewError>,
}

impl<'a> OneByOne<'a> {
    pub fn of(job: u64, review: &'a Review) -> OneByOne<'a> {
        OneByOne { job, review, state: Mutex::default(), told: Condvar::new() }
    }

    /// Waits until all that came before was told of, and notes what is compared next. Not for ever: it may be that nothing is
    /// told any more.
    pub fn look_at(&self, name: &str, stop: &AtomicBool) {
        let begun = Instant::now();
        let mut state = self.lock();
        if state.count >= LOOKED_AT_MAX || state.failure.is_some() {
            return;
        }
        while !state.at.is_empty() && begun.elapsed() < WAIT_MAX && !stop.load(Ordering::Relaxed) {
            let waited = self.told.wait_timeout(state, LOOK_AGAIN_AFTER);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.count += 1;
        state.at.push(name.to_owned());
        let noted = self.review.store.write(|tx| {
            let mut job = job::get(tx, self.job)?;
            job.looked_at.clone_from(&state.at);
            job::put(tx, &job)
        });
        state.failure = noted.err();
    }

    /// Whether somebody waits for what is at hand to be told.
    pub fn waits(&self) -> bool {
        !self.lock().at.is_empty()
    }

    /// What is at hand was told of, and is durable.
    pub fn goes_on(&self) {
        self.lock().at.clear();
        self.told.notify_all();
    }

    /// Why something could not be noted.
    pub fn failure(&self) -> Option<ReviewError> {
        self.lock().failure.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More than may be found, read and compared at a time: what ended the process is among them.
const LOOKED_AT_MAX: usize = 2000;
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

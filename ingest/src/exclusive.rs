//! Who may go on now: permits for costly work, and one thread at a time for the same thing.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of permits; a thread that takes one too many waits.
pub(crate) struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

/// A permit, given back when it is dropped.
pub(crate) struct Permit<'a>(&'a Permits);

impl Permits {
    pub fn new(count: usize) -> Permits {
        Permits { free: Mutex::new(count), returned: Condvar::new() }
    }

    pub fn take(&self) -> Permit<'_> {
        let mut free = lock(&self.free);
        while *free == 0 {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.returned.notify_one();
    }
}

/// Lets threads that want the same thing go one after the other.
pub(crate) struct OneAtATime<T> {
    taken: Mutex<HashSet<T>>,
    freed: Condvar,
}

impl<T> Default for OneAtATime<T> {
    fn default() -> OneAtATime<T> {
        OneAtATime { taken: Mutex::default(), freed: Condvar::new() }
    }
}

/// A turn, ended when it is dropped.
pub(crate) struct Turn<'a, T: Eq + Hash> {
    queue: &'a OneAtATime<T>,
    thing: T,
}

impl<T: Eq + Hash + Clone> OneAtATime<T> {
    pub fn wait_for(&self, thing: T) -> Turn<'_, T> {
        let mut taken = lock(&self.taken);
        while !taken.insert(thing.clone()) {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        drop(taken);
        Turn { queue: self, thing }
    }
}

impl<T: Eq + Hash> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        lock(&self.queue.taken).remove(&self.thing);
        self.queue.freed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

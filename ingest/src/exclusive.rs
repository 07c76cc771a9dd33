//! Who may go on now: permits for costly work, and one thread at a time for the same thing.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Wakes threads that wait for a change. Costs nothing while nobody waits, where a [`Condvar`] asks the system each time.
///
/// What is waited for is changed, and looked at before waiting, under the same mutex.
#[derive(Default)]
pub(crate) struct Bell {
    condvar: Condvar,
    waiting: AtomicUsize,
}

impl Bell {
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        // Whoever rings took the mutex after this thread let go of it, and so knows of it.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    pub fn wake_one(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.condvar.notify_one();
        }
    }

    pub fn wake_all(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.condvar.notify_all();
        }
    }
}

/// A number of permits; a thread that takes one too many waits.
pub(crate) struct Permits {
    free: Mutex<usize>,
    returned: Bell,
}

/// A permit, given back when it is dropped.
pub(crate) struct Permit<'a>(&'a Permits);

impl Permits {
    pub fn new(count: usize) -> Permits {
        Permits { free: Mutex::new(count), returned: Bell::default() }
    }

    pub fn take(&self) -> Permit<'_> {
        let mut free = lock(&self.free);
        while *free == 0 {
            free = self.returned.wait(free);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.returned.wake_one();
    }
}

/// Lets threads that want the same thing go one after the other.
pub(crate) struct OneAtATime<T> {
    taken: Mutex<HashSet<T>>,
    freed: Bell,
}

impl<T> Default for OneAtATime<T> {
    fn default() -> OneAtATime<T> {
        OneAtATime { taken: Mutex::default(), freed: Bell::default() }
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
            taken = self.freed.wait(taken);
        }
        drop(taken);
        Turn { queue: self, thing }
    }

    /// A turn, if nobody has it.
    pub fn try_take(&self, thing: T) -> Option<Turn<'_, T>> {
        let is_free = lock(&self.taken).insert(thing.clone());
        is_free.then(|| Turn { queue: self, thing })
    }
}

impl<T: Eq + Hash> Turn<'_, T> {
    /// What it is about.
    pub fn thing(&self) -> &T {
        &self.thing
    }
}

impl<T: Eq + Hash> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        lock(&self.queue.taken).remove(&self.thing);
        self.queue.freed.wake_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

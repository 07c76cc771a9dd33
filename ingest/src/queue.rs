//! What lies between the one who finds suspects and those who compare them: never more than fits in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exclusive::Bell;

/// Things that wait in line, each of some weight. Who brings one too many waits, until half of them are taken: threads
/// that wake each other for every single one would do little else.
pub(crate) struct Queue<T> {
    line: Mutex<Line<T>>,
    /// There is room again, or nothing more is wanted.
    has_room: Bell,
    /// Something came, or nothing more will.
    came: Bell,
    things_max: usize,
    weight_max: usize,
}

struct Line<T> {
    things: VecDeque<(T, usize)>,
    weight: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub fn new(things_max: usize, weight_max: usize) -> Queue<T> {
        let line = Line { things: VecDeque::new(), weight: 0, closed: false };
        let (has_room, came) = (Bell::default(), Bell::default());
        Queue { line: Mutex::new(line), has_room, came, things_max, weight_max }
    }

    /// Waits for room and gets in line; one thing goes in whatever it weighs. `false` if nothing more is wanted.
    pub fn push(&self, thing: T, weight: usize) -> bool {
        let mut line = self.lock();
        while !line.closed
            && !line.things.is_empty()
            && (line.things.len() >= self.things_max || line.weight + weight > self.weight_max)
        {
            line = self.has_room.wait(line);
        }
        if line.closed {
            return false;
        }
        line.weight += weight;
        line.things.push_back((thing, weight));
        drop(line);
        self.came.wake_one();
        true
    }

    /// Waits for the next; `None` once nothing is left and nothing more will come.
    pub fn pop(&self) -> Option<T> {
        let mut line = self.lock();
        loop {
            if let Some((thing, weight)) = line.things.pop_front() {
                line.weight -= weight;
                let has_room =
                    line.things.len() <= self.things_max / 2 && line.weight <= self.weight_max / 2;
                drop(line);
                if has_room {
                    self.has_room.wake_all();
                }
                return Some(thing);
            }
            if line.closed {
                return None;
            }
            line = self.came.wait(line);
        }
    }

    /// Whether anything more is wanted.
    pub fn is_open(&self) -> bool {
        !self.lock().closed
    }

    /// Nothing more will come; what is in line is still taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.has_room.wake_all();
        self.came.wake_all();
    }

    /// Nothing more is wanted, not even what is in line.
    pub fn abandon(&self) {
        let mut line = self.lock();
        line.things.clear();
        line.weight = 0;
        drop(line);
        self.close();
    }

    fn lock(&self) -> MutexGuard<'_, Line<T>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn everything_comes_through_once_and_little_lies_in_between() {
        let (things_max, weight_max) = (4, 100);
        let queue = Queue::new(things_max, weight_max);
        let (taken, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(thing) = queue.pop() {
                        taken.fetch_add(1, Ordering::Relaxed);
                        sum.fetch_add(thing, Ordering::Relaxed);
                        let line = queue.lock();
                        assert!(line.things.len() <= things_max);
                        assert!(line.weight <= weight_max || line.things.len() == 1);
                    }
                });
            }
            for thing in 0..1000 {
                assert!(queue.push(thing, thing % 300));
            }
            queue.close();
        });
        assert_eq!((taken.into_inner(), sum.into_inner()), (1000, 499_500));
    }

    #[test]
    fn who_waits_for_room_is_told_when_nothing_more_is_wanted() {
        let queue = Queue::new(1, 1);
        assert!(queue.push((), 9));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.push((), 9));
            queue.abandon();
            assert!(!waiting.join().unwrap());
        });
        assert_eq!(queue.pop(), None);
    }
}

//! Works are packed while others are registered and read: by threads that give way, and one bad work costs no other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use timemark_review::give_way;
use timemark_store::{BlobError, Packed, Replacement, Works};
use timemark_verify::ContentId;

use crate::outcome::{error_words, remark};

/// Packs works one after another, by as many threads as ask it to.
pub(crate) struct Packer<'a> {
    works: &'a Works,
    ready: Mutex<Vec<Replacement>>,
    before: AtomicU64,
    after: AtomicU64,
    packed: AtomicU64,
    failed: AtomicU64,
}

/// What came of it.
pub(crate) struct Sums {
    /// Bytes of the works that were looked at.
    pub before: u64,
    /// Bytes that they take now.
    pub after: u64,
    /// Works that take fewer.
    pub packed: u64,
    /// Works that could not be looked at.
    pub failed: u64,
}

impl<'a> Packer<'a> {
    pub fn new(works: &'a Works) -> Packer<'a> {
        let (ready, before, after, packed, failed) = Default::default();
        Packer { works, ready, before, after, packed, failed }
    }

    /// Packs a work. An error is one of the store: it would be that of the next work as well.
    pub fn pack(&self, id: &ContentId) -> Result<(), BlobError> {
        match self.works.pack(id) {
            Ok(Packed::Shorter { before, after, replacement }) => {
                self.count(before, after);
                self.packed.fetch_add(1, Ordering::Relaxed);
                let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
                ready.push(*replacement);
                if ready.len() >= REPLACED_AT_ONCE {
                    let replacements = std::mem::take(&mut *ready);
                    drop(ready);
                    self.works.replace(&replacements)?;
                }
            }
            Ok(Packed::AsItWas { bytes }) => self.count(bytes, bytes),
            Ok(Packed::Passed) => {}
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                remark(&format!("work {id} was not packed: {}", error_words(error)));
            }
        }
        Ok(())
    }

    /// Has what was packed take the place of what was there.
    pub fn finish(self) -> Result<Sums, BlobError> {
        let ready = self.ready.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.works.replace(&ready)?;
        self.works.forget_retired()?; // what other runs left
        Ok(Sums {
            before: self.before.into_inner(),
            after: self.after.into_inner(),
            packed: self.packed.into_inner(),
            failed: self.failed.into_inner(),
        })
    }

    fn count(&self, before: u64, after: u64) {
        self.before.fetch_add(before, Ordering::Relaxed);
        self.after.fetch_add(after, Ordering::Relaxed);
    }
}

/// What the packing thread of a run does: packs what was registered as it comes, and once the run `is_over` for no longer
/// than a little while. The rest is left to another run.
pub(crate) fn in_background(works: &Works, registered: Receiver<ContentId>, is_over: &AtomicBool) {
    give_way();
    let packer = Packer::new(works);
    let (mut left, mut over_since, mut failed) = (0, None, None);
    for id in registered {
        let since_over = is_over
            .load(Ordering::Relaxed)
            .then(|| over_since.get_or_insert_with(Instant::now).elapsed());
        if failed.is_some() || since_over.is_some_and(|time| time > PATIENCE) {
            left += 1;
        } else {
            failed = packer.pack(&id).err();
        }
    }
    let finished = packer.finish();
    if let Some(error) = failed.or(finished.err()) {
        remark(&format!("works were not packed: {}", error_words(error)));
    }
    if left > 0 {
        remark(&format!("{left} works were not packed yet; `timemark store pack` goes on"));
    }
}

/// So many blobs share one flush before they are forgotten.
const REPLACED_AT_ONCE: usize = 64;
/// How long packing may hold up the end of a run.
const PATIENCE: Duration = Duration::from_secs(10);

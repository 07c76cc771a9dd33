//! The jobs of an archive: asked for, at work one after the other, paused, cancelled, and told about.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use redb::ReadableTable;
use timemark_ingest::sources::Progress;

use crate::clock;
use crate::cursor;
use crate::error::ReviewError;
use crate::job::{self, Asked, Job, JobOptions, JobSource, JobState, Wanted};
use crate::listing::{Filter, Page};
use crate::matches::Match;
use crate::result::ResultJson;
use crate::roots::Roots;
use crate::seen::Lens;
use crate::store::{Failure, JOBS, OF_SUSPECT, RESULTS, Store, next_number, parse};
use crate::suspects::Suspects;

/// The jobs and matches of an archive, open for this process alone.
pub struct Review {
    pub(crate) store: Store,
    pub(crate) uploads: PathBuf,
    pub(crate) roots: Roots,
    pub(crate) suspects: Suspects,
    control: Mutex<Control>,
    /// Whether nothing more will be done. Set while `control` is held, so that nobody begins to wait in between; seen without
    /// it, as it is held over flushes of the disk.
    stopping: AtomicBool,
    /// Something is to be done, or nothing any more.
    pub(crate) bell: Condvar,
    /// Who wants to know that something changed.
    listener: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
pub(crate) struct Control {
    pub running: Option<Running>,
}

/// The job at work.
pub(crate) struct Running {
    pub job: u64,
    pub stop: Arc<AtomicBool>,
    pub progress: Progress,
    pub bytes_total: Arc<AtomicU64>,
    /// When so many suspects had been told of, during the last seconds.
    pub samples: VecDeque<(Instant, u64)>,
}

/// What is known of a job at work alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Live {
    /// Suspects a second, lately.
    pub per_second: f64,
    /// About how many bytes of the sources it came past.
    pub bytes: u64,
    /// About how many there are, once that is known.
    pub bytes_total: Option<u64>,
}

/// What came of a job since somebody asked last.
#[derive(Debug)]
pub struct News {
    /// The job as it is.
    pub job: Job,
    /// Of a job at work.
    pub live: Option<Live>,
    /// What it found since, with the place of each.
    pub matches: Page<Match>,
    /// The place of the last that was looked at.
    pub place: u64,
}

impl Review {
    /// Opens the folder, making what is missing. Only files below `roots` may be scanned.
    pub fn open(dir: &Path, roots: Roots) -> Result<Review, ReviewError> {
        let uploads = dir.join("uploads");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&uploads);
        made.map_err(|source| ReviewError::Io { path: uploads.clone(), source })?;
        let store = Store::open(dir)?;
        let (control, stopping, bell, listener) = Default::default();
        let suspects = Suspects::open(dir.join("suspects"), |suspect| {
            store.read(|tx| {
                let of_suspect = tx.open_table(OF_SUSPECT)?;
                let first = of_suspect.range((suspect, "")..)?.next().transpose()?;
                Ok(first.is_some_and(|(key, _)| key.value().0 == suspect))
            })
        })?;
        let review = Review { store, uploads, roots, suspects, control, stopping, bell, listener };
        review.forget_uploads()?;
        review.forget_rejected()?;
        Ok(review)
    }

    /// Who is to be told that something changed, once.
    pub fn on_change(&self, listener: impl Fn() + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    pub(crate) fn changed(&self) {
        if let Some(listener) = self.listener.get() {
            listener();
        }
    }

    /// Why the disk takes nothing of scans and decisions at the moment.
    pub fn refuses(&self) -> Option<String> {
        self.store.refuses()
    }

    /// The folders that may be scanned.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Has a file scanned that somebody sent: an account, or the operator. `keep` moves it to where it is told, on the same
    /// disk.
    pub fn submit_upload(
        &self,
        owner: Option<&str>,
        name: &str,
        bytes: u64,
        bytes_max: u64,
        options: JobOptions,
        keep: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<Job, ReviewError> {
        let options = options.check()?;
        let number = self.store.write(|tx| next_number(tx, "uploads"))?;
        let file = format!("upload-{number}");
        let path = self.uploads.join(&file);
        let kept = keep(&path).and_then(|()| {
            fs::File::open(&path)?.sync_all()?;
            fs::File::open(&self.uploads)?.sync_all()
        });
        let source = JobSource::Upload { name: name.to_owned(), bytes, file };
        let job = match kept {
            Ok(()) => {
                // The disk has it by now, for which nobody else had to wait.
                let _one_at_a_time = self.lock();
                self.submit(asked(owner, source, options), bytes_max)
            }
            Err(source) => Err(ReviewError::Io { path: path.clone(), source }),
        };
        if job.is_err() {
            let _ = fs::remove_file(&path); // the next start sees to it otherwise
        }
        job
    }

    /// Has files and folders of this machine scanned.
    pub fn submit_paths(
        &self,
        owner: Option<&str>,
        paths: &[String],
        options: JobOptions,
    ) -> Result<Job, ReviewError> {
        let options = options.check()?;
        if paths.is_empty() || paths.len() > PATHS_MAX {
            return Err(ReviewError::BadJob("a scan has 1 to 100 paths"));
        }
        let real = |path: &String| {
            let real = self.roots.admit(path)?;
            real.into_os_string()
                .into_string()
                .map_err(|_| ReviewError::NothingThere(path.to_owned()))
        };
        let paths = paths.iter().map(real).collect::<Result<_, _>>()?;
        let _one_at_a_time = self.lock();
        self.submit(asked(owner, JobSource::Paths(paths), options), u64::MAX)
    }

    fn submit(&self, asked: Asked, bytes_max: u64) -> Result<Job, ReviewError> {
        let job = self.store.write(|tx| {
            let (mut jobs, mut bytes, mut of_owner) = (0, 0, 0);
            for pair in tx.open_table(JOBS)?.iter()?.rev().take(JOBS_LOOKED_AT) {
                let job: Job = parse(pair?.1.value())?;
                if !job.state.has_ended() {
                    jobs += 1;
                    of_owner += u64::from(job.owner.is_some() && job.owner == asked.owner);
                    bytes += upload_bytes(&job.source);
                }
            }
            let too_many = |words: String| Err(Failure::Refused(ReviewError::TooMany(words)));
            if jobs >= JOBS_UNENDED_MAX {
                return too_many(format!("{jobs} scans have not ended yet"));
            }
            if of_owner >= JOBS_OF_ONE_MAX {
                return too_many(format!("{of_owner} scans of this account have not ended yet"));
            }
            if bytes.saturating_add(upload_bytes(&asked.source)) > bytes_max {
                return too_many(format!("files of {bytes} bytes wait to be scanned already"));
            }
            let job = Job::new(next_number(tx, "jobs")?, asked, clock::now());
            job::put(tx, &job)?;
            Ok(job)
        })?;
        self.bell.notify_all();
        self.changed();
        Ok(job)
    }

    /// A job by its number.
    pub fn job(&self, id: u64) -> Result<(Job, Option<Live>), ReviewError> {
        let job = self.store.read(|tx| {
            let jobs = tx.open_table(JOBS)?;
            let job = jobs.get(id)?.ok_or(Failure::Refused(ReviewError::NoJob(id)))?;
            Ok(cursor::told(parse(job.value())?, cursor::cursor(tx)?))
        })?;
        let live = self.live(id);
        Ok((job, live))
    }

    /// Jobs before that number, newest first.
    pub fn jobs(
        &self,
        before: u64,
        limit: usize,
    ) -> Result<Page<(Job, Option<Live>)>, ReviewError> {
        self.jobs_where(before, limit, &|_| true)
    }

    /// Of the jobs before that number, newest first, those that are wanted. A page may have fewer than there are, and none,
    /// and still have one after it: so many are looked at for each.
    pub fn jobs_where(
        &self,
        before: u64,
        limit: usize,
        is_wanted: &dyn Fn(&Job) -> bool,
    ) -> Result<Page<(Job, Option<Live>)>, ReviewError> {
        let page = self.store.read(|tx| {
            let jobs = tx.open_table(JOBS)?;
            let mut page: Page<Job> = Page { items: Vec::new(), next: None };
            let compared = cursor::cursor(tx)?;
            let (mut looks, mut last) = (0, None);
            for pair in jobs.range(..before)?.rev() {
                if page.items.len() == limit || looks == JOBS_LOOKED_AT {
                    page.next = last;
                    break;
                }
                looks += 1;
                let job: Job = parse(pair?.1.value())?;
                last = Some(job.id);
                if is_wanted(&job) {
                    page.items.push(cursor::told(job, compared));
                }
            }
            Ok(page)
        })?;
        let items = page.items.into_iter().map(|job| {
            let live = self.live(job.id);
            (job, live)
        });
        Ok(Page { items: items.collect(), next: page.next })
    }

    /// What a job told of each suspect, in the order in which it did, after that place.
    pub fn results(
        &self,
        id: u64,
        after: u64,
        limit: usize,
    ) -> Result<Page<ResultJson>, ReviewError> {
        self.job(id)?;
        self.store.read(|tx| {
            let results = tx.open_table(RESULTS)?;
            let mut page = Page { items: Vec::new(), next: None };
            for pair in results.range((id, after.saturating_add(1))..=(id, u64::MAX))? {
                if page.items.len() == limit {
                    return Ok(page);
                }
                let (key, result) = pair?;
                page.items.push(parse(result.value())?);
                page.next = Some(key.value().1);
            }
            page.next = None;
            Ok(page)
        })
    }

    /// What came of a job beyond the first `told` of its matches, of those that somebody sees.
    pub fn news(
        &self,
        id: u64,
        told: u64,
        limit: usize,
        seen: Option<Lens<'_>>,
    ) -> Result<News, ReviewError> {
        let (job, live) = self.job(id)?;
        let filter = Filter { scan: Some(id), seen, ..Filter::default() };
        let (matches, place) = self.listed(filter, told, limit)?;
        Ok(News { job, live, matches, place })
    }

    /// Has a job stop at the next suspect, until somebody has it go on.
    pub fn pause(&self, id: u64) -> Result<Job, ReviewError> {
        self.steer(id, |job| match job.state {
            JobState::Queued => {
                job.state = JobState::Paused;
                Ok(())
            }
            JobState::Running if job.wanted != Some(Wanted::Cancelled) => {
                job.wanted = Some(Wanted::Paused);
                Ok(())
            }
            JobState::Paused => Ok(()),
            state => Err(ReviewError::WrongState { state, wanted: "paused" }),
        })
    }

    /// Has a paused job go on from where it was.
    pub fn resume(&self, id: u64) -> Result<Job, ReviewError> {
        self.steer(id, |job| match (job.state, job.wanted) {
            (JobState::Paused, _) => {
                job.state = JobState::Queued;
                Ok(())
            }
            // It may have stopped at work already, and goes on then.
            (JobState::Running, Some(Wanted::Paused)) => {
                job.wanted = None;
                Ok(())
            }
            (JobState::Queued | JobState::Running, None) => Ok(()),
            (state, _) => Err(ReviewError::WrongState { state, wanted: "resumed" }),
        })
    }

    /// Ends a job at the next suspect. What it told stays.
    pub fn cancel(&self, id: u64) -> Result<Job, ReviewError> {
        let job = self.steer(id, |job| match job.state {
            JobState::Queued | JobState::Paused => {
                (job.state, job.ended) = (JobState::Cancelled, Some(clock::now()));
                Ok(())
            }
            JobState::Running => {
                job.wanted = Some(Wanted::Cancelled);
                Ok(())
            }
            JobState::Cancelled => Ok(()),
            state => Err(ReviewError::WrongState { state, wanted: "cancelled" }),
        })?;
        if job.state.has_ended() {
            self.forget_upload(&job.source);
        }
        Ok(job)
    }

    fn steer(
        &self,
        id: u64,
        steer: impl FnOnce(&mut Job) -> Result<(), ReviewError>,
    ) -> Result<Job, ReviewError> {
        // So that the one at work neither begins nor ends in between.
        let control = self.lock();
        let job = self.store.write(|tx| {
            let mut job = job::get(tx, id)?;
            steer(&mut job).map_err(Failure::Refused)?;
            job::put(tx, &job)?;
            Ok(job)
        })?;
        if let (Some(running), Some(_)) = (&control.running, job.wanted)
            && running.job == id
        {
            running.stop.store(true, Ordering::Relaxed);
        }
        drop(control);
        self.bell.notify_all();
        self.changed();
        Ok(job)
    }

    /// Has the job at work stop at the next suspect, and [`Review::run_jobs`] return. It goes on with the next process.
    pub fn stop(&self) {
        let control = self.lock();
        self.stopping.store(true, Ordering::Release);
        if let Some(running) = &control.running {
            running.stop.store(true, Ordering::Relaxed);
        }
        drop(control);
        self.bell.notify_all();
        self.changed();
    }

    /// Whether nothing more will be done. It never blocks.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn live(&self, id: u64) -> Option<Live> {
        let control = self.lock();
        let running = control.running.as_ref().filter(|running| running.job == id)?;
        let (first, last) = (running.samples.front()?, running.samples.back()?);
        let seconds = first.0.elapsed().as_secs_f64();
        let bytes_total = running.bytes_total.load(Ordering::Relaxed);
        Some(Live {
            per_second: (last.1 - first.1) as f64 / seconds.max(1e-3),
            bytes: running.progress.bytes(),
            bytes_total: (bytes_total > 0).then_some(bytes_total),
        })
    }

    /// Removes what a job no longer needs. Where that fails, the next start does it.
    pub(crate) fn forget_upload(&self, source: &JobSource) {
        if let JobSource::Upload { file, .. } = source {
            let _ = fs::remove_file(self.uploads.join(file));
        }
    }

    /// Removes what belongs to no job, or to one that ended.
    fn forget_uploads(&self) -> Result<(), ReviewError> {
        let needed: HashSet<String> = self.store.read(|tx| {
            let mut needed = HashSet::new();
            for pair in tx.open_table(JOBS)?.iter()? {
                let job: Job = parse(pair?.1.value())?;
                if let (JobSource::Upload { file, .. }, false) = (job.source, job.state.has_ended())
                {
                    needed.insert(file);
                }
            }
            Ok(needed)
        })?;
        let forget = || -> io::Result<()> {
            for entry in fs::read_dir(&self.uploads)? {
                let entry = entry?;
                if !entry.file_name().to_str().is_some_and(|name| needed.contains(name)) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        forget().map_err(|source| ReviewError::Io { path: self.uploads.clone(), source })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn asked(owner: Option<&str>, source: JobSource, options: JobOptions) -> Asked {
    Asked { owner: owner.map(str::to_owned), source, options }
}

fn upload_bytes(source: &JobSource) -> u64 {
    if let JobSource::Upload { bytes, .. } = source { *bytes } else { 0 }
}

/// Jobs that have not ended, at most.
const JOBS_UNENDED_MAX: u64 = 100;
/// Of those, jobs of one account: others are to have their turn.
const JOBS_OF_ONE_MAX: u64 = 25;
/// How many of the newest are looked at to count them; and for one page of those that are wanted.
const JOBS_LOOKED_AT: usize = 10_000;
/// Paths of one job.
const PATHS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(review: &Review, bytes: u64) -> Result<Job, ReviewError> {
        let keep = |to: &Path| fs::write(to, vec![b'x'; bytes as usize]);
        review.submit_upload(None, "a.txt", bytes, 100, JobOptions::default(), keep)
    }

    fn waiting(dir: &Path) -> usize {
        fs::read_dir(dir.join("uploads")).unwrap().count()
    }

    #[test]
    fn nobody_waits_for_the_disk_to_see_whether_it_stops() {
        let dir = tempfile::tempdir().unwrap();
        let review = Review::open(dir.path(), Roots::default()).unwrap();
        let keep = |to: &Path| {
            assert!(review.control.try_lock().is_ok(), "others go on meanwhile");
            fs::write(to, b"x")
        };
        review.submit_upload(None, "a.txt", 1, 100, JobOptions::default(), keep).unwrap();
        let control = review.lock();
        assert!(!review.is_stopping());
        drop(control);
        review.stop();
        let _control = review.lock();
        assert!(review.is_stopping());
    }

    #[test]
    fn jobs_wait_are_paused_and_cancelled_before_anybody_works_on_them() {
        let dir = tempfile::tempdir().unwrap();
        let review = Review::open(dir.path(), Roots::default()).unwrap();
        let job = sent(&review, 60).unwrap();
        assert_eq!((job.id, job.state), (1, JobState::Queued));
        assert!(matches!(sent(&review, 60), Err(ReviewError::TooMany(_))), "120 bytes of 100");
        assert_eq!(waiting(dir.path()), 1, "what is refused is not kept");
        assert_eq!(review.pause(1).unwrap().state, JobState::Paused);
        assert_eq!(review.resume(1).unwrap().state, JobState::Queued);
        drop(review);
        // What no job knows is of a crash.
        fs::write(dir.path().join("uploads/upload-9"), "x").unwrap();
        let review = Review::open(dir.path(), Roots::default()).unwrap();
        assert_eq!(waiting(dir.path()), 1);
        assert_eq!(review.job(1).unwrap().0.state, JobState::Queued);
        assert_eq!(review.cancel(1).unwrap().state, JobState::Cancelled);
        assert_eq!(waiting(dir.path()), 0);
        assert!(matches!(review.resume(1), Err(ReviewError::WrongState { .. })));
        assert!(matches!(review.pause(2), Err(ReviewError::NoJob(2))));
        assert_eq!(sent(&review, 60).unwrap().id, 2, "an ended job waits for nothing");
        // Whose a job is stays known, and one of before there were owners is the operator's.
        let keep = |to: &Path| fs::write(to, "x");
        let owned = review.submit_upload(Some("acc-a"), "a", 1, 100, JobOptions::default(), keep);
        assert_eq!(owned.unwrap().owner.as_deref(), Some("acc-a"));
        drop(review);
        let review = Review::open(dir.path(), Roots::default()).unwrap();
        let page = review.jobs_where(u64::MAX, 1, &|job| job.owner.is_some()).unwrap();
        assert_eq!((page.items[0].0.id, page.next), (3, Some(3)));
        let none = review.jobs_where(3, 9, &|job| job.owner.is_some()).unwrap();
        assert!(none.items.is_empty() && none.next.is_none());
        let mut old = serde_json::to_value(review.job(1).unwrap().0).unwrap();
        old.as_object_mut().unwrap().remove("owner");
        assert_eq!(serde_json::from_value::<Job>(old).unwrap().owner, None);
        let bad = JobOptions { radius: 129, ..JobOptions::default() };
        assert!(matches!(review.submit_paths(None, &[], bad), Err(ReviewError::BadJob(_))));
        let outside = review.submit_paths(None, &["/etc".to_owned()], JobOptions::default());
        assert!(matches!(outside, Err(ReviewError::OutsideRoots)));
    }
}

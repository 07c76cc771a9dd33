//! The thread that works on jobs: one after the other, until the process ends.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use std::{mem, ops::ControlFlow};

use redb::{ReadableTable, WriteTransaction};
use timemark_ingest::sources::{Progress, Source, SuspectName};
use timemark_ingest::{Asked, Engine, Keep, ScanError, Scanned, Summary, scan_keeping};
use timemark_verify::ContentId;
use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::clock;
use crate::cursor;
use crate::earlier::Earlier;
use crate::error::ReviewError;
use crate::forget::scrub;
use crate::job::{self, Job, JobSource, JobState, Wanted};
use crate::matches::Tables;
use crate::one_by_one::OneByOne;
use crate::priority::give_way;
use crate::result::ResultJson;
use crate::review::{Review, Running};
use crate::store::{ERASED, Failure, JOBS, RESULTS, parse, to_bytes};
use crate::traces;

impl Review {
    /// Works on jobs, one after the other, until [`Review::stop`]; the calling thread and those it starts give way to
    /// others. Whatever an earlier process was at goes on. `tell` learns what went wrong on this side.
    pub fn run_jobs(&self, engine: &Engine, tell: &dyn Fn(&str)) {
        give_way();
        let mut last = String::new();
        // Left standing by this process, which goes on.
        let mut left = None;
        loop {
            let next = {
                let mut control = self.lock();
                loop {
                    if self.is_stopping() {
                        return;
                    }
                    match self.begin_next(engine, left) {
                        Ok(None) => {
                            control =
                                self.bell.wait(control).unwrap_or_else(PoisonError::into_inner);
                        }
                        Ok(Some((job, source))) => {
                            let running = Running {
                                job: job.id,
                                stop: Arc::default(),
                                progress: Progress::default(),
                                bytes_total: Arc::default(),
                                samples: VecDeque::from([(Instant::now(), job.suspects)]),
                            };
                            let stop = running.stop.clone();
                            let progress = running.progress.clone();
                            measure(source.clone(), running.bytes_total.clone());
                            control.running = Some(running);
                            break Ok((job, source, stop, progress));
                        }
                        Err(error) => break Err(error),
                    }
                }
            };
            self.changed();
            let ran = next.and_then(|(job, source, stop, progress)| {
                left = Some(job.id);
                self.run(job, &source, engine, &stop, &progress, tell)
            });
            if ran.is_ok() {
                left = None;
            }
            self.lock().running = None;
            self.changed();
            if let Err(error) = ran {
                // The disk may be full. The job is still at work as far as its file says, and goes on from there.
                let error = words(&error);
                if error != last {
                    tell(&format!("scans stand still: {error}"));
                }
                last = error;
                let control = self.lock();
                if !self.is_stopping() {
                    let _ = self.bell.wait_timeout(control, RETRY_AFTER);
                }
            }
        }
    }

    /// The job that is to be worked on: one that was at work before, or the one that waits longest. One that this process
    /// `left` because the disk failed did not end it.
    fn begin_next(
        &self,
        engine: &Engine,
        left: Option<u64>,
    ) -> Result<Option<(Job, Vec<Source>)>, ReviewError> {
        let (begun, ended) = self.store.write(|tx| {
            let mut ended = Vec::new();
            loop {
                let Some(mut job) = waiting(tx)? else { return Ok((None, ended)) };
                // Of a process that ended before it did what was wanted.
                if let Some(wanted) = job.wanted.take() {
                    job.state = match wanted {
                        Wanted::Paused => JobState::Paused,
                        Wanted::Cancelled => JobState::Cancelled,
                    };
                } else {
                    let taken_up = if left == Some(job.id) { Ok(()) } else { job.take_up() };
                    let sources = taken_up.and_then(|()| {
                        self.sources(&job.source).map_err(|error| error.to_string())
                    });
                    match sources {
                        Ok(sources) => {
                            job.state = JobState::Running;
                            job.started.get_or_insert_with(clock::now);
                            // Others are found from here on, as they are when it is told of.
                            job.entries.get_or_insert_with(|| engine.index.len());
                            // Nothing is kept of what was told before that could be.
                            job.rematches |= job.runs == 0;
                            cursor::begin(tx, engine.index.len())?;
                            job.runs += 1;
                            job::put(tx, &job)?;
                            return Ok((Some((job, sources)), ended));
                        }
                        Err(error) => {
                            job.state = JobState::Failed;
                            job.error = Some(error);
                        }
                    }
                }
                if job.state.has_ended() {
                    job.ended = Some(clock::now());
                    ended.push(job.source.clone());
                }
                job::put(tx, &job)?;
            }
        })?;
        ended.iter().for_each(|source| self.forget_upload(source));
        Ok(begun)
    }

    fn sources(&self, source: &JobSource) -> Result<Vec<Source>, ReviewError> {
        match source {
            JobSource::Upload { name, file, .. } => {
                let (path, name) = (self.uploads.join(file), name.clone());
                if !path.is_file() {
                    return Err(ReviewError::NothingThere(name));
                }
                Ok(vec![Source::Called { path, name }])
            }
            // Both the folders and what lies in them may be others by now.
            JobSource::Paths(paths) => paths.iter().map(|path| self.roots.source(path)).collect(),
        }
    }

    /// Works on a job until it ends or is to stop.
    fn run(
        &self,
        job: Job,
        sources: &[Source],
        engine: &Engine,
        stop: &AtomicBool,
        progress: &Progress,
        tell: &dyn Fn(&str),
    ) -> Result<(), ReviewError> {
        let mut is_known = self.earlier(job.id)?.is_done();
        // The process ended under it: another time it is to be known at what.
        let one_by_one = (job.cut_off > 0).then(|| OneByOne::of(job.id, self));
        let mut is_done = |name: &SuspectName, asked: Asked<'_>| {
            let is_done = is_known(name, asked);
            if let Some(one_by_one) = one_by_one.as_ref().filter(|_| !is_done) {
                one_by_one.look_at(&name.text(), stop);
            }
            is_done
        };
        let unkept = Mutex::new(None);
        let mut taking = Taking {
            one_by_one: one_by_one.as_ref(),
            review: self,
            unkept: &unkept,
            job: job.id,
            begun: Instant::now(),
            seconds_before: job.seconds,
            batch: Vec::new(),
            span: batch_span(job.id),
            since: Instant::now(),
            failure: None,
        };
        // Before anybody hears of it.
        let keep = |content: &ContentId, bytes: &[u8]| {
            if engine.works.has(content).unwrap_or_default() {
                return; // it is a work that is kept
            }
            if let Err(error) = self.suspects.keep(content, bytes) {
                *unkept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        };
        let options = job.options.scan_options();
        let scanned = catch_unwind(AssertUnwindSafe(|| {
            let keep: Option<Keep<'_>> = Some(&keep);
            scan_keeping(sources, engine, options, keep, progress, &mut is_done, &mut |one| {
                taking.take(one, progress, stop)
            })
        }));
        let (end, skipped, error) = match scanned {
            Ok(Ok(Summary { skipped, .. })) => (Some(JobState::Done), Some(skipped), None),
            Ok(Err(ScanError::Stopped)) => (None, None, None),
            Ok(Err(error)) => (Some(JobState::Failed), None, Some(words(&error))),
            Err(_) => (Some(JobState::Failed), None, Some("a fault of the program".to_owned())),
        };
        if let Some(failure) = taking.failure.or_else(|| one_by_one.as_ref()?.failure()) {
            return Err(failure);
        }
        if let Some(error) = &error {
            tell(&format!("scan {} failed: {error}", job.id));
        }
        let Taking { batch, begun, span, .. } = taking;
        span.record("suspects", batch.len() as i64);
        let _in_span = span.entered();
        let seconds = job.seconds + begun.elapsed().as_secs_f64();
        // What is wanted and what became of it change together.
        let control = self.lock();
        let job = self.store.write(|tx| {
            let mut job = take_in(tx, job.id, &batch, progress.bytes(), seconds)?;
            job.state = match (end, job.wanted.take()) {
                (Some(end), _) => end,
                (None, Some(Wanted::Paused)) => JobState::Paused,
                (None, Some(Wanted::Cancelled)) => JobState::Cancelled,
                // The process ends, or somebody wants it to go on after all.
                (None, None) => JobState::Running,
            };
            job.leave();
            job.skipped = skipped.unwrap_or(job.skipped);
            // What failed is this archive's; the operator was told how.
            job.error = error
                .map(|_| "the archive could not be read; its operator was told more".to_owned());
            if job.state.has_ended() {
                job.ended = Some(clock::now());
            }
            job::put(tx, &job)?;
            Ok(job)
        })?;
        drop(control);
        if job.state.has_ended() {
            self.forget_upload(&job.source);
        }
        self.forget_rejected()
    }

    /// What earlier runs of a job told.
    fn earlier(&self, id: u64) -> Result<Earlier, ReviewError> {
        self.store.read(|tx| {
            let mut earlier = Earlier::default();
            for pair in tx.open_table(RESULTS)?.range((id, 0)..=(id, u64::MAX))? {
                earlier.add(&parse(pair?.1.value())?);
            }
            Ok(earlier)
        })
    }

    /// Takes note of how far the job at work is.
    fn sample(&self, suspects: u64) {
        if let Some(running) = &mut self.lock().running {
            running.samples.push_back((Instant::now(), suspects));
            while running.samples.len() > 2 && running.samples[1].0.elapsed() > RATE_WINDOW {
                running.samples.pop_front();
            }
        }
    }
}

/// Gathers what a scan tells, and makes it durable a little at a time.
struct Taking<'a> {
    review: &'a Review,
    one_by_one: Option<&'a OneByOne<'a>>,
    /// Why the bytes of a suspect could not be kept, before that is told.
    unkept: &'a Mutex<Option<ReviewError>>,
    job: u64,
    begun: Instant,
    seconds_before: f64,
    batch: Vec<Scanned>,
    /// Of this batch.
    span: Span,
    since: Instant,
    failure: Option<ReviewError>,
}

impl Taking<'_> {
    fn take(
        &mut self,
        scanned: Scanned,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> ControlFlow<()> {
        if let Some(failure) = self.unkept.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.failure = Some(failure);
            return ControlFlow::Break(());
        }
        self.batch.push(scanned);
        if stop.load(Ordering::Relaxed) {
            return ControlFlow::Break(()); // with what is at hand
        }
        let is_waited_for = self.one_by_one.is_some_and(OneByOne::waits);
        if !is_waited_for && self.batch.len() < BATCH_MAX && self.since.elapsed() < BATCH_TIME {
            return ControlFlow::Continue(());
        }
        let batch = mem::take(&mut self.batch);
        let seconds = self.seconds_before + self.begun.elapsed().as_secs_f64();
        let span = mem::replace(&mut self.span, batch_span(self.job));
        span.record("suspects", batch.len() as i64);
        let keep = |tx: &WriteTransaction| {
            let job = take_in(tx, self.job, &batch, progress.bytes(), seconds)?;
            job::put(tx, &job)?;
            Ok(job.suspects)
        };
        let taken = span.in_scope(|| info_span!("keep").in_scope(|| self.review.store.write(keep)));
        drop(span);
        self.since = Instant::now();
        match taken {
            Ok(suspects) => {
                self.review.sample(suspects);
                self.review.changed();
                self.one_by_one.into_iter().for_each(OneByOne::goes_on);
                ControlFlow::Continue(())
            }
            Err(failure) => {
                self.failure = Some(failure);
                ControlFlow::Break(())
            }
        }
    }
}

/// What is traced of suspects that are kept together: from the first until they are durable.
fn batch_span(job: u64) -> Span {
    info_span!(parent: None, "scan", job = job as i64, suspects = Empty)
}

/// Takes in what a job told. The caller puts the job back.
pub(crate) fn take_in(
    tx: &WriteTransaction,
    id: u64,
    batch: &[Scanned],
    bytes: u64,
    seconds: f64,
) -> Result<Job, Failure> {
    let mut job = job::get(tx, id)?;
    if !batch.is_empty() {
        job.looked_at.clear();
    }
    let now = clock::now();
    if job.rematches {
        traces::append(tx, id, job.suspects + 1, batch)?;
        cursor::note(tx, batch)?;
    }
    let mut results = tx.open_table(RESULTS)?;
    let erased = tx.open_table(ERASED)?;
    let mut tables = Tables::open(tx)?;
    for scanned in batch {
        job.count(&scanned.outcome);
        let mut result = ResultJson::of(scanned).kept(scanned);
        if let Some(kept) = &mut result.kept {
            kept.geometry.clear(); // the match has it
        }
        // What a scan had at hand may be of before it was erased.
        scrub(&erased, result.matches.iter_mut().chain(&mut result.related))?;
        tables.take_in(&mut job, scanned, &result, now)?;
        if let (true, Some(content)) = (scanned.trace.is_repeat, &scanned.content) {
            let told = result.matches.len();
            tables.join(&mut job, content, &mut result, now)?;
            if result.matches.len() > told {
                job.recount(&result.status);
                result.becomes_match();
            }
        }
        results.insert((id, job.suspects), &to_bytes(&result)?[..])?;
    }
    (job.bytes, job.seconds) = (bytes, seconds);
    job.mark();
    Ok(job)
}

/// The job to work on next.
fn waiting(tx: &WriteTransaction) -> Result<Option<Job>, Failure> {
    let mut queued = None;
    for pair in tx.open_table(JOBS)?.iter()? {
        let job: Job = parse(pair?.1.value())?;
        match job.state {
            JobState::Running => return Ok(Some(job)),
            JobState::Queued if queued.is_none() => queued = Some(job),
            _ => {}
        }
    }
    Ok(queued)
}

/// Learns how much there is to be read, which holds nothing up.
fn measure(sources: Vec<Source>, total: Arc<AtomicU64>) {
    thread::spawn(move || {
        let sum = sources.iter().filter_map(Source::length).fold(0, u64::saturating_add);
        total.store(sum, Ordering::Relaxed);
    });
}

/// An error with all that led to it.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(deeper) = cause {
        words += &format!(": {deeper}");
        cause = deeper.source();
    }
    words
}

/// What is told is durable, and known to others, after so many suspects or so long.
const BATCH_MAX: usize = 500;
const BATCH_TIME: Duration = Duration::from_millis(300);
/// Over how long the rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// How long to wait where the disk failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

//! A scan that was asked for: what is to be scanned and how, how far it is, and what it came upon.

use std::collections::BTreeMap;
use std::fmt;

use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};
use timemark_ingest::{Depth, Method, Outcome, PLACES_MIN, RADIUS_DEFAULT, ScanOptions};
use utoipa::ToSchema;

use crate::THUMBNAIL_SIDE_MAX;
use crate::error::ReviewError;
use crate::found::MatchJson;
use crate::store::{Failure, JOBS, parse, to_bytes};

/// A scan as a job.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// The account that asked for it; `None` where the operator did, and of what was asked for before there were owners.
    #[serde(default)]
    pub owner: Option<String>,
    /// What became of it.
    pub state: JobState,
    /// What it is asked to become at the next suspect.
    pub wanted: Option<Wanted>,
    /// What is scanned.
    pub source: JobSource,
    /// How it is compared.
    pub options: JobOptions,
    /// When it was asked for, in seconds since 1970.
    pub created: u64,
    /// When it began.
    pub started: Option<u64>,
    /// When it ended, one way or another.
    pub ended: Option<u64>,
    /// How long it was at work, all runs together.
    pub seconds: f64,
    /// How often it began or went on.
    pub runs: u32,
    /// How often in a row the process ended under it at the same place.
    #[serde(default)]
    pub cut_off: u32,
    /// Where it was when it last began or went on, until it is left in order.
    #[serde(default)]
    pub begun_at: Option<Place>,
    /// What is being compared, where that is noted beforehand.
    #[serde(default)]
    pub looked_at: Vec<String>,
    /// The entries of the log below this number are those that its suspects were compared with: at first those that there
    /// were when it began. [`crate::Review::job`] tells of those as well that came later and were compared since.
    pub entries: Option<u64>,
    /// Whether what is needed to compare its suspects with later works is kept; not of jobs that began before that was.
    #[serde(default)]
    pub rematches: bool,
    /// Suspects told of.
    pub suspects: u64,
    /// Suspects that are copies.
    pub copies: u64,
    /// Suspects with too little detail when they were compared, also where one was found to be a copy since.
    pub undecidable: u64,
    /// Suspects that could not be compared then.
    pub errors: u64,
    /// Receipts and archives that were passed over; known at the end.
    pub skipped: u64,
    /// About how many bytes of its sources it came past.
    pub bytes: u64,
    /// Matches it found, each suspect content and work once.
    pub matches: u64,
    /// The same by what was done to the work.
    pub transforms: BTreeMap<String, u64>,
    /// How far it was when, at not more places than are drawn.
    #[serde(default)]
    pub course: Vec<Waypoint>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Where a job is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Place {
    /// Suspects told of.
    pub suspects: u64,
    /// What was being compared, where that was noted.
    pub looked_at: Vec<String>,
}

/// What somebody asks for.
pub(crate) struct Asked {
    pub owner: Option<String>,
    pub source: JobSource,
    pub options: JobOptions,
}

/// How far a job was.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Waypoint {
    /// After so many seconds at work.
    pub seconds: f64,
    /// Suspects told of.
    pub suspects: u64,
    /// Matches found.
    pub matches: u64,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ScanState)]
pub enum JobState {
    /// It waits for others to end.
    Queued,
    /// It is at work, or goes on as soon as there is somebody to do it.
    Running,
    /// Somebody stopped it, and may have it go on.
    Paused,
    /// Somebody ended it.
    Cancelled,
    /// It came to its end.
    Done,
    /// It could not go on.
    Failed,
}

/// What a job at work is asked to become.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ScanWanted)]
pub enum Wanted {
    /// To stop for now.
    Paused,
    /// To stop for good.
    Cancelled,
}

/// What a job scans.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobSource {
    /// A file that was sent, which is kept until the job ends.
    Upload {
        /// What its sender calls it.
        name: String,
        /// How long it is.
        bytes: u64,
        /// What it is called in the folder of uploads.
        file: String,
    },
    /// Files and folders of this machine, without symbolic links on the way.
    Paths(Vec<String>),
}

/// How a job compares.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct JobOptions {
    /// How thoroughly.
    pub depth: DepthName,
    /// Greatest Hamming distance at which codes make a work worth a look.
    pub radius: u32,
    /// Places that must agree at least.
    pub places: u64,
}

/// How thoroughly a job compares.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ScanDepth)]
pub enum DepthName {
    /// By the codes of whole pictures.
    Fast,
    /// By keypoints and by rectangles as well.
    Full,
}

impl Default for JobOptions {
    fn default() -> JobOptions {
        JobOptions { depth: DepthName::Full, radius: RADIUS_DEFAULT, places: PLACES_MIN as u64 }
    }
}

impl JobOptions {
    /// These options, within what makes sense.
    pub fn check(self) -> Result<JobOptions, ReviewError> {
        if self.radius > RADIUS_MAX {
            return Err(ReviewError::BadJob("radius is 0 to 128"));
        }
        if !(1..=PLACES_MAX).contains(&self.places) {
            return Err(ReviewError::BadJob("places is 1 to 1000"));
        }
        Ok(self)
    }

    pub(crate) fn scan_options(&self) -> ScanOptions {
        ScanOptions {
            depth: match self.depth {
                DepthName::Fast => Depth::Fast,
                DepthName::Full => Depth::Full,
            },
            radius: self.radius,
            places_min: self.places as usize,
            thumbnail_side: Some(THUMBNAIL_SIDE_MAX),
            ..ScanOptions::default()
        }
    }
}

impl JobState {
    /// Whether nothing more comes of it.
    pub fn has_ended(self) -> bool {
        matches!(self, JobState::Cancelled | JobState::Done | JobState::Failed)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Paused => "paused",
            JobState::Cancelled => "cancelled",
            JobState::Done => "done",
            JobState::Failed => "failed",
        })
    }
}

impl Job {
    pub(crate) fn new(id: u64, asked: Asked, created: u64) -> Job {
        let Asked { owner, source, options } = asked;
        Job {
            id,
            owner,
            state: JobState::Queued,
            wanted: None,
            source,
            options,
            created,
            started: None,
            ended: None,
            seconds: 0.0,
            runs: 0,
            cut_off: 0,
            begun_at: None,
            looked_at: Vec::new(),
            entries: None,
            rematches: true,
            suspects: 0,
            copies: 0,
            undecidable: 0,
            errors: 0,
            skipped: 0,
            bytes: 0,
            matches: 0,
            transforms: BTreeMap::new(),
            course: Vec::new(),
            error: None,
        }
    }

    /// Takes note that it begins or goes on; or why it does not, if it ended the process too often where it is.
    pub(crate) fn take_up(&mut self) -> Result<(), String> {
        let here = Place { suspects: self.suspects, looked_at: self.looked_at.clone() };
        // Only a process that ended under it left that.
        self.cut_off = match &self.begun_at {
            None => 0,
            Some(before) if *before == here => self.cut_off + 1,
            Some(_) => 1,
        };
        self.begun_at = Some(here);
        if self.cut_off < CUT_OFF_MAX {
            return Ok(());
        }
        let at = match &self.looked_at[..] {
            [] => "before anything could be compared".to_owned(),
            // The next is unpacked meanwhile, and cannot be called by name before it is.
            [one] => format!("while {one} was compared, or what follows it was opened"),
            several => format!("while one of these was compared: {}", several.join(", ")),
        };
        Err(format!("the service ended {} times in a row {at}", self.cut_off))
    }

    /// Takes note that the process did not end under it.
    pub(crate) fn leave(&mut self) {
        self.cut_off = 0;
        self.begun_at = None;
        self.looked_at.clear();
    }

    /// Counts another suspect.
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        self.suspects += 1;
        match outcome {
            Outcome::Compared { matches, .. } => self.copies += u64::from(!matches.is_empty()),
            Outcome::Undecidable => self.undecidable += 1,
            Outcome::Error(_) => self.errors += 1,
        }
    }

    /// Counts another match.
    pub(crate) fn count_match(&mut self, finding: &MatchJson) {
        self.matches += 1;
        *self.transforms.entry(transform(finding).to_owned()).or_default() += 1;
    }

    /// Counts a suspect that had this status and is a copy now. It stays what it was beside that: whose scan it is would learn
    /// otherwise that somebody registered those bytes.
    pub(crate) fn recount(&mut self, status: &str) {
        self.copies += u64::from(status != "match");
    }

    /// Takes note of how far it is, where that is far enough from the last time.
    pub(crate) fn mark(&mut self) {
        let last = self.course.last().map_or(0.0, |last| last.seconds);
        if self.seconds - last < self.seconds / WAYPOINTS as f64 {
            return;
        }
        if self.course.len() >= 2 * WAYPOINTS {
            let mut is_kept = false;
            self.course.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        let (seconds, suspects, matches) = (self.seconds, self.suspects, self.matches);
        self.course.push(Waypoint { seconds, suspects, matches });
    }
}

/// What was done to a work, in one word or few: the change that tells most, where there were several.
pub(crate) fn transform(finding: &MatchJson) -> &'static str {
    if finding.method == Method::Exact.to_string() {
        return "identical";
    }
    let words = finding.transform.as_deref().unwrap_or_default();
    let kinds = [
        ("inside a larger picture", "inside a larger picture"),
        ("cropped", "cropped"),
        ("mirrored", "mirrored"),
        ("rotated", "rotated"),
        ("stretched", "stretched"),
    ];
    let kind = kinds.iter().find(|(word, _)| words.contains(word));
    kind.map_or("re-encoded", |(_, kind)| *kind)
}

/// The job of this number, to be changed.
pub(crate) fn get(tx: &WriteTransaction, id: u64) -> Result<Job, Failure> {
    let jobs = tx.open_table(JOBS)?;
    let job = jobs.get(id)?.ok_or(Failure::Refused(ReviewError::NoJob(id)))?;
    parse(job.value())
}

pub(crate) fn put(tx: &WriteTransaction, job: &Job) -> Result<(), Failure> {
    tx.open_table(JOBS)?.insert(job.id, &to_bytes(job)?[..])?;
    Ok(())
}

/// About as many places of the course of a job are kept: as many as can be told apart in a drawing.
const WAYPOINTS: usize = 100;
/// A job is not taken up again where the process ended under it so often.
const CUT_OFF_MAX: u32 = 3;
const RADIUS_MAX: u32 = 128;
const PLACES_MAX: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        let source = JobSource::Paths(Vec::new());
        Job::new(1, Asked { owner: None, source, options: JobOptions::default() }, 0)
    }

    #[test]
    fn a_job_that_ends_the_process_is_not_taken_up_for_ever() {
        let mut job = job();
        job.take_up().unwrap();
        assert_eq!(job.cut_off, 0);
        // Wherever it gets on, it may go on.
        for suspects in 1..50 {
            job.suspects = suspects;
            job.take_up().unwrap();
            assert_eq!(job.cut_off, 1, "the next are looked at one by one");
        }
        job.looked_at = vec!["bad.jpg".to_owned()];
        job.take_up().unwrap();
        job.take_up().unwrap();
        let why = job.take_up().unwrap_err();
        assert!(why.contains("3 times") && why.contains("bad.jpg"), "{why}");
        job.leave();
        for _ in 0..9 {
            job.take_up().unwrap();
            job.leave();
        }
        job.take_up().unwrap();
        let ended = (0..9).position(|_| job.take_up().is_err());
        assert_eq!(ended, Some(2), "nobody knows at what");
    }

    #[test]
    fn the_course_of_a_long_job_is_told_by_few_places_all_along() {
        let mut job = job();
        for tick in 1..=500_000_u64 {
            (job.seconds, job.suspects) = (tick as f64 * 0.3, tick * 10);
            job.mark();
        }
        assert!((50..=200).contains(&job.course.len()), "{}", job.course.len());
        let mut last = 0.0;
        for place in &job.course {
            assert!(place.seconds > last && place.seconds - last < job.seconds / 20.0);
            last = place.seconds;
        }
    }
}

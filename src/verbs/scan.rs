//! `timemark scan`: which files of a collection are copies of registered works.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use indicatif::ProgressBar;
use timemark_ingest::sources::{Progress, Source, SuspectName};
use timemark_ingest::{
    Asked, Depth, Engine, Finding, Outcome, PLACES_MIN, RADIUS_DEFAULT, ScanError, ScanOptions,
    Scanned, Stages, Summary, scan,
};
use timemark_review::ResultJson;
use timemark_vision::Kind;

use crate::outcome::{
    Answer, copy_words, finding_words, json_text, legible, print_json, print_line, remark,
    remark_error,
};
use crate::report::{About, Report, THUMBNAIL_SIDE_MAX};
use crate::{open, progress};

/// Find copies of registered works in files, folders and archives
#[derive(clap::Args)]
pub(crate) struct Scan {
    /// Files, folders and archives (tar, zip, WARC; gzip, zstd) to check; - for standard input
    #[arg(required_unless_present = "list")]
    sources: Vec<PathBuf>,
    /// Check the paths that a file lists, one a line; - for standard input
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,
    /// How thoroughly to compare
    #[arg(long, value_enum, default_value_t = DepthName::Full)]
    depth: DepthName,
    /// Ask a neural network as well which works are like a suspect: an ONNX file, see docs/accuracy.md
    #[arg(long, value_name = "FILE.onnx")]
    model: Option<PathBuf>,
    /// Write pages with thumbnails side by side, and the results as JSON Lines and as CSV, to this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Go on with the scan of which the report in that folder is
    #[arg(long, requires = "report")]
    resume: bool,
    /// Compare by this code: pdq, or the one given to `register --second-hash`
    #[arg(long, value_name = "KIND", default_value_t = Kind::Pdq)]
    hash: Kind,
    /// Greatest Hamming distance at which codes make a work worth a look, in bits of 256
    #[arg(long, default_value_t = RADIUS_DEFAULT, value_parser = clap::value_parser!(u32).range(0..=128))]
    radius: u32,
    /// Places that must agree for a match by keypoints
    #[arg(long, value_name = "N", default_value_t = PLACES_MIN)]
    places: usize,
    /// Leave a stage out, to measure what it is worth
    #[arg(long, value_enum, value_name = "STAGE")]
    without: Vec<Stage>,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DepthName {
    /// By the codes of whole pictures: recompressed, resized, recoloured, mirrored and quarter-turned copies
    Fast,
    /// By keypoints and by rectangles as well: crops, rotations, collages, screenshots, pasted parts
    Full,
}

/// What a comparison at full depth can leave out, for measurements.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    Keypoints,
    Mirrored,
    Regions,
}

impl Scan {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let mut engine = open::open_without_signing(archive)?;
        if self.hash != Kind::Pdq && engine.index.codes(self.hash) == 0 {
            bail!("no work has a {0} code; `register --second-hash {0}` gives it one", self.hash);
        }
        if let Some(model) = &self.model {
            ensure!(self.depth == DepthName::Full, "a model is asked at full depth only");
            ensure!(self.hash == Kind::Pdq, "a model is asked beside PDQ codes only");
            open::ask_model(archive, &mut engine, model)?;
        }
        let sources = self.sources();
        let about = self.about(&sources, &engine);
        let report =
            self.report.as_deref().map(|dir| Report::open(dir, &about, self.resume)).transpose()?;
        let started = Instant::now();
        let (bar, progress) = (progress::scanning(), Progress::default());
        if !bar.is_hidden() {
            measure(sources.clone(), bar.clone());
        }
        let mut telling = Telling {
            scan: self,
            report,
            bar: &bar,
            progress: progress.clone(),
            started,
            told: Summary::default(),
            before: 0,
        };
        let mut is_done = telling.earlier()?;
        let mut failure = None;
        let options = self.options();
        let scanned =
            scan(&sources, &engine, options, &progress, &mut is_done, &mut |scanned| match telling
                .tell(&scanned)
            {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            });
        let per_second = telling.per_second();
        let Telling { report, told, .. } = telling;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let (summary, written) = match (scanned, failure) {
            (Ok(Summary { skipped, .. }), _) => {
                let summary = Summary { skipped, ..told };
                let written = report.map(|r| r.finish(&engine, &summary, seconds, per_second));
                (summary, written.transpose())
            }
            (Err(ScanError::Stopped), Some(failure)) => (told, Err(failure)),
            (Err(error), _) => (told, Err(error.into())),
        };
        let answer = match written {
            Ok(page) => {
                if let Some(page) = page {
                    remark(&format!("report: {}", page.display()));
                }
                if summary.errors > 0 { Answer::No } else { Answer::Yes }
            }
            Err(error) => {
                remark_error(&error);
                Answer::CouldNotTell
            }
        };
        // The last line, whatever happened.
        remark(&format!(
            "{} suspects, {} matches, {} undecidable, {} errors, {} skipped, {seconds:.2} seconds, {per_second:.0} suspects per second",
            summary.suspects, summary.matches, summary.undecidable, summary.errors, summary.skipped,
        ));
        Ok(answer)
    }

    fn options(&self) -> ScanOptions {
        let without = |stage| self.without.contains(&stage);
        ScanOptions {
            depth: match self.depth {
                DepthName::Fast => Depth::Fast,
                DepthName::Full => Depth::Full,
            },
            kind: self.hash,
            radius: self.radius,
            places_min: self.places,
            without: Stages {
                keypoints: without(Stage::Keypoints),
                mirrored: without(Stage::Mirrored),
                regions: without(Stage::Regions),
            },
            thumbnail_side: self.report.as_ref().map(|_| THUMBNAIL_SIDE_MAX),
        }
    }

    /// Where suspects come from.
    fn sources(&self) -> Vec<Source> {
        let is_stdin = |path: &Path| path.as_os_str() == "-";
        let sources = self
            .sources
            .iter()
            .map(|path| if is_stdin(path) { Source::Stdin } else { Source::Path(path.clone()) });
        let lists = self.list.iter().map(|path| {
            if is_stdin(path) { Source::ListFromStdin } else { Source::List(path.clone()) }
        });
        sources.chain(lists).collect()
    }

    /// What another run must have in common with this one to go on with it.
    fn about(&self, sources: &[Source], engine: &Engine) -> About {
        let text = |path: &Path| json_text(path.as_os_str().as_encoded_bytes());
        let named = sources.iter().map(|source| match source {
            Source::Path(path) | Source::Below { path, .. } => text(path),
            Source::Called { name, .. } => name.clone(),
            Source::Stdin => "-".to_owned(),
            Source::List(path) => format!("--list {}", text(path)),
            Source::ListFromStdin => "--list -".to_owned(),
        });
        let Scan { depth, hash, radius, places, .. } = self;
        let depth = if *depth == DepthName::Fast { "fast" } else { "full" };
        let mut options =
            format!("--depth {depth} --hash {hash} --radius {radius} --places {places}");
        for stage in self.without.iter().filter_map(Stage::to_possible_value) {
            options.push_str(&format!(" --without {}", stage.get_name()));
        }
        if let Some(model) = &self.model {
            options.push_str(&format!(" --model {}", text(model)));
        }
        let (log, entries) = (engine.log.verifier().name().to_owned(), engine.log.size());
        About { sources: named.collect(), options, log, entries }
    }

    fn print(&self, result: ResultJson, outcome: &Outcome) -> Result<()> {
        if self.json {
            return print_json(&ResultJson { kept: None, ..result });
        }
        let error = if let Outcome::Error(error) = outcome { Some(legible(error)) } else { None };
        let related = outcome.related().iter().map(related_words);
        let words = outcome.matches().iter().map(copy_words).chain(related);
        let words: Vec<String> = words.chain(error).collect();
        let (status, suspect) = (&result.status, legible(&result.suspect));
        print_line(format!("{status:<11} {suspect}  {}", words.join("; ")).trim_end())
    }
}

/// Has the bar tell how long it takes once it is known how much there is, which holds nothing up.
fn measure(sources: Vec<Source>, bar: ProgressBar) {
    thread::spawn(move || {
        let lengths: Option<Vec<u64>> = sources.iter().map(Source::length).collect();
        if let Some(lengths) = lengths
            && !bar.is_finished()
        {
            bar.set_length(lengths.into_iter().fold(0, u64::saturating_add));
            bar.set_style(progress::bytes_style());
        }
    });
}

/// Whether this file is part of the report that is being written.
fn is_of_report(report: Option<&Path>) -> impl FnMut(&SuspectName) -> bool + Send + use<> {
    let report = report.and_then(|report| report.canonicalize().ok());
    // Files of a folder come together.
    let mut last: Option<(PathBuf, bool)> = None;
    move |name| {
        let (Some(report), Some(folder)) = (&report, name.file.parent()) else { return false };
        match &last {
            Some((known, answer)) if known == folder => *answer,
            _ => {
                let whole = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                let answer = whole.canonicalize().is_ok_and(|whole| whole.starts_with(report));
                last = Some((folder.to_owned(), answer));
                answer
            }
        }
    }
}

type Done = Box<dyn FnMut(&SuspectName, Asked<'_>) -> bool + Send>;

/// A scan that goes on, and who is told of it.
struct Telling<'a> {
    scan: &'a Scan,
    report: Option<Report>,
    bar: &'a ProgressBar,
    progress: Progress,
    started: Instant,
    told: Summary,
    /// How many of those an earlier run compared.
    before: u64,
}

impl Telling<'_> {
    /// Tells again what an earlier run found, and returns what knows it.
    fn earlier(&mut self) -> Result<Done> {
        let Some(mut report) = self.report.take() else { return Ok(Box::new(|_, _| false)) };
        report.earlier(|result| self.say(result))?;
        let mut was_compared = report.done();
        let mut is_of_report = is_of_report(self.scan.report.as_deref());
        let is_done = move |name: &SuspectName, asked: Asked<'_>| {
            was_compared(name, asked) || is_of_report(name)
        };
        self.report = Some(report);
        self.before = self.told.suspects;
        if self.before > 0 {
            remark(&format!("{} suspects were compared before", self.before));
        }
        Ok(Box::new(is_done))
    }

    /// Suspects a second, without those of an earlier run.
    fn per_second(&self) -> f64 {
        let seconds = self.started.elapsed().as_secs_f64();
        (self.told.suspects - self.before) as f64 / seconds.max(1e-9)
    }

    fn tell(&mut self, scanned: &Scanned) -> Result<()> {
        let result = ResultJson::of(scanned);
        if let Some(report) = &mut self.report {
            report.add(scanned, result.clone())?;
        }
        self.say_outcome(result, &scanned.outcome)
    }

    fn say(&mut self, result: ResultJson) -> Result<()> {
        let outcome = result.outcome()?;
        self.say_outcome(result, &outcome)
    }

    fn say_outcome(&mut self, result: ResultJson, outcome: &Outcome) -> Result<()> {
        self.told.count(outcome);
        self.bar.set_position(self.progress.bytes());
        let Summary { suspects, matches, errors, .. } = self.told;
        let rate = self.per_second();
        let counts =
            format!("{suspects} suspects, {rate:.0}/s, {matches} matches, {errors} errors");
        self.bar.set_message(counts);
        self.bar.suspend(|| self.scan.print(result, outcome))
    }
}

/// What is shared is not said to be copied.
fn related_words(finding: &Finding) -> String {
    format!("shares elements with {}", finding_words(finding))
}

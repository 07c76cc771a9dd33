//! `timemark scan`: which files of a collection are copies of registered works.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use timemark_ingest::sources::Source;
use timemark_ingest::{
    Depth, Finding, Outcome, PLACES_MIN, RADIUS_DEFAULT, ScanError, ScanOptions, Scanned, Stages,
    Summary, scan,
};
use timemark_vision::Kind;

use crate::outcome::{
    Answer, MatchJson, copy_words, finding_words, legible, print_json, print_line, remark,
    remark_error,
};
use crate::report::Report;
use crate::{open, progress};

/// Find copies of registered works in files and folders
#[derive(clap::Args)]
pub(crate) struct Scan {
    /// Files and folders to check
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// How thoroughly to compare
    #[arg(long, value_enum, default_value_t = DepthName::Full)]
    depth: DepthName,
    /// Ask a neural network as well which works are like a suspect: an ONNX file, see docs/accuracy.md
    #[arg(long, value_name = "FILE.onnx")]
    model: Option<PathBuf>,
    /// Write a page with thumbnails side by side to this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
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

#[derive(Serialize)]
struct SuspectJson {
    suspect: String,
    status: &'static str,
    matches: Vec<MatchJson>,
    related: Vec<MatchJson>,
    error: Option<String>,
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
        let report = self.report.as_deref().map(Report::new).transpose()?;
        let started = Instant::now();
        let bar = progress::growing("scanning");
        let (mut told, mut failure) = (Summary::default(), None);
        let sources: Vec<Source> = self.sources.iter().cloned().map(Source::Path).collect();
        let scanned = scan(&sources, &engine, self.options(), &mut |_| false, &mut |scanned| {
            if let Some(report) = &report {
                report.add(&scanned.name.file, &scanned.outcome);
            }
            bar.inc_length(1);
            bar.inc(1);
            told.count(&scanned.outcome);
            if told.matches > 0 {
                bar.set_message(format!("{} matches", told.matches));
            }
            match bar.suspend(|| self.print(&scanned)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let (summary, written) = match (scanned, failure) {
            (Ok(summary), _) => {
                let written = report.map(|report| report.write(&engine, &summary, seconds));
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
            "{} suspects, {} matches, {} undecidable, {} errors, {} skipped, {seconds:.2} seconds, {:.0} suspects per second",
            summary.suspects,
            summary.matches,
            summary.undecidable,
            summary.errors,
            summary.skipped,
            summary.suspects as f64 / seconds.max(1e-9),
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
            thumbnail_side: None,
        }
    }

    fn print(&self, scanned: &Scanned) -> Result<()> {
        let (suspect, outcome) = (&scanned.name, &*scanned.outcome);
        let (status, findings) = (outcome.status(), outcome.matches());
        let error = if let Outcome::Error(error) = outcome { Some(error.clone()) } else { None };
        if self.json {
            let matches = findings.iter().map(MatchJson::copy).collect();
            let suspect = suspect.text();
            let related = outcome.related().iter().map(MatchJson::of).collect();
            return print_json(&SuspectJson { suspect, status, matches, related, error });
        }
        let error = error.as_ref().map(legible);
        let related = outcome.related().iter().map(related_words);
        let words = findings.iter().map(copy_words).chain(related);
        let words: Vec<String> = words.chain(error).collect();
        let line = format!("{status:<11} {suspect}  {}", words.join("; "));
        print_line(line.trim_end())
    }
}

/// What is shared is not said to be copied.
fn related_words(finding: &Finding) -> String {
    format!("shares elements with {}", finding_words(finding))
}

//! `timemark scan`: which files of a collection are copies of registered works.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use timemark_index::Kind;
use timemark_ingest::{Outcome, RADIUS_DEFAULT, ScanOptions, scan};
use timemark_verify::escape;

use crate::outcome::{Answer, MatchJson, finding_words, print_json, print_line};
use crate::report::Report;
use crate::{open, progress};

/// Find copies of registered works in files and folders
#[derive(clap::Args)]
pub(crate) struct Scan {
    /// Files and folders to check
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// Write a page with thumbnails side by side to this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Compare by this code: pdq, or the one given to `register --second-hash`
    #[arg(long, value_name = "KIND", default_value_t = Kind::Pdq)]
    hash: Kind,
    /// Greatest Hamming distance that counts as a match, in bits of 256
    #[arg(long, default_value_t = RADIUS_DEFAULT, value_parser = clap::value_parser!(u32).range(0..=128))]
    radius: u32,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct SuspectJson {
    suspect: String,
    status: &'static str,
    matches: Vec<MatchJson>,
    related: Vec<MatchJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Scan {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let engine = open::open(archive)?;
        let started = Instant::now();
        let bar = progress::growing("scanning");
        let report = self.report.as_ref().map(|_| Report::new());
        let matches = AtomicU64::new(0);
        let failure = Mutex::new(None);
        let options = ScanOptions { kind: self.hash, radius: self.radius };
        let summary = scan(&self.sources, &engine, options, |suspect, outcome| {
            if let Some(report) = &report {
                report.add(suspect, outcome);
            }
            if matches!(outcome, Outcome::Match(_)) {
                bar.set_message(format!("{} matches", matches.fetch_add(1, Ordering::Relaxed) + 1));
            }
            bar.inc_length(1);
            bar.inc(1);
            if let Err(error) = bar.suspend(|| self.print(suspect, outcome)) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        })?;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        if let (Some(report), Some(dir)) = (report, &self.report) {
            let page = report.write(dir, &engine, &summary, seconds)?;
            eprintln!("report: {}", page.display());
        }
        eprintln!(
            "{} suspects, {} matches, {} undecidable, {} errors, {} skipped, {seconds:.2} seconds, {:.0} suspects per second",
            summary.suspects,
            summary.matches,
            summary.undecidable,
            summary.errors,
            summary.skipped,
            summary.suspects as f64 / seconds.max(1e-9),
        );
        Ok(if summary.errors > 0 { Answer::No } else { Answer::Yes })
    }

    fn print(&self, suspect: &Path, outcome: &Outcome) -> Result<()> {
        let suspect = match suspect.to_str() {
            Some(path) => path.to_owned(),
            None => escape(suspect.as_os_str().as_encoded_bytes()),
        };
        let status = match outcome {
            Outcome::Match(_) => "match",
            Outcome::Clear => "clear",
            Outcome::Undecidable => "undecidable",
            Outcome::Error(_) => "error",
        };
        let findings = if let Outcome::Match(findings) = outcome { &findings[..] } else { &[] };
        let error = if let Outcome::Error(error) = outcome { Some(error.clone()) } else { None };
        if self.json {
            let matches = findings.iter().map(MatchJson::of).collect();
            return print_json(&SuspectJson {
                suspect,
                status,
                matches,
                related: Vec::new(),
                error,
            });
        }
        let words: Vec<String> = findings.iter().map(finding_words).chain(error).collect();
        print_line(format!("{status:<11} {suspect}  {}", words.join("; ")).trim_end())
    }
}

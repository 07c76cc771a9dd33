//! What a run answers and how it says so: exit codes, the words of `--json`, lines for people.
//!
//! Everything that is printed goes through here. A standard output that takes no more is an error; a standard
//! error that takes no more is not.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use timemark_ingest::{Finding, Method};
use timemark_verify::escape;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 0: yes, or all done.
    Yes,
    /// 1: no, or at least one file failed.
    No,
    /// 2: could not tell.
    CouldNotTell,
}

/// A work that looks like the one at hand.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MatchJson {
    pub work: String,
    pub index: u64,
    pub file: Option<String>,
    pub title: Option<String>,
    pub claimant: Option<String>,
    pub score: f64,
    pub method: String,
    pub distance: Option<u32>,
    pub inliers: Option<u32>,
    pub transform: Option<String>,
    pub overlap: Option<f64>,
    pub overlap_suspect: Option<f64>,
    pub alike: Option<f64>,
    pub alike_between: Option<f64>,
    pub strength: Option<String>,
    pub false_match_rate: Option<f64>,
    pub false_match_interval: Option<[f64; 2]>,
}

impl MatchJson {
    /// A work that the one at hand is a copy of.
    pub fn copy(finding: &Finding) -> MatchJson {
        let strength = finding.strength();
        MatchJson {
            strength: strength_words(finding).map(str::to_owned),
            false_match_rate: strength.map(|strength| strength.false_match_rate()),
            false_match_interval: strength.map(|strength| strength.false_match_interval()),
            ..MatchJson::of(finding)
        }
    }

    /// A work that looks like the one at hand or shares elements with it, of which no more is asserted.
    pub fn of(finding: &Finding) -> MatchJson {
        MatchJson {
            work: finding.work.to_string(),
            index: finding.index,
            file: finding.file.clone(),
            title: finding.title.clone(),
            claimant: finding.claimant.clone(),
            score: four_places(finding.score),
            method: finding.method.to_string(),
            distance: finding.distance,
            inliers: finding.inliers,
            transform: finding.transform.clone(),
            overlap: finding.overlap.map(|overlap| four_places(overlap.work)),
            overlap_suspect: finding.overlap.map(|overlap| four_places(overlap.suspect)),
            alike: finding.alike.map(four_places),
            alike_between: finding.alike_between.map(four_places),
            strength: None,
            false_match_rate: None,
            false_match_interval: None,
        }
    }
}

/// How strong a match is, in a word or two, where that was measured.
fn strength_words(finding: &Finding) -> Option<&'static str> {
    match finding.method {
        Method::Exact => Some("identical"),
        _ => finding.strength().map(|strength| strength.grade),
    }
}

/// Rounded to what is worth saying.
pub(crate) fn four_places(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// One line for a person about a work that a suspect is a copy of.
pub(crate) fn copy_words(finding: &Finding) -> String {
    let strength = strength_words(finding).map(|words| format!("{words}, "));
    words(finding, &strength.unwrap_or_default())
}

/// One line for a person about a work that was found.
pub(crate) fn finding_words(finding: &Finding) -> String {
    words(finding, "")
}

fn words(finding: &Finding, strength: &str) -> String {
    let file = finding.file.as_ref().map_or_else(|| "(claim erased)".to_owned(), legible);
    let shown = match (finding.distance, finding.inliers) {
        (Some(bits), _) => format!("{bits} of 256 bits differ"),
        (None, Some(places)) => format!("{places} places agree"),
        (None, None) => "the same bytes".to_owned(),
    };
    let how = finding.transform.as_ref();
    let how = how.map_or_else(|| shown.clone(), |words| format!("{words}; {shown}"));
    let by =
        finding.claimant.as_ref().map_or_else(String::new, |name| format!(" by {}", legible(name)));
    format!("{file}{by} (entry {}, {strength}score {:.2}: {how})", finding.index, finding.score)
}

/// A text from outside on a line for a person: as it is, unless characters in it hide, reorder others or
/// drive the terminal; then as receipts spell it.
pub(crate) fn legible(text: impl AsRef<OsStr>) -> String {
    let text = text.as_ref();
    let spelled = escape(text.as_encoded_bytes());
    match text.to_str() {
        Some(plain) if spelled.replace("%25", "%") == plain => plain.to_owned(),
        _ => spelled,
    }
}

/// A text from outside in JSON: as it is, unless it is not UTF-8; then as receipts spell it.
pub(crate) fn json_text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(|_| escape(bytes), str::to_owned)
}

/// An error with all that led to it.
pub(crate) fn error_words(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

/// Writes one line of JSON to standard output.
pub(crate) fn print_json(object: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string(object)?)
}

/// Writes one line to standard output. Names from outside in it are [`legible`] already.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Writes to standard output at once, so that what a reader saw is what happened.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("standard output")
}

/// Writes one line to standard error. That nobody reads it is no failure.
pub(crate) fn remark(line: &str) {
    let _ = writeln!(io::stderr(), "{}", legible(line));
}

/// Says why a run failed; a reader who went away does not want to know.
pub(crate) fn remark_error(error: &anyhow::Error) {
    let broken_pipe = |e: &io::Error| e.kind() == ErrorKind::BrokenPipe;
    if !error.chain().any(|e| e.downcast_ref().is_some_and(broken_pipe)) {
        remark(&format!("timemark: {error:#}"));
    }
}

/// Seconds since 1970 as RFC 3339 in UTC.
pub(crate) fn utc(seconds: u64) -> String {
    let time =
        i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{seconds} s after 1970"))
}

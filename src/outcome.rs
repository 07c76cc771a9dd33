//! What a run answers, and the words of `--json`: the shapes that scripts outside rely on.

use std::io::{self, Write};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use timemark_ingest::Finding;

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
#[derive(Serialize)]
pub(crate) struct MatchJson {
    work: String,
    index: u64,
    file: Option<String>,
    score: f64,
    method: String,
    distance: Option<u32>,
    inliers: Option<u32>,
    transform: Option<String>,
    overlap: Option<f64>,
}

impl MatchJson {
    pub fn of(finding: &Finding) -> MatchJson {
        MatchJson {
            work: finding.work.to_string(),
            index: finding.index,
            file: finding.file.clone(),
            score: (finding.score * 1e4).round() / 1e4,
            method: finding.method.to_string(),
            distance: finding.distance,
            inliers: None,
            transform: finding.transform.clone(),
            overlap: None,
        }
    }
}

/// One line for a person about a work that was found.
pub(crate) fn finding_words(finding: &Finding) -> String {
    let file = finding.file.as_deref().unwrap_or("(claim erased)");
    let how = match (finding.distance, &finding.transform) {
        (None, _) => "the same bytes".to_owned(),
        (Some(bits), None) => format!("{bits} bits apart"),
        (Some(bits), Some(words)) => format!("{words}, {bits} bits apart"),
    };
    format!("{file} (entry {}, score {:.2}: {how})", finding.index, finding.score)
}

/// Writes one line of JSON to standard output.
pub(crate) fn print_json(object: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string(object)?)
}

/// Writes one line to standard output at once, so that what a reader saw is what happened.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Seconds since 1970 as RFC 3339 in UTC.
pub(crate) fn utc(seconds: u64) -> String {
    let time =
        i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{seconds} s after 1970"))
}

//! What a run answers and how it says so: exit codes, the words of `--json`, lines for people.
//!
//! Everything that is printed goes through here. A standard output that takes no more is an error; a standard
//! error that takes no more is not.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use timemark_ingest::Finding;
pub(crate) use timemark_review::MatchJson;
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

/// One line for a person about a work that a suspect is a copy of.
pub(crate) fn copy_words(finding: &Finding) -> String {
    let strength = finding.strength_words().map(|words| format!("{words}, "));
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
    let corrected = finding.corrected_by;
    let corrected = corrected.map(|by| format!(", corrected by entry {by}")).unwrap_or_default();
    format!(
        "{file}{by} (entry {}{corrected}, {strength}score {:.2}: {how})",
        finding.index, finding.score
    )
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

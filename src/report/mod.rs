//! The report of a scan: a folder that is written while the scan goes on, so that a killed one can go on from it.
//!
//! ```text
//! scan.json             of what the results are, so that nothing else goes on from them
//! results.jsonl         a line for each suspect, as `scan --json` prints it and with what the pages need
//! thumbnails/<id>.jpg   suspects in which works were found, small
//! results.csv           the same for spreadsheets: a row for each suspect and work; written at the end
//! index.html page-2.html …     the matches side by side, best first; written at the end
//! ```
//!
//! However many suspects there are, memory holds little more than the place of each match in `results.jsonl`, and, where
//! a scan goes on, some digests for each suspect that was compared before.

mod page;
mod table;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use timemark_ingest::sources::SuspectName;
use timemark_ingest::{Asked, Engine, Scanned, Summary};
use timemark_review::{Earlier, ResultJson};

use crate::outcome::remark;
pub(crate) use page::THUMBNAIL_SIDE_MAX;

/// The report of a scan that goes on.
pub(crate) struct Report {
    dir: PathBuf,
    results: File,
    /// What another run compared and this one has yet to meet.
    earlier: Earlier,
}

/// Of what a report tells.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct About {
    /// What is scanned.
    pub sources: Vec<String>,
    /// How it is compared.
    pub options: String,
    /// The log of the works.
    pub log: String,
    /// How many entries it had.
    pub entries: u64,
}

impl Report {
    /// Begins the report of a scan in this folder, which is made if it is missing. Where a scan of the same was reported
    /// there and `resume` is set, goes on with it.
    pub fn open(dir: &Path, about: &About, resume: bool) -> Result<Report> {
        let made = fs::create_dir_all(dir.join(THUMBNAILS));
        made.with_context(|| format!("cannot make {}", dir.display()))?;
        let (about_path, results_path) = (dir.join(ABOUT), dir.join(RESULTS));
        let exists = resume && about_path.exists();
        if exists {
            let text = fs::read(&about_path).with_context(|| about_path.display().to_string())?;
            let earlier: About =
                serde_json::from_slice(&text).with_context(|| about_path.display().to_string())?;
            let same = About { entries: earlier.entries, ..about.clone() } == earlier;
            ensure!(
                same,
                "the scan reported in {} was another: it was of {} in {} with {}",
                dir.display(),
                earlier.sources.join(", "),
                earlier.log,
                earlier.options
            );
            if earlier.entries < about.entries {
                let more = about.entries - earlier.entries;
                remark(&format!(
                    "{more} entries came to the log since: what was compared before was not compared with them"
                ));
            }
        } else {
            clear(dir)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(!exists);
        let results =
            options.open(&results_path).with_context(|| results_path.display().to_string())?;
        let mut report = Report { dir: dir.to_owned(), results, earlier: Earlier::default() };
        if !exists {
            // Only now, so that results of another scan are never taken for those of this one.
            let text = serde_json::to_vec_pretty(about)?;
            report
                .save(ABOUT, |file| Ok(file.write_all(&text)?))
                .with_context(|| about_path.display().to_string())?;
        }
        report.cut_torn_line()?;
        let mut earlier = Earlier::default();
        report.each(|result, _| {
            earlier.add(&result);
            Ok(())
        })?;
        Ok(Report { earlier, ..report })
    }

    /// Hands out what an earlier run found.
    pub fn earlier(&self, mut each: impl FnMut(ResultJson) -> Result<()>) -> Result<()> {
        self.each(|result, _| each(result))
    }

    /// What another run has found already, each time it is met.
    pub fn done(&mut self) -> impl FnMut(&SuspectName, Asked<'_>) -> bool + Send + use<> {
        std::mem::take(&mut self.earlier).is_done()
    }

    /// Takes note of what became of a suspect.
    pub fn add(&mut self, scanned: &Scanned, result: ResultJson) -> Result<()> {
        if let (Some(content), Some(Ok(jpeg))) = (&scanned.content, &scanned.thumbnail) {
            let path = self.dir.join(THUMBNAILS).join(format!("{content}.jpg"));
            fs::write(&path, jpeg).with_context(|| path.display().to_string())?;
        }
        let mut line = serde_json::to_vec(&result.kept(scanned))?;
        line.push(b'\n');
        // At once, so that a kill leaves whole lines and at most one torn one.
        self.results.write_all(&line).with_context(|| self.dir.join(RESULTS).display().to_string())
    }

    /// Writes the table and the pages, each whole or not at all, and returns the path of the first page.
    /// So many suspects a second were compared in this run.
    pub fn finish(
        self,
        engine: &Engine,
        summary: &Summary,
        seconds: f64,
        per_second: f64,
    ) -> Result<PathBuf> {
        let failed = || format!("the report in {} failed", self.dir.display());
        self.results.sync_data().with_context(failed)?;
        table::write(&self).with_context(failed)?;
        page::write(&self, engine, summary, [seconds, per_second]).with_context(failed)
    }

    /// Goes through the results, each with where its line begins.
    fn each(&self, mut each: impl FnMut(ResultJson, u64) -> Result<()>) -> Result<()> {
        let path = self.dir.join(RESULTS);
        let mut lines =
            BufReader::new(File::open(&path).with_context(|| path.display().to_string())?);
        let (mut line, mut at, mut number) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            if length == 0 {
                return Ok(());
            }
            number += 1;
            let result = serde_json::from_slice(&line)
                .with_context(|| format!("{}:{number}: this is no result", path.display()))?;
            each(result, at)?;
            at += length as u64;
        }
    }

    /// The result whose line begins there.
    fn at(&self, place: u64) -> Result<ResultJson> {
        let mut file = File::open(self.dir.join(RESULTS))?;
        file.seek(SeekFrom::Start(place))?;
        let mut line = Vec::new();
        BufReader::new(file).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line)?)
    }

    /// Cuts off what a kill left of a line, and goes to the end.
    fn cut_torn_line(&mut self) -> Result<()> {
        let length = self.results.seek(SeekFrom::End(0))?;
        let mut end = length;
        let mut block = vec![0; TORN_BLOCK_BYTES];
        let mut whole = 0;
        while end > 0 {
            let start = end.saturating_sub(TORN_BLOCK_BYTES as u64);
            let block = &mut block[..(end - start) as usize];
            self.results.seek(SeekFrom::Start(start))?;
            self.results.read_exact(block)?;
            if let Some(newline) = block.iter().rposition(|&byte| byte == b'\n') {
                whole = start + newline as u64 + 1;
                break;
            }
            end = start;
        }
        self.results.set_len(whole)?;
        self.results.seek(SeekFrom::Start(whole))?;
        Ok(())
    }

    /// Writes a file of the report: one that exists is a whole one, as it gets its name last.
    fn save(&self, name: &str, write: impl FnOnce(&mut File) -> Result<()>) -> Result<PathBuf> {
        let part = self.dir.join(format!(".{name}.{}.part", std::process::id()));
        let whole = self.dir.join(name);
        let mut file = File::create(&part)?;
        if let Err(error) = write(&mut file).and_then(|()| Ok(fs::rename(&part, &whole)?)) {
            let _ = fs::remove_file(&part); // its loss is no news beside the error
            return Err(error);
        }
        Ok(whole)
    }
}

/// Deletes what an earlier report left, unless its scan was never finished: hours of work may lie in it.
fn clear(dir: &Path) -> Result<()> {
    let is_begun = fs::metadata(dir.join(RESULTS)).is_ok_and(|results| results.len() > 0);
    ensure!(
        !is_begun || dir.join(page::FIRST).exists(),
        "{} holds the results of a scan that was never finished: --resume goes on with it; to begin anew, delete the folder",
        dir.display()
    );
    let failed = || format!("cannot clear {}", dir.display());
    for entry in fs::read_dir(dir).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_page = name.starts_with("page-") && name.ends_with(".html");
        let is_ours = is_page || [page::FIRST, table::NAME, RESULTS, ABOUT].contains(&&*name);
        if is_ours && entry.path().is_file() {
            fs::remove_file(entry.path()).with_context(failed)?;
        }
    }
    for entry in fs::read_dir(dir.join(THUMBNAILS)).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            fs::remove_file(path).with_context(failed)?;
        }
    }
    Ok(())
}

const ABOUT: &str = "scan.json";
const RESULTS: &str = "results.jsonl";
const THUMBNAILS: &str = "thumbnails";
/// How much is looked at at a time for the end of the last whole line.
const TORN_BLOCK_BYTES: usize = 64 << 10;

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use timemark_ingest::sources::{Captured, Content};
    use timemark_ingest::{Outcome, Trace};
    use timemark_verify::ContentId;

    use super::*;

    pub(super) fn about() -> About {
        let (sources, options) = (vec!["in".to_owned()], "--depth full".to_owned());
        About { sources, options, log: "log.example/1".to_owned(), entries: 7 }
    }

    /// A suspect whose bytes are its name.
    pub(super) fn scanned(suspect: &str, outcome: Outcome) -> Scanned {
        Scanned {
            name: SuspectName::of_file(suspect),
            content: Some(ContentId::of(suspect.as_bytes())),
            outcome: Arc::new(outcome),
            thumbnail: None,
            trace: Trace::default(),
        }
    }

    #[test]
    fn a_killed_report_goes_on_from_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RESULTS);
        let captured = |date: &str| {
            let (url, date) = ("http://a.example/".to_owned(), date.to_owned());
            let mut captured = scanned("crawl.warc", Outcome::CLEAR);
            captured.name.within = Some(url.clone());
            captured.name.captured = Some(Captured { url, date });
            captured
        };
        // An archive that is damaged, and two members of it that are called the same.
        let broken = Scanned { content: None, ..scanned("a.tar", Outcome::Error("x".to_owned())) };
        let member = |bytes: &str, outcome| {
            let mut member = scanned("a.tar", outcome);
            member.name.within = Some("b.jpg".to_owned());
            member.content = Some(ContentId::of(bytes.as_bytes()));
            member
        };
        let all = [
            scanned("a.tar", Outcome::CLEAR),
            broken,
            member("one", Outcome::CLEAR),
            member("other", Outcome::Undecidable),
            scanned("b\nc.jpg", Outcome::Error("cut short".to_owned())),
            captured("2026-01-01T00:00:00Z"),
            captured("2026-01-02T00:00:00Z"),
        ];
        let add = |report: &mut Report, some: &[Scanned]| {
            for scanned in some {
                report.add(scanned, ResultJson::of(scanned)).unwrap();
            }
        };
        add(&mut Report::open(dir.path(), &about(), true).unwrap(), &all);
        let whole = fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let mut report = Report::open(dir.path(), &about(), true).unwrap();
            let lines = whole[..length].iter().filter(|&&byte| byte == b'\n').count();
            let mut earlier = Vec::new();
            let taken = report.earlier(|result| {
                earlier.push(result.status);
                Ok(())
            });
            taken.unwrap();
            let statuses: Vec<_> = all.iter().map(|scanned| scanned.outcome.status()).collect();
            assert_eq!(earlier, statuses[..lines]);
            let mut is_done = report.done();
            let mut ask = |scanned: &Scanned| match (scanned.content, &scanned.name.within) {
                (None, _) => is_done(&scanned.name, Asked::Failed),
                (Some(_), None) => is_done(&scanned.name, Asked::File),
                (Some(id), Some(_)) => {
                    is_done(&scanned.name, Asked::Member(&Content::NoPicture(id)))
                }
            };
            // Whatever order they come in: those that were told, and once each.
            let mut known: Vec<bool> = all.iter().rev().map(&mut ask).collect();
            known.reverse();
            assert_eq!(known, (0..all.len()).map(|at| at < lines).collect::<Vec<_>>());
            assert!(!all.iter().any(&mut ask));
            add(&mut report, &all[lines..]);
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        let other = About { options: "--depth fast".to_owned(), ..about() };
        let refused = Report::open(dir.path(), &other, true).err().unwrap().to_string();
        assert!(refused.contains("was another") && refused.contains("--depth full"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), whole);
        let unfinished = Report::open(dir.path(), &other, false).err().unwrap().to_string();
        assert!(unfinished.contains("never finished"), "{unfinished}");
        fs::write(dir.path().join(page::FIRST), "done").unwrap();
        fs::write(dir.path().join("page-2.html"), "done").unwrap();
        Report::open(dir.path(), &other, false).unwrap();
        assert!(fs::read(&path).unwrap().is_empty(), "a new scan begins anew");
        assert!(!dir.path().join(page::FIRST).exists() && !dir.path().join("page-2.html").exists());
    }
}

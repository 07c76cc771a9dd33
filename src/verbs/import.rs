//! `timemark import`: what a catalogue lists becomes receipts.

use std::borrow::Cow;
use std::cell::Cell;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Result;
use timemark_ingest::{CreatorKey, Found, Sighting, WalkError, check, named};

use crate::car::Unpacking;
use crate::catalogue::{BadRow, Catalogue, Listed, Row};
use crate::outcome::{Answer, error_words, remark};
use crate::progress;
use crate::registering::{How, RegisterJson, Registering, Task, Words};

/// Register what a catalogue lists: a CSV file with the columns path, title, claimant, created, rights, collection
///
/// The first line names the columns, in any order; only `path` is required. Run it again after it was stopped, or with
/// a longer catalogue: what is registered already keeps its receipt.
#[derive(clap::Args)]
pub(crate) struct Import {
    /// The catalogue: CSV in UTF-8, with commas, semicolons or tabs
    #[arg(required_unless_present = "car")]
    catalogue: Option<PathBuf>,
    /// Instead of a catalogue: a CAR file, as IPFS tools export it, whose files are unpacked and registered
    #[arg(long, value_name = "FILE", requires = "into", conflicts_with_all = ["catalogue", "dry_run", "base"])]
    car: Option<PathBuf>,
    /// The folder into which the files of a CAR go; receipts go beside them
    #[arg(long, value_name = "DIR", requires = "car")]
    into: Option<PathBuf>,
    /// The most that the files of a CAR may take, each at least 4096 bytes [default: 64 times its own length, and at
    /// least 1 GiB]
    #[arg(long, value_name = "BYTES", requires = "car")]
    max_bytes: Option<u64>,
    /// Check every row and register nothing; of pictures only the first bytes and the size are looked at
    #[arg(long)]
    dry_run: bool,
    /// The folder that the paths begin in, instead of the catalogue's
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Pass over columns that are not known
    #[arg(long)]
    ignore_unknown_columns: bool,
    /// Who claims the works, where a row does not say
    #[arg(long)]
    claimant: Option<String>,
    /// Under which terms they may be used, where a row does not say
    #[arg(long)]
    rights: Option<String>,
    /// The collection they belong to, where a row does not say
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    #[command(flatten)]
    how: How,
}

impl Import {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        if let (Some(car), Some(into)) = (&self.car, &self.into) {
            return self.of_car(archive, car, into);
        }
        let mut catalogue = Catalogue::open(self.catalogue(), self.ignore_unknown_columns)?;
        if self.dry_run {
            return self.check(catalogue);
        }
        let run = Registering::open(archive, &self.how, Some(self.catalogue()))?;
        let bar = progress::by_bytes("importing", catalogue.bytes());
        let rows = progress::counted(catalogue.by_ref(), &bar, || run.tally().errors());
        let nameless = AtomicBool::default();
        let answer = run.all(rows, &bar, |row| self.task(row, &nameless))?;
        catalogue.finish()?;
        Ok(answer)
    }

    /// Registers the files of a CAR.
    fn of_car(&self, archive: &Path, car: &Path, into: &Path) -> Result<Answer> {
        let files = Unpacking::open(car, into, self.max_bytes)?;
        let run = Registering::open(archive, &self.how, None)?;
        let bar = progress::counter("importing", files.len());
        run.all(files, &bar, |file| Task {
            sighting: file.and_then(|path| named(&path)),
            said: Cow::Owned(self.filled(Words::default())),
            line: None,
            steps: 1,
        })
    }

    /// Where there is no CAR, clap sees to it that there is a catalogue.
    fn catalogue(&self) -> &Path {
        self.catalogue.as_deref().unwrap_or(Path::new(""))
    }

    /// Looks at every row as far as that leaves no trace.
    fn check(&self, mut catalogue: Catalogue) -> Result<Answer> {
        let creator_key = self.how.creator_key()?;
        let started = Instant::now();
        let bar = progress::by_bytes("checking", catalogue.bytes());
        let (mut rows, errors) = (0, Cell::new(0));
        let nameless = AtomicBool::default();
        for row in progress::counted(catalogue.by_ref(), &bar, || errors.get()) {
            let steps = row.bytes;
            let line = self.checked(self.task(row, &nameless), creator_key.as_ref());
            rows += 1;
            errors.set(errors.get() + u64::from(line.error.is_some()));
            bar.suspend(|| line.print(&self.how, Some(self.catalogue())))?;
            bar.inc(steps);
        }
        bar.finish_and_clear();
        remark("a dry run writes nothing; whether pictures decode is seen by the import itself");
        let (errors, seconds) = (errors.get(), started.elapsed().as_secs_f64());
        remark(&format!(
            "{rows} rows: {} checked, {errors} errors; {seconds:.2} s, {:.0} rows a second",
            rows - errors,
            rows as f64 / seconds.max(1e-9),
        ));
        catalogue.finish()?;
        Ok(if errors > 0 { Answer::No } else { Answer::Yes })
    }

    fn checked(&self, task: Task<'_>, creator_key: Option<&CreatorKey>) -> RegisterJson {
        let line = match task.sighting {
            Err(error) => RegisterJson::failed(&error.path, error.reason),
            Ok(sighting) => {
                let path = sighting.path();
                match check(path, &self.how.submission(&task.said, creator_key, None)) {
                    Err(error) => RegisterJson::failed(path, error_words(error)),
                    Ok(()) => RegisterJson::checked(path),
                }
            }
        };
        line.of_line(task.line)
    }

    /// What a row asks for.
    fn task(&self, row: Row, nameless: &AtomicBool) -> Task<'static> {
        let (sighting, said) = match row.listed {
            Ok(Listed { path, words }) => (self.sighting(&path), self.filled(words)),
            Err(BadRow { path, reason }) => {
                let path = path.map_or_else(PathBuf::new, |path| self.folder().join(path));
                (Err(WalkError { path, reason }), Words::default())
            }
        };
        if sighting.is_ok() && said.name_nobody() && !nameless.swap(true, Ordering::Relaxed) {
            let line = row.line;
            remark(&format!(
                "line {line} has no claimant and there is no --claimant: such claims name nobody"
            ));
        }
        Task { sighting, said: Cow::Owned(said), line: Some(row.line), steps: row.bytes }
    }

    /// The folder that paths begin in.
    fn folder(&self) -> &Path {
        self.base.as_deref().or(self.catalogue().parent()).unwrap_or(Path::new(""))
    }

    fn sighting(&self, listed: &Path) -> Result<Sighting, WalkError> {
        let path = self.folder().join(listed);
        let no_work = |path, reason: &str| Err(WalkError { path, reason: reason.to_owned() });
        match named(&path)? {
            Sighting::File(found) => Ok(Sighting::File(Found { below: below(listed), ..found })),
            Sighting::Receipt(path) => no_work(path, "it is a receipt, not a work"),
            Sighting::Archive(path) => no_work(path, "it lies in an archive of Timemark"),
        }
    }

    /// What the row says, and for the rest what the command line says.
    fn filled(&self, words: Words) -> Words {
        Words {
            claimant: words.claimant.or_else(|| self.claimant.clone()),
            rights: words.rights.or_else(|| self.rights.clone()),
            collection: words.collection.or_else(|| self.collection.clone()),
            ..words
        }
    }
}

/// Where below a folder for receipts that of a listed path lies: never outside, whatever the catalogue says.
fn below(listed: &Path) -> PathBuf {
    listed.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

//! `timemark store …`: where works are kept, what has not arrived there, whether all of it is what it was, and in how
//! many bytes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use timemark_store::{Address, BlobStore, Packed, Progress, Tiering, Works};
use timemark_verify::ContentId;

use crate::outcome::{Answer, error_words, legible, print_json, print_line, remark};
use crate::storage::{self, Location, Setting};
use crate::{open, progress};

/// Where works are kept: files, an IPFS node, a bucket; check, pack, copy
#[derive(clap::Subcommand)]
pub(crate) enum Store {
    /// Where works are kept, and what has not arrived there yet
    Show {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    Use(Use),
    /// Send what waits for the store elsewhere, for as long as that gets on
    Push {
        /// Also works that were registered before that store was named
        #[arg(long)]
        all: bool,
    },
    Check(Check),
    Pack(Pack),
    Copy(Copy),
}

/// Keep works somewhere else than in the archive's folder, or sealed
///
/// What is registered from now on goes there; `store push --all` sends the rest.
#[derive(clap::Args)]
pub(crate) struct Use {
    /// ipfs:http://HOST:PORT, s3:http://HOST:PORT/BUCKET?region=REGION, s3:BUCKET?region=REGION at Amazon's own,
    /// or `files` for the archive's folder alone
    location: String,
    /// Try the store elsewhere before a registration is answered; what fails waits all the same
    #[arg(long)]
    write_through: bool,
    /// Bytes that stay in the folder of what the store elsewhere has, such as 0 or 10GiB; otherwise everything stays
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    keep: Option<u64>,
    /// Seal works to a key of the archive, keys/store.key, which is made where there is none
    #[arg(long)]
    seal: bool,
    /// Seal works to the holder of this key (age1…); may be given several times. Without --seal only they can open them
    #[arg(long, value_name = "KEY")]
    seal_to: Vec<String>,
}

/// Compare every copy of every work with its CID, and heal what is damaged
#[derive(clap::Args)]
pub(crate) struct Check {
    /// Another store from which to heal: files:DIR, ipfs:…, s3:…
    #[arg(long, value_name = "LOCATION")]
    heal_from: Option<Location>,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

/// Keep works in fewer bytes: JPEGs by Lepton, the rest by Zstandard; every bit comes back
///
/// Others may register and scan meanwhile. A work that does not get shorter stays as it is.
#[derive(clap::Args)]
pub(crate) struct Pack {
    /// Works under way at a time [default: as many as there are cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
}

/// Copy the archive's works from one store to another; goes on where it was cut off
#[derive(clap::Args)]
pub(crate) struct Copy {
    /// files:DIR, ipfs:…, s3:…, or `archive` for wherever the archive has them
    #[arg(long, value_name = "LOCATION", default_value = ARCHIVE)]
    from: String,
    /// files:DIR, ipfs:…, s3:…, or `archive`
    #[arg(long, value_name = "LOCATION")]
    to: String,
}

impl Store {
    pub fn run(self, archive: &Path) -> Result<Answer> {
        match self {
            Store::Show { json } => show(archive, json),
            Store::Use(verb) => verb.run(archive),
            Store::Push { all } => push(archive, all),
            Store::Check(verb) => verb.run(archive),
            Store::Pack(verb) => verb.run(archive),
            Store::Copy(verb) => verb.run(archive),
        }
    }
}

#[derive(Serialize)]
struct ShowJson {
    remote: Option<String>,
    write: &'static str,
    keep_bytes: Option<u64>,
    seal_to: Vec<String>,
    waiting: u64,
}

fn show(archive: &Path, json: bool) -> Result<Answer> {
    let works = open::works(archive)?;
    let setting = Setting::of(archive)?;
    let waiting = works.progress().map_or(0, |progress| progress.waiting);
    if json {
        print_json(&ShowJson {
            remote: setting.remote.as_ref().map(Location::to_string),
            write: if setting.tiering.write_through { "through" } else { "back" },
            keep_bytes: setting.tiering.keep_bytes_max,
            seal_to: setting.seal_to,
            waiting,
        })?;
        return Ok(Answer::Yes);
    }
    match &setting.remote {
        None => print_line("works are kept in the archive's folder")?,
        Some(remote) => {
            let keep = setting.tiering.keep_bytes_max;
            let keep = keep.map_or("all of them".to_owned(), |max| format!("up to {max} bytes"));
            print_line(&format!(
                "works are kept in {remote}; {keep} in the archive's folder as well"
            ))?;
            print_line(&format!("{waiting} wait to be sent there"))?;
        }
    }
    for key in &setting.seal_to {
        print_line(&format!("they are sealed to {key}"))?;
    }
    Ok(Answer::Yes)
}

impl Use {
    fn run(self, archive: &Path) -> Result<Answer> {
        let works = open::works(archive)?;
        let remote = match &self.location[..] {
            "files" => None,
            location => Some(location.parse::<Location>()?),
        };
        ensure!(
            !matches!(remote, Some(Location::Files(_))),
            "the archive has a folder of its own; `store copy` copies works to another"
        );
        let before = Setting::of(archive)?.remote;
        if before.is_some() && before != remote {
            let lacking = works.only_elsewhere()?;
            ensure!(
                lacking == 0,
                "{lacking} works are kept nowhere but in {}; `timemark store copy --to files:{}` brings them here",
                before.map_or_else(String::new, |before| before.to_string()),
                archive.join("blobs").display()
            );
        }
        drop(works);
        let mut seal_to = self.seal_to;
        if self.seal {
            seal_to.push(storage::own_recipient(archive)?);
        }
        let tiering = Tiering { write_through: self.write_through, keep_bytes_max: self.keep };
        let setting = Setting { remote, tiering, seal_to };
        let away = setting.recipients()?.is_some() && !self.seal;
        setting.put(archive)?;
        // Whether it can be opened is known now, and not at the next registration.
        let works = open::works(archive)?;
        if away && works.seals_away() {
            remark(
                "new works will be sealed to keys that are not here: copies are found by what is kept of their looks, and \
                 nothing here can show or pack them",
            );
        }
        show(archive, false)
    }
}

fn push(archive: &Path, all: bool) -> Result<Answer> {
    let works = open::works(archive)?;
    ensure!(works.progress().is_some(), "works are kept in the archive's folder alone");
    if all {
        works.send_all_again()?;
    }
    works.start_sending();
    let progress = drain(&works, PATIENCE).unwrap_or_default();
    remark(&format!("{} sent, {} wait", progress.sent, progress.waiting));
    tell_of_waiting(&progress);
    Ok(if progress.waiting == 0 { Answer::Yes } else { Answer::No })
}

/// Sends what waits, with a bar, until nothing has arrived for so long.
pub(crate) fn drain(works: &Works, patience: Duration) -> Option<Progress> {
    let before = works.progress()?;
    let bar = progress::counter("sending works", before.sent + before.waiting);
    let progress = works.drain(patience, &|now| {
        bar.set_length(now.sent + now.waiting);
        bar.set_position(now.sent);
    });
    bar.finish_and_clear();
    progress
}

/// Says what keeps works from their store.
pub(crate) fn tell_of_waiting(progress: &Progress) {
    if progress.waiting > 0 {
        let problem = progress.problem.as_deref().unwrap_or("they were not sent yet");
        remark(&format!(
            "{} works wait to be sent, and lie safe in the archive's folder: {}; `timemark store push` goes on",
            progress.waiting,
            legible(problem)
        ));
    }
}

#[derive(Serialize)]
struct CheckJson {
    work: String,
    status: &'static str,
    healed: Vec<String>,
    damage: Vec<String>,
}

impl Check {
    fn run(self, archive: &Path) -> Result<Answer> {
        let works = open::works(archive)?;
        let spare = self.heal_from.as_ref().map(|at| storage::open(at, archive)).transpose()?;
        let ids = works.ids()?;
        let bar = progress::counter("checking works", ids.len() as u64);
        let (mut bytes, mut healed, mut damaged, mut not_kept, mut sealed) = (0, 0, 0, 0, 0);
        for id in &ids {
            let checked = works.check(id, spare.as_deref());
            let checked = checked.with_context(|| format!("work {id}"))?;
            bytes += checked.bytes;
            not_kept += u64::from(checked.not_kept);
            sealed += u64::from(checked.sealed);
            healed += u64::from(!checked.healed.is_empty());
            damaged += u64::from(!checked.damage.is_empty());
            bar.suspend(|| self.tell(id, checked))?;
            bar.inc(1);
        }
        works.sync()?;
        bar.finish_and_clear();
        remark(&format!(
            "{} works, {bytes} bytes read: {healed} healed, {damaged} damaged; {not_kept} are kept by their digests alone, \
             {sealed} are sealed to others",
            ids.len()
        ));
        Ok(if damaged == 0 { Answer::Yes } else { Answer::No })
    }

    fn tell(&self, id: &ContentId, checked: timemark_store::Checked) -> Result<()> {
        let status = match (&checked.damage[..], &checked.healed[..]) {
            ([], []) if checked.not_kept => "not-kept",
            ([], []) => "sound",
            ([], _) => "healed",
            _ => "damaged",
        };
        let (healed, damage) = (checked.healed, checked.damage);
        if self.json {
            return print_json(&CheckJson { work: id.to_string(), status, healed, damage });
        }
        for what in &healed {
            print_line(&format!("healed   {id}: {}", legible(what)))?;
        }
        for what in &damage {
            print_line(&format!("damaged  {id}: {}", legible(what)))?;
        }
        Ok(())
    }
}

impl Pack {
    fn run(self, archive: &Path) -> Result<Answer> {
        let started = Instant::now();
        let works = open::works(archive)?;
        let ids = works.ids()?;
        let bar = progress::counter("packing works", ids.len() as u64);
        let (before, after) = (AtomicU64::new(0), AtomicU64::new(0));
        let (packed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        let old = Mutex::new(Vec::<Address>::new());
        let next = Mutex::new(ids.iter());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let retired = std::thread::scope(|scope| {
            let worker = || -> Result<()> {
                loop {
                    let id = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(id) = id else { return Ok(()) };
                    match works.pack(id) {
                        Ok(Packed::Shorter { before: was, after: is, old: blob }) => {
                            before.fetch_add(was, Ordering::Relaxed);
                            after.fetch_add(is, Ordering::Relaxed);
                            packed.fetch_add(1, Ordering::Relaxed);
                            let mut old = old.lock().unwrap_or_else(PoisonError::into_inner);
                            old.push(blob);
                            if old.len() >= RETIRED_AT_ONCE {
                                works.retire(&std::mem::take(&mut *old))?;
                            }
                        }
                        Ok(Packed::AsItWas { bytes }) => {
                            before.fetch_add(bytes, Ordering::Relaxed);
                            after.fetch_add(bytes, Ordering::Relaxed);
                        }
                        Ok(Packed::Passed) => {}
                        // One bad work costs no other.
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            let words = error_words(error);
                            bar.suspend(|| remark(&format!("work {id} was not packed: {words}")));
                        }
                    }
                    bar.inc(1);
                }
            };
            let workers: Vec<_> =
                (0..self.jobs.map_or(cores, usize::from)).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(_) => bail!("a thread ended before its time"),
            })
        });
        works.retire(&old.into_inner().unwrap_or_else(PoisonError::into_inner))?;
        bar.finish_and_clear();
        retired?;
        let (before, after) = (before.into_inner(), after.into_inner());
        let seconds = started.elapsed().as_secs_f64();
        let share = 100.0 * after as f64 / (before as f64).max(1.0);
        remark(&format!(
            "{} of {} works packed: {before} bytes looked at became {after} ({share:.1} %); {seconds:.1} s, {:.1} MB a second",
            packed.into_inner(),
            ids.len(),
            before as f64 / 1e6 / seconds.max(1e-9)
        ));
        Ok(if failed.into_inner() == 0 { Answer::Yes } else { Answer::No })
    }
}

impl Copy {
    fn run(self, archive: &Path) -> Result<Answer> {
        let works = open::works(archive)?;
        let opened = |location: &str| match location {
            ARCHIVE => Ok(None),
            location => storage::open(&location.parse()?, archive).map(Some),
        };
        let (from, to) = (opened(&self.from)?, opened(&self.to)?);
        let from: &dyn BlobStore = from.as_deref().unwrap_or(works.blobs());
        let to: &dyn BlobStore = to.as_deref().unwrap_or(works.blobs());
        ensure!(from.name() != to.name(), "both are {}", to.name());

        let mut blobs = HashSet::new();
        for id in works.ids()? {
            blobs.extend(works.recorded(&id)?.kept.map(|kept| kept.blob));
        }
        let mut blobs: Vec<Address> = blobs.into_iter().collect();
        blobs.sort_unstable();
        let bar = progress::counter("copying works", blobs.len() as u64);
        let (mut copied, mut kept, mut failed) = (0, 0, 0);
        for blob in &blobs {
            let copy = || -> Result<bool> {
                if to.has(blob)? {
                    return Ok(false);
                }
                to.put_as(blob, &mut *from.get(blob)?)?;
                Ok(true)
            };
            match copy() {
                Ok(true) => copied += 1,
                Ok(false) => kept += 1,
                Err(error) => {
                    failed += 1;
                    let blob = blob.content;
                    bar.suspend(|| remark(&format!("{blob} was not copied: {error:#}")));
                }
            }
            bar.inc(1);
        }
        to.sync()?;
        bar.finish_and_clear();
        remark(&format!(
            "{} blobs from {} to {}: {copied} copied, {kept} were there, {failed} failed",
            blobs.len(),
            from.name(),
            to.name()
        ));
        Ok(if failed == 0 { Answer::Yes } else { Answer::No })
    }
}

/// A number of bytes, with KiB, MiB, GiB or TiB behind it or nothing.
fn bytes(text: &str) -> Result<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => bail!("{text:?} is no number of bytes: 1000, 512MiB, 10GiB"),
    };
    let number: u64 = number.parse().with_context(|| format!("{text:?}"))?;
    number.checked_mul(1 << shift).with_context(|| format!("{text:?} is too much"))
}

/// The store of the archive itself, in the arguments of `copy`.
const ARCHIVE: &str = "archive";
/// How long to go on trying while nothing arrives.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many blobs share one flush before they are forgotten.
const RETIRED_AT_ONCE: usize = 64;

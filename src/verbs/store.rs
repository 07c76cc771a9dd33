//! `timemark store …`: where works are kept, what has not arrived there, whether all of it is what it was, and in how
//! many bytes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use timemark_store::{Address, BlobError, BlobStore, Progress, RemoteProblem, Tiering, Works};
use timemark_verify::ContentId;

use crate::outcome::{Answer, legible, print_json, print_line, remark};
use crate::packing::Packer;
use crate::storage::{self, Location, Setting};
use crate::{backup, open, progress};

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
        /// With --all, also works that are not sealed, though new ones are
        #[arg(long, requires = "all")]
        unsealed: bool,
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
    /// Do not seal works any more
    #[arg(long, conflicts_with_all = ["seal", "seal_to"])]
    no_seal: bool,
    /// Pack works once they are registered, while others are
    #[arg(long)]
    pack: bool,
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
            Store::Push { all, unsealed } => push(archive, all, unsealed),
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
    pack: bool,
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
            pack: setting.pack,
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
        print_line(&format!("new ones are sealed to {key}"))?;
    }
    if setting.pack {
        print_line("new ones are packed")?;
    }
    Ok(Answer::Yes)
}

impl Use {
    fn run(self, archive: &Path) -> Result<Answer> {
        // A run under way would go on by the old setting.
        let _held = open::hold(archive)?;
        let before = Setting::of(archive)?;
        let remote = match &self.location[..] {
            "files" => None,
            location => Some(location.parse::<Location>()?),
        };
        ensure!(
            !matches!(remote, Some(Location::Files(_))),
            "the archive has a folder of its own; `store copy` copies works to another"
        );
        let mut seal_to = self.seal_to;
        ensure!(
            before.seal_to.is_empty() || self.seal || self.no_seal || !seal_to.is_empty(),
            "works are sealed to {} so far: say --seal, --seal-to or --no-seal",
            before.seal_to.join(" ")
        );
        if self.seal {
            seal_to.push(storage::own_recipient(archive)?);
        }
        let tiering = Tiering { write_through: self.write_through, keep_bytes_max: self.keep };
        let setting = Setting { remote, tiering, seal_to, pack: self.pack };
        // Whether it can be opened is known now, and not at the next registration.
        let works = storage::works_as(archive, &setting)?;
        let away = works.seals_away(works.seal_to());
        drop(works);
        if before.remote.is_some() {
            // Without what opens it (keys of a bucket, say) a store can be left all the same: only the folder is read.
            let in_folder = Setting { remote: None, ..before.clone() };
            let works = storage::works_as(archive, &in_folder)?;
            let leaves = before.remote != setting.remote;
            if leaves {
                check_all_is_here(archive, &works, &before)?;
            }
            // What waits in clear is not to be sent where sealed works go.
            if leaves || (before.seal_to.is_empty() && !setting.seal_to.is_empty()) {
                keep_here_what_waits(&works, &before)?;
            }
        }
        setting.put(archive)?;
        if away {
            remark(
                "new works will be sealed to keys that are not here: copies are found by what is kept of their looks, and \
                 nothing here can show or pack them",
            );
        }
        show(archive, false)
    }
}

/// Tells whether a store elsewhere can be left: all that it has lies in the folder as well.
fn check_all_is_here(archive: &Path, works: &Works, before: &Setting) -> Result<()> {
    let lacking = works.only_elsewhere()?;
    let name = before.remote.as_ref().map_or_else(String::new, Location::to_string);
    ensure!(
        lacking == 0,
        "{lacking} works are kept, or sound, nowhere but in {name}; `timemark store copy --to files:{}` brings them here",
        archive.join("blobs").display()
    );
    Ok(())
}

/// What still waits is not meant for another store, nor to be sent in clear where sealed works go.
fn keep_here_what_waits(works: &Works, before: &Setting) -> Result<()> {
    let waiting = works.keep_here_what_waits()?;
    if waiting > 0 {
        let name = before.remote.as_ref().map_or_else(String::new, Location::to_string);
        remark(&format!(
            "{waiting} works that waited for {name} stay in the folder; `timemark store push --all` sends them on"
        ));
    }
    Ok(())
}

fn push(archive: &Path, all: bool, unsealed: bool) -> Result<Answer> {
    let works = open::works_to_move(archive)?;
    ensure!(works.progress().is_some(), "works are kept in the archive's folder alone");
    let (mut stay, mut failed) = (0, Vec::new());
    if all {
        (stay, failed) = works.send_all_again(unsealed)?;
    }
    works.start_sending();
    let progress = drain(&works, PATIENCE).unwrap_or_default();
    remark(&format!("{} sent, {} wait", progress.sent, progress.waiting));
    tell_of_waiting(&progress);
    for error in &failed {
        remark(&format!("not sent: {error}"));
    }
    if stay > 0 {
        remark(&format!("{stay} works are not sealed and stay; --unsealed sends them as they are"));
    }
    Ok(if progress.waiting + stay == 0 && failed.is_empty() { Answer::Yes } else { Answer::No })
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
        let is_backup = backup::mark(archive)?.is_some();
        let works = match is_backup {
            false => open::works(archive)?,
            // The store elsewhere is the archive's: what lies there is neither looked for nor healed.
            true => storage::works_as(archive, &Setting { remote: None, ..Setting::of(archive)? })?,
        };
        let elsewhere_at = match Setting::of(archive)? {
            // Only where the folder may forget works does a backup of it lack any.
            Setting { remote: Some(at), tiering, .. } if tiering.keep_bytes_max.is_some() => {
                Some(at.to_string()).filter(|_| is_backup)
            }
            _ => None,
        };
        let spare = self.heal_from.as_ref().map(|at| opened(at, archive)).transpose()?;
        let ids = works.ids()?;
        let bar = progress::counter("checking works", ids.len() as u64);
        let mut away = Away::default();
        let (mut bytes, mut healed, mut damaged, mut unknown) = (0, 0, 0, 0);
        let (mut not_kept, mut sealed, mut elsewhere) = (0, 0, 0);
        for id in &ids {
            if elsewhere_at.as_ref().is_some_and(|store| works.is_only_in(store, id)) {
                elsewhere += 1;
                bar.inc(1);
                continue;
            }
            match works.check(id, spare.as_deref()) {
                Ok(mut checked) => {
                    away.answered();
                    if let Some(damage) = descriptors_damage(&works, id) {
                        checked.damage.push(damage);
                    }
                    bytes += checked.bytes;
                    not_kept += u64::from(checked.not_kept);
                    sealed += u64::from(checked.sealed);
                    healed += u64::from(!checked.healed.is_empty());
                    damaged += u64::from(!checked.damage.is_empty());
                    bar.suspend(|| self.tell(id, checked))?;
                }
                Err(error) => {
                    unknown += 1;
                    bar.suspend(|| remark(&format!("work {id} was not checked: {error:#}")));
                    if away.is_given_up(&error) {
                        break;
                    }
                }
            }
            bar.inc(1);
        }
        let seen = bar.position();
        works.sync()?;
        bar.finish_and_clear();
        remark(&format!(
            "{seen} of {} works, {bytes} bytes read: {healed} healed, {damaged} damaged, {unknown} not checked; {not_kept} are \
             kept by their digests alone, {sealed} are sealed to others",
            ids.len()
        ));
        if elsewhere > 0 {
            remark(&format!(
                "{elsewhere} works are not in this backup, as the archive keeps them elsewhere only"
            ));
        }
        let all_sound = damaged + unknown == 0 && seen == ids.len() as u64;
        Ok(if all_sound { Answer::Yes } else { Answer::No })
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
        let works = open::works_to_move(archive)?;
        works.start_sending();
        let ids = works.ids()?;
        let bar = progress::counter("packing works", ids.len() as u64);
        let packer = Packer::new(&works);
        let next = Mutex::new(ids.iter());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let packed = std::thread::scope(|scope| {
            let worker = || -> Result<()> {
                loop {
                    let id = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(id) = id else { return Ok(()) };
                    packer.pack(id)?;
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
        let sums = packer.finish()?;
        bar.finish_and_clear();
        packed?;
        let seconds = started.elapsed().as_secs_f64();
        if let Some(progress) = drain(&works, PATIENCE) {
            tell_of_waiting(&progress);
        }
        let share = 100.0 * sums.after as f64 / (sums.before as f64).max(1.0);
        remark(&format!(
            "{} of {} works packed: {} bytes looked at became {} ({share:.1} %); {seconds:.1} s, {:.1} MB a second",
            sums.packed,
            ids.len(),
            sums.before,
            sums.after,
            sums.before as f64 / 1e6 / seconds.max(1e-9)
        ));
        Ok(if sums.failed == 0 { Answer::Yes } else { Answer::No })
    }
}

impl Copy {
    fn run(self, archive: &Path) -> Result<Answer> {
        let works = open::works_to_move(archive)?;
        let from = match &self.from[..] {
            ARCHIVE => None,
            location => Some(opened(&location.parse()?, archive)?),
        };
        let to = match &self.to[..] {
            ARCHIVE => None,
            location => Some(location.parse::<Location>()?),
        };
        let is_own_folder = to.as_ref().is_some_and(|to| is_own_folder(to, archive));
        let to = to.map(|to| storage::open(&to, archive)).transpose()?;
        let from: &dyn BlobStore = match from.as_deref() {
            Some(from) => from,
            // What comes to the archive's own folder is not to be forgotten there again while it comes.
            None if is_own_folder => works.elsewhere().context("the works are there")?,
            None => works.blobs(),
        };
        let into = to.as_deref().unwrap_or(works.blobs());
        ensure!(from.name() != into.name(), "both are {}", into.name());

        let (mut blobs, mut failed) = (BTreeMap::new(), 0);
        for id in works.ids()? {
            match works.recorded(&id) {
                Ok(place) => blobs.extend(place.kept.map(|kept| (kept.blob, kept))),
                Err(error) => {
                    failed += 1;
                    remark(&format!("work {id} was not copied: {error}"));
                }
            }
        }
        let bar = progress::counter("copying works", blobs.len() as u64);
        let mut away = Away::default();
        let (mut copied, mut kept) = (0, 0);
        for (blob, kept_as) in &blobs {
            // In the archive itself a blob comes where it belongs: not all are for the store elsewhere.
            match copy(from, to.as_deref().unwrap_or(works.store_for(kept_as)), blob) {
                Ok(true) => copied += 1,
                Ok(false) => kept += 1,
                Err(error) => {
                    failed += 1;
                    let blob = blob.content;
                    bar.suspend(|| remark(&format!("{blob} was not copied: {error:#}")));
                    if away.is_given_up(&error) {
                        break;
                    }
                    bar.inc(1);
                    continue;
                }
            }
            away.answered();
            bar.inc(1);
        }
        let seen = bar.position();
        into.sync()?;
        bar.finish_and_clear();
        remark(&format!(
            "{seen} of {} blobs from {} to {}: {copied} copied, {kept} were there and sound, {failed} failed",
            blobs.len(),
            from.name(),
            into.name()
        ));
        Ok(if failed == 0 && seen == blobs.len() as u64 { Answer::Yes } else { Answer::No })
    }
}

/// Copies a blob, unless it is there and was read to be what it should be.
fn copy(from: &dyn BlobStore, to: &dyn BlobStore, blob: &Address) -> Result<bool, BlobError> {
    if !to.has(blob)? {
        to.put_as(blob, &mut *from.get(blob)?)?;
        return Ok(true);
    }
    let read = to.get(blob).map(|mut bytes| io::copy(&mut bytes, &mut io::sink()));
    if matches!(read, Ok(Ok(_))) {
        return Ok(false);
    }
    to.heal(blob, &mut *from.get(blob)?)?;
    Ok(true)
}

fn is_own_folder(at: &Location, archive: &Path) -> bool {
    let Location::Files(dir) = at else { return false };
    match (dir.canonicalize(), archive.join("blobs").canonicalize()) {
        (Ok(dir), Ok(own)) => dir == own,
        _ => false,
    }
}

/// A store from which something is read: a folder that is not there is a slip of the pen.
fn opened(at: &Location, archive: &Path) -> Result<std::sync::Arc<dyn BlobStore>> {
    if let Location::Files(dir) = at {
        ensure!(dir.is_dir(), "{} is no folder", dir.display());
    }
    storage::open(at, archive)
}

/// What is wrong with what is kept of a work's looks, if it is kept.
fn descriptors_damage(works: &Works, id: &ContentId) -> Option<String> {
    match works.descriptors(id) {
        Ok(None) => None,
        Ok(Some(bytes)) if timemark_ingest::are_descriptors(&bytes) => None,
        Ok(Some(_)) => Some(
            "what is kept of its looks is damaged; copies of it are not found by keypoints"
                .to_owned(),
        ),
        Err(error) => Some(error.to_string()),
    }
}

/// Whether a store elsewhere seems to be away: then nobody waits for its patience once for each work.
#[derive(Default)]
struct Away {
    in_a_row: u32,
}

impl Away {
    fn answered(&mut self) {
        self.in_a_row = 0;
    }

    fn is_given_up(&mut self, error: &BlobError) -> bool {
        use RemoteProblem::{Denied, Full, TimedOut, Unreachable};
        let problem = match error {
            BlobError::Remote { problem, .. } => Some(problem),
            _ => None,
        };
        match problem {
            Some(Denied | Full | TimedOut(_) | Unreachable) => self.in_a_row += 1,
            _ => self.in_a_row = 0,
        }
        self.in_a_row >= AWAY_AFTER
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
/// After so many errors in a row a store counts as away.
const AWAY_AFTER: u32 = 3;

//! `timemark export`: works come out of the archive again, as files or as a CAR that IPFS tools take.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;
use timemark_store::Works;
use timemark_store::car::CarWriter;
use timemark_store::encoding::Identities;
use timemark_verify::{ContentId, Receipt};

use crate::outcome::{Answer, legible, print_line, remark};
use crate::verbs::verify::read_receipt;
use crate::{open, progress};

/// Take works out of the archive: as they are, or as one CAR file for IPFS
#[derive(clap::Args)]
pub(crate) struct Export {
    /// Works by their id (bafkrei…), or their receipts
    #[arg(required = true, value_name = "WORK|RECEIPT")]
    works: Vec<String>,
    /// The folder to put them into
    #[arg(long, value_name = "DIR", required_unless_present = "car", conflicts_with = "car")]
    to: Option<PathBuf>,
    /// The CAR file to write (CARv1); its roots are the works, as `ipfs add --cid-version=1 --raw-leaves` names them
    #[arg(long, value_name = "FILE")]
    car: Option<PathBuf>,
    /// A file with the key (AGE-SECRET-KEY-1…) that opens sealed works
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

/// A work and the name that it gets.
struct Wanted {
    id: ContentId,
    name: String,
}

impl Export {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let mut works = open::works(archive)?;
        if let Some(path) = &self.identity {
            let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let keys = Identities::parse(&text).with_context(|| path.display().to_string())?;
            works = works.opened_by(keys);
        }
        let wanted: Vec<Wanted> =
            self.works.iter().map(|text| wanted(text)).collect::<Result<_>>()?;
        match (&self.to, &self.car) {
            (Some(dir), _) => to_files(&works, &wanted, dir),
            (None, Some(car)) => to_car(&works, &wanted, car),
            (None, None) => Ok(Answer::CouldNotTell), // clap sees to it that one is there
        }
    }
}

fn wanted(text: &str) -> Result<Wanted> {
    if let Ok(id) = text.parse::<ContentId>() {
        return Ok(Wanted { id, name: text.to_owned() });
    }
    let path = Path::new(text);
    ensure!(path.is_file(), "{} is no id of a work (bafkrei…) and no receipt", legible(text));
    let receipt = Receipt::parse(&read_receipt(path)?).with_context(|| text.to_owned())?;
    let id = receipt.claim.work.content();
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.and_then(|name| name.strip_suffix(".timemark")).map(str::to_owned);
    Ok(Wanted { id, name: name.unwrap_or_else(|| id.to_string()) })
}

fn to_files(works: &Works, wanted: &[Wanted], dir: &Path) -> Result<Answer> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let bar = progress::counter("exporting works", wanted.len() as u64);
    let mut failed = 0;
    for work in wanted {
        let path = dir.join(&work.name);
        let write = || -> Result<()> {
            let mut aside = NamedTempFile::new_in(dir)?;
            // It gets its name only when its end has shown that it is the work.
            io::copy(&mut works.get(&work.id)?, &mut aside)?;
            aside.as_file().sync_all()?;
            aside.persist_noclobber(&path).map_err(|error| error.error)?;
            Ok(())
        };
        match write().with_context(|| path.display().to_string()) {
            Ok(()) => bar.suspend(|| print_line(&format!("exported    {}", legible(&path))))?,
            Err(error) => {
                failed += 1;
                bar.suspend(|| remark(&format!("{error:#}")));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(if failed == 0 { Answer::Yes } else { Answer::No })
}

fn to_car(works: &Works, wanted: &[Wanted], car: &Path) -> Result<Answer> {
    let dir = car.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut roots = Vec::new();
    for work in wanted {
        let place = works.recorded(&work.id)?;
        roots.push(place.work.dag);
    }
    let bar = progress::counter("exporting works", wanted.len() as u64);
    let write = || -> Result<()> {
        let mut aside = NamedTempFile::new_in(dir)?;
        let mut writer = CarWriter::new(BufWriter::new(&mut aside), &roots)?;
        for (work, root) in wanted.iter().zip(&roots) {
            let written = writer.add(&mut works.get(&work.id)?);
            let written = written.with_context(|| format!("work {}", work.id))?;
            ensure!(written == *root, "work {} is recorded under another address, {root}", work.id);
            bar.inc(1);
        }
        writer.finish()?.flush()?;
        aside.as_file().sync_all()?;
        aside.persist_noclobber(car).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| car.display().to_string())?;
    bar.finish_and_clear();
    for (work, root) in wanted.iter().zip(&roots) {
        print_line(&format!("exported    {root}  {}", legible(&work.name)))?;
    }
    Ok(Answer::Yes)
}

//! Goes through a zip, in the order of its central directory.

use std::io::{BufReader, Read, Seek};
use std::ops::ControlFlow;

use ::zip::ZipReadOptions;
use ::zip::read::Config;
use ::zip::result::ZipError;
use ::zip::unstable::read::ZipIterable;

use super::SuspectName;
use super::archive::Visit;
use super::stream::{Unpacked, contained, damaged};

/// Hands out the members of a zip of this length. `open` begins it anew each time.
pub(super) fn visit<R: Read + Seek>(
    visit: &mut Visit<'_>,
    archive: &SuspectName,
    open: &dyn Fn() -> R,
    length: u64,
    depth: usize,
) -> ControlFlow<()> {
    let mut body = open();
    // Its entries are read one by one: an index of them all would take memory on the word of the archive.
    let zip = contained(|| Ok(ZipIterable::try_new(open(), Config::default())));
    let mut zip = match zip.map(|zip| zip.map_err(readable)) {
        Ok(Ok(zip)) => zip,
        Ok(Err(error)) | Err(error) => return visit.failed(archive.clone(), &error),
    };
    let entries = match zip.files() {
        Ok(entries) => entries,
        Err(error) => return visit.failed(archive.clone(), &readable(error)),
    };
    while let Some(entry) = contained(|| Ok(entries.next())).transpose() {
        let entry = match entry.map(|entry| entry.map_err(readable)) {
            Ok(Ok(entry)) => entry,
            Ok(Err(error)) | Err(error) => return visit.failed(archive.clone(), &error),
        };
        if entry.is_dir() || entry.is_symlink() {
            continue;
        }
        let name = match entry.name() {
            Ok(name) => archive.member(name.as_bytes()),
            Err(_) => archive.member(entry.name_raw()),
        };
        // Entries may all lie at the same place, and cost time even where they unpack to nothing.
        let compressed = usize::try_from(entry.compressed_size().min(length)).unwrap_or(usize::MAX);
        if let Err(error) = visit.budget.unpacked(compressed) {
            return visit.failed(name, &error);
        }
        let size = entry.size();
        match contained(|| Ok(entry.with_reader(&mut body, ZipReadOptions::new()))) {
            Ok(Ok(file)) => {
                let file = Unpacked { from: file, budget: visit.budget.clone() };
                let mut file = BufReader::with_capacity(MEMBER_BUFFER_BYTES, file);
                visit.member(name, &mut file, Some(size), depth)?;
                // Who was told of one such member knows; the others would only repeat it.
                if visit.budget.is_spent() {
                    break;
                }
            }
            Ok(Err(error)) => visit.failed(name, &readable(error))?,
            Err(error) => visit.failed(name, &error)?,
        }
    }
    ControlFlow::Continue(())
}

fn readable(error: ZipError) -> std::io::Error {
    match error {
        ZipError::Io(error) => damaged(format!("zip: {error}")),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => damaged("it is encrypted"),
        error => damaged(format!("zip: {error}")),
    }
}

const MEMBER_BUFFER_BYTES: usize = 64 << 10;

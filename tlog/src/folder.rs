//! Reads a log's folder, and believes nothing in it that the log did not sign. Writes nothing.

use std::path::{Path, PathBuf};

use timemark_verify::merkle::{Hash, leaf_hash};
use timemark_verify::{Checkpoint, Note};

use crate::claims::{Checkpoints, CheckpointsReader};
use crate::disk::Disk;
use crate::journal::{Base, Batch};
use crate::tile::{TILE_WIDTH, TileId, entries_path, partial_width, subtrees};
use crate::tree::{Edge, tile_bytes};
use crate::{LogError, LogKey};

/// The public tlog-tiles tree of the log in this folder.
pub fn tiles_dir(dir: &Path) -> PathBuf {
    dir.join("tiles")
}

pub(crate) fn checkpoints_path(dir: &Path) -> PathBuf {
    dir.join("checkpoints")
}

/// Writes an entry as a bundle holds it.
pub(crate) fn put_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    bundle.extend((entry.len() as u16).to_be_bytes());
    bundle.extend(entry);
}

/// Reads a bundle of at least `width` entries and returns so many.
pub(crate) fn read_entries(
    disk: &Disk,
    dir: &Path,
    bundle: u64,
    width: u64,
) -> Result<Vec<Vec<u8>>, LogError> {
    let (path, file, held) = read_narrowest(disk, dir, width, |width| entries_path(bundle, width))?;
    let damaged = || LogError::damaged(&path, format!("it does not hold {held} entries"));
    let mut rest = &file[..];
    let mut entries = Vec::with_capacity(held as usize);
    for _ in 0..held {
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or_else(damaged)?;
        entries.push(entry.to_vec());
        rest = after;
    }
    entries.truncate(width as usize);
    if rest.is_empty() { Ok(entries) } else { Err(damaged()) }
}

/// Reads a tile of at least `width` hashes and returns so many.
pub(crate) fn read_tile(
    disk: &Disk,
    dir: &Path,
    level: u8,
    index: u64,
    width: u64,
) -> Result<Vec<Hash>, LogError> {
    let path_of = |width| TileId { level, index, width }.path();
    let (path, file, held) = read_narrowest(disk, dir, width, path_of)?;
    if file.len() as u64 != 32 * held {
        return Err(LogError::damaged(&path, format!("it does not hold {held} hashes")));
    }
    let hashes = file.chunks_exact(32).filter_map(|h| h.try_into().ok().map(Hash));
    Ok(hashes.take(width as usize).collect())
}

/// The file of this width or the narrowest wider one, and how wide it is: a partial file goes when the
/// full one is safe.
fn read_narrowest(
    disk: &Disk,
    dir: &Path,
    width: u64,
    path_of: impl Fn(u16) -> String,
) -> Result<(PathBuf, Vec<u8>, u64), LogError> {
    let tiles_dir = tiles_dir(dir);
    for width in width..=TILE_WIDTH {
        let path = tiles_dir.join(path_of(width as u16));
        if let Some(file) = disk.read_if_exists(&path)? {
            return Ok((path, file, width));
        }
    }
    Err(LogError::damaged(&tiles_dir.join(path_of(width as u16)), "it is missing"))
}

/// The right edge on disk, which must lead to the signed root.
pub(crate) fn read_edge(
    disk: &Disk,
    dir: &Path,
    checkpoint: &Checkpoint,
) -> Result<Edge, LogError> {
    let levels = (0u8..).take_while(|&level| subtrees(checkpoint.size, level) > 0);
    let levels = levels.map(|level| match partial_width(checkpoint.size, level) {
        0 => Ok(Vec::new()),
        width => {
            let index = subtrees(checkpoint.size, level) / TILE_WIDTH;
            read_tile(disk, dir, level, index, u64::from(width))
        }
    });
    let edge = Edge::new(checkpoint.size, levels.collect::<Result<_, _>>()?);
    if edge.root() != checkpoint.root {
        let reason =
            format!("its tiles do not lead to the root signed at size {}", checkpoint.size);
        return Err(LogError::damaged(&tiles_dir(dir), reason));
    }
    Ok(edge)
}

/// The partial bundle of entries, which must be those of the tree: it goes into the full one.
pub(crate) fn read_partial_entries(
    disk: &Disk,
    dir: &Path,
    edge: &Edge,
) -> Result<Vec<u8>, LogError> {
    let (bundle, width) = (edge.size() / TILE_WIDTH, edge.size() % TILE_WIDTH);
    let entries = if width > 0 { read_entries(disk, dir, bundle, width)? } else { Vec::new() };
    let hashes = edge.partial_tile(0).iter().copied();
    if !entries.iter().map(|entry| leaf_hash(entry)).eq(hashes) {
        let path = tiles_dir(dir).join(entries_path(bundle, width as u16));
        return Err(LogError::damaged(&path, "its entries are not those of the tree"));
    }
    let mut bytes = Vec::new();
    entries.iter().for_each(|entry| put_entry(&mut bytes, entry));
    Ok(bytes)
}

/// Checks that each batch of the journal follows the last and is what the log signed. Returns what it
/// signed, from the start of the journal on.
pub(crate) fn check_batches(
    dir: &Path,
    key: &LogKey,
    start: Checkpoint,
    edge: &Edge,
    batches: &[Batch],
) -> Result<Vec<Checkpoint>, LogError> {
    let mut edge = edge.clone();
    let mut known = vec![start];
    for batch in batches {
        let follows = batch.first == edge.size();
        batch.entries.iter().for_each(|e| edge.push(leaf_hash(&e.leaf), &mut |_, _| {}));
        let checkpoint = Checkpoint::parse(&batch.checkpoint)?;
        let follows = follows && checkpoint.origin == key.origin();
        if !follows || (checkpoint.size, checkpoint.root) != (edge.size(), edge.root()) {
            let reason = format!("the batch of entry {} is not what it says", batch.first);
            return Err(LogError::damaged(&dir.join("journal"), reason));
        }
        known.push(checkpoint);
    }
    Ok(known)
}

/// The right edge on disk must still be the one in memory: the next signature rests on both.
pub(crate) fn check_edge(
    disk: &Disk,
    dir: &Path,
    edge: &Edge,
    entries: &[u8],
) -> Result<(), LogError> {
    let width = partial_width(edge.size(), 0);
    let bundle = (width > 0).then(|| entries_path(edge.size() / TILE_WIDTH, width));
    let bundle = bundle.map(|path| (path, entries.to_vec()));
    let tiles = edge.partial_tiles().map(|(id, hashes)| (id.path(), tile_bytes(hashes)));
    for (path, expected) in tiles.chain(bundle) {
        let path = tiles_dir(dir).join(path);
        match disk.read_if_exists(&path)? {
            Some(bytes) if bytes == expected => {}
            Some(_) => return Err(LogError::damaged(&path, "it is not what the log wrote")),
            None => return Err(LogError::damaged(&path, "it is missing")),
        }
    }
    Ok(())
}

/// What was published, or kept of what was signed, may lag behind the journal, never lead it or differ:
/// else this folder is an old copy, or something acknowledged is lost.
pub(crate) fn check_nothing_else_was_signed(
    disk: &Disk,
    dir: &Path,
    key: &LogKey,
    known: &[Checkpoint],
    base: &Base,
) -> Result<(), LogError> {
    let size = known.last().map_or(0, |newest| newest.size);
    if size < key.first_size() {
        let reason = format!(
            "its keys were replaced when the log held {} entries, of which this folder holds {size}; it may \
             be an old copy",
            key.first_size()
        );
        return Err(LogError::damaged(dir, reason));
    }
    let published_path = tiles_dir(dir).join("checkpoint");
    let published = disk.read_if_exists(&published_path)?;
    let kept = checkpoints_path(dir);
    let last_kept = base.checkpoints_bytes.saturating_sub(4 + base.note.len() as u64);
    let mut notes = Checkpoints::read_from(disk, &kept, last_kept)?;
    // What the journal rests on was flushed before it was begun, and is no torn write.
    if next_whole(&mut notes)? != Some(base.note.clone()) {
        let reason = format!("at byte {last_kept} there is not the checkpoint that was kept there");
        return Err(LogError::damaged(&kept, reason));
    }
    // A power cut may tear either; only what bears our signature says anything.
    let mut others: Vec<String> = Vec::new();
    while let Some(note) = next_whole(&mut notes)? {
        others.push(note);
    }
    others.extend(published.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
    for note in others {
        let Ok((signed, _)) = signed(dir, key, &note) else { continue };
        let differs = known.iter().any(|k| k.size == signed.size && k.root != signed.root);
        if signed.size > size || differs {
            let others = if differs { " others" } else { "" };
            let reason = format!(
                "the log has signed {} entries, of which this folder holds {size}{others}; it may be an \
                 old copy",
                signed.size
            );
            return Err(LogError::damaged(dir, reason));
        }
    }
    let is_settled = known.len() == 1;
    let text_of = |note: &str| Some(Note::parse(note).ok()?.text().to_owned());
    let is_base = |published: &[u8]| {
        // It may bear more signatures than the journal keeps.
        let published = signed(dir, key, &String::from_utf8_lossy(published)).ok();
        published.map(|(_, note)| note.text().to_owned()) == text_of(&base.note)
    };
    if is_settled && published.is_some_and(|published| !is_base(&published)) {
        let reason = "it is not the checkpoint that the log published last; without this file, the log \
                      publishes it again";
        return Err(LogError::damaged(&published_path, reason));
    }
    Ok(())
}

/// The next checkpoint, or `None` where there is no whole one. What cannot be read is not nothing.
fn next_whole(notes: &mut CheckpointsReader) -> Result<Option<String>, LogError> {
    match notes.next() {
        Some(Ok((_, note))) => Ok(Some(note)),
        Some(Err(LogError::Damaged { .. })) | None => Ok(None),
        Some(Err(error)) => Err(error),
    }
}

/// Reads a checkpoint that this key must have signed.
pub(crate) fn signed(dir: &Path, key: &LogKey, note: &str) -> Result<(Checkpoint, Note), LogError> {
    let note = Note::parse(note)?;
    let checkpoint = Checkpoint::of_note(&note)?;
    if key.signed(&checkpoint, &note) {
        Ok((checkpoint, note))
    } else {
        Err(LogError::damaged(
            dir,
            format!("a checkpoint in it is not signed by {}", key.verifier()),
        ))
    }
}

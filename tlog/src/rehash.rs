//! Hashes the whole tree on disk again, from the signed root down to every entry. Memory grows with one
//! hash for every 256 entries.

use std::path::Path;
use std::thread;

use timemark_verify::merkle::{Hash, leaf_hash};

use crate::LogError;
use crate::disk::Disk;
use crate::folder::{read_entries, read_tile, tiles_dir};
use crate::tile::{TILE_WIDTH, TileId, entries_path};
use crate::tree::{Edge, Tile};

/// Checks every full tile and every full bundle of the tree of this edge, which leads to the signed root.
/// A tile whose hash the one above does not hold is damaged, and no other.
pub(crate) fn check_full_tiles(disk: &Disk, dir: &Path, edge: &Edge) -> Result<(), LogError> {
    // The hashes of the full tiles of the level above the one at hand.
    let mut above: Vec<Hash> = Vec::new();
    for level in (0..edge.levels().saturating_sub(1)).rev() {
        above.extend_from_slice(edge.partial_tile(level + 1));
        above = on_all_cores(&above, |index, root| check_tile(disk, dir, level, index, root))?;
    }
    Ok(())
}

/// Reads a full tile, which must have this root, and, on the lowest level, the bundle below it. Returns its
/// hashes, unless there is no level below.
fn check_tile(
    disk: &Disk,
    dir: &Path,
    level: u8,
    index: u64,
    expected: &Hash,
) -> Result<Vec<Hash>, LogError> {
    let width = TILE_WIDTH as u16;
    let damaged = |path: String, reason| LogError::damaged(&tiles_dir(dir).join(path), reason);
    let hashes = read_tile(disk, dir, level, index, TILE_WIDTH)?;
    let tile = Tile::new(hashes);
    if tile.root() != Some(*expected) {
        let path = TileId { level, index, width }.path();
        return Err(damaged(path, "it does not lead to the signed root"));
    }
    if level > 0 {
        return Ok(tile.hashes().to_vec());
    }
    let entries = read_entries(disk, dir, index, TILE_WIDTH)?;
    if entries.iter().map(|entry| leaf_hash(entry)).eq(tile.hashes().iter().copied()) {
        Ok(Vec::new())
    } else {
        Err(damaged(entries_path(index, width), "its entries are not those of the tree"))
    }
}

/// The results for all of these, in order, or the first error.
fn on_all_cores(
    items: &[Hash],
    check: impl Fn(u64, &Hash) -> Result<Vec<Hash>, LogError> + Sync,
) -> Result<Vec<Hash>, LogError> {
    let each = |first: u64, part: &[Hash]| -> Result<Vec<Hash>, LogError> {
        let results = (first..).zip(part).map(|(index, item)| check(index, item));
        let results = results.collect::<Result<Vec<_>, _>>()?;
        Ok(results.concat())
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores);
    if cores == 1 || share < ITEMS_PER_THREAD_MIN {
        return each(0, items);
    }
    let each = &each;
    thread::scope(|scope| {
        let parts: Vec<_> = (0u64..)
            .zip(items.chunks(share))
            .map(|(part, items)| scope.spawn(move || each(part * share as u64, items)))
            .collect();
        let mut all = Vec::new();
        for part in parts {
            match part.join() {
                Ok(results) => all.extend(results?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

/// Below this a thread costs more than it saves.
const ITEMS_PER_THREAD_MIN: usize = 16;

//! Grows the tree at its right edge, cuts it into tiles, and proves inclusion and consistency.
//!
//! Only the rightmost tile of each level is needed to grow: at most 255 hashes a level.

use std::sync::Arc;

use timemark_verify::merkle::{Hash, empty_root, node_hash};

use crate::tile::{TILE_WIDTH, TileId};

/// The hashes of a tile and all inner nodes that they determine.
#[derive(Clone, Debug)]
pub struct Tile {
    /// `rows[k][i]` is the root of the hashes `i * 2^k .. (i + 1) * 2^k`.
    rows: Vec<Vec<Hash>>,
}

impl Tile {
    /// The tile of these hashes, at most 256.
    pub fn new(hashes: Vec<Hash>) -> Tile {
        let mut rows = vec![hashes];
        while let Some(row) = rows.last().filter(|row| row.len() > 1) {
            let parents = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            rows.push(parents);
        }
        Tile { rows }
    }

    /// The hashes of the tile.
    pub fn hashes(&self) -> &[Hash] {
        &self.rows[0]
    }

    /// The root of a full tile.
    pub fn root(&self) -> Option<Hash> {
        self.rows.get(8).and_then(|row| row.first()).copied()
    }

    /// The root of `2^height` hashes, the `index`-th such group of the tile.
    fn node(&self, height: u32, index: usize) -> Option<Hash> {
        self.rows.get(height as usize)?.get(index).copied()
    }

    /// The roots of the complete subtrees that the tile's hashes make up, from right to left.
    fn peaks(&self) -> impl Iterator<Item = Hash> {
        self.rows.iter().filter(|row| row.len() % 2 == 1).filter_map(|row| row.last().copied())
    }
}

/// The right edge of a tree: what is needed to add entries and to tell the root.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: u64,
    /// The partial tile of each level, fewer than 256 hashes each.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of this size, from the hashes of the partial tile of each level.
    pub fn new(size: u64, levels: Vec<Vec<Hash>>) -> Edge {
        Edge { size, levels }
    }

    /// Number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The partial tiles, by level.
    pub fn tiles(&self) -> Vec<Arc<Tile>> {
        self.levels.iter().map(|hashes| Arc::new(Tile::new(hashes.clone()))).collect()
    }

    /// Number of levels of tiles.
    pub fn levels(&self) -> u8 {
        self.levels.len() as u8
    }

    /// The hashes of the partial tile of a level.
    pub fn partial_tile(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], |hashes| hashes)
    }

    /// The root over all entries (RFC 6962 section 2.1).
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for hashes in self.levels.iter().filter(|hashes| !hashes.is_empty()) {
            for peak in Tile::new(hashes.clone()).peaks() {
                root = Some(root.map_or(peak, |right| node_hash(&peak, &right)));
            }
        }
        root.unwrap_or_else(empty_root)
    }

    /// Adds the hash of an entry; full tiles that this completes are handed to `full`.
    pub fn push(&mut self, leaf: Hash, full: &mut dyn FnMut(TileId, &[Hash])) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0u8.. {
            if self.levels.len() == usize::from(level) {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[usize::from(level)];
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH as usize {
                return;
            }
            let index = (self.size >> (8 * (u32::from(level) + 1))) - 1;
            full(TileId { level, index, width: TILE_WIDTH as u16 }, hashes);
            let tile = Tile::new(std::mem::take(hashes));
            let Some(root) = tile.root() else { return };
            hash = root;
        }
    }

    /// The partial tiles with their hashes; empty ones do not exist.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        (0u8..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty()).map(|(level, hashes)| {
            let index = self.size >> (8 * (u32::from(level) + 1));
            (TileId { level, index, width: hashes.len() as u16 }, &hashes[..])
        })
    }
}

/// A tile's file.
pub(crate) fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Finds tiles: the one at this level and index, with at least the hashes that the caller's tree has.
pub trait TileSource {
    /// Why a tile could not be had.
    type Error;

    /// The tile, or an error if it is not there or is too narrow.
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Arc<Tile>, Self::Error>;
}

/// The inclusion proof of the entry `index` in the tree of the first `size` entries.
pub fn inclusion_proof<S: TileSource>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, S::Error> {
    let (mut start, mut end) = (0, size);
    let mut siblings = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            siblings.push((middle, end));
            end = middle;
        } else {
            siblings.push((start, middle));
            start = middle;
        }
    }
    siblings.into_iter().rev().map(|(start, end)| subtree_root(source, start, end)).collect()
}

/// The consistency proof from the tree of `old` to that of `size` entries (RFC 6962 section 2.1.2). No
/// larger tree is the beginning of a smaller one: for such sizes the proof is empty and proves nothing.
pub fn consistency_proof<S: TileSource>(
    source: &S,
    old: u64,
    size: u64,
) -> Result<Vec<Hash>, S::Error> {
    let (mut start, mut end) = (0, size);
    let mut parts = Vec::new();
    while old != 0 && old < end {
        let middle = start + split(end - start);
        if old <= middle {
            parts.push((middle, end));
            end = middle;
        } else {
            parts.push((start, middle));
            start = middle;
        }
    }
    // The verifier knows the old root; it needs the last part only where that is not the whole of it.
    if start != 0 {
        parts.push((start, end));
    }
    parts.into_iter().rev().map(|(start, end)| subtree_root(source, start, end)).collect()
}

/// The root of the tree of the first `size` entries.
pub fn root<S: TileSource>(source: &S, size: u64) -> Result<Hash, S::Error> {
    if size == 0 { Ok(empty_root()) } else { subtree_root(source, 0, size) }
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// The root of the entries `start..end`, where `start` is a multiple of a power of two that is at least
/// `end - start`, as it is for every part of a proof.
fn subtree_root<S: TileSource>(source: &S, start: u64, end: u64) -> Result<Hash, S::Error> {
    let mut peaks = Vec::new();
    let mut at = start;
    while at < end {
        let height = 63 - (end - at).leading_zeros();
        peaks.push(node(source, height, at >> height)?);
        at += 1 << height;
    }
    let mut root = None;
    for peak in peaks.into_iter().rev() {
        root = Some(root.map_or(peak, |right| node_hash(&peak, &right)));
    }
    Ok(root.unwrap_or_else(empty_root))
}

/// The root of `2^height` entries, the `index`-th such group of the log.
fn node<S: TileSource>(source: &S, height: u32, index: u64) -> Result<Hash, S::Error> {
    let (level, height) = ((height / 8) as u8, height % 8);
    let first = index << height; // among the hashes of the level
    let last_in_tile = (first % TILE_WIDTH) + (1 << height);
    let tile = source.tile(level, first / TILE_WIDTH, last_in_tile as u16)?;
    let in_tile = ((first % TILE_WIDTH) >> height) as usize;
    // The source promised a tile that is wide enough.
    Ok(tile.node(height, in_tile).unwrap_or_else(empty_root))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use timemark_verify::merkle::{check_consistency, leaf_hash, root_from_inclusion};

    use super::*;

    #[derive(Default)]
    pub(crate) struct Memory {
        full: HashMap<(u8, u64), Arc<Tile>>,
        pub(crate) edge: Edge,
    }

    impl Memory {
        pub(crate) fn grow(size: u64) -> Memory {
            let mut memory = Memory::default();
            for i in 0..size {
                let full = &mut memory.full;
                memory.edge.push(leaf(i), &mut |id, hashes| {
                    full.insert((id.level, id.index), Arc::new(Tile::new(hashes.to_vec())));
                });
            }
            memory
        }
    }

    impl TileSource for Memory {
        type Error = String;
        fn tile(&self, level: u8, index: u64, width: u16) -> Result<Arc<Tile>, String> {
            let tile = match self.full.get(&(level, index)) {
                Some(tile) => tile.clone(),
                None => {
                    self.edge.tiles().get(usize::from(level)).cloned().ok_or("no such level")?
                }
            };
            if tile.hashes().len() < usize::from(width) {
                return Err(format!("tile {level}/{index} is narrower than {width}"));
            }
            Ok(tile)
        }
    }

    fn leaf(i: u64) -> Hash {
        leaf_hash(&i.to_be_bytes())
    }

    #[test]
    fn proofs_hold_at_every_size_around_the_edges_of_tiles() {
        let memory = Memory::grow(66_000);
        let sizes = [1, 2, 3, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 66_000];
        for size in sizes {
            let root = root(&memory, size).unwrap();
            assert_eq!(Memory::grow(size).edge.root(), root, "size {size}");
            for index in [0, 1, 200, 255, 256, 300, 511, 65_000, 65_535, 65_999, size - 1] {
                if index < size {
                    let proof = inclusion_proof(&memory, index, size).unwrap();
                    assert_eq!(root_from_inclusion(index, size, leaf(index), &proof), Ok(root));
                }
            }
            for old in sizes.into_iter().filter(|&old| old <= size).chain([0]) {
                let proof = consistency_proof(&memory, old, size).unwrap();
                let old_root = super::root(&memory, old).unwrap();
                assert_eq!(
                    check_consistency((old, old_root), (size, root), &proof),
                    Ok(()),
                    "{old} {size}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn proofs_hold_anywhere(size in 1u64..1500, at in any::<(u64, u64)>()) {
            let memory = Memory::grow(size);
            let (index, old) = (at.0 % size, at.1 % (size + 1));
            let root = memory.edge.root();
            let proof = inclusion_proof(&memory, index, size).unwrap();
            prop_assert_eq!(root_from_inclusion(index, size, leaf(index), &proof), Ok(root));
            let proof = consistency_proof(&memory, old, size).unwrap();
            let old_root = super::root(&memory, old).unwrap();
            prop_assert_eq!(check_consistency((old, old_root), (size, root), &proof), Ok(()));
        }
    }
}

//! What a batch makes of the tree, worked out once: then it is signed, journaled and written. No I/O here.

use timemark_verify::merkle::leaf_hash;

use crate::folder::put_entry;
use crate::journal::BatchEntry;
use crate::tile::{TILE_WIDTH, entries_path, subtrees};
use crate::tree::{Edge, tile_bytes};

/// A tree after a batch, and the files in which it differs from the tree before.
pub(crate) struct Growth {
    /// The right edge afterwards.
    pub edge: Edge,
    /// The bytes of the partial bundle of entries afterwards.
    pub entries: Vec<u8>,
    /// Paths below the public folder with their bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// Files among them that take the place of all narrower ones.
    pub full: Vec<String>,
}

impl Growth {
    /// Adds a batch to the tree of this edge and partial bundle.
    pub fn of(edge: &Edge, entries: &[u8], batch: &[BatchEntry]) -> Growth {
        let before = edge.size();
        let (mut edge, mut entries) = (edge.clone(), entries.to_vec());
        let mut files = Vec::new();
        for entry in batch {
            put_entry(&mut entries, &entry.leaf);
            edge.push(leaf_hash(&entry.leaf), &mut |id, hashes| {
                files.push((id.path(), tile_bytes(hashes)));
            });
            if edge.size().is_multiple_of(TILE_WIDTH) {
                let path = entries_path(edge.size() / TILE_WIDTH - 1, TILE_WIDTH as u16);
                files.push((path, std::mem::take(&mut entries)));
            }
        }
        let full = files.iter().map(|(path, _)| path.clone()).collect();
        for (id, hashes) in edge.partial_tiles() {
            // A level whose partial tile did not change keeps its file.
            if subtrees(before, id.level) != subtrees(edge.size(), id.level) {
                files.push((id.path(), tile_bytes(hashes)));
            }
        }
        if !entries.is_empty() {
            let (bundle, width) = (edge.size() / TILE_WIDTH, edge.size() % TILE_WIDTH);
            files.push((entries_path(bundle, width as u16), entries.clone()));
        }
        Growth { edge, entries, files, full }
    }
}

//! Where a piece of the tree lies: tile coordinates to paths (c2sp.org/tlog-tiles). No I/O here.

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// A tile of the tree: `width` hashes, each the root of 256^level entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileId {
    /// Level in tiles: 0 holds the hashes of entries, 1 the roots of full tiles of level 0, and so on.
    pub level: u8,
    /// Position within its level.
    pub index: u64,
    /// Number of hashes, 1 to 256; below 256 the tile is partial.
    pub width: u16,
}

impl TileId {
    /// `tile/<L>/<N>[.p/<W>]`
    pub fn path(&self) -> String {
        format!("tile/{}/{}{}", self.level, index_path(self.index), partial_suffix(self.width))
    }
}

/// The path of a bundle of entries: `tile/entries/<N>[.p/<W>]`.
pub fn entries_path(index: u64, width: u16) -> String {
    format!("tile/entries/{}{}", index_path(index), partial_suffix(width))
}

/// A number in groups of three digits, all but the last with an `x`: 1234067 is `x001/x234/067`.
pub fn index_path(mut index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    while index >= 1000 {
        index /= 1000;
        path = format!("x{:03}/{path}", index % 1000);
    }
    path
}

fn partial_suffix(width: u16) -> String {
    if u64::from(width) == TILE_WIDTH { String::new() } else { format!(".p/{width}") }
}

/// How many hashes the rightmost, partial tile of a level holds in a tree of this size; 0 if it is
/// empty, in which case it does not exist.
pub fn partial_width(size: u64, level: u8) -> u16 {
    (subtrees(size, level) % TILE_WIDTH) as u16
}

/// How many roots of 256^level entries a tree of this size has.
pub fn subtrees(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_specifications() {
        for (index, path) in
            [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")]
        {
            assert_eq!(index_path(index), path);
        }
        assert_eq!(TileId { level: 0, index: 273, width: 112 }.path(), "tile/0/273.p/112");
        assert_eq!(TileId { level: 1, index: 0, width: 256 }.path(), "tile/1/000");
        assert_eq!(entries_path(5, 256), "tile/entries/005");
        assert_eq!(entries_path(1005, 3), "tile/entries/x001/005.p/3");
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_the_specification_counts() {
        assert_eq!((subtrees(70_000, 0) / 256, partial_width(70_000, 0)), (273, 112));
        assert_eq!((subtrees(70_000, 1) / 256, partial_width(70_000, 1)), (1, 17));
        assert_eq!((subtrees(70_000, 2) / 256, partial_width(70_000, 2)), (0, 1));
        assert_eq!(partial_width(70_000, 3), 0);
        assert_eq!((partial_width(256, 0), partial_width(256, 1)), (0, 1));
        assert_eq!(partial_width(u64::MAX, 8), 0);
    }
}

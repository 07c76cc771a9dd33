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

/// A file of the tree, as a path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TilePath {
    /// Hashes.
    Tile(TileId),
    /// A bundle of entries.
    Entries {
        /// Position of the bundle.
        index: u64,
        /// Number of entries, 1 to 256; below 256 the bundle is partial.
        width: u16,
    },
}

impl TilePath {
    /// Reads `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`. What [`TilePath::path`] would not write is
    /// none, so that nothing else ever reaches a disk.
    pub fn parse(path: &str) -> Option<TilePath> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (rest, TILE_WIDTH as u16),
        };
        let digits = number.replace(['x', '/'], "");
        let index = digits.parse().ok()?;
        let parsed = match level {
            "entries" => TilePath::Entries { index, width },
            level => TilePath::Tile(TileId { level: level.parse().ok()?, index, width }),
        };
        let sane = (1..=TILE_WIDTH as u16).contains(&width)
            && !matches!(parsed, TilePath::Tile(TileId { level: TILE_LEVELS.., .. }));
        (sane && parsed.path() == path).then_some(parsed)
    }

    /// The path below the log's prefix.
    pub fn path(&self) -> String {
        match self {
            TilePath::Tile(tile) => tile.path(),
            TilePath::Entries { index, width } => entries_path(*index, *width),
        }
    }

    /// The number of hashes or entries.
    pub const fn width(&self) -> u16 {
        match self {
            TilePath::Tile(TileId { width, .. }) | TilePath::Entries { width, .. } => *width,
        }
    }

    /// The full file that replaces this partial one; the log deletes a partial file once its full one is safe.
    pub fn full(self) -> TilePath {
        let width = TILE_WIDTH as u16;
        match self {
            TilePath::Tile(tile) => TilePath::Tile(TileId { width, ..tile }),
            TilePath::Entries { index, .. } => TilePath::Entries { index, width },
        }
    }

    /// The first hashes or entries of a file as wide as this one or wider; `None` if there are too few.
    pub fn cut(self, file: &[u8]) -> Option<&[u8]> {
        let mut bytes = 0usize;
        for _ in 0..self.width() {
            bytes += match self {
                TilePath::Tile(_) => HASH_BYTES,
                TilePath::Entries { .. } => {
                    let length = file.get(bytes..)?.first_chunk::<2>()?;
                    2 + usize::from(u16::from_be_bytes(*length))
                }
            };
        }
        file.get(..bytes)
    }
}

const HASH_BYTES: usize = 32;
/// Levels go from 0 to 63 (c2sp.org/tlog-tiles).
const TILE_LEVELS: u8 = 64;

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
    fn only_the_specifications_paths_are_read() {
        for path in [
            "tile/0/000",
            "tile/63/999.p/255",
            "tile/1/x001/x234/067",
            "tile/entries/005.p/1",
            "tile/entries/x018/x446/x744/x073/x709/x551/615",
        ] {
            assert_eq!(TilePath::parse(path).map(|tile| tile.path()).as_deref(), Some(path));
        }
        for bad in [
            "",
            "checkpoint",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/+00",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p",
            "tile/0/000.p/1.p/1",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001/x000",
            "tile/0//000",
            "tile/0/000/",
            "tile/0/../0/000",
            "tile/entries/../../claims/000",
            "tile//etc/passwd",
            "/tile/0/000",
            "tile/data/000",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(TilePath::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_full_file_is_cut_to_what_a_partial_one_held() {
        let tile = |width| TilePath::Tile(TileId { level: 0, index: 0, width });
        assert_eq!(tile(2).cut(&[7; 8192]), Some(&[7; 64][..]));
        assert_eq!(tile(2).cut(&[7; 63]), None);
        assert_eq!(tile(3).full(), tile(256));
        let bundle = TilePath::Entries { index: 0, width: 2 };
        assert_eq!(bundle.cut(b"\0\x03abc\0\0\0\x01d"), Some(&b"\0\x03abc\0\0"[..]));
        for torn in [&b""[..], b"\0", b"\0\x03ab", b"\0\x03abc", b"\0\x03abc\0"] {
            assert_eq!(bundle.cut(torn), None);
        }
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

//! Which files lie below the roots of an archive, without reading them.

use std::collections::HashSet;
use std::io::{Read, Seek};

use super::unixfs::{Kind, Node};
use super::{
    Car, CarError, DEPTH_MAX, ENTRIES_MAX, PATH_BYTES_MAX, PATHS_BYTES_MAX, WALKED_BYTES_MAX,
};
use crate::dag::{Codec, DagCid};

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarEntry {
    /// The root below which it lies.
    pub root: DagCid,
    /// Names of folders and its own, with `/` between them: never empty, `.` or `..`, without NUL. Where the root is
    /// the file, there is no name, and this is empty.
    pub path: String,
    /// Its address.
    pub cid: DagCid,
    /// Its bytes, as it states them.
    pub length: u64,
}

/// A walk through folders that counts what it does.
pub(super) struct Walk<'a, In> {
    car: &'a mut Car<In>,
    found: Vec<CarEntry>,
    /// What comes next, the last first.
    waiting: Vec<Place>,
    entries: usize,
    paths_bytes: usize,
    walked_bytes: u64,
}

/// Something in a folder.
struct Place {
    cid: DagCid,
    path: String,
    depth: usize,
    /// Whether it must be a part of the large folder that has this path.
    is_shard: bool,
}

impl<'a, In: Read + Seek> Walk<'a, In> {
    pub(super) fn new(car: &'a mut Car<In>) -> Walk<'a, In> {
        let (found, waiting) = (Vec::new(), Vec::new());
        Walk { car, found, waiting, entries: 0, paths_bytes: 0, walked_bytes: 0 }
    }

    pub(super) fn all(mut self) -> Result<Vec<CarEntry>, CarError> {
        let mut block = Vec::new();
        for root in self.car.roots().to_vec() {
            let first = self.found.len();
            self.wait(Place { cid: root, path: String::new(), depth: 0, is_shard: false }, root)?;
            while let Some(place) = self.waiting.pop() {
                self.visit(root, place, &mut block)?;
            }
            let mut paths = HashSet::new();
            if let Some(twice) = self.found[first..].iter().find(|file| !paths.insert(&file.path)) {
                return Err(CarError::BadName { cid: root, name: twice.path.clone() });
            }
        }
        Ok(self.found)
    }

    fn visit(&mut self, root: DagCid, place: Place, block: &mut Vec<u8>) -> Result<(), CarError> {
        let cid = place.cid;
        let (bytes, _) = self.car.place(&cid)?;
        if cid.codec() == Codec::Raw && !place.is_shard {
            self.found.push(CarEntry { root, path: place.path, cid, length: u64::from(bytes) });
            return Ok(());
        }
        self.walked_bytes += u64::from(bytes);
        if self.walked_bytes > WALKED_BYTES_MAX {
            return Err(CarError::TooMany { what: "bytes in folders", max: WALKED_BYTES_MAX });
        }
        let offset = self.car.load(cid, block)?;
        let node = Node::parse(block, cid, offset)?;
        let prefix = match node.kind {
            Kind::Shard(prefix) => prefix,
            _ if place.is_shard => {
                return Err(CarError::BadNode {
                    cid,
                    reason: "it is no part of the large folder above it",
                });
            }
            Kind::File => {
                let length =
                    node.file_bytes().map_err(|reason| CarError::BadNode { cid, reason })?;
                self.found.push(CarEntry { root, path: place.path, cid, length });
                return Ok(());
            }
            Kind::Folder => 0,
            kind => return Err(CarError::NotAFile { cid, kind: kind.name() }),
        };
        if let (DEPTH_MAX, Some(link)) = (place.depth, node.links.first()) {
            return Err(CarError::TooDeep { cid: link.cid, depth_max: DEPTH_MAX });
        }
        for link in node.links.iter().rev() {
            let bad =
                || CarError::BadName { cid, name: String::from_utf8_lossy(link.name).into_owned() };
            let (digits, name) = link.name.split_at_checked(prefix).ok_or_else(bad)?;
            let is_shard = prefix > 0 && name.is_empty();
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return Err(bad());
            }
            let name = if is_shard { "" } else { file_name(name).ok_or_else(bad)? };
            let path = match (&place.path[..], name) {
                (path, "") => path.to_owned(),
                ("", name) => name.to_owned(),
                (path, name) => format!("{path}/{name}"),
            };
            self.wait(Place { cid: link.cid, path, depth: place.depth + 1, is_shard }, cid)?;
        }
        Ok(())
    }

    /// Remembers what is in the folder `above`.
    fn wait(&mut self, place: Place, above: DagCid) -> Result<(), CarError> {
        self.entries += 1;
        self.paths_bytes += place.path.len();
        if place.path.len() > PATH_BYTES_MAX {
            return Err(CarError::BadName { cid: above, name: place.path });
        }
        if self.entries > ENTRIES_MAX {
            return Err(CarError::TooMany { what: "entries", max: ENTRIES_MAX as u64 });
        }
        if self.paths_bytes > PATHS_BYTES_MAX {
            return Err(CarError::TooMany { what: "bytes in paths", max: PATHS_BYTES_MAX as u64 });
        }
        self.waiting.push(place);
        Ok(())
    }
}

/// A name that a file system may be asked for.
fn file_name(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    (!matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])).then_some(name)
}

//! A file in an archive, block after block.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::unixfs::{Kind, Node};
use super::{Car, CarError, DEPTH_MAX, WAITING_LINKS_MAX};
use crate::dag::{Codec, DagCid};

/// A reader of a file's bytes. It holds one block, and the links that wait.
pub struct CarFile<'a, In> {
    car: &'a mut Car<In>,
    length: u64,
    /// What comes next, the last first.
    waiting: Vec<Part>,
    block: Vec<u8>,
    /// What of the block is still to be given.
    unread: Range<usize>,
}

/// A block below which there are so many bytes of the file.
#[derive(Clone, Copy)]
struct Part {
    cid: DagCid,
    /// What the node above it says; there is none above the root.
    stated: Option<u64>,
    depth: usize,
}

impl<'a, In: Read + Seek> CarFile<'a, In> {
    pub(super) fn open(car: &'a mut Car<In>, cid: DagCid) -> Result<CarFile<'a, In>, CarError> {
        let mut file =
            CarFile { car, length: 0, waiting: Vec::new(), block: Vec::new(), unread: 0..0 };
        file.length = file.enter(Part { cid, stated: None, depth: 0 })?;
        Ok(file)
    }

    /// The bytes that it states, and will give: if there are others, reading fails.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Goes on with this block: its own bytes are next, then those of its links. Says how many there are.
    fn enter(&mut self, part: Part) -> Result<u64, CarError> {
        let Part { cid, depth, .. } = part;
        let offset = self.car.load(cid, &mut self.block)?;
        if cid.codec() == Codec::Raw {
            let found = self.block.len() as u64;
            check_size(part, found)?;
            self.unread = 0..self.block.len();
            return Ok(found);
        }
        let node = Node::parse(&self.block, cid, offset)?;
        if node.kind != Kind::File {
            return Err(CarError::NotAFile { cid, kind: node.kind.name() });
        }
        let bad = |reason| CarError::BadNode { cid, reason };
        let found = node.file_bytes().map_err(bad)?;
        check_size(part, found)?;
        let parts = node.parts().map_err(bad)?;
        if let (DEPTH_MAX, Some(link)) = (depth, node.links.first()) {
            return Err(CarError::TooDeep { cid: link.cid, depth_max: DEPTH_MAX });
        }
        if node.links.len() > WAITING_LINKS_MAX.saturating_sub(self.waiting.len()) {
            return Err(CarError::TooMany {
                what: "links that wait in one file",
                max: WAITING_LINKS_MAX as u64,
            });
        }
        let below = |(cid, bytes)| Part { cid, stated: Some(bytes), depth: depth + 1 };
        self.waiting.extend(parts.rev().map(below));
        let data = node.data.to_vec();
        self.unread = 0..data.len();
        self.block = data;
        Ok(found)
    }
}

impl<In: Read + Seek> Read for CarFile<'_, In> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // No loop for ever: below every link there are bytes, or no other link.
        while self.unread.is_empty() && !buffer.is_empty() {
            let Some(part) = self.waiting.pop() else { return Ok(0) };
            if let Err(error) = self.enter(part) {
                // It fails again rather than to pass for the end.
                self.waiting.push(part);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        let length = buffer.len().min(self.unread.len());
        buffer[..length].copy_from_slice(&self.block[self.unread.start..][..length]);
        self.unread.start += length;
        Ok(length)
    }
}

fn check_size(part: Part, found: u64) -> Result<(), CarError> {
    match part.stated {
        Some(stated) if stated != found => {
            Err(CarError::WrongSize { cid: part.cid, stated, found })
        }
        _ => Ok(()),
    }
}

//! The address that an IPFS node gives a file: the root of its UnixFS DAG, computed while the file streams by.
//!
//! The profile is that of `ipfs add --cid-version=1 --raw-leaves`: chunks of 256 KiB as raw blocks, above them
//! nodes of up to 174 links, every leaf at the same depth (UnixFS specification, "balanced"). A file of one chunk
//! is that raw block, whose CID is the [`ContentId`]; every longer file has another address than its name.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use timemark_verify::ContentId;

/// A CIDv1 of SHA-256: of a raw block (`bafkrei…`) or of a node of links (`bafybei…`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DagCid {
    codec: Codec,
    digest: [u8; 32],
}

/// What a block is, by the multicodec table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Bytes of a file.
    Raw = 0x55,
    /// Links to further blocks (DAG-PB).
    DagPb = 0x70,
}

/// Text that is no such CID.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a CID of version 1, base32, SHA-256, of a raw or a DAG-PB block")]
pub struct BadCid {
    text: String,
}

impl DagCid {
    /// Bytes of a CID.
    pub const BYTES: usize = 36;

    /// The CID of a block.
    pub fn of_block(codec: Codec, block: &[u8]) -> DagCid {
        DagCid { codec, digest: Sha256::digest(block).into() }
    }

    /// The address of a file of one chunk, which is the file's name.
    pub const fn raw(content: &ContentId) -> DagCid {
        DagCid { codec: Codec::Raw, digest: *content.sha256() }
    }

    /// Version, codec, hash function, length and digest, as they stand in links and archives.
    pub fn to_bytes(self) -> [u8; DagCid::BYTES] {
        let mut bytes = [0; DagCid::BYTES];
        bytes[..4].copy_from_slice(&[1, self.codec as u8, SHA2_256, 32]);
        bytes[4..].copy_from_slice(&self.digest);
        bytes
    }

    /// Reads what [`DagCid::to_bytes`] writes; `None` for any other kind of CID.
    pub fn from_bytes(bytes: &[u8]) -> Option<DagCid> {
        let (head, digest) = bytes.split_at_checked(4)?;
        let codec = match head {
            [1, 0x55, SHA2_256, 32] => Codec::Raw,
            [1, 0x70, SHA2_256, 32] => Codec::DagPb,
            _ => return None,
        };
        Some(DagCid { codec, digest: digest.try_into().ok()? })
    }

    /// Raw or links.
    pub const fn codec(&self) -> Codec {
        self.codec
    }
}

impl fmt::Display for DagCid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", BASE32_NOPAD.encode(&self.to_bytes()).to_ascii_lowercase())
    }
}

impl fmt::Debug for DagCid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DagCid {
    type Err = BadCid;

    /// Reads exactly what `Display` writes.
    fn from_str(text: &str) -> Result<DagCid, BadCid> {
        let bytes = text
            .strip_prefix('b')
            .and_then(|base32| BASE32_NOPAD.decode(base32.to_ascii_uppercase().as_bytes()).ok());
        let cid = bytes.and_then(|bytes| DagCid::from_bytes(&bytes));
        cid.filter(|cid| cid.to_string() == text).ok_or_else(|| BadCid { text: text.to_owned() })
    }
}

/// Makes the DAG of a file that streams by, and hands out its blocks: leaves as they come, nodes when they are full,
/// the root last. It holds one chunk and, at each height, the links of one node.
pub struct DagBuilder<Out> {
    chunk: Vec<u8>,
    /// Links that wait for their node; at 0 to leaves, higher up to nodes.
    waiting: Vec<Vec<Link>>,
    out: Out,
}

/// A child in the DAG.
#[derive(Clone, Copy)]
struct Link {
    cid: DagCid,
    /// Bytes of the file below it.
    file_bytes: u64,
    /// Bytes of all blocks below it and its own.
    dag_bytes: u64,
}

impl<Out: FnMut(DagCid, &[u8]) -> Result<(), E>, E> DagBuilder<Out> {
    /// A builder that has seen nothing and gives blocks to `out`.
    pub fn new(out: Out) -> DagBuilder<Out> {
        DagBuilder { chunk: Vec::new(), waiting: vec![Vec::new()], out }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), E> {
        while !bytes.is_empty() {
            // A full chunk waits for what follows: as the only one it is the root.
            if self.chunk.len() == CHUNK_BYTES {
                self.leaf()?;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    /// The root, after all bytes were taken.
    pub fn finish(mut self) -> Result<DagCid, E> {
        self.leaf()?;
        let mut height = 0;
        loop {
            let is_top = height + 1 == self.waiting.len();
            if let ([root], true) = (&self.waiting[height][..], is_top) {
                return Ok(root.cid);
            }
            self.node(height)?;
            height += 1;
        }
    }

    fn leaf(&mut self) -> Result<(), E> {
        let cid = DagCid::of_block(Codec::Raw, &self.chunk);
        (self.out)(cid, &self.chunk)?;
        let bytes = self.chunk.len() as u64;
        self.chunk.clear();
        self.link(0, Link { cid, file_bytes: bytes, dag_bytes: bytes })
    }

    fn link(&mut self, height: usize, link: Link) -> Result<(), E> {
        if self.waiting[height].len() == WIDTH {
            self.node(height)?;
        }
        self.waiting[height].push(link);
        Ok(())
    }

    /// Puts a node over the links that wait at this height.
    fn node(&mut self, height: usize) -> Result<(), E> {
        let links = std::mem::take(&mut self.waiting[height]);
        let block = node_block(&links);
        let cid = DagCid::of_block(Codec::DagPb, &block);
        (self.out)(cid, &block)?;
        let file_bytes = links.iter().map(|link| link.file_bytes).sum();
        let below: u64 = links.iter().map(|link| link.dag_bytes).sum();
        if height + 1 == self.waiting.len() {
            self.waiting.push(Vec::new());
        }
        self.link(height + 1, Link { cid, file_bytes, dag_bytes: below + block.len() as u64 })
    }
}

/// Computes the address alone.
pub struct DagHasher(DagBuilder<Nowhere>);

/// Where blocks go that nobody wants.
type Nowhere = fn(DagCid, &[u8]) -> Result<(), std::convert::Infallible>;

impl DagHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> DagHasher {
        DagHasher(DagBuilder::new(|_, _| Ok(())))
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        let Ok(()) = self.0.update(bytes);
    }

    /// The address of all bytes taken.
    pub fn finish(self) -> DagCid {
        let Ok(cid) = self.0.finish();
        cid
    }
}

impl Default for DagHasher {
    fn default() -> DagHasher {
        DagHasher::new()
    }
}

/// A node of links as DAG-PB: the links, then what UnixFS says of the file (`Type` File, `filesize`, `blocksizes`).
fn node_block(links: &[Link]) -> Vec<u8> {
    let mut block = Vec::new();
    for link in links {
        let mut entry = Vec::with_capacity(DagCid::BYTES + 16);
        field_bytes(&mut entry, 1, &link.cid.to_bytes());
        field_bytes(&mut entry, 2, b""); // no name, which is written all the same
        field_number(&mut entry, 3, link.dag_bytes);
        field_bytes(&mut block, 2, &entry);
    }
    let mut file = Vec::new();
    field_number(&mut file, 1, UNIXFS_FILE);
    field_number(&mut file, 3, links.iter().map(|link| link.file_bytes).sum());
    links.iter().for_each(|link| field_number(&mut file, 4, link.file_bytes));
    field_bytes(&mut block, 1, &file);
    block
}

/// A protobuf field of bytes.
fn field_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A protobuf field that is a number.
fn field_number(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    varint(out, value);
}

/// Seven bits a byte, the lowest first (LEB128).
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Longest block of a file's bytes.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Links of a node at most.
const WIDTH: usize = 174;
/// SHA-256 in the multihash table.
const SHA2_256: u8 = 0x12;
/// `Type` of a file in UnixFS.
const UNIXFS_FILE: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn dag_of(bytes: &[u8], pieces: usize) -> DagCid {
        let mut hasher = DagHasher::new();
        bytes.chunks(pieces).for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    #[test]
    fn a_file_of_one_chunk_is_its_raw_block() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES] {
            let bytes = vec![7; length];
            assert_eq!(dag_of(&bytes, 1000), DagCid::raw(&ContentId::of(&bytes)));
        }
        let two = dag_of(&vec![7; CHUNK_BYTES + 1], 1000);
        assert_eq!(two.codec(), Codec::DagPb);
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..2 * CHUNK_BYTES as u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(dag_of(&bytes, 1 << 20), dag_of(&bytes, 999));
    }

    #[test]
    fn one_spelling_only() {
        let cid = dag_of(&vec![0; CHUNK_BYTES + 1], 1 << 20);
        let text = cid.to_string();
        assert!(text.starts_with("bafybei"), "{text}");
        assert_eq!(text.parse::<DagCid>().unwrap(), cid);
        for bad in [text.to_uppercase(), text[1..].to_owned(), format!("{text}a"), String::new()] {
            assert!(bad.parse::<DagCid>().is_err(), "{bad}");
        }
    }
}

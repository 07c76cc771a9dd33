//! Content-addressed archives (CAR): blocks of files in one file, as IPFS nodes and pinning services take and give them.
//!
//! An archive is a header, which names the roots, and sections of a CID and its block (CARv1,
//! <https://ipld.io/specs/transport/car/carv1/>). [`CarWriter`] streams files into one. [`Car`] reads one that
//! anybody may have written: every block is hashed, every number has a limit, and what is no part of the formats
//! is an error that says where.

mod file;
mod read;
mod section;
mod unixfs;
mod walk;
mod write;

use std::io;

pub use file::CarFile;
pub use read::Car;
pub use walk::CarEntry;
pub use write::CarWriter;

use crate::dag::DagCid;

/// Why an archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CarError {
    /// The archive's own file failed.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// The archive's own file failed, or its disk is full.
    #[error("the archive cannot be written")]
    Write(#[source] io::Error),
    /// A file that was to be added could not be read; the archive is incomplete.
    #[error("the work could not be read")]
    Source(#[source] io::Error),
    /// The header was to name a file that was not added.
    #[error("{cid} is a root of the archive, but was never written")]
    RootNotWritten {
        /// The root.
        cid: DagCid,
    },
    /// The archive ends within something.
    #[error("the archive ends within what begins at byte {offset}")]
    Truncated {
        /// Where it begins.
        offset: u64,
    },
    /// A length is written with too many bytes.
    #[error("at byte {offset} there is no length: it is longer than 9 bytes, or than it need be")]
    BadLength {
        /// Where it begins.
        offset: u64,
    },
    /// The beginning is not that of an archive.
    #[error("this is no CAR: {reason}")]
    BadHeader {
        /// What is wrong.
        reason: &'static str,
    },
    /// An archive of a later kind.
    #[error("a CAR of version {version} cannot be read, only 1 and 2")]
    UnknownVersion {
        /// The version it states.
        version: u64,
    },
    /// A name of a block that cannot be checked here.
    #[error("the block at byte {offset} is named or links by {problem}")]
    BadCid {
        /// Where its section begins; 0 is the header.
        offset: u64,
        /// What is wrong with the name.
        problem: CidProblem,
    },
    /// A header or block is larger than any that IPFS passes on.
    #[error("{bytes} bytes at byte {offset} are more than the {bytes_max} that are read at once")]
    TooLarge {
        /// Where it begins.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// The most that is read.
        bytes_max: u64,
    },
    /// A block is not what its name says.
    #[error("the block at byte {offset} has not the hash of its name {cid}")]
    WrongHash {
        /// The name.
        cid: DagCid,
        /// Where its section begins.
        offset: u64,
    },
    /// A block is linked to and not there.
    #[error("block {cid} is not in the archive")]
    Missing {
        /// The block.
        cid: DagCid,
    },
    /// A block is no node of UnixFS, though its hash holds.
    #[error("block {cid} is no proper node: {reason}")]
    BadNode {
        /// The block.
        cid: DagCid,
        /// What is wrong.
        reason: &'static str,
    },
    /// A part of a file has not the length that the node above it states.
    #[error("block {cid} stands for {found} bytes of a file, but the node above it says {stated}")]
    WrongSize {
        /// The part.
        cid: DagCid,
        /// What the node above it says.
        stated: u64,
        /// What it says itself, or holds.
        found: u64,
    },
    /// A root or an entry is something else than a file or a folder.
    #[error("{cid} is {kind}, not a file")]
    NotAFile {
        /// Its first block.
        cid: DagCid,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// A name in a folder that no file system should be asked for, or that stands there twice.
    #[error("folder {cid} has an entry {name:?}, which is no name for a file or is there twice")]
    BadName {
        /// The folder's block.
        cid: DagCid,
        /// The name, readable.
        name: String,
    },
    /// Blocks link to blocks that link to blocks, too often.
    #[error("block {cid} lies deeper than {depth_max} links below its root")]
    TooDeep {
        /// The block.
        cid: DagCid,
        /// The greatest depth.
        depth_max: usize,
    },
    /// A limit on the whole of something.
    #[error("the archive has more than {max} {what}")]
    TooMany {
        /// Of what there is too much.
        what: &'static str,
        /// The limit.
        max: u64,
    },
}

/// What is wrong with a CID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidProblem {
    /// The bytes are none, or end too early.
    #[error("what is no CID")]
    Malformed,
    /// Neither bytes (raw) nor links (DAG-PB).
    #[error("a CID of the codec {0:#x}, not raw or DAG-PB")]
    Codec(u64),
    /// Another hash function than SHA-256, or a shortened digest.
    #[error("a CID of the hash function {0:#x}, not a whole SHA-256")]
    Hash(u64),
}

/// Longest block that is read; IPFS nodes pass on 2 MiB.
pub const BLOCK_BYTES_MAX: u64 = 4 << 20;
/// Longest header that is read: 25,000 roots.
pub const HEADER_BYTES_MAX: u64 = 1 << 20;
/// Blocks of an archive, each of which takes some 64 bytes of memory: 1 TiB in chunks of 256 KiB.
pub const BLOCKS_MAX: usize = 1 << 22;
/// Links from a root down to any block. A file of 2^63 bytes in the usual profile has 6.
pub const DEPTH_MAX: usize = 64;
/// Links of a file that wait at once, 48 bytes of memory each. IPFS makes nodes of 174 or 1,024.
pub const WAITING_LINKS_MAX: usize = 1 << 17;
/// Entries of all folders of an archive, counted as often as they are reached.
pub const ENTRIES_MAX: usize = 1 << 20;
/// Longest path of an entry.
pub const PATH_BYTES_MAX: usize = 4096;
/// Bytes of all paths together.
pub const PATHS_BYTES_MAX: usize = 128 << 20;
/// Bytes of all blocks that are read for a list of files: some seconds.
pub const WALKED_BYTES_MAX: u64 = 16 << 30;

//! Opening an archive: one pass over all blocks, after which each is found by its name.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};

use super::section::{Header, decode_header, decode_varint, take_cid};
use super::{
    BLOCK_BYTES_MAX, BLOCKS_MAX, CarEntry, CarError, CarFile, HEADER_BYTES_MAX, walk::Walk,
};
use crate::dag::DagCid;

/// An archive of which every block was hashed.
pub struct Car<In> {
    input: In,
    roots: Vec<DagCid>,
    blocks: HashMap<DagCid, Place>,
}

/// Where a block lies, without its name.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    bytes: u32,
}

impl<In: Read + Seek> Car<In> {
    /// Reads an archive of version 1, or the one inside an archive of version 2, from its beginning to its end.
    pub fn open(mut input: In) -> Result<Car<In>, CarError> {
        input.rewind().map_err(CarError::Read)?;
        let mut sections = Sections {
            input: BufReader::with_capacity(BUFFER_BYTES, &mut input),
            at: 0,
            end: u64::MAX,
        };
        let roots = match sections.header()? {
            Header::V1(roots) => roots,
            Header::V2 => {
                sections.enter_payload()?;
                match sections.header()? {
                    Header::V1(roots) => roots,
                    Header::V2 => {
                        return Err(CarError::BadHeader { reason: "a version 2 lies in another" });
                    }
                }
            }
        };
        let mut blocks = HashMap::new();
        let mut section = Vec::new();
        while let Some(cid) = sections.block(&mut section)? {
            // The first of several will do: they are the same.
            let bytes = section.len() as u32; // at most BLOCK_BYTES_MAX
            blocks.entry(cid).or_insert(Place { offset: sections.at - u64::from(bytes), bytes });
            if blocks.len() > BLOCKS_MAX {
                return Err(CarError::TooMany { what: "blocks", max: BLOCKS_MAX as u64 });
            }
        }
        Ok(Car { input, roots, blocks })
    }

    /// The roots that its header names. They need not be there.
    pub fn roots(&self) -> &[DagCid] {
        &self.roots
    }

    /// Whether a block is there; those that it links to may not be.
    pub fn has(&self, cid: &DagCid) -> bool {
        self.blocks.contains_key(cid)
    }

    /// The files below all roots, in the order of roots, folders and names. Lengths are what their first blocks
    /// state; whether all of their blocks are there shows when they are read.
    pub fn files(&mut self) -> Result<Vec<CarEntry>, CarError> {
        Walk::new(self).all()
    }

    /// Opens a file by its root. The reader takes its bytes from one block after the other; what is wrong with
    /// them is a [`CarError`] inside an [`io::Error`].
    pub fn open_file(&mut self, cid: &DagCid) -> Result<CarFile<'_, In>, CarError> {
        CarFile::open(self, *cid)
    }

    /// The length of a block, and where it lies.
    pub(super) fn place(&self, cid: &DagCid) -> Result<(u32, u64), CarError> {
        let place = self.blocks.get(cid).ok_or(CarError::Missing { cid: *cid })?;
        Ok((place.bytes, place.offset))
    }

    /// Reads a block, and hashes it again: the file may have changed since. Says where it lies.
    pub(super) fn load(&mut self, cid: DagCid, block: &mut Vec<u8>) -> Result<u64, CarError> {
        let (bytes, offset) = self.place(&cid)?;
        block.resize(bytes as usize, 0);
        self.input.seek(SeekFrom::Start(offset)).map_err(CarError::Read)?;
        self.input.read_exact(block).map_err(|error| read_error(error, offset))?;
        if DagCid::of_block(cid.codec(), block) != cid {
            return Err(CarError::WrongHash { cid, offset });
        }
        Ok(offset)
    }
}

/// An archive from front to back.
struct Sections<In> {
    input: BufReader<In>,
    at: u64,
    /// Where the archive ends, if not with the file.
    end: u64,
}

impl<In: Read> Sections<In> {
    /// The header, which cannot be absent.
    fn header(&mut self) -> Result<Header, CarError> {
        let offset = self.at;
        let bytes = self.length(HEADER_BYTES_MAX)?.ok_or(CarError::Truncated { offset })?;
        let mut header = Vec::new();
        self.take(bytes, offset, &mut header)?;
        decode_header(&header)
    }

    /// Goes to the archive within an archive of version 2, whose fixed header is next.
    fn enter_payload(&mut self) -> Result<(), CarError> {
        let mut fixed = Vec::new();
        self.take(V2_HEADER_BYTES, self.at, &mut fixed)?;
        let number =
            |at: usize| fixed[at..at + 8].iter().rfold(0, |n, &byte| n << 8 | u64::from(byte));
        let (offset, bytes) = (number(16), number(24));
        let bad = CarError::BadHeader { reason: "the archive that it speaks of lies nowhere" };
        let (Some(skipped), Some(end)) = (offset.checked_sub(self.at), offset.checked_add(bytes))
        else {
            return Err(bad);
        };
        let skip = io::copy(&mut self.input.by_ref().take(skipped), &mut io::sink());
        if skip.map_err(CarError::Read)? < skipped {
            return Err(CarError::Truncated { offset });
        }
        (self.at, self.end) = (offset, end);
        Ok(())
    }

    /// The next block and its name, checked; `None` at the end.
    fn block(&mut self, block: &mut Vec<u8>) -> Result<Option<DagCid>, CarError> {
        let offset = self.at;
        let Some(bytes) = self.length(SECTION_BYTES_MAX)? else { return Ok(None) };
        self.take(bytes, offset, block)?;
        let mut rest = &block[..];
        let cid = take_cid(&mut rest).map_err(|problem| CarError::BadCid { offset, problem })?;
        if rest.len() as u64 > BLOCK_BYTES_MAX {
            return Err(CarError::TooLarge {
                offset,
                bytes: rest.len() as u64,
                bytes_max: BLOCK_BYTES_MAX,
            });
        }
        if DagCid::of_block(cid.codec(), rest) != cid {
            return Err(CarError::WrongHash { cid, offset });
        }
        let cid_bytes = block.len() - rest.len();
        block.drain(..cid_bytes);
        Ok(Some(cid))
    }

    /// The length of what follows; `None` at the end.
    fn length(&mut self, bytes_max: u64) -> Result<Option<u64>, CarError> {
        let offset = self.at;
        let is_over = self.at == self.end;
        if is_over || self.input.fill_buf().map_err(CarError::Read)?.is_empty() {
            // A file that ends before the payload should is cut off, although no block is.
            let whole = is_over || self.end == u64::MAX;
            return if whole { Ok(None) } else { Err(CarError::Truncated { offset }) };
        }
        let mut byte = [0];
        let number = decode_varint(|| {
            self.input.read_exact(&mut byte)?;
            self.at += 1;
            Ok(byte[0])
        });
        let number = number.map_err(|error| read_error(error, offset))?;
        let bytes = number.ok_or(CarError::BadLength { offset })?;
        if bytes > bytes_max {
            return Err(CarError::TooLarge { offset, bytes, bytes_max });
        }
        Ok(Some(bytes))
    }

    /// Takes so many bytes of what begins at `offset`. Memory grows as they come, not by their mere announcement.
    fn take(&mut self, bytes: u64, offset: u64, into: &mut Vec<u8>) -> Result<(), CarError> {
        into.clear();
        self.input.by_ref().take(bytes).read_to_end(into).map_err(CarError::Read)?;
        self.at += into.len() as u64;
        if (into.len() as u64) < bytes || self.at > self.end {
            return Err(CarError::Truncated { offset });
        }
        Ok(())
    }
}

fn read_error(error: io::Error, offset: u64) -> CarError {
    match error.kind() {
        ErrorKind::UnexpectedEof => CarError::Truncated { offset },
        _ => CarError::Read(error),
    }
}

const BUFFER_BYTES: usize = 1 << 20;
/// A block and its CID, whose numbers could be written with nine bytes each.
const SECTION_BYTES_MAX: u64 = BLOCK_BYTES_MAX + 4 * 9 + 32;
/// Characteristics (16 bytes), then offset and length of the payload and the offset of the index.
const V2_HEADER_BYTES: u64 = 40;

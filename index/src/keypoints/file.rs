//! The file of keypoints: blocks that are only ever appended, one for each flush.
//!
//! ```text
//! file   = "timemark-keypoints 1\n" block*
//! block  = from u64 · to u64 · works u32 · keypoints u32 · work* · head* · SHA-256 of the block so far · detail*
//! work   = index u64 · width u32 · height u32 · keypoints u32 · first 4 bytes of the SHA-256 of its details
//! head   = key u24 · angle u8 · signature u16 · size u8 · 0 u8                     (little-endian)
//! detail = x u16 · y u16 · the code but for the signature, 30 bytes
//! ```
//!
//! A block takes in the log entries `from..to`, beginning where the block before it ended. x and y are in
//! 65,536ths of the picture's longer side. Heads are read when the file is opened, details when a work is
//! compared. Reading stops at the first bad block: a torn tail is an ordinary crash, and the log and the works have
//! what it held.

use std::f32::consts::TAU;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use timemark_verify::{Fingerprint, FormatError};
use timemark_vision::{Features, Keypoint, Looks};

use super::lists::{Head, signature, size, turn};
use crate::IndexError;

/// Told of each work in turn: the heads of its keypoints.
type Added<'a> = &'a mut dyn FnMut(&[Head]);

/// The keypoints of all works, on disk but for those not flushed yet.
pub(super) struct KeypointsFile {
    path: PathBuf,
    /// To read from; none before the first flush.
    file: Option<File>,
    /// Where the next block goes; whatever lies beyond is a torn tail.
    end: u64,
    /// Log entries below this are in the file.
    flushed: u64,
    len: u64,
    works: Vec<Place>,
    /// Of the works, those not flushed yet.
    pending: Pending,
}

/// Where a work's keypoints are.
#[derive(Clone, Copy)]
struct Place {
    index: u64,
    size: [u32; 2],
    keypoints: u32,
    check: [u8; 4],
    /// Of its heads and of its details: in the file, or in what is pending.
    heads: u64,
    details: u64,
}

#[derive(Default)]
struct Pending {
    works: usize,
    heads: Vec<u8>,
    details: Vec<u8>,
}

impl KeypointsFile {
    /// Reads the file, as far as it is whole. It is not changed before the next flush.
    pub fn open(path: &Path, added: Added<'_>) -> Result<KeypointsFile, IndexError> {
        let mut keypoints = KeypointsFile {
            path: path.to_owned(),
            file: None,
            end: 0,
            flushed: 0,
            len: 0,
            works: Vec::new(),
            pending: Pending::default(),
        };
        match File::open(path) {
            Ok(file) => keypoints.read_all(file, added).map_err(|e| match e.kind() {
                io::ErrorKind::InvalidData => {
                    let reason = "it does not begin as a file of keypoints of this version";
                    let source = Box::new(FormatError::new("keypoints", reason));
                    IndexError::Unreadable { path: path.to_owned(), source }
                }
                _ => IndexError::file(path, e),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(IndexError::file(path, error)),
        }
        Ok(keypoints)
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn works(&self) -> usize {
        self.works.len()
    }

    pub fn bytes(&self) -> u64 {
        self.end + (self.works.len() * size_of::<Place>()) as u64
    }

    /// The log index of the work at a place.
    pub fn index(&self, place: u32) -> u64 {
        self.works[place as usize].index
    }

    /// The place of the work with a log index.
    pub fn place(&self, index: u64) -> Option<u32> {
        self.works.binary_search_by_key(&index, |work| work.index).ok().map(|place| place as u32)
    }

    /// Takes in the log up to `len`, and flushes when much has come together.
    pub fn advance(
        &mut self,
        works: &[(u64, &Features)],
        len: u64,
        added: Added<'_>,
    ) -> Result<(), IndexError> {
        for &(index, features) in works {
            if !(self.len..len).contains(&index) {
                continue;
            }
            let heads = heads(features);
            added(&heads);
            self.append(index, features, &heads);
            if self.pending.details.len() > PENDING_MAX {
                self.len = index + 1;
                self.flush()?;
            }
        }
        self.len = self.len.max(len);
        Ok(())
    }

    fn append(&mut self, index: u64, features: &Features, heads: &[Head]) {
        let mut bytes = Vec::with_capacity(heads.len() * DETAIL_BYTES);
        let units = 65_536.0 / longest(features.size);
        for (keypoint, code) in features.keypoints.iter().zip(&features.looks.codes) {
            for at in [keypoint.x, keypoint.y] {
                bytes.extend(((at * units) as u16).to_le_bytes());
            }
            bytes.extend(&code_bytes(code)[2..]);
        }
        let digest = Sha256::digest(&bytes);
        self.works.push(Place {
            index,
            size: features.size,
            keypoints: heads.len() as u32,
            check: [digest[0], digest[1], digest[2], digest[3]],
            heads: self.pending.heads.len() as u64,
            details: self.pending.details.len() as u64,
        });
        let pending = &mut self.pending;
        pending.works += 1;
        pending.heads.extend(heads.iter().flat_map(head_bytes));
        pending.details.extend(bytes);
    }

    /// Appends what came since the last flush. It is durable once this returns.
    pub fn flush(&mut self) -> Result<(), IndexError> {
        if self.flushed == self.len {
            return Ok(());
        }
        self.write_block().map_err(|source| IndexError::file(&self.path, source))
    }

    fn write_block(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let first = self.works.len() - pending.works;
        let new = &mut self.works[first..];
        let mut bytes = if self.end == 0 { HEADER.to_vec() } else { Vec::new() };
        let begin = bytes.len();
        bytes.extend(self.flushed.to_le_bytes());
        bytes.extend(self.len.to_le_bytes());
        bytes.extend((new.len() as u32).to_le_bytes());
        bytes.extend(((pending.heads.len() / HEAD_BYTES) as u32).to_le_bytes());
        for work in new.iter() {
            bytes.extend(work.index.to_le_bytes());
            for number in [work.size[0], work.size[1], work.keypoints] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(work.check);
        }
        let heads = self.end + bytes.len() as u64;
        bytes.extend(&pending.heads);
        bytes.extend(Sha256::digest(&bytes[begin..]));
        let details = self.end + bytes.len() as u64;
        bytes.extend(&pending.details);

        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&self.path)?;
        file.set_len(self.end)?; // cuts a torn tail off
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        if let Some(dir) = self.path.parent().filter(|_| self.end == 0) {
            File::open(dir)?.sync_all()?;
        }
        for work in new {
            work.heads += heads;
            work.details += details;
        }
        self.end += bytes.len() as u64;
        self.flushed = self.len;
        self.file = Some(file);
        Ok(())
    }

    /// The keypoints of the work at a place.
    pub fn read(&self, place: u32) -> Result<Features, IndexError> {
        let work = &self.works[place as usize];
        let (heads, details) = self.bytes_of(place, work)?;
        if Sha256::digest(&details)[..4] != work.check {
            let reason =
                format!("the keypoints of entry {} are not as they were written", work.index);
            let source = Box::new(FormatError::new("keypoints", reason));
            return Err(IndexError::Unreadable { path: self.path.clone(), source });
        }
        Ok(parse_features(work.size, &heads, &details))
    }

    /// Some keypoints of the work at a place, by their numbers. They are not checked: who asserts something reads
    /// the work.
    pub fn read_some(
        &self,
        place: u32,
        numbers: impl Iterator<Item = u16>,
    ) -> Result<Vec<(Keypoint, Fingerprint)>, IndexError> {
        let work = &self.works[place as usize];
        let (heads, details) = self.bytes_of(place, work)?;
        let longest = longest(work.size);
        let some = numbers.filter_map(|number| {
            let number = usize::from(number);
            let head = heads.chunks_exact(HEAD_BYTES).nth(number)?;
            let detail = details.chunks_exact(DETAIL_BYTES).nth(number)?;
            Some(parse_keypoint(head, detail, longest))
        });
        Ok(some.collect())
    }

    /// Heads and details of the work at a place.
    fn bytes_of(&self, place: u32, work: &Place) -> Result<(Vec<u8>, Vec<u8>), IndexError> {
        let count = work.keypoints as usize;
        let [mut heads, mut details] =
            [HEAD_BYTES, DETAIL_BYTES].map(|bytes| vec![0; count * bytes]);
        if (place as usize) < self.works.len() - self.pending.works {
            let read = |bytes: &mut [u8], at| match &self.file {
                Some(file) => file.read_exact_at(bytes, at),
                None => Err(io::ErrorKind::NotFound.into()),
            };
            read(&mut heads, work.heads)
                .and_then(|()| read(&mut details, work.details))
                .map_err(|source| IndexError::file(&self.path, source))?;
        } else {
            let (start, end) = (work.heads as usize, work.heads as usize + heads.len());
            heads.copy_from_slice(&self.pending.heads[start..end]);
            let (start, end) = (work.details as usize, work.details as usize + details.len());
            details.copy_from_slice(&self.pending.details[start..end]);
        }
        Ok((heads, details))
    }

    fn read_all(&mut self, mut file: File, added: Added<'_>) -> io::Result<()> {
        let bytes = file.metadata()?.len();
        let mut header = Vec::new();
        (&mut file).take(HEADER.len() as u64).read_to_end(&mut header)?;
        if header != HEADER {
            let torn = HEADER.starts_with(&header); // while it was begun
            return if torn { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) };
        }
        self.end = HEADER.len() as u64;
        while self.read_block(&file, bytes, added)? {} // as far as they are whole
        self.file = Some(file);
        Ok(())
    }

    /// Reads the block at `end`; false where there is none, or a torn one.
    fn read_block(&mut self, file: &File, bytes: u64, added: Added<'_>) -> io::Result<bool> {
        let mut start = [0; BLOCK_HEAD_BYTES];
        if self.end + BLOCK_HEAD_BYTES as u64 > bytes {
            return Ok(false);
        }
        file.read_exact_at(&mut start, self.end)?;
        let (from, to) = (number(&start[..8]), number(&start[8..16]));
        let (works, keypoints) = (number(&start[16..20]), number(&start[20..24]));
        let indexed = works * WORK_BYTES as u64 + keypoints * HEAD_BYTES as u64;
        let heads = self.end + BLOCK_HEAD_BYTES as u64 + works * WORK_BYTES as u64;
        let details = self.end + BLOCK_HEAD_BYTES as u64 + indexed + 32;
        let end = details + keypoints * DETAIL_BYTES as u64;
        if from != self.len || to < from || end > bytes {
            return Ok(false);
        }
        let mut body = vec![0; indexed as usize + 32];
        file.read_exact_at(&mut body, self.end + BLOCK_HEAD_BYTES as u64)?;
        let (body, digest) = body.split_at(indexed as usize);
        if Sha256::new_with_prefix(start).chain_update(body).finalize()[..] != *digest {
            return Ok(false);
        }
        let (directory, all_heads) = body.split_at(works as usize * WORK_BYTES);
        let mut places = Vec::with_capacity(works as usize);
        let mut at = 0;
        for entry in directory.chunks_exact(WORK_BYTES) {
            let count = number(&entry[16..20]);
            places.push(Place {
                index: number(&entry[..8]),
                size: [number(&entry[8..12]) as u32, number(&entry[12..16]) as u32],
                keypoints: count as u32,
                check: [entry[20], entry[21], entry[22], entry[23]],
                heads: heads + at * HEAD_BYTES as u64,
                details: details + at * DETAIL_BYTES as u64,
            });
            at += count;
        }
        if at != keypoints {
            return Ok(false);
        }
        // Details are checked when they are read, but for the last block's, which a crash may have torn.
        if end == bytes && !self.details_are_whole(file, &places)? {
            return Ok(false);
        }
        for place in places {
            let start = ((place.heads - heads) as usize, place.keypoints as usize * HEAD_BYTES);
            let heads = &all_heads[start.0..start.0 + start.1];
            let heads: Vec<Head> = heads.chunks_exact(HEAD_BYTES).map(parse_head).collect();
            added(&heads);
            self.works.push(place);
        }
        (self.end, self.flushed, self.len) = (end, to, to);
        Ok(true)
    }

    fn details_are_whole(&self, file: &File, places: &[Place]) -> io::Result<bool> {
        for place in places {
            let mut details = vec![0; place.keypoints as usize * DETAIL_BYTES];
            file.read_exact_at(&mut details, place.details)?;
            if Sha256::digest(&details)[..4] != place.check {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn heads(features: &Features) -> Vec<Head> {
    let longest = longest(features.size);
    let looks = features.looks.keys.iter().zip(&features.looks.codes);
    let heads = features.keypoints.iter().zip(looks).map(|(keypoint, (key, code))| Head {
        key: key.bits,
        signature: signature(code),
        angle: turn(keypoint.angle),
        size: size(keypoint.sigma, longest),
    });
    heads.collect()
}

fn head_bytes(head: &Head) -> [u8; HEAD_BYTES] {
    let [a, b, c, _] = head.key.to_le_bytes();
    let [d, e] = head.signature.to_le_bytes();
    [a, b, c, head.angle, d, e, head.size, 0]
}

fn parse_head(bytes: &[u8]) -> Head {
    Head {
        key: number(&bytes[..3]) as u32,
        angle: bytes[3],
        signature: number(&bytes[4..6]) as u16,
        size: bytes[6],
    }
}

fn parse_features(size: [u32; 2], heads: &[u8], details: &[u8]) -> Features {
    let longest = longest(size);
    let kept = heads.chunks_exact(HEAD_BYTES).zip(details.chunks_exact(DETAIL_BYTES));
    let (keypoints, codes) =
        kept.map(|(head, detail)| parse_keypoint(head, detail, longest)).unzip();
    let looks = Looks { codes, ..Looks::default() };
    Features { size, keypoints, looks, ..Features::default() }
}

fn parse_keypoint(head: &[u8], detail: &[u8], longest: f32) -> (Keypoint, Fingerprint) {
    let head = parse_head(head);
    let [x, y] = [0, 2].map(|at| (number(&detail[at..at + 2]) as f32 + 0.5) * longest / 65_536.0);
    let sigma = longest / (f32::from(head.size) / 16.0).exp2();
    let mut code = [0; 32];
    code[..2].copy_from_slice(&head.signature.to_le_bytes());
    code[2..].copy_from_slice(&detail[4..]);
    let code = Fingerprint(std::array::from_fn(|word| number(&code[8 * word..8 * word + 8])));
    (Keypoint { x, y, sigma, angle: f32::from(head.angle) * TAU / 256.0 }, code)
}

/// The words of a code, little-endian.
fn code_bytes(code: &Fingerprint) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(code.0) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn longest(size: [u32; 2]) -> f32 {
    size[0].max(size[1]) as f32
}

/// Little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

const HEADER: &[u8] = b"timemark-keypoints 1\n";
const BLOCK_HEAD_BYTES: usize = 24;
const WORK_BYTES: usize = 24;
const HEAD_BYTES: usize = 8;
const DETAIL_BYTES: usize = 34;
/// Bytes of details that wait for a flush at most.
const PENDING_MAX: usize = 32 << 20;

//! The table of 256-bit codes, the loop that scans it, and the file that keeps it.
//!
//! The file is a header and then blocks that are only ever appended, one for each flush:
//!
//! ```text
//! file  = "timemark-codes 1" block*
//! block = from u64 · to u64 · rows u64 · row* · SHA-256 of the block so far      (little-endian)
//! row   = kind u8 · quality u8 · work u64 · code 32 bytes
//! ```
//!
//! A block takes in the log entries `from..to`, beginning where the block before it ended. Reading
//! stops at the first bad block: a torn tail is an ordinary crash, and the log has what it held.

use std::array;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use timemark_verify::{Claim, Fingerprint, FormatError};

use timemark_vision::Kind;

use crate::{IndexError, Match};

/// All codes, in memory: a struct of arrays for each kind, in the log's order.
#[derive(Default)]
pub(crate) struct Table {
    columns: [Columns; Kind::ALL.len()],
}

#[derive(Default)]
struct Columns {
    codes: Vec<Fingerprint>,
    works: Vec<u64>,
    qualities: Vec<u8>,
}

/// One code of one work.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    kind: Kind,
    quality: u8,
    work: u64,
    code: Fingerprint,
}

impl Table {
    pub(crate) fn len(&self, kind: Kind) -> usize {
        self.columns[kind as usize].works.len()
    }

    pub(crate) fn extend(&mut self, rows: &[Row]) {
        for row in rows {
            let columns = &mut self.columns[row.kind as usize];
            columns.codes.push(row.code);
            columns.works.push(row.work);
            columns.qualities.push(row.quality);
        }
    }

    /// See [`crate::Index::matches`].
    pub(crate) fn matches(&self, kind: Kind, codes: &[Fingerprint], radius: u32) -> Vec<Match> {
        let columns = &self.columns[kind as usize];
        let mut matches = Vec::new();
        let mut report = |row: usize, distance, variant| {
            let (index, quality) = (columns.works[row], columns.qualities[row]);
            matches.push(Match { index, distance, variant, quality });
        };
        match codes {
            [] => {}
            [code] => scan(&columns.codes, [*code], radius, report),
            _ => {
                for (group, some) in codes.chunks(LANES).enumerate() {
                    // Repeating a code finds nothing new: the first of equals counts.
                    let lanes = array::from_fn(|lane| some[lane.min(some.len() - 1)]);
                    scan::<LANES>(&columns.codes, lanes, radius, |row, distance, lane| {
                        report(row, distance, group * LANES + lane);
                    });
                }
            }
        }
        matches.sort_unstable_by_key(|found| (found.index, found.distance, found.variant));
        matches.dedup_by_key(|found| found.index);
        matches.sort_unstable_by_key(|found| (found.distance, found.index));
        matches
    }
}

/// Reports each row within `radius` of a code, with the distance and place of the nearest code.
///
/// Baseline x86-64 has no instruction that counts bits, so counting is what costs. A place at which two
/// or more of the four words differ counts twice or more, so twice the number of such places is a lower
/// bound on the distance: about 88 for unrelated codes, at the price of one count instead of four.
fn scan<const N: usize>(
    rows: &[Fingerprint],
    codes: [Fingerprint; N],
    radius: u32,
    mut report: impl FnMut(usize, u32, usize),
) {
    let lanes: [[u64; N]; 4] = array::from_fn(|word| codes.map(|code| code.0[word]));
    for (place, row) in rows.iter().enumerate() {
        let twice = |lane: usize| {
            let [a, b, c, d] = array::from_fn(|word| row.0[word] ^ lanes[word][lane]);
            (a & b) | (c & d) | ((a | b) & (c | d))
        };
        let least = (0..N).fold(64, |least, lane| least.min(twice(lane).count_ones()));
        if 2 * least > radius {
            continue;
        }
        let (distance, lane) = nearest(row, &codes);
        if distance <= radius {
            report(place, distance, lane);
        }
    }
}

/// The distance and place of the code nearest to a row. Out of line: within the loop above, it
/// would keep the compiler from doing several lanes of the bound at once.
#[inline(never)]
fn nearest(row: &Fingerprint, codes: &[Fingerprint]) -> (u32, usize) {
    let distances = codes.iter().zip(0..).map(|(code, lane)| (code.distance(row), lane));
    distances.min().unwrap_or((u32::MAX, 0))
}

/// The file of codes, and what has yet to be appended to it.
pub(crate) struct CodesFile {
    path: PathBuf,
    /// Where the next block goes; whatever lies beyond is a torn tail.
    end: u64,
    /// Log entries below this are in the file.
    flushed: u64,
    len: u64,
    pending: Vec<Row>,
}

impl CodesFile {
    /// Reads the file, as far as it is whole. It is not changed before the next flush.
    pub(crate) fn open(path: &Path) -> Result<(CodesFile, Table), IndexError> {
        let mut file =
            CodesFile { path: path.to_owned(), end: 0, flushed: 0, len: 0, pending: Vec::new() };
        let mut table = Table::default();
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((file, table)),
            Err(error) => return Err(IndexError::file(path, error)),
        };
        if HEADER.starts_with(&bytes) && bytes.len() < HEADER.len() {
            return Ok((file, table)); // torn while it was begun
        }
        let Some(mut rest) = bytes.strip_prefix(HEADER) else {
            let reason = "it does not begin as a table of codes of this version";
            let source = Box::new(FormatError::new("codes", reason));
            return Err(IndexError::Unreadable { path: path.to_owned(), source });
        };
        while let Some((to, rows, beyond)) = parse_block(rest, file.len) {
            table.extend(&rows);
            (file.flushed, file.len, rest) = (to, to, beyond);
        }
        file.end = (bytes.len() - rest.len()) as u64;
        Ok((file, table))
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Takes in the log up to `len`; returns the rows that are new.
    pub(crate) fn advance(&mut self, works: &[(u64, &Claim)], len: u64) -> Vec<Row> {
        let new = works.iter().filter(|(work, _)| (self.len..len).contains(work));
        let rows: Vec<Row> = new.flat_map(|&(work, claim)| rows_of(work, claim)).collect();
        self.pending.extend(&rows);
        self.len = self.len.max(len);
        rows
    }

    /// Appends what came since the last flush. It is durable once this returns.
    pub(crate) fn flush(&mut self) -> Result<(), IndexError> {
        if self.flushed == self.len {
            return Ok(());
        }
        let mut bytes = if self.end == 0 { HEADER.to_vec() } else { Vec::new() };
        let begin = bytes.len();
        for number in [self.flushed, self.len, self.pending.len() as u64] {
            bytes.extend(number.to_le_bytes());
        }
        for row in &self.pending {
            bytes.extend([row.kind as u8, row.quality]);
            bytes.extend(row.work.to_le_bytes());
            bytes.extend(row.code.to_bytes());
        }
        bytes.extend(Sha256::digest(&bytes[begin..]));
        self.append(&bytes).map_err(|source| IndexError::file(&self.path, source))?;
        self.end += bytes.len() as u64;
        self.flushed = self.len;
        self.pending.clear();
        Ok(())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(&self.path)?;
        file.set_len(self.end)?; // cuts a torn tail off
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match self.path.parent() {
            Some(dir) if self.end == 0 => File::open(dir)?.sync_all(),
            _ => Ok(()),
        }
    }
}

/// The rows of a work; a code that is spelled in another way than ours is not for this table.
fn rows_of(work: u64, claim: &Claim) -> impl Iterator<Item = Row> {
    let quality = claim.pdq().map_or(100, |(_, quality)| quality);
    claim.fingerprints.iter().filter_map(move |fingerprint| {
        let kind = fingerprint.kind().parse().ok()?;
        let code = fingerprint.value().split(' ').next()?.parse().ok()?;
        Some(Row { kind, quality, work, code })
    })
}

/// The block that begins at log entry `from`: where it ends, its rows, and the bytes beyond it.
fn parse_block(bytes: &[u8], from: u64) -> Option<(u64, Vec<Row>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<24>()?;
    let [begin, to, rows] = [0, 8, 16].map(|at| {
        head[at..at + 8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    });
    let size = usize::try_from(rows).ok()?.checked_mul(ROW_BYTES)?;
    let (rows, rest) = rest.split_at_checked(size)?;
    let (digest, beyond) = rest.split_first_chunk::<32>()?;
    let whole = Sha256::digest(&bytes[..head.len() + size])[..] == digest[..];
    if !whole || begin != from || to <= from {
        return None;
    }
    let rows = rows.chunks_exact(ROW_BYTES).map(parse_row).collect::<Option<_>>()?;
    Some((to, rows, beyond))
}

fn parse_row(bytes: &[u8]) -> Option<Row> {
    let ([kind, quality], rest) = bytes.split_first_chunk()?;
    let (work, code) = rest.split_first_chunk()?;
    let kind = *Kind::ALL.get(usize::from(*kind))?;
    let code = Fingerprint::from_bytes(code.try_into().ok()?);
    Some(Row { kind, quality: *quality, work: u64::from_le_bytes(*work), code })
}

const HEADER: &[u8; 16] = b"timemark-codes 1";
const ROW_BYTES: usize = 2 + 8 + 32;
/// Codes compared with a row at once; as many as a picture has ways to be turned and mirrored.
const LANES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::claim;
    use proptest::prelude::*;
    use tempfile::TempDir;

    fn naive(rows: &[Row], kind: Kind, codes: &[Fingerprint], radius: u32) -> Vec<Match> {
        let mut best: std::collections::BTreeMap<u64, Match> = Default::default();
        for row in rows.iter().filter(|row| row.kind == kind) {
            for (variant, code) in codes.iter().enumerate() {
                let (index, quality) = (row.work, row.quality);
                let found = Match { index, distance: code.distance(&row.code), variant, quality };
                let key = |found: &Match| (found.distance, found.variant);
                if found.distance <= radius && best.get(&index).is_none_or(|b| key(&found) < key(b))
                {
                    best.insert(index, found);
                }
            }
        }
        let mut matches: Vec<Match> = best.into_values().collect();
        matches.sort_by_key(|found| (found.distance, found.index));
        matches
    }

    /// Codes near a few centres, so that distances of all sizes occur.
    fn code() -> impl Strategy<Value = Fingerprint> {
        let flips = proptest::collection::vec(0usize..256, 0..60);
        (0u64..3, any::<[u64; 4]>(), any::<bool>(), flips).prop_map(|(centre, free, far, flips)| {
            let mut words = if far { free } else { [centre.wrapping_neg(); 4] };
            flips.iter().for_each(|bit| words[bit / 64] ^= 1 << (bit % 64));
            Fingerprint(words)
        })
    }

    proptest! {
        #[test]
        fn matches_are_those_of_a_naive_loop(
            rows in proptest::collection::vec((0usize..3, code(), 0u64..2, 0u8..101), 0..80),
            codes in proptest::collection::vec(code(), 0..19),
            radius in prop_oneof![0u32..60, 0u32..257],
        ) {
            let mut work = 0;
            let rows: Vec<Row> = rows.into_iter().map(|(kind, code, step, quality)| {
                work += step;
                Row { kind: Kind::ALL[kind], quality: if step == 0 { 50 } else { quality }, work, code }
            }).collect();
            // The quality is the work's.
            let quality = |work| rows.iter().find(|row| row.work == work).map_or(0, |row| row.quality);
            let rows: Vec<Row> =
                rows.iter().map(|row| Row { quality: quality(row.work), ..*row }).collect();
            let mut table = Table::default();
            table.extend(&rows);
            for kind in Kind::ALL {
                for count in [1, codes.len()] {
                    let codes = &codes[..count.min(codes.len())];
                    prop_assert_eq!(table.matches(kind, codes, radius), naive(&rows, kind, codes, radius));
                }
            }
        }
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_written_anew() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("codes");
        let claims = [claim("", "", "", 1), claim("", "", "", 2), claim("", "", "", 4)];
        let works: Vec<(u64, &Claim)> = (0..).zip(&claims).collect();
        let (mut file, _) = CodesFile::open(&path).unwrap();
        let mut ends = Vec::new();
        for len in 1..=3 {
            file.advance(&works, len);
            file.flush().unwrap();
            ends.push(file.end as usize);
        }
        let whole = fs::read(&path).unwrap();
        let blocks_below = |size: usize| ends.iter().filter(|&&end| end <= size).count();
        let check = |bytes: &[u8], len: usize| {
            fs::write(&path, bytes).unwrap();
            let (mut file, table) = CodesFile::open(&path).unwrap();
            assert_eq!(file.len(), len as u64);
            assert_eq!(table.columns[0].works, (0..len as u64).collect::<Vec<_>>());
            assert_eq!(fs::read(&path).unwrap(), bytes, "opening changes nothing");
            for len in 1..=3 {
                file.advance(&works, len);
                file.flush().unwrap();
            }
            assert_eq!(fs::read(&path).unwrap(), whole);
        };
        for size in 0..=whole.len() {
            check(&whole[..size], blocks_below(size));
        }
        for at in HEADER.len()..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            check(&bytes, blocks_below(at));
        }
        check(&[&whole[..ends[1]], &[0; 999]].concat(), 2);
    }
}

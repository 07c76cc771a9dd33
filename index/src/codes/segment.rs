//! A file of codes that never changes: mapped into memory, so that it is ready at once, however long it is.
//!
//! ```text
//! segment = head · part of each kind                                     (little-endian; parts and columns begin at multiples of 64)
//! head    = "timemark-segment" · version u64 · from u64 · to u64 · removed u64 · rows u64 of each kind
//!           · SHA-256 of the removed works and of each part · SHA-256 of the head so far · zeros up to 4096
//! removed = work u64 *                                                   works of earlier segments that count no more
//! part    = code 32 bytes * · work u64 * · quality u8 * and, from 4,096 rows on, the tables:
//! tables  = 16 × 65,537 starts u32 · 16 × rows signatures u16, 32 more · 16 × rows places u32
//! ```
//!
//! It takes in the log entries `from..to`, and is called `codes-<from>-<to>`. Its head is checked when it is opened, the
//! rest by [`Segment::check`] and before it is merged into another. It is written aside, flushed, and renamed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use sha2::{Digest, Sha256};
use timemark_verify::FormatError;
use timemark_vision::Kind;

use super::part::{OwnedTables, PADDING, Part, Tables};
use super::spread::{BUCKETS, CHUNKS, chunk};
use crate::IndexError;

/// An open segment.
pub(super) struct Segment {
    path: PathBuf,
    bytes: Mmap,
    head: Head,
    /// Where its removed works and its parts lie.
    removed: Range<usize>,
    parts: [Layout; KINDS],
}

/// What the first 4096 bytes say.
#[derive(Clone, Copy)]
struct Head {
    from: u64,
    to: u64,
    removed: u64,
    rows: [u64; KINDS],
    digests: [[u8; 32]; 1 + KINDS],
}

/// Where the columns of a part lie in the file.
#[derive(Clone)]
struct Layout {
    whole: Range<usize>,
    codes: Range<usize>,
    works: Range<usize>,
    qualities: Range<usize>,
    starts: Range<usize>,
    signatures: Range<usize>,
    places: Range<usize>,
}

/// What goes into a segment, in the log's order.
pub(super) struct Source<'a> {
    pub parts: [Part<'a>; KINDS],
    pub removed: &'a [u64],
}

impl Segment {
    pub fn open(dir: &Path, entries: &Range<u64>) -> Result<Segment, IndexError> {
        let path = dir.join(file_name(entries));
        let file = File::open(&path).map_err(|source| IndexError::file(&path, source))?;
        let bytes = map(&file).map_err(|source| IndexError::file(&path, source))?;
        let damaged = |reason: &str| unreadable(&path, reason);
        let head = Head::parse(&bytes).ok_or_else(|| damaged("its head is damaged"))?;
        if (head.from..head.to) != *entries {
            return Err(damaged("it holds other entries than its name says"));
        }
        let (removed, parts, end) =
            head.layout().ok_or_else(|| damaged("it says that it is longer than can be"))?;
        if end != bytes.len() {
            return Err(damaged("it has another length than its head says"));
        }
        Ok(Segment { path, bytes, head, removed, parts })
    }

    /// The log entries that it takes in.
    pub fn entries(&self) -> Range<u64> {
        self.head.from..self.head.to
    }

    pub fn rows(&self, kind: Kind) -> usize {
        self.head.rows[kind as usize] as usize
    }

    /// Codes of all kinds.
    pub fn all_rows(&self) -> u64 {
        self.head.rows.iter().sum()
    }

    pub fn file_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn part(&self, kind: Kind) -> Part<'_> {
        let at = &self.parts[kind as usize];
        let tables = (!at.starts.is_empty()).then(|| Tables {
            starts: self.column(&at.starts),
            signatures: self.column(&at.signatures),
            places: self.column(&at.places),
        });
        Part {
            codes: self.column(&at.codes),
            works: self.column(&at.works),
            qualities: &self.bytes[at.qualities.clone()],
            tables,
        }
    }

    /// Works of earlier segments that count no more.
    pub fn removed(&self) -> &[u64] {
        self.column(&self.removed)
    }

    /// Compares everything with the digests.
    pub fn check(&self) -> Result<(), IndexError> {
        let removed = HEAD_BYTES..self.parts[0].whole.start;
        let ranges = [removed].into_iter().chain(self.parts.iter().map(|part| part.whole.clone()));
        for (range, digest) in ranges.zip(&self.head.digests) {
            if Sha256::digest(&self.bytes[range])[..] != digest[..] {
                return Err(unreadable(&self.path, "its bytes are not those of its digest"));
            }
        }
        Ok(())
    }

    /// Has the system forget the file once nobody reads it.
    pub fn delete(&self) -> Result<(), IndexError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(IndexError::file(&self.path, error))
            }
            _ => Ok(()),
        }
    }

    fn column<T: bytemuck::AnyBitPattern>(&self, range: &Range<usize>) -> &[T] {
        // Mapped files begin on a page, and columns at multiples of 64.
        bytemuck::try_cast_slice(&self.bytes[range.clone()]).unwrap_or_default()
    }
}

/// Writes the segment of these entries, from sources that follow each other, and opens it. Rows of removed works are
/// left out; of what the sources say is removed, it says on what lies in earlier segments.
pub(super) fn write(
    dir: &Path,
    entries: &Range<u64>,
    sources: &[Source<'_>],
    removed: &BTreeSet<u64>,
) -> Result<Segment, IndexError> {
    let whole = dir.join(file_name(entries));
    let part = dir.join(format!("{}{PART_SUFFIX}", file_name(entries)));
    let written = write_as(&part, entries, sources, removed)
        .and_then(|()| fs::rename(&part, &whole))
        .and_then(|()| File::open(dir)?.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&part); // its loss is no news beside the error
        return Err(IndexError::file(&part, error));
    }
    Segment::open(dir, entries)
}

fn write_as(
    path: &Path,
    entries: &Range<u64>,
    sources: &[Source<'_>],
    removed: &BTreeSet<u64>,
) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&[0; HEAD_BYTES])?;
    let mut out = Column { file: &mut file, sha256: Sha256::new(), written: HEAD_BYTES };
    let (from, to) = (entries.start, entries.end);
    let (rows, digests) = ([0; KINDS], [[0; 32]; 1 + KINDS]);
    let mut head = Head { from, to, removed: 0, rows, digests };
    let said = sources.iter().flat_map(|source| source.removed).map(|&work| u64::from_le(work));
    for work in said.filter(|work| *work < from).collect::<BTreeSet<_>>() {
        out.put(&work.to_le_bytes())?;
        head.removed += 1;
    }
    out.align()?;
    head.digests[0] = out.digest();
    for kind in 0..KINDS {
        let parts: Vec<Kept<'_>> =
            sources.iter().map(|source| Kept::new(source.parts[kind], removed)).collect();
        head.rows[kind] = write_part(&mut out, &parts)?;
        head.digests[1 + kind] = out.digest();
    }
    file.flush()?;
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    file.write_all(&head.to_bytes())?;
    file.sync_all()
}

/// A part, and which of its rows are left out.
struct Kept<'a> {
    part: Part<'a>,
    /// Places, ascending.
    gone: Vec<u32>,
}

impl<'a> Kept<'a> {
    fn new(part: Part<'a>, removed: &BTreeSet<u64>) -> Kept<'a> {
        let mut gone = Vec::new();
        for &work in removed {
            let from = part.works.partition_point(|&w| u64::from_le(w) < work);
            let of_work = part.works[from..].iter().take_while(|&&w| u64::from_le(w) == work);
            gone.extend((from..).zip(of_work).map(|(place, _)| place as u32));
        }
        Kept { part, gone }
    }

    fn rows(&self) -> usize {
        self.part.codes.len() - self.gone.len()
    }

    /// The rows that stay, as ranges of places.
    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.gone.iter().map(|&place| place as usize + 1));
        let ends = self.gone.iter().map(|&place| place as usize).chain([self.part.codes.len()]);
        starts.zip(ends).map(|(start, end)| start..end)
    }

    /// The place of a row that stays, once those before it that do not are left out; `None` for one that does not.
    fn place(&self, row: u32) -> Option<u32> {
        if self.gone.is_empty() {
            return Some(row);
        }
        let before = self.gone.partition_point(|&gone| gone < row);
        (self.gone.get(before) != Some(&row)).then(|| row - before as u32)
    }
}

/// Writes one part out of several, bucket by bucket, so that it needs no more memory for long ones.
fn write_part<W: Write>(out: &mut Column<'_, W>, parts: &[Kept<'_>]) -> io::Result<u64> {
    let rows: usize = parts.iter().map(Kept::rows).sum();
    for kept in parts {
        kept.ranges()
            .try_for_each(|range| out.put(bytemuck::cast_slice(&kept.part.codes[range])))?;
    }
    out.align()?;
    for kept in parts {
        kept.ranges()
            .try_for_each(|range| out.put(bytemuck::cast_slice(&kept.part.works[range])))?;
    }
    out.align()?;
    for kept in parts {
        kept.ranges().try_for_each(|range| out.put(&kept.part.qualities[range]))?;
    }
    out.align()?;
    if rows < TABLE_ROWS_MIN {
        return Ok(rows as u64);
    }
    if u32::try_from(rows).is_err() {
        return Err(io::Error::other("a segment has no room for so many codes"));
    }
    // Short parts have no tables of their own.
    let made: Vec<Option<OwnedTables>> = parts
        .iter()
        .map(|kept| kept.part.tables.is_none().then(|| OwnedTables::new(kept.part.codes)))
        .collect();
    let tables: Vec<Tables<'_>> = parts
        .iter()
        .zip(&made)
        .filter_map(|(kept, made)| kept.part.tables.or(made.as_ref().map(OwnedTables::view)))
        .collect();
    write_starts(out, parts, &tables)?;
    let lacking = || io::Error::new(io::ErrorKind::InvalidData, "a table is damaged");
    let mut bytes: Vec<u8> = Vec::new();
    for table in 0..CHUNKS {
        for bucket in 0..BUCKETS {
            for (kept, tables) in parts.iter().zip(&tables) {
                let (signatures, places) = tables.bucket(table, bucket).ok_or_else(lacking)?;
                if kept.gone.is_empty() {
                    out.put(bytemuck::cast_slice(signatures))?;
                    continue;
                }
                for (signature, place) in signatures.iter().zip(places) {
                    if kept.place(u32::from_le(*place)).is_some() {
                        out.put(bytemuck::bytes_of(signature))?;
                    }
                }
            }
        }
    }
    out.put(&[0; 2 * PADDING])?;
    out.align()?;
    for table in 0..CHUNKS {
        for bucket in 0..BUCKETS {
            let mut before = 0;
            for (kept, tables) in parts.iter().zip(&tables) {
                let (_, places) = tables.bucket(table, bucket).ok_or_else(lacking)?;
                bytes.clear();
                let places = places.iter().filter_map(|place| kept.place(u32::from_le(*place)));
                places.for_each(|place| bytes.extend((before + place).to_le_bytes()));
                out.put(&bytes)?;
                before += kept.rows() as u32;
            }
        }
    }
    out.align()?;
    Ok(rows as u64)
}

/// Where the buckets of the merged tables begin.
fn write_starts<W: Write>(
    out: &mut Column<'_, W>,
    parts: &[Kept<'_>],
    tables: &[Tables<'_>],
) -> io::Result<()> {
    let mut starts = vec![0u32; BUCKETS + 1];
    for table in 0..CHUNKS {
        starts.fill(0);
        for (kept, tables) in parts.iter().zip(tables) {
            let own = &tables.starts[table * (BUCKETS + 1)..][..BUCKETS + 1];
            for (bucket, window) in own.windows(2).enumerate() {
                let [start, end] = [window[0], window[1]].map(u32::from_le);
                starts[bucket + 1] += end.wrapping_sub(start);
            }
            for &place in &kept.gone {
                starts[usize::from(chunk(&kept.part.codes[place as usize], table)) + 1] -= 1;
            }
        }
        for bucket in 0..BUCKETS {
            starts[bucket + 1] += starts[bucket];
        }
        for start in &starts {
            out.put(&start.to_le_bytes())?;
        }
    }
    out.align()
}

/// Writes columns and takes the digest of what it wrote.
struct Column<'a, W: Write> {
    file: &'a mut W,
    sha256: Sha256,
    written: usize,
}

impl<W: Write> Column<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sha256.update(bytes);
        self.written += bytes.len();
        self.file.write_all(bytes)
    }

    fn align(&mut self) -> io::Result<()> {
        let filling = self.written.next_multiple_of(ALIGNMENT) - self.written;
        self.put(&[0; ALIGNMENT][..filling])
    }

    fn digest(&mut self) -> [u8; 32] {
        std::mem::take(&mut self.sha256).finalize().into()
    }
}

impl Head {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let numbers = [VERSION, self.from, self.to, self.removed].into_iter().chain(self.rows);
        numbers.for_each(|number| bytes.extend(number.to_le_bytes()));
        self.digests.iter().for_each(|digest| bytes.extend(digest));
        bytes.extend(Sha256::digest(&bytes));
        bytes.resize(HEAD_BYTES, 0);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Head> {
        let head: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
        let mut rest = head.strip_prefix(MAGIC)?;
        let mut number = || {
            let (number, beyond) = rest.split_first_chunk()?;
            rest = beyond;
            Some(u64::from_le_bytes(*number))
        };
        if number()? != VERSION {
            return None;
        }
        let (from, to, removed) = (number()?, number()?, number()?);
        let mut rows = [0; KINDS];
        for rows in &mut rows {
            *rows = number()?;
        }
        let mut digests = [[0; 32]; 1 + KINDS];
        for digest in &mut digests {
            let (own, beyond) = rest.split_first_chunk()?;
            (*digest, rest) = (*own, beyond);
        }
        let head = Head { from, to, removed, rows, digests };
        (head.to_bytes() == bytes[..HEAD_BYTES]).then_some(head)
    }

    /// Where everything lies, and where the file ends; `None` if that is further than can be.
    fn layout(&self) -> Option<(Range<usize>, [Layout; KINDS], usize)> {
        let mut end = HEAD_BYTES;
        let mut column = |number: u64, bytes: u64| {
            let start = end;
            let length = usize::try_from(number.checked_mul(bytes)?).ok()?;
            let range = start..start.checked_add(length)?;
            end = range.end.checked_next_multiple_of(ALIGNMENT)?;
            Some(range)
        };
        let removed = column(self.removed, 8)?;
        let mut parts = Vec::with_capacity(KINDS);
        for rows in self.rows {
            let (codes, works, qualities) = (column(rows, 32)?, column(rows, 8)?, column(rows, 1)?);
            let tabled = rows >= TABLE_ROWS_MIN as u64;
            let [tables, rows] = if tabled { [CHUNKS as u64, rows] } else { [0, 0] };
            let starts = column(tables, 4 * (BUCKETS as u64 + 1))?;
            let padding = if tabled { PADDING as u64 } else { 0 };
            let signatures = column((tables.checked_mul(rows)?).checked_add(padding)?, 2)?;
            let places = column(tables.checked_mul(rows)?, 4)?;
            let whole = codes.start..places.end.checked_next_multiple_of(ALIGNMENT)?;
            parts.push(Layout { whole, codes, works, qualities, starts, signatures, places });
        }
        Some((removed, parts.try_into().ok()?, end))
    }
}

/// The segments in a folder, as their names tell, in any order.
pub(super) fn listed(dir: &Path) -> io::Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let entries = name.to_str().and_then(|name| {
            let (from, to) = name.strip_prefix(NAME_PREFIX)?.split_once('-')?;
            Some(from.parse().ok()?..to.parse().ok()?)
        });
        found.extend(entries.filter(|entries| file_name(entries) == name.to_string_lossy()));
    }
    Ok(found)
}

/// Deletes segments that were written half, and those that are none of these.
pub(super) fn delete_others(dir: &Path, kept: &[Range<u64>]) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name.starts_with(NAME_PREFIX);
        if is_ours && !kept.iter().any(|entries| file_name(entries) == name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn file_name(entries: &Range<u64>) -> String {
    format!("{NAME_PREFIX}{}-{}", entries.start, entries.end)
}

fn unreadable(path: &Path, reason: &str) -> IndexError {
    let source = Box::new(FormatError::new("segment of codes", reason));
    IndexError::Unreadable { path: path.to_owned(), source }
}

/// Maps a file. An empty one cannot be mapped, and is no segment either.
#[expect(
    unsafe_code,
    reason = "reading 10 million codes instead would take seconds at every start"
)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: a segment is never written to once it has its name, and deleting it leaves the mapping whole. Whoever
    // changes it or cuts it short all the same, with the rights of the archive's owner, can end this process (SIGBUS)
    // or give it other numbers; every number is checked before it is used as a place.
    unsafe { Mmap::map(file) }
}

const MAGIC: &[u8; 16] = b"timemark-segment";
const VERSION: u64 = 1;
const HEAD_BYTES: usize = 4096;
const ALIGNMENT: usize = 64;
const KINDS: usize = Kind::ALL.len();
const NAME_PREFIX: &str = "codes-";
const PART_SUFFIX: &str = ".part";
/// Fewer are compared one by one in less time than tables take, which have 4 MiB of starts whatever they hold.
pub(super) const TABLE_ROWS_MIN: usize = 4096;

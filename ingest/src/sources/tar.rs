//! Goes through a tar, entry by entry: ustar, pax and GNU, of which it knows what names and lengths need.
//!
//! Names and pax records are read within limits here; readers that unpack to disk take them as long as an
//! archive says they are.

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::SuspectName;
use super::archive::Visit;
use super::name::NAME_BYTES_MAX;
use super::stream::{Stream, damaged};

/// Hands out the members of a tar. Folders, links and devices are passed over.
pub(super) fn visit(
    visit: &mut Visit<'_>,
    archive: &SuspectName,
    mut stream: Stream<'_>,
    depth: usize,
) -> ControlFlow<()> {
    loop {
        let entry = match next_entry(&mut stream) {
            Ok(Some(entry)) => entry,
            Ok(None) => return ControlFlow::Continue(()),
            Err(error) => return visit.failed(archive.clone(), &error),
        };
        let mut body = stream.block(entry.length);
        match entry.kind {
            EntryKind::File => {
                let name = archive.member(&entry.name);
                visit.member(name, &mut body, Some(entry.length), depth)?;
            }
            EntryKind::Sparse => {
                let name = archive.member(&entry.name);
                visit.failed(name, &damaged("a sparse file, which is not read"))?;
            }
            EntryKind::Other => {}
        }
        if let Err(error) = body.skip_unless_failed() {
            return visit.failed(archive.clone(), &error);
        }
        // Whoever read the member has told why.
        if stream.failed {
            return ControlFlow::Continue(());
        }
        if let Err(error) = skip_padding(&mut stream, entry.length) {
            return visit.failed(archive.clone(), &error);
        }
    }
}

/// Whether this begins with the header of an entry, checksum and all: a text may have `ustar` at its place.
pub(super) fn begins(start: &[u8]) -> bool {
    let header = start.first_chunk::<BLOCK_BYTES>();
    header.is_some_and(|header| &header[257..262] == b"ustar" && checksum_holds(header))
}

struct Entry {
    name: Vec<u8>,
    length: u64,
    kind: EntryKind,
}

#[derive(PartialEq, Eq)]
enum EntryKind {
    File,
    Sparse,
    Other,
}

/// What stands before an entry and is about it.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    length: Option<u64>,
    sparse: bool,
}

/// Reads up to the content of the next entry; `None` at the end.
fn next_entry(stream: &mut Stream<'_>) -> io::Result<Option<Entry>> {
    let mut said = Said::default();
    // A row of headers that are about other headers has an end as well.
    for _ in 0..HEADERS_IN_A_ROW_MAX {
        let offset = stream.offset;
        let mut header = [0; BLOCK_BYTES];
        // Some writers leave out the empty blocks at the end.
        if !stream.fill(&mut header)? || header == [0; BLOCK_BYTES] {
            return Ok(None);
        }
        let bad = || damaged(format!("tar: the header at byte {offset} is damaged"));
        if !checksum_holds(&header) {
            return Err(bad());
        }
        let length = number(&header[124..136]).ok_or_else(bad)?;
        match header[156] {
            b'L' => said.name = Some(read_name(stream, length)?),
            b'x' => read_pax(stream, length, &mut said)?,
            // A long name of a link, what is said about all entries, the name of a volume.
            b'K' | b'g' | b'V' => {
                stream.block(length).skip()?;
                skip_padding(stream, length)?;
            }
            kind => {
                let length = said.length.unwrap_or(length);
                let name = said.name.unwrap_or_else(|| header_name(&header));
                if kind == b'S' {
                    skip_sparse_map(stream, header[482])?;
                }
                let kind = match kind {
                    b'S' => EntryKind::Sparse,
                    _ if said.sparse => EntryKind::Sparse,
                    b'0' | b'\0' | b'7' if !name.ends_with(b"/") => EntryKind::File,
                    _ => EntryKind::Other,
                };
                return Ok(Some(Entry { name, length, kind }));
            }
        }
    }
    Err(damaged("tar: too many headers in a row"))
}

fn checksum_holds(header: &[u8; BLOCK_BYTES]) -> bool {
    let said = number(&header[148..156]);
    let others = || header.iter().enumerate().filter(|(at, _)| !(148..156).contains(at));
    let unsigned: u64 = others().map(|(_, byte)| u64::from(*byte)).sum();
    // Old writers took bytes for signed.
    let signed: i64 = others().map(|(_, byte)| i64::from(byte.cast_signed())).sum();
    said.is_some_and(|said| said == unsigned + 256 || said.cast_signed() == signed + 256)
}

/// Octal digits between spaces, or big-endian bytes behind a first one of 0x80.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        return rest
            .iter()
            .try_fold(0u64, |number, byte| number.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let text = str::from_utf8(&field[..end]).ok()?.trim();
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn header_name(header: &[u8; BLOCK_BYTES]) -> Vec<u8> {
    let until_nul = |field: &[u8]| field.split(|byte| *byte == 0).next().unwrap_or(&[]).to_vec();
    let name = until_nul(&header[..100]);
    // GNU keeps other things where POSIX has the beginning of a long name.
    let prefix =
        if &header[257..263] == b"ustar\0" { until_nul(&header[345..500]) } else { vec![] };
    if prefix.is_empty() { name } else { [&prefix[..], b"/", &name].concat() }
}

/// Reads the name that is the content of an entry of its own.
fn read_name(stream: &mut Stream<'_>, length: u64) -> io::Result<Vec<u8>> {
    let mut name = Vec::new();
    let mut block = stream.block(length);
    // One byte more tells that there is more.
    (&mut block).take(NAME_BYTES_MAX as u64 + 1).read_to_end(&mut name)?;
    block.skip()?;
    skip_padding(stream, length)?;
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    Ok(name)
}

/// Reads the records `LENGTH KEY=VALUE\n` about the next entry.
fn read_pax(stream: &mut Stream<'_>, length: u64, said: &mut Said) -> io::Result<()> {
    if length > PAX_BYTES_MAX {
        return Err(damaged(format!("tar: pax records of more than {PAX_BYTES_MAX} bytes")));
    }
    let mut records = Vec::new();
    stream.block(length).read_to_end(&mut records)?;
    skip_padding(stream, length)?;
    let bad = || damaged("tar: a damaged pax record");
    let mut rest = &records[..];
    while !rest.is_empty() && rest[0] != 0 {
        let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length = str::from_utf8(&rest[..space]).ok().and_then(|text| text.parse().ok());
        let (record, after) = length.and_then(|at| rest.split_at_checked(at)).ok_or_else(bad)?;
        rest = after;
        let record = record.get(space + 1..).and_then(|r| r.strip_suffix(b"\n")).ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => said.name = Some(value.to_vec()),
            b"GNU.sparse.name" => (said.name, said.sparse) = (Some(value.to_vec()), true),
            b"size" => {
                let value = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                said.length = Some(value.ok_or_else(bad)?);
            }
            _ => said.sparse |= key.starts_with(b"GNU.sparse."),
        }
    }
    Ok(())
}

/// Passes over the blocks that say where in a sparse file its content lies.
fn skip_sparse_map(stream: &mut Stream<'_>, goes_on: u8) -> io::Result<()> {
    let mut goes_on = goes_on != 0;
    while goes_on {
        let mut block = [0; BLOCK_BYTES];
        stream.block(BLOCK_BYTES as u64).read_exact(&mut block)?;
        goes_on = block[504] != 0;
    }
    Ok(())
}

fn skip_padding(stream: &mut Stream<'_>, length: u64) -> io::Result<()> {
    let block = BLOCK_BYTES as u64;
    stream.block((block - length % block) % block).skip()
}

const BLOCK_BYTES: usize = 512;
/// Attributes and access lists of one file; mostly it is a name.
const PAX_BYTES_MAX: u64 = 1 << 20;
/// Headers before an entry that are about it.
const HEADERS_IN_A_ROW_MAX: usize = 64;

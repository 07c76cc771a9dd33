//! Goes through a web archive (WARC, ISO 28500), record by record, and hands out what was fetched.
//!
//! A damaged record costs itself: the next one is looked for, behind an empty line or, where each record was
//! compressed by itself, in the next gzip member.

use std::io::{self, BufRead};
use std::ops::ControlFlow;

use super::archive::Visit;
use super::stream::{Plain, Stream, damaged};
use super::{Captured, SuspectName, http};

/// Hands out the contents of a web archive: of responses the body, of resources everything.
pub(super) fn visit(
    visit: &mut Visit<'_>,
    archive: &SuspectName,
    mut stream: Stream<'_>,
    depth: usize,
) -> ControlFlow<()> {
    let mut lines = Vec::new();
    let mut version_read = false;
    loop {
        let offset = stream.offset;
        let header = match next_header(&mut stream, version_read, &mut lines) {
            Ok(Some(header)) => header,
            // An end in the middle of what was compressed: there may be more behind it.
            Ok(None) if stream.recover() => {
                let reason = format!("damaged at byte {offset} of the records");
                visit.failed(archive.clone(), &damaged(reason))?;
                if !seek_record(&mut stream, true) {
                    return ControlFlow::Continue(());
                }
                version_read = true;
                continue;
            }
            Ok(None) => return ControlFlow::Continue(()),
            Err(error) => {
                visit.failed(archive.clone(), &error)?;
                if !seek_record(&mut stream, false) {
                    return ControlFlow::Continue(());
                }
                version_read = true;
                continue;
            }
        };
        version_read = false;
        let name = || SuspectName {
            captured: Some(Captured { url: header.url.clone(), date: header.date.clone() }),
            ..archive.member(header.url.as_bytes())
        };
        let mut block = stream.block(header.length);
        if header.suspect {
            let body: Result<_, io::Error> = if header.http {
                http::body(Box::new(Plain(&mut block)), &mut lines, &visit.budget)
            } else {
                Ok(Some(Box::new(Plain(&mut block)) as _))
            };
            match body {
                Ok(Some(mut body)) => visit.member(name(), &mut body, None, depth)?,
                Ok(None) => {}
                Err(error) => visit.failed(name(), &error)?,
            }
        }
        if let Err(error) = block.skip_unless_failed() {
            visit.failed(name(), &error)?;
        }
        if stream.failed {
            if !seek_record(&mut stream, false) {
                return ControlFlow::Continue(());
            }
            version_read = true;
        }
    }
}

/// What of a record's header matters here.
struct Header {
    length: u64,
    url: String,
    date: String,
    /// It holds what was fetched.
    suspect: bool,
    /// It is an HTTP message.
    http: bool,
}

/// Reads up to the content of the next record; `None` at the end.
fn next_header(
    stream: &mut Stream<'_>,
    version_read: bool,
    lines: &mut Vec<u8>,
) -> io::Result<Option<Header>> {
    if !version_read && !read_version(stream, lines)? {
        return Ok(None);
    }
    let offset = stream.offset;
    let bad = |reason: &str| damaged(format!("the record at byte {offset}: {reason}"));
    let mut length = None;
    let (mut kind, mut url, mut date) = (String::new(), String::new(), String::new());
    let mut http = false;
    let mut header_bytes = 0;
    for _ in 0..FIELDS_MAX {
        lines.clear();
        stream.line(lines, HEADER_BYTES_MAX - header_bytes)?;
        header_bytes += lines.len();
        if lines.is_empty() {
            // The stream has ended and cannot be read any more.
            return Err(bad("its header has no end"));
        }
        let line = lines.trim_ascii();
        if line.is_empty() {
            let url = match url.is_empty() {
                true => format!("record at byte {offset}"),
                false => url,
            };
            let length = length.ok_or_else(|| bad("it has no length"))?;
            let suspect = matches!(&kind[..], "response" | "resource");
            let http = http && kind == "response";
            return Ok(Some(Header { length, url, date, suspect, http }));
        }
        // A line that goes on from the one before says nothing that is needed here.
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (field, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let text = || String::from_utf8_lossy(&value[..value.len().min(VALUE_BYTES_MAX)]);
        match &field.to_ascii_lowercase()[..] {
            b"content-length" => {
                let value = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                length = Some(value.ok_or_else(|| bad("its length is no number"))?);
            }
            b"warc-type" => kind = text().to_ascii_lowercase(),
            // Some writers put it between angle brackets.
            b"warc-target-uri" => {
                url = text().trim_start_matches('<').trim_end_matches('>').to_owned();
            }
            b"warc-date" => date = text().into_owned(),
            b"content-type" => {
                http = value.to_ascii_lowercase().starts_with(b"application/http");
            }
            _ => {}
        }
    }
    Err(bad(&format!("it has more than {FIELDS_MAX} fields")))
}

/// Reads the line that a record begins with; `false` at the end.
fn read_version(stream: &mut Stream<'_>, line: &mut Vec<u8>) -> io::Result<bool> {
    // Two empty lines stand behind each record; some writers make it more or fewer.
    loop {
        let bytes = stream.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blank == 0 {
            break;
        }
        stream.consume(blank);
    }
    let offset = stream.offset;
    line.clear();
    // Where no record begins, no line may begin either.
    let read = stream.line(line, VERSION_BYTES_MAX);
    match read {
        Ok(()) if line.starts_with(START) => Ok(true),
        Err(error) if stream.failed => Err(error),
        _ => Err(damaged(format!("no record begins at byte {offset} of the records"))),
    }
}

/// Looks for the next record and reads its first line. `blank` tells whether one may begin right here.
fn seek_record(stream: &mut Stream<'_>, blank: bool) -> bool {
    let mut blank = blank;
    loop {
        if stream.failed {
            if !stream.recover() {
                return false;
            }
            blank = true;
        }
        match find_record(stream, blank) {
            Ok(found) if found => return true,
            Ok(_) if !stream.recover() => return false,
            Ok(_) => blank = true,
            // Whoever looks for a record knows already that there was damage.
            Err(_) => stream.failed = true,
        }
    }
}

/// Finds a line that begins as a record does, and follows an empty one; reads it.
fn find_record(stream: &mut Stream<'_>, mut blank: bool) -> io::Result<bool> {
    // How the line begins, and how long it is as far as that matters.
    let mut begins = [0; START.len()];
    let mut length = 0;
    loop {
        let bytes = stream.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let line = &bytes[..end.unwrap_or(bytes.len())];
        for (to, from) in begins[length.min(START.len())..].iter_mut().zip(line) {
            *to = *from;
        }
        length = (length + line.len()).min(START.len());
        let consumed = line.len() + usize::from(end.is_some());
        stream.consume(consumed);
        if end.is_some() {
            if blank && begins == *START {
                return Ok(true);
            }
            blank = length == 0 || (length == 1 && begins[0] == b'\r');
            (begins, length) = ([0; START.len()], 0);
        }
    }
}

/// How a record begins.
pub(super) const START: &[u8; 7] = b"WARC/1.";
const VERSION_BYTES_MAX: usize = 32;
/// The longest header of a record.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Fields in a header, at most.
const FIELDS_MAX: usize = 256;
/// The longest URL that is kept whole.
const VALUE_BYTES_MAX: usize = 8192;

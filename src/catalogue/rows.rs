//! The rows of a sheet saved as CSV, one at a time, each with the line on which it begins.
//!
//! csv-core parses. A quote that is never closed would swallow the rows below it, so quotes are watched beside it, and
//! reading goes on with the line after the one on which a bad row begins. What columns mean is not known here.

use std::io::{self, BufRead, Seek, SeekFrom};

use csv_core::ReadRecordResult;

/// Rows as they stand in the file. No more than one is held, in buffers that do not grow.
pub(super) struct Rows<R> {
    input: R,
    parser: csv_core::Reader,
    quotes: Quotes,
    place: Place,
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// A row whose fields lie in the buffers until the next one is read.
pub(super) struct Raw {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its length in the file, with empty lines before it.
    pub bytes: u64,
    /// Why it cannot be read.
    pub fault: Option<&'static str>,
    fields: usize,
}

/// Where in the file.
#[derive(Clone, Copy)]
struct Place {
    byte: u64,
    line: u64,
    after_cr: bool,
}

impl<R: BufRead + Seek> Rows<R> {
    /// Rows of what begins at this byte of the input.
    pub fn new(input: R, byte: u64, delimiter: u8) -> Rows<R> {
        Rows {
            input,
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            quotes: Quotes { delimiter, state: Quoting::FieldStart },
            place: Place { byte, line: 1, after_cr: false },
            text: vec![0; ROW_BYTES_MAX],
            ends: vec![0; FIELDS_MAX],
        }
    }

    pub fn next(&mut self) -> io::Result<Option<Raw>> {
        let before = self.place.byte;
        self.skip(is_line_end)?;
        let start = self.place;
        self.quotes.state = Quoting::FieldStart;
        let (mut text, mut fields) = (0, 0);
        let fault = loop {
            let input = self.input.fill_buf()?;
            if input.is_empty() && self.place.byte == start.byte {
                return Ok(None);
            }
            if input.is_empty() && self.quotes.state == Quoting::Inside {
                break Some("a quote is never closed");
            }
            let (result, read, written, ended) =
                self.parser.read_record(input, &mut self.text[text..], &mut self.ends[fields..]);
            let well_quoted = input[..read].iter().all(|&byte| self.quotes.take(byte));
            self.place.advance(&input[..read]);
            self.input.consume(read);
            (text, fields) = (text + written, fields + ended);
            if !well_quoted {
                break Some(
                    "a quote is closed in the middle of a field; in quotes, a quote is written twice, and each must be closed",
                );
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    break Some("the row is longer than 256 KiB, or a quote is never closed");
                }
                ReadRecordResult::OutputEndsFull => {
                    break Some("the row has more than 256 fields, or a quote is never closed");
                }
                ReadRecordResult::Record => break None,
                ReadRecordResult::End => return Ok(None),
            }
        };
        if fault.is_some() {
            self.place = start;
            self.input.seek(SeekFrom::Start(start.byte))?;
            self.parser.reset();
            self.skip(|byte| !is_line_end(byte))?;
        }
        Ok(Some(Raw { line: start.line, bytes: self.place.byte - before, fields, fault }))
    }

    pub fn fields(&self, raw: &Raw) -> Vec<&[u8]> {
        let mut start = 0;
        let ends = self.ends[..raw.fields].iter();
        ends.map(|&end| &self.text[std::mem::replace(&mut start, end)..end]).collect()
    }

    /// Passes over bytes for as long as they are such.
    fn skip(&mut self, such: impl Fn(u8) -> bool) -> io::Result<()> {
        loop {
            let input = self.input.fill_buf()?;
            let count = input.iter().take_while(|&&byte| such(byte)).count();
            let more = count == input.len() && count > 0;
            self.place.advance(&input[..count]);
            self.input.consume(count);
            if !more {
                return Ok(());
            }
        }
    }
}

impl Place {
    /// A line ends with LF, CR or both.
    fn advance(&mut self, bytes: &[u8]) {
        self.byte += bytes.len() as u64;
        for &byte in bytes {
            self.line += u64::from(byte == b'\r' || byte == b'\n' && !self.after_cr);
            self.after_cr = byte == b'\r';
        }
    }
}

fn is_line_end(byte: u8) -> bool {
    byte == b'\r' || byte == b'\n'
}

/// Watches the quotes of a row, which the parser takes as they come.
struct Quotes {
    delimiter: u8,
    state: Quoting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    FieldStart,
    /// In a field without quotes, where they are characters like others.
    Plain,
    Inside,
    /// After a quote that ends the field, or is the first of two.
    Closed,
}

impl Quotes {
    /// Returns whether the byte may stand here.
    fn take(&mut self, byte: u8) -> bool {
        let field_ends = byte == self.delimiter || is_line_end(byte);
        self.state = match self.state {
            Quoting::FieldStart | Quoting::Closed if byte == b'"' => Quoting::Inside,
            Quoting::Inside if byte == b'"' => Quoting::Closed,
            Quoting::Inside => Quoting::Inside,
            _ if field_ends => Quoting::FieldStart,
            Quoting::Closed => return false,
            _ => Quoting::Plain,
        };
        true
    }
}

/// Longest row: six texts as long as a claim takes them, and as much of what is ignored.
pub(super) const ROW_BYTES_MAX: usize = 256 << 10;
/// Most fields in a row.
pub(super) const FIELDS_MAX: usize = 256;

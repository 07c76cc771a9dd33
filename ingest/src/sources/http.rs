//! An HTTP response as a web archive keeps it: the header is read, and what was done to the body for its way
//! through the network is undone.
//!
//! Crawlers that keep a body as it was meant leave the header's words as they were, or give them other names.
//! So what the header says was done is undone only where the body looks like it.

use std::io::{self, BufRead};

use super::content::read_start;
use super::stream::{Begun, Budget, Layer, Plain, cut_short, damaged, read_from_buffer, read_line};
use super::unpack::{GZIP_START, Gunzip, Unzstd, ZSTD_START, inflate};
use crate::media::has_picture_signature;

/// The body of a response; `None` if the answer was another than yes.
pub(super) fn body<'a>(
    mut from: Box<dyn Layer + 'a>,
    header: &mut Vec<u8>,
    budget: &Budget,
) -> io::Result<Option<Box<dyn Layer + 'a>>> {
    read_header(&mut from, header)?;
    let Some(response) = Response::parse(header)? else { return Ok(None) };
    let mut body = from;
    if response.chunked {
        let (start, begun) = begin(body)?;
        body = begun;
        if begins_as_chunk(&start) {
            body = Box::new(Plain(Chunked::new(body)));
        }
    }
    // The last one was applied last.
    for coding in response.codings.iter().rev() {
        let (start, begun) = begin(body)?;
        body = match coding {
            Coding::Gzip if start.starts_with(&GZIP_START) => {
                Box::new(Gunzip::new(begun, budget.clone()))
            }
            Coding::Zstd if start.starts_with(&ZSTD_START) => {
                Box::new(Unzstd::new(begun, budget.clone()))
            }
            // Bare deflate begins like anything.
            Coding::Deflate if !start.is_empty() && !has_picture_signature(&start) => {
                inflate(&start, begun, budget.clone())
            }
            Coding::Unknown if response.image && !has_picture_signature(&start) => {
                return Err(damaged("an image in a content encoding that is not read"));
            }
            _ => begun,
        };
    }
    Ok(Some(body))
}

/// Reads up to and with the empty line.
fn read_header(from: &mut dyn BufRead, header: &mut Vec<u8>) -> io::Result<()> {
    header.clear();
    loop {
        let before = header.len();
        read_line(from, header, HEADER_BYTES_MAX - before).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                damaged(format!("an HTTP header of more than {HEADER_BYTES_MAX} bytes"))
            }
            _ => error,
        })?;
        match &header[before..] {
            b"\r\n" | b"\n" => return Ok(()),
            [] => return Err(damaged("its HTTP header has no end")),
            _ => {}
        }
    }
}

/// What of a response matters to its body.
struct Response {
    chunked: bool,
    codings: Vec<Coding>,
    image: bool,
}

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Zstd,
    Unknown,
}

impl Response {
    fn parse(header: &mut Vec<u8>) -> io::Result<Option<Response>> {
        // Some crawlers write down that they spoke a later version; the lines are the same.
        if header.starts_with(b"HTTP/2") || header.starts_with(b"HTTP/3") {
            let version = header.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
            header.splice(..version, *b"HTTP/1.1");
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = lenient().parse_response(&mut response, header);
        parsed.map_err(|error| damaged(format!("its HTTP header cannot be read: {error}")))?;
        if !matches!(response.code, Some(200..=299)) {
            return Ok(None);
        }
        Response::of_fields(response.headers).map(Some)
    }

    fn of_fields(fields: &[httparse::Header<'_>]) -> io::Result<Response> {
        let mut response = Response { chunked: false, codings: Vec::new(), image: false };
        for field in fields {
            let words = || {
                let value = str::from_utf8(field.value).unwrap_or_default();
                value.split(',').map(|word| word.trim().to_ascii_lowercase())
            };
            match &field.name.to_ascii_lowercase()[..] {
                "transfer-encoding" => response.chunked |= words().any(|word| word == "chunked"),
                "content-type" => response.image = words().any(|w| w.starts_with("image/")),
                "content-encoding" => response.codings.extend(words().filter_map(coding)),
                _ => {}
            }
        }
        if response.codings.len() > CODINGS_MAX {
            return Err(damaged(format!("more than {CODINGS_MAX} content encodings")));
        }
        Ok(response)
    }
}

fn coding(word: String) -> Option<Coding> {
    match &word[..] {
        "" | "identity" | "none" | "utf-8" => None,
        "gzip" | "x-gzip" => Some(Coding::Gzip),
        "deflate" => Some(Coding::Deflate),
        "zstd" => Some(Coding::Zstd),
        _ => Some(Coding::Unknown),
    }
}

/// Servers write what browsers read.
fn lenient() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(true);
    config
}

/// What a body begins with, and the whole body.
fn begin<'a>(mut body: Box<dyn Layer + 'a>) -> io::Result<(Vec<u8>, Box<dyn Layer + 'a>)> {
    let mut start = Vec::new();
    read_start(&mut body, &mut start)?;
    Ok((start.clone(), Box::new(Begun::new(start, body))))
}

fn begins_as_chunk(start: &[u8]) -> bool {
    let digits = start.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let after = start[digits..].iter().find(|byte| **byte != b' ');
    (1..=16).contains(&digits) && matches!(after, Some(b'\r' | b'\n' | b';'))
}

/// A body that was sent in chunks, put together again.
struct Chunked<'a> {
    from: Box<dyn Layer + 'a>,
    line: Vec<u8>,
    left: u64,
    begun: bool,
    ended: bool,
}

impl<'a> Chunked<'a> {
    fn new(from: Box<dyn Layer + 'a>) -> Chunked<'a> {
        Chunked { from, line: Vec::new(), left: 0, begun: false, ended: false }
    }

    /// Reads how long the next chunk is.
    fn next_chunk(&mut self) -> io::Result<()> {
        self.line.clear();
        if self.begun {
            read_line(&mut self.from, &mut self.line, CHUNK_LINE_BYTES_MAX)?;
            if !matches!(&self.line[..], b"\r\n" | b"\n" | b"") {
                return Err(damaged("a chunk of its body does not end where it should"));
            }
            self.line.clear();
        }
        self.begun = true;
        read_line(&mut self.from, &mut self.line, CHUNK_LINE_BYTES_MAX)?;
        let digits = self.line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let length = str::from_utf8(&self.line[..digits]).ok();
        let length = length.and_then(|text| u64::from_str_radix(text, 16).ok());
        match length {
            Some(length) => self.left = length,
            // What was received is whole as far as it goes, whoever forgot the last chunk.
            None if self.line.is_empty() => {}
            None => return Err(damaged("a chunk of its body has no length")),
        }
        // Fields that follow the last chunk are about the body and not of it.
        self.ended = self.left == 0;
        Ok(())
    }
}

impl BufRead for Chunked<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 && !self.ended {
            self.next_chunk()?;
        }
        if self.ended {
            return Ok(&[]);
        }
        let bytes = self.from.fill_buf()?;
        if bytes.is_empty() {
            return Err(cut_short());
        }
        Ok(&bytes[..bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, length: usize) {
        self.left -= length as u64;
        self.from.consume(length);
    }
}

read_from_buffer!(Chunked<'_>);

/// The longest header of a response.
const HEADER_BYTES_MAX: usize = 256 << 10;
/// Fields in a header, at most.
const FIELDS_MAX: usize = 256;
/// Content encodings on top of each other; more than one is rare.
const CODINGS_MAX: usize = 3;
/// A length in hex and what may be said about a chunk.
const CHUNK_LINE_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn response(header: &str, body: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let response = [header.as_bytes(), b"\r\n\r\n", body].concat();
        let mut layer = Plain(&response[..]);
        let from: Box<dyn Layer> = Box::new(Plain(&mut layer));
        let Some(mut body) = super::body(from, &mut Vec::new(), &Budget::default())? else {
            return Ok(None);
        };
        let mut all = Vec::new();
        body.read_to_end(&mut all)?;
        Ok(Some(all))
    }

    fn chunks(body: &[u8], length: usize) -> Vec<u8> {
        let mut chunks = Vec::new();
        for chunk in body.chunks(length) {
            write!(chunks, "{:x};ext=1\r\n", chunk.len()).unwrap();
            chunks.extend_from_slice(chunk);
            chunks.extend_from_slice(b"\r\n");
        }
        chunks.extend_from_slice(b"0\r\nTrailer: yes\r\n\r\n");
        chunks
    }

    #[test]
    fn what_was_done_to_a_body_is_undone_and_only_that() {
        let body: Vec<u8> = (0..30_000u32).flat_map(u32::to_be_bytes).collect();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&body).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&body).unwrap();
        let zlib = zlib.finish().unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(&body).unwrap();
        let bare = bare.finish().unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(
            &body[..],
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        for (fields, sent) in [
            ("", body.clone()),
            ("X-Crawl-Content-Encoding: gzip", body.clone()),
            ("Content-Encoding: gzip", body.clone()),
            ("Transfer-Encoding: chunked", body.clone()),
            ("transfer-encoding : Chunked", chunks(&body, 7000)),
            ("Content-Encoding: gzip", gzip.clone()),
            ("Content-Encoding: x-gzip\r\nTransfer-Encoding: chunked", chunks(&gzip, 11)),
            ("Content-Encoding: deflate", zlib.clone()),
            ("Content-Encoding: deflate", bare),
            ("Content-Encoding: zstd", zstd),
            ("Content-Encoding: identity, deflate", zlib),
            ("Content-Encoding: br\r\nContent-Type: text/html", body.clone()),
            ("Broken (field: x\r\nContent-Encoding: gzip", gzip.clone()),
        ] {
            for status in ["HTTP/1.1 200 OK", "HTTP/1.0  206", "HTTP/2 200"] {
                let header = [status, fields].join(if fields.is_empty() { "" } else { "\r\n" });
                let undone = response(&header, &sent).unwrap().unwrap();
                assert!(undone == body, "{header}");
            }
        }
        assert!(response("HTTP/1.1 200 OK\nContent-Length: 3", b"abc").is_ok());
    }

    #[test]
    fn an_answer_that_is_no_yes_has_no_body() {
        for status in ["HTTP/1.1 404 Not Found", "HTTP/1.1 301 Moved", "HTTP/2 304"] {
            assert_eq!(response(status, b"body").unwrap(), None, "{status}");
        }
    }

    #[test]
    fn what_cannot_be_undone_is_an_error() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked";
        let many = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(300));
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(HEADER_BYTES_MAX));
        let brotli = "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Type: image/png";
        let often = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {}gzip", "gzip, ".repeat(9));
        for (header, body) in [
            (chunked, &b"5\r\nab"[..]),
            (chunked, b"2\r\nabcd\r\n0\r\n\r\n"),
            (chunked, b"2\r\nab\r\nno length\r\n"),
            (chunked, b"ffffffffffffffff\r\nab"),
            ("not HTTP", b""),
            (&many, b""),
            (&long, b""),
            (brotli, b"whatever"),
            (&often, b""),
        ] {
            assert!(response(header, body).is_err(), "{}", &header[..header.len().min(80)]);
        }
        let mut cut = Plain(&b"HTTP/1.1 200 OK\r\nA: b\r\n"[..]);
        let from: Box<dyn Layer> = Box::new(Plain(&mut cut));
        assert!(super::body(from, &mut Vec::new(), &Budget::default()).is_err());
        let missing_last = [&b"2\r\nab\r\n"[..], b""].concat();
        assert_eq!(response(chunked, &missing_last).unwrap().unwrap(), b"ab");
    }
}

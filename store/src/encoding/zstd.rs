//! Packing by Zstandard: text, drawings, raw pictures and sounds.
//!
//! What is compressed already (PNG, WebP, MP4, zip, woff2) gets no smaller: it is told by compressing a sample
//! quickly, so that no time is wasted on the rest.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};

use zstd::stream::{read, write};

use super::exact::{is_of_place, of_place, unmarked};
use super::{StreamError, Streamed, saves_enough};

/// The work packed, unless a sample says that it is not worth it.
pub(super) fn pack(work: &[u8]) -> Option<Vec<u8>> {
    if !seems_worth_it(work) {
        return None;
    }
    let mut encoder = encoder(Vec::new(), LEVEL).ok()?;
    encoder.set_pledged_src_size(Some(work.len() as u64)).ok()?;
    encoder.write_all(work).ok()?;
    encoder.finish().ok()
}

/// Unpacks as it is read, with a window of bounded size.
pub(super) fn unpack<R: Read>(stored: R) -> io::Result<read::Decoder<'static, BufReader<R>>> {
    let mut decoder = read::Decoder::new(stored)?;
    decoder.window_log_max(WINDOW_LOG)?;
    Ok(decoder)
}

/// As [`super::pack_stream`].
pub(super) fn pack_stream(
    work: &mut dyn Read,
    out: &mut dyn Write,
) -> Result<Option<Streamed>, StreamError> {
    let mut piece = Vec::new();
    work.take(HEAD_BYTES).read_to_end(&mut piece).map_err(StreamError::Work)?;
    if !seems_worth_it(&piece) {
        return Ok(None);
    }
    let Ok(mut encoder) = Checked::new(out).and_then(|out| encoder(out, STREAM_LEVEL)) else {
        return Ok(None);
    };
    let mut work_bytes = 0;
    while !piece.is_empty() {
        work_bytes += piece.len() as u64;
        encoder.get_mut().check.get_mut().awaited.extend(&piece);
        if let Err(error) = encoder.write_all(&piece) {
            return none_unless_of_place(error);
        }
        piece.clear();
        work.take(PIECE_BYTES).read_to_end(&mut piece).map_err(StreamError::Work)?;
    }
    let stored_bytes = match encoder.finish().and_then(Checked::finish) {
        Ok(stored_bytes) => stored_bytes,
        Err(error) => return none_unless_of_place(error),
    };
    let streamed = Streamed { work_bytes, stored_bytes };
    Ok(Some(streamed).filter(|_| saves_enough(stored_bytes, work_bytes)))
}

/// If the output failed, that is told; if the codec did, the work stays as it was.
fn none_unless_of_place(error: io::Error) -> Result<Option<Streamed>, StreamError> {
    if is_of_place(&error) { Err(StreamError::Output(unmarked(error))) } else { Ok(None) }
}

/// Where the encoder writes: packed bytes are unpacked at once and compared, then handed on. What the work has and
/// the encoder still holds back waits here: a block or two.
struct Checked<'a> {
    check: write::Decoder<'static, Awaited>,
    out: &'a mut dyn Write,
    written: u64,
}

impl<'a> Checked<'a> {
    fn new(out: &'a mut dyn Write) -> io::Result<Checked<'a>> {
        let mut check = write::Decoder::new(Awaited { awaited: VecDeque::new() })?;
        check.window_log_max(WINDOW_LOG)?;
        Ok(Checked { check, out, written: 0 })
    }

    /// How many bytes were written, if the whole work came out again.
    fn finish(mut self) -> io::Result<u64> {
        self.check.do_finish()?;
        if !self.check.get_ref().awaited.is_empty() {
            return Err(differs());
        }
        self.out.flush().map_err(of_place)?;
        Ok(self.written)
    }
}

impl Write for Checked<'_> {
    fn write(&mut self, packed: &[u8]) -> io::Result<usize> {
        self.check.write_all(packed)?;
        self.out.write_all(packed).map_err(of_place)?;
        self.written += packed.len() as u64;
        Ok(packed.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes what comes out, which must be what went in.
struct Awaited {
    awaited: VecDeque<u8>,
}

impl Write for Awaited {
    fn write(&mut self, unpacked: &[u8]) -> io::Result<usize> {
        if unpacked.len() > self.awaited.len() {
            return Err(differs());
        }
        if self.awaited.drain(..unpacked.len()).ne(unpacked.iter().copied()) {
            return Err(differs());
        }
        Ok(unpacked.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn differs() -> io::Error {
    io::Error::other("what comes out is not what went in")
}

fn encoder<W: Write>(out: W, level: i32) -> io::Result<write::Encoder<'static, W>> {
    let mut encoder = write::Encoder::new(out, level)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// Whether pieces from all over the bytes get smaller at the quickest level.
fn seems_worth_it(bytes: &[u8]) -> bool {
    let stride = (bytes.len() / SAMPLE_PIECES).max(SAMPLE_PIECE_BYTES);
    let pieces = bytes.chunks(stride).map(|part| &part[..part.len().min(SAMPLE_PIECE_BYTES)]);
    let (mut before, mut after) = (0, 0);
    for piece in pieces {
        let Ok(packed) = zstd::bulk::compress(piece, SAMPLE_LEVEL) else { return false };
        before += piece.len();
        after += packed.len();
    }
    before.saturating_sub(after).saturating_mul(100) > before.saturating_mul(SAMPLE_SAVED_PERCENT)
}

/// How a frame begins (RFC 8878 section 3.1.1).
pub(super) const START: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
const LEVEL: i32 = 19;
/// Works that are streamed are long: level 19 would take half an hour for a gigabyte.
const STREAM_LEVEL: i32 = 12;
/// 8 MiB, which is what level 19 takes of its own accord; whoever unpacks needs as much memory.
const WINDOW_LOG: u32 = 23;
const SAMPLE_LEVEL: i32 = 1;
const SAMPLE_PIECES: usize = 8;
const SAMPLE_PIECE_BYTES: usize = 32 << 10;
/// Less than what is asked of the whole, as level 19 does better than level 1.
const SAMPLE_SAVED_PERCENT: usize = 1;
/// The sample of a stream is taken from its beginning.
const HEAD_BYTES: u64 = 1 << 20;
const PIECE_BYTES: u64 = 128 << 10;

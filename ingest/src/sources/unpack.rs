//! gzip and Zstandard, undone as a stream, one member or frame after the other.

use std::io::{self, BufRead, Read};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::stream::{
    Budget, Layer, Plain, Unpacked, contained, cut_short, damaged, read_from_buffer,
};

/// What gzip packed: members, one after the other. What follows them and is no member is passed over, as
/// gzip does.
pub(super) struct Gunzip<'a> {
    members: GzDecoder<Slot<'a>>,
    budget: Budget,
    output: Output,
}

impl<'a> Gunzip<'a> {
    pub(super) fn new(from: Box<dyn Layer + 'a>, budget: Budget) -> Gunzip<'a> {
        let members = GzDecoder::new(Slot(Some(from)));
        Gunzip { members, budget, output: Output::new() }
    }

    fn refill(&mut self) -> io::Result<()> {
        loop {
            match contained(|| self.members.read(&mut self.output.buffer)) {
                Ok(0) => {
                    if self.members.get_mut().fill_buf()?.first() != Some(&GZIP_START[0]) {
                        self.output.state = State::Ended;
                        return Ok(());
                    }
                    self.next_member();
                }
                Ok(length) => {
                    self.budget.unpacked(length)?;
                    self.output.filled(length);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(cut_short());
                }
                Err(error) => return Err(damaged(format!("gzip: {error}"))),
            }
        }
    }

    fn next_member(&mut self) {
        let from = self.members.get_mut().0.take();
        self.members.reset(Slot(from));
    }
}

impl BufRead for Gunzip<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.output.wants_more()? {
            let refilled = self.refill();
            self.output.keep_failure(refilled)?;
        }
        Ok(self.output.bytes())
    }

    fn consume(&mut self, length: usize) {
        self.output.at += length;
    }
}

impl Layer for Gunzip<'_> {
    /// Goes on where a member seems to begin: web archives have one for each record. Whether one does is told
    /// by reading it.
    fn recover(&mut self) -> bool {
        self.output.at = self.output.end;
        let from = self.members.get_mut();
        loop {
            let Ok(bytes) = from.fill_buf() else { return false };
            if bytes.is_empty() {
                return false;
            }
            // At the end of a buffer, what there is of a header has to do.
            let begins = |at: usize| {
                let seen = &bytes[at..bytes.len().min(at + GZIP_START.len())];
                GZIP_START.starts_with(seen)
                    && bytes.get(at + 3).is_none_or(|flags| flags & GZIP_FLAGS_UNKNOWN == 0)
            };
            match (0..bytes.len()).find(|at| bytes[*at] == GZIP_START[0] && begins(*at)) {
                Some(at) => {
                    from.consume(at);
                    break;
                }
                None => {
                    let length = bytes.len();
                    from.consume(length);
                }
            }
        }
        self.next_member();
        self.output.state = State::Open;
        true
    }
}

/// What Zstandard packed: frames, one after the other.
pub(super) struct Unzstd<'a> {
    from: Box<dyn Layer + 'a>,
    frames: FrameDecoder,
    in_frame: bool,
    budget: Budget,
    output: Output,
}

impl<'a> Unzstd<'a> {
    pub(super) fn new(from: Box<dyn Layer + 'a>, budget: Budget) -> Unzstd<'a> {
        let mut frames = FrameDecoder::new();
        frames.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        Unzstd { from, frames, in_frame: false, budget, output: Output::new() }
    }

    fn refill(&mut self) -> io::Result<()> {
        loop {
            if !self.in_frame {
                if self.from.fill_buf()?.is_empty() {
                    self.output.state = State::Ended;
                    return Ok(());
                }
                let Unzstd { from, frames, .. } = self;
                match contained(|| Ok(frames.reset(from)))? {
                    Ok(()) => self.in_frame = true,
                    Err(FrameDecoderError::ReadFrameHeaderError(
                        ReadFrameHeaderError::SkipFrame { length, .. },
                    )) => {
                        let length = u64::from(length);
                        let skipped =
                            io::copy(&mut (&mut self.from).take(length), &mut io::sink())?;
                        if skipped < length {
                            return Err(cut_short());
                        }
                        continue;
                    }
                    Err(error) => return Err(zstd_error(&mut self.from, &error)),
                }
            }
            let Unzstd { from, frames, output, .. } = self;
            let read = contained(|| {
                while frames.can_collect() == 0 && !frames.is_finished() {
                    let one = ruzstd::decoding::BlockDecodingStrategy::UptoBlocks(1);
                    if let Err(error) = frames.decode_blocks(&mut *from, one) {
                        return Ok(Err(error));
                    }
                }
                frames.read(&mut output.buffer).map(Ok)
            })?;
            match read {
                Ok(0) => {
                    let said = self.frames.get_checksum_from_data();
                    if said.is_some() && said != self.frames.get_calculated_checksum() {
                        return Err(damaged("zstd: the checksum is not that of the content"));
                    }
                    self.in_frame = false;
                }
                Ok(length) => {
                    self.budget.unpacked(length)?;
                    self.output.filled(length);
                    return Ok(());
                }
                Err(error) => return Err(zstd_error(&mut self.from, &error)),
            }
        }
    }
}

impl BufRead for Unzstd<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.output.wants_more()? {
            let refilled = self.refill();
            self.output.keep_failure(refilled)?;
        }
        Ok(self.output.bytes())
    }

    fn consume(&mut self, length: usize) {
        self.output.at += length;
    }
}

impl Layer for Unzstd<'_> {}

/// What is called `deflate` in HTTP: zlib as it should be, or bare as some servers send it.
pub(super) fn inflate<'a>(
    start: &[u8],
    from: Box<dyn Layer + 'a>,
    budget: Budget,
) -> Box<dyn Layer + 'a> {
    let zlib = matches!(start, [cmf, flags, ..] if cmf & 0x0F == 8
        && (u16::from(*cmf) << 8 | u16::from(*flags)) % 31 == 0);
    let unpacked: Box<dyn Read + 'a> =
        if zlib { Box::new(ZlibDecoder::new(from)) } else { Box::new(DeflateDecoder::new(from)) };
    Box::new(Plain(io::BufReader::with_capacity(OUTPUT_BYTES, Unpacked { from: unpacked, budget })))
}

/// Errors of the decoder quote its insides, which help nobody.
fn zstd_error(from: &mut dyn BufRead, error: &FrameDecoderError) -> io::Error {
    match error {
        FrameDecoderError::WindowSizeTooBig { .. } => {
            damaged(format!("zstd: its window is larger than {ZSTD_WINDOW_BYTES_MAX} bytes"))
        }
        FrameDecoderError::DictNotProvided { .. } => damaged("zstd: it needs a dictionary"),
        _ => match from.fill_buf() {
            Ok([]) => cut_short(),
            Ok(_) => damaged("zstd: it is damaged"),
            Err(error) => error,
        },
    }
}

/// What was unpacked and not read yet.
struct Output {
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    state: State,
}

enum State {
    Open,
    Ended,
    /// For this reason, which is given to whoever reads on.
    Failed(String),
}

impl Output {
    fn new() -> Output {
        Output { buffer: vec![0; OUTPUT_BYTES], at: 0, end: 0, state: State::Open }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.at..self.end]
    }

    fn wants_more(&self) -> io::Result<bool> {
        if self.at < self.end {
            return Ok(false);
        }
        match &self.state {
            State::Open => Ok(true),
            State::Ended => Ok(false),
            State::Failed(reason) => Err(damaged(reason.clone())),
        }
    }

    fn filled(&mut self, length: usize) {
        (self.at, self.end) = (0, length);
    }

    fn keep_failure(&mut self, refilled: io::Result<()>) -> io::Result<()> {
        if let Err(error) = &refilled {
            (self.at, self.end) = (0, 0);
            self.state = State::Failed(error.to_string());
        }
        refilled
    }
}

/// What a decoder reads from, so that it can be given to the next one.
struct Slot<'a>(Option<Box<dyn Layer + 'a>>);

impl BufRead for Slot<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.as_mut().map_or(Ok(&[]), |from| from.fill_buf())
    }

    fn consume(&mut self, length: usize) {
        if let Some(from) = &mut self.0 {
            from.consume(length);
        }
    }
}

read_from_buffer!(Gunzip<'_>, Unzstd<'_>, Slot<'_>);

/// How a member of gzip begins: its magic, and deflate.
pub(super) const GZIP_START: [u8; 3] = [0x1F, 0x8B, 8];
/// Flags that no member has.
const GZIP_FLAGS_UNKNOWN: u8 = 0xE0;
/// How a frame of Zstandard begins.
pub(super) const ZSTD_START: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// The largest window that a frame may ask for; what `zstd --ultra -22` makes needs no more.
pub const ZSTD_WINDOW_BYTES_MAX: u64 = 128 << 20;
const OUTPUT_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn read(mut layer: impl Layer) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        layer.read_to_end(&mut all)?;
        Ok(all)
    }

    fn gunzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
        read(Gunzip::new(Box::new(Plain(bytes)), generous()))
    }

    fn unzstd(bytes: &[u8]) -> io::Result<Vec<u8>> {
        read(Unzstd::new(Box::new(Plain(bytes)), generous()))
    }

    fn generous() -> Budget {
        let budget = Budget::default();
        budget.read(1 << 30);
        budget
    }

    #[test]
    fn members_and_frames_follow_each_other_and_what_is_cut_short_is_an_error() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|i| i.wrapping_mul(i).to_le_bytes()).collect();
        let zstd = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
        let gz = [gzip(&text), gzip(b""), gzip(b"end")].concat();
        let zst = [&zstd(&text)[..], b"\x50\x2A\x4D\x18\x03\0\0\0abc", &zstd(b""), &zstd(b"end")]
            .concat();
        let all = [&text[..], b"end"].concat();
        assert!(gunzip(&gz).unwrap() == all);
        assert!(unzstd(&zst).unwrap() == all);
        assert!(gunzip(&[&gz[..], &[0; 512]].concat()).unwrap() == all, "gzip pads as well");
        for end in (1..gzip(&text).len()).step_by(997) {
            assert!(gunzip(&gz[..end]).is_err());
        }
        for end in (1..zstd(&text).len()).step_by(997) {
            assert!(unzstd(&zst[..end]).is_err());
        }
    }

    #[test]
    fn any_damaged_byte_is_an_error_or_makes_no_difference() {
        let text =
            b"a text that is short enough to be damaged at each of its bytes, a text that is short";
        for packed in [gzip(text), compress_to_vec(&text[..], CompressionLevel::Fastest)] {
            for at in 0..packed.len() {
                let mut damaged = packed.clone();
                damaged[at] ^= 0x10;
                let unpacked = if packed[0] == 0x1F { gunzip(&damaged) } else { unzstd(&damaged) };
                assert!(unpacked.is_err() || unpacked.unwrap() == text, "byte {at}");
            }
        }
    }

    #[test]
    fn a_damaged_member_costs_itself() {
        let mut packed = [gzip(&vec![7; 1000]), gzip(b"second"), gzip(b"third")].concat();
        packed[15] ^= 0xFF;
        let mut members = Gunzip::new(Box::new(Plain(&packed[..])), generous());
        assert!(members.read_to_end(&mut Vec::new()).is_err());
        assert!(members.fill_buf().is_err(), "it stays damaged until somebody goes on");
        assert!(members.recover());
        let mut rest = Vec::new();
        members.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"secondthird");
        assert!(!members.recover());
    }

    #[test]
    fn what_unpacks_without_end_is_stopped() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        io::copy(&mut io::repeat(0).take(UNPACKED_BYTES_FREE + (600 << 20)), &mut bomb).unwrap();
        let bomb = bomb.finish().unwrap();
        let layer = Gunzip::new(Box::new(Plain(&bomb[..])), Budget::default());
        let mut layer = io::BufReader::new(layer);
        let error = io::copy(&mut layer, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("more than 200 times"), "{error}");
    }

    use crate::sources::UNPACKED_BYTES_FREE;
}

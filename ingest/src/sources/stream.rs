//! Bytes on their way through the layers of an archive: what each layer offers the one above, what it may
//! cost, and who has heard of its end.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use timemark_verify::ContentId;

use super::Progress;

/// The bytes of a layer.
pub(super) trait Layer: BufRead {
    /// After an error or an early end: goes on at the next place where the layer can be read again, if
    /// there is one. What lies between is lost.
    fn recover(&mut self) -> bool {
        false
    }
}

/// The bytes that a reader of a format takes apart. It remembers that it failed: whoever got the error has
/// told it, and the others keep silent.
pub(super) struct Stream<'a> {
    layer: Box<dyn Layer + 'a>,
    /// How many bytes were read.
    pub(super) offset: u64,
    /// No more can be had.
    pub(super) failed: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(layer: Box<dyn Layer + 'a>) -> Stream<'a> {
        Stream { layer, offset: 0, failed: false }
    }

    /// The next `length` bytes. Fewer are an error.
    pub(super) fn block(&mut self, length: u64) -> Block<'_, 'a> {
        Block { stream: self, left: length }
    }

    /// Reads a line, with its end, onto `line`; without an end where the stream ends. More than `max` bytes
    /// are an error.
    pub(super) fn line(&mut self, line: &mut Vec<u8>, max: usize) -> io::Result<()> {
        read_line(self, line, max)
    }

    /// Fills the buffer; `false` if the stream ends before the first byte.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if self.fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.block(buffer.len() as u64).read_exact(buffer)?;
        Ok(true)
    }

    /// Goes on behind the damage, if that is possible.
    pub(super) fn recover(&mut self) -> bool {
        let recovered = self.layer.recover();
        self.failed = !recovered;
        recovered
    }
}

impl BufRead for Stream<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.failed {
            return Err(io::Error::other("what it lies in is damaged"));
        }
        match self.layer.fill_buf() {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    fn consume(&mut self, length: usize) {
        self.offset += length as u64;
        self.layer.consume(length);
    }
}

/// A stretch of a stream.
pub(super) struct Block<'s, 'a> {
    stream: &'s mut Stream<'a>,
    left: u64,
}

impl Block<'_, '_> {
    /// Passes over what is left, unless an error was met and told.
    pub(super) fn skip_unless_failed(&mut self) -> io::Result<()> {
        if self.stream.failed { Ok(()) } else { self.skip() }
    }

    /// Passes over what is left.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        loop {
            match self.fill_buf()?.len() {
                0 => return Ok(()),
                length => self.consume(length),
            }
        }
    }
}

impl BufRead for Block<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        if self.stream.fill_buf()?.is_empty() {
            self.stream.failed = true;
            return Err(cut_short());
        }
        let bytes = self.stream.fill_buf()?;
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        Ok(&bytes[..bytes.len().min(left)])
    }

    fn consume(&mut self, length: usize) {
        self.left -= length as u64;
        self.stream.consume(length);
    }
}

/// What was read ahead, and what follows it.
pub(super) struct Begun<'a> {
    start: Vec<u8>,
    at: usize,
    rest: Box<dyn Layer + 'a>,
}

impl<'a> Begun<'a> {
    pub(super) fn new(start: Vec<u8>, rest: Box<dyn Layer + 'a>) -> Begun<'a> {
        Begun { start, at: 0, rest }
    }
}

impl BufRead for Begun<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at < self.start.len() { Ok(&self.start[self.at..]) } else { self.rest.fill_buf() }
    }

    fn consume(&mut self, length: usize) {
        if self.at < self.start.len() { self.at += length } else { self.rest.consume(length) }
    }
}

impl Layer for Begun<'_> {
    fn recover(&mut self) -> bool {
        self.at = self.start.len();
        self.rest.recover()
    }
}

/// A layer without a way past its damage.
pub(super) struct Plain<R>(pub(super) R);

impl<R: BufRead> BufRead for Plain<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.0.consume(length);
    }
}

impl<R: BufRead> Layer for Plain<R> {}

/// Takes the digest of all that is read through it.
pub(super) struct Tee<'a> {
    from: &'a mut dyn BufRead,
    sha256: Sha256,
    /// Whether somebody was given an error, and has told it.
    pub(super) failed: bool,
}

impl<'a> Tee<'a> {
    /// `start` was read already and will not come again.
    pub(super) fn new(start: &[u8], from: &'a mut dyn BufRead) -> Tee<'a> {
        Tee { from, sha256: Sha256::new_with_prefix(start), failed: false }
    }

    /// The digest of everything, whatever of it was not asked for.
    pub(super) fn finish(mut self) -> io::Result<ContentId> {
        loop {
            match self.fill_buf()?.len() {
                0 => return Ok(ContentId::from_sha256(self.sha256.finalize().into())),
                length => self.consume(length),
            }
        }
    }
}

impl BufRead for Tee<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.from.fill_buf() {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    fn consume(&mut self, length: usize) {
        // A buffer that was filled is given again, without being read again.
        if let Ok(bytes) = self.from.fill_buf() {
            self.sha256.update(&bytes[..length.min(bytes.len())]);
        }
        self.from.consume(length);
    }
}

/// What may be unpacked from one file on disk or one stream, on all levels together.
#[derive(Clone, Default)]
pub(super) struct Budget(Rc<Counts>);

#[derive(Default)]
struct Counts {
    read: Cell<u64>,
    unpacked: Cell<u64>,
}

impl Budget {
    /// Bytes of the file itself were read.
    pub(super) fn read(&self, length: u64) {
        self.0.read.set(self.0.read.get().saturating_add(length));
    }

    /// Bytes were unpacked. An error if they are more than there may be.
    pub(super) fn unpacked(&self, length: usize) -> io::Result<()> {
        self.0.unpacked.set(self.0.unpacked.get().saturating_add(length as u64));
        if self.is_spent() {
            return Err(io::Error::other(format!(
                "unpacked, it is more than {UNPACKED_RATIO_MAX} times as long"
            )));
        }
        Ok(())
    }

    pub(super) fn is_spent(&self) -> bool {
        let earned = self.0.read.get().saturating_mul(UNPACKED_RATIO_MAX);
        self.0.unpacked.get() > earned.saturating_add(UNPACKED_BYTES_FREE)
    }
}

/// Bytes of the file itself, counted.
pub(super) struct Counted<R> {
    pub(super) from: R,
    pub(super) budget: Budget,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = retried(|| self.from.read(buffer))?;
        self.budget.read(length as u64);
        Ok(length)
    }
}

/// Bytes that a decoder unpacks, counted. It may panic: that is an error of what it reads.
pub(super) struct Unpacked<R> {
    pub(super) from: R,
    pub(super) budget: Budget,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = contained(|| self.from.read(buffer))?;
        self.budget.unpacked(length)?;
        Ok(length)
    }
}

/// Runs a decoder so that a panic in it costs one archive, not the run over all the others.
pub(super) fn contained<T>(decode: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // Unwind safety: a decoder that panicked is not asked again, as its layer has failed.
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(io::Error::other("the decoder failed")))
}

/// Reads a file at places of its own, beside whoever else reads it.
#[derive(Clone)]
pub(super) struct FileReader {
    file: Arc<File>,
    at: u64,
    /// How long the file was when it was opened; what is appended meanwhile is not read.
    pub(super) length: u64,
    progress: Progress,
}

impl FileReader {
    pub(super) fn new(file: File, length: u64, progress: Progress) -> FileReader {
        FileReader { file: Arc::new(file), at: 0, length, progress }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let length = retried(|| self.file.read_at(&mut buffer[..wanted], self.at))?;
        self.at += length as u64;
        self.progress.add(length as u64);
        Ok(length)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// Reads again after a signal, which is nothing that a reader of archives would understand.
fn retried(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads a line, with its end, onto `line`; without an end where there is no more. More than `max` bytes are
/// an error.
pub(super) fn read_line(from: &mut dyn BufRead, line: &mut Vec<u8>, max: usize) -> io::Result<()> {
    let before = line.len();
    loop {
        let bytes = from.fill_buf()?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |at| at + 1);
        if line.len() - before + length > max {
            return Err(damaged(format!("a line is longer than {max} bytes")));
        }
        line.extend_from_slice(&bytes[..length]);
        from.consume(length);
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

pub(super) fn damaged(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

pub(super) fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends in the middle")
}

/// `Read` by way of `BufRead`.
macro_rules! read_from_buffer {
    ($($type:ty),*) => {$(
        impl std::io::Read for $type {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let bytes = std::io::BufRead::fill_buf(self)?;
                let length = bytes.len().min(buffer.len());
                buffer[..length].copy_from_slice(&bytes[..length]);
                std::io::BufRead::consume(self, length);
                Ok(length)
            }
        }
    )*};
}
pub(super) use read_from_buffer;

read_from_buffer!(Stream<'_>, Block<'_, '_>, Begun<'_>, Tee<'_>);

impl<R: BufRead> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// What may be unpacked from any file, however short.
pub const UNPACKED_BYTES_FREE: u64 = 1 << 30;
/// Beyond that, how many times as much as was read may be unpacked. Blank scans reach about a thousand each; a
/// whole archive of real files stays below ten or so.
pub const UNPACKED_RATIO_MAX: u64 = 200;

//! Readers that tell damage from a place that cannot be read, and that give as many bytes as were promised.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// Marks what fails where the bytes lie (disk, network), so that it comes through a decoder as it is.
pub(super) struct Source<R>(pub R);

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(of_place)
    }
}

/// An error of a place, while it goes through a decoder.
#[derive(Debug)]
struct OfPlace(io::Error);

impl fmt::Display for OfPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for OfPlace {}

/// Marks an error. One that asks for another try is left alone, as decoders look at its kind.
pub(super) fn of_place(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Interrupted => error,
        kind => io::Error::new(kind, OfPlace(error)),
    }
}

/// The error of a place as it was, or what else a decoder says, as damage.
pub(super) fn unmarked(error: io::Error) -> io::Error {
    match error.downcast::<OfPlace>() {
        Ok(OfPlace(error)) => error,
        Err(error) if error.kind() == ErrorKind::Interrupted => error,
        Err(error) => io::Error::new(ErrorKind::InvalidData, error),
    }
}

/// Whether it is the error of a place, or else a decoder's.
pub(super) fn is_of_place(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<OfPlace>())
}

/// Gives exactly so many bytes: less or more is damage.
pub(super) struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Exactly<R> {
    pub(super) fn new(inner: R, length: u64) -> Exactly<R> {
        Exactly { inner, left: length }
    }
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return match self.inner.read(&mut [0]).map_err(unmarked)? {
                0 => Ok(0),
                _ => Err(damaged("longer than the work")),
            };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most]).map_err(unmarked)?;
        if read == 0 {
            return Err(damaged("shorter than the work"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// What is wrong with the stored bytes.
pub(super) fn damaged(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

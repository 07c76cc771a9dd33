//! Goes through an archive and what lies within it, level by level, within limits.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::mem;
use std::ops::ControlFlow;

use timemark_verify::Receipt;

use super::content::{Content, digest, read_start};
use super::stream::{Begun, Budget, Counted, FileReader, Layer, Plain, Stream, Tee};
use super::unpack::{GZIP_START, Gunzip, Unzstd, ZSTD_START};
use super::{FILE_BUFFER_BYTES, Met, SuspectName, tar, warc, zip};
use crate::media::{START_BYTES, has_picture_signature};

/// Archives that are opened, told by how they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    Tar,
    Warc,
    Gzip,
    Zstd,
}

impl Kind {
    /// Give it [`START_BYTES`], or everything if that is less.
    pub(super) fn of(start: &[u8]) -> Option<Kind> {
        match start {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Kind::Zip),
            _ if start.starts_with(&GZIP_START) => Some(Kind::Gzip),
            _ if start.starts_with(&ZSTD_START) => Some(Kind::Zstd),
            _ if start.starts_with(warc::START) => Some(Kind::Warc),
            _ if tar::begins(start) && !has_picture_signature(start) => Some(Kind::Tar),
            _ => None,
        }
    }
}

/// A way through one file or stream.
pub(super) struct Visit<'t> {
    take: &'t mut dyn FnMut(Met) -> ControlFlow<()>,
    pub(super) budget: Budget,
    /// Memory for the next beginning.
    spare: Vec<u8>,
}

impl<'t> Visit<'t> {
    pub(super) fn new(take: &'t mut dyn FnMut(Met) -> ControlFlow<()>) -> Visit<'t> {
        Visit { take, budget: Budget::default(), spare: Vec::new() }
    }

    /// Hands out what is within a file, which is an archive of this kind.
    pub(super) fn file(
        &mut self,
        kind: Kind,
        name: &SuspectName,
        file: FileReader,
    ) -> ControlFlow<()> {
        if kind == Kind::Zip {
            self.budget.read(file.length);
            return zip::visit(self, name, &|| BufReader::new(file.clone()), file.length, 1);
        }
        let file = Counted { from: file, budget: self.budget.clone() };
        let file = BufReader::with_capacity(FILE_BUFFER_BYTES, file);
        self.archive(kind, name, Box::new(Plain(file)), 1)
    }

    /// Hands out what is within a stream, and then the stream.
    pub(super) fn stream(&mut self, name: SuspectName, from: impl Read) -> ControlFlow<()> {
        let from = Counted { from, budget: self.budget.clone() };
        let mut from = BufReader::with_capacity(FILE_BUFFER_BYTES, from);
        self.member(name, &mut from, None, 0)
    }

    /// Hands out a member, which lies within `depth` archives; if it is an archive, what is within it first.
    /// `expected` is what is said of its length. A member that cannot be read is told.
    pub(super) fn member(
        &mut self,
        name: SuspectName,
        body: &mut dyn BufRead,
        expected: Option<u64>,
        depth: usize,
    ) -> ControlFlow<()> {
        let mut start = mem::take(&mut self.spare);
        start.clear();
        start.reserve(START_BYTES);
        if let Err(error) = read_start(body, &mut start) {
            return self.failed(name, &error);
        }
        if has_picture_signature(&start) {
            let content = Content::read(start, body, expected);
            return self.read(name, content);
        }
        if Receipt::is_receipt(&start) && name.extension() == Some(Receipt::FILE_EXTENSION) {
            return (self.take)(Met::Skipped(name));
        }
        let kind = Kind::of(&start);
        let content = match kind.filter(|_| depth < NESTING_MAX) {
            Some(kind) => {
                let mut tee = Tee::new(&start, body);
                let begun = Begun::new(start, Box::new(Plain(&mut tee)));
                self.archive(kind, &name, Box::new(begun), depth + 1)?;
                if tee.failed {
                    return ControlFlow::Continue(());
                }
                tee.finish()
            }
            None => {
                let id = digest(&start, body);
                self.spare = start;
                id
            }
        };
        let too_deep = kind.is_some() && depth >= NESTING_MAX && content.is_ok();
        let not_opened = too_deep.then(|| name.clone());
        self.read(name, content.map(Content::NoPicture))?;
        match not_opened {
            Some(name) => {
                let reason = format!("an archive within {NESTING_MAX} others is not opened");
                (self.take)(Met::Failed { name, reason })
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// Tells that a place cannot be read.
    pub(super) fn failed(&mut self, name: SuspectName, error: &io::Error) -> ControlFlow<()> {
        (self.take)(Met::Failed { name, reason: error.to_string() })
    }

    fn read(&mut self, name: SuspectName, content: io::Result<Content>) -> ControlFlow<()> {
        match content {
            Ok(content) => (self.take)(Met::Member { name, content }),
            Err(error) => self.failed(name, &error),
        }
    }

    /// Hands out what is within an archive, which is the `depth`th around it.
    fn archive(
        &mut self,
        kind: Kind,
        name: &SuspectName,
        from: Box<dyn Layer + '_>,
        depth: usize,
    ) -> ControlFlow<()> {
        match kind {
            Kind::Tar => tar::visit(self, name, Stream::new(from), depth),
            Kind::Warc => warc::visit(self, name, Stream::new(from), depth),
            Kind::Gzip => {
                let unpacked = Gunzip::new(from, self.budget.clone());
                self.unpacked(name, Box::new(unpacked), depth)
            }
            Kind::Zstd => {
                let unpacked = Unzstd::new(from, self.budget.clone());
                self.unpacked(name, Box::new(unpacked), depth)
            }
            Kind::Zip => self.zip_in_memory(name, from, depth),
        }
    }

    /// What was compressed is a tar, a WARC, or a single file.
    fn unpacked(
        &mut self,
        name: &SuspectName,
        mut from: Box<dyn Layer + '_>,
        depth: usize,
    ) -> ControlFlow<()> {
        let mut start = Vec::new();
        // What is damaged early on has a beginning all the same, and says again what is wrong.
        match read_start(&mut from, &mut start) {
            Err(error) if start.is_empty() => return self.failed(name.clone(), &error),
            _ => {}
        }
        let kind = Kind::of(&start);
        let mut begun = Begun::new(start, from);
        match kind {
            Some(Kind::Tar) => tar::visit(self, name, Stream::new(Box::new(begun)), depth),
            Some(Kind::Warc) => warc::visit(self, name, Stream::new(Box::new(begun)), depth),
            _ => self.member(name.unpacked(), &mut begun, None, depth),
        }
    }

    /// A zip is read from its end, which a stream does not have at hand.
    fn zip_in_memory(
        &mut self,
        name: &SuspectName,
        from: Box<dyn Layer + '_>,
        depth: usize,
    ) -> ControlFlow<()> {
        let mut bytes = Vec::new();
        if let Err(error) = from.take(ZIP_BYTES_IN_MEMORY_MAX + 1).read_to_end(&mut bytes) {
            return self.failed(name.clone(), &error);
        }
        if bytes.len() as u64 > ZIP_BYTES_IN_MEMORY_MAX {
            let reason = format!(
                "a zip of more than {ZIP_BYTES_IN_MEMORY_MAX} bytes can only be opened as a file"
            );
            return (self.take)(Met::Failed { name: name.clone(), reason });
        }
        zip::visit(self, name, &|| Cursor::new(&bytes[..]), bytes.len() as u64, depth)
    }
}

/// How many archives a member may lie in.
pub const NESTING_MAX: usize = 3;
/// The longest zip that is opened where it does not lie on disk.
pub const ZIP_BYTES_IN_MEMORY_MAX: u64 = 256 << 20;

//! The zip file: every part is read twice, once for its digests and once for its bytes.
//!
//! The manifest stands first and tells what follows, so that a reader checks a bundle as a stream.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};
use timemark_verify::{
    Entry, Manifest, ManifestFile, Profile, clash, end_of_archive, is_bundle_path, local_header,
};

/// A file of a bundle: where it lies, and how its bytes are had.
pub struct Part<'a> {
    path: String,
    open: Box<dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a>,
}

impl<'a> Part<'a> {
    /// A file of these bytes.
    pub fn bytes(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Part<'a> {
        let bytes: std::rc::Rc<[u8]> = bytes.into().into();
        let open = move || -> io::Result<Box<dyn Read>> {
            Ok(Box::new(io::Cursor::new(std::rc::Rc::clone(&bytes))))
        };
        Part { path: path.into(), open: Box::new(open) }
    }

    /// A file whose bytes are read each time that `open` is called. They must be the same each time.
    pub fn stream(
        path: impl Into<String>,
        open: impl Fn() -> io::Result<Box<dyn Read + 'a>> + 'a,
    ) -> Part<'a> {
        Part { path: path.into(), open: Box::new(open) }
    }
}

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A part has a path that means different things on different systems.
    #[error("{path:?} cannot be a path in a bundle")]
    Path {
        /// The path.
        path: String,
    },
    /// Two parts have one path.
    #[error("{path} stands twice in the bundle")]
    Twice {
        /// The path.
        path: String,
    },
    /// A part cannot be read.
    #[error("{path} of the bundle cannot be read")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A part was other bytes the second time.
    #[error("{path} of the bundle changed while it was read")]
    Changed {
        /// Its path.
        path: String,
    },
    /// A zip without extensions holds 4 GiB.
    #[error("the bundle would be longer than 4 GiB; leave works away or make several")]
    TooLong,
    /// More files than a zip without extensions holds.
    #[error("the bundle would have more than {} files; make several", Manifest::FILES_MAX)]
    TooMany,
    /// The manifest was not registered.
    #[error("the manifest cannot be registered")]
    Register(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file cannot be written.
    #[error("the bundle cannot be written")]
    Write(#[source] io::Error),
}

/// Writes a bundle of these parts, in this order. `register` is given the manifest and returns its receipt.
pub fn write<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    out: &mut dyn Write,
    profile: Profile,
    parts: &[Part],
    register: impl FnOnce(&str) -> Result<String, E>,
) -> Result<Manifest, WriteError> {
    if parts.len() > Manifest::FILES_MAX {
        return Err(WriteError::TooMany);
    }
    if let Some(part) = parts.iter().find(|part| !is_bundle_path(&part.path)) {
        return Err(WriteError::Path { path: part.path.clone() });
    }
    if let Some(path) = clash(parts.iter().map(|part| part.path.as_str())) {
        return Err(WriteError::Twice { path: path.to_owned() });
    }
    let facts = parts.iter().map(|part| part.copy(&mut io::sink()));
    let facts = facts.collect::<Result<Vec<_>, _>>()?;
    let files = facts.iter().map(|fact| fact.file.clone()).collect();
    let manifest = Manifest { profile, files };
    let text = manifest.to_string();
    // Everything that can be known to go wrong comes before what cannot be taken back.
    let per_file = |fact: &Fact| fact.file.length + 2 * (fact.file.path.len() as u64) + ENTRY_BYTES;
    let length: u64 = facts.iter().map(per_file).sum();
    if length + 2 * text.len() as u64 + MANIFEST_RECEIPT_BYTES > u32::MAX.into() {
        return Err(WriteError::TooLong);
    }
    if text.len() > Manifest::BYTES_MAX {
        return Err(WriteError::TooMany);
    }
    let receipt = register(&text).map_err(|error| WriteError::Register(error.into()))?;

    let own = [
        Part::bytes(Manifest::NAME, text),
        Part::bytes(Manifest::receipt_of(Manifest::NAME), receipt),
    ];
    let own_facts = own.iter().map(|part| part.copy(&mut io::sink()));
    let own_facts = own_facts.collect::<Result<Vec<_>, _>>()?;
    let all = own.iter().zip(&own_facts).chain(parts.iter().zip(&facts));
    let mut entries: Vec<Entry> = Vec::with_capacity(parts.len() + 2);
    let mut offset = 0u64;
    for (part, fact) in all {
        let too_long = |_| WriteError::TooLong;
        let entry = Entry {
            path: part.path.clone(),
            crc: fact.crc,
            length: u32::try_from(fact.file.length).map_err(too_long)?,
            offset: u32::try_from(offset).map_err(too_long)?,
        };
        let header = local_header(&entry);
        out.write_all(&header).map_err(WriteError::Write)?;
        if part.copy(out)? != *fact {
            return Err(WriteError::Changed { path: part.path.clone() });
        }
        offset += header.len() as u64 + fact.file.length;
        entries.push(entry);
    }
    let end = end_of_archive(&entries);
    if offset + end.len() as u64 > u32::MAX.into() {
        return Err(WriteError::TooLong);
    }
    out.write_all(&end).and_then(|()| out.flush()).map_err(WriteError::Write)?;
    Ok(manifest)
}

/// Header and directory entry of a file, without its name.
const ENTRY_BYTES: u64 = 30 + 46;
/// Room for the receipt of the manifest: the longest that there are.
const MANIFEST_RECEIPT_BYTES: u64 = 8 << 20;

#[derive(PartialEq)]
struct Fact {
    file: ManifestFile,
    crc: u32,
}

impl Part<'_> {
    /// Reads the part to its end, writes what it reads, and tells what that was.
    fn copy(&self, out: &mut dyn Write) -> Result<Fact, WriteError> {
        let failed = |source| WriteError::Read { path: self.path.clone(), source };
        let mut reader = (self.open)().map_err(failed)?;
        let (mut sha256, mut crc, mut length) = (Sha256::new(), crc32fast::Hasher::new(), 0);
        let mut buffer = vec![0; 128 << 10];
        loop {
            let bytes = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            sha256.update(bytes);
            crc.update(bytes);
            length += bytes.len() as u64;
            out.write_all(bytes).map_err(WriteError::Write)?;
        }
        let file =
            ManifestFile { path: self.path.clone(), sha256: sha256.finalize().into(), length };
        Ok(Fact { file, crc: crc.finalize() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::fmt::Error;

    use proptest::prelude::*;
    use timemark_verify::BundleReader;

    fn written(parts: &[Part]) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::new();
        write(&mut out, Profile::CnCourt, parts, |_| Ok::<_, Infallible>("receipt".to_owned()))?;
        Ok(out)
    }

    /// What a reader says that is given so many bytes at a time.
    fn read(bytes: &[u8], piece: usize) -> Result<timemark_verify::Bundle, &'static str> {
        let mut reader = BundleReader::default();
        for piece in bytes.chunks(piece) {
            reader.update(piece).map_err(|fault| fault.check)?;
        }
        reader.finish().map_err(|fault| fault.check)
    }

    #[test]
    fn a_reader_reads_what_is_written_in_pieces_of_any_length() {
        let parts = [
            Part::bytes("works/0001-山.jpg", *b"work"),
            Part::bytes("works/0001-山.jpg.timemark", *b"its receipt"),
            Part::bytes("empty", []),
        ];
        let bytes = written(&parts).unwrap();
        for piece in [1, 7, 64, usize::MAX] {
            let bundle = read(&bytes, piece).unwrap();
            assert_eq!(bundle.manifest.files.len(), 3);
            assert_eq!(bundle.bytes, bytes.len() as u64);
            let item = &bundle.items[0];
            assert_eq!(item.receipt, b"its receipt");
            assert_eq!(item.work, Some(timemark_verify::WorkDigests::of(b"work")));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let parts = [Part::bytes("a", *b"a work"), Part::bytes("a.timemark", *b"another")];
        let good = written(&parts).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // The receipt of the manifest is judged as a receipt; here it only has to be the same bytes.
            let check = read(&bad, 4096).err();
            assert!(check.is_some(), "bit {bit} of byte {}", bit / 8);
        }
    }

    #[test]
    fn whatever_is_cut_off_or_added_is_refused() {
        let good = written(&[Part::bytes("a.timemark", *b"a receipt")]).unwrap();
        for end in 0..good.len() {
            assert!(read(&good[..end], 4096).is_err(), "{end}");
        }
        for more in [&b"\0"[..], &good] {
            assert_eq!(read(&[&good, more].concat(), 4096).err(), Some("bundle.zip"));
        }
    }

    #[test]
    fn paths_that_mean_something_else_elsewhere_are_not_written() {
        for bad in
            ["", "/a", "a//b", "../a", "a/..", ".hidden", "a.", "C:\\a", "a\u{202E}b", " a", "a?"]
        {
            assert!(
                matches!(written(&[Part::bytes(bad, [])]), Err(WriteError::Path { .. })),
                "{bad}"
            );
        }
        let twice = [Part::bytes("a", []), Part::bytes("a", [])];
        assert!(matches!(written(&twice), Err(WriteError::Twice { .. })));
        for two in [["a", "A"], ["a", "a/b"], ["a/b", "a"]] {
            let parts = two.map(|path| Part::bytes(path, []));
            assert!(matches!(written(&parts), Err(WriteError::Twice { .. })), "{two:?}");
        }
        let own = [Part::bytes("Manifest.txt", [])];
        assert!(matches!(written(&own), Err(WriteError::Twice { .. })));
    }

    #[test]
    fn what_changes_between_the_readings_is_noticed() {
        let count = std::cell::Cell::new(0u8);
        let part = Part::stream("a", || {
            count.set(count.get() + 1);
            Ok(Box::new(io::Cursor::new([count.get()])))
        });
        assert!(matches!(written(&[part]), Err(WriteError::Changed { .. })));
    }

    #[test]
    fn a_manifest_that_nobody_registers_makes_no_bundle() {
        let written = write(&mut Vec::new(), Profile::CnCourt, &[], |_| Err(Error));
        assert!(matches!(written, Err(WriteError::Register(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..200) {
            let _ = read(&bytes, 50);
            let mut torn = written(&[Part::bytes("a.timemark", *b"a receipt")]).unwrap();
            torn.truncate(cut);
            torn.extend(bytes);
            prop_assert!(read(&torn, 50).is_err());
        }
    }
}

//! Where suspects come from: folders, archives, lists of paths and standard input, one after the other in a
//! steady order.
//!
//! Archives are streamed and never unpacked to disk. What a suspect is compared with is not known here.
//!
//! # What the limits hold
//!
//! * **Names** within archives are shown and never open anything.
//! * **Memory**: one picture of [`FILE_BYTES_MAX`](crate::media::FILE_BYTES_MAX) bytes and, a level of nesting
//!   each, one zip of [`ZIP_BYTES_IN_MEMORY_MAX`] and one window of
//!   [`ZSTD_WINDOW_BYTES_MAX`]; headers and names have limits of their own beside what reads them.
//! * **Work**: all that is unpacked from one file, on all levels together, is at most
//!   [`UNPACKED_BYTES_FREE`] and [`UNPACKED_RATIO_MAX`] times what was read of the file; archives lie in each
//!   other no deeper than [`NESTING_MAX`].
//! * **Damage** costs the member it is in, and the rest of its archive where no way leads past it. It is told
//!   once, by whoever came upon it.

mod archive;
mod content;
mod http;
mod list;
mod name;
mod stream;
mod tar;
mod unpack;
mod warc;
mod zip;

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use archive::{NESTING_MAX, ZIP_BYTES_IN_MEMORY_MAX};
pub use content::Content;
pub use name::{Captured, SuspectName};
pub use stream::{UNPACKED_BYTES_FREE, UNPACKED_RATIO_MAX};
pub use unpack::ZSTD_WINDOW_BYTES_MAX;

use crate::beneath::Beneath;
use crate::media::{FILE_BYTES_MAX, START_BYTES, has_picture_signature};
use crate::walk::{Sighting, WalkError, walk, walk_beneath};
use archive::{Kind, Visit};
use stream::{Budget, Counted, FileReader};

/// Where suspects come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, or all files below a folder; of archives what is within them as well.
    Path(PathBuf),
    /// The same, for a path in a folder into which others may write: nobody is led out of it, whatever they exchange meanwhile.
    Below {
        /// The folder.
        folder: Beneath,
        /// The path, which begins with that of the folder.
        path: PathBuf,
    },
    /// A file, which is called something else wherever it lies.
    Called {
        /// Where it lies.
        path: PathBuf,
        /// How it is called.
        name: String,
    },
    /// The paths that a file lists, each as if it was given itself: one a line, or each ended by a NUL.
    List(PathBuf),
    /// The paths that standard input lists.
    ListFromStdin,
    /// Standard input itself: an archive, or a single file.
    Stdin,
}

impl Source {
    /// How many bytes there are to be read, if that can be told; about so much is counted by [`Progress`] in the end.
    pub fn length(&self) -> Option<u64> {
        let sum = |sightings: &mut dyn Iterator<Item = Result<Sighting, _>>| {
            let files = sightings.filter_map(|sighting| match sighting {
                Ok(Sighting::File(found)) => found.path.symlink_metadata().ok(),
                _ => None,
            });
            files.fold(0, |sum: u64, metadata| sum.saturating_add(metadata.len()))
        };
        match self {
            Source::Path(path) => Some(sum(&mut walk(path))),
            Source::Below { folder, path } => {
                let found = walk_beneath(folder, path).filter_map(|sighting| match sighting {
                    Ok(Sighting::File(found)) => folder.length(&found.path).ok(),
                    _ => None,
                });
                Some(found.fold(0, u64::saturating_add))
            }
            Source::Called { path, .. } => path.metadata().ok().map(|metadata| metadata.len()),
            Source::List(_) | Source::ListFromStdin | Source::Stdin => None,
        }
    }
}

/// About how many bytes of the sources a visit has come past; what it reads twice, as it does of a zip, counts twice.
/// Copies count together.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// So many until now.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What a visit comes upon.
#[derive(Debug)]
pub enum Met {
    /// A file on disk.
    File(OpenFile),
    /// What lies within an archive, or came from standard input.
    Member {
        /// How it is called; several may be called the same.
        name: SuspectName,
        /// What is in it.
        content: Content,
    },
    /// A receipt or a Timemark archive, which is no suspect.
    Skipped(SuspectName),
    /// A place that cannot be read; the rest is.
    Failed {
        /// The file, member, archive or list.
        name: SuspectName,
        /// Why not.
        reason: String,
    },
}

/// A file on disk that was opened and begun, so that nobody has to open it again.
#[derive(Debug)]
pub struct OpenFile {
    /// Its path, beginning with the one that was asked for.
    pub path: PathBuf,
    file: File,
    start: Vec<u8>,
    length: u64,
}

/// Goes through a source in a steady order and hands out everything in it, until `take` breaks off.
///
/// A file that is an archive is handed out first, and then what is within it. Standard input is handed out
/// as a member after all that is within it, since its digest is known only then.
pub fn visit(
    source: &Source,
    progress: &Progress,
    take: &mut dyn FnMut(Met) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match source {
        Source::Path(path) => visit_path(path, progress, take),
        Source::Below { folder, path } => {
            let open = |path: &Path| OpenFile::of(path, folder.open(path)?);
            visit_all(walk_beneath(folder, path), &open, progress, take)
        }
        Source::Called { path, name } => {
            let open = OpenFile::open(path).map(|open| OpenFile { path: name.into(), ..open });
            visit_file(open, Path::new(name), progress, take)
        }
        Source::List(path) => match File::open(path) {
            Ok(file) => list::visit(path, file, progress, take),
            Err(error) => take(failed(path, &error)),
        },
        Source::ListFromStdin => {
            list::visit(Path::new(STDIN_NAME), io::stdin().lock(), progress, take)
        }
        Source::Stdin => visit_stream(Path::new(STDIN_NAME), io::stdin().lock(), take),
    }
}

/// Hands out what comes in a stream, as [`Source::Stdin`] does.
pub fn visit_stream(
    path: &Path,
    from: impl Read,
    take: &mut dyn FnMut(Met) -> ControlFlow<()>,
) -> ControlFlow<()> {
    Visit::new(take).stream(SuspectName::of_file(path), from)
}

fn visit_path(
    path: &Path,
    progress: &Progress,
    take: &mut dyn FnMut(Met) -> ControlFlow<()>,
) -> ControlFlow<()> {
    visit_all(walk(path), &OpenFile::open, progress, take)
}

fn visit_all(
    sightings: impl Iterator<Item = Result<Sighting, WalkError>>,
    open: &dyn Fn(&Path) -> io::Result<OpenFile>,
    progress: &Progress,
    take: &mut dyn FnMut(Met) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for sighting in sightings {
        match sighting {
            Ok(Sighting::File(found)) => {
                visit_file(open(&found.path), &found.path, progress, take)?;
            }
            Ok(Sighting::Receipt(path) | Sighting::Archive(path)) => {
                take(Met::Skipped(SuspectName::of_file(path)))?;
            }
            Err(error) => {
                let name = SuspectName::of_file(error.path);
                take(Met::Failed { name, reason: error.reason })?;
            }
        }
    }
    ControlFlow::Continue(())
}

fn visit_file(
    open: io::Result<OpenFile>,
    path: &Path,
    progress: &Progress,
    take: &mut dyn FnMut(Met) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let opened = open.and_then(|open| {
        // The file that was begun and no other, whatever bears its name by now; read beside whoever takes it.
        let archive = Kind::of(&open.start).map(|kind| open.file.try_clone().map(|f| (kind, f)));
        Ok((archive.transpose()?, open))
    });
    match opened {
        Err(error) => take(failed(path, &error)),
        Ok((None, open)) => {
            progress.add(open.length);
            take(Met::File(open))
        }
        Ok((Some((kind, file)), open)) => {
            let length = open.length;
            take(Met::File(open))?;
            let file = FileReader::new(file, length, progress.clone());
            Visit::new(take).file(kind, &SuspectName::of_file(path), file)
        }
    }
}

impl OpenFile {
    /// Reads it to where its end was when it was opened.
    pub fn read(self) -> io::Result<Content> {
        // What is appended meanwhile is not read, as in an archive.
        let rest = self.length.saturating_sub(self.start.len() as u64);
        let mut rest = Counted { from: (&self.file).take(rest), budget: Budget::default() };
        if has_picture_signature(&self.start) && self.length <= FILE_BYTES_MAX {
            let mut bytes = self.start;
            bytes.reserve_exact((self.length as usize + 1).saturating_sub(bytes.len()));
            rest.read_to_end(&mut bytes)?;
            return Ok(Content::Picture(bytes));
        }
        let mut rest = io::BufReader::with_capacity(FILE_BUFFER_BYTES, rest);
        Content::read(self.start, &mut rest, Some(self.length))
    }

    pub(crate) fn open(path: &Path) -> io::Result<OpenFile> {
        OpenFile::of(path, File::open(path)?)
    }

    fn of(path: &Path, file: File) -> io::Result<OpenFile> {
        let length = file.metadata()?.len();
        // In one piece: without room it would be asked for bit by bit.
        let mut start = Vec::with_capacity(START_BYTES);
        (&file).take(START_BYTES as u64).read_to_end(&mut start)?;
        Ok(OpenFile { path: path.to_owned(), file, start, length })
    }
}

fn failed(path: &Path, error: &io::Error) -> Met {
    let reason = format!("it cannot be read: {error}");
    Met::Failed { name: SuspectName::of_file(path), reason }
}

/// What standard input is called.
const STDIN_NAME: &str = "-";
/// How much of a file is asked for at a time.
const FILE_BUFFER_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use timemark_verify::ContentId;

    use super::*;

    /// What a visit met, in the order it came: `name` with how long a picture is, `#` for what was hashed,
    /// `-` for what was passed over, or the reason.
    fn met(from: &[u8]) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let flow = visit_stream(Path::new("in"), from, &mut |met| {
            all.push(described(met));
            ControlFlow::Continue(())
        });
        assert_eq!(flow, ControlFlow::Continue(()));
        all
    }

    fn described(met: Met) -> (String, String) {
        match met {
            Met::File(file) => (file.path.display().to_string(), "file".to_owned()),
            Met::Member { name, content } => {
                let what = match content {
                    Content::Picture(bytes) => format!("picture of {}", bytes.len()),
                    Content::LongPicture(_) => "long picture".to_owned(),
                    Content::NoPicture(_) => "#".to_owned(),
                };
                (name.text(), what)
            }
            Met::Skipped(name) => (name.text(), "-".to_owned()),
            Met::Failed { name, reason } => (name.text(), reason),
        }
    }

    fn check(from: &[u8], expected: &[(&str, &str)]) {
        let met = met(from);
        let met: Vec<_> = met.iter().map(|(name, what)| (&name[..], &what[..])).collect();
        assert_eq!(met, expected);
    }

    fn picture(length: usize) -> Vec<u8> {
        let mut state = length as u32;
        let noise = (8..length).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        b"\x89PNG\r\n\x1A\n".iter().copied().chain(noise).collect()
    }

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = ::tar::Builder::new(Vec::new());
        for (name, bytes) in members {
            let mut header = ::tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (number, (name, bytes)) in members.iter().enumerate() {
            let method = match number % 2 {
                0 => ::zip::CompressionMethod::Deflated,
                _ => ::zip::CompressionMethod::Stored,
            };
            let options = ::zip::write::SimpleFileOptions::default().compression_method(method);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn record(kind: &str, url: &str, content_type: &str, block: &[u8]) -> Vec<u8> {
        let header = format!(
            "WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\n\
             warc-date: 2026-11-28T12:00:00Z\r\nContent-Type: {content_type}\r\n\
             content-length:{}\r\n\r\n",
            block.len()
        );
        [header.as_bytes(), block, b"\r\n\r\n"].concat()
    }

    fn response(url: &str, body: &[u8]) -> Vec<u8> {
        let http = [b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", body].concat();
        record("response", url, "application/http; msgtype=response", &http)
    }

    fn warc() -> Vec<Vec<u8>> {
        let missing = b"HTTP/1.1 404 Not Found\r\n\r\nnothing here";
        vec![
            record("warcinfo", "", "application/warc-fields", b"software: x\r\n"),
            record("request", "http://a/1.png", "application/http", b"GET / HTTP/1.1\r\n\r\n"),
            response("http://a/1.png", &picture(5000)),
            record("response", "http://a/gone.png", "application/http", missing),
            record("revisit", "http://a/1.png", "application/http", b"HTTP/1.1 200 OK\r\n\r\n"),
            response("http://a/page", b"<html>WARC/1.0\r\nis no record</html>"),
            record("resource", "<file:///2.png>", "image/png", &picture(6000)),
            record("metadata", "http://a/1.png", "text/plain", b"via: x"),
        ]
    }

    const WARC_MEMBERS: [(&str, &str); 3] = [
        ("in!http://a/1.png", "picture of 5000"),
        ("in!http://a/page", "#"),
        ("in!file:///2.png", "picture of 6000"),
    ];

    #[test]
    fn every_kind_of_archive_gives_its_members_and_then_itself() {
        let members =
            [("a/1.png", &picture(5000)[..]), ("notes.txt", b"words"), ("2.png", &picture(9))];
        let expected = [
            ("in!a/1.png", "picture of 5000"),
            ("in!notes.txt", "#"),
            ("in!2.png", "picture of 9"),
            ("in", "#"),
        ];
        let tar = tar(&members);
        for archive in [tar.clone(), gzip(&tar), zstd(&tar), zip(&members)] {
            check(&archive, &expected);
        }
        let warc = warc();
        let by_record = warc.iter().map(|record| gzip(record)).collect::<Vec<_>>().concat();
        let warc = warc.concat();
        let expected = [&WARC_MEMBERS[..], &[("in", "#")]].concat();
        for archive in [warc.clone(), gzip(&warc), by_record, zstd(&warc)] {
            check(&archive, &expected);
        }
        check(&gzip(&picture(77)), &[("in!in", "picture of 77"), ("in", "#")]);
        check(&picture(77), &[("in", "picture of 77")]);
        check(b"words", &[("in", "#")]);
        check(b"", &[("in", "#")]);
        check(&zip(&[]), &[("in", "#")]);
    }

    #[test]
    fn the_digest_of_a_stream_is_that_of_all_its_bytes() {
        // Padding and what else follows the end of an archive is read as well.
        let tar = [tar(&[("a", &picture(9000))]), vec![7; 100_000]].concat();
        for archive in [gzip(&tar), tar, zip(&[("a", b"x")])] {
            let mut last = None;
            let _ = visit_stream(Path::new("in"), &archive[..], &mut |met| {
                last = Some(met);
                ControlFlow::Continue(())
            });
            let Some(Met::Member { content, .. }) = last else { panic!("{last:?}") };
            assert_eq!(content, Content::NoPicture(ContentId::of(&archive)));
        }
    }

    #[test]
    fn records_tell_where_and_when_they_were_captured() {
        let nested = response("http://a/b.zip", &zip(&[("c.png", &picture(50))]));
        let mut captured = Vec::new();
        let _ = visit_stream(Path::new("in"), &nested[..], &mut |met| {
            if let Met::Member { name, .. } = met {
                captured.push((name.text(), name.captured));
            }
            ControlFlow::Continue(())
        });
        let place =
            Captured { url: "http://a/b.zip".to_owned(), date: "2026-11-28T12:00:00Z".to_owned() };
        assert_eq!(
            captured,
            [
                ("in!http://a/b.zip!c.png".to_owned(), Some(place.clone())),
                ("in!http://a/b.zip".to_owned(), Some(place)),
                ("in".to_owned(), None),
            ]
        );
    }

    #[test]
    fn archives_within_archives_are_opened_as_deep_as_it_is_allowed() {
        let mut nested = zip(&[("1.png", &picture(99))]);
        for _ in 1..NESTING_MAX {
            nested = tar(&[("t", &nested)]);
        }
        let inner = ["in", "t", "t"].join("!");
        check(
            &nested,
            &[
                (&format!("{inner}!1.png")[..], "picture of 99"),
                (&inner[..], "#"),
                ("in!t", "#"),
                ("in", "#"),
            ],
        );
        check(
            &gzip(&gzip(&gzip(&gzip(&gzip(&nested))))),
            &[
                ("in!in!in!in", "#"),
                ("in!in!in!in", "an archive within 3 others is not opened"),
                ("in!in!in", "#"),
                ("in!in", "#"),
                ("in", "#"),
            ],
        );
    }

    #[test]
    fn what_is_no_file_is_passed_over_and_names_are_only_shown() {
        let mut tar = ::tar::Builder::new(Vec::new());
        let mut add = |kind: ::tar::EntryType, name: &[u8], bytes: &[u8]| {
            let mut header = ::tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_entry_type(kind);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append(&header, bytes).unwrap();
        };
        use ::tar::EntryType;
        add(EntryType::Directory, b"folder/", b"");
        add(EntryType::Symlink, b"link", b"");
        add(EntryType::Regular, b"../../etc/passwd", b"x");
        add(EntryType::Regular, b"/abs\xFFolute", b"x");
        add(EntryType::Regular, b"a.png.timemark", b"timemark-receipt v1\n");
        add(EntryType::Regular, b"b.timemark", b"words");
        add(EntryType::XGlobalHeader, b"pax", b"12 path=abc\n");
        add(EntryType::XHeader, b"pax", b"22 path=long/name.png\n");
        add(EntryType::Regular, b"short", &picture(20));
        add(EntryType::XHeader, b"pax", b"22 GNU.sparse.major=1\n");
        add(EntryType::Regular, b"holes", &picture(20));
        let tar = tar.into_inner().unwrap();
        check(
            &tar,
            &[
                ("in!../../etc/passwd", "#"),
                ("in!/abs\u{FFFD}olute", "#"),
                ("in!a.png.timemark", "-"),
                ("in!b.timemark", "#"),
                ("in!long/name.png", "picture of 20"),
                ("in!holes", "a sparse file, which is not read"),
                ("in", "#"),
            ],
        );
    }

    #[test]
    fn long_names_are_read_and_cut_where_they_are_too_long() {
        let long = format!("{}1.png", "folder/".repeat(40));
        let longer = "x/".repeat(5000);
        let tar = tar(&[(&long, &picture(9)), (&format!("{longer}y"), b"x")]);
        let met = met(&tar);
        assert_eq!(met[0].0, format!("in!{long}"));
        assert!(met[1].0.ends_with('…') && met[1].0.len() < 5000);
        assert_eq!(met.len(), 3);
    }

    #[test]
    fn wherever_an_archive_is_cut_short_one_error_says_so() {
        let members = [("1.png", &picture(3000)[..]), ("2.png", &picture(4000))];
        let tar = tar(&members);
        let content = tar.len() - 1024;
        for end in (513..content).step_by(97).chain([content - 1]) {
            for archive in [tar[..end].to_vec(), gzip(&tar[..end])] {
                let met = met(&archive);
                let errors: Vec<_> = met
                    .iter()
                    .filter(|(_, what)| what.contains(' '))
                    .filter(|(_, what)| !what.starts_with("picture"))
                    .collect();
                let whole = met.iter().filter(|(_, what)| what.starts_with("picture")).count();
                // Between two members, nothing tells that there was another.
                let between = end == 512 + 3072;
                assert_eq!(errors.len(), usize::from(!between), "{end}: {met:?}");
                let ends = [512 + 3000, 512 + 3072 + 512 + 4000];
                let expected = ends.iter().filter(|at| end >= **at).count();
                assert_eq!(whole, expected, "{end}: {met:?}");
            }
        }
        let warc = warc().concat();
        for archive in [tar.clone(), zip(&members), warc] {
            for packed in [gzip(&archive), zstd(&archive)] {
                for end in (20..packed.len() - 1).step_by(61) {
                    let met = met(&packed[..end]);
                    let errors =
                        met.iter().filter(|(_, what)| !what.starts_with("picture") && what != "#");
                    assert_eq!(errors.count(), 1, "{end}: {met:?}");
                }
            }
        }
        let zip = zip(&members);
        for end in (4..zip.len()).step_by(53) {
            let met = met(&zip[..end]);
            let [(name, reason), (_, itself)] = &met[..] else { panic!("{end}: {met:?}") };
            assert!(name == "in" && reason.starts_with("zip: ") && itself == "#", "{met:?}");
        }
    }

    #[test]
    fn a_damaged_member_of_a_zip_costs_itself() {
        let mut damaged = zip(&[("1.png", &picture(3000)), ("2.png", &picture(4000))]);
        damaged[2000] ^= 0xFF;
        let met = met(&damaged);
        assert_eq!(met[0].0, "in!1.png");
        assert!(!met[0].1.starts_with("picture"), "{met:?}");
        assert_eq!(met[1].1, "picture of 4000");
        assert_eq!(met.len(), 3);
    }

    #[test]
    fn members_of_a_zip_may_be_called_the_same_and_be_encrypted() {
        let one = zip(&[("a", b"12345678"), ("b", b"12345678")]);
        let mut same = one.clone();
        let at = same.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
        same[at + 46] = b'a';
        check(&same, &[("in!a", "#"), ("in!a", "#"), ("in", "#")]);
        let mut encrypted = one;
        encrypted[at + 8] |= 1;
        let local = encrypted.windows(4).rposition(|w| w == b"PK\x03\x04").unwrap();
        encrypted[local + 6] |= 1;
        check(&encrypted, &[("in!a", "#"), ("in!b", "it is encrypted"), ("in", "#")]);
    }

    #[test]
    fn entries_of_a_zip_that_all_lie_at_the_same_place_are_not_read_without_end() {
        // Each costs the reading of a megabyte twice, packed and unpacked, of which the file has one.
        let whole = zip(&[("one", &[]), ("a", &vec![b'x'; 1 << 20])]);
        let directory = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        let entry = whole[..].windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
        let end = whole.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
        let count = 1300u16;
        let mut last = whole[end..].to_vec();
        let directory_bytes = (end - entry) * usize::from(count);
        last[8..10].copy_from_slice(&count.to_le_bytes());
        last[10..12].copy_from_slice(&count.to_le_bytes());
        last[12..16].copy_from_slice(&u32::try_from(directory_bytes).unwrap().to_le_bytes());
        let entries = whole[entry..end].repeat(usize::from(count));
        let met = met(&[&whole[..directory], &entries[..], &last[..]].concat());
        let read = met.iter().filter(|(name, what)| name == "in!a" && what == "#").count();
        assert!((500..700).contains(&read), "{read}");
        assert_eq!(met.len(), read + 2);
        assert!(met[read].1.starts_with("unpacked, it is more than"), "{:?}", met[read]);
    }

    #[test]
    fn a_damaged_record_costs_itself() {
        let records = warc();
        let at = |number: usize| records[..number].iter().map(Vec::len).sum::<usize>();
        // The line that the record of the page begins with, or its length.
        for (offset, byte) in
            [(0, b'X'), (records[5].windows(9).position(|w| w == b"t-length:").unwrap() + 9, b'x')]
        {
            let mut damaged = records.concat();
            damaged[at(5) + offset] = byte;
            let met = met(&damaged);
            assert_eq!(met.len(), 4, "{met:?}");
            assert_eq!((&met[0].1[..], &met[2].1[..]), ("picture of 5000", "picture of 6000"));
            assert!(met[1].0 == "in" && met[1].1.contains(&(at(5) / 100).to_string()), "{met:?}");
        }
        // A record that says it is shorter than it is.
        let mut damaged = records.clone();
        let text = String::from_utf8_lossy(&damaged[5])
            .replace("content-length:", "Content-Length: 2\r\nX:");
        damaged[5] = text.into_bytes();
        let met_short = met(&damaged.concat());
        assert_eq!(met_short.last().unwrap().1, "#");
        assert!(met_short.iter().any(|(name, _)| name == "in!file:///2.png"), "{met_short:?}");

        // One gzip member each: whatever is damaged in one of them, the others are read.
        let packed: Vec<Vec<u8>> = records.iter().map(|record| gzip(record)).collect();
        for at in 0..packed[2].len() {
            if at > 40 && at % 131 != 0 && at + 10 < packed[2].len() {
                continue;
            }
            let mut damaged = packed.clone();
            damaged[2][at] ^= 0xA5;
            let met = met(&damaged.concat());
            let others = met.iter().filter(|(name, what)| {
                name == "in!http://a/page"
                    || (name == "in!file:///2.png" && what == "picture of 6000")
            });
            assert_eq!(others.count(), 2, "byte {at}: {met:?}");
            assert!(met.len() <= 5, "byte {at}: {met:?}");
        }
    }

    #[test]
    fn a_record_that_cannot_be_undone_costs_itself() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
        let bad = record("response", "http://a/bad", "application/http", chunked);
        let no_http = record("response", "http://a/odd", "application/http", b"\0\0");
        let good = response("http://a/2.png", &picture(60));
        check(
            &[bad, no_http, good].concat(),
            &[
                ("in!http://a/bad", "it ends in the middle"),
                ("in!http://a/odd", "its HTTP header has no end"),
                ("in!http://a/2.png", "picture of 60"),
                ("in", "#"),
            ],
        );
    }

    #[test]
    fn a_bomb_costs_itself() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = io::repeat(0).take(UNPACKED_BYTES_FREE + (600 << 20));
        io::copy(&mut { zeros }, &mut bomb).unwrap();
        let bomb = bomb.finish().unwrap();
        let before = response("http://a/bomb", &bomb);
        let after = response("http://a/2.png", &picture(60));
        check(
            &[before, after].concat(),
            &[
                ("in!http://a/bomb!bomb", "unpacked, it is more than 200 times as long"),
                ("in!http://a/bomb", "#"),
                ("in!http://a/2.png", "picture of 60"),
                ("in", "#"),
            ],
        );
    }

    #[test]
    fn files_are_handed_out_before_what_is_within_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("b")).unwrap();
        let archive = zip(&[("x.png", &picture(100)), ("y.png", &picture(200))]);
        fs::write(path("a.docx"), &archive).unwrap();
        fs::write(path("b/notes.gz"), gzip(b"words")).unwrap();
        fs::write(path("b/notes.gz.timemark"), "timemark-receipt v1\n").unwrap();
        fs::write(path("c.png"), picture(300)).unwrap();
        fs::write(path("d"), [b"x".repeat(257), b"ustar is no tar".repeat(40)].concat()).unwrap();
        let mut all = Vec::new();
        let source = Source::Path(dir.path().to_owned());
        let progress = Progress::default();
        let _ = visit(&source, &progress, &mut |met| {
            // Whoever takes a file may read it while its members are read.
            if let Met::File(file) = met {
                let (path, bytes) = (file.path.clone(), fs::read(&file.path).unwrap());
                assert_eq!(file.read().unwrap().id(), ContentId::of(&bytes));
                all.push((path.display().to_string(), "file".to_owned()));
            } else {
                all.push(described(met));
            }
            ControlFlow::Continue(())
        });
        let root = format!("{}/", dir.path().display());
        let all: Vec<_> =
            all.iter().map(|(n, w)| (n.strip_prefix(&root).unwrap(), &w[..])).collect();
        assert_eq!(
            all,
            [
                ("a.docx", "file"),
                ("a.docx!x.png", "picture of 100"),
                ("a.docx!y.png", "picture of 200"),
                ("b/notes.gz", "file"),
                ("b/notes.gz!notes", "#"),
                ("b/notes.gz.timemark", "-"),
                ("c.png", "file"),
                ("d", "file"),
            ]
        );
        let length = source.length().unwrap();
        assert!((length..4 * length).contains(&progress.bytes()), "{progress:?} of {length}");
        // Breaking off is heard on every level.
        for stop in 1..=all.len() {
            let mut met = 0;
            let flow = visit(&source, &Progress::default(), &mut |_| {
                met += 1;
                if met == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!((flow, met), (ControlFlow::Break(()), stop));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn arbitrary_bytes_never_panic_and_end_with_themselves(
            start in prop::sample::select(vec![
                &b""[..], b"WARC/1.0\r\n", b"PK\x03\x04", b"PK\x05\x06", &[0x1F, 0x8B, 8, 0],
                &[0x28, 0xB5, 0x2F, 0xFD],
            ]),
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let all = [start, &bytes].concat();
            prop_assert_eq!(met(&all).pop().unwrap().0, "in");
        }

        #[test]
        fn a_mutated_web_archive_never_panics_and_says_what_it_lost(
            at in any::<prop::sample::Index>(),
            with in prop::collection::vec(any::<u8>(), 0..40),
            packed in any::<bool>(),
        ) {
            let records = warc();
            let pack = |record: &Vec<u8>| if packed { gzip(record) } else { record.clone() };
            let mut bytes = records.iter().map(pack).collect::<Vec<_>>().concat();
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + 7);
            bytes.splice(at..end, with);
            prop_assert!(met(&bytes).len() <= 12);
        }

        #[test]
        fn a_web_archive_is_read_back(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..8),
            packed in any::<bool>(),
        ) {
            let records: Vec<Vec<u8>> = bodies.iter().enumerate()
                .map(|(n, body)| response(&format!("http://a/{n}"), &[b".", &body[..]].concat()))
                .collect();
            let info = record("warcinfo", "", "application/warc-fields", b"");
            let pack = |record: &Vec<u8>| if packed { gzip(record) } else { record.clone() };
            let bytes = [&[info][..], &records].concat().iter().map(pack).collect::<Vec<_>>().concat();
            let mut ids = Vec::new();
            let _ = visit_stream(Path::new("in"), &bytes[..], &mut |met| {
                if let Met::Member { content, .. } = met {
                    ids.push(content.id());
                }
                ControlFlow::Continue(())
            });
            let whole = |body: &Vec<u8>| ContentId::of(&[b".", &body[..]].concat());
            let expected: Vec<_> =
                bodies.iter().map(whole).chain([ContentId::of(&bytes)]).collect();
            prop_assert_eq!(ids, expected);
        }
    }
}

//! How a suspect is called: by its file, by its place within an archive, by where it was captured.

use std::fmt;
use std::path::{Path, PathBuf};

use timemark_verify::escape;

/// How a suspect is called. Shown as `photos.tar.gz!2024/koi.jpg`, each archive within another behind a `!` of
/// its own, in one line whatever an archive has for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspectName {
    /// The file on disk, or `-` for standard input.
    pub file: PathBuf,
    /// Where in that file it lies, if not the file itself is meant. Said by an archive: it names nothing on disk.
    pub within: Option<String>,
    /// Where and when it was captured, if a web archive says so.
    pub captured: Option<Captured>,
}

/// Where and when a web archive got a suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The URL that was asked for.
    pub url: String,
    /// When, as the archive spells it: `2024-05-18T09:41:00Z`.
    pub date: String,
}

impl SuspectName {
    /// The name of a file.
    pub fn of_file(file: impl Into<PathBuf>) -> SuspectName {
        SuspectName { file: file.into(), within: None, captured: None }
    }

    /// The name as it is, where it needs to be no single line: in JSON.
    pub fn text(&self) -> String {
        let mut text = self.file.to_string_lossy().into_owned();
        if let Some(within) = &self.within {
            text.push(SEPARATOR);
            text.push_str(within);
        }
        text
    }

    /// The name of a member of this archive. What is no UTF-8 is replaced, what is too long is cut.
    pub(super) fn member(&self, name: &[u8]) -> SuspectName {
        let cut = &name[..name.len().min(NAME_BYTES_MAX)];
        let name = String::from_utf8_lossy(cut) + if cut.len() < name.len() { "…" } else { "" };
        let within = match &self.within {
            Some(within) => format!("{within}{SEPARATOR}{name}"),
            None => name.into_owned(),
        };
        SuspectName {
            file: self.file.clone(),
            within: Some(within),
            captured: self.captured.clone(),
        }
    }

    /// The name of the one file that was compressed to make this one: without `.gz` or `.zst`.
    pub(super) fn unpacked(&self) -> SuspectName {
        let name = match &self.within {
            Some(within) => within.rsplit(['/', SEPARATOR]).next().unwrap_or_default().to_owned(),
            None => self.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let bare = [".gz", ".zst"].iter().find_map(|suffix| name.strip_suffix(suffix));
        self.member(bare.filter(|bare| !bare.is_empty()).unwrap_or(&name).as_bytes())
    }

    /// What stands behind the last dot of its name.
    pub(super) fn extension(&self) -> Option<&str> {
        let name = self.within.as_deref().map_or(&*self.file, Path::new);
        name.extension()?.to_str()
    }
}

impl fmt::Display for SuspectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(self.text().as_bytes()))
    }
}

/// Stands between an archive and what is within it.
const SEPARATOR: char = '!';
/// The longest name of a member; as long as a path may be.
pub(super) const NAME_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_way_through_the_archives() {
        let file = SuspectName::of_file("a/photos.tar.gz");
        assert_eq!(file.text(), "a/photos.tar.gz");
        let inner = file.member(b"old.zip");
        assert_eq!(inner.member(b"../koi.jpg").text(), "a/photos.tar.gz!old.zip!../koi.jpg");
        for (name, unpacked) in [
            ("notes.txt.gz", "notes.txt.gz!notes.txt"),
            ("notes.zst", "notes.zst!notes"),
            ("notes", "notes!notes"),
            (".gz", ".gz!.gz"),
            ("-", "-!-"),
        ] {
            assert_eq!(SuspectName::of_file(name).unpacked().text(), unpacked);
        }
        assert_eq!(inner.member(b"x/y.svg.gz").unpacked().text().rsplit('!').next(), Some("y.svg"));
    }

    #[test]
    fn a_hostile_name_stays_one_line_of_bounded_length() {
        let archive = SuspectName::of_file("a.tar");
        let name = archive.member(b"two\nlines\x1b[31m \xFF");
        assert_eq!(name.text(), "a.tar!two\nlines\x1b[31m \u{FFFD}");
        assert_eq!(name.to_string(), "a.tar!two%0Alines%1B[31m \u{FFFD}");
        let long = archive.member(&vec![b'a'; 1 << 20]).text();
        assert!(long.len() < NAME_BYTES_MAX + 16 && long.ends_with('…'));
    }
}

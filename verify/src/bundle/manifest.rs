//! What a bundle holds, in order: its manifest, a text that is itself a registered work.

use std::collections::HashSet;

use data_encoding::HEXLOWER;

use super::zip::BYTES_MAX;
use crate::text::{decimal, hides};
use crate::{FormatError, Receipt};

/// What a bundle is for, and so what must be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// 《人民法院在线诉讼规则》 articles 16 to 18.
    CnCourt,
    /// Federal Rules of Evidence 902(13) and 902(14).
    UsFre902,
    /// Regulation (EU) 910/2014, article 41.
    EuEidas,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 3] = [Profile::CnCourt, Profile::UsFre902, Profile::EuEidas];

    /// Its name in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::CnCourt => "cn-court",
            Profile::UsFre902 => "us-fre902",
            Profile::EuEidas => "eu-eidas",
        }
    }
}

/// What is in a bundle: profile and files, in order. `Display` of it is the manifest's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it is for.
    pub profile: Profile,
    /// Every file but the manifest and its receipt.
    pub files: Vec<ManifestFile>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Where it lies, such as `works/0001-photo.jpg`.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// How many there are.
    pub length: u64,
}

impl Manifest {
    /// The manifest's name in a bundle; its receipt is `manifest.txt.timemark`.
    pub const NAME: &str = "manifest.txt";
    /// The name of the policy in a bundle.
    pub const POLICY: &str = "policy.txt";
    /// Longest manifest in bytes.
    pub const BYTES_MAX: usize = 16 << 20;
    /// Most files: a zip without extensions holds 65,535 entries.
    pub const FILES_MAX: usize = 65_000;

    /// The name of the receipt of a file.
    pub fn receipt_of(path: &str) -> String {
        format!("{path}.{}", Receipt::FILE_EXTENSION)
    }

    /// Reads a manifest. Bytes that `Display` would not write are refused.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, FormatError> {
        let bad = |reason: String| FormatError::new("manifest", reason);
        if bytes.len() > Manifest::BYTES_MAX {
            return Err(bad(format!("longer than {} bytes", Manifest::BYTES_MAX)));
        }
        let text = str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".to_owned()))?;
        let rest = text
            .strip_prefix(MANIFEST_HEADER)
            .and_then(|rest| rest.strip_prefix("profile "))
            .ok_or_else(|| bad("its first lines are not v1's".to_owned()))?;
        let (profile, mut rest) =
            rest.split_once('\n').ok_or_else(|| bad("it is cut short".to_owned()))?;
        let profile = Profile::ALL
            .into_iter()
            .find(|known| known.name() == profile)
            .ok_or_else(|| bad(format!("{profile:?} is no profile")))?;
        let mut files: Vec<ManifestFile> = Vec::new();
        while !rest.is_empty() {
            let (line, after) =
                rest.split_once('\n').ok_or_else(|| bad("its last line has no end".to_owned()))?;
            files.push(parse_file(line).ok_or_else(|| bad(format!("{line:?} is no file")))?);
            rest = after;
        }
        if let Some(path) = clash(files.iter().map(|file| file.path.as_str())) {
            return Err(bad(format!("{path:?} would lie where another file does")));
        }
        if files.len() > Manifest::FILES_MAX {
            return Err(bad(format!("more than {} files", Manifest::FILES_MAX)));
        }
        Ok(Manifest { profile, files })
    }
}

impl std::fmt::Display for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{MANIFEST_HEADER}profile {}", self.profile.name())?;
        self.files.iter().try_for_each(|file| {
            writeln!(f, "file {} {} {}", HEXLOWER.encode(&file.sha256), file.length, file.path)
        })
    }
}

const MANIFEST_HEADER: &str = "timemark-bundle v1\n";

fn parse_file(line: &str) -> Option<ManifestFile> {
    let (sha256, rest) = line.strip_prefix("file ")?.split_once(' ')?;
    let (length, path) = rest.split_once(' ')?;
    let sha256 = HEXLOWER.decode(sha256.as_bytes()).ok()?.try_into().ok()?;
    let length = decimal(length).filter(|&length| length < BYTES_MAX)?;
    is_bundle_path(path).then(|| ManifestFile { path: path.to_owned(), sha256, length })
}

/// Whether a file may lie there: a relative path that means the same on every system and shows all of itself.
pub fn is_bundle_path(path: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.trim() == part
            && !part.ends_with('.')
            && !part.starts_with(['.', '-'])
            && !is_device(part)
            && !part.contains(|c: char| hides(c) || r#"\:*?"<>|"#.contains(c))
    };
    path.len() <= PATH_BYTES_MAX && path.split('/').all(part)
}

/// Names that are devices on Windows, whatever follows their first dot.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_numbered = |kind| {
        let number: Option<&str> = stem.strip_prefix(kind);
        number.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    ["con", "prn", "aux", "nul"].contains(&stem.as_str())
        || is_numbered("com")
        || is_numbered("lpt")
}

/// The first of these paths, if there is one, that would lie where another file of the bundle does on some system: the same
/// but for case, or a file where another path has a folder.
pub fn clash<'a>(paths: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let own = [Manifest::NAME.to_owned(), Manifest::receipt_of(Manifest::NAME)];
    let (mut files, mut folders) = (HashSet::from(own), HashSet::new());
    for path in paths {
        let folded = path.to_lowercase();
        let above: Vec<String> =
            folded.match_indices('/').map(|(at, _)| folded[..at].to_owned()).collect();
        if folders.contains(&folded) || above.iter().any(|folder| files.contains(folder)) {
            return Some(path);
        }
        folders.extend(above);
        if !files.insert(folded) {
            return Some(path);
        }
    }
    None
}

pub(super) const PATH_BYTES_MAX: usize = 512;

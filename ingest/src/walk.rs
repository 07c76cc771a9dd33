//! Which files a path means, in a steady order, and what on the way is no work.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use timemark_verify::{Receipt, escape};
use walkdir::WalkDir;

use crate::beneath::{Beneath, NOT_REGULAR, What};

/// A file in this folder marks an archive of Timemark, which is never registered or scanned.
pub(crate) const ARCHIVE_MARKER: &str = "timemark-archive";

/// A work, or what else a walk comes upon.
#[derive(Debug)]
pub enum Sighting {
    /// A regular file.
    File(Found),
    /// A receipt or a certificate, which are about a work and are none.
    Receipt(PathBuf),
    /// The folder of an archive.
    Archive(PathBuf),
}

impl Sighting {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Sighting::File(found) => &found.path,
            Sighting::Receipt(path) | Sighting::Archive(path) => path,
        }
    }
}

/// A file that a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path, beginning with the path that was asked for.
    pub path: PathBuf,
    /// Its path below the folder that was asked for; for a file that was asked for, its name.
    pub below: PathBuf,
}

/// A place where a walk could not go on; the rest of the walk does.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct WalkError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// All files at or below `root`, sorted by name within each folder. Symbolic links are followed; a loop, a
/// broken link or an unreadable folder is an error of its own and the walk goes on.
pub fn walk(root: &Path) -> impl Iterator<Item = Result<Sighting, WalkError>> + use<> {
    let root = root.to_owned();
    let depth_max = if is_inside_archive(&root) { 0 } else { usize::MAX };
    let walk = WalkDir::new(&root).follow_links(true);
    let mut entries = walk.sort_by_file_name().max_depth(depth_max).into_iter();
    std::iter::from_fn(move || {
        loop {
            if depth_max == 0 {
                return entries.next().map(|_| Ok(Sighting::Archive(root.clone())));
            }
            let entry = match entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(walk_error(&root, &error))),
            };
            if entry.file_type().is_dir() {
                if entry.path().join(ARCHIVE_MARKER).is_file() {
                    entries.skip_current_dir();
                    return Some(Ok(Sighting::Archive(entry.into_path())));
                }
                continue;
            }
            let is_file = entry.file_type().is_file();
            let path = entry.into_path();
            // Reading a pipe or a device could wait for ever.
            let open = |path: &Path| fs::File::open(path);
            return Some(if is_file { sight(&root, path, &open) } else { not_regular(path) });
        }
    })
}

/// As [`walk`], in a folder into which others may write: nobody is led out of it, and a symbolic link is an error of its own.
/// `path` lies in that folder or is it.
pub(crate) fn walk_beneath(
    beneath: &Beneath,
    path: &Path,
) -> impl Iterator<Item = Result<Sighting, WalkError>> + use<> {
    let (beneath, root) = (beneath.clone(), path.to_owned());
    let mut first = Some(root.clone());
    // Of each folder that is being walked what is still to come, the deepest last.
    let mut folders: Vec<(PathBuf, std::vec::IntoIter<(std::ffi::OsString, What)>)> = Vec::new();
    std::iter::from_fn(move || {
        loop {
            let (path, what) = match first.take() {
                Some(path) if is_in_archive(&beneath, &path) => {
                    return Some(Ok(Sighting::Archive(path)));
                }
                Some(path) => {
                    let what = beneath.what(&path);
                    (path, what)
                }
                None => {
                    let (folder, names) = folders.last_mut()?;
                    match names.next() {
                        Some((name, what)) => (folder.join(name), Ok(what)),
                        None => {
                            folders.pop();
                            continue;
                        }
                    }
                }
            };
            let failed =
                |path, error: &io::Error| Some(Err(WalkError { path, reason: io_words(error) }));
            return match what {
                Err(error) => failed(path, &error),
                Ok(What::Folder) => {
                    let is_archive =
                        matches!(beneath.what(&path.join(ARCHIVE_MARKER)), Ok(What::File));
                    if is_archive {
                        return Some(Ok(Sighting::Archive(path)));
                    }
                    match beneath.list(&path) {
                        Ok(names) => {
                            folders.push((path, names));
                            continue;
                        }
                        Err(error) => failed(path, &error),
                    }
                }
                Ok(What::File) => Some(sight(&root, path, &|path| beneath.open(path))),
                Ok(What::Link) => {
                    let reason =
                        "it is a symbolic link, and those are not followed here".to_owned();
                    Some(Err(WalkError { path, reason }))
                }
                // Reading a pipe or a device could wait for ever.
                Ok(What::Other) => Some(not_regular(path)),
            };
        }
    })
}

/// Whether a path lies in an archive, as [`is_inside_archive`] says, without being led elsewhere.
fn is_in_archive(beneath: &Beneath, path: &Path) -> bool {
    let mut between = path.ancestors().take_while(|folder| *folder != beneath.path());
    let is_marked =
        |folder: &Path| matches!(beneath.what(&folder.join(ARCHIVE_MARKER)), Ok(What::File));
    is_inside_archive(beneath.path()) || between.any(is_marked)
}

/// What a path means that names one file: as [`walk`] would say, but a folder is an error.
pub fn named(path: &Path) -> Result<Sighting, WalkError> {
    let failed = |reason: String| WalkError { path: path.to_owned(), reason };
    let file = fs::metadata(path).map_err(|error| failed(io_words(&error)))?;
    if is_inside_archive(path) {
        return Ok(Sighting::Archive(path.to_owned()));
    }
    if file.is_dir() {
        return Err(failed("it is a folder, not a file".to_owned()));
    }
    let open = |path: &Path| fs::File::open(path);
    if file.is_file() { sight(path, path.to_owned(), &open) } else { not_regular(path.to_owned()) }
}

type Open<'a> = &'a dyn Fn(&Path) -> io::Result<fs::File>;

fn sight(root: &Path, path: PathBuf, open: Open<'_>) -> Result<Sighting, WalkError> {
    if path.to_str().is_none() {
        let reason = "its name is not UTF-8; rename it".to_owned();
        return Err(WalkError { path, reason });
    }
    let is_called_receipt = path.extension().is_some_and(|e| e == Receipt::FILE_EXTENSION);
    let is_called_certificate =
        path.to_str().is_some_and(|path| path.ends_with(CERTIFICATE_ENDING));
    if is_called_receipt && begins_as_receipt(&path, open)
        || is_called_certificate && has_receipt_attached(&path, open)
    {
        return Ok(Sighting::Receipt(path));
    }
    let below = match path.strip_prefix(root) {
        Ok(below) if below.as_os_str().is_empty() => path.file_name().map(PathBuf::from),
        Ok(below) => Some(below.to_owned()),
        Err(_) => path.file_name().map(PathBuf::from),
    };
    Ok(Sighting::File(Found { below: below.unwrap_or_else(|| path.clone()), path }))
}

/// Whether a path lies in an archive, whose keys and works are nobody's submission.
fn is_inside_archive(path: &Path) -> bool {
    let path = path.canonicalize();
    path.is_ok_and(|path| path.ancestors().any(|folder| folder.join(ARCHIVE_MARKER).is_file()))
}

fn not_regular(path: PathBuf) -> Result<Sighting, WalkError> {
    Err(WalkError { path, reason: NOT_REGULAR.to_owned() })
}

fn begins_as_receipt(path: &Path, open: Open<'_>) -> bool {
    let mut start = Vec::new();
    let read = open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    read.is_ok() && Receipt::is_receipt(&start)
}

/// Whether a PDF is a certificate; any other may be a work, whatever it is called.
fn has_receipt_attached(path: &Path, open: Open<'_>) -> bool {
    let mut bytes = Vec::new();
    let most = Receipt::FILE_BYTES_MAX as u64 + 1;
    let read = open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.is_ok() && bytes.starts_with(b"%PDF-") && Receipt::parse_file(&bytes).is_ok()
}

fn walk_error(root: &Path, error: &walkdir::Error) -> WalkError {
    let path = error.path().unwrap_or(root).to_owned();
    let reason = match (error.loop_ancestor(), error.io_error()) {
        (Some(ancestor), _) => {
            let ancestor = escape(ancestor.as_os_str().as_encoded_bytes());
            format!("a symbolic link leads back to {ancestor}")
        }
        (None, Some(io)) => io_words(io),
        (None, None) => error.to_string(),
    };
    WalkError { path, reason }
}

fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    }
}

/// How a certificate's name ends.
const CERTIFICATE_ENDING: &str = ".certificate.pdf";

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_walk_names_everything_once_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("works");
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::write(root.join("z.txt"), "z").unwrap();
        fs::write(root.join("b/a.txt"), "a").unwrap();
        fs::write(root.join("b/a.txt.timemark"), "timemark-receipt v1\n").unwrap();
        fs::write(root.join("b/notes.timemark"), "my notes").unwrap();
        symlink(&root, root.join("b/c/loop")).unwrap();
        symlink(root.join("nowhere"), root.join("broken")).unwrap();
        fs::create_dir(root.join("archive")).unwrap();
        fs::write(root.join("archive").join(ARCHIVE_MARKER), "v1").unwrap();
        fs::write(root.join("archive/inside"), "x").unwrap();
        let odd = root.join(std::ffi::OsStr::from_bytes(b"odd\xFF.txt"));
        fs::write(odd, "odd").unwrap();

        let (mut files, mut others, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for sighting in walk(&root) {
            match sighting {
                Ok(Sighting::File(found)) => files.push(found.below.to_string_lossy().into_owned()),
                Ok(Sighting::Receipt(path) | Sighting::Archive(path)) => {
                    others.push(path.file_name().unwrap().to_owned());
                }
                Err(error) => errors.push(error.to_string()),
            }
        }
        assert_eq!(files, ["b/a.txt", "b/notes.timemark", "z.txt"]);
        assert_eq!(others, ["archive", "a.txt.timemark"]);
        assert_eq!(errors.len(), 3, "{errors:?}");
        for reason in ["leads back", "no such file", "not UTF-8"] {
            assert!(errors.iter().any(|e| e.contains(reason)), "{reason}: {errors:?}");
        }
        for inside in ["archive", "archive/inside"] {
            let sightings: Vec<_> = walk(&root.join(inside)).collect();
            assert!(matches!(sightings[..], [Ok(Sighting::Archive(_))]), "{inside}");
        }
        let single: Vec<_> = walk(&root.join("z.txt")).collect();
        assert!(
            matches!(&single[..], [Ok(Sighting::File(found))] if found.below == Path::new("z.txt"))
        );
        assert!(matches!(walk(&root.join("none")).next(), Some(Err(_))));
    }

    #[test]
    fn beneath_a_folder_the_same_is_met_and_no_link_leads_away() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        fs::create_dir_all(root.join("folder/deep")).unwrap();
        for file in ["b.txt", "folder/a.txt", "folder/deep/z.txt", "folder.txt"] {
            fs::write(root.join(file), "a").unwrap();
        }
        fs::write(root.join("b.txt.timemark"), "timemark-receipt v1\n").unwrap();
        fs::create_dir_all(root.join("archive/keys")).unwrap();
        fs::write(root.join("archive").join(ARCHIVE_MARKER), "v1").unwrap();
        fs::write(root.join("archive/keys/log.key"), "x").unwrap();
        fs::write(dir.path().join("secret.txt"), "secret").unwrap();
        let words = |met: Result<Sighting, WalkError>| format!("{met:?}");
        let beneath = Beneath::of(&root).unwrap();
        for below in ["", "folder", "folder/a.txt", "b.txt", "archive", "archive/keys", "none"] {
            let path = if below.is_empty() { root.clone() } else { root.join(below) };
            let met: Vec<_> = walk_beneath(&beneath, &path).map(words).collect();
            assert_eq!(met, walk(&path).map(words).collect::<Vec<_>>(), "{below}");
        }
        symlink(dir.path(), root.join("up")).unwrap();
        symlink(dir.path().join("secret.txt"), root.join("link.txt")).unwrap();
        let met: Vec<_> = walk_beneath(&beneath, &root).collect();
        assert_eq!(met.iter().filter(|sighting| sighting.is_err()).count(), 2);
        assert!(!met.into_iter().map(words).any(|words| words.contains("secret")));
        for link in ["link.txt", "up", "up/secret.txt"] {
            let link: Vec<_> = walk_beneath(&beneath, &root.join(link)).collect();
            assert!(matches!(link[..], [Err(_)]), "{link:?}");
        }
        assert!(walk(&root).map(words).any(|words| words.contains("secret")), "elsewhere they are");
    }

    #[test]
    fn a_name_means_one_file_or_says_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |below: &str| dir.path().join(below);
        fs::write(path("a.txt"), "a").unwrap();
        fs::write(path("a.txt.timemark"), "timemark-receipt v1\n").unwrap();
        fs::create_dir(path("archive")).unwrap();
        fs::write(path("archive").join(ARCHIVE_MARKER), "v1").unwrap();
        fs::create_dir(path("folder")).unwrap();
        symlink(path("a.txt"), path("link")).unwrap();
        symlink(path("nowhere"), path("broken")).unwrap();
        for file in ["a.txt", "link"] {
            let found = named(&path(file));
            assert!(matches!(&found, Ok(Sighting::File(found)) if found.path == path(file)));
        }
        assert!(matches!(named(&path("a.txt.timemark")), Ok(Sighting::Receipt(_))));
        assert!(matches!(named(&path("archive/timemark-archive")), Ok(Sighting::Archive(_))));
        for (name, reason) in [
            ("none", "there is no such file"),
            ("broken", "there is no such file"),
            ("folder", "it is a folder, not a file"),
        ] {
            assert_eq!(named(&path(name)).unwrap_err().to_string(), reason, "{name}");
        }
        assert_eq!(named(Path::new("/dev/null")).unwrap_err().reason, "it is not a regular file");
    }
}

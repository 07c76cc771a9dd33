//! Files below a folder into which others may write while it is read: no name leads out of it, whatever they put in its place.
//!
//! Each part of a path is opened in the folder before it, and never through a symbolic link; what is opened is a regular file or
//! a folder, and nothing that waits for somebody, as a pipe would.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::vec;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

/// A folder, held open.
#[derive(Clone, Debug)]
pub struct Beneath {
    folder: Arc<OwnedFd>,
    path: PathBuf,
}

/// Two of the same path are the same.
impl PartialEq for Beneath {
    fn eq(&self, other: &Beneath) -> bool {
        self.path == other.path
    }
}

impl Eq for Beneath {}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    File,
    Folder,
    Link,
    Other,
}

impl Beneath {
    /// Opens a folder. Whoever names it vouches for the way to it.
    pub fn of(path: &Path) -> io::Result<Beneath> {
        let folder = openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Beneath { folder: Arc::new(folder), path: path.to_owned() })
    }

    /// How it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file. Its path begins with that of the folder, or is as seen from it.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let file = File::from(openat(&*parent, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_REGULAR))
    }

    /// How long a file is, without opening it.
    pub fn length(&self, path: &Path) -> io::Result<u64> {
        let (parent, name) = self.parent(path)?;
        Ok(statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_size as u64)
    }

    /// What lies at a path.
    pub(crate) fn what(&self, path: &Path) -> io::Result<What> {
        if self.below(path)?.as_os_str().is_empty() {
            return Ok(What::Folder);
        }
        let (parent, name) = self.parent(path)?;
        what_at(&parent, name)
    }

    /// What lies in a folder, by name.
    pub(crate) fn list(&self, path: &Path) -> io::Result<vec::IntoIter<(OsString, What)>> {
        let folder = self.folder(self.below(path)?)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&*folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let what = match entry.file_type() {
                FileType::RegularFile => What::File,
                FileType::Directory => What::Folder,
                FileType::Symlink => What::Link,
                // Some file systems do not say.
                FileType::Unknown => match what_at(&folder, OsStr::from_bytes(name)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    what => what?,
                },
                _ => What::Other,
            };
            names.push((OsString::from_vec(name.to_vec()), what));
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(names.into_iter())
    }

    fn below<'p>(&self, path: &'p Path) -> io::Result<&'p Path> {
        let below = path.strip_prefix(&self.path).unwrap_or(path);
        match below.components().all(|part| matches!(part, Component::Normal(_))) {
            true => Ok(below),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it leads out of the folder")),
        }
    }

    fn parent<'p>(&self, path: &'p Path) -> io::Result<(Arc<OwnedFd>, &'p OsStr)> {
        let below = self.below(path)?;
        let name = below.file_name();
        let name = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, NOT_REGULAR))?;
        Ok((self.folder(below.parent().unwrap_or(Path::new("")))?, name))
    }

    fn folder(&self, below: &Path) -> io::Result<Arc<OwnedFd>> {
        let mut at = self.folder.clone();
        for part in below.components() {
            let flags = FOLDER | OFlags::NOFOLLOW;
            at = Arc::new(openat(&*at, part.as_os_str(), flags, Mode::empty())?);
        }
        Ok(at)
    }
}

fn what_at(folder: &OwnedFd, name: &OsStr) -> io::Result<What> {
    let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => What::File,
        FileType::Directory => What::Folder,
        FileType::Symlink => What::Link,
        _ => What::Other,
    })
}

pub(crate) const NOT_REGULAR: &str = "it is not a regular file";
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use rustix::fs::{RenameFlags, mknodat, renameat_with};

    use super::*;

    fn read(beneath: &Beneath, path: &str) -> io::Result<String> {
        let mut text = String::new();
        beneath.open(Path::new(path))?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn only_regular_files_of_the_folder_are_opened_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |below: &str| dir.path().join(below);
        fs::create_dir_all(path("root/in")).unwrap();
        fs::write(path("root/in/a"), "a").unwrap();
        fs::write(path("secret"), "secret").unwrap();
        symlink(path("secret"), path("root/in/link")).unwrap();
        symlink(dir.path(), path("root/up")).unwrap();
        symlink("in", path("root/same")).unwrap();
        mknodat(CWD, path("root/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let beneath = Beneath::of(&path("root")).unwrap();
        assert_eq!(read(&beneath, "in/a").unwrap(), "a");
        assert_eq!(read(&beneath, path("root/in/a").to_str().unwrap()).unwrap(), "a");
        let begun = Instant::now();
        let secret = path("secret");
        for elsewhere in [
            "in/link",
            "up/secret",
            "same/a",
            "pipe",
            "in",
            "",
            ".",
            "..",
            "../secret",
            "in/../in/a",
            secret.to_str().unwrap(),
            "none",
            "in/a/b",
        ] {
            assert!(read(&beneath, elsewhere).is_err(), "{elsewhere}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "a pipe was waited for");
        assert_eq!(beneath.what(Path::new("pipe")).unwrap(), What::Other);
        assert_eq!(beneath.what(Path::new("up")).unwrap(), What::Link);
        assert!(beneath.list(Path::new("up")).is_err());
        let names: Vec<_> = beneath.list(&path("root")).unwrap().collect();
        let named = |name: &str, what| (OsString::from(name), what);
        let expected = [
            named("in", What::Folder),
            named("pipe", What::Other),
            named("same", What::Link),
            named("up", What::Link),
        ];
        assert_eq!(names, expected);
        assert_eq!(beneath.length(&path("root/in/a")).unwrap(), 1);
    }

    /// Somebody exchanges names again and again while they are opened: a file for a link to a secret and for a pipe, and a
    /// folder for a link to the folder above.
    #[test]
    fn names_that_are_exchanged_meanwhile_lead_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = |below: &str| dir.path().join(below);
        fs::create_dir_all(path("root/folder")).unwrap();
        fs::create_dir_all(path("outside")).unwrap();
        fs::write(path("root/folder/file"), "mine").unwrap();
        fs::write(path("outside/file"), "secret").unwrap();
        symlink(path("outside/file"), path("root/file-link")).unwrap();
        symlink(path("outside"), path("root/folder-link")).unwrap();
        mknodat(CWD, path("root/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let beneath = Beneath::of(&path("root")).unwrap();
        // The folder itself, whatever bears its name: else the exchange would carry the secret in.
        let folder = openat(CWD, path("root/folder"), FOLDER, Mode::empty()).unwrap();
        let ended = AtomicBool::new(false);
        let (mut opened, mut refused, mut strange) = (0, 0, None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let exchange = RenameFlags::EXCHANGE;
                    let link = path("root/folder-link");
                    renameat_with(CWD, path("root/folder"), CWD, link, exchange).unwrap();
                    renameat_with(&folder, "file", CWD, path("root/file-link"), exchange).unwrap();
                    renameat_with(&folder, "file", CWD, path("root/pipe"), exchange).unwrap();
                }
            });
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) && (opened < 200 || refused < 200) {
                match read(&beneath, "folder/file") {
                    Ok(text) if text == "mine" => opened += 1,
                    Ok(text) => strange = Some(text),
                    Err(_) => refused += 1,
                }
            }
            ended.store(true, Ordering::Relaxed);
        });
        assert_eq!(strange, None);
        assert!(opened >= 200 && refused >= 200, "{opened} opened, {refused} refused");
    }
}

//! Which files of this machine a scan may be asked to read: those below the folders that the operator named.

use std::io;
use std::path::{Component, Path, PathBuf};

use timemark_ingest::Beneath;
use timemark_ingest::sources::Source;

use crate::error::ReviewError;

/// Folders below which everything may be scanned. None, unless the operator says so.
#[derive(Clone, Debug, Default)]
pub struct Roots(Vec<Root>);

#[derive(Clone, Debug)]
struct Root {
    /// As the operator called it, from the top.
    named: PathBuf,
    /// The same without symbolic links.
    real: PathBuf,
}

impl Roots {
    /// These folders, which must be there.
    pub fn of(paths: &[PathBuf]) -> io::Result<Roots> {
        let root = |path: &PathBuf| {
            let (named, real) = (std::path::absolute(path)?, path.canonicalize()?);
            if real.is_dir() {
                Ok(Root { named, real })
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        };
        Ok(Roots(paths.iter().map(root).collect::<io::Result<_>>()?))
    }

    /// Where a path leads, without symbolic links, if that is below one of the folders. What lies elsewhere is refused
    /// alike, whether or not it is there.
    pub fn admit(&self, path: &str) -> Result<PathBuf, ReviewError> {
        let asked = Path::new(path);
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        let below = |root: &Root| asked.starts_with(&root.named) || asked.starts_with(&root.real);
        if !asked.components().all(plain) || path.contains('\0') || !self.0.iter().any(below) {
            return Err(ReviewError::OutsideRoots);
        }
        let real = asked.canonicalize().map_err(|_| ReviewError::NothingThere(path.to_owned()))?;
        if self.0.iter().any(|root| real.starts_with(&root.real)) {
            Ok(real)
        } else {
            Err(ReviewError::OutsideRoots)
        }
    }

    /// What is to be scanned at a path. Whoever may write below a folder cannot lead anybody out of it afterwards.
    pub(crate) fn source(&self, path: &str) -> Result<Source, ReviewError> {
        let real = self.admit(path)?;
        let root = self.0.iter().find(|root| real.starts_with(&root.real));
        let root = root.ok_or(ReviewError::OutsideRoots)?;
        let folder = Beneath::of(&root.real);
        let folder = folder.map_err(|_| ReviewError::NothingThere(path.to_owned()))?;
        Ok(Source::Below { folder, path: real })
    }

    /// As the operator called them.
    pub fn named(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|root| &*root.named)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_leads_out_of_the_folders_that_were_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |below: &str| dir.path().join(below).display().to_string();
        fs::create_dir_all(dir.path().join("root/in")).unwrap();
        fs::create_dir_all(dir.path().join("root-2")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        fs::write(dir.path().join("root/in/a"), "x").unwrap();
        symlink(dir.path().join("secret"), dir.path().join("root/out")).unwrap();
        symlink(dir.path(), dir.path().join("root/up")).unwrap();
        symlink(dir.path().join("root/in"), dir.path().join("root/same")).unwrap();
        symlink(dir.path().join("root"), dir.path().join("alias")).unwrap();
        let roots = Roots::of(&[dir.path().join("root")]).unwrap();
        let real = dir.path().canonicalize().unwrap().join("root/in");
        for inside in ["root/in", "root/same", "root/in/"] {
            assert_eq!(roots.admit(&at(inside)).unwrap(), real, "{inside}");
        }
        assert_eq!(roots.admit(&at("root/in/a")).unwrap(), real.join("a"));
        for outside in [
            "",
            "secret",
            "root-2",
            "root/../secret",
            "root/out",
            "root/up/secret",
            "alias/in",
            "root/in/../in",
            "none",
            "root/in/a\0",
        ] {
            let answer = roots.admit(&at(outside));
            assert!(matches!(answer, Err(ReviewError::OutsideRoots)), "{outside}: {answer:?}");
        }
        for relative in ["", ".", "..", "root/in", "~/root"] {
            assert!(matches!(roots.admit(relative), Err(ReviewError::OutsideRoots)));
        }
        let none = roots.admit(&at("root/none"));
        assert!(matches!(none, Err(ReviewError::NothingThere(_))));
        let alias = Roots::of(&[dir.path().join("alias")]).unwrap();
        assert_eq!(alias.admit(&at("alias/in")).unwrap(), real);
        assert_eq!(alias.admit(&at("root/in")).unwrap(), real);
        assert!(Roots::default().admit(&at("root/in")).is_err());
        assert!(Roots::of(&[dir.path().join("none")]).is_err());
    }
}

//! Where an archive keeps its works: the only file that chooses among stores of blobs.
//!
//! The folder `blobs` always takes works in. The file `store` names what else there is:
//!
//! ```text
//! timemark-store v1
//! remote ipfs:http://127.0.0.1:5001        where works are kept for good
//! write back                               or `through`: try it at once
//! keep all                                 or bytes that may stay in the folder of what the remote has
//! seal-to age1…                            for whom works are sealed; none or more
//! pack yes                                 whether new works are packed once they are registered
//! ```

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use timemark_store::encoding::{Identities, Recipients};
use timemark_store::{
    BlobStore, FileStore, IpfsPatience, IpfsStore, Keeping, Remote, S3Options, S3Patience, S3Store,
    Tiering, Works,
};

/// A place for blobs, as a user writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// `files:DIR`
    Files(PathBuf),
    /// `ipfs:http://HOST:PORT`
    Ipfs(String),
    /// `s3:http://HOST:PORT/BUCKET/PREFIX?region=REGION`, or `s3:BUCKET/PREFIX?region=REGION` for Amazon's own.
    S3 { endpoint: Option<String>, bucket: String, prefix: String, region: String },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Files(dir) => write!(f, "files:{}", dir.display()),
            Location::Ipfs(url) => write!(f, "ipfs:{url}"),
            Location::S3 { endpoint, bucket, prefix, region } => {
                f.write_str("s3:")?;
                endpoint.iter().try_for_each(|endpoint| write!(f, "{endpoint}/"))?;
                write!(f, "{bucket}")?;
                if !prefix.is_empty() {
                    write!(f, "/{prefix}")?;
                }
                write!(f, "?region={region}")
            }
        }
    }
}

impl FromStr for Location {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Location> {
        ensure!(!text.contains(char::is_whitespace), "a location has no spaces: {text:?}");
        match text.split_once(':') {
            Some(("files", dir)) if !dir.is_empty() => Ok(Location::Files(dir.into())),
            Some(("ipfs", url)) if url.starts_with("http://") => {
                Ok(Location::Ipfs(url.trim_end_matches('/').to_owned()))
            }
            Some(("s3", rest)) => s3_location(rest).with_context(|| format!("{text:?}")),
            _ => bail!(
                "{text:?} is no location: files:DIR, ipfs:http://HOST:PORT or \
                 s3:http://HOST:PORT/BUCKET?region=REGION"
            ),
        }
    }
}

fn s3_location(text: &str) -> Result<Location> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let region = match query {
        "" => "us-east-1",
        query => query.strip_prefix("region=").context("after ? comes region=REGION")?,
    };
    let (endpoint, path) = match path.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => {
            let (host, path) = rest.split_once('/').context("it names no bucket")?;
            (Some(format!("{scheme}://{host}")), path)
        }
        Some(_) => bail!("an endpoint begins with http:// or https://"),
        None => (None, path),
    };
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    ensure!(!bucket.is_empty(), "it names no bucket");
    let prefix = prefix.trim_matches('/').to_owned();
    Ok(Location::S3 { endpoint, bucket: bucket.to_owned(), prefix, region: region.to_owned() })
}

/// What the file `store` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub remote: Option<Location>,
    pub tiering: Tiering,
    pub seal_to: Vec<String>,
    /// Whether runs that register pack what they have registered.
    pub pack: bool,
}

impl Default for Setting {
    fn default() -> Setting {
        let tiering = Tiering { write_through: false, keep_bytes_max: None };
        Setting { remote: None, tiering, seal_to: Vec::new(), pack: false }
    }
}

impl Setting {
    /// That of an archive.
    pub fn of(archive: &Path) -> Result<Setting> {
        let path = archive.join(SETTING);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Setting::default()),
            text => {
                let text = text.with_context(|| path.display().to_string())?;
                Setting::parse(&text).with_context(|| path.display().to_string())
            }
        }
    }

    /// Makes it that of an archive, in one step.
    pub fn put(&self, archive: &Path) -> Result<()> {
        let path = archive.join(SETTING);
        let put = || -> Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(archive)?;
            file.write_all(self.to_text().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(fs::File::open(archive)?.sync_all()?)
        };
        put().with_context(|| path.display().to_string())
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(remote) = &self.remote {
            let write = if self.tiering.write_through { "through" } else { "back" };
            let keep = self.tiering.keep_bytes_max.map_or("all".to_owned(), |max| max.to_string());
            text.push_str(&format!("remote {remote}\nwrite {write}\nkeep {keep}\n"));
        }
        self.seal_to.iter().for_each(|key| text.push_str(&format!("seal-to {key}\n")));
        text.push_str(if self.pack { "pack yes\n" } else { "" });
        text
    }

    fn parse(text: &str) -> Result<Setting> {
        let mut lines = text.lines();
        ensure!(lines.next() == Some(HEADER), "it does not begin with {HEADER:?}");
        let mut setting = Setting::default();
        for line in lines {
            match line.split_once(' ') {
                Some(("remote", location)) => setting.remote = Some(location.parse()?),
                Some(("write", "back")) => setting.tiering.write_through = false,
                Some(("write", "through")) => setting.tiering.write_through = true,
                Some(("keep", "all")) => setting.tiering.keep_bytes_max = None,
                Some(("keep", bytes)) => {
                    let bytes = bytes.parse().with_context(|| format!("{line:?}"))?;
                    setting.tiering.keep_bytes_max = Some(bytes);
                }
                Some(("seal-to", key)) => setting.seal_to.push(key.to_owned()),
                Some(("pack", "yes")) => setting.pack = true,
                _ => bail!("the line {line:?} is not known"),
            }
        }
        ensure!(setting.to_text() == text, "its lines are not in their order");
        Ok(setting)
    }

    /// For whom works are sealed.
    pub fn recipients(&self) -> Result<Option<Recipients>> {
        match &self.seal_to[..] {
            [] => Ok(None),
            keys => Ok(Some(Recipients::parse(keys.iter().map(String::as_str))?)),
        }
    }
}

/// The works of an archive, without the log's lock. Nothing is sent anywhere yet.
pub(crate) fn works(archive: &Path) -> Result<Works> {
    works_as(archive, &Setting::of(archive)?)
}

/// The works of an archive, were this its setting.
pub(crate) fn works_as(archive: &Path, setting: &Setting) -> Result<Works> {
    let seal_to = setting.recipients()?;
    let remote = match &setting.remote {
        None => None,
        Some(location) => Some(Remote {
            store: open(location, archive)?,
            name: location.to_string(),
            tiering: setting.tiering,
        }),
    };
    let keeping =
        Keeping { dir: archive.join(BLOBS), remote, seal_to, identities: identities(archive)? };
    Ok(Works::open(keeping)?)
}

/// A store of blobs by itself.
pub(crate) fn open(location: &Location, archive: &Path) -> Result<Arc<dyn BlobStore>> {
    Ok(match location {
        Location::Files(dir) => Arc::new(FileStore::open(dir)?),
        Location::Ipfs(url) => Arc::new(IpfsStore::open(url, IpfsPatience::default())?),
        Location::S3 { endpoint, bucket, prefix, region } => {
            let (access_key, secret_key) = s3_keys(archive)?;
            Arc::new(S3Store::open(&S3Options {
                endpoint: endpoint.clone(),
                bucket: bucket.clone(),
                region: region.clone(),
                prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
                access_key,
                secret_key,
                patience: S3Patience::default(),
                spool: std::env::temp_dir(),
            })?)
        }
    })
}

/// The keys of a bucket: in the variables that every such program reads, or in the archive.
fn s3_keys(archive: &Path) -> Result<(String, String)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(key), Some(secret)) =
        (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
    {
        return Ok((key, secret));
    }
    let path = archive.join(S3_KEY);
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "a bucket needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or {} with both on a line each",
            path.display()
        )
    })?;
    let mut lines = text.lines();
    match (lines.next(), lines.next(), lines.next()) {
        (Some(key), Some(secret), None) => Ok((key.to_owned(), secret.to_owned())),
        _ => bail!("{} does not hold two lines: access key, secret key", path.display()),
    }
}

/// The keys that open sealed works, where the archive has any.
fn identities(archive: &Path) -> Result<Option<Identities>> {
    let path = archive.join(STORE_KEY);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => {
            let text = text.with_context(|| path.display().to_string())?;
            Identities::parse(&text).map(Some).with_context(|| path.display().to_string())
        }
    }
}

/// Whether new works are sealed and the archive has no key at all that opens any.
pub(crate) fn lacks_key(archive: &Path) -> Result<bool> {
    Ok(!Setting::of(archive)?.seal_to.is_empty() && identities(archive)?.is_none())
}

/// The operator's own key for sealed works, made where there is none. Returns its public half.
pub(crate) fn own_recipient(archive: &Path) -> Result<String> {
    let path = archive.join(STORE_KEY);
    if let Some(own) = identities(archive)? {
        return own_public(&own).with_context(|| path.display().to_string());
    }
    let (secret, public) = Identities::generate();
    let put = || -> Result<()> {
        let dir = archive.join("keys");
        // The whole key or none, and never in place of another. Nobody else may read such a file.
        let mut file = tempfile::NamedTempFile::new_in(&dir)?;
        // As `age-keygen` writes it.
        file.write_all(format!("# public key: {public}\n{}\n", secret.expose()).as_bytes())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&path)?;
        Ok(fs::File::open(dir)?.sync_all()?)
    };
    put().with_context(|| path.display().to_string())?;
    Ok(public)
}

/// The public half of the first key, as it follows from the secret one: a comment beside it may say anything.
fn own_public(own: &Identities) -> Result<String> {
    own.public_keys().into_iter().next().context("it holds no key")
}

/// Where the works of an archive lie and its records of them.
const BLOBS: &str = "blobs";
const SETTING: &str = "store";
const HEADER: &str = "timemark-store v1";
/// Keys of the stores, in the folder `keys`; either may be missing.
pub(crate) const KEYS: [&str; 2] = ["store.key", "s3.key"];
const STORE_KEY: &str = "keys/store.key";
const S3_KEY: &str = "keys/s3.key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_spelled_as_they_are_read() {
        for text in [
            "files:/srv/works",
            "ipfs:http://127.0.0.1:5001",
            "s3:http://127.0.0.1:3900/works?region=garage",
            "s3:https://s3.example/works/timemark/2026?region=eu-west-1",
            "s3:works?region=eu-west-1",
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        let bad =
            ["", "/srv/works", "files:", "ipfs:5001", "s3:http://127.0.0.1:3900", "s3:?region=x"];
        for text in bad.into_iter().chain(["s3:ftp://host/works", "s3:works?zone=1", "files:a b"]) {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_setting_is_read_as_it_is_written_and_nothing_else_is() {
        let setting = Setting {
            remote: Some("ipfs:http://127.0.0.1:5001".parse().unwrap()),
            tiering: Tiering { write_through: true, keep_bytes_max: Some(0) },
            seal_to: vec!["age1x".to_owned(), "age1y".to_owned()],
            pack: true,
        };
        for setting in [setting, Setting::default()] {
            assert_eq!(Setting::parse(&setting.to_text()).unwrap(), setting);
        }
        for bad in [
            "",
            "timemark-store v2\n",
            "timemark-store v1\nkeep some\n",
            "timemark-store v1\nx\n",
            "timemark-store v1\nkeep all\n",
        ] {
            assert!(Setting::parse(bad).is_err(), "{bad}");
        }
    }
}

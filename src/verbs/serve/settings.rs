//! What `timemark serve` is told by a file: whatever the command line does not say.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Serve;

/// The file, in TOML: the options of the command line by their names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    listen: Option<SocketAddr>,
    upload_max: Option<u64>,
    keep_suspects: Option<u64>,
    page: Option<PathBuf>,
    public_host: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    behind_proxy: bool,
    scan_root: Vec<PathBuf>,
    webhooks_to_private: bool,
    log: bool,
    otlp: Option<String>,
}

impl Serve {
    /// With what the file says: the one that is named, or that of the archive if there is one.
    pub(super) fn with_settings(mut self, archive: &Path) -> Result<Serve> {
        let (path, is_named) = match self.config.take() {
            Some(path) => (path, true),
            None => (archive.join(FILE), false),
        };
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && !is_named => return Ok(self),
            text => text.with_context(|| path.display().to_string())?,
        };
        let settings: Settings =
            toml::from_str(&text).with_context(|| path.display().to_string())?;
        self.fill_up(settings, path.parent().unwrap_or(Path::new(".")))
            .with_context(|| path.display().to_string())
    }

    /// Paths in the file are as seen from its folder.
    fn fill_up(self, settings: Settings, folder: &Path) -> Result<Serve> {
        let most = 1..=Serve::UPLOAD_MIB_MAX;
        ensure!(
            settings.upload_max.is_none_or(|mib| most.contains(&mib)),
            "upload-max is 1 to {}",
            Serve::UPLOAD_MIB_MAX
        );
        ensure!(
            settings.keep_suspects.is_none_or(|gib| gib <= Serve::SUSPECTS_GIB_MAX),
            "keep-suspects is 0 to {}",
            Serve::SUSPECTS_GIB_MAX
        );
        let below = |path: PathBuf| folder.join(path);
        let scan_root = match self.scan_root.is_empty() {
            true => settings.scan_root.into_iter().map(below).collect(),
            false => self.scan_root,
        };
        Ok(Serve {
            listen: self.listen.or(settings.listen),
            upload_max: self.upload_max.or(settings.upload_max),
            keep_suspects: self.keep_suspects.or(settings.keep_suspects),
            page: self.page.or(settings.page.map(below)),
            public_host: self.public_host.or(settings.public_host),
            tls_cert: self.tls_cert.or(settings.tls_cert.map(below)),
            tls_key: self.tls_key.or(settings.tls_key.map(below)),
            behind_proxy: self.behind_proxy || settings.behind_proxy,
            webhooks_to_private: self.webhooks_to_private || settings.webhooks_to_private,
            log: self.log || settings.log,
            otlp: self.otlp.or(settings.otlp),
            scan_root,
            ..self
        })
    }
}

/// In the archive.
const FILE: &str = "serve.toml";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    fn told(text: &str, line: &[&str]) -> Result<Serve> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join(FILE), text)?;
        let line = Line::try_parse_from(std::iter::once(&"serve").chain(line))?;
        line.serve.with_settings(folder.path())
    }

    #[test]
    fn the_file_says_what_the_command_line_does_not() {
        let text = "listen = '0.0.0.0:443'\nupload-max = 9\nlog = true\notlp = 'http://collector:4318'\nscan-root = ['crawls', '/srv']\n\
                    public-host = 'archive.example'\ntls-cert = 'tls/cert.pem'\ntls-key = '/k.pem'\n";
        let serve = told(text, &["--upload-max", "3", "--public-host", "other.example"]).unwrap();
        assert_eq!(serve.listen, Some("0.0.0.0:443".parse().unwrap()));
        assert_eq!(
            (serve.upload_max, serve.public_host.as_deref()),
            (Some(3), Some("other.example"))
        );
        assert_eq!(serve.otlp.as_deref(), Some("http://collector:4318"));
        assert!(serve.log && !serve.behind_proxy && !serve.webhooks_to_private);
        assert!(serve.scan_root[0].is_absolute() && serve.scan_root[0].ends_with("crawls"));
        assert_eq!(serve.scan_root[1], Path::new("/srv"));
        assert!(serve.tls_cert.unwrap().ends_with("tls/cert.pem"));
        assert_eq!(serve.tls_key.as_deref(), Some(Path::new("/k.pem")));
        let serve = told("scan-root = ['a']", &["--scan-root", "b"]).unwrap();
        assert_eq!(serve.scan_root, [Path::new("b")]);
    }

    #[test]
    fn what_the_file_should_not_say_is_told_with_its_name() {
        for text in ["liste = '127.0.0.1:1'", "listen = 8750", "upload-max = 0", "log", "log = 1"] {
            let error = told(text, &[]).unwrap_err();
            assert!(format!("{error:#}").contains(FILE), "{error:#}");
        }
        let line = Line::try_parse_from(["serve", "--config", "no/such.toml"]).unwrap();
        assert!(line.serve.with_settings(Path::new(".")).is_err(), "one that is named is there");
        let line = Line::try_parse_from(["serve"]).unwrap();
        assert!(line.serve.with_settings(Path::new("no/archive")).unwrap().listen.is_none());
    }
}

//! `timemark certificate`: a receipt on one page that can be read, printed and framed.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use timemark_certificate::{Attachment, Certificate as Page, CertificateError, Issued};
use timemark_ingest::media::MediaError;
use timemark_ingest::{Engine, PreviewError, preview};
use timemark_verify::{
    ExpertFile, Manifest, Policy, Receipt, Step, StepState, WorkDigests, expert_files, steps,
};

use crate::outcome::{
    Answer, error_words, json_text, legible, print_json, print_line, remark, utc,
};
use crate::verbs::verify::{digest, fate_words, read_receipt};
use crate::{open, trust};

/// Make a certificate of a receipt: a page in Chinese and English, as a PDF with the receipt inside
#[derive(clap::Args)]
pub(crate) struct Certificate {
    /// The receipt
    receipt: PathBuf,
    /// The work, which is compared with the receipt and drawn small; without it the archive's copy is drawn, if it
    /// has one
    #[arg(long, value_name = "FILE")]
    work: Option<PathBuf>,
    /// Whom to trust: a c2sp.org/tlog-policy file. Without it, whom the archive trusts
    #[arg(long, value_name = "POLICY")]
    policy: Option<PathBuf>,
    /// Where to put it; a file that says something else is not overwritten [default: beside the receipt, as
    /// `<file name>.certificate.pdf`]
    #[arg(long, value_name = "FILE.pdf")]
    out: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct CertificateJson {
    /// `issued`, `unchanged`, `refused` or `undecided`.
    status: &'static str,
    /// Where it lies.
    certificate: Option<String>,
    number: Option<String>,
    existed_by: Option<String>,
    trust: String,
    /// Why there is none.
    reason: Option<String>,
}

/// Whom the certificate trusts, and how to say it.
struct Trust {
    policy: Vec<u8>,
    words: String,
}

impl Certificate {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let trust = self.trust(archive)?;
        let bytes = read_receipt(&self.receipt)?;
        let receipt = Receipt::parse(&bytes).with_context(|| self.receipt.display().to_string())?;
        let line = match self.issue(&receipt, &trust, archive)? {
            Ok(issued) => {
                let path = self.out.clone().unwrap_or_else(|| beside(&self.receipt));
                let status = if put(&path, &issued.pdf)? { "issued" } else { "unchanged" };
                CertificateJson {
                    status,
                    certificate: Some(json_text(path.as_os_str().as_encoded_bytes())),
                    number: Some(issued.number),
                    existed_by: issued.verdict.existed_by.map(utc),
                    trust: trust.words,
                    reason: None,
                }
            }
            Err(CertificateError::Refused(refusal)) => CertificateJson {
                status: if refusal.is_undecided() { "undecided" } else { "refused" },
                certificate: None,
                number: None,
                existed_by: None,
                trust: trust.words,
                reason: Some(error_words(refusal)),
            },
            Err(error) => return Err(error.into()),
        };
        if self.json {
            print_json(&line)?;
        } else {
            line.say(&self.receipt)?;
        }
        // The page says what the receipt says; who frames it should know.
        if let Some(words) = open::fate(archive, &receipt).ok().flatten().and_then(fate_words) {
            remark(&format!("{}: {words}", self.receipt.display()));
        }
        Ok(match line.status {
            "refused" => Answer::No,
            "undecided" => Answer::CouldNotTell,
            _ => Answer::Yes,
        })
    }

    fn trust(&self, archive: &Path) -> Result<Trust> {
        let (policy, words) = match &self.policy {
            Some(path) => {
                let policy = fs::read(path).with_context(|| path.display().to_string())?;
                Policy::parse(&policy).with_context(|| path.display().to_string())?;
                (policy, format!("the policy {}", path.display()))
            }
            None => {
                let policy = trust::policy_text(archive).context(
                    "a certificate says what a receipt proves to who trusts somebody: name a --policy or an \
                     --archive",
                )?;
                (policy.into_bytes(), format!("what the archive {} trusts", archive.display()))
            }
        };
        Ok(Trust { policy, words })
    }

    fn issue(
        &self,
        receipt: &Receipt,
        trust: &Trust,
        archive: &Path,
    ) -> Result<Result<Issued, CertificateError>> {
        let work = match &self.work {
            Some(path) => digest(path).with_context(|| path.display().to_string())?,
            None => receipt.claim.work,
        };
        let name = self.work.as_deref().and_then(Path::file_name).map(legible);
        // A file of another's is not worth drawing, nor safe to.
        let is_it = work == receipt.claim.work;
        let thumbnail = if is_it { self.thumbnail(receipt, archive) } else { None };
        Ok(issued(&work, receipt, &trust.policy, name.as_deref(), thumbnail.as_deref()))
    }

    /// The work drawn small. That there is none to draw is no failure.
    fn thumbnail(&self, receipt: &Receipt, archive: &Path) -> Option<Vec<u8>> {
        let drawn = match &self.work {
            Some(path) => File::open(path)
                .map_err(Into::into)
                .and_then(|file| preview(file, THUMBNAIL_SIDE_MAX)),
            None if !archive.exists() => return None,
            None => match open::stored_work(archive, &receipt.claim.work.content()) {
                Ok(Some(work)) => preview(work, THUMBNAIL_SIDE_MAX),
                Ok(None) => return None,
                Err(error) => {
                    remark(&format!("the certificate shows no picture: {error:#}"));
                    return None;
                }
            },
        };
        shown(drawn)
    }
}

impl CertificateJson {
    fn say(&self, receipt: &Path) -> Result<()> {
        let Some(certificate) = &self.certificate else {
            let reason = self.reason.as_deref().unwrap_or_default();
            let status = self.status.to_uppercase();
            print_line(&format!("{status}  {}: no certificate", legible(receipt)))?;
            print_line(&format!("  {}", legible(reason)))?;
            if self.status == "undecided" {
                print_line("  `timemark receipt refresh` may add what is missing")?;
            }
            return print_line(&format!("  trust       {}", legible(&self.trust)));
        };
        print_line(&format!("{:<11} {}", self.status, legible(certificate)))?;
        print_line(&format!("  number      {}", self.number.as_deref().unwrap_or_default()))?;
        let existed = self.existed_by.as_deref().unwrap_or("no date is proven");
        print_line(&format!("  existed by  {existed}"))?;
        print_line(&format!("  trust       {}", legible(&self.trust)))
    }
}

/// Issues the certificate of a work that may be drawn from this archive, or is not to be shown.
pub(crate) fn of_stored(
    receipt: &Receipt,
    policy: &[u8],
    archive: Option<&Engine>,
) -> Result<Issued, CertificateError> {
    let work = receipt.claim.work.content();
    let drawn = archive.and_then(|engine| shown(engine.preview(&work, THUMBNAIL_SIDE_MAX)));
    issued(&receipt.claim.work, receipt, policy, None, drawn.as_deref())
}

/// Issues a certificate with everything that experts need attached.
fn issued(
    work: &WorkDigests,
    receipt: &Receipt,
    policy: &[u8],
    file_name: Option<&str>,
    thumbnail: Option<&[u8]>,
) -> Result<Issued, CertificateError> {
    let read = Policy::parse(policy)?;
    let attachments = attachments(receipt, policy, &read);
    let commands = commands(receipt, &read);
    let page = Page {
        work,
        receipt,
        policy,
        file_name,
        thumbnail,
        attachments: &attachments,
        commands: &commands,
    };
    page.issue()
}

/// The picture, if there is one. That there is none to draw is no failure.
fn shown(drawn: Result<Vec<u8>, PreviewError>) -> Option<Vec<u8>> {
    match drawn {
        Ok(jpeg) => Some(jpeg),
        Err(PreviewError::Media(MediaError::NotAPicture)) => None,
        Err(error) => {
            remark(&format!("the certificate shows no picture: {}", error_words(error)));
            None
        }
    }
}

/// What lies in the PDF beside the receipt, for who checks it without us.
fn attachments(receipt: &Receipt, policy: &[u8], read: &Policy) -> Vec<Attachment> {
    let about = "The policy under which this certificate was issued";
    let policy = ExpertFile { name: Manifest::POLICY.to_owned(), bytes: policy.to_vec() };
    let about_all =
        "For checking with sha256sum, openssl or Go; the page tells some of the commands";
    let others = expert_files(receipt, Some(read)).into_iter().map(|file| (file, about_all));
    let attachment = |(file, about): (ExpertFile, &str)| Attachment {
        media_type: media_type(&file.name).to_owned(),
        name: file.name,
        bytes: file.bytes,
        description: about.to_owned(),
    };
    std::iter::once((policy, about)).chain(others).map(attachment).collect()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("txt" | "go") => "text/plain",
        Some("pem") => "application/x-pem-file",
        Some("tsr") => "application/timestamp-reply",
        _ => "application/octet-stream",
    }
}

/// How anybody checks digests, the log's signatures and the time-stamps with what every system has. The page has no
/// room for all checks; these are those that need nothing but `sha256sum` and any `openssl` of this decade.
fn commands(receipt: &Receipt, policy: &Policy) -> Vec<(&'static str, String)> {
    let work = Some(&receipt.claim.work);
    let checks = steps(work, "FILE", receipt, Some(policy), None).into_iter();
    let command = |step: Step| {
        let what = match step.check {
            "work.sha256" => "SHA-256",
            "work.sm3" => "SM3",
            "anchor.signature" if step.command.contains("-sm3") => "SM2 签名 signature",
            "anchor.timestamp" if step.state == StepState::Passed => "时间戳 time-stamp",
            _ => return None,
        };
        Some((what, step.command))
    };
    checks.filter_map(command).collect()
}

/// `photo.jpg.timemark` gets `photo.jpg.certificate.pdf`.
fn beside(receipt: &Path) -> PathBuf {
    let of_receipt = receipt.extension().is_some_and(|e| e == Receipt::FILE_EXTENSION);
    let stem = if of_receipt { receipt.file_stem() } else { receipt.file_name() };
    let stem = stem.unwrap_or_default();
    // A name that is as long as names may be is cut, and then no longer what the work is called.
    let mut name = stem.to_owned();
    if name.len() + EXTENSION.len() > NAME_BYTES_MAX {
        let text = stem.to_string_lossy();
        name = text[..text.floor_char_boundary(NAME_BYTES_MAX - EXTENSION.len())].into();
    }
    name.push(EXTENSION);
    receipt.with_file_name(name)
}

/// Puts the file there, whole or not at all, and returns whether it was not there before. What says something else is
/// left alone: it may be the certificate of an earlier state of the receipt.
fn put(path: &Path, pdf: &[u8]) -> Result<bool> {
    let write = || -> std::io::Result<bool> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".timemark-").tempfile_in(dir)?;
        file.write_all(pdf)?;
        // Temporary files are private; a certificate is made to be shown.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.error),
        }
    };
    let is_new = write().with_context(|| path.display().to_string())?;
    if !is_new && !fs::read(path).is_ok_and(|there| there == pdf) {
        bail!("{} is another file and is left alone; name one with --out", path.display());
    }
    Ok(is_new)
}

/// Longer side of the thumbnail in pixels: 300 dots an inch where it is drawn.
const THUMBNAIL_SIDE_MAX: u32 = 492;
const EXTENSION: &str = ".certificate.pdf";
/// Longest file name that file systems take.
const NAME_BYTES_MAX: usize = 255;

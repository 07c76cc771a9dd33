//! The evidence bundle: works, receipts and what belongs to them in one zip file that verifies by itself.
//!
//! The zip has one spelling: entries are stored, in the order of the manifest, with no field that could hold anything
//! else. So it is read as a stream, in the memory of its receipts, and every bit of it is checked: the contents by the
//! manifest, which is itself a registered work, the rest by being what a writer would have written. Any unzip program
//! opens it. docs/formats.md defines it; [`local_header`] and [`end_of_archive`] are for who writes one.

use std::collections::{BTreeMap, HashMap, HashSet};

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::outcome::check_in_chinese;
use crate::text::{decimal, hides};
use crate::{
    Answer, FormatError, Outcome, Policy, Receipt, Trust, TrustSource, TrustTold, WorkDigests,
    WorkHasher,
};

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
        let mut paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        paths.sort_unstable();
        let own = [Manifest::NAME.to_owned(), Manifest::receipt_of(Manifest::NAME)];
        if paths.windows(2).any(|two| two[0] == two[1])
            || paths.iter().any(|path| own.iter().any(|own| own == path))
        {
            return Err(bad("a file stands twice".to_owned()));
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
            && !part.starts_with('.')
            && !part.contains(|c: char| hides(c) || r#"\:*?"<>|"#.contains(c))
    };
    path.len() <= PATH_BYTES_MAX && path.split('/').all(part)
}

/// Why a bundle proves nothing: the first check that failed, and at which file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct BundleFault {
    /// The name of the check, such as `bundle.file`.
    pub check: &'static str,
    /// The file in the bundle, or `bundle`.
    pub at: String,
    /// What is wrong.
    pub reason: String,
}

/// Reads a bundle while it streams by.
pub struct BundleReader {
    state: State,
    /// What is read to be looked at as a whole: a header, or what follows the last file.
    head: Vec<u8>,
    entries: Vec<Entry>,
    offset: u64,
    manifest: Option<Manifest>,
    /// Which paths have a receipt in the bundle, so that all their digests are computed.
    with_receipt: HashSet<String>,
    works: HashMap<String, WorkDigests>,
    kept: BTreeMap<String, Vec<u8>>,
    kept_bytes: usize,
}

enum State {
    Header,
    Name { length: usize },
    Contents(Box<Contents>),
    End,
}

struct Contents {
    entry: Entry,
    left: u64,
    sha256: Sha256,
    crc: crc32fast::Hasher,
    work: Option<WorkHasher>,
    kept: Option<Vec<u8>>,
}

/// An entry of the zip, for its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// CRC-32 of its bytes.
    pub crc: u32,
    /// How many there are.
    pub length: u32,
    /// Where its header stands.
    pub offset: u32,
}

impl Default for BundleReader {
    fn default() -> BundleReader {
        BundleReader {
            state: State::Header,
            head: Vec::new(),
            entries: Vec::new(),
            offset: 0,
            manifest: None,
            with_receipt: HashSet::new(),
            works: HashMap::new(),
            kept: BTreeMap::new(),
            kept_bytes: 0,
        }
    }
}

impl BundleReader {
    /// Whether a file that begins with these bytes says it is a bundle: a zip whose first entry is the manifest.
    pub fn is_bundle(start: &[u8]) -> bool {
        let name = LOCAL_HEADER_BYTES..LOCAL_HEADER_BYTES + Manifest::NAME.len();
        start.starts_with(LOCAL_SIGNATURE) && start.get(name) == Some(Manifest::NAME.as_bytes())
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), BundleFault> {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Contents(contents) => contents.take(bytes),
                State::Header | State::Name { .. } | State::End => {
                    let wanted = match &self.state {
                        State::Header => LOCAL_HEADER_BYTES,
                        State::Name { length } => LOCAL_HEADER_BYTES + length,
                        _ => usize::MAX,
                    };
                    let taken = bytes.len().min(wanted - self.head.len());
                    self.head.extend_from_slice(&bytes[..taken]);
                    taken
                }
            };
            bytes = &bytes[taken..];
            self.offset += taken as u64;
            if self.offset > BYTES_MAX {
                return Err(fault(ZIP, "bundle", format!("longer than {BYTES_MAX} bytes")));
            }
            self.advance()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), BundleFault> {
        match &self.state {
            State::Header if self.head.starts_with(DIRECTORY_SIGNATURE) => {
                self.state = State::End;
            }
            State::Header if self.head.len() == LOCAL_HEADER_BYTES => {
                let length = u16::from_le_bytes([self.head[26], self.head[27]]).into();
                if length == 0 || length > PATH_BYTES_MAX {
                    return Err(fault(ZIP, "bundle", "a file has an impossible name"));
                }
                self.state = State::Name { length };
            }
            State::Name { length } if self.head.len() == LOCAL_HEADER_BYTES + length => {
                self.begin()?;
                self.finish_empty()?;
            }
            State::Contents(contents) if contents.left == 0 => self.end_contents()?,
            State::End if self.head.len() as u64 > end_bytes_max(&self.entries) => {
                return Err(fault(ZIP, "bundle", "something follows its end"));
            }
            _ => {}
        }
        Ok(())
    }

    /// A header and a name are here: which file is this, and may it stand here?
    fn begin(&mut self) -> Result<(), BundleFault> {
        let head = std::mem::take(&mut self.head);
        let (header, name) = head.split_at(LOCAL_HEADER_BYTES);
        let path = String::from_utf8_lossy(name).into_owned();
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let offset = u32::try_from(self.offset - head.len() as u64).unwrap_or(u32::MAX);
        let entry = Entry { path, crc: number(14), length: number(18), offset };
        if local_header(&entry) != head {
            return Err(fault(ZIP, &entry.path, "its header is not as a writer writes it"));
        }
        let expected = match (self.entries.len(), &self.manifest) {
            (0, _) => Manifest::NAME.to_owned(),
            (1, _) => Manifest::receipt_of(Manifest::NAME),
            (at, Some(manifest)) => match manifest.files.get(at - 2) {
                Some(file) => file.path.clone(),
                None => return Err(fault(FILE, &entry.path, "the manifest does not list it")),
            },
            (_, None) => return Err(fault(MANIFEST, Manifest::NAME, "it was not read")),
        };
        if entry.path != expected {
            let reason = format!("{expected} should stand in its place");
            return Err(fault(FILE, &entry.path, reason));
        }
        let length_max = match self.entries.len() {
            0 => Some(Manifest::BYTES_MAX),
            _ if entry.path.ends_with(&format!(".{}", Receipt::FILE_EXTENSION)) => {
                Some(Receipt::BYTES_MAX)
            }
            _ if entry.path == Manifest::POLICY => Some(Policy::BYTES_MAX),
            _ => None,
        };
        let length = entry.length as usize;
        if length_max.is_some_and(|max| length > max) {
            return Err(fault(FILE, &entry.path, format!("{length} bytes are too many for it")));
        }
        if length_max.is_some() {
            self.kept_bytes += length;
            if self.kept_bytes > KEPT_BYTES_MAX {
                let reason = format!("receipts of more than {KEPT_BYTES_MAX} bytes together");
                return Err(fault(ZIP, &entry.path, reason));
            }
        }
        let is_work = self.entries.is_empty() || self.with_receipt.contains(&entry.path);
        self.state = State::Contents(Box::new(Contents {
            left: entry.length.into(),
            entry,
            sha256: Sha256::new(),
            crc: crc32fast::Hasher::new(),
            work: is_work.then(WorkHasher::new),
            kept: length_max.map(|_| Vec::new()),
        }));
        Ok(())
    }

    fn finish_empty(&mut self) -> Result<(), BundleFault> {
        match &self.state {
            State::Contents(contents) if contents.left == 0 => self.end_contents(),
            _ => Ok(()),
        }
    }

    fn end_contents(&mut self) -> Result<(), BundleFault> {
        let State::Contents(contents) = std::mem::replace(&mut self.state, State::Header) else {
            return Ok(());
        };
        let Contents { entry, sha256, crc, work, kept, .. } = *contents;
        let path = entry.path.clone();
        if crc.finalize() != entry.crc {
            return Err(fault(FILE, &path, "it is damaged: its checksum is another"));
        }
        let number = self.entries.len();
        let work = work.map(WorkHasher::finish);
        let sha256 = work.map_or_else(|| sha256.finalize().into(), |work| work.sha256);
        if let Some(file) = self.listed(number) {
            if u64::from(entry.length) != file.length {
                return Err(fault(FILE, &path, "its length is not that of the manifest"));
            }
            if sha256 != file.sha256 {
                return Err(fault(FILE, &path, "its SHA-256 is not that of the manifest"));
            }
        }
        if let Some(work) = work {
            self.works.insert(path.clone(), work);
        }
        if number == 0 {
            let bytes = kept.as_deref().unwrap_or_default();
            let manifest = Manifest::parse(bytes)
                .map_err(|error| fault(MANIFEST, Manifest::NAME, error.to_string()))?;
            let receipts = manifest.files.iter().filter_map(|file| work_of(&file.path));
            self.with_receipt = receipts.map(str::to_owned).collect();
            self.manifest = Some(manifest);
        } else if let Some(kept) = kept {
            self.kept.insert(path, kept);
        }
        self.entries.push(entry);
        Ok(())
    }

    fn listed(&self, number: usize) -> Option<&ManifestFile> {
        self.manifest.as_ref()?.files.get(number.checked_sub(2)?)
    }

    /// All bytes are in.
    pub fn finish(self) -> Result<Bundle, BundleFault> {
        let cut =
            |what: &str| fault("bundle.missing", "bundle", format!("it is cut short: {what}"));
        let Some(manifest) = self.manifest else { return Err(cut("it has no manifest")) };
        if let Some(next) = manifest.files.get(self.entries.len().saturating_sub(2)) {
            return Err(fault("bundle.missing", &next.path, "it is not in the bundle"));
        }
        if !matches!(self.state, State::End) || self.entries.len() < 2 {
            return Err(cut("its directory is missing"));
        }
        if self.head != end_of_archive(&self.entries) {
            return Err(fault(ZIP, "bundle", "its directory is not as a writer writes it"));
        }
        let mut kept = self.kept;
        let manifest_receipt =
            kept.remove(&Manifest::receipt_of(Manifest::NAME)).unwrap_or_default();
        let policy = kept.remove(Manifest::POLICY);
        let Some(manifest_work) = self.works.get(Manifest::NAME).copied() else {
            return Err(cut("its manifest was not read"));
        };
        let item = |(path, receipt): (String, Vec<u8>)| {
            let work = work_of(&path).and_then(|work| self.works.get(work).copied());
            BundleItem { path, receipt, work }
        };
        let mut items: Vec<BundleItem> = Vec::new();
        for file in manifest.files.iter().filter(|file| work_of(&file.path).is_some()) {
            items.extend(kept.remove_entry(&file.path).map(item));
        }
        Ok(Bundle { manifest, manifest_work, manifest_receipt, policy, items, bytes: self.offset })
    }
}

impl Contents {
    fn take(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let bytes = &bytes[..taken];
        self.left -= taken as u64;
        self.crc.update(bytes);
        match &mut self.work {
            Some(work) => work.update(bytes),
            None => self.sha256.update(bytes),
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        taken
    }
}

/// A bundle that was read and whose files are those of its manifest. Nothing else of it is checked yet.
pub struct Bundle {
    /// What is in it.
    pub manifest: Manifest,
    manifest_work: WorkDigests,
    manifest_receipt: Vec<u8>,
    /// The policy that lies in it.
    pub policy: Option<Vec<u8>>,
    /// Its receipts, in order.
    pub items: Vec<BundleItem>,
    /// How long it is.
    pub bytes: u64,
}

/// A receipt in a bundle.
pub struct BundleItem {
    /// Where the receipt lies.
    pub path: String,
    /// Its bytes.
    pub receipt: Vec<u8>,
    /// The digests of its work, where that lies in the bundle too.
    pub work: Option<WorkDigests>,
}

/// What a bundle proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleOutcome {
    /// `bundle`.
    pub subject: &'static str,
    /// The answer: the worst of those about manifest and items.
    pub verdict: Answer,
    /// The first check that failed, or what is missing.
    pub check: Option<&'static str>,
    /// The answer in a sentence.
    pub reason: String,
    /// The same in Chinese.
    pub reason_zh: String,
    /// The file at which the check failed.
    pub at: Option<String>,
    /// What the bundle is for.
    pub profile: Option<&'static str>,
    /// How many files it has beside manifest and receipt of the manifest.
    pub files: usize,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of the policy inside, in hex.
    pub policy_sha256: Option<String>,
    /// The policy that the answer rests on.
    pub trust: Option<TrustTold>,
    /// By when everything in it existed: what the manifest's receipt proves, where all is verified.
    pub existed_by: Option<String>,
    /// What the receipt of the manifest proves.
    pub manifest: Option<Outcome>,
    /// What each receipt proves.
    pub items: Vec<ItemOutcome>,
}

/// What a receipt in a bundle proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemOutcome {
    /// Counted from 1.
    pub number: usize,
    /// Where the receipt lies.
    pub path: String,
    /// `present` or `absent`: an absent work is judged by the digests that its receipt claims.
    pub work: &'static str,
    /// What it proves.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Bundle {
    /// SHA-256 of the policy inside, in hex.
    pub fn policy_sha256(&self) -> Option<String> {
        self.policy.as_ref().map(|policy| HEXLOWER.encode(&Sha256::digest(policy)))
    }

    /// What the bundle proves under a policy from outside, or under the one inside if its digest is `confirmed`.
    /// With neither the answer is undecided at best: whoever hands in a bundle chooses what is in it.
    pub fn outcome(&self, given: Option<Trust>, confirmed: Option<&str>) -> BundleOutcome {
        let inside = match confirmed.and_then(|confirmed| self.confirmed(confirmed)) {
            Some(Err(error)) => {
                let fault = fault("policy.format", Manifest::POLICY, error.to_string());
                return BundleOutcome::of_fault(&fault);
            }
            Some(Ok(inside)) => Some(inside),
            None => None,
        };
        let inside = inside.as_ref().map(|(policy, told)| Trust { policy, told });
        let trust = given.or(inside);
        let manifest = self.manifest_outcome(trust, false);
        let items: Vec<ItemOutcome> = (1..)
            .zip(&self.items)
            .map(|(number, item)| ItemOutcome {
                number,
                path: item.path.clone(),
                work: if item.work.is_some() { "present" } else { "absent" },
                outcome: item.outcome(trust, false),
            })
            .collect();
        let mut outcome = BundleOutcome {
            profile: Some(self.manifest.profile.name()),
            files: self.manifest.files.len(),
            bytes: self.bytes,
            policy_sha256: self.policy_sha256(),
            trust: trust.map(|trust| trust.told.clone()),
            ..BundleOutcome::empty()
        };
        outcome.conclude(&manifest, &items);
        BundleOutcome { manifest: Some(manifest), items, ..outcome }
    }

    /// The policy inside, if this is its SHA-256 in hex.
    pub fn confirmed(&self, sha256: &str) -> Option<Result<(Policy, TrustTold), FormatError>> {
        let policy =
            self.policy.as_ref().filter(|_| self.policy_sha256().as_deref() == Some(sha256))?;
        let told = TrustTold { sha256: sha256.to_owned(), source: TrustSource::Bundle };
        Some(Policy::parse(policy).map(|policy| (policy, told)))
    }

    /// The receipt of the manifest.
    pub fn manifest_receipt(&self) -> &[u8] {
        &self.manifest_receipt
    }

    /// What the receipt of the manifest proves, with every step if `explained`.
    pub fn manifest_outcome(&self, trust: Option<Trust>, explained: bool) -> Outcome {
        let work = Some(&self.manifest_work);
        outcome(&self.manifest_receipt, work, Manifest::NAME, trust, explained)
    }
}

impl BundleItem {
    /// What it proves, with every step if `explained`.
    pub fn outcome(&self, trust: Option<Trust>, explained: bool) -> Outcome {
        let name = work_of(&self.path).unwrap_or(&self.path);
        outcome(&self.receipt, self.work.as_ref(), name, trust, explained)
    }
}

fn outcome(
    receipt: &[u8],
    work: Option<&WorkDigests>,
    name: &str,
    trust: Option<Trust>,
    explained: bool,
) -> Outcome {
    let receipt = match Receipt::parse(receipt) {
        Ok(receipt) => receipt,
        Err(error) => return Outcome::of_unreadable(&error),
    };
    let outcome = match work {
        Some(work) => Outcome::of_receipt(work, name, &receipt, trust),
        None => Outcome::of_receipt_alone(&receipt, trust),
    };
    if explained {
        outcome.explained(work, name, &receipt, trust.map(|trust| trust.policy))
    } else {
        outcome
    }
}

impl BundleOutcome {
    /// Of a bundle that could not be read.
    pub fn of_fault(fault: &BundleFault) -> BundleOutcome {
        BundleOutcome {
            check: Some(fault.check),
            reason: fault.to_string(),
            reason_zh: format!(
                "{}（{}：{}）",
                check_in_chinese(fault.check),
                fault.at,
                fault.reason
            ),
            at: Some(fault.at.clone()),
            ..BundleOutcome::empty()
        }
    }

    fn empty() -> BundleOutcome {
        BundleOutcome {
            subject: "bundle",
            verdict: Answer::Refused,
            check: None,
            reason: String::new(),
            reason_zh: String::new(),
            at: None,
            profile: None,
            files: 0,
            bytes: 0,
            policy_sha256: None,
            trust: None,
            existed_by: None,
            manifest: None,
            items: Vec::new(),
        }
    }

    /// The worst answer is the bundle's, and the first that gives it is named.
    fn conclude(&mut self, manifest: &Outcome, items: &[ItemOutcome]) {
        let all = std::iter::once((Manifest::NAME, manifest))
            .chain(items.iter().map(|item| (item.path.as_str(), &item.outcome)));
        self.verdict = Answer::Verified;
        for (at, outcome) in all {
            if outcome.verdict > self.verdict {
                self.verdict = outcome.verdict;
                self.check = outcome.check;
                self.at = Some(at.to_owned());
                self.reason = format!("{at}: {}", outcome.reason);
                self.reason_zh = format!("{at}：{}", outcome.reason_zh);
            }
        }
        if self.verdict == Answer::Verified {
            self.existed_by.clone_from(&manifest.existed_by);
            let (items, files) = (items.len(), self.files);
            self.reason = format!(
                "every file is the registered one: {items} receipts over {files} files hold"
            );
            self.reason_zh =
                format!("全部文件与登记一致：{files} 个文件、{items} 份收据均通过核验");
        }
    }
}

/// The file of which this one is the receipt, by its name.
fn work_of(path: &str) -> Option<&str> {
    path.strip_suffix(Receipt::FILE_EXTENSION)?.strip_suffix('.')
}

/// What stands before the bytes of an entry (APPNOTE section 4.3.7).
pub fn local_header(entry: &Entry) -> Vec<u8> {
    [LOCAL_SIGNATURE, &shared_fields(entry), entry.path.as_bytes()].concat()
}

/// What stands behind the last entry: the directory and its end (APPNOTE sections 4.3.12 and 4.3.16).
pub fn end_of_archive(entries: &[Entry]) -> Vec<u8> {
    let mut end = Vec::new();
    let offset = entries.last().map_or(0, |last| {
        u64::from(last.offset)
            + (LOCAL_HEADER_BYTES + last.path.len()) as u64
            + u64::from(last.length)
    });
    for entry in entries {
        end.extend_from_slice(DIRECTORY_SIGNATURE);
        end.extend_from_slice(&[20, 3]); // made by version 2.0 on Unix, so that names are taken as they are
        end.extend_from_slice(&shared_fields(entry));
        end.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0xA4, 0x81]); // a plain file, mode 0644
        end.extend_from_slice(&entry.offset.to_le_bytes());
        end.extend_from_slice(entry.path.as_bytes());
    }
    let count = u16::try_from(entries.len()).unwrap_or(u16::MAX).to_le_bytes();
    let size = u32::try_from(end.len()).unwrap_or(u32::MAX).to_le_bytes();
    let offset = u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes();
    end.extend_from_slice(END_SIGNATURE);
    end.extend_from_slice(&[0; 4]); // one disk
    for field in [&count[..], &count, &size, &offset, &[0; 2]] {
        end.extend_from_slice(field);
    }
    end
}

/// The fields that header and directory share: version 2.0, UTF-8 names, stored, the first day of 1980.
fn shared_fields(entry: &Entry) -> Vec<u8> {
    let length = entry.length.to_le_bytes();
    let name = u16::try_from(entry.path.len()).unwrap_or(u16::MAX).to_le_bytes();
    let fixed = [20, 0, 0x00, 0x08, 0, 0, 0, 0, 0x21, 0];
    [&fixed[..], &entry.crc.to_le_bytes(), &length, &length, &name, &[0; 2]].concat()
}

/// As long as the directory of these entries can be.
fn end_bytes_max(entries: &[Entry]) -> u64 {
    let names: usize = entries.iter().map(|entry| entry.path.len()).sum();
    (46 * entries.len() + names + 22) as u64
}

fn fault(check: &'static str, at: &str, reason: impl Into<String>) -> BundleFault {
    BundleFault { check, at: at.to_owned(), reason: reason.into() }
}

const ZIP: &str = "bundle.zip";
const MANIFEST: &str = "bundle.manifest";
const FILE: &str = "bundle.file";
/// A zip without extensions counts bytes in 32 bits.
const BYTES_MAX: u64 = u32::MAX as u64;
/// Most bytes of receipts that are kept in memory.
const KEPT_BYTES_MAX: usize = 1 << 30;
const PATH_BYTES_MAX: usize = 512;
const LOCAL_HEADER_BYTES: usize = 30;
const LOCAL_SIGNATURE: &[u8] = b"PK\x03\x04";
const DIRECTORY_SIGNATURE: &[u8] = b"PK\x01\x02";
const END_SIGNATURE: &[u8] = b"PK\x05\x06";

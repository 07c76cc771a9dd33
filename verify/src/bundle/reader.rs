//! A bundle as it streams by: every file in its turn, with its digests; receipts are kept, works are not.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::manifest::PATH_BYTES_MAX;
use super::zip::{
    BYTES_MAX, DIRECTORY_SIGNATURE, Entry, LOCAL_HEADER_BYTES, LOCAL_SIGNATURE, end_bytes_max,
    end_of_archive, local_header,
};
use super::{BundleFault, FILE, MANIFEST, MISSING, Manifest, ManifestFile, ZIP, fault, work_of};
use crate::{Policy, Receipt, WorkDigests, WorkHasher};

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
        let cut = |what: &str| fault(MISSING, "bundle", format!("it is cut short: {what}"));
        let Some(manifest) = self.manifest else { return Err(cut("it has no manifest")) };
        if let Some(next) = manifest.files.get(self.entries.len().saturating_sub(2)) {
            return Err(fault(MISSING, &next.path, "it is not in the bundle"));
        }
        if !matches!(self.state, State::End) || self.entries.len() < 2 {
            return Err(cut("its directory is missing"));
        }
        if self.head != end_of_archive(&self.entries) {
            return Err(fault(ZIP, "bundle", "its directory is not as a writer writes it"));
        }
        let is_alone = |path: &str| {
            let is_work = path.starts_with(WORKS) && work_of(path).is_none();
            is_work && !path.ends_with(CERTIFICATE) && !self.with_receipt.contains(path)
        };
        if let Some(file) = manifest.files.iter().find(|file| is_alone(&file.path)) {
            return Err(fault(MISSING, &file.path, "this work has no receipt"));
        }
        if self.with_receipt.is_empty() {
            return Err(fault(MISSING, "bundle", "it has no receipt of any work"));
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
    pub(super) manifest_work: WorkDigests,
    pub(super) manifest_receipt: Vec<u8>,
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

/// Where works lie, each with its receipt.
const WORKS: &str = "works/";
const CERTIFICATE: &str = ".certificate.pdf";
/// Most bytes of receipts that are kept in memory.
const KEPT_BYTES_MAX: usize = 1 << 30;

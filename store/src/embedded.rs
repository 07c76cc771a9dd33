//! A registry in one file, kept by redb.
//!
//! Most commits are not durable, as the log holds everything this file does; now and then one is,
//! so that what redb keeps in memory for the others stays bounded. After a crash the file is as the
//! last durable commit left it; where it is opened again because its disk failed, the others are taken
//! in anew.

use std::error::Error;
use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::str;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use sha2::{Digest, Sha256};
use timemark_tables::{Fault, TableFile};
use timemark_verify::{Act, Claim, ContentId, Leaf};

use crate::registry::{Amended, Record, Registry, RegistryError, amends, check_advance};

/// Index → bytes of the leaf, then the text of the claim, or nothing where it is erased.
const WORKS: TableDefinition<u64, &[u8]> = TableDefinition::new("works");
/// Work and index, so that the registrations of a work lie side by side.
const BY_CONTENT: TableDefinition<(&[u8; 32], u64), ()> = TableDefinition::new("by_content");
/// Work, digest of who claims it, and index, so that those of one claimant are found among any number of others.
const BY_CLAIMANT: TableDefinition<(&[u8; 32], &[u8; 32], u64), ()> =
    TableDefinition::new("by_claimant");
/// Collection and index.
const BY_COLLECTION: TableDefinition<(&str, u64), ()> = TableDefinition::new("by_collection");
/// How many registrations each collection has.
const COLLECTIONS: TableDefinition<&str, u64> = TableDefinition::new("collections");
/// Index of a claim → index of the one that amends it, and whether that withdraws it.
const AMENDED: TableDefinition<u64, (u64, bool)> = TableDefinition::new("amended");
/// `version` of these tables, and `len`.
const STATE: TableDefinition<&str, u64> = TableDefinition::new("state");
/// 1 had no table of amendments, 2 none of claimants. What is of another version is filled again from the log.
const VERSION: u64 = 3;

/// The works of a log in one redb file.
pub struct EmbeddedRegistry {
    tables: TableFile<RegistryError>,
    /// About how much has been written since the last durable commit; held by whoever writes.
    pending_bytes: Mutex<u64>,
    /// What that was: the records of each advance, and how many entries were in after it.
    unflushed: Unflushed,
}

type Unflushed = Arc<Mutex<Vec<(Vec<Record>, u64)>>>;

impl EmbeddedRegistry {
    /// The file's name within its folder.
    pub const FILE: &str = "works.redb";

    /// Opens the registry in this folder, making it where there is none.
    pub fn open(dir: &Path) -> Result<EmbeddedRegistry, RegistryError> {
        let path = dir.join(Self::FILE);
        fs::create_dir_all(dir)
            .map_err(|source| RegistryError::Io { path: dir.to_owned(), source })?;
        let make = |builder: &mut Builder| {
            let database = builder.create(&path)?;
            prepare(&database)?;
            Ok(database)
        };
        let unflushed = Unflushed::default();
        let lost = unflushed.clone();
        let restore = move |database: &Database| restore(database, &locked(&lost));
        let tables = TableFile::open(path.clone(), CACHE_BYTES, make, restore);
        let tables = tables.map_err(|fault| told(&path, fault))?;
        Ok(EmbeddedRegistry { tables, pending_bytes: Mutex::new(0), unflushed })
    }

    fn read<T>(
        &self,
        reading: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        self.tables.read(reading).map_err(|fault| told(self.tables.path(), fault))
    }

    fn write<T>(
        &self,
        writing: impl FnOnce(&mut WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        self.tables.write(writing).map_err(|fault| told(self.tables.path(), fault))
    }
}

impl Registry for EmbeddedRegistry {
    fn advance(&self, records: &[Record], len: u64) -> Result<(), RegistryError> {
        let mut pending = locked(&self.pending_bytes);
        let mut is_durable = false;
        let written = self.write(|transaction| {
            let written = take_in(transaction, records, len)?;
            is_durable = *pending + written >= PENDING_BYTES_MAX;
            if is_durable {
                transaction.set_quick_repair(true);
            } else {
                transaction.set_durability(Durability::None)?;
                locked(&self.unflushed).push((records.to_vec(), len));
            }
            Ok(written)
        })?;
        *pending += written;
        if is_durable {
            locked(&self.unflushed).clear();
            *pending = 0;
        }
        Ok(())
    }

    fn by_index(&self, index: u64) -> Result<Option<Record>, RegistryError> {
        self.read(|transaction| {
            let works = transaction.open_table(WORKS)?;
            let bytes = works.get(index)?;
            bytes.map(|bytes| parse(index, bytes.value())).transpose()
        })
    }

    fn by_content(
        &self,
        content: &ContentId,
        from: u64,
        most: usize,
    ) -> Result<Vec<Record>, RegistryError> {
        self.read(|transaction| {
            let works = transaction.open_table(WORKS)?;
            let by_content = transaction.open_table(BY_CONTENT)?;
            let digest = content.sha256();
            let keys = by_content.range((digest, from)..=(digest, u64::MAX))?.take(most);
            keys.map(|key| record_at(key?.0.value().1, &works)).collect()
        })
    }

    fn count_by_content(
        &self,
        content: &ContentId,
        from: u64,
        most: usize,
    ) -> Result<usize, RegistryError> {
        self.read(|transaction| {
            let by_content = transaction.open_table(BY_CONTENT)?;
            let digest = content.sha256();
            let keys = by_content.range((digest, from)..=(digest, u64::MAX))?.take(most);
            Ok(keys.map(|key| key.map(drop)).collect::<Result<Vec<()>, _>>()?.len())
        })
    }

    fn by_claimant(
        &self,
        content: &ContentId,
        claimant: Option<&str>,
        from: u64,
        most: usize,
    ) -> Result<Vec<Record>, RegistryError> {
        self.read(|transaction| {
            let works = transaction.open_table(WORKS)?;
            let by_claimant = transaction.open_table(BY_CLAIMANT)?;
            let (digest, who) = (content.sha256(), &claimant_digest(claimant));
            let keys = by_claimant.range((digest, who, from)..=(digest, who, u64::MAX))?.take(most);
            keys.map(|key| record_at(key?.0.value().2, &works)).collect()
        })
    }

    fn collections(&self, after: &str, limit: usize) -> Result<Vec<(String, u64)>, RegistryError> {
        self.read(|transaction| {
            let collections = transaction.open_table(COLLECTIONS)?;
            let later = collections.range::<&str>((Bound::Excluded(after), Bound::Unbounded))?;
            let named = later.take(limit).map(|pair| {
                let (name, count) = pair?;
                Ok((name.value().to_owned(), count.value()))
            });
            named.collect()
        })
    }

    fn in_collection(
        &self,
        name: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Record>, RegistryError> {
        self.read(|transaction| {
            let works = transaction.open_table(WORKS)?;
            let by_collection = transaction.open_table(BY_COLLECTION)?;
            let newest_first = by_collection.range((name, 0)..(name, before))?.rev();
            newest_first.take(limit).map(|key| record_at(key?.0.value().1, &works)).collect()
        })
    }

    fn amended(&self, index: u64) -> Result<Option<Amended>, RegistryError> {
        self.read(|transaction| {
            let amended = transaction.open_table(AMENDED)?;
            Ok(amended.get(index)?.map(|found| {
                let (by, withdraws) = found.value();
                Amended { act: if withdraws { Act::Withdraws } else { Act::Corrects }, by }
            }))
        })
    }

    fn amendments(&self, from: u64, most: usize) -> Result<Vec<(u64, u64)>, RegistryError> {
        self.read(|transaction| {
            let amended = transaction.open_table(AMENDED)?;
            let rows = amended.range(from..)?.take(most).map(|row| {
                let (index, found) = row?;
                Ok((index.value(), found.value().0))
            });
            rows.collect()
        })
    }

    fn erase(&self, index: u64) -> Result<(), RegistryError> {
        let mut pending = locked(&self.pending_bytes);
        self.write(|transaction| {
            let mut works = transaction.open_table(WORKS)?;
            let bytes = works.get(index)?.map(|bytes| bytes.value().to_vec());
            let record = bytes.map(|bytes| parse(index, &bytes)).transpose()?;
            if let Some(Record { leaf, claim: Some(claim), .. }) = record {
                works.insert(index, &leaf.to_bytes()[..])?;
                forget(index, &claim, &works, transaction)?;
            }
            drop(works);
            transaction.set_quick_repair(true);
            Ok(())
        })?;
        // What is restored after a failure of the disk must not bring it back.
        locked(&self.unflushed).clear();
        *pending = 0;
        Ok(())
    }

    fn len(&self) -> Result<u64, RegistryError> {
        self.read(|transaction| {
            let state = transaction.open_table(STATE)?;
            Ok(state.get("len")?.map_or(0, |len| len.value()))
        })
    }

    fn flush(&self) -> Result<(), RegistryError> {
        let mut pending = locked(&self.pending_bytes);
        if *pending > 0 {
            self.write(|transaction| {
                transaction.set_quick_repair(true);
                Ok(())
            })?;
            locked(&self.unflushed).clear();
            *pending = 0;
        }
        Ok(())
    }

    fn refuses(&self) -> Option<String> {
        self.tables.refuses()
    }
}

/// Takes records in; about how much that writes.
fn take_in(transaction: &WriteTransaction, records: &[Record], len: u64) -> Result<u64, Failure> {
    let mut written = ADVANCE_BYTES;
    let mut state = transaction.open_table(STATE)?;
    let from = state.get("len")?.map_or(0, |len| len.value());
    check_advance(records, from, len).map_err(Failure::Refused)?;
    state.insert("len", len)?;
    let mut works = transaction.open_table(WORKS)?;
    let mut by_content = transaction.open_table(BY_CONTENT)?;
    let mut by_claimant = transaction.open_table(BY_CLAIMANT)?;
    let mut collected = Collected::open(transaction)?;
    let mut amended = transaction.open_table(AMENDED)?;
    for record in records {
        collected.add(record)?;
        let bytes = to_bytes(record);
        if let Some(amendment) = record.claim.as_ref().and_then(|claim| claim.amends)
            && amended.get(amendment.index)?.is_none()
            && let Some(earlier) = works.get(amendment.index)?
            && amends(record, &parse(amendment.index, earlier.value())?)
        {
            let withdraws = amendment.act == Act::Withdraws;
            amended.insert(amendment.index, (record.index, withdraws))?;
        }
        works.insert(record.index, &bytes[..])?;
        let digest = record.leaf.content.sha256();
        by_content.insert((digest, record.index), ())?;
        if let Some(claim) = &record.claim {
            let claimant = claimant_digest(claim.claimant.as_deref());
            by_claimant.insert((digest, &claimant, record.index), ())?;
        }
        written += bytes.len() as u64 + ADVANCE_BYTES;
    }
    Ok(written)
}

/// Takes in again what was taken in since the last durable commit.
fn restore(database: &Database, unflushed: &[(Vec<Record>, u64)]) -> Result<(), Failure> {
    if unflushed.is_empty() {
        return Ok(());
    }
    let mut transaction = database.begin_write()?;
    // A disk that is still full takes this as well.
    transaction.set_durability(Durability::None)?;
    for (records, len) in unflushed {
        let from = transaction.open_table(STATE)?.get("len")?.map_or(0, |len| len.value());
        if *len > from {
            let new = records.partition_point(|record| record.index < from);
            take_in(&transaction, &records[new..], *len)?;
        }
    }
    Ok(transaction.commit()?)
}

/// Makes the tables of a new file; of an old one, sees that they are these.
fn prepare(database: &Database) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    let version = transaction.open_table(STATE)?.get("version")?.map(|version| version.value());
    match version {
        Some(VERSION) => Ok(transaction.abort()?),
        Some(other) => Err(damaged(format!("it is of version {other}, not {VERSION}"))),
        None => {
            transaction.open_table(STATE)?.insert("version", VERSION)?;
            transaction.open_table(WORKS)?;
            transaction.open_table(BY_CONTENT)?;
            transaction.open_table(BY_CLAIMANT)?;
            drop(Collected::open(&transaction)?);
            transaction.open_table(AMENDED)?;
            Ok(transaction.commit()?)
        }
    }
}

/// Which registrations belong to which collection, open for a transaction.
struct Collected<'t> {
    by_collection: Table<'t, (&'static str, u64), ()>,
    collections: Table<'t, &'static str, u64>,
}

impl<'t> Collected<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Collected<'t>, Failure> {
        let by_collection = transaction.open_table(BY_COLLECTION)?;
        Ok(Collected { by_collection, collections: transaction.open_table(COLLECTIONS)? })
    }

    fn add(&mut self, record: &Record) -> Result<(), Failure> {
        let name = record.claim.as_ref().and_then(|claim| claim.collection.as_deref());
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            self.by_collection.insert((name, record.index), ())?;
            let count = self.collections.get(name)?.map_or(0, |count| count.value());
            self.collections.insert(name, count + 1)?;
        }
        Ok(())
    }

    fn forget(&mut self, index: u64, claim: &Claim) -> Result<(), Failure> {
        let Some(name) = claim.collection.as_deref() else { return Ok(()) };
        if self.by_collection.remove((name, index))?.is_some() {
            let count = self.collections.get(name)?.map_or(0, |count| count.value());
            match count.saturating_sub(1) {
                0 => drop(self.collections.remove(name)?),
                count => drop(self.collections.insert(name, count)?),
            }
        }
        Ok(())
    }
}

/// Takes the claim of an entry out of everything that follows from it; its own row has gone.
fn forget(
    index: u64,
    claim: &Claim,
    works: &Table<'_, u64, &'static [u8]>,
    transaction: &WriteTransaction,
) -> Result<(), Failure> {
    Collected::open(transaction)?.forget(index, claim)?;
    let (content, claimant) = (claim.work.content(), claimant_digest(claim.claimant.as_deref()));
    let digest = content.sha256();
    transaction.open_table(BY_CLAIMANT)?.remove((digest, &claimant, index))?;
    let mut amended = transaction.open_table(AMENDED)?;
    let mut anew = Vec::new();
    // Without its text it is told by its digest whether it was meant, whatever it said.
    if amended.get(index)?.is_none() {
        anew.push(index);
    }
    if let Some(amendment) = claim.amends
        && amended.get(amendment.index)?.is_some_and(|found| found.value().0 == index)
    {
        amended.remove(amendment.index)?;
        anew.push(amendment.index);
    }
    let by_content = transaction.open_table(BY_CONTENT)?;
    for earlier in anew {
        let earlier = record_at(earlier, works)?;
        for key in by_content.range((digest, index)..=(digest, u64::MAX))? {
            let later = record_at(key?.0.value().1, works)?;
            if amends(&later, &earlier) {
                let withdraws = later.claim.as_ref().is_some_and(Claim::is_withdrawal);
                amended.insert(earlier.index, (later.index, withdraws))?;
                break;
            }
        }
    }
    Ok(())
}

fn record_at(
    index: u64,
    works: &impl ReadableTable<u64, &'static [u8]>,
) -> Result<Record, Failure> {
    let bytes = works.get(index)?.ok_or_else(|| damaged("a work is missing"))?;
    parse(index, bytes.value())
}

/// Of a claimant, or of nobody, whom no name is like.
fn claimant_digest(claimant: Option<&str>) -> [u8; 32] {
    let mut digest = Sha256::new();
    if let Some(claimant) = claimant {
        digest.update(b"claimant ");
        digest.update(claimant);
    }
    digest.finalize().into()
}

fn to_bytes(record: &Record) -> Vec<u8> {
    let mut bytes = record.leaf.to_bytes().to_vec();
    if let Some(claim) = &record.claim {
        bytes.extend_from_slice(claim.to_text().as_bytes());
    }
    bytes
}

/// Reads a record, which tells damage by itself: the leaf holds the digest of the claim.
fn parse(index: u64, bytes: &[u8]) -> Result<Record, Failure> {
    let (leaf, text) = bytes.split_at_checked(Leaf::BYTES).ok_or_else(|| damaged("short leaf"))?;
    let leaf = Leaf::parse(leaf).map_err(damaged)?.ok_or_else(|| damaged("no leaf of a work"))?;
    if text.is_empty() {
        return Ok(Record { index, leaf, claim: None });
    }
    let claim = Claim::parse(str::from_utf8(text).map_err(damaged)?).map_err(damaged)?;
    if Leaf::of(&claim) != leaf {
        return Err(damaged("a claim is not the one that the log publishes"));
    }
    Ok(Record { index, leaf, claim: Some(claim) })
}

fn told(path: &Path, fault: Fault<RegistryError>) -> RegistryError {
    let path = path.to_owned();
    match fault {
        Fault::Refused(refused) => refused,
        Fault::InUse => RegistryError::InUse { path },
        Fault::Unreadable(source) => RegistryError::Unreadable { path, source },
        Fault::Io(source) => RegistryError::Io { path, source },
    }
}

type Failure = timemark_tables::Failure<RegistryError>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn damaged(what: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::damaged(what)
}

/// redb's default is 1 GiB; the system caches the file as well.
const CACHE_BYTES: usize = 128 << 20;
/// A commit is durable once this much has been written.
const PENDING_BYTES_MAX: u64 = 16 << 20;
/// About what an advance, and each of its works, costs beside its own bytes: a few pages.
const ADVANCE_BYTES: u64 = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{check_registry, sample_record};

    fn open(dir: &tempfile::TempDir) -> EmbeddedRegistry {
        EmbeddedRegistry::open(dir.path()).unwrap()
    }

    fn fill(registry: &EmbeddedRegistry, from: u64, to: u64) {
        for index in from..to {
            let record = sample_record(index, &index.to_le_bytes());
            registry.advance(&[record], index + 1).unwrap();
        }
    }

    /// Everything is there and true, or the first error.
    fn read_all(registry: &EmbeddedRegistry) -> Result<u64, RegistryError> {
        let len = registry.len()?;
        for index in 0..len {
            let record = sample_record(index, &index.to_le_bytes());
            let same = registry.by_content(&record.leaf.content, 0, 9)?;
            assert_eq!(same, std::slice::from_ref(&record));
            assert_eq!(registry.by_index(index)?, Some(record));
        }
        Ok(len)
    }

    #[test]
    fn registrations_are_found_by_the_collection_that_they_name() {
        let dir = tempfile::tempdir().unwrap();
        let registry = open(&dir);
        for index in 0..5_u64 {
            let mut record = sample_record(index, &index.to_le_bytes());
            if let Some(claim) = &mut record.claim {
                claim.collection = ["spring", "autumn"].get(index as usize % 3).map(|&c| c.into());
                record.leaf = Leaf::of(claim);
            }
            registry.advance(&[record], index + 1).unwrap();
        }
        let spring = registry.in_collection("spring", u64::MAX, 9).unwrap();
        assert_eq!(spring.iter().map(|record| record.index).collect::<Vec<_>>(), [3, 0]);
        assert_eq!(registry.in_collection("spring", 3, 9).unwrap()[0].index, 0);
        let all = [("autumn".to_owned(), 2), ("spring".to_owned(), 2)];
        assert_eq!(registry.collections("", 9).unwrap(), all);
        assert_eq!(registry.collections("autumn", 9).unwrap(), all[1..]);
        registry.erase(1).unwrap();
        assert_eq!(registry.collections("", 9).unwrap()[0], ("autumn".to_owned(), 1));
        registry.erase(4).unwrap();
        assert_eq!(registry.collections("", 9).unwrap(), all[1..]);
        assert_eq!(registry.in_collection("autumn", u64::MAX, 9).unwrap(), []);
    }

    #[test]
    fn the_contract_holds() {
        check_registry(&open(&tempfile::tempdir().unwrap()));
    }

    #[test]
    fn closing_keeps_everything_and_one_process_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let registry = open(&dir);
        fill(&registry, 0, 100);
        let second = EmbeddedRegistry::open(dir.path());
        assert!(matches!(second, Err(RegistryError::InUse { .. })));
        drop(registry);
        assert_eq!(read_all(&open(&dir)).unwrap(), 100);
    }

    /// The file as it lies there while the registry is in use is what `kill -9` leaves.
    #[test]
    fn after_a_crash_it_is_behind_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let registry = open(&dir);
        let durable_each = PENDING_BYTES_MAX / (2 * ADVANCE_BYTES);
        for (from, to) in [(0, 10), (10, durable_each), (durable_each, 3 * durable_each)] {
            fill(&registry, from, to);
            let crashed = tempfile::tempdir().unwrap();
            let copy = crashed.path().join(EmbeddedRegistry::FILE);
            fs::copy(dir.path().join(EmbeddedRegistry::FILE), &copy).unwrap();
            let reopened = open(&crashed);
            let len = read_all(&reopened).unwrap();
            assert!(len <= to && len + durable_each > to, "{len} of {to}");
            fill(&reopened, len, to + 10);
            assert_eq!(read_all(&reopened).unwrap(), to + 10);
        }
        registry.flush().unwrap();
        let crashed = tempfile::tempdir().unwrap();
        let copy = crashed.path().join(EmbeddedRegistry::FILE);
        fs::copy(dir.path().join(EmbeddedRegistry::FILE), &copy).unwrap();
        assert_eq!(read_all(&open(&crashed)).unwrap(), 3 * durable_each);
    }

    /// A flush that fails once ended the registry until the next start.
    #[test]
    fn a_flush_on_a_full_disk_costs_nothing_that_was_taken_in() {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(dir.path()).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            return println!("NOT TESTED: a full disk, as no file system may be mounted here");
        }
        let registry = open(&dir);
        fill(&registry, 0, 100);
        registry.flush().unwrap();
        fill(&registry, 100, 1000);
        let mut filler = fs::File::create(dir.path().join("filler")).unwrap();
        while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
        let error = registry.flush().unwrap_err();
        assert!(matches!(error, RegistryError::Io { .. }), "{error}");
        assert!(registry.refuses().unwrap().contains("No space left"));
        assert_eq!(read_all(&registry).unwrap(), 1000, "on the full disk");
        drop(filler); // or its bytes stay
        fs::remove_file(dir.path().join("filler")).unwrap();
        fill(&registry, 1000, 1100);
        registry.flush().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert_eq!(registry.refuses(), None);
        drop(registry);
        let registry = open(&dir);
        assert_eq!(read_all(&registry).unwrap(), 1100);
        drop(registry);
        let _ = std::process::Command::new("umount").arg("--lazy").arg(dir.path()).status();
    }

    /// Cut short, foreign, or with pages that never reached the disk: each answer is true, or is
    /// `Unreadable`.
    #[test]
    fn a_damaged_file_is_told_so_that_it_can_be_rebuilt() {
        let dir = tempfile::tempdir().unwrap();
        fill(&open(&dir), 0, 300);
        let path = dir.path().join(EmbeddedRegistry::FILE);
        let good = fs::read(&path).unwrap();
        let told = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            match EmbeddedRegistry::open(dir.path()).and_then(|registry| read_all(&registry)) {
                Ok(_) => false,
                Err(RegistryError::Unreadable { .. }) => true,
                Err(other) => panic!("{other}: {:?}", other.source()),
            }
        };
        assert!(!told(&good));
        assert!(!told(b""), "an empty file is a new registry");
        assert!(told(b"not a database"));
        assert!(told(&vec![0; good.len()]));
        for cut in 1..16 {
            assert!(told(&good[..good.len() * cut / 16]), "cut {cut}");
        }
        let pages = good.len() / 4096;
        let lost = (0..pages).filter(|page| {
            let mut torn = good.clone();
            torn[page * 4096..(page + 1) * 4096].fill(0);
            told(&torn)
        });
        assert!(lost.count() > 0, "some pages are in use");
    }

    #[test]
    fn another_version_is_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let registry = open(&dir);
        let changed = registry.write(|transaction| {
            transaction.open_table(STATE)?.insert("version", VERSION + 1)?;
            Ok(())
        });
        changed.unwrap();
        drop(registry);
        let error = EmbeddedRegistry::open(dir.path()).err().unwrap();
        assert!(matches!(error, RegistryError::Unreadable { .. }));
        assert!(error.to_string().contains(EmbeddedRegistry::FILE));
    }

    #[test]
    fn ten_thousand_advances_of_one_work() {
        let dir = tempfile::tempdir().unwrap();
        let registry = open(&dir);
        let started = std::time::Instant::now();
        fill(&registry, 0, 10_000);
        let advanced = started.elapsed();
        registry.flush().unwrap();
        println!("{:?} an advance, flush {:?}", advanced / 10_000, started.elapsed() - advanced);
        assert_eq!(registry.len().unwrap(), 10_000);
    }
}

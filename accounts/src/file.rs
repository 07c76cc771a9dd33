//! The file of the accounts, kept by redb: opened for one process, with rights for its owner alone.
//!
//! Commits are durable when they return, but for those that [`ownership`](crate::Owned) says need not be.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{
    Database, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use timemark_tables::{Fault, TableFile};

use crate::AccountsError;
use crate::ownership::Said;
use crate::secret::{Remembered, Slow};

/// Account → JSON of what is kept of it.
pub(crate) const ACCOUNTS: TableDefinition<&str, &[u8]> = TableDefinition::new("accounts");
/// Name → account.
pub(crate) const NAMES: TableDefinition<&str, &str> = TableDefinition::new("names");
/// Key → JSON.
pub(crate) const KEYS: TableDefinition<&str, &[u8]> = TableDefinition::new("keys");
/// Login link → JSON.
pub(crate) const LINKS: TableDefinition<&str, &[u8]> = TableDefinition::new("links");
/// SHA-256 of a session's secret → JSON.
pub(crate) const SESSIONS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("sessions");
/// Entry of the log → the account that registered it.
pub(crate) const OWNERS: TableDefinition<u64, &str> = TableDefinition::new("owners");
/// The same, by account.
pub(crate) const OWNED: TableDefinition<(&str, u64), ()> = TableDefinition::new("owned");
/// The same, by account and SHA-256 of the work, so that somebody's own are found among any number of others'.
pub(crate) const OWNED_OF: TableDefinition<(&str, &[u8; 32], u64), ()> =
    TableDefinition::new("owned_of");
/// SHA-256 of a work, claimant and account: about to be registered → entries of the log before that.
pub(crate) const INTENDED: TableDefinition<(&[u8; 32], &str, &str), u64> =
    TableDefinition::new("intended");
/// `version` of these tables.
const STATE: TableDefinition<&str, u64> = TableDefinition::new("state");
const VERSION: u64 = 1;
/// The rights of the file.
const PRIVATE: u32 = 0o600;
/// redb's default is 1 GiB.
const CACHE_BYTES: usize = 16 << 20;

/// The accounts of an archive.
pub struct Accounts {
    tables: TableFile<AccountsError>,
    /// What was said of intentions and is not flushed.
    pub(crate) said: Arc<Said>,
    pub(crate) slow: Slow,
    pub(crate) remembered: Remembered,
    any: AtomicBool,
}

impl Accounts {
    /// The file's name within the archive.
    pub const FILE: &str = "accounts.redb";

    /// Opens the accounts of this archive for this process alone; where there are none, an empty file is made.
    pub fn open(archive: &Path) -> Result<Accounts, AccountsError> {
        let path = archive.join(Self::FILE);
        let said: Arc<Said> = Arc::default();
        let (restored, mut any) = (said.clone(), false);
        let make = |builder: &mut redb::Builder| {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).read(true).write(true).mode(PRIVATE);
            let file = options.open(&path).map_err(redb::Error::Io)?;
            let database = builder.create_with_backend(FileBackend::new(file)?)?;
            any = prepare(&database)?;
            // Without its name the file would be gone after a power cut, and the archive open to everybody.
            File::open(archive).and_then(|dir| dir.sync_all()).map_err(redb::Error::Io)?;
            Ok(database)
        };
        let restore = move |database: &Database| restored.say_again(database);
        let tables = TableFile::open(path.clone(), CACHE_BYTES, make, restore);
        let tables = tables.map_err(|fault| told(&path, fault))?;
        let any = AtomicBool::new(any);
        let (slow, remembered) = (Slow::default(), Remembered::default());
        Ok(Accounts { tables, said, slow, remembered, any })
    }

    /// Whether there is any account. From the first on, accounts are required, whatever becomes of it.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Why the disk takes no changes of accounts at the moment.
    pub fn refuses(&self) -> Option<String> {
        self.tables.refuses()
    }

    pub(crate) fn note_any(&self) {
        self.any.store(true, Ordering::Release);
    }

    pub(crate) fn read<T>(
        &self,
        reading: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, AccountsError> {
        self.tables.read(reading).map_err(|fault| told(self.tables.path(), fault))
    }

    /// All or nothing, and durable when it returns.
    pub(crate) fn write<T>(
        &self,
        writing: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, AccountsError> {
        let mut flushed = 0;
        let done = self.commit(|tables| {
            flushed = self.said.newest();
            writing(tables)
        })?;
        self.said.forget(flushed);
        Ok(done)
    }

    /// All or nothing. What it leaves to a later flush is its own business.
    pub(crate) fn commit<T>(
        &self,
        writing: impl FnOnce(&mut WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, AccountsError> {
        self.tables.write(writing).map_err(|fault| told(self.tables.path(), fault))
    }
}

/// Makes the tables of a new file; of an old one, sees that they are these. Returns whether there is any account.
fn prepare(database: &Database) -> Result<bool, Failure> {
    let transaction = database.begin_write()?;
    {
        let mut state = transaction.open_table(STATE)?;
        let version = state.get("version")?.map(|version| version.value());
        match version {
            Some(VERSION) => {}
            Some(other) => {
                return Err(damaged(format!("it is of version {other}, not {VERSION}")));
            }
            None => drop(state.insert("version", VERSION)?),
        }
    }
    let any = !transaction.open_table(ACCOUNTS)?.is_empty()?;
    transaction.open_table(NAMES)?;
    transaction.open_table(KEYS)?;
    transaction.open_table(LINKS)?;
    transaction.open_table(SESSIONS)?;
    transaction.open_table(OWNERS)?;
    transaction.open_table(OWNED)?;
    transaction.open_table(OWNED_OF)?;
    transaction.open_table(INTENDED)?;
    transaction.commit()?;
    Ok(any)
}

fn told(path: &Path, fault: Fault<AccountsError>) -> AccountsError {
    let path = path.to_owned();
    match fault {
        Fault::Refused(refused) => refused,
        Fault::InUse => AccountsError::InUse { path },
        Fault::Unreadable(source) => AccountsError::Unreadable { path, source },
        Fault::Io(source) => AccountsError::Io { path, source },
    }
}

pub(crate) type Failure = timemark_tables::Failure<AccountsError>;

pub(crate) fn damaged(what: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::damaged(what)
}

pub(crate) fn refused(error: AccountsError) -> Failure {
    Failure::Refused(error)
}

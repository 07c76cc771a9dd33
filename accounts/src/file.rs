//! The file of the accounts, kept by redb: opened for one process, with rights for its owner alone.
//!
//! Commits are durable when they return, but for those that [`ownership`](crate::Owned) says need not be.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};

use crate::AccountsError;
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
    path: PathBuf,
    database: Database,
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
        let (database, any) = guarded(&path, || {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).read(true).write(true).mode(PRIVATE);
            let file = options.open(&path).map_err(redb::Error::Io)?;
            let database = Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(FileBackend::new(file)?)?;
            let any = prepare(&database)?;
            // Without its name the file would be gone after a power cut, and the archive open to everybody.
            File::open(archive).and_then(|dir| dir.sync_all()).map_err(redb::Error::Io)?;
            Ok((database, any))
        })?;
        let any = AtomicBool::new(any);
        let (slow, remembered) = (Slow::default(), Remembered::default());
        Ok(Accounts { path, database, slow, remembered, any })
    }

    /// Whether there is any account. From the first on, accounts are required, whatever becomes of it.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    pub(crate) fn note_any(&self) {
        self.any.store(true, Ordering::Release);
    }

    pub(crate) fn read<T>(
        &self,
        reading: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, AccountsError> {
        guarded(&self.path, || reading(&self.database.begin_read()?))
    }

    /// All or nothing, and durable when it returns.
    pub(crate) fn write<T>(
        &self,
        writing: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, AccountsError> {
        self.commit(Durability::Immediate, writing)
    }

    /// All or nothing, and durable with the next commit that is; until then a crash takes it back.
    pub(crate) fn write_soon<T>(
        &self,
        writing: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, AccountsError> {
        self.commit(Durability::None, writing)
    }

    fn commit<T>(
        &self,
        durability: Durability,
        writing: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, AccountsError> {
        guarded(&self.path, || {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(durability)?;
            // Dropped without a commit, it changes nothing.
            let done = writing(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
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

/// Runs an operation and tells the caller what its failure means. A panic counts as damage: redb says that it may panic on
/// a file that was altered behind its back.
fn guarded<T>(
    path: &Path,
    operation: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, AccountsError> {
    let failure = match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(failure)) => failure,
        Err(_) => damaged("reading it made the database engine panic"),
    };
    let path = path.to_owned();
    Err(match failure {
        Failure::Refused(refused) => refused,
        Failure::Damaged(source) => AccountsError::Unreadable { path, source },
        Failure::Engine(error) => match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                AccountsError::InUse { path }
            }
            // How redb tells a file that is cut short or is none of its own.
            redb::Error::Io(source)
                if matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
            {
                AccountsError::Unreadable { path, source: source.into() }
            }
            redb::Error::Io(source) => AccountsError::Io { path, source },
            redb::Error::PreviousIo
            | redb::Error::DatabaseClosed
            | redb::Error::LockPoisoned(_)
            | redb::Error::TransactionPoisoned => {
                AccountsError::Io { path, source: io::Error::other(error) }
            }
            damage => AccountsError::Unreadable { path, source: damage.into() },
        },
    })
}

pub(crate) enum Failure {
    Engine(redb::Error),
    Damaged(Box<dyn Error + Send + Sync>),
    Refused(AccountsError),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Engine(error.into())
    }
}

pub(crate) fn damaged(what: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::Damaged(what.into())
}

pub(crate) fn refused(error: AccountsError) -> Failure {
    Failure::Refused(error)
}

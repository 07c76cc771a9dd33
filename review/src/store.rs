//! The one file in which jobs and matches lie, kept by redb: every change is one transaction, durable when it returns.

use std::error::Error;
use std::io;
use std::path::Path;

use redb::{
    Builder, Database, ReadTransaction, ReadableTable, TableDefinition, TableHandle,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use timemark_tables::{Fault, TableFile};
use timemark_verify::ContentId;

use crate::domains::{host, reversed};
use crate::error::ReviewError;
use crate::matches::{Match, Sighting};
use crate::seen::Brief;

/// `version` of these tables, and the numbers that come next.
pub(crate) const STATE: TableDefinition<&str, u64> = TableDefinition::new("state");
/// Jobs by number.
pub(crate) const JOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("jobs");
/// What a job told of each suspect, in the order in which it did.
pub(crate) const RESULTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("results");
/// Matches by id.
pub(crate) const MATCHES: TableDefinition<&str, &[u8]> = TableDefinition::new("matches");
/// Their ids, in the order in which they were found.
pub(crate) const NUMBERS: TableDefinition<u64, &str> = TableDefinition::new("numbers");
/// The same, by how they stand.
pub(crate) const STANDINGS: TableDefinition<(u8, u64), &str> = TableDefinition::new("standings");
/// The matches of a job, in the order in which it found them.
pub(crate) const OF_JOB: TableDefinition<(u64, u64), &str> = TableDefinition::new("of_job");
/// Whether a job found a match.
pub(crate) const IN_JOB: TableDefinition<(u64, &str), ()> = TableDefinition::new("in_job");
/// Where the suspect of a match was met.
pub(crate) const SIGHTINGS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("sightings");
/// Small JPEGs of suspects by content.
pub(crate) const PICTURES: TableDefinition<&str, &[u8]> = TableDefinition::new("pictures");
/// What was decided of a match, and undone.
pub(crate) const HISTORY: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("history");
/// Place among all that was decided and taken back → match, and place in its history.
pub(crate) const VERDICTS: TableDefinition<u64, (&str, u64)> = TableDefinition::new("verdicts");
/// Domains whose suspects nobody has to look at.
pub(crate) const DOMAINS: TableDefinition<&str, &[u8]> = TableDefinition::new("domains");
/// Hosts from which the suspect of a match came, the last label first.
pub(crate) const HOSTS: TableDefinition<(&str, &str), ()> = TableDefinition::new("hosts");
/// The matches of a suspect, by its content.
pub(crate) const OF_SUSPECT: TableDefinition<(&str, &str), ()> = TableDefinition::new("of_suspect");
/// What is kept of a job's suspects to compare them again, by the place of the first of a piece ([`crate::traces`]).
pub(crate) const TRACES: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("traces");
/// Matches that were found to be none, by when: their suspects may be let go of.
pub(crate) const REJECTED: TableDefinition<(u64, &str), ()> = TableDefinition::new("rejected");

/// What little of a match tells whether somebody sees it: as which number it was found, the SHA-256 of the work, and whether
/// the suspect is that to the byte.
pub(crate) const BRIEFS: TableDefinition<&str, BriefRow> = TableDefinition::new("briefs");
pub(crate) type BriefRow = (u64, &'static [u8; 32], bool);
/// Entries whose claims are erased or about to be; whether what was told in their words is forgotten.
pub(crate) const ERASED: TableDefinition<u64, bool> = TableDefinition::new("erased");
/// On which hosts, the last label first, a job met the suspects of which matches.
pub(crate) const SITES: TableDefinition<(u64, &str, &str), ()> = TableDefinition::new("sites");

/// The open file.
pub(crate) struct Store(TableFile<ReviewError>);

/// Why a transaction came to nothing.
pub(crate) type Failure = timemark_tables::Failure<ReviewError>;

impl Store {
    /// Opens the file in this folder, making it where there is none.
    pub fn open(dir: &Path) -> Result<Store, ReviewError> {
        let path = dir.join(FILE);
        let make = |builder: &mut Builder| {
            let database = builder.create(&path)?;
            prepare(&database)?;
            Ok(database)
        };
        let opened = TableFile::open(path.clone(), CACHE_BYTES, make, |_| Ok(()));
        opened.map(Store).map_err(|fault| told(&path, fault))
    }

    /// Why the disk takes nothing at the moment.
    pub fn refuses(&self) -> Option<String> {
        self.0.refuses()
    }

    /// Reads one state of everything.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, ReviewError> {
        self.0.read(read).map_err(|fault| told(self.0.path(), fault))
    }

    /// Changes all or nothing. What this returns is durable.
    pub fn write<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, ReviewError> {
        let done = self.0.write(|transaction| {
            transaction.set_quick_repair(true);
            write(transaction)
        });
        done.map_err(|fault| told(self.0.path(), fault))
    }
}

/// The number that comes next, of those called so.
pub(crate) fn next_number(tx: &WriteTransaction, name: &str) -> Result<u64, Failure> {
    let mut state = tx.open_table(STATE)?;
    let number = state.get(name)?.map_or(1, |number| number.value());
    state.insert(name, number + 1)?;
    Ok(number)
}

/// As it lies in the file.
pub(crate) fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(damaged)
}

/// As it was put there.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(damaged)
}

pub(crate) fn damaged(what: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::damaged(what)
}

/// Makes the tables of a new file; of an old one, sees that they are these.
fn prepare(database: &Database) -> Result<(), Failure> {
    let tx = database.begin_write()?;
    let version = tx.open_table(STATE)?.get("version")?.map(|version| version.value());
    match version {
        Some(VERSION) => {
            let names: Vec<String> =
                tx.list_tables()?.map(|table| table.name().to_owned()).collect();
            let has = |table: &str| names.iter().any(|name| name == table);
            let lacks = [OF_SUSPECT.name(), BRIEFS.name(), TRACES.name(), ERASED.name()]
                .map(|table| !has(table));
            if lacks == [false; 4] {
                return Ok(tx.abort()?);
            }
            let [no_suspects, no_briefs, no_traces, _] = lacks;
            tx.open_table(ERASED)?;
            if no_suspects {
                know_suspects(&tx)?;
            }
            if no_briefs {
                know_briefs(&tx)?;
            }
            if no_traces {
                tx.open_table(TRACES)?; // of before anything was kept of what is no match
            }
            Ok(tx.commit()?)
        }
        Some(other) => Err(damaged(format!("it is of version {other}, not {VERSION}"))),
        None => {
            tx.open_table(STATE)?.insert("version", VERSION)?;
            tx.open_table(JOBS)?;
            tx.open_table(RESULTS)?;
            tx.open_table(MATCHES)?;
            tx.open_table(NUMBERS)?;
            tx.open_table(STANDINGS)?;
            tx.open_table(OF_JOB)?;
            tx.open_table(IN_JOB)?;
            tx.open_table(SIGHTINGS)?;
            tx.open_table(PICTURES)?;
            tx.open_table(HISTORY)?;
            tx.open_table(VERDICTS)?;
            tx.open_table(DOMAINS)?;
            tx.open_table(HOSTS)?;
            tx.open_table(OF_SUSPECT)?;
            tx.open_table(REJECTED)?;
            tx.open_table(TRACES)?;
            tx.open_table(BRIEFS)?;
            tx.open_table(SITES)?;
            tx.open_table(ERASED)?;
            Ok(tx.commit()?)
        }
    }
}

/// Fills in what a file lacks that is of before suspects were kept.
fn know_suspects(tx: &WriteTransaction) -> Result<(), Failure> {
    let mut of_suspect = tx.open_table(OF_SUSPECT)?;
    for pair in tx.open_table(MATCHES)?.iter()? {
        let (id, bytes) = pair?;
        let found: Match = parse(bytes.value())?;
        of_suspect.insert((&*found.suspect, id.value()), ())?;
    }
    tx.open_table(REJECTED)?;
    Ok(())
}

/// Fills in what a file lacks that is of before it was told apart who sees which matches, and on which sites a scan met them.
fn know_briefs(tx: &WriteTransaction) -> Result<(), Failure> {
    let (mut briefs, mut sites) = (tx.open_table(BRIEFS)?, tx.open_table(SITES)?);
    for pair in tx.open_table(MATCHES)?.iter()? {
        let (id, bytes) = pair?;
        let found: Match = parse(bytes.value())?;
        let work: ContentId = found.finding.work.parse().map_err(damaged)?;
        let is_exact = found.suspect == found.finding.work;
        briefs.insert(id.value(), Brief { number: found.number, work, is_exact }.row())?;
    }
    for pair in tx.open_table(SIGHTINGS)?.iter()? {
        let (key, sighting) = pair?;
        let sighting: Sighting = parse(sighting.value())?;
        if let Some(host) = sighting.url.as_deref().and_then(host) {
            sites.insert((sighting.scan, &*reversed(&host), key.value().0), ())?;
        }
    }
    Ok(())
}

fn told(path: &Path, fault: Fault<ReviewError>) -> ReviewError {
    let path = path.to_owned();
    match fault {
        Fault::Refused(refused) => refused,
        Fault::InUse => {
            ReviewError::Io { path, source: io::Error::other("another process has it open") }
        }
        Fault::Unreadable(source) => ReviewError::Unreadable { path, source },
        Fault::Io(source) => ReviewError::Io { path, source },
    }
}

const FILE: &str = "review.redb";
const VERSION: u64 = 1;
/// redb's default is 1 GiB; the system caches the file as well.
const CACHE_BYTES: usize = 32 << 20;

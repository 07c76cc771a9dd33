//! The tables in which endpoints, deliveries and cursors lie, in one file that is its owner's alone.
//!
//! What is written is flushed before it is told.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadOnlyTable, ReadableTable, Table, TableDefinition, WriteTransaction,
};
use serde::de::DeserializeOwned;
use timemark_tables::{Fault, TableFile};

use crate::delivery::{Delivery, State};
use crate::endpoint::Endpoint;
use crate::error::HookError;

/// By id, in JSON.
const ENDPOINTS: TableDefinition<&str, &[u8]> = TableDefinition::new("endpoints");
/// By endpoint and number, in JSON.
const DELIVERIES: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("deliveries");
/// Those that are pending: endpoint, when, number.
const DUE: TableDefinition<(&str, u64, u64), ()> = TableDefinition::new("due");
/// By endpoint and source.
const CURSORS: TableDefinition<(&str, &str), u64> = TableDefinition::new("cursors");
/// `version` of these tables.
const STATE: TableDefinition<&str, u64> = TableDefinition::new("state");
const VERSION: u64 = 1;
const CACHE_BYTES: usize = 8 << 20;
/// It holds secrets.
const PRIVATE: u32 = 0o600;

pub(crate) struct Store(TableFile<HookError>);

impl Store {
    /// Opens the file, making it where there is none.
    pub fn open(path: &Path) -> Result<Store, HookError> {
        let io = |source| HookError::Io { path: path.to_owned(), source };
        if !path.try_exists().map_err(io)? {
            // Made aside: one that is half made cannot be opened.
            let aside = path.with_extension("new");
            drop(Store::make(&aside)?);
            fs::rename(&aside, path).map_err(io)?;
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
            let flush = File::open(dir.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all());
            flush.map_err(io)?;
        }
        Store::opened(path, |builder| {
            let database = builder.open(path)?;
            prepare(&database)?;
            Ok(database)
        })
    }

    fn make(path: &Path) -> Result<Store, HookError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true).mode(PRIVATE);
        let file = options.open(path);
        let file = file.map_err(|source| HookError::Io { path: path.to_owned(), source })?;
        Store::opened(path, |builder| {
            let database = builder.create_with_backend(FileBackend::new(file)?)?;
            prepare(&database)?;
            Ok(database)
        })
    }

    fn opened(
        path: &Path,
        open: impl FnOnce(&mut Builder) -> Result<Database, Failure>,
    ) -> Result<Store, HookError> {
        let opened = TableFile::open(path.to_owned(), CACHE_BYTES, open, |_| Ok(()));
        opened.map(Store).map_err(|fault| told(path, fault))
    }

    /// Why the disk takes nothing at the moment.
    pub fn refuses(&self) -> Option<String> {
        self.0.refuses()
    }

    /// Looks at the tables as they are at one moment.
    pub fn read<T>(&self, look: impl FnOnce(&View) -> Result<T, Failure>) -> Result<T, HookError> {
        let done = self.0.read(|transaction| {
            look(&View {
                endpoints: transaction.open_table(ENDPOINTS)?,
                deliveries: transaction.open_table(DELIVERIES)?,
                due: transaction.open_table(DUE)?,
                cursors: transaction.open_table(CURSORS)?,
            })
        });
        done.map_err(|fault| told(self.0.path(), fault))
    }

    /// Changes the tables: all of it, flushed, or nothing.
    pub fn write<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, Failure>,
    ) -> Result<T, HookError> {
        let done = self.0.write(|transaction| change(&mut Tables::open(transaction)?));
        done.map_err(|fault| told(self.0.path(), fault))
    }
}

fn prepare(database: &Database) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    {
        let mut state = transaction.open_table(STATE)?;
        let version = state.get("version")?.map(|version| version.value());
        match version {
            Some(VERSION) => {}
            Some(other) => return Err(damaged(format!("it is of version {other}"))),
            None => drop(state.insert("version", VERSION)?),
        }
        drop(Tables::open(&transaction)?);
    }
    Ok(transaction.commit()?)
}

/// The tables, to be read.
pub(crate) struct View {
    endpoints: ReadOnlyTable<&'static str, &'static [u8]>,
    deliveries: ReadOnlyTable<(&'static str, u64), &'static [u8]>,
    due: ReadOnlyTable<(&'static str, u64, u64), ()>,
    cursors: ReadOnlyTable<(&'static str, &'static str), u64>,
}

impl View {
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        self.endpoints.iter()?.map(|row| parse(row?.1.value())).collect()
    }

    pub fn endpoint(&self, id: &str) -> Result<Endpoint, Failure> {
        let bytes = self.endpoints.get(id)?.ok_or(HookError::NoEndpoint)?;
        parse(bytes.value())
    }

    pub fn delivery(&self, endpoint: &str, id: u64) -> Result<Option<Delivery>, Failure> {
        let bytes = self.deliveries.get((endpoint, id))?;
        bytes.map(|bytes| parse(bytes.value())).transpose()
    }

    /// Deliveries with smaller numbers than this, newest first.
    pub fn deliveries_before(
        &self,
        endpoint: &str,
        before: u64,
    ) -> Result<impl Iterator<Item = Result<Delivery, Failure>>, Failure> {
        let rows = self.deliveries.range((endpoint, 0)..(endpoint, before))?;
        Ok(rows.rev().map(|row| parse(row?.1.value())))
    }

    pub fn cursor(&self, endpoint: &str, source: &str) -> Result<Option<u64>, Failure> {
        Ok(self.cursors.get((endpoint, source))?.map(|cursor| cursor.value()))
    }

    /// How many deliveries are pending; no more than `most` are counted.
    pub fn pending(&self, endpoint: &str, most: usize) -> Result<usize, Failure> {
        let rows = self.due.range((endpoint, 0, 0)..=(endpoint, u64::MAX, u64::MAX))?;
        Ok(rows.take(most).count())
    }

    /// Those that are due, the longest first.
    pub fn due(&self, endpoint: &str, now: u64, most: usize) -> Result<Vec<u64>, Failure> {
        let rows = self.due.range((endpoint, 0, 0)..=(endpoint, now, u64::MAX))?;
        rows.take(most).map(|row| Ok(row?.0.value().2)).collect()
    }
}

/// The tables, to be changed.
pub(crate) struct Tables<'t> {
    endpoints: Table<'t, &'static str, &'static [u8]>,
    deliveries: Table<'t, (&'static str, u64), &'static [u8]>,
    due: Table<'t, (&'static str, u64, u64), ()>,
    cursors: Table<'t, (&'static str, &'static str), u64>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Tables<'t>, Failure> {
        Ok(Tables {
            endpoints: transaction.open_table(ENDPOINTS)?,
            deliveries: transaction.open_table(DELIVERIES)?,
            due: transaction.open_table(DUE)?,
            cursors: transaction.open_table(CURSORS)?,
        })
    }

    pub fn count(&self) -> Result<usize, Failure> {
        Ok(self.endpoints.iter()?.count())
    }

    pub fn endpoint(&self, id: &str) -> Result<Endpoint, Failure> {
        let bytes = self.endpoints.get(id)?.ok_or(HookError::NoEndpoint)?;
        parse(bytes.value())
    }

    pub fn put_endpoint(&mut self, endpoint: &Endpoint) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(endpoint).map_err(damaged)?;
        self.endpoints.insert(&*endpoint.id, &bytes[..])?;
        Ok(())
    }

    /// Takes an endpoint away with all that is of it.
    pub fn remove_endpoint(&mut self, id: &str) -> Result<(), Failure> {
        self.endpoints.remove(id)?.ok_or(HookError::NoEndpoint)?;
        self.deliveries.retain_in((id, 0)..=(id, u64::MAX), |_, _| false)?;
        self.due.retain_in((id, 0, 0)..=(id, u64::MAX, u64::MAX), |_, ()| false)?;
        let sources = self.cursors.range((id, "")..)?;
        let sources: Vec<String> = sources
            .map(|row| row.map(|row| (row.0.value().0 == id, row.0.value().1.to_owned())))
            .take_while(|row| row.as_ref().is_ok_and(|(is_its, _)| *is_its))
            .filter_map(|row| row.ok().map(|(_, source)| source))
            .collect();
        for source in sources {
            self.cursors.remove((id, &*source))?;
        }
        Ok(())
    }

    pub fn cursor(&self, endpoint: &str, source: &str) -> Result<Option<u64>, Failure> {
        Ok(self.cursors.get((endpoint, source))?.map(|cursor| cursor.value()))
    }

    /// Keeps where an endpoint is in a source, or forgets it.
    pub fn put_cursor(
        &mut self,
        endpoint: &str,
        source: &str,
        cursor: Option<u64>,
    ) -> Result<(), Failure> {
        match cursor {
            Some(cursor) => self.cursors.insert((endpoint, source), cursor)?,
            None => self.cursors.remove((endpoint, source))?,
        };
        Ok(())
    }

    pub fn delivery(&self, endpoint: &str, id: u64) -> Result<Option<Delivery>, Failure> {
        let bytes = self.deliveries.get((endpoint, id))?;
        bytes.map(|bytes| parse(bytes.value())).transpose()
    }

    /// Puts a delivery in the place of what it was before, and in line if it is pending.
    pub fn put_delivery(
        &mut self,
        endpoint: &str,
        before: Option<State>,
        delivery: &Delivery,
    ) -> Result<(), Failure> {
        if let Some(State::Pending { next }) = before {
            self.due.remove((endpoint, next, delivery.id))?;
        }
        if let State::Pending { next } = delivery.state {
            self.due.insert((endpoint, next, delivery.id), ())?;
        }
        let bytes = serde_json::to_vec(delivery).map_err(damaged)?;
        self.deliveries.insert((endpoint, delivery.id), &bytes[..])?;
        Ok(())
    }

    /// The numbers of pending deliveries.
    pub fn pending(&self, endpoint: &str) -> Result<Vec<u64>, Failure> {
        let rows = self.due.range((endpoint, 0, 0)..=(endpoint, u64::MAX, u64::MAX))?;
        rows.map(|row| Ok(row?.0.value().2)).collect()
    }

    /// The numbers of deliveries from this time on, newest first: no older one is looked at than the first from before.
    pub fn created_since(&self, endpoint: &str, since: u64) -> Result<Vec<u64>, Failure> {
        let mut found = Vec::new();
        for row in self.deliveries.range((endpoint, 0)..=(endpoint, u64::MAX))?.rev() {
            let delivery: Delivery = parse(row?.1.value())?;
            if delivery.created < since {
                break;
            }
            found.push(delivery.id);
        }
        Ok(found)
    }

    /// Forgets what is over and older than these, a few at a time.
    pub fn prune(&mut self, endpoint: &str, before: u64, created: u64) -> Result<(), Failure> {
        let mut old = Vec::new();
        let rows = self.deliveries.range((endpoint, 0)..=(endpoint, u64::MAX))?;
        for row in rows.take(PRUNED_MAX) {
            let delivery: Delivery = parse(row?.1.value())?;
            if delivery.id >= before && delivery.created >= created {
                break;
            }
            if !matches!(delivery.state, State::Pending { .. }) {
                old.push(delivery.id);
            }
        }
        for id in old {
            self.deliveries.remove((endpoint, id))?;
        }
        Ok(())
    }
}

/// Deliveries that are looked at each time whether they can be forgotten: more than may be pending, and than come at once.
const PRUNED_MAX: usize = 3000;

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(damaged)
}

fn damaged(what: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::damaged(what)
}

/// Why an operation on the tables was not done.
pub(crate) type Failure = timemark_tables::Failure<HookError>;

fn told(path: &Path, fault: Fault<HookError>) -> HookError {
    let path = path.to_owned();
    match fault {
        Fault::Refused(error) => error,
        Fault::InUse => {
            HookError::Io { path, source: io::Error::other("another process has it open") }
        }
        Fault::Unreadable(source) => HookError::Unreadable { path, source },
        Fault::Io(source) => HookError::Io { path, source },
    }
}

//! A file of tables, kept by redb, that goes on when its disk does.
//!
//! After a failed read, write or flush redb refuses everything until its file is closed and opened again: what it has in memory
//! may not be what lies on the disk. [`TableFile`] does that with the next use, as soon as nobody is at work on the old state.
//! What was durable is there again; what a room committed and had not flushed, its `restore` puts back.

use std::any::Any;
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction,
};

/// The file, open for one process.
pub struct TableFile<R> {
    path: PathBuf,
    cache_bytes: usize,
    restore: Restore<R>,
    slot: Mutex<Slot>,
    trouble: Mutex<Trouble>,
}

type Restore<R> = Box<dyn Fn(&Database) -> Result<(), Failure<R>> + Send + Sync>;

enum Slot {
    Open(Arc<Database>),
    /// Its disk failed. It can be opened again once those who were at work with it are done.
    Failed(Weak<Database>),
}

/// What failed last, until something is written again.
#[derive(Default)]
struct Trouble {
    why: Option<String>,
    tried: Option<Instant>,
}

/// Why a transaction came to nothing. `R` is what a room refuses by itself.
#[derive(Debug)]
pub enum Failure<R> {
    /// redb says so.
    Engine(Box<redb::Error>),
    /// What lies in the file is not what was put there.
    Damaged(Box<dyn Error + Send + Sync>),
    /// The room does not do it.
    Refused(R),
}

/// The same, sorted by what is to be done about it.
#[derive(Debug)]
pub enum Fault<R> {
    /// The room does not do it.
    Refused(R),
    /// Another process has the file open.
    InUse,
    /// It is damaged, or is none of these files.
    Unreadable(Box<dyn Error + Send + Sync>),
    /// Its disk failed, or is full.
    Io(io::Error),
}

impl<R, E: Into<redb::Error>> From<E> for Failure<R> {
    fn from(error: E) -> Failure<R> {
        Failure::Engine(Box::new(error.into()))
    }
}

impl<R> Failure<R> {
    /// That something in the file is not as it was put there.
    pub fn damaged(what: impl Into<Box<dyn Error + Send + Sync>>) -> Failure<R> {
        Failure::Damaged(what.into())
    }

    /// Whether redb does nothing more with this file before it is opened again.
    fn is_final(&self) -> bool {
        let Failure::Engine(error) = self else { return false };
        matches!(
            **error,
            redb::Error::Io(_)
                | redb::Error::PreviousIo
                | redb::Error::DatabaseClosed
                | redb::Error::LockPoisoned(_)
        )
    }
}

impl<R> From<Failure<R>> for Fault<R> {
    fn from(failure: Failure<R>) -> Fault<R> {
        match failure {
            Failure::Refused(refused) => Fault::Refused(refused),
            Failure::Damaged(source) => Fault::Unreadable(source),
            Failure::Engine(error) => match *error {
                redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                    Fault::InUse
                }
                // How redb tells a file that is cut short or is none of its own.
                redb::Error::Io(source)
                    if matches!(
                        source.kind(),
                        ErrorKind::InvalidData | ErrorKind::UnexpectedEof
                    ) =>
                {
                    Fault::Unreadable(source.into())
                }
                redb::Error::Io(source) => Fault::Io(source),
                error @ (redb::Error::PreviousIo
                | redb::Error::DatabaseClosed
                | redb::Error::LockPoisoned(_)
                | redb::Error::TransactionPoisoned) => Fault::Io(io::Error::other(error)),
                damage => Fault::Unreadable(damage.into()),
            },
        }
    }
}

impl<R> TableFile<R> {
    /// Opens the file by `open`, which may make it; from then on it is there. `restore` is done with it whenever it is opened
    /// again: what was committed and not flushed is gone then.
    pub fn open(
        path: PathBuf,
        cache_bytes: usize,
        open: impl FnOnce(&mut Builder) -> Result<Database, Failure<R>>,
        restore: impl Fn(&Database) -> Result<(), Failure<R>> + Send + Sync + 'static,
    ) -> Result<TableFile<R>, Fault<R>> {
        let database = attempt(|| open(Builder::new().set_cache_size(cache_bytes)))?;
        let slot = Mutex::new(Slot::Open(Arc::new(database)));
        let (restore, trouble) = (Box::new(restore), Mutex::default());
        Ok(TableFile { path, cache_bytes, restore, slot, trouble })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one state of all tables.
    pub fn read<T>(
        &self,
        reading: impl FnOnce(&ReadTransaction) -> Result<T, Failure<R>>,
    ) -> Result<T, Fault<R>> {
        self.with(|database| reading(&database.begin_read()?))
    }

    /// Changes all or nothing: durably when it returns, unless `writing` asked for less.
    pub fn write<T>(
        &self,
        writing: impl FnOnce(&mut WriteTransaction) -> Result<T, Failure<R>>,
    ) -> Result<T, Fault<R>> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            // Dropped without a commit, it changes nothing.
            let done = writing(&mut transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    /// Why the disk takes nothing of it at the moment. Where something failed this tries to write, at most once a second: so
    /// whoever asks learns when it goes on.
    pub fn refuses(&self) -> Option<String> {
        let tried = {
            let mut trouble = locked(&self.trouble);
            trouble.why.as_ref()?;
            let is_due = trouble.tried.is_none_or(|tried| tried.elapsed() >= TRY_AGAIN_AFTER);
            if is_due {
                trouble.tried = Some(Instant::now());
            }
            is_due
        };
        if tried && self.try_to_write().is_ok() {
            *locked(&self.trouble) = Trouble::default();
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        locked(&self.trouble).why.as_ref().map(|why| format!("{name}: {why}"))
    }

    /// As much as most changes take, and takes it away again.
    fn try_to_write(&self) -> Result<(), Fault<R>> {
        let filler = vec![0xA5; TRIED_BYTES];
        self.write(|tx| {
            tx.open_table(TRIED)?.insert((), &filler[..])?;
            Ok(())
        })?;
        self.write(|tx| {
            tx.delete_table(TRIED)?;
            Ok(())
        })
    }

    fn with<T>(
        &self,
        operation: impl FnOnce(&Database) -> Result<T, Failure<R>>,
    ) -> Result<T, Fault<R>> {
        let database = self.database()?;
        let done = catch_unwind(AssertUnwindSafe(|| operation(&database)));
        let is_final =
            done.as_ref().map_or(true, |done| done.as_ref().is_err_and(Failure::is_final));
        let done = unless_panicked(done);
        if is_final {
            self.give_up(&database, &done);
        }
        // The last one of a failed file closes it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
        done
    }

    /// Has the file opened again by whoever comes next.
    fn give_up<T>(&self, failed: &Arc<Database>, done: &Result<T, Fault<R>>) {
        let mut slot = locked(&self.slot);
        if !matches!(&*slot, Slot::Open(current) if Arc::ptr_eq(current, failed)) {
            return; // somebody else did
        }
        let old = mem::replace(&mut *slot, Slot::Failed(Arc::downgrade(failed)));
        let why = match done {
            Err(Fault::Io(error)) => error.to_string(),
            Err(Fault::Unreadable(error)) => error.to_string(),
            _ => "it failed".to_owned(),
        };
        *locked(&self.trouble) = Trouble { why: Some(why), tried: None };
        drop(slot);
        drop(old); // the caller has it still
    }

    fn database(&self) -> Result<Arc<Database>, Fault<R>> {
        let begun = Instant::now();
        loop {
            let mut slot = locked(&self.slot);
            match &*slot {
                Slot::Open(database) => return Ok(database.clone()),
                Slot::Failed(old) if old.strong_count() == 0 => match self.open_again() {
                    Ok(database) => {
                        let database = Arc::new(database);
                        *slot = Slot::Open(database.clone());
                        return Ok(database);
                    }
                    // The old one is just being closed.
                    Err(Fault::InUse) => {}
                    Err(fault) => return Err(fault),
                },
                Slot::Failed(_) => {}
            }
            drop(slot);
            if begun.elapsed() > CLOSED_WITHIN {
                return Err(Fault::Io(io::Error::other(
                    "its disk failed, and others are at work on it",
                )));
            }
            thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    fn open_again(&self) -> Result<Database, Fault<R>> {
        attempt(|| {
            forget_cached(&self.path).map_err(redb::Error::Io)?;
            let database = Builder::new().set_cache_size(self.cache_bytes).open(&self.path)?;
            (self.restore)(&database)?;
            Ok(database)
        })
    }
}

impl<R> Drop for TableFile<R> {
    /// Closing makes everything durable, and may panic over a damaged file.
    fn drop(&mut self) {
        let slot = mem::replace(&mut *locked(&self.slot), Slot::Failed(Weak::new()));
        let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
    }
}

/// After a flush that failed, the system may show pages that never reached the disk as if they had.
fn forget_cached(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

/// A panic counts as damage: redb says that it may panic on a file that was altered behind its back.
fn attempt<T, R>(operation: impl FnOnce() -> Result<T, Failure<R>>) -> Result<T, Fault<R>> {
    unless_panicked(catch_unwind(AssertUnwindSafe(operation)))
}

fn unless_panicked<T, R>(
    done: Result<Result<T, Failure<R>>, Box<dyn Any + Send>>,
) -> Result<T, Fault<R>> {
    match done {
        Ok(done) => Ok(done?),
        Err(_) => Err(Fault::Unreadable("reading it made the database engine panic".into())),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing lies there but while it is tried whether the disk takes something.
const TRIED: TableDefinition<(), &[u8]> = TableDefinition::new("tried");
const TRIED_BYTES: usize = 64 << 10;
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a use waits for others to be done with a file that failed.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use redb::{Durability, ReadableTable};

    use super::*;

    const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");

    type Rows = TableFile<&'static str>;

    /// A small file system, which goes with the test.
    struct Disk(tempfile::TempDir);

    impl Disk {
        fn of(size: &str) -> Option<Disk> {
            let disk = Disk(tempfile::tempdir().unwrap());
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(disk.0.path());
            if mount.output().is_ok_and(|output| output.status.success()) {
                return Some(disk);
            }
            println!("NOT TESTED: a full disk, as no file system may be mounted here");
            None
        }

        fn fill(&self) {
            let mut file = File::create(self.0.path().join("filler")).unwrap();
            while io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        }

        fn free(&self) {
            fs::remove_file(self.0.path().join("filler")).unwrap();
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        }
    }

    fn open(
        dir: &Path,
        restore: impl Fn(&Database) -> Result<(), Failure<&'static str>> + Send + Sync + 'static,
    ) -> Rows {
        let path = dir.join("rows.redb");
        let make = |builder: &mut Builder| {
            let database = builder.create(&path)?;
            let tx = database.begin_write()?;
            tx.open_table(ROWS)?;
            tx.commit()?;
            Ok(database)
        };
        TableFile::open(path.clone(), 1 << 20, make, restore).unwrap()
    }

    fn put(rows: &Rows, number: u64) -> Result<(), Fault<&'static str>> {
        rows.write(|tx| {
            tx.open_table(ROWS)?.insert(number, &[number as u8; 3000][..])?;
            Ok(())
        })
    }

    fn all(rows: &Rows) -> Vec<u64> {
        let read = rows.read(|tx| {
            let table = tx.open_table(ROWS)?;
            let rows = table.iter()?.map(|row| Ok(row?.0.value()));
            rows.collect::<Result<Vec<_>, Failure<_>>>()
        });
        read.unwrap()
    }

    /// Writes until the disk is full; the numbers that were acknowledged.
    fn until_full(rows: &Rows, from: u64) -> Vec<u64> {
        let kept: Vec<u64> =
            (from..from + 10_000).take_while(|&number| put(rows, number).is_ok()).collect();
        assert!(kept.len() < 10_000, "it never was full");
        kept
    }

    #[test]
    fn a_file_goes_on_when_its_disk_has_room_again() {
        let Some(disk) = Disk::of("6m") else { return };
        let rows = open(disk.0.path(), |_| Ok(()));
        put(&rows, 0).unwrap();
        assert_eq!(rows.refuses(), None);
        let mut kept = vec![0];
        for round in 1..4 {
            disk.fill();
            kept.extend(until_full(&rows, round * 100_000));
            // What is there is read on a full disk as well.
            assert_eq!(all(&rows), kept);
            let why = rows.refuses().unwrap();
            assert!(why.contains("rows.redb") && why.contains("No space left"), "{why}");
            // Where there is room in the file itself some more may go in.
            kept.extend(until_full(&rows, round * 100_000 + 50_000));
            disk.free();
            put(&rows, round * 100_000 + 60_000).unwrap();
            kept.push(round * 100_000 + 60_000);
            thread::sleep(TRY_AGAIN_AFTER);
            assert_eq!(rows.refuses(), None);
            assert_eq!(all(&rows), kept);
        }
        drop(rows);
        assert_eq!(all(&open(disk.0.path(), |_| Ok(()))), kept);
    }

    #[test]
    fn what_was_not_flushed_is_put_back_by_who_knows_it() {
        let Some(disk) = Disk::of("6m") else { return };
        let known: Arc<Mutex<Vec<u64>>> = Arc::default();
        let restored = known.clone();
        let rows = open(disk.0.path(), move |database| {
            let mut tx = database.begin_write()?;
            tx.set_durability(Durability::None)?;
            for &number in &*locked(&restored) {
                tx.open_table(ROWS)?.insert(number, &[][..])?;
            }
            Ok(tx.commit()?)
        });
        put(&rows, 1).unwrap();
        let soon = rows.write(|tx| {
            tx.set_durability(Durability::None)?;
            tx.open_table(ROWS)?.insert(2, &[][..])?;
            locked(&known).push(2);
            Ok(())
        });
        soon.unwrap();
        disk.fill();
        let kept = until_full(&rows, 10);
        let all = all(&rows);
        assert!(all.contains(&1) && all.contains(&2), "{all:?}");
        assert!(kept.iter().all(|number| all.contains(number)));
    }

    #[test]
    fn many_at_once_lose_nothing_that_was_acknowledged() {
        let Some(disk) = Disk::of("6m") else { return };
        let rows = open(disk.0.path(), |_| Ok(()));
        let kept: Mutex<Vec<u64>> = Mutex::default();
        disk.fill();
        thread::scope(|scope| {
            for worker in 0..6 {
                let (rows, kept) = (&rows, &kept);
                scope.spawn(move || {
                    for step in 0..150 {
                        let number = worker * 1000 + step;
                        if put(rows, number).is_ok() {
                            locked(kept).push(number);
                        }
                        let _ = rows.read(|tx| Ok(tx.open_table(ROWS)?.get(number)?.is_some()));
                    }
                });
            }
            thread::sleep(Duration::from_millis(300));
            disk.free();
        });
        put(&rows, 9_000).unwrap();
        let mut kept = kept.into_inner().unwrap();
        kept.push(9_000);
        kept.sort_unstable();
        let all = all(&rows);
        assert!(kept.iter().all(|number| all.contains(number)), "{kept:?} {all:?}");
    }

    #[test]
    fn a_refusal_and_a_panic_change_nothing_and_end_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let rows = open(dir.path(), |_| Ok(()));
        put(&rows, 1).unwrap();
        let refused: Result<(), _> = rows.write(|tx| {
            tx.open_table(ROWS)?.insert(2, &[][..])?;
            Err(Failure::Refused("no"))
        });
        assert!(matches!(refused, Err(Fault::Refused("no"))));
        assert_eq!(rows.refuses(), None);
        let panicked: Result<(), _> = rows.write(|_| panic!("as on a damaged page"));
        assert!(matches!(panicked, Err(Fault::Unreadable(_))));
        put(&rows, 3).unwrap();
        assert_eq!(all(&rows), [1, 3]);
        assert!(
            Rows::open(
                dir.path().join("rows.redb"),
                1 << 20,
                |b| Ok(b.open(dir.path().join("rows.redb"))?),
                |_| Ok(())
            )
            .is_err_and(|fault| matches!(fault, Fault::InUse))
        );
    }

    /// One that was taken away is not made anew: an empty file of accounts would open an archive to everybody.
    #[test]
    fn a_file_that_is_gone_stays_gone() {
        let Some(disk) = Disk::of("6m") else { return };
        let rows = open(disk.0.path(), |_| Ok(()));
        disk.fill();
        until_full(&rows, 1);
        fs::remove_file(rows.path()).unwrap();
        disk.free();
        assert!(matches!(put(&rows, 1), Err(Fault::Io(_))));
        assert!(!rows.path().exists());
    }
}

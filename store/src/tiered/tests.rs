//! Stores elsewhere that go away, come back and lie, behind a folder.

use super::*;
use crate::contract::{address_of, check_blobs};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A store elsewhere that can go away, and whose disk may spoil what it takes in.
struct Elsewhere {
    files: FileStore,
    away: AtomicBool,
    /// How many of the next blobs.
    spoils: AtomicU32,
}

impl Elsewhere {
    fn here(&self) -> Result<&FileStore, BlobError> {
        let problem = RemoteProblem::Unreachable;
        match self.away.load(Ordering::Relaxed) {
            true => Err(BlobError::Remote { store: self.name(), problem, source: None }),
            false => Ok(&self.files),
        }
    }
}

impl BlobStore for Elsewhere {
    fn name(&self) -> String {
        "elsewhere".to_owned()
    }
    fn put(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        let stored = self.here()?.put(bytes)?;
        let spoil = |left: u32| left.checked_sub(1);
        if self.spoils.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spoil).is_ok() {
            let path = self.files.path(&stored.digests.content());
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, b"spoilt").unwrap();
        }
        Ok(stored)
    }
    fn get(&self, at: &Address) -> Result<Box<dyn Read + Send>, BlobError> {
        self.here()?.get(at)
    }
    fn has(&self, at: &Address) -> Result<bool, BlobError> {
        self.here()?.has(at)
    }
    fn remove(&self, at: &Address) -> Result<(), BlobError> {
        self.here()?.remove(at)
    }
    fn sync(&self) -> Result<(), BlobError> {
        Ok(())
    }
}

struct Desk {
    dir: tempfile::TempDir,
    elsewhere: Arc<Elsewhere>,
}

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let files = FileStore::open(&dir.path().join("there")).unwrap();
        let (away, spoils) = (AtomicBool::new(false), AtomicU32::new(0));
        let elsewhere = Arc::new(Elsewhere { files, away, spoils });
        Desk { dir, elsewhere }
    }

    fn open(&self, write_through: bool, keep_bytes_max: Option<u64>) -> TieredStore {
        let local = Arc::new(FileStore::open(&self.dir.path().join("here")).unwrap());
        let tiering = Tiering { write_through, keep_bytes_max };
        let dir = self.dir.path().join("here/waiting");
        TieredStore::open(local, self.elsewhere.clone(), &dir, tiering).unwrap()
    }

    fn local(&self, bytes: &[u8]) -> bool {
        let local = FileStore::open(&self.dir.path().join("here")).unwrap();
        local.has(&address_of(bytes)).unwrap()
    }

    fn is_away(&self, away: bool) {
        self.elsewhere.away.store(away, Ordering::Relaxed);
    }
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn the_contract_holds_however_it_is_set() {
    for write_through in [false, true] {
        for keep in [None, Some(0), Some(1 << 20)] {
            let desk = Desk::new();
            let store = desk.open(write_through, keep);
            store.start_sending(Vec::new);
            check_blobs(&store);
            assert_eq!(store.drain(LONG, &|_| {}).waiting, 0);
        }
    }
}

#[test]
fn what_is_put_while_the_store_elsewhere_is_away_reaches_it_later() {
    for write_through in [false, true] {
        let desk = Desk::new();
        desk.is_away(true);
        let store = desk.open(write_through, Some(0));
        store.start_sending(Vec::new);
        store.put(&mut &b"a work"[..]).unwrap();
        let progress = store.drain(Duration::from_millis(300), &|_| {});
        assert_eq!(progress.waiting, 1);
        assert!(progress.problem.unwrap().contains("elsewhere does not answer"));
        assert_eq!(store.read(&address_of(b"a work"), 9).unwrap(), b"a work");
        drop(store);
        assert!(desk.local(b"a work"), "it must not go before it has arrived");

        desk.is_away(false);
        let store = desk.open(write_through, Some(0));
        assert_eq!(store.progress().waiting, 1);
        store.start_sending(Vec::new);
        let progress = store.drain(LONG, &|_| {});
        assert_eq!(progress, Progress { sent: 1, waiting: 0, problem: None });
        assert!(!desk.local(b"a work"));
        assert_eq!(store.read(&address_of(b"a work"), 9).unwrap(), b"a work");
    }
}

/// A store that says that it has a blob, and has spoilt it, once cost the only good copy.
#[test]
fn the_folder_forgets_only_what_was_read_back() {
    for write_through in [false, true] {
        let desk = Desk::new();
        desk.elsewhere.spoils.store(1, Ordering::Relaxed);
        let store = desk.open(write_through, Some(0));
        store.start_sending(Vec::new);
        store.put(&mut &b"spoilt once"[..]).unwrap();
        assert_eq!(store.drain(LONG, &|_| {}).waiting, 0);
        assert!(!desk.local(b"spoilt once"));
        assert_eq!(store.read(&address_of(b"spoilt once"), 99).unwrap(), b"spoilt once");

        desk.elsewhere.spoils.store(u32::MAX, Ordering::Relaxed);
        store.put(&mut &b"spoilt always"[..]).unwrap();
        let progress = store.drain(Duration::from_millis(500), &|_| {});
        assert_eq!(progress.waiting, 1);
        assert!(progress.problem.is_some_and(|problem| problem.contains("not that work any more")));
        assert!(desk.local(b"spoilt always"));
    }
}

#[test]
fn what_was_in_the_folder_before_is_not_forgotten_unsent() {
    let desk = Desk::new();
    let local = FileStore::open(&desk.dir.path().join("here")).unwrap();
    local.put(&mut &b"from before"[..]).unwrap();
    let store = desk.open(true, Some(0));
    store.put(&mut &b"new"[..]).unwrap();
    assert!(!desk.local(b"new") && desk.local(b"from before"));
    assert!(!desk.elsewhere.files.has(&address_of(b"from before")).unwrap());
}

#[test]
fn a_mark_that_a_power_cut_emptied_is_made_out_again() {
    let desk = Desk::new();
    let work = vec![7; 700_000];
    desk.open(false, None).put(&mut &work[..]).unwrap();
    let mark = desk.dir.path().join("here/waiting").join(ContentId::of(&work).to_string());
    std::fs::write(mark, "").unwrap();
    let store = desk.open(false, None);
    store.start_sending(Vec::new);
    assert_eq!(store.drain(LONG, &|_| {}).waiting, 0);
    assert!(desk.elsewhere.files.has(&address_of(&work)).unwrap());
}

#[test]
fn a_blob_that_is_damaged_here_is_not_sent_and_holds_up_no_other() {
    let desk = Desk::new();
    let store = desk.open(false, None);
    store.put(&mut &b"damaged"[..]).unwrap();
    store.put(&mut &b"sound"[..]).unwrap();
    let path = store.tiers.local.path(&ContentId::of(b"damaged"));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"damagex").unwrap();
    drop(store);
    let store = desk.open(false, None);
    store.start_sending(Vec::new);
    let progress = store.drain(Duration::from_secs(1), &|_| {});
    assert_eq!((progress.sent, progress.waiting), (1, 1));
    assert!(!desk.elsewhere.files.has(&address_of(b"damaged")).unwrap());
    // Putting the true bytes heals it.
    store.put(&mut &b"damaged"[..]).unwrap();
    assert_eq!(store.drain(LONG, &|_| {}).waiting, 0);
}

#[test]
fn the_folder_keeps_what_was_read_within_its_room_and_heals_from_elsewhere() {
    let desk = Desk::new();
    let works: Vec<Vec<u8>> = (0..4).map(|n| vec![n; 1000]).collect();
    for work in &works {
        desk.elsewhere.files.put(&mut &work[..]).unwrap();
    }
    let store = desk.open(false, Some(2500));
    for work in &works {
        assert_eq!(store.read(&address_of(work), 1000).unwrap(), *work);
    }
    let here: Vec<bool> = works.iter().map(|work| desk.local(work)).collect();
    assert_eq!(here, [false, false, true, true]);
    let path = store.tiers.local.path(&ContentId::of(&works[3]));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![9; 1000]).unwrap();
    assert_eq!(store.read(&address_of(&works[3]), 1000).unwrap(), works[3]);
    assert_eq!(std::fs::read(&path).unwrap(), works[3]);
}

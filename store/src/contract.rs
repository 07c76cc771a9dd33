//! What every backend has to do, as tests that the backends of this and other crates run.

#![allow(clippy::unwrap_used, reason = "a failed expectation is the test's verdict")]

use std::io::{self, Read};
use std::slice;

use timemark_verify::{Act, Amendment, Claim, ContentId, Leaf, WorkDigests};

use crate::dag::DagHasher;
use crate::{Address, BlobError, BlobStore, Record, Registry, RegistryError, registrations};

/// What every [`BlobStore`] has to do; it panics where `store` does not.
pub fn check_blobs(store: &dyn BlobStore) {
    let reads_back = |work: &[u8]| {
        let at = address_of(work);
        assert!(store.has(&at).unwrap());
        assert_eq!(store.read(&at, work.len() as u64).unwrap(), work);
    };

    // Not there before it is put; there after; the same after it is put again.
    let at = address_of(b"contract: a work");
    assert!(!store.has(&at).unwrap());
    assert!(matches!(store.get(&at), Err(BlobError::Missing { id }) if id == at.content));
    for _ in 0..2 {
        let stored = store.put(&mut &b"contract: a work"[..]).unwrap();
        assert_eq!(stored.digests, WorkDigests::of(b"contract: a work"));
        assert_eq!(stored.address(), at);
        store.sync().unwrap();
        reads_back(b"contract: a work");
    }
    let too_long = store.read(&at, 15);
    assert!(matches!(too_long, Err(BlobError::TooLong { bytes_max: 15, .. })));

    // An empty work is a work; a large one streams, however the source hands it out.
    store.put(&mut io::empty()).unwrap();
    reads_back(b"");
    let large: Vec<u8> = (0u32..700_001).flat_map(u32::to_le_bytes).collect();
    store.put(&mut Piecemeal { rest: &large, interrupted: false }).unwrap();
    reads_back(&large);

    // Threads may put the same bytes at once, while others read them.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let work = vec![0xC0; 300_000];
                store.put(&mut &work[..]).unwrap();
                store.sync().unwrap();
                reads_back(&work);
            });
        }
    });

    // What is known is checked before it is kept.
    let known = [&large[..], b"known"].concat();
    let at = address_of(&known);
    store.put_as(&at, &mut &known[..]).unwrap();
    reads_back(&known);
    let other = [&large[..], b"other"].concat();
    let mistaken = store.put_as(&address_of(&other), &mut &large[1..]);
    assert!(matches!(mistaken, Err(BlobError::Altered { .. })), "{mistaken:?}");
    assert!(!store.has(&address_of(&other)).unwrap());
    assert!(!store.has(&address_of(&large[1..])).unwrap());

    // What is removed is gone, and everything else is not; it may be removed again, and come back.
    for _ in 0..2 {
        store.remove(&at).unwrap();
        assert!(!store.has(&at).unwrap());
        assert!(matches!(store.get(&at), Err(BlobError::Missing { .. })));
    }
    reads_back(&large);
    store.put(&mut &known[..]).unwrap();
    reads_back(&known);

    // A source that fails is the source's fault, and leaves nothing.
    let half = &large[..large.len() / 2];
    for known in [false, true] {
        let mut source = half.chain(Gone);
        let failed = match known {
            false => store.put(&mut source).map(|_| ()),
            true => store.put_as(&address_of(half), &mut source),
        };
        assert!(matches!(failed, Err(BlobError::Source(_))), "{failed:?}");
        assert!(!store.has(&address_of(half)).unwrap());
    }
    store.sync().unwrap();
}

/// Where these bytes are asked for.
pub fn address_of(bytes: &[u8]) -> Address {
    let mut dag = DagHasher::new();
    dag.update(bytes);
    Address { content: ContentId::of(bytes), dag: dag.finish() }
}

/// What every [`Registry`] has to do; it panics where `registry`, which is to be empty, does not.
pub fn check_registry(registry: &dyn Registry) {
    let refused = |records: &[Record], len| {
        let before = registry.len().unwrap();
        let error = registry.advance(records, len).unwrap_err();
        assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
        assert_eq!(registry.len().unwrap(), before);
    };
    let all = |content: &ContentId| registry.by_content(content, 0, 999).unwrap();
    let (a, b) = (sample_record(2, b"a work"), sample_record(5, b"a work"));
    let c = sample_record(6, b"another");
    let erased = Record { claim: None, ..sample_record(9, b"erased") };

    assert!(registry.is_empty().unwrap());
    assert_eq!(registry.by_index(0).unwrap(), None);
    assert_eq!(all(&a.leaf.content), []);

    // Works among entries of other kinds, in batches; the length may run ahead of the works.
    registry.advance(slice::from_ref(&a), 4).unwrap();
    registry.advance(&[b.clone(), c.clone()], 7).unwrap();
    registry.advance(&[], 7).unwrap();
    registry.advance(slice::from_ref(&erased), 12).unwrap();
    registry.flush().unwrap();
    assert_eq!(registry.len().unwrap(), 12);
    for record in [&a, &b, &c, &erased] {
        assert_eq!(registry.by_index(record.index).unwrap().as_ref(), Some(record));
    }
    for other_kind in [0, 3, 4, 11, 12, u64::MAX] {
        assert_eq!(registry.by_index(other_kind).unwrap(), None);
    }
    assert_eq!(all(&a.leaf.content), [a.clone(), b.clone()]);
    let content = &a.leaf.content;
    assert_eq!(registry.by_content(content, 0, 1).unwrap(), slice::from_ref(&a));
    assert_eq!(registry.by_content(content, 3, 9).unwrap(), slice::from_ref(&b));
    let counted = |from, most| registry.count_by_content(content, from, most).unwrap();
    assert_eq!([counted(0, 9), counted(0, 1), counted(3, 9), counted(6, 9)], [2, 1, 1, 0]);
    let claimed = |who, from| registry.by_claimant(content, who, from, 9).unwrap();
    assert_eq!(claimed(Some("张伟"), 0), [a.clone(), b.clone()]);
    assert_eq!(claimed(Some("张伟"), 3), slice::from_ref(&b));
    assert!(claimed(Some("张"), 0).is_empty() && claimed(None, 0).is_empty());
    assert_eq!(all(&c.leaf.content), slice::from_ref(&c));
    assert_eq!(all(&erased.leaf.content), [erased]);
    assert_eq!(all(&ContentId::of(b"nobody's")), []);

    check_amendments(registry);

    // What does not follow is refused as a whole.
    let at = |index| sample_record(index, b"refused");
    refused(&[], 29);
    refused(&[at(29)], 30);
    refused(&[at(30), at(29)], 32);
    refused(&[at(30), at(30)], 32);
    refused(&[at(30), at(32)], 32);
    refused(&[at(30), Record { leaf: c.leaf, ..at(31) }], 32);
    assert_eq!(all(&at(30).leaf.content), []);

    // Of threads that take in the same entries, one wins.
    let entries: Vec<Record> = (30..112).map(|index| sample_record(index, b"raced")).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for entry in &entries {
                    let _ = registry.advance(slice::from_ref(entry), entry.index + 1);
                }
            });
        }
    });
    assert_eq!(all(&entries[0].leaf.content), entries);
    let content = entries[0].leaf.content;
    let one_by_one: Result<Vec<_>, _> = registrations(registry, &content).collect();
    assert_eq!(one_by_one.unwrap(), entries);
    assert_eq!(registry.len().unwrap(), 112);
}

/// Claims that amend others, from entry 12 to 29.
fn check_amendments(registry: &dyn Registry) {
    let a = registry.by_index(2).unwrap().unwrap();
    let erased = registry.by_index(9).unwrap().unwrap();
    let amending = |at: u64, act, meant: &Record, work: &[u8]| {
        let amends = Some(Amendment { act, index: meant.index, claim: meant.leaf.claim });
        let record = sample_record(at, work);
        let claim = Claim { amends, ..record.claim.unwrap() };
        Record { index: at, leaf: Leaf::of(&claim), claim: Some(claim) }
    };
    let amended = |index| registry.amended(index).unwrap().map(|amended| (amended.act, amended.by));
    let standing = |index| registry.standing(index).unwrap().map(|record| record.index);
    use Act::{Corrects, Withdraws};

    assert_eq!((amended(2), standing(2)), (None, Some(2)));
    let elsewhere = amending(12, Corrects, &a, b"another");
    let mut unmeant = amending(13, Corrects, &a, b"a work");
    let claim = unmeant.claim.as_mut().unwrap();
    claim.amends.as_mut().unwrap().claim = [0; 32];
    unmeant.leaf = Leaf::of(claim);
    registry.advance(&[elsewhere, unmeant], 14).unwrap();
    assert_eq!((amended(2), standing(2), standing(12)), (None, Some(2), Some(12)));

    // In one batch, as after a crash; the first of two counts.
    let corrected = amending(14, Corrects, &a, b"a work");
    let late = amending(15, Withdraws, &a, b"a work");
    registry.advance(&[corrected.clone(), late.clone()], 16).unwrap();
    assert_eq!((amended(2), standing(2)), (Some((Corrects, 14)), Some(14)));
    assert_eq!(standing(15), None, "a withdrawal claims nothing, even where it withdraws nothing");

    let of_withdrawal = amending(16, Corrects, &late, b"a work");
    registry.advance(&[of_withdrawal], 17).unwrap();
    assert_eq!(amended(15), None);

    let withdrawn = amending(17, Withdraws, &corrected, b"a work");
    registry.advance(&[withdrawn], 18).unwrap();
    assert_eq!((amended(14), standing(2), standing(14)), (Some((Withdraws, 17)), None, None));

    let of_erased = amending(18, Corrects, &erased, b"erased");
    registry.advance(&[of_erased], 30).unwrap();
    assert_eq!((amended(9), standing(9)), (Some((Corrects, 18)), Some(18)));
    assert_eq!((amended(99), standing(99)), (None, None));
    let amendments = [(2, 14), (9, 18), (14, 17)];
    assert_eq!(registry.amendments(0, 9).unwrap(), amendments);
    assert_eq!(registry.amendments(3, 1).unwrap(), amendments[1..2]);

    // What an erased claim did is undone; the next that did it counts, as if that one had never been.
    for _ in 0..2 {
        registry.erase(14).unwrap();
        assert_eq!(registry.by_index(14).unwrap().unwrap().claim, None);
        assert_eq!((amended(2), standing(2)), (Some((Withdraws, 15)), None));
        assert_eq!(amended(14), Some((Withdraws, 17)), "it is meant by its digest");
        let claimed = registry.by_claimant(&a.leaf.content, Some("张伟"), 3, 99).unwrap();
        assert!(claimed.iter().all(|record| record.index != 14));
    }
    // 16 corrects a withdrawal, which is nothing, until nobody knows any more that it was one.
    assert_eq!(amended(15), None);
    registry.erase(15).unwrap();
    assert_eq!((amended(2), standing(2)), (None, Some(2)));
    assert_eq!(amended(15), Some((Corrects, 16)));
    registry.erase(99).unwrap();
}

/// A record whose claim varies with the index.
pub(crate) fn sample_record(index: u64, work: &[u8]) -> Record {
    let claim = Claim {
        work: WorkDigests::of(work),
        media_type: "image/jpeg".to_owned(),
        fingerprints: vec![],
        title: Some(format!("Number {index}")),
        claimant: Some("张伟".to_owned()),
        created: None,
        rights: None,
        collection: None,
        path: None,
        amends: None,
        creator: None,
        salt: [9; 32],
    };
    Record { index, leaf: Leaf::of(&claim), claim: Some(claim) }
}

/// A source that hands out a little at a time, and is interrupted in between.
struct Piecemeal<'a> {
    rest: &'a [u8],
    interrupted: bool,
}

impl Read for Piecemeal<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = buffer.len().min(99_991);
        self.rest.read(&mut buffer[..length])
    }
}

/// A source that vanished, as an unplugged disk does.
struct Gone;

impl Read for Gone {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("unplugged"))
    }
}

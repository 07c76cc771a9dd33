//! Archives of blocks, made by hand: what is written reads back, and whatever else is one error.
#![cfg(test)]

use std::io::{Cursor, Read};

use proptest::prelude::*;
use timemark_store::car::{Car, CarEntry, CarError, CarWriter, CidProblem};
use timemark_store::dag::{CHUNK_BYTES, Codec, DagCid, DagHasher};

#[test]
fn what_is_written_reads_back() {
    let works: Vec<Vec<u8>> =
        [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES].map(work).into();
    let archive = written(&works);
    let mut car = open(&archive).unwrap();
    let roots: Vec<DagCid> = works.iter().map(|work| address(work)).collect();
    assert_eq!(car.roots(), roots);
    let listed = car.files().unwrap();
    assert_eq!(listed.len(), works.len());
    for ((work, root), entry) in works.iter().zip(roots).zip(listed) {
        let path = String::new();
        assert_eq!(entry, CarEntry { root, path, cid: root, length: work.len() as u64 });
        assert!(car.has(&root));
        assert_eq!(read(&mut car, &root).unwrap(), *work);
    }
    assert!(!car.has(&address(b"another")));
}

#[test]
fn blocks_that_files_share_are_written_once() {
    let chunk = work(CHUNK_BYTES);
    let (one, two) = (chunk.clone(), [&chunk[..], &chunk, b"end"].concat());
    let archive = written(&[one.clone(), two.clone(), one.clone()]);
    assert!(archive.len() < CHUNK_BYTES + 1000, "{}", archive.len());
    let mut car = open(&archive).unwrap();
    assert_eq!(read(&mut car, &address(&two)).unwrap(), two);
    assert_eq!(car.files().unwrap().len(), 3);
}

#[test]
fn a_root_that_was_not_written_is_told() {
    let (here, absent) = (address(b"here"), address(b"absent"));
    let mut writer = CarWriter::new(Vec::new(), &[here, absent]).unwrap();
    assert_eq!(writer.add(&mut &b"here"[..]).unwrap(), here);
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, CarError::RootNotWritten { cid } if cid == absent), "{error}");
}

#[test]
fn every_flipped_bit_is_told_or_changes_nothing() {
    let works = [work(300), [&work(CHUNK_BYTES)[..], b"end"].concat()];
    let archive = written(&works);
    let small = written(&works[..1]);
    let flip = |archive: &[u8], bit: usize, works: &[Vec<u8>]| {
        let mut flipped = archive.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(all) = all_files(&flipped) {
            assert_eq!(all, works, "bit {bit}");
        }
    };
    (0..8 * small.len()).for_each(|bit| flip(&small, bit, &works[..1]));
    // Of the longer one, what is no chunk, and some of that.
    let chunk = archive.len() - CHUNK_BYTES..archive.len();
    let bits = (0..8 * archive.len()).filter(|bit| *bit < 8 * 1000 || bit % 9973 == 0);
    bits.for_each(|bit| flip(&archive, bit, &works));
    (8 * (chunk.end - 300)..8 * chunk.end).for_each(|bit| flip(&archive, bit, &works));
}

#[test]
fn every_shorter_archive_is_told() {
    let archive = written(&[work(300)]);
    for end in 0..archive.len() {
        assert!(all_files(&archive[..end]).is_err(), "{end} bytes");
    }
    let truncated = open(&archive[..archive.len() - 1]).err().unwrap();
    let CarError::Truncated { offset } = truncated else { panic!("{truncated}") };
    assert_eq!(offset, header(&[address(b"")]).len() as u64);
}

#[test]
fn damage_is_told_by_its_kind_and_place() {
    let block = Block::raw(b"bytes");
    let header = header(&[block.cid]);
    let at = header.len() as u64;
    let with = |section: &[u8]| open(&[&header[..], section].concat()).err().unwrap();
    let named = |cid: &[u8]| with(&length_first(&[cid, b"bytes"].concat()));

    let error = with(&length_first(&[&block.cid.to_bytes()[..], b"other"].concat()));
    assert!(
        matches!(error, CarError::WrongHash { cid, offset } if (cid, offset) == (block.cid, at))
    );
    assert!(error.to_string().contains(&block.cid.to_string()));
    for bad in [&[0xFF; 10][..], &[0x80, 0]] {
        assert!(matches!(with(bad), CarError::BadLength { offset } if offset == at));
    }
    assert!(matches!(with(&[0x80]), CarError::Truncated { offset } if offset == at));
    assert!(matches!(with(&[9, 1]), CarError::Truncated { offset } if offset == at));
    let huge = with(&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
    assert!(matches!(huge, CarError::TooLarge { bytes: 0x7_FFFF_FFFF, .. }), "{huge}");
    let mut over = varint((5 << 20) + 36);
    over.extend(vec![0; (5 << 20) + 36]);
    assert!(matches!(with(&over), CarError::TooLarge { .. }));
    let problem = |error| match error {
        CarError::BadCid { offset, problem } if offset == at => problem,
        error => panic!("{error}"),
    };
    assert_eq!(problem(with(&[0])), CidProblem::Malformed);
    let digest = &block.cid.to_bytes()[4..];
    assert_eq!(problem(named(&[&[1, 0x71, 0x12, 32], digest].concat())), CidProblem::Codec(0x71));
    assert_eq!(problem(named(&[&[1, 0x55, 0x13, 32], digest].concat())), CidProblem::Hash(0x13));
    assert_eq!(problem(named(&[1, 0x55, 0, 2, 7, 7])), CidProblem::Hash(0)); // bytes instead of a digest

    for (bytes, said) in [
        (&b""[..], "within what begins at byte 0"),
        (b"\x05hello", "no map"),
        (b"PK\x03\x04", "within what begins at byte 0"),
        (b"\xFF\xFF\xFF\x7F", "more than"),
        (b"\x0A\xA1\x67version\x03", "version 3"),
        (b"\x0A\xA1\x67version\x02", "within what begins at byte 11"),
    ] {
        let error = open(bytes).err().unwrap().to_string();
        assert!(error.contains(said), "{bytes:02x?}: {error}");
    }
}

#[test]
fn blocks_come_in_any_order_and_more_than_once() {
    let (a, b) = (Block::raw(b"first"), Block::raw(b"second"));
    let root = file(&[(&a, 5), (&b, 6), (&a, 5)], b"");
    let blocks = [&root, &b, &a, &root, &a, &b];
    let mut car = open(&archive(&[&root], &blocks)).unwrap();
    assert_eq!(read(&mut car, &root.cid).unwrap(), b"firstsecondfirst");
    let mut car = open(&archive(&[&root], &[&root, &a])).unwrap();
    let error = read(&mut car, &root.cid).unwrap_err();
    assert!(matches!(error, CarError::Missing { cid } if cid == b.cid), "{error}");
    let mut car = open(&archive(&[&root], &[&a])).unwrap();
    assert!(matches!(car.files(), Err(CarError::Missing { cid }) if cid == root.cid));
}

#[test]
fn bytes_within_nodes_and_old_leaves_are_read() {
    let inline = file(&[], b"inline ");
    let leaf = Block::node(&[], &unixfs(0, b"leaf ", &[])); // of the type Raw
    let raw = Block::raw(b"raw");
    let root = file(&[(&inline, 7), (&leaf, 5), (&raw, 3)], b"first ");
    let mut car = open(&archive(&[&root], &[&root, &inline, &leaf, &raw])).unwrap();
    assert_eq!(car.files().unwrap()[0].length, 21);
    assert_eq!(car.open_file(&root.cid).unwrap().length(), 21);
    assert_eq!(read(&mut car, &root.cid).unwrap(), b"first inline leaf raw");
    let (none, nothing) = (Block::raw(b""), file(&[], b""));
    for empty in [&file(&[(&none, 0)], b""), &file(&[(&nothing, 0)], b""), &none, &nothing] {
        let mut car = open(&archive(&[empty], &[empty, &none, &nothing])).unwrap();
        assert_eq!(read(&mut car, &empty.cid).unwrap(), b"");
    }
}

#[test]
fn sizes_that_do_not_hold_are_told_again_and_again() {
    let part = Block::raw(b"five!");
    for stated in [4, 6] {
        let root = file(&[(&part, stated)], b"");
        let mut car = open(&archive(&[&root], &[&root, &part])).unwrap();
        let mut reader = car.open_file(&root.cid).unwrap();
        for _ in 0..3 {
            let error = reader.read(&mut [0; 9]).unwrap_err().downcast::<CarError>().unwrap();
            let CarError::WrongSize { cid, stated: told, found: 5 } = error else {
                panic!("{error}")
            };
            assert_eq!((cid, told), (part.cid, stated));
        }
    }
    let too_long = file(&[(&part, u64::MAX), (&part, 1)], b"");
    let mut unequal = unixfs(2, b"", &[5]);
    unequal.extend(number(3, 6));
    let (twice, unequal) =
        (Block::node(&[("", &part)], &unequal), Block::node(&[("", &part)], &[8, 2, 24, 6, 32, 5]));
    let sizeless = Block::node(&[("", &part)], &unixfs(2, b"", &[]));
    let idle = file(&[(&Block::raw(b""), 0), (&part, 5)], b"");
    for bad in [&too_long, &twice, &unequal, &sizeless, &idle] {
        let mut car = open(&archive(&[bad], &[bad, &part])).unwrap();
        let error = read(&mut car, &bad.cid).unwrap_err();
        assert!(matches!(error, CarError::BadNode { cid, .. } if cid == bad.cid), "{error}");
    }
}

#[test]
fn folders_give_paths() {
    let (a, b) = (Block::raw(b"a"), file(&[], b"bb"));
    let inner = folder(&[("b", &b), ("empty", &folder(&[]))]);
    let root = folder(&[("a.txt", &a), ("山", &inner), ("z", &a)]);
    let blocks = [&root, &inner, &a, &b, &folder(&[])];
    let mut car = open(&archive(&[&root, &a], &blocks)).unwrap();
    let listed = car.files().unwrap();
    let listed: Vec<_> =
        listed.iter().map(|file| (&file.path[..], file.length, file.root)).collect();
    let root = root.cid;
    assert_eq!(listed, [("a.txt", 1, root), ("山/b", 2, root), ("z", 1, root), ("", 1, a.cid)]);
    let error = car.open_file(&root).err().unwrap();
    assert!(error.to_string().contains("is a folder, not a file"), "{error}");
}

#[test]
fn folders_in_shards_give_paths_without_the_digits() {
    let (a, b) = (Block::raw(b"a"), Block::raw(b"b"));
    let below = Block::node(&[("07b", &b)], SHARD);
    let root = Block::node(&[("00a", &a), ("F1", &below)], SHARD);
    let mut car = open(&archive(&[&root], &[&root, &below, &a, &b])).unwrap();
    let paths: Vec<String> = car.files().unwrap().into_iter().map(|file| file.path).collect();
    assert_eq!(paths, ["a", "b"]);
    for name in ["0", "xya", "00a/b", "00.."] {
        let root = Block::node(&[(name, &a)], SHARD);
        let error = open(&archive(&[&root], &[&root, &a])).unwrap().files().unwrap_err();
        assert!(matches!(error, CarError::BadName { .. }), "{name}: {error}");
    }
    // What should be a part of the folder is a file, or another folder.
    for no_shard in [&a, &file(&[], b"a"), &folder(&[])] {
        let root = Block::node(&[("00", no_shard)], SHARD);
        let error = open(&archive(&[&root], &[&root, no_shard])).unwrap().files().unwrap_err();
        assert!(matches!(error, CarError::BadNode { .. }), "{error}");
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let a = Block::raw(b"a");
    let long = "x".repeat(5000);
    for name in ["", ".", "..", "/", "../a", "a/b", "a\0", &long] {
        let root = folder(&[("fine", &a), (name, &a)]);
        let error = open(&archive(&[&root], &[&root, &a])).unwrap().files().unwrap_err();
        assert!(
            matches!(error, CarError::BadName { cid, .. } if cid == root.cid),
            "{name:?}: {error}"
        );
    }
    let twice = folder(&[("a", &a), ("a", &a)]);
    let error = open(&archive(&[&twice], &[&twice, &a])).unwrap().files().unwrap_err();
    assert!(matches!(error, CarError::BadName { ref name, .. } if name == "a"), "{error}");
    for (kind, said) in [(3, "metadata"), (4, "a symbolic link")] {
        let link = Block::node(&[], &unixfs(kind, b"/etc/passwd", &[]));
        let root = folder(&[("link", &link)]);
        let error = open(&archive(&[&root], &[&root, &link])).unwrap().files().unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_small_archive_may_stand_for_much_and_the_reader_stops_when_it_likes() {
    // Each node stands for the one below it a thousand times: 10^18 bytes in seven blocks.
    let mut blocks = vec![Block::raw(b"x")];
    let mut length = 1;
    for _ in 0..6 {
        let parts: Vec<(&Block, u64)> = vec![(blocks.last().unwrap(), length); 1000];
        let node = file(&parts, b"");
        length *= 1000;
        blocks.push(node);
    }
    let root = blocks.last().unwrap();
    let mut car = open(&archive(&[root], &blocks.iter().collect::<Vec<_>>())).unwrap();
    assert_eq!(car.files().unwrap()[0].length, length);
    let mut first = Vec::new();
    let file = car.open_file(&root.cid).unwrap();
    file.take(5000).read_to_end(&mut first).unwrap();
    assert_eq!(first, [b'x'; 5000]);
}

#[test]
fn folders_that_multiply_or_never_end_are_broken_off() {
    let mut blocks = vec![folder(&[])];
    for _ in 0..20 {
        let below = blocks.last().unwrap();
        let node = folder(&[("a", below), ("b", below), ("c", below)]);
        blocks.push(node);
    }
    let root = blocks.last().unwrap();
    let mut car = open(&archive(&[root], &blocks.iter().collect::<Vec<_>>())).unwrap();
    assert!(matches!(car.files(), Err(CarError::TooMany { what: "entries", .. })));

    let (mut folders, mut files) = (vec![folder(&[])], vec![Block::raw(b"x")]);
    for _ in 0..65 {
        folders.push(folder(&[("a", folders.last().unwrap())]));
        files.push(file(&[(files.last().unwrap(), 1)], b""));
    }
    for (deep, is_file) in [(folders, false), (files, true)] {
        for (depth, is_fine) in [(64, true), (65, false)] {
            let root = &deep[depth];
            let mut car = open(&archive(&[root], &deep.iter().collect::<Vec<_>>())).unwrap();
            let walked =
                if is_file { read(&mut car, &root.cid).map(drop) } else { car.files().map(drop) };
            match walked {
                Err(CarError::TooDeep { cid, .. }) => assert!(!is_fine && cid == deep[0].cid),
                walked => assert!(is_fine && walked.is_ok(), "{walked:?}"),
            }
        }
    }
}

#[test]
fn the_archive_inside_one_of_version_2_is_read() {
    let works = [work(300)];
    let inner = written(&works);
    let outer = |offset: u64, bytes: u64| {
        let fixed = [&[0; 16][..], &offset.to_le_bytes(), &bytes.to_le_bytes(), &[0; 8]].concat();
        [b"\x0A\xA1\x67version\x02", &fixed[..], &[0; 9], &inner, b"an index"].concat()
    };
    let bytes = inner.len() as u64;
    assert_eq!(all_files(&outer(60, bytes)).unwrap(), works);
    for (offset, bytes) in [
        (60, bytes - 1),
        (60, bytes + 1),
        (60, bytes + 1000),
        (50, bytes),
        (u64::MAX, 1),
        (60, 0),
        (1000, 5),
    ] {
        assert!(all_files(&outer(offset, bytes)).is_err(), "{offset} {bytes}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_lengths_read_back(lengths in proptest::collection::vec(around_boundaries(), 1..4)) {
        let works: Vec<Vec<u8>> = lengths.into_iter().map(work).collect();
        prop_assert!(all_files(&written(&works)).unwrap() == works);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_an_error_and_no_more(bytes: Vec<u8>, is_sealed: bool) {
        prop_assert!(open(&bytes).is_err() || bytes.len() > 17);
        // As a block under its own name, so that they are looked into.
        let block = if is_sealed { Block::node(&[], &bytes) } else { Block::of(Codec::DagPb, &bytes) };
        let mut car = open(&archive(&[&block], &[&block])).unwrap();
        let _ = car.files();
        let _ = read(&mut car, &block.cid);
    }
}

fn around_boundaries() -> impl Strategy<Value = usize> {
    let around = |length: usize| length - 2..=length + 2;
    prop_oneof![0..3usize, around(CHUNK_BYTES), around(2 * CHUNK_BYTES), 0..4 * CHUNK_BYTES]
}

/// Bytes of this length, which do not repeat.
fn work(length: usize) -> Vec<u8> {
    let words = (length as u64..).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    words.flatten().take(length).collect()
}

fn address(work: &[u8]) -> DagCid {
    let mut hasher = DagHasher::new();
    hasher.update(work);
    hasher.finish()
}

fn written(works: &[Vec<u8>]) -> Vec<u8> {
    let roots: Vec<DagCid> = works.iter().map(|work| address(work)).collect();
    let mut writer = CarWriter::new(Vec::new(), &roots).unwrap();
    for (work, root) in works.iter().zip(&roots) {
        assert_eq!(writer.add(&mut &work[..]).unwrap(), *root);
    }
    writer.finish().unwrap()
}

fn open(archive: &[u8]) -> Result<Car<Cursor<Vec<u8>>>, CarError> {
    Car::open(Cursor::new(archive.to_vec()))
}

fn read(car: &mut Car<Cursor<Vec<u8>>>, cid: &DagCid) -> Result<Vec<u8>, CarError> {
    let mut file = car.open_file(cid)?;
    let length = file.length();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| error.downcast::<CarError>().unwrap())?;
    assert_eq!(bytes.len() as u64, length);
    Ok(bytes)
}

/// All files of an archive that has some.
fn all_files(archive: &[u8]) -> Result<Vec<Vec<u8>>, CarError> {
    let mut car = open(archive)?;
    car.files()?.iter().map(|file| read(&mut car, &file.cid)).collect()
}

/// A block with its name.
struct Block {
    cid: DagCid,
    bytes: Vec<u8>,
}

impl Block {
    fn of(codec: Codec, bytes: &[u8]) -> Block {
        Block { cid: DagCid::of_block(codec, bytes), bytes: bytes.to_vec() }
    }

    fn raw(bytes: &[u8]) -> Block {
        Block::of(Codec::Raw, bytes)
    }

    fn node(links: &[(&str, &Block)], unixfs: &[u8]) -> Block {
        let mut bytes = Vec::new();
        for (name, block) in links {
            let link = [field(1, &block.cid.to_bytes()), field(2, name.as_bytes()), number(3, 9)];
            bytes.extend(field(2, &link.concat()));
        }
        bytes.extend(field(1, unixfs));
        Block::of(Codec::DagPb, &bytes)
    }
}

fn file(parts: &[(&Block, u64)], data: &[u8]) -> Block {
    let links: Vec<(&str, &Block)> = parts.iter().map(|(part, _)| ("", *part)).collect();
    let sizes: Vec<u64> = parts.iter().map(|(_, size)| *size).collect();
    Block::node(&links, &unixfs(2, data, &sizes))
}

fn folder(entries: &[(&str, &Block)]) -> Block {
    Block::node(entries, &number(1, 1))
}

fn unixfs(kind: u64, data: &[u8], sizes: &[u64]) -> Vec<u8> {
    let length = sizes.iter().fold(data.len() as u64, |sum, size| sum.wrapping_add(*size));
    let mut bytes = [number(1, kind), field(2, data), number(3, length)].concat();
    sizes.iter().for_each(|size| bytes.extend(number(4, *size)));
    bytes
}

fn archive(roots: &[&Block], blocks: &[&Block]) -> Vec<u8> {
    let mut archive = header(&roots.iter().map(|root| root.cid).collect::<Vec<_>>());
    for block in blocks {
        archive.extend(length_first(&[&block.cid.to_bytes()[..], &block.bytes].concat()));
    }
    archive
}

fn header(roots: &[DagCid]) -> Vec<u8> {
    let mut cbor = b"\xA2\x65roots".to_vec();
    cbor.push(0x80 + u8::try_from(roots.len()).unwrap());
    for root in roots {
        cbor.extend(b"\xD8\x2A\x58\x25\x00");
        cbor.extend(root.to_bytes());
    }
    cbor.extend(b"\x67version\x01");
    length_first(&cbor)
}

fn length_first(bytes: &[u8]) -> Vec<u8> {
    [&varint(bytes.len() as u64)[..], bytes].concat()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &length_first(bytes)[..]].concat()
}

fn number(field: u8, value: u64) -> Vec<u8> {
    [&[field << 3], &varint(value)[..]].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7F {
        bytes.push(0x80 | (value & 0x7F) as u8);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A part of a large folder: 256 places by murmur3.
const SHARD: &[u8] = b"\x08\x05\x28\x22\x30\x80\x02";

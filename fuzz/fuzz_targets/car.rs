//! Whatever the bytes, an archive opens within bounded memory or is an error; its files have the length that they
//! state, and no path leads elsewhere.
#![no_main]

use std::io::{Cursor, Read};

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use timemark_fuzz::car::{Car, CarError, CarWriter};
use timemark_fuzz::dag::{Codec, DagCid};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fuzz_target!(|bytes: &[u8]| {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    look_into(bytes);
    // No mutation would survive the hash of a block, so the same bytes come as one under its true name as well.
    let cid = DagCid::of_block(Codec::DagPb, bytes);
    look_into(&archive_of(cid, bytes));
    let used = MEMORY.peak_usage().saturating_sub(before);
    assert!(used <= MEMORY_BYTES_MAX + 64 * bytes.len(), "{used} bytes used");
});

fn look_into(archive: &[u8]) {
    let Ok(mut car) = Car::open(Cursor::new(archive)) else { return };
    for entry in car.files().unwrap_or_default() {
        let names = entry.path.split('/').all(|name| !matches!(name, "" | "." | ".."));
        assert!((names || entry.path.is_empty()) && !entry.path.contains('\0'));
        let Ok(file) = car.open_file(&entry.cid) else { continue };
        assert_eq!(file.length(), entry.length);
        let mut bytes = Vec::new();
        match file.take(BYTES_MAX).read_to_end(&mut bytes) {
            Ok(_) => assert_eq!(bytes.len() as u64, entry.length.min(BYTES_MAX)),
            Err(error) => assert!(error.downcast::<CarError>().is_ok()),
        }
    }
}

/// An archive of this one block, which is its root.
fn archive_of(cid: DagCid, block: &[u8]) -> Vec<u8> {
    let mut archive =
        CarWriter::new(Vec::new(), &[]).and_then(CarWriter::finish).unwrap_or_default();
    // One root instead of none: what a header of one root is longer by.
    archive[0] += 41;
    archive[8] += 1;
    let root = [&[0xD8, 42, 0x58, 37, 0], &cid.to_bytes()[..]].concat();
    archive.splice(9..9, root);
    let mut length = DagCid::BYTES + block.len();
    while length > 0x7F {
        archive.push(0x80 | (length & 0x7F) as u8);
        length >>= 7;
    }
    archive.push(length as u8);
    [&archive, &cid.to_bytes()[..], block].concat()
}

const BYTES_MAX: u64 = 1 << 20;
/// What a reader buffers, and a block and its links.
const MEMORY_BYTES_MAX: usize = 32 << 20;

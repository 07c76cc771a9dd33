//! Whatever the bytes, a visit ends with their digest, and what it takes of memory is bounded.
#![no_main]

use std::ops::ControlFlow;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use timemark_fuzz::sources::{Met, visit_stream};
use timemark_verify::ContentId;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fuzz_target!(
    // The visit answers for panics inside the decoders; only those that leave it count.
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let mut members = 0;
        let mut last = None;
        let flow = visit_stream(Path::new("in"), bytes, &mut |met| {
            match met {
                Met::Member { name, content } => {
                    last = Some((name.within.is_none(), content));
                }
                Met::Failed { reason, .. } => assert!(!reason.is_empty()),
                Met::Skipped(_) => {}
                Met::File(_) => unreachable!("a stream holds no files on disk"),
            }
            members += 1;
            // Enough was seen; breaking off is part of what has to work.
            if members < MEMBERS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let used = MEMORY.peak_usage().saturating_sub(before);
        assert!(used <= MEMORY_BYTES_MAX, "{used} bytes used");
        if flow == ControlFlow::Continue(()) {
            let (whole, content) = last.expect("the stream itself");
            assert!(whole && content.id() == ContentId::of(bytes));
        }
    }
);

const MEMBERS_MAX: usize = 10_000;
/// One window of Zstandard a level, and what is unpacked of a picture or a zip from as few bytes as these.
const MEMORY_BYTES_MAX: usize = 1 << 30;

//! Whatever the bytes, `decode` gives a picture within its limits or an error, and the memory it
//! takes on the way is what it was allowed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use timemark_fuzz::media::{self, Limits, MediaError};
use timemark_vision::{Features, Pdq, regions, trim_luma};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fuzz_target!(
    // `decode` answers for panics inside the decoders; only those that leave it count, and those of our own.
    init: std::panic::set_hook(Box::new(|panic| {
        let ours = ["ingest/src", "vision/src", "fuzz_targets"];
        if panic.location().is_some_and(|at| ours.iter().any(|part| at.file().contains(part))) {
            eprintln!("{panic}");
            std::process::abort();
        }
    })),
    |bytes: &[u8]| {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let result = media::decode(bytes, &LIMITS);
        let used = MEMORY.peak_usage() - before;
        let allowed = LIMITS.decoded_bytes_max as usize + overhead_bytes(bytes);
        assert!(used <= allowed, "{used} bytes used, {allowed} allowed, {result:?}");

        MEMORY.reset_peak_usage();
        let luma = media::luma(bytes, &LIMITS);
        let used = MEMORY.peak_usage() - before;
        assert!(used <= allowed, "{used} bytes used for brightness, {allowed} allowed");
        if let Some(luma) = luma {
            let values = u64::from(luma.width) * u64::from(luma.height);
            assert!((1..=LIMITS.pixels_max).contains(&values));
            assert_eq!(luma.values.len() as u64, values);
            if let Some(inner) = trim_luma(&luma) {
                assert!(inner.x + inner.width <= luma.width && inner.width > 0);
                assert!(inner.y + inner.height <= luma.height && inner.height > 0);
            }
            assert!(Pdq::of_luma(&luma, luma.frame()).is_some() || luma.width.min(luma.height) < 5);
        }

        let is_picture = media::has_picture_signature(bytes);
        assert_eq!(is_picture, !matches!(result, Err(MediaError::NotAPicture)));
        let Ok(picture) = result else { return };
        let pixels = u64::from(picture.width) * u64::from(picture.height);
        assert!((1..=LIMITS.pixels_max).contains(&pixels));
        assert_eq!(picture.rgb.len() as u64, 3 * pixels);

        let jpeg = media::thumbnail_jpeg(&picture, 32).expect("any picture has a thumbnail");
        let small = media::decode(&jpeg, &Limits::default()).expect("a thumbnail is a picture");
        assert!(small.width.max(small.height) <= 32);

        // Whatever it shows, what is looked for in it is bounded and lies within it.
        let features = Features::of_suspect(&picture);
        assert!(features.keypoints.len() <= Features::SUSPECT_MAX);
        for region in regions(&picture) {
            assert!(region.x + region.width <= picture.width && region.width > 0);
            assert!(region.y + region.height <= picture.height && region.height > 0);
        }
    }
);

/// What a decoder may take beside pixels: tables, the file's own bytes, and what two decoders ask
/// for on a file's mere word before any limit reaches them.
fn overhead_bytes(file: &[u8]) -> usize {
    let on_its_word = match media::media_type(file) {
        "image/webp" => 16 << 20, // a lossy partition, whose length has 24 bits
        "image/tiff" => 32 * file.len(), // the values of a tag, no more than the file has bytes
        _ => 0,
    };
    (1 << 20) + 4 * file.len() + on_its_word
}

const LIMITS: Limits =
    Limits { pixels_max: 1 << 18, decoded_bytes_max: 2 << 20, seconds_max: 5, jpeg_scans_max: 20 };

//! A bundle in pieces of any length: what is read is what a writer would have written, and its manifest has one spelling.
//! A certificate gives its receipt or a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::{BundleReader, Manifest, attached_receipt};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let mut reader = BundleReader::default();
    let read = bytes.chunks(usize::from(piece) + 1).try_for_each(|piece| reader.update(piece));
    if let Ok(bundle) = read.and_then(|()| reader.finish()) {
        assert_eq!(bundle.bytes, bytes.len() as u64);
        let _ = bundle.outcome(None, bundle.policy_sha256().as_deref());
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_string().as_bytes(), bytes);
    }
    if let Ok(receipt) = attached_receipt(bytes) {
        assert!(
            bytes.windows(receipt.len().max(1)).any(|window| window == receipt)
                || receipt.is_empty()
        );
    }
});

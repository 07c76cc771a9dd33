//! A receipt file has one spelling, with the seal it came with and with the one it would need.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_fuzz::sealed;
use timemark_verify::{Receipt, check_without_trust};

fuzz_target!(|file: &[u8]| {
    check(file);
    check(&sealed(file));
});

fn check(file: &[u8]) {
    let Ok(receipt) = Receipt::parse(file) else { return };
    assert_eq!(receipt.to_string().as_bytes(), file);
    assert!(Receipt::is_receipt(file));
    let _ = check_without_trust(&receipt.claim.work, &receipt);
}

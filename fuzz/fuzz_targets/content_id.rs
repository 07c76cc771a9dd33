//! A content id has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::ContentId;

fuzz_target!(|text: &str| {
    let Ok(id) = text.parse::<ContentId>() else { return };
    assert_eq!(id.to_string(), text);
    assert_eq!(ContentId::from_sha256(*id.sha256()), id);
});

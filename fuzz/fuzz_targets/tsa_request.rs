//! Whatever the request, the time-stamp authority answers with a response that is DER to the last byte,
//! and grants only what was asked for.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use timemark_fuzz::strict;
use timemark_tsa::{Authority, Clock, Reading};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("timemark-fuzz-tsa-{}", std::process::id()));
    Authority::create(&dir, "tsa.example", NOW).expect("a folder for keys");
    let reading = || Reading { utc: Duration::from_secs(NOW), monotonic: Duration::ZERO };
    let authority = Authority::open(&dir, Clock::from_readings(reading)).expect("just made");
    // Its time stands still, so that nothing is written again.
    std::fs::remove_dir_all(&dir).expect("just made");
    authority
});

fuzz_target!(|request: &[u8]| {
    let response = AUTHORITY.respond(request);
    let answer = strict::answer(&response);
    let Some(token) = answer.token else {
        let failure = answer.failure.expect("no token");
        assert!(THE_REQUEST_IS_AT_FAULT.contains(&failure), "{failure}");
        return;
    };
    let asked = strict::children(strict::siblings(request)[0], 0x30);
    assert_eq!(token.imprint, asked[1].whole);
    assert_eq!(token.nonce, asked[2..].iter().find(|e| e.tag == 2).map(|e| e.whole));
    let with_certificates = asked.iter().any(|e| e.tag == 1);
    assert_eq!(token.certificates.len(), if with_certificates { 2 } else { 0 });
});

/// badAlg, badRequest, badDataFormat, unacceptedPolicy, unacceptedExtension.
const THE_REQUEST_IS_AT_FAULT: [usize; 5] = [0, 2, 5, 15, 16];

const NOW: u64 = 1_791_201_600;

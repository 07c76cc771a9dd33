//! An authority as its operator knows it: made, opened, killed, opened again, under clocks good and bad.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use timemark_tsa::{Authority, Clock, Reading, TsaError};

mod strict;

/// 2026-10-05 12:00:00 UTC.
const NOW: u64 = 1_791_201_600;

const BAD_DATA_FORMAT: usize = 5;
const TIME_NOT_AVAILABLE: usize = 14;
const SYSTEM_FAILURE: usize = 25;

#[test]
fn a_token_says_what_was_asked_and_nothing_twice() {
    let desk = Desk::new();
    let authority = desk.open();
    let root = der(&fs::read_to_string(desk.dir.path().join("tsa/root.crt")).unwrap());
    let certificate = der(&fs::read_to_string(desk.dir.path().join("tsa/tsa.crt")).unwrap());

    let response = authority.respond(&request(Some(&[0, 0x9a, 1]), true));
    let token = strict::answer(&response).token.unwrap();
    assert_eq!(token.imprint, imprint());
    assert_eq!(token.time, "20261005120000Z");
    assert_eq!(token.accuracy, [0x30, 6, 2, 1, 2, 0x80, 1, 100]);
    assert_eq!(token.nonce, Some(&[2, 3, 0, 0x9a, 1][..]));
    assert!(token.name.ends_with(b"tsa.example"));
    assert_eq!(token.certificates.len(), 2);
    assert!(
        token.certificates.contains(&&root[..]) && token.certificates.contains(&&certificate[..])
    );

    // Exactly the three attributes, one value each; SHA-256 as the default of hashAlgorithm is left out.
    let digest = Sha256::digest(token.info);
    let ess = [&[0x30, 38, 0x30, 36, 0x30, 34, 4, 32][..], &Sha256::digest(&certificate)].concat();
    let mut values: Vec<&[u8]> = Vec::new();
    for attribute in strict::siblings(token.attributes) {
        let [_, set] = strict::children(attribute, 0x30)[..] else { panic!() };
        let [value] = strict::children(set, 0x31)[..] else { panic!() };
        values.push(value.whole);
    }
    assert_eq!(values.len(), 3);
    assert!(values.contains(&&ess[..]));
    assert!(values.contains(&&[&[4, 32][..], &digest].concat()[..]));

    let response = authority.respond(&request(None, false));
    let token = strict::answer(&response).token.unwrap();
    assert!(token.nonce.is_none() && token.certificates.is_empty());
    assert!(authority.trouble().is_none());
    assert_eq!(authority.chain_pem().matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(der(&authority.chain_pem()), certificate);
}

#[test]
fn serial_numbers_never_come_back() {
    let desk = Desk::new();
    let mut seen = BTreeSet::new();
    let (mut count, mut spent) = (0_u32, Duration::ZERO);
    for _ in 0..10 {
        // Dropped without being closed at the end of each turn, as a kill does it.
        let authority = desk.open();
        for _ in 0..1_000 {
            let start = Instant::now();
            let response = authority.respond(&request(None, false));
            spent += start.elapsed();
            count += 1;
            let token = strict::answer(&response).token.unwrap();
            assert!(token.serial.len() <= 20 && token.serial[0] < 0x80);
            assert!(seen.insert(token.serial.to_vec()), "a serial number came back");
        }
    }
    println!("{:.0} responses a second on one core", f64::from(count) / spent.as_secs_f64());
}

#[test]
fn many_ask_at_once() {
    let desk = Desk::new();
    let authority = desk.open();
    let seen = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    desk.set(|hands| hands.pass(7));
                    let response = authority.respond(&request(Some(&[1]), true));
                    let token = strict::answer(&response).token.unwrap();
                    // By count within the run, so that order shows: time grows with the number.
                    let count = token.serial[token.serial.len() - 8..].to_vec();
                    assert!(seen.lock().unwrap().insert((count, token.time.to_owned())));
                }
            });
        }
    });
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), 800);
    assert!(seen.iter().map(|(_, time)| time).is_sorted(), "a later number with an earlier time");
}

#[test]
fn only_one_process_issues() {
    let desk = Desk::new();
    let first = desk.open();
    let second = Authority::open(&desk.dir.path().join("tsa"), desk.clock());
    assert!(matches!(second, Err(TsaError::Busy { .. })), "{second:?}");
    drop(first);
    desk.open();
}

#[test]
fn a_clock_that_stepped_says_nothing_more() {
    for (step, failure) in
        [(1_100, None), (1_101, Some(TIME_NOT_AVAILABLE)), (-3_000, Some(TIME_NOT_AVAILABLE))]
    {
        let desk = Desk::new();
        let authority = desk.open();
        assert_eq!(desk.failure(&authority), None);
        desk.set(|hands| hands.pass(5_000));
        desk.set(|hands| hands.utc = hands.utc.checked_add_signed(step).unwrap());
        assert_eq!(desk.failure(&authority), failure, "{step}");
        // Set right again: still nobody knows what happened in between.
        desk.set(|hands| hands.pass(2_000));
        desk.set(|hands| hands.utc = hands.utc.checked_add_signed(-step).unwrap());
        assert_eq!(desk.failure(&authority), failure, "{step}");
        assert_eq!(authority.trouble().is_some(), failure.is_some());
        drop(authority);
        assert_eq!(desk.failure(&desk.open()), None, "started again with a clock that is right");
    }
}

#[test]
fn time_does_not_go_back_across_a_restart() {
    let desk = Desk::new();
    desk.set(|hands| hands.pass(60_000));
    assert_eq!(desk.failure(&desk.open()), None);
    desk.set(|hands| hands.utc -= 1_000);
    let authority = desk.open();
    assert_eq!(desk.failure(&authority), Some(TIME_NOT_AVAILABLE));
    assert!(authority.trouble().unwrap().contains("which was said already"));
    // It does not help to wait: whoever reads this should look.
    desk.set(|hands| hands.pass(2_000));
    assert_eq!(desk.failure(&authority), Some(TIME_NOT_AVAILABLE));
    drop(authority);
    assert_eq!(desk.failure(&desk.open()), None);

    // Nor before the certificate was made.
    let desk = Desk::new();
    desk.set(|hands| hands.utc -= 10_000_000);
    assert_eq!(desk.failure(&desk.open()), Some(TIME_NOT_AVAILABLE));
}

#[test]
fn an_expired_certificate_stamps_nothing() {
    let years = |n: u64| n * 31_556_952_000;
    for (later, failure) in [(years(11) - 1_000_000, None), (years(11), Some(SYSTEM_FAILURE))] {
        let desk = Desk::new();
        desk.set(|hands| hands.pass(later));
        let authority = desk.open();
        assert_eq!(desk.failure(&authority), failure);
        assert_eq!(authority.trouble().is_some(), failure.is_some());
    }
}

#[test]
fn a_disk_that_says_no_is_an_ordinary_day() {
    let desk = Desk::new();
    let authority = desk.open();
    let aside = desk.dir.path().join("tsa/issued.new");
    fs::create_dir(&aside).unwrap();
    desk.set(|hands| hands.pass(1_000));
    assert_eq!(desk.failure(&authority), Some(SYSTEM_FAILURE));
    assert!(authority.trouble().unwrap().contains("issued"), "{:?}", authority.trouble());
    fs::remove_dir(&aside).unwrap();
    assert_eq!(desk.failure(&authority), None);
    assert!(authority.trouble().is_none());
}

#[test]
fn what_is_made_is_whole_private_and_never_replaced() {
    let desk = Desk::new();
    let dir = desk.dir.path().join("tsa");
    let mode = |file: &str| dir.join(file).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for file in ["tsa.key", "root.key", "issued", "lock", "tsa.crt", "root.crt"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    let key = fs::read(dir.join("tsa.key")).unwrap();
    let again = Authority::create(&dir, "tsa.example", NOW);
    assert!(matches!(again, Err(TsaError::Exists { .. })), "{again:?}");
    assert_eq!(fs::read(dir.join("tsa.key")).unwrap(), key);

    // After the year 9999 there is no certificate; nothing of the try remains.
    let none = desk.dir.path().join("none");
    let far = Authority::create(&none, "tsa.example", 400_000_000_000);
    assert!(matches!(far, Err(TsaError::Encoding(_))), "{far:?}");
    assert!(Authority::create(&none, "tsa.example", u64::MAX).is_err());
    let left = fs::read_dir(desk.dir.path()).unwrap().map(|e| e.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["tsa"]);

    let long = "n".repeat(60);
    for name in ["", " ", "a ", "a\nb", "a\0", &long] {
        let result = Authority::create(&none, name, NOW);
        assert!(matches!(result, Err(TsaError::Name { .. })), "{name:?}");
    }
    for name in ["ü, =+\"#;<>\\ 時", &long[1..]] {
        let dir = desk.dir.path().join(format!("named-{}", name.len()));
        Authority::create(&dir, name, NOW).unwrap();
        let authority = Authority::open(&dir, desk.clock()).unwrap();
        assert_eq!(desk.failure(&authority), None);
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let desk = Desk::new();
    let (dir, other) = (desk.dir.path().join("tsa"), desk.dir.path().join("other"));
    Authority::create(&other, "tsa.example", NOW).unwrap();
    for (file, bytes) in [
        ("tsa.key", fs::read(other.join("tsa.key")).unwrap()),
        ("tsa.key", fs::read(dir.join("root.key")).unwrap()),
        ("tsa.key", b"secret".to_vec()),
        ("tsa.crt", fs::read(other.join("tsa.crt")).unwrap()),
        ("tsa.crt", fs::read(dir.join("root.crt")).unwrap()),
        ("tsa.crt", b"".to_vec()),
        ("root.crt", fs::read(other.join("root.crt")).unwrap()),
        ("issued", b"run 1\n".to_vec()),
    ] {
        let good = fs::read(dir.join(file)).unwrap();
        fs::write(dir.join(file), bytes).unwrap();
        let error = Authority::open(&dir, desk.clock()).unwrap_err();
        assert!(matches!(error, TsaError::Damaged { .. }), "{file}: {error}");
        assert!(!error.to_string().contains("secret"));
        fs::write(dir.join(file), good).unwrap();
    }
    assert!(matches!(Authority::open(&other.join("none"), desk.clock()), Err(TsaError::Io { .. })));
    // The root's key is not needed to issue.
    fs::remove_file(dir.join("root.key")).unwrap();
    assert_eq!(desk.failure(&desk.open()), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_has_an_answer(
        nonce in proptest::option::of(vec(1..0x80_u8, 1..24)),
        certificates: bool,
        changes in vec((any::<Index>(), any::<u8>(), 0..3_u8), 0..4),
    ) {
        let mut bytes = request(nonce.as_deref(), certificates);
        let good = bytes.clone();
        for (place, byte, change) in changes {
            let place = place.index(bytes.len());
            match change {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        let response = AUTHORITY.1.respond(&bytes);
        let answer = strict::answer(&response);
        prop_assert!(bytes != good || answer.token.is_some());
        prop_assert!(answer.failure != Some(SYSTEM_FAILURE) && answer.failure != Some(TIME_NOT_AVAILABLE));
        prop_assert_eq!(answer.reason.is_some(), answer.token.is_none());
        if let Some(token) = answer.token {
            // Only what was asked for is granted.
            let asked = strict::children(strict::siblings(&bytes)[0], 0x30);
            prop_assert_eq!(asked[1].whole, token.imprint);
            let nonce = asked[2..].iter().find(|e| e.tag == 2).map(|e| e.whole);
            prop_assert_eq!(nonce, token.nonce);
        }
    }

    #[test]
    fn noise_has_an_answer(bytes in vec(any::<u8>(), 0..200)) {
        let response = AUTHORITY.1.respond(&bytes);
        prop_assert_eq!(strict::answer(&response).failure, Some(BAD_DATA_FORMAT));
    }
}

static AUTHORITY: std::sync::LazyLock<(Desk, Authority)> = std::sync::LazyLock::new(|| {
    let desk = Desk::new();
    let authority = desk.open();
    (desk, authority)
});

/// Both clocks' hands, in milliseconds, for the test to move.
struct Hands {
    utc: u64,
    monotonic: u64,
}

impl Hands {
    fn pass(&mut self, millis: u64) {
        self.utc += millis;
        self.monotonic += millis;
    }
}

/// A folder with an authority in it, and its clock.
struct Desk {
    dir: TempDir,
    hands: Arc<Mutex<Hands>>,
}

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        Authority::create(&dir.path().join("tsa"), "tsa.example", NOW - 1_000).unwrap();
        let hands = Arc::new(Mutex::new(Hands { utc: NOW * 1_000, monotonic: 77_000 }));
        Desk { dir, hands }
    }

    fn clock(&self) -> Clock {
        let hands = self.hands.clone();
        Clock::from_readings(move || {
            let hands = hands.lock().unwrap();
            let [utc, monotonic] = [hands.utc, hands.monotonic].map(Duration::from_millis);
            Reading { utc, monotonic }
        })
    }

    fn open(&self) -> Authority {
        Authority::open(&self.dir.path().join("tsa"), self.clock()).unwrap()
    }

    fn set(&self, change: impl FnOnce(&mut Hands)) {
        change(&mut self.hands.lock().unwrap());
    }

    fn failure(&self, authority: &Authority) -> Option<usize> {
        strict::answer(&authority.respond(&request(None, true))).failure
    }
}

/// SHA-256 of "a work\n", as a MessageImprint.
fn imprint() -> Vec<u8> {
    let algorithm = [0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 1, 5, 0];
    [&[0x30, 49][..], &algorithm, &[4, 32], &Sha256::digest(b"a work\n")].concat()
}

fn request(nonce: Option<&[u8]>, certificates: bool) -> Vec<u8> {
    let nonce = nonce.map(|n| [&[2, n.len() as u8], n].concat()).unwrap_or_default();
    let certificates: &[u8] = if certificates { &[1, 1, 0xff] } else { &[] };
    let fields = [&[2, 1, 1][..], &imprint(), &nonce, certificates].concat();
    [&[0x30, fields.len() as u8], &fields[..]].concat()
}

/// The bytes of the first block of a PEM text.
fn der(pem: &str) -> Vec<u8> {
    let end = "-----END CERTIFICATE-----\n";
    let first = &pem[..pem.find(end).unwrap() + end.len()];
    der::pem::decode_vec(first.as_bytes()).unwrap().1
}

//! The test vectors of docs/vectors: every implementation gives the same verdict and names the same check.
//!
//! The library goes through them, and through every single bit of what is swept (with `TIMEMARK_SWEEP_IN_FULL` also of the
//! longest receipt with its seal made to fit again, which takes a quarter of an hour); the native program goes through
//! the vectors; WASM in node and in Chromium and the verifier in Python, which knows the document alone, go through the
//! vectors and every 97th bit, and must say the same of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use timemark_verify::Session;

use crate::support::{expect, repository, run, skip};
use crate::{vector_amendments, vector_worlds};

/// A line of `vectors.jsonl` or, without what must come out, of `sweep.jsonl`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Vector {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Judgement>,
}

/// What is said of a vector.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Judgement {
    pub verdict: String,
    pub check: Option<String>,
    pub existed_by: Option<String>,
}

/// The files of a vector.
#[derive(Clone, Default)]
pub struct Files {
    pub work: Vec<u8>,
    pub receipt: Option<Vec<u8>>,
    pub policy: Option<Vec<u8>>,
    pub bundle: Option<Vec<u8>>,
    pub confirm: Option<String>,
}

impl Files {
    fn read(vector: &Vector, dir: &Path) -> Files {
        let read = |name: &Option<String>| {
            name.as_ref()
                .map(|name| fs::read(dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}")))
        };
        Files {
            work: read(&vector.work).unwrap_or_default(),
            receipt: read(&vector.receipt),
            policy: read(&vector.policy),
            bundle: read(&vector.bundle),
            confirm: vector.confirm.clone(),
        }
    }

    /// What the library says.
    pub fn judge(&self) -> Judgement {
        let mut session = Session::default();
        if let Some(policy) = &self.policy {
            session.policy(policy);
        }
        if let Some(bundle) = &self.bundle {
            session.bundle_bytes(bundle);
            session.confirm(self.confirm.as_deref().unwrap_or_default());
        } else {
            session.work_bytes(&self.work);
            session.work_done("work");
            session.receipt(self.receipt.as_deref().unwrap_or_default());
        }
        let outcome: Value = serde_json::from_str(&session.verdict()).unwrap();
        let text = |key: &str| outcome[key].as_str().map(str::to_owned);
        Judgement {
            verdict: text("verdict").unwrap(),
            check: text("check"),
            existed_by: text("existed_by"),
        }
    }

    /// What is swept: the receipt, or the manifest within the bundle and where it begins there.
    fn swept(&self) -> (&[u8], usize, usize) {
        match (&self.receipt, &self.bundle) {
            (Some(receipt), _) => (receipt, 0, receipt.len()),
            (None, Some(bundle)) => {
                let length = u32::from_le_bytes(bundle[18..22].try_into().unwrap());
                (bundle, MANIFEST_AT, length as usize)
            }
            (None, None) => panic!("nothing to sweep"),
        }
    }

    fn with_swept(&self, bytes: Vec<u8>) -> Files {
        let mut files = self.clone();
        *files.receipt.as_mut().or(files.bundle.as_mut()).unwrap() = bytes;
        files
    }

    /// With this bit flipped, as it is.
    fn flipped(&self, bit: usize) -> Files {
        let (bytes, from, _) = self.swept();
        let mut bytes = bytes.to_vec();
        bytes[from + bit / 8] ^= 1 << (bit % 8);
        self.with_swept(bytes)
    }

    /// With all that protects the swept bytes made to fit again.
    fn resealed(&self) -> Files {
        let (bytes, from, length) = self.swept();
        let mut bytes = bytes.to_vec();
        if self.receipt.is_some() {
            bytes = resealed_receipt(&bytes);
        } else {
            let crc = crc32(&bytes[from..from + length]).to_le_bytes();
            bytes[14..18].copy_from_slice(&crc);
            let directory = u32::from_le_bytes(bytes[bytes.len() - 6..][..4].try_into().unwrap());
            bytes[directory as usize + 16..][..4].copy_from_slice(&crc);
        }
        self.with_swept(bytes)
    }
}

/// A receipt whose last line is the SHA-256 of what is above it.
pub fn resealed_receipt(receipt: &[u8]) -> Vec<u8> {
    let body = receipt.len().saturating_sub(LAST_LINE_BYTES);
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&receipt[..body]));
    [&receipt[..body], format!("== sha256 {digest}\n").as_bytes()].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    // ISO 3309, bit by bit: the peers have their own.
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn lines(name: &str) -> Vec<Vector> {
    let text = fs::read_to_string(vectors_dir().join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn vectors_dir() -> PathBuf {
    repository("docs/vectors")
}

#[test]
fn the_library_says_of_every_vector_what_is_written() {
    match std::env::var_os("TIMEMARK_BLESS") {
        Some(part) if part == "amended" => vector_amendments::write_amended(&vectors_dir()),
        Some(_) => vector_worlds::write(&vectors_dir()),
        None => {}
    }
    let vectors = lines("vectors.jsonl");
    assert!(vectors.len() > 50);
    for vector in vectors {
        let files = Files::read(&vector, &vectors_dir());
        assert_eq!(Some(files.judge()), vector.expected, "{}", vector.name);
    }
}

#[test]
fn the_native_program_says_of_every_vector_what_is_written() {
    for vector in lines("vectors.jsonl") {
        let expected = vector.expected.unwrap();
        let mut program = Command::new(courtroom());
        program.arg("--json").current_dir(vectors_dir());
        program.args(vector.bundle.iter().chain(&vector.work).chain(&vector.receipt));
        program.args(&vector.policy);
        program.args(vector.confirm.iter().flat_map(|sha256| ["--confirm", sha256]));
        let output = run(&mut program);
        let said: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{}: {e}: {output:?}", vector.name));
        let text = |key: &str| said[key].as_str().map(str::to_owned);
        let said = Judgement {
            verdict: text("verdict").unwrap(),
            check: text("check"),
            existed_by: text("existed_by"),
        };
        assert_eq!(said, expected, "{}", vector.name);
        let code = ["verified", "refused", "undecided"].iter().position(|v| *v == said.verdict);
        assert_eq!(output.status.code(), code.map(|code| code as i32), "{}", vector.name);
    }
}

/// The program that a court runs, as it was built with these tests.
pub fn courtroom() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_timemark")).with_file_name("timemark-verify");
    assert!(program.exists(), "{}: cargo build --release builds it", program.display());
    program
}

#[test]
fn every_flipped_bit_is_refused_or_changes_nothing_but_itself() {
    for vector in lines("sweep.jsonl") {
        let files = Files::read(&vector, &vectors_dir());
        let good = files.judge();
        assert_eq!(good.verdict, "verified", "{}", vector.name);
        let bits = files.swept().2 * 8;
        // A receipt with eight signatures of ML-DSA takes a quarter of an hour, of which most is in those.
        let in_full = std::env::var_os("TIMEMARK_SWEEP_IN_FULL").is_some() || bits < 100_000;
        let every = if in_full { 1 } else { RESEALED_EVERY };
        let (next, raw) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let work = || {
                while let Some(bit) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|b| *b < bits)
                {
                    let flipped = files.flipped(bit);
                    let said = flipped.judge();
                    assert_eq!(said.verdict, "refused", "{}: bit {bit}", vector.name);
                    raw.fetch_add(1, Ordering::Relaxed);
                    if bit % every != 0 {
                        continue;
                    }
                    let resealed = flipped.resealed().judge();
                    let harmless = resealed.verdict == "verified"
                        && resealed.existed_by.is_some() == good.existed_by.is_some();
                    assert!(
                        harmless || resealed.verdict != "verified",
                        "{}: bit {bit}: {resealed:?}",
                        vector.name
                    );
                }
            };
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        let raw = raw.into_inner();
        println!("{}: {raw} bits flipped, every {every} of them resealed as well", vector.name);
    }
}

/// What the library says of every so-manieth bit, in the form in which the peers say it.
fn sweep(vector: &Vector) -> Value {
    let files = Files::read(vector, &vectors_dir());
    let mut raw: BTreeMap<String, u64> = BTreeMap::new();
    let mut resealed = Vec::new();
    for bit in (0..files.swept().2 * 8).step_by(EVERY) {
        let flipped = files.flipped(bit);
        *raw.entry(flipped.judge().check.unwrap_or_default()).or_default() += 1;
        let Judgement { verdict, check, existed_by } = flipped.resealed().judge();
        resealed.push(json!([bit, verdict, check, existed_by]));
    }
    json!({ "name": vector.name, "raw": raw, "resealed": resealed })
}

/// Holds what a peer printed of vectors and sweeps against what is written and what the library says.
fn agrees(peer: &str, vectors: &str, sweeps: &str) {
    let expected = lines("vectors.jsonl");
    let said: Vec<Value> = vectors.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(said.len(), expected.len(), "{peer}");
    let mut wrong = Vec::new();
    for (vector, said) in expected.iter().zip(&said) {
        assert_eq!(said["name"], vector.name, "{peer}");
        let judged: Judgement = serde_json::from_value(said.clone()).unwrap();
        if Some(&judged) != vector.expected.as_ref() {
            wrong.push(format!("{}: {judged:?}, not {:?}", vector.name, vector.expected));
        }
    }
    assert!(wrong.is_empty(), "{peer} differs:\n{}", wrong.join("\n"));
    let mut bits = 0;
    for (vector, said) in lines("sweep.jsonl").iter().zip(sweeps.lines()) {
        let said: Value = serde_json::from_str(said).unwrap();
        let ours = sweep(vector);
        assert_eq!(said["name"], ours["name"], "{peer}");
        assert_eq!(said["raw"], ours["raw"], "{peer}: {}", vector.name);
        let (said, ours) =
            (said["resealed"].as_array().unwrap(), ours["resealed"].as_array().unwrap());
        assert_eq!(said.len(), ours.len(), "{peer}: {}", vector.name);
        for (said, ours) in said.iter().zip(ours) {
            assert_eq!(said, ours, "{peer}: {}", vector.name);
        }
        bits += ours.len();
    }
    assert_eq!(sweeps.lines().count(), lines("sweep.jsonl").len(), "{peer}");
    println!("{peer}: {} vectors and {bits} flipped bits, the same verdicts", expected.len());
}

#[test]
fn the_verifier_in_python_agrees() {
    let python = repository("target/peers/verify/bin/python");
    if !python.exists() {
        return skip(
            "no Python with the packages of tests/peers/verify/requirements.txt; scripts/test.sh installs it",
        );
    }
    let say = |what: &str| {
        let mut verify = Command::new(&python);
        verify.arg(repository("tests/peers/verify/verify.py")).arg(what).arg(vectors_dir());
        let output = run(&mut verify);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    agrees("Python", &say("--vectors"), &say("--sweep"));
}

#[test]
fn wasm_agrees_in_node_and_in_chromium() {
    let page = repository("target/page/verify.wasm");
    if !page.exists() {
        return skip("no WASM; scripts/page.sh builds it");
    }
    let places: &[&str] = if Path::new("/usr/bin/chromium").exists()
        && repository("target/peers/page/node_modules/playwright-core").exists()
    {
        &["node", "chromium"]
    } else {
        skip("no Chromium or no playwright-core for the vectors");
        &["node"]
    };
    for place in places {
        let say = |what: &str| {
            let mut node = Command::new("node");
            node.arg(repository("tests/peers/page/vectors.mjs")).arg(repository(""));
            expect(0, node.args([place, what]))
        };
        agrees(&format!("WASM in {place}"), &say("--vectors"), &say("--sweep"));
    }
}

#[test]
fn what_the_vectors_are_made_of_is_there() {
    // Every file that is named is there, and every file that is there is named.
    let mut named: Vec<String> =
        vec!["vectors.jsonl".into(), "sweep.jsonl".into(), "README.md".into()];
    for vector in lines("vectors.jsonl").into_iter().chain(lines("sweep.jsonl")) {
        named.extend(
            [vector.work, vector.receipt, vector.policy, vector.bundle].into_iter().flatten(),
        );
    }
    named.sort();
    named.dedup();
    let mut there: Vec<String> = fs::read_dir(vectors_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, named);
}

const EVERY: usize = 97;
/// Prime to the lengths of lines and of base64, so that all places are met.
const RESEALED_EVERY: usize = 41;
/// `== sha256 `, 64 digits and the line's end.
const LAST_LINE_BYTES: usize = 10 + 64 + 1;
/// Behind the local header and the name of the first file.
const MANIFEST_AT: usize = 30 + "manifest.txt".len();

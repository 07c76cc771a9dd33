//! What we write, in the eyes of programs that others wrote: receipts and log against the
//! transparency-log code of the Go project, fingerprints against Meta's PDQ in Python.
//!
//! The other side's programs are in `tests/peers`; without them these tests are skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::BASE64;
use serde_json::json;
use timemark_ingest::media::{self, Limits};
use timemark_tlog::{Log, LogKey};
use timemark_verify::{Claim, Fingerprint, WorkDigests};
use timemark_vision::{Pdq, Picture};

use crate::support::{Desk, Server, expect, expect_json, repository, run, shared, skip};

#[test]
fn go_believes_our_receipts_and_tiles_and_no_changed_ones() {
    let Some(go) = &*GO_PEER else { return skip("Debian's Go and its golang.org/x/mod") };
    let desk = Desk::new();
    for i in 0..300 {
        desk.file(&format!("texts/{i}.txt"), format!("the work of number {i}\n"));
    }
    let registered = Registered::new(desk, &["texts".into(), repository("samples/works")]);
    assert!(registered.works.len() > 300 + 10, "the samples are there too");
    registered.is_believed_by(go);
}

#[test]
fn go_believes_the_receipts_of_real_pictures() {
    let Some(go) = &*GO_PEER else { return skip("Debian's Go and its golang.org/x/mod") };
    let Some(references) = references() else { return skip("the pictures of ../shared") };
    let registered = Registered::new(Desk::new(), &[references]);
    assert_eq!(registered.works.len(), 600);
    for Work { file, receipt } in &registered.works {
        expect(0, &mut registered.desk.timemark(["verify", file, "--receipt", receipt]));
    }
    registered.is_believed_by(go);
}

/// Sizes around the edges of tiles, and one of three levels (the examples of c2sp.org/tlog-tiles).
const SIZES: [u64; 6] = [0, 1, 255, 256, 257, 70_000];

#[test]
fn go_reads_our_tiles_from_disk_and_over_http_at_every_kind_of_size() {
    let Some(go) = &*GO_PEER else { return skip("Debian's Go and its golang.org/x/mod") };
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "sizes.example"]));
    let vkeys = expect(0, &mut desk.timemark(["log", "vkey"]));
    let vkey = vkeys.lines().next().unwrap();
    let tiles_dir = expect(0, &mut desk.timemark(["log", "tiles-dir"]));
    let mut serve = desk.timemark(["serve", "--public-log", "--listen", "127.0.0.1:0"]);
    let server = Server::start(&mut serve);
    for size in SIZES {
        grow(&desk, size);
        for place in [tiles_dir.trim_end(), &server.url] {
            let told = ask(Command::new(go).args(["tiles", vkey, place])).unwrap();
            assert!(told.starts_with(&format!("accepted {size} entries: ")), "{place}: {told}");
            eprintln!("{told}");
        }
    }
}

/// Appends entries to the log of the desk's archive until it has so many.
fn grow(desk: &Desk, size: u64) {
    let key = LogKey::read(&desk.path("archive/keys/log.key")).unwrap();
    let log = Log::open(&desk.path("archive/log"), key, Box::new(|| Ok(()))).unwrap();
    let next = AtomicU64::new(log.size());
    std::thread::scope(|scope| {
        for _ in 0..256 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= size {
                        return;
                    }
                    let claim = Claim {
                        work: WorkDigests::of(&number.to_be_bytes()),
                        media_type: "application/octet-stream".to_owned(),
                        fingerprints: Vec::new(),
                        title: None,
                        claimant: None,
                        created: None,
                        rights: None,
                        collection: None,
                        path: None,
                        amends: None,
                        creator: None,
                        salt: [0; 32],
                    };
                    log.append(&claim).unwrap();
                }
            });
        }
    });
    assert_eq!(log.size(), size);
}

#[test]
fn pdq_is_near_what_meta_published() {
    let Some(rows) = published_codes() else { return skip("the pictures of ../shared") };
    for (path, published) in rows {
        let (_, pdq) = pdq_of(&path);
        let distance = pdq.codes[0].distance(&published);
        assert!(distance <= OTHER_DECODER_BITS_MAX, "{}: {distance} bits", path.display());
    }
}

#[test]
fn pdq_is_bit_for_bit_that_of_pdqhash() {
    let python = std::env::var_os("TIMEMARK_PDQHASH_PYTHON")
        .map_or(repository("target/peers/venv/bin/python"), PathBuf::from);
    if !python.exists() {
        return skip("a Python with pdqhash");
    }
    let (Some(rows), Some(references)) = (published_codes(), references()) else {
        return skip("the pictures of ../shared");
    };
    let mut paths: BTreeSet<PathBuf> = rows.into_iter().map(|(path, _)| path).collect();
    paths.extend(spread(&files_below(&references), 60).cloned());

    let desk = Desk::new();
    let mut lines = String::new();
    for (n, path) in paths.iter().enumerate() {
        let (picture, pdq) = pdq_of(path);
        let line = json!({
            "path": desk.file(&format!("{n}.rgb"), &picture.rgb),
            "width": picture.width,
            "height": picture.height,
            "codes": pdq.codes.map(|code| code.to_string()),
            "quality": pdq.quality,
        });
        lines += &format!("{line}\n");
    }
    let list = desk.file("pictures.jsonl", lines);
    let check = repository("tests/peers/pdq/check.py");
    let told = expect(0, Command::new(python).arg(check).arg(list));
    assert_eq!(told, format!("{} passed, 0 failed\n", paths.len()));
}

/// Through another decoder than theirs, codes differ by 10 to 12 bits at most.
const OTHER_DECODER_BITS_MAX: u32 = 12;
/// Receipts, and files of the tree, of which changed copies are tried.
const CHANGED_COUNT: usize = 20;

/// An archive into which works have been registered.
struct Registered {
    desk: Desk,
    vkey: String,
    works: Vec<Work>,
}

struct Work {
    file: String,
    receipt: String,
}

impl Registered {
    fn new(desk: Desk, paths: &[PathBuf]) -> Registered {
        let mut register = desk.timemark(["register", "--receipts", "receipts"]);
        let mut works = Vec::new();
        for line in expect_json(0, register.args(paths)) {
            assert_ne!(line["status"], "error", "{line}");
            let text = |field: &str| line[field].as_str().unwrap().to_owned();
            works.push(Work { file: text("file"), receipt: text("receipt") });
        }
        // Go knows Ed25519; the second key is of ML-DSA.
        let vkeys = expect(0, &mut desk.timemark(["log", "vkey"]));
        let vkey = vkeys.lines().next().unwrap().to_owned();
        Registered { desk, vkey, works }
    }

    /// Every receipt is accepted, every file of the tree is what Go makes of the entries, and a
    /// single bit changed in either is noticed.
    fn is_believed_by(&self, go: &Path) {
        let mut proof_paths = Vec::new();
        let changed_every = self.works.len() / CHANGED_COUNT;
        for (n, work) in self.works.iter().enumerate() {
            let receipt = &work.receipt;
            let proof = expect(0, &mut self.desk.timemark(["receipt", "tlog-proof", receipt]));
            let leaf = run(&mut self.desk.timemark(["receipt", "leaf", receipt])).stdout;

            let told = self.ask_about_receipt(go, &proof, &leaf).unwrap();
            assert!(told.starts_with("accepted index "), "{told}");
            if n % changed_every == 0 {
                self.changed_receipts_are_rejected(go, n, &proof, &leaf);
            }
            proof_paths.push(self.desk.file(&format!("proofs/{n}"), proof));
        }

        let told = self.ask_about_tiles(go, &proof_paths).unwrap();
        let entries = self.works.len();
        assert!(told.starts_with(&format!("accepted {entries} entries: ")), "{told}");
        eprintln!("{told}");
        self.changed_tiles_are_rejected(go);
    }

    /// One bit at a time, at a place that depends on `n`.
    fn changed_receipts_are_rejected(&self, go: &Path, n: usize, proof: &str, leaf: &[u8]) {
        let rejected = |proof: &str, leaf: &[u8], reason: &str| {
            let told = self.ask_about_receipt(go, proof, leaf).unwrap_err();
            assert!(told.starts_with(&format!("rejected: {reason}: ")), "{told}\n{proof}");
        };
        let mut changed_leaf = leaf.to_vec();
        flip_bit(&mut changed_leaf, n);
        rejected(proof, &changed_leaf, "inclusion");

        // Two lines of heading, the hashes, an empty line; origin, size, root, an empty line;
        // the log's three signatures.
        let lines: Vec<&str> = proof.lines().collect();
        let hashes = lines.iter().position(|line| line.is_empty()).unwrap() - 2;
        assert_eq!(lines.len(), 2 + hashes + 1 + 4 + 3);
        let with_changed = |at: usize| {
            let (before, base64) = lines[at].rsplit_once(' ').unwrap_or(("", lines[at]));
            let changed = format!("{before} {}", flip_base64(base64, n));
            [&lines[..at], &[changed.trim_start()], &lines[at + 1..], &[""]].concat().join("\n")
        };
        if hashes > 0 {
            rejected(&with_changed(2 + n % hashes), leaf, "inclusion");
        }
        rejected(&with_changed(2 + hashes + 3), leaf, "signature");
        rejected(&with_changed(2 + hashes + 5), leaf, "signature");
    }

    fn changed_tiles_are_rejected(&self, go: &Path) {
        let tiles = files_below(&self.tiles_dir().join("tile"));
        assert!(tiles.len() >= 4, "two levels, and bundles: {tiles:?}");
        for (n, path) in spread(&tiles, CHANGED_COUNT).enumerate() {
            let good = fs::read(path).unwrap();
            let mut changed = good.clone();
            flip_bit(&mut changed, n);
            fs::write(path, changed).unwrap();
            let told = self.ask_about_tiles(go, &[]).unwrap_err();
            assert!(told.starts_with("rejected: "), "{}: {told}", path.display());
            fs::write(path, good).unwrap();
        }
        self.ask_about_tiles(go, &[]).unwrap();
    }

    fn ask_about_receipt(&self, go: &Path, proof: &str, leaf: &[u8]) -> Result<String, String> {
        let parts = [self.desk.file("proof", proof), self.desk.file("leaf", leaf)];
        ask(Command::new(go).args(["receipt", &self.vkey]).args(parts))
    }

    fn ask_about_tiles(&self, go: &Path, proof_paths: &[PathBuf]) -> Result<String, String> {
        ask(Command::new(go).args(["tiles", &self.vkey]).arg(self.tiles_dir()).args(proof_paths))
    }

    fn tiles_dir(&self) -> PathBuf {
        PathBuf::from(expect(0, &mut self.desk.timemark(["log", "tiles-dir"])).trim_end())
    }
}

/// The Go program, built once; `None` where Debian's Go is not.
pub static GO_PEER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let (go, library) = (Path::new("/usr/bin/go"), Path::new("/usr/share/gocode"));
    if !go.exists() || !library.join("src/golang.org/x/mod").exists() {
        return None;
    }
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let built = scratch.join(format!("go-peer.{}", std::process::id()));
    let mut build = Command::new(go);
    build.env("GO111MODULE", "off").env("GOPATH", library).env("GOFLAGS", "");
    build.env("GOCACHE", scratch.join("go-cache")).current_dir(repository("tests/peers/go"));
    build.args(["build", "-o"]).arg(&built).args(["verify_receipt.go", "read_tiles.go"]);
    expect(0, &mut build);
    // Another process may be running the program this very moment, or build it too.
    let program = scratch.join("go-peer");
    fs::rename(built, &program).unwrap();
    Some(program)
});

/// What the peer says with its yes (exit code 0) or its no (1).
pub fn ask(peer: &mut Command) -> Result<String, String> {
    let output = run(peer);
    let told = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    match output.status.code() {
        Some(0) => Ok(told),
        Some(1) => Err(told),
        _ => panic!("the peer failed: {output:?}"),
    }
}

fn flip_base64(base64: &str, n: usize) -> String {
    let mut bytes = BASE64.decode(base64.as_bytes()).unwrap();
    flip_bit(&mut bytes, n);
    BASE64.encode(&bytes)
}

fn flip_bit(bytes: &mut [u8], n: usize) {
    let bit = n * 131 % (8 * bytes.len()); // a prime: neighbours land far apart
    bytes[bit / 8] ^= 1 << (bit % 8);
}

fn pdq_of(path: &Path) -> (Picture, Pdq) {
    let picture = media::decode(&fs::read(path).unwrap(), &Limits::default()).unwrap();
    let pdq = Pdq::of_rgb(&picture.rgb, picture.width, picture.height).unwrap();
    (picture, pdq)
}

/// Meta's regression pictures, and the code published for each.
fn published_codes() -> Option<Vec<(PathBuf, Fingerprint)>> {
    let dir = shared()?.join("data/pdq-reference");
    let table = fs::read_to_string(dir.join("expected_hashes.csv")).ok()?;
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (dir.join(fields[0]), fields[1].parse().unwrap())
    };
    let rows: Vec<_> = table.lines().skip(1).map(row).collect();
    assert!(!rows.is_empty());
    Some(rows)
}

/// The folder of 600 real pictures.
fn references() -> Option<PathBuf> {
    Some(shared()?.join("data/copy-detection/references"))
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// About `count` of them, from the first on at even distances.
fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    all.iter().step_by((all.len() / count).max(1))
}

//! Addresses and archives beside independent implementations: npm's ipfs-unixfs-importer, ipfs-unixfs-exporter,
//! @ipld/car and ipfs-car, and PyPI's aleph-cid. `scripts/cid-peers.sh install` brings them.
#![cfg(test)]

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use timemark_store::car::{Car, CarError, CarWriter};
use timemark_store::dag::{DagCid, DagHasher};

#[test]
fn addresses_are_those_that_others_compute() {
    let Some(peers) = peers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let works = boundary_works(dir.path());
    let ours: Vec<String> = works.iter().map(|work| address(work).to_string()).collect();
    let npm = lines(peers.node("cids.mjs").args(&works));
    assert_eq!(ours, npm, "npm's ipfs-unixfs-importer");
    let pypi = lines(peers.python("cids.py").args(&works));
    assert_eq!(ours, pypi, "PyPI's aleph-cid");
}

#[test]
fn others_read_the_archives_that_are_written_here() {
    let Some(peers) = peers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let works = boundary_works(dir.path());
    let roots: Vec<DagCid> = works.iter().map(|work| address(work)).collect();
    let car = dir.path().join("ours.car");
    let out = BufWriter::new(File::create(&car).unwrap());
    let mut writer = CarWriter::new(out, &roots).unwrap();
    for (work, root) in works.iter().zip(&roots) {
        assert_eq!(writer.add(&mut File::open(work).unwrap()).unwrap(), *root);
    }
    writer.finish().unwrap();

    let expected: Vec<String> = works
        .iter()
        .zip(&roots)
        .map(|(work, root)| {
            let (length, digest) = length_and_digest(&mut File::open(work).unwrap());
            format!("{root} {length} {digest}")
        })
        .collect();
    assert_eq!(lines(peers.node("read.mjs").arg(&car)), expected, "npm's ipfs-unixfs-exporter");
    let mut ours = Car::open(File::open(&car).unwrap()).unwrap();
    for ((root, expected), entry) in roots.iter().zip(expected).zip(ours.files().unwrap()) {
        assert_eq!((entry.root, entry.cid), (*root, *root));
        let (length, digest) = length_and_digest(&mut ours.open_file(root).unwrap());
        assert_eq!(format!("{root} {length} {digest}"), expected);
        assert_eq!(entry.length, length);
    }
}

#[test]
fn the_archives_of_others_are_read_whatever_their_defaults() {
    let Some(peers) = peers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    let expected = folder_of_works(&folder);
    let car = dir.path().join("theirs.car");
    let check = |kind: &str, command: &mut Command| {
        lines(command.arg(&folder).arg(&car));
        let read = files_within(&car).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(read, expected, "{kind}");
    };
    for kind in ["old", "trickle", "unreduced", "sharded"] {
        check(kind, peers.node("write.mjs").arg(kind));
    }
    for version in ["0", "1"] {
        check("PyPI's aleph-cid", peers.python("write.py").arg(version));
    }
    // 1 MiB a chunk, and the files of a folder that it is given, by its own command line.
    let mut pack = Command::new("node");
    let pack = pack.arg(peers.dir.join("node_modules/ipfs-car/bin.js")).arg("pack");
    lines(pack.arg("--no-wrap").arg(&folder).arg("--output").arg(&car));
    assert_eq!(files_within(&car).unwrap(), expected, "npm's ipfs-car");
}

#[test]
fn large_folders_of_others_are_read_from_their_shards() {
    let Some(peers) = peers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    // More than 256 KiB of links, so that everybody shards.
    for number in 0..6000 {
        fs::write(folder.join(format!("work {number:04}")), number.to_string()).unwrap();
    }
    let car = dir.path().join("theirs.car");
    for command in [peers.node("write.mjs").arg("sharded"), peers.python("write.py").arg("1")] {
        lines(command.arg(&folder).arg(&car));
        let read = files_within(&car).unwrap();
        let paths: Vec<String> = read.iter().map(|(path, ..)| path.clone()).collect();
        let expected: Vec<String> = (0..6000).map(|number| format!("work {number:04}")).collect();
        assert_eq!(paths, expected);
    }
}

/// Files of the nine lengths at which the DAG changes its shape, of bytes that do not repeat.
fn boundary_works(dir: &Path) -> Vec<PathBuf> {
    let write = |length: usize| {
        let path = dir.join(length.to_string());
        let bytes = match length {
            27 => b"The quick brown fox jumps.\n".to_vec(),
            _ => bytes(length),
        };
        fs::write(&path, bytes).unwrap();
        path
    };
    BOUNDARIES.map(write).into()
}

/// A folder with a folder in it, and what each file's path, length and SHA-256 is, by path.
fn folder_of_works(folder: &Path) -> Vec<(String, u64, String)> {
    fs::create_dir_all(folder.join("sub/deeper")).unwrap();
    let mut files = Vec::new();
    for (path, length) in [
        ("a", 300 << 10),
        ("empty", 0),
        ("sub/b.jpg", 3 << 20),
        ("sub/deeper/one chunk", 262_144),
        ("sub/deeper/山水", 5),
    ] {
        let bytes = bytes(length);
        fs::write(folder.join(path), &bytes).unwrap();
        let (length, digest) = length_and_digest(&mut &bytes[..]);
        files.push((path.to_owned(), length, digest));
    }
    files
}

/// Path, length and SHA-256 of every file in an archive, by path.
fn files_within(car: &Path) -> Result<Vec<(String, u64, String)>, CarError> {
    let mut car = Car::open(File::open(car).unwrap())?;
    let mut files = Vec::new();
    for entry in car.files()? {
        let (length, digest) = length_and_digest(&mut car.open_file(&entry.cid)?);
        assert_eq!(length, entry.length, "{}", entry.path);
        files.push((entry.path, length, digest));
    }
    files.sort();
    Ok(files)
}

fn bytes(length: usize) -> Vec<u8> {
    let words = (length as u64..).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    words.flatten().take(length).collect()
}

fn address(work: &Path) -> DagCid {
    let (mut file, mut hasher) = (File::open(work).unwrap(), DagHasher::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hasher.finish(),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn length_and_digest(bytes: &mut dyn Read) -> (u64, String) {
    let mut whole = Vec::new();
    io::copy(bytes, &mut whole).unwrap();
    let digest = Sha256::digest(&whole);
    (whole.len() as u64, digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What others wrote, installed.
struct Peers {
    dir: PathBuf,
}

/// The peers, or a loud word that they are not there.
fn peers() -> Option<Peers> {
    let peers = Peers { dir: repository("target/peers/cid") };
    let is_there = |file: &str| peers.dir.join(file).exists();
    if is_there("installed.json") && is_there("requirements.txt") {
        return Some(peers);
    }
    let reason = "scripts/cid-peers.sh install has not brought the peers for IPFS addresses";
    eprintln!("SKIPPED: {reason}");
    let are_required = std::env::var_os("TIMEMARK_REQUIRE_PEERS").is_some();
    assert!(!are_required, "must not be skipped here: {reason}");
    None
}

impl Peers {
    /// A driver in JavaScript. It comes as standard input, so that it finds the packages of the folder it runs in.
    fn node(&self, driver: &str) -> Command {
        let mut command = Command::new("node");
        let driver = File::open(repository("tests/peers/cid").join(driver)).unwrap();
        command.args(["--input-type=module", "-"]).current_dir(&self.dir).stdin(driver);
        command
    }

    fn python(&self, driver: &str) -> Command {
        let mut command = Command::new(self.dir.join("venv/bin/python"));
        command.arg(repository("tests/peers/cid").join(driver));
        command
    }
}

/// What a command says, which must succeed.
fn lines(command: &mut Command) -> Vec<String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stderr}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

const BOUNDARIES: [usize; 9] =
    [0, 27, 262_144, 262_145, 300 << 10, 5 << 20, 174 * 262_144, 174 * 262_144 + 1, (50 << 20) + 7];

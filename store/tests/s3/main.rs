//! Works in buckets: of a small server in every run (scripts/s3-server.sh), of Garage where it is installed, and of
//! servers that misbehave.

#![cfg(test)]

mod faults;
mod garage;

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use timemark_store::contract::{address_of, check_blobs};
use timemark_store::{BlobError, BlobStore, RemoteProblem, S3Options, S3Store};

/// The small server, killed at the end of the test.
struct Server {
    child: Child,
    dir: TempDir,
    url: String,
}

impl Server {
    /// Starts it; `None`, and loud, where it is not installed.
    fn start() -> Option<Server> {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/s3/node_modules");
        let has_node = Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok();
        if !has_node || !modules.join("s3rver/package.json").is_file() {
            skip("no S3 server: scripts/s3-server.sh install brings one");
            return None;
        }
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut command = Command::new("node");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3/s3rver.cjs"));
        command.arg(dir.path()).arg(BUCKET).env("NODE_PATH", modules).env("NODE_NO_WARNINGS", "1");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        Some(Server { child, dir, url: url.expect("the S3 server did not come up") })
    }

    fn options(&self) -> S3Options {
        let mut options =
            S3Options::new(BUCKET, "S3RVER", "S3RVER", &self.dir.path().join("spool"));
        options.endpoint = Some(self.url.clone());
        options.prefix = "works/".to_owned();
        options
    }

    fn store(&self) -> S3Store {
        S3Store::open(&self.options()).unwrap()
    }

    /// Where it keeps the work.
    fn file(&self, work: &[u8]) -> PathBuf {
        let id = address_of(work).content;
        let key = format!("{BUCKET}/works/{}/{id}._S3rver_object", &id.sha256_hex()[..2]);
        self.dir.path().join("buckets").join(key)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_contract_holds() {
    let Some(server) = Server::start() else { return };
    check_blobs(&server.store());
    let mut elsewhere = server.options();
    elsewhere.prefix = String::new();
    check_blobs(&S3Store::open(&elsewhere).unwrap());
    assert_eq!(fs::read_dir(server.dir.path().join("spool")).unwrap().count(), 0);
}

#[test]
fn a_flipped_bit_is_told_and_putting_again_heals_it() {
    let Some(server) = Server::start() else { return };
    let store = server.store();
    for length in [1, 600_000, (8 << 20) + 1] {
        let work = bytes_of(length);
        let at = store.put(&mut &work[..]).unwrap().address();
        assert_eq!(fs::read(server.file(&work)).unwrap(), work, "it lies where anyone finds it");
        let mut flipped = work.clone();
        flipped[length / 2] ^= 1;
        for (known, altered) in [(false, &flipped[..]), (true, &flipped), (true, &work[1..])] {
            fs::write(server.file(&work), altered).unwrap();
            let read = store.read(&at, length as u64);
            assert!(matches!(read, Err(BlobError::Altered { id }) if id == at.content), "{read:?}");
            match known {
                true => store.put_as(&at, &mut &work[..]).unwrap(),
                false => drop(store.put(&mut &work[..]).unwrap()),
            }
            assert_eq!(store.read(&at, length as u64).unwrap(), work);
        }
    }
}

#[test]
fn who_we_are_and_which_bucket_must_be_right() {
    let Some(server) = Server::start() else { return };
    let mut options = server.options();
    options.secret_key = "guessed".to_owned();
    assert!(!format!("{options:?}").contains("guessed"));
    // This server does not look at signatures; Garage does.
    options.access_key = "stranger".to_owned();
    let put = S3Store::open(&options).unwrap().put(&mut &b"work"[..]);
    assert_eq!(problem(put.map(drop)), RemoteProblem::Denied);

    let mut options = server.options();
    options.bucket = "another".to_owned();
    let store = S3Store::open(&options).unwrap();
    let at = address_of(b"work");
    assert_eq!(problem(store.put_as(&at, &mut &b"work"[..])), RemoteProblem::Failed);
    assert_eq!(problem(store.get(&at).map(drop)), RemoteProblem::Failed);
}

#[test]
fn a_long_work_streams_in_and_out_in_little_memory() {
    let Some(server) = Server::start() else { return };
    stream_through(&server.store());
}

/// Streams a long work in, twice, and out, and looks at the memory it takes.
fn stream_through(store: &S3Store) {
    let mib: u64 = std::env::var("TIMEMARK_LONG_WORK_MIB").map_or(256, |mib| mib.parse().unwrap());
    // Forgets the peak of what ran before in this process.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = peak_kib();
    let stored = timed("put", mib, || store.put(&mut Noise::new(mib << 20)).unwrap());
    let at = stored.address();
    assert_eq!(stored.digests.length, mib << 20);
    let read = || io::copy(&mut store.get(&at).unwrap(), &mut io::sink()).unwrap();
    assert_eq!(timed("get", mib, read), mib << 20);
    store.remove(&at).unwrap();
    timed("put_as", mib, || store.put_as(&at, &mut Noise::new(mib << 20)).unwrap());
    assert_eq!(timed("get", mib, read), mib << 20);
    let after = peak_kib();
    eprintln!("{mib} MiB: peak memory {} MiB, {} MiB before", after >> 10, before >> 10);
    assert!(after - before < PEAK_KIB_MAX);
}

fn timed<T>(what: &str, mib: u64, work: impl FnOnce() -> T) -> T {
    let start = std::time::Instant::now();
    let done = work();
    eprintln!("{what} of {mib} MiB: {:.0} MiB/s", mib as f64 / start.elapsed().as_secs_f64());
    done
}

/// Highest resident memory of this process so far.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
}

/// A work of this length, another for each.
fn bytes_of(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    Noise::new(length as u64).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Bytes that look like chance (xorshift), the same for the same length.
struct Noise {
    state: u64,
    left: u64,
}

impl Noise {
    fn new(length: u64) -> Noise {
        Noise { state: length.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, left: length }
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap().min(buffer.len());
        for piece in buffer[..length].chunks_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            piece.copy_from_slice(&self.state.to_le_bytes()[..piece.len()]);
        }
        self.left -= length as u64;
        Ok(length)
    }
}

/// What became of a request that must not succeed.
#[track_caller]
fn problem(result: Result<(), BlobError>) -> RemoteProblem {
    match result {
        Err(BlobError::Remote { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

/// Says loudly that a test cannot run here. In CI, where nothing may be missing, that is a failure.
fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    assert!(std::env::var_os("TIMEMARK_REQUIRE_PEERS").is_none(), "must not be skipped: {reason}");
}

const BUCKET: &str = "works";
const PEAK_KIB_MAX: u64 = 128 << 10;

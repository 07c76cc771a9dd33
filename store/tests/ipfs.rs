//! The IPFS store with a real node, and with one that lies.

#![allow(clippy::unwrap_used, reason = "a failed expectation is the test's verdict")]

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use timemark_store::contract::{address_of, check_blobs};
use timemark_store::dag::{CHUNK_BYTES, DagCid};
use timemark_store::{Address, BlobError, BlobStore, IpfsPatience, IpfsStore, RemoteProblem};

// With a real node.

#[test]
fn the_contract_holds_on_a_real_node() {
    let Some(node) = RealNode::start() else { return };
    let store = node.store();
    check_blobs(&store);
    assert_eq!(store.name(), format!("the IPFS node {}", node.url));

    // A chunk of a longer work is no work of its own until it is put, and then stays when the longer one goes.
    let long = bytes_of(3 * CHUNK_BYTES as u64);
    let chunk = &long[..CHUNK_BYTES];
    store.put(&mut &long[..]).unwrap();
    assert!(!store.has(&address_of(chunk)).unwrap());
    store.remove(&address_of(chunk)).unwrap();
    store.put(&mut &chunk[..]).unwrap();
    store.remove(&address_of(&long)).unwrap();
    assert_eq!(store.read(&address_of(chunk), 1 << 20).unwrap(), chunk);

    // A work that is mistaken for another stays what it is.
    let mistaken = store.put_as(&address_of(&long), &mut &chunk[..]);
    assert!(matches!(mistaken, Err(BlobError::Altered { .. })), "{mistaken:?}");
    assert!(store.has(&address_of(chunk)).unwrap());

    // A reader that is dropped early, or outlives the store, harms nobody.
    store.put(&mut &long[..]).unwrap();
    drop(store.get(&address_of(&long)).unwrap());
    let mut reader = store.get(&address_of(&long)).unwrap();
    drop(store);
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert!(read == long);
}

/// The node computes the addresses with its own code: of an empty file, of one chunk and of one node full of links,
/// and of one byte more than that.
#[test]
fn addresses_are_those_of_the_node_and_outlast_it() {
    let Some(mut node) = RealNode::start() else { return };
    let store = node.store();
    let chunk = CHUNK_BYTES as u64;
    let lengths =
        [0, 27, chunk, chunk + 1, 300_000, 5 << 20, 174 * chunk, 174 * chunk + 1, (50 << 20) + 7];
    let addresses = lengths.map(|length| {
        // A difference would be `Lied`.
        let stored = store.put(&mut Noise::new(length)).unwrap();
        assert_eq!(stored.digests.length, length);
        println!("{length} bytes: {}", stored.dag);
        stored.address()
    });
    let check_all = || {
        for (at, length) in addresses.iter().zip(lengths) {
            assert_eq!(io::copy(&mut store.get(at).unwrap(), &mut io::sink()).unwrap(), length);
        }
    };
    check_all();

    node.kill();
    let at = &addresses[0];
    assert_eq!(problem(store.has(at)), RemoteProblem::Unreachable);
    assert_eq!(problem(store.get(at).map(|_| ())), RemoteProblem::Unreachable);
    assert_eq!(problem(store.put(&mut Noise::new(9 << 20))), RemoteProblem::Unreachable);
    assert_eq!(problem(store.remove(at)), RemoteProblem::Unreachable);

    node.start_again();
    check_all();
}

#[test]
fn a_bit_that_flips_on_the_disk_of_the_node_is_found_and_healed() {
    let Some(node) = RealNode::start() else { return };
    let store = node.store();
    let work = bytes_of(5 * CHUNK_BYTES as u64);
    let at = store.put(&mut &work[..]).unwrap().address();
    let leaf = &work[3 * CHUNK_BYTES..4 * CHUNK_BYTES];
    let block = files_under(&node.dir.path().join("blocks"))
        .into_iter()
        .find(|path| fs::read(path).unwrap() == leaf)
        .unwrap();
    let mut flipped = leaf.to_vec();
    flipped[1000] ^= 1;
    fs::write(&block, flipped).unwrap();
    let read = store.read(&at, 1 << 30);
    assert!(matches!(read, Err(BlobError::Altered { id }) if id == at.content));
    assert!(store.has(&at).unwrap(), "it is still pinned");
    store.heal(&at, &mut &work[..]).unwrap();
    assert!(store.read(&at, 1 << 30).unwrap() == work);
}

/// 256 MiB, or as many as TIMEMARK_IPFS_MIB says.
#[test]
fn a_large_work_streams_in_bounded_memory() {
    let Some(node) = RealNode::start() else { return };
    let store = node.store();
    let mib = std::env::var("TIMEMARK_IPFS_MIB").map_or(256, |mib| mib.parse().unwrap());
    let before = peak_kib();
    let started = Instant::now();
    let at = store.put(&mut Noise::new(mib << 20)).unwrap().address();
    let (put, after_put) = (started.elapsed(), peak_kib());
    let started = Instant::now();
    let read = io::copy(&mut store.get(&at).unwrap(), &mut io::sink()).unwrap();
    assert_eq!(read, mib << 20);
    println!("{mib} MiB: in {put:.1?}, out {:.1?}", started.elapsed());
    if let (Some(before), Some(after_put), Some(after)) = (before, after_put, peak_kib()) {
        println!("peak memory: {before} KiB before, {after_put} KiB in, {after} KiB in and out");
        assert!(after < 64 << 10, "{after} KiB");
    }
}

// With a node that lies.

#[test]
fn an_address_that_is_no_nodes_is_refused() {
    for bad in [
        "https://127.0.0.1:5001",
        "127.0.0.1:5001",
        "/ip4/127.0.0.1/tcp/5001",
        "http://user:word@127.0.0.1:5001",
        "http://127.0.0.1:5001/api",
        "http://127.0.0.1:5001?a=b",
        "http://",
        "",
    ] {
        let error = IpfsStore::open(bad, IpfsPatience::default()).err().unwrap();
        let reason = error.source().unwrap().to_string();
        assert!(reason.contains("http://127.0.0.1:5001"), "{bad}: {reason}");
    }
    for good in ["http://127.0.0.1:5001", "http://[::1]:5001/", "http://node"] {
        IpfsStore::open(good, IpfsPatience::default()).unwrap();
    }
}

#[test]
fn nobody_at_the_address_is_unreachable() {
    let store = impatient(&format!("http://127.0.0.1:{}", free_port()));
    assert_eq!(problem(store.has(&address_of(WORK))), RemoteProblem::Unreachable);
    assert_eq!(problem(store.put(&mut &WORK[..])), RemoteProblem::Unreachable);
}

#[test]
fn an_honest_answer_counts() {
    let store = fake(|asked, at| honest(asked, at, WORK));
    assert_eq!(store.put(&mut &WORK[..]).unwrap().address(), address_of(WORK));
    assert_eq!(store.read(&address_of(WORK), 1 << 20).unwrap(), WORK);
    store.remove(&address_of(WORK)).unwrap();
    let another = address_of(b"another work");
    assert!(matches!(store.get(&another), Err(BlobError::Missing { id }) if id == another.content));
}

#[test]
fn bytes_of_another_work_are_altered() {
    for other in [&b"another work"[..], b"", &WORK[1..], &WORK[..9], &[WORK, b"x"].concat()] {
        let other = other.to_vec();
        let store = fake(move |asked, at| match asked {
            Asked::Cat => Answer::Ok(other.clone()),
            _ => honest(asked, at, WORK),
        });
        let read = store.read(&address_of(WORK), 1 << 20);
        assert!(matches!(read, Err(BlobError::Altered { .. })), "{read:?}");
    }
}

#[test]
fn a_stream_that_breaks_off_is_a_failure() {
    let store = fake(|asked, at| match asked {
        Asked::Cat => Answer::CutOff(WORK[..5].to_vec()),
        _ => honest(asked, at, WORK),
    });
    assert_eq!(problem(store.read(&address_of(WORK), 1 << 20)), RemoteProblem::Failed);
}

#[test]
fn another_cid_for_what_was_added_is_a_lie() {
    let right = address_of(WORK).dag.to_string();
    let another = address_of(b"another work").dag.to_string();
    for wrong in [another, right.to_uppercase(), "x".repeat(999), String::new()] {
        let told = wrong.clone();
        let store = fake(move |asked, at| match asked {
            Asked::Add => Answer::added(&told),
            _ => honest(asked, at, WORK),
        });
        for lied in [problem(store.put(&mut &WORK[..])), problem(put_as(&store, WORK))] {
            let RemoteProblem::Lied { expected, said } = lied else { panic!("{lied:?}") };
            assert_eq!(expected, right);
            assert!(wrong.starts_with(&said) && said.len() <= 200, "{said}");
        }
    }
}

#[test]
fn an_answer_before_the_work_is_no_success() {
    // It reads nothing of the work and names an address all the same.
    let store = fake(|asked, at| match asked {
        Asked::AddUnread => Answer::added(&at.dag.to_string()),
        _ => honest(asked, at, WORK),
    });
    let put = store.put(&mut Noise::new(64 << 20));
    assert!(matches!(put, Err(BlobError::Remote { .. })), "{put:?}");
}

#[test]
fn a_work_that_is_not_pinned_after_it_was_added_is_a_lie() {
    let listings: [fn(&Address) -> Answer; 4] = [
        |at| Answer::not_pinned(&at.dag),
        |_| Answer::Ok(br#"{"Keys":{}}"#.to_vec()),
        |at| Answer::pinned(&at.dag, "indirect through another"),
        |_| Answer::pinned(&address_of(b"another work").dag, "recursive"),
    ];
    for listing in listings {
        let store = fake(move |asked, at| match asked {
            Asked::PinLs => listing(at),
            _ => honest(asked, at, WORK),
        });
        let lied = problem(store.put(&mut &WORK[..]));
        assert!(matches!(lied, RemoteProblem::Lied { .. }), "{lied:?}");
        let has = store.has(&address_of(WORK));
        assert!(!matches!(has, Ok(true)), "{has:?}");
    }
}

#[test]
fn failures_have_their_types() {
    let no_room =
        r#"{"Message":"write /blocks/x: no space left on device","Code":0,"Type":"error"}"#;
    let node_no_room = r#"{"Message":"ENOSPC: no space left on device, write","Code":0}"#;
    for (status, body, expected) in [
        (500, r#"{"Message":"it broke","Code":0,"Type":"error"}"#, RemoteProblem::Failed),
        (500, "it broke, in plain text", RemoteProblem::Failed),
        (404, "404 page not found", RemoteProblem::Failed),
        (200, "this is no JSON", RemoteProblem::Failed),
        (200, "", RemoteProblem::Failed),
        (403, "403 - Forbidden", RemoteProblem::Denied),
        (500, no_room, RemoteProblem::Full),
        (500, node_no_room, RemoteProblem::Full),
    ] {
        let fails = move || Answer::Status(status, body.as_bytes().to_vec());
        let always = fake(move |asked, _| match asked {
            Asked::AddUnread => Answer::ReadOn,
            _ => fails(),
        });
        assert_eq!(problem(always.put(&mut &WORK[..])), expected, "{body}");
        assert_eq!(problem(put_as(&always, WORK)), expected, "{body}");
        assert_eq!(problem(always.has(&address_of(WORK))), expected, "{body}");
        assert_eq!(problem(always.get(&address_of(WORK)).map(|_| ())), expected, "{body}");
        assert_eq!(problem(always.remove(&address_of(WORK))), expected, "{body}");
        if status != 200 {
            let reading = fake(move |asked, at| match asked {
                Asked::Cat => fails(),
                _ => honest(asked, at, WORK),
            });
            assert_eq!(problem(reading.read(&address_of(WORK), 1 << 20)), expected, "{body}");
        }
    }
}

/// It closes with bytes unread, which resets the connection while the work is being written to it.
#[test]
fn a_node_that_goes_in_the_middle_of_a_work_is_unreachable() {
    let store = fake(|asked, at| match asked {
        Asked::AddUnread => Answer::Gone,
        _ => honest(asked, at, WORK),
    });
    for _ in 0..20 {
        assert_eq!(problem(store.put(&mut Noise::new(9 << 20))), RemoteProblem::Unreachable);
    }
}

#[test]
fn a_failure_in_the_middle_of_a_work_is_told() {
    let full = r#"{"Message":"no space left on device","Code":0}"#;
    let store = fake(move |asked, at| match asked {
        Asked::AddUnread => Answer::Status(500, full.as_bytes().to_vec()),
        _ => honest(asked, at, WORK),
    });
    assert_eq!(problem(store.put(&mut Noise::new(64 << 20))), RemoteProblem::Full);
}

#[test]
fn a_node_that_hangs_is_not_waited_for() {
    let silent = fake(|asked, _| match asked {
        Asked::AddUnread => Answer::ReadOn,
        _ => Answer::Hang,
    });
    assert_eq!(problem(silent.has(&address_of(WORK))), RemoteProblem::TimedOut(1));
    assert_eq!(problem(silent.remove(&address_of(WORK))), RemoteProblem::TimedOut(1));
    assert_eq!(problem(silent.put(&mut &WORK[..])), RemoteProblem::TimedOut(2));

    let stuck = fake(|asked, at| match asked {
        Asked::AddUnread => Answer::Hang,
        Asked::Cat => Answer::HangAfter(WORK[..5].to_vec()),
        _ => honest(asked, at, WORK),
    });
    assert_eq!(problem(stuck.put(&mut Noise::new(64 << 20))), RemoteProblem::TimedOut(1));
    assert_eq!(problem(stuck.read(&address_of(WORK), 1 << 20)), RemoteProblem::TimedOut(1));
}

#[test]
fn a_source_may_take_longer_than_the_node_may() {
    struct Slow(usize);
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(1300));
            let length = self.0.min(1);
            buffer[..length].fill(b'x');
            self.0 -= length;
            Ok(length)
        }
    }
    let store = fake(|asked, at| match asked {
        Asked::Add => Answer::added(&address_of(b"xx").dag.to_string()),
        _ => honest(asked, at, b"xx"),
    });
    assert_eq!(store.put(&mut Slow(2)).unwrap().address(), address_of(b"xx"));
}

/// That a part never passes for the work is kept on the wire: the request does not come to its end.
#[test]
fn what_is_not_to_be_kept_never_reaches_its_end() {
    struct Gone;
    impl Read for Gone {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    let ends = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ends);
    let store = fake(move |asked, at| {
        if matches!(asked, Asked::Add) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        honest(asked, at, WORK)
    });
    let failed = store.put(&mut WORK.chain(Gone));
    assert!(matches!(failed, Err(BlobError::Source(_))), "{failed:?}");
    let mistaken = store.put_as(&address_of(b"another work"), &mut &WORK[..]);
    assert!(matches!(mistaken, Err(BlobError::Altered { .. })), "{mistaken:?}");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(ends.load(Ordering::SeqCst), 0);
    store.put(&mut &WORK[..]).unwrap();
    assert_eq!(ends.load(Ordering::SeqCst), 1);
}

// What the tests are made of.

const WORK: &[u8] = b"a work that a node may lie about";

fn put_as(store: &IpfsStore, work: &[u8]) -> Result<(), BlobError> {
    store.put_as(&address_of(work), &mut &*work)
}

fn problem<T>(result: Result<T, BlobError>) -> RemoteProblem {
    match result {
        Err(BlobError::Remote { problem, .. }) => problem,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it succeeded"),
    }
}

fn impatient(url: &str) -> IpfsStore {
    let patience = IpfsPatience { answer: Duration::from_secs(1), finish: Duration::from_secs(2) };
    IpfsStore::open(url, patience).unwrap()
}

/// Bytes that repeat nowhere, the same in every run (splitmix64).
struct Noise {
    left: u64,
    state: u64,
}

impl Noise {
    fn new(length: u64) -> Noise {
        Noise { left: length, state: length }
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.left.min(buffer.len() as u64) as usize;
        for eight in buffer[..length].chunks_mut(8) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            eight.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..eight.len()]);
        }
        self.left -= length as u64;
        Ok(length)
    }
}

fn bytes_of(length: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    Noise::new(length).read_exact(&mut bytes).unwrap();
    bytes
}

/// The most memory that this process ever had, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

/// None of those that the system gives to whoever asks for any: a node that was killed must find its own again.
fn free_port() -> u16 {
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let mut ports = (first..).skip(GIVEN.fetch_add(100, Ordering::SeqCst));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Says loudly that a test cannot run here. In CI, where nothing may be missing, that is a failure.
fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    assert!(
        std::env::var_os("TIMEMARK_REQUIRE_PEERS").is_none(),
        "must not be skipped here: {reason}"
    );
}

/// A node of scripts/ipfs-node.sh with a repository of its own. It ends with the test.
struct RealNode {
    dir: tempfile::TempDir,
    port: u16,
    url: String,
}

impl RealNode {
    fn start() -> Option<RealNode> {
        if !repository("target/peers/ipfs/node.mjs").is_file() {
            skip("no IPFS node: scripts/ipfs-node.sh install");
            return None;
        }
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let mut node = RealNode { dir: tempfile::tempdir().unwrap(), port, url };
        node.start_again();
        Some(node)
    }

    fn start_again(&mut self) {
        let mut start = Command::new(repository("scripts/ipfs-node.sh"));
        start.arg("start").arg(self.dir.path()).arg(self.port.to_string());
        let output = start.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// As a crash does.
    fn kill(&mut self) {
        let pid = self.dir.path().join("pid");
        if let Ok(number) = fs::read_to_string(&pid) {
            let _ = Command::new("kill").args(["-9", number.trim()]).status();
            let _ = fs::remove_file(pid);
            while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn store(&self) -> IpfsStore {
        IpfsStore::open(&self.url, IpfsPatience::default()).unwrap()
    }
}

impl Drop for RealNode {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "{}",
                fs::read_to_string(self.dir.path().join("node.log")).unwrap_or_default()
            );
        }
        self.kill();
    }
}

/// What the store asks a node.
#[derive(Clone, Copy)]
enum Asked {
    /// Before anything of the work is read.
    AddUnread,
    /// After the work was read to its end.
    Add,
    PinLs,
    PinRm,
    Cat,
}

/// What a node does about it.
enum Answer {
    /// To [`Asked::AddUnread`]: reads the work, and asks again.
    ReadOn,
    Ok(Vec<u8>),
    Status(u16, Vec<u8>),
    /// Says that more follows, and goes.
    CutOff(Vec<u8>),
    /// Says that more follows, and stays.
    HangAfter(Vec<u8>),
    Hang,
    /// Goes without a word.
    Gone,
}

impl Answer {
    fn added(hash: &str) -> Answer {
        Answer::Ok(format!("{{\"Name\":\"x\",\"Hash\":\"{hash}\",\"Size\":\"1\"}}\n").into_bytes())
    }

    fn pinned(dag: &DagCid, kind: &str) -> Answer {
        Answer::Ok(format!(r#"{{"Keys":{{"{dag}":{{"Type":"{kind}"}}}}}}"#).into_bytes())
    }

    fn not_pinned(dag: &DagCid) -> Answer {
        let words =
            format!(r#"{{"Message":"path '{dag}' is not pinned","Code":0,"Type":"error"}}"#);
        Answer::Status(500, words.into_bytes())
    }
}

/// What a node has to do that keeps this work.
fn honest(asked: Asked, at: &Address, work: &[u8]) -> Answer {
    let dag = address_of(work).dag;
    match asked {
        Asked::AddUnread => Answer::ReadOn,
        Asked::Add => Answer::added(&dag.to_string()),
        Asked::PinLs if at.dag == dag => Answer::pinned(&dag, "recursive"),
        Asked::PinLs => Answer::not_pinned(&at.dag),
        Asked::PinRm => Answer::Ok(format!(r#"{{"Pins":["{dag}"]}}"#).into_bytes()),
        Asked::Cat => Answer::Ok(work.to_vec()),
    }
}

/// A store on a node that does as `node` says, which is told the address asked for; of an addition, that of [`WORK`].
fn fake(node: impl Fn(Asked, &Address) -> Answer + Send + Sync + 'static) -> IpfsStore {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = impatient(&format!("http://{}", listener.local_addr().unwrap()));
    let node = Arc::new(node);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let node = Arc::clone(&node);
            // What fails here fails because the store has gone, as it may.
            thread::spawn(move || serve(connection?, &*node));
        }
    });
    store
}

fn serve(connection: TcpStream, node: &dyn Fn(Asked, &Address) -> Answer) -> io::Result<()> {
    let mut from = BufReader::new(connection.try_clone()?);
    let mut target = String::new();
    from.read_line(&mut target)?;
    let mut header = String::from("some");
    while !header.trim().is_empty() {
        header.clear();
        from.read_line(&mut header)?;
    }
    let target = target.split(' ').nth(1).ok_or(io::ErrorKind::InvalidData)?;
    let mut parameters = target.split(['?', '&']).skip(1);
    let dag = parameters.find_map(|parameter| parameter.strip_prefix("arg=")?.parse().ok());
    let at = Address { dag: dag.unwrap_or(address_of(WORK).dag), ..address_of(WORK) };
    let states = |wanted: &[&str]| wanted.iter().all(|wanted| target.contains(wanted));
    let mut is_read = true;
    let answer = match target.split('?').next() {
        Some("/api/v0/add") if states(PROFILE) => match node(Asked::AddUnread, &at) {
            Answer::ReadOn => {
                read_chunks(&mut from)?;
                node(Asked::Add, &at)
            }
            answer => {
                is_read = false;
                answer
            }
        },
        Some("/api/v0/pin/ls") if states(&["type=recursive"]) => node(Asked::PinLs, &at),
        Some("/api/v0/pin/rm") => node(Asked::PinRm, &at),
        Some("/api/v0/cat") if states(&["offline=true"]) => node(Asked::Cat, &at),
        _ => panic!("what is {target}?"),
    };
    // How many more bytes are promised than come, and whether the connection stays.
    let (status, body, more, stays) = match answer {
        Answer::Ok(body) => (200, body, 0, !is_read),
        Answer::Status(status, body) => (status, body, 0, !is_read),
        Answer::CutOff(body) => (200, body, 1, false),
        Answer::HangAfter(body) => (200, body, 1, true),
        Answer::Hang | Answer::ReadOn => return stay(),
        Answer::Gone => return Ok(()),
    };
    let length = body.len() + more;
    let mut to = &connection;
    write!(to, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n")?;
    to.write_all(&body)?;
    if stays { stay() } else { Ok(()) }
}

/// Reads a body in chunks, whose end has to come.
fn read_chunks(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let read = io::copy(&mut from.by_ref().take(length + 2), &mut io::sink())?;
        if read < length + 2 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length == 0 {
            return Ok(());
        }
    }
}

/// Longer than anybody's patience here.
fn stay() -> io::Result<()> {
    thread::sleep(Duration::from_secs(30));
    Ok(())
}

/// What a node must be told of the addresses wanted.
const PROFILE: &[&str] = &["cid-version=1", "raw-leaves=true", "chunker=size-262144", "pin=true"];

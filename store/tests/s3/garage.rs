//! Three nodes of Garage on loopback, each with a copy of everything; where `garage` is on the path.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use timemark_store::contract::{address_of, check_blobs};
use timemark_store::{BlobError, BlobStore, RemoteProblem, S3Options, S3Store};

use crate::{BUCKET, bytes_of, problem, stream_through};

struct Cluster {
    dir: TempDir,
    nodes: Vec<Node>,
}

struct Node {
    config: PathBuf,
    url: String,
    child: Option<Child>,
}

impl Cluster {
    /// Starts three nodes and makes a bucket; `None`, and loud, where there is no Garage.
    fn start() -> Option<Cluster> {
        if Command::new("garage").arg("--version").stdout(Stdio::null()).status().is_err() {
            // Nobody packages it and building it takes a quarter of an hour, so this may be skipped even in CI.
            eprintln!(
                "SKIPPED: no Garage: cargo install garage --version 2.5.0 --locked builds it"
            );
            return None;
        }
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut nodes: Vec<Node> = (0..3).map(|number| Node::new(&dir, number)).collect();
        nodes.iter_mut().for_each(Node::start);
        let ids: Vec<String> = nodes.iter().map(|node| node.told(&["node", "id", "-q"])).collect();
        for id in &ids[1..] {
            nodes[0].told(&["node", "connect", id]);
        }
        for (number, id) in ids.iter().enumerate() {
            let (zone, id) = (format!("zone{number}"), id.split('@').next().unwrap());
            nodes[0].told(&["layout", "assign", "-z", &zone, "-c", "4G", id]);
        }
        nodes[0].told(&["layout", "apply", "--version", "1"]);
        nodes[0].told(&["bucket", "create", BUCKET]);
        nodes[0].told(&["key", "import", "--yes", "-n", "test", KEY, SECRET]);
        nodes[0].told(&["bucket", "allow", "--read", "--write", BUCKET, "--key", KEY]);
        Some(Cluster { dir, nodes })
    }

    fn options(&self, node: usize) -> S3Options {
        let mut options = S3Options::new(BUCKET, KEY, SECRET, &self.dir.path().join("spool"));
        options.endpoint = Some(self.nodes[node].url.clone());
        options.region = "garage".to_owned();
        options
    }

    fn store(&self, node: usize) -> S3Store {
        S3Store::open(&self.options(node)).unwrap()
    }
}

impl Node {
    fn new(dir: &TempDir, number: usize) -> Node {
        let home = dir.path().join(number.to_string());
        fs::create_dir_all(&home).unwrap();
        // All held until all are chosen, so that they differ.
        let free: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let [rpc, api] = [0, 1].map(|which: usize| free[which].local_addr().unwrap());
        let text = format!(
            "metadata_dir = '{home}/meta'\ndata_dir = '{home}/data'\ndb_engine = 'lmdb'\nreplication_factor = 3\n\
             rpc_bind_addr = '{rpc}'\nrpc_public_addr = '{rpc}'\nrpc_secret = '{SECRET}'\n\
             [s3_api]\ns3_region = 'garage'\napi_bind_addr = '{api}'\n",
            home = home.display()
        );
        let config = home.join("garage.toml");
        fs::write(&config, text).unwrap();
        Node { config, url: format!("http://{api}"), child: None }
    }

    fn start(&mut self) {
        let log = fs::File::create(self.config.with_extension("log")).unwrap();
        let mut server = Command::new("garage");
        server.arg("-c").arg(&self.config).arg("server").stdout(Stdio::null()).stderr(log);
        self.child = Some(server.spawn().unwrap());
    }

    /// What a command to this node prints, once it succeeds.
    fn told(&self, arguments: &[&str]) -> String {
        eventually(|| {
            let mut command = Command::new("garage");
            let output = command.arg("-c").arg(&self.config).args(arguments).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            match output.status.success() {
                true => Ok(said),
                false => Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
            }
        })
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Tries until it succeeds, but not for ever.
fn eventually<T, E: std::fmt::Display>(mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(30), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_contract_holds_on_garage() {
    let Some(cluster) = Cluster::start() else { return };
    check_blobs(&cluster.store(0));

    // It looks at signatures.
    let mut options = cluster.options(0);
    options.secret_key = SECRET.replace('0', "1");
    let store = S3Store::open(&options).unwrap();
    for work in [&b"work"[..], &bytes_of(9 << 20)] {
        assert_eq!(problem(store.put(&mut &*work).map(drop)), RemoteProblem::Denied);
    }

    // A full quota is told from a stranger, though both are 403.
    cluster.nodes[0].told(&["bucket", "set-quotas", BUCKET, "--max-size", "1MiB"]);
    let put = cluster.store(0).put(&mut &bytes_of(2 << 20)[..]);
    assert_eq!(problem(put.map(drop)), RemoteProblem::Full);
}

#[test]
fn a_long_work_streams_through_garage() {
    let Some(cluster) = Cluster::start() else { return };
    stream_through(&cluster.store(0));
}

#[test]
fn a_killed_node_loses_nothing_that_was_acknowledged() {
    let Some(mut cluster) = Cluster::start() else { return };
    let stores = [0, 1, 2].map(|node| cluster.store(node));
    // Every length is another work; a few are long enough for an upload in parts.
    let lengths: Vec<usize> =
        (0..400).map(|n| if n % 50 == 49 { 9 << 20 } else { 1000 } + n).collect();
    let (kept, refused) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let (next, killed) = (AtomicUsize::new(0), &mut cluster.nodes[1]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (stores, lengths, kept, refused, next) =
                (&stores, &lengths, &kept, &refused, &next);
            scope.spawn(move || {
                while let Some(&length) = lengths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Half of the threads talk to the node that will be killed.
                    match stores[thread % 2].put(&mut &bytes_of(length)[..]) {
                        Ok(stored) => kept.lock().unwrap().push((length, stored.address())),
                        Err(error) => refused.lock().unwrap().push((length, error)),
                    }
                }
            });
        }
        while next.load(Ordering::Relaxed) < lengths.len() / 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        killed.kill();
    });
    let (kept, refused) = (kept.into_inner().unwrap(), refused.into_inner().unwrap());
    eprintln!("{} works acknowledged, {} refused", kept.len(), refused.len());
    assert_eq!(kept.len() + refused.len(), lengths.len());
    assert!(kept.len() > lengths.len() / 3 && !refused.is_empty());
    let reads_back = |store: &S3Store, length: usize| {
        let work = bytes_of(length);
        let read = store.read(&address_of(&work), length as u64);
        assert!(read.is_ok_and(|read| read == work), "{length}");
    };

    // While it is away: what was acknowledged is there, and what was refused can be put.
    for (length, at) in &kept {
        assert!(stores[2].has(at).unwrap());
        reads_back(&stores[0], *length);
    }
    for (length, error) in &refused {
        assert!(matches!(error, BlobError::Remote { .. }), "{error:?}");
        stores[0].put(&mut &bytes_of(*length)[..]).unwrap();
    }

    // It comes back and knows everything, also what was put while it was away.
    cluster.nodes[1].start();
    eventually(|| stores[1].has(&kept[0].1));
    for store in &stores {
        lengths.iter().for_each(|length| reads_back(store, *length));
    }
}

/// As Garage wants them: `GK` and 12 bytes, 32 bytes.
const KEY: &str = "GK000102030405060708090a0b";
const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

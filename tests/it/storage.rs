//! Works on other shelves: packed, sealed, left away, on an IPFS node, in a bucket; checked, healed, copied.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Desk, expect, expect_json, repository, run, skip};

/// An archive, and a folder of works: the samples.
pub fn desk() -> Desk {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "storage.example"]));
    for entry in fs::read_dir(repository("samples/works")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        desk.file(&format!("works/{name}"), fs::read(path).unwrap());
    }
    desk
}

pub fn register(desk: &Desk, arguments: &[&str]) -> Vec<Value> {
    let mut command = desk.timemark(["register", "works"]);
    expect_json(0, command.args(arguments))
}

/// How many of the sample suspects show a work.
pub fn matches(desk: &Desk) -> usize {
    let mut scan = desk.timemark(["scan"]);
    let lines = expect_json(0, scan.arg(repository("samples/suspects")));
    lines.iter().filter(|line| line["status"] == "match").count()
}

/// Every file below a folder.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Blobs in the archive's folder.
pub fn blobs(desk: &Desk) -> Vec<PathBuf> {
    let of_blobs = |path: &PathBuf| path.parent().unwrap().file_name().unwrap().len() == 2;
    let dir = desk.path("archive/blobs");
    let beside = ["places", "descriptors", "waiting", "retired"].map(|beside| dir.join(beside));
    let is_blob = |path: &PathBuf| !beside.iter().any(|beside| path.starts_with(beside));
    files(&dir).into_iter().filter(of_blobs).filter(is_blob).collect()
}

pub fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Exports every work and compares it with the file that was registered.
pub fn all_come_out_as_they_were(desk: &Desk, lines: &[Value], more: &[&str]) {
    let mut export = desk.timemark(["export", "--to", "out"]);
    export.args(lines.iter().map(|line| line["work"].as_str().unwrap())).args(more);
    expect(0, &mut export);
    for line in lines {
        let work = fs::read(desk.path("out").join(line["work"].as_str().unwrap())).unwrap();
        assert!(work == fs::read(desk.path(line["file"].as_str().unwrap())).unwrap(), "{line}");
    }
}

#[test]
fn works_take_less_room_and_come_out_as_they_were() {
    let desk = desk();
    let lines = register(&desk, &[]);
    let found = matches(&desk);
    let bytes = |desk: &Desk| -> u64 {
        blobs(desk).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
    };
    let before = bytes(&desk);
    expect(0, &mut desk.timemark(["store", "pack"]));
    let after = bytes(&desk);
    assert!(after < before * 95 / 100, "{before} {after}");
    assert_eq!(blobs(&desk).len(), lines.len(), "the old blobs are gone");
    // A second run finds nothing to do, and readers notice nothing.
    expect(0, &mut desk.timemark(["store", "pack"]));
    assert_eq!(bytes(&desk), after);
    assert_eq!(matches(&desk), found);
    assert!(register(&desk, &[]).iter().all(|line| line["status"] == "duplicate"));
    expect(0, &mut desk.timemark(["log", "audit"]));
    all_come_out_as_they_were(&desk, &lines, &[]);

    // A flipped bit in what is packed is found, and healed from a copy of the blobs.
    expect(0, &mut desk.timemark(["store", "copy", "--to", "files:copy"]));
    expect(0, &mut desk.timemark(["store", "check"]));
    flip(&blobs(&desk)[0]);
    let checked = expect_json(1, &mut desk.timemark(["store", "check"]));
    assert_eq!(checked.iter().filter(|line| line["status"] == "damaged").count(), 1);
    let mut heal = desk.timemark(["store", "check", "--heal-from", "files:copy"]);
    let healed = expect_json(0, &mut heal);
    let healed: Vec<_> = healed.iter().filter(|line| line["status"] == "healed").collect();
    assert_eq!(healed.len(), 1);
    assert!(healed[0]["healed"][0].as_str().unwrap().contains("healed from the folder"));
    expect(0, &mut desk.timemark(["store", "check"]));
}

#[test]
fn copies_of_works_that_were_never_kept_are_found() {
    let desk = desk();
    let kept = desk.path("archive");
    register(&desk, &["--receipts", "receipts"]);
    let found = matches(&desk);
    fs::remove_dir_all(kept).unwrap();
    expect(0, &mut desk.timemark(["init", "--origin", "storage.example"]));
    let lines = register(&desk, &["--hash-only"]);
    assert!(lines.iter().all(|line| line["kept"] == false && line["dag_cid"].is_string()));
    assert!(blobs(&desk).is_empty());
    let found_without = matches(&desk);
    assert!(found_without * 10 >= found * 7, "{found_without} of {found}");
    // The keypoints are no cache: they outlive the index.
    fs::remove_dir_all(desk.path("archive/index")).unwrap();
    assert_eq!(matches(&desk), found_without);
    expect(0, &mut desk.timemark(["log", "audit"]));
    expect(0, &mut desk.timemark(["store", "check"]));
    let work = lines[0]["work"].as_str().unwrap();
    let export = run(&mut desk.timemark(["export", work, "--to", "out"]));
    assert_eq!(export.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&export.stderr).contains("only digests were kept"));
}

#[test]
fn a_sealed_work_is_read_by_whoever_has_the_key_and_nobody_else() {
    let desk = desk();
    register(&desk, &["--receipts", "receipts"]);
    let found = matches(&desk);
    fs::remove_dir_all(desk.path("archive")).unwrap();
    expect(0, &mut desk.timemark(["init", "--origin", "storage.example"]));
    expect(0, &mut desk.timemark(["store", "use", "files", "--seal"]));
    let lines = register(&desk, &[]);
    for blob in blobs(&desk) {
        assert!(fs::read(&blob).unwrap().starts_with(b"age-encryption.org/v1\n"));
    }
    assert_eq!(matches(&desk), found);
    expect(0, &mut desk.timemark(["store", "pack"]));
    expect(0, &mut desk.timemark(["store", "check"]));
    assert!(
        blobs(&desk)
            .iter()
            .all(|blob| { fs::read(blob).unwrap().starts_with(b"age-encryption.org/v1\n") })
    );
    all_come_out_as_they_were(&desk, &lines, &[]);
    fs::remove_dir_all(desk.path("out")).unwrap();

    // The key goes to its holder: the archive can tell copies still, and cannot show a work.
    fs::rename(desk.path("archive/keys/store.key"), desk.path("creator.key")).unwrap();
    let work = lines[0]["work"].as_str().unwrap();
    let export = run(&mut desk.timemark(["export", work, "--to", "out"]));
    assert_eq!(export.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&export.stderr).contains("is sealed"));
    let checked = expect_json(0, &mut desk.timemark(["store", "check"]));
    assert_eq!(checked.len(), lines.len());
    all_come_out_as_they_were(&desk, &lines, &["--identity", "creator.key"]);
}

#[test]
fn works_are_packed_while_others_are_registered() {
    let desk = desk();
    expect(0, &mut desk.timemark(["store", "use", "files", "--pack"]));
    let lines = register(&desk, &["--jobs", "2"]);
    let packed: u64 = blobs(&desk).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let whole: u64 = files(&desk.path("works"))
        .iter()
        .filter(|path| path.extension().is_none_or(|extension| extension != "timemark"))
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert!(packed < whole * 95 / 100, "{packed} {whole}");
    // Nothing was left to do.
    let output = run(&mut desk.timemark(["store", "pack"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("0 of "), "{said}");
    expect(0, &mut desk.timemark(["store", "check"]));
    all_come_out_as_they_were(&desk, &lines, &[]);
}

#[test]
fn a_registration_says_to_whom_its_works_are_sealed() {
    let desk = desk();
    desk.file("creator.key", CREATOR_SECRET);
    let lines = register(&desk, &["--seal-to", CREATOR]);
    for blob in blobs(&desk) {
        assert!(fs::read(&blob).unwrap().starts_with(b"age-encryption.org/v1\n"));
    }
    let work = lines[0]["work"].as_str().unwrap();
    let export = run(&mut desk.timemark(["export", work, "--to", "out"]));
    assert_eq!(export.status.code(), Some(1));
    all_come_out_as_they_were(&desk, &lines, &["--identity", "creator.key"]);
    assert!(matches(&desk) > 0, "copies are found by what is kept of their looks");
    // Nobody here can pack what nobody here can open.
    expect(0, &mut desk.timemark(["store", "pack"]));
    fs::remove_dir_all(desk.path("out")).unwrap();
    all_come_out_as_they_were(&desk, &lines, &["--identity", "creator.key"]);
    expect(2, &mut desk.timemark(["register", "works", "--seal-to", "age1nobody"]));

    // What lies there in clear stays so, and whoever wants it sealed or away is told.
    desk.file("clear.txt", "registered by somebody before");
    expect(0, &mut desk.timemark(["register", "clear.txt"]));
    for more in [&["--seal-to", CREATOR][..], &["--hash-only"]] {
        let mut again = desk.timemark(["register", "clear.txt", "--claimant", "A. Creator"]);
        let output = run(again.args(more));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("in clear, and stays so"), "{said}");
    }
}

#[test]
fn a_new_setting_does_not_unseal_by_silence() {
    let desk = desk();
    expect(0, &mut desk.timemark(["store", "use", "files", "--seal"]));
    let refused = run(&mut desk.timemark(["store", "use", "files", "--pack"]));
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--no-seal"));
    let sealed = |desk: &Desk| {
        let shown = expect_json(0, &mut desk.timemark(["store", "show"])).remove(0);
        !shown["seal_to"].as_array().unwrap().is_empty()
    };
    assert!(sealed(&desk));
    expect(0, &mut desk.timemark(["store", "use", "files", "--no-seal"]));
    assert!(!sealed(&desk));
}

#[test]
fn a_copy_that_was_cut_off_is_completed_and_not_taken_for_whole() {
    let desk = desk();
    register(&desk, &[]);
    expect(0, &mut desk.timemark(["store", "copy", "--to", "files:copy"]));
    let cut =
        files(&desk.path("copy")).into_iter().find(|path| fs::metadata(path).unwrap().len() > 99);
    let cut = cut.unwrap();
    let whole = fs::read(&cut).unwrap();
    fs::remove_file(&cut).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let output = run(&mut desk.timemark(["store", "copy", "--to", "files:copy"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(" 1 copied"), "{said}");
    assert!(fs::read(&cut).unwrap() == whole);
    // A folder that is not there is no empty store.
    let slip = run(&mut desk.timemark(["store", "check", "--heal-from", "files:cpoy"]));
    assert_eq!(slip.status.code(), Some(2));
    assert!(!desk.path("cpoy").exists());
}

#[test]
fn a_damaged_description_of_looks_is_told() {
    let desk = desk();
    register(&desk, &["--hash-only"]);
    expect(0, &mut desk.timemark(["store", "check"]));
    flip(&files(&desk.path("archive/blobs/descriptors"))[0]);
    let checked = expect_json(1, &mut desk.timemark(["store", "check"]));
    let damaged: Vec<_> = checked.iter().filter(|line| line["status"] == "damaged").collect();
    assert_eq!(damaged.len(), 1);
    assert!(damaged[0]["damage"][0].as_str().unwrap().contains("looks"));
}

#[test]
fn nothing_is_moved_in_a_backup() {
    let desk = desk();
    register(&desk, &[]);
    expect(0, &mut desk.timemark(["log", "backup", "safe"]));
    expect(0, &mut desk.timemark_on("safe", ["store", "check"]));
    for verb in ["pack", "push"] {
        let refused = run(&mut desk.timemark_on("safe", ["store", verb]));
        assert_eq!(refused.status.code(), Some(2), "{verb}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("is a backup"), "{verb}");
    }
}

#[test]
fn a_store_that_cannot_be_opened_is_not_taken() {
    let desk = desk();
    register(&desk, &[]);
    let mut used = desk.timemark(["store", "use", "s3:http://127.0.0.1:1/works?region=x"]);
    let refused = run(used.env_remove("AWS_ACCESS_KEY_ID"));
    assert_eq!(refused.status.code(), Some(2), "there are no keys for it");
    expect(0, &mut desk.timemark(["store", "check"]));
    expect(0, &mut desk.timemark(["store", "use", "files"]));
}

#[test]
fn a_car_carries_works_to_another_archive() {
    let desk = desk();
    desk.file("works/long.txt", "A line of a long text.\n".repeat(30_000));
    let lines = register(&desk, &[]);
    let mut export = desk.timemark(["export", "--car", "works.car"]);
    export.args(lines.iter().map(|line| line["work"].as_str().unwrap()));
    expect(0, &mut export);
    let other = Desk::new();
    fs::copy(desk.path("works.car"), other.path("works.car")).unwrap();
    let mut import = other.timemark(["import", "--car", "works.car", "--into", "files"]);
    let imported = expect_json(0, &mut import);
    let ids = |lines: &[Value]| {
        let mut ids: Vec<String> = lines.iter().map(|line| line["work"].to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&imported), ids(&lines));
    // Where every file is named after its root, which is what the registration says as well.
    for line in &imported {
        let name = Path::new(line["file"].as_str().unwrap()).file_name().unwrap().to_owned();
        assert_eq!(line["dag_cid"].as_str(), name.to_str());
    }
    let mut again = other.timemark(["import", "--car", "works.car", "--into", "files"]);
    let again = expect_json(0, &mut again);
    assert!(again.iter().all(|line| line["status"] == "duplicate"));
}

/// A small S3 server, which goes with the test.
struct Bucket {
    server: Child,
    location: String,
}

impl Bucket {
    fn start(dir: &Path) -> Option<Bucket> {
        let modules = repository("target/peers/s3/node_modules");
        if !modules.join("s3rver").exists() {
            skip("no S3 server: scripts/s3-server.sh install");
            return None;
        }
        let mut command = Command::new("node");
        command.arg(repository("store/tests/s3/s3rver.cjs")).arg(dir).arg("works");
        command.env("NODE_PATH", modules).env("NODE_NO_WARNINGS", "1").stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        let output = BufReader::new(server.stdout.take().unwrap()).read_line(&mut line);
        output.unwrap();
        let url = line.trim_end().strip_prefix("listening on ").unwrap();
        Some(Bucket { server, location: format!("s3:{url}/works/archive?region=us-east-1") })
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_bucket_holds_every_work_and_a_flipped_bit_in_it_is_healed() {
    let desk = desk();
    let dir = desk.path("server");
    fs::create_dir(&dir).unwrap();
    let Some(bucket) = Bucket::start(&dir) else { return };
    desk.file("archive/keys/s3.key", "S3RVER\nS3RVER\n");
    let used = ["store", "use", &bucket.location, "--keep", "0", "--write-through"];
    expect(0, &mut desk.timemark(used));
    let lines = register(&desk, &[]);
    assert!(blobs(&desk).is_empty(), "they are in the bucket, and nowhere else");
    assert!(matches(&desk) > 0);
    expect(0, &mut desk.timemark(["store", "copy", "--to", "files:copy"]));
    // Every blob is copied once.
    expect(0, &mut desk.timemark(["store", "copy", "--to", "files:copy"]));
    let work = fs::read(desk.path("works/manifesto.txt")).unwrap();
    let is_it = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == work);
    flip(&files(&dir).into_iter().find(is_it).unwrap());
    expect(1, &mut desk.timemark(["store", "check"]));
    let mut heal = desk.timemark(["store", "check", "--heal-from", "files:copy"]);
    let healed = expect_json(0, &mut heal);
    let healed: Vec<_> = healed.iter().filter(|line| line["status"] == "healed").collect();
    assert_eq!(healed.len(), 1);
    all_come_out_as_they_were(&desk, &lines, &[]);
    // To go back, the works must be here first.
    let refused = run(&mut desk.timemark(["store", "use", "files"]));
    assert_eq!(refused.status.code(), Some(2));
    expect(0, &mut desk.timemark(["store", "copy", "--to", "files:archive/blobs"]));
    expect(0, &mut desk.timemark(["store", "use", "files"]));
    drop(bucket);
    assert!(matches(&desk) > 0);
}

/// An IPFS node of its own, which goes with the test.
struct Node {
    dir: PathBuf,
    port: String,
}

impl Node {
    fn start(dir: PathBuf) -> Option<Node> {
        if !repository("target/peers/ipfs/node_modules/ipfs").exists() {
            skip("no IPFS node: scripts/ipfs-node.sh install");
            return None;
        }
        // None of those that the system gives to whoever asks for any: a node that was stopped must find its own again.
        let first = 10_000 + (std::process::id() % 10_000) as u16;
        let mut ports = first..;
        let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let port = ports.find(is_free).unwrap().to_string();
        let node = Node { dir, port };
        node.go_on();
        Some(node)
    }

    fn script(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(repository("scripts/ipfs-node.sh"));
        command.arg(arguments[0]).arg(&self.dir).args(&arguments[1..]);
        command
    }

    fn go_on(&self) {
        expect(0, &mut self.script(&["start", &self.port]));
    }

    fn stop(&self) {
        expect(0, &mut self.script(&["stop"]));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.script(&["stop"]).status();
    }
}

#[test]
fn an_ipfs_node_that_goes_and_comes_back_ends_up_with_every_work() {
    let desk = desk();
    let Some(node) = Node::start(desk.path("node")) else { return };
    let count: usize =
        std::env::var("TIMEMARK_IPFS_WORKS").map_or(60, |count| count.parse().unwrap());
    let sample = fs::read(repository("samples/works/harbour-at-dusk.jpg")).unwrap();
    for number in 0..count {
        // Each a picture of its own, by what follows the end of the image.
        let bytes = [&sample[..], format!("number {number}").as_bytes()].concat();
        desk.file(&format!("many/{number}.jpg"), bytes);
    }
    let location = format!("ipfs:http://127.0.0.1:{}", node.port);
    expect(0, &mut desk.timemark(["store", "use", &location, "--keep", "0"]));
    let first = register(&desk, &[]);
    assert!(blobs(&desk).is_empty(), "they are on the node, and nowhere else");

    let mut registering = desk.timemark(["register", "many", "--json", "--claimant", "A. Creator"]);
    let mut registering: Child =
        registering.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    node.stop();
    let mut said = String::new();
    std::io::Read::read_to_string(registering.stdout.as_mut().unwrap(), &mut said).unwrap();
    let output = registering.wait_with_output().unwrap();
    assert!(output.status.success(), "the node costs no registration: {output:?}");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), count);
    let shown = expect_json(0, &mut desk.timemark(["store", "show"])).remove(0);
    let waiting = shown["waiting"].as_u64().unwrap();
    println!("{waiting} of {count} works wait for the node");
    if waiting > 0 {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("works wait to be sent") && said.contains("does not answer"),
            "{said}"
        );
    }

    node.go_on();
    expect(0, &mut desk.timemark(["store", "push"]));
    let shown = expect_json(0, &mut desk.timemark(["store", "show"])).remove(0);
    assert_eq!(shown["waiting"], 0);
    assert!(blobs(&desk).is_empty());
    // Everything is pinned, once: the check reads all of it from the node.
    let checked = expect_json(0, &mut desk.timemark(["store", "check"]));
    assert_eq!(checked.len(), count + first.len());
    assert!(checked.iter().all(|line| line["status"] == "sound"));
    let mut again = desk.timemark(["register", "many", "--claimant", "A. Creator"]);
    assert!(expect_json(0, &mut again).iter().all(|line| line["status"] == "duplicate"));
    // A bit flips on the node's disk: found, and healed from a copy of the works.
    expect(0, &mut desk.timemark(["store", "copy", "--to", "files:copy"]));
    let work = fs::read(desk.path("works/manifesto.txt")).unwrap();
    let is_it = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == work);
    flip(&files(&desk.path("node/blocks")).into_iter().find(is_it).unwrap());
    expect(1, &mut desk.timemark(["store", "check"]));
    let mut heal = desk.timemark(["store", "check", "--heal-from", "files:copy"]);
    let healed = expect_json(0, &mut heal);
    let healed: Vec<_> = healed.iter().filter(|line| line["status"] == "healed").collect();
    assert_eq!(healed.len(), 1);
    assert!(healed[0]["healed"][0].as_str().unwrap().starts_with("the IPFS node http://"));
    // A scan with nothing but the node.
    assert!(matches(&desk) > 0);
    all_come_out_as_they_were(&desk, &first, &[]);
}

/// A key for tests alone: that of docs/formats.md.
const CREATOR_SECRET: &str =
    "AGE-SECRET-KEY-1YJHRYQJ59Q6KV5AN7TXN3R6FF2ZK09QWNHWYLTVCY9RGLWYR4SRS248JF4\n";
const CREATOR: &str = "age182jn0ch5gymx75n76krr3sjk3ud4g70veqrvy0lg5ltyxad4mqtq07ldrn";

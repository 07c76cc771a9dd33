//! What happens to kept works on bad days: originals that rot, other processes at work, files that cannot be right.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use timemark_store::car::CarWriter;
use timemark_store::dag::{Codec, DagCid};

use crate::storage::{blobs, desk, files, flip, register};
use crate::support::{Desk, expect, expect_json, run, skip};

/// The copies of works in a backup, by their paths below its folder of blobs, without records.
fn works_in_backup(desk: &Desk) -> Vec<PathBuf> {
    let dir = desk.path("copy/blobs");
    let below = files(&dir).into_iter().map(|path| path.strip_prefix(&dir).unwrap().to_owned());
    below.filter(|path| path.components().next().unwrap().as_os_str().len() == 2).collect()
}

/// A backup once took a truncated original for a newer one, and had it replace the good copy.
#[test]
fn a_rotten_original_never_replaces_the_copy_in_a_backup() {
    let desk = desk();
    register(&desk, &[]);
    let backup = || desk.timemark(["log", "backup", "copy"]);
    expect(0, &mut backup());
    let before = works_in_backup(&desk);
    let (original, copy) =
        (desk.path("archive/blobs").join(&before[0]), desk.path("copy/blobs").join(&before[0]));
    let good = fs::read(&copy).unwrap();
    fs::remove_file(&original).unwrap();
    fs::write(&original, &good[..good.len() / 2]).unwrap();
    // One that rotted before any backup, and one that did not.
    for name in ["new/rotten.txt", "new/sound.txt"] {
        desk.file(name, name);
    }
    let mut register = desk.timemark(["register", "new"]);
    let lines = expect_json(0, &mut register);
    let blob = |name: &str| {
        let line = lines.iter().find(|line| line["file"] == *name).unwrap();
        let work = line["work"].as_str().unwrap();
        let found = blobs(&desk).into_iter().find(|path| path.ends_with(work));
        found.unwrap().strip_prefix(desk.path("archive/blobs")).unwrap().to_owned()
    };
    let (rotten, sound) = (blob("new/rotten.txt"), blob("new/sound.txt"));
    flip(&desk.path("archive/blobs").join(&rotten));

    let output = run(&mut backup());
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    for (file, has) in [(&before[0], "keeps its copy"), (&rotten, "has none")] {
        let line = said.lines().find(|line| line.contains(file.to_str().unwrap()));
        assert!(
            line.is_some_and(|line| line.contains("is damaged") && line.contains(has)),
            "{said}"
        );
    }
    assert!(said.contains("2 damaged originals"), "{said}");
    assert_eq!(fs::read(&copy).unwrap(), good);
    assert!(!desk.path("copy/blobs").join(&rotten).exists());
    assert!(desk.path("copy/blobs").join(sound).exists(), "the others are copied");
    assert!(!files(&desk.path("copy")).iter().any(|path| path.extension() == Some("new".as_ref())));
    let size = |archive: &str| expect(0, &mut desk.timemark_on(archive, ["log", "checkpoint"]));
    assert_eq!(size("copy"), size("archive"));

    // One is healed from the backup, the other from where it came, and all is well again.
    let mut heal = desk.timemark(["store", "check", "--heal-from"]);
    run(heal.arg(format!("files:{}", desk.path("copy/blobs").display())));
    flip(&desk.path("archive/blobs").join(&rotten));
    expect(0, &mut backup());
    expect(0, &mut desk.timemark_on("copy", ["log", "audit"]));
    expect(0, &mut desk.timemark_on("copy", ["store", "check"]));
}

/// The same with a record of where a work lies.
#[test]
fn a_damaged_record_never_replaces_the_one_in_a_backup() {
    let desk = desk();
    register(&desk, &[]);
    expect(0, &mut desk.timemark(["store", "pack"]));
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    let record = files(&desk.path("archive/blobs/places"))
        .into_iter()
        .find(|path| path.parent().unwrap().file_name().unwrap().len() == 2);
    let record = record.unwrap();
    let copy = desk.path("copy").join(record.strip_prefix(desk.path("archive")).unwrap());
    let good = fs::read(&copy).unwrap();
    flip(&record);
    let output = run(&mut desk.timemark(["log", "backup", "copy"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("cannot be read; the backup keeps its copy"), "{said}");
    assert_eq!(fs::read(&copy).unwrap(), good);
    expect(0, &mut desk.timemark_on("copy", ["store", "check"]));
}

/// A backup with keys that is held up where it first makes the file `held_at`, while something else happens.
fn backup_held_up(desk: &Desk, held_at: &str, meanwhile: impl FnOnce()) -> std::process::Output {
    let trace = desk.file("trace", "");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=openat", "-e", "inject=openat:signal=STOP:when=1", "-o"]);
    strace.arg(&trace).arg("-P").arg(desk.path(held_at));
    let mut backup = desk.timemark(["log", "backup", "--with-keys"]);
    backup.arg(desk.path("copy"));
    strace.arg(backup.get_program()).args(backup.get_args());
    let strace = strace.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stopped = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let text = fs::read_to_string(&trace).unwrap();
        let line = text.lines().find(|line| line.contains("stopped by SIGSTOP"))?;
        line.split_whitespace().next().map(str::to_owned)
    });
    let stopped = stopped.unwrap_or_else(|| panic!("the backup never made {held_at}"));
    meanwhile();
    expect(0, Command::new("kill").args(["-CONT", &stopped]));
    strace.wait_with_output().unwrap()
}

/// Packing takes no lock. A backup once failed because of it, or held records of blobs that it did not hold.
#[test]
fn a_backup_beside_packing_holds_every_work() {
    if run(Command::new("sh").args(["-c", "command -v strace"])).stdout.is_empty() {
        return skip("strace is not installed");
    }
    for (sealed, update) in [(false, false), (false, true), (true, false)] {
        let desk = desk();
        if sealed {
            expect(0, &mut desk.timemark(["store", "use", "files", "--seal"]));
        }
        let lines = register(&desk, &[]);
        if update {
            expect(0, &mut desk.timemark(["log", "backup", "copy"]));
            desk.file("one-more.txt", "one more");
            expect(0, &mut desk.timemark(["register", "one-more.txt"]));
        }
        // What there is was listed. Sealed works have records: some are copied then, and some are not.
        let held_at = match files(&desk.path("archive/blobs/places")) {
            records if sealed => {
                let shard =
                    |path: &&PathBuf| path.parent().unwrap().file_name().unwrap().len() == 2;
                let records: Vec<_> = records.iter().filter(shard).collect();
                let below = records[records.len() / 2].strip_prefix(desk.path("archive")).unwrap();
                format!("copy/{}.new", below.display())
            }
            _ if update => "copy/backup-gathering/log/tiles/checkpoint.new".to_owned(),
            _ => "copy/backup-gathering/timemark-archive.new".to_owned(),
        };
        let mut packed = 0;
        let output = backup_held_up(&desk, &held_at, || {
            let before = blobs(&desk);
            expect(0, &mut desk.timemark(["store", "pack"]));
            packed = blobs(&desk).iter().filter(|blob| !before.contains(blob)).count();
        });
        assert!(packed > 5, "{packed}");
        assert_eq!(output.status.code(), Some(0), "{sealed} {update}: {output:?}");
        let checked = expect_json(0, &mut desk.timemark_on("copy", ["store", "check"]));
        let sound = checked.iter().filter(|line| line["status"] == "sound").count();
        assert!(sound == checked.len() && sound >= lines.len(), "{sealed} {update}: {checked:?}");
        expect(0, &mut desk.timemark_on("copy", ["log", "audit"]));
        // Once more, with nothing under way.
        expect(0, &mut desk.timemark(["log", "backup", "copy"]));
        expect(0, &mut desk.timemark_on("copy", ["store", "check"]));
    }
}

/// A small file system, which goes with the test.
pub struct Disk(PathBuf);

impl Disk {
    pub fn of(dir: PathBuf, size: &str) -> Option<Disk> {
        fs::create_dir(&dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&dir);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Disk(dir));
        }
        // No program that CI could install would help.
        println!("NOT TESTED: a full disk, as no file system may be mounted here");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_work_shows_no_part_of_it() {
    let desk = Desk::new();
    let Some(_disk) = Disk::of(desk.path("disk"), "56m") else { return };
    let timemark = |arguments: &[&str]| desk.timemark_on("disk/archive", arguments);
    expect(0, &mut timemark(&["init"]));
    desk.file("works/first.txt", "there was room for this one");
    expect(0, &mut timemark(&["register", "works"]));
    let before = files(&desk.path("disk/archive/blobs"));
    // Bytes that do not repeat, more of them than there is room for.
    let words = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_769).rotate_left(n % 32));
    let long: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    desk.file("works/long.bin", &long);
    desk.file("disk/filler", vec![1; 16 << 20]);
    let lines = expect_json(1, &mut timemark(&["register", "works"]));
    let error = lines.iter().find(|line| line["status"] == "error").unwrap();
    assert!(error["error"].as_str().unwrap().contains("No space left"), "{error}");
    assert_eq!(files(&desk.path("disk/archive/blobs")), before, "not even aside");
    expect(0, &mut timemark(&["store", "check"]));
    expect(0, &mut timemark(&["log", "audit"]));
    fs::remove_file(desk.path("disk/filler")).unwrap();
    let lines = expect_json(0, &mut timemark(&["register", "works"]));
    let work = lines.iter().find(|line| line["file"] == "works/long.bin").unwrap();
    let work = work["work"].as_str().unwrap();
    expect(0, &mut timemark(&["export", work, "--to", "out"]));
    assert!(fs::read(desk.path("out").join(work)).unwrap() == long);
}

/// What was to be sent was sent while the backup was made. A link to nothing is listed, and is not there.
#[test]
fn what_is_done_while_a_backup_is_made_is_no_error() {
    let desk = desk();
    register(&desk, &[]);
    for list in ["waiting", "retired"] {
        let done = desk.path("archive/blobs").join(list).join("done");
        desk.file(&format!("archive/blobs/{list}/to-do"), "x");
        std::os::unix::fs::symlink("nowhere", done).unwrap();
    }
    desk.file("archive/blobs/retired/incoming/half", "x");
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    let there = |below: &str| desk.path("copy/blobs").join(below).exists();
    assert!(there("waiting/to-do") && there("retired/to-do"));
    assert!(!there("retired/incoming/half"));
    // It is done, and not to be done again by whoever goes on with the backup.
    fs::remove_file(desk.path("archive/blobs/waiting/to-do")).unwrap();
    fs::remove_file(desk.path("archive/blobs/retired/to-do")).unwrap();
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    assert!(!there("waiting/to-do") && !there("retired/to-do"));
}

/// A backup of an archive that was its owner's alone once was everybody's to read.
#[test]
fn a_backup_is_as_private_as_its_archive() {
    use std::os::unix::fs::PermissionsExt;
    let desk = desk();
    let rights = |below: &str| fs::metadata(desk.path(below)).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(desk.path("archive"), fs::Permissions::from_mode(0o700)).unwrap();
    expect(0, &mut desk.timemark(["log", "backup", "backups/copy"]));
    assert_eq!(rights("backups/copy"), 0o700);
    // Where somebody made the folder, they have said who may enter.
    fs::create_dir(desk.path("made")).unwrap();
    fs::set_permissions(desk.path("made"), fs::Permissions::from_mode(0o750)).unwrap();
    expect(0, &mut desk.timemark(["log", "backup", "made"]));
    assert_eq!(rights("made"), 0o750);
}

/// A key's file is whole or not there, wherever the program is killed; it once was there and empty, and no verb went on.
#[test]
fn a_key_for_sealed_works_is_made_whole() {
    if run(Command::new("sh").args(["-c", "command -v strace"])).stdout.is_empty() {
        return skip("strace is not installed");
    }
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let mut done = false;
    for step in 1..100 {
        let _ = fs::remove_file(desk.path("archive/keys/store.key"));
        let _ = fs::remove_file(desk.path("archive/store"));
        let seal = desk.timemark(["store", "use", "files", "--seal"]);
        let calls = "write,rename,renameat,renameat2,link,linkat,fsync";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
        strace.arg(format!("inject={calls}:signal=KILL:when={step}"));
        strace.arg(seal.get_program()).args(seal.get_args());
        done = run(&mut strace).status.success();
        expect(0, &mut desk.timemark(["store", "show"]));
        expect(0, &mut desk.timemark(["store", "use", "files", "--seal"]));
        if done {
            break;
        }
    }
    assert!(done);
    let rights = fs::metadata(desk.path("archive/keys/store.key")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&rights) & 0o777, 0o600);
}

/// A wrong comment once had works sealed to somebody, or nobody, else.
#[test]
fn works_are_sealed_to_the_key_and_not_to_what_is_said_of_it() {
    let desk = Desk::new();
    for archive in ["archive", "other"] {
        expect(0, &mut desk.timemark_on(archive, ["init"]));
        expect(0, &mut desk.timemark_on(archive, ["store", "use", "files", "--seal"]));
    }
    let text =
        |archive: &str| fs::read_to_string(desk.path(archive).join("keys/store.key")).unwrap();
    let (ours, theirs) = (text("archive"), text("other"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (lines(&ours), lines(&theirs));
    let public = ours[0].strip_prefix("# public key: ").unwrap();
    for comment in [&theirs[0], "", "# a key"] {
        desk.file("archive/keys/store.key", format!("{comment}\n{}\n", ours[1]));
        let said = expect(0, &mut desk.timemark(["store", "use", "files", "--seal"]));
        assert!(said.contains(&format!("sealed to {public}\n")), "{said}");
    }
    desk.file("work.txt", "a work");
    let lines = expect_json(0, &mut desk.timemark(["register", "work.txt"]));
    expect(0, &mut desk.timemark(["export", lines[0]["work"].as_str().unwrap(), "--to", "out"]));
}

/// A CAR of these blocks, and nothing that any program would write.
fn car(root: DagCid, blocks: &[(DagCid, Vec<u8>)]) -> Vec<u8> {
    let mut car = Vec::new();
    drop(CarWriter::new(&mut car, &[root]).unwrap());
    for (cid, block) in blocks {
        car.extend(varint((DagCid::BYTES + block.len()) as u64));
        car.extend(cid.to_bytes());
        car.extend(block);
    }
    car
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(number as u8 & 127 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A node that links to the same block again and again: a file of that many parts, or a folder of that many files.
fn links_to(child: DagCid, part_bytes: Option<u64>, links: usize) -> (DagCid, Vec<u8>) {
    let field = |tag: u8, bytes: &[u8]| [&[tag][..], &varint(bytes.len() as u64), bytes].concat();
    let mut unixfs = vec![0x08, if part_bytes.is_some() { 2 } else { 1 }];
    let sizes = std::iter::repeat_n(part_bytes, links).flatten();
    sizes.for_each(|bytes| unixfs.extend([&[0x20][..], &varint(bytes)].concat()));
    let mut block = field(0x0A, &unixfs);
    for number in 0..links {
        let name = if part_bytes.is_some() { String::new() } else { number.to_string() };
        let link = [field(0x0A, &child.to_bytes()), field(0x12, name.as_bytes())].concat();
        block.extend(field(0x12, &link));
    }
    (DagCid::of_block(Codec::DagPb, &block), block)
}

/// A few nodes that each link to the next a hundred times once filled the disk.
#[test]
fn a_car_that_would_fill_the_disk_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    let leaf = vec![7; 1024];
    let leaf = (DagCid::of_block(Codec::Raw, &leaf), leaf);
    let (mut long, mut many) = (vec![leaf.clone()], vec![leaf]);
    for level in 0..3u32 {
        let bytes = 1024 * 128u64.pow(level);
        long.insert(0, links_to(long[0].0, Some(bytes), 128)); // 2 GiB in the end
        many.insert(0, links_to(many[0].0, None, 80)); // 512,000 files
    }
    for (name, blocks) in [("long.car", long), ("many.car", many)] {
        let bytes = car(blocks[0].0, &blocks);
        assert!(bytes.len() < 40_000, "{}", bytes.len());
        desk.file(name, bytes);
        let output = run(&mut desk.timemark(["import", "--car", name, "--into", "files"]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in [name, "more than the 1073741824 that are unpacked", "--max-bytes"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!desk.path("files").exists());
    }
    // The limit is the operator's, either way.
    let small = links_to(DagCid::of_block(Codec::Raw, b"part"), Some(4), 2000);
    let small = [small, (DagCid::of_block(Codec::Raw, b"part"), b"part".to_vec())];
    desk.file("small.car", car(small[0].0, &small));
    let import = |max: &str| {
        desk.timemark(["import", "--car", "small.car", "--into", "files", "--max-bytes", max])
    };
    let refused = run(&mut import("7999"));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("would take 8000"), "{said}");
    let lines = expect_json(0, &mut import("8000"));
    let unpacked = fs::read(desk.path(lines[0]["file"].as_str().unwrap())).unwrap();
    assert_eq!(unpacked, b"part".repeat(2000));
}

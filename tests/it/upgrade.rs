//! Archives of earlier versions open, verify and go on (tests/fixtures/archives).

use std::fs;
use std::process::{Command, Stdio};

use timemark_verify::Receipt;

use crate::support::{Desk, expect, expect_json, repository};

/// A desk on which this archive of an earlier version lies, as `v1/…`.
fn unpacked(name: &str) -> Desk {
    let desk = Desk::new();
    let file = repository("tests/fixtures/archives").join(name);
    let packed = fs::File::open(file).unwrap();
    let mut zstd = Command::new("zstd");
    let zstd = zstd.arg("-dc").stdin(packed).stdout(Stdio::piped()).spawn();
    let mut zstd = zstd.unwrap_or_else(|error| panic!("zstd, which is needed: {error}"));
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg("-").arg("-C").arg(desk.path("")).stdin(zstd.stdout.take().unwrap());
    expect(0, &mut tar);
    assert!(zstd.wait().unwrap().success());
    desk
}

#[test]
fn an_archive_of_version_1_opens_verifies_and_goes_on() {
    let desk = unpacked("v1.tar.zst");
    let dir = desk.path("v1");
    let run = |arguments: &[&str]| {
        let mut command = desk.timemark_on("v1/archive", arguments);
        command.current_dir(&dir);
        command
    };
    let verified = |work: &str, receipt: &str| {
        let of = ["verify", work, "--receipt", receipt, "--policy", "policy.txt"];
        expect_json(0, &mut run(&of)).remove(0)
    };
    let old_receipts = [
        ("works/harbour.jpg", "harbour.jpg", 0),
        ("works/long.txt", "long.txt", 1),
        ("works/山水.jpg", "山水.jpg", 2),
        ("works/wave.jpg", "wave.jpg", 3),
        ("works/planet.jpg", "planet.jpg", 4),
        ("works/manifesto.txt", "manifesto.txt", 5), // its claim is erased from the log since
        ("works/manifesto.txt", "manifesto.txt.f45fbed4", 6),
        ("works/harbour.jpg", "harbour.jpg.6a0569cb", 7),
    ];
    // Before the archive is ever opened by this version, and by what is trusted then and now.
    for (work, receipt, index) in old_receipts {
        let told = verified(work, &format!("receipts/{receipt}.timemark"));
        assert_eq!((&told["verdict"], &told["index"]), (&"verified".into(), &index.into()));
    }
    assert_eq!(
        expect(0, &mut run(&["log", "policy"])),
        fs::read_to_string(dir.join("policy.txt")).unwrap()
    );
    let audit = expect(0, &mut run(&["log", "audit"]));
    assert!(
        audit.starts_with("8 entries, ") && audit.ends_with("1 claims erased; 0 findings\n"),
        "{audit}"
    );

    // Found by what derived folders of this version hold: packed, sealed and kept as digests alone.
    let found = |work: &str| {
        let scanned = expect_json(0, &mut run(&["scan", work, "--report", "report"])).remove(0);
        fs::remove_dir_all(dir.join("report")).unwrap();
        scanned["matches"][0]["index"].as_u64()
    };
    for (work, _, index) in [old_receipts[0], old_receipts[2], old_receipts[3], old_receipts[4]] {
        assert_eq!(found(work), Some(index), "{work}");
    }
    let searched = expect_json(0, &mut run(&["search", "spring"])).remove(0);
    assert_eq!(searched["index"], 2);

    // The same receipt again, and new ones.
    let again = ["register", "works/山水.jpg", "--receipts", "again", "--claimant", "Zhang Wei"];
    let line = expect_json(0, &mut run(&again)).remove(0);
    assert_eq!((&line["status"], &line["index"]), (&"duplicate".into(), &2.into()));
    let receipt = |path: &str| Receipt::parse(&fs::read(dir.join(path)).unwrap()).unwrap();
    let again = receipt("again/山水.jpg.timemark");
    assert_eq!(again.claim, receipt("receipts/山水.jpg.timemark").claim);
    verified("works/山水.jpg", "again/山水.jpg.timemark");
    desk.file("v1/works/new.txt", "registered by a later version");
    let line =
        expect_json(0, &mut run(&["register", "works/new.txt", "--claimant", "Li Na"])).remove(0);
    assert_eq!((&line["status"], &line["index"]), (&"registered".into(), &8.into()));
    verified("works/new.txt", "works/new.txt.timemark");

    // A slip of the old version's user is corrected, and a signed claim under its creator's key.
    let line = expect_json(
        0,
        &mut run(&["claim", "correct", "receipts/harbour.jpg.timemark", "--claimant", "Zhang Wei"]),
    );
    assert_eq!((&line[0]["amended"], &line[0]["index"]), (&0.into(), &9.into()));
    let told = verified("works/harbour.jpg", "receipts/harbour.jpg.corrected-9.timemark");
    assert_eq!(
        (&told["claim"]["corrects"]["index"], &told["claim"]["claimant"]),
        (&0.into(), &"Zhang Wei".into())
    );
    verified("works/harbour.jpg", "receipts/harbour.jpg.timemark");
    let correct =
        ["claim", "correct", "2", "--title", "Mountain and water", "--receipts", "receipts"];
    expect(2, &mut run(&correct));
    expect(0, run(&correct).args(["--creator-key", "creator.pem"]));
    verified("works/山水.jpg", "receipts/山水.jpg.corrected-10.timemark");
    assert_eq!(expect(2, &mut run(&["claim", "withdraw", "5"])), "", "an erased claim");
    expect(0, &mut run(&["log", "audit"]));
}

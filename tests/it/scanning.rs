//! What a scan goes through: archives as streams, lists, standard input; and that a killed one goes on where it was.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Desk, expect, expect_json, repository};

/// How often the scan is killed.
const KILLS: usize = 10;
/// Suspects of that scan.
const SUSPECTS: usize = 660;

/// A desk with the sample works registered.
fn desk() -> Desk {
    let desk = Desk::new();
    let works = repository("samples/works").display().to_string();
    expect(0, &mut desk.timemark(["register", &works, "--receipts", "receipts"]));
    desk
}

/// Status and works by what a suspect is called behind the last `/` or `!`.
fn by_name(answers: &[Value]) -> BTreeMap<String, (String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entry = |answer: &Value| {
        let suspect = text(&answer["suspect"]);
        let name = suspect.rsplit(['/', '!']).next().unwrap().to_owned();
        let works = answer["matches"].as_array().unwrap().iter().map(|m| text(&m["work"]));
        (name, (text(&answer["status"]), works.collect()))
    };
    answers.iter().map(entry).collect()
}

#[test]
fn what_is_in_archives_is_found_as_in_the_folder_they_were_made_of() {
    let desk = desk();
    let folder = repository("samples/suspects");
    let plain = by_name(&expect_json(0, &mut desk.timemark(["scan", folder.to_str().unwrap()])));
    assert!(plain.values().filter(|(status, _)| status == "match").count() >= 11);

    let tar = |name: &str, flag: &str| {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder.parent().unwrap()).arg(flag).arg(desk.path(name)).arg("suspects");
        expect(0, &mut tar);
    };
    tar("plain.tar", "-cf");
    tar("packed.tar.gz", "-czf");
    let python = |script: &str, arguments: &[&Path]| {
        expect(0, Command::new("python3").args(["-c", script]).args(arguments));
    };
    let zip = "import sys, zipfile, os\nz = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)\n\
               for n in os.listdir(sys.argv[2]): z.write(os.path.join(sys.argv[2], n), 'in/' + n)\nz.close()";
    python(zip, &[&desk.path("files.zip"), &folder]);
    fs::create_dir(desk.path("nested")).unwrap();
    for (name, outer) in [("packed.tar.gz", "nested/outer.zip"), ("files.zip", "nested/outer.tar")]
    {
        if outer.ends_with("zip") {
            let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w')\n\
                          z.write(sys.argv[2], 'inner.tar.gz')\nz.close()";
            python(script, &[&desk.path(outer), &desk.path(name)]);
        } else {
            let mut tar = Command::new("tar");
            tar.arg("-C").arg(desk.path("")).arg("-cf").arg(desk.path(outer)).arg(name);
            expect(0, &mut tar);
        }
    }
    for archive in
        ["plain.tar", "packed.tar.gz", "files.zip", "nested/outer.zip", "nested/outer.tar"]
    {
        let answers = expect_json(0, &mut desk.timemark(["scan", archive]));
        let found = by_name(&answers);
        for (name, expected) in &plain {
            assert_eq!(found.get(name), Some(expected), "{archive}: {name}");
        }
        // The archive itself is compared as well, and an archive in it.
        let own = found.len() - plain.len();
        assert_eq!(own, if archive.starts_with("nested") { 2 } else { 1 }, "{archive}");
        let mut scan = desk.timemark(["scan", "-", "--json"]);
        let from_stdin = expect(0, scan.stdin(File::open(desk.path(archive)).unwrap()));
        let from_stdin: Vec<Value> =
            from_stdin.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(by_name(&from_stdin).len(), found.len(), "{archive} from standard input");
    }

    let list: String = fs::read_dir(&folder)
        .unwrap()
        .map(|file| format!("{}\n", file.unwrap().path().display()))
        .collect();
    desk.file("list.txt", list);
    assert_eq!(by_name(&expect_json(0, &mut desk.timemark(["scan", "--list", "list.txt"]))), plain);
}

#[test]
fn a_web_archive_tells_urls_and_dates_and_damage_costs_one_record() {
    let desk = desk();
    let warc = |name: &str| {
        let mut command = Command::new("python3");
        command.arg(repository("benches/warc.py")).arg(repository("samples/suspects"));
        expect(0, command.arg(desk.path(name)).args(["--mib", "1"]));
        expect_json(0, &mut desk.timemark(["scan", name]))
    };
    for name in ["crawl.warc", "crawl.warc.gz"] {
        let answers = warc(name);
        let matches: Vec<_> = answers.iter().filter(|a| a["status"] == "match").collect();
        assert!(!matches.is_empty());
        for found in matches {
            let url = found["url"].as_str().unwrap();
            assert!(url.starts_with("http"), "{found}");
            assert_eq!(found["suspect"], format!("{name}!{url}"));
            assert!(found["date"].as_str().unwrap().starts_with("20"), "{found}");
        }
        // Cut off within its last record: what is before it is compared, and one error says where.
        let whole = fs::read(desk.path(name)).unwrap();
        let cut = desk.file(&format!("cut-{name}"), &whole[..whole.len() - 700]);
        let cut = cut.display().to_string();
        let cut = expect_json(1, &mut desk.timemark(["scan", &cut]));
        let errors: Vec<_> = cut.iter().filter(|answer| answer["status"] == "error").collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(cut.len() + 1 >= answers.len(), "{} of {}", cut.len(), answers.len());
    }
}

#[test]
fn a_scan_killed_ten_times_tells_what_an_uninterrupted_one_does() {
    let desk = desk();
    let samples: Vec<Vec<u8>> = fs::read_dir(repository("samples/suspects"))
        .unwrap()
        .filter_map(|file| fs::read(file.unwrap().path()).ok())
        .collect();
    for number in 0..SUSPECTS {
        // The same picture with other bytes behind it; some the same as others.
        let mut bytes = samples[number % samples.len()].clone();
        bytes.extend((number / 3).to_string().bytes());
        desk.file(&format!("in/{:02}/{number}.jpg", number % 7), bytes);
    }
    let arguments = ["scan", "in", "--depth", "fast", "--report"];
    let sorted = |lines: Vec<Value>| {
        let mut lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        lines.sort();
        lines
    };
    let read = |report: &str| -> Vec<Value> {
        let text = fs::read_to_string(desk.path(report).join("results.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let expected = sorted(expect_json(0, desk.timemark(arguments).arg("whole")));
    assert_eq!(expected.len(), SUSPECTS);

    let (mut before, mut midway) = (0, 0);
    for kill in 0..KILLS {
        let mut scan = desk.timemark(arguments);
        scan.args(["killed", "--resume", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut scan = scan.spawn().unwrap();
        let lines = BufReader::new(scan.stdout.take().unwrap()).lines();
        // Beyond what was told before, some more each time.
        let told = lines.take(before + 7 + 5 * kill).filter(|line| line.is_ok()).count();
        scan.kill().unwrap();
        scan.wait().unwrap();
        let text = fs::read_to_string(desk.path("killed/results.jsonl")).unwrap();
        let kept = text.lines().filter(|line| line.ends_with('}')).count();
        assert!(kept >= told.max(before), "{kept} kept, {told} told, {before} before");
        midway += usize::from(kept < SUSPECTS);
        before = kept;
    }
    // On a busy machine the scan may be further than what was read of it, even at its end.
    assert!(midway >= KILLS / 2, "only {midway} kills came before the end");
    let resumed = expect_json(0, desk.timemark(arguments).args(["killed", "--resume"]));
    assert_eq!(sorted(resumed), expected);
    // Nothing was compared twice, and nothing is missing.
    assert_eq!(sorted(read("killed")), sorted(read("whole")));
    let table = |report: &str| {
        let text = fs::read_to_string(desk.path(report).join("results.csv")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(table("killed"), table("whole"));
    // A report among the suspects is none of them.
    for _ in 0..2 {
        let within = expect_json(0, desk.timemark(arguments).arg("in/report"));
        assert_eq!(sorted(within), expected);
    }
    let other = desk.timemark(["scan", "in", "--report", "killed", "--resume"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("was another"), "{other:?}");
}

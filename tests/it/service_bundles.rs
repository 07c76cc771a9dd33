//! Evidence bundles of the service: a match found there goes to a court, and what cannot be evidence is said.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service::{Answer, FORM, ask, form, get, register, request, sample};
use crate::support::{Desk, Server, expect, expect_json, repository, run, skip};
use crate::vectors::courtroom;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const UNKNOWN: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

/// A desk with an archive, and the service over it, which has a page of the verifier and may scan what lies in `in`.
fn desk() -> (Desk, Server) {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "bundles.example"]));
    fs::create_dir(desk.path("in")).unwrap();
    desk.file("verify.html", "<!doctype html><title>stands in for the page</title>\n");
    let server = serve(&desk, &[]);
    (desk, server)
}

fn serve(desk: &Desk, more: &[&str]) -> Server {
    let mut serve = desk.timemark(["serve", "--listen", "127.0.0.1:0", "--scan-root", "in"]);
    Server::start(serve.args(["--page", "verify.html"]).args(more))
}

fn bundle(url: &str, order: &Value) -> Answer {
    ask(url, "POST", "/v1/bundles", &[JSON], order.to_string().as_bytes())
}

fn harbour(url: &str) -> Value {
    let texts = [("claimant", "Zhang Wei"), ("title", "Harbour at dusk")];
    register(url, "harbour.jpg", &sample("works/harbour-at-dusk.jpg"), &texts).expect(201)
}

/// Waits until the scan that was asked for is done, and returns its matches.
fn matches(url: &str, asked: &Answer) -> Vec<Value> {
    let id = asked.expect(202)["id"].as_u64().unwrap();
    let begun = Instant::now();
    loop {
        let job = get(url, &format!("/v1/scans/{id}")).expect(200);
        if job["state"] == "done" {
            let page = get(url, &format!("/v1/matches?scan={id}")).expect(200);
            return page["matches"].as_array().unwrap().clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it took too long: {job}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Has a file scanned that is sent, and returns the id of its one match.
fn sent(url: &str, name: &str, bytes: &[u8]) -> String {
    let body = form(&[("file", name, bytes)], &[]);
    let found = matches(url, &ask(url, "POST", "/v1/scans", &[FORM], &body));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]["id"].as_str().unwrap().to_owned()
}

fn decide(url: &str, id: &str, verdict: &str) {
    let tag = get(url, &format!("/v1/matches/{id}")).headers["etag"].clone();
    let body = json!({ "verdict": verdict }).to_string();
    let path = format!("/v1/matches/{id}/verdict");
    ask(url, "POST", &path, &[JSON, ("If-Match", &tag)], body.as_bytes()).expect(200);
}

/// The suspects that are kept, by the names of their files.
fn kept(desk: &Desk) -> Vec<String> {
    let mut names = Vec::new();
    for shard in fs::read_dir(desk.path("archive/review/suspects")).unwrap() {
        for file in fs::read_dir(shard.unwrap().path()).unwrap() {
            names.push(file.unwrap().file_name().into_string().unwrap());
        }
    }
    names
}

/// What lies where files are for the time of a request.
fn left(desk: &Desk) -> usize {
    fs::read_dir(desk.path("archive/uploads")).unwrap().count()
}

fn court<'a>(desk: &Desk, code: i32, arguments: impl IntoIterator<Item = &'a str>) -> Value {
    let mut command = Command::new(courtroom());
    command.env_clear().current_dir(desk.path("court")).args(arguments);
    expect_json(code, &mut command).remove(0)
}

fn kind(answer: &Answer, status: u16) -> String {
    let problem = answer.expect(status);
    problem["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

#[test]
fn a_match_goes_to_court_and_is_checked_there_without_us() {
    let (desk, server) = desk();
    let url = &server.url;
    let work = harbour(url);
    register(url, "text.txt", b"another work", &[]).expect(201);
    let suspect = sample("suspects/mirrored-harbour.jpg");
    let id = sent(url, "shop.jpg", &suspect);
    decide(url, &id, "infringing");
    let order = json!({
        "matches": [id, id], "works": [1], "profile": "cn-court",
        "facts": { "party.source": "from the author's camera" },
    });
    let made = bundle(url, &order);
    assert_eq!(made.status, 200, "{}", String::from_utf8_lossy(&made.body));
    assert_eq!(made.headers["content-type"], "application/zip");
    let disposition = &made.headers["content-disposition"];
    assert!(disposition.starts_with("attachment; filename=\"timemark-cn-court-"), "{disposition}");
    assert_eq!(made.headers["content-length"], made.body.len().to_string());
    assert_eq!(left(&desk), 0);

    // The same evidence as on the command line, of the same bytes.
    assert!(server.stop().success());
    desk.file("shop.jpg", &suspect);
    desk.file("facts", "party.source from the author's camera\n");
    desk.file("text.txt", "another work");
    let mut by_hand = desk.timemark(["bundle", "text.txt", "shop.jpg", "--profile", "cn-court"]);
    by_hand.args(["--facts", "facts", "--page", "verify.html", "--out", "by-hand.zip"]);
    let told = expect_json(0, &mut by_hand).remove(0);
    assert_eq!((&told["works"], &told["suspects"]), (&2.into(), &1.into()));

    // A machine that never saw the archive.
    desk.file("court/case.zip", &made.body);
    fs::rename(desk.path("by-hand.zip"), desk.path("court/by-hand.zip")).unwrap();
    fs::rename(desk.path("archive"), desk.path("gone")).unwrap();
    assert_eq!(court(&desk, 2, ["case.zip"])["check"], "policy.missing");
    let policy = told["policy_sha256"].as_str().unwrap();
    let verdict = court(&desk, 0, ["case.zip", "--confirm", policy]);
    let items = verdict["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert!(items.iter().all(|item| item["work"] == "present"), "{verdict}");
    for tool in ["unzip", "xxd", "openssl"] {
        if Command::new(tool).arg("--help").output().is_err() {
            return skip(&format!("{tool} is not installed"));
        }
    }
    let unzip = |zip: &str, into: &str| {
        let mut unzip = Command::new("unzip");
        unzip.args(["-q", zip, "-d", into]).current_dir(desk.path("court")).env("LC_ALL", "C");
        expect(0, &mut unzip);
        desk.path("court").join(into)
    };
    let (case, by_hand) = (unzip("case.zip", "case"), unzip("by-hand.zip", "by-hand"));
    let said = expect(0, Command::new("sh").arg("expert/commands.sh").current_dir(&case));
    assert!(said.contains("\n0 checks failed, ") && said.matches("  ok  ").count() >= 18, "{said}");
    assert_eq!(fs::read(case.join("suspects/0001-shop.jpg")).unwrap(), suspect);
    let results = |case: &Path| {
        let line = fs::read_to_string(case.join("matches/results.jsonl")).unwrap();
        serde_json::from_str::<Value>(line.trim()).unwrap()
    };
    assert_eq!(results(&case), results(&by_hand));
    assert_eq!(results(&case)["matches"][0]["work"], work["work"]);
    let checklist = fs::read_to_string(case.join("checklist.html")).unwrap();
    assert!(checklist.contains("from the author") && checklist.contains("Zhang Wei"));
}

#[test]
fn facts_that_are_missing_are_named_and_nothing_is_registered() {
    let (desk, server) = desk();
    let url = &server.url;
    let work = harbour(url);
    let entries = || get(url, "/v1/works").expect(200)["works"].as_array().unwrap().len();
    let mut order = json!({ "works": [work["work"]], "profile": "us-fre902" });
    let refused = bundle(url, &order);
    assert_eq!(kind(&refused, 422), "facts-missing");
    let missing = refused.json()["missing"].clone();
    let names: Vec<&str> =
        missing.as_array().unwrap().iter().map(|fact| fact["name"].as_str().unwrap()).collect();
    let all = [
        "certifier.name",
        "certifier.position",
        "certifier.qualification",
        "process.system",
        "process.accuracy",
    ];
    assert_eq!(names, all);
    assert_eq!(missing[0]["what_zh"], "证明人姓名");
    assert!(all.iter().all(|name| refused.json()["detail"].as_str().unwrap().contains(name)));
    order["facts"] = json!({ "certifier.name": "Jane Roe", "process.system": "a log" });
    assert_eq!(bundle(url, &order).expect(422)["missing"].as_array().unwrap().len(), 3);
    order["facts"]["party.source"] = "x".into();
    let unknown = bundle(url, &order);
    assert_eq!(kind(&unknown, 400), "bad-request");
    assert!(unknown.json()["detail"].as_str().unwrap().contains("party.source"));
    order["facts"] = json!({ "certifier.name": "Jane\nRoe" });
    assert_eq!(bundle(url, &order).status, 400);
    assert_eq!((entries(), left(&desk)), (1, 0), "only the work");
    order["facts"] = all.iter().map(|name| (name.to_string(), json!("said"))).collect::<Value>();
    let made = bundle(url, &order);
    assert_eq!(made.status, 200);
    let text = String::from_utf8_lossy(&made.body);
    assert!(text.contains("It is not signed by anybody yet."));
    // A qualified time-stamp is none of those that there are.
    let facts = json!({ "authority.qualified": "nobody", "authority.trusted-list": "none" });
    let order = json!({ "works": [0], "profile": "eu-eidas", "facts": facts });
    assert_eq!(kind(&bundle(url, &order), 422), "no-evidence");
}

#[test]
fn whatever_is_wrong_with_an_order_is_said_as_a_problem() {
    let (desk, server) = desk();
    let url = &server.url;
    harbour(url);
    let id = "0123456789abcdef0123456789abcdef";
    let many = vec![0; 201];
    let long = "x".repeat(70_000);
    for (order, status, expected) in [
        (json!({ "works": [0] }), 400, "bad-request"),
        (json!({ "works": [0], "profile": "zz-court" }), 400, "bad-request"),
        (json!({ "profile": "cn-court" }), 400, "bad-request"),
        (json!({ "works": [], "matches": [], "profile": "cn-court" }), 400, "bad-request"),
        (json!({ "works": many, "profile": "cn-court" }), 400, "bad-request"),
        (json!({ "works": [-1], "profile": "cn-court" }), 400, "bad-request"),
        (json!({ "works": [0.5], "profile": "cn-court" }), 400, "bad-request"),
        (json!({ "works": [0], "profile": "cn-court", "out": "/etc/x" }), 400, "bad-request"),
        (json!({ "works": ["../0"], "profile": "cn-court" }), 400, "bad-id"),
        (json!({ "works": [UNKNOWN], "profile": "cn-court" }), 404, "not-found"),
        (json!({ "works": [7], "profile": "cn-court" }), 404, "not-found"),
        (json!({ "matches": [id], "profile": "cn-court" }), 404, "not-found"),
        (json!({ "matches": ["x"], "profile": "cn-court" }), 400, "bad-id"),
        (json!({ "matches": [id], "hash_only": true, "profile": "cn-court" }), 400, "bad-request"),
        (json!({ "works": [0], "profile": "cn-court", "facts": { "a": long } }), 413, "too-large"),
    ] {
        assert_eq!(kind(&bundle(url, &order), status), expected, "{order:.80}");
    }
    let text = ask(url, "POST", "/v1/bundles", &[("Content-Type", "text/plain")], b"{}");
    assert_eq!(kind(&text, 415), "unsupported-media-type");
    assert_eq!(get(url, "/v1/bundles").status, 405);
    // Of a work that is not kept there are the digests.
    let texts = [("hash_only", "true")];
    register(url, "a.txt", b"not kept", &texts).expect(201);
    let whole = json!({ "works": [1], "profile": "cn-court" });
    assert_eq!(kind(&bundle(url, &whole), 422), "no-evidence");
    let digests = json!({ "works": [1], "profile": "cn-court", "hash_only": true });
    let made = bundle(url, &digests);
    assert_eq!(made.status, 200);
    // What it is of did not change, and neither did it.
    assert_eq!(bundle(url, &digests).body, made.body);
    assert_eq!(left(&desk), 0);
}

#[test]
fn a_suspect_is_kept_from_the_moment_it_matches() {
    let (desk, server) = desk();
    let url = &server.url;
    harbour(url);
    let suspect = sample("suspects/mirrored-harbour.jpg");
    let of_path = |url: &str, path: &str| {
        let body = json!({ "paths": [desk.path(path)] }).to_string();
        matches(url, &ask(url, "POST", "/v1/scans", &[JSON], body.as_bytes()))
    };
    desk.file("in/shop.jpg", &suspect);
    desk.file("in/other.jpg", sample("suspects/unrelated-hills.jpg"));
    let found = of_path(url, "in");
    assert_eq!((found.len(), kept(&desk).len()), (1, 1), "what is no copy is not kept");
    let id = found[0]["id"].clone();
    let order = json!({ "matches": [id], "profile": "cn-court" });
    // What lies there now is something else.
    desk.file("in/shop.jpg", b"gone");
    assert_eq!(bundle(url, &order).status, 200);
    // It lies in the archive, through a restart, and in a backup of it.
    assert!(server.stop().success());
    let backup = desk.path("backup");
    expect(0, desk.timemark(["log", "backup"]).arg(&backup));
    let name = kept(&desk).remove(0);
    let in_backup = run(Command::new("find").arg(&backup).args(["-name", &name]));
    assert!(String::from_utf8_lossy(&in_backup.stdout).contains("/review/suspects/"));
    // A verdict that may be taken back yet takes nothing away.
    let server = serve(&desk, &[]);
    decide(&server.url, id.as_str().unwrap(), "no-match");
    assert!(server.stop().success());
    let server = serve(&desk, &["--keep-suspects", "0"]);
    assert_eq!(bundle(&server.url, &order).status, 200);

    // What was not kept is taken from where it was met, as long as it is there and the same.
    let url = &server.url;
    desk.file("in/turned.jpg", sample("suspects/rotated-wave.jpg"));
    register(url, "wave.jpg", &sample("works/the-wave.jpg"), &[]);
    let found = of_path(url, "in/turned.jpg");
    assert_eq!((found.len(), kept(&desk).len()), (1, 1), "there is no room");
    let order = json!({ "matches": [found[0]["id"]], "profile": "cn-court" });
    assert_eq!(bundle(url, &order).status, 200);
    desk.file("in/turned.jpg", &suspect);
    let refused = bundle(url, &order);
    assert_eq!(kind(&refused, 422), "no-evidence");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(found[0]["id"].as_str().unwrap()), "{detail}");
    assert_eq!(left(&desk), 0);
    // What is a work to the byte lies among the works.
    desk.file("in/same.jpg", sample("works/harbour-at-dusk.jpg"));
    let found = of_path(url, "in/same.jpg");
    fs::remove_file(desk.path("in/same.jpg")).unwrap();
    let order = json!({ "matches": [found[0]["id"]], "profile": "cn-court" });
    assert_eq!(bundle(url, &order).status, 200);
}

#[test]
fn who_goes_away_leaves_nothing_behind() {
    let (desk, server) = desk();
    let url = &server.url;
    let host = url.strip_prefix("http://").unwrap();
    let noise: Vec<u8> =
        (0..24u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    register(url, "long.bin", &noise, &[]).expect(201);
    let order = json!({ "works": [0], "profile": "cn-court" }).to_string();
    let bytes = request(host, "POST", "/v1/bundles", &[JSON], order.as_bytes());
    // Some go at once, some while it comes.
    let mut held = Vec::new();
    for reads in [false, true, false, true, true, true] {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(&bytes).unwrap();
        if reads {
            stream.read_exact(&mut [0; 1000]).unwrap();
            held.push(stream);
        }
    }
    // Four are held: one more is asked to come again.
    let fifth = bundle(url, &serde_json::from_str(&order).unwrap());
    assert_eq!(kind(&fifth, 429), "too-many-requests");
    assert!(fifth.headers.contains_key("retry-after"));
    drop(held);
    let begun = Instant::now();
    loop {
        let answer = bundle(url, &serde_json::from_str(&order).unwrap());
        if answer.status == 200 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", answer.status);
    }
    assert_eq!(left(&desk), 0);
    assert!(server.stop().success());
}

#[test]
fn an_export_is_entered_into_the_log_and_creators_have_none() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "bundles.example"]));
    desk.file("verify.html", "<!doctype html>\n");
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt"]));
    let bearer = |name: &str, role: &str| {
        expect(0, &mut desk.timemark(["account", "add", name, "--role", role]));
        let key = expect(0, &mut desk.timemark(["account", "key", name, "--label", "tests"]));
        format!("Bearer {}", key.trim())
    };
    let people: Vec<(&str, String)> = ["administrator", "reviewer", "creator", "agency", "auditor"]
        .map(|role| (role, bearer(role, role)))
        .into();
    fs::create_dir(desk.path("in")).unwrap();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let order = json!({ "works": [0], "profile": "cn-court" }).to_string();
    let ask_as = |bearer: &str| {
        let headers = [JSON, ("Authorization", bearer)];
        ask(url, "POST", "/v1/bundles", &headers, order.as_bytes())
    };
    for (role, bearer) in &people {
        let expected = match *role {
            "administrator" | "reviewer" => 200,
            "agency" => 404, // the work is the operator's
            _ => 403,
        };
        assert_eq!(ask_as(bearer).status, expected, "{role}");
    }
    assert_eq!(ask(url, "POST", "/v1/bundles", &[JSON], order.as_bytes()).status, 401);
    let auditor = [("Authorization", &*people[4].1)];
    let actions = ask(url, "GET", "/v1/actions?limit=200", &auditor, b"").expect(200);
    let exports: Vec<&Value> = actions["actions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|action| action["action"] == "bundle.export")
        .collect();
    assert_eq!(exports.len(), 2, "{actions}");
    for export in exports {
        assert_eq!(export["subject"], "entry 0");
        let detail = export["detail"].as_str().unwrap();
        assert!(detail.starts_with("cn-court, manifest ") && detail.len() == 19 + 64, "{detail}");
    }
}

#[test]
fn a_courts_day_in_a_browser() {
    let verifier = repository("target/page/verify.html");
    if !Path::new("/usr/bin/chromium").exists() || Command::new("node").arg("-v").output().is_err()
    {
        return skip("no chromium or node for the pages");
    }
    if !verifier.exists() || !repository("target/peers/page/node_modules/playwright-core").exists()
    {
        return skip(
            "no page, or no playwright-core; scripts/page.sh and scripts/test.sh see to it",
        );
    }
    let (desk, server) = desk();
    assert!(server.stop().success());
    fs::copy(&verifier, desk.path("verify.html")).unwrap();
    let server = serve(&desk, &[]);
    let url = &server.url;
    harbour(url);
    let id = sent(url, "shop.jpg", &sample("suspects/mirrored-harbour.jpg"));
    decide(url, &id, "infringing");
    let made = bundle(url, &json!({ "matches": [id], "profile": "cn-court" }));
    assert_eq!(made.status, 200);
    let case = desk.file("court/case.zip", &made.body);
    let policy = desk.file("court/policy.txt", get(url, "/v1/policy").body);
    // From here on the court is alone: with the page that lies in the bundle, taken out of it.
    assert!(server.stop().success());
    fs::rename(desk.path("archive"), desk.path("gone")).unwrap();
    let unzip = ["-q", "case.zip", "-d", "case"];
    let mut command = Command::new("unzip");
    expect(0, command.args(unzip).current_dir(desk.path("court")).env("LC_ALL", "C"));
    let mut browser = Command::new("node");
    browser.arg(repository("tests/peers/page/court.mjs")).arg(repository(""));
    let output = run(browser.arg(desk.path("court/case")).arg(case).arg(policy));
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

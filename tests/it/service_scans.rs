//! Scans as jobs of the service: their life, what comes of them, and what people decide about it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service::{Answer, FORM, ask, form, get, register, sample, serving};
use crate::support::{Desk, Server, expect, expect_json, repository};

pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A desk with the sample works registered, and the service over it, which may scan what lies in `in`.
pub fn desk() -> (Desk, Server) {
    let desk = Desk::new();
    let works = repository("samples/works").display().to_string();
    expect(0, &mut desk.timemark(["register", &works, "--receipts", "receipts"]));
    fs::create_dir(desk.path("in")).unwrap();
    let server = serve(&desk);
    (desk, server)
}

fn serve(desk: &Desk) -> Server {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--scan-root", "in"];
    Server::start(&mut desk.timemark(arguments))
}

pub fn post(url: &str, path: &str, body: &Value) -> Answer {
    ask(url, "POST", path, &[JSON], body.to_string().as_bytes())
}

/// Asks for a scan of a path, and returns its number.
pub fn scan(url: &str, body: &Value) -> u64 {
    let answer = post(url, "/v1/scans", body);
    let job = answer.expect(202);
    assert_eq!(answer.headers["location"], format!("/v1/scans/{}", job["id"]));
    job["id"].as_u64().unwrap()
}

fn job(url: &str, id: u64) -> Value {
    get(url, &format!("/v1/scans/{id}")).expect(200)
}

/// Waits until a job is as is wanted.
pub fn wait_for(url: &str, id: u64, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let job = job(url, id);
        if holds(&job) {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it took too long: {job}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn is_done(job: &Value) -> bool {
    job["state"] == "done"
}

/// Everything that a list of pages holds.
fn all(url: &str, path: &str, name: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let sign = if path.contains('?') { '&' } else { '?' };
        let more = cursor.map_or(String::new(), |cursor| format!("{sign}cursor={cursor}"));
        let page = get(url, &format!("{path}{more}")).expect(200);
        all.extend(page[name].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return all,
        }
    }
}

/// The results of a job, in an order of their own.
fn results(url: &str, id: u64) -> Vec<String> {
    let results = all(url, &format!("/v1/scans/{id}/results?limit=7"), "results");
    let mut lines: Vec<String> = results.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

/// Many suspects: the same pictures with other bytes behind them, some the same as others.
pub fn many(desk: &Desk, count: usize) {
    let samples: Vec<Vec<u8>> = fs::read_dir(repository("samples/suspects"))
        .unwrap()
        .filter_map(|file| fs::read(file.unwrap().path()).ok())
        .collect();
    for number in 0..count {
        let mut bytes = samples[number % samples.len()].clone();
        bytes.extend((number / 3).to_string().bytes());
        desk.file(&format!("in/many/{:02}/{number}.jpg", number % 7), bytes);
    }
}

/// Events of a stream until it ends: id, name and data.
fn events(url: &str, path: &str, last: Option<u64>) -> Vec<(u64, String, Value)> {
    let host = url.strip_prefix("http://").unwrap();
    let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{last}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert_eq!(lines.next().unwrap(), "HTTP/1.1 200 OK");
    let (mut events, mut id, mut name) = (Vec::new(), 0, String::new());
    for line in lines {
        match line.split_once(": ") {
            Some(("content-type", kind)) => assert_eq!(kind, "text/event-stream"),
            Some(("id", text)) => id = text.parse().unwrap(),
            Some(("event", text)) => name = text.to_owned(),
            Some(("data", text)) => {
                events.push((id, name.clone(), serde_json::from_str(text).unwrap()));
            }
            _ => {}
        }
    }
    events
}

#[test]
fn a_scan_is_a_job_that_tells_what_the_command_line_does() {
    let (desk, server) = desk();
    let url = &server.url;
    for file in fs::read_dir(repository("samples/suspects")).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, desk.path("in").join(path.file_name().unwrap())).unwrap();
    }
    let id = scan(url, &json!({ "paths": [desk.path("in")] }));
    let heard = events(url, &format!("/v1/scans/{id}/events"), None);
    let done = job(url, id);
    assert_eq!(done["state"], "done", "the stream ends with the scan: {done}");

    // What was heard: in order, whole, and each match once.
    let names: Vec<&str> = heard.iter().map(|(_, name, _)| &**name).collect();
    let ids: Vec<u64> = heard.iter().map(|(id, ..)| *id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert_eq!(names.last(), Some(&"state"));
    assert_eq!(heard.last().unwrap().2["state"], "done");
    let matches: Vec<&Value> =
        heard.iter().filter(|(_, name, _)| name == "match").map(|(.., data)| data).collect();
    let listed = all(url, &format!("/v1/matches?scan={id}&limit=3"), "matches");
    assert_eq!(matches, listed.iter().collect::<Vec<_>>());
    assert!(listed.len() >= 11 && done["matches"] == listed.len(), "{done}");
    let by_transform: u64 =
        done["transforms"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(by_transform, listed.len() as u64);

    // Who was cut off goes on with the next one; who has all is not told again.
    let later = events(url, &format!("/v1/scans/{id}/events"), Some(4));
    let rest: Vec<&Value> =
        later.iter().filter(|(_, name, _)| name == "match").map(|(.., data)| data).collect();
    assert_eq!(rest, listed.iter().skip(4).collect::<Vec<_>>());
    let all_told = listed.len().to_string();
    let again = [("Last-Event-ID", &*all_told)];
    assert_eq!(ask(url, "GET", &format!("/v1/scans/{id}/events"), &again, b"").status, 204);

    let told = results(url, id);
    assert!(server.stop().success());
    let mut same: Vec<String> = expect_json(0, &mut desk.timemark(["scan", "in"]))
        .into_iter()
        .map(|mut result| {
            let path = desk.path(result["suspect"].as_str().unwrap()).display().to_string();
            result["suspect"] = path.into();
            result.to_string()
        })
        .collect();
    same.sort();
    assert_eq!(told, same);
    assert_eq!(done["suspects"], same.len());
}

#[test]
fn an_upload_is_scanned_and_forgotten() {
    let (desk, server) = desk();
    let url = &server.url;
    let suspect = sample("suspects/mirrored-harbour.jpg");
    let body = form(&[("file", "C:\\my pictures\\found.jpg", &suspect)], &[("depth", "fast")]);
    let answer = ask(url, "POST", "/v1/scans", &[FORM], &body);
    let id = answer.expect(202)["id"].as_u64().unwrap();
    let done = wait_for(url, id, is_done);
    assert_eq!((&done["upload"], &done["depth"]), (&"found.jpg".into(), &"fast".into()));
    assert_eq!(done["transforms"], json!({ "mirrored": 1 }));
    let matches = all(url, "/v1/matches?state=open", "matches");
    assert_eq!(matches.len(), 1);
    assert_eq!(matches[0]["suspect"]["name"], "found.jpg");
    assert_eq!(desk.path("archive/review/uploads").read_dir().unwrap().count(), 0);

    // Both sides as pictures, and how one lies on the other.
    let path = format!("/v1/matches/{}", matches[0]["id"].as_str().unwrap());
    for name in ["suspect.jpg", "work.jpg"] {
        let jpeg = get(url, &format!("{path}/{name}"));
        assert_eq!((jpeg.status, &jpeg.headers["content-type"][..]), (200, "image/jpeg"));
        assert!(jpeg.body.starts_with(&[0xFF, 0xD8]), "{name}");
        let known = [("If-None-Match", &*jpeg.headers["etag"])];
        assert_eq!(ask(url, "GET", &format!("{path}/{name}"), &known, b"").status, 304);
    }
    let svg = get(url, &format!("{path}/overlay.svg"));
    assert_eq!((svg.status, &svg.headers["content-type"][..]), (200, "image/svg+xml"));
    let svg = String::from_utf8(svg.body).unwrap();
    assert!(
        svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" ") && svg.contains("polygon")
    );
    let whole = get(url, &path).expect(200);
    assert_eq!(whole["places"], json!([{ "scan": id, "name": "found.jpg" }]));
    assert!(whole["geometry"]["map"].is_array());
}

#[test]
fn a_scan_that_is_paused_and_killed_tells_what_an_uninterrupted_one_does() {
    let (desk, server) = desk();
    many(&desk, 400);
    let body = json!({ "paths": [desk.path("in/many")], "depth": "fast" });
    let whole = scan(&server.url, &body);
    let done = wait_for(&server.url, whole, is_done);
    let expected = results(&server.url, whole);
    assert_eq!(expected.len(), 400);

    let url = &server.url;
    let id = scan(url, &body);
    wait_for(url, id, |job| job["suspects"].as_u64() > Some(0));
    let answer = ask(url, "POST", &format!("/v1/scans/{id}/pause"), &[], b"");
    assert!(answer.status == 200 || answer.status == 409, "it may be done already");
    let paused = wait_for(url, id, |job| job["state"] == "paused" || is_done(job));
    if answer.status == 200 && paused["state"] == "paused" {
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(job(url, id)["suspects"], paused["suspects"], "nothing goes on meanwhile");
        drop(server); // killed
        let server = serve(&desk);
        assert_eq!(job(&server.url, id)["state"], "paused", "a restart resumes nothing");
        ask(&server.url, "POST", &format!("/v1/scans/{id}/resume"), &[], b"").expect(200);
        wait_for(&server.url, id, |now| now["suspects"].as_u64() > paused["suspects"].as_u64());
        drop(server); // killed at work
        let server = serve(&desk);
        let resumed = wait_for(&server.url, id, is_done);
        assert_eq!(results(&server.url, id), expected);
        for counted in ["suspects", "copies", "undecidable", "errors", "matches", "transforms"] {
            assert_eq!(resumed[counted], done[counted], "{counted}");
        }
        assert!(resumed["runs"].as_u64() >= Some(2), "{resumed}");
        // The second scan met the same bytes: it made no second card of any.
        let cards = all(&server.url, "/v1/matches", "matches");
        assert_eq!(cards.len() as u64, done["matches"].as_u64().unwrap());
        assert!(server.stop().success());
    } else {
        panic!("the scan was over before it could be paused: {paused}");
    }
}

#[test]
fn jobs_wait_for_each_other_and_are_cancelled() {
    let (desk, server) = desk();
    many(&desk, 300);
    let url = &server.url;
    let body = json!({ "paths": [desk.path("in")] });
    let (first, second) = (scan(url, &body), scan(url, &body));
    let upload = form(&[("file", "a.txt", b"words")], &[]);
    let third = ask(url, "POST", "/v1/scans", &[FORM], &upload).expect(202)["id"].as_u64().unwrap();
    wait_for(url, first, |job| job["state"] == "running");
    assert_eq!(job(url, second)["state"], "queued");
    assert_eq!(desk.path("archive/review/uploads").read_dir().unwrap().count(), 1);
    let act = |id: u64, what: &str| ask(url, "POST", &format!("/v1/scans/{id}/{what}"), &[], b"");
    assert_eq!(act(second, "pause").expect(200)["state"], "paused");
    assert_eq!(act(third, "cancel").expect(200)["state"], "cancelled");
    assert_eq!(desk.path("archive/review/uploads").read_dir().unwrap().count(), 0);
    assert_eq!(act(third, "resume").status, 409);
    // The server does not wait for the job at its end, and the job goes on with the next one.
    let begun = Instant::now();
    assert!(server.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let server = serve(&desk);
    let url = &server.url;
    let act = |id: u64, what: &str| ask(url, "POST", &format!("/v1/scans/{id}/{what}"), &[], b"");
    wait_for(url, first, |job| job["state"] == "running");
    act(first, "cancel").expect(200);
    let cancelled = wait_for(url, first, |job| job["state"] == "cancelled");
    assert!(cancelled["ended"].is_string() && cancelled["suspects"].as_u64() < Some(300));
    assert_eq!(act(first, "pause").status, 409);
    act(second, "resume").expect(200);
    wait_for(url, second, |job| job["state"] == "running");
    act(second, "cancel").expect(200);
    let scans = all(url, "/v1/scans?limit=2", "scans");
    assert_eq!(scans.iter().map(|s| s["id"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 2, 1]);
}

#[test]
fn a_verdict_is_given_once_and_taken_back_and_the_log_tells_of_both() {
    let (desk, server) = desk();
    let url = &server.url;
    let picture = sample("suspects/mirrored-harbour.jpg");
    for name in ["in/a.jpg", "in/b.jpg"] {
        desk.file(name, &picture);
    }
    let id = scan(url, &json!({ "paths": [desk.path("in")], "depth": "fast" }));
    wait_for(url, id, is_done);
    let open = all(url, "/v1/matches?state=open", "matches");
    assert_eq!(open.len(), 1, "the same bytes are one card");
    assert_eq!(open[0]["suspect"]["sightings"], 2);
    let path = format!("/v1/matches/{}", open[0]["id"].as_str().unwrap());
    let seen = get(url, &path);
    assert_eq!(seen.expect(200)["places"].as_array().unwrap().len(), 2);
    let tag = seen.headers["etag"].clone();
    let verdict = format!("{path}/verdict");
    let give = |tag: Option<&str>, body: &Value| {
        let mut headers = vec![JSON];
        headers.extend(tag.map(|tag| ("If-Match", tag)));
        ask(url, "POST", &verdict, &headers, body.to_string().as_bytes())
    };
    let infringing = json!({ "verdict": "infringing", "note": "a shop" });
    assert_eq!(give(None, &infringing).status, 428);
    assert_eq!(give(Some("\"0\""), &infringing).status, 412);
    let entries = |url: &str| {
        let metrics = String::from_utf8(get(url, "/metrics").body).unwrap();
        let line = metrics.lines().find_map(|l| l.strip_prefix("timemark_log_entries "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = entries(url);
    let given = give(Some(&tag), &infringing);
    let told = given.expect(200);
    assert_eq!(
        (&told["standing"], &told["verdict"]["actor"]),
        (&"infringing".into(), &"operator".into())
    );
    assert_eq!(told["verdict"]["entry"], before, "it is in the log");
    assert_eq!(entries(url), before + 1);
    assert_eq!(get(url, &path).headers["etag"], given.headers["etag"]);
    // Who saw it as it was before decides nothing now.
    assert_eq!(give(Some(&tag), &json!({ "verdict": "licensed" })).status, 412);
    assert_eq!(entries(url), before + 1);
    let tag = &given.headers["etag"];
    let unsure = give(Some(tag), &json!({ "verdict": "unsure" }));
    assert_eq!(unsure.expect(200)["standing"], "unsure");
    let undo = |tag: &str| ask(url, "DELETE", &verdict, &[("If-Match", tag)], b"");
    assert_eq!(ask(url, "DELETE", &verdict, &[], b"").status, 428);
    assert_eq!(undo(tag).status, 412);
    let undone = undo(&unsure.headers["etag"]);
    assert_eq!(undone.expect(200)["standing"], "infringing", "the verdict before counts again");
    for (filter, count) in
        [("state=open", 0), ("state=decided", 1), ("verdict=infringing", 1), ("verdict=unsure", 0)]
    {
        assert_eq!(all(url, &format!("/v1/matches?{filter}"), "matches").len(), count, "{filter}");
    }
    let twice = undo(&undone.headers["etag"]);
    assert_eq!(twice.expect(200)["standing"], "open");
    assert_eq!(undo(&twice.headers["etag"]).status, 409);
    let history = all(url, &format!("{path}/history?limit=3"), "history");
    let acts: Vec<_> = history.iter().map(|h| (&h["act"], &h["verdict"], &h["entry"])).collect();
    let expected = [
        ("verdict", "infringing", before),
        ("verdict", "unsure", before + 1),
        ("undo", "unsure", before + 2),
        ("undo", "infringing", before + 3),
    ]
    .map(|(act, verdict, entry)| (json!(act), json!(verdict), json!(entry)));
    assert_eq!(acts, expected.iter().map(|(a, v, e)| (a, v, e)).collect::<Vec<_>>());

    // A kill loses none of it, a new scan asks nobody again, and the log tells of all of it.
    give(Some(&twice.headers["etag"]), &json!({ "verdict": "no-match" })).expect(200);
    drop(server);
    let server = serve(&desk);
    let again = scan(&server.url, &json!({ "paths": [desk.path("in")], "depth": "fast" }));
    wait_for(&server.url, again, is_done);
    let whole = get(&server.url, &path).expect(200);
    assert_eq!(
        (&whole["standing"], &whole["suspect"]["sightings"]),
        (&"no-match".into(), &4.into())
    );
    assert!(all(&server.url, "/v1/matches?state=open", "matches").is_empty());
    assert!(server.stop().success());
    let actions = expect_json(0, &mut desk.timemark(["log", "actions"]));
    let told: Vec<_> = actions.iter().filter(|a| a["action"] == "match.verdict").collect();
    assert_eq!(told.len(), 5, "{actions:?}");
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(
        (&told[0]["subject"], &told[0]["detail"]),
        (&id.into(), &"infringing: a shop".into())
    );
    assert_eq!(told[2]["detail"], "undo unsure");
}

#[test]
fn what_comes_from_allowed_domains_alone_needs_nobodys_look() {
    let (desk, server) = desk();
    let url = &server.url;
    let record = |target: &str, picture: &[u8]| {
        let head = format!(
            "WARC/1.1\r\nWARC-Type: resource\r\nWARC-Target-URI: {target}\r\n\
             WARC-Date: 2026-11-19T02:11:40Z\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            picture.len()
        );
        [head.as_bytes(), picture, b"\r\n\r\n"].concat()
    };
    let harbour = sample("suspects/mirrored-harbour.jpg");
    let wave = sample("suspects/rotated-wave.jpg");
    let warc = [
        record("https://img.shop.example/1.jpg", &harbour),
        record("https://shop.example/2.jpg", &harbour),
        record("https://shop.example/3.jpg", &wave),
        record("https://elsewhere.example/3.jpg", &wave),
    ];
    desk.file("in/crawl.warc", warc.concat());
    let body = json!({ "paths": [desk.path("in/crawl.warc")], "depth": "fast" });
    let allow = |domain: &str| post(url, "/v1/allowed-domains", &json!({ "domain": domain }));
    assert_eq!(allow("SHOP.example.").expect(201)["matches"], 0);
    let known = allow("shop.example").expect(200);
    assert_eq!(known["domains"].as_array().unwrap().len(), 1);
    let id = scan(url, &body);
    wait_for(url, id, is_done);
    // The works of what stands so: which of several places was met first is anybody's guess.
    let standing = |state: &str| {
        let found = all(url, &format!("/v1/matches?state={state}"), "matches");
        let file = |m: &Value| {
            let path = m["finding"]["file"].as_str().unwrap();
            path.rsplit('/').next().unwrap().to_owned()
        };
        found.iter().map(file).collect::<Vec<_>>()
    };
    assert_eq!(standing("allow-listed"), ["harbour-at-dusk.jpg"]);
    assert_eq!(standing("open"), ["the-wave.jpg"], "it was met elsewhere as well");
    // Whoever is not on the list brings nobody along.
    assert_eq!(allow("op.example").expect(201)["matches"], 0);
    assert_eq!(allow("elsewhere.example").expect(201)["matches"], 1);
    assert!(standing("open").is_empty());
    let remove =
        |domain: &str| ask(url, "DELETE", &format!("/v1/allowed-domains/{domain}"), &[], b"");
    assert_eq!(remove("shop.example").expect(200)["matches"], 2);
    assert_eq!(remove("shop.example").status, 404);
    assert_eq!(standing("open").len(), 2);
    // The same bytes on this machine's disk are on no domain.
    allow("shop.example").expect(201);
    desk.file("in/plain.jpg", &harbour);
    let id = scan(url, &json!({ "paths": [desk.path("in/plain.jpg")], "depth": "fast" }));
    wait_for(url, id, is_done);
    assert_eq!(standing("open"), ["harbour-at-dusk.jpg"]);
}

#[test]
fn only_what_lies_below_the_scan_roots_is_scanned() {
    let (desk, server) = desk();
    let url = &server.url;
    let work = sample("works/harbour-at-dusk.jpg");
    desk.file("secret/harbour.jpg", &work);
    desk.file("in/inside.jpg", &work);
    symlink(desk.path("secret"), desk.path("in/out")).unwrap();
    symlink(desk.path("secret/harbour.jpg"), desk.path("in/link.jpg")).unwrap();
    let asked = |path: String| post(url, "/v1/scans", &json!({ "paths": [path] }));
    let at = |below: &str| desk.path(below).display().to_string();
    for outside in [
        at("secret"),
        at("secret/nothing"),
        at("in/../secret"),
        at("in/out"),
        at("in/out/harbour.jpg"),
        at("in/link.jpg"),
        at("in-2"),
        "/etc/passwd".to_owned(),
        "in".to_owned(),
        "".to_owned(),
        format!("{}\0", at("in")),
    ] {
        let answer = asked(outside.clone());
        let problem = answer.expect(403);
        assert!(problem["type"].as_str().unwrap().ends_with("outside-scan-roots"), "{outside}");
    }
    assert_eq!(asked(at("in/nothing")).status, 404);
    // What a link in the folder leads to is not read either.
    let id = asked(at("in")).expect(202)["id"].as_u64().unwrap();
    let done = wait_for(url, id, is_done);
    assert_eq!((&done["copies"], &done["errors"]), (&1.into(), &2.into()), "{done}");
    let results = results(url, id).join("\n");
    assert!(results.contains("symbolic link") && !results.contains("out/harbour"), "{results}");
    // A link that takes the folder's place afterwards is not followed either.
    desk.file("in/folder/a.txt", "x");
    ask(url, "POST", &format!("/v1/scans/{id}/cancel"), &[], b"");
    assert!(server.stop().success());
    let without = Server::start(&mut desk.timemark(["serve", "--listen", "127.0.0.1:0"]));
    let refused = post(&without.url, "/v1/scans", &json!({ "paths": [at("in")] }));
    assert_eq!(refused.status, 403, "no folder may be scanned unless the operator says so");
}

#[test]
fn whatever_is_wrong_with_a_request_about_scans_is_said_as_a_problem() {
    let (_desk, server) = serving(&["--upload-max", "1"]);
    let url = &server.url;
    let id = "0123456789abcdef0123456789abcdef";
    let long = "x".repeat(70_000);
    for (method, path, status, kind) in [
        ("GET", "/v1/scans/1".to_owned(), 404, "not-found"),
        ("GET", "/v1/scans/01".to_owned(), 400, "bad-id"),
        ("GET", "/v1/scans/x".to_owned(), 400, "bad-id"),
        ("GET", "/v1/scans/-1".to_owned(), 400, "bad-id"),
        ("GET", "/v1/scans/18446744073709551616".to_owned(), 400, "bad-id"),
        ("GET", "/v1/scans/1/results".to_owned(), 404, "not-found"),
        ("GET", "/v1/scans/1/results?limit=0".to_owned(), 400, "bad-request"),
        ("GET", "/v1/scans/1/events".to_owned(), 404, "not-found"),
        ("GET", "/v1/scans?cursor=x".to_owned(), 400, "bad-request"),
        ("GET", "/v1/scans?state=done".to_owned(), 400, "bad-request"),
        ("POST", "/v1/scans/1/pause".to_owned(), 404, "not-found"),
        ("POST", "/v1/scans/1/resume".to_owned(), 404, "not-found"),
        ("POST", "/v1/scans/1/cancel".to_owned(), 404, "not-found"),
        ("POST", "/v1/scans/1/stop".to_owned(), 404, "not-found"),
        ("GET", "/v1/scans/1/pause".to_owned(), 405, "method-not-allowed"),
        ("POST", "/v1/scans".to_owned(), 415, "unsupported-media-type"),
        ("GET", format!("/v1/matches/{id}"), 404, "not-found"),
        ("GET", format!("/v1/matches/{}", &id[1..]), 400, "bad-id"),
        ("GET", format!("/v1/matches/{}", id.to_uppercase()), 400, "bad-id"),
        ("GET", "/v1/matches/..%2f..%2fkeys".to_owned(), 400, "bad-id"),
        ("GET", format!("/v1/matches/{id}/suspect.jpg"), 404, "not-found"),
        ("GET", format!("/v1/matches/{id}/work.jpg"), 404, "not-found"),
        ("GET", format!("/v1/matches/{id}/overlay.svg"), 404, "not-found"),
        ("GET", format!("/v1/matches/{id}/history"), 404, "not-found"),
        ("DELETE", format!("/v1/matches/{id}/verdict"), 404, "not-found"),
        ("POST", format!("/v1/matches/{id}/verdict"), 415, "unsupported-media-type"),
        ("GET", "/v1/matches?verdict=guilty".to_owned(), 400, "bad-request"),
        ("GET", "/v1/matches?verdict=unsure&state=open".to_owned(), 400, "bad-request"),
        ("GET", "/v1/matches?scan=x".to_owned(), 400, "bad-request"),
        ("GET", "/v1/matches?limit=201".to_owned(), 400, "bad-request"),
        ("DELETE", "/v1/allowed-domains/shop.example".to_owned(), 404, "not-found"),
        ("DELETE", "/v1/allowed-domains/example".to_owned(), 400, "bad-id"),
        ("POST", "/v1/allowed-domains".to_owned(), 415, "unsupported-media-type"),
    ] {
        let problem = ask(url, method, &path, &[], b"").expect(status);
        let expected = format!("tag:timemark.invalid,2026:problem:{kind}");
        assert_eq!(problem["type"], expected, "{method} {path}");
    }
    let bad_event = ask(url, "GET", "/v1/scans/1/events", &[("Last-Event-ID", "x")], b"");
    assert_eq!(bad_event.status, 400);
    let verdict = format!("/v1/matches/{id}/verdict");
    for (path, body, status) in [
        ("/v1/scans", "", 400),
        ("/v1/scans", "{", 400),
        ("/v1/scans", "[]", 400),
        ("/v1/scans", "{}", 400),
        ("/v1/scans", r#"{"paths":[]}"#, 400),
        ("/v1/scans", r#"{"paths":[7]}"#, 400),
        ("/v1/scans", r#"{"paths":["/a"],"depth":"deep"}"#, 400),
        ("/v1/scans", r#"{"paths":["/a"],"radius":129}"#, 400),
        ("/v1/scans", r#"{"paths":["/a"],"places":0}"#, 400),
        ("/v1/scans", r#"{"paths":["/a"],"more":1}"#, 400),
        ("/v1/scans", r#"{"paths":["/a"]}"#, 403),
        ("/v1/scans", &long, 413),
        (&verdict, "{}", 400),
        (&verdict, r#"{"verdict":"guilty"}"#, 400),
        (&verdict, r#"{"verdict":"allow-listed"}"#, 400),
        (&verdict, &format!(r#"{{"verdict":"unsure","note":"{}"}}"#, &long[..1001]), 422),
        (&verdict, r#"{"verdict":"unsure"}"#, 404),
        ("/v1/allowed-domains", r#"{"domain":"com"}"#, 400),
        ("/v1/allowed-domains", r#"{"domain":"http://a.example"}"#, 400),
        ("/v1/allowed-domains", r#"{"domain":""}"#, 400),
    ] {
        let answer = ask(url, "POST", path, &[JSON], body.as_bytes());
        assert_eq!(answer.status, status, "{path} {body:.60}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let file = |bytes: &[u8], texts: &[(&str, &str)]| form(&[("file", "a", bytes)], texts);
    for (body, status) in [
        (form(&[], &[("depth", "fast")]), 400),
        (file(b"a", &[("depth", "deep")]), 400),
        (file(b"a", &[("radius", "-1")]), 400),
        (file(b"a", &[("radius", "129")]), 400),
        (file(b"a", &[("places", "x")]), 400),
        (file(b"a", &[("other", "x")]), 400),
        (file(&vec![b'x'; (1 << 20) + 1], &[]), 413),
    ] {
        assert_eq!(ask(url, "POST", "/v1/scans", &[FORM], &body).status, status);
    }
    let domains = get(url, "/v1/allowed-domains").expect(200);
    assert_eq!(domains["domains"], json!([]));
    let scans = get(url, "/v1/scans").expect(200);
    assert_eq!(scans["scans"], json!([]), "none of this became a scan");
    register(url, "a", b"work", &[]).expect(201);
    let names: BTreeSet<&str> = ["open", "decided", "allow-listed"].into();
    for state in names {
        assert!(all(url, &format!("/v1/matches?state={state}"), "matches").is_empty());
    }
}

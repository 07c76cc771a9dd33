//! Works that are registered after a scan are found in its suspects, whatever happens meanwhile, and by nobody who may not
//! know.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::access::{person, register_as, ruled, scan_as, send};
use crate::service::{FORM, ask, form, get, register, sample};
use crate::service_scans::{is_done, scan, wait_for};
use crate::storage::blobs;
use crate::support::{Desk, Server, expect, repository};

/// An archive without works, and a folder `in` to scan.
fn desk() -> Desk {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "service.example"]));
    fs::create_dir(desk.path("in")).unwrap();
    desk
}

fn serve(desk: &Desk) -> Server {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--scan-root", "in"];
    Server::start(&mut desk.timemark(arguments))
}

fn job(url: &str, id: u64) -> Value {
    get(url, &format!("/v1/scans/{id}")).expect(200)
}

fn list(url: &str, path: &str, name: &str) -> Vec<Value> {
    get(url, path).expect(200)[name].as_array().unwrap().clone()
}

fn results(url: &str, id: u64) -> Vec<Value> {
    list(url, &format!("/v1/scans/{id}/results?limit=200"), "results")
}

fn figure(url: &str, name: &str, bearer: &str) -> u64 {
    let headers = [("Authorization", bearer)];
    let headers = if bearer.is_empty() { &headers[..0] } else { &headers[..] };
    let text = String::from_utf8(ask(url, "GET", "/metrics", headers, b"").body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
}

/// Waits until everything that is in the log was compared with every suspect.
fn wait_until_compared_by(url: &str, bearer: &str) {
    let begun = Instant::now();
    while figure(url, "timemark_rematch_lag_entries", bearer) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "it took too long");
        thread::sleep(Duration::from_millis(20));
    }
}

fn wait_until_compared(url: &str) {
    wait_until_compared_by(url, "");
}

fn suspect(desk: &Desk, name: &str, to: &str) {
    desk.file(to, sample(&format!("suspects/{name}")));
}

fn finish_scan(url: &str, desk: &Desk, depth: &str) -> u64 {
    let id = scan(url, &json!({ "paths": [desk.path("in")], "depth": depth }));
    wait_for(url, id, is_done);
    id
}

fn register_sample(url: &str, name: &str) {
    register(url, name, &sample(&format!("works/{name}")), &[]).expect(201);
}

/// The names of suspects and works that are found in them, of the results of a scan.
fn pairs(results: &[Value]) -> BTreeSet<(String, String)> {
    let pairs = results.iter().flat_map(|result| {
        let suspect = result["suspect"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let works = result["matches"].as_array().unwrap().iter();
        works.map(move |work| (suspect.clone(), work["file"].as_str().unwrap().to_owned()))
    });
    pairs.collect()
}

#[test]
fn a_work_registered_after_a_scan_is_found_as_a_scan_would_that_comes_after() {
    let desk = desk();
    let server = serve(&desk);
    let url = &server.url;
    for file in fs::read_dir(repository("samples/suspects")).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, desk.path("in").join(path.file_name().unwrap())).unwrap();
    }
    suspect(&desk, "mirrored-harbour.jpg", "in/again/harbour.jpg");
    suspect(&desk, "mirrored-harbour.jpg", "in/again/and-again.jpg");
    for depth in ["fast", "full"] {
        finish_scan(url, &desk, depth);
    }
    for id in [1, 2] {
        let before = job(url, id);
        assert_eq!((&before["matches"], &before["entries"]), (&json!(0), &json!(0)));
        assert_eq!(before["rematches"], true);
        let told =
            ask(url, "GET", &format!("/v1/scans/{id}/events"), &[("Last-Event-ID", "0")], b"");
        assert_eq!(told.status, 204);
    }
    for file in fs::read_dir(repository("samples/works")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        register(url, name, &fs::read(&path).unwrap(), &[]).expect(201);
    }
    wait_until_compared(url);

    // What a scan finds that begins now is what was found in the earlier ones.
    let matches = list(url, "/v1/matches?limit=200", "matches");
    for (id, depth) in [(1, "fast"), (2, "full")] {
        let later = finish_scan(url, &desk, depth);
        let (told, expected) = (results(url, id), results(url, later));
        let found = pairs(&told);
        assert!(found.len() >= 8, "{found:?}");
        let missing: Vec<_> = pairs(&expected).difference(&found).cloned().collect();
        let by_codes = |suspect: &str| {
            let result =
                expected.iter().find(|r| r["suspect"].as_str().unwrap().ends_with(suspect));
            result.unwrap()["matches"][0]["method"] != "keypoints"
        };
        assert!(missing.iter().all(|(suspect, _)| !by_codes(suspect)), "{depth}: {missing:?}");
        assert!(found.is_subset(&pairs(&expected)), "{depth}: {found:?}");
        for mut result in told {
            let name = result["suspect"].clone();
            let mut same = expected.iter().filter(|other| other["suspect"] == name);
            for found in result["matches"].as_array_mut().unwrap() {
                let found = found.as_object_mut().unwrap();
                let time = found.remove("rematched_at").unwrap();
                assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
                assert!(!found.contains_key("by_codes_alone"), "it was looked at");
            }
            if result["status"] == "match" {
                let same = same.next().unwrap();
                assert_eq!(
                    (&result["matches"], &result["error"]),
                    (&same["matches"], &same["error"])
                );
            }
        }
        let (job, after) = (job(url, id), job(url, later));
        assert_eq!(job["entries"], after["entries"]);
        assert_eq!(job["copies"], after["copies"].as_u64().unwrap() - missing.len() as u64);
        assert_eq!(job["matches"], after["matches"].as_u64().unwrap() - missing.len() as u64);
        assert_eq!(job["undecidable"], after["undecidable"]);
    }
    // Nothing was doubled, each place is told, and who listened hears of it.
    let ids: BTreeSet<&str> = matches.iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), matches.len());
    assert_eq!(list(url, "/v1/matches?limit=200", "matches").len(), matches.len());
    let is_harbour = |m: &&Value| m["finding"]["file"] == "harbour-at-dusk.jpg";
    let harbour = matches.iter().find(is_harbour).unwrap();
    assert_eq!(harbour["suspect"]["sightings"], 6, "three places, two scans");
    assert!(harbour["finding"]["rematched_at"].is_string());
    let path = format!("/v1/matches/{}", harbour["id"].as_str().unwrap());
    let whole = get(url, &path).expect(200);
    assert!(whole["geometry"]["map"].is_array());
    assert_eq!(get(url, &format!("{path}/suspect.jpg")).status, 200);
    let heard = String::from_utf8(get(url, "/v1/scans/1/events").body).unwrap();
    let told = heard.matches("event: match").count();
    assert_eq!(told as u64, job(url, 1)["matches"].as_u64().unwrap());
    assert_eq!(
        figure(url, "timemark_rematch_suspects", ""),
        [1, 2, 3, 4].map(|id| job(url, id)["suspects"].as_u64().unwrap()).iter().sum::<u64>()
    );
    let page = String::from_utf8(get(url, &format!("/review/{}", &path[12..])).body).unwrap();
    assert!(page.contains("Found later") && !page.contains("Not looked at again"), "{page}");
    let page = String::from_utf8(get(url, "/scans/1").body).unwrap();
    assert!(page.contains("compared with the works of the first 13 entries"), "{page}");
    // What is kept as evidence is had again, whatever becomes of the file.
    fs::remove_dir_all(desk.path("in")).unwrap();
    let kept = desk.path("archive/review/suspects");
    assert!(fs::read_dir(kept).unwrap().count() > 0);
    assert!(server.stop().success());
}

#[test]
fn what_the_command_line_registered_meanwhile_is_found_by_codes_where_the_suspect_is_gone() {
    let desk = desk();
    let server = serve(&desk);
    let url = &server.url;
    let send = |depth: &str, name: &str| {
        let bytes = sample(&format!("suspects/{name}"));
        let body = form(&[("file", name, &bytes)], &[("depth", depth)]);
        let id = ask(url, "POST", "/v1/scans", &[FORM], &body).expect(202)["id"].as_u64().unwrap();
        wait_for(url, id, is_done);
        id
    };
    let full = send("full", "mirrored-harbour.jpg");
    let fast = send("fast", "recompressed-landscape.jpg");
    let exact = send("fast", "notes.txt");
    let other = send("full", "unrelated-hills.jpg");
    assert!(server.stop().success());
    let works = repository("samples/works").display().to_string();
    expect(0, &mut desk.timemark(["register", &works, "--receipts", "receipts"]));
    let server = serve(&desk);
    let url = &server.url;
    wait_until_compared(url);
    for (id, file, method) in [
        (full, "harbour-at-dusk.jpg", "pdq"),
        (fast, "山水.jpg", "pdq"),
        (exact, "manifesto.txt", "exact"),
    ] {
        let found = list(url, &format!("/v1/matches?scan={id}"), "matches");
        assert_eq!(found.len(), 1, "{file}");
        let finding = &found[0]["finding"];
        assert!(finding["file"].as_str().unwrap().ends_with(file), "{finding}");
        assert!(finding["rematched_at"].is_string());
        assert_eq!(finding["method"], method);
        let by_codes = method == "pdq";
        assert_eq!(finding["by_codes_alone"], if by_codes { json!(true) } else { Value::Null });
        assert_eq!(found[0]["suspect"]["picture"], Value::Null);
        assert!(found[0]["suspect"]["no_picture"].is_string());
        assert_eq!(
            (&results(url, id)[0]["status"], &job(url, id)["copies"]),
            (&json!("match"), &json!(1))
        );
        let page = format!("/review/{}", found[0]["id"].as_str().unwrap());
        let page = String::from_utf8(get(url, &page).body).unwrap();
        assert_eq!(page.contains("Not looked at again"), by_codes);
    }
    assert_eq!((&job(url, other)["matches"], &job(url, other)["entries"]), (&json!(0), &json!(13)));
    assert_eq!(figure(url, "timemark_rematch_found_total", ""), 3);
    // A scan that meets the same bytes looks at them, and that is told from then on.
    suspect(&desk, "mirrored-harbour.jpg", "in/harbour.jpg");
    finish_scan(url, &desk, "full");
    let found = list(url, &format!("/v1/matches?scan={full}"), "matches");
    assert!(found[0]["finding"]["rematched_at"].is_string(), "it was found later all the same");
    assert_eq!(found[0]["finding"]["by_codes_alone"], Value::Null);
    assert!(found[0]["suspect"]["picture"].is_string());
}

#[test]
fn what_was_erased_before_it_was_compared_is_found_by_its_bytes() {
    let desk = desk();
    desk.file("in/poem.txt", "a poem");
    let server = serve(&desk);
    let id = finish_scan(&server.url, &desk, "full");
    assert!(server.stop().success());
    desk.file("poem.txt", "a poem");
    expect(0, &mut desk.timemark(["register", "poem.txt", "--title", "Forgotten"]));
    expect(0, &mut desk.timemark(["log", "erase-claim", "0"]));

    let server = serve(&desk);
    wait_until_compared(&server.url);
    let found = list(&server.url, &format!("/v1/matches?scan={id}"), "matches");
    assert_eq!(found.len(), 1);
    let finding = &found[0]["finding"];
    assert_eq!((&finding["method"], &finding["title"]), (&json!("exact"), &Value::Null));
}

#[test]
fn a_work_that_cannot_be_read_holds_up_no_other() {
    let desk = desk();
    suspect(&desk, "mirrored-harbour.jpg", "in/a-harbour.jpg");
    suspect(&desk, "rotated-wave.jpg", "in/b-wave.jpg");
    let server = serve(&desk);
    let id = finish_scan(&server.url, &desk, "full");
    assert!(server.stop().success());
    for name in ["harbour-at-dusk.jpg", "the-wave.jpg"] {
        let work = desk.file(name, sample(&format!("works/{name}")));
        expect(0, desk.timemark(["register"]).arg(work));
    }
    // Its disk fails there: what lies there is not missing, and cannot be read.
    let harbour = sample("works/harbour-at-dusk.jpg");
    let blob = blobs(&desk).into_iter().find(|path| fs::read(path).unwrap() == harbour).unwrap();
    fs::remove_file(&blob).unwrap();
    symlink(&blob, &blob).unwrap();
    let server = serve(&desk);
    let url = &server.url;
    wait_until_compared(url);
    let found = list(url, &format!("/v1/matches?scan={id}"), "matches");
    let by_codes = |name: &str| {
        let is_it = |m: &&Value| m["finding"]["file"].as_str().unwrap().ends_with(name);
        found.iter().find(is_it).unwrap()["finding"]["by_codes_alone"].clone()
    };
    assert_eq!((found.len(), by_codes("the-wave.jpg")), (2, Value::Null));
    assert_eq!(by_codes("harbour-at-dusk.jpg"), true);
    assert!(server.stop().success());
}

#[test]
fn killed_while_it_compares_nothing_is_skipped_and_nothing_doubled() {
    let desk = desk();
    let harbour = sample("suspects/mirrored-harbour.jpg");
    for number in 0..240 {
        let mut bytes = harbour.clone();
        bytes.extend((number / 2).to_string().bytes());
        desk.file(&format!("in/{:02}/{number}.jpg", number % 7), bytes);
    }
    let mut server = serve(&desk);
    let id = finish_scan(&server.url, &desk, "full");
    register_sample(&server.url, "harbour-at-dusk.jpg");
    register_sample(&server.url, "the-wave.jpg");
    let mut kills = 0;
    loop {
        let begun = Instant::now();
        let before = job(&server.url, id)["matches"].as_u64().unwrap();
        while job(&server.url, id)["matches"].as_u64() < Some(before + 15) {
            if figure(&server.url, "timemark_rematch_lag_entries", "") == 0 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it stands still");
            thread::sleep(Duration::from_millis(5));
        }
        if figure(&server.url, "timemark_rematch_lag_entries", "") == 0 {
            break;
        }
        drop(server); // killed
        kills += 1;
        server = serve(&desk);
    }
    assert!(kills >= 2, "it was over before it could be killed");
    let url = &server.url;
    let told = job(url, id);
    assert_eq!((&told["copies"], &told["matches"]), (&json!(240), &json!(120)), "{told}");
    assert_eq!(told["transforms"], json!({ "mirrored": 120 }));
    let matches = list(url, "/v1/matches?limit=200", "matches");
    assert_eq!(matches.len(), 120);
    assert!(matches.iter().all(|found| found["suspect"]["sightings"] == 2), "each place once");
    for result in list(url, &format!("/v1/scans/{id}/results?limit=200"), "results") {
        assert_eq!(
            (&result["status"], result["matches"].as_array().unwrap().len()),
            (&json!("match"), 1)
        );
    }
    assert!(server.stop().success());
}

#[test]
fn what_is_withdrawn_or_erased_before_it_is_compared_accuses_nobody() {
    let desk = desk();
    suspect(&desk, "mirrored-harbour.jpg", "in/harbour.jpg");
    suspect(&desk, "brightened-fruit.jpg", "in/fruit.jpg");
    suspect(&desk, "rotated-wave.jpg", "in/wave.jpg");
    let server = serve(&desk);
    let id = finish_scan(&server.url, &desk, "full");
    assert!(server.stop().success());
    for name in ["harbour-at-dusk.jpg", "still-life-with-fruit.jpg", "the-wave.jpg"] {
        let work = desk.file(name, sample(&format!("works/{name}")));
        expect(0, desk.timemark(["register"]).arg(work));
    }
    expect(0, &mut desk.timemark(["claim", "withdraw", "harbour-at-dusk.jpg.timemark"]));
    expect(0, &mut desk.timemark(["log", "erase-claim", "1"]));
    let server = serve(&desk);
    let url = &server.url;
    wait_until_compared(url);
    let found = list(url, &format!("/v1/matches?scan={id}"), "matches");
    let files: Vec<&str> = found.iter().map(|m| m["finding"]["file"].as_str().unwrap()).collect();
    assert!(files.len() == 1 && files[0].ends_with("the-wave.jpg"), "{files:?}");
    // Claimed anew it is found, and what was found before stays one.
    register_sample(url, "harbour-at-dusk.jpg");
    wait_until_compared(url);
    assert_eq!(job(url, id)["matches"], 2);
}

#[test]
fn what_comes_while_a_scan_is_at_work_or_paused_is_compared_with_all_of_its_suspects() {
    let desk = desk();
    let harbour = sample("suspects/mirrored-harbour.jpg");
    for number in 0..160 {
        let mut bytes = harbour.clone();
        bytes.extend((number / 2).to_string().bytes());
        desk.file(&format!("in/{number:03}.jpg"), bytes);
    }
    let server = serve(&desk);
    let url = &server.url;
    let id = scan(url, &json!({ "paths": [desk.path("in")] }));
    wait_for(url, id, |job| job["suspects"].as_u64() > Some(10));
    register_sample(url, "the-wave.jpg");
    ask(url, "POST", &format!("/v1/scans/{id}/pause"), &[], b"").expect(200);
    let paused = wait_for(url, id, |job| job["state"] == "paused");
    let suspects = paused["suspects"].as_u64().unwrap();
    assert!(suspects < 160, "it was over before it could be paused");
    assert_eq!(paused["copies"], 0);
    register_sample(url, "harbour-at-dusk.jpg");
    wait_until_compared(url);
    assert_eq!(job(url, id)["copies"], suspects, "while it is paused");
    ask(url, "POST", &format!("/v1/scans/{id}/resume"), &[], b"").expect(200);
    let done = wait_for(url, id, is_done);
    wait_until_compared(url);
    let after = job(url, id);
    assert_eq!((&after["copies"], &after["matches"]), (&json!(160), &json!(80)), "{done} {after}");
    let matches = list(url, "/v1/matches?limit=200", "matches");
    assert!(matches.len() == 80 && matches.iter().all(|m| m["suspect"]["sightings"] == 2));
}

#[test]
fn a_work_that_is_found_later_is_told_to_whoever_sees_the_work_and_to_nobody_else() {
    let (desk, boss) = ruled();
    let server = crate::service::serve(&desk, &[]);
    let url = &server.url;
    let make = |name: &str, role: &str, side: &str| person(url, &boss, name, role, Some(side));
    let (north, south) = (make("north", "agency", "North"), make("south", "agency", "South"));
    let creator = make("creator", "creator", "South");
    let id = scan_as(url, &north.bearer, &sample("suspects/mirrored-harbour.jpg"));
    let texts = [("title", "Harbour of South"), ("claimant", "South")];
    let work = sample("works/harbour-at-dusk.jpg");
    register_as(url, &creator.bearer, &work, &texts).expect(201);
    wait_until_compared_by(url, &boss);
    let seen = |bearer: &str| {
        let told = send(url, bearer, "GET", "/v1/matches", &Value::Null).expect(200);
        told["matches"].as_array().unwrap().clone()
    };
    assert!(seen(&north.bearer).is_empty(), "whose scan it was");
    let theirs = seen(&south.bearer);
    assert_eq!(theirs.len(), 1);
    assert_eq!(theirs[0]["finding"]["title"], "Harbour of South");
    assert!(theirs[0]["finding"]["rematched_at"].is_string());
    assert_eq!(seen(&boss).len(), 1);
    let path = format!("/v1/scans/{id}");
    let told = send(url, &north.bearer, "GET", &path, &Value::Null).expect(200);
    assert_eq!((&told["matches"], &told["copies"]), (&json!(0), &Value::Null));
    let results = send(url, &north.bearer, "GET", &format!("{path}/results"), &Value::Null);
    let results = results.expect(200)["results"].clone();
    assert_eq!((&results[0]["status"], &results[0]["matches"]), (&json!("clear"), &json!([])));
    let one = format!("/v1/matches/{}", theirs[0]["id"].as_str().unwrap());
    assert_eq!(send(url, &north.bearer, "GET", &one, &Value::Null).status, 404);
    assert_eq!(
        send(url, &south.bearer, "GET", &path, &Value::Null).status,
        404,
        "theirs is the match"
    );
    assert_eq!(send(url, &south.bearer, "GET", &one, &Value::Null).status, 200);
}

#[test]
fn whose_suspect_could_not_be_compared_does_not_learn_that_somebody_registered_it() {
    let (desk, boss) = ruled();
    let server = crate::service::serve(&desk, &[]);
    let url = &server.url;
    let north = person(url, &boss, "north", "agency", Some("North"));
    let creator = person(url, &boss, "creator", "creator", Some("South"));
    let flat = desk.path("flat.png");
    image::RgbImage::from_pixel(200, 200, image::Rgb([200, 30, 30])).save(&flat).unwrap();
    let flat = fs::read(flat).unwrap();
    let id = scan_as(url, &north.bearer, &flat);
    let told = |bearer: &str| {
        let path = format!("/v1/scans/{id}");
        let job = send(url, bearer, "GET", &path, &Value::Null).expect(200);
        let results = send(url, bearer, "GET", &format!("{path}/results"), &Value::Null);
        let result = &results.expect(200)["results"][0];
        let counts = ["undecidable", "errors", "matches"].map(|name| job[name].clone());
        (counts, result["status"].clone(), result["error"].clone())
    };
    let before = told(&north.bearer);
    assert_eq!(before, ([1, 0, 0].map(Value::from), json!("undecidable"), Value::Null));
    register_as(url, &creator.bearer, &flat, &[("title", "Red")]).expect(201);
    wait_until_compared_by(url, &boss);
    assert_eq!(told(&north.bearer), before);
    assert_eq!(told(&boss), ([1, 0, 1].map(Value::from), json!("match"), Value::Null));
}

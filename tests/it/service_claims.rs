//! Claims are corrected, withdrawn and erased over HTTP, by whoever has them; and what became of them is told.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use timemark_verify::escape;

use crate::access::{person, register_as, ruled, scan_as, send};
use crate::service::{Answer, FORM, ask, digests_of, form, get, register, sample, serve, serving};
use crate::service_pages::page;
use crate::support::{Desk, expect, expect_json, run};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Asks for something to be done with a claim, by its tag as it is for `seer`, with further headers.
fn asked(
    url: &str,
    (bearer, seer): (&str, &str),
    (method, index, act): (&str, u64, &str),
    body: &Value,
    more: &[(&str, &str)],
) -> Answer {
    let path = format!("/v1/receipts/{index}/claim");
    let tag = ask(url, "GET", &path, &[("Authorization", seer)], b"").headers.remove("etag");
    let tag = tag.unwrap_or_else(|| "\"none\"".to_owned());
    let mut headers = vec![JSON, ("If-Match", &*tag)];
    headers.extend_from_slice(more);
    if !bearer.is_empty() {
        headers.push(("Authorization", bearer));
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    ask(url, method, &format!("{path}{act}"), &headers, body.as_bytes())
}

fn correct(url: &str, bearer: &str, index: u64, body: &Value, more: &[(&str, &str)]) -> Answer {
    asked(url, (bearer, bearer), ("POST", index, "/correction"), body, more)
}

fn withdraw(url: &str, bearer: &str, index: u64, more: &[(&str, &str)]) -> Answer {
    asked(url, (bearer, bearer), ("POST", index, "/withdrawal"), &Value::Null, more)
}

fn erase(url: &str, bearer: &str, index: u64) -> Answer {
    asked(url, (bearer, bearer), ("DELETE", index, ""), &Value::Null, &[])
}

/// Asks for this operation upon a new claim of somebody's.
pub fn upon_a_new_claim(
    url: &str,
    owner: &str,
    operation: &str,
    role: &str,
    bearer: &str,
) -> Answer {
    let work = format!("{operation} by {role}");
    let new = register_as(url, owner, work.as_bytes(), &[("claimant", "Stranger")]).expect(201);
    let index = new["index"].as_u64().unwrap();
    let (method, act, body) = match operation {
        "correct_claim" => ("POST", "/correction", json!({"title": "Another"})),
        "withdraw_claim" => ("POST", "/withdrawal", Value::Null),
        _ => ("DELETE", "", Value::Null),
    };
    asked(url, (bearer, owner), (method, index, act), &body, &[])
}

fn refused(answer: &Answer, status: u16, kind: &str) -> Value {
    let problem = answer.expect(status);
    assert!(problem["type"].as_str().unwrap().ends_with(&format!(":{kind}")), "{problem}");
    problem
}

fn index_of(answer: &Value) -> u64 {
    answer["index"].as_u64().unwrap()
}

/// What is known of an entry's receipt beside its verdict.
fn archive_says(url: &str, bearer: &str, index: u64) -> Value {
    let headers = [("Accept", "application/json"), ("Authorization", bearer)];
    ask(url, "GET", &format!("/v1/receipts/{index}"), &headers, b"").expect(200)
}

#[test]
fn whoever_has_a_claim_corrects_it_and_withdraws_it() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let mei = person(url, &boss, "mei", "creator", Some("North")).bearer;
    let other = person(url, &boss, "other", "creator", Some("South")).bearer;
    let agency = person(url, &boss, "agency", "agency", Some("North")).bearer;
    let work = sample("works/harbour-at-dusk.jpg");
    let said = [("title", "Harbor"), ("claimant", "Zang Mei"), ("rights", "All rights")];
    let first = index_of(&register_as(url, &mei, &work, &said).expect(201));
    let path = format!("/v1/receipts/{first}/claim");

    let claim = ask(url, "GET", &path, &[("Authorization", &mei)], b"");
    let tag = claim.headers["etag"].clone();
    assert_eq!(claim.expect(200)["title"], "Harbor");
    let known = [("Authorization", &*mei), ("If-None-Match", &*tag)];
    assert_eq!(ask(url, "GET", &path, &known, b"").status, 304);
    for nowhere in [
        send(url, &other, "GET", &path, &Value::Null),
        send(url, &mei, "GET", "/v1/receipts/9999/claim", &Value::Null),
    ] {
        refused(&nowhere, 404, "not-found");
    }

    // What names no claim as it was seen, or says nothing new, changes nothing.
    let right = json!({"title": "Harbour", "claimant": "Zhang Mei"});
    let without = send(url, &mei, "POST", &format!("{path}/correction"), &right);
    refused(&without, 428, "if-match-required");
    let headers = [("Authorization", &*mei), JSON, ("If-Match", "\"of another\"")];
    let other_tag = ask(url, "POST", &format!("{path}/withdrawal"), &headers, b"");
    refused(&other_tag, 412, "changed-since");
    for same in [json!({}), json!({"title": "Harbor"}), json!({"collection": ""})] {
        refused(&correct(url, &mei, first, &same, &[]), 422, "nothing-corrected");
    }
    let long = json!({"rights": "x".repeat(16_385)});
    refused(&correct(url, &mei, first, &long, &[]), 422, "text-too-long");
    for bad in [json!({"path": "/x"}), json!({"title": 7}), json!([])] {
        refused(&correct(url, &mei, first, &bad, &[]), 400, "bad-request");
    }
    let nowhere = correct(url, &mei, 9999, &right, &[]);
    let foreign = asked(url, (&other, &mei), ("POST", first, "/correction"), &right, &[]);
    assert_eq!(refused(&nowhere, 404, "not-found"), refused(&foreign, 404, "not-found"));
    refused(
        &asked(url, (&other, &mei), ("DELETE", first, ""), &Value::Null, &[]),
        404,
        "not-found",
    );
    assert_eq!(archive_says(url, &mei, first)["archive"]["corrected_by"], Value::Null);

    // Corrected: an entry of its own, which is the owner's, and a receipt that says so.
    let key = ("Idempotency-Key", "once");
    let answer = correct(url, &mei, first, &right, &[key]);
    let amended = answer.expect(201);
    let second = index_of(&amended);
    assert_eq!((&amended["status"], &amended["amended"]), (&json!("corrected"), &json!(first)));
    assert_eq!(answer.headers["location"], amended["receipt"].as_str().unwrap());
    let receipt = send(url, &mei, "GET", amended["receipt"].as_str().unwrap(), &Value::Null);
    let parts = [("work", "w", &work[..]), ("receipt", "r", &receipt.body)];
    let headers = [FORM, ("Authorization", &*other)];
    let told = ask(url, "POST", "/v1/verify", &headers, &form(&parts, &[])).expect(200);
    assert_eq!(
        (&told["verdict"], &told["claim"]["claimant"]),
        (&"verified".into(), &"Zhang Mei".into())
    );
    assert_eq!(
        (&told["claim"]["rights"], &told["claim"]["corrects"]["index"]),
        (&"All rights".into(), &first.into())
    );
    assert_eq!(
        told["archive"],
        json!({"index": second, "corrected_by": null, "withdrawn_by": null, "erased": false})
    );
    let old = archive_says(url, &mei, first);
    assert_eq!(
        (&old["verdict"], &old["claim"]["claimant"]),
        (&"verified".into(), &"Zang Mei".into())
    );
    assert_eq!(old["archive"]["corrected_by"], second);
    let listed = send(url, &mei, "GET", "/v1/works", &Value::Null).expect(200);
    assert_eq!(index_of(&listed["works"][0]), second);
    refused(
        &send(url, &other, "GET", &format!("/v1/receipts/{second}"), &Value::Null),
        404,
        "not-found",
    );

    // Sent again it is done once; other words under the same key are a mistake.
    let again = correct(url, &mei, first, &right, &[key]).expect(200);
    assert_eq!(again, amended);
    let others = json!({"title": "Port"});
    refused(&correct(url, &mei, first, &others, &[key]), 422, "idempotency-key-reused");
    let winner = refused(&correct(url, &mei, first, &right, &[]), 409, "claim-amended");
    assert_eq!((&winner["corrected_by"], &winner["withdrawn_by"]), (&json!(second), &Value::Null));

    // The agency for its organisation, and administrators for all: what they do is entered into the log.
    let third = index_of(&correct(url, &agency, second, &others, &[]).expect(201));
    let fourth = index_of(&correct(url, &boss, third, &json!({"rights": ""}), &[]).expect(201));
    let winner = refused(&withdraw(url, &mei, first, &[]), 409, "claim-amended");
    assert_eq!(winner["corrected_by"], fourth, "the last one stands");
    let acts =
        send(url, &boss, "GET", "/v1/actions?action=claim.correct", &Value::Null).expect(200);
    let acts: Vec<_> = acts["actions"].as_array().unwrap().iter().map(|a| &a["subject"]).collect();
    assert_eq!(acts, [&json!(format!("entry {third}")), &json!(format!("entry {second}"))]);
    let again = register_as(url, &mei, &work, &[("claimant", "Zhang Mei")]).expect(200);
    assert_eq!((index_of(&again), &again["status"]), (fourth, &json!("duplicate")));

    // Withdrawn: it accuses nobody, and to claim it again is a new registration.
    let gone = withdraw(url, &mei, fourth, &[("Idempotency-Key", "twice")]).expect(201);
    let fifth = index_of(&gone);
    assert_eq!(gone["status"], "withdrawn");
    assert_eq!(withdraw(url, &mei, fourth, &[("Idempotency-Key", "twice")]).expect(200), gone);
    for index in [first, fourth] {
        let winner = refused(&withdraw(url, &mei, index, &[]), 409, "claim-amended");
        assert_eq!(winner["withdrawn_by"], fifth, "{winner}");
    }
    refused(&correct(url, &mei, fifth, &others, &[]), 409, "claim-amended");
    let searched = |picture: &[u8]| {
        let headers = [FORM, ("Authorization", &*boss)];
        let body = form(&[("picture", "p.jpg", picture)], &[]);
        ask(url, "POST", "/v1/search", &headers, &body).expect(200)["status"].clone()
    };
    assert_eq!(searched(&work), "clear");
    assert_eq!(archive_says(url, &mei, first)["archive"]["withdrawn_by"], fifth);
    let anew = register_as(url, &mei, &work, &[("claimant", "Zhang Mei")]).expect(201);
    assert!(index_of(&anew) > fifth);
    assert_eq!(searched(&work), "match");
}

#[test]
fn what_was_amended_on_the_command_line_is_of_who_has_the_claim() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let mei = person(&server.url, &boss, "mei", "creator", None).bearer;
    let other = person(&server.url, &boss, "other", "creator", None).bearer;
    let first =
        index_of(&register_as(&server.url, &mei, b"a poem", &[("claimant", "Me")]).expect(201));
    assert!(server.stop().success());
    let amend = |what: &[&str], index: u64| {
        let mut amend = desk.timemark(["claim"]);
        amend.args(&what[..1]).arg(index.to_string()).args(&what[1..]);
        index_of(&expect_json(0, &mut amend)[0])
    };
    let second = amend(&["correct", "--claimant", "Mei"], first);
    let third = amend(&["correct", "--title", "A poem"], second);

    let server = serve(&desk, &[]);
    let url = &server.url;
    let again = register_as(url, &mei, b"a poem", &[("claimant", "Mei")]).expect(200);
    assert_eq!(index_of(&again), third);
    let elsewhere = register_as(url, &other, b"a poem", &[("claimant", "Mei")]);
    refused(&elsewhere, 409, "registered-elsewhere");
    let listed = send(url, &mei, "GET", "/v1/works", &Value::Null).expect(200);
    let listed: Vec<_> = listed["works"].as_array().unwrap().iter().map(index_of).collect();
    assert_eq!(listed, [third, second, first]);
    let path = format!("/v1/receipts/{third}/claim");
    refused(&send(url, &other, "GET", &path, &Value::Null), 404, "not-found");
    let gone = index_of(&withdraw(url, &mei, third, &[]).expect(201));
    send(url, &mei, "GET", &format!("/v1/receipts/{gone}"), &Value::Null);
    assert!(server.stop().success());
}

#[test]
fn what_was_withdrawn_stays_so_when_whoever_withdrew_it_is_forgotten() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let mei = person(url, &boss, "mei", "creator", None).bearer;
    let work = sample("works/harbour-at-dusk.jpg");
    let said =
        [("title", "Secretharbour"), ("claimant", "Forgotten Mei"), ("collection", "Hidden")];
    let new = register_as(url, &mei, &work, &said).expect(201);
    let (cid, first) = (new["work"].as_str().unwrap(), index_of(&new));
    let receipt = send(url, &mei, "GET", &format!("/v1/receipts/{first}"), &Value::Null).body;
    let other = json!({"title": "Secretport"});
    let second = index_of(&correct(url, &mei, first, &other, &[]).expect(201));
    let third = index_of(&withdraw(url, &mei, second, &[]).expect(201));
    // Nothing is found of a text that was withdrawn and erased, whoever else claims nothing of it.
    let text = index_of(
        &register_as(url, &mei, b"a secret text", &[("claimant", "Forgotten Mei")]).expect(201),
    );
    let gone = index_of(&withdraw(url, &mei, text, &[]).expect(201));
    erase(url, &mei, gone).expect(200);
    // Somebody else claims the picture as well, and is found.
    let li = [("title", "Of Li"), ("claimant", "Li Na")];
    let fourth = index_of(&register_as(url, &boss, &work, &li).expect(201));

    let erased = erase(url, &mei, third).expect(200);
    assert_eq!(erased["erased"], json!([first, second, third]));
    let instead: Vec<u64> =
        erased["withdrawn_by"].as_array().unwrap().iter().map(|e| e.as_u64().unwrap()).collect();
    assert_eq!(
        instead.len(),
        3,
        "one for each claim that was withdrawn, and for the withdrawal: {erased}"
    );
    let nameless = erase(url, &mei, instead[2]);
    refused(&nameless, 409, "wrong-state");
    for index in [first, second, third] {
        refused(&erase(url, &mei, index), 410, "claim-erased");
        refused(&correct(url, &mei, index, &other, &[]), 410, "claim-erased");
        let path = format!("/v1/receipts/{index}");
        refused(&send(url, &mei, "GET", &path, &Value::Null), 410, "claim-erased");
    }
    let holds = |url: &str| {
        // Nobody is answered from what is gone, and nothing is claimed by it.
        for word in ["Secretharbour", "Forgotten", "Hidden"] {
            let path = format!("/v1/search?q={word}");
            let found = send(url, &boss, "GET", &path, &Value::Null).expect(200);
            assert_eq!(found["works"], json!([]), "{word}");
        }
        let collections = send(url, &boss, "GET", "/v1/collections", &Value::Null).expect(200);
        assert_eq!(collections["collections"], json!([]));
        let own = send(url, &mei, "GET", "/v1/works", &Value::Null).expect(200);
        assert!(!own.to_string().contains("Forgotten"));
        let of_picture = |entry: &&Value| entry["work"] == cid;
        let of_own = own["works"].as_array().unwrap().iter().filter(of_picture);
        let of_own: Vec<_> = of_own.map(index_of).collect();
        let headers = [FORM, ("Authorization", &*boss)];
        let body = form(&[("picture", "p.txt", b"a secret text")], &[]);
        assert_eq!(ask(url, "POST", "/v1/search", &headers, &body).expect(200)["status"], "clear");
        let all = [instead[2], instead[1], instead[0], third, second, first];
        assert_eq!(of_own, all, "they are the owner's");
        for suspect in [work.clone(), sample("suspects/mirrored-harbour.jpg")] {
            let headers = [FORM, ("Authorization", &*boss)];
            let body = form(&[("picture", "p.jpg", &suspect)], &[]);
            let found = ask(url, "POST", "/v1/search", &headers, &body).expect(200);
            assert_eq!(found["matches"].as_array().unwrap().len(), 1);
            assert_eq!(
                (&found["matches"][0]["index"], &found["matches"][0]["claimant"]),
                (&json!(fourth), &json!("Li Na"))
            );
        }
        // The receipt that was handed out goes on to verify, and the archive says what became of it.
        let parts = [("work", "w", &work[..]), ("receipt", "r", &receipt)];
        let headers = [FORM, ("Authorization", &*boss)];
        let told = ask(url, "POST", "/v1/verify", &headers, &form(&parts, &[])).expect(200);
        assert_eq!(
            (&told["verdict"], &told["claim"]["claimant"]),
            (&json!("verified"), &json!("Forgotten Mei"))
        );
        assert_eq!(told["archive"]["erased"], true);
        assert_eq!(told["archive"]["withdrawn_by"], instead[0]);
        let nameless = archive_says(url, &mei, instead[0]);
        assert_eq!(
            (&nameless["verdict"], &nameless["claim"]["claimant"]),
            (&json!("verified"), &Value::Null)
        );
        assert_eq!(nameless["claim"]["withdraws"]["index"], first);
    };
    holds(url);
    assert!(server.stop().success());

    // What was derived is made anew: then nothing is left on the disk, and all is as it was.
    let server = serve(&desk, &[]);
    holds(&server.url);
    assert!(server.stop().success());
    for words in ["Secretharbour", "Forgotten", "forgotten", &escape(b"Forgotten Mei")] {
        for below in ["log", "registry", "index"] {
            assert_eq!(files_with(&desk.path("archive").join(below), words), [""; 0], "{words}");
        }
    }
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn what_scans_told_forgets_the_words_of_an_erased_claim() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let said = [("title", "Secretharbour"), ("claimant", "Forgotten Mei")];
    let work = sample("works/harbour-at-dusk.jpg");
    let index = index_of(&register_as(url, &boss, &work, &said).expect(201));
    let scan = scan_as(url, &boss, &sample("suspects/mirrored-harbour.jpg"));
    let told = |path: &str| send(url, &boss, "GET", path, &Value::Null).expect(200);
    let results = format!("/v1/scans/{scan}/results");
    for path in ["/v1/matches", &results] {
        assert!(told(path).to_string().contains("Secretharbour"), "{path}");
    }
    erase(url, &boss, index).expect(200);
    for path in ["/v1/matches", &results] {
        let told = told(path).to_string();
        assert!(!told.contains("Secretharbour") && !told.contains("Forgotten"), "{told}");
    }
    let matches = told("/v1/matches");
    assert_eq!(matches["matches"].as_array().unwrap().len(), 1, "that something was found stays");
    assert_eq!(told(&results)["results"][0]["status"], "match");
}

#[test]
fn who_sees_their_own_alone_is_told_in_the_words_that_stand() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let mei = person(url, &boss, "mei", "creator", None).bearer;
    let work = sample("works/harbour-at-dusk.jpg");
    let said = [("title", "Harbor"), ("claimant", "Mei")];
    let first = index_of(&register_as(url, &mei, &work, &said).expect(201));
    let told = |bearer: &str| {
        let headers = [FORM, ("Authorization", bearer)];
        let body = form(&[("picture", "p.jpg", &work)], &[]);
        let found = ask(url, "POST", "/v1/search", &headers, &body).expect(200);
        let one = &found["matches"][0];
        json!([one["index"], one["corrected_by"], one["title"]])
    };
    let right = json!({"title": "Harbour"});
    let second = index_of(&correct(url, &mei, first, &right, &[]).expect(201));
    assert_eq!(told(&mei), json!([first, second, "Harbour"]));
    assert_eq!(told(&mei), told(&boss));
    withdraw(url, &mei, second, &[]).expect(201);
    let anew = index_of(&register_as(url, &mei, &work, &said).expect(201));
    assert_eq!(told(&mei), json!([anew, null, "Harbor"]));
}

/// The files below a folder that hold a text.
fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path).unwrap().windows(text.len()).any(|w| w == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn an_erased_claim_that_was_not_withdrawn_is_found_by_its_bytes_alone_and_names_nobody() {
    let (desk, server) = serving(&[]);
    let url = &server.url;
    let work = sample("works/harbour-at-dusk.jpg");
    let first = index_of(&register(url, "a.jpg", &work, &[("claimant", "Mei")]).expect(201));
    let second = index_of(&correct(url, "", first, &json!({"title": "Port"}), &[]).expect(201));
    let erased = erase(url, "", second).expect(200);
    assert_eq!((&erased["erased"], &erased["withdrawn_by"]), (&json!([first, second]), &json!([])));
    let search = |url: &str, picture: &[u8]| {
        ask(url, "POST", "/v1/search", &[FORM], &form(&[("picture", "p.jpg", picture)], &[]))
            .expect(200)
    };
    let code =
        |url: &str| get(url, &format!("/v1/search/code?pdq={}&radius=64", pdq(&desk))).expect(200);
    let check = |url: &str| {
        let found = search(url, &work);
        assert_eq!(
            (&found["matches"][0]["index"], &found["matches"][0]["claimant"]),
            (&json!(first), &Value::Null)
        );
        assert_eq!(search(url, &sample("suspects/mirrored-harbour.jpg"))["status"], "clear");
        assert_eq!(code(url)["matches"], json!([]));
    };
    check(url);
    // Killed before it could settle anything: the next start makes anew what is derived.
    drop(server);
    let server = serve(&desk, &[]);
    check(&server.url);
    let found = register(&server.url, "a.jpg", &work, &[("claimant", "Mei")]).expect(201);
    assert!(index_of(&found) > second);
    assert!(server.stop().success());
    assert_eq!(run(&mut desk.timemark(["log", "audit"])).status.code(), Some(0));
}

/// The PDQ code of the harbour, as another archive states it in a receipt.
fn pdq(desk: &Desk) -> String {
    desk.file("code/harbour.jpg", sample("works/harbour-at-dusk.jpg"));
    let receipt = desk.path("code/harbour.jpg.timemark");
    if !receipt.exists() {
        expect(0, &mut desk.timemark_on("other", ["register", "code/harbour.jpg"]));
    }
    let text = fs::read_to_string(receipt).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("fingerprint pdq "));
    line.unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn one_work_may_be_claimed_by_any_number_and_each_finds_their_own() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let mei = person(url, &boss, "mei", "creator", None).bearer;
    let mine = |title: &str| {
        let mut work = digests_of(b"claimed by all", "w.txt");
        (work["claimant"], work["title"]) = ("Mei".into(), title.into());
        json!({ "works": [work] })
    };
    let many = |from: usize, to: usize| {
        let of = |n: usize| {
            let mut work = digests_of(b"claimed by all", "w.txt");
            work["claimant"] = format!("Claimant {n}").into();
            work
        };
        let works: Vec<_> = (from..to).map(of).collect();
        let body = json!({ "works": works });
        send(url, &boss, "POST", "/v1/works/digests", &body).expect(200)
    };
    let cid = many(0, 150)["results"][0]["registered"]["work"].as_str().unwrap().to_owned();
    let own = send(url, &mei, "POST", "/v1/works/digests", &mine("Mine")).expect(200);
    let own = index_of(&own["results"][0]["registered"]);
    many(150, 300);
    let work = |bearer: &str, query: &str| {
        send(url, bearer, "GET", &format!("/v1/works/{cid}{query}"), &Value::Null).expect(200)
    };

    // All of them, a page at a time, each once and oldest first.
    let first = work(&boss, "");
    assert_eq!(first["registrations"].as_array().unwrap().len(), 200);
    assert_eq!(first["more"], 101);
    let (mut seen, mut query) = (Vec::new(), "?limit=120".to_owned());
    loop {
        let part = work(&boss, &query);
        seen.extend(part["registrations"].as_array().unwrap().iter().map(index_of));
        match part["next"].as_str() {
            Some(next) => query = format!("?limit=120&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 301);
    assert!(seen.is_sorted_by(|a, b| a < b) && seen.contains(&own));
    // Somebody's own is found among any number of others, and nothing tells of these.
    let theirs = work(&mei, "");
    assert_eq!(theirs["registrations"].as_array().unwrap().len(), 1);
    assert_eq!((index_of(&theirs["registrations"][0]), &theirs["more"]), (own, &Value::Null));
    let again = send(url, &mei, "POST", "/v1/works/digests", &mine("Another")).expect(200);
    assert_eq!(index_of(&again["results"][0]["registered"]), own);
    for bad in ["?limit=0", "?limit=201", "?cursor=x", "?of=me"] {
        let answer = send(url, &boss, "GET", &format!("/v1/works/{cid}{bad}"), &Value::Null);
        refused(&answer, 400, "bad-request");
    }
    let text = page(url, &format!("/works/{cid}"), &[("Authorization", &boss)]);
    assert!(
        text.contains("and 281 more") && text.contains("Contested: 200 parties and more"),
        "{text}"
    );
    let text = page(url, &format!("/works/{cid}"), &[("Authorization", &mei)]);
    assert!(
        !text.contains("Contested") && !text.contains("Further claims") && text.contains("Mine"),
        "{text}"
    );
}

#[test]
fn of_works_with_near_codes_the_nearest_are_told_and_that_there_are_more() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let mei = person(url, &boss, "mei", "creator", None).bearer;
    let work = sample("works/harbour-at-dusk.jpg");
    // The same picture in files that differ behind its end.
    for version in 0..4_u8 {
        let bytes = [&work[..], &[version]].concat();
        let bearer = if version == 3 { &mei } else { &boss };
        register_as(url, bearer, &bytes, &[]).expect(201);
    }
    let near = |bearer: &str, limit: usize| {
        let path = format!("/v1/search/code?pdq={}&limit={limit}", pdq(&desk));
        let found = send(url, bearer, "GET", &path, &Value::Null).expect(200);
        (found["matches"].as_array().unwrap().len(), found["more"].as_bool().unwrap())
    };
    assert_eq!(near(&boss, 3), (3, true));
    assert_eq!(near(&boss, 4), (4, false));
    // Of others nothing is told, not even that there are some.
    assert_eq!(near(&mei, 1), (1, false));
}

#[test]
fn the_page_of_a_work_offers_what_may_be_done_and_tells_what_was() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let mei = person(url, &boss, "mei", "creator", None).bearer;
    let auditor = person(url, &boss, "auditor", "auditor", None).bearer;
    let new = register_as(url, &mei, b"a poem", &[("claimant", "Zang")]).expect(201);
    let (cid, first) = (new["work"].as_str().unwrap(), index_of(&new));
    let shown = |bearer: &str, more: &[(&str, &str)]| {
        let headers = [&[("Authorization", bearer)], more].concat();
        page(url, &format!("/works/{cid}"), &headers)
    };
    let offered = shown(&mei, &[]);
    for words in
        ["Correct, withdraw or erase", "What stays for ever", "data-act=\"correction\"", "work.js"]
    {
        assert!(offered.contains(words), "{words}: {offered}");
    }
    assert!(shown(&boss, &[]).contains("data-act=\"erasure\""));
    let reading = shown(&auditor, &[]);
    assert!(!reading.contains("data-act=") && !reading.contains("work.js"), "{reading}");

    let second =
        index_of(&correct(url, &mei, first, &json!({"claimant": "Zhang"}), &[]).expect(201));
    let told = shown(&mei, &[]);
    assert!(
        told.contains(&format!("Corrected: what No. {second} says stands in its place.")),
        "{told}"
    );
    assert!(
        told.contains(&format!("Corrects No. {first}.")) && !told.contains("Contested"),
        "{told}"
    );
    let third = index_of(&withdraw(url, &mei, second, &[]).expect(201));
    let told = shown(&mei, &[("Accept-Language", "zh")]);
    assert!(
        told.contains(&format!("已由第 {third} 号撤回")) && told.contains("删除本条目的内容"),
        "{told}"
    );
    assert!(!told.contains("data-act=\"correction\""), "there is nothing to correct");
    erase(url, &mei, third).expect(200);
    assert!(!shown(&mei, &[]).contains("Zhang"));
}

//! What the service does with everything that is not as it should be: a problem with the right type, never a fault of its own.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::safekeeping::Disk;
use crate::service::{Answer, FORM, ask, form, get, register, sample, serving};
use crate::support::{Desk, Server, expect};

/// Holds an answer to be this problem, with everything that a problem has.
fn expect_problem(answer: &Answer, status: u16, kind: &str, what: &str) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, status, "{what}: {text}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.headers[name], value, "{what}");
    }
    assert!(answer.headers["content-security-policy"].starts_with("default-src 'none'"), "{what}");
    assert!(answer.headers.contains_key("x-request-id"), "{what}");
    let json = answer.json();
    let members: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(members.into_iter().eq(["detail", "status", "title", "type"]), "{what}: {text}");
    assert_eq!(json["type"], format!("tag:timemark.invalid,2026:problem:{kind}"), "{what}: {text}");
    assert_eq!(json["status"], status, "{what}");
    assert!(!text.contains("archive/"), "{what} tells where the archive lies: {text}");
}

const KNOWN_NOWHERE: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

#[test]
fn whatever_is_wrong_with_a_request_is_said_as_a_problem() {
    let (desk, server) = serving(&["--upload-max", "1"]);
    let url = &server.url;
    register(url, "a", b"work", &[]).expect(201);
    let receipt = get(url, "/v1/receipts/0").body;
    let long = "x".repeat(20_000);
    let upper = KNOWN_NOWHERE.to_uppercase();
    let traversal = "/v1/works/..%2f..%2fkeys%2flog.key";

    let checks: &[(&str, String, u16, &str)] = &[
        ("GET", "/nothing".into(), 404, "not-found"),
        ("GET", "/v1".into(), 404, "not-found"),
        ("GET", "/v1/works/".into(), 404, "not-found"),
        ("GET", "/v2/works".into(), 404, "not-found"),
        ("GET", format!("/v1/works/{KNOWN_NOWHERE}"), 404, "not-found"),
        ("GET", format!("/v1/works/{upper}"), 400, "bad-id"),
        ("GET", format!("/v1/works/{KNOWN_NOWHERE}a"), 400, "bad-id"),
        ("GET", format!("/v1/works/{long}").chars().take(9000).collect(), 400, "bad-id"),
        ("GET", traversal.into(), 400, "bad-id"),
        ("GET", "/v1/works/../../keys/log.key".into(), 404, "not-found"),
        ("GET", "/v1/works/%00".into(), 400, "bad-id"),
        ("GET", "/v1/works/%FF".into(), 400, "bad-id"),
        ("GET", "/v1/works?limit=0".into(), 400, "bad-request"),
        ("GET", "/v1/works?limit=201".into(), 400, "bad-request"),
        ("GET", "/v1/works?limit=-1".into(), 400, "bad-request"),
        ("GET", "/v1/works?limit=99999999999999999999".into(), 400, "bad-request"),
        ("GET", "/v1/works?limit=1&limit=2".into(), 400, "bad-request"),
        ("GET", "/v1/works?cursor=x".into(), 400, "bad-request"),
        ("GET", "/v1/works?cursor=%FF".into(), 400, "bad-request"),
        ("GET", "/v1/works?sort=title".into(), 400, "bad-request"),
        ("GET", "/v1/receipts/1".into(), 404, "not-found"),
        ("GET", "/v1/receipts/18446744073709551615".into(), 404, "not-found"),
        ("GET", "/v1/receipts/18446744073709551616".into(), 400, "bad-id"),
        ("GET", "/v1/receipts/00".into(), 400, "bad-id"),
        ("GET", "/v1/receipts/+0".into(), 400, "bad-id"),
        ("GET", "/v1/receipts/-1".into(), 400, "bad-id"),
        ("GET", "/v1/receipts/x".into(), 400, "bad-id"),
        ("GET", "/v1/receipts/1/tlog-proof".into(), 404, "not-found"),
        ("GET", "/v1/receipts/x/checkpoint".into(), 400, "bad-id"),
        ("GET", "/v1/receipts/0/key".into(), 404, "not-found"),
        ("GET", "/v1/search".into(), 400, "bad-request"),
        ("GET", format!("/v1/search?q={}", &long[..257]), 400, "bad-request"),
        ("GET", "/v1/search?q=a&limit=x".into(), 400, "bad-request"),
        ("GET", "/v1/search/code".into(), 400, "bad-request"),
        ("GET", "/v1/search/code?pdq=0f".into(), 400, "bad-request"),
        ("GET", format!("/v1/search/code?pdq={}", "F".repeat(64)), 400, "bad-request"),
        ("GET", format!("/v1/search/code?pdq={}&radius=65", "0".repeat(64)), 400, "bad-request"),
        ("GET", "/v1/log/tile/0/999".into(), 404, "not-found"),
        ("GET", "/v1/log/tile/..%2f..%2fkeys%2flog.key".into(), 404, "not-found"),
        ("GET", "/tile/entries/../../../keys/log.key".into(), 404, "not-found"),
        ("GET", "/v1/openapi.json/x".into(), 404, "not-found"),
        ("GET", "/v1/verify".into(), 405, "method-not-allowed"),
        ("PUT", "/v1/works".into(), 405, "method-not-allowed"),
        ("DELETE", format!("/v1/works/{KNOWN_NOWHERE}"), 405, "method-not-allowed"),
        ("POST", "/v1/receipts/0".into(), 405, "method-not-allowed"),
        ("OPTIONS", "/v1/works".into(), 405, "method-not-allowed"),
        ("PATCH", "/v1/search".into(), 405, "method-not-allowed"),
        ("POST", "/metrics".into(), 405, "method-not-allowed"),
        ("BREW", "/healthz".into(), 405, "method-not-allowed"),
        ("POST", "/v1/works".into(), 415, "unsupported-media-type"),
        ("POST", "/v1/works/digests".into(), 415, "unsupported-media-type"),
        ("POST", "/v1/verify".into(), 415, "unsupported-media-type"),
        ("POST", "/v1/search".into(), 415, "unsupported-media-type"),
    ];
    for (method, path, status, kind) in checks {
        let answer = ask(url, method, path, &[], b"");
        expect_problem(&answer, *status, kind, &format!("{method} {path}"));
        assert_eq!(answer.headers.contains_key("allow"), *status == 405, "{method} {path}");
    }
    for accept in ["image/png", "text/html", "text/plain;q=0", "application/timestamp-reply"] {
        let answer = ask(url, "GET", "/v1/receipts/0", &[("Accept", accept)], b"");
        expect_problem(&answer, 406, "not-acceptable", accept);
    }

    let file = |bytes: &[u8]| form(&[("file", "a.png", bytes)], &[]);
    let bomb =
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\xfe\x3a\x2f\x1b\0\0\0\0";
    let picture = sample("works/harbour-at-dusk.jpg");
    let half = &picture[..picture.len() / 2];
    let titled = |title: &str| form(&[("file", "a", b"a")], &[("title", title)]);
    let mut not_utf8 = titled("?!?");
    let at = not_utf8.windows(3).position(|w| w == b"?!?").unwrap();
    not_utf8[at] = 0xff;
    let two = form(&[("file", "a", b"a"), ("file", "b", b"b")], &[]);
    let big = vec![b'x'; (1 << 20) + 1];
    let picture_part = |bytes: &[u8]| form(&[("picture", "a.png", bytes)], &[]);
    let judged = |parts: &[(&str, &str, &[u8])]| form(parts, &[]);
    let forms: &[(&str, Vec<u8>, u16, &str)] = &[
        ("/v1/works", vec![], 400, "bad-request"),
        ("/v1/works", b"--xyz--\r\n".to_vec(), 400, "bad-request"),
        ("/v1/works", b"no form".to_vec(), 400, "bad-request"),
        ("/v1/works", file(b"x")[..60].to_vec(), 400, "bad-request"),
        ("/v1/works", form(&[], &[("title", "a")]), 400, "bad-request"),
        ("/v1/works", form(&[], &[("file", "a")]), 201, ""),
        ("/v1/works", form(&[("file", "a", b"a"), ("other", "b", b"b")], &[]), 400, "bad-request"),
        ("/v1/works", two, 400, "bad-request"),
        ("/v1/works", not_utf8, 400, "bad-request"),
        ("/v1/works", form(&[("file", &long[..256], b"a")], &[]), 400, "bad-request"),
        ("/v1/works", form(&[("file", "a", b"a")], &[("hash_only", "1")]), 400, "bad-request"),
        ("/v1/works", titled(&long), 422, "text-too-long"),
        // Long only as a claim spells it.
        ("/v1/works", titled(&"\u{7}".repeat(10_000)), 422, "text-too-long"),
        ("/v1/works", file(&big), 413, "too-large"),
        ("/v1/works", file(bomb), 422, "unreadable-picture"),
        ("/v1/works", file(half), 422, "unreadable-picture"),
        ("/v1/works", file(&receipt), 422, "not-a-work"),
        ("/v1/search", form(&[("file", "a", b"a")], &[]), 400, "bad-request"),
        ("/v1/search", picture_part(bomb), 422, "unreadable-picture"),
        ("/v1/search", picture_part(half), 422, "unreadable-picture"),
        ("/v1/search", picture_part(&big), 413, "too-large"),
        ("/v1/verify", judged(&[("work", "a", b"a")]), 400, "bad-request"),
        ("/v1/verify", judged(&[("receipt", "a", b"a")]), 400, "bad-request"),
        ("/v1/verify", judged(&[("work", "a", &big), ("receipt", "a", b"a")]), 413, "too-large"),
    ];
    for (number, (path, body, status, kind)) in forms.iter().enumerate() {
        let what = format!("form {number} to {path}");
        let answer = ask(url, "POST", path, &[FORM], body);
        match status {
            201 => drop(answer.expect(201)),
            status => expect_problem(&answer, *status, kind, &what),
        }
    }
    // What cannot be read as receipt or policy is the verdict.
    for (receipt, policy, verdict) in
        [(&b"no receipt"[..], None, "refused"), (&receipt, Some(&b"no policy"[..]), "undecided")]
    {
        let mut parts = vec![("work", "a", &b"work"[..]), ("receipt", "r", receipt)];
        parts.extend(policy.map(|policy| ("policy", "p", policy)));
        let told = ask(url, "POST", "/v1/verify", &[FORM], &form(&parts, &[])).expect(200);
        assert_eq!(told["verdict"], verdict);
    }
    for content_type in ["application/json", "multipart/mixed; boundary=xyz", "text/plain"] {
        for path in ["/v1/works", "/v1/verify", "/v1/search"] {
            let answer = ask(url, "POST", path, &[("Content-Type", content_type)], b"{}");
            expect_problem(&answer, 415, "unsupported-media-type", content_type);
        }
    }
    let many = format!("{{\"works\": [{}]}}", vec!["{}"; 1001].join(","));
    let too_long = format!("{{\"works\": [\"{}\"]}}", "x".repeat(3 << 20));
    for (json, status, kind) in [
        ("", 400, "bad-request"),
        ("{", 400, "bad-request"),
        ("[]", 400, "bad-request"),
        ("{\"works\": []}", 400, "bad-request"),
        ("{\"works\": [{\"sha256\": 1}]}", 400, "bad-request"),
        ("{\"works\": [], \"more\": 1}", 400, "bad-request"),
        (&many, 400, "bad-request"),
        (&too_long, 413, "too-large"),
    ] {
        let headers = [("Content-Type", "application/json")];
        let answer = ask(url, "POST", "/v1/works/digests", &headers, json.as_bytes());
        expect_problem(&answer, status, kind, &json[..json.len().min(40)]);
    }
    let no_boundary = [("Content-Type", "multipart/form-data")];
    expect_problem(&ask(url, "POST", "/v1/works", &no_boundary, b"x"), 400, "bad-request", "");

    assert_eq!(get(url, "/v1/works").expect(200)["works"].as_array().unwrap().len(), 2);
    assert_eq!(left_behind(&desk), 0);
    assert_eq!(get(url, "/readyz").status, 200, "none of this was its own fault");
}

/// A search on a full disk once stopped the index, and the registry with it: what was acknowledged was not found, and the
/// same bytes were registered again.
#[test]
fn a_search_on_a_full_disk_costs_no_registration() {
    let desk = Desk::new();
    let Some(_disk) = Disk::of(desk.path("disk"), "64m") else { return };
    expect(0, &mut desk.timemark_on("disk/archive", ["init"]));
    let mut serve = desk.timemark_on("disk/archive", ["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(&mut serve);
    let url = &server.url;
    register(url, "first.txt", b"first", &[("title", "one")]).expect(201);
    let filler = desk.path("disk/filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    get(url, "/v1/search?q=one").expect(200);
    expect_problem(
        &register(url, "a.txt", &vec![1; 1 << 20], &[]),
        503,
        "unavailable",
        "a full disk",
    );
    drop(file);
    std::fs::remove_file(filler).unwrap();
    // More than the log hands out at a time.
    let works: Vec<String> = (0..300).map(|number| format!("work {number}")).collect();
    let mut last = serde_json::Value::Null;
    for work in &works {
        last = register(url, "work.txt", work.as_bytes(), &[]).expect(201);
    }
    get(url, &format!("/v1/works/{}", last["work"].as_str().unwrap())).expect(200);
    let again = register(url, "work.txt", works[299].as_bytes(), &[]).expect(200);
    assert_eq!(again["status"], "duplicate");
    assert_eq!(get(url, "/readyz").status, 503, "words are not found before the next start");
    drop(server);
    let server = Server::start(&mut serve);
    assert_eq!(get(&server.url, "/readyz").status, 200);
    get(&server.url, "/v1/search?q=one").expect(200);
}

#[test]
fn pages_of_others_and_other_names_are_refused() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let port = url.rsplit(':').next().unwrap();
    let body = form(&[("file", "a", b"a")], &[]);
    for (method, path) in [
        ("POST", "/v1/works"),
        ("POST", "/v1/verify"),
        ("POST", "/v1/search"),
        ("GET", "/v1/works"),
        ("GET", "/v1/search?q=a"),
        ("GET", "/v1/receipts/0"),
        ("GET", "/v1/receipts/0/tlog-proof"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/readyz"),
    ] {
        let body = if method == "POST" { &body[..] } else { b"" };
        for origin in ["https://evil.example", "null", "http://localhost:1"] {
            let answer = ask(url, method, path, &[FORM, ("Origin", origin)], body);
            expect_problem(&answer, 403, "cross-site", path);
        }
        let answer = ask(url, method, path, &[FORM, ("Sec-Fetch-Site", "cross-site")], body);
        expect_problem(&answer, 403, "cross-site", path);
        for host in ["evil.example", &format!("127.0.0.1.evil.example:{port}"), "0.0.0.0"] {
            let answer = ask(url, method, path, &[FORM, ("Host", host)], body);
            expect_problem(&answer, 421, "wrong-host", path);
        }
    }
    assert_eq!(get(url, "/v1/works").expect(200)["works"], serde_json::json!([]));
    let own = [FORM, ("Origin", &**url), ("Sec-Fetch-Site", "same-origin")];
    ask(url, "POST", "/v1/works", &own, &body).expect(201);
    let named = format!("localhost:{port}");
    assert_eq!(ask(url, "GET", "/v1/works", &[("Host", &named)], b"").status, 200);
}

#[test]
fn a_client_that_goes_away_leaves_nothing_behind() {
    let (desk, server) = serving(&[]);
    let host = server.url.strip_prefix("http://").unwrap();
    let begin = format!(
        "POST /v1/works HTTP/1.1\r\nHost: {host}\r\n{}: {}\r\nContent-Length: 8000000\r\n\r\n--xyz\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
        FORM.0, FORM.1
    );
    let mut streams: Vec<_> = (0..8).map(|_| TcpStream::connect(host).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(begin.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; 3 << 20]).unwrap();
    }
    wait_until(|| left_behind(&desk) == 8);
    drop(streams);
    wait_until(|| left_behind(&desk) == 0);
    assert_eq!(get(&server.url, "/v1/works").expect(200)["works"], serde_json::json!([]));

    // What a crash left is gone after the next start.
    let stream = TcpStream::connect(host).and_then(|mut stream| {
        stream.write_all(&[begin.as_bytes(), &vec![b'x'; 3 << 20]].concat())?;
        Ok(stream)
    });
    wait_until(|| left_behind(&desk) == 1);
    drop(server); // killed
    drop(stream);
    assert_eq!(left_behind(&desk), 1);
    let mut again = desk.timemark(["serve", "--listen", "127.0.0.1:0"]);
    let _server = crate::support::Server::start(&mut again);
    assert_eq!(left_behind(&desk), 0);
}

#[test]
fn a_client_that_stops_sending_is_told_so() {
    let (desk, server) = serving(&[]);
    let host = server.url.strip_prefix("http://").unwrap();
    let begin = format!(
        "POST /v1/works HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{}: {}\r\nContent-Length: 800\r\n\r\n\
         --xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
        FORM.0, FORM.1
    );
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(begin.as_bytes()).unwrap();
    expect_problem(&Answer::read(&mut stream), 408, "timeout", "a form without an end");
    assert_eq!(left_behind(&desk), 0);
}

/// Files on their way in.
fn left_behind(desk: &crate::support::Desk) -> usize {
    desk.path("archive/uploads").read_dir().unwrap().count()
}

fn wait_until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

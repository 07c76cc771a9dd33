//! The service, as its clients use it: registering, receipts, verifying, searching, watching.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use timemark_verify::WorkDigests;

use crate::support::{Desk, Server, expect, expect_json, repository, run, timemark};

/// An answer of the service.
pub struct Answer {
    pub status: u16,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads an answer whose connection ends with it.
    pub fn read(stream: &mut impl Read) -> Answer {
        let mut bytes = Vec::new();
        // A server that has said all may be rid of what it was still being sent.
        let read = stream.read_to_end(&mut bytes);
        Answer::of(&bytes).unwrap_or_else(|| panic!("no answer: {read:?} {bytes:?}"))
    }

    /// Reads an answer whose head came whole.
    pub fn of(bytes: &[u8]) -> Option<Answer> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_lowercase(), value.to_owned())
        });
        Some(Answer { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() })
    }

    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {text}", self.status))
    }

    /// The JSON of an answer with this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

/// Sends a request with these headers, and `Host` unless they have one, on a connection of its own.
pub fn ask(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    // A server may answer before it was sent everything.
    let _ = stream.write_all(&request(host, method, path, headers, body));
    Answer::read(&mut stream)
}

/// The bytes of a request after which the connection ends.
pub fn request(
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {host}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

pub fn get(url: &str, path: &str) -> Answer {
    ask(url, "GET", path, &[], b"")
}

pub const FORM: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=xyz");

/// A form of files, by part and name, and texts.
pub fn form(files: &[(&str, &str, &[u8])], texts: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (part, name, bytes) in files {
        let head = format!("form-data; name=\"{part}\"; filename=\"{name}\"");
        body.extend(format!("--xyz\r\nContent-Disposition: {head}\r\n\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend(b"\r\n");
    }
    for (part, text) in texts {
        let head = format!("form-data; name=\"{part}\"");
        body.extend(format!("--xyz\r\nContent-Disposition: {head}\r\n\r\n{text}\r\n").as_bytes());
    }
    body.extend(b"--xyz--\r\n");
    body
}

pub fn sample(below: &str) -> Vec<u8> {
    std::fs::read(repository("samples").join(below)).unwrap()
}

/// A desk with an archive, and the service over it.
pub fn serving(more: &[&str]) -> (Desk, Server) {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "service.example"]));
    let server = serve(&desk, more);
    (desk, server)
}

pub fn serve(desk: &Desk, more: &[&str]) -> Server {
    Server::start(desk.timemark(["serve", "--listen", "127.0.0.1:0"]).args(more))
}

pub fn register(url: &str, name: &str, bytes: &[u8], texts: &[(&str, &str)]) -> Answer {
    ask(url, "POST", "/v1/works", &[FORM], &form(&[("file", name, bytes)], texts))
}

pub fn digests_of(bytes: &[u8], name: &str) -> Value {
    let digests = WorkDigests::of(bytes);
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    json!({
        "sha256": hex(&digests.sha256), "sha512": hex(&digests.sha512), "sm3": hex(&digests.sm3),
        "length": digests.length, "media_type": "text/plain", "file": name, "claimant": "Li Na",
    })
}

fn register_digests(url: &str, works: &[Value]) -> Vec<Value> {
    let body = json!({ "works": works }).to_string();
    let json = [("Content-Type", "application/json")];
    let told = ask(url, "POST", "/v1/works/digests", &json, body.as_bytes()).expect(200);
    told["results"].as_array().unwrap().clone()
}

#[test]
fn works_are_registered_by_their_digests_alone() {
    let (desk, server) = serving(&[]);
    let url = &server.url;
    let good = digests_of(b"a secret", "secret.txt");
    let mut wrong = digests_of(b"another", "b.txt");
    wrong["sha512"] = good["sha512"].clone();
    let mut no_hex = good.clone();
    no_hex["sm3"] = "x".into();
    let long = vec![b'x'; (256 << 10) + 1];
    let mut named = digests_of(&long, "long.txt");
    let unnamed = named.clone();
    named["dag_cid"] = register(url, "long.txt", &long, &[]).expect(201)["dag_cid"].clone();
    let mut path = good.clone();
    path["file"] = "../a".into();
    let mut no_type = digests_of(b"a third", "c.txt");
    no_type["media_type"] = "text".into();

    let results =
        register_digests(url, &[good.clone(), wrong, no_hex, unnamed, named, path, no_type]);
    let status = |at: usize| results[at]["registered"]["status"].as_str();
    assert_eq!([0, 1, 4].map(status), [Some("registered"); 3], "{results:?}");
    for at in [2, 3, 5, 6] {
        assert_eq!(results[at]["problem"]["status"], 400, "{results:?}");
    }
    let again = &register_digests(url, &[good])[0]["registered"];
    assert_eq!(
        (&again["status"], &again["index"]),
        (&json!("duplicate"), &results[0]["registered"]["index"])
    );
    assert_eq!(again["kept"], false);

    // The work in the hands of its owner and the receipt belong together.
    let receipt = get(url, again["receipt"].as_str().unwrap()).body;
    let receipt = desk.file("secret.txt.timemark", receipt);
    let work = desk.file("secret.txt", "a secret");
    expect(0, desk.timemark(["verify"]).arg(work).arg("--receipt").arg(receipt));
    // The bytes themselves are the same registration, unless the digests were of no work that there is.
    let by = [("claimant", "Li Na")];
    assert_eq!(register(url, "secret.txt", b"a secret", &by).expect(200)["index"], again["index"]);
    let whole = register(url, "b.txt", b"another", &by).expect(201);
    assert_ne!(whole["index"], results[1]["registered"]["index"]);

    assert!(server.stop().success());
    let audit = expect(0, &mut desk.timemark(["log", "audit"]));
    assert!(audit.contains("0 findings"), "{audit}");
    expect(0, &mut desk.timemark(["store", "check"]));
}

#[test]
fn works_are_found_by_the_code_of_a_picture() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let work = sample("works/harbour-at-dusk.jpg");
    let registered = register(url, "harbour.jpg", &work, &[]).expect(201);
    let receipt = String::from_utf8(get(url, "/v1/receipts/0").body).unwrap();
    let code = receipt.lines().find_map(|line| line.strip_prefix("fingerprint pdq ")).unwrap();
    let code = code.split(' ').next().unwrap();
    // Two bits of the first digit are others.
    let first = u8::from_str_radix(&code[..1], 16).unwrap() ^ 3;
    let near = format!("{first:x}{}", &code[1..]);
    let found = |query: &str| get(url, &format!("/v1/search/code?pdq={query}")).expect(200);
    let match_ = &found(&near)["matches"][0];
    assert_eq!((&match_["work"], &match_["distance"]), (&registered["work"], &json!(2)));
    assert_eq!(found(&format!("{near}&radius=1"))["matches"], json!([]));
}

/// Retries of one registration once held every permit to decode while the first of them waited for the witnesses.
#[test]
fn who_waits_for_a_witness_holds_nobody_up() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "service.example"]));
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut witness = timemark();
    witness.args(["witness", "serve", "--listen", "127.0.0.1:0", "--name", "silent.example"]);
    let vkey = Server::start(witness.arg("--dir").arg(desk.path("witness"))).keys.remove(0);
    let witnesses = format!("witness W {vkey} {url}\nquorum W\n");
    let witnesses = desk.file("witnesses", witnesses);
    expect(0, desk.timemark(["log", "policy", "--set"]).arg(witnesses));
    let server = serve(&desk, &[]);
    let url = &server.url;
    let work = sample("works/harbour-at-dusk.jpg");
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let status = register(url, "harbour.jpg", &work, &[]).status;
                answered.fetch_add(1, Ordering::SeqCst);
                assert!([200, 201].contains(&status), "{status}");
            });
        }
        // The witness is being asked: the first of them waits.
        let _asked = silent.accept().unwrap();
        let picture = form(&[("picture", "a.jpg", &work)], &[]);
        ask(url, "POST", "/v1/search", &[FORM], &picture).expect(200);
        assert_eq!(answered.load(Ordering::SeqCst), 0, "the search waited for a registration");
    });
}

#[test]
fn a_creator_registers_and_the_receipt_verifies_everywhere() {
    let (desk, server) = serving(&[]);
    let url = &server.url;
    let work = sample("works/harbour-at-dusk.jpg");
    let said = [("title", "Harbour at dusk"), ("claimant", "Zhang Wei"), ("created", "2026")];
    let answer = register(url, "C:\\pictures\\harbour.jpg", &work, &said);
    let registered = answer.expect(201);
    assert_eq!(registered["status"], "registered");
    assert_eq!(registered["file"], "harbour.jpg", "folders of the client are nobody's business");
    let cid = registered["cid"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/v1/works/{cid}"));

    // The same bytes by the same claimant are one registration.
    let again = register(url, "b.jpg", &work, &[("claimant", "Zhang Wei"), ("rights", "none")]);
    let again = again.expect(200);
    assert_eq!((&again["status"], &again["index"]), (&"duplicate".into(), &registered["index"]));
    assert_eq!(again["not_taken"], serde_json::json!(["rights"]));
    let other = register(url, "c.jpg", &work, &[("claimant", "Li Na")]).expect(201);
    assert_eq!(other["similar"][0]["work"], cid, "it says that somebody was earlier");

    // The receipt, as a file, on the command line and over HTTP.
    let receipt = get(url, registered["receipt"].as_str().unwrap());
    assert_eq!(receipt.headers["content-type"], "text/plain; charset=utf-8");
    let file = desk.file("harbour.jpg", &work);
    desk.file("harbour.jpg.timemark", &receipt.body);
    let arguments = ["verify", "harbour.jpg", "--receipt", "harbour.jpg.timemark"];
    let mut told = expect_json(0, &mut desk.timemark(arguments)).remove(0);
    assert_eq!(
        (&told["verdict"], &told["claim"]["title"]),
        (&"verified".into(), &said[0].1.into())
    );
    let policy = expect(0, &mut desk.timemark(["log", "policy"]));
    let parts = [("receipt", "r", &receipt.body[..]), ("work", "w", &work)];
    let over_http = ask(url, "POST", "/v1/verify", &[FORM], &form(&parts, &[]));
    let with_policy = [parts[0], parts[1], ("policy", "p", policy.as_bytes())];
    let with_policy = ask(url, "POST", "/v1/verify", &[FORM], &form(&with_policy, &[]));
    for (answer, trust) in
        [(over_http, "what this archive trusts"), (with_policy, "the policy that was sent")]
    {
        told["trust"] = trust.into();
        let mut answer = answer.expect(200);
        let archive = answer.as_object_mut().unwrap().remove("archive").unwrap();
        assert_eq!((&archive["index"], &archive["erased"]), (&json!(0), &json!(false)));
        assert_eq!(answer, told, "the same words as on the command line");
    }
    let json = ask(url, "GET", "/v1/receipts/0", &[("Accept", "application/json")], b"");
    assert_eq!(json.expect(200)["verdict"], "verified");
    let changed = [("receipt", "r", &receipt.body[..]), ("work", "w", b"another work")];
    let refused = ask(url, "POST", "/v1/verify", &[FORM], &form(&changed, &[])).expect(200);
    assert_eq!((&refused["verdict"], &refused["claim"]), (&"refused".into(), &Value::Null));

    // The archive is this process's; when it ends, it is anybody's again, and holds what was acknowledged.
    let busy = run(desk.timemark(["register"]).arg(&file));
    assert_eq!(busy.status.code(), Some(2));
    assert!(server.stop().success());
    let claimant = ["register", "harbour.jpg", "--claimant", "Zhang Wei"];
    let line = expect_json(0, &mut desk.timemark(claimant)).remove(0);
    assert_eq!((&line["status"], &line["index"]), (&"duplicate".into(), &registered["index"]));
    let names = |object: &Value| -> BTreeSet<String> {
        let names = object.as_object().unwrap().keys().cloned();
        names.filter(|name| name != "error").collect()
    };
    assert_eq!(names(&line), names(&registered), "both speak the same words");
}

#[test]
fn works_are_listed_newest_first_and_looked_up() {
    let (desk, server) = serving(&[]);
    let url = &server.url;
    for number in 0..7 {
        let title = format!("Work {number}");
        let texts = [("title", &*title), ("collection", "spring"), ("hash_only", "true")];
        let registered = register(url, "a.txt", title.as_bytes(), &texts).expect(201);
        assert_eq!(registered["kept"], false);
    }
    let (mut titles, mut path, mut pages) = (Vec::new(), "/v1/works?limit=3".to_owned(), 0);
    loop {
        let page = get(url, &path).expect(200);
        let works = page["works"].as_array().unwrap();
        titles.extend(works.iter().map(|work| work["title"].as_str().unwrap().to_owned()));
        pages += 1;
        if pages == 1 {
            register(url, "late.txt", b"late", &[]).expect(201);
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/works?limit=3&cursor={next}");
    }
    let expected: Vec<String> = (0..7).rev().map(|number| format!("Work {number}")).collect();
    assert_eq!((titles, pages), (expected, 3), "what came meanwhile changes no later page");

    register(url, "b.txt", b"other", &[("collection", "autumn")]).expect(201);
    let collections = get(url, "/v1/collections?limit=1").expect(200);
    assert_eq!(collections["collections"][0]["name"], "autumn");
    let next = collections["next"].as_str().unwrap();
    let collections = get(url, &format!("/v1/collections?cursor={next}")).expect(200);
    assert_eq!(collections["collections"], serde_json::json!([{ "name": "spring", "works": 7 }]));
    let page = get(url, "/v1/works?collection=spring&limit=5").expect(200);
    assert_eq!(page["works"][0]["title"], "Work 6");
    let next = page["next"].as_str().unwrap();
    let page = get(url, &format!("/v1/works?collection=spring&limit=5&cursor={next}")).expect(200);
    assert_eq!((page["works"].as_array().unwrap().len(), &page["next"]), (2, &Value::Null));
    let none = get(url, "/v1/works?collection=summer").expect(200);
    assert_eq!(none, serde_json::json!({ "works": [] }));

    let found = get(url, "/v1/search?q=work%203").expect(200);
    let works = found["works"].as_array().unwrap();
    assert!(works.len() == 1 && works[0]["title"] == "Work 3", "{found}");
    let path = format!("/v1/works/{}", works[0]["work"].as_str().unwrap());
    let answer = get(url, &path);
    let work = answer.expect(200);
    assert_eq!(work["registrations"], found["works"]);
    let tag = &answer.headers["etag"];
    let again = ask(url, "GET", &path, &[("If-None-Match", tag)], b"");
    assert_eq!((again.status, again.body.len(), &again.headers["etag"]), (304, 0, tag));
    register(url, "a.txt", b"Work 3", &[("claimant", "Li Na")]).expect(201);
    let changed = ask(url, "GET", &path, &[("If-None-Match", tag)], b"").expect(200);
    assert_eq!(changed["registrations"].as_array().unwrap().len(), 2);

    // What is erased is gone, and its entry stays.
    let index = works[0]["index"].to_string();
    assert!(server.stop().success());
    expect(0, &mut desk.timemark(["log", "erase-claim", &index]));
    let server = serve(&desk, &[]);
    let work = get(&server.url, &path).expect(200);
    assert_eq!(work["registrations"][0]["erased"], true);
    assert!(!work.to_string().contains("Work 3"), "{work}");
    let gone = get(&server.url, &format!("/v1/receipts/{index}")).expect(410);
    assert_eq!(gone["type"], "tag:timemark.invalid,2026:problem:claim-erased");
}

#[test]
fn a_copy_is_found_by_the_picture() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let truth = String::from_utf8(sample("suspects/truth.csv")).unwrap();
    let row = truth.lines().find(|row| row.ends_with("harbour-at-dusk.jpg")).unwrap();
    let suspect = sample(&format!("suspects/{}", row.split(',').next().unwrap()));
    let search = |bytes: &[u8]| {
        ask(url, "POST", "/v1/search", &[FORM], &form(&[("picture", "s.jpg", bytes)], &[]))
    };
    assert_eq!(search(&suspect).expect(200)["status"], "clear");
    let work = sample("works/harbour-at-dusk.jpg");
    let registered = register(url, "harbour.jpg", &work, &[]).expect(201);
    let found = search(&suspect).expect(200);
    assert_eq!(found["status"], "match", "{found}");
    assert_eq!(found["matches"][0]["work"], registered["cid"]);
    assert!(found["matches"][0]["strength"].is_string(), "{found}");
    let exact = search(&work).expect(200);
    assert_eq!(exact["matches"][0]["method"], "exact");
    assert_eq!(search(b"a text").expect(200)["status"], "clear");
}

#[test]
fn a_key_stands_for_one_request() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let send = |key: &str, bytes: &[u8], title: &str| {
        let body = form(&[("file", "a", bytes)], &[("title", title)]);
        ask(url, "POST", "/v1/works", &[FORM, ("Idempotency-Key", key)], &body)
    };
    let first = send("k1", b"work", "Title").expect(201);
    assert_eq!(send("k1", b"work", "Title").expect(200)["receipt"], first["receipt"]);
    for (bytes, title) in [(&b"other"[..], "Title"), (b"work", "Other")] {
        let refused = send("k1", bytes, title).expect(422);
        assert_eq!(refused["type"], "tag:timemark.invalid,2026:problem:idempotency-key-reused");
    }
    send("k2", b"other", "Title").expect(201);
    send("", b"work", "Title").expect(400);
}

#[test]
fn a_time_stamp_is_given_once_an_authority_has_spoken() {
    let desk = Desk::new();
    let mut serve_tsa = desk.timemark_on("authority", ["tsa", "serve", "--listen", "127.0.0.1:0"]);
    let authority = Server::start(&mut serve_tsa);
    let pair = format!("own={}/tsa", authority.url);
    let line =
        expect(0, &mut desk.timemark_on("authority", ["tsa", "cert", "--policy-line", &pair]));
    let policy = desk.file("authorities", format!("quorum none\n{line}"));
    expect(0, desk.timemark(["init", "--origin", "stamped.example", "--policy"]).arg(policy));
    let server = serve(&desk, &[]);
    register(&server.url, "a", b"work", &[]).expect(201);
    let token = |url: &str| {
        ask(url, "GET", "/v1/receipts/0", &[("Accept", "application/timestamp-reply")], b"")
    };
    let early = token(&server.url);
    assert_eq!(early.expect(425)["type"], "tag:timemark.invalid,2026:problem:proof-not-ready");
    assert!(early.headers.contains_key("retry-after"));
    // Authorities are asked now and then, and at the end.
    assert!(server.stop().success());
    let server = serve(&desk, &[]);
    let url = &server.url;
    let stamped = token(url);
    assert_eq!(stamped.headers["content-type"], "application/timestamp-reply");
    let json = ask(url, "GET", "/v1/receipts/0", &[("Accept", "application/json")], b"");
    assert_eq!(json.expect(200)["timestamps"][0]["authority"], "own");
    let checkpoint = get(url, "/v1/receipts/0/checkpoint").body;
    assert!(checkpoint.starts_with(b"stamped.example\n1\n"));

    if run(Command::new("openssl").arg("version")).status.success() {
        desk.file("token", &stamped.body);
        desk.file("checkpoint", checkpoint);
        let chain = expect(0, &mut desk.timemark_on("authority", ["tsa", "cert"]));
        let ca = desk.file("CA.pem", chain);
        let mut openssl = Command::new("openssl");
        openssl.args(["ts", "-verify", "-data", "checkpoint", "-in", "token", "-CAfile"]).arg(&ca);
        expect(0, openssl.arg("-untrusted").arg(&ca).current_dir(desk.path("")));
    }
}

#[test]
fn the_log_is_served_and_published_only_where_that_is_asked_for() {
    let (desk, server) = serving(&[]);
    let url = &server.url;
    register(url, "a", b"work", &[]).expect(201);
    let published = expect(0, &mut desk.timemark(["log", "tiles-dir"]));
    for path in ["/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1"] {
        let file = std::fs::read(format!("{}{path}", published.trim_end())).unwrap();
        for prefix in ["", "/v1/log"] {
            let answer = get(url, &format!("{prefix}{path}"));
            assert_eq!((answer.status, &answer.body), (200, &file), "{prefix}{path}");
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
            let kept = answer.headers["cache-control"].contains("immutable");
            assert_eq!(kept, path != "/checkpoint");
        }
    }
    // From the log of somebody who publishes nothing a stranger's page would read what lies here.
    for path in ["/v1/log/checkpoint", "/tile/entries/000.p/1"] {
        let other = [("Origin", "https://other.example")];
        assert_eq!(ask(url, "GET", path, &other, b"").status, 403);
        assert_eq!(ask(url, "GET", path, &[("Host", "log.example")], b"").status, 421);
    }
    let proof = get(url, "/v1/receipts/0/tlog-proof").body;
    assert!(proof.starts_with(b"c2sp.org/tlog-proof@v1\n"));
    assert_eq!(ask(url, "POST", "/tsa", &[], b"").status, 404, "this archive is no authority");

    // Without the archive's lock nothing but this is served.
    let mut public = desk.timemark(["serve", "--public-log", "--listen", "127.0.0.1:0"]);
    let public = Server::start(&mut public);
    assert_eq!(get(&public.url, "/checkpoint").body, get(url, "/checkpoint").body);
    // Pages of others verify receipts against it.
    let other = [("Origin", "https://other.example"), ("Host", "log.example")];
    let answer = ask(&public.url, "GET", "/checkpoint", &other, b"");
    assert_eq!((answer.status, &answer.headers["access-control-allow-origin"][..]), (200, "*"));
    assert_eq!(get(&public.url, "/v1/works").status, 404);
}

#[test]
fn an_operator_sees_how_it_is() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    assert_eq!(get(url, "/healthz").body, b"ok\n");
    assert_eq!(get(url, "/readyz").body, b"ready\n");
    register(url, "a", b"work", &[]).expect(201);
    register(url, "a", b"work", &[]).expect(200);
    get(url, "/v1/works/no-id");
    let figures = String::from_utf8(get(url, "/metrics").body).unwrap();
    for line in [
        "timemark_registered_total 1",
        "timemark_duplicates_total 1",
        "timemark_log_entries 1",
        "timemark_http_requests_total{method=\"POST\",route=\"/v1/works\",status=\"201\"} 1",
        "timemark_http_requests_total{method=\"GET\",route=\"/v1/works/{cid}\",status=\"400\"} 1",
    ] {
        assert!(figures.lines().any(|l| l == line), "{line}\n{figures}");
    }
    let own = ask(url, "GET", "/healthz", &[("x-request-id", "my-id.1")], b"");
    assert_eq!(own.headers["x-request-id"], "my-id.1");
    let odd = ask(url, "GET", "/healthz", &[("x-request-id", "a \"b\"")], b"");
    assert_eq!(odd.headers["x-request-id"].len(), 36);
}

#[test]
fn the_log_of_requests_tells_of_routes_and_not_of_what_clients_say() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let told = std::fs::File::create(desk.path("told")).unwrap();
    let mut command = desk.timemark(["serve", "--listen", "127.0.0.1:0", "--log"]);
    let server = Server::start_telling(&mut command, told);
    let body = form(&[("file", "secret-name", b"work")], &[("title", "secret title")]);
    let answer = ask(&server.url, "POST", "/v1/works", &[FORM, ("x-request-id", "id-1")], &body);
    let cid = answer.expect(201)["cid"].as_str().unwrap().to_owned();
    get(&server.url, &format!("/v1/works/{cid}"));
    get(&server.url, "/v1/search?q=secret");
    assert!(server.stop().success());
    let told = std::fs::read_to_string(desk.path("told")).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let routes: Vec<_> = lines.iter().map(|line| line["route"].as_str().unwrap()).collect();
    assert_eq!(routes, ["/v1/works", "/v1/works/{cid}", "/v1/search"]);
    assert_eq!((&lines[0]["status"], &lines[0]["request_id"]), (&201.into(), &"id-1".into()));
    assert!(!told.contains("secret") && !told.contains(&cid), "{told}");
}

#[test]
fn the_document_names_every_route_and_every_route_answers() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let document = get(url, "/v1/openapi.json").expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut ids = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} stands for two operations");
            assert!(operation["summary"].is_string(), "{method} {path} says nothing of itself");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let words = &response["description"];
                assert!(words.is_string(), "{method} {path} {status} says nothing of itself");
            }
            let method = method.to_uppercase();
            let real = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            let real = real.collect::<Vec<_>>().join("/");
            let answer = ask(url, &method, &real, &[], b"");
            let described = &operation["responses"][answer.status.to_string()];
            assert!(described.is_object(), "{method} {path}: {} is not described", answer.status);
            // A route that is not there is not found as such.
            let problem = (answer.status == 404).then(|| answer.json()["detail"].to_string());
            assert!(answer.status != 405 && (path.contains("tile") || problem.is_none()));
            asked.insert(format!("{method} {path}"));
        }
    }
    assert!(asked.len() >= 64, "{asked:?}");
    assert_references_hold(&document, &document);
    // No route comes into the service but by `routes!`, which takes it together with what describes it. But for pages, of
    // which programs need not know: they come in at one place, have no address below /v1, and docs/pages.md lists them.
    let mut files = Vec::new();
    for folder in ["api/src", "api/src/access", "api/src/pages"] {
        let entries = std::fs::read_dir(repository(folder)).unwrap();
        files.extend(entries.map(|file| file.unwrap().path()).filter(|path| path.is_file()));
    }
    let pages = repository("api/src/pages/mod.rs");
    let documented = std::fs::read_to_string(repository("docs/pages.md")).unwrap();
    for route in std::fs::read_to_string(&pages).unwrap().split(".route(\"").skip(1) {
        let path = route.split('"').next().unwrap();
        assert!(!path.starts_with("/v1"), "{path} is no page");
        assert!(documented.contains(&format!("`{path}`")), "docs/pages.md does not list {path}");
    }
    for path in files.into_iter().filter(|path| *path != pages) {
        let text = std::fs::read_to_string(&path).unwrap();
        let bare = text.split("#[cfg(test)]").next().unwrap().contains(".route(");
        let own_server = path.ends_with("witness.rs") || path.ends_with("lib.rs");
        assert!(!bare || own_server, "{} has a route of its own", path.display());
    }
}

/// Every `$ref` of the document leads somewhere.
fn assert_references_hold(part: &Value, document: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(|member| assert_references_hold(member, document));
        }
        Value::Array(items) => items.iter().for_each(|i| assert_references_hold(i, document)),
        _ => {}
    }
}

#[test]
fn without_accounts_it_listens_on_this_machine_only() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output = run(&mut desk.timemark(["serve", "--listen", address]));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2));
        assert!(words.contains("no accounts") && words.contains("--public-log"), "{words}");
    }
}

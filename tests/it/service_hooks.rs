//! Webhooks of the service, as a receiver meets them: signed, repeated, sent again, after whatever went wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::service::{Answer, FORM, ask, form, get, register, sample, serving};
use crate::support::{Desk, Server, expect};

/// A request that a receiver got.
struct Got {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// Whether one of its signatures is by this secret.
    fn is_signed_by(&self, secret: &str) -> bool {
        let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        let signed = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        self.headers["webhook-signature"].split(' ').any(|signature| {
            let bytes = BASE64.decode(signature.strip_prefix("v1,").unwrap().as_bytes()).unwrap();
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(signed.as_bytes());
            mac.verify_slice(&bytes).is_ok()
        })
    }
}

/// A server that takes webhooks, and answers with these statuses, the last of them for ever; 0 is no answer at all.
struct Taker {
    port: u16,
    got: Receiver<Got>,
    statuses: Arc<Mutex<Vec<u16>>>,
    ended: Arc<Mutex<bool>>,
}

impl Taker {
    fn start(statuses: &[u16]) -> Taker {
        Taker::at(TcpListener::bind("127.0.0.1:0").unwrap(), statuses)
    }

    fn at(listener: TcpListener, statuses: &[u16]) -> Taker {
        let port = listener.local_addr().unwrap().port();
        let (tell, got) = channel();
        let statuses = Arc::new(Mutex::new(statuses.to_vec()));
        let ended = Arc::new(Mutex::new(false));
        let (answers, over) = (statuses.clone(), ended.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if *over.lock().unwrap() {
                    return;
                }
                let (tell, answers) = (tell.clone(), answers.clone());
                thread::spawn(move || take(stream.unwrap(), &tell, &answers));
            }
        });
        Taker { port, got, statuses, ended }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    fn answer_with(&self, status: u16) {
        *self.statuses.lock().unwrap() = vec![status];
    }

    fn next(&self) -> Got {
        self.got.recv_timeout(Duration::from_secs(30)).expect("nothing was delivered")
    }

    /// Sees to it that nothing comes for a while.
    fn hears_nothing(&self) {
        let got = self.got.recv_timeout(Duration::from_millis(2500)).map(|got| got.body);
        assert_eq!(got, Err(RecvTimeoutError::Timeout));
    }

    /// Ends, and frees its port.
    fn end(self) -> u16 {
        *self.ended.lock().unwrap() = true;
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(10));
        }
        self.port
    }
}

fn take(stream: TcpStream, tell: &Sender<Got>, statuses: &Mutex<Vec<u16>>) {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return; // somebody looked whether we are there
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_lowercase(), value.to_owned());
        }
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let status = {
        let mut statuses = statuses.lock().unwrap();
        if statuses.len() > 1 { statuses.remove(0) } else { statuses[0] }
    };
    let _ = tell.send(Got { headers, body: String::from_utf8(body).unwrap() });
    if status == 0 {
        thread::sleep(Duration::from_secs(60));
    }
    let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nok");
    let _ = reader.get_mut().write_all(answer.as_bytes());
}

const PRIVATE: &str = "--webhooks-to-private";
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn post(url: &str, path: &str, body: &Value) -> Answer {
    ask(url, "POST", path, &[JSON], body.to_string().as_bytes())
}

/// A webhook that wants these events: its path, and its secret.
fn hook(url: &str, target: &str, events: &[&str]) -> (String, String) {
    let made = post(url, "/v1/webhooks", &json!({"url": target, "events": events}));
    let webhook = made.expect(201);
    let path = made.headers["location"].clone();
    assert_eq!(path, format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap()));
    (path, webhook["secret"].as_str().unwrap().to_owned())
}

fn work(url: &str, text: &str) -> Value {
    register(url, "a.txt", text.as_bytes(), &[("claimant", "Zhang Wei")]).expect(201)
}

/// What is told of a webhook's newest delivery, once that is in this state.
fn newest(url: &str, path: &str, state: &str) -> Value {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let page = get(url, &format!("{path}/deliveries?limit=1")).expect(200);
        let delivery = page["deliveries"][0].clone();
        if delivery["state"] == state {
            return delivery;
        }
        assert!(Instant::now() < end, "{page}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn matches_and_verdicts_are_told_in_their_order() {
    let (_desk, server) = serving(&[PRIVATE]);
    let url = &server.url;
    let taker = Taker::start(&[200]);
    let events = ["match.found", "match.verdict"];
    let (_, secret) = hook(url, &taker.url(), &events);
    let picture = sample("works/harbour-at-dusk.jpg");
    let registered = register(url, "a.jpg", &picture, &[]).expect(201);
    let scan = form(&[("file", "suspect.jpg", &picture)], &[]);
    let scan = ask(url, "POST", "/v1/scans", &[FORM], &scan).expect(202);

    let found = taker.next();
    assert!(found.is_signed_by(&secret));
    let told = found.json();
    assert_eq!(told["type"], "match.found");
    assert_eq!(told["data"]["work"], registered["work"]);
    assert_eq!(told["data"]["suspect"], registered["work"], "the same bytes");
    assert_eq!(told["data"]["scan"], format!("/v1/scans/{}", scan["id"]));
    let path = told["data"]["match"].as_str().unwrap();
    let seen = get(url, path);
    let tag = seen.headers["etag"].clone();
    let verdict = format!("{path}/verdict");
    let body = br#"{"verdict":"licensed"}"#;
    let decided = ask(url, "POST", &verdict, &[JSON, ("If-Match", &tag)], body);
    decided.expect(200);
    let told = taker.next().json();
    let data = &told["data"];
    assert_eq!((&told["type"], &data["act"]), (&json!("match.verdict"), &json!("verdict")));
    assert_eq!((&data["match"], &data["verdict"]), (&json!(path), &json!("licensed")));
    let entry = data["entry"].as_u64().unwrap();
    let tag = &decided.headers["etag"];
    ask(url, "DELETE", &verdict, &[("If-Match", tag)], b"").expect(200);
    let told = taker.next().json();
    assert_eq!(
        (&told["data"]["act"], &told["data"]["verdict"]),
        (&json!("undo"), &json!("licensed"))
    );
    assert!(told["data"]["entry"].as_u64().unwrap() > entry);
    taker.hears_nothing();
}

fn again(desk: &Desk, more: &[&str]) -> Server {
    Server::start_telling(
        desk.timemark(["serve", "--listen", "127.0.0.1:0"]).args(more),
        Stdio::inherit(),
    )
}

#[test]
fn a_registration_is_delivered_with_a_signature() {
    let (_desk, server) = serving(&[PRIVATE]);
    let url = &server.url;
    work(url, "before anybody wanted to know");
    let taker = Taker::start(&[200]);
    let (path, secret) = hook(url, &taker.url(), &["work.registered", "receipt.finalised"]);
    let registered = work(url, "a work");
    let (mut by_type, mut ids) = (BTreeMap::new(), Vec::new());
    for _ in 0..2 {
        let got = taker.next();
        assert_eq!(got.headers["content-type"], "application/json");
        assert!(got.is_signed_by(&secret) && !got.is_signed_by("whsec_AAAA"), "{}", got.body);
        ids.push(got.id().to_owned());
        let json = got.json();
        by_type.insert(json["type"].as_str().unwrap().to_owned(), json);
    }
    let told = &by_type["work.registered"];
    for name in ["index", "work", "receipt"] {
        assert_eq!(told["data"][name], registered[name], "{name}");
    }
    assert_eq!(told["data"]["log"], "service.example");
    assert!(!told.to_string().contains("Zhang"), "what is claimed may be erased");
    // Nobody else is asked by this log, so that an entry is final when it is there.
    let final_one = &by_type["receipt.finalised"]["data"];
    assert_eq!(
        (&final_one["index"], &final_one["vouched_for_by"]),
        (&registered["index"], &"log".into())
    );
    assert_ne!(ids[0], ids[1]);
    taker.hears_nothing();

    // The secret is not shown again, and is in nobody else's file.
    let shown = get(url, &path);
    assert!(!String::from_utf8_lossy(&shown.body).contains("whsec_"));
    assert_eq!(shown.expect(200)["pending"], 0);
    let list = get(url, "/v1/webhooks").expect(200);
    assert_eq!(list["webhooks"].as_array().unwrap().len(), 1);
    let all = ["work.registered", "receipt.finalised", "match.found", "match.verdict"];
    assert_eq!(list["events"], json!(all));

    let test = post(url, &format!("{path}/test"), &json!({})).expect(202);
    let got = taker.next();
    assert_eq!(
        (got.id(), &got.json()["type"]),
        (test["event_id"].as_str().unwrap(), &"webhook.test".into())
    );
    assert_eq!(ask(url, "DELETE", &path, &[], b"").status, 204);
    assert_eq!(get(url, &path).status, 404);
    work(url, "another work");
    taker.hears_nothing();
}

#[test]
fn what_is_not_taken_is_sent_again_under_the_same_id() {
    let (_desk, server) = serving(&[PRIVATE]);
    let url = &server.url;
    let taker = Taker::start(&[500, 200]);
    let (path, secret) = hook(url, &taker.url(), &["work.registered"]);
    work(url, "a work");
    let first = taker.next();
    let failing = get(url, &format!("{path}/deliveries?failed=true"));
    let since = Instant::now();
    let second = taker.next();
    assert!(since.elapsed() > Duration::from_secs(3), "it is given time");
    assert_eq!((first.id(), &first.body), (second.id(), &second.body));
    assert!(first.is_signed_by(&secret) && second.is_signed_by(&secret));
    assert_ne!(first.headers["webhook-timestamp"], second.headers["webhook-timestamp"]);
    assert!(failing.expect(200)["deliveries"].as_array().unwrap().len() <= 1);
    let delivery = newest(url, &path, "delivered");
    let statuses: Vec<&Value> =
        delivery["attempts"].as_array().unwrap().iter().map(|a| &a["status"]).collect();
    assert_eq!(statuses, [500, 200]);
    assert_eq!(get(url, &path).expect(200)["failing_since"], Value::Null);

    // One delivery once more, and all since a time.
    let number = &delivery["id"];
    post(url, &format!("{path}/deliveries/{number}/replay"), &json!({})).expect(202);
    assert_eq!(taker.next().id(), first.id());
    work(url, "another work");
    let other = taker.next();
    let since = |time: &str| post(url, &format!("{path}/replay"), &json!({"since": time}));
    assert_eq!(since("2099-01-01T00:00:00Z").expect(202)["replayed"], 0);
    newest(url, &path, "delivered");
    assert_eq!(since("2020-01-01T00:00:00Z").expect(202)["replayed"], 2);
    let mut ids = [taker.next().id().to_owned(), taker.next().id().to_owned()];
    let mut expected = [first.id().to_owned(), other.id().to_owned()];
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
}

#[test]
fn a_server_that_is_killed_delivers_after_its_next_start() {
    let (desk, server) = serving(&[PRIVATE]);
    let taker = Taker::start(&[0]);
    let (path, secret) = hook(&server.url, &taker.url(), &["work.registered"]);
    let first = work(&server.url, "sent, and not answered");
    let attempt = taker.next();
    assert_eq!(attempt.json()["data"]["index"], first["index"]);
    let second = work(&server.url, "registered, and not sent");
    drop(server); // kill -9
    taker.answer_with(200);
    let server = again(&desk, &[PRIVATE]);
    let (mut indices, mut ids) = (Vec::new(), Vec::new());
    // What was on its way may arrive twice.
    while indices.len() < 2 {
        let got = taker.next();
        assert!(got.is_signed_by(&secret));
        if !ids.contains(&got.id().to_owned()) {
            indices.push(got.json()["data"]["index"].as_u64().unwrap());
            ids.push(got.id().to_owned());
        }
    }
    indices.sort_unstable();
    assert_eq!(json!(indices), json!([first["index"], second["index"]]));
    assert!(ids.contains(&attempt.id().to_owned()), "the same event has the same id");
    newest(&server.url, &path, "delivered");
    assert!(server.stop().success());
}

#[test]
fn a_receiver_that_was_away_gets_what_happened_meanwhile() {
    let (desk, server) = serving(&[PRIVATE]);
    let url = &server.url;
    let taker = Taker::start(&[200]);
    let target = taker.url();
    let (path, _) = hook(url, &target, &["work.registered"]);
    let port = taker.end();
    for number in 0..3 {
        work(url, &format!("work {number}"));
    }
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let failing = get(url, &format!("{path}/deliveries?failed=true")).expect(200);
        let failing = failing["deliveries"].as_array().unwrap();
        if failing.len() == 3 {
            assert!(failing.iter().all(|d| d["attempts"][0]["error"].is_string()), "{failing:?}");
            break;
        }
        assert!(Instant::now() < end, "{failing:?}");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(get(url, &path).expect(200)["failing_since"].is_string());
    let began = Instant::now();
    assert!(server.stop().success());
    assert!(began.elapsed() < Duration::from_secs(10), "what is unsent keeps nobody");
    let taker = Taker::at(TcpListener::bind(("127.0.0.1", port)).unwrap(), &[200]);
    let server = again(&desk, &[PRIVATE]);
    let mut indices: Vec<u64> =
        (0..3).map(|_| taker.next().json()["data"]["index"].as_u64().unwrap()).collect();
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2]);
    drop(server);
}

#[test]
fn a_secret_is_replaced_without_a_gap() {
    let (_desk, server) = serving(&[PRIVATE]);
    let url = &server.url;
    let taker = Taker::start(&[200]);
    let (path, old) = hook(url, &taker.url(), &["work.registered"]);
    let rotated = post(url, &format!("{path}/rotate-secret"), &json!({})).expect(200);
    let new = rotated["secret"].as_str().unwrap();
    assert_ne!(old, new);
    work(url, "a work");
    let got = taker.next();
    assert!(got.is_signed_by(&old) && got.is_signed_by(new));
    assert!(got.headers["webhook-signature"].split(' ').count() == 2);
}

#[test]
fn a_receiver_that_is_gone_is_left_alone_until_its_owner_wants_it_back() {
    let (_desk, server) = serving(&[PRIVATE]);
    let url = &server.url;
    let taker = Taker::start(&[410]);
    let (path, _) = hook(url, &taker.url(), &["work.registered"]);
    work(url, "a work");
    let first = taker.next();
    let end = Instant::now() + Duration::from_secs(10);
    while get(url, &path).expect(200)["disabled"]["reason"] != "gone" {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(50));
    }
    taker.answer_with(200);
    work(url, "another work");
    taker.hears_nothing();
    let change = |body: Value| ask(url, "PATCH", &path, &[JSON], body.to_string().as_bytes());
    let enabled = change(json!({"enabled": true, "description": "ours"})).expect(200);
    assert_eq!((&enabled["enabled"], &enabled["description"]), (&true.into(), &"ours".into()));
    let got = [taker.next(), taker.next()];
    assert!(got.iter().any(|got| got.id() == first.id()), "it missed nothing");
    let disabled = change(json!({"enabled": false})).expect(200);
    assert_eq!(disabled["disabled"]["reason"], "owner");
}

#[test]
fn nothing_is_sent_inside_unless_the_operator_wants_it() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let taker = Taker::start(&[200]);
    for target in [
        taker.url(),
        taker.url().replace("http", "https"),
        "https://localhost/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://[::ffff:192.168.0.1]/".to_owned(),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "http://example.com/".to_owned(),
        "nonsense".to_owned(),
    ] {
        let body = json!({"url": target, "events": ["work.registered"]});
        let refused = post(url, "/v1/webhooks", &body).expect(422);
        assert!(refused["type"].as_str().unwrap().ends_with(":url-refused"), "{target}");
    }
    // A name, or what only the resolver takes for an address, is looked at when something is sent.
    let target = format!("https://127.1:{}/", taker.port);
    let (path, _) = hook(url, &target, &["work.registered"]);
    post(url, &format!("{path}/test"), &json!({})).expect(202);
    let end = Instant::now() + Duration::from_secs(20);
    let error = loop {
        let page = get(url, &format!("{path}/deliveries?failed=true")).expect(200);
        if let Some(error) = page["deliveries"][0]["attempts"][0]["error"].as_str() {
            break error.to_owned();
        }
        assert!(Instant::now() < end, "{page}");
        thread::sleep(Duration::from_millis(50));
    };
    assert!(error.contains("private network") || error.contains("not known"), "{error}");
    taker.hears_nothing();
}

#[test]
fn bad_requests_about_webhooks_are_told_so() {
    let (desk, server) = serving(&[PRIVATE]);
    let url = &server.url;
    let (path, _) = hook(url, "https://hooks.example/", &["work.registered"]);
    let good = json!({"url": "https://hooks.example/", "events": ["work.registered"]});
    for (name, value) in [
        ("events", json!([])),
        ("events", json!(["match.lost"])),
        ("events", json!(["webhook.test"])),
        ("events", json!("work.registered")),
        ("url", json!(1)),
        ("unknown", json!(1)),
        ("description", json!("x".repeat(1001))),
    ] {
        let mut body = good.clone();
        body[name] = value;
        assert_eq!(post(url, "/v1/webhooks", &body).status, 400, "{body}");
    }
    assert_eq!(ask(url, "POST", "/v1/webhooks", &[JSON], b"{").status, 400);
    assert_eq!(ask(url, "POST", "/v1/webhooks", &[], b"{}").status, 415);
    assert_eq!(ask(url, "POST", "/v1/webhooks", &[JSON], &[b' '; 70_000]).status, 413);
    for (method, below, status) in [
        ("GET", "/v1/webhooks/wh_aaaaaaaaaaaaaaaaaaaaaaaa", 404),
        ("DELETE", "/v1/webhooks/wh_aaaaaaaaaaaaaaaaaaaaaaaa", 404),
        ("POST", "/v1/webhooks/wh_aaaaaaaaaaaaaaaaaaaaaaaa/test", 404),
        ("POST", "/v1/webhooks/wh_aaaaaaaaaaaaaaaaaaaaaaaa/rotate-secret", 404),
        ("GET", "/v1/webhooks/wh_aaaaaaaaaaaaaaaaaaaaaaaa/deliveries", 404),
        ("GET", "/v1/webhooks/wh_nobody", 400),
        ("PUT", "/v1/webhooks", 405),
    ] {
        assert_eq!(ask(url, method, below, &[], b"").status, status, "{method} {below}");
    }
    for (method, below, status) in [
        ("GET", "deliveries?cursor=x", 400),
        ("GET", "deliveries?limit=0", 400),
        ("GET", "deliveries?failed=perhaps", 400),
        ("POST", "deliveries/1/replay", 404),
        ("POST", "deliveries/01/replay", 400),
        ("POST", "deliveries/x/replay", 400),
    ] {
        let answer = ask(url, method, &format!("{path}/{below}"), &[], b"");
        assert_eq!(answer.status, status, "{method} {below}");
    }
    for since in ["yesterday", "1969-01-01T00:00:00Z", ""] {
        let body = json!({"since": since});
        assert_eq!(post(url, &format!("{path}/replay"), &body).status, 400, "{since}");
    }
    for number in 0..5 {
        let test = post(url, &format!("{path}/test"), &json!({})).expect(202);
        assert_eq!(test["id"], number + 1);
    }
    let page = get(url, &format!("{path}/deliveries?limit=2")).expect(200);
    let next = page["next"].as_str().unwrap();
    let rest = get(url, &format!("{path}/deliveries?limit=3&cursor={next}")).expect(200);
    let ids = |page: &Value| -> Vec<u64> {
        page["deliveries"].as_array().unwrap().iter().map(|d| d["id"].as_u64().unwrap()).collect()
    };
    assert_eq!((ids(&page), ids(&rest)), (vec![5, 4], vec![3, 2, 1]));
    assert_eq!(rest["next"], Value::Null);
    let mode = expect(
        0,
        std::process::Command::new("stat").args(["-c", "%a"]).arg(desk.path("archive/hooks.redb")),
    );
    assert_eq!(mode.trim(), "600", "it holds secrets");
}

/// They are kept with the secrets that sign them.
#[test]
fn webhooks_are_in_a_backup_with_its_keys_alone() {
    let (desk, server) = serving(&[PRIVATE]);
    hook(&server.url, "http://127.0.0.1:1/", &["work.registered"]);
    assert!(server.stop().success());
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    assert!(!desk.path("copy/hooks.redb").exists());
    expect(0, &mut desk.timemark(["log", "backup", "copy", "--with-keys"]));
    let read = |path: &str| std::fs::read(desk.path(path)).unwrap();
    assert!(read("copy/hooks.redb") == read("archive/hooks.redb"));
    let rights = std::fs::metadata(desk.path("copy/hooks.redb")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&rights) & 0o777, 0o600);
}

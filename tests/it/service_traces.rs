//! Traces of the service, as a collector of OpenTelemetry's own classes reads them; and that nobody waits for a collector.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service::{FORM, ask, form, get, register, sample};
use crate::service_scans::{is_done, wait_for};
use crate::support::{Desk, Server, expect, repository, skip};

/// A collector that tells what it was sent.
struct Collector {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    url: String,
}

impl Collector {
    /// One that answers after so many seconds.
    fn start(delay: &str) -> Option<Collector> {
        let python = repository("target/peers/traces/bin/python");
        if !python.exists() {
            skip(
                "no Python with the packages of tests/peers/traces/requirements.txt; scripts/test.sh installs it",
            );
            return None;
        }
        let mut command = Command::new(python);
        command.arg(repository("tests/peers/traces/receive.py")).arg(delay);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        Some(Collector { child, lines, url: format!("http://127.0.0.1:{}", port.trim()) })
    }

    /// Every span that it was sent.
    fn spans(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let lines = self.lines.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        lines.collect()
    }
}

fn serve(desk: &Desk, collector: &str, more: &[&str]) -> Server {
    let mut command = desk.timemark(["serve", "--listen", "127.0.0.1:0", "--otlp", collector]);
    Server::start(command.args(more))
}

/// The only span of this name.
fn one<'s>(spans: &'s [Value], name: &str) -> &'s Value {
    let mut found = spans.iter().filter(|span| span["name"] == name);
    let one = found.next().unwrap_or_else(|| panic!("no {name} in {spans:?}"));
    assert!(found.next().is_none(), "more than one {name}");
    one
}

/// The only span of this name within another, and in its time.
fn within<'s>(spans: &'s [Value], outer: &Value, name: &str) -> &'s Value {
    let of_it = |span: &&Value| span["name"] == name && span["parent"] == outer["span"];
    let mut found = spans.iter().filter(of_it);
    let inner = found.next().unwrap_or_else(|| panic!("no {name} within {outer} in {spans:?}"));
    assert!(found.next().is_none(), "more than one {name} within {outer}");
    assert_eq!(inner["trace"], outer["trace"]);
    let time = |span: &Value, what: &str| span[what].as_u64().unwrap();
    assert!(time(inner, "begun") >= time(outer, "begun"), "{inner} {outer}");
    assert!(time(inner, "ended") <= time(outer, "ended"), "{inner} {outer}");
    inner
}

#[test]
fn a_collector_is_told_what_requests_and_scans_are_at_and_nothing_that_clients_say() {
    let Some(collector) = Collector::start("0") else { return };
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let server = serve(&desk, &collector.url, &[]);
    let url = &server.url;
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let told = format!("00-{trace}-{parent}-01");
    let work = sample("works/harbour-at-dusk.jpg");
    let body = form(
        &[("file", "secret-name.jpg", &work)],
        &[("title", "secret title"), ("claimant", "Secret Person")],
    );
    let headers =
        [FORM, ("traceparent", &told), ("tracestate", "vendor=secret"), ("x-request-id", "id-1")];
    let cid = ask(url, "POST", "/v1/works", &headers, &body).expect(201)["cid"].clone();
    get(url, "/v1/search?q=secret").expect(200);
    get(url, "/v1/receipts/secret");
    let garbage = [("traceparent", "00-secret-00f067aa0ba902b7-01")];
    ask(url, "GET", "/v1/collections", &garbage, b"").expect(200);
    let unsampled = format!("00-{trace}-{parent}-00");
    ask(url, "GET", "/v1/scans", &[("traceparent", &unsampled)], b"").expect(200);
    let suspect = form(&[("file", "secret.jpg", &sample("suspects/mirrored-harbour.jpg"))], &[]);
    let asked =
        ask(url, "POST", "/v1/search", &[FORM], &form(&[("picture", "secret.jpg", &work)], &[]));
    asked.expect(200);
    let scan = ask(url, "POST", "/v1/scans", &[FORM], &suspect).expect(202)["id"].as_u64().unwrap();
    wait_for(url, scan, is_done);
    // What is not sent yet is sent at the end.
    assert!(server.stop().success());
    let spans = collector.spans();

    let registered = one(&spans, "POST /v1/works");
    assert_eq!((&registered["trace"], &registered["parent"]), (&trace.into(), &parent.into()));
    assert_eq!((&registered["kind"], &registered["service"]), (&json!(2), &"timemark".into()));
    let attributes = json!({
        "http.request.method": "POST", "http.route": "/v1/works", "http.response.status_code": 201,
        "request_id": "id-1",
    });
    assert_eq!(registered["attributes"], attributes);
    for step in ["receive", "read", "look", "store", "follow"] {
        within(&spans, registered, step);
    }
    let append = within(&spans, registered, "append");
    let flush = within(&spans, append, "flush");
    let publish = within(&spans, append, "publish");
    assert!(flush["ended"].as_u64() <= publish["begun"].as_u64());

    let by_words = one(&spans, "GET /v1/search");
    assert_eq!(by_words["parent"], "");
    assert_ne!(by_words["trace"], trace);
    within(&spans, by_words, "search");
    let by_picture = one(&spans, "POST /v1/search");
    within(&spans, by_picture, "receive");
    within(&spans, by_picture, "search");
    let bad = one(&spans, "GET /v1/receipts/{index}");
    assert_eq!(bad["attributes"]["http.response.status_code"], 400);
    let own = one(&spans, "GET /v1/collections");
    assert!(own["parent"] == "" && own["trace"].as_str().unwrap().len() == 32, "{own}");
    assert!(!spans.iter().any(|span| span["name"] == "GET /v1/scans"), "its client wants no trace");
    let scanned: Vec<&Value> = spans.iter().filter(|span| span["name"] == "scan").collect();
    assert!(scanned.iter().all(|span| span["parent"] == "" && span["attributes"]["job"] == scan));
    let suspects = scanned.iter().filter_map(|span| span["attributes"]["suspects"].as_u64());
    assert_eq!(suspects.sum::<u64>(), 1);

    let all = Value::from(spans).to_string().to_lowercase();
    assert!(!all.contains("secret") && !all.contains(cid.as_str().unwrap()), "{all}");
    assert!(!all.contains(desk.path("").to_str().unwrap()), "{all}");
}

#[test]
fn a_collector_that_is_away_or_slow_costs_spans_and_no_time() {
    let Some(slow) = Collector::start("30") else { return };
    // Nobody listens at the port of an echo.
    for collector in ["http://127.0.0.1:7", &slow.url] {
        let desk = Desk::new();
        expect(0, &mut desk.timemark(["init"]));
        let server = serve(&desk, collector, &[]);
        let url = &server.url;
        for number in 0..30 {
            let begun = Instant::now();
            register(url, "a.txt", format!("work {number}").as_bytes(), &[]).expect(201);
            assert!(begun.elapsed() < Duration::from_secs(2), "{collector} is waited for");
        }
        let dropped = || {
            let figures = String::from_utf8(get(url, "/metrics").body).unwrap();
            let line =
                figures.lines().find(|line| line.starts_with("timemark_spans_dropped_total "));
            line.unwrap().split(' ').nth(1).unwrap().parse::<u64>().unwrap()
        };
        let begun = Instant::now();
        while dropped() < 100 {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} were dropped", dropped());
            std::thread::sleep(Duration::from_millis(200));
        }
        let begun = Instant::now();
        assert!(server.stop().success());
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?} to stop", begun.elapsed());
    }
    slow.spans();
}

#[test]
fn without_a_collector_nothing_is_traced() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let server = Server::start(&mut desk.timemark(["serve", "--listen", "127.0.0.1:0"]));
    let traced = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    ask(&server.url, "GET", "/v1/works", &traced, b"").expect(200);
    let figures = String::from_utf8(get(&server.url, "/metrics").body).unwrap();
    assert!(!figures.contains("spans"), "{figures}");
    let wrong = desk.timemark(["serve", "--otlp", "collector:4318"]).output().unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && said.contains("--otlp"), "{said}");
}

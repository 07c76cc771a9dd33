//! Over real sockets: a log asks good witnesses and bad ones, and anybody reads its tiles.
#![cfg(test)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use timemark_api::{bind, serve_until, tiles, tsa, witness};
use timemark_tlog::{
    Clock, Log, LogError, LogKey, Witness, WitnessClient, WitnessError, tiles_dir, tree,
};
use timemark_verify::merkle::Hash;
use timemark_verify::{Checkpoint, Claim, Note, VerifierKey, WorkDigests};

/// A server on a thread of its own, ended with the test.
struct Server {
    url: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(router: Router) -> Server {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let stop = async { drop(stopped.await) };
            runtime.block_on(serve_until(listener, router, stop)).unwrap();
        });
        Server { url, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn claim(i: u32) -> Claim {
    Claim {
        work: WorkDigests::of(&i.to_be_bytes()),
        media_type: "text/plain".to_owned(),
        fingerprints: Vec::new(),
        title: None,
        claimant: None,
        created: None,
        rights: None,
        collection: None,
        path: None,
        amends: None,
        creator: None,
        salt: [7; 32],
    }
}

fn new_log(dir: &Path) -> (Log, LogKey) {
    let key = || LogKey::from_seeds("log.example", [&[1; 32], &[2; 32], &[2; 32]]).unwrap();
    Log::create(dir, &key()).unwrap();
    (Log::open(dir, key(), Box::new(|| Ok(()))).unwrap(), key())
}

fn grow(log: &Log, by: u32) -> Note {
    let first = log.size() as u32;
    (first..first + by).for_each(|i| drop(log.append(&claim(i)).unwrap()));
    log.checkpoint()
}

fn new_witness(dir: &Path, name: &str, log: &LogKey) -> (Arc<Witness>, Vec<VerifierKey>) {
    let dir = dir.join(name);
    Witness::create(&dir, name).unwrap();
    log.verifiers().for_each(|key| Witness::add_log(&dir, key).unwrap());
    let witness = Witness::open(&dir, Clock::system()).unwrap();
    let keys = witness.verifiers().cloned().collect();
    (Arc::new(witness), keys)
}

fn ask(client: &WitnessClient, log: &Log, note: &Note) -> Result<usize, WitnessError> {
    let checkpoint = Checkpoint::of_note(note).unwrap();
    let prove =
        |old| -> Result<Vec<Hash>, LogError> { tree::consistency_proof(log, old, checkpoint.size) };
    let cosignatures = client.cosign(note, &prove)?;
    // Whatever comes through is what a verifier of receipts accepts.
    let all = note.signatures().iter().chain(&cosignatures).cloned().collect();
    let cosigned = Note::new(note.text().to_owned(), all).unwrap();
    assert_eq!(Note::parse(&cosigned.to_string()).unwrap(), cosigned);
    Ok(cosignatures.len())
}

#[test]
fn good_witnesses_cosign_and_each_bad_one_costs_its_own_cosignature_only() {
    let dir = tempfile::tempdir().unwrap();
    let (log, log_key) = new_log(&dir.path().join("log"));
    let mut servers = Vec::new();
    let mut good = Vec::new();
    for name in ["w1.example", "w2.example", "w3.example"] {
        let (witness, keys) = new_witness(dir.path(), name, &log_key);
        let server = Server::start(witness::router(witness.clone()));
        good.push((
            WitnessClient::new(name, keys.clone(), &server.url).unwrap(),
            keys,
            server.url.clone(),
        ));
        servers.push(server);
    }
    let (w1, w1_keys, w1_url) = &good[0];

    // One that takes the connection and says nothing.
    let stalled = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stalled_url = format!("http://{}", stalled.local_addr().unwrap());
    // One that answers with whatever it is given: first a genuine answer of w1, the same for ever.
    let lines = Arc::new(Mutex::new((200u16, "text/plain", b"garbage".to_vec())));
    let said = lines.clone();
    let asked = Arc::new(Mutex::new(0));
    let counted = asked.clone();
    let parrot = Server::start(Router::new().route(
        "/add-checkpoint",
        post(move |_: Bytes| async move {
            *counted.lock().unwrap() += 1;
            let (status, content_type, body) = said.lock().unwrap().clone();
            (StatusCode::from_u16(status).unwrap(), [("content-type", content_type)], body)
        }),
    ));
    let client = |url: &str| {
        WitnessClient::new("bad", w1_keys.clone(), url).unwrap().within(Duration::from_millis(400))
    };
    let say = |status: u16, content_type: &'static str, body: &[u8]| {
        *lines.lock().unwrap() = (status, content_type, body.to_vec());
        *asked.lock().unwrap() = 0;
    };
    let times_asked = || *asked.lock().unwrap();

    let first = grow(&log, 3);
    for (client, _, _) in &good {
        assert_eq!(ask(client, &log, &first).unwrap(), 2);
    }
    let second = grow(&log, 300);
    for (client, _, _) in &good {
        assert_eq!(ask(client, &log, &second).unwrap(), 2);
        assert_eq!(ask(client, &log, &second).unwrap(), 2, "the same once more");
    }
    // A client that knows nothing learns the size from the conflict.
    let third = grow(&log, 1);
    let fresh = WitnessClient::new("w1.example", w1_keys.clone(), &format!("{w1_url}/")).unwrap();
    assert_eq!(ask(&fresh, &log, &third).unwrap(), 2);
    assert_eq!(ask(w1, &log, &third).unwrap(), 2, "one that knows less than it should as well");
    assert!(matches!(
        ask(w1, &log, &second),
        Err(WitnessError::Ahead { size: 304, ours: 303, .. })
    ));
    assert!(matches!(
        ask(&fresh, &log, &first),
        Err(WitnessError::Ahead { size: 304, ours: 3, .. })
    ));

    // The network.
    let began = Instant::now();
    assert!(matches!(ask(&client(&stalled_url), &log, &third), Err(WitnessError::Late { .. })));
    assert!(began.elapsed() < Duration::from_secs(3));
    drop(stalled);
    assert!(matches!(
        ask(&client(&stalled_url), &log, &third),
        Err(WitnessError::Unreachable { .. })
    ));

    // Genuine lines of w1 over `third`, to lie with.
    let prove = |old| tree::consistency_proof(&log, old, 304);
    let genuine: Vec<_> = w1.cosign(&third, &prove).unwrap();
    let text = |signatures: &[timemark_verify::NoteSignature]| -> Vec<u8> {
        signatures.iter().map(|s| format!("{s}\n")).collect::<String>().into_bytes()
    };
    let parrot_client = client(&parrot.url);
    let check = |note: &Note, what: &str, expected: fn(&WitnessError) -> bool| match ask(
        &parrot_client,
        &log,
        note,
    ) {
        Err(error) if expected(&error) => assert!(error.to_string().contains("bad"), "{error}"),
        other => panic!("{what}: {other:?}"),
    };
    check(&third, "garbage", |e| matches!(e, WitnessError::Garbage { .. }));
    for garbage in
        [&b""[..], b"\xFF\n", b"\n", &vec![b'x'; 70_000], b"\nx\n\n\xE2\x80\x94 a AAAAAAA=\n"]
    {
        say(200, "text/plain", garbage);
        check(&third, "garbage", |e| matches!(e, WitnessError::Garbage { .. }));
    }
    say(200, "text/plain", &text(&genuine));
    assert_eq!(ask(&parrot_client, &log, &third).unwrap(), 2, "an honest proxy is no liar");
    let fourth = grow(&log, 1);
    check(&fourth, "an old cosignature again", |e| matches!(e, WitnessError::False { .. }));
    let mut flipped = genuine.clone();
    flipped[1].bytes[100] ^= 1;
    say(200, "text/plain", &text(&flipped));
    check(&third, "one false beside a genuine one", |e| matches!(e, WitnessError::False { .. }));
    let mut timeless = genuine.clone();
    timeless[0].bytes[..8].fill(0);
    say(200, "text/plain", &text(&timeless));
    check(&third, "a time it did not sign", |e| matches!(e, WitnessError::False { .. }));
    let others = good[1].0.cosign(&third, &prove).unwrap();
    say(200, "text/plain", &text(&others));
    check(&third, "another's keys", |e| matches!(e, WitnessError::Unsigned { .. }));
    say(200, "text/plain", &[text(&others), text(&genuine)].concat());
    assert_eq!(ask(&parrot_client, &log, &third).unwrap(), 2, "strangers' are ignored");

    // Sizes, and who makes us run in circles.
    say(409, "text/x.tlog.size", b"7\n");
    check(&fourth, "another size each time", |e| matches!(e, WitnessError::Conflict { .. }));
    assert_eq!(times_asked(), 2);
    say(409, "text/x.tlog.size", b"18446744073709551615\n");
    check(&fourth, "larger than we are", |e| matches!(e, WitnessError::Ahead { .. }));
    assert_eq!(times_asked(), 1);
    say(409, "text/x.tlog.size", b"304\n");
    check(&fourth, "the size we named", |e| matches!(e, WitnessError::Garbage { .. }));
    say(409, "text/x.tlog.size", b"07\n");
    check(&fourth, "no size", |e| matches!(e, WitnessError::Garbage { .. }));
    say(409, "text/plain", b"7\n");
    check(&fourth, "no size by its type", |e| {
        matches!(e, WitnessError::Refused { status: 409, .. })
    });
    say(403, "text/plain", b"go\x1B[2J\naway");
    check(
        &fourth,
        "a refusal",
        |e| matches!(e, WitnessError::Refused { status: 403, reason, .. } if !reason.contains('\x1B')),
    );
    say(307, "text/plain", b"");
    check(&fourth, "a redirection", |e| matches!(e, WitnessError::Refused { status: 307, .. }));

    for (client, _, _) in &good {
        assert_eq!(ask(client, &log, &fourth).unwrap(), 2);
    }
    // A monitor sees what each of them has cosigned last.
    let mut answer = ureq::get(format!("{w1_url}/{}/checkpoint", ORIGIN_SHA256)).call().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    let cosigned = Note::parse(&answer.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!((cosigned.text(), cosigned.signatures().len()), (fourth.text(), 5));
}

/// Of `log.example`.
const ORIGIN_SHA256: &str = "d7612c54297eaa3e5a7756b17ce3adc5bed251af8059d72bbb8b0075c67b85e9";

#[test]
fn a_client_is_made_of_keys_that_cosign_and_a_url_that_can_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    let log_key = LogKey::from_seeds("log.example", [&[1; 32], &[2; 32], &[2; 32]]).unwrap();
    let (_, keys) = new_witness(dir.path(), "w.example", &log_key);
    for url in [
        "",
        "w.example",
        "ftp://w.example",
        "file:///etc/passwd",
        "http://",
        "https://w.example/?a",
        "https://a@w.example",
        "https://w.example/#a",
    ] {
        let made = WitnessClient::new("w", keys.clone(), url);
        assert!(matches!(made, Err(WitnessError::Url { .. })), "{url}");
    }
    assert!(WitnessClient::new("w", keys.clone(), "https://w.example/a/").is_ok());
    for keys in [vec![], vec![log_key.verifier().clone()]] {
        assert!(matches!(
            WitnessClient::new("w", keys, "https://w.example"),
            Err(WitnessError::Keys { .. })
        ));
    }
}

#[test]
fn all_routers_stand_on_one_socket() {
    let dir = tempfile::tempdir().unwrap();
    let (log, log_key) = new_log(&dir.path().join("log"));
    let note = grow(&log, 2);
    let (witness, keys) = new_witness(dir.path(), "w.example", &log_key);
    let server = Server::start(
        tiles::router(tiles_dir(&dir.path().join("log")))
            .merge(witness::router(witness))
            .merge(tsa::router(Arc::new(|request| [b"re: ", request].concat()))),
    );
    let get = |path: &str| {
        ureq::get(format!("{}{path}", server.url)).call().unwrap().body_mut().read_to_vec().unwrap()
    };
    assert_eq!(get("/checkpoint"), note.to_string().as_bytes());
    assert_eq!(get("/tile/0/000.p/2").len(), 64);
    assert_eq!(get("/tile/entries/000.p/2").len(), 2 * (2 + 65));
    let client = WitnessClient::new("w", keys, &server.url).unwrap();
    assert_eq!(ask(&client, &log, &note).unwrap(), 2);
    let query =
        ureq::post(format!("{}/tsa", server.url)).content_type("application/timestamp-query");
    assert_eq!(query.send(&b"1"[..]).unwrap().body_mut().read_to_vec().unwrap(), b"re: 1");
}

#[test]
fn a_connection_serves_many_requests() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = new_log(&dir.path().join("log"));
    grow(&log, 1);
    let server = Server::start(tiles::router(tiles_dir(&dir.path().join("log"))));
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /tile/0/000.p/1 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
        stream.read_exact(&mut [0; 32]).unwrap();
    }
}

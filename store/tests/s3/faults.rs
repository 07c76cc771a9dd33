//! A server that does something wrong: the store says what, never that it worked, and soon.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use timemark_store::contract::address_of;
use timemark_store::{
    Address, BlobError, BlobStore, RemoteProblem, S3Options, S3Patience, S3Store,
};

use crate::{bytes_of, problem};

/// What the server does with a request.
#[derive(Clone)]
enum Answer {
    /// Sends these bytes, then closes the connection.
    Bytes(String),
    /// Sends these bytes, then nothing more.
    Hang(String),
}

/// A server, and the first line of every request it got.
struct Wrong {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    spool: TempDir,
}

impl Wrong {
    fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Wrong {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || serve(&stream, &seen, &*answer));
            }
        });
        Wrong { url, asked, spool: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> S3Store {
        let mut options = S3Options::new("works", "us", "secret", self.spool.path());
        options.endpoint = Some(self.url.clone());
        options.patience = PATIENCE;
        S3Store::open(&options).unwrap()
    }

    fn was_asked(&self, method: &str, with: &str) -> bool {
        let asked = self.asked.lock().unwrap();
        asked.iter().any(|line| line.starts_with(method) && line.contains(with))
    }
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Answer) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) < 3 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if first.is_empty() {
            first = line;
        }
    }
    let _ = std::io::copy(&mut reader.take(length), &mut std::io::sink());
    seen.lock().unwrap().push(first.clone());
    let mut stream = stream;
    match answer(&first) {
        Answer::Bytes(bytes) => drop(stream.write_all(bytes.as_bytes())),
        Answer::Hang(bytes) => {
            let _ = stream.write_all(bytes.as_bytes());
            let _ = stream.read(&mut [0]); // until the client goes
        }
    }
}

/// An answer with this status and body, of a declared length.
fn says(status: &str, length: usize, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"e\"\r\n\
         Last-Modified: Sun, 01 Nov 2026 08:00:00 GMT\r\nConnection: close\r\n\r\n{body}"
    )
}

fn whole(status: &str, body: &str) -> Answer {
    Answer::Bytes(says(status, body.len(), body))
}

type Call = fn(&S3Store, &Address, &[u8]) -> Result<(), BlobError>;

const CALLS: [(&str, Call); 5] = [
    ("put", |store, _, work| store.put(&mut &*work).map(drop)),
    ("put_as", |store, at, work| store.put_as(at, &mut &*work)),
    ("get", |store, at, _| store.get(at).map(drop)),
    ("has", |store, at, _| store.has(at).map(drop)),
    ("remove", |store, at, _| store.remove(at)),
];

/// Every call, with a short work and a long one, comes to the same end within the patience.
fn check_all(server: &Wrong, expected: &RemoteProblem, except: &str) {
    let store = &server.store();
    for work in [&b"a short work"[..], &bytes_of((8 << 20) + 1)] {
        let at = &address_of(work);
        std::thread::scope(|scope| {
            for (name, call) in CALLS.iter().filter(|(name, _)| *name != except) {
                scope.spawn(move || {
                    let got = problem(call(store, at, work));
                    assert_eq!(got, *expected, "{name} of {} bytes", work.len());
                });
            }
        });
    }
}

#[test]
fn every_call_says_what_went_wrong() {
    let error = |code: &str| format!("<Error><Code>{code}</Code></Error>");
    let quota = "<Error><Code>AccessDenied</Code><Message>Forbidden: Bucket size quota is reached</Message></Error>";
    for (answer, expected) in [
        (whole("500 Internal Server Error", &error("InternalError")), RemoteProblem::Failed),
        (whole("503 Service Unavailable", &error("SlowDown")), RemoteProblem::Failed),
        (whole("403 Forbidden", &error("AccessDenied")), RemoteProblem::Denied),
        (whole("401 Unauthorized", ""), RemoteProblem::Denied),
        (whole("507 Insufficient Storage", ""), RemoteProblem::Full),
        (Answer::Bytes("nonsense\r\n\r\n".to_owned()), RemoteProblem::Failed),
        (Answer::Bytes(String::new()), RemoteProblem::Failed),
        (whole("301 Moved Permanently", ""), RemoteProblem::Failed),
        (Answer::Hang(String::new()), RemoteProblem::TimedOut(3)),
        (Answer::Hang("HTTP/1.1 200 OK\r\n".to_owned()), RemoteProblem::TimedOut(3)),
    ] {
        check_all(&Wrong::start(move |_| answer.clone()), &expected, "");
    }
    // An answer to HEAD has no body that could say so.
    check_all(&Wrong::start(move |_| whole("403 Forbidden", quota)), &RemoteProblem::Full, "has");
}

#[test]
fn nobody_is_there() {
    let mut server = Wrong::start(|_| whole("200 OK", ""));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    server.url = format!("http://{closed}");
    check_all(&server, &RemoteProblem::Unreachable, "");
}

#[test]
fn who_cannot_speak_tls_is_not_reached() {
    let mut server = Wrong::start(|_| whole("200 OK", ""));
    server.url = server.url.replace("http:", "https:");
    check_all(&server, &RemoteProblem::Unreachable, "");
}

#[test]
fn what_is_read_is_the_work_or_an_error() {
    let work = bytes_of(100_000).iter().map(|byte| char::from(byte % 64 + 32)).collect::<String>();
    let other = work.replacen(&work[50_000..50_001], "~", 1);
    let at = address_of(work.as_bytes());
    let read = |answer: Answer| Wrong::start(move |_| answer.clone()).store().read(&at, 1 << 20);
    assert_eq!(read(whole("200 OK", &work)).unwrap(), work.as_bytes());

    let half = says("200 OK", work.len(), &work[..50_000]);
    let truncated = read(Answer::Bytes(half.clone())).map(drop);
    assert_eq!(problem(truncated), RemoteProblem::Failed);
    assert_eq!(problem(read(Answer::Hang(half)).map(drop)), RemoteProblem::TimedOut(2));
    for wrong in [&other, &work[1..], ""] {
        let read = read(whole("200 OK", wrong));
        assert!(matches!(read, Err(BlobError::Altered { id }) if id == at.content), "{read:?}");
    }
    let missing = read(whole("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>"));
    assert!(matches!(missing, Err(BlobError::Missing { id }) if id == at.content));
    let no_bucket = read(whole("404 Not Found", "<Error><Code>NoSuchBucket</Code></Error>"));
    assert_eq!(problem(no_bucket.map(drop)), RemoteProblem::Failed);
}

/// How a server answers the steps of an upload; the last part and the end as told.
fn uploads(last_part: &'static str, end: &'static str) -> Wrong {
    Wrong::start(move |line| match line {
        _ if line.contains("uploads") => whole("200 OK", STARTED),
        _ if line.contains("partNumber=3") => whole(last_part, ""),
        _ if line.starts_with("POST") => whole("200 OK", end),
        _ => whole("200 OK", ""),
    })
}

#[test]
fn what_does_not_become_whole_is_aborted() {
    let work = bytes_of((16 << 20) + 1);
    let at = address_of(&work);
    let wrong = || address_of(b"another");

    let good = uploads("200 OK", COMPLETED);
    good.store().put_as(&at, &mut &work[..]).unwrap();
    assert_eq!(good.store().put(&mut &work[..]).unwrap().address(), at);
    assert!(good.was_asked("POST", "?uploadId=u") && !good.was_asked("DELETE", ""));

    let altered = uploads("200 OK", COMPLETED);
    let put = altered.store().put_as(&wrong(), &mut &work[..]);
    assert!(matches!(put, Err(BlobError::Altered { id }) if id == wrong().content), "{put:?}");
    assert!(altered.was_asked("DELETE", "uploadId=u") && !altered.was_asked("POST", "?uploadId=u"));
    let short = altered.store().put_as(&wrong(), &mut &b"short"[..]);
    assert!(matches!(short, Err(BlobError::Altered { .. })), "{short:?}");
    let name = wrong().content.to_string();
    assert!(!altered.was_asked("PUT", &format!("{name} HTTP")), "no PUT of a whole work");

    let failing = uploads("500 Internal Server Error", COMPLETED);
    let put = failing.store().put_as(&at, &mut &work[..]);
    assert_eq!(problem(put), RemoteProblem::Failed);
    assert!(failing.was_asked("DELETE", "uploadId=u") && !failing.was_asked("POST", "?uploadId=u"));

    // S3 may begin to answer 200 before it knows.
    let late = uploads("200 OK", "<Error><Code>InternalError</Code></Error>");
    assert_eq!(problem(late.store().put(&mut &work[..]).map(drop)), RemoteProblem::Failed);
}

#[test]
fn what_cannot_be_an_endpoint_or_a_prefix_is_refused() {
    let spool = tempfile::tempdir().unwrap();
    let mut options = S3Options::new("works", "us", "secret", spool.path());
    assert!(S3Store::open(&options).unwrap().name().contains("Amazon in us-east-1"));
    options.prefix = "a//b/".to_owned();
    assert_eq!(problem(S3Store::open(&options).map(drop)), RemoteProblem::Failed);
    options.prefix = String::new();
    options.endpoint = Some("localhost:9000".to_owned());
    assert_eq!(problem(S3Store::open(&options).map(drop)), RemoteProblem::Failed);
}

const PATIENCE: S3Patience = S3Patience {
    connect: Duration::from_secs(2),
    answer: Duration::from_secs(3),
    silence: Duration::from_secs(2),
};
const STARTED: &str = "<InitiateMultipartUploadResult><Bucket>works</Bucket><Key>k</Key>\
    <UploadId>u</UploadId></InitiateMultipartUploadResult>";
const COMPLETED: &str =
    "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";

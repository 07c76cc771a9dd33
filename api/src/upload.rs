//! Takes in forms (multipart/form-data) piece by piece, so that no file is ever whole in memory unless it is short.
//!
//! A file goes to a temporary file in the archive, which is gone when whoever holds it drops it: when the client goes
//! away, when the form is refused, when the work is registered.

use std::future::poll_fn;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use timemark_verify::{Claim, WorkDigests, WorkHasher};
use tokio::time::timeout;

use crate::blocking;
use crate::problem::{Kind, Problem};

/// Which parts a form may have.
pub(crate) struct Fields {
    /// Files, and what becomes of each.
    pub files: &'static [(&'static str, Taking)],
    /// Short texts.
    pub texts: &'static [&'static str],
}

/// What becomes of a file.
#[derive(Clone, Copy)]
pub(crate) enum Taking {
    /// It is written to a temporary file.
    Disk,
    /// Only its digests are computed.
    Digests,
    /// It is held in memory, up to so many bytes.
    Memory(usize),
}

/// A form that came whole.
#[derive(Default)]
pub(crate) struct Form {
    files: Vec<(&'static str, Taken)>,
    texts: Vec<(&'static str, String)>,
}

enum Taken {
    Disk(Upload),
    Digests(WorkDigests),
    Memory(Vec<u8>),
}

/// A file in the archive until it is dropped.
pub(crate) struct Upload {
    file: NamedTempFile,
    /// The last part of the name that the client gave it.
    pub name: Option<String>,
    pub sha256: [u8; 32],
    /// Its first bytes.
    pub start: Vec<u8>,
}

impl Upload {
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Moves it to where it stays, on the same disk.
    pub fn keep(self, to: &Path) -> io::Result<()> {
        self.file.persist(to).map(drop).map_err(|error| error.error)
    }
}

impl Form {
    /// Reads the body of a request, of no more bytes than these, into this folder.
    pub async fn read(
        request: Request,
        fields: &Fields,
        dir: &Path,
        bytes_max: u64,
    ) -> Result<Form, Problem> {
        let (parts, body) = request.into_parts();
        let body = Arc::new(Mutex::new(body));
        let gauge = Arc::new(Gauge { bytes_max, ..Gauge::default() });
        let watched = Watched { inner: body.clone(), gauge: gauge.clone() };
        let mut request = Request::from_parts(parts, Body::new(watched));
        DefaultBodyLimit::disable().apply(&mut request); // the gauge has its own
        let form = Form::parse(request, fields, dir, &gauge).await;
        if form.is_err() {
            drain(&body).await;
        }
        form
    }

    async fn parse(
        request: Request,
        fields: &Fields,
        dir: &Path,
        gauge: &Gauge,
    ) -> Result<Form, Problem> {
        check_type(request.headers(), "multipart/form-data")?;
        check_length(request.headers(), gauge.bytes_max)?;
        let mut multipart = Multipart::from_request(request, &()).await?;
        let mut form = Form::default();
        while let Some(mut field) = in_time(multipart.next_field(), gauge).await? {
            let name = field.name().unwrap_or_default().to_owned();
            if let Some(name) = fields.texts.iter().find(|known| **known == name) {
                form.refuse_second(name)?;
                form.texts.push((name, text(&mut field, name, gauge).await?));
            } else if let Some((name, taking)) = fields.files.iter().find(|(k, _)| *k == name) {
                form.refuse_second(name)?;
                form.files.push((name, file(&mut field, *taking, dir, gauge).await?));
            } else {
                let files = fields.files.iter().map(|(name, _)| *name);
                let known: Vec<_> = files.chain(fields.texts.iter().copied()).collect();
                return Err(Problem::bad_request(format!(
                    "the form has a part {name:?}; it may have {}",
                    known.join(", ")
                )));
            }
        }
        Ok(form)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    /// Whether a text says `true`; left away, it is `false`.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::bad_request(format!("{name} is true or false"))),
        }
    }

    pub fn take_upload(&mut self, name: &str) -> Result<Upload, Problem> {
        match self.take(name) {
            Some(Taken::Disk(upload)) => Ok(upload),
            _ => Err(missing(name)),
        }
    }

    pub fn take_digests(&mut self, name: &str) -> Result<WorkDigests, Problem> {
        match self.take(name) {
            Some(Taken::Digests(digests)) => Ok(digests),
            _ => Err(missing(name)),
        }
    }

    pub fn take_bytes(&mut self, name: &str) -> Option<Vec<u8>> {
        match self.take(name) {
            Some(Taken::Memory(bytes)) => Some(bytes),
            _ => None,
        }
    }

    fn take(&mut self, name: &str) -> Option<Taken> {
        let at = self.files.iter().position(|(known, _)| *known == name)?;
        Some(self.files.swap_remove(at).1)
    }

    fn refuse_second(&self, name: &str) -> Result<(), Problem> {
        let files = self.files.iter().map(|(known, _)| *known);
        if files.chain(self.texts.iter().map(|(known, _)| *known)).any(|known| known == name) {
            return Err(Problem::bad_request(format!("the form has two parts {name:?}")));
        }
        Ok(())
    }
}

/// A part that has to be there.
pub(crate) fn missing(name: &str) -> Problem {
    Problem::bad_request(format!("the form has no file {name:?}"))
}

/// Refuses a body of another type.
pub(crate) fn check_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Problem::new(Kind::UnsupportedMediaType, format!("the body is to be {wanted}")))
}

/// Refuses a body that says that it is too long before it is read.
fn check_length(headers: &HeaderMap, bytes_max: u64) -> Result<(), Problem> {
    let length = headers.get(axum::http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bytes_max) { Err(too_large(bytes_max)) } else { Ok(()) }
}

fn too_large(bytes_max: u64) -> Problem {
    Problem::new(Kind::TooLarge, format!("a body may have {bytes_max} bytes"))
}

async fn text(field: &mut Field<'_>, name: &str, gauge: &Gauge) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(field.chunk(), gauge).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > Claim::TEXT_BYTES_MAX {
            let detail = format!("{name} takes more than {} bytes", Claim::TEXT_BYTES_MAX);
            return Err(Problem::new(Kind::TextTooLong, detail));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad_request(format!("{name} is not UTF-8")))
}

async fn file(
    field: &mut Field<'_>,
    taking: Taking,
    dir: &Path,
    gauge: &Gauge,
) -> Result<Taken, Problem> {
    let name = match field.file_name().map(last_part) {
        Some(name) if name.len() > NAME_BYTES_MAX => {
            let detail = format!("a file name may have {NAME_BYTES_MAX} bytes");
            return Err(Problem::bad_request(detail));
        }
        name => name.filter(|name| !name.is_empty()).map(str::to_owned),
    };
    let dir = dir.to_owned();
    let mut sink = blocking(move || Sink::open(taking, &dir)).await?.map_err(Problem::of_disk)?;
    loop {
        let mut batch = Vec::new();
        while batch.len() < BATCH_BYTES {
            let Some(chunk) = in_time(field.chunk(), gauge).await? else { break };
            batch.extend_from_slice(&chunk);
        }
        let is_last = batch.len() < BATCH_BYTES;
        if let (Sink::Memory(held), Taking::Memory(most)) = (&sink, taking)
            && held.len() + batch.len() > most
        {
            let detail = format!("this part may have {most} bytes");
            return Err(Problem::new(Kind::TooLarge, detail));
        }
        sink = blocking(move || sink.take(&batch)).await?.map_err(Problem::of_disk)?;
        if is_last {
            return Ok(sink.finish(name));
        }
    }
}

/// What a client calls a file, without folders of its own.
fn last_part(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// Where the bytes of a file go.
enum Sink {
    Disk { file: NamedTempFile, sha256: Sha256, start: Vec<u8> },
    Digests(Box<WorkHasher>),
    Memory(Vec<u8>),
}

impl Sink {
    fn open(taking: Taking, dir: &Path) -> io::Result<Sink> {
        Ok(match taking {
            Taking::Disk => {
                let (file, sha256) = (NamedTempFile::new_in(dir)?, Sha256::new());
                Sink::Disk { file, sha256, start: Vec::new() }
            }
            Taking::Digests => Sink::Digests(Box::new(WorkHasher::new())),
            Taking::Memory(_) => Sink::Memory(Vec::new()),
        })
    }

    fn take(mut self, batch: &[u8]) -> io::Result<Sink> {
        match &mut self {
            Sink::Disk { file, sha256, start } => {
                let wanted = START_BYTES.saturating_sub(start.len()).min(batch.len());
                start.extend_from_slice(&batch[..wanted]);
                sha256.update(batch);
                file.write_all(batch)?;
            }
            Sink::Digests(hasher) => hasher.update(batch),
            Sink::Memory(bytes) => bytes.extend_from_slice(batch),
        }
        Ok(self)
    }

    fn finish(self, name: Option<String>) -> Taken {
        match self {
            Sink::Disk { file, sha256, start } => {
                Taken::Disk(Upload { file, name, sha256: sha256.finalize().into(), start })
            }
            Sink::Digests(hasher) => Taken::Digests(hasher.finish()),
            Sink::Memory(bytes) => Taken::Memory(bytes),
        }
    }
}

/// The next piece of a form, unless the client is too slow.
async fn in_time<T>(
    next: impl Future<Output = Result<T, MultipartError>>,
    gauge: &Gauge,
) -> Result<T, Problem> {
    let next = timeout(PIECE_TIME_MAX, next).await.map_err(|_| {
        let seconds = PIECE_TIME_MAX.as_secs();
        Problem::new(Kind::Timeout, format!("nothing arrived for {seconds} s"))
    })?;
    match next {
        Ok(piece) => {
            gauge.unparsed.store(0, Ordering::Relaxed);
            Ok(piece)
        }
        Err(_) if gauge.is_exceeded.load(Ordering::Relaxed) => Err(too_large(gauge.bytes_max)),
        Err(error) => Err(Problem::bad_request(error.body_text())),
    }
}

/// How much of a body came, and how much of that made no piece of a form yet: the parser holds a part's head, and what
/// precedes the first part, in memory.
#[derive(Default)]
struct Gauge {
    bytes_max: u64,
    bytes: AtomicU64,
    unparsed: AtomicU64,
    is_exceeded: AtomicBool,
}

/// A body that ends with an error where it is longer than it may be.
struct Watched {
    inner: Arc<Mutex<Body>>,
    gauge: Arc<Gauge>,
}

fn poll(body: &Mutex<Body>, context: &mut Context<'_>) -> Poll<Option<Result<Frame, axum::Error>>> {
    let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
    Pin::new(&mut *body).poll_frame(context)
}

/// Reads on for a moment after a form was refused: a client that is still sending when its connection ends would not see why.
async fn drain(body: &Mutex<Body>) {
    let mut left = DRAINED_BYTES_MAX;
    let draining = async {
        while let Some(Ok(frame)) = poll_fn(|context| poll(body, context)).await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(DRAINING_TIME_MAX, draining).await;
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, axum::Error>>> {
        let frame = poll(&self.inner, context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            let (gauge, length) = (&self.gauge, data.len() as u64);
            let bytes = gauge.bytes.fetch_add(length, Ordering::Relaxed) + length;
            // Of what came before: this piece is for the parser to look at.
            let cost = length.max(FRAME_COST_MIN);
            let unparsed = gauge.unparsed.fetch_add(cost, Ordering::Relaxed);
            if bytes > gauge.bytes_max || unparsed > UNPARSED_BYTES_MAX {
                gauge.is_exceeded.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(axum::Error::new("the body is too long"))));
            }
        }
        frame
    }
}

type Frame = hyper::body::Frame<Bytes>;

/// How long the next piece of a body may take.
const PIECE_TIME_MAX: Duration = Duration::from_secs(20);
/// Bytes that go to the disk, or into the digests, at a time.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes that may come without any of them being part of a file or text.
const UNPARSED_BYTES_MAX: u64 = 1 << 20;
/// What each frame counts for at least: the parser looks at all that is unparsed for each.
const FRAME_COST_MIN: u64 = 256;
/// Bytes, and how long, a refused form is read on.
const DRAINED_BYTES_MAX: usize = 8 << 20;
const DRAINING_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes of a file that are looked at before it is registered.
const START_BYTES: usize = 64;
/// Longest file name that file systems take.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields =
        Fields { files: &[("file", Taking::Disk), ("note", Taking::Memory(4))], texts: &["title"] };

    async fn read(body: impl Into<Body>, bytes_max: u64) -> (Result<Form, Problem>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let request = Request::post("/")
            .header(CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body(body.into())
            .unwrap();
        let form = Form::read(request, &FIELDS, dir.path(), bytes_max).await;
        let left = dir.path().read_dir().unwrap().count();
        (form, left)
    }

    fn part(head: &str, body: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
    }

    #[tokio::test]
    async fn a_form_gives_its_files_and_texts_in_any_order() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let parts = [
                part("name=\"file\"; filename=\"../../etc/C:\\\\a b.jpg\"", "bytes"),
                part("name=\"title\"", "A title"),
                part("name=\"note\"; filename=n", "four"),
            ];
            let body: String = order.iter().map(|at| &*parts[*at]).collect();
            let (form, files) = read(body + "--b--\r\n", 1 << 20).await;
            let mut form = form.unwrap();
            assert_eq!((form.text("title"), files), (Some("A title"), 1));
            let upload = form.take_upload("file").unwrap();
            assert_eq!(upload.name.as_deref(), Some("a b.jpg"));
            assert_eq!(upload.sha256, <[u8; 32]>::from(Sha256::digest(b"bytes")));
            assert_eq!(form.take_bytes("note").unwrap(), b"four");
            assert!(form.take_bytes("note").is_none() && form.take_upload("file").is_err());
        }
    }

    #[tokio::test]
    async fn a_form_that_is_refused_leaves_nothing_behind() {
        let file = part("name=\"file\"; filename=a", &"x".repeat(3 << 20));
        let long_head = format!("name=\"file\"; filename=\"{}\"", "n".repeat(300));
        for body in [
            String::new(),
            "no form".repeat(1 << 20),
            format!("--b\r\nX: {}", "x".repeat(4 << 20)),
            file.clone(),
            format!("{file}--b\r\n"),
            format!("{file}{file}--b--"),
            format!("{file}{}--b--", part("name=\"other\"", "1")),
            format!("{file}{}--b--", part("", "1")),
            format!("{file}{}--b--", part("name=\"note\"", "12345")),
            format!("{}--b--", part("name=\"title\"", &"t".repeat(1 << 20))),
            format!("{}--b--", part(&long_head, "1")),
        ] {
            let start: String = body.chars().take(40).collect();
            let (form, left) = read(body, 32 << 20).await;
            assert!(form.is_err_and(|problem| !problem.is_ours()), "{start}");
            assert_eq!(left, 0, "{start}");
        }
        let body = format!("{file}--b--");
        let (form, left) = read(body.clone(), 2 << 20).await;
        assert!(form.is_err() && left == 0, "it is too long");
        assert!(read(body, 4 << 20).await.0.is_ok());
        // A head without an end is not gathered for ever.
        let gauge = Arc::new(Gauge { bytes_max: 1 << 30, ..Gauge::default() });
        let (mut pieces, mut context) = (0, Context::from_waker(std::task::Waker::noop()));
        loop {
            let inner = Arc::new(Mutex::new(Body::from(vec![b'x'; 100_000])));
            let mut watched = Watched { inner, gauge: gauge.clone() };
            let piece = Pin::new(&mut watched).poll_frame(&mut context);
            if matches!(piece, Poll::Ready(Some(Err(_)))) {
                break;
            }
            pieces += 1;
        }
        assert_eq!(pieces, 11);
    }
}

//! Works on an IPFS node, over the Kubo RPC: pinned there under the address that [`crate::dag`] computes here.
//!
//! The node is told the profile of that address explicitly, and what it answers is compared: a node that chunks
//! otherwise, or lies, is found out before anything counts as stored. What it hands out is verified by the reader.
//! A work is kept as long as it is pinned: the node itself clears away what is not, when it collects garbage. As a
//! node does not write a block that it has, putting a work again does not heal one that its disk altered;
//! [`BlobStore::heal`] removes its blocks first.
//!
//! The RPC is plain HTTP and lets everybody do everything, so it belongs on loopback or a private network. The store
//! takes every recursive pin for one of its own: the node is to serve nothing else.
//!
//! The client is asynchronous and the store is not. A private thread runs the requests; the caller's thread waits for
//! what they send, never longer than its patience, and whoever stops waiting aborts them. Bytes go through a few
//! buffers that are handed back and forth, so that a work of any length takes the same memory.

use std::collections::HashSet;
use std::future::Future;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{AsyncRead, StreamExt};
use ipfs_api_backend_hyper::{
    ApiError, BackendWithGlobalOptions, Error as ClientError, GlobalOptions, IpfsApi, IpfsClient,
    TryFromUri, request,
};
use timemark_verify::WorkHasher;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::blobs::{Address, BlobError, BlobStore, RemoteProblem, Stored, Verified};
use crate::dag::{DagBuilder, DagCid, DagHasher};

/// An IPFS node that keeps works.
pub struct IpfsStore {
    node: Arc<Node>,
}

/// How long a node is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpfsPatience {
    /// For an answer, and from one piece of a work to the next. A node that collects garbage lets others wait.
    pub answer: Duration,
    /// For a work to be flushed and pinned after its last byte, which takes the longer the larger it is.
    pub finish: Duration,
}

impl Default for IpfsPatience {
    fn default() -> IpfsPatience {
        IpfsPatience { answer: Duration::from_secs(60), finish: Duration::from_secs(600) }
    }
}

/// Why an address is none of a node.
#[derive(Debug, thiserror::Error)]
#[error("an IPFS node is named as http://127.0.0.1:5001: no other scheme, no user, no path")]
struct BadUrl;

impl IpfsStore {
    /// The store on the node whose RPC is at `url`, as in `http://127.0.0.1:5001`. It is not asked yet, so that it
    /// may be down.
    pub fn open(url: &str, patience: IpfsPatience) -> Result<IpfsStore, BlobError> {
        let failed = |source| BlobError::Remote {
            store: format!("the IPFS node {url}"),
            problem: RemoteProblem::Failed,
            source: Some(source),
        };
        let url = base_url(url).ok_or_else(|| failed(BadUrl.into()))?;
        let client = <IpfsClient as TryFromUri>::from_str(&url).map_err(|e| failed(e.into()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ipfs")
            .enable_all()
            .build()
            .map_err(|error| failed(error.into()))?;
        let node = Node { url, client, patience, runtime: Some(runtime) };
        Ok(IpfsStore { node: Arc::new(node) })
    }

    /// Streams a work to the node; where it is `known`, its last byte goes only if it is that work.
    fn add(&self, bytes: &mut dyn Read, known: Option<&Address>) -> Result<Stored, BlobError> {
        let node = &*self.node;
        let (mut upload, body) = Upload::new();
        let client = node.client.clone();
        let over = body.spare.clone();
        let adding = node.start(async move {
            let added = client.add_async_with_options(body, profile()).await;
            let _ = over.send(None);
            added.map(|added| added.hash)
        })?;
        // Whatever returns before `End` is sent breaks the request off, and the node keeps nothing.
        let stored = match upload.send_all(bytes, node.patience.answer) {
            Ok(stored) => stored,
            Err(Stop::Source(error)) => return Err(BlobError::Source(error)),
            Err(Stop::TimedOut) => return Err(node.error(Trouble::TimedOut(node.patience.answer))),
            Err(Stop::Ended) => {
                // The request is over before the work is, and says why.
                let why = adding.wait(node.patience.answer);
                let early = || Trouble::lied("an answer after the whole work", "one before it");
                return Err(node.error(why.err().unwrap_or_else(early)));
            }
        };
        if let Some(at) = known
            && stored.address() != *at
        {
            return Err(BlobError::Altered { id: at.content });
        }
        upload.end();
        let said = adding.wait(node.patience.finish).map_err(|trouble| node.error(trouble))?;
        let expected = stored.dag.to_string();
        if said != expected {
            // It stays there: what a liar names may be another work, which must not be unpinned.
            return Err(node.error(Trouble::lied(&expected, &said)));
        }
        if !node.has_pinned(&stored.dag)? {
            return Err(node.error(Trouble::lied(&format!("that {expected} is pinned"), "no")));
        }
        Ok(stored)
    }
}

impl BlobStore for IpfsStore {
    fn name(&self) -> String {
        self.node.name()
    }

    fn put(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        self.add(bytes, None)
    }

    fn put_as(&self, at: &Address, bytes: &mut dyn Read) -> Result<(), BlobError> {
        self.add(bytes, Some(at)).map(|_| ())
    }

    /// Asks whether it is pinned first: for a work that it does not have, a node may search the network for ever.
    fn get(&self, at: &Address) -> Result<Box<dyn Read + Send>, BlobError> {
        if !self.has(at)? {
            return Err(BlobError::Missing { id: at.content });
        }
        let reader = Download::start(&self.node, &at.dag)?;
        Ok(Box::new(Verified::new(at.content, reader)))
    }

    fn has(&self, at: &Address) -> Result<bool, BlobError> {
        self.node.has_pinned(&at.dag)
    }

    fn remove(&self, at: &Address) -> Result<(), BlobError> {
        self.node.unpin(&at.dag)
    }

    /// A node does not write a block that it has, so those of the work go first. One that another work shares stays as long
    /// as that is pinned.
    fn heal(&self, at: &Address, bytes: &mut dyn Read) -> Result<(), BlobError> {
        let mut spool = tempfile::tempfile().map_err(in_spool)?;
        let mut blocks = HashSet::new();
        let mut dag = DagBuilder::new(|cid, _block: &[u8]| {
            blocks.insert(cid);
            Ok::<(), std::convert::Infallible>(())
        });
        let mut buffer = vec![0; SPOOL_BYTES];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    let Ok(()) = dag.update(&buffer[..read]);
                    spool.write_all(&buffer[..read]).map_err(in_spool)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(BlobError::Source(error)),
            }
        }
        let Ok(root) = dag.finish();
        if root != at.dag {
            return Err(BlobError::Altered { id: at.content });
        }
        self.node.unpin(&at.dag)?;
        for block in blocks {
            let (client, cid) = (self.node.client.clone(), block.to_string());
            let asked = self.node.start(async move { client.block_rm(&cid).await })?;
            // What cannot be removed shows when the work is read again.
            let _ = asked.wait(self.node.patience.answer);
        }
        spool.rewind().map_err(in_spool)?;
        self.put_as(at, &mut spool)
    }

    /// Nothing to do: a node answers `add` after it has written and pinned, and the RPC offers no flush. That its
    /// writes outlast a power cut is set in its own configuration (`Datastore.Spec`, where `sync` is the default).
    fn sync(&self) -> Result<(), BlobError> {
        Ok(())
    }
}

fn in_spool(source: io::Error) -> BlobError {
    BlobError::Io { path: std::env::temp_dir(), source }
}

/// The node as the requests see it. Readers hold on to it, and outlive the store.
struct Node {
    url: String,
    client: IpfsClient,
    patience: IpfsPatience,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl Node {
    fn name(&self) -> String {
        format!("the IPFS node {}", self.url)
    }

    /// Whether it is pinned for itself, rather than as a part of a longer work.
    fn has_pinned(&self, dag: &DagCid) -> Result<bool, BlobError> {
        let (client, cid) = (self.client.clone(), dag.to_string());
        let key = cid.clone();
        let asked = self.start(async move { client.pin_ls(Some(&key), Some(RECURSIVE)).await })?;
        let keys = match asked.wait(self.patience.answer) {
            Ok(answer) => answer.keys,
            Err(trouble) if trouble.says_not_pinned() => return Ok(false),
            Err(trouble) => return Err(self.error(trouble)),
        };
        match keys.get(&cid) {
            Some(pin) if pin.typ == RECURSIVE => Ok(true),
            Some(pin) => Err(self.error(Trouble::lied(RECURSIVE, &pin.typ))),
            None => {
                let others = keys.into_keys().next().unwrap_or_else(|| "nothing".to_owned());
                Err(self.error(Trouble::lied(&cid, &others)))
            }
        }
    }

    fn unpin(&self, dag: &DagCid) -> Result<(), BlobError> {
        let (client, cid) = (self.client.clone(), dag.to_string());
        let asked = self.start(async move { client.pin_rm(&cid, true).await })?;
        match asked.wait(self.patience.answer) {
            Err(trouble) if !trouble.says_not_pinned() => Err(self.error(trouble)),
            _ => Ok(()),
        }
    }

    /// Starts a request on the private thread.
    fn start<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, ClientError>> + Send + 'static,
    ) -> Result<Asked<T>, BlobError> {
        let (tell, answer) = channel();
        let task = self.spawn(async move {
            // Nobody listens any more when this fails.
            let _ = tell.send(request.await);
        })?;
        Ok(Asked { answer, _task: task })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<Task, BlobError> {
        match &self.runtime {
            Some(runtime) => Ok(Task(runtime.spawn(task))),
            None => Err(self.error(Trouble::Stopped)),
        }
    }

    /// What went wrong, in the words of the trait.
    fn error(&self, trouble: Trouble) -> BlobError {
        let problem = match &trouble {
            Trouble::TimedOut(patience) => RemoteProblem::TimedOut(patience.as_secs()),
            Trouble::Lied { expected, said } => {
                RemoteProblem::Lied { expected: expected.clone(), said: said.clone() }
            }
            Trouble::Client(ClientError::Client(error))
                if error.is_connect()
                    || error.is_incomplete_message()
                    || error.is_canceled()
                    || is_broken_off(error) =>
            {
                RemoteProblem::Unreachable
            }
            Trouble::Client(error) => {
                let words = error.to_string().to_lowercase();
                let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
                if says(NO_ROOM) {
                    RemoteProblem::Full
                } else if says(NO_ENTRY) {
                    RemoteProblem::Denied
                } else {
                    RemoteProblem::Failed
                }
            }
            Trouble::Stopped => RemoteProblem::Failed,
        };
        let source = match trouble {
            Trouble::Client(error) => Some(error.into()),
            _ => None,
        };
        BlobError::Remote { store: self.name(), problem, source }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Without waiting, which a caller that is a task of another runtime could not do.
            runtime.shutdown_background();
        }
    }
}

/// A request under way. It is broken off when this is dropped.
struct Asked<T> {
    answer: Receiver<Result<T, ClientError>>,
    _task: Task,
}

impl<T> Asked<T> {
    fn wait(self, patience: Duration) -> Result<T, Trouble> {
        received(&self.answer, patience)?.map_err(Trouble::Client)
    }
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What can come of a request, other than what was asked for.
enum Trouble {
    TimedOut(Duration),
    Client(ClientError),
    Lied {
        expected: String,
        said: String,
    },
    /// The task is gone without a word.
    Stopped,
}

impl Trouble {
    fn lied(expected: &str, said: &str) -> Trouble {
        let said = said.chars().take(SAID_CHARS_MAX).collect();
        Trouble::Lied { expected: expected.to_owned(), said }
    }

    /// Whether it is only the node's way of saying no, which it words as a failure.
    fn says_not_pinned(&self) -> bool {
        match self {
            Trouble::Client(ClientError::Api(ApiError { message, .. })) => {
                NOT_PINNED.iter().any(|phrase| message.contains(phrase))
            }
            _ => false,
        }
    }
}

fn received<T>(receiver: &Receiver<T>, patience: Duration) -> Result<T, Trouble> {
    receiver.recv_timeout(patience).map_err(|error| match error {
        RecvTimeoutError::Timeout => Trouble::TimedOut(patience),
        RecvTimeoutError::Disconnected => Trouble::Stopped,
    })
}

/// The caller's end of a work on its way to the node.
struct Upload {
    /// Buffers that the node has taken; `None` when the request is over, for which it need not take them all.
    spare: Receiver<Option<Vec<u8>>>,
    pieces: mpsc::UnboundedSender<Piece>,
}

/// The request's end of it.
struct UploadBody {
    pieces: mpsc::UnboundedReceiver<Piece>,
    spare: Sender<Option<Vec<u8>>>,
    /// What is being sent, and where it goes on.
    current: Option<(Vec<u8>, usize)>,
    ended: bool,
}

enum Piece {
    Bytes(Vec<u8>),
    /// The work is whole. A body that gets no `End` fails, so that the node never takes a part for the work.
    End,
}

/// Why a work is not sent to its end.
enum Stop {
    Source(io::Error),
    TimedOut,
    Ended,
}

impl Upload {
    fn new() -> (Upload, UploadBody) {
        let (pieces, body_pieces) = mpsc::unbounded_channel();
        let (body_spare, spare) = channel();
        for _ in 0..PIECES {
            let _ = body_spare.send(Some(Vec::new()));
        }
        let upload = Upload { spare, pieces };
        let body =
            UploadBody { pieces: body_pieces, spare: body_spare, current: None, ended: false };
        (upload, body)
    }

    /// Sends all bytes, but not that they are all. The source may take its time; the node may not.
    fn send_all(&mut self, bytes: &mut dyn Read, patience: Duration) -> Result<Stored, Stop> {
        let (mut hasher, mut dag) = (WorkHasher::new(), DagHasher::new());
        loop {
            let mut buffer = match self.spare.recv_timeout(patience) {
                Ok(Some(buffer)) => buffer,
                Err(RecvTimeoutError::Timeout) => return Err(Stop::TimedOut),
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return Err(Stop::Ended),
            };
            buffer.resize(PIECE_BYTES, 0);
            let read = loop {
                match bytes.read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    read => break read.map_err(Stop::Source)?,
                }
            };
            if read == 0 {
                return Ok(Stored { digests: hasher.finish(), dag: dag.finish() });
            }
            buffer.truncate(read);
            hasher.update(&buffer);
            dag.update(&buffer);
            self.pieces.send(Piece::Bytes(buffer)).map_err(|_| Stop::Ended)?;
        }
    }

    /// Lets the node have the work.
    fn end(&self) {
        // If the request is over already, its answer says why.
        let _ = self.pieces.send(Piece::End);
    }
}

impl AsyncRead for UploadBody {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some((mut piece, from)) = self.current.take() {
                let length = out.len().min(piece.len() - from);
                out[..length].copy_from_slice(&piece[from..from + length]);
                if from + length < piece.len() {
                    self.current = Some((piece, from + length));
                } else {
                    piece.clear();
                    let _ = self.spare.send(Some(piece));
                }
                return Poll::Ready(Ok(length));
            }
            if self.ended {
                return Poll::Ready(Ok(0));
            }
            match ready!(self.pieces.poll_recv(context)) {
                Some(Piece::Bytes(piece)) => self.current = Some((piece, 0)),
                Some(Piece::End) => self.ended = true,
                None => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
            }
        }
    }
}

/// A work on its way from the node.
struct Download {
    /// `None` ends it.
    pieces: Receiver<Option<Result<Bytes, ClientError>>>,
    /// How many more pieces may be on the way.
    wanted: Arc<Semaphore>,
    current: Bytes,
    ended: bool,
    node: Arc<Node>,
    _task: Task,
}

impl Download {
    fn start(node: &Arc<Node>, dag: &DagCid) -> Result<Download, BlobError> {
        // Whoever pinned it has it, and need not search the network.
        let options = GlobalOptions { offline: Some(true), timeout: None };
        let client = BackendWithGlobalOptions::new(node.client.clone(), options);
        let mut stream = client.cat(&dag.to_string());
        let (tell, pieces) = channel();
        let wanted = Arc::new(Semaphore::new(PIECES));
        let may_send = Arc::clone(&wanted);
        let task = node.spawn(async move {
            while let Ok(permit) = may_send.acquire().await {
                permit.forget(); // the reader gives another
                let piece = stream.next().await;
                let is_last = !matches!(piece, Some(Ok(_)));
                if tell.send(piece).is_err() || is_last {
                    return;
                }
            }
        })?;
        let node = Arc::clone(node);
        Ok(Download { pieces, wanted, current: Bytes::new(), ended: false, node, _task: task })
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            let piece = match received(&self.pieces, self.node.patience.answer) {
                Ok(Some(piece)) => piece.map_err(Trouble::Client),
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(trouble) => Err(trouble),
            };
            self.current = piece.map_err(|trouble| io::Error::other(self.node.error(trouble)))?;
            self.wanted.add_permits(1);
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Whether the other end is gone: whoever writes to a node that was just killed learns it from the system, in one of
/// several words, by where the last packet was.
fn is_broken_off(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::BrokenPipe
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::NotConnected
            )
        })
    })
}

/// `http://host:port`, where that is what it says.
fn base_url(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let bare = url.scheme() == "http"
        && url.path() == "/"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    bare.then(|| format!("http://{host}:{port}"))
}

/// The profile of [`crate::dag`], with nothing left to what a node has configured.
fn profile() -> request::Add<'static> {
    request::Add {
        cid_version: Some(1),
        raw_leaves: Some(true),
        chunker: Some("size-262144"),
        hash: Some("sha2-256"),
        trickle: Some(false),
        inline: Some(false),
        pin: Some(true),
        ..request::Add::default()
    }
}

const SPOOL_BYTES: usize = 256 << 10;
/// The kind of pin that keeps a whole work.
const RECURSIVE: &str = "recursive";
/// How Kubo and js-ipfs say that there is no such pin, listing and removing.
const NOT_PINNED: &[&str] = &["not pinned", "pinned indirectly"];
/// How the system that a node runs on says that there is no room, in Go's words and Node's, and how Kubo says so.
const NO_ROOM: &[&str] =
    &["no space left", "enospc", "quota exceeded", "edquot", "storage limit exceeded"];
/// How Kubo, or a proxy before it, says that it does not let us.
const NO_ENTRY: &[&str] = &["access denied", "forbidden", "unauthorized"];
/// Bytes of a piece on the way to the node.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces on the way at most, in either direction.
const PIECES: usize = 4;
/// Characters of a wrong answer that are told.
const SAID_CHARS_MAX: usize = 200;

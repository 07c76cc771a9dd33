//! Works in a bucket of Amazon S3, or of anything that speaks like it: `<prefix><2 hex of the SHA-256>/<CID>`, as in a
//! folder of works.
//!
//! A key stands for the same bytes for ever, so any number of writers may put it, and nothing here compares and
//! swaps, which some servers claim to do and do not. What should be there is checked before it becomes visible: a
//! short work is one PUT, a longer one a multipart upload that is completed if its bytes were right and aborted
//! otherwise. What a crash leaves of an upload is invisible; a rule of the bucket for unfinished uploads clears it.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientOptions, MultipartUpload, ObjectStoreExt, RetryConfig};
use sha2::{Digest, Sha256};
use timemark_verify::{ContentId, WorkHasher};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{error::Elapsed, timeout};

use crate::blobs::{Address, BlobError, BlobStore, RemoteProblem, Stored, Verified};
use crate::dag::DagHasher;

/// Where a bucket is, and who we are there.
#[derive(Clone)]
pub struct S3Options {
    /// `http://host:port` or `https://host:port`, the bucket being the path; `None` is Amazon's own of the region.
    pub endpoint: Option<String>,
    /// The bucket, which is to be there.
    pub bucket: String,
    /// Part of what is signed; servers that are not Amazon's have one too.
    pub region: String,
    /// What stands before every key, such as `works/`; may be empty.
    pub prefix: String,
    /// Whose the secret is.
    pub access_key: String,
    /// What requests are signed with.
    pub secret_key: String,
    /// How long to wait.
    pub patience: S3Patience,
    /// A folder for works whose name is not known before they end, and that are too long for memory.
    pub spool: PathBuf,
}

impl S3Options {
    /// Options with Amazon's endpoint and first region, no prefix, and the usual patience.
    pub fn new(bucket: &str, access_key: &str, secret_key: &str, spool: &Path) -> S3Options {
        S3Options {
            endpoint: None,
            bucket: bucket.to_owned(),
            region: REGION.to_owned(),
            prefix: String::new(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            patience: S3Patience::default(),
            spool: spool.to_owned(),
        }
    }
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("prefix", &self.prefix)
            .field("access_key", &self.access_key)
            .field("patience", &self.patience)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

/// How long a server may take before it counts as [`RemoteProblem::TimedOut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct S3Patience {
    /// To accept a connection.
    pub connect: Duration,
    /// To answer one request, with the part that is sent along and all retries.
    pub answer: Duration,
    /// To send the next bytes of a work.
    pub silence: Duration,
}

impl Default for S3Patience {
    fn default() -> S3Patience {
        S3Patience {
            connect: Duration::from_secs(5),
            // A part of 8 MiB at 1 Mbit/s.
            answer: Duration::from_secs(70),
            silence: Duration::from_secs(30),
        }
    }
}

/// A bucket of works. It is for threads that may block, not for tasks of a tokio runtime.
pub struct S3Store {
    remote: Arc<Remote>,
    prefix: String,
    spool: PathBuf,
}

impl S3Store {
    /// A client of the bucket. Nothing is asked of the server yet.
    pub fn open(options: &S3Options) -> Result<S3Store, BlobError> {
        let remote = Arc::new(Remote::new(options)?);
        fs::create_dir_all(&options.spool).map_err(io_error(&options.spool))?;
        let store =
            S3Store { remote, prefix: options.prefix.clone(), spool: options.spool.clone() };
        store.key(&ContentId::of(b""))?; // a prefix that cannot be
        Ok(store)
    }

    fn key(&self, id: &ContentId) -> Result<Key, BlobError> {
        let key = format!("{}{}/{id}", self.prefix, &id.sha256_hex()[..2]);
        Key::parse(key).map_err(|error| self.remote.failed(error.into()))
    }

    fn put_whole(&self, id: &ContentId, work: Vec<u8>) -> Result<(), BlobError> {
        let key = self.key(id)?;
        self.remote.ask(self.remote.client.put(&key, work.into()))?;
        Ok(())
    }
}

impl BlobStore for S3Store {
    fn name(&self) -> String {
        self.remote.name.clone()
    }

    /// Always uploads: what an altered object costs to find is what it costs to replace.
    fn put(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        let mut part = next_part(bytes)?;
        let (mut hasher, mut dag) = (WorkHasher::new(), DagHasher::new());
        hasher.update(&part);
        dag.update(&part);
        if part.len() < PART_BYTES {
            let stored = Stored { digests: hasher.finish(), dag: dag.finish() };
            self.put_whole(&stored.digests.content(), part)?;
            return Ok(stored);
        }
        let mut spooled = tempfile::tempfile_in(&self.spool).map_err(io_error(&self.spool))?;
        while !part.is_empty() {
            spooled.write_all(&part).map_err(io_error(&self.spool))?;
            part = next_part(bytes)?;
            hasher.update(&part);
            dag.update(&part);
        }
        spooled.rewind().map_err(io_error(&self.spool))?;
        let stored = Stored { digests: hasher.finish(), dag: dag.finish() };
        match self.put_as(&stored.address(), &mut spooled) {
            Err(BlobError::Source(source)) => Err(io_error(&self.spool)(source)),
            put => put.map(|()| stored),
        }
    }

    fn put_as(&self, at: &Address, bytes: &mut dyn Read) -> Result<(), BlobError> {
        let mut check = Check { content: Sha256::new(), dag: DagHasher::new() };
        let mut part = next_part(bytes)?;
        check.update(&part);
        if part.len() < PART_BYTES {
            check.finish(at)?;
            return self.put_whole(&at.content, part);
        }
        let mut upload = Upload::start(&self.remote, &self.key(&at.content)?)?;
        for _ in 0..PARTS_MAX {
            upload.send(part)?;
            part = next_part(bytes)?;
            if part.is_empty() {
                check.finish(at)?;
                return upload.complete();
            }
            check.update(&part);
        }
        Err(BlobError::TooLong { id: at.content, bytes_max: (PARTS_MAX * PART_BYTES) as u64 })
    }

    fn get(&self, at: &Address) -> Result<Box<dyn Read + Send>, BlobError> {
        let key = self.key(&at.content)?;
        match self.remote.wait(self.remote.client.get(&key))? {
            Ok(found) => {
                let (remote, rest) = (self.remote.clone(), found.into_stream());
                let body = Body { remote, rest, read: Bytes::new() };
                Ok(Box::new(Verified::new(at.content, body)))
            }
            Err(object_store::Error::NotFound { source, .. }) if !names_no_bucket(&*source) => {
                Err(BlobError::Missing { id: at.content })
            }
            Err(error) => Err(self.remote.failed(error)),
        }
    }

    fn has(&self, at: &Address) -> Result<bool, BlobError> {
        let key = self.key(&at.content)?;
        match self.remote.wait(self.remote.client.head(&key))? {
            Ok(_) => Ok(true),
            // To HEAD, a bucket that is not there says no more than an object that is not there.
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.remote.failed(error)),
        }
    }

    fn remove(&self, at: &Address) -> Result<(), BlobError> {
        let key = self.key(&at.content)?;
        match self.remote.wait(self.remote.client.delete(&key))? {
            Err(object_store::Error::NotFound { source, .. }) if !names_no_bucket(&*source) => {
                Ok(())
            }
            removed => removed.map_err(|error| self.remote.failed(error)),
        }
    }

    /// Nothing to do: the server answered each put when it had made it as durable as it does.
    fn sync(&self) -> Result<(), BlobError> {
        Ok(())
    }
}

/// The client, and the runtime on which it does its work.
struct Remote {
    name: String,
    client: AmazonS3,
    patience: S3Patience,
    /// There until the store is dropped.
    runtime: Option<Runtime>,
}

impl Remote {
    fn new(options: &S3Options) -> Result<Remote, BlobError> {
        let at = match &options.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("Amazon in {}", options.region),
        };
        let name = format!("the S3 bucket {} at {at}", options.bucket);
        let unusable = |source: Box<dyn Error + Send + Sync>| BlobError::Remote {
            store: name.clone(),
            problem: RemoteProblem::Failed,
            source: Some(source),
        };
        // The HTTP client asks for the process's provider of TLS; if another is installed, that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let is_plain = at.starts_with("http://");
        let http = ClientOptions::new()
            .with_allow_http(is_plain)
            // A machine without certificates may still talk to its neighbour.
            .with_no_system_certificates(is_plain)
            .with_connect_timeout(options.patience.connect)
            // Its other time-outs are for whole bodies; ours are for what may stall.
            .with_timeout_disabled()
            .with_read_timeout_disabled();
        let mut client = AmazonS3Builder::new()
            .with_client_options(http)
            .with_allow_http(is_plain)
            .with_retry(retries(&options.patience))
            .with_bucket_name(&options.bucket)
            .with_region(&options.region)
            .with_access_key_id(&options.access_key)
            .with_secret_access_key(&options.secret_key)
            .with_disable_bulk_delete(true);
        if options.endpoint.is_some() {
            if !is_plain && !at.starts_with("https://") {
                return Err(unusable("an endpoint begins with http:// or https://".into()));
            }
            client = client.with_endpoint(at);
        }
        let client = client.build().map_err(|error| unusable(error.into()))?;
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(WORKERS).thread_name("s3").enable_all().build();
        let runtime = runtime.map_err(|error| unusable(error.into()))?;
        Ok(Remote { name, client, patience: options.patience, runtime: Some(runtime) })
    }

    fn runtime(&self) -> Result<&Runtime, BlobError> {
        self.runtime.as_ref().ok_or_else(|| self.problem(RemoteProblem::Failed, None))
    }

    /// Waits for what should succeed.
    fn ask<T>(
        &self,
        answer: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, BlobError> {
        self.wait(answer)?.map_err(|error| self.failed(error))
    }

    /// Waits for an answer, whatever it is.
    fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T, BlobError> {
        self.wait_for(self.patience.answer, answer)
    }

    fn wait_for<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = T>,
    ) -> Result<T, BlobError> {
        let answer = self.runtime()?.block_on(async { timeout(patience, answer).await });
        answer.map_err(|_| self.timed_out(patience))
    }

    fn timed_out(&self, patience: Duration) -> BlobError {
        self.problem(RemoteProblem::TimedOut(patience.as_secs().max(1)), None)
    }

    /// What its client's error means.
    fn failed(&self, error: object_store::Error) -> BlobError {
        use object_store::Error::{PermissionDenied, Unauthenticated};
        let connection = chain(&error).find_map(|cause| cause.downcast_ref::<HttpError>());
        let problem = match (&error, connection.map(HttpError::kind)) {
            _ if says_full(&error) => RemoteProblem::Full,
            (PermissionDenied { .. } | Unauthenticated { .. }, _) => RemoteProblem::Denied,
            (_, Some(HttpErrorKind::Connect)) => RemoteProblem::Unreachable,
            (_, Some(HttpErrorKind::Timeout)) => return self.timed_out(self.patience.connect),
            _ => RemoteProblem::Failed,
        };
        self.problem(problem, Some(error.into()))
    }

    fn problem(
        &self,
        problem: RemoteProblem,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> BlobError {
        BlobError::Remote { store: self.name.clone(), problem, source }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A plain drop waits for the workers, and panics in a task of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A few quick ones, for a connection that was closed while idle; whoever queues works does the waiting.
fn retries(patience: &S3Patience) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_millis(500),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 2, retry_timeout: patience.answer }
}

/// A multipart upload, invisible until it is completed. Unless it is, it goes.
struct Upload<'a> {
    remote: &'a Remote,
    multipart: Box<dyn MultipartUpload>,
    under_way: VecDeque<JoinHandle<Result<object_store::Result<()>, Elapsed>>>,
    completed: bool,
}

impl Upload<'_> {
    fn start<'a>(remote: &'a Remote, key: &Key) -> Result<Upload<'a>, BlobError> {
        let multipart = remote.ask(remote.client.put_multipart(key))?;
        Ok(Upload { remote, multipart, under_way: VecDeque::new(), completed: false })
    }

    /// Sends a part while the next is read, but not more than a few at once.
    fn send(&mut self, part: Vec<u8>) -> Result<(), BlobError> {
        while self.under_way.len() >= PARTS_AT_ONCE {
            self.settle_one()?;
        }
        let sent = self.multipart.put_part(part.into());
        let patience = self.remote.patience.answer;
        let task = async move { timeout(patience, sent).await };
        self.under_way.push_back(self.remote.runtime()?.spawn(task));
        Ok(())
    }

    fn settle_one(&mut self) -> Result<(), BlobError> {
        let Some(part) = self.under_way.pop_front() else { return Ok(()) };
        match self.remote.runtime()?.block_on(part) {
            Ok(Ok(sent)) => sent.map_err(|error| self.remote.failed(error)),
            Ok(Err(_)) => Err(self.remote.timed_out(self.remote.patience.answer)),
            Err(ended) => Err(self.remote.problem(RemoteProblem::Failed, Some(ended.into()))),
        }
    }

    fn complete(mut self) -> Result<(), BlobError> {
        while !self.under_way.is_empty() {
            self.settle_one()?;
        }
        self.remote.ask(self.multipart.complete())?;
        self.completed = true;
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if !self.completed {
            self.under_way.iter().for_each(JoinHandle::abort);
            // What cannot be aborted stays invisible.
            let patience = self.remote.patience.connect;
            let _ = self.remote.wait_for(patience, self.multipart.abort());
        }
    }
}

/// What the bytes of a work have to be.
struct Check {
    content: Sha256,
    dag: DagHasher,
}

impl Check {
    fn update(&mut self, bytes: &[u8]) {
        self.content.update(bytes);
        self.dag.update(bytes);
    }

    fn finish(self, at: &Address) -> Result<(), BlobError> {
        let is_it = self.content.finalize()[..] == at.content.sha256()[..];
        match is_it && self.dag.finish() == at.dag {
            true => Ok(()),
            false => Err(BlobError::Altered { id: at.content }),
        }
    }
}

/// The next part of a source: a full one, unless the source ends with it.
fn next_part(bytes: &mut dyn Read) -> Result<Vec<u8>, BlobError> {
    let mut part = Vec::new();
    bytes.take(PART_BYTES as u64).read_to_end(&mut part).map_err(BlobError::Source)?;
    Ok(part)
}

/// A work as it arrives.
struct Body {
    remote: Arc<Remote>,
    rest: BoxStream<'static, object_store::Result<Bytes>>,
    read: Bytes,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read.is_empty() && !buffer.is_empty() {
            let next = self.remote.wait_for(self.remote.patience.silence, self.rest.next());
            match next.and_then(|next| next.transpose().map_err(|error| self.remote.failed(error)))
            {
                Ok(Some(bytes)) => self.read = bytes,
                Ok(None) => return Ok(0),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let length = buffer.len().min(self.read.len());
        self.read.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// An error and what it comes from.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Status and body of the server's answer, which its client has as text only.
fn answer(error: &(dyn Error + 'static)) -> Option<String> {
    chain(error).find_map(|cause| {
        let text = cause.to_string();
        text.strip_prefix(ANSWER).map(str::to_owned)
    })
}

/// Servers have different words for a full disk and a used up quota; Garage and Ceph answer 403, as to a stranger.
fn says_full(error: &(dyn Error + 'static)) -> bool {
    answer(error).is_some_and(|answer| {
        answer.starts_with("507") || FULL.iter().any(|word| answer.contains(word))
    })
}

fn names_no_bucket(error: &(dyn Error + 'static)) -> bool {
    answer(error).is_some_and(|answer| answer.contains("NoSuchBucket"))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    |source| BlobError::Io { path: path.to_owned(), source }
}

/// The region of servers that have none.
const REGION: &str = "us-east-1";
/// Bytes of a part, and of what is sent or kept at once; S3 wants 5 MiB or more.
const PART_BYTES: usize = 8 << 20;
/// Parts of an upload, by S3's rules: works of up to 78 GiB.
const PARTS_MAX: usize = 10_000;
/// With the one that is being read, three parts of memory for a thread that puts.
const PARTS_AT_ONCE: usize = 2;
/// Threads for all of the store's connections.
const WORKERS: usize = 2;
/// How the client's error for an answer that is no success begins.
const ANSWER: &str = "Server returned non-2xx status code: ";
/// Words of servers that have no room: Garage, Ceph, MinIO.
const FULL: [&str; 4] = ["quota is reached", "QuotaExceeded", "StorageFull", "InsufficientStorage"];

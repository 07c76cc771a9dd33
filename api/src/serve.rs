//! Puts a router on a socket, and takes it off again without breaking off an answer.
//!
//! HTTP/1.1 only: newer versions are a reverse proxy's work. TLS is in tls.rs. Every limit against slow and many
//! clients is here.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_http::timeout::TimeoutLayer;

pub use crate::tls::{Tls, TlsError};

/// Most connections at once; further ones wait to be accepted. A connection has one request at a time.
pub const CONNECTIONS_MAX: usize = 512;
/// Most threads that read, sign and flush.
pub const BLOCKING_THREADS_MAX: usize = 64;
/// How long the head of a request may take, counted from the end of the last answer as well: an idle
/// connection is closed after this.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(20);
/// How long the body of a request and the answer to it may take together; then the status is 408.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a connection may live, so that who reads slowly does not hold it for ever.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(300);
/// How long requests in flight get when the server stops.
pub const GRACE: Duration = Duration::from_secs(10);
/// Longest head of a request in bytes; also what is read ahead.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Serves until SIGTERM or SIGINT, then finishes the requests in flight. `ready` learns the address, whose port
/// the system chooses where `listen` says 0.
pub fn serve(listen: SocketAddr, router: Router, ready: impl FnOnce(SocketAddr)) -> io::Result<()> {
    serve_within(listen, router, REQUEST_TIME_MAX, None, ready, || {})
}

/// As [`serve`], for a server that takes in files: a request may take so long. With `tls` it speaks nothing else. `stopping` is
/// told when the server is to stop, before the requests in flight come to their end. When this returns, what requests began
/// has come to its end.
pub fn serve_within(
    listen: SocketAddr,
    router: Router,
    request_time_max: Duration,
    tls: Option<Tls>,
    ready: impl FnOnce(SocketAddr),
    stopping: impl FnOnce(),
) -> io::Result<()> {
    let listener = bind(listen)?;
    let address = listener.local_addr()?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()?;
    runtime.block_on(async {
        // From here on a signal stops the server and does not kill the process.
        let (mut term, mut int) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        ready(address);
        let stop = async {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            stopping();
        };
        until(listener, router, request_time_max, tls, stop).await
    })
    // The runtime goes here, and waits for the threads that may block.
}

/// A socket that listens.
pub fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until `stop`, then finishes the requests in flight.
pub async fn serve_until(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    until(listener, router, REQUEST_TIME_MAX, None, stop).await
}

async fn until(
    listener: TcpListener,
    router: Router,
    request_time_max: Duration,
    tls: Option<Tls>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router =
        router.layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, request_time_max));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (place, stream))
        };
        let next = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match next {
            Ok((place, stream)) => {
                let (router, stopped, tls) = (router.clone(), stopped.clone(), tls.clone());
                connections.spawn(async move {
                    // Answers are short; without this the last packet of one waits for the client's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    match tls {
                        None => answer_connection(stream, router, request_time_max, stopped).await,
                        Some(tls) => {
                            // What goes wrong with a greeting concerns its client only.
                            let greeted = timeout(HEAD_TIME_MAX, tls.accept(stream)).await;
                            if let Ok(Ok(stream)) = greeted {
                                answer_connection(stream, router, request_time_max, stopped).await;
                            }
                        }
                    }
                    drop(place);
                });
            }
            // One client's broken connection, or no file descriptors left for a moment.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
    drop((listener, stopping));
    // Who has not taken the answer by then does not get it.
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn answer_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: Router,
    request_time_max: Duration,
    mut stopped: watch::Receiver<()>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let grace = tokio::select! {
        // What goes wrong with a connection concerns its client only.
        _ = connection.as_mut() => return,
        // A request may have begun just now.
        () = sleep(CONNECTION_TIME_MAX) => request_time_max,
        _ = stopped.changed() => GRACE,
    };
    connection.as_mut().graceful_shutdown();
    let _ = timeout(grace.max(GRACE), connection).await;
}

//! The way in: connections, TLS, and how long each step of a request may take.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gondola_drivers::transport::TlsServer;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Closing;
use super::problem::Problem;
use super::stall::Stall;

/// Connections at once: every device of a chain's staff, and its programs. Each costs a task and its buffers, some 30 KiB;
/// one more waits until another ends, which a silent one does within [`HEADERS_WITHIN`].
const CONNECTIONS_MAX: usize = 2_048;

/// A request's head is here within this time, also the next one on a connection that is kept.
const HEADERS_WITHIN: Duration = Duration::from_secs(20);

/// TLS is agreed on within this time.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// A request is read and answered within this time: a batch of a thousand on a slow disk takes a second or two.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Something of an answer is taken within this time: a screen that sleeps comes again when it wakes.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// Longest head of a request, and what is buffered of an answer that nobody reads.
const BUFFER_MAX: usize = 64 << 10;

/// How long requests that are under way at shutdown may take to end; a journal's sync is far below it.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A listener that has no file descriptor left tries again after this time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`; then event streams end, requests that are under way are answered, and nothing new is accepted.
pub async fn serve(listener: TcpListener, tls: Option<TlsServer>, router: Router, shutdown: CancellationToken) {
    let router = router.layer(axum::Extension(Closing(shutdown.clone())));
    let (places, connections) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), TaskTracker::new());
    let accept = async || {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes the semaphore");
        loop {
            match listener.accept().await {
                Ok(accepted) => return (place, accepted),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    loop {
        tokio::select! {
            biased;
            // Cancel-safe: a token that is cancelled stays so.
            () = shutdown.cancelled() => break,
            // Cancel-safe: nothing is accepted before it returns.
            (place, (stream, peer)) = accept() => {
                let (router, tls, shutdown) = (router.clone(), tls.clone(), shutdown.clone());
                connections.spawn(async move {
                    let _place = place;
                    if let Err(error) = connection(stream, peer, tls.as_ref(), router, &shutdown).await {
                        tracing::debug!(%peer, %error, "a connection ended early");
                    }
                });
            }
        }
    }
    // Who comes now is turned away at once, and finds the next controller's port free.
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN_MAX, connections.wait()).await.is_err() {
        tracing::warn!("requests that were still open {DRAIN_MAX:?} after shutdown began are cut off");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<&TlsServer>,
    router: Router,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    // Events are small, and each is to be there at once.
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return speak(stream, peer, router, shutdown).await };
    let stream = tokio::time::timeout(HANDSHAKE_WITHIN, tls.wrap(stream)).await??;
    speak(stream, peer, router, shutdown).await
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.call(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN).max_buf_size(BUFFER_MAX);
    let stream = Stall::new(stream, TAKEN_WITHIN);
    let mut speaking = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        // Ends the function.
        ended = speaking.as_mut() => return ended.map_err(io::Error::other),
        // Cancel-safe: a token that is cancelled stays so.
        () = shutdown.cancelled() => speaking.as_mut().graceful_shutdown(),
    }
    speaking.await.map_err(io::Error::other)
}

/// Gives up a request that takes too long to come in or to be answered. An event stream is answered at once.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await;
    let detail =
        || format!("not done within {} s; look whether it was carried out, and try again", ANSWER_WITHIN.as_secs());
    answered.unwrap_or_else(|_| Problem::unavailable(detail()).into_response())
}

//! What people and programs see over HTTP: pages, the REST interface, events, metrics.
//!
//! It reads the stores through their handles and asks them for changes; it keeps no state of its own and
//! decides nothing about labels. There are no accounts yet, so it listens on loopback addresses alone.

mod api;
mod events;
mod guard;
mod pages;
mod picture;
mod problem;
mod request;
mod selection;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use futures_util::future::join_all;
use gondola_protocol::{LabelId, StoreId};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::run::store::StoreHandle;
use problem::Problem;

/// Longest body: 1000 bindings of 8 SKUs of 64 characters are 700 KiB.
const BODY_MAX: usize = 1 << 20;

/// Open event streams: a few screens per store; beyond it somebody forgets to close them.
const EVENT_STREAMS_MAX: usize = 256;

/// A store that does not answer a read for this long is not ready. A read waits behind one turn of news,
/// which takes milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// How long requests that are under way at shutdown may take to end; a journal's sync is far below it.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// One store as the web needs it.
#[derive(Debug, Clone)]
pub struct StoreInfo {
    /// How to reach it.
    pub handle: StoreHandle,
    /// Its name for people, shown even when the store does not answer.
    pub name: String,
}

/// Writes all metrics in the Prometheus text format.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Everything that the web shows.
pub struct Web {
    stores: BTreeMap<StoreId, Shop>,
    metrics: Metrics,
    /// Held while labels are registered: a label belongs to one store, and the stores do not know each other.
    registrations: Mutex<()>,
    event_streams: Arc<Semaphore>,
}

/// One store, and the order of writes to it.
struct Shop {
    handle: StoreHandle,
    name: String,
    /// Held while a request is carried out, so that "unchanged" is only said of what the journal holds. The
    /// items of a batch are carried out together, so this costs a lone request one group commit at most.
    writes: Mutex<()>,
}

/// Cancelled when the process is about to end: event streams end by it.
#[derive(Clone)]
struct Closing(CancellationToken);

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("stores", &self.stores.keys()).finish_non_exhaustive()
    }
}

impl Web {
    /// The web of these stores.
    #[must_use]
    pub fn new(stores: Vec<StoreInfo>, metrics: Metrics) -> Self {
        let shop = |StoreInfo { handle, name }| (handle.id().clone(), Shop { handle, name, writes: Mutex::default() });
        Self {
            stores: stores.into_iter().map(shop).collect(),
            metrics,
            registrations: Mutex::default(),
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
        }
    }

    /// The store that a path names.
    fn shop(&self, id: &str) -> Result<&Shop, Problem> {
        let id: StoreId = id.parse().map_err(Problem::bad_request)?;
        self.stores.get(&id).ok_or_else(|| {
            let known = self.stores.keys().map(StoreId::as_str).collect::<Vec<_>>().join(", ");
            Problem::not_found(format!("store `{id}` is not configured; there are {known}"))
        })
    }
}

/// The label that a path names.
fn label_id(text: &str) -> Result<LabelId, Problem> {
    text.parse().map_err(Problem::bad_request)
}

/// The routes.
pub fn router(web: Web) -> Router {
    Router::new()
        .merge(pages::routes())
        .nest("/v1", api::routes())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(guard::writes))
        .layer(middleware::from_fn(guard::headers))
        .with_state(Arc::new(web))
}

/// Serves until `shutdown`; then event streams end, requests that are under way are answered, and nothing new
/// is accepted.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let router = router.layer(Extension(Closing(shutdown.clone())));
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        biased;
        // Ends the function either way.
        served = async { serving.await } => served,
        // Cancel-safe: it only waits.
        () = drained(shutdown) => {
            tracing::warn!("requests that were still open {DRAIN_MAX:?} after shutdown began are cut off");
            Ok(())
        }
    }
}

async fn drained(shutdown: CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(DRAIN_MAX).await;
}

/// An address that more than this machine reaches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "listen address `{0}` is not a loopback address, and this version has no accounts yet: anybody who reaches it could \
     change bindings; use 127.0.0.1:{port} (and a tunnel)",
    port = .0.port()
)]
pub struct NotLoopback(pub SocketAddr);

/// Whether the web may listen there.
///
/// # Errors
/// [`NotLoopback`], as long as there are no accounts.
pub fn check_listen(addr: SocketAddr) -> Result<(), NotLoopback> {
    if addr.ip().to_canonical().is_loopback() { Ok(()) } else { Err(NotLoopback(addr)) }
}

/// 200 when every store answers and can keep what it is told.
async fn ready(State(web): State<Arc<Web>>) -> Response {
    let answers = web.stores.iter().map(|(id, shop)| async move {
        let read = tokio::time::timeout(
            READY_WITHIN,
            shop.handle.read(|controller, _| controller.journal_trouble().map(str::to_owned)),
        );
        match read.await {
            Ok(Ok(trouble)) => trouble.map(|why| format!("store `{id}` takes no requests: its journal fails: {why}")),
            Ok(Err(gone)) => Some(gone.to_string()),
            Err(_) => Some(format!("store `{id}` did not answer within {READY_WITHIN:?}")),
        }
    });
    let silent: Vec<String> = join_all(answers).await.into_iter().flatten().collect();
    if silent.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, silent.join("\n") + "\n").into_response()
}

async fn metrics(State(web): State<Arc<Web>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (web.metrics)()).into_response()
}

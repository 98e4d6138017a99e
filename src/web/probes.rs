//! What watches the process: whether it lives, whether it answers, and what it counts.
//!
//! `/healthz` and `/readyz` are open, and say nothing but names of stores that are silent. `/metrics` needs a token that
//! may look at every store: behind a proxy every visitor comes from loopback, so that an address proves nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;

use super::Web;
use super::openapi::Told;
use super::routes::{Need, Route, route};
use crate::accounts::Role;
use crate::run::metrics;

/// A store that does not answer a read for this long is not ready. A read waits behind one turn of news,
/// which takes milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/healthz", Need::Nothing, async || "ok\n")
            .tells(Told::of("Whether the process lives").gives_other("text/plain")),
        route(Method::GET, "/readyz", Need::Nothing, ready).tells(
            Told::of("Whether every store answers")
                .gives_other("text/plain")
                .refuses_plainly(StatusCode::SERVICE_UNAVAILABLE),
        ),
        route(Method::GET, "/metrics", Need::Everywhere(Role::Viewer), exposition)
            .tells(Told::of("Metrics in the Prometheus text format").gives_other("text/plain")),
    ]
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

async fn exposition(State(web): State<Arc<Web>>) -> Response {
    let reads = web.stores.iter().map(|(id, shop)| {
        let id = id.to_string();
        tokio::time::timeout(READY_WITHIN, shop.handle.read(move |controller, _| metrics::measure(&id, controller)))
    });
    // What a store that does not answer last said stands.
    let _ = join_all(reads).await;
    ::metrics::gauge!("gondola_event_streams").set(metrics::number(web.event_streams.count()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (web.metrics)()).into_response()
}

//! The control API: what the glasses show, the counters, faults, and what else can be changed.

mod changes;
mod page;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Panel, StationId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Closed, Handle};
use crate::faults::{Fault, FaultError};
use crate::label::LabelState;
use crate::screen::{Scale, png};

/// Clients at once: a test and a browser use fewer; each may hold one answer, 8 MB for 30,000 labels.
const CONNECTIONS_MAX: usize = 16;

/// The largest body is a fault of some 50 bytes.
const BODY_BYTES_MAX: usize = 4_096;

/// Answers that are still being read when the shop closes get this long.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// Serves the control API until `stop`.
pub(super) async fn serve(listener: TcpListener, handle: Handle, stop: CancellationToken) -> io::Result<()> {
    let routes = Router::new()
        .merge(page::routes())
        .route("/labels", get(labels))
        .route("/labels/{label}", get(label))
        .route("/labels/{label}/screen.png", get(screen))
        .route("/labels/{label}/fault", put(fault))
        .route("/labels/{label}/temperature", put(changes::temperature))
        .route("/labels/{label}/drain", post(changes::drain))
        .route("/base-stations/{station}/power", put(changes::power))
        .route("/base-stations/{station}/reboot", post(changes::reboot))
        .route("/radio", put(changes::radio))
        .route("/counters", get(counters))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no such page", PAGES))
        .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no such method", PAGES))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(handle);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let serving =
        axum::serve(Limited { listener, places }, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(CLOSING_MAX).await;
    };
    tokio::select! {
        biased;
        // Neither arm is resumed: both end the server.
        result = async { serving.await } => result,
        () = overdue => Ok(()),
    }
}

/// What there is, for somebody who asked for something else.
const PAGES: &str = "the control API has GET /labels, GET /labels/{label}, GET /labels/{label}/screen.png, GET /floor, \
                     GET /events, PUT /labels/{label}/fault, PUT /labels/{label}/temperature, \
                     POST /labels/{label}/drain, PUT /base-stations/{id}/power, POST /base-stations/{id}/reboot, \
                     PUT /radio, GET /counters, and GET / for a person";

/// A label in `GET /labels`.
#[derive(Serialize)]
struct LabelRow {
    label: LabelId,
    panel: Panel,
    base_station: StationId,
    edition: Edition,
    digest: Digest,
    /// Microseconds since the Unix epoch; null before the first picture.
    displayed_at_us: Option<u64>,
    wakes: u64,
    /// As `displayed_at_us`; null before the first wake.
    woke_at_us: Option<u64>,
    battery_mv: Millivolts,
    temperature_c: i8,
    fault: Option<&'static str>,
}

impl From<LabelState> for LabelRow {
    fn from(state: LabelState) -> Self {
        Self {
            label: state.label,
            panel: state.panel,
            base_station: state.station,
            edition: state.edition,
            digest: state.digest,
            displayed_at_us: state.displayed_at.map(gondola_protocol::Moment::as_micros),
            wakes: state.wakes,
            woke_at_us: state.woke_at.map(gondola_protocol::Moment::as_micros),
            battery_mv: state.battery_mv,
            temperature_c: state.temperature_c,
            fault: state.fault.map(|fault| fault.as_str()),
        }
    }
}

/// The body of `PUT /labels/{label}/fault`.
#[derive(Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
enum FaultBody {
    None,
    Deaf,
    Mute,
    Stuck,
    DeadPixel { x: u16, y: u16 },
    Reset,
}

impl From<FaultBody> for Option<Fault> {
    fn from(body: FaultBody) -> Self {
        match body {
            FaultBody::None => None,
            FaultBody::Deaf => Some(Fault::Deaf),
            FaultBody::Mute => Some(Fault::Mute),
            FaultBody::Stuck => Some(Fault::Stuck),
            FaultBody::DeadPixel { x, y } => Some(Fault::DeadPixel { x, y }),
            FaultBody::Reset => Some(Fault::Reset),
        }
    }
}

/// The query of `GET /labels/{label}/screen.png`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScreenQuery {
    scale: Option<u8>,
}

async fn labels(State(handle): State<Handle>) -> Result<Json<Vec<LabelRow>>, Problem> {
    Ok(Json(handle.labels().await?.into_iter().map(LabelRow::from).collect()))
}

async fn label(State(handle): State<Handle>, Named(label): Named) -> Result<Json<LabelRow>, Problem> {
    let label = label_id(&label)?;
    let state = handle.label(label).await?.ok_or_else(|| Problem::from(FaultError::UnknownLabel(label)))?;
    Ok(Json(state.into()))
}

async fn counters(State(handle): State<Handle>) -> Result<Response, Problem> {
    Ok(Json(handle.counters().await?).into_response())
}

async fn screen(
    State(handle): State<Handle>,
    Named(label): Named,
    query: Result<Query<ScreenQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let label = label_id(&label)?;
    let Query(query) = query.map_err(|rejection| Problem::invalid("the query is wrong", rejection.body_text()))?;
    let planes = handle.screen(label).await?.ok_or_else(|| Problem::from(FaultError::UnknownLabel(label)))?;
    let scale = Scale::new(query.scale.unwrap_or(1), planes.panel())
        .map_err(|error| Problem::invalid("the scale is wrong", error))?;
    // A poster at full size takes tenths of a second: not on a thread that serves others.
    let picture = tokio::task::spawn_blocking(move || png(&planes, scale));
    let picture = picture.await.map_err(|_| Problem::from(Closed))?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")], picture).into_response())
}

async fn fault(
    State(handle): State<Handle>,
    Named(label): Named,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let label = label_id(&label)?;
    let wrong = "the fault is wrong";
    let body = body.map_err(|rejection| Problem::new(rejection.status(), wrong, rejection.body_text()))?;
    let fault: FaultBody = serde_json::from_slice(&body).map_err(|error| Problem::invalid(wrong, error))?;
    handle.set_fault(label, fault.into()).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// What stands in a path, for a label or a base station.
struct Named(String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let wrong = |rejection: PathRejection| Problem::invalid("the address is wrong", rejection.body_text());
        Path::from_request_parts(parts, state).await.map(|Path(name)| Self(name)).map_err(wrong)
    }
}

fn label_id(text: &str) -> Result<LabelId, Problem> {
    text.parse().map_err(|error| Problem::invalid("the label is wrong", error))
}

/// An error as problem details (RFC 9457).
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: impl ToString) -> Self {
        Self { status, title, detail: detail.to_string() }
    }

    fn invalid(title: &'static str, detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, title, detail)
    }
}

impl From<Closed> for Problem {
    fn from(closed: Closed) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the simulated shop is closing", closed)
    }
}

impl From<FaultError> for Problem {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::UnknownLabel(_) => Self::new(StatusCode::NOT_FOUND, "no such label", error),
            FaultError::OutsidePanel { .. } => Self::invalid("the fault is wrong", error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "title": self.title, "detail": self.detail }).to_string();
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

/// Accepts no more connections than it has places: a client that does not read its answer keeps a place,
/// not memory without end.
struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl axum::serve::Listener for Limited {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
        (Placed { stream, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that keeps its place until it is dropped.
struct Placed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

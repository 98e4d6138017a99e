//! Server-sent events: which label changed. A reader reads the state anew; there is no replay.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::future::{self, Either};
use futures_util::stream::{self, Stream, StreamExt};
use gondola_protocol::{LabelId, StoreId};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use utoipa::IntoParams;

use super::problem::Problem;
use super::request::Params;
use super::{Closing, EVENT_STREAMS_MAX, Web};
use crate::accounts::{Role, Visitor};
use crate::fleet::health::Health;
use crate::run::store::StoreHandle;

/// Changed labels that are looked up in one read of the store.
const LOOKUP_MAX: usize = 256;

/// Proxies and browsers drop a stream that is silent for a minute.
const KEEP_ALIVE_PERIOD: Duration = Duration::from_secs(15);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    store: Option<String>,
}

#[derive(Serialize)]
struct Change<'a> {
    store: &'a StoreId,
    label: LabelId,
    /// None once the label is no longer registered.
    health: Option<Health>,
}

/// The events of one store, or of all.
pub(super) async fn events(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Params(query): Params<Query>,
    closing: Option<Extension<Closing>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let permit = Arc::clone(&web.event_streams)
        .try_acquire_owned()
        .map_err(|_| Problem::unavailable(format!("{EVENT_STREAMS_MAX} event streams are open already; close some")))?;
    let changes = match query.store {
        Some(store) => {
            let shop = web.shop(&store)?;
            if !visitor.may_in(Role::Viewer, shop.handle.id()) {
                return Err(Problem::new(StatusCode::FORBIDDEN, format!("store `{store}` is not one of yours")));
            }
            vec![changes(shop.handle.clone()).boxed()]
        }
        None => web.shops(&visitor).map(|shop| changes(shop.handle.clone()).boxed()).collect(),
    };
    let closed = match closing {
        Some(Extension(Closing(closing))) => Either::Left(closing.cancelled_owned()),
        None => Either::Right(future::pending()),
    };
    let events = stream::select_all(changes).take_until(closed).map(move |event| {
        // The stream's place is taken for as long as it lives.
        let _ = &permit;
        Ok(event)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_PERIOD)))
}

/// A store's events from now on; it ends with the store.
fn changes(handle: StoreHandle) -> impl Stream<Item = Event> + Send {
    let watched = handle.watch();
    stream::unfold((handle, watched), |(handle, mut watched)| async move {
        let events = next_events(&handle, &mut watched).await?;
        Some((stream::iter(events), (handle, watched)))
    })
    .flatten()
}

async fn next_events(handle: &StoreHandle, watched: &mut Receiver<LabelId>) -> Option<Vec<Event>> {
    let labels = match watched.recv().await {
        Ok(first) => waiting(first, watched),
        Err(RecvError::Lagged(_)) => None,
        Err(RecvError::Closed) => return None,
    };
    let Some(labels) = labels else {
        // What is still in line is older than what the reader is told to read now.
        *watched = watched.resubscribe();
        return Some(vec![Event::default().event("resync").data("{}")]);
    };
    let looked_up = handle.read(move |controller, now| {
        let health = |label| controller.fleet().label(label).map(|label| Health::of(label, now));
        labels.into_iter().map(|label| (label, health(label))).collect::<Vec<_>>()
    });
    let changes = looked_up.await.ok()?.into_iter().map(|(label, health)| {
        let change = Change { store: handle.id(), label, health };
        let data = serde_json::to_string(&change).expect("a struct of texts is JSON");
        Event::default().event("label").data(data)
    });
    Some(changes.collect())
}

/// The first changed label and those behind it, each once; none when the reader has lagged.
fn waiting(first: LabelId, watched: &mut Receiver<LabelId>) -> Option<BTreeSet<LabelId>> {
    let mut labels = BTreeSet::from([first]);
    while labels.len() < LOOKUP_MAX {
        match watched.try_recv() {
            Ok(label) => labels.insert(label),
            Err(TryRecvError::Lagged(_)) => return None,
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        };
    }
    Some(labels)
}

//! Server-sent events: what changed. A reader reads the state anew; there is no replay.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::future::{self, Either};
use futures_util::stream::{self, Stream, StreamExt};
use gondola_protocol::{LabelId, Moment, StoreId};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use utoipa::IntoParams;

use super::problem::Problem;
use super::request::Params;
use super::{Closing, Web};
use crate::accounts::{Role, Visitor};
use crate::alert;
use crate::catalog::wire::Facet;
use crate::controller::Controller;
use crate::controller::message::Changed;
use crate::fleet::health::Health;
use crate::run::store::StoreHandle;

/// Open event streams: a few screens per store; beyond it somebody forgets to close them.
const STREAMS_MAX: usize = 256;

/// Of those, the ones of one visitor, so that who forgets leaves places for others: a wall of screens under one name.
const STREAMS_OF_VISITOR_MAX: usize = 64;

/// Who has how many event streams open.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Mutex<BTreeMap<String, usize>>,
}

/// One open stream.
struct Place {
    streams: Arc<Streams>,
    visitor: String,
}

impl Streams {
    /// Open streams.
    pub(super) fn count(&self) -> usize {
        self.open().values().sum()
    }

    fn take(streams: &Arc<Self>, visitor: String) -> Result<Place, Problem> {
        let mut open = streams.open();
        let own = open.get(&visitor).copied().unwrap_or_default();
        let (limit, whose) = if own >= STREAMS_OF_VISITOR_MAX {
            (STREAMS_OF_VISITOR_MAX, " of yours")
        } else if open.values().sum::<usize>() >= STREAMS_MAX {
            (STREAMS_MAX, "")
        } else {
            open.insert(visitor.clone(), own + 1);
            drop(open);
            return Ok(Place { streams: Arc::clone(streams), visitor });
        };
        Err(Problem::unavailable(format!("{limit} event streams{whose} are open already; close some")))
    }

    /// Whoever panicked did no more than count.
    fn open(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        match open.get_mut(&self.visitor) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.remove(&self.visitor)),
        }
    }
}

/// Changes that are looked up in one read of the store.
const LOOKUP_MAX: usize = 256;

/// Proxies and browsers drop a stream that is silent for a minute.
const KEEP_ALIVE_PERIOD: Duration = Duration::from_secs(15);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    store: Option<String>,
}

/// What an event tells, beside its kind.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Store {
        store: &'a StoreId,
    },
    Label {
        store: &'a StoreId,
        label: LabelId,
        /// None once the label is no longer registered.
        health: Option<Health>,
        /// The button that somebody pressed, counted from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        button: Option<u8>,
    },
    Alert {
        store: &'a StoreId,
        alert: String,
        state: alert::State,
    },
    Approval {
        store: &'a StoreId,
        facet: Facet,
        key: String,
        /// Of the change that waits; none once none does.
        id: Option<String>,
    },
}

/// The events of one store, or of all.
pub(super) async fn events(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Params(query): Params<Query>,
    closing: Option<Extension<Closing>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Streams::take(&web.event_streams, visitor.who.to_string())?;
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
        let _ = &place;
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

async fn next_events(handle: &StoreHandle, watched: &mut Receiver<Changed>) -> Option<Vec<Event>> {
    let changes = match watched.recv().await {
        Ok(first) => waiting(first, watched),
        Err(RecvError::Lagged(_)) => None,
        Err(RecvError::Closed) => return None,
    };
    let Some(changes) = changes else {
        // What is still in line is older than what the reader is told to read now.
        *watched = watched.resubscribe();
        return Some(vec![Event::default().event("resync").data("{}")]);
    };
    let store = handle.id().clone();
    let read = handle.read(move |controller, now| {
        changes.into_iter().map(|change| event(controller, now, &store, change)).collect::<Vec<_>>()
    });
    read.await.ok()
}

fn event(controller: &Controller, now: Moment, store: &StoreId, changed: Changed) -> Event {
    let of_label = |label, button| {
        let health = controller.fleet().label(label).map(|label| Health::of(label, now));
        Told::Label { store, label, health, button }
    };
    let (kind, told) = match changed {
        Changed::Store => ("store", Told::Store { store }),
        Changed::Label(label) => ("label", of_label(label, None)),
        Changed::Button(label, number) => ("label", of_label(label, Some(number))),
        Changed::Alert(id) => {
            let holds =
                alert::parse_id(&id).is_some_and(|(rule, subject)| controller.alerts().get(rule, &subject).is_some());
            let state = if holds { alert::State::Raised } else { alert::State::Cleared };
            ("alert", Told::Alert { store, alert: id, state })
        }
        Changed::Approval(row) => {
            let id = controller.catalog().held_for(&row).map(|held| held.id.to_string());
            ("approval", Told::Approval { store, facet: row.facet(), key: row.id().to_owned(), id })
        }
    };
    Event::default().event(kind).data(serde_json::to_string(&told).expect("a struct of texts is JSON"))
}

/// The first change and those behind it, each once; none when the reader has lagged.
fn waiting(first: Changed, watched: &mut Receiver<Changed>) -> Option<BTreeSet<Changed>> {
    let mut changes = BTreeSet::from([first]);
    while changes.len() < LOOKUP_MAX {
        match watched.try_recv() {
            Ok(changed) => changes.insert(changed),
            Err(TryRecvError::Lagged(_)) => return None,
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        };
    }
    Some(changes)
}

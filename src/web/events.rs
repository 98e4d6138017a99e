//! Server-sent events: what changed. A reader reads the state anew; there is no replay.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::{self, Either};
use futures_util::stream::{self, Stream, StreamExt};
use gondola_protocol::{LabelId, Moment, StoreId};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio_util::task::TaskTracker;
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

/// Changes that are looked up in one read of the store, so that it is not kept from its work.
const LOOKUP_MAX: usize = 1_024;

/// Changes that are told together: more than a wave brings within [`PAUSE`]. Beyond them it is less to read anew.
const CHANGES_MAX: usize = 8 * LOOKUP_MAX;

/// Between two tellings, so that hundreds of screens cost little in a wave. Nobody sees a quarter of a second, and what
/// changes first is told at once.
const PAUSE: Duration = Duration::from_millis(250);

/// Tellings that wait for a reader: some seconds of a wave. Each is at most a hundred kilobytes, whoever reads it.
const TOLD_MAX: usize = 16;

/// Tells a reader to read everything anew.
const RESYNC: Bytes = Bytes::from_static(b"event: resync\ndata: {}\n\n");

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
) -> Result<Response, Problem> {
    let place = Streams::take(&web.event_streams, visitor.who.to_string())?;
    let told = match query.store {
        Some(store) => {
            let shop = web.shop(&store)?;
            if !visitor.may_in(Role::Viewer, shop.handle.id()) {
                return Err(Problem::new(StatusCode::FORBIDDEN, format!("store `{store}` is not one of yours")));
            }
            vec![heard(shop.events.listen(&shop.handle)).boxed()]
        }
        None => web.shops(&visitor).map(|shop| heard(shop.events.listen(&shop.handle)).boxed()).collect(),
    };
    let closed = match closing {
        Some(Extension(Closing(closing))) => Either::Left(closing.cancelled_owned()),
        None => Either::Right(future::pending()),
    };
    let events = kept_alive(stream::select_all(told)).take_until(closed).map(move |events| {
        // The stream's place is taken for as long as it lives.
        let _ = &place;
        Ok::<_, Infallible>(events)
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response())
}

/// What a reader hears of one store from now on; it ends with the store.
fn heard(told: Receiver<Bytes>) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(told, |mut told| async move {
        match told.recv().await {
            Ok(events) => Some((events, told)),
            Err(RecvError::Lagged(_)) => {
                // What is still in line is older than what the reader is told to read now.
                let told = told.resubscribe();
                Some((RESYNC, told))
            }
            Err(RecvError::Closed) => None,
        }
    })
}

/// Says something that means nothing where there is nothing to say.
fn kept_alive(events: impl Stream<Item = Bytes> + Send + Unpin) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(events, |mut events| async move {
        match tokio::time::timeout(KEEP_ALIVE_PERIOD, events.next()).await {
            Ok(next) => next.map(|next| (next, events)),
            Err(_) => Some((Bytes::from_static(b":\n\n"), events)),
        }
    })
}

/// Tells all readers of a store what changes: looked up and written down once, whoever reads it.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// None while nobody reads.
    told: Mutex<Option<Sender<Bytes>>>,
    tasks: TaskTracker,
}

impl Teller {
    /// What is told from now on.
    fn listen(self: &Arc<Self>, handle: &StoreHandle) -> Receiver<Bytes> {
        let mut told = self.told();
        if let Some(told) = &*told {
            return told.subscribe();
        }
        let (sender, receiver) = broadcast::channel(TOLD_MAX);
        *told = Some(sender.clone());
        drop(told);
        // It ends with its last reader, or with its store.
        self.tasks.spawn(Arc::clone(self).tell(handle.clone(), handle.watch(), sender));
        receiver
    }

    async fn tell(self: Arc<Self>, handle: StoreHandle, mut watched: Receiver<Changed>, told: Sender<Bytes>) {
        loop {
            tokio::select! {
                biased;
                // Cancel-safe: it only looks.
                () = told.closed() => if self.is_alone(&told) { break },
                // What is lost by cancelling it, no reader was there to hear.
                is_there = tell_and_rest(&handle, &mut watched, &told) => if !is_there {
                    self.told().take();
                    break;
                }
            }
        }
    }

    /// Whether nobody reads any more; who comes next starts anew.
    fn is_alone(&self, told: &Sender<Bytes>) -> bool {
        let mut kept = self.told();
        let is_alone = told.receiver_count() == 0;
        if is_alone {
            kept.take();
        }
        is_alone
    }

    /// Whoever panicked had changed nothing yet.
    fn told(&self) -> MutexGuard<'_, Option<Sender<Bytes>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the next change at once, and then what came together in each pause, until nothing did. Whoever begins to listen
/// meanwhile reads the state first. Answers whether the store is still there.
async fn tell_and_rest(handle: &StoreHandle, watched: &mut Receiver<Changed>, told: &Sender<Bytes>) -> bool {
    let mut changes = Changes::default();
    changes.note(watched.recv().await);
    while !changes.is_empty() {
        let Some(events) = changes.told(handle).await else { return false };
        for events in events {
            // Its last reader may just have gone.
            let _ = told.send(events);
        }
        changes = Changes::within(PAUSE, watched).await;
    }
    true
}

/// What changed, each once.
#[derive(Default)]
struct Changes {
    changed: BTreeSet<Changed>,
    /// Some were missed, or they are more than one wants to read of.
    is_beyond: bool,
    has_ended: bool,
}

impl Changes {
    /// Those of a span of time.
    async fn within(time: Duration, watched: &mut Receiver<Changed>) -> Self {
        let mut changes = Self::default();
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        while !changes.has_ended {
            tokio::select! {
                () = &mut end => break,
                received = watched.recv() => changes.note(received),
            }
        }
        changes
    }

    fn note(&mut self, received: Result<Changed, RecvError>) {
        match received {
            Ok(changed) if self.changed.len() < CHANGES_MAX => {
                self.changed.insert(changed);
            }
            Ok(_) | Err(RecvError::Lagged(_)) => self.is_beyond = true,
            Err(RecvError::Closed) => self.has_ended = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.changed.is_empty() && !self.is_beyond && !self.has_ended
    }

    /// As readers get it, in pieces; none once the store has ended.
    async fn told(self, handle: &StoreHandle) -> Option<Vec<Bytes>> {
        if self.has_ended {
            return None;
        }
        if self.is_beyond {
            return Some(vec![RESYNC]);
        }
        let mut told = Vec::new();
        let mut changed = self.changed.into_iter();
        while changed.len() > 0 {
            let changes: Vec<Changed> = changed.by_ref().take(LOOKUP_MAX).collect();
            let store = handle.id().clone();
            let read = handle.read(move |controller, now| {
                changes.into_iter().map(|change| event(controller, now, &store, change)).collect::<String>()
            });
            told.push(read.await.ok().map(Bytes::from)?);
        }
        Some(told)
    }
}

fn event(controller: &Controller, now: Moment, store: &StoreId, changed: Changed) -> String {
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
    let data = serde_json::to_string(&told).expect("a struct of texts is JSON");
    format!("event: {kind}\ndata: {data}\n\n")
}

//! One task per store: it owns the core, performs what the core puts out, and tells it what happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::encode::{self, Packed};
use gondola_drivers::head::{Ahead, HeadEvent, Picture};
use gondola_drivers::station::{StationHandle, StationOrder};
use gondola_protocol::message::Lane;
use gondola_protocol::{Digest, LabelId, Moment, Planes, StationId, StoreId, TransferNumber};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::outbox::Outbox;
use super::pictures::Studio;
use super::publications::message;
use super::reload::ReloadOrder;
use super::way;
use crate::alert::{Rule, State};
use crate::catalog::SnapshotPart;
use crate::catalog::wire::{Facet, Parsed};
use crate::controller::Controller;
use crate::controller::message::{
    Answer, Changed, Delivery, Input, Notice, Output, Publication, Refusal, ReloadReport, Request, Ticket,
};
use crate::fleet::ahead::Switch;
use crate::journal::{AppendError, Entry, Journal, JournalCounters, JournalError, JournalReader, Synced};
use crate::storage::{Pictures, ViewBatch, ViewWriteError, ViewWriter};
use crate::template::{Scene, Templates};

/// News from journal, view, render threads and base stations that wait for the store.
const NEWS_MAX: usize = 8_192;

/// Requests and questions that wait for the store, and feed messages, each: beyond it callers wait, and the broker
/// keeps what it has.
const CALLS_MAX: usize = 256;

/// Changes that a slow watcher may lag behind before it is told to read everything again.
const WATCH_MAX: usize = 4_096;

/// News handled between two looks at the calls, so that neither starves the other.
const TURN_MAX: usize = 512;

/// What the store's parts tell it.
#[derive(Debug)]
pub enum News {
    /// From a base station.
    Station(StationId, HeadEvent),
    /// A base station that is not configured was turned away.
    TurnedAway(StationId),
    /// A picture was made.
    Rendered(TransferNumber, Planes, Option<Packed>),
    /// The journal holds more.
    Synced(Synced),
    /// The journal can hold no more.
    JournalFailed(JournalError),
    /// The view holds the batches up to this number.
    Stored(u64),
}

type Question = Box<dyn FnOnce(&Controller, Moment) + Send>;

/// What sources tell the store. It waits while the store is behind, and then its source does.
enum Told {
    Input(Input),
    Snapshot(SnapshotPart, oneshot::Sender<()>),
}

/// What others ask of the store. It is answered whatever the disk does.
enum Call {
    Request(Request, oneshot::Sender<Result<Answer, Refusal>>),
    Read(Question),
}

/// The store's task has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("store `{0}` is not running; the log says why")]
pub struct StoreGone(pub StoreId);

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The store says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store is gone, and whether the request was carried out is not known.
    #[error(transparent)]
    Gone(#[from] StoreGone),
}

/// Why a store can do no more.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailed {
    /// Its journal failed in a way that does not pass: nothing more may be acknowledged.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its view has lost something: what rests on it would never be acknowledged.
    #[error("the view is damaged")]
    View,
}

impl StoreFailed {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Journal(error) => error.hint(),
            Self::View => "start again: the view is then made anew from the journal and a reload".to_owned(),
        }
    }
}

/// How others reach a store.
#[derive(Clone)]
pub struct StoreHandle {
    id: StoreId,
    calls: mpsc::Sender<Call>,
    told: mpsc::Sender<Told>,
    watchers: broadcast::Sender<Changed>,
    alerted: watch::Receiver<()>,
    pictures: Arc<Pictures>,
    journal: JournalReader,
    studio: Studio,
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

impl StoreHandle {
    /// The store's id.
    #[must_use]
    pub const fn id(&self) -> &StoreId {
        &self.id
    }

    /// Reads the core's state: `question` runs on the store's own task, so it must be quick.
    ///
    /// # Errors
    /// The store has ended.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Controller, Moment) -> T + Send + 'static,
    ) -> Result<T, StoreGone> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |controller, now| {
            let _ = answer.send(question(controller, now));
        });
        self.call(Call::Read(question)).await?;
        answered.await.map_err(|_| StoreGone(self.id.clone()))
    }

    /// Asks for a change, and waits until the journal holds it.
    ///
    /// # Errors
    /// The store refuses, or has ended.
    pub async fn request(&self, request: impl Into<Request>) -> Result<Answer, RequestError> {
        let (answer, answered) = oneshot::channel();
        self.call(Call::Request(request.into(), answer)).await?;
        Ok(answered.await.map_err(|_| StoreGone(self.id.clone()))??)
    }

    /// Hands over what a feed message holds.
    ///
    /// # Errors
    /// The store has ended.
    pub async fn feed(&self, delivery: Option<Delivery>, facet: Facet, message: Parsed) -> Result<(), StoreGone> {
        let Parsed { rows, seqs, .. } = message;
        self.tell(Told::Input(Input::Feed { delivery, facet, rows, seqs })).await
    }

    /// Hands over a part of a snapshot, and waits until the store has taken it: whatever else came meanwhile is
    /// before the next part.
    ///
    /// # Errors
    /// The store has ended.
    pub async fn snapshot(&self, part: SnapshotPart) -> Result<(), StoreGone> {
        let (taken, is_taken) = oneshot::channel();
        self.tell(Told::Snapshot(part, taken)).await?;
        is_taken.await.map_err(|_| StoreGone(self.id.clone()))
    }

    /// Tells how a full reload ended.
    ///
    /// # Errors
    /// The store has ended.
    pub async fn reload_ended(&self, facet: Facet, outcome: Result<ReloadReport, String>) -> Result<(), StoreGone> {
        self.tell(Told::Input(Input::ReloadEnded { facet, outcome })).await
    }

    /// What changes from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Changed> {
        self.watchers.subscribe()
    }

    /// Is marked as changed when there is something that webhooks may tell.
    #[must_use]
    pub fn alerted(&self) -> watch::Receiver<()> {
        self.alerted.clone()
    }

    /// Tells how much room the disk has.
    ///
    /// # Errors
    /// The store has ended.
    pub async fn disk(&self, free: u64, total: u64) -> Result<(), StoreGone> {
        self.tell(Told::Input(Input::Disk { free, total })).await
    }

    /// Pictures by digest.
    #[must_use]
    pub fn pictures(&self) -> &Arc<Pictures> {
        &self.pictures
    }

    /// The journal, to read it. That reads files: not on a task's own thread.
    #[must_use]
    pub const fn journal(&self) -> &JournalReader {
        &self.journal
    }

    /// The render threads.
    #[must_use]
    pub const fn studio(&self) -> &Studio {
        &self.studio
    }

    async fn tell(&self, told: Told) -> Result<(), StoreGone> {
        self.told.send(told).await.map_err(|_| StoreGone(self.id.clone()))
    }

    async fn call(&self, call: Call) -> Result<(), StoreGone> {
        self.calls.send(call).await.map_err(|_| StoreGone(self.id.clone()))
    }
}

/// What a store's task performs its outputs with.
#[derive(Debug)]
pub struct StoreParts {
    /// The store.
    pub id: StoreId,
    /// The time.
    pub clock: Clock,
    /// The only durable truth.
    pub journal: Journal,
    /// The write-behind view.
    pub view: ViewWriter,
    /// Pictures by digest.
    pub pictures: Arc<Pictures>,
    /// How long a picture is kept that no label needs any more.
    pub pictures_kept: Duration,
    /// The render threads.
    pub studio: Studio,
    /// The base stations.
    pub stations: BTreeMap<StationId, StationHandle>,
    /// Feed messages that are safe.
    pub acknowledgements: mpsc::Sender<Delivery>,
    /// Full reloads out of turn.
    pub reloads: mpsc::Sender<ReloadOrder>,
    /// What is published.
    pub outbox: Arc<Outbox>,
    /// The templates that hold.
    pub templates: watch::Receiver<Arc<Templates>>,
}

/// The two ends of a store's inbox, made before its parts because they tell it their news.
#[derive(Debug)]
pub struct Inbox {
    /// For the parts.
    pub news: mpsc::Sender<News>,
    incoming: mpsc::Receiver<News>,
}

impl Default for Inbox {
    fn default() -> Self {
        let (news, incoming) = mpsc::channel(NEWS_MAX);
        Self { news, incoming }
    }
}

/// The task.
pub struct Store {
    controller: Controller,
    parts: StoreParts,
    inbox: Inbox,
    calls: mpsc::Receiver<Call>,
    told: mpsc::Receiver<Told>,
    watchers: broadcast::Sender<Changed>,
    alerted: watch::Sender<()>,
    ticket: Ticket,
    waiting: BTreeMap<Ticket, oneshot::Sender<Result<Answer, Refusal>>>,
    /// How far the journal is known to be on disk.
    journal_sequence: u64,
    stored: u64,
    /// Batches that the journal's thread had no room for. While there are any, sources wait.
    unappended: VecDeque<Vec<Entry>>,
    /// Batches that the view's thread had no room for, likewise.
    unwritten: VecDeque<ViewBatch>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("id", &self.parts.id).finish_non_exhaustive()
    }
}

impl Store {
    /// A store that is ready to run, and how to reach it.
    #[must_use]
    pub fn new(controller: Controller, parts: StoreParts, inbox: Inbox) -> (Self, StoreHandle) {
        let (calls_in, calls) = mpsc::channel(CALLS_MAX);
        let (told_in, told) = mpsc::channel(CALLS_MAX);
        let (watchers, _) = broadcast::channel(WATCH_MAX);
        let (alerted, alerted_out) = watch::channel(());
        let handle = StoreHandle {
            id: parts.id.clone(),
            calls: calls_in,
            told: told_in,
            watchers: watchers.clone(),
            alerted: alerted_out,
            pictures: Arc::clone(&parts.pictures),
            journal: parts.journal.reader().clone(),
            studio: parts.studio.clone(),
        };
        let store = Self {
            controller,
            parts,
            inbox,
            calls,
            told,
            watchers,
            alerted,
            ticket: 0,
            waiting: BTreeMap::new(),
            journal_sequence: 0,
            stored: 0,
            unappended: VecDeque::new(),
            unwritten: VecDeque::new(),
        };
        (store, handle)
    }

    /// Runs until `shutdown`, then brings what is decided to disk.
    ///
    /// # Errors
    /// Journal or view can take nothing more.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), StoreFailed> {
        let result = self.serve(&shutdown).await;
        let Self { parts: StoreParts { journal, view, .. }, inbox, .. } = self;
        // Nobody reads news any more: whoever has some must not wait for room.
        drop(inbox);
        // Both wait for their threads to write what they hold.
        let closed = tokio::task::spawn_blocking(move || {
            journal.close();
            view.close();
        });
        if closed.await.is_err() {
            tracing::error!("a storage thread panicked while closing");
        }
        result
    }

    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<(), StoreFailed> {
        self.perform()?;
        loop {
            let woken = self.parts.clock.sleep_until(self.controller.poll_timeout());
            tokio::select! {
                biased;
                // Cancel-safe: a token that is cancelled stays so.
                () = shutdown.cancelled(), if self.owes_nothing() => return Ok(()),
                // Cancel-safe: as above. What a disk does not take was not acknowledged, and is not waited for.
                () = shutdown.cancelled(), if self.controller.journal_trouble().is_some() => return Ok(()),
                // Cancel-safe: `recv` takes nothing unless it completes.
                Some(news) = self.inbox.incoming.recv() => self.take_news(news)?,
                // Cancel-safe: as above.
                Some(call) = self.calls.recv(), if !shutdown.is_cancelled() => self.take_call(call),
                // Cancel-safe: as above.
                Some(told) = self.told.recv(), if self.listens() && !shutdown.is_cancelled() => self.take_told(told),
                // Cancel-safe: what has changed is still news in the next turn.
                Ok(()) = self.parts.templates.changed() => self.take_templates(),
                // Cancel-safe: the next turn sleeps anew.
                () = woken => self.controller.handle_timeout(self.parts.clock.now()),
            }
            self.perform()?;
        }
    }

    /// Takes the news in hand and whatever waits behind it, up to a turn's share.
    fn take_news(&mut self, first: News) -> Result<(), JournalError> {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(news) = next {
            let input = match news {
                News::Station(station, event) => Input::Station(station, event),
                News::Rendered(number, planes, packed) => Input::Rendered { number, planes, packed },
                News::Synced(synced) => {
                    self.journal_sequence = synced.position.sequence;
                    self.count_journal();
                    Input::Synced { batches: synced.batches, head: Some(synced.position) }
                }
                News::Stored(batches) => Input::Stored(batches),
                News::TurnedAway(station) => {
                    let store = self.parts.id.to_string();
                    metrics::counter!("gondola_unknown_base_stations_total", "store" => store).increment(1);
                    Input::TurnedAway(station)
                }
                News::JournalFailed(error) if error.is_passing() => Input::JournalFailed(error.to_string()),
                News::JournalFailed(error) => return Err(error),
            };
            self.handle(input);
            taken += 1;
            next = if taken < TURN_MAX { self.inbox.incoming.try_recv().ok() } else { None };
        }
        // What came meanwhile is not kept waiting behind another turn of news.
        if let Ok(call) = self.calls.try_recv() {
            self.take_call(call);
        }
        if self.listens()
            && let Ok(told) = self.told.try_recv()
        {
            self.take_told(told);
        }
        Ok(())
    }

    /// Shows what the journal has written: entries above fsyncs are the work of group commits.
    fn count_journal(&self) {
        let JournalCounters { entries, fsyncs, bytes } = self.parts.journal.counters();
        let store = self.parts.id.to_string();
        metrics::counter!("gondola_journal_entries_total", "store" => store.clone()).absolute(entries);
        metrics::counter!("gondola_journal_fsyncs_total", "store" => store.clone()).absolute(fsyncs);
        metrics::counter!("gondola_journal_bytes_total", "store" => store).absolute(bytes);
    }

    fn handle(&mut self, input: Input) {
        way::input(&self.parts.id, &input);
        self.controller.handle(self.parts.clock.now(), input);
    }

    fn take_told(&mut self, told: Told) {
        match told {
            Told::Input(input) => self.handle(input),
            Told::Snapshot(part, taken) => {
                self.handle(Input::Snapshot(part));
                // The reload has been stopped.
                let _ = taken.send(());
            }
        }
    }

    fn take_templates(&mut self) {
        let templates = Arc::clone(&self.parts.templates.borrow_and_update());
        self.handle(Input::Templates(templates));
    }

    fn take_call(&mut self, call: Call) {
        match call {
            Call::Request(request, answer) => {
                self.ticket += 1;
                self.waiting.insert(self.ticket, answer);
                self.handle(Input::Request { ticket: self.ticket, request });
            }
            Call::Read(question) => question(&self.controller, self.parts.clock.now()),
        }
    }

    /// Whether a disk does not keep up.
    fn is_behind(&self) -> bool {
        !self.unappended.is_empty() || !self.unwritten.is_empty()
    }

    /// Whether sources are heard: what they say must reach the disk, and they can say it later.
    fn listens(&self) -> bool {
        !self.is_behind() && self.controller.journal_trouble().is_none()
    }

    /// Whether every request is answered and everything decided is with journal and view.
    fn owes_nothing(&self) -> bool {
        self.waiting.is_empty() && !self.is_behind()
    }

    fn perform(&mut self) -> Result<(), StoreFailed> {
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Append(entries) => {
                    way::decided(&self.parts.id, &entries);
                    self.unappended.push_back(entries);
                }
                Output::Store(changes) => {
                    self.stored += 1;
                    let journal_sequence = self.journal_sequence;
                    self.unwritten.push_back(ViewBatch { number: self.stored, journal_sequence, changes });
                }
                Output::KeepPictures(wanted) => self.keep_pictures(wanted),
                Output::Render { number, scene, encodings, base } => self.render(number, scene, encodings, base),
                Output::Send { station, picture, base, ahead } => self.submit(&station, picture, base, ahead),
                Output::Command { station, action, lane, labels } => self.command(&station, action, lane, labels),
                Output::Cancel(station, number) => self.cancel(&station, number),
                Output::Acknowledge(delivery) => {
                    // The feed has gone: the broker will send the message again.
                    let _ = self.parts.acknowledgements.try_send(delivery);
                }
                Output::Reply(ticket, reply) => {
                    if let Some(answer) = self.waiting.remove(&ticket) {
                        // Whoever asked may have gone away.
                        let _ = answer.send(reply);
                    }
                }
                Output::Changed(changed) => {
                    // Nobody may be watching.
                    let _ = self.watchers.send(changed);
                }
                Output::Notice(notice) => report(&self.parts.id, &notice),
                Output::Reload { facet, why } => {
                    // Orders that wait already end in the same reload; without a source nobody takes them.
                    let _ = self.parts.reloads.try_send(ReloadOrder { facet, why });
                }
                Output::Publish(publication) => {
                    let zone = &self.controller.catalog().settings().time_zone;
                    self.parts.outbox.put(&self.parts.id, message(&publication, zone));
                    if matches!(publication, Publication::Alert(_) | Publication::JournalHead { .. }) {
                        self.alerted.send_replace(());
                    }
                }
            }
        }
        self.write()
    }

    /// Hands journal and view what is to be written, as far as they have room. What they have no room for
    /// is handed over after their next news.
    fn write(&mut self) -> Result<(), StoreFailed> {
        let now = self.parts.clock.now();
        while let Some(entries) = self.unappended.pop_front() {
            match self.parts.journal.append(now, entries) {
                Ok(()) => {}
                Err(AppendError::Full(entries)) => {
                    self.unappended.push_front(entries);
                    break;
                }
                // Its news says why, and ends the store.
                Err(AppendError::Stopped(_)) => {}
            }
        }
        while let Some(batch) = self.unwritten.pop_front() {
            match self.parts.view.write(batch) {
                Ok(()) => {}
                Err(ViewWriteError::Full(batch)) => {
                    self.unwritten.push_front(batch);
                    break;
                }
                Err(ViewWriteError::Stopped(_)) => return Err(StoreFailed::View),
            }
        }
        Ok(())
    }

    fn keep_pictures(&self, wanted: BTreeSet<Digest>) {
        let pictures = Arc::clone(&self.parts.pictures);
        let (now, kept_for) = (self.parts.clock.now(), self.parts.pictures_kept);
        tokio::task::spawn_blocking(move || match pictures.retain(&wanted, now, kept_for) {
            Ok(dropped) => tracing::debug!(dropped, "pictures that no label needs are dropped"),
            Err(error) => tracing::warn!(%error, "pictures that no label needs stay on disk"),
        });
    }

    /// Draws and packs on a render thread: the base stations' tasks have acks to answer.
    fn render(&mut self, number: TransferNumber, scene: Scene, encodings: u8, base: Option<Digest>) {
        let (news, pictures) = (self.inbox.news.clone(), Arc::clone(&self.parts.pictures));
        let ordered = self.parts.studio.order(scene, move |rendered| {
            if let Err(error) = pictures.put(&rendered.planes) {
                tracing::warn!(%error, "a picture is not kept");
            }
            let held = base.and_then(|base| pictures.get(&base));
            let packed = encode::pack(&rendered.planes, encodings, held.as_ref());
            // The store has ended: so has the picture's use.
            let _ = news.blocking_send(News::Rendered(number, rendered.planes, packed));
        });
        if ordered.is_err() {
            self.controller.handle(self.parts.clock.now(), Input::Unsent(number));
        }
    }

    fn submit(&mut self, station: &StationId, picture: Picture, base: Option<Digest>, ahead: Option<Ahead>) {
        way::sent(&self.parts.id, &self.controller, station, &picture);
        let number = picture.number;
        // The picture that the label holds serves only to pack another one.
        let base = base.filter(|_| picture.packed.is_none());
        let picture = Picture { held: base.and_then(|base| self.parts.pictures.get(&base)), ..picture };
        let order = match ahead {
            None => StationOrder::Submit(picture),
            Some(ahead) => StationOrder::Stage(Box::new(picture), ahead),
        };
        self.order(station, order, [number]);
    }

    fn command(&mut self, station: &StationId, action: Action, lane: Lane, labels: Vec<(TransferNumber, LabelId)>) {
        let numbers: Vec<TransferNumber> = labels.iter().map(|(number, _)| *number).collect();
        self.order(station, StationOrder::Command(action, lane, labels), numbers);
    }

    /// Hands an order to a base station's task, or tells the core that it had no room for these numbers.
    fn order(&mut self, station: &StationId, order: StationOrder, numbers: impl IntoIterator<Item = TransferNumber>) {
        let handle = self.parts.stations.get(station);
        if handle.is_none_or(|handle| handle.try_order(order).is_err()) {
            for number in numbers {
                self.controller.handle(self.parts.clock.now(), Input::Unsent(number));
            }
        }
    }

    fn cancel(&self, station: &StationId, number: TransferNumber) {
        // A station too busy to take it delivers a picture that is overtaken; the next one follows it.
        if let Some(handle) = self.parts.stations.get(station) {
            let _ = handle.try_order(StationOrder::Cancel(number));
        }
    }
}

fn report(store: &StoreId, notice: &Notice) {
    let kind = match notice {
        Notice::UnregisteredLabel { .. } => {
            metrics::counter!("gondola_notices_total", "kind" => "unregistered_label").increment(1);
            tracing::info!(%store, "{notice}");
            return;
        }
        Notice::Fault { .. } => "fault",
        Notice::Regressed { .. } => {
            metrics::counter!("gondola_notices_total", "kind" => "regressed_row").increment(1);
            tracing::info!(%store, "{notice}");
            return;
        }
        Notice::RefusedRow { .. } => "refused_row",
        Notice::Gap(_) => "gap",
        // The reload's own task tells people of these.
        Notice::Alert(alert) if alert.rule == Rule::ReloadFailed => return,
        Notice::Alert(alert) if alert.state == State::Cleared => {
            metrics::counter!("gondola_notices_total", "kind" => "alert_cleared").increment(1);
            tracing::info!(%store, "{notice}");
            return;
        }
        Notice::Alert(_) => "alert",
        // The station's own task tells people of these.
        Notice::StationUp(_) | Notice::StationDown { .. } => return,
        Notice::Switched(Switch { labels, staged, .. }) => {
            metrics::counter!("gondola_switched_labels_total", "staged" => "in_time").increment(*staged as u64);
            let late = (labels - staged) as u64;
            metrics::counter!("gondola_switched_labels_total", "staged" => "not_in_time").increment(late);
            tracing::info!(%store, "{notice}");
            return;
        }
        Notice::Dropped { .. } => "dropped_frame",
    };
    metrics::counter!("gondola_notices_total", "kind" => kind).increment(1);
    tracing::warn!(%store, "{notice}");
}

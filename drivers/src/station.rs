//! The shell around a head: one owner task per station that connects, reconnects, and moves bytes,
//! orders, events and time. The task of a radio, whose requests must be answered within milliseconds, has a thread to
//! itself, and what it has to compute another.
//!
//! It decides nothing about frames, pictures or labels.

use std::collections::VecDeque;
use std::io;
use std::mem::{Discriminant, discriminant};
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment, SessionId, StationId, TransferNumber};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::action::Action;
use crate::family::{DriverOptions, FamilyHead};
use crate::head::{Ahead, Counters, HeadEvent, Outcome, Picture};
use crate::openepaperlink::packing::Packed;
use crate::session::DownReason;
use crate::transport::{LineSpeed, Reset, Stream, Transport};
use crate::{priority, reconnect};

/// Orders that wait for a station's task: more than a station typically holds transfers, and a few
/// megabytes of planes at most.
pub const ORDERS_MAX: usize = 256;

/// Bytes taken from the stream at once: a few typical frames.
const READ_MAX: usize = 16 * 1024;

/// Bytes made ready for the stream at once. What lies beyond stays with the link, where a retransmission
/// replaces it instead of queueing behind it.
const SEND_MAX: usize = 64 * 1024;

/// How long a shutdown waits for what is ready to reach the stream.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// How a station is named, reached and driven.
#[derive(Debug)]
pub struct StationOptions {
    /// Its name; another station that answers is turned away.
    pub id: StationId,
    /// How it is reached.
    pub transport: Transport,
    /// What it speaks, and how its head behaves.
    pub head: DriverOptions,
}

/// What a station is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StationOrder {
    /// Bring a picture to its label. Without room for it, its outcome is [`Outcome::Lost`].
    Submit(Picture),
    /// Bring a picture to its label to be shown later; likewise.
    Stage(Box<Picture>, Ahead),
    /// Tell labels to do something; likewise, for each of them.
    Command(Action, Lane, Vec<(TransferNumber, LabelId)>),
    /// Withdraw a picture or a label's action.
    Cancel(TransferNumber),
}

/// The way to a station's task.
#[derive(Debug, Clone)]
pub struct StationHandle {
    orders: mpsc::Sender<StationOrder>,
    counters: watch::Receiver<Counters>,
}

impl StationHandle {
    /// Hands over an order, without waiting.
    ///
    /// # Errors
    /// The order itself: [`ORDERS_MAX`] wait already, or the station's task has ended.
    pub fn try_order(&self, order: StationOrder) -> Result<(), StationOrder> {
        self.orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order) => order,
        })
    }

    /// What the head has counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.counters.borrow()
    }
}

/// Why a station cannot be used now, in words for a person: `Display` says what was attempted on what,
/// the source is the cause, [`hint`](Self::hint) what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("base station `{station}` {} on {transport}", headline(reason))]
pub struct Outage {
    /// The station.
    pub station: StationId,
    /// Where it was expected.
    pub transport: String,
    /// The cause.
    #[source]
    pub reason: DownReason,
}

impl Outage {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.reason.hint()
    }
}

const fn headline(reason: &DownReason) -> &'static str {
    match reason {
        DownReason::NoConnection(_) | DownReason::NoWelcome { .. } | DownReason::NoAnswer { .. } => "did not answer",
        DownReason::Disconnected => "was lost",
        DownReason::Silent(_) | DownReason::GaveUp { .. } => "fell silent",
        DownReason::WrongStation { .. } | DownReason::Forged => "was not found",
        DownReason::Channel(_) => "cannot be used",
        DownReason::Refused(_) => "turned us away",
        DownReason::Version { .. } => "does not speak our version of shelflink",
    }
}

/// Starts the task that owns one station, until `shutdown`.
///
/// It sends every event of its head, and a `Down` with [`DownReason::NoConnection`] for each attempt to
/// connect that failed. It waits for room in `events`, which holds the station back, not the receiver; a radio that
/// cannot be held back is served meanwhile.
/// It logs each outage once for each kind of reason; the receiver need not.
///
/// After `shutdown` no event follows and no order is taken: pictures in flight have no outcome.
pub fn spawn(
    options: StationOptions,
    tracker: &TaskTracker,
    shutdown: CancellationToken,
    clock: impl Fn() -> Moment + Send + Sync + 'static,
    events: mpsc::Sender<(StationId, HeadEvent)>,
) -> StationHandle {
    let (orders, inbox) = mpsc::channel(ORDERS_MAX);
    let (publish, counters) = watch::channel(Counters::default());
    let head = FamilyHead::new(options.id.clone(), options.head);
    let (id, is_urgent) = (options.id.clone(), head.is_urgent());
    let owner = Owner {
        head,
        packing: None,
        speed: LineSpeed::default(),
        untold: VecDeque::new(),
        transport_name: options.transport.to_string(),
        transport: Some(options.transport),
        id: options.id,
        tasks: tracker.clone(),
        clock,
        shutdown,
        orders: inbox,
        events,
        counters: publish,
        session: SessionId(0),
        attempt: 0,
        told: Vec::new(),
    };
    if is_urgent {
        run_apart(&id, tracker, owner.run());
    } else {
        tracker.spawn(owner.run());
    }
    StationHandle { orders, counters }
}

/// Runs a task on a thread that nothing else is computed on. What the task has computed elsewhere is done on one other,
/// which lets everything else go first.
fn run_apart(id: &StationId, tracker: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
    let running = tracker.token();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name(format!("pack-{id}"))
        .max_blocking_threads(1)
        .on_thread_start(priority::yield_to_others)
        .build()
        .expect("the system gives a timer and a poll");
    let own = move || {
        runtime.block_on(task);
        drop(runtime);
        drop(running);
    };
    thread::Builder::new().name(format!("radio-{id}")).spawn(own).expect("the system gives a thread");
}

/// What the task owns.
struct Owner<C> {
    id: StationId,
    /// None only while it connects.
    transport: Option<Transport>,
    transport_name: String,
    tasks: TaskTracker,
    head: FamilyHead,
    /// The picture that is being packed for the head.
    packing: Option<JoinHandle<Packed>>,
    speed: LineSpeed,
    /// Events that wait for room at the receiver: as many as the head's family allows, and those of one more call.
    untold: VecDeque<HeadEvent>,
    clock: C,
    shutdown: CancellationToken,
    orders: mpsc::Receiver<StationOrder>,
    events: mpsc::Sender<(StationId, HeadEvent)>,
    counters: watch::Sender<Counters>,
    /// The last session's id.
    session: SessionId,
    /// Failures since the last open session.
    attempt: u32,
    /// Kinds of reasons logged since the last open session, at most one of each.
    told: Vec<Discriminant<DownReason>>,
}

impl<C: Fn() -> Moment + Send + Sync + 'static> Owner<C> {
    async fn run(mut self) {
        // Broken out of by the shutdown.
        let _ = self.keep_connected().await;
        debug!(station = %self.id, "base station's task ended");
    }

    /// Connects, drives, waits, and begins anew.
    async fn keep_connected(&mut self) -> ControlFlow<()> {
        loop {
            match self.connect().await? {
                Ok(stream) => self.drive(stream).await?,
                Err(error) => self.tell(HeadEvent::Down(DownReason::NoConnection(error.to_string()))).await?,
            }
            let wait = reconnect::wait(&self.id, self.attempt);
            self.attempt = self.attempt.saturating_add(1);
            self.meanwhile(sleep(wait)).await?;
        }
    }

    /// Makes one attempt to connect.
    async fn connect(&mut self) -> ControlFlow<(), io::Result<Stream>> {
        let mut transport = self.transport.take().expect("it is put back below");
        let (tasks, speed) = (self.tasks.clone(), self.speed.clone());
        let reset = if self.attempt > 0 { Reset::Held } else { Reset::Brief };
        let stream = self.meanwhile(transport.connect(&tasks, &speed, reset)).await;
        self.transport = Some(transport);
        stream
    }

    /// Waits for `work` while no connection stands; orders that come in between are answered.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> ControlFlow<(), T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                // Cancel-safe: it only reads the token.
                () = self.shutdown.cancelled() => return ControlFlow::Break(()),
                // Pinned outside the loop: another arm leaves it where it was.
                output = &mut work => return ControlFlow::Continue(output),
                // Cancel-safe: an order is taken only when this arm wins.
                Some(order) = self.orders.recv() => {
                    self.take(order);
                    self.forward().await?;
                }
            }
        }
    }

    /// Drives the head over one connection until either end closes it.
    async fn drive(&mut self, stream: Stream) -> ControlFlow<()> {
        let now = self.now();
        self.session = next_session(now, self.session);
        self.head.connected(now, self.session);
        let mut wire = Wire::new(stream);
        let stopped = self.converse(&mut wire).await;
        if stopped.is_break() {
            self.flush(&mut wire).await;
        }
        self.head.disconnected(self.now());
        stopped?;
        self.forward().await
    }

    /// Moves bytes, orders and time until the connection is over (`Continue`) or the shutdown comes. A clock that
    /// was set back ends it: a session's waits are measured by the clock that it began with.
    async fn converse(&mut self, wire: &mut Wire) -> ControlFlow<()> {
        let (mut last, is_urgent) = (self.now(), self.head.is_urgent());
        loop {
            self.pack_next();
            self.collect()?;
            if let Some(baud) = self.head.baud() {
                self.speed.set(baud);
            }
            let now = self.now();
            if now < last {
                info!(station = %self.id, "the clock was set back: the session begins anew");
                return ControlFlow::Continue(());
            }
            last = now;
            if self.head.wants_disconnect() {
                return ControlFlow::Continue(());
            }
            if wire.sending.is_empty() {
                self.make_ready(&mut wire.sending);
            }
            let wake = self.head.poll_timeout().map(|at| at.since(now));
            let may_go_on = self.untold.len() < self.head.events_held_max();
            tokio::select! {
                biased;
                // Cancel-safe: it only reads the token.
                () = self.shutdown.cancelled() => return ControlFlow::Break(()),
                // Cancel-safe: the deadline stands in the head, and the sleep is made anew. It stands
                // before the bytes, so that a flood of them holds no time-out up.
                () = sleep(wake.unwrap_or_default()), if wake.is_some() => self.head.handle_timeout(self.now()),
                // Cancel-safe: `write_buf` has written nothing when another arm wins.
                written = wire.stream.1.write_buf(&mut wire.sending), if !wire.sending.is_empty() => {
                    if ended(&self.id, written) { return ControlFlow::Continue(()) }
                }
                // Cancel-safe: it takes nothing; what there is room for is sent at the loop's beginning. A receiver
                // that is gone is found out there, too.
                () = room(&self.events), if !self.untold.is_empty() => {}
                // Cancel-safe: `arrival` takes only what it returns.
                came = arrival(&mut self.orders, (&mut wire.stream.0, &mut wire.received), is_urgent), if may_go_on => match came {
                    Arrival::Order(order) => self.take(order),
                    Arrival::Bytes(read) => {
                        if ended(&self.id, read) { return ControlFlow::Continue(()) }
                        self.head.handle_bytes(self.now(), &wire.received);
                        wire.received.clear();
                    }
                },
                // Cancel-safe: the handle stays until it has come to its end.
                packed = done(&mut self.packing), if self.packing.is_some() => {
                    self.packing = None;
                    self.head.packed(self.now(), packed);
                }
            }
        }
    }

    /// Has the head's next picture packed, unless one is.
    fn pack_next(&mut self) {
        if self.packing.is_none()
            && let Some(packing) = self.head.poll_packing()
        {
            self.packing = Some(tokio::task::spawn_blocking(move || packing.run()));
        }
    }

    /// Takes frames from the head until enough are ready for one write.
    fn make_ready(&mut self, sending: &mut BytesMut) {
        while sending.len() < SEND_MAX {
            let Some(bytes) = self.head.poll_transmit() else {
                return;
            };
            sending.extend_from_slice(&bytes);
        }
    }

    /// Writes what is ready and closes the stream, within [`FLUSH_MAX`].
    async fn flush(&mut self, wire: &mut Wire) {
        self.make_ready(&mut wire.sending);
        let all = async {
            wire.stream.1.write_all_buf(&mut wire.sending).await?;
            wire.stream.1.shutdown().await
        };
        if timeout(FLUSH_MAX, all).await.is_err() {
            debug!(station = %self.id, "base station did not take the last bytes in time");
        }
    }

    fn take(&mut self, order: StationOrder) {
        let now = self.now();
        let mut outcome = Outcome::Lost;
        let unsent = match order {
            StationOrder::Cancel(number) => {
                self.head.cancel(now, number);
                Vec::new()
            }
            StationOrder::Submit(picture) => number_of(self.head.submit(now, picture)),
            StationOrder::Stage(picture, ahead) => {
                let number = picture.number;
                let refused = self.head.stage(now, *picture, ahead).err();
                outcome = refused.unwrap_or(outcome);
                refused.map(|_| number).into_iter().collect()
            }
            StationOrder::Command(action, lane, labels) => {
                let refused = self.head.command(now, action, lane, labels).err().unwrap_or_default();
                refused.into_iter().map(|(number, _)| number).collect()
            }
        };
        self.untold.extend(unsent.into_iter().map(|number| HeadEvent::Outcome { number, outcome }));
    }

    /// Takes what the head has to tell, and sends on what there is room for.
    fn collect(&mut self) -> ControlFlow<()> {
        while let Some(event) = self.head.poll_event() {
            self.log(&event);
            self.untold.push_back(event);
        }
        while !self.untold.is_empty() {
            match self.events.try_reserve() {
                Ok(permit) => {
                    let event = self.untold.pop_front().expect("it is not empty");
                    permit.send((self.id.clone(), event));
                }
                Err(mpsc::error::TrySendError::Full(())) => break,
                Err(mpsc::error::TrySendError::Closed(())) => return ControlFlow::Break(()),
            }
        }
        let counters = self.head.counters();
        self.counters.send_if_modified(|last| std::mem::replace(last, counters) != counters);
        ControlFlow::Continue(())
    }

    /// Sends on everything that there is to tell.
    async fn forward(&mut self) -> ControlFlow<()> {
        self.collect()?;
        while let Some(event) = self.untold.pop_front() {
            self.send(event).await?;
        }
        ControlFlow::Continue(())
    }

    async fn tell(&mut self, event: HeadEvent) -> ControlFlow<()> {
        self.log(&event);
        self.send(event).await
    }

    async fn send(&self, event: HeadEvent) -> ControlFlow<()> {
        tokio::select! {
            biased;
            // Cancel-safe: it only reads the token.
            () = self.shutdown.cancelled() => ControlFlow::Break(()),
            // The event is lost when the shutdown wins; none is promised after it. A receiver that is
            // gone is a shutdown too.
            sent = self.events.send((self.id.clone(), event)) => match sent {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
        }
    }

    fn log(&mut self, event: &HeadEvent) {
        let station = &self.id;
        match event {
            HeadEvent::Up { epoch, .. } => {
                self.attempt = 0;
                self.told.clear();
                info!(%station, epoch, "base station is up");
            }
            HeadEvent::Down(reason) => {
                let kind = discriminant(reason);
                let (transport, reason) = (self.transport_name.clone(), reason.clone());
                let outage = Outage { station: station.clone(), transport, reason };
                if self.told.contains(&kind) {
                    debug!(%station, cause = %outage.reason, "{outage}");
                } else {
                    self.told.push(kind);
                    warn!(%station, cause = %outage.reason, hint = outage.hint(), "{outage}");
                }
            }
            HeadEvent::Heard(said) => debug!(%station, label = %said.label, wake = ?said.wake, "label reported"),
            HeadEvent::Dropped(dropped) => debug!(%station, "{dropped}"),
            HeadEvent::Clock(report) => debug!(%station, ?report, "base station told its clock"),
            HeadEvent::Room(_)
            | HeadEvent::Packed { .. }
            | HeadEvent::CheckIn(_)
            | HeadEvent::Keeps { .. }
            | HeadEvent::Present(_)
            | HeadEvent::Firmware(..)
            | HeadEvent::Outcome { .. } => {}
        }
    }

    fn now(&self) -> Moment {
        (self.clock)()
    }
}

/// A connection's two halves and the bytes on either side of them.
struct Wire {
    stream: (ReadHalf<Stream>, WriteHalf<Stream>),
    received: BytesMut,
    sending: BytesMut,
}

impl Wire {
    fn new(stream: Stream) -> Self {
        Self { stream: tokio::io::split(stream), received: BytesMut::with_capacity(READ_MAX), sending: BytesMut::new() }
    }
}

/// What a station's task has to deal with next.
enum Arrival {
    Order(StationOrder),
    /// So many bytes were received.
    Bytes(io::Result<usize>),
}

/// Waits for an order or for bytes. Orders come first: a station takes only so many before it is heard again. The line
/// comes first where it is urgent: no more comes over it than is soon taken.
///
/// Cancel-safe: neither arm takes anything unless it wins.
async fn arrival(
    orders: &mut mpsc::Receiver<StationOrder>,
    (line, received): (&mut ReadHalf<Stream>, &mut BytesMut),
    is_urgent: bool,
) -> Arrival {
    let read = line.read_buf(received);
    if is_urgent {
        tokio::select! {
            biased;
            read = read => Arrival::Bytes(read),
            Some(order) = orders.recv() => Arrival::Order(order),
        }
    } else {
        tokio::select! {
            biased;
            Some(order) = orders.recv() => Arrival::Order(order),
            read = read => Arrival::Bytes(read),
        }
    }
}

/// Waits for a picture that is being packed.
async fn done(packing: &mut Option<JoinHandle<Packed>>) -> Packed {
    match packing {
        Some(packing) => packing.await.expect("packing does not panic, and ends before its runtime"),
        None => std::future::pending().await,
    }
}

/// Waits until a receiver has room, or is gone.
async fn room<T>(events: &mpsc::Sender<T>) {
    drop(events.reserve().await);
}

/// The number of a picture that was handed back.
fn number_of(submitted: Result<(), Picture>) -> Vec<TransferNumber> {
    submitted.err().into_iter().map(|picture| picture.number).collect()
}

/// Whether a read or a write says that the connection is over.
fn ended(station: &StationId, moved: io::Result<usize>) -> bool {
    if let Err(error) = &moved {
        debug!(%station, %error, "connection to the base station broke");
    }
    !matches!(moved, Ok(1..))
}

/// The low 32 bits of the clock's microseconds: another id for each session of 71 minutes, and in any
/// case not the last one.
fn next_session(now: Moment, last: SessionId) -> SessionId {
    let low = u32::try_from(now.as_micros() & u64::from(u32::MAX)).expect("the mask leaves 32 bits");
    if low == last.0 { SessionId(low.wrapping_add(1)) } else { SessionId(low) }
}

//! Change messages over MQTT, and what is published: one connection for all stores.
//!
//! The client library loses its place in some failures (a collision of packet ids after a lost session,
//! an acknowledgement kept across a reconnect), so every connection gets a client and an event loop of its
//! own, and an acknowledgement is only given on the connection that brought the message. The broker keeps
//! the session and sends again what was not acknowledged.
//!
//! Publications go out in batches, and the next batch waits until the broker has acknowledged the last. So two
//! messages never want the same packet id, and it is always known what the broker has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::StoreId;
use rumqttc::{AsyncClient, ClientError, ConnectionError, Event, EventLoop, Packet, Publish, QoS, SubscribeReasonCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::mqtt::{BrokerOptions, Status};
use super::outbox::{Outbox, Outgoing};
use super::publications::Message;
use super::reload::ReloadOrder;
use super::store::StoreHandle;
use super::unknown::UnknownFields;
use crate::catalog::wire::{self, Facet};
use crate::controller::message::{Delivery, ReloadReason};

/// First wait before a new connection; doubled up to [`RECONNECT_MAX`].
const RECONNECT_MIN: Duration = Duration::from_millis(250);

/// A broker that comes back is found within this.
const RECONNECT_MAX: Duration = Duration::from_secs(10);

/// Messages that were read and that their stores have not taken yet: more than the shipped broker has in flight, so
/// that a store that is held up by its disk does not keep the connection from being proven to live.
const ARRIVED_MAX: usize = 1_024;

/// Bytes of those messages: beyond it nothing is read until there is room.
const ARRIVED_BYTES_MAX: usize = 64 << 20;

/// Publications on their way at once: on a line of 50 ms they are 1,280 messages a second.
const BATCH_MAX: usize = 64;

/// Messages that wait for their acknowledgement, and the connection that brought them.
#[derive(Debug, Default)]
struct Unacknowledged {
    client: Option<AsyncClient>,
    /// Of this connection only, without their payloads. MQTT has 65,535 packet ids.
    messages: BTreeMap<Delivery, Publish>,
}

impl Unacknowledged {
    fn acknowledge(&mut self, delivery: Delivery) {
        // A message of an older connection is not here: the broker has sent it again.
        if let (Some(client), Some(publish)) = (&self.client, self.messages.remove(&delivery)) {
            acknowledge(client, &publish);
        }
    }
}

/// The queue has room for every packet id, so only a connection that is gone takes no acknowledgement, and its
/// messages come again.
fn acknowledge(client: &AsyncClient, publish: &Publish) {
    if client.try_ack(publish).is_err() {
        tracing::debug!("the connection is gone before an acknowledgement");
    }
}

/// A store, as far as the feed is concerned.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Whom messages are for.
    pub store: StoreHandle,
    /// Who brings in what was lost.
    pub reloads: mpsc::Sender<ReloadOrder>,
}

/// The feed's task.
#[derive(Debug)]
pub struct Feed {
    options: BrokerOptions,
    subscribers: Arc<BTreeMap<StoreId, Subscriber>>,
    outbox: Arc<Outbox>,
    unacknowledged: Arc<Mutex<Unacknowledged>>,
    deliveries: Deliveries,
    session: Session,
}

/// What hands messages to their stores.
#[derive(Debug)]
struct Deliveries {
    prefix: String,
    subscribers: Arc<BTreeMap<StoreId, Subscriber>>,
    unacknowledged: Arc<Mutex<Unacknowledged>>,
    last: Delivery,
    unknown: UnknownFields,
}

/// A message that was read, and its share of [`ARRIVED_BYTES_MAX`].
type Arrived = (Publish, OwnedSemaphorePermit);

/// What is known of our session at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    /// Nothing yet: this process has not been connected.
    New,
    /// The broker keeps for us what comes while we are away.
    Kept,
}

/// How a connection ended.
enum End {
    Shutdown,
    Lost(Box<ConnectionError>),
    /// The broker does not do what it must.
    Refused(String),
}

/// What the reading side tells the publishing side.
enum Heard {
    Connected,
    Acknowledged,
}

impl Feed {
    /// A feed for these stores.
    #[must_use]
    pub fn new(options: BrokerOptions, subscribers: Vec<Subscriber>, outbox: Arc<Outbox>) -> Self {
        let by_id = |subscriber: Subscriber| (subscriber.store.id().clone(), subscriber);
        let subscribers: Arc<BTreeMap<_, _>> = Arc::new(subscribers.into_iter().map(by_id).collect());
        let unacknowledged = Arc::<Mutex<Unacknowledged>>::default();
        let deliveries = Deliveries {
            prefix: options.prefix.clone(),
            subscribers: Arc::clone(&subscribers),
            unacknowledged: Arc::clone(&unacknowledged),
            last: 0,
            unknown: UnknownFields::default(),
        };
        Self { options, subscribers, outbox, unacknowledged, deliveries, session: Session::New }
    }

    /// Acknowledges to the broker what the stores say is safe. A task of its own, because the client
    /// library's event loop must not be interrupted.
    pub fn acknowledge(&self, mut safe: mpsc::Receiver<Delivery>) -> impl Future<Output = ()> + Send + 'static {
        let unacknowledged = Arc::clone(&self.unacknowledged);
        async move {
            while let Some(delivery) = safe.recv().await {
                lock(&unacknowledged).acknowledge(delivery);
            }
        }
    }

    /// Runs until `shutdown`: connects, reads and publishes, and connects again.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let address = self.options.address();
        let mut wait = RECONNECT_MIN;
        let mut outage_told = false;
        loop {
            let mut connected = false;
            let end = self.connection(&shutdown, &mut connected).await;
            *lock(&self.unacknowledged) = Unacknowledged::default();
            self.outbox.recover();
            metrics::gauge!("gondola_feed_connected").set(0.0);
            if connected {
                (wait, outage_told) = (RECONNECT_MIN, false);
            }
            let reason = match end {
                End::Shutdown => return,
                End::Lost(error) => error.to_string(),
                End::Refused(reason) => reason,
            };
            metrics::counter!("gondola_feed_connections_lost_total").increment(1);
            if outage_told {
                tracing::debug!(%address, %reason, "still no connection to the broker");
            } else {
                tracing::warn!("{}", outage(&address, &reason));
                outage_told = true;
            }
            tokio::select! {
                biased;
                // Cancel-safe: a token that is cancelled stays so.
                () = shutdown.cancelled() => return,
                // Cancel-safe: the next turn waits anew.
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(RECONNECT_MAX),
            }
        }
    }

    /// One connection, from CONNECT to its end.
    async fn connection(&mut self, shutdown: &CancellationToken, connected: &mut bool) -> End {
        let (client, events) = self.options.client();
        lock(&self.unacknowledged).client = Some(client.clone());
        let (tell, heard) = mpsc::channel(2 * BATCH_MAX);
        let (arrive, arrived) = mpsc::channel(ARRIVED_MAX);
        let outgoing = publish(self.options.clone(), Arc::clone(&self.outbox), client.clone(), heard);
        let reading = Reading {
            options: &self.options,
            subscribers: &self.subscribers,
            session: &mut self.session,
            client: client.clone(),
            events,
            tell,
            arrive,
            room: Arc::new(Semaphore::new(ARRIVED_BYTES_MAX)),
        };
        tokio::select! {
            biased;
            // Whichever ends is the end of the connection, and nothing of it is used again: what was read and not
            // delivered is not acknowledged either, and comes again.
            end = reading.run(shutdown, connected) => end,
            end = outgoing => end,
            end = self.deliveries.run(client, arrived) => end,
        }
    }
}

/// The reading side of one connection: the only one that polls.
struct Reading<'a> {
    options: &'a BrokerOptions,
    subscribers: &'a BTreeMap<StoreId, Subscriber>,
    session: &'a mut Session,
    client: AsyncClient,
    events: EventLoop,
    tell: mpsc::Sender<Heard>,
    arrive: mpsc::Sender<Arrived>,
    room: Arc<Semaphore>,
}

impl Reading<'_> {
    async fn run(mut self, shutdown: &CancellationToken, connected: &mut bool) -> End {
        let mut subscribed = 0;
        loop {
            let packet = tokio::select! {
                biased;
                // Cancel-safe: a token that is cancelled stays so.
                () = shutdown.cancelled() => {
                    self.leave().await;
                    return End::Shutdown;
                }
                // Not cancel-safe, and never cancelled but at the connection's end.
                event = self.events.poll() => match event {
                    Ok(Event::Incoming(packet)) => packet,
                    Ok(Event::Outgoing(_)) => continue,
                    Err(error) => return End::Lost(Box::new(error)),
                },
            };
            match packet {
                Packet::ConnAck(ack) => {
                    *connected = true;
                    tracing::info!(host = self.options.host, port = self.options.port, "connected to the broker");
                    if let Err(refused) = self.subscribe() {
                        return End::Refused(format!("cannot subscribe: {refused}"));
                    }
                    self.check_session(ack.session_present);
                    // It has room: nothing was told before.
                    let _ = self.tell.try_send(Heard::Connected);
                }
                Packet::SubAck(ack) if ack.return_codes.contains(&SubscribeReasonCode::Failure) => {
                    return End::Refused("the broker refused the subscription; does its access list allow it?".into());
                }
                Packet::SubAck(_) => {
                    subscribed += 1;
                    if subscribed == self.subscribers.len() {
                        // From here on nothing that is published is missed.
                        metrics::gauge!("gondola_feed_connected").set(1.0);
                    }
                }
                Packet::Publish(publish) => self.take(publish).await,
                Packet::PubAck(_) => {
                    // It has room for a batch.
                    let _ = self.tell.try_send(Heard::Acknowledged);
                }
                _ => {}
            }
        }
    }

    /// Asks for every store's topics: on each connection, because the broker may have lost the session.
    fn subscribe(&self) -> Result<(), ClientError> {
        for store in self.subscribers.keys() {
            self.client.try_subscribe(format!("{}/{store}/feed/+", self.options.prefix), QoS::AtLeastOnce)?;
        }
        Ok(())
    }

    /// A broker that does not know our session any more has lost what it kept for us.
    fn check_session(&mut self, present: bool) {
        let before = std::mem::replace(self.session, Session::Kept);
        if present || before == Session::New {
            return;
        }
        tracing::warn!(
            "the broker has lost this controller's session, and with it what was published meanwhile: every facet that \
             has a reload is fetched whole"
        );
        for Subscriber { reloads, .. } in self.subscribers.values() {
            for facet in Facet::ALL {
                // Orders that wait already end in the same reload.
                let _ = reloads.try_send(ReloadOrder { facet: *facet, why: ReloadReason::Gap });
            }
        }
    }

    /// Says goodbye, so that the broker keeps the session without publishing a last will.
    async fn leave(&mut self) {
        let (topic, status) = (self.options.status_topic(), self.options.status(Status::Offline));
        let said = self.client.try_publish(topic, QoS::AtLeastOnce, true, status);
        if said.and_then(|()| self.client.try_disconnect()).is_ok() {
            let sent = async { while self.events.poll().await.is_ok() {} };
            let _ = tokio::time::timeout(Duration::from_millis(500), sent).await;
        }
    }

    /// Puts a message before its store, and waits only while there is no room for it.
    async fn take(&mut self, publish: Publish) {
        let bytes = u32::try_from(publish.payload.len()).expect("a packet is shorter than PACKET_MAX");
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.expect("the semaphore is never closed");
        // The receiver ends with the connection.
        let _ = self.arrive.send((publish, room)).await;
    }
}

impl Deliveries {
    /// Delivers for ever; only the connection's end ends it.
    async fn run(&mut self, client: AsyncClient, mut arrived: mpsc::Receiver<Arrived>) -> End {
        while let Some((publish, _room)) = arrived.recv().await {
            self.deliver(&client, publish).await;
        }
        std::future::pending().await
    }

    /// Hands a message to its store. What nobody can use is named, counted and acknowledged.
    async fn deliver(&mut self, client: &AsyncClient, mut publish: Publish) {
        let Some((store, facet)) = self.addressee(&publish.topic) else {
            count_error(&publish.topic, "the topic names no store or facet of this controller");
            acknowledge(client, &publish);
            return;
        };
        let mut message = wire::parse(facet, &publish.payload);
        for error in &message.errors {
            count_error(&publish.topic, &error.to_string());
        }
        self.unknown.tell(facet, std::mem::take(&mut message.unknown_fields));
        metrics::counter!("gondola_feed_rows_total").increment(message.rows.len() as u64);
        publish.payload = Bytes::new();
        self.last += 1;
        lock(&self.unacknowledged).messages.insert(self.last, publish);
        if let Err(gone) = store.feed(Some(self.last), facet, message).await {
            tracing::debug!(%gone, "a feed message came too late");
        }
    }

    fn addressee(&self, topic: &str) -> Option<(StoreHandle, Facet)> {
        let rest = topic.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let (store, facet) = rest.split_once("/feed/")?;
        let subscriber = self.subscribers.get(&store.parse().ok()?)?;
        Some((subscriber.store.clone(), facet.parse().ok()?))
    }
}

/// The publishing side. It ends when the broker does not take what it is given.
async fn publish(
    options: BrokerOptions,
    outbox: Arc<Outbox>,
    client: AsyncClient,
    mut heard: mpsc::Receiver<Heard>,
) -> End {
    // The first word is that there is a connection.
    heard.recv().await;
    let online = client.try_publish(options.status_topic(), QoS::AtLeastOnce, true, options.status(Status::Online));
    let mut expected = usize::from(online.is_ok());
    loop {
        let acknowledged = async {
            for _ in 0..expected {
                heard.recv().await;
            }
        };
        if tokio::time::timeout(options.acknowledged_max, acknowledged).await.is_err() {
            return End::Refused(format!("it did not acknowledge a message within {:?}", options.acknowledged_max));
        }
        outbox.acknowledged();
        let batch = outbox.take(BATCH_MAX).await;
        expected = batch.len();
        for Outgoing { store, message: Message { topic, payload, retain, .. } } in batch {
            let topic = format!("{}/{store}/{topic}", options.prefix);
            if client.try_publish(topic, QoS::AtLeastOnce, retain, payload).is_err() {
                return End::Refused("the client takes no message".to_owned());
            }
        }
        metrics::counter!("gondola_publications_total").increment(expected as u64);
    }
}

/// What a person reads when the broker is away.
fn outage(address: &str, reason: &str) -> String {
    format!(
        "cannot reach the MQTT broker at {address}: {reason}; labels keep what they show, no price changes arrive, and \
         the connection is tried again every {} s at most: is the broker running?",
        RECONNECT_MAX.as_secs()
    )
}

/// A panic elsewhere leaves the map as usable as it was: each change to it is one step.
fn lock(unacknowledged: &Mutex<Unacknowledged>) -> MutexGuard<'_, Unacknowledged> {
    unacknowledged.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count_error(topic: &str, error: &str) {
    metrics::counter!("gondola_feed_errors_total").increment(1);
    tracing::warn!(topic, "feed: {error}");
}

//! Change messages over MQTT: one connection for all stores.
//!
//! The client library loses its place in some failures (a collision of packet ids after a lost session,
//! an acknowledgement kept across a reconnect), so every connection gets a client and an event loop of its
//! own, and an acknowledgement is only given on the connection that brought the message. The broker keeps
//! the session and sends again what was not acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gondola_protocol::StoreId;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeReasonCode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::store::StoreHandle;
use crate::catalog::wire::{self, Facet};
use crate::controller::message::Delivery;

/// Largest message of the contract, 1 MiB, and room for its topic and header.
const PACKET_MAX: usize = (1 << 20) + 1_024;

/// The library's own request queue: acknowledgements and subscriptions.
const REQUESTS_MAX: usize = 1_024;

/// How often the connection is proven to live.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// First wait before a new connection; doubled up to [`RECONNECT_MAX`].
const RECONNECT_MIN: Duration = Duration::from_millis(250);

/// A broker that comes back is found within this.
const RECONNECT_MAX: Duration = Duration::from_secs(10);

/// Unknown fields that are named in the log: a source's whole format, should it be another one. Others are
/// only counted.
const UNKNOWN_TOLD_MAX: usize = 256;

/// Where the broker is and what is subscribed to.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Before the store in every topic.
    pub prefix: String,
    /// Names this controller's session at the broker.
    pub client_id: String,
}

/// Messages that wait for their acknowledgement, and the connection that brought them.
#[derive(Debug, Default)]
struct Unacknowledged {
    client: Option<AsyncClient>,
    /// Of this connection only. The broker has at most 65,535 packet ids, and keeps far fewer in flight.
    messages: BTreeMap<Delivery, Publish>,
}

impl Unacknowledged {
    fn acknowledge(&mut self, delivery: Delivery) {
        // A message of an older connection is not here: the broker has sent it again.
        if let (Some(client), Some(publish)) = (&self.client, self.messages.remove(&delivery))
            && client.try_ack(&publish).is_err()
        {
            tracing::warn!("cannot acknowledge a feed message; the broker will send it again");
        }
    }
}

/// The feed's task.
#[derive(Debug)]
pub struct Feed {
    options: FeedOptions,
    stores: BTreeMap<StoreId, StoreHandle>,
    unacknowledged: Arc<Mutex<Unacknowledged>>,
    delivery_last: Delivery,
    /// Unknown fields that were named already.
    unknown_told: BTreeSet<(Facet, String)>,
}

/// How a connection ended.
enum End {
    Shutdown,
    Lost(Box<ConnectionError>),
    /// The broker refused the subscription.
    Refused(String),
}

impl Feed {
    /// A feed for these stores.
    #[must_use]
    pub fn new(options: FeedOptions, stores: &[StoreHandle]) -> Self {
        let stores = stores.iter().map(|store| (store.id().clone(), store.clone())).collect();
        Self { options, stores, unacknowledged: Arc::default(), delivery_last: 0, unknown_told: BTreeSet::new() }
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

    /// Runs until `shutdown`: connects, reads, and connects again.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let address = format!("{}:{}", self.options.host, self.options.port);
        let mut wait = RECONNECT_MIN;
        let mut outage_told = false;
        loop {
            let mut connected = false;
            let end = self.connection(&shutdown, &mut connected).await;
            *lock(&self.unacknowledged) = Unacknowledged::default();
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
        let mut options = MqttOptions::new(&self.options.client_id, &self.options.host, self.options.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_session(false);
        options.set_manual_acks(true);
        options.set_max_packet_size(PACKET_MAX, PACKET_MAX);
        let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
        lock(&self.unacknowledged).client = Some(client.clone());
        let mut subscribed = 0;
        loop {
            let packet = tokio::select! {
                biased;
                // Cancel-safe: a token that is cancelled stays so.
                () = shutdown.cancelled() => {
                    self.leave(&client, &mut events).await;
                    return End::Shutdown;
                }
                // Not cancel-safe, and never cancelled but by the shutdown.
                event = events.poll() => match event {
                    Ok(Event::Incoming(packet)) => packet,
                    Ok(Event::Outgoing(_)) => continue,
                    Err(error) => return End::Lost(Box::new(error)),
                },
            };
            match packet {
                Packet::ConnAck(_) => {
                    *connected = true;
                    tracing::info!(host = self.options.host, port = self.options.port, "connected to the broker");
                    if let Err(end) = self.subscribe(&client) {
                        return end;
                    }
                }
                Packet::SubAck(ack) if ack.return_codes.contains(&SubscribeReasonCode::Failure) => {
                    return End::Refused("the broker refused the subscription; does its access list allow it?".into());
                }
                Packet::SubAck(_) => {
                    subscribed += 1;
                    if subscribed == self.stores.len() {
                        // From here on nothing that is published is missed.
                        metrics::gauge!("gondola_feed_connected").set(1.0);
                    }
                }
                Packet::Publish(publish) => self.deliver(&client, publish).await,
                _ => {}
            }
        }
    }

    /// Asks for every store's topics: on each connection, because the broker may have lost the session.
    fn subscribe(&self, client: &AsyncClient) -> Result<(), End> {
        for store in self.stores.keys() {
            let topic = format!("{}/{store}/feed/+", self.options.prefix);
            let asked = client.try_subscribe(topic, QoS::AtLeastOnce);
            asked.map_err(|_| End::Refused(format!("{REQUESTS_MAX} requests wait already")))?;
        }
        Ok(())
    }

    /// Says goodbye, so that the broker keeps the session without publishing a last will.
    async fn leave(&self, client: &AsyncClient, events: &mut EventLoop) {
        if client.try_disconnect().is_ok() {
            let sent = async { while events.poll().await.is_ok() {} };
            let _ = tokio::time::timeout(Duration::from_millis(500), sent).await;
        }
    }

    /// Hands a message to its store. What nobody can use is named, counted and acknowledged.
    async fn deliver(&mut self, client: &AsyncClient, publish: Publish) {
        let Some((store, facet)) = self.addressee(&publish.topic) else {
            count_error(&publish.topic, "the topic names no store or facet of this controller");
            let _ = client.try_ack(&publish);
            return;
        };
        let parsed = wire::parse(facet, &publish.payload);
        for error in &parsed.errors {
            count_error(&publish.topic, &error.to_string());
        }
        self.tell_unknown(facet, parsed.unknown_fields);
        metrics::counter!("gondola_feed_rows_total").increment(parsed.rows.len() as u64);
        self.delivery_last += 1;
        lock(&self.unacknowledged).messages.insert(self.delivery_last, publish);
        if let Err(gone) = store.feed(Some(self.delivery_last), facet, parsed.rows, parsed.seqs).await {
            tracing::debug!(%gone, "a feed message came too late");
        }
    }

    /// Counts fields that nobody knows, and names each once.
    fn tell_unknown(&mut self, facet: Facet, fields: BTreeSet<String>) {
        metrics::counter!("gondola_feed_unknown_fields_total").increment(fields.len() as u64);
        for field in fields {
            if self.unknown_told.len() < UNKNOWN_TOLD_MAX && self.unknown_told.insert((facet, field.clone())) {
                tracing::warn!("feed: field `{field}` of {facet} is not known and not looked at; this is told once");
            }
        }
    }

    fn addressee(&self, topic: &str) -> Option<(StoreHandle, Facet)> {
        let rest = topic.strip_prefix(&self.options.prefix)?.strip_prefix('/')?;
        let (store, facet) = rest.split_once("/feed/")?;
        let store = self.stores.get(&store.parse().ok()?)?;
        Some((store.clone(), facet.parse().ok()?))
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

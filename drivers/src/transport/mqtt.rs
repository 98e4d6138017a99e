//! A station behind an MQTT broker: a topic to it and a topic from it, whole frames in each message.
//!
//! Messages have QoS 0: the link repeats what is lost, and two that repeat get in each other's way. Each
//! connection has a client of its own, because the library loses its place in some failures; and nothing waits for
//! room in its queue in the task that polls it, which would be for ever.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::{
    AsyncClient, ClientError, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, SubscribeReasonCode,
    TlsConfiguration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::{Stream, TlsClient};

/// Longer than any broker takes to answer a connection and a subscription.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How often the connection to the broker is proven to live.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Bytes that wait on either side of the connection: a few typical frames.
const BUFFER_BYTES: usize = 64 * 1024;

/// The largest frame on the stream, and what one read takes beside it.
const PACKET_MAX: usize = 256 * 1024;

/// Messages in the library's queue.
const REQUESTS_MAX: usize = 16;

/// How long a goodbye to the broker may take.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// A station's place at a broker: `mqtt://host:port/topic`. It hears `topic/down` and speaks on `topic/up`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttTopic {
    /// Name or address.
    pub host: String,
    /// 1883 unless given.
    pub port: u16,
    /// What both topics begin with.
    pub topic: String,
}

/// A text that is no station's place at a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `mqtt://host:port/topic`")]
pub struct MqttTopicError(String);

impl FromStr for MqttTopic {
    type Err = MqttTopicError;

    fn from_str(text: &str) -> Result<Self, MqttTopicError> {
        let refused = || MqttTopicError(text.to_owned());
        let rest = text.strip_prefix("mqtt://").ok_or_else(refused)?;
        let (address, topic) = rest.split_once('/').ok_or_else(refused)?;
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| refused())?),
            None => (address, 1883),
        };
        let is_topic = !topic.is_empty() && topic.len() <= 200 && !topic.contains(['+', '#', '\0']);
        if host.is_empty() || port == 0 || !is_topic || topic.starts_with('$') {
            return Err(refused());
        }
        Ok(Self { host: host.to_owned(), port, topic: topic.to_owned() })
    }
}

impl fmt::Display for MqttTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt://{}:{}/{}", self.host, self.port, self.topic)
    }
}

impl MqttTopic {
    /// Connects to the broker and subscribes. Whether the station is there, its welcome tells.
    pub(super) async fn connect(&self, tls: Option<&TlsClient>, tasks: &TaskTracker) -> io::Result<Stream> {
        // Two controllers that drive one station would take turns; with one name the broker keeps one of them.
        let mut options = MqttOptions::new(format!("gondola/{}", self.topic), &self.host, self.port);
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(true).set_max_packet_size(PACKET_MAX, PACKET_MAX);
        if let Some(TlsClient(config)) = tls {
            options.set_transport(rumqttc::Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(config))));
        }
        let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
        let up = format!("{}/up", self.topic);
        client.try_subscribe(up, QoS::AtMostOnce).map_err(io::Error::other)?;
        let unanswered = |_| io::Error::new(io::ErrorKind::TimedOut, "the broker does not answer");
        timeout(CONNECT_MAX, subscribed(&mut events)).await.map_err(unanswered)??;
        let (ours, theirs) = tokio::io::duplex(BUFFER_BYTES);
        let down = format!("{}/down", self.topic);
        tasks.spawn(Pump { client, events, down, stream: theirs, read: BytesMut::new() }.run());
        Ok(Box::new(ours))
    }
}

/// Polls until the broker has confirmed the subscription.
async fn subscribed(events: &mut EventLoop) -> io::Result<()> {
    loop {
        match events.poll().await.map_err(io::Error::other)? {
            Event::Incoming(Packet::SubAck(ack)) => {
                let is_granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                let refused = || io::Error::new(io::ErrorKind::PermissionDenied, "the broker refused the subscription");
                return if ack.return_codes.iter().all(is_granted) { Ok(()) } else { Err(refused()) };
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }
}

/// Carries bytes between a station's stream and the broker until either ends.
struct Pump {
    client: AsyncClient,
    events: EventLoop,
    down: String,
    stream: DuplexStream,
    /// Read from the stream and not yet published.
    read: BytesMut,
}

impl Pump {
    async fn run(mut self) {
        loop {
            let has_room = self.publish();
            tokio::select! {
                biased;
                // Cancel-safe once connected: what it has read it keeps.
                event = self.events.poll() => match event {
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        // Waiting here holds the broker back, not us: its messages stay on the wire.
                        if self.stream.write_all(&publish.payload).await.is_err() {
                            return self.say_goodbye().await;
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        debug!(topic = self.down, %error, "the connection to the broker broke");
                        return;
                    }
                },
                // Cancel-safe: `read_buf` has read nothing when another arm wins.
                read = self.stream.read_buf(&mut self.read), if has_room => {
                    if !matches!(read, Ok(1..)) {
                        return self.say_goodbye().await;
                    }
                }
            }
        }
    }

    /// Publishes the whole frames that were read. Answers whether more may be read.
    fn publish(&mut self) -> bool {
        let Some(end) = self.read.iter().rposition(|byte| *byte == 0) else { return true };
        let frames = self.read.split_to(end + 1).freeze();
        match self.client.try_publish(self.down.as_str(), QoS::AtMostOnce, false, frames.clone()) {
            Ok(()) => true,
            // The next event makes room.
            Err(ClientError::Request(_) | ClientError::TryRequest(_)) => {
                let mut unpublished = BytesMut::from(frames);
                unpublished.unsplit(std::mem::take(&mut self.read));
                self.read = unpublished;
                false
            }
        }
    }

    async fn say_goodbye(mut self) {
        let goodbye = async {
            if self.client.try_disconnect().is_ok() {
                while let Ok(event) = self.events.poll().await {
                    if event == Event::Outgoing(Outgoing::Disconnect) {
                        break;
                    }
                }
            }
        };
        // A broker that does not take it notices the closed connection.
        let _ = timeout(GOODBYE_MAX, goodbye).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        let place: MqttTopic = "mqtt://broker:1884/shop/front".parse().unwrap();
        assert_eq!((place.host.as_str(), place.port, place.topic.as_str()), ("broker", 1884, "shop/front"));
        assert_eq!(place.to_string(), "mqtt://broker:1884/shop/front");
        assert_eq!("mqtt://broker/front".parse::<MqttTopic>().unwrap().port, 1883);
        for text in
            ["", "broker/front", "mqtt://broker", "mqtt://broker/", "mqtt://:1/a", "mqtt://b:0/a", "mqtt://b/a+"]
        {
            assert!(text.parse::<MqttTopic>().is_err(), "{text}");
        }
    }
}

//! A station as a client of an MQTT broker: it hears `topic/down` and speaks on `topic/up`, QoS 0.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::StationId;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};

use super::connection::Shared;

/// How often the connection to the broker is proven to live.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The largest frame on the stream, and a window's acks.
const PACKET_MAX: usize = 256 * 1024;

/// Messages in the library's queue.
const REQUESTS_MAX: usize = 16;

/// `mqtt://host:port/topic`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    port: u16,
    topic: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = || {
            let (address, topic) = text.strip_prefix("mqtt://")?.split_once('/')?;
            let (host, port) = address.rsplit_once(':')?;
            let is_whole = !host.is_empty() && !topic.is_empty() && !topic.contains(['+', '#']);
            is_whole.then_some(Self { host: host.to_owned(), port: port.parse().ok()?, topic: topic.to_owned() })
        };
        place().ok_or_else(|| format!("`{text}` is not `mqtt://host:port/topic`"))
    }
}

/// Serves at the broker until the connection ends.
pub(super) async fn serve(shared: &Shared, station: &StationId, place: &Place) -> io::Result<()> {
    let mut options = MqttOptions::new(format!("station/{}", place.topic), &place.host, place.port);
    options.set_keep_alive(KEEP_ALIVE).set_clean_session(true).set_max_packet_size(PACKET_MAX, PACKET_MAX);
    let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
    client.try_subscribe(format!("{}/down", place.topic), QoS::AtMostOnce).map_err(io::Error::other)?;
    let up = format!("{}/up", place.topic);
    while !matches!(events.poll().await.map_err(io::Error::other)?, Event::Incoming(Packet::SubAck(_))) {}
    let Some(mut line) = shared.open(station).await else { return Ok(()) };
    let mut waiting: Option<Bytes> = None;
    let end = line.end.clone();
    let result = loop {
        // A full queue is tried again after the next event, which makes room in it.
        if let Some(frame) = waiting.take()
            && client.try_publish(up.as_str(), QoS::AtMostOnce, false, frame.clone()).is_err()
        {
            waiting = Some(frame);
        }
        tokio::select! {
            biased;
            // Cancel-safe: cancellation is a state.
            () = end.cancelled() => break Ok(()),
            // Cancel-safe once connected: what it has read it keeps.
            event = events.poll() => match event {
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if !line.hear(publish.payload).await {
                        break Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) => break Err(io::Error::other(error)),
            },
            // Cancel-safe: a frame that was not taken stays.
            frame = line.frames.recv(), if waiting.is_none() => match frame {
                Some(frame) => {
                    waiting = Some(frame);
                    line.drained();
                }
                None => break Ok(()),
            },
        }
    };
    line.close().await;
    result
}

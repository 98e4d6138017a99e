//! The ways to a station: each yields a byte stream, and none knows what the bytes mean.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

pub mod incoming;
pub mod mqtt;
mod serial;
mod tcp;
pub mod tls;

pub use incoming::{Incoming, Reception};
pub use mqtt::MqttTopic;
pub use serial::ResetPin;
pub(crate) use serial::{LineSpeed, Reset};
pub use tls::{TlsClient, TlsServer};

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A connection to a station.
pub type Stream = Box<dyn ByteStream>;

/// How a station is reached.
#[derive(Debug)]
pub enum Transport {
    /// We connect to it over TCP, at `host:port`.
    Tcp(String),
    /// The same through TLS; the certificate must be for `host`.
    Tls(String, TlsClient),
    /// It connects to us, or somebody in this process hands us its streams.
    Incoming(Incoming),
    /// It hangs on a serial line.
    Serial {
        /// The system's name of the line, for example `/dev/ttyUSB0`.
        path: String,
        /// Bits per second; 8 data bits, no parity, 1 stop bit.
        baud: u32,
        /// The adapter's pin that resets what hangs on the line, if it is wired: after an attempt that led to no session
        /// the next one begins with a reset.
        reset: Option<ResetPin>,
    },
    /// It is a client of an MQTT broker, to which we connect through TLS or not.
    Mqtt(MqttTopic, Option<TlsClient>),
}

impl Transport {
    /// Makes one attempt to connect, or waits for the station to. A serial line runs at `speed` from then on, which is
    /// at first the configured one.
    ///
    /// # Errors
    /// The system's, the broker's, or a time-out.
    pub(crate) async fn connect(&mut self, tasks: &TaskTracker, speed: &LineSpeed, reset: Reset) -> io::Result<Stream> {
        match self {
            Self::Tcp(address) => tcp::connect(address).await,
            Self::Tls(address, tls) => tcp::connect_tls(address, tls).await,
            Self::Incoming(incoming) => incoming.next().await,
            Self::Serial { path, baud, reset: pin } => serial::open(path, *baud, speed, (*pin, reset)).await,
            Self::Mqtt(topic, tls) => topic.connect(tls.as_ref(), tasks).await,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Tls(address, _) => f.write_str(address),
            Self::Incoming(incoming) => incoming.fmt(f),
            Self::Serial { path, .. } => f.write_str(path),
            Self::Mqtt(topic, _) => topic.fmt(f),
        }
    }
}

//! The embedded MQTT broker, on loopback, in memory.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

/// Bytes of one segment of the broker's log: it holds the largest message of the feed.
const SEGMENT_BYTES: usize = 4 << 20;

/// Segments that the broker keeps for a subscriber that is away. All of it is memory.
const SEGMENTS: usize = 4;

/// How long the broker may take to listen.
const START_MAX: Duration = Duration::from_secs(5);

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No port is free on loopback.
    #[error("cannot find a free port for the embedded broker")]
    Port(#[source] std::io::Error),
    /// It did not begin to listen.
    #[error("the embedded broker did not listen on {0} within {seconds} s", seconds = START_MAX.as_secs())]
    Silent(SocketAddr),
}

/// Starts a broker on a free port of loopback and answers its address. It ends with the process: the
/// library has no way to stop it.
///
/// # Errors
/// See [`BrokerError`].
pub async fn start() -> Result<SocketAddr, BrokerError> {
    // The library answers "fine" on a port in use, so a free one is found first.
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    let address = probe.map_err(BrokerError::Port)?;
    let mut broker = Broker::new(config(address));
    let run = move || {
        if let Err(error) = broker.start() {
            tracing::error!(%error, "the embedded broker ended");
        }
    };
    thread::Builder::new().name("broker".to_owned()).spawn(run).map_err(BrokerError::Port)?;
    let listening = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(START_MAX, listening).await.map_err(|_| BrokerError::Silent(address))?;
    Ok(address)
}

fn config(listen: SocketAddr) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: (1 << 20) + 1_024,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server =
        ServerSettings { name: "embedded".to_owned(), listen, tls: None, next_connection_delay_ms: 1, connections };
    Config {
        id: 0,
        router: RouterConfig {
            max_connections: 64,
            max_outgoing_packet_count: 200,
            max_segment_size: SEGMENT_BYTES,
            max_segment_count: SEGMENTS,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("embedded".to_owned(), server)])),
        v5: None,
        ws: None,
        cluster: None,
        console: None,
        bridge: None,
        prometheus: None,
        metrics: None,
    }
}

//! The broker as this controller sees it: where it is, who we are there, and what it says of us when we are gone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, EventLoop, LastWill, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;
use serde_json::json;

/// Largest message of the contract, 1 MiB, and room for its topic and header.
const PACKET_MAX: usize = (1 << 20) + 1_024;

/// The library's own request queue. It holds an acknowledgement for every packet id that MQTT has, so that none is
/// ever without room, and beside them the subscriptions and one batch of publications.
const REQUESTS_MAX: usize = 65_536 + 4_096;

/// How often the connection is proven to live.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Our messages on their way, and ids that the library gives to subscriptions. Far above the batches that are
/// published: the library goes round through the ids, and waits in vain where one is still in use.
const INFLIGHT_MAX: u16 = 8_192;

/// Where the broker is, and who we are there.
#[derive(Clone)]
pub struct BrokerOptions {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whom to trust; none for a connection without TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// Before everything else in every topic.
    pub prefix: String,
    /// Names this controller and its session at the broker.
    pub controller: String,
    /// When this controller started, in RFC 3339.
    pub since: String,
    /// A broker that takes longer to acknowledge what it was sent is given up.
    pub acknowledged_max: Duration,
}

impl fmt::Debug for BrokerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, prefix, controller, .. } = self;
        f.debug_struct("BrokerOptions")
            .field("host", host)
            .field("port", port)
            .field("prefix", prefix)
            .field("controller", controller)
            .finish_non_exhaustive()
    }
}

impl BrokerOptions {
    /// `host:port`
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A client and an event loop for one connection, from its beginning to its end: after some failures the
    /// library finds its place no more, so neither is used again.
    #[must_use]
    pub(super) fn client(&self) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(&self.controller, &self.host, self.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_session(false);
        options.set_manual_acks(true);
        options.set_inflight(INFLIGHT_MAX);
        options.set_max_packet_size(PACKET_MAX, PACKET_MAX);
        options.set_last_will(LastWill::new(self.status_topic(), self.status(Status::Offline), QoS::AtLeastOnce, true));
        if let Some((username, password)) = &self.login {
            options.set_credentials(username, password);
        }
        if let Some(tls) = &self.tls {
            options.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::clone(tls))));
        }
        let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
        // Each message is written by itself: otherwise every one but the first waits for the other end's
        // acknowledgement of the one before, 40 ms at a time.
        events.network_options.set_tcp_nodelay(true);
        (client, events)
    }

    /// Where [`Self::status`] is kept.
    #[must_use]
    pub(super) fn status_topic(&self) -> String {
        format!("{}/status/{}", self.prefix, self.controller)
    }

    /// What is kept there.
    #[must_use]
    pub(super) fn status(&self, status: Status) -> String {
        let online = status == Status::Online;
        json!({ "online": online, "version": env!("CARGO_PKG_VERSION"), "since": self.since }).to_string()
    }
}

/// Whether this controller is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It says so itself.
    Online,
    /// It said so before it left, or the broker noticed.
    Offline,
}

//! `feed`: the broker that brings changes.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[feed]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// `embedded`, or the address of a broker.
    pub broker: Broker,
    /// What stands before the store in every topic.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Who we are at the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Certificates, in PEM form, of the authorities that the broker's certificate is accepted from; the system's
    /// without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

fn default_prefix() -> String {
    "gondola/v1".to_owned()
}

/// Where change messages come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Broker {
    /// In this process, on loopback, in memory.
    Embedded,
    /// `mqtt://host:port`
    Mqtt {
        /// Name or address.
        host: String,
        /// 1883 unless given.
        port: u16,
    },
    /// `mqtts://host:port`: MQTT within TLS.
    Mqtts {
        /// The name that its certificate is for.
        host: String,
        /// 8883 unless given.
        port: u16,
    },
}

impl TryFrom<String> for Broker {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let shape = || format!("broker `{text}` is not `embedded`, `mqtt://host:port` or `mqtts://host:port`");
        let (scheme, address) = text.split_once("://").ok_or_else(shape)?;
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| shape())?)),
            None => (address, None),
        };
        if host.is_empty() || port == Some(0) || host.contains('/') {
            return Err(shape());
        }
        let host = host.to_owned();
        match scheme {
            "mqtt" => Ok(Self::Mqtt { host, port: port.unwrap_or(1883) }),
            "mqtts" => Ok(Self::Mqtts { host, port: port.unwrap_or(8883) }),
            _ => Err(shape()),
        }
    }
}

impl From<Broker> for String {
    fn from(broker: Broker) -> Self {
        broker.to_string()
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Mqtt { host, port } => write!(f, "mqtt://{host}:{port}"),
            Self::Mqtts { host, port } => write!(f, "mqtts://{host}:{port}"),
        }
    }
}

impl FeedConfig {
    pub(super) fn check(&self, problems: &mut Vec<String>) {
        if self.prefix.is_empty() || self.prefix.contains(['+', '#']) || self.prefix.starts_with('$') {
            problems.push(format!("feed.prefix `{}` cannot stand at the start of a topic", self.prefix));
        }
        if self.broker == Broker::Embedded && self.username.is_some() {
            problems.push("feed.username is for a broker with users; the embedded one has none, remove it".to_owned());
        }
        if self.password_file.is_some() && self.username.is_none() {
            problems.push("feed.password_file needs feed.username".to_owned());
        }
        if self.ca_file.is_some() && !matches!(self.broker, Broker::Mqtts { .. }) {
            problems.push("feed.ca_file is for TLS: use a broker with mqtts://, or remove it".to_owned());
        }
    }
}

//! `base_station` of a store: its driver, and how it is reached.

use std::net::SocketAddr;
use std::path::PathBuf;

use gondola_drivers::transport::MqttTopic;
use gondola_protocol::StationId;
use serde::{Deserialize, Serialize};

use super::radio::{LabelTypeConfig, ResetConfig};

/// Speeds of a serial line: below, a picture takes minutes; above, no adapter follows.
const BAUDS: std::ops::RangeInclusive<u32> = 9_600..=4_000_000;

/// `[[store.base_station]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationConfig {
    /// Its name.
    pub id: StationId,
    /// Which protocol it speaks.
    pub driver: Driver,
    /// How it is reached.
    pub transport: Transport,
    /// A file with the station's key, 64 hexadecimal digits. With one, only the station that has it is driven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The channel of a radio of OpenEPaperLink: 11, 15, 20 or 25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<u8>,
    /// Types of labels of OpenEPaperLink that we do not know, or know otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_types: Vec<LabelTypeConfig>,
}

/// Driver families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// Our reference protocol.
    Shelflink,
    /// A radio of OpenEPaperLink on a serial line.
    Openepaperlink,
}

/// How a base station is reached; exactly one of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// `host:port` to connect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// `address:port` to which it connects; several stations may share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// The system's name of a serial line, for example `/dev/ttyUSB0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Speed of the serial line, 115,200 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    /// The adapter's pin that is wired to the reset of a radio of OpenEPaperLink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetConfig>,
    /// `mqtt://host:port/topic`: the station hears `topic/down` and speaks on `topic/up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
    /// With `tcp` or `mqtt`: through TLS, to a server whose certificate an authority in this PEM file has signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// With `listen`: through TLS, with the certificate in this PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
}

impl StationConfig {
    pub(super) fn check(&self, name: &str, problems: &mut Vec<String>) {
        let Transport { tcp, listen, serial, baud, mqtt, .. } = &self.transport;
        self.check_radio(name, problems);
        let ways = [tcp, listen, serial, mqtt].into_iter().flatten().count();
        if ways != 1 {
            problems
                .push(format!("{name}: transport has {ways} of `tcp`, `listen`, `serial` and `mqtt`; it needs one"));
        }
        if let Some(address) = tcp.as_ref().filter(|address| !address.contains(':')) {
            problems.push(format!("{name}: tcp `{address}` is not `host:port`"));
        }
        match listen.as_ref().map(|address| (address, address.parse::<SocketAddr>())) {
            Some((address, Err(_))) => problems.push(format!("{name}: listen `{address}` is not `address:port`")),
            Some((address, Ok(parsed))) if !parsed.ip().is_loopback() && self.key_file.is_none() => {
                problems.push(format!(
                    "{name}: listen `{address}` can be reached by others, who could say that they are it; add key_file"
                ))
            }
            _ => {}
        }
        if let Some(Err(error)) = mqtt.as_ref().map(|place| place.parse::<MqttTopic>()) {
            problems.push(format!("{name}: mqtt {error}"));
        }
        self.transport.check_tls(name, problems);
        match (serial, baud) {
            (None, Some(_)) => problems.push(format!("{name}: baud is for `serial` alone; remove it")),
            (Some(_), Some(baud)) if !BAUDS.contains(baud) => {
                problems.push(format!("{name}: baud {baud} is not {} to {}", BAUDS.start(), BAUDS.end()));
            }
            _ => {}
        }
    }
}

impl Transport {
    fn check_tls(&self, name: &str, problems: &mut Vec<String>) {
        if self.ca_file.is_some() && self.tcp.is_none() && self.mqtt.is_none() {
            problems.push(format!("{name}: ca_file is for `tcp` and `mqtt`; remove it"));
        }
        let (certificate, key) = (self.certificate_file.is_some(), self.private_key_file.is_some());
        if certificate != key {
            problems.push(format!("{name}: certificate_file and private_key_file go together"));
        }
        if (certificate || key) && self.listen.is_none() {
            problems.push(format!("{name}: certificate_file and private_key_file are for `listen`; remove them"));
        }
    }
}

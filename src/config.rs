//! The configuration file: typed, closed against unknown keys, and reporting every problem at once.
//! It is passed as an argument and never global.

mod radio;
mod reload;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gondola_drivers::transport::MqttTopic;
use gondola_protocol::{StationId, StoreId};
use serde::{Deserialize, Serialize};

use crate::alert::rules::AlertRules;
use crate::catalog::currency::Currency;
use crate::catalog::guard::GuardRules;
use crate::catalog::settings::{Format, Market};
pub use radio::{LabelTypeConfig, PackingConfig, ResetConfig};
pub use reload::{ReloadConfig, SourceUrl};
pub use webhook::{Form, Language, Topic, WebhookConfig, WebhookName, WebhookUrl, WebhookUrlError};

/// Problems that are reported at once; a file with more of them is read again after these are mended.
const PROBLEMS_MAX: usize = 20;

/// Speeds of a serial line: below, a picture takes minutes; above, no adapter follows.
const BAUDS: std::ops::RangeInclusive<u32> = 9_600..=4_000_000;

/// What `gondola run` works by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where journal, view and pictures live. Relative to the working directory.
    pub data_dir: PathBuf,
    /// A directory of templates instead of the embedded ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<PathBuf>,
    /// The dashboard and REST.
    #[serde(default)]
    pub web: WebConfig,
    /// The broker that brings changes.
    pub feed: FeedConfig,
    /// How long the journals go back.
    #[serde(default)]
    pub journal: JournalConfig,
    /// Who is told of alerts over HTTP.
    #[serde(default)]
    pub webhook: Vec<WebhookConfig>,
    /// The stores.
    #[serde(default)]
    pub store: Vec<StoreConfig>,
}

/// `[web]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    /// Address and port; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The certificates to show, in PEM form, ours first. With them only TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The key of our certificate, in PEM form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
    /// Whether other machines may come in without TLS: behind a proxy that speaks it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { listen: default_listen(), certificate_file: None, private_key_file: None, plain_http: false }
    }
}

fn default_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 8080).into()
}

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalConfig {
    /// Proofs of display are kept for so many days; registrations, bindings, prices and approvals always.
    #[serde(default = "default_kept_days")]
    pub kept_days: u32,
    /// Whether the picture of a proof is kept for as long as the proof is, beside what it says: 2 to 3 KB each, some
    /// 10 GB a year for a store of 10,000 labels with one change a day.
    #[serde(default)]
    pub keep_pictures: bool,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { kept_days: default_kept_days(), keep_pictures: false }
    }
}

/// So that this year's promotion can be compared with last year's, and in which a complaint may come.
const fn default_kept_days() -> u32 {
    400
}

impl JournalConfig {
    /// How long proofs of display are kept.
    #[must_use]
    pub fn kept(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.kept_days))
    }

    /// How long a picture is kept that no label needs any more.
    #[must_use]
    pub fn pictures_kept(&self) -> Duration {
        if self.keep_pictures { self.kept() } else { Duration::ZERO }
    }

    fn check(&self, problems: &mut Vec<String>) {
        if self.kept_days == 0 {
            problems.push("journal.kept_days is 0; proofs are kept for a day at least".to_owned());
        }
    }
}

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

/// `[[store]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Its id in topics and paths.
    pub id: StoreId,
    /// Its name for people.
    pub name: String,
    /// What kind of shop it is.
    pub format: Format,
    /// Dates on labels are in this IANA zone.
    pub time_zone: String,
    /// Of every amount.
    pub currency: Currency,
    /// Whose law on price tags holds.
    pub market: Market,
    /// Where its facets are fetched whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<ReloadConfig>,
    /// Which price changes wait for a person.
    #[serde(default)]
    pub guard: GuardRules,
    /// From where on what is measured of it is told.
    #[serde(default)]
    pub alerts: AlertRules,
    /// Its base stations.
    #[serde(default)]
    pub base_station: Vec<StationConfig>,
}

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

/// Why a configuration cannot be used: every problem that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "cannot use the configuration {}: {count} problem{}", self.file, if count == 1 { "" } else { "s" })?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or has problems.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let refused = |error: std::io::Error| ConfigError { file: file.clone(), problems: vec![error.to_string()] };
        Self::parse(&std::fs::read_to_string(path).map_err(refused)?, &file)
    }

    /// Reads the text of a file; `file` is its name in messages.
    ///
    /// # Errors
    /// Every problem that the text has.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let (config, mut problems) = read_shape(text);
        if let Some(config) = &config {
            problems.extend(config.check());
        }
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError { file: file.to_owned(), problems }),
        }
    }

    /// What the types cannot say.
    fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.web.check(&mut problems);
        self.feed.check(&mut problems);
        self.journal.check(&mut problems);
        if self.store.is_empty() {
            problems.push("there is no store; add a [[store]]".to_owned());
        }
        let (mut ids, mut guests) = (BTreeSet::new(), BTreeSet::new());
        for store in &self.store {
            for StationConfig { id, transport, .. } in &store.base_station {
                if let Some(listen) = &transport.listen
                    && !guests.insert((listen, id))
                {
                    problems.push(format!(
                        "base station `{id}` comes in at `{listen}` twice; give each its own name or port"
                    ));
                }
            }
            if !ids.insert(&store.id) {
                problems.push(format!("store `{}` is there twice", store.id));
            }
            store.check(&mut problems);
        }
        webhook::check(&self.webhook, &ids, &mut problems);
        problems
    }
}

impl WebConfig {
    fn check(&self, problems: &mut Vec<String>) {
        let Self { listen, certificate_file, private_key_file, plain_http } = self;
        if certificate_file.is_some() != private_key_file.is_some() {
            problems.push("web.certificate_file and web.private_key_file go together".to_owned());
        }
        if certificate_file.is_some() && *plain_http {
            problems.push("web.plain_http is for a web without certificate_file; remove one of them".to_owned());
        }
        if !listen.ip().to_canonical().is_loopback() && certificate_file.is_none() && !plain_http {
            problems.push(format!(
                "web.listen `{listen}` can be reached by others, who could read passwords on the way; add certificate_file \
                 and private_key_file, or plain_http = true behind a proxy that speaks TLS"
            ));
        }
    }
}

impl FeedConfig {
    fn check(&self, problems: &mut Vec<String>) {
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

impl StoreConfig {
    fn check(&self, problems: &mut Vec<String>) {
        let id = &self.id;
        if jiff::tz::TimeZone::get(&self.time_zone).is_err() {
            problems.push(format!(
                "store `{id}`: time_zone `{}` is not a zone of the IANA database, for example `Asia/Shanghai`",
                self.time_zone
            ));
        }
        if self.guard.down_percent > 100 || self.guard.wave_percent > 100 {
            problems.push(format!("store `{id}`: guard counts in percent, 0 to 100"));
        }
        let AlertRules { accuracy_percent, disk_percent, station_down_minutes, .. } = self.alerts;
        if accuracy_percent > 100 || disk_percent > 95 {
            problems.push(format!("store `{id}`: alerts count in percent, 0 to 100 for accuracy and 0 to 95 for disk"));
        }
        if station_down_minutes > 1_440 {
            problems.push(format!("store `{id}`: alerts.station_down_minutes is above a day's 1440"));
        }
        if let Some(reload) = &self.reload {
            reload.check(&format!("store `{id}`"), problems);
        }
        let mut stations = BTreeSet::new();
        for station in &self.base_station {
            if !stations.insert(&station.id) {
                problems.push(format!("store `{id}`: base station `{}` is there twice", station.id));
            }
            station.check(&format!("base station `{}`", station.id), problems);
        }
        let mut channels = BTreeMap::new();
        for station in &self.base_station {
            let Some(channel) = station.radio_channel() else { continue };
            if let Some(other) = channels.insert(channel, &station.id) {
                problems.push(format!(
                    "store `{id}`: base stations `{other}` and `{}` share channel {channel}; give each its own of 11, \
                     15, 20 and 25",
                    station.id
                ));
            }
        }
    }
}

impl StationConfig {
    fn check(&self, name: &str, problems: &mut Vec<String>) {
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

/// Reads the types, and finds further problems behind the first by reading again without the line at fault.
/// The problems are in the order of their lines.
fn read_shape(text: &str) -> (Option<Config>, Vec<String>) {
    let mut text = text.to_owned();
    let mut problems: Vec<(usize, String)> = Vec::new();
    while problems.len() < PROBLEMS_MAX {
        let error = match toml::from_str::<Config>(&text) {
            Ok(config) => return (Some(config), in_order(problems)),
            Err(error) => error,
        };
        // A key that is missing after a line was taken out may have stood there: it is not the author's mistake.
        let missing = error.message().starts_with("missing field");
        if missing && !problems.is_empty() {
            break;
        }
        let Some(span) = error.span() else {
            problems.push((0, error.message().to_owned()));
            break;
        };
        let line = text[..span.start].matches('\n').count() + 1;
        problems.push((line, format!("line {line}: {}", error.message())));
        if missing || !blank_line(&mut text, span.start) {
            break;
        }
    }
    (None, in_order(problems))
}

fn in_order(mut problems: Vec<(usize, String)>) -> Vec<String> {
    problems.sort();
    problems.into_iter().map(|(_, problem)| problem).collect()
}

/// Takes a line out without moving the others. Answers whether there was anything to take.
fn blank_line(text: &mut String, at: usize) -> bool {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let blank = " ".repeat(end - start);
    let had_text = !text[start..end].trim().is_empty();
    text.replace_range(start..end, &blank);
    had_text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
data_dir = "/var/lib/gondola"

[feed]
broker = "mqtt://127.0.0.1:1883"

[[store]]
id = "hz-001"
name = "杭州解百店"
format = "community"
time_zone = "Asia/Shanghai"
currency = "CNY"
market = "CN"

[[store.base_station]]
id = "front"
driver = "shelflink"
transport = { tcp = "127.0.0.1:7001" }
"#;

    #[track_caller]
    fn check(change: impl Fn(&str) -> String, expected: &[&str]) {
        let error = Config::parse(&change(GOOD), "gondola.toml").unwrap_err();
        assert_eq!(error.problems, expected);
        assert!(Config::parse(GOOD, "gondola.toml").is_ok());
    }

    #[test]
    fn a_good_file_is_printed_as_it_is_read() {
        let config = Config::parse(GOOD, "gondola.toml").unwrap();
        assert_eq!(config.web.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.feed.prefix, "gondola/v1");
        let printed = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&printed, "printed").unwrap(), config);
    }

    #[test]
    fn problems_are_named_with_what_to_do() {
        check(
            |good| good.replace("127.0.0.1:7001", "station"),
            &["base station `front`: tcp `station` is not `host:port`"],
        );
        check(
            |good| good.replace("shelflink", "openepaperlink"),
            &["base station `front`: a radio of openepaperlink is driven through `serial`"],
        );
        check(
            |good| good.replace("Asia/Shanghai", "Asia/Hangzhou"),
            &[
                "store `hz-001`: time_zone `Asia/Hangzhou` is not a zone of the IANA database, for example `Asia/Shanghai`",
            ],
        );
        check(
            |good| good.replace("mqtt://", "http://"),
            &["line 5: broker `http://127.0.0.1:1883` is not `embedded`, `mqtt://host:port` or `mqtts://host:port`"],
        );
        check(
            |good| good.replace(":1883\"", ":1883\"\npassword_file = \"password\"\nca_file = \"ca.pem\""),
            &[
                "feed.password_file needs feed.username",
                "feed.ca_file is for TLS: use a broker with mqtts://, or remove it",
            ],
        );
        check(
            |good| good.replace("mqtt://127.0.0.1:1883\"", "embedded\"\nusername = \"gondola\""),
            &["feed.username is for a broker with users; the embedded one has none, remove it"],
        );
        let transport = |other: &'static str| move |good: &str| good.replace("tcp = \"127.0.0.1:7001\"", other);
        check(
            transport("serial = \"/dev/ttyUSB0\", mqtt = \"mqtt://broker/front\""),
            &["base station `front`: transport has 2 of `tcp`, `listen`, `serial` and `mqtt`; it needs one"],
        );
        check(
            transport("serial = \"/dev/ttyUSB0\", baud = 300"),
            &["base station `front`: baud 300 is not 9600 to 4000000"],
        );
        check(transport("mqtt = \"broker\""), &["base station `front`: mqtt `broker` is not `mqtt://host:port/topic`"]);
        check(
            transport("listen = \"0.0.0.0:7000\""),
            &["base station `front`: listen `0.0.0.0:7000` can be reached by others, who could say that they are it; \
                 add key_file"],
        );
        check(
            |good| format!("{good}\n[web]\nlisten = \"0.0.0.0:80\"\n"),
            &[
                "web.listen `0.0.0.0:80` can be reached by others, who could read passwords on the way; add certificate_file \
                 and private_key_file, or plain_http = true behind a proxy that speaks TLS",
            ],
        );
        check(
            |good| format!("{good}\n[web]\ncertificate_file = \"web.pem\"\nplain_http = true\n"),
            &[
                "web.certificate_file and web.private_key_file go together",
                "web.plain_http is for a web without certificate_file; remove one of them",
            ],
        );
    }

    #[test]
    fn a_reload_is_read_with_its_defaults_and_its_problems_are_named() {
        let with = |good: &str, reload: &str| {
            good.replace("market = \"CN\"", &format!("market = \"CN\"\nreload = {{ {reload} }}"))
        };
        let full = r#"url = "https://erp.example/snapshots/", facets = ["base", "promotion"], at = "03:30""#;
        let config = Config::parse(&with(GOOD, full), "gondola.toml").unwrap();
        let reload = config.store[0].reload.clone().unwrap();
        assert_eq!(reload.url.to_string(), "https://erp.example/snapshots");
        assert_eq!((reload.jitter.as_secs(), reload.timeout.as_secs()), (600, 300));
        let printed = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");

        check(
            |good| with(good, r#"url = "ftp://erp.example", facets = []"#),
            &["line 14: url `ftp://erp.example` is not `https://host/path`, `http://host/path` or `file:///path`, \
                 without a query"],
        );
        check(
            |good| with(good, r#"url = "file://snapshots", facets = []"#),
            &["line 14: url `file://snapshots` names no absolute path; write three slashes, as in \
                 `file:///srv/snapshots`"],
        );
        check(
            |good| with(good, r#"url = "file:///srv", facets = [], timeout = "0s", jitter = "13h", token_file = "t""#),
            &[
                "store `hz-001`: reload.facets is empty; name what is fetched, for example [\"base\"]",
                "store `hz-001`: reload.jitter is above 12 h",
                "store `hz-001`: reload.timeout is not between 1 ms and 12 h",
                "store `hz-001`: reload.token_file is for http and https; remove it",
            ],
        );
    }

    #[test]
    fn webhooks_are_read_with_their_defaults_and_their_problems_are_named() {
        let with = |good: &str, webhook: &str| format!("{good}\n[[webhook]]\n{webhook}\n");
        let full = "name = \"ops\"\nform = \"feishu\"\nurl_file = \"ops.url\"\nsecret_file = \"ops.secret\"\n\
                    rules = [\"disk\"]\nstores = [\"hz-001\"]\nquiet = { from = \"22:00\", to = \"06:30\" }";
        let config = Config::parse(&with(GOOD, full), "gondola.toml").unwrap();
        assert_eq!(config.webhook[0].language(), Language::Chinese);
        let printed = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");
        let slack = "name = \"ops\"\nform = \"slack\"\nsecret_file = \"s\"\nstores = [\"sh-002\"]\ntopics = []";
        check(
            |good| with(&with(good, full), slack),
            &[
                "webhook `ops` is there twice",
                "webhook `ops`: it needs one of url and url_file",
                "webhook `ops`: slack takes no signature; remove secret_file",
                "webhook `ops`: topics is empty; name what it is told of, for example [\"alerts\"]",
                "webhook `ops`: store `sh-002` is not configured",
            ],
        );
        check(
            |good| with(good, "name = \"Ops\"\nform = \"teams\"\nurl = \"ftp://host\""),
            &[
                "line 21: webhook `Ops` is not 1 to 32 characters of a-z, 0-9 and `-`",
                "line 22: form `teams` is not known; expected one of json, dingtalk, wecom, feishu, slack",
                "line 23: url is not `https://host/path` or `http://host/path`",
            ],
        );
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        check(
            |good| good.replace("market = ", "markt = ").replace("name = ", "nmae = ").replace("\"CNY\"", "\"Yuan\""),
            &[
                "line 9: unknown field `nmae`, expected one of `id`, `name`, `format`, `time_zone`, `currency`, \
                 `market`, `reload`, `guard`, `alerts`, `base_station`",
                "line 12: currency `Yuan` is not three upper-case letters of ISO 4217, for example `CNY`",
                "line 13: unknown field `markt`, expected one of `id`, `name`, `format`, `time_zone`, `currency`, \
                 `market`, `reload`, `guard`, `alerts`, `base_station`",
            ],
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", at in 0_usize..300) {
            let _ = Config::parse(&text, "any");
            let mut mixed = GOOD.to_owned();
            if let Some((at, _)) = GOOD.char_indices().nth(at) {
                mixed.insert_str(at, &text);
            }
            let _ = Config::parse(&mixed, "mixed");
        }
    }
}

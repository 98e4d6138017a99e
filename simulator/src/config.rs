//! `sim.toml`: a simulated shop, as a person writes it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gondola_protocol::auth::{KeyError, StationKey};
use gondola_protocol::{LabelId, Panel, StationId};
use serde::{Deserialize, Deserializer};

use crate::label::{LabelMemory, LabelOptions};
use crate::link::Bursts;
use crate::radio::RadioOptions;
use crate::serve::mqtt::Place;
use crate::station::StationOptions;
use crate::world::WorldOptions;

/// Labels of one simulated shop: ten times the largest shop we know of, a gigabyte of pictures.
pub const LABELS_MAX: u64 = 100_000;

/// Base stations of one simulated shop: each is a listening port.
pub const STATIONS_MAX: usize = 256;

/// Labels do not wake more often: an exchange, all of its tries included, takes up to 50 ms.
pub const WAKE_MIN: Duration = Duration::from_millis(100);

/// Labels wake at least this often, so that a station's patience of 20 minutes is not in vain.
pub const WAKE_MAX: Duration = Duration::from_secs(15 * 60);

/// A simulated shop.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Decides every chance.
    pub seed: u64,
    /// Where the control API listens; none for no control API. Port 0 picks a free one.
    #[serde(default)]
    pub control: Option<SocketAddr>,
    /// The air, and the line noise of the stations' links.
    #[serde(default)]
    pub radio: RadioConfig,
    /// The base stations.
    #[serde(rename = "base_station")]
    pub base_stations: Vec<BaseStationConfig>,
    /// The labels, in groups.
    pub labels: Vec<LabelsConfig>,
}

/// `[radio]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RadioConfig {
    /// Share of radio messages, of blocks, and of frames on a station's link each way that are lost.
    pub loss: f64,
    /// What the place of a label does to its messages.
    pub model: RadioModel,
    /// Interference that comes and goes.
    pub bursts: Option<BurstsConfig>,
    /// Whether labels that call at the same time are not heard; else they take turns.
    pub collisions: bool,
    /// Share of the time in which a base station may send.
    pub duty_cycle: f64,
}

impl Default for RadioConfig {
    fn default() -> Self {
        Self { loss: 0.0, model: RadioModel::Flat, bursts: None, collisions: false, duty_cycle: 1.0 }
    }
}

impl RadioConfig {
    /// Whether it can be.
    ///
    /// # Errors
    /// [`ConfigError::Loss`], [`ConfigError::Bursts`], [`ConfigError::DutyCycle`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.loss) {
            return Err(ConfigError::Loss(self.loss.to_string()));
        }
        let radio = self.options();
        if radio.bursts.is_some_and(|bursts| !bursts.are_possible()) {
            return Err(ConfigError::Bursts);
        }
        if !radio.are_possible() {
            return Err(ConfigError::DutyCycle(radio.duty_cycle.to_string()));
        }
        Ok(())
    }

    /// The same as the world takes it.
    #[must_use]
    pub fn options(&self) -> RadioOptions {
        let bursts = |BurstsConfig { every, length, loss }: BurstsConfig| Bursts { every, length, loss };
        RadioOptions {
            floor: self.model == RadioModel::Floor,
            bursts: self.bursts.map(bursts),
            collisions: self.collisions,
            duty_cycle: self.duty_cycle,
        }
    }
}

/// What the place of a label does to its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RadioModel {
    /// Nothing: all are near one another.
    #[default]
    Flat,
    /// They get weaker over the floor plan.
    Floor,
}

/// `bursts` of `[radio]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurstsConfig {
    /// Mean time between two.
    #[serde(deserialize_with = "duration")]
    pub every: Duration,
    /// Mean length.
    #[serde(deserialize_with = "duration")]
    pub length: Duration,
    /// Share of frames that are lost in one.
    pub loss: f64,
}

/// `[[base_station]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseStationConfig {
    /// Its name.
    pub id: StationId,
    /// Where it waits for its controller. Port 0 picks a free one.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// `host:port` of a controller that it connects to.
    #[serde(default)]
    pub dial: Option<String>,
    /// A name that will lead to a pseudo-terminal, for a controller that opens a serial line.
    #[serde(default)]
    pub pty: Option<PathBuf>,
    /// `mqtt://host:port/topic`: it hears `topic/down` and speaks on `topic/up`.
    #[serde(default)]
    pub mqtt: Option<String>,
    /// Its key, 64 hexadecimal digits: with one it serves only a controller that has it.
    #[serde(default)]
    pub key: Option<String>,
}

/// How a controller comes to a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    Listen(SocketAddr),
    Dial(String),
    Pty(PathBuf),
    Mqtt(Place),
    /// By a stream from the same process.
    Nowhere,
}

impl BaseStationConfig {
    /// A station without a key that waits for its controller at an address.
    #[must_use]
    pub const fn listening(id: StationId, listen: SocketAddr) -> Self {
        Self { id, listen: Some(listen), dial: None, pty: None, mqtt: None, key: None }
    }

    /// How a controller comes to it.
    pub(crate) fn way(&self) -> Result<Way, ConfigError> {
        let place = |text: &String| {
            text.parse().map_err(|reason| ConfigError::Mqtt { station: self.id.clone(), reason }).map(Way::Mqtt)
        };
        let ways = [
            self.listen.map(|address| Ok(Way::Listen(address))),
            self.dial.clone().map(|address| Ok(Way::Dial(address))),
            self.pty.clone().map(|link| Ok(Way::Pty(link))),
            self.mqtt.as_ref().map(place),
        ];
        let mut ways = ways.into_iter().flatten();
        match (ways.next(), ways.next()) {
            (None, _) => Ok(Way::Nowhere),
            (Some(way), None) => way,
            (Some(_), Some(_)) => Err(ConfigError::TwoWays(self.id.clone())),
        }
    }

    fn station_key(&self) -> Result<Option<StationKey>, ConfigError> {
        let refused = |error| ConfigError::Key { station: self.id.clone(), error };
        self.key.as_ref().map(|text| text.parse().map_err(refused)).transpose()
    }
}

/// `[[labels]]`: labels with consecutive addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsConfig {
    /// The lowest address.
    pub first: LabelId,
    /// How many.
    pub count: u32,
    /// Their display.
    pub panel: Panel,
    /// How long they sleep, for example `5s` or `800ms`.
    #[serde(deserialize_with = "duration")]
    pub wake: Duration,
    /// The station that they poll; stations take turns over labels without one.
    #[serde(default)]
    pub station: Option<StationId>,
}

/// Why a text is not a simulated shop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No TOML, an unknown or a missing key, or a value of another kind.
    #[error("line {line}: {message}")]
    Read {
        /// Counted from 1.
        line: usize,
        /// What is wrong, with the key's name.
        message: String,
    },
    /// A loss that is no share.
    #[error("`radio.loss` is {0}, not 0 to 1")]
    Loss(String),
    /// Bursts that take no time, or a loss that is no share.
    #[error("`radio.bursts`: `every` and `length` are above 0, and `loss` is 0 to 1")]
    Bursts,
    /// A duty cycle that is none.
    #[error("`radio.duty_cycle` is {0}, not above 0 and at most 1")]
    DutyCycle(String),
    /// No station, or too many.
    #[error("{0} base stations; a simulated shop has 1 to {STATIONS_MAX}")]
    StationCount(usize),
    /// A name twice.
    #[error("base station `{0}` stands twice")]
    StationTwice(StationId),
    /// No way to it.
    #[error("base station `{0}` has none of `listen`, `dial`, `pty` and `mqtt`")]
    NoWay(StationId),
    /// More than one way to it.
    #[error("base station `{0}` has more than one of `listen`, `dial`, `pty` and `mqtt`")]
    TwoWays(StationId),
    /// A topic that is none.
    #[error("base station `{station}`: mqtt {reason}")]
    Mqtt {
        /// The station.
        station: StationId,
        /// What is wrong.
        reason: String,
    },
    /// A key that is none.
    #[error("base station `{station}`: {error}")]
    Key {
        /// The station.
        station: StationId,
        /// What is wrong.
        error: KeyError,
    },
    /// A port twice.
    #[error("base station `{station}` would listen on {listen}, which is taken by another part of this file")]
    ListenTwice {
        /// The later one.
        station: StationId,
        /// The address.
        listen: SocketAddr,
    },
    /// No labels, or too many.
    #[error("{0} labels; a simulated shop has 1 to {LABELS_MAX}")]
    LabelCount(u64),
    /// A group runs over the last address.
    #[error("the labels from {first} on: {count} of them would run over the highest address")]
    AddressRange {
        /// The group's first.
        first: LabelId,
        /// How many.
        count: u32,
    },
    /// An address twice.
    #[error("label {0} stands in two groups")]
    LabelTwice(LabelId),
    /// A sleep that is too short or too long.
    #[error("the labels from {first} on: `wake` is {wake:?}, not {WAKE_MIN:?} to {WAKE_MAX:?}")]
    Wake {
        /// The group's first.
        first: LabelId,
        /// What was given.
        wake: Duration,
    },
    /// A station that is not there.
    #[error("the labels from {first} on: there is no base station `{station}`")]
    UnknownStation {
        /// The group's first.
        first: LabelId,
        /// What was given.
        station: StationId,
    },
}

impl Config {
    /// Reads a `sim.toml`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Read {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        config.check()?;
        for station in &config.base_stations {
            if station.way()? == Way::Nowhere {
                return Err(ConfigError::NoWay(station.id.clone()));
            }
        }
        Ok(config)
    }

    /// Whether its parts fit together; [`Config::parse`] has asked already.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        self.radio.check()?;
        self.check_stations()?;
        self.check_labels()
    }

    fn check_stations(&self) -> Result<(), ConfigError> {
        if self.base_stations.is_empty() || self.base_stations.len() > STATIONS_MAX {
            return Err(ConfigError::StationCount(self.base_stations.len()));
        }
        let mut names = BTreeSet::new();
        let mut taken: BTreeSet<SocketAddr> = self.control.into_iter().collect();
        for station in &self.base_stations {
            let id = &station.id;
            if !names.insert(id) {
                return Err(ConfigError::StationTwice(id.clone()));
            }
            station.station_key()?;
            if let Way::Listen(listen) = station.way()?
                && listen.port() != 0
                && !taken.insert(listen)
            {
                return Err(ConfigError::ListenTwice { station: id.clone(), listen });
            }
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<(), ConfigError> {
        let count = self.labels.iter().map(|group| u64::from(group.count)).sum();
        if count == 0 || count > LABELS_MAX {
            return Err(ConfigError::LabelCount(count));
        }
        let mut ids = BTreeSet::new();
        for LabelsConfig { first, count, wake, station, .. } in &self.labels {
            let (first, count) = (*first, *count);
            if first.0.checked_add(u64::from(count)).is_none() {
                return Err(ConfigError::AddressRange { first, count });
            }
            if let Some(id) = group(first, count).find(|id| !ids.insert(*id)) {
                return Err(ConfigError::LabelTwice(id));
            }
            if !(WAKE_MIN..=WAKE_MAX).contains(wake) {
                return Err(ConfigError::Wake { first, wake: *wake });
            }
            if let Some(station) = station.as_ref().filter(|id| self.base_stations.iter().all(|base| base.id != **id)) {
                return Err(ConfigError::UnknownStation { first, station: station.clone() });
            }
        }
        Ok(())
    }

    /// The world that the file describes.
    ///
    /// # Panics
    /// A configuration that [`Config::check`] refuses.
    #[must_use]
    pub fn world_options(&self) -> WorldOptions {
        let station = |config: &BaseStationConfig| StationOptions {
            id: config.id.clone(),
            key: config.station_key().expect("the configuration was checked"),
            ..StationOptions::default()
        };
        let labels = |config: &LabelsConfig| {
            let LabelsConfig { first, count, panel, wake, station } = config.clone();
            group(first, count).map(move |label| LabelOptions {
                label,
                panel,
                wake,
                station: station.clone(),
                shows: None,
                refresh: None,
                memory: LabelMemory::default(),
            })
        };
        WorldOptions {
            seed: self.seed,
            loss: self.radio.loss,
            radio: self.radio.options(),
            stations: self.base_stations.iter().map(station).collect(),
            labels: self.labels.iter().flat_map(labels).collect(),
        }
    }
}

/// The addresses of a group.
fn group(first: LabelId, count: u32) -> impl Iterator<Item = LabelId> {
    (first.0..).take(usize::try_from(count).unwrap_or(usize::MAX)).map(LabelId)
}

/// The line, counted from 1, in which a byte stands.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        serde::de::Error::custom(format_args!("`{text}` is not a duration, for example `800ms`, `5s` or `1m`"))
    })
}

/// A whole number with `ms`, `s`, `m` or `h`.
fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHOP: &str = r#"
seed = 7
control = "127.0.0.1:9100"
[radio]
loss = 0.05
[[base_station]]
id = "front"
listen = "127.0.0.1:7001"
[[labels]]
first = "0000000000000001"
count = 100
panel = "bwr-296x128"
wake = "5s"
"#;

    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        assert!(SHOP.contains(from), "{from}");
        let error = Config::parse(&SHOP.replace(from, to)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_shop_is_read() {
        let options = Config::parse(SHOP).unwrap().world_options();
        assert_eq!((options.seed, options.loss, options.stations.len()), (7, 0.05, 1));
        assert_eq!(options.labels.len(), 100);
        let last = &options.labels[99];
        assert_eq!((last.label, last.wake), (LabelId(100), Duration::from_secs(5)));
        let small = SHOP.replace("control = \"127.0.0.1:9100\"\n[radio]\nloss = 0.05", "");
        let small = Config::parse(&small.replace("\"5s\"", "\"800ms\"\nstation = \"front\"")).unwrap();
        assert_eq!((small.control, small.radio), (None, RadioConfig::default()));
        let floor = "0.05\nmodel = \"floor\"\ncollisions = true\nduty_cycle = 0.1\n\
                     bursts = { every = \"10s\", length = \"200ms\", loss = 0.8 }";
        let bursts = Bursts { every: Duration::from_secs(10), length: Duration::from_millis(200), loss: 0.8 };
        let expected = RadioOptions { floor: true, bursts: Some(bursts), collisions: true, duty_cycle: 0.1 };
        assert_eq!(Config::parse(&SHOP.replace("0.05", floor)).unwrap().world_options().radio, expected);
    }

    #[test]
    fn mistakes_are_named() {
        check(
            "loss",
            "losss",
            "line 5: unknown field `losss`, expected one of `loss`, `model`, `bursts`, `collisions`, `duty_cycle`",
        );
        check("0.05", "0.05\nduty_cycle = 0", "`radio.duty_cycle` is 0, not above 0 and at most 1");
        let bursts = "0.05\nbursts = { every = \"1s\", length = \"0s\", loss = 0.5 }";
        check("0.05", bursts, "`radio.bursts`: `every` and `length` are above 0, and `loss` is 0 to 1");
        check(
            "seed",
            "sead",
            "line 2: unknown field `sead`, expected one of `seed`, `control`, `radio`, `base_station`, `labels`",
        );
        check("0.05", "1.5", "`radio.loss` is 1.5, not 0 to 1");
        check("listen = ", "# ", "base station `front` has none of `listen`, `dial`, `pty` and `mqtt`");
        let two = "dial = \"127.0.0.1:7002\"\nlisten = ";
        check("listen = ", two, "base station `front` has more than one of `listen`, `dial`, `pty` and `mqtt`");
        let mqtt = "mqtt = \"broker\" # ";
        check("listen = ", mqtt, "base station `front`: mqtt `broker` is not `mqtt://host:port/topic`");
        let key =
            "base station `front`: a station's key is 64 hexadecimal digits; make one with `openssl rand -hex 32`";
        check("listen = ", "key = \"4b\"\nlisten = ", key);
        check("0.05", "nan", "`radio.loss` is NaN, not 0 to 1");
        check("\"5s\"", "\"5 s\"", "line 13: `5 s` is not a duration, for example `800ms`, `5s` or `1m`");
        check("\"5s\"", "\"0s\"", "the labels from 0000000000000001 on: `wake` is 0ns, not 100ms to 900s");
        check("100\n", "0\n", "0 labels; a simulated shop has 1 to 100000");
        check("front", "Front", "line 7: base station `Front` is not 1 to 32 characters of a-z, 0-9 and `-`");
        check(
            "7001",
            "9100",
            "base station `front` would listen on 127.0.0.1:9100, which is taken by another part of this file",
        );
        check(
            "\"5s\"",
            "\"5s\"\nstation = \"back\"",
            "the labels from 0000000000000001 on: there is no base station `back`",
        );
        let group = &SHOP[SHOP.find("[[labels]]").unwrap()..];
        let twice = format!("{SHOP}{}", group.replace("01\"", "64\""));
        assert_eq!(Config::parse(&twice), Err(ConfigError::LabelTwice(LabelId(100))));
    }

    proptest! {
        #[test]
        fn arbitrary_texts_never_panic(at in 0..SHOP.len(), to in "\\PC{0,8}") {
            let mut text = SHOP.to_owned();
            text.replace_range(at..(at + 1), &to);
            let _ = Config::parse(&text);
        }

        #[test]
        fn arbitrary_durations_never_panic(text in "[0-9]{0,22}[a-zé]{0,3}") {
            parse_duration(&text);
        }
    }
}

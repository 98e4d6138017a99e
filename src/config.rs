//! The configuration file: typed, closed against unknown keys, and reporting every problem at once.
//! It is passed as an argument and never global.

mod feed;
mod radio;
mod reload;
mod shape;
mod station;
#[cfg(test)]
mod tests;
mod web;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gondola_protocol::StoreId;
use serde::{Deserialize, Serialize};

use crate::alert::rules::AlertRules;
use crate::catalog::currency::Currency;
use crate::catalog::guard::GuardRules;
use crate::catalog::settings::{Format, Market};
pub use feed::{Broker, FeedConfig};
pub use radio::{LabelTypeConfig, PackingConfig, ResetConfig};
pub use reload::{ReloadConfig, SourceUrl};
pub use station::{Driver, StationConfig, Transport};
pub use web::WebConfig;
pub use webhook::{Form, Language, Topic, WebhookConfig, WebhookName, WebhookUrl, WebhookUrlError};

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
        let (config, mut problems) = shape::read(text);
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

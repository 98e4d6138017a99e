//! Named situations of one store, written as TOML: its shop, what happens when, and what must come of it.

mod expect;
mod format;
mod play;
mod record;
mod till;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use gondola_protocol::Moment;
use gondola_simulator::config::RadioConfig;
use serde::{Deserialize, Deserializer, Serialize};

use super::report::Distribution;

pub use play::{PlayOptions, play};

/// The scenarios that ship.
const SHIPPED: [(&str, &str); 7] = [
    ("opening-day", include_str!("../scenarios/opening-day.toml")),
    ("double-eleven", include_str!("../scenarios/double-eleven.toml")),
    ("station-dies", include_str!("../scenarios/station-dies.toml")),
    ("network-out", include_str!("../scenarios/network-out.toml")),
    ("bad-batteries", include_str!("../scenarios/bad-batteries.toml")),
    ("fake-station", include_str!("../scenarios/fake-station.toml")),
    ("till-waits", include_str!("../scenarios/till-waits.toml")),
];

/// Names of the scenarios that ship.
pub fn shipped() -> impl Iterator<Item = &'static str> {
    SHIPPED.into_iter().map(|(name, _)| name)
}

/// The text of a scenario that ships.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    SHIPPED.into_iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| text)
}

/// A situation.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it is, in a few words.
    pub title: String,
    /// What happens and why it matters, in a sentence or two.
    pub about: String,
    /// When it begins.
    pub starts: Moment,
    /// How long it is played.
    pub span: Duration,
    /// The shop.
    pub shop: ShopConfig,
    /// Shares of the shop's labels by name, from and to, counted in the order in which they hang.
    pub groups: BTreeMap<String, [f64; 2]>,
    /// What happens.
    pub happenings: Vec<Happening>,
    /// What must come of it.
    pub expectations: Vec<Expectation>,
    /// What its plot shows.
    pub plot: PlotConfig,
}

/// `[shop]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShopConfig {
    /// Labels, each with a product of its own.
    pub labels: usize,
    /// Base stations.
    pub base_stations: usize,
    /// How long labels sleep.
    #[serde(default = "ShopConfig::wake")]
    pub wake: Span,
    /// How it is found.
    #[serde(default)]
    pub opening: OpeningConfig,
    /// The air, as in the simulator's own configuration.
    #[serde(default)]
    pub radio: RadioConfig,
    /// Whether base stations and controller have keys.
    #[serde(default)]
    pub keys: bool,
}

impl ShopConfig {
    const fn wake() -> Span {
        Span(Duration::from_secs(20))
    }
}

/// How a shop is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpeningConfig {
    /// Every label is registered, bound, and shows its price.
    #[default]
    InOrder,
    /// Every glass is white, and no label is registered.
    New,
}

/// `[[happening]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Happening {
    /// Since the beginning.
    pub at: Span,
    /// What the plot says of it.
    #[serde(default)]
    pub note: Option<String>,
    /// What happens.
    #[serde(rename = "do")]
    pub event: What,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// All labels are registered and bound, one after the other.
    Bind {
        /// Until the last one.
        over: Span,
    },
    /// Products get other prices.
    Prices {
        /// Share of the products, spread evenly.
        share: f64,
        /// Of their price until then.
        percent: u64,
    },
    /// A promotion is announced.
    Promotion {
        /// Share of the products, spread evenly.
        share: f64,
        /// Less than the price without it.
        percent_off: u64,
        /// When it starts, since the beginning of the scenario.
        starts: Span,
        /// When it ends.
        ends: Span,
    },
    /// A base station loses its power.
    StationOff {
        /// Counted from 1.
        station: usize,
    },
    /// It has power again.
    StationOn {
        /// Counted from 1.
        station: usize,
    },
    /// The controller reaches neither broker nor base stations; what is published waits at the broker.
    NetworkOff {},
    /// It does again.
    NetworkOn {},
    /// It gets colder or warmer at labels.
    Temperature {
        /// Which ones.
        group: String,
        /// From now on.
        celsius: i8,
    },
    /// Cells of labels turn out bad.
    BadBatteries {
        /// Which ones.
        group: String,
        /// What is left of their charge.
        left_percent: u64,
        /// What leaks through them.
        leak_microamperes: u32,
    },
    /// Labels get new cells, and forget everything.
    NewBatteries {
        /// Which ones.
        group: String,
    },
    /// A stranger's device takes a base station's place at its line, without the key.
    Impostor {
        /// Counted from 1.
        station: usize,
    },
    /// The true base station is back.
    ImpostorGone {
        /// Counted from 1.
        station: usize,
    },
}

/// `[[expect]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expectation {
    /// At the end every glass shows what it must, and the controller knows it. Labels with an empty battery are none.
    Settled {},
    /// A share of changes is on the glass within a time.
    Shown {
        /// Of these labels; all of them unless given.
        #[serde(default)]
        group: Option<String>,
        /// At least.
        share: f64,
        /// At most.
        within: Span,
        /// Changes from here on; the beginning unless given.
        #[serde(default)]
        from: Span,
        /// Changes before this; the end unless given.
        #[serde(default)]
        until: Option<Span>,
    },
    /// At no moment do more labels show something else than they must.
    Accuracy {
        /// Of these labels; all of them unless given.
        #[serde(default)]
        group: Option<String>,
        /// Share of the labels that are right.
        at_least: f64,
        /// From here on; the beginning unless given.
        #[serde(default)]
        from: Span,
        /// Until this; the end unless given.
        #[serde(default)]
        until: Option<Span>,
    },
    /// No label changes its display more often.
    Refreshes {
        /// Of these labels; all of them unless given.
        #[serde(default)]
        group: Option<String>,
        /// Times.
        at_most: usize,
        /// From here on; the beginning unless given.
        #[serde(default)]
        from: Span,
        /// Until this; the end unless given.
        #[serde(default)]
        until: Option<Span>,
    },
    /// Labels are known to be in a state at a moment.
    Health {
        /// Of these labels; all of them unless given.
        #[serde(default)]
        group: Option<String>,
        /// The state.
        state: State,
        /// When.
        at: Span,
        /// Share of them, at least.
        #[serde(default)]
        at_least: f64,
        /// Share of them, at most.
        #[serde(default = "one")]
        at_most: f64,
    },
    /// Impostors get neither a session nor a picture, and nobody believes what they say.
    ImpostorsGetNothing {},
    /// A till that raises prices only when they are confirmed never asks for more than a glass shows.
    TillIsHonest {},
}

const fn one() -> f64 {
    1.0
}

/// What is known of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is not heard.
    Offline,
    /// It answers, and shows something else for too long.
    Stale,
    /// Its battery is low.
    LowBattery,
    /// It is proven to show what it must.
    InSync,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "offline",
            Self::Stale => "stale",
            Self::LowBattery => "low on battery",
            Self::InSync => "in sync",
        })
    }
}

/// `[plot]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlotConfig {
    /// Its curves.
    pub shows: Curves,
    /// Groups with a curve of their own.
    #[serde(default)]
    pub groups: Vec<String>,
    /// From here on; the beginning unless given.
    #[serde(default)]
    pub from: Span,
    /// Until this; the end unless given.
    #[serde(default)]
    pub until: Option<Span>,
}

/// What a plot shows over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curves {
    /// Share of labels that show what they must.
    Accuracy,
    /// Labels that are bound, and those that show their product.
    Binding,
    /// Labels whose product costs more at the till than on the glass.
    Till,
    /// Labels that are known to be offline or low on battery.
    Health,
}

/// A time span, such as `90s` or `1h 30m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
        span.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format_args!("`{text}` is not a time span, for example `90s` or `1h 30m`"))
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
        let text: Vec<String> =
            parts.iter().filter(|(value, _)| *value > 0).map(|(value, unit)| format!("{value} {unit}")).collect();
        f.write_str(if text.is_empty() { "0 s".to_owned() } else { text.join(" ") }.as_str())
    }
}

/// Whether an expectation was met, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was expected.
    pub expected: String,
    /// What came of it.
    pub found: String,
    /// Whether that will do.
    pub is_met: bool,
}

/// How a scenario went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Played {
    /// What it is.
    pub title: String,
    /// Decides every chance.
    pub seed: u64,
    /// Labels in the shop.
    pub labels: usize,
    /// Base stations in the shop.
    pub base_stations: usize,
    /// Virtual seconds.
    pub span_s: u64,
    /// One for each expectation, in their order.
    pub verdicts: Vec<Verdict>,
    /// From each change to the glass that shows it.
    pub time_to_shelf_s: Distribution,
    /// Things that happened in the simulated shop.
    pub events: u64,
    /// Its plot, as SVG.
    #[serde(skip)]
    pub plot: String,
}

impl Played {
    /// Whether everything came as expected.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.is_met)
    }
}

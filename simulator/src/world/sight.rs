//! The shop as somebody sees it who looks at its labels and into its stations at once.

use gondola_protocol::{Edition, Millivolts, StationId};

use super::{Hung, Station, World};
use crate::faults::Fault;

/// A cell whose voltage is below this is drawn as low: a quarter of its charge is left.
pub const BATTERY_LOW: Millivolts = Millivolts(2_575);

/// What a label is at: the last of these that is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// It has never been sent a picture, or has forgotten all.
    Empty,
    /// Its station has nothing newer for its glass.
    Newest,
    /// Its station holds a picture for its glass, and it sleeps.
    Behind,
    /// Its picture is on the air, or waits for its turn there.
    Receiving,
    /// Its display is changing.
    Refreshing,
    /// Its glass does not show what it reports: stuck, or with a dead pixel.
    Faulty,
    /// Nobody hears it: it is deaf or mute, or its station is without power.
    Away,
}

impl Activity {
    /// Every activity, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Empty, Self::Newest, Self::Behind, Self::Receiving, Self::Refreshing, Self::Faulty, Self::Away];

    /// Its name in the control API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Newest => "newest",
            Self::Behind => "behind",
            Self::Receiving => "receiving",
            Self::Refreshing => "refreshing",
            Self::Faulty => "faulty",
            Self::Away => "away",
        }
    }
}

/// A label at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelSight {
    /// What it is at.
    pub activity: Activity,
    /// Whether its battery is below [`BATTERY_LOW`].
    pub is_low: bool,
    /// The edition that it reports.
    pub edition: Edition,
}

/// A base station at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationSight {
    /// Its name.
    pub id: StationId,
    /// Whether it has power.
    pub is_on: bool,
    /// Whether a controller has a session with it over an open byte stream.
    pub is_connected: bool,
    /// Pictures and commands that it holds.
    pub holds: usize,
}

/// A shop at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// Share of messages that are lost.
    pub loss: f64,
    /// In the order of the options.
    pub stations: Vec<StationSight>,
    /// In the order of the options.
    pub labels: Vec<LabelSight>,
}

impl World {
    /// The whole shop at a glance.
    #[must_use]
    pub fn sight(&self) -> Sight {
        let station = |station: &Station| StationSight {
            id: station.id().clone(),
            is_on: station.is_on(),
            is_connected: station.is_connected(),
            holds: station.holds().0,
        };
        Sight {
            loss: self.radio.loss.0,
            stations: self.stations.iter().map(station).collect(),
            labels: self.labels[..self.own_labels()].iter().map(|hung| self.glance(hung)).collect(),
        }
    }

    fn glance(&self, Hung { label, station, .. }: &Hung) -> LabelSight {
        let station = &self.stations[*station];
        let activity = match label.fault() {
            Some(Fault::Deaf | Fault::Mute) => Activity::Away,
            _ if !station.is_on() => Activity::Away,
            Some(Fault::Stuck | Fault::DeadPixel { .. }) => Activity::Faulty,
            _ => match label.busy_with() {
                Some(activity) => activity,
                None if station.has_picture(label.id()) => Activity::Behind,
                None if label.edition() == Edition(0) => Activity::Empty,
                None => Activity::Newest,
            },
        };
        LabelSight { activity, is_low: label.voltage(self.now, self.idle) < BATTERY_LOW, edition: label.edition() }
    }
}

//! What is to be seen of a label.

use gondola_protocol::message::{LightColour, Pattern};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Moment, Panel, Planes, StationId};

use crate::faults::Fault;

/// What is to be seen of a label from outside, and what it believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelState {
    /// Its address.
    pub label: LabelId,
    /// Its display.
    pub panel: Panel,
    /// The station that it polls.
    pub station: StationId,
    /// The edition that it reports.
    pub edition: Edition,
    /// The digest that it reports.
    pub digest: Digest,
    /// What is on the glass, a dead pixel included.
    pub planes: Planes,
    /// When the glass last changed; none while it shows what it was made with.
    pub displayed_at: Option<Moment>,
    /// Times that it woke up.
    pub wakes: u64,
    /// When it woke up last; none before the first time.
    pub woke_at: Option<Moment>,
    /// Its battery.
    pub battery_mv: Millivolts,
    /// What it has taken from its battery, in nanocoulombs.
    pub spent_nc: u64,
    /// Its temperature.
    pub temperature_c: i8,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// The last blinking that it was told.
    pub light: Option<Light>,
    /// Times that it showed its address.
    pub identified: u64,
}

/// A label's light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Light {
    /// In which colour.
    pub colour: LightColour,
    /// How it blinks.
    pub pattern: Pattern,
    /// When it goes out.
    pub until: Moment,
}

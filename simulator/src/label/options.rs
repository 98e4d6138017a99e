//! What a label is made with.

use std::time::Duration;

use gondola_protocol::message::Encoding;
use gondola_protocol::{LabelId, Panel, Planes, StationId};

/// One simulated label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelOptions {
    /// Its address.
    pub label: LabelId,
    /// Its display.
    pub panel: Panel,
    /// How long it sleeps between two polls, by its own crystal.
    pub wake: Duration,
    /// The station that it polls; stations take turns over the labels that name none.
    pub station: Option<StationId>,
    /// What it shows at first, as edition 0; none for white.
    pub shows: Option<Planes>,
    /// How long its display takes to change at 15 °C and above; none for 0.8 s in black and white, 3 s with a colour, 15 s
    /// with two.
    pub refresh: Option<Duration>,
    /// What it has room for.
    pub memory: LabelMemory,
}

/// What a label has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelMemory {
    /// Pictures that it keeps for later. Of more it says that it cannot.
    pub pictures: u8,
    /// Encodings that it decodes, a bit each.
    pub encodings: u8,
}

impl Default for LabelMemory {
    /// Seven pictures and every encoding.
    fn default() -> Self {
        Self { pictures: 7, encodings: Encoding::ALL.iter().fold(0, |bits, encoding| bits | encoding.bit()) }
    }
}

//! A base station as the controller sees it: is it up, and how much can it take.

use gondola_drivers::head::ClockReport;
use gondola_protocol::message::Welcome;
use gondola_protocol::{Moment, StationId};

/// What a base station holds at most, from its welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Transfers at once.
    pub transfers: usize,
    /// Bytes of packed pictures at once.
    pub bytes: usize,
    /// Whether its version of shelflink passes on pictures that are sent ahead.
    pub stages: bool,
    /// Encodings that it passes on, a bit each.
    pub encodings: u8,
}

impl From<&Welcome> for Capacity {
    fn from(welcome: &Welcome) -> Self {
        Self {
            transfers: usize::from(welcome.transfers_max),
            bytes: usize::try_from(welcome.bytes_max).unwrap_or(usize::MAX),
            stages: welcome.version >= 2,
            encodings: welcome.encodings,
        }
    }
}

/// One base station.
#[derive(Debug, Clone)]
pub struct Station {
    /// Its name.
    pub id: StationId,
    /// What it can hold while a session is open; none while it is away.
    pub capacity: Option<Capacity>,
    /// When it last came or went.
    pub since: Option<Moment>,
    /// Why it is away, as a sentence for people.
    pub away_because: Option<String>,
    /// Transfers planned for it that have no outcome yet.
    pub transfers: usize,
    /// Their pictures' bytes: raw until each is packed, because only then it is known what it packs to.
    pub bytes: usize,
    /// How its clock runs, since it was last told the time.
    pub clock: Option<ClockReport>,
}

impl Station {
    pub(crate) fn new(id: StationId) -> Self {
        Self { id, capacity: None, since: None, away_because: None, transfers: 0, bytes: 0, clock: None }
    }

    /// Whether a picture of `bytes` fits now. The first picture always fits: a station may pack it smaller
    /// than its raw size, and says no if it cannot.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.capacity.is_some_and(|capacity| {
            self.transfers < capacity.transfers && (self.transfers == 0 || self.bytes + bytes <= capacity.bytes)
        })
    }

    /// Whether it can be told something more now.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.transfers < capacity.transfers)
    }

    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.transfers += 1;
        self.bytes += bytes;
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.transfers = self.transfers.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
